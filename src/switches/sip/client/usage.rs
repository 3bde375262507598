//! What one SUBSCRIBE set up: its Call-ID, our tag, and a dialog for each notifier that answered (RFC 6665, 4.5).

use std::collections::BTreeMap;

use super::{Package, Subscription, WatchId};
use crate::{
    switches::sip::wire::{self, Message},
    words::Mono,
};

pub struct Usage {
    pub watch: WatchId,
    pub call_id: String,
    /// Ours.
    pub tag: String,
    pub uri: String,
    pub package: Package,
    pub list: bool,
    pub asked_s: u32,
    /// The CSeq of the last SUBSCRIBE outside a dialog.
    pub cseq: u32,
    /// Min-Expires was taken over once (RFC 6665, 4.2.1.1 allows it again; a notifier that raises it each time wants none).
    pub longer: bool,
    /// Timer N: until then a first NOTIFY must come, and forks may.
    pub silent: Mono,
    /// It is being ended.
    pub ending: bool,
    pub dialogs: BTreeMap<String, Dialog>,
}

pub struct Dialog {
    /// The notifier's Contact: where refreshes go.
    pub target: String,
    /// The Contact that said so, as it is written.
    contact: String,
    /// Route values for refreshes, in order.
    pub route: Vec<String>,
    pub cseq: u32,
    /// Of its last NOTIFY.
    pub heard: Option<u32>,
    pub until: Mono,
    /// No NOTIFY may lengthen it beyond what the SUBSCRIBE asked for (RFC 6665, 4.1.2.1).
    pub most: Mono,
    pub refresh: Mono,
    /// A refresh is under way, and another one is wanted behind it.
    pub busy: bool,
    pub wanted: bool,
}

impl Usage {
    pub fn subscription(&self, tag: &str) -> Subscription {
        Subscription { call_id: self.call_id.clone(), tag: tag.to_owned() }
    }

    pub fn is_notified(&self) -> bool {
        self.dialogs.values().any(|d| d.heard.is_some())
    }

    /// A notifier's dialog, made by its NOTIFY or by the 2xx, whichever is first. Both times the Record-Route is turned into the way to it: a
    /// NOTIFY has it in the order to us, a response in the order from us (RFC 3261, 12.1.1 and 12.1.2).
    pub fn dialog(&mut self, tag: &str, message: &Message, until: Mono) -> &mut Dialog {
        let Self { uri, cseq, dialogs, .. } = self;
        // A name of its own only for a dialog that is new.
        if !dialogs.contains_key(tag) {
            let mut route: Vec<String> = message.headers("Record-Route").into_iter().map(str::to_owned).collect();
            if message.status().is_some() {
                route.reverse();
            }
            route.truncate(20);
            let dialog = Dialog {
                target: uri.clone(),
                contact: String::new(),
                route,
                cseq: *cseq,
                heard: None,
                until,
                most: until,
                refresh: until,
                busy: false,
                wanted: false,
            };
            dialogs.insert(tag.to_owned(), dialog);
        }
        dialogs.get_mut(tag).expect("it is there by now")
    }
}

impl Dialog {
    /// The Contact is the target from now on (RFC 3261, 12.2.1.2; RFC 6665, 4.4.1).
    pub fn retarget(&mut self, message: &Message) {
        let Some(written) = message.header("Contact").filter(|written| *written != self.contact) else { return };
        written.clone_into(&mut self.contact);
        if let Some(contact) = wire::address(written)
            && contact.uri.is_known()
            && &*contact.uri.scheme != "tel"
        {
            self.target = contact.uri.to_string();
        }
    }

    /// Request-URI and Route of a request in this dialog (RFC 3261, 12.2.1.1): a first hop without `lr` gets its own URI as Request-URI, and the
    /// target goes last.
    pub fn way(&self) -> (String, Vec<String>) {
        let Some(first) = self.route.first().and_then(|r| wire::address(r)) else {
            return (self.target.clone(), Vec::new());
        };
        if first.uri.params.has("lr") {
            return (self.target.clone(), self.route.clone());
        }
        let rest = self.route.iter().skip(1).cloned().chain([format!("<{}>", self.target)]).collect();
        (first.uri.to_string(), rest)
    }
}
