//! `linecard replay`: captures in, call records out. The same captures give the same records, ids and all, at every run.
//!
//! Several feeds of one switch are merged by the stamps they carry. The end of a file is a lost link; calls that are still open when the last
//! file ends are lost. Where a capture has no times, the records have none.

use std::{collections::HashMap, sync::Arc};

use crate::{
    calls::{
        Book, Event, Record, What,
        book::{Rules, Settings},
        directory::{Agent, Directory},
        edges::{Join, Pair},
        event::{Feed, Said},
    },
    numbers::{Plan, TrunkMap},
    switches::asterisk::{
        ami::{self, Framer},
        ari,
        snapshot::AmiLists,
        translate_ami, translate_ari,
    },
    switches::{esl, hep::TRUNK, sip::translate::Ours},
    words::{CallId, Mono, Now, SwitchId, TenantId, Wall},
};

pub use super::replay_hep::strange;
use super::{
    pcap, replay_hep,
    sip_capture::{self, SipError},
};

/// The switch whose captures are replayed, where nothing names one.
pub const SWITCH: &str = "pbx1";

/// What a replay needs to know.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    pub switch: SwitchId,
    /// An entry for `switch`, and one for its mirror where that only adds to what other feeds tell.
    pub book: Settings,
}

/// One capture: which feed, its name for messages, its bytes.
#[derive(Clone, Debug)]
pub struct Capture {
    pub feed: Feed,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Why a capture cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("\"{0}\" is not KIND=FILE with KIND ami, ari, esl, sip or hep")]
    Feed(String),
    #[error("{name}: {error}")]
    Ami { name: String, error: ami::FrameError },
    #[error("{name}: {error}")]
    Esl { name: String, error: esl::frame::FrameError },
    #[error("{name}:{line}: {error}")]
    Ari { name: String, line: usize, error: ari::ReadError },
    #[error("{name}: {error}")]
    Sip { name: String, error: SipError },
    #[error("{name}: {error}")]
    Pcap { name: String, error: pcap::PcapError },
}

impl ReplaySettings {
    /// In place of settings files: agent 1001 sits at the device whose number is 1001, `trunk*` endpoints are trunks.
    #[must_use]
    pub fn plain(agents: &[String], country: &str, area: Option<&str>) -> Self {
        let agent = |id: &String| Agent::new(id.as_str()).at(&[id]);
        let rules = Rules {
            tenant: TenantId::default(),
            zone: None,
            plan: Plan::new(country, area),
            trunks: vec!["trunk*".to_owned()],
            internal: agents.to_vec(),
            attributes: Arc::default(),
            out: Arc::default(),
            pair: Pair::default(),
            mirror: None,
        };
        let switch: SwitchId = SWITCH.into();
        let book = Settings {
            directory: Directory::new(agents.iter().map(agent).collect()).into(),
            trunks: TrunkMap::default().into(),
            switches: HashMap::from([(switch.clone(), rules)]),
            arrival_times: false,
        };
        Self { switch, book }
    }
}

impl ReplaySettings {
    /// The switch tells its channels itself: mirrored signalling adds to its calls and makes none.
    pub fn mirrored(&mut self) {
        let mirror = SwitchId::from(format!("{} hep", self.switch));
        let Some(rules) = self.book.switches.get_mut(&self.switch) else { return };
        rules.mirror = Some(mirror.clone());
        rules.pair = Pair::Behind(vec![mirror.clone()]);
        let pair = Pair::Edge { pbx: self.switch.clone(), joins: vec![Join::CallId], keeps: false };
        let rules = Rules { trunks: vec![TRUNK.to_owned()], pair, mirror: None, ..rules.clone() };
        self.book.switches.insert(mirror, rules);
    }
}

/// `ami=FILE`: the feed and the file's name.
///
/// # Errors
/// Another kind, or no `=`.
pub fn feed(text: &str) -> Result<(Feed, &str), ReplayError> {
    match text.split_once('=') {
        Some(("ami", file)) if !file.is_empty() => Ok((Feed::Ami, file)),
        Some(("esl", file)) if !file.is_empty() => Ok((Feed::Esl, file)),
        Some(("ari", file)) if !file.is_empty() => Ok((Feed::Ari, file)),
        Some(("sip", file)) if !file.is_empty() => Ok((Feed::Sip, file)),
        Some(("hep", file)) if !file.is_empty() => Ok((Feed::Hep, file)),
        _ => Err(ReplayError::Feed(text.to_owned())),
    }
}

