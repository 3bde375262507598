//! A database as a business system: statements that only read, and values that never become their text.
//!
//! What a file may ask is one SELECT (or WITH) with named parameters; `live` sends it over a connection that cannot write, so two locks hold the door.

pub mod live;
pub mod mysql;
pub mod postgres;
mod state;

use std::collections::BTreeSet;

/// What one answer may hold.
const ROWS: usize = 10_000;
const BYTES: usize = 1024 * 1024;
/// Connections kept for the next question.
const KEPT: usize = 4;

/// A SELECT of a file: its text between the parameters, and their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// One more than `names`.
    texts: Vec<String>,
    names: Vec<String>,
}

impl Statement {
    /// As a file writes it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (n, part) in self.texts.iter().enumerate() {
            text.push_str(part);
            if let Some(name) = self.names.get(n) {
                text.push(':');
                text.push_str(name);
            }
        }
        text
    }

    /// Reads a statement: `:name` is a parameter, except in quotes, in comments and behind another colon.
    ///
    /// # Errors
    /// A fragment that says why it is no statement that may be sent.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let (mut texts, mut names) = (vec![String::new()], Vec::new());
        let mut words = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match c {
                '\'' | '"' | '`' => {
                    rest.get(1..).and_then(|r| r.find(c)).map(|at| at + 2).ok_or("a quote is not closed")?
                }
                '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
                // MySQL runs what stands in this one.
                '/' if rest.starts_with("/*!") => return Err("it holds a comment that is run".to_owned()),
                '/' if rest.starts_with("/*") => rest.find("*/").map(|at| at + 2).ok_or("a comment is not closed")?,
                ';' => return Err("it is more than one statement".to_owned()),
                ':' if rest.starts_with("::") => 2,
                ':' => {
                    let name = word(rest.get(1..).unwrap_or_default());
                    if !name.is_empty() {
                        names.push(name.to_owned());
                        texts.push(String::new());
                        rest = rest.get(1 + name.len()..).unwrap_or_default();
                        continue;
                    }
                    1
                }
                c if c.is_alphabetic() || c == '_' => {
                    let word = word(rest);
                    words.push(word.to_ascii_lowercase());
                    word.len()
                }
                // The digits of a number may be followed by letters, which are then no word.
                c if c.is_ascii_digit() => word(rest).len(),
                c => c.len_utf8(),
            };
            let (now, then) = rest.split_at_checked(taken).unwrap_or((rest, ""));
            if let Some(text) = texts.last_mut() {
                text.push_str(now);
            }
            rest = then;
        }
        if !words.first().is_some_and(|w| w == "select" || w == "with") {
            return Err("it is no SELECT: a database is only read".to_owned());
        }
        // What could still write inside one SELECT: SELECT INTO, and a WITH that changes (PostgreSQL). They are reserved words there; who has such a column puts it into quotes.
        let writes = ["into", "insert", "update", "delete", "merge"];
        match words.iter().find(|word| writes.contains(&word.as_str())) {
            Some(word) => Err(format!(
                "it holds the word {}: a database is only read (a column of that name goes into quotes)",
                word.to_ascii_uppercase()
            )),
            None => Ok(Self { texts, names }),
        }
    }

    /// The parameters' names, each once.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// The parameters' names by their places; one that comes twice is here twice.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The statement with each parameter as `mark` writes it: told its place from 1 (one that comes twice is told its first) and its name. Beside it the names by those places.
    #[must_use]
    pub fn written(&self, mark: impl Fn(usize, &str) -> String) -> (String, Vec<&str>) {
        let mut out = String::new();
        let mut order: Vec<&str> = Vec::new();
        for (n, text) in self.texts.iter().enumerate() {
            out.push_str(text);
            if let Some(name) = self.names.get(n) {
                let place = order.iter().position(|known| known == name).unwrap_or_else(|| {
                    order.push(name);
                    order.len() - 1
                });
                out.push_str(&mark(place + 1, name));
            }
        }
        (out, order)
    }
}

/// The letters, digits and underlines it begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(text: &str) -> (String, Vec<String>) {
        let statement = Statement::new(text).unwrap();
        let (text, order) = statement.written(|n, _| format!("${n}"));
        (text, order.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn parameters_are_found_where_they_are_parameters() {
        let (text, order) = numbered(
            "select id::text, ':no', \"a:b\" /* :no */ -- :no\n from p where m like :like and (n = :n or :like is null) ;",
        );
        assert_eq!(
            text,
            "select id::text, ':no', \"a:b\" /* :no */ -- :no\n from p where m like $1 and (n = $2 or $1 is null)"
        );
        assert_eq!(order, ["like", "n"]);
        assert_eq!(numbered("SELECT '' || 'it''s :x' AS 名字, 1e5").1, [""; 0]);
    }

    #[test]
    fn only_one_select_is_a_statement() {
        for (text, why) in [
            ("", "no SELECT"),
            ("delete from p", "no SELECT"),
            ("select 1; drop table p", "more than one"),
            ("select * into outfile '/tmp/x' from p", "INTO"),
            ("with gone as (delete from p returning id) select * from gone", "DELETE"),
            ("select 'a", "quote"),
            ("select 1 /* a", "comment"),
            ("select 1 /*! into outfile '/tmp/x' */", "comment"),
        ] {
            assert!(Statement::new(text).unwrap_err().contains(why), "{text}");
        }
        for text in
            ["select updated, \"delete\" from p", "with a as (select 1 as x) select x from a", "-- who\nselect 1"]
        {
            assert!(Statement::new(text).is_ok(), "{text}");
        }
    }
}
