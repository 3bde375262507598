//! What an agent asks of a line. Joined to the switches only in `daemon/wiring.rs`.

use crate::{
    private::Private,
    words::{AgentId, CallId, SwitchId, TenantId},
};

use super::record::Reference;

/// Names one request of one agent to a switch; for a dial it is also the channel id the switch is told to use
/// (`lc-` and a ULID), so that the leg that comes is known to be the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub String);

impl RequestId {
    /// How the name of a request begins whose leg only listens in: it is nobody's call.
    pub const EAR: &str = "lc-ear-";
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Dial(Dial),
    Act(Act),
    Attend(Attendance),
}

impl Command {
    /// Under which its one answer goes.
    #[must_use]
    pub const fn request(&self) -> &RequestId {
        match self {
            Self::Dial(dial) => &dial.request,
            Self::Act(act) => &act.request,
            Self::Attend(attendance) => &attendance.request,
        }
    }
}

/// Something done to an agent's place in one queue (ECMA-269: Set Agent State, for an ACD group).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    pub request: RequestId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    pub agent: AgentId,
    pub queue: String,
    /// The member as the switch names it; to log on: the device.
    pub interface: String,
    pub attend: Attend,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attend {
    /// The device becomes a member of the queue, under this name.
    LogOn {
        name: String,
    },
    LogOff,
    Pause(Because),
    Resume,
}

/// Why an agent is paused, as the switch keeps it and its reports show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Because(String);

impl Because {
    /// Linecard's own, for the time after a call: what it set, and nothing else, it takes away by itself.
    pub const AFTER_CALL: &str = "linecard-after-call";
    /// Of a member that cannot leave its queue.
    pub const LOGGED_OFF: &str = "linecard-logged-off";

    /// 1 to 40 characters, none of them a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=40).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something done to a call that is up. Who asks, and whether they may, was looked at before; the switch's part is to do it or to say why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub request: RequestId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    /// Who asks: the agent whose call it is, a colleague who picks it up, or a supervisor.
    pub agent: AgentId,
    pub call: CallId,
    /// The phone of who asks, as the switch names it (`PJSIP/1001`): it rings where the verb makes a new leg (pick up, listen, take).
    pub device: String,
    /// The agent's own leg. For a verb on somebody else's call: that agent's leg; for one that is parked: the leg that waits.
    pub own: Channel,
    /// The leg it talks with, the customer's where there is one.
    pub with: Option<Channel>,
    pub verb: Verb,
}

/// A leg as the switch knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub id: String,
    /// `PJSIP/1001-00000001`.
    pub name: String,
}

/// What is done to a call. Names are those of ECMA-269 (CSTA III) in plain words: Answer, Clear Connection, Hold, Retrieve, Generate Digits, Single Step
/// Transfer, Consultation, Transfer, Reconnect, Conference, Park, Pickup (Group/Directed), Intrude and Join (listen, whisper, barge).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Answer,
    HangUp,
    Hold,
    Retrieve,
    Mute,
    Unmute,
    Digits(Digits),
    /// Blind.
    Transfer(Target),
    /// The customer waits while a colleague is asked.
    Consult(Target),
    /// The customer and who was asked go together; the agent goes.
    Complete,
    /// Back to the customer; who was asked goes.
    Cancel,
    /// All three.
    Conference,
    Park,
    /// A call that rings at a colleague's phone, or is parked.
    Pickup,
    RecordStart,
    RecordStop,
    RecordPause,
    RecordResume,
    /// To hear a call without being heard.
    Listen,
    /// To be heard by the agent alone.
    Whisper,
    /// To be heard by both.
    Barge,
    /// The customer goes over to who asks; the agent goes.
    Take,
}

