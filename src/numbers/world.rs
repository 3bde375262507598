//! Numbers of other countries, by Google's metadata (rlibphonenumber). China's own rules are in [`super::number`]: Google's data know no
//! carrier prefix, no short code and no area of a trunk.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region};

use super::Class;

/// A number in international form, digits only, without plus: its E.164 form and kind; `None` where it is no valid number of any country.
pub(super) fn international(digits: &str) -> Option<(String, Class)> {
    known(PhoneNumber::parse(format!("+{digits}"), None).ok()?)
}

/// A number as it is dialled inside a country (ISO 3166 alpha-2); `None` where it is no valid number of that country, or the country is not
/// known.
pub(super) fn national(country: &str, digits: &str) -> Option<(String, Class)> {
    known(PhoneNumber::parse(digits, Some(Region::from_code(country).ok()?)).ok()?)
}

/// The digits by which a number in E.164 is dialled inside this country; `None` for one of another country. Countries that share a code (+1, or
/// +39 with the Vatican in it) dial each other as their own.
pub(super) fn inside(country: &str, e164: &str) -> Option<String> {
    let number = PhoneNumber::parse(e164, None).ok()?;
    let own = code(country).is_some_and(|code| code == number.country_code);
    own.then(|| number.format_as(PhoneNumberFormat::National).chars().filter(char::is_ascii_digit).collect())
}

/// Whether there is such a country (ISO 3166 alpha-2).
pub(super) fn has(country: &str) -> bool {
    code(country).is_some()
}

fn code(country: &str) -> Option<i32> {
    PHONE_NUMBER_UTIL.get_country_code_for_region(Region::from_code(&country.to_ascii_uppercase()).ok()?)
}

fn known(number: PhoneNumber) -> Option<(String, Class)> {
    number.is_valid().then(|| (number.to_string(), class(number.get_type())))
}

const fn class(kind: PhoneNumberType) -> Class {
    match kind {
        PhoneNumberType::FixedLine => Class::Geographic,
        PhoneNumberType::Mobile => Class::Mobile,
        PhoneNumberType::FixedLineOrMobile => Class::GeographicOrMobile,
        PhoneNumberType::TollFree => Class::TollFree,
        PhoneNumberType::SharedCost => Class::SharedCost,
        _ => Class::International,
    }
}
