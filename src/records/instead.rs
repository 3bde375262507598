//! What a rule has done instead of making another ticket: a word on one that the customer has already. Still.
//!
//! Which ticket it is, is decided once, when the effect's time has come, and is durable before anything is written: a second look behind a lost
//! answer would see what the first try wrote, and take it for somebody else's. From then on the effect is what was decided, an operation like
//! any other, with its own lookup by the effect's key.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::words::Wall;

use super::expression;

/// How a call reaches a ticket before one is made, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instead {
    /// A comment on the customer's newest open ticket that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<Open>,
    /// The ticket that was closed last and fits is opened again, with the comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopen: Option<Closed>,
}

/// Which open tickets fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Made in the last so many days. Absent: however old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub days: Option<u32>,
    /// A minijinja expression over `ticket` (what the connector gives of it), `record` and `customer`.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// Which closed tickets fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Closed in the last so many days.
    #[schemars(range(min = 1))]
    pub days: u32,
    /// As that of `append`.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// The operation that lists the customer's open tickets, and the one that writes on one of them.
pub const OPEN: &str = "tickets.open";
pub const APPEND: &str = "note.add";
/// The same for closed ones.
pub const CLOSED: &str = "tickets.closed";
pub const REOPEN: &str = "ticket.reopen";
/// The only operation that something can be done instead of.
pub const CREATE: &str = "ticket.create";

/// Inputs that a step with `instead` may not give.
pub const RESERVED: [&str; 3] = [INPUT, CHOSEN, "target"];
/// Where it stands in an effect's inputs while nothing is decided.
const INPUT: &str = "instead";
/// Where the ticket stands that was chosen; it is the effect's result, for an amendment goes to it.
const CHOSEN: &str = "chosen";
const DAY_MS: i64 = 86_400_000;

impl Instead {
    /// Of an effect of which it is not decided yet.
    #[must_use]
    pub fn of(inputs: &Map<String, Value>) -> Option<Self> {
        serde_json::from_value(inputs.get(INPUT)?.clone()).ok()
    }

    /// Puts it into the inputs of an effect.
    pub fn put(&self, inputs: &mut Map<String, Value>) {
        if let Ok(value) = serde_json::to_value(self) {
            inputs.insert(INPUT.to_owned(), value);
        }
    }

    /// The operations that a system must offer for it, besides [`CREATE`].
    pub fn needs(&self) -> impl Iterator<Item = &'static str> + use<> {
        let append = self.append.is_some().then_some([OPEN, APPEND]);
        let reopen = self.reopen.is_some().then_some([CLOSED, REOPEN]);
        append.into_iter().chain(reopen).flatten()
    }

    /// Since when a ticket must have been closed to be opened again.
    #[must_use]
    pub fn closed_since(&self, now: Wall) -> Option<Wall> {
        Some(days_ago(now, self.reopen.as_ref()?.days))
    }

    /// The first open ticket that fits; systems give the newest first.
    #[must_use]
    pub fn open<'t>(&self, now: Wall, tickets: &'t [Value], inputs: &Map<String, Value>) -> Option<&'t Value> {
        let open = self.append.as_ref()?;
        let young = |ticket: &Value| open.days.is_none_or(|days| moment(ticket, "at") >= Some(days_ago(now, days)));
        tickets.iter().find(|ticket| young(ticket) && holds(open.condition.as_deref(), ticket, inputs))
    }

    /// The ticket that was closed last of those that fit. One of which the system does not say when it was closed does not.
    #[must_use]
    pub fn closed<'t>(&self, now: Wall, tickets: &'t [Value], inputs: &Map<String, Value>) -> Option<&'t Value> {
        let closed = self.reopen.as_ref()?;
        let since = days_ago(now, closed.days);
        let fits = |ticket: &&Value| {
            moment(ticket, "closed_at") >= Some(since) && holds(closed.condition.as_deref(), ticket, inputs)
        };
        // Of equal moments the first.
        tickets.iter().rev().filter(fits).max_by_key(|ticket| moment(ticket, "closed_at"))
    }
}

/// The inputs of an effect after the decision: on this ticket, or on none.
pub fn decided(inputs: &mut Map<String, Value>, ticket: Option<&Value>) {
    inputs.remove(INPUT);
    let Some(ticket) = ticket else { return };
    let kind = ticket.get("type").cloned().unwrap_or_else(|| "ticket".into());
    let mut target = json!({ "id": ticket.get("id"), "type": kind });
    if let Some(url) = ticket.get("url") {
        target["url"] = url.clone();
    }
    inputs.insert("target".to_owned(), target.clone());
    inputs.insert(CHOSEN.to_owned(), target);
}

