//! SIP as it was captured: a subscriber's log (one JSON object a line), a packet capture, or the text of a trace. Of it the subscriptions are replayed:
//! NOTIFYs, refused refreshes, closed connections. The calls' own signalling beside them is another feed's.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use serde::Deserialize;

use crate::{
    calls::Event,
    switches::{
        asterisk::translate_ari::stamp,
        sip::{
            frame::{Piece, Stream},
            translate::Ours,
            watcher::{Watcher, subscription},
            wire::{self, Message},
        },
    },
    words::Wall,
};

use super::{
    pcap::{self, Over, PcapError},
    replay::Capture,
};

/// Why a capture is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SipError {
    #[error("line {0} is no line of a subscriber's log (a JSON object with t and msg, or event)")]
    Line(usize),
    #[error(transparent)]
    Pcap(#[from] PcapError),
}

/// One line of a subscriber's log.
#[derive(Deserialize)]
struct Line {
    /// Seconds since 1970.
    t: f64,
    #[serde(default)]
    dir: String,
    msg: Option<String>,
    /// `closed`: the connection is gone.
    event: Option<String>,
}

/// One thing that was captured.
enum Heard {
    Message(Box<Message>),
    Closed,
}

/// The events of several captures of one switch. Watchers whose captures overlap in time stand side by side and are heard together; where a capture
/// ends, its subscriptions are lost.
///
/// # Errors
/// The first capture that is none, with its name.
pub fn events(captures: &[&Capture], ours: Ours, step: usize) -> Result<Vec<Event>, (String, SipError)> {
    let mut all: Vec<(Wall, usize, Heard)> = Vec::new();
    for (place, capture) in captures.iter().enumerate() {
        let read = heard(&capture.bytes, step).map_err(|error| (capture.name.clone(), error))?;
        let last = read.iter().map(|(at, _)| *at).max().unwrap_or(Wall(0));
        all.extend(read.into_iter().map(|(at, heard)| (at, place, heard)));
        all.push((last, place, Heard::Closed));
    }
    // Stable: within one capture the order stays.
    all.sort_by_key(|(at, place, _)| (*at, *place));
    let mut watcher = Watcher::new(ours);
    let mut events = Vec::new();
    let mut held: Vec<BTreeSet<String>> = vec![BTreeSet::new(); captures.len()];
    for (at, place, heard) in all {
        let Some(mine) = held.get_mut(place) else { continue };
        match heard {
            Heard::Closed => {
                for name in std::mem::take(mine) {
                    watcher.lost(at, &name);
                }
            }
            Heard::Message(message) => message_of(&mut watcher, at, mine, &message),
        }
        events.extend(watcher.take());
    }
    Ok(events)
}

fn message_of(watcher: &mut Watcher, at: Wall, mine: &mut BTreeSet<String>, message: &Message) {
    match (message.method(), message.status()) {
        (Some("NOTIFY"), _) => {
            mine.insert(subscription(message.call_id(), message.from().tag()));
            watcher.notify(at, message);
        }
        // The refresh was refused for good: the subscription is none any more (RFC 6665 section 4.1.2.2).
        (None, Some(404 | 408 | 410 | 481 | 489)) if message.cseq().1 == "SUBSCRIBE" => {
            let name = subscription(message.call_id(), message.to().tag());
            watcher.lost(at, &name);
            mine.remove(&name);
        }
        _ => {}
    }
}

fn heard(bytes: &[u8], step: usize) -> Result<Vec<(Wall, Heard)>, SipError> {
    if pcap::is_pcap(bytes) {
        return Ok(packets(pcap::read(bytes)?));
    }
    if bytes.starts_with(b"### ") {
        return Ok(text(bytes));
    }
    log(bytes, step)
}

/// A subscriber's log. What it sent itself is no news. `step`: the bytes are handed over in pieces of so many, as a stream might.
fn log(bytes: &[u8], step: usize) -> Result<Vec<(Wall, Heard)>, SipError> {
    let mut out = Vec::new();
    let mut stream = Stream::default();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(line).map_err(|_| SipError::Line(number + 1))?;
        let at = wall(line.t).ok_or(SipError::Line(number + 1))?;
        if line.event.is_some() {
            out.push((at, Heard::Closed));
        }
        let Some(message) = line.msg.filter(|_| line.dir != "out") else { continue };
        if step >= message.len() {
            out.extend(wire::read(message.as_bytes()).ok().map(|m| (at, Heard::Message(Box::new(m)))));
            continue;
        }
        for piece in message.as_bytes().chunks(step.max(1)) {
            stream.take(piece);
            drain(&mut stream, at, &mut out);
        }
    }
    Ok(out)
}

/// Milliseconds of a count of seconds.
fn wall(seconds: f64) -> Option<Wall> {
    let ms = (seconds * 1000.0).floor();
    // Until the year 2286; a float holds whole milliseconds far beyond that.
    #[allow(clippy::cast_possible_truncation, reason = "held between the bounds by the filter")]
    Some(ms).filter(|ms| (0.0..1e13).contains(ms)).map(|ms| Wall(ms as i64))
}

/// Whole messages of a stream. One that is broken gives nothing more.
fn drain(stream: &mut Stream, at: Wall, out: &mut Vec<(Wall, Heard)>) {
    while let Ok(Some(piece)) = stream.next() {
        if let Piece::Message(bytes) = piece {
            out.extend(taken(&bytes).map(|m| (at, m)));
        }
    }
}

/// A message that is about subscriptions; others are not even read.
fn taken(bytes: &[u8]) -> Option<Heard> {
    let wanted = [&b"NOTIFY "[..], b"SIP/2.0 4"].iter().any(|start| bytes.starts_with(start));
    let message = wanted.then(|| wire::read(bytes).ok()).flatten()?;
    Some(Heard::Message(Box::new(message)))
}

fn packets(capture: pcap::Capture) -> Vec<(Wall, Heard)> {
    let mut out = Vec::new();
    let mut streams: HashMap<(SocketAddr, SocketAddr), Stream> = HashMap::new();
    for piece in capture.pieces {
        match piece.over {
            Over::Udp => out.extend(taken(&piece.bytes).map(|m| (piece.at, m))),
            Over::Broken => {
                streams.remove(&(piece.from, piece.to));
            }
            Over::Tcp => {
                let stream = streams.entry((piece.from, piece.to)).or_default();
                stream.take(&piece.bytes);
                drain(stream, piece.at, &mut out);
            }
        }
    }
    out
}

/// A trace as text: `### 2026-11-22T11:44:06.239Z FROM -> TO 380 bytes`, then the message with bare line ends, which is why its length is not what it
/// says.
fn text(bytes: &[u8]) -> Vec<(Wall, Heard)> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = Vec::new();
    for part in text.split("\n### ") {
        let part = part.trim_start_matches("### ");
        let Some((title, message)) = part.split_once('\n') else { continue };
        let Some(at) = title.split(' ').next().and_then(stamp) else { continue };
        let Some((head, body)) = message.split_once("\n\n") else { continue };
        let lines = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
        let mut whole = lines.fold(String::new(), |whole, line| whole + line + "\r\n");
        whole.push_str("\r\n");
        whole.push_str(body.trim_end());
        out.extend(taken(whole.as_bytes()).map(|m| (at, m)));
    }
    out
}
