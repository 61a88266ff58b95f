//! What programs use of the core, under the same names in every adapter: an adapter exports all of it (feature
//! `websocket`).
//!
//! What an adapter has a type of its own for is hidden there by that type.

pub use crate::client::{
    ChangeError, Client, Events, Items, Listener, OpenError, Pages, ReplyError, ReplyFuture,
    ReplyStream, SubscribeFuture, Subscription,
};
pub use crate::command::{CloseFrame, CloseOptions, OverflowPolicy, Request, Subscribe};
pub use crate::config::{Backoff, Config, Heartbeat, Limit};
pub use crate::dialect::{ChangeKind, Dialect};
pub use crate::error::{
    CloseReason, ConnectionError, RejectReason, Rejected, ReplyStreamError, RequestError,
    SubscriptionError, UnsubscribeError,
};
pub use crate::event::{Change, ClientEvent, ConnectionState, Gap, ListenerEvent, Unhandled};
pub use crate::frame::Frame;
pub use crate::id::RequestId;
pub use crate::link::FailureAction;
pub use crate::protocol::error_reply::ErrorReply;
pub use crate::protocol::framing::Framing;
pub use crate::protocol::json::{DecodeError, Json};
pub use crate::protocol::page::Page;
pub use crate::protocol::pk::{Deleted, Pk};
pub use crate::protocol::selector::Selector;
pub use crate::stats::{StatKind, Stats};
pub use crate::transmit::Attempt;
#[cfg(feature = "native-tls")]
pub use crate::websocket::native_tls;
#[cfg(feature = "rustls")]
pub use crate::websocket::rustls;
pub use crate::websocket::{
    ConnectError, Credentials, CredentialsError, Endpoint, InvalidCredentials, UrlError,
};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
pub use crate::websocket::{Tls, TlsError};
