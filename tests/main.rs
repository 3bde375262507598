//! One test program: it links once and keeps the loop quick. A module per promise. Stories on real servers are in `tests/real/`
//! (feature `real-servers`, started by `tests/run`).

mod agents;
mod approvals;
mod beside;
mod board;
mod bodies;
#[cfg(feature = "real-servers")]
mod browser;
mod check;
mod connectors;
mod console;
mod daemon;
mod databases;
mod dialog_events;
mod drafts;
mod escalation;
mod fixtures;
mod flows;
mod freeswitch;
mod fuzz;
mod gaps;
mod histories;
mod holdings;
mod house;
mod index;
mod kill;
mod liar;
mod limits;
#[cfg(feature = "real-servers")]
mod lines;
mod locate;
mod mail;
mod mirror;
mod numbers;
mod outbox;
mod people;
mod privacy;
#[cfg(feature = "real-servers")]
mod real_kinds;
#[cfg(feature = "real-servers")]
mod real_ldap;
#[cfg(feature = "real-servers")]
mod real_mariadb;
#[cfg(feature = "real-servers")]
mod real_oauth2;
#[cfg(feature = "real-servers")]
mod real_odoo;
#[cfg(feature = "real-servers")]
mod real_oidc;
#[cfg(feature = "real-servers")]
mod real_postgres;
#[cfg(feature = "real-servers")]
mod real_redmine;
#[cfg(feature = "real-servers")]
mod real_rt;
#[cfg(feature = "real-servers")]
mod real_smtp;
mod reconcile;
mod recordings;
mod route_hint;
mod schedule;
mod schemas;
mod sign_in;
mod strangers;
mod survey;
#[cfg(feature = "real-servers")]
mod systemd;
mod tables;
#[cfg(feature = "real-servers")]
mod tls;
mod traps;
mod tried;
mod trunks;
mod versions;
mod watch;
mod webhooks;
mod webhooks_out;
mod who;
