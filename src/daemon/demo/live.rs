//! The simulated Asterisk's sockets: a TCP server on loopback that speaks AMI, and the clock.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};

use crate::live;

use super::{
    story::{Story, Truth},
    switch::{Output, SessionId, Settings, Switch},
};

/// A simulated Asterisk that listens. It lives as long as this value; all methods return at once.
pub struct Pbx {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Whether the door is open; closed while the switch "restarts".
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Shared {
    switch: Mutex<Switch>,
    /// Something was told to the switch: the driver looks again.
    wake: Notify,
}

impl Shared {
    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pbx {
    /// Listens at `at` (port 0: any free port).
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start(settings: Settings, seed: u64, at: SocketAddr) -> io::Result<Pbx> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { switch: Mutex::new(Switch::new(settings, seed, live::now())), wake: Notify::new() });
        let (open, is_open) = watch::channel(true);
        let task = tokio::spawn(drive(Arc::clone(&shared), listener, address, is_open));
        Ok(Pbx { shared, address, open, task })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts a story; see [`Switch::play`].
    pub fn play(&self, story: Story, customer: &str, first: Option<usize>) -> Option<String> {
        let call = self.shared.switch().play(story, customer, first, live::now());
        self.shared.wake.notify_one();
        call
    }

    /// Fault: all links are cut at once.
    pub fn cut(&self) {
        self.shared.switch().cut(live::now());
        self.shared.wake.notify_one();
    }

    /// Fault: the switch restarts; connections are refused for `down`, all calls are gone, ids start again.
    pub fn restart(&self, down: Duration) {
        self.shared.switch().restart(live::now());
        let open = self.open.clone();
        open.send_replace(false);
        self.shared.wake.notify_one();
        tokio::spawn(async move {
            tokio::time::sleep(down).await;
            open.send_replace(true);
        });
    }

    /// Fault: every event comes twice.
    pub fn double(&self, on: bool) {
        self.shared.switch().double(on);
    }

