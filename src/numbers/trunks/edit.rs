//! Another table put into the text of a trunks.yaml: remarks, order and spelling of what did not change stay as they are, because the file is kept in git and
//! read by people. What comes out is read again before it is given; where the text is in a shape that cannot be edited line by line (rows in `[...]`, several keys on a
//! line), or the reading does not give the table that was wanted, the file is written anew under the remarks at its head, and that is said.

use std::ops::Range;

use super::{
    TrunkRow, TrunksFile,
    sheet::{self, COLUMNS, Cells},
};
use crate::files::Read;

/// One row as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub cells: Cells,
    /// Which row of the old text it was, from 0; a new one has none.
    pub was: Option<usize>,
}

/// The text of the new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// Remarks between rows and the spelling of what did not change are as they were.
    pub kept: bool,
}

/// The new text. The old one may be anything, or nothing.
#[must_use]
pub fn write(old: &str, rows: &[Wanted]) -> Written {
    let table: Vec<Cells> = rows.iter().map(|row| row.cells.clone()).collect();
    if let Some(text) = edited(old, rows)
        && super::read(&text).is_ok_and(|read| sheet::table(&read.value.rows) == table)
    {
        return Written { text, kept: true };
    }
    let head: String = old.lines().take_while(|line| line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    // With no more than a head there was nothing to keep.
    let kept = old.lines().all(|line| line.is_empty() || line.starts_with('#') || line.trim_end() == "rows: []");
    Written { text: head + &sheet::yaml_of(&table), kept }
}

/// Where the rows of a text lie; lines from 0.
struct Places {
    /// The remarks above each row, and the row.
    rows: Vec<(Range<usize>, Item)>,
    /// From here on nothing is a row's.
    tail: usize,
}

struct Item {
    lines: Range<usize>,
    /// Its keys in the order of the text: name, line, column (from 0). Empty: the row is written in `{...}`.
    keys: Vec<(&'static str, usize, usize)>,
}

fn edited(old: &str, rows: &[Wanted]) -> Option<String> {
    let read = super::read(old).ok()?;
    let lines: Vec<&str> = old.lines().collect();
    let places = Places::of(&read, &lines)?;
    let first = places.rows.first()?.0.start;
    if rows.is_empty() {
        return None;
    }
    let mut out: Vec<String> = lines.get(..first)?.iter().map(|line| (*line).to_owned()).collect();
    let taken =
        |range: &Range<usize>| lines.get(range.clone()).unwrap_or_default().iter().map(|line| (*line).to_owned());
    let before = sheet::table(&read.value.rows);
    for row in rows {
        let known = row.was.and_then(|was| Some((places.rows.get(was)?, before.get(was)?)));
        match known {
            Some(((above, item), cells)) => {
                out.extend(taken(above));
                if *cells == row.cells {
                    out.extend(taken(&item.lines));
                } else {
                    out.extend(changed(&lines, item, cells, &row.cells).unwrap_or_else(|| anew(&row.cells)));
                }
            }
            None => out.extend(anew(&row.cells)),
        }
    }
    out.extend(taken(&(places.tail..lines.len())));
    let end = if old.contains("\r\n") { "\r\n" } else { "\n" };
    Some(out.into_iter().flat_map(|line| [line, end.to_owned()]).collect())
}

fn anew(cells: &Cells) -> Vec<String> {
    let text = sheet::yaml_of(std::slice::from_ref(cells));
    text.lines().skip(1).map(str::to_owned).collect()
}

impl Places {
    fn of(read: &Read<TrunksFile>, lines: &[&str]) -> Option<Self> {
        if lines.iter().any(|line| ["---", "...", "%"].iter().any(|mark| line.starts_with(mark))) {
            return None;
        }
        let starts = (0..read.value.rows.len()).map(|i| start(read, lines, i)).collect::<Option<Vec<_>>>()?;
        let dash = starts.first()?.1;
        if starts.iter().any(|(_, at, _)| *at != dash) || starts.windows(2).any(|w| w[0].0 >= w[1].0) {
            return None;
        }
        // Above a row is what is no deeper than its dash: deeper remarks are the row's before.
        let above = |line: usize, from: usize| {
            let outside = |line: &&str| {
                line.trim().is_empty()
                    || deep(line).is_some_and(|deep| deep <= dash && line.trim_start().starts_with('#'))
            };
            let own = lines.get(from..line).unwrap_or_default();
            line - own.iter().rev().take_while(|line| outside(line)).count()
        };
        let mut rows = Vec::with_capacity(starts.len());
        let mut from = (read.place_of("/rows").0 as usize).max(1);
        let ends = starts.iter().skip(1).map(|(line, ..)| *line).chain([lines.len()]);
        let mut tail = lines.len();
        for ((line, _, keys), next) in starts.iter().zip(ends) {
            let head = above(*line, from);
            let end = above(next, line + 1);
            rows.push((head..*line, Item { lines: *line..end, keys: keys.clone() }));
            from = end;
            tail = end;
        }
        Some(Self { rows, tail })
    }
}

/// How far a line is indented; `None`: nothing is on it.
fn deep(line: &str) -> Option<usize> {
    line.find(|c: char| c != ' ')
}

type Start = (usize, usize, Vec<(&'static str, usize, usize)>);

/// Line and column of the dash of a row, and its keys where each has a line of its own.
fn start(read: &Read<TrunksFile>, lines: &[&str], row: usize) -> Option<Start> {
    let place = |(line, column): (u32, u32)| Some((line.checked_sub(1)? as usize, column.checked_sub(1)? as usize));
    let mut keys: Vec<(&'static str, usize, usize)> = COLUMNS
        .iter()
        .filter_map(|name| {
            place(read.place_of(&format!("/rows/{row}/{name}"))).map(|(line, column)| (*name, line, column))
        })
        .collect();
    keys.sort_by_key(|(_, line, column)| (*line, *column));
    let (first, column) = keys.first().map(|(_, line, column)| (*line, *column))?;
    let text = lines.get(first)?;
    let before = text.get(..text.char_indices().nth(column).map_or(text.len(), |(at, _)| at))?;
    let dash = deep(before)?;
    let lead: String = before.chars().filter(|c| *c != ' ').collect();
    let apart = keys.windows(2).all(|w| w[0].1 < w[1].1 && w[0].2 == w[1].2);
    match lead.as_str() {
        "-" if apart => Some((first, dash, keys)),
        "-{" => Some((first, dash, Vec::new())),
        _ => None,
    }
}

/// The lines of a row of which some cells are others now; `None` where it is written anew.
fn changed(lines: &[&str], item: &Item, before: &Cells, now: &Cells) -> Option<Vec<String>> {
    let (_, _, column) = item.keys.first()?;
    let first = lines.get(item.lines.start)?;
    let lead = first.get(..*column)?;
    let blank = " ".repeat(*column);
    let mut out: Vec<String> = Vec::new();
    // Where the dash belongs, and what comes after the last key.
    let mut dashed = None;
    let mut after = None;
    let ends = item.keys.iter().skip(1).map(|(_, line, _)| *line).chain([item.lines.end]);
    for ((name, line, _), end) in item.keys.iter().zip(ends) {
        let own = lines.get(*line..end)?;
        let (head, rest) = own.split_first()?;
        let wanted = now.get(*name).filter(|cell| !cell.is_empty());
        let remarks = rest.iter().filter(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        match wanted {
            None => out.extend(remarks.map(|line| (*line).to_owned())),
            Some(cell) => {
                dashed.get_or_insert(out.len());
                let text = head.get(*column..)?;
                if before.get(*name) == Some(cell) {
                    out.push(format!("{blank}{text}"));
                    let content =
                        rest.iter().rposition(|line| !(line.trim().is_empty() || line.trim_start().starts_with('#')));
                    let content = content.map_or(0, |last| last + 1);
                    out.extend(rest.get(..content)?.iter().map(|line| (*line).to_owned()));
                    after = Some(out.len());
                    out.extend(rest.get(content..)?.iter().map(|line| (*line).to_owned()));
                } else {
                    let remark = remark(text).map_or_else(String::new, |remark| format!("  {remark}"));
                    out.push(format!("{blank}{name}: {}{remark}", sheet::value(name, cell)));
                    after = Some(out.len());
                    out.extend(remarks.map(|line| (*line).to_owned()));
                }
            }
        }
    }
    let fresh = COLUMNS.iter().filter(|name| !item.keys.iter().any(|(key, ..)| key == *name));
    let fresh: Vec<String> = fresh
        .filter_map(|name| Some((name, now.get(*name).filter(|cell| !cell.is_empty())?)))
        .map(|(name, cell)| format!("{blank}{name}: {}", sheet::value(name, cell)))
        .collect();
    let (at, dashed) = (after?, dashed?);
    out.splice(at..at, fresh);
    let line = out.get_mut(dashed)?;
    *line = format!("{lead}{}", line.get(*column..)?);
    Some(out)
}

/// The remark behind a value on the same line.
fn remark(text: &str) -> Option<&str> {
    let (mut quote, mut last) = (None, ' ');
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '#') if last == ' ' => return text.get(at..),
            (None, '"' | '\'') if matches!(last, ' ' | '[' | '{' | ',') => quote = Some(c),
            (Some(open), c) if c == open && last != '\\' => quote = None,
            _ => {}
        }
        last = c;
    }
    None
}

/// Which rows of the old table those of a new one are, where nobody says: equal ones in their order.
#[must_use]
pub fn matched(old: &[TrunkRow], table: Vec<Cells>) -> Vec<Wanted> {
    let mut left: Vec<Option<Cells>> = sheet::table(old).into_iter().map(Some).collect();
    let find = |left: &mut Vec<Option<Cells>>, fits: &dyn Fn(&Cells) -> bool| {
        let at = left.iter().position(|row| row.as_ref().is_some_and(fits))?;
        left[at] = None;
        Some(at)
    };
    let mut wanted: Vec<Wanted> =
        table.into_iter().map(|cells| Wanted { was: find(&mut left, &|row| *row == cells), cells }).collect();
    // Else the one for the same calls.
    let calls = ["switch", "trunk", "dialled_from", "dialled"];
    for row in wanted.iter_mut().filter(|row| row.was.is_none()) {
        let cells = &row.cells;
        row.was = find(&mut left, &|old| calls.iter().all(|name| old.get(*name) == cells.get(*name)));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "\
# yaml-language-server: $schema=schemas/trunks.json
# What numbers mean.
rows:
  # The hotline first.
  - dialled: \"4008001234\"   # from the carrier, 2024
    title: After-sales
    # brand: Example
    connectors:
      - redmine
      - odoo

  # Sales; asked for by Lin.
  - dialled: '4008005678'
    title: Pre-sales # not \"sales\"
    no_match: none
  - {dialled: \"02161234567\", title: Direct line}
  - title: All others
# The end.
";

    fn old() -> Vec<Wanted> {
        let rows = crate::numbers::trunks::read(FILE).unwrap().value.rows;
        sheet::table(&rows).into_iter().enumerate().map(|(i, cells)| Wanted { cells, was: Some(i) }).collect()
    }

    fn set(row: &mut Wanted, name: &str, cell: &str) {
        if cell.is_empty() {
            row.cells.remove(name);
        } else {
            row.cells.insert(name.to_owned(), cell.to_owned());
        }
    }

    #[track_caller]
    fn diff(rows: &[Wanted]) -> String {
        let written = write(FILE, rows);
        assert!(written.kept, "{}", written.text);
        let diff = similar::TextDiff::from_lines(FILE, &written.text);
        let changes = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
        changes.map(|change| format!("{}{change}", change.tag())).collect()
    }

    #[test]
    fn what_did_not_change_stays_to_the_letter() {
        assert_eq!(diff(&old()), "");
    }

    #[test]
    fn a_changed_cell_is_a_changed_line_and_its_remark_stays() {
        let mut rows = old();
        set(&mut rows[0], "dialled", "4008001235");
        set(&mut rows[1], "title", "Sales # 2");
        assert_eq!(
            diff(&rows),
            "-  - dialled: \"4008001234\"   # from the carrier, 2024\n+  - dialled: \"4008001235\"  # from the carrier, 2024\n\
             -    title: Pre-sales # not \"sales\"\n+    title: \"Sales # 2\"  # not \"sales\"\n"
        );
    }

    #[test]
    fn a_cell_comes_and_goes() {
        let mut rows = old();
        set(&mut rows[0], "brand", "Lan");
        set(&mut rows[0], "connectors", "odoo");
        set(&mut rows[1], "no_match", "");
        assert_eq!(
            diff(&rows),
            "-    connectors:\n-      - redmine\n-      - odoo\n+    connectors: [\"odoo\"]\n+    brand: \"Lan\"\n-    no_match: none\n"
        );
        let mut rows = old();
        set(&mut rows[1], "dialled", "");
        set(&mut rows[1], "trunk", "carrier");
        assert_eq!(
            diff(&rows),
            "-  - dialled: '4008005678'\n-    title: Pre-sales # not \"sales\"\n+  - title: Pre-sales # not \"sales\"\n+    trunk: \"carrier\"\n"
        );
    }

    #[test]
    fn a_row_takes_the_remarks_above_it_along_and_with_it() {
        let mut rows = old();
        rows.swap(0, 1);
        let text = write(FILE, &rows).text;
        let place = |words: &str| text.find(words).unwrap();
        assert!(
            place("# Sales; asked") < place("4008005678") && place("4008005678") < place("# The hotline"),
            "{text}"
        );
        let mut rows = old();
        rows.remove(1);
        rows.push(Wanted { cells: Cells::from([("dialled".to_owned(), "95001*".to_owned())]), was: None });
        assert_eq!(
            diff(&rows),
            "-\n-  # Sales; asked for by Lin.\n-  - dialled: '4008005678'\n-    title: Pre-sales # not \"sales\"\n-    no_match: none\n+  - dialled: \"95001*\"\n"
        );
    }

    #[test]
    fn rows_in_braces_are_written_anew_where_they_change() {
        let mut rows = old();
        set(&mut rows[2], "title", "Direct");
        assert_eq!(
            diff(&rows),
            "-  - {dialled: \"02161234567\", title: Direct line}\n+  - dialled: \"02161234567\"\n+    title: \"Direct\"\n"
        );
    }

    #[test]
    fn what_cannot_be_edited_is_written_anew_under_its_head_and_that_is_said() {
        for text in [
            "# head\nrows: [{dialled: \"1\"}]\n",
            "# head\n---\nrows:\n  - dialled: \"1\"\n",
            "# head\nnot: YAML: at all\n",
        ] {
            let cells = Cells::from([("dialled".to_owned(), "2".to_owned())]);
            let written = write(text, &[Wanted { cells, was: Some(0) }]);
            assert_eq!(written.text, "# head\nrows:\n  - dialled: \"2\"\n");
            assert!(!written.kept);
        }
        assert_eq!(
            write(FILE, &[]).text,
            "# yaml-language-server: $schema=schemas/trunks.json\n# What numbers mean.\nrows: []\n"
        );
        let cells = Cells::from([("dialled".to_owned(), "2".to_owned())]);
        assert!(write("# head\nrows: []\n", &[Wanted { cells, was: None }]).kept);
    }

    #[test]
    fn a_table_from_elsewhere_finds_its_rows() {
        let rows = crate::numbers::trunks::read(FILE).unwrap().value.rows;
        let mut table = sheet::table(&rows);
        table.swap(0, 3);
        table[1].insert("title".to_owned(), "Sales".to_owned());
        table.push(Cells::from([("dialled".to_owned(), "1".to_owned())]));
        let was: Vec<Option<usize>> = matched(&rows, table).into_iter().map(|row| row.was).collect();
        assert_eq!(was, [Some(3), Some(1), Some(2), Some(0), None]);
    }

    proptest! {
        #[test]
        fn whatever_is_wanted_is_what_is_read_then(
            picks in proptest::collection::vec((0usize..5, "[a-z# :'\"\\[{,]{0,6}", 0usize..3), 0..7)
        ) {
            let mut rows = Vec::new();
            for (was, text, column) in picks {
                let mut row = old().get(was).cloned().unwrap_or(Wanted { cells: Cells::new(), was: None });
                set(&mut row, ["title", "brand", "queue_label"][column], &text);
                if !row.cells.is_empty() {
                    rows.push(row);
                }
            }
            let table: Vec<Cells> = rows.iter().map(|row| row.cells.clone()).collect();
            let written = write(FILE, &rows);
            prop_assert_eq!(sheet::table(&crate::numbers::trunks::read(&written.text).unwrap().value.rows), table);
            prop_assert!(written.kept || rows.is_empty(), "{}", written.text);
        }
    }
}
