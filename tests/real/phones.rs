//! Phones and the carrier, played by sipp. Each has an address of its own on the loopback.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::wait::until;

/// Which switch the phones belong to: where its scenarios lie, its address, the carrier's and the first three parts of the phones' own.
#[derive(Clone, Copy)]
pub struct Switch {
    scenarios: &'static str,
    at: &'static str,
    trunk: &'static str,
    phones: &'static str,
}

pub const ASTERISK: Switch =
    Switch { scenarios: "asterisk", at: "127.0.0.1:5060", trunk: "127.0.0.2", phones: "127.0.0.1" };
/// As `tests/servers/kamailio/etc` has it.
pub const KAMAILIO: Switch =
    Switch { scenarios: "kamailio", at: "127.20.0.10:5060", trunk: "127.20.0.200", phones: "127.20.0.10" };

/// Where sipp's scenarios are made and its complaints go.
pub struct Phones {
    switch: Switch,
    folder: PathBuf,
    made: u32,
    /// Where each agent's phone was registered last.
    ports: HashMap<String, u16>,
}

/// One sipp at work. Ends with the scenario; is killed when dropped.
pub struct Party {
    name: String,
    errors: PathBuf,
    child: Child,
}

/// What a scenario is told: `@KEY@` in the XML.
pub type Facts<'a> = &'a [(&'a str, &'a str)];

impl Phones {
    pub fn new(switch: Switch, folder: &Path) -> Result<Self, String> {
        let folder = folder.join(format!("sipp-{}", switch.scenarios));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(Self { switch, folder, made: 0, ports: HashMap::new() })
    }

    /// Registers the agents' phones, each at a new port: what the switch still has to say to a phone of an earlier story (a NOTIFY of a
    /// transfer is sent again for half a minute) must not look like this one's call.
    pub fn register(&mut self, agents: &[&str]) -> Result<(), String> {
        for agent in agents {
            let port = 5100 + u16::try_from(self.made % 400).unwrap_or(0);
            self.sipp("register", &self.address(agent), port, agent, 1, &[])?.done()?;
            self.ports.insert((*agent).to_owned(), port);
        }
        Ok(())
    }

    /// The agent's phone waits for `calls` calls.
    pub fn phone(&mut self, agent: &str, scenario: &str, calls: u32, facts: Facts) -> Result<Party, String> {
        let port = self.ports.get(agent).copied().unwrap_or(5060);
        let party = self.sipp(scenario, &self.address(agent), port, agent, calls, facts)?;
        listens(&party.name, &self.address(agent), port)?;
        Ok(party)
    }

    /// The agent dials `target` by hand.
    pub fn dial(&mut self, agent: &str, target: &str, scenario: &str, facts: Facts) -> Result<Party, String> {
        let facts: Vec<_> = [("TARGET", target)].into_iter().chain(facts.iter().copied()).collect();
        self.sipp(scenario, &self.address(agent), 5070, agent, 1, &facts)
    }

    /// A customer dials `did`; `from` is what the carrier writes, for example `"Zhang San" <sip:13800138000@[local_ip]>`.
    pub fn customer(&mut self, from: &str, did: &str, scenario: &str, facts: Facts) -> Result<Party, String> {
        let from = if from.contains('<') { from.to_owned() } else { format!("<sip:{from}@[local_ip]>") };
        let facts: Vec<_> = [("FROM", from.as_str())].into_iter().chain(facts.iter().copied()).collect();
        // Two customers may be on the line at once.
        let port = 5070 + u16::try_from(self.made % 20).unwrap_or(0);
        self.sipp(scenario, self.switch.trunk, port, did, 1, &facts)
    }

    /// The carrier takes an outbound call.
    pub fn carrier(&mut self, scenario: &str, facts: Facts) -> Result<Party, String> {
        let party = self.sipp(scenario, self.switch.trunk, 5060, "trunk", 1, facts)?;
        listens(&party.name, self.switch.trunk, 5060)?;
        Ok(party)
    }

