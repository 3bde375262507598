//! The RFCs' list for a subscriber (facts of the project, section 3), line by line: the test that shows it, or why not. Tests are named so that
//! a line is found by its test. Bodies (dialog-info, lists, reg) have their tests beside their readers.
//!
//! | line | shown by, or why not |
//! |---|---|
//! | T1, T2, T4; timers A, B, D | `a_request_is_repeated_at_the_pauses_of_timer_e`; A, B and D are INVITE's, and nobody is invited |
//! | 64*T1 gives 408, the target failed | `a_target_that_says_nothing_is_left_for_the_next` |
//! | retransmitted NOTIFY answered from memory (J) | `a_notify_that_comes_again_is_answered_from_memory` |
//! | branch z9hG4bK, unique, new for a retry | `each_request_has_a_branch_of_its_own_and_keeps_its_call_id`; CANCEL is INVITE's |
//! | responses matched by branch and method | `a_response_to_nothing_of_ours_is_passed_over` |
//! | CSeq rises by one | `each_request_has_a_branch_of_its_own_and_keeps_its_call_id` |
//! | lower CSeq 500, equal is a retransmission | `traces::a_notify_that_was_overtaken...`, `a_notify_that_comes_again_is_answered_from_memory` |
//! | 32 random bits, Call-ID kept | `dice::names_differ...`, `each_request_has_a_branch_of_its_own_and_keeps_its_call_id` |
//! | compact, folded, repeated, joined headers | `normal.rs`, `value.rs`, `verdict.rs` over the torture messages |
//! | 405 and Allow, OPTIONS, 420 and Unsupported | `everything_else_gets_the_answer_it_is_owed` |
//! | 513 or close; own limit | `frame::a_stream_breaks_for_good`: closed at 64 KiB; 513 would answer what was not read |
//! | Record-Route, loose and strict | `refreshes_go_by_the_way_that_was_recorded` |
//! | Contact is the refresh target | `refreshes_go_by_the_way_that_was_recorded` |
//! | rport in every UDP Via; answers to received/rport | `each_request_has...`, `answers_go_where_the_request_came_from` |
//! | NAPTR, SRV, A; port or IP given | `locate.rs`; live in `tests/locate.rs` |
//! | 503, timeout, transport error: next target, new branch | `a_target_that_says_nothing...`, `a_503_halves_the_pace_and_leaves_the_host_alone` |
//! | 503 Retry-After | `a_503_halves_the_pace_and_leaves_the_host_alone` |
//! | response by received/rport, then sent-by | `answers_go_where_the_request_came_from` |
//! | one target for a dialog; TTL; short negative caching | `a_target_that_says_nothing...`, `what_the_resolver_said_is_asked_again`, `locate.rs` |
//! | over 1300 bytes: TCP; refused: UDP | `what_is_too_large_for_a_datagram_goes_over_tcp` |
//! | stream framing, several a read, one over many | `frame::a_stream_is_cut_the_same_whole_and_byte_by_byte` |
//! | UDP length rules | `verdict.rs`: clerr, dblreq, ipv4-mapped-ipv6 |
//! | TLS names, sips | `live.rs`'s, with rustls |
//! | WebSocket subprotocol, one message each, `.invalid` | `a_websocket_hides_its_host`; the handshake is `live.rs`'s |
//! | WebSocket: Content-Length ignored; ping | `wire::a_notify_is_read`, `a_stream_that_stops_answering_pings_is_lost` |
//! | CRLF ping 95-120 s, pong 10 s; STUN | `a_stream_that_stops_answering_pings_is_lost`; UDP asks OPTIONS every 24-29 s: few servers answer STUN on their SIP port |
//! | outbound: reg-id, instance, ob, two flows | not done: a watcher does not register and opens its own connections; two edges are two switches of the settings |
//! | backoff 30 s to 1800 s | `what_the_resolver_said_is_asked_again`: 2 s to 120 s with jitter; RFC 5626's figures are for a hundred thousand phones |
//! | connection lost: unknown, reconnect, subscribe anew | `a_lost_connection_makes_everything_unknown` |
//! | in-dialog request on any connection | `answers_go_where_the_request_came_from` |
//! | 401/407: one retry; stale | `digest::a_second_refusal_stops_unless_it_says_stale`, `traces::a_wrong_password_is_tried_once` |
//! | SHA-256, MD5, the first supported | `digest::the_first_challenge_that_we_can_answer...`; SHA-512-256 is not in rsip's helper |
//! | qop=auth, none, nc, cnonce; auth-int refused | `digest.rs` |
//! | nextnonce, credentials reused | `credentials_are_used_again_and_the_nonce_is_counted` |
//! | uri as sent; password never in logs | `digest.rs`; `Secret` does not print |
//! | failure stops with an alarm | `traces::a_wrong_password_is_tried_once`, `a_refused_password_stops_everything_that_needs_it` |
//! | Event, Accept, Expires, Contact; Event id | `each_request_has...`, `a_notify_that_matches_nothing_is_481` |
//! | granted Expires; NOTIFY shortens | `a_notify_shortens_and_never_lengthens` |
//! | refresh between a half and five sixths | `refreshes_are_spread` |
//! | NOTIFY before the 2xx; Timer N | `a_notify_may_come_before_the_2xx`, `accepted_and_silent_is_failed` |
//! | 2xx without NOTIFY | `accepted_and_silent_is_failed` |
//! | forks | `a_forked_subscribe_is_several_subscriptions` |
//! | NOTIFY that matches nothing: 481 | `a_notify_that_matches_nothing_is_481` |
//! | 423 | `traces::errors_of_the_subscription...` |
//! | 481 on refresh | `traces::errors_of_the_subscription...`, `traces::after_a_restart...` |
//! | other failure of a refresh | `a_refresh_that_fails_for_a_while_is_tried_again_before_the_end` |
//! | 489 | `traces::errors_of_the_subscription...` |
//! | 403, 404, 410, 604; 480, 486, 500, 503 | `final_and_passing_refusals` |
//! | terminated reasons | `reasons_say_when_to_come_again` |
//! | Expires: 0, wait for the final NOTIFY; fetch | `stopping_waits_for_the_final_notify`; nothing is fetched: a watch is for good |
//! | pending | `pending_is_told_with_its_body` |
//! | suppress-if-match | not done: optional, and Kamailio has it not |
//! | NOTIFY answered at once; 415; bad XML 200 | `a_body_that_we_cannot_read_is_415`; answered before the body is looked at |
//! | a phone is referred (RFC 3515) and tells how it went | `a_phone_is_told_to_call_and_says_what_became_of_it` |
//! | storm control | `a_start_is_paced_and_few_are_under_way`, `a_503_halves...` |

