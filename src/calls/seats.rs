//! Who sits where for a while: hot desks.
//!
//! A seat (`seats:` in agents.yaml) has one person at a time, and a person one seat, at whichever switch. It is taken from the page, or by the switch's own
//! agent login (a dynamic member of a queue), and kept until it is left, swapped for another, taken over,
//! logged out at the switch, or no seat any more by the settings. Closing the page leaves it: a browser that crashes must not take a ringing
//! phone from its agent.
//!
//! The switch's login is never refused, because the switch has done it: who logs in there sits there. A claim from the page is refused while
//! somebody else is there; whether somebody is there is told by who owns the screens.
//!
//! A leg's agent is decided when the leg appears, from what is here at that moment, and never changes: a call that is up stays with who had it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::words::{AgentId, SwitchId, TenantId, Wall};

use super::{
    directory::{Directory, SeatKind},
    event::Member,
};

/// All seats that are taken now.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    taken: HashMap<SwitchId, HashMap<String, Sitting>>,
    of: HashMap<Person, (SwitchId, String)>,
}

/// Who sits where, for links that watch each device.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub directory: Arc<Directory>,
    /// Seats that somebody has, as their rows write them.
    pub taken: BTreeSet<(SwitchId, String)>,
}

impl Places {
    /// A seat was taken or left.
    pub fn turn(&mut self, turn: &Turn) {
        let seat = (turn.sitting.switch.clone(), turn.sitting.device.clone());
        match turn.left {
            None => self.taken.insert(seat),
            Some(_) => self.taken.remove(&seat),
        };
    }
}

/// Whose: agents of two tenants may have one id.
type Person = (TenantId, AgentId);

/// One person at one seat, from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sitting {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub switch: SwitchId,
    /// As the seat's row writes it.
    pub device: String,
    pub from: Wall,
    pub how: How,
    /// The queues that the switch's login put this person into.
    pub queues: BTreeSet<String>,
}

/// How a seat was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// By the agent, on the page.
    Page,
    /// The switch made the device a member of a queue.
    Queue,
}

/// Why somebody sits there no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// By the agent, on the page.
    Left,
    /// The same person took another seat.
    Moved,
    /// Somebody else took this one.
    TakenOver,
    /// The switch said so.
    LoggedOut,
    /// It is no seat, or the person takes none, since the settings were read again.
    Settings,
}

/// A seat was taken (`left` absent) or is free again. To be made durable, and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub sitting: Sitting,
    pub left: Option<(Wall, Left)>,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub switch: SwitchId,
    /// In any spelling of the seat.
    pub device: String,
    pub how: How,
}

/// Why a seat was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this agent takes no seat")]
    NotYours,
    #[error("there is no such seat")]
    NoSeat,
    #[error("the seat is taken")]
    Taken { by: AgentId },
}

impl Seats {
    /// Who sits at this device (`PJSIP/2001`) of a switch.
    #[must_use]
    pub fn at(&self, switch: &SwitchId, device: &str) -> Option<&Sitting> {
        let here = self.taken.get(switch)?;
        here.get(device).or_else(|| here.get(device.rsplit_once('/')?.1))
    }

    /// Where this person sits.
    #[must_use]
    pub fn of(&self, tenant: &TenantId, agent: &AgentId) -> Option<&Sitting> {
        let (switch, device) = self.of.get(&(tenant.clone(), agent.clone()))?;
        self.taken.get(switch)?.get(device)
    }

    pub fn all(&self) -> impl Iterator<Item = &Sitting> {
        self.taken.values().flat_map(HashMap::values)
    }

