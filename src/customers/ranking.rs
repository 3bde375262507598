//! Who of several is shown first, and why. Still: it is told the time.
//!
//! In this order, each decided before the next is looked at: an earlier choice for this number; an open ticket or order; the last contact (in
//! steps: today, this week, this month, this year; the minute says nothing); this agent's own customer; the record that was
//! changed last. What remains equal keeps the order of the systems. The first of the list is never chosen by that.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use crate::words::{AgentId, SystemId, Wall};

use super::card::{Person, Reason, Remembered};

/// Whose customers are whose: a user's id at a system to our agent (agents.yaml `ids`).
pub type Owners = HashMap<(SystemId, String), AgentId>;

/// What we ourselves wrote down of a number and the people found for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub remembered: Option<Remembered>,
    /// [`super::Candidate::id`], when the last call with them ended, who had it.
    pub calls: Vec<(String, Wall, Option<AgentId>)>,
}

/// Finds each one's reasons and puts the best first.
pub(super) fn rank(mut people: Vec<Person>, own: &Own, owners: &Owners, now: Wall) -> Vec<Arc<Person>> {
    for person in &mut people {
        person.reasons = reasons(person, own, owners);
    }
    people.sort_by_key(|person| Reverse(weight(person, None, now)));
    people.into_iter().map(Arc::new).collect()
}

/// The same people for one agent: their own customers a little higher. `None` where that changes nothing.
#[must_use]
pub fn for_agent(people: &[Arc<Person>], agent: &AgentId, now: Wall) -> Option<Vec<Arc<Person>>> {
    let own = |reason: &Reason| matches!(reason, Reason::Owner { agent: owner } if owner == agent);
    if !people.iter().any(|person| person.reasons.iter().any(own)) {
        return None;
    }
    let mut sorted = people.to_vec();
    sorted.sort_by_key(|person| Reverse(weight(person, Some(agent), now)));
    let moved = sorted.iter().zip(people).any(|(a, b)| !Arc::ptr_eq(a, b));
    moved.then_some(sorted)
}

/// Strongest first, as they weigh.
fn reasons(person: &Person, own: &Own, owners: &Owners) -> Vec<Reason> {
    let mut reasons: Vec<Reason> =
        person.reasons.iter().filter(|reason| matches!(reason, Reason::Account)).cloned().collect();
    if let Some(remembered) = own.remembered.as_ref().filter(|r| person.is(&r.candidate)) {
        reasons.push(Reason::Chosen { agent: remembered.agent.clone(), at: remembered.at });
    }
    let signs = || person.records().filter_map(|record| record.signs.as_deref());
    // The same ticket may be counted by two systems: the largest count is said, not their sum.
    let most = |of: fn(&super::card::Signs) -> u32| signs().map(of).max().unwrap_or(0);
    match most(|s| s.tickets) {
        0 => {}
        count => reasons.push(Reason::OpenTickets { count }),
    }
    match most(|s| s.orders) {
        0 => {}
        count => reasons.push(Reason::OpenOrders { count }),
    }
    let calls = own.calls.iter().filter(|(id, ..)| person.is(id));
    let call = calls.max_by_key(|(_, at, _)| *at);
    if let Some((_, at, agent)) = call {
        reasons.push(Reason::LastCall { at: *at, agent: agent.clone() });
    }
    if let Some(at) = signs().filter_map(|s| s.contact).max().filter(|at| call.is_none_or(|(_, ours, _)| at > ours)) {
        reasons.push(Reason::LastContact { at });
    }
    let owner = person.records().find_map(|record| {
        let owner = record.signs.as_ref()?.owner.as_deref()?;
        owners.get(&(record.link.system.as_str().into(), owner.to_owned()))
    });
    if let Some(agent) = owner {
        reasons.push(Reason::Owner { agent: agent.clone() });
    }
    if let Some(at) = signs().filter_map(|s| s.updated).max() {
        reasons.push(Reason::Updated { at });
    }
    reasons
}

type Weight = (bool, bool, u8, bool, Option<Wall>);

