//! The environment of every call of Git: what it inherits, and the configuration that cannot be overridden.

use std::ffi::OsString;
use std::path::Path;

use syncline_connect::Result;

use super::settings::{Effective, invalid};

/// What is inherited: where programs, homes, agents, proxies and certificates are. Nothing that traces, and nothing
/// that changes which repository or which objects Git works on.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "GNUPGHOME",
    "GPG_TTY",
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SYSTEMROOT",
    "SystemRoot",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PATHEXT",
    "COMSPEC",
    "TEMP",
    "TMP",
];

/// Configuration that holds whatever the user's own says.
const CONFIGURATION: &[(&str, &str)] = &[
    // Nothing but Git, ssh and the user's own credential helpers and signing program runs.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.alternateRefsCommand", "true"),
    ("core.askPass", ""),
    ("credential.interactive", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("remote.pushDefault", ""),
    ("fetch.prune", "false"),
    ("transfer.bundleURI", "false"),
    ("transfer.credentialsInUrl", "die"),
    ("protocol.version", "2"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    // Every object that arrives is checked. Of the names that Git warns about, the scan reports each one by itself;
    // the odd forms below are old and harmless, and refusing them would refuse the whole repository.
    ("fetch.fsckObjects", "true"),
    ("fetch.fsck.hasDot", "ignore"),
    ("fetch.fsck.hasDotdot", "ignore"),
    ("fetch.fsck.hasDotgit", "ignore"),
    ("fetch.fsck.gitmodulesSymlink", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.missingSpaceBeforeEmail", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    // The mirror is a cache: what it loses in a power failure is noticed and fetched again.
    ("core.fsync", "none"),
    ("core.logAllRefUpdates", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("fetch.output", "compact"),
    // An identity that Git would have to guess is none.
    ("user.useConfigOnly", "true"),
];

/// The helper that tells Git the token, which it takes from the environment: so it is in no argument and no file.
const HELPER: &str = "!f() { test \"$1\" = get && \
     printf 'username=%s\\npassword=%s\\n' \"$SYNCLINE_GIT_USERNAME\" \"$SYNCLINE_GIT_TOKEN\"; }; f";

/// Makes the environment of every call; configuration of `more` counts before the usual one. Without settings, nobody
/// outside can be reached.
///
/// # Errors
/// When a path cannot be told to `ssh`.
pub(super) fn environment(
    settings: Option<&Effective>,
    more: &[(&str, &str)],
) -> Result<Vec<(OsString, OsString)>> {
    let mut made: Vec<(OsString, OsString)> =
        INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect();
    let mut set = |name: &str, value: &str| made.push((name.into(), value.into()));
    set("LC_ALL", "C");
    set("GIT_TERMINAL_PROMPT", "0");
    // An empty program is none, and keeps Git from looking for another one.
    set("GIT_ASKPASS", "");
    set("SSH_ASKPASS_REQUIRE", "never");
    set("GIT_ALLOW_PROTOCOL", "https:ssh:file");
    set("GIT_PROTOCOL_FROM_USER", "1");
    set("GIT_NO_REPLACE_OBJECTS", "1");
    set("GIT_OPTIONAL_LOCKS", "0");
    set("GIT_LITERAL_PATHSPECS", "1");
    set("GIT_ADVICE", "0");
    set("GIT_SSH_COMMAND", &settings.map_or_else(|| Ok("false".to_owned()), ssh)?);
    set("GIT_SSH_VARIANT", "ssh");
    let mut configuration: Vec<(String, String)> =
        CONFIGURATION.iter().chain(more).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Some((settings, origin)) = settings.and_then(|settings| Some((settings, settings.url.origin()?))) {
        let url = settings.url.as_str();
        configuration.push((format!("http.{url}.sslVerify"), "true".into()));
        if let Some(file) = &settings.ca_file {
            // The environment counts before any configuration, and may be set by the user for other hosts.
            set("GIT_SSL_CAINFO", text(file)?);
        }
        if let Some(token) = &settings.token {
            // The empty one forgets the helpers of the user; ours answers for this origin alone, so that a redirect
            // to another host is told nothing.
            configuration.push(("credential.helper".into(), String::new()));
            configuration.push((format!("credential.{origin}.helper"), HELPER.into()));
            set("SYNCLINE_GIT_USERNAME", &settings.username);
            set("SYNCLINE_GIT_TOKEN", token);
        }
    }
    set("GIT_CONFIG_COUNT", &configuration.len().to_string());
    for (at, (name, value)) in configuration.iter().enumerate() {
        set(&format!("GIT_CONFIG_KEY_{at}"), name);
        set(&format!("GIT_CONFIG_VALUE_{at}"), value);
    }
    Ok(made)
}

/// What must never be shown: the token, also in the form in which it goes over the wire.
pub(super) fn secrets(settings: &Effective) -> Vec<String> {
    let Some(token) = &settings.token else { return Vec::new() };
    vec![base64(format!("{}:{token}", settings.username).as_bytes()), token.clone()]
}

/// The command line of `ssh`, for a shell.
fn ssh(settings: &Effective) -> Result<String> {
    let mut command = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 \
                       -o ServerAliveCountMax=4 -o ControlMaster=no -o ForwardAgent=no -o PermitLocalCommand=no"
        .to_owned();
    // ssh splits a value at spaces unless it is quoted, and takes `%` for the start of a token.
    let mut name = |option: &str, file: &Path| -> Result<()> {
        let value = format!("{option}=\"{}\"", text(file)?.replace('%', "%%"));
        command.push_str(&format!(" -o {}", quoted(&value)));
        Ok(())
    };
    if let Some(file) = &settings.known_hosts {
        name("UserKnownHostsFile", file)?;
    }
    if let Some(file) = &settings.ssh_key {
        name("IdentityFile", file)?;
        command.push_str(" -o IdentitiesOnly=yes");
    }
    Ok(command)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| invalid(format!("the path {} is not UTF-8 text", path.display())))
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_in_the_form_of_the_wire() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn words_of_a_shell_stay_whole() {
        assert_eq!(quoted("it's $(x)"), "'it'\\''s $(x)'");
    }
}