use super::*;
use crate::{switches::sip::wire, words::Wall};

const PEER: (&str, u16) = ("192.0.2.10", 5060);

/// A made-up server and the machine.
struct Lab {
    client: Client,
    ms: u64,
    flow: Option<Flow>,
    transport: Transport,
    sent: Vec<String>,
    outputs: Vec<Output>,
    /// What the resolver answers with.
    targets: Vec<Target>,
    /// Flows open by themselves.
    opens: bool,
}

fn target(host: &str, transport: Transport) -> Target {
    Target { host: host.into(), port: 5060, transport }
}

impl Lab {
    fn new(transport: Transport) -> Self {
        Self::with(transport, |_| {})
    }

    fn with(transport: Transport, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            server: Server { host: "pbx.lab".into(), port: None, transport: None },
            identity: "sip:cti@pbx.lab".into(),
            credentials: Some(Credentials {
                user: "cti".into(),
                realm: "pbx.lab".into(),
                password: Secret::new("pw-cti".into()),
            }),
            expires_s: 600,
            starts_a_second: 50,
            in_flight: 10,
            agent: "linecard".into(),
        };
        change(&mut settings);
        Self {
            client: Client::new(settings, [9; 32]),
            ms: 1_000,
            flow: None,
            transport,
            sent: Vec::new(),
            outputs: Vec::new(),
            targets: vec![target(PEER.0, transport)],
            opens: true,
        }
    }

    fn watching(transport: Transport, count: u32) -> Self {
        let mut lab = Self::new(transport);
        lab.watch(count);
        lab
    }

    fn watch(&mut self, count: u32) {
        let watch = |n: u32| Watch {
            id: WatchId(n),
            uri: format!("sip:{}@pbx.lab", 1000 + n),
            package: Package::Dialog,
            list: false,
            expires_s: None,
        };
        self.take(Input::Watch((1..=count).map(watch).collect()));
    }

    fn now(&self) -> Now {
        Now { wall: Wall(i64::try_from(self.ms).unwrap()), mono: Mono(self.ms * 1000) }
    }

    fn take(&mut self, input: Input<'_>) {
        self.client.take(self.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        let now = self.now();
        while let Some(output) = self.client.next(now) {
            match output {
                Output::Resolve(_) => {
                    self.outputs.push(output);
                    let targets = self.targets.clone();
                    self.client.take(now, Input::Resolved { targets, ttl_ms: 3_600_000 });
                }
                Output::Open { flow, .. } => {
                    self.outputs.push(output);
                    if self.opens {
                        self.flow = Some(flow);
                        self.client.take(now, Input::Connected { flow, host: "192.0.2.30".into(), port: 5070 });
                    }
                }
                Output::Send { ref bytes, .. } | Output::Reply { ref bytes, .. } => {
                    self.sent.push(String::from_utf8(bytes.clone()).unwrap());
                    self.outputs.push(output);
                }
                other => self.outputs.push(other),
            }
        }
    }

    /// Lets time pass, firing what falls due.
    fn pass(&mut self, ms: u64) {
        let end = self.ms + ms;
        while let Some(at) = self.client.deadline().map(|at| at.0.div_ceil(1000)).filter(|at| *at <= end) {
            self.ms = self.ms.max(at);
            self.drain();
        }
        self.ms = end;
        self.drain();
    }

    fn receive(&mut self, text: &str) {
        self.receive_from(self.flow, PEER, text);
    }

    fn receive_from(&mut self, flow: Option<Flow>, (host, port): (&str, u16), text: &str) {
        let transport = self.transport;
        self.take(Input::Received { flow, host, port, transport, bytes: text.as_bytes() });
    }

    /// The requests sent since the last call of this, parsed.
    fn requests(&mut self) -> Vec<Message> {
        let sent = std::mem::take(&mut self.sent);
        sent.iter().map(|t| wire::read(t.as_bytes()).unwrap()).filter(|m| m.method() == Some("SUBSCRIBE")).collect()
    }

    fn request(&mut self) -> Message {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn statuses(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.sent).iter().filter_map(|t| wire::read(t.as_bytes()).unwrap().status()).collect()
    }

    fn answer(&mut self, request: &Message, status: u16, more: &str) {
        let text = response(request, status, more);
        self.receive(&text);
    }

    /// 200 and the first NOTIFY for a SUBSCRIBE that was sent.
    fn grant(&mut self, request: &Message) {
        self.answer(request, 200, "Expires: 600\r\nContact: <sip:192.0.2.10:5060>\r\n");
        self.receive(&notify(request, "srv", 1, "active;expires=600", ""));
        self.sent.clear();
    }

    fn unknown(&self) -> Vec<&Why> {
        self.outputs.iter().filter_map(|o| if let Output::Unknown { why, .. } = o { Some(why) } else { None }).collect()
    }

    fn notified(&self) -> usize {
        self.outputs.iter().filter(|o| matches!(o, Output::Notified { .. })).count()
    }
}

fn response(request: &Message, status: u16, more: &str) -> String {
    let via: String = request.headers("Via").iter().map(|v| format!("Via: {v};received=192.0.2.30\r\n")).collect();
    let to = request.header("To").unwrap();
    let to = if request.to().tag().is_some() { to.to_owned() } else { format!("{to};tag=srv") };
    format!(
        "SIP/2.0 {status} Said\r\n{via}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}Content-Length: 0\r\n\r\n",
        request.header("From").unwrap(),
        request.call_id(),
        request.header("CSeq").unwrap()
    )
}

