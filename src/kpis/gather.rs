//! From the store to an answer: records of a time go by, one at a time, into their groups.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    calls::{Directory, record::Outcome},
    store::{Ended, Reader, StoreError},
    words::{AgentId, SwitchId, TenantId, Wall},
};

use super::{
    again::{self, Again},
    answer::{Answer, Group},
    compare::compare,
    definitions::definitions,
    query::{Calendar, Dimension, Query, Span, whole_days},
    seen::Seen,
    settings::Settings,
    tally::{Tally, Times},
};

/// Groups at most: each hour of a year, a thousand agents on ten days.
const GROUPS: usize = 10_000;

/// What is known besides the records.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub settings: &'a Settings,
    pub directory: &'a Directory,
    /// Switches that tell of calls which the one behind them tells too.
    pub edges: &'a BTreeSet<SwitchId>,
    pub now: Wall,
}

/// What whoever asks may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Of all tenants and people: who has the machine.
    #[default]
    All,
    /// One tenant, and nobody by name.
    Tenant(TenantId),
    /// One tenant; by name only these people, and of teams those that they are in.
    People(TenantId, BTreeSet<AgentId>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("figures of single agents and teams are for their supervisors")]
    NotYours,
    #[error("that would be more than 10000 groups; choose a shorter time, or group by less")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The figures of what is asked.
///
/// # Errors
/// It is not for who asks, too much, or the store cannot be read.
pub fn answer(reader: &Reader, site: Site<'_>, query: &Query, sight: &Sight) -> Result<Answer, Refused> {
    if query.by_people() && matches!(sight, Sight::Tenant(_)) {
        return Err(Refused::NotYours);
    }
    let after = period(reader, site, query, query.span, sight)?;
    let before = query.against.map(|span| period(reader, site, query, span, sight)).transpose()?;
    let (by, settings) = (query.dimensions(), site.settings);
    let whole = after.whole.figures(&by, settings);
    let old = before.as_ref().map(|before| before.whole.figures(&by, settings));
    let compared = old.map(|old| compare(&old, &whole)).unwrap_or_default();
    let unreadable = after.unreadable + before.as_ref().map_or(0, |before| before.unreadable);
    let followed = after.one_in.max(before.as_ref().map_or(1, |before| before.one_in));
    let (mut groups, mut gone) = (after.groups(), before.map(Period::groups).unwrap_or_default());
    // A group of one time alone is compared with nothing, and said.
    for key in gone.keys() {
        groups.entry(key.clone()).or_default();
    }
    let groups = groups.into_iter().map(|(key, tally)| {
        let figures = tally.figures(&by, settings);
        let old = query.against.map(|_| gone.remove(&key).unwrap_or_default().figures(&by, settings));
        let compared = old.map(|old| compare(&old, &figures)).unwrap_or_default();
        let key = query.by.iter().copied().zip(key.into_iter().map(|part| part.map(|part| part.to_string())));
        Group { key: key.collect(), figures, compared }
    });
    Ok(Answer {
        span: query.span,
        zone: settings.zone.clone(),
        by: query.by.clone(),
        of: query.of.clone(),
        unreadable,
        followed_one_in: followed,
        whole,
        groups: groups.collect(),
        before: query.against,
        compared,
        definitions: definitions(settings),
    })
}

/// One part of a group's key for each dimension that is asked by.
type Key = Vec<Option<Arc<str>>>;

/// What one time comes to.
struct Period {
    whole: Tally,
    keys: HashMap<Key, u32>,
    tallies: Vec<Tally>,
    unreadable: u64,
    one_in: u64,
}

impl Period {
    fn groups(self) -> BTreeMap<Key, Tally> {
        let mut tallies: Vec<Option<Tally>> = self.tallies.into_iter().map(Some).collect();
        let taken = self.keys.into_iter().filter_map(|(key, at)| Some((key, tallies.get_mut(at as usize)?.take()?)));
        taken.collect()
    }
}

