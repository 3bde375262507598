//! Mail to a server that breaks off, lies or is silent at the worst moment: what is not known is said, and no password goes where it should not.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

const FILE: &str = include_str!("../config/connectors/mail.yaml");

/// A mail server that answers each command by what `says` of it: a reply, or nothing for ever, or (`None`) the end of the connection. The end of the content is told as ".".
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn new(says: fn(&str) -> Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = Self { port: listener.local_addr().unwrap().port(), heard: heard.clone() };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let (read, mut write) = socket.into_split();
                    let mut lines = BufReader::new(read).lines();
                    write.write_all(b"220 fake ESMTP\r\n").await.unwrap();
                    let mut content = false;
                    while let Ok(Some(line)) = lines.next_line().await {
                        heard.lock().unwrap().push(line.clone());
                        if content && line != "." {
                            continue;
                        }
                        let Some(reply) = says(&line) else { return };
                        content = reply.starts_with("354");
                        if write.write_all(reply.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    /// Sends a mail there, in the clear and without a login, unless `login`.
    async fn mail(&self, login: bool) -> Outcome {
        let server = "host: \"127.0.0.1\", from: \"{{ from }}\"";
        let given = match login {
            true => format!("smtp: {{{server}, port: {}, user: \"{{{{ user }}}}\", secret: password}}", self.port),
            false => format!("smtp: {{{server}, port: {}, tls: none}}", self.port),
        };
        let line = FILE.lines().find(|line| line.starts_with("smtp:")).unwrap();
        let file = FILE.replace(line, &given).replace("{env: SMTP_PASSWORD}", "{env: PATH}");
        let system = connectors::load("mail.yaml", &file).unwrap_or_else(|p| panic!("{p:#?}"));
        let inputs = json!({"call": "01KAQ2V8M0Q2ZC5T7R9W3X1Y4Z", "key": "k-1", "to": "anna@customers.example", "subject": "s", "text": "t"});
        let ask = Ask {
            tenant: Default::default(),
            system: "mail".into(),
            operation: "mail.send".to_owned(),
            inputs: inputs.as_object().cloned().unwrap(),
            deadline: Duration::from_millis(700),
            priority: Priority::Background,
        };
        Connectors::new(Set::new(vec![system])).run(ask).await
    }

    fn heard(&self, word: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|line| line.starts_with(word))
    }
}

/// A server without extensions that takes everything.
fn usual(line: &str) -> &'static str {
    match line.split_whitespace().next().unwrap_or_default() {
        "DATA" => "354 go on\r\n",
        "." => "250 2.0.0 queued\r\n",
        "EHLO" => "250-fake\r\n250 8BITMIME\r\n",
        _ => "250 2.0.0 fine\r\n",
    }
}