/// The ticket that was chosen for an effect.
#[must_use]
pub fn chosen(inputs: &Map<String, Value>) -> Option<&Value> {
    inputs.get(CHOSEN)
}

fn days_ago(now: Wall, days: u32) -> Wall {
    now.plus_ms(-(i64::from(days) * DAY_MS))
}

/// `None` where it is not there, or not RFC 3339: what is not known to be young enough is not.
fn moment(ticket: &Value, name: &str) -> Option<Wall> {
    serde_json::from_value(ticket.get(name)?.clone()).ok()
}

fn holds(condition: Option<&str>, ticket: &Value, inputs: &Map<String, Value>) -> bool {
    let Some(condition) = condition else { return true };
    let context = json!({ "ticket": ticket, "record": inputs.get("record"), "customer": inputs.get("customer") });
    expression::value(condition, &context).is_ok_and(|value| expression::truthy(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-26T12:00:00Z";

    fn now() -> Wall {
        serde_json::from_value(json!(NOW)).unwrap()
    }
    fn instead(text: Value) -> Instead {
        serde_json::from_value(text).unwrap()
    }
    fn id(ticket: Option<&Value>) -> &str {
        ticket.map_or("-", |ticket| ticket["id"].as_str().unwrap())
    }

    #[test]
    fn the_newest_open_ticket_that_fits_is_taken() {
        let tickets = [
            json!({"id": "9", "queue": "sales", "at": "2026-11-25T12:00:00Z"}),
            json!({"id": "8", "queue": "support", "at": "2026-11-20T20:00:00.000+0800"}),
            json!({"id": "7", "queue": "support", "at": "some day"}),
        ];
        let inputs = json!({"record": {"queue": "support"}}).as_object().unwrap().clone();
        for (rule, wanted) in [
            (json!({"append": {}}), "9"),
            (json!({"append": {"if": "ticket.queue == record.queue"}}), "8"),
            (json!({"append": {"days": 6, "if": "ticket.queue == record.queue"}}), "8"),
            (json!({"append": {"days": 5, "if": "ticket.queue == record.queue"}}), "-"),
            (json!({"append": {"if": "ticket.nothing > 3"}}), "-"),
            (json!({"reopen": {"days": 5}}), "-"),
        ] {
            assert_eq!(id(instead(rule.clone()).open(now(), &tickets, &inputs)), wanted, "{rule}");
        }
    }

    #[test]
    fn the_ticket_that_was_closed_last_is_opened_again_and_none_that_is_too_old() {
        let tickets = [
            json!({"id": "6", "closed_at": "2026-11-23T11:59:59Z"}),
            json!({"id": "5", "closed_at": "2026-11-24T12:00:00Z", "queue": "sales"}),
            json!({"id": "4", "closed_at": "2026-11-25T12:00:00Z", "queue": "support"}),
            json!({"id": "3"}),
        ];
        let inputs = Map::new();
        for (rule, wanted) in [
            (json!({"reopen": {"days": 3}}), "4"),
            (json!({"reopen": {"days": 3, "if": "ticket.queue == 'sales'"}}), "5"),
            (json!({"reopen": {"days": 1, "if": "ticket.queue == 'sales'"}}), "-"),
            (json!({"append": {}}), "-"),
        ] {
            assert_eq!(id(instead(rule.clone()).closed(now(), &tickets, &inputs)), wanted, "{rule}");
        }
        assert_eq!(id(instead(json!({"reopen": {"days": 4}})).closed(now(), &tickets[..1], &inputs)), "6");
    }

    #[test]
    fn what_was_decided_stands_in_the_inputs_and_the_question_no_more() {
        let mut inputs = json!({"text": "x"}).as_object().unwrap().clone();
        let rule = instead(json!({"append": {}, "reopen": {"days": 3}}));
        rule.put(&mut inputs);
        assert_eq!(Instead::of(&inputs), Some(rule));
        let ticket = json!({"id": "7", "type": "ticket", "subject": "private", "url": "https://desk.example/7"});
        decided(&mut inputs, Some(&ticket));
        assert_eq!(Instead::of(&inputs), None);
        let target = json!({"id": "7", "type": "ticket", "url": "https://desk.example/7"});
        assert_eq!((chosen(&inputs), inputs["target"] == target), (Some(&target), true));
        assert_eq!(inputs.len(), 3);
    }
}
