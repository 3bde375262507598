//! Tables into rows.

use rusqlite::{Connection, OptionalExtension, Result, Row, params, types::Type};

use crate::{
    private::Private,
    store::rows::{
        AuditFilter, AuditRow, CallKey, CallbackRow, Called, CheckpointRow, ChoiceRow, ContactRow, EffectFilter,
        EffectRow, Ended, History, NoteRow, RecordFilter, RecordRow, SeatRow, State, StateRow, Stats, TimeRow,
    },
    words::{CallId, SwitchId, TenantId, Wall},
};

use super::write::small;

/// The columns that [`effect`] reads, by name.
pub(super) const EFFECT: &str = "tenant, key, base, call, place, step, system, operation, inputs, from_result, revision, state, \
     due_at, born_at, attempts, unsure, reason, result, rules_hash, connector_hash, version, fence, updated_at";

pub(super) fn effect(row: &Row<'_>) -> Result<EffectRow> {
    let state: String = row.get("state")?;
    let from_result: String = row.get("from_result")?;
    Ok(EffectRow {
        key: row.get("key")?,
        base: row.get("base")?,
        tenant: row.get::<_, String>("tenant")?.into(),
        call: call(row, "call")?,
        place: unsigned(row, "place")?,
        step: row.get("step")?,
        system: row.get::<_, String>("system")?.into(),
        operation: row.get("operation")?,
        inputs: row.get::<_, String>("inputs")?.into(),
        from_result: serde_json::from_str(&from_result).map_err(|e| unread(e.into()))?,
        revision: row.get("revision")?,
        state: State::from_word(&state).ok_or_else(|| unread(format!("state {state} is not known").into()))?,
        due_at: Wall(row.get("due_at")?),
        born_at: Wall(row.get("born_at")?),
        attempts: row.get("attempts")?,
        unsure: row.get("unsure")?,
        reason: row.get("reason")?,
        result: private(row, "result")?,
        base_result: None,
        record: None,
        rules_hash: row.get("rules_hash")?,
        connector_hash: row.get("connector_hash")?,
        version: row.get::<_, Option<String>>("version")?.map(Into::into),
        fence: unsigned(row, "fence")?,
        updated_at: Wall(row.get("updated_at")?),
    })
}

fn record(row: &Row<'_>) -> Result<RecordRow> {
    Ok(RecordRow {
        tenant: row.get::<_, String>("tenant")?.into(),
        call: call(row, "key")?,
        revision: row.get("revision")?,
        schema: row.get("schema")?,
        started_at: row.get::<_, Option<i64>>("started_at")?.map(Wall),
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(Wall),
        direction: row.get("direction")?,
        outcome: row.get("outcome")?,
        queue: row.get("queue")?,
        body: row.get::<_, String>("body")?.into(),
    })
}

fn checkpoint(row: &Row<'_>) -> Result<CheckpointRow> {
    Ok(CheckpointRow {
        tenant: row.get::<_, String>("tenant")?.into(),
        call: call(row, "key")?,
        switch: row.get::<_, String>("switch")?.into(),
        schema: row.get("schema")?,
        opened_at: Wall(row.get("opened_at")?),
        body: row.get::<_, String>("body")?.into(),
    })
}

fn note(row: &Row<'_>) -> Result<NoteRow> {
    Ok(NoteRow {
        tenant: row.get::<_, String>("tenant")?.into(),
        call: call(row, "key")?,
        agent: row.get::<_, String>("agent")?.into(),
        kind: row.get("kind")?,
        at: Wall(row.get("at")?),
        body: row.get::<_, String>("body")?.into(),
    })
}

fn seat(row: &Row<'_>) -> Result<SeatRow> {
    Ok(SeatRow {
        tenant: row.get::<_, String>("tenant")?.into(),
        agent: row.get::<_, String>("agent")?.into(),
        switch: row.get::<_, String>("switch")?.into(),
        device: row.get("device")?,
        from: Wall(row.get("from_at")?),
        to: row.get::<_, Option<i64>>("to_at")?.map(Wall),
        how: row.get("how")?,
        why: row.get("why")?,
    })
}

