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
    calls::Directory,
    connectors::hook,
    store::{Batch, FlowWordRow, Store, StoreError},
    words::{SystemId, TenantId, Wall},
};

use super::{
    super::word::{Said, Word},
    Answer, Mailbox,
};

/// In one look at the disk, at the start.
const PAGE: usize = 500;

/// Shared by those who carry flows on and the door of webhooks.
#[derive(Clone)]
pub struct Post {
    store: Store,
    people: Arc<ArcSwap<Directory>>,
    waiting: Arc<Mutex<HashMap<Mailbox, BTreeSet<String>>>>,
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

    /// On disk for whoever waits for them, or will. `named`: the event that brought them.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn arrive(
        &self,
        tenant: &TenantId,
        system: &SystemId,
        named: &str,
        answers: &[hook::Answer],
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
            let known = people.agents().find(|agent| agent.ids.get(system.as_str()) == Some(&told.who));
            let name = known.map(|agent| agent.name.as_deref().unwrap_or(agent.id.as_str()));
            let answer = Answer::of(format!("{named} {n}"), told, name);
            let (who, event) = (format!("{}@{system}", answer.who.expose()), answer.event.clone());
            let word = Word { who, roles: Vec::new(), said: Said::Answer { mailbox: mailbox.clone(), answer } };
            match waiting.get(&mailbox) {
                Some(flows) => {
                    batch
                        .flow_words
                        .extend(flows.iter().map(|flow| word.row(tenant, flow, format!("{flow} {event}"), at)));
                }
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

    /// This flow waits, as its row on disk says. What came before is said to it.
    ///
    /// # Errors
    /// The disk refuses; nothing is lost.
    pub async fn listen(&self, tenant: &TenantId, flow: &str, mailboxes: &[Mailbox]) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().await;
        for mailbox in mailboxes {
            waiting.entry(mailbox.clone()).or_default().insert(flow.to_owned());
            let held = self.store.flow_words(tenant.clone(), mailbox.as_str().to_owned()).await?;
            if held.is_empty() {
                continue;
            }
            let heard = held.iter().map(|row| row.id.clone()).collect();
            let said = held.into_iter().map(|row| FlowWordRow {
                id: row.id.replacen(mailbox.as_str(), flow, 1),
                flow: flow.to_owned(),
                ..row
            });
            self.store.submit(Batch { flow_words: said.collect(), flow_heard: heard, ..Batch::default() }).await?;
        }
        Ok(())
    }

    /// This flow waits for these no more.
    pub async fn leave(&self, flow: &str, mailboxes: &[Mailbox]) {
        let mut waiting = self.waiting.lock().await;
        for mailbox in mailboxes {
            if let Some(flows) = waiting.get_mut(mailbox) {
                flows.remove(flow);
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
    pub(in crate::flows) async fn recall(&self, settings: &super::super::Settings) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows = self.store.flows_open_after(after.clone(), PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after.clone_from(&last.id);
            for row in &rows {
                let Ok(run) = super::super::Run::of(row, row.updated_at, settings) else { continue };
                let mailboxes = run.mailboxes();
                if !mailboxes.is_empty() {
                    self.listen(&run.tenant, &run.id, &mailboxes).await?;
                }
            }
        }
    }
}
