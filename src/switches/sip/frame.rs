//! Where one message ends: the bytes of a datagram, a stream or a WebSocket message.
//!
//! A datagram and a WebSocket message hold one message each (RFC 3261, 18.3; RFC 7118, 4.1). On a stream the length must be told: a message
//! without Content-Length cannot be delimited, so the connection is closed; empty lines between messages are keepalives and are
//! told, because a double one asks for an answer (RFC 5626, 3.5.1).

use super::normal;

/// The longest message taken from a stream. The longest SIP we have seen is 3.6 kB; a resource list of a thousand members has 60 kB a body.
pub const MOST: usize = 64 * 1024;
/// A datagram cannot be longer, and a keepalive is at most this long (STUN is answered nowhere).
pub const KEEPALIVE: usize = 4;

/// Cuts a stream into messages. Holds at most one incomplete message.
#[derive(Debug, Default)]
pub struct Stream {
    held: Vec<u8>,
    /// Bytes of `held` in which no end of the head was found: they are not searched again, so that a slow sender costs nothing.
    searched: usize,
    /// The length of the message whose head is complete: asked once, not at each byte of its body.
    whole: Option<usize>,
    broken: Option<Broken>,
}

/// What a stream gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// One message's bytes, for [`super::wire::read`].
    Message(Vec<u8>),
    /// CRLF CRLF between messages: a ping, answered with CRLF (RFC 5626, 4.4.1).
    Ping,
    /// A single CRLF: the answer to our ping.
    Pong,
}

/// Nothing more can be taken from this stream: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("a message without Content-Length on a stream")]
    NoLength,
    #[error("a Content-Length that is no length")]
    BadLength,
    #[error("a message of more than {MOST} bytes")]
    TooLong,
}

impl Stream {
    /// Takes what was read. Stays broken once broken.
    pub fn take(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next whole piece; `None`: more bytes are needed. Call until then.
    #[allow(clippy::should_implement_trait, reason = "an iterator that has ended does not go on")]
    pub fn next(&mut self) -> Result<Option<Piece>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        match self.piece() {
            Err(broken) => {
                self.held = Vec::new();
                self.broken = Some(broken);
                Err(broken)
            }
            ok => ok,
        }
    }

    /// The bytes held, for a bound on memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn piece(&mut self) -> Result<Option<Piece>, Broken> {
        if self.searched == 0 && self.whole.is_none() {
            let blank = self.held.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            if blank > 0 {
                let lines = self.held.iter().take(blank).filter(|b| **b == b'\n').count();
                // A carriage return at the very end may be half a line end.
                let torn = blank == self.held.len() && self.held.last() == Some(&b'\r');
                self.held.drain(..blank - usize::from(torn));
                match lines {
                    0 if torn => return Ok(None),
                    0 => {}
                    1 => return Ok(Some(Piece::Pong)),
                    _ => return Ok(Some(Piece::Ping)),
                }
            }
        }
        let whole = match self.whole {
            Some(whole) => whole,
            None => {
                let Some(head) = end_of_head(&self.held, self.searched) else {
                    if self.held.len() > MOST {
                        return Err(Broken::TooLong);
                    }
                    self.searched = self.held.len();
                    return Ok(None);
                };
                let length = length(self.held.get(..head).unwrap_or_default())?;
                let whole = head.checked_add(length).filter(|n| *n <= MOST).ok_or(Broken::TooLong)?;
                *self.whole.insert(whole)
            }
        };
        if self.held.len() < whole {
            return Ok(None);
        }
        let rest = self.held.split_off(whole);
        (self.searched, self.whole) = (0, None);
        Ok(Some(Piece::Message(std::mem::replace(&mut self.held, rest))))
    }
}

/// Is this datagram only line ends, or too short to be anything? Then it is a keepalive and nothing is read or answered.
#[must_use]
pub fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.len() <= KEEPALIVE || datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' '))
}

