//! The floor: one thread, epoll, hears the same AMI bytes and sends a frame of the same size to the agent whose phone rings. It
//! knows nothing, looks up nothing and writes nothing down: as little as a relay can do.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Child,
};

use rustix::event::epoll;

const AMI: u64 = 0;
const DOOR: u64 = 1;

/// Runs until the switch closes. Prints its address first.
pub fn run(ami: &str, frame: usize) -> io::Result<()> {
    let door = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", door.local_addr()?);
    io::stdout().flush()?;
    let mut ami = TcpStream::connect(ami)?;
    ami.set_nodelay(true)?;
    ami.write_all(b"Action: Login\r\nUsername: linecard\r\nSecret: demo\r\nEvents: on\r\n\r\n")?;
    ami.set_nonblocking(true)?;
    door.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let watch = |fd: std::os::fd::BorrowedFd<'_>, what: u64| {
        epoll::add(&poll, fd, epoll::EventData::new_u64(what), epoll::EventFlags::IN)
    };
    watch(ami.as_fd(), AMI)?;
    watch(door.as_fd(), DOOR)?;
    let mut text = format!("{{\"type\":\"pop\",\"fill\":\"{}", "x".repeat(frame));
    text.truncate(frame.max(40) - 2);
    text.push_str("\"}");
    let frame = crate::agents::frame(text.as_bytes());
    let mut agents: HashMap<String, TcpStream> = HashMap::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut held: Vec<u8> = Vec::with_capacity(64 * 1024);
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == DOOR {
                let (stream, _) = door.accept()?;
                stream.set_nodelay(true)?;
                let mut name = String::new();
                BufReader::new(&stream).read_line(&mut name)?;
                agents.insert(format!("PJSIP/{}", name.trim()), stream);
                continue;
            }
            let got = match ami.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e),
            };
            held.extend_from_slice(&buffer[..got]);
            let mut done = 0;
            while let Some(end) = memchr::memmem::find(&held[done..], b"\r\n\r\n") {
                let message = &held[done..done + end];
                done += end + 4;
                if !message.starts_with(b"Event: Newstate\r\n")
                    || memchr::memmem::find(message, b"\nChannelState: 5\r").is_none()
                {
                    continue;
                }
                let Some(from) = memchr::memmem::find(message, b"\nChannel: ") else { continue };
                let name = message[from + 10..].split(|b| *b == b'-').next().unwrap_or_default();
                if let Some(agent) = std::str::from_utf8(name).ok().and_then(|name| agents.get_mut(name)) {
                    agent.write_all(&frame)?;
                }
            }
            held.drain(..done);
        }
    }
}

/// Where a relay just started listens.
pub fn address(relay: &mut Child) -> io::Result<SocketAddr> {
    let out = relay.stdout.take().ok_or_else(|| io::Error::other("the relay has no output"))?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    line.trim().parse().map_err(io::Error::other)
}
