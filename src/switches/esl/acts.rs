//! What is done to a call that is up, as words of `api`.
//!
//! Legs, targets and keys are of types that hold nothing that could begin a second command; ids are looked at once more, because they came from the wire.

use crate::{
    calls::command::{Act, Attend, Attendance, Channel, Failure, Made, Verb},
    private::Private,
    switches::dialled::{is_device, is_id},
};

use super::settings::{DialSettings, Settings, is_dial_string};

/// One job: its words, what exists when it is done, and how long it may take.
#[derive(Debug, PartialEq)]
pub struct Job {
    pub line: String,
    pub made: Made,
    pub within_ms: Option<u64>,
}

/// Recordings of ours that run: the agent's leg, and the file.
pub type Running = Vec<(String, String)>;

/// # Errors
/// What cannot be said to the switch.
pub fn job(settings: &Settings, act: &Act, running: &Running) -> Result<Job, Failure> {
    let own = id(&act.own)?;
    let with = || act.with.as_ref().ok_or(Failure::CallOver).and_then(id);
    let dial = || settings.dial.as_ref().ok_or(Failure::UnavailableHere);
    let plain = |line: String| Ok(Job { line, made: Made::default(), within_ms: None });
    let file = || running.iter().find(|(leg, _)| leg == own).map(|(_, file)| file.as_str());
    match &act.verb {
        Verb::HangUp => plain(format!("uuid_kill {own}")),
        // Both are recorded (hold-unhold).
        Verb::Hold => plain(format!("uuid_hold {own}")),
        Verb::Retrieve => plain(format!("uuid_hold off {own}")),
        Verb::Mute => plain(format!("uuid_audio {own} start read mute 1")),
        Verb::Unmute => plain(format!("uuid_audio {own} stop")),
        // Sent to whom the agent talks with.
        Verb::Digits(digits) => plain(format!("uuid_send_dtmf {} {}", with()?, digits.expose())),
        Verb::Transfer(to) => plain(format!("uuid_transfer {} {} XML {}", with()?, to.expose(), dial()?.context)),
        Verb::RecordStart => {
            let folder =
                settings.recordings.as_ref().and_then(|r| r.folder.as_deref()).ok_or(Failure::UnavailableHere)?;
            if file().is_some() {
                return Err(Failure::UnavailableHere);
            }
            // A name of its own: what is recorded later in the same call must not take the place of it.
            let path = format!("{}/{}-{}.wav", folder.trim_end_matches('/'), act.call, act.request.0);
            let made = Made { recording: Some(Private::new(path.clone())), ..Made::default() };
            Ok(Job { line: format!("uuid_record {own} start {path}"), made, within_ms: None })
        }
        // Also what the dialplan began.
        Verb::RecordStop => plain(format!("uuid_record {own} stop {}", file().unwrap_or("all"))),
        Verb::RecordPause => plain(format!("uuid_record {own} mask {}", file().ok_or(Failure::UnavailableHere)?)),
        Verb::RecordResume => plain(format!("uuid_record {own} unmask {}", file().ok_or(Failure::UnavailableHere)?)),
        Verb::Listen => rings(dial()?, act, &format!("eavesdrop({own})")),
        // The other phone that rings is let go by the switch (PICKED_OFF). Who is parked talks with nobody.
        Verb::Pickup => rings(dial()?, act, &format!("intercept({})", act.with.as_ref().map_or(Ok(own), id)?)),
        Verb::Take => rings(dial()?, act, &format!("intercept({})", with()?)),
        Verb::Answer
        | Verb::Consult(_)
        | Verb::Complete
        | Verb::Cancel
        | Verb::Conference
        | Verb::Park
        | Verb::Whisper
        | Verb::Barge => Err(Failure::UnavailableHere),
    }
}

/// An agent's status, which is one for all queues of the agent.
///
/// # Errors
/// A name that would not be one word, or what mod_callcenter has no status for.
pub fn attend(asked: &Attendance) -> Result<Job, Failure> {
    let name = asked.interface.as_str();
    let word = |b: u8| b.is_ascii_alphanumeric() || b"-_.@+".contains(&b);
    if !(1..=128).contains(&name.len()) || !name.bytes().all(word) {
        return Err(Failure::UnknownTarget);
    }
    // Recorded, with these quotes (agent-status).
    let status = match asked.attend {
        Attend::Pause(_) => "'On Break'",
        Attend::Resume => "Available",
        Attend::LogOff => "'Logged Out'",
        Attend::LogOn { .. } => return Err(Failure::UnavailableHere),
    };
    Ok(Job {
        line: format!("callcenter_config agent set status {name} {status}"),
        made: Made::default(),
        within_ms: None,
    })
}

