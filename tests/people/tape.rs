//! What an Asterisk 22 would say of a call, step by step, in the text of AMI and of ARI.

use std::sync::Arc;

use linecard::{
    calls::{
        Book, Directory, Event, Face, Record, What,
        book::Settings,
        directory::{Agent, AgentsFile},
        event::Feed,
    },
    daemon::replay::{self, Capture, ReplaySettings},
    words::{CallId, Mono, Now, SwitchId, Wall},
};

/// Id and name of a channel.
pub type Channel = (&'static str, &'static str);

#[derive(Default)]
pub struct Tape {
    ami: String,
    ari: String,
    /// Steps so far, a tenth of a second each.
    pub steps: i64,
}

impl Tape {
    /// The captures as events, per feed.
    pub fn events(&self) -> (Vec<Event>, Vec<Event>) {
        let capture = |feed, text: &str| Capture { feed, name: "tape".to_owned(), bytes: text.as_bytes().to_vec() };
        let settings = replay::ReplaySettings::plain(&[], "CN", None);
        let of = |capture: Capture| replay::events(&settings, &capture).unwrap();
        (of(capture(Feed::Ami, &self.ami)), of(capture(Feed::Ari, &self.ari)))
    }

    fn step(&mut self) -> Wall {
        self.steps += 1;
        Wall(START + self.steps * 100)
    }

    fn say(&mut self, event: &str, headers: &[(&str, &str)]) {
        let at = Wall(START + self.steps * 100).0;
        self.ami +=
            &format!("Event: {event}\r\nPrivilege: call,all\r\nTimestamp: {}.{:03}000\r\n", at / 1000, at % 1000);
        for (key, value) in headers {
            self.ami += &format!("{key}: {value}\r\n");
        }
        self.ami += "\r\n";
    }

    fn tell(&mut self, kind: &str, mut body: serde_json::Value) {
        let at = Wall(START + self.steps * 100);
        body["type"] = kind.into();
        body["timestamp"] = stamp(at).into();
        self.ari += &format!("{body}\n");
    }

    /// A customer over the trunk.
    pub fn comes(&mut self, channel: Channel, number: &str, dialled: &str) -> &mut Self {
        self.step();
        let headers = [("CallerIDNum", number), ("Exten", dialled), ("ChannelState", "4")];
        self.say("Newchannel", &[&of(channel)[..], &headers].concat());
        self.tell("ChannelCreated", serde_json::json!({"channel": json(channel, "Ring", number, dialled)}));
        self
    }

    /// The other half of a Local channel.
    pub fn second_half(&mut self, channel: Channel) -> &mut Self {
        self.step();
        self.say("Newchannel", &[&of(channel)[..], &[("ChannelState", "4"), ("Exten", "li")]].concat());
        self.tell("ChannelCreated", serde_json::json!({"channel": json(channel, "Ring", "", "li")}));
        self
    }

    /// The switch calls `to` for `by`.
    pub fn dials(&mut self, by: Channel, to: Channel, number: &str) -> &mut Self {
        self.step();
        self.say(
            "Newchannel",
            &[&of(to)[..], &[("ChannelState", "0"), ("Exten", "s"), ("CallerIDNum", "<unknown>")]].concat(),
        );
        self.tell("ChannelCreated", serde_json::json!({"channel": json(to, "Down", "", "s")}));
        let dial = [("DestUniqueid", to.0), ("DestChannel", to.1), ("DialString", number)];
        self.say("DialBegin", &[&of(by)[..], &dial].concat());
        let (caller, peer) = (json(by, "Ring", "", ""), json(to, "Down", "", ""));
        self.tell("Dial", serde_json::json!({"dialstatus": "", "dialstring": number, "caller": caller, "peer": peer}));
        self
    }

    pub fn rings(&mut self, channel: Channel) -> &mut Self {
        self.state(channel, "5", "Ringing")
    }

    pub fn answers(&mut self, channel: Channel) -> &mut Self {
        self.state(channel, "6", "Up")
    }

    fn state(&mut self, channel: Channel, number: &str, word: &str) -> &mut Self {
        self.step();
        self.say("Newstate", &[&of(channel)[..], &[("ChannelState", number)]].concat());
        self.tell("ChannelStateChange", serde_json::json!({"channel": json(channel, word, "", "")}));
        self
    }

