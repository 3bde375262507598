//! `application/rlmi+xml` (RFC 4662 section 5): which members a list has, and which part of the body tells of each.

use super::xml::{self, Fault, Node, Xml};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:rlmi";

/// One notification's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    pub uri: String,
    /// Absent where it is no number.
    pub version: Option<u32>,
    /// All members are listed, not only those of which something changed.
    pub full: bool,
    pub resources: Vec<Resource>,
}

/// A member. Without an instance nothing is known of it (section 5.3): that is not idle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    pub uri: String,
    pub instances: Vec<Instance>,
}

/// One subscription that the list server has for the member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub state: Standing,
    /// Why it ended.
    pub reason: Option<String>,
    /// The Content-ID of the part that tells of it; absent where this notification has none.
    pub cid: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    #[default]
    Active,
    Pending,
    Terminated,
}

/// Reads the first part of a list's body.
///
/// # Errors
/// The body is refused; nothing of it counts.
pub fn read(body: &[u8], charset: Option<&str>) -> Result<List, Fault> {
    let text = xml::text(body, charset)?;
    let mut xml = Xml::new(&text, NAMESPACE);
    let mut list = List::default();
    // The names that are read are three, each in its own depth.
    let mut path: Vec<Within> = Vec::with_capacity(xml::DEPTH);
    loop {
        match xml.node()? {
            Node::Open(element) => {
                let at = match (path.last(), element.name()) {
                    (None, "list") => {
                        xml.attributes(|name, value| match name {
                            "uri" => list.uri = value.into_owned(),
                            "version" => list.version = value.trim().parse().ok(),
                            "fullState" => list.full = matches!(value.trim(), "true" | "1"),
                            _ => {}
                        })?;
                        Within::List
                    }
                    (None, _) => return Err(Fault::Foreign),
                    (Some(Within::List), "resource") => {
                        let mut resource = Resource::default();
                        xml.attributes(|name, value| {
                            if name == "uri" {
                                resource.uri = value.into_owned();
                            }
                        })?;
                        list.resources.push(resource);
                        Within::Resource
                    }
                    (Some(Within::Resource), "instance") => {
                        let mut instance = Instance::default();
                        xml.attributes(|name, value| match name {
                            "id" => instance.id = value.into_owned(),
                            "state" => {
                                instance.state = match &*value {
                                    "terminated" => Standing::Terminated,
                                    "pending" => Standing::Pending,
                                    _ => Standing::Active,
                                }
                            }
                            "reason" => instance.reason = Some(value.into_owned()),
                            "cid" => instance.cid = Some(value.trim_start_matches("cid:").to_owned()),
                            _ => {}
                        })?;
                        if let Some(resource) = list.resources.last_mut() {
                            resource.instances.push(instance);
                        }
                        Within::Other
                    }
                    _ => Within::Other,
                };
                path.push(at);
            }
            Node::Close => {
                path.pop();
            }
            Node::Text(_) => {}
            Node::End => return Ok(list),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    List,
    Resource,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 4662 section 5.5, shortened.
    #[test]
    fn members_and_their_instances() {
        let text = "<?xml version='1.0' encoding='UTF-8'?>
            <list xmlns='urn:ietf:params:xml:ns:rlmi' uri='sip:adam-friends@pres.vancouver.example.com' version='1' fullState='true'>
             <name xml:lang='en'>Buddy List</name>
             <resource uri='sip:bob@vancouver.example.com'><name>Bob Smith</name>
              <instance id='juwigmtboe' state='active' cid='bUZBsM@pres.vancouver.example.com'/></resource>
             <resource uri='sip:dave@vancouver.example.com'/>
             <resource uri='sip:ed@dallas.example.net'>
              <instance id='a' state='terminated' reason='rejected'/><instance id='b' state='pending'/></resource></list>";
        let list = read(text.as_bytes(), None).unwrap();
        assert_eq!((list.version, list.full, list.resources.len()), (Some(1), true, 3));
        assert_eq!(list.resources[0].instances[0].cid.as_deref(), Some("bUZBsM@pres.vancouver.example.com"));
        assert!(list.resources[1].instances.is_empty());
        let [one, two] = list.resources[2].instances.as_slice() else { panic!() };
        assert_eq!(
            (one.state, one.reason.as_deref(), two.state),
            (Standing::Terminated, Some("rejected"), Standing::Pending)
        );
        assert_eq!(read(b"<lists/>", None), Err(Fault::Foreign));
        assert_eq!(read(b"<!DOCTYPE list><list/>", None), Err(Fault::Dtd));
    }
}
