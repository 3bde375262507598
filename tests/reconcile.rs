//! What our records, the switch's own and the business systems tell differently is found, listed, counted and mended one by one.

use std::{fs, io::Write as _, path::Path};

use linecard::{
    daemon::demo::{hosts::Mode, story::Story},
    words::Wall,
};
use serde_json::Value;

use crate::daemon::Desk;

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

/// A line of Asterisk's Master.csv, in UTC.
fn line(from: &str, to: &str, channel: &str, id: &str, start: Wall, end: Wall) -> String {
    let other = channel.replace("trunk", "1001");
    let time = |at: Wall| at.to_string().replace('T', " ").get(..19).unwrap().to_owned();
    format!(
        "\"\",\"{from}\",\"{to}\",\"default\",\"\",\"{channel}\",\"{other}\",\"Queue\",\"support\",\"{}\",\"{}\",\"{}\",\"10\",\"5\",\"ANSWERED\",\"DOCUMENTATION\",\"{id}\",\"\"\n",
        time(start),
        time(start),
        time(end)
    )
}

fn json(desk: &Desk, words: &[&str]) -> Vec<Value> {
    let text = desk.stage.verb(Path::new(PROGRAM), words).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_found_listed_counted_and_mended_one_by_one() {
    let mut desk = Desk::set(0.3).await;
    let master = desk.folder.join("Master.csv");
    fs::write(&master, "").unwrap();
    let switch = desk.stage.settings().join("switches/pbx1.yaml");
    let switch = if switch.exists() {
        switch
    } else {
        fs::read_dir(desk.stage.settings().join("switches")).unwrap().next().unwrap().unwrap().path()
    };
    let text = fs::read_to_string(&switch).unwrap();
    fs::write(&switch, format!("{text}  records: {{cdr_csv: {}, utc: true}}\n", master.display())).unwrap();
    desk.start(None).await;
    // Two calls that have a ticket each; the switch has a record of the first only, and of one that nobody saw.
    for caller in ["13911112222", "13911113333"] {
        desk.pbx.play(Story::Abandoned, caller, None).unwrap();
    }
    desk.until("both calls are written down", |desk| desk.records().len() == 2).await;
    let done = |desk: &Desk| {
        json(desk, &["outbox", "list", "--all", "--json"]).iter().filter(|row| row["state"] == "done").count()
    };
    desk.until("both tickets are made", |desk| done(desk) == 2).await;
    let records = json(&desk, &["records", "list", "--json", "--full"]);
    let first = records.iter().find(|record| record["customer"]["raw"] == "13911112222").unwrap();
    let at = |name: &str| -> Wall { serde_json::from_value(first[name].clone()).unwrap() };
    let id =
        first["ids"].as_array().unwrap().iter().find(|id| id["kind"] == "uniqueid").unwrap()["value"].as_str().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&master).unwrap();
    let known = line("13911112222", "4008001234", "PJSIP/trunk-00000001", id, at("started_at"), at("ended_at"));
    file.write_all(known.as_bytes()).unwrap();
    let report = &json(&desk, &["reconcile", "run", "--hours", "1", "--json"])[0];
    assert_eq!(
        (&report["calls"], &report["switches"]["pbx1"]["Ok"], &report["asked"]),
        (&2.into(), &1.into(), &2.into()),
        "{report:#}"
    );
    assert_eq!(kinds(report["found"].as_array().unwrap()), ["unheard"], "{report:#}");

    // A ticket is gone at the system, and the daemon was away while a call came.
    let tickets = desk.hosts.tickets.ledger().len();
    assert!(desk.hosts.tickets.lose());
    desk.signal(rustix::process::Signal::TERM);
    assert!(desk.child.take().unwrap().wait().unwrap().success());
    let (then, id) = (at("ended_at"), format!("{}.777", at("ended_at").0 / 1000));
    let missed =
        line("13911114444", "4008001234", "PJSIP/trunk-00000777", &id, then.plus_ms(-60_000), then.plus_ms(-50_000));
    file.write_all(missed.as_bytes()).unwrap();
    let report = &json(&desk, &["reconcile", "run", "--hours", "1", "--json"])[0];
    assert_eq!(kinds(report["found"].as_array().unwrap()), ["missing", "unheard", "unrecorded"], "{report:#}");
    // It is named without telling whose it is.
    assert!(!report.to_string().contains("13911114444"), "{report}");
    let listed = json(&desk, &["reconcile", "list", "--json"]);
    assert_eq!(kinds(&listed), ["missing", "unheard", "unrecorded"]);
    let of = |kind: &str| listed.iter().find(|row| row["kind"] == kind).unwrap()["id"].as_str().unwrap().to_owned();

    // One by one. A system that is away is no system that has lost something.
    desk.hosts.tickets.set(Mode::Refuses);
    let report = &json(&desk, &["reconcile", "run", "--hours", "1", "--json"])[0];
    assert_eq!(kinds(report["found"].as_array().unwrap()), ["unheard", "unrecorded"], "{report:#}");
    assert_eq!(
        kinds(&json(&desk, &["reconcile", "list", "--json"])),
        ["missing", "unheard", "unrecorded"],
        "not known to be gone"
    );
    desk.hosts.tickets.set(Mode::Well);
    let refused =
        desk.stage.verb(Path::new(PROGRAM), &["reconcile", "repair", &of("unheard")]).unwrap_err().to_string();
    assert!(refused.contains("accept it"), "{refused}");
    desk.stage.verb(Path::new(PROGRAM), &["reconcile", "accept", &of("unheard"), "--why", "a test line"]).unwrap();
    desk.stage.verb(Path::new(PROGRAM), &["reconcile", "repair", &of("missing")]).unwrap();
    desk.stage.verb(Path::new(PROGRAM), &["reconcile", "repair", &of("unrecorded")]).unwrap();
    desk.start(None).await;
    desk.until("the ticket is made once more", |desk| desk.hosts.tickets.ledger().len() >= tickets).await;
    desk.until("the call that nobody saw is written down", |desk| desk.records().len() == 3).await;
    let seen = json(&desk, &["records", "list", "--json"]);
    assert_eq!(seen.iter().filter(|record| record["quality"] == "gap").count(), 1, "{seen:#?}");
    let left = |desk: &Desk| json(desk, &["reconcile", "list", "--json"]);
    desk.until("nothing is left", |desk| left(desk).is_empty()).await;
    let report = &json(&desk, &["reconcile", "run", "--hours", "1", "--json"])[0];
    assert_eq!(kinds(report["found"].as_array().unwrap()), ["unheard"], "{report:#}");
    assert_eq!(left(&desk), Vec::<Value>::new(), "accepted stays so");
    desk.until("it is counted", |desk| desk.metrics().contains("linecard_consistency_errors{kind=\"missing\"} 0"))
        .await;
    let whats = json(&desk, &["audit", "--what", "reconcile.*", "--json"]);
    assert_eq!(whats.len(), 3, "{whats:?}");
}
