//! The pages as they lie in the binary: `web/`, plain ES modules without a build step. The agents' door has the desk, the console's door the console. Still: a path in, bytes out.

use std::{borrow::Cow, io::Write as _, sync::LazyLock};

use sha2::{Digest, Sha256};

/// What a browser may do with the page, besides who may hold it in a frame: scripts, styles, recordings and the WebSocket of this origin and nothing else. Trusted Types without a
/// policy: the browser itself refuses markup made from data.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; img-src data:; \
base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The console's templates are lit-html's (`web/vendor/`), which makes markup of its own literal strings by a policy of this name; data goes in as text.
const CONSOLE_TRUSTS: &str = "trusted-types lit-html";

/// One file of the page.
#[derive(Debug)]
pub struct Page {
    pub path: &'static str,
    pub mime: &'static str,
    pub body: &'static [u8],
    /// Quoted, made from the content.
    pub etag: String,
    /// The body in gzip.
    pub small: Vec<u8>,
}

/// What a browser says with its question, and what the settings say of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    /// The origins whose pages may hold it in a frame.
    pub holders: &'a [String],
    /// `If-None-Match`.
    pub known: Option<&'a str>,
    /// `Accept-Encoding`.
    pub accepts: Option<&'a str>,
    /// Another file may be asked for over the same connection.
    pub stays: bool,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The supervisors' board.
const BOARD: [(&str, &str, &[u8]); 5] = [
    ("/board", HTML, include_bytes!("../../web/board/board.html")),
    ("/web/board/board.css", CSS, include_bytes!("../../web/board/board.css")),
    ("/web/board/board.js", SCRIPT, include_bytes!("../../web/board/board.js")),
    ("/web/board/judge.js", SCRIPT, include_bytes!("../../web/board/judge.js")),
    ("/web/board/words.js", SCRIPT, include_bytes!("../../web/board/words.js")),
];

