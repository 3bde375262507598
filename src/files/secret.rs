//! Where a secret lies. Settings never hold a secret itself, only the place of it: a file, a variable of the environment, or a
//! systemd credential. [`SecretRef::resolve`] (in `live.rs`) goes and reads it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// `{file: /etc/linecard/ami.secret}`, `{env: LINECARD_AMI_SECRET}` or `{credential: ami}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// A file that holds the secret and nothing else; one line end at its end is not part of it.
    File(PathBuf),
    /// A variable of the daemon's environment.
    Env(String),
    /// A systemd credential (`LoadCredential=NAME:PATH` in the unit): the file of that name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}
