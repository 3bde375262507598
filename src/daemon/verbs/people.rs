//! `people`: what is held of one person, for the person; and its end.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{Exit, fail, settings_of};
use crate::{
    daemon::{
        cli::{Held as Of, People},
        settings::Settings,
    },
    live::{http_client, now},
    numbers::Sought,
    privacy::trail::{self, Report},
    recordings::folder,
    store::{AuditRow, Reader, StoreError, held::Held},
    words::{CallId, TenantId},
};

pub fn people(verb: People) -> Exit {
    match verb {
        People::Export { of } => with(&of, |holdings| {
            let Holdings { reader, sought, tenant, held, calls, .. } = holdings;
            let at = now().wall;
            // Whoever takes somebody's data out is on record before it is out.
            let audit = audit(&tenant, "people.export", format!("{} rows of {} calls", held.len(), calls.len()));
            reader.note(audit).map_err(told)?;
            let shown = trail::export(&tenant, sought.number(), &held, &calls, at);
            println!("{}", serde_json::to_string_pretty(&shown).unwrap_or_default());
            Ok(())
        }),
        People::Erase { of, why, drop_waiting, json } => with(&of, |holdings| {
            let Holdings { settings, reader, sought, tenant, held, calls } = holdings;
            if sought.stands_in(&why) {
                return Err("the number is not to stand in --why, which is kept".to_owned());
            }
            let plan = trail::plan(held, &calls, &sought, now().wall, drop_waiting)
                .map_err(|why| format!("nothing was erased:\n  {}", why.join("\n  ")))?;
            let mut report = plan.report;
            // Files first: when one cannot be removed, the record that names it must stay.
            for (call, switch, name) in &plan.recordings {
                if let Some(left) = removed(&settings, *call, switch, name)? {
                    report.recordings_left.push(left);
                }
            }
            let audit = audit(&tenant, "people.erase", format!("{why}; {}", line(&report)));
            reader.erase(&plan.changes, &audit).map_err(|error| {
                match plan.recordings.len() - report.recordings_left.len() {
                    0 => error.to_string(),
                    n => format!("{error} ({n} recordings were removed already)"),
                }
            })?;
            let cache = forget(&settings, &tenant, sought.number().key().unwrap_or_default());
            if json {
                println!("{}", json!({"erased": report, "looked_up_dropped": cache.as_ref().ok()}));
            } else {
                println!("{}", line(&report));
                for left in &report.recordings_left {
                    println!("left: {left}");
                }
                match &cache {
                    Ok(n) => println!("the daemon dropped {n} answers that it had looked up"),
                    Err(why) => println!("{why}"),
                }
                println!(
                    "not erased: what the business systems hold (the index of numbers follows them with its next walk), the \
                     switch's own records, and copies of the store, one that was set aside as damaged too"
                );
            }
            Ok(())
        }),
    }
}

/// What is held of a number, read.
struct Holdings {
    settings: Settings,
    reader: Reader,
    sought: Sought,
    tenant: TenantId,
    held: Vec<Held>,
    calls: BTreeSet<CallId>,
}

fn with(of: &Of, work: impl FnOnce(Holdings) -> Result<(), String>) -> Exit {
    let settings = match settings_of(&of.folder) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let tenant = of.tenant.clone().map_or_else(TenantId::default, TenantId::from);
    let done = Sought::new(&settings.plan(), &of.number).map_err(str::to_owned).and_then(|sought| {
        let reader = Reader::open(&settings.store).map_err(told)?;
        let named = reader.held(&tenant, &BTreeSet::new(), &|text| sought.stands_in(text)).map_err(told)?;
        let calls = trail::calls_of(&named, &sought)?;
        // All that is of these calls, and what stands elsewhere: texts are looked through once.
        let mut held = reader.held(&tenant, &calls, &|_| false).map_err(told)?;
        held.extend(named.into_iter().filter(|row| !row.call.is_some_and(|call| calls.contains(&call))));
        work(Holdings { settings, reader, sought, tenant, held, calls })
    });
    match done {
        Ok(()) => Exit::Good,
        Err(why) => fail(&why),
    }
}

/// By value, for `map_err`.
#[expect(clippy::needless_pass_by_value)]
fn told(error: StoreError) -> String {
    error.to_string()
}

fn audit(tenant: &TenantId, what: &str, reason: String) -> AuditRow {
    AuditRow {
        tenant: tenant.clone(),
        at: now().wall,
        who: "cli".to_owned(),
        what: what.to_owned(),
        // Whose data it was stands nowhere: the row must not say what was just erased.
        about: String::new(),
        reason: Some(reason),
    }
}

/// The report on a line.
fn line(report: &Report) -> String {
    let counts = |verb: &str, counts: &std::collections::BTreeMap<&'static str, usize>| {
        let each: Vec<String> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
        (!each.is_empty()).then(|| format!("{verb} {}", each.join(", ")))
    };
    let parts = [
        counts("emptied", &report.emptied),
        counts("removed", &report.removed),
        counts("took the number out of", &report.taken_out_of),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let calls = format!("{} call{}", report.calls, if report.calls == 1 { "" } else { "s" });
    if parts.is_empty() {
        format!("{calls}: nothing is held any more")
    } else {
        format!("{calls}: {}", parts.join("; "))
    }
}

/// `Some`: a recording that is not ours to remove, in words. `Err`: it must go and does not.
fn removed(settings: &Settings, call: CallId, switch: &str, name: &str) -> Result<Option<String>, String> {
    let place = settings.recordings.place(&switch.into());
    let Some((folder, place)) = place.and_then(|place| Some((place.folder.clone()?, place))) else {
        return Ok(Some(format!(
            "a recording of call {call} lies at switch {switch}, where this program cannot remove it"
        )));
    };
    let Some(steps) = folder::steps(name, place.prefix.as_deref()) else {
        return Ok(Some(format!(
            "a recording of call {call} at switch {switch} has a name that is not below {}",
            folder.display()
        )));
    };
    match folder::live::remove(&folder, steps.expose(), now().wall) {
        Ok(folder::live::Removal::Removed | folder::live::Removal::Missing) => Ok(None),
        Ok(folder::live::Removal::Younger | folder::live::Removal::NotAFile) => {
            Ok(Some(format!("a recording of call {call} at switch {switch} is no file of this call alone")))
        }
        Err(error) => Err(format!(
            "nothing was erased: a recording of call {call} in {} cannot be removed ({})",
            folder.display(),
            error.kind()
        )),
    }
}

/// Has a running daemon drop what it looked up; how many answers went, or why that is not known.
fn forget(settings: &Settings, tenant: &TenantId, number: &str) -> Result<u64, String> {
    let at = settings.admin.listen;
    let asked = async {
        let client = http_client(None, Duration::from_secs(2))?;
        let body = json!({"tenant": tenant, "number": number});
        let request = client.post(format!("http://{at}/v1/people/forget")).body(body.to_string());
        let answer =
            tokio::time::timeout(Duration::from_secs(5), request.send()).await.map_err(|_| "no answer".to_owned())?;
        let answer = answer
            .map_err(|e| if e.is_connect() { "nobody listens there".to_owned() } else { "no answer".to_owned() })?;
        let status = answer.status();
        let read: serde_json::Value =
            serde_json::from_slice(&answer.bytes().await.map_err(|_| "no answer".to_owned())?)
                .map_err(|_| format!("it answered {status}"))?;
        read["dropped"].as_u64().ok_or_else(|| format!("it answered {status}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(asked).map_err(|why: String| {
        format!("no daemon at {at} was told ({why}): if one runs, what it looked up is kept for as long as its connectors say, or until it is restarted")
    })
}
