//! A telephone that can do what sipp cannot: refer and be referred (RFC 3515), replace a call by another (RFC 3891), hold, and talk in two dialogs at once.
//! By UDP on the loopback, where nothing is lost: it repeats nothing.
//!
//! A thread answers what comes in; what the person does with it is said by the story, which waits for each answer.

use std::{
    collections::HashMap,
    net::{SocketAddrV4, UdpSocket},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use linecard::switches::sip::wire::{Algorithm, digest};

const DOMAIN: &str = "pbx.lab";
/// How long the switch may take for anything: it gives a ringing phone up after 8 s.
const PATIENCE: Duration = Duration::from_secs(12);

pub struct Softphone {
    line: Arc<Line>,
    end: Arc<AtomicBool>,
    ears: Option<JoinHandle<()>>,
}

/// What the thread and the story share.
struct Line {
    user: String,
    password: String,
    at: SocketAddrV4,
    switch: SocketAddrV4,
    socket: UdpSocket,
    known: Mutex<Known>,
    news: Condvar,
}

#[derive(Default)]
struct Known {
    /// Until a call is answered; `None`: never.
    rings: Option<Duration>,
    ringing: Vec<(Instant, Text)>,
    /// Answered here, in order.
    taken: Vec<Dialog>,
    /// REFERs that nobody followed yet.
    referred: Vec<Text>,
    /// INVITEs that the switch took back.
    cancelled: usize,
    answers: HashMap<String, Vec<Text>>,
    made: u32,
}

/// One of its calls.
#[derive(Clone)]
pub struct Dialog {
    id: String,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
}

/// A SIP message as it came. Switches write one header a line, and so does this.
#[derive(Clone)]
struct Text {
    start: String,
    headers: Vec<(String, String)>,
}

impl Softphone {
    /// Takes the address; answers what rings after `rings` (`None`: never).
    pub fn open(user: &str, at: &str, switch: &str, rings: Option<u64>) -> Result<Self, String> {
        let at: SocketAddrV4 = at.parse().map_err(|_| format!("{at} is no address"))?;
        let socket = UdpSocket::bind(at).map_err(|e| format!("{at}: {e}"))?;
        socket.set_read_timeout(Some(Duration::from_millis(20))).map_err(|e| e.to_string())?;
        let line = Arc::new(Line {
            user: user.to_owned(),
            password: format!("agent-{user}"),
            at,
            switch: switch.parse().map_err(|_| format!("{switch} is no address"))?,
            socket,
            known: Mutex::new(Known { rings: rings.map(Duration::from_millis), ..Known::default() }),
            news: Condvar::new(),
        });
        let end = Arc::new(AtomicBool::new(false));
        let ears = std::thread::spawn({
            let (line, end) = (line.clone(), end.clone());
            move || line.listen(&end)
        });
        Ok(Self { line, end, ears: Some(ears) })
    }

    /// Tells the switch where it is. `beside`: the user's other phones stay registered.
    pub fn register(&self, beside: bool) -> Result<(), String> {
        self.registers(if beside { "phone beside others" } else { "phone" }, 3600)
    }

    /// Takes that back.
    pub fn unregister(&self) -> Result<(), String> {
        self.registers("phone", 0)
    }

    fn registers(&self, agent: &str, expires_s: u32) -> Result<(), String> {
        let line = &self.line;
        let me = format!("<sip:{}@{DOMAIN}>", line.user);
        let dialog = Dialog {
            id: line.new_id("reg"),
            local: format!("{me};tag=r"),
            remote: me,
            target: format!("sip:{DOMAIN}"),
            routes: Vec::new(),
            cseq: 1,
        };
        let more = format!("Expires: {expires_s}\r\nUser-Agent: {agent}\r\n");
        line.ask(&dialog, "REGISTER", &more, false).map(drop)
    }

    /// Dials and waits until somebody answers. `from`: what the caller is called.
    pub fn call(&self, from: &str, to: &str) -> Result<Dialog, String> {
        self.invite(from, to, "")
    }

    fn invite(&self, from: &str, to: &str, more: &str) -> Result<Dialog, String> {
        let line = &self.line;
        let mut dialog = Dialog {
            id: line.new_id("call"),
            local: format!("{from};tag=l{}", line.new_id("t")),
            remote: format!("<{to}>"),
            target: to.to_owned(),
            routes: Vec::new(),
            cseq: 1,
        };
        let (answer, cseq) = line.ask(&dialog, "INVITE", more, true)?;
        dialog.cseq = cseq;
        answer.header("To").clone_into(&mut dialog.remote);
        dialog.target = uri(answer.header("Contact")).to_owned();
        dialog.routes = answer.all("Record-Route").map(str::to_owned).rev().collect();
        line.say(&line.request(&dialog, "ACK", dialog.cseq, "", false).0);
        Ok(dialog)
    }

    /// The `nth` call that was answered here.
    pub fn taken(&self, nth: usize) -> Result<Dialog, String> {
        self.line.wait("a call to be answered", |known| known.taken.get(nth).cloned())
    }

    /// Waits until the switch takes its INVITE back.
    pub fn cancelled(&self) -> Result<(), String> {
        self.line.wait("the call to be taken back", |known| (known.cancelled > 0).then_some(()))
    }

    /// Holds (`sendonly`) or retrieves (`sendrecv`).
    pub fn offer(&self, dialog: &mut Dialog, direction: &str) -> Result<(), String> {
        dialog.cseq += 1;
        let line = &self.line;
        line.ask(dialog, "INVITE", &format!("X-Direction: {direction}\r\n"), true)?;
        line.say(&line.request(dialog, "ACK", dialog.cseq, "", false).0);
        Ok(())
    }

    /// Sends the other party to `to`, in the place of the consultation `instead`.
    pub fn refer(&self, dialog: &mut Dialog, to: &str, instead: Option<&Dialog>) -> Result<(), String> {
        dialog.cseq += 1;
        let to = match instead {
            Some(other) => {
                let value = format!("{};to-tag={};from-tag={}", other.id, tag(&other.remote), tag(&other.local));
                format!("{to}?Replaces={}", value.replace(';', "%3B").replace('=', "%3D").replace('@', "%40"))
            }
            None => to.to_owned(),
        };
        let more = format!("Refer-To: <{to}>\r\nReferred-By: <sip:{}@{DOMAIN}>\r\n", self.line.user);
        self.line.ask(dialog, "REFER", &more, false).map(drop)
    }

    /// Does what somebody told it without a call: calls there, tells how it went, and has the call.
    pub fn follow_stranger(&self, from: &str) -> Result<Dialog, String> {
        let line = &self.line;
        let refer = line.wait("to be referred", |known| known.referred.first().cloned())?;
        let mut dialog = Dialog {
            id: refer.header("Call-ID").to_owned(),
            local: format!("{};tag={}", refer.header("To"), line.tag(&refer)),
            remote: refer.header("From").to_owned(),
            target: uri(refer.header("Contact")).to_owned(),
            routes: refer.all("Record-Route").map(str::to_owned).collect(),
            cseq: 1,
        };
        self.follow(&mut dialog, &format!("<{from}>"))
    }

    /// Does what it was referred to: calls there, tells how it went, and has the new call.
    pub fn follow(&self, dialog: &mut Dialog, from: &str) -> Result<Dialog, String> {
        let line = &self.line;
        let refer =
            line.wait("to be referred", |known| (!known.referred.is_empty()).then(|| known.referred.remove(0)))?;
        let mut tell = |state: &str| {
            dialog.cseq += 1;
            let more = format!("Event: refer\r\nSubscription-State: {state}\r\n");
            line.ask(dialog, "NOTIFY", &more, false).map(drop)
        };
        tell("active;expires=60")?;
        let target = uri(refer.header("Refer-To"));
        let (to, replaces) = target.split_once("?Replaces=").unwrap_or((target, ""));
        let mut more = format!("Referred-By: {}\r\n", refer.header("Referred-By"));
        if !replaces.is_empty() {
            let value = replaces.replace("%3B", ";").replace("%3D", "=").replace("%40", "@");
            more.push_str(&format!("Replaces: {value}\r\n"));
        }
        let new = self.invite(from, to, &more)?;
        tell("terminated;reason=noresource")?;
        Ok(new)
    }

    pub fn hang_up(&self, mut dialog: Dialog) -> Result<(), String> {
        dialog.cseq += 1;
        let more = "Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n";
        self.line.ask(&dialog, "BYE", more, false).map(drop)
    }
}

impl Drop for Softphone {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(ears) = self.ears.take() {
            ears.join().ok();
        }
    }
}