    pub fn dial_ends(&mut self, by: Channel, to: Channel, status: &str) -> &mut Self {
        self.step();
        let end = [("DestUniqueid", to.0), ("DestChannel", to.1), ("DialStatus", status)];
        self.say("DialEnd", &[&of(by)[..], &end].concat());
        let (caller, peer) = (json(by, "Ring", "", ""), json(to, "Down", "", ""));
        self.tell("Dial", serde_json::json!({"dialstatus": status, "caller": caller, "peer": peer}));
        self
    }

    pub fn enters(&mut self, channel: Channel, bridge: &str) -> &mut Self {
        self.bridge("BridgeEnter", "ChannelEnteredBridge", channel, bridge)
    }

    pub fn leaves(&mut self, channel: Channel, bridge: &str) -> &mut Self {
        self.bridge("BridgeLeave", "ChannelLeftBridge", channel, bridge)
    }

    fn bridge(&mut self, event: &str, kind: &str, channel: Channel, bridge: &str) -> &mut Self {
        self.step();
        self.say(
            event,
            &[&of(channel)[..], &[("BridgeUniqueid", bridge), ("BridgeTechnology", "simple_bridge")]].concat(),
        );
        let bridge =
            serde_json::json!({"id": bridge, "bridge_type": "mixing", "technology": "simple_bridge", "creator": ""});
        self.tell(kind, serde_json::json!({"channel": json(channel, "Up", "", ""), "bridge": bridge}));
        self
    }

    /// `AddQueueMember` and `RemoveQueueMember`, as AMI alone tells them.
    pub fn member(&mut self, added: bool, name: &str, device: &str, queue: &str) -> &mut Self {
        self.step();
        let event = if added { "QueueMemberAdded" } else { "QueueMemberRemoved" };
        let headers = [("Queue", queue), ("MemberName", name), ("Interface", device), ("StateInterface", device)];
        self.say(event, &[&headers[..], &[("Membership", "dynamic")]].concat());
        self
    }

    pub fn transfers(&mut self, by: Channel, customer: Channel, to: &str) -> &mut Self {
        self.step();
        let headers = [
            ("Result", "Success"),
            ("TransfererUniqueid", by.0),
            ("TransfererChannel", by.1),
            ("TransfereeUniqueid", customer.0),
            ("TransfereeChannel", customer.1),
            ("Extension", to),
        ];
        self.say("BlindTransfer", &headers);
        let (channel, transferee) = (json(by, "Up", "", ""), json(customer, "Up", "", ""));
        let told = serde_json::json!({"channel": channel, "transferee": transferee, "exten": to, "result": "Success"});
        self.tell("BridgeBlindTransfer", told);
        self
    }

    pub fn holds(&mut self, channel: Channel) -> &mut Self {
        self.plain("Hold", "ChannelHold", channel)
    }

    pub fn unholds(&mut self, channel: Channel) -> &mut Self {
        self.plain("Unhold", "ChannelUnhold", channel)
    }

    fn plain(&mut self, event: &str, kind: &str, channel: Channel) -> &mut Self {
        self.step();
        self.say(event, &of(channel));
        self.tell(kind, serde_json::json!({"channel": json(channel, "Up", "", "")}));
        self
    }

    /// The far end of the channel wants no more.
    pub fn hangs_up(&mut self, channel: Channel, cause: u16) -> &mut Self {
        self.step();
        self.say(
            "HangupRequest",
            &[&of(channel)[..], &[("ChannelState", "6"), ("Cause", &cause.to_string())]].concat(),
        );
        self.tell("ChannelHangupRequest", serde_json::json!({"channel": json(channel, "Up", "", ""), "cause": cause}));
        self
    }

    pub fn gone(&mut self, channel: Channel, cause: u16) -> &mut Self {
        self.step();
        self.say(
            "Hangup",
            &[&of(channel)[..], &[("Cause", &cause.to_string()), ("Cause-txt", "Normal Clearing")]].concat(),
        );
        let channel = json(channel, "Up", "", "");
        self.tell(
            "ChannelDestroyed",
            serde_json::json!({"channel": channel, "cause": cause, "cause_txt": "Normal Clearing"}),
        );
        self
    }
}

/// A book that hears a tape as it grows.
pub struct Watch {
    pub book: Book,
    feeds: Vec<Feed>,
    steps: i64,
    said: Vec<(CallId, What)>,
    last: Option<CallId>,
    ended: Vec<CallId>,
    records: Vec<Record>,
}

impl Watch {
    pub fn new(people: Vec<Agent>, feeds: &[Feed]) -> Self {
        Self::of(AgentsFile { agents: people, ..AgentsFile::default() }, feeds)
    }

