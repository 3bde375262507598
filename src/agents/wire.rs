//! Bytes to frames and back, nothing else.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    calls::command::Deed,
    customers::{self, Answer, JoinedBy, Person},
    words::Wall,
};

use super::protocol::{
    AgentNext, AgentSet, AlsoAt, AlsoBy, AnswerState, AttributeSet, Authenticate, BoardWatch, Body, CallDigits, CallOf,
    CallPickup, CallTo, CallVerb, CallbackAsk, CallbackIt, CallbackList, CandidateChoose, CandidateForget, Card,
    CardAnswer, CardBlock, CardCandidate, Code, CustomerAttach, CustomerCreate, CustomerSearch, CustomerUpdate, Dial,
    Envelope, Failed, FlowAgree, FlowList, FlowStart, FlowStop, FlowTask, NotesSet, OpsCount, QueueOf, QueueWatch,
    RecordingWanted, Remembered, Resume, SeatClaim, TeamList, TicketAssign, TicketComment, TicketEscalate,
    TicketReopen, TicketSearch, WrapupExtend, WrapupSubmit,
};

/// Any frame of a client.
pub enum Incoming {
    Authenticate(Authenticate),
    Resume(Resume),
    Request(Request),
}

/// What wants an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: String,
    pub what: Wanted,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    CandidateChoose(CandidateChoose),
    CandidateForget(CandidateForget),
    CustomerSearch(CustomerSearch),
    CustomerAttach(CustomerAttach),
    CustomerCreate(CustomerCreate),
    CustomerUpdate(CustomerUpdate),
    TicketSearch(TicketSearch),
    TicketComment(TicketComment),
    TicketReopen(TicketReopen),
    TicketAssign(TicketAssign),
    TicketEscalate(Box<TicketEscalate>),
    NotesSet(NotesSet),
    AttributeSet(AttributeSet),
    WrapupSubmit(WrapupSubmit),
    OpsCount(OpsCount),
    Dial(Dial),
    CallbackList(CallbackList),
    CallbackClaim(CallbackIt),
    CallbackRelease(CallbackIt),
    CallbackClose(CallbackIt),
    CallbackAsk(CallbackAsk),
    Verb(Deed, CallVerb),
    To(Deed, CallTo),
    Digits(CallDigits),
    Pickup(CallPickup),
    Of(Deed, CallOf),
    AgentState(AgentSet),
    AgentNext(AgentNext),
    Queue { log_on: bool, of: QueueOf },
    WrapupExtend(WrapupExtend),
    TeamList(TeamList),
    BoardWatch(BoardWatch),
    QueueWatch(QueueWatch),
    FlowList,
    FlowStart(FlowStart),
    FlowAgree { agrees: bool, of: FlowAgree },
    FlowStop(FlowStop),
    FlowTask(FlowTask),
    RecordingLink(RecordingWanted),
    SeatClaim(SeatClaim),
    SeatLeave,
    ScreenActivate,
    Ping,
}

/// A frame that could not be read. The message holds nothing of the frame's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub id: Option<String>,
    pub code: Code,
    pub message: String,
}

