//! The right person: several devices of one agent are one offer and one pop, a phone outside is its owner's, a seat is whose it was when the leg came.
//! Told in the text that Asterisk sends, over AMI, over ARI, and over both.

pub mod tape;

use std::collections::BTreeSet;

use linecard::{
    calls::{
        Record, What,
        change::{Role, Withdrawal},
        directory::{Agent, AgentsFile, Device, SeatKind},
        event::Feed,
        record::{Direction, Outcome, PartyRole, SegmentKind},
        seats::{How, Wish},
    },
    words::AgentId,
};
use proptest::prelude::*;
use tape::{Channel, Tape, Watch};

fn people() -> Vec<Agent> {
    let mut li = Agent::new("li").at(&["PJSIP/1001", "2001"]);
    li.devices.push(Device::Outside { number: "+86 138 0013 8001".into() });
    vec![li, Agent::new("wang").at(&["PJSIP/1002"])]
}

const FEEDS: [&[Feed]; 3] = [&[Feed::Ami], &[Feed::Ari], &[Feed::Ami, Feed::Ari]];

const CUSTOMER: (&str, &str) = ("1795347846.0", "PJSIP/trunk-00000000");
const DESK: (&str, &str) = ("1795347846.1", "PJSIP/1001-00000001");
const SOFT: (&str, &str) = ("1795347846.2", "PJSIP/2001-00000002");
const MOBILE: (&str, &str) = ("1795347846.3", "PJSIP/trunk-00000003");

/// What an agent's screen would hear.
fn heard(watch: &mut Watch) -> Vec<String> {
    let say = |what: What| {
        Some(match what {
            What::Offered(offer) => format!("offered {} {}", offer.agent, offer.ordinal),
            What::Established(offer) => format!("established {}", offer.agent),
            What::Withdrawn { offer, reason, .. } => format!("withdrawn {} {reason:?}", offer.agent),
            What::Cleared { offer } => format!("cleared {}", offer.agent),
            What::Held { agent } => format!("held {agent}"),
            What::Retrieved { agent } => format!("retrieved {agent}"),
            _ => return None,
        })
    };
    watch.news().into_iter().filter_map(|(_, what)| say(what)).collect()
}

fn agents(record: &Record) -> Vec<AgentId> {
    record.agents.clone().unwrap_or_default()
}

#[test]
fn three_phones_of_one_person_are_one_offer() {
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138000", "4008001234");
            tape.dials(CUSTOMER, DESK, "PJSIP/1001");
            tape.dials(CUSTOMER, SOFT, "PJSIP/2001");
            tape.dials(CUSTOMER, MOBILE, "13800138001@trunk");
            tape.rings(DESK).rings(SOFT).rings(MOBILE);
        });
        assert_eq!(heard(&mut watch), ["offered li 1"], "{feeds:?}");
        let face = watch.face();
        assert_eq!(face.customer.as_ref().unwrap().e164.as_ref().unwrap().expose(), "+8613800138000");
        // The softphone answers; the others stop ringing, and that takes nothing from the screen.
        watch.hear(|tape| {
            tape.answers(SOFT);
            tape.dial_ends(CUSTOMER, SOFT, "ANSWER");
            tape.gone(DESK, 26).gone(MOBILE, 26);
            tape.enters(SOFT, "b1").enters(CUSTOMER, "b1");
        });
        assert_eq!(heard(&mut watch), ["established li"], "{feeds:?}");
        watch.hear(|tape| {
            tape.hangs_up(CUSTOMER, 16);
            tape.leaves(CUSTOMER, "b1").leaves(SOFT, "b1").gone(CUSTOMER, 16).gone(SOFT, 16);
        });
        assert_eq!(heard(&mut watch), ["cleared li"], "{feeds:?}");
        let record = watch.record();
        assert_eq!((record.direction, record.outcome), (Some(Direction::Inbound), Some(Outcome::Answered)));
        assert_eq!(agents(&record), ["li".into()], "{feeds:?}");
        let devices: Vec<&str> =
            record.parties.iter().filter(|p| p.role == PartyRole::Agent).filter_map(|p| p.device.as_deref()).collect();
        assert_eq!(devices, ["PJSIP/1001", "PJSIP/2001", "PJSIP/trunk"], "{feeds:?}");
        assert_eq!(record.parties.iter().filter(|p| p.role == PartyRole::Customer).count(), 1);
    }
}

