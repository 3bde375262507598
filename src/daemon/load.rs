//! The settings folder, read whole: every problem of every file in one go, or everything in hand.
//!
//! Files are read one by one, then held against each other (a trunk row that names a switch that is not there). Only when nothing is wrong
//! does anybody get a value: there is no half-loaded state, at start or at reload.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::settings::Settings;
use crate::{
    access::{Accounts, AccountsFile, accounts},
    calls::{
        AgentsFile, Directory, book, directory,
        edges::{Join, Pair},
        guard::Guarded,
    },
    connectors, customers,
    files::{self, Problem, Read},
    flows,
    numbers::{China, DialOut, Plan, TrunkMap, TrunksFile, trunks},
    records::{
        Offers, Rules,
        hooks::{Format, Webhooks},
    },
    switches,
    watch::{self, alerts::Target},
    words::{SwitchId, SystemId},
};

impl Loaded {
    /// What the book is told. `live`: an event without a stamp happened when it arrived.
    #[must_use]
    pub fn book_settings(&self, live: bool) -> book::Settings {
        book::Settings {
            directory: self.live.directory.clone(),
            trunks: self.live.trunks.clone(),
            switches: rules_of(&self.switches),
            arrival_times: live,
        }
    }
}

/// How each switch's endpoints, numbers and variables are read.
#[must_use]
pub fn rules_of(switches: &[Arc<switches::Settings>]) -> HashMap<SwitchId, book::Rules> {
    let mut all = HashMap::new();
    for settings in switches {
        let rules = rules(settings);
        if let Some((mirror, hep)) = settings.mirror() {
            let pair = Pair::Edge { pbx: settings.id().clone(), joins: vec![Join::CallId], keeps: false };
            all.insert(mirror, book::Rules { trunks: hep.endpoints(), pair, mirror: None, ..rules.clone() });
        }
        all.insert(settings.id().clone(), rules);
    }
    all
}

/// Switches that stand before another one and tell of its calls too.
#[must_use]
pub fn edges_of(switches: &[Arc<switches::Settings>]) -> BTreeSet<SwitchId> {
    let rules = rules_of(switches).into_iter();
    rules.filter(|(_, rules)| matches!(rules.pair, Pair::Edge { .. })).map(|(switch, _)| switch).collect()
}

fn rules(settings: &switches::Settings) -> book::Rules {
    let (zone, internal, plan, out, declared) = match settings {
        switches::Settings::Asterisk(s) => {
            let plan = Plan::new(&s.country, s.area.as_deref());
            (&s.zone, &s.internal, plan, s.dial.as_ref().map(|dial| &dial.out), s.declared())
        }
        switches::Settings::FreeSwitch(s) => {
            (&s.zone, &s.internal, s.plan(), s.dial.as_ref().map(|dial| &dial.out), s.declared())
        }
        switches::Settings::Sip(s) => {
            (&s.zone, &s.internal, s.plan(), s.dial.as_ref().map(|dial| &dial.out), s.declared())
        }
    };
    // What cannot be meant was told when the file was read, and wrong settings are never used.
    let out = out.and_then(|out| DialOut::new(out, &plan).ok()).unwrap_or_default();
    book::Rules {
        tenant: settings.tenant().clone(),
        zone: Some(zone.clone()),
        plan,
        out: Arc::new(out),
        trunks: settings.trunks(),
        internal: internal.clone(),
        attributes: Arc::new(declared),
        pair: settings.pair(),
        mirror: settings.mirror().map(|(id, _)| id),
    }
}

/// What the customers room is told of the site besides the connector files.
#[must_use]
pub fn site(settings: &Settings, directory: &Directory) -> customers::Site {
    let ids = directory.agents().flat_map(|agent| agent.ids.iter().map(move |(system, id)| (agent, system, id)));
    let owners = ids.map(|(agent, system, id)| ((system.as_str().into(), id.clone()), agent.id.clone()));
    settings.customers.site(&settings.plan(), owners.collect())
}

