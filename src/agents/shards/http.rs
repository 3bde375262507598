//! The little HTTP/1.1 that the agents' listener speaks: GETs for page files, or one upgrade. A parser of heads and a few fixed
//! answers cost no memory once the socket is upgraded; a whole HTTP server would.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::super::{
    Settings, pages,
    protocol::{BEARER, SUBPROTOCOL},
};
use crate::private::Private;

/// What a head asks for.
pub enum Asked {
    /// The rest of the head has not come yet.
    More,
    /// Write this and close.
    Answer(Vec<u8>),
    /// Write this; what comes behind `head` bytes is the next question.
    File { answer: Vec<u8>, head: usize },
    /// Write this and go on as a WebSocket; `rest` bytes of the buffer come after the head.
    Upgrade { answer: Vec<u8>, token: Option<Private<String>>, head: usize },
    /// As `Answer`, for a page that is not welcome: counted apart.
    ForeignOrigin(Vec<u8>),
    /// A player wants a recording.
    Recording(Wanted),
}

/// What a player asks for; nothing of it was held against anything yet.
pub struct Wanted {
    pub id: String,
    pub token: Private<String>,
    pub head: bool,
    pub range: Option<String>,
    pub if_range: Option<String>,
}

/// Where recordings are, as the links have it.
const RECORDINGS: &str = "/v1/recordings/";

/// Bytes of a head; a token in it takes one or two thousand.
pub const LARGEST_HEAD: usize = 12 * 1024;

/// Reads a head. `stays`: there is room for a connection that waits for a next question.
#[must_use]
pub fn judge(bytes: &[u8], settings: &Settings, stays: bool) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() < LARGEST_HEAD => return Asked::More,
        Ok(httparse::Status::Partial) => return Asked::Answer(plain("431 Request Header Fields Too Large", "")),
        Err(_) => return Asked::Answer(plain("400 Bad Request", "")),
    };
    let path = request.path.unwrap_or_default();
    if let Some(what) = path.strip_prefix(RECORDINGS) {
        return recording(&request, what);
    }
    if request.method != Some("GET") {
        return Asked::Answer(plain("405 Method Not Allowed", "Allow: GET\r\n"));
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    if path == "/v1/agent" && query.is_some() {
        // Addresses end up in logs, histories and Referer: no token is read from there, and who puts one there learns it at once.
        return Asked::Answer(plain("400 Bad Request", ""));
    }
    let header = |name: &str| {
        let mut found = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = found.next().and_then(|header| std::str::from_utf8(header.value).ok());
        // Twice is not once: which one a proxy looked at is anybody's guess.
        if found.next().is_some() { Some("\0") } else { first }
    };
    let lists = |name: &str, word: &str| {
        request
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if path != "/v1/agent" {
        let Some(page) = pages::find(path) else { return Asked::Answer(plain("404 Not Found", "")) };
        // A body that nobody reads would be taken for the next question.
        let body = header("content-length").is_some() || header("transfer-encoding").is_some();
        let stays = stays && request.version == Some(1) && !body && !lists("connection", "close");
        let answer = page.answer(pages::Asking {
            holders: &settings.origins,
            known: header("if-none-match"),
            accepts: header("accept-encoding"),
            stays,
        });
        return if stays { Asked::File { answer, head } } else { Asked::Answer(answer) };
    }
    let upgrades = request.version == Some(1) && lists("upgrade", "websocket") && lists("connection", "upgrade");
    let (true, Some("13"), Some(key)) = (upgrades, header("sec-websocket-version"), header("sec-websocket-key")) else {
        let more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        return Asked::Answer(plain("426 Upgrade Required", more));
    };
    let has_origin = request.headers.iter().any(|header| header.name.eq_ignore_ascii_case("origin"));
    // An Origin that is no text is an Origin all the same.
    let origin = has_origin.then(|| header("origin").unwrap_or("\0"));
    if !settings.admits(origin) {
        return Asked::ForeignOrigin(plain("403 Forbidden", ""));
    }
    let mut speaks = false;
    let mut token = None;
    let offered = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("sec-websocket-protocol"));
    for part in offered.filter_map(|h| std::str::from_utf8(h.value).ok()).flat_map(|value| value.split(',')) {
        let part = part.trim();
        speaks |= part == SUBPROTOCOL;
        if let Some(found) = part.strip_prefix(BEARER) {
            token = Some(Private::new(found.to_owned()));
        }
    }
    if !speaks || key.len() != 24 {
        return Asked::Answer(plain("400 Bad Request", ""));
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    Asked::Upgrade { answer: answer.into_bytes(), token, head }
}

/// `<id>?t=<token>`, by GET or HEAD. Which recordings there are and whose token it is, others know; here it is only read.
fn recording(request: &httparse::Request<'_, '_>, what: &str) -> Asked {
    let head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Asked::Answer(plain("405 Method Not Allowed", "Allow: GET, HEAD\r\n")),
    };
    let plain_text = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let found = what.split_once("?t=").filter(|(id, token)| id.len() <= 64 && token.len() <= 64);
    let Some((id, token)) = found.filter(|(id, token)| plain_text(id) && plain_text(token)) else {
        return Asked::Answer(plain("404 Not Found", "Cache-Control: private, no-store\r\n"));
    };
    // Several ranges in two headers are as good as none.
    let one = |name: &str| {
        let mut all = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = all.next().filter(|header| header.value.len() <= 256)?;
        all.next().is_none().then(|| std::str::from_utf8(first.value).ok().map(str::to_owned)).flatten()
    };
    let has = |name: &str| request.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    // What cannot be read matches nothing, and then the whole is sent.
    let if_range = has("if-range").then(|| one("if-range").unwrap_or_default());
    Asked::Recording(Wanted {
        id: id.to_owned(),
        token: Private::new(token.to_owned()),
        head,
        range: one("range"),
        if_range,
    })
}

/// Come back later.
#[must_use]
pub fn full() -> Vec<u8> {
    plain("503 Service Unavailable", "Retry-After: 5\r\n")
}

fn plain(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}