#[test]
fn a_refusal_at_one_phone_leaves_the_other_ringing() {
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138000", "4008001234");
            tape.dials(CUSTOMER, DESK, "PJSIP/1001").dials(CUSTOMER, SOFT, "PJSIP/2001");
            tape.rings(DESK).rings(SOFT);
            tape.hangs_up(DESK, 17);
            tape.dial_ends(CUSTOMER, DESK, "BUSY");
            tape.gone(DESK, 17);
        });
        assert_eq!(heard(&mut watch), ["offered li 1"], "{feeds:?}");
        watch.hear(|tape| {
            tape.dial_ends(CUSTOMER, SOFT, "NOANSWER");
            tape.gone(SOFT, 0);
        });
        let told = heard(&mut watch);
        assert_eq!(told.len(), 1, "{feeds:?}: {told:?}");
        assert!(told[0].starts_with("withdrawn li"), "{told:?}");
        watch.hear(|tape| {
            tape.hangs_up(CUSTOMER, 16);
            tape.gone(CUSTOMER, 16);
        });
        assert_eq!(agents(&watch.record()), [], "{feeds:?}");
    }
}

#[test]
fn a_mobile_behind_a_trunk_is_its_owner_also_through_a_fork() {
    const ONE: (&str, &str) = ("1795347846.4", "Local/li@agents-00000000;1");
    const TWO: (&str, &str) = ("1795347846.5", "Local/li@agents-00000000;2");
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138000", "4008001234");
            tape.dials(CUSTOMER, DESK, "PJSIP/1001").rings(DESK);
            tape.dials(CUSTOMER, ONE, "Local/li@agents");
            tape.second_half(TWO);
            tape.dials(TWO, MOBILE, "013800138001@trunk").rings(MOBILE);
        });
        assert_eq!(heard(&mut watch), ["offered li 1"], "{feeds:?}");
        watch.hear(|tape| {
            tape.answers(MOBILE).answers(ONE);
            tape.gone(DESK, 26);
            tape.enters(MOBILE, "b2").enters(TWO, "b2").enters(ONE, "b1").enters(CUSTOMER, "b1");
        });
        assert_eq!(heard(&mut watch), ["established li"], "{feeds:?}");
        watch.hear(|tape| {
            tape.hangs_up(MOBILE, 16);
            tape.gone(MOBILE, 16).gone(TWO, 16).gone(ONE, 16).gone(CUSTOMER, 16);
        });
        assert_eq!(heard(&mut watch), ["cleared li"], "{feeds:?}");
        let record = watch.record();
        assert_eq!((record.direction, agents(&record)), (Some(Direction::Inbound), vec!["li".into()]), "{feeds:?}");
        assert_eq!(record.customer.unwrap().e164.unwrap().expose(), "+8613800138000", "{feeds:?}");
        assert_eq!(record.trunk.as_deref(), Some("PJSIP/trunk"));
    }
}

/// Another number over the same trunk is a customer, and the same number coming in is nobody's device.
#[test]
fn only_a_call_to_the_number_is_its_owners() {
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138001", "4008001234");
            tape.dials(CUSTOMER, MOBILE, "13900139000@trunk").rings(MOBILE);
            tape.gone(MOBILE, 16).hangs_up(CUSTOMER, 16).gone(CUSTOMER, 16);
        });
        assert_eq!(heard(&mut watch), [""; 0], "{feeds:?}");
        assert_eq!(watch.record().customer.unwrap().e164.unwrap().expose(), "+8613800138001");
    }
}

#[test]
fn a_call_held_at_one_phone_and_another_answered_at_the_second() {
    const NEXT: (&str, &str) = ("1795347900.5", "PJSIP/trunk-00000005");
    const SECOND: (&str, &str) = ("1795347900.6", "PJSIP/2001-00000006");
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138000", "4008001234");
            tape.dials(CUSTOMER, DESK, "PJSIP/1001").dials(CUSTOMER, SOFT, "PJSIP/2001").rings(DESK).rings(SOFT);
            tape.answers(DESK).gone(SOFT, 26).enters(DESK, "b1").enters(CUSTOMER, "b1").holds(DESK);
            tape.comes(NEXT, "13900139000", "4008001234");
            tape.dials(NEXT, SECOND, "PJSIP/2001").rings(SECOND).answers(SECOND);
            tape.enters(SECOND, "b2").enters(NEXT, "b2");
        });
        let told = heard(&mut watch);
        assert_eq!(told, ["offered li 1", "established li", "held li", "offered li 1", "established li"], "{feeds:?}");
        watch.hear(|tape| {
            tape.gone(SECOND, 16).gone(NEXT, 16).unholds(DESK).gone(DESK, 16).gone(CUSTOMER, 16);
        });
        let records = watch.records();
        assert_eq!(records.len(), 2, "{feeds:?}");
        for record in &records {
            assert_eq!(agents(record), ["li".into()], "{feeds:?}");
        }
        let held = records.iter().filter(|r| r.segments.iter().any(|s| s.kind == SegmentKind::Hold)).count();
        assert_eq!(held, 1, "only the first was held");
    }
}

