//! What to ask next for one call, and what the card says meanwhile. Still: it is told what is known.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value, value::RawValue};

use crate::{
    calls::record::Reference,
    private::Private,
    words::{SystemId, TenantId, Wall},
};

use super::card::{Answer, Block, BlockState, Candidate, Card};

/// The operations whose answers are blocks, in the order in which a card shows them.
pub const BLOCKS: [&str; 4] = ["finance", "loyalty", "orders", "tickets.open"];
pub const BY_PHONE: &str = "customer.by_phone";

/// One question to one system. Equal keys are the same question, whoever asks. The subject is a number or a customer's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub tenant: TenantId,
    pub system: SystemId,
    pub operation: &'static str,
    pub subject: Private<String>,
}

/// What a system answered.
#[derive(Clone, Debug)]
pub struct Entry {
    pub asked_at: Wall,
    pub found: Found,
}

#[derive(Clone, Debug)]
pub enum Found {
    /// By phone: never empty.
    Customers(Vec<Arc<Candidate>>),
    Facts(Arc<RawValue>),
    Nothing,
    /// It could not be asked, or what it said fits nothing.
    Unavailable(String),
}

/// One system as a card needs it: its id and what it offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub system: SystemId,
    pub by_phone: bool,
    /// Of [`BLOCKS`], with the titles of the connector's file.
    pub blocks: Vec<(&'static str, Option<String>)>,
    pub title: Option<String>,
}

/// Entry and whether it is still fresh.
#[derive(Clone, Debug)]
pub struct Known {
    pub entry: Arc<Entry>,
    pub fresh: bool,
}

/// What one call is about.
#[derive(Clone, Debug)]
pub struct Subject {
    pub tenant: TenantId,
    /// The number's key; absent when it is withheld.
    pub number: Option<String>,
    pub offers: Vec<Offer>,
    /// An agent chose (or, with `Some(None)`, refused all).
    pub chosen: Option<Option<Arc<Candidate>>>,
}

/// A question that has to be asked (or answered from the cache), with its inputs.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: Key,
    pub inputs: Map<String, Value>,
}

impl Subject {
    fn by_phone(&self, system: &SystemId) -> Option<Key> {
        let number = self.number.clone()?;
        Some(Key {
            tenant: self.tenant.clone(),
            system: system.clone(),
            operation: BY_PHONE,
            subject: Private::new(number),
        })
    }

    fn block(&self, system: &SystemId, operation: &'static str, customer: &Candidate) -> Key {
        let subject = format!("{}:{}", customer.link.kind, customer.link.id);
        Key { tenant: self.tenant.clone(), system: system.clone(), operation, subject: Private::new(subject) }
    }

