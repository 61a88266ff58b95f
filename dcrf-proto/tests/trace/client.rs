//! The spans and events that a client emits. It emits them without holding its lock, on any thread.
#![expect(clippy::disallowed_methods, reason = "another thread detects the deadlock")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use crate::collector::{Collector, turn};
use crate::memory::{Setup, Task};
use dcrf_proto::client::Client;
use dcrf_proto::{Config, ConnectionError, Limit, Request, RequestError, Selector, Subscribe};
use serde_json::{Value, json};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_default};
use tracing::{Event, Level, Metadata, Subscriber};

/// Runs `act` on each call, then collects. `act` gets the name of a new span or event.
struct Hooked<F> {
    collector: Collector,
    act: F,
}

impl<F: Fn(Option<&str>) + Send + Sync + 'static> Subscriber for Hooked<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (self.act)(None);
        self.collector.enabled(metadata)
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        (self.act)(Some(span.metadata().name()));
        self.collector.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        (self.act)(None);
        self.collector.record(span, values);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        (self.act)(Some(event.metadata().name()));
        self.collector.event(event);
    }

    fn enter(&self, span: &Id) {
        (self.act)(None);
        self.collector.enter(span);
    }

    fn exit(&self, span: &Id) {
        (self.act)(None);
        self.collector.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        (self.act)(None);
        self.collector.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        (self.act)(None);
        self.collector.try_close(span)
    }
}

#[test]
fn subscriber_may_use_the_client() {
    let _turn = turn();
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let collector = Collector::default();
        let client = Arc::new(OnceLock::<Client>::new());
        let handle = client.clone();
        let act = move |_: Option<&str>| {
            let _ = handle.get().map(Client::stats);
        };
        let _guard = set_default(Hooked { collector: collector.clone(), act });
        let mut config = Config::default();
        config.changes = Limit { count: 1, bytes: 100 };
        let mut setup = Setup::new(config);
        client.set(setup.client().clone()).unwrap();
        setup.settle();
        let response = setup.client().list::<Value>("tasks");
        let dropped = setup.client().list::<Value>("tasks");
        let changes = setup.client().subscribe::<Value>(Subscribe::instance("tasks", 7).id("s"));
        let listener = setup.client().listen::<Value>(Selector::any()).unwrap();
        setup.client().send(Request::new("tasks", "touch")).unwrap();
        setup.settle();
        drop(dropped);
        let subscribed =
            setup.network().sent.iter().position(|f| f["payload"]["request_id"] == "s");
        setup.reply(subscribed.unwrap(), 201, &Value::Null);
        for n in 0..3 {
            setup.send_update(subscribed.unwrap(), &json!(n));
        }
        setup.send_frames([json!("no object")]);
        setup.disconnect(ConnectionError::Dropped);
        setup.advance(Duration::from_secs(31));
        drop((response, changes, listener));
        setup.client().close_now();
        setup.settle();
        done.send((collector.spans(), collector.events())).unwrap();
    });
    let (spans, events) = ended.recv_timeout(Duration::from_secs(60)).expect("no deadlock");
    assert_eq!(spans.len(), 4, "{spans:#?}");
    for target in ["connection", "request", "subscription", "frame"] {
        let mut of_target =
            events.iter().filter(|event| event.contains(&format!(" dcrf::{target} ")));
        assert!(of_target.next().is_some(), "{target}: {events:#?}");
    }
}

#[test]
fn requests_are_in_the_callers_span_and_other_events_in_the_clients() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let creation = tracing::span!(target: "story", Level::INFO, "creation");
    let mut setup = creation.in_scope(Setup::connected);
    drop(creation);
    let span = tracing::span!(target: "story", Level::INFO, "checkout");
    let response = span.in_scope(|| setup.client().list::<Value>("tasks"));
    setup.settle();
    setup.reply(0, 200, &Value::Null);
    setup.client().close_now();
    setup.settle();
    drop(response);
    let spans = collector.spans();
    let request = spans.iter().find(|span| span.contains(" request ")).unwrap();
    assert!(request.contains(" in checkout outcome=ok"), "{request}");
    assert!(spans.contains(&"INFO dcrf::connection client".to_owned()), "{spans:#?}");
    let events = collector.events();
    for event in [
        "DEBUG dcrf::connection connecting, attempt 1 attempt=1 in client",
        "INFO dcrf::connection connected attempt=1 in client",
        "DEBUG dcrf::request ok in request",
    ] {
        assert!(events.contains(&event.to_owned()), "{events:#?}");
    }
    assert!(
        events.last().unwrap().ends_with(" in client"),
        "also events of its calls: {events:#?}"
    );
    drop(setup);
    drop(span);
    assert_eq!(collector.open(), 0);
}

