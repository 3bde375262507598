//! FreeSWITCH over its event socket (mod_event_socket, 1.10): `frame.rs` takes frames off the wire, `event.rs` reads an event's body, `translate.rs` makes
//! the book's events of them, `snapshot.rs` the switch's own lists; `session.rs` is one connection, `orders.rs` what agents ask, `originate.rs` how a
//! call is placed, `callcenter.rs` who serves which queue, `directory.rs` what the switch has to allow; `live.rs` touches the world.

mod acts;
mod callcenter;
mod directory;
pub mod event;
pub mod frame;
pub mod live;
mod orders;
mod originate;
pub mod session;
mod settings;
pub mod snapshot;
pub mod translate;

pub use directory::directory_lines;
pub use settings::{DialSettings, EventSocket, Settings};

use frame::{Frame, Kind};
use translate::Translator;

/// What a frame says of calls goes to the translator; other frames are the session's.
pub fn heard(translator: &mut Translator, frame: &Frame<'_>) -> Result<(), event::ReadError> {
    match frame.kind() {
        Kind::Plain => translator.take(&event::Event::plain(frame.body)?),
        Kind::Json => translator.take(&event::Event::json(frame.body)?),
        // The answer to `connect` is an event without a body of its own (outbound-socket).
        Kind::Reply if frame.header("Event-Name") == Some(b"CHANNEL_DATA") => {
            translator.take(&event::Event::plain(frame.head)?);
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::calls::command::{Dial, RequestId};

    pub(super) const SETTINGS: &str = "freeswitch:\n  id: fs1\n  trunks: [sofia/trunk]\n  attributes: []\n  event_socket: {host: 127.0.0.1, secret: {env: LINECARD_TEST}}\n  dial: {context: default, phone: 'user/{user}@cc.example'}\n";

    pub(super) fn settings(text: &str) -> Settings {
        let crate::switches::Settings::FreeSwitch(settings) = crate::files::read("x.yaml", text).unwrap().value else {
            panic!("this is no FreeSWITCH")
        };
        settings
    }

    pub(super) fn dial() -> Dial {
        Dial {
            request: RequestId("lc-1".into()),
            tenant: "default".into(),
            switch: "fs1".into(),
            agent: "2001".into(),
            device: "sofia/2001".into(),
            number: "13800138000".into(),
            reference: None,
        }
    }
}
