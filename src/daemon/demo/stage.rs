//! The folder in which a demonstration (or a test) plays: the embedded settings with the real addresses put in, secrets beside them, and
//! the daemon as a process of its own, so that everything goes over real sockets and a kill is a real kill.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    survey,
    systems::{DESK_TOKEN, ERP_KEY, LOYALTY_PASSWORD, SURVEY_TOKEN},
};

/// The demo's settings as they stand in `config/demo/`, with the addresses that are put in.
const FILES: &[(&str, &str)] = &[
    ("linecard.yaml", include_str!("../../../config/demo/linecard.yaml")),
    ("accounts.yaml", include_str!("../../../config/demo/accounts.yaml")),
    ("agents.yaml", include_str!("../../../config/demo/agents.yaml")),
    ("trunks.yaml", include_str!("../../../config/demo/trunks.yaml")),
    ("rules.yaml", include_str!("../../../config/demo/rules.yaml")),
    ("switches/pbx1.yaml", include_str!("../../../config/demo/switches/pbx1.yaml")),
    ("connectors/erp.yaml", include_str!("../../../config/demo/connectors/erp.yaml")),
    ("connectors/loyalty.yaml", include_str!("../../../config/demo/connectors/loyalty.yaml")),
    ("connectors/orders.yaml", include_str!("../../../config/demo/connectors/orders.yaml")),
    ("flows/refund.yaml", include_str!("../../../config/demo/flows/refund.yaml")),
    ("connectors/chat.yaml", include_str!("../../../config/demo/connectors/chat.yaml")),
    ("flows/escalation.yaml", include_str!("../../../config/demo/flows/escalation.yaml")),
    ("flows/missed-call.yaml", include_str!("../../../config/demo/flows/missed-call.yaml")),
    ("flows/survey.yaml", include_str!("../../../config/demo/flows/survey.yaml")),
    ("flows/survey-result.yaml", include_str!("../../../config/demo/flows/survey-result.yaml")),
    ("connectors/mail.yaml", include_str!("../../../config/demo/connectors/mail.yaml")),
    ("connectors/survey.yaml", include_str!("../../../config/demo/connectors/survey.yaml")),
    ("connectors/desk.yaml", include_str!("../../../config/demo/connectors/desk.yaml")),
];

/// Signs the tokens of a demonstration on loopback, nothing else.
pub const TOKEN_SECRET: &str = "the demo signs its tokens with this and so must nobody else";

/// Who listens where.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The daemon's four doors.
    pub agents: SocketAddr,
    pub admin: SocketAddr,
    pub hooks: SocketAddr,
    pub console: SocketAddr,
    pub ami: SocketAddr,
    pub erp: SocketAddr,
    pub loyalty: SocketAddr,
    pub orders: SocketAddr,
    pub desk: SocketAddr,
    pub survey: SocketAddr,
    pub mail: SocketAddr,
}

impl Places {
    /// The addresses that stand in the embedded files; the demo takes those of them that are free.
    #[must_use]
    pub fn preferred() -> Places {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        Places {
            agents: at(8080),
            admin: at(9090),
            hooks: at(9091),
            console: at(7781),
            ami: at(15038),
            erp: at(18081),
            loyalty: at(18082),
            orders: at(18083),
            desk: at(8081),
            survey: at(18084),
            mail: at(18025),
        }
    }

    fn all(&self) -> [SocketAddr; 11] {
        [
            self.agents,
            self.admin,
            self.hooks,
            self.console,
            self.ami,
            self.erp,
            self.loyalty,
            self.orders,
            self.desk,
            self.survey,
            self.mail,
        ]
    }
}

/// An address on loopback where nobody listens: `wanted` if it is free.
///
/// # Errors
/// No port is free at all.
pub fn free(wanted: SocketAddr) -> io::Result<SocketAddr> {
    match TcpListener::bind(wanted) {
        Ok(listener) => listener.local_addr(),
        Err(_) => TcpListener::bind((wanted.ip(), 0))?.local_addr(),
    }
}

/// The settings folder, the store and the secrets of one demonstration.
#[derive(Clone, Debug)]
pub struct Stage {
    folder: PathBuf,
    pub places: Places,
}