fn period(reader: &Reader, site: Site<'_>, query: &Query, span: Span, sight: &Sight) -> Result<Period, Refused> {
    let settings = site.settings;
    let reach = span.to.plus_ms(i64::from(settings.fcr_days) * 86_400_000);
    let one_in = again::one_in(reader.ended_count(span.from, reach)?);
    let mut gather = Gather {
        site,
        query,
        sight,
        span,
        calendar: Calendar::new(settings.zone()),
        again: Again::new(settings.fcr_days, one_in),
        period: Period { whole: Tally::default(), keys: HashMap::new(), tallies: Vec::new(), unreadable: 0, one_in },
        full: false,
    };
    reader.ended(span.from, reach, |ended| gather.take(&ended))?;
    // Up to now it is known who came again.
    gather.settle(site.now.min(reach));
    gather.rest();
    gather.times(reader)?;
    gather.differences(reader)?;
    if gather.full { Err(Refused::TooMany) } else { Ok(gather.period) }
}

struct Gather<'a> {
    site: Site<'a>,
    query: &'a Query,
    sight: &'a Sight,
    span: Span,
    calendar: Calendar,
    again: Again,
    period: Period,
    full: bool,
}

/// Groups of one thing that is counted: each once, with the agents whose part goes there.
type Places<'s> = Vec<(u32, Vec<&'s str>)>;

