//! The demo's experts: some seconds after an agent has asked them, one of them answers in the group chat, as a messenger tells it: by a signed webhook.

use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::{task::spawn_blocking, time::sleep};

use super::{hosts::Host, systems::DESK_TOKEN, told::post};

/// Long enough to see that it is waited for.
const THINKS: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(500);

const SAY: [&str; 3] = [
    "Three working days by card, five by bank. 银行卡三个工作日，对公五个工作日。",
    "Known since this morning, it is being mended; offer a call back at four.",
    "That is the second one this week: send it to the workshop, free of charge.",
];

/// Answers what is asked at this desk, for as long as it is let.
pub async fn answer(desk: &Host, hooks: SocketAddr) {
    let mut seen = BTreeSet::new();
    loop {
        sleep(LOOK).await;
        let asked = desk.ledger().into_iter().filter(|w| w.what == "notice" && w.text.contains(" asks: "));
        for notice in asked {
            if seen.insert(notice.id) {
                sleep(THINKS).await;
                let text = SAY.get(seen.len() % SAY.len()).copied().unwrap_or_default();
                let event = json!({"type": "reply", "id": format!("r{}", notice.id), "notice": notice.id, "user": "zhou", "name": "Zhou (hardware)", "text": text});
                // Nobody listens any more: the demo ends.
                let _ = spawn_blocking(move || tell(hooks, &event.to_string())).await;
            }
        }
    }
}

fn tell(hooks: SocketAddr, body: &str) -> io::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(DESK_TOKEN.as_bytes()).map_err(io::Error::other)?;
    mac.update(body.as_bytes());
    let sign: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    post(hooks, "chat", &format!("x-signature: {sign}\r\n"), body)
}
