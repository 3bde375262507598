//! What a row's `target` opens on the agent's screen: the card, or a page of a business system, as an address with places for values.
//!
//! Scheme and host stand in the settings and nothing that comes from a call gets into them. A value is percent-encoded; where one is missing
//! there is no address yet, and the card is shown.

use super::code;
use crate::words::percent;

/// Places that an address may have, and what stands in them.
pub const PLACES: &str =
    "{number}, {digits}, {dialled}, {call}, {queue}, {agent}, {customer}, {customer:SYSTEM}, {attribute:NAME}";

/// One piece of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Place(Place<'a>),
}

/// What is to be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The customer's number: E.164, else as it came. Not for screens that see numbers masked.
    Number,
    /// The same without the plus.
    Digits,
    Dialled,
    Call,
    Queue,
    Agent,
    /// The id of the customer who was found or chosen, at whatever system.
    Customer,
    /// The same, if it is this system's.
    CustomerOf(&'a str),
    Attribute(&'a str),
}

/// # Errors
/// What is wrong with its word (see [`code`]), and what would be right.
pub fn check(target: &str) -> Result<(), (&'static str, String, &'static str)> {
    if target == "card" {
        return Ok(());
    }
    const WANTED: &str = "card, or an address: https://crm.example.com/customers/{customer}?phone={number}";
    let rest = ["https://", "http://"].iter().find_map(|s| target.strip_prefix(s));
    let rest = rest.ok_or_else(|| {
        (code::NO_TARGET, "this opens neither the card nor an http or https address".to_owned(), WANTED)
    })?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(plain) {
        return Err((
            code::NO_HOST,
            "there is no plain host in this address".to_owned(),
            "a host without user, and no {place} in it",
        ));
    }
    if target.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\')) {
        return Err((
            code::NOT_ENCODED,
            "there are signs in this address that an address cannot have".to_owned(),
            "percent-encoded text",
        ));
    }
    for piece in pieces(target) {
        piece.map_err(|name| (code::NO_PLACE, format!("there is no place {{{name}}}"), PLACES))?;
    }
    Ok(())
}

/// The systems whose customers an address asks for.
pub fn systems(target: &str) -> impl Iterator<Item = &str> {
    pieces(target).filter_map(|piece| match piece {
        Ok(Piece::Place(Place::CustomerOf(system))) => Some(system),
        _ => None,
    })
}

/// The address with its values; `None` for the card, and where a value is missing.
pub fn address<'v>(target: &str, value: impl Fn(Place<'_>) -> Option<std::borrow::Cow<'v, str>>) -> Option<String> {
    if target == "card" {
        return None;
    }
    let mut out = String::with_capacity(target.len() + 32);
    for piece in pieces(target) {
        match piece.ok()? {
            Piece::Text(text) => out.push_str(text),
            Piece::Place(place) => {
                let value = value(place).filter(|v| !v.is_empty())?;
                out.push_str(&percent(&value));
            }
        }
    }
    Some(out)
}

/// An unknown place is given back as its name.
fn pieces(target: &str) -> impl Iterator<Item = Result<Piece<'_>, &str>> {
    let mut rest = Some(target);
    let mut next = None;
    std::iter::from_fn(move || {
        if let Some(place) = next.take() {
            return Some(place);
        }
        let text = rest.take().filter(|t| !t.is_empty())?;
        let Some((before, after)) = text.split_once('{') else {
            return Some(if text.contains('}') { Err("") } else { Ok(Piece::Text(text)) });
        };
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        rest = Some(behind);
        let closed = name.len() < after.len();
        next = Some(place(name).filter(|_| closed).map(Piece::Place).ok_or(name));
        Some(if before.contains('}') { Err("") } else { Ok(Piece::Text(before)) })
    })
}

fn place(name: &str) -> Option<Place<'_>> {
    Some(match name.split_once(':') {
        None => match name {
            "number" => Place::Number,
            "digits" => Place::Digits,
            "dialled" => Place::Dialled,
            "call" => Place::Call,
            "queue" => Place::Queue,
            "agent" => Place::Agent,
            "customer" => Place::Customer,
            _ => return None,
        },
        Some(("customer", system)) if !system.is_empty() => Place::CustomerOf(system),
        Some(("attribute", name)) if !name.is_empty() => Place::Attribute(name),
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_cannot_leave_their_place() {
        let values = |place: Place<'_>| match place {
            Place::Number => Some("+8613800138000".into()),
            Place::CustomerOf("odoo") => Some("7/../8?x=1&y#z é".into()),
            Place::Attribute("ivr.account") => Some(String::new().into()),
            _ => None,
        };
        let url = |target| address(target, values);
        assert_eq!(url("https://a.example/c?p={number}").as_deref(), Some("https://a.example/c?p=%2B8613800138000"));
        assert_eq!(
            url("https://a.example/{customer:odoo}#{number}").as_deref(),
            Some("https://a.example/7%2F..%2F8%3Fx%3D1%26y%23z%20%C3%A9#%2B8613800138000")
        );
        for missing in ["card", "https://a.example/{customer}", "https://a.example/{attribute:ivr.account}"] {
            assert_eq!(url(missing), None, "{missing}");
        }
    }

    #[test]
    fn an_address_is_http_with_a_host_of_its_own_and_places_that_exist() {
        for good in
            ["card", "http://10.0.0.1:8080/x?p={digits}", "https://crm.example.com/{customer}/{call}", "https://[::1]/"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, found) in [
            ("cards", "neither the card"),
            ("javascript:alert(1)", "neither the card"),
            ("https://{number}.example.com/", "no plain host"),
            ("https://user:pw@example.com/", "no plain host"),
            ("https:///x", "no plain host"),
            ("https://a.example/ x", "signs in this address"),
            ("https://a.example/{phone}", "no place {phone}"),
            ("https://a.example/{customer:}", "no place {customer:}"),
            ("https://a.example/x}", "no place"),
            ("https://a.example/{number", "no place {number}"),
        ] {
            let told = check(bad);
            assert!(told.as_ref().is_err_and(|(_, f, _)| f.contains(found)), "{bad}: {told:?}");
        }
    }
}
