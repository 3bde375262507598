//! Tickets and customers' data from a screen: looked for, and written as wishes of the call, which are durable before they are answered. What became of each
//! comes later, to everybody who has the call.

use std::sync::Arc;

use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    calls::Directory,
    private::Private,
    records::{
        Said, Write, judge, update,
        wishes::{Told, Where},
    },
    words::{AgentId, CallId, Now, SystemId},
};

use super::{
    super::{
        CoalesceKey,
        protocol::{
            Code, CustomerUpdate, Done, SystemOffer, TicketAssign, TicketAt, TicketComment, TicketEscalate,
            TicketReopen, TicketSearch, Wish, WishChanged, WishState,
        },
        wire,
    },
    Ask, OnDesk, Roster, Token,
    requests::{Asked, NOT_OFFERED, NOT_YOURS, Refusable, Waiting, failed},
};

/// What a page may do to tickets, as it asks for it, and the operation that a system must offer.
const VERBS: [(&str, &str); 5] = [
    ("search", SEARCH),
    ("comment", "note.add"),
    ("reopen", "ticket.reopen"),
    ("assign", "ticket.assign"),
    ("escalate", "ticket.escalate"),
];
pub(super) const SEARCH: &str = "ticket.search";
/// Told of one call at most; the last ones stay.
const TOLD: usize = 50;
/// A search's answers that are kept for one call.
const FOUND: usize = 200;

/// Where a ticket was found: system and id.
pub(super) type Found = (SystemId, String);

/// A ticket that a search found, as its system gives it.
pub type FoundTicket = (SystemId, Value);

impl Roster {
    /// Which systems offer what, at the start and after a reload.
    pub fn offer(&mut self, offers: Arc<crate::records::Offers>) {
        self.offers = offers;
    }

