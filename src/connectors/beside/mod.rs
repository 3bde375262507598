//! A second file beside the one in use: a *canary* is asked in the other's place for some calls, a *shadow* is asked too and only compared. To everybody else both are one
//! system: cards, links, what agents chose and effects know the other's id, and this room knows which file it is for a call. Still; `live` keeps what must last.
//!
//! A call has its version before its first question, by a hash of the caller's number: the same caller keeps the same version, so that a card does not change from call to call, and who
//! has trouble has it every time, which can be explained. Another canary has other callers, for its own name is in the hash.

pub mod compare;
pub mod guard;
pub mod live;

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::words::{AgentId, SystemId, TenantId};

use guard::{Guard, GuardFile};

/// `canary:` or `shadow:` of a connector file. Of several conditions all must hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BesideFile {
    /// The connector in whose place (or beside which) this one is asked.
    pub of: SystemId,
    /// Of the calls that the lists take, so many; by a stable hash of the caller's number. Default 100.
    pub percent: Option<f64>,
    pub tenants: Option<Vec<TenantId>>,
    /// Endpoints, as in a switch's file: PJSIP/trunk.
    pub trunks: Option<Vec<String>>,
    pub queues: Option<Vec<String>>,
    /// Whose phone it rings.
    pub agents: Option<Vec<AgentId>>,
    /// When a canary stops by itself.
    pub guard: Option<GuardFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Canary,
    Shadow,
}

impl Kind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// The same, for use.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    pub kind: Kind,
    pub of: SystemId,
    pub guard: Guard,
    percent: f64,
    tenants: Option<Vec<TenantId>>,
    trunks: Option<Vec<String>>,
    queues: Option<Vec<String>>,
    agents: Option<Vec<AgentId>>,
}

/// What is wrong with a file: the key below it, what was found, what would be right.
pub type Mistake = (&'static str, String, &'static str);

impl Beside {
    /// # Errors
    /// All mistakes; never empty.
    pub fn new(id: &SystemId, kind: Kind, file: &BesideFile) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        if file.of == *id {
            mistakes.push(("/of", "it is beside itself".to_owned(), "the id of another connector"));
        }
        let percent = file.percent.unwrap_or(100.0);
        if !(0.0..=100.0).contains(&percent) {
            mistakes.push(("/percent", format!("found {percent}"), "a number from 0 to 100"));
        }
        let lists = [
            file.tenants.as_ref().map(Vec::is_empty),
            file.trunks.as_ref().map(Vec::is_empty),
            file.queues.as_ref().map(Vec::is_empty),
            file.agents.as_ref().map(Vec::is_empty),
        ];
        if lists.contains(&Some(true)) {
            mistakes.push(("", "an empty list takes no call".to_owned(), "at least one name, or no list"));
        }
        if file.percent.is_none() && lists.iter().all(Option::is_none) {
            mistakes.push((
                "",
                "it is not said for which calls".to_owned(),
                "\"percent:\", or one of tenants, trunks, queues, agents",
            ));
        }
        let guard = match (&file.guard, kind) {
            (Some(_), Kind::Shadow) => {
                mistakes.push((
                    "/guard",
                    "a shadow shows nothing to anybody, so nothing stops it".to_owned(),
                    "no guard",
                ));
                Guard::default()
            }
            (Some(guard), Kind::Canary) => Guard::new(guard).unwrap_or_else(|found| {
                mistakes.push(("/guard", found, "numbers above 0"));
                Guard::default()
            }),
            (None, _) => Guard::default(),
        };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            kind,
            of: file.of.clone(),
            guard,
            percent,
            tenants: file.tenants.clone(),
            trunks: file.trunks.clone(),
            queues: file.queues.clone(),
            agents: file.agents.clone(),
        })
    }

    /// Whether a call with these facts is one of its own. `id` is this file's.
    #[must_use]
    pub fn takes(&self, id: &SystemId, facts: &Facts) -> bool {
        fn among<T: PartialEq>(list: Option<&Vec<T>>, fact: Option<&T>) -> bool {
            list.is_none_or(|list| fact.is_some_and(|fact| list.contains(fact)))
        }
        among(self.tenants.as_ref(), Some(&facts.tenant))
            && among(self.trunks.as_ref(), facts.trunk.as_ref())
            && among(self.queues.as_ref(), facts.queue.as_ref())
            && self.agents.as_ref().is_none_or(|list| facts.agents.iter().any(|agent| list.contains(agent)))
            && share(id, facts) < self.percent
    }

    /// In a few words, for lists.
    #[must_use]
    pub fn calls(&self) -> String {
        let mut words = vec![format!("{} %", self.percent)];
        let mut list = |name: &str, list: Option<Vec<&str>>| {
            words.extend(list.map(|list| format!("{name} {}", list.join(", "))));
        };
        list("of tenant", self.tenants.as_ref().map(|l| l.iter().map(TenantId::as_str).collect()));
        list("of trunk", self.trunks.as_ref().map(|l| l.iter().map(String::as_str).collect()));
        list("of queue", self.queues.as_ref().map(|l| l.iter().map(String::as_str).collect()));
        list("of agent", self.agents.as_ref().map(|l| l.iter().map(AgentId::as_str).collect()));
        words.join(" ")
    }

    /// Whether more can be known of a call that changes the answer.
    #[must_use]
    fn waits(&self) -> bool {
        self.trunks.is_some() || self.queues.is_some() || self.agents.is_some()
    }
}

