//! What a token must say. Required: `exp`, `iss`, `aud`, `sub`; `nbf` is obeyed when present; `tenant`, `roles`, `teams` and
//! `device` may be there. A claim of the wrong type refuses the whole token: guessing what an issuer meant is how people
//! get roles they do not have.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    private::{Private, Secret},
    words::{AgentId, TenantId, Wall},
};

use super::Keys;

/// Who a token says somebody is. Only this decides whose calls are shown: nothing that a client says later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub roles: Box<[String]>,
    pub teams: Box<[String]>,
    /// The device this person sits at, where the issuer knows.
    pub device: Option<Box<str>>,
    /// From here on the token is worth nothing, and sockets opened with it are closed.
    pub expires: Wall,
}

/// Why a token is refused. Texts hold nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    #[error("no JWT")]
    Malformed,
    #[error("no key of ours fits the token's algorithm and key id")]
    UnknownKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYet,
    #[error("from another issuer")]
    Issuer,
    #[error("for another audience")]
    Audience,
    #[error("claim {0} is missing or of the wrong type")]
    Claim(&'static str),
}

/// Checks tokens and remembers the good ones until they expire. Shared by all shards.
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: ArcSwap<Keys>,
    /// Digest of the token to who it is: a storm of reconnects costs a hash each, and no public-key arithmetic.
    seen: DashMap<[u8; 32], Arc<Who>>,
    /// A token named a key we do not have: the issuer may have a new one.
    wanted: AtomicBool,
    document: ArcSwapOption<[u8; 32]>,
}

impl Verifier {
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, keys: Keys) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            keys: ArcSwap::from_pointee(keys),
            seen: DashMap::new(),
            wanted: AtomicBool::new(false),
            document: ArcSwapOption::empty(),
        }
    }

    /// Who it is, if this very token was checked before and has not expired.
    #[must_use]
    pub fn remembered(&self, token: &str, now: Wall) -> Option<Arc<Who>> {
        let who = self.seen.get(&digest(token))?.clone();
        (now < who.expires).then_some(who)
    }

    /// Whether checking costs public-key arithmetic, which has no place on a shard.
    #[must_use]
    pub fn is_dear(&self) -> bool {
        self.keys.load().keys.iter().any(|key| key.algorithm != Algorithm::HS256)
    }

    /// Checks a token.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn verify(&self, token: &str, now: Wall) -> Result<Arc<Who>, Refused> {
        if let Some(who) = self.remembered(token, now) {
            return Ok(who);
        }
        let result = self.keys.load().claims(token).and_then(|claims| self.judge(&claims, now));
        if result == Err(Refused::UnknownKey) {
            self.wanted.store(true, Ordering::Relaxed);
        }
        let who = Arc::new(result?);
        if self.seen.len() < REMEMBERED {
            self.seen.insert(digest(token), who.clone());
        }
        Ok(who)
    }

    /// New keys, whole. What was checked with the old ones is forgotten, because a key may have been taken back.
    pub fn replace(&self, keys: Keys) {
        self.keys.store(Arc::new(keys));
        self.seen.clear();
    }

    /// Whether a key document differs from the one that was shown here last.
    pub(super) fn changed(&self, document: &[u8]) -> bool {
        let new: [u8; 32] = Sha256::digest(document).into();
        self.document.swap(Some(Arc::new(new))).is_none_or(|old| *old != new)
    }

    /// Makes room; called about once a minute.
    pub fn forget_expired(&self, now: Wall) {
        self.seen.retain(|_, who| now < who.expires);
    }

    /// Whether a token named an unknown key since this was last asked.
    pub fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }

    fn judge(&self, claims: &serde_json::Value, now: Wall) -> Result<Who, Refused> {
        let expires = moment(claims, "exp")?.ok_or(Refused::Claim("exp"))?;
        if now >= expires {
            return Err(Refused::Expired);
        }
        if moment(claims, "nbf")?.is_some_and(|from| from > now.plus_ms(LEEWAY_MS)) {
            return Err(Refused::NotYet);
        }
        if text(claims, "iss")?.ok_or(Refused::Claim("iss"))? != self.issuer {
            return Err(Refused::Issuer);
        }
        let audience = match claims.get("aud") {
            Some(serde_json::Value::String(one)) => vec![one.as_str()],
            Some(serde_json::Value::Array(_)) => texts(claims, "aud")?,
            _ => return Err(Refused::Claim("aud")),
        };
        if !audience.contains(&self.audience.as_str()) {
            return Err(Refused::Audience);
        }
        let own = |claim: &'static str| Ok(texts(claims, claim)?.into_iter().map(str::to_owned).collect());
        Ok(Who {
            tenant: name(claims, "tenant")?.map_or_else(TenantId::default, TenantId::from),
            agent: name(claims, "sub")?.ok_or(Refused::Claim("sub"))?.into(),
            roles: own("roles")?,
            teams: own("teams")?,
            device: name(claims, "device")?.map(Into::into),
            expires,
        })
    }
}

