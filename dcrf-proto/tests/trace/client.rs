//! What the crate `tracing` is told by a client: outside of its lock, and by whose thread it may be.
#![expect(clippy::disallowed_methods, reason = "a deadlock is noticed from another thread")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use crate::collector::{Collector, turn};
use crate::memory::{Task, World};
use dcrf_proto::client::Client;
use dcrf_proto::{Config, ConnectionError, Limit, Request, RequestError, Selector, Subscribe};
use serde_json::{Value, json};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_default};
use tracing::{Event, Level, Metadata, Subscriber};

/// Does something whenever it is told something, and collects it then.
struct Busy<F> {
    collector: Collector,
    act: F,
}

/// With the name of the span or event that begins, where one does.
impl<F: Fn(Option<&str>) + Send + Sync + 'static> Subscriber for Busy<F> {
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
fn a_subscriber_may_use_the_client() {
    let _turn = turn();
    let (done, ended) = mpsc::channel();
    // A deadlock would never end.
    std::thread::spawn(move || {
        let collector = Collector::default();
        let client = Arc::new(OnceLock::<Client>::new());
        let asked = client.clone();
        let act = move |_: Option<&str>| {
            let _ = asked.get().map(Client::stats);
        };
        let _guard = set_default(Busy { collector: collector.clone(), act });
        let mut config = Config::default();
        config.changes = Limit { count: 1, bytes: 100 };
        let mut world = World::new(config);
        client.set(world.client().clone()).unwrap();
        world.settle();
        let response = world.client().list::<Value>("tasks");
        let dropped = world.client().list::<Value>("tasks");
        let changes = world.client().subscribe::<Value>(Subscribe::instance("tasks", 7).id("s"));
        let heard = world.client().listen::<Value>(Selector::any()).unwrap();
        world.client().send(Request::new("tasks", "touch")).unwrap();
        world.settle();
        drop(dropped);
        let subscribed =
            world.network().sent.iter().position(|f| f["payload"]["request_id"] == "s");
        world.answers(subscribed.unwrap(), 201, &Value::Null);
        for n in 0..3 {
            world.updates(subscribed.unwrap(), &json!(n));
        }
        world.receives([json!("no object")]);
        world.loses(ConnectionError::Dropped);
        world.passes(Duration::from_secs(31));
        drop((response, changes, heard));
        world.client().close_now();
        world.settle();
        done.send((collector.spans(), collector.events())).unwrap();
    });
    let (spans, events) = ended.recv_timeout(Duration::from_secs(10)).expect("the story ends");
    assert_eq!(spans.len(), 4, "{spans:#?}");
    for target in ["connection", "request", "subscription", "frame"] {
        let told = events.iter().filter(|event| event.contains(&format!(" dcrf::{target} ")));
        assert!(told.count() > 0, "{target}: {events:#?}");
    }
}

#[test]
fn a_request_belongs_to_its_callers_span_and_the_rest_to_the_clients() {
    let collector = Collector::default();
    let _guard = collector.collect();
    let setup = tracing::span!(target: "story", Level::INFO, "setup");
    let mut world = setup.in_scope(World::connected);
    drop(setup);
    let span = tracing::span!(target: "story", Level::INFO, "checkout");
    let response = span.in_scope(|| world.client().list::<Value>("tasks"));
    world.settle();
    world.answers(0, 200, &Value::Null);
    world.client().close_now();
    world.settle();
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
        "also what its caller does: {events:#?}"
    );
    drop(world);
    drop(span);
    assert_eq!(collector.open(), 0);
}

#[test]
fn a_span_ends_also_where_the_driver_is_faster_than_the_caller() {
    let _turn = turn();
    let (begun, begins) = mpsc::channel();
    let (answered, answers) = mpsc::channel::<()>();
    let collector = Collector::default();
    let answers = Mutex::new(answers);
    // The caller's thread begins the span, and meanwhile the driver's is told the answer.
    let act = move |begins: Option<&str>| {
        if begins == Some("request") {
            begun.send(()).unwrap();
            answers.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        }
    };
    let slow = Busy { collector: collector.clone(), act };
    let mut world = World::connected();
    let client = world.client().clone();
    let caller = std::thread::spawn(move || {
        let _guard = set_default(slow);
        client.list::<Value>("tasks")
    });
    begins.recv_timeout(Duration::from_secs(10)).unwrap();
    world.settle();
    world.answers(0, 200, &json!(1));
    answered.send(()).unwrap();
    let response = caller.join().unwrap();
    assert_eq!(World::poll(response), Some(Ok(json!(1))));
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert!(spans[0].ends_with(" outcome=ok ms=0 sent=true"), "{spans:?}");
    assert_eq!(collector.events(), ["DEBUG dcrf::request ok in request"]);
    assert_eq!(collector.open(), 0);
}

/// Panics whenever it is told something.
fn panicking() -> impl Subscriber {
    Busy { collector: Collector::default(), act: |_: Option<&str>| panic!("a subscriber's fault") }
}

#[test]
fn a_subscriber_that_panics_leaves_the_driver_awake() {
    let _turn = turn();
    let mut world = World::connected();
    let driver = Task::new();
    world.poll_driver_with(&driver.waker());
    let client = world.client().clone();
    let call = || {
        let _guard = set_default(panicking());
        client.list::<Value>("tasks")
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err(), "it is told of the call");
    assert!(driver.is_woken(), "nobody else would send what was called meanwhile");

    let response = client.list::<Value>("tasks");
    world.settle();
    world.answers(world.sent_actions().len() - 1, 200, &json!(1));
    assert_eq!(World::poll(response), Some(Ok(json!(1))));
}

#[test]
fn a_subscriber_that_panics_leaves_nobody_waiting_for_a_driver_that_is_dropped() {
    let _turn = turn();
    let mut world = World::connected();
    let mut response = world.client().list::<Value>("tasks");
    world.settle();
    let waiter = Task::new();
    assert_eq!(waiter.poll(&mut response), None);
    let end = || {
        let _guard = set_default(panicking());
        world.drop_driver();
    };
    assert!(catch_unwind(AssertUnwindSafe(end)).is_err(), "it is told of the end");
    assert!(waiter.is_woken());
    assert!(matches!(waiter.poll(response), Some(Err(RequestError::Closed { .. }))));
}
