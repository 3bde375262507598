//! What comes in: responses to their transactions, NOTIFYs to their subscriptions, everything else to the answer it is owed.
//!
//! A NOTIFY is believed for its Call-ID and our tag, which only the notifier knows, wherever it comes from (RFC 3261, 18.2.1: any connection);
//! what matches nothing is 481 and tells nothing. Whoever we know nothing of gets no answer larger than what was sent, and not more than
//! some a second.

use super::{
    Client, FORKS, Link, Output, STRANGERS_A_SECOND, Timer, Transport, Why,
    subscribe::{accepted, accepts, seconds},
    transaction::Answer,
};
use crate::{
    switches::sip::{
        frame, verdict,
        wire::{self, Draft, Message, Refusal},
    },
    words::Mono,
};

const OK: &[u8] = b"SIP/2.0 200 ";
const ALLOW: &str = "NOTIFY, OPTIONS";

type Source<'a> = (&'a str, u16, Transport);

impl Client {
    pub(super) fn received(&mut self, now: Mono, flow: Option<super::Flow>, from: Source<'_>, bytes: &[u8]) {
        if frame::is_keepalive(bytes) {
            return;
        }
        let known = self.hear(now, flow, from);
        // A flood is not even read for whom to answer, and no answer is made that would not be sent.
        let spent = !known && self.strangers.1 >= STRANGERS_A_SECOND && now < self.strangers.0.plus_ms(1_000);
        let seen = Some((from.0, from.1));
        let read = if matches!(from.2, Transport::Ws | Transport::Wss) {
            wire::read_websocket(bytes)
        } else {
            wire::read(bytes)
        };
        let message = match read {
            Ok(message) => message,
            Err(refusal) => {
                self.counts.refused += 1;
                let answer = if spent { None } else { wire::refuse(bytes, &refusal, seen) };
                return self.reply(now, (flow, from, known), bytes.len(), answer);
            }
        };
        let Some(method) = message.method() else {
            // A response that is none of ours, or not as it should be, is passed over: nothing is owed for it.
            if verdict::examine(&message).is_ok() && known {
                self.response(now, &message);
            } else {
                self.counts.refused += 1;
            }
            return;
        };
        if method == "ACK" {
            return;
        }
        let back = (flow, (from.0, return_port(&message, from), from.2), known);
        let key = self.memory.key(&message);
        if let Some(answer) = self.memory.answer(&key) {
            self.counts.repeated += 1;
            let answer = match answer {
                Answer::Ok => wire::ok(&message, (from.0, from.1)),
                Answer::Other(bytes) => bytes.clone(),
            };
            return self.send_back(back, answer);
        }
        let wrong = verdict::examine(&message).err();
        let draft = |status: u16| Draft::response(&message, status, wire::phrase(status), seen);
        if let Some(Refusal { status, .. }) = wrong {
            self.counts.refused += 1;
            let answer = status.filter(|_| !spent).map(|status| {
                let tag = self.dice.of(message.call_id());
                let mut draft = draft(status).to_tag(&tag);
                if status == 420 {
                    draft = draft.header("Unsupported", &verdict::unsupported(&message).join(", "));
                }
                draft.bytes()
            });
            return self.reply(now, back, bytes.len(), answer);
        }
        let answer = match method {
            _ if spent && method != "NOTIFY" => return self.reply(now, back, bytes.len(), None),
            "NOTIFY" => {
                let refer = self.tells_of_refer(&message);
                let (answer, belongs) = if refer {
                    (wire::ok(&message, (from.0, from.1)), true)
                } else {
                    self.notify(now, &message, (from.0, from.1), spent)
                };
                if belongs {
                    // A 200 is made anew from the request that comes again.
                    let kept = if answer.starts_with(OK) { Answer::Ok } else { Answer::Other(answer.clone()) };
                    let good = matches!(kept, Answer::Ok);
                    if self.memory.keep(now, key, kept) {
                        self.timer(now.plus_ms(super::GIVE_UP_MS), Timer::Forget);
                    }
                    // It is answered before anybody works on it.
                    self.send_back(back, answer);
                    match (refer, good) {
                        (true, _) => self.refer_notified(&message),
                        (false, true) => self.notified(now, message),
                        (false, false) => {}
                    }
                    return;
                }
                answer
            }
            "OPTIONS" => {
                let tag = self.dice.of(message.call_id());
                let full = draft(200)
                    .to_tag(&tag)
                    .header("Allow", ALLOW)
                    .header(
                        "Accept",
                        "application/dialog-info+xml, application/reginfo+xml, application/rlmi+xml, multipart/related",
                    )
                    .header("Supported", "eventlist")
                    .bytes();
                if known || full.len() <= bytes.len() { full } else { draft(200).to_tag(&tag).bytes() }
            }
            // Nothing of ours could be meant.
            "BYE" | "CANCEL" => draft(481).to_tag(&self.dice.of(message.call_id())).bytes(),
            known if verdict::METHODS.contains(&known) => {
                draft(405).to_tag(&self.dice.of(message.call_id())).header("Allow", ALLOW).bytes()
            }
            _ => draft(501).to_tag(&self.dice.of(message.call_id())).header("Allow", ALLOW).bytes(),
        };
        self.reply(now, back, bytes.len(), Some(answer));
    }

