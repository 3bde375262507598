//! The links of one FreeSWITCH in the world. What is said over them is decided in the session.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{Command, event::Feed},
    private::Secret,
    switches::{
        Said,
        link::{self, Output, Reason, Session as _},
        live::{Door, Outlet, READ, clock, connect, keep},
    },
};

use super::{
    session::{Login, Session},
    settings::Settings,
};

/// Keeps both connections until `stop`: one hears, and is the link; the other carries commands, each of which is answered once.
pub async fn run(
    settings: Arc<Settings>,
    stats: Arc<link::Stats>,
    out: mpsc::Sender<Said>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let outlet = |stats| Outlet::new(settings.id.clone(), Feed::Esl, out.clone(), stats);
    let hears = |secret| Session::hears(&settings, login(&settings, secret), clock());
    let asks = |secret| Session::asks(settings.clone(), login(&settings, secret), clock());
    let hearing = keep(door(&settings), hears, outlet(stats), None, stop.clone());
    let asking = keep(door(&settings), asks, outlet(Arc::default()).beside(), Some(commands), stop.clone());
    tokio::join!(Box::pin(hearing), Box::pin(asking));
}

fn door(settings: &Settings) -> Door<'_> {
    let socket = &settings.event_socket;
    Door { host: &socket.host, port: socket.port, tls: socket.tls.as_ref(), secret: &socket.secret }
}

fn login(settings: &Settings, secret: Secret) -> Login {
    Login { user: settings.event_socket.user.clone(), secret }
}

/// For `check --probe`: logs in as the daemon would and says who answers and what is missing. `Err` is why it cannot be used.
pub async fn probe(settings: &Settings) -> Vec<Result<String, String>> {
    match timeout(Duration::from_secs(10), probe_both(settings)).await {
        Ok(Ok(lines)) => lines.into_iter().map(Ok).collect(),
        Ok(Err(reason)) => vec![Err(format!("cannot use the event socket: {reason}"))],
        Err(_) => vec![Err("cannot use the event socket: no answer within 10 s".to_owned())],
    }
}

async fn probe_both(settings: &Settings) -> Result<Vec<String>, Reason> {
    let secret = || settings.event_socket.secret.resolve().map_err(Reason::Settings);
    let hears = Session::hears(settings, login(settings, secret()?), clock());
    let mut lines = until_up(settings, hears, "events").await?;
    let asks = Session::asks(Arc::new(settings.clone()), login(settings, secret()?), clock());
    lines.extend(until_up(settings, asks, "commands").await?);
    Ok(lines)
}

/// What a session has to say until it is logged in.
async fn until_up(settings: &Settings, mut session: Session, what: &str) -> Result<Vec<String>, Reason> {
    let door = door(settings);
    let mut stream = connect(door.host, door.port, door.tls, &Default::default()).await?;
    let mut buffer = vec![0; READ];
    let mut lines = Vec::new();
    loop {
        match session.poll(clock()) {
            Output::Send(bytes) => stream.write_all(&bytes).await.map_err(|_| Reason::Closed)?,
            Output::Up { version } => {
                let user = settings.event_socket.user.as_deref().unwrap_or("the socket's own password");
                lines.push(format!("event socket, {what}: {version}, logged in with {user:?}"));
                let _ = stream.write_all(Session::GOODBYE).await;
                return Ok(lines);
            }
            Output::Note(text) => lines.push(format!("event socket, {what}: {text}")),
            Output::Failed(reason) => return Err(reason),
            Output::Events(_) | Output::Answered { .. } => {}
            Output::Wait(_) => match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => session.closed(),
                Ok(n) => session.read(clock(), buffer.get(..n).unwrap_or_default()),
            },
        }
    }
}
