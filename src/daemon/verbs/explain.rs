//! `explain`: why a call would pop, or why one did or did not. A made-up call goes through the rooms that real calls go through (numbers, trunks,
//! book, customers, roster), so that what is printed is what would happen; only the switch, the screen and the store are left out.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::runtime::Handle;

use super::{Exit, fail, load, settings_of, wrong};
use crate::{
    access::Who,
    agents::{Heard, Output, Roster, ScreenId, Told, protocol::Resume},
    calls::{
        Book, Event,
        attributes::{Mapping, Purpose, Source, UserEvent},
        directory::{Agent, Device},
        event::{Caller, Feed, Leg, LegState, Said},
    },
    connectors::Connectors,
    customers::{Answer, BlockState, Card, Customers, Question},
    daemon::{cli::Explain, core::question, load::Loaded, settings::Settings, wiring},
    numbers::trunks::Source as Place,
    private::Private,
    store::{Reader, StoreError},
    watch::{self, Trace, Traces},
    words::{
        CallId, Now, SwitchId, Wall,
        refusal::{Refusal, code},
    },
};

/// Longer than any lookup may take (a connector's deadline is at most 10 s).
const PATIENCE: Duration = Duration::from_secs(15);

pub fn explain(args: &Explain) -> Exit {
    let told = match (&args.call, &args.from) {
        (Some(call), _) => match settings_of(&args.folder) {
            Ok(settings) => past(&settings, call).map(|trace| (trace, None)),
            Err(exit) => return exit,
        },
        (None, Some(from)) => match load::load(&args.folder.config, &[]) {
            Ok(loaded) => made_up(args, from, loaded).map(|Made { trace, pop, .. }| (trace, pop)),
            Err(problems) => return wrong(&problems),
        },
        // clap asks for one of the two.
        (None, None) => return fail("name a call with --call, or make one up with --from and --to"),
    };
    let (trace, pop) = match told {
        Ok(told) => told,
        Err(why) => return fail(&why),
    };
    // Whoever makes a call up has typed its numbers.
    let full = args.full || args.call.is_none();
    if args.json {
        let mut value = trace.json(full);
        if let Some(pop) = pop {
            value["pop"] = pop;
        }
        println!("{value}");
        return Exit::Good;
    }
    for line in trace.lines(full) {
        println!("{line}");
    }
    if let Some(pop) = pop {
        println!("{:<10}{}   (the whole frame: --json)", "pop", title(&pop));
    }
    Exit::Good
}

/// What the card's head would say.
fn title(pop: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = [text(&pop["title"]), text(&pop["queue"]["label"]), text(&pop["number"]["display"])];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

/// From the store; a call that is up is asked of the running daemon.
fn past(settings: &Settings, call: &str) -> Result<Trace, String> {
    let id: CallId = call
        .parse()
        .map_err(|_| "this is no call id: 26 letters and digits, from `linecard records list`".to_owned())?;
    let stored = Reader::open(&settings.store).and_then(|reader| reader.trace(id));
    match stored {
        Ok(body) => serde_json::from_str(body.expose()).map_err(|e| format!("the story of call {id} cannot be read: {e}")),
        Err(StoreError::Missing(why)) => running(settings, id).ok_or_else(|| {
            format!(
                "{why}: it is older than traces.keep_days ({}), another switch's, or was never seen; `linecard records list` names the calls that were",
                settings.traces.keep_days
            )
        }),
        Err(error) => Err(error.to_string()),
    }
}

fn running(settings: &Settings, call: CallId) -> Option<Trace> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build().ok()?;
        let url = format!("http://{}/v1/calls/{call}/trace", settings.admin.listen);
        client.get(url).send().await.ok()?.json().await.ok()
    })
}

/// What a made-up call came to.
pub struct Made {
    pub trace: Trace,
    /// The frame that the agent's screen would get.
    pub pop: Option<Value>,
    /// The row that took it, from 1.
    pub row: Option<usize>,
}

fn made_up(args: &Explain, from: &str, mut loaded: Loaded) -> Result<Made, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| format!("cannot start: {e}"))?;
    let call = MadeUp::new(args, from, &loaded)?;
    let set = std::mem::take(&mut loaded.live.connectors);
    let systems = Connectors::keeping(set, loaded.settings.tokens_folder());
    systems.read_indexes(&loaded.settings.index_folder());
    Ok(runtime.block_on(play(call, loaded, (!args.offline).then_some(systems)))?)
}