/// The SDK's shims: no page of ours needs them.
const SHIMS: [(&str, &str, &[u8]); 3] = [
    ("/web/sdk/moves.js", SCRIPT, include_bytes!("../../web/sdk/moves.js")),
    ("/web/sdk/salesforce.js", SCRIPT, include_bytes!("../../web/sdk/salesforce.js")),
    ("/web/sdk/streams.js", SCRIPT, include_bytes!("../../web/sdk/streams.js")),
];

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let files: Vec<(&str, &str, &[u8])> = vec![
        ("/", HTML, include_bytes!("../../web/index.html")),
        ("/web/desk.css", CSS, include_bytes!("../../web/desk.css")),
        ("/web/app.js", SCRIPT, include_bytes!("../../web/app.js")),
        ("/web/here.js", SCRIPT, include_bytes!("../../web/here.js")),
        ("/web/hands.js", SCRIPT, include_bytes!("../../web/hands.js")),
        ("/web/keys.js", SCRIPT, include_bytes!("../../web/keys.js")),
        ("/web/bar.js", SCRIPT, include_bytes!("../../web/bar.js")),
        ("/web/strip.js", SCRIPT, include_bytes!("../../web/strip.js")),
        ("/web/facts.js", SCRIPT, include_bytes!("../../web/facts.js")),
        ("/web/day.js", SCRIPT, include_bytes!("../../web/day.js")),
        ("/web/forms.js", SCRIPT, include_bytes!("../../web/forms.js")),
        ("/web/notes.js", SCRIPT, include_bytes!("../../web/notes.js")),
        ("/web/outcome.js", SCRIPT, include_bytes!("../../web/outcome.js")),
        ("/web/palette.js", SCRIPT, include_bytes!("../../web/palette.js")),
        ("/web/parts.js", SCRIPT, include_bytes!("../../web/parts.js")),
        ("/web/ring.js", SCRIPT, include_bytes!("../../web/ring.js")),
        ("/web/heard.js", SCRIPT, include_bytes!("../../web/heard.js")),
        ("/web/tabs.js", SCRIPT, include_bytes!("../../web/tabs.js")),
        ("/web/queues.js", SCRIPT, include_bytes!("../../web/queues.js")),
        ("/web/crew.js", SCRIPT, include_bytes!("../../web/crew.js")),
        ("/web/desk.js", SCRIPT, include_bytes!("../../web/desk.js")),
        ("/web/sdk/linecard.js", SCRIPT, include_bytes!("../../web/sdk/linecard.js")),
        ("/web/callbacks.js", SCRIPT, include_bytes!("../../web/callbacks.js")),
        ("/web/flows.js", SCRIPT, include_bytes!("../../web/flows.js")),
        ("/web/team.js", SCRIPT, include_bytes!("../../web/team.js")),
        ("/web/embed.js", SCRIPT, include_bytes!("../../web/embed.js")),
        ("/web/keep.js", SCRIPT, include_bytes!("../../web/keep.js")),
        ("/web/tickets.js", SCRIPT, include_bytes!("../../web/tickets.js")),
        ("/web/state.js", SCRIPT, include_bytes!("../../web/state.js")),
        ("/web/say.js", SCRIPT, include_bytes!("../../web/say.js")),
        ("/web/lang/codes.js", SCRIPT, include_bytes!("../../web/lang/codes.js")),
        ("/web/lang/en.js", SCRIPT, include_bytes!("../../web/lang/en.js")),
        ("/web/lang/zh-CN.js", SCRIPT, include_bytes!("../../web/lang/zh-CN.js")),
        ("/admin", HTML, include_bytes!("../../web/admin/index.html")),
        ("/web/admin/console.css", CSS, include_bytes!("../../web/admin/console.css")),
        ("/web/admin/agents.js", SCRIPT, include_bytes!("../../web/admin/agents.js")),
        ("/web/admin/app.js", SCRIPT, include_bytes!("../../web/admin/app.js")),
        ("/web/admin/ask.js", SCRIPT, include_bytes!("../../web/admin/ask.js")),
        ("/web/admin/chart.js", SCRIPT, include_bytes!("../../web/admin/chart.js")),
        ("/web/admin/connectors.js", SCRIPT, include_bytes!("../../web/admin/connectors.js")),
        ("/web/admin/flows.js", SCRIPT, include_bytes!("../../web/admin/flows.js")),
        ("/web/admin/kpis.js", SCRIPT, include_bytes!("../../web/admin/kpis.js")),
        ("/web/admin/links.js", SCRIPT, include_bytes!("../../web/admin/links.js")),
        ("/web/admin/mapping.js", SCRIPT, include_bytes!("../../web/admin/mapping.js")),
        ("/web/admin/parts.js", SCRIPT, include_bytes!("../../web/admin/parts.js")),
        ("/web/admin/records.js", SCRIPT, include_bytes!("../../web/admin/records.js")),
        ("/web/admin/rest.js", SCRIPT, include_bytes!("../../web/admin/rest.js")),
        ("/web/admin/route.js", SCRIPT, include_bytes!("../../web/admin/route.js")),
        ("/web/admin/say.js", SCRIPT, include_bytes!("../../web/admin/say.js")),
        ("/web/admin/tried.js", SCRIPT, include_bytes!("../../web/admin/tried.js")),
        ("/web/admin/trunks.js", SCRIPT, include_bytes!("../../web/admin/trunks.js")),
        ("/web/admin/undelivered.js", SCRIPT, include_bytes!("../../web/admin/undelivered.js")),
        ("/web/admin/lang/en.js", SCRIPT, include_bytes!("../../web/admin/lang/en.js")),
        ("/web/admin/lang/zh-CN.js", SCRIPT, include_bytes!("../../web/admin/lang/zh-CN.js")),
        ("/web/vendor/lit-html.js", SCRIPT, include_bytes!("../../web/vendor/lit-html.js")),
        ("/web/vendor/uPlot.iife.min.js", SCRIPT, include_bytes!("../../web/vendor/uPlot.iife.min.js")),
        ("/web/vendor/uPlot.min.css", CSS, include_bytes!("../../web/vendor/uPlot.min.css")),
    ];
    let hash = |body: &[u8]| Sha256::digest(body).iter().take(12).map(|b| format!("{b:02x}")).collect::<String>();
    let small = |body: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(body).and_then(|()| gzip.finish()).expect("a Vec takes everything")
    };
    files
        .into_iter()
        .chain(BOARD)
        .chain(SHIMS)
        .map(|(path, mime, body)| Page { path, mime, body, etag: format!("\"{}\"", hash(body)), small: small(body) })
        .collect()
});

/// All files.
#[must_use]
pub fn all() -> &'static [Page] {
    &PAGES
}

/// The desk's file at `path`; a query is no part of it.
#[must_use]
pub fn find(path: &str) -> Option<&'static Page> {
    at(path).filter(|page| !page.is_of_the_console())
}

