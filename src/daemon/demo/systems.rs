//! The demo's business systems: an ERP, a loyalty scheme, an order system, a survey and a ticket desk, each with its own way of proving who
//! asks and its own shape of answers, as real ones have.
//!
//! Still: a request comes in, an answer goes out, and what was written is in the ledger. `hosts.rs` puts them on sockets
//! and knows how to be slow, silent or dead.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::words::{Now, Wall};

use super::people::{PEOPLE, Person};

/// Which system a host plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Key in a header; JSON.
    Erp,
    /// Basic auth; XML.
    Loyalty,
    /// No auth; JSON that says failure inside status 200.
    Orders,
    /// Bearer token; JSON, writes, and a page for people.
    Tickets,
    /// Bearer token; sends customers a message with a link, and tells by a webhook what they answered (`survey.rs`).
    Survey,
}

impl System {
    pub const ALL: [System; 5] = [System::Erp, System::Loyalty, System::Orders, System::Tickets, System::Survey];

    /// The connector's id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            System::Erp => "erp",
            System::Loyalty => "loyalty",
            System::Orders => "orders",
            System::Tickets => "desk",
            System::Survey => "survey",
        }
    }
}

/// What the connectors prove themselves with. Made-up secrets of a made-up company.
pub const ERP_KEY: &str = "demo-erp-key";
pub const LOYALTY_USER: &str = "linecard";
pub const LOYALTY_PASSWORD: &str = "demo-loyalty";
pub const DESK_TOKEN: &str = "demo-desk-token";
pub const SURVEY_TOKEN: &str = "demo-survey-token";

/// A request as a host heard it.
#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Of the `X-Api-Key` or `Authorization` header.
    pub key: Option<String>,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub kind: &'static str,
    pub body: String,
}

/// One thing that was written: the ledger's line. Kept whatever became of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// `ticket`, `note`, `close`, `reopen`, `assign`, `escalate`, `notice`, `customer` (one was made), `update` (of one), `phone` (a number was put to one), `freeze` or `release` (of money), `invitation` (to a survey).
    pub what: &'static str,
    /// The id it got.
    pub id: u64,
    /// The ticket a note is on, the customer a number was put to; the thing itself otherwise.
    pub ticket: u64,
    /// Our call's ULID, as it came.
    pub call: String,
    /// The effect's key, as it came.
    pub key: String,
    pub subject: String,
    pub text: String,
    pub contact: Option<u64>,
    pub at: Wall,
}

/// All that the systems know and were told.
#[derive(Debug, Default)]
pub struct World {
    written: Vec<Written>,
}

impl World {
    /// Everything that was written, in order.
    #[must_use]
    pub fn ledger(&self) -> &[Written] {
        &self.written
    }

    /// What was written last is gone.
    pub fn lose(&mut self) -> bool {
        self.written.pop().is_some()
    }

    /// Answers one request at one system.
    pub fn answer(&mut self, system: System, request: &Request, now: Now) -> Reply {
        match system {
            System::Erp => self.erp(request, now),
            System::Loyalty => loyalty(request),
            System::Orders => self.orders(request, now),
            System::Tickets => self.tickets(request, now),
            System::Survey => self.survey(request, now),
        }
    }

