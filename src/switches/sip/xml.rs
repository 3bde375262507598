//! The XML of NOTIFY bodies, read without trust: no DTD, no entity but the five and numbers, a limit to size, depth and count, any namespace prefix, any
//! declared character set. Who uses it sees elements, texts and ends, and never needs to recurse.
//!
//! It is read by hand: a NOTIFY is read for each step of each call, and a reader that knows of nothing but what is allowed here takes half of quick-xml's
//! instructions (`cargo bench --bench notify`). References are quick-xml's to resolve.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::escape::unescape;

/// The largest body: a list of two hundred agents with two calls each is some 300 kB with its parts, one dialog-info of it less than 2.
pub const SIZE: usize = 256 * 1024;
/// dialog-info's deepest is `param` in the fifth place; extensions may add some.
pub const DEPTH: usize = 16;
/// Elements of one body.
pub const ELEMENTS: usize = 8_192;
/// Attributes of one element.
pub const ATTRIBUTES: usize = 32;

/// Why a body was refused. Refused bodies change nothing that is known, and are counted by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    #[error("the body is larger than {SIZE} bytes")]
    Size,
    #[error("its XML nests deeper than {DEPTH}")]
    Depth,
    #[error("it has more elements, attributes or parts than are read")]
    Count,
    #[error("it has a document type")]
    Dtd,
    #[error("it uses an entity of its own")]
    Entity,
    #[error("its character set is not known, or its bytes are not in it")]
    Charset,
    #[error("it is cut off, or no XML")]
    Broken,
    #[error("its outermost element is another than its type says")]
    Foreign,
}

impl Fault {
    /// All there are, for counters.
    pub const ALL: [Fault; 8] =
        [Self::Size, Self::Depth, Self::Count, Self::Dtd, Self::Entity, Self::Charset, Self::Broken, Self::Foreign];

    /// A word for a metric's label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Depth => "depth",
            Self::Count => "count",
            Self::Dtd => "dtd",
            Self::Entity => "entity",
            Self::Charset => "charset",
            Self::Broken => "broken",
            Self::Foreign => "foreign",
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Node<'a> {
    Open(Element<'a>),
    Text(Cow<'a, str>),
    Close,
    End,
}

/// An element's beginning. Its attributes are [`Xml::attributes`].
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    name: &'a str,
    /// Of the namespace that is read; others are extensions.
    pub ours: bool,
}

impl<'a> Element<'a> {
    /// The name without its prefix; empty for an extension's, so that it fits nothing.
    #[must_use]
    pub fn name(&self) -> &'a str {
        if self.ours { self.name } else { "" }
    }
}

/// A document that is read node by node.
#[derive(Debug)]
pub struct Xml<'a> {
    text: &'a str,
    at: usize,
    namespace: &'static str,
    /// Elements that are open, by their whole names.
    open: Vec<&'a str>,
    /// Of the element that was opened last.
    attributes: Vec<(&'a str, &'a str)>,
    /// At which depth a prefix (empty: none) was declared, and whether it is ours.
    scopes: Vec<(usize, &'a str, bool)>,
    elements: usize,
    /// The last was `<a/>`: its end is owed.
    closing: bool,
    rooted: bool,
}

impl<'a> Xml<'a> {
    #[must_use]
    pub fn new(text: &'a str, namespace: &'static str) -> Self {
        Self {
            text,
            at: 0,
            namespace,
            open: Vec::with_capacity(DEPTH),
            attributes: Vec::with_capacity(8),
            scopes: Vec::with_capacity(2),
            elements: 0,
            closing: false,
            rooted: false,
        }
    }

