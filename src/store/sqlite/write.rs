//! A batch into tables, inside a transaction that the writer holds.

use rusqlite::{Connection, OptionalExtension, Result, params};
use sha2::{Digest, Sha256};

use crate::{
    store::rows::{
        AuditRow, Batch, CallKey, CallbackRow, CheckpointRow, ChoiceRow, ContactRow, EffectPut, EffectRow, EffectSet,
        NoteRow, OperationRow, PositionRow, RecordRow, SeatRow, State, StateRow, TimeRow, TraceRow, effect_key,
    },
    words::{CallId, TenantId, Wall},
};

use super::read;

pub(super) struct Who<'a> {
    pub owner: &'a str,
    pub fence: u64,
}

impl Who<'_> {
    pub(super) fn fence(&self) -> i64 {
        small(self.fence)
    }
}

pub(super) fn batch(conn: &Connection, who: &Who<'_>, batch: &Batch) -> Result<()> {
    for row in &batch.records {
        record(conn, who, row)?;
    }
    for row in &batch.checkpoints {
        checkpoint(conn, who, row)?;
    }
    for key in &batch.closed {
        close(conn, key)?;
    }
    for row in &batch.notes {
        note(conn, who, row)?;
    }
    for set in &batch.effects {
        effects(conn, who, set)?;
    }
    for row in &batch.seats {
        seat(conn, who, row)?;
    }
    for row in &batch.choices {
        choice(conn, who, row)?;
    }
    for row in &batch.contacts {
        contact(conn, who, row)?;
    }
    for row in &batch.audit {
        audit(conn, who, row)?;
    }
    for row in &batch.traces {
        trace(conn, who, row)?;
    }
    for row in &batch.positions {
        position(conn, who, row)?;
    }
    for row in &batch.operations {
        operation(conn, who, row)?;
    }
    for row in &batch.times {
        time(conn, who, row)?;
    }
    for row in &batch.callbacks {
        callback(conn, who, row)?;
    }
    for row in &batch.states {
        state(conn, who, row)?;
    }
    for compared in &batch.compared {
        super::differences::write(conn, who, compared)?;
    }
    super::flows::write(conn, who, batch)
}

fn state(conn: &Connection, who: &Who<'_>, row: &StateRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO agent_states (tenant, key, revision, schema, owner, fence, state, reason, since)
         VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             state = excluded.state, reason = excluded.reason, since = excluded.since",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.agent.as_str(),
        who.owner,
        who.fence(),
        row.state,
        row.reason,
        row.since.0
    ])?;
    Ok(())
}

fn operation(conn: &Connection, who: &Who<'_>, row: &OperationRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO operations (tenant, key, agent, kind, revision, schema, owner, fence, count, at) VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6, ?7, ?8)
         ON CONFLICT (key, tenant, agent, kind) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             count = count + excluded.count, at = excluded.at",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.call.to_string(),
        row.agent.as_str(),
        row.kind,
        who.owner,
        who.fence(),
        row.count,
        row.at.0
    ])?;
    Ok(())
}

fn time(conn: &Connection, who: &Who<'_>, row: &TimeRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO agent_times (tenant, key, day, state, revision, schema, owner, fence, ms) VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6, ?7)
         ON CONFLICT (day, tenant, key, state) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             ms = ms + excluded.ms",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.agent.as_str(),
        row.day,
        row.state,
        who.owner,
        who.fence(),
        small(row.ms)
    ])?;
    Ok(())
}

fn callback(conn: &Connection, who: &Who<'_>, row: &CallbackRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO callbacks (tenant, key, revision, schema, owner, fence, at, open, body) VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (key, tenant) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             at = excluded.at, open = excluded.open, body = excluded.body",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.id.to_string(),
        who.owner,
        who.fence(),
        row.at.0,
        row.open,
        row.body.expose(),
    ])?;
    Ok(())
}

fn position(conn: &Connection, who: &Who<'_>, row: &PositionRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO positions (tenant, key, revision, schema, owner, fence, body) VALUES (?1, ?2, 1, 1, ?3, ?4, ?5)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             body = excluded.body",
    )?
    .execute(params![row.tenant.as_str(), row.switch.as_str(), who.owner, who.fence(), row.body])?;
    Ok(())
}

