//! A directory as a business system, still: what is sent to it and what its answers mean (RFC 4511), with simple bind, StartTLS and paged results (RFC 2696).

pub mod ber;
pub mod filter;
pub mod live;

use base64::Engine as _;
use serde_json::{Map, Value as Json};

use super::{Outcome, run::Trouble};
use ber::{Elements, put, put_bytes, put_number};

/// StartTLS (RFC 4511, 4.14.1) and paged results (RFC 2696, section 2).
const STARTTLS: &str = "1.3.6.1.4.1.1466.20037";
const PAGED: &str = "1.2.840.113556.1.4.319";

/// A question to a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    pub step: String,
    pub base: String,
    pub scope: Scope,
    /// RFC 4515, with its values escaped.
    pub filter: String,
    pub attributes: Vec<String>,
    /// Entries in a page, and the cookie of the page before.
    pub page: Option<(u32, Option<String>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The entry that `base` names.
    Base,
    /// Those right below it.
    One,
    #[default]
    Sub,
}

/// What came in one message.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// An entry of a search, as JSON.
    Entry(Json),
    /// A pointer to another server, which is not followed.
    Elsewhere,
    /// The end of an operation: its result, and the cookie of the next page.
    Done { code: i32, cookie: Vec<u8> },
}

fn message(number: i32, write: impl FnOnce(&mut Vec<u8>), controls: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 0x30, |out| {
        put_number(out, 2, number);
        write(out);
        let mut inside = Vec::new();
        controls(&mut inside);
        if !inside.is_empty() {
            put_bytes(out, 0xa0, &inside);
        }
    });
    out
}

/// BindRequest of version 3 by name and password.
pub fn bind(number: i32, user: &str, password: &str) -> Vec<u8> {
    let write = |out: &mut Vec<u8>| {
        put(out, 0x60, |out| {
            put_number(out, 2, 3);
            put_bytes(out, 4, user.as_bytes());
            put_bytes(out, 0x80, password.as_bytes());
        });
    };
    message(number, write, |_| {})
}

pub fn starttls(number: i32) -> Vec<u8> {
    message(number, |out| put(out, 0x77, |out| put_bytes(out, 0x80, STARTTLS.as_bytes())), |_| {})
}

impl Search {
    /// The request; the server is given this many seconds, and asked for no more than `most` entries.
    ///
    /// # Errors
    /// The filter is none, or the cookie is none of ours.
    pub fn request(&self, number: i32, seconds: i32, most: i32) -> Result<Vec<u8>, String> {
        let mut filter = Vec::new();
        filter::put_filter(&mut filter, &self.filter)?;
        let page = match &self.page {
            None => None,
            Some((size, cookie)) => {
                let cookie =
                    cookie.as_deref().and_then(|cookie| cookie.split_once('.')).map_or("", |(_, cookie)| cookie);
                let cookie =
                    base64::engine::general_purpose::STANDARD.decode(cookie).map_err(|_| "the cookie is none")?;
                Some((i32::try_from(*size).unwrap_or(i32::MAX), cookie))
            }
        };
        let write = |out: &mut Vec<u8>| {
            put(out, 0x63, |out| {
                put_bytes(out, 4, self.base.as_bytes());
                let scope = match self.scope {
                    Scope::Base => 0,
                    Scope::One => 1,
                    Scope::Sub => 2,
                };
                put_number(out, 0x0a, scope);
                put_number(out, 0x0a, 0); // aliases are not followed
                put_number(out, 2, if page.is_some() { 0 } else { most });
                put_number(out, 2, seconds);
                put_bytes(out, 1, &[0]);
                out.extend_from_slice(&filter);
                put(out, 0x30, |out| self.attributes.iter().for_each(|name| put_bytes(out, 4, name.as_bytes())));
            });
        };
        let controls = |out: &mut Vec<u8>| {
            let Some((size, cookie)) = &page else { return };
            put(out, 0x30, |out| {
                put_bytes(out, 4, PAGED.as_bytes());
                // Critical: a server that cannot do it must not give a first part for the whole.
                put_bytes(out, 1, &[0xff]);
                put(out, 4, |out| {
                    put(out, 0x30, |out| {
                        put_number(out, 2, *size);
                        put_bytes(out, 4, cookie);
                    });
                });
            });
        };
        Ok(message(number, write, controls))
    }

