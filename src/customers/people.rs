//! Which record of one system is which record of another. Still.
//!
//! Several systems each find records for one number; the card shows people. Two records are the same person
//!
//! 1. where both systems carry a key in common (`keys:` of the connector files: a customer number, a member number, an e-mail
//!    address) with the same value. Different values of the same key: never, whatever the names say;
//! 2. else by name, but only where it is no guess: each system has at most one record of that name at this number. A
//!    household's Wang Fang and Wang Jun stay two, and two Li Wei in one system join nobody by name;
//! 3. else, where a system gives no name at all and has one record, with the one person whom the others found.
//!
//! What nothing joins stays apart and is shown with its source: two rows too many cost a look, two people made one
//! cost somebody's data. A person has at most one record of a system: duplicates within one system are two rows.

use std::{collections::HashMap, sync::Arc};

use super::card::{Candidate, Joined, JoinedBy, Person};

/// The people behind these answers. `found`: each system's records, in the order of the question.
pub(super) fn join(found: &[&[Arc<Candidate>]]) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for candidate in found.iter().copied().flatten() {
        by_key(&mut people, candidate);
    }
    // One system alone, or one person: nothing is left to join.
    if people.len() > 1 && found.iter().filter(|records| !records.is_empty()).count() > 1 {
        by_name(&mut people);
        by_number(&mut people);
    }
    people
}

fn by_key(people: &mut Vec<Person>, candidate: &Arc<Candidate>) {
    let mut new = Person::alone(candidate.clone());
    let mut at = None;
    // The record may be the link between two that had no key in common: then all three are one.
    for index in (0..people.len()).rev() {
        let Some(person) = people.get(index) else { continue };
        if let Some(key) = common(person, &new)
            && can(person, &new)
        {
            let mut found = people.remove(index);
            merge(&mut found, new, &JoinedBy::Key(key));
            (new, at) = (found, Some(index));
        }
    }
    people.insert(at.unwrap_or(people.len()), new);
}

fn by_name(people: &mut Vec<Person>) {
    let mut names: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, person) in people.iter().enumerate() {
        let mut own: Vec<String> = person.records().filter_map(|record| name(record)).collect();
        own.sort();
        own.dedup();
        for name in own {
            names.entry(name).or_default().push(index);
        }
    }
    let mut into: Vec<usize> = (0..people.len()).collect();
    let mut groups: Vec<&Vec<usize>> = names.values().filter(|group| group.len() > 1).collect();
    groups.sort();
    for group in groups {
        let members: Vec<&Person> = group.iter().filter_map(|index| people.get(*index)).collect();
        let sure = members.iter().enumerate().all(|(n, a)| members.iter().skip(n + 1).all(|b| can(a, b)));
        let Some(first) = group.first() else { continue };
        // Someone with two names is in two groups: the first one decides.
        if sure && group.iter().all(|index| into.get(*index) == Some(index)) {
            for index in group {
                if let Some(place) = into.get_mut(*index) {
                    *place = *first;
                }
            }
        }
    }
    for index in (0..people.len()).rev() {
        let Some(target) = into.get(index).copied().filter(|target| *target != index) else { continue };
        let person = people.remove(index);
        if let Some(target) = people.get_mut(target) {
            merge(target, person, &JoinedBy::Name);
        }
    }
}

fn by_number(people: &mut Vec<Person>) {
    let nameless = |person: &Person| person.also.is_empty() && name(&person.head).is_none();
    let named = people.iter().filter(|person| !nameless(person)).count();
    if named != 1 {
        return;
    }
    let all = std::mem::take(people);
    let (others, mut one): (Vec<Person>, Vec<Person>) = all.into_iter().partition(nameless);
    let Some(mut person) = one.pop() else { return };
    let mut apart = Vec::new();
    for other in &others {
        let only = others.iter().filter(|o| o.head.link.system == other.head.link.system).count() == 1;
        if only && can(&person, other) {
            merge(&mut person, other.clone(), &JoinedBy::Number);
        } else {
            apart.push(other.clone());
        }
    }
    people.push(person);
    people.append(&mut apart);
}

/// No system twice, and no key with two values.
fn can(a: &Person, b: &Person) -> bool {
    b.records().all(|record| a.at(&record.link.system).is_none())
        && b.records()
            .flat_map(|record| record.keys.iter())
            .all(|(key, value)| a.key(key).is_none_or(|other| same(other, value.expose())))
}

