//! Recordings that a switch's own web server gives out. The range is passed on; status, size and range of the answer are held against what was asked,
//! and none of its headers goes any further.

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, header};

use crate::{live::http_client, private::Secret, words::percent};

use super::{
    Place,
    range::{self, Span, Wanted},
    wire::Body,
};

const CONNECT: Duration = Duration::from_secs(5);
/// From the question to the head of the answer.
const HEAD: Duration = Duration::from_secs(15);

pub struct Http {
    client: Client,
    base: String,
    user: Option<(String, Secret)>,
}

/// Why there are no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server says that there is no such recording.
    Missing,
    /// It cannot be reached, or does not answer in time.
    Away,
    /// It answers what is no recording: another status, no size, another range than asked for.
    Odd,
}

impl Http {
    /// # Errors
    /// What of the place cannot be used: the certificates, the password.
    pub fn new(place: &Place, base: &str) -> Result<Self, String> {
        let client = http_client(place.tls_ca.as_deref(), CONNECT)?;
        let user = match (&place.user, &place.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.resolve()?)),
            _ => None,
        };
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), user })
    }

    /// Asks for a recording, or with `head` only how large it is.
    ///
    /// # Errors
    /// There is nothing to pass on.
    pub async fn ask(&self, steps: &[String], head: bool, range: Option<Wanted>) -> Result<(Body, Response), Trouble> {
        let method = if head { Method::HEAD } else { Method::GET };
        let mut request = self.client.request(method, self.address(steps)).header(header::ACCEPT_ENCODING, "identity");
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password.expose()));
        }
        if let Some(range) = &range {
            request = request.header(header::RANGE, range.to_string());
        }
        // Errors have the address in them, and the address has the name.
        let answer = tokio::time::timeout(HEAD, request.send()).await.map_err(|_| Trouble::Away)?;
        let answer = answer.map_err(|_| Trouble::Away)?;
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(Trouble::Odd);
        }
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let body = judge(answer.status(), range, length, text(header::CONTENT_RANGE))?;
        Ok((body, answer))
    }

    fn address(&self, steps: &[String]) -> String {
        steps.iter().fold(self.base.clone(), |address, step| format!("{address}/{}", percent(step)))
    }
}

/// Whether the head of an answer fits the question, and what it brings.
fn judge(status: StatusCode, asked: Option<Wanted>, length: Option<u64>, told: Option<&str>) -> Result<Body, Trouble> {
    match status {
        // A server may ignore a range.
        StatusCode::OK => Ok(Body { span: Span::Whole, size: length.ok_or(Trouble::Odd)? }),
        StatusCode::PARTIAL_CONTENT => {
            let (first, last, size) = told.and_then(range::told).ok_or(Trouble::Odd)?;
            let body = Body { span: Span::Part(first, last), size };
            let fits = asked.is_some_and(|asked| asked.of(size) == body.span);
            let whole = length.is_none_or(|length| length == body.bytes().1);
            if fits && whole { Ok(body) } else { Err(Trouble::Odd) }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let size = told.and_then(range::told_size).ok_or(Trouble::Odd)?;
            let fits = asked.is_some_and(|asked| asked.of(size) == Span::Nothing);
            if fits { Ok(Body { span: Span::Nothing, size }) } else { Err(Trouble::Odd) }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Trouble::Missing),
        _ => Err(Trouble::Odd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_held_against_the_question() {
        let asked = Some(Wanted::From(5, Some(9)));
        let body = |span, size| Ok(Body { span, size });
        assert_eq!(judge(StatusCode::OK, asked, Some(100), None), body(Span::Whole, 100));
        assert_eq!(judge(StatusCode::OK, None, None, None), Err(Trouble::Odd), "no size");
        let part = |told, length| judge(StatusCode::PARTIAL_CONTENT, asked, length, Some(told));
        assert_eq!(part("bytes 5-9/100", Some(5)), body(Span::Part(5, 9), 100));
        assert_eq!(part("bytes 5-9/100", None), body(Span::Part(5, 9), 100));
        for (told, length) in [("bytes 0-9/100", None), ("bytes 5-9/100", Some(6)), ("bytes 5-9/*", None), ("", None)] {
            assert_eq!(part(told, length), Err(Trouble::Odd), "{told}");
        }
        assert_eq!(judge(StatusCode::PARTIAL_CONTENT, None, Some(5), Some("bytes 5-9/100")), Err(Trouble::Odd));
        let none = StatusCode::RANGE_NOT_SATISFIABLE;
        assert_eq!(judge(none, asked, None, Some("bytes */3")), body(Span::Nothing, 3));
        assert_eq!(judge(none, asked, None, Some("bytes */100")), Err(Trouble::Odd));
        for (status, trouble) in
            [(404, Trouble::Missing), (410, Trouble::Missing), (302, Trouble::Odd), (401, Trouble::Odd)]
        {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap(), asked, Some(5), None), Err(trouble));
        }
    }
}
