//! One screen's socket, once its token was accepted: a small task that sends what is in the mailbox and reads what the agent
//! asks. 140,000 of them lie still most of the time, so it holds no buffer of its own.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{Closing, Line, Mailbox, Next, Screens};
use crate::{
    access::{Refused, Verifier, Who},
    agents::{
        Heard, ScreenId, Told,
        protocol::{Authenticate, Code, Done, Failed},
        wire::{self, Incoming},
    },
};

/// What a screen's task needs of the process.
pub(in crate::agents) struct Around {
    pub screens: Arc<Screens>,
    pub verifier: Arc<Verifier>,
    /// To the core.
    pub heard: mpsc::Sender<Heard>,
    /// Where public-key arithmetic runs.
    pub back: Handle,
}

/// Serves an accepted screen until it goes. The caller has opened its mailbox and said `Attached`.
pub(in crate::agents) async fn steady<S>(
    mut ws: WebSocketStream<S>,
    around: Arc<Around>,
    screen: ScreenId,
    who: Arc<Who>,
    mailbox: Arc<Mailbox>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = 0;
    let mut bad = 0;
    let closing = loop {
        let event = std::future::poll_fn(|cx| step(&mut ws, cx, &around.screens, &mailbox, &mut pings)).await;
        let text = match event {
            Event::Text(text) => text,
            Event::Close(why) => break Some(why),
            Event::Gone => break None,
        };
        let told = match wire::read(text.as_str()) {
            Ok(Incoming::Resume(resume)) => Told::Resume(resume),
            Ok(Incoming::Request(request)) => Told::Request(request),
            Ok(Incoming::Authenticate(again)) => {
                // Rare, and its future is large: not part of every task.
                Box::pin(renew(&around, &mailbox, &who, again)).await;
                continue;
            }
            Err(why) => {
                around.screens.figures.bad_frames.fetch_add(1, Ordering::Relaxed);
                bad += 1;
                if bad > MOST_BAD {
                    break Some(Closing::Unreadable);
                }
                around.screens.put(&mailbox, None, wire::refusal(crate::live::now().wall, &why));
                continue;
            }
        };
        // Waiting here holds up this screen alone.
        if around.heard.send(Heard { screen, what: told }).await.is_err() {
            break Some(Closing::Away);
        }
    };
    around.screens.close(screen);
    // The core hears it before the last words are said, which may take their time.
    let _ = around.heard.send(Heard { screen, what: Told::Detached }).await;
    if let Some(why) = closing {
        if why == Closing::Dead {
            around.screens.figures.closed_dead.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(last_words(ws, &mailbox, why)).await;
    }
}

/// The farewell, behind what another began to write; none where that cannot be brought to its end.
async fn last_words<S>(mut ws: WebSocketStream<S>, mailbox: &Mailbox, why: Closing)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let begun = std::future::poll_fn(|cx| mailbox.begin(|bytes| Pin::new(ws.get_mut()).poll_write(cx, bytes)));
    if matches!(tokio::time::timeout(LAST_WORDS, begun).await, Ok(Ok(()))) {
        farewell(ws, why.code(), why.reason()).await;
    }
}

enum Event {
    Text(Utf8Bytes),
    Close(Closing),
    Gone,
}

fn step<S>(
    ws: &mut WebSocketStream<S>,
    cx: &mut Context<'_>,
    screens: &Screens,
    mailbox: &Mailbox,
    pings: &mut u8,
) -> Poll<Event>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    mailbox.register(cx.waker());
    let mut ping = mailbox.take_ping();
    if ping && *pings >= MOST_PINGS {
        return Poll::Ready(Event::Close(Closing::Dead));
    }
    match mailbox.begin(|bytes| Pin::new(ws.get_mut()).poll_write(cx, bytes)) {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
        Poll::Pending => {
            *pings += u8::from(ping);
            return mailbox.closing().map_or(Poll::Pending, |why| Poll::Ready(Event::Close(why)));
        }
    }
    loop {
        match Pin::new(&mut *ws).poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
            Poll::Pending => {
                if ping {
                    // It counts although it cannot be sent: who does not read does not answer.
                    *pings += 1;
                }
                match mailbox.closing() {
                    Some(why) => return Poll::Ready(Event::Close(why)),
                    None => break,
                }
            }
        }
        let message = if ping {
            ping = false;
            *pings += 1;
            Message::Ping(Bytes::new())
        } else {
            match screens.take(mailbox) {
                Next::Nothing => break,
                Next::Close(why) => return Poll::Ready(Event::Close(why)),
                Next::Frame(frame) => match Utf8Bytes::try_from(frame) {
                    Ok(text) => {
                        screens.figures.frames_sent.fetch_add(1, Ordering::Relaxed);
                        Message::Text(text)
                    }
                    // Frames are made by serde_json, which writes UTF-8 only.
                    Err(_) => continue,
                },
            }
        };
        if Pin::new(&mut *ws).start_send(message).is_err() {
            return Poll::Ready(Event::Gone);
        }
    }
    let mut flushed = match Pin::new(&mut *ws).poll_flush(cx) {
        Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
        flushed => flushed.is_ready(),
    };
    loop {
        match Pin::new(&mut *ws).poll_next(cx) {
            Poll::Pending => {
                if flushed && !mailbox.rest() {
                    // Something came while we read.
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(message))) => {
                // Whatever comes shows that somebody is there.
                *pings = 0;
                match message {
                    Message::Text(text) => return Poll::Ready(Event::Text(text)),
                    // Read as a frame that is no JSON object, and answered as such.
                    Message::Binary(_) => return Poll::Ready(Event::Text(Utf8Bytes::from_static("binary"))),
                    Message::Pong(_) | Message::Frame(_) => {}
                    // The library answers, and what it has to say must be out before anybody else writes.
                    Message::Ping(_) => flushed = matches!(Pin::new(&mut *ws).poll_flush(cx), Poll::Ready(Ok(()))),
                    // The library answers; the next read ends the stream.
                    Message::Close(_) => flushed = false,
                }
            }
            Poll::Ready(Some(Err(Error::Capacity(_)))) => return Poll::Ready(Event::Close(Closing::TooLarge)),
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Event::Gone),
        }
    }
}

