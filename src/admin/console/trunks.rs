//! Trunk mappings: the table, whether another would be right and what would change in the file, a call to try it with, applied if the file is still the one it was made
//! from, and taken back. The YAML file stays the truth: it is written whole or not at all, its remarks and order are kept, and a change that came by git is never
//! written over.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Console, Done, MadeUp, Played,
    api::{self, Ask, Doorkeeper, Nothing, Trouble},
    whole_site,
};
use crate::{
    access::{Right, Session},
    files::Problem,
    live::{keep_file, now},
    numbers::trunks::{
        self,
        edit::{self, Wanted},
        sheet::{self, COLUMNS, Cells},
        unmapped,
    },
    store::Called,
    words::{
        Wall,
        refusal::{Refusal, code},
    },
};

/// Versions that are kept; the oldest goes.
const KEPT: usize = 200;
/// Rows at most in one table.
const MOST: usize = 50_000;

/// The table as it lies in the file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Table {
    /// Of the file's text; who applies names it.
    pub revision: String,
    /// The names of the columns, in their order.
    pub columns: Vec<&'static str>,
    /// In the order in which they count: what is in each column, as a CSV has it. What is empty is left out.
    pub rows: Vec<Cells>,
    /// Worth a look, and not wrong.
    pub notes: Vec<Problem>,
    /// What is wrong with the folder as it lies; the daemon goes on with what it read before.
    pub problems: Vec<Problem>,
    /// Numbers that were called and have no row, most called first.
    pub unmapped: Vec<unmapped::Line>,
}

fn revision(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

impl Console {
    async fn trunks_text(&self) -> Result<String, Trouble> {
        let house = self.house.clone();
        blocking(move || house.trunks()).await.map_err(|error| Trouble::unread("trunks.yaml", error))
    }

    /// Rows and notes, or all that is wrong.
    async fn fit(&self, text: &str) -> Result<Result<super::Fit, Vec<Problem>>, Trouble> {
        let (house, text) = (self.house.clone(), text.to_owned());
        let checked = tokio::task::spawn_blocking(move || house.check(&text)).await;
        checked.map_err(Trouble::ended)
    }
}

/// The rows of a text that is right by itself; none where it is not.
fn rows_of(text: &str) -> Vec<trunks::TrunkRow> {
    trunks::read(text).map_or_else(|_| Vec::new(), |read| read.value.rows)
}

pub(super) async fn shown(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Table, Trouble> {
    whole_site(&ask.who)?;
    let text = console.trunks_text().await?;
    let (rows, notes, problems) = match console.fit(&text).await? {
        Ok(fit) => (fit.rows, fit.notes, Vec::new()),
        Err(problems) => (rows_of(&text), Vec::new(), problems),
    };
    Ok(Table {
        revision: revision(&text),
        columns: columns(),
        rows: sheet::table(&rows),
        notes,
        problems,
        unmapped: console.house.unmapped(),
    })
}

/// How many calls each row took.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Calls {
    /// Of the file that the rows are in.
    pub revision: String,
    /// Over so many days.
    pub days: u32,
    /// In the rows' order; empty while the file is not right. Calls are counted by the number they were for, by the rows as they stand now.
    pub calls: Vec<u64>,
}

const DAYS: u32 = 7;
/// Counting looks into every record of these days: it is done again after this.
const COUNTED_MS: i64 = 300_000;

impl Console {
    async fn called(&self) -> Result<Arc<Vec<Called>>, Trouble> {
        let mut known = self.called.lock().await;
        let at = now().wall;
        if let Some((_, called)) = known.as_ref().filter(|(counted, _)| counted.plus_ms(COUNTED_MS) > at) {
            return Ok(called.clone());
        }
        let since = at.plus_ms(-i64::from(DAYS) * 86_400_000);
        let mut called = self.read(move |reader| reader.called(since, MOST)).await?;
        // What an edge tells, the switch behind it tells too.
        called.retain(|one| !self.edges.contains(&one.switch));
        let called = Arc::new(called);
        *known = Some((at, called.clone()));
        Ok(called)
    }
}

pub(super) async fn calls(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Calls, Trouble> {
    whole_site(&ask.who)?;
    let (text, called) = (console.trunks_text().await?, console.called().await?);
    let (house, revision) = (console.house.clone(), revision(&text));
    let shared = tokio::task::spawn_blocking(move || house.share(&text, &called)).await;
    Ok(Calls { revision, days: DAYS, calls: shared.map_err(Trouble::ended)?.unwrap_or_default() })
}

/// Without the remark, which is a spreadsheet's alone.
fn columns() -> Vec<&'static str> {
    COLUMNS.iter().copied().filter(|name| *name != "note").collect()
}

/// A row as it should be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Which row of the revision it was, from 0; absent: it is new.
    #[serde(default)]
    pub was: Option<usize>,
    /// What is in each column, as a CSV has it.
    pub cells: Cells,
}

