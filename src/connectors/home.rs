//! Where the page of a record may lie: at a host that the connector's file names, in a variable, in its address, or in the expression that makes the link.
//!
//! The link is made by the file's template, but what goes into it comes from the system, and a record's text may be a stranger's. So its host is looked
//! at once more before anybody is shown it.

/// The hosts, with their ports, of every address that stands in a text.
pub(super) fn hosts(text: &str) -> Vec<String> {
    let starts = text.match_indices("://").map(|(at, _)| at);
    let whole = starts.filter_map(|at| {
        let scheme =
            ["https", "http"].into_iter().find(|scheme| text.get(..at).is_some_and(|t| t.ends_with(scheme)))?;
        let rest = text.get(at.saturating_sub(scheme.len())..)?;
        host(rest.split(|c: char| c.is_whitespace() || "'\"{}".contains(c)).next()?)
    });
    whole.collect()
}

/// The host of a whole address, with its port; `None`: it is none that a browser may be sent to.
pub(super) fn host(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return None;
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before an @ is read as a name by browsers, and as a host by people.
    (!host.is_empty() && !host.contains('@')).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_host_that_the_file_names_or_is_none() {
        assert_eq!(hosts("https://ERP.example.com/app"), ["erp.example.com"]);
        assert_eq!(hosts("'https://app.hubspot.com/contacts/' ~ portal"), ["app.hubspot.com"]);
        assert_eq!(hosts("{{ url }}/REST/2.0"), [""; 0]);
        assert_eq!(hosts("http://127.0.0.1:8081 or https://b.example"), ["127.0.0.1:8081", "b.example"]);
        assert_eq!(host("https://erp.example.com?x=1").as_deref(), Some("erp.example.com"));
        for none in [
            "javascript:alert(1)",
            "https://erp.example.com@evil.example/",
            "https://",
            "//evil.example",
            "https://erp.example.com\\@evil.example",
            " https://erp.example.com",
            "data:text/html,x",
        ] {
            assert_eq!(host(none), None, "{none}");
        }
    }
}
