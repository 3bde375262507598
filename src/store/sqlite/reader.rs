//! The command line's door: works on the file itself, also while the daemon runs.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    private::Private,
    store::{
        Settings, StoreError,
        held::{Fate, Held},
        no_effect, no_record,
        rows::{
            AuditFilter, AuditRow, Batch, CallKey, CallbackRow, Called, CheckpointRow, Compared, DifferenceRow,
            EffectFilter, EffectRow, Ended, FlowFilter, FlowRow, FlowWordRow, History, RecordFilter, RecordRow,
            SeatRow, State, Stats, TimeRow,
        },
        several, short,
    },
    words::{
        CallId, TenantId, Wall,
        refusal::{Refusal, code},
    },
};

use super::{differences, flows, held, outbox, read, schema, write};

/// Records read in one go.
const PAGE: usize = 2_000;

/// A second connection with a busy timeout of five seconds. A running daemon sees what it changed within a second.
pub struct Reader {
    conn: Connection,
    path: PathBuf,
    owner: String,
}

impl Reader {
    /// # Errors
    /// There is no such file, or it is damaged or newer than this program.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        if !settings.path.exists() {
            return Err(StoreError::Missing(Refusal::new(
                code::NO_STORE,
                format!("there is no store at {}", settings.path.display()),
            )));
        }
        let conn = schema::open_beside(&settings.path)?;
        Ok(Self { conn, path: settings.path.clone(), owner: settings.owner.clone() })
    }

    /// # Errors
    /// The file cannot be read.
    pub fn records(&self, filter: &RecordFilter) -> Result<Vec<RecordRow>, StoreError> {
        read::records(&self.conn, filter).map_err(|e| self.told(&e))
    }

    /// Which numbers were called since then, and how often, most called first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn called(&self, since: Wall, most: usize) -> Result<Vec<Called>, StoreError> {
        read::called(&self.conn, since, most).map_err(|e| self.told(&e))
    }

    /// The record of a call, whatever its tenant.
    ///
    /// # Errors
    /// There is none, or the file cannot be read.
    pub fn record(&self, call: CallId) -> Result<RecordRow, StoreError> {
        read::record_by_call(&self.conn, call).map_err(|e| self.told(&e))?.ok_or_else(|| no_record(call))
    }

    /// Calls that are up, as last written, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open_calls(&self) -> Result<Vec<CheckpointRow>, StoreError> {
        read::open_calls(&self.conn).map_err(|e| self.told(&e))
    }

    /// The body of a call's trace, whatever its tenant.
    ///
    /// # Errors
    /// None is kept, or the file cannot be read.
    pub fn trace(&self, call: CallId) -> Result<Private<String>, StoreError> {
        read::trace(&self.conn, call).map_err(|e| self.told(&e))?.ok_or_else(|| {
            StoreError::Missing(
                Refusal::new(code::NO_TRACE, format!("there is no trace of call {call}")).with("call", call),
            )
        })
    }

    /// # Errors
    /// The file cannot be read.
    pub fn history(&self, tenant: &TenantId, call: CallId) -> Result<History, StoreError> {
        read::history(&self.conn, &CallKey { tenant: tenant.clone(), call }).map_err(|e| self.told(&e))
    }

    /// # Errors
    /// The file cannot be read.
    pub fn effects(&self, filter: &EffectFilter) -> Result<Vec<EffectRow>, StoreError> {
        read::effects(&self.conn, filter).map_err(|e| self.told(&e))
    }

    /// By its key or the beginning of it, at least six letters.
    ///
    /// # Errors
    /// None or several have it, or the file cannot be read.
    pub fn effect(&self, key: &str) -> Result<EffectRow, StoreError> {
        if key.len() < 6 {
            return Err(short("a key", "six", 6));
        }
        let mut found = read::effects_by_key(&self.conn, key).map_err(|e| self.told(&e))?;
        match (found.pop(), found.pop()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(no_effect(key)),
            _ => Err(several("effects", key)),
        }
    }

    /// Sends it again now, with 72 fresh hours. Written to the audit.
    ///
    /// # Errors
    /// It is being sent, or done; or the disk refuses.
    pub fn retry(&self, key: &str, who: &str, now: Wall) -> Result<EffectRow, StoreError> {
        self.change(key, who, "outbox.retry", None, now, |conn, row| match row.state {
            State::Claimed => Err(being_sent()),
            State::Done => Err(Refusal::new(code::IS_DONE, "it is done; sending it again would do it twice")),
            _ => sent_again(outbox::retry(conn, row, now)),
        })
    }

    /// Takes it out for good; a later amendment of the call does not bring it back. Written to the audit.
    ///
    /// # Errors
    /// It is being sent, or done; or the disk refuses.
    pub fn drop(&self, key: &str, reason: &str, who: &str, now: Wall) -> Result<EffectRow, StoreError> {
        self.change(key, who, "outbox.drop", Some(reason), now, |conn, row| match row.state {
            State::Claimed => Err(being_sent()),
            State::Done => Err(Refusal::new(code::IS_DONE, "it is done already")),
            _ => outbox::drop(conn, row, reason, now).map_err(|e| away(&e)),
        })
    }

    /// Looks once more for what is done and was not found at its system, and does it again if it is still not there. Written to the audit.
    ///
    /// # Errors
    /// It is not done; or the disk refuses.
    pub fn again(&self, key: &str, who: &str, now: Wall) -> Result<EffectRow, StoreError> {
        self.change(key, who, "outbox.again", None, now, |conn, row| match row.state {
            // Unsure: whoever delivers it looks before it writes, and where a system cannot be looked at it is a person's.
            State::Done => sent_again(outbox::retry(conn, &EffectRow { unsure: true, ..row.clone() }, now)),
            state => {
                let says = format!("it is {} and not done; `linecard outbox retry` tries it again", state.as_str());
                Err(Refusal::new(code::NOT_DONE, says))
            }
        })
    }

    /// Reads from now on what is true now, whatever is written meanwhile. Not for long: the log grows while it is held.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn hold(&self) -> Result<(), StoreError> {
        self.conn.execute_batch("BEGIN; SELECT count(*) FROM meta;").map_err(|e| self.told(&e))
    }

    /// Records of calls that ended in this time, each once as it stands now, in the order of their ends. Read a page at a time, so that no transaction of the reader lasts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ended(&self, from: Wall, until: Wall, mut take: impl FnMut(Ended<'_>)) -> Result<(), StoreError> {
        let mut next = Some((from, String::new()));
        while let Some(after) = next {
            next = read::ended_page(&self.conn, &after, until, PAGE, &mut take).map_err(|e| self.told(&e))?;
        }
        Ok(())
    }

    /// How many calls ended in this time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ended_count(&self, from: Wall, until: Wall) -> Result<u64, StoreError> {
        read::ended_count(&self.conn, from, until).map_err(|e| self.told(&e))
    }

    /// How long agents were in which states, on days (`2026-11-26`) from the one to before the other.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn times(&self, from: &str, until: &str) -> Result<Vec<TimeRow>, StoreError> {
        read::times(&self.conn, from, until).map_err(|e| self.told(&e))
    }

    /// What the sides told differently of this time, and still did when they were compared last, by tenant, kind and moment; without what a person accepted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn differences_of(
        &self,
        from: Wall,
        until: Wall,
        mut take: impl FnMut(&str, &str, Wall),
    ) -> Result<(), StoreError> {
        differences::of_time(&self.conn, from, until, &mut take).map_err(|e| self.told(&e))
    }

    /// What the sides tell differently, oldest first; without `all` only what nobody mended or accepted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn differences(
        &self,
        tenant: Option<&TenantId>,
        all: bool,
        most: usize,
    ) -> Result<Vec<DifferenceRow>, StoreError> {
        differences::list(&self.conn, tenant, all, most).map_err(|e| self.told(&e))
    }

    /// By its id or the beginning of it, at least four letters.
    ///
    /// # Errors
    /// None or several have it, or the file cannot be read.
    pub fn difference(&self, id: &str) -> Result<DifferenceRow, StoreError> {
        if id.len() < 4 {
            return Err(short("an id", "four", 4));
        }
        let mut found = differences::by_id(&self.conn, id).map_err(|e| self.told(&e))?;
        match (found.pop(), found.pop()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(StoreError::Missing(
                Refusal::new(code::NO_DIFFERENCE, format!("there is no difference {id}")).with("id", id),
            )),
            _ => Err(several("differences", id)),
        }
    }

    /// Leaves a difference in another state. Written to the audit.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn settle_difference(&self, row: &DifferenceRow, state: &str, audit: &AuditRow) -> Result<(), StoreError> {
        self.at_once(|conn, who| {
            differences::set(conn, row, state)?;
            write::audit(conn, who, audit)
        })
    }

    /// Writes down what a comparison found.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn compared(&self, compared: Vec<Compared>) -> Result<(), StoreError> {
        let batch = Batch { compared, ..Batch::default() };
        self.at_once(|conn, who| write::batch(conn, who, &batch))
    }

    /// Who sits where now, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seats(&self) -> Result<Vec<SeatRow>, StoreError> {
        read::seats(&self.conn).map_err(|e| self.told(&e))
    }

    /// Customers who are to be called back still, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn callbacks(&self) -> Result<Vec<CallbackRow>, StoreError> {
        read::callbacks(&self.conn).map_err(|e| self.told(&e))
    }

    /// Who sat where, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sat(&self, limit: u32) -> Result<Vec<SeatRow>, StoreError> {
        read::sat(&self.conn, limit).map_err(|e| self.told(&e))
    }

    /// Flows, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn flows(&self, filter: &FlowFilter) -> Result<Vec<FlowRow>, StoreError> {
        flows::list(&self.conn, filter).map_err(|e| self.told(&e))
    }

    /// The text of a flow's file by its hash.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn flow_file(&self, hash: &str) -> Result<Option<String>, StoreError> {
        flows::file(&self.conn, hash).map_err(|e| self.told(&e))
    }

    /// Says something to a flow; a running daemon hears it within a second. Written to the audit.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn say(&self, word: FlowWordRow, audit: AuditRow) -> Result<(), StoreError> {
        let batch = Batch { flow_words: vec![word], audit: vec![audit], ..Batch::default() };
        self.at_once(|conn, who| write::batch(conn, who, &batch))
    }

    /// Something that was done by the command line, into the audit.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note(&self, audit: AuditRow) -> Result<(), StoreError> {
        self.at_once(|conn, who| write::audit(conn, who, &audit))
    }

    /// In one transaction.
    fn at_once(
        &self,
        work: impl FnOnce(&Connection, &write::Who<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let told = |e| self.told(&e);
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(told)?;
        let done = work(&self.conn, &write::Who { owner: &self.owner, fence: 0 }).map_err(told);
        self.conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).map_err(told)?;
        done
    }

    /// Who did what, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        read::audit(&self.conn, filter).map_err(|e| self.told(&e))
    }

    /// Rows of a tenant that are of one of these calls, or in which `stands_in` finds what it looks for. Every row is read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn held(
        &self,
        tenant: &TenantId,
        calls: &BTreeSet<CallId>,
        stands_in: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Held>, StoreError> {
        held::find(&self.conn, tenant, calls, stands_in).map_err(|e| self.told(&e))
    }

    /// Removes and rewrites rows in one transaction, so that their old bytes are in the file and its log no more. All of it is done, or nothing. Written
    /// to the audit.
    ///
    /// # Errors
    /// A row is not any more as it was read; or the disk refuses.
    #[expect(
        clippy::disallowed_methods,
        reason = "another process holds the log for a moment; it tells nobody when it is done"
    )]
    pub fn erase(&self, changes: &[(Held, Fate)], audit: &AuditRow) -> Result<(), StoreError> {
        let told = |e| self.told(&e);
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(told)?;
        let done = changes
            .iter()
            .try_for_each(|(row, fate)| match held::change(&self.conn, &audit.tenant, row, fate, audit.at) {
                Ok(true) => Ok(()),
                Ok(false) => Err(StoreError::Refused(Refusal::new(
                    code::CHANGED_MEANWHILE,
                    format!(
                        "one of the {} changed while it was read; nothing was erased, say it again",
                        row.shelf.as_str()
                    ),
                ))),
                Err(error) => Err(told(error)),
            })
            .and_then(|()| write::audit(&self.conn, &write::Who { owner: &self.owner, fence: 0 }, audit).map_err(told));
        self.conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).map_err(told)?;
        done?;
        // The log still has the pages as they were. Who else is emptying it at this moment (the daemon, once a second) is soon done.
        for _ in 0..100 {
            let busy: bool =
                self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(told)?;
            if !busy {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(StoreError::Refused(Refusal::new(
            code::CHANGED_MEANWHILE,
            "it is erased, but the store's log could not be emptied while it was read; say it again",
        )))
    }

    /// # Errors
    /// The file cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        self.stats_of(None)
    }

    /// The same of one tenant.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stats_of(&self, tenant: Option<&TenantId>) -> Result<Stats, StoreError> {
        read::stats(&self.conn, tenant).map_err(|e| self.told(&e))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads, decides, changes and audits in one transaction that no daemon's commit can come between.
    fn change(
        &self,
        key: &str,
        who: &str,
        what: &str,
        reason: Option<&str>,
        now: Wall,
        change: impl FnOnce(&Connection, &EffectRow) -> Result<(), Refusal>,
    ) -> Result<EffectRow, StoreError> {
        let told = |e| self.told(&e);
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(told)?;
        let done = self.effect(key).and_then(|row| {
            change(&self.conn, &row).map_err(StoreError::Refused)?;
            let audit = AuditRow {
                tenant: row.tenant.clone(),
                at: now,
                who: who.to_owned(),
                what: what.to_owned(),
                about: row.key.clone(),
                reason: reason.map(str::to_owned),
            };
            write::audit(&self.conn, &write::Who { owner: &self.owner, fence: 0 }, &audit).map_err(told)?;
            self.effect(&row.key)
        });
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.conn.execute_batch(end).map_err(told)?;
        done
    }

    fn told(&self, error: &rusqlite::Error) -> StoreError {
        schema::error(&self.path, error)
    }
}

/// What came of a wish to send something again, in words.
fn sent_again(done: rusqlite::Result<bool>) -> Result<(), Refusal> {
    match done {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Refusal::new(code::ERASED, "what it said was erased with its person; it cannot be sent any more"))
        }
        Err(error) => Err(away(&error)),
    }
}

fn away(error: &rusqlite::Error) -> Refusal {
    Refusal::new(code::STORE_AWAY, error.to_string()).with("why", error)
}

fn being_sent() -> Refusal {
    Refusal::new(code::BEING_SENT, "it is being sent at this moment; look again in a minute")
}
