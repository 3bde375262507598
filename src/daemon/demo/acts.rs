//! What happens on a line, step by step, with the events in the order in which Asterisk 22 was recorded to send them. Each step names
//! its recording in `story.rs`.

use crate::words::{AgentId, Now};

use super::{
    events::{Channel, State, cause_text},
    story::Step,
    switch::{Call, Switch},
};

impl Switch {
    pub(super) fn perform(&mut self, call: &mut Call, step: Step, now: Now) {
        match step {
            Step::Arrive => self.arrive(call, now),
            Step::JoinQueue => self.join_queue(call, now),
            Step::OfferFirst => self.offer(call, 0, now),
            Step::OfferSecond => self.offer(call, 1, now),
            Step::Answer => self.queue_answer(call, now),
            Step::NoAnswer => self.no_answer(call, now),
            Step::GiveUp => self.give_up(call, now),
            Step::DialFirst => self.dial(call, 0, now),
            Step::DialAnswer => self.dial_answer(call, now),
            Step::BlindTransfer => self.blind_transfer(call, now),
            Step::Hold => self.hold(call, now),
            Step::Consult => self.consult(call, now),
            Step::ConsultAnswer => self.consult_answer(call, now),
            Step::HandOver => self.hand_over(call, now),
            Step::CustomerHangsUp => self.hang_up(call, true, now),
            Step::AgentHangsUp => self.hang_up(call, false, now),
            Step::DialOut => self.dial_out(call, now),
            Step::FarRings => self.far_rings(call, now),
            Step::FarAnswers => self.far_answers(call, now),
            Step::FarBusy => self.far_busy(call, now),
            Step::OriginateRing => self.originate_ring(call, now),
            Step::OriginateAnswer => self.originate_answer(call, now),
            Step::OriginateFails => self.originate_fails(call, now),
        }
    }

    fn arrive(&mut self, call: &mut Call, now: Now) {
        let Some(truth) = self.truths.get(call.truth) else { return };
        let (number, did, queued) = (truth.customer.clone(), truth.dialled.clone(), truth.queue.is_some());
        let mut trunk = self.make("PJSIP/trunk", None, None, call.truth, now);
        trunk.state = State::Ring;
        trunk.number = number;
        trunk.context = "from-trunk".into();
        trunk.exten = did.clone();
        self.leg_event(call, "Newchannel", &trunk, &[], now);
        self.leg_event(call, "VarSet", &trunk, &[("Variable", "__DID"), ("Value", &did)], now);
        if queued {
            trunk.context = "prep".into();
            trunk.exten = "s".into();
            trunk.priority = 3;
            self.newexten(call, &mut trunk, "Answer", "", now);
            trunk.state = State::Up;
            self.leg_event(call, "Newstate", &trunk, &[], now);
        }
        call.customer = Some(call.legs.len());
        call.legs.push(Some(trunk));
    }

    fn join_queue(&mut self, call: &mut Call, now: Now) {
        let Some(mut trunk) = self.customer_leg(call) else { return };
        let queue = self.settings.queue.clone();
        trunk.context = "from-trunk".into();
        trunk.exten.clone_from(&self.settings.queue_did);
        trunk.priority = 2;
        self.newexten(call, &mut trunk, "Queue", &format!("{queue},,,,120"), now);
        call.waiting_since = Some(now.wall);
        call.queued = true;
        let waiting = self.waiting() + 1;
        let event = self.event("QueueCallerJoin", "agent", now).channel("", &trunk);
        let event = event.field("Queue", &queue).field("Position", waiting).field("Count", waiting);
        self.say(Some(call.truth), event, now);
        self.leg_event(call, "MusicOnHoldStart", &trunk, &[("Class", "default")], now);
        put(call, call.customer, trunk);
    }

    /// Queued callers besides the one in hand.
    fn waiting(&self) -> usize {
        self.calls.values().filter(|c| c.waiting_since.is_some()).count()
    }

