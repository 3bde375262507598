//! Who is signed in at the console. A session is a random token of which only the digest is kept; it ends by itself, by signing out, or with the daemon.
//! Guessing passwords is slowed by name and by address, and never by name alone for an address that signed in before: nobody can lock somebody else out.

use core::net::IpAddr;
use std::{collections::HashMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::accounts::Role;
use crate::words::{TenantId, Wall};

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Stands in the audit.
    pub who: String,
    pub role: Role,
    /// Sees this tenant alone; `None`: the whole site.
    pub tenant: Option<TenantId>,
    /// Whose supervisor a token says he is; accounts say nothing of teams.
    pub teams: Option<Box<[String]>>,
    pub until: Wall,
}

/// The sessions that hold, and the tries that failed.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<[u8; 32], Arc<Session>>,
    failed: HashMap<(String, IpAddr), Failed>,
    addresses: HashMap<IpAddr, Failed>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Wall,
}

/// Sessions at most; above it the one that ends first goes.
const MOST: usize = 10_000;
/// Failures at most that are remembered; above it the oldest half goes.
const MOST_FAILED: usize = 20_000;
/// A name from an address: so many wrong passwords are a slip.
const SLIPS: u32 = 5;
/// An address: offices share one.
const SLIPS_OF_ADDRESS: u32 = 50;
/// After which a failure is forgotten, ms.
const FORGOTTEN_MS: u64 = 15 * 60_000;

impl Sessions {
    /// Opens one; `token` are 32 random bytes, as text.
    pub fn open(&mut self, now: Wall, token: &str, session: Session) -> Arc<Session> {
        self.open.retain(|_, session| now < session.until);
        if self.open.len() >= MOST
            && let Some(first) = self.open.iter().min_by_key(|(_, session)| session.until).map(|(digest, _)| *digest)
        {
            self.open.remove(&first);
        }
        let session = Arc::new(session);
        self.open.insert(digest(token), session.clone());
        session
    }

    #[must_use]
    pub fn find(&self, now: Wall, token: &str) -> Option<Arc<Session>> {
        self.open.get(&digest(token)).filter(|session| now < session.until).cloned()
    }

    /// Whether there was one.
    pub fn close(&mut self, token: &str) -> Option<Arc<Session>> {
        self.open.remove(&digest(token))
    }

    /// Keeps those of which `holds` says so: accounts that a reload took away or changed are signed out.
    pub fn keep(&mut self, holds: impl Fn(&Session) -> bool) {
        self.open.retain(|_, session| holds(session));
    }

    /// Seconds until the next try may be made; `None`: now.
    #[must_use]
    pub fn wait(&self, now: Wall, name: &str, from: IpAddr) -> Option<u64> {
        let from = counted(from);
        let named = self.failed.get(&(name.to_owned(), from)).map(|failed| (failed, SLIPS));
        let address = self.addresses.get(&from).map(|failed| (failed, SLIPS_OF_ADDRESS));
        let left = |(failed, slips): (&Failed, u32)| {
            // Each failure above the slips doubles the wait, to a quarter of an hour.
            let above = failed.times.checked_sub(slips)?;
            let wait = (1000_u64 << above.min(20)).min(FORGOTTEN_MS);
            let left = wait.saturating_sub(now.since(failed.last));
            (left > 0).then(|| left.div_ceil(1000))
        };
        [named, address].into_iter().flatten().filter_map(left).max()
    }

    /// A try that failed, or, with `good`, one that did not.
    pub fn tried(&mut self, now: Wall, name: &str, from: IpAddr, good: bool) {
        let from = counted(from);
        let key = (name.to_owned(), from);
        if good {
            self.failed.remove(&key);
            return;
        }
        for failed in [self.failed.entry(key).or_insert(FRESH), self.addresses.entry(from).or_insert(FRESH)] {
            let times = if now.since(failed.last) > FORGOTTEN_MS { 0 } else { failed.times };
            *failed = Failed { times: times.saturating_add(1), last: now };
        }
        if self.failed.len() > MOST_FAILED || self.addresses.len() > MOST_FAILED {
            self.failed.retain(|_, failed| now.since(failed.last) <= FORGOTTEN_MS);
            self.addresses.retain(|_, failed| now.since(failed.last) <= FORGOTTEN_MS);
            halve(&mut self.failed);
            halve(&mut self.addresses);
        }
    }
}

