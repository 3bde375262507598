//! What waits for a screen, and the book of all screens.
//!
//! The core pushes and never waits; the screen's task takes and sends. Where nothing waits and the screen's task is at rest, a frame is
//! written to the socket by who delivers it: waking the task's thread took three times as long as the write (2 cores, `benches/pop`). A mailbox is bounded in frames and bytes, all together have a budget. When one is full, newer states take the place of older ones; when that does not help, the screen is slow: it is
//! closed with 1013 and comes back by `resume`. A slow screen costs nobody else anything.

pub mod live;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use dashmap::DashMap;
use futures_util::task::AtomicWaker;

use crate::words::Wall;

use super::{CoalesceKey, Deliver, Limits, ScreenId};

/// Why a screen is closed from here; the WebSocket close code with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closing {
    /// It reads too slowly, or the daemon has no room: come back.
    Slow,
    /// Its token expired.
    Expired,
    /// The daemon goes away: come back.
    Away,
    /// Two pings without an answer.
    Dead,
    /// It sent too many frames that could not be read.
    Unreadable,
    TooLarge,
    /// The core is full: come back.
    Full,
    /// The agent opened more screens than one person looks at.
    TooMany,
}

impl Closing {
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Away => 1001,
            Self::TooLarge => 1009,
            Self::Slow | Self::Full | Self::Dead => 1013,
            Self::Unreadable => 4400,
            Self::TooMany => 4429,
            Self::Expired => 4401,
        }
    }

    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Away => "the daemon goes away",
            Self::TooLarge => "a frame above 64 KiB",
            Self::Slow => "reading too slowly",
            Self::Full => "the daemon is full",
            Self::Dead => "no answer to pings",
            Self::Unreadable => "too many bad frames",
            Self::TooMany => "too many screens of one agent",
            Self::Expired => "token expired",
        }
    }
}

/// Counters of the door, read by whoever makes metrics of them.
#[derive(Debug, Default)]
pub struct Figures {
    /// Screens open now.
    pub screens: AtomicUsize,
    /// Bytes waiting in mailboxes now.
    pub queued_bytes: AtomicUsize,
    pub accepted: AtomicU64,
    pub frames_sent: AtomicU64,
    /// Frames that a newer one replaced before they were sent.
    pub coalesced: AtomicU64,
    pub closed_slow: AtomicU64,
    pub closed_dead: AtomicU64,
    pub bad_frames: AtomicU64,
    pub refused_origin: AtomicU64,
    pub refused_token: AtomicU64,
    pub refused_request: AtomicU64,
    pub refused_full: AtomicU64,
    pub authenticate_timeouts: AtomicU64,
}

/// All screens of this process. The core delivers, the shards open and close.
pub struct Screens {
    open: DashMap<ScreenId, Arc<Mailbox>>,
    pub figures: Arc<Figures>,
    frames: usize,
    bytes: usize,
    total: usize,
}

