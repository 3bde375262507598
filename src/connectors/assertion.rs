//! Signed statements about ourselves (JSON Web Tokens, RFC 7519, in their compact form, RFC 7515) that a token endpoint takes in place of a password: as the grant
//! (RFC 7523 section 2.1) and as proof of the client (section 2.2; OpenID Connect Core section 9).
//!
//! Keys are ring's by way of rustls, not those of RustCrypto's rsa: signing is what RUSTSEC-2023-0071 is about, and ring does it in constant time.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use rustls::{SignatureScheme, sign::SigningKey};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

use crate::private::Secret;

use super::{
    file::Algorithm,
    sign::{EXAMPLE_SECRET, Stamp},
};

/// What is said, and who signs it. The text itself is made for each request.
#[derive(Clone)]
pub struct Assertion {
    key: Key,
    /// `alg` and `typ` first, then the file's.
    header: String,
    /// Those that stay the same.
    claims: BTreeMap<String, Json>,
    lives_s: i64,
}

#[derive(Clone)]
enum Key {
    Shared(Secret),
    Own(Arc<dyn SigningKey>, SignatureScheme),
    /// In examples of a file nothing is signed: no key is there.
    Example,
}

impl Assertion {
    /// `header` and `claims` are the file's, with what a claim is when the file does not say it; null leaves one out.
    ///
    /// # Errors
    /// Why the key is none for this algorithm; nothing of it is repeated.
    pub fn new(
        algorithm: Algorithm,
        key: &Secret,
        header: &BTreeMap<String, String>,
        claims: BTreeMap<String, Json>,
        lives_s: u32,
    ) -> Result<Self, &'static str> {
        let key = match algorithm {
            _ if key.expose() == EXAMPLE_SECRET => Key::Example,
            Algorithm::HS256 => Key::Shared(key.clone()),
            Algorithm::RS256 => own(key, SignatureScheme::RSA_PKCS1_SHA256, "no private RSA key in PEM")?,
            Algorithm::ES256 => own(key, SignatureScheme::ECDSA_NISTP256_SHA256, "no private P-256 key in PEM")?,
        };
        let mut head =
            Map::from_iter([("alg".to_owned(), json!(algorithm.as_str())), ("typ".to_owned(), json!("JWT"))]);
        head.extend(header.iter().map(|(name, value)| (name.clone(), json!(value))));
        Ok(Self { key, header: encoded(Json::Object(head).to_string().as_bytes()), claims, lives_s: lives_s.into() })
    }

    /// The statement for one request. `nth`: of several in it, for each needs an id of its own.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn made(&self, stamp: Stamp, nth: u8) -> Result<String, String> {
        let at = stamp.ms / 1000;
        let id = format!("{:032x}", stamp.nonce.wrapping_add(nth.into()));
        let mut claims = Map::from_iter([
            ("iat".to_owned(), json!(at)),
            ("exp".to_owned(), json!(at.saturating_add(self.lives_s))),
            ("jti".to_owned(), json!(id)),
        ]);
        claims.extend(self.claims.iter().map(|(name, value)| (name.clone(), value.clone())));
        claims.retain(|_, value| !value.is_null());
        let said = format!("{}.{}", self.header, encoded(Json::Object(claims).to_string().as_bytes()));
        let refused = || "the key does not sign".to_owned();
        let signature = match &self.key {
            Key::Example => return Ok(format!("{said}.{EXAMPLE_SECRET}")),
            Key::Shared(secret) => {
                let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(|_| refused())?;
                mac.chain_update(said.as_bytes()).finalize().into_bytes().to_vec()
            }
            Key::Own(key, scheme) => {
                let signer = key.choose_scheme(&[*scheme]).ok_or_else(refused)?;
                let signature = signer.sign(said.as_bytes()).map_err(|_| refused())?;
                if *scheme == SignatureScheme::RSA_PKCS1_SHA256 {
                    signature
                } else {
                    fixed(&signature).ok_or_else(refused)?
                }
            }
        };
        Ok(format!("{said}.{}", encoded(&signature)))
    }
}

fn own(key: &Secret, scheme: SignatureScheme, wrong: &'static str) -> Result<Key, &'static str> {
    let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| wrong)?;
    let key = rustls::crypto::ring::sign::any_supported_type(&der).map_err(|_| wrong)?;
    key.choose_scheme(&[scheme]).ok_or(wrong)?;
    Ok(Key::Own(key, scheme))
}

/// TLS writes an ECDSA signature as a DER sequence of two integers; RFC 7518 section 3.4 wants both with 32 bytes.
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    let [0x30, length, rest @ ..] = der else { return None };
    if usize::from(*length) != rest.len() {
        return None;
    }
    let mut rest = rest;
    let mut both = Vec::with_capacity(64);
    for _ in 0..2 {
        let [0x02, length, after @ ..] = rest else { return None };
        let (number, after) = after.split_at_checked(usize::from(*length))?;
        // A leading zero keeps it positive; fewer bytes are a small number.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        both.resize(both.len() + 32_usize.checked_sub(number.len())?, 0);
        both.extend_from_slice(number);
        rest = after;
    }
    rest.is_empty().then_some(both)
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_key_signs_as_in_the_rfc() {
        // RFC 7515 appendix A.1 in shape; the signature of this one by Python's hmac.
        let claims = BTreeMap::from([("iss".to_owned(), json!("joe")), ("jti".to_owned(), Json::Null)]);
        let key = Secret::new("s3cret".to_owned());
        let made = Assertion::new(Algorithm::HS256, &key, &BTreeMap::new(), claims, 60).unwrap();
        let text = made.made(Stamp::example(), 0).unwrap();
        let parts: Vec<_> = text.split('.').collect();
        let decoded = |n: usize| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[n]).unwrap();
        assert_eq!(decoded(0), br#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(decoded(1), br#"{"exp":1767225660,"iat":1767225600,"iss":"joe"}"#);
        assert_eq!(parts[2], PYTHON);
    }
    const PYTHON: &str = "BZKN1OGq3lsEhNty67nD5jMKsfbNNufY1R4A5WgdD58";

    #[test]
    fn a_signature_of_tls_becomes_two_numbers_of_one_length() {
        let small = [&[0x30, 0x26, 0x02, 0x01, 0x07, 0x02, 0x21, 0x00][..], &[0xff; 32]].concat();
        let both = fixed(&small).unwrap();
        assert_eq!((both.len(), both[31], both[32], both[63]), (64, 7, 0xff, 0xff));
        for wrong in [&small[..39], &[0x30, 0x03, 0x02, 0x05, 0x01], &[]] {
            assert_eq!(fixed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_told_without_it() {
        let key = Secret::new("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned());
        for algorithm in [Algorithm::RS256, Algorithm::ES256] {
            let made = Assertion::new(algorithm, &key, &BTreeMap::new(), BTreeMap::new(), 60);
            assert!(made.is_err_and(|why| why.contains("in PEM")));
        }
    }
}