/// The console's file at `path`. It shows words and colours of the desk, so it has those files too, but not the desk itself.
#[must_use]
pub fn find_console(path: &str) -> Option<&'static Page> {
    at(path).filter(|page| !["/", "/board"].contains(&page.path))
}

fn at(path: &str) -> Option<&'static Page> {
    let path = path.split('?').next().unwrap_or_default();
    PAGES.iter().find(|page| page.path == path)
}

impl Page {
    /// Nothing of it is behind the agents' door.
    fn is_of_the_console(&self) -> bool {
        ["/admin", "/web/admin/", "/web/vendor/"].iter().any(|place| self.path.starts_with(place))
    }

    fn policy(&self) -> Cow<'static, str> {
        if self.path == "/admin" {
            CONTENT_SECURITY_POLICY.replace("trusted-types 'none'", CONSOLE_TRUSTS).into()
        } else {
            CONTENT_SECURITY_POLICY.into()
        }
    }

    /// Every header that goes with it, besides length and connection. `no-cache` means ask each time: a new daemon must not
    /// meet half of an old page.
    #[must_use]
    pub fn headers(&self, holders: &[String]) -> Vec<(&'static str, Cow<'_, str>)> {
        let holders = if holders.is_empty() { "'none'".to_owned() } else { holders.join(" ") };
        let mut headers: Vec<(&str, Cow<'_, str>)> = vec![
            ("content-type", self.mime.into()),
            ("etag", self.etag.as_str().into()),
            ("cache-control", "no-cache".into()),
            ("vary", "accept-encoding".into()),
            ("content-security-policy", format!("{}; frame-ancestors {holders}", self.policy()).into()),
            ("x-content-type-options", "nosniff".into()),
            ("referrer-policy", "no-referrer".into()),
            // With popups: the tab of records, which the page opens and uses again for the next call.
            ("cross-origin-opener-policy", "same-origin-allow-popups".into()),
        ];
        // The SDK is for pages from elsewhere; it is a text that everybody may read.
        if self.path.starts_with("/web/sdk/") {
            headers.push(("access-control-allow-origin", "*".into()));
            headers.push(("cross-origin-resource-policy", "cross-origin".into()));
        }
        headers
    }

    /// Whether a client that said `If-None-Match: header` has it already.
    #[must_use]
    pub fn known_by(&self, header: Option<&str>) -> bool {
        header.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.etag))
    }

    /// The whole HTTP/1.1 answer: 200 with the body, or 304.
    #[must_use]
    pub fn answer(&self, asking: Asking<'_>) -> Vec<u8> {
        let known = self.known_by(asking.known);
        let status = if known { "304 Not Modified" } else { "200 OK" };
        let mut out = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in self.headers(asking.holders) {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        let coded = asking.accepts.is_some_and(takes_gzip);
        let body = if coded { &self.small } else { self.body };
        if !known {
            let coding = if coded { "content-encoding: gzip\r\n" } else { "" };
            out.push_str(&format!("{coding}content-length: {}\r\n", body.len()));
        }
        out.push_str(if asking.stays { "\r\n" } else { "connection: close\r\n\r\n" });
        let mut out = out.into_bytes();
        if !known {
            out.extend_from_slice(body);
        }
        out
    }
}

