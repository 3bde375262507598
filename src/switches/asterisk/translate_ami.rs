//! AMI messages to events. What the book does not understand ends here, silently: `read=all` sends hundreds of other kinds (seen on
//! 22.10.1: `TestEvent` is a fifth of all).
//!
//! Quirks are told as they are (facts, not judgements): `DialEnd` comes twice with two statuses, `QueueCallerAbandon` at a queue's timeout
//! while the caller is still there, `Unhold` at a REFER without a `Hold`. The book knows how to take them.

use crate::{
    calls::{
        attributes::Place,
        event::{BridgeKind, Caller, DialStatus, Event, Leg, LegState, Member, Pause, Said, Standing},
    },
    private::Private,
    words::Wall,
};

use super::ami::Message;

/// The event a message is, if it is one that the book understands.
#[must_use]
pub fn translate(m: &Message<'_>) -> Option<Event> {
    let said = match m.event()? {
        "Newchannel" => Said::NewLeg {
            leg: leg(m)?,
            state: state(m, "ChannelState").unwrap_or(LegState::Down),
            caller: caller(m),
            dialled: known(m, "Exten").filter(|e| e.expose() != "s"),
            places: Vec::new(),
            created: None,
        },
        "Newstate" => Said::State { leg: leg(m)?, state: state(m, "ChannelState")? },
        "DialState" => match m.bytes_of("DialStatus")? {
            b"RINGING" => Said::State { leg: dest(m)?, state: LegState::Ringing },
            _ => return None,
        },
        "NewCallerid" => Said::CallerId { leg: leg(m)?, caller: caller(m), restricted: restricted(m) },
        "DialBegin" => Said::DialBegin {
            by: leg(m),
            to: dest(m)?,
            dialled: known(m, "DialString"),
            presented: leg(m).and_then(|_| known(m, "CallerIDNum")),
        },
        "DialEnd" => Said::DialEnd { by: leg(m), to: dest(m)?, status: dial_status(m.get("DialStatus")?.as_ref())? },
        "BridgeEnter" => Said::BridgeEnter { leg: leg(m)?, bridge: owned(m, "BridgeUniqueid")?, kind: bridge_kind(m) },
        "BridgeLeave" => Said::BridgeLeave { leg: leg(m)?, bridge: owned(m, "BridgeUniqueid")? },
        "Hold" => Said::Hold { leg: leg(m)? },
        "Unhold" => Said::Unhold { leg: leg(m)? },
        "QueueCallerJoin" => Said::QueueJoin { leg: leg(m)?, queue: owned(m, "Queue")? },
        "QueueCallerLeave" => Said::QueueLeave { leg: leg(m)?, queue: owned(m, "Queue")? },
        "QueueCallerAbandon" => Said::QueueAbandon { leg: leg(m)?, queue: owned(m, "Queue")? },
        "AgentCalled" => Said::AgentCalled { leg: leg(m)?, agent: dest(m)?, queue: owned(m, "Queue")? },
        "AgentConnect" => Said::AgentConnect { leg: leg(m)?, agent: dest(m)?, queue: owned(m, "Queue")? },
        "AgentRingNoAnswer" => Said::AgentRingNoAnswer { leg: leg(m)?, agent: dest(m)?, queue: owned(m, "Queue")? },
        "BlindTransfer" => Said::BlindTransfer {
            by: named(m, "TransfererUniqueid", "TransfererChannel", "TransfererLinkedid")?,
            customer: named(m, "TransfereeUniqueid", "TransfereeChannel", "TransfereeLinkedid"),
            to: known(m, "Extension"),
            success: m.bytes_of("Result") == Some(b"Success"),
        },
        // All three talk on: nobody has left, and nothing was handed over.
        "AttendedTransfer" if m.bytes_of("DestType") == Some(b"Threeway") => return None,
        "AttendedTransfer" => Said::AttendedTransfer {
            first: named(m, "OrigTransfererUniqueid", "OrigTransfererChannel", "OrigTransfererLinkedid")?,
            second: named(m, "SecondTransfererUniqueid", "SecondTransfererChannel", "SecondTransfererLinkedid")?,
            customer: named(m, "TransfereeUniqueid", "TransfereeChannel", "TransfereeLinkedid"),
            target: named(m, "TransferTargetUniqueid", "TransferTargetChannel", "TransferTargetLinkedid"),
            success: m.bytes_of("Result") == Some(b"Success"),
        },
        "HangupRequest" if refusing(m.bytes_of("ChannelState"), number(m, "Cause"), number(m, "TechCause")) => {
            return None;
        }
        "HangupRequest" => Said::HangupRequest { leg: leg(m)?, cause: number(m, "Cause") },
        "Hangup" => Said::Hangup { leg: leg(m)?, cause: number(m, "Cause"), text: owned(m, "Cause-txt") },
        "QueueMemberAdded" => Said::LoggedOn(member(m, "MemberName", "Interface")?),
        "QueueMemberRemoved" => Said::LoggedOff(member(m, "MemberName", "Interface")?),
        "QueueMemberPause" => Said::Stands(member(m, "MemberName", "Interface")?),
        "VarSet" => Said::Variable { leg: leg(m)?, name: owned(m, "Variable")?, value: raw(m.bytes_of("Value")?)? },
        // The dialplan's own headers stand behind the event's name, and may be called like the switch's.
        "UserEvent" => Said::UserEvent {
            leg: leg(m)?,
            event: owned(m, "UserEvent")?,
            headers: m.behind("UserEvent").filter_map(|(k, v)| Some((k.into_owned(), raw(v)?))).collect(),
        },
        // What the switch itself sends to this leg is no key of the caller.
        "DTMFEnd" if m.bytes_of("Direction") == Some(b"Sent") => return None,
        "DTMFEnd" => Said::Digit {
            leg: leg(m)?,
            digit: Private::new(m.get("Digit")?.chars().next()?),
            place: Place {
                context: owned(m, "Context"),
                exten: owned(m, "Exten"),
                priority: m.get("Priority").and_then(|p| p.parse().ok()),
            },
        },
        "ChanSpyStart" | "ChanSpyStop" => {
            let leg = named(m, "SpyeeUniqueid", "SpyeeChannel", "SpyeeLinkedid")?;
            let by = named(m, "SpyerUniqueid", "SpyerChannel", "SpyerLinkedid")?;
            match m.event() {
                Some("ChanSpyStart") => Said::Listen { leg, by },
                _ => Said::Unlisten { leg, by },
            }
        }
        "MixMonitorStop" => Said::RecordingStop { leg: leg(m)? },
        "OriginateResponse" => Said::Originated {
            leg: leg(m)?,
            number: known(m, "Exten").filter(|e| e.expose() != "s"),
            success: m.bytes_of("Response") == Some(b"Success"),
        },
        _ => return None,
    };
    Some(Event { at: stamp(m), said })
}