impl Line {
    /// A request of a dialog and its branch.
    fn request(&self, dialog: &Dialog, method: &str, cseq: u32, more: &str, sound: bool) -> (String, String) {
        let Dialog { id, local, remote, target, routes, .. } = dialog;
        let branch = format!("z9hG4bK{}", self.new_id("b"));
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        // The story says which way the sound goes, and the description says it on the wire.
        let way = more.trim().strip_prefix("X-Direction: ");
        let body = if sound { self.description(way.unwrap_or("sendrecv")) } else { String::new() };
        let kind = if sound { "Content-Type: application/sdp\r\n" } else { "" };
        let more = if way.is_some() { "" } else { more };
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch={branch};rport\r\nMax-Forwards: 70\r\n{routes}From: {local}\r\n\
             To: {remote}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{user}@{at}>\r\n{more}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len(),
            at = self.at,
            user = self.user,
        );
        (text, branch)
    }

    fn description(&self, way: &str) -> String {
        let ip = self.at.ip();
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na={way}\r\n"
        )
    }

    /// Asks and waits for the final answer, which has to be a good one; a challenge is answered once. With the number that was used.
    fn ask(&self, dialog: &Dialog, method: &str, more: &str, sound: bool) -> Result<(Text, u32), String> {
        let mut more = more.to_owned();
        for cseq in [dialog.cseq, dialog.cseq + 1] {
            let (text, branch) = self.request(dialog, method, cseq, &more, sound);
            self.say(&text);
            let what = format!("the answer to {method} of {}", self.user);
            let answer = self.wait(&what, |known| {
                known.answers.get(&branch)?.iter().find(|answer| answer.status() >= 200).cloned()
            })?;
            let status = answer.status();
            if status < 300 {
                return Ok((answer, cseq));
            }
            if method == "INVITE" {
                self.say(&negative_ack(&text, answer.header("To")));
            }
            let challenge = [("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization")]
                .into_iter()
                .find(|(asks, _)| matches!(status, 401 | 407) && !answer.header(asks).is_empty());
            let Some((asks, gives)) = challenge.filter(|_| cseq == dialog.cseq) else {
                return Err(format!("{what}: {}", answer.start));
            };
            more.push_str(&format!("{gives}: {}\r\n", self.credentials(answer.header(asks), method, &dialog.target)?));
        }
        Err(format!("{method} of {} was challenged twice", self.user))
    }

    fn credentials(&self, challenge: &str, method: &str, uri: &str) -> Result<String, String> {
        let part = |name: &str| {
            challenge.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
        };
        let (user, realm, nonce) = (&self.user, part("realm"), part("nonce"));
        let response = digest(Algorithm::Md5, (user, realm, &self.password), (method, uri), nonce, None)
            .ok_or(format!("no digest for {method}"))?;
        Ok(format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, response=\"{response}\""
        ))
    }

    fn say(&self, text: &str) {
        // A full socket drops it, and the story says what never came.
        self.socket.send_to(text.as_bytes(), self.switch).ok();
    }

    fn new_id(&self, kind: &str) -> String {
        let mut known = self.known();
        known.made += 1;
        let (pid, user, ip) = (std::process::id(), &self.user, self.at);
        format!("{kind}{}-{user}-{}-{pid}", known.made, ip.port()).replace('+', "")
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics while holding the lock")
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut Known) -> Option<T>) -> Result<T, String> {
        let start = Instant::now();
        let mut known = self.known();
        loop {
            if let Some(found) = look(&mut known) {
                return Ok(found);
            }
            let Some(left) = PATIENCE.checked_sub(start.elapsed()) else {
                return Err(format!("the phone of {} waited in vain for {what}", self.user));
            };
            known = self.news.wait_timeout(known, left).map_err(|_| "the phone's thread died")?.0;
        }
    }

    fn listen(&self, end: &AtomicBool) {
        let mut buffer = vec![0; 65_535];
        while !end.load(Ordering::Relaxed) {
            if let Ok((n, _)) = self.socket.recv_from(&mut buffer)
                && let Some(text) = buffer.get(..n).and_then(Text::read)
            {
                self.hear(text);
            }
            let now = Instant::now();
            let due: Vec<Text> = {
                let mut known = self.known();
                let (due, waiting) = std::mem::take(&mut known.ringing).into_iter().partition(|(at, _)| *at <= now);
                known.ringing = waiting;
                due.into_iter().map(|(_, invite): (Instant, Text)| invite).collect()
            };
            due.iter().for_each(|invite| self.take(invite));
            self.news.notify_all();
        }
    }

    fn hear(&self, text: Text) {
        let to_tag = !tag(text.header("To")).is_empty();
        match text.start.split(' ').next().unwrap_or_default() {
            "SIP/2.0" => {
                let branch = parameter(text.header("Via"), "branch").to_owned();
                self.known().answers.entry(branch).or_default().push(text);
            }
            // A re-INVITE; whoever is held says so.
            "INVITE" if to_tag => self.answer(&text, "200 OK", "", true),
            // It takes the place of a call that is up: nothing rings.
            "INVITE" if !text.header("Replaces").is_empty() => self.take(&text),
            "INVITE" => {
                self.answer(&text, "180 Ringing", "", false);
                let mut known = self.known();
                // Never answered: it rings for longer than any story lasts.
                let rings = known.rings.unwrap_or(Duration::from_secs(3600));
                known.ringing.push((Instant::now() + rings, text));
            }
            "CANCEL" => {
                self.answer(&text, "200 OK", "", false);
                let mut known = self.known();
                let id = text.header("Call-ID");
                let at = known.ringing.iter().position(|(_, invite)| invite.header("Call-ID") == id);
                let invite = at.map(|at| known.ringing.remove(at).1);
                known.cancelled += 1;
                drop(known);
                if let Some(invite) = invite {
                    self.answer(&invite, "487 Request Terminated", "", false);
                }
            }
            "REFER" => {
                self.answer(&text, "202 Accepted", "", false);
                self.known().referred.push(text);
            }
            "ACK" => {}
            _ => self.answer(&text, "200 OK", "", false),
        }
    }

    fn take(&self, invite: &Text) {
        self.answer(invite, "200 OK", "Supported: replaces\r\n", true);
        let dialog = Dialog {
            id: invite.header("Call-ID").to_owned(),
            local: format!("{};tag={}", invite.header("To"), self.tag(invite)),
            remote: invite.header("From").to_owned(),
            target: uri(invite.header("Contact")).to_owned(),
            routes: invite.all("Record-Route").map(str::to_owned).collect(),
            cseq: 100,
        };
        self.known().taken.push(dialog);
    }

    /// The same for every answer of a call.
    fn tag(&self, request: &Text) -> String {
        let id: String = request.header("Call-ID").chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{id}{}", self.at.port())
    }

    fn answer(&self, request: &Text, status: &str, more: &str, sound: bool) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &request.headers {
            if ["Via", "Record-Route", "From", "Call-ID", "CSeq"].iter().any(|kept| name.eq_ignore_ascii_case(kept)) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let to = request.header("To");
        let own = if tag(to).is_empty() { format!(";tag={}", self.tag(request)) } else { String::new() };
        let body = if sound { self.description("sendrecv") } else { String::new() };
        let kind = if sound { "Content-Type: application/sdp\r\n" } else { "" };
        text.push_str(&format!(
            "To: {to}{own}\r\nContact: <sip:{}@{}>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            self.user,
            self.at,
            body.len()
        ));
        self.say(&text);
    }
}

