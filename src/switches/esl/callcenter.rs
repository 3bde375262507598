//! mod_callcenter's agents as members of queues (FreeSWITCH 1.10.12; captures agent-status and resync).
//!
//! An agent has one status for all queues, without a reason. Each set of it is told, also where nothing changed. Who serves which queue (tiers) is told by
//! nobody: it is listed when a connection is made.

use std::collections::HashMap;

use serde::Deserialize;

use crate::{
    calls::event::{Member, Pause, Standing},
    words::Wall,
};

use super::translate::queue_name;

/// The lists, in the order in which they are to be asked: what an agent's event says behind the second is newer than both.
pub const TIERS: &str = "api callcenter_config tier list\n\n";
pub const AGENTS: &str = "api json {\"command\":\"callcenter_config\",\"data\":{\"arguments\":\"agent list\"}}\n\n";

/// Rows of one list.
const ROWS: usize = 500_000;

/// Queue and agent of each row.
pub type Tiers = Vec<(String, String)>;

/// `None`: no list; the module is not loaded, or may not be asked.
#[must_use]
pub fn tiers(body: &[u8]) -> Option<Tiers> {
    let text = String::from_utf8_lossy(body);
    let ("queue|agent|state|level|position", rows) = text.split_once('\n')? else { return None };
    let row = |line: &str| {
        let mut columns = line.split('|');
        Some((columns.next()?.to_owned(), columns.next()?.to_owned()))
    };
    // The last line is `+OK`.
    Some(rows.lines().filter_map(row).take(ROWS).collect())
}

/// Who serves which queue, and how each stands.
#[must_use]
pub fn members(tiers: &Tiers, agents: &[u8]) -> Option<Vec<Member>> {
    #[derive(Deserialize)]
    struct Answer {
        response: Vec<Agent>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Agent {
        name: String,
        contact: String,
        status: String,
        last_status_change: String,
    }
    let agents = serde_json::from_str::<Answer>(&String::from_utf8_lossy(agents)).ok()?.response;
    let of: HashMap<&str, &Agent> = agents.iter().map(|agent| (agent.name.as_str(), agent)).collect();
    let member = |(queue, name): &(String, String)| {
        let agent = of.get(name.as_str())?;
        let since = agent.last_status_change.parse::<i64>().ok().filter(|s| *s > 0);
        let standing = standing(&agent.status, since.map(|s| Wall(s.saturating_mul(1_000))))?;
        Some(Member { queue: queue_name(queue), ..member(name, device(&agent.contact), standing) })
    };
    Some(tiers.iter().filter_map(member).collect())
}

/// An agent, of no queue in particular. Where no contact tells the phone, it is what stands before the domain in the name.
#[must_use]
pub fn member(name: &str, device: Option<String>, standing: Standing) -> Member {
    let device = device.unwrap_or_else(|| name.split('@').next().unwrap_or(name).to_owned());
    let (name, interface) = (name.to_owned(), name.to_owned());
    Member { name, device, interface, queue: String::new(), dynamic: false, reasons: false, standing }
}

/// The four words of the module; it refuses any other.
#[must_use]
pub fn standing(status: &str, since: Option<Wall>) -> Option<Standing> {
    Some(match status {
        "Available" | "Available (On Demand)" => Standing::Ready,
        "On Break" => Standing::Paused(Pause::new("", since)),
        "Logged Out" => Standing::LoggedOff,
        _ => return None,
    })
}

/// `[leg_timeout=6]user/2001@cc.example` is `2001`.
fn device(contact: &str) -> Option<String> {
    let (_, phone) = contact.rsplit_once('/')?;
    phone.split(['@', ',', '|']).next().filter(|phone| !phone.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers to the two commands, out of what a real switch answered to many (resync).
    fn recorded() -> (Vec<u8>, Vec<u8>) {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/freeswitch/resync/esl-resync.txt");
        let text = std::fs::read_to_string(path).unwrap();
        let head = "queue|agent|state|level|position\n";
        let (_, rest) = text.split_once(head).unwrap();
        let (rows, _) = rest.split_once("+OK\n").unwrap();
        let begins = r#"{"command":"callcenter_config","data":{"arguments":"agent list"}"#;
        let line = text.lines().find(|line| line.starts_with(begins));
        let agents = line.unwrap().split("Content-Type").next().unwrap();
        (format!("{head}{rows}+OK\n").into_bytes(), agents.as_bytes().to_vec())
    }

    #[test]
    fn agents_and_tiers_are_members() {
        let (queues, agents) = recorded();
        let members = members(&tiers(&queues).unwrap(), &agents).unwrap();
        let told: Vec<String> =
            members.iter().map(|m| format!("{} {} {} {:?}", m.queue, m.device, m.interface, m.standing)).collect();
        assert_eq!(
            told,
            [
                "support 2001 2001@default Ready",
                r#"support 2002 2002@default Paused(Pause { reason: "", since: Some(2026-11-22T11:35:26.000Z) })"#,
                "support 2003 2003@default LoggedOff",
            ]
        );
    }

    #[test]
    fn without_the_module_there_is_nobody() {
        assert_eq!(tiers(b"-ERR callcenter_config Command not found!\n"), None);
        assert_eq!(tiers(b""), None);
        assert_eq!(members(&vec![("support".into(), "a".into())], b"-ERR"), None);
        assert_eq!(members(&vec![("support".into(), "a".into())], b"{\"response\":[]}"), Some(Vec::new()));
        assert_eq!(standing("Lunch", None), None);
    }
}