    /// Takes a seat. `there`: whether who took it on the page is there, and may not be sent away. Nothing changes where the person sits there already.
    ///
    /// # Errors
    /// Why not; then nothing changed.
    pub fn take(
        &mut self,
        at: Wall,
        directory: &Directory,
        wish: Wish,
        there: impl FnOnce(&Sitting) -> bool,
    ) -> Result<Vec<Turn>, Refusal> {
        let Wish { tenant, agent, switch, device, how } = wish;
        let known = directory.agent(&agent).filter(|known| known.tenant == tenant && known.seat == SeatKind::Login);
        known.ok_or(Refusal::NotYours)?;
        let device = directory.seat(&switch, &device).ok_or(Refusal::NoSeat)?;
        let mut turns = Vec::new();
        if let Some(sitting) = self.taken.get(&switch).and_then(|here| here.get(&device)) {
            if sitting.agent == agent && sitting.tenant == tenant {
                return Ok(turns);
            }
            // Who is logged in at the switch goes on getting its calls there: only the switch ends that.
            let logged_on = how == How::Page && sitting.how != How::Page;
            if logged_on || (how == How::Page && there(sitting)) {
                return Err(Refusal::Taken { by: sitting.agent.clone() });
            }
            turns.extend(self.free(at, &switch, &device, Left::TakenOver));
        }
        if let Some((old, seat)) = self.of.get(&(tenant.clone(), agent.clone())).cloned() {
            turns.extend(self.free(at, &old, &seat, Left::Moved));
        }
        let sitting = Sitting { tenant, agent, switch, device, from: at, how, queues: BTreeSet::new() };
        self.put(sitting.clone());
        turns.push(Turn { sitting, left: None });
        Ok(turns)
    }

    /// The person gets up.
    pub fn leave(&mut self, at: Wall, tenant: &TenantId, agent: &AgentId) -> Vec<Turn> {
        let place = self.of.get(&(tenant.clone(), agent.clone())).cloned();
        place.and_then(|(switch, device)| self.free(at, &switch, &device, Left::Left)).into_iter().collect()
    }

    /// The switch says that somebody logged in at a device. A name or device that is none of ours is nobody's, and a member that stands in the switch's
    /// settings was logged in by nobody.
    pub fn logged_on(&mut self, at: Wall, directory: &Directory, switch: &SwitchId, member: &Member) -> Vec<Turn> {
        if !member.dynamic {
            return Vec::new();
        }
        let Some(agent) = directory.called(switch, &member.name) else { return Vec::new() };
        let wish = Wish {
            tenant: agent.tenant.clone(),
            agent: agent.id.clone(),
            switch: switch.clone(),
            device: member.device.clone(),
            how: How::Queue,
        };
        let (tenant, id) = (agent.tenant.clone(), agent.id.clone());
        let turns = self.take(at, directory, wish, |_| false).unwrap_or_default();
        if let Some((switch, device)) = self.of.get(&(tenant, id))
            && directory.seat(switch, &member.device).as_ref() == Some(device)
            && let Some(sitting) = self.taken.get_mut(switch).and_then(|here| here.get_mut(device))
        {
            sitting.queues.insert(member.queue.clone());
        }
        turns
    }

    /// The switch says that somebody logged out. From one queue of several is no logout; a seat taken on the page is not left by a queue.
    pub fn logged_off(&mut self, at: Wall, directory: &Directory, switch: &SwitchId, member: &Member) -> Vec<Turn> {
        let Some(device) = directory.seat(switch, &member.device) else { return Vec::new() };
        let Some(sitting) = self.taken.get_mut(switch).and_then(|here| here.get_mut(&device)) else {
            return Vec::new();
        };
        let named =
            member.name.is_empty() || directory.called(switch, &member.name).is_some_and(|a| a.id == sitting.agent);
        if !named {
            return Vec::new();
        }
        sitting.queues.remove(&member.queue);
        let over = sitting.queues.is_empty() && sitting.how == How::Queue;
        if over { self.free(at, switch, &device, Left::LoggedOut).into_iter().collect() } else { Vec::new() }
    }

