//! Who waits for which answer, and what came for them.
//!
//! Both sides hold one lock for as long as the disk takes: an answer either finds the flow that waits, or is on disk before that flow looks. So none is lost in between, and none is
//! looked for by the clock.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::{
    calls::{Directory, directory::Agent},
    connectors::hook::{self, Decided},
    store::{AuditRow, Batch, FlowDue, FlowWordRow, Store, StoreError},
    words::{SystemId, TenantId, Wall},
};

use super::{
    super::{
        Run, Settings,
        live::{Plans, word_of},
        machine::NOTHING_WAITS,
        word::{Said, Word},
    },
    Answer, Button, Mailbox, NAME, shown,
};

/// In one look at the disk, at the start.
const PAGE: usize = 500;

/// One of our people by the id at a system; an id of two is nobody's.
fn ours<'d>(people: &'d Directory, system: &SystemId, id: &str) -> Option<&'d Arc<Agent>> {
    let mut known = people.agents().filter(|agent| agent.ids.get(system.as_str()).is_some_and(|known| known == id));
    known.next().filter(|_| known.next().is_none())
}

/// By mailbox: the flows that wait.
type Waiting = HashMap<Mailbox, BTreeSet<(TenantId, String)>>;

/// Shared by those who carry flows on and the door of webhooks.
#[derive(Clone)]
pub struct Post {
    store: Store,
    people: Arc<ArcSwap<Directory>>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Post {
    #[must_use]
    pub fn new(store: Store, people: Arc<Directory>) -> Self {
        Self { store, people: Arc::new(ArcSwap::new(people)), waiting: Arc::default() }
    }

    /// Who our people are, after a reload.
    pub fn reload(&self, people: Arc<Directory>) {
        self.people.store(people);
    }

    /// On disk for whoever waits for them, or will. `named`: the event that brought them. `holds`: a flow may come to wait for what this system tells; where none
    /// does, what people say to each other is nothing to us.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn arrive(
        &self,
        tenant: &TenantId,
        system: &SystemId,
        named: &str,
        answers: &[hook::Answer],
        holds: bool,
        at: Wall,
    ) -> Result<(), StoreError> {
        if answers.is_empty() {
            return Ok(());
        }
        let people = self.people.load();
        let waiting = self.waiting.lock().await;
        let mut batch = Batch::default();
        for (n, told) in answers.iter().enumerate() {
            let mailbox = Mailbox::of(system, &told.key);
            let known = ours(&people, system, &told.who);
            let name = known.map(|agent| agent.name.as_deref().unwrap_or(agent.id.as_str()));
            let answer = Answer::of(format!("{named} {n}"), told, name);
            let (who, event) = (format!("{}@{system}", answer.who.expose()), answer.event.clone());
            let word = Word::here(who, Vec::new(), Said::Answer { mailbox: mailbox.clone(), answer });
            match waiting.get(&mailbox) {
                Some(flows) => {
                    let rows = flows.iter().map(|(tenant, flow)| word.row(tenant, flow, format!("{flow} {event}"), at));
                    batch.flow_words.extend(rows);
                }
                None if !holds && waiting.is_empty() => {}
                None => batch.flow_words.push(word.row(
                    tenant,
                    mailbox.as_str(),
                    format!("{} {event}", mailbox.as_str()),
                    at,
                )),
            }
        }
        self.store.submit(batch).await
    }

