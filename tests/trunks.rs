//! Trunk rows from and to a spreadsheet, and what `check` and `number` say of them, by the command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MAIN: &str = "agents:\n  listen: 127.0.0.1:0\n  tokens: {issuer: desk, keys: {hs256: {env: NOWHERE}}}\nadmin: {listen: '127.0.0.1:0'}\nstore: {path: /nonexistent/x.db}\nnumbers: {country: CN, area: '21'}\n";
const SWITCH: &str = "asterisk:\n  id: pbx1\n  area: '21'\n  trunks: ['PJSIP/trunk*']\n  attributes: [{name: line.did, from: {variable: LINE_DID}}]\n  ami: {host: 127.0.0.1, user: linecard, secret: {env: A}}\n  dial:\n    context: click2dial\n    out:\n      - {to: [foreign], refuse: true}\n      - {write: local, access: '9', mobile_zero: elsewhere, home_mobiles: ['1380013']}\n";
const ROWS: &str = "# The lines of Example Ltd.\nrows:\n  # The hotline.\n  - dialled: '4008001234'\n    title: 售后\n    mask: {except: [supervisor]}\n  - {switch: pbx1, trunk: trunk, dialled_from: ['attribute:line.did', extension], dialled: '02161234500..02161234599', no_match: {create_after_s: 30}}\n";

impl Folder {
    fn new() -> Self {
        let name = format!("linecard-trunks-{}-{:x}", std::process::id(), rand::random::<u64>());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(folder.0.join("switches")).unwrap();
        folder.write("linecard.yaml", MAIN.as_bytes());
        folder.write("switches/pbx1.yaml", SWITCH.as_bytes());
        folder.write("trunks.yaml", ROWS.as_bytes());
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.0.join(name), bytes).unwrap();
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn linecard(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linecard"));
        command.args(words).arg("--config").arg(&self.0).env_clear();
        command.output().unwrap()
    }