/// A table as it should be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// Of the text that it was made from.
    pub revision: String,
    pub rows: Vec<Row>,
}

/// What would come of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Checked {
    /// Each at its row and column.
    pub problems: Vec<Fault>,
    pub notes: Vec<Fault>,
    /// Lines of the file that would change, with three around each.
    pub diff: Vec<DiffLine>,
    /// Remarks, order and spelling of what does not change would stay as they are.
    pub kept: bool,
    /// The file is another one by now: somebody changed it since it was read here.
    pub late: bool,
}

/// What is wrong, or worth a look, at a place of the table.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fault {
    /// From 0; absent: it is about another file.
    pub row: Option<usize>,
    /// Absent: the whole row.
    pub column: Option<String>,
    pub found: String,
    pub wanted: String,
    /// A word for it that stays, and what stands in its sentences: for another language.
    pub code: Option<&'static str>,
    pub values: BTreeMap<&'static str, String>,
    /// Where it is about another file.
    pub file: Option<String>,
}

/// One line of a comparison.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffLine {
    /// `+`, `-`, a blank, or `@` where lines are left out.
    pub sign: char,
    pub text: String,
}

fn fault(problem: Problem) -> Fault {
    let Problem { file, key, found, wanted, code, values, .. } = problem;
    let place = key.strip_prefix("rows[").and_then(|rest| rest.split_once(']'));
    match place.and_then(|(row, rest)| Some((row.parse().ok()?, rest))) {
        Some((row, rest)) if file == "trunks.yaml" => {
            let column = rest.trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
            let column = (!column.is_empty()).then(|| column.to_owned());
            Fault { row: Some(row), column, found: rows_from_one(&found), wanted, code, values, file: None }
        }
        _ => {
            let found = if key.is_empty() { found } else { format!("{key}: {found}") };
            Fault { row: None, column: None, found, wanted, code: None, values: BTreeMap::new(), file: Some(file) }
        }
    }
}

/// People count rows from one.
fn rows_from_one(found: &str) -> String {
    let mut out = String::new();
    let mut left = found;
    while let Some((before, rest)) = left.split_once("rows[") {
        let Some((number, after)) = rest.split_once(']') else { break };
        let Ok(row) = number.parse::<usize>() else { break };
        out.push_str(&format!("{before}row {}", row + 1));
        left = after;
    }
    out + left
}

