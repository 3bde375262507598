//! What we want to hear and what is cut at the switch already, over each link, with the lines an administrator needs for it.
//!
//! AMI: three nets, one behind the other. The event classes asked for at login; filters that this connection adds for itself (`Action:
//! Filter`, which wants the write class `system` and is done without where it is refused); and the same filters as `eventfilter` lines in
//! manager.conf, for the administrator who does not grant that class. `VarSet` is 30 % of AMI: only mapped variables come through.
//! Measured on the recordings of Asterisk 22.10.1: see the test below.
//!
//! ARI: the application's event filter knows types only, so with mapped variables every `ChannelVarset` comes and is dropped here.

use std::fmt::Write as _;

use super::settings::{Settings, Via};

/// The AMI events that the translator understands and we want (digits and names of events only where they are mapped), and two of our own. All are of the classes system, call and agent.
pub const AMI_EVENTS: [&str; 26] = [
    "FullyBooted",
    "Shutdown",
    "Newchannel",
    "Newstate",
    "NewCallerid",
    "HangupRequest",
    "Hangup",
    "DialBegin",
    "DialState",
    "DialEnd",
    "BridgeEnter",
    "BridgeLeave",
    "Hold",
    "Unhold",
    "BlindTransfer",
    "AttendedTransfer",
    "OriginateResponse",
    "QueueCallerJoin",
    "QueueCallerLeave",
    "QueueCallerAbandon",
    "AgentCalled",
    "AgentConnect",
    "AgentRingNoAnswer",
    "QueueMemberAdded",
    "QueueMemberRemoved",
    "QueueMemberPause",
];

/// The ARI events that the translator understands and we want, and one of our own.
pub const ARI_EVENTS: [&str; 14] = [
    "ChannelCreated",
    "ChannelStateChange",
    "ChannelCallerId",
    "ChannelDialplan",
    "ChannelEnteredBridge",
    "ChannelLeftBridge",
    "ChannelHold",
    "ChannelUnhold",
    "ChannelHangupRequest",
    "ChannelDestroyed",
    "Dial",
    "BridgeBlindTransfer",
    "BridgeAttendedTransfer",
    "ApplicationReplaced",
];

/// The longest filter; a line of AMI ends at 1024 bytes on Asterisk's side (manager.c, `inbuf`), and what is longer is thrown away.
const FILTER_CAP: usize = 900;

/// The `Events:` of the login: classes.
#[must_use]
pub fn ami_classes(settings: &Settings) -> String {
    let declared = settings.declared();
    let mut classes = "system,call,agent".to_owned();
    // VarSet is of the class dialplan, where Newexten, half of what is left, lives too.
    if declared.variables().next().is_some() {
        classes.push_str(",dialplan");
    }
    if declared.user_events().next().is_some() {
        classes.push_str(",user");
    }
    if declared.wants_digits() {
        classes.push_str(",dtmf");
    }
    classes
}

/// Regular expressions (POSIX extended, over the whole text of an event): an event passes if one matches. Written without
/// backslashes, which manager.conf eats, and anchored, because a caller's name may hold any text.
#[must_use]
pub fn ami_filters(settings: &Settings) -> Vec<String> {
    let declared = settings.declared();
    let digits = declared.wants_digits().then_some("DTMFEnd");
    let stop = declared.recordings.is_some().then_some("MixMonitorStop");
    // Where a call was parked, and who listens in.
    let control = settings.control.is_some().then_some(["ParkedCall", "ChanSpyStart", "ChanSpyStop"]);
    let words = AMI_EVENTS.iter().copied().chain(digits).chain(stop).chain(control.into_iter().flatten());
    let mut filters = packed("^Event: (", words);
    // An inherited variable is told with the `__` or `_` of its Set (22.10.1, scenario l).
    filters.extend(packed("^Event: VarSet.*Variable: _?_?(", declared.variables()));
    filters.extend(packed("^Event: UserEvent.*UserEvent: (", declared.user_events()));
    filters
}

fn packed<'a>(open: &str, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    const CLOSE: &str = ")[^A-Za-z0-9_]";
    let mut out = Vec::new();
    let mut filter = String::new();
    for word in words {
        if filter.is_empty() {
            filter.push_str(open);
        } else if filter.len() + word.len() + CLOSE.len() > FILTER_CAP {
            out.push(std::mem::replace(&mut filter, open.to_owned()) + CLOSE);
        } else {
            filter.push('|');
        }
        filter.push_str(word);
    }
    if !filter.is_empty() {
        out.push(filter + CLOSE);
    }
    out
}