/// Whether a request to hang up is the switch's own refusal of the caller, whose end is no wish. `Busy()` and `Congestion()` send their answer and then set
/// the state to Busy (7; trace o2); the session's end is told by another thread, and may be told first: then the channel still rings (4, `Ring` is the
/// calling side), and the SIP answer tells. Who gives up is answered with 487 (cause 127, trace direct-missed). `tech` is missing in older versions (traces of 16.28).
pub(super) fn refusing(state: Option<&[u8]>, cause: Option<u16>, tech: Option<u16>) -> bool {
    match state {
        Some(b"7" | b"Busy") => true,
        Some(b"4" | b"Ring") => match tech {
            Some(answer) => (300..700).contains(&answer) && answer != 487,
            None => matches!(cause, Some(17 | 34)),
        },
        _ => false,
    }
}

/// `Timestamp: 1795347846.715317` (only with `timestampevents=yes`), cut to milliseconds.
#[must_use]
pub fn stamp(m: &Message<'_>) -> Option<Wall> {
    let text = m.get("Timestamp")?;
    let (seconds, rest) = text.split_once('.').unwrap_or((&text, ""));
    let seconds: i64 = seconds.parse().ok().filter(|s| (0..=253_402_300_799).contains(s))?;
    let millis = rest.bytes().chain(*b"000").take(3).try_fold(0i64, |n, b| match b {
        b'0'..=b'9' => Some(n * 10 + i64::from(b - b'0')),
        _ => None,
    })?;
    Some(Wall(seconds * 1000 + millis))
}

