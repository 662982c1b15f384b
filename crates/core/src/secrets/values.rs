//! Values: which text is a secret, and which only stands where one would.

/// The longest value that is looked at, in bytes.
const VALUE_BYTES_MAX: usize = 512;
/// How many bits each byte of text tells at least that was drawn by lot (Shannon's entropy).
const RANDOM_BITS_MIN: f64 = 3.0;
/// The same of a password that somebody has thought of.
const PASSWORD_BITS_MIN: f64 = 2.5;
/// The longest value between quotes, in bytes: a certificate fits.
const QUOTED_BYTES_MAX: usize = 64 * 1024;
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
    /// Whether its name stands between quotes.
    pub(super) named_in_quotes: bool,
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
    let (quoted, alone) = (quote.is_some(), !next.is_ascii_alphanumeric());
    Value { start, end, quoted, alone, tight, named_in_quotes: false }
}

/// The value of a setting, of which `name` is the range of its name and its sign: what stands between quotes, the rest of
/// its line without a comment, what stands below it in YAML, or, among other settings, one word.
pub(super) fn setting(content: &[u8], name: std::ops::Range<usize>) -> Value {
    let named = &content[name.clone()];
    let is_first = name.start == 0 || content[name.start - 1] == b'\n';
    let is_listed = !is_first || named.first().is_some_and(|byte| b"{,;&?(".contains(byte));
    let blanks = |from: usize| content[from..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let line_end =
        |from: usize| from + content[from..].iter().take_while(|byte| !b"\r\n".contains(byte)).count();
    let start = name.end + blanks(name.end);
    let named_in_quotes = named.contains(&b'"');
    let value = |start, end, quoted| Value { start, end, quoted, alone: true, tight: true, named_in_quotes };
    let quote = content.get(start).copied().filter(|byte| b"\"'`".contains(byte));
    if let Some(quote) = quote {
        let end = closing(content, start + 1, quote).unwrap_or_else(|| line_end(start));
        return value(start + 1, end, true);
    }
    if is_listed {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",;&}\"'`<)".contains(byte);
        // A placeholder in angle brackets belongs to the value.
        let ends = |at: usize, byte: &u8| ends(byte) && !(at == 0 && *byte == b'<');
        let rest = content[start..].iter().enumerate();
        let length = rest.take_while(|(at, byte)| !ends(*at, byte)).count();
        return value(start, start + length, false);
    }
    let end = line_end(start);
    let text = &content[start..end];
    if is_block_sign(text) {
        let (start, end) = below(content, name.start, end);
        return value(start, end, true);
    }
    let comment = text.windows(2).position(|pair| matches!(pair, b" #" | b"\t#"));
    let text = text[..comment.unwrap_or(text.len())].trim_ascii_end();
    let text = text.strip_suffix(b",").or_else(|| text.strip_suffix(b";")).unwrap_or(text);
    value(start, start + text.len(), false)
}

/// Where the quote is closed that was opened before `from`, perhaps some lines later.
fn closing(content: &[u8], from: usize, quote: u8) -> Option<usize> {
    let mut escaped = false;
    let within = content[from..].iter().take(QUOTED_BYTES_MAX);
    let length = within.take_while(|byte| {
        let is_end = **byte == quote && !escaped;
        escaped = **byte == b'\\' && !escaped && quote != b'\'';
        !is_end
    });
    let end = from + length.count();
    (content.get(end) == Some(&quote)).then_some(end)
}

/// Whether a value says that it stands on the lines below, as in YAML.
fn is_block_sign(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let (sign, how) = text.split_first().map_or((0, text), |(sign, how)| (*sign, how));
    matches!(sign, b'|' | b'>') && how.iter().all(|byte| byte.is_ascii_digit() || b"+-".contains(byte))
}

/// The lines from `after` on that stand further in than the one that begins at `line`, without the space around them.
fn below(content: &[u8], line: usize, after: usize) -> (usize, usize) {
    let indent = |from: usize| content[from..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let own = indent(line);
    let mut next = after + content[after..].iter().take_while(|byte| **byte != b'\n').count();
    let (mut start, mut end) = (after, after);
    while next < content.len() {
        let first = next + 1;
        let length = content[first..].iter().take_while(|byte| **byte != b'\n').count();
        let text = content[first..first + length].trim_ascii_end();
        if !text.is_empty() {
            if indent(first) <= own {
                break;
            }
            start = if start == after { first + indent(first) } else { start };
            end = first + text.len();
        }
        next = first + length;
    }
    (start, end)
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

/// Whether the value of a setting that holds a secret by its name is one: it is, unless it is nothing, a switch, the
/// beginning of more, or as a whole a reference.
pub(super) fn is_set(text: &[u8], value: &Value) -> bool {
    let lower = String::from_utf8_lossy(text).trim().to_ascii_lowercase();
    let within = |open: &str, close: &str| {
        lower.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).map(str::trim)
    };
    let is_word =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let refers = within("${", "}").is_some_and(is_word)
        || within("{{", "}}").is_some()
        || within("<", ">").is_some_and(|name| !name.contains(['<', '>']))
        || lower.strip_prefix('$').is_some_and(|name| !name.is_empty() && is_word(name));
    let is_switch = matches!(
        lower.as_str(),
        "null" | "none" | "nil" | "~" | "true" | "false" | "yes" | "no" | "on" | "off"
    );
    let is_more = !value.quoted && lower.starts_with(['{', '[', '(']);
    let is_hidden = lower.bytes().all(|byte| byte == b'*');
    !(is_hidden || refers || is_switch || is_more)
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
