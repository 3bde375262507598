//! The keys that tokens are checked with. Each key is good for exactly one algorithm, so that a token can never choose how a
//! key is used (a public RSA key taken as an HMAC secret is the classic).

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, JwkSet, KeyAlgorithm, PublicKeyUse},
};

use crate::private::Secret;

/// Every key that counts now.
#[derive(Default)]
pub struct Keys {
    pub(super) keys: Vec<Key>,
}

pub(super) struct Key {
    pub id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// Why a key set was not taken. Blames the settings or the issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the shared secret has {found} bytes; an HS256 secret has at least 32")]
    ShortSecret { found: usize },
    #[error("the key set is no JWKS document: {0}")]
    NoKeySet(String),
    #[error("the key set has no key for RS256 or ES256 signatures")]
    NoUsableKey,
}

impl Keys {
    /// One shared secret for HS256.
    ///
    /// # Errors
    /// [`Unfit::ShortSecret`]: RFC 7518 section 3.2 asks for 256 bits, and shorter ones are guessed off line.
    pub fn hs256(secret: &Secret) -> Result<Self, Unfit> {
        let bytes = secret.expose().as_bytes();
        if bytes.len() < 32 {
            return Err(Unfit::ShortSecret { found: bytes.len() });
        }
        let key = Key { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(bytes) };
        Ok(Self { keys: vec![key] })
    }

    /// The public keys of a JWKS document (RFC 7517). Keys that are not for RS256 or ES256 signatures are left out;
    /// symmetric ones always are.
    ///
    /// # Errors
    /// No JWKS, or nothing usable in it.
    pub fn jwks(json: &[u8]) -> Result<Self, Unfit> {
        let set: JwkSet = serde_json::from_slice(json).map_err(|e| Unfit::NoKeySet(e.to_string()))?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            let algorithm = match &jwk.algorithm {
                AlgorithmParameters::RSA(_) => Algorithm::RS256,
                AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
                _ => continue,
            };
            let named = match jwk.common.key_algorithm {
                None => true,
                Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
                Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
                Some(_) => false,
            };
            let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
            if !named || !signs {
                continue;
            }
            if let Ok(key) = DecodingKey::from_jwk(jwk) {
                keys.push(Key { id: jwk.common.key_id.clone(), algorithm, key });
            }
        }
        if keys.is_empty() { Err(Unfit::NoUsableKey) } else { Ok(Self { keys }) }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that a token of this header may have been signed with.
    pub(super) fn fitting<'a>(&'a self, algorithm: Algorithm, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| {
            key.algorithm == algorithm
                && match (&key.id, id) {
                    (Some(ours), Some(theirs)) => ours == theirs,
                    _ => true,
                }
        })
    }
}
