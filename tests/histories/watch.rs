//! What the daemon's own reading makes of a history: the texts through the real framers and translators into the book, and all that it said.

use std::collections::BTreeMap;

use linecard::{
    calls::{Book, Event, Feed, Record, Said, What},
    daemon::replay::{ReplaySettings, SWITCH},
    switches::asterisk::{ami::Framer, translate_ami, translate_ari},
    words::{CallId, Mono, Now, SwitchId, Wall},
};

use super::pbx::{Line, START};

pub struct Watch {
    book: Book,
    framer: Framer,
    now: Now,
    pub said: Vec<(CallId, What)>,
    pub records: BTreeMap<CallId, Record>,
}

impl Watch {
    pub fn new() -> Self {
        let agents = ["1001", "1002", "1003", "1004"].map(str::to_owned);
        Self {
            book: Book::new(ReplaySettings::plain(&agents, "CN", Some("21")).book),
            framer: Framer::new(),
            now: at(0),
            said: Vec::new(),
            records: BTreeMap::new(),
        }
    }

    /// What one feed says of one line.
    pub fn hear(&mut self, feed: Feed, line: &Line) {
        self.now = at(line.ms);
        for event in events(feed, line, &mut self.framer) {
            self.take(feed, event);
        }
    }

    pub fn take(&mut self, feed: Feed, event: Event) {
        self.book.take(self.now, &SwitchId::from(SWITCH), feed, event);
        self.drain();
    }

    pub fn tell(&mut self, feed: Feed, said: Said) {
        self.take(feed, Event { at: None, said });
    }

    fn drain(&mut self) {
        while let Some(change) = self.book.next_change() {
            if matches!(change.what, What::Ended | What::Amended) {
                self.records.insert(change.call, self.book.record(change.call).unwrap());
            }
            self.said.push((change.call, change.what));
        }
    }

    pub fn open(&self) -> usize {
        self.book.open_calls().count()
    }

    /// The capture is over: what is open is lost.
    pub fn end(&mut self) {
        self.book.lose_all(self.now, &SwitchId::from(SWITCH));
        self.drain();
    }
}

fn at(ms: i64) -> Now {
    Now { wall: Wall(START + ms), mono: Mono(u64::try_from(START + ms).unwrap() * 1000) }
}

fn events(feed: Feed, line: &Line, framer: &mut Framer) -> Vec<Event> {
    if feed == Feed::Ari {
        return match line.ari.is_empty() {
            true => Vec::new(),
            false => translate_ari::translate(&line.ari).unwrap().into_iter().collect(),
        };
    }
    framer.push(line.ami.as_bytes());
    let mut events = Vec::new();
    while let Some(message) = framer.take().unwrap() {
        events.extend(translate_ami::translate(&message));
    }
    events
}

/// Every call appears and ends once, every offer is opened once and closed once, by an establishment that is cleared or by a withdrawal.
pub fn grammar(said: &[(CallId, What)]) -> Vec<String> {
    let mut wrong = Vec::new();
    /// Ordinal, agent, established.
    type Open = Vec<(u32, String, bool)>;
    // Call to its open offers, and the last ordinal.
    let mut open: BTreeMap<CallId, (Open, u32)> = BTreeMap::new();
    let mut ended: Vec<CallId> = Vec::new();
    for (call, what) in said {
        if let What::Appeared = what {
            if open.insert(*call, (Vec::new(), 0)).is_some() || ended.contains(call) {
                wrong.push(format!("{call} appears twice"));
            }
            continue;
        }
        if let What::Absorbed { into } = what {
            let (offers, last) = open.remove(call).unwrap_or_default();
            let Some((kept, first)) = open.get_mut(into) else {
                wrong.push(format!("{call} is absorbed into {into}, which is not open"));
                continue;
            };
            kept.extend(offers.into_iter().map(|(o, a, e)| (o + *first, a, e)));
            *first += last;
            continue;
        }
        if matches!(what, What::Amended) {
            continue;
        }
        let Some((offers, last)) = open.get_mut(call) else {
            wrong.push(format!("{what:?} of {call}, which is not open"));
            continue;
        };
        match what {
            What::Offered(offer) => {
                if offer.ordinal <= *last || offers.iter().any(|(_, a, _)| *a == offer.agent.to_string()) {
                    wrong.push(format!("a second offer at once: {offer:?}"));
                }
                *last = offer.ordinal.max(*last);
                offers.push((offer.ordinal, offer.agent.to_string(), false));
            }
            What::Established(offer) => match offers.iter_mut().find(|(o, ..)| *o == offer.ordinal) {
                Some((_, _, established)) if !*established => *established = true,
                _ => wrong.push(format!("established and not offered, or twice: {offer:?}")),
            },
            What::Withdrawn { offer, .. } | What::Cleared { offer } => {
                let established = matches!(what, What::Cleared { .. });
                let before = offers.len();
                offers.retain(|(o, _, e)| *o != offer.ordinal || *e != established);
                if offers.len() + 1 != before {
                    wrong.push(format!("{what:?} does not close one offer"));
                }
            }
            What::Ended => {
                if !offers.is_empty() {
                    wrong.push(format!("{call} ends with open offers {offers:?}"));
                }
                open.remove(call);
                ended.push(*call);
            }
            _ => {}
        }
    }
    wrong.extend(open.into_keys().map(|call| format!("{call} never ends")));
    wrong
}
