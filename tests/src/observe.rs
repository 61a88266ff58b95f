//! Waits for what a story asserts: a change of the connection, a change of a subscription, something
//! that the server received. Nothing here sleeps for as long as it "should" take.

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

/// The connections of one client, which the server's journal tells from others by what the query of the
/// URL begins with.
#[derive(Clone, Debug)]
pub struct Mark {
    path: String,
    query: String,
}

type Handshake<'a> = (u64, &'a str, &'a [(String, String)]);

impl Mark {
    /// A mark of its own for a client that connects to `path`.
    pub fn new(path: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: path.into(), query: format!("client={number}") }
    }

    /// Where the client is to connect to.
    pub fn url(&self, server: &Server) -> String {
        server.url(&self.target())
    }

    /// The path and the query to connect to, for a client that connects through something else.
    pub fn target(&self) -> String {
        format!("{}?{}", self.path, self.query)
    }

    /// What the server received from the client, one journal for each connection, refused ones too.
    pub fn connections(&self, server: &Server) -> Vec<Journal> {
        let journal = server.journal();
        self.handshakes(&journal).map(|(connection, ..)| journal.of(connection)).collect()
    }

    /// The whole queries of the client's handshakes, refused ones too.
    pub fn queries(&self, server: &Server) -> Vec<String> {
        self.handshakes(&server.journal()).map(|(_, query, _)| query.to_owned()).collect()
    }

    /// A header of each of the client's handshakes, refused ones too.
    pub fn headers(&self, server: &Server, name: &str) -> Vec<Option<String>> {
        let value = |headers: &[(String, String)]| {
            headers.iter().find_map(|(its, value)| (its == name).then(|| value.clone()))
        };
        self.handshakes(&server.journal()).map(|(.., headers)| value(headers)).collect()
    }

    /// The actions that the server received from the client, each as `stream/action`, one list for each
    /// connection.
    pub fn actions(&self, server: &Server) -> Vec<Vec<String>> {
        let name = |frame: Value| match (frame["stream"].as_str(), &frame["payload"]) {
            (Some(stream), payload) => {
                format!("{stream}/{}", payload["action"].as_str().unwrap_or_default())
            }
            (None, _) => frame["action"].as_str().unwrap_or_default().to_owned(),
        };
        let names = |journal: &Journal| journal.frames().map(name).collect();
        self.connections(server).iter().map(names).collect()
    }

    /// How often the server received an action of a stream from the client.
    pub fn count(&self, server: &Server, action: &str) -> usize {
        self.actions(server).iter().flatten().filter(|name| *name == action).count()
    }

    /// The codes with which the client's connections ended, as far as they have.
    pub fn close_codes(&self, server: &Server) -> Vec<u64> {
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

/// Waits until `probe` finds what happens elsewhere: at the server, or in the operating system.
///
/// # Panics
///
/// When it does not within 15 seconds.
pub async fn eventually<A: Adapter>(adapter: &A, what: &str, mut probe: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !probe() {
        assert!(Instant::now() < deadline, "this did not come about: {what}");
        adapter.sleep(Duration::from_millis(10)).await;
    }
}

/// Starts a server again, and meanwhile leaves the client's runtime to itself.
///
/// # Panics
///
/// When the server does not start.
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

/// Waits until the connection, or an attempt to make one, fails, and says why.
///
/// # Panics
///
/// When the client is closed instead.
pub async fn lost(events: &mut Events) -> ConnectionError {
    match state(events, |state| {
        matches!(state, ConnectionState::Waiting { .. } | ConnectionState::Closed(_))
    })
    .await
    {
        ConnectionState::Waiting { error, .. } => error,
        other => panic!("expected a loss, got {other:?}"),
    }
}

/// Waits until there is a connection.
///
/// # Panics
///
/// When the client is closed first.
pub async fn connected(events: &mut Events) {
    let found = state(events, |state| {
        matches!(state, ConnectionState::Connected | ConnectionState::Closed(_))
    })
    .await;
    assert_eq!(found, ConnectionState::Connected);
}

/// Waits until the client is closed for good, and says why.
///
/// # Panics
///
/// When the events end before that.
pub async fn closed(client: &Client) -> CloseReason {
    // Listen before looking, so that the end does not fall between.
    let mut events = client.events();
    let state = match client.state() {
        end @ ConnectionState::Closed(_) => end,
        _ => state(&mut events, |state| matches!(state, ConnectionState::Closed(_))).await,
    };
    match state {
        ConnectionState::Closed(reason) => reason,
        other => unreachable!("waited for the end, got {other:?}"),
    }
}

async fn state(events: &mut Events, wanted: impl Fn(&ConnectionState) -> bool) -> ConnectionState {
    loop {
        match events.next().await {
            Some(ClientEvent::State(state)) if wanted(&state) => return state,
            Some(_) => {}
            None => panic!("the client's events ended"),
        }
    }
}

/// The next change of a subscription.
///
/// # Panics
///
/// When there is none, since the subscription has ended.
pub async fn change<T: DeserializeOwned>(changes: &mut Subscription<T>) -> Change<T> {
    match changes.next().await {
        Some(Ok(change)) => change,
        other => panic!("expected a change, got {:?}", other.map(|item| item.map(|_| ()))),
    }
}

/// Why a subscription has ended, after which it has no more items.
///
/// # Panics
///
/// When it has another change instead.
pub async fn ended<T: DeserializeOwned>(changes: &mut Subscription<T>) -> SubscriptionError {
    use dcrf_proto::client::ChangeError;
    match changes.next().await {
        Some(Err(ChangeError::Subscription(ended))) => {
            assert!(changes.next().await.is_none(), "something came after the end");
            ended
        }
        Some(Ok(_)) => panic!("expected the end, got a change"),
        other => panic!("expected the end, got {:?}", other.map(|item| item.map(|_| ()))),
    }
}

/// The server's refusal of a request.
///
/// # Panics
///
/// When it was not refused.
pub fn error_reply<T>(answer: Result<T, RequestError>) -> ErrorReply {
    match answer {
        Err(RequestError::ErrorReply(error_reply)) => error_reply,
        Err(other) => panic!("expected a error_reply, got {other:?}"),
        Ok(_) => panic!("expected a error_reply, got an answer"),
    }
}
