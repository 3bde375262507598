//! A verb on a call as the manager interface does it: one action after another, and what proves that it is done. A still machine; the session asks it what to
//! send, and tells it what was answered and what happened.
//!
//! Tried on 22.10.1, without a line in the dialplan: a transfer to an extension that is not there succeeds and loses the customer, so it is looked for
//! first (`DIALPLAN_EXISTS`). `Atxfer` presses the agent's own feature code, which only works where Dial or Queue has the option t or T for that leg;
//! where it has not, nothing happens and nothing says so. The transferer's end completes it; `CancelAtxfer` goes back; the code `atxferthreeway`, told as
//! if the agent pressed it (`PlayDTMF` with `Receive`), makes three of it. `Park` leaves the agent's leg alone with silence, so it is ended. Nothing holds a
//! phone, takes it off the hook or mutes it at the phone; but a phone may be told to do the first two (`PJSIPNotify` inside the call), and may do it.

use crate::calls::command::{Act, Failure, Made, Outcome, RequestId, Verb};

use super::{ami::Message, originate::action, settings::Settings};

/// Before the request's name, in the ActionID of its actions.
pub const ACTION: &str = "lc-act-";
/// Until a verb that was sent is proved: a phone's feature code waits 3 s for more digits (`transferdigittimeout`).
pub const ACT_MS: u64 = 8_000;

/// A verb that is being done.
#[derive(Debug)]
pub struct Doing {
    pub act: Act,
    stage: Stage,
    made: Made,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The switch's answer to the one action there is ends it.
    Asked,
    /// Whether the target is in the dialplan.
    Looked,
    /// The sound of a transfer that failed is taken off.
    Hushed,
    /// So many keys are pressed.
    Pressed(usize),
    /// It was taken; an event is to prove it.
    Taken,
    /// The customer stands in the lot, and the agent's leg is ended.
    Parked,
    /// Which calls are parked, and where: lot and space of the one that is meant.
    Spaces(Option<(String, String)>),
    /// A phone is being called.
    Called,
}

/// What is to be done after a step.
#[derive(Debug, PartialEq)]
pub enum Next {
    Send(Vec<u8>),
    Wait,
    Done(Outcome),
}

