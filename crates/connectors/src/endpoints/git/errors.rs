//! What Git says when something fails, as errors with a kind and a hint.

use syncline_connect::{Error, ErrorKind, Words};

/// What befalls a branch, in the words of Git.
pub(super) const WORDS: Words = Words {
    gone: Some(
        "the branch is gone from the repository: it was deleted or renamed there, or the repository was made anew; push it \
         again from a clone that has it (`git push <remote> <branch>`), or name another one with `branch`; if it is meant, \
         give the target a new name to start afresh",
    ),
    replaced: Some(
        "the branch does not go on from where the last run left it: its history was rewritten (a force-push), or the \
         repository was replaced or restored from a backup; if that is not meant, push the old commits again from a clone \
         that has them",
    ),
};

/// Longest part of what Git said that goes into a message.
const SAID_MAX: usize = 400;

/// Phrases of Git, of `ssh` and of hosts; the kind that they stand for; what it means; what to do. The first that
/// occurs counts. They are lower case, as what Git says is compared.
const PHRASES: &[(&str, ErrorKind, &str, &str)] = &[
    (
        "dubious ownership",
        ErrorKind::Denied,
        "the repository belongs to somebody else",
        "run as its owner, or name it in `safe.directory` of your Git configuration",
    ),
    (
        "terminal prompts disabled",
        ErrorKind::Denied,
        "the host asks who we are, and no token is configured",
        "set `token` to a reference to a secret",
    ),
    (
        "could not read username",
        ErrorKind::Denied,
        "the host asks who we are, and no token is configured",
        "set `token` to a reference to a secret",
    ),
    (
        "unable to get password from user",
        ErrorKind::Denied,
        "the host asks who we are, and no token is configured",
        "set `token` to a reference to a secret",
    ),
    (
        "could not read password",
        ErrorKind::Denied,
        "the host asks for a token, and none is configured",
        "set `token` to a reference to a secret",
    ),
    (
        "authentication failed",
        ErrorKind::Denied,
        "the host refused the token",
        "check the token, whether it has expired, and `username`",
    ),
    (
        "returned error: 401",
        ErrorKind::Denied,
        "the host refused the token",
        "check the token, whether it has expired, and `username`",
    ),
    (
        "returned error: 403",
        ErrorKind::Denied,
        "the host does not allow it",
        "check what the token may do, and that it covers this repository",
    ),
    (
        "host key verification failed",
        ErrorKind::Denied,
        "the key of the host is not known, or is another one than before",
        "compare the key with the one that the host publishes, then add it to `known_hosts`",
    ),
    (
        "permission denied (",
        ErrorKind::Denied,
        "the host refused the ssh key",
        "check `ssh_key`, and that its public half is registered at the host",
    ),
    (
        "bad permissions",
        ErrorKind::Denied,
        "ssh refused the key file",
        "make the file of `ssh_key` readable by its owner alone",
    ),
    (
        "ssl certificate problem",
        ErrorKind::Denied,
        "the certificate of the host is not trusted",
        "set `ca_file` when the host has an authority of its own; otherwise somebody may be in between",
    ),
    (
        "certificate verif",
        ErrorKind::Denied,
        "the certificate of the host is not trusted",
        "set `ca_file` when the host has an authority of its own; otherwise somebody may be in between",
    ),
    (
        "server certificate",
        ErrorKind::Denied,
        "the certificate of the host is not trusted",
        "set `ca_file` when the host has an authority of its own; otherwise somebody may be in between",
    ),
    (
        "error setting certificate",
        ErrorKind::Invalid,
        "the file of `ca_file` cannot be used",
        "check that it is there, readable and in PEM form",
    ),
    (
        "error adding trust anchors",
        ErrorKind::Invalid,
        "the file of `ca_file` cannot be used",
        "check that it is there, readable and in PEM form",
    ),
    (
        "no space left on device",
        ErrorKind::NoSpace,
        "there is no space left",
        "free some space, then run again: nothing was lost",
    ),
    (
        "disk quota exceeded",
        ErrorKind::NoSpace,
        "the quota is used up",
        "free some space, then run again: nothing was lost",
    ),
    (
        "protocol 'https' is not supported",
        ErrorKind::Unsupported,
        "this Git cannot speak https",
        "install the part of Git that does",
    ),
    (
        "transport '",
        ErrorKind::Invalid,
        "this kind of address is refused",
        "use https, ssh, file or a path; look for `insteadOf` in your Git configuration",
    ),
    (
        "could not resolve host",
        ErrorKind::Unreachable,
        "the name of the host is unknown",
        "check the url and the network",
    ),
    (
        "connection refused",
        ErrorKind::Unreachable,
        "the host refused the connection",
        "check the url and whether the host is up",
    ),
    (
        "connection timed out",
        ErrorKind::Unreachable,
        "the host does not answer",
        "check the url and the network",
    ),
    (
        "operation timed out",
        ErrorKind::Unreachable,
        "the host does not answer",
        "check the url and the network",
    ),
    ("operation too slow", ErrorKind::Unreachable, "the transfer stalled", "check the network"),
    ("network is unreachable", ErrorKind::Unreachable, "the network is unreachable", "check the network"),
    ("no route to host", ErrorKind::Unreachable, "the network is unreachable", "check the network"),
    (
        "failed to connect",
        ErrorKind::Unreachable,
        "the host cannot be reached",
        "check the url and the network",
    ),
    (
        "couldn't connect",
        ErrorKind::Unreachable,
        "the host cannot be reached",
        "check the url and the network",
    ),
    (
        "returned error: 404",
        ErrorKind::NotFound,
        "there is no such repository, or it is hidden from us",
        "check the url; a private repository looks missing without the right token",
    ),
    (
        "repository not found",
        ErrorKind::NotFound,
        "there is no such repository, or it is hidden from us",
        "check the url; a private repository looks missing without the right credentials",
    ),
    (
        "' not found",
        ErrorKind::NotFound,
        "there is no such repository, or it is hidden from us",
        "check the url; a private repository looks missing without the right credentials",
    ),
    (
        "does not appear to be a git repository",
        ErrorKind::NotFound,
        "there is no repository",
        "check the url; `git init --bare` makes a new one",
    ),
    (
        "no such file or directory",
        ErrorKind::NotFound,
        "there is no repository",
        "check the url; `git init --bare` makes a new one",
    ),
    ("returned error: 429", ErrorKind::Unreachable, "the host asks us to slow down", "wait a while"),
    ("returned error: 5", ErrorKind::Unreachable, "the host is in trouble", "wait a while"),
    ("connection reset", ErrorKind::Unreachable, "the connection was lost", "run again"),
    ("connection closed", ErrorKind::Unreachable, "the connection was lost", "run again"),
    ("hung up unexpectedly", ErrorKind::Unreachable, "the connection was lost", "run again"),
    ("unexpected disconnect", ErrorKind::Unreachable, "the connection was lost", "run again"),
    ("early eof", ErrorKind::Unreachable, "the connection was lost", "run again"),
    ("rpc failed", ErrorKind::Unreachable, "the connection was lost", "run again"),
    (
        "permission denied",
        ErrorKind::Denied,
        "permission was refused",
        "check the owner and the permissions of the repository",
    ),
    (
        "hook declined",
        ErrorKind::Denied,
        "the repository's own rules refused the commit",
        "see what the host says; a protected branch needs a person with more rights, or another branch",
    ),
    (
        "protected branch",
        ErrorKind::Denied,
        "the branch is protected",
        "allow this user to push, or name another branch",
    ),
    (
        "deny updating",
        ErrorKind::Denied,
        "the branch is checked out in the repository",
        "push to a bare repository, or name a branch that nobody works on",
    ),
    (
        "is currently checked out",
        ErrorKind::Denied,
        "the branch is checked out in the repository",
        "push to a bare repository, or name a branch that nobody works on",
    ),
];

