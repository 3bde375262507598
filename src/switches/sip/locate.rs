//! Where a server is (RFC 3263): from its name, port and transport, and the records that are handed in, to the list of targets in the order in which they
//! are tried. Asks for records and never for the network: `live.rs` has the resolver and the dice.
//!
//! Which records are asked for (4.1, 4.2): an IP address or a port says where; else SRV says it for a transport, and NAPTR says which transport where the
//! settings leave it open. A name without SRV is its addresses. WebSockets have a URL of their own: addresses, whatever SRV says (RFC 6455, 3).

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};

use super::client::{Server, Target, Transport};

/// Names of SRV that are followed, and addresses of one name that are tried: more than any server has, and a bound on what a name server can make us do.
const NAMES: usize = 16;
const ADDRESSES: usize = 16;
/// How long "there is no such record" is believed where a record is missing on the way (RFC 2308 has minutes to hours; a switch that is being set up
/// cannot wait for that).
const NOTHING_MS: u64 = 5_000;
/// The longest that a record is believed: a person will have looked by then.
const LONGEST_MS: u64 = 3_600_000;

/// What the resolver is asked next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Address(String),
}

/// What it found; empty: nothing, or no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub naptr: Vec<Naptr>,
    pub srv: Vec<Srv>,
    pub addresses: Vec<IpAddr>,
    pub ttl_ms: u64,
}

/// RFC 3403, 4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    pub service: String,
    pub replacement: String,
}

/// RFC 2782.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// One search, from a server as it is configured to its targets.
#[derive(Debug)]
pub struct Search {
    server: Server,
    asks: VecDeque<Ask>,
    asked: usize,
    /// Of SRV: the transport of each name that was asked for.
    services: BTreeMap<String, Transport>,
    /// Names with their port, in the order in which they are tried.
    places: Vec<(Transport, String, u16)>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    ttl_ms: u64,
    /// The names of SRV are all known.
    settled: bool,
    /// Some SRV said expressly that there is no such service.
    denied: bool,
}

/// Transports that a name may lead to where the settings leave it open, best known first.
const OPEN: [(Transport, &str, &str); 3] = [
    (Transport::Udp, "SIP+D2U", "_sip._udp."),
    (Transport::Tcp, "SIP+D2T", "_sip._tcp."),
    (Transport::Tls, "SIPS+D2T", "_sips._tcp."),
];

