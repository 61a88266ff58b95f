//! The conversation as JSON lines.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::{ConnectionId, FakeServer, Handshake, Output};

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}
