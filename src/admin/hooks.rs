//! `/v1/hooks/CONNECTOR`: where business systems say by themselves that something changed. A listener of its own, closed unless the settings open it, for it is the one
//! that strangers reach.
//!
//! An answer of 200 means: it is that system, the event was handed on, and it will be known when it comes again. Only a handshake that its file knows is answered by more. Everything else looks the same from outside (404 without a word): no
//! stranger learns which connectors there are or what of a signature was wrong. What is too much is told to come later.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore, mpsc},
    time::timeout,
};

use crate::{
    connectors::{
        Ask, Connectors, Outcome, Priority, System,
        hook::{self, BODY_CAP, Heard, Said, Verdict},
        index::live::name,
    },
    flows::{answers::live::Post, live::Plans},
    live::now,
    records,
    store::{Batch, CallKey, Store, StoreError},
    watch::{Lookup, Metrics},
    words::{SystemId, TenantId},
};

/// Connections at one time, and how long one may last: a vendor sends a request or two. A flood fills these and nothing else.
const CONNECTIONS: usize = 128;
const LASTS: Duration = Duration::from_secs(60);
/// For the head, and for the body after it.
const READ: Duration = Duration::from_secs(10);
/// Bodies in hand at one time: 16 MiB at most.
const BODIES: usize = 16;
/// For telling somebody what became of a press.
const TELL: Duration = Duration::from_secs(10);
/// Event ids in one file; two files are kept. Vendors try again for hours or days, the busiest sends some thousand events a day.
const IDS: usize = 16_384;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port for `/v1/hooks/CONNECTOR`; absent: nobody listens. TLS is the reverse proxy's.
    pub listen: Option<SocketAddr>,
    /// How vendors reach it: `https://cti.example.com`. Some of them sign the whole address.
    pub public_url: Option<String>,
}

impl Settings {
    /// What cannot be meant: key, what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let url = self.public_url.as_deref().unwrap_or("https://cti.example.com");
        let good = (url.starts_with("https://") || url.starts_with("http://")) && !url.ends_with('/');
        let wanted = "https://host, without a slash at the end";
        if good { Vec::new() } else { vec![("public_url", "this is no web address", wanted)] }
    }
}

/// What the listener stands on.
pub struct Door {
    connectors: Connectors,
    out: mpsc::Sender<Heard>,
    public_url: String,
    metrics: Metrics,
    ids: Mutex<Ids>,
    bodies: Semaphore,
    flows: Option<(Plans, Post, Store)>,
}

impl Door {
    /// What is told may begin flows, and go to those that wait for it: it is on disk before the vendor hears that the event was taken.
    #[must_use]
    pub fn beginning(self, plans: Plans, post: Post, store: Store) -> Self {
        Self { flows: Some((plans, post, store)), ..self }
    }

    /// `out`: whoever keeps what the systems say has changed; full, it is told to vendors. `folder`: where event ids are remembered.
    #[must_use]
    pub fn new(
        connectors: Connectors,
        settings: &Settings,
        folder: PathBuf,
        out: mpsc::Sender<Heard>,
        metrics: Metrics,
    ) -> Self {
        let public_url = settings.public_url.clone().unwrap_or_default();
        let ids = Mutex::new(Ids { folder, seen: HashMap::new() });
        Self { connectors, out, public_url, metrics, ids, bodies: Semaphore::new(BODIES), flows: None }
    }

    async fn answer(&self, request: Request<Incoming>) -> (StatusCode, Option<Said>) {
        let path = request.uri().path();
        let system = path.strip_prefix("/v1/hooks/").filter(|_| [Method::POST, Method::GET].contains(request.method()));
        let system = system.map(SystemId::from).and_then(|id| self.connectors.hooked(&id));
        let label = system.as_ref().map_or("none", |system| system.id.as_str()).to_owned();
        let (status, outcome, said) = match self.taken(system.as_deref(), request).await {
            Ok((outcome, said)) => (StatusCode::OK, outcome, said),
            Err((status, outcome)) => (status, outcome, None),
        };
        self.metrics.webhooks.get_or_create(&Lookup { system: label, outcome: outcome.to_owned() }).inc();
        (status, said)
    }

