//! The links of one Asterisk in the world: sockets, TLS, the clock, the dice. What is said over them is decided in the sessions.
//!
//! Everything of one switch runs in the one future of [`run`], on the core thread: no task is spawned, so what one link says comes in the
//! order in which it was heard.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{command::Command, event::Feed, seats::Places},
    switches::{
        Said, hep,
        link::{LinkStats, Reason},
        live::{Door, Outlet, READ, clock, connect, keep},
    },
};

use super::{
    http,
    session_ami::Session,
    settings::{Ami, Settings, Via},
};

/// Keeps the links of one switch until `stop`. `out` and `commands` are bounded and made by wiring; commands go over the link that
/// `dial.via` names, and each is answered once.
pub async fn run(
    settings: Arc<Settings>,
    stats: Arc<LinkStats>,
    places: watch::Receiver<Places>,
    out: mpsc::Sender<Said>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let outlet = |feed| {
        let stats = if feed == Feed::Ami { &stats.ami } else { &stats.ari };
        Outlet::new(settings.id.clone(), feed, out.clone(), stats.clone())
    };
    // Commands have one reader: the link that dials, else the one that is there (which refuses).
    let by_ari = settings.dial_via() == Some(Via::Ari) || settings.ami.is_none();
    let (for_ami, for_ari) = if by_ari { (None, Some(commands)) } else { (Some(commands), None) };
    let ami = async {
        if let Some(ami) = &settings.ami {
            let door = Door { host: &ami.host, port: ami.port, tls: ami.tls.as_ref(), secret: &ami.secret };
            let begin = |secret| Session::new(settings.clone(), ami, secret, clock());
            keep(door, begin, outlet(Feed::Ami), for_ami, stop.clone()).await;
        }
    };
    let ari = async {
        if let Some(ari) = &settings.ari {
            http::keep(settings.clone(), ari, outlet(Feed::Ari), for_ari, stop.clone()).await;
        }
    };
    let mirrored = async {
        if let Some(hep) = &settings.hep {
            let rules = |places: &Places| {
                hep.rules(settings.inside(places.directory.clone()), &settings.declared(), &settings.pairing)
            };
            // Its calls are those of its channels.
            let known = (places, Vec::new());
            hep::live::keep(&settings.id, hep, rules, known, &stats.hep, &out, &stop).await;
        }
    };
    tokio::join!(Box::pin(ami), Box::pin(ari), Box::pin(mirrored));
}

/// For `check --probe`: connects, says who answers and what the account may do. One line each; `Err` is why a link cannot be used.
pub async fn probe(settings: &Settings) -> Vec<Result<String, String>> {
    let mut lines = Vec::new();
    lines.extend(probe_link(settings, Feed::Ami).await);
    if let Some(records) = &settings.records {
        lines.push(super::cdr::live::probe(records, &settings.zone));
    }
    lines.extend(probe_link(settings, Feed::Ari).await);
    lines
}

/// The same of one link; empty where there is none, and of mirrored signalling, which only listens.
pub async fn probe_link(settings: &Settings, feed: Feed) -> Vec<Result<String, String>> {
    let (name, found) = match (feed, &settings.ami, &settings.ari) {
        (Feed::Ami, Some(ami), _) => ("AMI", timeout(Duration::from_secs(10), probe_ami(ami)).await),
        (Feed::Ari, _, Some(ari)) => ("ARI", timeout(Duration::from_secs(10), http::probe(ari)).await),
        _ => return Vec::new(),
    };
    match found {
        Ok(Ok(found)) => found.into_iter().map(Ok).collect(),
        Ok(Err(reason)) => vec![Err(format!("cannot use {name}: {reason}"))],
        Err(_) => vec![Err(format!("cannot use {name}: no answer within 10 s"))],
    }
}