/// The events of one capture, in its order.
///
/// # Errors
/// The bytes are not what the feed says.
pub fn events(settings: &ReplaySettings, capture: &Capture) -> Result<Vec<Event>, ReplayError> {
    match capture.feed {
        Feed::Ari => ari_events(capture),
        Feed::Esl => esl_events(settings, capture, usize::MAX),
        Feed::Sip => sip_events(settings, &[capture], usize::MAX),
        Feed::Hep => {
            let wrong = |error| ReplayError::Pcap { name: capture.name.clone(), error };
            replay_hep::events(&capture.bytes, &settings.book, &settings.switch).map_err(wrong)
        }
        _ => ami_events(capture, capture.bytes.len()),
    }
}

/// AMI in pieces of `step` bytes, as a socket might give them.
///
/// # Errors
/// The bytes are no AMI.
pub fn ami_events(capture: &Capture, step: usize) -> Result<Vec<Event>, ReplayError> {
    let mut framer = Framer::new();
    let mut events = Vec::new();
    let mut lists = Lists::of(&capture.bytes);
    let mut last = Wall(0);
    for piece in capture.bytes.chunks(step.clamp(1, 64 * 1024)) {
        framer.push(piece);
        loop {
            match framer.take() {
                Ok(Some(message)) => {
                    let event = translate_ami::translate(&message);
                    last = event.as_ref().and_then(|e| e.at).unwrap_or(last);
                    let listed = lists.take(&message, last);
                    events.extend(event);
                    events.extend(listed);
                }
                Ok(None) => break,
                Err(error) => return Err(ReplayError::Ami { name: capture.name.clone(), error }),
            }
        }
    }
    Ok(events)
}

/// What an event socket said, in pieces of `step` bytes.
///
/// # Errors
/// The bytes are no event socket.
pub fn esl_events(settings: &ReplaySettings, capture: &Capture, step: usize) -> Result<Vec<Event>, ReplayError> {
    let rules = settings.book.switches.get(&settings.switch);
    let mut translator = esl::translate::Translator::new(
        rules.map(|rules| rules.trunks.clone()).unwrap_or_default(),
        rules.map(|rules| rules.attributes.clone()).unwrap_or_default(),
    );
    let mut framer = esl::frame::Framer::new();
    for piece in capture.bytes.chunks(step.clamp(1, 64 * 1024)) {
        framer.push(piece);
        while let Some(frame) = framer.take().map_err(|error| ReplayError::Esl { name: capture.name.clone(), error })? {
            // A body that is no event is one event less.
            let _ = esl::heard(&mut translator, &frame);
        }
    }
    Ok(translator.drain())
}

/// Answers to lists that a capture holds: what a client asked the switch when it came in the middle of calls.
struct Lists {
    /// Which of the session's lists are in the capture to their end.
    there: [bool; 4],
    now: Option<AmiLists>,
}

impl Lists {
    fn of(capture: &[u8]) -> Self {
        let there = ["CoreShowChannelsComplete", "StatusComplete", "BridgeListComplete", "QueueStatusComplete"]
            .map(|end| memchr::memmem::find(capture, format!("Event: {end}\r").as_bytes()).is_some());
        Self { there, now: None }
    }

    /// A message of a list, or one that came meanwhile; the snapshot when all lists are in hand.
    fn take(&mut self, m: &ami::Message<'_>, last: Wall) -> Vec<Event> {
        let list = match m.event() {
            Some("CoreShowChannel" | "CoreShowChannelsComplete") => 0,
            Some("Status" | "StatusComplete") => 1,
            Some("BridgeListItem" | "BridgeListComplete") => 2,
            Some("QueueParams" | "QueueMember" | "QueueEntry" | "QueueStatusComplete") => 3,
            _ => {
                if let Some(lists) = &mut self.now {
                    lists.meanwhile(m);
                }
                return Vec::new();
            }
        };
        // Without the channels the rest says nothing.
        if !self.there[0] {
            return Vec::new();
        }
        let asked = Now { wall: last, mono: Mono(u64::try_from(last.0).unwrap_or(0).saturating_mul(1000)) };
        let there = self.there;
        let lists = self.now.get_or_insert_with(|| AmiLists::new(asked).only(there));
        match lists.item(list, m) {
            Ok(true) => {
                let said = self.now.take().map(AmiLists::said).unwrap_or_default();
                said.into_iter().map(|said| Event { at: None, said }).collect()
            }
            // More channels than any switch has: no list.
            Ok(false) | Err(_) => Vec::new(),
        }
    }
}

fn ari_events(capture: &Capture) -> Result<Vec<Event>, ReplayError> {
    let mut events = Vec::new();
    for (number, line) in capture.bytes.split(|b| *b == b'\n').enumerate() {
        let text = ami::text(line);
        if text.trim().is_empty() {
            continue;
        }
        match translate_ari::translate(text.trim()) {
            Ok(event) => events.extend(event),
            Err(error) => return Err(ReplayError::Ari { name: capture.name.clone(), line: number + 1, error }),
        }
    }
    Ok(events)
}