fn notify(subscribe: &Message, tag: &str, cseq: u32, state: &str, more: &str) -> String {
    format!(
        "NOTIFY sip:cti@192.0.2.30:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKn{tag}{cseq}{}\r\nMax-Forwards: 70\r\nTo: {}\r\nFrom: <{}>;tag={tag}\r\nCall-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nEvent: dialog\r\nContact: <sip:192.0.2.10:5060>\r\nSubscription-State: {state}\r\n{more}Content-Length: 0\r\n\r\n",
        subscribe.cseq().0,
        subscribe.header("From").unwrap(),
        subscribe.to().uri,
        subscribe.call_id()
    )
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"pbx.lab\", nonce=\"n1\", qop=\"auth\"\r\n";

#[test]
fn a_request_is_repeated_at_the_pauses_of_timer_e() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let start = lab.ms;
    let mut at = Vec::new();
    for _ in 0..700 {
        lab.pass(50);
        at.extend(
            lab.requests().iter().skip(usize::from(at.is_empty() && lab.ms == start + 50)).map(|_| lab.ms - start),
        );
        if lab.ms - start > 31_900 {
            break;
        }
    }
    assert_eq!(at, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    // A provisional answer slows it down at once.
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.answer(&request, 100, "");
    lab.pass(500);
    assert_eq!(lab.requests().len(), 1);
    lab.pass(3_900);
    assert_eq!(lab.requests().len(), 0);
    lab.pass(200);
    assert_eq!(lab.requests().len(), 1);
    // Nothing is repeated on a stream.
    let mut lab = Lab::watching(Transport::Tcp, 1);
    lab.request();
    lab.pass(31_000);
    assert!(lab.requests().is_empty());
}

#[test]
fn a_target_that_says_nothing_is_left_for_the_next() {
    for transport in [Transport::Udp, Transport::Tls] {
        let mut lab = Lab::new(transport);
        lab.targets = vec![target("192.0.2.10", transport), target("192.0.2.11", transport)];
        lab.watch(1);
        let first = lab.request();
        lab.pass(32_100);
        let opened: Vec<&str> = lab
            .outputs
            .iter()
            .filter_map(|o| if let Output::Open { target, .. } = o { Some(&*target.host) } else { None })
            .collect();
        assert_eq!(opened, ["192.0.2.10", "192.0.2.11"]);
        assert_eq!(lab.unknown(), [&Why::Connection]);
        let again = lab.requests().pop().unwrap();
        assert_ne!((again.via().branch.clone(), again.call_id()), (first.via().branch.clone(), first.call_id()));
        assert_eq!(lab.outputs.iter().filter(|o| matches!(o, Output::Resolve(_))).count(), 1);
    }
}

#[test]
fn a_notify_that_comes_again_is_answered_from_memory() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    let text = notify(&request, "srv", 2, "active;expires=600", "");
    lab.receive(&text);
    let first = lab.sent.clone();
    lab.receive(&text);
    lab.pass(31_000);
    lab.sent.retain(|t| !t.starts_with("OPTIONS"));
    lab.sent.truncate(2);
    assert_eq!((lab.sent.len(), &lab.sent[0], &lab.sent[1]), (2, &first[0], &first[0]));
    assert_eq!((lab.notified(), lab.client.counts().repeated), (2, 1));
    // The same CSeq by another way is the same NOTIFY: answered, not taken again.
    lab.receive(&text.replace("z9hG4bKn", "z9hG4bKother"));
    assert_eq!(lab.notified(), 2);
    // After 64*T1 it is forgotten.
    lab.pass(33_000);
    assert!(lab.client.memory.forget(lab.now().mono).is_none());
}

#[test]
fn each_request_has_a_branch_of_its_own_and_keeps_its_call_id() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let first = lab.request();
    lab.answer(&first, 401, CHALLENGE);
    let second = lab.request();
    lab.grant(&second);
    lab.take(Input::Refresh(WatchId(1)));
    let third = lab.request();
    let branches: Vec<&str> = [&first, &second, &third].map(|m| m.via().branch.as_deref().unwrap()).into();
    assert!(branches.iter().all(|b| b.starts_with("z9hG4bK")));
    assert!(branches[0] != branches[1] && branches[1] != branches[2]);
    for (m, cseq) in [(&first, 1), (&second, 2), (&third, 3)] {
        assert_eq!((m.call_id(), m.from().tag(), m.cseq()), (first.call_id(), first.from().tag(), (cseq, "SUBSCRIBE")));
        assert_eq!(
            (m.header("Event"), m.header("Accept"), m.header("Expires")),
            (Some("dialog"), Some("application/dialog-info+xml"), Some("600"))
        );
        assert_eq!(m.header("Contact"), Some("<sip:cti@192.0.2.30:5070>"));
        assert!(m.via().params.has("rport"));
    }
    assert_eq!((first.to().tag(), third.to().tag()), (None, Some("srv")));
}

#[test]
fn a_response_to_nothing_of_ours_is_passed_over() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    let good = response(&request, 200, "Expires: 600\r\n");
    let branch = request.via().branch.clone().unwrap();
    lab.receive(&good.replace(&branch, "z9hG4bKguess"));
    lab.receive(&good.replace("SUBSCRIBE", "OPTIONS"));
    lab.receive(&good.replace("Via: ", "Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKx, "));
    // From another address than the one that was resolved.
    lab.receive_from(lab.flow, ("203.0.113.5", 5060), &good);
    assert_eq!((lab.client.counts().active, lab.sent.len()), (0, 0));
    lab.receive(&good);
    assert_eq!(lab.client.counts().active, 1);
}

#[test]
fn everything_else_gets_the_answer_it_is_owed() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    let ask = |method: &str, more: &str| {
        format!(
            "{method} sip:cti@192.0.2.30:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKq{method}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:cti@pbx.lab>\r\nCall-ID: q\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
        )
    };
    for (method, more, expected, header) in [
        ("OPTIONS", "", Some(200), Some(("Allow", "NOTIFY"))),
        ("INVITE", "", Some(405), Some(("Allow", "NOTIFY"))),
        ("MESSAGE", "", Some(405), None),
        ("BYE", "", Some(481), None),
        ("CANCEL", "", Some(481), None),
        ("NEWMETHOD", "", Some(501), None),
        ("ACK", "", None, None),
        ("OPTIONS", "Require: nothing, eventlist, more\r\n", Some(420), Some(("Unsupported", "nothing"))),
        ("NOTIFY", "Event: dialog\r\n", Some(481), None),
        ("OPTIONS", "Max-Forwards: x\r\n", Some(400), None),
        ("OPTIONS", "To: <sip:x@y>\r\n", Some(400), None),
    ] {
        lab.sent.clear();
        lab.receive(&ask(method, more));
        let answers: Vec<Message> =
            lab.sent.iter().map(|t| wire::read(t.as_bytes()).unwrap_or_else(|e| panic!("{e:?} {t}"))).collect();
        assert_eq!(answers.first().and_then(Message::status), expected, "{method} {more}");
        if let Some((name, value)) = header {
            assert_eq!(answers[0].header(name), Some(value));
        }
    }
    assert_eq!(lab.notified(), 1);
}