/// What Git says when the objects that it is sent break its own rules.
const REFUSED_OBJECTS: &[&str] =
    &["fsck error", "error in object", "badtree", "index-pack failed", "unpack-objects failed"];

/// What Git says when its own repository is damaged.
const DAMAGE: &[&str] = &[
    "bad object",
    "object corrupt",
    "is corrupt",
    "corrupt loose object",
    "unable to read tree",
    "unable to read sha1",
    "unable to find",
    "unable to parse",
    "could not parse",
    "object file",
    "not a git repository",
    "missing blob",
    "missing tree",
    "missing commit",
    "bad config",
    "bad tree",
    "packfile",
    "invalid sha1",
    "inflate",
    "bad pack",
    "revision walk setup failed",
];

/// What a call of Git that failed means; `what` says what was being done, and where.
pub(super) fn explain(what: &str, said: &str) -> Error {
    let low = said.to_lowercase();
    let found = PHRASES.iter().find(|(phrase, ..)| low.contains(phrase));
    let detail = shown(said);
    match found {
        Some((_, kind, meaning, hint)) => {
            Error::new(*kind, format!("{what}: {meaning} ({detail})")).with_hint(*hint)
        }
        None if REFUSED_OBJECTS.iter().any(|phrase| low.contains(phrase)) => Error::new(
            ErrorKind::Invalid,
            format!("{what}: the repository holds objects that are refused ({detail})"),
        )
        .with_hint("run `git fsck` in the repository; nothing of it was taken"),
        None => Error::new(ErrorKind::Io, format!("{what}: {detail}")),
    }
}

