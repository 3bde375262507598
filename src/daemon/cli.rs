//! The command line. Admins live here: every verb has `--help` with an example, and `--json` where it prints data.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// From a ringing phone to the right screen, and into the business systems for good.
#[derive(Debug, Parser)]
#[command(name = "linecard", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The daemon.
    #[command(after_help = "Example:\n  linecard run --config /etc/linecard")]
    Run(Folder),
    /// The daemon with a simulated switch and business systems, all over real sockets on loopback.
    #[command(after_help = "Example:\n  linecard demo --data ./demo-data")]
    Demo(Demo),
    /// Reads all settings and prints every problem with file, line, key, what was found, what would be right.
    #[command(
        after_help = "Examples:\n  linecard check --config /etc/linecard\n  linecard check --probe   (also asks each switch and system who we are)\n  linecard check --manager-conf   (prints the manager.conf and ari.conf lines each switch needs)"
    )]
    Check(Check),
    /// Feeds captures and prints the call records, one JSON a line; ids are the same at every run.
    #[command(
        after_help = "Examples:\n  linecard replay --feed ami=ami.txt --feed ari=ari.jsonl --agents 1001,1002 --country CN --area 21\n  linecard replay --feed sip=subscriber.jsonl --feed sip=wire.pcap --agents 1001,1002 --country CN --area 10"
    )]
    Replay(Replay),
    /// What a number is, and how it would be dialled.
    #[command(
        after_help = "Examples:\n  linecard number --json --country CN --area 10 01085551001转8012\n  linecard number --out pbx1 --config /etc/linecard 13800138000   (the digits that the switch is told to dial)\n  linecard number --table   (China's ranges, to copy rows of into china.csv)"
    )]
    Number(NumberArgs),
    /// Why a call would pop, or why one did or did not: number, trunk row, each question and its answer, the pop.
    #[command(
        after_help = "Examples:\n  linecard explain --from 13800138000 --to 4008001234   (a made-up call; the business systems are asked)\n  linecard explain --call 01KAXS2V7R8Q4H0N5T3M1B6C9D   (one that was; `linecard records list` names them)"
    )]
    Explain(Explain),
    /// The rows of trunks.yaml as a table for a spreadsheet, and back.
    #[command(subcommand)]
    Trunks(Trunks),
    /// Connector files: what is there, their own examples, one live operation.
    #[command(subcommand)]
    Connector(Connector),
    /// The last failing requests of a business system, masked, to hand to its vendor: nobody's data, no secret, with timings.
    #[command(
        after_help = "Examples:\n  linecard evidence crm --config /etc/linecard\n  linecard evidence crm --json > crm.jsonl"
    )]
    Evidence(Evidence),
    /// The numbers that a business system holds.
    #[command(subcommand)]
    Numbers(Numbers),
    /// What waits to be delivered, what failed and why.
    #[command(subcommand)]
    Outbox(Outbox),
    /// Flows: what is under way, what waits for a person.
    #[command(subcommand)]
    Flows(Flows),
    /// Call records that were written.
    #[command(subcommand)]
    Records(Records),
    /// What is held of one person: shown, or erased.
    #[command(subcommand)]
    People(People),
    /// What our records, the switches' own and the business systems tell differently.
    #[command(subcommand)]
    Reconcile(Reconcile),
    /// What the calls of a time come to: service level, handling time, FCR and more, each with its definition (docs/kpis.md).
    #[command(
        after_help = "Examples:\n  linecard kpis                                                        (today)\n  linecard kpis --from 2026-11-01 --to 2026-11-08 --by queue          (a week: the 8th is not in it)\n  linecard kpis --from 2026-11-08 --to 2026-11-15 --against 2026-11-01..2026-11-08\n  linecard kpis --from 2026-11-01 --to 2026-12-01 --by day,agent --csv > november.csv"
    )]
    Kpis(Kpis),
    /// What is told of calls to other systems as they happen (webhooks.yaml).
    #[command(subcommand)]
    Webhook(Webhook),
    /// Who sits where.
    #[command(subcommand)]
    Agents(Agents),
    /// Who did what, newest first: verbs on calls, seats, choices, what was given up.
    #[command(
        after_help = "Examples:\n  linecard audit --who 1001\n  linecard audit --what call.listen --json\n  linecard audit --about 01KAXS2V7R8Q4H0N5T3M1B6C9D   (all that was done about one call)"
    )]
    Audit(Audit),
    /// SIP messages in files.
    #[command(subcommand)]
    Sip(Sip),
    /// JSON Schemas of the settings files, so that an editor completes keys, shows what they mean and underlines mistakes.
    #[command(
        after_help = "Examples:\n  linecard schema                                (which there are)\n  linecard schema connector > connector.json\n  linecard schema --into /etc/linecard/schemas   (where the first line of the ready files looks for them)"
    )]
    Schema(Schema),
    /// A token for tests and small sites (needs agents.tokens.hs256).
    #[command(after_help = "Example:\n  linecard token --agent 1001 --ttl 8h")]
    Token(Token),
    /// People who may sign in at the console (accounts.yaml).
    #[command(subcommand)]
    Account(Account),
}