    /// Reads the inside of a message that answers `number`. `Ok(None)`: it is of another, or of no meaning here.
    ///
    /// # Errors
    /// It is no LDAP, or holds what cannot be told on.
    pub fn read(&self, message: &[u8], number: i32) -> Result<Option<Told>, String> {
        let mut elements = Elements(message);
        if ber::number(elements.tagged(2)?)? != number {
            return Ok(None);
        }
        let operation = elements.next().ok_or("the message says nothing")??;
        match operation.tag {
            0x64 => self.entry(operation.inside).map(|entry| Some(Told::Entry(entry))),
            0x73 => Ok(Some(Told::Elsewhere)),
            0x65 => Ok(Some(Told::Done { code: code(operation.inside)?, cookie: cookie(elements)? })),
            _ => Ok(None),
        }
    }

    /// The entry as the file names its attributes: each a list, empty where the entry has none of it.
    fn entry(&self, inside: &[u8]) -> Result<Json, String> {
        let mut elements = Elements(inside);
        let dn = String::from_utf8(elements.tagged(4)?.to_vec()).map_err(|_| "an entry's name is no UTF-8")?;
        let mut map: Map<String, Json> =
            self.attributes.iter().map(|name| (name.clone(), Json::Array(Vec::new()))).collect();
        map.insert("dn".to_owned(), dn.into());
        for attribute in Elements(elements.tagged(0x30)?) {
            let mut parts = Elements(attribute?.inside);
            let name = String::from_utf8_lossy(parts.tagged(4)?);
            // Names of attributes have no case; options (`;lang-zh`) are part of them.
            let Some(wanted) = self.attributes.iter().find(|wanted| wanted.eq_ignore_ascii_case(&name)) else {
                continue;
            };
            let values = Elements(parts.tagged(0x31)?).map(|value| {
                String::from_utf8(value?.inside.to_vec())
                    .map(Json::from)
                    .map_err(|_| format!("the attribute \"{wanted}\" holds bytes: leave it out"))
            });
            map.insert(wanted.clone(), values.collect::<Result<Vec<_>, String>>()?.into());
        }
        Ok(map.into())
    }
}

/// The number of a message and the result code of what it answers.
///
/// # Errors
/// It is no LDAP.
pub fn result(message: &[u8]) -> Result<(i32, i32), String> {
    let mut elements = Elements(message);
    let number = ber::number(elements.tagged(2)?)?;
    let operation = elements.next().ok_or("the message says nothing")??;
    Ok((number, code(operation.inside)?))
}

fn code(inside: &[u8]) -> Result<i32, &'static str> {
    ber::number(Elements(inside).tagged(0x0a)?)
}

/// The cookie of the page's control, where there is one.
fn cookie(rest: Elements<'_>) -> Result<Vec<u8>, String> {
    for element in rest {
        let element = element?;
        if element.tag != 0xa0 {
            continue;
        }
        for control in Elements(element.inside) {
            let mut parts = Elements(control?.inside);
            if parts.tagged(4)? != PAGED.as_bytes() {
                continue;
            }
            if let Some(part) = parts.flatten().find(|part| part.tag == 4) {
                let mut page = Elements(Elements(part.inside).tagged(0x30)?);
                page.tagged(2)?;
                return Ok(page.tagged(4)?.to_vec());
            }
        }
    }
    Ok(Vec::new())
}

