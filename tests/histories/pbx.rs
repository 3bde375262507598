//! A made-up Asterisk 22: channels, bridges and queues, and what its two feeds say of them, text by text in the order and with the quirks of the
//! recordings (`proto-fixtures/asterisk`, and the numbered list of traps in `tests/traps.rs`). It decides nothing: `plot.rs` does.

use linecard::{
    calls::event::{Event, Feed, Said},
    daemon::demo::events::{Channel, Message, State, UNKNOWN, cause_text, known},
    switches::asterisk::{
        ami::Framer,
        snapshot::{AmiLists, AriLists},
    },
    words::{Mono, Now, Wall},
};
use serde_json::{Value, json};

pub const START: i64 = 1_795_347_846_000;

/// Index of a channel.
pub type Ch = usize;
/// Index of a bridge.
pub type Br = usize;

/// What one thing that happened looks like on each feed; empty where the feed does not tell it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub ms: i64,
    pub ami: String,
    pub ari: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Talk,
    Conference,
    Parking,
}

struct Bridge {
    id: String,
    room: Room,
    members: Vec<Ch>,
}

pub struct Pbx {
    /// Microseconds since [`START`]; each event takes some, so that the events of one act lie a few milliseconds apart.
    us: i64,
    ami_us: i64,
    count: u32,
    pub channels: Vec<Channel>,
    gone: Vec<bool>,
    bridges: Vec<Bridge>,
    /// Who waits where, since when (ms).
    waiting: Vec<(Ch, String, i64)>,
    dice: u64,
    pub lines: Vec<Line>,
}

impl Pbx {
    pub fn new(seed: u64) -> Self {
        Self {
            us: 0,
            ami_us: 0,
            count: 0,
            channels: Vec::new(),
            gone: Vec::new(),
            bridges: Vec::new(),
            waiting: Vec::new(),
            dice: seed | 1,
            lines: Vec::new(),
        }
    }

    /// Time goes on to `ms` after the start, unless it is later already.
    pub fn at(&mut self, ms: i64) {
        self.us = self.us.max(ms * 1000);
    }

    pub fn now(&self) -> i64 {
        self.us / 1000
    }

