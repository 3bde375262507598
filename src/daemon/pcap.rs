//! Reads packet captures: UDP datagrams whole, TCP in the order of its sequence numbers.
//!
//! Only what a capture of signalling needs: the classic format of libpcap in both byte orders with micro- or nanoseconds, the link types that a capture
//! on a server has, IPv4 and IPv6 with fragments. Anything else in it is skipped and counted; a torn file gives what was whole. Nothing here
//! believes a length: each is held against what is there.
//!
//! <https://www.ietf.org/archive/id/draft-gharris-opsawg-pcap-01.html> for the format; RFC 791 and RFC 8200 for fragments.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::words::Wall;

/// Datagrams of which some fragments are missing, kept at one time: more is a flood, and the oldest go.
const TORN: usize = 1_024;
/// The largest IP datagram.
const DATAGRAM: usize = 65_535;
/// Bytes of one direction of a connection that wait for a lost segment. After that the lost one is given up.
const AHEAD: usize = 1 << 20;
/// And segments.
const SEGMENTS: usize = 4_096;
/// Connections followed at one time.
const STREAMS: usize = 65_536;

/// What was carried, in the order of its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub at: Wall,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub over: Over,
    /// UDP: one datagram. TCP: the next bytes of this direction; a message may begin or end anywhere in them.
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    Udp,
    Tcp,
    /// No bytes: this direction of the connection is over, or bytes of it are missing, so that framing begins anew.
    Broken,
}

/// A capture that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    pub pieces: Vec<Piece>,
    /// Packets that are neither UDP nor TCP over IP, or torn.
    pub skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    #[error("it is no capture in the classic pcap format; `editcap -F pcap` writes one from a pcapng")]
    Magic,
    #[error("its link type {0} is not read; Ethernet, raw IP, loopback and Linux cooked are")]
    Link(u32),
}

/// Whether the bytes begin as a capture does.
#[must_use]
pub fn is_pcap(bytes: &[u8]) -> bool {
    order(bytes).is_some()
}

/// Everything a capture carried over UDP and TCP.
///
/// # Errors
/// The bytes are no capture, or one of a link that is not known.
pub fn read(bytes: &[u8]) -> Result<Capture, PcapError> {
    let (order, nano) = order(bytes).ok_or(PcapError::Magic)?;
    let header = bytes.get(..24).ok_or(PcapError::Magic)?;
    let link = order.u32(header, 20).unwrap_or(0) & 0x0fff_ffff;
    if ![0, 1, 12, 14, 101, 108, 113, 228, 229, 276].contains(&link) {
        return Err(PcapError::Link(link));
    }
    let mut reading = Reading::default();
    let mut rest = bytes.get(24..).unwrap_or_default();
    while let (Some(seconds), Some(part), Some(held)) = (order.u32(rest, 0), order.u32(rest, 4), order.u32(rest, 8)) {
        let ms = i64::from(seconds) * 1000 + i64::from(part) / if nano { 1_000_000 } else { 1_000 };
        let Some(packet) = usize::try_from(held).ok().and_then(|held| rest.get(16..16_usize.checked_add(held)?)) else {
            reading.capture.skipped += 1;
            break;
        };
        rest = rest.get(16 + packet.len()..).unwrap_or_default();
        if reading.packet(Wall(ms), link, packet).is_none() {
            reading.capture.skipped += 1;
        }
    }
    Ok(reading.capture)
}

/// In which order the file's numbers are written.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

fn order(bytes: &[u8]) -> Option<(Order, bool)> {
    Some(match bytes.get(..4)? {
        [0xa1, 0xb2, 0xc3, 0xd4] => (Order { big: true }, false),
        [0xd4, 0xc3, 0xb2, 0xa1] => (Order { big: false }, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Order { big: true }, true),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Order { big: false }, true),
        _ => return None,
    })
}

impl Order {
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }
}

/// A number of the network, big end first.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[derive(Default)]
struct Reading {
    capture: Capture,
    torn: HashMap<(IpAddr, IpAddr, u8, u32), Torn>,
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
    count: u64,
}