    /// Notes that the peer was heard. Is this somebody we know: our own flow, and on UDP the address that we resolved?
    fn hear(&mut self, now: Mono, flow: Option<super::Flow>, (host, _, transport): Source<'_>) -> bool {
        if let super::Large::Up { flow: large } = self.large
            && flow == Some(large)
        {
            return true;
        }
        let Some(up) = self.up_mut().filter(|up| flow == Some(up.flow)) else { return false };
        let known = transport.is_reliable() || up.target.host == host;
        if known {
            up.heard = now;
        }
        known
    }

    fn response(&mut self, now: Mono, message: &Message) {
        let Some(status) = message.status() else { return };
        let Some(branch) = message.branch() else { return };
        let (_, method) = message.cseq();
        if let Some(transaction) = self.transactions.answered(branch, method, status) {
            self.answered(now, transaction, message);
        }
    }

    /// The answer to a NOTIFY, and whether it belongs to a subscription (then it is acted on if the answer is 200).
    fn notify(&mut self, now: Mono, message: &Message, seen: (&str, u16), spent: bool) -> (Vec<u8>, bool) {
        let draft = |status: u16| Draft::response(message, status, wire::phrase(status), Some(seen));
        let stranger = |this: &mut Self| {
            this.counts.forged += 1;
            if spent {
                return (Vec::new(), false);
            }
            (draft(481).to_tag(&this.dice.of(message.call_id())).bytes(), false)
        };
        let tag = message.from_tag().unwrap_or_default();
        let Some(usage) = self.usages.get(message.call_id()) else { return stranger(self) };
        if message.to_tag() != Some(&usage.tag) || tag.is_empty() {
            return stranger(self);
        }
        let event = message.header("Event").and_then(|event| wire::token_and_param(event, "id"));
        // We give no id; one that is there is another subscription (RFC 6665, 8.2.1).
        let ours = event.is_some_and(|(e, id)| e.eq_ignore_ascii_case(usage.package.event()) && id.is_none());
        let dialog = usage.dialogs.get(tag);
        let many = || usage.silent < now && !usage.dialogs.is_empty() || usage.dialogs.len() >= FORKS;
        // Before the 2xx, or a fork: as long as Timer N runs (RFC 6665, 4.1.2.4 and 4.1.4).
        if !ours || dialog.is_none() && many() {
            return stranger(self);
        }
        if let Some(last) = dialog.and_then(|d| d.heard)
            && message.cseq().0 < last
        {
            self.counts.late += 1;
            return (draft(500).bytes(), true);
        }
        if !message.body().is_empty() && !accepts(usage, kind(message)) {
            return (draft(415).header("Accept", &accepted(usage)).bytes(), true);
        }
        (wire::ok(message, seen), true)
    }

