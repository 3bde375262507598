//! A flow's file, checked whole against the systems there are, and made into a [`Plan`]. All mistakes are told at once, with their places.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    connectors::{
        Idempotency, Set,
        operation::{self, Operation},
        words::{Compiled, environment},
    },
    files::{self, Problem, Read},
    words::SystemId,
};

use super::{
    file::{self, Approver, FlowFile, Input, Kind, Text, Trigger},
    template::{Maker, Tree},
};

/// How deep `parallel` and `for_each` may stand in each other, and how many steps a file may have.
const DEEPEST: usize = 4;
const MOST_STEPS: usize = 100;
const MOST_ITEMS: u16 = 500;

/// A flow's file, ready to go by.
pub struct Plan {
    pub name: String,
    /// SHA-256 of the file's text, hex.
    pub hash: String,
    pub text: String,
    pub title: Text,
    pub on: Vec<Trigger>,
    pub(super) when: Option<Compiled>,
    pub(super) once: Option<Compiled>,
    pub(super) call: Option<Compiled>,
    pub inputs: BTreeMap<String, Input>,
    pub(super) from: Vec<(String, Tree)>,
    pub(super) nodes: Vec<Node>,
    pub(super) env: Environment<'static>,
    /// What steps save, so that it is there (as nothing) before they are done.
    pub(super) saved: Vec<String>,
}

impl Plan {
    /// Whether one of its nodes waits for what somebody answers at this system.
    #[must_use]
    pub fn hears(&self, system: &SystemId) -> bool {
        fn any(nodes: &[Node], system: &SystemId) -> bool {
            nodes.iter().any(|node| match node {
                Node::Answer(answer) => answer.system == *system,
                Node::Parallel(nodes) => any(nodes, system),
                Node::ForEach(each) => any(&each.nodes, system),
                Node::Step(_) | Node::Approval(_) | Node::Record(_) => false,
            })
        }
        any(&self.nodes, system)
    }
}

pub(super) enum Node {
    Step(Box<Step>),
    Approval(Box<Approval>),
    Record(Box<Record>),
    Answer(Box<Answer>),
    Parallel(Vec<Node>),
    ForEach(Box<ForEach>),
}

pub(super) struct Step {
    pub name: String,
    pub title: Option<Text>,
    pub system: SystemId,
    pub operation: &'static Operation,
    pub when: Option<Compiled>,
    pub inputs: Tree,
    pub save: Option<String>,
    pub require: Vec<(Compiled, String)>,
    pub undo: Option<Undo>,
    pub within_ms: Option<u64>,
    pub may_fail: bool,
    pub pivot: bool,
    /// It is the card of this approval: sent while that waits, and no longer.
    pub asks: Option<String>,
}

pub(super) struct Undo {
    pub system: SystemId,
    pub operation: &'static Operation,
    pub inputs: Tree,
}

pub(super) struct Approval {
    pub name: String,
    pub title: Option<Text>,
    pub when: Option<Compiled>,
    pub amount: Option<Compiled>,
    pub roles: Vec<Approver>,
    pub within_ms: u64,
}

pub(super) struct Record {
    pub name: String,
    pub title: Option<Text>,
    pub when: Option<Compiled>,
    pub attributes: Tree,
    pub may_fail: bool,
}

pub(super) struct Answer {
    pub name: String,
    pub title: Option<Text>,
    pub when: Option<Compiled>,
    pub system: SystemId,
    pub to: Compiled,
    pub save: Option<String>,
    pub within_ms: u64,
    pub may_fail: bool,
}

pub(super) struct ForEach {
    pub name: String,
    pub list: Compiled,
    pub item: String,
    pub most: usize,
    pub nodes: Vec<Node>,
}

/// A decimal text, in ten-thousandths; no more than four places, and no more than anybody has.
#[must_use]
pub fn amount(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || part.len() > 4 || !digits(whole) || !digits(part) || text.ends_with('.')
    {
        return None;
    }
    format!("{whole}{part:0<4}").parse().ok()
}

/// Whether one of these roles may agree to this amount. An amount that is none is more than anybody may agree to, but who may agree to any.
///
/// # Errors
/// Why not.
pub fn may_agree(approvers: &[Approver], roles: &[String], sum: Option<&str>) -> Result<(), &'static str> {
    let held: Vec<&Approver> = approvers.iter().filter(|approver| roles.contains(&approver.role)).collect();
    if held.is_empty() {
        return Err("your role may not agree to it");
    }
    let sum = sum.and_then(amount);
    let enough = |approver: &&Approver| match &approver.up_to {
        None => true,
        Some(bound) => sum.zip(amount(bound)).is_some_and(|(sum, bound)| sum <= bound),
    };
    if held.iter().any(enough) { Ok(()) } else { Err("the amount is more than your role may agree to") }
}