/// The types for `PUT /applications/{app}/eventFilter`.
#[must_use]
pub fn ari_types(settings: &Settings) -> Vec<&'static str> {
    let mut types = ARI_EVENTS.to_vec();
    let declared = settings.declared();
    if declared.variables().next().is_some() {
        types.push("ChannelVarset");
    }
    if declared.user_events().next().is_some() {
        types.push("ChannelUserevent");
    }
    if declared.wants_digits() {
        types.push("ChannelDtmfReceived");
    }
    types
}

/// The section for manager.conf that lets this daemon see and do what its settings need, and nothing else.
#[must_use]
pub fn manager_conf_lines(settings: &Settings) -> String {
    let Some(ami) = &settings.ami else { return String::new() };
    let dials = settings.dial_via() == Some(Via::Ami);
    let mut text = String::new();
    let _ = writeln!(text, "; manager.conf on the switch, for linecard's switch \"{}\"", settings.id);
    let _ = writeln!(text, "[{}]", ami.user);
    text.push_str("secret = (the password that linecard's settings point at)\n");
    text.push_str("deny = 0.0.0.0/0.0.0.0\n");
    text.push_str("permit = (the address of linecard's machine)/255.255.255.255\n");
    let _ = writeln!(text, "read = {}", ami_classes(settings));
    // CoreStatus and CoreShowChannels want one of system and reporting, Status one of system, call and reporting.
    // Phones are called by Originate, also those of who picks up or listens in; MuteAudio and MixMonitor want system, QueuePause and QueueAdd agent.
    let controls = settings.control.is_some() && !settings.by_ari();
    let more = match (dials, controls) {
        (_, true) => ",originate,system,agent",
        (true, false) => ",originate",
        (false, false) => "",
    };
    let _ = writeln!(text, "write = call,reporting{more}");
    text.push_str("; a half-dead old connection must not lock the new one out\n");
    text.push_str("allowmultiplelogin = yes\n");
    text.push_str("writetimeout = 1000\n");
    for filter in ami_filters(settings) {
        let _ = writeln!(text, "eventfilter = {filter}");
    }
    text
}

