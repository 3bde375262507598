//! What is kept of failing requests and of how systems stand, on disk, so that `linecard evidence` and `linecard connector list` can read it whether the daemon runs or not.

use std::{fs, io, path::Path, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{Failure, Ring};
use crate::{connectors::Connectors, live::now, words::SystemId};

/// What is lost of it when the process is killed.
const EVERY: Duration = Duration::from_secs(2);
const STANDING: &str = "standing.json";

/// Keeps both in `folder` for as long as the daemon runs.
pub async fn keep(connectors: Connectors, folder: PathBuf) {
    let prepared = folder.clone();
    let ready = tokio::task::spawn_blocking(move || prepare(&prepared)).await;
    if let Ok(Err(error)) | Err(error) = ready.map_err(io::Error::other) {
        tracing::warn!(folder = %folder.display(), %error, "failing requests are not kept for linecard evidence");
        return;
    }
    for system in connectors.files() {
        let path = path(&folder, &system);
        if let Ok(Ok(lines)) = tokio::task::spawn_blocking(move || fs::read_to_string(path)).await {
            connectors.remember(&system, Ring::read(&lines));
        }
    }
    let mut clock = tokio::time::interval(EVERY);
    let mut told = false;
    loop {
        clock.tick().await;
        let systems: Vec<Value> = connectors.standing().iter().map(|standing| standing.json()).collect();
        let mut files = vec![(folder.join(STANDING), json!({"at": now().wall, "systems": systems}).to_string())];
        let lines = |system| Some((path(&folder, &system), connectors.evidence(&system)?));
        files.extend(connectors.files().into_iter().filter_map(lines));
        let written = tokio::task::spawn_blocking(move || files.iter().try_for_each(|(path, text)| write(path, text)));
        match written.await {
            Ok(Err(error)) if !told => {
                tracing::warn!(folder = %folder.display(), %error, "failing requests are not kept for linecard evidence");
                told = true;
            }
            Ok(Ok(())) => told = false,
            _ => {}
        }
    }
}

/// The last failing requests of a system; none where nothing is kept.
///
/// # Errors
/// They are kept and cannot be read.
pub fn read(folder: &Path, system: &SystemId) -> io::Result<Vec<Failure>> {
    match fs::read_to_string(path(folder, system)) {
        Ok(lines) => Ok(Ring::read(&lines).iter().cloned().collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// How the systems stood when the daemon last said so.
#[must_use]
pub fn standing(folder: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(folder.join(STANDING)).ok()?).ok()
}

fn path(folder: &Path, system: &SystemId) -> PathBuf {
    // An id is a file's name without its ending, so it is one here too.
    folder.join(format!("{system}.jsonl"))
}

fn prepare(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, path)
}
