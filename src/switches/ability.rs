//! Which verb works at which kind of switch, and why not: the one table from which requests are refused before anything is sent, pages offer their
//! buttons, and the table in `docs/control.md` is made.

use std::fmt::Write as _;

use crate::calls::{
    ability::{Abilities, Ability},
    command::Deed,
};

use super::Settings;
use Ability::{Cannot, Needs};

/// The way by which commands go to a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Asterisk's manager interface.
    Ami,
    /// Asterisk's REST interface.
    Ari,
    /// FreeSWITCH's event socket.
    Esl,
    /// Dialog events and mirrored signalling.
    Sip,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Ami, Self::Ari, Self::Esl, Self::Sip];

    const fn title(self) -> &'static str {
        match self {
            Self::Ami => "Asterisk, AMI",
            Self::Ari => "Asterisk, ARI alone",
            Self::Esl => "FreeSWITCH",
            Self::Sip => "SIP and mirrored signalling",
        }
    }
}

/// What is known to work, by stories on the real switch (`tests/real`), and what is known not to.
#[must_use]
pub const fn ability(way: Way, deed: Deed) -> Ability {
    match way {
        Way::Ami => ami(deed),
        Way::Ari => ari(deed),
        Way::Esl => esl(deed),
        Way::Sip => match deed {
            Deed::Dial => Needs(REFER),
            Deed::AgentState => Needs(KEPT),
            _ => Cannot(WATCHES),
        },
    }
}

/// 22.10.1: in a queue without the option the keys go nowhere, and nothing says so.
const FEATURE: &str = "Dial or Queue must let the agent transfer (option t, or T where the agent dialled), and features.conf have atxfer and atxferabort";
const THREE: &str = "as for a consultation, and features.conf must have atxferthreeway";
const OBEY: &str = "\"control.phones_obey\": PJSIP phones that take NOTIFY with the events talk and hold, and res_pjsip_notify; others have their own keys, which are seen";
const PARKING: &str = "res_parking for parking; a phone that rings for the agent's call is answered like any other";
const MIXMONITOR: &str = "app_mixmonitor, and \"record\" under \"control\" in the switch's file";
const CHANSPY: &str = "app_chanspy; the supervisor's own phone rings first";
const WATCHES: &str = "Linecard only watches there";
/// 22.10.1: 409, "Channel not in Stasis application".
const STASIS: &str = "ARI does this only to channels that the dialplan put into Stasis; use AMI";

/// 22.10.1 has no resource for queue members; what the dialplan's ARI applications queue themselves is theirs.
const QUEUES: &str = "ARI knows no members of queues; Linecard keeps the agent's state itself";
const REFER: &str =
    "the phone must take a REFER outside of a call (RFC 3515), the switch must pass it on, and its file have \"dial\"";
const KEPT: &str = "the switch keeps no state; Linecard does";
/// Recorded (agent-status).
const CALLCENTER: &str = "mod_callcenter: the state is one for all queues of the agent, and has no reason";
const TIERS: &str = "mod_callcenter tells nobody of a change of tiers; who logs off leaves all queues (agent.state)";

const fn ami(deed: Deed) -> Ability {
    match deed {
        Deed::Answer | Deed::Hold | Deed::Retrieve => Needs(OBEY),
        Deed::Consult | Deed::Complete | Deed::Cancel => Needs(FEATURE),
        Deed::Conference => Needs(THREE),
        Deed::Park | Deed::Pickup => Needs(PARKING),
        Deed::RecordStart | Deed::RecordStop | Deed::RecordPause | Deed::RecordResume => Needs(MIXMONITOR),
        Deed::Listen | Deed::Whisper | Deed::Barge => Needs(CHANSPY),
        _ => Ability::Works,
    }
}

const fn ari(deed: Deed) -> Ability {
    match deed {
        Deed::Dial | Deed::HangUp => Ability::Works,
        Deed::AgentState => Needs(QUEUES),
        Deed::QueueLogin | Deed::QueueLogout => Cannot(QUEUES),
        _ => Cannot(STASIS),
    }
}