#[derive(Debug, Args)]
pub struct Folder {
    /// The settings folder.
    #[arg(long, value_name = "DIR", env = "LINECARD_CONFIG", default_value = "/etc/linecard")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Kpis {
    #[command(flatten)]
    pub folder: Folder,
    /// The first day, or a moment (RFC 3339). Default: today.
    #[arg(long)]
    pub from: Option<String>,
    /// The day or moment behind the last. Default: one day.
    #[arg(long)]
    pub to: Option<String>,
    /// Up to three of day, hour, queue, line, agent, team, tenant, brand.
    #[arg(long)]
    pub by: Option<String>,
    /// Compare with an earlier time.
    #[arg(long, value_name = "FROM..TO")]
    pub against: Option<String>,
    /// Only calls of these queues; the same for the others.
    #[arg(long)]
    pub queue: Option<String>,
    #[arg(long)]
    pub line: Option<String>,
    #[arg(long)]
    pub agent: Option<String>,
    #[arg(long)]
    pub team: Option<String>,
    #[arg(long)]
    pub tenant: Option<String>,
    #[arg(long)]
    pub brand: Option<String>,
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// For a spreadsheet: a row a figure.
    #[arg(long)]
    pub csv: bool,
}

#[derive(Debug, Args)]
pub struct Schema {
    /// connector, flow, switch, linecard, agents, trunks, rules, webhooks, alerts, accounts
    pub name: Option<String>,
    /// Write all of them into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    pub into: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Evidence {
    /// The connector, as its file is named.
    pub connector: String,
    #[command(flatten)]
    pub folder: Folder,
    /// One request a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Keep the store and settings here instead of a temporary folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// No call comes by itself: each line of the standard input is one (`call answered 13800138000 1001`), or lets something down
    /// (`orders slow 2000`, `desk dead`, `desk well`, `switch cut`, `switch restart 5000`).
    #[arg(long)]
    pub by_hand: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub folder: Folder,
    /// Also ask each switch and business system who we are and what we may do.
    #[arg(long)]
    pub probe: bool,
    /// Print the lines each switch needs in manager.conf and ari.conf.
    #[arg(long)]
    pub manager_conf: bool,
    /// Problems as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// KIND=FILE: ami (raw), ari (one JSON a line), esl (FreeSWITCH, raw), sip (a subscriber's log, or a pcap) or hep (packets back to back, or a pcap). Several feeds go together.
    #[arg(long = "feed", value_name = "KIND=FILE", required = true)]
    pub feeds: Vec<String>,
    /// Agents, trunks and number defaults from this settings folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["agents", "country", "area"])]
    pub config: Option<PathBuf>,
    /// Agents by number, in place of --config: agent 1001 sits at the device whose number is 1001.
    #[arg(long, value_delimiter = ',')]
    pub agents: Vec<String>,
    #[arg(long, default_value = "CN")]
    pub country: String,
    #[arg(long)]
    pub area: Option<String>,
}

