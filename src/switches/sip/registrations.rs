//! Which devices have no phone: what the reg package (RFC 3680) tells of the addresses that are watched.
//!
//! - **Not told is unknown, not unregistered.** Before the first document, after a body that was refused, and when the subscription is over nothing is
//!   known of an address. A NOTIFY without a body says nothing: Kamailio 5.6.3 sends one while nobody published (trace reg-event).
//! - A full document replaces what its subscription told before; a partial one changes the contacts that it lists, by their ids. What it says of a registration
//!   as a whole (`init`, `terminated`: no contact is left) counts either way.
//! - **Order is the CSeq's.** The document's version is read and not believed (0 every time, `reg_info.rs`). Behind a NOTIFY that was lost a partial document
//!   tells too little, and the subscription is refreshed.
//! - Several registrars may tell of one address (forks): it is unregistered only if each of them says so.
//!
//! A contact's remaining time is not counted down: whoever notifies also tells that it expired (RFC 3680 section 4.5), and a contact that a refresh lost
//! somewhere would become a phone that is called missing while it rings.

use std::collections::BTreeSet;

use super::{
    Table,
    dialogs::{Notify, Standing, Wanted, name_of},
    multipart,
    reg_info::{self, RegInfo, Standing as Registered},
};

/// Contacts of one address. A person has a few phones; above that one is told from none, and no more is needed.
pub const CONTACTS: usize = 32;

/// What all subscriptions of one switch tell.
#[derive(Debug, Default)]
pub struct Registrations {
    subscriptions: Table<String, Told>,
    /// Bodies that were refused.
    pub refused: u64,
}

/// What one subscription has told.
#[derive(Debug)]
struct Told {
    user: String,
    cseq: Option<u32>,
    /// The contacts that are there: for which address, and their ids.
    contacts: BTreeSet<(String, String)>,
    /// There were more than are kept.
    crowded: bool,
    /// All contacts are known, so that none is none.
    whole: bool,
}

impl Told {
    fn new(user: String) -> Self {
        Self { user, cseq: None, contacts: BTreeSet::new(), crowded: false, whole: false }
    }

    /// Whether a phone is there; `None`: not known.
    fn reachable(&self) -> Option<bool> {
        match self.contacts.is_empty() && !self.crowded {
            true => self.whole.then_some(false),
            false => Some(true),
        }
    }

    fn forget(&mut self) {
        self.contacts.clear();
        (self.crowded, self.whole) = (false, false);
    }

    fn take(&mut self, info: RegInfo) {
        if !info.partial {
            self.forget();
        }
        // Other addresses of the same person may be told too (RFC 3680 section 4.2); what they are registered for is not this one.
        for registration in info.registrations.into_iter().filter(|r| name_of(&r.aor) == self.user) {
            if registration.state != Registered::Active {
                self.contacts.retain(|(aor, _)| *aor != registration.aor);
                self.crowded &= !info.partial;
                self.whole = true;
                continue;
            }
            self.whole |= !info.partial;
            for contact in registration.contacts {
                let key = (registration.aor.clone(), contact.id);
                if !contact.active {
                    self.contacts.remove(&key);
                } else if self.contacts.len() < CONTACTS || self.contacts.contains(&key) {
                    self.contacts.insert(key);
                } else {
                    self.crowded = true;
                }
            }
        }
    }
}

impl Registrations {
    /// One NOTIFY.
    pub fn notify(&mut self, n: &Notify<'_>) -> Wanted {
        let mut wanted = Wanted::default();
        if n.standing == Standing::Terminated {
            self.lost(n.subscription);
            return wanted;
        }
        // Its name is made once.
        let (name, mut told) = match self.subscriptions.remove_entry(n.subscription) {
            Some(known) => known,
            None => (n.subscription.to_owned(), Told::new(name_of(n.entity))),
        };
        self.take(n, &mut told, &mut wanted);
        self.subscriptions.insert(name, told);
        wanted
    }

    fn take(&mut self, n: &Notify<'_>, told: &mut Told, wanted: &mut Wanted) {
        let lost = match n.cseq.zip(told.cseq) {
            Some((new, last)) if new <= last => return,
            Some((new, last)) => new - last > 1,
            None => false,
        };
        told.cseq = n.cseq.or(told.cseq);
        if n.standing == Standing::Pending {
            return;
        }
        if lost {
            told.forget();
            wanted.refresh = true;
        }
        let content_type = n.content_type.unwrap_or_default();
        if n.body.is_empty() || !multipart::kind(content_type).eq_ignore_ascii_case("application/reginfo+xml") {
            return;
        }
        match reg_info::read(n.body, multipart::parameter(content_type, "charset").as_deref()) {
            Ok(info) => {
                wanted.refresh &= info.partial;
                told.take(info);
            }
            Err(fault) => {
                told.forget();
                self.refused += 1;
                wanted.refused = Some(fault);
            }
        }
    }

