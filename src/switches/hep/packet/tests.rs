use std::{fs, path::Path};

use super::*;

/// The built packets, with what each must come to; the table says why.
fn edge_cases() -> Vec<(String, String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio/synthetic-hep-edge-cases");
    let table = fs::read_to_string(folder.join("packets.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let row = |row: csv::StringRecord| (row[0].to_owned(), row[1].to_owned(), fs::read(folder.join(&row[3])).unwrap());
    rows.records().map(|r| row(r.unwrap())).collect()
}

/// Every recorded stream of the fixtures.
fn streams() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("hep.bin").exists())
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), fs::read(p.join("hep.bin")).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 25, "only {} recordings", found.len());
    found
}

fn whole(framer: &mut Framer) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut all = Vec::new();
    while let Some(packet) = framer.take()? {
        all.push(packet.to_vec());
    }
    Ok(all)
}

#[test]
fn each_built_packet_comes_to_what_its_table_says() {
    let mut counts = (0, 0, 0);
    for (name, expected, bytes) in edge_cases() {
        let got = read(&bytes, None);
        let word = match &got {
            Ok(Held::Sip(packet)) => {
                let text = String::from_utf8_lossy(&packet.payload).into_owned();
                assert!(text.starts_with("OPTIONS ") && text.contains("Call-ID: edge-1\r\n"), "{name}: {text}");
                "sip"
            }
            Ok(Held::Skipped(_)) => "skip",
            Err(_) => "refuse",
        };
        match expected.as_str() {
            "refuse-if-key-set" => {
                assert_eq!(word, "sip", "{name}");
                assert_eq!(read(&bytes, Some(b"lab-hep-key")), Err(Refusal::Key), "{name}");
            }
            "sip-or-refuse" | "sip-or-count" | "first-or-refuse" | "refuse-or-no-port" => {
                assert_ne!(word, "skip", "{name}")
            }
            other => {
                assert_eq!(word, other, "{name}: {got:?}");
                match other {
                    "sip" => counts.0 += 1,
                    "skip" => counts.1 += 1,
                    _ => counts.2 += 1,
                }
            }
        }
    }
    assert_eq!(counts, (13, 5, 8));
}

#[test]
fn what_a_packet_says_of_the_message_s_way() {
    let cases = edge_cases();
    let packet = |name: &str| {
        let (_, _, bytes) = cases.iter().find(|(n, ..)| n == name).unwrap();
        match read(bytes, None).unwrap() {
            Held::Sip(packet) => (packet.agent, packet.micros, packet.source, packet.correlation.map(<[u8]>::to_vec)),
            Held::Skipped(why) => panic!("{name}: {why:?}"),
        }
    };
    let stamp = Some(1_775_000_000_123_456);
    let source = Some("192.0.2.10:5060".parse().unwrap());
    assert_eq!(packet("plain"), (Some(7), stamp, source, None));
    assert_eq!(packet("correlation-after-payload").3, Some(b"corr-1".to_vec()));
    assert_eq!(packet("agent-id-u16").0, Some(7));
    assert_eq!(packet("ipv6-tcp").2, Some("[2001:db8::10]:5060".parse().unwrap()));
    assert_eq!(packet("usec-over-a-million").1, Some(1_775_000_000_000_000));
    assert_eq!(packet("port-chunk-1-byte").2, Some("192.0.2.10:0".parse().unwrap()));
    let refused = |name: &str| read(&cases.iter().find(|(n, ..)| n == name).unwrap().2, None).unwrap_err();
    assert_eq!(refused("hep2"), Refusal::Version2);
    assert_eq!(refused("raw-sip"), Refusal::NotHep);
    assert_eq!(refused("zlib-bomb"), Refusal::Compressed);
    assert_eq!(refused("chunk-length-0"), Refusal::Chunk(15));
    assert_eq!(read(&[1, 16, 2, 17], None), Err(Refusal::Version1));
    assert_eq!(read(b"", None), Err(Refusal::Length(0)));
}