    /// What screens are told of it.
    pub(super) fn system_offers(&self) -> Vec<SystemOffer<'_>> {
        let offers = |operation: &str, system: &SystemId| {
            self.offers.systems.get(operation).is_some_and(|systems| systems.contains(system))
        };
        let mut systems: Vec<&SystemId> = self.offers.hashes.keys().collect();
        systems.sort();
        let offered = systems.into_iter().map(|system| SystemOffer {
            id: system.as_str(),
            title: self.offers.titles.get(system).map(String::as_str),
            tickets: VERBS.iter().filter(|(_, operation)| offers(operation, system)).map(|(verb, _)| *verb).collect(),
            update: self.offers.writable.get(system).map_or(&[][..], Vec::as_slice),
        });
        offered.filter(|offer| offer.title.is_some() || !offer.tickets.is_empty() || !offer.update.is_empty()).collect()
    }

    pub(super) fn search_tickets(&mut self, asked: &Asked, search: TicketSearch) -> Refusable {
        if search.call.is_some_and(|call| !self.has(&asked.0, call)) {
            return Err(NOT_YOURS);
        }
        let of = search.call.filter(|_| search.theirs).and_then(|call| self.calls.get(&call));
        let customers = of.map(|call| call.customer().into_iter().cloned().collect());
        if search.theirs && customers.as_ref().is_none_or(Vec::is_empty) {
            return Err((Code::UnknownCandidate, "this call has no customer whose tickets could be looked through"));
        }
        let token = self.wait(Waiting::Tickets(asked.clone(), search.call));
        self.ask(Ask::Tickets { tenant: asked.0.0.clone(), query: search.query, customers, token });
        Ok(())
    }

    /// What a search for tickets found, or why it could not be done (without personal data).
    pub fn tickets_found(&mut self, now: Now, token: Token, found: Result<Vec<FoundTicket>, String>) {
        let Some(Waiting::Tickets(asked, call)) = self.waiting.remove(&token) else { return };
        let mut viewed = Vec::new();
        let frame = match found {
            Err(reason) => failed(now, &asked.1, Code::Unavailable, &reason),
            Ok(found) => {
                let mut list: Vec<Value> = Vec::new();
                let mut known: Vec<Found> = Vec::new();
                for (system, ticket) in found {
                    let Value::Object(mut ticket) = ticket else { continue };
                    let Some(id) = ticket.get("id").and_then(Value::as_str) else { continue };
                    viewed.push(format!("{system}:ticket:{id}"));
                    known.push((system.clone(), id.to_owned()));
                    ticket.insert("system".to_owned(), system.as_str().into());
                    list.push(ticket.into());
                }
                if self.masks(&asked.0, call) {
                    let shade = self.shade(&asked.0, call);
                    for ticket in &mut list {
                        shade.value(ticket);
                    }
                }
                let on_desk = call.filter(|call| self.has(&asked.0, *call)).and_then(|call| self.calls.get_mut(&call));
                if let Some(on_desk) = on_desk {
                    known.retain(|ticket| !on_desk.tickets.contains(ticket));
                    on_desk.tickets.extend(known);
                    let over = on_desk.tickets.len().saturating_sub(FOUND);
                    on_desk.tickets.drain(..over);
                }
                let raw = serde_json::value::to_raw_value(&list).unwrap_or_else(|_| RawValue::NULL.to_owned());
                wire::write(0, now.wall, &Done { tickets: Some(&raw), ..Done::of(&asked.1) })
            }
        };
        self.answer(&asked, frame);
        for ticket in viewed {
            self.view(&asked.0, ticket, call, "tickets");
        }
    }

    pub(super) fn comment(&mut self, asked: &Asked, of: TicketComment) -> Refusable {
        let inputs = json!({"text": of.text.expose(), "private": of.private});
        self.write_ticket(asked, of.call, &of.ticket, "note.add", inputs)
    }

    pub(super) fn reopen(&mut self, asked: &Asked, of: TicketReopen) -> Refusable {
        self.write_ticket(asked, of.call, &of.ticket, "ticket.reopen", json!({"text": of.text.expose()}))
    }

    pub(super) fn escalate(&mut self, asked: &Asked, of: TicketEscalate) -> Refusable {
        let inputs = json!({"text": of.text.expose(), "priority": of.priority, "into": of.into});
        self.write_ticket(asked, of.call, &of.ticket, "ticket.escalate", inputs)
    }

    pub(super) fn assign(&mut self, asked: &Asked, of: TicketAssign, directory: &Directory) -> Refusable {
        let agent = of.to.map_or_else(|| asked.0.1.clone(), AgentId::from);
        let known = directory.agent(&agent).filter(|known| known.tenant == asked.0.0);
        let Some(id) = known.and_then(|known| known.ids.get(&of.ticket.system)) else {
            return Err((Code::UnknownTarget, "nobody of this id is known at that system: see ids in agents.yaml"));
        };
        self.write_ticket(asked, of.call, &of.ticket, "ticket.assign", json!({"to": id}))
    }

    fn write_ticket(
        &mut self,
        asked: &Asked,
        id: CallId,
        ticket: &TicketAt,
        operation: &'static str,
        mut inputs: Value,
    ) -> Refusable {
        if !self.has(&asked.0, id) {
            return Err(NOT_YOURS);
        }
        let call = self.calls.get(&id).ok_or(NOT_YOURS)?;
        let system = SystemId::from(ticket.system.as_str());
        let Some(kind) = call.ticket(&system, &ticket.id) else {
            return Err((Code::UnknownTarget, "not a ticket of this call, and none that was found for it"));
        };
        inputs["target"] = json!({"id": ticket.id, "type": kind});
        let about = format!("ticket {}", ticket.id);
        self.write(asked, id, (system, operation, about), inputs)
    }

    pub(super) fn update(&mut self, asked: &Asked, update: &CustomerUpdate) -> Refusable {
        if !self.has(&asked.0, update.call) {
            return Err(NOT_YOURS);
        }
        let call = self.calls.get(&update.call).ok_or(NOT_YOURS)?;
        let system = SystemId::from(update.system.as_str());
        let writable = self.offers.writable.get(&system).ok_or(NOT_OFFERED)?;
        let Some(record) = call.customer().into_iter().find(|record| record.link.system == update.system) else {
            return Err((Code::UnknownCandidate, "the call's customer has no record at that system"));
        };
        if update.fields.keys().any(|name| !writable.contains(name)) {
            return Err((Code::NotOffered, "a field that cannot be changed from here"));
        }
        // Who is shown half a number would write the half: what is masked for them is not theirs to change.
        let facts = record.facts();
        let (masked, shade) = (self.masks(&asked.0, Some(update.call)), self.shade(&asked.0, Some(update.call)));
        let hidden = |name: &String| {
            let shown = facts.get(name).and_then(Value::as_str).unwrap_or_default();
            masked && shade.attribute(name, shown) != shown
        };
        if update.fields.keys().any(hidden) {
            return Err((Code::NotPermitted, "a number that you see only in part cannot be changed by you"));
        }
        let texts = |map: &std::collections::BTreeMap<String, Private<String>>| -> Map<String, Value> {
            map.iter().map(|(name, text)| (name.clone(), text.expose().as_str().into())).collect()
        };
        let inputs = json!({"fields": texts(&update.fields), "was": texts(&update.was)});
        let about = format!("{} {}", record.link.kind, record.link.id);
        self.write(asked, update.call, (system, update::UPDATE, about), inputs)
    }

    fn write(
        &mut self,
        asked: &Asked,
        id: CallId,
        (system, operation, about): (SystemId, &'static str, String),
        inputs: Value,
    ) -> Refusable {
        if self.offers.systems.get(operation).is_none_or(|systems| !systems.contains(&system)) {
            return Err(NOT_OFFERED);
        }
        let records = self.calls.get(&id).map(OnDesk::customer).unwrap_or_default();
        let customer = records.into_iter().find(|record| record.link.system == system.as_str()).cloned();
        let number = self.number_of(id);
        let inputs = Private::new(inputs);
        let write = Write { id: asked.1.clone(), system, operation, about, inputs, customer, number };
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, id, Said::Write(Box::new(write)), token);
        Ok(())
    }

    /// What became of a wish.
    pub fn wish(&mut self, now: Now, told: Told) {
        let call = told.call;
        let Some(on_desk) = self.calls.get_mut(&call) else { return };
        match on_desk.told.iter_mut().find(|known| known.key == told.key) {
            Some(known) => *known = told.clone(),
            None => on_desk.told.push(told.clone()),
        }
        let over = on_desk.told.len().saturating_sub(TOLD);
        on_desk.told.drain(..over);
        for key in on_desk.agents.clone() {
            let Some(stream) = self.streams.get_mut(&key).filter(|_| key.0 == told.tenant) else { continue };
            let coalesce = CoalesceKey::Wish(told.key.as_str().into());
            stream.emit(now, Some(coalesce), &WishChanged(shown(&told)), &mut self.out);
        }
    }
}

