//! A draft from an answer that the system gave: which list in it is the customers, and which of their fields is what.

use serde_json::{Map, Value as Json, json};

use crate::numbers::{Class, Number, Plan};

use super::{
    Draft, Guess, Played,
    request::{self, SignIn},
    yaml::{Entry, Node},
};

/// How deep a list of records may lie.
const DEPTH: usize = 6;
/// Rows that are looked at.
const ROWS: usize = 50;

/// What an integrator has in hand beside the answer.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The whole address that was asked.
    pub address: Option<String>,
    pub headers: Vec<(String, String)>,
    /// ISO 3166 alpha-2, and the area of numbers written without one.
    pub country: String,
    pub area: Option<String>,
}

/// Drafts a file from an answer to "who has this number".
///
/// # Errors
/// Why nothing can be made of it; nothing of the answer is repeated.
pub fn draft(id: &str, answer: &Json, asked: &Asked) -> Result<String, String> {
    let plan = Plan::new(&asked.country, asked.area.as_deref());
    let numbers_asked = asked.address.as_deref().map(|address| request::numbers(address, &plan)).unwrap_or_default();
    let found = records(answer, &plan, &numbers_asked)
        .ok_or("no customers are in the answer: nothing in it has a name or a number")?;
    let told = match &asked.address {
        Some(address) => Some(request::asked(id, address, &found.phones(), &plan)?),
        None => None,
    };
    let (base_url, path, query, key) = match told {
        Some(asked) => ((asked.base_url, None), asked.path, asked.query, asked.sign_in),
        None => {
            let nobody = Guess::new(0, "no address was given (--address)");
            let path = Entry::new("path", Node::text("/search")).guess(nobody.clone());
            let query = Entry::new("query", Node::map([Entry::new("phone", Node::text("{{ number.national }}"))]));
            (("https://crm.example.com".to_owned(), Some(nobody)), path, Some(query), None)
        }
    };
    let mut step = vec![Entry::new("name", Node::text("search")), path];
    step.extend(query);
    let operation = found.operation(step)?;
    let auth = key.unwrap_or_else(|| SignIn::from_headers(id, &asked.headers));
    let example = found.example();
    Draft {
        head: vec![format!("Drafted from a sample answer; the customers are {}.", found.place())],
        id: id.to_owned(),
        title: id.to_owned(),
        base_url,
        auth,
        variables: Vec::new(),
        numbers: numbers(&asked.country, asked.area.as_deref()),
        operations: vec![Entry::new("customer.by_phone", operation)],
        examples: vec![Played {
            name: "a caller is found".to_owned(),
            operation: "customer.by_phone",
            inputs: json!({"number": NUMBER}),
            answer: example,
        }],
    }
    .text()
}

/// How numbers without country or area are read.
pub(crate) fn numbers(country: &str, area: Option<&str>) -> Entry {
    let mut entries = vec![Entry::new("country", Node::text(country))];
    entries.extend(area.map(|area| Entry::new("area", Node::text(area))));
    Entry::new("numbers", Node::Map(entries))
        .guess(Guess::new(50, "how are numbers stored without country or area to be read?"))
}

/// A mobile number that no example of ours gives to anybody real.
const NUMBER: &str = "13800138000";

/// The records of an answer.
pub(crate) struct Found<'a> {
    /// Keys down to them.
    way: Vec<String>,
    /// One record and no list of them.
    single: bool,
    rows: Vec<&'a Map<String, Json>>,
    pub fields: Vec<Field>,
}

/// One field of the file: its name there, how it is taken from a record, and how sure that is.
pub(crate) struct Field {
    pub name: &'static str,
    /// Keys down from the record; in a list the first of it.
    way: Vec<Step>,
    wrap: &'static str,
    guess: Guess,
    /// A second way that is joined to the first by a space: a family name.
    more: Option<Vec<Step>>,
}

#[derive(Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    First,
}

/// The records in an answer: of all lists and objects the one whose fields say most. `asked` is what may be the number that was asked for.
pub(crate) fn records<'a>(answer: &'a Json, plan: &Plan, asked: &[Number]) -> Option<Found<'a>> {
    let mut best: Option<(u32, Found)> = None;
    look(answer, &mut Vec::new(), (plan, asked), &mut best);
    best.map(|(_, found)| found)
}