#[derive(Debug, Args)]
pub struct NumberArgs {
    #[arg(long)]
    pub json: bool,
    #[arg(long, default_value = "CN")]
    pub country: String,
    #[arg(long)]
    pub area: Option<String>,
    /// Reads numbers as this switch of the settings does, and prints what it would be told to dial.
    #[arg(long, value_name = "SWITCH", conflicts_with_all = ["country", "area"])]
    pub out: Option<String>,
    /// The settings folder: its china.csv, and the switch named by --out.
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Prints the table of China's ranges that is compiled in.
    #[arg(long)]
    pub table: bool,
    #[arg(required_unless_present = "table")]
    pub input: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    pub folder: Folder,
    /// Who calls, as the switch would show it; `anonymous` is a withheld number.
    #[arg(long, value_name = "NUMBER", required_unless_present = "call", conflicts_with = "call")]
    pub from: Option<String>,
    /// The number that was dialled.
    #[arg(long, value_name = "NUMBER", requires = "from")]
    pub to: Option<String>,
    /// A place of the signalling with a dialled number, where the switch shows it: `diversion=4008001234`; also request-uri, to, history-info and
    /// p-called-party-id. May be said several times, what is believed first at first.
    #[arg(long = "place", value_name = "PLACE=NUMBER", requires = "from")]
    pub places: Vec<String>,
    /// At which switch; the first one of the settings folder where nothing is said.
    #[arg(long, value_name = "ID", requires = "from")]
    pub switch: Option<String>,
    /// Over which endpoint, for example PJSIP/trunk; the first one of the switch's file where nothing is said.
    #[arg(long, value_name = "ENDPOINT", requires = "from")]
    pub trunk: Option<String>,
    /// Whose phone rings; the first agent of agents.yaml where nothing is said.
    #[arg(long, value_name = "AGENT", requires = "from")]
    pub agent: Option<String>,
    /// What the caller keyed or said of themselves, told as the switch's file maps it (the attribute with `use: account`).
    #[arg(long, value_name = "ACCOUNT", requires = "from")]
    pub account: Option<String>,
    /// Ask no business system.
    #[arg(long, requires = "from")]
    pub offline: bool,
    /// A call that was, or is.
    #[arg(long, value_name = "CALL")]
    pub call: Option<String>,
    #[arg(long)]
    pub json: bool,
    /// Show numbers of a past call in full (they are masked otherwise).
    #[arg(long)]
    pub full: bool,
}

