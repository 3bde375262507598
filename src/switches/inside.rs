//! Who is one of us at a switch. Every feed that names users and not channels asks here, so that two feeds of one switch agree.

use std::sync::Arc;

use crate::{
    calls::{Directory, book::fits},
    words::SwitchId,
};

/// Agents' devices, seats and internal numbers of one switch.
#[derive(Clone, Debug)]
pub struct Inside {
    pub switch: SwitchId,
    /// What stands before an extension where this switch names a phone: `SIP`, `PJSIP`.
    pub technology: &'static str,
    pub directory: Arc<Directory>,
    /// Numbers of our own people, `X` for a digit, `*` for any text.
    pub internal: Vec<String>,
}

impl Inside {
    /// Whether this user (`1001`) is one of us.
    #[must_use]
    pub fn has(&self, user: &str) -> bool {
        let device = format!("{}/{user}", self.technology);
        self.directory.at_device(&self.switch, &device).is_some()
            || self.directory.seat(&self.switch, &device).is_some()
            || self.internal.iter().any(|pattern| fits(pattern, user, true))
    }
}

/// Nobody is.
impl Default for Inside {
    fn default() -> Self {
        Self { switch: "".into(), technology: "SIP", directory: Arc::default(), internal: Vec::new() }
    }
}