/// Which system offers what, as the records desk needs it.
#[must_use]
pub fn offers(set: &connectors::Set, webhooks: Arc<Webhooks>) -> Offers {
    let mut offers = Offers { webhooks, ..Offers::default() };
    offers.hashes.extend(set.beside().map(|system| (system.id.clone(), system.hash.clone())));
    for system in set.iter() {
        offers.hashes.insert(system.id.clone(), system.hash.clone());
        offers.titles.extend(system.title.clone().map(|title| (system.id.clone(), title)));
        if let Some(update) = system.operation(connectors::operation::UPDATE) {
            offers.writable.insert(system.id.clone(), update.writable.clone());
        }
        for operation in connectors::operation::OPERATIONS.iter().filter(|o| system.operation(o.name).is_some()) {
            offers.systems.entry(operation.name.to_owned()).or_default().push(system.id.clone());
        }
    }
    offers
}

/// Everything the folder says.
pub struct Loaded {
    pub folder: PathBuf,
    pub settings: Settings,
    pub switches: Vec<Arc<switches::Settings>>,
    pub live: Reloadable,
    /// What is not wrong, but worth a look.
    pub notes: Vec<Problem>,
}

const DEFAULT_RULES: &str = include_str!("../../config/rules.yaml");

/// What SIGHUP reads again.
pub struct Reloadable {
    pub trunks: Arc<TrunkMap>,
    pub directory: Arc<Directory>,
    pub rules: Arc<Rules>,
    pub guarded: Arc<Guarded>,
    pub webhooks: Arc<Webhooks>,
    pub connectors: connectors::Set,
    pub alerts: watch::alerts::Rules,
    pub flows: Vec<Arc<flows::Plan>>,
    /// Who may sign in at the console.
    pub accounts: Accounts,
}

/// Reads `folder`.
///
/// # Errors
/// All problems found, in the order of the files; never empty.
pub fn load(folder: &Path, flags: &[(&str, String)]) -> Result<Loaded, Vec<Problem>> {
    load_with(folder, flags, None)
}

/// The same with this text in the place of trunks.yaml.
///
/// # Errors
/// As [`load`].
pub fn load_with(folder: &Path, flags: &[(&str, String)], rows: Option<&str>) -> Result<Loaded, Vec<Problem>> {
    if !folder.is_dir() {
        let found = format!("there is no folder {}", folder.display());
        return Err(vec![problem(folder, &found, "name the settings folder with --config DIR, or LINECARD_CONFIG")]);
    }
    let mut problems = Vec::new();
    // First of all, for every number in every file is read by it. If the rest is wrong, what was in force stays so.
    let before = China::in_force();
    match text(folder, "china.csv", &mut problems).map(|text| China::with("china.csv", &text)) {
        None => China::put_in_force(China::built_in()),
        Some(Ok(table)) => China::put_in_force(table),
        Some(Err(mut told)) => problems.append(&mut told),
    }
    let loaded = files_of(folder, flags, rows, problems);
    if loaded.is_err() {
        China::put_in_force(before);
    }
    loaded
}

