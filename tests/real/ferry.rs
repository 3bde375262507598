//! A box between a watcher and its switch, as NAT with an ear for SIP is: datagrams pass both ways, and the watcher's Contact becomes the box's own
//! address, so that NOTIFYs come by it too. What a story names is lost on the way.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

/// What is lost: told the message, it says whether this one is.
type Loss = Box<dyn FnMut(&str) -> bool + Send>;

/// One address. Its thread ends with the program.
pub struct Ferry(Arc<Mutex<Hold>>);

#[derive(Default)]
struct Hold {
    loses: Option<Loss>,
    lost: usize,
    /// Everything that arrived, in order.
    passed: Vec<String>,
}

impl Ferry {
    /// Whoever sends to `at` speaks with `switch`.
    pub fn open(at: &str, switch: SocketAddr) -> Result<Self, String> {
        let socket = UdpSocket::bind(at).map_err(|e| format!("{at}: {e}"))?;
        let hold = Arc::new(Mutex::new(Hold::default()));
        thread::spawn({
            let (hold, at) = (hold.clone(), at.to_owned());
            move || pass(&socket, &at, switch, &hold)
        });
        Ok(Self(hold))
    }

    /// From now on what `is` it does not arrive.
    pub fn lose(&self, is: impl FnMut(&str) -> bool + Send + 'static) {
        let mut hold = self.0.lock().expect("nobody panics while holding the lock");
        hold.loses = Some(Box::new(is));
        hold.lost = 0;
    }

    /// How many messages have arrived; a mark to look from.
    pub fn mark(&self) -> usize {
        self.0.lock().expect("nobody panics while holding the lock").passed.len()
    }

    /// What arrived since, at either end.
    pub fn since(&self, mark: usize) -> Vec<String> {
        let hold = self.0.lock().expect("nobody panics while holding the lock");
        hold.passed.get(mark..).map(<[String]>::to_vec).unwrap_or_default()
    }

    /// Everything arrives again. Says how much was lost.
    pub fn mend(&self) -> usize {
        let mut hold = self.0.lock().expect("nobody panics while holding the lock");
        hold.loses = None;
        hold.lost
    }
}

fn pass(socket: &UdpSocket, at: &str, switch: SocketAddr, hold: &Mutex<Hold>) {
    let mut buffer = vec![0; 65_535];
    let mut watcher: Option<SocketAddr> = None;
    loop {
        // An ICMP from an end that is down; the next datagram may find it up.
        let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
        let text = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).into_owned();
        let mut hold = hold.lock().expect("nobody panics while holding the lock");
        if hold.loses.as_mut().is_some_and(|loses| loses(&text)) {
            hold.lost += 1;
            continue;
        }
        hold.passed.push(text.clone());
        drop(hold);
        if from == switch {
            if let Some(watcher) = watcher {
                socket.send_to(text.as_bytes(), watcher).ok();
            }
        } else {
            watcher = Some(from);
            let lines: Vec<String> = text.split("\r\n").map(|line| renamed(line, &from.to_string(), at)).collect();
            socket.send_to(lines.join("\r\n").as_bytes(), switch).ok();
        }
    }
}

fn renamed(line: &str, from: &str, at: &str) -> String {
    if line.starts_with("Contact:") { line.replace(from, at) } else { line.to_owned() }
}
