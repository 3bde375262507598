//! What agents ask, as background jobs. A job has the request's own name (`Job-UUID`, which the switch takes as it is), and its result is an event with the
//! answer in its body (handshake, json-bgapi; click-to-dial).

use std::sync::Arc;

use crate::{
    calls::{
        Command,
        command::{Failure, Made, Outcome, RequestId, Verb},
    },
    switches::link,
    words::{Mono, Now},
};

use super::{
    acts::{self, Job, Running},
    event::Event,
    originate,
    session::command,
    settings::Settings,
};

pub struct Orders {
    settings: Arc<Settings>,
    pending: Vec<Pending>,
    running: Running,
}

/// Without an answer yet.
struct Pending {
    request: RequestId,
    until: Mono,
    made: Made,
    /// A recording that begins (with its file) or ends at this leg.
    recording: Option<(String, Option<String>)>,
    dial: bool,
}

/// Recordings of ours that are remembered; far more than run at once.
const RUNNING: usize = 10_000;

impl Orders {
    #[must_use]
    pub const fn new(settings: Arc<Settings>) -> Self {
        Self { settings, pending: Vec::new(), running: Running::new() }
    }

    /// The lines of the command; `None`: it is under way already.
    ///
    /// # Errors
    /// Why it is not even sent.
    pub fn take(&mut self, now: Now, asked: &Command) -> Result<Option<String>, Failure> {
        let request = asked.request();
        if self.pending.iter().any(|pending| pending.request == *request) {
            return Ok(None);
        }
        let (job, recording) = match asked {
            Command::Dial(dial) => {
                let line = originate::originate(&self.settings, dial)?;
                (Job { line, made: Made::default(), within_ms: None }, None)
            }
            Command::Act(act) => {
                let job = acts::job(&self.settings, act, &self.running)?;
                let file = job.made.recording.as_ref().map(|file| file.expose().clone());
                let recording = match act.verb {
                    Verb::RecordStart | Verb::RecordStop => Some((act.own.id.clone(), file)),
                    _ => None,
                };
                (job, recording)
            }
            Command::Attend(asked) => (acts::attend(asked)?, None),
        };
        let (first, second) = (command(&["bgapi ", &job.line]), command(&["Job-UUID: ", &request.0]));
        let (Some(first), Some(second)) = (first, second) else { return Err(Failure::UnknownTarget) };
        let until = now.mono.plus_ms(job.within_ms.unwrap_or(link::DIAL_MS));
        let dial = matches!(asked, Command::Dial(_));
        self.pending.push(Pending { request: request.clone(), until, made: job.made, recording, dial });
        Ok(Some(format!("{}\n{second}", first.trim_end_matches('\n'))))
    }

    /// The switch did not take it.
    pub fn refused(&mut self, request: &RequestId, answer: &str) -> Option<Failure> {
        self.forget(request).map(|pending| pending.failure(answer))
    }

    /// The result of a job of ours.
    pub fn done(&mut self, e: &Event<'_>) -> Option<(RequestId, Outcome)> {
        if e.get("Event-Name").as_deref() != Some("BACKGROUND_JOB") {
            return None;
        }
        let pending = self.forget(&RequestId(e.get("Job-UUID")?.into_owned()))?;
        let body = String::from_utf8_lossy(e.body());
        if body.starts_with("-ERR") {
            let failure = pending.failure(&body);
            return Some((pending.request, Err(failure)));
        }
        if let Some((leg, file)) = pending.recording {
            self.running.retain(|(other, _)| *other != leg);
            if self.running.len() == RUNNING {
                self.running.remove(0);
            }
            self.running.extend(file.map(|file| (leg, file)));
        }
        Some((pending.request, Ok(pending.made)))
    }

    /// Those that have waited long enough. A channel that comes later is known by its name all the same.
    pub fn late(&mut self, now: Now) -> impl Iterator<Item = RequestId> + use<> {
        let late = self.pending.extract_if(.., |pending| pending.until <= now.mono).map(|pending| pending.request);
        late.collect::<Vec<_>>().into_iter()
    }

    /// Nobody will answer these.
    pub fn lost(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.pending).into_iter().map(|pending| pending.request)
    }

    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.pending.iter().map(|pending| pending.until).min()
    }

    fn forget(&mut self, request: &RequestId) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.request == *request)?;
        Some(self.pending.swap_remove(at))
    }
}

impl Pending {
    fn failure(&self, answer: &str) -> Failure {
        if self.dial { originate::failure(answer) } else { acts::failure(answer) }
    }
}