/// Whether `gzip, br` and the like (RFC 9110, section 12.5.3) take it.
pub fn takes_gzip(accepts: &str) -> bool {
    accepts.split(',').any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_page_is_not_sent_it_again() {
        let page = find("/?x=1").unwrap();
        let whole = page.answer(Asking::default());
        assert!(whole.starts_with(b"HTTP/1.1 200 OK\r\n") && whole.ends_with(page.body));
        let etags = format!("\"x\", W/{}", page.etag);
        let again = page.answer(Asking { known: Some(&etags), ..Asking::default() });
        assert!(again.starts_with(b"HTTP/1.1 304") && again.ends_with(b"\r\n\r\n"));
        assert!(find("/web/../Cargo.toml").is_none() && find("").is_none());
    }

    #[test]
    fn a_client_that_takes_gzip_gets_it() {
        let page = find("/web/app.js").unwrap();
        let small = page.answer(Asking { accepts: Some("br, GZIP;q=0.5"), ..Asking::default() });
        assert!(small.ends_with(&page.small) && small.len() < page.body.len() / 2);
        assert!(String::from_utf8_lossy(&small).contains("\r\ncontent-encoding: gzip\r\n"));
        let mut plain = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*page.small), &mut plain).unwrap();
        assert_eq!(plain.as_bytes(), page.body);
        for refuses in ["br", "gzip;q=0", "gzipped", ""] {
            assert!(
                page.answer(Asking { accepts: Some(refuses), ..Asking::default() }).ends_with(page.body),
                "{refuses}"
            );
        }
    }

    #[test]
    fn only_pages_of_the_settings_may_hold_it() {
        let policy = |holders: &[String]| {
            find("/").unwrap().headers(holders).into_iter().find(|(n, _)| *n == "content-security-policy").unwrap().1
        };
        assert!(policy(&[]).ends_with("; frame-ancestors 'none'"));
        let both = ["https://crm.example.com".to_owned(), "http://desk:8080".to_owned()];
        assert!(policy(&both).ends_with("; frame-ancestors https://crm.example.com http://desk:8080"));
    }

    /// The words of an enum of the protocol.
    fn words<T: schemars::JsonSchema>() -> Vec<String> {
        fn gather(of: &serde_json::Value, all: &mut Vec<String>) {
            let listed = of["enum"].as_array().into_iter().flatten().chain(of.get("const"));
            all.extend(listed.filter_map(|word| word.as_str().map(str::to_owned)));
            of["oneOf"].as_array().into_iter().flatten().for_each(|one| gather(one, all));
            // Of an enum whose words carry figures.
            of["properties"].get("kind").into_iter().for_each(|kind| gather(kind, all));
        }
        let mut all = Vec::new();
        gather(schemars::schema_for!(T).as_value(), &mut all);
        all
    }

    #[test]
    fn every_reason_of_the_daemon_has_its_words_in_both_languages() {
        let text = |path: &str| std::str::from_utf8(find(path).unwrap().body).unwrap();
        let (en, zh) = (text("/web/lang/en.js"), text("/web/lang/zh-CN.js"));
        let (codes_en, codes_zh) = text("/web/lang/codes.js").split_once("\"zh-CN\": {").unwrap();
        let (codes, gone) = (words::<super::super::protocol::Code>(), words::<crate::calls::change::Withdrawal>());
        let troubles = words::<crate::words::trouble::Trouble>();
        assert!(codes.len() > 30 && gone.len() > 5 && troubles.len() > 20, "{codes:?} {gone:?} {troubles:?}");
        for (language, codes_of, rest) in [("en", codes_en, en), ("zh-CN", codes_zh, zh)] {
            for code in &codes {
                assert!(codes_of.contains(&format!("\"{code}\": \"")), "{code} has no words in {language}");
            }
            for (kind, words) in [("gone", &gone), ("trouble", &troubles)] {
                for why in words {
                    assert!(rest.contains(&format!("\"{kind}.{why}\": \"")), "{kind}.{why} has no words in {language}");
                }
            }
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_there_and_all_are_small() {
        let mut named = 0;
        for page in all() {
            let text = std::str::from_utf8(page.body).unwrap();
            for part in text.split('"').filter(|p| p.ends_with(".js") || p.ends_with(".css")) {
                let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
                let path = match (part.strip_prefix("./"), part.strip_prefix("../")) {
                    (Some(rest), _) => format!("{folder}/{rest}"),
                    (_, Some(rest)) => format!("{above}/{rest}"),
                    _ => part.to_owned(),
                };
                let found = if page.is_of_the_console() { find_console(&path) } else { find(&path) };
                assert!(found.is_some(), "{} names {part}, which is not embedded", page.path);
                named += 1;
            }
            // What others wrote is held against the registry's by tests/web/console/vendor.test.js.
            let ours = !page.path.starts_with("/web/vendor/");
            for markup in ["innerHTML", "unsafeHTML", " style="] {
                assert!(
                    !ours || !text.contains(markup),
                    "{}: data must not become markup, nor break the policy",
                    page.path
                );
            }
        }
        assert!(named >= all().len() - 3, "but for the pages themselves");
        let board = |page: &&Page| page.path == "/board" || page.path.starts_with("/web/board/");
        let shim = |page: &&Page| SHIMS.iter().any(|(path, ..)| page.path == *path);
        let desk = |page: &&Page| !page.is_of_the_console() && !board(page) && !shim(page);
        // A module is fetched at once, and not when the one is read that names it.
        let index = std::str::from_utf8(find("/").unwrap().body).unwrap();
        for page in all().iter().filter(|page| page.mime == SCRIPT && desk(page)) {
            assert!(index.contains(&format!("=\"{}\"", page.path)), "index.html does not name {}", page.path);
        }
        let weight = |of: &dyn Fn(&&Page) -> bool| all().iter().filter(of).map(|page| page.small.len()).sum::<usize>();
        assert!(weight(&desk) < 150 * 1024, "the desk");
        assert!(weight(&board) < 16 * 1024, "the board");
        assert!(weight(&|page| page.is_of_the_console()) < 100 * 1024, "the console");
    }

    /// The console takes colours and controls from the desk's styles; any other class of the same name would draw its tables as the desk's figures.
    #[test]
    fn the_console_and_the_desk_mean_the_same_by_a_class_or_have_no_class_in_common() {
        let classes = |path: &str| -> std::collections::BTreeSet<String> {
            let text = std::str::from_utf8(at(path).unwrap().body).unwrap();
            let after = text.split('.').skip(1);
            let name =
                |part: &str| part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>();
            after.map(name).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())).collect()
        };
        let (desk, console) = (classes("/web/desk.css"), classes("/web/admin/console.css"));
        let common: Vec<&str> = desk.intersection(&console).map(String::as_str).collect();
        let meant = ["amber", "blue", "green", "grey", "red", "violet", "strong"];
        let odd: Vec<&&str> = common.iter().filter(|name| !meant.contains(name)).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn each_door_has_its_own_pages_and_only_the_console_may_make_templates() {
        for path in ["/admin", "/web/admin/app.js", "/web/vendor/lit-html.js"] {
            assert!(find(path).is_none() && find_console(path).is_some(), "{path}");
        }
        assert!(find_console("/").is_none() && find_console("/web/desk.css").is_some());
        let trusted =
            |page: &Page| page.policy().split("; ").find(|one| one.starts_with("trusted-types")).unwrap().to_owned();
        for page in all() {
            let wanted = if page.path == "/admin" { CONSOLE_TRUSTS } else { "trusted-types 'none'" };
            assert_eq!(trusted(page), wanted, "{}", page.path);
        }
    }

    #[test]
    fn both_languages_have_the_same_keys() {
        let keys = |path: &str| -> Vec<String> {
            let text = std::str::from_utf8(at(path).unwrap().body).unwrap();
            // A key follows the line's start or a comma, and a colon follows it.
            let key = regex::Regex::new(r#"(?m)(?:^\s*|", )"([^"]+)": ""#).unwrap();
            let mut keys: Vec<String> = key.captures_iter(text).map(|c| c[1].to_owned()).collect();
            keys.sort();
            keys
        };
        for folder in ["/web/lang", "/web/admin/lang"] {
            let en = keys(&format!("{folder}/en.js"));
            assert!(en.len() > 100, "{} keys read", en.len());
            assert_eq!(en, keys(&format!("{folder}/zh-CN.js")), "{folder}");
        }
    }

    /// WCAG's relative luminance contrast.
    fn contrast(a: u32, b: u32) -> f64 {
        let luminance = |c: u32| {
            let part = |shift: u32| {
                let v = f64::from((c >> shift) & 255) / 255.0;
                if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_on_its_ground_in_both_themes() {
        let css = std::str::from_utf8(find("/web/desk.css").unwrap().body).unwrap();
        let token = regex::Regex::new(r"--([a-z0-9-]+): #([0-9A-F]{6});").unwrap();
        let mut themes = 0;
        for theme in css.split(":root[data-theme=").skip(1).take(2) {
            themes += 1;
            let colours: std::collections::HashMap<&str, u32> = token
                .captures_iter(theme.split('}').next().unwrap())
                .map(|c| (c.get(1).unwrap().as_str(), u32::from_str_radix(&c[2], 16).unwrap()))
                .collect();
            let at_least = |least: f64, on: &str, ground: &str| {
                let found = contrast(colours[on], colours[ground]);
                assert!(found >= least, "theme {themes}: {on} on {ground} is {found:.2}, less than {least}");
            };
            for ground in ["canvas", "surface", "sunken"] {
                at_least(13.0, "ink", ground);
                at_least(6.8, "ink2", ground);
                at_least(4.8, "ink3", ground);
                at_least(3.0, "edge", ground);
            }
            for state in ["green", "amber", "blue", "violet", "red", "grey"] {
                let tint = format!("{state}-tint");
                at_least(4.8, state, &tint);
                at_least(5.0, state, "surface");
                for ink in ["ink", "ink2", "ink3"] {
                    at_least(4.8, ink, &tint);
                }
            }
            at_least(10.0, "on-ring", "ring");
        }
        assert_eq!(themes, 2);
    }
}
