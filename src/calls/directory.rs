//! `config/agents.yaml`: who the agents are, and which devices are theirs.
//!
//! A device is a phone: a desk phone, a softphone, or a number outside that the switch reaches over a trunk. Where a person sits is told in one of two
//! ways: the device stands with the person, or the person takes a seat (see `seats.rs`). What is decided here is only whose a
//! device is by the file; the order is from the exact to the general: the full name at this switch, the full name at any, then the
//! extension alone.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::{
    files::{Problem, Read},
    numbers::Plan,
    private::Private,
    words::{AgentId, SwitchId, TenantId},
};

use super::book::fits;

/// The longest notice: it is to be read at a glance.
const NOTICE: usize = 500;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentsFile {
    /// The teams there are. Absent: every name is one.
    #[serde(default)]
    pub teams: Option<Vec<String>>,
    /// Roles of this site besides `agent`, `supervisor`, `admin` and `auditor`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Devices that people take for a while (`seat: login`), `*` for any text: `PJSIP/20*`.
    #[serde(default)]
    pub seats: Vec<Device>,
    /// What agents read on a desk at rest, by queue as the switch names it; `*`: every agent.
    #[serde(default)]
    pub notices: BTreeMap<String, String>,
    #[serde(default)]
    pub agents: Vec<Agent>,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub id: AgentId,
    pub name: Option<String>,
    #[serde(default)]
    pub tenant: TenantId,
    #[serde(default)]
    pub teams: Vec<String>,
    /// In addition to those of the token.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether this person takes a seat.
    #[serde(default)]
    pub seat: SeatKind,
    /// Devices that are this person's and nobody else's.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Queues that this person may log in to and out of from the page, as the switches name them.
    #[serde(default)]
    pub queues: Vec<String>,
    /// Ids of this person in other systems, for example `redmine: "7"`; under a switch's id, the name by which that switch knows an agent.
    #[serde(default)]
    pub ids: HashMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeatKind {
    /// Sits where `devices` says.
    #[default]
    Fixed,
    /// Takes a seat, from the page or by the switch's own login.
    Login,
}

/// One phone, as the file writes it: `PJSIP/1001` or `"1001"` (at any switch), `pbx1: PJSIP/1001`, `number: "+8613800138000"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    At {
        /// Absent: any.
        switch: Option<SwitchId>,
        /// As the switch names the endpoint, or the extension alone.
        name: String,
    },
    /// A phone outside, behind a trunk.
    Outside { number: Private<String> },
}

impl Agent {
    /// A person of the default tenant with nothing but an id.
    #[must_use]
    pub fn new(id: impl Into<AgentId>) -> Self {
        Self {
            id: id.into(),
            name: None,
            tenant: TenantId::default(),
            teams: Vec::new(),
            roles: Vec::new(),
            seat: SeatKind::Fixed,
            devices: Vec::new(),
            queues: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// The same with these devices at any switch.
    #[must_use]
    pub fn at(mut self, devices: &[&str]) -> Self {
        self.devices.extend(devices.iter().copied().map(Device::from));
        self
    }

    /// Whether a switch that calls an agent `name` means this person.
    fn is_called(&self, switch: &SwitchId, name: &str) -> bool {
        self.ids.get(switch.as_str()).is_some_and(|own| own == name) || self.name.as_deref() == Some(name)
    }
}

impl From<&str> for Device {
    fn from(name: &str) -> Self {
        Self::At { switch: None, name: name.to_owned() }
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> de::Visitor<'de> for Written {
            type Value = Device;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a device's name, or one switch with the name there, or one number")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Device, E> {
                Ok(Device::from(name))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Device, A::Error> {
                let Some((key, value)) = map.next_entry::<String, String>()? else {
                    return Err(de::Error::invalid_length(0, &self));
                };
                if map.next_entry::<String, String>()?.is_some() {
                    return Err(de::Error::invalid_length(2, &self));
                }
                Ok(match key.as_str() {
                    "number" => Device::Outside { number: Private::new(value) },
                    switch => Device::At { switch: Some(switch.into()), name: value },
                })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Device {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Device".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": { "type": "string", "minLength": 1 } },
        ] })
    }
}

