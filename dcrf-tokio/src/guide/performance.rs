//! Performance: what an event costs, and how costs grow.
//!
//! The time per event, from the frame to the subscription, by the number of live subscriptions:
//!
//! | live subscriptions | this client | only parsing | dcrf-client |
//! | ---: | ---: | ---: | ---: |
//! | 1 | 0.4 µs | 0.4 µs | 2.4 µs |
//! | 1,000 | 0.5 µs | 0.4 µs | 920 µs |
//! | 10,000 | 1.5 µs | 0.5 µs | 10,800 µs |
//! | 1,000,000 | 2.4 µs | 0.4 µs | not measured |
//!
//! The client finds the subscription of an event by its id: the number of instructions is the same with 100,000
//! subscriptions as with one. From 10,000 on, the entry is often not in the processor's cache. dcrf-client compares each
//! event with every subscription.
//!
//! Each column is one run of seven rounds on 2 cores. Timings on the machine vary by a factor of two from day to day, in all
//! columns alike: compare the growth, not the digits. "Parsing" is a borrowed parse of the same frame by `serde_json`, in a
//! loop of its own. The work differs a little: dcrf-client's time includes `JSON.parse` of the whole frame, and ours ends
//! before the object is decoded into your type.
//!
//! In the repository, `dcrf-proto/benches/growth` has the curves of this run, of throughput by requests in flight and of
//! memory by clients, and `CONTRIBUTING.md` has the commands, and the build time and size of the crates.
//!
//! # What you can do
//!
//! - Decode only the fields that you need: each object is decoded once, into your type, on your task.
//! - Make independent requests at the same time, see
//!   [many requests at once](super::recipes#many-requests-at-once). A server handles the requests of one stream one after
//!   another, but different streams side by side.
//! - Use one client, and clone it: subscriptions to the same stream, action and arguments then share one subscription on the
//!   server.
//! - If only the newest state of each object matters, subscribe with
//!   [`OverflowPolicy::Conflate`](crate::OverflowPolicy::Conflate).
//! - With `dcrf-smol`, [drive the client](crate::Builder::build) on the executor of the callers: a request takes half the
//!   time, because it does not cross threads.
