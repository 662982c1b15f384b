//! Events and webhooks in the file.

use syncline_config::WebhookKind;

use crate::support::{load_in, refusal, target};

const SECRET: &str = "hunter2-correct-horse";

/// A file of the target `notes`, which names the event `deploy`, and of a webhook.
fn file(webhook: &str) -> String {
    target("remote: disk\ntriggers: { events: [deploy] }") + &format!("webhooks:\n  hook: {webhook}\n")
}

#[test]
fn a_webhook_knows_its_targets_by_name_and_by_event_and_its_secret_when_it_is_needed() {
    for chosen in ["targets: [notes]", "targets: [\"n*\", notes]", "event: deploy"] {
        let text = file(&format!("{{ kind: github, secret: \"${{env:HOOK}}\", {chosen} }}"));
        let workspace = load_in(&text, &[("HOOK", SECRET)]).unwrap();
        let webhook = &workspace.webhooks[0];
        assert_eq!(
            (webhook.kind, webhook.targets.as_slice()),
            (WebhookKind::Github, &["notes".to_owned()][..])
        );
        assert_eq!(*webhook.secret.as_ref().unwrap().resolve().unwrap(), SECRET);
        assert!(!format!("{workspace:?}").contains(SECRET));
        assert!(workspace.warnings.is_empty(), "{:?}", workspace.warnings);
        assert_eq!(workspace.listening("deploy").unwrap(), ["notes"]);
        assert_eq!(workspace.listening("deplyo").unwrap_err().hint.unwrap(), "did you mean `deploy`?");
    }
    let missing = load_in(&file("{ kind: gitea, secret: \"${env:HOOK}\", event: deploy }"), &[]).unwrap();
    let error = missing.webhooks[0].secret.as_ref().unwrap().resolve().unwrap_err();
    assert_eq!(error.code, "secret_missing");
}

#[test]
fn a_secret_that_was_written_out_is_warned_of_and_shown_nowhere() {
    let text = file(&format!("{{ kind: github, secret: {SECRET}, event: deploy }}"));
    let workspace = load_in(&text, &[]).unwrap();
    assert_eq!(workspace.warnings[0].code, "literal_secret");
    assert!(!format!("{workspace:?}").contains(SECRET));
    let wrong = refusal(&file(&format!("{{ kind: github, secret: {SECRET}, event: nothing }}")));
    assert!(wrong.contains("no target runs at `nothing`") && !wrong.contains(SECRET), "{wrong}");
}

#[test]
fn what_cannot_work_is_told_with_its_place() {
    for (webhook, told) in [
        ("{ kind: githbu, secret: x, event: deploy }", "github"),
        ("{ kind: github, event: deploy }", "missing key `secret` in webhooks.hook"),
        ("{ kind: github, secret: \"\", event: deploy }", "the secret of webhooks.hook is empty"),
        ("{ kind: github, secret: x }", "webhooks.hook has neither `targets` nor `event`"),
        ("{ kind: github, secret: x, targets: [ntes] }", "no target matches `ntes`"),
        ("{ kind: github, secret: x, targets: [\"[\"] }", "in the pattern `[`"),
        ("{ kind: github, secret: x, event: deplyo }", "did you mean `deploy`?"),
        (
            "{ kind: github, secret: x, event: deploy, header: X-A }",
            "`header` only goes with `kind: generic`",
        ),
        (
            "{ kind: generic, secret: x, event: deploy, id_header: X-A }",
            "`id_header` only goes with `header`",
        ),
        ("{ kind: generic, secret: x, event: deploy, header: \"X A\" }", "cannot be the name of a header"),
    ] {
        let refused = refusal(&file(webhook));
        assert!(refused.contains(told) && refused.contains("syncline.yaml:"), "{webhook}: {refused}");
    }
    let name = refusal(&file("{ kind: notion, event: deploy }").replace("  hook:", "  a/b:"));
    assert!(name.contains("`a/b` cannot be the name of a webhook"), "{name}");
    let event = refusal(&target("remote: disk\ntriggers: { events: [\"de ploy\"] }"));
    assert!(event.contains("`de ploy` cannot be the name of an event"), "{event}");
    assert!(load_in(&file("{ kind: notion, event: deploy }"), &[]).is_ok(), "Notion tells its secret later");
}
