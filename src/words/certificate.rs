//! When a certificate ends. Of X.509 only the way to its dates is read (RFC 5280, section 4.1): whether it is believed, TLS has decided.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use super::Wall;

/// When a connection's certificate ends, as its last handshake showed it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ends(Arc<AtomicI64>);

impl Ends {
    /// Of the certificate itself, in DER.
    pub fn saw(&self, der: &[u8]) {
        if let Some(at) = ends(der) {
            self.0.store(at.0, Ordering::Relaxed);
        }
    }

    pub fn shook(&self, connection: &rustls::ClientConnection) {
        if let Some(first) = connection.peer_certificates().and_then(|chain| chain.first()) {
            self.saw(first);
        }
    }

    /// `None`: no handshake, or no certificate that could be read.
    #[must_use]
    pub fn at(&self) -> Option<Wall> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Wall)
    }
}

/// After which it is good no more; nothing of what is no certificate.
#[must_use]
pub fn ends(der: &[u8]) -> Option<Wall> {
    let (SEQUENCE, certificate, _) = piece(der)? else { return None };
    let (SEQUENCE, signed, _) = piece(certificate)? else { return None };
    let (mut tag, _, mut rest) = piece(signed)?;
    if tag == VERSION {
        (tag, _, rest) = piece(rest)?;
    }
    if tag != INTEGER {
        return None;
    }
    // The serial number is read; the algorithm and the issuer are not looked at.
    for _ in 0..2 {
        let (SEQUENCE, _, next) = piece(rest)? else { return None };
        rest = next;
    }
    let (SEQUENCE, validity, _) = piece(rest)? else { return None };
    let (_, _, after) = piece(validity)?;
    let (tag, text, _) = piece(after)?;
    time(tag, std::str::from_utf8(text).ok()?).map(Wall)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Tag, content, and what follows.
fn piece(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` until 2049, then with all of the year.
fn time(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let whole = match (tag, digits.len()) {
        (UTC_TIME, 12) => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", &whole).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    // Made by OpenSSL 3.0.
    const UNTIL_2027: &str = "MIIBeTCCAR+gAwIBAgIUOprayOzM7crPwlv4Xw+64rNnYNUwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHZXhhbXBsZTAeFw0yNjExMjYxNzE0MjRaFw0yNzEyMzExNzE0MjRaMBIxEDAOBgNVBAMMB2V4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARGkVRNjfdNfaSYRF9E2bGfGZayT+BuTjeseOrB8FWLTKHVuv6oAyvmGXEc4tHF2PpU1o8suBkLDNwa0cLGdNTno1MwUTAdBgNVHQ4EFgQUxowY+swFCzd6EUTVDCIJRbMI/jMwHwYDVR0jBBgwFoAUxowY+swFCzd6EUTVDCIJRbMI/jMwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiADhpkvF+qNChEcONHHvujXeDO5RCIaauoBiufXw4NZiAIhAKgNoeT61jEWQ+Ky1GK8OYEvnY0wIlAjHyQ6kLF7wWLf";
    const UNTIL_2065: &str = "MIIBejCCASGgAwIBAgIUNQXDVIcCBQK2OrALvh/v6RwX3XUwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNjExMjYxNzE0MjRaGA8yMDY1MDMyNjE3MTQyNFowEjEQMA4GA1UEAwwHZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL3bThfDd8Hh3UI69Y6UdaDXzWm+yzFZAjX72P2fi/OYeHkBFL6cYFM84/W5cSFgm5RfE5R6ee81tv5E/B5rIDyjUzBRMB0GA1UdDgQWBBQbjlKTg4Qg1iq8gTbRjxy5/dI9zzAfBgNVHSMEGDAWgBQbjlKTg4Qg1iq8gTbRjxy5/dI9zzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIB31W8ePh6CmvF4+yrJJzVQp3Jmss7AEwIqahWxPmYV1AiBgBXxAGWOz8gA8215RYNSgOLqiDBWAMmFMvXq6M+xHYg==";

    #[test]
    fn both_ways_to_write_its_end_are_read_and_nothing_else() {
        let der = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(ends(&der(UNTIL_2027)), Some(at("2027-12-31T17:14:24Z")));
        assert_eq!(ends(&der(UNTIL_2065)), Some(at("2065-03-26T17:14:24Z")));
        let whole = der(UNTIL_2027);
        // It comes from the other end of a wire: cut and bent anywhere it is no certificate, or another end, and never a panic.
        for n in 0..whole.len() {
            let cut = ends(&whole[..n]);
            assert!(cut.is_none(), "{n}: {cut:?}");
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[n] ^= 1 << bit;
                let _ = ends(&bent);
            }
        }
    }
}