fn seat(conn: &Connection, who: &Who<'_>, row: &SeatRow) -> Result<()> {
    // Begin and end are the same row; an end that is known is never forgotten by a begin that is written again.
    conn.prepare_cached(
        "INSERT INTO seats (tenant, key, revision, schema, owner, fence, agent, switch, device, from_at, to_at, how, why)
         VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (key, tenant) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             to_at = coalesce(excluded.to_at, seats.to_at), why = coalesce(excluded.why, seats.why)",
    )?
    .execute(params![
        row.tenant.as_str(),
        format!("{} {} {} {}", row.switch, row.device, row.agent, row.from.0),
        who.owner,
        who.fence(),
        row.agent.as_str(),
        row.switch.as_str(),
        row.device,
        row.from.0,
        row.to.map(|at| at.0),
        row.how,
        row.why,
    ])?;
    Ok(())
}

fn record(conn: &Connection, who: &Who<'_>, row: &RecordRow) -> Result<()> {
    // An equal revision is the same batch again (it was retried after its answer got lost): writing it again changes nothing.
    conn.prepare_cached(
        "INSERT INTO records (tenant, key, revision, schema, owner, fence, started_at, ended_at, direction, outcome, queue, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = excluded.revision, schema = excluded.schema, owner = excluded.owner,
             fence = excluded.fence, started_at = excluded.started_at, ended_at = excluded.ended_at,
             direction = excluded.direction, outcome = excluded.outcome, queue = excluded.queue, body = excluded.body
         WHERE excluded.revision >= records.revision AND instr(records.body, '\"erased_at\":') = 0",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.call.to_string(),
        row.revision,
        row.schema,
        who.owner,
        who.fence(),
        row.started_at.map(|at| at.0),
        row.ended_at.map(|at| at.0),
        row.direction,
        row.outcome,
        row.queue,
        row.body.expose(),
    ])?;
    Ok(())
}

fn checkpoint(conn: &Connection, who: &Who<'_>, row: &CheckpointRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO open_calls (tenant, key, revision, schema, owner, fence, switch, opened_at, body)
         VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = revision + 1, schema = excluded.schema, owner = excluded.owner,
             fence = excluded.fence, switch = excluded.switch, body = excluded.body",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.call.to_string(),
        row.schema,
        who.owner,
        who.fence(),
        row.switch.as_str(),
        row.opened_at.0,
        row.body.expose(),
    ])?;
    Ok(())
}

fn close(conn: &Connection, key: &CallKey) -> Result<()> {
    conn.prepare_cached("DELETE FROM open_calls WHERE tenant = ?1 AND key = ?2")?
        .execute(params![key.tenant.as_str(), key.call.to_string()])?;
    Ok(())
}

/// Whether what a call told of a person was taken out of the store: whoever had it in memory writes nothing of it any more.
fn is_erased(conn: &Connection, tenant: &TenantId, call: CallId) -> Result<bool> {
    let erased: Option<bool> = conn
        .prepare_cached("SELECT instr(body, '\"erased_at\":') > 0 FROM records WHERE tenant = ?1 AND key = ?2")?
        .query_row(params![tenant.as_str(), call.to_string()], |row| row.get(0))
        .optional()?;
    Ok(erased == Some(true))
}

fn note(conn: &Connection, who: &Who<'_>, row: &NoteRow) -> Result<()> {
    if is_erased(conn, &row.tenant, row.call)? {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO notes (tenant, key, agent, kind, revision, schema, owner, fence, at, body)
         VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, key, agent, kind) DO UPDATE SET revision = revision + 1, owner = excluded.owner,
             fence = excluded.fence, at = excluded.at, body = excluded.body",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.call.to_string(),
        row.agent.as_str(),
        row.kind,
        who.owner,
        who.fence(),
        row.at.0,
        row.body.expose(),
    ])?;
    Ok(())
}