/// Feeds several streams of events to a fresh book and gives the final record of each call, in the order in which the calls ended.
#[must_use]
pub fn play(settings: ReplaySettings, streams: Vec<(Feed, Vec<Event>)>) -> Vec<Record> {
    let mut book = Book::new(settings.book);
    let mut records = Kept::default();
    let mut clock = Now { wall: Wall(0), mono: Mono(0) };
    for (feed, event) in merged(streams) {
        if let Some(at) = event.at {
            clock.wall = clock.wall.max(at);
            clock.mono = Mono(u64::try_from(clock.wall.0).unwrap_or(0).saturating_mul(1000));
        }
        book.take(clock, &settings.switch, feed, event);
        records.drain(&mut book);
        if book.deadline().is_some_and(|due| due <= clock.mono) {
            book.tick(clock);
        }
    }
    book.lose_all(clock, &settings.switch);
    records.drain(&mut book);
    records.list
}

/// Records as they come: the last revision of each call counts.
#[derive(Default)]
struct Kept {
    list: Vec<Record>,
    place: HashMap<CallId, usize>,
}

impl Kept {
    fn drain(&mut self, book: &mut Book) {
        while let Some(change) = book.next_change() {
            if !matches!(change.what, What::Ended | What::Amended) {
                continue;
            }
            let Some(record) = book.record(change.call) else { continue };
            match self.place.get(&change.call).and_then(|at| self.list.get_mut(*at)) {
                Some(old) => *old = record,
                None => {
                    self.place.insert(change.call, self.list.len());
                    self.list.push(record);
                }
            }
        }
    }
}

/// Several streams as one, by stamp; an event without one stays behind the one before it. Each stream ends with its lost link, unless
/// another watcher of the same kind goes on.
fn merged(streams: Vec<(Feed, Vec<Event>)>) -> Vec<(Feed, Event)> {
    let mut all: Vec<(Wall, usize, Feed, Event)> = Vec::new();
    let mut lives: Vec<(Feed, Wall, Wall)> = Vec::new();
    for (place, (feed, events)) in streams.into_iter().enumerate() {
        let first = events.iter().find_map(|e| e.at).unwrap_or(Wall(0));
        let mut last = first;
        for event in events {
            last = last.max(event.at.unwrap_or(last));
            all.push((last, place, feed, event));
        }
        lives.push((feed, first, last));
    }
    for (place, &(feed, _, last)) in lives.iter().enumerate() {
        let other = |&(n, &(f, from, to)): &(usize, &(Feed, Wall, Wall))| {
            f == feed && n != place && from <= last && (last < to || last == to && place < n)
        };
        if !lives.iter().enumerate().any(|life| other(&life)) {
            all.push((last, place, feed, Event { at: None, said: Said::LinkLost { feed } }));
        }
    }
    // Stable: within one stream the order stays.
    all.sort_by_key(|(at, place, ..)| (*at, *place));
    all.into_iter().map(|(_, _, feed, event)| (feed, event)).collect()
}

/// Every capture's events. Several of dialog events are one stream: what one entity does means something only beside the others.
///
/// # Errors
/// The first capture that is not what its feed says.
pub fn streams(settings: &ReplaySettings, captures: &[Capture]) -> Result<Vec<(Feed, Vec<Event>)>, ReplayError> {
    let mut streams = Vec::new();
    for capture in captures.iter().filter(|c| c.feed != Feed::Sip) {
        streams.push((capture.feed, events(settings, capture)?));
    }
    let sip: Vec<&Capture> = captures.iter().filter(|c| c.feed == Feed::Sip).collect();
    if !sip.is_empty() {
        streams.push((Feed::Sip, sip_events(settings, &sip, usize::MAX)?));
    }
    Ok(streams)
}

/// Dialog events, each message in pieces of `step` bytes, as a stream might give them.
///
/// # Errors
/// The first capture that is none.
pub fn sip_events(settings: &ReplaySettings, captures: &[&Capture], step: usize) -> Result<Vec<Event>, ReplayError> {
    let Some(ours) = Ours::of(&settings.book, &settings.switch) else { return Ok(Vec::new()) };
    sip_capture::events(captures, ours, step).map_err(|(name, error)| ReplayError::Sip { name, error })
}

/// Reads the captures and replays them.
///
/// # Errors
/// The first capture that is not what its feed says.
pub fn run(mut settings: ReplaySettings, captures: &[Capture]) -> Result<Vec<Record>, ReplayError> {
    let has = |feed: Feed| captures.iter().any(|capture| capture.feed == feed);
    if has(Feed::Hep) && (has(Feed::Ami) || has(Feed::Ari)) {
        settings.mirrored();
    }
    let streams = streams(&settings, captures)?;
    Ok(play(settings, streams))
}
