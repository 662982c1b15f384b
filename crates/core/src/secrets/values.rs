//! Values: which text is a secret, and which only stands where one would.

/// The longest value that is looked at, in bytes.
const VALUE_BYTES_MAX: usize = 512;
/// How many bits each byte of text tells at least that was drawn by lot (Shannon's entropy).
const RANDOM_BITS_MIN: f64 = 3.0;
/// The same of a password that somebody has thought of.
const PASSWORD_BITS_MIN: f64 = 2.5;
const RANDOM_BYTES_MIN: usize = 8;
const PASSWORD_BYTES_MIN: usize = 6;
/// Letters alone are a word of a text, up to this length.
const WORD_BYTES_MAX: usize = 15;
/// Digits alone are a number, up to this length.
const NUMBER_BYTES_MAX: usize = 9;
/// How long the runs of letters or digits of a text are on average, at least, that is made up of words.
const RUN_MEAN_MIN: usize = 4;

/// What stands for a secret that is to be put there, wherever in a value.
const STAND_INS: &[&str] = &[
    "${",
    "{{",
    "...",
    "\u{2026}",
    "***",
    "xxxx",
    "example",
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "placeholder",
    "dummy",
    "redacted",
    "replace",
    "insert",
    "sample",
    "your",
    "12345678",
    "0000000000",
    "process.env",
    "environ",
    "getenv",
    "env(",
    "env[",
    "env.",
    "secrets.",
    "://",
];
/// What stands for a secret when it is the whole value.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "string",
    "number",
    "boolean",
    "integer",
    "object",
    "required",
    "optional",
    "default",
    "hidden",
    "unknown",
    "undefined",
    "nullptr",
    "private",
    "public",
    "bearer",
    "12345",
    "123456",
    "1234567",
    "null",
    "none",
    "true",
    "false",
    "pass",
    "text",
    "user",
    "test",
];
/// With what references to a secret begin, and places of files.
const REFERENCES: &[&str] =
    &["$", "%", "<", "{", "[", "(", "@", "/", "./", "../", "~/", "vault:", "op:", "arn:", "file:", "env:"];

/// A value, by its place in the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it stands between quotes.
    pub(super) quoted: bool,
    /// Whether no word follows it on its line: text goes on, a setting does not.
    pub(super) alone: bool,
    /// Whether it follows the sign at once.
    pub(super) tight: bool,
}