impl Doing {
    /// The first action of a verb.
    ///
    /// # Errors
    /// It cannot be done, and nothing is to be sent.
    pub fn begin(settings: &Settings, act: &Act) -> Result<(Self, Vec<u8>), Failure> {
        let control = settings.control.as_ref().ok_or(Failure::UnavailableHere)?;
        let own = act.own.name.as_str();
        // What the customer hears and what is recorded of them is at their leg.
        let with = act.with.as_ref().map(|with| with.name.as_str());
        if !is_channel(own) || with.is_some_and(|with| !is_channel(with)) || !is_request(&act.request) {
            return Err(Failure::CallOver);
        }
        let recorded = with.unwrap_or(own);
        let mut made = Made::default();
        let state = |on| [("Channel", own), ("Direction", "in"), ("State", on)];
        let paused = |on| [("Channel", recorded), ("Direction", "both"), ("State", on)];
        let (stage, bytes) = match &act.verb {
            Verb::HangUp => (Stage::Asked, say(act, "Hangup", &[("Channel", own), ("Cause", "16")])),
            Verb::Mute => (Stage::Asked, say(act, "MuteAudio", &state("on"))),
            Verb::Unmute => (Stage::Asked, say(act, "MuteAudio", &state("off"))),
            Verb::Digits(digits) => {
                let with = with.ok_or(Failure::CallOver)?;
                (Stage::Pressed(0), press(act, with, digits.expose(), 0, false))
            }
            Verb::Transfer(to) | Verb::Consult(to) => {
                let exists = format!("DIALPLAN_EXISTS({},{},1)", control.context, to.expose());
                (Stage::Looked, say(act, "Getvar", &[("Channel", own), ("Variable", &exists)]))
            }
            // The switch completes its attended transfer when who asked hangs up.
            Verb::Complete => (Stage::Taken, say(act, "Hangup", &[("Channel", own), ("Cause", "16")])),
            // Back with the customer the agent would hear the sound of a failed transfer, and until its end the switch hears no key of theirs: a second
            // consultation would come to nothing, and nothing would say so (22.10.1). It is no failure, so it makes no sound.
            Verb::Cancel => (
                Stage::Hushed,
                say(act, "Setvar", &[("Channel", own), ("Variable", "FEATURE(xferfailsound)"), ("Value", "")]),
            ),
            Verb::Conference => (Stage::Pressed(0), press(act, own, &control.threeway, 0, true)),
            Verb::Park => {
                let with = with.ok_or(Failure::CallOver)?;
                let mut fields = vec![("Channel", with), ("TimeoutChannel", own)];
                fields.extend(control.parking.as_deref().map(|lot| ("Parkinglot", lot)));
                (Stage::Asked, say(act, "Park", &fields))
            }
            Verb::Pickup => (Stage::Spaces(None), say(act, "ParkedCalls", &[])),
            Verb::RecordStart => {
                let ending = control.record.as_deref().ok_or(Failure::UnavailableHere)?;
                let name = act.request.0.rsplit('-').next().unwrap_or_default();
                let file = format!("linecard-{}-{name}.{ending}", act.call);
                made.recording = Some(file.clone().into());
                (Stage::Asked, say(act, "MixMonitor", &[("Channel", recorded), ("File", &file)]))
            }
            Verb::RecordStop => (Stage::Asked, say(act, "StopMixMonitor", &[("Channel", recorded)])),
            Verb::RecordPause => (Stage::Asked, say(act, "MixMonitorMute", &paused("1"))),
            Verb::RecordResume => (Stage::Asked, say(act, "MixMonitorMute", &paused("0"))),
            // q: no beep for the agent; E, S: it ends with the call that is heard, also where that is over already.
            Verb::Listen => (Stage::Called, call(settings, act, "ChanSpy", &format!("{own},qES"))),
            Verb::Whisper => (Stage::Called, call(settings, act, "ChanSpy", &format!("{own},qESw"))),
            Verb::Barge => (Stage::Called, call(settings, act, "ChanSpy", &format!("{own},qESB"))),
            Verb::Take => (Stage::Called, call(settings, act, "Bridge", with.ok_or(Failure::CallOver)?)),
            // The phone does it, where it knows the event (a custom of Broadsoft's, taken over by most makers): inside the dialog of this call.
            Verb::Answer | Verb::Hold | Verb::Retrieve if !control.phones_obey => return Err(Failure::UnavailableHere),
            Verb::Answer | Verb::Retrieve => (Stage::Taken, tell(act, own, "talk")),
            Verb::Hold => (Stage::Taken, tell(act, own, "hold")),
        };
        let bytes = bytes.ok_or(Failure::UnknownTarget)?;
        Ok((Self { act: act.clone(), stage, made }, bytes))
    }

