//! ARI events to the book's events. ARI has no queue events and no `linkedid`: queues show as the application `Queue` on a channel, legs are tied
//! by `Dial` and by bridges (Asterisk 22.10.1).

use crate::{
    calls::{
        attributes::Place,
        event::{BridgeKind, Caller, Event, Leg, LegState, Said},
    },
    private::Private,
    words::Wall,
};

use serde_json::{Value, value::RawValue};

use super::{
    ari::{self, Channel, Happening, ReadError},
    translate_ami::{dial_status, refusing},
};

/// The event a text is; `None` for kinds the book does not understand.
///
/// # Errors
/// The text is no ARI event.
pub fn translate(text: &str) -> Result<Option<Event>, ReadError> {
    let kind = ari::kind(text)?;
    if !KINDS.contains(&&*kind.kind) {
        return Ok(None);
    }
    let h = ari::happening(text)?;
    Ok(said(&kind.kind, &h).map(|said| Event { at: stamp(&h.timestamp), said }))
}

/// The kinds that are understood; others (`ChannelVarset` is half of all unless filtered) are not read further.
pub const KINDS: [&str; 16] = [
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
    "ChannelVarset",
    "ChannelUserevent",
    "ChannelDtmfReceived",
    "Dial",
    "BridgeBlindTransfer",
    "BridgeAttendedTransfer",
];

fn said(kind: &str, h: &Happening<'_>) -> Option<Said> {
    let channel = h.channel.as_ref();
    Some(match kind {
        "ChannelCreated" => {
            let c = channel?;
            Said::NewLeg {
                leg: leg(c)?,
                state: state(&c.state).unwrap_or(LegState::Down),
                caller: caller(c),
                dialled: known(&c.dialplan.exten).filter(|e| e.expose() != "s"),
                places: Vec::new(),
                created: stamp(&c.creationtime),
            }
        }
        "ChannelStateChange" => Said::State { leg: leg(channel?)?, state: state(&channel?.state)? },
        "ChannelCallerId" => Said::CallerId {
            leg: leg(channel?)?,
            caller: caller(channel?),
            restricted: h.caller_presentation & 0x60 == 0x20,
        },
        "ChannelDialplan" => Said::Application {
            leg: leg(channel?)?,
            name: h.dialplan_app.to_string(),
            data: h.dialplan_app_data.to_string(),
        },
        "ChannelEnteredBridge" => Said::BridgeEnter {
            leg: leg(channel?)?,
            bridge: filled(&h.bridge.as_ref()?.id)?,
            kind: bridge_kind(h.bridge.as_ref()?),
        },
        "ChannelLeftBridge" => Said::BridgeLeave { leg: leg(channel?)?, bridge: filled(&h.bridge.as_ref()?.id)? },
        "ChannelHold" => Said::Hold { leg: leg(channel?)? },
        "ChannelUnhold" => Said::Unhold { leg: leg(channel?)? },
        // `soft` is the switch's own wish; the far end's comes without.
        // AST_SOFTHANGUP_SHUTDOWN (channel.h); without it the end of every call at a restart would look like an application's.
        "ChannelHangupRequest" if h.soft && h.cause == Some(4) => Said::Stopped { leg: leg(channel?)? },
        "ChannelHangupRequest" if h.soft || refusing(channel.map(|c| c.state.as_bytes()), h.cause, h.tech_cause) => {
            return None;
        }
        "ChannelHangupRequest" => Said::HangupRequest { leg: leg(channel?)?, cause: h.cause },
        "ChannelDestroyed" => Said::Hangup { leg: leg(channel?)?, cause: h.cause, text: filled(&h.cause_txt) },
        // A variable of the whole switch has no channel.
        "ChannelVarset" => {
            Said::Variable { leg: leg(channel?)?, name: filled(&h.variable)?, value: raw(filled(&h.value)?) }
        }
        "ChannelUserevent" => {
            Said::UserEvent { leg: leg(channel?)?, event: filled(&h.eventname)?, headers: headers(h.userevent?)? }
        }
        "ChannelDtmfReceived" => Said::Digit {
            leg: leg(channel?)?,
            digit: Private::new(h.digit.chars().next()?),
            place: Place {
                context: filled(&channel?.dialplan.context),
                exten: filled(&channel?.dialplan.exten),
                priority: channel?.dialplan.priority,
            },
        },
        "Dial" => {
            let to = leg(h.peer.as_ref()?)?;
            let by = h.caller.as_ref().and_then(leg);
            match &*h.dialstatus {
                "" => Said::DialBegin {
                    presented: by.as_ref().and(h.caller.as_ref()).and_then(|c| known(&c.caller.number)),
                    dialled: known(&h.dialstring),
                    by,
                    to,
                },
                "RINGING" => Said::State { leg: to, state: LegState::Ringing },
                status => Said::DialEnd { by, to, status: dial_status(status)? },
            }
        }
        "BridgeBlindTransfer" => Said::BlindTransfer {
            by: leg(channel?)?,
            customer: h.transferee.as_ref().and_then(leg),
            to: known(&h.exten),
            success: &*h.result == "Success",
        },
        // All three talk on, as in AMI.
        "BridgeAttendedTransfer" if &*h.destination_type == "threeway" => return None,
        "BridgeAttendedTransfer" => Said::AttendedTransfer {
            first: leg(h.transferer_first_leg.as_ref()?)?,
            second: leg(h.transferer_second_leg.as_ref()?)?,
            customer: h.transferee.as_ref().and_then(leg),
            target: h.transfer_target.as_ref().and_then(leg),
            success: &*h.result == "Success",
        },
        _ => return None,
    })
}

