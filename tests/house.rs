//! The house rules, read from ARCHITECTURE.md, so that the map and the code stay the same thing.
//!
//! Every failure names file and line, what stands there and what the map says. Tests (`#[cfg(test)]` items and the files they
//! name) may look into any room and may touch the world; everything else keeps to the map.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Rooms that every room may use; `live` only from files that are live.
const FURNITURE: [&str; 3] = ["private", "words", "files"];

#[test]
fn rooms_import_only_what_the_table_allows() {
    let map = Map::read();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(allowed) = map.rooms.get(&source.room) else {
            wrong.push(format!(
                "{}: room `{}` has no row in ARCHITECTURE.md's table of rooms",
                source.path, source.room
            ));
            continue;
        };
        for (line, path) in source.paths() {
            let mut parts = path.split("::");
            let from = match parts.next() {
                Some("crate") => parts.next(),
                Some("super") => {
                    let ups = 1 + parts.clone().take_while(|p| *p == "super").count();
                    if ups < source.depth {
                        continue;
                    }
                    parts.find(|p| *p != "super")
                }
                _ => continue,
            };
            let Some(room) = from.filter(|room| *room != source.room) else { continue };
            if !map.rooms.contains_key(room) {
                continue;
            }
            let ok = match allowed {
                Imports::Every => true,
                Imports::Only { furniture, rooms } => {
                    rooms.contains(room)
                        || (*furniture && FURNITURE.contains(&room))
                        || (*furniture && room == "live" && map.is_live(&source.path))
                }
            };
            if !ok {
                wrong.push(format!(
                    "{}:{line}: `{path}`: room `{}` may not import `{room}` ({allowed})",
                    source.path, source.room
                ));
            }
        }
    }
    none(&wrong, "imports that ARCHITECTURE.md's table of rooms does not allow");
}

#[test]
fn every_row_of_the_table_is_a_room_and_every_room_is_in_lib_rs() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs is there");
    let mut wrong = Vec::new();
    for room in Map::read().rooms.keys() {
        let at = root().join("src").join(room);
        if !at.join("mod.rs").exists() && !at.with_extension("rs").exists() {
            wrong.push(format!(
                "ARCHITECTURE.md names the room `{room}`, and neither src/{room}/mod.rs nor src/{room}.rs exists"
            ));
        }
        if !lib.contains(&format!("pub mod {room};")) {
            wrong.push(format!("src/lib.rs does not declare the room `{room}`"));
        }
    }
    none(&wrong, "rooms of the map that are not in the house");
}

#[test]
fn still_files_touch_nothing_of_the_world() {
    let map = Map::read();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !map.is_live(&s.path)) {
        let named = source.paths();
        for banned in &map.banned {
            let word = banned.trim_end_matches("::");
            let mut lines: BTreeSet<usize> = named
                .iter()
                .filter(|(_, path)| {
                    path == word || path.starts_with(&format!("{word}::")) || path.ends_with(&format!("::{word}"))
                })
                .map(|(line, _)| *line)
                .collect();
            lines.extend(occurrences(&source.code, banned).map(|at| line_of(&source.code, at)));
            wrong.extend(lines.iter().map(|line| {
                format!(
                    "{}:{line}: `{banned}` in a still file: take it as an argument, or move it to a live.rs",
                    source.path
                )
            }));
        }
    }
    none(&wrong, "still files that touch the world");
}

