//! The made-up switch: one UDP socket that accepts subscriptions and plays calls as NOTIFYs, each repeated until it is answered (RFC 3261, 17.1.2).

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use linecard::switches::sip::wire;

use crate::agents::seat_name;

const T1: Duration = Duration::from_millis(500);
/// How long a phone rings and talks.
const RINGS: Duration = Duration::from_millis(700);
const TALKS: Duration = Duration::from_millis(700);

/// A call that was played.
#[derive(Clone)]
pub struct Call {
    pub number: String,
    pub seat: usize,
    /// When its NOTIFY was first sent.
    pub rang: Instant,
}

struct Subscription {
    call_id: String,
    tag: String,
    cseq: u32,
    version: u32,
}

/// A NOTIFY that waits for its answer.
struct Waiting {
    bytes: Vec<u8>,
    again: Instant,
    pause: Duration,
    first: Instant,
}

pub struct Switch {
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    /// By seat.
    subscriptions: HashMap<usize, Subscription>,
    waiting: HashMap<String, Waiting>,
    /// What is to be said when.
    due: BTreeMap<(Instant, u64), (usize, u64, &'static str)>,
    count: u64,
    seats: usize,
    /// NOTIFYs that were said again, by round.
    pub repeated: [u64; 3],
    round: usize,
}

/// The caller of the n-th call of a round: each another, so that a pop and a record are this call's.
fn number(n: u64, round: usize) -> String {
    format!("138{round}{n:07}")
}

/// The number in a pop's frame.
pub fn number_in(frame: &str) -> Option<String> {
    let at = frame.match_indices("138").map(|(at, _)| at).find(|at| {
        let rest = frame.as_bytes().get(*at..at + 11);
        rest.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    })?;
    frame.get(at..at + 11).map(str::to_owned)
}

impl Switch {
    pub fn open(seats: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 * 1024 * 1024);
        Ok(Self {
            socket,
            peer: None,
            subscriptions: HashMap::new(),
            waiting: HashMap::new(),
            due: BTreeMap::new(),
            count: 0,
            seats,
            repeated: [0; 3],
            round: 0,
        })
    }

    pub fn address(&self) -> SocketAddr {
        // A bound socket has an address.
        self.socket.local_addr().unwrap()
    }

    pub fn subscribed(&self) -> usize {
        self.subscriptions.len()
    }

    /// The daemon's socket.
    pub fn peer(&self) -> SocketAddr {
        self.peer.unwrap_or_else(|| self.address())
    }

    /// Call-ID and tag of somebody's subscription, for forgeries.
    pub fn victim(&self) -> (String, String) {
        self.subscriptions.get(&0).map(|s| (s.call_id.clone(), s.tag.clone())).unwrap_or_default()
    }

    /// Something is still to be said or answered.
    pub fn waits(&self) -> bool {
        !self.due.is_empty() || !self.waiting.is_empty()
    }

    /// So many calls a second, for so long. Gives the calls.
    pub fn round(&mut self, a_second: u64, seconds: u64, round: usize) -> io::Result<Vec<Call>> {
        let (begun, mut calls) = (Instant::now(), Vec::new());
        self.round = round;
        for n in 0..a_second * seconds {
            let at = begun + Duration::from_micros(n * 1_000_000 / a_second);
            while let Some(left) = at.checked_duration_since(Instant::now()) {
                self.serve(left.min(Duration::from_millis(1)))?;
            }
            self.count += 1;
            let seat = usize::try_from(self.count).unwrap_or(0) % self.seats;
            let id = self.count;
            let number = number(n, round);
            let rang = Instant::now();
            self.notify(seat, id, &number, "early")?;
            calls.push(Call { number, seat, rang });
            self.due.insert((rang + RINGS, id * 2), (seat, n, "confirmed"));
            self.due.insert((rang + RINGS + TALKS, id * 2 + 1), (seat, n, "terminated"));
            self.serve(Duration::ZERO)?;
        }
        Ok(calls)
    }

