//! What goes out, and what its responses come to (RFC 6665, 4.1; RFC 3261, 21).

use std::collections::BTreeMap;

use super::{
    Alarm, Client, GIVE_UP_MS, LARGE, LONG_MS, Large, Link, Output, Subscription, Timer, Up, WatchId, Why,
    digest::{self, Answer, Nonce, Sent},
    transaction::{Purpose, Transaction},
    usage::Usage,
};
use crate::{switches::sip::wire::Message, words::Mono};

/// The longest that a Retry-After or Min-Expires is believed: a person will have looked by then.
const MOST_S: u64 = 86_400;

impl Client {
    /// The first SUBSCRIBE of a watch. `false`: nothing went out.
    pub(super) fn subscribe(&mut self, now: Mono, id: WatchId) -> bool {
        let call_id = self.dice.name();
        let tag = self.dice.name();
        let Some(watched) = self.watches.get_mut(&id) else { return false };
        watched.usage = Some(call_id.clone());
        let usage = Usage {
            watch: id,
            call_id: call_id.clone(),
            tag,
            uri: watched.watch.uri.clone(),
            package: watched.watch.package,
            list: watched.watch.list,
            asked_s: watched.expires_s,
            cseq: 0,
            longer: false,
            silent: now,
            ending: false,
            dialogs: BTreeMap::new(),
        };
        self.usages.insert(call_id.clone(), usage);
        self.send(now, &call_id, None, None)
    }

    /// A SUBSCRIBE: `tag` names the dialog that is refreshed, `answer` the challenge that is answered.
    pub(super) fn send(&mut self, now: Mono, call: &str, tag: Option<&str>, answer: Option<Nonce>) -> bool {
        let branch = format!("z9hG4bK{}", self.dice.name());
        let cnonce = self.dice.name();
        let Link::Up(up) = &self.link else { return false };
        let Some(usage) = self.usages.get_mut(call) else { return false };
        let asked_s = if usage.ending { 0 } else { usage.asked_s };
        let (uri, route, cseq) = match tag {
            None => {
                usage.cseq = usage.cseq.wrapping_add(1);
                usage.silent = now.plus_ms(GIVE_UP_MS);
                (usage.uri.clone(), Vec::new(), usage.cseq)
            }
            Some(tag) => {
                let Some(dialog) = usage.dialogs.get_mut(tag) else { return false };
                dialog.cseq = dialog.cseq.wrapping_add(1);
                dialog.busy = true;
                dialog.wanted = false;
                let (uri, route) = dialog.way();
                (uri, route, dialog.cseq)
            }
        };
        let silent = usage.silent;
        let (sent, mut nonce) = match (answer, &self.nonce) {
            (Some(nonce), _) => (Sent::Challenged(nonce.as_str().to_owned()), Some(nonce)),
            (None, Some(kept)) => (Sent::Kept(kept.as_str().to_owned()), Some(kept.clone())),
            (None, None) => (Sent::Bare, None),
        };
        let credentials = match (&mut nonce, &self.settings.credentials) {
            (Some(nonce), Some(ours)) if !self.locked => nonce.header(ours, ("SUBSCRIBE", &uri), &cnonce),
            _ => None,
        };
        let sent = if credentials.is_some() { sent } else { Sent::Bare };
        let Some(usage) = self.usages.get(call) else { return false };
        let to = tag.map_or_else(|| format!("<{}>", usage.uri), |tag| format!("<{}>;tag={tag}", usage.uri));
        let mut draft = self.draft(up, ("SUBSCRIBE", &uri), &branch);
        for hop in &route {
            draft = draft.header("Route", hop);
        }
        draft = draft
            .header("From", &format!("<{}>;tag={}", self.settings.identity, usage.tag))
            .header("To", &to)
            .header("Call-ID", call)
            .header("CSeq", &format!("{cseq} SUBSCRIBE"))
            .header("Contact", &self.contact(up))
            .header("Event", usage.package.event())
            .header("Accept", &accepted(usage))
            .header("Expires", &asked_s.to_string());
        if usage.list {
            draft = draft.header("Supported", "eventlist");
        }
        draft = draft.header("User-Agent", &self.settings.agent);
        if let Some((name, value)) = &credentials {
            draft = draft.header(name, value);
        }
        let bytes = draft.bytes();
        let (flow, reliable) = (up.flow, up.target.transport.is_reliable());
        let purpose = Purpose::Subscribe { call: call.to_owned(), tag: tag.map(str::to_owned), asked_s, sent };
        if credentials.is_some() {
            self.nonce = nonce;
        }
        let over = if !reliable && bytes.len() > LARGE { self.large(&branch) } else { None };
        let over = over.unwrap_or((flow, reliable, true));
        self.start(now, branch, ("SUBSCRIBE", bytes), over, purpose);
        if tag.is_none() {
            // Behind timer F, which is as long: no answer at all is another failure than no NOTIFY.
            self.timer(silent, Timer::Silent(call.to_owned()));
        }
        true
    }