fn choice(conn: &Connection, who: &Who<'_>, row: &ChoiceRow) -> Result<()> {
    if is_erased(conn, &row.tenant, row.call)? {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO choices (tenant, key, revision, schema, owner, fence, customer, call, agent, at)
         VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             customer = excluded.customer, call = excluded.call, agent = excluded.agent, at = excluded.at
         WHERE excluded.at >= choices.at",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.number.expose(),
        who.owner,
        who.fence(),
        row.customer,
        row.call.to_string(),
        row.agent.as_str(),
        row.at.0,
    ])?;
    Ok(())
}

fn contact(conn: &Connection, who: &Who<'_>, row: &ContactRow) -> Result<()> {
    if is_erased(conn, &row.tenant, row.call)? {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO contacts (tenant, key, revision, schema, owner, fence, call, agent, at)
         VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             call = excluded.call, agent = excluded.agent, at = excluded.at
         WHERE excluded.at >= contacts.at",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.customer,
        who.owner,
        who.fence(),
        row.call.to_string(),
        row.agent.as_ref().map(|agent| agent.as_str()),
        row.at.0,
    ])?;
    Ok(())
}

pub(super) fn audit(conn: &Connection, who: &Who<'_>, row: &AuditRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO audit (tenant, key, revision, schema, owner, fence, at, who, what, reason)
         VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.about,
        who.owner,
        who.fence(),
        row.at.0,
        row.who,
        row.what,
        row.reason,
    ])?;
    Ok(())
}

fn trace(conn: &Connection, who: &Who<'_>, row: &TraceRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO traces (tenant, key, revision, schema, owner, fence, due_at, at, body)
         VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (tenant, key) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence,
             due_at = excluded.due_at, at = excluded.at, body = excluded.body",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.call.to_string(),
        who.owner,
        who.fence(),
        row.until.0,
        row.at.0,
        row.body.expose(),
    ])?;
    // Whoever adds one takes out those whose time is over, a few at a time: no sweep that would hold up a commit.
    conn.prepare_cached(
        "DELETE FROM traces WHERE rowid IN (SELECT rowid FROM traces WHERE due_at < ?1 ORDER BY due_at LIMIT 4)",
    )?
    .execute(params![row.at.0])?;
    Ok(())
}

