//! ARI in the world: the WebSocket and the REST requests beside it. The password goes in the `Authorization` header, never into a URL.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest as _,
        error::{CapacityError, ProtocolError},
        http::{HeaderValue, header::AUTHORIZATION},
        protocol::WebSocketConfig,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::command::Command,
    private::Secret,
    switches::{
        Heard, Tls,
        attributes::web_address,
        link::{self, Reason},
        live::{Outlet, Stream, clock, connect, next, sleep_until, trust},
    },
    words::certificate::Ends,
};

use super::{
    session_ari::{Method, Output, Request, Session, What, version},
    settings::{Ari, Settings},
};

/// A REST answer that is larger is refused: 20,000 channels are about 10 MB.
const BODY_CAP: usize = 16 * 1024 * 1024;
/// Longest WebSocket message; events end at 64 KiB by the wire's own cap.
const MESSAGE_CAP: usize = 1024 * 1024;

/// Keeps the ARI link until `stop`.
pub(super) async fn keep(
    settings: Arc<Settings>,
    ari: &Ari,
    mut outlet: Outlet,
    mut commands: Option<mpsc::Receiver<Command>>,
    stop: CancellationToken,
) {
    let mut attempt = 0;
    let ends = outlet.certificate();
    while !stop.is_cancelled() {
        let began = clock();
        let opened = outlet.meanwhile(open(ari, &ends), &mut commands, &stop).await;
        let reason = match opened {
            Ok(Ok((socket, rest))) => {
                let session = Session::new(settings.clone(), ari, clock());
                serve(socket, rest, session, &mut outlet, &mut commands, &stop).await
            }
            Ok(Err(reason)) | Err(reason) => reason,
        };
        outlet.ended(&reason, began, &mut attempt);
        outlet
            .rest(link::backoff_ms(attempt, reason.needs_a_person(), crate::live::dice()), &mut commands, &stop)
            .await;
        attempt = attempt.saturating_add(1);
    }
}

/// Status and body; `None` if no whole answer came.
type Answer = (What, Option<(u16, Vec<u8>)>);

type Socket = WebSocketStream<Box<dyn Stream>>;

async fn open(ari: &Ari, ends: &Ends) -> Result<(Socket, Rest), Reason> {
    let rest = Rest::new(ari).await?;
    let bad = || Reason::Settings("the url of ari is no address".to_owned());
    let (secure, base) = web_address(&ari.url).ok_or_else(bad)?;
    let ws = base.replacen("http", "ws", 1);
    let mut request =
        format!("{ws}/ari/events?app={}&subscribeAll=true", ari.app).into_client_request().map_err(|_| bad())?;
    request.headers_mut().insert(AUTHORIZATION, rest.authorization.clone());
    let host = request.uri().host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
    let port = request.uri().port_u16().unwrap_or(if secure { 443 } else { 80 });
    let own = Tls::default();
    let tls = secure.then(|| ari.tls.as_ref().unwrap_or(&own));
    let stream = connect(&host, port, tls, ends).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(MESSAGE_CAP))
        .max_frame_size(Some(MESSAGE_CAP));
    let handshake = client_async_with_config(request, stream, Some(config));
    match timeout(Duration::from_millis(link::CONNECT_MS), handshake).await {
        Ok(Ok((socket, _))) => Ok((socket, rest)),
        Ok(Err(WsError::Http(answer))) => Err(match answer.status().as_u16() {
            401 | 403 => Reason::AuthenticationFailed,
            status => Reason::Refused { status, path: "/events" },
        }),
        Ok(Err(_)) => Err(Reason::NotSpoken("ARI")),
        Err(_) => Err(Reason::Silent),
    }
}

async fn serve(
    mut socket: Socket,
    rest: Rest,
    mut session: Session,
    outlet: &mut Outlet,
    commands: &mut Option<mpsc::Receiver<Command>>,
    stop: &CancellationToken,
) -> Reason {
    // At most a handful at a time: a snapshot is two, and dials come at a person's pace.
    let mut asked: FuturesUnordered<LocalBoxFuture<'_, Answer>> = FuturesUnordered::new();
    loop {
        let until = loop {
            match session.poll(clock()) {
                Output::Ping => {
                    // A peer that takes no ping is seen by its silence; the send must not hold the reader up.
                    let sent = socket.send(Message::Ping(Vec::new().into())).now_or_never();
                    if matches!(sent, Some(Err(_))) {
                        session.closed(Reason::Closed);
                    }
                }
                Output::Request(request) => asked.push(rest.ask(request).boxed_local()),
                Output::Events(events) => outlet.events(events),
                Output::Up { version } => outlet.up(version),
                Output::Answered { request, result } => outlet.must(Heard::Answered { request, result }),
                Output::Note(text) => tracing::warn!(switch = %outlet.switch, feed = "ari", "{text}"),
                Output::Failed(reason) => return reason,
                Output::Wait(until) => break until,
            }
        };
        tokio::select! {
            message = socket.next() => {
                take(&mut session, message);
                // All that is there already goes in one batch.
                for _ in 0..256 {
                    match socket.next().now_or_never() {
                        Some(message) => take(&mut session, message),
                        None => break,
                    }
                }
            }
            Some((what, answer)) = asked.next(), if !asked.is_empty() => {
                session.answered(clock(), what, answer.as_ref().map(|(status, body)| (*status, body.as_slice())));
            }
            () = sleep_until(until) => {}
            Some(command) = next(commands) => session.command(clock(), &command),
            resync = outlet.room(), if outlet.owes() => if resync { session.resync(clock()) },
            () = stop.cancelled() => {
                let _ = timeout(Duration::from_millis(200), socket.close(None)).await;
                return Reason::Stopped;
            }
        }
    }
}