    /// The direct answer to the action that was sent last.
    pub fn answered(&mut self, settings: &Settings, m: &Message<'_>) -> Next {
        // A sound that stays is no reason to let the customer wait.
        if m.response() != Some("Success") && self.stage != Stage::Hushed {
            return Next::Done(Err(refusal(&self.act.verb, &m.get("Message").unwrap_or_default())));
        }
        let Some(control) = settings.control.as_ref() else { return Next::Done(Err(Failure::UnavailableHere)) };
        let own = self.act.own.name.clone();
        let next = match (&self.stage, &self.act.verb) {
            // The switch answers before it parks: who ended the agent's leg now might end the customer's with it.
            (Stage::Asked, Verb::Park) if self.made.space.is_none() => {
                self.stage = Stage::Taken;
                return Next::Wait;
            }
            (Stage::Asked, Verb::Park) => {
                self.stage = Stage::Parked;
                say(&self.act, "Hangup", &[("Channel", &own), ("Cause", "16")])
            }
            (Stage::Asked | Stage::Parked, _) => return self.done(),
            (Stage::Looked, Verb::Transfer(to)) if m.bytes_of("Value") == Some(b"1") => {
                self.stage = Stage::Asked;
                let fields = [("Channel", own.as_str()), ("Exten", to.expose()), ("Context", control.context.as_str())];
                say(&self.act, "BlindTransfer", &fields)
            }
            (Stage::Looked, Verb::Consult(to)) if m.bytes_of("Value") == Some(b"1") => {
                self.stage = Stage::Taken;
                let fields = [("Channel", own.as_str()), ("Exten", to.expose()), ("Context", control.context.as_str())];
                say(&self.act, "Atxfer", &fields)
            }
            (Stage::Looked, _) => return Next::Done(Err(Failure::UnknownTarget)),
            (Stage::Hushed, _) => {
                self.stage = Stage::Taken;
                say(&self.act, "CancelAtxfer", &[("Channel", &own)])
            }
            (Stage::Pressed(so_far), verb) => {
                let so_far = so_far + 1;
                let (leg, keys, receive) = match verb {
                    Verb::Digits(digits) => {
                        (self.act.with.as_ref().map_or(&own, |with| &with.name), digits.expose(), false)
                    }
                    _ => (&own, control.threeway.as_str(), true),
                };
                if so_far >= keys.len() {
                    if !receive {
                        return self.done();
                    }
                    self.stage = Stage::Taken;
                    return Next::Wait;
                }
                let bytes = press(&self.act, leg, keys, so_far, receive);
                self.stage = Stage::Pressed(so_far);
                bytes
            }
            (Stage::Taken | Stage::Called | Stage::Spaces(_), _) => return Next::Wait,
        };
        next.map_or(Next::Done(Err(Failure::UnknownTarget)), Next::Send)
    }

    /// One of the list that was asked for, or its end.
    pub fn listed(&mut self, settings: &Settings, m: &Message<'_>) -> Next {
        let Stage::Spaces(found) = &mut self.stage else { return Next::Wait };
        match m.event() {
            Some("ParkedCall") if m.get("ParkeeUniqueid").as_deref() == Some(self.act.own.id.as_str()) => {
                *found = m.get("Parkinglot").zip(m.get("ParkingSpace")).map(|(l, s)| (l.into_owned(), s.into_owned()));
                Next::Wait
            }
            Some("ParkedCallsComplete") => {
                let bytes = match found.take() {
                    Some((lot, space)) if is_word(&lot) && is_word(&space) => {
                        call(settings, &self.act, "ParkedCall", &format!("{lot},{space}"))
                    }
                    _ => call(settings, &self.act, "PickupChan", &self.act.own.name),
                };
                self.stage = Stage::Called;
                bytes.map_or(Next::Done(Err(Failure::UnknownTarget)), Next::Send)
            }
            _ => Next::Wait,
        }
    }

