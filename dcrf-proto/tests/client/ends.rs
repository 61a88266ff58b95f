//! How subscriptions, requests and clients end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::memory::{Setup, Task};
use dcrf_proto::client::{ChangeError, Subscription};
use dcrf_proto::{
    Change, CloseOptions, ConnectionError, Request, RequestError, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

fn subscribed(setup: &mut Setup) -> Subscription<u32> {
    let mut subscribing = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    setup.settle();
    setup.reply(0, 201, &Value::Null);
    Setup::poll(subscribing.as_mut()).unwrap().unwrap()
}

#[test]
fn s9_cancel_completes_after_the_error_was_read() {
    let mut setup = Setup::connected();
    let mut changes = subscribed(&mut setup);
    setup.disconnect(ConnectionError::Dropped);
    setup.advance(Duration::from_secs(2));
    setup.reply(1, 404, &Value::Null);
    assert!(matches!(
        Setup::poll(changes.next()),
        Some(Some(Err(ChangeError::Subscription(SubscriptionError::Gone(_)))))
    ));
    let mut cancel = pin!(changes.cancel());
    setup.settle();
    setup.advance(Duration::from_secs(60));
    assert_eq!(Setup::poll(cancel.as_mut()), Some(Ok(())));
}

#[test]
fn s9_cancel_completes_after_a_close() {
    let mut setup = Setup::connected();
    let mut changes = subscribed(&mut setup);
    setup.client().close_now();
    setup.settle();
    assert!(matches!(Setup::poll(changes.next()), Some(Some(Err(ChangeError::Subscription(_))))));
    setup.advance(Duration::from_secs(2));
    let mut cancel = pin!(changes.cancel());
    setup.advance(Duration::from_secs(60));
    assert_eq!(Setup::poll(cancel.as_mut()), Some(Ok(())));
}

#[test]
fn s12_unsubscribe_all_wakes_readers_with_the_error() {
    let mut setup = Setup::connected();
    let mut changes = subscribed(&mut setup);
    let mut pending = pin!(setup.client().subscribe::<u32>(Subscribe::instance("tasks", 8)));
    setup.settle();
    let reader = Task::new();
    assert_eq!(reader.poll(changes.next()), None);
    assert!(Setup::poll(pending.as_mut()).is_none());

    assert_eq!(setup.client().unsubscribe_all(), 2);
    setup.settle();

    assert!(reader.is_woken());
    let unsubscribed = Err(ChangeError::Subscription(SubscriptionError::Unsubscribed));
    assert_eq!(Setup::poll(changes.next()), Some(Some(unsubscribed)));
    assert_eq!(Setup::poll(changes.next()), Some(None));
    assert_eq!(
        Setup::poll(pending.as_mut()).unwrap().unwrap_err(),
        SubscriptionError::Unsubscribed
    );
    assert_eq!(Setup::poll(changes.cancel()), Some(Ok(())));
    let sent: Vec<Value> = setup.network().sent.clone();
    let last: Vec<&Value> = sent.iter().rev().take(2).map(|f| &f["payload"]["action"]).collect();
    assert_eq!(last, ["unsubscribe_instance", "unsubscribe_instance"]);
    assert_eq!(setup.client().stats().subscriptions, 0);
}

#[test]
fn s9_cancel_completes_after_unsubscribe_all() {
    let mut setup = Setup::connected();
    let changes = subscribed(&mut setup);
    setup.client().unsubscribe_all();
    let mut cancel = pin!(changes.cancel());
    setup.settle();
    assert_eq!(Setup::poll(cancel.as_mut()), Some(Ok(())));
}

#[test]
fn s12_resubscribe_sends_the_same_frame_and_yields_no_change() {
    let mut setup = Setup::connected();
    let mut changes = subscribed(&mut setup);
    setup.client().resubscribe();
    setup.settle();
    let sent: Vec<Value> = setup.network().sent.clone();
    assert_eq!(sent[0], sent[1]);
    setup.reply(1, 201, &Value::Null);
    assert!(Setup::poll(changes.next()).is_none());
    setup.send_update(0, &json!(5));
    assert_eq!(Setup::poll(changes.next()), Some(Some(Ok(Change::Update(5)))));
}

#[test]
fn r3_request_is_not_sent_after_its_deadline() {
    let mut setup = Setup::connected();
    setup.network().ready_blocked = true;
    let request = Request::new("tools", "echo").timeout(Duration::from_secs(1));
    let mut reply = pin!(setup.client().call::<Value>(request));
    setup.settle();
    // The socket accepts frames again, but only after the deadline.
    setup.network().ready_blocked = false;
    setup.advance(Duration::from_secs(1));
    let result = Setup::poll(reply.as_mut());
    let sent = setup.network().sent.len();
    assert_eq!((result, sent), (Some(Err(RequestError::TimedOut { sent: false })), 0));
}

#[test]
fn c1_close_continues_after_the_last_handle_is_dropped() {
    let mut setup = Setup::connected();
    let changes = subscribed(&mut setup);
    let mut closing = pin!(setup.client().close_with(CloseOptions::default().unsubscribe()));
    drop(changes);
    setup.client = None;
    setup.settle();
    assert!(Setup::poll(closing.as_mut()).is_none());
    let sent: Vec<Value> = setup.network().sent.clone();
    assert_eq!(sent.last().unwrap()["payload"]["action"], json!("unsubscribe_instance"));
}

/// Decrements a counter when it is dropped.
struct Counted(Arc<AtomicUsize>);
impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn c2_dropped_close_future_leaves_no_waker() {
    let mut setup = Setup::connected();
    let alive = Arc::new(AtomicUsize::new(0));
    let mut pending = Box::pin(setup.client().call::<Value>(Request::new("tools", "mute")));
    setup.settle();
    assert_eq!(Setup::poll(pending.as_mut()), None);
    for _ in 0..100 {
        let mut closing = Box::pin(setup.client().close());
        alive.fetch_add(1, Ordering::SeqCst);
        let waker = Waker::from(Arc::new(Counted(alive.clone())));
        assert!(closing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn c2_attached_value_is_dropped_after_the_last_handle() {
    let mut setup = Setup::connected();
    let changes = subscribed(&mut setup);
    let alive = Arc::new(AtomicUsize::new(1));
    dcrf_proto::client::attach(setup.client(), Counted(alive.clone()));
    setup.client = None;
    setup.settle();
    assert_eq!(alive.load(Ordering::SeqCst), 1, "a subscription keeps its client alive");
    drop(changes);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

/// Panics when it is decoded.
#[derive(Debug)]
struct Panics;

impl<'de> serde::Deserialize<'de> for Panics {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("expected in the output of this test")
    }
}

#[test]
fn s5_panicking_reader_does_not_affect_others() {
    let mut setup = Setup::connected();
    let mut healthy = subscribed(&mut setup);
    let panics = setup.client().subscribe::<Panics>(Subscribe::instance("tasks", 7));
    let mut panics = Setup::poll(panics).unwrap().unwrap();
    setup.send_update(0, &json!(1));
    setup.send_update(0, &json!(2));

    let next = std::panic::AssertUnwindSafe(|| Setup::poll(panics.next()));
    assert!(std::panic::catch_unwind(next).is_err());
    for number in 1..3 {
        let change = Setup::poll(healthy.next()).unwrap().unwrap().unwrap();
        assert_eq!(change, dcrf_proto::Change::Update(number));
    }
    let mut reply = pin!(setup.client().call::<u32>(Request::retrieve("tasks", 7)));
    setup.settle();
    setup.reply(1, 200, &json!(3));
    assert_eq!(Setup::poll(reply.as_mut()), Some(Ok(3)));
}