    fn tickets(&mut self, request: &Request, now: Now) -> Reply {
        let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
        if segments.is_empty() {
            return self.page();
        }
        if request.authorization.as_deref() != Some(&format!("Bearer {DESK_TOKEN}")) {
            return Reply::json(401, &json!({"error": "token missing or wrong"}));
        }
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["api", "me"]) => Reply::json(200, &json!({"login": "linecard", "may": ["read", "write"]})),
            ("GET", ["api", "contacts"]) => {
                let contacts = known_by(request.query.get("phone"));
                let open = |id: u32| {
                    let tickets = self.written.iter().filter(|w| w.what == "ticket" && w.contact == Some(id.into()));
                    tickets.filter(|w| self.closed(w.id).is_none()).count()
                };
                let contacts: Vec<Value> = contacts
                    .map(|p| {
                        json!({"id": p.id, "name": p.name, "phone": p.typed, "customer_no": number_of(p.id), "open": open(p.id)})
                    })
                    .collect();
                Reply::json(200, &json!({"contacts": contacts}))
            }
            ("GET", ["api", "tickets"]) => {
                let wanted = |w: &&Written| {
                    let is = |key: &str, value: &str| request.query.get(key).is_none_or(|wanted| wanted == value);
                    let status = if self.closed(w.id).is_some() { "closed" } else { "open" };
                    let text = request.query.get("text").map(|text| text.to_lowercase());
                    w.what == "ticket"
                        && is("status", status)
                        && text.is_none_or(|text| w.subject.to_lowercase().contains(&text) || w.id.to_string() == text)
                        && is("call", &w.call)
                        && is("key", &w.key)
                        && is("contact", &w.contact.map(|c| c.to_string()).unwrap_or_default())
                };
                let tickets: Vec<Value> = self.written.iter().rev().filter(wanted).map(|w| self.shown(w)).collect();
                Reply::json(200, &json!({"tickets": tickets}))
            }
            ("POST", ["api", "tickets"]) => self.write(request, "ticket", None, now),
            ("GET", ["api", "tickets", id, "notes"]) => {
                let Some(on) = self.ticket(id) else { return Reply::json(404, &json!({"error": "no such ticket"})) };
                let key = request.query.get("key");
                let says = |w: &&Written| ["note", "reopen", "escalate"].contains(&w.what) && w.ticket == on;
                let notes = self.written.iter().filter(says);
                let notes: Vec<Value> = notes
                    .filter(|w| key.is_none_or(|key| *key == w.key))
                    .map(|w| json!({"id": w.id, "key": w.key, "text": w.text}))
                    .collect();
                Reply::json(200, &json!({"notes": notes}))
            }
            ("POST", ["api", "tickets", id, "notes"]) => match self.ticket(id) {
                Some(on) => self.write(request, "note", Some(on), now),
                None => Reply::json(404, &json!({"error": "no such ticket"})),
            },
            ("PUT", ["api", "tickets", id, "close"]) => match self.ticket(id) {
                Some(on) => {
                    if self.closed(on).is_none() {
                        self.write(request, "close", Some(on), now);
                    }
                    Reply::json(200, &json!({"ticket": {"id": on, "status": "closed"}}))
                }
                None => Reply::json(404, &json!({"error": "no such ticket"})),
            },
            ("POST", ["api", "tickets", id, what @ ("reopen" | "escalate" | "assign")]) => match self.ticket(id) {
                Some(on) => {
                    let what = ["reopen", "escalate", "assign"].into_iter().find(|known| known == what);
                    self.write(request, what.unwrap_or("note"), Some(on), now)
                }
                None => Reply::json(404, &json!({"error": "no such ticket"})),
            },
            ("POST", ["api", "notices"]) => {
                let key = body_of(request)["key"].as_str().unwrap_or_default().to_owned();
                if let Some(known) = self.written.iter().find(|w| w.what == "notice" && w.key == key) {
                    return Reply::json(200, &json!({"notice": {"id": known.id}}));
                }
                self.write(request, "notice", None, now)
            }
            _ => Reply::json(404, &json!({"error": "no such page"})),
        }
    }

    fn survey(&mut self, request: &Request, now: Now) -> Reply {
        if request.authorization.as_deref() != Some(&format!("Bearer {SURVEY_TOKEN}")) {
            return Reply::json(401, &json!({"error": "token missing or wrong"}));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/me") => Reply::json(200, &json!({"login": "linecard"})),
            ("POST", "/api/invitations") => {
                let body = body_of(request);
                let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
                if let Some(known) = self.written.iter().find(|w| w.key == text("key")) {
                    return Reply::json(200, &json!({"invitation": {"id": known.id}}));
                }
                let id = self.written.len() as u64 + 1;
                // What the link gives back with the answer.
                let call = text("text")
                    .split("call=")
                    .nth(1)
                    .and_then(|rest| rest.split_whitespace().next())
                    .map(str::to_owned);
                self.written.push(Written {
                    what: "invitation",
                    id,
                    ticket: id,
                    call: call.unwrap_or_default(),
                    key: text("key"),
                    subject: text("to"),
                    text: text("text"),
                    contact: None,
                    at: now.wall,
                });
                Reply::json(201, &json!({"invitation": {"id": id}}))
            }
            _ => Reply::json(404, &json!({"error": "no such page"})),
        }
    }

    fn ticket(&self, id: &str) -> Option<u64> {
        let id = id.parse().ok()?;
        self.written.iter().any(|w| w.what == "ticket" && w.id == id).then_some(id)
    }

    /// Since when the ticket is closed.
    fn closed(&self, ticket: u64) -> Option<Wall> {
        let last = self.written.iter().rev().find(|w| w.ticket == ticket && ["close", "reopen"].contains(&w.what));
        last.filter(|w| w.what == "close").map(|w| w.at)
    }

    /// The ticket as it now is.
    fn shown(&self, w: &Written) -> Value {
        let last = |what: &str| self.written.iter().rev().find(|other| other.ticket == w.id && other.what == what);
        let mut ticket = ticket(w);
        ticket["closed_at"] = json!(self.closed(w.id));
        ticket["assigned"] = json!(last("assign").map(|w| w.subject.as_str()));
        ticket["priority"] = json!(last("escalate").map(|w| w.subject.as_str()));
        if !ticket["closed_at"].is_null() {
            ticket["status"] = "closed".into();
        }
        ticket
    }

    fn write(&mut self, request: &Request, what: &'static str, on: Option<u64>, now: Now) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return Reply::json(400, &json!({"error": "that is no JSON"}));
        };
        let text = |key: &str| match body.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        if what == "ticket" && text("subject").is_empty() {
            return Reply::json(422, &json!({"error": "a ticket needs a subject"}));
        }
        let id = self.written.len() as u64 + 1;
        let written = Written {
            what,
            id,
            ticket: on.unwrap_or(id),
            call: text("call"),
            key: text("key"),
            subject: text("subject"),
            text: text("text"),
            contact: text("contact").parse().ok(),
            at: now.wall,
        };
        let reply = match what {
            "ticket" => json!({"ticket": ticket(&written)}),
            "notice" => json!({"notice": {"id": id}}),
            _ => json!({"note": {"id": id}}),
        };
        self.written.push(written);
        Reply::json(201, &reply)
    }

    /// What was made, for a person who wants to see it; newest first.
    fn page(&self) -> Reply {
        let mut rows = String::new();
        for w in self.written.iter().rev().take(200) {
            let name = w.contact.and_then(|id| PEOPLE.iter().find(|p| u64::from(p.id) == id)).map_or("-", |p| p.name);
            // Where the links of tickets on agents' cards lead.
            let place = if w.what == "ticket" { format!(" id=\"{}\"", w.id) } else { String::new() };
            rows.push_str(&format!(
                "<tr{place}><td>{}</td><td>{} #{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
                escape(&w.at.to_string()),
                w.what,
                w.ticket,
                escape(name),
                escape(&w.subject),
                escape(&w.text).replace('\n', "<br>"),
                escape(&w.call),
            ));
        }
        let body = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=3><title>Demo ticket desk</title>\
             <style>body{{font:15px system-ui;margin:2em}}table{{border-collapse:collapse}}td,th{{border-bottom:1px solid #ccc;\
             padding:.4em .8em;text-align:left;vertical-align:top}}</style><h1>Demo ticket desk / 工单</h1>\
             <p>{} written by Linecard. The newest are on top; the page renews itself.</p>\
             <table><tr><th>at<th>what<th>customer<th>subject<th>text<th>call</tr>{rows}</table></html>",
            self.written.len(),
        );
        Reply { status: 200, kind: "text/html; charset=utf-8", body }
    }
}

