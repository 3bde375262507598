//! `account`: who may sign in at the console. It edits accounts.yaml line by line, so that what people wrote beside the lines stays.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

use super::{Exit, fail, trunks, wrong};
use crate::{
    access::{
        AccountsFile, Role,
        accounts::{check, hash},
    },
    daemon::cli::Account,
    files,
    private::Secret,
};

const HEAD: &str = "\
# yaml-language-server: $schema=schemas/accounts.json
# Who may sign in at the console (docs/console.md). `linecard account add` writes the lines; a running daemon hears of them by `systemctl reload linecard`.
accounts:
";

pub fn account(verb: &Account) -> Exit {
    let (Account::Add { folder, .. } | Account::Remove { folder, .. } | Account::List { folder }) = verb;
    let path = folder.config.join("accounts.yaml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
        Err(error) => return fail(&format!("cannot read {}: {error}", path.display())),
    };
    let file = match read(&text) {
        Ok(file) => file,
        Err(exit) => return exit,
    };
    match verb {
        Account::List { .. } => {
            for account in &file.accounts {
                let tenant = account.tenant.as_ref().map_or("the whole site", |tenant| tenant.as_str());
                println!("{:<24} {:<12} {tenant}", account.name, account.role.as_str());
            }
            if file.accounts.is_empty() {
                println!("nobody yet; linecard account add NAME --role admin");
            }
            Exit::Good
        }
        Account::Remove { name, .. } => {
            if !file.accounts.iter().any(|account| account.name == *name) {
                return fail(&format!(
                    "there is no account {name:?}; `linecard account list` names those that there are"
                ));
            }
            written(&path, &without(&text, name), file.accounts.len() - 1, &format!("{name} is out"))
        }
        Account::Add { name, role, tenant, .. } => {
            let Some(role) = Role::ALL.into_iter().find(|known| known.as_str() == role.as_str()) else {
                return fail(&format!("--role {role}: admin, supervisor or auditor"));
            };
            let hashed = match password().and_then(|password| hash(&password, &rand::random())) {
                Ok(hashed) => hashed,
                Err(why) => return fail(&why),
            };
            let known = file.accounts.iter().any(|account| account.name == *name);
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let tenant = tenant.as_deref().map_or_else(String::new, |tenant| format!(", tenant: {}", quoted(tenant)));
            let line = format!(
                "  - {{name: {}, role: {}{tenant}, password: {}}}\n",
                quoted(name),
                role.as_str(),
                quoted(&hashed)
            );
            let mut fresh = without(&text, name);
            if let Some(empty) = fresh.find("accounts: []") {
                fresh.replace_range(empty..empty + "accounts: []".len(), "accounts:");
            }
            if !fresh.ends_with('\n') {
                fresh.push('\n');
            }
            let count = file.accounts.len() + usize::from(!known);
            let done = if known { "has a new line" } else { "may sign in" };
            written(&path, &(fresh + &line), count, &format!("{name} {done} as {}", role.as_str()))
        }
    }
}

fn read(text: &str) -> Result<AccountsFile, Exit> {
    // A head without lines is a file without accounts.
    let text =
        if text.trim_end().ends_with("accounts:") { format!("{} []\n", text.trim_end()) } else { text.to_owned() };
    let read = files::read::<AccountsFile>("accounts.yaml", &text).map_err(|problems| wrong(&problems))?;
    let problems = check(&read);
    if problems.is_empty() { Ok(read.value) } else { Err(wrong(&problems)) }
}

/// Without the line of this account, as we write lines.
fn without(text: &str, name: &str) -> String {
    let is = |line: &str| {
        let one = format!("accounts:\n{line}\n");
        line.trim_start().starts_with("- ")
            && files::read::<AccountsFile>("accounts.yaml", &one)
                .is_ok_and(|read| read.value.accounts.iter().any(|a| a.name == name))
    };
    text.lines().filter(|line| !is(line)).flat_map(|line| [line, "\n"]).collect()
}

/// Read once more before it is written: whoever wrote an account over several lines is told, and nothing is lost.
fn written(path: &Path, text: &str, count: usize, done: &str) -> Exit {
    match read(text) {
        Ok(file) if file.accounts.len() == count => {}
        Ok(_) => {
            return fail("an account in accounts.yaml does not stand on a line of its own; change that line by hand");
        }
        Err(exit) => return exit,
    }
    let text = if count == 0 { text.replace("accounts:\n", "accounts: []\n") } else { text.to_owned() };
    match trunks::replace(path, &text) {
        Ok(()) => {
            println!("{done}; a running daemon hears of it by a reload");
            Exit::Good
        }
        Err(error) => fail(&format!("cannot write {}: {error}", path.display())),
    }
}

/// One line of standard input, which a terminal does not show.
fn password() -> Result<Secret, String> {
    let input = io::stdin();
    let hidden = input.is_terminal().then(|| {
        let before = rustix::termios::tcgetattr(&input).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Flush, &silent).ok()?;
        let _ = write!(io::stderr(), "Password: ");
        Some(before)
    });
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if let Some(before) = hidden.flatten() {
        let _ = rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Flush, &before);
        let _ = writeln!(io::stderr());
    }
    read.map_err(|error| format!("cannot read the password: {error}"))?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_and_the_remarks_stay() {
        let text = "# who\naccounts:\n  # the boss\n  - {name: \"lin\", role: admin, password: \"x\"}\n  - {name: wu, role: auditor, password: \"y\"}\n";
        assert_eq!(
            without(text, "lin"),
            "# who\naccounts:\n  # the boss\n  - {name: wu, role: auditor, password: \"y\"}\n"
        );
        assert_eq!(without(text, "li"), text);
    }
}
