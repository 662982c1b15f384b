//! The rules by which secrets are found.

use regex::bytes::Regex;

use super::values::{self, Value};

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) regex: Regex,
    pub(super) shape: Shape,
}

/// What the expression of a rule finds, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A token whose form is known: it counts unless it stands for one that is to be put there.
    Token,
    /// Text that counts whatever it looks like.
    Certain,
    /// A password between a user and a host in an address.
    Address,
    /// Text that counts when it looks as if drawn by lot.
    Random,
    /// A name and what follows it up to the value, which counts when it looks as if drawn by lot.
    Assigned,
    /// The same, with a value that people think of.
    Password,
    /// The same, with a name that a user calls secret: any value counts that is one.
    Named,
    /// A setting whose name is that of a secret: whatever is there counts, unless it refers to something.
    Setting,
}

impl Shape {
    pub(super) const fn is_assignment(self) -> bool {
        matches!(self, Self::Assigned | Self::Password | Self::Named)
    }

    /// Whether a value counts.
    pub(super) fn accepts(self, content: &[u8], value: &Value) -> bool {
        let text = &content[value.start..value.end];
        match self {
            Self::Certain => !text.is_empty(),
            Self::Token => !values::is_placeholder(text) && values::entropy(text) >= TOKEN_BITS_MIN,
            Self::Address => !values::is_placeholder(text) && !values::is_from_an_example(content, value),
            Self::Random | Self::Assigned => values::is_random(text, value),
            Self::Password => values::is_password(text, value),
            Self::Named => values::is_assigned(text, value),
            Self::Setting => values::is_set(text, value),
        }
    }
}

/// How many bits each byte of a token must tell at least: fewer have ones that are written out as an example.
const TOKEN_BITS_MIN: f64 = 2.5;