    fn offer(&mut self, call: &mut Call, nth: usize, now: Now) {
        let Some(mut trunk) = self.customer_leg(call) else { return };
        let Some(seat) = call.seats.get(nth).and_then(|s| self.settings.seats.get(*s)).cloned() else { return };
        let device = format!("PJSIP/{}", seat.extension);
        let mut agent = self.make(&device, None, Some(&trunk.linkedid), call.truth, now);
        agent.number.clone_from(&seat.extension);
        agent.display.clone_from(&seat.name);
        self.leg_event(call, "Newchannel", &agent, &[], now);
        agent.exten.clone_from(&trunk.exten);
        agent.connected.clone_from(&trunk.number);
        let called = self.event("AgentCalled", "agent", now).channel("", &trunk).channel("Dest", &agent);
        let called =
            called.field("Queue", &self.settings.queue).field("Interface", &device).field("MemberName", &seat.name);
        self.say(Some(call.truth), called, now);
        self.dial_event(call, "DialBegin", Some(&trunk), &agent, ("DialString", &device), now);
        trunk.connected.clone_from(&seat.extension);
        trunk.connected_display.clone_from(&seat.name);
        self.leg_event(call, "NewConnectedLine", &trunk, &[], now);
        agent.state = State::Ringing;
        self.leg_event(call, "Newstate", &agent, &[], now);
        self.newexten(call, &mut agent, "AppQueue", "(Outgoing Line)", now);
        self.leg_event(call, "NewConnectedLine", &agent, &[], now);
        self.dial_event(call, "DialState", Some(&trunk), &agent, ("DialStatus", "RINGING"), now);
        put(call, call.customer, trunk);
        call.agent = Some(call.legs.len());
        call.ringing_since = Some(now.wall);
        call.legs.push(Some(agent));
        self.device_events(call, &seat.extension, now);
    }

