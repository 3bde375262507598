//! `numbers audit`: what is wrong with the numbers that a business system holds.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Write},
};

use super::{Exit, fail, wrong};
use crate::{
    connectors::{
        Connectors,
        audit::{Audit, Counts, Finding, harmless},
        index::live::{Progress, walk},
    },
    daemon::{cli::Numbers, load},
    words::SystemId,
};

pub fn numbers(verb: Numbers) -> Exit {
    let Numbers::Audit { connector, folder, json, excel } = verb;
    let loaded = match load::load(&folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    let set = loaded.live.connectors;
    let Some(system) = set.system(&SystemId::from(connector.as_str())).cloned() else {
        let known: Vec<&str> = set.iter().map(|s| s.id.as_str()).collect();
        return fail(&format!("there is no connector \"{connector}\"; connectors are: {}", known.join(", ")));
    };
    if system.operation("customer.list").is_none() {
        return fail(&format!("{connector} does not offer customer.list: add that operation to its file"));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let connectors = Connectors::keeping(set, loaded.settings.tokens_folder());
    let mut audit = Audit::default();
    let each = |record: &_| audit.record(&system, record);
    let walked = runtime.block_on(walk(&connectors, &system, None, each, shown()));
    if io::stderr().is_terminal() {
        eprintln!();
    }
    if let Err(why) = walked {
        // Half an audit would be taken for a whole one.
        return fail(&format!("{connector} could not be read whole, so nothing is printed: {why}"));
    }
    let (findings, counts) = audit.finish();
    match print(&findings, json, excel) {
        Ok(()) => {}
        // Whoever reads may have seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => return fail(&format!("cannot write: {error}")),
    }
    eprintln!("{}", said(&counts, json));
    Exit::Good
}

/// On a terminal the line is drawn over itself; elsewhere one line for every hundred pages.
fn shown() -> impl FnMut(Progress) {
    let terminal = io::stderr().is_terminal();
    move |progress| {
        let of = progress.of.map_or_else(String::new, |of| format!(" of {of}"));
        let line = format!("page {}: {}{of} customers", progress.pages, progress.customers);
        if terminal {
            eprint!("\r{line}");
        } else if progress.pages.is_multiple_of(100) {
            eprintln!("{line}");
        }
    }
}

fn print(findings: &[Finding], json: bool, excel: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        for finding in findings {
            serde_json::to_writer(&mut out, finding)?;
            out.write_all(b"\n")?;
        }
        return out.flush();
    }
    if excel {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let end = if excel { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
    let mut sheet = csv::WriterBuilder::new().terminator(end).from_writer(out);
    sheet.write_record(Finding::HEAD)?;
    for finding in findings {
        let cells = finding.columns().map(|cell| if excel { harmless(cell) } else { Cow::Borrowed(cell) });
        sheet.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
    }
    sheet.flush()
}

fn said(counts: &Counts, json: bool) -> String {
    if json {
        return serde_json::to_string(counts).unwrap_or_default();
    }
    let Counts { customers, numbers, unreadable, shared, extensions, full_width } = counts;
    format!(
        "{customers} customers, {numbers} numbers: {unreadable} unreadable, {shared} shared, {extensions} with an extension, {full_width} in full-width digits"
    )
}
