//! E-mail, through a mail server that takes it from here. What belongs to one incident is one conversation there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, Error, ErrorKind, Result};

use super::text::{subject, text};
use crate::causes::innermost;

/// The line of this channel in the list.
pub const KIND: ChannelKind = ChannelKind {
    name: NAME,
    summary: "Mailboxes, through a mail server (SMTP).",
    schema: || schema_for!(Settings),
    open: |settings| Ok(Arc::new(Email::open(&super::settings(settings, NAME)?)?)),
};

const NAME: &str = "email";
/// How long a delivery may take in all.
const DELIVER_MAX: Duration = Duration::from_secs(30);
/// Most characters of a message.
const LENGTH_MAX: usize = 20_000;

/// Mailboxes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The mail server that takes messages from here: its name, and its port where it is not the usual one.
    #[schemars(example = &"smtp.example.com:587")]
    server: String,
    /// How the connection is encrypted.
    #[serde(default)]
    encryption: Encryption,
    /// The name with which the server is asked to take messages.
    #[serde(default)]
    username: Option<String>,
    /// The password that belongs to it, by reference.
    #[serde(default)]
    #[schemars(example = &"${env:SMTP_PASSWORD}")]
    password: Option<String>,
    /// Whom messages come from.
    #[schemars(example = &"Syncline <syncline@example.com>")]
    from: String,
    /// Whom they go to.
    #[schemars(length(min = 1, max = 50))]
    to: Vec<String>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Encryption {
    /// After its first words (STARTTLS, usually on port 587); a server that cannot is not used.
    #[default]
    Starttls,
    /// From the first byte on (usually on port 465).
    Tls,
    /// Not at all (usually on port 25): for a server on this machine. No password is sent so.
    None,
}

struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Email {
    fn open(settings: &Settings) -> Result<Self> {
        // Whoever comes second finds it installed, which is all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (host, port) = place(&settings.server)?;
        let encrypted = || {
            TlsParameters::new(host.to_owned())
                .map_err(|_| invalid("`server` is no name that a certificate could have"))
        };
        let (tls, usual) = match settings.encryption {
            Encryption::Starttls => (Tls::Required(encrypted()?), smtp::SUBMISSION_PORT),
            Encryption::Tls => (Tls::Wrapper(encrypted()?), smtp::SUBMISSIONS_PORT),
            Encryption::None => (Tls::None, smtp::SMTP_PORT),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(DELIVER_MAX));
        match (&settings.username, &settings.password) {
            (None, None) => {}
            (Some(_), Some(_)) if settings.encryption == Encryption::None => {
                return Err(invalid("a password is only sent encrypted")
                    .with_hint("write `encryption: starttls` or `tls`"));
            }
            (Some(name), Some(password)) => {
                transport = transport.credentials(Credentials::new(name.clone(), password.clone()));
            }
            _ => return Err(invalid("`username` and `password` belong together")),
        }
        let to = settings.to.iter().map(|text| mailbox(text, "to")).collect::<Result<Vec<_>>>()?;
        if to.is_empty() {
            return Err(invalid("`to` names no mailbox"));
        }
        Ok(Self { transport: transport.build(), from: mailbox(&settings.from, "from")?, to })
    }

    /// A message; `first` is the identifier of the first one about the same incident.
    fn letter(&self, message: &AlertMessage, own: &str, first: Option<&str>) -> Result<Message> {
        let mut letter = Message::builder()
            .from(self.from.clone())
            .message_id(Some(own.to_owned()))
            .date_now()
            .subject(subject(message))
            .header(ContentType::TEXT_PLAIN);
        for mailbox in &self.to {
            letter = letter.to(mailbox.clone());
        }
        if let Some(first) = first {
            letter = letter.in_reply_to(first.to_owned()).references(first.to_owned());
        }
        let body = text(message, LENGTH_MAX, str::to_owned) + "\n";
        letter.body(body).map_err(|error| invalid(format!("no message can be made: {error}")))
    }
}

