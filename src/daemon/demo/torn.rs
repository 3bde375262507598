//! The simulated switch, our own end of its link and the book, with the link made, cut and made again between any two steps of any
//! story. What was missed may be missing in the record, and then the record says so; nothing in it may be wrong.

use std::sync::Arc;

use crate::{
    calls::{Book, Record, What, event::Feed},
    daemon::replay::{ReplaySettings, SWITCH},
    private::Secret,
    switches::{
        asterisk::{Settings as Asterisk, session_ami::Session},
        link::{self, Output as Ours, Session as _},
    },
    words::{Mono, Now, SwitchId, Wall},
};

use super::{
    story::{Story, Truth},
    switch::{Output, SessionId, Settings, Switch},
};

const START: i64 = 1_795_347_846_000;

struct Scene {
    switch: Switch,
    link: Option<(SessionId, Session)>,
    links: SessionId,
    book: Book,
    record: Vec<Record>,
    us: u64,
    settings: Arc<Asterisk>,
    /// Exchanges between two steps of the story; with one, a login takes three steps.
    rounds: usize,
}

impl Scene {
    fn new(seed: u64, rounds: usize) -> Scene {
        let text = "asterisk:\n  id: pbx1\n  trunks: ['PJSIP/trunk*']\n  ami: {host: 127.0.0.1, user: linecard, secret: {env: X}}\n";
        let crate::switches::Settings::Asterisk(settings) = crate::files::read("x.yaml", text).unwrap().value else {
            panic!("this is no Asterisk")
        };
        let seats = ["1001", "1002", "1003"].map(str::to_owned);
        Scene {
            switch: Switch::new(Settings::default(), seed, now(0)),
            link: None,
            links: 0,
            book: Book::new(ReplaySettings::plain(&seats, "CN", Some("21")).book),
            record: Vec::new(),
            us: 0,
            settings: Arc::new(settings),
            rounds,
        }
    }

    fn log_in(&mut self) {
        let at = now(self.us);
        self.links += 1;
        let ami = self.settings.ami.clone().unwrap();
        self.link = Some((self.links, Session::new(self.settings.clone(), &ami, Secret::new("demo".into()), at)));
        self.switch.connected(self.links, at);
        self.pump();
    }

    fn cut(&mut self) {
        self.switch.cut(now(self.us));
        self.pump();
    }

    /// Everything that is due now goes where it belongs.
    fn pump(&mut self) -> Option<Mono> {
        let at = now(self.us);
        let mut rounds = self.rounds;
        loop {
            rounds -= 1;
            let (outputs, next) = self.switch.poll(at);
            let quiet = outputs.is_empty();
            for output in outputs {
                match (output, &mut self.link) {
                    (Output::Send { session, bytes }, Some((ours, link))) if session == *ours => link.read(at, &bytes),
                    (Output::Close { session }, Some((ours, link))) if session == *ours => link.closed(),
                    _ => {}
                }
            }
            if self.ours(at) && quiet || rounds == 0 {
                return next;
            }
        }
    }

    /// What our end does; whether it had nothing to send.
    fn ours(&mut self, at: Now) -> bool {
        let mut quiet = true;
        while let Some((id, link)) = &mut self.link {
            let events = match link.poll(at) {
                Ours::Send(bytes) => {
                    self.switch.received(*id, &bytes, at);
                    quiet = false;
                    continue;
                }
                Ours::Events(events) => events,
                Ours::Failed(_) => {
                    self.link = None;
                    vec![link::lost(Feed::Ami)]
                }
                Ours::Up { .. } | Ours::Answered { .. } | Ours::Note(_) => continue,
                Ours::Wait(_) => break,
            };
            for event in events {
                self.book.take(at, &SwitchId::from(SWITCH), Feed::Ami, event);
            }
            self.written();
        }
        quiet
    }

    fn written(&mut self) {
        while let Some(change) = self.book.next_change() {
            if matches!(change.what, What::Ended | What::Amended) {
                let record = self.book.record(change.call).unwrap();
                self.record.retain(|old| old.call != record.call);
                self.record.push(record);
            }
        }
    }

    fn truth(&self) -> Truth {
        self.switch.ledger()[0].clone()
    }
}