/// Devices to agents. A device belongs to one agent of one tenant.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    agents: HashMap<AgentId, Arc<Agent>>,
    /// By name; few names are at more than one switch.
    devices: HashMap<String, Vec<Owned>>,
    /// The same by what stands behind the technology: `1001` of `PJSIP/1001`.
    extensions: HashMap<String, Vec<Owned>>,
    /// By number, `+` and digits.
    outside: HashMap<String, Arc<Agent>>,
    seats: Vec<(Option<SwitchId>, String)>,
    notices: BTreeMap<String, String>,
    /// Who takes seats, by every name under which a switch may know them.
    logins: HashMap<String, Vec<Arc<Agent>>>,
}

/// At which switch (absent: any) a device is whose.
type Owned = (Option<SwitchId>, Arc<Agent>);

impl Directory {
    /// Builds the tables; a device named twice is the caller's to refuse before (see `check`): the first stays.
    #[must_use]
    pub fn new(agents: Vec<Agent>) -> Self {
        let mut directory = Self::default();
        for agent in agents {
            let agent = Arc::new(agent);
            for device in &agent.devices {
                match device {
                    Device::At { switch, name } => {
                        let here = directory.devices.entry(name.clone()).or_default();
                        if here.iter().all(|(other, _)| other != switch) {
                            here.push((switch.clone(), agent.clone()));
                        }
                        if let Some((_, extension)) = name.rsplit_once('/') {
                            let here = directory.extensions.entry(extension.to_owned()).or_default();
                            here.push((switch.clone(), agent.clone()));
                        }
                    }
                    Device::Outside { number } => {
                        directory.outside.entry(plain(number.expose())).or_insert_with(|| agent.clone());
                    }
                }
            }
            if agent.seat == SeatKind::Login {
                let names = agent.name.iter().chain(agent.ids.values());
                for name in names {
                    directory.logins.entry(name.clone()).or_default().push(agent.clone());
                }
            }
            directory.agents.entry(agent.id.clone()).or_insert(agent);
        }
        directory
    }

    /// The same, with the seats that may be taken.
    #[must_use]
    pub fn of(file: AgentsFile) -> Self {
        let mut directory = Self::new(file.agents);
        directory.notices = file.notices;
        directory.seats = file
            .seats
            .into_iter()
            .filter_map(|seat| match seat {
                Device::At { switch, name } => Some((switch, name)),
                Device::Outside { .. } => None,
            })
            .collect();
        directory
    }

    /// What the agents of this queue are to read; of `*`: what all are.
    #[must_use]
    pub fn notice(&self, queue: &str) -> Option<&str> {
        self.notices.get(queue).map(|text| text.trim())
    }

    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }

    /// Whose `device` (`PJSIP/1001`) of this switch is by the file: by its full name, else by the extension after the slash.
    #[must_use]
    pub fn at_device(&self, switch: &SwitchId, device: &str) -> Option<&Arc<Agent>> {
        let at = |name: &str| {
            let all = self.devices.get(name)?;
            let here = all.iter().find(|(at, _)| at.as_ref() == Some(switch));
            here.or_else(|| all.iter().find(|(at, _)| at.is_none())).map(|(_, agent)| agent)
        };
        at(device).or_else(|| at(device.rsplit_once('/')?.1))
    }

    /// Whose the extension is, where a switch names a phone without its technology (a queue's member behind a `Local` channel or a hint): by the file's
    /// devices that end in it, if they are one person's.
    #[must_use]
    pub fn at_extension(&self, switch: &SwitchId, extension: &str) -> Option<&Arc<Agent>> {
        let all = self.extensions.get(extension)?;
        let mut here = all.iter().filter(|(at, _)| at.as_ref().is_none_or(|at| at == switch)).map(|(_, agent)| agent);
        let first = here.next()?;
        here.all(|other| other.id == first.id).then_some(first)
    }

    /// Whose phone outside this E.164 number is.
    #[must_use]
    pub fn outside(&self, e164: &str) -> Option<&Arc<Agent>> {
        self.outside.get(e164)
    }

    /// Whether anybody has a phone outside: most sites have none, and need not read numbers for it.
    #[must_use]
    pub fn any_outside(&self) -> bool {
        !self.outside.is_empty()
    }

    /// The one name of a seat, as its row writes it: `2001` is `PJSIP/2001` where the row says `PJSIP/20*`, and the other way round. `None`: no seat.
    #[must_use]
    pub fn seat(&self, switch: &SwitchId, device: &str) -> Option<String> {
        let here = self.seats.iter().filter(|(at, _)| at.as_ref().is_none_or(|at| at == switch));
        here.filter_map(|(_, row)| seat_name(row, device)).find(|name| self.at_device(switch, name).is_none())
    }

    /// The switch of the rows that fit this device, where all of them name one and the same.
    #[must_use]
    pub fn seat_switch(&self, device: &str) -> Option<&SwitchId> {
        let mut at = self.seats.iter().filter(|(_, row)| seat_name(row, device).is_some()).map(|(at, _)| at.as_ref());
        let first = at.next()??;
        at.all(|other| other == Some(first)).then_some(first)
    }

    /// Who takes a seat under this name at a switch: by the id there, by our id, or by the person's name.
    #[must_use]
    pub fn called(&self, switch: &SwitchId, name: &str) -> Option<&Arc<Agent>> {
        let by_id = self.agents.get(&AgentId::from(name)).filter(|agent| agent.seat == SeatKind::Login);
        by_id.or_else(|| self.logins.get(name)?.iter().find(|agent| agent.is_called(switch, name)))
    }

    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }
}