/// As a screen is told it.
pub(super) fn shown(told: &Told) -> Wish<'_> {
    let state = match told.stands {
        Where::Done => WishState::Done,
        Where::Later => WishState::Later,
        Where::Refused => WishState::Refused,
        Where::Person => WishState::Person,
    };
    Wish {
        call: told.call,
        wish: &told.key,
        what: &told.operation,
        system: told.system.as_str(),
        ticket: told.ticket.as_deref(),
        state,
        reason: told.reason.as_deref(),
        trouble: told.reason.as_deref().and_then(judge::trouble),
    }
}

impl OnDesk {
    /// The type of a ticket that stands in the call's card, or was found by a search for the call.
    fn ticket(&self, system: &SystemId, id: &str) -> Option<String> {
        let blocks = self.card.iter().flat_map(|card| &card.blocks);
        let mut bodies = blocks.filter(|block| block.kind == "tickets.open" && block.system == *system);
        let shown = bodies.find_map(|block| {
            let list: Vec<Value> = serde_json::from_str(block.body.as_deref()?.get()).ok()?;
            let ticket = list.into_iter().find(|ticket| ticket["id"] == id)?;
            Some(ticket["type"].as_str().unwrap_or("ticket").to_owned())
        });
        let found = || self.tickets.iter().any(|known| known.0 == *system && known.1 == id);
        shown.or_else(|| found().then(|| "ticket".to_owned()))
    }
}
