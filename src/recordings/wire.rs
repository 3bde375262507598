//! The head of an answer. Nothing in it comes from another server or from the name of a file but its ending, of a closed list.

use bytes::Bytes;

use super::{folder, range::Span};

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    pub span: Span,
    /// Of the whole recording.
    pub size: u64,
}

impl Body {
    /// First byte and how many; nothing for a 416.
    #[must_use]
    pub const fn bytes(&self) -> (u64, u64) {
        match self.span {
            Span::Whole => (0, self.size),
            Span::Part(first, last) => (first, last.saturating_sub(first).saturating_add(1)),
            Span::Nothing => (0, 0),
        }
    }
}

/// The head of an answer with a recording (RFC 9110, sections 14.3, 14.4, 15.3.7 and 15.5.17).
#[must_use]
pub fn head(body: &Body, name: &str, id: &str, etag: Option<&str>) -> Bytes {
    let (_, length) = body.bytes();
    let size = body.size;
    let (status, range) = match body.span {
        Span::Whole => ("200 OK", String::new()),
        Span::Part(first, last) => ("206 Partial Content", format!("content-range: bytes {first}-{last}/{size}\r\n")),
        Span::Nothing => ("416 Range Not Satisfiable", format!("content-range: bytes */{size}\r\n")),
    };
    let (kind, shown, file) = match folder::kind(name) {
        Some((kind, ending)) => (kind, "inline", format!("{id}.{ending}")),
        // What no page plays is for a program to open.
        None => ("application/octet-stream", "attachment", id.to_owned()),
    };
    let etag = etag.map(|etag| format!("etag: \"{etag}\"\r\n")).unwrap_or_default();
    Bytes::from(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{range}{etag}accept-ranges: bytes\r\n\
         content-disposition: {shown}; filename=\"{file}\"\r\n{ALWAYS}"
    ))
}

/// An answer without a recording.
#[must_use]
pub fn refusal(why: Refusal) -> Bytes {
    let (status, more) = match why {
        Refusal::Unknown => ("404 Not Found", ""),
        Refusal::Full => ("503 Service Unavailable", "retry-after: 5\r\n"),
        Refusal::Unavailable => ("503 Service Unavailable", ""),
        Refusal::Upstream => ("502 Bad Gateway", ""),
    };
    Bytes::from(format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\n{ALWAYS}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such link, or its recording is not there. One answer for all of it: nobody learns by asking what there is.
    Unknown,
    /// As many players as may be served.
    Full,
    Unavailable,
    /// The switch's server answers what is no recording.
    Upstream,
}

const ALWAYS: &str = "cache-control: private, no-store\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n\
content-security-policy: default-src 'none'; sandbox\r\nconnection: close\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_comes_and_nothing_of_the_file_s_name() {
        let id = "01KAXS2V7R8Q4H0N5T3M1B6C9D-0";
        let part = Body { span: Span::Part(5, 9), size: 100 };
        let text = String::from_utf8(head(&part, "13800138000/a.WAV", id, Some("64-1")).to_vec()).unwrap();
        assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\ncontent-type: audio/wav\r\ncontent-length: 5\r\ncontent-range: bytes 5-9/100\r\netag: \"64-1\"\r\naccept-ranges: bytes\r\n"));
        assert!(text.contains(&format!("content-disposition: inline; filename=\"{id}.wav\"\r\n")));
        assert!(text.ends_with("\r\n\r\n") && !text.contains("13800138000"));
        let odd = "a.html\r\nset-cookie: x";
        let text = String::from_utf8(head(&Body { span: Span::Whole, size: 7 }, odd, id, None).to_vec()).unwrap();
        assert!(text.contains("octet-stream") && text.contains("attachment") && !text.contains("cookie"));
        let none = String::from_utf8(head(&Body { span: Span::Nothing, size: 7 }, "a.mp3", id, None).to_vec()).unwrap();
        assert!(none.starts_with("HTTP/1.1 416") && none.contains("content-range: bytes */7\r\n"));
        assert!(none.contains("content-length: 0\r\n"));
        let full = String::from_utf8(refusal(Refusal::Full).to_vec()).unwrap();
        assert!(full.contains("retry-after: 5\r\ncontent-length: 0\r\n") && full.contains("no-store"));
    }
}