/// Reads one text message. The envelope first, then the type's own fields: so that every answer can name the request.
///
/// # Errors
/// What to answer.
pub fn read(text: &str) -> Result<Incoming, Unreadable> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(default, borrow)]
        id: Option<Cow<'a, str>>,
    }
    let head: Head = serde_json::from_str(text).map_err(|error| Unreadable {
        id: None,
        code: Code::BadFrame,
        message: format!("no JSON object with a text type (and id, if any): column {}", error.column()),
    })?;
    let id = head.id.as_deref();
    match &*head.kind {
        "authenticate" => Ok(Incoming::Authenticate(body(text, id)?)),
        "resume" => Ok(Incoming::Resume(body(text, id)?)),
        kind => {
            let what = match kind {
                "candidate.choose" => Wanted::CandidateChoose(body(text, id)?),
                "candidate.forget" => Wanted::CandidateForget(body(text, id)?),
                "customer.attach" => Wanted::CustomerAttach(body(text, id)?),
                "customer.create" => Wanted::CustomerCreate(body(text, id)?),
                "customer.update" => Wanted::CustomerUpdate(body(text, id)?),
                "ticket.search" => Wanted::TicketSearch(body(text, id)?),
                "ticket.comment" => Wanted::TicketComment(body(text, id)?),
                "ticket.reopen" => Wanted::TicketReopen(body(text, id)?),
                "ticket.assign" => Wanted::TicketAssign(body(text, id)?),
                "ticket.escalate" => Wanted::TicketEscalate(Box::new(body(text, id)?)),
                "customer.search" => Wanted::CustomerSearch(body(text, id)?),
                "attribute.set" => Wanted::AttributeSet(body(text, id)?),
                "notes.set" => Wanted::NotesSet(body(text, id)?),
                "wrapup.submit" => Wanted::WrapupSubmit(body(text, id)?),
                "ops.count" => Wanted::OpsCount(body(text, id)?),
                "dial" => Wanted::Dial(body(text, id)?),
                "callback.list" => Wanted::CallbackList(body(text, id)?),
                "callback.claim" => Wanted::CallbackClaim(body(text, id)?),
                "callback.release" => Wanted::CallbackRelease(body(text, id)?),
                "callback.close" => Wanted::CallbackClose(body(text, id)?),
                "callback.ask" => Wanted::CallbackAsk(body(text, id)?),
                "agent.state" => Wanted::AgentState(body(text, id)?),
                "agent.next" => Wanted::AgentNext(body(text, id)?),
                "queue.login" => Wanted::Queue { log_on: true, of: body(text, id)? },
                "queue.logout" => Wanted::Queue { log_on: false, of: body(text, id)? },
                "wrapup.extend" => Wanted::WrapupExtend(body(text, id)?),
                "board.watch" => Wanted::BoardWatch(body(text, id)?),
                "queue.watch" => Wanted::QueueWatch(body(text, id)?),
                "team.list" => Wanted::TeamList(body(text, id)?),
                "flow.list" => body::<FlowList>(text, id).map(|_| Wanted::FlowList)?,
                "flow.start" => Wanted::FlowStart(body(text, id)?),
                "flow.approve" => Wanted::FlowAgree { agrees: true, of: body(text, id)? },
                "flow.refuse" => Wanted::FlowAgree { agrees: false, of: body(text, id)? },
                "flow.stop" => Wanted::FlowStop(body(text, id)?),
                "flow.task" => Wanted::FlowTask(body(text, id)?),
                "recording.link" => Wanted::RecordingLink(body(text, id)?),
                "seat.claim" => Wanted::SeatClaim(body(text, id)?),
                "seat.leave" => Wanted::SeatLeave,
                "screen.activate" => Wanted::ScreenActivate,
                "ping" => Wanted::Ping,
                other => verb(other, text, id)?
                    .ok_or_else(|| refuse(id, Code::UnknownType, "this daemon does not know this type"))?,
            };
            let Some(id) = id else { return Err(refuse(None, Code::BadRequest, "a request has an id")) };
            if id.is_empty() || id.len() > LONGEST_ID {
                return Err(refuse(None, Code::BadRequest, "an id has 1 to 64 bytes"));
            }
            judge(&what).map_err(|message| refuse(Some(id), Code::BadRequest, message))?;
            Ok(Incoming::Request(Request { id: id.to_owned(), what }))
        }
    }
}

/// A verb on a call; `None`: it is none.
fn verb(kind: &str, text: &str, id: Option<&str>) -> Result<Option<Wanted>, Unreadable> {
    let Some(deed) = Deed::ALL.into_iter().find(|deed| deed.word() == kind) else { return Ok(None) };
    Ok(Some(match deed {
        Deed::Transfer | Deed::Consult => Wanted::To(deed, body(text, id)?),
        Deed::Digits => Wanted::Digits(body(text, id)?),
        Deed::Pickup => Wanted::Pickup(body(text, id)?),
        deed if deed.is_supervisors() => Wanted::Of(deed, body(text, id)?),
        deed => Wanted::Verb(deed, body(text, id)?),
    }))
}

fn body<T: DeserializeOwned>(text: &str, id: Option<&str>) -> Result<T, Unreadable> {
    // serde's own message may quote the value, and the value may be somebody's number.
    serde_json::from_str(text).map_err(|error| Unreadable {
        id: id.map(str::to_owned),
        code: Code::BadRequest,
        message: format!("a field is missing or not as the schema says: column {}", error.column()),
    })
}

