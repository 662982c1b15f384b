//! Values of old files, each of the form that belongs where it goes.

use serde_json::Value;
use syncline_core::ItemPath;

/// Longest text that is taken over, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1024;
/// Longest interval, in seconds: a year.
const INTERVAL_MAX: u64 = 365 * 24 * 60 * 60;

/// A whole number, written as one or as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Seconds between two runs.
pub(super) fn interval(value: &Value) -> Option<u64> {
    number(value).filter(|seconds| (1..=INTERVAL_MAX).contains(seconds))
}

/// A port.
pub(super) fn port(value: &Value) -> Option<u16> {
    number(value).and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0)
}

/// A host name or address.
pub(super) fn host(text: &str) -> Option<&str> {
    let text = text.trim();
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (!text.is_empty() && text.len() <= 255 && text.bytes().all(fits) && !text.starts_with('-'))
        .then_some(text)
}

/// The name of a branch; narrower than what Git allows.
pub(super) fn branch(text: &str) -> Option<&str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    let part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock")
    };
    let is_one = text.len() <= 255
        && text.bytes().all(fits)
        && !text.starts_with('-')
        && !text.contains("..")
        && text.split('/').all(part);
    is_one.then_some(text)
}

/// The address of a Git repository: `owner/name` is one of GitHub. What may be a secret in it is left out.
pub(super) fn repository(text: &str) -> Option<String> {
    let text = text.trim();
    // A `$` could begin a reference, which would be resolved when the repository is opened.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@~+%=[]!,()".contains(&byte);
    if !text.bytes().all(fits) {
        return None;
    }
    if let Some(rest) = text.strip_prefix("https://") {
        let rest = rest.split_once('/').and_then(|(authority, path)| {
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            // A `/` in a password would have put the rest of it into the path.
            let is_whole = !path.is_empty() && !path.contains('@');
            self::host(host).filter(|_| is_whole).map(|host| format!("{host}/{path}"))
        });
        return rest.map(|rest| format!("https://{rest}"));
    }
    if text.starts_with("ssh://") || text.starts_with("git@") {
        // A password in it would be one that anybody may read.
        let user = text.trim_start_matches("ssh://").split_once('@').map_or("", |(user, _)| user);
        return (!user.contains(':')).then(|| text.to_owned());
    }
    let name = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !part.is_empty() && part.bytes().all(fits) && !part.starts_with(['.', '-'])
    };
    let (owner, repository) = text.split_once('/')?;
    let suffix = if repository.ends_with(".git") { "" } else { ".git" };
    (name(owner) && name(repository)).then(|| format!("https://github.com/{owner}/{repository}{suffix}"))
}

/// A folder of the workspace; never one outside of it.
pub(super) fn folder(text: &str) -> Option<String> {
    let text = text.trim_start_matches("./").trim_end_matches('/');
    if text.contains(['\\', ':', '$']) || text.starts_with('~') || text.chars().any(char::is_control) {
        return None;
    }
    let path = ItemPath::parse(text).ok()?;
    path.protected().is_none().then(|| path.as_str().to_owned())
}

/// Whether the value of a key is probably a secret: an address that webhooks are sent to is one too.
pub(super) fn is_secret_key(key: &str) -> bool {
    let lower = key.to_lowercase();
    let more = ["webhook", "dsn", "pass", "auth", "private", "connection_string", "database_url"];
    syncline_config::is_secret_key(key) || more.iter().any(|word| lower.contains(word))
}

/// The name of a variable, as it may stand in a reference.
pub(super) fn variable(text: &str) -> Option<&str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_one = !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(fits)
        && !text.starts_with(|c: char| c.is_ascii_digit());
    is_one.then_some(text)
}

/// Text as YAML has it, also in a comment: JSON is YAML, and no character is left that could end a line or hide one.
pub(super) fn quoted(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 2);
    for c in Value::from(text).to_string().chars() {
        let is_harmless = c == ' ' || c.is_alphanumeric() || c.is_ascii_graphic();
        if is_harmless {
            safe.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn repositories_lose_what_may_be_a_secret() {
        for (text, expected) in [
            ("ada/notes", Some("https://github.com/ada/notes.git")),
            ("https://ada:ghp_x@git.example/ada/notes.git", Some("https://git.example/ada/notes.git")),
            ("git@git.example:ada/notes.git", Some("git@git.example:ada/notes.git")),
            ("ssh://git@git.example/notes", Some("ssh://git@git.example/notes")),
            ("ssh://git:pw@git.example/notes", None),
            ("https://git.example/x?token=1", None),
            ("https://ada:pass/word@git.example/x", None),
            ("https://git.example/${file:/etc/passwd}", None),
            ("https://git.example/a b", None),
            ("notes", None),
            ("../notes/x", None),
            ("--upload-pack=x/y", None),
            ("ext::sh -c x", None),
            ("/home/ada/notes", None),
        ] {
            assert_eq!(repository(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn folders_stay_in_the_workspace() {
        assert_eq!(folder("./shared/notes/").as_deref(), Some("shared/notes"));
        for text in
            ["..", "${env:X}", "a/../b", "/etc", "~/x", "C:\\x", "a\nb", ".git/hooks", ".syncline", ""]
        {
            assert_eq!(folder(text), None, "{text:?}");
        }
    }

    #[test]
    fn branches_ports_and_intervals_have_their_forms() {
        for text in ["-x", "a..b", "a/.b", "a b", "a.lock", "", "x\ny", "a//b"] {
            assert_eq!(branch(text), None, "{text:?}");
        }
        assert_eq!(branch("sync/main-2.x"), Some("sync/main-2.x"));
        for value in
            [json!(0), json!(-1), json!(1.5), json!("soon"), json!(null), json!([60]), json!(u64::MAX)]
        {
            assert_eq!((interval(&value), port(&value)), (None, None), "{value}");
        }
        assert_eq!((interval(&json!("60")), port(&json!(8080))), (Some(60), Some(8080)));
    }

    #[test]
    fn quoted_text_stays_on_its_line() {
        let text = "a\"b\\\n\u{85}\u{2028}\u{202e}\u{7f}é: #😀";
        let quoted = quoted(text);
        assert!(quoted.chars().all(|c| c == ' ' || c.is_alphanumeric() || c.is_ascii_graphic()), "{quoted}");
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        assert_eq!(
            serde_saphyr::from_str::<String>(&super::quoted("a\"b\\\n\u{85}é: #")).unwrap(),
            "a\"b\\\n\u{85}é: #"
        );
    }
}
