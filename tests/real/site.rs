//! A small call centre's daemon: a settings folder, `linecard run` as a process of its own, and its command line.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use crate::{
    cable::Cable,
    http,
    redmine::Redmine,
    screen::{Place, Protocol, Screen},
    wait::until,
};

/// Of a proxy's site, each a switch of its own: dialog events over each transport, and over UDP with the mirrored signalling beside them.
pub const WATCHERS: [&str; 6] = ["udp", "tcp", "tls", "ws", "wss", "hep"];
/// The box on the way of the first; see [`crate::ferry`].
pub const FERRY: &str = "127.20.0.20:5060";

pub const AGENTS: [&str; 3] = ["1001", "1002", "1003"];

/// Which of the switch's interfaces the daemon is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    Ami,
    Ari,
    Both,
    /// Dialog events of a proxy, over every transport.
    Sip,
}

impl Feed {
    /// As the fixtures name it.
    pub fn name(self) -> &'static str {
        match self {
            Feed::Ami => "ami",
            Feed::Ari => "ari",
            Feed::Both => "ami+ari",
            Feed::Sip => "sip",
        }
    }
}

pub struct Site {
    pub feed: Feed,
    pub folder: PathBuf,
    port: u16,
    /// For the connector, by the environment.
    key: String,
    daemon: Option<Child>,
    /// Its links to the switch.
    cables: Vec<Cable>,
    protocol: Arc<Protocol>,
    /// In the order of [`AGENTS`]; empty while the daemon is down.
    pub screens: Vec<Screen>,
    /// Calls whose records earlier stories have looked at.
    pub settled: Vec<String>,
    /// Milliseconds from ring to pop, over all stories.
    pub lags: Vec<i64>,
}