    /// A request too large for a datagram goes over a stream to the same target (RFC 3261, 18.1.1): its flow, that nothing is retransmitted, and
    /// whether it stands already. `None`: the stream was refused before, so UDP it is.
    fn large(&mut self, branch: &str) -> Option<(super::Flow, bool, bool)> {
        match &mut self.large {
            Large::Refused => return None,
            Large::Up { flow } => return Some((*flow, true, true)),
            Large::Opening { flow, waiting } => {
                waiting.push(branch.to_owned());
                return Some((*flow, true, false));
            }
            Large::None => {}
        }
        let flow = self.new_flow();
        let Link::Up(up) = &self.link else { return None };
        let target = super::Target { transport: super::Transport::Tcp, ..up.target.clone() };
        self.out.push_back(Output::Open { flow, target });
        self.large = Large::Opening { flow, waiting: vec![branch.to_owned()] };
        Some((flow, true, false))
    }

    pub(super) fn options(&mut self, now: Mono) {
        let branch = format!("z9hG4bK{}", self.dice.name());
        let (call, tag) = (self.dice.name(), self.dice.name());
        let Link::Up(up) = &self.link else { return };
        let uri = format!("sip:{}", self.settings.server.host);
        let bytes = self
            .draft(up, ("OPTIONS", &uri), &branch)
            .header("From", &format!("<{}>;tag={tag}", self.settings.identity))
            .header("To", &format!("<{uri}>"))
            .header("Call-ID", &call)
            .header("CSeq", "1 OPTIONS")
            .header("Contact", &self.contact(up))
            .header("User-Agent", &self.settings.agent)
            .bytes();
        let over = (up.flow, up.target.transport.is_reliable(), true);
        self.start(now, branch, ("OPTIONS", bytes), over, Purpose::Options);
    }

    /// A final response to one of our requests.
    pub(super) fn answered(&mut self, now: Mono, transaction: Transaction, response: &Message) {
        let (call, tag, asked_s, sent) = match transaction.purpose {
            Purpose::Subscribe { call, tag, asked_s, sent } => (call, tag, asked_s, sent),
            Purpose::Refer { call, sent } => return self.refer_answered(now, &call, &sent, response),
            // Whatever it is answered with shows that the server is there.
            Purpose::Options => return,
        };
        let Some(usage) = self.usages.get_mut(&call) else { return };
        if let Some(dialog) = tag.as_ref().and_then(|t| usage.dialogs.get_mut(t)) {
            dialog.busy = false;
        }
        let Some(status) = response.status() else { return };
        let tag = tag.as_deref();
        match status {
            200..300 => self.granted(now, &call, tag, asked_s, response),
            401 | 407 => match digest::challenged(response, &sent, self.settings.credentials.as_ref()) {
                Answer::Retry(nonce) if !self.locked => {
                    // Others may have used the same nonce already: it is counted on.
                    let nonce = self.nonce.take().filter(|kept| kept.as_str() == nonce.as_str()).unwrap_or(nonce);
                    self.send(now, &call, tag, Some(nonce));
                }
                Answer::Refused => {
                    if !self.locked {
                        self.locked = true;
                        self.out.push_back(Output::Alarm(Alarm::CredentialsRefused));
                    }
                    self.nonce = None;
                    self.failed(now, &call, tag, &Why::Credentials, Some(LONG_MS));
                }
                Answer::Retry(_) => self.failed(now, &call, tag, &Why::Credentials, Some(LONG_MS)),
                Answer::NotOurs => {
                    self.out.push_back(Output::Alarm(Alarm::RogueChallenge));
                    self.failed(now, &call, tag, &Why::Credentials, Some(LONG_MS));
                }
            },
            423 => self.brief(now, &call, tag, response),
            _ => self.refused(now, &call, tag, status, response),
        }
    }

