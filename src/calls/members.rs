//! Who is a member of which queue, and whether its calls come: what the switches say.
//!
//! ECMA-269 (CSTA III) has an agent's state for each ACD group; a group is a queue here. A switch that keeps queues tells each change and, when asked, all of them;
//! what it does not tell is not guessed. The table is bounded, and forgets a switch's members only when the switch says so: a lost link is no logout.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::words::{SwitchId, Wall};

use super::event::{Member, Said, Standing};

/// Memberships of all switches. 140,000 agents of two queues each are 280,000.
const MOST: usize = 500_000;

/// One agent's place in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    pub switch: SwitchId,
    pub member: Member,
    /// Since when it stands so: the switch's word where it has one, else when it was heard.
    pub since: Wall,
}

/// A queue, and the member as the switch names it there.
type Place = (String, String);

#[derive(Debug, Default)]
pub struct Members {
    of: HashMap<SwitchId, BTreeMap<Place, Post>>,
    /// By the last part of a device's name: `1001` of `PJSIP/1001`.
    at: HashMap<(SwitchId, String), BTreeSet<Place>>,
    count: usize,
}

impl Members {
    /// What a switch said of its members: the devices for which something is now otherwise.
    pub fn take(&mut self, at: Wall, switch: &SwitchId, said: &Said) -> BTreeSet<String> {
        let mut devices = BTreeSet::new();
        match said {
            Said::LoggedOn(member) => devices.extend(self.put(at, switch, member)),
            Said::LoggedOff(member) => devices.extend(self.remove(switch, &place(member))),
            Said::Stands(member) if member.queue.is_empty() => {
                let here = self.of.get(switch).into_iter().flatten();
                let all: Vec<Member> = here
                    .filter(|((_, interface), _)| *interface == member.interface)
                    .map(|(_, post)| Member { standing: member.standing.clone(), ..post.member.clone() })
                    .collect();
                // Of which queues it is was not told.
                let unknown = all.is_empty().then(|| member.clone());
                for member in all.into_iter().chain(unknown) {
                    devices.extend(self.put(at, switch, &member));
                }
            }
            Said::Stands(member) => devices.extend(self.put(at, switch, member)),
            Said::Members(all) => {
                let now: BTreeSet<Place> = all.iter().map(place).collect();
                let here = self.of.get(switch).into_iter().flat_map(BTreeMap::keys);
                let gone: Vec<Place> = here.filter(|place| !now.contains(*place)).cloned().collect();
                devices.extend(gone.iter().filter_map(|place| self.remove(switch, place)));
                for member in all {
                    devices.extend(self.put(at, switch, member));
                }
            }
            _ => {}
        }
        devices
    }

    /// The places of a device of a switch, by the last part of its name. Whose they are is for who knows the devices.
    pub fn at<'a>(&'a self, switch: &SwitchId, device: &str) -> impl Iterator<Item = &'a Post> {
        let here = self.of.get(switch);
        let places = self.at.get(&(switch.clone(), last(device).to_owned()));
        places.into_iter().flatten().filter_map(move |place| here?.get(place))
    }

    /// All devices that have a place.
    pub fn devices(&self) -> impl Iterator<Item = (SwitchId, String)> {
        self.of.values().flat_map(BTreeMap::values).map(|post| (post.switch.clone(), post.member.device.clone()))
    }

    /// The places in a queue, at every switch.
    pub fn in_queue<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Post> {
        let here = move |here: &'a BTreeMap<Place, Post>| {
            here.range((queue.to_owned(), String::new())..).take_while(move |((of, _), _)| of == queue)
        };
        self.of.values().flat_map(here).map(|(_, post)| post)
    }

    fn put(&mut self, at: Wall, switch: &SwitchId, member: &Member) -> Option<String> {
        let key = place(member);
        let known = self.of.get(switch).and_then(|here| here.get(&key));
        if known.is_some_and(|post| post.member == *member) || (known.is_none() && self.count >= MOST) {
            return None;
        }
        let told = match &member.standing {
            Standing::Paused(pause) => pause.since,
            Standing::Ready | Standing::LoggedOff => None,
        };
        let same = known.is_some_and(|post| post.member.standing == member.standing);
        let since = known.filter(|_| same).map_or(told.unwrap_or(at), |post| post.since);
        self.remove(switch, &key);
        self.at.entry((switch.clone(), last(&member.device).to_owned())).or_default().insert(key.clone());
        let post = Post { switch: switch.clone(), member: member.clone(), since };
        self.of.entry(switch.clone()).or_default().insert(key, post);
        self.count += 1;
        Some(member.device.clone())
    }

    fn remove(&mut self, switch: &SwitchId, key: &Place) -> Option<String> {
        let post = self.of.get_mut(switch)?.remove(key)?;
        self.count -= 1;
        let at = (switch.clone(), last(&post.member.device).to_owned());
        if let Some(places) = self.at.get_mut(&at) {
            places.remove(key);
            if places.is_empty() {
                self.at.remove(&at);
            }
        }
        Some(post.member.device)
    }
}

