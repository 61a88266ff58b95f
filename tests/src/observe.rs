//! Waits for what a story asserts: a connection state, a change, or a message at the server.
//! Nothing here sleeps for a fixed time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Events, Subscription};
use dcrf_proto::{
    Change, ClientEvent, CloseReason, ConnectionError, ConnectionState, ErrorReply, RequestError,
    SubscriptionError,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::adapter::Adapter;
use crate::server::{Entry, Journal, Server};
use crate::story_server::Journaled;

/// Identifies one client's connections in the server's journal by the start of the URL's query.
#[derive(Clone, Debug)]
pub struct Mark {
    path: String,
    query: String,
}

type Handshake<'a> = (u64, &'a str, &'a [(String, String)]);

impl Mark {
    /// Creates a unique mark for a client of `path`.
    pub fn new(path: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: path.into(), query: format!("client={number}") }
    }

    /// The URL to connect to.
    pub fn url(&self, server: &impl Journaled) -> String {
        server.url(&self.target())
    }

    /// The path and query, for a client that connects through something else.
    pub fn target(&self) -> String {
        format!("{}?{}", self.path, self.query)
    }

    /// The client's journals, one for each connection, including rejected ones.
    pub fn connections(&self, server: &impl Journaled) -> Vec<Journal> {
        let journal = server.journal();
        self.handshakes(&journal).map(|(connection, ..)| journal.of(connection)).collect()
    }

    /// The queries of the client's handshakes, including rejected ones.
    pub fn queries(&self, server: &impl Journaled) -> Vec<String> {
        self.handshakes(&server.journal()).map(|(_, query, _)| query.to_owned()).collect()
    }

    /// A header of each of the client's handshakes, including rejected ones.
    pub fn headers(&self, server: &impl Journaled, name: &str) -> Vec<Option<String>> {
        let value = |headers: &[(String, String)]| {
            headers.iter().find_map(|(header, value)| (header == name).then(|| value.clone()))
        };
        self.handshakes(&server.journal()).map(|(.., headers)| value(headers)).collect()
    }

    /// The actions received from the client, as `stream/action`, one list for each connection.
    pub fn actions(&self, server: &impl Journaled) -> Vec<Vec<String>> {
        let name = |frame: Value| match (frame["stream"].as_str(), &frame["payload"]) {
            (Some(stream), payload) => {
                format!("{stream}/{}", payload["action"].as_str().unwrap_or_default())
            }
            (None, _) => frame["action"].as_str().unwrap_or_default().to_owned(),
        };
        let names = |journal: &Journal| journal.frames().map(name).collect();
        self.connections(server).iter().map(names).collect()
    }

    /// The number of times that an action was received from the client.
    pub fn count(&self, server: &impl Journaled, action: &str) -> usize {
        self.actions(server).iter().flatten().filter(|name| *name == action).count()
    }

    /// The close codes of the client's closed connections.
    pub fn close_codes(&self, server: &impl Journaled) -> Vec<u64> {
        let code = |entry: &Entry| match entry {
            Entry::Disconnected { code, .. } => Some(*code),
            _ => None,
        };
        let codes = |journal: Journal| journal.entries().iter().find_map(code);
        self.connections(server).into_iter().filter_map(codes).collect()
    }

    /// The number, the query and the headers of each of the client's handshakes.
    fn handshakes<'a>(&'a self, journal: &'a Journal) -> impl Iterator<Item = Handshake<'a>> {
        let is_mine = |query: &str| {
            let rest = query.strip_prefix(&self.query);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('&'))
        };
        journal.entries().iter().filter_map(move |entry| match entry {
            Entry::Connected { connection, path, query, headers } => (*path == self.path
                && is_mine(query))
            .then_some((*connection, &**query, &**headers)),
            _ => None,
        })
    }
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// If it does not hold within 15 seconds.
pub async fn eventually<A: Adapter>(adapter: &A, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting: {what}");
        adapter.sleep(Duration::from_millis(10)).await;
    }
}

/// Restarts a server without blocking the client's runtime.
///
/// # Panics
///
/// If the server does not start.
pub async fn restarted<A: Adapter>(adapter: &A, mut server: Server) -> Server {
    let restarting = std::thread::spawn(move || {
        server.restart().unwrap();
        server
    });
    while !restarting.is_finished() {
        adapter.sleep(Duration::from_millis(10)).await;
    }
    restarting.join().unwrap()
}

/// Waits until the connection or an attempt to connect fails, and returns the error.
///
/// # Panics
///
/// If the client closes instead.
pub async fn lost(events: &mut Events) -> ConnectionError {
    match state(events, |state| {
        matches!(state, ConnectionState::Waiting { .. } | ConnectionState::Closed(_))
    })
    .await
    {
        ConnectionState::Waiting { error, .. } => error,
        other => panic!("expected a connection error, got {other:?}"),
    }
}

/// Waits until the client is connected.
///
/// # Panics
///
/// If the client closes first.
pub async fn connected(events: &mut Events) {
    let found = state(events, |state| {
        matches!(state, ConnectionState::Connected | ConnectionState::Closed(_))
    })
    .await;
    assert_eq!(found, ConnectionState::Connected);
}

/// Waits until the client is closed, and returns the reason.
///
/// # Panics
///
/// If the events end before that.
pub async fn closed(client: &Client) -> CloseReason {
    // Subscribe to events before reading the state, so that nothing is missed.
    let mut events = client.events();
    let state = match client.state() {
        closed @ ConnectionState::Closed(_) => closed,
        _ => state(&mut events, |state| matches!(state, ConnectionState::Closed(_))).await,
    };
    match state {
        ConnectionState::Closed(reason) => reason,
        other => unreachable!("waited for Closed, got {other:?}"),
    }
}

async fn state(events: &mut Events, matches: impl Fn(&ConnectionState) -> bool) -> ConnectionState {
    loop {
        match events.next().await {
            Some(ClientEvent::State(state)) if matches(&state) => return state,
            Some(_) => {}
            None => panic!("the client's events ended"),
        }
    }
}

/// Waits for the next change.
///
/// # Panics
///
/// If the subscription ends.
pub async fn change<T: DeserializeOwned>(changes: &mut Subscription<T>) -> Change<T> {
    match changes.next().await {
        Some(Ok(change)) => change,
        other => panic!("expected a change, got {:?}", other.map(|item| item.map(|_| ()))),
    }
}

/// Waits for the end of a subscription, asserts that nothing follows, and returns the error.
///
/// # Panics
///
/// If a change arrives instead.
pub async fn ended<T: DeserializeOwned>(changes: &mut Subscription<T>) -> SubscriptionError {
    use dcrf_proto::client::ChangeError;
    match changes.next().await {
        Some(Err(ChangeError::Subscription(error))) => {
            assert!(changes.next().await.is_none(), "an item follows the end");
            error
        }
        Some(Ok(_)) => panic!("expected the end, got a change"),
        other => panic!("expected the end, got {:?}", other.map(|item| item.map(|_| ()))),
    }
}

/// Unwraps an error reply.
///
/// # Panics
///
/// If the result is anything else.
pub fn error_reply<T>(result: Result<T, RequestError>) -> ErrorReply {
    match result {
        Err(RequestError::ErrorReply(reply)) => reply,
        Err(other) => panic!("expected an error reply, got {other:?}"),
        Ok(_) => panic!("expected an error reply, got success"),
    }
}
