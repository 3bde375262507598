//! Calls that nobody watched, from the switch's own records: what a real Asterisk wrote of its scenarios, and the tail of its file.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use linecard::{
    calls::{
        Book, Record,
        missed::{self, Row},
        record::{Outcome, Quality},
    },
    daemon::replay::{self, Capture, ReplaySettings, SWITCH},
    private::Private,
    store::{Batch, PositionRow, Reader, RecordFilter, Store},
    switches::asterisk::{
        ami::Framer,
        cdr::{
            self, BadLine, Records,
            live::{Position, look},
        },
    },
    words::Wall,
};

/// `Cdr` of AMI has what the file has, by other names.
const COLUMNS: [&str; 18] = [
    "AccountCode",
    "Source",
    "Destination",
    "DestinationContext",
    "CallerID",
    "Channel",
    "DestinationChannel",
    "LastApplication",
    "LastData",
    "StartTime",
    "AnswerTime",
    "EndTime",
    "Duration",
    "BillableSeconds",
    "Disposition",
    "AMAFlags",
    "UniqueID",
    "UserField",
];

fn fixture(scenario: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/asterisk").join(scenario).join("ami.txt"))
        .unwrap()
}

/// The lines that `cdr_csv` wrote of a recorded scenario.
fn lines(ami: &[u8]) -> Vec<String> {
    let mut framer = Framer::new();
    let mut lines = Vec::new();
    for piece in ami.chunks(4096) {
        framer.push(piece);
        while let Some(m) = framer.take().unwrap() {
            if m.event() == Some("Cdr") {
                let field = |name: &&str| format!("\"{}\"", m.get(name).unwrap_or_default().replace('"', "\"\""));
                lines.push(COLUMNS.iter().map(field).collect::<Vec<_>>().join(","));
            }
        }
    }
    lines
}

fn records(path: &Path) -> Records {
    let yaml = format!("cdr_csv: {}\nutc: true\n", path.display());
    linecard::files::read("x.yaml", &yaml).unwrap().value
}

fn rows(lines: &[String]) -> Vec<Row> {
    let records = records(Path::new("/x"));
    lines.iter().map(|line| cdr::row(&records, &jiff::tz::TimeZone::UTC, line.as_bytes()).unwrap()).collect()
}

fn settings() -> ReplaySettings {
    ReplaySettings::plain(&["1001", "1002", "1003"].map(str::to_owned), "CN", Some("21"))
}

/// What a record says that both ways can know.
fn told(record: &Record) -> BTreeMap<&'static str, String> {
    let agents = record.agents.clone().unwrap_or_default();
    let text = |value: serde_json::Value| value.to_string();
    BTreeMap::from([
        ("call", record.call.to_string()),
        ("direction", text(serde_json::to_value(record.direction).unwrap())),
        ("customer", record.customer.as_ref().and_then(|c| c.e164.clone()).map_or(String::new(), Private::into_inner)),
        ("agents", agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
        ("trunk", record.trunk.clone().unwrap_or_default()),
        ("queue", record.queue.clone().unwrap_or_default()),
        ("started", record.started_at.map_or(0, |at| at.0 / 1000).to_string()),
    ])
}

