//! What the examples share: the transport between a socket and a session (`transport.rs`, ready to be copied), the command
//! line, and the small program that both examples run.

mod arguments;
mod follow;
mod transport;

pub(crate) use self::arguments::Arguments;
pub(crate) use self::follow::Follow;
pub(crate) use self::transport::{Dial, Transport, connection_error, limits};