/// What was recorded works; the rest is by FreeSWITCH's own documentation, and said so.
const UNTRIED: &str = "by FreeSWITCH's documentation; not tried on a real switch here";
const AT_THE_PHONE: &str = "FreeSWITCH does this at the agent's phone (REFER, hold and call); it is heard and shown";

const fn esl(deed: Deed) -> Ability {
    match deed {
        // Recorded: click-to-dial, hold-unhold.
        Deed::Dial | Deed::Hold | Deed::Retrieve => Ability::Works,
        Deed::HangUp
        | Deed::Mute
        | Deed::Unmute
        | Deed::Digits
        | Deed::Transfer
        | Deed::Pickup
        | Deed::Listen
        | Deed::Take => Needs(UNTRIED),
        Deed::RecordStart | Deed::RecordStop | Deed::RecordPause | Deed::RecordResume => Needs(UNTRIED),
        Deed::AgentState => Needs(CALLCENTER),
        Deed::QueueLogin | Deed::QueueLogout => Cannot(TIERS),
        Deed::Answer => Cannot("only the phone itself answers"),
        Deed::Consult | Deed::Complete | Deed::Cancel | Deed::Conference | Deed::Park => Cannot(AT_THE_PHONE),
        Deed::Whisper | Deed::Barge => {
            Cannot("while listening, press 2 to whisper to the agent and 3 to speak to both")
        }
    }
}

impl Settings {
    /// What can be done to this switch's calls, by its kind and by what its file sets up.
    #[must_use]
    pub fn abilities(&self) -> Abilities {
        Abilities::of(|deed| match self {
            Self::Asterisk(s) => {
                let way = if s.by_ari() { Way::Ari } else { Way::Ami };
                s.lacks(deed).map_or_else(|| ability(way, deed), Cannot)
            }
            Self::FreeSwitch(s) => s.lacks(deed).map_or_else(|| ability(Way::Esl, deed), Cannot),
            Self::Sip(s) => s.lacks(deed).map_or_else(|| ability(Way::Sip, deed), Cannot),
        })
    }
}

/// The table of `docs/control.md`: a row a verb, a column a way, and below it the reasons.
#[must_use]
pub fn table() -> String {
    let mut reasons: Vec<&str> = Vec::new();
    let mut text = String::from("| verb |");
    for way in Way::ALL {
        let _ = write!(text, " {} |", way.title());
    }
    text.push_str("\n|---|---|---|---|---|\n");
    for deed in Deed::ALL {
        let _ = write!(text, "| `{}` |", deed.word());
        for way in Way::ALL {
            let (word, reason) = match ability(way, deed) {
                Ability::Works => ("works", None),
                Needs(what) => ("works", Some(what)),
                Cannot(why) => ("-", Some(why)),
            };
            let mark = reason.map(|reason| {
                let at = reasons.iter().position(|known| *known == reason).unwrap_or_else(|| {
                    reasons.push(reason);
                    reasons.len() - 1
                });
                format!(" ({})", at + 1)
            });
            let _ = write!(text, " {word}{} |", mark.unwrap_or_default());
        }
        text.push('\n');
    }
    text.push('\n');
    for (at, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "({}) {reason}.  ", at + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both languages have the same table; reasons are English, as the failures are in which they are told. After a change:
    /// `UPDATE_DOCS=1 cargo test the_table_in_the_docs`.
    #[test]
    fn the_table_in_the_docs_is_made_from_this() {
        for name in ["control.md", "control.zh-CN.md"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            let (before, rest) = text.split_once("in_the_docs -->\n").unwrap();
            let (_, after) = rest.split_once("<!-- /made -->").unwrap();
            let whole = format!("{before}in_the_docs -->\n{}<!-- /made -->{after}", table());
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, &whole).unwrap();
            }
            assert!(text == whole, "docs/{name} is to have this table:\n{}", table());
        }
    }
}
