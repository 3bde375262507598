//! Made-up records with figures that were worked out by hand, over the store.

use std::{collections::BTreeSet, path::PathBuf};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{query::begins, *};
use crate::{
    calls::{Directory, directory::Agent},
    store::{
        Batch, CallKey, Compared as Differences, DifferenceRow, EffectPut, EffectRow, EffectSet, OperationRow, Reader,
        RecordRow, State, Store, TimeRow, effect_key,
    },
    words::{CallId, SwitchId, TenantId, Wall},
};

struct Desk {
    folder: PathBuf,
    store: crate::store::Settings,
    rows: Batch,
    calls: u64,
    settings: Settings,
    directory: Directory,
    edges: BTreeSet<SwitchId>,
    now: Wall,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn at(text: &str) -> Wall {
    let text = if text.ends_with('Z') { text.to_owned() } else { format!("{text}+08:00") };
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}

impl Desk {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("linecard-kpis-{:032x}", rand::random::<u128>()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut one = Agent::new("1001");
        one.teams = vec!["north".to_owned()];
        let mut two = Agent::new("1002");
        two.teams = vec!["north".to_owned(), "night".to_owned()];
        Self {
            store: crate::store::Settings { path: folder.join("linecard.db"), ..crate::store::Settings::default() },
            folder,
            rows: Batch::default(),
            calls: 0,
            settings: Settings::default(),
            directory: Directory::new(vec![one, two]),
            edges: BTreeSet::new(),
            now: at("2026-12-31T00:00:00"),
        }
    }

    /// A record that ended then; `more` goes over what every one has.
    fn call(&mut self, ended: &str, more: Value) -> CallId {
        self.put(ended, 1, more)
    }

    fn put(&mut self, ended: &str, revision: u32, more: Value) -> CallId {
        self.calls += 1;
        self.rows(ended, revision, self.calls, more)
    }

    fn rows(&mut self, ended: &str, revision: u32, n: u64, more: Value) -> CallId {
        let call = CallId(ulid::Ulid::from_parts(1_795_347_846_000, n.into()));
        let mut body = json!({"record": 1, "revision": revision, "call": call.to_string(), "tenant": "default", "switch": "pbx1",
            "direction": "inbound", "origin": "phone", "outcome": "answered", "end": "seen", "queue": "support", "quality": "exact"});
        let over = body.as_object_mut().unwrap();
        over.extend(more.as_object().unwrap().clone());
        self.rows.records.push(RecordRow {
            tenant: body["tenant"].as_str().unwrap().into(),
            call,
            revision,
            schema: 1,
            started_at: None,
            ended_at: Some(at(ended)),
            direction: None,
            outcome: None,
            queue: None,
            body: body.to_string().into(),
        });
        call
    }

    fn ticket(&mut self, call: CallId, operation: &str) {
        let (tenant, system) = (TenantId::default(), "redmine".into());
        let key = effect_key(&tenant, call, &system, operation);
        let row = EffectRow {
            base: key.clone(),
            key,
            tenant: tenant.clone(),
            call,
            place: 0,
            step: operation.to_owned(),
            system,
            operation: operation.to_owned(),
            inputs: "{}".into(),
            from_result: Vec::new(),
            revision: 1,
            state: State::Done,
            due_at: Wall(0),
            born_at: Wall(0),
            attempts: 1,
            unsure: false,
            reason: None,
            result: None,
            base_result: None,
            record: None,
            rules_hash: String::new(),
            connector_hash: String::new(),
            version: None,
            fence: 0,
            updated_at: Wall(0),
        };
        let put = EffectPut { row, content: operation.into(), amend: None };
        self.rows.effects.push(EffectSet { call: CallKey { tenant, call }, puts: vec![put], at: Wall(0), adds: false });
    }

    /// Written, and delivered where an effect was put.
    async fn write(&mut self) {
        let store = Store::open(&self.store).unwrap();
        store.submit(std::mem::take(&mut self.rows)).await.unwrap();
        drop(store);
        // Deliveries are the outbox's; here they simply were.
        let conn = rusqlite::Connection::open(&self.store.path).unwrap();
        conn.execute("UPDATE effects SET state = 'done'", []).unwrap();
    }

