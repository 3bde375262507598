//! Who may look at the console and change what it shows, on a site without an identity provider: `accounts.yaml`, one line for each person. Passwords are
//! there as Argon2id hashes (RFC 9106); `linecard account add` writes the line.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    files::{Problem, Read},
    private::Secret,
    words::TenantId,
};

/// What somebody is for the console. Each may do what the table of [`Right`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Calls, what was not delivered, flows, figures; changes no settings.
    Supervisor,
    /// Sees everything, the audit and the settings too, and changes nothing.
    Auditor,
}

/// One kind of thing that the console does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Links, connectors, trunk mappings, calls, flows, alerts, figures: to look.
    See,
    /// The audit and the settings in force.
    Audit,
    /// What was not delivered, and flows that wait: to try again, drop, answer.
    Work,
    /// Trunk mappings, connectors: to change.
    Change,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Admin, Self::Supervisor, Self::Auditor];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Supervisor => "supervisor",
            Self::Auditor => "auditor",
        }
    }

    /// The first that is one of ours, the strongest first; what else an issuer calls people is not ours to judge.
    #[must_use]
    pub fn among<R: AsRef<str>>(roles: &[R]) -> Option<Self> {
        Self::ALL.into_iter().find(|role| roles.iter().any(|named| named.as_ref() == role.as_str()))
    }

    #[must_use]
    pub const fn rights(self) -> &'static [Right] {
        match self {
            Self::Admin => &[Right::See, Right::Audit, Right::Work, Right::Change],
            Self::Supervisor => &[Right::See, Right::Work],
            Self::Auditor => &[Right::See, Right::Audit],
        }
    }

    #[must_use]
    pub fn may(self, right: Right) -> bool {
        self.rights().contains(&right)
    }
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountsFile {
    #[serde(default)]
    pub accounts: Vec<Account>,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Stands in the audit.
    pub name: String,
    pub role: Role,
    /// Sees this tenant's calls alone, and no settings. Absent: the whole site.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// `$argon2id$v=19$...`, as `linecard account add` writes it.
    #[schemars(with = "String")]
    pub password: Secret,
}

/// Accounts by which people sign in.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Vec<Account>);

/// OWASP's first choice for Argon2id: 19 MiB, two passes, one lane. A check costs some 20 ms of one processor.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What is taken for a hash has at most this many times our cost: a file must not be able to hold the daemon up.
const DEAREST: u32 = 16;

/// Characters. Long beats odd (NIST SP 800-63B, section 5.1.1.2), and a hash takes any.
pub const SHORTEST: usize = 10;
pub const LONGEST: usize = 256;

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("three constants within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash of a new password; `salt` is 16 random bytes.
///
/// # Errors
/// What is wrong with the password.
pub fn hash(password: &Secret, salt: &[u8; 16]) -> Result<String, String> {
    let length = password.expose().chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Err(format!("a password has {SHORTEST} to {LONGEST} characters; this one has {length}"));
    }
    let hashed = argon2().hash_password_with_salt(password.expose().as_bytes(), salt);
    hashed.map(|hash| hash.to_string()).map_err(|error| format!("the password could not be hashed: {error}"))
}