/// The value that follows a name and its sign.
pub(super) fn assigned(content: &[u8], after: usize) -> Value {
    let blanks = |from: usize| {
        let rest = content.iter().skip(from).take(VALUE_BYTES_MAX);
        rest.take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    };
    let mut start = after + blanks(after);
    let tight = start == after;
    let at = |index: usize| content.get(index).copied().unwrap_or(b'\n');
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`');
    // A quote may be escaped, as in JSON within a text, or marked, as in Python.
    if matches!(at(start), b'\\' | b'b' | b'r' | b'u' | b'f') && is_quote(at(start + 1)) {
        start += 1;
    }
    let quote = Some(at(start)).filter(|byte| is_quote(*byte));
    start += usize::from(quote.is_some());
    let ends = |byte: u8| match quote {
        Some(quote) => byte == quote || matches!(byte, b'\r' | b'\n'),
        None => byte.is_ascii_whitespace() || matches!(byte, b',' | b';' | b'<') || is_quote(byte),
    };
    let mut end =
        start + content[start..].iter().take(VALUE_BYTES_MAX).take_while(|byte| !ends(**byte)).count();
    let behind = end + usize::from(quote.is_some());
    let next = at(behind + blanks(behind));
    let closing: &[u8] = if quote.is_some() { b"\\" } else { b")]}" };
    while end > start && closing.contains(&content[end - 1]) {
        end -= 1;
    }
    Value { start, end, quoted: quote.is_some(), alone: !next.is_ascii_alphanumeric(), tight }
}

/// Whether a value looks as if drawn by lot.
pub(super) fn is_random(text: &[u8], value: &Value) -> bool {
    text.len() >= RANDOM_BYTES_MIN
        && is_mixed(text)
        && is_literal(text, value)
        && !reads_like_words(text)
        && entropy(text) >= RANDOM_BITS_MIN
}

/// Whether a value may be a password that somebody has thought of.
pub(super) fn is_password(text: &[u8], value: &Value) -> bool {
    text.len() >= PASSWORD_BYTES_MIN
        && is_mixed(text)
        && is_literal(text, value)
        && (value.quoted || value.alone || value.tight)
        && entropy(text) >= PASSWORD_BITS_MIN
}

/// Whether something is really assigned: no word of a text, no number, and nothing that only stands there.
pub(super) fn is_assigned(text: &[u8], value: &Value) -> bool {
    let all = |is: fn(&u8) -> bool| text.iter().all(is);
    let is_bare_word = all(u8::is_ascii_alphabetic) && text.len() <= WORD_BYTES_MAX;
    let is_number = all(u8::is_ascii_digit) && text.len() <= NUMBER_BYTES_MAX;
    let stands_out = value.quoted || value.alone && !is_bare_word || value.tight && is_mixed(text);
    text.len() >= PASSWORD_BYTES_MIN
        && is_literal(text, value)
        && (value.quoted || !is_number)
        && (stands_out || is_random(text, value))
}

/// Whether a value only stands where a secret would.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(text).to_ascii_lowercase();
    let distinct = text.iter().collect::<std::collections::BTreeSet<_>>().len();
    distinct <= 2
        || WORDS.contains(&lower.as_str())
        || STAND_INS.iter().any(|part| lower.contains(part))
        || REFERENCES.iter().any(|start| lower.starts_with(start))
}

/// Whether an address is one that is reserved for examples, or has the name of the user as its password.
pub(super) fn is_from_an_example(content: &[u8], value: &Value) -> bool {
    let host = &content[value.end + 1..];
    let length = host
        .iter()
        .take(256)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte))
        .count();
    let host = String::from_utf8_lossy(&host[..length]).to_ascii_lowercase();
    let text = &content[value.start..value.end];
    let user = content[..value.start - 1].strip_suffix(text).and_then(|before| before.last());
    let top = host.rsplit('.').next().unwrap_or_default();
    user == Some(&b'/') || matches!(top, "example" | "invalid" | "test") || host.contains("example.")
}

/// Shannon's entropy of text, in bits per byte.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = text.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    shares.map(|share| -share * share.log2()).sum()
}

/// Whether a value is text of its own, and not a call, a reference or a sentence.
fn is_literal(text: &[u8], value: &Value) -> bool {
    let is_code = |byte: &u8| !value.quoted && b"()[]{}<>|\\".contains(byte);
    let is_other = text.iter().any(|byte| byte.is_ascii_whitespace() || is_code(byte));
    let is_name = reads_like_words(text) && tells_of_itself(text);
    !is_other && !is_name && !is_placeholder(text)
}

/// Whether text has letters, and digits or signs that passwords are enriched with.
fn is_mixed(text: &[u8]) -> bool {
    let is_rich = |byte: &u8| byte.is_ascii_digit() || b"!@#%^&*+=?~$".contains(byte);
    text.iter().any(u8::is_ascii_alphabetic) && text.iter().any(is_rich)
}

/// Whether text names a secret instead of being one, such as `db-password`.
fn tells_of_itself(text: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(text).to_ascii_lowercase();
    ["password", "passwd", "secret", "token", "key", "credential"].iter().any(|word| lower.contains(word))
}

/// Whether text is made up of words, as names in programs are, with a number here and there.
fn reads_like_words(text: &[u8]) -> bool {
    let parts = text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let is_word = |part: &[u8]| {
        let letters = part.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let digits = part[letters..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        letters + digits == part.len() && digits <= 2 && letters <= 20
    };
    parts.clone().all(is_word) || mean_run(text) >= RUN_MEAN_MIN
}

/// How long the runs are of which text consists on average: of letters, each from its capital on, or of digits.
fn mean_run(text: &[u8]) -> usize {
    let class = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let starts = text.windows(2).filter(|pair| match (class(pair[0]), class(pair[1])) {
        (3, next) => next != 3,
        (_, 3) | (1, 0) => false,
        (before, next) => before != next,
    });
    let counted = text.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    let first = usize::from(text.first().is_some_and(u8::is_ascii_alphanumeric));
    counted / (starts.count() + first).max(1)
}
