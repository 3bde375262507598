//! Mail, still: a message made of a step's parts, and what a server's reply means.
//!
//! SMTP has no idempotence: a mail whose answer was lost at its end is unknown, and a person decides. What helps that person is our `Message-ID`, made
//! from the effect's key: the same mail has the same one for ever, in the inbox as in the record.

pub mod live;

use std::time::{Duration, SystemTime};

use lettre::{
    Message,
    address::Envelope,
    message::{
        Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::Outcome;

/// A mail, before it is made: its parts as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub from: String,
    pub reply_to: String,
    /// Addresses, each perhaps with a name; one text may hold several, with commas.
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub subject: String,
    pub text: String,
    /// Empty: none.
    pub html: String,
}

/// A mail that can be sent.
pub struct Mail {
    pub message_id: String,
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
    parts: Parts,
}

impl Mail {
    /// `key` is what makes it this mail and no other, `at` when it is sent (Unix milliseconds), `most` how many bytes it may have.
    ///
    /// # Errors
    /// A fragment that says what is no mail; never an address.
    pub fn new(step: &str, key: &str, at: u64, most: usize, parts: Parts) -> Result<Self, String> {
        let from = one("the sender", &parts.from)?;
        let to = all("the recipients", &parts.to)?;
        let cc = all("the copies", &parts.cc)?;
        if to.iter().next().is_none() {
            return Err("it has no recipient".to_owned());
        }
        let subject = line("the subject", &parts.subject)?;
        let domain = from.email.domain().to_owned();
        let message_id = message_id(key, step, &parts, &domain);
        let mut builder = Message::builder()
            .from(from)
            .subject(subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
            .message_id(Some(message_id.clone()))
            // RFC 3834: no machine shall answer a machine.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for mailbox in to {
            builder = builder.to(mailbox);
        }
        for mailbox in cc {
            builder = builder.cc(mailbox);
        }
        if !parts.reply_to.trim().is_empty() {
            builder = builder.reply_to(one("the address for answers", &parts.reply_to)?);
        }
        let text = SinglePart::plain(parts.text.clone());
        let message = match parts.html.as_str() {
            "" => builder.singlepart(text),
            html => builder
                .multipart(MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.to_owned()))),
        };
        let message = message.map_err(|_| "its parts make no mail".to_owned())?;
        let (envelope, bytes) = (message.envelope().clone(), message.formatted());
        if bytes.len() > most {
            return Err(format!("it is larger than {most} bytes"));
        }
        Ok(Self { message_id, envelope, bytes, parts })
    }

    /// What examples compare.
    #[must_use]
    pub fn shown(&self) -> Map<String, Json> {
        let Parts { from, reply_to, to, cc, subject, text, html } = &self.parts;
        let mut map = Map::new();
        for (name, value) in
            [("from", from), ("reply_to", reply_to), ("subject", subject), ("text", text), ("html", html)]
        {
            if !value.is_empty() {
                map.insert(name.to_owned(), json!(value));
            }
        }
        for (name, value) in [("to", to), ("cc", cc)] {
            if !value.is_empty() {
                map.insert(name.to_owned(), json!(value));
            }
        }
        map
    }
}

/// A header's text: without a line end, behind which another header would stand.
fn line(what: &str, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().any(char::is_control) { Err(format!("{what} would hold a line end")) } else { Ok(text.to_owned()) }
}

fn one(what: &str, text: &str) -> Result<Mailbox, String> {
    line(what, text)?.parse().map_err(|_| format!("{what} is no address"))
}

fn all(what: &str, texts: &[String]) -> Result<Mailboxes, String> {
    let mut all = Mailboxes::new();
    for text in texts {
        let text = line(what, text)?;
        if !text.is_empty() {
            let several: Mailboxes = text.parse().map_err(|_| format!("{what} are no addresses"))?;
            several.into_iter().for_each(|mailbox| all.push(mailbox));
        }
    }
    Ok(all)
}

/// `<hash@domain>`: of the key, the step and who gets it, so that two mails of one effect are two.
fn message_id(key: &str, step: &str, parts: &Parts, domain: &str) -> String {
    let mut hash = Sha256::new();
    for part in [key, step].into_iter().chain(parts.to.iter().chain(&parts.cc).map(String::as_str)) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<{hex}@{domain}>")
}

/// Where in the conversation a refusal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    Login,
    Mail,
}