    /// Something happened at the switch.
    pub fn event(&mut self, m: &Message<'_>) -> Next {
        let is = |key: &str, id: &str| m.get(key).as_deref() == Some(id);
        let own = self.act.own.id.as_str();
        match (&self.stage, &self.act.verb, m.event()) {
            (stage, Verb::Park, Some("ParkedCall"))
                if self.act.with.as_ref().is_some_and(|with| is("ParkeeUniqueid", &with.id)) =>
            {
                let taken = *stage == Stage::Taken;
                self.made.space = m.get("ParkingSpace").map(std::borrow::Cow::into_owned);
                if !taken {
                    return Next::Wait;
                }
                self.stage = Stage::Parked;
                let bytes = say(&self.act, "Hangup", &[("Channel", &self.act.own.name), ("Cause", "16")]);
                bytes.map_or(Next::Done(Err(Failure::CallOver)), Next::Send)
            }
            (Stage::Taken, Verb::Consult(to), Some("Newchannel")) => {
                let name = m.get("Channel").unwrap_or_default();
                let asked = name.strip_prefix("Local/").and_then(|rest| rest.split('@').next()) == Some(to.expose());
                if asked && name.ends_with(";1") { self.done() } else { Next::Wait }
            }
            (Stage::Taken, Verb::Complete, Some("AttendedTransfer")) if is("SecondTransfererUniqueid", own) => {
                self.done_if(m.bytes_of("Result") == Some(b"Success"))
            }
            // Who hangs up before the colleague answers is told of no transfer: they meet when they do.
            (Stage::Taken, Verb::Complete, Some("Hangup")) if is("Uniqueid", own) => self.done(),
            (Stage::Taken, Verb::Cancel, Some("BridgeEnter")) if is("Uniqueid", own) => self.done(),
            (Stage::Taken | Stage::Pressed(_), Verb::Conference, Some("AttendedTransfer"))
                if is("OrigTransfererUniqueid", own) && m.bytes_of("DestType") == Some(b"Threeway") =>
            {
                self.done_if(m.bytes_of("Result") == Some(b"Success"))
            }
            (Stage::Taken, Verb::Answer, Some("Newstate")) if is("Uniqueid", own) && is("ChannelState", "6") => {
                self.done()
            }
            (Stage::Taken, Verb::Hold, Some("Hold")) | (Stage::Taken, Verb::Retrieve, Some("Unhold"))
                if is("Uniqueid", own) =>
            {
                self.done()
            }
            (Stage::Called, _, Some("Newchannel")) if is("Uniqueid", &self.act.request.0) => {
                self.made.leg = Some(self.act.request.0.clone());
                self.done()
            }
            (Stage::Called, _, Some("OriginateResponse")) if is("Uniqueid", &self.act.request.0) => {
                match m.bytes_of("Response") {
                    Some(b"Success") => self.done(),
                    _ => {
                        let reason = m.get("Reason").and_then(|reason| reason.parse().ok());
                        Next::Done(Err(super::originate::ami_failure(reason)))
                    }
                }
            }
            (_, verb, Some("Hangup")) if is("Uniqueid", own) && !matches!(verb, Verb::HangUp | Verb::Park) => {
                // A transfer ends the leg of who transfers, and a picked up call that of who did not take it.
                match verb {
                    Verb::Transfer(_) | Verb::Complete | Verb::Pickup | Verb::Take => Next::Wait,
                    _ => Next::Done(Err(Failure::CallOver)),
                }
            }
            _ => Next::Wait,
        }
    }

    /// The time is over.
    pub fn late(self) -> Outcome {
        match (&self.stage, &self.act.verb) {
            // The customer stands in the lot; only the end of the agent's leg was not answered.
            (Stage::Parked, Verb::Park) => Ok(self.made),
            // The feature code was not heard: Dial or Queue has no option t or T for this leg. Or the phone was told, and did nothing.
            (Stage::Taken, Verb::Consult(_) | Verb::Conference | Verb::Answer | Verb::Hold | Verb::Retrieve) => {
                Err(Failure::UnavailableHere)
            }
            _ => Err(Failure::Timeout),
        }
    }

    fn done(&mut self) -> Next {
        Next::Done(Ok(std::mem::take(&mut self.made)))
    }

    fn done_if(&mut self, well: bool) -> Next {
        if well { self.done() } else { Next::Done(Err(Failure::UnavailableHere)) }
    }
}

/// The bytes of one action of a verb.
fn say(act: &Act, name: &str, fields: &[(&str, &str)]) -> Option<Vec<u8>> {
    action(name, &format!("{ACTION}{}", act.request.0), fields)
}

/// The phone at this channel is told to do something (22.10.1: `PJSIPNotify` with a channel goes inside its dialog).
fn tell(act: &Act, own: &str, event: &str) -> Option<Vec<u8>> {
    say(act, "PJSIPNotify", &[("Channel", own), ("Variable", &format!("Event={event}"))])
}

/// One key. `receive`: as if the phone at `leg` had pressed it, else it is sent there.
fn press(act: &Act, leg: &str, keys: &str, at: usize, receive: bool) -> Option<Vec<u8>> {
    let key = keys.get(at..=at)?;
    let mut fields = vec![("Channel", leg), ("Digit", key)];
    if receive {
        fields.push(("Receive", "true"));
    }
    say(act, "PlayDTMF", &fields)
}

/// Calls the phone of who asks, and runs `application` there.
fn call(settings: &Settings, act: &Act, application: &str, data: &str) -> Option<Vec<u8>> {
    if !is_endpoint(&act.device) || !is_data(data) {
        return None;
    }
    let timeout = settings.dial.as_ref().map_or(30_000, |dial| dial.timeout_ms).to_string();
    let fields = [
        ("Channel", act.device.as_str()),
        ("Application", application),
        ("Data", data),
        ("Timeout", timeout.as_str()),
        ("Async", "true"),
        ("ChannelId", act.request.0.as_str()),
    ];
    say(act, "Originate", &fields)
}

