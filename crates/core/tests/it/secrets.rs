//! The search for secrets: what counts, what only looks like it, and what is never told.
//!
//! The examples are put together from pieces, so that whoever looks for secrets in this repository finds none.

use std::sync::LazyLock;

use proptest::prelude::{Strategy, proptest};
use syncline_core::secrets::{SCAN_BYTES_MAX, Scanner, check_pattern};

/// Text that no format, word or sequence explains.
const RANDOM: &str = "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1WkQz0VyBxNrMdC";

fn random(length: usize) -> String {
    RANDOM.chars().cycle().take(length).collect()
}

fn scanner(custom: &[&str]) -> Scanner {
    Scanner::new(&custom.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// Which rules find something, in the order of the content.
fn rules(scanner: &Scanner, content: &str) -> Vec<String> {
    scanner.scan(content.as_bytes()).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn tokens_of_known_forms_are_found_wherever_they_stand() {
    let scanner = scanner(&[]);
    let hex = "9f3a71c05be84d26".repeat(4);
    let upper = "Q7ZT2KBX4VLM6RWDNJC5HSY3FGPTUEAWKQZVYBXNRMDCPLOKIJUHYGTFRDES";
    for (rule, parts) in [
        ("github-token", vec!["gh", "p_", &random(36)]),
        ("github-token", vec!["github", "_pat_", &random(82)]),
        ("gitlab-token", vec!["glp", "at-", &random(20)]),
        ("aws-access-key-id", vec!["AK", "IA", &upper[..16]]),
        ("aws-secret-access-key", vec!["aws_secret_", "access_key = ", &random(40)]),
        ("slack-token", vec!["xo", "xb-", "123-", &random(24)]),
        ("slack-webhook", vec!["https://hooks.slack", ".com/services/T0", "1/B02/", &random(24)]),
        ("discord-webhook", vec!["https://discord", ".com/api/webhooks/123456789012345678/", &random(68)]),
        ("stripe-key", vec!["sk", "_live_", &random(24)]),
        ("google-api-key", vec!["AI", "za", &random(35)]),
        ("anthropic-key", vec!["sk-", "ant-api03-", &random(60)]),
        ("openai-key", vec!["sk-", "proj-", &random(48)]),
        ("npm-token", vec!["np", "m_", &random(36)]),
        ("pypi-token", vec!["pypi-", "AgEIcHlwaS5vcmc", &random(80)]),
        ("notion-token", vec!["secr", "et_", &random(43)]),
        ("notion-token", vec!["nt", "n_", &random(46)]),
        ("telegram-bot-token", vec!["7304918265", ":AA", &random(33)]),
        ("supabase-token", vec!["sb", "p_", &hex[..40]]),
        ("digitalocean-token", vec!["dop", "_v1_", &hex]),
        ("syncline-token", vec!["sy", "n_", &hex[..16], "_", &hex]),
        ("age-secret-key", vec!["AGE-SECRET", "-KEY-1", &upper[..58]]),
        ("jwt", vec!["ey", "J", &random(20), ".ey", "J", &random(30), ".", &random(43)]),
        ("private-key", vec!["-----BEGIN OPENSSH ", "PRIVATE KEY-----\n", &random(64)]),
        ("private-key", vec!["\"-----BEGIN ", "PRIVATE KEY-----\\n", &random(64), "\\n\""]),
        ("password-in-url", vec!["postgres://app", ":", &random(12), "@db.internal/main"]),
        ("authorization-header", vec!["Authorization: ", "Bearer ", &random(24)]),
        ("secret-in-xml", vec!["<pass", "word>", &random(12), "</password>"]),
    ] {
        let token = parts.concat();
        for content in [token.clone(), format!("first\n  see {token}\nlast\n"), format!("(`{token}`)")] {
            assert_eq!(rules(&scanner, &content), [rule], "{content}");
        }
    }
}

#[test]
fn values_are_found_whatever_the_language() {
    let scanner = scanner(&[]);
    let value = random(24);
    for before in [
        "API_KEY=",
        "api_key: ",
        "export SERVICE_TOKEN='",
        "  \"clientSecret\": \"",
        "'secret' => '",
        "let token: &str = \"",
        "TOKEN: Final[str] = \"",
        "secret := `",
        "config[\"auth_token\"] = \"",
        "{\\\"access_token\\\": \\\"",
        "token=b'",
        "//registry.npmjs.org/:_authToken=",
    ] {
        let closing =
            before.chars().next_back().filter(|c| "'\"`".contains(*c)).map(String::from).unwrap_or_default();
        let closing = if before.ends_with("\\\"") { "\\\"}".to_owned() } else { closing };
        let content = format!("{before}{value}{closing}\n");
        assert_eq!(rules(&scanner, &content), ["assigned-secret"], "{content}");
    }
    for content in [
        ["DB_PASSWORD=", "Winter2031!"].concat(),
        ["password: ", "tr0ub4dor"].concat(),
        ["{ \"passwd\": \"", "tr0ub4dor\" }"].concat(),
    ] {
        assert_eq!(rules(&scanner, &content), ["assigned-password"], "{content}");
    }
    let padded = ["token: ", &random(22), "=="].concat();
    assert_eq!(rules(&scanner, &padded), ["assigned-secret"]);
}

#[test]
fn what_only_speaks_of_secrets_passes() {
    let scanner = scanner(&["NOTION_.*_DB_ID", "GITHUB_TOKEN", "SUPABASE_.*KEY", "password", "secret"]);
    for content in [
        "Set a password. The password: at least 12 characters, one of them a digit.",
        "Your secret: keep it to yourself.\n\n- `password`: the password of the user\n- `token`: see below",
        "password = get_password(user)",
        "password: ${env:DB_PASSWORD}",
        "DB_PASSWORD=$DB_PASSWORD_FROM_VAULT",
        "password: \"<your password>\"",
        "password: \"xxxxxxxx\"",
        "password: \"********\"",
        "password=changeme",
        "api_key: \"your-api-key-1\"",
        "token = os.environ[\"SERVICE_TOKEN_2\"]",
        "const token = process.env.SERVICE_TOKEN_2;",
        "secret: ${{ secrets.NOTION_DB_1 }}",
        "NOTION_TASKS_DB_ID is read from the environment.",
        "NOTION_TASKS_DB_ID=",
        "export GITHUB_TOKEN=\"${GITHUB_TOKEN:-}\"",
        "SUPABASE_SERVICE_KEY: \"{{ supabase_key }}\"",
        "tokenizer = load(\"bert-base-uncased-v2\")",
        "max_tokens: 128000",
        "token_url: \"https://auth.internal/oauth2/v1/token\"",
        "password_file: /run/secrets/db_password_1",
        "secretName: database-password-v1",
        "{ \"password\": { \"type\": \"string\", \"minLength\": 12 } }",
        "\"password\": \"string\"",
        "fn check(password: &str, token: Option<String>) -> bool {",
        "if token == expected_token_v2 { secret = other.secret1; }",
        "signing_key_algorithm: \"sha256WithRSAEncryption\"",
        "postgres://postgres:postgres@localhost/test",
        "https://ada:s3cr3t9x@git.example.org/notes.git",
        "ssh://git@host:22/path@1",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE is the one in the manual",
        "Authorization: Bearer <token>",
        "sk-loading-animation-container-with-a-long-class-name",
    ] {
        assert_eq!(rules(&scanner, content), Vec::<String>::new(), "{content}");
    }
}

#[test]
fn the_name_of_a_pattern_finds_what_is_assigned_to_it() {
    let scanner = scanner(&[
        "NOTION_.*_DB_ID",
        "SUPABASE_(URL|.*KEY)",
        "password",
        r"intern-\d{6}",
        "geheim[-_]?wort: (?P<secret>\\w+)",
    ]);
    let id = "1f0c 22b9 4d7e 88a1".replace(' ', "");
    for (content, rule) in [
        (format!("NOTION_TASKS_DB_ID={id}"), "pattern NOTION_.*_DB_ID"),
        (format!("  notion_tasks_db_id: \"{id}\""), "pattern NOTION_.*_DB_ID"),
        (["SUPABASE_ANON_KEY: ", "abcdef-ghijkl"].concat(), "pattern SUPABASE_(URL|.*KEY)"),
        (["password = \"", "letmein\""].concat(), "pattern password"),
        (["db_password: ", "let.me.in"].concat(), "pattern password"),
        (["PASSWORD=", "l3tmein", " ./start"].concat(), "pattern password"),
        ("see intern-004711 in the list".to_owned(), r"pattern intern-\d{6}"),
        ("Das geheim-wort: sesam".to_owned(), r"pattern geheim[-_]?wort: (?P<secret>\w+)"),
    ] {
        assert_eq!(rules(&scanner, &content), [rule], "{content}");
    }
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    for pattern in ["(", "a)(b", "x*", "", "(?P<n>"] {
        assert!(check_pattern(pattern).is_err(), "{pattern:?}");
    }
    let error = Scanner::new(&["fine".to_owned(), "[".to_owned()]).unwrap_err();
    assert_eq!(error.index, 1, "{error}");
    assert_eq!(check_pattern("NOTION_.*_DB_ID"), Ok(()));
}

#[test]
fn a_finding_tells_its_place_and_its_fingerprint() {
    let scanner = scanner(&[]);
    let (one, other) = (["gh", "p_", &random(36)].concat(), ["gh", "p_", &random(37)].concat());
    let content = format!("a\r\n  {one} {other}\n\n{one} # syncline:allow-secret\nx = {one}");
    let found = scanner.scan(content.as_bytes());
    let places: Vec<(u32, u32)> = found.iter().map(|finding| (finding.line, finding.column)).collect();
    assert_eq!(places, [(2, 3), (2, 44), (5, 5)]);
    assert_eq!(found[0].fingerprint, found[2].fingerprint, "the same secret elsewhere");
    assert_ne!(found[0].fingerprint, found[1].fingerprint);
    assert_eq!(found[0].fingerprint.len(), 32);
}

#[test]
fn a_value_after_another_name_is_not_overlooked() {
    let content = ["token: password=\"", &random(24), "\""].concat();
    assert_eq!(rules(&scanner(&[]), &content).len(), 1);
}

#[test]
fn binary_and_very_large_content_is_not_looked_at() {
    let scanner = scanner(&[]);
    let token = ["gh", "p_", &random(36)].concat();
    assert_eq!(rules(&scanner, &format!("\0{token}")), Vec::<String>::new());
    let mut large = vec![b'\n'; SCAN_BYTES_MAX as usize - token.len()];
    large.extend(token.as_bytes());
    assert_eq!(scanner.scan(&large).len(), 1);
    large.push(b'\n');
    assert_eq!(scanner.scan(&large).len(), 0);
    assert_eq!(scanner.scan(b""), []);
    assert_eq!(scanner.scan(b"password=").len(), 0);
    assert_eq!(scanner.scan(b"password: \"").len(), 0);
}

/// One for all cases of the properties: to make it takes longer than to use it.
static SHARED: LazyLock<Scanner> = LazyLock::new(|| scanner(&["mine", "NOTION_.*"]));

proptest! {
    #[test]
    fn a_finding_never_holds_the_secret(value in "[a-zA-Z0-9+/]{16,40}", name in "(api_key|DB_PASSWORD|mine)", tail in "[ -~]{0,20}") {
        let scanner = &SHARED;
        let content = format!("{name} = \"{value}\" {tail}\n");
        let told = format!("{:?}", scanner.scan(content.as_bytes()));
        for part in value.as_bytes().windows(8) {
            assert!(!told.contains(std::str::from_utf8(part).unwrap()), "{told}");
        }
    }

    #[test]
    fn any_bytes_can_be_looked_at(content in proptest::collection::vec(pieces(), 0..40)) {
        let content = content.concat();
        let lines = content.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        for finding in SHARED.scan(&content) {
            assert!((1..=lines).contains(&finding.line), "{finding:?}");
        }
    }
}

/// Pieces of which content with secrets is made, and bytes of all kinds.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "password", "token", "NOTION_X", ": ", "=", "\"", "'", "\\", "\n", "\r\n", "://a:", "@host", "b'",
        "gh", "p_", RANDOM,
    ];
    proptest::prop_oneof![
        proptest::sample::select(known.map(|piece| piece.as_bytes().to_vec()).to_vec()),
        proptest::collection::vec(1_u8..=255, 0..8),
    ]
}