fn weight(person: &Person, agent: Option<&AgentId>, now: Wall) -> Weight {
    let mut weight: Weight = (false, false, 0, false, None);
    for reason in &person.reasons {
        match reason {
            Reason::Chosen { .. } | Reason::Account => weight.0 = true,
            Reason::OpenTickets { .. } | Reason::OpenOrders { .. } => weight.1 = true,
            Reason::LastCall { at, .. } | Reason::LastContact { at } => weight.2 = weight.2.max(step(*at, now)),
            Reason::Owner { agent: owner } => weight.3 = agent == Some(owner),
            Reason::Updated { at } => weight.4 = Some(*at),
        }
    }
    weight
}

fn step(at: Wall, now: Wall) -> u8 {
    const DAY: u64 = 86_400_000;
    match now.since(at) {
        0..DAY => 5,
        DAY..604_800_000 => 4,
        604_800_000..2_678_400_000 => 3,
        2_678_400_000..31_622_400_000 => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calls::record::Reference,
        customers::card::{Candidate, Signs},
    };

    const NOW: Wall = Wall(1_795_347_900_000);
    const DAY: i64 = 86_400_000;

    fn person(id: &str, signs: Signs) -> Person {
        let link = Reference { system: "crm".into(), kind: "customer".into(), id: id.into() };
        Person::alone(Arc::new(Candidate { signs: Some(Box::new(signs)), ..Candidate::at(link) }))
    }
    fn ids(people: &[Arc<Person>]) -> String {
        people.iter().map(|p| p.head.link.id.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_sign_counts_only_where_the_stronger_ones_are_equal() {
        let ago = |days: i64| Some(Wall(NOW.0 - days * DAY));
        let all = || {
            vec![
                person("plain", Signs::default()),
                person("changed", Signs { updated: ago(2), ..Signs::default() }),
                person("owned", Signs { owner: Some("7".into()), ..Signs::default() }),
                person("year", Signs { contact: ago(100), ..Signs::default() }),
                person("week", Signs { contact: ago(3), ..Signs::default() }),
                person("order", Signs { orders: 1, ..Signs::default() }),
                person("ticket", Signs { tickets: 2, contact: ago(3), ..Signs::default() }),
                person("chosen", Signs::default()),
            ]
        };
        let remembered = Remembered { candidate: "crm:customer:chosen".into(), agent: "1002".into(), at: NOW };
        let own = Own { remembered: Some(remembered), calls: Vec::new() };
        let owners = Owners::from([(("crm".into(), "7".to_owned()), "1001".into())]);
        let ranked = rank(all(), &own, &owners, NOW);
        assert_eq!(ids(&ranked), "chosen ticket order week year changed plain owned");
        assert_eq!(ranked[0].reasons, [Reason::Chosen { agent: "1002".into(), at: NOW }]);
        assert_eq!(
            ranked[1].reasons,
            [Reason::OpenTickets { count: 2 }, Reason::LastContact { at: Wall(NOW.0 - 3 * DAY) }]
        );
        // To its owner the owned one stands before what was only changed.
        let mine = for_agent(&ranked, &"1001".into(), NOW).unwrap();
        assert_eq!(ids(&mine), "chosen ticket order week year owned changed plain");
        assert!(for_agent(&ranked, &"1002".into(), NOW).is_none(), "nothing changes for others");
    }

    #[test]
    fn our_own_last_call_ranks_and_is_told_before_an_older_contact() {
        let seen = Signs { contact: Some(Wall(NOW.0 - 300 * DAY)), ..Signs::default() };
        let calls = vec![
            ("crm:customer:b".to_owned(), Wall(NOW.0 - 40 * DAY), Some("1003".into())),
            ("crm:customer:b".to_owned(), Wall(NOW.0 - 2 * DAY), Some("1001".into())),
        ];
        let people = vec![person("a", seen.clone()), person("b", seen)];
        let ranked = rank(people, &Own { remembered: None, calls }, &Owners::new(), NOW);
        assert_eq!(ids(&ranked), "b a");
        let last = Reason::LastCall { at: Wall(NOW.0 - 2 * DAY), agent: Some("1001".into()) };
        assert_eq!(ranked[0].reasons, [last]);
    }
}