/// What `Response: Error` to an action of a verb means, by its `Message` (22.10.1).
fn refusal(verb: &Verb, message: &str) -> Failure {
    let text = message.to_ascii_lowercase();
    let has = |word: &str| text.contains(word);
    match verb {
        _ if has("permission") || has("not permitted") => Failure::NotPermitted,
        // "No such channel", "Channel does not exist: ...", "Channel specified does not exist", "Channel not found".
        _ if has("channel") && (has("no such") || has("not exist") || has("not found")) => Failure::CallOver,
        Verb::RecordStop | Verb::RecordPause | Verb::RecordResume => Failure::NotRecording,
        Verb::Transfer(_) | Verb::Consult(_) if has("extension") || has("context") => Failure::UnknownTarget,
        _ => Failure::UnavailableHere,
    }
}

/// A channel's name, as far as it goes into an action: no comma, which would be another argument.
fn is_channel(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.@+:;=".contains(&b))
}

fn is_data(data: &str) -> bool {
    (1..=160).contains(&data.len()) && data.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.@+:;=,".contains(&b))
}

fn is_endpoint(device: &str) -> bool {
    device.contains('/')
        && device.len() <= 128
        && device.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.@+".contains(&b))
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.*#".contains(&b))
}

fn is_request(request: &RequestId) -> bool {
    let id = request.0.as_bytes();
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calls::command::{Channel, Digits, Target},
        switches::asterisk::{
            ami::Framer,
            tests::{SETTINGS, settings},
        },
        words::CallId,
    };

    fn controlled() -> Settings {
        settings(&format!("{SETTINGS}  control: {{context: agents, record: wav}}\n"))
    }

    fn act(verb: Verb) -> Act {
        let channel = |id: &str, name: &str| Channel { id: id.to_owned(), name: name.to_owned() };
        Act {
            request: RequestId("lc-1".to_owned()),
            tenant: "default".into(),
            switch: "pbx1".into(),
            agent: "1001".into(),
            call: CallId(ulid::Ulid::nil()),
            device: "PJSIP/1003".to_owned(),
            own: channel("1.1", "PJSIP/1001-00000001"),
            with: Some(channel("1.0", "PJSIP/trunk-00000000")),
            verb,
        }
    }

    fn target(text: &str) -> Target {
        Target::new(text).unwrap()
    }

    /// Plays answers and events as they came from 22.10.1; gives each action that was sent, and what it came to.
    fn play(verb: Verb, told: &[&str]) -> (Vec<String>, Option<Outcome>) {
        play_at(&controlled(), verb, told)
    }

    fn play_at(settings: &Settings, verb: Verb, told: &[&str]) -> (Vec<String>, Option<Outcome>) {
        let (mut doing, first) = Doing::begin(settings, &act(verb)).unwrap();
        let mut sent = vec![String::from_utf8(first).unwrap()];
        for text in told {
            let mut framer = Framer::new();
            let whole = format!("Asterisk Call Manager/11.0.0\r\n{}\r\n\r\n", text.replace('|', "\r\n"));
            framer.push(whole.as_bytes());
            let m = framer.take().unwrap().unwrap();
            let next = match (m.response(), m.action_id()) {
                (Some(_), _) => doing.answered(settings, &m),
                (None, Some(_)) => doing.listed(settings, &m),
                (None, None) => doing.event(&m),
            };
            match next {
                Next::Send(bytes) => sent.push(String::from_utf8(bytes).unwrap()),
                Next::Wait => {}
                Next::Done(outcome) => return (sent, Some(outcome)),
            }
        }
        (sent, None)
    }

    const OK: &str = "Response: Success|ActionID: lc-act-lc-1";
    const GONE: &str = "Response: Error|ActionID: lc-act-lc-1|Message: No such channel";

    #[test]
    fn a_phone_is_told_and_what_it_does_is_the_proof() {
        let obeyed = settings(&format!("{SETTINGS}  control: {{context: agents, phones_obey: true}}\n"));
        for (verb, word, proof) in [
            (Verb::Answer, "talk", "Event: Newstate|Uniqueid: 1.1|ChannelState: 6"),
            (Verb::Hold, "hold", "Event: Hold|Uniqueid: 1.1"),
            (Verb::Retrieve, "talk", "Event: Unhold|Uniqueid: 1.1"),
        ] {
            let other = proof.replace("1.1", "1.0");
            let (sent, outcome) = play_at(&obeyed, verb.clone(), &[OK, &other]);
            let text = "Action: PJSIPNotify|ActionID: lc-act-lc-1|Channel: PJSIP/1001-00000001|Variable: Event=";
            assert_eq!((sent, outcome), (vec![format!("{text}{word}||").replace('|', "\r\n")], None));
            assert_eq!(play_at(&obeyed, verb.clone(), &[OK, proof]).1, Some(Ok(Made::default())));
            assert_eq!(play_at(&obeyed, verb.clone(), &[GONE]).1, Some(Err(Failure::CallOver)));
            // It was told, and did nothing.
            let (doing, _) = Doing::begin(&obeyed, &act(verb)).unwrap();
            assert_eq!(doing.late(), Err(Failure::UnavailableHere));
        }
    }

    #[test]
    fn one_action_is_enough_for_most() {
        for (verb, words) in [
            (Verb::HangUp, "Action: Hangup|ActionID: lc-act-lc-1|Channel: PJSIP/1001-00000001|Cause: 16||"),
            (
                Verb::Mute,
                "Action: MuteAudio|ActionID: lc-act-lc-1|Channel: PJSIP/1001-00000001|Direction: in|State: on||",
            ),
            (
                Verb::Unmute,
                "Action: MuteAudio|ActionID: lc-act-lc-1|Channel: PJSIP/1001-00000001|Direction: in|State: off||",
            ),
            (Verb::RecordStop, "Action: StopMixMonitor|ActionID: lc-act-lc-1|Channel: PJSIP/trunk-00000000||"),
            (
                Verb::RecordPause,
                "Action: MixMonitorMute|ActionID: lc-act-lc-1|Channel: PJSIP/trunk-00000000|Direction: both|State: 1||",
            ),
        ] {
            let words = words.replace('|', "\r\n");
            assert_eq!(play(verb.clone(), &[OK]), (vec![words], Some(Ok(Made::default()))));
            assert_eq!(play(verb, &[GONE]).1, Some(Err(Failure::CallOver)));
        }
        let (sent, outcome) = play(Verb::RecordStart, &[OK]);
        assert!(sent[0].contains("File: linecard-00000000000000000000000000-1.wav\r\n"), "{sent:?}");
        let file = "linecard-00000000000000000000000000-1.wav".to_owned();
        assert_eq!(outcome, Some(Ok(Made { recording: Some(file.into()), ..Made::default() })));
        let nothing = "Response: Error|ActionID: lc-act-lc-1|Message: Cannot set mute flag";
        assert_eq!(play(Verb::RecordResume, &[nothing]).1, Some(Err(Failure::NotRecording)));
        let denied = "Response: Error|ActionID: lc-act-lc-1|Message: Permission denied";
        assert_eq!(play(Verb::HangUp, &[denied]).1, Some(Err(Failure::NotPermitted)));
    }

    #[test]
    fn a_target_that_is_not_there_is_not_transferred_to() {
        let there = "Response: Success|ActionID: lc-act-lc-1|Variable: x|Value: 1";
        let nowhere = "Response: Success|ActionID: lc-act-lc-1|Variable: x|Value: 0";
        let (sent, outcome) = play(Verb::Transfer(target("5999")), &[nowhere]);
        assert!(sent[0].contains("Variable: DIALPLAN_EXISTS(agents,5999,1)\r\n"));
        assert_eq!((sent.len(), outcome), (1, Some(Err(Failure::UnknownTarget))));
        let (sent, outcome) = play(Verb::Transfer(target("1002")), &[there, OK]);
        assert!(
            sent[1].starts_with("Action: BlindTransfer\r\n") && sent[1].contains("Exten: 1002\r\nContext: agents\r\n")
        );
        assert_eq!(outcome, Some(Ok(Made::default())));
    }

    #[test]
    fn an_attended_transfer_is_proved_by_what_happens() {
        let there = "Response: Success|ActionID: lc-act-lc-1|Variable: x|Value: 1";
        let other = "Event: Newchannel|Channel: Local/1003@agents-00000000;1|Uniqueid: 1.5";
        let asked = "Event: Newchannel|Channel: Local/1002@agents-00000000;1|Uniqueid: 1.5";
        let verb = || Verb::Consult(target("1002"));
        assert_eq!(play(verb(), &[there, OK, other]).1, None);
        assert_eq!(play(verb(), &[there, OK, asked]).1, Some(Ok(Made::default())));
        let bye = "Event: Hangup|Channel: PJSIP/1001-00000001|Uniqueid: 1.1";
        assert_eq!(play(verb(), &[there, OK, bye]).1, Some(Err(Failure::CallOver)));
        let moved = "Event: AttendedTransfer|Result: Success|OrigTransfererUniqueid: 1.1|SecondTransfererUniqueid: 1.1|DestType: Bridge";
        assert_eq!(play(Verb::Complete, &[OK, moved]).1, Some(Ok(Made::default())));
        assert_eq!(play(Verb::Complete, &[OK, bye]).1, Some(Ok(Made::default())));
        assert_eq!(play(Verb::Complete, &[OK]).1, None, "an answer alone is no transfer");
        let back = "Event: BridgeEnter|Uniqueid: 1.1|BridgeUniqueid: b";
        for hushed in [OK, "Response: Error|ActionID: lc-act-lc-1|Message: Function failed to set"] {
            let (sent, outcome) = play(Verb::Cancel, &[hushed, OK, back]);
            assert!(sent[0].contains("Variable: FEATURE(xferfailsound)\r\nValue: \r\n"), "{sent:?}");
            assert!(sent[1].starts_with("Action: CancelAtxfer\r\n"), "{sent:?}");
            assert_eq!(outcome, Some(Ok(Made::default())));
        }
        assert_eq!(play(Verb::Cancel, &[OK, GONE]).1, Some(Err(Failure::CallOver)));
        let three = moved.replace("Bridge", "Threeway");
        let (sent, outcome) = play(Verb::Conference, &[OK, OK, &three]);
        assert_eq!(outcome, Some(Ok(Made::default())));
        assert!(
            sent[0].contains("Digit: *\r\nReceive: true") && sent[1].contains("Digit: 3\r\nReceive: true"),
            "{sent:?}"
        );
        assert_eq!(play(Verb::Conference, &[OK, OK, moved]).1, None);
    }

    #[test]
    fn keys_go_to_the_other_side_one_after_the_other() {
        let (sent, outcome) = play(Verb::Digits(Digits::new("42#").unwrap()), &[OK, OK, OK]);
        assert_eq!((sent.len(), outcome), (3, Some(Ok(Made::default()))));
        for (text, key) in sent.iter().zip(["4", "2", "#"]) {
            assert!(text.contains(&format!("Channel: PJSIP/trunk-00000000\r\nDigit: {key}\r\n\r\n")), "{text}");
        }
    }

    #[test]
    fn a_parked_call_says_where_and_is_fetched_from_there() {
        let where_ = "Event: ParkedCall|ParkeeUniqueid: 1.0|ParkingSpace: 701|Parkinglot: default";
        let (sent, outcome) = play(Verb::Park, &[where_, OK, OK]);
        assert!(sent[0].contains("Channel: PJSIP/trunk-00000000\r\nTimeoutChannel: PJSIP/1001-00000001\r\n"));
        assert!(sent[1].starts_with("Action: Hangup\r\n"));
        assert_eq!(outcome, Some(Ok(Made { space: Some("701".to_owned()), ..Made::default() })));
        // Told late, or never: until the customer stands in the lot the agent's leg is let alone.
        let (sent, outcome) = play(Verb::Park, &[OK]);
        assert_eq!((sent.len(), outcome), (1, None));
        let (sent, outcome) = play(Verb::Park, &[OK, where_, OK]);
        assert!(sent[1].starts_with("Action: Hangup\r\n"));
        assert_eq!(outcome, Some(Ok(Made { space: Some("701".to_owned()), ..Made::default() })));
        let item = "Event: ParkedCall|ActionID: lc-act-lc-1|ParkeeUniqueid: 1.1|ParkingSpace: 702|Parkinglot: default";
        let end = "Event: ParkedCallsComplete|ActionID: lc-act-lc-1";
        let leg = "Event: Newchannel|Channel: PJSIP/1003-0000000a|Uniqueid: lc-1";
        let (sent, outcome) = play(Verb::Pickup, &[OK, item, end, OK, leg]);
        assert!(
            sent[1].contains("Channel: PJSIP/1003\r\nApplication: ParkedCall\r\nData: default,702\r\n"),
            "{sent:?}"
        );
        assert_eq!(outcome, Some(Ok(Made { leg: Some("lc-1".to_owned()), ..Made::default() })));
        let (sent, _) = play(Verb::Pickup, &[OK, end]);
        assert!(sent[1].contains("Application: PickupChan\r\nData: PJSIP/1001-00000001\r\n"));
    }

    #[test]
    fn supervisors_phones_are_called() {
        for (verb, words) in [
            (Verb::Listen, "Application: ChanSpy\r\nData: PJSIP/1001-00000001,qES\r\n"),
            (Verb::Whisper, "Application: ChanSpy\r\nData: PJSIP/1001-00000001,qESw\r\n"),
            (Verb::Barge, "Application: ChanSpy\r\nData: PJSIP/1001-00000001,qESB\r\n"),
            (Verb::Take, "Application: Bridge\r\nData: PJSIP/trunk-00000000\r\n"),
        ] {
            let failed = "Event: OriginateResponse|Response: Failure|Reason: 0|Uniqueid: lc-1";
            let (sent, outcome) = play(verb, &[OK, failed]);
            assert!(sent[0].contains(words), "{sent:?}");
            assert_eq!(outcome, Some(Err(Failure::NotRegistered)));
        }
    }

    /// Every field that comes from outside, with what would break out of its line or its argument: nothing is sent.
    #[test]
    fn nothing_breaks_out_of_an_action() {
        let settings = controlled();
        for bad in ["\r\nAction: Command", "x\n", "x\0", "", "a,b", "PJSIP/1&PJSIP/2", "PJSIP/1 2", "座席"] {
            for verb in [
                Verb::HangUp,
                Verb::Mute,
                Verb::Digits(Digits::new("1").unwrap()),
                Verb::Transfer(target("1002")),
                Verb::Consult(target("1002")),
                Verb::Complete,
                Verb::Cancel,
                Verb::Conference,
                Verb::Park,
                Verb::Pickup,
                Verb::RecordStart,
                Verb::RecordPause,
                Verb::Listen,
                Verb::Take,
            ] {
                let refused = |change: &dyn Fn(&mut Act)| {
                    let mut act = act(verb.clone());
                    change(&mut act);
                    Doing::begin(&settings, &act).is_err()
                };
                assert!(refused(&|act| act.own.name = bad.to_owned()), "{verb:?} {bad:?}");
                assert!(refused(&|act| act.with.as_mut().unwrap().name = bad.to_owned()), "{verb:?} {bad:?}");
                assert!(refused(&|act| act.request = RequestId(bad.to_owned())), "{verb:?} {bad:?}");
                if matches!(verb, Verb::Listen | Verb::Take) {
                    assert!(refused(&|act| act.device = bad.to_owned()), "{verb:?} {bad:?}");
                }
            }
        }
        let plain = super::super::tests::settings(SETTINGS);
        assert_eq!(Doing::begin(&plain, &act(Verb::HangUp)).unwrap_err(), Failure::UnavailableHere);
        for verb in [Verb::Answer, Verb::Hold, Verb::Retrieve] {
            assert_eq!(Doing::begin(&settings, &act(verb)).unwrap_err(), Failure::UnavailableHere);
        }
    }
}
