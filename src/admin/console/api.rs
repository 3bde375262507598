//! One line for each request that the console's HTTP takes: method, path, who may, what goes in, what comes out. The router and the OpenAPI document are made of
//! the same lines, so they cannot tell two things. Types are described by schemars, like every file and frame of this house.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Json, Response},
    routing::{MethodFilter, on},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    access::{Right, Session},
    files::Problem,
    words::{
        CallId,
        refusal::{Refusal, code},
    },
};

/// Bytes that a body may have: a table of some ten thousand rows.
const LARGEST: usize = 8 * 1024 * 1024;

/// What one request brought.
#[derive(Debug)]
pub struct Ask<Q, B> {
    pub who: Arc<Session>,
    /// What stands in the places `{...}` of the path.
    pub path: HashMap<String, String>,
    pub query: Q,
    pub body: B,
}

impl<Q, B> Ask<Q, B> {
    #[must_use]
    pub fn place(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }
}

/// Nothing goes in here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Nothing {}

/// What a request that is not done answers.
#[derive(Debug)]
pub enum Trouble {
    /// 400: the question cannot be meant; what would be right.
    Wrong(Refusal),
    /// 404.
    Missing(Refusal),
    /// 409: somebody was here before, or it is in a state in which this cannot be done.
    Late(Refusal),
    /// 422: settings that cannot be taken.
    Unfit(Vec<Problem>),
    /// 503: the disk or another part is not there now.
    Away(Refusal),
}

/// The body of every answer that is none of 2xx.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Told {
    /// A sentence: what was wrong and what would be right.
    pub error: String,
    /// A word for it that stays, for whoever says it in another language.
    #[schemars(extend("enum" = code::ALL))]
    pub code: &'static str,
    /// What stands in the sentence, by name.
    pub values: BTreeMap<&'static str, String>,
    /// What is wrong with settings, each at its place; else none.
    pub problems: Vec<Problem>,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, why, problems) = match self {
            Self::Wrong(why) => (StatusCode::BAD_REQUEST, why, Vec::new()),
            Self::Missing(why) => (StatusCode::NOT_FOUND, why, Vec::new()),
            Self::Late(why) => (StatusCode::CONFLICT, why, Vec::new()),
            Self::Unfit(problems) => {
                let why = Refusal::new(code::UNFIT, "the settings would not be right");
                (StatusCode::UNPROCESSABLE_ENTITY, why, problems)
            }
            Self::Away(why) => (StatusCode::SERVICE_UNAVAILABLE, why, Vec::new()),
        };
        told(status, why, problems)
    }
}

impl Trouble {
    /// The thread that did it is gone.
    pub(super) fn ended<E>(_: E) -> Self {
        Self::Away(Refusal::new(code::ENDED, "it ended by itself; the log says more"))
    }

    pub(super) fn unread(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Away(Refusal::new(code::UNREAD, format!("{what} could not be read: {why}")).with("why", why))
    }

    pub(super) fn too_long(name: &str, most: usize) -> Self {
        let says = format!("{name}: {most} characters at most");
        Self::Wrong(Refusal::new(code::TOO_LONG, says).with("name", name).with("most", most))
    }

    pub(super) fn too_many(name: &str, says: String, most: usize) -> Self {
        Self::Wrong(Refusal::new(code::TOO_MANY, says).with("name", name).with("most", most))
    }
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

fn told(status: StatusCode, why: Refusal, problems: Vec<Problem>) -> Response {
    let Refusal { code, says, values } = why;
    (status, [NO_STORE], Json(Told { error: says, code, values, problems })).into_response()
}

/// A short answer that is none of 2xx.
#[must_use]
pub fn refused(status: StatusCode, why: Refusal) -> Response {
    told(status, why, Vec::new())
}

/// Who asks, and whether he may: asked before anything of the request is read. `Err` is the answer.
pub trait Doorkeeper: Send + Sync + 'static {
    /// `writes`: it changes something, so it must come from our own page or from a program.
    ///
    /// # Errors
    /// The answer that he gets instead.
    fn admit(&self, headers: &HeaderMap, right: Right, writes: bool) -> Result<Arc<Session>, Box<Response>>;
}