/// A call that nobody makes: what the switch would say of it, and whose phone it would ring.
pub struct MadeUp {
    switch: SwitchId,
    /// Nobody's, where no agent has a device.
    agent: Option<Arc<Agent>>,
    said: Vec<Said>,
}

impl MadeUp {
    /// # Errors
    /// What of it cannot be meant.
    pub fn new(args: &Explain, from: &str, loaded: &Loaded) -> Result<Self, Refusal> {
        let switch = match &args.switch {
            Some(id) => loaded.switches.iter().find(|s| s.id().as_str() == id.as_str()).ok_or_else(|| {
                let known: Vec<&str> = loaded.switches.iter().map(|s| s.id().as_str()).collect();
                let known = known.join(", ");
                let says = format!("there is no switch \"{id}\"; known are: {known}");
                Refusal::new(code::NO_SWITCH, says).with("name", id).with("known", known)
            })?,
            None => loaded
                .switches
                .first()
                .ok_or_else(|| Refusal::new(code::NO_SWITCHES, "there is no switch in the settings folder"))?,
        };
        let first = || switch.trunks().first().map_or_else(String::new, |pattern| pattern.replace('*', ""));
        let trunk = args.trunk.clone().unwrap_or_else(first);
        let mut agents: Vec<_> = loaded.live.directory.agents().filter(|a| a.tenant == *switch.tenant()).collect();
        agents.retain(|a| !a.devices.is_empty());
        agents.sort_by(|a, b| a.id.cmp(&b.id));
        let agent = match &args.agent {
            Some(id) => {
                let found = agents.iter().find(|a| a.id.as_str() == id.as_str());
                Some(found.ok_or_else(|| {
                    let says = format!("there is no agent \"{id}\" with a device in agents.yaml");
                    Refusal::new(code::NO_AGENT, says).with("agent", id)
                })?)
            }
            None => agents.first(),
        };
        let leg = |id: &str, endpoint: &str| Leg {
            id: id.to_owned(),
            name: format!("{endpoint}-{id}"),
            linked: Some("explain1".to_owned()),
            sip_call_id: None,
        };
        let caller = leg("explain1", &trunk);
        let number = Some(Private::new(from.to_owned()));
        let places = args.places.iter().map(|text| place(text).map_err(no_call)).collect::<Result<Vec<_>, _>>()?;
        let dialled = args.to.clone().map(Private::new).or_else(|| places.first().map(|(_, number)| number.clone()));
        let mut said = vec![Said::NewLeg {
            leg: caller.clone(),
            state: LegState::Calling,
            caller: Caller { number, name: None },
            dialled,
            places,
            created: None,
        }];
        if let Some(account) = &args.account {
            said.extend(keyed(account, &caller, switch.attributes()).ok_or_else(|| {
                no_call(format!(
                    "the file of switch \"{}\" maps no account: \"use: account\" at one of its attributes",
                    switch.id()
                ))
            })?);
        }
        let devices = || agent.iter().flat_map(|a| &a.devices);
        let phone = devices().find_map(|device| match device {
            Device::At { switch: at, name } if at.as_ref().is_none_or(|at| at == switch.id()) => {
                Some((if name.contains('/') { name.clone() } else { format!("{}/{name}", switch.technology()) }, None))
            }
            Device::At { .. } => None,
            Device::Outside { number } => Some((trunk.clone(), Some(number.clone()))),
        });
        if let Some((endpoint, dialled)) = phone {
            let phone = leg("explain2", &endpoint);
            said.push(Said::DialBegin { by: Some(caller), to: phone.clone(), dialled, presented: None });
            said.push(Said::State { leg: phone, state: LegState::Ringing });
        }
        Ok(Self { switch: switch.id().clone(), agent: agent.map(|a| (*a).clone()), said })
    }
}

fn no_call(why: String) -> Refusal {
    Refusal::new(code::NO_CALL, why.clone()).with("why", why)
}

/// How the switch would tell the account, by the first attribute that is one; `None`: none is.
fn keyed(account: &str, caller: &Leg, attributes: &[Mapping]) -> Option<Vec<Said>> {
    let from = attributes.iter().find(|a| a.purpose == Some(Purpose::Account)).and_then(|a| a.from.as_ref())?;
    let leg = caller.clone();
    let value = || Private::new(account.as_bytes().to_vec());
    Some(match from {
        Source::Variable(name) => vec![Said::Variable { leg, name: name.clone(), value: value() }],
        Source::UserEvent(UserEvent { event, header }) => {
            vec![Said::UserEvent { leg, event: event.clone(), headers: vec![(header.clone(), value())] }]
        }
        Source::Digits(digits) => account
            .chars()
            .chain(digits.end)
            .map(|digit| Said::Digit { leg: leg.clone(), digit: Private::new(digit), place: digits.at.clone() })
            .collect(),
        Source::SipHeader(_) => return None,
    })
}