    /// Everything this card stands on, as far as can be said now: blocks appear here once their customer is known.
    pub fn wanted(&self, known: &HashMap<Key, Known>) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if self.chosen.is_none() {
            for offer in self.offers.iter().filter(|o| o.by_phone) {
                if let Some(key) = self.by_phone(&offer.system) {
                    let number = Value::String(key.subject.expose().clone());
                    wanted.push(Wanted { key, inputs: Map::from_iter([("number".to_owned(), number)]) });
                }
            }
        }
        for offer in &self.offers {
            let Standing::One(customer) = self.standing(offer, known) else { continue };
            for (operation, _) in &offer.blocks {
                let key = self.block(&offer.system, operation, &customer);
                wanted.push(Wanted { key, inputs: Map::from_iter([("customer".to_owned(), told(&customer))]) });
            }
        }
        wanted
    }

    pub fn card(&self, known: &HashMap<Key, Known>) -> Card {
        let answer = self.answer(known);
        let mut blocks = Vec::new();
        for offer in &self.offers {
            let standing = self.standing(offer, known);
            if offer.by_phone {
                blocks.push(self.customer_block(offer, &standing, known));
            }
            for (operation, title) in &offer.blocks {
                let mut block = Block {
                    system: offer.system.clone(),
                    kind: (*operation).to_owned(),
                    title: title.clone(),
                    state: BlockState::Pending,
                    asked_at: None,
                    reason: None,
                    body: None,
                };
                match &standing {
                    Standing::Pending => {}
                    Standing::Nobody => block.state = BlockState::Absent,
                    Standing::Several => block.state = BlockState::Ambiguous,
                    Standing::Unavailable(reason) => {
                        block.state = BlockState::Unavailable;
                        block.reason = Some(reason.clone());
                    }
                    Standing::One(customer) => {
                        if let Some(known) = known.get(&self.block(&offer.system, operation, customer)) {
                            fill(&mut block, known);
                        }
                    }
                }
                blocks.push(block);
            }
        }
        Card { answer, blocks }
    }

    fn customer_block(&self, offer: &Offer, standing: &Standing, known: &HashMap<Key, Known>) -> Block {
        let entry = self.by_phone(&offer.system).and_then(|key| known.get(&key));
        let mut block = Block {
            system: offer.system.clone(),
            kind: "customer".to_owned(),
            title: offer.title.clone(),
            state: BlockState::Pending,
            asked_at: entry.map(|k| k.entry.asked_at),
            reason: None,
            body: None,
        };
        match standing {
            Standing::Pending => {}
            Standing::Nobody => block.state = BlockState::Absent,
            Standing::Several => block.state = BlockState::Ambiguous,
            Standing::Unavailable(reason) => {
                block.state = BlockState::Unavailable;
                block.reason = Some(reason.clone());
            }
            Standing::One(customer) => {
                block.state = if entry.is_none_or(|k| k.fresh) { BlockState::Fresh } else { BlockState::Stale };
                block.body =
                    customer.facts.as_ref().and_then(|f| serde_json::value::to_raw_value(f).ok()).map(Arc::from);
            }
        }
        block
    }

    fn answer(&self, known: &HashMap<Key, Known>) -> Answer {
        match &self.chosen {
            Some(Some(candidate)) => return Answer::Found(candidate.clone()),
            Some(None) => return Answer::Absent,
            None if self.number.is_none() => {
                return Answer::Unavailable { reason: "the number is withheld".to_owned() };
            }
            None => {}
        }
        let (mut all, mut several, mut pending, mut away) = (Vec::new(), false, false, None);
        let mut asked = false;
        for offer in self.offers.iter().filter(|o| o.by_phone) {
            asked = true;
            match self.by_phone(&offer.system).and_then(|key| known.get(&key)).map(|k| &k.entry.found) {
                None => pending = true,
                Some(Found::Customers(list)) => {
                    several |= list.len() > 1;
                    all.extend(list.iter().cloned());
                }
                Some(Found::Unavailable(reason)) => away = away.or(Some(reason.clone())),
                Some(Found::Nothing | Found::Facts(_)) => {}
            }
        }
        match (all.len(), several, pending, away) {
            (_, true, ..) => Answer::Ambiguous(all),
            (1.., ..) => Answer::Found(all.swap_remove(0)),
            (0, _, true, _) => Answer::Pending,
            (0, _, false, Some(reason)) => Answer::Unavailable { reason },
            (0, _, false, None) if !asked => {
                Answer::Unavailable { reason: "no system is asked for this line".to_owned() }
            }
            (0, _, false, None) => Answer::Absent,
        }
    }

    /// Who the customer is at one system.
    fn standing(&self, offer: &Offer, known: &HashMap<Key, Known>) -> Standing {
        match &self.chosen {
            Some(None) => return Standing::Nobody,
            Some(Some(chosen)) if chosen.link.system == offer.system.as_str() || !offer.by_phone => {
                return Standing::One(chosen.clone());
            }
            _ => {}
        }
        if !offer.by_phone {
            // A system that cannot search by number (Talon.One) is told who the others found.
            return match self.answer(known) {
                Answer::Pending => Standing::Pending,
                Answer::Found(candidate) => Standing::One(candidate),
                Answer::Absent => Standing::Nobody,
                Answer::Ambiguous(_) => Standing::Several,
                Answer::Unavailable { reason } => Standing::Unavailable(reason),
            };
        }
        let Some(key) = self.by_phone(&offer.system) else {
            return Standing::Unavailable("the number is withheld".to_owned());
        };
        match known.get(&key).map(|k| &k.entry.found) {
            None => Standing::Pending,
            Some(Found::Nothing | Found::Facts(_)) => Standing::Nobody,
            Some(Found::Unavailable(reason)) => Standing::Unavailable(reason.clone()),
            Some(Found::Customers(list)) => match list.as_slice() {
                [one] => Standing::One(one.clone()),
                _ => Standing::Several,
            },
        }
    }
}

enum Standing {
    Pending,
    Nobody,
    Several,
    Unavailable(String),
    One(Arc<Candidate>),
}

fn fill(block: &mut Block, known: &Known) {
    block.asked_at = Some(known.entry.asked_at);
    match &known.entry.found {
        Found::Facts(body) => {
            block.state = if known.fresh { BlockState::Fresh } else { BlockState::Stale };
            block.body = Some(body.clone());
        }
        Found::Nothing | Found::Customers(_) => block.state = BlockState::Absent,
        Found::Unavailable(reason) => {
            block.state = BlockState::Unavailable;
            block.reason = Some(reason.clone());
        }
    }
}

/// A customer as operations are told of it: what `customer.by_phone` mapped, with `id` and `type`.
#[must_use]
pub fn told(customer: &Candidate) -> Value {
    let mut object = match customer.facts.as_deref() {
        Some(Value::Object(facts)) => facts.clone(),
        _ => Map::new(),
    };
    object.insert("id".to_owned(), Value::String(customer.link.id.clone()));
    object.insert("type".to_owned(), Value::String(customer.link.kind.clone()));
    if let Some(name) = &customer.name {
        object.entry("name").or_insert_with(|| Value::String(name.expose().clone()));
    }
    Value::Object(object)
}

