//! How often memory is taken from the system's allocator: by an event and by a request, in steady state, on one thread.
//! What decoding into the caller's type takes is not counted.

use allocation_counter::measure;
use serde::de::IgnoredAny;

use crate::core::Live;
use crate::echo::Echo;
use crate::frames::update;
use crate::line::{Goal, Line};
use crate::sockets::Single;

const COUNT: u32 = 10_000;

/// An event through the core, as in `event_small`.
pub(crate) fn event() -> Line {
    let mut live = Live::new(1);
    let text = update(221, live.id(0));
    let mut hear = || (0..COUNT).for_each(|_| live.hear(&text));
    hear();
    let taken = measure(&mut hear).count_total;
    Line::amount("allocations_event", Goal::AtMost(2.0), each(taken), "allocations/event")
}

/// A request through the handles and the socket, whose answer is decoded into nothing.
pub(crate) fn request(echo: &Echo) -> Line {
    let single = Single::new(echo);
    let ask = || (0..COUNT).for_each(|_| _ = single.ask::<IgnoredAny>());
    ask();
    let taken = measure(ask).count_total;
    Line::amount("allocations_request", Goal::AtMost(6.0), each(taken), "allocations/request")
}

fn each(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count that fits")]
    let count = count as f64;
    count / f64::from(COUNT)
}
