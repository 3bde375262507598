//! `application/dialog-info+xml` (RFC 4235 section 4): what the dialogs of one entity are, as one notifier tells it.
//!
//! Read as switches write it, not only as the RFC says (facts: RFC's own examples use `reason` for `event` and `receiver` for `recipient`; Asterisk and FreeSWITCH
//! write `pvalue` for `pval`; states come in any case; anything but the id may be missing). What is said here is what stood there; what it
//! means is decided in `dialogs.rs`.

use std::borrow::Cow;

use super::xml::{self, Fault, Node, Xml};

/// The namespace, any prefix.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:dialog-info";
/// Dialogs of one entity. A person has a handful; a queue or a DID as entity may have some hundred.
pub const DIALOGS: usize = 512;

/// One document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogInfo<'b> {
    /// Absent where it is no number: then the order of arrival counts.
    pub version: Option<u32>,
    /// Only what changed is listed. Else: all there is, or all that the notifier happens to pass on.
    pub partial: bool,
    /// A URI; empty where the document has none (an example of the RFC has none).
    pub entity: Cow<'b, str>,
    pub dialogs: Vec<Dialog<'b>>,
}

/// One dialog as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialog<'b> {
    pub id: Cow<'b, str>,
    pub call_id: Option<Cow<'b, str>>,
    pub local_tag: Option<Cow<'b, str>>,
    pub remote_tag: Option<Cow<'b, str>>,
    pub direction: Option<Direction>,
    /// Absent: not told, or a word that is not known.
    pub state: Option<State>,
    /// Why it came to this state.
    pub event: Option<Reason>,
    /// The SIP status behind it.
    pub code: Option<u16>,
    /// The call-id of the dialog that this one takes the place of.
    pub replaces: Option<Cow<'b, str>>,
    pub referred_by: Option<Cow<'b, str>>,
    /// Seconds since it began.
    pub duration: Option<u32>,
    pub local: Side<'b>,
    pub remote: Side<'b>,
}

/// What is told of one end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side<'b> {
    /// A URI, without a display form around it.
    pub identity: Option<Cow<'b, str>>,
    pub display: Option<Cow<'b, str>>,
    /// Where it really is: a Contact's URI.
    pub target: Option<Cow<'b, str>>,
    /// `+sip.rendering`: `Some(false)` is a hold by this end (RFC 4235 section 4.1.6.1 tells it of the target).
    pub rendering: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Initiator,
    Recipient,
}

/// The states of RFC 4235 section 3.7.1, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Trying,
    Proceeding,
    Early,
    Confirmed,
    Terminated,
}

/// The events of RFC 4235 section 4.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    Cancelled,
    Rejected,
    Replaced,
    LocalBye,
    RemoteBye,
    Error,
    Timeout,
}

/// Reads a body. `charset` is the parameter of its Content-Type.
///
/// # Errors
/// The body is refused; nothing of it counts.
pub fn read<'b>(body: &'b [u8], charset: Option<&str>) -> Result<DialogInfo<'b>, Fault> {
    match xml::text(body, charset)? {
        Cow::Borrowed(text) => document(text),
        // In another character set than ours: what is kept is then a copy.
        Cow::Owned(text) => document(&text).map(DialogInfo::into_owned),
    }
}

fn document(text: &str) -> Result<DialogInfo<'_>, Fault> {
    let mut xml = Xml::new(text, NAMESPACE);
    let mut info = DialogInfo::default();
    let mut path: Vec<At> = Vec::with_capacity(xml::DEPTH);
    let mut words = Cow::Borrowed("");
    loop {
        match xml.node()? {
            Node::Open(element) => {
                let at = step(path.last().copied(), element.name());
                if path.is_empty() && at != At::Info {
                    return Err(Fault::Foreign);
                }
                words = Cow::Borrowed("");
                open(&mut info, at, &xml)?;
                path.push(at);
            }
            Node::Text(part) => {
                if path.last().is_some_and(|at| at.has_words()) {
                    if words.is_empty() { words = part } else { words.to_mut().push_str(&part) }
                }
            }
            Node::Close => {
                if let Some(at) = path.pop().filter(|at| at.has_words())
                    && let Some(dialog) = info.dialogs.last_mut()
                {
                    close(dialog, at, std::mem::take(&mut words));
                }
            }
            Node::End => return Ok(info),
        }
    }
}

/// Where in the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Info,
    Dialog,
    State,
    Duration,
    Replaces,
    ReferredBy,
    Local,
    Remote,
    Identity { local: bool },
    Target { local: bool },
    Param { local: bool },
    Other,
}

impl At {
    fn has_words(self) -> bool {
        matches!(self, Self::State | Self::Duration | Self::ReferredBy | Self::Identity { .. })
    }
}