    fn queue_answer(&mut self, call: &mut Call, now: Now) {
        let (Some(trunk), Some(mut agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        agent.state = State::Up;
        self.leg_event(call, "Newstate", &agent, &[], now);
        self.dial_event(call, "DialEnd", Some(&trunk), &agent, ("DialStatus", "ANSWER"), now);
        self.leg_event(call, "MusicOnHoldStop", &trunk, &[], now);
        let waited = seconds(call.waiting_since.take(), now);
        let queue = self.settings.queue.clone();
        let leave = self.event("QueueCallerLeave", "agent", now).channel("", &trunk);
        let leave = leave.field("Queue", &queue).field("Position", 1).field("Count", self.waiting());
        self.say(Some(call.truth), leave, now);
        let rang = seconds(call.ringing_since.take(), now);
        let connect = self.event("AgentConnect", "agent", now).channel("", &trunk).channel("Dest", &agent);
        let connect = connect
            .field("Queue", &queue)
            .field("Interface", agent.device())
            .field("MemberName", &agent.display)
            .field("HoldTime", waited)
            .field("RingTime", rang);
        self.say(Some(call.truth), connect, now);
        put(call, call.customer, trunk);
        put(call, call.agent, agent);
        self.bridge_up(call, now);
    }

    fn no_answer(&mut self, call: &mut Call, now: Now) {
        let (Some(trunk), Some(agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        let rang = call.ringing_since.take().map_or(0, |since| now.wall.since(since));
        let event = self.event("AgentRingNoAnswer", "agent", now).channel("", &trunk).channel("Dest", &agent);
        let event = event
            .field("Queue", &self.settings.queue)
            .field("Interface", agent.device())
            .field("MemberName", &agent.display)
            .field("RingTime", rang);
        self.say(Some(call.truth), event, now);
        // Twice, as recorded: the ring timed out, then the queue cancels the leg.
        self.dial_event(call, "DialEnd", Some(&trunk), &agent, ("DialStatus", "NOANSWER"), now);
        self.dial_event(call, "DialEnd", Some(&trunk), &agent, ("DialStatus", "CANCEL"), now);
        self.hangup(call, call.agent, 0, None, now);
        call.agent = None;
    }

    fn give_up(&mut self, call: &mut Call, now: Now) {
        let Some(trunk) = self.customer_leg(call) else { return self.far_gone(call, now) };
        let direct = !call.queued;
        let extra: &[(&str, &str)] = if direct { &[("Cause", "127"), ("TechCause", "487")] } else { &[] };
        self.leg_event(call, "HangupRequest", &trunk, extra, now);
        if call.queued {
            self.leg_event(call, "MusicOnHoldStop", &trunk, &[], now);
        }
        let ringing = self.agent_leg(call);
        if let Some(agent) = &ringing {
            for _ in 0..if direct { 1 } else { 2 } {
                self.dial_event(call, "DialEnd", Some(&trunk), agent, ("DialStatus", "CANCEL"), now);
            }
        }
        if call.queued {
            let queue = self.settings.queue.clone();
            let waited = seconds(call.waiting_since.take(), now);
            let event = self.event("QueueCallerAbandon", "agent", now).channel("", &trunk);
            let event = event
                .field("Queue", &queue)
                .field("Position", 1)
                .field("OriginalPosition", 1)
                .field("HoldTime", waited);
            self.say(Some(call.truth), event, now);
            let event = self.event("QueueCallerLeave", "agent", now).channel("", &trunk);
            let event = event.field("Queue", &queue).field("Position", 1).field("Count", self.waiting());
            self.say(Some(call.truth), event, now);
        }
        self.leg_event(call, "SoftHangupRequest", &trunk, &[("Cause", "16")], now);
        let (agent_cause, trunk_cause) =
            if direct { ((127, Some("500")), (127, Some("487"))) } else { ((0, None), (0, None)) };
        self.hangup(call, call.agent, agent_cause.0, agent_cause.1, now);
        self.hangup(call, call.customer, trunk_cause.0, trunk_cause.1, now);
        self.outcome(call, "abandoned");
    }

    /// Somebody hung up a click-to-dial before the far end was there.
    fn far_gone(&mut self, call: &mut Call, now: Now) {
        self.hangup(call, call.agent, 16, None, now);
        self.outcome(call, "cancelled");
    }

    /// The customer's leg dials a seat: a direct line, or the target of a blind transfer.
    fn dial(&mut self, call: &mut Call, nth: usize, now: Now) {
        let Some(mut trunk) = self.customer_leg(call) else { return };
        let Some(seat) = call.seats.get(nth).and_then(|s| self.settings.seats.get(*s)).cloned() else { return };
        let device = format!("PJSIP/{}", seat.extension);
        trunk.context = "agents".into();
        trunk.exten.clone_from(&seat.extension);
        trunk.priority = 2;
        self.newexten(call, &mut trunk, "Dial", &format!("{device},20,tT"), now);
        let agent = self.dialled_leg(call, &trunk, &seat.extension, &seat.name, now);
        self.dial_event(call, "DialBegin", Some(&trunk), &agent, ("DialString", &seat.extension), now);
        trunk.connected.clone_from(&seat.extension);
        trunk.connected_display.clone_from(&seat.name);
        self.leg_event(call, "NewConnectedLine", &trunk, &[], now);
        self.dial_event(call, "DialState", Some(&trunk), &agent, ("DialStatus", "RINGING"), now);
        put(call, call.customer, trunk);
        call.agent = Some(call.legs.len());
        call.ringing_since = Some(now.wall);
        call.legs.push(Some(agent));
        self.device_events(call, &seat.extension, now);
    }

    /// A seat's phone, dialled by `from`, made and ringing.
    fn dialled_leg(&mut self, call: &Call, from: &Channel, extension: &str, name: &str, now: Now) -> Channel {
        let mut leg = self.make(&format!("PJSIP/{extension}"), None, Some(&from.linkedid), call.truth, now);
        leg.number = extension.to_owned();
        leg.display = name.to_owned();
        self.leg_event(call, "Newchannel", &leg, &[], now);
        leg.exten = extension.to_owned();
        leg.connected.clone_from(&from.number);
        leg.connected_display.clone_from(&from.display);
        self.newexten(call, &mut leg, "AppDial", "(Outgoing Line)", now);
        self.leg_event(call, "NewConnectedLine", &leg, &[], now);
        leg.state = State::Ringing;
        self.leg_event(call, "Newstate", &leg, &[], now);
        leg
    }

    fn dial_answer(&mut self, call: &mut Call, now: Now) {
        let (Some(mut trunk), Some(mut agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        agent.state = State::Up;
        self.leg_event(call, "Newstate", &agent, &[], now);
        agent.exten.clear();
        self.dial_event(call, "DialEnd", Some(&trunk), &agent, ("DialStatus", "ANSWER"), now);
        if trunk.state != State::Up {
            trunk.state = State::Up;
            self.leg_event(call, "Newstate", &trunk, &[], now);
        }
        put(call, call.customer, trunk);
        put(call, call.agent, agent);
        self.bridge_up(call, now);
    }

    fn blind_transfer(&mut self, call: &mut Call, now: Now) {
        let (Some(mut trunk), Some(agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        let Some(to) = call.seats.get(1).and_then(|s| self.settings.seats.get(*s)).map(|s| s.extension.clone()) else {
            return;
        };
        let Some(bridge) = call.bridge.clone() else { return };
        self.leg_event(call, "Unhold", &agent, &[], now);
        let before = trunk.clone();
        let event = self.event("BlindTransfer", "call", now).field("Result", "Success");
        let event = event.channel("Transferer", &agent).channel("Transferee", &before).bridge("", &bridge, 2);
        self.say(
            Some(call.truth),
            event.field("IsExternal", "Yes").field("Context", "agents").field("Extension", &to),
            now,
        );
        trunk.context = "agents".into();
        trunk.exten = to;
        trunk.priority = 1;
        if call.queued {
            self.agent_complete(call, &trunk, &agent, "transfer", now);
        }
        put(call, call.customer, trunk);
        self.leave(call, call.customer, 1, now);
        self.leave(call, call.agent, 0, now);
        self.destroy(call, now);
        self.hangup(call, call.agent, 16, None, now);
        call.agent = None;
        self.dial(call, 1, now);
    }

    fn hold(&mut self, call: &mut Call, now: Now) {
        let (Some(trunk), Some(agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        self.leg_event(call, "Hold", &agent, &[("MusicClass", "default")], now);
        self.leg_event(call, "MusicOnHoldStart", &trunk, &[("Class", "default")], now);
    }

    fn consult(&mut self, call: &mut Call, now: Now) {
        let Some(agent) = self.agent_leg(call) else { return };
        let Some(seat) = call.seats.get(1).and_then(|s| self.settings.seats.get(*s)).cloned() else { return };
        // A call of its own to the switch: its Linkedid is its own until the bridges meet.
        let mut own = self.make(agent.device(), None, None, call.truth, now);
        own.state = State::Ring;
        own.number.clone_from(&agent.number);
        own.display.clone_from(&agent.display);
        own.exten.clone_from(&seat.extension);
        self.leg_event(call, "Newchannel", &own, &[], now);
        own.priority = 2;
        self.newexten(call, &mut own, "Dial", &format!("PJSIP/{},20,tT", seat.extension), now);
        let colleague = self.dialled_leg(call, &own, &seat.extension, &seat.name, now);
        self.dial_event(call, "DialBegin", Some(&own), &colleague, ("DialString", &seat.extension), now);
        own.connected.clone_from(&seat.extension);
        own.connected_display.clone_from(&seat.name);
        self.leg_event(call, "NewConnectedLine", &own, &[], now);
        self.dial_event(call, "DialState", Some(&own), &colleague, ("DialStatus", "RINGING"), now);
        call.consult = Some((call.legs.len(), call.legs.len() + 1));
        call.legs.push(Some(own));
        call.legs.push(Some(colleague));
        self.device_events(call, &seat.extension, now);
    }

    fn consult_answer(&mut self, call: &mut Call, now: Now) {
        let Some((own_at, colleague_at)) = call.consult else { return };
        let (Some(mut own), Some(mut colleague)) = (leg(call, own_at), leg(call, colleague_at)) else { return };
        colleague.state = State::Up;
        self.leg_event(call, "Newstate", &colleague, &[], now);
        colleague.exten.clear();
        self.dial_event(call, "DialEnd", Some(&own), &colleague, ("DialStatus", "ANSWER"), now);
        own.state = State::Up;
        self.leg_event(call, "Newstate", &own, &[], now);
        let bridge = self.bridge_id();
        let event = self.event("BridgeCreate", "call", now).bridge("", &bridge, 0);
        self.say(Some(call.truth), event, now);
        let extension = colleague.number.clone();
        self.enter(call, &mut colleague, &bridge, 1, None, now);
        self.enter(call, &mut own, &bridge, 2, None, now);
        call.consult_bridge = Some(bridge);
        put(call, Some(own_at), own);
        put(call, Some(colleague_at), colleague);
        self.device_events(call, &extension, now);
    }

    fn hand_over(&mut self, call: &mut Call, now: Now) {
        let Some((own_at, colleague_at)) = call.consult.take() else { return };
        let (Some(mut trunk), Some(agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        let (Some(own), Some(mut colleague)) = (leg(call, own_at), leg(call, colleague_at)) else { return };
        let (Some(bridge), Some(second)) = (call.bridge.clone(), call.consult_bridge.clone()) else { return };
        self.leg_event(call, "Unhold", &agent, &[], now);
        self.leg_event(call, "Unhold", &own, &[], now);
        let before = colleague.clone();
        let left = self.event("BridgeLeave", "call", now).bridge("", &second, 1).channel("", &colleague);
        self.say(Some(call.truth), left, now);
        self.leg_event(call, "MusicOnHoldStop", &trunk, &[], now);
        self.leave(call, call.agent, 1, now);
        colleague.linkedid.clone_from(&trunk.linkedid);
        self.enter(call, &mut colleague, &bridge, 2, Some(&agent.uniqueid), now);
        self.leg_event(call, "SoftHangupRequest", &own, &[("Cause", "1")], now);
        let event = self.event("AttendedTransfer", "call", now).field("Result", "Success");
        let event = event
            .channel("OrigTransferer", &agent)
            .bridge("Orig", &bridge, 2)
            .channel("SecondTransferer", &own)
            .bridge("Second", &second, 2)
            .channel("Transferee", &trunk)
            .channel("TransferTarget", &before)
            .field("IsExternal", "No")
            .field("DestType", "Bridge")
            .field("DestBridgeUniqueid", &bridge);
        self.say(Some(call.truth), event, now);
        let left = self.event("BridgeLeave", "call", now).bridge("", &second, 0).channel("", &own);
        self.say(Some(call.truth), left, now);
        let gone = self.event("BridgeDestroy", "call", now).bridge("", &second, 0);
        self.say(Some(call.truth), gone, now);
        call.consult_bridge = None;
        if call.queued {
            self.agent_complete(call, &trunk, &agent, "transfer", now);
        }
        colleague.connected.clone_from(&trunk.number);
        colleague.connected_display.clone_from(&trunk.display);
        self.leg_event(call, "NewConnectedLine", &colleague, &[], now);
        trunk.connected.clone_from(&colleague.number);
        trunk.connected_display.clone_from(&colleague.display);
        self.leg_event(call, "NewConnectedLine", &trunk, &[], now);
        let name = AgentId::from(colleague.number.as_str());
        put(call, call.customer, trunk);
        put(call, Some(colleague_at), colleague);
        self.hangup(call, call.agent, 16, None, now);
        self.hangup(call, Some(own_at), 16, None, now);
        call.agent = Some(colleague_at);
        if let Some(truth) = self.truths.get_mut(call.truth) {
            truth.agents.push(name);
        }
    }

    fn hang_up(&mut self, call: &mut Call, by_customer: bool, now: Now) {
        let (Some(trunk), Some(agent)) = (self.customer_leg(call), self.agent_leg(call)) else {
            return self.give_up(call, now);
        };
        if call.bridge.is_none() {
            return self.give_up(call, now);
        }
        let (asker, first, second) =
            if by_customer { (&trunk, call.customer, call.agent) } else { (&agent, call.agent, call.customer) };
        self.leg_event(call, "HangupRequest", asker, &[("Cause", "16")], now);
        self.leave(call, first, 1, now);
        self.leave(call, second, 0, now);
        if call.queued {
            self.agent_complete(call, &trunk, &agent, if by_customer { "caller" } else { "agent" }, now);
        }
        self.leg_event(call, "SoftHangupRequest", &trunk, &[("Cause", "16")], now);
        self.destroy(call, now);
        self.hangup(call, first, 16, None, now);
        self.hangup(call, second, 16, None, now);
    }

    // ------------------------------------------------------------------ outbound

    fn dial_out(&mut self, call: &mut Call, now: Now) {
        let Some(seat) = call.seats.first().and_then(|s| self.settings.seats.get(*s)).cloned() else { return };
        let Some(number) = self.truths.get(call.truth).map(|t| t.dialled.clone()) else { return };
        let mut agent = self.make(&format!("PJSIP/{}", seat.extension), None, None, call.truth, now);
        agent.state = State::Ring;
        agent.number.clone_from(&seat.extension);
        agent.display.clone_from(&seat.name);
        agent.exten = format!("9{number}");
        self.leg_event(call, "Newchannel", &agent, &[], now);
        let presented = self.settings.presented.clone();
        self.newexten(call, &mut agent, "Set", &format!("CALLERID(num)={presented}"), now);
        agent.number = presented;
        agent.priority = 2;
        self.presented(call, &agent, now);
        self.out_leg(call, agent, &number, &format!("9{number}"), ",30,T", now);
        self.device_events(call, &seat.extension, now);
    }

    /// The agent's leg dials the far end over the trunk.
    fn out_leg(&mut self, call: &mut Call, mut agent: Channel, number: &str, shown: &str, options: &str, now: Now) {
        self.newexten(call, &mut agent, "Dial", &format!("PJSIP/{number}@trunk{options}"), now);
        let mut far = self.make("PJSIP/trunk", None, Some(&agent.linkedid), call.truth, now);
        far.context = "from-trunk".into();
        self.leg_event(call, "Newchannel", &far, &[], now);
        far.number = shown.to_owned();
        far.exten = shown.to_owned();
        far.connected.clone_from(&agent.number);
        far.connected_display.clone_from(&agent.display);
        self.newexten(call, &mut far, "AppDial", "(Outgoing Line)", now);
        self.presented(call, &far, now);
        self.leg_event(call, "NewConnectedLine", &far, &[], now);
        self.dial_event(call, "DialBegin", Some(&agent), &far, ("DialString", &format!("{number}@trunk")), now);
        if agent.connected != shown {
            agent.connected = shown.to_owned();
            self.leg_event(call, "NewConnectedLine", &agent, &[], now);
        }
        if call.agent.is_none() {
            call.agent = Some(call.legs.len());
            call.legs.push(Some(agent));
        } else {
            put(call, call.agent, agent);
        }
        call.customer = Some(call.legs.len());
        call.legs.push(Some(far));
    }

    fn far_rings(&mut self, call: &mut Call, now: Now) {
        let (Some(agent), Some(mut far)) = (self.agent_leg(call), self.customer_leg(call)) else { return };
        far.state = State::Ringing;
        self.leg_event(call, "Newstate", &far, &[], now);
        self.dial_event(call, "DialState", Some(&agent), &far, ("DialStatus", "RINGING"), now);
        put(call, call.customer, far);
    }

    fn far_answers(&mut self, call: &mut Call, now: Now) {
        let (Some(mut agent), Some(mut far)) = (self.agent_leg(call), self.customer_leg(call)) else { return };
        far.state = State::Up;
        self.leg_event(call, "Newstate", &far, &[], now);
        far.exten.clear();
        self.dial_event(call, "DialEnd", Some(&agent), &far, ("DialStatus", "ANSWER"), now);
        if agent.state != State::Up {
            agent.state = State::Up;
            self.leg_event(call, "Newstate", &agent, &[], now);
        }
        put(call, call.agent, agent);
        put(call, call.customer, far);
        self.bridge_up(call, now);
    }

    fn far_busy(&mut self, call: &mut Call, now: Now) {
        let (Some(mut agent), Some(far)) = (self.agent_leg(call), self.customer_leg(call)) else { return };
        self.leg_event(call, "HangupRequest", &far, &[("Cause", "17"), ("TechCause", "486")], now);
        self.dial_event(call, "DialEnd", Some(&agent), &far, ("DialStatus", "BUSY"), now);
        self.newexten(call, &mut agent, "Hangup", "", now);
        self.leg_event(call, "SoftHangupRequest", &agent, &[("Cause", "16")], now);
        put(call, call.agent, agent);
        self.hangup(call, call.customer, 17, Some("486"), now);
        self.hangup(call, call.agent, 17, Some("486"), now);
        self.outcome(call, "busy");
    }

    /// The agent's channel of a click-to-dial, with the id that was asked for.
    pub(super) fn originate_leg(&mut self, id: u64, device: &str, wanted: Option<&str>, now: Now) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        let Some(seat) = call.seats.first().and_then(|s| self.settings.seats.get(*s)).cloned() else { return };
        let mut agent = self.make(device, wanted, None, call.truth, now);
        agent.number.clone_from(&seat.extension);
        agent.display.clone_from(&seat.name);
        self.leg_event(&call, "Newchannel", &agent, &[], now);
        self.newexten(&call, &mut agent, "AppDial2", "(Outgoing Line)", now);
        if let Some(originate) = &call.originate {
            let (number, name, variables) =
                (originate.caller_number.clone(), originate.caller_name.clone(), originate.variables.clone());
            for pair in variables {
                let (key, value) = pair.split_once('=').unwrap_or((pair.as_str(), ""));
                self.leg_event(&call, "VarSet", &agent, &[("Variable", key), ("Value", value)], now);
            }
            if !number.is_empty() {
                // As recorded: what CallerID said goes on the agent's own channel, both as its number and as its connected line.
                agent.number.clone_from(&number);
                agent.display.clone_from(&name);
                self.presented(&call, &agent, now);
                agent.connected = number;
                agent.connected_display = name;
                self.leg_event(&call, "NewConnectedLine", &agent, &[], now);
            }
        }
        self.dial_event(&call, "DialBegin", None, &agent, ("DialString", &seat.extension), now);
        call.agent = Some(call.legs.len());
        call.legs.push(Some(agent));
        self.calls.insert(id, call);
    }

    fn originate_ring(&mut self, call: &mut Call, now: Now) {
        let Some(mut agent) = self.agent_leg(call) else { return };
        agent.state = State::Ringing;
        self.leg_event(call, "Newstate", &agent, &[], now);
        self.dial_event(call, "DialState", None, &agent, ("DialStatus", "RINGING"), now);
        let extension = agent.device().trim_start_matches("PJSIP/").to_owned();
        put(call, call.agent, agent);
        self.device_events(call, &extension, now);
    }

    fn originate_answer(&mut self, call: &mut Call, now: Now) {
        let (Some(mut agent), Some(originate)) = (self.agent_leg(call), call.originate.take()) else { return };
        agent.state = State::Up;
        self.leg_event(call, "Newstate", &agent, &[], now);
        self.dial_event(call, "DialEnd", None, &agent, ("DialStatus", "ANSWER"), now);
        self.originate_response(call, &originate, &agent, "Success", 4, now);
        agent.context.clone_from(&originate.context);
        agent.exten.clone_from(&originate.number);
        let presented = self.settings.presented.clone();
        self.newexten(call, &mut agent, "Set", &format!("CALLERID(num)={presented}"), now);
        agent.number = presented;
        self.presented(call, &agent, now);
        self.out_leg(call, agent, &originate.number, &originate.number, ",30", now);
    }

    fn originate_fails(&mut self, call: &mut Call, now: Now) {
        let (Some(agent), Some(originate)) = (self.agent_leg(call), call.originate.take()) else { return };
        self.leg_event(call, "HangupRequest", &agent, &[("Cause", "17"), ("TechCause", "486")], now);
        self.dial_event(call, "DialEnd", None, &agent, ("DialStatus", "BUSY"), now);
        self.originate_response(call, &originate, &agent, "Failure", 0, now);
        self.hangup(call, call.agent, 17, Some("486"), now);
        self.outcome(call, "agent-unreached");
    }

    fn originate_response(
        &mut self,
        call: &Call,
        originate: &super::switch::Originate,
        agent: &Channel,
        said: &str,
        reason: u8,
        now: Now,
    ) {
        let channel = if said == "Success" { agent.name.as_str() } else { agent.device() };
        let event = self.event("OriginateResponse", "call", now);
        let event = event
            .action_id(originate.action_id.as_deref())
            .field("Response", said)
            .field("Channel", channel)
            .field("Context", &originate.context)
            .field("Exten", &originate.number)
            .field("Reason", reason)
            .field("Uniqueid", &agent.uniqueid)
            .field("CallerIDNum", super::events::known(&originate.caller_number))
            .field("CallerIDName", super::events::known(&originate.caller_name));
        self.say(Some(call.truth), event, now);
    }

    // ------------------------------------------------------------------ the same at many places

    fn customer_leg(&self, call: &Call) -> Option<Channel> {
        leg(call, call.customer?)
    }

    fn agent_leg(&self, call: &Call) -> Option<Channel> {
        leg(call, call.agent?)
    }

    fn leg_event(&mut self, call: &Call, name: &str, leg: &Channel, extra: &[(&str, &str)], now: Now) {
        let class = if matches!(name, "VarSet" | "Newexten") { "dialplan" } else { "call" };
        let mut event = self.event(name, class, now).channel("", leg);
        for (key, value) in extra {
            event = event.field(key, value);
        }
        self.say(Some(call.truth), event, now);
    }

    fn newexten(&mut self, call: &Call, leg: &mut Channel, application: &str, data: &str, now: Now) {
        leg.application = application.to_owned();
        leg.data = data.to_owned();
        let extension = leg.exten.clone();
        let extra = [("Extension", extension.as_str()), ("Application", application), ("AppData", data)];
        self.leg_event(call, "Newexten", leg, &extra, now);
    }

    fn presented(&mut self, call: &Call, leg: &Channel, now: Now) {
        self.leg_event(call, "NewCallerid", leg, &[("CID-CallingPres", "0 (Presentation Allowed, Not Screened)")], now);
    }

    fn dial_event(
        &mut self,
        call: &Call,
        name: &str,
        from: Option<&Channel>,
        to: &Channel,
        extra: (&str, &str),
        now: Now,
    ) {
        let mut event = self.event(name, "call", now);
        if let Some(from) = from {
            event = event.channel("", from);
        }
        self.say(Some(call.truth), event.channel("Dest", to).field(extra.0, extra.1), now);
    }

    /// Customer and agent get together: talk starts.
    fn bridge_up(&mut self, call: &mut Call, now: Now) {
        let (Some(mut customer), Some(mut agent)) = (self.customer_leg(call), self.agent_leg(call)) else { return };
        let bridge = self.bridge_id();
        let event = self.event("BridgeCreate", "call", now).bridge("", &bridge, 0);
        self.say(Some(call.truth), event, now);
        self.enter(call, &mut agent, &bridge, 1, None, now);
        self.enter(call, &mut customer, &bridge, 2, None, now);
        let extension = agent.device().trim_start_matches("PJSIP/").to_owned();
        put(call, call.customer, customer);
        put(call, call.agent, agent);
        call.bridge = Some(bridge);
        call.talking_since = Some(now.wall);
        if let Some(truth) = self.truths.get_mut(call.truth) {
            truth.agents.push(AgentId::from(extension.as_str()));
            truth.answered.get_or_insert(now.wall);
            truth.outcome = Some("answered");
        }
        self.device_events(call, &extension, now);
    }

    fn enter(&mut self, call: &Call, leg: &mut Channel, bridge: &str, count: usize, swap: Option<&str>, now: Now) {
        leg.bridge = Some(bridge.to_owned());
        let mut event = self.event("BridgeEnter", "call", now).bridge("", bridge, count).channel("", leg);
        if let Some(swap) = swap {
            event = event.field("SwapUniqueid", swap);
        }
        self.say(Some(call.truth), event, now);
    }

    fn leave(&mut self, call: &mut Call, at: Option<usize>, left: usize, now: Now) {
        let Some(mut gone) = at.and_then(|at| leg(call, at)) else { return };
        let Some(bridge) = gone.bridge.take() else { return };
        let event = self.event("BridgeLeave", "call", now).bridge("", &bridge, left).channel("", &gone);
        self.say(Some(call.truth), event, now);
        put(call, at, gone);
    }

    fn destroy(&mut self, call: &mut Call, now: Now) {
        let Some(bridge) = call.bridge.take() else { return };
        let event = self.event("BridgeDestroy", "call", now).bridge("", &bridge, 0);
        self.say(Some(call.truth), event, now);
    }

    fn agent_complete(&mut self, call: &Call, trunk: &Channel, agent: &Channel, reason: &str, now: Now) {
        let talked = seconds(call.talking_since, now);
        let event = self.event("AgentComplete", "agent", now).channel("", trunk).channel("Dest", agent);
        let event = event
            .field("Queue", &self.settings.queue)
            .field("Interface", agent.device())
            .field("MemberName", &agent.display)
            .field("HoldTime", 0)
            .field("TalkTime", talked)
            .field("Reason", reason);
        self.say(Some(call.truth), event, now);
    }

    fn hangup(&mut self, call: &mut Call, at: Option<usize>, cause: u16, tech: Option<&str>, now: Now) {
        let Some(slot) = at.and_then(|at| call.legs.get_mut(at)) else { return };
        let Some(gone) = slot.take() else { return };
        let cause_number = cause.to_string();
        let mut extra = vec![("Cause", cause_number.as_str()), ("Cause-txt", cause_text(cause))];
        extra.extend(tech.map(|tech| ("TechCause", tech)));
        self.leg_event(call, "Hangup", &gone, &extra, now);
        if let Some(extension) = gone.device().strip_prefix("PJSIP/").filter(|e| *e != "trunk") {
            self.device_events(call, extension, now);
        }
    }

    /// What the rest of the switch says of a phone whose state changed.
    fn device_events(&mut self, call: &Call, extension: &str, now: Now) {
        let Some(seat) = self.settings.seats.iter().find(|s| s.extension == extension).cloned() else { return };
        let device = format!("PJSIP/{extension}");
        // The call in hand is not among `calls` while it acts, so its own legs are looked at first.
        let mine = call.legs.iter().flatten().filter(|leg| leg.device() == device);
        let (member, hint, text, word) = match mine.map(|leg| leg.state).max_by_key(|s| *s as u8) {
            Some(State::Up | State::Ring) => (2, 1, "InUse", "INUSE"),
            Some(_) => (6, 8, "Ringing", "RINGING"),
            None => {
                let (hint, text) = self.extension_state(&device);
                (self.device_state(&device), hint, text, self.device_word(&device))
            }
        };
        let event = self.event("ExtensionStatus", "call", now);
        let event = event
            .field("Exten", extension)
            .field("Context", "agents")
            .field("Hint", format_args!("{device}&Custom:DND{extension}"))
            .field("Status", hint)
            .field("StatusText", text);
        self.say(None, event, now);
        let event = self.event("QueueMemberStatus", "agent", now);
        let event = event
            .field("Queue", &self.settings.queue)
            .field("MemberName", &seat.name)
            .field("Interface", &device)
            .field("StateInterface", &device)
            .field("Membership", "static")
            .field("Penalty", 0)
            .field("CallsTaken", 0)
            .field("LastCall", 0)
            .field("LastPause", 0)
            .field("LoginTime", self.started.0.div_euclid(1000))
            .field("InCall", 0)
            .field("Status", member)
            .field("Paused", 0)
            .field("PausedReason", "")
            .field("Ringinuse", 0)
            .field("Wrapuptime", 0);
        self.say(None, event, now);
        let event = self.event("DeviceStateChange", "call", now).field("Device", &device).field("State", word);
        self.say(None, event, now);
    }

    fn outcome(&mut self, call: &Call, outcome: &'static str) {
        if let Some(truth) = self.truths.get_mut(call.truth) {
            truth.outcome.get_or_insert(outcome);
        }
    }
}

fn leg(call: &Call, at: usize) -> Option<Channel> {
    call.legs.get(at).cloned().flatten()
}

fn put(call: &mut Call, at: Option<usize>, channel: Channel) {
    if let Some(slot) = at.and_then(|at| call.legs.get_mut(at)) {
        *slot = Some(channel);
    }
}

fn seconds(since: Option<crate::words::Wall>, now: Now) -> u64 {
    since.map_or(0, |since| now.wall.since(since) / 1000)
}
