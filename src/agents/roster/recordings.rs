//! Calls that can be heard afterwards: offered while their wrap-up is on the screen, and to be asked for as long as they are kept. Who may hear what is
//! decided where the record is.

use crate::{
    calls::{Directory, Face},
    recordings::{Asker, Link, Offered, Refused},
    words::Now,
};

use super::{
    super::{
        ScreenId,
        protocol::{Code, Done, RecordingLink, RecordingWanted},
        wire,
    },
    Ask, Roster, Token, frames,
    requests::{Asked, Waiting, failed},
};

/// The request's name, where it stands among what can be done to a call.
pub(super) const LINK: &str = "recording.link";

/// Whether whoever has this call's pop is offered to hear it: over, recorded, and at a switch whose recordings are here.
pub(super) fn offered<'a>(heard: &Offered, over: bool, face: &Face, roles: impl Iterator<Item = &'a str>) -> bool {
    over && face.recorded && heard.to(&face.switch, roles)
}

impl Roster {
    /// Which calls have something to hear, and for whom.
    pub fn hears(&mut self, heard: Offered) {
        self.heard = heard;
    }

    pub(super) fn want_recording(
        &mut self,
        screen: ScreenId,
        asked: &Asked,
        wanted: &RecordingWanted,
        directory: &Directory,
    ) {
        let Some(who) = self.screens.get(&screen).map(|screen| screen.who.clone()) else { return };
        let roles = frames::roles(&who, directory).into_iter().map(str::to_owned).collect();
        let asker = Asker { tenant: who.tenant.clone(), agent: who.agent.clone(), roles };
        let token = self.wait(Waiting::Recording(asked.clone()));
        self.ask(Ask::Recording { asker, call: wanted.call, recording: usize::from(wanted.recording), token });
    }

    /// The link that was asked for, or why there is none.
    pub fn linked(&mut self, now: Now, token: Token, result: Result<Link, Refused>) {
        let Some(Waiting::Recording(asked)) = self.waiting.remove(&token) else { return };
        let frame = match result {
            Ok(link) => {
                let link = RecordingLink {
                    url: link.url.expose(),
                    expires_at: link.expires_at,
                    recording: link.recording,
                    of: link.of,
                };
                wire::write(0, now.wall, &Done { link: Some(link), ..Done::of(&asked.1) })
            }
            Err(refused) => {
                let (code, message) = why(refused);
                failed(now, &asked.1, code, message)
            }
        };
        self.answer(&asked, frame);
    }
}

const fn why(refused: Refused) -> (Code, &'static str) {
    match refused {
        Refused::NotPermitted => (Code::NotPermitted, "this call is for others to hear"),
        Refused::Unknown => (Code::UnknownRecording, "there is no such recording"),
        Refused::Gone => (Code::RecordingGone, "this recording is kept no more"),
        Refused::CallUp => (Code::CallUp, "the call is not over"),
        Refused::NoPlace => (Code::UnavailableHere, "recordings of this switch are not served"),
        Refused::Unavailable => (Code::Unavailable, "the recording is not to be had now"),
    }
}
