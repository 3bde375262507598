//! The lists of what is there now, collected into one [`Snapshot`].
//!
//! Events go on while the lists come, and lists are read from caches that may be older than an event already heard: a channel that was heard
//! to end meanwhile is taken out again. The other way round (a channel that came after its list) the book settles by
//! [`Snapshot::asked`]. A list that the switch refuses is an empty one, but without the list of channels nothing counts as gone.
//!
//! Not in any list: the moment of the answer, hold, the queue of a talking call other than its application's data (Asterisk 22.10.1).

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    calls::event::{
        BridgeKind, Caller, Feed, Leg, Member, Said, Snapshot, SnapshotBridge, SnapshotLeg, SnapshotWaiting,
    },
    private::Private,
    switches::link::Reason,
    words::{Now, Wall},
};

use super::{
    ami::Message,
    ari,
    translate_ami::{self, bridge_kind, channel_state},
    translate_ari,
};

/// More channels than any Asterisk carries (10,000 are a large one), and at 1 KiB each 20 MB.
pub const LEG_CAP: usize = 20_000;

/// The lists asked for over AMI, in this order. `Status` is asked because only it has the number dialled at first (`DNID`).
pub const AMI_LISTS: [&str; 4] = ["CoreShowChannels", "Status", "BridgeList", "QueueStatus"];

/// A channel's variables: names, and values as the bytes that came.
type Variables = Vec<(String, Private<Vec<u8>>)>;

/// The four lists of AMI as they come.
#[derive(Debug)]
pub struct AmiLists {
    asked: Now,
    /// Which of [`AMI_LISTS`] are not whole yet.
    open: [bool; 4],
    /// The switch refused the list of channels.
    blind: bool,
    legs: Vec<SnapshotLeg>,
    dialled: HashMap<String, Private<String>>,
    variables: HashMap<String, Variables>,
    members: BTreeMap<String, Vec<String>>,
    kinds: HashMap<String, BridgeKind>,
    waiting: Vec<SnapshotWaiting>,
    /// Logins; absent: not told.
    queue_members: Option<Vec<Member>>,
    ended: HashSet<String>,
    left: HashSet<String>,
}

impl AmiLists {
    /// All lists were asked for at `asked`.
    #[must_use]
    pub fn new(asked: Now) -> Self {
        Self {
            asked,
            open: [true; 4],
            blind: false,
            legs: Vec::new(),
            dialled: HashMap::new(),
            variables: HashMap::new(),
            members: BTreeMap::new(),
            kinds: HashMap::new(),
            waiting: Vec::new(),
            queue_members: Some(Vec::new()),
            ended: HashSet::new(),
            left: HashSet::new(),
        }
    }

    /// Of a capture: only these lists were asked for.
    #[must_use]
    pub fn only(mut self, lists: [bool; 4]) -> Self {
        self.open = lists;
        self.queue_members = self.queue_members.filter(|_| lists[3]);
        self
    }

    #[must_use]
    pub const fn asked(&self) -> Now {
        self.asked
    }

