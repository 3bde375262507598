//! Who sends what, and how it went; inside a transaction that the caller holds.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::{
    store::rows::{Claim, Decided, EffectRow, Next, Settled, State},
    words::{SystemId, Wall},
};

use super::{read, write::Who, write::small};

/// Marks what is due as claimed and `unsure` and hands it out as it was before. From this commit on, whoever finds the row
/// claimed and its deliverer gone knows that the request may have left: the intent is durable before the effect.
pub(super) fn claim(conn: &Connection, who: &Who<'_>, claim: &Claim) -> Result<Vec<EffectRow>> {
    let systems: Vec<String> = conn
        .prepare_cached("SELECT DISTINCT system FROM effects WHERE state IN ('waiting', 'claimed', 'later')")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let mut out = Vec::new();
    for system in systems {
        let system: SystemId = system.into();
        let room = claim.room.iter().find(|(id, _)| *id == system).map_or(claim.room_else, |(_, room)| *room);
        if room > 0 {
            claim_of(conn, who, claim, &system, room, &mut out)?;
        }
    }
    Ok(out)
}

fn claim_of(
    conn: &Connection,
    who: &Who<'_>,
    claim: &Claim,
    system: &SystemId,
    room: usize,
    out: &mut Vec<EffectRow>,
) -> Result<()> {
    // The three states are named first so that the partial index serves. Order within a call: an open effect with a lower place holds back those behind it, whichever system it is for.
    let rows: Vec<EffectRow> = conn
        .prepare_cached(&format!(
            "SELECT {} FROM effects WHERE system = ?1 AND state IN ('waiting', 'claimed', 'later') AND (
                 (state IN ('waiting', 'later') AND due_at <= ?2)
                 OR (state = 'claimed' AND (lease <= ?2 OR (fence <> ?3 AND updated_at <= ?4))))
             AND NOT EXISTS (SELECT 1 FROM effects AS before WHERE before.tenant = effects.tenant AND before.call = effects.call
                 AND before.place < effects.place AND before.state IN ('waiting', 'claimed', 'later'))
             ORDER BY due_at LIMIT ?5",
            read::EFFECT
        ))?
        .query_map(
            params![
                system.as_str(),
                claim.now.0,
                small(who.fence),
                claim.now.plus_ms(-claim.quiet_ms).0,
                i64::try_from(room).unwrap_or(i64::MAX)
            ],
            read::effect,
        )?
        .collect::<Result<_>>()?;
    for mut row in rows {
        conn.prepare_cached(
            "UPDATE effects SET state = 'claimed', unsure = 1, owner = ?3, fence = ?4, lease = ?5, updated_at = ?6
             WHERE tenant = ?1 AND key = ?2",
        )?
        .execute(params![
            row.tenant.as_str(),
            row.key,
            who.owner,
            small(who.fence),
            claim.now.plus_ms(claim.lease_ms).0,
            claim.now.0
        ])?;
        if row.base != row.key {
            row.base_result = conn
                .prepare_cached("SELECT result FROM effects WHERE tenant = ?1 AND key = ?2")?
                .query_row(params![row.tenant.as_str(), row.base], |r| r.get::<_, Option<String>>(0))
                .optional()?
                .flatten()
                .map(Into::into);
        }
        row.record = conn
            .prepare_cached("SELECT body FROM records WHERE tenant = ?1 AND key = ?2")?
            .query_row(params![row.tenant.as_str(), row.call.to_string()], |r| r.get::<_, String>(0))
            .optional()?
            .map(Into::into);
        row.state = State::Claimed;
        row.fence = who.fence;
        row.updated_at = claim.now;
        out.push(row);
    }
    Ok(())
}

/// What a claimed effect is from now on. Returns whether it was still the claimer's.
pub(super) fn decide(conn: &Connection, decided: &Decided) -> Result<bool> {
    let changed = conn
        .prepare_cached(
            "UPDATE effects SET operation = ?3, inputs = ?4, updated_at = ?5 WHERE key = ?1 AND state = 'claimed' AND fence = ?2",
        )?
        .execute(params![
            decided.key,
            small(decided.fence),
            decided.operation,
            decided.inputs.expose(),
            decided.at.0
        ])?;
    Ok(changed > 0)
}

/// Returns whether the settlement was that of the claimer; a late one of an older claim changes nothing.
pub(super) fn settle(conn: &Connection, settled: &Settled) -> Result<bool> {
    let at = settled.at.0;
    let (state, due_at, reason, unsure, tried, result) = match &settled.next {
        Next::Done { result } => (State::Done, None, None, false, 1, result.as_ref().map(|r| r.expose().as_str())),
        Next::Later { due_at, reason, unsure } => {
            (State::Later, Some(due_at.0), Some(reason.as_str()), *unsure, 1, None)
        }
        Next::Dead { reason, unsure } => (State::Dead, None, Some(reason.as_str()), *unsure, 1, None),
        Next::Person { reason } => (State::Person, None, Some(reason.as_str()), true, 1, None),
        Next::Back { unsure } => (State::Later, None, None, *unsure, 0, None),
        Next::Elsewhere => (State::Later, None, None, false, 0, None),
    };
    let changed = conn
        .prepare_cached(
            "UPDATE effects SET state = CASE WHEN ?3 = 'later' AND attempts + ?7 = 0 THEN 'waiting' ELSE ?3 END,
                 due_at = coalesce(?4, due_at), reason = ?5, unsure = ?6, attempts = attempts + ?7,
                 result = coalesce(?8, result), lease = NULL, updated_at = ?9,
                 version = CASE WHEN ?10 THEN NULL ELSE version END
             WHERE key = ?1 AND state = 'claimed' AND fence = ?2",
        )?
        .execute(params![
            settled.key,
            small(settled.fence),
            state.as_str(),
            due_at,
            reason,
            unsure,
            tried,
            result,
            at,
            settled.next == Next::Elsewhere
        ])?;
    Ok(changed > 0)
}

/// A person sends it again, now, with 72 fresh hours. Where nobody could know whether the system has it, the person has looked.
pub(super) fn retry(conn: &Connection, row: &EffectRow, now: Wall) -> Result<bool> {
    let unsure = row.unsure && row.state != State::Person;
    let changed = conn.execute(
        "UPDATE effects SET state = CASE WHEN ?4 THEN 'later' ELSE 'waiting' END, due_at = ?3, born_at = ?3, attempts = 0,
             unsure = ?4, reason = NULL, lease = NULL, updated_at = ?3 WHERE tenant = ?1 AND key = ?2 AND digest <> ''",
        params![row.tenant.as_str(), row.key, now.0, unsure],
    )?;
    Ok(changed == 1)
}

pub(super) fn drop(conn: &Connection, row: &EffectRow, reason: &str, now: Wall) -> Result<()> {
    conn.execute(
        "UPDATE effects SET state = 'dropped', reason = ?3, lease = NULL, updated_at = ?4 WHERE tenant = ?1 AND key = ?2",
        params![row.tenant.as_str(), row.key, reason, now.0],
    )?;
    Ok(())
}