/// The channel in headers without prefix; `None` where the event names none (a dial by the switch itself).
fn leg(m: &Message<'_>) -> Option<Leg> {
    named(m, "Uniqueid", "Channel", "Linkedid")
}

fn dest(m: &Message<'_>) -> Option<Leg> {
    named(m, "DestUniqueid", "DestChannel", "DestLinkedid")
}

fn named(m: &Message<'_>, id: &str, name: &str, linked: &str) -> Option<Leg> {
    Some(Leg {
        id: owned(m, id)?,
        name: owned(m, name).unwrap_or_default(),
        linked: owned(m, linked),
        sip_call_id: None,
    })
}

/// A member of a queue: a dynamic one is what `AddQueueMember` makes of a login, a static one stands in queues.conf. `QueueStatus` has other names for two of
/// the headers.
#[must_use]
pub fn member(m: &Message<'_>, name: &str, interface: &str) -> Option<Member> {
    let interface = owned(m, interface)?;
    // A member that is called through a Local channel names the phone as its state interface (22.10.1, scenario r).
    let device = owned(m, "StateInterface").and_then(|state| phone(&state)).or_else(|| phone(&interface))?;
    let paused = m.bytes_of("Paused") == Some(b"1");
    let since = m.get("LastPause").and_then(|at| at.parse::<u64>().ok()).filter(|at| *at > 0);
    let pause = || {
        Pause::new(
            &m.get("PausedReason").unwrap_or_default(),
            since.map(|s| Wall(i64::try_from(s).unwrap_or(0).saturating_mul(1_000))),
        )
    };
    Some(Member {
        name: owned(m, name).unwrap_or_default(),
        device,
        interface,
        queue: owned(m, "Queue")?,
        dynamic: m.bytes_of("Membership") == Some(b"dynamic"),
        reasons: true,
        standing: if paused { Standing::Paused(pause()) } else { Standing::Ready },
    })
}

/// `PJSIP/1001` as it is; the extension of `hint:1001@agents` and `Local/1001@agents/n`. `Custom:` states are no phone's.
fn phone(interface: &str) -> Option<String> {
    let inside = interface.strip_prefix("hint:").or_else(|| interface.strip_prefix("Local/"));
    match inside {
        Some(rest) => rest.split('@').next().filter(|e| !e.is_empty()).map(str::to_owned),
        None => interface.contains('/').then(|| interface.to_owned()),
    }
}

fn owned(m: &Message<'_>, key: &str) -> Option<String> {
    m.get(key).filter(|v| !v.is_empty()).map(std::borrow::Cow::into_owned)
}

fn raw(value: &[u8]) -> Option<Private<Vec<u8>>> {
    (!value.is_empty()).then(|| Private::new(value.to_vec()))
}

/// A personal value; `<unknown>` is AMI's empty number.
fn known(m: &Message<'_>, key: &str) -> Option<Private<String>> {
    owned(m, key).filter(|v| v != "<unknown>").map(Private::new)
}

fn caller(m: &Message<'_>) -> Caller {
    Caller { number: known(m, "CallerIDNum"), name: known(m, "CallerIDName") }
}

/// `CID-CallingPres: 32 (Presentation Prohibited, ...)`: bits 5 and 6 say whether the number may be shown (Q.931).
fn restricted(m: &Message<'_>) -> bool {
    m.get("CID-CallingPres")
        .and_then(|v| v.split(' ').next().and_then(|n| n.parse::<u16>().ok()))
        .is_some_and(|n| n & 0x60 == 0x20)
}