    fn asked(&self, asked: &Asked, sight: &Sight) -> Result<Answer, super::gather::Refused> {
        let query = asked.read(&self.settings, self.now).unwrap();
        let reader = Reader::open(&self.store).unwrap();
        let Self { settings, directory, edges, now, .. } = self;
        answer(&reader, Site { settings, directory, edges, now: *now }, &query, sight)
    }

    fn of(&self, from: &str, to: &str, by: &str) -> Answer {
        self.asked(&days(from, to, by), &Sight::All).unwrap()
    }
}

fn days(from: &str, to: &str, by: &str) -> Asked {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Asked { from: text(from), to: text(to), by: text(by), ..Asked::default() }
}

fn figure(figures: &[Figure], id: Id) -> &Figure {
    figures.iter().find(|figure| figure.figure == id).unwrap_or_else(|| panic!("no {id:?}"))
}

fn value(figures: &[Figure], id: Id) -> (Option<f64>, u64) {
    let figure = figure(figures, id);
    (figure.value, figure.n)
}

fn part(figures: &[Figure], id: Id, name: &str) -> u64 {
    figure(figures, id).parts.get(name).copied().unwrap_or(0)
}

fn group<'a>(answer: &'a Answer, key: &[Option<&str>]) -> &'a Group {
    let is = |group: &&Group| answer.by.iter().map(|by| group.key[by].as_deref()).collect::<Vec<_>>() == key;
    answer.groups.iter().find(is).unwrap_or_else(|| panic!("no group {key:?} of {:?}", answer.groups))
}

/// A day of five offered calls, two of which were answered in time; a short abandon; one that an IVR served; one out.
async fn a_day() -> Desk {
    let mut desk = Desk::new();
    let talk =
        |from: &str, to: &str, agent: &str| json!({"kind": "talk", "agent": agent, "from": at(from), "to": at(to)});
    desk.call("2026-11-02T09:10:00", json!({"wait_ms": 20_000, "talk_ms": 100_000, "hold_ms": 20_000, "wrap_ms": 30_000, "agents": ["1001"],
        "line": "After-sales", "brand": "Xiaolan", "attributes": {"survey.score": "5", "survey.nps": "10", "survey.resolved": "yes"},
        "wrapups": [{"agent": "1001", "ms": 30_000}],
        "segments": [talk("2026-11-02T09:08:00", "2026-11-02T09:09:40", "1001"),
            {"kind": "hold", "agent": "1001", "from": at("2026-11-02T09:09:40"), "to": at("2026-11-02T09:10:00")}]}));
    // Late, two agents, one after the other.
    desk.call("2026-11-02T09:20:00", json!({"wait_ms": 20_001, "talk_ms": 60_000, "hold_ms": 0, "agents": ["1001", "1002"],
        "attributes": {"survey.score": "3", "survey.nps": "6", "survey.resolved": "NO"},
        "segments": [talk("2026-11-02T09:19:00", "2026-11-02T09:19:40", "1001"), talk("2026-11-02T09:19:40", "2026-11-02T09:20:00", "1002")]}));
    desk.call(
        "2026-11-02T10:00:00",
        json!({"queue": "vip", "wait_ms": 10_000, "talk_ms": 40_000, "agents": ["1002"],
        "segments": [talk("2026-11-02T09:59:20", "2026-11-02T10:00:00", "1002")]}),
    );
    desk.call("2026-11-02T10:05:00", json!({"outcome": "abandoned", "wait_ms": 5_001, "agents": []}));
    desk.call("2026-11-02T10:06:00", json!({"outcome": "voicemail", "wait_ms": 60_000, "agents": []}));
    desk.call("2026-11-02T10:07:00", json!({"outcome": "abandoned", "wait_ms": 5_000, "agents": []}));
    desk.call("2026-11-02T10:08:00", json!({"outcome": "self-service", "queue": null, "agents": []}));
    let out = desk.call(
        "2026-11-02T10:09:00",
        json!({"direction": "outbound", "queue": null, "talk_ms": 10_000, "hold_ms": 0, "agents": ["1001"],
        "segments": [talk("2026-11-02T10:08:50", "2026-11-02T10:09:00", "1001")]}),
    );
    for (kind, count) in [("record-opened", 2), ("number-copied", 1)] {
        let row = OperationRow {
            tenant: TenantId::default(),
            call: out,
            agent: "1001".into(),
            kind: kind.to_owned(),
            count,
            at: Wall(0),
        };
        desk.rows.operations.extend([row.clone(), OperationRow { count: 1, ..row }]);
    }
    desk.settings.service_levels.insert("vip".to_owned(), 9);
    desk.write().await;
    desk
}