    /// 1001's phone is at .11 of Asterisk's addresses, at .101 of Kamailio's.
    fn address(&self, agent: &str) -> String {
        format!("{}{}", self.switch.phones, agent.bytes().last().map_or(0, |b| b - b'0'))
    }

    fn sipp(&mut self, name: &str, ip: &str, port: u16, user: &str, calls: u32, facts: Facts) -> Result<Party, String> {
        let template = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/servers/{}/sipp/{name}.xml", self.switch.scenarios));
        let mut text = fs::read_to_string(&template).map_err(|e| format!("{}: {e}", template.display()))?;
        let usual = [
            ("FROM", "<sip:13800138000@[local_ip]>"),
            ("PRIVACY", ""),
            ("RING_MS", "1500"),
            ("TALK_MS", "3000"),
            ("HOLD_MS", "2000"),
            ("CONSULT_MS", "2000"),
            ("TARGET", "1002"),
            ("DTMF_WAIT_MS", "1500"),
            ("CODE", "486"),
        ];
        for (key, value) in facts.iter().chain(&usual) {
            text = text.replace(&format!("@{key}@"), value);
        }
        self.made += 1;
        let file = self.folder.join(format!("{:03}-{name}.xml", self.made));
        let errors = file.with_extension("err");
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        // A second of quiet in A-law (G.711), for those whose line is to carry sound.
        fs::write(self.folder.join("voice.alaw"), [0xd5; 8000]).map_err(|e| e.to_string())?;
        let out = fs::File::create(file.with_extension("out")).map_err(|e| e.to_string())?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "sipp", self.switch.at, "-sf"])
            .arg(&file)
            .args([
                "-i",
                ip,
                "-mi",
                ip,
                "-p",
                &port.to_string(),
                "-s",
                user,
                "-au",
                user,
                "-ap",
                &format!("agent-{user}"),
            ])
            .args(["-m", &calls.to_string(), "-nostdin", "-timeout", "60", "-nd", "-trace_err", "-error_file"])
            .arg(&errors)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stderr(out.try_clone().map_err(|e| e.to_string())?)
            .stdout(out)
            .spawn()
            .map_err(|e| format!("sipp cannot be started: {e}"))?;
        Ok(Party { name: format!("{name} of {user}"), errors, child })
    }
}

impl Party {
    /// Waits until the scenario is over, however it went. For the phone that transfers: two messages may cross on its way, of which
    /// sipp then misses one; whether the transfer worked is seen at the customer, the other agent and the record.
    pub fn over(&mut self) -> Result<ExitStatus, String> {
        let name = format!("the phone {} to finish", self.name);
        until(&name, Duration::from_secs(75), || self.child.try_wait().ok().flatten())
    }

    /// Waits until the scenario is played to its end.
    pub fn done(mut self) -> Result<(), String> {
        let status = self.over()?;
        if status.success() {
            return Ok(());
        }
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        Err(format!(
            "the phone {} was not treated as its scenario says ({status}); {}",
            self.name,
            self.errors.display()
        ) + errors.lines().find(|l| l.contains("Aborting") || l.contains("timeout")).unwrap_or_default())
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until somebody has this address: a call that comes before its phone is refused by the switch (603), which is another story.
fn listens(name: &str, ip: &str, port: u16) -> Result<(), String> {
    let ip: std::net::Ipv4Addr = ip.parse().map_err(|_| format!("{ip} is no address"))?;
    // proc(5), /proc/net/udp: the address as the machine keeps it, in hexadecimal.
    let wanted = format!(" {:08X}:{port:04X} ", u32::from_ne_bytes(ip.octets()));
    until(&format!("the phone {name} to listen"), Duration::from_secs(20), || {
        fs::read_to_string("/proc/net/udp").ok().filter(|table| table.contains(&wanted))
    })
    .map(drop)
}