    /// The next node. Comments and instructions are none.
    ///
    /// # Errors
    /// The document is refused.
    pub fn node(&mut self) -> Result<Node<'a>, Fault> {
        if std::mem::take(&mut self.closing) {
            self.close();
            return Ok(Node::Close);
        }
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            return match rest.as_bytes() {
                [] if self.open.is_empty() && self.rooted => Ok(Node::End),
                [] => Err(Fault::Broken),
                [b'<', b'/', ..] => self.end(rest),
                [b'<', b'?', ..] => {
                    self.pass(rest, b"?>")?;
                    continue;
                }
                [b'<', b'!', ..] => match self.declared(rest)? {
                    Some(text) => Ok(Node::Text(Cow::Borrowed(text))),
                    None => continue,
                },
                [b'<', ..] => self.open(rest).map(Node::Open),
                bytes => {
                    // Between two elements there is a line end and some blanks, nearly always.
                    let blank = blank(bytes, 0);
                    let end = match bytes.get(blank) {
                        Some(b'<') => blank,
                        _ => memchr::memchr(b'<', bytes).unwrap_or(bytes.len()),
                    };
                    self.at += end;
                    if end == blank {
                        return Ok(Node::Text(Cow::Borrowed(rest.get(..end).unwrap_or_default())));
                    }
                    resolved(rest.get(..end).unwrap_or_default()).map(Node::Text)
                }
            };
        }
    }

    /// Hands over each attribute of the element that was opened last: its local name and its value with references resolved. Those of other
    /// namespaces and declarations are left out.
    ///
    /// # Errors
    /// An unknown entity.
    pub fn attributes(&self, mut each: impl FnMut(&'a str, Cow<'a, str>)) -> Result<(), Fault> {
        for (name, value) in &self.attributes {
            if *name != "xmlns" && name.bytes().all(|b| b != b':') {
                each(name, resolved(value)?);
            }
        }
        Ok(())
    }

    /// Goes on behind `end`, and gives what stands before it.
    fn pass(&mut self, rest: &'a str, end: &[u8]) -> Result<&'a str, Fault> {
        let at = memchr::memmem::find(rest.as_bytes(), end).ok_or(Fault::Broken)?;
        self.at += at + end.len();
        rest.get(..at).ok_or(Fault::Broken)
    }

    /// A comment or, as text, a section of characters.
    fn declared(&mut self, rest: &'a str) -> Result<Option<&'a str>, Fault> {
        const CDATA: &str = "<![CDATA[";
        if rest.starts_with("<!--") {
            self.at += 4;
            let rest = rest.get(4..).ok_or(Fault::Broken)?;
            return self.pass(rest, b"-->").map(|_| None);
        }
        if rest.starts_with(CDATA) {
            let text = self.pass(rest, b"]]>")?;
            return Ok(text.get(CDATA.len()..));
        }
        let word = rest.get(2..9).unwrap_or_default();
        Err(if word.eq_ignore_ascii_case("DOCTYPE") { Fault::Dtd } else { Fault::Broken })
    }

    fn end(&mut self, rest: &'a str) -> Result<Node<'a>, Fault> {
        let end = rest.bytes().position(|b| b == b'>').ok_or(Fault::Broken)?;
        let name = rest.get(2..end).ok_or(Fault::Broken)?;
        if self.open.last() != Some(&name.trim_ascii_end()) {
            return Err(Fault::Broken);
        }
        self.at += end + 1;
        self.close();
        Ok(Node::Close)
    }

    fn open(&mut self, rest: &'a str) -> Result<Element<'a>, Fault> {
        self.elements += 1;
        if self.elements > ELEMENTS {
            return Err(Fault::Count);
        }
        if self.open.len() >= DEPTH {
            return Err(Fault::Depth);
        }
        if self.open.is_empty() && std::mem::replace(&mut self.rooted, true) {
            return Err(Fault::Broken);
        }
        let (name, length) = self.tag(rest)?;
        self.at += length;
        self.open.push(name);
        let depth = self.open.len();
        for (key, value) in self.attributes.iter().filter(|(key, _)| key.starts_with("xmlns")) {
            let prefix = match key.strip_prefix("xmlns") {
                Some("") => "",
                Some(rest) => match rest.strip_prefix(':') {
                    Some(prefix) => prefix,
                    None => continue,
                },
                None => continue,
            };
            self.scopes.push((depth, prefix, value.trim() == self.namespace));
        }
        let (prefix, name) = match name.bytes().position(|b| b == b':') {
            Some(at) => (name.get(..at).unwrap_or_default(), name.get(at + 1..).unwrap_or_default()),
            None => ("", name),
        };
        let declared = self.scopes.iter().rev().find(|(_, known, _)| *known == prefix).map(|(.., ours)| *ours);
        // Without any declaration the plain names are meant.
        let ours = declared.unwrap_or(prefix.is_empty());
        Ok(Element { name, ours })
    }

    /// The whole name and the length of a tag; its attributes are put down.
    fn tag(&mut self, rest: &'a str) -> Result<(&'a str, usize), Fault> {
        let bytes = rest.as_bytes();
        self.attributes.clear();
        let mut at = word(bytes, 1)?;
        let name = rest.get(1..at).ok_or(Fault::Broken)?;
        loop {
            at = blank(bytes, at);
            match bytes.get(at..) {
                Some([b'>', ..]) => return Ok((name, at + 1)),
                Some([b'/', b'>', ..]) => {
                    self.closing = true;
                    return Ok((name, at + 2));
                }
                _ => {}
            }
            let end = word(bytes, at)?;
            let key = rest.get(at..end).ok_or(Fault::Broken)?;
            at = blank(bytes, end);
            let Some([b'=', ..]) = bytes.get(at..) else { return Err(Fault::Broken) };
            at = blank(bytes, at + 1);
            let (quote, value) = match bytes.get(at..) {
                Some([quote @ (b'"' | b'\''), value @ ..]) => (*quote, value),
                _ => return Err(Fault::Broken),
            };
            let length = memchr::memchr(quote, value).ok_or(Fault::Broken)?;
            let value = rest.get(at + 1..at + 1 + length).ok_or(Fault::Broken)?;
            at += length + 2;
            if self.attributes.len() >= ATTRIBUTES {
                return Err(Fault::Count);
            }
            if self.attributes.iter().any(|(known, _)| *known == key) {
                return Err(Fault::Broken);
            }
            self.attributes.push((key, value));
        }
    }

    fn close(&mut self) {
        let depth = self.open.len();
        while self.scopes.last().is_some_and(|(at, ..)| *at >= depth) {
            self.scopes.pop();
        }
        self.open.pop();
    }
}

/// Where the white space from here ends.
fn blank(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// Where the name from here ends: at white space, `=`, `/` or `>`, and nothing else may stand there.
fn word(bytes: &[u8], from: usize) -> Result<usize, Fault> {
    let rest = bytes.get(from..).unwrap_or_default();
    match rest.iter().position(|b| ENDS[usize::from(*b)]) {
        Some(length) if length > 0 && !matches!(rest.get(length), Some(b'<' | b'"' | b'\'' | b'&')) => {
            Ok(from + length)
        }
        _ => Err(Fault::Broken),
    }
}

/// Signs that are in no name.
static ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut n = 0;
    while n < 256 {
        ends[n] = (n as u8).is_ascii_whitespace() || matches!(n as u8, b'=' | b'/' | b'>' | b'<' | b'"' | b'\'' | b'&');
        n += 1;
    }
    ends
};

/// With references in place of which stands what they name.
fn resolved(text: &str) -> Result<Cow<'_, str>, Fault> {
    match memchr::memchr(b'&', text.as_bytes()) {
        Some(_) => unescape(text).map_err(|_| Fault::Entity),
        None => Ok(Cow::Borrowed(text)),
    }
}

/// A body as text: by its mark, by the type's `charset`, by what its first line declares, else UTF-8. Bytes that say UTF-8 and are none are read as GB18030, as
/// everywhere here.
///
/// # Errors
/// Too large, or in a character set that is not known.
pub fn text<'b>(bytes: &'b [u8], charset: Option<&str>) -> Result<Cow<'b, str>, Fault> {
    if bytes.len() > SIZE {
        return Err(Fault::Size);
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return decode(encoding, bytes.get(mark..).unwrap_or_default());
    }
    // What can be read as it stands (ASCII, nearly always) needs no declaration, unless one says that it is something else.
    let label = charset.map(str::as_bytes).or_else(|| declared(bytes));
    let encoding = match label {
        None => UTF_8,
        Some(label) => match Encoding::for_label(label) {
            // Without a mark, and its first line is ASCII: it is not what it says.
            Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
            Some(encoding) => encoding,
            None if bytes.is_ascii() => UTF_8,
            None => return Err(Fault::Charset),
        },
    };
    decode(encoding, bytes)
}