fn diff(old: &str, new: &str) -> Vec<DiffLine> {
    let diff = similar::TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for (n, group) in diff.grouped_ops(3).iter().enumerate() {
        if n > 0 {
            lines.push(DiffLine { sign: '@', text: String::new() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                similar::ChangeTag::Delete => '-',
                similar::ChangeTag::Insert => '+',
                similar::ChangeTag::Equal => ' ',
            };
            lines.push(DiffLine { sign, text: change.value().trim_end_matches(['\r', '\n']).to_owned() });
        }
    }
    lines
}

/// Cells without what is empty, and the row each was.
fn wanted(rows: Vec<Row>) -> Result<Vec<Wanted>, Trouble> {
    if rows.len() > MOST {
        return Err(Trouble::too_many("rows", format!("rows: {MOST} at most"), MOST));
    }
    let mut all = Vec::with_capacity(rows.len());
    for (n, Row { was, mut cells }) in rows.into_iter().enumerate() {
        cells.retain(|_, cell| {
            *cell = cell.trim().to_owned();
            !cell.is_empty()
        });
        if let Some(name) = cells.keys().find(|name| !columns().contains(&name.as_str())) {
            let known = columns().join(", ");
            let name: String = name.chars().take(40).collect();
            let why = format!("row {}: there is no column {name:?}; there are: {known}", n + 1);
            let why = Refusal::new(code::NO_COLUMN, why).with("row", n + 1).with("name", name).with("known", known);
            return Err(Trouble::Wrong(why));
        }
        if cells.is_empty() {
            let why = Refusal::new(code::EMPTY_ROW, format!("row {}: nothing is in it", n + 1));
            return Err(Trouble::Wrong(why.with("row", n + 1)));
        }
        all.push(Wanted { cells, was });
    }
    Ok(all)
}

pub(super) async fn check(console: Arc<Console>, ask: Ask<Nothing, Proposed>) -> Result<Checked, Trouble> {
    whole_site(&ask.who)?;
    let Proposed { revision: of, rows } = ask.body;
    let rows = wanted(rows)?;
    let old = console.trunks_text().await?;
    let late = revision(&old) != of;
    let written = edit::write(&old, &rows);
    let (notes, problems) = match console.fit(&written.text).await? {
        Ok(fit) => (fit.notes, Vec::new()),
        Err(problems) => (Vec::new(), problems),
    };
    let notes = notes.into_iter().filter(|note| note.file == "trunks.yaml");
    Ok(Checked {
        problems: problems.into_iter().map(fault).collect(),
        notes: notes.map(fault).collect(),
        diff: diff(&old, &written.text),
        kept: written.kept,
        late,
    })
}

/// A call, and perhaps rows that are not applied yet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub call: MadeUp,
    /// Absent: those that lie in the file.
    #[serde(default)]
    pub rows: Option<Vec<Row>>,
}

pub(super) async fn attempt(console: Arc<Console>, ask: Ask<Nothing, Attempt>) -> Result<Played, Trouble> {
    whole_site(&ask.who)?;
    let Attempt { call, rows } = ask.body;
    let text = rows.map(|rows| {
        let table: Vec<Cells> = wanted(rows)?.into_iter().map(|row| row.cells).collect();
        Ok::<_, Trouble>(sheet::yaml_of(&table))
    });
    let text = text.transpose()?;
    // Who may see customers sees them here; that he asked is in the audit, without the number.
    console.note(&ask.who, "trunks.tried", call.agent.as_deref().unwrap_or("-"), None).await?;
    let house = console.house.clone();
    let played = tokio::task::spawn_blocking(move || house.play(text.as_deref(), &call)).await;
    played.map_err(Trouble::ended)?
}

/// A table that is to count from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// Of the text that it was made from.
    pub revision: String,
    pub rows: Vec<Row>,
    /// For the history: why.
    #[serde(default)]
    pub why: Option<String>,
}

/// It counts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Applied {
    pub revision: String,
    pub rows: usize,
    /// Remarks and order stayed as they were.
    pub kept: bool,
}

pub(super) async fn apply(console: Arc<Console>, ask: Ask<Nothing, Apply>) -> Result<Applied, Trouble> {
    whole_site(&ask.who)?;
    let Apply { revision: of, rows, why } = ask.body;
    let rows = wanted(rows)?;
    change(console, ask.who, of, "trunks.applied", said(why)?, move |old| {
        let written = edit::write(old, &rows);
        let applied = Applied { revision: revision(&written.text), rows: rows.len(), kept: written.kept };
        Ok((written.text, applied))
    })
    .await
}

const LATE: &str =
    "trunks.yaml was changed by somebody else since you read it; read it again, your edits are still here";

fn said(why: Option<String>) -> Result<Option<String>, Trouble> {
    let why = why.map(|why| why.trim().to_owned()).filter(|why| !why.is_empty());
    match &why {
        Some(why) if why.chars().count() > 400 => Err(Trouble::too_long("why", 400)),
        _ => Ok(why),
    }
}

/// Makes another text of the one that lies there, if that is still the one of this revision, and puts it in its place. A task of its own: whoever closes his page in the
/// middle leaves no file behind that the daemon has not read.
async fn change<T: Send + 'static>(
    console: Arc<Console>,
    who: Arc<Session>,
    of: String,
    what: &'static str,
    why: Option<String>,
    make: impl FnOnce(&str) -> Result<(String, T), Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let work = tokio::spawn(async move {
        let _turn = console.changing.lock().await;
        let old = console.trunks_text().await?;
        if revision(&old) != of {
            return Err(Trouble::Late(Refusal::new(code::LATE, LATE)));
        }
        let (text, told) = make(&old)?;
        put(&console, &who, &old, &text, what, why).await?;
        Ok(told)
    });
    work.await.map_err(Trouble::ended)?
}

