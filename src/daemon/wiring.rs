//! Every channel of the process. Beside each: who fills it, who drains it, and what happens when it is full. This page is the best picture
//! of what runs beside what.

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};

use super::{
    core::{Asking, Caller, Found, Search},
    house::Reload,
};
use crate::{
    agents::{Heard, Token},
    calls::{self, Command, missed::Row, seats::Places},
    connectors,
    customers::Answered,
    flows, recordings,
    records::{self, live::Answer as Kept},
    store::{PositionRow, RecordRow},
    switches::Said,
    words::SwitchId,
};
use std::sync::Arc;

/// What the core is told from outside the flow of calls.
pub enum Control {
    Reload {
        book: Box<calls::book::Settings>,
        rules: Arc<records::Rules>,
        offers: Arc<records::Offers>,
        guarded: Arc<calls::guard::Guarded>,
    },
    /// The day until this start, as it was read for boards.
    Today(Box<crate::kpis::Today>),
    /// Who called in the days before this start.
    Callers(Box<crate::kpis::Callers>),
    System {
        id: String,
        up: bool,
        reason: Option<String>,
    },
    /// Tell the story so far of a call that is up.
    Trace(crate::words::CallId, tokio::sync::oneshot::Sender<Option<crate::watch::Trace>>),
    /// What is to be asked of this caller, and of which line; `None`: the tenant has no such switch.
    Hint(Box<Caller>, tokio::sync::oneshot::Sender<Option<Asking>>),
    /// Where an agent sits at a switch.
    Where(crate::words::TenantId, crate::words::AgentId, SwitchId, tokio::sync::oneshot::Sender<Option<String>>),
    /// How these agents stand.
    People(Vec<crate::words::AgentId>, tokio::sync::oneshot::Sender<crate::agents::People>),
    /// Queues of a tenant (absent: of all), or one of them with the places in it.
    Queues(Option<crate::words::TenantId>, Option<String>, tokio::sync::oneshot::Sender<Vec<crate::agents::QueueNow>>),
    /// Which of these calls in a switch's own records nobody knows; `None` while nobody watches the switch.
    Unknown {
        switch: SwitchId,
        calls: Vec<Vec<Row>>,
        answer: tokio::sync::oneshot::Sender<Option<Vec<Vec<Row>>>>,
    },
    /// Write these down, and up to where the switch's own records were read, where that is news.
    Missed {
        switch: SwitchId,
        calls: Vec<Vec<Row>>,
        position: Option<PositionRow>,
    },
    /// Write down what became of a call's recordings, unless the call is in hand.
    Amend(Box<RecordRow>, tokio::sync::oneshot::Sender<bool>),
    /// Say whether you are there: the answer feeds the watchdog.
    Beat(tokio::sync::oneshot::Sender<Vec<String>>),
    /// Take nothing more from switches and agents, hand over what is in hand, and end.
    Stop,
}

/// Batches of events. Filled by each switch link after one read of its socket, drained by the core. A batch is what up to 64 KiB of
/// bytes said; 256 of them are a second of the heaviest load measured (3,500 events/s in batches of about 15). Full: the link does not
/// wait; it drops, counts, and takes a snapshot when there is room.
pub const SAID: usize = 256;
/// What screens did. Filled by the shards, drained by the core. Full: the shard closes the screen with 1013, and it comes back.
pub const HEARD: usize = 8_192;
/// Cards that became richer. Filled by lookups on the back runtime, drained by the core. Full: the lookup's task waits; calls do not.
pub const CARDS: usize = 4_096;
/// Batches to be made durable. Filled by the core, drained by the clerk. Full: they wait in the core, in order.
pub const OUTPUTS: usize = 4_096;
/// What became durable. Filled by the clerk, drained by the core. Full: the clerk waits, and batches gather into larger commits.
pub const KEPT: usize = 4_096;
/// Dials and verbs on calls. Filled by the core, drained by the switch's link. Full: the agent is told that the switch is unavailable.
pub const COMMANDS: usize = 64;
/// Searches for customers and tickets, and their answers, between the core and a task on the back runtime. Full: the agent is told so.
pub const SEARCHES: usize = 256;
/// Agents who want to hear a call. Filled by the core, drained by the keeper of recordings. Full: the agent is told to try again.
pub const RECORDINGS: usize = 256;
/// Their links. Filled by the keeper, drained by the core. Full: the keeper's task waits.
pub const LINKED: usize = 256;
/// Who wants the settings read again and waits for what comes of it. Filled by the console, drained by the daemon's main task. Full: the next one waits.
pub const RELOADS: usize = 1;
/// Players at the agents' listener. Filled by the shards, drained by the keeper. Full: the player is told to come back.
pub const FETCHES: usize = 256;
/// Pieces of 64 KiB of one recording for one player. Filled by the keeper's task, drained by the player's socket. Full: the file is not read on. 64
/// players hold 8 MiB.
pub const PIECES: usize = 2;
/// What business systems say has changed. Filled by the door of webhooks, drained by a task that has it asked for anew. Full: the system is told to come later.
pub const HOOKS: usize = 256;
/// Where flows stand. Filled by those who carry them on, drained by the core. Full: they wait; pops do not.
pub const FLOWS: usize = 256;
/// What flows want written into calls' records. Filled by those who carry flows on, drained by the core. Full: it is left out, and asked for again.
pub const INSCRIPTIONS: usize = 256;
/// What became of what agents and policies wanted written. Filled by the outbox, drained by the core. Full: that news is lost, and counted in the log; the wish is not.
pub const WISHES: usize = 1_024;
/// Reload, stop, beats. Filled by the supervisor, drained by the core. Full: the supervisor waits.
pub const CONTROL: usize = 16;

