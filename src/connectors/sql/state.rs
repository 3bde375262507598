//! What a database server's error means for whoever asked. By SQLSTATE (PostgreSQL 15, Appendix A) and, where MySQL and MariaDB give several
//! errors one state, by their numbers.

use super::super::{Outcome, run::Trouble};

/// An error of a server. `said` is its text: shown only where it can name nothing but what stands in the file.
pub fn trouble(name: &str, state: &str, said: &str) -> Trouble {
    let told = |outcome| Trouble::Told(outcome);
    let class = state.get(..2).unwrap_or_default();
    match (class, state) {
        ("28", _) => told(Outcome::Denied { reason: format!("{name} does not let us in (SQLSTATE {state})") }),
        (_, "42501") => told(Outcome::Denied { reason: format!("{name} does not let us read this") }),
        // query_canceled: the time that the session was given, or an administrator.
        (_, "57014") => told(Outcome::Busy { reason: format!("{name} did not answer in time") }),
        (_, "25006") => told(Outcome::Broken { reason: format!("{name}: the statement would write") }),
        // Connection, resources, operator intervention, rolled back by others, locked by others.
        ("08" | "53" | "57" | "40" | "55" | "58", _) => {
            told(Outcome::Busy { reason: format!("{name} cannot answer now (SQLSTATE {state})") })
        }
        // The value is none that the column can be compared with. Its text would repeat it.
        ("22", _) => told(Outcome::Invalid { reason: format!("{name} refuses a value (SQLSTATE {state})") }),
        ("3D" | "3F", _) => Trouble::Unusable(format!("{name} has no such database or schema")),
        ("42", _) => Trouble::Unusable(format!("{name} does not take the statement: {said} (SQLSTATE {state})")),
        _ => Trouble::Unusable(format!("{name} failed with SQLSTATE {state}")),
    }
}

/// The state by which an error of MySQL or MariaDB is judged: access is 42000 there like a wrong statement, and much is HY000.
pub fn mysql(code: u16, state: &str) -> &str {
    match code {
        // A database, a table, a column, a routine, a privilege.
        1044 | 1142 | 1143 | 1227 | 1370 => "42501",
        // A password, or a certificate that is asked for.
        1045 | 1698 | 3159 => "28000",
        // Killed, or its time was up: MariaDB, MySQL.
        1317 | 1969 | 3024 => "57014",
        // Too many connections, users, questions; going down; locks.
        1040 | 1203 | 1226 | 1053 | 1205 | 1213 => "53000",
        1049 => "3D000",
        1290 | 1792 => "25006",
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(trouble: &Trouble) -> &'static str {
        match trouble {
            Trouble::Told(outcome) => outcome.word(),
            Trouble::Unusable(_) => "unusable",
            _ => "other",
        }
    }

    #[test]
    fn states_are_judged_by_what_can_be_done() {
        for (state, wanted) in [
            ("28P01", "denied"),
            ("42501", "denied"),
            ("57014", "busy"),
            ("57P01", "busy"),
            ("53300", "busy"),
            ("08006", "busy"),
            ("40001", "busy"),
            ("22P02", "invalid"),
            ("25006", "broken"),
            ("42P01", "unusable"),
            ("3D000", "unusable"),
            ("XX000", "unusable"),
            ("", "unusable"),
        ] {
            assert_eq!(word(&trouble("erp", state, "x")), wanted, "{state}");
        }
        for (code, state, wanted) in [
            (1142, "42000", "denied"),
            (1064, "42000", "unusable"),
            (1045, "28000", "denied"),
            (1969, "70100", "busy"),
            (3024, "HY000", "busy"),
            (1040, "08004", "busy"),
            (1146, "42S02", "unusable"),
        ] {
            assert_eq!(word(&trouble("erp", mysql(code, state), "x")), wanted, "{code}");
        }
    }

    #[test]
    fn a_value_is_never_repeated() {
        let Trouble::Told(outcome) = trouble("erp", "22P02", "invalid input syntax: \"13800138000\"") else { panic!() };
        assert!(!outcome.reason().unwrap().contains("138"));
    }
}