#[test]
fn strangers_get_little_and_not_much_of_it() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    let long = |n: u32| {
        format!(
            "OPTIONS sip:cti@192.0.2.30:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK{n}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:cti@pbx.lab>\r\nCall-ID: q\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    };
    for n in 0..1_000 {
        let text = long(n);
        lab.receive_from(lab.flow, ("203.0.113.5", 5060), &text);
        assert!(lab.sent.iter().all(|answer| answer.len() <= text.len()), "{:?}", lab.sent.last());
    }
    assert_eq!(lab.sent.len(), STRANGERS_A_SECOND as usize);
    lab.sent.clear();
    lab.pass(1_000);
    // So short that the answer would be longer: none.
    lab.receive_from(
        lab.flow,
        ("203.0.113.5", 5060),
        "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP a\r\nf:sip:a\r\nt:sip:b\r\ni:1\r\nCSeq:1 OPTIONS\r\n\r\n",
    );
    assert!(lab.sent.is_empty(), "{:?}", lab.sent);
}

#[test]
fn refreshes_go_by_the_way_that_was_recorded() {
    for (recorded, uri, route) in [
        ("<sip:p1.lab;lr>, <sip:p2.lab;lr>", "sip:1001@192.0.2.50:5080", vec!["<sip:p2.lab;lr>", "<sip:p1.lab;lr>"]),
        ("<sip:p1.lab>, <sip:p2.lab>", "sip:p2.lab", vec!["<sip:p1.lab>", "<sip:1001@192.0.2.50:5080>"]),
    ] {
        let mut lab = Lab::watching(Transport::Udp, 1);
        let request = lab.request();
        lab.answer(
            &request,
            200,
            &format!("Expires: 600\r\nRecord-Route: {recorded}\r\nContact: <sip:1001@192.0.2.40>\r\n"),
        );
        let moved = notify(&request, "srv", 1, "active;expires=600", "")
            .replace("<sip:192.0.2.10:5060>", "<sip:1001@192.0.2.50:5080>");
        lab.receive(&moved);
        lab.sent.clear();
        lab.take(Input::Refresh(WatchId(1)));
        let refresh = lab.request();
        assert_eq!((refresh.request_uri().unwrap().as_str(), refresh.headers("Route")), (uri, route));
    }
    // Made by the NOTIFY, the way is in its order.
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.receive(&notify(
        &request,
        "srv",
        1,
        "active;expires=600",
        "Record-Route: <sip:p1.lab;lr>, <sip:p2.lab;lr>\r\n",
    ));
    lab.answer(&request, 200, "Expires: 600\r\n");
    lab.sent.clear();
    lab.take(Input::Refresh(WatchId(1)));
    assert_eq!(lab.request().headers("Route"), ["<sip:p1.lab;lr>", "<sip:p2.lab;lr>"]);
}

#[test]
fn answers_go_where_the_request_came_from() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    let back = |lab: &Lab| match lab.outputs.iter().rev().find(|o| matches!(o, Output::Reply { .. })) {
        Some(Output::Reply { host, port, .. }) => (host.clone(), *port),
        _ => panic!("no reply"),
    };
    // No rport: to the port that Via names, at the address it came from.
    let plain = notify(&request, "srv", 2, "active", "");
    lab.receive_from(lab.flow, ("198.51.100.7", 40_000), &plain);
    assert_eq!(back(&lab), ("198.51.100.7".to_owned(), 5060));
    let asked = notify(&request, "srv", 3, "active", "").replace("192.0.2.10;branch", "192.0.2.10:5099;rport;branch");
    lab.receive_from(lab.flow, ("198.51.100.7", 40_000), &asked);
    assert_eq!(back(&lab), ("198.51.100.7".to_owned(), 40_000));
    assert!(
        lab.sent.last().unwrap().contains(";rport=40000;branch=")
            && lab.sent.last().unwrap().contains(";received=198.51.100.7")
    );
    // Over a connection that somebody opened to us it is taken just as well.
    assert_eq!(lab.notified(), 3);
    lab.transport = Transport::Tcp;
    lab.receive_from(None, ("198.51.100.8", 40_001), &notify(&request, "srv", 4, "active", "").replace("UDP", "TCP"));
    assert_eq!((lab.notified(), back(&lab)), (4, ("198.51.100.8".to_owned(), 40_001)));
}

#[test]
fn a_503_halves_the_pace_and_leaves_the_host_alone() {
    let mut lab = Lab::watching(Transport::Udp, 40);
    assert_eq!(lab.requests().len(), 1, "the others are paced");
    lab.pass(1_000);
    let all = lab.requests();
    let under_way = lab.client.transactions.starting();
    assert_eq!(under_way, 10, "no more than ten without an answer: {}", all.len());
    let first = all.into_iter().next().unwrap();
    lab.answer(&first, 503, "Retry-After: 20 (tired)\r\n");
    assert_eq!((lab.client.pace.in_flight, lab.client.pace.a_second), (5, 25));
    assert_eq!(lab.unknown(), [&Why::Refused(503, "Said".into())]);
    let before = lab.client.counts().sent;
    lab.pass(10_000);
    assert_eq!(lab.client.counts().sent, before, "nothing new while the host rests");

    // With another target that one is taken, and the first is not asked before its time.
    let mut lab = Lab::new(Transport::Tcp);
    lab.targets = vec![target("192.0.2.10", Transport::Tcp), target("192.0.2.11", Transport::Tcp)];
    lab.watch(1);
    let request = lab.request();
    lab.answer(&request, 503, "Retry-After: 600\r\n");
    let opened = |lab: &Lab| -> Vec<String> {
        lab.outputs
            .iter()
            .filter_map(|o| if let Output::Open { target, .. } = o { Some(target.host.clone()) } else { None })
            .collect()
    };
    assert_eq!(opened(&lab), ["192.0.2.10", "192.0.2.11"]);
    let flow = lab.flow.unwrap();
    lab.take(Input::Lost { flow, reason: "reset".into() });
    lab.pass(300_000);
    assert!(opened(&lab).iter().skip(1).all(|host| host == "192.0.2.11"), "{:?}", opened(&lab));
    lab.pass(600_000);
    assert!(opened(&lab).iter().skip(1).any(|host| host == "192.0.2.10"), "its time is over");
}

