//! `application/reginfo+xml` (RFC 3680 section 5): where an agent's devices are registered. It tells a phone that is off from one that rests.
//!
//! The document's version is read and not believed: Kamailio 5.6.3 says 0 every time, and its registration's id is an address in memory (trace
//! reg-event).

use super::xml::{self, Fault, Node, Xml};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:reginfo";

/// One document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegInfo {
    pub version: Option<u32>,
    pub partial: bool,
    pub registrations: Vec<Registration>,
}

/// What is registered for one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    pub aor: String,
    pub state: Standing,
    pub contacts: Vec<Contact>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    pub id: String,
    pub uri: String,
    pub active: bool,
    /// `registered`, `created`, `refreshed`, `shortened`, `expired`, `deactivated`, `probation`, `unregistered`, `rejected`.
    pub event: String,
    /// Seconds that are left.
    pub expires: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    #[default]
    Init,
    Active,
    Terminated,
}

impl Registration {
    /// Whether a phone is there. A contact that went is listed once more as terminated.
    #[must_use]
    pub fn reachable(&self) -> bool {
        self.state == Standing::Active && self.contacts.iter().any(|c| c.active)
    }
}

/// Reads a body.
///
/// # Errors
/// The body is refused; nothing of it counts.
pub fn read(body: &[u8], charset: Option<&str>) -> Result<RegInfo, Fault> {
    let text = xml::text(body, charset)?;
    let mut xml = Xml::new(&text, NAMESPACE);
    let mut info = RegInfo::default();
    let mut path: Vec<Within> = Vec::with_capacity(xml::DEPTH);
    loop {
        match xml.node()? {
            Node::Open(element) => {
                let at = match (path.last(), element.name()) {
                    (None, "reginfo") => {
                        xml.attributes(|name, value| match name {
                            "version" => info.version = value.trim().parse().ok(),
                            "state" => info.partial = value.trim() == "partial",
                            _ => {}
                        })?;
                        Within::Info
                    }
                    (None, _) => return Err(Fault::Foreign),
                    (Some(Within::Info), "registration") => {
                        let mut registration = Registration::default();
                        xml.attributes(|name, value| match name {
                            "aor" => registration.aor = value.into_owned(),
                            "state" => {
                                registration.state = match value.trim() {
                                    "active" => Standing::Active,
                                    "terminated" => Standing::Terminated,
                                    _ => Standing::Init,
                                }
                            }
                            _ => {}
                        })?;
                        info.registrations.push(registration);
                        Within::Registration
                    }
                    (Some(Within::Registration), "contact") => {
                        let mut contact = Contact::default();
                        xml.attributes(|name, value| match name {
                            "id" => contact.id = value.into_owned(),
                            "state" => contact.active = value.trim() == "active",
                            "event" => contact.event = value.into_owned(),
                            "expires" => contact.expires = value.trim().parse().ok(),
                            _ => {}
                        })?;
                        if let Some(registration) = info.registrations.last_mut() {
                            registration.contacts.push(contact);
                        }
                        Within::Contact
                    }
                    (Some(Within::Contact), "uri") => Within::Uri,
                    _ => Within::Other,
                };
                path.push(at);
            }
            Node::Text(part) => {
                if path.last() == Some(&Within::Uri)
                    && let Some(contact) = info.registrations.last_mut().and_then(|r| r.contacts.last_mut())
                {
                    contact.uri.push_str(part.trim());
                }
            }
            Node::Close => {
                path.pop();
            }
            Node::End => return Ok(info),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Info,
    Registration,
    Contact,
    Uri,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_there_or_gone() {
        let text = |state: &str| {
            format!(
                "<reginfo xmlns='{NAMESPACE}' version='0' state='full'><registration aor='sip:1001@pbx.lab' id='0x7f' state='active'>
                <contact id='1' state='{state}' event='registered' expires='60'><uri>sip:1001@127.0.0.1;transport=udp&amp;x</uri>
                </contact></registration></reginfo>"
            )
        };
        let info = read(text("active").as_bytes(), None).unwrap();
        let [registration] = info.registrations.as_slice() else { panic!() };
        assert!(registration.reachable());
        assert_eq!(registration.contacts[0].uri, "sip:1001@127.0.0.1;transport=udp&x");
        assert_eq!((info.version, registration.contacts[0].expires), (Some(0), Some(60)));
        assert!(!read(text("terminated").as_bytes(), None).unwrap().registrations[0].reachable());
        assert_eq!(read(b"<dialog-info/>", None), Err(Fault::Foreign));
    }
}