/// The desk phone holds the customer, and the same person goes on at the softphone in the same call.
#[test]
fn held_at_one_phone_and_taken_on_at_the_other_is_one_offer() {
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138000", "4008001234");
            tape.dials(CUSTOMER, DESK, "PJSIP/1001").rings(DESK).answers(DESK);
            tape.enters(DESK, "b1").enters(CUSTOMER, "b1").holds(DESK);
            // A ring of the second phone while the first holds: still the same offer.
            tape.dials(CUSTOMER, SOFT, "PJSIP/2001").rings(SOFT);
        });
        assert_eq!(heard(&mut watch), ["offered li 1", "established li", "held li"], "{feeds:?}");
        watch.hear(|tape| {
            tape.answers(SOFT).enters(SOFT, "b1").leaves(DESK, "b1").gone(DESK, 16);
        });
        assert_eq!(heard(&mut watch), ["retrieved li"], "{feeds:?}");
        watch.hear(|tape| {
            tape.gone(SOFT, 16).gone(CUSTOMER, 16);
        });
        assert_eq!(heard(&mut watch), ["cleared li"], "{feeds:?}");
        let record = watch.record();
        assert_eq!(agents(&record), ["li".into()], "{feeds:?}");
        assert_eq!(record.parties.iter().filter(|p| p.role == PartyRole::Agent).count(), 2, "{feeds:?}");
    }
}

#[test]
fn a_colleague_who_answers_takes_both_phones_back_at_once() {
    const WANG: (&str, &str) = ("1795347846.6", "PJSIP/1002-00000006");
    for feeds in FEEDS {
        let mut watch = Watch::new(people(), feeds);
        watch.hear(|tape| {
            tape.comes(CUSTOMER, "13800138000", "4008001234");
            for (phone, dialled) in [(DESK, "PJSIP/1001"), (SOFT, "PJSIP/2001"), (WANG, "PJSIP/1002")] {
                tape.dials(CUSTOMER, phone, dialled).rings(phone);
            }
            tape.answers(WANG).dial_ends(CUSTOMER, WANG, "ANSWER");
            tape.gone(DESK, 26);
        });
        let mut told = heard(&mut watch);
        told.sort();
        assert_eq!(told, ["offered li 1", "offered wang 2"], "{feeds:?}: one phone of li still rings");
        watch.hear(|tape| {
            tape.gone(SOFT, 26).enters(WANG, "b1").enters(CUSTOMER, "b1");
        });
        let expected = [format!("withdrawn li {:?}", Withdrawal::AnsweredElsewhere), "established wang".to_owned()];
        assert_eq!(heard(&mut watch), expected, "{feeds:?}");
        assert_eq!(watch.face().agents[0].offer.role, Role::Inbound);
    }
}

#[test]
fn every_text_of_a_tape_is_understood() {
    // A tape whose words no translator reads would prove nothing: each step gives one event a feed, but what only one feed has.
    let mut tape = Tape::default();
    tape.comes(CUSTOMER, "13800138000", "4008001234").dials(CUSTOMER, DESK, "PJSIP/1001").rings(DESK).answers(DESK);
    tape.dial_ends(CUSTOMER, DESK, "ANSWER").enters(DESK, "b1").holds(DESK).unholds(DESK).leaves(DESK, "b1");
    tape.hangs_up(DESK, 16).gone(DESK, 16);
    let (ami, ari) = tape.events();
    assert_eq!(ami.len(), 12, "{ami:?}");
    assert_eq!(ari.len(), 12, "{ari:?}");
}

// The property: whoever sat there when the phone was called has the call, for ever.

const PEOPLE: [&str; 4] = ["li", "wang", "zhao", "chen"];
/// Three hot desks, and chen's own phone.
const PHONES: [&str; 4] = ["PJSIP/2001", "PJSIP/2002", "PJSIP/2003", "PJSIP/1001"];

fn hot_desks() -> AgentsFile {
    let login = |id: &&str| Agent { seat: SeatKind::Login, ..Agent::new(*id) };
    let mut agents: Vec<Agent> = PEOPLE[..3].iter().map(login).collect();
    agents.push(Agent::new("chen").at(&[PHONES[3]]));
    AgentsFile { seats: vec!["PJSIP/20*".into()], agents, ..AgentsFile::default() }
}