#[test]
fn what_the_resolver_said_is_asked_again() {
    let mut lab = Lab::new(Transport::Udp);
    lab.targets.clear();
    lab.watch(1);
    let asked = |lab: &Lab| lab.outputs.iter().filter(|o| matches!(o, Output::Resolve(_))).count();
    assert_eq!(asked(&lab), 1);
    lab.pass(2_000);
    assert_eq!(asked(&lab), 2, "the first pause is two seconds at most");
    lab.pass(600_000);
    let many = asked(&lab);
    assert!((8..20).contains(&many), "pauses grow to two minutes: {many}");
    lab.targets = vec![target(PEER.0, Transport::Udp)];
    lab.pass(121_000);
    assert!(lab.client.is_up());
}

#[test]
fn what_is_too_large_for_a_datagram_goes_over_tcp() {
    let long = "x".repeat(1_300);
    for refused in [false, true] {
        let mut lab = Lab::with(Transport::Udp, |s| s.agent = long.clone());
        lab.watch(0);
        lab.take(Input::Watch(vec![Watch {
            id: WatchId(1),
            uri: "sip:1001@pbx.lab".into(),
            package: Package::Dialog,
            list: false,
            expires_s: None,
        }]));
        let (udp, opened) = (Flow(1), Flow(2));
        if refused {
            // The lab opens every flow; this one fails right behind.
            let mut lab = Lab::with(Transport::Udp, |s| s.agent = long.clone());
            lab.opens = false;
            lab.watch(1);
            lab.take(Input::Connected { flow: udp, host: "192.0.2.30".into(), port: 5070 });
            assert!(lab.sent.is_empty());
            lab.take(Input::Lost { flow: opened, reason: "refused".into() });
            assert!(lab.sent[0].contains("Via: SIP/2.0/UDP 192.0.2.30"), "{}", lab.sent[0]);
            assert!(matches!(lab.outputs.last(), Some(Output::Send { flow, .. }) if *flow == udp));
            lab.pass(600);
            assert_eq!(lab.sent.len(), 2, "and is repeated as UDP is");
            continue;
        }
        assert!(lab.sent[0].contains("Via: SIP/2.0/TCP 192.0.2.30"), "{}", lab.sent[0]);
        assert!(lab.outputs.iter().any(|o| matches!(o, Output::Send { flow, .. } if *flow == opened)));
        let request = lab.request();
        lab.transport = Transport::Tcp;
        let answer = response(&request, 200, "Expires: 600\r\n");
        lab.receive_from(Some(opened), PEER, &answer);
        assert_eq!(lab.client.counts().active, 1);
    }
}

#[test]
fn a_websocket_hides_its_host() {
    let mut lab = Lab::watching(Transport::Wss, 1);
    let request = lab.request();
    assert_eq!(&*request.via().transport, "WSS");
    assert!(request.via().host.ends_with(".invalid") && request.via().port.is_none());
    let contact = request.header("Contact").unwrap();
    assert!(contact.ends_with(".invalid;transport=ws>") && contact.contains(&request.via().host), "{contact}");
}

#[test]
fn a_stream_that_stops_answering_pings_is_lost() {
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let request = lab.request();
    lab.grant(&request);
    let pings = |lab: &Lab| lab.outputs.iter().filter(|o| matches!(o, Output::Ping { .. })).count();
    lab.pass(94_000);
    assert_eq!(pings(&lab), 0);
    lab.pass(26_000);
    assert_eq!(pings(&lab), 1);
    // A server that never answered a ping is not held to it.
    lab.pass(11_000);
    assert!(lab.client.is_up());
    let flow = lab.flow.unwrap();
    lab.take(Input::Pong { flow });
    lab.opens = false;
    lab.pass(132_000);
    assert!(!lab.client.is_up());
    assert_eq!(lab.unknown(), [&Why::Connection]);
    // Over UDP the server is asked for its options, and not a word in 32 s is a target lost.
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    lab.pass(29_000);
    assert!(lab.sent.iter().any(|t| t.starts_with("OPTIONS sip:pbx.lab SIP/2.0\r\n")));
    lab.opens = false;
    lab.pass(33_000);
    assert_eq!((lab.client.is_up(), lab.unknown()), (false, vec![&Why::Connection]));
}

#[test]
fn a_lost_connection_makes_everything_unknown() {
    let mut lab = Lab::watching(Transport::Tcp, 2);
    lab.pass(100);
    for request in lab.requests() {
        lab.grant(&request);
    }
    let before = lab.client.counts().active;
    let flow = lab.flow.unwrap();
    lab.take(Input::Lost { flow, reason: "reset by peer".into() });
    assert_eq!((before, lab.client.counts().active), (2, 0));
    assert_eq!(lab.unknown(), [&Why::Connection, &Why::Connection]);
    assert_eq!(lab.outputs.iter().filter(|o| matches!(o, Output::Ended { why: Why::Connection, .. })).count(), 2);
    lab.pass(2_500);
    let again = lab.requests();
    assert!(again.len() == 2 && again.iter().all(|m| m.cseq().0 == 1 && m.to().tag().is_none()));
}