fn common(a: &Person, b: &Person) -> Option<Arc<str>> {
    b.records()
        .flat_map(|record| record.keys.iter())
        .find(|(key, value)| a.key(key).is_some_and(|other| same(other, value.expose())))
        .map(|(key, _)| key.clone())
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

fn merge(into: &mut Person, other: Person, by: &JoinedBy) {
    into.also.push(Joined { candidate: other.head, by: by.clone() });
    into.also.extend(other.also);
}

/// A name for comparing: case, and blanks, do not count.
fn name(candidate: &Candidate) -> Option<String> {
    let name = candidate.name.as_ref()?.expose();
    let name: String = name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{calls::record::Reference, private::Private};

    fn record(system: &str, id: &str, name: &str, keys: &[(&str, &str)]) -> Arc<Candidate> {
        let link = Reference { system: system.into(), kind: "customer".into(), id: id.into() };
        Arc::new(Candidate {
            name: Some(name).filter(|n| !n.is_empty()).map(Into::into),
            keys: keys.iter().map(|(k, v)| (Arc::from(*k), Private::new(Box::from(*v)))).collect(),
            ..Candidate::at(link)
        })
    }

    /// Each person's records and how they were joined, in order.
    fn people(found: &[&[Arc<Candidate>]]) -> Vec<String> {
        join(found)
            .iter()
            .map(|person| {
                let mut text = person.head.id.replace(":customer:", "");
                for joined in &person.also {
                    let by = match &joined.by {
                        JoinedBy::Key(key) => key.to_string(),
                        JoinedBy::Name => "name".to_owned(),
                        JoinedBy::Number => "number".to_owned(),
                    };
                    text.push_str(&format!(" {by}={}", joined.candidate.id.replace(":customer:", "")));
                }
                text
            })
            .collect()
    }

    #[test]
    fn two_customers_of_one_number_in_two_systems_are_two_people_by_their_code() {
        let odoo = [
            record("odoo", "41", "王小明", &[("customer_no", "C10001")]),
            record("odoo", "44", "赵六", &[("customer_no", "C10004")]),
        ];
        let redmine = [
            record("redmine", "4", "C10004 赵六", &[("customer_no", "c10004 ")]),
            record("redmine", "1", "C10001 王小明", &[("customer_no", "C10001")]),
        ];
        assert_eq!(people(&[&odoo, &redmine]), ["odoo41 customer_no=redmine1", "odoo44 customer_no=redmine4"]);
        // Without the code nothing joins them: four rows.
        let bare = |list: &[Arc<Candidate>]| -> Vec<Arc<Candidate>> {
            list.iter().map(|c| Arc::new(Candidate { keys: Box::default(), ..(**c).clone() })).collect()
        };
        assert_eq!(people(&[&bare(&odoo), &bare(&redmine)]).len(), 4);
    }

    #[test]
    fn a_name_joins_only_where_it_is_no_guess() {
        let a = [record("a", "1", "Wang Fang", &[]), record("a", "2", "Wang Jun", &[])];
        let b = [record("b", "7", "wang  jun", &[]), record("b", "8", "WangFang", &[])];
        assert_eq!(people(&[&a, &b]), ["a1 name=b8", "a2 name=b7"]);
        // Two of one name in one system: it may be either.
        let twins = [record("b", "7", "Wang Jun", &[]), record("b", "8", "Wang Jun", &[])];
        assert_eq!(people(&[&a, &twins]).len(), 4);
        // The same name, and a key that says otherwise.
        let c = [record("a", "1", "Wang Fang", &[("no", "1")])];
        let d = [record("b", "8", "Wang Fang", &[("no", "2")])];
        assert_eq!(people(&[&c, &d]).len(), 2);
        // Other names: two rows, though each system knows only one.
        assert_eq!(people(&[&[record("a", "1", "Li", &[])], &[record("b", "8", "Wang", &[])]]).len(), 2);
    }

    #[test]
    fn a_third_system_links_two_that_have_no_key_in_common() {
        let a = [record("a", "1", "Li", &[("erp", "77")])];
        let b = [record("b", "2", "L.", &[("email", "li@example.org")])];
        let c = [record("c", "3", "", &[("erp", "77"), ("email", "LI@example.org")])];
        assert_eq!(people(&[&a, &b, &c]).len(), 1);
        let third = record("c", "3", "", &[("erp", "78"), ("email", "li@example.org")]);
        assert_eq!(people(&[&a, &b, &[third]]), ["a1", "b2 email=c3"]);
    }

    #[test]
    fn a_record_without_a_name_joins_the_only_person_and_never_one_of_two() {
        let member = [record("m", "9", "", &[])];
        assert_eq!(people(&[&[record("a", "1", "Li", &[])], &member]), ["a1 number=m9"]);
        let two = [record("a", "1", "Li", &[]), record("a", "2", "Wang", &[])];
        assert_eq!(people(&[&two, &member]).len(), 3);
    }
}
