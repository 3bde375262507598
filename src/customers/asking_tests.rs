use super::*;
use crate::{numbers::Plan, words::AgentId};

const NUMBER: &str = "+8613800138000";

fn offer(system: &str, blocks: &[(&'static str, &[&str])]) -> Offer {
    let blocks = blocks.iter().map(|(operation, by)| Facts {
        operation,
        title: None,
        by: by.iter().map(|key| (*key).to_owned()).collect(),
    });
    Offer {
        system: system.into(),
        title: None,
        by_phone: true,
        by_account: false,
        get_by: Vec::new(),
        blocks: blocks.collect(),
        attach: false,
        create: false,
    }
}

fn subject(offers: Vec<Offer>) -> Subject {
    Subject {
        tenant: TenantId::default(),
        number: Some(NUMBER.to_owned()),
        account: None,
        refused: None,
        offers,
        choice: Choice::Open,
        lane: crate::connectors::beside::Lane::NONE,
        site: Arc::default(),
        own: Some(Own::default()),
    }
}

const KEYS: [(&str, &str); 3] = [("customer_no", "code"), ("member_no", "member"), ("email", "email")];

fn known(found: Found) -> Known {
    Known { entry: Arc::new(Entry { asked_at: Wall(0), changes: 0, found }), fresh: true }
}

fn people(system: &str, value: &str) -> Known {
    let keys: Vec<(Arc<str>, String)> = KEYS.iter().map(|(k, f)| (Arc::from(*k), (*f).to_owned())).collect();
    let list = candidates(&system.into(), &serde_json::from_str(value).unwrap(), &keys);
    known(if list.is_empty() { Found::Nothing } else { Found::Customers(list) })
}

fn facts(text: &str) -> Known {
    known(Found::Facts(Arc::from(RawValue::from_string(text.to_owned()).unwrap())))
}

fn away(why: &str) -> Known {
    known(Found::Unavailable(Away { trouble: Trouble::Busy, reason: why.to_owned() }))
}

/// What a call knows: answers by system and operation, as if they had come.
struct Call {
    subject: Subject,
    known: Answers,
}

impl Call {
    fn of(offers: Vec<Offer>) -> Self {
        Self { subject: subject(offers), known: HashMap::new() }
    }

    /// `system operation subject` of everything that is wanted and not known.
    fn asks(&self) -> Vec<String> {
        let open = self.subject.wanted(&self.known).into_iter().filter(|w| !self.known.contains_key(&w.key));
        open.map(|w| format!("{} {} {}", w.key.system, w.key.operation, w.key.subject.expose())).collect()
    }

    /// Answers the one open question that begins so.
    fn answer(&mut self, ask: &str, known: Known) -> Map<String, Value> {
        let said = |w: &Wanted| format!("{} {} {}", w.key.system, w.key.operation, w.key.subject.expose());
        let wanted = self.subject.wanted(&self.known).into_iter().find(|w| said(w).starts_with(ask));
        let Some(wanted) = wanted else { panic!("{ask} is not asked; asked are {:?}", self.asks()) };
        self.known.insert(wanted.key, known);
        wanted.about.inputs()
    }

    fn card(&self) -> Card {
        self.subject.card(&self.known, Wall(1_795_347_900_000))
    }

    /// The answer's word, and who is on the card.
    fn says(&self) -> String {
        let card = self.card();
        let word = match &card.answer {
            Answer::Pending => "pending",
            Answer::Found(_) => "found",
            Answer::Absent => "absent",
            Answer::Ambiguous(_) => "ambiguous",
            Answer::Unavailable(_) => "unavailable",
            Answer::NotAsked(_) => "not-asked",
        };
        let person =
            |p: &Arc<Person>| p.records().map(|r| r.id.replace(":customer:", "")).collect::<Vec<_>>().join("=");
        card.people().fold(word.to_owned(), |text, p| format!("{text} {}", person(p)))
    }

    fn states(&self) -> String {
        let state = |b: &Block| format!("{} {} {:?}", b.system, b.kind, b.state);
        self.card().blocks.iter().map(state).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn blocks_are_asked_once_the_customer_is_known_and_keep_their_order() {
    let mut points = offer("points", &[("loyalty", &[])]);
    points.by_phone = false;
    let mut call = Call::of(vec![offer("crm", &[("tickets.open", &[])]), points]);
    assert_eq!(call.asks(), [format!("crm customer.by_phone {NUMBER}")]);
    let before = call.card().blocks.iter().map(|b| format!("{} {}", b.system, b.kind)).collect::<Vec<_>>();
    call.answer("crm", people("crm", r#"[{"id": 7, "name": "Li"}]"#));
    assert_eq!(call.asks(), ["crm tickets.open customer:7", "points loyalty customer:7"]);
    let after = call.card().blocks.iter().map(|b| format!("{} {}", b.system, b.kind)).collect::<Vec<_>>();
    assert_eq!(after, before);
    assert_eq!(call.says(), "found crm7");
    assert_eq!(call.states(), "crm customer Fresh, crm tickets.open Pending, points loyalty Pending");
}

#[test]
fn the_answers_are_never_mixed_up() {
    let mut call = Call::of(vec![offer("a", &[]), offer("b", &[])]);
    assert_eq!(call.says(), "pending");
    call.answer("a", away("a did not answer"));
    assert_eq!(call.says(), "pending");
    let b = call.subject.by_phone(&call.subject.offers[1].clone()).unwrap();
    call.answer("b", people("b", "[]"));
    assert_eq!(call.says(), "unavailable", "nobody at b, and a may know them");
    call.known.insert(b, people("b", r#"[{"id": 1, "name": "Li"}]"#));
    assert_eq!(call.says(), "found b1");
    assert_eq!(call.states(), "a customer Unavailable, b customer Fresh");
    let mut call = Call::of(vec![offer("a", &[])]);
    call.answer("a", people("a", "[]"));
    assert_eq!(call.says(), "absent");
    assert_eq!(Call::of(Vec::new()).says(), "not-asked");
}

/// 13800138000 of the seed data: two customers, known to Odoo and to Redmine.
#[test]
fn two_customers_in_two_systems_are_two_people_with_the_code_and_four_rows_without() {
    let odoo = r#"[{"id": 41, "name": "王小明", "code": "C10001"}, {"id": 44, "name": "赵六", "code": "C10004"}]"#;
    let redmine =
        r#"[{"id": 1, "name": "C10001 王小明", "code": "C10001"}, {"id": 4, "name": "C10004 赵六", "code": "C10004"}]"#;
    let mut call = Call::of(vec![offer("odoo", &[("finance", &[])]), offer("redmine", &[("tickets.open", &[])])]);
    call.answer("odoo", people("odoo", odoo));
    call.answer("redmine", people("redmine", redmine));
    assert_eq!(call.says(), "ambiguous odoo41=redmine1 odoo44=redmine4");
    assert_eq!(call.asks(), [""; 0], "it is a guess who it is: no block is asked for");
    assert_eq!(
        call.states(),
        "odoo customer Ambiguous, odoo finance Ambiguous, redmine customer Ambiguous, redmine tickets.open Ambiguous"
    );
    // The choice, by either system's record, brings both systems' blocks of that person and no other's.
    let Answer::Ambiguous(list) = call.card().answer else { panic!() };
    assert!(list[1].is("redmine:customer:4"));
    call.subject.choice = Choice::Person(list[1].clone());
    assert_eq!(call.asks(), ["odoo finance customer:44", "redmine tickets.open customer:4"]);
    assert_eq!(call.says(), "found odoo44=redmine4 odoo41=redmine1", "the others stay in sight");

    let bare = |text: &str| text.replace("\"code\"", "\"other\"");
    let mut call = Call::of(vec![offer("odoo", &[]), offer("redmine", &[])]);
    call.answer("odoo", people("odoo", &bare(odoo)));
    call.answer("redmine", people("redmine", &bare(redmine)));
    assert_eq!(call.says(), "ambiguous odoo41 odoo44 redmine1 redmine4");
}

/// Phone to person in the CRM, its code to the shop's record, the shop's member number to the loyalty scheme.
#[test]
fn keys_are_chained_from_system_to_system() {
    let mut shop = offer("shop", &[("orders", &[])]);
    shop.get_by = vec!["email".into(), "customer_no".into()];
    let mut points = offer("points", &[("loyalty", &["member_no"])]);
    points.by_phone = false;
    let mut call = Call::of(vec![offer("crm", &[]), shop, points]);
    call.answer("crm", people("crm", r#"[{"id": 7, "name": "Li", "code": "C7"}]"#));
    call.answer("shop customer.by_phone", people("shop", "[]"));
    assert_eq!(call.asks(), ["shop customer.get customer_no=C7"], "no mail address is known; the points wait");
    let told = call.answer("shop customer.get", people("shop", r#"{"id": "b9", "code": "c7", "member": "M1"}"#));
    assert_eq!(
        told["customer"],
        serde_json::json!({"id": "C7", "type": "customer", "by": "customer_no", "customer_no": "C7", "name": "Li"})
    );
    assert_eq!(call.says(), "found crm7=shopb9");
    assert_eq!(call.asks(), ["shop orders customer:b9", "points loyalty member_no=M1"]);
    let own = call.answer("shop orders", facts("[]"));
    assert_eq!(own["customer"]["by"], "id");
    assert_eq!(call.states(), "crm customer Fresh, shop customer Fresh, shop orders Fresh, points loyalty Pending");
}

#[test]
fn a_system_that_answers_with_another_customer_than_the_key_says_is_not_believed() {
    let mut shop = offer("shop", &[("orders", &[])]);
    (shop.by_phone, shop.get_by) = (false, vec!["customer_no".into()]);
    let mut call = Call::of(vec![offer("crm", &[]), shop]);
    call.answer("crm", people("crm", r#"[{"id": 7, "name": "Li", "code": "C7"}]"#));
    call.answer("shop", people("shop", r#"[{"id": "b1", "code": "C1"}]"#));
    assert_eq!(call.says(), "found crm7");
    assert_eq!(call.asks(), [""; 0]);
}

#[test]
fn a_block_without_its_key_says_what_is_missing() {
    let mut points = offer("points", &[("loyalty", &["member_no", "email"])]);
    points.by_phone = false;
    let mut call = Call::of(vec![offer("crm", &[]), points]);
    call.answer("crm", people("crm", r#"[{"id": 7, "name": "Li"}]"#));
    assert_eq!(call.asks(), [""; 0]);
    let card = call.card();
    let block = &card.blocks[1];
    assert_eq!(block.state, BlockState::Absent);
    assert_eq!(block.reason.as_deref(), Some("no member_no or email is known of this customer"));
}

#[test]
fn a_later_answer_that_knows_somebody_else_makes_it_a_question_again() {
    let mut call = Call::of(vec![offer("a", &[("finance", &[])]), offer("b", &[])]);
    call.answer("a customer", people("a", r#"[{"id": 1, "name": "Li"}]"#));
    assert_eq!(call.says(), "found a1");
    call.answer("b customer", people("b", r#"[{"id": 9, "name": "Wang"}]"#));
    assert_eq!(call.says(), "ambiguous a1 b9");
    assert_eq!(call.states(), "a customer Ambiguous, a finance Ambiguous, b customer Ambiguous");
}

fn remembered(id: &str) -> Option<Own> {
    let remembered = Remembered { candidate: id.to_owned(), agent: AgentId::from("1002"), at: Wall(5) };
    Some(Own { remembered: Some(remembered), calls: Vec::new() })
}

#[test]
fn a_remembered_choice_is_used_said_and_taken_back() {
    let two = || people("a", r#"[{"id": 1, "name": "Wang Fang"}, {"id": 2, "name": "Wang Jun"}]"#);
    let mut call = Call::of(vec![offer("a", &[("finance", &[])])]);
    call.subject.own = None;
    call.answer("a", two());
    assert_eq!(call.subject.recall(&call.known).unwrap(), ["a:customer:1", "a:customer:2"]);
    assert!(matches!(call.card().answer, Answer::Pending), "nobody is shown a list that jumps a moment later");
    call.subject.own = remembered("a:customer:2");
    assert_eq!(call.subject.recall(&call.known), None);
    assert_eq!(call.says(), "found a2 a1");
    assert_eq!(call.asks(), ["a finance customer:2"]);
    let card = call.card();
    assert_eq!(card.remembered.unwrap().agent, "1002".into());
    let Answer::Found(person) = card.answer else { panic!() };
    assert_eq!(person.reasons, [Reason::Chosen { agent: "1002".into(), at: Wall(5) }]);
    // Taken back: both are there to choose from.
    call.subject.own = Some(Own::default());
    assert_eq!(call.says(), "ambiguous a1 a2");
    // A choice of this call is stronger than memory.
    call.subject.own = remembered("a:customer:2");
    call.subject.choice = Choice::Nobody;
    assert_eq!(call.says(), "absent a2 a1");
    assert!(call.card().remembered.is_none());
    // Whom the system does not know any more is not used.
    let mut call = Call::of(vec![offer("a", &[])]);
    call.answer("a", two());
    call.subject.own = remembered("a:customer:3");
    assert_eq!(call.says(), "ambiguous a1 a2");
}

#[test]
fn nobody_is_taken_for_the_caller_by_a_shared_number() {
    let mut call = Call::of(vec![offer("a", &[("finance", &[])])]);
    let site = Site { shared: HashSet::from([NUMBER.to_owned()]), shared_above: 2, owners: Owners::new() };
    call.subject.site = Arc::new(site);
    call.answer("a", people("a", r#"[{"id": 1, "name": "Li"}]"#));
    assert_eq!(call.says(), "ambiguous a1", "not even the only one");
    assert_eq!(call.asks(), [""; 0]);
    assert_eq!(call.card().shared, Some(Shared::Listed));

    let mut call = Call::of(vec![offer("a", &[])]);
    call.subject.site = Arc::new(Site { shared_above: 2, ..Site::default() });
    call.answer("a", people("a", r#"[{"id": 1, "name": "A"}, {"id": 2, "name": "B"}, {"id": 3, "name": "C"}]"#));
    call.subject.own = remembered("a:customer:3");
    assert_eq!(call.card().shared, Some(Shared::Many));
    assert_eq!(call.says(), "ambiguous a3 a1 a2", "remembered ones only stand first");
    call.subject.site = Arc::new(Site { shared_above: 3, ..Site::default() });
    assert_eq!((call.card().shared, call.says().as_str()), (None, "found a3 a1 a2"));
}

#[test]
fn the_account_is_asked_before_the_number_and_decides() {
    let mut a = offer("a", &[]);
    a.by_account = true;
    let mut call = Call::of(vec![a, offer("b", &[("orders", &[])])]);
    call.subject.account = Some("88001234".into());
    assert_eq!(call.asks(), ["a customer.by_account 88001234"], "the number waits");
    call.answer("a", people("a", r#"[{"id": 7, "name": "Li", "code": "C7"}]"#));
    assert_eq!(call.says(), "found a7");
    assert_eq!(call.card().found_by, Some(FoundBy::Account));
    // By the number, others: a colleague's phone. Only the same person's record counts.
    let b = r#"[{"id": 1, "name": "Wang"}, {"id": 2, "name": "Li L.", "code": "C7"}]"#;
    call.answer("b customer.by_phone", people("b", b));
    assert_eq!(call.says(), "found a7=b2");
    assert_eq!(call.asks(), [format!("a customer.by_phone {NUMBER}"), "b orders customer:2".to_owned()]);

    let mut a = offer("a", &[]);
    a.by_account = true;
    let mut call = Call::of(vec![a, offer("b", &[])]);
    call.subject.account = Some("88001234".into());
    call.answer("a customer.by_account", people("a", "[]"));
    assert_eq!(call.asks(), [format!("a customer.by_phone {NUMBER}"), format!("b customer.by_phone {NUMBER}")]);
    call.answer("a customer.by_phone", people("a", "[]"));
    call.answer("b customer.by_phone", people("b", r#"[{"id": 1, "name": "Wang"}]"#));
    let card = call.card();
    assert_eq!((card.found_by, card.account_unknown), (Some(FoundBy::Number), true));
}

#[test]
fn an_account_helps_where_the_number_is_withheld() {
    let mut a = offer("a", &[]);
    a.by_account = true;
    let mut call = Call::of(vec![a]);
    (call.subject.number, call.subject.refused) = (None, Some(NotAsked::Withheld));
    assert_eq!(call.asks(), [""; 0]);
    let card = call.card();
    assert!(matches!(card.answer, Answer::NotAsked(NotAsked::Withheld)));
    // The system is not away: nobody asked it.
    let told = (card.blocks[0].state, card.blocks[0].trouble);
    assert_eq!(told, (BlockState::Absent, Some(crate::words::trouble::Trouble::NotAsked)));
    call.subject.account = Some("88001234".into());
    call.answer("a customer.by_account", people("a", r#"[{"id": 7, "name": "Li"}]"#));
    assert_eq!(call.says(), "found a7");
}

#[test]
fn each_class_of_number_is_asked_for_or_says_why_not() {
    let plan = Plan::new("CN", Some("21"));
    for (number, why) in [
        ("13800138000", None),
        ("02161230001", None),
        ("4008001234", None),
        ("95588", None),
        ("+4930123456", None),
        ("sip:anonymous@anonymous.invalid", Some(NotAsked::Withheld)),
        ("1001", Some(NotAsked::Internal)),
        ("110", Some(NotAsked::Emergency)),
        ("106575123456", Some(NotAsked::BulkSms)),
        ("1064812345678", Some(NotAsked::Machine)),
        ("sip:li.na@pbx.example", Some(NotAsked::SipName)),
    ] {
        assert_eq!(refused(&plan.read(number)), why, "{number}: {:?}", plan.read(number).class);
    }
}

#[test]
fn what_ranks_is_read_from_what_the_connector_maps() {
    let text = r#"[{"id": 1, "open_tickets": "2", "open_orders": 1, "last_contact": "2026-11-22 11:44:06", "updated": "2026-11-22",
        "owner": 7, "code": " C1 "}, {"id": 2, "last_contact": "yesterday"}]"#;
    let known = people("a", text);
    let Found::Customers(list) = &known.entry.found else { panic!() };
    let signs = list[0].signs.as_ref().unwrap();
    assert_eq!((signs.tickets, signs.orders, signs.owner.as_deref()), (2, 1, Some("7")));
    assert_eq!((signs.contact, signs.updated), (Some(Wall(1_795_347_846_000)), Some(Wall(1_795_305_600_000))));
    assert_eq!(list[0].key("customer_no"), Some("C1"));
    assert_eq!(list[1].signs, None);
}