    /// Flows that begin with this event are durable, and so are answers; one that began with it before is not begun again.
    async fn begin(
        &self,
        system: &SystemId,
        named: &[u8; 32],
        event: &serde_json::Value,
        answers: &[hook::Answer],
    ) -> Result<(), StoreError> {
        let Some((plans, post, store)) = &self.flows else { return Ok(()) };
        let named = name_of(named);
        let (tenant, at) = (TenantId::default(), now().wall);
        let starter = plans.starter();
        let mut calls = BTreeMap::new();
        for call in starter.about(system, event) {
            let history = store.history(CallKey { tenant: tenant.clone(), call }).await?;
            calls.extend(records::known(&history).map(|record| (call, record)));
        }
        let flows = starter.told(&tenant, (system, &named, event), &calls, at);
        if !flows.is_empty() {
            store.submit(Batch { flows, ..Batch::default() }).await?;
        }
        let holds = starter.plans().iter().any(|plan| plan.hears(system));
        post.arrive(&tenant, system, &named, answers, holds, at).await
    }

    /// A button of an approval's card; gives what is answered. Where the vendor shows no answer, and the file can, who pressed is told by a message.
    async fn pressed(
        &self,
        system: &System,
        named: &[u8; 32],
        pressed: &hook::Decision,
        event: &serde_json::Value,
    ) -> Result<Option<Said>, StoreError> {
        let Some((plans, post, _)) = &self.flows else { return Ok(None) };
        let (named, tenant) = (name_of(named), TenantId::default());
        let decided = post.decide(plans, &tenant, &system.id, &named, pressed, now().wall).await?;
        let said = hook::reply(system, pressed, event, &decided);
        if said.is_none() && system.offers_tell() {
            let inputs = serde_json::json!({"call": named, "key": named, "to": pressed.who, "text": decided.message});
            let ask = Ask {
                tenant,
                system: system.id.clone(),
                operation: "approval.tell".to_owned(),
                inputs: inputs.as_object().cloned().unwrap_or_default(),
                deadline: TELL,
                priority: Priority::Background,
            };
            // The vendor waits for our 200 some seconds only.
            let connectors = self.connectors.clone();
            tokio::spawn(async move {
                if !matches!(connectors.run(ask).await, Outcome::Ok(_)) {
                    tracing::info!("who pressed a button could not be told what became of it");
                }
            });
        }
        Ok(said)
    }

    /// # Errors
    /// What is answered, and the word for our own figures.
    async fn taken(
        &self,
        system: Option<&System>,
        request: Request<Incoming>,
    ) -> Result<(&'static str, Option<Said>), (StatusCode, &'static str)> {
        let later = (StatusCode::SERVICE_UNAVAILABLE, "later");
        let _body = self.bodies.try_acquire().map_err(|_| later)?;
        let (head, body) = request.into_parts();
        // Read for a stranger too, so that what is there answers as fast as what is not.
        let body = timeout(READ, Limited::new(body, BODY_CAP).collect()).await;
        let Ok(Ok(body)) = body else { return Err((StatusCode::NOT_FOUND, "broken-off")) };
        let Some(system) = system else { return Err((StatusCode::NOT_FOUND, "unknown")) };
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let url = match self.public_url.as_str() {
            "" => {
                let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                format!("https://{host}{target}")
            }
            public => format!("{public}{target}"),
        };
        let headers = head.headers.iter();
        let headers: Vec<(String, String)> = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let body = body.to_bytes();
        let came = hook::Request { method: head.method.as_str(), url: &url, headers: &headers, body: &body };
        let (id, heard, event, answers, decision) = match hook::judge(system, &came, now().wall) {
            Verdict::Refused(why) => {
                tracing::debug!(system = %system.id, why, "a webhook was refused");
                return Err((StatusCode::NOT_FOUND, "refused"));
            }
            Verdict::Handshake(said) => return Ok(("handshake", Some(said))),
            Verdict::Accepted { id, heard, event, answers, decision } => (id, heard, event, answers, decision),
        };
        // One after the other: the same event twice at one time is one event.
        let mut ids = self.ids.lock().await;
        if let Some(id) = &id
            && ids.of(&system.id).has(id)
        {
            return Ok(("again", None));
        }
        // Before anything is written down: what is done is not answered by "later".
        let place = self.out.try_reserve().map_err(|_| later)?;
        let named = id.unwrap_or_else(|| Sha256::digest(&body).into());
        self.begin(&system.id, &named, event.expose(), &answers).await.map_err(|error| {
            tracing::warn!(system = %system.id, %error, "flows could not be told of an event; its sender is told to come again");
            later
        })?;
        let said = match &decision {
            None => None,
            Some(pressed) => self.pressed(system, &named, pressed, event.expose()).await.map_err(|error| {
                tracing::warn!(system = %system.id, %error, "a press could not be written down; its sender is told to come again");
                later
            })?,
        };
        place.send(heard);
        if let Some(id) = id
            && let Err(error) = ids.remember(&system.id, id)
        {
            tracing::error!(system = %system.id, %error, "a webhook's id cannot be remembered; it may be taken twice");
        }
        Ok(("accepted", said))
    }
}

