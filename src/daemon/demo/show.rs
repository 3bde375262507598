//! `linecard demo`: everything on loopback over real sockets, calls that keep coming, and a few lines on where to look.

use std::{
    io,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    dice::Dice,
    experts,
    hosts::{Host, Hosts, Mode},
    live::Pbx,
    mail::Mails,
    people::{CALLED, CALLERS},
    stage::{Places, Stage, free},
    story::Story,
    survey,
    switch::Settings,
    systems::System,
};

/// Runs until Ctrl-C, SIGTERM, or until the daemon dies. `data` keeps settings and store; otherwise they are in a temporary folder
/// that goes when the demo ends.
///
/// # Errors
/// What could not be started, in words for a person.
pub fn run(data: Option<&Path>, by_hand: bool) -> Result<(), String> {
    let temporary = std::env::temp_dir().join(format!("linecard-demo-{}", std::process::id()));
    let folder = data.map_or_else(|| temporary.clone(), Path::to_path_buf);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start the runtime: {e}"))?;
    let ended = runtime.block_on(play(&folder, by_hand));
    if data.is_none() {
        // What is left of a temporary folder is the temporary folder's business.
        let _ = std::fs::remove_dir_all(&temporary);
    }
    ended
}

async fn play(folder: &Path, by_hand: bool) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let seed = crate::live::now().wall.0.unsigned_abs();
    let cannot = |what: &str, e: &io::Error| format!("cannot start {what}: {e}");

    let preferred = Places::preferred();
    let at = |place| free(place).map_err(|e| cannot("a listener", &e));
    let pbx = Pbx::start(Settings::default(), seed, at(preferred.ami)?).await;
    let pbx = pbx.map_err(|e| cannot("the simulated switch", &e))?;
    let hosts = Hosts::start(preferred).await.map_err(|e| cannot("the simulated systems", &e))?;
    let places = Places {
        agents: at(preferred.agents)?,
        admin: at(preferred.admin)?,
        hooks: at(preferred.hooks)?,
        console: at(preferred.console)?,
        ami: pbx.address(),
        erp: hosts.erp.address(),
        loyalty: hosts.loyalty.address(),
        orders: hosts.orders.address(),
        desk: hosts.tickets.address(),
        survey: hosts.survey.address(),
        mail: hosts.mails.address(),
    };
    let stage = Stage::set(folder, places).map_err(|e| cannot(&format!("in {}", folder.display()), &e))?;
    let daemon = stage.start(&program).map_err(|e| cannot("the daemon", &e))?;
    let mut daemon = Running(daemon);

    let patience = Instant::now() + Duration::from_secs(20);
    while !(stage.ready() && pbx.logged_in() > 0) {
        if let Ok(Some(status)) = daemon.0.try_wait() {
            return Err(format!("the daemon ended with {status}; it says:\n{}", tail(&stage.log())));
        }
        if Instant::now() > patience {
            return Err(format!("the daemon is not ready after 20 s; it says:\n{}", tail(&stage.log())));
        }
        sleep(Duration::from_millis(50)).await;
    }
    introduce(&stage, &program)?;
    let ended = tokio::select! {
        ended = keep_calling((&pbx, &hosts), &mut daemon, &stage, seed, by_hand) => ended,
        () = experts::answer(&hosts.tickets, stage.places.hooks) => Ok(()),
    };
    drop(hosts);
    ended
}

fn introduce(stage: &Stage, program: &Path) -> Result<(), String> {
    let mut tokens = String::new();
    for agent in ["1001", "1002", "1003", "2001"] {
        let token = stage
            .verb(program, &["token", "--agent", agent, "--ttl", "8h"])
            .map_err(|e| format!("cannot make a token: {e}"))?;
        tokens.push_str(&format!("  {agent}  {}\n", token.trim()));
    }
    println!(
        "\nLinecard is running, with a simulated switch and business systems beside it.\n\n\
         The agents' page   http://{}/\n\
         The tickets made   http://{}/\n\
         The board          http://{}/board   (/board?wall for a screen on the wall)\n\
         The console        http://{}/admin   (admin, supervisor or auditor; password linecard-demo)\n\
         Health, metrics    http://{}/readyz  /metrics\n\
         The mails sent     {}\n\n\
         Open the agents' page and paste the token of an agent; 1001 gets the most calls. 2001 is a supervisor: that token opens the board.\n\n{tokens}\n\
         Calls come every few seconds and are answered by themselves after a while. Dial any number on the page: your phone\n\
         \"rings\" and answers, then the far end does. Who called from a mobile is asked once a day how it was; the answer is in the\n\
         call's record (linecard records list) and, if it was a bad one, a ticket. Settings, store and log are in {}.\n\
         Ctrl-C ends it.\n",
        stage.places.agents,
        stage.places.desk,
        stage.places.agents,
        stage.places.console,
        stage.places.admin,
        stage.inbox().display(),
        stage.settings().parent().unwrap_or(Path::new("/")).display(),
    );
    Ok(())
}

