//! Opens and removes files below a folder. Each step is opened from the one before, and none may be a link: whatever anybody renames meanwhile, the
//! file that is served or removed lies below the folder. The folder itself may be a link, for it is the admin's word.

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, access, fstat, openat, statat, unlinkat},
    io::Errno,
};

use crate::words::Wall;

/// A regular file, open.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    pub size: u64,
    pub changed: Wall,
    /// Another content has another one.
    pub etag: String,
}

/// What became of a file that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Removed,
    /// It was not there.
    Missing,
    /// It was written after the moment before which all is to go: it is of a later call too.
    Younger,
    /// A folder, a link, a pipe: nothing of ours.
    NotAFile,
}

/// # Errors
/// It is not there, is no regular file, or a step of its path is a link.
pub fn open(folder: &Path, steps: &[String]) -> io::Result<Opened> {
    let (inside, name) = walk(folder, steps)?;
    // Opening a pipe for reading waits for a writer, and a terminal could become ours.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&inside, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let etag = format!("{size:x}-{:x}-{:x}", stat.st_mtime, stat.st_mtime_nsec);
    Ok(Opened { file: File::from(file), size, changed: changed(stat.st_mtime), etag })
}

/// Removes a file that was not changed since `before`.
///
/// # Errors
/// The disk or its rights forbid it: it is still there.
pub fn remove(folder: &Path, steps: &[String], before: Wall) -> io::Result<Removal> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let (inside, name) = match walk(folder, steps) {
        Ok(found) => found,
        Err(error) if missing(&error) => return nowhere(folder),
        Err(error) if [Errno::NOTDIR, Errno::LOOP].iter().any(|e| error.raw_os_error() == Some(e.raw_os_error())) => {
            return Ok(Removal::NotAFile);
        }
        Err(error) => return Err(error),
    };
    let stat = match statat(&inside, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
        Ok(stat) => stat,
        Err(error) if missing(&error) => return nowhere(folder),
        Err(error) => return Err(error),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Removal::NotAFile);
    }
    if changed(stat.st_mtime) >= before {
        return Ok(Removal::Younger);
    }
    match unlinkat(&inside, name, AtFlags::empty()).map_err(io::Error::from) {
        Ok(()) => Ok(Removal::Removed),
        Err(error) if missing(&error) => Ok(Removal::Missing),
        Err(error) => Err(error),
    }
}

/// Whether this account can do in the folder what is asked of it.
///
/// # Errors
/// What it cannot, and what to do.
pub fn look(folder: &Path, remove: bool) -> Result<(), String> {
    let shown = folder.display();
    std::fs::read_dir(folder).map_err(|error| format!("{shown} cannot be read by this account: {error}"))?;
    let hand = if remove { Access::WRITE_OK | Access::EXEC_OK } else { Access::EXEC_OK };
    access(folder, hand).map_err(|error| {
        let what = if remove { "removed from" } else { "opened in" };
        format!("files cannot be {what} {shown} by this account: {error}")
    })
}

/// It is not there. Of a folder that is not there or empty nothing is known: it may be where a disk belongs that is away.
fn nowhere(folder: &Path) -> io::Result<Removal> {
    match std::fs::read_dir(folder)?.next() {
        Some(entry) => entry.map(|_| Removal::Missing),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the folder is empty")),
    }
}

/// The folder in which the last step lies, and its name.
fn walk<'s>(folder: &Path, steps: &'s [String]) -> io::Result<(OwnedFd, &'s str)> {
    let (name, way) = steps.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut inside = openat(CWD, folder, flags, Mode::empty())?;
    for step in way {
        inside = openat(&inside, step.as_str(), flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok((inside, name))
}

fn changed(seconds: i64) -> Wall {
    Wall(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Read as _,
        path::PathBuf,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::recordings::folder::steps;

    struct Ground(PathBuf);

    impl Drop for Ground {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// `rec/` is the place; `secret.wav` lies beside it.
    fn ground(name: &str) -> Ground {
        let root = std::env::temp_dir().join(format!("linecard-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("rec/2026/empty")).unwrap();
        fs::write(root.join("rec/2026/a.wav"), b"RIFF").unwrap();
        fs::write(root.join("secret.wav"), b"secret").unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(root.join(to), root.join("rec").join(at)).unwrap();
        link("secret.wav", "out.wav");
        link("rec/2026/a.wav", "in.wav");
        link("rec/2026", "year");
        let pipe = std::process::Command::new("mkfifo").arg(root.join("rec/pipe.wav")).status().unwrap();
        assert!(pipe.success());
        Ground(root)
    }

    fn of(name: &str) -> Vec<String> {
        name.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn a_folder_that_is_none_is_told() {
        let ground = ground("look");
        assert_eq!(look(&ground.0.join("rec"), true), Ok(()));
        let told = look(&ground.0.join("none"), false).unwrap_err();
        assert!(told.contains("/none cannot be read by this account: No such file"), "{told}");
        assert!(look(&ground.0.join("secret.wav"), true).is_err());
    }

    #[test]
    fn only_a_regular_file_below_the_folder_is_opened() {
        let ground = ground("open");
        let rec = ground.0.join("rec");
        let mut found = open(&rec, steps("2026/a.wav", None).unwrap().expose()).unwrap();
        let mut text = String::new();
        found.file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), found.size), ("RIFF", 4));
        // Also where the steps were not looked at before.
        for bad in [
            "out.wav",
            "in.wav",
            "year/a.wav",
            "../secret.wav",
            "pipe.wav",
            "2026",
            "2026/empty",
            "none.wav",
            "2026/a.wav/x",
            "a\0b",
        ] {
            let result = open(&rec, &of(bad));
            assert!(result.is_err() || bad == "../secret.wav", "{bad}");
        }
        assert!(steps("../secret.wav", None).is_none(), "a step up is never looked for");
        assert!(open(&rec, &[]).is_err() && open(&ground.0.join("gone"), &of("a.wav")).is_err());
    }

    #[test]
    fn only_an_old_file_is_removed_and_nothing_around_it() {
        let ground = ground("remove");
        let rec = ground.0.join("rec");
        let now = crate::live::now().wall;
        let gone = |name: &str, before: Wall| remove(&rec, &of(name), before).unwrap();
        assert_eq!(gone("2026/a.wav", now.plus_ms(-60_000)), Removal::Younger);
        for (name, what) in [
            ("out.wav", Removal::NotAFile),
            ("year/a.wav", Removal::NotAFile),
            ("pipe.wav", Removal::NotAFile),
            ("2026", Removal::NotAFile),
            ("2026/none.wav", Removal::Missing),
            ("none/a.wav", Removal::Missing),
        ] {
            assert_eq!(gone(name, now.plus_ms(60_000)), what, "{name}");
        }
        let old = SystemTime::now() - Duration::from_secs(100);
        File::options().write(true).open(rec.join("2026/a.wav")).unwrap().set_modified(old).unwrap();
        assert_eq!(gone("2026/a.wav", now.plus_ms(-60_000)), Removal::Removed);
        assert_eq!(gone("2026/a.wav", now), Removal::Missing);
        assert!(
            rec.join("2026/empty").is_dir() && ground.0.join("secret.wav").exists() && rec.join("out.wav").is_symlink()
        );
        // A disk that is not mounted is no sign that all is gone.
        assert!(remove(&ground.0.join("not-mounted"), &of("a.wav"), now).is_err());
        assert!(remove(&rec.join("2026/empty"), &of("a.wav"), now).is_err());
    }
}
