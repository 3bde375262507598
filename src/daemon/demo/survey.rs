//! What the demo's survey tells when a customer has answered: an event as Standard Webhooks have it, signed, by POST.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use base64::Engine as _;
use hmac::Mac as _;
use serde_json::json;

use crate::live;

/// What events are signed with, and as it is told to whoever verifies them; a made-up secret of a made-up company.
const KEY: &[u8] = b"demo-survey-hook-secret!";
pub const SECRET: &str = "whsec_ZGVtby1zdXJ2ZXktaG9vay1zZWNyZXQh";

/// The body of an event: what was answered of a call.
#[must_use]
pub fn answer(call: &str, score: u64, comment: &str) -> String {
    let data = json!({"call": call, "score": score.to_string(), "comment": comment});
    json!({"type": "survey.answered", "timestamp": live::now().wall, "data": data}).to_string()
}

/// Tells it at the daemon's door for webhooks, and answers the status.
///
/// # Errors
/// Nobody is there, or it takes more than five seconds.
pub fn tell(hooks: SocketAddr, body: &str) -> io::Result<String> {
    let id = format!("survey-{:x}", u64::from_be_bytes(digest(body)));
    let at = live::now().wall.0 / 1000;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(KEY).map_err(io::Error::other)?;
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let sign = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let request = format!(
        "POST /v1/hooks/survey HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{sign}\r\n\r\n{body}",
        body.len()
    );
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&hooks, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(request.as_bytes())?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    Ok(told.lines().next().unwrap_or_default().to_owned())
}

/// Names an event: the same again is the same.
fn digest(body: &str) -> [u8; 8] {
    use sha2::Digest as _;
    let mut first = [0; 8];
    first.copy_from_slice(&sha2::Sha256::digest(body)[..8]);
    first
}