fn place(member: &Member) -> Place {
    (member.queue.clone(), member.interface.clone())
}

fn last(device: &str) -> &str {
    device.rsplit('/').next().unwrap_or(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::event::Pause;

    fn member(queue: &str, device: &str, standing: Standing) -> Member {
        let (name, interface) = (String::new(), device.to_owned());
        Member {
            name,
            device: device.to_owned(),
            interface,
            queue: queue.to_owned(),
            dynamic: true,
            reasons: true,
            standing,
        }
    }

    fn paused(reason: &str) -> Standing {
        Standing::Paused(Pause { reason: reason.to_owned(), since: None })
    }

    fn told(members: &Members, device: &str) -> Vec<String> {
        let text = |post: &Post| match &post.member.standing {
            Standing::Ready => format!("{} ready {}", post.member.queue, post.since.0),
            Standing::Paused(pause) => format!("{} {} {}", post.member.queue, pause.reason, post.since.0),
            Standing::LoggedOff => format!("{} off {}", post.member.queue, post.since.0),
        };
        members.at(&"pbx1".into(), device).map(text).collect()
    }

    #[test]
    fn members_come_pause_and_go() {
        let mut all = Members::default();
        let pbx: SwitchId = "pbx1".into();
        let mut say = |at, said: Said| {
            let devices = all.take(Wall(at), &pbx, &said);
            (devices.into_iter().collect::<Vec<_>>().join(","), told(&all, "PJSIP/1001"))
        };
        let device = || "PJSIP/1001".to_owned();
        let ready = |queue| member(queue, "PJSIP/1001", Standing::Ready);
        assert_eq!(say(1, Said::LoggedOn(ready("support"))), (device(), vec!["support ready 1".to_owned()]));
        assert_eq!(say(2, Said::LoggedOn(ready("support"))).0, "", "nothing new");
        assert_eq!(say(3, Said::LoggedOn(ready("sales"))).1.len(), 2);
        let lunch = Said::Stands(member("support", "PJSIP/1001", paused("lunch")));
        assert_eq!(say(4, lunch).1, ["sales ready 3", "support lunch 4"]);
        // Of no queue: of all of this member's.
        let away = Said::Stands(member("", "PJSIP/1001", Standing::LoggedOff));
        assert_eq!(say(5, away).1, ["sales off 5", "support off 5"]);
        assert_eq!(say(6, Said::LoggedOff(ready("support"))).1, ["sales off 5"]);
        // A list takes the place of everything; what stands as it stood does so since then.
        let list = vec![ready("billing"), member("sales", "PJSIP/1001", Standing::LoggedOff)];
        assert_eq!(
            say(7, Said::Members(list)),
            (device(), vec!["billing ready 7".to_owned(), "sales off 5".to_owned()])
        );
        assert_eq!(say(8, Said::Members(Vec::new())), (device(), Vec::new()));
        assert_eq!((all.count, all.at.len()), (0, 0));
    }

    #[test]
    fn the_switchs_own_time_counts() {
        let mut all = Members::default();
        let since = Standing::Paused(Pause { reason: "lunch".into(), since: Some(Wall(40)) });
        all.take(Wall(90), &"pbx1".into(), &Said::Members(vec![member("support", "1001", since)]));
        assert_eq!(told(&all, "PJSIP/1001"), ["support lunch 40"]);
        assert_eq!(all.at(&"pbx2".into(), "1001").count(), 0);
    }
}
