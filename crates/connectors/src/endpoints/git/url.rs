//! Addresses of repositories: what Git would understand, less what can run a program or leaks.

use std::path::Path;

use syncline_connect::Result;
use syncline_core::ItemPath;

use super::settings::invalid;

/// The address of a repository.
pub(super) struct Url {
    text: String,
    transport: Transport,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Https,
    Ssh,
    Path,
}

impl Url {
    /// Checks an address; a relative path starts at `workspace`.
    ///
    /// # Errors
    /// When it is of another kind than `https`, `ssh`, `file` or a path, or holds a password.
    pub(super) fn parse(text: &str, workspace: &Path) -> Result<Self> {
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(invalid("the url is empty, starts with `-`, or holds control characters"));
        }
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        if text.split_once("::").is_some_and(|(helper, _)| is_word(helper)) {
            return Err(invalid("a url of the form `helper::address` would start a program and is refused"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::with_scheme(text, scheme, rest);
        }
        let short = text.find(':').filter(|&colon| !text[..colon].contains('/'));
        match short {
            Some(colon) if !(cfg!(windows) && colon == 1) => {
                check_host(&text[..colon])?;
                if text[colon + 1..].starts_with('-') {
                    return Err(invalid("the path of the url starts with `-`"));
                }
                Ok(Self { text: text.to_owned(), transport: Transport::Ssh })
            }
            _ => {
                let path = workspace.join(text);
                let path =
                    path.to_str().ok_or_else(|| invalid("the path of the repository is not UTF-8 text"))?;
                Ok(Self { text: path.to_owned(), transport: Transport::Path })
            }
        }
    }

    fn with_scheme(text: &str, scheme: &str, rest: &str) -> Result<Self> {
        let transport = match scheme {
            "https" => Transport::Https,
            "ssh" => Transport::Ssh,
            "file" => return Ok(Self { text: text.to_owned(), transport: Transport::Path }),
            "http" | "git" => {
                return Err(invalid(format!("{scheme} is not encrypted and is refused; use https or ssh")));
            }
            _ => {
                return Err(invalid(format!(
                    "the scheme {scheme:?} is refused; use https, ssh, file or a path"
                )));
            }
        };
        check_host(rest.split('/').next().unwrap_or_default())?;
        Ok(Self { text: text.to_owned(), transport })
    }

    /// The address as Git is given it. It holds no secret.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The folder on this machine, when it is one.
    fn folder(&self) -> Option<&Path> {
        let text = self.text.strip_prefix("file://").unwrap_or(&self.text);
        (self.transport == Transport::Path).then(|| Path::new(text))
    }

    /// Refuses a bare repository inside the workspace: its own files would be synced into it, again and again. What
    /// lies in a `.git` folder is never synced, so that is no trouble.
    ///
    /// # Errors
    /// When it is one.
    pub(super) fn refuse_inside(&self, workspace: &Path) -> Result<()> {
        let Some(folder) = self.folder().filter(|folder| folder.join("HEAD").is_file()) else {
            return Ok(());
        };
        let (Ok(folder), Ok(workspace)) = (folder.canonicalize(), workspace.canonicalize()) else {
            return Ok(());
        };
        let inside =
            folder.strip_prefix(&workspace).ok().and_then(|inside| ItemPath::parse(inside.to_str()?).ok());
        if inside.is_some_and(|inside| inside.protected().is_none()) {
            let message = "the repository lies inside the workspace, and would be synced into itself";
            return Err(invalid(message).with_hint("move it out of the workspace"));
        }
        Ok(())
    }

    pub(super) fn is_path(&self) -> bool {
        self.transport == Transport::Path
    }

    pub(super) fn is_https(&self) -> bool {
        self.transport == Transport::Https
    }

    pub(super) fn is_ssh(&self) -> bool {
        self.transport == Transport::Ssh
    }

    /// Scheme, host and port: the only place that may be told a token.
    pub(super) fn origin(&self) -> Option<String> {
        let rest = self.text.strip_prefix("https://")?;
        let authority = rest.split('/').next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Some(format!("https://{host}"))
    }
}

/// Checks `user@host:port` or a part of it.
fn check_host(authority: &str) -> Result<()> {
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if user.is_some_and(|user| user.contains(':')) {
        return Err(invalid("the url holds a password; put it into `token`, as a reference to a secret"));
    }
    if host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
        return Err(invalid("the host of the url is empty or starts with `-`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url> {
        Url::parse(text, Path::new("/place"))
    }

    #[test]
    fn addresses_are_recognised() {
        let rows = [
            ("https://host/x.git", "https://host/x.git", Transport::Https),
            ("https://me@host:8443/x", "https://me@host:8443/x", Transport::Https),
            ("ssh://git@host:22/x", "ssh://git@host:22/x", Transport::Ssh),
            ("git@host:a/b.git", "git@host:a/b.git", Transport::Ssh),
            ("host:b.git", "host:b.git", Transport::Ssh),
            ("file:///srv/x.git", "file:///srv/x.git", Transport::Path),
            ("/srv/x.git", "/srv/x.git", Transport::Path),
            ("../x.git", "/place/../x.git", Transport::Path),
            ("./odd:name", "/place/./odd:name", Transport::Path),
        ];
        for (text, given, transport) in rows {
            let url = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.as_str(), given);
            assert!(url.transport == transport, "{text}");
        }
    }

    #[test]
    fn what_runs_programs_or_leaks_is_refused() {
        for text in [
            "",
            "-x",
            "--upload-pack=touch /tmp/x",
            "ext::sh -c true",
            "fd::3",
            "http://host/x",
            "git://host/x",
            "ftp://host/x",
            "ssh://-oProxyCommand=true/x",
            "-oProxyCommand=true:x",
            "git@-oProxyCommand=true:x",
            "host:-x",
            "https://me:hunter2@host/x",
            "https:///x",
            "https://host/x\nfoo",
        ] {
            let error = parse(text).map(|url| url.text).expect_err(text);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_token_belongs_to_one_origin() {
        let origin = parse("https://me@host:8443/a/b").ok().and_then(|url| url.origin());
        assert_eq!(origin.as_deref(), Some("https://host:8443"));
    }
}
