//! Switches that tell the same calls: an edge and the PBX that it stands before. What one file says of the other is held against it when all are read, and
//! each link learns what it has to ask for, so that the book finds the calls that are one.

use crate::{
    calls::{
        attributes::Mapping,
        edges::{Join, Pair},
    },
    files::{Problem, Read},
    words::SwitchId,
};

use super::{
    Settings, hep,
    sip::{self, Role},
};

/// What a switch's own links have to do for calls that another switch tells too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// It stands before a PBX.
    pub edge: bool,
    /// SIP Call-IDs are wanted.
    pub call_ids: bool,
    /// Headers that are wanted.
    pub headers: Vec<String>,
    /// What stands before it shows where the dialled number stood.
    pub places: bool,
    /// Edges that stand before it.
    pub edges: Vec<SwitchId>,
}

/// A file's name, and what it says.
pub type File = (String, Read<Settings>);

/// Holds edges against the switches that they stand before. Gives what is wrong, and what is worth a look; where nothing is wrong each file has been told
/// what the other wants of it.
pub fn link(files: &mut [File]) -> (Vec<Problem>, Vec<Problem>) {
    let (mut wrong, mut notes, mut pairings) = (Vec::new(), Vec::new(), Vec::new());
    for (name, read) in files.iter() {
        let Settings::Sip(edge) = &read.value else { continue };
        if edge.role == Role::Pbx {
            if edge.before.is_some() {
                let wanted = "\"role: edge\", or no \"before\"";
                wrong.push(read.problem("sip.before", "only an edge stands before another switch", wanted));
            }
            continue;
        }
        let others = files.iter().map(|(_, read)| &read.value).filter(|other| *other.id() != edge.id);
        let pbx = match &edge.before {
            None => Err(("it is not said before which switch it stands", "\"before: ID\" of a switch")),
            Some(before) if *before == edge.id => Err(("a switch does not stand before itself", "the id of the PBX")),
            Some(before) => others
                .into_iter()
                .find(|other| other.id() == before)
                .ok_or(("there is no such switch", "the id of a switch's file")),
        };
        let pbx = pbx.and_then(|pbx| match pbx {
            Settings::Sip(other) if other.role == Role::Edge => {
                Err(("that switch is an edge itself", "the PBX behind both: each edge stands before a PBX"))
            }
            other if *other.tenant() != edge.tenant => {
                Err(("that switch is another tenant's", "a switch of the same tenant"))
            }
            other => Ok(other),
        });
        match pbx {
            Err((found, wanted)) => wrong.push(read.problem("sip.before", found, wanted)),
            Ok(pbx) => {
                join_problems(read, edge, pbx, &mut wrong);
                if edge.hep.as_ref().is_some_and(|hep| hep.trunks.is_empty()) {
                    let found = "nothing tells calls from the carrier and calls from the PBX apart";
                    let wanted = "the carriers by their addresses, for example [{name: carrier, at: [\"192.0.2.10\"]}]";
                    notes.push(read.problem("sip.hep.trunks", found, wanted));
                }
                pairings.push((name.clone(), pbx.id().clone(), edge.joins.clone(), edge.hep.is_some()));
            }
        }
    }
    for (edge, pbx, joins, mirrored) in pairings {
        let Some(id) = files.iter().find(|(name, _)| *name == edge).map(|(_, read)| read.value.id().clone()) else {
            continue;
        };
        for (name, read) in files.iter_mut().filter(|(name, read)| *name == edge || *read.value.id() == pbx) {
            let pairing = read.value.pairing();
            if *name == edge {
                pairing.edge = true;
            } else {
                pairing.edges.push(id.clone());
                pairing.places |= mirrored;
            }
            pairing.call_ids |= joins.contains(&Join::CallId);
            pairing.headers.extend(joins.iter().filter_map(Join::header).map(str::to_owned));
        }
    }
    (wrong, notes)
}

