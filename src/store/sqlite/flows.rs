//! Flows as they stand, what was said to them, and the texts they go by.

use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};

use crate::{
    store::rows::{Batch, FlowDue, FlowFilter, FlowRow, FlowWordRow},
    words::{TenantId, Wall},
};

use super::{
    read::{call, limit},
    write::Who,
};

/// Whether somebody is to be woken by it.
pub(super) fn wakes(batch: &Batch) -> bool {
    !batch.flow_words.is_empty() || batch.flows.iter().any(|row| row.revision == 0)
}

pub(super) fn write(conn: &Connection, who: &Who<'_>, batch: &Batch) -> Result<()> {
    for row in &batch.flow_files {
        conn.prepare_cached(
            "INSERT INTO flow_files (tenant, key, revision, schema, owner, fence, flow, text) VALUES ('', ?1, 1, 1, ?2, ?3, ?4, ?5)
             ON CONFLICT (key, tenant) DO NOTHING",
        )?
        .execute(params![row.hash, who.owner, who.fence(), row.flow, row.text])?;
    }
    for row in &batch.flows {
        flow(conn, who, row)?;
    }
    for row in &batch.flow_words {
        conn.prepare_cached(
            "INSERT INTO flow_words (tenant, key, revision, schema, owner, fence, flow, at, body) VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (key, tenant) DO NOTHING",
        )?
        .execute(params![row.tenant.as_str(), row.id, who.owner, who.fence(), row.flow, row.at.0, row.body.expose()])?;
        conn.prepare_cached("UPDATE flows SET due_at = 0 WHERE key = ?1 AND tenant = ?2 AND open = 1")?
            .execute(params![row.flow, row.tenant.as_str()])?;
    }
    for id in &batch.flow_heard {
        conn.prepare_cached("DELETE FROM flow_words WHERE key = ?1")?.execute([id])?;
    }
    // What was said while a flow was in hand makes it due again, however late it wanted to be.
    for row in batch.flows.iter().filter(|row| row.open) {
        conn.prepare_cached(
            "UPDATE flows SET due_at = 0 WHERE key = ?1 AND tenant = ?2
             AND EXISTS (SELECT 1 FROM flow_words AS w WHERE w.flow = flows.key AND w.tenant = flows.tenant)",
        )?
        .execute(params![row.id, row.tenant.as_str()])?;
    }
    Ok(())
}

fn flow(conn: &Connection, who: &Who<'_>, row: &FlowRow) -> Result<()> {
    let (text, begins) = if row.revision == 0 {
        (
            "INSERT INTO flows (tenant, key, revision, schema, owner, fence, due_at, flow, hash, call, state, open, person, born_at,
                 updated_at, body) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (key, tenant) DO NOTHING",
            true,
        )
    } else {
        (
            "UPDATE flows SET revision = ?3, owner = ?4, fence = ?5, due_at = ?6, flow = ?7, hash = ?8, call = ?9, state = ?10,
                 open = ?11, person = ?12, born_at = ?13, updated_at = ?14, body = ?15
             WHERE tenant = ?1 AND key = ?2 AND revision = ?3 - 1",
            false,
        )
    };
    let changed = conn.prepare_cached(text)?.execute(params![
        row.tenant.as_str(),
        row.id,
        row.revision,
        who.owner,
        who.fence(),
        row.due_at.map(|at| at.0),
        row.flow,
        row.hash,
        row.call.map(|call| call.to_string()),
        row.state,
        row.open,
        row.person,
        row.born_at.0,
        row.updated_at.0,
        row.body.expose(),
    ])?;
    // Two hands at one flow: what the second one knows is not true any more.
    if changed == 1 || begins { Ok(()) } else { Err(Error::StatementChangedRows(changed)) }
}

/// Those that are due, and when the next one will be.
pub(super) fn due(conn: &Connection, now: Wall, most: usize, hand: &[String]) -> Result<(Vec<FlowDue>, Option<Wall>)> {
    let rows: Vec<FlowRow> = conn
        .prepare_cached(
            "SELECT * FROM flows WHERE open = 1 AND due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at LIMIT ?2",
        )?
        .query_map(params![now.0, limit(most + hand.len())], read)?
        .collect::<Result<_>>()?;
    let mut out = Vec::new();
    for row in rows.into_iter().filter(|row| !hand.contains(&row.id)).take(most) {
        let words = words(conn, &row.tenant, &row.id)?;
        out.push(FlowDue { row, words });
    }
    let next = conn
        .prepare_cached("SELECT min(due_at) FROM flows WHERE open = 1 AND due_at IS NOT NULL AND due_at > ?1")?
        .query_row([now.0], |row| row.get::<_, Option<i64>>(0))?;
    Ok((out, next.map(Wall)))
}

pub(super) fn one(conn: &Connection, tenant: &TenantId, id: &str) -> Result<Option<FlowDue>> {
    let row = conn
        .prepare_cached("SELECT * FROM flows WHERE key = ?1 AND tenant = ?2")?
        .query_row(params![id, tenant.as_str()], read)
        .optional()?;
    row.map(|row| Ok(FlowDue { words: words(conn, tenant, id)?, row })).transpose()
}

