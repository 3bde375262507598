//! What a switch said, in words that are the same for every switch and feed.
//!
//! An event names the leg it is about by the switch's own id. AMI and ARI name channels alike (`Uniqueid` = ARI `channel.id`), so two feeds of one
//! switch tell the same story twice and the book takes it once. Events are owned values: they may cross a channel. Only what the book
//! understands becomes an event; everything else ends in the translator.

use serde::{Deserialize, Serialize};

use crate::{
    numbers::trunks::Source,
    private::Private,
    words::{Mono, Wall},
};

/// Over which way it was heard. At most eight feeds of one switch are told apart; see [`Feed::bit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    Ami,
    Ari,
    Esl,
    Sip,
    Hep,
}

impl Feed {
    /// This feed's place in a set of feeds.
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// As logs, metrics and addresses call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ami => "ami",
            Self::Ari => "ari",
            Self::Esl => "esl",
            Self::Sip => "sip",
            Self::Hep => "hep",
        }
    }
}

/// One thing a switch said.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The switch's own stamp (AMI `Timestamp` header, ARI `timestamp`), absent where the feed carries none.
    pub at: Option<Wall>,
    pub said: Said,
}

/// A channel, as far as this event names it. Empty `name` and absent `linked` mean that the event did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// AMI `Uniqueid`, ARI `channel.id`. Never empty.
    pub id: String,
    /// `PJSIP/1001-00000001`.
    pub name: String,
    /// AMI `Linkedid`.
    pub linked: Option<String>,
    /// SIP Call-ID of the leg (ARI `protocol_id`).
    pub sip_call_id: Option<String>,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegState {
    /// The switch made it, to call somebody.
    Down,
    /// The far end called the switch (AMI state 4, `Ring`).
    Calling,
    /// The far end is being called and rings (AMI state 5, `Ringing`).
    Ringing,
    Up,
}