fn effects(conn: &Connection, who: &Who<'_>, set: &EffectSet) -> Result<()> {
    if is_erased(conn, &set.call.tenant, set.call.call)? {
        return Ok(());
    }
    for one in &set.puts {
        put(conn, who, one, set.at)?;
    }
    if set.adds {
        return Ok(());
    }
    // What is no longer called for and cannot have reached the system goes. `later` without `unsure` was refused or never arrived.
    let mut old = conn.prepare_cached(
        "SELECT key, base FROM effects WHERE tenant = ?1 AND call = ?2 AND state IN ('waiting', 'later') AND unsure = 0",
    )?;
    let old: Vec<(String, String)> = old
        .query_map(params![set.call.tenant.as_str(), set.call.call.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    for (key, base) in old {
        if set.puts.iter().any(|one| one.row.key == base) {
            continue;
        }
        conn.prepare_cached(
            "UPDATE effects SET state = 'withdrawn', updated_at = ?3, reason = 'the amended record no longer calls for it'
             WHERE tenant = ?1 AND key = ?2",
        )?
        .execute(params![set.call.tenant.as_str(), key, set.at.0])?;
    }
    Ok(())
}

/// See [`EffectPut`] for what is promised.
fn put(conn: &Connection, who: &Who<'_>, put: &EffectPut, at: Wall) -> Result<()> {
    let row = &put.row;
    let digest = digest(&row.operation, put.content.expose());
    let Some((last, last_digest)) = newest(conn, row)? else {
        return insert(conn, who, row, &digest, at);
    };
    let untried = last.state == State::Waiting && last.attempts == 0;
    let unsent = !last.unsure && matches!(last.state, State::Waiting | State::Later | State::Dead | State::Withdrawn);
    let state = if last.state == State::Withdrawn { State::Waiting } else { last.state };
    let is_base = last.key == row.key;
    let wanted = put.amend.as_ref().filter(|_| !is_base).map_or(row.due_at, |amend| amend.due_at);
    let due_at = if untried || last.state == State::Withdrawn { wanted } else { last.due_at };
    if last.state == State::Dropped {
        // A person took it out; a late fact does not bring it back.
        return Ok(());
    }
    if last_digest == digest {
        if state != last.state || due_at != last.due_at {
            conn.prepare_cached(
                "UPDATE effects SET state = ?3, due_at = ?4, reason = NULL, updated_at = ?5 WHERE tenant = ?1 AND key = ?2",
            )?
            .execute(params![row.tenant.as_str(), last.key, state.as_str(), due_at.0, at.0])?;
        }
        return Ok(());
    }
    if unsent {
        let (operation, inputs) = match (&put.amend, is_base) {
            (_, true) => (&row.operation, &row.inputs),
            (Some(amend), false) => (&amend.operation, &amend.inputs),
            (None, false) => return Ok(()),
        };
        conn.prepare_cached(
            "UPDATE effects SET state = ?3, due_at = ?4, operation = ?5, inputs = ?6, digest = ?7, revision = revision + 1,
                 rules_hash = ?8, connector_hash = ?9, updated_at = ?10 WHERE tenant = ?1 AND key = ?2",
        )?
        .execute(params![
            row.tenant.as_str(),
            last.key,
            state.as_str(),
            due_at.0,
            operation,
            inputs.expose(),
            digest,
            row.rules_hash,
            row.connector_hash,
            at.0,
        ])?;
        return Ok(());
    }
    let Some(amend) = &put.amend else { return Ok(()) };
    let revision = last.revision + 1;
    let step = format!("{}~{revision}", row.step);
    let key = effect_key(&row.tenant, row.call, &row.system, &step);
    let amending = EffectRow {
        key,
        base: row.key.clone(),
        step,
        operation: amend.operation.clone(),
        inputs: amend.inputs.clone(),
        from_result: amend.from_result.clone(),
        due_at: amend.due_at,
        born_at: amend.due_at,
        revision,
        ..row.clone()
    };
    insert(conn, who, &amending, &digest, at)
}

/// The last effect of the chain of amendments, and the digest of the content it stands for.
fn newest(conn: &Connection, row: &EffectRow) -> Result<Option<(EffectRow, String)>> {
    conn.prepare_cached(&format!(
        "SELECT {}, digest FROM effects WHERE tenant = ?1 AND base = ?2 ORDER BY place DESC LIMIT 1",
        read::EFFECT
    ))?
    .query_row(params![row.tenant.as_str(), row.key], |r| Ok((read::effect(r)?, r.get("digest")?)))
    .optional()
}

fn insert(conn: &Connection, who: &Who<'_>, row: &EffectRow, digest: &str, at: Wall) -> Result<()> {
    let from_result = serde_json::to_string(&row.from_result).unwrap_or_else(|_| "[]".to_owned());
    conn.prepare_cached(
        "INSERT INTO effects (tenant, key, revision, schema, owner, fence, due_at, base, call, place, step, system, operation,
             inputs, from_result, digest, state, born_at, attempts, unsure, rules_hash, connector_hash, updated_at, version)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8,
             (SELECT coalesce(max(place), 0) + 1 FROM effects WHERE tenant = ?1 AND call = ?8),
             ?9, ?10, ?11, ?12, ?13, ?14, 'waiting', ?15, 0, 0, ?16, ?17, ?18,
             CASE WHEN EXISTS (SELECT 1 FROM effects WHERE tenant = ?1 AND call = ?8 AND system = ?10)
                 THEN (SELECT version FROM effects WHERE tenant = ?1 AND call = ?8 AND system = ?10 ORDER BY place LIMIT 1)
                 ELSE ?19 END)",
    )?
    .execute(params![
        row.tenant.as_str(),
        row.key,
        row.revision,
        who.owner,
        who.fence(),
        row.due_at.0,
        row.base,
        row.call.to_string(),
        row.step,
        row.system.as_str(),
        row.operation,
        row.inputs.expose(),
        from_result,
        digest,
        row.born_at.0,
        row.rules_hash,
        row.connector_hash,
        at.0,
        row.version.as_ref().map(|version| version.as_str()),
    ])?;
    Ok(())
}

fn digest(operation: &str, content: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(operation.as_bytes());
    hash.update([0]);
    hash.update(content.as_bytes());
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// SQLite has no unsigned 64-bit numbers.
pub(super) fn small(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