/// Who did what, newest first.
pub(super) fn audit(conn: &Connection, filter: &AuditFilter) -> Result<Vec<AuditRow>> {
    let (what, begins) = match filter.what.as_deref().map(|what| what.strip_suffix('*').ok_or(what)) {
        None => (None, None),
        Some(Ok(begins)) => (None, Some(begins)),
        Some(Err(what)) => (Some(what), None),
    };
    let tenant = filter.tenant.as_ref().map(TenantId::as_str);
    conn.prepare_cached(
        "SELECT * FROM audit WHERE (?1 IS NULL OR who = ?1) AND (?2 IS NULL OR what = ?2)
         AND (?3 IS NULL OR substr(what, 1, length(?3)) = ?3) AND (?4 IS NULL OR key = ?4)
         AND (?5 IS NULL OR tenant = ?5) ORDER BY id DESC LIMIT ?6",
    )?
    .query_map(params![filter.who, what, begins, filter.about, tenant, filter.limit], |row| {
        Ok(AuditRow {
            tenant: row.get::<_, String>("tenant")?.into(),
            at: Wall(row.get("at")?),
            who: row.get("who")?,
            what: row.get("what")?,
            about: row.get("key")?,
            reason: row.get("reason")?,
        })
    })?
    .collect()
}

/// Who sits where: those who sit there still, oldest first.
pub(super) fn seats(conn: &Connection) -> Result<Vec<SeatRow>> {
    conn.prepare_cached("SELECT * FROM seats WHERE to_at IS NULL ORDER BY from_at, key")?.query_map([], seat)?.collect()
}

/// Customers who are to be called back still, oldest first.
pub(super) fn callbacks(conn: &Connection) -> Result<Vec<CallbackRow>> {
    let made = |row: &Row<'_>| {
        Ok(CallbackRow {
            tenant: row.get::<_, String>("tenant")?.into(),
            id: call(row, "key")?,
            at: Wall(row.get("at")?),
            open: row.get("open")?,
            body: row.get::<_, String>("body")?.into(),
        })
    };
    conn.prepare_cached("SELECT * FROM callbacks WHERE open = 1 ORDER BY key")?.query_map([], made)?.collect()
}

/// What each agent was last, apart from calls.
pub(super) fn states(conn: &Connection) -> Result<Vec<StateRow>> {
    let made = |row: &Row<'_>| {
        Ok(StateRow {
            tenant: row.get::<_, String>("tenant")?.into(),
            agent: row.get::<_, String>("key")?.into(),
            state: row.get("state")?,
            reason: row.get("reason")?,
            since: Wall(row.get("since")?),
        })
    };
    conn.prepare_cached("SELECT * FROM agent_states ORDER BY tenant, key")?.query_map([], made)?.collect()
}

/// Who sat where, newest first.
pub(super) fn sat(conn: &Connection, limit: u32) -> Result<Vec<SeatRow>> {
    conn.prepare_cached("SELECT * FROM seats ORDER BY from_at DESC, key LIMIT ?1")?.query_map([limit], seat)?.collect()
}

pub(super) fn open_calls(conn: &Connection) -> Result<Vec<CheckpointRow>> {
    conn.prepare_cached("SELECT * FROM open_calls ORDER BY opened_at")?.query_map([], checkpoint)?.collect()
}

/// Up to where a switch's own records were read.
pub(super) fn position(conn: &Connection, tenant: &TenantId, switch: &SwitchId) -> Result<Option<String>> {
    conn.prepare_cached("SELECT body FROM positions WHERE tenant = ?1 AND key = ?2")?
        .query_row(params![tenant.as_str(), switch.as_str()], |row| row.get(0))
        .optional()
}

/// Bodies of records of calls that ended in this time.
pub(super) fn ended(conn: &Connection, from: Wall, to: Wall) -> Result<Vec<Private<String>>> {
    conn.prepare_cached("SELECT body FROM records WHERE ended_at BETWEEN ?1 AND ?2")?
        .query_map(params![from.0, to.0], |row| Ok(row.get::<_, String>(0)?.into()))?
        .collect()
}