    /// A message that answers list number `list` (an index of [`AMI_LISTS`]). `true`: everything is in hand.
    ///
    /// # Errors
    /// More channels than [`LEG_CAP`].
    pub fn item(&mut self, list: usize, m: &Message<'_>) -> Result<bool, Reason> {
        let whole = match m.event() {
            None => {
                // An error, or an answer without the events that were to follow, ends the list here.
                let refused = m.response() != Some("Success");
                self.blind |= refused && list == 0;
                self.queue_members = self.queue_members.take().filter(|_| !refused || list != 3);
                refused
            }
            Some(_) if m.bytes_of("EventList") == Some(b"Complete") => true,
            Some("CoreShowChannel") => {
                if self.legs.len() == LEG_CAP {
                    return Err(Reason::TooMany(LEG_CAP));
                }
                if let Some(leg) = self.channel(m) {
                    self.legs.push(leg);
                }
                false
            }
            Some("Status") => {
                if let (Some(id), Some(number)) = (owned(m, "Uniqueid"), known(m, "DNID")) {
                    self.dialled.insert(id, number);
                }
                if let Some(id) = owned(m, "Uniqueid") {
                    let set: Vec<_> = m.each("Variable").filter_map(assignment).collect();
                    if !set.is_empty() {
                        self.variables.insert(id, set);
                    }
                }
                false
            }
            Some("BridgeListItem") => {
                self.kinds.extend(owned(m, "BridgeUniqueid").map(|id| (id, bridge_kind(m))));
                false
            }
            Some("QueueEntry") => {
                if let (Some(leg), Some(queue)) = (owned(m, "Uniqueid"), owned(m, "Queue")) {
                    let wait = m.get("Wait").and_then(|w| w.parse::<u64>().ok());
                    self.waiting.push(SnapshotWaiting { leg, queue, wait_ms: wait.map(|s| s.saturating_mul(1000)) });
                }
                false
            }
            Some("QueueMember") => {
                if let Some(queue_members) = &mut self.queue_members {
                    if queue_members.len() == LEG_CAP {
                        return Err(Reason::TooMany(LEG_CAP));
                    }
                    queue_members.extend(translate_ami::member(m, "Name", "Location"));
                }
                false
            }
            Some(_) => false,
        };
        if whole && let Some(open) = self.open.get_mut(list) {
            *open = false;
        }
        Ok(!self.open.contains(&true))
    }

    /// An ordinary event that came while the lists did.
    pub fn meanwhile(&mut self, m: &Message<'_>) {
        match m.event() {
            Some("Hangup") => self.ended.extend(owned(m, "Uniqueid")),
            Some("QueueCallerLeave") => self.left.extend(owned(m, "Uniqueid")),
            Some(event @ ("QueueMemberAdded" | "QueueMemberRemoved" | "QueueMemberPause")) => {
                let member = translate_ami::member(m, "MemberName", "Interface");
                if let (Some(queue_members), Some(member)) = (&mut self.queue_members, member) {
                    queue_members
                        .retain(|other| (&other.queue, &other.interface) != (&member.queue, &member.interface));
                    let there = event != "QueueMemberRemoved" && queue_members.len() < LEG_CAP;
                    queue_members.extend(Some(member).filter(|_| there));
                }
            }
            _ => {}
        }
    }

    /// What the lists say: who is logged in, if they tell it, and what is there.
    #[must_use]
    pub fn said(mut self) -> Vec<Said> {
        let members = self.queue_members.take().map(Said::Members);
        members.into_iter().chain([Said::Snapshot(self.finish())]).collect()
    }

    #[must_use]
    pub fn finish(mut self) -> Snapshot {
        self.legs.retain(|l| !self.ended.contains(&l.leg.id));
        for leg in &mut self.legs {
            if let Some(number) = self.dialled.remove(&leg.leg.id) {
                leg.dialled = Some(number);
            }
            leg.variables = self.variables.remove(&leg.leg.id).unwrap_or_default();
        }
        self.waiting.retain(|w| !self.ended.contains(&w.leg) && !self.left.contains(&w.leg));
        let bridges = self
            .members
            .into_iter()
            .map(|(id, mut legs)| {
                legs.retain(|leg| !self.ended.contains(leg));
                let kind = self.kinds.get(&id).copied().unwrap_or(BridgeKind::Mixing);
                SnapshotBridge { id, kind, legs }
            })
            .collect();
        let asked = (!self.blind).then_some(self.asked.mono);
        Snapshot { feed: Feed::Ami, legs: self.legs, bridges, asked, waiting: self.waiting }
    }