#[test]
fn credentials_are_used_again_and_the_nonce_is_counted() {
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let request = lab.request();
    assert!(request.header("Authorization").is_none());
    lab.answer(&request, 401, CHALLENGE);
    let request = lab.request();
    assert!(request.header("Authorization").unwrap().contains("nc=00000001"));
    lab.grant(&request);
    lab.take(Input::Refresh(WatchId(1)));
    let refresh = lab.request();
    let signed = refresh.header("Authorization").unwrap();
    assert!(
        signed.contains("nc=00000002")
            && signed.contains("nonce=\"n1\"")
            && signed.contains("uri=\"sip:192.0.2.10:5060\""),
        "{signed}"
    );
    lab.answer(&refresh, 200, "Expires: 600\r\nAuthentication-Info: nextnonce=\"n2\"\r\n");
    lab.take(Input::Refresh(WatchId(1)));
    let refresh = lab.request();
    assert!(refresh.header("Authorization").unwrap().contains("nonce=\"n2\", uri=\"sip:192.0.2.10:5060\""));
    // Stale: once more, with the new one.
    lab.answer(&refresh, 401, "WWW-Authenticate: Digest realm=\"pbx.lab\", nonce=\"n3\", qop=\"auth\", stale=true\r\n");
    let again = lab.request();
    assert!(again.header("Authorization").unwrap().contains("nonce=\"n3\""));
    lab.answer(&again, 200, "Expires: 600\r\n");
    assert_eq!((lab.client.counts().active, lab.unknown().len()), (1, 0));
}

#[test]
fn a_refused_password_stops_everything_that_needs_it() {
    let mut lab = Lab::watching(Transport::Tcp, 3);
    let first = lab.request();
    lab.answer(&first, 401, CHALLENGE);
    let signed = lab.request();
    lab.answer(&signed, 401, &CHALLENGE.replace("n1", "n2"));
    lab.pass(7_000_000);
    let asked: Vec<Message> = lab.requests();
    for request in asked {
        assert!(request.header("Authorization").is_none());
        lab.answer(&request, 401, CHALLENGE);
    }
    lab.pass(1_000);
    assert!(lab.requests().iter().all(|m| m.header("Authorization").is_none()));
    let alarms = lab.outputs.iter().filter(|o| matches!(o, Output::Alarm(Alarm::CredentialsRefused))).count();
    assert_eq!(alarms, 1);
    // And a challenge that is not ours gets none in the first place.
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.answer(&request, 401, &CHALLENGE.replace("pbx.lab", "evil.example"));
    assert!(lab.requests().is_empty());
    assert!(lab.outputs.iter().any(|o| matches!(o, Output::Alarm(Alarm::RogueChallenge))));
    assert_eq!(lab.unknown(), [&Why::Credentials]);
}

#[test]
fn a_notify_that_matches_nothing_is_481() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    let (ours, tag) = (notify(&request, "srv", 2, "active", ""), request.from().tag().unwrap());
    for forged in [
        ours.replace(request.call_id(), "guess"),
        ours.replace(tag, "guess"),
        ours.replace("Event: dialog", "Event: presence"),
        ours.replace("Event: dialog", "Event: dialog;id=7"),
        ours.replace("Event: dialog\r\n", ""),
        ours.replace("tag=srv", "x=y"),
    ] {
        lab.sent.clear();
        lab.receive(&forged);
        assert_eq!(lab.statuses(), [481], "{forged}");
    }
    // A fork after Timer N is one that nobody asked for.
    lab.pass(33_000);
    lab.sent.clear();
    lab.receive(&ours.replace("tag=srv", "tag=late"));
    assert_eq!(lab.statuses(), [481]);
    assert_eq!((lab.notified(), lab.client.counts().forged), (1, 7));
}

#[test]
fn a_notify_shortens_and_never_lengthens() {
    for (granted, state, lasts) in [
        // A NOTIFY that gives more than the 2xx, one that gives less, and a 2xx that gives more than was asked for.
        (300, "active;expires=86400", 300),
        (300, "active;expires=60", 60),
        (999_999, "active", 600),
    ] {
        let mut lab = Lab::watching(Transport::Tcp, 1);
        let request = lab.request();
        lab.answer(&request, 200, &format!("Expires: {granted}\r\n"));
        lab.receive(&notify(&request, "srv", 1, state, ""));
        lab.sent.clear();
        lab.pass(lasts * 500 - 1_000);
        assert!(lab.requests().is_empty(), "not before a half: {state}");
        let mut seconds = 0;
        while lab.requests().is_empty() {
            lab.pass(1_000);
            seconds += 1;
        }
        assert!(seconds <= lasts / 3 + 2, "within five sixths: {seconds} {state}");
        if lasts == 60 {
            // Nobody answers the refresh: it runs out, and is known no more.
            lab.pass(31_000);
            assert_eq!(lab.unknown(), [&Why::Expired]);
        }
    }
}

#[test]
fn refreshes_are_spread() {
    let mut lab = Lab::with(Transport::Tcp, |s| (s.in_flight, s.starts_a_second) = (500, 1000));
    lab.watch(100);
    lab.pass(200);
    for request in lab.requests() {
        lab.grant(&request);
    }
    let mut seconds = Vec::new();
    for second in 0..520 {
        lab.pass(1_000);
        for request in lab.requests() {
            seconds.push(second);
            lab.answer(&request, 200, "Expires: 600\r\n");
        }
        if seconds.len() >= 100 {
            break;
        }
    }
    assert_eq!(seconds.len(), 100);
    assert!(seconds.iter().all(|s| (290..505).contains(s)), "{seconds:?}");
    let most = (0..=505).map(|s| seconds.iter().filter(|x| **x == s).count()).max();
    assert!(most < Some(10), "no second has ten of a hundred: {seconds:?}");
}

#[test]
fn a_notify_may_come_before_the_2xx() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.receive(&notify(&request, "srv", 1, "active;expires=600", ""));
    assert_eq!((lab.statuses(), lab.notified(), lab.client.counts().active), (vec![200], 1, 1));
    lab.answer(&request, 200, "Expires: 600\r\n");
    assert_eq!((lab.client.counts().active, lab.unknown().len()), (1, 0));
    lab.sent.clear();
    lab.pass(32_100);
    assert!(lab.requests().is_empty() && lab.client.counts().active == 1);
}

#[test]
fn accepted_and_silent_is_failed() {
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let request = lab.request();
    lab.answer(&request, 200, "Expires: 600\r\n");
    lab.pass(31_900);
    assert!(lab.unknown().is_empty());
    lab.pass(200);
    assert_eq!(lab.unknown(), [&Why::Silent]);
    lab.pass(3_000);
    let again = lab.request();
    assert_ne!(again.call_id(), request.call_id());
    // The old one is still sent to: it is not ours any more.
    lab.sent.clear();
    lab.receive(&notify(&request, "srv", 1, "active", ""));
    assert_eq!(lab.statuses(), [481]);
}