/// Who a leg says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Absent for AMI's `<unknown>` and ARI's `""`.
    pub number: Option<Private<String>>,
    pub name: Option<Private<String>>,
}

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialStatus {
    Answer,
    Busy,
    NoAnswer,
    Cancel,
    Congestion,
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BridgeKind {
    /// Those in it hear each other.
    Mixing,
    /// The same, and a room that people go to (ConfBridge): who is alone in it waits for company (22.10.1, scenario n).
    Conference,
    /// A parking lot: those in it wait, each for somebody who takes them out.
    Parking,
    /// A waiting room: those in it have nothing to do with each other.
    Holding,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A channel exists. `dialled` is the extension of its first event, before any Goto.
    NewLeg {
        leg: Leg,
        state: LegState,
        caller: Caller,
        dialled: Option<Private<String>>,
        /// Where the signalling has a dialled number: each place once, in the order in which they are believed where a trunk's row says nothing. Empty
        /// where a feed shows no signalling.
        places: Vec<(Source, Private<String>)>,
        /// ARI `creationtime`; else the event's stamp counts.
        created: Option<Wall>,
    },
    State {
        leg: Leg,
        state: LegState,
    },
    /// The leg's caller id was set anew (by the dialplan, usually). The customer is never overwritten by it.
    CallerId {
        leg: Leg,
        caller: Caller,
        /// The presentation says that the number must not be shown.
        restricted: bool,
    },
    /// `by` is absent where the switch itself calls (Originate).
    DialBegin {
        by: Option<Leg>,
        to: Leg,
        /// What was dialled: `13800138000@trunk`, `PJSIP/1001`, `1001`.
        dialled: Option<Private<String>>,
        /// The number the dialling leg shows.
        presented: Option<Private<String>>,
    },
    DialEnd {
        by: Option<Leg>,
        to: Leg,
        status: DialStatus,
    },
    BridgeEnter {
        leg: Leg,
        bridge: String,
        kind: BridgeKind,
    },
    BridgeLeave {
        leg: Leg,
        bridge: String,
    },
    Hold {
        leg: Leg,
    },
    Unhold {
        leg: Leg,
    },
    QueueJoin {
        leg: Leg,
        queue: String,
    },
    QueueLeave {
        leg: Leg,
        queue: String,
    },
    /// AMI says this at a queue's timeout too, when the caller is still there.
    QueueAbandon {
        leg: Leg,
        queue: String,
    },
    /// `agent` is offered the caller `leg`.
    AgentCalled {
        leg: Leg,
        agent: Leg,
        queue: String,
    },
    AgentConnect {
        leg: Leg,
        agent: Leg,
        queue: String,
    },
    AgentRingNoAnswer {
        leg: Leg,
        agent: Leg,
        queue: String,
    },
    /// The leg runs a dialplan application (ARI `ChannelDialplan`); `Queue` with `support,,,,12` is how ARI tells a queue.
    Application {
        leg: Leg,
        name: String,
        data: String,
    },
    BlindTransfer {
        by: Leg,
        customer: Option<Leg>,
        to: Option<Private<String>>,
        success: bool,
    },
    AttendedTransfer {
        /// The transferring agent's leg in the first call, and in the consultation.
        first: Leg,
        second: Leg,
        customer: Option<Leg>,
        target: Option<Leg>,
        success: bool,
    },
    /// The far end of this leg asked for the end (BYE, CANCEL, or it refused with 4xx or 6xx). Not said when the switch itself hangs up.
    HangupRequest {
        leg: Leg,
        /// ITU-T Q.850, where the feed has it.
        cause: Option<u16>,
    },
    Hangup {
        leg: Leg,
        cause: Option<u16>,
        text: Option<String>,
    },
    /// A channel variable was set; the bytes as they came.
    Variable {
        leg: Leg,
        name: String,
        value: Private<Vec<u8>>,
    },
    /// Somebody raised an event by name, with headers of their own choice.
    UserEvent {
        leg: Leg,
        event: String,
        headers: Vec<(String, Private<Vec<u8>>)>,
    },
    /// The far end of this leg pressed a key.
    Digit {
        leg: Leg,
        digit: Private<char>,
        /// Where the dialplan stood.
        place: super::attributes::Place,
    },
    /// A recording of this leg was stopped. That one began is told by a variable.
    RecordingStop {
        leg: Leg,
    },
    /// `by` listens in on this leg's conversation, and is no party of it.
    Listen {
        leg: Leg,
        by: Leg,
    },
    /// No longer.
    Unlisten {
        leg: Leg,
        by: Leg,
    },
    /// AMI's late answer to an Originate: which number was to be called.
    Originated {
        leg: Leg,
        number: Option<Private<String>>,
        success: bool,
    },
    /// This leg is what was asked for under this request, where its own id does not say so: by dialog events it has the phone's.
    Requested {
        leg: Leg,
        request: String,
    },
    /// The switch ends this leg because it stops itself (`core restart now` tells it on ARI alone; 22.10.1, scenario p).
    Stopped {
        leg: Leg,
    },
    /// The SIP Call-ID of a leg became known; it stands in the leg.
    CallId {
        leg: Leg,
    },
    /// The party of `leg` is there once more as `also`: what is said of either is said of the party. SIP: who was referred calls anew.
    Same {
        leg: Leg,
        also: Leg,
    },
    /// Part of what this leg did until now was not heard; `answer`: its answer is known, and not when.
    Unseen {
        leg: Leg,
        answer: bool,
    },
    /// Everything that exists now; what the book knows of this switch and is not in it is gone.
    Snapshot(Snapshot),
    /// A leg that was there before we looked, or that we see again after a doubt. Nothing is said of any other.
    Found(SnapshotLeg),
    /// Part of this leg's story was not seen.
    Doubt {
        leg: Leg,
    },
    /// The leg is not there any more, and nobody saw its end.
    Gone {
        leg: Leg,
    },
    /// A queue has a member more: the switch's own agent login, where the membership is dynamic.
    LoggedOn(Member),
    /// And one less. An empty name: whoever is there.
    LoggedOff(Member),
    /// A member is paused or is not; without a queue: in all of its queues.
    Stands(Member),
    /// All members of queues there are now.
    Members(Vec<Member>),
    /// Nothing more comes over this feed.
    LinkLost {
        feed: Feed,
    },
    /// Events of this feed were dropped (a full channel, a switch that cut us off); a snapshot follows.
    Gap {
        feed: Feed,
    },
}

impl Said {
    /// The leg that this is about; of two the one to which it happens.
    #[must_use]
    pub fn leg(&self) -> Option<&Leg> {
        match self {
            Self::NewLeg { leg, .. }
            | Self::State { leg, .. }
            | Self::CallerId { leg, .. }
            | Self::DialBegin { to: leg, .. }
            | Self::DialEnd { to: leg, .. }
            | Self::BridgeEnter { leg, .. }
            | Self::BridgeLeave { leg, .. }
            | Self::Hold { leg }
            | Self::Unhold { leg }
            | Self::QueueJoin { leg, .. }
            | Self::QueueLeave { leg, .. }
            | Self::QueueAbandon { leg, .. }
            | Self::AgentCalled { leg, .. }
            | Self::AgentConnect { leg, .. }
            | Self::AgentRingNoAnswer { leg, .. }
            | Self::Application { leg, .. }
            | Self::BlindTransfer { by: leg, .. }
            | Self::AttendedTransfer { first: leg, .. }
            | Self::HangupRequest { leg, .. }
            | Self::Hangup { leg, .. }
            | Self::Variable { leg, .. }
            | Self::UserEvent { leg, .. }
            | Self::Digit { leg, .. }
            | Self::RecordingStop { leg }
            | Self::Listen { leg, .. }
            | Self::Unlisten { leg, .. }
            | Self::Originated { leg, .. }
            | Self::Requested { leg, .. }
            | Self::Stopped { leg }
            | Self::Found(SnapshotLeg { leg, .. })
            | Self::Doubt { leg }
            | Self::CallId { leg }
            | Self::Same { leg, .. }
            | Self::Unseen { leg, .. }
            | Self::Gone { leg } => Some(leg),
            Self::Snapshot(_)
            | Self::LoggedOn(_)
            | Self::LoggedOff(_)
            | Self::Stands(_)
            | Self::Members(_)
            | Self::LinkLost { .. }
            | Self::Gap { .. } => None,
        }
    }
}

/// A member of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As the switch calls the agent; an id or a person's name.
    pub name: String,
    /// `PJSIP/1001`, or an extension.
    pub device: String,
    /// What the switch wants to be told to mean this member: `PJSIP/1001`, `Local/1001@agents/n`, `2001@default`.
    pub interface: String,
    pub queue: String,
    /// Came by a login and can go again. Others stand in the switch's settings; nobody logged them in.
    pub dynamic: bool,
    /// The switch keeps a reason with a pause, by which it is known whose pause it is.
    pub reasons: bool,
    pub standing: Standing,
}

