//! What people say to a flow. It is a row of the store before anybody is answered, so that a restart hears it too; the flow takes it in the
//! transaction in which it goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    private::Private,
    store::FlowWordRow,
    words::{SystemId, TenantId, Wall},
};

use super::answers::{Answer, Mailbox};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// An agent's id, or who works at the command line.
    pub who: String,
    #[serde(default)]
    pub roles: Vec<String>,
    /// The messenger by which it was said; absent: the page or the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<SystemId>,
    pub said: Said,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    Approve {
        step: String,
    },
    Refuse {
        step: String,
        #[serde(default)]
        why: Option<Private<String>>,
    },
    /// Somebody's answer at a system, for whoever waits at this mailbox.
    Answer {
        mailbox: Mailbox,
        answer: Answer,
    },
    /// It is to end, and what was done be undone; not behind a pivot.
    Stop {
        #[serde(default)]
        why: Option<Private<String>>,
    },
    /// This task is mine.
    Take {
        task: u32,
    },
    /// What the step wrote into the call's record is durable with this word.
    Written {
        step: String,
    },
    /// The record does not take it.
    Unwritten {
        step: String,
        why: String,
    },
    Settle {
        task: u32,
        how: Settled,
        #[serde(default)]
        note: Option<Private<String>>,
        /// What the system gave, where what follows needs it.
        #[serde(default)]
        result: Option<Private<Value>>,
    },
}

/// What a person found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    Done,
    /// It was not, and is not to be: what was done before is taken back, or this is left out.
    NotDone,
    /// It was not: it is to be tried once more.
    Again,
}

impl Word {
    /// On the page or at the command line.
    #[must_use]
    pub const fn here(who: String, roles: Vec<String>, said: Said) -> Self {
        Self { who, roles, via: None, said }
    }

    /// Who said it, and by which messenger.
    #[must_use]
    pub fn by(&self) -> String {
        self.via.as_ref().map_or_else(|| self.who.clone(), |via| format!("{} ({via})", self.who))
    }

    /// As a row; `id` names the request, so that the same one twice is one word.
    #[must_use]
    pub fn row(&self, tenant: &TenantId, flow: &str, id: String, at: Wall) -> FlowWordRow {
        let body = serde_json::to_string(self).unwrap_or_default();
        FlowWordRow { tenant: tenant.clone(), id, flow: flow.to_owned(), at, body: body.into() }
    }

    #[must_use]
    pub fn of(row: &FlowWordRow) -> Option<Self> {
        serde_json::from_str(row.body.expose()).ok()
    }
}