    /// Somebody pressed a button of an approval's card. By the rules of the page: one of ours, whose role and amount suffice, and never who asked; the first word counts, and it is on disk
    /// before anybody is told so. `named`: the event.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn decide(
        &self,
        plans: &Plans,
        tenant: &TenantId,
        system: &SystemId,
        named: &str,
        pressed: &hook::Decision,
        at: Wall,
    ) -> Result<Decided, StoreError> {
        let nothing = || Decided::of("over", "This waits for nobody any more.");
        let Some(button) = Button::read(&pressed.token) else { return Ok(nothing()) };
        // Two presses at one time are one after the other.
        let _one = self.waiting.lock().await;
        let people = self.people.load();
        let known = ours(&people, system, &pressed.who);
        // A messenger is of no tenant; the flow is of the tenant of whoever pressed, or is not his.
        let tenant = known.map_or(tenant, |agent| &agent.tenant);
        let audit = |who: String, why: &str| AuditRow {
            tenant: tenant.clone(),
            at,
            who,
            what: word_of(&button.said()).unwrap_or_default().to_owned(),
            about: button.flow.clone(),
            reason: Some(format!("{why}, by {system}")),
        };
        let Some(agent) = known else {
            let who = format!("{}@{system}", shown(&pressed.who, NAME));
            let audit = vec![audit(who, "nobody known here")];
            self.store.submit(Batch { audit, ..Batch::default() }).await?;
            let message = "You are not known here. An administrator puts your id into agents.yaml, under your ids.";
            return Ok(Decided::of("unknown-user", message));
        };
        let Some(FlowDue { row, words }) = self.store.flow(tenant.clone(), button.flow.clone()).await? else {
            return Ok(nothing());
        };
        let settings = Settings::default();
        let run = Run::of(&row, row.updated_at, &settings);
        let (Ok(mut run), Ok(plan)) = (run, plans.of(&self.store, &row.flow, &row.hash).await) else {
            return Ok(nothing());
        };
        // What was said and not heard yet was said first.
        for word in words.iter().filter_map(Word::of) {
            let _ = run.hear(&plan, &word, at);
        }
        let word = Word {
            who: agent.id.to_string(),
            roles: agent.roles.clone(),
            via: Some(system.clone()),
            said: button.said(),
        };
        if let Some((agreed, by)) = run.decided(&button.path) {
            let what = if agreed { "agreed to" } else { "refused" };
            let message = format!("This was already {what} by {by}.");
            return Ok(Decided { code: "decided", message, by: Some(by.to_owned()) });
        }
        if let Err(why) = run.hear(&plan, &word, at) {
            self.store.submit(Batch { audit: vec![audit(word.who, why)], ..Batch::default() }).await?;
            let waits = !row.open || why == NOTHING_WAITS;
            return Ok(if waits { nothing() } else { Decided::of("not-permitted", &format!("No: {why}.")) });
        }
        let row = word.row(tenant, &row.id, format!("{} {} {named}", word.who, row.id), at);
        self.store.submit(Batch { flow_words: vec![row], ..Batch::default() }).await?;
        let (code, message) =
            if button.agrees { ("agreed", "You agreed to it.") } else { ("refused", "You refused it.") };
        Ok(Decided::of(code, message))
    }

    /// This flow waits, as its row on disk says. What came before is said to it.
    ///
    /// # Errors
    /// The disk refuses; nothing is lost.
    pub async fn listen(&self, tenant: &TenantId, flow: &str, mailboxes: &[Mailbox]) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().await;
        for mailbox in mailboxes {
            waiting.entry(mailbox.clone()).or_default().insert((tenant.clone(), flow.to_owned()));
            self.hand_over(tenant, flow, mailbox).await?;
        }
        Ok(())
    }

    /// This flow waits for these no more.
    pub async fn leave(&self, flow: &str, mailboxes: &[Mailbox]) {
        let mut waiting = self.waiting.lock().await;
        for mailbox in mailboxes {
            if let Some(flows) = waiting.get_mut(mailbox) {
                flows.retain(|(_, waits)| waits != flow);
                if flows.is_empty() {
                    waiting.remove(mailbox);
                }
            }
        }
    }

    /// All that wait, as the disk has them; until then what comes is held.
    ///
    /// # Errors
    /// The disk refuses.
    pub(in crate::flows) async fn recall(&self, settings: &Settings) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows = self.store.flows_open_after(after.clone(), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            let runs = rows.iter().filter_map(|row| Run::of(row, row.updated_at, settings).ok());
            let mut waiting = self.waiting.lock().await;
            for run in runs {
                for mailbox in run.mailboxes() {
                    waiting.entry(mailbox).or_default().insert((run.tenant.clone(), run.id.clone()));
                }
            }
        }
        // Those few that something is held for, not all that wait.
        let waiting = self.waiting.lock().await;
        for (_, held) in self.store.flow_words_to(Mailbox::PREFIX.to_owned()).await? {
            let mailbox = Mailbox::from(held);
            for (tenant, flow) in waiting.get(&mailbox).into_iter().flatten() {
                self.hand_over(tenant, flow, &mailbox).await?;
            }
        }
        Ok(())
    }

    /// What is held, at the door's own tenant, becomes a flow's.
    async fn hand_over(&self, tenant: &TenantId, flow: &str, mailbox: &Mailbox) -> Result<(), StoreError> {
        let held = self.store.flow_words(TenantId::default(), mailbox.as_str().to_owned()).await?;
        if held.is_empty() {
            return Ok(());
        }
        let heard = held.iter().map(|row| row.id.clone()).collect();
        let said = held.into_iter().map(|row| FlowWordRow {
            id: row.id.replacen(mailbox.as_str(), flow, 1),
            flow: flow.to_owned(),
            tenant: tenant.clone(),
            ..row
        });
        self.store.submit(Batch { flow_words: said.collect(), flow_heard: heard, ..Batch::default() }).await
    }
}