/// Whether calls of a queue come to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Ready,
    Paused(Pause),
    /// In the queue's list, and not there (FreeSWITCH, `Logged Out`).
    LoggedOff,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// As the switch has it; empty: none was given.
    pub reason: String,
    /// As the switch says, where it says it.
    pub since: Option<Wall>,
}

impl Pause {
    /// Characters of a reason that are kept. It is text that anybody at the switch may write.
    pub const LONGEST: usize = 64;

    #[must_use]
    pub fn new(reason: &str, since: Option<Wall>) -> Self {
        let reason = reason.chars().filter(|c| !c.is_control()).take(Self::LONGEST).collect();
        Self { reason, since }
    }
}

/// The answer to "what is there now", merged from the lists of one feed (AMI `CoreShowChannels`, `Status`, `BridgeList`, `QueueStatus`;
/// ARI `/channels`, `/bridges`).
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub feed: Feed,
    pub legs: Vec<SnapshotLeg>,
    /// Who is in which bridge. Legs of one mixing bridge are one call.
    pub bridges: Vec<SnapshotBridge>,
    /// When the first list was asked for: a leg the book heard of since then is not gone for not being listed. Absent: none is.
    pub asked: Option<Mono>,
    /// Callers that wait now.
    pub waiting: Vec<SnapshotWaiting>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotLeg {
    pub leg: Leg,
    pub state: LegState,
    /// From ARI `creationtime`, or AMI's `Duration` counted back.
    pub created: Option<Wall>,
    pub caller: Caller,
    /// The connected line, where the list has it.
    pub connected: Caller,
    /// The number dialled at first (AMI `DNID` in `Status`), else the present extension.
    pub dialled: Option<Private<String>>,
    /// `Queue`, `Dial`, `AppQueue`, `AppDial`.
    pub application: String,
    /// `support,,,,120`.
    pub data: String,
    /// Channel variables that were asked for, with their values.
    pub variables: Vec<(String, Private<Vec<u8>>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotBridge {
    pub id: String,
    pub kind: BridgeKind,
    pub legs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWaiting {
    /// The caller's leg id.
    pub leg: String,
    pub queue: String,
    pub wait_ms: Option<u64>,
}
