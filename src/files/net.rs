//! An address or a network, as settings write it: `192.0.2.10`, `192.0.2.0/24`.

use core::net::IpAddr;

/// Addresses that share their first bits: `192.0.2.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u8,
}

impl Net {
    /// # Errors
    /// What would be right.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "an address, or a network: 192.0.2.10, 192.0.2.0/24")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|b| *b <= most).ok_or("at most 32 bits of IPv4, 128 of IPv6")?,
        };
        Ok(Self { address, bits })
    }

    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        // An IPv4 peer of a socket for both is written ::ffff:192.0.2.10.
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                same(u128::from(net.to_bits()) << 96, u128::from(ip.to_bits()) << 96, self.bits)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => same(net.to_bits(), ip.to_bits(), self.bits),
            _ => false,
        }
    }
}

fn same(a: u128, b: u128, bits: u8) -> bool {
    bits == 0 || (a ^ b) >> (128 - u32::from(bits)) == 0
}

#[cfg(test)]
mod tests {
    use super::Net;

    #[test]
    fn networks() {
        let has = |net: &str, ip: &str| Net::read(net).unwrap().has(ip.parse().unwrap());
        assert!(has("192.0.2.0/24", "192.0.2.200") && !has("192.0.2.0/24", "192.0.3.1"));
        assert!(has("192.0.2.10", "::ffff:192.0.2.10") && !has("192.0.2.10", "192.0.2.11"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(["192.0.2.0/33", "pbx", "", "::/129"].iter().all(|text| Net::read(text).is_err()));
    }
}