fn step(within: Option<At>, name: &str) -> At {
    match (within, name) {
        (None, "dialog-info") => At::Info,
        (Some(At::Info), "dialog") => At::Dialog,
        (Some(At::Dialog), "state") => At::State,
        (Some(At::Dialog), "duration") => At::Duration,
        (Some(At::Dialog), "replaces") => At::Replaces,
        (Some(At::Dialog), "referred-by") => At::ReferredBy,
        (Some(At::Dialog), "local") => At::Local,
        (Some(At::Dialog), "remote") => At::Remote,
        (Some(at @ (At::Local | At::Remote)), "identity") => At::Identity { local: at == At::Local },
        (Some(at @ (At::Local | At::Remote)), "target") => At::Target { local: at == At::Local },
        // Beside the target in the RFC's own example of section 6.2, where it belongs inside.
        (Some(at @ (At::Local | At::Remote)), "param") => At::Param { local: at == At::Local },
        (Some(At::Target { local }), "param") => At::Param { local },
        _ => At::Other,
    }
}

fn open<'b>(info: &mut DialogInfo<'b>, at: At, xml: &Xml<'b>) -> Result<(), Fault> {
    match at {
        At::Info => xml.attributes(|name, value| match name {
            "version" => info.version = value.trim().parse().ok(),
            "state" => info.partial = value.trim().eq_ignore_ascii_case("partial"),
            "entity" => info.entity = filled(value).unwrap_or_default(),
            _ => {}
        }),
        At::Dialog => {
            if info.dialogs.len() >= DIALOGS {
                return Err(Fault::Count);
            }
            let mut dialog = Dialog::default();
            xml.attributes(|name, value| match name {
                "id" => dialog.id = value,
                "call-id" => dialog.call_id = filled(value),
                "local-tag" => dialog.local_tag = filled(value),
                "remote-tag" => dialog.remote_tag = filled(value),
                "direction" => {
                    dialog.direction = match &*value {
                        "initiator" => Some(Direction::Initiator),
                        "recipient" | "receiver" => Some(Direction::Recipient),
                        _ => None,
                    }
                }
                _ => {}
            })?;
            info.dialogs.push(dialog);
            Ok(())
        }
        At::Other | At::Local | At::Remote | At::Duration | At::ReferredBy => Ok(()),
        At::State | At::Replaces | At::Identity { .. } | At::Target { .. } | At::Param { .. } => {
            let Some(dialog) = info.dialogs.last_mut() else { return Ok(()) };
            within(dialog, at, xml)
        }
    }
}

fn within<'b>(dialog: &mut Dialog<'b>, at: At, xml: &Xml<'b>) -> Result<(), Fault> {
    match at {
        At::State => xml.attributes(|name, value| match name {
            "event" | "reason" => dialog.event = Reason::read(value.trim()),
            "code" => dialog.code = value.trim().parse().ok().filter(|code| (100..700).contains(code)),
            _ => {}
        }),
        At::Replaces => xml.attributes(|name, value| {
            if name == "call-id" {
                dialog.replaces = filled(value);
            }
        }),
        At::Identity { local } => {
            let side = dialog.side(local);
            xml.attributes(|name, value| {
                if name == "display" {
                    side.display = filled(value);
                }
            })
        }
        At::Target { local } => {
            let side = dialog.side(local);
            xml.attributes(|name, value| {
                if name == "uri" {
                    side.target = filled(value);
                }
            })
        }
        At::Param { local } => {
            let (mut rendering, mut no) = (false, None);
            xml.attributes(|name, value| match name {
                "pname" => rendering = value.trim().eq_ignore_ascii_case("+sip.rendering"),
                "pval" | "pvalue" => no = Some(value.trim().eq_ignore_ascii_case("no")),
                _ => {}
            })?;
            if let Some(no) = no.filter(|_| rendering) {
                dialog.side(local).rendering = Some(!no);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn close<'b>(dialog: &mut Dialog<'b>, at: At, words: Cow<'b, str>) {
    match at {
        At::State => dialog.state = State::read(words.trim()),
        At::Duration => dialog.duration = words.trim().parse().ok(),
        At::ReferredBy => dialog.referred_by = Some(part(&words, uri_of)).filter(|uri| !uri.is_empty()),
        At::Identity { local } => {
            let side = dialog.side(local);
            if side.display.is_none() {
                side.display = Some(part(&words, display_of)).filter(|name| !name.is_empty());
            }
            side.identity = Some(part(&words, uri_of)).filter(|uri| !uri.is_empty());
        }
        _ => {}
    }
}

/// A part of a text, borrowed from where the text is.
fn part<'b>(text: &Cow<'b, str>, of: fn(&str) -> &str) -> Cow<'b, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(of(text)),
        Cow::Owned(text) => Cow::Owned(of(text).to_owned()),
    }
}