/// The roles that have a meaning everywhere.
pub const ROLES: [&str; 4] = ["agent", "supervisor", "admin", "auditor"];

/// No endpoint has a longer name.
const LONGEST: usize = 128;

/// What a row calls this device, if it fits.
fn seat_name(row: &str, device: &str) -> Option<String> {
    if device.len() > LONGEST || device.chars().any(|c| c.is_control() || c == '*') {
        return None;
    }
    let name = match (row.rsplit_once('/'), device.rsplit_once('/')) {
        (Some((technology, _)), None) => format!("{technology}/{device}"),
        (None, Some((_, extension))) => extension.to_owned(),
        _ => device.to_owned(),
    };
    (fits(row, &name, false) && !name.is_empty() && !name.ends_with('/')).then_some(name)
}

/// A number as it is compared: `+` and digits.
fn plain(number: &str) -> String {
    number.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
}

/// What a schema cannot see: what stands there twice, what leads nowhere, and names that nobody knows.
#[must_use]
pub fn check(file: &Read<AgentsFile>, switches: &[SwitchId], plan: &Plan) -> Vec<Problem> {
    let mut check =
        Check { file, switches, plan, problems: Vec::new(), devices: BTreeMap::new(), numbers: HashMap::new() };
    check.all();
    check.problems
}

struct Check<'a> {
    file: &'a Read<AgentsFile>,
    switches: &'a [SwitchId],
    plan: &'a Plan,
    problems: Vec<Problem>,
    devices: BTreeMap<&'a str, Vec<Claimed<'a>>>,
    numbers: HashMap<String, &'a AgentId>,
}

type Claimed<'a> = (Option<&'a SwitchId>, &'a AgentId);

impl<'a> Check<'a> {
    fn all(&mut self) {
        let file = &self.file.value;
        let mut ids: HashMap<&AgentId, usize> = HashMap::new();
        for (i, agent) in file.agents.iter().enumerate() {
            if let Some(first) = ids.insert(&agent.id, i) {
                let found = format!("agent \"{}\" stands here for the second time (first: agents[{first}])", agent.id);
                self.wrong(&format!("agents[{i}].id"), found, "one entry for each person, with all devices in it");
            }
            if agent.id.as_str().is_empty() || agent.id.as_str().chars().any(char::is_control) {
                self.wrong(&format!("agents[{i}].id"), "this is no id".to_owned(), "a short text, the same for ever");
            }
            if agent.devices.is_empty() && agent.seat == SeatKind::Fixed {
                let found = "no device, so no call ever reaches this agent".to_owned();
                self.wrong(&format!("agents[{i}].devices"), found, "for example [PJSIP/1001], or seat: login");
            }
            if agent.seat == SeatKind::Login && file.seats.is_empty() {
                let found = "there are no seats to take".to_owned();
                self.wrong(&format!("agents[{i}].seat"), found, "a list \"seats:\", for example [PJSIP/20*]");
            }
            for (j, device) in agent.devices.iter().enumerate() {
                self.device(&format!("agents[{i}].devices[{j}]"), &agent.id, device);
            }
            self.words(i, agent);
        }
        for (i, seat) in file.seats.iter().enumerate() {
            self.seat(&format!("seats[{i}]"), seat);
        }
        for (queue, text) in &file.notices {
            let characters = text.trim().chars().count();
            if !(1..=NOTICE).contains(&characters) {
                let found = format!("it has {characters} characters");
                self.wrong(&format!("notices.{queue}"), found, "a text of 1 to 500 characters, or leave it out");
            }
        }
    }

