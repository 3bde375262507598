//! Links that were given and are good still. A link is a token for one recording; it is kept as a digest, so that what lies in memory opens nothing.
//!
//! One player asks several times with one link (a range at each jump), so a link is not spent by its use; its time and its recording bound it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Asker;
use crate::{
    private::Private,
    words::{AgentId, CallId, Mono, SwitchId, TenantId},
};

/// Links of one agent that are good at once: one more takes the oldest's place.
const EACH: usize = 16;
/// Of all agents. At 16 minutes of use a link, this is 20 a second.
const ALL: usize = 20_000;
/// Requests of one agent that are served at once: what a browser opens to one host.
const PLAYING: usize = 6;

/// What a link opens, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub asker: Asker,
    pub call: CallId,
    pub switch: SwitchId,
    pub recording: usize,
    pub of: usize,
    /// As the record names it.
    pub name: Private<String>,
}

impl Grant {
    /// The recording's id in its address: nothing of the call but its own id.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.call, self.recording)
    }

    fn key(&self) -> Key {
        (self.asker.tenant.clone(), self.asker.agent.clone())
    }
}

/// What a request with a token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// Good, and used for the first time.
    First(Arc<Grant>),
    Again(Arc<Grant>),
    /// A good token of another recording; told once.
    Astray(Arc<Grant>),
    /// No token of ours, not any more, or astray again.
    Unknown,
}

type Key = (TenantId, AgentId);
type Token = [u8; 32];

struct Given {
    grant: Arc<Grant>,
    until: Mono,
    used: bool,
    astray: bool,
}

#[derive(Default)]
pub struct Links {
    given: HashMap<Token, Given>,
    /// All are good for the same time: the first given is the first over.
    order: VecDeque<Token>,
    of: HashMap<Key, VecDeque<Token>>,
    playing: HashMap<Key, usize>,
}

impl Links {
    /// Gives a link; false: there are too many.
    pub fn give(&mut self, now: Mono, until: Mono, token: &str, grant: Grant) -> bool {
        self.forget(now);
        let key = grant.key();
        let own = self.of.entry(key).or_default();
        let oldest = if own.len() >= EACH { own.pop_front() } else { None };
        if let Some(oldest) = oldest {
            self.given.remove(&oldest);
        }
        if self.given.len() >= ALL {
            return false;
        }
        if self.order.len() > 2 * ALL {
            // What gave way waits in here for its time.
            self.order.retain(|token| self.given.contains_key(token));
        }
        let token = digest(token);
        own.push_back(token);
        self.order.push_back(token);
        self.given.insert(token, Given { grant: Arc::new(grant), until, used: false, astray: false });
        true
    }

    /// What `token` opens at the address of `id`.
    pub fn take(&mut self, now: Mono, id: &str, token: &str) -> Use {
        self.forget(now);
        let Some(given) = self.given.get_mut(&digest(token)) else { return Use::Unknown };
        if given.grant.id() != id {
            let again = std::mem::replace(&mut given.astray, true);
            return if again { Use::Unknown } else { Use::Astray(given.grant.clone()) };
        }
        match std::mem::replace(&mut given.used, true) {
            false => Use::First(given.grant.clone()),
            true => Use::Again(given.grant.clone()),
        }
    }

    /// What was not written down was not used.
    pub fn unuse(&mut self, token: &str) {
        if let Some(given) = self.given.get_mut(&digest(token)) {
            given.used = false;
        }
    }

    /// A player of this agent begins; false: as many as may play already.
    pub fn plays(&mut self, grant: &Grant) -> bool {
        let now = self.playing.entry(grant.key()).or_default();
        let room = *now < PLAYING;
        *now += usize::from(room);
        room
    }

    pub fn rests(&mut self, grant: &Grant) {
        let key = grant.key();
        if let Some(now) = self.playing.get_mut(&key) {
            *now = now.saturating_sub(1);
            if *now == 0 {
                self.playing.remove(&key);
            }
        }
    }

    fn forget(&mut self, now: Mono) {
        while let Some(token) = self.order.front() {
            match self.given.get(token) {
                Some(given) if given.until > now => return,
                _ => {}
            }
            let gone = self.order.pop_front().and_then(|token| Some((token, self.given.remove(&token)?)));
            let Some((token, given)) = gone else { continue };
            let key = given.grant.key();
            if let Some(own) = self.of.get_mut(&key) {
                own.retain(|other| *other != token);
                if own.is_empty() {
                    self.of.remove(&key);
                }
            }
        }
    }
}

fn digest(token: &str) -> Token {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(agent: &str, recording: usize) -> Grant {
        Grant {
            asker: Asker { tenant: TenantId::default(), agent: agent.into(), roles: Vec::new() },
            call: CallId(ulid::Ulid(7)),
            switch: "pbx1".into(),
            recording,
            of: 2,
            name: "a.wav".into(),
        }
    }

    fn at(s: u64) -> Mono {
        Mono(0).plus_ms(s * 1000)
    }

    #[test]
    fn a_link_opens_its_own_recording_for_its_time_and_says_when_it_is_used_first() {
        let mut links = Links::default();
        assert!(links.give(at(0), at(60), "one", grant("1001", 0)));
        let id = grant("1001", 0).id();
        assert!(matches!(links.take(at(1), &id, "one"), Use::First(_)));
        assert!(matches!(links.take(at(2), &id, "one"), Use::Again(_)));
        links.unuse("one");
        assert!(matches!(links.take(at(2), &id, "one"), Use::First(_)));
        assert_eq!(links.take(at(3), &id, "two"), Use::Unknown);
        let other = grant("1001", 1).id();
        assert!(matches!(links.take(at(4), &other, "one"), Use::Astray(_)));
        assert_eq!(links.take(at(4), &other, "one"), Use::Unknown, "told once");
        assert!(matches!(links.take(at(59), &id, "one"), Use::Again(_)));
        assert_eq!(links.take(at(60), &id, "one"), Use::Unknown);
        assert!(links.given.is_empty() && links.order.is_empty() && links.of.is_empty());
    }

    #[test]
    fn nobody_holds_more_links_and_players_than_one_person_has_hands() {
        let mut links = Links::default();
        let id = grant("1001", 0).id();
        assert!(links.give(at(0), at(60), "other", grant("1002", 0)));
        for n in 0..=EACH {
            assert!(links.give(at(0), at(60), &format!("t{n}"), grant("1001", 0)));
        }
        assert_eq!(links.take(at(1), &id, "t0"), Use::Unknown, "the oldest gave way");
        assert!(matches!(links.take(at(1), &id, "t1"), Use::First(_)));
        assert!(matches!(links.take(at(1), &id, "other"), Use::First(_)), "a colleague's stays");
        let mine = grant("1001", 0);
        assert!((0..PLAYING).all(|_| links.plays(&mine)));
        assert!(!links.plays(&mine) && links.plays(&grant("1002", 0)));
        links.rests(&mine);
        assert!(links.plays(&mine));
        (0..PLAYING).for_each(|_| links.rests(&mine));
        links.rests(&grant("1002", 0));
        assert!(links.playing.is_empty());
        assert!(links.give(at(61), at(90), "late", mine));
        assert_eq!((links.given.len(), links.order.len(), links.of.len()), (1, 1, 1));
    }
}