#[test]
fn a_forked_subscribe_is_several_subscriptions() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    lab.receive(&notify(&request, "fork", 1, "active;expires=600", ""));
    assert_eq!((lab.notified(), lab.client.counts().active), (2, 2));
    lab.sent.clear();
    lab.take(Input::Refresh(WatchId(1)));
    let mut tags: Vec<String> = lab.requests().iter().map(|m| m.to().tag().unwrap().to_owned()).collect();
    tags.sort();
    assert_eq!(tags, ["fork", "srv"]);
    // One ends, the other tells on: the watch is not unknown.
    lab.receive(&notify(&request, "srv", 2, "terminated;reason=noresource", ""));
    assert!(lab.unknown().is_empty());
    assert!(lab.outputs.iter().any(|o| matches!(o, Output::Ended { subscription, .. } if subscription.tag == "srv")));
    for n in 0..100 {
        lab.receive(&notify(&request, &format!("more{n}"), 1, "active", ""));
    }
    assert_eq!(lab.client.counts().active, FORKS as u64);
}

#[test]
fn a_refresh_that_fails_for_a_while_is_tried_again_before_the_end() {
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let request = lab.request();
    lab.grant(&request);
    let mut tries = 0;
    for second in 0..600 {
        lab.pass(1_000);
        for refresh in lab.requests().into_iter().filter(|m| m.call_id() == request.call_id()) {
            tries += 1;
            lab.answer(&refresh, if tries % 2 == 0 { 500 } else { 480 }, "");
        }
        assert!(lab.unknown().is_empty() || second >= 598, "{second}");
    }
    assert!((3..30).contains(&tries), "{tries}");
    assert_eq!(lab.unknown(), [&Why::Expired]);
}

#[test]
fn final_and_passing_refusals() {
    for (status, more, soonest, latest) in [
        (403, "", 2_690_000, 4_510_000),
        (404, "", 2_690_000, 4_510_000),
        (410, "", 2_690_000, 4_510_000),
        (604, "", 2_690_000, 4_510_000),
        (302, "Contact: <sip:elsewhere.example>\r\n", 2_690_000, 4_510_000),
        (480, "Retry-After: 100\r\n", 74_000, 126_000),
        (486, "", 900, 2_600),
        (500, "Retry-After: 99999999999999999999999999\r\n", 64_000_000, 108_100_000),
    ] {
        let mut lab = Lab::watching(Transport::Tcp, 1);
        let request = lab.request();
        lab.answer(&request, status, more);
        assert_eq!(lab.unknown(), [&Why::Refused(status, "Said".into())]);
        let again = |lab: &mut Lab, ms: u64| {
            lab.pass(ms);
            lab.requests().len()
        };
        assert_eq!(again(&mut lab, soonest), 0, "{status}");
        assert!(again(&mut lab, latest - soonest) > 0, "{status}");
    }
}

#[test]
fn reasons_say_when_to_come_again() {
    for (state, soonest, latest) in [
        ("terminated;reason=deactivated", 0, 100),
        ("terminated;reason=timeout", 0, 100),
        ("terminated;reason=probation;retry-after=60", 44_000, 76_000),
        ("terminated;reason=giveup", 900, 2_600),
        ("terminated;reason=rejected", 2_690_000, 4_510_000),
        ("terminated;reason=noresource", 2_690_000, 4_510_000),
        ("terminated;reason=invariant", 2_690_000, 4_510_000),
        ("Terminated", 900, 2_600),
    ] {
        let mut lab = Lab::watching(Transport::Tcp, 1);
        let request = lab.request();
        lab.grant(&request);
        lab.receive(&notify(&request, "srv", 2, state, ""));
        assert_eq!((lab.unknown().len(), lab.notified()), (1, 2), "{state}");
        lab.sent.retain(|t| t.starts_with("SUBSCRIBE"));
        if soonest > 0 {
            lab.pass(soonest);
            assert!(lab.requests().is_empty(), "{state}");
        }
        lab.pass(latest - soonest);
        let again = lab.requests().pop().unwrap_or_else(|| panic!("{state}"));
        assert_ne!(again.call_id(), request.call_id());
    }
    // One that ends each as it comes is not asked in a circle.
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let mut asked = 0;
    for _ in 0..600 {
        for request in lab.requests() {
            asked += 1;
            lab.answer(&request, 200, "Expires: 600\r\n");
            lab.receive(&notify(&request, "srv", 1, "terminated;reason=deactivated", ""));
        }
        lab.pass(100);
    }
    assert!((3..10).contains(&asked), "{asked} in a minute");
}

#[test]
fn stopping_waits_for_the_final_notify() {
    let mut lab = Lab::watching(Transport::Tcp, 2);
    lab.pass(100);
    let all = lab.requests();
    for request in &all {
        lab.grant(request);
    }
    lab.take(Input::Stop);
    let ends = lab.requests();
    assert!(ends.len() == 2 && ends.iter().all(|m| m.header("Expires") == Some("0")));
    for end in &ends {
        lab.answer(end, 200, "Expires: 0\r\n");
    }
    assert!(!lab.client.is_idle());
    lab.receive(&notify(&all[0], "srv", 2, "terminated;reason=timeout", ""));
    assert!(!lab.client.is_idle());
    // The second never comes: Timer N ends the wait.
    lab.pass(32_100);
    assert!(lab.client.is_idle() && lab.requests().is_empty());
}

#[test]
fn pending_is_told_with_its_body() {
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let request = lab.request();
    lab.answer(&request, 202, "Expires: 600\r\n");
    lab.receive(&notify(&request, "srv", 1, "pending;expires=600", ""));
    let Some(Output::Notified { message, .. }) = lab.outputs.iter().find(|o| matches!(o, Output::Notified { .. }))
    else {
        panic!("not told")
    };
    assert!(message.header("Subscription-State").unwrap().starts_with("pending"));
    lab.pass(33_000);
    assert!(lab.unknown().is_empty());
}

