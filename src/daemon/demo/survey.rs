//! What the demo's survey tells when a customer has answered: an event as Standard Webhooks have it, signed, by POST.

use std::{io, net::SocketAddr};

use base64::Engine as _;
use hmac::Mac as _;
use serde_json::json;

use super::told::post;
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
    let headers = format!("webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{sign}\r\n");
    post(hooks, "survey", &headers, body)
}

/// Names an event: the same again is the same.
fn digest(body: &str) -> [u8; 8] {
    use sha2::Digest as _;
    let mut first = [0; 8];
    first.copy_from_slice(&sha2::Sha256::digest(body)[..8]);
    first
}
