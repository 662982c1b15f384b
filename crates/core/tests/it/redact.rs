//! Taking secrets out of what comes in: only the secret goes, whatever the notation, and twice is once.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::{ProptestConfig, Strategy, proptest};
use syncline_core::secrets::{Redactor, Refusal, SCAN_BYTES_MAX, Scanner};

/// Put together from pieces, so that whoever looks for secrets in this repository finds none.
fn token() -> String {
    ["gh", "p_", "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1Wk"].concat()
}

fn redactor(custom: &[&str]) -> Redactor {
    let custom: Vec<String> = custom.iter().map(|&pattern| pattern.to_owned()).collect();
    Redactor::new(&custom, None).unwrap()
}

fn nothing() -> HashSet<String> {
    HashSet::new()
}

/// The content without its secrets; that must be the same done twice, and be clean for whoever searches it.
#[track_caller]
fn redacted(redactor: &Redactor, content: &str) -> String {
    let once = redactor.redact(content.as_bytes(), &nothing()).unwrap();
    let text = once.content.map_or_else(|| content.to_owned(), |bytes| String::from_utf8(bytes).unwrap());
    let twice = redactor.redact(text.as_bytes(), &nothing()).unwrap();
    assert_eq!((twice.content, twice.findings), (None, Vec::new()), "{text}");
    text
}

#[test]
fn only_the_secret_is_replaced() {
    let redactor = redactor(&[]);
    let content = format!("# settings\nGITHUB = {} # of the bot\nregion = fra\n", token());
    let expected = "# settings\nGITHUB = <redacted:github-token> # of the bot\nregion = fra\n";
    assert_eq!(redacted(&redactor, &content), expected);
    // What comes in does not say of itself that it may.
    let marked = format!("GITHUB = {} # syncline:allow-secret\n", token());
    assert!(!redacted(&redactor, &marked).contains(&token()));
    let found = redactor.redact(content.as_bytes(), &nothing()).unwrap().findings;
    assert_eq!((found[0].rule.as_str(), found[0].line, found[0].column), ("github-token", 2, 10));
    assert!(Scanner::new(&[]).unwrap().scan(expected.as_bytes()).is_empty());
}

#[test]
fn every_setting_with_a_name_of_a_secret_is_replaced_whatever_its_value() {
    let redactor = redactor(&["SUPABASE_.*KEY", "password", "secret"]);
    for (content, expected) in [
        ("SUPABASE_ANON_KEY=abc\nOTHER=abc\n", "SUPABASE_ANON_KEY=<redacted:custom>\nOTHER=abc\n"),
        ("export DB_PASSWORD=odoo\r\nX=1\r\n", "export DB_PASSWORD=<redacted:custom>\r\nX=1\r\n"),
        ("db_password = two words # old", "db_password = <redacted:custom> # old"),
        ("DB_PASSWORD='a # b'", "DB_PASSWORD='<redacted:custom>'"),
        ("DB_PASSWORD=\"a \\\" b\" # c", "DB_PASSWORD=\"<redacted:custom>\" # c"),
        ("  \"password\": \"yours\",\n", "  \"password\": \"<redacted:custom>\",\n"),
        ("{\"a\":1,\"secret\":12345,\"b\":2}", "{\"a\":1,\"secret\":\"<redacted:custom>\",\"b\":2}"),
        ("  \"secret_number\": 12345\n", "  \"secret_number\": \"<redacted:custom>\"\n"),
        ("host=db password=odoo user=odoo", "host=db password=<redacted:custom> user=odoo"),
        ("docker run -e DB_PASSWORD=odoo odoo", "docker run -e DB_PASSWORD=<redacted:custom> odoo"),
        ("client_secret: |\n  one\n  two\nnext: 1\n", "client_secret: |\n  <redacted:custom>\nnext: 1\n"),
        ("password = 12345678\n", "password = <redacted:custom>\n"),
        ("admin_passwd = admin\n", "admin_passwd = <redacted:assigned-password>\n"),
        ("PASSWORD=${DB:-fallback}\n", "PASSWORD=<redacted:custom>\n"),
    ] {
        assert_eq!(redacted(&redactor, content), expected);
    }
    for content in [
        "PASSWORD=${DB_PASSWORD}\nSECRET=$OTHER\nPASSWORD=\nsecret: <redacted:custom>\n",
        "use_secret: true\nsecret: null\npassword=****\nsecret: {{ vault.one }}\n",
        "A sentence about a password and a secret that are not told.\n",
        "secret: {\n  \"a\": 1\n}\n",
    ] {
        assert_eq!(redacted(&redactor, content), content);
    }
}

