//! What is known of each entity: the NOTIFYs of all subscriptions of one switch in, what moved out.
//!
//! The rules are those of RFC 4235 section 4.3, read as notifiers keep them (measured on Kamailio 5.6.3, facts in the traces' notes):
//! - **Not seen is unknown, not idle.** Before the first NOTIFY, after a lost subscription, and when a body fails where there were calls, the entity
//!   is [`Knowledge::Unknown`]. A first NOTIFY without a body means that the notifier knows of no call.
//! - **Order is the CSeq's.** A NOTIFY that is not later than the last is dropped, whatever its version.
//! - **A version may jump** where a NOTIFY without a body used one up (Kamailio), where the notifier counts for several subscriptions (FreeSWITCH), or
//!   where a list gathers. It is a loss where the CSeq jumps too, where the body is partial, or where a list skipped a state.
//! - **Missing from a full body is not always over**: Kamailio passes a phone's partial body on as full (trace phone-publishes-partial-and-full). It is
//!   over if the body has no dialog at all, or if this notifier has shown that it knows partial bodies; else it goes on until more is said.
//! - **First seen terminated** is a call that was not answered if it comes as news and has a call-id; in the first body of a subscription it is
//!   an old one, without a call-id it is a filler that idle phones like to see.
//! - A dialog without a call-id has the notifier's id, and where that is always the same (Asterisk's hints) one call a cycle, up to `terminated`.
//!
//! Several subscriptions to one entity (several edges, several watchers) are one truth: what one has told already is no news from another, and what only
//! one of them lost is not lost. What is kept is bounded by the entities that are watched and [`TALKS`].

use std::collections::{HashMap, HashSet};

use crate::words::Wall;

use super::{
    Table,
    dialog_info::{self, DialogInfo},
    multipart, rlmi,
    sight::{Entity, Sight, View},
    xml::Fault,
};

pub use super::talk::{Change, Step, Talk};

/// Calls of one entity, those included that are over and still listed. A DID or a queue as entity may have hundreds.
pub const TALKS: usize = 1_024;
/// Members of one list.
const MEMBERS: usize = 4_096;
/// Lists in lists.
const NESTING: usize = 3;

/// All that is known of the entities of one switch.
#[derive(Debug, Default)]
pub struct Dialogs {
    subscriptions: Table<String, Subscription>,
    entities: Table<String, Entity>,
    next_view: u64,
    pub counts: Counts,
}

/// What was refused or passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub notifies: u64,
    /// Not later than the last of their subscription.
    pub stale: u64,
    /// NOTIFYs that must have been lost.
    pub gaps: u64,
    /// Bodies of types that are not read.
    pub unread: u64,
    /// Refused bodies, by [`Fault::ALL`]'s order.
    pub refused: [u64; 8],
    /// Dialogs beyond what is kept of one entity.
    pub crowded: u64,
}

/// A NOTIFY, as far as it counts here.
#[derive(Clone, Copy, Debug)]
pub struct Notify<'n> {
    /// One name for one subscription: its Call-ID with the notifier's tag.
    pub subscription: &'n str,
    /// The URI that was subscribed to: where a body does not name its entity.
    pub entity: &'n str,
    /// Absent: not known, then every one is later.
    pub cseq: Option<u32>,
    pub standing: Standing,
    pub content_type: Option<&'n str>,
    pub body: &'n [u8],
}

/// The `Subscription-State` of RFC 6665 section 4.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// Accepted, not yet allowed: what it says may be false.
    Pending,
    Terminated,
}

/// What is known of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    Unknown,
    Idle,
    /// So many calls.
    Busy(usize),
}

/// What to do about a NOTIFY besides answering it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Something was missed: subscribe again at once (RFC 4235 section 4.3).
    pub refresh: bool,
    /// The body was refused. The answer is 200 all the same: another one may end the subscription.
    pub refused: Option<Fault>,
}

#[derive(Debug, Default)]
struct Subscription {
    cseq: Option<u32>,
    /// The entity's own, or each member's of a list, by resource and instance.
    views: Table<String, View>,
    /// A NOTIFY has come.
    started: bool,
    list_version: Option<u32>,
    /// NOTIFYs of a list that were lost: each member may have been in them.
    holes: u32,
    /// Of these, how many a full list has mended.
    mended: u32,
}

impl Dialogs {
    /// An entity that is to be watched: unknown until something is told.
    pub fn watch(&mut self, uri: &str) {
        self.entities.entry(name_of(uri)).or_default();
    }