    fn granted(&mut self, now: Mono, call: &str, tag: Option<&str>, asked_s: u32, response: &Message) {
        if let Some(next) = self.nonce.as_ref().and_then(|used| digest::next_nonce(response, used)) {
            self.nonce = Some(next);
        }
        self.pace.good += 1;
        if self.pace.good >= self.pace.in_flight {
            self.pace.good = 0;
            self.pace.in_flight = (self.pace.in_flight + 1).min(self.settings.in_flight.max(1));
            self.pace.a_second = (self.pace.a_second + 1).min(self.settings.starts_a_second.max(1));
        }
        let refreshed = tag.is_some();
        let Some(usage) = self.usages.get_mut(call) else { return };
        if usage.ending {
            // The final NOTIFY is waited for, but not for ever (RFC 6665, 4.4.3 and 4.1.2.4).
            usage.silent = now.plus_ms(GIVE_UP_MS);
            self.timer(now.plus_ms(GIVE_UP_MS), Timer::Silent(call.to_owned()));
            return;
        }
        // RFC 6665, 4.2.1.1: never more than was asked for; without the header, what was asked for.
        let granted_s = seconds(response.header("Expires")).map_or(u64::from(asked_s), |s| s.min(u64::from(asked_s)));
        let own = response.to().tag().unwrap_or_default().to_owned();
        let tag = tag.unwrap_or(&own).to_owned();
        if granted_s == 0 {
            return self.failed(now, call, Some(&tag), &Why::Expired, None);
        }
        let until = now.plus_ms(granted_s * 1000);
        let dialog = usage.dialog(&tag, response, until);
        dialog.retarget(response);
        (dialog.until, dialog.most) = (until, until);
        let wanted = dialog.wanted;
        let subscription = usage.subscription(&tag);
        if let Some(watched) = self.watches.get_mut(&usage.watch).filter(|_| refreshed) {
            // It has lived to a refresh: what failed before is forgotten.
            watched.tries = 0;
        }
        self.timer(until, Timer::Expire(subscription.clone()));
        self.plan_refresh(now, &subscription, granted_s * 1000);
        if wanted {
            self.refresh(now, &subscription);
        }
    }

    /// Between a half and five sixths of what was granted, so that what started together does not refresh together.
    pub(super) fn plan_refresh(&mut self, now: Mono, subscription: &Subscription, granted_ms: u64) {
        let at = now.plus_ms(self.dice.between(granted_ms / 2, granted_ms / 6 * 5).max(1_000));
        if let Some(dialog) = self.dialog(subscription) {
            dialog.refresh = at;
            self.timer(at, Timer::Refresh(subscription.clone()));
        }
    }

    fn dialog(&mut self, subscription: &Subscription) -> Option<&mut super::usage::Dialog> {
        self.usages.get_mut(&subscription.call_id)?.dialogs.get_mut(&subscription.tag)
    }

    pub(super) fn refresh_due(&mut self, now: Mono, subscription: &Subscription) {
        if self.dialog(subscription).is_some_and(|d| d.refresh <= now) {
            self.refresh(now, subscription);
        }
    }

    /// Refreshes now; behind a refresh that is under way, another.
    fn refresh(&mut self, now: Mono, subscription: &Subscription) {
        match self.dialog(subscription) {
            Some(dialog) if dialog.busy => dialog.wanted = true,
            Some(_) => {
                self.send(now, &subscription.call_id, Some(&subscription.tag), None);
            }
            None => {}
        }
    }

    pub(super) fn refresh_watch(&mut self, now: Mono, id: WatchId) {
        let Some(usage) = self.watches.get(&id).and_then(|w| self.usages.get(w.usage.as_ref()?)) else { return };
        let all: Vec<Subscription> = usage.dialogs.keys().map(|tag| usage.subscription(tag)).collect();
        for subscription in all {
            self.refresh(now, &subscription);
        }
    }

    pub(super) fn expire_due(&mut self, now: Mono, subscription: &Subscription) {
        let due = self.dialog(subscription).map(|d| d.until);
        match due {
            Some(until) if until <= now => {
                self.end(now, subscription, &Why::Expired, Some(0));
            }
            // A NOTIFY or a refresh moved it; there is a timer for that moment too.
            _ => {}
        }
    }

    /// Timer N, or the end of waiting for a final NOTIFY.
    pub(super) fn silent(&mut self, now: Mono, call: &str) {
        let Some(usage) = self.usages.get(call).filter(|u| u.silent <= now) else { return };
        if usage.ending {
            self.drop_usage(call, &Why::Unwatched);
        } else if !usage.is_notified() {
            self.failed(now, call, None, &Why::Silent, None);
        }
    }