impl Verb {
    #[must_use]
    pub const fn deed(&self) -> Deed {
        match self {
            Self::Answer => Deed::Answer,
            Self::HangUp => Deed::HangUp,
            Self::Hold => Deed::Hold,
            Self::Retrieve => Deed::Retrieve,
            Self::Mute => Deed::Mute,
            Self::Unmute => Deed::Unmute,
            Self::Digits(_) => Deed::Digits,
            Self::Transfer(_) => Deed::Transfer,
            Self::Consult(_) => Deed::Consult,
            Self::Complete => Deed::Complete,
            Self::Cancel => Deed::Cancel,
            Self::Conference => Deed::Conference,
            Self::Park => Deed::Park,
            Self::Pickup => Deed::Pickup,
            Self::RecordStart => Deed::RecordStart,
            Self::RecordStop => Deed::RecordStop,
            Self::RecordPause => Deed::RecordPause,
            Self::RecordResume => Deed::RecordResume,
            Self::Listen => Deed::Listen,
            Self::Whisper => Deed::Whisper,
            Self::Barge => Deed::Barge,
            Self::Take => Deed::Take,
        }
    }
}

/// A verb without what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deed {
    Dial,
    Answer,
    HangUp,
    Hold,
    Retrieve,
    Mute,
    Unmute,
    Digits,
    Transfer,
    Consult,
    Complete,
    Cancel,
    Conference,
    Park,
    Pickup,
    RecordStart,
    RecordStop,
    RecordPause,
    RecordResume,
    Listen,
    Whisper,
    Barge,
    Take,
    AgentState,
    QueueLogin,
    QueueLogout,
}

impl Deed {
    pub const ALL: [Self; 26] = [
        Self::Dial,
        Self::Answer,
        Self::HangUp,
        Self::Hold,
        Self::Retrieve,
        Self::Mute,
        Self::Unmute,
        Self::Digits,
        Self::Transfer,
        Self::Consult,
        Self::Complete,
        Self::Cancel,
        Self::Conference,
        Self::Park,
        Self::Pickup,
        Self::RecordStart,
        Self::RecordStop,
        Self::RecordPause,
        Self::RecordResume,
        Self::Listen,
        Self::Whisper,
        Self::Barge,
        Self::Take,
        Self::AgentState,
        Self::QueueLogin,
        Self::QueueLogout,
    ];

    /// The type of the request, also its word in a pop's `actions` and in the audit.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Answer => "call.answer",
            Self::HangUp => "call.hangup",
            Self::Hold => "call.hold",
            Self::Retrieve => "call.retrieve",
            Self::Mute => "call.mute",
            Self::Unmute => "call.unmute",
            Self::Digits => "call.digits",
            Self::Transfer => "call.transfer",
            Self::Consult => "call.consult",
            Self::Complete => "call.complete",
            Self::Cancel => "call.cancel",
            Self::Conference => "call.conference",
            Self::Park => "call.park",
            Self::Pickup => "call.pickup",
            Self::RecordStart => "call.record.start",
            Self::RecordStop => "call.record.stop",
            Self::RecordPause => "call.record.pause",
            Self::RecordResume => "call.record.resume",
            Self::Listen => "call.listen",
            Self::Whisper => "call.whisper",
            Self::Barge => "call.barge",
            Self::Take => "call.take",
            Self::AgentState => "agent.state",
            Self::QueueLogin => "queue.login",
            Self::QueueLogout => "queue.logout",
        }
    }

    /// For supervisors, on calls of agents of their teams.
    #[must_use]
    pub const fn is_supervisors(self) -> bool {
        matches!(self, Self::Listen | Self::Whisper | Self::Barge | Self::Take)
    }
}

/// Where a call is sent: an extension or a number, as it is dialled. It is text that goes to a switch, so it can be made of digits, `*`, `#` and a leading plus
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Private<String>);

impl Target {
    /// What people put between digits is left out; anything else that is no digit, a control character above all, makes it none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let bare: String = text.trim_matches(' ').chars().filter(|c| !" -().".contains(*c)).collect();
        let digits = bare.strip_prefix('+').unwrap_or(&bare);
        let fits = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b));
        fits.then(|| Self(bare.into()))
    }

    /// For the switch, and for nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Keys to be pressed in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits(Private<String>);