/// Whether Git complains about a lock file.
pub(super) fn is_locked(said: &str) -> bool {
    let low = said.to_lowercase();
    low.contains(".lock") && (low.contains("file exists") || low.contains("unable to create"))
}

/// Whether Git complains about damage to its own repository; what the other end says does not count.
pub(super) fn is_damage(said: &str) -> bool {
    said.lines()
        .filter(|line| !line.starts_with("remote:"))
        .map(str::to_lowercase)
        .any(|line| DAMAGE.iter().any(|phrase| line.contains(phrase)) && !line.contains("does not appear"))
}

/// The telling part of what Git said, on one line, with nothing that a terminal would obey.
pub(super) fn shown(said: &str) -> String {
    let telling = |line: &&str| !line.trim().is_empty() && !line.starts_with("hint:");
    let strong = |line: &&str| {
        line.starts_with("fatal:")
            || line.starts_with("error:")
            || line.starts_with("remote:")
            || line.starts_with('!')
    };
    let lines: Vec<&str> = said.lines().filter(telling).collect();
    let mut chosen: Vec<&str> = lines.iter().copied().filter(strong).collect();
    if chosen.is_empty() {
        chosen = lines;
    }
    let text = chosen.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; ");
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_MAX).collect();
    if plain.is_empty() { "git gave no reason".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_has_a_kind_and_a_hint() {
        let rows = [
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", ErrorKind::Denied),
            ("remote: x\nfatal: Authentication failed for 'https://h/x.git/'", ErrorKind::Denied),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                ErrorKind::Denied,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                ErrorKind::Denied,
            ),
            ("fatal: unable to access 'https://h/': SSL certificate problem: x", ErrorKind::Denied),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", ErrorKind::Unreachable),
            ("fatal: '/x' does not appear to be a git repository", ErrorKind::NotFound),
            ("fatal: repository 'https://h/x/' not found", ErrorKind::NotFound),
            (
                "error: RPC failed; HTTP 502\nfatal: the remote end hung up unexpectedly",
                ErrorKind::Unreachable,
            ),
            ("fatal: unable to access 'x': The requested URL returned error: 503", ErrorKind::Unreachable),
        ];
        for (said, kind) in rows {
            let error = explain("listing x", said);
            assert_eq!(error.kind(), kind, "{said}");
            assert!(error.hint().is_some(), "{said}");
        }
    }

    #[test]
    fn terminals_are_not_given_orders() {
        let error = explain("pushing to x", "remote: \u{1b}[31mno\u{7}\nfatal: hook declined");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        assert!(error.to_string().contains("no"), "{error}");
    }

    #[test]
    fn damage_is_ours_and_not_the_other_ends() {
        assert!(is_damage("fatal: bad object HEAD"));
        assert!(is_damage("error: object file x is empty"));
        assert!(!is_damage("remote: fatal: bad object HEAD"));
        assert!(is_locked("fatal: Unable to create '/x/shallow.lock': File exists."));
        assert!(!is_locked("fatal: bad object"));
    }
}
