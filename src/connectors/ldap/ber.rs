//! The little of BER that LDAP is made of (X.690; RFC 4511, 5.1): definite lengths, one byte of tag. Elements are read one beside the other and never into the
//! depth by themselves, so that no server's bytes make a stack.
//!
//! Written here because the kept library's reader goes as deep as its input says: a few thousand nested elements, told before TLS is up, end the process.

/// What a server may send as one message.
pub const MOST: usize = 4 * 1024 * 1024;

/// An element: its tag and what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub inside: &'a [u8],
}

/// The first element of these bytes and how many it takes; `Ok(None)`: there is more to come.
///
/// # Errors
/// It is none that LDAP has, or larger than [`MOST`].
pub fn first(bytes: &[u8]) -> Result<Option<(Element<'_>, usize)>, &'static str> {
    let [tag, length, rest @ ..] = bytes else { return Ok(None) };
    // A tag of several bytes is nowhere in LDAP.
    if tag & 0x1f == 0x1f {
        return Err("a tag that LDAP has not");
    }
    let (length, head) = match *length {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            if count == 0 || count > 4 {
                return Err("a length that LDAP has not");
            }
            let Some(bytes) = rest.get(..count) else { return Ok(None) };
            (bytes.iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte)), 2 + count)
        }
    };
    if length > MOST {
        return Err("an element that is too large");
    }
    let end = head + length;
    Ok(bytes.get(head..end).map(|inside| (Element { tag: *tag, inside }, end)))
}

/// The elements that stand beside each other in these bytes.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a>(pub &'a [u8]);

impl<'a> Elements<'a> {
    /// The next, if it has this tag.
    ///
    /// # Errors
    /// There is none, it is broken, or it is another.
    pub fn tagged(&mut self, tag: u8) -> Result<&'a [u8], &'static str> {
        match self.next() {
            Some(Ok(element)) if element.tag == tag => Ok(element.inside),
            Some(Err(why)) => Err(why),
            _ => Err("an element is missing"),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match first(self.0) {
            Ok(Some((element, taken))) => {
                self.0 = self.0.get(taken..).unwrap_or_default();
                Some(Ok(element))
            }
            _ => {
                self.0 = &[];
                Some(Err("an element that is cut off"))
            }
        }
    }
}

/// A number that fits 32 bits; LDAP has no others.
///
/// # Errors
/// It is none.
pub fn number(inside: &[u8]) -> Result<i32, &'static str> {
    if inside.is_empty() || inside.len() > 4 {
        return Err("a number that LDAP has not");
    }
    let sign = if inside.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    Ok(inside.iter().fold(sign, |all: i32, byte| all << 8 | i32::from(*byte)))
}

/// Writes an element whose inside `write` writes.
pub fn put(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inside = Vec::new();
    write(&mut inside);
    out.push(tag);
    let length = inside.len();
    if length < 0x80 {
        out.push(u8::try_from(length).unwrap_or_default());
    } else {
        let bytes = (length as u64).to_be_bytes();
        let bytes = bytes.get(bytes.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default();
        out.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
        out.extend_from_slice(bytes);
    }
    out.append(&mut inside);
}

pub fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    put(out, tag, |out| out.extend_from_slice(bytes));
}

pub fn put_number(out: &mut Vec<u8>, tag: u8, number: i32) {
    let bytes = number.to_be_bytes();
    // The fewest bytes that keep the sign.
    let spare = bytes
        .windows(2)
        .take_while(|two| {
            matches!(two, [0, next] if next & 0x80 == 0) || matches!(two, [0xff, next] if next & 0x80 != 0)
        })
        .count();
    put_bytes(out, tag, bytes.get(spare..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_lengths_come_back() {
        for n in [0, 1, -1, 127, 128, -128, -129, 255, 256, 65_535, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            put_number(&mut out, 2, n);
            let (element, taken) = first(&out).unwrap().unwrap();
            assert_eq!((element.tag, number(element.inside), taken), (2, Ok(n), out.len()), "{n}");
        }
        for size in [0, 127, 128, 255, 256, 70_000] {
            let mut out = Vec::new();
            put_bytes(&mut out, 4, &vec![7; size]);
            assert_eq!(first(&out).unwrap().unwrap().0.inside.len(), size);
            assert_eq!(first(out.get(..out.len() - 1).unwrap()), Ok(None), "{size}");
        }
        for bytes in [&[0x1f, 1, 0][..], &[4, 0x80], &[4, 0x85, 0, 0, 0, 0, 1], &[4, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert!(first(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = first(&bytes);
            prop_assert!(Elements(&bytes).count() <= bytes.len());
            let _ = number(&bytes);
        }
    }
}
