//! Plays the switch: the same still machine as the demo's, told the time here, so that the bytes of a ringing phone go out in
//! one write and the clock starts just before it.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use linecard::{
    daemon::demo::{
        story::Story,
        switch::{Output, Seat, Settings, Switch},
    },
    live,
};

use crate::agents::{Screen, seat_name};

pub struct Driver {
    listener: TcpListener,
    link: Option<TcpStream>,
    switch: Switch,
    turn: usize,
    strangers: u64,
}

/// Who calls in a round.
#[derive(Clone, Copy)]
pub enum Callers {
    /// One customer, whose card is in the cache.
    Known,
    /// A number that never called before at each call: every business system is asked.
    New,
}

/// What a round gave.
pub struct Samples {
    /// From just before the write of the events to the whole pop frame in hand.
    pub us: Vec<f64>,
    pub last_frame: Option<String>,
}

impl Driver {
    pub fn listen(seats: usize) -> io::Result<Driver> {
        let seats = (0..seats).map(|n| Seat { extension: seat_name(n), name: format!("Agent {n}") }).collect();
        // A call of the story lasts about one millisecond: ring, pop, given up.
        let settings = Settings { seats, pace: 0.0002, ..Settings::default() };
        Ok(Driver {
            listener: TcpListener::bind(("127.0.0.1", 0))?,
            link: None,
            switch: Switch::new(settings, 1, live::now()),
            turn: 0,
            strangers: 0,
        })
    }

    pub fn address(&self) -> SocketAddr {
        // A bound listener has an address.
        self.listener.local_addr().unwrap()
    }

    /// Waits for the client and answers what it asks until it is quiet.
    pub fn greet(&mut self) -> io::Result<()> {
        let (link, _) = self.listener.accept()?;
        link.set_nodelay(true)?;
        self.link = Some(link);
        self.switch.connected(1, live::now());
        self.flush()?;
        let patience = Instant::now() + Duration::from_secs(20);
        while self.switch.logged_in() == 0 {
            if Instant::now() > patience {
                return Err(io::Error::other("nobody logs in"));
            }
            self.serve_actions(Duration::from_millis(50))?;
        }
        self.serve_actions(Duration::from_millis(300))
    }

    /// Answers actions (pings, lists) until nothing came for `quiet`.
    pub fn serve_actions(&mut self, quiet: Duration) -> io::Result<()> {
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        // Zero would mean for ever.
        link.set_read_timeout(Some(quiet.max(Duration::from_micros(1))))?;
        let mut buffer = [0; 16 * 1024];
        loop {
            let Some(link) = self.link.as_mut() else { return Ok(()) };
            match link.read(&mut buffer) {
                Ok(0) => return Err(io::Error::other("the client closed the link")),
                Ok(n) => {
                    self.switch.received(1, &buffer[..n], live::now());
                    self.flush()?;
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    /// `calls` calls, one after the other, each to the next seat.
    pub fn round(&mut self, screens: &mut [Screen], calls: usize, callers: Callers) -> io::Result<Samples> {
        let mut us = Vec::with_capacity(calls);
        let mut last_frame = None;
        for n in 0..calls {
            self.turn = (self.turn + 1) % screens.len();
            let seat = self.turn;
            let number = match callers {
                Callers::Known => "13800138000".to_owned(),
                Callers::New => {
                    self.strangers += 1;
                    format!("139{:08}", self.strangers)
                }
            };
            let started = self.switch.play(Story::Abandoned, &number, Some(seat), live::now());
            if started.is_none() {
                return Err(io::Error::other("a seat is still busy"));
            }
            // The arrival goes ahead, as it does in life; the ring is made of all that is due a moment later.
            self.flush()?;
            std::thread::sleep(Duration::from_micros(300));
            let ring = self.due()?;
            let screen = &mut screens[seat];
            let before = Instant::now();
            self.write(&ring)?;
            let frame = screen.pop()?;
            us.push(before.elapsed().as_secs_f64() * 1e6);
            last_frame = Some(frame);
            // Given up: the story's end, whatever is left of its millisecond.
            while self.switch.up() > 0 {
                std::thread::sleep(Duration::from_micros(200));
                self.flush()?;
            }
            if n % 100 == 0 {
                self.serve_actions(Duration::ZERO)?;
            }
        }
        Ok(Samples { us, last_frame })
    }

    fn due(&mut self) -> io::Result<Vec<u8>> {
        let (outputs, _) = self.switch.poll(live::now());
        let mut bytes = Vec::with_capacity(16 * 1024);
        for output in outputs {
            match output {
                Output::Send { bytes: more, .. } => bytes.extend_from_slice(&more),
                Output::Close { .. } => return Err(io::Error::other("the switch refused the client")),
            }
        }
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = self.due()?;
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.link.as_mut() {
            Some(link) => link.write_all(bytes),
            None => Ok(()),
        }
    }
}