impl Site {
    /// Writes the settings of a daemon that watches the switch by `feed` under a switch id of its own, so that its calls have ids of
    /// their own and three daemons can watch one switch and write into one Redmine.
    pub fn new(
        feed: Feed,
        home: &Path,
        logs: &Path,
        redmine: &Redmine,
        protocol: &Arc<Protocol>,
    ) -> Result<Self, String> {
        let (id, port) = match feed {
            Feed::Ami => ("pbx-ami", 17_801),
            Feed::Ari => ("pbx-ari", 17_802),
            Feed::Both => ("pbx-both", 17_803),
            Feed::Sip => return Err("a proxy's site is made by Site::at_proxy".to_owned()),
        };
        let folder = logs.join(id);
        fs::remove_dir_all(&folder).ok();
        for sub in ["switches", "connectors"] {
            fs::create_dir_all(folder.join(sub)).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let site = Self {
            feed,
            folder,
            port,
            key: redmine.fact("KEY").to_owned(),
            daemon: None,
            cables: vec![Cable::lay(port + 200, 5038)?, Cable::lay(port + 300, 8088)?],
            protocol: protocol.clone(),
            screens: Vec::new(),
            settled: Vec::new(),
            lags: Vec::new(),
        };
        let put = |name: &str, text: &str| fs::write(site.folder.join(name), text).map_err(|e| format!("{name}: {e}"));
        put("tokens.key", "a key for the stories only, long enough for HS256\n")?;
        put("ami.secret", "linecard-ami")?;
        put("ari.secret", "linecard-ari")?;
        put("hint.secret", "hints for the stories")?;
        let folder = site.folder.display();
        let admin = port + 100;
        let mut values = format!("connectors:\n  redmine:\n    url: \"{}\"\n", redmine.fact("URL"));
        for (ours, theirs) in [
            ("cf_code", "CF_CODE"),
            ("cf_mobile", "CF_MOBILE"),
            ("cf_landline", "CF_PHONE"),
            ("cf_company", "CF_COMPANY"),
            ("cf_tier", "CF_TIER"),
            ("cf_points", "CF_POINTS"),
            ("cf_credit", "CF_CREDIT"),
            ("cf_balance", "CF_BALANCE"),
            ("cf_call", "CF_CALLID"),
            ("cf_amount", "CF_AMOUNT"),
            ("tracker_ticket", "TRACKER_TICKET"),
        ] {
            values.push_str(&format!("    {ours}: \"{}\"\n", redmine.fact(theirs)));
        }
        // One of the daemons gives time after calls of one queue.
        let states = if feed == Feed::Both { "  states: {after_call: {queues: {callback: 3}}}\n" } else { "" };
        put(
            "linecard.yaml",
            &format!(
                "log: {{level: debug}}\nnumbers: {{country: CN, area: \"21\"}}\nagents:\n  listen: 127.0.0.1:{port}\n  \
             origins: [\"http://127.0.0.1:{port}\"]\n  allow_no_origin: true\n  tokens:\n    issuer: linecard-check\n    \
             keys: {{hs256: {{file: {folder}/tokens.key}}}}\n{states}admin:\n  listen: 127.0.0.1:{admin}\n  route_hint:\n    budget_ms: 1500\n    \
             sources: [{{name: asterisk, token: {{file: {folder}/hint.secret}}, from: [127.0.0.1]}}]\nstore: {{path: {folder}/linecard.db}}\ndial: {{cool_down_s: 0}}\n\
             callbacks: {{teams: [{{queue: support, teams: [hotline]}}]}}\n{values}"
            ),
        )?;
        // The third daemon hears of recordings, and reads them where the switch writes them.
        let monitor = home.join("root/var/spool/asterisk/monitor");
        let (place, recordings) = match feed {
            Feed::Both => (
                format!("recordings: {{places: [{{switch: {id}, folder: {}}}]}}\n", monitor.display()),
                "  recordings: {folder: /var/spool/asterisk/monitor}\n",
            ),
            _ => (String::new(), ""),
        };
        let path = site.folder.join("linecard.yaml");
        let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
        put("linecard.yaml", &format!("{text}{place}"))?;
        // It comes as the user that `check --manager-conf` asks the administrator for.
        let user = if feed == Feed::Both { id } else { "linecard" };
        let ami = format!(
            "  ami: {{host: 127.0.0.1, port: {}, user: {user}, secret: {{file: {folder}/ami.secret}}}}\n",
            port + 200
        );
        let ari = format!(
            "  ari: {{url: \"http://127.0.0.1:{}\", app: {id}, user: {user}, secret: {{file: {folder}/ari.secret}}}}\n",
            port + 300
        );
        // One reads the switch's own records as a file, one as a table; ARI's site has none.
        let written = home.join("root/var/log/asterisk");
        let written = written.display();
        let records = match feed {
            Feed::Ami => format!("  records: {{cdr_sqlite: {written}/master.db, utc: true}}\n"),
            Feed::Both => format!("  records: {{cdr_csv: {written}/cdr-csv/Master.csv, utc: true}}\n"),
            Feed::Ari | Feed::Sip => String::new(),
        };
        put(
            "switches/asterisk.yaml",
            &format!(
                "asterisk:\n  id: {id}\n  country: CN\n  area: \"21\"\n  trunks: [\"PJSIP/trunk*\"]\n  internal: [\"100X\", \"700X\"]\n  \
             attributes:\n    \
             - {{name: ivr.account, from: {{variable: CTI_ACCOUNT}}, type: digits}}\n    \
             - {{name: ivr.told, from: {{user-event: {{event: CustomerData, header: Account}}}}, type: digits}}\n    \
             - {{name: ivr.keyed, from: {{digits: {{max: 4}}}}, type: digits}}\n{recordings}{records}{}{}  \
             dial: {{context: click2dial, timeout_ms: 4000, via: {}}}\n  control: {{context: agents, record: wav, phones_obey: true}}\n",
                if feed == Feed::Ari { "" } else { &ami },
                if feed == Feed::Ami { "" } else { &ari },
                if feed == Feed::Ari { "ari" } else { "ami" },
            ),
        )?;
        put(
            "trunks.yaml",
            "rows:\n  - {dialled: \"4008001234\", title: After-sales, queue_label: Support, zone: Asia/Shanghai}\n  \
             - {dialled: \"4008005678\", title: Pre-sales}\n  - {dialled: \"02161234567\", title: Direct line}\n  \
             - {dialled: \"02161234574\", title: Ring group}\n",
        )?;
        // One agent has two phones.
        let agents = shipped("agents.yaml")?.replacen("[PJSIP/1001]", "[PJSIP/1001, PJSIP/1004]", 1);
        let agents = agents.replacen("    name: Agent Li\n", "    name: Agent Li\n    queues: [callback]\n", 1);
        let supervisor = "teams: [sales, support]\n    roles: [supervisor]";
        let agents = agents.replacen("teams: [support, sales]", "teams: [support, sales, hotline]", 1);
        let agents = agents.replacen("teams: [support]", "teams: [support, hotline]", 2);
        put("agents.yaml", &agents.replacen("teams: [sales]", supervisor, 1))?;
        // The connector as it is shipped; this Redmine's address, field ids and key are the site's own. Three daemons ask one Redmine
        // at once, which does one thing at a time: it gets more time than a site of one daemon gives it.
        let connector = shipped("connectors/redmine.yaml")?;
        put("connectors/redmine.yaml", &connector.replacen("deadline_ms: 3000", "deadline_ms: 9000", 1))?;
        // The rules as they are shipped; a story's agent wraps up at once or never.
        let rules = shipped("rules.yaml")?;
        put("rules.yaml", &rules.replace("wait_for_wrapup_ms: 60000", "wait_for_wrapup_ms: 3000"))?;
        Ok(site)
    }

    /// A daemon that watches one proxy six times; see [`WATCHERS`]. `fact`: what `kamailio.env` says.
    pub fn at_proxy(logs: &Path, fact: &dyn Fn(&str) -> String, protocol: &Arc<Protocol>) -> Result<Self, String> {
        let folder = logs.join("proxy");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(folder.join("switches")).map_err(|e| format!("{}: {e}", folder.display()))?;
        let port = 17_811;
        let site = Self {
            feed: Feed::Sip,
            folder,
            port,
            key: String::new(),
            daemon: None,
            cables: Vec::new(),
            protocol: protocol.clone(),
            screens: Vec::new(),
            settled: Vec::new(),
            lags: Vec::new(),
        };
        let put = |name: &str, text: &str| fs::write(site.folder.join(name), text).map_err(|e| format!("{name}: {e}"));
        put("tokens.key", "a key for the stories only, long enough for HS256\n")?;
        put("sip.secret", &fact("WATCHER_PASSWORD"))?;
        put("hep.secret", &fact("HEP_KEY"))?;
        let folder = site.folder.display();
        let admin = port + 100;
        put(
            "linecard.yaml",
            &format!(
                "log: {{level: debug}}\nnumbers: {{country: CN, area: \"10\"}}\nagents:\n  listen: 127.0.0.1:{port}\n  \
             origins: [\"http://127.0.0.1:{port}\"]\n  allow_no_origin: true\n  tokens:\n    issuer: linecard-check\n    \
             keys: {{hs256: {{file: {folder}/tokens.key}}}}\nadmin: {{listen: 127.0.0.1:{admin}}}\nstore: {{path: {folder}/linecard.db}}\ndial: {{cool_down_s: 0}}\n"
            ),
        )?;
        let agents: Vec<String> =
            AGENTS.iter().map(|a| format!("  - {{id: \"{a}\", devices: [\"SIP/{a}\"]}}\n")).collect();
        put("agents.yaml", &format!("agents:\n{}", agents.concat()))?;
        put("trunks.yaml", "rows:\n  - {dialled: \"+861085551001\", title: Hotline}\n")?;
        for watcher in WATCHERS {
            let transport = if watcher == "hep" { "udp" } else { watcher };
            let key = transport.to_uppercase();
            let at = if watcher == "udp" { FERRY.to_owned() } else { fact(&key) };
            let at = at.trim_start_matches("ws://").trim_start_matches("wss://").trim_end_matches('/');
            let (host, port) = at.split_once(':').ok_or_else(|| format!("{key} is {at}"))?;
            let tls = match transport {
                "tls" | "wss" => format!(", tls: {{ca_file: {}, server_name: {}}}", fact("CA"), fact("DOMAIN")),
                _ => String::new(),
            };
            let mirror = match watcher {
                "hep" => format!(
                    "  hep: {{listen: \"{}\", from: [\"127.0.0.0/8\"], key: {{file: {folder}/hep.secret}}}}\n",
                    fact("HEP")
                ),
                _ => String::new(),
            };
            // Over UDP only a refresh tells that the switch forgot us.
            let expires_s = if transport == "udp" { 12 } else { 60 };
            put(
                &format!("switches/{watcher}.yaml"),
                &format!(
                    "sip:\n  id: k-{watcher}\n  country: CN\n  area: \"10\"\n  internal: [\"100X\"]\n  domain: {}\n  \
                     server: {{host: {host}, port: {port}, transport: {transport}{tls}}}\n  user: {}\n  \
                     secret: {{file: {folder}/sip.secret}}\n  registrations: true\n  dial: {{}}\n  expires_s: {expires_s}\n{mirror}",
                    fact("DOMAIN"),
                    fact("WATCHER"),
                ),
            )?;
        }
        Ok(site)
    }

    /// A daemon that watches an Asterisk by AMI and by what it mirrors, and a Kamailio that stands before it by what that one mirrors.
    pub fn at_edge(logs: &Path, protocol: &Arc<Protocol>) -> Result<Self, String> {
        let folder = logs.join("edge");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(folder.join("switches")).map_err(|e| format!("{}: {e}", folder.display()))?;
        let port = 17_821;
        let site = Self {
            feed: Feed::Ami,
            folder,
            port,
            key: String::new(),
            daemon: None,
            cables: vec![Cable::lay(port + 200, 5038)?],
            protocol: protocol.clone(),
            screens: Vec::new(),
            settled: Vec::new(),
            lags: Vec::new(),
        };
        let put = |name: &str, text: &str| fs::write(site.folder.join(name), text).map_err(|e| format!("{name}: {e}"));
        put("tokens.key", "a key for the stories only, long enough for HS256\n")?;
        put("ami.secret", "linecard-ami")?;
        put("hep.secret", "hep-key")?;
        let folder = site.folder.display();
        let (admin, ami) = (port + 100, port + 200);
        put(
            "linecard.yaml",
            &format!(
                "log: {{level: debug}}\nnumbers: {{country: CN, area: \"21\"}}\nagents:\n  listen: 127.0.0.1:{port}\n  \
             origins: [\"http://127.0.0.1:{port}\"]\n  allow_no_origin: true\n  tokens:\n    issuer: linecard-check\n    \
             keys: {{hs256: {{file: {folder}/tokens.key}}}}\nadmin: {{listen: 127.0.0.1:{admin}}}\nstore: {{path: {folder}/linecard.db}}\n"
            ),
        )?;
        let agents: Vec<String> =
            AGENTS.iter().map(|a| format!("  - {{id: \"{a}\", devices: [\"PJSIP/{a}\"]}}\n")).collect();
        put("agents.yaml", &format!("agents:\n{}", agents.concat()))?;
        // The hotline's number stands in the Diversion alone, which only signalling shows.
        put("trunks.yaml", "rows:\n  - {dialled_from: [diversion], dialled: \"4008001234\", title: Hotline}\n")?;
        put(
            "switches/pbx1.yaml",
            &format!(
                "asterisk:\n  id: pbx1\n  country: CN\n  area: \"21\"\n  trunks: [\"PJSIP/trunk*\"]\n  internal: [\"100X\"]\n  \
                 ami: {{host: 127.0.0.1, port: {ami}, user: linecard, secret: {{file: {folder}/ami.secret}}}}\n  \
                 hep: {{listen: \"127.0.0.1:9061\", from: [\"127.0.0.0/8\"], key: {{file: {folder}/hep.secret}}, trusted: [\"127.0.0.2\"]}}\n"
            ),
        )?;
        put(
            "switches/edge1.yaml",
            &format!(
                "sip:\n  id: edge1\n  country: CN\n  area: \"21\"\n  domain: pbx.lab\n  role: edge\n  before: pbx1\n  joins: [call-id, number-and-time]\n  \
                 hep: {{listen: \"127.0.0.1:9060\", from: [\"127.0.0.0/8\"], key: {{file: {folder}/hep.secret}}, \
                 trunks: [{{name: carrier, at: [\"127.20.0.200\"]}}]}}\n"
            ),
        )?;
        Ok(site)
    }

    /// What `check --manager-conf` tells the administrator to write at the switch, with the blanks filled in: file, text.
    pub fn switch_lines(&self) -> Result<Vec<(String, String)>, String> {
        let said = self.say(&["check", "--manager-conf"])?;
        let mut files: Vec<(String, String)> = Vec::new();
        for line in said.lines() {
            if let Some(name) = ["manager.conf", "ari.conf"].iter().find(|name| line.starts_with(&format!("; {name}")))
            {
                files.push(((*name).to_owned(), String::new()));
            }
            let Some((name, text)) = files.last_mut() else { continue };
            let secret = if name == "manager.conf" { "linecard-ami" } else { "linecard-ari" };
            text.push_str(
                &line
                    .replace("(the password that linecard's settings point at)", secret)
                    .replace("(the address of linecard's machine)", "127.0.0.1"),
            );
            text.push('\n');
        }
        if files.len() == 2 { Ok(files) } else { Err(format!("no lines for manager.conf and ari.conf in: {said}")) }
    }

    /// Starts the daemon and opens every agent's screen (again at `places`).
    pub fn start(&mut self, places: &[Option<Place>]) -> Result<(), String> {
        self.run()?;
        for (i, agent) in AGENTS.iter().enumerate() {
            let token = self.say(&["token", "--agent", agent, "--ttl", "1h"])?;
            let place = places.get(i).copied().flatten();
            self.screens.push(Screen::open(self.port, agent, token.trim(), &self.protocol, place)?);
        }
        Ok(())
    }

    /// Starts the daemon alone, and waits until it says READY to whoever started it.
    pub fn run(&mut self) -> Result<(), String> {
        let path = self.folder.join("notify");
        fs::remove_file(&path).ok();
        let notify = UnixDatagram::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        notify.set_read_timeout(Some(Duration::from_millis(100))).map_err(|e| e.to_string())?;
        let log =
            fs::File::options().create(true).append(true).open(self.folder.join("log")).map_err(|e| e.to_string())?;
        let out = log.try_clone().map_err(|e| e.to_string())?;
        let mut daemon = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_linecard"), "run", "--config"])
            .arg(&self.folder)
            .env("NOTIFY_SOCKET", &path)
            .env("REDMINE_KEY", &self.key)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("the daemon cannot be started: {e}"))?;
        let mut said = [0; 4096];
        let ready = until("the daemon to say READY=1", Duration::from_secs(20), || {
            if let Ok(Some(status)) = daemon.try_wait() {
                return Some(Err(format!("the daemon ended with {status}: {}", self.folder.join("log").display())));
            }
            let n = notify.recv(&mut said).unwrap_or(0);
            String::from_utf8_lossy(said.get(..n).unwrap_or_default()).contains("READY=1").then_some(Ok(()))
        });
        self.daemon = Some(daemon);
        ready?
    }