    fn words(&mut self, i: usize, agent: &Agent) {
        let file = &self.file.value;
        for (j, team) in agent.teams.iter().enumerate() {
            if let Some(teams) = file.teams.as_ref().filter(|teams| !teams.contains(team)) {
                let wanted = format!("one of teams: {}", teams.join(", "));
                self.wrong(&format!("agents[{i}].teams[{j}]"), format!("there is no team \"{team}\""), &wanted);
            }
        }
        for (j, role) in agent.roles.iter().enumerate() {
            if !ROLES.contains(&role.as_str()) && !file.roles.contains(role) {
                let own = file.roles.iter().map(String::as_str);
                let known: Vec<&str> = ROLES.into_iter().chain(own).collect();
                let wanted = format!("one of: {}; a role of your own goes into the list \"roles:\"", known.join(", "));
                self.wrong(&format!("agents[{i}].roles[{j}]"), format!("there is no role \"{role}\""), &wanted);
            }
        }
    }

    fn device(&mut self, key: &str, agent: &'a AgentId, device: &'a Device) {
        match device {
            Device::At { switch, name } => {
                self.known(key, switch.as_ref());
                if name.contains('*') {
                    self.wrong(key, format!("\"{name}\" is several devices"), "each device of a person by itself");
                }
                let here = self.devices.entry(name).or_default();
                let other = here.iter().find(|(at, _)| at.is_none() || switch.is_none() || *at == switch.as_ref());
                let other = other.map(|(_, other)| *other);
                here.push((switch.as_ref(), agent));
                if let Some(other) = other {
                    let found = format!("device \"{name}\" is agent \"{other}\"'s already");
                    self.wrong(
                        key,
                        found,
                        "a device belongs to one agent; at two switches write \"pbx1: ...\" for each",
                    );
                }
            }
            Device::Outside { number } => {
                let read = self.plan.read(number.expose());
                let Some(e164) = read.e164.filter(|_| number.expose().trim_start().starts_with('+')) else {
                    let wanted =
                        "a number with + and the country code; for a switch called \"number\" choose another id";
                    return self.wrong(
                        key,
                        "this is no number that reaches a phone from everywhere".to_owned(),
                        wanted,
                    );
                };
                if let Some(other) = self.numbers.insert(e164.expose().clone(), agent) {
                    let found = format!("this number is agent \"{other}\"'s already");
                    self.wrong(key, found, "a phone belongs to one agent");
                }
            }
        }
    }

    fn seat(&mut self, key: &str, seat: &Device) {
        let Device::At { switch, name } = seat else {
            return self.wrong(
                key,
                "a phone outside is no seat".to_owned(),
                "a device of a switch, for example PJSIP/20*",
            );
        };
        self.known(key, switch.as_ref());
        let taken: Vec<String> = self
            .devices
            .iter()
            .filter(|(device, _)| fits(name, device, false))
            .flat_map(|(device, all)| all.iter().map(move |(at, agent)| (device, at, agent)))
            .filter(|(_, at, _)| at.is_none() || switch.is_none() || *at == &switch.as_ref())
            .map(|(device, _, agent)| format!("seat \"{name}\" covers \"{device}\", which is agent \"{agent}\"'s"))
            .collect();
        for found in taken {
            self.wrong(key, found, "a device is somebody's, or a seat");
        }
    }

    fn known(&mut self, key: &str, switch: Option<&SwitchId>) {
        if let Some(switch) = switch.filter(|s| !self.switches.contains(s)) {
            let known: Vec<&str> = self.switches.iter().map(SwitchId::as_str).collect();
            let wanted = format!("a switch's id, or number; switches are: {}", known.join(", "));
            self.wrong(key, format!("there is no switch \"{switch}\""), &wanted);
        }
    }