    /// 423: once more with what is wanted (RFC 6665, 4.2.1.1).
    fn brief(&mut self, now: Mono, call: &str, tag: Option<&str>, response: &Message) {
        let least =
            seconds(response.header("Min-Expires")).filter(|s| *s <= MOST_S).and_then(|s| u32::try_from(s).ok());
        let Some(usage) = self.usages.get_mut(call) else { return };
        match least {
            Some(least) if least > usage.asked_s && !usage.longer && !usage.ending => {
                usage.asked_s = least;
                usage.longer = true;
                if let Some(watched) = self.watches.get_mut(&usage.watch) {
                    watched.expires_s = least;
                }
                self.send(now, call, tag, None);
            }
            _ => self.refused(now, call, tag, 423, response),
        }
    }

    fn refused(&mut self, now: Mono, call: &str, tag: Option<&str>, status: u16, response: &Message) {
        let wait = seconds(response.header("Retry-After")).map(|s| s.min(MOST_S) * 1000);
        let Some(usage) = self.usages.get(call) else { return };
        let (watch, started) = (usage.watch, tag.is_some());
        if status == 503 {
            self.pace.in_flight = (self.pace.in_flight / 2).max(1);
            self.pace.a_second = (self.pace.a_second / 2).max(1);
            self.pace.good = 0;
            if let Some(ms) = wait {
                self.pace.quiet_until = self.pace.quiet_until.max(now.plus_ms(ms));
            }
            // RFC 3263, 4.3: another target, unless something stands on this one.
            let stands = self.usages.values().any(|u| !u.dialogs.is_empty());
            if let (Some(ms), Link::Up(up)) = (wait, &self.link) {
                self.avoid.retain(|(_, until)| *until > now);
                self.avoid.push((up.target.clone(), now.plus_ms(ms)));
            }
            if !stands && self.next_target < self.targets.len() && now < self.targets_until {
                if let Link::Up(up) = &self.link {
                    let flow = up.flow;
                    self.out.push_back(Output::Close { flow });
                }
                return self.lose(now, "503 from this target");
            }
        }
        let why = match status {
            481 => Why::Forgotten,
            _ => Why::Refused(status, response.reason().to_owned()),
        };
        if status == 489 {
            let offered = response.headers("Allow-Events").join(", ");
            self.out.push_back(Output::Alarm(Alarm::PackageNotOffered { watch, offered }));
        }
        match status {
            // The subscription is gone, and a new one may be had at once (RFC 6665, 4.1.2.2).
            481 if started => self.failed(now, call, tag, &why, Some(0)),
            // For a while; a refresh that fails so leaves the subscription as it is (RFC 6665, 4.1.2.2).
            408 | 423 | 429 | 480 | 481 | 486 | 487 | 491 | 500 | 502..=504 if started => {
                self.refresh_failed(now, call, tag, wait);
            }
            408 | 423 | 429 | 480 | 481 | 486 | 487 | 491 | 500 | 502..=504 => self.failed(now, call, tag, &why, wait),
            // For good, until a person has changed something.
            _ => self.failed(now, call, tag, &why, Some(wait.unwrap_or(LONG_MS))),
        }
    }

    /// The original lasts to its expiry; it is tried again before that.
    fn refresh_failed(&mut self, now: Mono, call: &str, tag: Option<&str>, wait: Option<u64>) {
        let Some(tag) = tag else { return };
        let Some(usage) = self.usages.get_mut(call) else { return };
        if usage.ending {
            return self.drop_usage(call, &Why::Unwatched);
        }
        let subscription = usage.subscription(tag);
        let Some(dialog) = usage.dialogs.get_mut(tag) else { return };
        let left = dialog.until.since_ms(now);
        let at = now.plus_ms(wait.unwrap_or(left / 2).min(left / 10 * 9).max(1_000));
        dialog.refresh = at;
        self.timer(at, Timer::Refresh(subscription));
    }

    /// Nobody answered (Timer F).
    pub(super) fn unanswered(&mut self, now: Mono, transaction: Transaction) {
        self.refer_unanswered(&transaction);
        let Link::Up(up) = &self.link else { return };
        if up.heard <= transaction.begun {
            // Not a word since then: it is the target that fails (RFC 3263, 4.3).
            let flow = up.flow;
            self.failures = 0;
            self.out.push_back(Output::Close { flow });
            return self.lose(now, "no answer");
        }
        let Purpose::Subscribe { call, tag, .. } = transaction.purpose else { return };
        if let Some(dialog) = tag.as_ref().and_then(|t| self.usages.get_mut(&call)?.dialogs.get_mut(t)) {
            dialog.busy = false;
        }
        match tag {
            Some(tag) => self.refresh_failed(now, &call, Some(&tag), None),
            None => self.failed(now, &call, None, &Why::NoAnswer, None),
        }
    }