/// A socket that whoever delivers a pop may write to as well: reads and the task's own writes are as ever.
pub(in crate::agents) struct Shared(pub Arc<TcpStream>);

impl Line for TcpStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            std::task::ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buf.initialize_unfilled()) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.0).shutdown(std::net::Shutdown::Write))
    }
}

/// A fresh token of the same agent lets the socket stay on, with nothing lost.
async fn renew(around: &Around, mailbox: &Mailbox, who: &Who, again: Authenticate) {
    let checked = verify(around, again.token.expose()).await;
    let now = crate::live::now().wall;
    let message = match checked {
        Ok(new) if new.agent == who.agent && new.tenant == who.tenant => {
            mailbox.renew(new.expires);
            None
        }
        Ok(_) => Some("the token is another agent's".to_owned()),
        Err(refused) => Some(refused.to_string()),
    };
    if message.is_some() {
        around.screens.figures.refused_token.fetch_add(1, Ordering::Relaxed);
    }
    let id = again.id.as_deref();
    let frame = match (message, id) {
        (Some(message), id) => {
            wire::write(0, now, &Failed { id, code: Code::Unauthenticated, message: &message, agent: None, name: None })
        }
        (None, Some(id)) => wire::write(0, now, &Done::of(id)),
        (None, None) => return,
    };
    around.screens.put(mailbox, None, frame);
}

/// Checks a token: at once where that is cheap, else on the back runtime.
pub(in crate::agents) async fn verify(around: &Around, token: &str) -> Result<Arc<Who>, Refused> {
    let now = crate::live::now().wall;
    if let Some(who) = around.verifier.remembered(token, now) {
        return Ok(who);
    }
    if !around.verifier.is_dear() {
        return around.verifier.verify(token, now);
    }
    let (verifier, token) = (around.verifier.clone(), token.to_owned());
    let task = around.back.spawn(async move { verifier.verify(&token, now) });
    task.await.unwrap_or(Err(Refused::Malformed))
}

/// Says why, and reads on for a moment: closing a socket with unread bytes in it would take the reason back.
pub(in crate::agents) async fn farewell<S>(mut ws: WebSocketStream<S>, code: u16, reason: &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
    let _ = tokio::time::timeout(LAST_WORDS, async {
        if ws.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = ws.next().await {}
        }
    })
    .await;
}

/// Pings without an answer before a screen counts as dead.
const MOST_PINGS: u8 = 2;

/// Frames that cannot be read before a client counts as broken: a newer client may send a few types we do not know.
const MOST_BAD: u32 = 100;

/// A slow reader may still take what the kernel holds for it.
const LAST_WORDS: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of 140,000 screens costs this; a careless local across an await shows here first. It was 1264 bytes
    /// (debug build, in-memory socket) when this was written; the aim is 1024.
    #[tokio::test]
    async fn the_steady_task_is_small() {
        let (socket, _other) = tokio::io::duplex(64);
        let ws = WebSocketStream::from_raw_socket(socket, tokio_tungstenite::tungstenite::protocol::Role::Server, None)
            .await;
        let screens = Arc::new(Screens::new(&super::super::Limits::default()));
        let mailbox = screens.open(ScreenId(1), crate::words::Wall(0), None);
        let (heard, _hears) = mpsc::channel(1);
        let verifier = Arc::new(Verifier::new("desk", "linecard", crate::access::Keys::default()));
        let around = Arc::new(Around { screens, verifier, heard, back: Handle::current() });
        let who = Arc::new(Who {
            tenant: "default".into(),
            agent: "1001".into(),
            roles: [].into(),
            teams: [].into(),
            device: None,
            expires: crate::words::Wall(0),
        });
        let size = size_of_val(&steady(ws, around, ScreenId(1), who, mailbox));
        assert!(size <= 1280, "{size} bytes");
    }
}