fn look<'a>(here: &'a Json, way: &mut Vec<String>, by: (&Plan, &[Number]), best: &mut Option<(u32, Found<'a>)>) {
    if way.len() > DEPTH {
        return;
    }
    let rows: Vec<&Map<String, Json>> = match here {
        Json::Array(items) => items.iter().filter_map(Json::as_object).take(ROWS).collect(),
        Json::Object(map) => vec![map],
        _ => return,
    };
    if !rows.is_empty() {
        let fields = fields(&rows, by);
        let single = here.is_object();
        let has = |name: &str| fields.iter().any(|f| f.name == name);
        let score = fields.iter().map(|f| u32::from(f.guess.percent)).sum::<u32>() + if single { 0 } else { 40 };
        if (has("name") || has("mobile") || has("phone") && !by.1.is_empty())
            && best.as_ref().is_none_or(|(known, _)| score > *known)
        {
            *best = Some((score, Found { way: way.clone(), single, rows, fields }));
        }
    }
    if let Json::Object(map) = here {
        for (key, value) in map {
            way.push(key.clone());
            look(value, way, by, best);
            way.pop();
        }
    }
}

/// What keys are called, in the order in which they are believed.
const IDS: [&str; 10] =
    ["id", "_id", "uuid", "guid", "contactid", "customerid", "partnerid", "customercode", "code", "编号"];
const NAMES: [&str; 12] = [
    "name",
    "displayname",
    "fullname",
    "contactname",
    "customername",
    "realname",
    "客户名称",
    "姓名",
    "名称",
    "nickname",
    "title",
    "subject",
];
const MOBILES: [&str; 7] = ["mobile", "mobilephone", "phonemobile", "cell", "cellphone", "手机", "手机号"];
const PHONES: [&str; 8] = ["phone", "telephone", "tel", "phonenumber", "number", "telephone1", "phonework", "电话"];
const COMPANIES: [&str; 7] = ["company", "companyname", "organization", "organisation", "accountname", "公司", "单位"];
const LEVELS: [&str; 6] = ["level", "viplevel", "tier", "grade", "vip", "等级"];
const BALANCES: [&str; 5] = ["balance", "credit", "amountdue", "余额", "欠款"];
const UPDATED: [&str; 6] = ["updated", "updatedat", "modified", "modifiedat", "updatedon", "writedate"];
const OWNERS: [&str; 5] = ["owner", "ownerid", "assignedto", "salesperson", "负责人"];

/// How keys end that tell one record from another.
const NUMBERED: [&str; 10] = ["No", "_no", "-no", "Code", "_code", "Ref", "_ref", "Key", "_key", "编号"];
/// How sure it is that a field which holds the number that was asked for is that number's.
const ASKED: u8 = 92;