/// Reads a flow's file and holds it against the systems, and against the attributes that switches' files let flows write.
///
/// # Errors
/// Every problem of the file; never empty.
pub fn read(file_name: &str, text: &str, systems: &Set, attributes: &BTreeSet<String>) -> Result<Plan, Vec<Problem>> {
    let read = files::read::<FlowFile>(file_name, text)?;
    let mut checker = Checker {
        read: &read,
        systems: Some(systems),
        attributes: Some(attributes),
        env: environment(),
        problems: Vec::new(),
        saved: Vec::new(),
        steps: 0,
        named: BTreeSet::new(),
        pivot: false,
    };
    let plan = checker.plan(text);
    // The file's own name is the flow's: a flow that is renamed by copying would else be two that look like one.
    let stem = file_name.rsplit('/').next().and_then(|name| name.strip_suffix(".yaml")).unwrap_or(file_name);
    if read.value.flow != stem {
        checker.bad("/flow", format!("found \"{}\"", read.value.flow), format!("\"{stem}\", the name of its file"));
    }
    let mut problems = checker.problems;
    if problems.is_empty() {
        return Ok(plan);
    }
    problems.sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
    problems.dedup();
    Err(problems)
}

/// A text that was checked when a flow began by it: for going on, whatever became of the systems since.
///
/// # Errors
/// Every problem of the text; a later version of the program may know no operation of that name any more.
pub fn again(name: &str, text: &str) -> Result<Plan, Vec<Problem>> {
    let read = files::read::<FlowFile>(name, text)?;
    let mut checker = Checker {
        read: &read,
        systems: None,
        attributes: None,
        env: environment(),
        problems: Vec::new(),
        saved: Vec::new(),
        steps: 0,
        named: BTreeSet::new(),
        pivot: false,
    };
    let plan = checker.plan(text);
    if checker.problems.is_empty() { Ok(plan) } else { Err(checker.problems) }
}

struct Checker<'r> {
    read: &'r Read<FlowFile>,
    systems: Option<&'r Set>,
    attributes: Option<&'r BTreeSet<String>>,
    env: Environment<'static>,
    problems: Vec<Problem>,
    saved: Vec<String>,
    steps: usize,
    named: BTreeSet<String>,
    /// A pivot stands before.
    pivot: bool,
}

/// What is in sight of a text besides what steps saved.
#[derive(Clone, Default)]
struct Sight {
    /// Saved so far on the way here.
    saved: Vec<String>,
    items: Vec<String>,
    depth: usize,
    result: bool,
    reason: bool,
    inputs: bool,
}

