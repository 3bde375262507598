//! What the simulated Asterisk answers to actions: login, keepalive, filters, lists, originate. Shapes are those of the recording
//! `q-resync-midcall` (lists) and `g-click-to-dial-ami` (originate).

use std::collections::BTreeSet;

use crate::words::Now;

use super::{
    events::{Action, Message, known},
    story::click_to_dial,
    switch::{Originate, Session, SessionId, Switch},
};

/// A filter that a client set for its own link (`Action: Filter`). Includes are OR-ed, an exclude always wins.
pub(super) struct Filter {
    exclude: bool,
    test: Test,
}

enum Test {
    /// Legacy: an expression over the whole text of the event.
    Expression(regex::Regex),
    /// `MatchCriteria`: the event's name, and a header's value if both are given.
    Criteria { name: Option<String>, header: Option<String>, method: String, value: String },
}

impl Filter {
    /// `None` where Asterisk would refuse it.
    fn read(action: &Action) -> Option<Filter> {
        let text = action.header("Filter").unwrap_or_default();
        let Some(criteria) = action.header("MatchCriteria") else {
            let (exclude, expression) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
            return Some(Filter { exclude, test: Test::Expression(regex::Regex::new(expression).ok()?) });
        };
        let part = |key: &str| {
            let from = criteria.find(&format!("{key}("))? + key.len() + 1;
            let rest = criteria.get(from..)?;
            rest.get(..rest.find(')')?).map(str::to_owned)
        };
        Some(Filter {
            exclude: part("action").is_some_and(|a| a == "exclude"),
            test: Test::Criteria {
                name: part("name"),
                header: part("header"),
                method: part("method").unwrap_or_else(|| "none".into()),
                value: text.to_owned(),
            },
        })
    }

    fn matches(&self, message: &Message) -> bool {
        match &self.test {
            Test::Expression(expression) => expression.is_match(message.text()),
            Test::Criteria { name, header, method, value } => {
                if name.as_ref().is_some_and(|name| *name != message.name) {
                    return false;
                }
                let found: String = match header {
                    Some(header) => {
                        let start = format!("{header}: ");
                        match message.text().lines().find_map(|line| line.strip_prefix(start.as_str())) {
                            Some(found) => found.to_owned(),
                            None => return false,
                        }
                    }
                    None => message.text().to_owned(),
                };
                match method.as_str() {
                    "exact" => found == *value,
                    "starts_with" => found.starts_with(value.as_str()),
                    "ends_with" => found.ends_with(value.as_str()),
                    "contains" => found.contains(value.as_str()),
                    "regex" => regex::Regex::new(value).is_ok_and(|e| e.is_match(&found)),
                    _ => true,
                }
            }
        }
    }
}

impl Session {
    pub(super) fn wants(&self, message: &Message) -> bool {
        if !self.logged_in || self.mask.as_ref().is_some_and(|mask| !mask.contains(message.class)) {
            return false;
        }
        if self.filters.iter().any(|f| f.exclude && f.matches(message)) {
            return false;
        }
        let mut includes = self.filters.iter().filter(|f| !f.exclude).peekable();
        includes.peek().is_none() || includes.any(|f| f.matches(message))
    }
}