    pub fn of(file: AgentsFile, feeds: &[Feed]) -> Self {
        Self {
            book: Book::new(settings(file)),
            feeds: feeds.to_vec(),
            steps: 0,
            said: Vec::new(),
            last: None,
            ended: Vec::new(),
            records: Vec::new(),
        }
    }

    pub fn hear(&mut self, tell: impl FnOnce(&mut Tape)) {
        let mut tape = Tape { steps: self.steps, ..Tape::default() };
        tell(&mut tape);
        self.steps = tape.steps;
        let (ami, ari) = tape.events();
        let mut all: Vec<(Feed, Event)> = Vec::new();
        all.extend(ami.into_iter().map(|event| (Feed::Ami, event)));
        all.extend(ari.into_iter().map(|event| (Feed::Ari, event)));
        all.retain(|(feed, _)| self.feeds.contains(feed));
        // As two sockets would: by the switch's stamps, AMI a little ahead.
        all.sort_by_key(|(_, event)| event.at);
        for (feed, event) in all {
            let at = event.at.unwrap();
            self.book.take(moment(at), &switch(), feed, event);
            self.drain();
        }
    }

    pub fn drain(&mut self) {
        while let Some(change) = self.book.next_change() {
            self.last = Some(change.call);
            match change.what {
                What::Ended => self.ended.push(change.call),
                What::Absorbed { .. } => self.ended.retain(|call| *call != change.call),
                _ => {}
            }
            self.said.push((change.call, change.what));
        }
    }

    pub fn news(&mut self) -> Vec<(CallId, What)> {
        std::mem::take(&mut self.said)
    }

    pub fn now(&self) -> Now {
        moment(Wall(START + self.steps * 100))
    }

    /// Killed and started again: what was committed is put back, calls and seats.
    pub fn restart(&mut self, file: AgentsFile) {
        let calls: Vec<CallId> = self.book.open_calls().map(|face| face.call).collect();
        let kept = calls.iter().filter_map(|call| self.book.checkpoint(*call)).map(|checkpoint| {
            let text = serde_json::to_string(&checkpoint).unwrap();
            serde_json::from_str(&text).unwrap()
        });
        let kept = kept.collect();
        let seats = self.book.seats().all().cloned().collect();
        // Records of calls that are over are on disk.
        let over = std::mem::take(&mut self.ended);
        self.records.extend(over.iter().filter_map(|call| self.book.record(*call)));
        self.book = Book::new(settings(file));
        self.book.restore_seats(self.now(), seats);
        self.book.restore(kept);
    }

    /// Of the call that was heard of last.
    pub fn face(&self) -> &Face {
        self.book.face(self.last.unwrap()).unwrap()
    }

    /// Of the one call there was; it is over.
    pub fn record(&self) -> Record {
        let mut records = self.records();
        assert_eq!(records.len(), 1);
        records.remove(0)
    }

    pub fn records(&self) -> Vec<Record> {
        assert_eq!(self.book.open_calls().count(), 0, "a call is still open");
        let new = self.ended.iter().map(|call| self.book.record(*call).unwrap());
        self.records.iter().cloned().chain(new).collect()
    }
}

pub fn settings(file: AgentsFile) -> Settings {
    let mut settings = ReplaySettings::plain(&[], "CN", Some("21")).book;
    settings.directory = Arc::new(Directory::of(file));
    settings.arrival_times = true;
    settings
}

pub fn switch() -> SwitchId {
    ReplaySettings::plain(&[], "CN", None).switch
}

fn moment(wall: Wall) -> Now {
    Now { wall, mono: Mono(u64::try_from(wall.0).unwrap() * 1000) }
}

fn of((id, name): Channel) -> [(&'static str, &'static str); 2] {
    [("Channel", name), ("Uniqueid", id)]
}

fn json((id, name): Channel, state: &str, number: &str, exten: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "name": name, "state": state, "protocol_id": "", "caller": {"name": "", "number": number},
        "connected": {"name": "", "number": ""}, "accountcode": "", "language": "en",
        "dialplan": {"context": "in", "exten": exten, "priority": 1, "app_name": "", "app_data": ""},
        "creationtime": stamp(Wall(START)),
    })
}

/// `2026-11-22T11:04:06.900+0000`, as ARI writes it.
fn stamp(at: Wall) -> String {
    let text = serde_json::to_value(at).unwrap();
    text.as_str().unwrap().replace('Z', "+0000")
}

const START: i64 = 1_795_347_846_000;