/// `diversion=4008001234`.
fn place(text: &str) -> Result<(Place, Private<String>), String> {
    let found = text.split_once('=').and_then(|(word, number)| Some((Place::read(word)?, number)));
    match found {
        Some((Place::Extension | Place::Attribute(_), _)) | None => Err(format!(
            "\"{text}\" is not PLACE=NUMBER with request-uri, to, diversion, history-info or p-called-party-id"
        )),
        Some((place, number)) => Ok((place, Private::new(number.to_owned()))),
    }
}

/// Lets the call ring, and waits until the business systems have said what they know.
///
/// # Errors
/// It makes no call.
pub async fn play(call: MadeUp, loaded: Loaded, systems: Option<Connectors>) -> Result<Made, Refusal> {
    let mut book = Book::new(loaded.book_settings(true));
    let Loaded { settings, live, .. } = loaded;
    let directory = live.directory;
    let MadeUp { switch, agent, said } = call;
    let (mut ends, others) = wiring::channels(std::slice::from_ref(&switch));
    let customers =
        Customers::new(Arc::new(systems.unwrap_or_default()), &settings.customers, Handle::current(), others.cards);
    customers.reload(load::site(&settings, &directory));
    let full = settings.agents.full_numbers.clone();
    let mut roster = Roster::new(1, settings.agents.limits.clone(), full, vec![switch.clone()]);
    let mut traces = Traces::new(&watch::Settings { keep_days: 1 });
    let now = crate::live::now();
    if let Some(agent) = &agent {
        let who = Who {
            tenant: agent.tenant.clone(),
            agent: agent.id.clone(),
            roles: agent.roles.clone().into(),
            teams: agent.teams.clone().into(),
            device: None,
            expires: Wall(i64::MAX),
        };
        for what in
            [Told::Attached { who: Arc::new(who) }, Told::Resume(Resume { epoch: None, seq: None, active: true })]
        {
            roster.heard(now, Heard { screen: ScreenId(1), what }, &directory);
        }
    }
    let mut card: Option<Arc<Card>> = None;
    let mut asked: Option<Question> = None;
    for said in said {
        book.take(now, &switch, Feed::Ami, Event { at: None, said });
        while let Some(change) = book.next_change() {
            let Some(face) = book.face(change.call) else { continue };
            // Once more when the account becomes known, as the daemon does.
            let question = question(&book, face);
            if question.is_some() && question != asked {
                card = question.as_ref().map(|question| customers.ask(question));
                asked = question;
            }
            roster.change(now, &change, face, card.as_ref(), &directory);
            traces.change(now, &change, |agent| roster.screens_of(&face.tenant, agent));
        }
    }
    let mut pop = None;
    frames(&mut roster, now, &mut pop);
    let settled = async {
        while card.as_deref().is_some_and(pending) {
            let Some(answered) = ends.cards.recv().await else { break };
            roster.card(now, answered.call, &answered.card);
            frames(&mut roster, now, &mut pop);
            card = Some(answered.card);
        }
    };
    // What did not come by then is shown as pending.
    let _ = tokio::time::timeout(PATIENCE, settled).await;
    let Some(face) = book.open_calls().next() else {
        return Err(no_call("this makes no call: is the trunk's name one of the switch's file?".to_owned()));
    };
    let looked = asked.map(|question| customers.take_looked(question.call)).unwrap_or_default();
    let mut trace = traces.finish(face, None, card.as_deref(), looked);
    let mut place = None;
    if let (Some(line), Some(row)) = (&mut trace.line, &face.line) {
        place = live.trunks.rows().position(|known| Arc::ptr_eq(known, row)).map(|at| at + 1);
        line.row = place;
    }
    Ok(Made { trace, pop, row: place })
}

/// The newest pop among what the screen is sent.
fn frames(roster: &mut Roster, now: Now, pop: &mut Option<Value>) {
    while let Some(output) = roster.drain(now) {
        if let Output::Deliver(deliver) = output
            && let Ok(frame) = serde_json::from_slice::<Value>(&deliver.frame)
            && matches!(frame["type"].as_str(), Some("pop" | "pop.updated"))
        {
            *pop = Some(frame);
        }
    }
}

fn pending(card: &Card) -> bool {
    matches!(card.answer, Answer::Pending)
        || card.blocks.iter().any(|b| matches!(b.state, BlockState::Pending | BlockState::Stale))
}