impl Screens {
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            open: DashMap::new(),
            figures: Arc::default(),
            frames: limits.queued_frames,
            bytes: limits.queued_bytes,
            total: limits.queued_bytes_total,
        }
    }

    /// Puts a frame into a screen's mailbox and wakes its task. Never waits. A screen that is gone is no error: its
    /// `Detached` is on the way.
    pub fn deliver(&self, deliver: Deliver) {
        if let Some(mailbox) = self.open.get(&deliver.screen) {
            self.put(&mailbox, deliver.key, deliver.frame);
        }
    }

    fn put(&self, mailbox: &Mailbox, key: Option<CoalesceKey>, frame: Bytes) {
        let mut queue = mailbox.lock();
        if queue.closing.is_some() {
            return;
        }
        let before = queue.bytes;
        // Not a link's news: that goes to every screen at once, and would keep the core from the next pop.
        if queue.at_rest && queue.items.is_empty() && !matches!(key, Some(CoalesceKey::Link(_))) {
            match mailbox.write(&frame) {
                Some(rest) if rest.is_empty() => {
                    drop(queue);
                    self.figures.frames_sent.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Some(rest) => {
                    queue.at_rest = false;
                    queue.begun = rest;
                    drop(queue);
                    self.figures.frames_sent.fetch_add(1, Ordering::Relaxed);
                    return mailbox.waker.wake();
                }
                None => {}
            }
        }
        if let Some(key) = &key
            && let Some(at) = queue.items.iter().position(|item| item.0.as_ref() == Some(key))
        {
            // The newer goes to the end, not into the old one's place: seqs must rise on the wire, because a client resumes
            // after the highest it saw.
            let old = queue.items.remove(at);
            queue.bytes -= old.map_or(0, |item| item.1.len());
            self.figures.coalesced.fetch_add(1, Ordering::Relaxed);
        }
        let bytes = queue.bytes + frame.len();
        // A single frame may be larger than the bound: it could never be sent otherwise.
        let own = !queue.items.is_empty() && (queue.items.len() >= self.frames || bytes > self.bytes);
        let all = !queue.items.is_empty() && self.figures.queued_bytes.load(Ordering::Relaxed) > self.total;
        if own || all {
            queue.items = VecDeque::new();
            queue.bytes = 0;
            queue.closing = Some(Closing::Slow);
            self.figures.closed_slow.fetch_add(1, Ordering::Relaxed);
        } else {
            queue.items.push_back((key, frame));
            queue.bytes = bytes;
        }
        let after = queue.bytes;
        drop(queue);
        self.account(before, after);
        mailbox.waker.wake();
    }

    fn account(&self, before: usize, after: usize) {
        if after >= before {
            self.figures.queued_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.figures.queued_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// `socket`: the screen's own, where frames are written to it as they are (no TLS).
    pub(super) fn open(&self, screen: ScreenId, expires: Wall, socket: Option<Arc<dyn Line>>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox {
            queue: Mutex::default(),
            socket,
            waker: AtomicWaker::new(),
            ping: AtomicBool::new(false),
            expires: AtomicI64::new(expires.0),
        });
        self.open.insert(screen, mailbox.clone());
        self.figures.screens.fetch_add(1, Ordering::Relaxed);
        mailbox
    }

    /// Closes a screen of an agent who has too many, with its own code.
    pub fn too_many(&self, screen: ScreenId) {
        if let Some(mailbox) = self.open.get(&screen) {
            mailbox.close(Closing::TooMany);
        }
    }

    pub(super) fn close(&self, screen: ScreenId) {
        if let Some((_, mailbox)) = self.open.remove(&screen) {
            self.figures.screens.fetch_sub(1, Ordering::Relaxed);
            let mut queue = mailbox.lock();
            let old = std::mem::take(&mut *queue);
            let before = old.bytes;
            // The rest of a frame goes out before the farewell: a close frame inside it would be read as its text.
            queue.begun = old.begun;
            queue.closing = Some(Closing::Away);
            drop(queue);
            self.account(before, 0);
        }
    }

    /// The next frame for the screen, or why it is to be closed.
    fn take(&self, mailbox: &Mailbox) -> Next {
        let mut queue = mailbox.lock();
        if let Some(closing) = queue.closing {
            return Next::Close(closing);
        }
        let Some((_, frame)) = queue.items.pop_front() else { return Next::Nothing };
        queue.bytes -= frame.len();
        if queue.items.is_empty() {
            // An idle screen keeps no buffer: 140,000 of them are idle most of the time.
            queue.items = VecDeque::new();
        }
        drop(queue);
        self.account(frame.len(), 0);
        Next::Frame(frame)
    }
}

impl Mailbox {
    /// The screen's task begins to write: until it rests again, nobody else does.
    /// What another began is brought to its end first.
    fn begin(&self, mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>) -> Poll<io::Result<()>> {
        let mut queue = self.lock();
        queue.at_rest = false;
        while !queue.begun.is_empty() {
            match ready!(write(&queue.begun))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => queue.begun.advance(n),
            }
        }
        queue.begun = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// The task has written everything it had, to the last byte. `false`: there is more.
    fn rest(&self) -> bool {
        let mut queue = self.lock();
        queue.at_rest = queue.items.is_empty() && queue.closing.is_none();
        queue.at_rest
    }

    /// Writes a text frame (RFC 6455, 5.2: whole, unmasked) as far as the socket takes it at once. `None`: not a byte went.
    fn write(&self, frame: &Bytes) -> Option<Bytes> {
        let socket = self.socket.as_ref()?;
        let mut whole = Vec::with_capacity(frame.len() + 10);
        whole.push(0x81);
        match (u8::try_from(frame.len()), u16::try_from(frame.len())) {
            (Ok(length @ 0..=125), _) => whole.push(length),
            (_, Ok(length)) => {
                whole.push(126);
                whole.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                whole.push(127);
                whole.extend_from_slice(&(frame.len() as u64).to_be_bytes());
            }
        }
        whole.extend_from_slice(frame);
        // An error is the task's to find: it ends the screen.
        let written = socket.try_write(&whole).ok().filter(|n| *n > 0)?;
        let mut rest = Bytes::from(whole);
        rest.advance(written);
        Some(rest)
    }

    /// For a task that cannot send at the moment.
    fn closing(&self) -> Option<Closing> {
        self.lock().closing
    }
}

enum Next {
    Nothing,
    Frame(Bytes),
    Close(Closing),
}

/// A screen's socket, for one write that never waits.
pub(super) trait Line: Send + Sync {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// What waits for one screen, and what its shard's wheel wants of it.
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    socket: Option<Arc<dyn Line>>,
    waker: AtomicWaker,
    ping: AtomicBool,
    /// Milliseconds since 1970; set again when the token is renewed.
    expires: AtomicI64,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<(Option<CoalesceKey>, Bytes)>,
    bytes: usize,
    closing: Option<Closing>,
    /// The task has nothing of its own on the way to the socket: whoever delivers may write.
    at_rest: bool,
    /// Of a frame that was begun by who delivered it, the bytes that the socket did not take; the task writes them first.
    begun: Bytes,
}

impl Mailbox {
    /// Asks the task to send a ping.
    pub(super) fn ping(&self) {
        self.ping.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Asks the task to close; the first reason stays.
    pub(super) fn close(&self, why: Closing) {
        self.lock().closing.get_or_insert(why);
        self.waker.wake();
    }

    pub(super) fn expired(&self, now: Wall) -> bool {
        self.expires.load(Ordering::Relaxed) <= now.0
    }

    pub(super) fn renew(&self, expires: Wall) {
        self.expires.store(expires.0, Ordering::Relaxed);
    }

    fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn take_ping(&self) -> bool {
        self.ping.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while holding it cannot leave the queue half-made: every change is a push, a pop or a whole replacement.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::CallId;

    const SCREEN: ScreenId = ScreenId(1);

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn call(n: u128) -> Option<CoalesceKey> {
        Some(CoalesceKey::Call(CallId(ulid::Ulid(n))))
    }

    fn drained(screens: &Screens, mailbox: &Mailbox) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match screens.take(mailbox) {
                Next::Frame(frame) => all.push(String::from_utf8(frame.to_vec()).unwrap()),
                Next::Close(why) => all.push(format!("{why:?}")),
                Next::Nothing => return all,
            }
            if all.last().is_some_and(|last| last == "Slow") {
                return all;
            }
        }
    }

    #[test]
    fn newer_state_replaces_older_and_goes_to_the_end() {
        let screens = Screens::new(&Limits::default());
        let mailbox = screens.open(SCREEN, Wall(0), None);
        for (key, text) in
            [(call(1), "talking"), (None, "pop"), (call(2), "other"), (call(1), "held"), (None, "withdrawn")]
        {
            screens.deliver(Deliver { screen: SCREEN, key, frame: frame(text) });
        }
        assert_eq!(screens.figures.queued_bytes.load(Ordering::Relaxed), 21);
        assert_eq!(drained(&screens, &mailbox), ["pop", "other", "held", "withdrawn"]);
        assert_eq!(screens.figures.queued_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(screens.figures.coalesced.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_full_mailbox_closes_and_pops_are_never_coalesced_away() {
        let screens = Screens::new(&Limits { queued_frames: 3, ..Limits::default() });
        let mailbox = screens.open(SCREEN, Wall(0), None);
        for _ in 0..3 {
            screens.deliver(Deliver { screen: SCREEN, key: None, frame: frame("pop") });
        }
        for _ in 0..100 {
            screens.deliver(Deliver { screen: ScreenId(9), key: None, frame: frame("nobody") });
        }
        assert_eq!(mailbox.lock().items.len(), 3);
        screens.deliver(Deliver { screen: SCREEN, key: None, frame: frame("pop") });
        assert_eq!(drained(&screens, &mailbox), ["Slow"]);
        assert_eq!(screens.figures.queued_bytes.load(Ordering::Relaxed), 0);
    }

    /// A socket that takes so many bytes and no more.
    struct Narrow(AtomicUsize);

    impl Line for Narrow {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.0.load(Ordering::Relaxed).min(bytes.len());
            self.0.fetch_sub(room, Ordering::Relaxed);
            if room == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(room) }
        }
    }

    #[test]
    fn who_delivers_writes_while_the_task_rests_and_what_is_begun_is_finished_first() {
        let screens = Screens::new(&Limits::default());
        let line = Arc::new(Narrow(AtomicUsize::new(9)));
        let mailbox = screens.open(SCREEN, Wall(0), Some(line.clone()));
        let put = |text| screens.deliver(Deliver { screen: SCREEN, key: None, frame: frame(text) });
        let finish = |all: &mut Vec<u8>| {
            mailbox.begin(|bytes| {
                all.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            })
        };
        // A task that was never at rest has the socket to itself.
        put("greeting");
        assert_eq!(drained(&screens, &mailbox), ["greeting"]);
        assert!(mailbox.rest());
        put("pop");
        assert!(mailbox.lock().items.is_empty(), "it went at once: 2 bytes of head, 3 of text");
        // The next has room for four of its bytes; the one after waits, because it may not come between.
        put("second");
        put("third");
        assert_eq!(drained(&screens, &mailbox), ["third"]);
        let mut rest = Vec::new();
        assert!(finish(&mut rest).is_ready());
        assert_eq!(rest, b"cond");
        // No room at all, or news for everybody: the task's work.
        assert!(mailbox.rest());
        put("fourth");
        line.0.store(100, Ordering::Relaxed);
        assert_eq!(drained(&screens, &mailbox), ["fourth"]);
        assert!(mailbox.rest());
        let key = Some(CoalesceKey::Link("switch/pbx1".into()));
        screens.deliver(Deliver { screen: SCREEN, key, frame: frame("link") });
        assert!(!mailbox.rest(), "something waits");
        assert_eq!(drained(&screens, &mailbox), ["link"]);
        // A screen that is closed with a frame half out: its rest still comes before the farewell.
        assert!(mailbox.rest());
        line.0.store(3, Ordering::Relaxed);
        put("last");
        screens.close(SCREEN);
        let mut rest = Vec::new();
        assert!(finish(&mut rest).is_ready());
        assert_eq!(rest, b"ast");
        assert_eq!(screens.figures.queued_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_long_frame_has_the_head_of_its_length() {
        struct Keeps(Mutex<Vec<u8>>);
        impl Line for Keeps {
            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
        let head = |length: usize| {
            let line = Arc::new(Keeps(Mutex::default()));
            let screens = Screens::new(&Limits::default());
            let mailbox = screens.open(SCREEN, Wall(0), Some(line.clone()));
            mailbox.rest();
            screens.deliver(Deliver { screen: SCREEN, key: None, frame: vec![b'x'; length].into() });
            let all = line.0.lock().unwrap().clone();
            all[..all.len() - length].to_vec()
        };
        assert_eq!(head(125), [0x81, 125]);
        assert_eq!(head(126), [0x81, 126, 0, 126]);
        assert_eq!(head(65_535), [0x81, 126, 0xff, 0xff]);
        assert_eq!(head(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn all_mailboxes_share_a_budget() {
        let screens = Screens::new(&Limits { queued_bytes_total: 10, ..Limits::default() });
        let (slow, quick) = (screens.open(ScreenId(1), Wall(0), None), screens.open(ScreenId(2), Wall(0), None));
        for _ in 0..4 {
            screens.deliver(Deliver { screen: ScreenId(1), key: None, frame: frame("0123456") });
        }
        screens.deliver(Deliver { screen: ScreenId(2), key: None, frame: frame("pop") });
        assert_eq!(drained(&screens, &slow), ["Slow"]);
        assert_eq!(drained(&screens, &quick), ["pop"]);
        screens.close(ScreenId(1));
        screens.close(ScreenId(2));
        assert_eq!(screens.figures.screens.load(Ordering::Relaxed), 0);
        assert_eq!(screens.figures.queued_bytes.load(Ordering::Relaxed), 0);
    }
}
