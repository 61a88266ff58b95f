//! What a caller asks for, as plain data: requests, subscriptions, and how to close. The session, the
//! async handles and the blocking handles take the same values.

mod arguments;
mod close;
mod request;
mod subscribe;

pub(crate) use self::arguments::{Arguments, InvalidArgument};
pub use self::close::{CloseFrame, CloseOptions};
pub use self::request::Request;
pub(crate) use self::request::Timeout;
pub use self::subscribe::{OverflowPolicy, Subscribe};