/// What of a call decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub tenant: TenantId,
    /// Who calls: the number's key. Where it was withheld, the call's id.
    pub caller: String,
    pub trunk: Option<String>,
    pub queue: Option<String>,
    pub agents: Vec<AgentId>,
}

/// Where this caller stands among all, 0 to 100; the same for ever.
fn share(id: &SystemId, facts: &Facts) -> f64 {
    let mut hash = Sha256::new();
    for part in ["linecard version 1", id.as_str(), facts.tenant.as_str(), &facts.caller] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let first = hash.finalize().first_chunk::<4>().copied().unwrap_or_default();
    f64::from(u32::from_be_bytes(first)) / (f64::from(u32::MAX) + 1.0) * 100.0
}

/// By which files the systems are asked for one call, where it is not the one in use. Clones share it; without any it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane(Option<Arc<Ways>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ways {
    canaries: BTreeMap<SystemId, SystemId>,
    shadows: Vec<(SystemId, SystemId)>,
}

impl Lane {
    pub const NONE: Self = Self(None);

    /// `files`: the id of each file beside another that is not stopped. What a call had before it keeps; what it did not have yet it may get, when more is known of it.
    #[must_use]
    pub fn of<'a>(files: impl Iterator<Item = (&'a SystemId, &'a Beside)>, facts: &Facts, before: &Self) -> Self {
        let mut ways = before.0.as_deref().cloned().unwrap_or_default();
        for (id, beside) in files {
            match beside.kind {
                Kind::Canary if !ways.canaries.contains_key(&beside.of) && beside.takes(id, facts) => {
                    ways.canaries.insert(beside.of.clone(), id.clone());
                }
                Kind::Shadow if beside.takes(id, facts) => {
                    let way = (beside.of.clone(), id.clone());
                    if !ways.shadows.contains(&way) {
                        ways.shadows.push(way);
                    }
                }
                Kind::Canary | Kind::Shadow => {}
            }
        }
        Self((ways != Ways::default()).then(|| Arc::new(ways)))
    }

    /// By which file this system is asked, where it is another one.
    #[must_use]
    pub fn version(&self, system: &SystemId) -> Option<&SystemId> {
        self.0.as_ref()?.canaries.get(system)
    }

    /// What is asked besides, when this system was asked.
    pub fn shadows<'a>(&'a self, system: &'a SystemId) -> impl Iterator<Item = &'a SystemId> {
        let all = self.0.iter().flat_map(|ways| &ways.shadows);
        all.filter(move |(of, _)| of == system).map(|(_, shadow)| shadow)
    }
}

