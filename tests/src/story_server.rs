//! The server of a story: the real one, or one in memory.

use std::sync::Arc;

use crate::adapter::Fake;
use crate::server::{Journal, Kind, Server};

/// A server with a URL and a journal of what it has received.
pub trait Journaled {
    /// The WebSocket URL of a path, such as `/ws/`.
    fn url(&self, path: &str) -> String;

    /// What the server has received so far.
    fn journal(&self) -> Journal;
}

/// The server that an adapter provides for a story.
#[derive(Clone, Debug)]
pub enum StoryServer {
    /// A Django server that the stories of this process share.
    Shared(&'static Server),
    /// A Django server of the story alone.
    Own(Arc<Server>),
    /// A server in memory, of the story alone.
    Fake(Fake),
}

impl StoryServer {
    /// Starts a server of the story alone.
    pub(crate) fn start() -> Self {
        Self::Own(Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}"))))
    }

    /// The Daphne and the Uvicorn that the stories of this process share.
    pub(crate) fn shared_of_each_kind() -> Vec<Self> {
        vec![Self::Shared(Server::shared()), Self::Shared(uvicorn())]
    }

    /// The host and port of the URLs.
    pub fn authority(&self) -> String {
        match self {
            Self::Shared(server) => server.address().to_string(),
            Self::Own(server) => server.address().to_string(),
            Self::Fake(_) => Fake::AUTHORITY.to_owned(),
        }
    }
}

impl Journaled for StoryServer {
    fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.authority())
    }

    fn journal(&self) -> Journal {
        match self {
            Self::Shared(server) => server.journal(),
            Self::Own(server) => server.journal(),
            Self::Fake(fake) => fake.journal(),
        }
    }
}

impl Journaled for Server {
    fn url(&self, path: &str) -> String {
        self.url(path)
    }

    fn journal(&self) -> Journal {
        self.journal()
    }
}

/// The Uvicorn shared by this test process. [`Server::shared`] is Daphne.
pub(crate) fn uvicorn() -> &'static Server {
    static UVICORN: std::sync::OnceLock<Server> = std::sync::OnceLock::new();
    UVICORN.get_or_init(|| {
        let started = Server::builder().kind(Kind::Uvicorn).start();
        started.unwrap_or_else(|error| panic!("{error}"))
    })
}