/// The section for ari.conf.
#[must_use]
pub fn ari_conf_lines(settings: &Settings) -> String {
    let Some(ari) = &settings.ari else { return String::new() };
    let mut text = String::new();
    let _ = writeln!(text, "; ari.conf on the switch, for linecard's switch \"{}\"", settings.id);
    let _ = writeln!(text, "[{}]", ari.user);
    text.push_str("type = user\n");
    if settings.dial_via() == Some(Via::Ari) {
        text.push_str("read_only = no\n");
    } else {
        text.push_str("; with \"yes\" the events cannot be narrowed at the switch; nothing else is missing\n");
        text.push_str("read_only = no\n");
    }
    text.push_str("password_format = plain\n");
    text.push_str("password = (the password that linecard's settings point at)\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::attributes::{Mapping, Source};
    use crate::switches::asterisk::{
        ami::Framer,
        tests::{SETTINGS, settings},
        translate_ami,
    };

    const TALK: &[u8] = include_bytes!("../../../proto-fixtures/ami/attended-transfer.txt");

    #[test]
    fn what_is_cut_at_the_switch_is_what_the_translator_would_not_have_understood() {
        let settings = settings(SETTINGS);
        let filters: Vec<regex::Regex> = ami_filters(&settings)
            .iter()
            .map(|f| regex::RegexBuilder::new(f).dot_matches_new_line(true).build().unwrap())
            .collect();
        let classes = ami_classes(&settings);
        let classes: Vec<&str> = classes.split(',').collect();
        let mut framer = Framer::new();
        framer.push(TALK);
        let (mut all, mut through) = (0, 0);
        while let Some(m) = framer.take().unwrap() {
            if m.event().is_none() || m.action_id().is_some() {
                continue;
            }
            all += 1;
            let text: String = m.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
            let class = m.get("Privilege").is_some_and(|p| p.split(',').any(|c| classes.contains(&c)));
            let passes = class && filters.iter().any(|f| f.is_match(&text));
            through += usize::from(passes);
            let mapped = m.event() != Some("VarSet") || m.get("Variable").as_deref() == Some("CTI_ACCOUNT");
            if translate_ami::translate(&m).is_some() {
                assert_eq!(passes, mapped, "{:?}", m.event());
            }
        }
        assert!(through * 3 < all, "{through} of {all}");
    }

    /// Only what is mapped passes at the switch: of the recorded IVR, its event, its keys and its recording.
    #[test]
    fn events_and_keys_pass_where_they_are_mapped() {
        const IVR: &[u8] = include_bytes!("../../../proto-fixtures/asterisk/ivr-data/ami.txt");
        let passing = |text: &str| {
            let settings = settings(text);
            let filters: Vec<regex::Regex> = ami_filters(&settings)
                .iter()
                .map(|f| regex::RegexBuilder::new(f).dot_matches_new_line(true).build().unwrap())
                .collect();
            let classes = ami_classes(&settings);
            let mut framer = Framer::new();
            framer.push(IVR);
            let mut found = std::collections::BTreeMap::new();
            while let Some(m) = framer.take().unwrap() {
                let text: String = m.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
                let class =
                    m.get("Privilege").is_some_and(|p| p.split(',').any(|c| classes.split(',').any(|k| k == c)));
                if class && filters.iter().any(|f| f.is_match(&text)) {
                    *found.entry(m.event().unwrap().to_owned()).or_insert(0) += 1;
                }
            }
            ["VarSet", "UserEvent", "DTMFEnd"].map(|event| found.get(event).copied().unwrap_or(0))
        };
        let with = |list: &str| SETTINGS.replace("[{name: ivr.account, from: {variable: CTI_ACCOUNT}}]", list);
        assert_eq!(passing(&with("[]")), [0, 0, 0]);
        assert_eq!(passing(SETTINGS), [2, 0, 0], "on the caller's leg and inherited by the agent's");
        assert_eq!(passing(&with("[{name: a, from: {user-event: {event: CustomerData, header: X}}}]")), [0, 1, 0]);
        assert_eq!(passing(&with("[{name: a, from: {user-event: {event: Customer, header: X}}}]")), [0, 0, 0]);
        assert_eq!(passing(&with("[{name: a, from: {digits: {}}}]")), [0, 0, 4]);
        assert_eq!(passing(&with("[]\n  recordings: {}")), [1, 0, 0]);
        let ari = |text: &str| ari_types(&settings(text)).into_iter().skip(ARI_EVENTS.len()).collect::<Vec<_>>();
        assert_eq!(ari(&with("[]")), Vec::<&str>::new());
        let all =
            "[{name: a, from: {digits: {}}}, {name: b, from: {user-event: {event: E, header: H}}}]\n  recordings: {}";
        assert_eq!(ari(&with(all)), ["ChannelVarset", "ChannelUserevent", "ChannelDtmfReceived"]);
    }

    #[test]
    fn no_filter_is_longer_than_a_line_of_ami() {
        let mut settings = settings(SETTINGS);
        let one = settings.attributes.pop().unwrap();
        for i in 0..200 {
            let from = Some(Source::Variable(format!("A_RATHER_LONG_NAME_OF_A_VARIABLE_{i}")));
            settings.attributes.push(Mapping { from, ..one.clone() });
        }
        let filters = ami_filters(&settings);
        assert!(filters.len() > 5);
        assert!(filters.iter().all(|f| f.len() <= FILTER_CAP + 1));
    }

    #[test]
    fn the_lines_for_the_administrator() {
        let lines = manager_conf_lines(&settings(SETTINGS));
        assert!(lines.contains("[linecard]\n"));
        assert!(lines.contains("read = system,call,agent,dialplan\nwrite = call,reporting,originate\n"), "{lines}");
        assert!(lines.contains("eventfilter = ^Event: VarSet.*Variable: _?_?(CTI_ACCOUNT)[^A-Za-z0-9_]\n"), "{lines}");
        let controls = manager_conf_lines(&settings(&format!("{SETTINGS}  control: {{context: agents}}\n")));
        assert!(controls.contains("write = call,reporting,originate,system,agent\n"), "{controls}");
        assert!(controls.contains("|ParkedCall|ChanSpyStart|ChanSpyStop)"), "{controls}");
        assert!(ari_conf_lines(&settings(SETTINGS)).contains("read_only = no\n"));
    }
}
