//! `config/connectors/mail.yaml` on a real Exim whose inbox can be read. What breaks off at the worst moment is in `mail.rs`.

use std::{fs, path::Path, time::Duration};

use linecard::connectors::{Idempotency, Outcome};
use serde_json::{Value, json};

use crate::{
    daemon::Desk,
    flows::{QUICK, configure, mail_text, refund},
    real_kinds::{Only, env, load},
};

const FILE: &str = include_str!("../config/connectors/mail.yaml");
const CALL: &str = "01KAQ2V8M0Q2ZC5T7R9W3X1Y4Z";

fn mail(change: impl Fn(String) -> String) -> Only {
    let file = FILE.replace("\nsmtp:", &format!("\ntls_ca: {}\nsmtp:", env("SMTP_CA")));
    let values =
        [("host", env("SMTP_HOST")), ("user", env("SMTP_USER")), ("from", "客服中心 <desk@biz.example>".to_owned())];
    Only::new(load(&change(file), &values))
}

fn to(key: &str, to: &str) -> Value {
    json!({"call": CALL, "key": key, "to": to, "subject": "您的来电已受理", "text": "第一行\n.第二行\n"})
}

/// The mails in the inbox with these words.
fn inbox(words: &str) -> Vec<String> {
    let folder = Path::new(&env("SMTP_INBOX")).join("new");
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mails = files.filter_map(|file| fs::read_to_string(file.unwrap().path()).ok());
    mails.filter(|mail| mail.contains(words)).collect()
}

/// Waits until so many are there: Exim says yes and delivers then.
async fn delivered(words: &str, count: usize) -> Vec<String> {
    let there = async {
        loop {
            let mails = inbox(words);
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), there).await.unwrap_or_else(|_| panic!("{words} did not come"))
}

fn key() -> String {
    ulid::Ulid::new().to_string()
}

#[tokio::test]
async fn a_mail_comes_as_it_was_written_and_what_the_server_said_is_kept() {
    let mail = mail(|file| file);
    assert_eq!(mail.ok("check", json!({})).await, json!({"login": "linecard", "server": env("SMTP_HOST")}));
    assert!(mail.systems.standing()[0].certificate_ends.is_some());
    assert_eq!(mail.systems.idempotency(&"mail".into(), "mail.send"), Idempotency::None);
    let mut inputs = to(&key(), "陈静 <chen.jing@customers.example>, anna@customers.example");
    inputs["html"] = "<p>第一行</p>".into();
    inputs["reply_to"] = "answers@biz.example".into();
    inputs["cc"] = "boss@biz.example".into();
    let sent = mail.ok("mail.send", inputs).await;
    assert!(sent["reply"].as_str().unwrap().starts_with("250 OK id="), "{sent}");
    let id = sent["id"].as_str().unwrap();
    let came = &delivered(id, 1).await[0];
    for wanted in [
        &format!("Message-ID: {id}"),
        "Auto-Submitted: auto-generated",
        "Reply-To: answers@biz.example",
        "Cc: boss@biz.example",
        "esmtpsa",
        "multipart/alternative",
        "Subject: =?utf-8?b?5oKo55qE5p2l55S15bey5Y+X55CG?=",
    ] {
        assert!(came.contains(wanted), "{wanted} is not in {came}");
    }
    assert!(came.is_ascii(), "{came}");
    assert_eq!(delivered(id, 3).await.len(), 3, "one for each of the three");
    // A line that is a dot, or begins with one, ends nothing.
    let dots = json!({"call": CALL, "key": key(), "to": "anna@customers.example", "subject": "dots", "text": "one\n.\n..two\nend"});
    let sent = mail.ok("mail.send", dots).await;
    let came = &delivered(sent["id"].as_str().unwrap(), 1).await[0];
    assert!(came.contains("one\n.\n..two\nend"), "{came}");
}

