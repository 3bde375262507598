//! Each verb of the command line, short: what it needs from the rooms and what it prints.

use std::process::ExitCode;

use super::{
    cli::{NumberArgs, Replay, Verb},
    replay::{self, Capture, ReplaySettings},
};
use crate::numbers::Plan;

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
        Verb::Number(args) => number(&args),
        Verb::Replay(args) => replayed(&args),
        Verb::Demo(args) => match super::demo::run(args.data.as_deref()) {
            Ok(()) => Exit::Good,
            Err(why) => fail(&why),
        },
        _ => fail("this verb is not here yet"),
    }
}

/// Says why on standard error.
fn fail(why: &str) -> Exit {
    eprintln!("linecard: {why}");
    Exit::Failed
}

fn replayed(args: &Replay) -> Exit {
    let settings = ReplaySettings::plain(&args.agents, &args.country, args.area.as_deref());
    let mut captures = Vec::new();
    for feed in &args.feeds {
        let (feed, name) = match replay::feed(feed) {
            Ok(read) => read,
            Err(error) => return fail(&error.to_string()),
        };
        match std::fs::read(name) {
            Ok(bytes) => captures.push(Capture { feed, name: name.to_owned(), bytes }),
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

/// One line each: what the input is. Numbers are printed in full: who asks has typed them.
fn number(args: &NumberArgs) -> Exit {
    let plan = Plan::new(&args.country, args.area.as_deref());
    for input in &args.input {
        let number = plan.read(input);
        let text =
            |p: &Option<crate::private::Private<String>>| p.as_ref().map_or_else(String::new, |p| p.expose().clone());
        if args.json {
            let mut value = serde_json::json!({"input": input, "class": number.class});
            for (key, part) in [("e164", &number.e164), ("short", &number.short), ("ext", &number.ext)] {
                if part.is_some() {
                    value[key] = text(part).into();
                }
            }
            println!("{value}");
        } else {
            let class = serde_json::to_value(number.class)
                .map_or_else(|_| String::new(), |v| v.as_str().unwrap_or_default().to_owned());
            println!("{input}\t{class}\t{}{}\t{}", text(&number.e164), text(&number.short), text(&number.ext));
        }
    }
    Exit::Good
}