/// An event's name as text.
fn name_of(named: &[u8; 32]) -> String {
    named.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Serves until `stop` completes.
pub async fn serve(listener: TcpListener, door: Arc<Door>, stop: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let place = connections.clone().acquire_owned();
        let (socket, place) = tokio::select! {
            () = &mut stop => return,
            accepted = async { (place.await, listener.accept().await) } => match accepted {
                (Ok(place), Ok((socket, _))) => (socket, place),
                // No file handle is left, or the peer went at once: a moment later there may be one.
                _ => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let door = door.clone();
        tokio::spawn(async move {
            let _place = place;
            let answer = service_fn(move |request| {
                let door = door.clone();
                async move {
                    let (status, said) = door.answer(request).await;
                    let kind = said.as_ref().map(|said| said.content_type());
                    let body = said.map(|said| Bytes::from(said.text)).unwrap_or_default();
                    let mut answer = Response::new(Full::<Bytes>::new(body));
                    *answer.status_mut() = status;
                    if let Some(kind) = kind {
                        let set = [(header::CONTENT_TYPE, kind), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
                        let headers = answer.headers_mut();
                        headers.extend(set.map(|(name, value)| (name, header::HeaderValue::from_static(value))));
                    }
                    if status == StatusCode::SERVICE_UNAVAILABLE {
                        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(READ).max_buf_size(64 * 1024);
            let _ = timeout(LASTS, http.serve_connection(TokioIo::new(socket), answer)).await;
        });
    }
}

/// Events that were taken, of each system.
struct Ids {
    folder: PathBuf,
    seen: HashMap<SystemId, Seen>,
}

#[derive(Default)]
struct Seen {
    now: HashSet<[u8; 32]>,
    before: HashSet<[u8; 32]>,
}

impl Seen {
    fn has(&self, id: &[u8; 32]) -> bool {
        self.now.contains(id) || self.before.contains(id)
    }
}

impl Ids {
    fn path(&self, system: &SystemId, which: &str) -> PathBuf {
        self.folder.join(format!("{}.{which}", name(system)))
    }

    fn of(&mut self, system: &SystemId) -> &Seen {
        if !self.seen.contains_key(system) {
            // A torn last id is none.
            let read = |which: &str| {
                let bytes = fs::read(self.path(system, which)).unwrap_or_default();
                bytes.chunks_exact(32).filter_map(|id| id.try_into().ok()).take(IDS).collect()
            };
            let seen = Seen { now: read("ids"), before: read("before") };
            self.seen.insert(system.clone(), seen);
        }
        &self.seen[system]
    }

    /// On the disk before the vendor is told. A few hundred microseconds, behind which other events wait; what does that thousands of times a second is no business system.
    fn remember(&mut self, system: &SystemId, id: [u8; 32]) -> io::Result<()> {
        let (path, before) = (self.path(system, "ids"), self.path(system, "before"));
        self.of(system);
        let Some(seen) = self.seen.get_mut(system) else { return Ok(()) };
        if seen.now.len() >= IDS {
            seen.before = std::mem::take(&mut seen.now);
            fs::rename(&path, before)?;
        }
        seen.now.insert(id);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        file.write_all(&id)?;
        file.sync_data()
    }
}