    /// A subscription is over: what it told is unknown from now on.
    pub fn lost(&mut self, subscription: &str) {
        self.subscriptions.remove(subscription);
    }

    /// This address is watched no longer.
    pub fn forget(&mut self, uri: &str) {
        let user = name_of(uri);
        self.subscriptions.retain(|_, told| told.user != user);
    }

    /// The users who are known to have no phone.
    #[must_use]
    pub fn unregistered(&self) -> BTreeSet<&str> {
        let (mut none, mut doubt) = (BTreeSet::new(), BTreeSet::new());
        for told in self.subscriptions.values() {
            let of = if told.reachable() == Some(false) { &mut none } else { &mut doubt };
            of.insert(told.user.as_str());
        }
        none.retain(|user| !doubt.contains(user));
        none
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::switches::sip::{watcher, wire, xml::Fault};

    /// One subscription's NOTIFYs in their order.
    #[derive(Default)]
    struct Desk {
        registrations: Registrations,
        cseq: u32,
    }

    impl Desk {
        fn hear(&mut self, subscription: &str, standing: Standing, body: &str) -> Wanted {
            self.cseq += 1;
            self.registrations.notify(&Notify {
                subscription,
                entity: "sip:1001@pbx.lab",
                cseq: Some(self.cseq),
                standing,
                content_type: Some("application/reginfo+xml;charset=\"UTF-8\""),
                body: body.as_bytes(),
            })
        }

        fn told(&mut self, body: &str) -> Wanted {
            self.hear("s", Standing::Active, body)
        }

        fn gone(&self) -> Vec<&str> {
            self.registrations.unregistered().into_iter().collect()
        }
    }

    /// A document of 1001: whole or not, the registration's state, contacts with id, state and event.
    fn document(kind: &str, state: &str, contacts: &[(&str, &str, &str)]) -> String {
        let mut list = String::new();
        for (id, state, event) in contacts {
            write!(list, "<contact id='{id}' state='{state}' event='{event}'><uri>sip:1001@192.0.2.1</uri></contact>")
                .unwrap();
        }
        format!(
            "<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='0' state='{kind}'>\
             <registration aor='sip:1001@pbx.lab' id='r' state='{state}'>{list}</registration></reginfo>"
        )
    }

    const HERE: (&str, &str, &str) = ("a", "active", "registered");

    #[test]
    fn a_device_is_known_to_have_no_phone_or_it_is_not() {
        let mut desk = Desk::default();
        // Nobody published anything: not known.
        assert_eq!(desk.told(""), Wanted::default());
        assert!(desk.gone().is_empty());
        desk.told(&document("full", "active", &[HERE]));
        assert!(desk.gone().is_empty());
        // What ran out is told once more, as terminated.
        desk.told(&document("full", "active", &[("a", "terminated", "expired")]));
        assert_eq!(desk.gone(), ["1001"]);
        // Silence is no news.
        desk.told("");
        assert_eq!(desk.gone(), ["1001"]);
        desk.told(&document("full", "active", &[("b", "active", "created")]));
        assert!(desk.gone().is_empty());
        for state in ["terminated", "init"] {
            desk.told(&document("full", state, &[]));
            assert_eq!(desk.gone(), ["1001"]);
        }
        // Whoever unsubscribed, or lost the subscription, knows nothing.
        desk.registrations.lost("s");
        assert!(desk.gone().is_empty());
        desk.told(&document("full", "terminated", &[]));
        desk.hear("s", Standing::Terminated, &document("full", "terminated", &[]));
        assert!(desk.gone().is_empty());
        desk.told(&document("full", "terminated", &[]));
        desk.registrations.forget("sip:1001@pbx.lab");
        assert!(desk.gone().is_empty());
    }

    #[test]
    fn a_partial_document_changes_what_it_lists() {
        let mut desk = Desk::default();
        // Alone it does not tell that there is no other phone.
        desk.told(&document("partial", "active", &[("z", "terminated", "unregistered")]));
        assert!(desk.gone().is_empty());
        desk.told(&document("full", "active", &[HERE, ("b", "active", "registered")]));
        desk.told(&document("partial", "active", &[("a", "terminated", "unregistered")]));
        assert!(desk.gone().is_empty());
        desk.told(&document("partial", "active", &[("b", "terminated", "deactivated")]));
        assert_eq!(desk.gone(), ["1001"]);
        desk.told(&document("partial", "active", &[("c", "active", "created")]));
        assert!(desk.gone().is_empty());
        desk.told(&document("partial", "terminated", &[]));
        assert_eq!(desk.gone(), ["1001"]);
        // The same user at two domains is there as long as one of them has a phone.
        let two = document("full", "active", &[HERE])
            .replace("</reginfo>", "<registration aor='sip:1001@old.lab' id='q' state='terminated'/></reginfo>");
        desk.told(&two);
        assert!(desk.gone().is_empty());
    }

    #[test]
    fn behind_a_lost_notify_a_partial_document_is_not_enough() {
        let mut desk = Desk::default();
        desk.told(&document("full", "active", &[HERE]));
        desk.cseq += 1;
        let ended = document("partial", "active", &[("a", "terminated", "expired")]);
        assert!(desk.told(&ended).refresh);
        // The lost one may have told of another phone.
        assert!(desk.gone().is_empty());
        desk.cseq += 1;
        assert!(!desk.told(&document("full", "active", &[])).refresh, "a full one tells all there is");
        assert_eq!(desk.gone(), ["1001"]);
        // One that comes late changes nothing.
        desk.cseq -= 1;
        desk.told(&document("full", "active", &[HERE]));
        assert_eq!(desk.gone(), ["1001"]);
    }

    #[test]
    fn two_registrars_must_agree_and_others_do_not_count() {
        let mut desk = Desk::default();
        let none = document("full", "terminated", &[]);
        desk.told(&none);
        desk.hear("t", Standing::Active, &document("full", "active", &[HERE]));
        assert!(desk.gone().is_empty());
        desk.hear("t", Standing::Active, &none);
        assert_eq!(desk.gone(), ["1001"]);
        desk.hear("u", Standing::Pending, &none);
        assert!(desk.gone().is_empty(), "who may not know yet is not asked");
        desk.registrations.lost("u");
        // Of somebody else: nothing is known of 1001 then.
        desk.registrations.lost("t");
        desk.told(&none.replace("1001@", "1002@"));
        assert!(desk.gone().is_empty());
    }

    #[test]
    fn junk_leaves_nothing_known() {
        let mut desk = Desk::default();
        desk.told(&document("full", "terminated", &[]));
        assert_eq!(desk.told("<!DOCTYPE a><reginfo/>").refused, Some(Fault::Dtd));
        assert!(desk.gone().is_empty());
        desk.told(&document("full", "terminated", &[]));
        assert_eq!(desk.told("<dialog-info/>").refused, Some(Fault::Foreign));
        assert_eq!(desk.registrations.refused, 2);
        assert!(desk.gone().is_empty());
        // Words that nobody knows are no registration.
        desk.told(&document("half", "lively", &[("", "here", "?")]));
        assert_eq!(desk.gone(), ["1001"]);
    }

    #[test]
    fn many_contacts_are_bounded() {
        let mut desk = Desk::default();
        let ids: Vec<String> = (0..5 * CONTACTS).map(|n| n.to_string()).collect();
        for state in ["active", "terminated"] {
            for ids in ids.chunks(CONTACTS + 1) {
                let list: Vec<_> = ids.iter().map(|id| (id.as_str(), state, "registered")).collect();
                desk.told(&document("partial", "active", &list));
            }
            assert!(desk.registrations.subscriptions.values().all(|told| told.contacts.len() <= CONTACTS));
            // Of those that were not kept nobody knows that they are gone, until a full document tells.
            assert!(desk.gone().is_empty());
        }
        desk.told(&document("full", "active", &[]));
        assert_eq!(desk.gone(), ["1001"]);
    }

    /// What a real Kamailio told: one phone, two, one, a short refresh (its NOTES.md).
    #[test]
    fn the_recorded_registrations_are_counted() {
        let text = include_str!("../../../proto-fixtures/kamailio/reg-event/subscriber.jsonl");
        let mut registrations = Registrations::default();
        let mut counts = Vec::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(msg) = line["msg"].as_str().filter(|m| line["dir"] == "in" && m.starts_with("NOTIFY")) else {
                continue;
            };
            let message = wire::read(msg.as_bytes()).unwrap();
            let name = watcher::subscription(message.call_id(), message.from_tag());
            let wanted = registrations.notify(&watcher::read(&message, &name));
            assert_eq!(wanted, Wanted::default());
            counts.push(registrations.subscriptions.values().map(|told| told.contacts.len()).sum::<usize>());
            assert!(registrations.unregistered().is_empty());
        }
        assert_eq!(counts, [0, 1, 2, 1, 1]);
    }
}