fn files_of(
    folder: &Path,
    flags: &[(&str, String)],
    rows: Option<&str>,
    mut problems: Vec<Problem>,
) -> Result<Loaded, Vec<Problem>> {
    let settings = settings(folder, flags).map_err(|mut p| problems.append(&mut p)).ok();
    let plan = settings.as_ref().map_or_else(|| Plan::new("CN", None), Settings::plan);

    let mut switches = each::<switches::Settings>(folder, "switches", &mut problems);
    let mut first: HashMap<SwitchId, String> = HashMap::new();
    for (name, read) in &switches {
        problems.extend(read.value.problems(read));
        if let Some(other) = first.insert(read.value.id().clone(), name.clone()) {
            let found = format!("switch \"{}\" is in {other} already", read.value.id());
            problems.push(read.problem("", found, "each switch has one file and an id of its own"));
        }
    }
    let (mut told, mut notes) = switches::pairs::link(&mut switches);
    problems.append(&mut told);
    let switches: Vec<Arc<switches::Settings>> = switches.into_iter().map(|(_, read)| Arc::new(read.value)).collect();

    if let Some(settings) = &settings {
        let ids: Vec<SwitchId> = switches.iter().map(|s| s.id().clone()).collect();
        let told = settings.recordings.problems(&ids).into_iter();
        problems.extend(told.map(|(key, found, wanted)| {
            let key = format!("recordings.{key}");
            Problem { key, ..problem(Path::new("linecard.yaml"), &found, wanted) }
        }));
    }
    let mut connector_files = Vec::new();
    for (name, text) in texts(folder, "connectors", &mut problems) {
        let id = name.trim_start_matches("connectors/").trim_end_matches(".yaml");
        let none = BTreeMap::new();
        // What nobody has read yet is not used, and its secrets are not asked for.
        if connectors::load_offline(&name, &text).is_ok_and(|system| system.draft) {
            let wanted = "read its guesses, try it, then take out \"draft: true\"";
            notes.push(problem(Path::new(&name), "a draft, not in use", wanted));
            continue;
        }
        let values = settings.as_ref().and_then(|s| s.connectors.get(id)).unwrap_or(&none);
        match connectors::load_with(&name, &text, values) {
            Ok(system) => connector_files.push(system),
            Err(mut told) => problems.append(&mut told),
        }
    }
    let trunks = match rows {
        None => one::<TrunksFile>(folder, "trunks.yaml", &mut problems),
        Some(text) => files::read("trunks.yaml", text).map_err(|mut p| problems.append(&mut p)).ok(),
    };
    if let Some(read) = &trunks {
        let systems = connector_files.iter().filter(|s| s.beside.is_none()).map(|s| s.id.clone()).collect();
        let around = trunks::Around { switches: switches.iter().map(|s| around(s)).collect(), systems };
        let told = trunks::check(read, &around, &plan);
        problems.extend(told.problems);
        notes.extend(told.notes);
    }
    let agents = one::<AgentsFile>(folder, "agents.yaml", &mut problems);
    if let Some(read) = &agents {
        problems.extend(directory::check(read, &switches.iter().map(|s| s.id().clone()).collect::<Vec<_>>(), &plan));
    }
    if let (Some(settings), Some(read)) = (&settings, &agents) {
        problems.extend(teamless(settings, &read.value));
    }
    // Without a file of its own a site gets the rules that are compiled in: a call is never written nowhere by accident.
    let rules = text(folder, "rules.yaml", &mut problems).unwrap_or_else(|| DEFAULT_RULES.to_owned());
    let rules = Rules::read("rules.yaml", &rules).map_err(|mut p| problems.append(&mut p)).ok();

    // Nobody is told of calls unless the file is there.
    let webhooks = match text(folder, "webhooks.yaml", &mut problems) {
        None => Webhooks::default(),
        Some(text) => {
            let read = Webhooks::read("webhooks.yaml", &text, &|place| place.resolve());
            read.map_err(|mut p| problems.append(&mut p)).unwrap_or_default()
        }
    };

    let people = one::<AccountsFile>(folder, "accounts.yaml", &mut problems);
    if let Some(read) = &people {
        problems.extend(accounts::check(read));
    }
    let guarded = settings.as_ref().and_then(|settings| guarded(folder, settings, &plan, &mut problems));

    let set = connectors::Set::new(connector_files);
    for (system, found, wanted) in set.misplaced() {
        problems.push(problem(Path::new(&format!("connectors/{system}.yaml")), &found, &wanted));
    }
    for (system, operation, key) in set.missing_keys() {
        let found = format!("{operation} takes a customer by \"{key}\", and no connector gives that key");
        let known = set.key_names();
        let known = if known.is_empty() { "no connector has any \"keys:\"".to_owned() } else { known.join(", ") };
        let file = format!("connectors/{system}.yaml");
        problems.push(problem(Path::new(&file), &found, &format!("keys that are given: {known}")));
    }
    for (system, operation) in rules.iter().flat_map(Rules::named) {
        if set.system(system).is_none_or(|s| s.operation(operation).is_none()) {
            let known: Vec<&str> = set.iter().map(|s| s.id.as_str()).collect();
            let found = format!("no connector \"{system}\" offers {operation}");
            problems.push(problem(Path::new("rules.yaml"), &found, &format!("connectors are: {}", known.join(", "))));
        }
    }

    let mut plans = Vec::new();
    let declared = switches.iter().flat_map(|switch| switch.attributes()).filter(|m| m.flows).map(|m| m.name.clone());
    let declared = declared.collect();
    for (name, text) in texts(folder, "flows", &mut problems) {
        match flows::read(&name, &text, &set, &declared) {
            Ok(plan) => plans.push(Arc::new(plan)),
            Err(mut told) => problems.append(&mut told),
        }
    }

    let offers = |system: &SystemId, operation| set.system(system).is_some_and(|s| s.operation(operation).is_some());
    let takes = |target: &Target| match target {
        Target::Connector(system) => offers(system, "notify"),
        Target::Mail(to) => to.mail.contains('@') && offers(&to.by, "mail.send"),
        Target::Webhook(to) => webhooks.list.iter().any(|w| w.name == to.webhook && w.format == Format::Standard),
    };
    let alerts = text(folder, "alerts.yaml", &mut problems);
    let alerts = watch::alerts::Rules::read("alerts.yaml", alerts.as_deref(), &takes);
    let alerts = alerts.map_err(|mut p| problems.append(&mut p)).ok();

    match (settings, rules, guarded, alerts) {
        (Some(settings), Some(rules), Some(guarded), Some(alerts)) if problems.is_empty() => Ok(Loaded {
            folder: folder.to_owned(),
            switches,
            live: Reloadable {
                trunks: Arc::new(TrunkMap::new(trunks.map(|r| r.value.rows).unwrap_or_default(), &plan)),
                directory: Arc::new(Directory::of(agents.map(|r| r.value).unwrap_or_default())),
                rules: Arc::new(rules),
                guarded: Arc::new(guarded),
                webhooks: Arc::new(webhooks),
                connectors: set,
                alerts,
                flows: plans,
                accounts: people.map_or_else(Accounts::default, |read| Accounts::of(read.value)),
            },
            settings,
            notes,
        }),
        _ => Err(problems),
    }
}