#[derive(Debug, Subcommand)]
pub enum Trunks {
    /// Prints the rows as CSV (UTF-8 with the mark by which Excel knows it).
    #[command(after_help = "Example:\n  linecard trunks export --config /etc/linecard > trunks.csv")]
    Export {
        #[command(flatten)]
        folder: Folder,
    },
    /// Reads a CSV (UTF-8 or GBK), checks it like `check` does, and writes trunks.yaml; the old one stays as trunks.yaml.bak.
    #[command(
        after_help = "Examples:\n  linecard trunks import trunks.csv --config /etc/linecard\n  linecard trunks import trunks.csv --stdout   (only shows what would be written)\nProblems are told as FILE:LINE:COLUMN, columns counted from 1."
    )]
    Import {
        file: PathBuf,
        #[command(flatten)]
        folder: Folder,
        /// Print the YAML and write nothing.
        #[arg(long)]
        stdout: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Connector {
    /// The connectors of the settings folder, and what each offers.
    List {
        #[command(flatten)]
        folder: Folder,
        #[arg(long)]
        json: bool,
    },
    /// What a connector file stands on, what of it was not checked, how it signs in and what it offers.
    #[command(after_help = "Example:\n  linecard connector show config/connectors/redmine.yaml")]
    Show {
        file: PathBuf,
        #[arg(long)]
        json: bool,
    },
    /// Drafts a connector file and prints it: from an answer of the system, its OpenAPI document, or a 3CX CRM template. Each guess says how sure it is and why;
    /// "draft: true" keeps the file out of use until you have read them.
    #[command(
        after_help = "Examples:\n  curl -H 'X-Api-Key: ...' 'https://crm.example.com/api/people?q=13800138000' > people.json\n  linecard connector new acme --sample people.json --address 'https://crm.example.com/api/people?q=13800138000' --header 'X-Api-Key: x' > acme.yaml\n  linecard connector new acme --openapi openapi.yaml > acme.yaml\n  linecard connector new acme --template acme-3cx.xml > acme.yaml\nThen:\n  linecard connector test acme.yaml; linecard connector try acme.yaml customer.by_phone number=13800138000"
    )]
    New(New),
    /// Runs the examples inside a connector file; nothing is sent anywhere.
    #[command(after_help = "Example:\n  linecard connector test config/connectors/redmine.yaml")]
    Test { file: PathBuf },
    /// Signs an administrator in at a system whose file says `grant: authorization_code`: prints the address to open in a browser, waits for the
    /// answer at the loopback or for the address that the browser ends at, and keeps the refresh token beside the store.
    #[command(
        after_help = "Example:\n  linecard connector sign-in crm --config /etc/linecard\n\nA running daemon takes the new token at its next question."
    )]
    SignIn {
        /// The connector, as its file is named.
        connector: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Files that are asked in another's place for some calls (canary:), and whether they are stopped.
    #[command(subcommand)]
    Canary(Canary),
    /// How the answers of a shadow differ from those of the file beside which it is: by operation and field, how often, and no value.
    #[command(after_help = "Example:\n  linecard connector compare crm-next --config /etc/linecard")]
    Compare {
        /// The shadow, as its file is named.
        connector: String,
        #[command(flatten)]
        folder: Folder,
        #[arg(long)]
        json: bool,
    },
    /// One live operation, and everything that happened in it: each request as it was sent, with (secret) for secrets; the answer; which rules of the file were
    /// tried and why they do not hold; what was taken of it, and what was refused. The data of your system's people is printed.
    #[command(
        after_help = "Examples:\n  linecard connector try /etc/linecard/connectors/redmine.yaml customer.by_phone number=13800138000\n  linecard connector try redmine check --config /etc/linecard   (as the daemon uses it: with the values of linecard.yaml, and the refresh token that is kept)\n  linecard connector try redmine customer.list --pages 3\n  linecard connector try redmine ticket.create title=Test text=Test target='{\"id\":\"4\"}'   (looks, shows what would be written, and sends it only with --write)\n\nExit codes: 0 answered, also with nobody; 1 not; 78 the file or the settings are wrong."
    )]
    Try(Try),
}

#[derive(Debug, Args)]
pub struct Try {
    /// A connector file; or the name of a connector of the settings folder.
    #[arg(value_name = "FILE|CONNECTOR")]
    pub connector: String,
    /// As it stands in the file: check, customer.by_phone.
    pub operation: String,
    /// key=value; what begins with { or [ is read as JSON. Writes that are told no call and key get a made-up one.
    pub inputs: Vec<String>,
    /// Send also what changes something at the system.
    #[arg(long)]
    pub write: bool,
    /// Of an operation that comes in pages: walk through so many of them.
    #[arg(long, value_name = "N")]
    pub pages: Option<u32>,
    /// All headers, whole bodies, all records.
    #[arg(long)]
    pub full: bool,
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub folder: Folder,
}

