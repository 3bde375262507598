//! The unit as systemd reads it: it is well formed, its sandbox is tight, the account can be made, and it starts, checks and
//! reloads the binary that we build. Needs systemd's own tools; nothing is installed.

use std::{fs, path::Path, process::Command};

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program} cannot be run: {e}"));
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

fn unit() -> String {
    format!("{}/systemd/linecard.service", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_sandbox_is_tight() {
    let (good, said) = run("systemd-analyze", &["security", "--offline=yes", "--threshold=15", "--no-pager", &unit()]);
    assert!(good, "exposure above 1.5:\n{said}");
}

#[test]
fn the_unit_is_well_formed_with_our_binary() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linecard.service");
    let text = fs::read_to_string(unit()).expect("the unit is there");
    fs::write(&here, text.replace("/usr/bin/linecard", env!("CARGO_BIN_EXE_linecard")))
        .expect("target/tmp can be written");
    let (good, said) = run("systemd-analyze", &["verify", "--man=no", &here.to_string_lossy()]);
    assert!(good && !said.contains("linecard.service:"), "{said}");
}

#[test]
fn the_account_can_be_made() {
    let file = format!("{}/systemd/linecard.sysusers", env!("CARGO_MANIFEST_DIR"));
    let (good, said) = run("systemd-sysusers", &["--dry-run", &file]);
    assert!(good, "{said}");
}

#[test]
fn the_unit_does_what_its_readme_promises() {
    let text = fs::read_to_string(unit()).expect("the unit is there");
    for line in [
        "Type=notify",
        "ExecStartPre=/usr/bin/linecard check",
        "ExecReload=/usr/bin/linecard check",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "RestartPreventExitStatus=78",
        "LoadCredential=secret:/etc/linecard/secrets",
        "StateDirectory=linecard",
        "LimitCORE=0",
        "WatchdogSec=",
        "LimitNOFILE=",
        "User=linecard",
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "the unit has no line that starts with {line}");
    }
}