    /// A NOTIFY that belongs here and was answered by 200: what it says of the subscription, and its body to whoever reads bodies.
    fn notified(&mut self, now: Mono, message: Message) {
        let tag = message.from_tag().unwrap_or_default();
        let Some(usage) = self.usages.get_mut(message.call_id()) else { return };
        let (cseq, _) = message.cseq();
        let granted = now.plus_ms(u64::from(usage.asked_s) * 1000);
        let new = !usage.dialogs.contains_key(tag);
        let watch = usage.watch;
        let dialog = usage.dialog(tag, &message, granted);
        if dialog.heard.is_some_and(|last| cseq <= last) {
            return;
        }
        dialog.heard = Some(cseq);
        dialog.retarget(&message);
        let state = message.header("Subscription-State").unwrap_or_default();
        let (word, expires) = wire::token_and_param(state, "expires").unwrap_or_default();
        let terminated = word.eq_ignore_ascii_case("terminated");
        // What it says shortens and never lengthens (RFC 6665, 4.1.3 and 4.1.2.1).
        let left = seconds(expires.as_deref()).map(|s| now.plus_ms(s.saturating_mul(1000)));
        // Seconds are rounded: each NOTIFY seems to shorten it a little, and needs no new timer for that.
        let shorter = left.filter(|at| at.plus_ms(2_000) < dialog.until || new);
        let until = shorter.unwrap_or(dialog.until).min(dialog.most);
        dialog.until = until;
        let moved = shorter.is_some() && dialog.refresh > until || new;
        let quiet = !terminated && shorter.is_none() && !new && !moved;
        let subscription = (!quiet).then(|| usage.subscription(tag));
        let ended = terminated.then(|| wire::token_and_params(state).unwrap_or_default().1);
        self.counts.notified += 1;
        if self.watches.contains_key(&watch) {
            self.out.push_back(Output::Notified { watch, message: Box::new(message) });
        }
        let Some(subscription) = subscription else { return };
        if let Some(params) = ended {
            let reason = params.get("reason").unwrap_or_default().to_ascii_lowercase();
            let wait = seconds(params.get("retry-after")).map(|s| s.min(86_400) * 1000);
            let again = match &*reason {
                "deactivated" | "timeout" => Some(0),
                "probation" | "giveup" => wait,
                // Not before a person has looked (RFC 6665, 4.1.3).
                "rejected" | "noresource" | "invariant" => Some(super::LONG_MS),
                _ => wait,
            };
            return self.end(now, &subscription, &Why::Terminated(reason), again);
        }
        if shorter.is_some() || new {
            self.timer(until, Timer::Expire(subscription.clone()));
        }
        if moved {
            self.plan_refresh(now, &subscription, until.since_ms(now));
        }
    }

    /// An answer to somebody who may be a stranger.
    fn reply(
        &mut self,
        now: Mono,
        back: (Option<super::Flow>, Source<'_>, bool),
        request: usize,
        answer: Option<Vec<u8>>,
    ) {
        let Some(answer) = answer.filter(|answer| !answer.is_empty()) else {
            self.counts.unanswered += 1;
            return;
        };
        if !back.2 {
            let (since, count) = &mut self.strangers;
            if since.plus_ms(1_000) <= now {
                (*since, *count) = (now, 0);
            }
            *count += 1;
            if answer.len() > request || *count > STRANGERS_A_SECOND {
                self.counts.unanswered += 1;
                return;
            }
        }
        self.send_back(back, answer);
    }

    fn send_back(
        &mut self,
        (flow, (host, port, transport), _): (Option<super::Flow>, Source<'_>, bool),
        bytes: Vec<u8>,
    ) {
        // Back to the server itself: over the flow as it is.
        let server = match &self.link {
            Link::Up(up) => flow == Some(up.flow) && up.target.port == port && up.target.host == host,
            _ => false,
        };
        match flow {
            Some(flow) if server || transport.is_reliable() => self.out.push_back(Output::Send { flow, bytes }),
            // Out of the same socket, to whoever asked.
            _ => self.out.push_back(Output::Reply { flow, host: host.to_owned(), port, transport, bytes }),
        }
    }

    /// Is a flow up? For tests and for `/readyz`.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }
}

/// To the port it came from if it asked for that, else to the one it named (RFC 3261, 18.2.2; RFC 3581, 4).
fn return_port(message: &Message, (_, port, transport): Source<'_>) -> u16 {
    if transport.is_reliable() || message.has_rport() { port } else { message.sent_by().1.unwrap_or(5060) }
}

/// The type of the body, without parameters.
fn kind(message: &Message) -> &str {
    message.content_type().and_then(|t| t.split(';').next()).unwrap_or_default().trim()
}