/// Which facts of a call have to be told again when they change, because a file asks for them.
#[must_use]
pub fn wants_facts<'a>(mut files: impl Iterator<Item = &'a Beside>) -> bool {
    files.any(Beside::waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn beside(kind: Kind, text: &str) -> Result<Beside, Vec<Mistake>> {
        Beside::new(&"crm-next".into(), kind, &serde_saphyr::from_str(text).unwrap())
    }

    fn facts(caller: &str) -> Facts {
        Facts { caller: caller.to_owned(), ..Facts::default() }
    }

    #[test]
    fn a_caller_stays_where_they_are_and_the_share_is_right() {
        let canary = beside(Kind::Canary, "{of: crm, percent: 10}").unwrap();
        let (one, other) = ("crm-next".into(), "crm-other".into());
        let callers: Vec<Facts> = (0..20_000).map(|n| facts(&format!("+861380013{n:05}"))).collect();
        let taken = |id: &SystemId| callers.iter().filter(|facts| canary.takes(id, facts)).count();
        assert!((1_850..2_150).contains(&taken(&one)), "{}", taken(&one));
        let both = callers.iter().filter(|f| canary.takes(&one, f) && canary.takes(&other, f)).count();
        assert!((120..280).contains(&both), "another canary has other callers: {both}");
        // Written down once: another figure here means that callers would change their version with an upgrade.
        let known = share(&one, &facts("+8613800138000"));
        assert!((known - 49.124_586).abs() < 0.000_001, "{known}");
        for (percent, wanted) in [(0.0, 0), (100.0, 20_000)] {
            let canary = Beside { percent, ..canary.clone() };
            assert_eq!(callers.iter().filter(|facts| canary.takes(&one, facts)).count(), wanted);
        }
        // More percent takes more callers and lets nobody go.
        let more = Beside { percent: 25.0, ..canary.clone() };
        assert!(callers.iter().all(|facts| !canary.takes(&one, facts) || more.takes(&one, facts)));
    }

    #[test]
    fn all_conditions_must_hold_and_a_call_keeps_what_it_had() {
        let canary = beside(Kind::Canary, "{of: crm, queues: [sales], agents: ['1001', '1002']}").unwrap();
        let id: SystemId = "crm-next".into();
        let mut known = facts("+8613800138000");
        let files = || [(&id, &canary)].into_iter();
        let first = Lane::of(files(), &known, &Lane::default());
        assert_eq!((first.version(&"crm".into()), &first), (None, &Lane::default()));
        known.queue = Some("sales".to_owned());
        assert_eq!(Lane::of(files(), &known, &first), Lane::default());
        known.agents = vec!["1009".into(), "1002".into()];
        let then = Lane::of(files(), &known, &first);
        assert_eq!(then.version(&"crm".into()), Some(&id));
        assert_eq!(then.version(&"erp".into()), None);
        // Handed on to another queue, or the canary stopped: this call goes on as it began.
        known.queue = Some("support".to_owned());
        assert_eq!(Lane::of(files(), &known, &then), then);
        assert_eq!(Lane::of([].into_iter(), &known, &then), then);
        assert!(wants_facts([&canary].into_iter()));
        assert!(!wants_facts([&beside(Kind::Canary, "{of: crm, percent: 10}").unwrap()].into_iter()));
        let shadow = beside(Kind::Shadow, "{of: crm, percent: 100}").unwrap();
        let lane = Lane::of([(&id, &shadow)].into_iter(), &known, &Lane::default());
        assert_eq!(lane.shadows(&"crm".into()).collect::<Vec<_>>(), [&id]);
        assert_eq!((lane.version(&"crm".into()), lane.shadows(&"erp".into()).count()), (None, 0));
        assert_eq!(canary.calls(), "100 % of queue sales of agent 1001, 1002");
    }

    #[test]
    fn mistakes_are_told() {
        let told =
            |kind, text: &str| beside(kind, text).unwrap_err().into_iter().map(|(at, ..)| at).collect::<Vec<_>>();
        assert_eq!(told(Kind::Canary, "{of: crm}"), [""]);
        assert_eq!(told(Kind::Canary, "{of: crm-next, percent: 101}"), ["/of", "/percent"]);
        assert_eq!(told(Kind::Canary, "{of: crm, queues: []}"), [""]);
        assert_eq!(told(Kind::Canary, "{of: crm, percent: 1, guard: {minimum: 0}}"), ["/guard"]);
        assert_eq!(told(Kind::Canary, "{of: crm, percent: 1, guard: {latency: .nan}}"), ["/guard"]);
        assert_eq!(told(Kind::Shadow, "{of: crm, percent: 1, guard: {}}"), ["/guard"]);
    }
}