    fn channel(&mut self, m: &Message<'_>) -> Option<SnapshotLeg> {
        let id = owned(m, "Uniqueid")?;
        if let Some(bridge) = owned(m, "BridgeId") {
            self.members.entry(bridge).or_default().push(id.clone());
        }
        Some(SnapshotLeg {
            // A state that says nothing (dialling, reserved) is that of a channel that nobody has answered.
            state: m.bytes_of("ChannelState").and_then(channel_state).unwrap_or(crate::calls::event::LegState::Down),
            created: created(&id, m.get("Duration").as_deref(), self.asked.wall),
            caller: Caller { number: known(m, "CallerIDNum"), name: known(m, "CallerIDName") },
            connected: Caller { number: known(m, "ConnectedLineNum"), name: known(m, "ConnectedLineName") },
            dialled: known(m, "Exten").filter(|e| e.expose() != "s"),
            application: owned(m, "Application").unwrap_or_default(),
            data: owned(m, "ApplicationData").unwrap_or_default(),
            variables: Vec::new(),
            leg: Leg {
                id,
                name: owned(m, "Channel").unwrap_or_default(),
                linked: owned(m, "Linkedid"),
                sip_call_id: None,
            },
        })
    }
}

/// `CTI_ACCOUNT=8642`, as Status answers what its `Variables` asked for.
fn assignment(line: &[u8]) -> Option<(String, Private<Vec<u8>>)> {
    let at = memchr::memchr(b'=', line)?;
    let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
    (!value.is_empty()).then(|| (super::ami::text(name).into_owned(), Private::new(value.to_vec())))
}

/// When a channel was made: the whole seconds in front of a `Uniqueid` that Asterisk chose (the same at every snapshot), else its age
/// counted back from now, which may be a second off.
fn created(id: &str, duration: Option<&str>, now: Wall) -> Option<Wall> {
    let seconds = id.split_once('.').and_then(|(s, _)| s.parse::<i64>().ok());
    // An id that we or another program gave may begin with a number too: only a time near the switch's own is one.
    let age_ms = duration.and_then(age_ms);
    match (seconds, age_ms) {
        (Some(s), _) if (1_000_000_000..100_000_000_000).contains(&s) => Some(Wall(s * 1000)),
        (_, Some(age)) => Some(now.plus_ms(-age)),
        _ => None,
    }
}

/// `00:00:03`; the hours grow beyond two digits.
fn age_ms(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|p| p.parse::<u32>().ok().map(i64::from));
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(((h * 60 + m) * 60 + s) * 1000)
}

fn owned(m: &Message<'_>, key: &str) -> Option<String> {
    m.get(key).filter(|v| !v.is_empty()).map(std::borrow::Cow::into_owned)
}

/// A personal value; AMI has two ways to write that there is none.
fn known(m: &Message<'_>, key: &str) -> Option<Private<String>> {
    owned(m, key).filter(|v| v != "<unknown>" && v != "unknown").map(Private::new)
}

/// The two lists of ARI as they come.
#[derive(Debug)]
pub struct AriLists {
    asked: Now,
    legs: Option<Vec<SnapshotLeg>>,
    bridges: Option<Vec<SnapshotBridge>>,
    ended: HashSet<String>,
}

impl AriLists {
    #[must_use]
    pub fn new(asked: Now) -> Self {
        Self { asked, legs: None, bridges: None, ended: HashSet::new() }
    }

    #[must_use]
    pub const fn asked(&self) -> Now {
        self.asked
    }

    /// The body of `GET /channels`. `true`: everything is in hand.
    ///
    /// # Errors
    /// It is no list of channels, or longer than [`LEG_CAP`].
    pub fn channels(&mut self, body: &[u8]) -> Result<bool, Reason> {
        let list: Vec<ari::Channel<'_>> =
            serde_json::from_slice(body).map_err(|_| Reason::Junk("no list of channels"))?;
        if list.len() > LEG_CAP {
            return Err(Reason::TooMany(LEG_CAP));
        }
        self.legs = Some(list.iter().filter_map(channel).collect());
        Ok(self.bridges.is_some())
    }