#[derive(Debug, Subcommand)]
pub enum Canary {
    /// All of them.
    List {
        #[command(flatten)]
        folder: Folder,
        #[arg(long)]
        json: bool,
    },
    /// From now on no new call is asked by it; a running daemon hears it within two seconds. Calls that are up go on as they began.
    #[command(after_help = "Example:\n  linecard connector canary stop crm-next --why \"the vendor called\"")]
    Stop {
        connector: String,
        #[arg(long)]
        why: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// It goes on, with fresh figures.
    #[command(after_help = "Example:\n  linecard connector canary resume crm-next")]
    Resume {
        connector: String,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("from").required(true).args(["sample", "openapi", "template"])))]
pub struct New {
    /// The connector's id: the name of its file without .yaml.
    pub id: String,
    /// What the system answered to "who has this number": a JSON file. Its people do not get into the draft.
    #[arg(long, value_name = "FILE")]
    pub sample: Option<PathBuf>,
    /// With --sample: the whole address that was asked. The caller's number in it is found and a key in it left out.
    #[arg(long, value_name = "URL", requires = "sample")]
    pub address: Option<String>,
    /// With --sample: a header of that request, "Name: value". What it holds of secrets is not repeated.
    #[arg(long = "header", value_name = "HEADER", requires = "sample")]
    pub headers: Vec<String>,
    /// An OpenAPI 3 or Swagger 2.0 document, JSON or YAML.
    #[arg(long, value_name = "FILE")]
    pub openapi: Option<PathBuf>,
    /// A 3CX CRM template (XML).
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// How numbers stored without a country are read (ISO 3166 alpha-2).
    #[arg(long, default_value = "CN")]
    pub country: String,
    /// The area of numbers stored without one.
    #[arg(long)]
    pub area: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Numbers {
    /// Reads all customers of a system and prints, as CSV, the numbers that are wrong there: those of which nothing can be made, those
    /// that several customers share, extensions, full-width digits. These are people's numbers: they go where you send them, nowhere else.
    #[command(
        after_help = "Examples:\n  linecard numbers audit redmine --config /etc/linecard > audit.csv\n  linecard numbers audit redmine --excel > audit.csv   (a byte order mark and cells that Excel neither runs nor rounds)\n  linecard numbers audit redmine --json | jq 'select(.problem == \"shared\")'\n\nExit codes: 0 the system was read whole, whatever was found; 1 it could not be; 2 wrong usage; 78 wrong settings."
    )]
    Audit {
        /// The connector, as its file is named.
        connector: String,
        #[command(flatten)]
        folder: Folder,
        /// One JSON object a line.
        #[arg(long, conflicts_with = "excel")]
        json: bool,
        /// CSV that spreadsheets open as it is.
        #[arg(long)]
        excel: bool,
    },
}

#[derive(Debug, Args)]
pub struct StoreFile {
    #[command(flatten)]
    pub folder: Folder,
    /// Data as JSON.
    #[arg(long)]
    pub json: bool,
    /// Show numbers and names in full (they are masked otherwise).
    #[arg(long)]
    pub full: bool,
}

#[derive(Debug, Subcommand)]
pub enum Outbox {
    /// All that is not done, oldest first.
    List {
        #[command(flatten)]
        store: StoreFile,
        /// Also what is done.
        #[arg(long)]
        all: bool,
    },
    /// One effect with its attempts and the reason it waits.
    Show {
        key: String,
        #[command(flatten)]
        store: StoreFile,
    },
    /// Tries it again now.
    Retry {
        key: String,
        #[command(flatten)]
        store: StoreFile,
    },
    /// Gives it up, with a reason for the audit.
    #[command(after_help = "Example:\n  linecard outbox drop 6f0c... --why \"ticket was made by hand\"")]
    Drop {
        key: String,
        #[arg(long)]
        why: String,
        #[command(flatten)]
        store: StoreFile,
    },
}