async fn probe_ami(ami: &Ami) -> Result<Vec<String>, Reason> {
    let secret = ami.secret.resolve().map_err(Reason::Settings)?;
    let mut stream = connect(&ami.host, ami.port, ami.tls.as_ref(), &Default::default()).await?;
    let fields = [("Username", ami.user.as_str()), ("Secret", secret.expose()), ("Events", "off")];
    let login = super::originate::action("Login", "lc-login", &fields)
        .ok_or_else(|| Reason::Settings("there is a line end in the user or the secret of ami".to_owned()))?;
    let mut bytes = login;
    // ListCommands answers with the actions that this account may use.
    bytes.extend_from_slice(b"Action: ListCommands\r\nActionID: lc-commands\r\n\r\n");
    stream.write_all(&bytes).await.map_err(|_| Reason::Closed)?;
    let mut framer = super::ami::Framer::new();
    let mut buffer = vec![0; READ];
    loop {
        let n = stream.read(&mut buffer).await.map_err(|_| Reason::Closed)?;
        if n == 0 {
            return Err(Reason::Closed);
        }
        framer.push(buffer.get(..n).unwrap_or_default());
        let mut found = None;
        while let Some(m) = framer.take()? {
            match m.action_id().as_deref() {
                Some("lc-login") if m.response() != Some("Success") => {
                    let in_use = m.get("Message").is_some_and(|t| t.contains("Already"));
                    return Err(if in_use { Reason::AlreadyLoggedIn } else { Reason::AuthenticationFailed });
                }
                Some("lc-commands") => {
                    let may: Vec<String> = m.iter().map(|(key, _)| key.into_owned()).collect();
                    found = Some(may);
                }
                _ => {}
            }
        }
        if let Some(may) = found {
            let has = |name: &str| may.iter().any(|m| m == name);
            let mut lines = vec![format!("AMI: {}, logged in as {:?}", framer.banner().unwrap_or_default(), ami.user)];
            lines.push(format!(
                "AMI: may list channels: {}; may place calls: {}",
                yes(has("CoreShowChannels")),
                yes(has("Originate"))
            ));
            let more: Vec<&str> = ["Command", "UpdateConfig", "ModuleLoad", "DBPut", "AGI", "Redirect"]
                .into_iter()
                .filter(|n| has(n))
                .collect();
            if !more.is_empty() {
                lines.push(format!(
                    "AMI: the account may do more than linecard needs ({}); see the manager.conf lines",
                    more.join(", ")
                ));
            }
            return Ok(lines);
        }
    }
}

