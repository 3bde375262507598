//! The same switch, phones, Redmine and daemon, moved by another program: `tests/web/real` sits at the agents' pages in a browser and says line by line what the
//! phones shall do. No screen is opened here; the browser's are the only ones.
//!
//! Each line of the input is a JSON list of words, each line of the output its answer: `{"ok": ...}` or `{"failed": "why"}`. The end of the input is the end.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    phones::{self, Party, Phones},
    redmine::Redmine,
    screen,
    site::{Feed, Site},
    switch::Asterisk,
    wait::until,
};

struct Hands {
    asterisk: Asterisk,
    phones: Phones,
    redmine: Redmine,
    site: Site,
    /// Phones and callers at work.
    parties: BTreeMap<u64, Party>,
    count: u64,
}

/// Sets it all up, says where the pages are, and does what it is told.
pub fn serve() -> Result<(), String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let logs = root.join(".cache/check/pages");
    fs::create_dir_all(&logs).map_err(|e| format!("{}: {e}", logs.display()))?;
    let home = env::var("ASTERISK_HOME").map_or_else(|_| root.join(".cache/asterisk"), PathBuf::from);
    let redmine = Redmine::from_env()?;
    let mut site = Site::new(Feed::Both, &home, &logs, &redmine, &screen::Protocol::read()?)?;
    let asterisk = Asterisk::start(&home, &logs, &site.switch_lines()?)?;
    site.run()?;
    let mut hands = Hands {
        asterisk,
        phones: Phones::new(phones::ASTERISK, &logs)?,
        redmine,
        site,
        parties: BTreeMap::new(),
        count: 0,
    };
    answer(&json!({"ok": hands.site.pages()}))?;
    for line in io::stdin().lines() {
        let line = line.map_err(|e| e.to_string())?;
        let words: Vec<String> = serde_json::from_str(&line).map_err(|e| format!("{line}: {e}"))?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        answer(&hands.obey(&words).map_or_else(|why| json!({ "failed": why }), |ok| json!({ "ok": ok })))?;
    }
    hands.site.stop()
}

fn answer(what: &Value) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).map_err(|e| e.to_string())
}

impl Hands {
    fn obey(&mut self, words: &[&str]) -> Result<Value, String> {
        match *words {
            ["register", ref agents @ ..] => self.phones.register(agents).map(|()| Value::Null),
            ["phone", agent, scenario, calls, ref facts @ ..] => {
                let calls = calls.parse().map_err(|_| format!("{calls} is no number of calls"))?;
                let party = self.phones.phone(agent, scenario, calls, &pairs(facts)?)?;
                Ok(self.keep(party))
            }
            ["customer", from, did, scenario, ref facts @ ..] => {
                let party = self.phones.customer(from, did, scenario, &pairs(facts)?)?;
                Ok(self.keep(party))
            }
            // Played to its end, as its scenario says.
            ["done", id] => self.party(id)?.done().map(|()| Value::Null),
            // Whatever a story left.
            ["clear"] => {
                self.parties.clear();
                self.asterisk.say("channel request hangup all")?;
                let gone = || self.asterisk.say("core show channels concise").is_ok_and(|said| !said.contains('!'));
                until("every channel to end", Duration::from_secs(20), || gone().then_some(Value::Null))
            }
            ["switch", words] => self.asterisk.say(words).map(Value::from),
            ["linecard", ref words @ ..] => self.site.say(words).map(Value::from),
            ["tickets", call] => self.redmine.tickets(call).map(Value::from),
            _ => Err(format!("nobody knows what {words:?} means")),
        }
    }

    fn keep(&mut self, party: Party) -> Value {
        self.count += 1;
        self.parties.insert(self.count, party);
        self.count.to_string().into()
    }

    fn party(&mut self, id: &str) -> Result<Party, String> {
        id.parse().ok().and_then(|id: u64| self.parties.remove(&id)).ok_or(format!("nobody is at work as {id}"))
    }
}

/// `KEY=value` of a scenario.
fn pairs<'a>(facts: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>, String> {
    facts.iter().map(|fact| fact.split_once('=').ok_or(format!("{fact} is not KEY=value"))).collect()
}
