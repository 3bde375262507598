//! Whether a customer came again: contacts that wait until their days are over.
//!
//! Calls come in the order of their ends. A contact stays only for as long as it may still be followed, and of very many only every second, fourth ... is followed, chosen by its call's id: so memory is
//! bounded by the days and not by the time that is read, and the shares stay what they are.

use std::{
    collections::{HashMap, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use crate::words::Wall;

use super::seen::Link;

/// Contacts that are followed at once; one takes about 150 bytes.
const MOST: u64 = 1_000_000;

/// One of every so many: a power of two, so that about [`MOST`] of these are followed.
#[must_use]
pub fn one_in(calls: u64) -> u64 {
    calls.div_ceil(MOST).max(1).next_power_of_two()
}

#[derive(Debug)]
pub struct Again {
    within_ms: i64,
    one_in: u64,
    /// In the order of their ends; the first has the number `first`.
    contacts: VecDeque<Contact>,
    first: u64,
    /// A customer's key to the number of their newest contact, and of their newest one with a ticket. The ones before were followed by it.
    newest: HashMap<u64, u64>,
    ticketed: HashMap<u64, u64>,
}

#[derive(Debug)]
struct Contact {
    at: Wall,
    keys: Box<[u64]>,
    groups: Box<[u32]>,
    /// A ticket was made of it.
    ticket: bool,
    came_again: bool,
    ticket_again: bool,
}

/// What is known of a contact whose days are over, or (`over` false) will not be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub groups: Box<[u32]>,
    pub over: bool,
    pub ticket: bool,
    pub came_again: bool,
    pub ticket_again: bool,
}

/// A call of a customer.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub id: &'a str,
    pub at: Wall,
    pub tenant: &'a str,
    pub links: &'a [Link<'a>],
    /// Of it a ticket was made or opened again.
    pub ticket_made: bool,
    pub ticket_touched: bool,
}

impl Again {
    #[must_use]
    pub fn new(days: u32, one_in: u64) -> Self {
        let within_ms = i64::from(days) * 86_400_000;
        Self {
            within_ms,
            one_in,
            contacts: VecDeque::new(),
            first: 0,
            newest: HashMap::new(),
            ticketed: HashMap::new(),
        }
    }

    /// Takes out what is judged by now.
    pub fn due(&mut self, now: Wall) -> Option<Judged> {
        let over = self.contacts.front()?.at.plus_ms(self.within_ms) <= now;
        if over { self.pop(true) } else { None }
    }

    /// Those whose days the records do not reach.
    pub fn left(&mut self) -> Option<Judged> {
        self.pop(false)
    }

    fn pop(&mut self, over: bool) -> Option<Judged> {
        let contact = self.contacts.pop_front()?;
        for key in &contact.keys {
            for map in [&mut self.newest, &mut self.ticketed] {
                if map.get(key) == Some(&self.first) {
                    map.remove(key);
                }
            }
        }
        self.first += 1;
        let Contact { groups, ticket, came_again, ticket_again, .. } = contact;
        Some(Judged { groups, over, ticket, came_again, ticket_again })
    }

    /// Another call of these customers: what waits for them is answered. With groups it is a contact of its own that waits from now on.
    pub fn call(&mut self, call: &Call<'_>, groups: Option<Box<[u32]>>) {
        let keys: Box<[u64]> = call.links.iter().map(|l| hash(&(call.tenant, &*l.system, &*l.kind, &*l.id))).collect();
        for key in &keys {
            if let Some(before) = self.newest.get(key).copied().and_then(|number| self.numbered(number)) {
                before.came_again = true;
            }
            let ticketed = self.ticketed.get(key).copied().filter(|_| call.ticket_touched);
            if let Some(before) = ticketed.and_then(|number| self.numbered(number)) {
                before.ticket_again = true;
            }
        }
        if let Some(groups) = groups
            && hash(call.id).is_multiple_of(self.one_in)
        {
            let number = self.first + self.contacts.len() as u64;
            for key in &keys {
                self.newest.insert(*key, number);
                if call.ticket_made {
                    self.ticketed.insert(*key, number);
                }
            }
            self.contacts.push_back(Contact {
                at: call.at,
                keys,
                groups,
                ticket: call.ticket_made,
                came_again: false,
                ticket_again: false,
            });
        }
    }
}

impl Again {
    fn numbered(&mut self, number: u64) -> Option<&mut Contact> {
        self.contacts.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

fn hash<T: Hash + ?Sized>(of: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
