//! The wire between a daemon and the switch, which a story may cut: a port of its own that passes everything on, both ways, as it comes.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// One port. Threads end with the connections they serve; the one that accepts, with the program.
pub struct Cable(Arc<Mutex<Wire>>);

#[derive(Default)]
struct Wire {
    cut: bool,
    /// Both ends of every connection that passes.
    ends: Vec<TcpStream>,
}

impl Cable {
    /// Whoever connects to `port` speaks with `to`.
    pub fn lay(port: u16, to: u16) -> Result<Self, String> {
        let door = TcpListener::bind(("127.0.0.1", port)).map_err(|e| format!("port {port}: {e}"))?;
        let wire = Arc::new(Mutex::new(Wire::default()));
        thread::spawn({
            let wire = wire.clone();
            move || {
                for near in door.incoming().flatten() {
                    connect(&wire, near, to);
                }
            }
        });
        Ok(Self(wire))
    }

    /// From now on nothing passes, and nobody is let in.
    pub fn cut(&self) {
        let mut wire = self.0.lock().expect("nobody panics while holding the lock");
        wire.cut = true;
        for end in wire.ends.drain(..) {
            end.shutdown(Shutdown::Both).ok();
        }
    }

    pub fn mend(&self) {
        self.0.lock().expect("nobody panics while holding the lock").cut = false;
    }
}

fn connect(wire: &Arc<Mutex<Wire>>, near: TcpStream, to: u16) {
    let mut wire = wire.lock().expect("nobody panics while holding the lock");
    // A switch that is down refuses; so do we, by hanging up.
    if wire.cut {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { return };
    for (from, into) in [(&near, &far), (&far, &near)] {
        from.set_nodelay(true).ok();
        let (Ok(from), Ok(into), Ok(kept)) = (from.try_clone(), into.try_clone(), from.try_clone()) else { return };
        wire.ends.push(kept);
        thread::spawn(move || pass(from, into));
    }
}

fn pass(mut from: TcpStream, mut into: TcpStream) {
    let mut some = vec![0; 64 * 1024];
    loop {
        let passed = from.read(&mut some).ok().and_then(|n| some.get(..n)).filter(|bytes| !bytes.is_empty());
        if passed.is_none_or(|bytes| into.write_all(bytes).is_err()) {
            from.shutdown(Shutdown::Both).ok();
            into.shutdown(Shutdown::Both).ok();
            return;
        }
    }
}