/// Every recorded scenario, seen by nobody: the same calls with the same ids, parties and agents as who watched them has, nothing said that is not so,
/// and no call that was none.
#[test]
fn what_the_switch_wrote_of_every_recorded_scenario() {
    // The recording begins or ends in the middle, or a restart cut its records off.
    let cut = ["crash", "restart", "resync-midcall", "link-cut"];
    // A colleague who was asked and never had the customer: the switch writes a call of its own.
    let apart = ["consult-refused"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/asterisk");
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let (mut wrong, mut calls, mut customers) = (Vec::new(), 0, 0);
    for name in names.iter().filter(|n| !cut.contains(&n.as_str()) && !apart.contains(&n.as_str())) {
        let bytes = fixture(name);
        let book = Book::new(settings().book);
        let mut found: Vec<Record> = missed::calls(rows(&lines(&bytes)))
            .iter()
            .filter_map(|rows| book.missed(&SWITCH.into(), rows))
            .map(|(record, _)| record)
            .collect();
        found.sort_by_key(|r| r.call);
        let capture = Capture { feed: linecard::calls::Feed::Ami, name: name.clone(), bytes };
        let mut seen = replay::run(settings(), &[capture]).unwrap();
        seen.sort_by_key(|r| r.call);
        if found.len() != seen.len() {
            wrong.push(format!("{name}: {} calls, {} were watched", found.len(), seen.len()));
            continue;
        }
        for (gap, watched) in found.iter().zip(&seen) {
            calls += 1;
            let (mut a, mut b) = (told(gap), told(watched));
            // Where an application dials, rows do not tell whom.
            if gap.customer.is_none() {
                a.remove("customer");
                b.remove("customer");
            }
            customers += usize::from(gap.customer.is_some());
            if a != b {
                wrong.push(format!("{name}: {a:?}, watched: {b:?}"));
            }
            let same = gap.outcome.is_none_or(|o| Some(o) == watched.outcome)
                || gap.outcome == Some(Outcome::Unanswered) && watched.outcome == Some(Outcome::Abandoned);
            if !same {
                wrong.push(format!("{name}: {:?}, watched: {:?}", gap.outcome, watched.outcome));
            }
            if watched.outcome == Some(Outcome::Answered) && gap.outcome.is_none() {
                wrong.push(format!("{name}: an answer was not seen"));
            }
            // The dialplan may have written it anew (`queue-plus86`): the line is the same.
            let line = |r: &Record| r.dialled.as_ref().and_then(|n| n.key().map(str::to_owned));
            if gap.dialled.is_some() && line(gap) != line(watched) {
                wrong.push(format!("{name}: another dialled number than was watched"));
            }
            assert_eq!(gap.quality, Quality::Gap);
            let unsaid = gap.talk_ms.is_none() && gap.answered_at.is_none() && gap.wait_ms.is_none();
            assert!(unsaid, "{name}: rows do not tell this");
            let known: Vec<&str> = watched.ids.iter().map(|id| id.value.as_str()).collect();
            if !gap.ids.iter().all(|id| known.contains(&id.value.as_str())) {
                wrong.push(format!("{name}: {:?}, watched: {known:?}", gap.ids));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(calls >= 25 && customers >= 20, "only {calls} calls, {customers} with a customer");
}

struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("linecard-gaps-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Master.csv"), "").unwrap();
        Self(folder)
    }
    fn path(&self) -> PathBuf {
        self.0.join("Master.csv")
    }
    fn add(&self, bytes: &[u8]) {
        fs::OpenOptions::new().append(true).create(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }
    /// Ids of rows, bad lines, torn; and the place.
    fn look(&self, from: Option<&Position>) -> (Vec<String>, Vec<(u64, BadLine)>, bool, Position) {
        let found = look(&records(&self.path()), &jiff::tz::TimeZone::UTC, from).unwrap();
        let ids = found.rows.into_iter().map(|row| row.id).collect();
        (ids, found.bad.into_iter().map(|(_, line, why)| (line, why)).collect(), found.torn, found.position)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn line(id: &str) -> String {
    format!(
        "\"\",\"13800138000\",\"4008001234\",\"from-trunk\",\"\"\"A, B\"\" <13800138000>\",\"PJSIP/trunk-{id}\",\"PJSIP/1001-{id}\",\"Queue\",\"support,,,,12\",\"2026-11-22 11:44:06\",\"2026-11-22 11:44:06\",\"2026-11-22 11:44:12\",6,6,\"ANSWERED\",\"DOCUMENTATION\",\"{id}\",\"\"\n"
    )
}

#[test]
fn the_tail_goes_on_where_it_was_through_half_lines_rotation_and_junk() {
    let file = File::new("tail");
    file.add(line("1.0").as_bytes());
    let (ids, .., at) = file.look(None);
    assert!(ids.is_empty(), "what was before we came is not ours to tell");
    // Half a line waits for its other half.
    let two = line("2.0");
    file.add(&two.as_bytes()[..40]);
    let (ids, bad, _, at) = file.look(Some(&at));
    assert!(ids.is_empty() && bad.is_empty());
    file.add(&two.as_bytes()[40..]);
    file.add(b"junk\n\"an open quote,1\n");
    file.add(line("3.0").replace("2026-11-22 11:44:12", "yesterday").as_bytes());
    let mut gbk = line("4.0").into_bytes();
    let name = gbk.windows(4).position(|w| w == b"A, B").unwrap();
    gbk.splice(name..name + 4, [0xD5, 0xC5, 0xC8, 0xFD]);
    file.add(&gbk);
    let (ids, bad, torn, at) = file.look(Some(&at));
    assert_eq!(ids, ["2.0", "4.0"]);
    let expected = [(3, BadLine::Fields { found: 1, wanted: 17 }), (4, BadLine::Quote), (5, BadLine::Time(12))];
    assert_eq!((bad.as_slice(), torn), (&expected[..], false));
    assert_eq!(file.look(Some(&at)).3, at, "nothing new");
    // Rotated by renaming, with rows on both sides of it.
    file.add(line("5.0").as_bytes());
    fs::rename(file.path(), file.0.join("Master.csv.1")).unwrap();
    file.add(line("6.0").as_bytes());
    let (ids, _, torn, at) = file.look(Some(&at));
    assert_eq!((ids, torn), (vec!["5.0".to_owned(), "6.0".to_owned()], false));
    // Copied and cut: the copy has what was not read.
    file.add(line("7.0").as_bytes());
    fs::copy(file.path(), file.0.join("Master.csv.2")).unwrap();
    fs::write(file.path(), line("8.0")).unwrap();
    let (ids, _, torn, at) = file.look(Some(&at));
    assert_eq!((ids, torn), (vec!["7.0".to_owned(), "8.0".to_owned()], false));
    // Not there for a moment.
    fs::rename(file.path(), file.0.join("Master.csv.3")).unwrap();
    assert_eq!(file.look(Some(&at)).3, at);
    let none = Position::default();
    assert_eq!(file.look(None).3, none, "and none yet");
    file.add(line("8.5").as_bytes());
    let (ids, _, torn, _) = file.look(Some(&none));
    assert_eq!((ids, torn), (vec!["8.5".to_owned()], false));
    fs::remove_file(file.0.join("Master.csv.3")).unwrap();
    // Thrown away: said, and the new one is read.
    fs::remove_file(file.path()).unwrap();
    file.add(line("9.0").as_bytes());
    file.add(line("10.0").as_bytes());
    let (ids, _, torn, _) = file.look(Some(&at));
    assert_eq!((ids, torn), (vec!["9.0".to_owned(), "10.0".to_owned()], true));
}

#[test]
fn a_line_without_an_end_neither_fills_the_memory_nor_hides_the_next() {
    let file = File::new("long");
    let at = file.look(None).3;
    file.add(&vec![b'x'; 200_000]);
    file.add(b"\n");
    file.add(line("1.0").as_bytes());
    let (ids, bad, ..) = file.look(Some(&at));
    assert_eq!(ids, ["1.0"]);
    assert!(!bad.is_empty() && bad.iter().all(|(_, why)| matches!(why, BadLine::TooLong | BadLine::Fields { .. })));
}

#[test]
fn columns_of_ones_own() {
    let yaml = "cdr_csv: /x\ncolumns: [linkedid, uniqueid, other, channel, dstchannel, start, end, disposition]\n";
    let records: Records = linecard::files::read("x.yaml", yaml).unwrap().value;
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let row =
        cdr::row(&records, &zone, b"1.0,2.0,x,PJSIP/a-1,,2026-11-22 19:44:06.243,2026-11-22 19:44:07,NO ANSWER\r")
            .unwrap();
    assert_eq!((row.linked.as_deref(), row.id.as_str(), row.start), (Some("1.0"), "2.0", Wall(1_795_347_846_243)));
    assert_eq!((row.other.as_str(), row.number), ("", None));
}

/// The table of `cdr_sqlite3_custom`, with names of one's own for its columns; and made anew.
#[test]
fn a_table_is_read_on_by_its_row_numbers() {
    let file = File::new("table");
    let path = file.0.join("master.db");
    let yaml = format!("cdr_sqlite: {}\nutc: true\n", path.display());
    let records: Records = linecard::files::read("x.yaml", &yaml).unwrap().value;
    let zone = jiff::tz::TimeZone::UTC;
    let look = |from: Option<&Position>| {
        let found = look(&records, &zone, from).unwrap();
        let ids: Vec<String> = found.rows.iter().map(|row| row.id.clone()).collect();
        (ids, found.bad.len(), found.torn, found.position, found.rows)
    };
    let (.., none, _) = look(None);
    assert_eq!(none, Position::default(), "not there yet");
    let csv: Records =
        linecard::files::read("x.yaml", &format!("cdr_csv: {}\n", file.0.join("none.csv").display())).unwrap().value;
    assert!(cdr::live::probe(&csv, "UTC").unwrap().contains("not there yet"));
    let make = "CREATE TABLE cdr (AcctId INTEGER PRIMARY KEY, calldate, src, dst, channel, dstchannel, lastapp, \
                lastdata, duration, disposition, uniqueid, linkedid)";
    let add = |db: &rusqlite::Connection, id: &str, at: &str| {
        let sql = "INSERT INTO cdr (calldate, src, dst, channel, dstchannel, lastapp, lastdata, duration, disposition, \
                   uniqueid, linkedid) VALUES (?1, '13800138000', '4008001234', 'PJSIP/trunk-1', 'PJSIP/1001-1', 'Queue', \
                   'support', '6', 'ANSWERED', ?2, ?2)";
        db.execute(sql, [at, id]).unwrap();
    };
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute(make, []).unwrap();
    add(&db, "1.0", "2026-11-22 11:44:06");
    let (ids, _, torn, at, rows) = look(Some(&none));
    assert_eq!((ids, torn), (vec!["1.0".to_owned()], false));
    assert_eq!((rows[0].start, rows[0].end), (Wall(1_795_347_846_000), Wall(1_795_347_852_000)));
    assert_eq!(look(None).3, at, "what was before we came is not ours to tell");
    add(&db, "2.0", "yesterday");
    add(&db, "3.0", "2026-11-22 11:45:06");
    let (ids, bad, _, at, _) = look(Some(&at));
    assert_eq!((ids, bad), (vec!["3.0".to_owned()], 1));
    assert_eq!(look(Some(&at)).3, at, "nothing new");
    // Old rows are thrown away; then the table is made anew.
    db.execute("DELETE FROM cdr WHERE AcctId < 3", []).unwrap();
    assert!(!look(Some(&at)).2);
    db.execute("DROP TABLE cdr", []).unwrap();
    db.execute(make, []).unwrap();
    add(&db, "4.0", "2026-11-22 11:46:06");
    let (ids, _, torn, ..) = look(Some(&at));
    assert_eq!((ids, torn), (vec!["4.0".to_owned()], true));
    let other: Records = linecard::files::read("x.yaml", &format!("{yaml}table: other\n")).unwrap().value;
    assert!(cdr::live::look(&other, &zone, None).unwrap_err().to_string().contains("other"));
    assert!(cdr::live::probe(&records, "UTC").is_ok());
}

/// Names of channels come again after a restart of the switch, ids do not.
#[test]
fn the_same_channel_name_after_a_restart_is_another_call() {
    let one = rows(&[line("1.0")]);
    let mut two = one.clone();
    two[0].id = "9.0".into();
    (two[0].start, two[0].end) = (two[0].start.plus_ms(8_000), two[0].end.plus_ms(9_000));
    assert_eq!(missed::calls([one, two].concat()).len(), 2);
}

#[tokio::test]
async fn the_place_is_durable_with_what_was_made_of_it() {
    let file = File::new("store");
    let yaml = format!("path: {}\n", file.0.join("x.db").display());
    let settings: linecard::store::Settings = linecard::files::read("x.yaml", &yaml).unwrap().value;
    let store = Store::open(&settings).unwrap();
    let (tenant, switch) = (linecard::words::TenantId::default(), linecard::words::SwitchId::from("pbx1"));
    assert_eq!(store.position(tenant.clone(), switch.clone()).await.unwrap(), None);
    for body in ["1", "2"] {
        let row = PositionRow { tenant: tenant.clone(), switch: switch.clone(), body: body.to_owned() };
        store.submit(Batch { positions: vec![row], ..Batch::default() }).await.unwrap();
    }
    drop(store);
    let store = Store::open(&settings).unwrap();
    assert_eq!(store.position(tenant, switch).await.unwrap().as_deref(), Some("2"));
    assert!(store.ended(Wall(0), Wall(i64::MAX)).await.unwrap().is_empty());
    assert!(Reader::open(&settings).unwrap().records(&RecordFilter::default()).unwrap().is_empty());
}