fn ticket(w: &Written) -> Value {
    json!({
        "id": w.id, "subject": w.subject, "status": "open", "contact": w.contact, "call": w.call, "key": w.key,
        "created_at": w.at.to_string(),
    })
}

impl World {
    fn erp(&mut self, request: &Request, now: Now) -> Reply {
        if request.key.as_deref() != Some(ERP_KEY) {
            return Reply::json(403, &json!({"code": "KEY_INVALID", "message": "key missing or wrong"}));
        }
        let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
        let none = || Reply::json(404, &json!({"code": "NOT_FOUND"}));
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["v2", "customers"]) => self.erp_write(request, None, now),
            ("POST", ["v2", "customers", id, "phones"]) => match self.erp_customers().into_iter().find(|c| is(c, id)) {
                Some(customer) => self.erp_write(request, customer["id"].as_u64(), now),
                None => none(),
            },
            ("PATCH", ["v2", "customers", id]) => match self.erp_customers().into_iter().find(|c| is(c, id)) {
                Some(customer) => self.erp_update(request, &customer, now),
                None => none(),
            },
            (_, ["v2", "whoami"]) => Reply::json(200, &json!({"user": "linecard", "company": "demo"})),
            (_, ["v2", "customers"]) => {
                let wanted = |key: &str| request.query.get(key).cloned();
                let (tail, name, account) = (tail(request.query.get("phone")), wanted("name"), wanted("account"));
                let found = |customer: &Value| {
                    let says = |key: &str| customer[key].as_str().unwrap_or_default().to_owned();
                    let phones = customer["phones"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    let digits = |phone: &str| phone.chars().filter(char::is_ascii_digit).collect::<String>();
                    tail.len() >= 7 && phones.map(digits).any(|phone| phone.ends_with(&tail))
                        || name.as_ref().is_some_and(|name| says("name").to_lowercase().contains(&name.to_lowercase()))
                        || account.as_ref().is_some_and(|account| says("account") == *account)
                };
                let found: Vec<Value> = self.erp_customers().into_iter().filter(found).collect();
                Reply::json(200, &json!({"total": found.len(), "items": found}))
            }
            (_, ["v2", "customers", id]) => match self.erp_customers().iter().find(|c| is(c, id)) {
                Some(customer) => Reply::json(200, customer),
                None => none(),
            },
            (_, ["v2", "customers", id, "balance"]) => {
                match (person(id), self.erp_customers().iter().any(|c| is(c, id))) {
                    // As text: a balance is money, and money is no floating number.
                    (Some(p), _) => Reply::json(200, &json!({"balance": p.balance, "currency": "CNY"})),
                    (None, true) => Reply::json(200, &json!({"balance": "0.00", "currency": "CNY"})),
                    (None, false) => none(),
                }
            }
            _ => Reply::json(404, &json!({"code": "NO_SUCH_PATH"})),
        }
    }

    /// Everybody in the ERP: those of the demo, those that were made, each with the numbers that were put to them.
    fn erp_customers(&self) -> Vec<Value> {
        let known = PEOPLE.iter().map(|p| {
            let open = p.orders.iter().filter(|(_, _, state, _)| !["delivered", "returned"].contains(state)).count();
            json!({"id": p.id, "no": number_of(p.id), "name": p.name, "company": p.company, "email": p.email, "level": p.level,
                "member": format!("M{}", p.id), "account": format!("8800{}", p.id), "owner": OWNERS[(p.id % 2) as usize],
                "open_orders": open, "phones": [p.typed]})
        });
        let made = self.written.iter().filter(|w| w.what == "customer").map(|w| {
            json!({"id": w.id, "no": number_of(w.id), "name": w.subject, "company": "", "level": "C", "member": null,
                "account": format!("8800{}", w.id), "owner": null, "open_orders": 0, "phones": [w.text]})
        });
        let mut all: Vec<Value> = known.chain(made).collect();
        for added in self.written.iter().filter(|w| w.what == "phone") {
            if let Some(customer) = all.iter_mut().find(|c| c["id"] == added.ticket)
                && let Some(phones) = customer["phones"].as_array_mut()
            {
                phones.push(added.text.clone().into());
            }
        }
        for changed in self.written.iter().filter(|w| w.what == "update") {
            let Some(customer) = all.iter_mut().find(|c| c["id"] == changed.ticket) else { continue };
            let fields: BTreeMap<String, Value> = serde_json::from_str(&changed.text).unwrap_or_default();
            for (name, value) in fields {
                customer[name] = value;
            }
        }
        all
    }

    fn erp_update(&mut self, request: &Request, customer: &Value, now: Now) -> Reply {
        let body = body_of(request);
        let known = |name: &&str| body[*name].is_string();
        let fields: BTreeMap<&str, &Value> =
            ["name", "company", "email"].into_iter().filter(known).map(|name| (name, &body[name])).collect();
        let id = customer["id"].as_u64().unwrap_or_default();
        self.written.push(Written {
            what: "update",
            id,
            ticket: id,
            call: body["call"].as_str().unwrap_or_default().to_owned(),
            key: body["key"].as_str().unwrap_or_default().to_owned(),
            subject: String::new(),
            text: json!(fields).to_string(),
            contact: Some(id),
            at: now.wall,
        });
        Reply::json(200, &json!({"id": id}))
    }

    fn erp_write(&mut self, request: &Request, on: Option<u64>, now: Now) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return Reply::json(400, &json!({"code": "NO_JSON"}));
        };
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        if text("phone").is_empty() || on.is_none() && text("name").is_empty() {
            return Reply::json(422, &json!({"code": "INCOMPLETE"}));
        }
        let id = on.unwrap_or(9001 + self.written.len() as u64);
        self.written.push(Written {
            what: if on.is_some() { "phone" } else { "customer" },
            id,
            ticket: id,
            call: text("call"),
            key: text("key"),
            subject: text("name"),
            text: text("phone"),
            contact: Some(id),
            at: now.wall,
        });
        Reply::json(201, &json!({"id": id, "no": number_of(id)}))
    }
}