#[test]
fn a_stream_gives_the_same_packets_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio/synthetic-hep-edge-cases");
    let bytes = fs::read(folder.join("tcp-stream.bin")).unwrap();
    for step in [1, 7, 1460, bytes.len()] {
        let (mut framer, mut packets) = (Framer::new(), Vec::new());
        for piece in bytes.chunks(step) {
            framer.push(piece);
            packets.extend(whole(&mut framer).unwrap());
        }
        assert_eq!(packets.len(), 12, "in pieces of {step}");
        assert!(packets.iter().all(|p| matches!(read(p, None), Ok(Held::Sip(_)))));
        assert_eq!(framer.waiting(), 0);
    }
}

#[test]
fn a_stream_that_is_no_hep_ends_at_once_and_a_file_goes_on() {
    let mut framer = Framer::new();
    framer.push(b"INV");
    assert_eq!(framer.take(), Err(Refusal::NotHep));
    let mut framer = Framer::new();
    framer.push(b"HEP3\0\x05");
    assert_eq!(framer.take(), Err(Refusal::Length(5)));
    assert!(Refusal::Length(5).is_lost() && !Refusal::Key.is_lost());
    let (_, good) = &streams()[0];
    let mut framer = Framer::new();
    framer.push(b"junk");
    framer.push(good);
    assert!(framer.take().is_err() && framer.resync());
    assert!(!whole(&mut framer).unwrap().is_empty());
}

#[test]
fn every_recorded_packet_is_read_with_its_key_and_refused_without() {
    let mut sip = 0;
    for (name, bytes) in streams() {
        let mut framer = Framer::new();
        framer.push(&bytes);
        let packets = whole(&mut framer).unwrap();
        assert!(packets.len() > 5 && framer.waiting() == 0, "{name}");
        for packet in packets {
            match read(&packet, Some(b"lab-hep-key")) {
                Ok(Held::Sip(p)) => {
                    assert_eq!(p.agent, Some(2001), "{name}");
                    assert!(p.micros.is_some() && p.source.is_some() && p.target.is_some(), "{name}");
                    sip += 1;
                }
                other => assert!(matches!(other, Ok(Held::Skipped(Skipped::Idle))), "{name}: {other:?}"),
            }
            assert_eq!(read(&packet, Some(b"another")), Err(Refusal::Key));
        }
    }
    assert!(sip > 1_000, "only {sip}");
}

/// Bytes changed, lost, doubled and cut, by seed: nothing panics, nothing is larger than it may be.
#[test]
fn spoilt_packets_are_refused_or_read_and_never_more() {
    let mut seeds: Vec<Vec<u8>> =
        edge_cases().into_iter().map(|(_, _, bytes)| bytes).filter(|b| b.len() < 8_000).collect();
    for (_, bytes) in streams().iter().take(6) {
        let mut framer = Framer::new();
        framer.push(bytes);
        seeds.extend(whole(&mut framer).unwrap().into_iter().take(40));
    }
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = move |most: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % most.max(1)
    };
    let mut read_well = 0;
    for round in 0..40_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=roll(4) {
            let at = roll(bytes.len());
            match roll(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, u8::try_from(roll(256)).unwrap()),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => {
                    let (to, part) = (roll(bytes.len()), bytes[at.min(bytes.len())..].to_vec());
                    bytes.splice(to.min(bytes.len())..to.min(bytes.len()), part.into_iter().take(64));
                }
                _ if at < bytes.len() => bytes[at] = u8::try_from(roll(256)).unwrap(),
                _ => {}
            }
        }
        if let Ok(Held::Sip(packet)) = read(&bytes, None) {
            assert!(packet.payload.len() <= INFLATED);
            read_well += 1;
        }
        let mut framer = Framer::new();
        framer.push(&bytes);
        while let Ok(Some(packet)) = framer.take() {
            assert!(packet.len() <= LONGEST);
        }
    }
    assert!(read_well > 5_000, "only {read_well} of 40,000 were read: the dice are too hard");
}