#[derive(Clone, Debug)]
enum Act {
    Claim {
        who: usize,
        phone: usize,
        there: bool,
    },
    Leave {
        who: usize,
    },
    Member {
        added: bool,
        who: usize,
        phone: usize,
        queue: bool,
    },
    /// A customer calls, and these phones ring together.
    Call {
        phones: Vec<usize>,
    },
    /// Of the calls that are up, this one; of its phones, this one.
    Answer {
        call: usize,
        phone: usize,
    },
    Hold {
        call: usize,
    },
    Transfer {
        call: usize,
        phone: usize,
    },
    HangUp {
        call: usize,
    },
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..4usize, 0..4usize, any::<bool>()).prop_map(|(who, phone, there)| Act::Claim { who, phone, there }),
        1 => (0..4usize).prop_map(|who| Act::Leave { who }),
        3 => (any::<bool>(), 0..4usize, 0..4usize, any::<bool>())
            .prop_map(|(added, who, phone, queue)| Act::Member { added, who, phone, queue }),
        4 => proptest::sample::subsequence(vec![0, 1, 2, 3], 1..=3).prop_map(|phones| Act::Call { phones }),
        4 => (0..3usize, 0..3usize).prop_map(|(call, phone)| Act::Answer { call, phone }),
        1 => (0..3usize).prop_map(|call| Act::Hold { call }),
        2 => (0..3usize, 0..4usize).prop_map(|(call, phone)| Act::Transfer { call, phone }),
        2 => (0..3usize).prop_map(|call| Act::HangUp { call }),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 1..30)
}

/// One leg of a phone, and who sat there when it came.
#[derive(Clone, Copy)]
struct Rung {
    channel: Channel,
    phone: usize,
    who: Option<&'static str>,
}

/// A customer's call as it went.
struct Went {
    customer: Channel,
    bridge: String,
    ringing: Vec<Rung>,
    talking: Option<Rung>,
    legs: Vec<Rung>,
    /// Who talked, in order, each once.
    talked: Vec<&'static str>,
}

struct World {
    watch: Watch,
    up: Vec<Went>,
    over: Vec<Went>,
    count: usize,
}

impl World {
    fn channel(&mut self, endpoint: &str) -> Channel {
        self.count += 1;
        let id: &str = Box::leak(format!("1795347846.{}", self.count).into_boxed_str());
        let name: &str = Box::leak(format!("{endpoint}-{:08x}", self.count).into_boxed_str());
        (id, name)
    }