fn number(m: &Message<'_>, key: &str) -> Option<u16> {
    m.get(key)?.parse().ok()
}

fn state(m: &Message<'_>, key: &str) -> Option<LegState> {
    channel_state(m.bytes_of(key)?)
}

/// `ast_channel_state`: 0 down, 4 the far end called us, 5 it rings, 6 up; others say nothing that matters.
#[must_use]
pub fn channel_state(number: &[u8]) -> Option<LegState> {
    match number {
        b"0" => Some(LegState::Down),
        b"4" => Some(LegState::Calling),
        b"5" => Some(LegState::Ringing),
        b"6" => Some(LegState::Up),
        _ => None,
    }
}

/// What the bridge in an event or in a line of `BridgeList` is.
#[must_use]
pub fn bridge_kind(m: &Message<'_>) -> BridgeKind {
    match (m.bytes_of("BridgeTechnology"), m.bytes_of("BridgeCreator")) {
        (_, Some(b"Parking")) => BridgeKind::Parking,
        (Some(b"holding_bridge"), _) => BridgeKind::Holding,
        (_, Some(b"ConfBridge")) => BridgeKind::Conference,
        _ => BridgeKind::Mixing,
    }
}

/// `DIALSTATUS` of Asterisk. `CONTINUE`, `GOTO` and `ABORT` say nothing of the called leg; its Hangup will.
#[must_use]
pub fn dial_status(text: &str) -> Option<DialStatus> {
    match text {
        "ANSWER" => Some(DialStatus::Answer),
        "BUSY" => Some(DialStatus::Busy),
        "NOANSWER" => Some(DialStatus::NoAnswer),
        "CANCEL" => Some(DialStatus::Cancel),
        "CONGESTION" => Some(DialStatus::Congestion),
        "CHANUNAVAIL" => Some(DialStatus::Unavailable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::asterisk::ami::Framer;

    fn one(text: &str) -> Option<Event> {
        let mut framer = Framer::new();
        framer.push(text.as_bytes());
        let m = framer.take().unwrap().unwrap();
        translate(&m)
    }

    #[test]
    fn a_new_channel_is_a_leg_with_its_caller_and_its_stamp() {
        let event = one("Event: Newchannel\r\nTimestamp: 1795347846.715317\r\nChannel: PJSIP/trunk-00000000\r\nChannelState: 4\r\nCallerIDNum: 13800138000\r\nCallerIDName: <unknown>\r\nExten: 4008001234\r\nUniqueid: 1795347846.0\r\nLinkedid: 1795347846.0\r\n\r\n").unwrap();
        assert_eq!(event.at, Some(Wall(1_795_347_846_715)));
        let Said::NewLeg { leg, state, caller, dialled, .. } = event.said else { panic!("{event:?}") };
        assert_eq!(
            (leg.id.as_str(), leg.name.as_str(), state),
            ("1795347846.0", "PJSIP/trunk-00000000", LegState::Calling)
        );
        assert_eq!(caller, Caller { number: Some("13800138000".into()), name: None });
        assert_eq!(dialled, Some("4008001234".into()));
    }

    #[test]
    fn a_refusal_by_the_switch_is_no_request_of_the_caller_whichever_thread_tells_first() {
        let asks = |state: u8, causes: &str| {
            one(&format!("Event: HangupRequest\r\nChannelState: {state}\r\n{causes}Uniqueid: 1.0\r\n\r\n")).is_some()
        };
        assert!(!asks(7, "Cause: 17\r\nTechCause: 486\r\n"), "as recorded");
        assert!(!asks(4, "Cause: 17\r\nTechCause: 486\r\n"), "the other way round");
        assert!(!asks(4, "Cause: 34\r\n"), "Congestion() of an Asterisk that tells no SIP answer");
        assert!(asks(4, "Cause: 127\r\nTechCause: 487\r\n"), "the caller gave up");
        assert!(asks(4, "") && asks(4, "Cause: 0\r\n"));
        assert!(asks(6, "Cause: 17\r\n"), "a talk was no refusal");
        assert!(asks(5, "Cause: 17\r\nTechCause: 486\r\n"), "the called phone's own");
    }

    #[test]
    fn a_dial_of_the_switch_itself_has_no_dialling_leg() {
        let event = one(
            "Event: DialBegin\r\nDestChannel: PJSIP/1001-0\r\nDestUniqueid: lc-call-1\r\nCallerIDNum: 7\r\nDialString: 1001\r\n\r\n",
        );
        let Some(Event { at: None, said: Said::DialBegin { by: None, presented: None, .. } }) = event else {
            panic!("{event:?}")
        };
    }

    #[test]
    fn a_dynamic_member_is_a_login_at_the_phone_behind_it() {
        let said = |headers: &str| {
            one(&format!("Event: QueueMemberAdded\r\nQueue: callback\r\nMemberName: Agent Li\r\n{headers}\r\n\r\n"))
                .map(|e| e.said)
        };
        let on = |interface: &str, device: &str, dynamic| {
            Some(Said::LoggedOn(Member {
                name: "Agent Li".into(),
                device: device.into(),
                interface: interface.into(),
                queue: "callback".into(),
                dynamic,
                reasons: true,
                standing: Standing::Ready,
            }))
        };
        let (phone, local) = ("PJSIP/1001", "Local/1001@agents/n");
        for (headers, wanted) in [
            ("Interface: PJSIP/1001\r\nStateInterface: PJSIP/1001\r\nMembership: dynamic", on(phone, phone, true)),
            ("Interface: PJSIP/1001\r\nStateInterface: PJSIP/1001\r\nMembership: static", on(phone, phone, false)),
            (
                "Interface: Local/1001@agents/n\r\nStateInterface: hint:1001@agents\r\nMembership: dynamic",
                on(local, "1001", true),
            ),
            ("Interface: Local/1001@agents/n\r\nMembership: dynamic", on(local, "1001", true)),
            ("Interface: PJSIP/1001\r\nStateInterface: Custom:away\r\nMembership: dynamic", on(phone, phone, true)),
            ("Interface: Agent-1\r\nMembership: dynamic", None),
        ] {
            assert_eq!(said(headers), wanted, "{headers}");
        }
        let off = "Event: QueueMemberRemoved\r\nQueue: callback\r\nMemberName: Agent Li\r\nInterface: PJSIP/1001\r\nMembership: dynamic\r\n\r\n";
        assert!(matches!(one(off).unwrap().said, Said::LoggedOff(m) if m.device == "PJSIP/1001"));
    }

    #[test]
    fn a_member_is_paused_with_a_reason_and_since_when() {
        let paused = |headers: &str| {
            let text =
                format!("Event: QueueMemberPause\r\nQueue: support\r\nInterface: PJSIP/1003\r\n{headers}\r\n\r\n");
            let Some(Event { said: Said::Stands(member), .. }) = one(&text) else { panic!("{headers}") };
            member.standing
        };
        // Scenario o: the pause from the command line.
        assert_eq!(
            paused("LastPause: 1795347891\r\nPaused: 1\r\nPausedReason: lunch"),
            Standing::Paused(Pause { reason: "lunch".into(), since: Some(Wall(1_795_347_891_000)) })
        );
        let long = format!("Paused: 1\r\nLastPause: 0\r\nPausedReason: {}", "x".repeat(300));
        assert_eq!(paused(&long), Standing::Paused(Pause { reason: "x".repeat(Pause::LONGEST), since: None }));
        assert_eq!(paused("LastPause: 1795347891\r\nPaused: 0\r\nPausedReason: "), Standing::Ready);
    }

    #[test]
    fn other_events_and_answers_are_nothing() {
        assert_eq!(one("Event: TestEvent\r\nUniqueid: 1\r\n\r\n"), None);
        assert_eq!(one("Response: Success\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n"), None);
        assert_eq!(one("Event: Hangup\r\nCause: 16\r\n\r\n"), None);
    }
}
