//! How each business system is asked and told, described in files, not in Rust.
//!
//! One YAML file is one system (`config/connectors/redmine.yaml`). What an operation sends and how its answer is judged is
//! still code here; only `http.rs` and `live.rs` touch the world, so the examples inside a file run
//! through the same code as a real request, without network.
//!
//! `file` is the YAML's shape; `compile` turns it into a `set::System`; `run` plays one operation; `session` keeps a login, `oauth2` is one by a token endpoint, `assertion` what is signed for it, `kept` what lasts of it, `sign_in` how it begins in a browser, `csrf` what requests need besides that change something; `sign` is what is
//! computed over a request, `cipher` what opens one; `body` is what is sent in one, `answer` what came, `soap`, `rpc` and `charset` serve both; `sql` is how a database is asked, and `line` what carries the requests of one kind or another; `words` is the expression language; `wire` and `value` are bytes and values;
//! `standing` is what a file says of how it is known to be right, `version` which version of the vendor's API it depends on, `beside` how a second file of one system is tried; `trail` is what happened in one operation, for who tries a file out.

mod answer;
pub mod ask;
mod assertion;
pub mod audit;
pub mod beside;
mod body;
mod charset;
mod cipher;
mod compile;
mod csrf;
mod csv;
pub mod draft;
pub mod evidence;
pub mod examples;
pub mod figures;
pub mod file;
mod home;
pub mod hook;
mod http;
pub mod index;
mod kept;
pub mod kinds;
mod ldap;
pub mod limits;
mod line;
pub mod live;
pub mod masked;
pub mod oauth2;
pub mod operation;
pub mod page;
mod place;
mod rows;
mod rpc;
mod run;
mod session;
pub mod set;
mod sign;
pub mod sign_in;
mod smtp;
mod soap;
mod sql;
pub mod standing;
mod state;
pub mod trail;
pub mod value;
pub mod version;
mod wire;
pub mod words;

pub use ask::{Ask, Idempotency, Outcome, Priority, Saw, Seen};
pub use compile::{Given, compile};
pub use live::{Connectors, Shape, load, load_offline, load_with};
pub use set::{Set, System};
pub use state::Standing;