/// Lines, and what became of them.
pub struct Api<S> {
    router: Router<Arc<S>>,
    paths: Map<String, Value>,
    generator: SchemaGenerator,
}

/// How a line is done.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// In the document; one sentence.
    pub says: &'static str,
    pub right: Right,
}

impl<S: Doorkeeper> Default for Api<S> {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { router: Router::new(), paths: Map::new(), generator: settings.into_generator() }
    }
}

impl<S: Doorkeeper> Api<S> {
    /// A question; nothing is changed by it.
    #[must_use]
    pub fn get<Q, A, F, W>(self, path: &'static str, line: Line, work: W) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema,
        W: Fn(Arc<S>, Ask<Q, Nothing>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<A, Trouble>> + Send + 'static,
    {
        self.line::<Q, Nothing, A, F, W>(MethodFilter::GET, path, line, work)
    }

    /// Something is done.
    #[must_use]
    pub fn post<B, A, F, W>(self, path: &'static str, line: Line, work: W) -> Self
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema,
        W: Fn(Arc<S>, Ask<Nothing, B>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<A, Trouble>> + Send + 'static,
    {
        self.line::<Nothing, B, A, F, W>(MethodFilter::POST, path, line, work)
    }

    fn line<Q, B, A, F, W>(mut self, method: MethodFilter, path: &'static str, line: Line, work: W) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema,
        W: Fn(Arc<S>, Ask<Q, B>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<A, Trouble>> + Send + 'static,
    {
        let writes = method == MethodFilter::POST;
        self.describe::<Q, B, A>(path, line, writes);
        let handler = move |State(state): State<Arc<S>>,
                            Path(places): Path<HashMap<String, String>>,
                            RawQuery(query): RawQuery,
                            headers: HeaderMap,
                            request: Request| async move {
            let who = match state.admit(&headers, line.right, writes) {
                Ok(who) => who,
                Err(answer) => return *answer,
            };
            let asked = async {
                let query = read_query(query.as_deref().unwrap_or_default())?;
                let body = if writes { read_body(&headers, request).await? } else { read_body_of(b"{}")? };
                work(state, Ask { who, path: places, query, body }).await
            };
            match asked.await {
                Ok(answer) => ([NO_STORE], Json(answer)).into_response(),
                Err(trouble) => trouble.into_response(),
            }
        };
        self.router = self.router.route(path, on(method, handler));
        self
    }

    /// What is no JSON, or asks nobody who he is: the router alone. `text` is what the document says of it.
    #[must_use]
    pub fn other(mut self, path: &'static str, route: axum::routing::MethodRouter<Arc<S>>, text: Value) -> Self {
        self.router = self.router.route(path, route);
        let entry = self.paths.entry(path).or_insert_with(|| json!({}));
        if let (Some(entry), Value::Object(text)) = (entry.as_object_mut(), text) {
            entry.extend(text);
        }
        self
    }

    /// The schema of a type, for a line of [`Api::other`].
    pub fn schema<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// What may stand in a query, one parameter for each field.
    pub fn parameters<Q: JsonSchema>(&mut self) -> Vec<Value> {
        let query = Q::json_schema(&mut self.generator).to_value();
        let needed = |name: &str| query["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let one = |(name, schema): (&String, &Value)| {
            let mut schema = schema.clone();
            let says = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({"name": name, "in": "query", "required": needed(name), "schema": schema, "description": says.unwrap_or_else(|| "".into())})
        };
        query["properties"].as_object().into_iter().flatten().map(one).collect()
    }

    /// What stands in a place of a path.
    fn place(&mut self, name: &str) -> Value {
        match name {
            "call" => self.schema::<CallId>(),
            "task" => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            _ => json!({"type": "string", "minLength": 1}),
        }
    }

    fn describe<Q: JsonSchema, B: JsonSchema, A: JsonSchema>(&mut self, path: &'static str, line: Line, writes: bool) {
        let places = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> = places
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": self.place(name)}))
            .collect();
        parameters.extend(self.parameters::<Q>());
        let told = self.schema::<Told>();
        let told = |says: &str| json!({"description": says, "content": {"application/json": {"schema": told}}});
        let answer = self.schema::<A>();
        let mut operation = json!({
            "summary": line.says,
            "operationId": format!("{}{}", if writes { "post" } else { "get" }, path.replace(['/', '{', '}', '-'], "_")),
            "x-right": line.right,
            "parameters": parameters,
            "responses": {
                "200": {"description": "it is so", "content": {"application/json": {"schema": answer}}},
                "400": told("the question cannot be meant"),
                "401": told("nobody is signed in"),
                "403": told("whoever is signed in may not"),
                "404": told("there is no such thing"),
                "409": told("somebody was here before, or it cannot be done now"),
                "503": told("a part is away"),
            },
        });
        if writes {
            let body = self.schema::<B>();
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": body}}});
            operation["responses"]["422"] = told("the settings would not be right");
        }
        let entry = self.paths.entry(path).or_insert_with(|| json!({}));
        entry[if writes { "post" } else { "get" }] = operation;
    }

    /// The router, and the document.
    pub fn done(mut self) -> (Router<Arc<S>>, Value) {
        let schemas = self.generator.take_definitions(true);
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Linecard", "version": env!("CARGO_PKG_VERSION"),
                "description": "What the console asks, for programs too: sign in by the cookie of POST /v1/session, or bring a token of the agents' issuer with a role that the console knows (Authorization: Bearer). A request that changes something and comes with the cookie has the header X-Linecard: 1.",
            },
            "security": [{"session": []}, {"token": []}],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "session": {"type": "apiKey", "in": "cookie", "name": "linecard"},
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                },
            },
        });
        (self.router, document)
    }
}

/// What was wrong is told without what stood in it: a query may hold a number.
pub(super) fn read_query<Q: DeserializeOwned>(query: &str) -> Result<Q, Trouble> {
    serde_html_form(query).map_err(|()| {
        let says = "the query cannot be read: each name once, known, and of the kind that /v1/openapi.json says";
        Trouble::Wrong(Refusal::new(code::QUERY, says))
    })
}

/// A table for spreadsheets, saved under this name.
pub(super) fn table(name: &'static str, csv: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, csv).into_response()
}

fn serde_html_form<Q: DeserializeOwned>(query: &str) -> Result<Q, ()> {
    let uri: axum::http::Uri = format!("/?{query}").parse().map_err(|_| ())?;
    axum::extract::Query::<Q>::try_from_uri(&uri).map(|axum::extract::Query(query)| query).map_err(|_| ())
}

async fn read_body<B: DeserializeOwned>(headers: &HeaderMap, request: Request) -> Result<B, Trouble> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json"));
    if !json {
        let says = "a body of Content-Type application/json is wanted";
        return Err(Trouble::Wrong(Refusal::new(code::BODY_TYPE, says)));
    }
    let bytes: Bytes = axum::body::to_bytes(request.into_body(), LARGEST).await.map_err(|_| {
        let says = format!("the body is torn, or longer than {LARGEST} bytes");
        Trouble::Wrong(Refusal::new(code::BODY_LONG, says).with("most", LARGEST))
    })?;
    read_body_of(&bytes)
}

fn read_body_of<B: DeserializeOwned>(bytes: &[u8]) -> Result<B, Trouble> {
    // Where, and not what: a body may hold a password.
    serde_json::from_slice(bytes).map_err(|error| {
        let (code, why) = match error.classify() {
            serde_json::error::Category::Data => (code::BODY_SHAPE, "is not of the shape that /v1/openapi.json says"),
            _ => (code::BODY_JSON, "is no JSON"),
        };
        let (line, column) = (error.line(), error.column());
        let says = format!("the body {why} (line {line}, column {column})");
        Trouble::Wrong(Refusal::new(code, says).with("line", line).with("column", column))
    })
}
