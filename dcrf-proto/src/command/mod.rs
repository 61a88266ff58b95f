//! What a caller asks for, as plain data: requests, subscriptions, and how to close. The session, the
//! async handles and the blocking handles take the same values.

use std::borrow::Cow;

mod arguments;
mod close;
mod collect;
mod request;
mod resource;
mod subscribe;
mod write;

pub(crate) use self::arguments::{Arguments, InvalidArgument};
pub use self::close::{CloseFrame, CloseOptions};
pub use self::collect::Collect;
pub use self::request::Request;
pub(crate) use self::request::Timeout;
pub use self::resource::ResourceDescription;
pub use self::subscribe::{OverflowPolicy, Subscribe};
pub(crate) use self::write::{Write, WriteKind, Written};

/// Owns the name of an action or argument, without an allocation if it is one of DCRF's own.
fn well_known(name: &str) -> Cow<'static, str> {
    macro_rules! borrow_known {
        ($($known:literal)*) => {
            match name {
                $($known => Cow::Borrowed($known),)*
                _ => Cow::Owned(name.to_owned()),
            }
        };
    }
    borrow_known!(
        "list" "create" "retrieve" "update" "patch" "delete" "subscribe_instance"
        "unsubscribe_instance" "subscribe_all" "unsubscribe_all" "list_cancel"
        "" "pk" "id" "data" "limit" "offset"
    )
}
