//! What the tests on real databases, directories and mail servers have in common. Each needs what `tests/servers/NAME/setup.sh` writes into its `.env`; they fail,
//! and do not skip, where that is absent.

use std::{collections::BTreeMap, process::Command, time::Duration};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set, System};
use serde_json::{Value, json};
use tokio::sync::RwLock;

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: source the server's .env, or use tests/run"))
}

pub fn load(file: &str, values: &[(&str, String)]) -> System {
    let values: BTreeMap<String, String> = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    connectors::load_with("system.yaml", file, &values).unwrap_or_else(|p| panic!("{p:#?}"))
}

/// One system, alone.
pub struct Only {
    pub id: String,
    pub systems: Connectors,
}

impl Only {
    pub fn new(system: System) -> Self {
        Self { id: system.id.to_string(), systems: Connectors::new(Set::new(vec![system])) }
    }

    pub fn ask(&self, operation: &str, inputs: Value) -> Ask {
        Ask {
            tenant: "default".into(),
            system: self.id.as_str().into(),
            operation: operation.to_owned(),
            inputs: inputs.as_object().unwrap().clone(),
            deadline: Duration::from_secs(10),
            priority: Priority::Pop,
        }
    }

    pub async fn run(&self, operation: &str, inputs: Value) -> Outcome {
        self.systems.run(self.ask(operation, inputs)).await
    }

    pub async fn ok(&self, operation: &str, inputs: Value) -> Value {
        match self.run(operation, inputs.clone()).await {
            Outcome::Ok(value) => value,
            other => panic!("{operation} {inputs}: {other:?}"),
        }
    }

    /// The values of this field of all whom the operation gives, sorted.
    pub async fn all(&self, operation: &str, inputs: Value, field: &str) -> Vec<String> {
        match self.run(operation, inputs.clone()).await {
            Outcome::Ok(Value::Array(found)) => {
                let mut all: Vec<String> =
                    found.iter().map(|c| c[field].as_str().unwrap_or_else(|| panic!("{found:?}")).to_owned()).collect();
                all.sort_unstable();
                all
            }
            Outcome::Empty => Vec::new(),
            other => panic!("{operation} {inputs}: {other:?}"),
        }
    }
}

/// Whoever is asked for each way in which the customers of `customers.json` are written, is found, and nobody else.
pub async fn finds_the_callers(system: &Only) {
    for (number, wanted) in [
        ("13800138000", &["C10001", "C10004"][..]),
        ("+86 138 0013 8000", &["C10001", "C10004"]),
        ("057187654321", &["C10001"]),
        ("+8613912345678", &["C10002"]),
        ("18600001111", &["C10003"]),
        ("13712345678", &["C10005"]),
        ("+442079460958", &["C10006"]),
        ("13800138001", &["C10007"]),
        ("15900002222", &["C10010"]),
        ("13800138002", &[]),
        ("02100138000", &[]),
    ] {
        assert_eq!(system.all("customer.by_phone", json!({"number": number}), "code").await, wanted, "{number}");
    }
}

/// All pages, of this many; how many pages, and all ids.
pub async fn pages(system: &Only, size: u32) -> (usize, Vec<String>) {
    let (mut ids, mut cursor, mut count) = (Vec::new(), Value::Null, 0);
    loop {
        let page = json!({"offset": ids.len(), "number": count, "size": size, "cursor": cursor, "url": null});
        let mut held = match system.run("customer.list", json!({"page": page, "since": null})).await {
            Outcome::Ok(held) => held,
            Outcome::Empty => return (count, ids),
            other => panic!("page {count}: {other:?}"),
        };
        count += 1;
        let records = held["ids"].as_array().unwrap().clone();
        let short = records.len() < size as usize;
        ids.extend(records.iter().map(|id| id.as_str().unwrap().to_owned()));
        cursor = held["next"].take();
        assert!(count < 100, "the list does not end");
        if cursor.is_null() && short {
            return (count, ids);
        }
    }
}

/// Stops a server, lets `meanwhile` see that, and starts it again.
pub async fn without(server: &str, lock: &RwLock<()>, meanwhile: impl AsyncFnOnce()) {
    let _alone = lock.write().await;
    let setup = env(&format!("{server}_SETUP"));
    let verb = |verb: &str| assert!(Command::new(&setup).arg(verb).status().unwrap().success(), "{setup} {verb}");
    verb("down");
    meanwhile().await;
    verb("up");
}
