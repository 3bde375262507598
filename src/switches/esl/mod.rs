//! FreeSWITCH over its event socket (mod_event_socket, 1.10): `frame.rs` takes frames off the wire, `event.rs` reads an event's body, `translate.rs` makes
//! the book's events of them, `snapshot.rs` the switch's own lists; `session.rs` is one connection.

pub mod event;
pub mod frame;
pub mod session;
pub mod snapshot;
pub mod translate;

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
