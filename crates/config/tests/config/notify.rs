//! Webhooks that go out, in the file.

use std::time::Duration;

use crate::support::{load_in, refusal, target};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A file of the target `notes` and of a webhook that goes out.
fn file(webhook: &str) -> String {
    target("remote: disk") + &format!("notify:\n  webhooks:\n    team: {webhook}\n")
}

#[test]
fn who_is_told_of_what_is_known_and_secrets_when_they_are_needed() {
    let text = file(
        "{ url: \"${env:URL}\", secret: \"${env:KEY}\", previous_secret: \"${env:OLD}\", events: [run.failed, \
         \"conflict.*\"], targets: [\"n*\"], timeout: 20s }",
    );
    let url = "https://example.org/hook/hunter2";
    let workspace = load_in(&text, &[("URL", url), ("KEY", KEY)]).unwrap();
    assert!(workspace.warnings.is_empty(), "{:?}", workspace.warnings);
    let team = &workspace.notify[0];
    assert_eq!((team.name.as_str(), team.timeout), ("team", Duration::from_secs(20)));
    assert_eq!((&**team.url.resolve().unwrap(), &**team.secret.resolve().unwrap()), (url, KEY));
    let missing = team.previous_secret.as_ref().unwrap().resolve().unwrap_err();
    assert_eq!(missing.code, "secret_missing");
    for (event, target, told) in [
        ("run.failed", "notes", true),
        ("conflict.opened", "notes", true),
        ("run.succeeded", "notes", false),
        ("run.failed", "photos", false),
    ] {
        assert_eq!(team.is_told(event, target), told, "{event} {target}");
    }
    let shown = format!("{workspace:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("MfKQ9r8G"), "{shown}");
    let all = load_in(&file("{ url: \"${env:URL}\", secret: \"${env:KEY}\" }"), &[]).unwrap();
    assert!(all.notify[0].is_told("target.paused", "gone"), "everything of all targets");
    assert_eq!((all.notify[0].timeout, all.notify[0].allow_private), (Duration::from_secs(15), false));
    let off = load_in(&file("{ url: \"${env:URL}\", secret: \"${env:KEY}\", disabled: true }"), &[]).unwrap();
    assert!(!off.notify[0].is_told("run.failed", "notes"));
}

#[test]
fn what_was_written_out_is_warned_of_and_shown_nowhere() {
    let text = file(&format!("{{ url: \"https://example.org/hunter2\", secret: {KEY} }}"));
    let workspace = load_in(&text, &[]).unwrap();
    let codes: Vec<_> = workspace.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["literal_secret"]);
    let wrong = refusal(&file(&format!(
        "{{ url: \"http://example.org/hunter2\", secret: {KEY}, events: [\"run.fialed\"] }}"
    )));
    assert!(wrong.contains("did you mean `run.failed`?"), "{wrong}");
    assert!(!wrong.contains("hunter2") && !wrong.contains("MfKQ9r8G"), "{wrong}");
}

#[test]
fn what_cannot_work_is_told_with_its_place() {
    for (webhook, told) in [
        ("{ secret: \"${env:KEY}\" }", "url"),
        ("{ url: \"${env:URL}\" }", "secret"),
        ("{ url: \"\", secret: \"${env:KEY}\" }", "the url of notify.webhooks.team is empty"),
        ("{ url: \"ftp://a/\", secret: \"${env:KEY}\" }", "no address that begins with https://"),
        ("{ url: \"http://a/\", secret: \"${env:KEY}\" }", "is not one of https"),
        ("{ url: \"http://${env:A}/\", secret: \"${env:KEY}\" }", "allow_private: true"),
        ("{ url: \"${env:URL}\", secret: \"\" }", "the secret of notify.webhooks.team is empty"),
        (
            "{ url: \"${env:URL}\", secret: \"${env:KEY}\", events: [run.ended] }",
            "nothing of the type `run.ended`",
        ),
        ("{ url: \"${env:URL}\", secret: \"${env:KEY}\", events: [\"[\"] }", "in the pattern `[`"),
        ("{ url: \"${env:URL}\", secret: \"${env:KEY}\", targets: [ntes] }", "did you mean `notes`?"),
        ("{ url: \"${env:URL}\", secret: \"${env:KEY}\", timeout: soon }", "`soon` is no span of time"),
        ("{ url: \"${env:URL}\", secret: \"${env:KEY}\", timeout: 5m }", "is not between 1s and 60s"),
        ("{ url: \"${env:URL}\", secret: \"${env:KEY}\", retries: 3 }", "retries"),
        ("{ url: \"${what:URL}\", secret: \"${env:KEY}\" }", "a reference is of an unknown kind"),
    ] {
        let refused = refusal(&file(webhook));
        assert!(refused.contains(told) && refused.contains("syncline.yaml:"), "{webhook}: {refused}");
    }
    let name = refusal(&file("{ url: \"${env:URL}\", secret: \"${env:KEY}\" }").replace("team:", "a/b:"));
    assert!(name.contains("`a/b` cannot be the name of a webhook"), "{name}");
    let own = file("{ url: \"http://127.0.0.1:8080/\", secret: \"${env:KEY}\", allow_private: true }");
    assert!(load_in(&own, &[]).is_ok());
}