fn take(session: &mut Session, message: Option<Result<Message, WsError>>) {
    match message {
        Some(Ok(Message::Text(text))) => session.text(clock(), text.as_str()),
        Some(Ok(Message::Binary(_))) => session.closed(Reason::Junk("binary")),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => session.alive(clock()),
        // An Asterisk that stops or is killed says no goodbye on its WebSockets (22.10.1, scenario p).
        Some(Ok(Message::Close(_)) | Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
            session.closed(Reason::Closed);
        }
        Some(Err(WsError::Capacity(CapacityError::MessageTooLong { .. }))) => {
            session.closed(Reason::Junk("longer than 1 MiB"))
        }
        Some(Err(WsError::Utf8(_))) => session.closed(Reason::Junk("no UTF-8")),
        Some(Err(WsError::Protocol(_) | WsError::Capacity(_))) => session.closed(Reason::Junk("no WebSocket frame")),
        Some(Err(_)) => session.closed(Reason::Closed),
    }
}

/// The REST half of one link.
struct Rest {
    client: reqwest::Client,
    base: String,
    authorization: HeaderValue,
}

impl Rest {
    async fn new(ari: &Ari) -> Result<Self, Reason> {
        let secret = ari.secret.resolve().map_err(Reason::Settings)?;
        let bad = || Reason::Settings("the url of ari is no address".to_owned());
        let (secure, mut base) = web_address(&ari.url).ok_or_else(bad)?;
        // reqwest wants a provider even where it has no TLS to do; a second installation is refused, and that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = Tls::default();
        let tls = ari.tls.as_ref().unwrap_or(&own);
        let at = base.clone();
        let failed = |why: String| Reason::Tls { at, why };
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(link::CONNECT_MS))
            .timeout(Duration::from_millis(link::LIST_MS));
        if secure {
            client = client.tls_backend_preconfigured(trust(tls).map_err(failed)?);
        }
        if let Some(name) = tls.server_name.as_ref().filter(|_| secure) {
            // The certificate is another name's than the address: the request goes by that name, to this address.
            let mut url = reqwest::Url::parse(&base).map_err(|_| bad())?;
            let host = url.host_str().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
            let at = (host.as_str(), url.port_or_known_default().unwrap_or(443));
            let found = tokio::net::lookup_host(at).await;
            let unreachable = |why: String| Reason::Unreachable { at: ari.url.clone(), why };
            let found: Vec<_> = found.map_err(|e| unreachable(e.to_string()))?.collect();
            client = client.resolve_to_addrs(name, &found);
            let no_name = || Reason::Settings("the server_name of ari is a host's name, and no address".to_owned());
            if name.parse::<std::net::IpAddr>().is_ok() {
                return Err(no_name());
            }
            url.set_host(Some(name)).map_err(|_| no_name())?;
            base = url.as_str().trim_end_matches('/').to_owned();
        }
        let client = client.build().map_err(|e| Reason::Settings(e.to_string()))?;
        Ok(Self { client, base, authorization: authorization(&ari.user, &secret) })
    }

    /// One request; `None` if no whole answer came.
    async fn ask(&self, request: Request) -> Answer {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let query = request
            .query
            .iter()
            .map(|(key, value)| format!("{key}={}", crate::words::percent(value)))
            .collect::<Vec<_>>()
            .join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        let mut ask = self
            .client
            .request(method, format!("{}/ari{}{mark}{query}", self.base, request.path))
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = request.body {
            ask = ask.header("content-type", "application/json").body(body);
        }
        let answer = async {
            let mut answer = ask.send().await.ok()?;
            let status = answer.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.ok()? {
                if body.len() + chunk.len() > BODY_CAP {
                    return None;
                }
                body.extend_from_slice(&chunk);
            }
            Some((status, body))
        };
        (request.what, answer.await)
    }
}

fn authorization(user: &str, secret: &Secret) -> HeaderValue {
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", secret.expose())));
    let mut value = HeaderValue::from_str(&text).expect("base64 is ASCII without controls");
    value.set_sensitive(true);
    value
}

/// Who answers, and what the account may do there.
pub(super) async fn probe(ari: &Ari) -> Result<Vec<String>, Reason> {
    let rest = Rest::new(ari).await?;
    let request =
        |what, method, path: &str| Request { what, method, path: path.to_owned(), query: Vec::new(), body: None };
    let info = rest.ask(request(What::Info, Method::Get, "/asterisk/info")).await.1;
    let found = match info {
        Some((200..=299, body)) => version(&body).ok_or(Reason::NotSpoken("ARI"))?,
        Some((401 | 403, _)) => return Err(Reason::AuthenticationFailed),
        Some((status, _)) => return Err(Reason::Refused { status, path: "/asterisk/info" }),
        None => return Err(Reason::Unreachable { at: ari.url.clone(), why: "no answer".to_owned() }),
    };
    // An application that does not exist: 404 for who may write, 403 for who may only read. Nothing is changed.
    let mut write = request(What::Filter, Method::Put, "/applications/linecard-probe-of-nothing/eventFilter");
    write.body = Some("{}".to_owned());
    let may_write = !matches!(rest.ask(write).await.1, Some((401 | 403, _)));
    let may = if may_write {
        "may read and write"
    } else {
        "may only read (no narrowing of events, no click-to-dial by ARI)"
    };
    Ok(vec![format!("ARI: Asterisk {found}, logged in as {:?}: {may}", ari.user)])
}