/// A tenant's records in the order in which their calls ended, behind one of them.
pub(super) fn ended_after(
    conn: &Connection,
    tenant: &TenantId,
    (after, call): (Wall, Option<CallId>),
    until: Wall,
    most: usize,
) -> Result<Vec<RecordRow>> {
    // Calls that ended in one millisecond go by their ids. Without an id the first of that moment is the next.
    let call = call.map(|call| call.to_string()).unwrap_or_default();
    conn.prepare_cached(
        "SELECT * FROM records WHERE tenant = ?1 AND ended_at >= ?2 AND ended_at < ?4 AND (ended_at > ?2 OR key > ?3)
         ORDER BY ended_at, key LIMIT ?5",
    )?
    .query_map(params![tenant.as_str(), after.0, call, until.0, limit(most)], record)?
    .collect()
}

/// Up to `most` records of calls that ended from then on and before `until`, in the order of their ends, behind the call that was seen last; gives where the next page
/// begins, `None`: that was the last.
pub(super) fn ended_page(
    conn: &Connection,
    (after, call): &(Wall, String),
    until: Wall,
    most: usize,
    take: &mut dyn FnMut(Ended<'_>),
) -> Result<Option<(Wall, String)>> {
    let mut statement = conn.prepare_cached(
        "SELECT tenant, key, ended_at, body,
             (SELECT group_concat(e.operation) FROM effects AS e
                 WHERE e.call = r.key AND e.tenant = r.tenant AND e.state = 'done' AND e.operation IN ('ticket.create', 'ticket.reopen')),
             (SELECT group_concat(o.kind || '=' || o.count) FROM operations AS o WHERE o.key = r.key AND o.tenant = r.tenant)
         FROM records AS r WHERE ended_at >= ?1 AND ended_at < ?3 AND (ended_at > ?1 OR key > ?2) ORDER BY ended_at, key LIMIT ?4",
    )?;
    let mut rows = statement.query(params![after.0, call, until.0, small(most as u64)])?;
    let (mut count, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let tickets = row.get_ref(4)?.as_str_or_null()?.unwrap_or_default();
        let (call, at) = (row.get_ref(1)?.as_str()?, Wall(row.get(2)?));
        take(Ended {
            tenant: row.get_ref(0)?.as_str()?,
            call,
            at,
            body: row.get_ref(3)?.as_str()?,
            ticket_made: tickets.contains("ticket.create"),
            ticket_reopened: tickets.contains("ticket.reopen"),
            operations: row.get_ref(5)?.as_str_or_null()?,
        });
        count += 1;
        if count == most {
            last = Some((at, call.to_owned()));
        }
    }
    Ok(last)
}

/// How many calls ended from then on and before `until`.
pub(super) fn ended_count(conn: &Connection, from: Wall, until: Wall) -> Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM records WHERE ended_at >= ?1 AND ended_at < ?2")?
        .query_row(params![from.0, until.0], |row| Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0)))
}

/// How long agents were in which states, on days from the one to before the other.
pub(super) fn times(conn: &Connection, from: &str, until: &str) -> Result<Vec<TimeRow>> {
    conn.prepare_cached("SELECT * FROM agent_times WHERE day >= ?1 AND day < ?2 ORDER BY day, tenant, key, state")?
        .query_map(params![from, until], |row| {
            Ok(TimeRow {
                tenant: row.get::<_, String>("tenant")?.into(),
                agent: row.get::<_, String>("key")?.into(),
                day: row.get("day")?,
                state: row.get("state")?,
                ms: unsigned(row, "ms")?,
            })
        })?
        .collect()
}