/// A key without what spelling differs in.
fn plain(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn among(key: &str, names: &[&str]) -> Option<u8> {
    let at = names.iter().position(|name| *name == plain(key))?;
    Some(95_u8.saturating_sub(u8::try_from(at).unwrap_or(10).saturating_mul(2)))
}

fn fields(rows: &[&Map<String, Json>], (plan, asked): (&Plan, &[Number])) -> Vec<Field> {
    let Some(first) = rows.first() else { return Vec::new() };
    let leaves = leaves(first);
    let values = |way: &[Step]| -> Vec<&Json> { rows.iter().filter_map(|row| at(row, way)).collect() };
    let mut fields: Vec<Field> = Vec::new();
    let mut put = |name: &'static str, way: &[Step], wrap: &'static str, guess: Guess| match fields
        .iter_mut()
        .find(|f| f.name == name)
    {
        Some(known) if known.guess.percent >= guess.percent => {}
        Some(known) => *known = Field { name, way: way.to_vec(), wrap, guess, more: None },
        None => fields.push(Field { name, way: way.to_vec(), wrap, guess, more: None }),
    };
    let called = |key: &str| format!("it is called \"{key}\"");
    let mut given: Option<Vec<Step>> = None;
    let mut family: Option<Vec<Step>> = None;
    for way in &leaves {
        let Some(Step::Key(key)) = way.iter().rev().find(|step| matches!(step, Step::Key(_))) else { continue };
        let values = values(way);
        let texts: Vec<&str> = values.iter().filter_map(|v| v.as_str()).filter(|t| !t.is_empty()).collect();
        let direct = way.len() == 1;
        let number = |text: &str| {
            let digits = text.chars().filter(char::is_ascii_digit).count();
            digits >= 7 && request::callable(plan.read(text).class)
        };
        let dialled = texts.iter().filter(|t| number(t)).count();
        let inside =
            way.iter().filter_map(|s| if let Step::Key(k) = s { Some(plain(k)) } else { None }).collect::<String>();
        let looks_dialled = !texts.is_empty() && dialled * 2 >= texts.len();
        let unique = values.iter().enumerate().all(|(n, v)| !values.iter().skip(n + 1).any(|other| other == v));
        if direct
            && unique
            && let Some(percent) = among(key, &IDS)
        {
            put("id", way, " | string", Guess::new(percent, format!("{}, and no two records share one", called(key))));
        } else if direct && unique && plain(key).ends_with("id") {
            put("id", way, " | string", Guess::new(50, format!("{}, and no two records share one", called(key))));
        } else if direct && unique && !looks_dialled && NUMBERED.iter().any(|end| key.ends_with(end)) {
            put("id", way, " | string", Guess::new(40, format!("{}, and no two records share one", called(key))));
        }
        // A field of a person's own number is known by what was asked, whatever it is called.
        let is_asked = texts.iter().any(|text| asked.iter().any(|number| plan.read(text).same_line(number)));
        let mobile = texts.iter().all(|text| plan.read(text).class == Class::Mobile);
        let of_its_kind = if mobile { "mobile" } else { "phone" };
        if looks_dialled && !inside.contains("fax") && !inside.contains("传真") {
            let hinted =
                among(key, &MOBILES).map(|p| ("mobile", p)).or_else(|| among(key, &PHONES).map(|p| ("phone", p)));
            match hinted {
                Some((name, percent)) => {
                    put(name, way, "", Guess::new(percent, format!("{} and holds numbers", called(key))))
                }
                None if is_asked => {
                    put(of_its_kind, way, "", Guess::new(ASKED, "it holds the number that was asked for"));
                }
                None if inside.contains("phone") || inside.contains("mobile") || inside.contains("tel") => {
                    put("phone", way, "", Guess::new(75, "it stands below a word for phones and holds numbers"));
                }
                None if !key.to_ascii_lowercase().ends_with("id") && !inside.contains("date") => {
                    put(of_its_kind, way, "", Guess::new(30, "its values look like numbers"));
                }
                None => {}
            }
        } else if texts.is_empty() && values.iter().all(|v| v.is_null() || v.as_str() == Some("")) {
            let hinted =
                among(key, &MOBILES).map(|p| ("mobile", p)).or_else(|| among(key, &PHONES).map(|p| ("phone", p)));
            if let Some((name, percent)) = hinted {
                put(name, way, "", Guess::new(percent / 2, format!("{}; the sample has no value", called(key))));
            }
        }
        if !texts.is_empty() && texts.iter().all(|t| t.contains('@') && !t.contains(' ')) {
            put("email", way, "", Guess::new(90, "its values are addresses of mail"));
        }
        if !direct {
            if way.len() == 2
                && plain(key) == "name"
                && let Some(Step::Key(above)) = way.first()
                && among(above, &COMPANIES).is_some()
            {
                put("company", way, "", Guess::new(75, format!("the name below \"{above}\"")));
            }
            continue;
        }
        match plain(key).as_str() {
            "firstname" | "givenname" => given = Some(way.clone()),
            "lastname" | "familyname" | "surname" => family = Some(way.clone()),
            _ => {}
        }
        for (name, names, wrap) in [
            ("name", &NAMES[..], ""),
            ("company", &COMPANIES, ""),
            ("level", &LEVELS, ""),
            ("updated", &UPDATED, ""),
            ("owner", &OWNERS, " | string"),
        ] {
            if let Some(percent) = among(key, names)
                && (!texts.is_empty() || name == "level" || name == "owner")
            {
                put(name, way, wrap, Guess::new(percent.saturating_sub(5), called(key)));
            }
        }
        if let Some(percent) = among(key, &BALANCES)
            && values.iter().any(|v| v.is_number() || v.as_str().is_some_and(|t| t.trim().parse::<f64>().is_ok()))
        {
            put(
                "balance",
                way,
                " | money",
                Guess::new(percent.saturating_sub(20), format!("{} and holds amounts", called(key))),
            );
        }
        if !texts.is_empty()
            && texts.iter().all(|t| t.starts_with("https://") || t.starts_with("http://"))
            && plain(key).contains("url")
        {
            put(
                "url",
                way,
                "",
                Guess::new(60, format!("{} and holds web addresses: is it the customer's page?", called(key))),
            );
        }
    }
    if let Some(given) = given
        && !fields.iter().any(|f| f.name == "name" && f.guess.percent > 85)
    {
        fields.retain(|f| f.name != "name");
        let guess = Guess::new(85, "the given name and the family name");
        fields.push(Field { name: "name", way: given, wrap: "", guess, more: family });
    }
    let order = ["id", "name", "company", "mobile", "phone", "email", "level", "balance", "owner", "updated", "url"];
    fields.sort_by_key(|f| order.iter().position(|name| *name == f.name));
    fields
}

/// The ways to all scalars of a record: its own, those of objects below it, and the first of lists below it.
fn leaves(row: &Map<String, Json>) -> Vec<Vec<Step>> {
    fn down(value: &Json, way: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
        match value {
            Json::Object(map) if way.len() < 4 => {
                for (key, value) in map {
                    way.push(Step::Key(key.clone()));
                    down(value, way, out);
                    way.pop();
                }
            }
            Json::Array(items) if way.len() < 3 => {
                if let Some(first) = items.first() {
                    way.push(Step::First);
                    down(first, way, out);
                    way.pop();
                }
            }
            Json::Object(_) | Json::Array(_) => {}
            _ => out.push(way.clone()),
        }
    }
    let (mut out, mut way) = (Vec::new(), Vec::new());
    down(&Json::Object(row.clone()), &mut way, &mut out);
    out
}

fn at<'a>(row: &'a Map<String, Json>, way: &[Step]) -> Option<&'a Json> {
    let (Step::Key(key), rest) = way.split_first()? else { return None };
    rest.iter().try_fold(row.get(key)?, |here, step| match step {
        Step::Key(key) => here.get(key),
        Step::First => here.get(0),
    })
}

