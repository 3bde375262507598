//! Goes to where a secret lies and reads it.

use std::{
    ffi::OsString,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::private::Secret;

use super::secret::SecretRef;

/// A secret is a line; a private key of 16384 bits is about 13 KB.
const SIZE_CAP: u64 = 64 * 1024;

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// A sentence that names the place and never what is in it: it does not exist, cannot be read, is empty, is no UTF-8, is
    /// larger than 64 KiB.
    pub fn resolve(&self) -> Result<Secret, String> {
        self.resolve_in(|name| std::env::var_os(name))
    }

    fn resolve_in(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<Secret, String> {
        match self {
            Self::File(path) => read(path),
            Self::Env(name) => {
                let value = env(name).ok_or_else(|| format!("the environment has no variable {name}"))?;
                let value =
                    value.into_string().map_err(|_| format!("the variable {name} of the environment is no UTF-8"))?;
                if value.is_empty() {
                    return Err(format!("the variable {name} of the environment is empty"));
                }
                Ok(Secret::new(value))
            }
            Self::Credential(name) => {
                if name.is_empty() || name.starts_with('.') || name.contains('/') {
                    return Err(format!("{name:?} is no name of a systemd credential"));
                }
                let folder = env("CREDENTIALS_DIRECTORY").ok_or(
                    "the environment has no CREDENTIALS_DIRECTORY: add LoadCredential= to the unit, or name a file",
                )?;
                read(&PathBuf::from(folder).join(name))
            }
        }
    }
}

fn read(path: &Path) -> Result<Secret, String> {
    let at = path.display();
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| format!("cannot open {at}: {e}"))?;
    // One byte more than the cap, so that a file of just that size is told from a larger one.
    file.take(SIZE_CAP + 1).read_to_string(&mut text).map_err(|e| format!("cannot read {at}: {e}"))?;
    if text.len() as u64 > SIZE_CAP {
        return Err(format!("{at} is larger than {SIZE_CAP} bytes: that is no secret"));
    }
    let line_end = if text.ends_with("\r\n") { 2 } else { usize::from(text.ends_with('\n')) };
    text.truncate(text.len() - line_end);
    if text.is_empty() {
        return Err(format!("{at} is empty"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_each_of_its_three_places() {
        let folder = std::env::temp_dir().join(format!("linecard-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ami"), "two words\n").unwrap();
        std::fs::write(folder.join("empty"), "\n").unwrap();
        let env = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(folder.clone().into_os_string()),
            "LINECARD_AMI" => Some("from the environment".into()),
            _ => None,
        };
        let read = |place: SecretRef| place.resolve_in(env).map(|s| s.expose().to_owned());
        assert_eq!(read(SecretRef::File(folder.join("ami"))).as_deref(), Ok("two words"));
        assert_eq!(read(SecretRef::Env("LINECARD_AMI".into())).as_deref(), Ok("from the environment"));
        assert_eq!(read(SecretRef::Credential("ami".into())).as_deref(), Ok("two words"));
        assert!(read(SecretRef::File(folder.join("empty"))).unwrap_err().ends_with("is empty"));
        assert!(read(SecretRef::File(folder.join("none"))).unwrap_err().starts_with("cannot open "));
        assert_eq!(read(SecretRef::Env("NONE".into())).unwrap_err(), "the environment has no variable NONE");
        assert!(read(SecretRef::Credential("../ami".into())).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_place_is_written_as_one_key_and_its_value() {
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct Holder {
            secret: SecretRef,
        }
        let good = super::super::read::<Holder>("x.yaml", "secret: {credential: ami}\n").unwrap();
        assert_eq!(good.value.secret, SecretRef::Credential("ami".into()));
        // The secret itself in place of its place is refused without being repeated.
        let bad = super::super::read::<Holder>("x.yaml", "secret: 'open sesame, said he'\n").map(|_| ()).unwrap_err();
        assert!(!bad[0].to_string().contains("sesame"), "{}", bad[0]);
    }
}
