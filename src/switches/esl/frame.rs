//! FreeSWITCH's event socket on the wire: bytes to frames, nothing else.
//!
//! A frame is lines `Name: value`, an empty line, then as many BYTES of body as `Content-Length` says, if that header is there; the next frame follows at
//! once. The framer keeps one buffer and hands out frames that borrow from it. What a peer may make us keep is capped; a cap that is passed is
//! the end of the link, told with its name.
//!
//! Seen on FreeSWITCH 1.10.12: the order of headers differs between events and replies (queue-answer); the answer to `connect` is one frame of 160
//! headers without a length (outbound-socket); a listener that is killed finds its notice in the middle of an event's body, which then never
//! ends (listener-overflow, mid-frame): see [`Framer::end`].

use memchr::memmem;

/// Longest head. The answer to `connect` has about 12 KiB.
pub const HEAD_CAP: usize = 256 * 1024;
/// Longest body. An event has up to 13 kB in the recordings, more with a site's own variables; `show channels as json` some 700 bytes a channel.
pub const BODY_CAP: usize = 32 * 1024 * 1024;

/// What the peer sent that the event socket does not. The link is dropped with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the head of a frame is longer than {cap} bytes")]
    HeadTooLong { cap: usize },
    #[error("a frame says that its body is longer than {cap} bytes")]
    BodyTooLong { cap: usize },
    #[error("a frame's Content-Length is no number")]
    BadLength,
    #[error("a frame begins with a line that is no \"Name: value\": this is no event socket")]
    NotAHeader,
}