/// The phone of who asks is called, and does this when it answers.
fn rings(dial: &DialSettings, act: &Act, then: &str) -> Result<Job, Failure> {
    let request = &act.request.0;
    if !is_id(request) {
        return Err(Failure::UnknownTarget);
    }
    let (phone, timeout) = (phone(dial, &act.device)?, dial.timeout_ms.div_ceil(1000));
    let caller_id = dial.caller_id.as_deref().map(|n| format!(",origination_caller_id_number={n}")).unwrap_or_default();
    Ok(Job {
        line: format!(
            "originate {{origination_uuid={request},ignore_early_media=true,originate_timeout={timeout}{caller_id}}}{phone} &{then}"
        ),
        made: Made { leg: Some(request.clone()), ..Made::default() },
        within_ms: Some(u64::from(dial.timeout_ms) + 2_000),
    })
}

/// How the switch calls this device.
pub(super) fn phone(dial: &DialSettings, device: &str) -> Result<String, Failure> {
    let user = device.rsplit('/').next().unwrap_or_default();
    let phone = dial.phone.replace("{user}", user);
    let good = is_device(device) && !user.is_empty() && phone.bytes().all(is_dial_string);
    if good { Ok(phone) } else { Err(Failure::UnknownTarget) }
}

fn id(channel: &Channel) -> Result<&str, Failure> {
    if is_id(&channel.id) { Ok(&channel.id) } else { Err(Failure::CallOver) }
}

