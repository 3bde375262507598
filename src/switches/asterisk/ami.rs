//! AMI on the wire: bytes to messages, nothing else.
//!
//! A message is a run of `Key: value` lines that ends with an empty line. The framer keeps one buffer and hands out messages that borrow from
//! it, so a message that nobody wants costs a walk over its bytes and no allocation. What a peer may make us keep is
//! capped; a cap that is passed is the end of the link, told with its name.
//!
//! Seen on Asterisk 16.28 and 22.10.1: the banner line is followed by the first message without an empty line; two empty lines in a row
//! stand behind `TestEvent`; header names repeat (`Output:`, `Variable:`); values hold any bytes a caller likes.

use std::borrow::Cow;

use memchr::memchr;

/// Longest line, without its end. A `UserEvent` with a long text is about 1 KiB; Asterisk's own buffers end at 8 KiB.
pub const LINE_CAP: usize = 8 * 1024;
/// Most headers of one message. `AttendedTransfer`, the longest of the recordings, has 68.
pub const HEADER_CAP: usize = 256;
/// Longest message.
pub const MESSAGE_CAP: usize = 64 * 1024;

/// What the peer sent that AMI is not. The link is dropped with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a line is longer than {cap} bytes")]
    LineTooLong { cap: usize },
    #[error("a message has more than {cap} headers")]
    TooManyHeaders { cap: usize },
    #[error("a message is longer than {cap} bytes")]
    MessageTooLong { cap: usize },
    #[error("a message begins with a line that is no \"Key: value\": this is no AMI")]
    NotAHeader,
}

/// Takes bytes, gives messages. A framer that failed stays failed.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the message that is being read begins.
    start: usize,
    /// Where the line that is being read begins.
    line: usize,
    /// Up to where that line was searched for its end already, so that bytes that come one by one are looked at once.
    searched: usize,
    headers: Vec<Header>,
    /// The message handed out last ended here.
    taken: bool,
    banner: Option<String>,
    failed: Option<FrameError>,
}

/// Places in the buffer, counted from the start of the message; `u32` because of [`MESSAGE_CAP`].
#[derive(Clone, Copy, Debug)]
struct Header {
    key: u32,
    colon: u32,
    value: u32,
    end: u32,
}

impl Framer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the socket gave.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.drop_taken();
        // What is left of an unfinished message moves to the front once per read, not once per message.
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, `None` when more bytes are needed.
    ///
    /// # Errors
    /// A cap was passed or the bytes are no AMI; the same error at every later call.
    pub fn take(&mut self) -> Result<Option<Message<'_>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.drop_taken();
        match self.advance() {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.taken = true;
                Ok(Some(Message {
                    bytes: self.buffer.get(self.start..self.line).unwrap_or_default(),
                    headers: &self.headers,
                }))
            }
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                (self.start, self.line, self.searched) = (0, 0, 0);
                self.headers.clear();
                Err(error)
            }
        }
    }

    /// `Asterisk Call Manager/11.0.0`, once it came.
    #[must_use]
    pub fn banner(&self) -> Option<&str> {
        self.banner.as_deref()
    }

    /// Bytes kept for now; at most one read and [`MESSAGE_CAP`].
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    fn drop_taken(&mut self) {
        if self.taken {
            self.taken = false;
            self.start = self.line;
            self.headers.clear();
        }
    }

    /// Reads lines until a message is whole (`true`: it is `start..line`) or the bytes are used up.
    fn advance(&mut self) -> Result<bool, FrameError> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(length) = memchr(b'\n', rest) else {
                self.searched = self.buffer.len();
                return match self.searched - self.line > LINE_CAP + 1 {
                    true => Err(FrameError::LineTooLong { cap: LINE_CAP }),
                    false => Ok(false),
                };
            };
            let (from, newline) = (self.line, self.searched + length);
            let end = match newline > from && self.buffer.get(newline - 1) == Some(&b'\r') {
                true => newline - 1,
                false => newline,
            };
            self.line = newline + 1;
            self.searched = self.line;
            if end - from > LINE_CAP {
                return Err(FrameError::LineTooLong { cap: LINE_CAP });
            }
            if self.line - self.start > MESSAGE_CAP {
                return Err(FrameError::MessageTooLong { cap: MESSAGE_CAP });
            }
            if end == from {
                if self.headers.is_empty() {
                    self.start = self.line;
                    continue;
                }
                return Ok(true);
            }
            self.header(from, end)?;
        }
    }

    fn header(&mut self, from: usize, end: usize) -> Result<(), FrameError> {
        let line = self.buffer.get(from..end).unwrap_or_default();
        let Some(colon) = memchr(b':', line) else {
            if !self.headers.is_empty() {
                // A value with a line end in it; the message is good without that line.
                return Ok(());
            }
            if line.starts_with(b"Asterisk Call Manager/") {
                self.banner = Some(String::from_utf8_lossy(line).into_owned());
                self.start = self.line;
                return Ok(());
            }
            return Err(FrameError::NotAHeader);
        };
        if self.headers.is_empty() && !line.iter().take(colon).all(u8::is_ascii_graphic) {
            return Err(FrameError::NotAHeader);
        }
        if self.headers.len() == HEADER_CAP {
            return Err(FrameError::TooManyHeaders { cap: HEADER_CAP });
        }
        let value = match line.get(colon + 1) {
            Some(b' ') => colon + 2,
            _ => colon + 1,
        };
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let base = from - self.start;
        self.headers.push(Header {
            key: place(base),
            colon: place(base + colon),
            value: place(base + value),
            end: place(base + line.len()),
        });
        Ok(())
    }
}

