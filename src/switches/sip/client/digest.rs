//! Credentials: whose challenge is answered, with what, and when to stop (RFC 3261, 22; RFC 7616; RFC 8760).
//!
//! Credentials go out only for the realm that the settings name; the machine asks here only for responses of the peer that it resolved itself. A
//! refusal stops everything that would need these credentials: an account that is locked costs more than a wrong password noticed late.

use super::Credentials;
use crate::switches::sip::{
    value::{self, Params},
    wire::{self, Algorithm, Message},
};

/// What the server last gave, to be used again (RFC 7616, 3.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce {
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As written in the challenge: it is answered as offered.
    named: Option<String>,
    qop: bool,
    proxy: bool,
    count: u32,
}

/// What a 401 or 407 comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Try again with this.
    Retry(Nonce),
    /// Another realm than ours, or none that we can answer: no credentials.
    NotOurs,
    /// The password was wrong.
    Refused,
}

/// How the challenged request had been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Bare,
    /// With a nonce kept from before.
    Kept(String),
    /// In answer to a challenge of the same attempt.
    Challenged(String),
}

/// Looks at a 401 or 407.
#[must_use]
pub fn challenged(response: &Message, sent: &Sent, credentials: Option<&Credentials>) -> Answer {
    let Some(credentials) = credentials else { return Answer::NotOurs };
    let proxy = response.status() == Some(407);
    let name = if proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    // The first that we can answer, in the order given (RFC 8760, 2.4).
    let found = response.headers(name).into_iter().filter_map(params).find_map(|p| {
        (p.get("realm") == Some(&*credentials.realm)).then_some(())?;
        Some((nonce(&p, proxy)?, p.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"))))
    });
    let Some((nonce, stale)) = found else { return Answer::NotOurs };
    match sent {
        Sent::Bare => Answer::Retry(nonce),
        Sent::Kept(old) if stale || *old != nonce.nonce => Answer::Retry(nonce),
        // stale says that the password was right; the same nonce again would be the same answer again.
        Sent::Challenged(old) if stale && *old != nonce.nonce => Answer::Retry(nonce),
        Sent::Kept(_) | Sent::Challenged(_) => Answer::Refused,
    }
}

/// The nonce for the next request, if the server named one (RFC 7616, 3.5).
#[must_use]
pub fn next_nonce(response: &Message, used: &Nonce) -> Option<Nonce> {
    let info = value::comma_params(response.header("Authentication-Info")?)?;
    let nonce = info.get("nextnonce").filter(|n| !n.is_empty())?.to_owned();
    Some(Nonce { nonce, count: 0, ..used.clone() })
}

impl Nonce {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.nonce
    }

    /// Header name and value for one more request. Counts.
    pub fn header(
        &mut self,
        credentials: &Credentials,
        (method, uri): (&str, &str),
        cnonce: &str,
    ) -> Option<(&'static str, String)> {
        self.count = self.count.checked_add(1)?;
        let Credentials { user, realm, password } = credentials;
        let response = wire::digest(
            self.algorithm,
            (user, realm, password.expose()),
            (method, uri),
            &self.nonce,
            self.qop.then_some((self.count, cnonce)),
        )?;
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(user),
            quoted(realm),
            quoted(&self.nonce),
            quoted(uri)
        );
        if let Some(named) = &self.named {
            text.push_str(&format!(", algorithm={named}"));
        }
        if self.qop {
            text.push_str(&format!(", qop=auth, nc={:08x}, cnonce=\"{cnonce}\"", self.count));
        }
        if let Some(opaque) = &self.opaque {
            text.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        Some((if self.proxy { "Proxy-Authorization" } else { "Authorization" }, text))
    }
}

fn params(challenge: &str) -> Option<Params> {
    let (scheme, rest) = challenge.split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("Digest").then(|| value::comma_params(rest))?
}

/// `None`: an algorithm or a quality of protection that we do not have.
fn nonce(p: &Params, proxy: bool) -> Option<Nonce> {
    let named = p.get("algorithm").map(str::to_owned);
    let algorithm = match named.as_deref() {
        None => Algorithm::Md5,
        Some(name) if name.eq_ignore_ascii_case("MD5") => Algorithm::Md5,
        Some(name) if name.eq_ignore_ascii_case("SHA-256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    let qop = match p.get("qop").filter(|q| !q.trim().is_empty()) {
        None => false,
        Some(list) if list.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")) => true,
        // auth-int alone.
        Some(_) => return None,
    };
    let nonce = p.get("nonce").filter(|n| !n.is_empty())?.to_owned();
    Some(Nonce { nonce, opaque: p.get("opaque").map(str::to_owned), algorithm, named, qop, proxy, count: 0 })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::Secret;

    fn ours() -> Credentials {
        Credentials { user: "cti".into(), realm: "pbx.lab".into(), password: Secret::new("pw-cti".to_owned()) }
    }

    fn response(status: u16, challenges: &[&str]) -> Message {
        let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let lines: String = challenges.iter().map(|c| format!("{name}: {c}\r\n")).collect();
        let text = format!(
            "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 SUBSCRIBE\r\n{lines}\r\n"
        );
        wire::read(text.as_bytes()).unwrap()
    }

    fn retry(status: u16, challenges: &[&str]) -> Nonce {
        match challenged(&response(status, challenges), &Sent::Bare, Some(&ours())) {
            Answer::Retry(nonce) => nonce,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rogue_challenge_gets_nothing() {
        let other = response(401, &["Digest realm=\"elsewhere\", nonce=\"n\""]);
        assert_eq!(challenged(&other, &Sent::Bare, Some(&ours())), Answer::NotOurs);
        let ours_but_strange = response(
            401,
            &[
                "Digest realm=\"pbx.lab\", nonce=\"n\", qop=\"auth-int\"",
                "Basic realm=\"pbx.lab\"",
                "Digest realm=\"pbx.lab\", nonce=\"\"",
                "Digest realm=\"pbx.lab\", nonce=\"n\", algorithm=MD5-sess",
            ],
        );
        assert_eq!(challenged(&ours_but_strange, &Sent::Bare, Some(&ours())), Answer::NotOurs);
        let good = response(401, &["Digest realm=\"pbx.lab\", nonce=\"n\""]);
        assert_eq!(challenged(&good, &Sent::Bare, None), Answer::NotOurs);
    }

    #[test]
    fn the_first_challenge_that_we_can_answer_is_answered_as_offered() {
        let mut nonce = retry(
            401,
            &[
                "Digest realm=\"pbx.lab\", nonce=\"a\", algorithm=SHA-512-256, qop=\"auth\"",
                "Digest realm=\"pbx.lab\", nonce=\"awLVQGsC1SJbj1qe/KTqSm3d4rz0IlKw\", qop=\"auth\", algorithm=SHA-256, opaque=\"o\\\"p\"",
                "Digest realm=\"pbx.lab\", nonce=\"c\"",
            ],
        );
        let (name, text) = nonce.header(&ours(), ("SUBSCRIBE", "sip:1001@pbx.lab"), "vn5vuazsmpxj").unwrap();
        // The response is the one that a real Kamailio took: digest-sha256 of the recorded traces.
        assert_eq!(name, "Authorization");
        assert_eq!(
            text,
            "Digest username=\"cti\", realm=\"pbx.lab\", nonce=\"awLVQGsC1SJbj1qe/KTqSm3d4rz0IlKw\", uri=\"sip:1001@pbx.lab\", response=\"70b5aeb96352db93f147812851c1668e2992dca3dd77e99c53004ea4b30e24f8\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"vn5vuazsmpxj\", opaque=\"o\\\"p\""
        );
        for _ in 0..16 {
            nonce.header(&ours(), ("SUBSCRIBE", "sip:1001@pbx.lab"), "x").unwrap();
        }
        let (_, text) = nonce.header(&ours(), ("SUBSCRIBE", "sip:1001@pbx.lab"), "x").unwrap();
        assert!(text.contains("nc=00000012"), "nc is hexadecimal: {text}");
        let mut plain = retry(407, &["Digest realm=\"pbx.lab\", nonce=\"n\""]);
        let (name, text) = plain.header(&ours(), ("SUBSCRIBE", "sip:1001@pbx.lab"), "x").unwrap();
        assert!(
            name == "Proxy-Authorization"
                && !text.contains("qop")
                && !text.contains("algorithm")
                && !text.contains("nc="),
            "{text}"
        );
    }

    #[test]
    fn a_second_refusal_stops_unless_it_says_stale() {
        let again = |challenge: &str, sent: Sent| challenged(&response(401, &[challenge]), &sent, Some(&ours()));
        let (n, stale) =
            ("Digest realm=\"pbx.lab\", nonce=\"n2\"", "Digest realm=\"pbx.lab\", nonce=\"n2\", stale=TRUE");
        assert_eq!(again(n, Sent::Challenged("n1".into())), Answer::Refused);
        assert!(matches!(again(stale, Sent::Challenged("n1".into())), Answer::Retry(_)));
        assert_eq!(again(stale, Sent::Challenged("n2".into())), Answer::Refused);
        assert!(matches!(again(n, Sent::Kept("n1".into())), Answer::Retry(_)));
        assert_eq!(again(n, Sent::Kept("n2".into())), Answer::Refused);
    }

    #[test]
    fn the_next_nonce_is_taken_from_authentication_info() {
        let used = retry(401, &["Digest realm=\"pbx.lab\", nonce=\"n\", qop=\"auth\""]);
        let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 SUBSCRIBE\r\nAuthentication-Info: nextnonce=\"next\", qop=auth\r\n\r\n";
        let next = next_nonce(&wire::read(text.as_bytes()).unwrap(), &used).unwrap();
        assert_eq!((next.as_str(), next.count), ("next", 0));
    }
}