#[test]
fn a_body_that_we_cannot_read_is_415() {
    let mut lab = Lab::watching(Transport::Tcp, 1);
    let request = lab.request();
    lab.grant(&request);
    let with = |kind: &str, cseq: u32| {
        notify(&request, "srv", cseq, "active;expires=600", &format!("Content-Type: {kind}\r\n"))
            .replace("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nabc")
    };
    lab.receive(&with("application/pidf+xml", 2));
    lab.receive(&with("Application/Dialog-Info+XML; charset=utf-8", 3));
    assert!(lab.sent[0].contains("Accept: application/dialog-info+xml\r\n"));
    assert_eq!((lab.statuses(), lab.notified()), (vec![415, 200], 2));
}

#[test]
fn a_start_is_paced_and_few_are_under_way() {
    let mut lab = Lab::with(Transport::Tcp, |s| (s.starts_a_second, s.in_flight) = (20, 1000));
    lab.watch(200);
    lab.pass(999);
    assert_eq!(lab.requests().len(), 20);
    lab.pass(1_000);
    assert_eq!(lab.requests().len(), 20);
    let mut lab = Lab::with(Transport::Tcp, |s| (s.starts_a_second, s.in_flight) = (1000, 7));
    lab.watch(20);
    lab.pass(1_000);
    let all = lab.requests();
    assert_eq!(all.len(), 7);
    lab.grant(&all[0]);
    lab.pass(10);
    assert_eq!(lab.client.transactions.starting(), 7);
}

#[test]
fn a_flood_of_forgeries_grows_nothing() {
    let mut lab = Lab::watching(Transport::Udp, 1);
    let request = lab.request();
    lab.grant(&request);
    let (timers, text) = (lab.client.timers.len(), notify(&request, "srv", 9, "active", ""));
    for n in 0..20_000 {
        let forged = text.replace(request.call_id(), &format!("guess{n}"));
        lab.client.take(
            lab.now(),
            Input::Received {
                flow: lab.flow,
                host: "203.0.113.5",
                port: 5060,
                transport: Transport::Udp,
                bytes: forged.as_bytes(),
            },
        );
        while lab.client.next(lab.now()).is_some() {}
    }
    assert_eq!((lab.client.counts().forged, lab.client.usages.len(), lab.client.timers.len()), (20_000, 1, timers));
    // Only the answer to the one that is ours is remembered.
    assert_eq!((lab.client.memory.len(), lab.notified()), (1, 1));
}

/// RFC 3515: a phone is referred, and says what became of it.
#[test]
fn a_phone_is_told_to_call_and_says_what_became_of_it() {
    let wish = |request: &str| Wish {
        request: request.into(),
        uri: "sip:1001@pbx.lab".into(),
        to: "sip:13800138000@pbx.lab".into(),
    };
    let refer = |lab: &mut Lab| {
        let sent = std::mem::take(&mut lab.sent);
        let mut all = sent.iter().map(|t| wire::read(t.as_bytes()).unwrap()).filter(|m| m.method() == Some("REFER"));
        all.next().unwrap()
    };
    let became = |lab: &mut Lab| -> Vec<(String, Referred)> {
        let all = std::mem::take(&mut lab.outputs).into_iter();
        all.filter_map(|o| if let Output::Referred { request, how } = o { Some((request, how)) } else { None })
            .collect()
    };
    let tells = |of: &Message, cseq: u32, state: &str, line: &str| {
        format!(
            "NOTIFY sip:cti@192.0.2.30:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKr{cseq}\r\nMax-Forwards: 70\r\nTo: {}\r\nFrom: <sip:1001@pbx.lab>;tag=p\r\nCall-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nEvent: refer\r\nContact: <sip:192.0.2.11>\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\nContent-Length: {}\r\n\r\n{line}",
            of.header("From").unwrap(),
            of.call_id(),
            line.len()
        )
    };
    let mut lab = Lab::new(Transport::Udp);
    // No flow yet.
    lab.take(Input::Refer(wish("a")));
    assert_eq!(became(&mut lab), [("a".into(), Referred::Failed(refer::Lost::Connection))]);
    lab.watch(1);
    let subscribe = lab.request();
    lab.grant(&subscribe);
    lab.take(Input::Refer(wish("b")));
    let first = refer(&mut lab);
    assert_eq!(
        (first.header("Refer-To"), first.header("Referred-By")),
        (Some("<sip:13800138000@pbx.lab>"), Some("<sip:cti@pbx.lab>"))
    );
    lab.answer(&first, 407, &CHALLENGE.replace("WWW-Authenticate", "Proxy-Authenticate"));
    let second = refer(&mut lab);
    assert!(second.header("Proxy-Authorization").is_some() && second.cseq().0 == first.cseq().0 + 1);
    lab.answer(&second, 202, "");
    assert_eq!(became(&mut lab), [("b".into(), Referred::Accepted)]);
    lab.receive(&tells(&second, 1, "active;expires=60", "SIP/2.0 100 Trying\r\n"));
    lab.receive(&tells(&second, 2, "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n"));
    assert_eq!(lab.statuses(), [200, 200]);
    assert_eq!(became(&mut lab), [("b".into(), Referred::Refused(486))]);
    // It is over: what is said of it now belongs to nothing.
    lab.receive(&tells(&second, 3, "active", "SIP/2.0 200 OK\r\n"));
    assert_eq!((lab.statuses(), lab.client.counts().forged), (vec![481], 1));
    // A subscription is asked for a password by the same nonce in another way: that is its first challenge.
    lab.take(Input::Refresh(WatchId(1)));
    let refresh = lab.request();
    lab.answer(&refresh, 401, CHALLENGE);
    let refresh = lab.request();
    assert!(refresh.header("Authorization").is_some() && !lab.outputs.iter().any(|o| matches!(o, Output::Alarm(_))));
    lab.answer(&refresh, 200, "Expires: 600\r\nContact: <sip:192.0.2.10:5060>\r\n");
    // A phone that does not know the method, and one that says nothing.
    lab.take(Input::Refer(wish("c")));
    let third = refer(&mut lab);
    lab.answer(&third, 501, "");
    assert_eq!(became(&mut lab), [("c".into(), Referred::Refused(501))]);
    lab.take(Input::Refer(wish("d")));
    lab.receive(&notify(&subscribe, "srv", 9, "active;expires=600", ""));
    lab.pass(1);
    lab.receive(&notify(&subscribe, "srv", 10, "active;expires=600", ""));
    lab.pass(GIVE_UP_MS);
    assert_eq!(became(&mut lab), [("d".into(), Referred::Failed(refer::Lost::NoAnswer))]);
}
