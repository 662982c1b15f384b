//! Deliveries of every kind: genuine ones, and whatever is near them.

use std::collections::BTreeMap;

use syncline_config::{Webhook, WebhookKind};
use syncline_connect::signature::{sign, to_hex};
use syncline_connect::standard_webhooks::Key;

use super::*;

const NOW: i64 = 1_700_000_000;
const SECRET: &str = "It's a Secret to Everybody";
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Case {
    webhook: Webhook,
    secret: Option<&'static str>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    now: i64,
}

impl Case {
    fn new(kind: WebhookKind, secret: &'static str, body: &str) -> Self {
        let webhook = Webhook {
            name: "hook".to_owned(),
            kind,
            secret: None,
            targets: vec!["notes".to_owned()],
            header: None,
            id_header: None,
        };
        Self { webhook, secret: Some(secret), headers: BTreeMap::new(), body: body.into(), now: NOW }
    }

    fn with(mut self, header: &str, value: impl Into<String>) -> Self {
        self.headers.insert(header.to_owned(), value.into());
        self
    }

    fn verdict(&self) -> Verdict {
        let known = Known { secret: self.secret, webhook: &self.webhook, now: self.now };
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        check_of(self.webhook.kind)(&known, &Incoming { header: &header, body: &self.body })
    }

    fn id(&self) -> Option<String> {
        match self.verdict() {
            Verdict::Genuine(id) => Some(id),
            _ => None,
        }
    }
}

fn hex(body: &str) -> String {
    to_hex(&sign(SECRET.as_bytes(), &[body.as_bytes()]))
}

/// Whatever is near a genuine delivery with this signature is refused.
fn refuses_what_is_near(make: impl Fn(&str) -> Case, header: &str, signature: &str) {
    assert!(make(signature).id().is_some(), "{signature} is genuine");
    let mut other_body = make(signature);
    other_body.body.push(b' ');
    let mut other_secret = make(signature);
    other_secret.secret = Some("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let mut without = make(signature);
    without.headers.remove(header);
    for (what, case) in
        [("another body", other_body), ("another secret", other_secret), ("no header", without)]
    {
        assert!(matches!(case.verdict(), Verdict::Refused(_)), "{what}");
    }
    let digits = signature.rsplit(['=', ',']).find(|part| part.len() > 10).unwrap_or_default();
    for near in [
        String::new(),
        signature[..signature.len() - 2].to_owned(),
        format!("{signature}00"),
        signature.replace(digits, &digits.to_uppercase()),
        signature.replace(digits, &digits.chars().rev().collect::<String>()),
        format!(" {signature}"),
    ] {
        assert!(matches!(make(&near).verdict(), Verdict::Refused(_)), "{near:?}");
    }
}

#[test]
fn the_log_says_which_check_failed_and_no_signature_that_would_hold() {
    let body = "{}";
    let github = |headers: &[(&str, String)]| {
        let case = Case::new(WebhookKind::Github, SECRET, body);
        headers.iter().fold(case, |case, (header, value)| case.with(header, value.clone()))
    };
    let standard = |time: i64, key: &'static str| {
        Case::new(WebhookKind::Generic, key, body)
            .with("webhook-id", "msg_1")
            .with("webhook-timestamp", time.to_string())
            .with("webhook-signature", Key::parse(KEY).unwrap().sign("msg_1", time, b"another"))
    };
    let gitlab = |token: &str| Case::new(WebhookKind::Gitlab, SECRET, body).with("x-gitlab-token", token);
    for (case, expected) in [
        (github(&[]), UNSIGNED),
        (github(&[("x-hub-signature-256", hex(body))]), MALFORMED),
        (github(&[("x-hub-signature-256", format!("sha256={}", hex("another")))]), WRONG),
        (standard(NOW - 301, KEY), UNTIMELY),
        (standard(NOW, KEY), WRONG),
        (
            standard(NOW, SECRET),
            "`secret` is no key of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes",
        ),
        (gitlab("another"), "its secret token is not `secret`"),
    ] {
        let Verdict::Refused(why) = case.verdict() else { panic!("it is refused: {expected}") };
        assert_eq!(why, expected);
    }
}

#[test]
fn github_signs_the_body_with_sha256_and_nothing_else_counts() {
    let body = "Hello, World!";
    let make =
        |signature: &str| Case::new(WebhookKind::Github, SECRET, body).with("x-hub-signature-256", signature);
    let published = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    refuses_what_is_near(make, "x-hub-signature-256", published);
    let old = Case::new(WebhookKind::Github, SECRET, body).with("x-hub-signature", published);
    assert!(matches!(old.verdict(), Verdict::Refused(_)), "the header of SHA-1");
    assert!(matches!(make(published).with("x-github-event", "ping").verdict(), Verdict::Idle));
    // What is not signed makes no second delivery of it.
    let again = make(published).with("x-github-delivery", "another");
    assert_eq!(again.id(), make(published).id());
}

#[test]
fn gitea_and_forgejo_sign_the_body() {
    let body = "{\"ref\":\"refs/heads/main\"}";
    for header in ["x-gitea-signature", "x-forgejo-signature"] {
        let make = |signature: &str| Case::new(WebhookKind::Gitea, SECRET, body).with(header, signature);
        refuses_what_is_near(make, header, &hex(body));
    }
    let doubtful = Case::new(WebhookKind::Gitea, SECRET, body)
        .with("x-gitea-signature", hex(body))
        .with("x-forgejo-signature", hex("another"));
    assert!(
        matches!(doubtful.verdict(), Verdict::Refused(_)),
        "a wrong one is not made up for by a right one"
    );
}