/// A comment `Not in wiring: reason` before the line makes an exception that can be seen; clippy has its own say on unbounded ones.
/// A `oneshot` is the answer to one question and holds one value: it is bounded by what it is, and may be made where the question
/// is asked. The demo plays the outside world and wires its own stage.
#[test]
fn channels_are_made_in_wiring_only() {
    let makers = [
        "mpsc::channel",
        "mpsc::unbounded_channel",
        "mpsc::sync_channel",
        "broadcast::channel",
        "watch::channel",
        "sync_channel",
        "unbounded_channel",
        "flume::bounded",
        "flume::unbounded",
        "async_channel::bounded",
        "crossbeam_channel::bounded",
    ];
    let mut wrong = Vec::new();
    for source in
        sources().iter().filter(|s| s.path != "src/daemon/wiring.rs" && !s.path.starts_with("src/daemon/demo"))
    {
        let mut lines = BTreeSet::new();
        for maker in makers {
            lines.extend(occurrences(&source.code, maker).map(|at| line_of(&source.code, at)));
        }
        wrong.extend(
            lines.iter().map(|line| format!("{}:{line}: a channel made outside src/daemon/wiring.rs", source.path)),
        );
    }
    none(&wrong, "channels that the picture of the process does not show");
}

#[test]
fn the_map_names_the_top_folders_and_nothing_else_lies_there() {
    let named: BTreeSet<String> =
        table(&architecture(), "## Folders").iter().map(|row| ticks(&row[0]).concat()).collect();
    assert!(!named.is_empty(), "ARCHITECTURE.md has no table under `## Folders`");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root()).expect("the checkout can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_dir() || [".git", "target", ".cache", "proptest-regressions"].contains(&name.as_str()) {
            continue;
        }
        let empty = fs::read_dir(entry.path()).map_or(true, |mut inside| inside.next().is_none());
        if !empty && !named.contains(&format!("{name}/")) {
            wrong.push(format!("{name}/ lies at the top and is not in ARCHITECTURE.md's table of folders"));
        }
    }
    for folder in &named {
        if !root().join(folder).is_dir() {
            wrong.push(format!("ARCHITECTURE.md's table of folders names {folder}, which does not exist"));
        }
    }
    for file in
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Cargo.toml", "Cargo.lock", ".ci/run", "tests/run"]
    {
        if !root().join(file).is_file() {
            wrong.push(format!("{file} is missing"));
        }
    }
    none(&wrong, "the top of the house and the map differ");
}

#[test]
fn the_readmes_two_commands_exist() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let mut wrong = Vec::new();
    for command in ["cargo run --release -- demo", "tests/run"] {
        if !readme.contains(command) {
            wrong.push(format!("README.md does not give the command `{command}`"));
        }
    }
    let help =
        Command::new(env!("CARGO_BIN_EXE_linecard")).args(["demo", "--help"]).output().expect("the binary starts");
    if !help.status.success() {
        wrong.push(format!("`linecard demo --help` ends with {}", help.status));
    }
    #[cfg(unix)]
    for script in ["tests/run", ".ci/run"] {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(root().join(script)).map_or(0, |m| m.permissions().mode()) & 0o100 == 0 {
            wrong.push(format!("{script} is missing or cannot be executed"));
        }
    }
    none(&wrong, "README.md and what there is differ");
}

#[test]
fn every_dependency_has_a_line_that_says_why() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml is there");
    let mut used = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once('=')
            && !name.starts_with(['#', ' '])
        {
            used.insert(name.split('.').next().unwrap_or(name).trim().to_owned());
        }
    }
    assert!(!used.is_empty(), "no dependencies found in Cargo.toml: has its layout changed?");

    let (mut told, mut wrong) = (BTreeSet::new(), Vec::new());
    for row in table(&architecture(), "## Dependencies") {
        let [names, why] = row.as_slice() else {
            panic!("a row of the table of dependencies has {} cells: {row:?}", row.len())
        };
        if why.chars().count() < 5 {
            wrong.push(format!("ARCHITECTURE.md gives no reason for {names}"));
        }
        told.extend(names.split(',').map(|name| name.trim().trim_matches('`').to_owned()));
    }
    assert!(!told.is_empty(), "ARCHITECTURE.md has no table under `## Dependencies`");
    wrong.extend(
        used.difference(&told).map(|name| format!("Cargo.toml uses `{name}`, and ARCHITECTURE.md does not say why")),
    );
    wrong.extend(
        told.difference(&used)
            .map(|name| format!("ARCHITECTURE.md gives a reason for `{name}`, which Cargo.toml does not use")),
    );
    none(&wrong, "dependencies and their reasons differ");
}

