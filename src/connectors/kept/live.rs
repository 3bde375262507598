//! Tokens on the disk: one file a system in `tokens/` beside the store, for the daemon's account alone (mode 0600). It is written aside, synced and renamed; a lock beside it
//! lets one process at a time use the token up, for a daemon, a `check --probe` and a sign-in may meet.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use tokio::task::spawn_blocking;

use crate::{private::Secret, words::SystemId};

use super::{
    super::{
        Outcome, System,
        index::live::{name, write},
    },
    Refresh, nobody, read, written,
};

/// Where tokens are kept.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    fn path(&self, system: &SystemId) -> PathBuf {
        self.0.join(format!("{}.token", name(system)))
    }

    /// Waits for its turn, then reads what is kept.
    fn open(&self, system: &SystemId, of: &str) -> io::Result<Held> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        self.ours(&self.0)?;
        let beside = self.0.join(format!("{}.lock", name(system)));
        let lock = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&beside)?;
        self.ours(&beside)?;
        lock.lock()?;
        let path = self.path(system);
        let (text, at) = match fs::read_to_string(&path) {
            Ok(text) => (text, fs::metadata(&path)?.modified().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(error) => return Err(error),
        };
        Ok(Held { _lock: lock, folder: self.clone(), path, token: read(&text, of), at })
    }

    /// An administrator signs in as root; what is kept must belong to whom the store belongs to.
    fn ours(&self, path: &std::path::Path) -> io::Result<()> {
        let beside = self.0.parent().map_or_else(|| fs::metadata(&self.0), fs::metadata)?;
        let made = fs::metadata(path)?;
        match (made.uid(), made.gid()) != (beside.uid(), beside.gid()) && rustix::process::geteuid().is_root() {
            true => std::os::unix::fs::chown(path, Some(beside.uid()), Some(beside.gid())),
            false => Ok(()),
        }
    }

    /// Keeps what a sign-in gave.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&self, system: &SystemId, of: &str, token: &Secret) -> io::Result<()> {
        self.open(system, of)?.keep(of, token)
    }
}

/// A token in hand; nobody else uses it up.
struct Held {
    /// Let go with this.
    _lock: fs::File,
    folder: Folder,
    path: PathBuf,
    token: Option<Secret>,
    at: Option<SystemTime>,
}

impl Held {
    fn keep(&self, of: &str, token: &Secret) -> io::Result<()> {
        write(&self.path, written(of, token).as_bytes())?;
        self.folder.ours(&self.path)?;
        fs::File::open(&self.folder.0)?.sync_all()
    }
}

/// One system's token between two uses.
#[derive(Default)]
pub struct Hand(Mutex<Between>);

#[derive(Default)]
struct Between {
    /// One that the disk did not take. It is better than what lies there.
    unsaved: Option<Secret>,
    /// When the file was written that was used last.
    at: Option<SystemTime>,
}

/// A refresh token to use, and the right to do so.
pub struct Taken {
    pub token: Secret,
    held: Option<Held>,
}

impl Hand {
    fn between(&self) -> std::sync::MutexGuard<'_, Between> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// There is none, or the disk does not give it.
    pub async fn take(&self, folder: Option<&Folder>, system: &System, refresh: &Refresh) -> Result<Taken, Outcome> {
        let mut held = None;
        if let Some(folder) = folder.cloned() {
            let (id, of) = (system.id.clone(), refresh.of.clone());
            let opened = spawn_blocking(move || folder.open(&id, &of)).await;
            let opened = opened.unwrap_or_else(|_| Err(io::Error::other("reading it ended by itself")));
            let why = |error: io::Error| format!("the token of {} that is kept cannot be read: {error}", system.id);
            held = Some(opened.map_err(|error| Outcome::Busy { reason: why(error) })?);
        }
        let mut between = self.between();
        between.at = held.as_ref().and_then(|held| held.at);
        let kept = held.as_ref().and_then(|held| held.token.clone());
        let token = between.unsaved.clone().or(kept).or_else(|| refresh.first.clone());
        token.map(|token| Taken { token, held }).ok_or_else(|| nobody(system))
    }

    /// The system gave another one: on the disk before anything is done with the rest of its answer.
    pub async fn keep(&self, taken: Taken, system: &System, refresh: &Refresh, token: Secret) {
        if token == taken.token && self.between().unsaved.is_none() {
            return;
        }
        let (of, new) = (refresh.of.clone(), token.clone());
        let saved = match taken.held {
            Some(held) => {
                spawn_blocking(move || held.keep(&of, &new)).await.unwrap_or_else(|e| Err(io::Error::other(e)))
            }
            None => Err(io::Error::other("this command has no store")),
        };
        if let Err(error) = &saved {
            tracing::error!(system = %system.id, %error, "a business system's new refresh token cannot be kept on the disk: after a restart somebody must sign in again");
        }
        self.between().unsaved = saved.is_err().then_some(token);
    }

    /// Has somebody signed in since the token was used last?
    pub async fn anew(&self, folder: Option<&Folder>, system: &SystemId) -> bool {
        let Some(folder) = folder else { return false };
        let Ok(file) = tokio::fs::metadata(folder.path(system)).await else { return false };
        let mut between = self.between();
        let anew = file.modified().ok() != between.at;
        if anew {
            between.unsaved = None;
        }
        anew
    }
}