/// What a result code means (RFC 4511, appendix A.2); `None` for success.
pub fn trouble(name: &str, code: i32) -> Option<Trouble> {
    let told = |outcome| Some(Trouble::Told(outcome));
    let denied = |why: &str| told(Outcome::Denied { reason: format!("{name} {why} (result {code})") });
    match code {
        0 => None,
        // timeLimitExceeded, adminLimitExceeded, busy, unavailable.
        3 | 11 | 51 | 52 => told(Outcome::Busy { reason: format!("{name} cannot answer now (result {code})") }),
        4 => told(Outcome::Broken {
            reason: format!("{name} has more that fits than it gives at once: ask more exactly, or by pages"),
        }),
        // strongerAuthRequired, confidentialityRequired.
        8 | 13 => denied("wants TLS before anything is told"),
        // inappropriateAuthentication, invalidCredentials.
        48 | 49 => denied("does not let us in"),
        50 | 53 => denied("does not let us read this"),
        32 => told(Outcome::NotFound),
        // undefinedAttributeType, inappropriateMatching, invalidAttributeSyntax, invalidDNSyntax.
        17 | 18 | 21 | 34 => told(Outcome::Invalid { reason: format!("{name} refuses a value (result {code})") }),
        12 => Some(Trouble::Unusable(format!("{name} cannot give pages (result 12)"))),
        10 => Some(Trouble::Unusable(format!("{name} points to another server, which is not followed"))),
        _ => Some(Trouble::Unusable(format!("{name} failed with result {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn search() -> Search {
        Search {
            step: "s".to_owned(),
            base: "dc=x".to_owned(),
            scope: Scope::Sub,
            filter: "(uid=*)".to_owned(),
            attributes: vec!["Mobile".to_owned(), "cn".to_owned()],
            page: Some((2, Some("7.AQI=".to_owned()))),
        }
    }

    fn inside(message: &[u8]) -> &[u8] {
        ber::first(message).unwrap().unwrap().0.inside
    }

    #[test]
    fn what_is_asked_is_what_the_protocol_says() {
        assert_eq!(bind(1, "cn=a", "p"), b"\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04cn=a\x80\x01p");
        let request = search().request(2, 3, 101).unwrap();
        let control = b"\x30\x26\x04\x161.2.840.113556.1.4.319\x01\x01\xff\x04\x09\x30\x07\x02\x01\x02\x04\x02\x01\x02";
        assert!(request.ends_with(control), "{request:x?}");
        let head = b"\x63\x28\x04\x04dc=x\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x03\x01\x01\x00\x87\x03uid\x30\x0c\x04\x06Mobile\x04\x02cn";
        assert!(request.windows(head.len()).any(|part| part == head), "{request:x?}");
        assert!(Search { page: Some((2, Some("7.???".to_owned()))), ..search() }.request(2, 3, 101).is_err());
    }

    #[test]
    fn an_entry_has_the_attributes_that_the_file_names() {
        let mut out = Vec::new();
        let attribute = |out: &mut Vec<u8>, name: &str, values: &[&[u8]]| {
            put(out, 0x30, |out| {
                put_bytes(out, 4, name.as_bytes());
                put(out, 0x31, |out| values.iter().for_each(|value| put_bytes(out, 4, value)));
            });
        };
        let entry = |values: &[&[u8]]| {
            message(
                5,
                |out| {
                    put(out, 0x64, |out| {
                        put_bytes(out, 4, "uid=1,dc=x".as_bytes());
                        put(out, 0x30, |out| {
                            attribute(out, "mobile", values);
                            attribute(out, "jpegPhoto", &[&[0xff]]);
                        });
                    })
                },
                |_| {},
            )
        };
        out.extend(entry(&[b"138", b"139"]));
        let told = search().read(inside(&out), 5).unwrap();
        assert_eq!(told, Some(Told::Entry(json!({"dn": "uid=1,dc=x", "Mobile": ["138", "139"], "cn": []}))));
        assert_eq!(search().read(inside(&out), 6), Ok(None));
        let told = search().read(inside(&entry(&[&[0xff]])), 5).unwrap_err();
        assert!(told.contains("\"Mobile\" holds bytes"), "{told}");
        let done = message(
            5,
            |out| {
                put(out, 0x65, |out| {
                    put_number(out, 0x0a, 0);
                    put_bytes(out, 4, b"");
                    put_bytes(out, 4, b"");
                })
            },
            |out| {
                put(out, 0x30, |out| {
                    put_bytes(out, 4, PAGED.as_bytes());
                    put(out, 4, |out| {
                        put(out, 0x30, |out| {
                            put_number(out, 2, 0);
                            put_bytes(out, 4, &[1, 2]);
                        })
                    });
                })
            },
        );
        assert_eq!(search().read(inside(&done), 5), Ok(Some(Told::Done { code: 0, cookie: vec![1, 2] })));
    }

    #[test]
    fn results_are_judged_by_what_can_be_done() {
        for (code, wanted) in [
            (49, "denied"),
            (13, "denied"),
            (51, "busy"),
            (3, "busy"),
            (4, "broken"),
            (32, "not-found"),
            (21, "invalid"),
        ] {
            match trouble("ad", code) {
                Some(Trouble::Told(outcome)) => assert_eq!(outcome.word(), wanted, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
        assert_eq!(trouble("ad", 0), None);
        assert!(matches!(trouble("ad", 80), Some(Trouble::Unusable(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = search().read(&bytes, 5);
            let _ = result(&bytes);
        }
    }
}