/// Whose customers they are, as the ERP names its users.
const OWNERS: [&str; 2] = ["u-wang", "u-li"];

fn is(customer: &Value, id: &str) -> bool {
    customer["id"].as_u64().is_some_and(|own| own.to_string() == id)
}

/// The number of a customer that all systems of the company carry.
fn number_of(id: impl std::fmt::Display) -> String {
    format!("C{id}")
}

fn loyalty(request: &Request) -> Reply {
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{LOYALTY_USER}:{LOYALTY_PASSWORD}"));
    if request.authorization.as_deref() != Some(&format!("Basic {expected}")) {
        return Reply::xml(401, "<error code=\"auth\">who are you</error>");
    }
    let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
    let member = |p: &Person| {
        format!(
            "<member no=\"M{}\"><name>{}</name><tier>{}</tier><points>{}</points></member>",
            p.id,
            escape(p.name),
            p.tier,
            p.points
        )
    };
    match segments.as_slice() {
        ["me"] => Reply::xml(200, "<me><login>linecard</login></me>"),
        // It knows no phones: only who brings a member's number finds anybody.
        ["members", number] => match number.strip_prefix('M').and_then(person) {
            Some(p) => Reply::xml(200, &member(p)),
            None => Reply::xml(404, "<error code=\"unknown-member\"/>"),
        },
        _ => Reply::xml(404, "<error code=\"path\"/>"),
    }
}

