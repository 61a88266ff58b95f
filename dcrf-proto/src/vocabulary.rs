//! What programs use of the core, under the same names in every adapter: an adapter exports all of it (feature
//! `websocket`).
//!
//! What an adapter has a type of its own for is hidden there by that type.

pub use crate::client::{
    ChangeError, Client, Items, Listener, Notices, OpenError, Pages, Replies, ReplyError, Response,
    Subscribing, Subscription,
};
pub use crate::command::{Close, CloseFrame, Request, Subscribe, WhenFull};
pub use crate::config::{Backoff, Config, Heartbeat, Limit};
pub use crate::dialect::{ChangeKind, Dialect, Message};
pub use crate::error::{
    CloseReason, Ended, Lost, Rejected, Rejection, RepliesEnded, RequestError, UnsubscribeError,
};
pub use crate::event::{Change, Gap, Heard, Notice, State, Unhandled};
pub use crate::id::RequestId;
pub use crate::link::Verdict;
pub use crate::stats::Stats;
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
pub use crate::wire::framing::Framing;
pub use crate::wire::json::{DecodeError, Json};
pub use crate::wire::page::Page;
pub use crate::wire::pk::{Deleted, Pk};
pub use crate::wire::refusal::Refusal;
pub use crate::wire::selector::Selector;
