//! `webhook`: what waits to be told, and a test.

use super::{Exit, data, fail, wrong};
use crate::{
    connectors::Outcome,
    daemon::{cli::Webhook, load},
    records::hooks::{PREFIX, live::Sender},
};

pub fn webhook(verb: Webhook) -> Exit {
    match verb {
        Webhook::List { store, all } => data::effects(&store, all, PREFIX),
        Webhook::Show { key, store } => data::effect(&store, &key),
        Webhook::Ping { name, folder } => {
            let loaded = match load::load(&folder.config, &[]) {
                Ok(loaded) => loaded,
                Err(problems) => return wrong(&problems),
            };
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return fail(&format!("cannot start: {error}")),
            };
            match runtime.block_on(Sender::new(loaded.live.webhooks).ping(&name)) {
                Err(why) => fail(&why),
                Ok((Outcome::Ok(answer), ms)) => {
                    println!("{name}: {} after {ms} ms", answer["status"]);
                    Exit::Good
                }
                Ok((outcome, ms)) => {
                    println!("{name}: {}: {} (after {ms} ms)", outcome.word(), outcome.reason().unwrap_or("no reason"));
                    Exit::Failed
                }
            }
        }
    }
}