    fn wrong(&mut self, key: &str, found: String, wanted: &str) {
        self.problems.push(self.file.problem(key, found, wanted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn read(text: &str) -> Read<AgentsFile> {
        files::read::<AgentsFile>("agents.yaml", text).unwrap()
    }

    fn told(text: &str) -> Vec<String> {
        let plan = Plan::new("CN", Some("21"));
        check(&read(text), &["pbx1".into(), "pbx2".into()], &plan).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_device_is_found_by_its_full_name_or_its_extension() {
        let text = "agents:\n  - id: '1001'\n    name: Agent Li\n    devices: [PJSIP/1001]\n  - id: wang\n    devices: ['1002']\n";
        assert_eq!(told(text), [""; 0]);
        let directory = Directory::of(read(text).value);
        let at = |device: &str| directory.at_device(&"pbx1".into(), device).map(|a| a.id.to_string());
        assert_eq!(at("PJSIP/1001").as_deref(), Some("1001"));
        assert_eq!(at("PJSIP/1002").as_deref(), Some("wang"));
        assert_eq!(at("PJSIP/1003"), None);
        assert_eq!(at("1001"), None);
        let extension = |name: &str| directory.at_extension(&"pbx1".into(), name).map(|a| a.id.to_string());
        assert_eq!((extension("1001").as_deref(), extension("1003")), (Some("1001"), None));
        let two = "agents:\n  - {id: a, devices: [PJSIP/1001]}\n  - {id: b, devices: [SIP/1001]}\n";
        let directory = Directory::of(read(two).value);
        assert_eq!(directory.at_extension(&"pbx1".into(), "1001"), None, "two people's");
    }

    #[test]
    fn the_same_device_at_two_switches_is_two_devices() {
        let text = "agents:\n  - id: li\n    devices: [{pbx1: PJSIP/1001}, SIP/77]\n  - id: wang\n    devices: [{pbx2: PJSIP/1001}, {pbx2: '1002'}]\n";
        assert_eq!(told(text), [""; 0]);
        let directory = Directory::of(read(text).value);
        let at = |switch: &str, device: &str| directory.at_device(&switch.into(), device).map(|a| a.id.to_string());
        assert_eq!(at("pbx1", "PJSIP/1001").as_deref(), Some("li"));
        assert_eq!(at("pbx2", "PJSIP/1001").as_deref(), Some("wang"));
        assert_eq!(at("pbx3", "PJSIP/1001"), None);
        assert_eq!((at("pbx1", "PJSIP/1002"), at("pbx2", "PJSIP/1002").as_deref()), (None, Some("wang")));
        assert_eq!((at("pbx1", "SIP/77").as_deref(), at("pbx2", "SIP/77").as_deref()), (Some("li"), Some("li")));
    }

    #[test]
    fn a_phone_outside_is_found_by_its_number_however_it_is_written() {
        let text = "agents:\n  - id: li\n    devices: [{number: '+86 138-0013-8001'}]\n";
        assert_eq!(told(text), [""; 0]);
        let directory = Directory::of(read(text).value);
        assert_eq!(directory.outside("+8613800138001").map(|a| a.id.as_str()), Some("li"));
        assert!(directory.outside("+8613800138002").is_none() && directory.any_outside());
        assert!(!format!("{directory:?}").contains("138-0013"), "a person's number is printed");
    }

    #[test]
    fn a_seat_has_one_name_however_it_is_called() {
        let text = "seats: [PJSIP/20*, {pbx2: '30*'}, PJSIP/2099]\nagents:\n  - id: li\n    seat: login\n    ids: {pbx1: Agent/7}\n    name: Li Na\n  - id: wang\n    devices: [PJSIP/1001]\n";
        assert_eq!(told(text), [""; 0]);
        let directory = Directory::of(read(text).value);
        let (one, two) = (SwitchId::from("pbx1"), SwitchId::from("pbx2"));
        assert_eq!(directory.seat(&one, "2001").as_deref(), Some("PJSIP/2001"));
        assert_eq!(directory.seat(&one, "PJSIP/2001").as_deref(), Some("PJSIP/2001"));
        assert_eq!(directory.seat(&one, "SIP/2001"), None);
        assert_eq!(directory.seat(&one, "PJSIP/1001"), None, "somebody's own phone");
        assert_eq!(directory.seat(&one, "3001"), None);
        assert_eq!(directory.seat(&two, "PJSIP/3001").as_deref(), Some("3001"));
        for junk in ["", "*", "PJSIP/20*", "PJSIP/2001\r\nAction: Logoff", "PJSIP/"] {
            assert_eq!(directory.seat(&one, junk), None, "{junk}");
        }
        assert_eq!(directory.seat_switch("3001"), Some(&two));
        assert_eq!(directory.seat_switch("2001"), None);
        for name in ["Agent/7", "li", "Li Na"] {
            assert_eq!(directory.called(&one, name).map(|a| a.id.as_str()), Some("li"), "{name}");
        }
        assert!(directory.called(&two, "Agent/7").is_none());
        assert!(directory.called(&one, "wang").is_none(), "who sits fixed takes no seat");
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "teams: [support]
roles: [coach]
seats: [PJSIP/1*, {number: '+8613800138001'}, {pbx9: PJSIP/7}]
agents:
  - id: a
    devices: ['1', {pbx9: PJSIP/5}]
  - id: b
    devices: ['1']
    teams: [support, sales]
    roles: [agent, coach, boss]
  - id: a
    devices: []
  - id: c
    devices: [PJSIP/1001, {pbx1: PJSIP/1001}, {number: '13800138001'}, {number: '+8613800138002'}]
  - id: d
    devices: [{number: '+86 138 0013 8002'}, PJSIP/3*]
";
        let expected = [
            "agents.yaml:6:20: agents[0].devices[1]: there is no switch \"pbx9\"; a switch's id, or number; switches are: pbx1, pbx2",
            "agents.yaml:8:15: agents[1].devices[0]: device \"1\" is agent \"a\"'s already;",
            "agents.yaml:9:22: agents[1].teams[1]: there is no team \"sales\"; one of teams: support",
            "agents.yaml:10:27: agents[1].roles[2]: there is no role \"boss\"; one of: agent, supervisor, admin, auditor, coach;",
            "agents.yaml:11:5: agents[2].id: agent \"a\" stands here for the second time (first: agents[0])",
            "agents.yaml:12:5: agents[2].devices: no device",
            "agents.yaml:14:27: agents[3].devices[1]: device \"PJSIP/1001\" is agent \"c\"'s already;",
            "agents.yaml:14:47: agents[3].devices[2]: this is no number that reaches a phone from everywhere;",
            "agents.yaml:16:15: agents[4].devices[0]: this number is agent \"c\"'s already",
            "agents.yaml:16:46: agents[4].devices[1]: \"PJSIP/3*\" is several devices",
            "agents.yaml:3:9: seats[0]: seat \"PJSIP/1*\" covers \"PJSIP/1001\", which is agent \"c\"'s",
            "agents.yaml:3:19: seats[1]: a phone outside is no seat",
            "agents.yaml:3:47: seats[2]: there is no switch \"pbx9\"",
        ];
        let told = told(text);
        for expected in expected {
            assert!(told.iter().any(|t| t.starts_with(expected)), "{expected}\nnot in {told:#?}");
        }
        // PJSIP/1001 is covered twice: it stands there for any switch and for one.
        assert_eq!(told.len(), expected.len() + 1, "{told:#?}");
        assert!(told.iter().all(|t| !t.contains("3800138")), "a number is told: {told:?}");
    }

    #[test]
    fn a_seat_needs_a_list_and_a_device_one_name() {
        let login = told("agents:\n  - {id: a, seat: login}\n");
        assert!(login[0].starts_with("agents.yaml:2:13: agents[0].seat: there are no seats"), "{login:?}");
        for devices in ["[1001]", "[{pbx1: '1', pbx2: '2'}]", "[{}]", "[{pbx1: 1001}]", "[[a]]"] {
            let text = format!("agents:\n  - {{id: a, devices: {devices}}}\n");
            let told = files::read::<AgentsFile>("agents.yaml", &text).unwrap_err();
            let line = told[0].to_string();
            assert!(line.starts_with("agents.yaml:2:") && line.contains("agents[0].devices[0]"), "{devices}: {told:?}");
        }
    }

    #[test]
    fn the_example_says_every_key_and_is_good() {
        const EXAMPLE: &str = include_str!("../../config/agents.yaml");
        let plan = Plan::new("CN", Some("21"));
        let whole =
            EXAMPLE.lines().map(|line| line.strip_prefix("# ~ ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        for text in [EXAMPLE, &whole] {
            assert_eq!(check(&read(text), &["pbx1".into()], &plan), []);
        }
        let file = read(&whole).value;
        assert!(file.teams.is_some() && !file.roles.is_empty() && !file.seats.is_empty() && !file.notices.is_empty());
        let any = |has: fn(&Agent) -> bool| file.agents.iter().any(has);
        assert!(any(|a| a.seat == SeatKind::Login) && any(|a| !a.ids.is_empty()) && any(|a| a.name.is_some()));
        assert!(any(|a| !a.roles.is_empty()) && any(|a| !a.teams.is_empty()));
        assert!(any(|a| a.devices.iter().any(|d| matches!(d, Device::At { switch: Some(_), .. }))));
        assert!(any(|a| a.devices.iter().any(|d| matches!(d, Device::Outside { .. }))));
        for key in ["teams", "roles", "seats", "notices", "id", "name", "tenant", "seat", "devices", "ids"] {
            assert!(
                whole.contains(&format!("{key}: ")) || whole.contains(&format!("{key}:\n")),
                "{key} is not in the example"
            );
        }
    }
}