/// The customers in a system's answer. A record without an id is none: nothing could be written to it.
#[must_use]
pub fn candidates(system: &SystemId, value: &Value) -> Vec<Arc<Candidate>> {
    let one;
    let list = match value {
        Value::Array(list) => list.as_slice(),
        other => {
            one = [other.clone()];
            &one
        }
    };
    list.iter()
        .filter_map(|record| {
            let object = record.as_object()?;
            let text = |key: &str| match object.get(key) {
                Some(Value::String(s)) if !s.is_empty() => Some(s.clone()),
                Some(Value::Number(n)) => Some(n.to_string()),
                _ => None,
            };
            let id = text("id")?;
            let kind = text("type").unwrap_or_else(|| "customer".to_owned());
            Some(Arc::new(Candidate {
                id: format!("{system}:{kind}:{id}"),
                link: Reference { system: system.to_string(), kind, id },
                name: text("name").map(Private::new),
                reason: text("reason"),
                url: text("url"),
                facts: Some(Arc::new(record.clone())),
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(systems: &[(&str, bool)]) -> Subject {
        let offers = systems
            .iter()
            .map(|(id, by_phone)| Offer {
                system: (*id).into(),
                by_phone: *by_phone,
                blocks: vec![("tickets.open", None)],
                title: None,
            })
            .collect();
        Subject { tenant: TenantId::default(), number: Some("+8613800138000".to_owned()), offers, chosen: None }
    }

    fn found(value: &str, system: &str) -> Known {
        let list = candidates(&system.into(), &serde_json::from_str(value).unwrap());
        let found = if list.is_empty() { Found::Nothing } else { Found::Customers(list) };
        Known { entry: Arc::new(Entry { asked_at: Wall(0), found }), fresh: true }
    }

    #[test]
    fn blocks_are_asked_once_the_customer_is_known_and_keep_their_order() {
        let subject = subject(&[("crm", true), ("points", false)]);
        let mut known = HashMap::new();
        assert_eq!(subject.wanted(&known).len(), 1);
        let kinds = |card: &Card| card.blocks.iter().map(|b| format!("{} {}", b.system, b.kind)).collect::<Vec<_>>();
        let before = kinds(&subject.card(&known));
        known.insert(subject.by_phone(&"crm".into()).unwrap(), found(r#"[{"id": 7, "name": "Li"}]"#, "crm"));
        assert_eq!(subject.wanted(&known).len(), 3);
        let card = subject.card(&known);
        assert_eq!(kinds(&card), before);
        assert!(matches!(&card.answer, Answer::Found(c) if c.id == "crm:customer:7"));
        assert!(matches!(card.blocks[0].state, BlockState::Fresh));
        assert!(matches!(card.blocks[1].state, BlockState::Pending));
    }

    #[test]
    fn the_five_answers_are_never_mixed_up() {
        let subject = subject(&[("a", true), ("b", true)]);
        let key = |system: &str| subject.by_phone(&system.into()).unwrap();
        let away = Known {
            entry: Arc::new(Entry { asked_at: Wall(0), found: Found::Unavailable("a did not answer".into()) }),
            fresh: true,
        };
        let word = |known: &HashMap<Key, Known>| match subject.card(known).answer {
            Answer::Pending => "pending",
            Answer::Found(_) => "found",
            Answer::Absent => "absent",
            Answer::Ambiguous(_) => "ambiguous",
            Answer::Unavailable { .. } => "unavailable",
        };
        let mut known = HashMap::new();
        assert_eq!(word(&known), "pending");
        known.insert(key("a"), away);
        assert_eq!(word(&known), "pending");
        known.insert(key("b"), found("[]", "b"));
        assert_eq!(word(&known), "unavailable");
        known.insert(key("a"), found("[]", "a"));
        assert_eq!(word(&known), "absent");
        known.insert(key("a"), found(r#"[{"id":"1"}]"#, "a"));
        assert_eq!(word(&known), "found");
        known.insert(key("b"), found(r#"[{"id":"1"},{"id":"2"}]"#, "b"));
        assert_eq!(word(&known), "ambiguous");
    }

    #[test]
    fn a_choice_settles_the_card_and_a_refusal_empties_it() {
        let mut subject = subject(&[("a", true)]);
        let two = candidates(&"a".into(), &serde_json::from_str(r#"[{"id":"1"},{"id":"2"}]"#).unwrap());
        subject.chosen = Some(Some(two[1].clone()));
        let known = HashMap::new();
        assert!(matches!(subject.card(&known).answer, Answer::Found(c) if c.link.id == "2"));
        assert_eq!(subject.wanted(&known).len(), 1);
        subject.chosen = Some(None);
        assert!(matches!(subject.card(&known).answer, Answer::Absent));
        assert!(subject.wanted(&known).is_empty());
    }
}
