//! `recordings:` of linecard.yaml.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Offered;
use crate::{
    files::SecretRef,
    words::{SwitchId, TenantId},
};

/// Who may hear recordings, where they lie, and how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where each switch's recordings are read.
    pub places: Vec<Place>,
    /// How long a link may be used.
    pub link_seconds: u64,
    /// Whether agents hear the calls in which they talked.
    pub own: bool,
    /// Roles that hear the calls of agents with whom they share a team.
    pub teams: Vec<String>,
    /// Roles that hear every call of their tenant.
    pub all: Vec<String>,
    /// Players that are served at once.
    pub readers: usize,
    /// How long a player may take to read 64 KiB.
    pub stall_ms: u64,
    /// For how long a tenant's recordings are kept. Who is not here keeps them for ever.
    pub keep: Vec<Keep>,
}

/// Where one switch's recordings are: a folder or an address, one of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    #[schemars(with = "String")]
    pub switch: SwitchId,
    /// As this machine sees it; absolute.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// `http(s)://` and the folder of the recordings, without query.
    #[serde(default)]
    pub url: Option<String>,
    /// Basic authentication at `url`.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Certificates (PEM) that are trusted for `url` in place of the system's.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// What is cut off the names that records have, where the switch's file names no folder. A name without it is not served.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// One tenant's retention.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    #[serde(default)]
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// From the call's end.
    pub days: u32,
    /// Whether the files are removed then. Otherwise they are only not served any more.
    #[serde(default)]
    pub remove: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            link_seconds: 600,
            own: true,
            teams: vec!["supervisor".to_owned()],
            all: Vec::new(),
            readers: 64,
            stall_ms: 60_000,
            keep: Vec::new(),
        }
    }
}

impl Settings {
    #[must_use]
    pub fn place(&self, switch: &SwitchId) -> Option<&Place> {
        self.places.iter().find(|place| place.switch == *switch)
    }

    #[must_use]
    pub fn keep(&self, tenant: &TenantId) -> Option<&Keep> {
        self.keep.iter().find(|keep| keep.tenant == *tenant)
    }

    #[must_use]
    pub fn offered(&self) -> Offered {
        let switches = self.places.iter().map(|place| place.switch.clone()).collect();
        Offered { switches, own: self.own, all: self.all.clone() }
    }

    /// What is wrong beyond the shape: key (below `recordings`), found, wanted. `switches`: those that there are.
    #[must_use]
    pub fn problems(&self, switches: &[SwitchId]) -> Vec<(String, String, &'static str)> {
        let mut all = Vec::new();
        for (n, place) in self.places.iter().enumerate() {
            let mut wrong = |key: &str, found: String, wanted| all.push((format!("places[{n}]{key}"), found, wanted));
            if !switches.contains(&place.switch) {
                wrong(".switch", format!("there is no switch \"{}\"", place.switch), "the id of a file in switches/");
            }
            if self.places.iter().take(n).any(|other| other.switch == place.switch) {
                wrong(".switch", format!("\"{}\" has a place already", place.switch), "one place for each switch");
            }
            match (&place.folder, &place.url) {
                (Some(folder), None) if !folder.is_absolute() => {
                    let wanted = "an absolute path, for example /var/spool/asterisk/monitor";
                    wrong(".folder", format!("found {}", folder.display()), wanted);
                }
                (Some(_), None) => {
                    if place.user.is_some() || place.password.is_some() || place.tls_ca.is_some() {
                        wrong("", "user, password and tls_ca are for a url".to_owned(), "a folder alone, or a url");
                    }
                }
                (None, Some(url)) => {
                    if !web_address(url) {
                        let wanted = "http:// or https://, host and folder, without user, query and spaces";
                        wrong(".url", "this is no address of recordings".to_owned(), wanted);
                    }
                    if place.user.is_some() != place.password.is_some() {
                        wrong("", "user and password go together".to_owned(), "both, or none");
                    }
                }
                (None, None) | (Some(_), Some(_)) => {
                    wrong("", "folder or url, one of them".to_owned(), "where the recordings are read");
                }
            }
        }
        for (n, keep) in self.keep.iter().enumerate() {
            if keep.days == 0 {
                all.push((format!("keep[{n}].days"), "found 0".to_owned(), "1 or more; leave it out to keep for ever"));
            }
            if self.keep.iter().take(n).any(|other| other.tenant == keep.tenant) {
                all.push((format!("keep[{n}].tenant"), format!("\"{}\" twice", keep.tenant), "each tenant once"));
            }
        }
        for (key, value) in [("link_seconds", self.link_seconds), ("stall_ms", self.stall_ms)] {
            if value == 0 {
                all.push((key.to_owned(), "found 0".to_owned(), "1 or more"));
            }
        }
        if self.link_seconds > LONGEST_LINK_S {
            all.push(("link_seconds".to_owned(), format!("found {}", self.link_seconds), "at most 86400, a day"));
        }
        all
    }
}

/// A link is for now; who wants one tomorrow asks tomorrow.
const LONGEST_LINK_S: u64 = 86_400;

fn web_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]/%".contains(&b);
    !rest.starts_with('/') && !rest.is_empty() && rest.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        crate::files::read("linecard.yaml", text).unwrap().value
    }

    #[test]
    fn every_place_is_one_place_of_a_switch_that_is_there() {
        let switches = ["pbx1".into(), "fs1".into()];
        let good = "places: [{switch: pbx1, folder: /var/rec}, {switch: fs1, url: 'https://fs1.example.org/rec', user: u, password: {env: P}}]\nkeep: [{days: 90, remove: true}]";
        assert_eq!(read(good).problems(&switches), []);
        let bad = "link_seconds: 0\nplaces: [{switch: pbx9, folder: rec}, {switch: fs1}, {switch: fs1, url: 'ftp://x', user: u}, {switch: pbx1, folder: /r, url: 'http://h'}]\nkeep: [{days: 0}, {days: 3}]";
        let found: Vec<String> = read(bad).problems(&switches).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(
            found,
            [
                "places[0].switch",
                "places[0].folder",
                "places[1]",
                "places[2].switch",
                "places[2].url",
                "places[2]",
                "places[3]",
                "keep[0].days",
                "keep[1].tenant",
                "link_seconds"
            ]
        );
    }

    #[test]
    fn an_agent_is_offered_what_may_be_heard() {
        let settings = read("places: [{switch: pbx1, folder: /r}]\nown: false\nall: [quality]");
        let offered = settings.offered();
        assert!(!offered.to(&"pbx1".into(), ["agent"].into_iter()));
        assert!(offered.to(&"pbx1".into(), ["agent", "quality"].into_iter()));
        assert!(!offered.to(&"fs1".into(), ["quality"].into_iter()));
        assert!(read("places: [{switch: pbx1, folder: /r}]").offered().to(&"pbx1".into(), [].into_iter()));
    }
}
