//! The lock of a client is never held while a waker is cloned, dropped or woken: that runs code of the
//! executor, and of the user where a task that the waker keeps alive owns handles.
#![expect(clippy::disallowed_methods, reason = "a deadlock is noticed from another thread")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::memory::World;
use dcrf_proto::client::Client;
use dcrf_proto::{CloseOptions, ConnectionError, Request, Selector, Subscribe};
use serde_json::{Value, json};

/// A task that uses its client as it is woken, and as it goes.
struct Task(Client);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let _ = self.0.state();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.0.state();
    }
}

/// Polls once, with a waker that nobody else holds.
fn poll_by_a_task<T>(client: &Client, future: impl Future<Output = T>) -> Poll<T> {
    let waker = Waker::from(Arc::new(Task(client.clone())));
    pin!(future).poll(&mut Context::from_waker(&waker))
}

/// Runs a story on a thread of its own, since a deadlock would never end.
fn without_deadlock(story: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        story();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("the story ends");
}

fn subscribed(world: &mut World) -> dcrf_proto::client::Subscription<u32> {
    let mut subscribing = pin!(world.client().subscribe::<u32>(Subscribe::instance("tasks", 7)));
    world.settle();
    world.answers(0, 201, &Value::Null);
    World::poll(subscribing.as_mut()).unwrap().unwrap()
}

#[test]
fn of_a_response_that_another_task_polls() {
    without_deadlock(|| {
        let world = World::connected();
        let client = world.client().clone();
        let mut response = pin!(client.call::<Value>(Request::new("tools", "echo")));
        assert!(poll_by_a_task(&client, response.as_mut()).is_pending());
        assert!(poll_by_a_task(&client, response.as_mut()).is_pending());
    });
}

#[test]
fn of_a_response_that_is_dropped_or_answered() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut answered = Box::pin(client.call::<Value>(Request::new("tools", "echo")));
        let mut dropped = Box::pin(client.call::<Value>(Request::new("tools", "echo")));
        world.settle();
        assert!(poll_by_a_task(&client, answered.as_mut()).is_pending());
        assert!(poll_by_a_task(&client, dropped.as_mut()).is_pending());
        drop(dropped);
        world.answers(0, 200, &json!(1));
        assert!(poll_by_a_task(&client, answered.as_mut()).is_ready());
    });
}

#[test]
fn of_a_subscription_that_is_read_dropped_or_cancelled() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut changes = subscribed(&mut world);
        for _ in 0..2 {
            assert!(poll_by_a_task(&client, changes.next()).is_pending());
        }
        world.updates(0, &json!(1));
        assert!(poll_by_a_task(&client, changes.next()).is_ready());
        assert!(poll_by_a_task(&client, changes.next()).is_pending());
        let mut cancel = Box::pin(changes.cancel());
        for _ in 0..2 {
            assert!(poll_by_a_task(&client, cancel.as_mut()).is_pending());
        }
        drop(cancel);
    });
}

#[test]
fn of_a_stream_of_notices_that_is_read_or_dropped() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut events = client.events();
        for _ in 0..2 {
            assert!(poll_by_a_task(&client, events.next()).is_pending());
        }
        world.receives([json!({"stream": "tools", "payload": {"type": "tick"}})]);
        world.settle();
        assert!(poll_by_a_task(&client, events.next()).is_ready());
        assert!(poll_by_a_task(&client, events.next()).is_pending());
        drop(events);
    });
}

#[test]
fn of_a_stream_of_replies_that_is_read_dropped_or_ended() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let print = || Request::new("reports", "print").cancel_action("stop");
        let mut dropped = client.stream::<u32>(print());
        let mut finished = client.stream::<u32>(print()).until(|number| *number == 1);
        let mut interrupted = client.stream::<u32>(print());
        let mut closed = client.stream::<u32>(print());
        world.settle();
        for lines in [&mut dropped, &mut finished, &mut interrupted, &mut closed] {
            for _ in 0..2 {
                assert!(poll_by_a_task(&client, lines.next()).is_pending());
            }
        }
        drop(dropped);
        world.answers(1, 200, &json!(1));
        assert!(poll_by_a_task(&client, finished.next()).is_ready());
        world.loses(ConnectionError::Dropped);
        assert!(poll_by_a_task(&client, interrupted.next()).is_ready());
        client.close_now();
        assert!(poll_by_a_task(&client, closed.next()).is_ready());
    });
}