impl World {
    /// Money of orders that is frozen and released, and what can be read of buyers.
    fn orders(&mut self, request: &Request, now: Now) -> Reply {
        let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
        let failed = |code: u32, message: &str| Reply::json(200, &json!({"errcode": code, "errmsg": message}));
        let body = body_of(request);
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let released = |id: u64| self.written.iter().any(|w| w.what == "release" && w.ticket == id);
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["refunds"]) => {
                let key = request.query.get("key");
                let of_key = self.written.iter().filter(|w| w.what == "freeze" && key.is_none_or(|key| *key == w.key));
                let refunds: Vec<Value> = of_key
                    .map(|w| json!({"id": w.id, "key": w.key, "order": w.subject, "amount": w.text, "held": !released(w.id)}))
                    .collect();
                Reply::json(200, &json!({"errcode": 0, "refunds": refunds}))
            }
            ("POST", ["refunds"]) => {
                let order = PEOPLE.iter().flat_map(|p| p.orders).find(|(no, ..)| *no == text("order"));
                let Some((_, _, _, whole)) = order else { return failed(40004, "order does not exist") };
                let cents = |sum: &str| sum.parse::<f64>().map_or(0, |sum| (sum * 100.0).round() as i64);
                let held =
                    self.written.iter().filter(|w| w.what == "freeze" && w.subject == text("order") && !released(w.id));
                if held.map(|w| cents(&w.text)).sum::<i64>() + cents(&text("amount")) > cents(whole) {
                    return failed(40009, "more than the order's amount");
                }
                let id = self.written.len() as u64 + 1;
                self.written.push(Written {
                    what: "freeze",
                    id,
                    ticket: id,
                    call: String::new(),
                    key: text("key"),
                    subject: text("order"),
                    text: text("amount"),
                    contact: None,
                    at: now.wall,
                });
                Reply::json(200, &json!({"errcode": 0, "refund": {"id": id, "state": "held"}}))
            }
            ("PUT", ["refunds", id, "release"]) => {
                let held = self.written.iter().find(|w| w.what == "freeze" && w.id.to_string() == **id).map(|w| w.id);
                let Some(held) = held else { return failed(40004, "refund does not exist") };
                if !released(held) {
                    let id = self.written.len() as u64 + 1;
                    self.written.push(Written {
                        what: "release",
                        id,
                        ticket: held,
                        call: String::new(),
                        key: text("key"),
                        subject: String::new(),
                        text: text("reason"),
                        contact: None,
                        at: now.wall,
                    });
                }
                Reply::json(200, &json!({"errcode": 0, "refund": {"id": held, "state": "released"}}))
            }
            _ => orders(request),
        }
    }
}