fn decode<'b>(encoding: &'static Encoding, bytes: &'b [u8]) -> Result<Cow<'b, str>, Fault> {
    if encoding == UTF_8
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Ok(Cow::Borrowed(text));
    }
    let encoding = if encoding == UTF_8 { GB18030 } else { encoding };
    encoding.decode_without_bom_handling_and_without_replacement(bytes).ok_or(Fault::Charset)
}

/// The name in `<?xml ... encoding="..."`.
fn declared(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.strip_prefix(b"<?xml")?;
    let line = line.get(..line.len().min(200))?;
    let line = line.get(..memchr::memchr(b'>', line)?)?;
    let rest = line.get(memchr::memmem::find(line, b"encoding")? + 8..)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, rest) = rest.split_first()?;
    rest.get(..memchr::memchr(*quote, rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<usize, Fault> {
        let mut xml = Xml::new(text, "urn:x");
        let mut count = 0;
        loop {
            match xml.node()? {
                Node::Open(element) => {
                    xml.attributes(|_, _| ())?;
                    count += usize::from(element.ours);
                }
                Node::End => return Ok(count),
                Node::Text(_) | Node::Close => {}
            }
        }
    }

    #[test]
    fn prefixes_are_names_for_namespaces() {
        assert_eq!(all("<a xmlns='urn:x'><b/></a>"), Ok(2));
        assert_eq!(all("<q:a xmlns:q='urn:x'><q:b/><b/></q:a>"), Ok(3));
        assert_eq!(all("<a><b/></a>"), Ok(2));
        assert_eq!(all("<a xmlns='urn:x'><b xmlns='urn:y'><c/></b><d/></a>"), Ok(2));
        assert_eq!(all("<a xmlns='urn:x' xmlns:y='urn:y'><y:b/></a>"), Ok(1));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(all("<!DOCTYPE a><a/>"), Err(Fault::Dtd));
        assert_eq!(all("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), Err(Fault::Dtd));
        assert_eq!(all("<a>&b;</a>"), Err(Fault::Entity));
        assert_eq!(all("<a b='&c;'/>"), Err(Fault::Entity));
        assert_eq!(all("<a>&#0;</a>"), Err(Fault::Entity));
        assert_eq!(all("<a>&lt;&#x41;&amp;</a>"), Ok(1));
        for broken in ["", "text", "<a>", "<a></b>", "<a/><b/>", "<a b='1' b='2'/>", "<a b=/>", "</a>", "<a", "<a/><"] {
            assert_eq!(all(broken), Err(Fault::Broken), "{broken}");
        }
        assert_eq!(all(&"<a>".repeat(10_000)), Err(Fault::Depth));
        assert_eq!(all(&format!("<a>{}</a>", "<b/>".repeat(ELEMENTS))), Err(Fault::Count));
        let many: String = (0..40).map(|n| format!(" a{n}='1'")).collect();
        assert_eq!(all(&format!("<a{many}/>")), Err(Fault::Count));
    }

    #[test]
    fn character_sets_as_declared() {
        let name = "张三";
        let (gb, ..) = encoding_rs::GBK.encode("<?xml version=\"1.0\" encoding='GB2312'?><a>张三</a>");
        assert!(text(&gb, None).unwrap().contains(name));
        let (gb, ..) = encoding_rs::GBK.encode("<a>张三</a>");
        assert!(text(&gb, None).unwrap().contains(name));
        assert!(text(&gb, Some("gbk")).unwrap().contains(name));
        let mut utf16 = vec![0xff, 0xfe];
        utf16.extend("<a>张三</a>".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(text(&utf16, None).unwrap(), "<a>张三</a>");
        assert_eq!(text("\u{feff}<a/>".as_bytes(), None).unwrap(), "<a/>");
        assert_eq!(text(b"<?xml encoding=\"klingon\"?><a>\xe9</a>", None), Err(Fault::Charset));
        assert_eq!(text(b"<?xml encoding=\"iso-8859-1\"?><a>\xe9</a>", None).unwrap().matches('é').count(), 1);
        assert_eq!(text(b"<?xml encoding=\"UTF-16\"?><a/>", None).unwrap().len(), 29);
        assert_eq!(text(&vec![b' '; SIZE + 1], None), Err(Fault::Size));
        assert_eq!(text(b"\x81", None), Err(Fault::Charset));
    }
}