#[test]
fn of_a_stream_of_replies_whose_end_is_read_before_the_driver_wakes_its_reader() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut lines = client.stream::<u32>(Request::new("reports", "print"));
        world.settle();
        assert!(poll_by_a_task(&client, lines.next()).is_pending());
        client.close_now();
        assert!(poll_by_a_task(&client, lines.next()).is_ready());
    });
}

#[test]
fn of_pages_that_are_read_or_dropped() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut asked = client.list_pages::<u32>(Request::list("rows"));
        let mut streamed = client.stream_pages::<u32>(Request::list("rows"));
        world.settle();
        for pages in [&mut asked, &mut streamed] {
            assert!(poll_by_a_task(&client, pages.next()).is_pending());
        }
        let page = json!({"count": 4, "results": [1, 2], "limit": 2, "offset": 0});
        world.answers(0, 200, &page);
        world.answers(1, 200, &page);
        for pages in [&mut asked, &mut streamed] {
            assert!(poll_by_a_task(&client, pages.next()).is_ready());
            assert!(poll_by_a_task(&client, pages.next()).is_pending());
        }
    });
}

#[test]
fn of_a_listener_that_is_read_dropped_or_ended() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut dropped = client.listen::<Value>(Selector::any()).unwrap();
        let mut ended = client.listen::<Value>(Selector::any()).unwrap();
        for heard in [&mut dropped, &mut ended] {
            assert!(poll_by_a_task(&client, heard.next()).is_pending());
        }
        world.receives([json!({"stream": "tools", "payload": {"type": "tick"}})]);
        world.settle();
        for heard in [&mut dropped, &mut ended] {
            assert!(poll_by_a_task(&client, heard.next()).is_ready());
            assert!(poll_by_a_task(&client, heard.next()).is_pending());
        }
        drop(dropped);
        world.drop_driver();
        assert!(poll_by_a_task(&client, ended.next()).is_ready());
    });
}

#[test]
fn of_a_flush_that_resolves_fails_or_is_dropped() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        world.network().stuck = true;
        client.send(Request::new("chat", "typing")).unwrap();
        let mut flushes: Vec<_> = (0..2).map(|_| Box::pin(client.flush())).collect();
        for flush in &mut flushes {
            for _ in 0..2 {
                assert!(poll_by_a_task(&client, flush.as_mut()).is_pending());
            }
        }
        drop(flushes.pop());
        world.network().stuck = false;
        world.settle();
        assert!(poll_by_a_task(&client, flushes[0].as_mut()).is_ready());

        world.network().stuck = true;
        client.send(Request::new("chat", "typing")).unwrap();
        let mut failing = Box::pin(client.flush());
        assert!(poll_by_a_task(&client, failing.as_mut()).is_pending());
        drop(client.close_with(CloseOptions::now()));
        world.drop_driver();
        assert!(poll_by_a_task(&client, failing.as_mut()).is_ready());
    });
}

#[test]
fn of_the_driver_and_of_those_who_wait_for_its_end() {
    without_deadlock(|| {
        let mut world = World::connected();
        let client = world.client().clone();
        let mut close = Box::pin(client.close());
        for _ in 0..2 {
            assert!(poll_by_a_task(&client, close.as_mut()).is_pending());
        }
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(Task(client.clone())));
            world.poll_driver_with(&waker);
        }
        world.passes(Duration::from_secs(2));
        assert!(poll_by_a_task(&client, close.as_mut()).is_ready());
    });
}
