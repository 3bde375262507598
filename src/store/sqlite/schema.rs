//! Opening the file: the lock, the damage check, the numbered migrations, the fence.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use crate::{
    store::StoreError,
    words::refusal::{Refusal, code},
};

/// One step each, in order; a step that was released never changes. Expand first (new tables, new columns with a default), contract
/// only when no daemon in the field reads the old shape: then raise `compatible_from` in `meta` in that step.
///
/// Every table has tenant, key, revision, schema, owner, lease, fence, due_at from the start, because leases between daemons, a second
/// store and pruning will want them, and adding columns to a full table is the expensive way.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('fence', 0), ('compatible_from', 1);
    CREATE TABLE records (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        started_at INTEGER, ended_at INTEGER, direction TEXT, outcome TEXT, queue TEXT, body TEXT NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE INDEX records_ended ON records (ended_at);
    CREATE TABLE open_calls (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        switch TEXT NOT NULL, opened_at INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (tenant, key));
    CREATE TABLE notes (
        tenant TEXT NOT NULL, key TEXT NOT NULL, agent TEXT NOT NULL, kind TEXT NOT NULL,
        revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        at INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (tenant, key, agent, kind));
    CREATE TABLE effects (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER NOT NULL,
        base TEXT NOT NULL, call TEXT NOT NULL, place INTEGER NOT NULL, step TEXT NOT NULL,
        system TEXT NOT NULL, operation TEXT NOT NULL, inputs TEXT NOT NULL, from_result TEXT NOT NULL,
        digest TEXT NOT NULL, state TEXT NOT NULL, born_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
        unsure INTEGER NOT NULL, reason TEXT, result TEXT,
        rules_hash TEXT NOT NULL, connector_hash TEXT NOT NULL, updated_at INTEGER NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE INDEX effects_open ON effects (system, due_at) WHERE state IN ('waiting', 'claimed', 'later');
    CREATE INDEX effects_person ON effects (state) WHERE state IN ('dead', 'person');
    CREATE INDEX effects_call ON effects (tenant, call, place);
    CREATE INDEX effects_base ON effects (tenant, base, place);
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, reason TEXT);
    ", "
    CREATE TABLE traces (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER NOT NULL,
        at INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE INDEX traces_due ON traces (due_at);
    ", "
    CREATE TABLE seats (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        agent TEXT NOT NULL, switch TEXT NOT NULL, device TEXT NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER,
        how TEXT NOT NULL, why TEXT,
        PRIMARY KEY (key, tenant));
    CREATE INDEX seats_open ON seats (switch, device) WHERE to_at IS NULL;
    CREATE INDEX seats_from ON seats (from_at);
    ", "
    CREATE TABLE positions (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER, body TEXT NOT NULL,
        PRIMARY KEY (tenant, key));
    ", "
    CREATE TABLE choices (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        customer TEXT, call TEXT NOT NULL, agent TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (tenant, key)) WITHOUT ROWID;
    CREATE TABLE contacts (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        call TEXT NOT NULL, agent TEXT, at INTEGER NOT NULL,
        PRIMARY KEY (tenant, key)) WITHOUT ROWID;
    ", "
    CREATE TABLE callbacks (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        at INTEGER NOT NULL, open INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE INDEX callbacks_open ON callbacks (key) WHERE open = 1;
    ", "
    CREATE TABLE agent_states (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        state TEXT NOT NULL, reason TEXT, since INTEGER NOT NULL,
        PRIMARY KEY (tenant, key)) WITHOUT ROWID;
    ", "
    CREATE TABLE flow_files (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        flow TEXT NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE TABLE flows (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        flow TEXT NOT NULL, hash TEXT NOT NULL, call TEXT, state TEXT NOT NULL, open INTEGER NOT NULL, person INTEGER NOT NULL,
        born_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE INDEX flows_due ON flows (due_at) WHERE open = 1 AND due_at IS NOT NULL;
    CREATE INDEX flows_open ON flows (born_at) WHERE open = 1;
    CREATE INDEX flows_person ON flows (born_at) WHERE person = 1;
    CREATE INDEX flows_call ON flows (call) WHERE call IS NOT NULL;
    CREATE TABLE flow_words (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        flow TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
        UNIQUE (key, tenant));
    CREATE INDEX flow_words_flow ON flow_words (flow, id);
    ", "
    ALTER TABLE effects ADD COLUMN version TEXT;
    ", "
    CREATE TABLE differences (
        tenant TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        kind TEXT NOT NULL, at INTEGER NOT NULL, switch TEXT, system TEXT, call TEXT, effect TEXT, what TEXT NOT NULL, place TEXT,
        state TEXT NOT NULL, seen_at INTEGER NOT NULL,
        PRIMARY KEY (key, tenant));
    CREATE INDEX differences_open ON differences (kind) WHERE state IN ('open', 'wanted');
    CREATE INDEX differences_at ON differences (at);
    ", "
    CREATE INDEX flows_ended ON flows (updated_at) WHERE open = 0;
    ", "
    CREATE TABLE operations (
        tenant TEXT NOT NULL, key TEXT NOT NULL, agent TEXT NOT NULL, kind TEXT NOT NULL,
        revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        count INTEGER NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (key, tenant, agent, kind)) WITHOUT ROWID;
    CREATE TABLE agent_times (
        tenant TEXT NOT NULL, key TEXT NOT NULL, day TEXT NOT NULL, state TEXT NOT NULL,
        revision INTEGER NOT NULL, schema INTEGER NOT NULL,
        owner TEXT NOT NULL, lease INTEGER, fence INTEGER NOT NULL, due_at INTEGER,
        ms INTEGER NOT NULL,
        PRIMARY KEY (day, tenant, key, state)) WITHOUT ROWID;
    CREATE INDEX effects_tickets ON effects (call, tenant, operation)
        WHERE state = 'done' AND operation IN ('ticket.create', 'ticket.reopen');
    "];

/// Files up to this size are checked whole at each start (about 1 s on a slow disk); of larger ones the first pages are, for a start
/// may take 10 s at most.
const CHECK_WHOLE_BYTES: u64 = 256 << 20;

/// Held for as long as the daemon writes; the kernel lets go of it when the process dies, however it dies.
pub(super) struct Lock {
    _file: File,
}

pub(super) fn lock(path: &Path) -> Result<Lock, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| disk(path, &e.to_string()))?;
    }
    let beside = beside(path, ".lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&beside)
        .map_err(|e| disk(&beside, &e.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(e)) => Err(disk(&beside, &e.to_string())),
    }
}

/// Opens the file to write, checks and migrates it.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let told = |e| error(path, &e);
    let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    if bytes > 0 {
        check(&conn, path, bytes)?;
    }
    // incremental: freed pages can be given back later without rewriting the file. Counts only for a new file.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(told)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(told)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(disk(path, "the file system does not allow a write-ahead log (WAL)"));
    }
    // FULL: with NORMAL a committed transaction may vanish when the power goes.
    conn.pragma_update(None, "synchronous", "FULL").map_err(told)?;
    // A checkpoint inside a commit is the store's latency peak; `checkpoint` does it on a connection of its own.
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(told)?;
    conn.pragma_update(None, "cell_size_check", true).map_err(told)?;
    // What is deleted is overwritten: a call's checkpoint must not outlive its erased record in a free page.
    conn.pragma_update(None, "secure_delete", true).map_err(told)?;
    conn.set_prepared_statement_cache_capacity(64);
    migrate(&conn, path)?;
    Ok(conn)
}

/// Opens an existing file beside a daemon that may be writing it.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(|e| error(path, &e))?;
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(|e| error(path, &e))?;
    conn.pragma_update(None, "secure_delete", true).map_err(|e| error(path, &e))?;
    let found = version(&conn, path)?;
    if (found as usize) < MIGRATIONS.len() {
        let what = format!(
            "{} was written by an earlier program (schema {found} of {}); start this daemon once, which brings it up to date",
            path.display(),
            MIGRATIONS.len()
        );
        return Err(StoreError::Refused(Refusal::new(code::OLD_STORE, what)));
    }
    Ok(conn)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let conn =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| error(path, &e))?;
    // The other side holds the file for one commit at a time; a person at the command line can wait five seconds.
    conn.busy_timeout(Duration::from_secs(5)).map_err(|e| error(path, &e))?;
    Ok(conn)
}