/// `record.a['b c']`, or with `| first` where a list is on the way.
fn expression(root: &str, way: &[Step]) -> String {
    way.iter().fold(root.to_owned(), |text, step| match step {
        Step::Key(key) => format!("{text}{}", below(key)),
        Step::First => format!("({text} | first)"),
    })
}

/// How an expression goes one key down.
pub(crate) fn below(key: &str) -> String {
    let word = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        // `body.items` would be a method in some languages; here it is a key, but the reader should not have to know.
        && !["items", "keys", "values"].contains(&key);
    if word { format!(".{key}") } else { format!("['{}']", key.replace('\\', "\\\\").replace('\'', "\\'")) }
}

impl Found<'_> {
    /// The numbers in the records, as written.
    pub fn phones(&self) -> Vec<String> {
        let ways = self.fields.iter().filter(|f| PHONE_FIELDS.contains(&f.name));
        let texts = ways.flat_map(|f| self.rows.iter().filter_map(|row| at(row, &f.way)).filter_map(Json::as_str));
        texts.map(str::to_owned).collect()
    }

    /// Where they are, for people.
    pub fn place(&self) -> String {
        let way = self.way.iter().fold("body".to_owned(), |text, key| format!("{text}{}", below(key)));
        if self.single { format!("the one record at {way}") } else { format!("the list at {way}") }
    }

    /// `customer.by_phone`, asked by this step.
    ///
    /// # Errors
    /// The records have no number by which they could be compared.
    pub fn operation(&self, mut step: Vec<Entry>) -> Result<Node, String> {
        let way = self.way.iter().fold("body".to_owned(), |text, key| format!("{text}{}", below(key)));
        let good = if self.single { format!("{way} is mapping") } else { format!("{way} is sequence") };
        let rule = |entries: Vec<Entry>| Node::Map(entries);
        let statuses = |list: &str| Entry::new("status", Node::plain(list));
        let outcome = vec![
            rule(vec![statuses("[200]"), Entry::new("when", Node::text(&good)), Entry::new("is", Node::text("ok"))]),
            rule(vec![
                statuses("[401, 403]"),
                Entry::new("is", Node::text("denied")),
                Entry::new("reason", Node::text("the system refuses us")),
            ]),
        ];
        step.push(Entry::new("outcome", Node::List(outcome)));
        let records = if self.single { format!("[{way}]") } else { way };
        step.push(Entry::new("records", Node::text(&records)));
        let mut fields = Vec::new();
        if !self.fields.iter().any(|f| f.name == "id") {
            let guess = Guess::new(0, "nothing looks like an id: what else tells two customers apart?");
            let way = self.fields.first().map(|f| expression("record", &f.way)).unwrap_or_default();
            fields.push(Entry::new("id", Node::text(&format!("{way} | string"))).guess(guess));
        }
        for field in &self.fields {
            fields.push(Entry::new(field.name, Node::text(&field.text(&self.rows))).guess(field.guess.clone()));
        }
        let phones: Vec<Entry> = self
            .fields
            .iter()
            .filter(|f| PHONE_FIELDS.contains(&f.name))
            .map(|f| Entry::new(f.name, Node::text(f.name)))
            .collect();
        if phones.is_empty() {
            return Err(
                "no field of the answer holds phone numbers, so nobody could be compared with a caller".to_owned()
            );
        }
        Ok(Node::map([
            Entry::new("title", Node::text("Customer")),
            Entry::new("steps", Node::List(vec![Node::Map(step)])),
            Entry::new("fields", Node::Map(fields)),
            Entry::new("phones", Node::Map(phones)),
        ]))
    }

    /// An answer of the same shape with one made-up customer, of the fields that are mapped.
    pub fn example(&self) -> Json {
        let mut record = Json::Object(Map::new());
        for field in &self.fields {
            let sample = self.rows.iter().find_map(|row| at(row, &field.way).filter(|v| !v.is_null()));
            put(&mut record, &field.way, made_up(field.name, sample));
            if let Some(more) = &field.more {
                put(&mut record, more, json!("Example"));
            }
        }
        let inner = if self.single { record } else { json!([record]) };
        self.way.iter().rev().fold(inner, |inside, key| Json::Object(Map::from_iter([(key.clone(), inside)])))
    }
}