impl Stage {
    /// Writes everything into `folder`; a store that is already there stays.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn set(folder: &Path, places: Places) -> io::Result<Stage> {
        fs::create_dir_all(folder)?;
        let stage = Stage { folder: fs::canonicalize(folder)?, places };
        for (name, text) in FILES {
            stage.write(name, text)?;
        }
        let secrets = [
            ("ami", "demo"),
            ("erp", ERP_KEY),
            ("loyalty", LOYALTY_PASSWORD),
            ("desk", DESK_TOKEN),
            ("survey", SURVEY_TOKEN),
            ("survey-hook", survey::SECRET),
            ("tokens", TOKEN_SECRET),
        ];
        fs::create_dir_all(stage.folder.join("secrets"))?;
        for (name, secret) in secrets {
            fs::write(stage.folder.join("secrets").join(name), secret)?;
        }
        fs::create_dir_all(stage.folder.join("store"))?;
        Ok(stage)
    }

    /// Writes one settings file, with the places put in.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.settings().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut text = text.replace("secrets/", &format!("{}/secrets/", self.folder.display()));
        text = text.replace("store/", &format!("{}/store/", self.folder.display()));
        // Two steps, so that no address that was put in is taken for one that is wanted.
        let preferred = Places::preferred();
        for (i, wanted) in preferred.all().iter().enumerate() {
            text = text.replace(&wanted.to_string(), &format!("@place{i}@"));
            text = text.replace(&format!("localhost:{}", wanted.port()), &format!("localhost:@port{i}@"));
        }
        // Where host and port stand apart.
        for (wanted, place) in [(preferred.ami, self.places.ami), (preferred.mail, self.places.mail)] {
            text = text.replace(&format!("port: {}", wanted.port()), &format!("port: {}", place.port()));
        }
        for (i, place) in self.places.all().iter().enumerate() {
            text = text.replace(&format!("@place{i}@"), &place.to_string());
            text = text.replace(&format!("@port{i}@"), &place.port().to_string());
        }
        fs::write(path, text)
    }

    /// The settings folder.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Starts the daemon, its logs in `daemon.log` of the folder.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&self, program: &Path) -> io::Result<Child> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        Command::new(program)
            .args(["run", "--config"])
            .arg(self.settings())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    /// Where the demo puts the mails that were sent.
    #[must_use]
    pub fn inbox(&self) -> PathBuf {
        self.folder.join("inbox")
    }

    /// Puts a mail there, as a file that mail programs open.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn receive(&self, number: usize, text: &str) -> io::Result<()> {
        fs::create_dir_all(self.inbox())?;
        fs::write(self.inbox().join(format!("{number}.eml")), text)
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Runs another verb of the program on this folder and answers what it prints. `words` are the verb and its own arguments.
    ///
    /// # Errors
    /// The program cannot be run, or fails; then what it said.
    pub fn verb(&self, program: &Path, words: &[&str]) -> io::Result<String> {
        let output = Command::new(program).args(words).arg("--config").arg(self.settings()).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(io::Error::other(format!(
            "{} ended with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }

    /// Whether the daemon says that it is ready.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// GET at the admin's address: the whole answer.
    ///
    /// # Errors
    /// Nobody is there, or it takes more than two seconds.
    pub fn get(&self, path: &str) -> io::Result<String> {
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&self.places.admin, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_can_be_read() {
        let (_, text) = FILES.iter().find(|(name, _)| *name == "rules.yaml").unwrap();
        let rules = crate::records::Rules::read("rules.yaml", text).unwrap();
        assert!(rules.named().all(|(system, _)| system.as_str() == "desk"));
    }

    #[test]
    fn the_real_addresses_stand_in_every_file_and_secrets_by_whole_path() {
        let folder = std::env::temp_dir().join(format!("linecard-stage-{}", std::process::id()));
        let port = |n: u16| SocketAddr::from(([127, 0, 0, 1], n));
        // On purpose one address is another's preferred one: nothing may be replaced twice.
        let places = Places {
            agents: port(8081),
            admin: port(4002),
            ami: port(4003),
            erp: port(4004),
            loyalty: port(4005),
            orders: port(4006),
            desk: port(4007),
            hooks: port(4008),
            console: port(4011),
            survey: port(4009),
            mail: port(4010),
        };
        let stage = Stage::set(&folder, places).unwrap();
        let read = |name: &str| fs::read_to_string(stage.settings().join(name)).unwrap();
        let linecard = read("linecard.yaml");
        assert!(
            linecard.contains("listen: 127.0.0.1:8081\n") && linecard.contains("http://localhost:8081"),
            "{linecard}"
        );
        assert!(linecard.contains("listen: 127.0.0.1:4002") && linecard.contains("listen: 127.0.0.1:4008"));
        assert!(read("switches/pbx1.yaml").contains("port: 4003\n"));
        assert!(read("connectors/mail.yaml").contains("port: 4010,"));
        assert!(read("connectors/desk.yaml").contains("http://127.0.0.1:4007\""));
        assert!(read("connectors/erp.yaml").contains("http://127.0.0.1:4004\""));
        for (name, _) in FILES {
            for line in read(name).lines().filter(|l| l.contains("{file: ")) {
                let path = line.split("{file: ").nth(1).unwrap().split('}').next().unwrap();
                assert!(Path::new(path).is_absolute() && fs::metadata(path).unwrap().len() > 3, "{line}");
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
