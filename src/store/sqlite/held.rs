//! Rows of a person: found in every table, and removed or emptied in one transaction.
//!
//! No index knows in which rows a number stands, so every row is read once. That is seconds for a million calls, on a connection beside the
//! daemon's, and asked for a few times a year; an index of people would have to be kept at every call and would itself hold everybody's number.

use std::collections::BTreeSet;

use rusqlite::{Connection, Result, params, params_from_iter, types::Value};

use crate::{
    private::Private,
    store::held::{Fate, Held, Row, Shelf},
    words::{CallId, TenantId, Wall},
};

/// How a table is read: its name, the columns that hold texts, and expressions for the rest.
struct Table {
    name: &'static str,
    numbered: bool,
    call: &'static str,
    at: &'static str,
    state: &'static str,
    open: &'static str,
    texts: &'static [&'static str],
}

const fn table(shelf: Shelf) -> Table {
    let numbered = !matches!(shelf, Shelf::Choices | Shelf::Contacts);
    let (name, call, at, state, open, texts): (_, _, _, _, _, &[&str]) = match shelf {
        Shelf::Records => ("records", "key", "coalesce(ended_at, started_at)", "NULL", "0", &["body"]),
        Shelf::OpenCalls => ("open_calls", "key", "opened_at", "NULL", "1", &["body"]),
        Shelf::Notes => ("notes", "key", "at", "kind", "0", &["body"]),
        Shelf::Effects => (
            "effects",
            "call",
            "born_at",
            "state",
            "state IN ('waiting', 'claimed', 'later')",
            &["inputs", "result", "reason", "digest"],
        ),
        Shelf::Traces => ("traces", "key", "at", "NULL", "0", &["body"]),
        Shelf::Callbacks => ("callbacks", "key", "at", "NULL", "open", &["body"]),
        Shelf::Choices => ("choices", "call", "at", "NULL", "0", &["customer"]),
        Shelf::Contacts => ("contacts", "call", "at", "NULL", "0", &[]),
        Shelf::Flows => ("flows", "call", "born_at", "state", "open", &["body"]),
        Shelf::FlowWords => ("flow_words", "NULL", "at", "NULL", "0", &["body"]),
        Shelf::Differences => ("differences", "call", "at", "state", "0", &["what"]),
        Shelf::Audit => ("audit", "NULL", "at", "what", "0", &["key", "reason"]),
    };
    Table { name, numbered, call, at, state, open, texts }
}

/// Rows of a tenant that are of one of these calls, or in which `stands_in` finds what it looks for.
pub(super) fn find(
    conn: &Connection,
    tenant: &TenantId,
    calls: &BTreeSet<CallId>,
    stands_in: &dyn Fn(&str) -> bool,
) -> Result<Vec<Held>> {
    let mut all = Vec::new();
    for shelf in Shelf::ALL {
        let Table { name, numbered, call, at, state, open, texts } = table(shelf);
        let rowid = if numbered { "rowid" } else { "NULL" };
        let texts_sql: String = texts.iter().map(|text| format!(", {text}")).collect();
        // A word belongs to its flow.
        let key_of = if shelf == Shelf::FlowWords { "flow" } else { "key" };
        let mut statement = conn.prepare(&format!(
            "SELECT {rowid}, {key_of}, {call}, {at}, {state}, {open}{texts_sql} FROM {name} WHERE tenant = ?1"
        ))?;
        let mut rows = statement.query([tenant.as_str()])?;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(1)?.as_str()?;
            let id: Option<CallId> = row.get_ref(2)?.as_str_or_null()?.and_then(|id| id.parse().ok());
            let mut wanted = id.is_some_and(|id| calls.contains(&id)) || stands_in(key);
            for n in 0..texts.len() {
                wanted = wanted || row.get_ref(6 + n)?.as_str_or_null()?.is_some_and(stands_in);
            }
            if !wanted {
                continue;
            }
            let mut held_texts = Vec::new();
            for (n, column) in texts.iter().enumerate() {
                if let Some(text) = row.get::<_, Option<String>>(6 + n)? {
                    held_texts.push((*column, text.into()));
                }
            }
            all.push(Held {
                shelf,
                row: row.get::<_, Option<i64>>(0)?.map_or(Row::Key, Row::Number),
                key: Private::new(key.to_owned()),
                call: id,
                at: row.get::<_, Option<i64>>(3)?.map(Wall),
                state: row.get(4)?,
                open: row.get(5)?,
                texts: held_texts,
            });
        }
    }
    Ok(all)
}