/// Keys that one of the two can never have.
fn join_problems(read: &Read<Settings>, edge: &sip::Settings, pbx: &Settings, wrong: &mut Vec<Problem>) {
    let maps = |list: &[Mapping], name: &str| list.iter().any(|m| m.name == name && m.from.is_some());
    let mirrors = match pbx {
        Settings::Asterisk(s) => s.hep.is_some(),
        Settings::FreeSwitch(_) => false,
        Settings::Sip(s) => s.hep.is_some(),
    };
    if edge.joins.is_empty() {
        wrong.push(read.problem(
            "sip.joins",
            "the list is empty",
            "at least one of call-id, session-id, uui, {header: NAME}, {attribute: NAME}, number-and-time",
        ));
    }
    for (i, join) in edge.joins.iter().enumerate() {
        let mut no = |found: String, wanted: &str| wrong.push(read.problem(&format!("sip.joins[{i}]"), found, wanted));
        match join {
            Join::Attribute(name) => {
                for (id, list) in [(&edge.id, edge.attributes.as_slice()), (pbx.id(), pbx.attributes())] {
                    if !maps(list, name) {
                        no(format!("{id} gives no attribute {name:?} a value"), "an attribute that both files map");
                    }
                }
            }
            Join::Header(_) | Join::Uui if edge.hep.is_none() || !mirrors => {
                let which = if mirrors { &edge.id } else { pbx.id() };
                let wanted = "\"hep\" at both; or {attribute: NAME}, which the PBX may map from a channel variable";
                no(format!("{which} shows no headers"), wanted);
            }
            Join::Header(name)
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) =>
            {
                no("this is no name of a header".to_owned(), "for example {header: X-Call-Ref}");
            }
            _ => {}
        }
    }
}

impl Settings {
    fn pairing(&mut self) -> &mut Pairing {
        match self {
            Self::Asterisk(s) => &mut s.pairing,
            Self::FreeSwitch(s) => &mut s.pairing,
            Self::Sip(s) => &mut s.pairing,
        }
    }

    /// What it is to calls that another switch tells too.
    #[must_use]
    pub fn pair(&self) -> Pair {
        let edges = match self {
            Self::Sip(sip::Settings { role: Role::Edge, before: Some(pbx), joins, .. }) => {
                return Pair::Edge { pbx: pbx.clone(), joins: joins.clone(), keeps: true };
            }
            Self::Sip(s) => s.pairing.edges.clone(),
            Self::FreeSwitch(s) => s.pairing.edges.clone(),
            Self::Asterisk(s) => s.pairing.edges.iter().cloned().chain(self.mirror().map(|(id, _)| id)).collect(),
        };
        if edges.is_empty() { Pair::Alone } else { Pair::Behind(edges) }
    }