fn check(conn: &Connection, path: &Path, bytes: u64) -> Result<(), StoreError> {
    let said: String = if bytes <= CHECK_WHOLE_BYTES {
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| error(path, &e))?
    } else {
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok("ok".to_owned()))
            .map_err(|e| error(path, &e))?
    };
    if said == "ok" {
        return Ok(());
    }
    // The first line names the page or the index; it holds no row's content.
    let what = said.lines().next().unwrap_or_default().to_owned();
    Err(StoreError::Damaged { path: path.to_owned(), what })
}

fn version(conn: &Connection, path: &Path) -> Result<u32, StoreError> {
    let told = |e| error(path, &e);
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(told)?;
    if found > known {
        let from: Option<u32> = conn
            .query_row("SELECT value FROM meta WHERE name = 'compatible_from'", [], |row| row.get(0))
            .optional()
            .map_err(told)?;
        if from.is_none_or(|from| from > known) {
            return Err(StoreError::Newer { path: path.to_owned(), found, known });
        }
    }
    Ok(found)
}

fn migrate(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(conn, path)?;
    for (number, step) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let told = |e| error(path, &e);
        let change = conn.unchecked_transaction().map_err(told)?;
        change.execute_batch(step).map_err(told)?;
        change.pragma_update(None, "user_version", i64::try_from(number + 1).unwrap_or(i64::MAX)).map_err(told)?;
        change.commit().map_err(told)?;
    }
    Ok(())
}