    /// The body of `GET /bridges`. `true`: everything is in hand.
    ///
    /// # Errors
    /// It is no list of bridges.
    pub fn bridges(&mut self, body: &[u8]) -> Result<bool, Reason> {
        let list: Vec<ari::Bridge<'_>> =
            serde_json::from_slice(body).map_err(|_| Reason::Junk("no list of bridges"))?;
        let bridge = |b: &ari::Bridge<'_>| SnapshotBridge {
            id: b.id.to_string(),
            kind: translate_ari::bridge_kind(b),
            legs: b.channels.iter().map(|c| c.to_string()).collect(),
        };
        self.bridges = Some(list.iter().map(bridge).collect());
        Ok(self.legs.is_some())
    }

    /// A channel that was heard to end while the lists came.
    pub fn ended(&mut self, id: &str) {
        self.ended.insert(id.to_owned());
    }

    #[must_use]
    pub fn finish(self) -> Snapshot {
        let mut legs = self.legs.unwrap_or_default();
        legs.retain(|l| !self.ended.contains(&l.leg.id));
        let mut bridges = self.bridges.unwrap_or_default();
        for bridge in &mut bridges {
            bridge.legs.retain(|leg| !self.ended.contains(leg));
        }
        // A caller runs the application `Queue` while being served, too: what a bridge has does not wait.
        let bridged: HashSet<&String> = bridges.iter().flat_map(|b| &b.legs).collect();
        let waiting = legs
            .iter()
            .filter(|l| l.application == "Queue" && !bridged.contains(&l.leg.id))
            .filter_map(|l| {
                let queue = l.data.split(',').next().filter(|q| !q.is_empty())?;
                Some(SnapshotWaiting { leg: l.leg.id.clone(), queue: queue.to_owned(), wait_ms: None })
            })
            .collect();
        Snapshot { feed: Feed::Ari, legs, bridges, asked: Some(self.asked.mono), waiting }
    }
}