/// The leg that a channel of ARI is.
#[must_use]
pub fn leg(c: &Channel<'_>) -> Option<Leg> {
    Some(Leg { id: filled(&c.id)?, name: c.name.to_string(), linked: None, sip_call_id: filled(&c.protocol_id) })
}

#[must_use]
pub fn caller(c: &Channel<'_>) -> Caller {
    Caller { number: known(&c.caller.number), name: known(&c.caller.name) }
}

#[must_use]
pub fn state(text: &str) -> Option<LegState> {
    match text {
        "Down" | "Rsrvd" => Some(LegState::Down),
        "Ring" => Some(LegState::Calling),
        "Ringing" => Some(LegState::Ringing),
        "Up" => Some(LegState::Up),
        _ => None,
    }
}

#[must_use]
pub fn bridge_kind(bridge: &ari::Bridge<'_>) -> BridgeKind {
    match (&*bridge.bridge_type, &*bridge.creator) {
        (_, "Parking") => BridgeKind::Parking,
        ("holding", _) => BridgeKind::Holding,
        (_, "ConfBridge") => BridgeKind::Conference,
        _ => BridgeKind::Mixing,
    }
}

/// `2026-11-22T11:44:06.243+0000`: ARI's stamps, milliseconds, any offset.
#[must_use]
pub fn stamp(text: &str) -> Option<Wall> {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<i64>().ok());
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let millis = number(20..23)?;
    let (sign, oh, om) = match text.get(23..24)? {
        "Z" => (0, 0, 0),
        "+" => (1, number(24..26)?, number(26..28)?),
        "-" => (-1, number(24..26)?, number(26..28)?),
        _ => return None,
    };
    // Days since 1970 by the civil calendar (years begin in March, so that the leap day is the last).
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - sign * (oh * 3600 + om * 60);
    Some(Wall(seconds * 1000 + millis))
}

/// A header told twice comes as a list of both.
fn headers(event: &RawValue) -> Option<Vec<(String, Private<Vec<u8>>)>> {
    let event: std::collections::BTreeMap<String, Value> = serde_json::from_str(event.get()).ok()?;
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Array(list) => list.into_iter().next().and_then(|v| v.as_str().map(str::to_owned)),
        _ => None,
    };
    Some(
        event
            .into_iter()
            .filter_map(|(name, value)| Some((name, raw(text(value).filter(|t| !t.is_empty())?))))
            .collect(),
    )
}

fn raw(text: String) -> Private<Vec<u8>> {
    Private::new(text.into_bytes())
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn known(text: &str) -> Option<Private<String>> {
    filled(text).map(Private::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_milliseconds_since_1970() {
        assert_eq!(stamp("2026-11-22T11:44:06.243+0000"), Some(Wall(1_795_347_846_243)));
        assert_eq!(stamp("2026-11-22T19:44:06.243+0800"), Some(Wall(1_795_347_846_243)));
        assert_eq!(stamp("1970-01-01T00:00:00.000Z"), Some(Wall(0)));
        assert_eq!(stamp("2024-02-29T00:00:00.000Z"), Some(Wall(1_709_164_800_000)));
        for junk in ["", "2026", "２０２６-11-22T11:44:06.243+0000", "2026-11-22T11:44:06.243?"] {
            assert_eq!(stamp(junk), None, "{junk}");
        }
    }

    #[test]
    fn the_switch_s_own_wish_to_hang_up_is_no_request_of_the_far_end() {
        let text = |soft: &str| {
            format!(
                "{{\"type\":\"ChannelHangupRequest\",\"timestamp\":\"\",\"cause\":16{soft},\"channel\":{{\"id\":\"1.0\"}}}}"
            )
        };
        assert!(translate(&text(",\"soft\":true")).unwrap().is_none());
        let refused = "{\"type\":\"ChannelHangupRequest\",\"cause\":17,\"tech_cause\":486,\"channel\":{\"id\":\"1.0\",\"state\":\"Ring\"}}";
        assert!(translate(refused).unwrap().is_none(), "told before the channel's state became Busy");
        let event = translate(&text("")).unwrap().unwrap();
        assert!(matches!(event, Event { at: None, said: Said::HangupRequest { cause: Some(16), .. } }));
    }
}