impl Text {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n\r\n").next()?.split("\r\n");
        let start = lines.next().filter(|line| !line.is_empty())?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        Some(Self { start, headers: headers.map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).collect() })
    }

    fn all<'t>(&'t self, name: &'t str) -> impl DoubleEndedIterator<Item = &'t str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The first of this name; empty if there is none.
    fn header<'t>(&'t self, name: &'t str) -> &'t str {
        self.all(name).next().unwrap_or_default()
    }

    fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// The ACK of a refused INVITE is of the same transaction: Via, route and number stay (RFC 3261, 17.1.1.3).
fn negative_ack(invite: &str, to: &str) -> String {
    let head = invite.split("\r\n\r\n").next().unwrap_or_default();
    let kept = |line: &&str| ["Via:", "Max-", "Route", "From:", "Call-"].iter().any(|name| line.starts_with(name));
    let lines: Vec<&str> = head.split("\r\n").skip(1).filter(kept).collect();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let cseq = head.split("\r\nCSeq: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    format!(
        "ACK {target} SIP/2.0\r\n{}\r\nTo: {to}\r\nCSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n",
        lines.join("\r\n")
    )
}

/// What stands between the brackets.
fn uri(address: &str) -> &str {
    address.split_once('<').and_then(|(_, rest)| rest.split('>').next()).unwrap_or(address)
}

fn tag(address: &str) -> &str {
    parameter(address.rsplit('>').next().unwrap_or_default(), "tag")
}

fn parameter<'t>(text: &'t str, name: &str) -> &'t str {
    let found = text.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    found.and_then(|value| value.split([',', ' ']).next()).unwrap_or_default()
}
