//! Flows that the clock begins: once for each slot, whoever is killed or whatever becomes of the clock.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use linecard::{
    connectors::{self, Set},
    flows::{self, Starter},
    store::{self, Batch, FlowFilter, Reader, Store},
    words::Wall,
};

use crate::{
    daemon::Desk,
    flows::{QUICK, configure, notices},
};

const TICK: &str = r#"
flow: tick
schema: 1
title: Tick
on: [schedule: {every_min: EVERY}]
steps:
  - step: {name: tell, system: desk, operation: notify, inputs: {text: "tick {{ event.at }}"}, undo: none}
"#;

struct Folder(PathBuf);
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn starter(every: u32) -> Starter {
    let desk = include_str!("../config/demo/connectors/desk.yaml");
    let set = Set::new(vec![connectors::load_offline("desk.yaml", desk).unwrap_or_else(|p| panic!("{p:#?}"))]);
    let text = TICK.replace("EVERY", &every.to_string());
    let plan = flows::read("tick.yaml", &text, &set, &BTreeSet::new()).unwrap_or_else(|p| panic!("{p:#?}"));
    Starter::new(vec![Arc::new(plan)])
}

const MIDNIGHT: i64 = 20_783 * 86_400_000;

fn clock(hour: i64, minute: i64, second: i64) -> Wall {
    Wall(MIDNIGHT + ((hour * 60 + minute) * 60 + second) * 1_000)
}

/// The slots that a store has when it is looked at the clock at these moments, each as often as one is there.
async fn slots(every: u32, looks: &[Wall]) -> Vec<String> {
    let folder = Folder(std::env::temp_dir().join(format!("linecard-schedule-{:032x}", rand::random::<u128>())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let settings = store::Settings { path: folder.0.join("linecard.db"), ..store::Settings::default() };
    let store = Store::open(&settings).unwrap();
    for at in looks {
        let flows = starter(every).scheduled(&"default".into(), *at);
        store.submit(Batch { flows, ..Batch::default() }).await.unwrap();
    }
    let rows = Reader::open(&settings).unwrap().flows(&FlowFilter { all: true, ..FlowFilter::default() }).unwrap();
    let slot = |row: &store::FlowRow| {
        let body: serde_json::Value = serde_json::from_str(row.body.expose()).unwrap();
        body["cause"]["event"]["at"].as_str().unwrap().get(11..16).unwrap().to_owned()
    };
    let mut slots: Vec<String> = rows.iter().map(slot).collect();
    slots.sort();
    slots
}

#[tokio::test]
async fn each_slot_begins_one_flow_and_one_that_is_over_none() {
    // Looked at as often as it may be, to the last millisecond.
    let last = Wall(clock(10, 15, 0).0 - 1);
    assert_eq!(slots(15, &[clock(10, 0, 0), clock(10, 0, 1), clock(10, 7, 30), last]).await, ["10:00"]);
    assert_eq!(slots(15, &[last, clock(10, 15, 0)]).await, ["10:00", "10:15"]);
    // Away from 10:05 to 10:50: the slot that it comes back in is made up for, those that are over are not.
    assert_eq!(slots(15, &[clock(10, 5, 0), clock(10, 50, 0), clock(10, 51, 0)]).await, ["10:00", "10:45"]);
    // The clock is set back by an hour, and goes through the same slots again.
    let again = [clock(11, 0, 0), clock(11, 15, 0), clock(10, 15, 0), clock(11, 0, 0), clock(11, 15, 5)];
    assert_eq!(slots(15, &again).await, ["10:15", "11:00", "11:15"]);
    // From midnight UTC on; what does not fit into the day ends with it.
    assert_eq!(
        slots(100, &[clock(21, 39, 59), clock(21, 40, 0), clock(23, 59, 59)]).await,
        ["20:00", "21:40", "23:20"]
    );
    assert_eq!(
        slots(100, &[clock(23, 59, 59), clock(24, 0, 0), clock(25, 39, 59), clock(25, 40, 0)]).await,
        ["00:00", "01:40", "23:20"]
    );
    assert_eq!(slots(1_440, &[clock(0, 0, 0), clock(23, 59, 59), clock(24, 0, 0)]).await, ["00:00", "00:00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_begins_no_slot_twice_and_misses_none_while_it_is_there() {
    let mut desk = Desk::set(1.0).await;
    std::fs::remove_dir_all(desk.stage.settings().join("flows")).unwrap();
    desk.stage.write("flows/tick.yaml", &TICK.replace("EVERY", "1")).unwrap();
    configure(&desk, QUICK);
    // Killed and started again within the minute, with the first slot's flow anywhere on its way.
    for n in 0..3 {
        desk.start(None).await;
        tokio::time::sleep(Duration::from_millis(n * 25)).await;
        desk.child.as_mut().unwrap().kill().unwrap();
        desk.child.take().unwrap().wait().unwrap();
    }
    desk.start(None).await;
    desk.until("the slot that it is in begins", |desk| !notices(desk).is_empty()).await;
    // The minute ends, and the next one begins by itself.
    let (first, end) = (notices(&desk).len(), Instant::now() + Duration::from_secs(75));
    while notices(&desk).len() <= first {
        assert!(Instant::now() < end, "the next minute began nothing: {:?}", notices(&desk));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = notices(&desk);
    let minutes: Vec<i64> = told.iter().map(|text| minute(text)).collect();
    assert!(minutes.windows(2).all(|two| two[1] == two[0] + 1), "each minute once, none left out: {told:?}");
}

/// Of `tick 2026-11-26T21:07:00.000Z`.
fn minute(text: &str) -> i64 {
    let at: linecard::words::Wall = serde_json::from_value(text.strip_prefix("tick ").unwrap().into()).unwrap();
    assert_eq!(at.0 % 60_000, 0, "{text}");
    at.0 / 60_000
}
