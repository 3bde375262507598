//! Instructions of an AMI event, from bytes to the book: callgrind over two captures of different length, so that everything that is
//! not an event falls out of the difference.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use linecard::{
    calls::event::Feed,
    daemon::{
        demo::{
            story::Story,
            switch::{Output, Settings, Switch},
        },
        replay::{self, Capture, ReplaySettings},
    },
    words::{Mono, Now, Wall},
};

/// Under callgrind: nothing but the replay of one capture.
pub fn replay(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let capture = Capture { feed: Feed::Ami, name: "capture".into(), bytes };
    let agents = ["1001", "1002", "1003"].map(str::to_owned);
    let records = replay::run(ReplaySettings::plain(&agents, "CN", Some("21")), &[capture]).unwrap();
    assert!(!records.is_empty());
}

/// `None` where there is no valgrind.
pub fn of_an_event(folder: &Path) -> io::Result<Option<u64>> {
    let known = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !known.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let mut counted = Vec::new();
    for calls in [20, 60] {
        let capture = capture(calls);
        let events = capture.matches("\r\n\r\n").count() as u64;
        let file = folder.join(format!("capture-{calls}"));
        std::fs::write(&file, capture)?;
        let run = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .arg("--replay")
            .arg(&file)
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let collected =
            said.lines().find_map(|l| l.split("Collected :").nth(1)).and_then(|n| n.trim().parse::<u64>().ok());
        let Some(collected) = collected else {
            return Err(io::Error::other(format!("callgrind says nothing: {said}")));
        };
        counted.push((events, collected));
    }
    let [(few, less), (many, more)] = counted[..] else { return Ok(None) };
    Ok(Some((more - less) / (many - few).max(1)))
}

/// What a client hears of so many calls of all kinds.
pub fn capture(calls: usize) -> String {
    let at = |ms: u64| Now { wall: Wall(1_795_347_846_000 + i64::try_from(ms).unwrap_or(0)), mono: Mono(ms * 1000) };
    let mut switch = Switch::new(Settings::default(), 1, at(0));
    switch.connected(1, at(0));
    switch.received(1, b"Action: Login\r\nUsername: linecard\r\nSecret: demo\r\nEvents: on\r\n\r\n", at(0));
    let (mut text, mut ms) = (String::new(), 0);
    for n in 0..calls {
        switch.play(Story::ALL[n % Story::ALL.len()], "13800138000", None, at(ms));
        loop {
            let (outputs, next) = switch.poll(at(ms));
            for output in outputs {
                if let Output::Send { bytes, .. } = output {
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
            let Some(next) = next else { break };
            ms = ms.max(next.0.div_ceil(1000));
        }
    }
    text
}