#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Events of webhooks.yaml that are not delivered yet, oldest first.
    #[command(
        after_help = "Examples:\n  linecard webhook list\n  linecard webhook list --all --json   (also what was delivered)\n`linecard outbox retry KEY` sends one again now, `linecard outbox drop KEY` gives it up."
    )]
    List {
        #[command(flatten)]
        store: StoreFile,
        /// Also what is done.
        #[arg(long)]
        all: bool,
    },
    /// One event with its attempts, what it says and what the receiver answered.
    Show {
        key: String,
        #[command(flatten)]
        store: StoreFile,
    },
    /// Sends an event that means nothing, now, and tells what was answered.
    #[command(after_help = "Example:\n  linecard webhook ping crm --config /etc/linecard")]
    Ping {
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Subcommand)]
pub enum Flows {
    /// Those that are not over, newest first.
    #[command(after_help = "Example:\n  linecard flows list --person    (what waits for people)")]
    List {
        #[command(flatten)]
        store: StoreFile,
        /// Also those that are over.
        #[arg(long)]
        all: bool,
        /// Only those that wait for a person.
        #[arg(long)]
        person: bool,
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One flow: its steps, and its tasks with all that is needed for them.
    Show {
        /// Its id, or the beginning of it.
        flow: String,
        #[command(flatten)]
        store: StoreFile,
    },
    /// Ends it, and takes back what was done.
    Stop {
        flow: String,
        #[arg(long)]
        why: String,
        #[command(flatten)]
        store: StoreFile,
    },
    /// Something that only a person can do or know.
    #[command(subcommand)]
    Task(FlowTask),
}

#[derive(Debug, Subcommand)]
pub enum FlowTask {
    /// It is mine.
    Take(FlowTaskOf),
    /// I looked, and it was done; or I did it.
    #[command(
        after_help = "Example:\n  linecard flows task done 01KB 1 --note \"seen in the bank's list\" --result '{\"id\": \"P-7\"}'"
    )]
    Done(FlowTaskOf),
    /// I looked, and it was not done: what was done before is taken back, or it is left out.
    NotDone(FlowTaskOf),
    /// I looked, and it was not done: try it again.
    Again(FlowTaskOf),
}

#[derive(Debug, Args)]
pub struct FlowTaskOf {
    /// The flow's id, or the beginning of it.
    pub flow: String,
    /// The task's number.
    pub task: u32,
    #[arg(long)]
    pub note: Option<String>,
    /// JSON that the system gave, where later steps need it.
    #[arg(long)]
    pub result: Option<String>,
    /// Who says so.
    #[arg(long = "as", value_name = "NAME", default_value = "cli")]
    pub who: String,
    #[command(flatten)]
    pub store: StoreFile,
}

