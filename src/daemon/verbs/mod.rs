//! Each verb of the command line, short: what it needs from the rooms and what it prints.

mod account;
mod beside;
mod check;
mod connector;
mod data;
mod evidence;
pub(super) mod explain;
mod flows;
mod kpis;
mod numbers;
mod people;
mod reconcile;
mod schema;
mod sign_in;
mod sip;
mod tried;
pub(super) mod trunks;
mod webhook;

use std::{fs, path::Path, process::ExitCode};

use super::{
    cli::{Folder, NumberArgs, Replay, Token, Verb},
    load,
    replay::{self, Capture, ReplaySettings},
    settings::Settings,
};
use crate::{
    access::{self, KeySource, Who},
    calls::event::Feed,
    files::Problem,
    numbers::{China, Plan},
    private::Private,
    words::SwitchId,
};

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Good,
    Failed,
    /// The settings are wrong; the service unit does not try again by itself.
    WrongSettings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Good => 0,
            Exit::Failed => 1,
            Exit::WrongSettings => 78,
        })
    }
}

#[must_use]
pub fn run(verb: Verb) -> Exit {
    match verb {
        Verb::Run(folder) => super::run::run(&folder.config),
        Verb::Demo(args) => match super::demo::run(args.data.as_deref(), args.by_hand) {
            Ok(()) => Exit::Good,
            Err(why) => fail(&why),
        },
        Verb::Check(args) => check::check(&args),
        Verb::Replay(args) => replayed(&args),
        Verb::Number(args) => number(&args),
        Verb::Explain(args) => explain::explain(&args),
        Verb::Trunks(verb) => trunks::trunks(&verb),
        Verb::Connector(verb) => connector::connector(verb),
        Verb::Evidence(args) => evidence::evidence(&args),
        Verb::Numbers(verb) => numbers::numbers(verb),
        Verb::Outbox(verb) => data::outbox(verb),
        Verb::Flows(verb) => flows::flows(verb),
        Verb::Records(verb) => data::records(verb),
        Verb::People(verb) => people::people(verb),
        Verb::Reconcile(verb) => reconcile::reconcile(verb),
        Verb::Kpis(args) => kpis::kpis(args),
        Verb::Webhook(verb) => webhook::webhook(verb),
        Verb::Agents(verb) => data::agents(&verb),
        Verb::Audit(verb) => data::audit(&verb),
        Verb::Sip(verb) => sip::sip(&verb),
        Verb::Schema(args) => schema::schema(&args),
        Verb::Token(args) => token(&args),
        Verb::Account(verb) => account::account(&verb),
    }
}

/// Says why on standard error.
fn fail(why: &str) -> Exit {
    eprintln!("linecard: {why}");
    Exit::Failed
}

