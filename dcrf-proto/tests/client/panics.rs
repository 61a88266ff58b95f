//! Code of the program that panics harms nobody else (C4): wakers, when they are woken or dropped, and a dialect.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::memory::{Setup, Task};
use dcrf_proto::client::Client;
use dcrf_proto::{CloseReason, Config, Dialect, Request, RequestError, Subscribe};
use serde_json::{Map, Value, json};

const EXPECTED: &str = "expected in the output of this test";

/// A task that panics when it is woken.
struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("{EXPECTED}");
    }
}

/// A task that panics when its last waker is dropped.
struct PanicsOnDrop;

impl Wake for PanicsOnDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("{EXPECTED}");
    }
}

fn poll_with<F: Future>(waker: &Waker, future: F) {
    assert!(pin!(future).poll(&mut Context::from_waker(waker)).is_pending());
}

fn list(client: &Client) -> dcrf_proto::client::ReplyFuture<Value> {
    client.list("tasks")
}

#[test]
fn c4_a_panicking_waker_leaves_no_other_task_asleep() {
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let mut calls: Vec<_> = (0..4).map(|_| list(&client)).collect();
    setup.settle();
    let sound = Task::new();
    let panicking = Waker::from(Arc::new(Panicking));
    // Two of them: a second panic must not meet the unwinding of the first.
    for (call, waker) in
        calls.iter_mut().zip([&panicking, &sound.waker(), &panicking, &sound.waker()])
    {
        poll_with(waker, call);
    }
    let replies: Vec<_> = setup.network().sent.clone();
    setup.send_frames(replies.iter().map(|sent| crate::server_frames::reply(sent, 200, &json!(1))));
    setup.settle();
    assert!(sound.is_woken());
    for call in calls {
        assert_eq!(
            Setup::poll(call),
            Some(Ok(json!(1))),
            "the panicking tasks' replies are there too"
        );
    }
    assert_eq!(client.stats().connections, 1, "the client lives on");
}

#[test]
fn c4_panicking_wakers_do_not_abort_the_end_of_the_driver() {
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let (mut first, mut second, mut changes) =
        (list(&client), list(&client), client.subscribe::<Value>(Subscribe::instance("tasks", 7)));
    let (mut events, mut states) = (client.events(), client.watch_state());
    setup.settle();
    let panicking = Waker::from(Arc::new(Panicking));
    poll_with(&panicking, &mut first);
    let sound = Task::new();
    poll_with(&sound.waker(), &mut second);
    poll_with(&panicking, &mut changes);
    poll_with(&panicking, events.next());
    assert!(Setup::poll(states.next()).is_some());
    poll_with(&panicking, states.next());
    setup.drop_driver();
    assert!(sound.is_woken());
    for ended in [first, second] {
        let ended = Setup::poll(ended);
        assert!(
            matches!(
                &ended,
                Some(Err(RequestError::Closed { reason: CloseReason::DriverStopped, .. }))
            ),
            "{ended:?}"
        );
    }
}

#[test]
fn c4_the_driver_may_have_a_panicking_waker() {
    let mut setup = Setup::connected();
    setup.poll_driver_with(&Waker::from(Arc::new(Panicking)));
    let client = setup.client().clone();
    let call = list(&client);
    let other = list(&client);
    setup.settle();
    drop(other);
    setup.reply(0, 200, &json!(1));
    assert_eq!(Setup::poll(call), Some(Ok(json!(1))));
}

#[test]
fn c4_a_waker_that_panics_when_it_is_dropped_harms_nobody() {
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let waker = || Waker::from(Arc::new(PanicsOnDrop));
    let poll_with_new_waker = |call: &mut _| {
        // The client holds the last clone.
        let waker = waker();
        poll_with(&waker, call);
        drop(waker);
    };
    let mut calls: Vec<_> = (0..4).map(|_| list(&client)).collect();
    setup.settle();
    calls.iter_mut().for_each(poll_with_new_waker);
    let sound = Task::new();
    poll_with(&sound.waker(), &mut calls[1]);
    drop(calls.pop());
    let unwind = || {
        let _held = calls.pop();
        panic!("{EXPECTED}");
    };
    assert!(catch_unwind(AssertUnwindSafe(unwind)).is_err());
    for sent in 0..2 {
        setup.reply(sent, 200, &json!(1));
    }
    assert!(sound.is_woken());
    for call in calls {
        assert_eq!(Setup::poll(call), Some(Ok(json!(1))));
    }
}

/// Panics at payloads and texts that contain `boom`.
struct PanickingDialect;

impl Dialect for PanickingDialect {
    fn preprocess_payload(&self, _: &str, payload: Map<String, Value>) -> Map<String, Value> {
        assert!(payload["action"] != "boom", "{EXPECTED}");
        payload
    }

    fn decode_text<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        assert!(!text.contains("boom"), "{EXPECTED}");
        Some(Cow::Borrowed(text))
    }
}

fn with_dialect() -> Setup {
    let mut config = Config::default();
    config.dialect = Some(Arc::new(PanickingDialect));
    Setup::connected_with(config)
}

#[test]
fn c4_a_dialect_that_panics_in_a_call_fails_only_this_call() {
    let mut setup = with_dialect();
    let client = setup.client().clone();
    let call = || drop(client.call::<Value>(Request::new("tools", "boom")));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    let sound = list(&client);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["list"]);
    setup.reply(0, 200, &json!(1));
    assert_eq!(Setup::poll(sound), Some(Ok(json!(1))));
    let stats = client.stats();
    assert_eq!((stats.requests, stats.waiting_requests, stats.waiting_bytes), (0, 0, 0));
}

#[test]
fn c4_a_dialect_that_panics_in_the_driver_ends_the_client_with_an_error() {
    let mut setup = with_dialect();
    let client = setup.client().clone();
    let call = list(&client);
    let mut subscribing = client.subscribe::<Value>(Subscribe::new("tools", "boom"));
    assert!(catch_unwind(AssertUnwindSafe(|| setup.settle())).is_err());
    setup.drop_driver();
    let ended = Setup::poll(call);
    assert!(matches!(ended, Some(Err(RequestError::Closed { .. }))), "{ended:?}");
    assert!(Setup::poll(&mut subscribing).is_some_and(|ended| ended.is_err()));
}
