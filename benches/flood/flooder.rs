//! The flood: so many packets a second of all that a stranger can think of, from a thread of its own.

use std::{
    fs, io,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Where a stranger is, and where the capture agent is that may send.
const STRANGER: &str = "127.0.0.66";
pub const MIRROR: &str = "127.0.0.77";

/// What was sent, and what strangers got back, in bytes.
pub struct Flood {
    pub packets: u64,
    pub bytes: u64,
    pub answered: u64,
}

/// Until `running` is false.
pub fn start(
    sip: SocketAddr,
    hep: SocketAddr,
    victim: (String, String),
    a_second: u64,
    running: Arc<AtomicBool>,
) -> JoinHandle<io::Result<Flood>> {
    std::thread::spawn(move || {
        let stranger = UdpSocket::bind((STRANGER, 0))?;
        let mirror = UdpSocket::bind((MIRROR, 0))?;
        // Beside the switch, at its address: for a datagram's source can be forged.
        let beside = UdpSocket::bind("127.0.0.1:0")?;
        for socket in [&stranger, &mirror, &beside] {
            socket.set_nonblocking(true)?;
        }
        let (for_sip, for_hep) = (messages(&victim), mirrored());
        let mut flood = Flood { packets: 0, bytes: 0, answered: 0 };
        let (begun, mut buffer) = (Instant::now(), [0; 65_535]);
        while running.load(Relaxed) {
            let due = begun.elapsed().as_micros() as u64 * a_second / 1_000_000;
            while flood.packets < due {
                let n = usize::try_from(flood.packets).unwrap_or(0);
                let (socket, bytes, to) = match n % 4 {
                    0 | 1 => (&stranger, &for_sip[n / 2 % for_sip.len()], sip),
                    2 if n % 20 == 2 => (&beside, &for_sip[n / 20 % for_sip.len()], sip),
                    2 => (&stranger, &for_hep[n / 4 % for_hep.len()], hep),
                    _ => (&mirror, &for_hep[n / 4 % for_hep.len()], hep),
                };
                // A full queue of loopback is a packet that was lost on the way, as any other.
                if socket.send_to(bytes, to).is_ok() && std::ptr::eq(socket, &stranger) {
                    flood.bytes += bytes.len() as u64;
                }
                flood.packets += 1;
            }
            while let Ok(n) = stranger.recv(&mut buffer) {
                flood.answered += n as u64;
            }
            while mirror.recv(&mut buffer).is_ok() || beside.recv(&mut buffer).is_ok() {}
            std::thread::sleep(Duration::from_micros(500));
        }
        while let Ok(n) = stranger.recv(&mut buffer) {
            flood.answered += n as u64;
        }
        Ok(flood)
    })
}

/// For the SIP socket.
fn messages((call_id, tag): &(String, String)) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/torture");
    let mut all: Vec<Vec<u8>> = Vec::new();
    for of in fs::read_dir(folder).into_iter().flatten().flatten() {
        for entry in fs::read_dir(of.path()).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|e| e == "dat") {
                all.extend(fs::read(entry.path()));
            }
        }
    }
    let body = "<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='9999' state='full' entity='sip:2001@pbx.lab'>\
        <dialog id='x' call-id='forged@x' direction='recipient'><state>early</state><remote><identity>sip:13899999999@evil.lab</identity></remote></dialog></dialog-info>";
    let notify = |call_id: &str, tag: &str, event: &str| {
        format!(
            "NOTIFY sip:linecard@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKforged;rport\r\nFrom: <sip:2001@pbx.lab>;tag=evil\r\n\
             To: <sip:linecard@pbx.lab>;tag={tag}\r\nCall-ID: {call_id}\r\nCSeq: 999 NOTIFY\r\nMax-Forwards: 70\r\nEvent: {event}\r\n\
             Subscription-State: active;expires=60\r\nContent-Type: application/dialog-info+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    all.push(notify(call_id, "wrong", "dialog").into_bytes());
    all.push(notify("wrong", tag, "dialog").into_bytes());
    all.push(notify("wrong", "wrong", "dialog").into_bytes());
    for method in ["SUBSCRIBE", "INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "FOO", "MESSAGE", "ACK"] {
        all.push(
            format!(
                "{method} sip:linecard@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKq{method};rport\r\nFrom: <sip:x@evil.lab>;tag=1\r\n\
                 To: <sip:linecard@pbx.lab>\r\nCall-ID: q{method}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:x@{STRANGER}>\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes(),
        );
    }
    all.push(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 SUBSCRIBE\r\n\r\n".to_vec());
    all.push(vec![0; 8]);
    all.push(vec![0xff; 1_400]);
    all.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    all.push([b"NOTIFY sip:a@b SIP/2.0\r\n".as_slice(), &b"X: y\r\n".repeat(5_000)].concat());
    all
}

/// For the HEP port.
fn mirrored() -> Vec<Vec<u8>> {
    let chunk = |kind: u16, data: &[u8]| {
        let length = u16::try_from(data.len() + 6).unwrap_or(u16::MAX);
        [&[0, 0], kind.to_be_bytes().as_slice(), &length.to_be_bytes(), data].concat()
    };
    let packet = |key: &[u8], payload: &[u8], kind: u8| {
        let chunks = [
            chunk(1, &[2]),
            chunk(2, &[17]),
            chunk(3, &[192, 0, 2, 1]),
            chunk(4, &[192, 0, 2, 2]),
            chunk(11, &[1]),
            chunk(14, key),
            chunk(u16::from(kind), payload),
        ]
        .concat();
        let length = u16::try_from(chunks.len() + 6).unwrap_or(u16::MAX);
        [b"HEP3".as_slice(), &length.to_be_bytes(), &chunks].concat()
    };
    let garbage: Vec<u8> = (0..1_200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let torn = packet(crate::KEY.as_bytes(), b"INVITE sip:a@b SIP/2.0\r\n", 15);
    vec![
        garbage.clone(),
        [b"HEP3".as_slice(), &garbage].concat(),
        [&[1, 16, 2, 17], garbage.get(..60).unwrap_or_default()].concat(),
        [&[2, 16, 2, 17], garbage.get(..60).unwrap_or_default()].concat(),
        packet(b"wrong-key", b"INVITE sip:a@b SIP/2.0\r\n\r\n", 15),
        packet(crate::KEY.as_bytes(), &garbage, 15),
        packet(crate::KEY.as_bytes(), &garbage, 16),
        torn.get(..torn.len() / 2).unwrap_or_default().to_vec(),
        torn,
        Vec::new(),
    ]
}