    /// It is watched no longer.
    pub fn forget(&mut self, uri: &str) {
        self.entities.remove(&name_of(uri));
    }

    /// Whether an entity of this name is watched.
    #[must_use]
    pub fn watches(&self, user: &str) -> bool {
        self.entities.contains_key(user)
    }

    #[must_use]
    pub fn knowledge(&self, user: &str) -> Knowledge {
        let Some(entity) = self.entities.get(user).filter(|e| !e.views.is_empty()) else { return Knowledge::Unknown };
        let live = || entity.talks.values().filter(|t| t.live());
        match live().count() {
            _ if live().any(|t| t.unsure) => Knowledge::Unknown,
            0 => Knowledge::Idle,
            n => Knowledge::Busy(n),
        }
    }

    /// Every entity with what is known of it.
    pub fn all(&self) -> impl Iterator<Item = (&str, Knowledge)> {
        self.entities.keys().map(|user| (user.as_str(), self.knowledge(user)))
    }

    /// Every call that lives, with its entity.
    pub fn live(&self) -> impl Iterator<Item = (&str, &Talk)> {
        self.entities
            .iter()
            .flat_map(|(user, e)| e.talks.values().filter(|t| t.live()).map(move |t| (user.as_str(), t)))
    }

    /// One NOTIFY; `say` is told each thing that it changes.
    pub fn notify(&mut self, now: Wall, n: &Notify<'_>, say: &mut dyn FnMut(Change<'_>)) -> Wanted {
        self.counts.notifies += 1;
        let mut wanted = Wanted::default();
        // Taken out while it is worked on: its name is looked for twice and not at each step.
        let (name, mut subscription) = match self.subscriptions.remove_entry(n.subscription) {
            Some(known) => known,
            None => (n.subscription.to_owned(), Subscription::default()),
        };
        if self.take(now, n, &mut subscription, say, &mut wanted) {
            self.subscriptions.insert(name, subscription);
        } else {
            self.over(subscription, say);
        }
        wanted
    }

    /// One NOTIFY of this subscription. `false`: it was the last one.
    fn take(
        &mut self,
        now: Wall,
        n: &Notify<'_>,
        subscription: &mut Subscription,
        say: &mut dyn FnMut(Change<'_>),
        wanted: &mut Wanted,
    ) -> bool {
        let mut lost = false;
        if let (Some(cseq), Some(last)) = (n.cseq, subscription.cseq) {
            if cseq <= last {
                self.counts.stale += 1;
                return true;
            }
            lost = cseq - last > 1;
        }
        subscription.cseq = n.cseq.or(subscription.cseq);
        if n.standing == Standing::Pending {
            return true;
        }
        self.counts.gaps += u64::from(lost);
        let content_type = n.content_type.unwrap_or_default();
        let kind = multipart::kind(content_type);
        if n.body.is_empty() {
            self.silent(now, n, subscription, lost, say, wanted);
        } else if kind.eq_ignore_ascii_case("application/dialog-info+xml") {
            let charset = multipart::parameter(content_type, "charset");
            match dialog_info::read(n.body, charset.as_deref()) {
                Ok(info) => self.told(now, subscription, "", n.entity, info, lost, false, say, wanted),
                Err(fault) => self.refuse(fault, wanted),
            }
        } else if multipart::is_multipart(content_type) {
            if let Err(fault) = self.parts(now, n, subscription, content_type, n.body, lost, 0, say, wanted) {
                self.refuse(fault, wanted);
            }
        } else {
            self.counts.unread += 1;
        }
        subscription.started = true;
        wanted.refresh |= lost;
        let last = n.standing == Standing::Terminated;
        wanted.refresh &= !last;
        !last
    }

    /// A subscription is over without the notifier's word: 481, a timeout, a connection that closed. What only it told is unknown from now on.
    pub fn lost(&mut self, subscription: &str, say: &mut dyn FnMut(Change<'_>)) {
        if let Some(subscription) = self.subscriptions.remove(subscription) {
            self.over(subscription, say);
        }
    }

    fn over(&mut self, subscription: Subscription, say: &mut dyn FnMut(Change<'_>)) {
        for view in subscription.views.into_values() {
            self.view_lost(&view, say);
        }
    }

    fn view_lost(&mut self, view: &View, say: &mut dyn FnMut(Change<'_>)) {
        let Some(entity) = self.entities.get_mut(&view.entity) else { return };
        entity.views.remove(&view.id);
        for talk in entity.talks.values_mut() {
            let before = talk.views.len();
            talk.views.retain(|v| *v != view.id);
            if talk.live() && talk.views.is_empty() && before > 0 && !talk.unsure {
                (talk.unsure, talk.doubted) = (true, true);
                say(Change { entity: &view.entity, talk, step: Step::Doubt });
            }
        }
    }

    fn refuse(&mut self, fault: Fault, wanted: &mut Wanted) {
        if let Some(count) = Fault::ALL.iter().position(|f| *f == fault).and_then(|at| self.counts.refused.get_mut(at))
        {
            *count += 1;
        }
        wanted.refused = Some(fault);
    }

    /// A NOTIFY without a body.
    fn silent(
        &mut self,
        now: Wall,
        n: &Notify<'_>,
        subscription: &mut Subscription,
        lost: bool,
        say: &mut dyn FnMut(Change<'_>),
        wanted: &mut Wanted,
    ) {
        let Some(view) = view(subscription, &mut self.next_view, &mut self.counts, "", n.entity) else { return };
        if !std::mem::replace(&mut view.started, true) {
            // The first: the notifier knows of no call.
            let nothing = DialogInfo::default();
            return self.told(now, subscription, "", n.entity, nothing, lost, true, say, wanted);
        }
        view.silent = view.silent.saturating_add(1);
        let (id, name) = (view.id, view.entity.clone());
        let Some(entity) = self.entities.get_mut(&name) else { return };
        // Where there were calls, silence is no end: a switch that restarted has forgotten them (trace switch-restart-subscription-kept).
        for talk in entity.talks.values_mut().filter(|t| t.live() && !t.unsure && t.views.contains(&id)) {
            talk.views.retain(|view| *view != id);
            wanted.refresh = true;
            if talk.views.is_empty() {
                (talk.unsure, talk.doubted) = (true, true);
                say(Change { entity: &name, talk, step: Step::Doubt });
            }
        }
    }

    /// A list's body, or any other of several parts.
    #[allow(clippy::too_many_arguments, reason = "one NOTIFY and where its news go")]
    fn parts(
        &mut self,
        now: Wall,
        n: &Notify<'_>,
        subscription: &mut Subscription,
        content_type: &str,
        body: &[u8],
        mut lost: bool,
        nesting: usize,
        say: &mut dyn FnMut(Change<'_>),
        wanted: &mut Wanted,
    ) -> Result<(), Fault> {
        if nesting >= NESTING {
            return Err(Fault::Depth);
        }
        let parts = multipart::parts(content_type, body)?;
        let charset = |content_type: &str| multipart::parameter(content_type, "charset").map(|c| c.into_owned());
        let is = |part: &multipart::Part<'_>, kind: &str| multipart::kind(part.content_type).eq_ignore_ascii_case(kind);
        let Some(root) = parts.iter().find(|part| is(part, "application/rlmi+xml")) else {
            for part in parts.iter().filter(|part| is(part, "application/dialog-info+xml")) {
                let info = dialog_info::read(part.body, charset(part.content_type).as_deref())?;
                self.told(now, subscription, "", n.entity, info, lost, false, say, wanted);
            }
            return Ok(());
        };
        let list = rlmi::read(root.body, charset(root.content_type).as_deref())?;
        let by_id: HashMap<&str, &multipart::Part<'_>> = parts.iter().map(|part| (part.id, part)).collect();
        let mut fresh = false;
        if nesting == 0 {
            let last = subscription.list_version;
            subscription.list_version = list.version.or(last);
            lost |= last.zip(list.version).is_some_and(|(last, new)| new > last.saturating_add(1));
            fresh = !subscription.started;
            subscription.holes += u32::from(lost);
        }
        let mut listed = HashSet::new();
        for resource in &list.resources {
            for instance in &resource.instances {
                let name = format!("{}\n{}", resource.uri, instance.id);
                if instance.state == rlmi::Standing::Active
                    && let Some(part) = instance.cid.as_deref().and_then(|cid| by_id.get(cid))
                {
                    if multipart::is_multipart(part.content_type) {
                        if let Err(fault) = self.parts(
                            now,
                            n,
                            subscription,
                            part.content_type,
                            part.body,
                            lost,
                            nesting + 1,
                            say,
                            wanted,
                        ) {
                            self.refuse(fault, wanted);
                        }
                    } else if is(part, "application/dialog-info+xml") {
                        match dialog_info::read(part.body, charset(part.content_type).as_deref()) {
                            Ok(info) => {
                                // What comes later than the list's first NOTIFY is news, although it is the member's first.
                                let (next, counts) = (&mut self.next_view, &mut self.counts);
                                if let Some(view) = view(subscription, next, counts, &name, &resource.uri) {
                                    view.started |= !fresh;
                                }
                                self.told(now, subscription, &name, &resource.uri, info, lost, false, say, wanted);
                            }
                            Err(fault) => self.refuse(fault, wanted),
                        }
                    }
                } else if instance.state == rlmi::Standing::Terminated
                    && let Some(view) = subscription.views.remove(&name)
                {
                    self.view_lost(&view, say);
                }
                listed.insert(name);
            }
            // Listed without an instance: it is a member, and nothing is known of it.
            if resource.instances.is_empty() {
                self.watch(&resource.uri);
            }
        }
        if list.full && nesting == 0 {
            subscription.mended = subscription.holes;
            subscription.views.values_mut().for_each(|view| view.checked = subscription.holes);
        }
        if list.full && nesting == 0 {
            let missing = subscription.views.extract_if(|name, _| !name.is_empty() && !listed.contains(name));
            let gone: Vec<View> = missing.map(|(_, view)| view).collect();
            for view in &gone {
                self.view_lost(view, say);
            }
        }
        Ok(())
    }

    /// A body of dialogs. `silence`: there was none, and that counts as an empty one.
    #[allow(clippy::too_many_arguments, reason = "one body, whose it is and where its news go")]
    fn told(
        &mut self,
        now: Wall,
        subscription: &mut Subscription,
        member: &str,
        entity: &str,
        info: DialogInfo<'_>,
        mut lost: bool,
        silence: bool,
        say: &mut dyn FnMut(Change<'_>),
        wanted: &mut Wanted,
    ) {
        let entity = if info.entity.is_empty() { entity } else { &info.entity };
        let name = name_of(entity);
        let holes = subscription.holes;
        let Some(view) = view(subscription, &mut self.next_view, &mut self.counts, member, entity) else { return };
        lost |= !member.is_empty() && view.checked < holes;
        view.checked = holes;
        if view.entity != name {
            // It told of its entity by another name before, in a body without one.
            view.entity.clone_from(&name);
        }
        let found = !view.started && !silence;
        view.started = true;
        view.partial |= info.partial;
        if let (Some(version), Some(last)) = (info.version, view.version) {
            let next = last.saturating_add(1);
            let jumps = version > next.saturating_add(view.silent);
            if version <= last && member.is_empty() {
                self.counts.stale += 1;
                return;
            }
            // A list server begins anew at a refresh (trace rls-list): there the list's own order counts.
            lost |= jumps && (info.partial || !member.is_empty());
        }
        view.version = info.version.or(view.version);
        view.silent = 0;
        let (id, partial_known) = (view.id, view.partial);
        wanted.refresh |= lost && info.partial;
        if !self.entities.contains_key(&name) {
            self.entities.insert(name.clone(), Entity::default());
        }
        let Some(entity) = self.entities.get_mut(&name) else { return };
        entity.views.insert(id);
        let counts = &mut self.counts;
        let mut sight = Sight { now, id, name: &name, found, lost, partial: info.partial, view, entity, counts, say };
        let mut keys = Vec::with_capacity(info.dialogs.len());
        let none = info.dialogs.is_empty();
        let partial = info.partial;
        sight.list(info.dialogs, &mut keys);
        if !partial {
            sight.missing(&keys, none, partial_known, silence);
        } else if lost {
            sight.doubt(&keys);
        }
        sight.entity.tidy(now);
    }
}

/// The view of a subscription, made at its first use. `None`: there are too many.
fn view<'s>(
    subscription: &'s mut Subscription,
    next: &mut u64,
    counts: &mut Counts,
    member: &str,
    entity: &str,
) -> Option<&'s mut View> {
    if !subscription.views.contains_key(member) {
        if subscription.views.len() >= MEMBERS {
            counts.crowded += 1;
            return None;
        }
        *next += 1;
        let view = View {
            id: *next,
            entity: name_of(entity),
            version: None,
            silent: 0,
            started: false,
            checked: subscription.mended,
            partial: false,
            seen: Table::default(),
        };
        subscription.views.insert(member.to_owned(), view);
    }
    subscription.views.get_mut(member)
}

/// The name under which an entity is known here.
pub(super) fn name_of(uri: &str) -> String {
    dialog_info::user(uri).unwrap_or_else(|| uri.trim().to_ascii_lowercase())
}