impl Gather<'_> {
    fn take(&mut self, ended: &Ended<'_>) {
        self.settle(ended.at);
        if !self.may_see(ended.tenant) {
            return;
        }
        let Ok(seen) = Seen::read(ended.body) else {
            self.period.unreadable += u64::from(ended.at < self.span.to);
            return;
        };
        if seen.has_twin() && self.site.edges.contains(&SwitchId::from(&*seen.switch)) {
            return;
        }
        let within = ended.at < self.span.to;
        let places = if within { self.places(ended, &seen) } else { None };
        let numbers: Option<Box<[u32]>> = places.as_ref().map(|(places, _)| places.iter().map(|(at, _)| *at).collect());
        if let Some((places, people)) = places {
            self.count(ended, &seen, &places, &people);
        }
        let links = seen.customer.as_ref().map_or(&[][..], |customer| &customer.links);
        if seen.is_inbound() && !links.is_empty() {
            let contact = numbers.filter(|_| seen.outcome == Some(Outcome::Answered));
            let call = again::Call {
                id: ended.call,
                at: ended.at,
                tenant: ended.tenant,
                links,
                ticket_made: ended.ticket_made,
                ticket_touched: ended.ticket_made || ended.ticket_reopened,
            };
            self.again.call(&call, contact);
        }
    }

    fn count(&mut self, ended: &Ended<'_>, seen: &Seen<'_>, places: &Places<'_>, people: &[&str]) {
        let settings = self.site.settings;
        let by_people = self.query.by_people();
        let add = |tally: &mut Tally, people: &[&str]| {
            tally.call(seen, ended.operations, settings);
            if by_people {
                people.iter().filter_map(|agent| seen.handled_by(agent)).for_each(|part| tally.handled(part));
            } else if let Some(handled) = seen.handled() {
                tally.handled(handled);
            }
        };
        add(&mut self.period.whole, people);
        for (at, people) in places {
            if let Some(tally) = self.period.tallies.get_mut(*at as usize) {
                add(tally, people);
            }
        }
    }

    /// The groups of a call, and whose parts in it count; `None`: it is none of those that are asked for.
    fn places<'s>(&mut self, ended: &Ended<'_>, seen: &'s Seen<'_>) -> Option<(Places<'s>, Vec<&'s str>)> {
        let one = |dimension: Dimension| match dimension {
            Dimension::Queue => Some(seen.queue.as_deref()),
            Dimension::Line => Some(seen.line.as_deref()),
            Dimension::Brand => Some(seen.brand.as_deref()),
            Dimension::Tenant => Some(Some(ended.tenant)),
            Dimension::Day | Dimension::Hour | Dimension::Agent | Dimension::Team => None,
        };
        for (dimension, wanted) in &self.query.of {
            if let Some(is) = one(*dimension)
                && !is.is_some_and(|is| wanted.iter().any(|word| word == is))
            {
                return None;
            }
        }
        let by_people = self.query.by_people();
        let mut people: Vec<&str> = Vec::new();
        if by_people {
            let all = seen.agents.iter().flatten().map(|agent| &**agent);
            people.extend(all.filter(|agent| self.is_asked_for(agent)));
            let named = [Dimension::Agent, Dimension::Team].iter().any(|d| self.query.of.contains_key(d));
            // A call that others had is none of these people's; one that nobody had stands for nobody.
            if people.is_empty() && (named || seen.agents.iter().flatten().next().is_some()) {
                return None;
            }
        }
        if self.query.by.is_empty() {
            return Some((Vec::new(), people));
        }
        let (day, hour) = self.calendar.of(ended.at);
        let (day, hour): (Arc<str>, Arc<str>) = (day.into(), hour.into());
        let mut keys: Vec<(Key, Vec<&str>)> = Vec::new();
        let nobody = [None];
        let some: Vec<Option<&str>> = people.iter().map(|agent| Some(*agent)).collect();
        for agent in if some.is_empty() { &nobody[..] } else { &some } {
            for team in self.teams(*agent) {
                let part = |dimension: &Dimension| match dimension {
                    Dimension::Day => Some(day.clone()),
                    Dimension::Hour => Some(hour.clone()),
                    Dimension::Agent => agent.map(Into::into),
                    Dimension::Team => team.clone(),
                    other => one(*other).flatten().map(Into::into),
                };
                let key: Key = self.query.by.iter().map(part).collect();
                match keys.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, agents)) => agents.extend(*agent),
                    None => keys.push((key, agent.iter().copied().collect())),
                }
            }
        }
        let places = keys.into_iter().filter_map(|(key, agents)| Some((self.place(key)?, agents))).collect();
        Some((places, people))
    }

    /// The teams of which an agent's group is to be; one without a name where teams do not matter or there is none.
    fn teams(&self, agent: Option<&str>) -> Vec<Option<Arc<str>>> {
        if !self.query.by.contains(&Dimension::Team) {
            return vec![None];
        }
        let wanted = self.query.of.get(&Dimension::Team);
        let known = agent.and_then(|agent| self.site.directory.agent(&agent.into()));
        let teams = known.iter().flat_map(|agent| &agent.teams);
        let teams = teams.filter(|team| wanted.is_none_or(|wanted| wanted.contains(team)));
        let teams: Vec<_> = teams.map(|team| Some(team.as_str().into())).collect();
        if teams.is_empty() { vec![None] } else { teams }
    }

    fn place(&mut self, key: Key) -> Option<u32> {
        if let Some(at) = self.period.keys.get(&key) {
            return Some(*at);
        }
        if self.period.tallies.len() >= GROUPS {
            self.full = true;
            return None;
        }
        let at = u32::try_from(self.period.tallies.len()).ok()?;
        self.period.tallies.push(Tally::default());
        self.period.keys.insert(key, at);
        Some(at)
    }

    fn may_see(&self, tenant: &str) -> bool {
        match self.sight {
            Sight::All => true,
            Sight::Tenant(own) | Sight::People(own, _) => own.as_str() == tenant,
        }
    }

    /// Whether this agent's part is one that is asked for, and may be seen.
    fn is_asked_for(&self, agent: &str) -> bool {
        let id = AgentId::from(agent);
        let in_sight = match self.sight {
            Sight::All => true,
            Sight::Tenant(_) => false,
            Sight::People(_, people) => people.contains(&id),
        };
        let wanted = |dimension| self.query.of.get(&dimension);
        let named = wanted(Dimension::Agent).is_none_or(|agents| agents.iter().any(|known| known == agent));
        let teamed = wanted(Dimension::Team).is_none_or(|teams| {
            let known = self.site.directory.agent(&id);
            known.is_some_and(|known| known.teams.iter().any(|team| teams.contains(team)))
        });
        in_sight && named && teamed
    }

    /// Contacts whose days were over then.
    fn settle(&mut self, now: Wall) {
        while let Some(judged) = self.again.due(now) {
            self.judged(&judged);
        }
    }

    fn rest(&mut self) {
        while let Some(judged) = self.again.left() {
            self.judged(&judged);
        }
    }

    fn judged(&mut self, judged: &again::Judged) {
        let add = |tally: &mut Tally| {
            let mut rate = |yes: bool, ticket: bool| {
                let rate = if ticket { &mut tally.ticket } else { &mut tally.contact };
                // Who came again already is left out like who did not yet: else only failures would be known of the last days.
                if judged.over {
                    rate.of += 1;
                    rate.yes += u64::from(yes);
                } else {
                    rate.open += 1;
                }
            };
            rate(!judged.came_again, false);
            if judged.ticket {
                rate(!judged.ticket_again, true);
            }
        };
        add(&mut self.period.whole);
        for at in &judged.groups {
            if let Some(tally) = self.period.tallies.get_mut(*at as usize) {
                add(tally);
            }
        }
    }

    /// The time of agents, where it can be told.
    fn times(&mut self, reader: &Reader) -> Result<(), Refused> {
        if !super::Id::Occupancy.can_be_told(&self.query.dimensions()) {
            return Ok(());
        }
        let Some((from, to)) = whole_days(&self.site.settings.zone(), self.span) else { return Ok(()) };
        let by_people = self.query.by_people();
        for row in reader.times(&from, &to)? {
            let of_tenant = self.query.of.get(&Dimension::Tenant);
            let wanted = of_tenant.is_none_or(|tenants| tenants.iter().any(|t| t == row.tenant.as_str()));
            if !wanted || !self.may_see(row.tenant.as_str()) || (by_people && !self.is_asked_for(row.agent.as_str())) {
                continue;
            }
            let mut places = Vec::new();
            if !self.query.by.is_empty() {
                for team in self.teams(Some(row.agent.as_str())) {
                    let part = |dimension: &Dimension| match dimension {
                        Dimension::Day => Some(row.day.as_str().into()),
                        Dimension::Agent => Some(row.agent.as_str().into()),
                        Dimension::Team => team.clone(),
                        Dimension::Tenant => Some(row.tenant.as_str().into()),
                        _ => None,
                    };
                    let key: Key = self.query.by.iter().map(part).collect();
                    places.extend(self.place(key));
                }
            }
            let add = |tally: &mut Tally| {
                let times = tally.times.get_or_insert(Times::default());
                let of = match row.state.as_str() {
                    "ready" => &mut times.ready,
                    "busy" => &mut times.busy,
                    "working-after-call" => &mut times.after_call,
                    _ => &mut times.not_ready,
                };
                *of += row.ms;
            };
            add(&mut self.period.whole);
            for at in places {
                if let Some(tally) = self.period.tallies.get_mut(at as usize) {
                    add(tally);
                }
            }
        }
        Ok(())
    }

    fn differences(&mut self, reader: &Reader) -> Result<(), Refused> {
        if !super::Id::ConsistencyErrors.can_be_told(&self.query.dimensions()) {
            return Ok(());
        }
        reader.differences_of(self.span.from, self.span.to, |tenant, kind, at| {
            let of_tenant = self.query.of.get(&Dimension::Tenant);
            if !self.may_see(tenant) || of_tenant.is_some_and(|tenants| !tenants.iter().any(|t| t == tenant)) {
                return;
            }
            self.period.whole.difference(kind);
            if self.query.by.is_empty() {
                return;
            }
            let (day, hour) = self.calendar.of(at);
            let part = |dimension: &Dimension| match dimension {
                Dimension::Day => Some(day.into()),
                Dimension::Hour => Some(hour.into()),
                _ => Some(tenant.into()),
            };
            let key: Key = self.query.by.iter().map(part).collect();
            if let Some(at) = self.place(key)
                && let Some(tally) = self.period.tallies.get_mut(at as usize)
            {
                tally.difference(kind);
            }
        })?;
        Ok(())
    }
}