/// Of whom.
#[derive(Debug, Args)]
pub struct Held {
    /// The person's number, as it is dialled here or with + and the country code.
    pub number: String,
    #[command(flatten)]
    pub folder: Folder,
    /// Default: the tenant `default`.
    #[arg(long)]
    pub tenant: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum People {
    /// Everything that is held of this number, as JSON: records, notes, what was sent to business systems, traces, callbacks, flows.
    #[command(after_help = "Example:\n  linecard people export 13800138000 > person.json")]
    Export {
        #[command(flatten)]
        of: Held,
    },
    /// Erases it: records keep times, agents and outcomes and lose the person; the rest goes. Recordings in folders are removed.
    ///
    /// Refused while a call of the number is up or ended less than a quarter of an hour ago, while something of it waits in the outbox, and while a flow or a callback of it is open.
    #[command(after_help = "Example:\n  linecard people erase 13800138000 --why \"request 2026-118\"")]
    Erase {
        #[command(flatten)]
        of: Held,
        /// For the audit; the number is not in it.
        #[arg(long)]
        why: String,
        /// Drop what of the person's calls waits in the outbox.
        #[arg(long)]
        drop_waiting: bool,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Reconcile {
    /// Compares one day now, as the daemon does each night.
    #[command(
        after_help = "Examples:\n  linecard reconcile run\n  linecard reconcile run --day 2026-11-25 --no-systems"
    )]
    Run {
        #[command(flatten)]
        folder: Folder,
        /// YYYY-MM-DD in the zone of `reconcile.zone`. Default: yesterday.
        #[arg(long)]
        day: Option<String>,
        /// The last so many hours, in place of a day.
        #[arg(long, conflicts_with = "day")]
        hours: Option<u32>,
        /// Do not ask the business systems.
        #[arg(long)]
        no_systems: bool,
        #[arg(long)]
        json: bool,
    },
    /// What differs and was neither mended nor accepted, oldest first.
    List {
        #[command(flatten)]
        folder: Folder,
        /// Also what was mended, accepted, or is gone by itself.
        #[arg(long)]
        all: bool,
        #[arg(long)]
        json: bool,
    },
    /// Mends one: a call that only the switch has is written down, what a system does not have is written once more.
    Repair {
        /// From `linecard reconcile list`, or the beginning of it.
        id: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Leaves one as it is, with a reason for the audit.
    Accept {
        id: String,
        #[arg(long)]
        why: String,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Subcommand)]
pub enum Records {
    /// The newest records.
    List {
        #[command(flatten)]
        store: StoreFile,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// The calls that are up, instead: their ids, for `linecard explain --call`.
        #[arg(long)]
        open: bool,
    },
    /// One record by its call id.
    Show {
        call: String,
        #[command(flatten)]
        store: StoreFile,
    },
}

#[derive(Debug, Subcommand)]
pub enum Agents {
    /// The seats that are taken now, and since when.
    #[command(after_help = "Example:\n  linecard agents seats --all --json")]
    Seats {
        #[command(flatten)]
        folder: Folder,
        /// Also those that were left, newest first.
        #[arg(long)]
        all: bool,
        #[arg(long)]
        json: bool,
        #[arg(long, default_value_t = 1000)]
        limit: u32,
    },
}

#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub store: StoreFile,
    /// Only of this agent, of cli or of outbox.
    #[arg(long)]
    pub who: Option<String>,
    /// Only this word, for example call.transfer; with a * behind it, all that begin so.
    #[arg(long)]
    pub what: Option<String>,
    /// Only about this: a call's id, an effect's key, a switch and its device.
    #[arg(long)]
    pub about: Option<String>,
    #[arg(long, default_value_t = 200)]
    pub limit: u32,
}

#[derive(Debug, Subcommand)]
pub enum Sip {
    /// Whether a message would be acted on and, if not, the status that is answered and why: one JSON a line. A file is one datagram, or a
    /// dialog-info document.
    #[command(
        after_help = "Example:\n  linecard sip check message.txt\n  {\"file\":\"message.txt\",\"verdict\":\"reject\",\"status\":400,\"reason\":\"no Call-ID\"}\n\nA status of null: nothing is answered. Exit codes: 0 every file was read, whatever the verdicts; 1 one could not be."
    )]
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub folder: Folder,
    #[arg(long)]
    pub agent: String,
    /// How long it is good: 30s, 15m, 8h, 7d.
    #[arg(long, default_value = "8h")]
    pub ttl: String,
    #[arg(long, default_value = "default")]
    pub tenant: String,
    #[arg(long, value_delimiter = ',')]
    pub roles: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Adds somebody, or gives him another password or role. The password is read from standard input: one line.
    #[command(
        after_help = "Examples:\n  linecard account add lin --role admin                        (asks for the password)\n  pwgen -s 20 1 | tee /dev/tty | linecard account add wu --role auditor"
    )]
    Add {
        #[command(flatten)]
        folder: Folder,
        name: String,
        /// admin, supervisor or auditor
        #[arg(long)]
        role: String,
        /// Sees this tenant's calls alone; absent: the whole site.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Takes somebody out; whoever is signed in by that name is signed out with the next reload.
    Remove {
        #[command(flatten)]
        folder: Folder,
        name: String,
    },
    /// Who there is.
    List {
        #[command(flatten)]
        folder: Folder,
    },
}
