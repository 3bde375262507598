//! Whom to call back, as agents ask for it. The list is asked for, not sent: it changes with every missed call, and nobody needs it who does not look at it.

use crate::{
    calls::{Directory, record::Reference},
    numbers::{Class, Number},
    private::Private,
    records::{
        Callback, Said,
        callbacks::{Refused, Wish},
    },
    words::{CallId, Now},
};

use super::{
    super::{
        ScreenId,
        protocol::{CallbackAsk, CallbackEntry, CallbackList, Callbacks, Code, Dial, Done},
        wire,
    },
    Ask, Key, Output, Roster, Token, deliver,
    mask::{self, Shade},
    requests::{Asked, NOT_OFFERED, NOT_YOURS, Refusable, Waiting, failed},
};

/// Where nobody says how many are wanted, and at most.
const SHOWN: usize = 50;
const MOST: usize = 200;

impl Roster {
    pub(super) fn list_callbacks(&mut self, key: &Key, screen: ScreenId, id: String, list: &CallbackList) {
        let most = list.most.map_or(SHOWN, |most| usize::from(most).min(MOST));
        self.out.push_back(Output::Ask(Ask::Callbacks { key: key.clone(), screen, id, most }));
    }

    /// How many are open for the agent, and the first of them.
    pub fn callbacks(
        &mut self,
        now: Now,
        (key, screen, id): (&Key, ScreenId, &str),
        (open, list): (usize, &[&Callback]),
        directory: &Directory,
    ) {
        let Some(stream) = self.streams.get(key) else { return };
        let ids: Vec<CallId> = list.iter().map(|callback| callback.id).collect();
        let list = list.iter().map(|callback| {
            let owner = callback.owner(now.wall).and_then(|(owner, _)| directory.agent(owner));
            let owner = owner.filter(|agent| agent.tenant == key.0);
            let name = owner.and_then(|agent| agent.name.as_deref());
            entry(callback, now, stream.masks_by(callback.mask.as_ref()), name)
        });
        let list = list.collect();
        let callbacks = Some(Callbacks { open, list });
        let frame = wire::write(0, now.wall, &Done { callbacks, ..Done::of(id) });
        self.out.push_back(deliver(screen, None, frame));
        for id in ids {
            self.view(key, id.to_string(), Some(id), "callbacks");
        }
    }

    pub(super) fn callback(&mut self, asked: &Asked, id: CallId, wish: Wish) -> Refusable {
        let token = self.wait(Waiting::Durable(asked.clone()));
        let key = asked.0.clone();
        self.out.push_back(Output::Ask(Ask::Callback { key, id, wish, token }));
        Ok(())
    }

    pub(super) fn ask_callback(&mut self, asked: &Asked, ask: CallbackAsk) -> Refusable {
        if !self.has(&asked.0, ask.call) {
            return Err(NOT_YOURS);
        }
        let number = self.calls.get(&ask.call).and_then(|call| call.face.as_ref()?.customer.as_ref());
        if number.is_none_or(|number| number.class == Class::Anonymous || number.key().is_none()) {
            return Err(NOT_OFFERED);
        }
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, ask.call, Said::Callback { note: ask.note }, token);
        Ok(())
    }

    /// It is over, or somebody else's.
    pub fn no_callback(&mut self, now: Now, token: Token, refused: Refused) {
        let Some(Waiting::Durable(asked)) = self.waiting.remove(&token) else { return };
        let (code, message) = match refused {
            Refused::Unknown => (Code::UnknownCallback, "this callback is over"),
            Refused::Claimed => (Code::CallbackClaimed, "a colleague has it"),
            Refused::NotYours => (Code::NotPermitted, "another team calls this customer back"),
        };
        self.answer(&asked, failed(now, &asked.1, code, message));
    }
}

/// One as a viewer may see it.
fn entry<'c>(callback: &'c Callback, now: Now, masked: bool, owner_name: Option<&'c str>) -> CallbackEntry<'c> {
    let shade = Shade::of(Some(&Number { raw: Some(callback.number.clone()), ..Number::anonymous() }));
    let shown = |text: &Private<String>| match masked {
        true => shade.text(text.expose()).into_owned(),
        false => text.expose().clone(),
    };
    let owner = callback.owner(now.wall);
    CallbackEntry {
        callback: callback.id,
        display: match masked {
            true => mask::mask(callback.number.expose()),
            false => callback.number.expose().clone(),
        },
        masked,
        handle: format!("{HANDLE}{}", callback.id),
        name: callback.name.as_ref().map(shown),
        why: callback.why,
        line: callback.line.as_deref(),
        queue: callback.queue.as_deref(),
        since: callback.since,
        last: callback.last,
        count: callback.count,
        attempts: callback.attempts,
        due: callback.due,
        owner: owner.map(|(owner, _)| owner.as_str()),
        owner_name,
        until: owner.map(|(_, until)| until),
        note: callback.note.as_ref().map(shown),
    }
}

const HANDLE: &str = "callback@";

/// The callback that a dial is for, if it is for one: by its handle.
pub(super) fn dialled(dial: &mut Dial) -> bool {
    let handle = dial.handle.as_deref().and_then(|handle| handle.strip_prefix(HANDLE));
    if let Some(id) = handle.and_then(|id| id.parse().ok()) {
        dial.reference = Some(Reference::callback(id));
        return true;
    }
    // Only the handle says that it is one: whoever names it otherwise has not been asked whose it is.
    if dial.reference.as_ref().is_some_and(Reference::is_callback) {
        dial.reference = None;
    }
    false
}