#[test]
fn gitlab_tells_the_secret_or_signs_and_the_weaker_way_is_not_had_by_choice() {
    let told = |token: &str| Case::new(WebhookKind::Gitlab, SECRET, "{}").with("x-gitlab-token", token);
    assert!(told(SECRET).id().is_some());
    assert_eq!(told(SECRET).with("idempotency-key", "7").id().as_deref(), Some("7"));
    for wrong in ["", "It's a Secret", "it's a secret to everybody", "It's a Secret to Everybody!"] {
        assert!(matches!(told(wrong).verdict(), Verdict::Refused(_)), "{wrong}");
    }
    assert!(matches!(Case::new(WebhookKind::Gitlab, SECRET, "{}").verdict(), Verdict::Refused(_)));
    let signing = Case::new(WebhookKind::Gitlab, KEY, "{}").with("x-gitlab-token", KEY);
    assert!(matches!(signing.verdict(), Verdict::Refused(_)), "a signing token is never told");
    let signature = Key::parse(KEY).unwrap().sign("7", NOW, b"{}");
    let signed = signing.with("webhook-id", "7").with("webhook-timestamp", NOW.to_string());
    assert_eq!(signed.with("webhook-signature", signature).id().as_deref(), Some("7"));
}

#[test]
fn slack_signs_time_and_body_and_the_time_is_near() {
    // The example of Slack's documentation.
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=\
                https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=\
                398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let at = |now: i64, signature: &str| {
        let case = Case::new(WebhookKind::Slack, secret, body)
            .with("x-slack-request-timestamp", "1531420618")
            .with("x-slack-signature", signature);
        Case { now, ..case }
    };
    refuses_what_is_near(|signature| at(1_531_420_618, signature), "x-slack-signature", signature);
    assert!(at(1_531_420_918, signature).id().is_some());
    assert!(
        matches!(at(1_531_420_919, signature).verdict(), Verdict::Refused(_)),
        "more than five minutes old"
    );
    let signed = |body: &str| {
        let stamp = NOW.to_string();
        let signature = to_hex(&sign(secret.as_bytes(), &[b"v0:", stamp.as_bytes(), b":", body.as_bytes()]));
        Case::new(WebhookKind::Slack, secret, body)
            .with("x-slack-request-timestamp", stamp)
            .with("x-slack-signature", format!("v0={signature}"))
    };
    let challenge = signed("{\"type\":\"url_verification\",\"challenge\":\"3eZb\"}");
    assert!(matches!(challenge.verdict(), Verdict::Challenge(text) if text == "3eZb"));
    assert_eq!(signed("{\"type\":\"event_callback\",\"event_id\":\"Ev1\"}").id().as_deref(), Some("Ev1"));
}

#[test]
fn notion_tells_its_token_once_and_signs_with_it() {
    let body = "{\"id\":\"367cba44\",\"type\":\"page.created\"}";
    let make =
        |signature: &str| Case::new(WebhookKind::Notion, SECRET, body).with("x-notion-signature", signature);
    refuses_what_is_near(make, "x-notion-signature", &format!("sha256={}", hex(body)));
    assert_eq!(make(&format!("sha256={}", hex(body))).id().as_deref(), Some("367cba44"));
    let told = |body: &str| Case { secret: None, ..Case::new(WebhookKind::Notion, "", body) };
    let token = told("{\"verification_token\":\"secret_tMrl\"}");
    assert!(matches!(token.verdict(), Verdict::Handshake(token) if token == "secret_tMrl"));
    for wrong in ["", "{}", body, "{\"verification_token\":\"a\\nb\"}", "{\"verification_token\":7}"] {
        assert!(matches!(told(wrong).verdict(), Verdict::Refused(_)), "{wrong}");
    }
    let late = Case { secret: Some(SECRET), ..token };
    assert!(matches!(late.verdict(), Verdict::Refused(_)), "another token is not taken once there is one");
}

#[test]
fn others_sign_as_the_standard_has_it_or_in_a_header_of_the_file() {
    let body = "{\"type\":\"deployed\"}";
    let make = |signature: &str| {
        Case::new(WebhookKind::Generic, KEY, body)
            .with("webhook-id", "msg_1")
            .with("webhook-timestamp", NOW.to_string())
            .with("webhook-signature", signature)
    };
    let signature = Key::parse(KEY).unwrap().sign("msg_1", NOW, body.as_bytes());
    assert_eq!(make(&signature).id().as_deref(), Some("msg_1"));
    assert!(make(&format!("v1,AAAA {signature}")).id().is_some(), "one of several");
    for case in [
        make(&signature).with("webhook-id", "msg_2"),
        make(&signature).with("webhook-timestamp", (NOW + 1).to_string()),
        Case { now: NOW + 301, ..make(&signature) },
        Case { secret: Some(SECRET), ..make(&signature) },
        make(""),
    ] {
        assert!(matches!(case.verdict(), Verdict::Refused(_)), "{:?}", case.headers);
    }
    let named = |signature: &str| {
        let mut case = Case::new(WebhookKind::Generic, SECRET, body).with("x-signature", signature);
        case.webhook.header = Some("X-Signature".to_owned());
        case
    };
    refuses_what_is_near(named, "x-signature", &format!("sha256={}", hex(body)));
    assert_eq!(named(&hex(body)).id(), named(&format!("sha256={}", hex(body))).id());
    let mut identified = named(&hex(body));
    identified.webhook.id_header = Some("X-Id".to_owned());
    assert!(matches!(identified.verdict(), Verdict::Refused(_)), "no identifier");
    assert_eq!(identified.with("x-id", "9").id().as_deref(), Some("9"));
}
