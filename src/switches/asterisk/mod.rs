//! Asterisk 16 and later, by AMI, by ARI, or by both.
//!
//! `ami.rs` and `ari.rs` are the wire, `translate_*.rs` make the book's events, `session_*.rs` are the still machines of one connection
//! each, `snapshot.rs` collects what is there, `narrow.rs` says what is cut at the switch, `originate.rs` places calls; `live.rs` (AMI)
//! and `http.rs` (ARI) touch the world.

pub mod act;
pub mod ami;
pub mod ari;
mod attend;
pub mod cdr;
mod http;
mod live;
mod narrow;
mod originate;
pub(crate) mod session_ami;
mod session_ari;
mod settings;
pub mod snapshot;
pub mod translate_ami;
pub mod translate_ari;

pub use live::{probe, probe_link, run};
pub use narrow::{ari_conf_lines, manager_conf_lines};
pub use settings::{Ami, Ari, DialSettings, Settings, Via};

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::{
        calls::command::{Dial, RequestId},
        words::{Mono, Now, Wall},
    };

    pub(super) const SETTINGS: &str = "asterisk:\n  id: pbx1\n  trunks: ['PJSIP/trunk*']\n  attributes: [{name: ivr.account, from: {variable: CTI_ACCOUNT}}]\n  ami: {host: 127.0.0.1, user: linecard, secret: {env: LINECARD_TEST}}\n  ari: {url: 'http://127.0.0.1:8088', user: linecard, secret: {env: LINECARD_TEST}}\n  dial: {context: click2dial}\n";

    pub(super) fn settings(text: &str) -> Settings {
        let crate::switches::Settings::Asterisk(settings) = crate::files::read("x.yaml", text).unwrap().value else {
            panic!("this is no Asterisk")
        };
        settings
    }

    pub(super) fn dial() -> Dial {
        Dial {
            request: RequestId("lc-1".into()),
            tenant: "default".into(),
            switch: "pbx1".into(),
            agent: "1001".into(),
            device: "PJSIP/1001".into(),
            number: "13800138000".into(),
            reference: None,
        }
    }

    /// A moment, in milliseconds.
    pub(super) fn at(ms: u64) -> Now {
        Now { wall: Wall(1_795_348_097_000 + i64::try_from(ms).unwrap()), mono: Mono(ms * 1000) }
    }
}