/// The rules must be able to fail: the reader is tried on a file that breaks them.
#[test]
fn the_reader_sees_through_groups_comments_and_tests() {
    let text = "//! crate::agents in a comment\nuse crate::{calls::{self, Change}, words::Now};\nuse std::{fmt, fs as disk};\n\
                fn f() -> &'static str { let c = '\"'; crate::store::open(); \"crate::watch // no\" }\n\
                #[cfg(test)]\nmod tests { use crate::daemon; fn g() { if true { std::fs::read(\"x\"); } } }\n\
                fn brand() { my::brand::x(); super::super::agents::y(); }\n";
    let code = without_tests(&without_words(text));
    let source = Source { path: "src/x/y.rs".into(), room: "x".into(), depth: 2, code };
    let seen: Vec<(usize, String)> = source.paths();
    let has = |line, path: &str| seen.iter().any(|(l, p)| *l == line && p == path);
    assert!(has(2, "crate::calls::Change") && has(2, "crate::words::Now"), "{seen:?}");
    assert!(has(3, "std::fs") && has(4, "crate::store::open") && has(7, "super::super::agents::y"), "{seen:?}");
    assert!(
        !seen.iter().any(|(_, p)| p.contains("daemon") || p.contains("watch") || p.starts_with("crate::agents")),
        "{seen:?}"
    );
    assert_eq!(occurrences("brand::x rand::y", "rand::").count(), 1);
}

/// What ARCHITECTURE.md says.
struct Map {
    rooms: BTreeMap<String, Imports>,
    /// File names (`live.rs`) and folders under `src/` (`daemon/`) that touch the world.
    live: Vec<String>,
    banned: Vec<String>,
}

enum Imports {
    Every,
    Only { furniture: bool, rooms: BTreeSet<String> },
}