    /// Where mirrored signalling adds to calls that other feeds tell: the switch as which it is told, and its settings. No file's id has a blank in it.
    #[must_use]
    pub fn mirror(&self) -> Option<(SwitchId, &hep::Settings)> {
        match self {
            Self::Asterisk(s) => s.hep.as_ref().map(|hep| (format!("{} hep", s.id).into(), hep)),
            Self::FreeSwitch(_) | Self::Sip(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const PBX: &str = "asterisk: {id: pbx1, trunks: ['PJSIP/trunk*'], attributes: [{name: ref, from: {variable: REF}}], ami: {host: h, user: u, secret: {env: A}}}";
    const EDGE: &str = "sip: {id: edge1, domain: d, role: edge, before: pbx1, joins: [call-id, {attribute: ref}], attributes: [{name: ref, from: {sip-header: X-Ref}}], hep: {listen: '127.0.0.1:9060', from: [127.0.0.1], trunks: [{name: c, at: [192.0.2.1]}]}}";

    fn linked(pbx: &str, edge: &str) -> (Vec<File>, Vec<String>, Vec<String>) {
        let file = |name: &str, text: &str| (name.to_owned(), files::read::<Settings>(name, text).unwrap());
        let mut all = vec![file("e.yaml", edge), file("p.yaml", pbx)];
        let (wrong, notes) = link(&mut all);
        let keys = |list: Vec<Problem>| list.into_iter().map(|p| format!("{}: {}", p.key, p.found)).collect();
        (all, keys(wrong), keys(notes))
    }

    #[test]
    fn the_example_stands_before_the_other_example() {
        let (edge, pbx) =
            (include_str!("../../config/switches/edge.yaml"), include_str!("../../config/switches/asterisk.yaml"));
        let (files, wrong, notes) = linked(pbx, edge);
        assert_eq!((wrong, notes), (Vec::<String>::new(), Vec::<String>::new()));
        for (_, read) in &files {
            assert_eq!(read.value.problems(read), []);
        }
    }

    #[test]
    fn each_side_is_told_what_the_other_wants() {
        let (files, wrong, notes) = linked(PBX, EDGE);
        assert_eq!((wrong, notes), (Vec::<String>::new(), Vec::<String>::new()));
        let Settings::Asterisk(pbx) = &files[1].1.value else { panic!() };
        assert!(pbx.asks_call_ids() && pbx.pairing.edges == ["edge1".into()] && !pbx.pairing.edge);
        assert_eq!(files[1].1.value.pair(), Pair::Behind(vec!["edge1".into()]));
        assert!(matches!(files[0].1.value.pair(), Pair::Edge { keeps: true, .. }));
        // The mirror of the PBX stands before it like an edge.
        let hep = PBX.replace("ami:", "hep: {listen: '127.0.0.1:9061', from: [127.0.0.1]}, ami:");
        let (files, wrong, _) = linked(&hep, &EDGE.replace("{attribute: ref}", "{header: X-Ref}, session-id"));
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(files[1].1.value.pair(), Pair::Behind(vec!["edge1".into(), "pbx1 hep".into()]));
        for (_, read) in files {
            let pairing = match read.value {
                Settings::Asterisk(s) => s.pairing,
                Settings::FreeSwitch(s) => s.pairing,
                Settings::Sip(s) => s.pairing,
            };
            assert_eq!(pairing.headers, ["X-Ref", "Session-ID"]);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_told_with_its_place() {
        let told = |pbx: &str, (from, to): (&str, &str)| {
            assert!(EDGE.contains(from), "{from}");
            let (_, wrong, notes) = linked(pbx, &EDGE.replacen(from, to, 1));
            [wrong, notes].concat()
        };
        for (from, to, found) in [
            ("before: pbx1, ", "", "sip.before: it is not said before which switch it stands"),
            ("before: pbx1", "before: edge1", "sip.before: a switch does not stand before itself"),
            ("before: pbx1", "before: pbx2", "sip.before: there is no such switch"),
            ("role: edge, ", "", "sip.before: only an edge stands before another switch"),
            ("domain: d", "domain: d, tenant: other", "sip.before: that switch is another tenant's"),
            ("[call-id, {attribute: ref}]", "[]", "sip.joins: the list is empty"),
            ("{attribute: ref}", "{attribute: x}", "sip.joins[1]: edge1 gives no attribute \"x\" a value"),
            ("{attribute: ref}", "uui", "sip.joins[1]: pbx1 shows no headers"),
            (
                ", trunks: [{name: c, at: [192.0.2.1]}]",
                "",
                "sip.hep.trunks: nothing tells calls from the carrier and calls from the PBX apart",
            ),
        ] {
            let problems = told(PBX, (from, to));
            assert_eq!(problems.first().map(String::as_str), Some(found), "{problems:?}");
        }
        // Two edges that stand before each other.
        let other = "sip: {id: pbx1, domain: d, role: edge, before: edge1, hep: {listen: '127.0.0.1:9061', from: [127.0.0.1], trunks: [{name: c, at: [192.0.2.1]}]}}";
        let (_, wrong, _) = linked(other, EDGE);
        assert_eq!(wrong, ["sip.before: that switch is an edge itself"; 2]);
    }
}