#[async_trait]
impl AlertChannel for Email {
    async fn deliver(&self, message: &AlertMessage, earlier: Option<&str>) -> Result<Option<String>> {
        // The same each time it is tried, so that a mailbox can tell that it has it already.
        let own = format!("<{}@{}>", message.id, self.from.email.domain());
        let letter = self.letter(message, &own, earlier)?;
        // The library's own limit is for connecting alone.
        let sent = tokio::time::timeout(DELIVER_MAX, self.transport.send(letter)).await;
        sent.map_err(|_| {
            let message = format!("the mail server did not answer within {} s", DELIVER_MAX.as_secs());
            Error::new(ErrorKind::TimedOut, message)
        })?
        .map_err(|error| unsent(&error))?;
        Ok(Some(earlier.map_or(own, str::to_owned)))
    }
}

/// A server's name or address, and its port where it is written.
fn place(text: &str) -> Result<(&str, Option<u16>)> {
    let wrong = || invalid("`server` is no name of a server, with or without a port");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(wrong());
    }
    Ok((host, port))
}

fn mailbox(text: &str, setting: &str) -> Result<Mailbox> {
    text.parse().map_err(|_| {
        invalid(format!("`{setting}` holds what is no mailbox: {text:?}"))
            .with_hint("write `name@example.com` or `Name <name@example.com>`")
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message.into())
}

/// Why a message was not taken: what the server answers is told by its number, since its words may repeat a password.
fn unsent(error: &smtp::Error) -> Error {
    let Some(status) = error.status() else {
        let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Unreachable };
        return Error::new(kind, format!("the mail server cannot be used: {}", innermost(error)));
    };
    let message = format!("the mail server answered {status}");
    match u16::from(status) {
        // Source: RFC 4954, section 6.
        432 | 454 => Error::new(ErrorKind::Unreachable, message),
        500..=504 => Error::new(ErrorKind::Invalid, message),
        530 | 534 | 535 | 538 => {
            Error::new(ErrorKind::Denied, message).with_hint("check `username` and `password`")
        }
        status if status < 500 => Error::new(ErrorKind::Unreachable, message),
        _ => Error::new(ErrorKind::Invalid, message).with_hint("check `from` and `to`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::text::tests::message;
    use super::*;

    fn open(more: &Value) -> Result<Email> {
        let mut settings =
            json!({ "server": "mail.example.com", "from": "a@example.com", "to": ["b@example.com"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Email::open(&super::super::settings(&settings, NAME)?)
    }

    #[test]
    fn what_cannot_be_sent_to_or_from_is_refused_and_a_password_is_never_sent_in_the_clear() {
        for right in [
            json!({}),
            json!({ "server": "mail.example.com:2525", "encryption": "none" }),
            json!({ "username": "a", "password": "b", "encryption": "tls" }),
            json!({ "from": "Syncline on helios <a@example.com>" }),
        ] {
            assert!(open(&right).is_ok(), "{right}");
        }
        for wrong in [
            json!({ "server": "" }),
            json!({ "server": "mail.example.com:x" }),
            json!({ "server": "mail example.com" }),
            json!({ "from": "a" }),
            json!({ "to": [] }),
            json!({ "to": ["b@example.com\r\nBcc: c@example.com"] }),
            json!({ "username": "a" }),
            json!({ "username": "a", "password": "b", "encryption": "none" }),
        ] {
            assert!(open(&wrong).is_err_and(|error| error.kind() == ErrorKind::Invalid), "{wrong}");
        }
    }

    #[test]
    fn an_incident_is_a_conversation_and_no_text_gets_into_its_head() {
        let email = open(&json!({})).unwrap();
        let hostile = message(&["away\r\nBcc: c@example.com\r\n\r\nhello"]);
        let letter = email.letter(&hostile, "<x-2@example.com>", Some("<x-1@example.com>")).unwrap();
        let written = String::from_utf8(letter.formatted()).unwrap();
        let (head, body) = written.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\r\nBcc"), "{head}");
        assert!(
            head.contains("In-Reply-To: <x-1@example.com>") && head.contains("Message-ID: <x-2@example.com>")
        );
        assert!(head.contains("Subject: Syncline on helios: 1 wrong"), "{head}");
        assert!(!body.contains("\r\n\r\nhello"), "{body}");
    }
}
