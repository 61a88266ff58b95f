//! A server that means harm: what it makes a client do, and how much memory it makes it take, on every adapter.
//!
//! Memory stays within the configured limits and 8 MiB, at every moment. Each test prints how much it was:
//! `cargo test -p dcrf-tests --test hostile -- --nocapture`. They run one at a time, since what is measured is
//! the whole process.

mod memory;
mod server;
mod stories;

use std::time::Duration;

use dcrf_tests::adapter::{
    Adapter, AsyncStd, Blocking, Smol, TokioCurrentThread, TokioMultiThread,
};

use self::memory::{MIB, bounded};

/// No story takes this long; one that hangs is to fail.
const LIMIT: Duration = Duration::from_secs(60);

/// What the limits of the configuration allow, as far as a story fills what they bound: the largest message, and
/// what may wait for one reader.
const MESSAGE: usize = 4 * MIB;
const UNREAD: usize = 4 * MIB;

macro_rules! on_each {
    ($($story:ident: $limits:expr;)+) => {
        $(mod $story {
            use super::*;
            on_each!(@ $story, $limits, tokio_current_thread, TokioCurrentThread);
            on_each!(@ $story, $limits, tokio_multi_thread, TokioMultiThread);
            on_each!(@ $story, $limits, smol, Smol);
            on_each!(@ $story, $limits, async_std, AsyncStd);
            on_each!(@ $story, $limits, blocking, Blocking);
        })+
    };
    (@ $story:ident, $limits:expr, $name:ident, $adapter:expr) => {
        #[test]
        fn $name() {
            let name = concat!(stringify!($story), " on ", stringify!($name));
            bounded(name, $limits, || {
                $adapter.run($adapter.within(LIMIT, stories::$story($adapter)));
            });
        }
    };
}

on_each! {
    endless_fragments: MESSAGE;
    large_fragments: MESSAGE;
    a_message_of_64_mib: MESSAGE;
    endless_empty_fragments: MESSAGE;
    a_million_unknown_ids: MESSAGE + UNREAD;
    nested_ten_thousand_deep: MESSAGE + UNREAD;
    endless_handshake_headers: 0;
    a_flood_of_events: MESSAGE + UNREAD;
}
