//! `sip check`: what becomes of a SIP message, or of a dialog-info document, in a file.

use std::{
    fs,
    io::{self, Write as _},
};

use super::{Exit, fail};
use crate::{daemon::cli::Sip, switches::sip::verdict};

pub fn sip(verb: &Sip) -> Exit {
    let Sip::Check { files } = verb;
    let mut exit = Exit::Good;
    let mut out = io::stdout().lock();
    for file in files {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) => {
                exit = fail(&format!("cannot read {}: {error}", file.display()));
                continue;
            }
        };
        let line = match verdict::judge_file(&bytes) {
            Ok(()) => serde_json::json!({"file": file, "verdict": "accept", "status": null, "reason": null}),
            Err(refusal) => {
                serde_json::json!({"file": file, "verdict": "reject", "status": refusal.status, "reason": refusal.reason})
            }
        };
        // Whoever reads may have seen enough.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    exit
}