/// Changes one row as it was read; false: it is another by now.
pub(super) fn change(conn: &Connection, tenant: &TenantId, held: &Held, fate: &Fate, now: Wall) -> Result<bool> {
    let Table { name, open, state, texts: columns, .. } = table(held.shelf);
    let (place, mut values) = match held.row {
        Row::Number(n) => ("rowid = ?", vec![Value::from(n)]),
        Row::Key => ("key = ?", vec![Value::from(held.key.expose().clone())]),
    };
    values.push(Value::from(tenant.as_str().to_owned()));
    let text =
        |column: &str| held.texts.iter().find(|(name, _)| *name == column).map(|(_, text)| text.expose().clone());
    let mut same: String = columns.iter().map(|column| format!(" AND {column} IS ?")).collect();
    values.extend(columns.iter().map(|column| Value::from(text(column))));
    if state != "NULL" {
        same.push_str(&format!(" AND {state} IS ?"));
        values.push(Value::from(held.state.clone()));
    }
    // What became open since is somebody's work again.
    let still = if held.open { String::new() } else { format!(" AND NOT ({open})") };
    let (done, set) = match fate {
        Fate::Removed => (format!("DELETE FROM {name}"), Vec::new()),
        Fate::Rewritten { texts, dropped } => {
            let mut columns: Vec<String> = texts.iter().map(|(column, _)| format!("{column} = ?")).collect();
            let mut set: Vec<Value> = texts.iter().map(|(_, text)| Value::from(text.clone())).collect();
            if *dropped {
                columns.extend(["state = 'dropped'".to_owned(), "updated_at = ?".to_owned()]);
                set.push(Value::from(now.0));
            }
            (format!("UPDATE {name} SET {}", columns.join(", ")), set)
        }
    };
    let sql = format!("{done} WHERE {place} AND tenant = ?{same}{still}");
    Ok(conn.execute(&sql, params_from_iter(set.into_iter().chain(values)))? == 1)
}

/// Removes what is older than a tenant keeps: of calls that ended before, all that is of them, and nothing that is still to be done. Answers how many
/// calls went; fewer than `most`: no more are left.
pub(super) fn prune(conn: &Connection, tenant: &TenantId, before: Wall, most: usize) -> Result<usize> {
    let (wanted, most) = (most, super::write::small(most as u64));
    let calls: Vec<String> = conn
        .prepare_cached(
            "SELECT key FROM records WHERE tenant = ?1 AND ended_at < ?2
             AND NOT EXISTS (SELECT 1 FROM effects AS e WHERE e.tenant = ?1 AND e.call = records.key AND e.state IN ('waiting', 'claimed', 'later'))
             AND NOT EXISTS (SELECT 1 FROM flows AS f WHERE f.call = records.key AND f.tenant = ?1 AND f.open = 1)
             AND NOT EXISTS (SELECT 1 FROM callbacks AS c WHERE c.key = records.key AND c.tenant = ?1 AND c.open = 1)
             ORDER BY ended_at LIMIT ?3",
        )?
        .query_map(params![tenant.as_str(), before.0, most], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for call in &calls {
        for sql in [
            "DELETE FROM flow_words WHERE tenant = ?1 AND flow IN (SELECT key FROM flows WHERE tenant = ?1 AND call = ?2)",
            "DELETE FROM flows WHERE tenant = ?1 AND call = ?2",
            "DELETE FROM notes WHERE tenant = ?1 AND key = ?2",
            "DELETE FROM operations WHERE tenant = ?1 AND key = ?2",
            "DELETE FROM effects WHERE tenant = ?1 AND call = ?2",
            "DELETE FROM traces WHERE tenant = ?1 AND key = ?2",
            "DELETE FROM callbacks WHERE tenant = ?1 AND key = ?2",
            "DELETE FROM records WHERE tenant = ?1 AND key = ?2",
        ] {
            conn.prepare_cached(sql)?.execute(params![tenant.as_str(), call])?;
        }
    }
    // What was learned of people beside their calls is as old as its last call. Looked through once, behind the last of the calls.
    let last = calls.len() < wanted;
    let beside = [
        "DELETE FROM choices WHERE tenant = ?1 AND at < ?2",
        "DELETE FROM contacts WHERE tenant = ?1 AND at < ?2",
        "DELETE FROM differences WHERE tenant = ?1 AND at < ?2",
        "DELETE FROM flows WHERE tenant = ?1 AND open = 0 AND call IS NULL AND updated_at < ?2",
        "DELETE FROM agent_times WHERE tenant = ?1 AND day < date(?2 / 1000, 'unixepoch')",
    ];
    for sql in beside.into_iter().filter(|_| last) {
        conn.prepare_cached(sql)?.execute(params![tenant.as_str(), before.0])?;
    }
    Ok(calls.len())
}

/// Removes audit rows of before; a few at a time, so that no commit waits for it.
pub(super) fn prune_audit(conn: &Connection, tenant: &TenantId, before: Wall, most: usize) -> Result<usize> {
    conn.prepare_cached(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE tenant = ?1 AND at < ?2 ORDER BY id LIMIT ?3)",
    )?
    .execute(params![tenant.as_str(), before.0, super::write::small(most as u64)])
}