/// Every problem, one a line.
pub(super) fn wrong(problems: &[Problem]) -> Exit {
    for problem in problems {
        eprintln!("{problem}");
    }
    let (n, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
    eprintln!("linecard: {n} problem{s} in the settings; nothing was started");
    Exit::WrongSettings
}

fn settings_of(folder: &Folder) -> Result<Settings, Exit> {
    load::settings(&folder.config, &[]).map_err(|problems| wrong(&problems))
}

fn replayed(args: &Replay) -> Exit {
    let settings = match &args.config {
        None => ReplaySettings::plain(&args.agents, &args.country, args.area.as_deref()),
        Some(folder) => match load::load(folder, &[]) {
            Ok(loaded) => match loaded.switches.first() {
                Some(first) => ReplaySettings { switch: first.id().clone(), book: loaded.book_settings(false) },
                None => return fail("there is no switch in the settings folder: a capture belongs to one"),
            },
            Err(problems) => return wrong(&problems),
        },
    };
    let mut captures = Vec::new();
    for feed in &args.feeds {
        let (feed, name): (Feed, &str) = match replay::feed(feed) {
            Ok(read) => read,
            Err(error) => return fail(&error.to_string()),
        };
        match fs::read(name) {
            Ok(bytes) => {
                if feed == Feed::Hep
                    && let Some(why) = replay::strange(&bytes)
                {
                    eprintln!("linecard: {name}: {why}");
                }
                captures.push(Capture { feed, name: name.to_owned(), bytes });
            }
            Err(error) => return fail(&format!("cannot read {name}: {error}")),
        }
    }
    match replay::run(settings, &captures) {
        Ok(records) => {
            for record in &records {
                println!("{}", serde_json::to_string(record).unwrap_or_default());
            }
            Exit::Good
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// Prints the token and nothing else, so that it can be caught in a variable.
fn token(args: &Token) -> Exit {
    let settings = match settings_of(&args.folder) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let tokens = &settings.agents.tokens;
    let KeySource::Hs256(secret) = &tokens.keys else {
        return fail("tokens of this site come from its own issuer: agents.tokens.keys is not hs256");
    };
    let secret = match secret.resolve() {
        Ok(secret) => secret,
        Err(why) => return fail(&format!("cannot read the token secret: {why}")),
    };
    let Some(ttl_ms) = milliseconds(&args.ttl) else {
        return fail(&format!("\"{}\" is no time; 30s, 15m, 8h or 7d are", args.ttl));
    };
    let now = crate::live::now().wall;
    let who = Who {
        tenant: args.tenant.as_str().into(),
        agent: args.agent.as_str().into(),
        roles: args.roles.clone().into(),
        teams: Box::default(),
        device: None,
        expires: now.plus_ms(ttl_ms),
    };
    println!("{}", access::issue(&secret, &tokens.issuer, &tokens.audience, &who, now).expose());
    Exit::Good
}

/// `30s`, `15m`, `8h`, `7d`.
fn milliseconds(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|n| *n > 0)?;
    let ms = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    count.checked_mul(ms)
}

/// One line each: what the input is. Numbers are printed in full: who asks has typed them.
fn number(args: &NumberArgs) -> Exit {
    if args.table {
        print!("{}", China::text());
        return Exit::Good;
    }
    let loaded = match args.config.as_deref().or(args.out.as_ref().map(|_| Path::new("/etc/linecard"))) {
        None => None,
        Some(folder) => match load::load(folder, &[]) {
            Ok(loaded) => Some(loaded),
            Err(problems) => return wrong(&problems),
        },
    };
    let rules = match (&args.out, &loaded) {
        (Some(switch), Some(loaded)) => {
            let mut rules = load::rules_of(&loaded.switches);
            let Some(rules) = rules.remove(&SwitchId::from(switch.as_str())) else {
                let known: Vec<&str> = loaded.switches.iter().map(|s| s.id().as_str()).collect();
                return fail(&format!("there is no switch \"{switch}\"; known are: {}", known.join(", ")));
            };
            Some(rules)
        }
        _ => None,
    };
    let plan = match &rules {
        Some(rules) => rules.plan.clone(),
        None => Plan::new(&args.country, args.area.as_deref()),
    };
    for input in &args.input {
        let number = plan.read(input);
        let out = rules.as_ref().map(|rules| rules.out.write(&plan, &number));
        let text = |p: &Option<Private<String>>| p.as_ref().map_or_else(String::new, |p| p.expose().clone());
        if args.json {
            let mut value = serde_json::json!({"input": input, "class": number.class});
            for (key, part) in [("e164", &number.e164), ("short", &number.short), ("ext", &number.ext)] {
                if part.is_some() {
                    value[key] = text(part).into();
                }
            }
            if let Some((zh, en)) = plan.place(&number) {
                value["place"] = serde_json::json!({"zh": zh, "en": en});
            }
            match out {
                Some(Ok(digits)) => value["out"] = digits.into(),
                Some(Err(why)) => value["refused"] = why.to_string().into(),
                None => {}
            }
            println!("{value}");
        } else {
            let class = serde_json::to_value(number.class).unwrap_or_default();
            let class = class.as_str().unwrap_or_default();
            let out = match out {
                Some(Ok(digits)) => format!("\tdials {digits}"),
                Some(Err(why)) => format!("\tnot dialled: {why}"),
                None => String::new(),
            };
            println!("{input}\t{class}\t{}{}\t{}{out}", text(&number.e164), text(&number.short), text(&number.ext));
        }
    }
    Exit::Good
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn times_to_live() {
        assert_eq!(milliseconds("8h"), Some(28_800_000));
        assert_eq!(milliseconds("30s"), Some(30_000));
        for wrong in ["", "8", "h", "-1h", "8 h", "8小", "99999999999999d"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