pub(super) fn history(conn: &Connection, key: &CallKey) -> Result<History> {
    let (tenant, id) = (key.tenant.as_str(), key.call.to_string());
    let at = params![tenant, id];
    Ok(History {
        record: conn
            .prepare_cached("SELECT * FROM records WHERE tenant = ?1 AND key = ?2")?
            .query_row(at, record)
            .optional()?,
        checkpoint: conn
            .prepare_cached("SELECT * FROM open_calls WHERE tenant = ?1 AND key = ?2")?
            .query_row(at, checkpoint)
            .optional()?,
        notes: conn
            .prepare_cached("SELECT * FROM notes WHERE tenant = ?1 AND key = ?2 ORDER BY at")?
            .query_map(at, note)?
            .collect::<Result<_>>()?,
        effects: conn
            .prepare_cached(&format!("SELECT {EFFECT} FROM effects WHERE tenant = ?1 AND call = ?2 ORDER BY place"))?
            .query_map(at, effect)?
            .collect::<Result<_>>()?,
    })
}

pub(super) fn choice(conn: &Connection, tenant: &TenantId, number: &str) -> Result<Option<ChoiceRow>> {
    conn.prepare_cached("SELECT * FROM choices WHERE tenant = ?1 AND key = ?2 AND customer IS NOT NULL")?
        .query_row(params![tenant.as_str(), number], |row| {
            Ok(ChoiceRow {
                tenant: tenant.clone(),
                number: number.into(),
                customer: row.get("customer")?,
                call: call(row, "call")?,
                agent: row.get::<_, String>("agent")?.into(),
                at: Wall(row.get("at")?),
            })
        })
        .optional()
}

pub(super) fn contact(conn: &Connection, tenant: &TenantId, customer: &str) -> Result<Option<ContactRow>> {
    conn.prepare_cached("SELECT * FROM contacts WHERE tenant = ?1 AND key = ?2")?
        .query_row(params![tenant.as_str(), customer], |row| {
            Ok(ContactRow {
                tenant: tenant.clone(),
                customer: customer.to_owned(),
                call: call(row, "call")?,
                agent: row.get::<_, Option<String>>("agent")?.map(Into::into),
                at: Wall(row.get("at")?),
            })
        })
        .optional()
}

pub(super) fn records(conn: &Connection, filter: &RecordFilter) -> Result<Vec<RecordRow>> {
    conn.prepare_cached(
        "SELECT * FROM records WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR outcome = ?2) AND (?3 IS NULL OR ended_at >= ?3)
         AND (?5 IS NULL OR ended_at <= ?5) ORDER BY ended_at DESC LIMIT ?4",
    )?
    .query_map(
        params![
            filter.tenant.as_ref().map(|t| t.as_str()),
            filter.outcome,
            filter.since.map(|at| at.0),
            limit(filter.limit),
            filter.until.map(|at| at.0)
        ],
        record,
    )?
    .collect()
}

/// By the index of when calls ended; each text is looked into, so it is for who can wait.
pub(super) fn called(conn: &Connection, since: Wall, most: usize) -> Result<Vec<Called>> {
    conn.prepare_cached(
        "SELECT body ->> '$.switch' AS switch, body ->> '$.trunk' AS trunk,
             coalesce(body ->> '$.dialled.e164', body ->> '$.dialled.short', body ->> '$.dialled.raw') AS dialled, count(*) AS calls
         FROM records WHERE ended_at >= ?1 AND direction = 'inbound' AND switch IS NOT NULL AND dialled IS NOT NULL
         GROUP BY switch, trunk, dialled ORDER BY calls DESC LIMIT ?2",
    )?
    .query_map(params![since.0, limit(most)], |row| {
        Ok(Called {
            switch: row.get::<_, String>("switch")?.into(),
            trunk: row.get("trunk")?,
            dialled: row.get("dialled")?,
            calls: u64::try_from(row.get::<_, i64>("calls")?).unwrap_or(0),
        })
    })?
    .collect()
}

pub(super) fn record_by_call(conn: &Connection, id: CallId) -> Result<Option<RecordRow>> {
    conn.prepare_cached("SELECT * FROM records WHERE key = ?1")?.query_row([id.to_string()], record).optional()
}

pub(super) fn trace(conn: &Connection, id: CallId) -> Result<Option<Private<String>>> {
    conn.prepare_cached("SELECT body FROM traces WHERE key = ?1")?
        .query_row([id.to_string()], |row| Ok(row.get::<_, String>("body")?.into()))
        .optional()
}