impl Accounts {
    #[must_use]
    pub fn of(file: AccountsFile) -> Self {
        Self(file.accounts)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Account> {
        self.0.iter().find(|account| account.name == name)
    }

    /// Who it is. Costs a hash also where there is no such name, so that the time does not tell.
    #[must_use]
    pub fn check(&self, name: &str, password: &Secret) -> Option<&Account> {
        let account = self.find(name);
        let known = account.map_or(NOBODY, |account| account.password.expose());
        let right = PasswordHash::new(known)
            .is_ok_and(|hash| argon2().verify_password(password.expose().as_bytes(), &hash).is_ok());
        account.filter(|_| right)
    }
}

/// A hash that no password has been found for: its salt and value are digits of pi.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MzE0MTU5MjY1MzU4OTc5Mw$MzIzODQ2MjY0MzM4MzI3OTUwMjg4NDE5NzE2OTM5OTM";

/// What a schema cannot see.
#[must_use]
pub fn check(read: &Read<AccountsFile>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, account) in read.value.accounts.iter().enumerate() {
        let key = |key: &str| format!("accounts[{i}].{key}");
        let name = &account.name;
        if name.is_empty() || name.len() > 64 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let wanted = "up to 64 letters without blanks; it stands in the audit";
            problems.push(read.problem(&key("name"), format!("{name:?}"), wanted));
        }
        if read.value.accounts.iter().take(i).any(|other| other.name == *name) {
            problems.push(read.problem(&key("name"), format!("{name:?} is there already"), "each name once"));
        }
        if !sound(account.password.expose()) {
            let found = "this is no Argon2id hash that we take".to_owned();
            problems.push(read.problem(&key("password"), found, "the line that `linecard account add` writes"));
        }
    }
    problems
}

fn sound(text: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return false };
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.hash.is_some()
        && hash.salt.is_some()
        && params.m_cost() <= MEMORY_KIB * DEAREST
        && params.t_cost() <= PASSES * DEAREST
        && params.p_cost() <= LANES * DEAREST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn file(text: &str) -> Result<AccountsFile, Vec<Problem>> {
        let read = files::read::<AccountsFile>("accounts.yaml", text)?;
        let problems = check(&read);
        if problems.is_empty() { Ok(read.value) } else { Err(problems) }
    }

    #[test]
    fn who_knows_the_password_is_let_in_and_nobody_else() {
        let hash = hash(&Secret::new("correct horse".to_owned()), b"0123456789abcdef").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let text = format!("accounts:\n  - {{name: lin, role: auditor, password: \"{hash}\"}}\n");
        let accounts = Accounts::of(file(&text).unwrap());
        let secret = |text: &str| Secret::new(text.to_owned());
        assert_eq!(accounts.check("lin", &secret("correct horse")).unwrap().role, Role::Auditor);
        assert!(accounts.check("lin", &secret("Correct horse")).is_none());
        assert!(accounts.check("wu", &secret("correct horse")).is_none());
        assert!(sound(NOBODY), "the hash for unknown names costs as much as a real one");
    }

    #[test]
    fn a_file_that_cannot_be_meant_says_why() {
        let right = hash(&Secret::new("correct horse".to_owned()), b"0123456789abcdef").unwrap();
        let one = |name: &str, password: &str| format!("  - {{name: {name}, role: admin, password: \"{password}\"}}\n");
        for (lines, wrong) in [
            (one("lin", "secret"), "no Argon2id hash"),
            (one("lin", &right.replace("argon2id", "argon2i")), "no Argon2id hash"),
            (one("lin", &right.replace("m=19456", "m=19456000")), "no Argon2id hash"),
            (one("lin", &right) + &one("lin", &right), "there already"),
            (one("\"a b\"", &right), "a b"),
        ] {
            let problems = file(&format!("accounts:\n{lines}")).unwrap_err();
            let told = format!("{problems:?}");
            assert!(told.contains(wrong), "{told}");
            assert!(!told.contains(&right), "a hash is not told");
        }
        assert!(hash(&Secret::new("short".to_owned()), &[0; 16]).unwrap_err().contains("10 to 256"));
    }

    #[test]
    fn only_an_admin_changes_and_no_auditor_works() {
        assert!(Role::Admin.may(Right::Change) && !Role::Supervisor.may(Right::Change));
        assert!(Role::Supervisor.may(Right::Work) && !Role::Auditor.may(Right::Work));
        assert!(Role::Auditor.may(Right::Audit) && !Role::Supervisor.may(Right::Audit));
        assert_eq!(Role::among(&["agent", "auditor", "admin"]), Some(Role::Admin));
        assert_eq!(Role::among(&["Admin"]), None);
    }
}
