//! The entry for the switch's directory that lets this daemon hear and do what its settings need, and nothing else.

use std::fmt::Write as _;

use super::{session::allowed, settings::Settings};

/// For `check --manager-conf`.
#[must_use]
pub fn directory_lines(settings: &Settings) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "<!-- for linecard's switch \"{}\" -->", settings.id);
    let Some((user, domain)) = settings.event_socket.user.as_ref().and_then(|user| user.split_once('@')) else {
        text.push_str("<!-- it logs in with the socket's own password, which may do everything. Better: \"user: linecard@DOMAIN\" in linecard's file, -->\n");
        text.push_str("<!-- and the entry that `linecard check --manager-conf` prints then. -->\n");
        return text;
    };
    let (events, api) = allowed(&settings.declared(), settings.dial.is_some());
    let _ = writeln!(text, "<!-- directory/{domain}/{user}.xml -->");
    let _ = writeln!(text, "<include>\n  <user id=\"{user}\">\n    <params>");
    text.push_str("      <param name=\"esl-password\" value=\"(the password that linecard's settings point at)\"/>\n");
    let _ = writeln!(text, "      <param name=\"esl-allowed-events\" value=\"{events}\"/>");
    let _ = writeln!(text, "      <param name=\"esl-allowed-api\" value=\"{api}\"/>");
    text.push_str("      <param name=\"esl-allowed-log\" value=\"false\"/>\n    </params>\n  </user>\n</include>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::esl::tests::{SETTINGS, settings};

    #[test]
    fn the_entry_allows_what_is_needed_and_no_more() {
        let entry = directory_lines(&settings(
            &SETTINGS.replace("host: 127.0.0.1", "host: 127.0.0.1, user: linecard@cc.example"),
        ));
        assert!(
            entry.contains("directory/cc.example/linecard.xml") && entry.contains("<user id=\"linecard\">"),
            "{entry}"
        );
        assert!(entry.contains("esl-allowed-api\" value=\"show version uptime uuid_dump json callcenter_config uuid_kill uuid_hold uuid_audio uuid_send_dtmf uuid_record originate uuid_transfer\""), "{entry}");
        assert!(
            entry.contains("CHANNEL_CREATE") && entry.contains(" BACKGROUND_JOB CUSTOM callcenter::info"),
            "{entry}"
        );
        let own = directory_lines(&settings(SETTINGS));
        assert!(own.contains("may do everything") && !own.contains("<user"), "{own}");
    }
}
