//! Statistics of unread client events.

use dcrf_proto::{Config, Limit, Stats};
use serde_json::json;

use crate::memory::Setup;

#[test]
fn unread_client_events_are_counted() {
    let mut config = Config::default();
    config.events = Limit { count: 2, bytes: 1_000 };
    let mut setup = Setup::new(config);
    let events = setup.client().events();
    setup.settle();
    let counts =
        |stats: Stats| (stats.unread_events, stats.unread_events_bytes, stats.lagged_events);
    assert_eq!(counts(setup.client().stats()), (2, 0, 0));
    setup.send_frames([json!({}), json!({"n": 1})]);
    setup.settle();
    assert_eq!(counts(setup.client().stats()), (2, 9, 2));
    drop(events);
    assert_eq!(counts(setup.client().stats()), (0, 0, 2));
}
