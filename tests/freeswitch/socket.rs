//! A FreeSWITCH that is none: it speaks the event socket in the dialect of the recordings, for every event of its own is a recorded one (1.10.12, direct-did
//! and hold-unhold) with other names and times in it. It has channels and pairs, keeps a ledger of what it was asked, and can lie: cut a connection in the
//! middle of a frame, forget a channel without a word.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use linecard::switches::esl::{
    event::Event,
    frame::{Framer, Kind},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub const PASSWORD: &str = "ClueCon";

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phone {
    Answers,
    Rings,
    Busy,
    /// There is no channel at all (click-to-dial, 2999).
    Absent,
}

/// One event's fields, in order.
type Fields = Vec<(String, String)>;

struct Channel {
    outgoing: bool,
    name: String,
    caller: String,
    dialled: String,
    created: i64,
    up: bool,
    held: bool,
    partner: Option<String>,
    by: Option<String>,
    /// Whose phone, or the gateway.
    user: Option<String>,
    gateway: Option<&'static str>,
    variables: Vec<(String, String)>,
}

#[derive(Default)]
struct Switch {
    /// By event and whether the channel is outgoing.
    templates: HashMap<(String, bool), Fields>,
    channels: BTreeMap<String, Channel>,
    phones: HashMap<String, Phone>,
    listeners: Vec<Listener>,
    /// Every command but logins, keepalives and lists, as it came.
    ledger: Vec<String>,
    logins: u32,
    /// Agents of mod_callcenter with their status; all serve the queue `support`.
    agents: BTreeMap<String, String>,
    sequence: u64,
    count: u64,
}

struct Listener {
    events: String,
    out: mpsc::Sender<Out>,
}

enum Out {
    Bytes(Vec<u8>),
    /// Half of it, and then the connection is gone.
    Torn(Vec<u8>),
}

pub struct EventSocket {
    pub address: SocketAddr,
    switch: Arc<Mutex<Switch>>,
    changed: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for EventSocket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl EventSocket {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let switch = Arc::new(Mutex::new(Switch { templates: templates(), ..Switch::default() }));
        let changed = watch::Sender::new(0);
        let (theirs, told) = (switch.clone(), changed.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, theirs.clone(), told.clone()));
            }
        });
        Self { address, switch, changed, task }
    }

    /// An agent of mod_callcenter, and a status that somebody sets.
    pub fn agent(&self, name: &str, status: &str) {
        self.lock().status(name, status);
    }

    /// The status that an agent has.
    pub fn status(&self, name: &str) -> String {
        self.lock().agents.get(name).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap()
    }

    pub fn phone(&self, user: &str, phone: Phone) {
        self.lock().phones.insert(user.to_owned(), phone);
    }

    pub fn ledger(&self) -> Vec<String> {
        self.lock().ledger.clone()
    }

    pub fn logins(&self) -> u32 {
        self.lock().logins
    }

    pub fn channels(&self) -> Vec<String> {
        self.lock().channels.values().map(|c| c.name.clone()).collect()
    }

    /// The leg to this phone.
    pub fn leg_of(&self, user: &str) -> String {
        let switch = self.lock();
        let mut legs = switch.channels.iter().filter(|(_, c)| c.user.as_deref() == Some(user));
        legs.next().map(|(id, _)| id.clone()).unwrap_or_else(|| panic!("nobody calls {user}"))
    }

    /// Waits until the ledger or the channels are so.
    pub async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while !so(self) {
                changed.changed().await.unwrap();
            }
        };
        let late = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
        assert!(late.is_ok(), "it never came true that {what}: {:?}", self.ledger());
    }

    /// A caller on the trunk is put through to somebody's phone, which rings. The ids of both legs.
    pub fn call(&self, caller: &str, dialled: &str, user: &str, variables: &[(&str, &str)]) -> (String, String) {
        let mut switch = self.lock();
        let a = switch.id();
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let name = format!("sofia/trunk/{caller}@127.0.0.1:16020");
        let gateway = Some("carrier");
        switch.create(
            &a,
            Channel {
                outgoing: false,
                name,
                caller: caller.into(),
                dialled: dialled.into(),
                created: stamp(),
                up: false,
                held: false,
                partner: None,
                by: None,
                user: None,
                gateway,
                variables,
            },
        );
        let b = switch.id();
        switch.dial(&b, user, caller, Some(&a), Vec::new());
        self.changed.send_modify(|n| *n += 1);
        (a, b)
    }

    /// The called leg answers, and with it the one that called it.
    pub fn answer(&self, id: &str) {
        self.lock().answer(id);
        self.changed.send_modify(|n| *n += 1);
    }

    /// The far end of this leg hangs up; the other leg goes with it.
    pub fn hang_up(&self, id: &str) {
        self.lock().ends(id, "NORMAL_CLEARING", 16, true);
        self.changed.send_modify(|n| *n += 1);
    }

    /// A channel is there before anybody listens, and gone without a word.
    pub fn forget(&self, id: &str) {
        let mut switch = self.lock();
        let partner = switch.channels.remove(id).and_then(|c| c.partner);
        if let Some(partner) = partner {
            switch.channels.remove(&partner);
        }
    }

    /// All connections break in the middle of an event.
    pub fn tear(&self) {
        for listener in std::mem::take(&mut self.lock().listeners) {
            let frame = b"Content-Length: 5000\nContent-Type: text/event-plain\n\nEvent-Name: CHANNEL_CRE".to_vec();
            let _ = listener.out.try_send(Out::Torn(frame));
        }
    }
}

