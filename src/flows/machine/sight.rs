//! Where steps stand in a file with its lists known, and what their texts see.

use serde_json::{Map, Value, json};

use super::{
    super::{
        answers::Button,
        compile::{Answer, Approval, Node, Plan, Record, Step},
        template,
    },
    Mark, Run,
};

/// A step, an approval or an answer where the run's lists have it.
#[derive(Clone)]
pub(in crate::flows) struct Place<'p> {
    pub path: String,
    pub leaf: Leaf<'p>,
    /// The loops around it: the list's path, what an item is called, which one it is.
    pub loops: Vec<(String, &'p str, usize)>,
}

#[derive(Clone, Copy)]
pub(in crate::flows) enum Leaf<'p> {
    Step(&'p Step),
    Approval(&'p Approval),
    Record(&'p Record),
    Answer(&'p Answer),
}

impl Place<'_> {
    /// Of a card: the approval that it asks for.
    pub(super) fn asks(&self) -> Option<String> {
        let Leaf::Step(Step { asks: Some(approval), name, .. }) = self.leaf else { return None };
        Some(format!("{}{approval}", self.path.strip_suffix(name.as_str()).unwrap_or_default()))
    }
}

impl Run {
    /// All steps and approvals, in the order of the file, as far as lists are known.
    pub(in crate::flows) fn places<'p>(&self, plan: &'p Plan) -> Vec<Place<'p>> {
        let mut out = Vec::new();
        self.gather(&plan.nodes, "", &[], &mut out);
        out
    }

    fn gather<'p>(
        &self,
        nodes: &'p [Node],
        prefix: &str,
        loops: &[(String, &'p str, usize)],
        out: &mut Vec<Place<'p>>,
    ) {
        for node in nodes {
            match node {
                Node::Step(step) => {
                    let path = format!("{prefix}{}", step.name);
                    out.push(Place { path, leaf: Leaf::Step(step), loops: loops.to_vec() });
                }
                Node::Approval(approval) => {
                    let path = format!("{prefix}{}", approval.name);
                    out.push(Place { path, leaf: Leaf::Approval(approval), loops: loops.to_vec() });
                }
                Node::Record(record) => {
                    let path = format!("{prefix}{}", record.name);
                    out.push(Place { path, leaf: Leaf::Record(record), loops: loops.to_vec() });
                }
                Node::Answer(answer) => {
                    let path = format!("{prefix}{}", answer.name);
                    out.push(Place { path, leaf: Leaf::Answer(answer), loops: loops.to_vec() });
                }
                Node::Parallel(branches) => self.gather(branches, prefix, loops, out),
                Node::ForEach(each) => {
                    let path = format!("{prefix}{}", each.name);
                    for n in 0..self.lists.get(&path).map_or(0, Vec::len) {
                        let mut inner = loops.to_vec();
                        inner.push((path.clone(), &each.item, n));
                        self.gather(&each.nodes, &format!("{path}[{n}]."), &inner, out);
                    }
                }
            }
        }
    }

    pub(super) fn inputs(
        &self,
        plan: &Plan,
        place: &Place<'_>,
        step: &Step,
        undo: bool,
    ) -> Result<Map<String, Value>, String> {
        let mut context = self.context(plan, &place.loops);
        let (tree, system) = match (&step.undo, undo) {
            (Some(undo), true) => {
                let result = match self.marks.get(&place.path) {
                    Some(Mark::Done { result, .. }) => result.expose().clone(),
                    _ => Value::Null,
                };
                let stop = self.stop.as_ref();
                let said = stop.and_then(|stop| stop.why.as_ref()).map(|why| why.expose().clone());
                let reason = said.or_else(|| stop.map(|stop| stop.reason.clone())).unwrap_or_default();
                context.insert("result".to_owned(), result);
                context.insert("reason".to_owned(), reason.into());
                (&undo.inputs, &undo.system)
            }
            _ => (&step.inputs, &step.system),
        };
        let Some(Value::Object(mut inputs)) = tree.json(&plan.env, &template::context(context))? else {
            return Err("they are no object".to_owned());
        };
        let (key, call) = self.key(&place.path, undo);
        inputs.insert("call".to_owned(), call.into());
        inputs.insert("key".to_owned(), key.into());
        if let Some(path) = place.asks() {
            for (input, agrees) in [("approve", true), ("refuse", false)] {
                inputs.insert(
                    input.to_owned(),
                    Button { agrees, flow: self.id.clone(), path: path.clone() }.text().into(),
                );
            }
        }
        if let Some(agent) = &self.cause.agent {
            inputs.entry("agent").or_insert_with(|| agent.to_string().into());
            if let Some(id) = self.cause.agent_ids.get(system.as_str()) {
                inputs.entry("agent_id").or_insert_with(|| id.clone().into());
            }
        }
        Ok(inputs)
    }

    pub(super) fn context(&self, plan: &Plan, here: &[(String, &str, usize)]) -> Map<String, Value> {
        let mut context = Map::new();
        let flow = json!({"id": self.id, "name": self.flow, "at": self.born_at, "trigger": self.cause.trigger});
        context.insert("flow".to_owned(), flow);
        context.insert("inputs".to_owned(), Value::Object(self.cause.inputs.clone()));
        context.insert("call".to_owned(), self.cause.call.clone());
        context.insert("customer".to_owned(), self.cause.customer.clone());
        context.insert("event".to_owned(), self.cause.event.clone());
        context.insert("agent".to_owned(), self.cause.agent.as_ref().map_or(Value::Null, |a| a.to_string().into()));
        for name in &plan.saved {
            context.insert(name.clone(), Value::Null);
        }
        for place in self.places(plan) {
            let (Leaf::Step(Step { save: Some(name), .. }) | Leaf::Answer(Answer { save: Some(name), .. })) =
                place.leaf
            else {
                continue;
            };
            let Some(Mark::Done { result, .. }) = self.marks.get(&place.path) else { continue };
            let result = result.expose().clone();
            let shared = |(path, ..): &(String, &str, usize)| here.iter().any(|(other, ..)| other == path);
            if here.starts_with(&place.loops) {
                context.insert(name.clone(), result);
            } else if place.loops.iter().any(shared) {
                // Another round of the loop that we are in.
            } else if let Some(Value::Array(list)) = context.get_mut(name) {
                list.push(result);
            } else {
                // Of a loop that is behind us: what all its rounds gave.
                context.insert(name.clone(), Value::Array(vec![result]));
            }
        }
        for (path, item, n) in here {
            let value = self.lists.get(path).and_then(|list| list.get(*n)).cloned().unwrap_or(Value::Null);
            context.insert((*item).to_owned(), value);
        }
        context
    }
}