/// What was said to one and not heard yet.
pub(super) fn words(conn: &Connection, tenant: &TenantId, flow: &str) -> Result<Vec<FlowWordRow>> {
    conn.prepare_cached("SELECT * FROM flow_words WHERE flow = ?1 AND tenant = ?2 ORDER BY id LIMIT 100")?
        .query_map(params![flow, tenant.as_str()], |word| {
            Ok(FlowWordRow {
                tenant: tenant.clone(),
                id: word.get("key")?,
                flow: word.get("flow")?,
                at: Wall(word.get("at")?),
                body: word.get::<_, String>("body")?.into(),
            })
        })?
        .collect()
}

pub(super) fn words_to(conn: &Connection, prefix: &str) -> Result<Vec<(TenantId, String)>> {
    conn.prepare_cached(
        "SELECT DISTINCT tenant, flow FROM flow_words WHERE flow >= ?1 AND substr(flow, 1, length(?1)) = ?1",
    )?
    .query_map([prefix], |row| Ok((row.get::<_, String>(0)?.into(), row.get(1)?)))?
    .collect()
}

/// What was said before to none that goes on: answers that nobody waited for, words to what is over.
pub(super) fn forget_words(conn: &Connection, before: Wall) -> Result<usize> {
    conn.prepare_cached(
        "DELETE FROM flow_words WHERE at < ?1
         AND NOT EXISTS (SELECT 1 FROM flows AS f WHERE f.key = flow_words.flow AND f.tenant = flow_words.tenant AND f.open = 1)",
    )?
    .execute([before.0])
}

pub(super) fn open_after(conn: &Connection, after: &str, most: usize) -> Result<Vec<FlowRow>> {
    conn.prepare_cached("SELECT * FROM flows WHERE open = 1 AND key > ?1 ORDER BY key LIMIT ?2")?
        .query_map(params![after, limit(most)], read)?
        .collect()
}

pub(super) fn file(conn: &Connection, hash: &str) -> Result<Option<String>> {
    conn.prepare_cached("SELECT text FROM flow_files WHERE key = ?1")?.query_row([hash], |row| row.get(0)).optional()
}

pub(super) fn open(conn: &Connection, most: usize) -> Result<Vec<FlowRow>> {
    conn.prepare_cached("SELECT * FROM flows WHERE open = 1 ORDER BY born_at LIMIT ?1")?
        .query_map([limit(most)], read)?
        .collect()
}

pub(super) fn list(conn: &Connection, filter: &FlowFilter) -> Result<Vec<FlowRow>> {
    conn.prepare_cached(
        "SELECT * FROM flows WHERE (?1 IS NULL OR substr(key, 1, length(?1)) = ?1) AND (?2 IS NULL OR call = ?2)
         AND (?3 OR open = 1) AND (NOT ?4 OR person = 1)
         AND (?5 IS NULL OR tenant = ?5) ORDER BY born_at DESC, key LIMIT ?6",
    )?
    .query_map(
        params![
            filter.id,
            filter.call.map(|call| call.to_string()),
            filter.all,
            filter.person,
            filter.tenant.as_ref().map(TenantId::as_str),
            limit(filter.limit)
        ],
        read,
    )?
    .collect()
}

/// Removes flows that were over before, and what was said to them; answers how many. A few at a time, so that no commit waits for it.
pub(super) fn prune(conn: &Connection, before: Wall, most: usize) -> Result<usize> {
    let over: Vec<(String, String)> = conn
        .prepare_cached(
            "SELECT tenant, key FROM flows WHERE open = 0 AND person = 0 AND updated_at < ?1 ORDER BY updated_at LIMIT ?2",
        )?
        .query_map(params![before.0, limit(most)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    for (tenant, key) in &over {
        conn.prepare_cached("DELETE FROM flow_words WHERE flow = ?1 AND tenant = ?2")?.execute([key, tenant])?;
        conn.prepare_cached("DELETE FROM flows WHERE key = ?1 AND tenant = ?2")?.execute([key, tenant])?;
    }
    Ok(over.len())
}

fn read(row: &Row<'_>) -> Result<FlowRow> {
    let of_call = row.get_ref("call")?.as_str_or_null()?.is_some();
    Ok(FlowRow {
        tenant: row.get::<_, String>("tenant")?.into(),
        id: row.get("key")?,
        flow: row.get("flow")?,
        hash: row.get("hash")?,
        call: if of_call { Some(call(row, "call")?) } else { None },
        revision: row.get("revision")?,
        state: row.get("state")?,
        open: row.get("open")?,
        person: row.get("person")?,
        due_at: row.get::<_, Option<i64>>("due_at")?.map(Wall),
        born_at: Wall(row.get("born_at")?),
        updated_at: Wall(row.get("updated_at")?),
        body: row.get::<_, String>("body")?.into(),
    })
}