impl Digits {
    /// At most so many: a switch plays them at ten a second or slower, and nothing else meanwhile.
    pub const MOST: usize = 24;

    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let key = |b: u8| b.is_ascii_digit() || b"*#ABCD".contains(&b);
        ((1..=Self::MOST).contains(&text.len()) && text.bytes().all(key)).then(|| Self(text.to_owned().into()))
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What exists now that something was done, where there is something to name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The leg that the switch began.
    pub leg: Option<String>,
    /// Where a call was parked: what to dial to fetch it.
    pub space: Option<String>,
    /// The recording that began or ended, as the switch names its file.
    pub recording: Option<Private<String>>,
}

/// What an act came to.
pub type Outcome = Result<Made, Failure>;

/// Click-to-dial: the agent's phone first, then the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub request: RequestId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    pub agent: AgentId,
    /// The device that rings first, as the switch names it (`PJSIP/1001`).
    pub device: String,
    /// As it was typed, stored or clicked; then, as the switch is told it, the digits that its `dial.out` made of it.
    pub number: Private<String>,
    /// The record or ticket it was started from.
    pub reference: Option<Reference>,
}

/// Why a command could not be done. The words an agent's `failed` frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    Busy,
    NoAnswer,
    NotRegistered,
    NotPermitted,
    AgentInCall,
    UnknownTarget,
    /// Withheld, a source of messages, or digits that are no number: nobody can call it.
    NotDialable,
    SwitchUnavailable,
    Timeout,
    /// It stands in the list of numbers that are not called.
    BlockedNumber,
    /// Outside the hours in which people are called.
    ForbiddenHours,
    /// The number was dialled a moment ago.
    CoolDown,
    /// More calls begin at this switch now than it may be given.
    TooManyCalls,
    /// This switch, or the way it is attached, cannot do it.
    UnavailableHere,
    /// It has ended, or the agent is no longer in it.
    CallOver,
    /// Nothing records it.
    NotRecording,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_what_can_be_dialled_and_nothing_else() {
        for (text, bare) in [
            ("1002", "1002"),
            (" 138-0013 8000 ", "13800138000"),
            ("+86 (21) 6180.8888", "+862161808888"),
            ("*72#", "*72#"),
        ] {
            assert_eq!(Target::new(text).unwrap().expose(), bare);
        }
        let long = "1".repeat(33);
        for junk in [
            "",
            "+",
            " ",
            "-",
            "1002\r\nAction: Command",
            "1002\n",
            "1002\0",
            "\t1002",
            "1002,1",
            "1002@agents",
            "agents",
            "1+2",
            "${EXTEN}",
            "１００２",
            "1002;transport=tcp",
            "<1002>",
            "1002&1003",
            "1002|",
            long.as_str(),
        ] {
            assert_eq!(Target::new(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn digits_are_keys_of_a_phone() {
        assert_eq!(Digits::new("12*#AD").unwrap().expose(), "12*#AD");
        for junk in ["", "12 3", "e", "1\r\n", "1\0", "w1", &"1".repeat(25)] {
            assert_eq!(Digits::new(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(Because::new("午餐 lunch").unwrap().as_str(), "午餐 lunch");
        for junk in ["", "lunch\r\nAction: Command", "a\0", "a\u{85}b", &"x".repeat(41)] {
            assert_eq!(Because::new(junk), None, "{junk:?}");
        }
        for own in [Because::AFTER_CALL, Because::LOGGED_OFF] {
            assert!(Because::new(own).is_some());
        }
    }

    #[test]
    fn every_deed_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> = Deed::ALL.iter().map(|deed| deed.word()).collect();
        assert_eq!(words.len(), Deed::ALL.len());
    }
}