fn channel(c: &ari::Channel<'_>) -> Option<SnapshotLeg> {
    let known = |text: &str| (!text.is_empty()).then(|| Private::new(text.to_owned()));
    Some(SnapshotLeg {
        leg: translate_ari::leg(c)?,
        state: translate_ari::state(&c.state).unwrap_or(crate::calls::event::LegState::Down),
        created: translate_ari::stamp(&c.creationtime),
        caller: translate_ari::caller(c),
        connected: Caller { number: known(&c.connected.number), name: known(&c.connected.name) },
        dialled: known(&c.dialplan.exten).filter(|e| e.expose() != "s"),
        application: c.dialplan.app_name.to_string(),
        data: c.dialplan.app_data.to_string(),
        // ARI gives them one channel and one variable a request.
        variables: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::asterisk::{ami::Framer, tests::at};

    /// What Asterisk 22.10.1 listed with one call talking, one ringing at an agent, one waiting (scenario q).
    const AMI: &[u8] = include_bytes!("../../../proto-fixtures/ami/resync-midcall.txt");
    const CHANNELS: &[u8] = include_bytes!("../../../proto-fixtures/ari/resync-midcall-channels.json");
    const BRIDGES: &[u8] = include_bytes!("../../../proto-fixtures/ari/resync-midcall-bridges.json");
    const BRIDGE: &str = "9d91f6cb-7102-43e7-9461-1c77abec18d3";

    fn from_ami(ended: Option<&str>) -> Snapshot {
        let mut lists = AmiLists::new(at(0));
        let mut framer = Framer::new();
        framer.push(AMI);
        if let Some(id) = ended {
            let mut other = Framer::new();
            other.push(format!("Event: Hangup\r\nUniqueid: {id}\r\n\r\n").as_bytes());
            lists.meanwhile(&other.take().unwrap().unwrap());
        }
        let mut whole = 0;
        while let Some(m) = framer.take().unwrap() {
            let list = ["t3", "t4", "t5", "t6"].iter().position(|id| m.action_id().as_deref() == Some(id));
            if let Some(list) = list {
                whole += usize::from(lists.item(list, &m).unwrap());
            }
        }
        assert_eq!(whole, 1, "whole once, at the last list's end");
        lists.finish()
    }

    fn from_ari() -> Snapshot {
        let mut lists = AriLists::new(at(0));
        assert_eq!(lists.channels(CHANNELS), Ok(false));
        assert_eq!(lists.bridges(BRIDGES), Ok(true));
        lists.finish()
    }

    #[test]
    fn the_lists_of_ami_tell_who_talks_rings_and_waits() {
        let s = from_ami(None);
        assert_eq!(s.legs.len(), 5);
        assert_eq!(s.asked, Some(at(0).mono));
        let talking = &s.legs[0];
        assert_eq!(talking.leg.id, "1795348093.0");
        assert_eq!(talking.created, Some(Wall(1_795_348_093_000)));
        assert_eq!(talking.dialled, Some("4008005678".into()));
        assert_eq!((talking.application.as_str(), talking.data.as_str()), ("Queue", "support,,,,120"));
        assert_eq!(talking.connected.number, Some("1001".into()));
        let bridge = &s.bridges[0];
        assert_eq!((bridge.id.as_str(), bridge.kind), (BRIDGE, BridgeKind::Mixing));
        assert_eq!(bridge.legs, ["1795348093.0", "1795348094.1"]);
        let waiting: Vec<_> = s.waiting.iter().map(|w| (w.leg.as_str(), w.queue.as_str(), w.wait_ms)).collect();
        assert_eq!(waiting, [("1795348095.2", "support", Some(2000)), ("1795348095.3", "support", Some(2000))]);
    }

    #[test]
    fn both_feeds_tell_the_same() {
        let (ami, ari) = (from_ami(None), from_ari());
        let ids = |s: &Snapshot| {
            let mut ids: Vec<_> = s.legs.iter().map(|l| (l.leg.id.clone(), l.state, l.caller.clone())).collect();
            ids.sort_by(|a, b| a.0.cmp(&b.0));
            ids
        };
        assert_eq!(ids(&ami), ids(&ari));
        assert_eq!(ami.bridges, ari.bridges);
        let waits = |s: &Snapshot| s.waiting.iter().map(|w| (w.leg.clone(), w.queue.clone())).collect::<Vec<_>>();
        assert_eq!(waits(&ami), waits(&ari));
        for leg in &ari.legs {
            let other = ami.legs.iter().find(|l| l.leg.id == leg.leg.id).unwrap();
            // Whole seconds are all that AMI tells.
            assert_eq!(other.created.unwrap().0, leg.created.unwrap().0 / 1000 * 1000);
        }
    }

    #[test]
    fn who_ended_while_the_lists_came_is_not_there() {
        let s = from_ami(Some("1795348095.2"));
        assert_eq!(s.legs.len(), 4);
        assert_eq!(s.waiting.len(), 1);
    }

    #[test]
    fn without_the_list_of_channels_nobody_counts_as_gone() {
        let mut lists = AmiLists::new(at(0));
        let mut framer = Framer::new();
        framer.push(&b"Response: Error\r\nMessage: Permission denied\r\n\r\n".repeat(4));
        for list in 0..4 {
            let m = framer.take().unwrap().unwrap();
            assert_eq!(lists.item(list, &m), Ok(list == 3));
        }
        assert_eq!(lists.finish().asked, None);
    }

    #[test]
    fn ages_and_ids_give_the_moment_of_creation() {
        let now = Wall(1_795_348_100_000);
        assert_eq!(created("lc-call-1", Some("00:01:03"), now), Some(Wall(1_795_348_037_000)));
        assert_eq!(created("12.5", Some("100:00:00"), now), Some(Wall(1_794_988_100_000)));
        assert_eq!(created("x", Some("99999999999:0:0"), now), None);
        assert_eq!(created("x", Some("1:2"), now), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let mut lists = AriLists::new(at(0));
        assert_eq!(lists.channels(b"<html>"), Err(Reason::Junk("no list of channels")));
        assert_eq!(lists.bridges(b"{\"message\":\"x\"}"), Err(Reason::Junk("no list of bridges")));
    }
}