fn stamp() -> i64 {
    i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// The first recorded event of each name, of a caller's leg and of a called one.
fn templates() -> HashMap<(String, bool), Fields> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/freeswitch");
    let mut framer = Framer::new();
    // Calls first; only the other one has holds.
    for name in ["direct-did", "hold-unhold"] {
        framer.push(&std::fs::read(folder.join(name).join("esl-plain.txt")).unwrap());
    }
    let mut all = HashMap::new();
    while let Some(frame) = framer.take().unwrap() {
        if frame.kind() != Kind::Plain {
            continue;
        }
        let text = String::from_utf8(frame.body.to_vec()).unwrap();
        let event = Event::plain(frame.body).unwrap();
        let (Some(name), Some(direction)) = (event.get("Event-Name"), event.get("Call-Direction")) else { continue };
        let value = |key: &str| event.get(key).map(|value| value.into_owned()).unwrap_or_default();
        let keys = text.lines().filter_map(|line| line.split_once(": ")).map(|(key, _)| key);
        let fields: Fields = keys.map(|key| (key.to_owned(), value(key))).collect();
        all.entry((name.into_owned(), direction == "outbound")).or_insert(fields);
    }
    all
}

impl Switch {
    fn id(&mut self) -> String {
        self.count += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.count, u64::from(std::process::id()))
    }

    /// The phone or the gateway behind `to` is called.
    fn dial(&mut self, id: &str, to: &str, caller: &str, by: Option<&str>, variables: Vec<(String, String)>) {
        let gateway = to.strip_prefix("gateway/carrier/");
        let (name, dialled) = match gateway {
            Some(number) => (format!("sofia/trunk/{number}"), number.to_owned()),
            None => (format!("sofia/internal/{to}@127.0.0.1:16203"), to.to_owned()),
        };
        let channel = Channel {
            outgoing: true,
            name,
            caller: caller.to_owned(),
            dialled,
            created: stamp(),
            up: false,
            held: false,
            partner: None,
            by: by.map(str::to_owned),
            user: gateway.is_none().then(|| to.to_owned()),
            gateway: gateway.map(|_| "carrier"),
            variables,
        };
        self.create(id, channel);
        self.say("CHANNEL_PROGRESS", id, &[]);
    }

    fn create(&mut self, id: &str, channel: Channel) {
        self.channels.insert(id.to_owned(), channel);
        self.say("CHANNEL_CREATE", id, &[]);
    }

    fn answer(&mut self, id: &str) {
        let by = self.channels.get(id).and_then(|c| c.by.clone());
        for leg in [Some(id.to_owned()), by.clone()].into_iter().flatten() {
            if let Some(channel) = self.channels.get_mut(&leg).filter(|c| !c.up) {
                channel.up = true;
                self.say("CHANNEL_ANSWER", &leg, &[]);
            }
        }
        if let Some(by) = by {
            self.pair(&by, id);
        }
    }

    fn pair(&mut self, a: &str, b: &str) {
        for (one, other) in [(a, b), (b, a)] {
            if let Some(channel) = self.channels.get_mut(one) {
                channel.partner = Some(other.to_owned());
            }
        }
        self.say("CHANNEL_BRIDGE", a, &[("Bridge-A-Unique-ID", a), ("Bridge-B-Unique-ID", b)]);
    }

    /// `asked`: the far end said so, else the switch does it.
    fn ends(&mut self, id: &str, cause: &str, q850: u16, asked: bool) {
        let Some(partner) = self.channels.get(id).map(|c| c.partner.clone()) else { return };
        let ringing = self.channels.iter().filter(|(_, c)| c.by.as_deref() == Some(id)).map(|(id, _)| id.clone());
        let others: Vec<String> = ringing.chain(partner).collect();
        let q850 = q850.to_string();
        let gone = |by: &str| {
            [
                ("Hangup-Cause", cause.to_owned()),
                ("variable_hangup_cause_q850", q850.clone()),
                ("variable_sip_hangup_disposition", by.to_owned()),
            ]
        };
        let mine = gone(if asked { "recv_bye" } else { "send_bye" });
        let theirs = gone("send_bye");
        let refs = |fields: &[(&'static str, String); 3]| fields.clone();
        let told = |switch: &mut Self, name: &str, id: &str, fields: &[(&'static str, String); 3]| {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
            switch.say(name, id, &fields);
        };
        told(self, "CHANNEL_HANGUP", id, &refs(&mine));
        for other in &others {
            told(self, "CHANNEL_HANGUP", other, &refs(&theirs));
            told(self, "CHANNEL_HANGUP_COMPLETE", other, &refs(&theirs));
        }
        told(self, "CHANNEL_HANGUP_COMPLETE", id, &refs(&mine));
        for gone in others.iter().map(String::as_str).chain([id]) {
            self.say("CHANNEL_DESTROY", gone, &[]);
            self.channels.remove(gone);
        }
    }

    /// An event of this channel to whoever subscribed to it.
    fn say(&mut self, name: &str, id: &str, more: &[(&str, &str)]) {
        self.sequence += 1;
        let mut body = String::new();
        for (key, value) in self.fields(name, id, more) {
            let _ = writeln!(body, "{key}: {}", escaped(&value));
        }
        body.push('\n');
        self.tell(name, &body);
    }

    /// All that such an event says; nothing where the channel is gone.
    fn fields(&self, name: &str, id: &str, more: &[(&str, &str)]) -> Fields {
        let Some(channel) = self.channels.get(id) else { return Fields::new() };
        let recorded = |outgoing| self.templates.get(&(name.to_owned(), outgoing));
        let template = recorded(channel.outgoing).or_else(|| recorded(!channel.outgoing));
        let template = template.unwrap_or_else(|| panic!("{name} was never recorded"));
        let (now, created, sequence) = (stamp().to_string(), channel.created.to_string(), self.sequence.to_string());
        let direction = if channel.outgoing { "outbound" } else { "inbound" };
        let mut put: Vec<(&str, &str)> = vec![
            // The recordings are of several processes.
            ("Core-UUID", "8b4bd387-31a8-4aeb-b9a8-9aa2b2ef2f5b"),
            ("Event-Date-Timestamp", &now),
            ("Event-Sequence", &sequence),
            ("Unique-ID", id),
            ("Caller-Unique-ID", id),
            ("variable_uuid", id),
            ("Call-Direction", direction),
            ("Channel-Name", &channel.name),
            ("Caller-Channel-Name", &channel.name),
            ("Caller-Caller-ID-Number", &channel.caller),
            ("Caller-Caller-ID-Name", &channel.caller),
            ("Caller-Destination-Number", &channel.dialled),
            ("Caller-Channel-Created-Time", &created),
            ("variable_sip_call_id", id),
        ];
        let other = channel.by.as_deref().or(channel.partner.as_deref());
        put.extend(other.map(|other| ("Other-Leg-Unique-ID", other)));
        put.extend(channel.by.as_deref().map(|by| ("variable_originator", by)));
        put.extend(channel.by.is_some().then_some(("Other-Type", "originator")));
        put.extend(channel.user.as_deref().map(|user| ("variable_dialed_user", user)));
        put.extend(channel.gateway.map(|gateway| ("variable_sip_gateway_name", gateway)));
        put.extend(more);
        // What belongs to the recorded channels and not to this one.
        let strange = [
            "Other-",
            "variable_originat",
            "variable_dialed_user",
            "variable_user_name",
            "variable_sip_gateway",
            "Bridge-",
            "variable_bridge",
            "variable_signal_bond",
            "variable_sip_hangup",
            "variable_hangup",
            "Hangup-Cause",
            "variable_last_bridge",
        ];
        let own = |key: &str| put.iter().find(|(k, _)| *k == key).map(|(_, value)| (*value).to_owned());
        let kept = template.iter().filter(|(key, _)| own(key).is_some() || !strange.iter().any(|s| key.starts_with(s)));
        let mut all: Fields =
            kept.map(|(key, value)| (key.clone(), own(key).unwrap_or_else(|| value.clone()))).collect();
        let new = put.iter().filter(|(key, _)| !template.iter().any(|(k, _)| k == key));
        all.extend(new.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        all.extend(channel.variables.iter().map(|(key, value)| (format!("variable_{key}"), value.clone())));
        all
    }

    fn tell(&mut self, name: &str, body: &str) {
        let frame = format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{body}", body.len());
        self.listeners.retain(|listener| {
            !listener.events.split(' ').any(|one| one == name)
                || listener.out.try_send(Out::Bytes(frame.clone().into_bytes())).is_ok()
        });
    }

    /// What an `api` answers.
    fn api(&mut self, line: &str) -> String {
        let mut words = line.split(' ');
        match words.next().unwrap_or_default() {
            "version" => "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit (git a88d069 2024-08-02 21:02:27Z 64bit)\n".to_owned(),
            "uptime" => "100".to_owned(),
            "show" => self.list(words.next() == Some("calls")),
            "uuid_dump" => match self.fields("CHANNEL_CREATE", words.next().unwrap_or_default(), &[]) {
                fields if fields.is_empty() => "-ERR No such channel!\n".to_owned(),
                fields => serde_json::to_string(&fields.into_iter().collect::<BTreeMap<_, _>>()).unwrap(),
            },
            "originate" => self.originate(line),
            "uuid_kill" => self.on(words.next(), |switch, id| switch.ends(id, "NORMAL_CLEARING", 16, false)),
            "uuid_hold" => {
                let (first, second) = (words.next(), words.next());
                let (id, hold) = if first == Some("off") { (second, false) } else { (first, true) };
                let there = id.is_some_and(|id| self.channels.contains_key(id));
                self.on(id, |switch, id| switch.hold(id, hold));
                if there { "+OK Success\n".to_owned() } else { "-ERR Operation failed\n".to_owned() }
            }
            "uuid_transfer" => {
                let (id, to) = (words.next(), words.next().unwrap_or_default().to_owned());
                self.on(id, |switch, id| switch.transfer(id, &to))
            }
            "callcenter_config" => self.callcenter(line.trim_start_matches("callcenter_config ")),
            "json" if line.ends_with(r#""data":{"arguments":"agent list"}}"#) => {
                let row = |(name, status): (&String, &String)| {
                    let user = name.split('@').next().unwrap_or_default();
                    serde_json::json!({"name": name, "contact": format!("user/{user}@cc.example"), "status": status, "last_status_change": "1795347322"})
                };
                let rows: Vec<_> = self.agents.iter().map(row).collect();
                serde_json::json!({"command": "callcenter_config", "status": "success", "response": rows}).to_string()
            }
            "uuid_audio" | "uuid_send_dtmf" | "uuid_record" => self.on(words.next(), |_, _| ()),
            _ => format!("-ERR {line} Command not found!\n"),
        }
    }

    /// As a real one answered (agent-status, resync).
    fn callcenter(&mut self, words: &str) -> String {
        if words == "tier list" {
            let rows: String = self.agents.keys().map(|name| format!("support@default|{name}|Ready|1|1\n")).collect();
            return format!("queue|agent|state|level|position\n{rows}+OK\n");
        }
        let Some((name, status)) = words.strip_prefix("agent set status ").and_then(|rest| rest.split_once(' ')) else {
            return "-ERR Invalid!\n".to_owned();
        };
        let status = status.trim_matches('\'').to_owned();
        match () {
            () if !self.agents.contains_key(name) => "-ERR Agent not found!\n".to_owned(),
            () if !["Available", "On Break", "Logged Out"].contains(&status.as_str()) => {
                "-ERR Invalid Agent Status!\n".to_owned()
            }
            () => {
                let name = name.to_owned();
                self.status(&name, &status);
                "+OK\n".to_owned()
            }
        }
    }

    /// Told each time, also where nothing changes.
    fn status(&mut self, name: &str, status: &str) {
        self.agents.insert(name.to_owned(), status.to_owned());
        self.sequence += 1;
        let sequence = self.sequence;
        let recorded = include_str!("../../proto-fixtures/freeswitch/agent-status/esl-plain.txt");
        let mut frames = recorded.split("Content-Type: ");
        let told = frames.find(|frame| frame.contains("CC-Action: agent-status-change")).unwrap();
        let body: String = told
            .lines()
            .skip_while(|line| !line.starts_with("Event-Subclass"))
            .take_while(|line| !line.is_empty())
            .map(|line| match line.split_once(": ").unwrap().0 {
                "CC-Agent" => format!("CC-Agent: {}\n", escaped(name)),
                "CC-Agent-Status" => format!("CC-Agent-Status: {}\n", escaped(status)),
                "Event-Date-Timestamp" => format!("Event-Date-Timestamp: {}\n", stamp()),
                "Event-Sequence" => format!("Event-Sequence: {sequence}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        self.tell("callcenter::info", &format!("{body}\n"));
    }

    /// Does it to a channel that is there.
    fn on(&mut self, id: Option<&str>, deed: impl FnOnce(&mut Self, &str)) -> String {
        match id.filter(|id| self.channels.contains_key(*id)) {
            Some(id) => {
                deed(self, id);
                "+OK\n".to_owned()
            }
            None => "-ERR No such channel!\n".to_owned(),
        }
    }

    fn hold(&mut self, id: &str, hold: bool) {
        if let Some(channel) = self.channels.get_mut(id) {
            channel.held = hold;
            self.say(if hold { "CHANNEL_HOLD" } else { "CHANNEL_UNHOLD" }, id, &[]);
        }
    }

    /// The channel runs the dialplan with another number, which rings that phone; whoever it talked with is let go.
    fn transfer(&mut self, id: &str, to: &str) {
        let partner = self.channels.get_mut(id).and_then(|channel| channel.partner.take());
        if let Some(partner) = partner {
            self.say("CHANNEL_UNBRIDGE", id, &[("Bridge-A-Unique-ID", id), ("Bridge-B-Unique-ID", &partner)]);
            if let Some(channel) = self.channels.get_mut(&partner) {
                (channel.partner, channel.by) = (None, None);
            }
            self.ends(&partner, "NORMAL_CLEARING", 16, false);
        }
        let (next, caller) = (self.id(), self.channels.get(id).map(|c| c.caller.clone()).unwrap_or_default());
        self.dial(&next, to, &caller, Some(id), Vec::new());
    }

    fn list(&self, calls: bool) -> String {
        let row = |(id, c): (&String, &Channel)| {
            let state = match () {
                () if c.held => "HELD",
                () if c.up => "ACTIVE",
                () => "RINGING",
            };
            serde_json::json!({
                "uuid": id, "direction": if c.outgoing { "outbound" } else { "inbound" }, "created_epoch": (c.created / 1_000_000).to_string(),
                "name": c.name, "cid_name": "", "cid_num": c.caller, "dest": c.dialled, "application": "bridge", "application_data": "",
                "callstate": state, "callee_num": "", "initial_cid_num": c.caller, "initial_dest": c.dialled,
                "b_uuid": if calls { c.partner.clone().unwrap_or_default() } else { String::new() },
            })
        };
        let rows: Vec<_> =
            self.channels.iter().filter(|(_, c)| !calls || (c.partner.is_some() && c.by.is_none())).map(row).collect();
        match rows.len() {
            0 => r#"{"row_count":0}"#.to_owned(),
            n => serde_json::json!({"row_count": n, "rows": rows}).to_string(),
        }
    }

    /// `{variables}user/2001@domain NUMBER XML context`: the result of the job, or nothing while the phone rings.
    fn originate(&mut self, line: &str) -> String {
        let rest = line.trim_start_matches("originate ");
        let (variables, rest) = rest.strip_prefix('{').and_then(|r| r.split_once('}')).unwrap_or(("", rest));
        let variables: Vec<(String, String)> =
            variables.split(',').filter_map(|v| v.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut words = rest.split(' ');
        let phone = words.next().unwrap_or_default();
        // A number for the dialplan, or an application at once: `&eavesdrop(uuid)`.
        let number = words.next().unwrap_or_default().to_owned();
        let user = phone.trim_start_matches("user/").split('@').next().unwrap_or_default().to_owned();
        let behaves = self.phones.get(&user).copied().unwrap_or(Phone::Absent);
        if behaves == Phone::Absent {
            return "-ERR SUBSCRIBER_ABSENT".to_owned();
        }
        let id = variables.iter().find(|(k, _)| k == "origination_uuid").map_or_else(|| self.id(), |(_, v)| v.clone());
        let caller = variables.iter().find(|(k, _)| k == "origination_caller_id_number").map(|(_, v)| v.clone());
        self.dial(&id, &user, &caller.unwrap_or_default(), None, variables);
        match behaves {
            Phone::Busy => {
                self.ends(&id, "USER_BUSY", 17, false);
                "-ERR USER_BUSY".to_owned()
            }
            Phone::Answers => {
                self.answer(&id);
                if let Some((name, data)) =
                    number.strip_prefix('&').and_then(|a| a.trim_end_matches(')').split_once('('))
                {
                    self.application(&id, name, data);
                    return format!("+OK {id}\n");
                }
                let out = self.id();
                self.dial(&out, &format!("gateway/carrier/{number}"), "02161234567", Some(&id), Vec::new());
                format!("+OK {id}\n")
            }
            Phone::Rings | Phone::Absent => String::new(),
        }
    }
}

impl Switch {
    /// A phone that was called answers into an application.
    fn application(&mut self, id: &str, name: &str, data: &str) {
        self.say("CHANNEL_EXECUTE", id, &[("Application", name), ("Application-Data", data)]);
        if name == "intercept" {
            // Who rang for that channel, or talked with it, is let go.
            let others: Vec<String> = self
                .channels
                .iter()
                .filter(|(other, c)| {
                    *other != id && (c.by.as_deref() == Some(data) || c.partner.as_deref() == Some(data))
                })
                .map(|(other, _)| other.clone())
                .collect();
            for other in others {
                if let Some(channel) = self.channels.get_mut(&other) {
                    (channel.partner, channel.by) = (None, None);
                }
                self.ends(&other, "PICKED_OFF", 16, false);
            }
            if let Some(channel) = self.channels.get_mut(data) {
                channel.up = true;
            }
            self.pair(id, data);
        }
    }
}

/// As the switch writes values.
fn escaped(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_control() || !b.is_ascii() || b" #%&+:;<=>?@[\\]^`{|}\"".contains(&b) {
            let _ = write!(out, "%{b:02X}");
        } else {
            out.push(char::from(b));
        }
        out
    })
}

async fn serve(stream: TcpStream, switch: Arc<Mutex<Switch>>, changed: watch::Sender<u64>) {
    let (reader, writer) = stream.into_split();
    let (out, waiting) = mpsc::channel(4096);
    let writing = tokio::spawn(write(writer, waiting));
    let say = |text: String| out.try_send(Out::Bytes(text.into_bytes())).is_ok();
    say("Content-Type: auth/request\n\n".to_owned());
    let mut lines = BufReader::new(reader).lines();
    let (mut command, mut known) = (Vec::new(), false);
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.is_empty() {
            command.push(line);
            continue;
        }
        let Some(first) = command.first().cloned() else { continue };
        let job = command.iter().find_map(|line: &String| line.strip_prefix("Job-UUID: ")).map(str::to_owned);
        command.clear();
        let reply = |text: &str| say(format!("Content-Type: command/reply\nReply-Text: {text}\n\n"));
        if !known {
            known = first == format!("auth {PASSWORD}");
            switch.lock().unwrap().logins += 1;
            reply(if known { "+OK accepted" } else { "-ERR invalid" });
            if !known {
                break;
            }
            continue;
        }
        let mut locked = switch.lock().unwrap();
        if let Some(events) = first.strip_prefix("event plain ") {
            locked.listeners.push(Listener { events: events.to_owned(), out: out.clone() });
            reply("+OK event listener enabled plain");
        } else if let Some(line) = first.strip_prefix("api ") {
            let answer = locked.api(line);
            say(format!("Content-Type: api/response\nContent-Length: {}\n\n{answer}", answer.len()));
        } else if let Some(line) = first.strip_prefix("bgapi ") {
            locked.ledger.push(line.to_owned());
            let job = job.unwrap_or_else(|| locked.id());
            say(format!("Content-Type: command/reply\nReply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n"));
            let result = locked.api(line);
            if !result.is_empty() {
                let body = format!(
                    "Event-Name: BACKGROUND_JOB\nEvent-Date-Timestamp: {}\nJob-UUID: {}\nContent-Length: {}\n\n{result}",
                    stamp(),
                    escaped(&job),
                    result.len()
                );
                locked.tell("BACKGROUND_JOB", &body);
            }
        } else if first == "exit" {
            reply("+OK bye");
            break;
        } else {
            reply("-ERR command not found");
        }
        drop(locked);
        changed.send_modify(|n| *n += 1);
    }
    switch.lock().unwrap().listeners.retain(|listener| !listener.out.same_channel(&out));
    drop(out);
    let _ = writing.await;
}

async fn write(mut writer: OwnedWriteHalf, mut waiting: mpsc::Receiver<Out>) {
    while let Some(out) = waiting.recv().await {
        let (bytes, torn) = match out {
            Out::Bytes(bytes) => (bytes, false),
            Out::Torn(bytes) => (bytes, true),
        };
        if writer.write_all(&bytes).await.is_err() || torn {
            return;
        }
    }
}