/// One past the empty line. `from`: up to here none was found before; an end may lie across it.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(3);
    loop {
        at += memchr::memchr(b'\n', bytes.get(at..)?)? + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// The length of a head whose lines are whole: one plain Content-Length, which is what nearly all have. `None`: look at it the long way.
fn plain_length(head: &[u8]) -> Option<usize> {
    let mut found = None;
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        // Of the next line: the first one has the method.
        rest = rest.get(end + 1..)?;
        let value = match rest.first() {
            Some(b' ' | b'\t') => return None,
            Some(b'l' | b'L') if matches!(rest.get(1), Some(b':' | b' ' | b'\t')) => rest.get(1..)?,
            Some(b'c' | b'C') => match rest.split_at_checked(CONTENT_LENGTH.len()) {
                Some((name, value)) if name.eq_ignore_ascii_case(CONTENT_LENGTH) => value,
                _ => continue,
            },
            _ => continue,
        };
        let value = value.strip_prefix(b":")?;
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 6 || found.is_some() || value.get(digits..digits + 2)? != b"\r\n" {
            return None;
        }
        found = Some(value.get(..digits)?.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')));
    }
    found
}

const CONTENT_LENGTH: &[u8] = b"content-length";

fn length(head: &[u8]) -> Result<usize, Broken> {
    if let Some(length) = plain_length(head) {
        return Ok(length);
    }
    // What cannot be read as a head has no length that could be trusted either.
    let head = normal::remains(head);
    let mut all = head.iter().filter(|f| f.name == "Content-Length").map(|f| &*f.value);
    let first = all.next().ok_or(Broken::NoLength)?;
    if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) || all.any(|other| other != first) {
        return Err(Broken::BadLength);
    }
    first.parse().map_err(|_| Broken::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &mut Stream) -> Vec<Piece> {
        let mut got = Vec::new();
        while let Ok(Some(piece)) = stream.next() {
            got.push(piece);
        }
        got
    }

    const TWO: &[u8] = b"\r\n\r\nOPTIONS sip:a@b SIP/2.0\r\nl: 3\r\nX: y\r\n\r\nabcSIP/2.0 200 OK\r\nContent-\r\n Length: 0\r\nContent-Length : 0\r\n\r\n\r\nX y z\r\nContent-Length: 1\r\n\r\n!";

    #[test]
    fn a_stream_is_cut_the_same_whole_and_byte_by_byte() {
        let text = |b: &[u8]| Piece::Message(b.to_vec());
        let one = b"OPTIONS sip:a@b SIP/2.0\r\nl: 3\r\nX: y\r\n\r\nabc".as_slice();
        let two = b"SIP/2.0 200 OK\r\nContent-\r\n Length: 0\r\nContent-Length : 0\r\n\r\n".as_slice();
        let three = b"X y z\r\nContent-Length: 1\r\n\r\n!".as_slice();
        let mut stream = Stream::default();
        stream.take(TWO);
        assert_eq!(all(&mut stream), [Piece::Ping, text(one), text(two), Piece::Pong, text(three)]);
        assert_eq!(stream.held(), 0);
        for split in 0..TWO.len() {
            let (mut stream, (a, b)) = (Stream::default(), TWO.split_at(split));
            stream.take(a);
            let mut got = all(&mut stream);
            stream.take(b);
            got.extend(all(&mut stream));
            got.retain(|p| matches!(p, Piece::Message(_)));
            assert_eq!(got, [text(one), text(two), text(three)], "split at {split}");
        }
        let mut stream = Stream::default();
        let mut got = Vec::new();
        for byte in TWO {
            stream.take(&[*byte]);
            got.extend(all(&mut stream));
        }
        got.retain(|p| matches!(p, Piece::Message(_)));
        assert_eq!(got, [text(one), text(two), text(three)]);
    }

    #[test]
    fn a_stream_breaks_for_good() {
        for (bytes, broken) in [
            ("OPTIONS sip:a@b SIP/2.0\r\nX: y\r\n\r\n".to_owned(), Broken::NoLength),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: -9\r\n\r\n".to_owned(), Broken::BadLength),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n".to_owned(), Broken::BadLength),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: 99999\r\n\r\n".to_owned(), Broken::TooLong),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n".to_owned(), Broken::TooLong),
            ("x".repeat(MOST + 1), Broken::TooLong),
        ] {
            let mut stream = Stream::default();
            stream.take(bytes.as_bytes());
            assert_eq!(stream.next(), Err(broken));
            stream.take(b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n");
            assert_eq!((stream.next(), stream.held()), (Err(broken), 0));
        }
    }

    #[test]
    fn a_slow_sender_is_not_searched_again_and_again() {
        // 64 KiB a byte at a time: each byte is looked at a few times, not once for each that follows.
        let mut stream = Stream::default();
        for _ in 0..MOST {
            stream.take(b"y");
            assert_eq!(stream.next(), Ok(None));
        }
        stream.take(b"y");
        assert_eq!(stream.next(), Err(Broken::TooLong));
    }

    #[test]
    fn keepalives_are_no_messages() {
        assert!(
            is_keepalive(b"\r\n\r\n")
                && is_keepalive(b"\0\0\0\0")
                && is_keepalive(b"")
                && is_keepalive(b"jaK")
                && is_keepalive(b"\r\n\r\n\r\n\r\n")
        );
        assert!(!is_keepalive(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"));
    }
}
