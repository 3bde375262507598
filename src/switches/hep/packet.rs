//! HEPv3, as capture agents send it: one datagram or one frame of a stream in, the mirrored message out.
//!
//! The layout is that of "EEP/HEP protocol version 3" (sipcapture.org): `HEP3`, the length of the whole packet in two octets, then chunks of vendor,
//! type, length (its own six octets included) and data, all big-endian. Chunks may stand in any order (Kamailio 5.6 puts the payload last, Asterisk
//! the addresses after the ports); those of vendors and those we do not know are skipped by their length. Nothing here is ever answered.
//!
//! Left out: HEP 1 and 2 (counted by name, so that an admin sees why nothing comes), everything that is no SIP (RTCP, logs), gzip in place of zlib.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::borrow::Cow;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use subtle::ConstantTimeEq as _;

/// A packet says its length in two octets.
pub const LONGEST: usize = u16::MAX as usize;
/// What a compressed payload may become: four times the longest packet. A megabyte of zeros is a kilobyte on the way.
pub const INFLATED: usize = 256 * 1024;
/// Magic and length.
const HEAD: usize = 6;
const MAGIC: &[u8] = b"HEP3";

/// One mirrored SIP message and what the agent says of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who mirrored it (chunk 12); some old agents send two octets instead of four.
    pub agent: Option<u32>,
    /// The agent's clock, in microseconds since 1970.
    pub micros: Option<i64>,
    pub source: Option<SocketAddr>,
    pub target: Option<SocketAddr>,
    /// 17 UDP, 6 TCP, 132 SCTP; Kamailio 5.6 writes 22 for TLS, WS and WSS.
    pub protocol: Option<u8>,
    /// Free text: a hint for joining legs, never a key. It changes within one call.
    pub correlation: Option<&'a [u8]>,
    pub payload: Cow<'a, [u8]>,
}

/// What a good packet holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held<'a> {
    Sip(Packet<'a>),
    Skipped(Skipped),
}

/// A good packet that says nothing about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// No payload, an empty one, line ends or four octets of a NAT ping.
    Idle,
    /// Payload type 5 is RTCP, 100 a log, 0x22 and on quality reports.
    NotSip(u8),
}

/// Why a packet is refused. On a stream only [`Refusal::is_lost`] ends it: the other frames are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    #[error("this is no HEP")]
    NotHep,
    #[error("HEP version 1 is not read: set the agent to version 3")]
    Version1,
    #[error("HEP version 2 is not read: set the agent to version 3")]
    Version2,
    #[error("the packet says a length of {0} octets, and that is not what came")]
    Length(u16),
    #[error("chunk {0} says a length that does not fit in the packet")]
    Chunk(u16),
    #[error("the key is missing or wrong")]
    Key,
    #[error("the compressed payload cannot be read, or is larger than {INFLATED} octets")]
    Compressed,
}

impl Refusal {
    /// Where the next packet begins is not known any more: close the connection.
    #[must_use]
    pub fn is_lost(self) -> bool {
        matches!(self, Self::NotHep | Self::Version1 | Self::Version2 | Self::Length(_))
    }
}

/// Reads one packet. Octets behind its length are ignored (a datagram may be padded); with a `key`, a packet without it is refused.
///
/// # Errors
/// Why it is none.
pub fn read<'a>(bytes: &'a [u8], key: Option<&[u8]>) -> Result<Held<'a>, Refusal> {
    let told = head(bytes)?.ok_or(Refusal::Length(u16::try_from(bytes.len()).unwrap_or(u16::MAX)))?;
    let body = bytes.get(HEAD..usize::from(told)).ok_or(Refusal::Length(told))?;
    let chunks = Chunks::read(body)?;
    if let Some(key) = key {
        // In constant time but for the length. It is clear text on the wire all the same: it keeps mistakes out, not attackers.
        let given = chunks.key.unwrap_or_default();
        if !bool::from(given.ct_eq(key)) {
            return Err(Refusal::Key);
        }
    }
    let payload = match chunks.payload {
        None => return Ok(Held::Skipped(Skipped::Idle)),
        Some(Payload::Plain(bytes)) => Cow::Borrowed(bytes),
        Some(Payload::Zlib(bytes)) => {
            Cow::Owned(decompress_to_vec_zlib_with_limit(bytes, INFLATED).map_err(|_| Refusal::Compressed)?)
        }
    };
    // A type that is missing is SIP: that is what the oldest agents mirrored.
    if let Some(other) = chunks.kind.filter(|kind| *kind != 1) {
        return Ok(Held::Skipped(Skipped::NotSip(other)));
    }
    if payload.len() <= 4 || payload.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | 0)) {
        return Ok(Held::Skipped(Skipped::Idle));
    }
    let address = |ip: Option<IpAddr>, port: Option<u16>| Some(SocketAddr::new(ip?, port.unwrap_or_default()));
    Ok(Held::Sip(Packet {
        agent: chunks.agent,
        micros: chunks.micros(),
        source: address(chunks.source, chunks.source_port),
        target: address(chunks.target, chunks.target_port),
        protocol: chunks.protocol,
        correlation: chunks.correlation,
        payload,
    }))
}