/// A copy that needs nobody.
fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl DialogInfo<'_> {
    fn into_owned(self) -> DialogInfo<'static> {
        DialogInfo {
            version: self.version,
            partial: self.partial,
            entity: own(self.entity),
            dialogs: self.dialogs.into_iter().map(Dialog::into_owned).collect(),
        }
    }
}

impl Dialog<'_> {
    fn into_owned(self) -> Dialog<'static> {
        Dialog {
            id: own(self.id),
            call_id: self.call_id.map(own),
            local_tag: self.local_tag.map(own),
            remote_tag: self.remote_tag.map(own),
            replaces: self.replaces.map(own),
            referred_by: self.referred_by.map(own),
            local: self.local.into_owned(),
            remote: self.remote.into_owned(),
            direction: self.direction,
            state: self.state,
            event: self.event,
            code: self.code,
            duration: self.duration,
        }
    }
}

impl Side<'_> {
    fn into_owned(self) -> Side<'static> {
        Side {
            identity: self.identity.map(own),
            display: self.display.map(own),
            target: self.target.map(own),
            rendering: self.rendering,
        }
    }

    /// What was told first stays: later bodies often have less. What they show of a hold is of now.
    pub(super) fn learn(&mut self, told: Side<'_>) {
        for (known, told) in [
            (&mut self.identity, told.identity),
            (&mut self.display, told.display),
            // Later bodies put the identity in its place (Kamailio): the first is the device.
            (&mut self.target, told.target),
        ] {
            if known.is_none() {
                *known = told.map(own);
            }
        }
        self.rendering = told.rendering;
    }
}

impl<'b> Dialog<'b> {
    fn side(&mut self, local: bool) -> &mut Side<'b> {
        if local { &mut self.local } else { &mut self.remote }
    }
}

impl State {
    /// Any case; `None` for a word that is not known.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        const WORDS: [(&str, State); 5] = [
            ("confirmed", State::Confirmed),
            ("early", State::Early),
            ("terminated", State::Terminated),
            ("trying", State::Trying),
            ("proceeding", State::Proceeding),
        ];
        WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, state)| *state)
    }
}

impl Reason {
    fn read(word: &str) -> Option<Self> {
        const WORDS: [(&str, Reason); 7] = [
            ("cancelled", Reason::Cancelled),
            ("rejected", Reason::Rejected),
            ("replaced", Reason::Replaced),
            ("local-bye", Reason::LocalBye),
            ("remote-bye", Reason::RemoteBye),
            ("error", Reason::Error),
            ("timeout", Reason::Timeout),
        ];
        WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, reason)| *reason)
    }
}

impl Side<'_> {
    /// The caller withheld it (RFC 3323 section 4.1.1.3; `anonymous@anonymous.invalid`, FreeSWITCH too).
    #[must_use]
    pub fn withheld(&self) -> bool {
        let Some(uri) = &self.identity else { return false };
        let host = uri.rsplit_once('@').map_or("", |(_, host)| host);
        let host = host.split([';', ':', '>']).next().unwrap_or_default();
        host.eq_ignore_ascii_case("anonymous.invalid")
            || user(uri).is_some_and(|user| user.eq_ignore_ascii_case("anonymous"))
    }
}

fn filled(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let trimmed = part(&value, str::trim);
    (!trimmed.is_empty()).then_some(trimmed)
}

/// The URI in `"Wang Fang" <sip:1001@example.com>;tag=x`, or the text itself.
fn uri_of(text: &str) -> &str {
    match text.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or(rest, |(uri, _)| uri).trim(),
        None => text.trim(),
    }
}

fn display_of(text: &str) -> &str {
    text.rsplit_once('<').map_or("", |(name, _)| name.trim().trim_matches('"').trim())
}

/// Who a URI names: its user part, unescaped, without parameters and password. A `tel:` number without its separators. `None` for a host alone.
#[must_use]
pub fn user(uri: &str) -> Option<String> {
    let uri = uri_of(uri);
    let (scheme, rest) = match uri.split_once(':') {
        Some((scheme, rest)) if ["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            (Some(scheme), rest)
        }
        _ => (None, uri),
    };
    let named = match (scheme, rest.split_once('@')) {
        (Some(scheme), _) if scheme.eq_ignore_ascii_case("tel") => {
            let number = rest.split(';').next().unwrap_or_default();
            return Some(number.chars().filter(|c| !"-.() ".contains(*c)).collect()).filter(|n: &String| !n.is_empty());
        }
        (_, Some((named, _))) => named,
        // A bare name or number is somebody; behind `sip:` it is a host.
        (None, None) => rest,
        (Some(_), None) => return None,
    };
    let named = named.split([';', ':']).next().unwrap_or_default();
    (!named.is_empty()).then(|| unescaped(named).into_owned())
}

