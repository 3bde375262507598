//! What stands in the real Redmine, read over its REST interface with nothing of Linecard in between.

use std::collections::HashMap;

use serde_json::Value;

use crate::http;

/// Addresses, keys and field ids, as `tests/servers/redmine/setup.sh` wrote them.
pub struct Redmine {
    facts: HashMap<String, String>,
}

impl Redmine {
    pub fn from_env() -> Result<Self, String> {
        let path = std::env::var("LINECARD_REDMINE_ENV")
            .map_err(|_| "LINECARD_REDMINE_ENV is not set: tests/run starts the real Redmine".to_owned())?;
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let facts = text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let redmine = Self { facts };
        redmine.get("/users/current.json")?;
        // A Redmine that was just started reads its code at the first question of each kind: seconds, which is not what is tested here.
        for project in ["customers", "orders", "support"] {
            redmine.get(&format!(
                "/projects/{project}/issues.json?set_filter=1&status_id=*&cf_{}=~138",
                redmine.fact("CF_MOBILE")
            ))?;
        }
        Ok(redmine)
    }

    /// For example `CF_CALLID` or `KEY`.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(&format!("REDMINE_{name}")).map_or("", String::as_str)
    }

    /// Tickets (project `support`) that carry this call's id.
    pub fn tickets(&self, call: &str) -> Result<Vec<Value>, String> {
        let field = self.fact("CF_CALLID");
        let found = self.get(&format!("/projects/support/issues.json?status_id=*&limit=100&cf_{field}={call}"))?;
        // Redmine ignores a filter it does not know and returns everything: look again at what came.
        let issues = found["issues"].as_array().cloned().unwrap_or_default();
        let carries = |issue: &Value| {
            issue["custom_fields"].as_array().is_some_and(|fields| fields.iter().any(|f| f["value"] == call))
        };
        Ok(issues.into_iter().filter(carries).collect())
    }

    /// How many notes on a customer (by code, `C10001`) or on a ticket of theirs contain `text`.
    pub fn notes(&self, code: &str, text: &str) -> Result<usize, String> {
        let field = self.fact("CF_CODE");
        let mut count = 0;
        for project in ["customers", "support"] {
            let found =
                self.get(&format!("/projects/{project}/issues.json?status_id=*&limit=100&cf_{field}={code}"))?;
            for issue in found["issues"].as_array().into_iter().flatten() {
                let whole = self.get(&format!("/issues/{}.json?include=journals", issue["id"]))?;
                let journals = whole["issue"]["journals"].as_array().into_iter().flatten();
                count += journals.filter(|j| j["notes"].as_str().is_some_and(|n| n.contains(text))).count();
            }
        }
        Ok(count)
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let host = self.fact("URL").trim_start_matches("http://");
        let (status, body) = http::get(host, path, &format!("X-Redmine-API-Key: {}\r\n", self.fact("KEY")))?;
        if status != 200 {
            return Err(format!("redmine answered {status} to {path}"));
        }
        serde_json::from_str(&body).map_err(|e| format!("redmine's answer to {path}: {e}"))
    }
}
