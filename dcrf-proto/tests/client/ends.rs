//! The ends of subscriptions, requests and clients, as the handles see them over sockets in memory.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::memory::World;
use dcrf_proto::client::{ChangeError, Subscription};
use dcrf_proto::{
    Change, CloseOptions, ConnectionError, Request, RequestError, Subscribe, SubscriptionError,
};
use serde_json::{Value, json};

fn subscribed(world: &mut World) -> Subscription<u32> {
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    World::poll(subscribing.as_mut()).unwrap().unwrap()
}

#[test]
fn s9_a_cancel_after_the_end_was_read_resolves() {
    let mut world = World::connected();
    let mut changes = subscribed(&mut world);
    world.loses(ConnectionError::Dropped);
    world.passes(Duration::from_secs(2));
    world.answers(1, 404, &Value::Null);
    assert!(matches!(
        World::poll(changes.next()),
        Some(Some(Err(ChangeError::Subscription(SubscriptionError::Gone(_)))))
    ));
    let mut cancel = pin!(changes.cancel());
    world.settle();
    world.passes(Duration::from_secs(60));
    assert_eq!(World::poll(cancel.as_mut()), Some(Ok(())));
}

#[test]
fn s9_a_cancel_after_the_closed_was_read_resolves() {
    let mut world = World::connected();
    let mut changes = subscribed(&mut world);
    world.client().close_now();
    world.settle();
    assert!(matches!(World::poll(changes.next()), Some(Some(Err(ChangeError::Subscription(_))))));
    world.passes(Duration::from_secs(2));
    let mut cancel = pin!(changes.cancel());
    world.passes(Duration::from_secs(60));
    assert_eq!(World::poll(cancel.as_mut()), Some(Ok(())));
}

#[test]
fn s12_unsubscribe_all_wakes_who_waits_and_says_why() {
    let mut world = World::connected();
    let mut changes = subscribed(&mut world);
    let mut pending = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 8)));
    world.settle();
    let woken = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    assert!(pin!(changes.next()).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(World::poll(pending.as_mut()).is_none());

    assert_eq!(world.client().unsubscribe_all(), 2);
    world.settle();

    assert!(woken.0.load(Ordering::SeqCst));
    let ended = Err(ChangeError::Subscription(SubscriptionError::Unsubscribed));
    assert_eq!(World::poll(changes.next()), Some(Some(ended)));
    assert_eq!(World::poll(changes.next()), Some(None));
    assert_eq!(
        World::poll(pending.as_mut()).unwrap().unwrap_err(),
        SubscriptionError::Unsubscribed
    );
    assert_eq!(World::poll(changes.cancel()), Some(Ok(())));
    let sent: Vec<Value> = world.network().sent.clone();
    let last: Vec<&Value> = sent.iter().rev().take(2).map(|f| &f["payload"]["action"]).collect();
    assert_eq!(last, ["unsubscribe_instance", "unsubscribe_instance"]);
    assert_eq!(world.client().stats().subscriptions, 0);
}

#[test]
fn s9_a_cancel_after_unsubscribe_all_resolves() {
    let mut world = World::connected();
    let changes = subscribed(&mut world);
    world.client().unsubscribe_all();
    let mut cancel = pin!(changes.cancel());
    world.settle();
    assert_eq!(World::poll(cancel.as_mut()), Some(Ok(())));
}

#[test]
fn s12_resubscribe_sends_the_same_frame_and_the_reader_notices_nothing() {
    let mut world = World::connected();
    let mut changes = subscribed(&mut world);
    world.client().resubscribe();
    world.settle();
    let sent: Vec<Value> = world.network().sent.clone();
    assert_eq!(sent[0], sent[1]);
    world.answers(1, 201, &Value::Null);
    assert!(World::poll(changes.next()).is_none());
    world.updates(0, &json!(5));
    assert_eq!(World::poll(changes.next()), Some(Some(Ok(Change::Update(5)))));
}

#[test]
fn r3_a_deadline_that_passed_before_the_socket_took_it_keeps_it_from_the_wire() {
    let mut world = World::connected();
    world.network().stuck = true;
    let request = Request::new("tools", "echo").timeout(Duration::from_secs(1));
    let mut response = pin!(world.client().call::<Value>(request));
    world.settle();
    // In the second that passes, the socket takes frames again, after the deadline.
    world.network().stuck = false;
    world.passes(Duration::from_secs(1));
    let result = World::poll(response.as_mut());
    let sent = world.network().sent.len();
    assert_eq!((result, sent), (Some(Err(RequestError::TimedOut { sent: false })), 0));
}

#[test]
fn c1_the_wait_of_a_close_outlives_the_last_handle() {
    let mut world = World::connected();
    let changes = subscribed(&mut world);
    let mut closing = pin!(world.client().close_with(CloseOptions::default().unsubscribe()));
    drop(changes);
    world.client = None;
    world.settle();
    assert!(World::poll(closing.as_mut()).is_none());
    let sent: Vec<Value> = world.network().sent.clone();
    assert_eq!(sent.last().unwrap()["payload"]["action"], json!("unsubscribe_instance"));
}

struct Flag(AtomicBool);
impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

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
fn c2_a_dropped_wait_for_the_end_keeps_no_waker() {
    let mut world = World::connected();
    let alive = Arc::new(AtomicUsize::new(0));
    let mut pending = Box::pin(world.client().call::<Value>(Request::new("tools", "mute")));
    world.settle();
    assert_eq!(World::poll(pending.as_mut()), None);
    for _ in 0..100 {
        let mut closing = Box::pin(world.client().close());
        alive.fetch_add(1, Ordering::SeqCst);
        let waker = Waker::from(Arc::new(Counted(alive.clone())));
        assert!(closing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn c2_what_is_attached_is_dropped_behind_the_last_handle() {
    let mut world = World::connected();
    let changes = subscribed(&mut world);
    let attached = Arc::new(AtomicUsize::new(1));
    dcrf_proto::client::attach(world.client(), Counted(attached.clone()));
    world.client = None;
    world.settle();
    assert_eq!(attached.load(Ordering::SeqCst), 1, "a subscription keeps its client alive");
    drop(changes);
    assert_eq!(attached.load(Ordering::SeqCst), 0);
}

/// Panics when it is decoded.
#[derive(Debug)]
struct Panics;

impl<'de> serde::Deserialize<'de> for Panics {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("code of the user")
    }
}

#[test]
fn s5_a_reader_that_panics_starves_nobody() {
    let mut world = World::connected();
    let mut healthy = subscribed(&mut world);
    let panics = world.client().subscribe::<Panics>(Subscribe::instance("tasks", 7));
    let mut panics = World::poll(panics).unwrap().unwrap();
    world.updates(0, &json!(1));
    world.updates(0, &json!(2));

    let next = std::panic::AssertUnwindSafe(|| World::poll(panics.next()));
    assert!(std::panic::catch_unwind(next).is_err());
    for number in 1..3 {
        let change = World::poll(healthy.next()).unwrap().unwrap().unwrap();
        assert_eq!(change, dcrf_proto::Change::Update(number));
    }
    let mut response = pin!(world.client().call::<u32>(Request::retrieve("tasks", 7)));
    world.settle();
    world.answers(1, 200, &json!(3));
    assert_eq!(World::poll(response.as_mut()), Some(Ok(3)));
}