/// The bounds that the schemas state.
fn judge(what: &Wanted) -> Result<(), &'static str> {
    let long = |text: &str, most: usize| text.chars().nth(most).is_some();
    match what {
        Wanted::CustomerSearch(search) => {
            let query = search.query.expose();
            if query.trim().is_empty() || long(query, 200) {
                return Err("a query has 1 to 200 characters");
            }
        }
        Wanted::OpsCount(OpsCount { count: Some(count), .. }) if !(1..=100).contains(count) => {
            return Err("a count is 1 to 100");
        }
        Wanted::TicketSearch(search) if search.query.expose().trim().is_empty() || long(search.query.expose(), 200) => {
            return Err("a query has 1 to 200 characters");
        }
        Wanted::TicketComment(TicketComment { text, .. }) | Wanted::TicketReopen(TicketReopen { text, .. })
            if text.expose().trim().is_empty() || long(text.expose(), 20_000) =>
        {
            return Err("what is said on a ticket has 1 to 20000 characters");
        }
        Wanted::TicketEscalate(of) => {
            if of.text.expose().trim().is_empty() || long(of.text.expose(), 20_000) {
                return Err("what is said on a ticket has 1 to 20000 characters");
            }
            if [&of.priority, &of.into].into_iter().flatten().any(|text| long(text, 100)) {
                return Err("a priority and a group have at most 100 characters");
            }
        }
        Wanted::CustomerUpdate(update)
            if update.fields.is_empty()
                || update.fields.len() > 50
                || update.fields.values().any(|text| long(text.expose(), 2_000)) =>
        {
            return Err("1 to 50 fields are changed, each to at most 2000 characters");
        }
        Wanted::AttributeSet(set) if set.name.is_empty() || long(&set.name, 64) || long(set.value.expose(), 4096) => {
            return Err("an attribute's name has 1 to 64 characters and its value at most 4096");
        }
        Wanted::CustomerCreate(create) => {
            if create.name.expose().trim().is_empty() {
                return Err("a customer has a name");
            }
            let texts = [Some(&create.name), create.company.as_ref(), create.email.as_ref()];
            if texts.into_iter().flatten().any(|text| long(text.expose(), 200)) {
                return Err("name, company and mail address have at most 200 characters");
            }
        }
        Wanted::CallbackAsk(ask) if ask.note.as_ref().is_some_and(|note| long(note.expose(), 2_000)) => {
            return Err("a note has at most 2000 characters");
        }
        Wanted::FlowStart(start)
            if start.name.is_empty() || long(&start.name, 100) || start.inputs.expose().len() > 100 =>
        {
            return Err("a flow's name has 1 to 100 characters, and it is told at most 100 inputs");
        }
        Wanted::FlowAgree { of: FlowAgree { why: Some(text), .. }, .. }
        | Wanted::FlowStop(FlowStop { why: Some(text), .. })
        | Wanted::FlowTask(FlowTask { note: Some(text), .. })
            if long(text.expose(), 2_000) =>
        {
            return Err("what is said has at most 2000 characters");
        }
        Wanted::NotesSet(notes) if long(notes.text.expose(), 20_000) => {
            return Err("notes have at most 20000 characters");
        }
        Wanted::WrapupSubmit(wrapup) => {
            if wrapup.disposition.len() > 16 || wrapup.disposition.iter().any(|step| long(step, 200)) {
                return Err("a disposition has at most 16 steps of 200 characters");
            }
            if wrapup.notes.as_ref().is_some_and(|notes| long(notes.expose(), 20_000)) {
                return Err("notes have at most 20000 characters");
            }
        }
        Wanted::SeatClaim(claim) => {
            let name = |text: &str| !text.is_empty() && !long(text, 128);
            if !name(&claim.device) || !claim.switch.as_deref().is_none_or(name) {
                return Err("a device and a switch have 1 to 128 characters");
            }
        }
        Wanted::AgentState(AgentSet { reason, agent, .. }) | Wanted::AgentNext(AgentNext { reason, agent, .. }) => {
            let long = |text: &Option<String>, most| text.as_deref().is_some_and(|text| long(text, most));
            if long(reason, 40) || long(agent, 128) {
                return Err("a reason has at most 40 characters and an agent's id at most 128");
            }
        }
        Wanted::Queue { of: QueueOf { queue, switch }, .. } => {
            let name = |text: &str| !text.is_empty() && !long(text, 128);
            if !name(queue) || !switch.as_deref().is_none_or(name) {
                return Err("a queue and a switch have 1 to 128 characters");
            }
        }
        Wanted::RecordingLink(wanted) if wanted.recording > 999 => return Err("a call has at most 1000 recordings"),
        Wanted::To(_, CallTo { to, .. }) if long(to.expose(), 64) => return Err("a target has at most 64 characters"),
        Wanted::Digits(CallDigits { digits, .. }) if long(digits.expose(), 24) => {
            return Err("at most 24 keys are pressed at once");
        }
        Wanted::Pickup(pickup) => {
            if pickup.call.is_some() == pickup.agent.is_some() {
                return Err("call.pickup takes a call or an agent, one of them");
            }
            if pickup.agent.as_deref().is_some_and(|agent| long(agent, 128)) {
                return Err("an agent's id has at most 128 characters");
            }
        }
        Wanted::Of(_, CallOf { agent }) if long(agent, 128) => return Err("an agent's id has at most 128 characters"),
        Wanted::Dial(dial) => {
            if dial.number.is_some() == dial.handle.is_some() {
                return Err("dial takes a number or a handle, one of them");
            }
            if dial.number.as_ref().is_some_and(|number| long(number.expose(), 64)) {
                return Err("a number has at most 64 characters");
            }
        }
        _ => {}
    }
    Ok(())
}

