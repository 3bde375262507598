//! The demo's connector files, tried on the demo's systems over real sockets: what they say of each other is true.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::connectors::{Ask, Connectors, Outcome, Priority, Set, examples, load, load_offline};

use super::{
    hosts::{Hosts, Mode},
    stage::{Places, Stage},
};

const FILES: [&str; 4] = ["erp", "loyalty", "orders", "desk"];

struct Asked {
    connectors: Connectors,
    hosts: Hosts,
    folder: std::path::PathBuf,
}

impl Asked {
    async fn new(name: &str) -> Asked {
        // As the daemon does at its start; a second one is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let hosts = Hosts::start(Places::preferred()).await.unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let places = Places {
            agents: nobody,
            admin: nobody,
            hooks: nobody,
            console: nobody,
            ami: nobody,
            erp: hosts.erp.address(),
            loyalty: hosts.loyalty.address(),
            orders: hosts.orders.address(),
            desk: hosts.tickets.address(),
            survey: hosts.survey.address(),
            mail: hosts.mails.address(),
        };
        let folder = std::env::temp_dir().join(format!("linecard-asked-{name}-{}", std::process::id()));
        let stage = Stage::set(&folder, places).unwrap();
        let read = |file: &str| {
            let name = format!("connectors/{file}.yaml");
            load(&name, &std::fs::read_to_string(stage.settings().join(&name)).unwrap()).unwrap()
        };
        Asked { connectors: Connectors::new(Set::new(FILES.map(read).into())), hosts, folder }
    }

    async fn ask(&self, system: &str, operation: &str, inputs: Value) -> Outcome {
        let Value::Object(inputs) = inputs else { panic!("inputs are an object") };
        let ask = Ask {
            tenant: crate::words::TenantId::default(),
            system: system.into(),
            operation: operation.into(),
            inputs,
            deadline: Duration::from_secs(3),
            priority: Priority::Background,
        };
        self.connectors.run(ask).await
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // A folder that stays behind disturbs nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn each_file_is_right_and_its_own_examples_hold() {
    for file in FILES {
        let path = format!("{}/config/demo/connectors/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
        let system = load_offline(&format!("{file}.yaml"), &std::fs::read_to_string(path).unwrap()).unwrap();
        for example in examples::run(&system) {
            assert_eq!(example.result, Ok(()), "{file}: {}", example.name);
        }
    }
}

#[tokio::test]
async fn each_system_knows_us_its_customers_and_what_it_says_of_them() {
    let asked = Asked::new("reads").await;
    for system in FILES {
        assert!(matches!(asked.ask(system, "check", json!({})).await, Outcome::Ok(_)), "{system}");
        if system == "loyalty" {
            continue;
        }
        let found = asked.ask(system, "customer.by_phone", json!({"number": "+8613800138000"})).await;
        let Outcome::Ok(Value::Array(found)) = found else { panic!("{system}: {found:?}") };
        assert_eq!(found.len(), 1, "{system}: the neighbour with the same last digits is not this customer: {found:?}");
        assert_eq!((found[0]["id"].as_str(), found[0]["name"].as_str()), (Some("1001"), Some("陈静")), "{system}");
        let two = asked.ask(system, "customer.by_phone", json!({"number": "+862088886666"})).await;
        assert!(matches!(&two, Outcome::Ok(Value::Array(two)) if two.len() == 2), "{system}: {two:?}");
        let nobody = asked.ask(system, "customer.by_phone", json!({"number": "+8613700137000"})).await;
        assert!(matches!(&nobody, Outcome::Empty), "{system}: {nobody:?}");
        let abroad = asked.ask(system, "customer.by_phone", json!({"number": "+442079460123"})).await;
        assert!(matches!(&abroad, Outcome::Ok(Value::Array(one)) if one.len() == 1), "{system}: {abroad:?}");
    }
    let customer = json!({"customer": {"id": "1001", "type": "customer", "by": "id", "member_no": "M1001"}});
    for (system, operation, part) in
        [("erp", "finance", "12860.50"), ("loyalty", "loyalty", "4820"), ("orders", "orders", "SO-20261102-17")]
    {
        let said = asked.ask(system, operation, customer.clone()).await;
        assert!(matches!(&said, Outcome::Ok(said) if said.to_string().contains(part)), "{operation}: {said:?}");
    }
    let none = asked.ask("desk", "tickets.open", customer).await;
    assert!(matches!(none, Outcome::Empty), "{none:?}");
}

#[tokio::test]
async fn a_ticket_and_a_note_are_written_once_whatever_becomes_of_the_answers() {
    let asked = Asked::new("writes").await;
    let ticket = json!({"call": "01JD0000000000000000000001", "key": "k1", "title": "Missed call", "text": "t",
        "customer": {"id": "1001", "type": "contact"}});
    asked.hosts.tickets.set(Mode::DropsAnswers);
    let silent = asked.ask("desk", "ticket.create", ticket.clone()).await;
    assert!(matches!(silent, Outcome::Unknown { .. } | Outcome::Busy { .. }), "{silent:?}");
    asked.hosts.tickets.set(Mode::Babbles);
    let babble = asked.ask("desk", "ticket.create", ticket.clone()).await;
    assert!(matches!(babble, Outcome::Broken { .. }), "{babble:?}");
    asked.hosts.tickets.set(Mode::Well);
    // Looking first, whatever was written on the way of silence is found and not written again.
    let mut target = Value::Null;
    for _ in 0..2 {
        let written = asked.ask("desk", "ticket.create", ticket.clone()).await;
        let Outcome::Ok(written) = written else { panic!("{written:?}") };
        target = written;
    }
    assert_eq!(target["type"], "ticket");
    let note = json!({"call": "01JD0000000000000000000001", "key": "k2", "target": target, "text": "later"});
    for _ in 0..2 {
        let written = asked.ask("desk", "note.add", note.clone()).await;
        assert!(matches!(&written, Outcome::Ok(_)), "{written:?}");
    }
    // Last, because its Retry-After is obeyed: nobody asks this desk again for a second.
    asked.hosts.tickets.set(Mode::Refuses);
    let refused = asked.ask("desk", "ticket.create", ticket).await;
    assert!(matches!(refused, Outcome::Busy { .. } | Outcome::RateLimited { .. }), "{refused:?}");
    let keys: Vec<String> = asked.hosts.tickets.ledger().into_iter().map(|w| format!("{} {}", w.what, w.key)).collect();
    assert_eq!(keys, ["ticket k1", "note k2"]);
}
