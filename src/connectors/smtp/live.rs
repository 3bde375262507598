//! A mail server, told. One connection a mail: mail is rare, and a connection that rests is closed by servers anyway.
//!
//! Up to the end of DATA nothing is done, whatever breaks; from the first byte of the content until the server's word nobody can tell.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use lettre::{
    address::Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsVersion},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use serde_json::json;

use crate::words::certificate::Ends;

use super::{
    super::{
        Outcome,
        kinds::MailTls,
        run::{Payload, Response, Trouble},
        set::MailServer,
    },
    During, Mail, refusal,
};

/// The way to one mail server. Clones share it.
#[derive(Clone)]
pub struct Smtp {
    name: Arc<str>,
    server: Arc<MailServer>,
    tls: Option<TlsParameters>,
    hello: ClientId,
    /// When the server's certificate ends.
    pub ends: Ends,
}

impl Smtp {
    /// # Errors
    /// A fragment that names what of the file cannot be used.
    pub fn new(name: &str, server: &MailServer) -> Result<Self, String> {
        let tls = match server.tls {
            MailTls::None => None,
            MailTls::Starttls | MailTls::Wrapped => {
                let mut builder = TlsParameters::builder(server.host.clone()).set_min_tls_version(TlsVersion::Tlsv12);
                if let Some(ca) = server.tls_ca.as_deref() {
                    let wrong = |_| format!("{ca} holds no certificate");
                    let pem = crate::live::pem(Path::new(ca))?;
                    builder = builder
                        .certificate_store(CertificateStore::None)
                        .add_root_certificate(Certificate::from_pem(&pem).map_err(wrong)?);
                }
                Some(builder.build_rustls().map_err(|_| "cannot prepare TLS to the mail server".to_owned())?)
            }
        };
        let hello = ClientId::Domain(server.hello.clone());
        Ok(Self { name: name.into(), server: Arc::new(server.clone()), tls, hello, ends: Ends::default() })
    }

    /// Sends, or with no mail only logs in; waits at most until `deadline`.
    pub async fn send(&self, mail: Option<Mail>, deadline: Instant) -> Result<Response, Trouble> {
        let begun = AtomicBool::new(false);
        let in_time = tokio::time::Instant::from_std(deadline);
        let answer = tokio::time::timeout_at(in_time, self.talk(mail.as_ref(), &begun)).await;
        let name = &self.name;
        match answer {
            Ok(answer) => answer,
            Err(_) if begun.load(Ordering::Relaxed) => {
                Err(Trouble::NoAnswer(format!("{name} has the mail and did not say in time whether it takes it")))
            }
            Err(_) => Err(Trouble::NotSent(format!("{name} was too slow, and nothing was sent"))),
        }
    }

    async fn talk(&self, mail: Option<&Mail>, begun: &AtomicBool) -> Result<Response, Trouble> {
        let before = |during: During| move |error: Error| self.failed(&error, during, false);
        let denied = |why: &str| Trouble::Told(Outcome::Denied { reason: format!("{} {why}", self.name) });
        let (host, port) = (self.server.host.as_str(), self.server.port);
        let wrapped = self.tls.clone().filter(|_| self.server.tls == MailTls::Wrapped);
        let mut connection = AsyncSmtpConnection::connect_tokio1((host, port), None, &self.hello, wrapped, None)
            .await
            .map_err(before(During::Login))?;
        if let Some(tls) = self.tls.clone().filter(|_| self.server.tls == MailTls::Starttls) {
            if !connection.can_starttls() {
                return Err(denied("does not offer STARTTLS, and nothing is told in the clear"));
            }
            connection.starttls(tls, &self.hello).await.map_err(before(During::Login))?;
        }
        // In the clear there is none.
        if let Ok(certificate) = connection.peer_certificate() {
            self.ends.saw(&certificate);
        }
        if let Some((user, password)) = &self.server.login {
            let known = [Mechanism::Plain, Mechanism::Login];
            let offers = |mechanism: &Mechanism| {
                connection.server_info().supports_feature(Extension::Authentication(*mechanism))
            };
            if !known.iter().any(offers) {
                return Err(denied("offers no login that we know"));
            }
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection.auth(&known, &credentials).await.map_err(before(During::Login))?;
        }
        let Some(mail) = mail else {
            let body = json!({"server": self.server.host, "user": self.server.login.as_ref().map(|(user, _)| user)});
            connection.abort().await;
            return Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(body) });
        };
        let mut parameters = Vec::new();
        let wide = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
        if mail.envelope.from().into_iter().chain(mail.envelope.to()).any(wide) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let reason = format!("{} does not take addresses with such letters", self.name);
                return Err(Trouble::Told(Outcome::Invalid { reason }));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = MailFrom::new(mail.envelope.from().cloned(), parameters);
        connection.command(from).await.map_err(before(During::Mail))?;
        // For all or for nobody: what one of them is refused for is the mail's end, before its content is told.
        for to in mail.envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(before(During::Mail))?;
        }
        connection.command(Data).await.map_err(before(During::Mail))?;
        begun.store(true, Ordering::Relaxed);
        let reply = connection.message(&mail.bytes).await.map_err(|error| self.failed(&error, During::Mail, true))?;
        let words: Vec<&str> = reply.message().collect();
        let body = json!({"message_id": mail.message_id, "reply": format!("{} {}", reply.code(), words.join(" "))});
        // It is taken; whether the goodbye is heard changes nothing.
        tokio::spawn(async move { connection.abort().await });
        Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(body) })
    }

    fn failed(&self, error: &Error, during: During, begun: bool) -> Trouble {
        let name = &self.name;
        if let Some(code) = error.status() {
            let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            return Trouble::Told(refusal(name, code.into(), &text, during));
        }
        match begun {
            true => Trouble::NoAnswer(format!("{name} broke off when it had the mail")),
            false if error.is_tls() || untrusted(error) => Trouble::NotSent(format!(
                "{name} cannot be spoken to over TLS: its certificate is not believed, or it speaks none"
            )),
            false => Trouble::NotSent(format!("{name} cannot be reached, or broke off before the mail was sent")),
        }
    }
}

/// Whether TLS failed below: the library tells it as a trouble of the network.
fn untrusted(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || io.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        next = error.source();
    }
    false
}