    /// For what the switch promises no order for.
    pub fn toss(&mut self) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.dice >> 62 & 1 == 1
    }

    fn ami_at(&mut self) -> i64 {
        // AMI tells a little later than ARI, now more, now less, never out of its own order.
        let lag = if self.toss() { 300 } else { 1_400 };
        self.ami_us = self.ami_us.max(self.us + lag);
        START * 1000 + self.ami_us
    }

    fn say(&mut self, ami: Option<Message>, ari: Option<Value>) {
        let ami = ami.map(|m| String::from_utf8(m.finish().to_vec()).unwrap()).unwrap_or_default();
        let ari = ari
            .map(|mut v| {
                v["timestamp"] = json!(stamp(self.us / 1000));
                v["application"] = json!("linecard");
                v.to_string()
            })
            .unwrap_or_default();
        self.lines.push(Line { ms: self.now(), ami, ari });
        self.us += 400;
    }

    fn event(&mut self, name: &str, class: &'static str) -> Message {
        let at = self.ami_at();
        Message::event(name, class, at)
    }

    fn leg(&mut self, name: &str, ch: Ch) -> Message {
        let message = self.event(name, "call");
        message.channel("", &self.channels[ch])
    }

    fn json(&self, ch: Ch) -> Value {
        let c = &self.channels[ch];
        let state = match c.state {
            State::Down => "Down",
            State::Ring => "Ring",
            State::Ringing => "Ringing",
            State::Up => "Up",
        };
        json!({
            "id": c.uniqueid, "name": c.name, "state": state, "protocol_id": format!("sip-{}", c.uniqueid),
            "caller": {"name": c.display, "number": c.number}, "connected": {"name": "", "number": c.connected},
            "accountcode": "", "language": "en", "creationtime": stamp(c.created.0 - START),
            "dialplan": {"context": c.context, "exten": c.exten, "priority": 1, "app_name": c.application, "app_data": c.data},
        })
    }

    fn bridge_json(&self, bridge: Br) -> Value {
        let b = &self.bridges[bridge];
        let (kind, technology, creator) = match b.room {
            Room::Talk => ("mixing", "simple_bridge", ""),
            Room::Conference => ("mixing", "softmix", "ConfBridge"),
            Room::Parking => ("holding", "holding_bridge", "Parking"),
        };
        let ids: Vec<&str> = b.members.iter().map(|c| self.channels[*c].uniqueid.as_str()).collect();
        json!({"id": b.id, "technology": technology, "bridge_type": kind, "bridge_class": "basic", "creator": creator, "channels": ids})
    }

    fn bridge_fields(&self, message: Message, bridge: Br) -> Message {
        let b = &self.bridges[bridge];
        let (kind, technology, creator) = match b.room {
            Room::Talk => ("basic", "simple_bridge", UNKNOWN),
            Room::Conference => ("base", "softmix", "ConfBridge"),
            Room::Parking => ("parking", "holding_bridge", "Parking"),
        };
        message
            .field("BridgeUniqueid", &b.id)
            .field("BridgeType", kind)
            .field("BridgeTechnology", technology)
            .field("BridgeCreator", creator)
            .field("BridgeName", UNKNOWN)
            .field("BridgeNumChannels", b.members.len())
    }

    // ------------------------------------------------------------------ channels

    /// A channel. `linked` is whose call it belongs to; without one it begins a call of its own.
    pub fn make(&mut self, endpoint: &str, linked: Option<Ch>, state: State, number: &str, exten: &str) -> Ch {
        let id = format!("{}.{}", (START + self.now()) / 1000, self.count);
        self.make_as(&id, endpoint, linked, state, number, exten)
    }

    /// As [`Pbx::make`], with an id that was asked for or comes again.
    pub fn make_as(
        &mut self,
        id: &str,
        endpoint: &str,
        linked: Option<Ch>,
        state: State,
        number: &str,
        exten: &str,
    ) -> Ch {
        let name = match endpoint.starts_with("Local/") {
            true => endpoint.to_owned(),
            false => format!("{endpoint}-{:08x}", self.count),
        };
        let linkedid = linked.map_or(id.to_owned(), |l| self.channels[l].linkedid.clone());
        self.channels.push(Channel {
            name,
            state,
            number: number.to_owned(),
            display: String::new(),
            connected: String::new(),
            connected_display: String::new(),
            context: if endpoint == "PJSIP/trunk" { "from-trunk" } else { "agents" }.into(),
            exten: exten.to_owned(),
            priority: 1,
            uniqueid: id.to_owned(),
            linkedid,
            application: String::new(),
            data: String::new(),
            bridge: None,
            created: Wall(START + self.now()),
        });
        self.gone.push(false);
        self.count += 1;
        let ch = self.channels.len() - 1;
        let ami = self.leg("Newchannel", ch);
        let ari = json!({"type": "ChannelCreated", "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
        ch
    }

    pub fn state(&mut self, ch: Ch, state: State) {
        self.channels[ch].state = state;
        let ami = self.leg("Newstate", ch);
        let ari = json!({"type": "ChannelStateChange", "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    pub fn up(&self, ch: Ch) -> bool {
        self.channels[ch].state == State::Up
    }

    pub fn live(&self, ch: Ch) -> bool {
        !self.gone[ch]
    }

    pub fn run(&mut self, ch: Ch, application: &str, data: &str) {
        let c = &mut self.channels[ch];
        (c.application, c.data) = (application.to_owned(), data.to_owned());
        let ami = self.leg("Newexten", ch).field("Application", application).field("AppData", data);
        let ari = json!({"type": "ChannelDialplan", "dialplan_app": application, "dialplan_app_data": data, "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    pub fn goto(&mut self, ch: Ch, exten: &str) {
        exten.clone_into(&mut self.channels[ch].exten);
    }

    /// What no client of a call centre wants, and what comes in between all the time.
    pub fn noise(&mut self, ch: Ch) {
        let ami = self.leg("NewConnectedLine", ch);
        let ari = json!({"type": "ChannelConnectedLine", "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
        let ami = self.event("TestEvent", "test").field("Type", "StateChange").field("State", "APP_X");
        let ari = json!({"type": "DeviceStateChanged", "device_state": {"name": "PJSIP/1001", "state": "INUSE"}});
        self.say(Some(ami), Some(ari));
    }

    // ------------------------------------------------------------------ dials

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    fn dial(&mut self, name: &str, by: Option<Ch>, to: Ch, key: &str, value: &str, status: &str, string: &str) {
        let mut ami = self.event(name, "call");
        if let Some(by) = by {
            ami = ami.channel("", &self.channels[by]);
        }
        let ami = ami.channel("Dest", &self.channels[to]).field(key, value);
        let mut ari =
            json!({"type": "Dial", "dialstatus": status, "dialstring": string, "forward": "", "peer": self.json(to)});
        if let Some(by) = by {
            ari["caller"] = self.json(by);
        }
        self.say(Some(ami), Some(ari));
    }

    pub fn dial_begin(&mut self, by: Option<Ch>, to: Ch, string: &str) {
        self.dial("DialBegin", by, to, "DialString", string, "", string);
    }

    pub fn dial_rings(&mut self, by: Option<Ch>, to: Ch) {
        // Newstate before or after the DialBegin, both were recorded; here it is after.
        self.state(to, State::Ringing);
        self.dial("DialState", by, to, "DialStatus", "RINGING", "RINGING", "");
    }

    pub fn dial_end(&mut self, by: Option<Ch>, to: Ch, status: &str) {
        self.dial("DialEnd", by, to, "DialStatus", status, status, "");
    }

    // ------------------------------------------------------------------ bridges

    pub fn bridge(&mut self, room: Room) -> Br {
        let id = format!("{:08x}-7102-43e7-9461-1c77abec18d3", 0xb000_0000_u32 + self.bridges.len() as u32);
        self.bridges.push(Bridge { id, room, members: Vec::new() });
        let bridge = self.bridges.len() - 1;
        let ami = self.event("BridgeCreate", "call");
        let ami = self.bridge_fields(ami, bridge);
        let ari = json!({"type": "BridgeCreated", "bridge": self.bridge_json(bridge)});
        self.say(Some(ami), Some(ari));
        bridge
    }

    pub fn enter(&mut self, ch: Ch, bridge: Br, swap: Option<Ch>) {
        self.bridges[bridge].members.push(ch);
        self.channels[ch].bridge = Some(self.bridges[bridge].id.clone());
        // All in a bridge get the oldest call's Linkedid, without an event; this one may still say the old one.
        let stale = self.toss();
        if !stale {
            self.link(bridge);
        }
        let ami = self.event("BridgeEnter", "call");
        let mut ami = self.bridge_fields(ami, bridge).channel("", &self.channels[ch]);
        if let Some(swap) = swap {
            ami = ami.field("SwapUniqueid", &self.channels[swap].uniqueid);
        }
        let ari = json!({"type": "ChannelEnteredBridge", "bridge": self.bridge_json(bridge), "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
        self.link(bridge);
    }

    fn link(&mut self, bridge: Br) {
        let b = &self.bridges[bridge];
        if b.room == Room::Parking {
            return;
        }
        let age = |c: &Ch| {
            let id = self.channels[*c].linkedid.clone();
            self.channels.iter().position(|other| other.uniqueid == id).unwrap_or(usize::MAX)
        };
        let Some(oldest) = b.members.iter().map(age).min().filter(|n| *n != usize::MAX) else { return };
        let linked = self.channels[oldest].uniqueid.clone();
        for ch in b.members.clone() {
            self.channels[ch].linkedid.clone_from(&linked);
        }
    }

    /// Enters a new bridge with both; who comes first is not promised.
    pub fn connect(&mut self, a: Ch, b: Ch) -> Br {
        let bridge = self.bridge(Room::Talk);
        let (first, second) = if self.toss() { (a, b) } else { (b, a) };
        self.enter(first, bridge, None);
        self.enter(second, bridge, None);
        bridge
    }

    pub fn place(&self, ch: Ch) -> Option<Br> {
        self.bridges.iter().position(|b| b.members.contains(&ch))
    }

    pub fn leave(&mut self, ch: Ch) {
        let Some(bridge) = self.place(ch) else { return };
        self.bridges[bridge].members.retain(|c| *c != ch);
        self.channels[ch].bridge = None;
        let ami = self.event("BridgeLeave", "call");
        let ami = self.bridge_fields(ami, bridge).channel("", &self.channels[ch]);
        let ari = json!({"type": "ChannelLeftBridge", "bridge": self.bridge_json(bridge), "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
        if self.bridges[bridge].members.is_empty() {
            let ami = self.event("BridgeDestroy", "call");
            let ami = self.bridge_fields(ami, bridge);
            let ari = json!({"type": "BridgeDestroyed", "bridge": self.bridge_json(bridge)});
            self.say(Some(ami), Some(ari));
        }
    }

    pub fn hold(&mut self, ch: Ch) {
        let ami = self.leg("Hold", ch).field("MusicClass", "default");
        let ari = json!({"type": "ChannelHold", "musicclass": "default", "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    pub fn unhold(&mut self, ch: Ch) {
        let ami = self.leg("Unhold", ch);
        let ari = json!({"type": "ChannelUnhold", "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    // ------------------------------------------------------------------ ends

    /// The far end asks (BYE, CANCEL, or a refusal).
    pub fn asks(&mut self, ch: Ch, cause: u16) {
        let ami = self.leg("HangupRequest", ch).field("Cause", cause);
        let ari = json!({"type": "ChannelHangupRequest", "cause": cause, "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    /// The switch's own wish.
    pub fn soft(&mut self, ch: Ch) {
        let ami = self.leg("SoftHangupRequest", ch).field("Cause", 16);
        let ari = json!({"type": "ChannelHangupRequest", "cause": 16, "soft": true, "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    pub fn hangup(&mut self, ch: Ch, cause: u16) {
        if self.gone[ch] {
            return;
        }
        self.leave(ch);
        self.waiting.retain(|(c, ..)| *c != ch);
        self.gone[ch] = true;
        let cdr = self.toss();
        if cdr {
            let ami = self.event("Cdr", "cdr").field("Channel", &self.channels[ch].name).field("Duration", 4);
            self.say(Some(ami), None);
        }
        let ami = self.leg("Hangup", ch).field("Cause", cause).field("Cause-txt", cause_text(cause));
        let ari = json!({"type": "ChannelDestroyed", "cause": cause, "cause_txt": cause_text(cause), "channel": self.json(ch)});
        self.say(Some(ami), Some(ari));
    }

    // ------------------------------------------------------------------ queues, on AMI alone

    pub fn join(&mut self, ch: Ch, queue: &str) {
        self.run(ch, "Queue", &format!("{queue},,,,120"));
        self.waiting.push((ch, queue.to_owned(), self.now()));
        let ami = self.event("QueueCallerJoin", "agent").channel("", &self.channels[ch]).field("Queue", queue);
        self.say(Some(ami), None);
    }

    pub fn abandon(&mut self, ch: Ch, queue: &str) {
        let ami = self.event("QueueCallerAbandon", "agent").channel("", &self.channels[ch]).field("Queue", queue);
        self.say(Some(ami), None);
    }

    pub fn out_of_queue(&mut self, ch: Ch, queue: &str) {
        self.waiting.retain(|(c, ..)| *c != ch);
        let ami = self.event("QueueCallerLeave", "agent").channel("", &self.channels[ch]).field("Queue", queue);
        self.say(Some(ami), None);
    }

    pub fn agent_event(&mut self, name: &str, caller: Ch, agent: Ch, queue: &str, key: &str, value: i64) {
        let ami = self.event(name, "agent").channel("", &self.channels[caller]).channel("Dest", &self.channels[agent]);
        let ami = ami
            .field("Queue", queue)
            .field("MemberName", format_args!("{queue} agent"))
            .field("Interface", self.channels[agent].device())
            .field(key, value);
        self.say(Some(ami), None);
    }

    // ------------------------------------------------------------------ others

    pub fn local_bridge(&mut self, one: Ch, two: Ch) {
        let ami = self.event("LocalBridge", "call").channel("LocalOne", &self.channels[one]);
        let ami = ami.channel("LocalTwo", &self.channels[two]).field("LocalOptimization", "No");
        self.say(Some(ami), None);
    }

    pub fn pickup(&mut self, by: Ch, target: Ch) {
        let ami = self.leg("Pickup", by).channel("Target", &self.channels[target]);
        self.say(Some(ami), None);
    }

    pub fn parked(&mut self, name: &str, ch: Ch, by: Option<Ch>) {
        let mut ami = self.event(name, "call").channel("Parkee", &self.channels[ch]);
        if let Some(by) = by {
            ami = ami.channel("Retriever", &self.channels[by]);
        }
        self.say(Some(ami.field("Parkinglot", "default").field("ParkingSpace", 701)), None);
    }

    pub fn blind_transfer(&mut self, by: Ch, customer: Ch, to: &str) {
        let bridge = self.place(by).unwrap();
        let ami = self.event("BlindTransfer", "call").field("Result", "Success");
        let ami = ami.channel("Transferer", &self.channels[by]).channel("Transferee", &self.channels[customer]);
        let ami = self.bridge_fields(ami, bridge).field("IsExternal", "Yes").field("Extension", to);
        let ari = json!({
            "type": "BridgeBlindTransfer", "channel": self.json(by), "exten": to, "context": "agents", "result": "Success",
            "is_external": true, "transferee": self.json(customer), "bridge": self.bridge_json(bridge),
        });
        self.say(Some(ami), Some(ari));
    }

    pub fn attended_transfer(&mut self, first: Ch, second: Ch, customer: Ch, target: Ch, end: Br) {
        let ami = self.event("AttendedTransfer", "call").field("Result", "Success");
        let ami = ami
            .channel("OrigTransferer", &self.channels[first])
            .channel("SecondTransferer", &self.channels[second])
            .channel("Transferee", &self.channels[customer])
            .channel("TransferTarget", &self.channels[target])
            .field("DestType", "Bridge")
            .field("DestBridgeUniqueid", &self.bridges[end].id);
        let ari = json!({
            "type": "BridgeAttendedTransfer", "result": "Success", "transferer_first_leg": self.json(first),
            "transferer_second_leg": self.json(second), "transferee": self.json(customer),
            "transfer_target": self.json(target), "destination_type": "bridge", "destination_bridge": self.bridges[end].id,
        });
        self.say(Some(ami), Some(ari));
    }

    pub fn originated(&mut self, ch: Ch, number: &str, success: bool) {
        let ami = self.event("OriginateResponse", "call");
        let ami = ami
            .field("Response", if success { "Success" } else { "Failure" })
            .field("Channel", &self.channels[ch].name)
            .field("Exten", number)
            .field("Reason", if success { 4 } else { 0 })
            .field("Uniqueid", &self.channels[ch].uniqueid);
        self.say(Some(ami), None);
    }

    // ------------------------------------------------------------------ what is there now

    /// The answers to the lists that our sessions ask for, as they read them.
    pub fn snapshot(&self, feed: Feed) -> Event {
        let now = Now { wall: Wall(START + self.now()), mono: Mono(u64::try_from(START + self.now()).unwrap() * 1000) };
        let said = match feed {
            Feed::Ari => {
                let there = (0..self.channels.len()).filter(|c| self.live(*c));
                let channels: Vec<Value> = there.map(|c| self.json(c)).collect();
                let bridges: Vec<Value> = (0..self.bridges.len())
                    .filter(|b| !self.bridges[*b].members.is_empty())
                    .map(|b| self.bridge_json(b))
                    .collect();
                let mut lists = AriLists::new(now);
                lists.channels(json!(channels).to_string().as_bytes()).unwrap();
                assert_eq!(lists.bridges(json!(bridges).to_string().as_bytes()), Ok(true));
                Said::Snapshot(lists.finish())
            }
            _ => Said::Snapshot(self.ami_lists(now)),
        };
        Event { at: None, said }
    }

    fn ami_lists(&self, now: Now) -> linecard::calls::event::Snapshot {
        let mut lists = AmiLists::new(now);
        let mut whole = false;
        let complete = |name: &str| Message::item(name).field("EventList", "Complete").field("ListItems", 0);
        let mut texts: Vec<(usize, Message)> = Vec::new();
        for ch in (0..self.channels.len()).filter(|c| self.live(*c)) {
            let c = &self.channels[ch];
            let age = (now.wall.0 - c.created.0) / 1000;
            texts.push((
                0,
                Message::item("CoreShowChannel")
                    .channel("", c)
                    .field("BridgeId", c.bridge.as_deref().unwrap_or_default())
                    .field("Application", &c.application)
                    .field("ApplicationData", &c.data)
                    .field("Duration", format_args!("{:02}:{:02}:{:02}", age / 3600, age / 60 % 60, age % 60)),
            ));
        }
        texts.push((0, complete("CoreShowChannelsComplete")));
        texts.push((1, complete("StatusComplete")));
        for bridge in (0..self.bridges.len()).filter(|b| !self.bridges[*b].members.is_empty()) {
            texts.push((2, self.bridge_fields(Message::item("BridgeListItem"), bridge)));
        }
        texts.push((2, complete("BridgeListComplete")));
        for (ch, queue, since) in &self.waiting {
            let wait = (self.now() - since) / 1000;
            let c = &self.channels[*ch];
            let item = Message::item("QueueEntry").field("Queue", queue).field("Uniqueid", &c.uniqueid);
            texts.push((3, item.field("CallerIDNum", known(&c.number)).field("Wait", wait)));
        }
        texts.push((3, complete("QueueStatusComplete")));
        for (list, text) in texts {
            let mut framer = Framer::new();
            framer.push(&text.finish());
            whole |= lists.item(list, &framer.take().unwrap().unwrap()).unwrap();
        }
        assert!(whole);
        lists.finish()
    }
}

/// ARI's stamp of a moment after [`START`].
fn stamp(ms: i64) -> String {
    let at = START + ms;
    let time = linecard::words::Wall(at);
    // Our own records write the same but for the zone.
    serde_json::to_value(time).unwrap().as_str().unwrap().trim_end_matches('Z').to_owned() + "+0000"
}