    /// All who are logged in to queues of a switch now: who is not among them any more logged out while we were not looking.
    pub fn members(&mut self, at: Wall, directory: &Directory, switch: &SwitchId, all: &[Member]) -> Vec<Turn> {
        let mut turns = Vec::new();
        for sitting in self.taken.get_mut(switch).into_iter().flat_map(HashMap::values_mut) {
            sitting.queues.clear();
        }
        for member in all.iter().filter(|member| member.dynamic) {
            let Some(agent) = directory.called(switch, &member.name) else { continue };
            let Some(device) = directory.seat(switch, &member.device) else { continue };
            // A list is no new word: who has gone elsewhere since, on the page, stays there.
            let free = self.of(&agent.tenant, &agent.id).is_none() && self.at(switch, &device).is_none();
            let same = self.at(switch, &device).is_some_and(|s| s.agent == agent.id && s.tenant == agent.tenant);
            if free || same {
                turns.extend(self.logged_on(at, directory, switch, member));
            }
        }
        let here = self.taken.get(switch);
        let mut gone: Vec<String> = here
            .into_iter()
            .flat_map(HashMap::values)
            .filter(|sitting| sitting.how == How::Queue && sitting.queues.is_empty())
            .map(|sitting| sitting.device.clone())
            .collect();
        gone.sort();
        turns.extend(gone.iter().filter_map(|device| self.free(at, switch, device, Left::LoggedOut)));
        turns
    }

    /// Frees what is no seat any more.
    pub fn reload(&mut self, at: Wall, directory: &Directory) -> Vec<Turn> {
        let stays = |sitting: &Sitting| {
            let agent = directory.agent(&sitting.agent);
            agent.is_some_and(|a| a.tenant == sitting.tenant && a.seat == SeatKind::Login)
                && directory.seat(&sitting.switch, &sitting.device).as_ref() == Some(&sitting.device)
        };
        let mut gone: Vec<(SwitchId, String)> =
            self.all().filter(|s| !stays(s)).map(|s| (s.switch.clone(), s.device.clone())).collect();
        gone.sort();
        gone.iter().filter_map(|(switch, device)| self.free(at, switch, device, Left::Settings)).collect()
    }

    /// What was taken when the last run ended.
    pub fn restore(&mut self, sittings: Vec<Sitting>) {
        for sitting in sittings {
            let person = (sitting.tenant.clone(), sitting.agent.clone());
            if self.at(&sitting.switch, &sitting.device).is_none() && !self.of.contains_key(&person) {
                self.put(sitting);
            }
        }
    }

    fn put(&mut self, sitting: Sitting) {
        let (switch, device) = (sitting.switch.clone(), sitting.device.clone());
        self.of.insert((sitting.tenant.clone(), sitting.agent.clone()), (switch.clone(), device.clone()));
        self.taken.entry(switch).or_default().insert(device, sitting);
    }

