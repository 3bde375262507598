//! The real Asterisk, unpacked by `tests/servers/asterisk/setup.sh`, on the loopback of this network namespace.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::wait::until;

pub struct Asterisk {
    root: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Asterisk {
    /// Starts it with a clean state and waits until it is fully booted. `more` is added to our configuration: file, text.
    pub fn start(home: &Path, logs: &Path, more: &[(String, String)]) -> Result<Self, String> {
        let root = home.join("root");
        if !root.join(".version").exists() {
            return Err(format!("no Asterisk in {}: tests/servers/asterisk/setup.sh makes it", home.display()));
        }
        for folder in ["var/lib/asterisk", "var/log/asterisk", "var/log/asterisk/cdr-csv", "var/spool/asterisk/monitor"]
        {
            let folder = root.join(folder);
            fs::remove_dir_all(&folder).ok();
            fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/asterisk/etc");
        for file in fs::read_dir(&ours).map_err(|e| format!("{}: {e}", ours.display()))?.flatten() {
            let mut text = fs::read_to_string(file.path()).map_err(|e| e.to_string())?;
            for (_, added) in more.iter().filter(|(name, _)| file.file_name() == name.as_str()) {
                text.push_str(&format!("\n{added}\n"));
            }
            fs::write(root.join("etc/asterisk").join(file.file_name()), text).map_err(|e| e.to_string())?;
        }
        let log = logs.join("asterisk.out");
        let child = spawn(&root, &log)?;
        let mut asterisk = Self { root, log, child };
        asterisk.booted()?;
        Ok(asterisk)
    }

    /// SIGKILL with whatever is up, and a new start.
    pub fn crash(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map_err(|e| e.to_string())?;
        self.child = spawn(&self.root, &self.log)?;
        self.booted()
    }

    /// Rows of pairs of channels that it wrote down itself: in its file, in its table.
    pub fn written(&self) -> (usize, usize) {
        let folder = self.root.join("var/log/asterisk");
        let lines = fs::read(folder.join("cdr-csv/Master.csv")).unwrap_or_default();
        let rows =
            rusqlite::Connection::open_with_flags(folder.join("master.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
                .and_then(|db| db.query_row("SELECT count(*) FROM cdr", [], |row| row.get::<_, i64>(0)));
        (lines.iter().filter(|b| **b == b'\n').count(), rows.ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
    }

    /// A folder of its own, as it is seen from here.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// One line of its command line, and what it prints.
    pub fn say(&self, words: &str) -> Result<String, String> {
        let out = Command::new("chroot").arg(&self.root).args(["/usr/sbin/asterisk", "-rx", words]).output();
        let out = out.map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() { Ok(text) } else { Err(format!("asterisk refused `{words}`: {text}")) }
    }

    /// `core restart now`: every channel is cut, the process replaces itself.
    pub fn restart(&mut self) -> Result<(), String> {
        let before = self.say("core show uptime seconds")?;
        // The command's own connection is cut by what it does.
        self.say("core restart now").ok();
        until("the switch to restart", Duration::from_secs(30), || {
            self.say("core show uptime seconds").ok().filter(|now| seconds(now) < seconds(&before)).map(|_| ())
        })?;
        self.booted()
    }

    fn booted(&mut self) -> Result<(), String> {
        until("Asterisk to boot", Duration::from_secs(60), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(Err(format!("asterisk ended by itself: {status}")));
            }
            let up = self.say("core waitfullybooted").is_ok_and(|said| said.contains("fully booted"));
            let ports = [5038, 8088].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
            (up && ports).then_some(Ok(()))
        })?
    }
}

/// If this program dies, so does the switch.
fn spawn(root: &Path, log: &Path) -> Result<Child, String> {
    let out = fs::File::options().create(true).append(true).open(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let err = out.try_clone().map_err(|e| e.to_string())?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "chroot"])
        .arg(root)
        .args(["/usr/sbin/asterisk", "-f", "-n"])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| format!("asterisk cannot be started: {e}"))
}

/// `System uptime: 12` and the like: the first number.
fn seconds(text: &str) -> u64 {
    text.split(|c: char| !c.is_ascii_digit()).find_map(|n| n.parse().ok()).unwrap_or(0)
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