/// The length that a packet says, `None` where there is too little of it to know.
fn head(bytes: &[u8]) -> Result<Option<u16>, Refusal> {
    let there = bytes.len().min(MAGIC.len());
    if bytes.get(..there) != MAGIC.get(..there) {
        // HEP 1 and 2 begin with the version and the length of the head: 16 for IPv4 (28 in version 2 with time), 40 for IPv6 (52).
        return Err(match bytes {
            [1, 16 | 40, ..] => Refusal::Version1,
            [2, 16 | 28 | 40 | 52, ..] => Refusal::Version2,
            _ => Refusal::NotHep,
        });
    }
    let [_, _, _, _, high, low, ..] = *bytes else { return Ok(None) };
    let told = u16::from_be_bytes([high, low]);
    if usize::from(told) < HEAD { Err(Refusal::Length(told)) } else { Ok(Some(told)) }
}

enum Payload<'a> {
    Plain(&'a [u8]),
    Zlib(&'a [u8]),
}

#[derive(Default)]
struct Chunks<'a> {
    protocol: Option<u8>,
    source: Option<IpAddr>,
    target: Option<IpAddr>,
    source_port: Option<u16>,
    target_port: Option<u16>,
    seconds: Option<u32>,
    micros: Option<u32>,
    kind: Option<u8>,
    agent: Option<u32>,
    key: Option<&'a [u8]>,
    payload: Option<Payload<'a>>,
    correlation: Option<&'a [u8]>,
}

impl<'a> Chunks<'a> {
    /// Of two chunks of one type the first counts. A chunk of a fixed type that has another size is as if it were not there.
    fn read(mut rest: &'a [u8]) -> Result<Self, Refusal> {
        let mut all = Self::default();
        while !rest.is_empty() {
            let [v1, v2, t1, t2, l1, l2, ..] = *rest else { return Err(Refusal::Chunk(0)) };
            let kind = u16::from_be_bytes([t1, t2]);
            let length = usize::from(u16::from_be_bytes([l1, l2]));
            // Shorter than its own head would be an endless loop, or worse.
            let data = rest.get(HEAD..length).ok_or(Refusal::Chunk(kind))?;
            rest = rest.get(length..).ok_or(Refusal::Chunk(kind))?;
            if [v1, v2] == [0, 0] {
                all.take(kind, data);
            }
        }
        Ok(all)
    }

    fn take(&mut self, kind: u16, data: &'a [u8]) {
        match kind {
            2 => first(&mut self.protocol, octet(data)),
            3 => first(&mut self.source, v4(data)),
            4 => first(&mut self.target, v4(data)),
            5 => first(&mut self.source, v6(data)),
            6 => first(&mut self.target, v6(data)),
            7 => first(&mut self.source_port, short(data)),
            8 => first(&mut self.target_port, short(data)),
            9 => first(&mut self.seconds, long(data)),
            10 => first(&mut self.micros, long(data)),
            11 => first(&mut self.kind, octet(data)),
            12 => first(&mut self.agent, long(data).or_else(|| short(data).map(u32::from))),
            14 => first(&mut self.key, Some(data)),
            15 => first(&mut self.payload, Some(Payload::Plain(data))),
            16 => first(&mut self.payload, Some(Payload::Zlib(data))),
            17 => first(&mut self.correlation, Some(data)),
            _ => {}
        }
    }

    fn micros(&self) -> Option<i64> {
        // More than a second of microseconds are none.
        let part = self.micros.filter(|m| *m < 1_000_000).unwrap_or_default();
        Some(i64::from(self.seconds?) * 1_000_000 + i64::from(part))
    }
}

fn first<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

fn octet(data: &[u8]) -> Option<u8> {
    <[u8; 1]>::try_from(data).ok().map(u8::from_be_bytes)
}

fn short(data: &[u8]) -> Option<u16> {
    data.try_into().ok().map(u16::from_be_bytes)
}

fn long(data: &[u8]) -> Option<u32> {
    data.try_into().ok().map(u32::from_be_bytes)
}

fn v4(data: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)))
}

fn v6(data: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?)))
}

/// Whole packets out of a stream's pieces. Holds one packet and the piece that came with its end.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    from: usize,
}

impl Framer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read. Drain with [`Framer::take`] before the next piece, so that no more than a packet is kept.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.from.min(self.bytes.len()));
        self.from = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// The next whole packet.
    ///
    /// # Errors
    /// What follows begins no packet: where the next one does cannot be known. Close the connection.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Refusal> {
        let rest = self.bytes.get(self.from..).unwrap_or_default();
        let Some(told) = head(rest)?.map(usize::from).filter(|told| *told <= rest.len()) else { return Ok(None) };
        let from = self.from;
        self.from += told;
        Ok(self.bytes.get(from..self.from))
    }

    /// Goes on at the next thing that looks like a packet: for files, where there is no other end to begin anew.
    pub fn resync(&mut self) -> bool {
        let rest = self.bytes.get(self.from..).unwrap_or_default();
        let next = rest.get(1..).and_then(|after| memchr::memmem::find(after, MAGIC));
        self.from = next.map_or(self.bytes.len(), |at| self.from + 1 + at);
        next.is_some()
    }

    /// Octets that wait for the rest of their packet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.bytes.len().saturating_sub(self.from)
    }
}

#[cfg(test)]
mod tests;