/// What a refusal of one of these means (mod_commands.c).
#[must_use]
pub fn failure(result: &str) -> Failure {
    let text = result.trim().trim_start_matches("-ERR").trim();
    match text {
        "permission denied" => Failure::NotPermitted,
        // uuid_hold says no more than that of a leg that is gone.
        "Operation failed" => Failure::CallOver,
        _ if text.starts_with("No such channel") || text.starts_with("Cannot locate session") => Failure::CallOver,
        _ if text.ends_with("Command not found!") => Failure::UnavailableHere,
        _ => super::originate::failure(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calls::command::{Digits, RequestId, Target},
        switches::esl::tests::{SETTINGS, settings},
    };

    fn act(verb: Verb) -> Act {
        let leg = |id: &str| Channel { id: id.to_owned(), name: String::new() };
        Act {
            request: RequestId("lc-9".into()),
            tenant: "default".into(),
            switch: "fs1".into(),
            agent: "2001".into(),
            call: crate::words::CallId(ulid::Ulid(7)),
            device: "sofia/2001".into(),
            own: leg("own-1"),
            with: Some(leg("cust-1")),
            verb,
        }
    }

    fn line(verb: Verb) -> Result<String, Failure> {
        let text = SETTINGS.replace("attributes: []", "recordings: {folder: /var/rec/}");
        job(&settings(&text), &act(verb), &Running::new()).map(|job| job.line)
    }

    #[test]
    fn verbs_are_what_the_switch_wants() {
        let target = || Target::new("2002").unwrap();
        for (verb, wanted) in [
            (Verb::HangUp, "uuid_kill own-1"),
            (Verb::Hold, "uuid_hold own-1"),
            (Verb::Retrieve, "uuid_hold off own-1"),
            (Verb::Mute, "uuid_audio own-1 start read mute 1"),
            (Verb::Unmute, "uuid_audio own-1 stop"),
            (Verb::Digits(Digits::new("12#").unwrap()), "uuid_send_dtmf cust-1 12#"),
            (Verb::Transfer(target()), "uuid_transfer cust-1 2002 XML default"),
            (Verb::RecordStart, "uuid_record own-1 start /var/rec/00000000000000000000000007-lc-9.wav"),
            (Verb::RecordStop, "uuid_record own-1 stop all"),
            (
                Verb::Listen,
                "originate {origination_uuid=lc-9,ignore_early_media=true,originate_timeout=30}user/2001@cc.example &eavesdrop(own-1)",
            ),
            (
                Verb::Pickup,
                "originate {origination_uuid=lc-9,ignore_early_media=true,originate_timeout=30}user/2001@cc.example &intercept(cust-1)",
            ),
        ] {
            assert_eq!(line(verb), Ok(wanted.to_owned()));
        }
        assert_eq!(line(Verb::RecordPause), Err(Failure::UnavailableHere), "nothing of ours is recorded");
        assert_eq!(line(Verb::Consult(target())), Err(Failure::UnavailableHere));
    }

    #[test]
    fn an_agents_status_is_one_word_of_the_module() {
        let asked = |interface: &str, attend| Attendance {
            request: RequestId("lc-9".into()),
            tenant: "default".into(),
            switch: "fs1".into(),
            agent: "2001".into(),
            queue: "support".into(),
            interface: interface.into(),
            attend,
        };
        let line = |interface, attend| attend_line(&asked(interface, attend));
        let pause = || Attend::Pause(crate::calls::command::Because::new("lunch").unwrap());
        let set = "callcenter_config agent set status 2001@default";
        assert_eq!(line("2001@default", pause()), Ok(format!("{set} 'On Break'")));
        assert_eq!(line("2001@default", Attend::Resume), Ok(format!("{set} Available")));
        assert_eq!(line("2001@default", Attend::LogOff), Ok(format!("{set} 'Logged Out'")));
        assert_eq!(line("2001@default", Attend::LogOn { name: "a".into() }), Err(Failure::UnavailableHere));
        for bad in ["", "a b", "a'b", "a\n\napi fsctl shutdown", "a;b"] {
            assert_eq!(line(bad, pause()), Err(Failure::UnknownTarget), "{bad:?}");
        }
    }

    fn attend_line(asked: &Attendance) -> Result<String, Failure> {
        attend(asked).map(|job| job.line)
    }

    #[test]
    fn a_recording_of_ours_is_stopped_by_its_name_and_not_begun_twice() {
        let settings = settings(&SETTINGS.replace("attributes: []", "recordings: {folder: /var/rec}"));
        let running = vec![("own-1".to_owned(), "/var/rec/a.wav".to_owned())];
        let line = |verb| job(&settings, &act(verb), &running).map(|job| job.line);
        assert_eq!(line(Verb::RecordPause).unwrap(), "uuid_record own-1 mask /var/rec/a.wav");
        assert_eq!(line(Verb::RecordStop).unwrap(), "uuid_record own-1 stop /var/rec/a.wav");
        assert_eq!(line(Verb::RecordStart), Err(Failure::UnavailableHere));
        assert_eq!(
            job(&super::super::tests::settings(SETTINGS), &act(Verb::RecordStart), &Running::new()),
            Err(Failure::UnavailableHere),
            "no folder"
        );
    }

    #[test]
    fn nothing_breaks_out_of_its_place() {
        let settings = settings(SETTINGS);
        for bad in ["", "a b", "a\n\napi fsctl shutdown", "a)", "a,b"] {
            let mut asked = act(Verb::HangUp);
            asked.own.id = bad.to_owned();
            assert_eq!(job(&settings, &asked, &Running::new()), Err(Failure::CallOver), "{bad:?}");
            let mut asked = act(Verb::Listen);
            asked.request = RequestId(bad.to_owned());
            assert_eq!(job(&settings, &asked, &Running::new()), Err(Failure::UnknownTarget), "{bad:?}");
            let mut asked = act(Verb::Listen);
            asked.device = format!("sofia/{bad}&park()");
            assert_eq!(job(&settings, &asked, &Running::new()), Err(Failure::UnknownTarget), "{bad:?}");
        }
    }

    #[test]
    fn refusals_have_their_words() {
        assert_eq!(failure("-ERR No such channel!\n"), Failure::CallOver);
        assert_eq!(failure("-ERR Operation failed\n"), Failure::CallOver);
        assert_eq!(failure("-ERR uuid_audio Command not found!\n"), Failure::UnavailableHere);
        assert_eq!(failure("-ERR USER_BUSY"), Failure::Busy);
    }
}
