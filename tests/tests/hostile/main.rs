//! Hostile servers on every adapter: how the client reacts, and how much memory it needs.
//!
//! Memory never exceeds the configured limits plus 8 MiB. The tests run one at a time, since they measure the
//! whole process. Each prints its peak:
//! `cargo test -p dcrf-tests --test hostile -- --nocapture`.

mod memory;
mod server;
mod stories;

use std::time::Duration;

use dcrf_tests::adapter::{
    Adapter, AsyncStd, Blocking, Smol, TokioCurrentThread, TokioMultiThread,
};

use self::memory::{MIB, assert_bounded};

/// A story that takes longer hangs, and fails.
const LIMIT: Duration = Duration::from_secs(60);

/// The default limits of the client: the largest message, and the buffered changes of a subscription.
const MESSAGE: usize = 4 * MIB;
const BUFFER: usize = 4 * MIB;

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
            assert_bounded(name, $limits, || {
                $adapter.run($adapter.within(LIMIT, stories::$story($adapter)));
            });
        }
    };
}

// The limits that each story can exhaust.
on_each! {
    endless_fragments: MESSAGE;
    endless_large_fragments: MESSAGE;
    message_of_64_mib: MESSAGE;
    endless_empty_fragments: MESSAGE;
    million_unknown_ids: MESSAGE + BUFFER;
    json_nested_10_000_deep: MESSAGE + BUFFER;
    endless_handshake_headers: 0;
    flood_of_events: MESSAGE + BUFFER;
}