/// One message, borrowed from the framer.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    headers: &'a [Header],
}

impl<'a> Message<'a> {
    /// The value of the first header of that name (any case), as text: UTF-8, else read as GB18030.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.bytes_of(key).map(text)
    }

    /// The value as it came.
    #[must_use]
    pub fn bytes_of(&self, key: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|h| self.key(h).eq_ignore_ascii_case(key.as_bytes())).map(|h| self.value(h))
    }

    /// All headers in order, repeated ones too.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + '_ {
        self.headers.iter().map(|h| (text(self.key(h)), text(self.value(h))))
    }

    /// The values of all headers of that name, as they came.
    pub fn each(&self, key: &'a str) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.headers.iter().filter(move |h| self.key(h).eq_ignore_ascii_case(key.as_bytes())).map(|h| self.value(h))
    }

    /// The headers behind the first one of that name, values as they came.
    pub fn behind(&self, key: &str) -> impl Iterator<Item = (Cow<'a, str>, &'a [u8])> + '_ {
        let first = self.headers.iter().position(|h| self.key(h).eq_ignore_ascii_case(key.as_bytes()));
        let rest = first.map_or(self.headers.len(), |at| at + 1);
        self.headers.iter().skip(rest).map(|h| (text(self.key(h)), self.value(h)))
    }

    /// The event's name; `None` for an answer to an action.
    #[must_use]
    pub fn event(&self) -> Option<&'a str> {
        self.leading("Event")
    }

    /// `Success`, `Error`, `Goodbye`, `Follows`; `None` for an event (`OriginateResponse` has such a header too, but not in front).
    #[must_use]
    pub fn response(&self) -> Option<&'a str> {
        self.leading("Response")
    }

    /// Our own id of the action that is answered.
    #[must_use]
    pub fn action_id(&self) -> Option<Cow<'a, str>> {
        self.get("ActionID")
    }

    fn leading(&self, key: &str) -> Option<&'a str> {
        let first = self.headers.first()?;
        match self.key(first).eq_ignore_ascii_case(key.as_bytes()) {
            true => std::str::from_utf8(self.value(first)).ok(),
            false => None,
        }
    }

    fn key(&self, h: &Header) -> &'a [u8] {
        self.bytes.get(h.key as usize..h.colon as usize).unwrap_or_default()
    }

    fn value(&self, h: &Header) -> &'a [u8] {
        self.bytes.get(h.value as usize..h.end as usize).unwrap_or_default()
    }
}

