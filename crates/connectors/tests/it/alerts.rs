//! The requests of alert channels, as a server on this machine gets them: harmless, not too long, and edited where it can be.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use serde_json::{Value, json};
use syncline_connect::standard_webhooks::Key;
use syncline_connect::{AlertChannel, AlertLine, AlertMessage, ChannelKind, ErrorKind, Retry};
use syncline_connectors::alerts::{discord, mattermost, slack, telegram, webhook};

/// Everything that one chat or another takes for a mention, a link or markup.
const HOSTILE: &str = "@everyone @here <@42> <@&7> <!channel> <#C1|x> @ann *b* _i_ ~s~ `c` ||p|| [a](https://b.example) \
                       # h & \\ <b>x</b> :x: ~town $a$ &amp; #tag <3\n@all\u{202e}\u{1b}[31m";

/// A request, as it came in.
#[derive(Clone)]
struct Asked {
    /// The method and the path.
    line: String,
    head: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Asked {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A server that remembers what it was asked for, and gives one answer after the other; the last one for ever.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(answers: &[(u16, &str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (remembered, answers) = (Arc::clone(&asked), answers.to_vec());
        let answers: Vec<String> = answers
            .iter()
            .map(|(status, head, body)| {
                let length = body.len();
                format!(
                    "HTTP/1.1 {status} X\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
            })
            .collect();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let Some(request) = read(&mut reader) else { continue };
                let mut remembered = remembered.lock().unwrap();
                let answer = &answers[remembered.len().min(answers.len() - 1)];
                remembered.push(request);
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn read(reader: &mut impl std::io::BufRead) -> Option<Asked> {
    let mut lines = Vec::new();
    for line in reader.by_ref().lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let line = lines.first()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let pairs = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let head: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line, head, body })
}

fn open(kind: ChannelKind, settings: &Value) -> Arc<dyn AlertChannel> {
    (kind.open)(settings).unwrap()
}

fn message(texts: &[&str]) -> AlertMessage {
    let line = |text: &&str| AlertLine {
        rule: "failing".to_owned(),
        subject: "notes".to_owned(),
        critical: false,
        text: (*text).to_owned(),
        since: "2026-11-29T10:00:00Z".to_owned(),
        cleared: None,
    };
    AlertMessage {
        id: "book-7".to_owned(),
        node: "helios".to_owned(),
        incident: 3,
        sent: 1_795_946_400,
        lines: texts.iter().map(line).collect(),
    }
}

/// How long chats take a text to be.
fn units(text: &Value) -> usize {
    text.as_str().unwrap().encode_utf16().count()
}

/// The longest message that there can be, with as much in it to be escaped as there can be.
fn longest() -> AlertMessage {
    let long = ["&", "@", "*", "🦀", "<"].map(|text| text.repeat(2_000));
    let lines: Vec<&str> = (0..60).map(|index| long[index % long.len()].as_str()).collect();
    message(&lines)
}

/// A text in which no `@` is followed by anything that could be a name.
fn names_nobody(text: &str) -> bool {
    let after = text.split('@').skip(1).map(|after| after.chars().next());
    after.into_iter().all(|next| next == Some('\u{200b}'))
}

#[tokio::test]
async fn telegram_is_sent_text_and_edits_it() {
    let sent = r#"{"ok":true,"result":{"message_id":77}}"#;
    let server = Server::start(&[(200, "", sent)]);
    let settings = json!({ "token": "123:AbC-d", "chat": "-1001", "base_url": server.address });
    let channel = open(telegram::KIND, &settings);
    let number = channel.deliver(&message(&[HOSTILE]), None).await.unwrap();
    assert_eq!(number.as_deref(), Some("77"));
    assert_eq!(channel.deliver(&longest(), Some("77")).await.unwrap().as_deref(), Some("77"));
    assert_eq!(server.lines(), ["POST /bot123:AbC-d/sendMessage", "POST /bot123:AbC-d/editMessageText"]);
    let (first, second) = (server.asked()[0].json(), server.asked()[1].json());
    let text = first["text"].as_str().unwrap();
    assert_eq!(first["chat_id"], "-1001");
    assert_eq!(first["link_preview_options"]["is_disabled"], true);
    assert!(
        first.get("parse_mode").is_none() && first.get("entities").is_none(),
        "nothing is markup: {first}"
    );
    assert!(names_nobody(text) && text.contains("<b>x</b>"), "{text:?}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.lines().count() == 2, "{text:?}");
    assert_eq!(second["message_id"], 77);
    assert!(units(&second["text"]) <= 4_096, "{}", units(&second["text"]));
}

#[tokio::test]
async fn a_message_that_cannot_be_edited_any_more_is_sent_anew() {
    let gone = r#"{"ok":false,"error_code":400,"description":"Bad Request: message to edit not found"}"#;
    let server = Server::start(&[(400, "", gone), (200, "", r#"{"ok":true,"result":{"message_id":78}}"#)]);
    let settings = json!({ "token": "1:a", "chat": "@ops", "base_url": server.address });
    let number = open(telegram::KIND, &settings).deliver(&message(&["x"]), Some("77")).await.unwrap();
    assert_eq!(number.as_deref(), Some("78"));
    let server = Server::start(&[(404, "", r#"{"message":"Unknown Message"}"#), (200, "", r#"{"id":"9"}"#)]);
    let settings = json!({ "webhook": format!("{}/api/webhooks/1/tok?thread_id=5", server.address) });
    let number = open(discord::KIND, &settings).deliver(&message(&["x"]), Some("8")).await.unwrap();
    assert_eq!(number.as_deref(), Some("9"));
    let (edit, anew) = (
        "PATCH /api/webhooks/1/tok/messages/8?thread_id=5",
        "POST /api/webhooks/1/tok?thread_id=5&wait=true",
    );
    assert_eq!(server.lines(), [edit, anew]);
}

#[tokio::test]
async fn a_message_in_a_thread_that_was_closed_is_sent_anew() {
    let closed = r#"{"message":"Thread is archived","code":50083}"#;
    let server = Server::start(&[(400, "", closed), (200, "", r#"{"id":"9"}"#)]);
    let channel = open(discord::KIND, &json!({ "webhook": format!("{}/w", server.address) }));
    assert_eq!(channel.deliver(&message(&["x"]), Some("8")).await.unwrap().as_deref(), Some("9"));
    assert_eq!(server.lines(), ["PATCH /w/messages/8", "POST /w?wait=true"]);
}

#[tokio::test]
async fn a_message_that_says_so_already_is_not_sent_again() {
    let same = r#"{"ok":false,"error_code":400,"description":"Bad Request: message is not modified: specified new message content and reply markup are exactly the same"}"#;
    let server = Server::start(&[(400, "", same)]);
    let settings = json!({ "token": "1:a", "chat": "5", "base_url": server.address });
    let number = open(telegram::KIND, &settings).deliver(&message(&["x"]), Some("77")).await.unwrap();
    assert_eq!(number.as_deref(), Some("77"));
    assert_eq!(server.lines(), ["POST /bot1:a/editMessageText"]);
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_is_followed() {
    let moved = r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001557912345}}"#;
    let sent = r#"{"ok":true,"result":{"message_id":3}}"#;
    for (earlier, method, expected) in [(None, "sendMessage", "3"), (Some("2"), "editMessageText", "2")] {
        let server = Server::start(&[(400, "", moved), (200, "", sent)]);
        let settings = json!({ "token": "1:a", "chat": "-155", "base_url": server.address });
        let number = open(telegram::KIND, &settings).deliver(&message(&["x"]), earlier).await.unwrap();
        assert_eq!(number.as_deref(), Some(expected));
        assert_eq!(server.lines(), [format!("POST /bot1:a/{method}"), format!("POST /bot1:a/{method}")]);
        let (before, after) = (server.asked()[0].json(), server.asked()[1].json());
        assert_eq!((&before["chat_id"], &after["chat_id"]), (&json!("-155"), &json!(-1_001_557_912_345_i64)));
        assert_eq!(before["text"], after["text"]);
    }
}

#[tokio::test]
async fn whoever_asks_to_be_left_alone_is() {
    let telegram = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"#;
    let discord = r#"{"message":"You are being rate limited.","retry_after":1.5,"global":false}"#;
    let nonsense = r#"{"retry_after":1e300,"parameters":{"retry_after":"soon"}}"#;
    let table = [
        ("", telegram, Some(35_000)),
        ("", discord, Some(1_500)),
        ("Retry-After: 2\r\n", discord, Some(2_000)),
        ("Retry-After: 2\r\n", "wait", Some(2_000)),
        ("", nonsense, Some(86_400_000)),
        ("", "wait", None),
    ];
    for (head, body, expected) in table {
        let server = Server::start(&[(429, head, body)]);
        let telegram = json!({ "token": "1:a", "chat": "5", "base_url": server.address });
        let discord = json!({ "webhook": format!("{}/w", server.address) });
        for channel in [open(telegram::KIND, &telegram), open(discord::KIND, &discord)] {
            for earlier in [None, Some("7")] {
                let error = channel.deliver(&message(&["x"]), earlier).await.unwrap_err();
                let Retry::Soon(after) = error.retry() else { panic!("{error:?}") };
                assert_eq!(after.map(|after| after.as_millis()), expected, "{head}{body}");
            }
        }
        let asked = server.lines();
        assert_eq!(asked.len(), 4, "what may not be edited now is not sent anew: {asked:?}");
    }
}

#[tokio::test]
async fn discord_is_told_to_name_nobody_also_when_it_edits() {
    let server = Server::start(&[(200, "", r#"{"id":"9"}"#)]);
    let channel = open(discord::KIND, &json!({ "webhook": format!("{}/w", server.address) }));
    channel.deliver(&message(&[HOSTILE]), None).await.unwrap();
    channel.deliver(&longest(), Some("9")).await.unwrap();
    for asked in server.asked() {
        let body = asked.json();
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }), "{body}");
        assert!(units(&body["content"]) <= 2_000, "{}", units(&body["content"]));
    }
    let first = server.asked()[0].json();
    let content = first["content"].as_str().unwrap();
    assert!(
        content.contains(r"\<@42\>")
            && content.contains(r"\*b\* \_i\_ \~s\~ \`c\` \|\|p\|\|")
            && content.contains(r" \:x: "),
        "{content}"
    );
    assert_eq!(first["flags"], 4, "its links show no pages");
}

#[tokio::test]
async fn slack_is_sent_no_entity_and_no_markup() {
    let server = Server::start(&[(200, "", "ok")]);
    let channel = open(slack::KIND, &json!({ "webhook": format!("{}/services/T/B/x", server.address) }));
    // It has no name by which it could be edited.
    assert_eq!(channel.deliver(&message(&[HOSTILE]), None).await.unwrap(), None);
    assert_eq!(channel.deliver(&longest(), None).await.unwrap(), None);
    assert_eq!(server.lines(), ["POST /services/T/B/x"; 2]);
    for asked in server.asked() {
        let body = asked.json();
        let block = &body["blocks"][0];
        assert_eq!((&block["type"], &block["text"]["type"]), (&json!("section"), &json!("plain_text")));
        for text in [&body["text"], &block["text"]["text"]] {
            let shown = text.as_str().unwrap();
            assert!(!shown.contains(['<', '>']), "{shown}");
            let entities = ["&amp;", "&lt;", "&gt;"];
            let bare = entities.iter().fold(shown.to_owned(), |text, entity| text.replace(entity, ""));
            assert!(!bare.contains('&'), "{shown}");
            assert!(units(text) <= 3_000, "{}", units(text));
        }
        assert_eq!((&body["unfurl_links"], &body["unfurl_media"]), (&json!(false), &json!(false)));
        assert_eq!(asked.head["content-type"], "application/json");
    }
    assert!(server.asked()[0].json()["text"].as_str().unwrap().contains("&lt;!channel&gt;"));
}

#[tokio::test]
async fn mattermost_is_sent_no_mention_and_no_markup() {
    let server = Server::start(&[(200, "", "ok")]);
    let channel = open(mattermost::KIND, &json!({ "webhook": format!("{}/hooks/x", server.address) }));
    assert_eq!(channel.deliver(&message(&[HOSTILE]), None).await.unwrap(), None);
    channel.deliver(&longest(), None).await.unwrap();
    for asked in server.asked() {
        let text = &asked.json()["text"];
        assert!(units(text) <= 4_000, "{}", units(text));
        assert!(names_nobody(text.as_str().unwrap()), "{text}");
    }
    let first = server.asked()[0].json();
    let text = first["text"].as_str().unwrap();
    // It reads what Slack reads, too, and looks for emoji, channels and hashtags in what Markdown leaves.
    assert!(!text.contains(['<', '>', '|', '*', '_', '~', '$', '[', '\\']), "{text}");
    assert!(!text.contains(":x:") && !text.contains(" #"), "{text}");
    assert_eq!(
        shown(text),
        format!("Syncline on helios\n🟠 {} (since 2026-11-29T10:00:00Z)", plain(HOSTILE))
    );
}

/// A text as a reader of Markdown shows it, where nothing in it is markup.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
            Event::Text(text) => shown.push_str(&text),
            Event::SoftBreak => shown.push('\n'),
            markup => panic!("{markup:?} in {text:?}"),
        }
    }
    shown.replace('\u{200b}', "")
}

/// A text on one line, without what nobody can see.
fn plain(text: &str) -> String {
    text.replace('\u{202e}', "").replace(['\n', '\u{1b}'], " ")
}

#[tokio::test]
async fn a_program_can_verify_who_sends_and_what() {
    let server = Server::start(&[(204, "", "")]);
    let secret = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let key = Key::parse(secret).unwrap();
    let mut settings = json!({ "webhook": format!("{}/in", server.address), "secret": secret });
    let refused = (webhook::KIND.open)(&settings).err().unwrap();
    assert!(
        refused.hint().unwrap().contains("allow_private") && !refused.to_string().contains("/in"),
        "{refused}"
    );
    settings["allow_private"] = true.into();
    let channel = open(webhook::KIND, &settings);
    let mut over = message(&[HOSTILE]);
    channel.deliver(&over, None).await.unwrap();
    over.lines[0].cleared = Some("2026-11-29T11:00:00Z".to_owned());
    channel.deliver(&over, None).await.unwrap();
    let asked = server.asked();
    for asked in &asked {
        let head = |name: &str| asked.head[name].clone();
        let (id, sent, signed) = (head("webhook-id"), head("webhook-timestamp"), head("webhook-signature"));
        assert!(key.verify(&id, &sent, &signed, &asked.body, 1_795_946_400), "{signed}");
        assert_eq!((head("webhook-id"), head("webhook-timestamp")), ("book-7".into(), "1795946400".into()));
    }
    assert_eq!(asked[0].json()["type"], "incident.changed");
    assert_eq!(asked[0].json()["alerts"][0]["message"], HOSTILE, "a program gets it as it is");
    assert_eq!(asked[1].json()["type"], "incident.cleared");
}

#[tokio::test]
async fn what_is_refused_is_told_without_address_and_token() {
    let table = [
        (429, "Retry-After: 7\r\n", ErrorKind::Unreachable),
        (503, "", ErrorKind::Unreachable),
        (503, "Retry-After: NaN\r\n", ErrorKind::Unreachable),
        (503, "Retry-After: -inf\r\n", ErrorKind::Unreachable),
        (401, "", ErrorKind::Denied),
        (404, "", ErrorKind::NotFound),
        (400, "", ErrorKind::Invalid),
        (302, "Location: http://127.0.0.1:9/\r\n", ErrorKind::Invalid),
    ];
    for (status, head, kind) in table {
        let server = Server::start(&[(status, head, "secret-token")]);
        let telegram = json!({ "token": "secret-token", "chat": "1", "base_url": server.address });
        let slack = json!({ "webhook": format!("{}/secret-token", server.address) });
        for channel in [open(telegram::KIND, &telegram), open(slack::KIND, &slack)] {
            let error = channel.deliver(&message(&["x"]), None).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let all = format!("{error} {error:?} {:?}", error.hint());
            assert!(!all.contains("secret-token") && !all.contains("127.0.0.1"), "{all}");
            if status == 429 {
                let Retry::Soon(Some(after)) = error.retry() else { panic!("{:?}", error.retry()) };
                assert_eq!(after.as_secs(), 7);
            }
        }
    }
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let channel = open(slack::KIND, &json!({ "webhook": format!("http://{address}/secret-token") }));
    let error = channel.deliver(&message(&["x"]), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(!format!("{error} {error:?}").contains("secret-token"), "{error:?}");
}