const PHONE_FIELDS: [&str; 2] = ["mobile", "phone"];

impl Field {
    fn text(&self, rows: &[&Map<String, Json>]) -> String {
        let one = |way: &[Step]| {
            let everywhere = rows.iter().all(|row| at(row, way).is_some());
            let text = expression("record", way);
            // What is not in every record of the sample may be missing in others.
            if everywhere { text } else { format!("{text} | default(none)") }
        };
        match &self.more {
            Some(family) => format!("(({}) or '') ~ ' ' ~ (({}) or '')", one(&self.way), one(family)),
            None => format!("{}{}", one(&self.way), self.wrap),
        }
    }
}

fn made_up(field: &str, sample: Option<&Json>) -> Json {
    let is_number = sample.is_some_and(Json::is_number);
    match field {
        "id" | "owner" if is_number => json!(7),
        "id" | "owner" => json!("7"),
        "mobile" | "phone" => json!(NUMBER),
        "email" => json!("someone@example.com"),
        "balance" if is_number => json!(100),
        "balance" => json!("100.00"),
        "updated" if is_number => json!(1_767_225_600),
        "updated" => json!("2026-01-01T00:00:00Z"),
        "url" => json!("https://crm.example.com/7"),
        "level" if is_number => json!(1),
        "level" if sample.is_some_and(Json::is_boolean) => json!(true),
        _ => json!("Example"),
    }
}

fn put(root: &mut Json, way: &[Step], value: Json) {
    let Some((step, rest)) = way.split_first() else {
        *root = value;
        return;
    };
    match step {
        Step::Key(key) => {
            if !root.is_object() {
                *root = Json::Object(Map::new());
            }
            if let Json::Object(map) = root {
                put(map.entry(key.clone()).or_insert(Json::Null), rest, value);
            }
        }
        Step::First => {
            if !root.is_array() {
                *root = json!([null]);
            }
            if let Some(first) = root.get_mut(0) {
                put(first, rest, value);
            }
        }
    }
}