const FRESH: Failed = Failed { times: 0, last: Wall(0) };

/// Without the older half, where that is still too many.
fn halve<K: Clone + Eq + std::hash::Hash>(failed: &mut HashMap<K, Failed>) {
    if failed.len() <= MOST_FAILED {
        return;
    }
    let mut times: Vec<Wall> = failed.values().map(|failed| failed.last).collect();
    let middle = times.len() / 2;
    let (_, from, _) = times.select_nth_unstable(middle);
    let from = *from;
    failed.retain(|_, failed| failed.last > from);
}

/// Whom a failure is counted for: the address; of IPv6 the network of 64 bits, for whoever has one has them all (RFC 4291 section 2.5.1).
fn counted(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(whole) => IpAddr::V6((u128::from(whole) >> 64 << 64).into()),
        v4 => v4,
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn session(who: &str, until: i64) -> Session {
        Session { who: who.to_owned(), role: Role::Admin, tenant: None, teams: None, until: Wall(until) }
    }

    #[test]
    fn a_session_holds_until_its_time_is_over_or_it_is_closed() {
        let mut sessions = Sessions::default();
        sessions.open(Wall(0), "one", session("lin", HOUR));
        sessions.open(Wall(0), "two", session("wu", HOUR));
        assert_eq!(sessions.find(Wall(HOUR - 1), "one").unwrap().who, "lin");
        assert!(sessions.find(Wall(HOUR), "one").is_none());
        assert!(sessions.find(Wall(0), "One").is_none());
        assert_eq!(sessions.close("one").unwrap().who, "lin");
        assert!(sessions.find(Wall(0), "one").is_none());
        sessions.keep(|session| session.who != "wu");
        assert!(sessions.find(Wall(0), "two").is_none());
    }

    #[test]
    fn guessing_takes_longer_and_longer_and_locks_nobody_else_out() {
        let mut sessions = Sessions::default();
        let (here, there): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for n in 0..5 {
            assert_eq!(sessions.wait(Wall(n), "lin", here), None, "{n}");
            sessions.tried(Wall(n), "lin", here, false);
        }
        assert_eq!(sessions.wait(Wall(5), "lin", here), Some(1));
        assert_eq!(sessions.wait(Wall(2000), "lin", here), None);
        for _ in 0..30 {
            sessions.tried(Wall(2000), "lin", here, false);
        }
        assert_eq!(sessions.wait(Wall(2000), "lin", here), Some(900), "a quarter of an hour at most");
        assert_eq!(sessions.wait(Wall(2000), "lin", there), None, "lin signs in from elsewhere");
        for name in 0..60 {
            sessions.tried(Wall(2000), &name.to_string(), here, false);
        }
        assert!(sessions.wait(Wall(2000), "new", here).is_some(), "an address that tries many names");
        assert_eq!(sessions.wait(Wall(2000 + 900_000), "lin", here), None);
        sessions.tried(Wall(0), "lin", there, true);
    }

    #[test]
    fn who_has_a_network_of_ipv6_is_one_and_its_neighbour_another() {
        let mut sessions = Sessions::default();
        let of = |network: u16, host: u16| -> IpAddr { format!("2001:db8:0:{network:x}::{host:x}").parse().unwrap() };
        for host in 0..60 {
            sessions.tried(Wall(0), "lin", of(1, host), false);
        }
        assert_eq!(sessions.wait(Wall(0), "lin", of(1, 999)), Some(900));
        assert!(sessions.wait(Wall(0), "wu", of(1, 999)).is_some(), "an address that tries many times");
        assert_eq!(sessions.wait(Wall(0), "lin", of(2, 1)), None);
        sessions.tried(Wall(0), "lin", "::ffff:192.0.2.1".parse().unwrap(), false);
        assert_eq!(sessions.addresses.len(), 2, "192.0.2.1 is no network of IPv6");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut sessions = Sessions::default();
        for n in 0..(MOST as i64 + 10) {
            sessions.open(Wall(0), &n.to_string(), session("lin", HOUR + n));
        }
        assert_eq!(sessions.open.len(), MOST);
        for n in 0..(MOST_FAILED as u32 * 3) {
            sessions.tried(Wall(i64::from(n)), "lin", IpAddr::from(n.to_be_bytes()), false);
        }
        assert!(sessions.failed.len() <= MOST_FAILED && sessions.addresses.len() <= MOST_FAILED);
    }
}