#[tokio::test]
async fn a_refusal_is_later_or_never_and_nothing_is_sent_to_the_others() {
    let mail = mail(|file| file);
    let word = async |to_whom: &str| {
        let key = key();
        let outcome = mail.run("mail.send", to(&key, to_whom)).await;
        assert!(!outcome.reason().unwrap_or_default().contains('@'), "{outcome:?}");
        outcome
    };
    let busy = Outcome::Busy { reason: "mail takes it later (451 4.7.1)".to_owned() };
    assert_eq!(word("later@customers.example").await, busy);
    assert_eq!(
        word("never@customers.example").await,
        Outcome::Invalid { reason: "mail refuses it (550 5.1.1)".to_owned() }
    );
    let full = Outcome::Invalid { reason: "mail refuses it: too large, or the mailbox is full (552 5.2.2)".to_owned() };
    assert_eq!(word("full@customers.example").await, full);
    assert_eq!(
        word("anna@elsewhere.example").await,
        Outcome::Invalid { reason: "mail refuses it (550 5.7.1)".to_owned() }
    );
    assert!(matches!(word("not an address").await, Outcome::Invalid { reason } if reason.contains("no addresses")));
    // One of two is refused: the other gets nothing either, and so nothing twice.
    let alone = format!("only-{}@customers.example", key().to_lowercase());
    assert!(matches!(word(&format!("{alone}, never@customers.example")).await, Outcome::Invalid { .. }));
    // After the content a refusal is a refusal still.
    let say = async |subject: &str| {
        let mut inputs = to(&key(), "anna@customers.example");
        inputs["subject"] = subject.into();
        mail.run("mail.send", inputs).await
    };
    assert_eq!(say("not now").await, Outcome::Busy { reason: "mail takes it later (451 4.3.2)".to_owned() });
    assert_eq!(say("unwanted").await, Outcome::Invalid { reason: "mail refuses it (550 5.6.0)".to_owned() });
    let mut large = to(&key(), "anna@customers.example");
    large["text"] = "x".repeat(100_000).into();
    assert!(
        matches!(mail.run("mail.send", large.clone()).await, Outcome::Invalid { reason } if reason.contains("552"))
    );
    large["text"] = "x".repeat(2_000_000).into();
    assert!(matches!(mail.run("mail.send", large).await, Outcome::Invalid { .. }));
    assert!(matches!(say("x\nBcc: all@customers.example").await, Outcome::Invalid { .. }));
    // What was taken after all these is there, and of them nothing is.
    let last = mail.ok("mail.send", to(&key(), "last@customers.example")).await;
    delivered(last["id"].as_str().unwrap(), 1).await;
    assert_eq!(inbox(&alone).len(), 0);
}

#[tokio::test]
async fn no_password_goes_where_it_should_not() {
    let denied = |outcome: Outcome| match outcome {
        Outcome::Denied { reason } => reason,
        other => panic!("{other:?}"),
    };
    let wrong = mail(|file| file.replace("SMTP_PASSWORD", "SMTP_USER"));
    assert_eq!(denied(wrong.run("check", json!({})).await), "mail does not let us in (535)");
    // A certificate by somebody else.
    let stranger = mail(|file| file.replace(&env("SMTP_CA"), &env("LDAP_CA")));
    let outcome = stranger.run("mail.send", to(&key(), "anna@customers.example")).await;
    assert!(matches!(&outcome, Outcome::Busy { reason } if reason.contains("certificate")), "{outcome:?}");
}

/// The refund flow to its end: what the customer has in writing is in a real inbox, once, and nothing of a refund that came to nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_in_the_customers_inbox_when_it_is_done_and_not_when_it_is_taken_back() {
    let mut desk = Desk::set(1.0).await;
    desk.stage.write("rules.yaml", "rules: []\n").unwrap();
    desk.stage
        .write("connectors/mail.yaml", &FILE.replace("\nsmtp:", &format!("\ntls_ca: {}\nsmtp:", env("SMTP_CA"))))
        .unwrap();
    let values = format!(
        "connectors: {{mail: {{host: {}, user: {}, from: desk@biz.example}}}}\n",
        env("SMTP_HOST"),
        env("SMTP_USER")
    );
    configure(&desk, &format!("{QUICK}{values}"));
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    // Two of three hundred orders' worth: no other test, and no run of before, has this amount in its inbox.
    let amount = format!("{}.{:02}", 300 + rand::random::<u32>() % 100, rand::random::<u32>() % 100);
    let ended =
        refund(&desk, "13900139000", "SO-20261119-08", &[&amount, "499.10", "499.20", "499.30", "499.40", "499.50"])
            .await;
    assert_eq!((ended[0]["state"].as_str(), ended[5]["state"].as_str()), (Some("done"), Some("undone")));
    let came = delivered("Envelope-to: li.wei@customers.example", 1).await;
    let of =
        |amount: &str| came.iter().filter(|mail| mail_text(mail).contains(&format!("{amount} for your order"))).count();
    assert_eq!(of(&amount), 1, "{came:?}");
    assert_eq!(of("499.50"), 0);
}
