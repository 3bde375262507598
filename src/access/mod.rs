//! Tokens, roles and audit words: who somebody is and what they may do.
//!
//! A token is a JWT, checked once and remembered until it expires. Which keys count is a value ([`Keys`]) that is replaced
//! whole: from a secret, from a file, or fetched in the background ([`live`]), never while somebody waits at the door.

pub mod accounts;
pub mod keys;
pub mod live;
pub mod sessions;
mod settings;
pub mod token;

pub use accounts::{Accounts, AccountsFile, Right, Role};
pub use keys::Keys;
pub use sessions::{Session, Sessions};
pub use settings::{KeySource, Tokens};
pub use token::{Refused, Verifier, Who, issue};
