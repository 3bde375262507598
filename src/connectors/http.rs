//! One HTTP exchange. Redirects are not followed, only the file's hosts are asked, no more than 1 MiB is read.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{Client, Url, header::HeaderMap};

use crate::words::certificate::Ends;

use super::{
    file::Method,
    run::{Payload, Response, Trouble, WebRequest},
    session::below,
    set::Web,
};

const BODY_CAP: usize = 1024 * 1024;
/// A system that does not take a connection within this is not there; the rest of the deadline is not spent on it.
const CONNECT: Duration = Duration::from_secs(3);

/// Connections to one system.
#[derive(Clone)]
pub struct Http {
    client: Client,
    name: String,
    /// `host:port` that may be asked.
    allowed: Vec<String>,
    /// What a session may lead to besides.
    led: Vec<String>,
    /// When the system's certificate ends.
    pub ends: Ends,
}

impl Http {
    /// # Errors
    /// A fragment that names what of the file cannot be used: the base URL, the PEM file.
    pub fn new(name: &str, web: &Web) -> Result<Self, String> {
        let base = Url::parse(&web.base_url).map_err(|_| "base_url is no web address".to_owned())?;
        let mut allowed = vec![authority(&base)];
        for host in &web.hosts {
            let url =
                Url::parse(&format!("{}://{host}", base.scheme())).map_err(|_| format!("\"{host}\" is no host"))?;
            allowed.push(authority(&url));
        }
        // Whom the file names may be anywhere; where an answer leads, below a suffix, is the Internet.
        let mut named: Vec<String> = allowed.iter().chain(&web.led).map(|host| name_of(host)).collect();
        named.retain(|host| !host.is_empty());
        let private = move |host: &str| named.iter().any(|named| named == host);
        let client = crate::live::http_client_guarded(web.tls_ca.as_deref().map(Path::new), CONNECT, true, private)?;
        Ok(Self { client, name: name.to_owned(), allowed, led: web.led.clone(), ends: Ends::default() })
    }

    /// Sends and waits, at most until `deadline`.
    pub async fn send(&self, request: WebRequest, deadline: Instant) -> Result<Response, Trouble> {
        let name = &self.name;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Trouble::NotSent(format!("no time was left to ask {name}")));
        }
        let not_sent = |why: &str| Trouble::NotSent(format!("{name} was not asked: {why}"));
        let url = Url::parse(&request.url).map_err(|_| not_sent("the address is no address"))?;
        let named = authority(&url);
        let bare = named.strip_suffix(if url.scheme() == "https" { ":443" } else { ":80" }).unwrap_or(&named);
        if !self.allowed.contains(&named) && !below(bare, &self.led) {
            return Err(not_sent("its file does not allow this host"));
        }
        let mut headers = HeaderMap::new();
        for (key, value) in &request.headers {
            let key = reqwest::header::HeaderName::from_bytes(key.as_bytes())
                .map_err(|_| not_sent("a header has no name"))?;
            let value = reqwest::header::HeaderValue::from_str(value).map_err(|_| not_sent("a header is no header"))?;
            headers.append(key, value);
        }
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client.request(method, url).headers(headers).timeout(left);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let trouble = |error: reqwest::Error| {
            if error.is_connect() || error.is_builder() {
                Trouble::NotSent(format!("{name} cannot be reached{}", why(&error)))
            } else if error.is_timeout() {
                Trouble::NoAnswer(format!("{name} did not answer within {} ms", left.as_millis()))
            } else {
                Trouble::NoAnswer(format!("{name} broke off without a whole answer"))
            }
        };
        let mut answer = builder.send().await.map_err(trouble)?;
        let shown = answer.extensions().get::<reqwest::tls::TlsInfo>();
        if let Some(certificate) = shown.and_then(reqwest::tls::TlsInfo::peer_certificate) {
            self.ends.saw(certificate);
        }
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(k, v)| (k.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(trouble)? {
            if body.len() + part.len() > BODY_CAP {
                return Err(Trouble::Unusable(format!("{name}'s answer is larger than {BODY_CAP} bytes")));
            }
            body.extend_from_slice(&part);
        }
        Ok(Response { status, headers, body: Payload::Bytes(body) })
    }
}

/// What lies at the bottom of an error of the connection: refused, no such name, a certificate that is not believed. The address is in none of it.
fn why(error: &reqwest::Error) -> String {
    let first = std::error::Error::source(error);
    let last = std::iter::successors(first, |error| error.source()).last();
    last.map_or_else(String::new, |error| format!(": {error}"))
}

fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Without its port; nothing of a suffix.
fn name_of(authority: &str) -> String {
    authority.split(':').next().filter(|host| !host.starts_with('.')).unwrap_or_default().to_ascii_lowercase()
}