impl Checker<'_> {
    fn bad(&mut self, at: &str, found: impl Into<String>, wanted: impl Into<String>) {
        self.problems.push(self.read.problem_at(at, found, wanted));
    }

    fn plan(&mut self, text: &str) -> Plan {
        let file = &self.read.value;
        if file.schema != 1 {
            self.bad("/schema", format!("found {}", file.schema), "1");
        }
        if file.on.is_empty() {
            self.bad(
                "/on",
                "nothing begins it",
                "a trigger: button, wrap-up, ended, missed, delivered, established, transferred, schedule or webhook",
            );
        }
        for (n, trigger) in file.on.iter().enumerate() {
            if let Trigger::Webhook(id) = trigger
                && self.systems.is_some_and(|set| set.system(id).is_none_or(|system| !system.has_webhooks()))
            {
                let found = format!("{id} tells nothing by itself");
                self.bad(&format!("/on/{n}/webhook"), found, "a connector whose file has `webhooks:`");
            }
            if let Trigger::Schedule(schedule) = trigger
                && !(1..=1440).contains(&schedule.every_min)
            {
                self.bad(&format!("/on/{n}/schedule/every_min"), format!("found {}", schedule.every_min), "1 to 1440");
            }
        }
        let nothing = Sight::default();
        for (name, input) in &file.inputs {
            self.input(name, input);
        }
        let from = file.inputs.iter().filter_map(|(name, input)| {
            let tree = self.tree(input.from.as_ref()?, &format!("/inputs/{name}/from"), &nothing);
            Some((name.clone(), tree))
        });
        let from = from.collect();
        let when = file
            .when
            .as_ref()
            .and_then(|text| self.expression(text, "/when", &Sight { inputs: true, ..nothing.clone() }));
        let once = file
            .once
            .as_ref()
            .and_then(|text| self.expression(text, "/once", &Sight { inputs: true, ..nothing.clone() }));
        let call = file.call.as_ref().and_then(|text| self.of_call(text));
        if file.steps.is_empty() {
            self.bad("/steps", "there are no steps", "at least one");
        }
        let mut sight = Sight { inputs: true, ..Sight::default() };
        let nodes = self.nodes(&file.steps, "/steps", &mut sight);
        if self.steps > MOST_STEPS {
            self.bad("/steps", format!("{} steps", self.steps), format!("at most {MOST_STEPS}"));
        }
        Plan {
            name: file.flow.clone(),
            hash: Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
            text: text.to_owned(),
            title: file.title.clone(),
            on: file.on.clone(),
            when,
            once,
            call,
            inputs: file.inputs.clone(),
            from,
            nodes,
            env: std::mem::replace(&mut self.env, environment()),
            saved: std::mem::take(&mut self.saved),
        }
    }

    fn input(&mut self, name: &str, input: &Input) {
        let at = format!("/inputs/{name}");
        if !is_name(name) {
            self.bad(&at, "no name", "small letters, digits and _, a letter first");
        }
        for (key, text) in [("min", &input.min), ("max", &input.max)] {
            match text {
                Some(_) if input.kind != Kind::Amount => {
                    self.bad(&format!("{at}/{key}"), "only amounts have bounds", "type: amount")
                }
                Some(text) if amount(text).is_none() => {
                    self.bad(
                        &format!("{at}/{key}"),
                        format!("found \"{text}\""),
                        "a decimal text with at most four places, quoted: \"500.00\"",
                    );
                }
                _ => {}
            }
        }
        if (input.kind == Kind::Choice) == input.choices.is_empty() {
            self.bad(&at, "choices belong to type: choice, and that needs them", "choices: [one, other]");
        }
    }

    fn nodes(&mut self, nodes: &[file::Node], at: &str, sight: &mut Sight) -> Vec<Node> {
        if sight.depth > DEEPEST {
            self.bad(at, "nested too deep", format!("at most {DEEPEST} levels"));
            return Vec::new();
        }
        let mut out = Vec::new();
        for (n, node) in nodes.iter().enumerate() {
            let at = format!("{at}/{n}");
            out.extend(self.node(node, &at, sight));
        }
        out
    }

    fn node(&mut self, node: &file::Node, at: &str, sight: &mut Sight) -> Option<Node> {
        match node {
            file::Node::Step(step) => {
                let at = format!("{at}/step");
                let made = self.step(step, &at, sight);
                if let Some(save) = &step.save {
                    self.save(save, &format!("{at}/save"));
                    sight.saved.push(save.clone());
                }
                made.map(|step| Node::Step(Box::new(step)))
            }
            file::Node::Approval(approval) => {
                let at = format!("{at}/approval");
                let card =
                    approval.ask.as_ref().map(|card| self.card(&approval.name, card, &format!("{at}/ask"), sight));
                let made = self.approval(approval, &at, sight).map(|a| Node::Approval(Box::new(a)));
                match card {
                    None => made,
                    // The approval first: it waits when its card is sent.
                    Some(card) => Some(Node::Parallel(vec![made?, Node::Step(Box::new(card?))])),
                }
            }
            file::Node::Record(record) => {
                self.record(record, &format!("{at}/record"), sight).map(|r| Node::Record(Box::new(r)))
            }
            file::Node::Answer(answer) => {
                let at = format!("{at}/answer");
                let made = self.answer(answer, &at, sight);
                if let Some(save) = &answer.save {
                    self.save(save, &format!("{at}/save"));
                    sight.saved.push(save.clone());
                }
                made.map(|answer| Node::Answer(Box::new(answer)))
            }
            file::Node::Parallel(nodes) => {
                // Branches do not see each other: what one saves is there behind them all.
                let mut behind = sight.saved.clone();
                let mut all = Vec::new();
                for (n, node) in nodes.iter().enumerate() {
                    let mut own = Sight { depth: sight.depth + 1, ..sight.clone() };
                    if own.depth > DEEPEST {
                        self.bad(at, "nested too deep", format!("at most {DEEPEST} levels"));
                        return None;
                    }
                    all.extend(self.node(node, &format!("{at}/parallel/{n}"), &mut own));
                    behind.extend(own.saved.split_off(sight.saved.len().min(own.saved.len())));
                }
                sight.saved = behind;
                Some(Node::Parallel(all))
            }
            file::Node::ForEach(each) => {
                let at = format!("{at}/for_each");
                self.name(&each.name, &format!("{at}/name"));
                if !(1..=MOST_ITEMS).contains(&each.most) {
                    self.bad(&format!("{at}/most"), format!("found {}", each.most), format!("1 to {MOST_ITEMS}"));
                }
                let list = self.expression(&each.list, &format!("{at}/in"), sight);
                let mut own = Sight { depth: sight.depth + 1, ..sight.clone() };
                if !is_name(&each.item) {
                    self.bad(
                        &format!("{at}/as"),
                        format!("found \"{}\"", each.item),
                        "small letters, digits and _, a letter first",
                    );
                }
                own.items.push(each.item.clone());
                let nodes = self.nodes(&each.steps, &format!("{at}/steps"), &mut own);
                sight.saved = own.saved;
                Some(Node::ForEach(Box::new(ForEach {
                    name: each.name.clone(),
                    list: list?,
                    item: each.item.clone(),
                    most: usize::from(each.most),
                    nodes,
                })))
            }
        }
    }

    fn step(&mut self, step: &file::Step, at: &str, sight: &Sight) -> Option<Step> {
        self.steps += 1;
        self.name(&step.name, &format!("{at}/name"));
        let known = self.operation((&step.system, &step.operation), at);
        let when = step.when.as_ref().map(|text| self.expression(text, &format!("{at}/when"), sight));
        let inputs = self.inputs(known, &step.inputs, &format!("{at}/inputs"), sight);
        let require: Vec<_> = (step.require.iter().enumerate())
            .map(|(n, one)| {
                let seen = Sight { result: true, ..sight.clone() };
                (self.expression(&one.that, &format!("{at}/require/{n}/that"), &seen), one.otherwise.clone())
            })
            .collect();
        let mut after = sight.clone();
        after.saved.extend(step.save.clone());
        (after.result, after.reason) = (true, true);
        let undo = match (&step.undo, known) {
            (Some(file::Undo::Do(undo)), _) => {
                let at = format!("{at}/undo");
                let system = undo.system.as_ref().unwrap_or(&step.system);
                let operation = self.operation((system, &undo.operation), &at);
                let inputs = self.inputs(operation, &undo.inputs, &format!("{at}/inputs"), &after);
                if let (Some(operation), Some(set)) = (operation, self.systems) {
                    let can =
                        set.system(system).and_then(|s| s.operation(operation.name)).map(|o| o.idempotency.clone());
                    if can == Some(Idempotency::None) {
                        self.bad(&format!("{at}/operation"), format!("{} at {system} is not safe to repeat", operation.name),
                            "an undo that the connector's file calls idempotent: key, put or lookup: without, an answer that is lost would leave a person to find out");
                    }
                }
                if known.is_some_and(|o| !o.writes) {
                    self.bad(&at, format!("{} only reads", step.operation), "no undo: there is nothing to take back");
                }
                operation.map(|operation| Undo { system: system.clone(), operation, inputs })
            }
            (None, Some(known)) if known.writes => {
                self.bad(
                    at,
                    format!("{} writes, and nothing says how it is taken back", step.operation),
                    "add \"undo:\" with an operation, or \"undo: none\"",
                );
                None
            }
            _ => None,
        };
        self.pivot |= step.pivot;
        if step.pivot && known.is_some_and(|o| !o.writes) {
            self.bad(&format!("{at}/pivot"), format!("{} only reads", step.operation), "a step that writes");
        }
        let mut compiled = Vec::new();
        for (that, otherwise) in require {
            compiled.push((that?, otherwise));
        }
        Some(Step {
            name: step.name.clone(),
            title: step.title.clone(),
            system: step.system.clone(),
            operation: known?,
            when: when.map_or(Some(None), |when| when.map(Some))?,
            inputs,
            save: step.save.clone(),
            require: compiled,
            undo,
            within_ms: step.within_ms,
            may_fail: step.may_fail,
            pivot: step.pivot,
            asks: None,
        })
    }

    fn approval(&mut self, approval: &file::Approval, at: &str, sight: &Sight) -> Option<Approval> {
        self.steps += 1;
        self.name(&approval.name, &format!("{at}/name"));
        // Flows that began with an older text of the file go on by it.
        if self.pivot && self.systems.is_some() {
            let wanted = "an approval before it: behind it there is no way back, and nobody could refuse";
            self.bad(at, "it stands behind a pivot", wanted);
        }
        let when = approval.when.as_ref().map(|text| self.expression(text, &format!("{at}/when"), sight));
        let sum = approval.amount.as_ref().map(|text| self.expression(text, &format!("{at}/amount"), sight));
        if approval.roles.is_empty() {
            self.bad(&format!("{at}/roles"), "nobody may agree", "roles: [{role: supervisor}]");
        }
        for (n, approver) in approval.roles.iter().enumerate() {
            let bound = approver.up_to.as_deref().map(amount);
            if bound == Some(None) {
                self.bad(
                    &format!("{at}/roles/{n}/up_to"),
                    format!("found {:?}", approver.up_to),
                    "a decimal text, quoted: \"5000.00\"",
                );
            }
            if bound.is_some() && approval.amount.is_none() {
                self.bad(
                    &format!("{at}/roles/{n}/up_to"),
                    "there is no amount that it could bound",
                    "add \"amount:\" to the approval",
                );
            }
        }
        self.wait(approval.within_ms, at);
        Some(Approval {
            name: approval.name.clone(),
            title: approval.title.clone(),
            when: when.map_or(Some(None), |when| when.map(Some))?,
            amount: sum.map_or(Some(None), |sum| sum.map(Some))?,
            roles: approval.roles.clone(),
            within_ms: approval.within_ms,
        })
    }

    /// The call that an event is about.
    fn of_call(&mut self, text: &str) -> Option<Compiled> {
        if !self.read.value.on.iter().any(|trigger| matches!(trigger, Trigger::Webhook(_))) {
            self.bad(
                "/call",
                "no event begins it",
                "\"on: [webhook: CONNECTOR]\": the others have their call, or none",
            );
        }
        let mut maker = Maker { env: &mut self.env, names: BTreeSet::new() };
        let made = maker.expression(text);
        let names = std::mem::take(&mut maker.names);
        for name in names.iter().filter(|name| name.split('.').next() != Some("event")) {
            self.bad("/call", format!("\"{name}\" is not known here"), "known is: event");
        }
        made.map_err(|why| self.bad("/call", why, "an expression of the connectors' language, without {{ }}")).ok()
    }

    fn record(&mut self, record: &file::Record, at: &str, sight: &Sight) -> Option<Record> {
        self.steps += 1;
        self.name(&record.name, &format!("{at}/name"));
        let file = &self.read.value;
        let of_a_call = |trigger: &Trigger| match trigger {
            Trigger::Schedule(_) => false,
            Trigger::Webhook(_) => file.call.is_some(),
            _ => true,
        };
        let by_record = |trigger: &Trigger| {
            matches!(trigger, Trigger::Ended | Trigger::Missed | Trigger::Transferred | Trigger::WrapUp(_))
        };
        if !file.on.iter().any(of_a_call) {
            self.bad(
                at,
                "nothing says which call it is about",
                "\"call:\" with an expression that gives the call's id",
            );
        }
        if file.once.is_some() && file.on.iter().any(by_record) {
            let wanted = "no \"once:\": a flow that a record begins and that writes into it begins once for its call, or it might for ever";
            self.bad("/once", "what it writes would begin it again", wanted);
        }
        let when = record.when.as_ref().map(|text| self.expression(text, &format!("{at}/when"), sight));
        if record.attributes.is_empty() {
            self.bad(&format!("{at}/attributes"), "nothing is written", "attributes by name");
        }
        for name in record.attributes.keys() {
            if let Some(declared) = self.attributes.filter(|declared| !declared.contains(name)) {
                let known: Vec<&str> = declared.iter().map(String::as_str).collect();
                let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
                self.bad(
                    &format!("{at}/attributes/{name}"),
                    format!("no switch lets flows write \"{name}\""),
                    format!("an attribute with \"flows: true\" in a switch's file: {known}"),
                );
            }
        }
        let map = record.attributes.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        let attributes = self.tree(&Value::Object(map), &format!("{at}/attributes"), sight);
        Some(Record {
            name: record.name.clone(),
            title: record.title.clone(),
            when: when.map_or(Some(None), |when| when.map(Some))?,
            attributes,
            may_fail: record.may_fail,
        })
    }

    fn card(&mut self, approval: &str, card: &file::Card, at: &str, sight: &Sight) -> Option<Step> {
        let name = format!("{approval}-card");
        self.name(&name, &format!("{at}/name"));
        self.steps += 1;
        let known = self.operation((&card.system, "approval.ask"), at);
        if let Some(system) = self.systems.and_then(|set| set.system(&card.system))
            && !system.has_decisions()
        {
            let found = format!("{} does not tell who pressed a button", card.system);
            let wanted = "a connector whose file has `decisions:` in its `webhooks:`";
            self.bad(&format!("{at}/system"), found, wanted);
        }
        let inputs = Value::Object([("text".to_owned(), card.text.clone())].into_iter().collect());
        let title = [("en", format!("Asked at {}", card.system)), ("zh", format!("通过 {} 征求", card.system))];
        Some(Step {
            name,
            title: Some(Text::Each(title.map(|(language, text)| (language.to_owned(), text)).into())),
            system: card.system.clone(),
            operation: known?,
            when: None,
            inputs: self.tree(&inputs, at, sight),
            save: None,
            require: Vec::new(),
            undo: None,
            within_ms: None,
            // Who does not see the card sees the page.
            may_fail: true,
            pivot: false,
            asks: Some(approval.to_owned()),
        })
    }

    /// How long somebody is waited for.
    fn wait(&mut self, within_ms: u64, at: &str) {
        if within_ms == 0 || within_ms > 30 * 86_400_000 {
            self.bad(&format!("{at}/within_ms"), format!("found {within_ms}"), "1 to 2592000000 (30 days)");
        }
    }

    fn answer(&mut self, answer: &file::Answer, at: &str, sight: &Sight) -> Option<Answer> {
        self.steps += 1;
        self.name(&answer.name, &format!("{at}/name"));
        let when = answer.when.as_ref().map(|text| self.expression(text, &format!("{at}/when"), sight));
        let to = self.expression(&answer.to, &format!("{at}/to"), sight);
        match self.systems.map(|set| set.system(&answer.system)) {
            Some(None) => self.unknown_system(&format!("{at}/system"), &answer.system),
            Some(Some(system)) if !system.has_answers() => {
                let found = format!("{} does not tell what people answer", answer.system);
                let wanted = "a connector whose file has `answers:` in its `webhooks:`";
                self.bad(&format!("{at}/system"), found, wanted);
            }
            _ => {}
        }
        self.wait(answer.within_ms, at);
        Some(Answer {
            name: answer.name.clone(),
            title: answer.title.clone(),
            when: when.map_or(Some(None), |when| when.map(Some))?,
            system: answer.system.clone(),
            to: to?,
            save: answer.save.clone(),
            within_ms: answer.within_ms,
            may_fail: answer.may_fail,
        })
    }

    fn unknown_system(&mut self, at: &str, system: &SystemId) {
        let known: Vec<String> = self.systems.iter().flat_map(|set| set.iter()).map(|s| s.id.to_string()).collect();
        self.bad(at, format!("there is no system \"{system}\""), format!("connectors are: {}", known.join(", ")));
    }

    fn operation(&mut self, (system, name): (&SystemId, &str), at: &str) -> Option<&'static Operation> {
        let Some(known) = operation::named(name) else {
            self.bad(
                &format!("{at}/operation"),
                format!("there is no operation \"{name}\""),
                format!("one of: {}", operation::names()),
            );
            return None;
        };
        if let Some(set) = self.systems {
            match set.system(system) {
                None => self.unknown_system(&format!("{at}/system"), system),
                Some(ready) if ready.operation(name).is_none() => {
                    let offering: Vec<&str> =
                        set.iter().filter(|s| s.operation(name).is_some()).map(|s| s.id.as_str()).collect();
                    let wanted = if offering.is_empty() {
                        "no system offers it".to_owned()
                    } else {
                        format!("systems that do: {}", offering.join(", "))
                    };
                    self.bad(&format!("{at}/operation"), format!("{system} does not offer {name}"), wanted);
                }
                Some(_) => {}
            }
        }
        Some(known)
    }

    fn inputs(&mut self, known: Option<&Operation>, inputs: &BTreeMap<String, Value>, at: &str, sight: &Sight) -> Tree {
        if let Some(known) = known {
            for required in known.required.iter().filter(|r| !OURS.contains(r)) {
                if !inputs.contains_key(*required) {
                    self.bad(
                        at,
                        format!("{} needs the input {required}", known.name),
                        format!("add \"{required}:\" to inputs"),
                    );
                }
            }
            for given in inputs.keys() {
                if !known.required.contains(&given.as_str()) && !known.optional.contains(&given.as_str()) {
                    let takes: Vec<&str> =
                        known.required.iter().chain(known.optional).filter(|i| !OURS.contains(i)).copied().collect();
                    self.bad(
                        &format!("{at}/{given}"),
                        format!("{} does not take it", known.name),
                        format!("inputs are: {}", takes.join(", ")),
                    );
                }
            }
        }
        let map = inputs.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        self.tree(&Value::Object(map), at, sight)
    }

    fn tree(&mut self, value: &Value, at: &str, sight: &Sight) -> Tree {
        let mut told = Vec::new();
        let mut maker = Maker { env: &mut self.env, names: BTreeSet::new() };
        let tree = maker.tree(value, at, &mut told);
        let names = std::mem::take(&mut maker.names);
        for (at, why) in told {
            self.bad(&at, why, "a template of the connectors' language");
        }
        self.seen(&names, at, sight);
        tree
    }

    fn expression(&mut self, text: &str, at: &str, sight: &Sight) -> Option<Compiled> {
        let mut maker = Maker { env: &mut self.env, names: BTreeSet::new() };
        let made = maker.expression(text);
        let names = std::mem::take(&mut maker.names);
        self.seen(&names, at, sight);
        made.map_err(|why| self.bad(at, why, "an expression of the connectors' language, without {{ }}")).ok()
    }

    /// Names that a text looks up and that will not be there.
    fn seen(&mut self, names: &BTreeSet<String>, at: &str, sight: &Sight) {
        for name in names {
            let (root, below) = name.split_once('.').map_or((name.as_str(), None), |(root, below)| (root, Some(below)));
            let known = ALWAYS.contains(&root)
                || sight.saved.iter().chain(&sight.items).any(|saved| saved == root)
                || (sight.result && root == "result")
                || (sight.reason && root == "reason")
                || (sight.inputs && root == "inputs");
            if !known {
                let mut there: Vec<&str> = ALWAYS.to_vec();
                if sight.inputs {
                    there.push("inputs");
                }
                there.extend(sight.saved.iter().chain(&sight.items).map(String::as_str));
                self.bad(at, format!("\"{root}\" is not known here"), format!("known are: {}", there.join(", ")));
            } else if root == "inputs"
                && let Some(input) = below.and_then(|below| below.split('.').next())
                && !self.read.value.inputs.contains_key(input)
            {
                let there: Vec<&str> = self.read.value.inputs.keys().map(String::as_str).collect();
                self.bad(at, format!("there is no input \"{input}\""), format!("inputs are: {}", there.join(", ")));
            }
        }
    }

    fn name(&mut self, name: &str, at: &str) {
        if !is_name(&name.replace('-', "_")) {
            self.bad(at, format!("found \"{name}\""), "small letters, digits, - and _, a letter first, at most 40");
        }
        if !self.named.insert(name.to_owned()) {
            self.bad(at, format!("\"{name}\" is there twice"), "each step has a name of its own");
        }
    }

    fn save(&mut self, name: &str, at: &str) {
        if !is_name(name)
            || ALWAYS.contains(&name)
            || OWN.contains(&name)
            || self.saved.iter().any(|saved| saved == name)
        {
            self.bad(
                at,
                format!("found \"{name}\""),
                "a name that is not taken: small letters, digits and _, a letter first",
            );
        }
        self.saved.push(name.to_owned());
    }
}

