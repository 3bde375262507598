//! What the sides tell differently, as it was found last and as a person left it.

use rusqlite::{Connection, Result, Row, params};

use crate::{
    store::rows::{Compared, DifferenceRow},
    words::{TenantId, Wall},
};

use super::{
    read::{call, limit},
    write::Who,
};

pub(super) fn write(conn: &Connection, who: &Who<'_>, compared: &Compared) -> Result<()> {
    let tenant = compared.tenant.as_str();
    for row in &compared.found {
        // What a person accepted stays so; what was mended and is there again is open again.
        conn.prepare_cached(
            "INSERT INTO differences (tenant, key, revision, schema, owner, fence, kind, at, switch, system, call, effect, what, place, state, seen_at)
             VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'open', ?13)
             ON CONFLICT (key, tenant) DO UPDATE SET revision = revision + 1, owner = excluded.owner, fence = excluded.fence, what = excluded.what,
                 place = excluded.place, seen_at = excluded.seen_at,
                 state = CASE WHEN state IN ('accepted', 'wanted') THEN state ELSE 'open' END",
        )?
        .execute(params![
            tenant,
            row.id,
            who.owner,
            who.fence(),
            row.kind,
            row.at.0,
            row.switch.as_ref().map(|switch| switch.as_str()),
            row.system.as_ref().map(|system| system.as_str()),
            row.call.map(|call| call.to_string()),
            row.effect,
            row.what,
            row.place,
            compared.at.0,
        ])?;
    }
    for (kind, of) in &compared.asked {
        conn.prepare_cached(
            "UPDATE differences SET state = 'gone', revision = revision + 1 WHERE tenant = ?1 AND kind = ?2
             AND (?3 IS NULL OR coalesce(switch, system) = ?3) AND at BETWEEN ?4 AND ?5 AND seen_at < ?6 AND state = 'open'",
        )?
        .execute(params![tenant, kind, of, compared.from.0, compared.to.0, compared.at.0])?;
    }
    Ok(())
}

fn difference(row: &Row<'_>) -> Result<DifferenceRow> {
    let call = match row.get_ref("call")?.as_str_or_null()? {
        Some(_) => Some(call(row, "call")?),
        None => None,
    };
    Ok(DifferenceRow {
        tenant: row.get::<_, String>("tenant")?.into(),
        id: row.get("key")?,
        kind: row.get("kind")?,
        at: Wall(row.get("at")?),
        switch: row.get::<_, Option<String>>("switch")?.map(Into::into),
        system: row.get::<_, Option<String>>("system")?.map(Into::into),
        call,
        effect: row.get("effect")?,
        what: row.get("what")?,
        place: row.get("place")?,
        state: row.get("state")?,
        seen_at: Wall(row.get("seen_at")?),
    })
}

/// Oldest first; without `all` only those that nobody mended or accepted.
pub(super) fn list(conn: &Connection, tenant: Option<&TenantId>, all: bool, most: usize) -> Result<Vec<DifferenceRow>> {
    conn.prepare_cached(
        "SELECT * FROM differences WHERE (?1 OR state IN ('open', 'wanted')) AND (?2 IS NULL OR tenant = ?2)
         ORDER BY at, key LIMIT ?3",
    )?
    .query_map(params![all, tenant.map(TenantId::as_str), limit(most)], difference)?
    .collect()
}

/// What was found of a time and stood: not what was gone at a later look, nor what a person accepted. Tenant, kind, when.
pub(super) fn of_time(
    conn: &Connection,
    from: Wall,
    until: Wall,
    take: &mut dyn FnMut(&str, &str, Wall),
) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT tenant, kind, at FROM differences WHERE at >= ?1 AND at < ?2 AND state IN ('open', 'wanted', 'mended') ORDER BY at",
    )?;
    let mut rows = statement.query(params![from.0, until.0])?;
    while let Some(row) = rows.next()? {
        take(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, Wall(row.get(2)?));
    }
    Ok(())
}

/// Those that a person wants mended at a switch.
pub(super) fn wanted(conn: &Connection, switch: &str) -> Result<Vec<DifferenceRow>> {
    conn.prepare_cached("SELECT * FROM differences WHERE state = 'wanted' AND switch = ?1 ORDER BY at, key LIMIT 100")?
        .query_map([switch], difference)?
        .collect()
}

/// By its id or the beginning of it; several if it begins several.
pub(super) fn by_id(conn: &Connection, id: &str) -> Result<Vec<DifferenceRow>> {
    conn.prepare_cached("SELECT * FROM differences WHERE substr(key, 1, length(?1)) = ?1 LIMIT 2")?
        .query_map([id], difference)?
        .collect()
}

pub(super) fn set(conn: &Connection, row: &DifferenceRow, state: &str) -> Result<()> {
    conn.prepare_cached("UPDATE differences SET state = ?3, revision = revision + 1 WHERE tenant = ?1 AND key = ?2")?
        .execute(params![row.tenant.as_str(), row.id, state])?;
    Ok(())
}

pub(super) fn counts(conn: &Connection, tenant: Option<&TenantId>) -> Result<Vec<(String, u64)>> {
    conn.prepare_cached(
        "SELECT kind, count(*) FROM differences WHERE state IN ('open', 'wanted') AND (?1 IS NULL OR tenant = ?1) GROUP BY kind",
    )?
    .query_map([tenant.map(TenantId::as_str)], |row| {
        Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
    })?
    .collect()
}
