//! Captures of mirrored signalling for `linecard replay`: HEP packets back to back (what came over a TCP connection is the same), or a pcap of them.

use std::{collections::HashMap, net::SocketAddr};

use crate::{
    calls::{Event, book},
    switches::hep::{
        Rules,
        packet::{self, Framer, Held, Refusal},
        passive::Passive,
    },
    switches::inside::Inside,
    words::{Mono, Now, SwitchId, Wall},
};

use super::pcap::{self, Over};

/// No agent's clock jumps so far between two packets of one capture; a stamp that does is a broken clock's.
const JUMP_MICROS: i64 = 24 * 3_600_000_000;

/// The events of one capture, in the order in which a link would tell them.
///
/// # Errors
/// A pcap that cannot be read. Other bytes that are no HEP are skipped, as a link does: see [`strange`].
pub fn events(bytes: &[u8], settings: &book::Settings, switch: &SwitchId) -> Result<Vec<Event>, pcap::PcapError> {
    let mut reading = Reading { passive: Passive::new(read_by(settings, switch)), last: 0, events: Vec::new() };
    if pcap::is_pcap(bytes) {
        let mut streams: HashMap<(SocketAddr, SocketAddr), Framer> = HashMap::new();
        for piece in pcap::read(bytes)?.pieces {
            let way = (piece.from, piece.to);
            match piece.over {
                Over::Udp => reading.packet(&piece.bytes, Some(piece.at)),
                Over::Tcp => reading.stream(streams.entry(way).or_default(), &piece.bytes, Some(piece.at)),
                Over::Broken => drop(streams.remove(&way)),
            }
        }
    } else {
        reading.stream(&mut Framer::new(), bytes, None);
    }
    reading.passive.finish();
    reading.drain();
    Ok(reading.events)
}

/// Why nothing can come of these bytes, if they do not even begin as HEP does.
#[must_use]
pub fn strange(bytes: &[u8]) -> Option<Refusal> {
    if bytes.is_empty() || pcap::is_pcap(bytes) || memchr::memmem::find(bytes, b"HEP3").is_some() {
        return None;
    }
    packet::read(bytes, None).err()
}

/// How a switch's calls are read where its file says nothing of HEP.
fn read_by(settings: &book::Settings, switch: &SwitchId) -> Rules {
    let Some(rules) = settings.switches.get(switch) else { return Rules::default() };
    let inside = Inside {
        switch: switch.clone(),
        technology: "SIP",
        directory: settings.directory.clone(),
        internal: rules.internal.clone(),
    };
    Rules::plain(inside, &rules.attributes)
}

struct Reading {
    passive: Passive,
    /// The latest stamp, in microseconds: the clock of a capture.
    last: i64,
    events: Vec<Event>,
}

impl Reading {
    fn stream(&mut self, framer: &mut Framer, bytes: &[u8], at: Option<Wall>) {
        framer.push(bytes);
        loop {
            match framer.take() {
                Ok(Some(packet)) => {
                    let packet = packet.to_vec();
                    self.packet(&packet, at);
                }
                Ok(None) => return,
                Err(_) => {
                    if !framer.resync() {
                        return;
                    }
                }
            }
        }
    }

    fn packet(&mut self, bytes: &[u8], at: Option<Wall>) {
        let Ok(Held::Sip(packet)) = packet::read(bytes, None) else { return };
        let stamp = at.map(|at| at.0.saturating_mul(1000)).or(packet.micros).unwrap_or(self.last);
        let jumps = self.last != 0 && stamp.saturating_sub(self.last).saturating_abs() > JUMP_MICROS;
        let arrival = at.or(jumps.then_some(Wall(self.last.div_euclid(1000))));
        if !jumps {
            self.last = self.last.max(stamp);
        }
        let now = Mono(u64::try_from(self.last).unwrap_or(0));
        if self.passive.deadline().is_some_and(|due| due <= now) {
            self.passive.tick(Now { wall: Wall(self.last.div_euclid(1000)), mono: now });
        }
        self.passive.take(now, &packet, arrival);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.passive.next_event() {
            self.events.push(event);
        }
    }
}
