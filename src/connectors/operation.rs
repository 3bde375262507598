//! The operations there are, and what each is told. The names are fixed, so that rules, cards and flows can speak of
//! any system in the same words.

/// One operation: its name, whether it writes, what it must be told and what it may be told.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub name: &'static str,
    pub writes: bool,
    pub required: &'static [&'static str],
    /// Null where it is not told.
    pub optional: &'static [&'static str],
}

const fn read(name: &'static str, required: &'static [&'static str], optional: &'static [&'static str]) -> Operation {
    Operation { name, writes: false, required, optional }
}
const fn write(name: &'static str, required: &'static [&'static str], optional: &'static [&'static str]) -> Operation {
    Operation { name, writes: true, required, optional }
}

/// What a write may be told besides. `agent` is our agent's id, `agent_id` this person's id at the system, `customer` an object with
/// `id`, `type` and the facts that `customer.by_phone` mapped, `number` E.164, `at` RFC 3339, `record` the call record.
const WRITE: &[&str] =
    &["customer", "agent", "agent_id", "number", "title", "kind", "priority", "at", "record", "private"];

const CLOSE: &[&str] = &["text", "customer", "agent", "agent_id", "at", "private"];
/// `target` is what the freeze answered.
const REFUND: &[&str] = &["customer", "target", "amount", "reason", "agent", "agent_id", "number", "at"];

/// All of them. `call` is our call's ULID, `key` the effect's stable key, `target` an object with `id` and `type`.
pub const OPERATIONS: &[Operation] = &[
    // Who am I here? Answers one object.
    read("check", &[], &[]),
    // Which version the system, or its API, says it is: one object with `version`.
    read("version", &[], &[]),
    // `number` is a text; in the file it is an object with raw, e164, national, digits. Answers a list of customers.
    read("customer.by_phone", &["number"], &[]),
    // What the caller keyed or said of themselves (a contract's or member's number); answers as `customer.by_phone`.
    read("customer.by_account", &["account"], &[]),
    read("customer.search", &["text"], &[]),
    // `customer` is `{id, type, by, ...}`: with `by: id` the system's own record, else what another system found, where `by` names the
    // shared key, `id` is its value, and it stands under its own name too.
    read("customer.get", &["customer"], &[]),
    // All customers with their numbers as stored, page by page; with `since` (RFC 3339, whole seconds) those changed since then.
    read("customer.list", &[], &["since"]),
    read("finance", &["customer"], &[]),
    read("loyalty", &["customer"], &[]),
    read("orders", &["customer"], &[]),
    // Of this customer. Open ones the newest first, with `at`, when each was made. Closed ones with `closed_at`, both RFC 3339; those that were
    // closed since then. `group`, where there is such a thing, is the name of where it lies.
    read("tickets.open", &["customer"], &[]),
    read("tickets.closed", &["customer", "since"], &[]),
    // Open and closed ones by words or by number, for an agent who looks; with a customer, only theirs.
    read("ticket.search", &["text"], &["customer"]),
    read("call.find", &["call"], &["key"]),
    read("ticket.find", &["call"], &["key"]),
    read("note.find", &["key", "target"], &["call"]),
    // Whether the ticket is this user's already.
    read("assigned.find", &["target", "to"], &["key", "call"]),
    // Whether the number stands at the customer already; whether a customer of it is there. `customer.by_phone` may serve for the second.
    read("attach.find", &["customer", "number"], &["key", "call"]),
    read("customer.find", &["number"], &["key", "call"]),
    // `number` is E.164, else as it came.
    write("customer.attach", &["call", "key", "customer", "number"], WRITE),
    write(
        "customer.create",
        &["call", "key", "number"],
        &["name", "company", "email", "agent", "agent_id", "at", "record", "line"],
    ),
    // What is known of a customer is changed: `fields` from name to text, of those that the file calls `writable:`. `customer.get` gives them by the
    // same names and is asked just before, so that nobody else's change is written over.
    write("customer.update", &["call", "key", "customer", "fields"], &["agent", "agent_id", "number", "at", "record"]),
    // `text` is what is written.
    write("ticket.create", &["call", "key", "title", "text"], WRITE),
    write("note.add", &["call", "key", "target", "text"], WRITE),
    // A closed ticket is open again, and `text` stands at it. What `note.find` finds by the key was opened again too: the file writes the text last,
    // or both at once. The same goes for an escalation with its `text`.
    write("ticket.reopen", &["call", "key", "target", "text"], WRITE),
    // `to` is the user's id at the system; `priority` and the group that it goes `into` as the system names them.
    write("ticket.assign", &["call", "key", "target", "to"], WRITE),
    write(
        "ticket.escalate",
        &["call", "key", "target", "text"],
        &["into", "customer", "agent", "agent_id", "number", "priority", "at", "record", "private"],
    ),
    // To addresses, several with commas. `html` is ready; what goes out is made by the file.
    write(
        "mail.send",
        &["call", "key", "to", "subject", "text"],
        &["html", "cc", "reply_to", "customer", "agent", "agent_id", "number", "at", "record"],
    ),
    write("notify", &["call", "key", "text"], WRITE),
    // A message with two buttons; `approve` and `refuse` are what stands on them, and what the file's `decisions:` gives back.
    write("approval.ask", &["call", "key", "text", "approve", "refuse"], &["agent", "agent_id", "at"]),
    // What became of it, to who pressed (the user's id there) and to nobody else.
    write("approval.tell", &["call", "key", "to", "text"], &["at"]),
    // `text` is why.
    write("ticket.close", &["call", "key", "target"], CLOSE),
    // Money that goes back for an order: held there, let go of again, paid. `key` finds what was done; `amount` is a decimal text.
    read("refund.find", &["key"], &["call", "order"]),
    write("refund.freeze", &["call", "key", "order", "amount"], REFUND),
    write("refund.unfreeze", &["call", "key", "order"], REFUND),
    write("refund.pay", &["call", "key", "order", "amount"], REFUND),
];

/// Changes what is known of a customer.
pub const UPDATE: &str = "customer.update";

/// The login of `auth: session`: played like an operation, and asked by nobody.
pub(super) const LOGIN: Operation = read("log in", &[], &[]);

#[must_use]
pub fn named(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|o| o.name == name)
}

/// All names, for messages.
#[must_use]
pub fn names() -> String {
    OPERATIONS.iter().map(|o| o.name).collect::<Vec<_>>().join(", ")
}