/// What the engine tells each operation by itself.
const OURS: [&str; 2] = ["call", "key"];
/// In sight of every text.
const ALWAYS: [&str; 5] = ["flow", "call", "customer", "agent", "event"];
const OWN: [&str; 3] = ["inputs", "result", "reason"];

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors;

    fn systems() -> Set {
        let file =
            |name: &str, text: &str| connectors::load_offline(name, text).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        Set::new(vec![
            file("connectors/desk.yaml", include_str!("../../config/demo/connectors/desk.yaml")),
            file("connectors/orders.yaml", include_str!("../../config/demo/connectors/orders.yaml")),
            file("connectors/mail.yaml", include_str!("../../config/demo/connectors/mail.yaml")),
            file("connectors/survey.yaml", include_str!("../../config/demo/connectors/survey.yaml")),
            file("connectors/chat.yaml", include_str!("../../config/demo/connectors/chat.yaml")),
        ])
    }

    fn attributes() -> BTreeSet<String> {
        ["survey.score", "survey.comment"].map(str::to_owned).into()
    }

    #[test]
    fn the_flows_we_ship_fit_the_demo() {
        for (name, text) in [
            ("flows/refund.yaml", include_str!("../../config/demo/flows/refund.yaml")),
            ("flows/escalation.yaml", include_str!("../../config/demo/flows/escalation.yaml")),
            ("flows/missed-call.yaml", include_str!("../../config/demo/flows/missed-call.yaml")),
            ("flows/survey.yaml", include_str!("../../config/demo/flows/survey.yaml")),
            ("flows/survey-result.yaml", include_str!("../../config/demo/flows/survey-result.yaml")),
        ] {
            let plan = read(name, text, &systems(), &attributes()).unwrap_or_else(|problems| panic!("{problems:#?}"));
            assert_eq!(again(name, text).unwrap().hash, plan.hash);
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_places() {
        let text = r#"flow: other
schema: 1
title: Bad
on: [button: {}, schedule: {every_min: 0}]
inputs:
  amount: {type: amount, max: "1.23456"}
  kind: {type: choice}
steps:
  - step: {name: a, system: nobody, operation: ticket.create, inputs: {title: t, text: x}, undo: none}
  - step: {name: b, system: desk, operation: ticket.make, undo: none}
  - step: {name: c, system: orders, operation: ticket.create, inputs: {title: "{{ inputs.sum }}", text: "{{ nothing }}"}, undo: none}
  - step: {name: d, system: desk, operation: ticket.create, inputs: {title: "{{ later.id }}", text: "{{ call.id | shout }}", colour: red}}
  - step: {name: d, system: desk, operation: note.add, inputs: {text: "{{ 1 + }}"}, undo: {operation: ticket.create, inputs: {}}}
  - approval: {name: e, roles: [{role: boss, up_to: "10"}], within_ms: 0}
  - approval: {name: i, roles: [{role: boss}], within_ms: 1, ask: {system: desk, text: "{{ nothing }}"}}
  - answer: {name: g, system: desk, to: later.id, within_ms: 0}
  - answer: {name: h, system: nobody, to: call.id, within_ms: 1, save: event}
  - step: {name: f, system: desk, operation: tickets.open, inputs: {customer: "{{ customer }}"}, save: later, undo: {operation: ticket.close, inputs: {target: "{{ later }}"}}}
"#;
        let problems = read("flows/bad.yaml", text, &systems(), &attributes()).map(|_| ()).unwrap_err();
        let told: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.line, p.found)).collect();
        for wanted in [
            "1: found \"other\"",
            "4: found 0",
            "6: found \"1.23456\"",
            "7: choices belong to type: choice, and that needs them",
            "9: there is no system \"nobody\"",
            "10: there is no operation \"ticket.make\"",
            "11: orders does not offer ticket.create",
            "11: there is no input \"sum\"",
            "11: \"nothing\" is not known here",
            "12: ticket.create writes, and nothing says how it is taken back",
            "12: \"later\" is not known here",
            "12: there is no filter \"shout\"",
            "12: ticket.create does not take it",
            "13: \"d\" is there twice",
            "13: note.add needs the input target",
            "13: ticket.create needs the input title",
            "14: there is no amount that it could bound",
            "14: found 0",
            "15: desk does not offer approval.ask",
            "15: desk does not tell who pressed a button",
            "15: \"nothing\" is not known here",
            "16: desk does not tell what people answer",
            "16: \"later\" is not known here",
            "16: found 0",
            "17: there is no system \"nobody\"",
            "17: found \"event\"",
            "18: tickets.open only reads",
        ] {
            assert!(told.iter().any(|line| line == wanted), "{wanted:?} is not among {told:#?}");
        }
    }

    #[test]
    fn what_is_written_into_a_record_is_declared_and_of_a_call() {
        let told = |on: &str, rest: &str, name: &str| -> Vec<String> {
            let text = format!(
                "flow: one\nschema: 1\ntitle: One\non: [{on}]\n{rest}\nsteps:\n  - record: {{name: a, attributes: {{{name}: \"{{{{ event.score }}}}\"}}}}\n"
            );
            let read = read("flows/one.yaml", &text, &systems(), &attributes());
            read.err().unwrap_or_default().into_iter().map(|p| format!("{}: {}", p.key, p.found)).collect()
        };
        let call = "call: event.call";
        assert_eq!(told("webhook: survey", call, "survey.score"), [""; 0]);
        assert_eq!(told("ended", "", "survey.score"), [""; 0]);
        for (on, rest, name, wanted) in [
            ("webhook: survey", "", "survey.score", "steps[0].record: nothing says which call it is about"),
            ("schedule: {every_min: 5}", "", "survey.score", "steps[0].record: nothing says which call it is about"),
            ("ended", call, "survey.score", "call: no event begins it"),
            ("webhook: survey", "call: call.id", "survey.score", "call: \"call.id\" is not known here"),
            ("ended", "once: call.attributes", "survey.score", "once: what it writes would begin it again"),
            ("webhook: survey", call, "survey.sum", "no switch lets flows write \"survey.sum\""),
        ] {
            let told = told(on, rest, name);
            assert!(told.len() == 1 && told[0].contains(wanted), "{wanted:?} is not {told:?}");
        }
    }

    #[test]
    fn nobody_is_asked_behind_a_pivot() {
        let text = |pivot: &str| {
            format!(
                "flow: one\nschema: 1\ntitle: One\non: [button: {{}}]\nsteps:\n  - step: {{name: a, system: desk, operation: ticket.create, inputs: {{title: t, text: x}}, undo: none{pivot}}}\n  - approval: {{name: b, roles: [{{role: boss}}], within_ms: 1}}\n"
            )
        };
        assert!(read("flows/one.yaml", &text(""), &systems(), &attributes()).is_ok());
        let told = read("flows/one.yaml", &text(", pivot: true"), &systems(), &attributes()).err().unwrap();
        assert!(told.len() == 1 && told[0].found == "it stands behind a pivot", "{told:?}");
        // One that began so goes on.
        assert!(again("flows/one.yaml", &text(", pivot: true")).is_ok());
    }

    #[test]
    fn an_undo_that_is_not_safe_to_repeat_is_refused() {
        let desk =
            include_str!("../../config/demo/connectors/desk.yaml").replace("idempotent: put", "idempotent: none");
        let set = Set::new(vec![connectors::load_offline("connectors/desk.yaml", &desk).unwrap()]);
        let text = r#"flow: one
schema: 1
title: One
on: [ended]
steps:
  - step: {name: a, system: desk, operation: ticket.create, inputs: {title: t, text: x}, save: t, undo: {operation: ticket.close, inputs: {target: "{{ t }}"}}}
"#;
        let problems = read("flows/one.yaml", text, &set, &attributes()).map(|_| ()).unwrap_err();
        assert_eq!(problems[0].found, "ticket.close at desk is not safe to repeat");
    }

    #[test]
    fn amounts_are_exact() {
        for (text, sum) in [
            ("129.00", Some(1_290_000)),
            ("0.0001", Some(1)),
            ("5", Some(50_000)),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("1e3", None),
            ("1.00001", None),
            ("1,000", None),
        ] {
            assert_eq!(amount(text), sum, "{text}");
        }
    }
}
