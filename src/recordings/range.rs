//! Which bytes a player wants: RFC 9110, section 14. One range is answered as such; several at once, an unknown unit and what is no range are
//! answered by the whole, which section 14.2 allows.

/// A `Range` header of one range, before the size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `bytes=5-9` and `bytes=5-`.
    From(u64, Option<u64>),
    /// `bytes=-500`: the last ones.
    Last(u64),
}

/// What of a file of known size is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Whole,
    /// Both ends are in it.
    Part(u64, u64),
    /// No byte of it is wanted: 416.
    Nothing,
}

/// Reads a header; `None`: it is as if there were none.
#[must_use]
pub fn read(header: &str) -> Option<Wanted> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    match (first, last) {
        ("", last) => Some(Wanted::Last(digits(last)?)),
        (first, "") => Some(Wanted::From(digits(first)?, None)),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some(Wanted::From(first, Some(last)))
        }
    }
}

impl Wanted {
    #[must_use]
    pub fn of(self, size: u64) -> Span {
        let Some(end) = size.checked_sub(1) else { return Span::Nothing };
        match self {
            Self::Last(0) => Span::Nothing,
            Self::Last(n) => Span::Part(size.saturating_sub(n), end),
            Self::From(first, _) if first > end => Span::Nothing,
            Self::From(first, last) => Span::Part(first, last.unwrap_or(end).min(end)),
        }
    }
}

/// As it is asked of another server.
impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Last(n) => write!(f, "bytes=-{n}"),
            Self::From(first, None) => write!(f, "bytes={first}-"),
            Self::From(first, Some(last)) => write!(f, "bytes={first}-{last}"),
        }
    }
}

/// `Content-Range: bytes 0-9/100` of another server: first, last, size. What it does not know (`*`) is of no use here.
#[must_use]
pub fn told(header: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = header.trim().split_once(' ')?;
    let (span, size) = rest.trim().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, size) = (digits(first)?, digits(last)?, digits(size)?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < size).then_some((first, last, size))
}

/// `Content-Range: bytes */100`, which goes with a 416.
#[must_use]
pub fn told_size(header: &str) -> Option<u64> {
    digits(header.trim().strip_prefix("bytes")?.trim().strip_prefix("*/")?)
}

/// Digits and nothing else. More than fits is more than any file has.
fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        for (header, wanted) in [
            ("bytes=0-499", Some(Wanted::From(0, Some(499)))),
            ("BYTES=500-", Some(Wanted::From(500, None))),
            ("bytes=-500", Some(Wanted::Last(500))),
            ("bytes= 5-9", Some(Wanted::From(5, Some(9)))),
            ("bytes=99999999999999999999-", Some(Wanted::From(u64::MAX, None))),
            ("bytes=9-5", None),
            ("bytes=0-0,-1", None),
            ("bytes=a-5", None),
            ("bytes=+1-5", None),
            ("bytes=-", None),
            ("bytes=1", None),
            ("bytes", None),
            ("lines=0-5", None),
            ("", None),
        ] {
            assert_eq!(read(header), wanted, "{header}");
        }
    }

    #[test]
    fn a_range_is_held_against_the_size() {
        let of = |header: &str, size| read(header).unwrap().of(size);
        assert_eq!(of("bytes=0-499", 10_000), Span::Part(0, 499));
        assert_eq!(of("bytes=9500-", 10_000), Span::Part(9_500, 9_999));
        assert_eq!(of("bytes=-500", 10_000), Span::Part(9_500, 9_999));
        assert_eq!(of("bytes=9500-20000", 10_000), Span::Part(9_500, 9_999));
        assert_eq!(of("bytes=-20000", 10_000), Span::Part(0, 9_999));
        assert_eq!(of("bytes=10000-", 10_000), Span::Nothing);
        assert_eq!(of("bytes=-0", 10_000), Span::Nothing);
        assert_eq!((of("bytes=0-", 0), of("bytes=-5", 0)), (Span::Nothing, Span::Nothing));
        assert_eq!(of("bytes=0-99999999999999999999", 5), Span::Part(0, 4));
    }

    #[test]
    fn what_another_server_says_is_read_or_refused() {
        assert_eq!(told("bytes 0-9/100"), Some((0, 9, 100)));
        for bad in ["bytes 0-9/*", "bytes 9-0/100", "bytes 0-100/100", "bytes */100", "0-9/100", ""] {
            assert_eq!(told(bad), None, "{bad}");
        }
        assert_eq!(told_size("bytes */100"), Some(100));
        assert_eq!(told_size("bytes 0-9/100"), None);
    }
}