/// The core's ends.
pub struct CoreEnds {
    pub said: mpsc::Receiver<Said>,
    pub heard: mpsc::Receiver<Heard>,
    pub cards: mpsc::Receiver<Answered>,
    pub kept: mpsc::Receiver<Kept>,
    pub found: mpsc::Receiver<(Token, Found)>,
    pub linked: mpsc::Receiver<recordings::Answer>,
    pub flows: mpsc::Receiver<flows::View>,
    pub inscriptions: mpsc::Receiver<flows::Inscription>,
    pub wishes: mpsc::Receiver<records::wishes::Told>,
    pub control: mpsc::Receiver<Control>,
    pub outputs: mpsc::Sender<records::Output>,
    pub searches: mpsc::Sender<Search>,
    pub recordings: mpsc::Sender<recordings::Ask>,
    pub commands: HashMap<SwitchId, mpsc::Sender<Command>>,
    /// Who sits where, for the links that watch each device. The newest only: written by the core at a reload and as seats are taken and left, read by the
    /// links. Never full.
    pub places: watch::Sender<Places>,
}

/// Everybody else's.
pub struct OtherEnds {
    pub said: mpsc::Sender<Said>,
    pub heard: mpsc::Sender<Heard>,
    pub cards: mpsc::Sender<Answered>,
    pub kept: mpsc::Sender<Kept>,
    pub found: mpsc::Sender<(Token, Found)>,
    pub linked: mpsc::Sender<recordings::Answer>,
    pub flows: mpsc::Sender<flows::View>,
    pub inscriptions: mpsc::Sender<flows::Inscription>,
    pub wishes: mpsc::Sender<records::wishes::Told>,
    pub control: mpsc::Sender<Control>,
    pub outputs: mpsc::Receiver<records::Output>,
    pub searches: mpsc::Receiver<Search>,
    pub recordings: mpsc::Receiver<recordings::Ask>,
    pub fetches: (mpsc::Sender<recordings::live::Fetch>, mpsc::Receiver<recordings::live::Fetch>),
    pub commands: HashMap<SwitchId, mpsc::Receiver<Command>>,
    pub places: watch::Receiver<Places>,
    pub hooks: (mpsc::Sender<connectors::hook::Heard>, mpsc::Receiver<connectors::hook::Heard>),
    pub reloads: (mpsc::Sender<Reload>, mpsc::Receiver<Reload>),
}

/// The way of one recording to one player; there is one for each, made by the shard that has the socket.
#[must_use]
pub fn pieces() -> (mpsc::Sender<bytes::Bytes>, mpsc::Receiver<bytes::Bytes>) {
    mpsc::channel(PIECES)
}

/// Makes all of them.
#[must_use]
pub fn channels(switches: &[SwitchId]) -> (CoreEnds, OtherEnds) {
    let (said_in, said) = mpsc::channel(SAID);
    let (heard_in, heard) = mpsc::channel(HEARD);
    let (cards_in, cards) = mpsc::channel(CARDS);
    let (kept_in, kept) = mpsc::channel(KEPT);
    let (found_in, found) = mpsc::channel(SEARCHES);
    let (flows_in, flows) = mpsc::channel(FLOWS);
    let (inscriptions_in, inscriptions) = mpsc::channel(INSCRIPTIONS);
    let (wishes_in, wishes) = mpsc::channel(WISHES);
    let (control_in, control) = mpsc::channel(CONTROL);
    let (outputs, outputs_out) = mpsc::channel(OUTPUTS);
    let (searches, searches_out) = mpsc::channel(SEARCHES);
    let (recordings, recordings_out) = mpsc::channel(RECORDINGS);
    let (linked_in, linked) = mpsc::channel(LINKED);
    let (commands, commands_out): (HashMap<_, _>, HashMap<_, _>) = switches
        .iter()
        .map(|id| {
            let (sender, receiver) = mpsc::channel(COMMANDS);
            ((id.clone(), sender), (id.clone(), receiver))
        })
        .unzip();
    let (places, places_out) = watch::channel(Places::default());
    (
        CoreEnds {
            said,
            heard,
            cards,
            kept,
            found,
            linked,
            flows,
            inscriptions,
            wishes,
            control,
            outputs,
            searches,
            recordings,
            commands,
            places,
        },
        OtherEnds {
            said: said_in,
            heard: heard_in,
            cards: cards_in,
            kept: kept_in,
            found: found_in,
            linked: linked_in,
            flows: flows_in,
            inscriptions: inscriptions_in,
            wishes: wishes_in,
            control: control_in,
            outputs: outputs_out,
            searches: searches_out,
            recordings: recordings_out,
            fetches: mpsc::channel(FETCHES),
            commands: commands_out,
            places: places_out,
            hooks: mpsc::channel(HOOKS),
            reloads: mpsc::channel(RELOADS),
        },
    )
}