/// Teams that are to call back and in which nobody is: their customers would be nobody's.
fn teamless<'a>(settings: &'a Settings, agents: &'a AgentsFile) -> impl Iterator<Item = Problem> + 'a {
    let known = |team: &String| agents.agents.iter().any(|agent| agent.teams.contains(team));
    let named = settings.callbacks.teams.iter().flat_map(|serving| &serving.teams);
    named.filter(move |team| !known(team)).map(|team| {
        let found = format!("callbacks.teams: no agent is in the team {team:?}");
        problem(Path::new("linecard.yaml"), &found, "a team of agents.yaml")
    })
}

/// The numbers that are not called; the file's name may be told from the settings folder.
fn guarded(folder: &Path, settings: &Settings, plan: &Plan, problems: &mut Vec<Problem>) -> Option<Guarded> {
    let Some(path) = &settings.dial.do_not_call else {
        return Guarded::new(settings.dial.clone(), "", plan).ok();
    };
    let list = match fs::read_to_string(folder.join(path)) {
        Ok(list) => list,
        Err(e) => {
            problems.push(problem(path, &e.to_string(), "a readable text file, one number a line"));
            return None;
        }
    };
    Guarded::new(settings.dial.clone(), &list, plan)
        .map_err(|lines| {
            let at = lines.iter().take(20).map(usize::to_string).collect::<Vec<_>>().join(", ");
            problems.push(problem(
                path,
                &format!("no number in line {at}"),
                "one number a line, what is said of it behind #",
            ));
        })
        .ok()
}