fn body_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn orders(request: &Request) -> Reply {
    let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
    // Says failure inside a success, as many do.
    let failed = |message: &str| Reply::json(200, &json!({"errcode": 40004, "errmsg": message}));
    match segments.as_slice() {
        ["version"] => Reply::json(200, &json!({"errcode": 0, "version": "3.1"})),
        ["buyers"] => {
            let buyers = known_by(request.query.get("phone"));
            let buyers: Vec<Value> =
                buyers.map(|p| json!({"buyer_id": p.id, "buyer_name": p.name, "mobile": p.typed, "customer_no": number_of(p.id)})).collect();
            Reply::json(200, &json!({"errcode": 0, "buyers": buyers}))
        }
        ["buyers", id, "orders"] => match person(id) {
            Some(p) => {
                let orders: Vec<Value> = p
                    .orders
                    .iter()
                    .map(|(no, what, state, amount)| json!({"no": no, "what": what, "state": state, "amount": amount}))
                    .collect();
                Reply::json(200, &json!({"errcode": 0, "orders": orders}))
            }
            None => failed("buyer does not exist"),
        },
        _ => failed("path does not exist"),
    }
}

/// As carelessly as real systems search: whoever shares the last eight digits. Who really matches, the asker has to compare.
fn known_by(phone: Option<&String>) -> impl Iterator<Item = &'static Person> {
    let tail = tail(phone);
    PEOPLE.iter().filter(move |p| tail.len() >= 7 && p.digits.ends_with(&tail))
}