#[tokio::test]
async fn a_day_by_hand() {
    let desk = a_day().await;
    let answer = desk.of("2026-11-02", "2026-11-03", "");
    let whole = &answer.whole;
    assert_eq!(value(whole, Id::Calls), (Some(8.0), 8));
    assert_eq!(part(whole, Id::Calls, "inbound.answered"), 3);
    assert_eq!(part(whole, Id::Calls, "inbound.self-service"), 1);
    assert_eq!(value(whole, Id::Offered), (Some(5.0), 5));
    assert_eq!((part(whole, Id::Offered, "otherwise"), part(whole, Id::Offered, "short_abandons")), (1, 1));
    // In time: the first; the second a millisecond late, the third by its queue's own nine seconds.
    assert_eq!(value(whole, Id::ServiceLevel), (Some(0.2), 5));
    assert_eq!(part(whole, Id::ServiceLevel, "late"), 2);
    assert_eq!(value(whole, Id::Abandonment), (Some(0.2), 5));
    let wait = figure(whole, Id::Wait).percentiles.unwrap();
    assert_eq!((wait.mean, wait.longest), (115_002.0 / 5.0, 60_000));
    // 20,000 to the nearest sixty-fourth.
    assert!(wait.median.abs_diff(20_000) <= 20_000 / 64, "{wait:?}");
    // (150 + 60 + 40 + 10) / 4 seconds.
    assert_eq!(value(whole, Id::Aht), (Some(65_000.0), 4));
    assert_eq!((part(whole, Id::Aht, "wrap_known"), part(whole, Id::Aht, "hold_known")), (1, 3));
    assert_eq!(value(whole, Id::Talk), (Some(52_500.0), 4));
    assert_eq!(value(whole, Id::Hold), (Some(20_000.0 / 3.0), 3));
    assert_eq!(value(whole, Id::Wrap), (Some(30_000.0), 1));
    assert_eq!(value(whole, Id::FcrAnswer), (Some(0.5), 2));
    assert_eq!(value(whole, Id::Csat), (Some(0.5), 2));
    assert_eq!((part(whole, Id::Csat, "5"), part(whole, Id::Csat, "3")), (1, 1));
    assert_eq!(value(whole, Id::Nps), (Some(0.0), 2));
    assert_eq!(value(whole, Id::Surveys), (Some(0.5), 4));
    // 2 + 1 opened, 1 + 1 copied, in four answered calls.
    assert_eq!(value(whole, Id::ManualOperations), (Some(1.25), 4));
    assert_eq!(part(whole, Id::ManualOperations, "record-opened"), 3);
    assert_eq!(value(whole, Id::ConsistencyErrors), (Some(0.0), 8));
    assert!(whole.iter().all(|figure| figure.figure != Id::Occupancy), "nobody's time is known");
    assert_eq!(answer.definitions.len(), Id::ALL.len());
    assert!(answer.definitions.iter().all(|one| !one.text.en.is_empty() && !one.text.zh.is_empty()));
    // Said and as a sheet.
    let text = text(&answer);
    assert!(text.contains("Service level: 20.0 % of 5, between 3.6 % and 62.4 % (in time 1, late 2)"), "{text}");
    assert!(
        text.contains("AHT, handling time: 1 min 5 s on average of 4; median 40.1 s") || text.contains("median 40"),
        "{text}"
    );
    let csv = csv(&answer);
    assert!(csv.starts_with("\u{feff}from,to,figure,unit,value,n,"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + answer.whole.len());
    assert!(csv.contains(",service_level,share,0.2,5,"), "{csv}");
}

#[tokio::test]
async fn an_agents_figures_are_the_agents_own_parts() {
    let desk = a_day().await;
    let answer = desk.of("2026-11-02", "2026-11-03", "agent");
    let of = |agent: Option<&str>| &group(&answer, &[agent]).figures;
    // 150 s, 40 s of the second, 10 s.
    assert_eq!(value(of(Some("1001")), Id::Aht), (Some(200_000.0 / 3.0), 3));
    assert_eq!(value(of(Some("1002")), Id::Aht), (Some(30_000.0), 2));
    assert_eq!(value(of(None), Id::Calls), (Some(4.0), 4), "calls that nobody had");
    assert_eq!(value(&answer.whole, Id::Calls), (Some(8.0), 8));
    // Who gave up had no agent.
    assert!(answer.whole.iter().all(|figure| figure.figure != Id::Abandonment));
    // A team has the call once, and both parts of it.
    let teams = desk.of("2026-11-02", "2026-11-03", "team");
    assert_eq!(value(&group(&teams, &[Some("north")]).figures, Id::Calls), (Some(4.0), 4));
    assert_eq!(value(&group(&teams, &[Some("north")]).figures, Id::Aht).1, 5);
    assert_eq!(value(&group(&teams, &[Some("night")]).figures, Id::Aht), (Some(30_000.0), 2));
    let one = Asked { agent: Some("1002".to_owned()), ..days("2026-11-02", "2026-11-03", "queue") };
    let one = desk.asked(&one, &Sight::All).unwrap();
    assert_eq!((value(&one.whole, Id::Calls).1, value(&one.whole, Id::Talk).1, one.groups.len()), (2, 2, 2));
}

#[tokio::test]
async fn nobody_sees_more_than_they_may() {
    let mut desk = a_day().await;
    desk.call("2026-11-02T11:00:00", json!({"tenant": "other", "wait_ms": 1, "talk_ms": 1, "agents": ["2001"]}));
    desk.write().await;
    let own = TenantId::default();
    let calls = |asked: &Asked, sight: &Sight| desk.asked(asked, sight).map(|answer| value(&answer.whole, Id::Calls).1);
    let day = days("2026-11-02", "2026-11-03", "");
    assert_eq!(calls(&day, &Sight::All), Ok(9));
    assert_eq!(calls(&day, &Sight::Tenant(own.clone())), Ok(8));
    let agents = days("2026-11-02", "2026-11-03", "agent");
    assert_eq!(calls(&agents, &Sight::Tenant(own.clone())), Err(super::gather::Refused::NotYours));
    let two = Sight::People(own, ["1002".into()].into());
    let answer = desk.asked(&agents, &two).unwrap();
    let keys: Vec<_> = answer.groups.iter().map(|group| group.key[&Dimension::Agent].as_deref()).collect();
    assert_eq!(keys, [None, Some("1002")]);
    let other = Asked { agent: Some("1001".to_owned()), ..day };
    assert_eq!(calls(&other, &two), Ok(0));
    // No number and no name of a customer comes out of a record.
    let text = serde_json::to_string(&desk.of("2026-11-02", "2026-11-03", "agent,queue")).unwrap();
    assert!(!text.contains("138"), "{text}");
}

#[tokio::test]
async fn a_customer_who_comes_again_was_not_helped() {
    let mut desk = Desk::new();
    let who = |id: &str| {
        json!({"wait_ms": 1, "talk_ms": 1, "agents": ["1001"], "customer": {"raw": "13800138000", "links": [
        {"system": "crm", "type": "contact", "id": id}, {"system": "erp", "type": "customer", "id": format!("e{id}")}]}})
    };
    // Anna: again on the seventh day, by a line that nobody knew; then not for a week.
    let first = desk.call("2026-11-02T09:00:00", who("anna"));
    let mut lost = who("anna");
    lost["outcome"] = json!("abandoned");
    lost["customer"]["links"].as_array_mut().unwrap().remove(0);
    desk.call("2026-11-09T08:59:59", lost);
    // Bo: a minute too late to count.
    let bo = desk.call("2026-11-02T10:00:00", who("bo"));
    desk.call("2026-11-09T10:01:00", who("bo"));
    // Chen: twice on the day, and only the second made a ticket that was opened again.
    let chen = desk.call("2026-11-02T11:00:00", who("chen"));
    desk.call("2026-11-02T12:00:00", who("chen"));
    let again = desk.call("2026-11-03T12:00:00", who("chen"));
    // Nobody knows who this is.
    desk.call("2026-11-02T13:00:00", json!({"wait_ms": 1, "talk_ms": 1, "agents": ["1001"]}));
    for (call, operation) in
        [(first, "ticket.create"), (bo, "ticket.create"), (chen, "ticket.create"), (again, "ticket.reopen")]
    {
        desk.ticket(call, operation);
    }
    desk.write().await;
    let answer = desk.of("2026-11-02", "2026-11-03", "");
    // Anna and Chen's first came again; Bo's did not; Chen's second did the next day.
    assert_eq!(value(&answer.whole, Id::FcrContact), (Some(0.25), 4));
    // Anna's and Bo's stayed alone; Chen's, though another call without a ticket lay in between, was opened again.
    assert_eq!(value(&answer.whole, Id::FcrTicket), (Some(2.0 / 3.0), 3));
    // While the days of the last are not over, nobody says anything of them, nor of those who came again already.
    desk.now = at("2026-11-09T10:30:00");
    let early = desk.of("2026-11-02", "2026-11-03", "");
    assert_eq!(value(&early.whole, Id::FcrContact), (Some(0.5), 2));
    assert_eq!(part(&early.whole, Id::FcrContact, "not_over"), 2);
}

#[tokio::test]
async fn a_revision_counts_once_and_of_two_switches_that_tell_one_call_one() {
    let mut desk = Desk::new();
    let twin = json!([{"call": "01KAXS2V7R8Q4H0N5T3M1B6C9D", "relation": "edge", "certain": true}]);
    desk.put("2026-11-02T09:00:00", 1, json!({"wait_ms": 1, "talk_ms": 1_000, "agents": []}));
    desk.rows("2026-11-02T09:00:00", 2, 1, json!({"wait_ms": 1, "talk_ms": 3_000, "agents": []}));
    desk.call("2026-11-02T09:00:00", json!({"switch": "edge", "wait_ms": 1, "talk_ms": 3_000, "related": twin}));
    desk.call("2026-11-02T09:00:00", json!({"switch": "pbx1", "wait_ms": 1, "talk_ms": 3_000, "related": twin}));
    desk.edges.insert("edge".into());
    desk.write().await;
    let answer = desk.of("2026-11-02", "2026-11-03", "");
    assert_eq!(value(&answer.whole, Id::Talk), (Some(3_000.0), 2));
}

#[tokio::test]
async fn a_day_is_a_day_of_the_zone_also_when_the_clocks_change() {
    let mut desk = Desk::new();
    desk.settings.zone = "Europe/Berlin".to_owned();
    // 25 October 2026 has 25 hours in Berlin: from 22:00Z of the 24th to 23:00Z.
    for moment in [
        "2026-10-24T21:59:59Z",
        "2026-10-24T22:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ] {
        desk.call(moment, json!({"wait_ms": 1, "talk_ms": 1}));
    }
    desk.write().await;
    let answer = desk.of("2026-10-24", "2026-10-27", "day");
    let of = |day| value(&group(&answer, &[Some(day)]).figures, Id::Calls).1;
    assert_eq!([of("2026-10-24"), of("2026-10-25"), of("2026-10-26")], [1, 4, 1]);
    // 02:30 comes twice.
    let hours = desk.of("2026-10-25", "2026-10-26", "hour");
    assert_eq!(value(&group(&hours, &[Some("02")]).figures, Id::Calls).1, 2);
    // A call over midnight is one of the day on which it ended; a span of nothing has no case.
    assert_eq!(value(&desk.of("2026-10-25", "", "").whole, Id::Calls).1, 4);
    let none = desk.of("2026-01-01", "2026-01-02", "queue");
    assert_eq!((none.groups.len(), value(&none.whole, Id::ServiceLevel)), (0, (None, 0)));
    assert!(text(&none).contains("Service level: no case"), "{}", text(&none));
}

#[tokio::test]
async fn times_of_agents_and_differences_are_in_the_days_that_are_asked_for() {
    let mut desk = Desk::new();
    for (agent, day, state, ms) in [
        ("1001", "2026-11-01", "ready", 9_999),
        ("1001", "2026-11-02", "ready", 1_000),
        ("1001", "2026-11-02", "ready", 2_000),
        ("1001", "2026-11-02", "busy", 5_000),
        ("1001", "2026-11-02", "working-after-call", 1_000),
        ("1002", "2026-11-02", "not-ready", 7_000),
        ("1002", "2026-11-02", "ready", 1_000),
    ] {
        let row = TimeRow {
            tenant: TenantId::default(),
            agent: agent.into(),
            day: day.to_owned(),
            state: state.to_owned(),
            ms,
        };
        desk.rows.times.push(row);
    }
    desk.call("2026-11-02T09:00:00", json!({"wait_ms": 1, "talk_ms": 1, "agents": ["1001"]}));
    let difference = |id: &str, when: &str| DifferenceRow {
        tenant: TenantId::default(),
        id: id.to_owned(),
        kind: "missing".to_owned(),
        at: at(when),
        switch: None,
        system: None,
        call: None,
        effect: None,
        what: String::new(),
        place: None,
        state: String::new(),
        seen_at: Wall(0),
    };
    desk.rows.compared.push(Differences {
        tenant: TenantId::default(),
        from: Wall(0),
        to: Wall(0),
        at: Wall(0),
        asked: Vec::new(),
        found: vec![difference("a", "2026-11-02T00:00:00"), difference("b", "2026-11-03T00:00:00")],
    });
    desk.write().await;
    let answer = desk.of("2026-11-02", "2026-11-03", "agent");
    // 6,000 of 10,000.
    assert_eq!(value(&answer.whole, Id::Occupancy).0, Some(0.6));
    assert_eq!(value(&group(&answer, &[Some("1002")]).figures, Id::Occupancy).0, Some(0.0));
    assert_eq!(part(&answer.whole, Id::Occupancy, "not_ready_ms"), 7_000);
    let answer = desk.of("2026-11-02", "2026-11-03", "day");
    assert_eq!(value(&answer.whole, Id::ConsistencyErrors), (Some(1_000.0), 1));
    assert_eq!(part(&group(&answer, &[Some("2026-11-02")]).figures, Id::ConsistencyErrors, "missing"), 1);
    // Not of a queue, and not of half a day.
    let queues = desk.of("2026-11-02", "2026-11-03", "queue");
    assert!(queues.whole.iter().all(|f| f.figure != Id::Occupancy && f.figure != Id::ConsistencyErrors));
    let half = desk.of("2026-11-02T00:00:00Z", "2026-11-02T09:00:00Z", "");
    assert!(half.whole.iter().all(|f| f.figure != Id::Occupancy));
}

#[tokio::test]
async fn before_and_after_say_what_may_be_chance() {
    let mut desk = Desk::new();
    for n in 0..40 {
        // Of 40: 10 in time before, 30 after.
        for (day, good) in [("2026-11-02", n < 10), ("2026-11-03", n < 30)] {
            let wait = if good { 1_000 } else { 60_000 };
            desk.call(&format!("{day}T09:00:{n:02}"), json!({"wait_ms": wait, "talk_ms": 1_000, "agents": []}));
        }
    }
    desk.write().await;
    let asked =
        Asked { against: Some("2026-11-02..2026-11-03".to_owned()), ..days("2026-11-03", "2026-11-04", "queue") };
    let answer = desk.asked(&asked, &Sight::All).unwrap();
    let of = |compared: &[Compared], id| compared.iter().find(|one| one.figure == id).unwrap().clone();
    let level = of(&answer.compared, Id::ServiceLevel);
    assert_eq!((level.before.n, level.after.n, level.difference), (40, 40, Some(0.5)));
    assert_eq!((level.verdict, level.interval.unwrap().method), (Some(Verdict::Higher), Method::Newcombe));
    assert_eq!(of(&answer.compared, Id::Wait).verdict, Some(Verdict::Lower));
    assert_eq!(of(&answer.compared, Id::Talk).verdict, Some(Verdict::NotShown));
    assert_eq!(of(&answer.compared, Id::Csat).verdict, Some(Verdict::TooFew));
    assert_eq!(of(&answer.compared, Id::Calls).verdict, None);
    assert_eq!(of(&answer.groups[0].compared, Id::ServiceLevel), level);
    assert!(text(&answer).contains("before 25.0 % of 40, higher now"), "{}", text(&answer));
    assert!(csv(&answer).lines().next().unwrap().ends_with("difference_high,verdict"));
}

#[test]
fn a_stretch_is_of_the_days_that_it_touches() {
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let of = |from, to| by_day(&berlin, at(from), at(to));
    let day = |day: &str, hours: u64| (day.to_owned(), hours * 3_600_000);
    assert_eq!(
        of("2026-10-24T21:00:00Z", "2026-10-26T01:00:00Z"),
        [day("2026-10-24", 1), day("2026-10-25", 25), day("2026-10-26", 2)]
    );
    assert_eq!(of("2026-10-24T21:00:00Z", "2026-10-24T21:00:00Z"), []);
}

#[test]
fn days_may_be_told_by_today_and_the_time_before_by_its_length() {
    let settings = Settings { zone: "Europe/Berlin".to_owned(), ..Settings::default() };
    let day = |day: &str| begins(&settings.zone(), day.parse().unwrap()).unwrap();
    let span = |from: &str, to: &str| Span { from: day(from), to: day(to) };
    let now = at("2026-11-02T12:00:00");
    let read = |from: &str, to: &str, against: &str| {
        let asked = Asked { against: Some(against.to_owned()), ..days(from, to, "") };
        let query = asked.read(&settings, now).unwrap();
        (query.span, query.against.unwrap())
    };
    let week = (span("2026-10-27", "2026-11-03"), span("2026-10-20", "2026-10-27"));
    assert_eq!(read("today-6", "today+1", "before"), week, "the week before has an hour more: a clock was set back");
    assert_eq!(read("today-6", "today+1", "today-13..today-6"), week);
    assert_eq!(read("", "", "before"), (span("2026-11-02", "2026-11-03"), span("2026-11-01", "2026-11-02")));
    let (hours, hours_before) = read("2026-10-25T08:00:00Z", "2026-10-25T20:00:00Z", "before");
    assert_eq!((hours_before.to, hours_before.from), (hours.from, hours.from.plus_ms(-12 * 3_600_000)));
}

#[test]
fn what_is_wrong_with_a_question_is_said() {
    let settings = Settings::default();
    let now = at("2026-11-02T12:00:00");
    let wrong = |asked: Asked| asked.read(&settings, now).unwrap_err().part;
    let today = Asked::default().read(&settings, now).unwrap();
    assert_eq!(today.span, Span { from: at("2026-11-02T00:00:00"), to: at("2026-11-03T00:00:00") });
    assert_eq!(wrong(days("yesterday", "", "")), "from");
    for odd in ["today-", "today6", "today+x", "today-99999999999", "todayish"] {
        assert_eq!(wrong(days(odd, "", "")), "from", "{odd}");
    }
    assert_eq!(wrong(days("2026-11-02", "2026-11-02", "")), "to");
    assert_eq!(wrong(days("2006-11-02", "2026-11-02", "")), "to");
    assert_eq!(wrong(days("2026-11-02", "", "queue,queue")), "by");
    assert_eq!(wrong(days("2026-11-02", "", "day,hour,queue,line")), "by");
    assert_eq!(wrong(Asked { against: Some("2026-11-01".to_owned()), ..Asked::default() }), "against");
    assert_eq!(Settings { zone: "Mars".to_owned(), fcr_days: 0, short_abandon_s: 99, ..settings }.problems().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Groups by what a call has one of are a partition: they add up to the whole.
    #[test]
    fn groups_add_up_to_the_whole(calls in proptest::collection::vec((0i64..200_000, 0u8..4, 0u8..5, proptest::option::of(0u64..90_000)), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut desk = Desk::new();
        for (second, queue, outcome, wait) in &calls {
            let outcome = ["answered", "abandoned", "voicemail", "closed", "self-service"][usize::from(*outcome)];
            let ended = at("2026-11-02T00:00:00").plus_ms(second * 1000).to_string();
            desk.call(&ended, json!({"queue": format!("q{queue}"), "outcome": outcome, "wait_ms": wait, "talk_ms": second % 300 * 1000}));
        }
        runtime.block_on(desk.write());
        for by in ["day", "hour", "queue", "day,queue", "day,hour,queue", "line", "brand", "tenant"] {
            let answer = desk.of("2026-11-02", "2026-11-05", by);
            for id in [Id::Calls, Id::Offered, Id::ServiceLevel, Id::Abandonment, Id::Wait, Id::Aht] {
                let whole = figure(&answer.whole, id);
                let sum: u64 = answer.groups.iter().map(|group| figure(&group.figures, id).n).sum();
                prop_assert_eq!(sum, whole.n, "{:?} by {}", id, by);
                for (name, n) in &whole.parts {
                    let sum: u64 = answer.groups.iter().map(|group| part(&group.figures, id, name)).sum();
                    prop_assert_eq!(sum, *n, "{:?} {} by {}", id, name, by);
                }
            }
            prop_assert_eq!(value(&answer.whole, Id::Calls).1, calls.len() as u64);
        }
    }
}

/// `cargo test --release measure_kpis -- --ignored --nocapture`; `LINECARD_RECORDS` is how many.
#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn measure_kpis() {
    let records: u64 = std::env::var("LINECARD_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut desk = Desk::new();
    let store = Store::open(&desk.store).unwrap();
    let begin = at("2026-11-02T00:00:00");
    let began = std::time::Instant::now();
    for n in 0..records {
        // A week of them, of 200,000 customers and 500 agents in 20 queues, as large as records of one answered call are.
        let ended = begin.plus_ms(i64::try_from(n * 7 * 86_400_000 / records).unwrap()).to_string();
        let agent = format!("a{}", n % 500);
        let moment = |s: i64| at(&ended).plus_ms(-s * 1000).to_string();
        let segment = |kind: &str, from, to| json!({"kind": kind, "party": "p2", "agent": agent, "queue": "q1", "from": moment(from), "to": moment(to), "outcome": "answered"});
        desk.call(&ended, json!({"queue": format!("q{}", n % 20), "wait_ms": n * 7919 % 60_000, "talk_ms": n * 104_729 % 600_000, "hold_ms": n % 9000, "wrap_ms": n % 30_000,
            "agents": [agent], "brand": "Xiaolan", "line": "After-sales", "trunk": "PJSIP/trunk", "language": "zh-CN", "zone": "Asia/Shanghai", "started_at": moment(400), "answered_at": moment(300), "ended_at": ended,
            "customer": {"raw": "13800138000", "e164": "+8613800138000", "class": "mobile", "name": "Zhang Wei", "links": [{"system": "crm", "type": "contact", "id": format!("{}", n * 48_271 % 200_000)}]},
            "dialled": {"raw": "4008001234", "class": "shared-cost"}, "parties": [{"id": "p1", "role": "customer", "number": "13800138000"}, {"id": "p2", "role": "agent", "agent": agent, "device": "PJSIP/1001"}],
            "segments": [segment("ivr", 400, 390), segment("queue", 390, 310), segment("ring", 310, 300), segment("talk", 300, 100), segment("hold", 100, 90), segment("talk", 90, 0)],
            "ids": [{"switch": "pbx1", "kind": "linkedid", "value": "1762000000.123"}, {"switch": "pbx1", "kind": "uniqueid", "value": "1762000000.124"}],
            "attributes": {"ivr.account": "88001234", "survey.score": format!("{}", n % 6)}}));
        if desk.rows.records.len() == 1_000 || n + 1 == records {
            let batch = std::mem::take(&mut desk.rows);
            // A busy disk says so, and the same goes again.
            while let Err(error) = store.submit(batch.clone()).await {
                assert!(error.passes(), "{error}");
            }
        }
    }
    println!(
        "{records} records written in {:?}, {} MB",
        began.elapsed(),
        std::fs::metadata(&desk.store.path).unwrap().len() >> 20
    );
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")).collect::<Vec<_>>().join(" ")
    };
    for by in ["", "queue", "day,hour", "agent", "day,agent"] {
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, began) = (resident(), std::time::Instant::now());
        let answer = desk.of("2026-11-02", "2026-11-09", by);
        println!("by {by:?}: {:?}, {} groups; {before} -> {}", began.elapsed(), answer.groups.len(), resident());
        assert_eq!(value(&answer.whole, Id::Calls).1, records);
    }
}