    /// Fault: everything the switch says comes this much later.
    pub fn delay(&self, by: Duration) {
        self.shared.switch().delay(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        self.shared.wake.notify_one();
    }

    /// What really happened so far, in the order of the calls' start.
    #[must_use]
    pub fn ledger(&self) -> Vec<Truth> {
        self.shared.switch().ledger().to_vec()
    }

    /// Calls that are up.
    #[must_use]
    pub fn up(&self) -> usize {
        self.shared.switch().up()
    }

    /// Clients that are logged in.
    #[must_use]
    pub fn logged_in(&self) -> usize {
        self.shared.switch().logged_in()
    }

    #[must_use]
    pub fn free_seats(&self) -> Vec<usize> {
        self.shared.switch().free_seats()
    }
}

impl Drop for Pbx {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a session's reader tells the driver; an empty read is its end.
type Heard = (SessionId, Bytes);

async fn drive(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr, mut open: watch::Receiver<bool>) {
    let mut listener = Some(listener);
    let mut next: SessionId = 0;
    // Filled by the sessions' readers, drained here; a full one makes a reader wait, as a busy switch would.
    let (tell, mut heard) = mpsc::channel::<Heard>(256);
    let mut writers: HashMap<SessionId, mpsc::Sender<Bytes>> = HashMap::new();
    loop {
        let (outputs, deadline) = shared.switch().poll(live::now());
        for output in outputs {
            match output {
                Output::Send { session, bytes } => {
                    // Asterisk cuts a client that does not read for long; a full queue is that client.
                    if writers.get(&session).is_some_and(|w| w.try_send(bytes).is_err()) {
                        writers.remove(&session);
                        shared.switch().closed(session);
                    }
                }
                // Its writer ends when the sender is dropped, after what was said is out.
                Output::Close { session } => drop(writers.remove(&session)),
            }
        }
        let deadline = deadline.map(live::instant);
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep_until(deadline) => {}
            Some((session, bytes)) = heard.recv() => {
                if bytes.is_empty() {
                    writers.remove(&session);
                    shared.switch().closed(session);
                } else {
                    shared.switch().received(session, &bytes, live::now());
                }
            }
            accepted = accept(listener.as_ref()) => {
                if let Ok(stream) = accepted {
                    next += 1;
                    writers.insert(next, serve(stream, next, tell.clone()));
                    shared.switch().connected(next, live::now());
                }
            }
            changed = open.changed() => {
                if changed.is_err() {
                    return;
                }
                let want = *open.borrow_and_update();
                if !want {
                    listener = None;
                } else if listener.is_none() {
                    // The port was ours a moment ago; somebody else taking it meanwhile ends the fake, and its test with it.
                    match TcpListener::bind(address).await {
                        Ok(again) => listener = Some(again),
                        Err(error) => {
                            tracing::error!(%error, "the simulated switch cannot listen again");
                            return;
                        }
                    }
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// One client's socket: what comes is told, what is handed in is written. Answers where to hand it in.
fn serve(stream: TcpStream, session: SessionId, tell: mpsc::Sender<Heard>) -> mpsc::Sender<Bytes> {
    // About 2 MB of events at 500 bytes each, the order of what Asterisk was seen to keep for a client that does not read.
    let (hand, mut to_write) = mpsc::channel::<Bytes>(4096);
    // Nagle would make a fake look slow; a switch that fails to set it still works.
    let _ = stream.set_nodelay(true);
    let (mut read, mut write) = stream.into_split();
    let (stop, mut stopped) = watch::channel(());
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(16 * 1024);
        while let Some(bytes) = to_write.recv().await {
            batch.clear();
            batch.extend_from_slice(&bytes);
            while batch.len() < 64 * 1024 {
                match to_write.try_recv() {
                    Ok(more) => batch.extend_from_slice(&more),
                    Err(_) => break,
                }
            }
            if write.write_all(&batch).await.is_err() {
                break;
            }
        }
        // Both halves go, so that the client sees the end; its own end may already be gone.
        let _ = write.shutdown().await;
        drop(stop);
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 8 * 1024];
        loop {
            let got = tokio::select! {
                got = read.read(&mut buffer) => got.unwrap_or(0),
                // The writer is done with this client.
                _ = stopped.changed() => 0,
            };
            let bytes = Bytes::copy_from_slice(buffer.get(..got).unwrap_or_default());
            if tell.send((session, bytes)).await.is_err() || got == 0 {
                break;
            }
        }
        // Closing with unread bytes would reset the connection, and take back what the ledger says was told.
        let rest = async { while read.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    });
    hand
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader, Lines};

    use super::*;

    type Link = (Lines<BufReader<tokio::net::tcp::OwnedReadHalf>>, tokio::net::tcp::OwnedWriteHalf);

    async fn link(address: SocketAddr) -> io::Result<Link> {
        let (read, mut write) = TcpStream::connect(address).await?.into_split();
        write.write_all(b"Action: Login\r\nUsername: linecard\r\nSecret: demo\r\n\r\n").await?;
        Ok((BufReader::new(read).lines(), write))
    }

    async fn until(link: &mut Link, line: &str) {
        loop {
            let next = link.0.next_line().await.unwrap().expect("the link lives");
            if next == line {
                return;
            }
        }
    }

    #[tokio::test]
    async fn a_call_is_heard_over_tcp_and_a_restart_closes_the_door_for_a_while() {
        let at = SocketAddr::from(([127, 0, 0, 1], 0));
        let pbx = Pbx::start(Settings { pace: 0.001, ..Settings::default() }, 1, at).await.unwrap();
        let mut one = link(pbx.address()).await.unwrap();
        assert_eq!(one.0.next_line().await.unwrap().as_deref(), Some("Asterisk Call Manager/11.0.0"));
        until(&mut one, "Status: Fully Booted").await;
        pbx.play(Story::Answered, "13800138000", None).unwrap();
        until(&mut one, "Event: AgentComplete").await;
        assert_eq!(pbx.ledger().len(), 1);

        pbx.restart(Duration::from_millis(50));
        // All that was said, then the end.
        while one.0.next_line().await.unwrap_or(None).is_some() {}
        // Refused until the door opens again: each refusal is an event, there is no sleeping here.
        let mut again = loop {
            if let Ok(again) = link(pbx.address()).await {
                break again;
            }
            tokio::task::yield_now().await;
        };
        until(&mut again, "Status: Fully Booted").await;
        assert_eq!(pbx.logged_in(), 1);
    }
}