#[test]
fn span_ends_even_if_the_driver_is_faster_than_the_caller() {
    let _turn = turn();
    let (created, span_created) = mpsc::channel();
    let (replied, reply_sent) = mpsc::channel::<()>();
    let collector = Collector::default();
    let reply_sent = Mutex::new(reply_sent);
    // The driver receives the reply before the caller has created the span.
    let act = move |name: Option<&str>| {
        if name == Some("request") {
            created.send(()).unwrap();
            reply_sent.lock().unwrap().recv_timeout(Duration::from_secs(60)).unwrap();
        }
    };
    let slow = Hooked { collector: collector.clone(), act };
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let caller = std::thread::spawn(move || {
        let _guard = set_default(slow);
        client.list::<Value>("tasks")
    });
    span_created.recv_timeout(Duration::from_secs(60)).unwrap();
    setup.settle();
    setup.reply(0, 200, &json!(1));
    replied.send(()).unwrap();
    let response = caller.join().unwrap();
    assert_eq!(Setup::poll(response), Some(Ok(json!(1))));
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert!(spans[0].ends_with(" outcome=ok ms=0 sent=true"), "{spans:?}");
    assert_eq!(collector.events(), ["DEBUG dcrf::request ok in request"]);
    assert_eq!(collector.open(), 0);
}

/// Panics on each call.
fn panicking() -> impl Subscriber {
    Hooked {
        collector: Collector::default(),
        act: |_: Option<&str>| panic!("expected in the output of this test"),
    }
}

#[test]
fn c4_a_panicking_subscriber_harms_no_call_and_no_client() {
    let _turn = turn();
    let _guard = set_default(panicking());
    let mut setup = Setup::connected();
    let client = setup.client().clone();
    let response = client.list::<Value>("tasks");
    let dropped = client.list::<Value>("tasks");
    setup.settle();
    drop(dropped);
    setup.reply(0, 200, &json!(1));
    assert_eq!(Setup::poll(response), Some(Ok(json!(1))));
    setup.send_frames([json!("no object")]);
    setup.disconnect(ConnectionError::Dropped);
    setup.advance(Duration::from_secs(5));
    assert!(setup.network().connected, "it reconnects");
    client.close_now();
    setup.advance(Duration::from_secs(2));
    assert!(setup.driver_has_ended());
}

#[test]
fn c4_a_panicking_subscriber_aborts_nothing_while_the_driver_or_a_handle_unwinds() {
    let _turn = turn();
    let _guard = set_default(panicking());
    let setup = Setup::connected();
    let (client, mut pending) = (setup.client().clone(), None);
    let unwind = || {
        pending = Some(client.list::<Value>("tasks"));
        let _held = (client.list::<Value>("tasks"), setup);
        panic!("expected in the output of this test");
    };
    assert!(catch_unwind(AssertUnwindSafe(unwind)).is_err());
    let pending = Setup::poll(pending.unwrap());
    assert!(matches!(pending, Some(Err(RequestError::Closed { .. }))), "{pending:?}");
}

#[test]
fn c4_a_panicking_subscriber_does_not_leave_the_driver_asleep() {
    let _turn = turn();
    let mut setup = Setup::connected();
    let driver = Task::new();
    setup.poll_driver_with(&driver.waker());
    let client = setup.client().clone();
    let guard = set_default(panicking());
    let response = client.list::<Value>("tasks");
    drop(guard);
    assert!(driver.is_woken(), "the driver must send the request");
    setup.settle();
    setup.reply(setup.sent_actions().len() - 1, 200, &json!(1));
    assert_eq!(Setup::poll(response), Some(Ok(json!(1))));
}

#[test]
fn c4_a_panicking_subscriber_does_not_leave_callers_of_a_dropped_driver_waiting() {
    let _turn = turn();
    let mut setup = Setup::connected();
    let mut response = setup.client().list::<Value>("tasks");
    setup.settle();
    let waiter = Task::new();
    assert_eq!(waiter.poll(&mut response), None);
    let guard = set_default(panicking());
    setup.drop_driver();
    drop(guard);
    assert!(waiter.is_woken());
    assert!(matches!(waiter.poll(response), Some(Err(RequestError::Closed { .. }))));
}
