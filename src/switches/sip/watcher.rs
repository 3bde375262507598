//! One switch as its watcher sees it: NOTIFYs in, the book's events out, and which devices have no phone. Who the NOTIFYs come from (live subscriptions, a capture) is another's business.

use crate::{calls::Event, words::Wall};

use super::{
    dialogs::{Dialogs, Notify, Standing, Wanted},
    registrations::Registrations,
    translate::{Ours, Translator},
    wire::Message,
};

/// What is known of the entities, and what was told of it.
#[derive(Debug)]
pub struct Watcher {
    pub dialogs: Dialogs,
    pub registrations: Registrations,
    pub translator: Translator,
}

impl Watcher {
    #[must_use]
    pub fn new(ours: Ours) -> Self {
        Self { dialogs: Dialogs::default(), registrations: Registrations::default(), translator: Translator::new(ours) }
    }

    /// One NOTIFY of a subscription of ours. Of other packages than `dialog` and `reg` nothing is taken.
    pub fn notify(&mut self, now: Wall, message: &Message) -> Wanted {
        let package = message.header("Event").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let name = subscription(message.call_id(), message.from_tag());
        let notify = read(message, &name);
        let Self { dialogs, registrations, translator } = self;
        if package.eq_ignore_ascii_case("dialog") {
            dialogs.notify(now, &notify, &mut |change| translator.change(now, &change))
        } else if package.eq_ignore_ascii_case("reg") {
            registrations.notify(&notify)
        } else {
            Wanted::default()
        }
    }

    /// A subscription is over without the notifier's word.
    pub fn lost(&mut self, now: Wall, subscription: &str) {
        let Self { dialogs, registrations, translator } = self;
        registrations.lost(subscription);
        dialogs.lost(subscription, &mut |change| translator.change(now, &change));
    }

    /// The events since they were last taken.
    pub fn take(&mut self) -> Vec<Event> {
        self.translator.take()
    }
}

/// What counts of a NOTIFY, whatever its package.
#[must_use]
pub fn read<'n>(message: &'n Message, subscription: &'n str) -> Notify<'n> {
    Notify {
        subscription,
        entity: message.from_uri(),
        cseq: Some(message.cseq().0),
        standing: standing(message.header("Subscription-State")),
        content_type: message.content_type(),
        body: message.body(),
    }
}

/// The one name of a subscription: forks of one SUBSCRIBE are several (RFC 6665 section 4.1.4).
#[must_use]
pub fn subscription(call_id: &str, notifier: Option<&str>) -> String {
    [call_id, notifier.unwrap_or_default()].join("\n")
}

fn standing(header: Option<&str>) -> Standing {
    let word = header.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match word {
        _ if word.eq_ignore_ascii_case("terminated") => Standing::Terminated,
        _ if word.eq_ignore_ascii_case("pending") => Standing::Pending,
        _ => Standing::Active,
    }
}
