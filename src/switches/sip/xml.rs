//! The XML of NOTIFY bodies, read without trust: no DTD, no entity but the five and numbers, a limit to size, depth and count, any namespace prefix, any
//! declared character set. Who uses it sees elements, texts and ends, and never needs to recurse.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::{
    Reader,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesStart, Event},
};

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

/// An element's beginning.
#[derive(Debug)]
pub struct Element<'a> {
    start: BytesStart<'a>,
    /// Of the namespace that is read; others are extensions.
    pub ours: bool,
}

impl Element<'_> {
    /// The name without its prefix; empty for an extension's, so that it fits nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.ours { self.start.local_name().into_inner() } else { "" }
    }

    /// Hands over each attribute: its local name and its value with references resolved. Those of other namespaces and declarations are left out.
    ///
    /// # Errors
    /// A broken or repeated attribute, an unknown entity, too many.
    pub fn attributes(&self, mut each: impl FnMut(&str, Cow<'_, str>)) -> Result<(), Fault> {
        for (n, attribute) in self.start.attributes().enumerate() {
            if n >= ATTRIBUTES {
                return Err(Fault::Count);
            }
            let attribute = attribute.map_err(|_| Fault::Broken)?;
            let key: &str = attribute.key.as_ref();
            if key.contains(':') || key == "xmlns" {
                continue;
            }
            each(key, unescape(&attribute.value).map_err(|_| Fault::Entity)?);
        }
        Ok(())
    }
}

/// A document that is read node by node.
#[derive(Debug)]
pub struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    namespace: &'static str,
    /// At which depth a prefix (empty: none) was declared, and whether it is ours.
    scopes: Vec<(usize, Box<str>, bool)>,
    depth: usize,
    elements: usize,
    /// The last was `<a/>`: its end is owed.
    closing: bool,
    rooted: bool,
}

impl<'a> Xml<'a> {
    #[must_use]
    pub fn new(text: &'a str, namespace: &'static str) -> Self {
        Self {
            reader: Reader::from_str(text),
            namespace,
            scopes: Vec::new(),
            depth: 0,
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
            return match self.reader.read_event().map_err(|_| Fault::Broken)? {
                Event::Start(start) => self.open(start).map(Node::Open),
                Event::Empty(start) => {
                    self.closing = true;
                    self.open(start).map(Node::Open)
                }
                Event::End(_) => {
                    self.close();
                    Ok(Node::Close)
                }
                Event::Text(text) => Ok(Node::Text(text.into_inner())),
                Event::CData(text) => Ok(Node::Text(text.into_inner())),
                Event::GeneralRef(reference) => {
                    if let Some(c) = reference.resolve_char_ref().map_err(|_| Fault::Entity)? {
                        return Ok(Node::Text(Cow::Owned(c.to_string())));
                    }
                    let known = resolve_predefined_entity(&reference.xml10_content()).ok_or(Fault::Entity)?;
                    Ok(Node::Text(Cow::Borrowed(known)))
                }
                Event::DocType(_) => Err(Fault::Dtd),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
                Event::Eof if self.depth == 0 && self.rooted => Ok(Node::End),
                Event::Eof => Err(Fault::Broken),
            };
        }
    }

    fn open(&mut self, start: BytesStart<'a>) -> Result<Element<'a>, Fault> {
        self.elements += 1;
        if self.elements > ELEMENTS {
            return Err(Fault::Count);
        }
        if self.depth >= DEPTH {
            return Err(Fault::Depth);
        }
        if self.depth == 0 && std::mem::replace(&mut self.rooted, true) {
            return Err(Fault::Broken);
        }
        self.depth += 1;
        if start.attributes_raw().contains("xmlns") {
            for (n, attribute) in start.attributes().enumerate() {
                if n >= ATTRIBUTES {
                    return Err(Fault::Count);
                }
                let attribute = attribute.map_err(|_| Fault::Broken)?;
                let key: &str = attribute.key.as_ref();
                let prefix = match key.strip_prefix("xmlns") {
                    Some("") => "",
                    Some(rest) => match rest.strip_prefix(':') {
                        Some(prefix) => prefix,
                        None => continue,
                    },
                    None => continue,
                };
                self.scopes.push((self.depth, prefix.into(), attribute.value.trim() == self.namespace));
            }
        }
        let name = start.name();
        let name: &str = name.as_ref();
        let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
        let declared = self.scopes.iter().rev().find(|(_, known, _)| **known == *prefix).map(|(.., ours)| *ours);
        // Without any declaration the plain names are meant.
        let ours = declared.unwrap_or(prefix.is_empty());
        Ok(Element { start, ours })
    }

    fn close(&mut self) {
        while self.scopes.last().is_some_and(|(depth, ..)| *depth >= self.depth) {
            self.scopes.pop();
        }
        self.depth = self.depth.saturating_sub(1);
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
                    element.attributes(|_, _| ())?;
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