/// Checked, written, read by the running daemon, and only then in the history; else all is as it was.
async fn put(
    console: &Arc<Console>,
    who: &Session,
    old: &str,
    text: &str,
    what: &str,
    why: Option<String>,
) -> Result<(), Trouble> {
    if let Err(problems) = console.fit(text).await? {
        return Err(Trouble::Unfit(problems));
    }
    let at = now().wall;
    let version = |by: &str, at, why: Option<String>, text: &str| Version {
        at,
        who: by.to_owned(),
        why,
        revision: revision(text),
        text: text.to_owned(),
    };
    // What lay there came by another way where it is not in the history yet.
    let before = version("the file", at.plus_ms(-1), None, old);
    let (folder, house, fresh) = (console.history.clone(), console.house.clone(), text.to_owned());
    let written = move || {
        // To check a folder takes its time; somebody may have written meanwhile.
        if house.trunks()? != before.text {
            return Ok(false);
        }
        if versions(&folder).first().is_none_or(|newest| newest.revision != before.revision) {
            keep(&folder, &before)?;
        }
        house.keep(&fresh).map(|()| true)
    };
    let written = blocking(written).await.map_err(|error| {
        let says = format!(
            "trunks.yaml could not be written: {error}; nothing was changed (the daemon's account needs the right to write there: docs/console.md)"
        );
        Trouble::Away(Refusal::new(code::UNWRITTEN, says).with("why", error))
    })?;
    if !written {
        return Err(Trouble::Late(Refusal::new(code::LATE, LATE)));
    }
    if let Err(problems) = console.house.reload().await {
        // It was right a moment ago: another file of the folder has changed in between.
        let (house, old, ours) = (console.house.clone(), old.to_owned(), text.to_owned());
        let back = move || if house.trunks()? == ours { house.keep(&old) } else { Ok(()) };
        if let Err(error) = blocking(back).await {
            tracing::error!(%error, "trunks.yaml was not taken and could not be put back as it was");
        }
        return Err(Trouble::Unfit(problems));
    }
    let (folder, after) = (console.history.clone(), version(&who.who, at, why.clone(), text));
    blocking(move || keep(&folder, &after)).await.map_err(|error| {
        let says = format!("trunks.yaml was changed and counts; it is not in the history: {error}");
        Trouble::Away(Refusal::new(code::NOT_IN_HISTORY, says).with("why", error))
    })?;
    console.note(who, what, &revision(text), why).await
}

/// Work that waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A table as a spreadsheet saves it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The file's bytes in base64: UTF-8 or GBK.
    pub base64: String,
}

/// The rows of it, to be looked at and applied.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadFile {
    pub rows: Vec<ReadRow>,
}

/// A row of a table from elsewhere.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadRow {
    /// Which row of trunks.yaml it seems to be: an equal one, or the one for the same calls.
    pub was: Option<usize>,
    pub cells: Cells,
}

pub(super) async fn read_csv(console: Arc<Console>, ask: Ask<Nothing, File>) -> Result<ReadFile, Trouble> {
    whole_site(&ask.who)?;
    let bytes = STANDARD
        .decode(ask.body.base64.trim())
        .map_err(|_| Trouble::Wrong(Refusal::new(code::NO_CSV, "base64: the bytes of a CSV file in base64")))?;
    let sheet = sheet::read("table.csv", &bytes).map_err(Trouble::Unfit)?;
    let read = trunks::read(&sheet.yaml);
    let read = read.map_err(|problems| Trouble::Unfit(problems.into_iter().map(|p| sheet.place(p)).collect()))?;
    let old = rows_of(&console.trunks_text().await?);
    let rows = edit::matched(&old, sheet::table(&read.value.rows)).into_iter();
    Ok(ReadFile { rows: rows.map(|Wanted { cells, was }| ReadRow { was, cells }).collect() })
}

/// `GET /v1/trunks.csv`.
pub(super) async fn csv(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let who = match console.admit(&headers, Right::See, false) {
        Ok(who) => who,
        Err(answer) => return *answer,
    };
    let table = async {
        whole_site(&who)?;
        let text = console.trunks_text().await?;
        let read = trunks::read(&text);
        Ok::<_, Trouble>(sheet::write(&read.map_err(Trouble::Unfit)?.value.rows))
    };
    match table.await {
        Ok(csv) => api::table("trunks.csv", csv),
        Err(trouble) => trouble.into_response(),
    }
}