/// What rows of trunks.yaml may say of a switch.
fn around(settings: &switches::Settings) -> trunks::Switch {
    let attributes = settings.attributes().iter().filter(|m| !m.secret).map(|m| m.name.clone()).collect();
    match settings {
        switches::Settings::Sip(s) => trunks::Switch {
            id: s.id.clone(),
            trunks: s.trunks(),
            attributes,
            // Mirrored signalling shows every place of it.
            no_sip: (s.hep.is_none() && !s.pairing.places)
                .then_some("dialog events tell only the number that was dialled; \"hep\" shows the others"),
        },
        switches::Settings::FreeSwitch(s) => trunks::Switch {
            id: s.id.clone(),
            trunks: s.trunks.clone(),
            attributes,
            no_sip: (!s.pairing.places).then_some(
                "let the dialplan set a variable from the header (sip_h_X-..., sip_to_user), map it in the switch's file, and write attribute:NAME",
            ),
        },
        switches::Settings::Asterisk(s) => trunks::Switch {
            id: s.id.clone(),
            trunks: s.trunks.clone(),
            attributes,
            no_sip: (s.hep.is_none() && !s.pairing.places).then_some(
                "mirror its signalling (\"hep\" in the switch's file); or let the dialplan set a variable from PJSIP_HEADER(read,...), map it there, and write attribute:NAME",
            ),
        },
    }
}

/// Only linecard.yaml in its layers; the store's verbs need no more.
///
/// # Errors
/// All problems of the file, or of the sum with environment and flags.
pub fn settings(folder: &Path, flags: &[(&str, String)]) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let text = text(folder, "linecard.yaml", &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let file = text.as_deref().map(|text| ("linecard.yaml", text));
    let settings: Settings = super::layers::read(super::settings::DEFAULTS, file, None, flags)?;
    let problems = settings.problems();
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn one<T: DeserializeOwned + JsonSchema>(folder: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<Read<T>> {
    let text = text(folder, name, problems)?;
    files::read(name, &text).map_err(|mut p| problems.append(&mut p)).ok()
}

fn each<T: DeserializeOwned + JsonSchema>(
    folder: &Path,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Vec<(String, Read<T>)> {
    let mut all = Vec::new();
    for (name, text) in texts(folder, name, problems) {
        match files::read(&name, &text) {
            Ok(read) => all.push((name, read)),
            Err(mut told) => problems.append(&mut told),
        }
    }
    all
}

/// Names and texts of the connector files that can be read.
pub(super) fn connector_texts(folder: &Path) -> Vec<(String, String)> {
    texts(folder, "connectors", &mut Vec::new())
}

/// A file that may be absent.
fn text(folder: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    match fs::read_to_string(folder.join(name)) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => {
            problems.push(problem(Path::new(name), &e.to_string(), "a readable text file in UTF-8"));
            None
        }
    }
}

/// All `*.yaml` of a sub-folder in the order of their names.
fn texts(folder: &Path, sub: &str, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(folder.join(sub)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| n.ends_with(".yaml") && !n.starts_with('.'))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|n| format!("{sub}/{n}"))
        .filter_map(|name| text(folder, &name, problems).map(|text| (name, text)))
        .collect()
}

fn problem(file: &Path, found: &str, wanted: &str) -> Problem {
    Problem {
        file: file.display().to_string(),
        line: 0,
        column: 0,
        key: String::new(),
        found: found.to_owned(),
        wanted: wanted.to_owned(),
        ..Problem::default()
    }
}