    /// Hears what comes and says what is due, for so long.
    pub fn serve(&mut self, patience: Duration) -> io::Result<()> {
        let until = Instant::now() + patience;
        let mut buffer = [0; 65_535];
        loop {
            self.say_due()?;
            let left = until.saturating_duration_since(Instant::now());
            // Zero would mean for ever.
            self.socket.set_read_timeout(Some(left.clamp(Duration::from_micros(50), Duration::from_millis(2))))?;
            match self.socket.recv_from(&mut buffer) {
                Ok((n, from)) => self.heard(buffer.get(..n).unwrap_or_default(), from)?,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if Instant::now() >= until {
                        return Ok(());
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn say_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((_, order), (seat, n, state)) = entry.remove_entry();
            self.notify(seat, order / 2, &number(n, self.round), state)?;
        }
        let Some(peer) = self.peer else { return Ok(()) };
        let mut given_up = Vec::new();
        for (branch, waiting) in &mut self.waiting {
            if waiting.again <= now {
                self.socket.send_to(&waiting.bytes, peer)?;
                waiting.pause = (waiting.pause * 2).min(T1 * 8);
                waiting.again = now + waiting.pause;
                self.repeated[self.round] += 1;
                if now.duration_since(waiting.first) > T1 * 64 {
                    given_up.push(branch.clone());
                }
            }
        }
        for branch in given_up {
            self.waiting.remove(&branch);
        }
        Ok(())
    }

    fn heard(&mut self, bytes: &[u8], from: SocketAddr) -> io::Result<()> {
        let Ok(message) = wire::read(bytes) else { return Ok(()) };
        if message.status().is_some() {
            if let Some(branch) = message.branch() {
                self.waiting.remove(branch);
            }
            return Ok(());
        }
        let answer = wire::Draft::response(&message, 200, "OK", None).to_tag("kamailio");
        if message.method() != Some("SUBSCRIBE") {
            self.socket.send_to(&answer.bytes(), from)?;
            return Ok(());
        }
        self.peer = Some(from);
        let here = format!("<sip:{}>", self.address());
        self.socket.send_to(&answer.header("Expires", "600").header("Contact", &here).bytes(), from)?;
        let seat = (0..self.seats).find(|seat| seat_name(*seat) == message.to().uri.user());
        if let Some(seat) = seat {
            let new = Subscription {
                call_id: message.call_id().to_owned(),
                tag: message.from_tag().unwrap_or_default().to_owned(),
                cseq: 1,
                version: 0,
            };
            self.subscriptions.insert(seat, new);
            self.send(seat, None)?;
        }
        Ok(())
    }

    fn notify(&mut self, seat: usize, id: u64, caller: &str, state: &str) -> io::Result<()> {
        let Some(subscription) = self.subscriptions.get(&seat) else { return Ok(()) };
        let user = seat_name(seat);
        let body = format!(
            "<?xml version=\"1.0\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{}\" state=\"full\" entity=\"sip:{user}@pbx.lab\">\n  \
             <dialog id=\"padi-{id:08x}-61e4-1\" call-id=\"{id}-25125@127.20.0.200\" local-tag=\"25105s1\" remote-tag=\"25125t1\" direction=\"recipient\">\n    \
             <state>{state}</state>\n    <remote>\n      <identity>sip:{caller}@carrier.lab</identity>\n      <target uri=\"sip:trunk@127.20.0.200:5060\"/>\n    </remote>\n    \
             <local>\n      <identity>sip:+862161234567@127.20.0.10</identity>\n      <target uri=\"sip:{user}@127.20.0.101:5060;transport=UDP\"/>\n    </local>\n  \
             </dialog>\n</dialog-info>\n",
            subscription.version + 1,
        );
        self.send(seat, Some(&body))
    }

    fn send(&mut self, seat: usize, body: Option<&str>) -> io::Result<()> {
        let (here, Some(peer)) = (self.address(), self.peer) else { return Ok(()) };
        let Some(subscription) = self.subscriptions.get_mut(&seat) else { return Ok(()) };
        subscription.cseq += 1;
        subscription.version += 1;
        self.count += u64::from(body.is_none());
        let branch = format!("z9hG4bK{seat:04x}.{:08x}000000000000000000000000.0", subscription.cseq);
        let mut draft = wire::Draft::request("NOTIFY", &format!("sip:linecard@{peer}"))
            .header("Via", &format!("SIP/2.0/UDP {here};branch={branch}"))
            .header("To", &format!("<sip:linecard@pbx.lab>;tag={}", subscription.tag))
            .header("From", &format!("<sip:{}@pbx.lab>;tag=kamailio", seat_name(seat)))
            .header("CSeq", &format!("{} NOTIFY", subscription.cseq))
            .header("Call-ID", &subscription.call_id)
            .header("User-Agent", "lab-switch")
            .header("Max-Forwards", "70")
            .header("Event", "dialog")
            .header("Contact", &format!("<sip:{here}>"))
            .header("Subscription-State", "active;expires=590");
        if let Some(body) = body {
            draft = draft.body("application/dialog-info+xml", body.as_bytes());
        }
        let (bytes, now) = (draft.bytes(), Instant::now());
        self.socket.send_to(&bytes, peer)?;
        self.waiting.insert(branch, Waiting { bytes, again: now + T1, pause: T1, first: now });
        Ok(())
    }
}
