//! A web service over one live collection: REST, server-sent events, and a page that shows the list.
//!
//! ```sh
//! cargo run -p dcrf-tests --bin example-gateway -- ws://localhost:8000/ws/ 127.0.0.1:3000
//! ```
//!
//! It uses the stream `cards` of the server in `tests/server`. All browsers share one connection to Django, one
//! subscription and one copy of the rows; reads don't reach Django at all. The package `dcrf-tests` builds this example,
//! so that dcrf-tokio's own tests don't build axum.

use std::convert::Infallible;
use std::error::Error;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use dcrf_tokio::{Collection, Request, RequestError, Resource};
use futures_lite::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>Cards</title>
<h1>Cards</h1>
<ul id="cards"></ul>
<form id="add"><input id="title" placeholder="title" required><button>Add</button></form>
<p id="status"></p>
<script>
const list = document.getElementById("cards");
const cards = new Map();
const source = new EventSource("/events");
const apply = event => {
  for (const [key, card] of JSON.parse(event.data)) card ? cards.set(key, card) : cards.delete(key);
  list.replaceChildren(...Array.from(cards.values(), card => {
    const item = document.createElement("li");
    item.textContent = card.title;
    return item;
  }));
};
// The browser reconnects to the gateway by itself, and gets the state again.
source.addEventListener("state", event => { cards.clear(); apply(event); });
source.addEventListener("changes", apply);
source.addEventListener("status", event => {
  document.getElementById("status").textContent = event.data;
});
document.getElementById("add").onsubmit = event => {
  event.preventDefault();
  const body = JSON.stringify({title: document.getElementById("title").value});
  fetch("/cards", {method: "POST", headers: {"content-type": "application/json"}, body});
  event.target.reset();
};
</script>
"#;

#[derive(Deserialize, Serialize)]
struct Card {
    id: u64,
    title: String,
    updated_at: String,
}

#[derive(Clone)]
struct Gateway {
    cards: Resource<Card>,
    rows: Collection<Card>,
}

/// Passes an error reply of Django on. Without a connection, the gateway is unavailable.
struct Failure(RequestError);

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let RequestError::ErrorReply(reply) = &self.0
            && let Some(status) = reply.status.and_then(|status| StatusCode::from_u16(status).ok())
        {
            return (status, Json(json!({ "errors": reply.errors }))).into_response();
        }
        let error = json!({ "errors": [self.0.to_string()] });
        (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response()
    }
}

async fn list(State(gateway): State<Gateway>) -> impl IntoResponse {
    Json(gateway.rows.snapshot())
}

async fn retrieve(State(gateway): State<Gateway>, Path(id): Path<u64>) -> Response {
    match gateway.rows.get(id) {
        Some(card) => Json(card).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn create(
    State(gateway): State<Gateway>,
    Json(card): Json<Value>,
) -> Result<(StatusCode, Json<Card>), Failure> {
    Ok((StatusCode::CREATED, Json(gateway.cards.create(&card).await?)))
}

async fn patch(
    State(gateway): State<Gateway>,
    Path(id): Path<u64>,
    Json(fields): Json<Value>,
) -> Result<Json<Card>, Failure> {
    Ok(Json(gateway.cards.patch(id, &fields).await?))
}

async fn delete(
    State(gateway): State<Gateway>,
    Path(id): Path<u64>,
) -> Result<StatusCode, Failure> {
    gateway.cards.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The state, then the changes: pairs of a key and a card, or null for a card that is gone.
async fn events(
    State(gateway): State<Gateway>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes =
        gateway.rows.changes().map_while(Result::ok).enumerate().map(|(number, batch)| {
            let rows: Vec<_> = batch.iter().map(|change| (change.key(), change.row())).collect();
            let name = if number == 0 { "state" } else { "changes" };
            Event::default().event(name).data(json!(rows).to_string())
        });
    let statuses = gateway.rows.watch_status();
    let statuses = statuses.map(|status| Event::default().event("status").data(status.to_string()));
    Sse::new(stream::or(changes, statuses).map(Ok)).keep_alive(KeepAlive::default())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: gateway ws[s]://… ADDRESS:PORT".into());
    };
    let client = dcrf_tokio::connect(&url).await?;
    let cards = client.resource::<Card>("cards").pk_field("id").feed_action("subscribe_all");
    let rows = cards.collection().version(|card| card.updated_at.clone()).await?;
    // A browser should not wait for a server that is down.
    let cards = cards.with(Request::fail_fast);

    let app = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/cards", get(list).post(create))
        .route("/cards/{id}", get(retrieve).patch(patch).delete(delete))
        .route("/events", get(events))
        .with_state(Gateway { cards, rows });
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