/// Takes bytes, gives frames. A framer that failed stays failed.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the frame that is being read begins.
    start: usize,
    /// Up to where the end of its head was searched for, so that bytes that come one by one are looked at once.
    searched: usize,
    /// Where its head ends and where its body begins and ends, once the head is whole.
    body: Option<(usize, usize, usize)>,
    taken: bool,
    failed: Option<FrameError>,
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
        // What is left of an unfinished frame moves to the front once per read, not once per frame.
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.body = self.body.map(|(a, b, c)| (a - self.start, b - self.start, c - self.start));
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` when more bytes are needed.
    ///
    /// # Errors
    /// A cap was passed or the bytes are no event socket; the same error at every later call.
    pub fn take(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.drop_taken();
        match self.advance() {
            Ok(None) => Ok(None),
            Ok(Some((head, from, to))) => {
                self.taken = true;
                let part = |from: usize, to: usize| self.buffer.get(from..to).unwrap_or_default();
                Ok(Some(Frame { head: part(self.start, head), body: part(from, to) }))
            }
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                (self.start, self.searched, self.body) = (0, 0, None);
                Err(error)
            }
        }
    }

    /// The connection ended: what the switch said of it, if its notice stands inside a body that will never be whole.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        let rest = self.buffer.get(self.start..)?;
        let at = memmem::rfind(rest, b"Content-Type: text/disconnect-notice")?;
        let notice = rest.get(at..)?;
        let body = memmem::find(notice, b"\n\n")?;
        Some(String::from_utf8_lossy(notice.get(body + 2..)?).trim().to_owned())
    }

    /// Bytes kept for now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    fn drop_taken(&mut self) {
        if self.taken {
            self.taken = false;
            self.start = self.body.take().map_or(self.start, |(_, _, end)| end);
            self.searched = self.start;
        }
    }

    fn advance(&mut self) -> Result<Option<(usize, usize, usize)>, FrameError> {
        if self.body.is_none() {
            // Line ends that nobody owes are no frame.
            while self.searched == self.start && self.buffer.get(self.start).is_some_and(|b| *b == b'\n') {
                self.start += 1;
                self.searched = self.start;
            }
            let from = self.searched.max(self.start + 1) - 1;
            let rest = self.buffer.get(from..).unwrap_or_default();
            let Some(found) = memmem::find(rest, b"\n\n") else {
                self.searched = self.buffer.len().max(self.start);
                let length = self.buffer.len() - self.start;
                return if length > HEAD_CAP { Err(FrameError::HeadTooLong { cap: HEAD_CAP }) } else { Ok(None) };
            };
            let end = from + found;
            let head = self.buffer.get(self.start..end).unwrap_or_default();
            if head.len() > HEAD_CAP {
                return Err(FrameError::HeadTooLong { cap: HEAD_CAP });
            }
            let length = length(head)?;
            self.body = Some((end, end + 2, end + 2 + length));
        }
        Ok(self.body.filter(|(_, _, end)| *end <= self.buffer.len()))
    }
}

/// How long the body is, by the head.
fn length(head: &[u8]) -> Result<usize, FrameError> {
    let first = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let name = first.split(|b| *b == b':').next().unwrap_or_default();
    if name.len() == first.len() || name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return Err(FrameError::NotAHeader);
    }
    let Some(text) = value(head, b"Content-Length") else { return Ok(0) };
    let length: usize =
        std::str::from_utf8(text).ok().and_then(|t| t.trim().parse().ok()).ok_or(FrameError::BadLength)?;
    if length > BODY_CAP { Err(FrameError::BodyTooLong { cap: BODY_CAP }) } else { Ok(length) }
}

/// The value of the first header of this name (any case).
fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let (key, rest) = line.split_at_checked(name.len())?;
        let rest = rest.strip_prefix(b":").filter(|_| key.eq_ignore_ascii_case(name))?;
        Some(rest.trim_ascii())
    })
}

/// One frame, borrowed from the framer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub head: &'a [u8],
    pub body: &'a [u8],
}

/// What a frame is, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The switch wants to know who we are.
    AuthRequest,
    /// It will not even ask: we are not in its access list.
    Rejected,
    /// The answer to a command, in the order of the commands.
    Reply,
    /// The answer to an `api` command, likewise.
    ApiResponse,
    Plain,
    Json,
    /// The connection is about to end, or (outbound, with linger) the leg has ended.
    Disconnect,
    Other,
}

impl<'a> Frame<'a> {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.header("Content-Type").unwrap_or_default() {
            b"auth/request" => Kind::AuthRequest,
            b"text/rude-rejection" => Kind::Rejected,
            b"command/reply" => Kind::Reply,
            b"api/response" => Kind::ApiResponse,
            b"text/event-plain" => Kind::Plain,
            b"text/event-json" => Kind::Json,
            b"text/disconnect-notice" => Kind::Disconnect,
            _ => Kind::Other,
        }
    }

    /// The value of the first header of this name, as it came.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        value(self.head, name.as_bytes())
    }

    /// `+OK accepted`, `-ERR invalid`: of a reply its `Reply-Text`, of an api response its body.
    #[must_use]
    pub fn answer(&self) -> std::borrow::Cow<'a, str> {
        let text = match self.kind() {
            Kind::ApiResponse => self.body,
            _ => self.header("Reply-Text").unwrap_or_default(),
        };
        String::from_utf8_lossy(text.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: &[u8] = b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\nContent-Length: 5\nContent-Type: text/event-plain\n\nA: b\nContent-Type: api/response\nContent-Length: 3\n\n+OK";

    fn all(framer: &mut Framer) -> Vec<(Kind, Vec<u8>)> {
        let mut out = Vec::new();
        while let Some(frame) = framer.take().unwrap() {
            out.push((frame.kind(), frame.body.to_vec()));
        }
        out
    }

    #[test]
    fn frames_are_the_same_wherever_the_bytes_are_split() {
        let mut whole = Framer::new();
        whole.push(TALK);
        let expected = all(&mut whole);
        let kinds: Vec<Kind> = expected.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::AuthRequest, Kind::Reply, Kind::Plain, Kind::ApiResponse]);
        assert_eq!((expected[2].1.as_slice(), expected[3].1.as_slice()), (b"A: b\n".as_slice(), b"+OK".as_slice()));
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
    fn answers_are_read_where_they_stand() {
        let mut framer = Framer::new();
        framer.push(TALK);
        framer.take().unwrap();
        assert_eq!(framer.take().unwrap().unwrap().answer(), "+OK accepted");
        framer.take().unwrap();
        assert_eq!(framer.take().unwrap().unwrap().answer(), "+OK");
        assert!(framer.take().unwrap().is_none());
        assert_eq!(framer.held(), TALK.len());
        framer.push(b"");
        assert_eq!(framer.held(), 0);
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
        assert_eq!(fails(&vec![b'x'; HEAD_CAP + 1]), FrameError::HeadTooLong { cap: HEAD_CAP });
        assert_eq!(fails(b"Content-Length: 99999999999\n\n"), FrameError::BodyTooLong { cap: BODY_CAP });
        assert_eq!(fails(b"Content-Length: -5\n\n"), FrameError::BadLength);
        assert_eq!(fails(b"HTTP/1.1 400 Bad Request\r\n\n\n"), FrameError::NotAHeader);
        assert_eq!(fails(b"\x16\x03\x01:\n\n"), FrameError::NotAHeader);
    }

    #[test]
    fn a_notice_in_the_middle_of_a_body_is_found_at_the_end() {
        let mut framer = Framer::new();
        framer.push(b"Content-Length: 900\nContent-Type: text/event-plain\n\nEvent-Name: CUS");
        assert!(framer.take().unwrap().is_none());
        assert_eq!(framer.end(), None);
        framer.push(b"Content-Type: text/disconnect-notice\nContent-Length: 12\n\nkilled lost\n");
        assert!(framer.take().unwrap().is_none());
        assert_eq!(framer.end().as_deref(), Some("killed lost"));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(
            chunks in proptest::collection::vec(proptest::collection::vec("[\\x00-\\xff]|[:\\n]|Content-Length: [0-9]{1,4}\\n\\n|A: b\\n", 0..24), 0..16)
        ) {
            let mut framer = Framer::new();
            for chunk in chunks {
                let bytes: Vec<u8> = chunk.concat().into_bytes();
                framer.push(&bytes);
                while let Ok(Some(frame)) = framer.take() {
                    proptest::prop_assert!(frame.head.len() <= HEAD_CAP);
                }
                let _ = framer.end();
            }
        }
    }
}