    /// Where the agents' pages are.
    pub fn pages(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// SIGKILL; the screens go with it. Gives where each was.
    pub fn kill(&mut self) -> Vec<Option<Place>> {
        let places = self.screens.iter().map(Screen::place).collect();
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
        self.screens.clear();
        places
    }

    /// SIGTERM: it has to leave by itself, with 0.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        self.screens.clear();
        Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().map_err(|e| e.to_string())?;
        let status =
            until("the daemon to drain and leave", Duration::from_secs(30), || daemon.try_wait().ok().flatten());
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the daemon left with {status} after SIGTERM")),
            Err(late) => {
                daemon.kill().ok();
                daemon.wait().ok();
                Err(late)
            }
        }
    }

    /// Nothing passes between the daemon and the switch until [`Site::mend`].
    pub fn cut(&self) {
        self.cables.iter().for_each(Cable::cut);
    }

    pub fn mend(&self) {
        self.cables.iter().for_each(Cable::mend);
    }

    pub fn look(&self, agent: &str) -> Result<&Screen, String> {
        self.screens.iter().find(|s| s.agent == agent).ok_or(format!("no screen of {agent} is open"))
    }

    pub fn screen(&mut self, agent: &str) -> Result<&mut Screen, String> {
        self.screens.iter_mut().find(|s| s.agent == agent).ok_or(format!("no screen of {agent} is open"))
    }

    /// A verb of the command line with this site's settings; what it prints.
    pub fn say(&self, words: &[&str]) -> Result<String, String> {
        let out = Command::new(env!("CARGO_BIN_EXE_linecard"))
            .args(words)
            .arg("--config")
            .arg(&self.folder)
            .env("REDMINE_KEY", &self.key)
            .output();
        let out = out.map_err(|e| e.to_string())?;
        if !out.status.success() {
            let told = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
            return Err(format!("`linecard {}` ended with {}: {told}", words.join(" "), out.status));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Records of calls that no earlier story had, in the order in which they began.
    pub fn new_records(&self) -> Result<Vec<Value>, String> {
        let mut records = lines(&self.say(&["records", "list", "--json", "--full", "--limit", "500"])?)?;
        records.retain(|r| !self.settled.iter().any(|call| r["call"] == call.as_str()));
        records.sort_by_key(|r| r["started_at"].as_str().unwrap_or_default().to_owned());
        Ok(records)
    }

    /// Effects that are not done.
    pub fn waiting(&self) -> Result<Vec<Value>, String> {
        lines(&self.say(&["outbox", "list", "--json"])?)
    }

    /// What the agents' listener gives a player: status, head, bytes.
    pub fn play(&self, path: &str, header: &str) -> Result<(u16, String, Vec<u8>), String> {
        http::bytes(&format!("127.0.0.1:{}", self.port), path, header)
    }

    /// One of the admin's pages.
    pub fn admin(&self, path: &str) -> Result<(u16, String), String> {
        http::get(&format!("127.0.0.1:{}", self.port + 100), path, "")
    }

    pub fn log(&self) -> String {
        fs::read(self.folder.join("log")).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A settings file as it is shipped.
fn shipped(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

fn lines(text: &str) -> Result<Vec<Value>, String> {
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(|l| serde_json::from_str(l).map_err(|e| format!("a line that is no JSON ({e}): {l}")))
        .collect()
}