impl std::fmt::Display for Imports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Imports::Every => f.write_str("it may import every room"),
            Imports::Only { furniture, rooms } => {
                let named = rooms.iter().map(String::as_str).chain(FURNITURE.into_iter().filter(|_| *furniture));
                write!(f, "it may import: {}", named.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Map {
    fn read() -> Self {
        let text = architecture();
        let mut rooms = BTreeMap::new();
        for row in table(&text, "## Rooms") {
            let [room, _, imports] = row.as_slice() else {
                panic!("a row of the table of rooms has {} cells: {row:?}", row.len())
            };
            let imports = match imports.as_str() {
                "every room" => Imports::Every,
                "nothing" => Imports::Only { furniture: false, rooms: BTreeSet::new() },
                "-" => Imports::Only { furniture: true, rooms: BTreeSet::new() },
                // What stands before the furniture in the data's way (`live`, which takes `words`) is named whole.
                list => Imports::Only {
                    furniture: room != "live" && !FURNITURE.contains(&room.as_str()),
                    rooms: list.split(',').map(|r| r.trim().trim_matches('`').to_owned()).collect(),
                },
            };
            rooms.insert(room.trim_matches('`').to_owned(), imports);
        }
        assert!(rooms.len() > 10, "the table under `## Rooms` in ARCHITECTURE.md cannot be read");

        let still = part(&text, "## Still and live").replace('\n', " ");
        let between = |from: &str, to: &str| {
            let start =
                still.find(from).unwrap_or_else(|| panic!("ARCHITECTURE.md, Still and live, no longer says `{from}`"));
            let rest = still.get(start + from.len()..).unwrap_or_default();
            ticks(rest.split(to).next().unwrap_or(rest))
        };
        let live = between("say so by name:", "A still file");
        let banned = between("Banned in still files:", "A still machine");
        assert!(live.len() >= 3 && banned.len() >= 5, "too little found: {live:?} {banned:?}");
        Self { rooms, live, banned }
    }

    fn is_live(&self, path: &str) -> bool {
        let inside = path.strip_prefix("src/").unwrap_or(path);
        // The binary is the daemon's front door.
        inside == "main.rs"
            || self.live.iter().any(|name| {
                if name.ends_with('/') {
                    inside.starts_with(name.as_str())
                } else {
                    inside.rsplit('/').next() == Some(name)
                }
            })
    }
}

/// One file of the house, without comments, words in quotes and tests; line numbers are kept.
struct Source {
    path: String,
    room: String,
    /// How many `super::` lead from here to the crate: 1 in `src/calls/mod.rs`, 2 in `src/calls/leg.rs`.
    depth: usize,
    code: String,
}

impl Source {
    /// Every path named in the code, with groups in `use` taken apart, and its line.
    fn paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut rest = 0;
        while let Some(next) = self.code.get(rest..).and_then(|tail| tail.find("::")) {
            let at = rest + next;
            let head = self.code.get(..at).unwrap_or_default();
            let start = head.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
            let (paths, end) = tree(&self.code, start, "");
            let line = line_of(&self.code, at);
            found.extend(paths.into_iter().map(|path| (line, path)));
            rest = end.max(at + 2);
        }
        found
    }
}

/// Reads one path or `use` tree at `at`: the paths in it, and where it ends.
fn tree(code: &str, at: usize, prefix: &str) -> (Vec<String>, usize) {
    let rest = code.get(at..).unwrap_or_default();
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*').collect();
    let whole = if prefix.is_empty() { word.clone() } else { format!("{prefix}::{word}") };
    let after = at + word.len();
    let tail = code.get(after..).unwrap_or_default();
    let Some(tail) = tail.strip_prefix("::") else {
        return (vec![whole], after);
    };
    if !tail.starts_with('{') {
        return tree(code, after + 2, &whole);
    }
    let (mut paths, mut here) = (Vec::new(), after + 3);
    loop {
        let rest = code.get(here..).unwrap_or_default();
        let Some(next) = rest.chars().next() else { return (paths, here) };
        if next == '}' {
            return (paths, here + 1);
        }
        if next.is_alphanumeric() || next == '_' || next == '*' {
            // `x as y`: the second word is a name of this file, not a path.
            let (mut inner, end) = tree(code, here, &whole);
            inner.iter_mut().for_each(|p| {
                if let Some(short) = p.strip_suffix("::self") {
                    *p = short.to_owned();
                }
            });
            paths.append(&mut inner);
            let skip = code.get(end..).and_then(|s| s.find([',', '}'])).unwrap_or(0);
            here = end + skip;
        } else {
            here += next.len_utf8();
        }
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    let read: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|file| (file.clone(), without_words(&fs::read_to_string(&file).expect("a source file"))))
        .collect();
    // `#[cfg(test)] mod tests;` makes tests.rs (or what lies in tests/) a test file.
    let mut tests = Vec::new();
    for (file, code) in &read {
        for at in occurrences(code, "#[cfg(test)]") {
            let item: String =
                code.get(at + 12..).unwrap_or_default().split([';', '{']).next().unwrap_or_default().to_owned();
            let ends_plain = code.get(at + 12 + item.len()..).is_some_and(|tail| tail.starts_with(';'));
            if let Some(name) = item.trim().rsplit(' ').next().filter(|_| ends_plain && item.contains("mod ")) {
                let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
                let dir = file.parent().expect("a source file lies in a folder");
                let dir = if ["mod", "lib", "main"].contains(&stem) { dir.to_owned() } else { dir.join(stem) };
                tests.extend([dir.join(format!("{name}.rs")), dir.join(name)]);
            }
        }
    }
    let mut found = Vec::new();
    for (file, code) in read {
        if tests.iter().any(|test| file.starts_with(test)) {
            continue;
        }
        let path = file.strip_prefix(root()).expect("under the root").to_string_lossy().replace('\\', "/");
        let inside: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
        let room = match inside.as_slice() {
            ["lib"] => continue,
            ["main"] => "daemon",
            [first, ..] => first,
            [] => continue,
        };
        let depth = inside.len() - usize::from(inside.last() == Some(&"mod"));
        found.push(Source { room: room.to_owned(), depth, code: without_tests(&code), path });
    }
    assert!(found.len() > 10, "the sources were not found");
    found
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
    into.sort();
}

/// Comments and the insides of string and character literals become spaces; newlines stay.
fn without_words(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    let blank = |out: &mut String, c: char| out.push(if c == '\n' { '\n' } else { ' ' });
    while i < chars.len() {
        let next = chars.get(i + 1).copied();
        let raw = (chars[i] == 'r' && (i == 0 || !(chars[i - 1].is_alphanumeric() || chars[i - 1] == '_'))
            || chars[i] == 'r' && chars[i - 1] == 'b')
            .then(|| chars[i + 1..].iter().take_while(|c| **c == '#').count())
            .filter(|hashes| chars.get(i + 1 + hashes) == Some(&'"'));
        let end = match (chars[i], next, raw) {
            ('/', Some('/'), _) => chars[i..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| i + n),
            ('/', Some('*'), _) => {
                let (mut depth, mut j) = (1, i + 2);
                while j < chars.len() && depth > 0 {
                    match (chars[j], chars.get(j + 1)) {
                        ('/', Some('*')) => (depth, j) = (depth + 1, j + 2),
                        ('*', Some('/')) => (depth, j) = (depth - 1, j + 2),
                        _ => j += 1,
                    }
                }
                j
            }
            (_, _, Some(hashes)) => {
                let mut j = i + 2 + hashes;
                while j < chars.len()
                    && !(chars[j] == '"' && chars[j + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes)
                {
                    j += 1;
                }
                (j + 1 + hashes).min(chars.len())
            }
            ('"', ..) => {
                let mut j = i + 1;
                while j < chars.len() && chars[j] != '"' {
                    j += if chars[j] == '\\' { 2 } else { 1 };
                }
                (j + 1).min(chars.len())
            }
            // A character, not a lifetime: 'x' or '\x'.
            ('\'', Some('\\'), _) => chars[i + 3..].iter().position(|c| *c == '\'').map_or(chars.len(), |n| i + n + 4),
            ('\'', Some(_), _) if chars.get(i + 2) == Some(&'\'') => i + 3,
            _ => {
                out.push(chars[i]);
                i += 1;
                continue;
            }
        };
        chars[i..end.min(chars.len())].iter().for_each(|c| blank(&mut out, *c));
        i = end;
    }
    out
}

/// Items under `#[cfg(test)]` become spaces; newlines stay. Takes code without words in it.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(at) = out.find("#[cfg(test)]") {
        let mut depth = 0_i32;
        let mut end = out.len();
        for (i, c) in out.get(at + 12..).unwrap_or_default().char_indices() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == ';' || c == '}') {
                end = at + 12 + i + 1;
                break;
            }
        }
        let blank: String =
            out.get(at..end).unwrap_or_default().chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    out
}

/// Where `word` stands as a word of its own: `rand::` is not in `brand::`.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        !code.get(..*at).is_some_and(|head| head.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            && !code
                .get(at + word.len()..)
                .is_some_and(|tail| !word.ends_with(':') && tail.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code.get(..at).unwrap_or_default().matches('\n').count()
}

/// The text under a heading, to the next heading.
fn part(text: &str, title: &str) -> String {
    text.lines().skip_while(|l| l.trim_end() != title).skip(1).take_while(|l| !l.starts_with("## ")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

/// The rows of the first table under a heading, without its head, cells trimmed.
fn table(text: &str, title: &str) -> Vec<Vec<String>> {
    part(text, title)
        .lines()
        .skip_while(|l| !l.starts_with('|'))
        .take_while(|l| l.starts_with('|'))
        .skip(2)
        .map(|l| l.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands in `backticks`.
fn ticks(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn none(wrong: &[String], what: &str) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}