#[tokio::test]
async fn what_is_lost_at_the_end_is_unknown_and_what_is_lost_before_is_later() {
    let taken = Server::new(|line| Some(usual(line))).await;
    let Outcome::Ok(sent) = taken.mail(false).await else { panic!() };
    assert_eq!(sent["reply"], "250 2.0.0 queued");
    assert!(taken.heard("EHLO example.com") && taken.heard(&format!("Message-ID: {}", sent["id"].as_str().unwrap())));

    // Closed, or silent, when it has the mail: it may be on its way, and only a person can tell.
    let closed = Server::new(|line| (line != ".").then(|| usual(line))).await;
    assert_eq!(closed.mail(false).await, Outcome::Unknown { reason: "mail broke off when it had the mail".to_owned() });
    let silent = Server::new(|line| Some(if line == "." { "" } else { usual(line) })).await;
    let reason = "mail has the mail and did not say in time whether it takes it".to_owned();
    assert_eq!(silent.mail(false).await, Outcome::Unknown { reason });
    let nonsense = Server::new(|line| Some(if line == "." { "what?\r\n" } else { usual(line) })).await;
    assert!(matches!(nonsense.mail(false).await, Outcome::Unknown { .. }));

    // It says no, or goes before it had it: nothing was done.
    let later = Server::new(|line| Some(if line == "." { "421 4.3.2 going down\r\n" } else { usual(line) })).await;
    assert_eq!(later.mail(false).await, Outcome::Busy { reason: "mail takes it later (421 4.3.2)".to_owned() });
    for command in ["EHLO", "MAIL", "RCPT", "DATA"] {
        let gone = match command {
            "EHLO" => Server::new(|line| (!line.starts_with("EHLO")).then(|| usual(line))).await,
            "MAIL" => Server::new(|line| (!line.starts_with("MAIL")).then(|| usual(line))).await,
            "RCPT" => Server::new(|line| Some(if line.starts_with("RCPT") { "" } else { usual(line) })).await,
            _ => Server::new(|line| (!line.starts_with("DATA")).then(|| usual(line))).await,
        };
        let outcome = gone.mail(false).await;
        assert!(matches!(&outcome, Outcome::Busy { .. }), "{command}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_is_told_no_password() {
    let stripped = Server::new(|line| {
        Some(if line.starts_with("EHLO") { "250-fake\r\n250 AUTH PLAIN LOGIN\r\n" } else { usual(line) })
    })
    .await;
    let reason = "mail does not offer STARTTLS, and nothing is told in the clear".to_owned();
    assert_eq!(stripped.mail(true).await, Outcome::Denied { reason });
    // One that says it does and speaks no TLS then.
    let lying =
        Server::new(|line| Some(if line.starts_with("EHLO") { "250-fake\r\n250 STARTTLS\r\n" } else { usual(line) }))
            .await;
    let outcome = lying.mail(true).await;
    assert!(matches!(&outcome, Outcome::Busy { .. }), "{outcome:?}");
    assert!(!stripped.heard("AUTH") && !lying.heard("AUTH") && !stripped.heard("MAIL"));
}

#[test]
fn a_file_that_would_tell_a_password_in_the_clear_is_refused() {
    let told = |change: &dyn Fn(String) -> String| -> Vec<String> {
        let problems = connectors::load_offline("mail.yaml", &change(FILE.to_owned())).err().unwrap_or_default();
        problems.into_iter().map(|p| format!("{}: {}", p.key, p.found)).collect()
    };
    assert_eq!(
        told(&|file| file.replace("secret: password,", "secret: password, tls: none,")),
        ["smtp.tls: the password would go in the clear"]
    );
    assert_eq!(
        told(&|file| file.replace("user: \"{{ user }}\", ", "")),
        ["smtp: a user without a password, or a password without a user"]
    );
    assert_eq!(told(&|file| file.replace("desk@example.com>\"}", "desk>\"}")), ["smtp.from: no address"]);
    assert_eq!(
        told(&|file| file.replace("{name: log in}", "{name: log in, mail: {to: a@b.example, subject: s, text: t}}")),
        ["operations.check.steps: a question would send a mail"]
    );
    assert_eq!(
        told(&|file| file.replace("{name: log in}", "{name: log in, path: /x}")),
        ["operations.check.steps[0]: this file's system takes no path, query, headers or body"]
    );
    let two = told(&|file| format!("{file}\ncsv: {{path: x, find_by: {{a: text}}}}\n"));
    assert_eq!(two.first().map(String::as_str), Some(": two places where the system is"));
}

#[test]
fn rules_may_ask_for_a_mail() {
    let rules = "rules: [{name: a missed call is told, when: {}, do: [{step: mail, operation: mail.send, inputs: {to: desk@example.com, subject: Missed, text: x}}]}]";
    let read = |text: &str| linecard::records::rules::Rules::read("rules.yaml", text);
    assert!(read(rules).is_ok());
    let told = read(&rules.replace("to: desk@example.com, ", "")).err().unwrap();
    assert_eq!(told[0].found, "mail.send needs the input to");
}