/// What a refusal means (RFC 5321, 4.2.1): 4yz later, 5yz never. Its text may repeat an address: only its codes are told.
pub fn refusal(name: &str, code: u16, text: &str, during: During) -> Outcome {
    // The enhanced code of RFC 3463, which is the text's first word.
    let first = text.split_whitespace().next().unwrap_or_default();
    let enhanced =
        first.len() <= 11 && first.split('.').count() == 3 && first.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let said = if enhanced { format!("{code} {first}") } else { code.to_string() };
    match (code, during) {
        (400..500, _) => Outcome::Busy { reason: format!("{name} takes it later ({said})") },
        (_, During::Login) | (530 | 534 | 535 | 538, _) => {
            Outcome::Denied { reason: format!("{name} does not let us in ({said})") }
        }
        (552, _) => {
            Outcome::Invalid { reason: format!("{name} refuses it: too large, or the mailbox is full ({said})") }
        }
        _ => Outcome::Invalid { reason: format!("{name} refuses it ({said})") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        Parts {
            from: "客服 <desk@biz.example>".to_owned(),
            to: vec!["Chen Jing <chen@customers.example>, anna@customers.example".to_owned()],
            subject: "您的来电：已受理".to_owned(),
            text: "第一行\n第二行\n".to_owned(),
            ..Parts::default()
        }
    }

    fn mail(parts: Parts) -> Result<Mail, String> {
        Mail::new("send", "k-1", 1_764_150_000_123, 10_000, parts)
    }

    #[test]
    fn a_mail_is_ascii_and_the_same_mail_has_the_same_name() {
        let made = mail(parts()).unwrap();
        let text = String::from_utf8(made.bytes.clone()).unwrap();
        assert!(text.is_ascii(), "{text}");
        for header in [
            "Subject: =?utf-8?b?",
            "From: =?utf-8?b?",
            "Message-ID: <",
            "Auto-Submitted: auto-generated\r\n",
            "Date: Wed, 26 Nov 2025 09:40:00 +0000\r\n",
        ] {
            assert!(text.contains(header), "{header} is not in {text}");
        }
        assert_eq!(made.envelope.to().len(), 2);
        assert!(made.message_id.ends_with("@biz.example>"), "{}", made.message_id);
        let later = Mail::new("send", "k-1", 1_764_159_999_999, 10_000, parts()).unwrap();
        assert_eq!(made.message_id, later.message_id);
        for other in [
            Mail::new("send", "k-2", 0, 10_000, parts()),
            Mail::new("again", "k-1", 0, 10_000, parts()),
            mail(Parts { to: vec!["anna@customers.example".to_owned()], ..parts() }),
        ] {
            assert_ne!(made.message_id, other.unwrap().message_id);
        }
    }

    #[test]
    fn what_would_be_another_header_is_no_mail() {
        let evil = "x\r\nBcc: all@customers.example";
        for (parts, why) in [
            (Parts { subject: evil.to_owned(), ..parts() }, "line end"),
            (Parts { from: format!("{evil} <a@b.example>"), ..parts() }, "line end"),
            (Parts { reply_to: evil.to_owned(), ..parts() }, "line end"),
            (Parts { to: vec!["a@b.example\nc@d.example".to_owned()], ..parts() }, "line end"),
            (Parts { cc: vec!["a@b.example> SIZE=1 <c@d.example".to_owned()], ..parts() }, "no addresses"),
            (Parts { to: vec![" ".to_owned()], ..parts() }, "no recipient"),
            (Parts { from: "desk".to_owned(), ..parts() }, "no address"),
            (Parts { text: "x".repeat(20_000), ..parts() }, "larger than"),
        ] {
            let told = mail(parts).err().unwrap_or_else(|| panic!("{why}"));
            assert!(told.contains(why) && !told.contains('@'), "{told}");
        }
    }

    #[test]
    fn a_refusal_is_later_or_never_and_names_nobody() {
        for (code, text, during, wanted) in [
            (451, "4.7.1 greylisted", During::Mail, "busy: mx takes it later (451 4.7.1)"),
            (421, "too many", During::Mail, "busy: mx takes it later (421)"),
            (550, "5.1.1 <chen@customers.example> unknown", During::Mail, "invalid: mx refuses it (550 5.1.1)"),
            (552, "5.2.2 full", During::Mail, "invalid: mx refuses it: too large, or the mailbox is full (552 5.2.2)"),
            (535, "chen@x", During::Login, "denied: mx does not let us in (535)"),
            (530, "5.7.0 log in", During::Mail, "denied: mx does not let us in (530 5.7.0)"),
            (454, "4.7.0", During::Login, "busy: mx takes it later (454 4.7.0)"),
        ] {
            let outcome = refusal("mx", code, text, during);
            assert_eq!(format!("{}: {}", outcome.word(), outcome.reason().unwrap()), wanted);
        }
    }
}
