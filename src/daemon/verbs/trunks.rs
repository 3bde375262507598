//! `trunks export`, `trunks import`: the rows as a table for people who keep them in a spreadsheet.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, fchown},
    path::Path,
};

use super::{Exit, fail, wrong};
use crate::{
    daemon::{cli::Trunks, load},
    numbers::trunks::sheet::{self, Sheet},
};

pub fn trunks(verb: &Trunks) -> Exit {
    match verb {
        Trunks::Export { folder } => match load::load(&folder.config, &[]) {
            Ok(loaded) => {
                print!("{}", sheet::write(loaded.live.trunks.rows().map(|row| &**row)));
                Exit::Good
            }
            Err(problems) => wrong(&problems),
        },
        Trunks::Import { file, folder, stdout } => import(file, &folder.config, *stdout),
    }
}

fn import(file: &Path, folder: &Path, stdout: bool) -> Exit {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => return fail(&format!("cannot read {}: {error}", file.display())),
    };
    let name = file.display().to_string();
    let sheet = match sheet::read(&name, &bytes) {
        Ok(sheet) => sheet,
        Err(problems) => return wrong(&problems),
    };
    // The other files say which switches and systems there are; what is wrong with them is told as well.
    let placed = |sheet: &Sheet, problem: crate::files::Problem| {
        if problem.file == "trunks.yaml" { sheet.place(problem) } else { problem }
    };
    match load::load_with(folder, &[], Some(&sheet.yaml)) {
        Ok(loaded) => {
            for note in loaded.notes {
                eprintln!("note: {}", placed(&sheet, note));
            }
        }
        Err(problems) => {
            let problems: Vec<_> = problems.into_iter().map(|p| placed(&sheet, p)).collect();
            return wrong(&problems);
        }
    }
    if stdout {
        print!("{}", sheet.yaml);
        return Exit::Good;
    }
    let target = folder.join("trunks.yaml");
    match write(&target, &sheet.yaml) {
        Ok(kept) => {
            let kept = if kept { "; what was there is trunks.yaml.bak" } else { "" };
            println!("{} row(s) written to {}{kept}", sheet.rows(), target.display());
            Exit::Good
        }
        Err(error) => fail(&format!("cannot write {}: {error}", target.display())),
    }
}

/// Whole or not at all: a daemon that reloads, or a power cut, finds the old rows or the new ones. The remarks at the head of the old file stay.
/// Says whether there was an old file.
fn write(target: &Path, yaml: &str) -> io::Result<bool> {
    let before = match fs::read_to_string(target) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let head: String =
        before.iter().flat_map(|t| t.lines()).take_while(|l| l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    if before.is_some() {
        fs::copy(target, target.with_extension("yaml.bak"))?;
    }
    replace(target, &format!("{head}{yaml}"))?;
    Ok(before.is_some())
}

/// A settings file in the place of another, whole or not at all, with its owner, as far as ours may give it away, and its rights. Where the name is a link the file that it
/// leads to is another one afterwards: people link from the folder to a checkout, which is where they look for the change.
pub fn replace(target: &Path, text: &str) -> io::Result<()> {
    let target = &fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    let fresh = target.with_extension("yaml.new");
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    match fs::metadata(target) {
        Ok(old) => {
            // Most accounts may give a file to a group of theirs, and to nobody else. Rights come last: another owner takes some away.
            if fchown(&file, Some(old.uid()), Some(old.gid())).is_err() {
                let _ = fchown(&file, None, Some(old.gid()));
            }
            file.set_permissions(old.permissions())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.sync_all()?;
    fs::rename(&fresh, target)?;
    if let Some(folder) = target.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
