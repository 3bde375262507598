//! From the name that a record has to the steps of a path below the place's folder, and what kind of sound it is.
//!
//! The name is a stranger's data: a dialplan puts caller ids into it, and whoever sets channel variables can put anything there. So a step that climbs,
//! a NUL and a name without the place's prefix are refused here, and [`live`] follows no link inside the folder: what is served lies in it.

pub mod live;

use crate::private::Private;

/// Steps and bytes of a name; deeper than any layout by date, queue and agent.
const MOST_STEPS: usize = 32;
const LONGEST: usize = 1024;

/// The steps below the folder; `None`: nothing that may be looked for.
#[must_use]
pub fn steps(name: &str, prefix: Option<&str>) -> Option<Private<Vec<String>>> {
    let name = name.trim_start_matches('/');
    let rest = match prefix.map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => name.strip_prefix(prefix)?.strip_prefix('/')?,
        None => name,
    };
    let good = |step: &&str| *step != "." && *step != ".." && !step.chars().any(char::is_control);
    let steps: Vec<&str> = rest.split('/').filter(|step| !step.is_empty()).collect();
    let all = rest.len() <= LONGEST && steps.len() <= MOST_STEPS && steps.iter().all(good);
    (all && !steps.is_empty() && !rest.ends_with('/'))
        .then(|| Private::new(steps.into_iter().map(str::to_owned).collect()))
}

/// The media type by the ending of a name (RFC 2361, 3003, 5334, 7845, 4337, 9639), and the ending; `None`: nothing that a page plays.
#[must_use]
pub fn kind(name: &str) -> Option<(&'static str, &'static str)> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "wav" => ("audio/wav", "wav"),
        "mp3" => ("audio/mpeg", "mp3"),
        "ogg" | "oga" => ("audio/ogg", "ogg"),
        "opus" => ("audio/ogg", "opus"),
        "m4a" | "mp4" => ("audio/mp4", "m4a"),
        "flac" => ("audio/flac", "flac"),
        "webm" => ("audio/webm", "webm"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_below_the_folder_or_is_none() {
        let of = |name: &str, prefix| steps(name, prefix).map(|steps| steps.expose().join("|"));
        for (name, prefix, wanted) in [
            ("1795.0.wav", None, Some("1795.0.wav")),
            ("/2026/11//a b.wav", None, Some("2026|11|a b.wav")),
            ("var/rec/2026/a.wav", Some("/var/rec/"), Some("2026|a.wav")),
            ("..wav", None, Some("..wav")),
            ("录音/张.wav", None, Some("录音|张.wav")),
            ("var/record/a.wav", Some("/var/rec"), None),
            ("etc/passwd", Some("/var/rec"), None),
            ("var/rec", Some("/var/rec"), None),
            ("2026/../../etc/passwd", None, None),
            ("var/rec/../x.wav", Some("var/rec"), None),
            ("./a.wav", None, None),
            ("a\0.wav", None, None),
            ("a\n.wav", None, None),
            ("folder/", None, None),
            ("/", None, None),
            ("", None, None),
        ] {
            assert_eq!(of(name, prefix).as_deref(), wanted, "{name:?} {prefix:?}");
        }
        assert_eq!(of(&"a/".repeat(40), None), None);
        assert_eq!(of(&"a".repeat(2000), None), None);
    }

    #[test]
    fn only_sound_is_named_as_such() {
        assert_eq!(kind("a.WAV"), Some(("audio/wav", "wav")));
        assert_eq!(kind("a.b.mp3"), Some(("audio/mpeg", "mp3")));
        for none in ["a.html", "a.svg", "wav", "a.", "", "a.wav\r\nX: y"] {
            assert_eq!(kind(none), None, "{none:?}");
        }
    }
}
