//! Any adapter, with a server in memory instead of a Django server.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcrf_proto::fake_server::{Direction, FakeServer, Handshake};
use dcrf_proto::websocket::ConnectError;

use super::{Adapter, Setup};
use crate::client::Client;
use crate::mirror::mirror;
use crate::server::{Entry, Journal};
use crate::story_server::StoryServer;

/// The adapter `A`, whose clients all connect to one server in memory. Each story has its own.
#[derive(Clone, Debug)]
pub struct OnFake<A> {
    adapter: A,
    fake: Fake,
}

/// A server in memory, with the streams, rows and paths of the real one, and a journal.
#[derive(Clone)]
pub struct Fake {
    server: FakeServer,
    /// All handshakes in order, and whether they were accepted.
    handshakes: Arc<Mutex<Vec<(Handshake, bool)>>>,
}

impl<A> OnFake<A> {
    /// Wraps an adapter. The server is new.
    pub fn new(adapter: A) -> Self {
        Self { adapter, fake: Fake::new() }
    }

    fn redirect(&self, setup: Setup) -> Setup {
        // Nothing else listens.
        let is_ours = setup.url().contains(Fake::AUTHORITY);
        let server = if is_ours { self.fake.server.clone() } else { stopped() };
        setup.fake_server(server)
    }
}

impl<A: Adapter> Adapter for OnFake<A> {
    fn run<T: Send + 'static>(&self, story: impl Future<Output = T> + Send + 'static) -> T {
        self.adapter.run(story)
    }

    fn ends_with_run(&self) -> bool {
        self.adapter.ends_with_run()
    }

    fn shared(&self) -> StoryServer {
        StoryServer::Fake(self.fake.clone())
    }

    fn own(&self) -> StoryServer {
        self.shared()
    }

    fn each_kind(&self) -> Vec<StoryServer> {
        vec![self.shared()]
    }

    async fn connect_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        self.adapter.connect_with(self.redirect(setup)).await
    }

    fn connect_lazy_with(&self, setup: Setup) -> Result<Client, ConnectError> {
        self.adapter.connect_lazy_with(self.redirect(setup))
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        self.adapter.sleep(time)
    }

    fn tasks(&self) -> Option<usize> {
        self.adapter.tasks()
    }
}

impl Fake {
    /// The host of its URLs.
    pub(crate) const AUTHORITY: &'static str = "fake.example";

    fn new() -> Self {
        let (server, handshakes) = (mirror(), Arc::<Mutex<Vec<_>>>::default());
        let fake = Self { server, handshakes: handshakes.clone() };
        fake.server.check_handshake(move |handshake| {
            let result = check(handshake);
            handshakes.lock().unwrap().push((handshake.clone(), result.is_ok()));
            result
        });
        fake
    }

    /// What the server has received, except for binary messages and ends of connections.
    pub(crate) fn journal(&self) -> Journal {
        let mut entries = Vec::new();
        // The server numbers the connections that it accepts.
        let (mut accepted, mut rejected) = (1.., (1..=u64::MAX).rev());
        for (handshake, is_accepted) in self.handshakes.lock().unwrap().iter() {
            let number = if *is_accepted { accepted.next() } else { rejected.next() };
            let Handshake { path, query, headers, .. } = handshake.clone();
            let connection = number.unwrap();
            entries.push(Entry::Connected { connection, path, query, headers });
        }
        let lines = self.server.conversation().into_iter();
        let received = lines.filter(|line| line.direction == Direction::ToServer);
        entries.extend(received.map(|line| Entry::Text {
            connection: line.connection.parse().unwrap(),
            text: line.text,
        }));
        Journal::new(entries)
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

/// The paths of the real server that reject handshakes.
fn check(handshake: &Handshake) -> Result<(), u16> {
    let has_token = || handshake.query.split('&').any(|part| part == "token=tok-alice");
    let is_own = || {
        let own = format!("http://{}", Fake::AUTHORITY);
        handshake.header("origin") == Some(own.as_str())
    };
    match handshake.path.as_str() {
        "/ws/" => Ok(()),
        "/ws/authenticated/" if has_token() => Ok(()),
        "/ws/origin/" if is_own() => Ok(()),
        "/ws/authenticated/" | "/ws/origin/" | "/ws/deny/" => Err(403),
        path if path.starts_with("/ws/bare/") => Ok(()),
        _ => Err(500),
    }
}

fn stopped() -> FakeServer {
    let server = FakeServer::new();
    server.stop();
    server
}