impl Switch {
    pub(super) fn answer(&mut self, session: SessionId, action: &Action, now: Now) {
        let what = action.header("Action").unwrap_or_default().to_ascii_lowercase();
        let id = action.header("ActionID");
        let logged_in = self.sessions.get(&session).is_some_and(|s| s.logged_in);
        if !logged_in && what != "login" && what != "logoff" {
            return self.reply(session, Message::response("Error", id).field("Message", "Permission denied"), now);
        }
        match what.as_str() {
            "login" => self.login(session, action, now),
            "logoff" => {
                self.reply(session, Message::response("Goodbye", id).field("Message", "Thanks for all the fish."), now);
                self.close(session, now);
            }
            "ping" => {
                let stamp = format!("{}.{:03}000", now.wall.0.div_euclid(1000), now.wall.0.rem_euclid(1000));
                self.reply(
                    session,
                    Message::response("Success", id).field("Ping", "Pong").field("Timestamp", stamp),
                    now,
                );
            }
            "events" => {
                let mask = mask(action.header("EventMask").unwrap_or("on"));
                let said = if mask.as_ref().is_some_and(BTreeSet::is_empty) { "Off" } else { "On" };
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.mask = mask;
                }
                self.reply(session, Message::response("Success", id).field("Events", said), now);
            }
            "filter" => {
                let answer = match Filter::read(action) {
                    Some(filter) => {
                        if let Some(session) = self.sessions.get_mut(&session) {
                            session.filters.push(filter);
                        }
                        Message::response("Success", id).field("Message", "Filter added successfully")
                    }
                    None => Message::response("Error", id).field("Message", "Filter format error"),
                };
                self.reply(session, answer, now);
            }
            "corestatus" => self.core_status(session, id, now),
            "coresettings" => self.reply(
                session,
                Message::response("Success", id)
                    .field("AMIversion", "11.0.0")
                    .field("AsteriskVersion", "22.10.1")
                    .field("SystemName", ""),
                now,
            ),
            // What an account may do there; the descriptions are nobody's business.
            "listcommands" => {
                let may = ["CoreShowChannels", "Status", "BridgeList", "QueueStatus", "Originate", "Hangup"];
                let all = Message::response("Success", id);
                self.reply(session, may.into_iter().fold(all, |all, one| all.field(one, "  (Priv: <none>)")), now);
            }
            "coreshowchannels" => self.show_channels(session, id, now),
            "status" => self.status(session, id, now),
            "bridgelist" => self.bridge_list(session, id, now),
            "queuestatus" => self.queue_status(session, id, now),
            "extensionstatelist" => self.extensions(session, id, now),
            "devicestatelist" => self.devices(session, id, now),
            "originate" => self.originate(session, action, now),
            "hangup" => {
                let channel = action.header("Channel").unwrap_or_default().to_owned();
                let answer = if self.hang_up_channel(&channel, now) {
                    Message::response("Success", id).field("Message", "Channel Hungup")
                } else {
                    Message::response("Error", id).field("Message", "No such channel")
                };
                self.reply(session, answer, now);
            }
            _ => self.reply(
                session,
                Message::response("Error", id)
                    .field("Message", "Invalid/unknown command: use Action: ListCommands to show available commands."),
                now,
            ),
        }
    }

    fn reply(&mut self, session: SessionId, message: Message, now: Now) {
        self.send(session, message.finish(), now);
    }

    fn login(&mut self, session: SessionId, action: &Action, now: Now) {
        let id = action.header("ActionID");
        let right = action.header("Username") == Some(self.settings.user.as_str())
            && action.header("Secret") == Some(self.settings.secret.as_str());
        if !right {
            self.reply(session, Message::response("Error", id).field("Message", "Authentication failed"), now);
            self.close(session, now);
            return;
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.logged_in = true;
            session.mask = mask(action.header("Events").unwrap_or("on"));
        }
        self.reply(session, Message::response("Success", id).field("Message", "Authentication accepted"), now);
        let up = now.wall.since(self.started) / 1000;
        let booted = Message::item("FullyBooted")
            .field("Privilege", "system,all")
            .field("Uptime", up)
            .field("LastReload", up)
            .field("Status", "Fully Booted");
        let all = self.sessions.get(&session).is_some_and(|s| s.mask.as_ref().is_none_or(|m| m.contains("system")));
        if all {
            self.reply(session, booted, now);
        }
    }

    fn core_status(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let text = self.started.to_string();
        let (date, time) = text.split_once('T').unwrap_or(("", ""));
        let time = time.get(..8).unwrap_or(time);
        let answer = Message::response("Success", id)
            .field("CoreStartupDate", date)
            .field("CoreStartupTime", time)
            .field("CoreReloadDate", date)
            .field("CoreReloadTime", time)
            .field("CoreCurrentCalls", self.calls.values().map(|c| c.legs.iter().flatten().count()).sum::<usize>())
            .field("CoreProcessedCalls", self.truths.len());
        self.reply(session, answer, now);
    }

    fn list(&mut self, session: SessionId, id: Option<&str>, said: &str, items: Vec<Message>, end: &str, now: Now) {
        self.reply(session, Message::response("Success", id).field("EventList", "start").field("Message", said), now);
        let count = items.len();
        for item in items {
            self.reply(session, item, now);
        }
        let end = Message::item(end).action_id(id).field("EventList", "Complete").field("ListItems", count);
        self.reply(session, end, now);
    }

    fn show_channels(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let mut items = Vec::new();
        for call in self.calls.values() {
            for leg in call.legs.iter().flatten() {
                items.push(
                    Message::item("CoreShowChannel")
                        .action_id(id)
                        .channel("", leg)
                        .field("Application", &leg.application)
                        .field("ApplicationData", &leg.data)
                        .field("Duration", clock(now.wall.since(leg.created) / 1000))
                        .field("BridgeId", leg.bridge.as_deref().unwrap_or_default()),
                );
            }
            if let Some(truth) = self.truths.get_mut(call.truth) {
                truth.shown.get_or_insert(now.wall);
            }
        }
        self.list(session, id, "Channels will follow", items, "CoreShowChannelsComplete", now);
    }

    fn status(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let items = self
            .calls
            .values()
            .flat_map(|call| call.legs.iter().flatten().map(move |leg| (call, leg)))
            .map(|(call, leg)| {
                let dialled = self.truths.get(call.truth).map_or("", |t| t.dialled.as_str());
                Message::item("Status")
                    .field("Privilege", "Call")
                    .channel("", leg)
                    .field("Type", "PJSIP")
                    .field("DNID", if call.customer == Some(0) && leg.uniqueid == leg.linkedid { dialled } else { "" })
                    .field("EffectiveConnectedLineNum", known(&leg.connected))
                    .field("EffectiveConnectedLineName", known(&leg.connected_display))
                    .field("TimeToHangup", 0)
                    .field("BridgeID", leg.bridge.as_deref().unwrap_or_default())
                    .field("Application", &leg.application)
                    .field("Data", &leg.data)
                    .field("Seconds", now.wall.since(leg.created) / 1000)
                    .action_id(id)
            })
            .collect();
        self.list(session, id, "Channel status will follow", items, "StatusComplete", now);
    }

    fn bridge_list(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let bridges = self.calls.values().flat_map(|c| c.bridge.iter().chain(&c.consult_bridge));
        let items = bridges
            .map(|bridge| {
                let legs = self.calls.values().flat_map(|c| c.legs.iter().flatten());
                let inside = legs.filter(|leg| leg.bridge.as_ref() == Some(bridge)).count();
                Message::item("BridgeListItem").action_id(id).bridge("", bridge, inside)
            })
            .collect();
        self.list(session, id, "Bridge listing will follow", items, "BridgeListComplete", now);
    }

    fn queue_status(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let queue = self.settings.queue.clone();
        let waiting: Vec<_> = self
            .calls
            .values()
            .filter_map(|call| {
                let since = call.waiting_since?;
                call.customer.and_then(|at| call.legs.get(at)?.as_ref()).map(|leg| (leg, since))
            })
            .collect();
        let mut items = vec![
            Message::item("QueueParams")
                .field("Queue", &queue)
                .field("Max", 0)
                .field("Strategy", "linear")
                .field("Calls", waiting.len())
                .field("Holdtime", 0)
                .field("TalkTime", 0)
                .field("Completed", 0)
                .field("Abandoned", 0)
                .field("ServiceLevel", 20)
                .field("ServicelevelPerf", "0.0")
                .field("ServicelevelPerf2", "0.0")
                .field("Weight", 0)
                .action_id(id),
        ];
        for seat in &self.settings.seats {
            let device = format!("PJSIP/{}", seat.extension);
            items.push(
                Message::item("QueueMember")
                    .field("Queue", &queue)
                    .field("Name", &seat.name)
                    .field("Location", &device)
                    .field("StateInterface", &device)
                    .field("Membership", "static")
                    .field("Penalty", 0)
                    .field("CallsTaken", 0)
                    .field("LastCall", 0)
                    .field("LastPause", 0)
                    .field("LoginTime", self.started.0.div_euclid(1000))
                    .field("InCall", u8::from(self.device_state(&device) == 2))
                    .field("Status", self.device_state(&device))
                    .field("Paused", 0)
                    .field("PausedReason", "")
                    .field("Wrapuptime", 0)
                    .action_id(id),
            );
        }
        for (at, (leg, since)) in waiting.into_iter().enumerate() {
            let unknown = |value: &str| if value.is_empty() { "unknown".to_owned() } else { value.to_owned() };
            items.push(
                Message::item("QueueEntry")
                    .field("Queue", &queue)
                    .field("Position", at + 1)
                    .field("Channel", &leg.name)
                    .field("Uniqueid", &leg.uniqueid)
                    .field("CallerIDNum", unknown(&leg.number))
                    .field("CallerIDName", unknown(&leg.display))
                    .field("ConnectedLineNum", unknown(&leg.connected))
                    .field("ConnectedLineName", unknown(&leg.connected_display))
                    .field("Wait", now.wall.since(since) / 1000)
                    .field("Priority", 0)
                    .action_id(id),
            );
        }
        self.list(session, id, "Queue status will follow", items, "QueueStatusComplete", now);
    }

    fn extensions(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let items = self
            .settings
            .seats
            .iter()
            .map(|seat| {
                let device = format!("PJSIP/{}", seat.extension);
                let (status, text) = self.extension_state(&device);
                Message::item("ExtensionStatus")
                    .action_id(id)
                    .field("Exten", &seat.extension)
                    .field("Context", "agents")
                    .field("Hint", format_args!("{device}&Custom:DND{}", seat.extension))
                    .field("Status", status)
                    .field("StatusText", text)
            })
            .collect();
        self.list(session, id, "Extension Statuses will follow", items, "ExtensionStateListComplete", now);
    }

    fn devices(&mut self, session: SessionId, id: Option<&str>, now: Now) {
        let items = self
            .settings
            .seats
            .iter()
            .map(|seat| {
                let device = format!("PJSIP/{}", seat.extension);
                let state = self.device_word(&device);
                Message::item("DeviceStateChange").action_id(id).field("Device", device).field("State", state)
            })
            .collect();
        self.list(session, id, "Device State Changes will follow", items, "DeviceStateListComplete", now);
    }

    /// As queue members have it: 1 not in use, 2 in use, 6 ringing.
    pub(super) fn device_state(&self, device: &str) -> u8 {
        let legs = self.calls.values().flat_map(|c| c.legs.iter().flatten());
        legs.filter(|leg| leg.device() == device).fold(1, |state, leg| match (leg.state, state) {
            (super::events::State::Ringing | super::events::State::Down, 1) => 6,
            (super::events::State::Up | super::events::State::Ring, _) => 2,
            _ => state,
        })
    }

    pub(super) fn device_word(&self, device: &str) -> &'static str {
        match self.device_state(device) {
            6 => "RINGING",
            2 => "INUSE",
            _ => "NOT_INUSE",
        }
    }

    pub(super) fn extension_state(&self, device: &str) -> (u8, &'static str) {
        match self.device_state(device) {
            6 => (8, "Ringing"),
            2 => (1, "InUse"),
            _ => (0, "Idle"),
        }
    }

    fn originate(&mut self, session: SessionId, action: &Action, now: Now) {
        let id = action.header("ActionID").map(str::to_owned);
        let Some(channel) = action.header("Channel").map(str::to_owned) else {
            let refused = Message::response("Error", id.as_deref()).field("Message", "Channel not specified");
            return self.reply(session, refused, now);
        };
        let number = action.header("Exten").unwrap_or_default().to_owned();
        let context = action.header("Context").unwrap_or_default().to_owned();
        if number.is_empty() || context.is_empty() {
            let refused = Message::response("Error", id.as_deref()).field("Message", "Extension does not exist.");
            return self.reply(session, refused, now);
        }
        let queued = Message::response("Success", id.as_deref()).field("Message", "Originate successfully queued");
        self.reply(session, queued, now);

        let seat = self.settings.seats.iter().position(|s| format!("PJSIP/{}", s.extension) == channel);
        let Some(seat) = seat else {
            // Asked of a device that nobody has: no channel comes, only the answer.
            let failed = self.event("OriginateResponse", "call", now);
            let failed = failed
                .action_id(id.as_deref())
                .field("Response", "Failure")
                .field("Channel", &channel)
                .field("Context", &context)
                .field("Exten", &number)
                .field("Reason", 0)
                .field("Uniqueid", "<null>")
                .field("CallerIDNum", "<unknown>")
                .field("CallerIDName", "<unknown>");
            return self.say(None, failed, now);
        };
        let busy = !self.free_seats().contains(&seat);
        let (caller_number, caller_name) = caller_id(action.header("CallerID").unwrap_or_default());
        let variables = action.variables();
        let truth = self.new_truth(None, "outbound", &number, number.clone(), None, now);
        let steps = click_to_dial(&mut self.dice, busy);
        let originate = Originate { action_id: id, context, number, caller_number, caller_name, variables };
        let call = self.admit(truth, vec![seat], steps, Some(originate), now);
        let wanted = action.header("ChannelId").map(str::to_owned);
        self.originate_leg(call, &channel, wanted.as_deref(), now);
    }
}

impl Action {
    /// `Variable` may come several times, and hold several pairs with commas between.
    fn variables(&self) -> Vec<String> {
        self.all("Variable")
            .flat_map(|v| v.split(','))
            .map(|pair| pair.trim().to_owned())
            .filter(|p| !p.is_empty())
            .collect()
    }
}

/// What a login's `Events` asks for: everything, nothing, or classes.
fn mask(text: &str) -> Option<BTreeSet<String>> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "all" => None,
        "off" | "no" | "false" => Some(BTreeSet::new()),
        classes => Some(classes.split(',').map(|c| c.trim().to_owned()).collect()),
    }
}

/// `"Name" <number>`.
fn caller_id(text: &str) -> (String, String) {
    match text.split_once('<') {
        Some((name, number)) => {
            (number.trim_end_matches('>').trim().to_owned(), name.trim().trim_matches('"').to_owned())
        }
        None => (text.trim().to_owned(), String::new()),
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
