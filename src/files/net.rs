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

/// IANA's special-purpose addresses (RFC 6890 and its registries, November 2026): what is no host of the Internet, and what hides one in an IPv6 address.
const NOT_PUBLIC: [&str; 24] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe00::/7",
];

/// Whether an address is one of the Internet.
#[must_use]
pub fn public(ip: IpAddr) -> bool {
    let multicast = matches!(ip, IpAddr::V6(ip) if ip.is_multicast());
    !multicast && !NOT_PUBLIC.iter().any(|net| Net::read(net).is_ok_and(|net| net.has(ip)))
}

#[cfg(test)]
mod tests {
    use super::{Net, public};

    #[test]
    fn networks() {
        let has = |net: &str, ip: &str| Net::read(net).unwrap().has(ip.parse().unwrap());
        assert!(has("192.0.2.0/24", "192.0.2.200") && !has("192.0.2.0/24", "192.0.3.1"));
        assert!(has("192.0.2.10", "::ffff:192.0.2.10") && !has("192.0.2.10", "192.0.2.11"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(["192.0.2.0/33", "pbx", "", "::/129"].iter().all(|text| Net::read(text).is_err()));
    }

    #[test]
    fn private_addresses_are_told_from_those_of_the_internet() {
        let all = |list: &str| list.split(' ').map(|ip| public(ip.parse().unwrap())).collect::<Vec<_>>();
        let private = "127.0.0.1 10.1.2.3 172.31.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 224.0.0.1 ::1 :: fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1::";
        assert!(all(private).iter().all(|public| !public), "{:?}", all(private));
        assert!(all("8.8.8.8 1.1.1.1 172.32.0.1 100.128.0.1 2606:4700::1111 240e::1").iter().all(|public| *public));
    }
}