fn yes(may: bool) -> &'static str {
    if may { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::{
        calls::{
            command::{Failure, Made},
            event::Said as Happened,
        },
        private::Secret,
        switches::{
            Heard, LinkState,
            asterisk::tests::{SETTINGS, dial, settings},
            link,
            live::serve,
        },
    };

    const TALK: &[u8] = include_bytes!("../../../proto-fixtures/ami/attended-transfer.txt");

    /// A switch in this test: says `bytes` to whoever connects and then does as `hold` says.
    async fn ends_with(bytes: Vec<u8>, hold: bool, capacity: usize) -> (Reason, mpsc::Receiver<Said>, Arc<LinkStats>) {
        let (ours, theirs) = tokio::io::duplex(READ);
        let settings = Arc::new(settings(SETTINGS));
        let ami = settings.ami.clone().unwrap();
        let session = Session::new(settings.clone(), &ami, Secret::new("x".into()), clock());
        let (out, heard) = mpsc::channel(capacity);
        let stats = Arc::new(LinkStats::default());
        let mut outlet = Outlet::new(settings.id.clone(), Feed::Ami, out, stats.ami.clone());
        let switch = async {
            let (mut reader, mut writer) = tokio::io::split(theirs);
            let _ = writer.write_all(&bytes).await;
            let mut all = Vec::new();
            if hold {
                let _ = reader.read_to_end(&mut all).await;
            }
        };
        let stop = CancellationToken::new();
        let mut commands = None;
        let link = async { serve(ours, session, &mut outlet, &mut commands, &stop).await };
        let (reason, ()) = tokio::join!(link, switch);
        (reason, heard, stats)
    }

    fn accepted() -> Vec<u8> {
        b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: lc-login\r\nMessage: Authentication accepted\r\n\r\n".to_vec()
    }

    #[tokio::test]
    async fn junk_an_endless_line_and_a_refusal_end_the_link_with_a_reason() {
        let (reason, ..) = ends_with(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), true, 8).await;
        assert_eq!(reason, Reason::NotSpoken("AMI"));
        let mut endless = accepted();
        endless.resize(4 * 1024 * 1024, b'x');
        let (reason, ..) = ends_with(endless, true, 8).await;
        assert!(matches!(reason, Reason::Frame(_)), "{reason:?}");
        let refused = b"Asterisk Call Manager/11.0.0\r\nResponse: Error\r\nActionID: lc-login\r\nMessage: Authentication failed\r\n\r\n";
        let (reason, ..) = ends_with(refused.to_vec(), true, 8).await;
        assert_eq!(reason, Reason::AuthenticationFailed);
    }

    #[tokio::test]
    async fn a_full_channel_loses_events_but_neither_waits_nor_hides_it() {
        let mut bytes = accepted();
        bytes.extend_from_slice(TALK.strip_prefix(b"Asterisk Call Manager/11.0.0\r\n".as_slice()).unwrap());
        let (reason, mut heard, stats) = ends_with(bytes, false, 1).await;
        assert_eq!(reason, Reason::Closed, "the reader reached the end although nobody took anything");
        let first = heard.recv().await.unwrap();
        assert!(matches!(first.what, Heard::Events(_)));
        assert!(stats.ami.dropped.load(Relaxed) > 10);
    }

    #[tokio::test]
    async fn after_a_loss_a_gap_is_told_and_a_snapshot_asked_for() {
        let (out, mut heard) = mpsc::channel(1);
        let stats = Arc::new(LinkStats::default());
        let mut outlet = Outlet::new("pbx1".into(), Feed::Ami, out, stats.ami.clone());
        let one = || vec![link::lost(Feed::Ami)];
        outlet.events(one());
        outlet.events(one());
        let answer = || Heard::Answered { request: dial().request, result: Ok(Made::default()) };
        outlet.must(answer());
        assert!(heard.recv().await.is_some());
        assert!(!outlet.room().await, "what is owed comes first");
        assert_eq!(heard.recv().await.unwrap().what, answer());
        assert!(outlet.room().await, "then a snapshot is to be taken");
        let Heard::Events(events) = heard.recv().await.unwrap().what else { panic!() };
        assert_eq!(events[0].said, Happened::Gap { feed: Feed::Ami });
        assert!(!outlet.owes());
        assert_eq!((stats.ami.dropped.load(Relaxed), stats.ami.resyncs.load(Relaxed)), (1, 1));
    }

    #[tokio::test]
    async fn without_a_link_a_dial_is_refused_at_once() {
        let text = SETTINGS
            .replace("  ari: {url: 'http://127.0.0.1:8088', user: linecard, secret: {env: LINECARD_TEST}}\n", "");
        let settings = Arc::new(settings(&text));
        let (out, mut heard) = mpsc::channel(8);
        let (ask, commands) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let (_, places) = watch::channel(Places::default());
        let running = run(settings, Arc::default(), places, out, commands, stop.clone());
        let test = async {
            ask.send(Command::Dial(dial())).await.unwrap();
            let (mut down, mut refused) = (false, false);
            while !(down && refused) {
                match heard.recv().await.unwrap().what {
                    // There is no such secret in the environment of a test.
                    Heard::Link(LinkState::Down { reason }) => down = reason.contains("LINECARD_TEST"),
                    Heard::Answered { result, .. } => refused = result == Err(Failure::SwitchUnavailable),
                    other => panic!("{other:?}"),
                }
            }
            stop.cancel();
        };
        tokio::join!(running, test);
    }
}
