//! The number of allocations of an event and of a request, in steady state, on one thread. Decoding into the caller's
//! type is not counted.

use allocation_counter::measure;
use serde::de::IgnoredAny;

use crate::core::Live;
use crate::echo::Echo;
use crate::frames::update;
use crate::line::{Goal, Line};
use crate::sockets::Single;

const COUNT: u32 = 10_000;

/// An event in the core, as in `event_small`.
pub(crate) fn event() -> Line {
    let mut live = Live::new(1);
    let text = update(221, live.id(0));
    let mut receive = || (0..COUNT).for_each(|_| live.receive(&text));
    receive();
    let count = measure(&mut receive).count_total;
    Line::amount("allocations_event", Goal::AtMost(2.0), average(count), "allocations/event")
}

/// A request through the client and the socket. Its reply is not decoded.
pub(crate) fn request(echo: &Echo) -> Line {
    let single = Single::new(echo);
    let request = || (0..COUNT).for_each(|_| _ = single.request::<IgnoredAny>());
    request();
    let count = measure(request).count_total;
    Line::amount("allocations_request", Goal::AtMost(6.0), average(count), "allocations/request")
}

fn average(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count that fits")]
    let count = count as f64;
    count / f64::from(COUNT)
}