/// The last eight digits.
fn tail(phone: Option<&String>) -> String {
    let digits: String = phone.map(|p| p.chars().filter(char::is_ascii_digit).collect()).unwrap_or_default();
    digits.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect()
}

fn person(id: &str) -> Option<&'static Person> {
    let id: u32 = id.parse().ok()?;
    PEOPLE.iter().find(|p| p.id == id)
}

impl Reply {
    fn json(status: u16, body: &Value) -> Reply {
        Reply { status, kind: "application/json", body: body.to_string() }
    }

    fn xml(status: u16, body: &str) -> Reply {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}");
        Reply { status, kind: "application/xml; charset=utf-8", body }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use crate::words::Mono;

    use super::*;

    const NOW: Now = Now { wall: Wall(1_795_347_846_000), mono: Mono(0) };

    fn desk(method: &str, path: &str, query: &[(&str, &str)], body: &str) -> Request {
        Request {
            method: method.into(),
            path: path.into(),
            query: query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            authorization: Some(format!("Bearer {DESK_TOKEN}")),
            body: body.into(),
            ..Request::default()
        }
    }

    #[test]
    fn a_ticket_is_written_once_found_by_its_key_and_shown_on_the_page() {
        let mut world = World::default();
        let ticket = r#"{"subject":"Missed <call>","text":"a","call":"C","key":"K","contact":1001}"#;
        assert_eq!(world.answer(System::Tickets, &desk("POST", "/api/tickets", &[], ticket), NOW).status, 201);
        let found = world.answer(System::Tickets, &desk("GET", "/api/tickets", &[("key", "K")], ""), NOW);
        assert!(found.body.contains(r#""call":"C""#), "{}", found.body);
        let none = world.answer(System::Tickets, &desk("GET", "/api/tickets", &[("key", "other")], ""), NOW);
        assert_eq!(none.body, r#"{"tickets":[]}"#);
        let note = desk("POST", "/api/tickets/1/notes", &[], r#"{"text":"n","key":"K2"}"#);
        assert_eq!(world.answer(System::Tickets, &note, NOW).status, 201);
        assert_eq!(
            world.ledger().iter().map(|w| (w.what, w.ticket, w.key.as_str())).collect::<Vec<_>>(),
            [("ticket", 1, "K"), ("note", 1, "K2")]
        );
        let page = world.answer(System::Tickets, &Request { path: "/".into(), ..Request::default() }, NOW).body;
        assert!(page.contains("Missed &lt;call&gt;") && page.contains("陈静"));

        let listed = |world: &mut World, status: &str| {
            let reply = world.answer(System::Tickets, &desk("GET", "/api/tickets", &[("status", status)], ""), NOW);
            serde_json::from_str::<Value>(&reply.body).unwrap()["tickets"].clone()
        };
        let (open, closed) = (listed(&mut world, "open"), listed(&mut world, "closed"));
        assert_eq!((open[0]["status"].as_str(), closed), (Some("open"), json!([])));
        let close = desk("PUT", "/api/tickets/1/close", &[], r#"{"key":"K3"}"#);
        world.answer(System::Tickets, &close, NOW);
        let (open, closed) = (listed(&mut world, "open"), listed(&mut world, "closed"));
        assert_eq!((open, &closed[0]["closed_at"]), (json!([]), &json!(NOW.wall)));
        for (what, body) in
            [("reopen", r#"{"text":"again","key":"K4"}"#), ("assign", r#"{"subject":"1002","key":"K5"}"#)]
        {
            world.answer(System::Tickets, &desk("POST", &format!("/api/tickets/1/{what}"), &[], body), NOW);
        }
        let found = world.answer(System::Tickets, &desk("GET", "/api/tickets", &[("text", "MISSED")], ""), NOW);
        let found: Value = serde_json::from_str(&found.body).unwrap();
        assert_eq!(
            (&found["tickets"][0]["status"], &found["tickets"][0]["assigned"]),
            (&json!("open"), &json!("1002"))
        );
        let said = world.answer(System::Tickets, &desk("GET", "/api/tickets/1/notes", &[("key", "K4")], ""), NOW);
        assert!(said.body.contains("again"), "{}", said.body);
    }

    #[test]
    fn who_does_not_prove_itself_is_refused_everywhere_that_asks() {
        let mut world = World::default();
        let bare = |path: &str| Request { method: "GET".into(), path: path.into(), ..Request::default() };
        assert_eq!(world.answer(System::Erp, &bare("/v2/customers"), NOW).status, 403);
        assert_eq!(world.answer(System::Loyalty, &bare("/members/M1001"), NOW).status, 401);
        assert_eq!(world.answer(System::Tickets, &bare("/api/tickets"), NOW).status, 401);
        assert_eq!(world.answer(System::Orders, &bare("/version"), NOW).status, 200);
    }

    #[test]
    fn a_search_is_careless_a_shared_number_gives_two_and_an_unknown_one_none() {
        let ask = |phone: &str| {
            let request = Request {
                method: "GET".into(),
                path: "/v2/customers".into(),
                query: [("phone".to_owned(), phone.to_owned())].into(),
                key: Some(ERP_KEY.into()),
                ..Request::default()
            };
            let reply = World::default().answer(System::Erp, &request, NOW);
            serde_json::from_str::<Value>(&reply.body).unwrap()["total"].as_u64()
        };
        // 00138000 are the last eight digits of two people; only a strict comparison tells them apart.
        assert_eq!(ask("13800138000"), Some(2));
        assert_eq!(ask("02088886666"), Some(2));
        assert_eq!(ask("+442079460123"), Some(1));
        assert_eq!(ask("13700137000"), Some(0));
        assert_eq!(ask(""), Some(0));
    }

    #[test]
    fn a_customer_is_made_and_a_number_put_to_one_and_both_are_found() {
        let mut world = World::default();
        let mut erp = |method: &str, path: &str, query: &[(&str, &str)], body: &str| {
            let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let request = Request {
                method: method.into(),
                path: path.into(),
                query,
                key: Some(ERP_KEY.into()),
                body: body.into(),
                ..Request::default()
            };
            let reply = world.answer(System::Erp, &request, NOW);
            (reply.status, serde_json::from_str::<Value>(&reply.body).unwrap())
        };
        let body = r#"{"name":"Zhao Min","phone":"+8613700137000","call":"C","key":"K"}"#;
        assert_eq!(erp("POST", "/v2/customers", &[], body), (201, json!({"id": 9001, "no": "C9001"})));
        assert_eq!(erp("GET", "/v2/customers", &[("phone", "13700137000")], "").1["items"][0]["name"], "Zhao Min");
        assert_eq!(erp("POST", "/v2/customers/1002/phones", &[], r#"{"phone":"+8613600136000"}"#).0, 201);
        assert_eq!(erp("GET", "/v2/customers", &[("phone", "13600136000")], "").1["items"][0]["id"], 1002);
        assert_eq!(erp("GET", "/v2/customers", &[("account", "88001003")], "").1["items"][0]["id"], 1003);
        assert_eq!(erp("GET", "/v2/customers", &[("name", "jones")], "").1["total"], 1);
        assert_eq!(erp("POST", "/v2/customers", &[], r#"{"phone":"1"}"#).0, 422);
        assert_eq!(erp("GET", "/v2/customers/9001/balance", &[], "").0, 200);
    }

    #[test]
    fn an_order_system_says_failure_inside_a_success() {
        let request = Request { method: "GET".into(), path: "/buyers/9/orders".into(), ..Request::default() };
        let reply = World::default().answer(System::Orders, &request, NOW);
        assert_eq!((reply.status, reply.body.contains("40004")), (200, true));
    }
}