#[test]
fn a_document_stays_one() {
    let redactor = redactor(&["secret"]);
    let content = format!(r#"{{"a": "{}", "secret": 7, "list": [1, {{"secret": "x\"y"}}]}}"#, token());
    let expected = r#"{"a": "<redacted:github-token>", "secret": "<redacted:custom>", "list": [1, {"secret": "<redacted:custom>"}]}"#;
    assert_eq!(redacted(&redactor, &content), expected);
}

#[test]
fn a_key_goes_and_its_frame_stays() {
    let body = "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1WkQz0VyBxNrMdC".repeat(2);
    let frame = |body: &str| {
        format!("-----BEGIN {0}-----\n{body}\n-----END {0}-----\n", ["PRIVATE", " KEY"].concat())
    };
    assert_eq!(redacted(&redactor(&[]), &frame(&body)), frame("<redacted:private-key>"));
}

#[test]
fn the_placeholder_and_what_is_known_are_as_a_user_says() {
    let custom = Redactor::new(&[], Some("[{rule} was here]")).unwrap();
    assert_eq!(redacted(&custom, &token()), "[github-token was here]");
    let redactor = redactor(&[]);
    let found = redactor.redact(token().as_bytes(), &nothing()).unwrap().findings;
    let allowed = HashSet::from([found[0].fingerprint.clone()]);
    assert_eq!(redactor.redact(token().as_bytes(), &allowed).unwrap().content, None);
}

#[test]
fn what_cannot_be_freed_of_its_secrets_is_refused() {
    let redactor = redactor(&["password"]);
    let large = vec![b'a'; usize::try_from(SCAN_BYTES_MAX).unwrap() + 1];
    assert_eq!(redactor.redact(&large, &nothing()), Err(Refusal::TooLarge));
    let binary = [b"\0\x01\x02".as_slice(), token().as_bytes()].concat();
    assert_eq!(redactor.redact(&binary, &nothing()), Err(Refusal::Binary));
    let wide: Vec<u8> = "\u{feff}PASSWORD=odoo\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(redactor.redact(&wide, &nothing()), Err(Refusal::Binary));
    let program = b"\x7fELF\0\0usage: tool\0password: %s\0--password=%s\0".as_slice();
    assert_eq!(redactor.redact(program, &nothing()).map(|redacted| redacted.content), Ok(None));
    // A pattern that finds its own placeholder is settled all the same, and one that cannot be is told.
    let own = Redactor::new(&["[a-z<>:]{4,}".to_owned()], None).unwrap();
    assert_eq!(redacted(&own, "abcd EF"), "<redacted:custom> EF");
    let endless = Redactor::new(&["x{1,}y".to_owned()], Some("x")).unwrap();
    assert_eq!(redacted(&endless, "xy"), "x");
    assert_eq!(endless.redact(format!("xy{}", "y".repeat(20)).as_bytes(), &nothing()), Err(Refusal::Endless));
}

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| redactor(&["secret"]));

/// Text with much in it that is looked at.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "password",
        "secret",
        "=",
        ": ",
        "\"",
        "'",
        "\n",
        "  ",
        "|",
        "{",
        "}",
        ",",
        "abc123XYZ!",
        "<",
        ">",
        "é",
    ];
    let pieces = pieces.map(str::to_owned).into_iter().chain([token(), "<redacted:custom>".to_owned()]);
    let piece = proptest::sample::select(pieces.collect::<Vec<_>>());
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn twice_is_once_and_nothing_is_left(content in text()) {
        redacted(&REDACTOR, &content);
    }
}