    fn sits(&self, phone: usize) -> Option<&'static str> {
        if phone == 3 {
            return Some("chen");
        }
        let sitting = self.watch.book.seats().at(&tape::switch(), PHONES[phone])?;
        PEOPLE.iter().copied().find(|who| *who == sitting.agent.as_str())
    }

    fn ring(&mut self, by: Channel, phone: usize) -> Rung {
        let channel = self.channel(PHONES[phone]);
        let who = self.sits(phone);
        self.watch.hear(|tape| {
            tape.dials(by, channel, PHONES[phone]).rings(channel);
        });
        Rung { channel, phone, who }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Claim { who, phone, there } => {
                let wish = Wish {
                    tenant: "default".into(),
                    agent: PEOPLE[*who].into(),
                    switch: tape::switch(),
                    device: PHONES[*phone].into(),
                    how: How::Page,
                };
                let _ = self.watch.book.take_seat(self.watch.now(), wish, |_| *there);
            }
            Act::Leave { who } => {
                self.watch.book.leave_seat(self.watch.now(), &"default".into(), &PEOPLE[*who].into());
            }
            Act::Member { added, who, phone, queue } => self.watch.hear(|tape| {
                tape.member(*added, PEOPLE[*who], PHONES[*phone], if *queue { "support" } else { "sales" });
            }),
            Act::Call { phones } => {
                if self.up.len() == 3 {
                    return;
                }
                let customer = self.channel("PJSIP/trunk");
                self.watch.hear(|tape| {
                    tape.comes(customer, "13800138000", "4008001234");
                });
                let ringing: Vec<Rung> = phones.iter().map(|phone| self.ring(customer, *phone)).collect();
                let bridge = format!("b{}", self.count);
                self.up.push(Went {
                    customer,
                    bridge,
                    legs: ringing.clone(),
                    ringing,
                    talking: None,
                    talked: Vec::new(),
                });
            }
            Act::Answer { call, phone } => {
                let Some(went) = self.up.get_mut(*call) else { return };
                if went.ringing.is_empty() {
                    return;
                }
                let rung = went.ringing.swap_remove(*phone % went.ringing.len());
                let others: Vec<Rung> = went.ringing.drain(..).collect();
                self.watch.hear(|tape| {
                    tape.answers(rung.channel);
                    for other in others {
                        tape.gone(other.channel, 26);
                    }
                    tape.enters(rung.channel, &went.bridge).enters(went.customer, &went.bridge);
                });
                went.talked.extend(rung.who.filter(|who| !went.talked.contains(who)));
                went.talking = Some(rung);
            }
            Act::Hold { call } => {
                if let Some(rung) = self.up.get(*call).and_then(|went| went.talking) {
                    self.watch.hear(|tape| {
                        tape.holds(rung.channel).unholds(rung.channel);
                    });
                }
            }
            Act::Transfer { call, phone } => {
                let Some(went) = self.up.get_mut(*call) else { return };
                let Some(rung) = went.talking.take() else { return };
                let customer = went.customer;
                let bridge = std::mem::replace(&mut went.bridge, format!("b{}", self.count + 1));
                self.watch.hear(|tape| {
                    tape.transfers(rung.channel, customer, PHONES[*phone].rsplit('/').next().unwrap_or_default());
                    tape.leaves(customer, &bridge).leaves(rung.channel, &bridge).gone(rung.channel, 16);
                });
                let next = self.ring(customer, *phone);
                let went = &mut self.up[*call];
                went.ringing.push(next);
                went.legs.push(next);
            }
            Act::HangUp { call } => {
                if *call < self.up.len() {
                    let went = self.up.remove(*call);
                    self.end(went);
                }
            }
            Act::Restart => self.watch.restart(hot_desks()),
        }
    }

    fn end(&mut self, went: Went) {
        self.watch.hear(|tape| {
            tape.hangs_up(went.customer, 16);
            for rung in went.ringing.iter().chain(&went.talking) {
                tape.gone(rung.channel, 16);
            }
            tape.gone(went.customer, 16);
        });
        self.over.push(went);
    }

    /// One person at a seat, one seat for a person; and no agent has two offers of one call.
    fn holds_now(&self) {
        let mut people: Vec<&str> = self.watch.book.seats().all().map(|s| s.agent.as_str()).collect();
        people.sort_unstable();
        let count = people.len();
        people.dedup();
        assert_eq!(people.len(), count, "somebody sits twice");
        for face in self.watch.book.open_calls() {
            let mut on: Vec<&str> = face.agents.iter().map(|on| on.offer.agent.as_str()).collect();
            on.sort_unstable();
            let count = on.len();
            on.dedup();
            assert_eq!(on.len(), count, "two offers of one call");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn whoever_sat_there_when_it_rang_has_the_call(acts in acts(), both in any::<bool>()) {
        let feeds: &[Feed] = if both { &[Feed::Ami, Feed::Ari] } else { &[Feed::Ami] };
        let mut world = World { watch: Watch::of(hot_desks(), feeds), up: Vec::new(), over: Vec::new(), count: 0 };
        for act in &acts {
            world.act(act);
            world.holds_now();
        }
        while let Some(went) = world.up.pop() {
            world.end(went);
        }
        let records = world.watch.records();
        prop_assert_eq!(records.len(), world.over.len());
        for went in &world.over {
            let id = went.customer.0;
            let record = records.iter().find(|r| r.ids.iter().any(|i| i.value == id)).expect("no record of this call");
            let talked: Vec<&str> = record.agents.iter().flatten().map(AgentId::as_str).collect();
            prop_assert_eq!(&talked, &went.talked);
            // Everybody's share in it is at a phone where they sat when it rang.
            let told: BTreeSet<(String, Option<String>)> = record
                .parties
                .iter()
                .filter(|p| p.role != PartyRole::Customer)
                .map(|p| (p.device.clone().unwrap_or_default(), p.agent.as_ref().map(ToString::to_string)))
                .collect();
            let sat: BTreeSet<(String, Option<String>)> =
                went.legs.iter().map(|l| (PHONES[l.phone].to_owned(), l.who.map(str::to_owned))).collect();
            prop_assert_eq!(told, sat);
            for segment in record.segments.iter().filter(|s| s.kind == SegmentKind::Talk) {
                let agent = segment.agent.as_ref().map(AgentId::as_str);
                prop_assert!(agent.is_none_or(|agent| went.talked.contains(&agent)));
            }
        }
    }
}