fn refuse(id: Option<&str>, code: Code, message: &str) -> Unreadable {
    Unreadable { id: id.map(str::to_owned), code, message: message.to_owned() }
}

/// A finished frame.
#[must_use]
pub fn write<B: Body>(seq: u64, at: Wall, body: &B) -> Bytes {
    let mut text = Vec::with_capacity(1024);
    let envelope = Envelope { kind: B::TYPE, seq, at, body };
    serde_json::to_writer(&mut text, &envelope).expect("memory takes every byte and all keys are text");
    Bytes::from(text)
}

/// The answer to a frame that could not be read.
#[must_use]
pub fn refusal(at: Wall, why: &Unreadable) -> Bytes {
    write(0, at, &Failed { id: why.id.as_deref(), code: why.code, message: &why.message, agent: None, name: None })
}

/// A card as the bytes that pop frames copy. Blocks' bodies are copied, not read.
#[must_use]
pub fn card(card: &customers::Card) -> Box<RawValue> {
    ordered(card, card.people())
}

/// The same with its people in another order.
#[must_use]
pub fn ordered<'a>(card: &'a customers::Card, people: impl Iterator<Item = &'a Arc<Person>>) -> Box<RawValue> {
    let (state, reason, why, trouble) = match &card.answer {
        Answer::Pending => (AnswerState::Pending, None, None, None),
        Answer::Found(_) => (AnswerState::Found, None, None, None),
        Answer::Absent => (AnswerState::Absent, None, None, None),
        Answer::Ambiguous(_) => (AnswerState::Ambiguous, None, None, None),
        Answer::Unavailable(away) => (AnswerState::Unavailable, Some(away.reason.as_str()), None, Some(away.trouble)),
        Answer::NotAsked(why) => (AnswerState::NotAsked, Some(why.reason()), Some(*why), None),
    };
    let shown = Card {
        answer: CardAnswer { state, reason, why, trouble },
        candidates: people.map(|person| self::person(person)).collect(),
        found_by: card.found_by,
        account_unknown: card.account_unknown,
        shared: card.shared,
        remembered: card.remembered.as_ref().map(|r| Remembered { agent: r.agent.as_str(), at: r.at }),
        attach: card.attach.iter().map(|system| system.as_str()).collect(),
        create: card.create.iter().map(|system| system.as_str()).collect(),
        blocks: card
            .blocks
            .iter()
            .map(|block| CardBlock {
                system: block.system.as_str(),
                kind: &block.kind,
                title: block.title.as_deref(),
                state: block.state,
                asked_at: block.asked_at,
                reason: block.reason.as_deref(),
                trouble: block.trouble,
                body: block.body.as_deref(),
            })
            .collect(),
    };
    serde_json::value::to_raw_value(&shown).expect("all keys are text")
}

/// The card of a call of which nothing is known yet.
#[must_use]
pub fn pending() -> Box<RawValue> {
    card(&customers::Card::of(Answer::Pending))
}