    fn free(&mut self, at: Wall, switch: &SwitchId, device: &str, why: Left) -> Option<Turn> {
        let sitting = self.taken.get_mut(switch)?.remove(device)?;
        self.of.remove(&(sitting.tenant.clone(), sitting.agent.clone()));
        // A clock that was set back must not make a sitting of less than no time.
        let at = at.max(sitting.from);
        Some(Turn { sitting, left: Some((at, why)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{
        directory::{Agent, AgentsFile},
        event::Standing,
    };

    fn directory() -> Directory {
        let login = |id: &str| Agent { seat: SeatKind::Login, ..Agent::new(id) };
        let agents = vec![login("li"), login("wang"), Agent::new("chen").at(&["PJSIP/1001"])];
        Directory::of(AgentsFile { seats: vec!["PJSIP/20*".into()], agents, ..AgentsFile::default() })
    }

    fn wish(agent: &str, switch: &str, device: &str) -> Wish {
        Wish {
            tenant: TenantId::default(),
            agent: agent.into(),
            switch: switch.into(),
            device: device.into(),
            how: How::Page,
        }
    }

    fn member(name: &str, device: &str, queue: &str) -> Member {
        let (name, device, queue) = (name.to_owned(), device.to_owned(), queue.to_owned());
        Member {
            name,
            interface: device.clone(),
            device,
            queue,
            dynamic: true,
            reasons: true,
            standing: Standing::Ready,
        }
    }

    fn told(turns: &[Turn]) -> Vec<String> {
        let say = |t: &Turn| {
            let left = t.left.map_or_else(|| "takes".to_owned(), |(at, why)| format!("{why:?} {}", at.0));
            format!("{} {} {} {left}", t.sitting.agent, t.sitting.switch, t.sitting.device)
        };
        turns.iter().map(say).collect()
    }

    #[test]
    fn one_person_at_a_seat_and_one_seat_for_a_person() {
        let (directory, mut seats) = (directory(), Seats::default());
        let take = |seats: &mut Seats, at, wish, there: bool| seats.take(Wall(at), &directory, wish, |_| there);
        assert_eq!(told(&take(&mut seats, 1, wish("li", "pbx1", "2001"), true).unwrap()), ["li pbx1 PJSIP/2001 takes"]);
        // Again, in another spelling: nothing new.
        assert_eq!(take(&mut seats, 2, wish("li", "pbx1", "PJSIP/2001"), true), Ok(Vec::new()));
        let taken = take(&mut seats, 3, wish("wang", "pbx1", "2001"), true);
        assert_eq!(taken, Err(Refusal::Taken { by: "li".into() }));
        assert_eq!(seats.at(&"pbx1".into(), "PJSIP/2001").map(|s| s.agent.as_str()), Some("li"));
        assert_eq!(
            told(&take(&mut seats, 4, wish("wang", "pbx1", "2001"), false).unwrap()),
            ["li pbx1 PJSIP/2001 TakenOver 4", "wang pbx1 PJSIP/2001 takes"]
        );
        assert!(seats.of(&TenantId::default(), &"li".into()).is_none());
        // The same name at another switch is another device, and moving there frees the first.
        assert_eq!(
            told(&take(&mut seats, 5, wish("wang", "pbx2", "2001"), true).unwrap()),
            ["wang pbx1 PJSIP/2001 Moved 5", "wang pbx2 PJSIP/2001 takes"]
        );
        assert!(seats.at(&"pbx1".into(), "PJSIP/2001").is_none());
        assert_eq!(told(&seats.leave(Wall(3), &TenantId::default(), &"wang".into())), ["wang pbx2 PJSIP/2001 Left 5"]);
        assert_eq!(seats.leave(Wall(6), &TenantId::default(), &"wang".into()), []);
        for (who, device, why) in [
            ("chen", "2001", Refusal::NotYours),
            ("nobody", "2001", Refusal::NotYours),
            ("li", "1001", Refusal::NoSeat),
        ] {
            assert_eq!(take(&mut seats, 7, wish(who, "pbx1", device), false), Err(why));
        }
        let foreign = Wish { tenant: "acme".into(), ..wish("li", "pbx1", "2001") };
        assert_eq!(take(&mut seats, 8, foreign, false), Err(Refusal::NotYours));
    }

    #[test]
    fn the_switchs_login_is_obeyed_and_the_last_queue_is_the_logout() {
        let (directory, mut seats, pbx) = (directory(), Seats::default(), SwitchId::from("pbx1"));
        let on = |seats: &mut Seats, at, m: Member| told(&seats.logged_on(Wall(at), &directory, &pbx, &m));
        let off = |seats: &mut Seats, at, m: Member| told(&seats.logged_off(Wall(at), &directory, &pbx, &m));
        assert_eq!(on(&mut seats, 1, member("li", "PJSIP/2001", "support")), ["li pbx1 PJSIP/2001 takes"]);
        assert_eq!(on(&mut seats, 2, member("li", "PJSIP/2001", "sales")), [""; 0]);
        assert_eq!(on(&mut seats, 3, member("stranger", "PJSIP/2002", "sales")), [""; 0]);
        assert_eq!(on(&mut seats, 3, member("chen", "PJSIP/2002", "sales")), [""; 0]);
        assert_eq!(on(&mut seats, 3, member("wang", "PJSIP/1001", "sales")), [""; 0], "no seat");
        assert_eq!(off(&mut seats, 4, member("li", "PJSIP/2001", "support")), [""; 0]);
        assert_eq!(off(&mut seats, 5, member("wang", "PJSIP/2001", "sales")), [""; 0], "another's logout");
        assert_eq!(off(&mut seats, 6, member("li", "PJSIP/2001", "sales")), ["li pbx1 PJSIP/2001 LoggedOut 6"]);
        // On the page first, then into a queue and out of it: still there.
        seats.take(Wall(7), &directory, wish("li", "pbx1", "2001"), |_| true).unwrap();
        assert_eq!(on(&mut seats, 8, member("li", "PJSIP/2001", "sales")), [""; 0]);
        assert_eq!(off(&mut seats, 9, member("li", "PJSIP/2001", "sales")), [""; 0]);
        assert_eq!(
            on(&mut seats, 10, member("wang", "2001", "sales")),
            ["li pbx1 PJSIP/2001 TakenOver 10", "wang pbx1 PJSIP/2001 takes"]
        );
        let claim = seats.take(Wall(11), &directory, wish("li", "pbx1", "2001"), |_| false);
        assert_eq!(claim, Err(Refusal::Taken { by: "wang".into() }), "who is logged in at the switch is there");
        assert_eq!(off(&mut seats, 11, member("", "PJSIP/2001", "sales")), ["wang pbx1 PJSIP/2001 LoggedOut 11"]);
    }

    #[test]
    fn what_happened_at_the_switch_while_we_were_away_is_caught_up() {
        let (directory, mut seats, pbx) = (directory(), Seats::default(), SwitchId::from("pbx1"));
        seats.logged_on(Wall(1), &directory, &pbx, &member("li", "PJSIP/2001", "support"));
        let kept: Vec<Sitting> = seats.all().cloned().map(|s| Sitting { queues: BTreeSet::new(), ..s }).collect();
        let mut after = Seats::default();
        after.restore([kept.clone(), kept].concat());
        assert_eq!(after.at(&pbx, "PJSIP/2001").map(|s| s.from), Some(Wall(1)));
        let still = [member("li", "PJSIP/2001", "support"), member("li", "PJSIP/2001", "sales")];
        assert_eq!(told(&after.members(Wall(9), &directory, &pbx, &still)), [""; 0]);
        let off = after.logged_off(Wall(10), &directory, &pbx, &still[0]);
        assert_eq!(off, [], "one of two queues, as the list told");
        let now = [member("wang", "PJSIP/2002", "support")];
        let turns = told(&after.members(Wall(11), &directory, &pbx, &now));
        assert_eq!(turns, ["wang pbx1 PJSIP/2002 takes", "li pbx1 PJSIP/2001 LoggedOut 11"]);
        // A list after the person went elsewhere on the page brings nobody back.
        let moved = after.take(Wall(11), &directory, wish("wang", "pbx1", "2003"), |_| true).unwrap();
        assert_eq!(told(&moved)[1], "wang pbx1 PJSIP/2003 takes");
        assert_eq!(told(&after.members(Wall(11), &directory, &pbx, &now)), [""; 0]);
        let fewer = Directory::of(AgentsFile { seats: vec!["PJSIP/2001".into()], ..AgentsFile::default() });
        assert_eq!(told(&after.reload(Wall(12), &fewer)), ["wang pbx1 PJSIP/2003 Settings 12"]);
        assert_eq!(after.all().count(), 0);
    }
}
