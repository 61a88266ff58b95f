//! What the examples that embed the core have in common: the part between a socket and a session
//! (`transport.rs`, which is there to be copied), the command line, and the small program that both run.

mod arguments;
mod follow;
mod transport;

pub(crate) use self::arguments::Arguments;
pub(crate) use self::follow::Follow;
pub(crate) use self::transport::{Dial, Transport, limits};
