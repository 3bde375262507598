//! One HTTP question, with nothing of Linecard in between.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// GET: status and body.
pub fn get(host: &str, path: &str, header: &str) -> Result<(u16, String), String> {
    let (status, _, body) = bytes(host, path, header)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// GET: status, head and body. HTTP/1.0, so that the body ends with the connection, in one piece.
pub fn bytes(host: &str, path: &str, header: &str) -> Result<(u16, String, Vec<u8>), String> {
    let fault = |e: std::io::Error| format!("http://{host}{path}: {e}");
    let mut stream = TcpStream::connect(host).map_err(fault)?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(fault)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n{header}\r\n").map_err(fault)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(fault)?;
    let end =
        answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or(format!("http://{host}: an answer without a body"))?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(format!("no status in {head}"))?;
    Ok((status, head, body))
}