/// A version of trunks.yaml, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    at: Wall,
    who: String,
    why: Option<String>,
    revision: String,
    text: String,
}

/// Newest first. What cannot be read is left out: it must not hide the others.
fn versions(folder: &Path) -> Vec<Version> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    files.reverse();
    let read = |path: &std::path::PathBuf| serde_json::from_str(&fs::read_to_string(path).ok()?).ok();
    files.iter().filter_map(read).collect()
}

fn keep(folder: &Path, version: &Version) -> io::Result<()> {
    let file = folder.join(format!("trunks-{:015}-{}.json", version.at.0, version.revision));
    keep_file(&file, &serde_json::to_string(version)?)?;
    let mut files: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let more = files.len().saturating_sub(KEPT);
    files.iter().take(more).try_for_each(fs::remove_file)
}

/// One version in the list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionLine {
    pub revision: String,
    pub at: Wall,
    /// `the file`: it was found there, and came by another way.
    pub who: String,
    pub why: Option<String>,
    /// The one that lies there now.
    pub now: bool,
}

pub(super) async fn history(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Vec<VersionLine>, Trouble> {
    whole_site(&ask.who)?;
    let current = revision(&console.trunks_text().await?);
    let folder = console.history.clone();
    let all = tokio::task::spawn_blocking(move || versions(&folder)).await.unwrap_or_default().into_iter();
    let mut found = false;
    let lines = all.map(|Version { at, who, why, revision, .. }| {
        let now = !found && revision == current;
        found |= now;
        VersionLine { revision, at, who, why, now }
    });
    Ok(lines.collect())
}

async fn kept(console: &Console, of: &str) -> Result<Version, Trouble> {
    let (folder, of) = (console.history.clone(), of.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        versions(&folder).into_iter().find(|version| version.revision == of).ok_or(of)
    });
    found.await.map_err(Trouble::ended)?.map_err(|of| {
        let of: String = of.chars().take(40).collect();
        let why = Refusal::new(code::NO_VERSION, format!("no version {of} is kept; the newest {KEPT} are"));
        Trouble::Missing(why.with("revision", of).with("most", KEPT))
    })
}

/// One version, beside what lies there now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionShown {
    pub revision: String,
    pub at: Wall,
    pub who: String,
    pub why: Option<String>,
    pub text: String,
    /// What putting it back would change.
    pub diff: Vec<DiffLine>,
}

pub(super) async fn version(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<VersionShown, Trouble> {
    whole_site(&ask.who)?;
    let Version { at, who, why, revision, text } = kept(&console, ask.place("revision")).await?;
    let now = console.trunks_text().await?;
    let diff = diff(&now, &text);
    Ok(VersionShown { revision, at, who, why, text, diff })
}

/// Which version is to count again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// The one to put back.
    pub to: String,
    /// The one that lies there, as it was seen.
    pub revision: String,
    #[serde(default)]
    pub why: Option<String>,
}

pub(super) async fn roll_back(console: Arc<Console>, ask: Ask<Nothing, RollBack>) -> Result<Done, Trouble> {
    whole_site(&ask.who)?;
    let RollBack { to, revision: of, why } = ask.body;
    let version = kept(&console, &to).await?;
    if version.revision == of {
        let says = "this version is the one that lies there";
        return Err(Trouble::Late(Refusal::new(code::IS_CURRENT, says)));
    }
    let done = Done { done: format!("trunks.yaml is as it was: version {to}") };
    change(console, ask.who, of, "trunks.rolled-back", said(why)?, move |_| Ok((version.text, done))).await
}

/// Which time it was applied, where a version was applied more than once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The moment that the audit has; absent: the last time.
    pub at: Option<Wall>,
}

/// What a change of trunks.yaml changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Changes {
    /// Rows that are new, gone, moved or otherwise than before.
    pub rows: Vec<RowChange>,
    /// The lines of the file.
    pub diff: Vec<DiffLine>,
}

