//! The machines over made-up time: what they let through is held against a count of its own, made by a system that counts each request at any moment between its being sent and its
//! answer.

use std::collections::{BTreeMap, BinaryHeap};

use proptest::prelude::*;

use super::{
    breaker::{Breaker, Ended, Way},
    file::{BreakerFile, RetriesFile},
    gate::{Entry, Gate, Own, Pass, Plan, Why},
    hints::Told,
    retry::{Retries, Tried},
    window::Rate,
};
use crate::{
    connectors::{Outcome, Priority},
    words::{Mono, Now, Wall},
};

const S: u64 = 1_000_000;

fn rate(requests: u32, per_s: u64, burst: Option<u32>, kept: u32) -> Rate {
    Rate { requests, per_us: per_s * S, burst, kept }
}

fn plan(places: u32, windows: Vec<Rate>) -> Plan {
    Plan { places, logins: false, windows, own: BTreeMap::new(), shares: BTreeMap::new() }
}

fn at(us: u64) -> Now {
    Now { wall: Wall(1_790_000_000_000 + i64::try_from(us / 1000).unwrap()), mono: Mono(us) }
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    gap_us: u64,
    pop: bool,
    search: bool,
    takes_us: u64,
    /// Where between request and answer the system counts it, in thousandths.
    counted: u64,
    patience_us: u64,
}

fn asked() -> impl Strategy<Value = Asked> {
    (0..400_000_u64, any::<bool>(), any::<bool>(), 0..900_000_u64, 0..=1000_u64, 0..20 * S).prop_map(
        |(gap_us, pop, search, takes_us, counted, patience_us)| Asked {
            gap_us,
            pop,
            search,
            takes_us,
            counted,
            patience_us,
        },
    )
}

fn rates() -> impl Strategy<Value = Rate> {
    (1..12_u32, 1..4_u64, proptest::option::of(1..15_u32)).prop_map(|(requests, per_s, burst)| {
        let depth = burst.unwrap_or(requests);
        rate(requests, per_s, burst, if depth > 3 { 1 } else { 0 })
    })
}

/// What happened to each: when the system counted it; when it was told that it will not be; when it gave up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Counted(u64),
    Told { at: u64, wait_ms: u64 },
    GaveUp,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Answer(usize),
    Arrive(usize),
    GiveUp(usize),
    Look,
}

/// Plays a day of questions through a gate, as the live file does.
fn play(plan: Plan, asked: &[Asked]) -> Vec<Fate> {
    let mut gate = Gate::new(plan);
    let mut events = BinaryHeap::new();
    let push = |events: &mut BinaryHeap<_>, at: u64, event: Event| events.push(std::cmp::Reverse((at, event)));
    let mut fates = vec![Fate::GaveUp; asked.len()];
    let mut passes: BTreeMap<usize, Pass> = BTreeMap::new();
    let mut tickets: BTreeMap<usize, u64> = BTreeMap::new();
    let mut time = S;
    for (n, one) in asked.iter().enumerate() {
        time += one.gap_us;
        push(&mut events, time, Event::Arrive(n));
    }
    let mut turns = 0;
    while let Some(std::cmp::Reverse((now, event))) = events.pop() {
        turns += 1;
        assert!(turns < 100_000, "it looks again and again, and nothing happens");
        let mono = Mono(now);
        let mut went = Vec::new();
        match event {
            Event::Arrive(n) => {
                let one = asked[n];
                let operation = if one.search { "search" } else { "get" };
                let priority = if one.pop { Priority::Pop } else { Priority::Background };
                match gate.enter(n, operation, priority, Mono(now + one.patience_us), mono) {
                    Entry::Go(pass, n) => went.push((n, Ok(pass))),
                    Entry::No(why) => went.push((n, Err(why))),
                    Entry::Waits(ticket) => {
                        tickets.insert(n, ticket);
                        push(&mut events, now + one.patience_us, Event::GiveUp(n));
                    }
                }
            }
            Event::Answer(n) => gate.leaves(passes.remove(&n).unwrap(), mono),
            Event::GiveUp(n) => drop(gate.gives_up(tickets[&n], mono)),
            Event::Look => {}
        }
        went.extend(std::iter::from_fn(|| gate.next(mono)));
        for (n, result) in went {
            match result {
                Ok(pass) => {
                    passes.insert(n, pass);
                    fates[n] = Fate::Counted(now + asked[n].takes_us * asked[n].counted / 1000);
                    push(&mut events, now + asked[n].takes_us, Event::Answer(n));
                }
                Err(Why::Enough { wait_ms }) => fates[n] = Fate::Told { at: now, wait_ms },
                Err(Why::Full) => panic!("so many do not wait here"),
            }
        }
        if let Some(wake) = gate.wake_at(mono) {
            assert!(wake > mono);
            push(&mut events, wake.0, Event::Look);
        }
    }
    assert!(passes.is_empty());
    fates
}

