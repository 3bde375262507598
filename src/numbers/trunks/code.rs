//! Words for what can be wrong with a row, the same for ever: whoever says it in another language has a sentence for each. What stands in a sentence goes with it, by name.

use crate::words::refusal::codes;

codes! {
    // {name}, {known}
    NO_SWITCH = "no-switch";
    NO_TRUNK = "no-trunk";
    NO_CONNECTOR = "no-connector";
    NO_ATTRIBUTE = "no-attribute";
    NO_SOURCES = "no-sources";
    NO_SOURCE = "no-source";
    DNID = "dnid";
    // {switch}
    NO_SIP = "no-sip";
    NO_NUMBER = "no-number";
    NO_RANGE = "no-range";
    NO_PATTERN = "no-pattern";
    // {name}
    NO_ZONE = "no-zone";
    NO_COUNTRY = "no-country";
    NO_AREA = "no-area";
    TOO_LATE = "too-late";
    NO_TARGET = "no-target";
    NO_HOST = "no-host";
    NOT_ENCODED = "not-encoded";
    NO_PLACE = "no-place";
    LATE_TENANT = "late-tenant";
    // {row}
    NEVER_WINS = "never-wins";
    SHARES = "shares";
}
