//! A table in a file as a business system: found by any spelling of a number, read anew when it is another file, and never lost by a faulty one.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set};
use serde_json::{Value, json};

const FILE: &str = include_str!("../config/connectors/csv.yaml");

/// Removed with all it holds when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("linecard-tables-{}", ulid::Ulid::new()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
    /// Another file in the place of the old, as a nightly export leaves it.
    fn put(&self, bytes: &[u8]) -> PathBuf {
        let (new, path) = (self.0.join("new"), self.0.join("customers.csv"));
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn table(path: &Path, change: impl Fn(String) -> String) -> Connectors {
    let file = FILE.replace("/var/lib/linecard/customers.csv", &path.display().to_string());
    // A file of a million rows takes longer than a pop may.
    let file = change(file.replace("\nnumbers:", "\ndeadline_ms: 60000\nnumbers:"));
    Connectors::new(Set::new(vec![connectors::load("csv.yaml", &file).unwrap_or_else(|p| panic!("{p:#?}"))]))
}

fn ask(operation: &str, inputs: Value) -> Ask {
    Ask {
        tenant: Default::default(),
        system: "csv".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().cloned().unwrap(),
        deadline: Duration::from_secs(60),
        priority: Priority::Pop,
    }
}

async fn codes(table: &Connectors, number: &str) -> Vec<String> {
    match table.run(ask("customer.by_phone", json!({"number": number}))).await {
        Outcome::Ok(Value::Array(found)) => found.iter().map(|c| c["code"].as_str().unwrap().to_owned()).collect(),
        Outcome::Empty => Vec::new(),
        other => panic!("{number}: {other:?}"),
    }
}

const HEAD: &str = "code,name,company,mobile,phone\n";

fn customers() -> String {
    let json: Value = serde_json::from_str(include_str!("servers/customers.json")).unwrap();
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(HEAD.trim().split(',')).unwrap();
    for c in json["customers"].as_array().unwrap() {
        out.write_record(["code", "name", "company", "mobile", "phone"].map(|key| c[key].as_str().unwrap())).unwrap();
    }
    String::from_utf8(out.into_inner().unwrap()).unwrap()
}

#[tokio::test]
async fn every_caller_of_a_file_is_found_and_nobody_else() {
    let folder = Folder::new();
    let path = folder.put(&encoding_rs::GBK.encode(&customers()).0);
    let table = table(&path, |file| file.replace("charset: utf-8", "charset: gbk"));
    for (number, wanted) in [
        ("13800138000", &["C10001", "C10004"][..]),
        ("057187654321", &["C10001"]),
        ("+8613912345678", &["C10002"]),
        ("18600001111", &["C10003"]),
        ("13712345678", &["C10005"]),
        ("+442079460958", &["C10006"]),
        ("13900008888", &["C10009"]),
        ("15900002222", &["C10010"]),
        ("13800138002", &[]),
    ] {
        assert_eq!(codes(&table, number).await, wanted, "{number}");
    }
    let get = async |id: &str| table.run(ask("customer.get", json!({"customer": {"id": id}}))).await;
    let Outcome::Ok(found) = get("C10008").await else { panic!() };
    assert_eq!(found["company"], "绍兴文创<测试>\"部\" & 工坊");
    assert_eq!(get("C1").await, Outcome::Empty);
    let page = |offset: u64| json!({"page": {"offset": offset, "number": 0, "size": 4, "cursor": null, "url": null}});
    let Outcome::Ok(last) = table.run(ask("customer.list", page(8))).await else { panic!() };
    assert_eq!((&last["ids"], &last["total"]), (&json!(["C10009", "C10010"]), &json!(10)));
}

#[tokio::test]
async fn another_file_takes_the_place_of_the_old_and_a_faulty_one_does_not() {
    let folder = Folder::new();
    let path = folder.0.join("customers.csv");
    let table = table(&path, |file| file);
    let by_phone = || ask("customer.by_phone", json!({"number": "13800138000"}));
    let gone = Outcome::Busy { reason: "csv's file cannot be opened".to_owned() };
    assert_eq!(table.run(by_phone()).await, gone);
    // Without an old one a faulty file is told to whoever asks.
    folder.put(b"code,name,company,mobile,phone\nC1,a\n");
    let told = Outcome::Broken {
        reason: "csv's file cannot be used: line 2, column 2: the row has 2 cells, not 5".to_owned(),
    };
    assert_eq!(table.run(by_phone()).await, told);
    folder.put(format!("{HEAD}C1,a,,13800138000,\n").as_bytes());
    assert_eq!(codes(&table, "13800138000").await, ["C1"]);
    // A file is looked at once a second.
    let becomes = async |number: &str, wanted: &[&str]| {
        let seen = async {
            while codes(&table, number).await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen)
            .await
            .unwrap_or_else(|_| panic!("{number} is not {wanted:?}"));
    };
    folder.put(format!("{HEAD}C2,b,,13800138000,\n").as_bytes());
    becomes("13800138000", &["C2"]).await;
    for faulty in [
        &b"code,mobile\n"[..],
        b"code,name,company,mobile,phone\nC3,\xff,,13800138000,\n",
        b"code,name,company,mobile,phone\nC3,\"a,,13800138000,\n",
    ] {
        folder.put(faulty);
        tokio::time::sleep(Duration::from_millis(1_300)).await; // longer than a look is apart from the next
        assert_eq!(codes(&table, "13800138000").await, ["C2"], "{}", String::from_utf8_lossy(faulty));
    }
    fs::remove_file(&path).unwrap();
    folder.put(format!("{HEAD}C4,d,,13800138000,\n").as_bytes());
    becomes("13800138000", &["C4"]).await;
}

#[tokio::test]
async fn a_large_file_is_refused_and_a_long_one_is_not() {
    let folder = Folder::new();
    let path = folder.put(format!("{HEAD}C1,a,,13800138000,\n").as_bytes());
    let small = table(&path, |file| file.replace("find_by:", "max_bytes: 20\n  find_by:"));
    let outcome = small.run(ask("customer.by_phone", json!({"number": "13800138000"}))).await;
    assert!(matches!(&outcome, Outcome::Broken { reason } if reason.contains("larger than max_bytes")), "{outcome:?}");
    // LINECARD_ROWS=1000000 prints what such a file costs.
    let rows: u32 = std::env::var("LINECARD_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(20_000);
    let mut text = HEAD.to_owned();
    for n in 0..rows {
        writeln!(text, "C{n},客户{n},公司 {n},13{:09},0571-8{:07}", n, n % 10_000_000).unwrap();
    }
    let path = folder.put(text.as_bytes());
    drop(text);
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse::<u64>().ok())
            .unwrap()
    };
    let (before, began) = (resident(), Instant::now());
    let table = table(&path, |file| file);
    assert_eq!(codes(&table, "13000000077").await, ["C77"]);
    let read = began.elapsed();
    let began = Instant::now();
    for n in 0..1_000 {
        let n = n * (rows / 1_000).max(1);
        assert_eq!(codes(&table, &format!("13{n:09}")).await, [format!("C{n}")]);
    }
    let each = began.elapsed() / 1_000;
    println!("{rows} rows: read in {read:?}, {} MiB, {each:?} a question", (resident() - before) / 1024);
}