fn now(us: u64) -> Now {
    Now { wall: Wall(START + i64::try_from(us / 1000).unwrap()), mono: Mono(us) }
}

/// Plays one story with something done before each of its steps; gives the truth, the records and the number of steps.
fn play(
    story: Story,
    seed: u64,
    rounds: usize,
    mut before: impl FnMut(&mut Scene, usize),
) -> (Truth, Vec<Record>, usize) {
    let mut scene = Scene::new(seed, rounds);
    before(&mut scene, 0);
    scene.switch.play(story, "13800138000", None, now(0)).unwrap();
    let mut steps = 1;
    while let Some(next) = scene.pump() {
        before(&mut scene, steps);
        scene.us = scene.us.max(next.0);
        steps += 1;
    }
    before(&mut scene, steps);
    scene.pump();
    scene.book.lose_all(now(scene.us), &SwitchId::from(SWITCH));
    scene.written();
    (scene.truth(), scene.record, steps)
}

fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap_or_default().to_owned()
}

/// A record without what depends on when we looked.
fn essence(record: &Record) -> String {
    let segments: Vec<String> = record
        .segments
        .iter()
        .map(|s| format!("{}/{:?}/{:?}/{}", word(s.kind), s.agent, s.queue, s.outcome.map(word).unwrap_or_default()))
        .collect();
    let transfers = record.transfers.iter().flatten().map(|t| format!("{:?} {:?} {:?}", t.kind, t.from, t.to));
    format!(
        "{:?} {:?} {:?} {:?} {:?} {segments:?} {:?}",
        record.direction,
        record.outcome,
        record.queue,
        record.agents,
        record.ended_by,
        transfers.collect::<Vec<_>>()
    )
}

#[test]
fn a_record_is_right_or_says_that_it_was_not_seen_whole() {
    let mut wrong = Vec::new();
    for (story, seed) in Story::ALL.into_iter().flat_map(|story| (1..4).map(move |seed| (story, seed))) {
        let (_, whole, steps) = play(story, seed, 99, |scene, step| {
            if step == 0 {
                scene.log_in();
            }
        });
        let [whole] = whole.as_slice() else { panic!("{story:?}: {whole:?}") };
        assert_eq!(word(whole.quality), "exact", "{story:?}");
        let moments =
            (0..=steps).flat_map(|cut| (cut..=steps).flat_map(move |again| [(cut, again, 99), (cut, again, 1)]));
        for (cut, again, rounds) in moments {
            let (truth, records, _) = play(story, seed, rounds, |scene, step| {
                if step == 0 && cut > 0 {
                    scene.log_in();
                }
                if step == cut && cut > 0 {
                    scene.cut();
                }
                if step == again {
                    scene.log_in();
                }
            });
            let at = format!(
                "{story:?} {seed}, cut before step {cut}, again before {again} of {steps}, {rounds} rounds a step"
            );
            // Watched again before the story's last step: it cannot be missing, nor its end.
            if rounds > 1 && again < steps && !records.iter().any(|r| r.outcome.is_some()) {
                wrong.push(format!("no outcome: {at}: {}", records.iter().map(essence).collect::<String>()));
            }
            let parts = if records.len() > 1 { records.len() - 1 } else { 0 };
            for record in &records {
                let said = format!("{at}: {} {}", word(record.quality), essence(record));
                if word(record.quality) == "exact" && essence(record) != essence(whole) {
                    wrong.push(format!("not exact: {said}"));
                }
                if parts > 0 {
                    wrong.push(format!("{} records: {said}", records.len()));
                    continue;
                }
                if record.direction.is_some_and(|d| word(d) != truth.direction) {
                    wrong.push(format!("direction: {said}"));
                }
                if record.outcome.is_some_and(|o| Some(word(o).as_str()) != truth.outcome) {
                    wrong.push(format!("outcome: {said}"));
                }
                if record.agents.iter().flatten().any(|a| !truth.agents.contains(a)) {
                    wrong.push(format!("agents: {said}"));
                }
            }
        }
    }
    let count = wrong.len();
    wrong.truncate(12);
    assert!(wrong.is_empty(), "{count} wrong:\n{}", wrong.join("\n"));
}