    fn import(&self, file: &Path, more: &[&str]) -> Output {
        self.linecard(&[&["trunks", "import", file.to_str().unwrap()], more].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn out_to_a_spreadsheet_and_back() {
    let folder = Folder::new();
    let out = folder.linecard(&["trunks", "export"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let csv = text(&out.stdout);
    assert!(csv.starts_with("\u{feff}switch,trunk,"), "Excel knows UTF-8 by its mark: {csv}");
    assert!(
        csv.contains(",售后,") && csv.contains("except:supervisor") && csv.contains("attribute:line.did extension")
    );
    let file = folder.write("trunks.csv", csv.as_bytes());

    let before = folder.read("trunks.yaml");
    let shown = folder.import(&file, &["--stdout"]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert_eq!(folder.read("trunks.yaml"), before, "--stdout writes nothing");

    let done = folder.import(&file, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("2 row(s) written to"), "{}", text(&done.stdout));
    assert_eq!(folder.read("trunks.yaml.bak"), before);
    let after = folder.read("trunks.yaml");
    assert_eq!(after, format!("# The lines of Example Ltd.\n{}", text(&shown.stdout)));
    assert!(!folder.0.join("trunks.yaml.new").exists());
    // The same rows again.
    assert_eq!(text(&folder.linecard(&["trunks", "export"]).stdout), csv);
    assert_eq!(folder.linecard(&["check"]).status.code(), Some(0));
}

/// People keep the folder as links into a checkout, which is where they look for what changed.
#[test]
fn a_file_that_is_a_link_stays_one_and_keeps_its_owner_and_rights() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    let folder = Folder::new();
    let (link, there) = (folder.0.join("trunks.yaml"), folder.0.join("checkout/trunks.yaml"));
    std::fs::create_dir(folder.0.join("checkout")).unwrap();
    std::fs::rename(&link, &there).unwrap();
    symlink(&there, &link).unwrap();
    std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&there, Some(4711), Some(4712)).unwrap();
    }
    let before = std::fs::metadata(&there).unwrap();
    let file = folder.write("trunks.csv", b"dialled,title\r\n4008001234,Hotline\r\n");
    let done = folder.import(&file, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&there).unwrap().contains("Hotline"));
    let after = std::fs::metadata(&there).unwrap();
    let of = |file: &std::fs::Metadata| (file.uid(), file.gid(), file.mode());
    assert_eq!(of(&after), of(&before));
}

#[test]
fn what_excel_writes_in_china_comes_in_and_every_mistake_has_its_cell() {
    let folder = Folder::new();
    let (gbk, _, _) = encoding_rs::GBK.encode("dialled,title,备注\r\n4008001234,售后,\r\n");
    let told = folder.import(&folder.write("x.csv", &gbk), &[]);
    assert_eq!(told.status.code(), Some(78));
    assert!(text(&told.stderr).contains("x.csv:1:3: 备注: this column is not known"), "{}", text(&told.stderr));

    let (gbk, _, _) = encoding_rs::GBK.encode("dialled,title,note\r\n4008001234,售后,热线\r\n");
    let done = folder.import(&folder.write("x.csv", &gbk), &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(folder.read("trunks.yaml").contains("title: \"售后\""));

    let before = folder.read("trunks.yaml");
    let wrong = "title,dialled,switch,connectors,target\nA,400*,,,\nB,4008001234,,,\nC,02161234567,pbx9,sap,ftp://x\nD,4.00E+09,,,\n";
    let told = folder.import(&folder.write("x.csv", wrong.as_bytes()), &[]);
    assert_eq!(told.status.code(), Some(78));
    assert!(text(&told.stderr).contains("x.csv:5:2: dialled: a spreadsheet made an amount of this number"));
    let told = folder.import(&folder.write("x.csv", wrong.replace("4.00E+09", "4008005678").as_bytes()), &[]);
    let lines = text(&told.stderr);
    for line in [
        "x.csv:4:3: switch: there is no switch \"pbx9\"; known are: pbx1",
        "x.csv:4:4: connectors: there is no connector \"sap\"; there is no connector yet",
        "x.csv:4:5: target: this opens neither the card nor an http or https address",
        "x.csv:3: this row can never win: line 2 takes the same calls before it",
        "x.csv:5: this row can never win: line 2 takes the same calls before it",
    ] {
        assert!(lines.contains(line), "{line}\n{lines}");
    }
    assert_eq!(folder.read("trunks.yaml"), before, "a wrong table changes nothing");
}

#[test]
fn check_notes_what_is_only_worth_a_look() {
    let folder = Folder::new();
    folder.write(
        "trunks.yaml",
        b"rows:\n  - dialled: '02161234500..02161234599'\n  - dialled: '02161234550..02161234650'\n",
    );
    let told = folder.linecard(&["check"]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let lines = text(&told.stdout);
    assert!(
        lines.starts_with("note: trunks.yaml:3:5: rows[1]: some calls that this row describes are taken by rows[0]"),
        "{lines}"
    );
    assert!(lines.contains("good: 1 switch(es), 2 trunk row(s)"), "{lines}");
}

#[test]
fn number_shows_what_would_be_dialled() {
    let folder = Folder::new();
    let shown = folder.linecard(&[
        "number",
        "--json",
        "--out",
        "pbx1",
        "13800138000",
        "13700137000",
        "+862161234567",
        "0012125550123",
        "106575550012345",
    ]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let values: Vec<serde_json::Value> =
        text(&shown.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values[0]["out"], "913800138000");
    assert_eq!(values[1]["out"], "9013700137000");
    assert_eq!((&values[2]["out"], &values[2]["place"]["zh"]), (&"961234567".into(), &"上海".into()));
    assert_eq!(values[3]["refused"], "the rules of this switch do not permit this number");
    assert_eq!(values[4]["refused"], "this number only sends messages and cannot be called");
    let unknown = folder.linecard(&["number", "--out", "pbx2", "110"]);
    assert!(text(&unknown.stderr).contains("there is no switch \"pbx2\"; known are: pbx1"));

    folder.write("switches/pbx1.yaml", SWITCH.replace("access: '9'", "access: nine").as_bytes());
    let told = folder.linecard(&["check"]);
    assert!(
        text(&told.stderr).contains("switches/pbx1.yaml:11:24: asterisk.dial.out[1].access: this cannot be dialled"),
        "{}",
        text(&told.stderr)
    );
}

/// A city gets eight digits: one line of the site's own, for every number that is read.
#[test]
fn a_site_lays_its_own_ranges_over_the_table() {
    let folder = Folder::new();
    let class = || {
        let shown = folder.linecard(&["number", "--json", "0592 50512345", "0592 5051234"]);
        text(&shown.stdout)
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["class"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(class(), ["invalid", "geographic"]);
    folder.write("china.csv", "area,592,8,福建厦门,\"Xiamen, Fujian\"\n".as_bytes());
    assert_eq!(class(), ["geographic", "invalid"]);
    folder.write("china.csv", b"area,592,8..9,x,y\n");
    let told = folder.linecard(&["check"]);
    assert_eq!(told.status.code(), Some(78));
    assert!(text(&told.stderr).contains("china.csv:1:1: this is no area"), "{}", text(&told.stderr));
    // What can be copied from is what is compiled in.
    let table = folder.linecard(&["number", "--table"]);
    assert!(text(&table.stdout).contains("\narea,592,7,福建厦门,"));
}