impl Search {
    #[must_use]
    pub fn new(server: Server) -> Self {
        let mut search = Self {
            asks: VecDeque::new(),
            asked: 0,
            services: BTreeMap::new(),
            places: Vec::new(),
            addresses: BTreeMap::new(),
            ttl_ms: LONGEST_MS,
            settled: false,
            denied: false,
            server,
        };
        let Server { host, port, transport } = &search.server;
        let (host, transport) = (host.clone(), *transport);
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            search.addresses.insert(host, vec![ip]);
            search.plain();
        } else if port.is_some() || matches!(transport, Some(Transport::Ws | Transport::Wss)) {
            search.plain();
        } else if let Some(transport) = transport {
            search.service(transport, None);
        } else {
            search.asks.push_back(Ask::Naptr(host));
        }
        search
    }

    /// What is to be asked now; `None`: the targets are known.
    pub fn ask(&mut self) -> Option<Ask> {
        if self.asks.is_empty() && !std::mem::replace(&mut self.settled, true) {
            let names: Vec<String> = self.places.iter().map(|(_, name, _)| name.clone()).collect();
            for name in names {
                let ask = Ask::Address(name.clone());
                if !self.addresses.contains_key(&name) && !self.asks.contains(&ask) && self.asks.len() < NAMES {
                    self.asks.push_back(ask);
                }
            }
        }
        self.asked += 1;
        self.asks.pop_front().filter(|_| self.asked <= 4 * NAMES)
    }

    /// The answer to what was asked. `dice` gives a number in `0..=most`.
    pub fn take(&mut self, ask: &Ask, found: Found, dice: &mut dyn FnMut(u32) -> u32) {
        let empty = found.naptr.is_empty() && found.srv.is_empty() && found.addresses.is_empty();
        let ttl = if empty { found.ttl_ms.min(NOTHING_MS) } else { found.ttl_ms };
        self.ttl_ms = self.ttl_ms.min(ttl);
        match ask {
            Ask::Naptr(_) => self.transports(found.naptr),
            Ask::Srv(name) => {
                let Some(transport) = self.services.get(name).copied() else { return };
                self.denied |= !found.srv.is_empty();
                for Srv { port, target, .. } in ordered(found.srv, dice) {
                    let target = target.trim_end_matches('.').to_ascii_lowercase();
                    // The root: expressly no such service here (RFC 2782).
                    if !target.is_empty() && self.places.len() < NAMES {
                        self.places.push((transport, target, port));
                    }
                }
                if self.asks.is_empty() && self.places.is_empty() && !self.denied {
                    self.plain();
                }
            }
            Ask::Address(name) => {
                let mut found = found.addresses;
                found.truncate(ADDRESSES);
                self.addresses.insert(name.clone(), found);
            }
        }
    }

    /// The targets in their order, and how long they may be believed.
    #[must_use]
    pub fn targets(self) -> (Vec<Target>, u64) {
        let mut targets: Vec<Target> = Vec::new();
        for (transport, name, port) in self.places {
            for ip in self.addresses.get(&name).into_iter().flatten() {
                let target = Target { host: ip.to_string(), port, transport };
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        (targets, self.ttl_ms)
    }

    /// No SRV: the addresses of the name, at the port that is given or the transport's own.
    fn plain(&mut self) {
        let transport = self.server.transport.unwrap_or(Transport::Udp);
        let port = self.server.port.unwrap_or(transport.port());
        self.places.push((transport, self.server.host.clone(), port));
    }

    /// SRV of one transport: where NAPTR says, else by its rule.
    fn service(&mut self, transport: Transport, replacement: Option<String>) {
        let Some((.., prefix)) = OPEN.iter().find(|(open, ..)| *open == transport) else { return };
        let name = replacement.unwrap_or_else(|| format!("{prefix}{}", self.server.host));
        self.services.insert(name.clone(), transport);
        self.asks.push_back(Ask::Srv(name));
    }

    /// Which transports the domain offers, the most wanted first; without a word of that each that we have (4.1).
    fn transports(&mut self, mut records: Vec<Naptr>) {
        records.sort_by_key(|record| (record.order, record.preference));
        for record in records.into_iter().take(NAMES) {
            let known = OPEN.iter().find(|(_, service, _)| record.service.eq_ignore_ascii_case(service));
            let replacement = record.replacement.trim_end_matches('.').to_ascii_lowercase();
            // Rules that lead to other rules are not for SIP (4.1: flag "s").
            if let Some((transport, ..)) = known
                && record.flags.eq_ignore_ascii_case("s")
                && !replacement.is_empty()
            {
                self.service(*transport, Some(replacement));
            }
        }
        if self.asks.is_empty() {
            for (transport, ..) in OPEN {
                self.service(transport, None);
            }
        }
    }
}

/// By priority; among equals by weight and dice (RFC 2782).
fn ordered(mut records: Vec<Srv>, dice: &mut dyn FnMut(u32) -> u32) -> Vec<Srv> {
    // Those of no weight first, so that they have a chance at all.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut out = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let equal = records.iter().take_while(|record| record.priority == priority);
        let sum: u32 = equal.map(|record| u32::from(record.weight)).sum();
        let number = dice(sum);
        let mut running = 0;
        let at = records.iter().take_while(|record| record.priority == priority).position(|record| {
            running += u32::from(record.weight);
            running >= number
        });
        out.push(records.remove(at.unwrap_or(0)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: Option<u16>, transport: Option<Transport>) -> Server {
        Server { host: host.into(), port, transport }
    }

    fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
        Naptr { order, preference, flags: "S".into(), service: service.into(), replacement: replacement.into() }
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
        Srv { priority, weight, port, target: target.into() }
    }

    /// Runs a search over a zone; gives the targets, what was asked, and how long it may be believed.
    fn search(
        server: Server,
        zone: &dyn Fn(&Ask) -> Found,
        dice: &mut dyn FnMut(u32) -> u32,
    ) -> (Vec<String>, Vec<String>, u64) {
        let (mut search, mut asked) = (Search::new(server), Vec::new());
        while let Some(ask) = search.ask() {
            asked.push(match &ask {
                Ask::Naptr(name) => format!("naptr {name}"),
                Ask::Srv(name) => format!("srv {name}"),
                Ask::Address(name) => format!("a {name}"),
            });
            search.take(&ask, zone(&ask), dice);
        }
        let (targets, ttl_ms) = search.targets();
        let targets = targets.iter().map(|t| format!("{} {}:{}", t.transport.name(), t.host, t.port));
        (targets.collect(), asked, ttl_ms)
    }

    fn addresses(list: &[&str]) -> Found {
        Found { addresses: list.iter().map(|ip| ip.parse().unwrap()).collect(), ttl_ms: 60_000, ..Found::default() }
    }

    #[test]
    fn an_address_or_a_port_says_where() {
        let nothing = |_: &Ask| Found::default();
        let (targets, asked, ttl_ms) = search(server("192.0.2.1", None, None), &nothing, &mut |_| 0);
        assert_eq!((targets, asked.len(), ttl_ms), (vec!["UDP 192.0.2.1:5060".to_owned()], 0, LONGEST_MS));
        let (targets, asked, _) = search(server("2001:db8::1", None, Some(Transport::Tls)), &nothing, &mut |_| 0);
        assert_eq!((targets, asked.len()), (vec!["TLS 2001:db8::1:5061".to_owned()], 0));
        let zone = |_: &Ask| addresses(&["192.0.2.1", "192.0.2.2"]);
        let (targets, asked, ttl_ms) = search(server("pbx.lab", Some(5080), None), &zone, &mut |_| 0);
        assert_eq!(targets, ["UDP 192.0.2.1:5080", "UDP 192.0.2.2:5080"]);
        assert_eq!((asked, ttl_ms), (vec!["a pbx.lab".to_owned()], 60_000));
        let (targets, asked, _) = search(server("pbx.lab", None, Some(Transport::Wss)), &zone, &mut |_| 0);
        assert_eq!((targets[0].as_str(), asked), ("WSS 192.0.2.1:443", vec!["a pbx.lab".to_owned()]));
    }

    #[test]
    fn naptr_orders_the_transports_and_srv_the_servers() {
        let zone = |ask: &Ask| match ask {
            Ask::Naptr(_) => Found {
                naptr: vec![
                    naptr(90, 50, "SIP+D2T", "_sip._tcp.pbx.lab."),
                    naptr(50, 50, "SIPS+D2T", "_sips._tcp.other.lab."),
                    naptr(90, 10, "SIP+D2U", "_sip._udp.pbx.lab."),
                    naptr(10, 10, "SIP+D2W", "_sip._ws.pbx.lab."),
                    Naptr { flags: "u".into(), ..naptr(1, 1, "SIP+D2U", "x.lab") },
                ],
                ttl_ms: 300_000,
                ..Found::default()
            },
            Ask::Srv(name) if name == "_sips._tcp.other.lab" => Found {
                srv: vec![srv(20, 0, 5061, "b.lab."), srv(10, 0, 5062, "A.lab.")],
                ttl_ms: 120_000,
                ..Found::default()
            },
            Ask::Srv(name) if name == "_sip._udp.pbx.lab" => {
                Found { srv: vec![srv(1, 0, 5060, ".")], ttl_ms: 120_000, ..Found::default() }
            }
            Ask::Srv(_) => Found { srv: vec![srv(1, 0, 5070, "a.lab.")], ttl_ms: 120_000, ..Found::default() },
            Ask::Address(name) if name == "a.lab" => addresses(&["192.0.2.1", "2001:db8::1"]),
            Ask::Address(_) => addresses(&["192.0.2.2"]),
        };
        let (targets, asked, ttl_ms) = search(server("pbx.lab", None, None), &zone, &mut |_| 0);
        assert_eq!(
            targets,
            [
                "TLS 192.0.2.1:5062",
                "TLS 2001:db8::1:5062",
                "TLS 192.0.2.2:5061",
                "TCP 192.0.2.1:5070",
                "TCP 2001:db8::1:5070"
            ]
        );
        assert_eq!(
            asked,
            [
                "naptr pbx.lab",
                "srv _sips._tcp.other.lab",
                "srv _sip._udp.pbx.lab",
                "srv _sip._tcp.pbx.lab",
                "a a.lab",
                "a b.lab"
            ]
        );
        assert_eq!(ttl_ms, 60_000, "the shortest of all that were used");
    }

    #[test]
    fn without_records_each_transport_is_asked_for_and_the_name_is_an_address_at_last() {
        let zone = |ask: &Ask| match ask {
            Ask::Address(name) if name == "pbx.lab" => addresses(&["192.0.2.1"]),
            _ => Found { ttl_ms: 900_000, ..Found::default() },
        };
        let (targets, asked, ttl_ms) = search(server("pbx.lab", None, None), &zone, &mut |_| 0);
        assert_eq!(targets, ["UDP 192.0.2.1:5060"]);
        assert_eq!(
            asked,
            ["naptr pbx.lab", "srv _sip._udp.pbx.lab", "srv _sip._tcp.pbx.lab", "srv _sips._tcp.pbx.lab", "a pbx.lab"]
        );
        assert_eq!(ttl_ms, NOTHING_MS, "what is missing may be there soon");
        // A transport that is given asks for no other.
        let (targets, asked, _) = search(server("pbx.lab", None, Some(Transport::Tcp)), &zone, &mut |_| 0);
        assert_eq!(
            (targets[0].as_str(), asked.len(), asked[0].as_str()),
            ("TCP 192.0.2.1:5060", 2, "srv _sip._tcp.pbx.lab")
        );
        let nothing = |_: &Ask| Found::default();
        assert!(search(server("pbx.lab", None, None), &nothing, &mut |_| 0).0.is_empty());
        // Expressly no such service (RFC 2782): then the name's addresses are none either.
        let denied = |ask: &Ask| match ask {
            Ask::Srv(_) => Found { srv: vec![srv(0, 0, 0, ".")], ..Found::default() },
            _ => addresses(&["192.0.2.1"]),
        };
        assert!(search(server("pbx.lab", None, Some(Transport::Udp)), &denied, &mut |_| 0).0.is_empty());
    }

    #[test]
    fn among_equals_the_weight_decides() {
        let records = || vec![srv(1, 60, 1, "a"), srv(2, 0, 4, "d"), srv(1, 0, 2, "b"), srv(1, 40, 3, "c")];
        let ports =
            |dice: &mut dyn FnMut(u32) -> u32| ordered(records(), dice).iter().map(|r| r.port).collect::<Vec<_>>();
        assert_eq!(ports(&mut |_| 0), [2, 3, 1, 4]);
        assert_eq!(ports(&mut |most| most), [1, 3, 2, 4]);
        // Over all throws of the first die, each is first about as often as it weighs.
        let mut first = BTreeMap::new();
        for number in 0..=100 {
            let mut thrown = Some(number);
            *first.entry(ports(&mut |most| thrown.take().unwrap_or(most))[0]).or_insert(0) += 1;
        }
        assert_eq!(first, BTreeMap::from([(2, 1), (3, 40), (1, 60)]));
    }

    #[test]
    fn a_name_server_cannot_send_us_round_and_round() {
        let many: Vec<Srv> = (0..2_000).map(|n| srv(n, 0, 5060, &format!("h{n}.lab"))).collect();
        let rules: Vec<Naptr> = (0..2_000).map(|n| naptr(n, 0, "SIP+D2U", &format!("_sip._udp.r{n}.lab"))).collect();
        let zone = |ask: &Ask| match ask {
            Ask::Naptr(_) => Found { naptr: rules.clone(), ..Found::default() },
            Ask::Srv(_) => Found { srv: many.clone(), ..Found::default() },
            Ask::Address(_) => Found { addresses: vec![[192, 0, 2, 1].into(); 1_000], ..Found::default() },
        };
        let (targets, asked, _) = search(server("pbx.lab", None, None), &zone, &mut |_| 0);
        assert!(asked.len() <= 1 + 2 * NAMES && targets.len() == 1, "{} {}", asked.len(), targets.len());
    }
}