fn person(person: &Person) -> CardCandidate<'_> {
    let also = person.also.iter().map(|joined| {
        let (by, key) = match &joined.by {
            JoinedBy::Key(key) => (AlsoBy::Key, Some(&**key)),
            JoinedBy::Name => (AlsoBy::Name, None),
            JoinedBy::Number => (AlsoBy::Number, None),
        };
        let name = joined.candidate.name.as_ref().map(|name| name.expose().as_str());
        AlsoAt { link: &joined.candidate.link, name, by, key }
    });
    CardCandidate { also: also.collect(), reasons: &person.reasons, ..candidate(&person.head) }
}

/// What a search found, as the bytes that `done` copies.
#[must_use]
pub fn candidates(found: &[std::sync::Arc<customers::Candidate>]) -> Box<RawValue> {
    let list: Vec<CardCandidate<'_>> = found.iter().map(|c| candidate(c)).collect();
    serde_json::value::to_raw_value(&list).expect("all keys are text")
}

#[must_use]
pub fn candidate(candidate: &customers::Candidate) -> CardCandidate<'_> {
    CardCandidate {
        id: &candidate.id,
        link: &candidate.link,
        name: candidate.name.as_ref().map(|name| name.expose().as_str()),
        reason: candidate.reason.as_deref(),
        url: candidate.url.as_deref(),
        facts: candidate.facts.as_deref(),
        also: Vec::new(),
        reasons: &[],
    }
}

const LONGEST_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let text = r#"{"type":"dial","id":"7","number":"13800138000","ref":{"system":"redmine","type":"ticket","id":"5"},"new":1}"#;
        let Ok(Incoming::Request(request)) = read(text) else { panic!("refused") };
        assert_eq!(request.id, "7");
        let Wanted::Dial(dial) = request.what else { panic!("no dial") };
        assert_eq!(dial.number.unwrap().expose(), "13800138000");
        let Ok(Incoming::Resume(resume)) = read(r#"{"type":"resume","epoch":3,"seq":12}"#) else { panic!("refused") };
        assert_eq!(resume, Resume { epoch: Some(3), seq: Some(12), active: true });
    }

    #[test]
    fn bad_frames_are_answered_and_name_no_content() {
        let long_id = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65));
        let long_notes = format!(
            r#"{{"type":"notes.set","id":"7","call":"01ARZ3NDEKTSV4RRFFQ69G5FAV","text":"{}"}}"#,
            "注".repeat(20_001)
        );
        for (text, id, code) in [
            ("", None, Code::BadFrame),
            ("13800138000", None, Code::BadFrame),
            ("[]", None, Code::BadFrame),
            ("{}", None, Code::BadFrame),
            (r#"{"type":7}"#, None, Code::BadFrame),
            (r#"{"type":"ping","id":7}"#, None, Code::BadFrame),
            (r#"{"type":"ping"}"#, None, Code::BadRequest),
            (r#"{"type":"ping","id":""}"#, None, Code::BadRequest),
            (long_id.as_str(), None, Code::BadRequest),
            (r#"{"type":"dance","id":"7"}"#, Some("7"), Code::UnknownType),
            (r#"{"type":"dial","id":"7"}"#, Some("7"), Code::BadRequest),
            (r#"{"type":"seat.claim","id":"7"}"#, Some("7"), Code::BadRequest),
            (r#"{"type":"seat.claim","id":"7","device":""}"#, Some("7"), Code::BadRequest),
            (r#"{"type":"dial","id":"7","number":13800138000}"#, Some("7"), Code::BadRequest),
            (r#"{"type":"dial","id":"7","number":"1","handle":"h"}"#, Some("7"), Code::BadRequest),
            (r#"{"type":"notes.set","id":"7","call":"13800138000","text":"x"}"#, Some("7"), Code::BadRequest),
            (r#"{"type":"customer.search","id":"7","query":"  "}"#, Some("7"), Code::BadRequest),
            (long_notes.as_str(), Some("7"), Code::BadRequest),
            (r#"{"type":"resume","seq":-1}"#, None, Code::BadRequest),
            (&"[".repeat(60_000), None, Code::BadFrame),
        ] {
            let Err(why) = read(text) else { panic!("{text} was taken") };
            assert_eq!((why.id.as_deref(), why.code), (id, code), "{text}");
            assert!(!why.message.contains("13800138000"), "{}", why.message);
        }
    }
}
