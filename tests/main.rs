//! One test program: it links once and keeps the loop quick. A module per promise. Stories on real servers are in `tests/real/`
//! (feature `real-servers`, started by `tests/run`).

mod agents;
mod connectors;
#[cfg(feature = "real-servers")]
mod browser;
mod fixtures;
mod house;
#[cfg(feature = "real-servers")]
mod real_redmine;
#[cfg(feature = "real-servers")]
mod systemd;