impl Keys {
    /// What a token says, if one of these keys signed it. Times, issuer and audience are for the caller to judge.
    ///
    /// # Errors
    /// No JWT, none of our keys, or a wrong signature.
    pub fn claims(&self, token: &str) -> Result<serde_json::Value, Refused> {
        if token.len() > LONGEST {
            return Err(Refused::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Malformed)?;
        let mut result = Err(Refused::UnknownKey);
        for key in self.fitting(header.alg, header.kid.as_deref()) {
            let mut rules = Validation::new(key.algorithm);
            rules.required_spec_claims.clear();
            rules.validate_exp = false;
            rules.validate_aud = false;
            match jsonwebtoken::decode::<serde_json::Value>(token, &key.key, &rules) {
                Ok(data) => return Ok(data.claims),
                Err(_) => result = Err(Refused::Signature),
            }
        }
        result
    }
}

/// A token of ours, for tests and small sites without an issuer (`linecard token`).
#[must_use]
pub fn issue(secret: &Secret, issuer: &str, audience: &str, who: &Who, now: Wall) -> Private<String> {
    #[derive(Serialize)]
    struct Claims<'a> {
        iss: &'a str,
        aud: &'a str,
        sub: &'a str,
        tenant: &'a str,
        roles: &'a [String],
        teams: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<&'a str>,
        iat: i64,
        exp: i64,
    }
    let claims = Claims {
        iss: issuer,
        aud: audience,
        sub: who.agent.as_str(),
        tenant: who.tenant.as_str(),
        roles: &who.roles,
        teams: &who.teams,
        device: who.device.as_deref(),
        iat: now.0.div_euclid(1000),
        exp: who.expires.0.div_euclid(1000),
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    Private::new(token.expect("HMAC takes a key of any length and these claims are plain JSON"))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Seconds since 1970, whole or with a fraction (RFC 7519, NumericDate).
fn moment(claims: &serde_json::Value, claim: &'static str) -> Result<Option<Wall>, Refused> {
    match claims.get(claim) {
        None => Ok(None),
        Some(serde_json::Value::Number(number)) => {
            let seconds = number.as_f64().filter(|s| (0.0..FAR_FUTURE_S).contains(s)).ok_or(Refused::Claim(claim))?;
            // In range, so the cast keeps the value.
            #[allow(clippy::cast_possible_truncation)]
            Ok(Some(Wall((seconds * 1000.0) as i64)))
        }
        Some(_) => Err(Refused::Claim(claim)),
    }
}

fn text<'a>(claims: &'a serde_json::Value, claim: &'static str) -> Result<Option<&'a str>, Refused> {
    match claims.get(claim) {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refused::Claim(claim)),
    }
}

/// A text fit for an id: it goes into keys and logs.
fn name<'a>(claims: &'a serde_json::Value, claim: &'static str) -> Result<Option<&'a str>, Refused> {
    let found = text(claims, claim)?;
    let fit = |t: &str| !t.is_empty() && t.len() <= 128 && !t.chars().any(char::is_control);
    if found.is_none_or(fit) { Ok(found) } else { Err(Refused::Claim(claim)) }
}

fn texts<'a>(claims: &'a serde_json::Value, claim: &'static str) -> Result<Vec<&'a str>, Refused> {
    match claims.get(claim) {
        None => Ok(Vec::new()),
        Some(serde_json::Value::Array(list)) if list.len() <= 64 => {
            list.iter().map(|item| item.as_str().ok_or(Refused::Claim(claim))).collect()
        }
        Some(_) => Err(Refused::Claim(claim)),
    }
}

/// Bytes; a JWT with a page of roles is far below.
const LONGEST: usize = 8 * 1024;

/// Tokens kept; about 100 MB if all were different, and then the next are simply checked each time.
const REMEMBERED: usize = 300_000;

/// Clocks of issuer and daemon differ a little: a token may be used this early. Its end is exact.
const LEEWAY_MS: i64 = 30_000;

/// The year 5138: what is later was not meant as seconds.
const FAR_FUTURE_S: f64 = 1e11;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::access) const NOW: Wall = Wall(1_795_347_846_000);
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn verifier() -> Verifier {
        Verifier::new("desk", "linecard", Keys::hs256(&Secret::new(SECRET.into())).unwrap())
    }

    fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
    }

    fn good() -> serde_json::Value {
        json!({"iss":"desk","aud":"linecard","sub":"1001","exp":NOW.0 / 1000 + 60,"roles":["agent"],"teams":["support"],"device":"PJSIP/1001"})
    }

    /// A token of 1001, signed by the private half of the key in [`JWKS`].
    pub(in crate::access) fn signed_by_the_set() -> String {
        signed(Algorithm::ES256, &EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(), &good())
    }

    fn verdict(change: &serde_json::Value) -> Result<Arc<Who>, Refused> {
        let mut claims = good();
        for (key, value) in change.as_object().unwrap() {
            if value == "ABSENT" {
                claims.as_object_mut().unwrap().remove(key);
            } else {
                claims[key] = value.clone();
            }
        }
        verifier().verify(&signed(Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()), &claims), NOW)
    }

    #[test]
    fn a_good_token_says_who() {
        let who = verdict(&json!({})).unwrap();
        assert_eq!((who.agent.as_str(), who.tenant.as_str()), ("1001", "default"));
        assert_eq!(*who.roles, ["agent".to_owned()]);
        assert_eq!(who.device.as_deref(), Some("PJSIP/1001"));
        assert_eq!(verdict(&json!({"tenant":"acme"})).unwrap().tenant.as_str(), "acme");
        assert!(verdict(&json!({"aud":["other","linecard"]})).is_ok());
        assert!(verdict(&json!({"exp": 1_795_347_846.5})).is_ok());
        assert!(verdict(&json!({"nbf": NOW.0 / 1000 + 29})).is_ok());
    }

    #[test]
    fn every_claim_is_judged() {
        let seconds = NOW.0 / 1000;
        for (change, expected) in [
            (json!({"exp":"ABSENT"}), Refused::Claim("exp")),
            (json!({"exp":seconds}), Refused::Expired),
            (json!({"exp":"1795347999"}), Refused::Claim("exp")),
            (json!({"exp":-1}), Refused::Claim("exp")),
            (json!({"exp":1e300}), Refused::Claim("exp")),
            (json!({"exp":null}), Refused::Claim("exp")),
            (json!({"nbf":seconds + 31}), Refused::NotYet),
            (json!({"nbf":"soon"}), Refused::Claim("nbf")),
            (json!({"iss":"ABSENT"}), Refused::Claim("iss")),
            (json!({"iss":"other"}), Refused::Issuer),
            (json!({"iss":["desk"]}), Refused::Claim("iss")),
            (json!({"aud":"ABSENT"}), Refused::Claim("aud")),
            (json!({"aud":"other"}), Refused::Audience),
            (json!({"aud":[]}), Refused::Audience),
            (json!({"aud":["linecard", 1]}), Refused::Claim("aud")),
            (json!({"aud":{"linecard":true}}), Refused::Claim("aud")),
            (json!({"sub":"ABSENT"}), Refused::Claim("sub")),
            (json!({"sub":""}), Refused::Claim("sub")),
            (json!({"sub":1001}), Refused::Claim("sub")),
            (json!({"sub":"10\n01"}), Refused::Claim("sub")),
            (json!({"tenant":7}), Refused::Claim("tenant")),
            (json!({"roles":"admin"}), Refused::Claim("roles")),
            (json!({"roles":[1]}), Refused::Claim("roles")),
            (json!({"teams":{"a":1}}), Refused::Claim("teams")),
            (json!({"device":["PJSIP/1001"]}), Refused::Claim("device")),
        ] {
            assert_eq!(verdict(&change), Err(expected), "{change}");
        }
    }

    #[test]
    fn signatures_and_algorithms_are_judged() {
        let ours = EncodingKey::from_secret(SECRET.as_bytes());
        let verifier = verifier();
        let token = signed(Algorithm::HS256, &ours, &good());
        let other = signed(Algorithm::HS256, &EncodingKey::from_secret(b"another secret of thirty-two bytes"), &good());
        assert_eq!(verifier.verify(&other, NOW), Err(Refused::Signature));
        assert_eq!(verifier.verify(&signed(Algorithm::HS512, &ours, &good()), NOW), Err(Refused::UnknownKey));
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", token.split('.').nth(1).unwrap());
        assert_eq!(verifier.verify(&unsigned, NOW), Err(Refused::Malformed));
        for junk in ["", ".", "..", "a.b.c", "ключ", &"x".repeat(9000)] {
            assert_eq!(verifier.verify(junk, NOW), Err(Refused::Malformed));
        }
        let mut tampered = token.clone().into_bytes();
        let middle = token.find('.').unwrap() + 10;
        tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(std::str::from_utf8(&tampered).unwrap(), NOW).is_err());
        assert!(verifier.verify(&token, NOW).is_ok());
    }

    #[test]
    fn a_public_key_is_never_taken_as_a_secret() {
        let verifier = Verifier::new("desk", "linecard", Keys::jwks(JWKS.as_bytes()).unwrap());
        assert!(verifier.is_dear());
        // The attacker signs with what everybody can read.
        let confused = signed(Algorithm::HS256, &EncodingKey::from_secret(JWKS.as_bytes()), &good());
        assert_eq!(verifier.verify(&confused, NOW), Err(Refused::UnknownKey));
        assert!(verifier.take_wanted() && !verifier.take_wanted());
        let ec = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap();
        let token = signed(Algorithm::ES256, &ec, &good());
        assert_eq!(verifier.verify(&token, NOW).unwrap().agent.as_str(), "1001");
        assert!(verifier.remembered(&token, NOW).is_some());
        assert!(verifier.remembered(&token, NOW.plus_ms(60_000)).is_none(), "remembered beyond its end");
        verifier.replace(Keys::default());
        assert_eq!(verifier.verify(&token, NOW), Err(Refused::UnknownKey), "a key that was taken back still counts");
    }

    #[test]
    fn key_sets_are_judged() {
        use super::super::keys::Unfit;
        assert_eq!(Keys::hs256(&Secret::new("short".into())).err(), Some(Unfit::ShortSecret { found: 5 }));
        assert!(matches!(Keys::jwks(b"<html>").err(), Some(Unfit::NoKeySet(_))));
        // A symmetric key in a published set is no secret.
        let symmetric = br#"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#;
        assert_eq!(Keys::jwks(symmetric).err(), Some(Unfit::NoUsableKey));
    }

    #[test]
    fn what_we_issue_we_accept() {
        let who = Who {
            tenant: "acme".into(),
            agent: "1002".into(),
            roles: ["agent".to_owned()].into(),
            teams: [].into(),
            device: None,
            expires: NOW.plus_ms(1000),
        };
        let token = issue(&Secret::new(SECRET.into()), "desk", "linecard", &who, NOW);
        assert_eq!(*verifier().verify(token.expose(), NOW).unwrap(), who);
        assert_eq!(format!("{token:?}"), "(private)");
    }

    #[test]
    fn rs256_by_a_published_key() {
        let verifier = Verifier::new("desk", "linecard", Keys::jwks(RSA_JWKS.as_bytes()).unwrap());
        let key = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap();
        assert!(verifier.verify(&signed(Algorithm::RS256, &key, &good()), NOW).is_ok());
        // The same key by another scheme is not what the set says.
        assert_eq!(verifier.verify(&signed(Algorithm::PS256, &key, &good()), NOW), Err(Refused::UnknownKey));
    }

    // Key pairs made for these tests and used nowhere else.
    pub(in crate::access) const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","use":"sig","x":"MXWMjcoVB9bb_gHc6Et-gADGIiZGz_KlH7h1RN64CCU","y":"2rihPJxTbQYxtW7_sfheUra7_iedjqLpPeh0CHFUU3k"}]}"#;
    const EC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkhHuKbQLgmxBLL3i\nVSEoN4DVCl9sB3I7pgRj0IFY+qyhRANCAAQxdYyNyhUH1tv+AdzoS36AAMYiJkbP\n8qUfuHVE3rgIJdq4oTycU20GMbVu/7H4XlK2u/4nnY6i6T3odAhxVFN5\n-----END PRIVATE KEY-----";
    const RSA_JWKS: &str = r#"{"keys":[{"kty":"RSA","kid":"r1","alg":"RS256","n":"tb_WGLhNfBrun4HQyhIFvnKmnTNzehDGGT0FZpssY9KLlkz3NEsOzFNDXDUe0U9jq5y0t_aM-Vu07R32UGnA42mX7Bl41kOd9Qtpdb18nTMnTF5q7kOAxJnpuEO2MafGdaXhxoWtu3veCqbv327Btr6r1gGfWea1pJb6ERNRpDIC70NgOzwBhPbpPprdbGsiZezgbxpx1Z9QnygMn4Pq5kLfiRMhGguPUhujQoMvnMqOyJTpE972o9dzcsiiGKWcJJmt3RnKS7KT4q0IjWt4rpa4df95OUBuX49CMnya3j5Um3RNGAxTndqTtC1PhnOg64NXDoqaYAMvIy_5ZZ1U8w","e":"AQAB"}]}"#;
    const RSA_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC1v9YYuE18Gu6f\ngdDKEgW+cqadM3N6EMYZPQVmmyxj0ouWTPc0Sw7MU0NcNR7RT2OrnLS39oz5W7Tt\nHfZQacDjaZfsGXjWQ531C2l1vXydMydMXmruQ4DEmem4Q7Yxp8Z1peHGha27e94K\npu/fbsG2vqvWAZ9Z5rWklvoRE1GkMgLvQ2A7PAGE9uk+mt1sayJl7OBvGnHVn1Cf\nKAyfg+rmQt+JEyEaC49SG6NCgy+cyo7IlOkT3vaj13NyyKIYpZwkma3dGcpLspPi\nrQiNa3iulrh1/3k5QG5fj0IyfJrePlSbdE0YDFOd2pO0LU+Gc6Drg1cOippgAy8j\nL/llnVTzAgMBAAECggEAUrGSnZO5uZZdbRi5IT+6+lCbC1p+F5NrNs+DVhCTTWXe\nGggxz8q41HGr69fFilGXVV1LAoq80LYPp3Vi/Wpol3ATbhqW1tJUG8rR9H6/JJ1C\nK6an+3meLJWk+DBixMwD6cKMa/GlvvCYcftLl7sCi33MnGYHlXV5vwXsiHlkQ5Kz\nWjL73YwDgZbmFw+BYYDNO0hSLCCRk0oqDEXLFJ3Qp0UAEbxQyedlFJLQ13PhKRxi\n2eYw0n1suTAPox6cbNnZMzniZazXAJkTpgCdX/0h+BsnxkeZW9TxbCI9HBlRhbNa\n1tkk70zZE2NGD/fgkP/trDf5bVHcL2e4TBtytHmltQKBgQDcioca4J/6uH8tall4\nB+JU5Dk1TILd9eFXCbGhgfxRm50j1GRiZlyo/dTuBbtSps0wbgoIMHFzo6mY3hCc\nxu6B54BsjALjZwDIFLdt0vj/NjtszD/T2VxqHzRcIXdNKiIuVVsRtaP6hJkG3zEG\n1+JU9L9XyIgRpxDYAPVjIR+jbwKBgQDS+KPANX35LWImFuOlNy92XqOdSrRo123y\n3cyV9f/rSfATEmId6jybv8t2ePP4EI+M5FpbXUbF7AS5KUSIAkThGC1M+rYC4/Sb\n4GX3GcYQvIBMktyCLPBUeujYdLfDu9Z3f1LnySh1HnSq0pLTjvCAbEisOKctmbFZ\nHTVqfNMUvQKBgQC8E99YSovkM4cx4epe9MpN/zvSemd4hwIfSgMUa1gU+JKwRac+\nS3FmJOJ8AqNXvyxpys3/YeC+76no1ihwqy4n1pes+lJUQDloaFJt9GeorkVLaXxd\nXJb1YZszns6xHed8gApkNfWb5YzjUV/sKBu6u+aaJEf2VfWFYHvkiBEFPQKBgQCv\nkG5k458Dn3rQC7hBox0COluZ57MelDhRJba9DMx99zesB15TWrw5OHCPFLSiONXc\n/6MZ6ROeXXzIwcjgDlNXppD8QJ765MyIc0MnUPF8uAFkt8p9IfyVsPrYNrk+T7B4\nHSLW9JWQcVnRVg8NsyP9Gx+XAkZNMltdt2reRSY7WQKBgCI5kHAggxNr63eEaJ+T\nOTzo+/zlSNro7Ah8KH6uedsRZYhY5LCZeiOxMq+zUyDZCGuJIRZotXNux+sprYUH\nQn8S9tEtXtlIqhscVF9wJRRYiPyGxtbMUljLWJDKnBDRpF1ilFgxkdc31XTx9i6B\n0pxo5FtPCps2dzEeo1b0Icem\n-----END PRIVATE KEY-----";
}