/// Calls, one after the other, until somebody wants to stop or the daemon dies.
async fn keep_calling(
    (pbx, hosts): (&Pbx, &Hosts),
    daemon: &mut Running,
    stage: &Stage,
    seed: u64,
    by_hand: bool,
) -> Result<(), String> {
    let (tell, mut lines) = tokio::sync::mpsc::channel(16);
    let mut listens = by_hand;
    if by_hand {
        // It ends with its input, or with the program.
        std::thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if tell.blocking_send(line).is_err() {
                    break;
                }
            }
        });
    }
    let mut dice = Dice::new(seed ^ 0xCA11);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|e| format!("cannot listen for signals: {e}"))?;
    let mut next = Instant::now() + Duration::from_secs(2);
    let (mut answered, mut read) = (0, 0);
    // The first calls tour what there is to see: a known customer, a shared number, a missed call, a transfer.
    let mut tour = vec![
        (Story::AttendedTransfer, CALLERS.get(1)),
        (Story::Abandoned, CALLERS.get(5)),
        (Story::Answered, CALLERS.get(3)),
        (Story::Answered, CALLERS.first()),
    ];
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            () = sleep_until(next), if !by_hand => {
                let (story, customer) = tour.pop().unwrap_or_else(|| {
                    let story = *dice.pick(&Story::ALL).unwrap_or(&Story::Answered);
                    (story, dice.pick(if story.outbound() { CALLED } else { CALLERS }))
                });
                // Half of the calls want agent 1001; between them that agent is free to dial.
                let first = dice.chance(50).then_some(0).filter(|seat| pbx.free_seats().contains(seat));
                pbx.play(story, customer.copied().unwrap_or_default(), first);
                next = Instant::now() + Duration::from_millis(dice.between(4_000, 9_000));
            }
            line = lines.recv(), if listens => match line {
                Some(line) => {
                    if let Err(wrong) = told(&line, pbx, hosts) {
                        eprintln!("{line:?}: {wrong}");
                    }
                }
                // Whoever told is gone; the demo stays.
                None => listens = false,
            },
            () = sleep(Duration::from_secs(1)) => {
                // Who was asked answers after a while.
                let now = crate::live::now().wall;
                for invitation in hosts.survey.ledger().iter().skip(answered).take_while(|w| now.since(w.at) > 5_000) {
                    answered += 1;
                    // A daemon that is busy, or stopping, hears it no second time: the demo's survey is a careless one.
                    let _ = survey::tell(stage.places.hooks, &survey::answer(&invitation.call, dice.between(1, 5), ""));
                }
                for letter in hosts.mails.letters().iter().skip(read) {
                    read += 1;
                    stage.receive(read, &letter.text).map_err(|e| format!("cannot keep a mail: {e}"))?;
                }
                if let Ok(Some(status)) = daemon.0.try_wait() {
                    return Err(format!("the daemon ended with {status}; it says:\n{}", tail(&stage.log())));
                }
            }
        }
    }
    println!("\nstopping");
    daemon.stop().await;
    Ok(())
}

/// One line of `--by-hand`.
fn told(line: &str, pbx: &Pbx, hosts: &Hosts) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ms = |word: &str| {
        word.parse().map(Duration::from_millis).map_err(|_| format!("{word} is no number of milliseconds"))
    };
    match *words.as_slice() {
        [] => {}
        ["call", story, customer, ref agent @ ..] => {
            let story = serde_json::from_value::<Story>(serde_json::Value::from(story))
                .map_err(|_| format!("{story} is no story: answered, abandoned, no-answer-then-other, blind-transfer, attended-transfer, direct, direct-missed, outbound or outbound-busy"))?;
            // The demo's agents are 1001, 1002 and 1003, at seats in that order.
            let seat = agent.first().and_then(|agent| ["1001", "1002", "1003"].iter().position(|known| known == agent));
            pbx.play(story, customer, seat).ok_or("nobody is free for it")?;
        }
        ["switch", "cut"] => pbx.cut(),
        ["switch", "restart", down] => pbx.restart(ms(down)?),
        [system, ref how @ ..] => {
            let host = [&hosts.erp, &hosts.loyalty, &hosts.orders, &hosts.tickets]
                .into_iter()
                .find(|host| host.system().id() == system);
            let host = host.ok_or("neither call, switch nor a system: erp, loyalty, orders, desk")?;
            host.set(match how {
                ["well"] => Mode::Well,
                ["slow", by] => Mode::Slow(ms(by)?),
                ["refuses"] => Mode::Refuses,
                ["babbles"] => Mode::Babbles,
                ["dead"] => Mode::Dead,
                _ => return Err("well, slow MILLISECONDS, refuses, babbles or dead".to_owned()),
            });
        }
    }
    Ok(())
}

/// The daemon's process; it does not outlive the demo.
struct Running(Child);

impl Running {
    /// SIGTERM, then patience, then the end.
    async fn stop(&mut self) {
        let asked = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = asked {
            // It may be gone already: Ctrl-C reaches the whole group.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let patience = Instant::now() + Duration::from_secs(15);
        while Instant::now() < patience && !matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that already ended cannot be killed; it is reaped all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last lines of the daemon's log.
fn tail(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}

impl Hosts {
    /// All of them, at their preferred places where those are free.
    ///
    /// # Errors
    /// Not even a free port can be had.
    pub async fn start(preferred: Places) -> io::Result<Hosts> {
        let tickets = Host::start(System::Tickets, free(preferred.desk)?).await?;
        Ok(Hosts {
            erp: Host::start(System::Erp, free(preferred.erp)?).await?,
            loyalty: Host::start(System::Loyalty, free(preferred.loyalty)?).await?,
            orders: Host::start(System::Orders, free(preferred.orders)?).await?,
            survey: Host::start(System::Survey, free(preferred.survey)?).await?,
            mails: Mails::start(free(preferred.mail)?).await?,
            tickets,
        })
    }
}
