//! What agents ask, as background jobs. A job has the request's own name (`Job-UUID`, which the switch takes as it is), and its result is an event with the
//! answer in its body (handshake, json-bgapi; click-to-dial).

use std::sync::Arc;

use crate::{
    calls::{
        Command,
        command::{Failure, Made, Outcome, RequestId},
    },
    switches::link,
    words::{Mono, Now},
};

use super::{event::Event, originate, session::command, settings::Settings};

pub struct Orders {
    settings: Arc<Settings>,
    /// Without an answer yet, each with its last moment.
    pending: Vec<(RequestId, Mono)>,
}

impl Orders {
    #[must_use]
    pub const fn new(settings: Arc<Settings>) -> Self {
        Self { settings, pending: Vec::new() }
    }

    /// The lines of the command; `None`: it is under way already.
    ///
    /// # Errors
    /// Why it is not even sent.
    pub fn take(&mut self, now: Now, asked: &Command) -> Result<Option<String>, Failure> {
        let request = asked.request();
        if self.pending.iter().any(|(pending, _)| pending == request) {
            return Ok(None);
        }
        let job = match asked {
            Command::Dial(dial) => originate::originate(&self.settings, dial)?,
            Command::Act(_) => return Err(Failure::UnavailableHere),
        };
        let (first, second) = (command(&["bgapi ", &job]), command(&["Job-UUID: ", &request.0]));
        let (Some(first), Some(second)) = (first, second) else { return Err(Failure::UnknownTarget) };
        self.pending.push((request.clone(), now.mono.plus_ms(link::DIAL_MS)));
        Ok(Some(format!("{}\n{second}", first.trim_end_matches('\n'))))
    }

    /// The switch did not take it.
    pub fn refused(&mut self, request: &RequestId, answer: &str) -> Option<Failure> {
        self.forget(request).then(|| originate::failure(answer))
    }

    /// The result of a job of ours.
    pub fn done(&mut self, e: &Event<'_>) -> Option<(RequestId, Outcome)> {
        if e.get("Event-Name").as_deref() != Some("BACKGROUND_JOB") {
            return None;
        }
        let request = RequestId(e.get("Job-UUID")?.into_owned());
        if !self.forget(&request) {
            return None;
        }
        let body = String::from_utf8_lossy(e.body());
        let result = if body.starts_with("-ERR") { Err(originate::failure(&body)) } else { Ok(Made::default()) };
        Some((request, result))
    }

    /// Those that have waited long enough. A channel that comes later is known by its name all the same.
    pub fn late(&mut self, now: Now) -> impl Iterator<Item = RequestId> + use<> {
        let late = self.pending.extract_if(.., |(_, until)| *until <= now.mono).map(|(request, _)| request);
        late.collect::<Vec<_>>().into_iter()
    }

    /// Nobody will answer these.
    pub fn lost(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.pending).into_iter().map(|(request, _)| request)
    }

    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.pending.iter().map(|(_, until)| *until).min()
    }

    fn forget(&mut self, request: &RequestId) -> bool {
        let before = self.pending.len();
        self.pending.retain(|(pending, _)| pending != request);
        self.pending.len() < before
    }
}