/// Takes the next fence: every write of an earlier opener is refused from here on.
pub(super) fn take_fence(conn: &Connection, path: &Path) -> Result<u64, StoreError> {
    conn.query_row("UPDATE meta SET value = value + 1 WHERE name = 'fence' RETURNING value", [], |row| {
        row.get::<_, i64>(0)
    })
    .map(|fence| u64::try_from(fence).unwrap_or(0))
    .map_err(|e| error(path, &e))
}

/// Read in the same transaction as every write.
pub(super) fn check_fence(conn: &Connection, path: &Path, ours: u64) -> Result<(), StoreError> {
    let theirs: i64 = conn
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .and_then(|mut s| s.query_row(params!["fence"], |row| row.get(0)))
        .map_err(|e| error(path, &e))?;
    let theirs = u64::try_from(theirs).unwrap_or(0);
    if theirs == ours { Ok(()) } else { Err(StoreError::Fenced { ours, theirs }) }
}

/// Renames the file and its log to `<name>.damaged-<at>`; deletes nothing.
pub(super) fn set_aside(path: &Path, at: i64) -> Result<PathBuf, StoreError> {
    let to = beside(path, &format!(".damaged-{at}"));
    std::fs::rename(path, &to).map_err(|e| disk(path, &e.to_string()))?;
    for end in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, end), beside(&to, end)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(disk(path, &e.to_string())),
            _ => {}
        }
    }
    Ok(to)
}

pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

pub(super) fn disk(path: &Path, what: &str) -> StoreError {
    StoreError::Disk { path: path.to_owned(), what: what.to_owned() }
}

/// SQLite's error in our words. Its own message names tables and pages, never a row's content.
pub(super) fn error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { path, what: error.to_string() }
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => StoreError::Row { what: error.to_string() },
        Some(_) => StoreError::Disk { path, what: error.to_string() },
        // Not from SQLite: a column that does not read as what we wrote.
        None => StoreError::Row { what: error.to_string() },
    }
}