/// The system's own count: never more than the window allows, wherever it begins; never a fuller bucket than it is deep.
fn holds(rate: &Rate, mut counted: Vec<u64>) {
    counted.sort_unstable();
    match rate.burst {
        None => {
            for (n, first) in counted.iter().enumerate() {
                let within = counted[n..].iter().take_while(|at| **at < first + rate.per_us).count();
                assert!(within <= rate.requests as usize, "{within} within {rate:?}");
            }
        }
        Some(burst) => {
            let (mut level, mut last) = (0_f64, 0);
            for now in counted {
                let leaked = (now - last) as f64 * f64::from(rate.requests) / rate.per_us as f64;
                level = (level - leaked).max(0.0) + 1.0;
                last = now;
                assert!(level <= f64::from(burst) + 1e-6, "{level} in {rate:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn never_more_than_every_window_allows(
        windows in proptest::collection::vec(rates(), 0..3),
        own in rates(),
        places in 1..8_u32,
        asked in proptest::collection::vec(asked(), 1..120),
    ) {
        let own_plan = Own { windows: vec![own.clone()], cost: 1, alone: false };
        let plan = Plan { own: BTreeMap::from([("search", own_plan)]), ..plan(places, windows.clone()) };
        let fates = play(plan, &asked);
        let counted = |search: bool| -> Vec<u64> {
            let all = fates.iter().zip(&asked).filter(|(_, asked)| asked.search || !search);
            all.filter_map(|(fate, _)| if let Fate::Counted(at) = fate { Some(*at) } else { None }).collect()
        };
        for window in &windows {
            holds(window, counted(false));
        }
        holds(&own, counted(true));
    }

    #[test]
    fn what_one_is_told_is_true(asked in proptest::collection::vec(asked(), 1..80), rate in rates()) {
        // Whoever is told that it will take longer than he has: nobody of his kind who came after him goes in his time.
        let fates = play(plan(64, vec![rate]), &asked);
        let mut time = S;
        let came: Vec<u64> = asked.iter().map(|one| { time += one.gap_us; time }).collect();
        for (n, fate) in fates.iter().enumerate() {
            let Fate::Told { at, wait_ms } = fate else { continue };
            prop_assert!(at + wait_ms * 1000 + 1000 > came[n] + asked[n].patience_us);
            let later = (n + 1..asked.len()).filter(|m| asked[n].pop || !asked[*m].pop);
            for m in later {
                if let Fate::Counted(counted) = fates[m] {
                    let went = counted - asked[m].takes_us * asked[m].counted / 1000;
                    // A slower one was turned away; others with more patience may have left the queue since.
                    prop_assert!(went + 1000 > at + wait_ms * 1000 || fates[..m].contains(&Fate::GaveUp) || !asked[n].pop);
                }
            }
        }
    }

    #[test]
    fn one_try_however_many_ask(steps in proptest::collection::vec((0..4_u8, 0..2 * S), 1..300)) {
        let mut breaker = Breaker::new(BreakerFile { minimum: 4, ..BreakerFile::default() });
        let (mut now, mut tries, mut open_until) = (S, 0, 0_i64);
        let mut asking: Vec<bool> = Vec::new();
        for (what, gap) in steps {
            now += gap;
            let moment = at(now);
            match what {
                0 | 1 => match breaker.ask(moment) {
                    Way::Go => {
                        prop_assert_eq!(breaker.shown().state, "closed");
                        asking.push(false);
                    }
                    Way::Probe => {
                        prop_assert!(moment.wall.0 >= open_until);
                        tries += 1;
                        asking.push(true);
                    }
                    Way::No => prop_assert!(breaker.shown().why.is_some()),
                },
                _ => {
                    let Some(probe) = asking.pop() else { continue };
                    tries -= i32::from(probe);
                    let failed = what == 2;
                    let answered = Ended::Answered { took_ms: 20, somebody_waits: true };
                    breaker.ended(probe, if failed { Ended::Failed } else { answered }, moment);
                    if let Some(until) = breaker.shown().until {
                        open_until = until.0;
                    }
                    if probe {
                        prop_assert_eq!(breaker.shown().state, if failed { "open" } else { "closed" });
                    }
                }
            }
            prop_assert!(tries <= 1);
        }
    }

    #[test]
    fn retries_keep_to_their_budget(steps in proptest::collection::vec((any::<bool>(), 0..5 * S), 1..400)) {
        let mut retries = Retries::new(RetriesFile { most: 10, pause_ms: 100 });
        let (mut now, mut asked, mut retried) = (S, Vec::new(), Vec::new());
        let busy = Outcome::Busy { reason: "no connection".to_owned() };
        for (ask, gap) in steps {
            now += gap;
            if ask {
                retries.asked(Mono(now));
                asked.push(now);
            } else if retries.again(&busy, Tried { retries: 0, safe: true, left_ms: 60_000 }, 0.5, Mono(now)).is_some() {
                retried.push(now);
                // Slices of ten seconds: within the last 110 s it holds whatever the alignment.
                let within = |of: &[u64], s: u64| of.iter().filter(|at| **at + s * S > now).count();
                prop_assert!(within(&retried, 110) <= within(&asked, 120) / 10 + 3);
            }
        }
    }
}

/// Those who may go at this moment, in order.
fn goes(gate: &mut Gate<u32>, now: u64) -> Vec<(u32, Pass)> {
    std::iter::from_fn(|| gate.next(Mono(now))).filter_map(|(who, result)| Some((who, result.ok()?))).collect()
}

fn enters(gate: &mut Gate<u32>, who: u32, priority: Priority, now: u64) -> Entry<u32> {
    gate.enter(who, "get", priority, Mono(now + 60 * S), Mono(now))
}

#[test]
fn phones_go_first_and_each_kind_in_its_order() {
    let mut gate = Gate::new(plan(1, Vec::new()));
    let Entry::Go(mut pass, _) = enters(&mut gate, 0, Priority::Pop, S) else { panic!() };
    for (who, priority) in [
        (10, Priority::Background),
        (1, Priority::Pop),
        (11, Priority::Background),
        (2, Priority::Pop),
        (3, Priority::Pop),
    ] {
        assert!(matches!(enters(&mut gate, who, priority, S), Entry::Waits(_)));
    }
    let mut order = Vec::new();
    for step in 1..=5 {
        gate.leaves(pass, Mono(S + step));
        let went = goes(&mut gate, S + step);
        assert_eq!(went.len(), 1);
        order.push(went[0].0);
        pass = went[0].1;
    }
    assert_eq!(order, [1, 2, 3, 10, 11]);
}

#[test]
fn background_work_goes_one_day_even_if_phones_ring_all_the_time() {
    for windows in [Vec::new(), vec![rate(2, 1, None, 1)], vec![rate(1, 1, Some(4), 1)]] {
        let mut gate = Gate::new(plan(2, windows));
        let (mut now, mut who, mut background) = (S, 1, None);
        let mut under_way = Vec::new();
        assert!(!matches!(enters(&mut gate, 0, Priority::Pop, now), Entry::No(_)));
        let mut went = 0;
        while background.is_none() {
            // Always more phones than may go.
            for _ in 0..4 {
                match gate.enter(who, "get", Priority::Pop, Mono(now + 3_600 * S), Mono(now)) {
                    Entry::Go(pass, _) => under_way.push(pass),
                    Entry::Waits(_) => {}
                    Entry::No(why) => panic!("{why:?}"),
                }
                who += 1;
            }
            if who > 20 && who <= 24 {
                assert!(matches!(
                    gate.enter(9_999, "get", Priority::Background, Mono(now + 3_600 * S), Mono(now)),
                    Entry::Waits(_)
                ));
            }
            now += S / 2;
            for pass in under_way.drain(..) {
                gate.leaves(pass, Mono(now));
            }
            for (who, pass) in goes(&mut gate, now) {
                went += 1;
                under_way.push(pass);
                if who == 9_999 {
                    background = Some(went);
                }
            }
            assert!(went < 200, "background work starves");
        }
        assert!(background.unwrap() > 1, "phones first");
    }
}

#[test]
fn background_work_leaves_a_share_and_places_for_phones() {
    let mut gate = Gate::new(plan(3, vec![rate(10, 60, None, 3)]));
    let mut background = Vec::new();
    for who in 0..9 {
        match enters(&mut gate, who, Priority::Background, S) {
            Entry::Go(pass, _) => {
                background.push(pass);
                assert!(background.len() <= 2, "one place of three is for phones");
                if background.len() == 2 {
                    background.drain(..).for_each(|pass| gate.leaves(pass, Mono(S)));
                }
            }
            other => {
                assert_eq!(who, 7, "{other:?}: seven of ten, three are kept");
                break;
            }
        }
    }
    background.drain(..).for_each(|pass| gate.leaves(pass, Mono(S)));
    for who in 20..23 {
        // Somebody waits already, so its turn comes with the next look.
        assert!(matches!(gate.enter(who, "get", Priority::Pop, Mono(S), Mono(S)), Entry::Waits(_)));
        let went = goes(&mut gate, S);
        assert_eq!(went.iter().map(|(who, _)| *who).collect::<Vec<_>>(), [who]);
    }
}

#[test]
fn who_cannot_be_in_time_is_told_at_once() {
    let mut gate = Gate::new(plan(4, vec![rate(1, 60, None, 0)]));
    let Entry::Go(pass, _) = enters(&mut gate, 0, Priority::Pop, S) else { panic!() };
    gate.leaves(pass, Mono(2 * S));
    let Entry::No(Why::Enough { wait_ms }) = gate.enter(1, "get", Priority::Pop, Mono(8 * S), Mono(3 * S)) else {
        panic!()
    };
    // A minute after the answer, and not more than a 64th of it later.
    assert!((59_000..=59_950).contains(&wait_ms), "{wait_ms}");
    // One with patience waits, and a block that comes meanwhile tells him.
    assert!(matches!(gate.enter(2, "get", Priority::Pop, Mono(90 * S), Mono(3 * S)), Entry::Waits(_)));
    assert_eq!(gate.next(Mono(3 * S)), None);
    let blocked = Told { refused: true, wait_ms: Some(600_000), blocked: true, ..Told::default() };
    gate.told(pass, &blocked, Mono(4 * S));
    let Some((2, Err(Why::Enough { wait_ms: 600_000 }))) = gate.next(Mono(4 * S)) else { panic!() };
    // A reload with other windows does not lift it.
    gate.refit(plan(4, vec![rate(100, 1, None, 0)]), Mono(5 * S));
    assert!(matches!(gate.enter(3, "get", Priority::Pop, Mono(500 * S), Mono(5 * S)), Entry::No(_)));
    assert!(matches!(gate.enter(4, "get", Priority::Pop, Mono(604 * S), Mono(604 * S)), Entry::Go(..)));
}

#[test]
fn what_the_system_says_is_left_holds_until_it_comes_back() {
    let mut gate = Gate::new(plan(9, Vec::new()));
    let go = |gate: &mut Gate<u32>, now| match gate.enter(0, "get", Priority::Pop, Mono(now), Mono(now)) {
        Entry::Go(pass, _) => Some(pass),
        _ => None,
    };
    let first = go(&mut gate, S).unwrap();
    let second = go(&mut gate, S).unwrap();
    // The second one's answer comes first; the first one's knows less and says nothing any more.
    gate.told(
        second,
        &Told { remaining: Some(2), limit: Some(10), reset_ms: Some(30_000), ..Told::default() },
        Mono(S),
    );
    gate.told(first, &Told { remaining: Some(8), limit: Some(10), reset_ms: Some(30_000), ..Told::default() }, Mono(S));
    assert!(go(&mut gate, 2 * S).is_some());
    assert!(go(&mut gate, 2 * S).is_some());
    assert!(go(&mut gate, 2 * S).is_none());
    let used = gate.used(Mono(2 * S));
    assert_eq!((used[0].used, used[0].of), (10, 10));
    assert!(go(&mut gate, 31 * S).is_some());
}

#[test]
fn a_refusal_without_a_time_doubles_and_several_at_once_are_one() {
    let mut gate = Gate::new(plan(9, Vec::new()));
    let refused = Told { refused: true, ..Told::default() };
    let mut now = S;
    for wait in [1, 2, 4, 8, 16, 32, 64, 64] {
        let mut passes = Vec::new();
        for _ in 0..3 {
            let Entry::Go(pass, _) = gate.enter(0, "get", Priority::Pop, Mono(now), Mono(now)) else {
                panic!("{wait}")
            };
            passes.push(pass);
        }
        for pass in passes {
            gate.leaves(pass, Mono(now));
            gate.told(pass, &refused, Mono(now));
        }
        assert_eq!(gate.closed_until(), Mono(now + wait * S));
        now += wait * S;
    }
}

#[test]
fn an_operation_that_is_counted_apart_does_not_close_the_others() {
    let own = Own { windows: vec![rate(1, 1, None, 0)], cost: 1, alone: true };
    let mut gate = Gate::new(Plan { own: BTreeMap::from([("search", own)]), ..plan(9, Vec::new()) });
    let enter =
        |gate: &mut Gate<u32>, operation, now| gate.enter(0, operation, Priority::Pop, Mono(now + 5 * S), Mono(now));
    let Entry::Go(pass, _) = enter(&mut gate, "search", S) else { panic!() };
    gate.leaves(pass, Mono(S));
    gate.told(pass, &Told { refused: true, wait_ms: Some(10_000), ..Told::default() }, Mono(S));
    assert!(matches!(enter(&mut gate, "search", S), Entry::No(Why::Enough { wait_ms: 10_000 })));
    assert!(matches!(enter(&mut gate, "get", S), Entry::Go(..)));
    // Who waits for his own window lets others pass.
    assert!(matches!(enter(&mut gate, "search", 8 * S), Entry::Waits(_)));
    let Entry::Waits(_) = enter(&mut gate, "get", 8 * S) else { panic!() };
    assert_eq!(goes(&mut gate, 8 * S).len(), 1);
}

#[test]
fn operations_share_a_window_each_at_its_own_cost() {
    let own = Own { windows: vec![rate(4, 60, None, 0)], cost: 1, alone: false };
    let shares = BTreeMap::from([("list", ("search", 3))]);
    let mut gate = Gate::new(Plan { own: BTreeMap::from([("search", own)]), shares, ..plan(9, Vec::new()) });
    let enter =
        |gate: &mut Gate<u32>, operation, now| gate.enter(0, operation, Priority::Pop, Mono(now + 5 * S), Mono(now));
    let Entry::Go(pass, _) = enter(&mut gate, "list", S) else { panic!() };
    gate.leaves(pass, Mono(S));
    let Entry::Go(pass, _) = enter(&mut gate, "search", S) else { panic!() };
    gate.leaves(pass, Mono(S));
    let used: Vec<_> = gate.used(Mono(S)).iter().map(|used| (used.operation, used.used, used.of)).collect();
    assert_eq!(used, [(Some("search"), 4, 4)]);
    assert!(matches!(enter(&mut gate, "search", S), Entry::No(Why::Enough { .. })));
    assert!(matches!(enter(&mut gate, "list", S), Entry::No(Why::Enough { .. })));
    assert!(matches!(enter(&mut gate, "get", S), Entry::Go(..)));
}

#[test]
fn what_it_really_cost_counts() {
    let mut gate = Gate::new(plan(9, vec![rate(10, 60, None, 0)]));
    let Entry::Go(pass, _) = enters(&mut gate, 0, Priority::Pop, S) else { panic!() };
    gate.leaves(pass, Mono(S));
    gate.told(pass, &Told { cost: Some(9), ..Told::default() }, Mono(S));
    assert_eq!(gate.used(Mono(S))[0].used, 9);
    gate.told(pass, &Told { cost: Some(0), ..Told::default() }, Mono(S));
    assert_eq!(gate.used(Mono(S))[0].used, 9, "a system that says 0 is not asked for ever");
}

#[test]
fn a_reload_keeps_what_was_spent() {
    let mut gate = Gate::new(plan(9, vec![rate(3, 60, None, 0)]));
    for _ in 0..2 {
        let Entry::Go(pass, _) = enters(&mut gate, 0, Priority::Pop, S) else { panic!() };
        gate.leaves(pass, Mono(S));
    }
    gate.refit(plan(2, vec![rate(3, 60, None, 0), rate(5, 60, None, 0)]), Mono(2 * S));
    let used: Vec<_> = gate.used(Mono(2 * S)).iter().map(|used| (used.used, used.of)).collect();
    assert_eq!(used, [(2, 3), (2, 5)]);
}

#[test]
fn a_breaker_opens_on_failures_and_on_slowness_and_not_on_what_is_answered() {
    let rules = BreakerFile::default();
    let answered = |ms| Ended::Answered { took_ms: ms, somebody_waits: true };
    let end = |breaker: &mut Breaker, ended, now| {
        assert_eq!(breaker.ask(at(now)), Way::Go);
        breaker.ended(false, ended, at(now))
    };
    let mut breaker = Breaker::new(rules);
    for n in 0..7 {
        assert!(!end(&mut breaker, Ended::Failed, S + n));
    }
    assert!(end(&mut breaker, Ended::Failed, 2 * S), "eight of eight");
    assert_eq!(breaker.shown().why.as_deref(), Some("8 of the last 8 questions failed (within 60 s)"));
    assert_eq!(breaker.ask(at(16 * S)), Way::No);
    assert_eq!(breaker.ask(at(17 * S)), Way::Probe);
    assert_eq!(breaker.ask(at(17 * S)), Way::No);
    // It fails: twice the time. Nothing comes of the next: another may try at once.
    assert!(!breaker.ended(true, Ended::Failed, at(18 * S)));
    assert_eq!(breaker.ask(at(47 * S)), Way::No);
    assert_eq!(breaker.ask(at(48 * S)), Way::Probe);
    assert!(!breaker.ended(true, Ended::Unasked, at(49 * S)));
    assert_eq!(breaker.ask(at(49 * S)), Way::Probe);
    assert!(breaker.ended(true, answered(10), at(50 * S)));
    assert_eq!(breaker.shown().state, "closed");

    // Seven of twenty failed: no. Slow ones count where somebody waits.
    for n in 0..20 {
        assert!(!end(&mut breaker, if n % 3 == 0 { Ended::Failed } else { answered(10) }, 200 * S + n));
    }
    for n in 0..20 {
        let ended = Ended::Answered { took_ms: 20_000, somebody_waits: false };
        assert!(!end(&mut breaker, ended, 400 * S + n));
    }
    let opened = (0..20).any(|n| end(&mut breaker, answered(20_000), 600 * S + n));
    assert!(opened);
    // Old failures are forgotten, and what was never asked is nothing.
    let mut breaker = Breaker::new(rules);
    for n in 0..20 {
        assert!(!end(&mut breaker, Ended::Failed, n * 20 * S + S));
        assert!(!end(&mut breaker, Ended::Unasked, n * 20 * S + S));
    }
}

#[test]
fn what_is_not_safe_or_too_late_is_not_asked_again() {
    let mut retries = Retries::new(RetriesFile::default());
    let busy = Outcome::Busy { reason: String::new() };
    let tried = Tried { retries: 0, safe: true, left_ms: 5_000 };
    let now = Mono(S);
    for outcome in
        [Outcome::Empty, Outcome::Invalid { reason: String::new() }, Outcome::Unknown { reason: String::new() }]
    {
        assert_eq!(retries.again(&outcome, tried, 0.5, now), None);
    }
    assert_eq!(retries.again(&busy, Tried { safe: false, ..tried }, 0.5, now), None);
    assert_eq!(retries.again(&busy, Tried { retries: 2, ..tried }, 0.5, now), None);
    assert_eq!(retries.again(&busy, tried, 0.0, now), Some(50));
    assert_eq!(retries.again(&busy, Tried { retries: 1, ..tried }, 0.999, now), Some(399));
    // A system that answers in two seconds is not asked again with one left.
    for _ in 0..40 {
        retries.answered(2_000);
    }
    assert_eq!(retries.again(&busy, Tried { left_ms: 1_000, ..tried }, 0.0, now), None);
    let limited = |ms| Outcome::RateLimited { wait_ms: Some(ms) };
    assert_eq!(retries.again(&limited(4_000), tried, 0.0, now), None, "the wait is longer than what is left");
    assert!(retries.again(&limited(1_000), tried, 0.0, now).is_some_and(|ms| ms >= 1_000));
}