/// Formats that are publicly known; each is documented by whoever gives out such tokens.
const KNOWN: &[(&str, Shape, &str)] = &[
    (
        "private-key",
        Shape::Certain,
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|["'+,\s])*(?:[A-Za-z-]+: [^\r\n]*\s+)*(?P<secret>[A-Za-z0-9+/=\s\\]{40,})"#,
    ),
    ("github-token", Shape::Token, r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
    ("gitlab-token", Shape::Token, r"\bgl(?:pat|dt|rt|ptt|cbt|ft|soat)-[\w-]{20,}"),
    ("aws-access-key-id", Shape::Token, r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "aws-secret-access-key",
        Shape::Token,
        r#"(?i)aws[\w.-]{0,20}(?:secret|key)[\w.-]{0,20}["']?\s{0,4}[:=]\s{0,4}["']?(?P<secret>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
    ),
    ("slack-token", Shape::Token, r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Za-z0-9-]{20,}"),
    ("slack-webhook", Shape::Token, r"hooks\.slack\.com/services/(?P<secret>T\w+/B\w+/\w{16,})"),
    ("discord-webhook", Shape::Token, r"discord(?:app)?\.com/api/webhooks/\d{15,}/(?P<secret>[\w-]{50,})"),
    ("discord-token", Shape::Token, r"\b[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}"),
    ("stripe-key", Shape::Token, r"\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,})"),
    ("google-api-key", Shape::Token, r"\bAIza[\w-]{35}"),
    ("google-client-secret", Shape::Token, r"\bGOCSPX-[\w-]{28}"),
    ("anthropic-key", Shape::Token, r"\bsk-ant-[\w-]{32,}"),
    ("openai-key", Shape::Random, r"\bsk-(?:proj-|svcacct-|admin-)?[\w-]{32,}"),
    ("npm-token", Shape::Token, r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-token", Shape::Token, r"\bpypi-AgEIcHlwaS5vcmc[\w-]{50,}"),
    ("notion-token", Shape::Token, r"\b(?:secret_[A-Za-z0-9]{43}|ntn_[A-Za-z0-9]{40,})\b"),
    ("telegram-bot-token", Shape::Token, r"\b\d{8,10}:AA[\w-]{33}"),
    ("supabase-token", Shape::Token, r"\bsbp_[a-f0-9]{40}\b"),
    ("huggingface-token", Shape::Token, r"\bhf_[A-Za-z0-9]{34}\b"),
    ("sendgrid-key", Shape::Token, r"\bSG\.[\w-]{22}\.[\w-]{43}"),
    ("digitalocean-token", Shape::Token, r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("syncline-token", Shape::Token, r"\bsyn_[a-f0-9]{16}_[a-f0-9]{64}\b"),
    ("age-secret-key", Shape::Token, r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}\b"),
    ("jwt", Shape::Token, r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{16,}"),
    (
        "password-in-url",
        Shape::Address,
        r#"\b[a-z][a-z0-9+.-]{1,15}://[^\s:/@"'<>`]{0,64}:(?P<secret>[^\s/@"'<>`]{4,128})@[\w\[]"#,
    ),
    (
        "authorization-header",
        Shape::Random,
        r#"(?i)\bauthorization\\?["'`]?\s{0,4}[:=]\s{0,4}\\?["'`]?(?:bearer|basic|token)\s{1,4}(?P<secret>[\w.~+/=-]{16,})"#,
    ),
    (
        "secret-in-xml",
        Shape::Random,
        r"(?i)(?:password|passwd|secret|token|api[_-]?key|private[_-]?key)>(?P<secret>[^<>\s]{8,256})</",
    ),
];

/// What may stand between a name and its value: quotes around the name, a type, and the sign.
const SEPARATOR: &str = r#"\\?["'`]?\]?[ \t]{0,40}(?::[ \t]{0,4}[&\w'.<>\[\]| ]{1,40}[ \t]=[ \t]|:=|=>|=|:)"#;

pub(super) fn known() -> Result<Vec<Rule>, regex::Error> {
    KNOWN.iter().map(|(name, shape, pattern)| rule(name, *shape, &format!("(?-u){pattern}"))).collect()
}

/// Rules for whatever is assigned to a name that tells of a secret.
pub(super) fn generic() -> Result<[Rule; 2], regex::Error> {
    let password = r"(?:password|passwd|passphrase|passwort|pwd)\d?";
    let others = r"(?:password|passwd|pwd|secret|token|credential|(?:api|access|auth|private|encryption|signing|client|account|webhook)[_.-]?key)[\w.-]{0,40}";
    Ok([
        rule("assigned-password", Shape::Password, &format!("(?i-u){password}{SEPARATOR}"))?,
        rule("assigned-secret", Shape::Assigned, &format!("(?i-u){others}{SEPARATOR}"))?,
    ])
}

/// The rule for a pattern of a user.
pub(super) fn custom(pattern: &str) -> Result<Rule, String> {
    let name = format!("pattern {pattern}");
    let alone = Regex::new(pattern).map_err(|error| error.to_string())?;
    if alone.is_match(b"") {
        return Err("it matches where nothing is".to_owned());
    }
    let made = match as_name(pattern) {
        Some(names) => rule(&name, Shape::Named, &format!(r"(?i-u)(?:{names})[\w-]{{0,40}}{SEPARATOR}")),
        None => rule(&name, Shape::Certain, &format!("(?m:{pattern})")),
    };
    made.map_err(|error| error.to_string())
}

/// The rule for settings with the names that a pattern of a user means, when it means names.
pub(super) fn setting(pattern: &str) -> Result<Option<Rule>, regex::Error> {
    let names = as_name(pattern);
    names.map(|names| rule(&format!("pattern {pattern}"), Shape::Setting, &set(&names))).transpose()
}

/// The rule for settings that hold a password by their name.
pub(super) fn password_setting() -> Result<Rule, regex::Error> {
    rule("assigned-password", Shape::Setting, &set("password|passwd|passphrase|passwort|pwd"))
}

/// A name and its sign, where settings stand: on a line of their own, in a list of them, or in a command.
fn set(names: &str) -> String {
    let name = format!(r#"[\w.-]{{0,80}}(?:{names})[\w.-]{{0,40}}"#);
    // A file may begin with a mark of its encoding.
    let own_line = r"^(?:\xEF\xBB\xBF|\xFF\xFE|\xFE\xFF)?[ \t]*(?:(?:export|set|-)[ \t]+)?";
    let listed = r"[{,;&?][ \t]*";
    format!(r#"(?im-u)(?:(?:{own_line}|{listed})["']?{name}["']?[ \t]*(?::=|=>|[:=])|[ \t"'(]{name}=)"#)
}

/// The expression for a name, of a pattern that is one: whatever stands for any character stands for one of a name.
fn as_name(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix("(?i)").unwrap_or(pattern);
    let pattern = pattern.strip_prefix('^').or_else(|| pattern.strip_prefix(r"\b")).unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').or_else(|| pattern.strip_suffix(r"\b")).unwrap_or(pattern);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.*+?()|".contains(c);
    let is_plain = !pattern.is_empty() && pattern.chars().all(is_name) && !pattern.contains("(?");
    is_plain.then(|| pattern.replace('.', r"[\w-]"))
}

fn rule(name: &str, shape: Shape, pattern: &str) -> Result<Rule, regex::Error> {
    Ok(Rule { name: name.to_owned(), regex: Regex::new(pattern)?, shape })
}
