//! Character sets of requests and answers: the bytes that a text is sent as, and the text that an answer's bytes are.
//!
//! Names are those of the WHATWG (Encoding Standard, section 4.2: `gbk`, `gb18030`, `gb2312`, `big5`, `shift_jis`, ...). A character that a set does not have
//! is refused: what browsers put in its place (`&#…;`) would be taken by the other side as what somebody wrote.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// What a step says of its request and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charsets {
    /// Of what is sent. `None`: UTF-8, and nothing is said about it.
    sent: Option<&'static Encoding>,
    /// Of the answer, whatever its header says.
    answers: Option<&'static Encoding>,
}

impl Charsets {
    /// From the file's two names.
    ///
    /// # Errors
    /// Which of the two is no name, `charset` or `answer_charset`, and why.
    pub fn named(sent: Option<&str>, answers: Option<&str>) -> Result<Self, (&'static str, String)> {
        let known = |key: &'static str, name: Option<&str>| match name {
            None => Ok(None),
            Some(name) => match Encoding::for_label_no_replacement(name.as_bytes()) {
                Some(set) => Ok(Some(set)),
                None => Err((key, format!("\"{name}\" is no character set"))),
            },
        };
        let sent = known("charset", sent)?;
        // Browsers send UTF-8 in its place (section 4.3), and so would we, silently.
        if let Some(set) = sent.filter(|set| set.output_encoding() != *set) {
            return Err(("charset", format!("nothing is sent in {}", set.name())));
        }
        Ok(Self { sent, answers: known("answer_charset", answers)? })
    }

    /// Whether what is sent is UTF-8.
    #[must_use]
    pub fn utf8(self) -> bool {
        self.sent().name() == UTF_8.name()
    }

    fn sent(self) -> &'static Encoding {
        self.sent.unwrap_or(UTF_8)
    }

    /// As it stands in an XML declaration.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.sent().name()
    }

    /// A media type with the character set in it, where the file names one.
    #[must_use]
    pub fn media_type(self, kind: &str) -> String {
        match self.sent {
            Some(set) if !kind.to_ascii_lowercase().contains("charset=") => format!("{kind}; charset={}", set.name()),
            _ => kind.to_owned(),
        }
    }

    /// The bytes of a text.
    ///
    /// # Errors
    /// The set lacks one of its characters.
    pub fn encode(self, text: String) -> Result<Vec<u8>, String> {
        if self.utf8() {
            return Ok(text.into_bytes());
        }
        encode(self.sent(), &text)
    }

    /// The text of bytes of ours.
    #[must_use]
    pub fn own(self, bytes: &[u8]) -> Cow<'_, str> {
        self.sent().decode_without_bom_handling(bytes).0
    }

    /// The set of an answer with this header: `answer_charset`, else what the header says, else `charset`. A byte order mark is obeyed before all of them.
    #[must_use]
    pub fn of_answer(self, content_type: Option<&str>) -> &'static Encoding {
        let told = || {
            let label = content_type?.split(';').find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
            })?;
            Encoding::for_label(label.as_bytes())
        };
        self.answers.or_else(told).unwrap_or(self.sent())
    }

    /// An answer's text. XML may say itself what it is in, where nothing else does (RFC 7303, section 3).
    #[must_use]
    pub fn decode<'a>(self, bytes: &'a [u8], content_type: Option<&str>, xml: bool) -> Cow<'a, str> {
        let told = self.answers.is_some() || content_type.is_some_and(|t| t.to_ascii_lowercase().contains("charset="));
        let declared = if xml && !told { declared(bytes) } else { None };
        declared.unwrap_or_else(|| self.of_answer(content_type)).decode(bytes).0
    }
}

/// A text in a character set.
///
/// # Errors
/// The set lacks one of its characters.
pub fn encode(set: &'static Encoding, text: &str) -> Result<Vec<u8>, String> {
    match set.encode(text) {
        (bytes, _, false) => Ok(bytes.into_owned()),
        _ => Err(format!("{} does not have one of its characters", set.name())),
    }
}

/// What `<?xml version="1.0" encoding="GBK"?>` says. Sets whose declaration is no ASCII have a byte order mark.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..bytes.len().min(128))?;
    let head = std::str::from_utf8(head.get(..head.iter().position(|b| *b == b'>')?)?).ok()?;
    let (_, rest) = head.trim_start().strip_prefix("<?xml")?.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c))?;
    Encoding::for_label(rest.get(1..)?.split(quote).next()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gbk() -> Charsets {
        Charsets::named(Some("gbk"), None).unwrap()
    }

    #[test]
    fn a_text_is_sent_whole_or_not_at_all() {
        // 中 is D6 D0 in GB 2312, table 1 of the standard; 㐀 is in GB 18030 alone.
        assert_eq!(gbk().encode("中A".to_owned()).unwrap(), [0xd6, 0xd0, b'A']);
        assert_eq!(gbk().encode("\u{20BB7}野家".to_owned()).unwrap_err(), "GBK does not have one of its characters");
        let all = Charsets::named(Some("GB18030"), None).unwrap();
        let bytes = all.encode("\u{20BB7}野家".to_owned()).unwrap();
        assert_eq!((bytes[..4].to_vec(), all.own(&bytes)), (vec![0x95, 0x34, 0xb2, 0x35], Cow::from("\u{20BB7}野家")));
        assert_eq!(Charsets::named(None, None).unwrap().encode("中".to_owned()).unwrap(), "中".as_bytes());
    }

    #[test]
    fn names_are_known_or_refused() {
        assert_eq!(gbk().media_type("text/xml"), "text/xml; charset=GBK");
        assert_eq!(gbk().media_type("text/plain; Charset=gb2312"), "text/plain; Charset=gb2312");
        assert_eq!(Charsets::named(None, None).unwrap().media_type("text/xml"), "text/xml");
        for (sent, answers, key) in [
            (Some("gbk2"), None, "charset"),
            (Some("utf-16"), None, "charset"),
            // Of the replacement encoding, which decodes to nothing.
            (None, Some("iso-2022-kr"), "answer_charset"),
        ] {
            assert_eq!(Charsets::named(sent, answers).unwrap_err().0, key);
        }
        assert!(Charsets::named(Some("big5"), Some("utf-16le")).is_ok());
    }

    #[test]
    fn an_answer_is_read_by_its_mark_then_the_file_then_its_header_then_itself() {
        let text = "<?xml version=\"1.0\" encoding='GBK' ?><a>中文</a>";
        let bytes = encoding_rs::GBK.encode(text).0.into_owned();
        let none = Charsets::named(None, None).unwrap();
        let forced = Charsets::named(None, Some("gb18030")).unwrap();
        for (sets, header, xml, good) in [
            (none, None, true, true),
            (none, None, false, false),
            (none, Some("text/xml; charset=utf-8"), true, false),
            (none, Some("text/xml; Charset=\"gb2312\""), true, true),
            (forced, Some("text/xml; charset=utf-8"), true, true),
            (gbk(), Some("text/xml"), false, true),
            (gbk(), Some("text/xml; charset=utf-8"), false, false),
        ] {
            assert_eq!(sets.decode(&bytes, header, xml) == text, good, "{sets:?} {header:?} {xml}");
        }
        let marked = [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat();
        assert_eq!(forced.decode(&marked, Some("text/xml; charset=gbk"), true), text);
        for odd in ["<?xml", "<?xml encoding=>", "<?xml encoding=\"nothing\"?>", "<?xml encoding=\"中\"?>", ""] {
            assert_eq!(declared(odd.as_bytes()), None, "{odd}");
        }
    }
}