/// A row before and after.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RowChange {
    /// From 1, in the table after it; absent: it is gone.
    pub row: Option<usize>,
    /// From 1, in the table before it; absent: it is new.
    pub was: Option<usize>,
    /// What differs; of a row that is new or gone, all of it.
    pub cells: Vec<CellChange>,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CellChange {
    pub column: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// By what rows are for: an equal one, or the one for the same calls, is the same row.
fn row_changes(old: &str, new: &str) -> Vec<RowChange> {
    let (old, new) = (rows_of(old), rows_of(new));
    let (before, after) = (sheet::table(&old), edit::matched(&old, sheet::table(&new)));
    let kept: Vec<usize> = after.iter().filter_map(|row| row.was).collect();
    let mut in_order = kept.clone();
    in_order.sort_unstable();
    let moved = |was: usize| kept.iter().zip(&in_order).any(|(one, other)| *one == was && one != other);
    let none = Cells::default();
    let cells = |before: &Cells, after: &Cells| -> Vec<CellChange> {
        let differs = |name: &&str| before.get(*name) != after.get(*name);
        let columns = columns().into_iter().filter(differs);
        columns
            .map(|name| CellChange {
                column: name.to_owned(),
                before: before.get(name).cloned(),
                after: after.get(name).cloned(),
            })
            .collect()
    };
    let mut changes: Vec<RowChange> = Vec::new();
    for (n, row) in after.iter().enumerate() {
        let cells = cells(row.was.and_then(|was| before.get(was)).unwrap_or(&none), &row.cells);
        if !cells.is_empty() || row.was.is_some_and(moved) {
            changes.push(RowChange { row: Some(n + 1), was: row.was.map(|was| was + 1), cells });
        }
    }
    for (was, row) in before.iter().enumerate().filter(|(was, _)| !kept.contains(was)) {
        changes.push(RowChange { row: None, was: Some(was + 1), cells: cells(row, &none) });
    }
    changes
}

pub(super) async fn changes(console: Arc<Console>, ask: Ask<When, Nothing>) -> Result<Changes, Trouble> {
    whole_site(&ask.who)?;
    let (folder, of) = (console.history.clone(), ask.place("revision").to_owned());
    let at = ask.query.at;
    let found = tokio::task::spawn_blocking(move || {
        let mut all = versions(&folder).into_iter();
        // It was kept a moment before it stood in the audit.
        let after = all.find(|version| version.revision == of && at.is_none_or(|at| version.at <= at))?;
        Some((all.next()?, after))
    });
    let (before, after) = found.await.map_err(Trouble::ended)?.ok_or_else(|| {
        let says = format!("this change is not kept any more; the newest {KEPT} versions are");
        Trouble::Missing(Refusal::new(code::NO_CHANGE, says).with("most", KEPT))
    })?;
    Ok(Changes { rows: row_changes(&before.text, &after.text), diff: diff(&before.text, &after.text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_row_by_row() {
        let old =
            "rows:\n  - {dialled: \"4001\", title: A}\n  - {dialled: \"4002\", title: B}\n  - {dialled: \"4003\"}\n";
        let new =
            "rows:\n  - {dialled: \"4002\", title: B}\n  - {dialled: \"4001\", title: C}\n  - {dialled: \"4004\"}\n";
        let told: Vec<String> = row_changes(old, new)
            .into_iter()
            .map(|change| {
                let cells =
                    change.cells.iter().map(|cell| format!("{}:{:?}>{:?}", cell.column, cell.before, cell.after));
                format!("{:?}<{:?} {}", change.row, change.was, cells.collect::<Vec<_>>().join(","))
            })
            .collect();
        assert_eq!(
            told,
            [
                "Some(1)<Some(2) ",
                "Some(2)<Some(1) title:Some(\"A\")>Some(\"C\")",
                "Some(3)<None dialled:None>Some(\"4004\")",
                "None<Some(3) dialled:Some(\"4003\")>None",
            ]
        );
        assert!(row_changes(old, old).is_empty());
    }

    #[test]
    fn whatever_is_wrong_or_refused_has_its_sentence_in_both_languages() {
        let languages =
            [include_str!("../../../web/admin/lang/en.js"), include_str!("../../../web/admin/lang/zh-CN.js")];
        for code in trunks::code::ALL.iter().chain(&crate::files::SHAPES) {
            for language in languages {
                assert!(language.contains(&format!("\"fault.{code}\": \"")), "{code}");
            }
        }
        for code in code::ALL {
            for language in languages {
                assert!(language.contains(&format!("\"refused.{code}\": \"")), "{code}");
            }
        }
    }
}