/// `%2B` is `+`. What is no escape stays; bytes that are no text become marks.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|c| char::from(*c).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(inside: &str) -> DialogInfo<'static> {
        let text = format!(
            "<dialog-info xmlns='{NAMESPACE}' version='1' state='full' entity='sip:a@x'>{inside}</dialog-info>"
        );
        read(text.as_bytes(), None).unwrap().into_owned()
    }

    #[test]
    fn everything_that_is_told_of_a_dialog() {
        let info = doc("<dialog id='i' call-id='c' local-tag='l' remote-tag='r' direction='receiver'>
            <state event='rejected' code='486'>Terminated</state><duration>274</duration>
            <replaces call-id='old' local-tag='a' remote-tag='b'/><referred-by display='B'> sip:b@x </referred-by>
            <local><target uri='sip:a@1.2.3.4'><param pname='+sip.rendering' pvalue='no'/></target></local>
            <remote><identity display='张 &amp; 三'>sip:%2B8613800138000;cpc=ordinary@carrier.example:5061</identity></remote>
            <x:more xmlns:x='urn:x'><state>early</state></x:more></dialog>");
        let [dialog] = info.dialogs.as_slice() else { panic!("{info:?}") };
        assert_eq!((info.version, info.partial, &*info.entity), (Some(1), false, "sip:a@x"));
        assert_eq!((&*dialog.id, dialog.call_id.as_deref()), ("i", Some("c")));
        assert_eq!(
            (dialog.state, dialog.event, dialog.code),
            (Some(State::Terminated), Some(Reason::Rejected), Some(486))
        );
        assert_eq!((dialog.direction, dialog.duration), (Some(Direction::Recipient), Some(274)));
        assert_eq!((dialog.replaces.as_deref(), dialog.referred_by.as_deref()), (Some("old"), Some("sip:b@x")));
        assert_eq!((dialog.local.rendering, dialog.remote.rendering), (Some(false), None));
        assert_eq!(dialog.remote.display.as_deref(), Some("张 & 三"));
        assert_eq!(user(dialog.remote.identity.as_deref().unwrap()).as_deref(), Some("+8613800138000"));
    }

    #[test]
    fn identities_in_display_form() {
        let info = doc("<dialog id='i'><remote><identity>\"Wang\" &lt;sip:1@x>;tag=t</identity></remote></dialog>");
        let remote = &info.dialogs[0].remote;
        assert_eq!((remote.identity.as_deref(), remote.display.as_deref()), (Some("sip:1@x"), Some("Wang")));
    }

    #[test]
    fn who_a_uri_names() {
        for (uri, named) in [
            ("sip:1001@pbx.lab", Some("1001")),
            ("SIPS:1001:secret@pbx.lab;transport=tls", Some("1001")),
            ("sip:+86%31;rn=2@x", Some("+861")),
            ("tel:+86-138(0013)8000;phone-context=x", Some("+8613800138000")),
            ("<sip:1001@x>", Some("1001")),
            ("1001", Some("1001")),
            ("sip:pbx.lab", None),
            ("sip:@x", None),
            ("", None),
            ("sip:%@x", Some("%")),
            ("sip:%ff@x", Some("\u{fffd}")),
        ] {
            assert_eq!(user(uri).as_deref(), named, "{uri}");
        }
        let side = |uri: &str| Side { identity: Some(uri.to_owned().into()), ..Side::default() };
        assert!(side("sip:anonymous@anonymous.invalid").withheld());
        assert!(side("sip:Anonymous@carrier.example").withheld());
        assert!(!side("sip:1001@x").withheld());
    }

    #[test]
    fn what_is_no_dialog_info_is_refused() {
        let refused = |text: &str| read(text.as_bytes(), None).unwrap_err();
        assert_eq!(refused("<presence xmlns='urn:ietf:params:xml:ns:pidf'/>"), Fault::Foreign);
        assert_eq!(refused("<dialog-info xmlns='urn:other'/>"), Fault::Foreign);
        assert_eq!(refused(""), Fault::Broken);
        let many = format!("<dialog-info>{}</dialog-info>", "<dialog id='1'/>".repeat(DIALOGS + 1));
        assert_eq!(refused(&many), Fault::Count);
        // Numbers that are none are not told; a number with more digits than a version has is none.
        let odd = read(b"<dialog-info version='99999999999' state='FULL'><dialog><state code='9'>odd</state></dialog></dialog-info>", None);
        let odd = odd.unwrap();
        assert_eq!((odd.version, odd.dialogs[0].code, odd.dialogs[0].state), (None, None, None));
    }
}