    /// A subscription is gone (`tag`), or never came about. `again`: in so many milliseconds, 0 at once, `None` after a pause that grows.
    pub(super) fn failed(&mut self, now: Mono, call: &str, tag: Option<&str>, why: &Why, again: Option<u64>) {
        match tag {
            Some(tag) if self.usages.get(call).is_some_and(|u| u.dialogs.contains_key(tag)) => {
                let subscription = Subscription { call_id: call.to_owned(), tag: tag.to_owned() };
                self.end(now, &subscription, why, again);
            }
            _ => {
                let Some(usage) = self.usages.get(call) else { return };
                let (watch, ending) = (usage.watch, usage.ending);
                self.drop_usage(call, why);
                if !ending {
                    self.try_again(now, watch, again);
                }
            }
        }
    }

    /// One subscription ends; with the last one of its usage the watch is unknown and is tried again.
    pub(super) fn end(&mut self, now: Mono, subscription: &Subscription, why: &Why, again: Option<u64>) {
        let Some(usage) = self.usages.get_mut(&subscription.call_id) else { return };
        let (watch, ending) = (usage.watch, usage.ending);
        if usage.dialogs.len() > 1 {
            usage.dialogs.remove(&subscription.tag);
            self.out.push_back(Output::Ended { watch, subscription: subscription.clone(), why: why.clone() });
            return;
        }
        self.drop_usage(&subscription.call_id, why);
        if !ending {
            self.try_again(now, watch, again);
        }
    }

    fn try_again(&mut self, now: Mono, watch: WatchId, again: Option<u64>) {
        if self.stopping {
            return;
        }
        let Some(watched) = self.watches.get_mut(&watch) else { return };
        let tries = watched.tries;
        watched.tries = tries.saturating_add(1);
        match again {
            // At once only the first time: a notifier that ends each subscription as it comes is not asked in a circle.
            Some(0) if tries == 0 => self.enqueue(watch),
            Some(0) | None => {
                let ms = self.backoff(tries);
                self.later(now, watch, ms);
            }
            Some(ms) => self.later(now, watch, ms),
        }
    }

    /// Nothing of this usage is left.
    pub(super) fn drop_usage(&mut self, call: &str, why: &Why) {
        let Some(usage) = self.usages.remove(call) else { return };
        self.transactions.forget_call(call);
        for tag in usage.dialogs.keys() {
            let subscription = usage.subscription(tag);
            self.out.push_back(Output::Ended { watch: usage.watch, subscription, why: why.clone() });
        }
        if let Some(watched) = self.watches.get_mut(&usage.watch).filter(|w| w.usage.as_deref() == Some(call)) {
            watched.usage = None;
            self.out.push_back(Output::Unknown { watch: usage.watch, why: why.clone() });
        }
    }

    /// Ends what stands (Expires: 0); what has not come about is forgotten.
    pub(super) fn unsubscribe(&mut self, now: Mono, call: &str) {
        let Some(usage) = self.usages.get_mut(call) else { return };
        usage.ending = true;
        let tags: Vec<String> = usage.dialogs.keys().cloned().collect();
        if tags.is_empty() || !matches!(self.link, Link::Up(_)) {
            return self.drop_usage(call, &Why::Unwatched);
        }
        for tag in tags {
            self.send(now, call, Some(&tag), None);
        }
    }

    /// What a response was heard on: any word of the peer shows that it is there.
    pub(super) fn up_mut(&mut self) -> Option<&mut Up> {
        match &mut self.link {
            Link::Up(up) => Some(up),
            _ => None,
        }
    }
}

/// What a NOTIFY's body may be.
pub(super) fn accepted(usage: &Usage) -> String {
    let body = usage.package.body();
    if usage.list { format!("{body}, application/rlmi+xml, multipart/related") } else { body.to_owned() }
}

/// Whether a body of this type is one of them; one without a type is taken for the package's.
pub(super) fn accepts(usage: &Usage, kind: &str) -> bool {
    let lists = ["application/rlmi+xml", "multipart/related"];
    kind.is_empty()
        || kind.eq_ignore_ascii_case(usage.package.body())
        || usage.list && lists.iter().any(|list| kind.eq_ignore_ascii_case(list))
}

/// The leading number: Retry-After may have a comment and parameters behind it (RFC 3261, 20.33). One that is too large for 64 bits is the largest.
pub(super) fn seconds(value: Option<&str>) -> Option<u64> {
    let value = value?.trim_start();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let digits = value.get(..digits).filter(|d| !d.is_empty())?;
    Some(digits.parse().unwrap_or(u64::MAX))
}