pub(super) fn effects(conn: &Connection, filter: &EffectFilter) -> Result<Vec<EffectRow>> {
    let states: Vec<State> = if filter.states.is_empty() {
        vec![State::Waiting, State::Claimed, State::Later, State::Dead, State::Person]
    } else {
        filter.states.clone()
    };
    // The words are ours, never an operator's text.
    let states: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
    conn.prepare(&format!(
        "SELECT {EFFECT} FROM effects WHERE state IN ({}) AND (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR call = ?2)
         AND (?3 IS NULL OR system = ?3) AND (?5 IS NULL OR updated_at >= ?5) AND (?6 IS NULL OR updated_at <= ?6) ORDER BY born_at DESC, place DESC LIMIT ?4",
        states.join(", ")
    ))?
    .query_map(
        params![
            filter.tenant.as_ref().map(|t| t.as_str()),
            filter.call.map(|id| id.to_string()),
            filter.system.as_ref().map(|s| s.as_str()),
            limit(filter.limit),
            filter.since.map(|at| at.0),
            filter.until.map(|at| at.0)
        ],
        effect,
    )?
    .collect()
}

/// By key or the beginning of one; several if it begins several.
pub(super) fn effects_by_key(conn: &Connection, key: &str) -> Result<Vec<EffectRow>> {
    conn.prepare_cached(&format!("SELECT {EFFECT} FROM effects WHERE key >= ?1 AND key < ?1 || 'g' LIMIT 2"))?
        .query_map([key], effect)?
        .collect()
}

/// Of one tenant, or of all: then the indexes alone tell it, and no row is read.
pub(super) fn stats(conn: &Connection, tenant: Option<&TenantId>) -> Result<Stats> {
    let mut out = Stats::default();
    let and = if tenant.is_some() { "AND tenant = ?1" } else { "" };
    let of = || rusqlite::params_from_iter(tenant.map(TenantId::as_str));
    let mut counts = conn.prepare_cached(&format!(
        "SELECT state, count(*) FROM effects WHERE state IN ('waiting', 'claimed', 'later') {and} GROUP BY state
         UNION ALL SELECT state, count(*) FROM effects WHERE state IN ('dead', 'person') {and} GROUP BY state"
    ))?;
    let mut rows = counts.query(of())?;
    while let Some(row) = rows.next()? {
        let word: String = row.get(0)?;
        if let Some(state) = State::from_word(&word) {
            out.outbox.push((state, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)));
        }
    }
    out.oldest_due = conn
        .prepare_cached(&format!(
            "SELECT min(due_at) FROM effects WHERE state IN ('waiting', 'claimed', 'later') {and}"
        ))?
        .query_row(of(), |row| row.get::<_, Option<i64>>(0))?
        .map(Wall);
    out.open_calls = conn
        .prepare_cached(&format!("SELECT count(*) FROM open_calls WHERE true {and}"))?
        .query_row(of(), |row| row.get::<_, i64>(0))?
        .try_into()
        .unwrap_or(0);
    let count = |what: &str| {
        conn.prepare_cached(&format!("SELECT count(*) FROM flows WHERE {what} = 1 {and}"))?
            .query_row(of(), |row| row.get::<_, i64>(0))
            .map(|n| u64::try_from(n).unwrap_or(0))
    };
    (out.flows_open, out.flows_person) = (count("open")?, count("person")?);
    out.differences = super::differences::counts(conn, tenant)?;
    Ok(out)
}

pub(super) fn limit(wanted: usize) -> i64 {
    if wanted == 0 { 100 } else { small(wanted as u64) }
}

pub(super) fn call(row: &Row<'_>, column: &str) -> Result<CallId> {
    row.get::<_, String>(column)?.parse().map_err(|e: ulid::DecodeError| unread(e.into()))
}

fn unsigned(row: &Row<'_>, column: &str) -> Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn private(row: &Row<'_>, column: &str) -> Result<Option<Private<String>>> {
    Ok(row.get::<_, Option<String>>(column)?.map(Into::into))
}

fn unread(why: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why)
}