/// Names in Chinese call centres come as GB18030 where they are no UTF-8.
#[must_use]
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling(bytes).0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: &[u8] = b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: t1\r\nMessage: ok\r\n\r\n\r\nEvent: Hangup\r\nUniqueid: 1.0\r\nEmpty: \r\nNoSpace:x\r\n\r\n";

    fn all(framer: &mut Framer) -> Vec<Vec<(String, String)>> {
        let mut out = Vec::new();
        while let Some(m) = framer.take().unwrap() {
            out.push(m.iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect());
        }
        out
    }

    #[test]
    fn messages_are_the_same_wherever_the_bytes_are_split() {
        let mut whole = Framer::new();
        whole.push(TALK);
        let expected = all(&mut whole);
        assert_eq!(whole.banner(), Some("Asterisk Call Manager/11.0.0"));
        assert_eq!(expected.len(), 2);
        assert_eq!(expected[1][2], ("Empty".to_owned(), String::new()));
        assert_eq!(expected[1][3], ("NoSpace".to_owned(), "x".to_owned()));
        for at in 0..TALK.len() {
            let (a, b) = TALK.split_at(at);
            let mut framer = Framer::new();
            framer.push(a);
            let mut got = all(&mut framer);
            framer.push(b);
            got.extend(all(&mut framer));
            assert_eq!(got, expected, "split at {at}");
        }
    }

    #[test]
    fn what_a_message_is() {
        let mut framer = Framer::new();
        framer.push(TALK);
        let m = framer.take().unwrap().unwrap();
        assert_eq!((m.response(), m.event()), (Some("Success"), None));
        assert_eq!(m.action_id().as_deref(), Some("t1"));
        let m = framer.take().unwrap().unwrap();
        assert_eq!((m.response(), m.event()), (None, Some("Hangup")));
        assert_eq!(m.get("uniqueID").as_deref(), Some("1.0"));
        assert!(framer.take().unwrap().is_none());
    }

    #[test]
    fn names_that_are_no_utf_8_are_gb18030() {
        let mut framer = Framer::new();
        framer.push(b"Event: X\r\nCallerIDName: \xd5\xc5\xc8\xfd\r\n\r\n");
        assert_eq!(framer.take().unwrap().unwrap().get("CallerIDName").as_deref(), Some("张三"));
    }

    #[test]
    fn each_cap_has_its_name_and_a_failed_framer_stays_failed() {
        let fails = |bytes: &[u8]| {
            let mut framer = Framer::new();
            framer.push(bytes);
            let error = framer.take().unwrap_err();
            framer.push(TALK);
            assert_eq!(framer.take().unwrap_err(), error);
            assert_eq!(framer.held(), 0);
            error
        };
        assert_eq!(fails(&[b'x'; LINE_CAP + 2]), FrameError::LineTooLong { cap: LINE_CAP });
        assert_eq!(fails(&b"Event: X\r\n".repeat(HEADER_CAP + 1)), FrameError::TooManyHeaders { cap: HEADER_CAP });
        let long = [b"A: ".as_slice(), &[b'x'; 8000], b"\r\n"].concat();
        assert_eq!(fails(&long.repeat(9)), FrameError::MessageTooLong { cap: MESSAGE_CAP });
        assert_eq!(fails(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FrameError::NotAHeader);
        assert_eq!(fails(b"\x16\x03\x01:\r\n"), FrameError::NotAHeader);
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic_and_never_grow_past_the_cap(
            chunks in proptest::collection::vec(proptest::collection::vec("[\\x00-\\xff]|[:\\r\\n]|Event: X\\r\\n", 0..24), 0..16)
        ) {
            let mut framer = Framer::new();
            for chunk in chunks {
                let bytes: Vec<u8> = chunk.concat().into_bytes();
                framer.push(&bytes);
                while let Ok(Some(m)) = framer.take() {
                    proptest::prop_assert!(m.iter().count() <= HEADER_CAP);
                }
                proptest::prop_assert!(framer.held() <= MESSAGE_CAP + bytes.len());
            }
        }

        #[test]
        fn a_message_survives_any_cuts(cuts in proptest::collection::vec(0usize..200, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % TALK.len()).collect();
            cuts.push(TALK.len());
            cuts.sort_unstable();
            let (mut framer, mut from, mut count) = (Framer::new(), 0, 0);
            for to in cuts {
                framer.push(&TALK[from..to]);
                from = to;
                count += all(&mut framer).len();
            }
            proptest::prop_assert_eq!(count, 2);
        }
    }
}
