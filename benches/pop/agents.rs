//! The agents' side: screens on plain sockets, and the many that only hold a connection.

use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use linecard::{agents::protocol, live};

/// How the n-th seat is called: its extension, its agent's id.
pub fn seat_name(n: usize) -> String {
    format!("{}", 2001 + n)
}

fn idle_name(n: usize) -> String {
    format!("{}", 100_000 + n)
}

/// agents.yaml for all of them.
pub fn file(seats: usize, idle: usize) -> String {
    let mut text = String::from("agents:\n");
    for name in (0..seats).map(seat_name).chain((0..idle).map(idle_name)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - {{id: \"{name}\", devices: [PJSIP/{name}]}}");
    }
    text
}

/// A token as the demo's issuer signs it.
pub fn token(agent: &str) -> String {
    #[derive(serde::Serialize)]
    struct Claims<'a> {
        iss: &'a str,
        aud: &'a str,
        sub: &'a str,
        exp: i64,
    }
    let claims =
        Claims { iss: "linecard-demo", aud: "linecard", sub: agent, exp: live::now().wall.0 / 1000 + 24 * 3600 };
    let key = jsonwebtoken::EncodingKey::from_secret(linecard::daemon::demo::stage::TOKEN_SECRET.as_bytes());
    // HS256 with a key of any length signs any claims.
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A text frame as a server sends it.
pub fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short @ ..=125) => frame.push(short),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(text);
    frame
}

/// A text frame as a client sends it; the mask is zero, which is legal and changes nothing.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short @ ..=125) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text);
    frame
}

/// One agent's socket.
pub struct Screen {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Screen {
    /// To the relay: says its name and listens.
    pub fn plain(at: SocketAddr, seat: usize) -> io::Result<Screen> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{}\n", seat_name(seat)).as_bytes())?;
        Ok(Screen { stream, held: Vec::new() })
    }

    /// To the daemon: upgrade with the token as second subprotocol, resume, snapshot in hand. The n-th comes from a source address
    /// of its own kind: with all ports of one address used, connect() itself becomes the cost.
    pub fn web_socket(at: SocketAddr, n: usize, token: &str) -> io::Result<Screen> {
        let [third, fourth] = [u8::try_from(n / 250 % 250).unwrap_or(0), u8::try_from(n % 250).unwrap_or(0) + 1];
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 1, third, fourth), 0)).into())?;
        socket.connect(&at.into())?;
        let mut stream: TcpStream = socket.into();
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let (ours, bearer) = (protocol::SUBPROTOCOL, protocol::BEARER);
        stream.write_all(
            format!(
                "GET /v1/agent HTTP/1.1\r\nHost: {at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {ours}, {bearer}{token}\r\n\r\n"
            )
            .as_bytes(),
        )?;
        let mut screen = Screen { stream, held: Vec::new() };
        loop {
            if let Some(end) = memchr::memmem::find(&screen.held, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&screen.held[..end]).into_owned();
                if !head.starts_with("HTTP/1.1 101") {
                    return Err(io::Error::other(format!("no upgrade: {head}")));
                }
                screen.held.drain(..end + 4);
                break;
            }
            screen.more()?;
        }
        screen.stream.write_all(&masked(br#"{"type":"resume"}"#))?;
        screen.until("\"snapshot\"")?;
        Ok(screen)
    }

    /// The next pop frame.
    pub fn pop(&mut self) -> io::Result<String> {
        self.until("\"pop\"")
    }

    /// Frames until one whose type is `kind` (in its quotes).
    fn until(&mut self, kind: &str) -> io::Result<String> {
        let wanted = format!("\"type\":{kind}");
        loop {
            while let Some(text) = self.take() {
                if text.contains(&wanted) {
                    return Ok(text);
                }
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::Error::other("the screen's connection was closed")),
            got => {
                self.held.extend_from_slice(&buffer[..got]);
                Ok(())
            }
        }
    }

    /// One whole text frame out of what is held; pings are passed over (they come each minute, and two may go unanswered).
    fn take(&mut self) -> Option<String> {
        loop {
            let (&first, &second) = (self.held.first()?, self.held.get(1)?);
            let (head, length) = match second & 0x7f {
                126 => (4, usize::from(u16::from_be_bytes([*self.held.get(2)?, *self.held.get(3)?]))),
                127 => (10, usize::try_from(u64::from_be_bytes(self.held.get(2..10)?.try_into().ok()?)).ok()?),
                short => (2, usize::from(short)),
            };
            if self.held.len() < head + length {
                return None;
            }
            let text = String::from_utf8_lossy(&self.held[head..head + length]).into_owned();
            self.held.drain(..head + length);
            if first & 0x0f == 1 {
                return Some(text);
            }
        }
    }
}

pub struct Memory {
    pub connections: usize,
    pub bytes: u64,
    pub connects_a_second: u64,
}

/// How many idle connections this process may hold besides what it needs.
pub fn room() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    usize::try_from(limit.unwrap_or(1 << 20)).unwrap_or(usize::MAX).saturating_sub(1_500)
}

/// Opens `idle` agents' connections and looks at what the daemon's memory became.
pub fn memory(
    at: SocketAddr,
    pid: u32,
    idle: usize,
    mut between: impl FnMut() -> io::Result<()>,
) -> io::Result<Memory> {
    let tokens: Vec<String> = (0..idle).map(|n| token(&idle_name(n))).collect();
    let before = resident(pid)?;
    let start = Instant::now();
    let mut held = Vec::with_capacity(idle);
    for (n, token) in tokens.iter().enumerate() {
        held.push(Screen::web_socket(at, n, token)?);
        if n % 500 == 0 {
            between()?;
        }
    }
    let connects_a_second = (idle as f64 / start.elapsed().as_secs_f64()) as u64;
    let grown = resident(pid)?.saturating_sub(before);
    Ok(Memory { connections: held.len(), bytes: grown / (held.len() as u64).max(1), connects_a_second })
}

/// VmRSS in bytes.
fn resident(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().map_err(io::Error::other)?;
    Ok(kib * 1024)
}