/// A datagram of which fragments are missing.
#[derive(Default)]
struct Torn {
    parts: BTreeMap<usize, Vec<u8>>,
    length: Option<usize>,
    since: u64,
}

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    next: Option<u32>,
    /// Segments ahead of `next`, by how far.
    ahead: BTreeMap<u32, Vec<u8>>,
    waiting: usize,
}

impl Reading {
    /// One packet as it lay on the link; `None`: not for us, or torn.
    fn packet(&mut self, at: Wall, link: u32, packet: &[u8]) -> Option<()> {
        self.count += 1;
        let ip = match link {
            1 => {
                let (mut kind, mut from) = (u16_at(packet, 12)?, 14);
                // VLAN tags, one in another (802.1Q, 802.1ad); more than a few is junk.
                for _ in 0..4 {
                    if !matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
                        break;
                    }
                    (kind, from) = (u16_at(packet, from + 2)?, from + 4);
                }
                packet.get(from..).filter(|_| matches!(kind, 0x0800 | 0x86dd))?
            }
            0 | 108 => packet.get(4..)?,
            113 => packet.get(16..)?,
            276 => packet.get(20..)?,
            _ => packet,
        };
        match ip.first()? >> 4 {
            4 => self.v4(at, ip),
            6 => self.v6(at, ip),
            _ => None,
        }
    }

    fn v4(&mut self, at: Wall, ip: &[u8]) -> Option<()> {
        let head = usize::from(ip.first()? & 15) * 4;
        let total = usize::from(u16_at(ip, 2)?);
        // A card that cuts segments itself shows 0 here.
        let end = if total == 0 { ip.len() } else { total };
        let body = ip.get(head.max(20)..end.min(ip.len()))?;
        let four = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(u32_at(ip, at)?)));
        let (from, to, protocol) = (four(12)?, four(16)?, *ip.get(9)?);
        let flags = u16_at(ip, 6)?;
        let (more, offset) = (flags & 0x2000 != 0, usize::from(flags & 0x1fff) * 8);
        if !more && offset == 0 {
            return self.carried(at, from, to, protocol, body);
        }
        self.fragment(at, (from, to, protocol, u16_at(ip, 4)?.into()), offset, more, body)
    }

    fn v6(&mut self, at: Wall, ip: &[u8]) -> Option<()> {
        let length = usize::from(u16_at(ip, 4)?);
        let mut body = ip.get(40..(40 + length).min(ip.len()))?;
        let sixteen = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?)));
        let (from, to) = (sixteen(8)?, sixteen(24)?);
        let mut next = *ip.get(6)?;
        // Extension headers; more than a few is junk.
        for _ in 0..8 {
            match next {
                0 | 43 | 60 => {
                    next = *body.first()?;
                    body = body.get((usize::from(*body.get(1)?) + 1) * 8..)?;
                }
                44 => {
                    next = *body.first()?;
                    let place = u16_at(body, 2)?;
                    let (offset, more) = (usize::from(place & 0xfff8), place & 1 != 0);
                    let (id, part) = (u32_at(body, 4)?, body.get(8..)?);
                    if offset == 0 && !more {
                        return self.carried(at, from, to, next, part);
                    }
                    return self.fragment(at, (from, to, next, id), offset, more, part);
                }
                _ => break,
            }
        }
        self.carried(at, from, to, next, body)
    }

    fn fragment(
        &mut self,
        at: Wall,
        key: (IpAddr, IpAddr, u8, u32),
        offset: usize,
        more: bool,
        part: &[u8],
    ) -> Option<()> {
        if part.is_empty() || offset + part.len() > DATAGRAM {
            return None;
        }
        if self.torn.len() >= TORN && !self.torn.contains_key(&key) {
            let oldest = self.torn.iter().min_by_key(|(_, torn)| torn.since).map(|(key, _)| *key)?;
            self.torn.remove(&oldest);
            self.capture.skipped += 1;
        }
        let since = self.count;
        let torn = self.torn.entry(key).or_insert_with(|| Torn { since, ..Torn::default() });
        torn.parts.entry(offset).or_insert_with(|| part.to_vec());
        if !more {
            torn.length = Some(offset + part.len());
        }
        let mut whole: Vec<u8> = Vec::new();
        for (from, part) in &torn.parts {
            // Fragments that overlap: what came first in the datagram stays.
            match whole.len().checked_sub(*from) {
                Some(known) => whole.extend(part.get(known..).unwrap_or_default()),
                None => return Some(()),
            }
        }
        if torn.length.is_none_or(|length| whole.len() < length) {
            return Some(());
        }
        self.torn.remove(&key);
        self.carried(at, key.0, key.1, key.2, &whole)
    }

    fn carried(&mut self, at: Wall, from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Option<()> {
        let from = SocketAddr::new(from, u16_at(body, 0)?);
        let to = SocketAddr::new(to, u16_at(body, 2)?);
        match protocol {
            17 => {
                let length = usize::from(u16_at(body, 4)?);
                let end = if length < 8 { body.len() } else { length.min(body.len()) };
                let bytes = body.get(8..end)?.to_vec();
                self.capture.pieces.push(Piece { at, from, to, over: Over::Udp, bytes });
            }
            6 => {
                let (sequence, flags) = (u32_at(body, 4)?, *body.get(13)?);
                let payload = body.get(usize::from(body.get(12)? >> 4).max(5) * 4..)?;
                self.segment(at, from, to, sequence, flags, payload);
            }
            _ => return None,
        }
        Some(())
    }

    fn segment(&mut self, at: Wall, from: SocketAddr, to: SocketAddr, sequence: u32, flags: u8, payload: &[u8]) {
        let (fin, syn, rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        if self.streams.len() >= STREAMS && !self.streams.contains_key(&(from, to)) {
            self.streams.clear();
        }
        let stream = self.streams.entry((from, to)).or_default();
        let mut push = |over, bytes: &[u8]| {
            self.capture.pieces.push(Piece { at, from, to, over, bytes: bytes.to_vec() });
        };
        if syn {
            *stream = Stream { next: Some(sequence.wrapping_add(1)), ..Stream::default() };
            return;
        }
        // A capture that begins in the middle of a connection begins with what comes first.
        let next = *stream.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        if !payload.is_empty() {
            if ahead < 1 << 31 {
                stream.waiting += payload.len();
                stream.ahead.entry(sequence).or_insert_with(|| payload.to_vec());
            } else {
                // Said before, at least its beginning.
                let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
                if let Some(new) = payload.get(known..).filter(|new| !new.is_empty()) {
                    stream.waiting += new.len();
                    stream.ahead.entry(next).or_insert_with(|| new.to_vec());
                }
            }
        }
        if (stream.waiting > AHEAD || stream.ahead.len() > SEGMENTS)
            && let Some(first) = stream.ahead.keys().copied().min_by_key(|s| s.wrapping_sub(next))
        {
            push(Over::Broken, &[]);
            stream.next = Some(first);
        }
        while let Some(next) = stream.next
            && let Some(first) = stream.ahead.keys().copied().find(|s| next.wrapping_sub(*s) < 1 << 31)
        {
            let Some(part) = stream.ahead.remove(&first) else { break };
            stream.waiting = stream.waiting.saturating_sub(part.len());
            let known = usize::try_from(next.wrapping_sub(first)).unwrap_or(usize::MAX);
            let Some(new) = part.get(known..).filter(|new| !new.is_empty()) else { continue };
            push(Over::Tcp, new);
            stream.next = Some(next.wrapping_add(u32::try_from(new.len()).unwrap_or(0)));
        }
        if fin || rst {
            push(Over::Broken, &[]);
            self.streams.remove(&(from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
        out.extend(link.to_le_bytes());
        for (n, packet) in (0_u32..).zip(packets) {
            let length = u32::try_from(packet.len()).unwrap();
            for number in [1_795_347_038, n * 1000, length, length] {
                out.extend(number.to_le_bytes());
            }
            out.extend(packet);
        }
        out
    }

    fn ip4(protocol: u8, id: u8, offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
        let place = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
        let mut out = vec![0x45, 0, length[0], length[1], 0, id];
        out.extend(place.to_be_bytes());
        out.extend([64, protocol, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        out.extend(body);
        out
    }

    fn udp(text: &[u8]) -> Vec<u8> {
        let mut out = vec![0x13, 0xc4, 0x13, 0xc5];
        out.extend(u16::try_from(8 + text.len()).unwrap().to_be_bytes());
        out.extend([0, 0]);
        out.extend(text);
        out
    }

    fn tcp(sequence: u32, flags: u8, text: &[u8]) -> Vec<u8> {
        let mut out = vec![0x13, 0xc4, 0x13, 0xc5];
        out.extend(sequence.to_be_bytes());
        out.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        out.extend(text);
        ip4(6, 0, 0, false, &out)
    }

    fn told(capture: &Capture) -> Vec<(Over, String)> {
        capture.pieces.iter().map(|p| (p.over, String::from_utf8_lossy(&p.bytes).into_owned())).collect()
    }

    #[test]
    fn datagrams_whole_and_in_fragments_in_any_order() {
        let body = udp(b"hello, this is longer");
        let cut = [(0, true), (8, true), (16, false)];
        let part = |n: usize| {
            let (from, more) = cut[n];
            ip4(17, 7, from, more, &body[from..(from + 8).min(body.len()).max(if more { 0 } else { body.len() })])
        };
        let packets = [ip4(17, 1, 0, false, &udp(b"one")), part(2), part(0), part(0), part(1)];
        let capture = read(&file(101, &packets)).unwrap();
        let whole = |text: &str| (Over::Udp, text.to_owned());
        assert_eq!(told(&capture), [whole("one"), whole("hello, this is longer")]);
        assert_eq!(capture.pieces[0].at, Wall(1_795_347_038_000));
        assert_eq!(capture.pieces[1].from, "127.0.0.1:5060".parse().unwrap());
        let mut ether = vec![0_u8; 12];
        ether.extend([0x81, 0, 0, 5, 8, 0]);
        ether.extend(ip4(17, 1, 0, false, &udp(b"vlan")));
        assert_eq!(told(&read(&file(1, &[ether, vec![0; 12]])).unwrap()), [whole("vlan")]);
    }

    #[test]
    fn a_connection_in_order_although_its_segments_are_not() {
        let packets = [
            tcp(99, 2, b""),
            tcp(100, 0x18, b"abc"),
            tcp(106, 0x18, b"ghi"),
            tcp(103, 0x18, b"def"),
            tcp(100, 0x18, b"abcdefghij"),
            tcp(110, 0x11, b""),
        ];
        let capture = read(&file(101, &packets)).unwrap();
        let text: String = told(&capture).into_iter().map(|(_, text)| text).collect();
        assert_eq!(text, "abcdefghij");
        assert_eq!(capture.pieces.last().unwrap().over, Over::Broken);
    }

    #[test]
    fn a_torn_or_strange_file_gives_what_was_whole() {
        assert_eq!(read(b""), Err(PcapError::Magic));
        assert_eq!(read(&[0x0a, 0x0d, 0x0d, 0x0a]), Err(PcapError::Magic));
        assert_eq!(read(&file(147, &[])), Err(PcapError::Link(147)));
        let whole = file(101, &[ip4(17, 1, 0, false, &udp(b"one")), tcp(1, 0, b"two")]);
        for end in 24..whole.len() {
            assert!(read(&whole[..end]).unwrap().pieces.len() <= 2, "{end}");
        }
        // Every byte of the packets spoilt, one at a time: no answer is wrong, a panic would be.
        for at in 24..whole.len() {
            for value in [0, 0x7f, 0xff] {
                let mut spoilt = whole.clone();
                spoilt[at] = value;
                let _ = read(&spoilt);
            }
        }
    }
}
