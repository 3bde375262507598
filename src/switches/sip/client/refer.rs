//! Click-to-dial: the agent's phone is referred to the number (RFC 3515), outside of any dialog, as RFC 5359 section 2.19 has it. The phone calls by itself, so nothing
//! of the call hangs on us: no media, no dialog, no second end that would be left behind if we die.
//!
//! The other way was third-party call control (RFC 3725): any phone can be called, but both halves of the call would be ours to keep and to end.

use super::{
    Client, Link, Output, Timer,
    digest::{self, Answer, Nonce, Sent},
    subscribe::seconds,
    transaction::{Purpose, Transaction},
};
use crate::{
    switches::sip::wire::{self, Message},
    words::Mono,
};

/// How long a phone's word of what it was referred to is waited for. What a phone says later is 481.
const WAIT_MS: u64 = 180_000;
/// Under way at once, of one switch.
const MOST: usize = 500;

/// A wish: the phone at `uri` is to call `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Names it, in the answer too.
    pub request: String,
    /// `sip:1001@pbx.lab`.
    pub uri: String,
    /// `sip:13800138000@pbx.lab`.
    pub to: String,
}

pub struct Refer {
    wish: Wish,
    /// Ours.
    tag: String,
    cseq: u32,
    until: Mono,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referred {
    /// The phone will try: its call is seen by its dialog events.
    Accepted,
    /// The final status, of the phone or of the call that it made.
    Refused(u16),
    /// No answer, no connection, or wrong credentials.
    Failed(Lost),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    NoAnswer,
    Connection,
    Credentials,
}

impl Client {
    pub(super) fn refer(&mut self, now: Mono, wish: Wish) {
        let until = now.plus_ms(WAIT_MS);
        let call = self.dice.name();
        let (request, tag) = (wish.request.clone(), self.dice.name());
        if self.refers.len() >= MOST {
            return self.referred(request, Referred::Refused(503));
        }
        self.refers.insert(call.clone(), Refer { wish, tag, cseq: 0, until });
        if self.send_refer(now, &call, None) {
            self.timer(until, Timer::Refer(call));
        } else {
            self.end_refer(&call, Referred::Failed(Lost::Connection));
        }
    }

    fn send_refer(&mut self, now: Mono, call: &str, answer: Option<Nonce>) -> bool {
        let branch = format!("z9hG4bK{}", self.dice.name());
        let cnonce = self.dice.name();
        let Link::Up(up) = &self.link else { return false };
        let Some(refer) = self.refers.get_mut(call) else { return false };
        refer.cseq = refer.cseq.wrapping_add(1);
        // A nonce of its own, and none that is kept: the proxy that passes a REFER on asks by 407, the presence server by 401, and a Kamailio names the same
        // nonce in both. Each would take the other's answer for a wrong password.
        let mut nonce = answer;
        let sent = nonce.as_ref().map_or(Sent::Bare, |nonce| Sent::Challenged(nonce.as_str().to_owned()));
        let uri = refer.wish.uri.clone();
        let credentials = match (&mut nonce, &self.settings.credentials) {
            (Some(nonce), Some(ours)) if !self.locked => nonce.header(ours, ("REFER", &uri), &cnonce),
            _ => None,
        };
        let sent = if credentials.is_some() { sent } else { Sent::Bare };
        let Some(refer) = self.refers.get(call) else { return false };
        let mut draft = self
            .draft(up, ("REFER", &uri), &branch)
            .header("From", &format!("<{}>;tag={}", self.settings.identity, refer.tag))
            .header("To", &format!("<{uri}>"))
            .header("Call-ID", call)
            .header("CSeq", &format!("{} REFER", refer.cseq))
            .header("Contact", &self.contact(up))
            .header("Refer-To", &format!("<{}>", refer.wish.to))
            .header("Referred-By", &format!("<{}>", self.settings.identity))
            .header("User-Agent", &self.settings.agent);
        if let Some((name, value)) = &credentials {
            draft = draft.header(name, value);
        }
        let over = (up.flow, up.target.transport.is_reliable(), true);
        let purpose = Purpose::Refer { call: call.to_owned(), sent };
        self.start(now, branch, ("REFER", draft.bytes()), over, purpose);
        true
    }

    /// A final response to a REFER.
    pub(super) fn refer_answered(&mut self, now: Mono, call: &str, sent: &Sent, response: &Message) {
        let Some(refer) = self.refers.get(call) else { return };
        let request = refer.wish.request.clone();
        match response.status().unwrap_or_default() {
            200..300 => self.referred(request, Referred::Accepted),
            401 | 407 => match digest::challenged(response, sent, self.settings.credentials.as_ref()) {
                Answer::Retry(nonce) if !self.locked => {
                    self.send_refer(now, call, Some(nonce));
                }
                // A password that is wrong is found out by the subscriptions too, which say so.
                _ => self.end_refer(call, Referred::Failed(Lost::Credentials)),
            },
            status => self.end_refer(call, Referred::Refused(status)),
        }
    }

    pub(super) fn refer_unanswered(&mut self, transaction: &Transaction) {
        if let Purpose::Refer { call, .. } = &transaction.purpose {
            let call = call.clone();
            self.end_refer(&call, Referred::Failed(Lost::NoAnswer));
        }
    }

    /// Whether a NOTIFY tells of one of ours (RFC 3515, 2.4.4).
    pub(super) fn tells_of_refer(&self, message: &Message) -> bool {
        let event = message.header("Event").and_then(|event| wire::token_and_param(event, "id"));
        event.is_some_and(|(event, _)| event.eq_ignore_ascii_case("refer"))
            && self.refers.get(message.call_id()).is_some_and(|refer| message.to_tag() == Some(&refer.tag))
    }

    /// What the phone says of its call: a status line (RFC 3515, 2.4.5). Only that it came to nothing is news; all else its dialog events tell.
    pub(super) fn refer_notified(&mut self, message: &Message) {
        let call = message.call_id().to_owned();
        let body = String::from_utf8_lossy(message.body());
        let status =
            body.strip_prefix("SIP/2.0 ").and_then(|rest| seconds(Some(rest))).and_then(|s| u16::try_from(s).ok());
        if let Some(status) = status.filter(|status| (300..700).contains(status)) {
            return self.end_refer(&call, Referred::Refused(status));
        }
        let state = message.header("Subscription-State").unwrap_or_default();
        let over =
            wire::token_and_param(state, "reason").is_some_and(|(word, _)| word.eq_ignore_ascii_case("terminated"));
        if over {
            self.refers.remove(&call);
        }
    }

    /// Nobody waits for its end any more.
    pub(super) fn refer_due(&mut self, now: Mono, call: &str) {
        if self.refers.get(call).is_some_and(|refer| refer.until <= now) {
            self.refers.remove(call);
        }
    }

    /// The flow is gone: what was not answered will not be.
    pub(super) fn refers_lost(&mut self) {
        for call in self.refers.keys().cloned().collect::<Vec<_>>() {
            self.end_refer(&call, Referred::Failed(Lost::Connection));
        }
    }

    fn end_refer(&mut self, call: &str, how: Referred) {
        if let Some(refer) = self.refers.remove(call) {
            self.referred(refer.wish.request, how);
        }
    }

    fn referred(&mut self, request: String, how: Referred) {
        self.out.push_back(Output::Referred { request, how });
    }
}
