//! Many threads call, cancel and drop concurrently on one client. Every call gets its own reply, nothing is sent twice,
//! and nothing is left behind.
#![allow(clippy::disallowed_methods, reason = "the test needs threads and a time limit")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::memory::Setup;
use crate::server_frames::{action_of, event, reply};
use dcrf_proto::client::Client;
use dcrf_proto::{Change, ConnectionError, Request, Selector, Subscribe};
use futures_lite::future::block_on;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

const THREADS: u64 = 8;
const CALLS: u64 = 400;
/// A driver that takes longer than this to end hangs.
const LIMIT: Duration = Duration::from_secs(60);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Polls up to `times` times, then drops the future.
fn poll_and_drop<T>(times: u64, future: impl Future<Output = T>) {
    let mut future = pin!(future);
    let waker = waker();
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return;
        }
        thread::yield_now();
    }
}

/// Runs the driver and the server until the last handle is dropped.
fn drive(mut setup: Setup) -> Setup {
    let (waker, mut replied) = (waker(), 0);
    loop {
        setup.poll_driver_with(&waker);
        if setup.driver_has_ended() {
            return setup;
        }
        let new: Vec<Value> = setup.network().sent[replied..].to_vec();
        replied += new.len();
        let closed_with = setup.network().closed_with.take();
        if let Some(frame) = closed_with {
            setup.disconnect(ConnectionError::Closed(frame));
        } else if new.is_empty() {
            thread::park();
        }
        setup.send_frames(new.iter().flat_map(replies_to));
    }
}

fn replies_to(frame: &Value) -> Vec<Value> {
    let number = &frame["payload"]["number"];
    let update = |n: u64| event(frame, "update", &json!(n));
    match action_of(frame) {
        "subscribe_instance" => {
            vec![reply(frame, 201, &Value::Null), update(0), update(1), update(2)]
        }
        "unsubscribe_instance" => vec![reply(frame, 204, &Value::Null)],
        "print" => (0..3).map(|_| reply(frame, 200, number)).collect(),
        "message" | "stop" => Vec::new(),
        _ => vec![reply(frame, 200, number)],
    }
}

/// Makes random calls on one thread. Every call that is awaited must get its reply.
fn call(client: &Client, thread: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(thread);
    for call in 0..CALLS {
        let number = thread * CALLS + call;
        let polls = random.next_u64() % 4;
        let echo = || client.call::<u64>(Request::new("tools", "echo").arg("number", number));
        let subscribe = || client.subscribe::<u64>(Subscribe::instance("tasks", shared_pk(number)));
        match random.next_u64() % 9 {
            0 | 1 => assert_eq!(block_on(echo()), Ok(number)),
            2 => poll_and_drop(polls, echo()),
            3 => poll_and_drop(polls, subscribe()),
            4 => {
                let mut changes = block_on(subscribe()).unwrap();
                poll_and_drop(polls, changes.next());
            }
            5 => {
                let own = Subscribe::instance("tasks", 1_000 + number);
                let mut changes = block_on(client.subscribe::<u64>(own)).unwrap();
                for n in 0..3 {
                    assert_eq!(block_on(changes.next()), Some(Ok(Change::Update(n))));
                }
                block_on(changes.cancel()).unwrap();
            }
            6 => {
                let request = Request::new("tools", "print").arg("number", number);
                let mut replies = client.stream::<u64>(request.cancel_action("stop"));
                assert_eq!(block_on(replies.next()), Some(Ok(number)));
                poll_and_drop(polls, replies.next());
            }
            7 => {
                let listener = client.listen::<Value>(Selector::any());
                poll_and_drop(polls, listener.unwrap().next());
            }
            _ => {
                client.send(Request::new("tools", "message").arg("number", number)).unwrap();
                poll_and_drop(polls, client.flush());
            }
        }
    }
}

/// Several threads subscribe to the same objects.
fn shared_pk(number: u64) -> u64 {
    number % 5
}

#[test]
fn threads_call_cancel_and_drop_concurrently() {
    let mut setup = Setup::connected();
    let client = setup.client.take().unwrap();
    let driver = thread::spawn(move || drive(setup));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = client.clone();
            thread::spawn(move || call(&client, thread))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }

    // The reply to this request shows that the driver has processed everything that was dropped.
    block_on(client.call::<u64>(Request::new("tools", "echo").arg("number", u64::MAX))).unwrap();
    let stats = client.stats();
    assert_eq!((stats.requests, stats.waiting_requests, stats.waiting_bytes), (0, 0, 0));
    assert_eq!((stats.subscriptions, stats.listeners), (0, 0));
    assert_eq!((stats.unread_changes, stats.unread_replies, stats.unread_frames), (0, 0, 0));

    client.close_now();
    drop(client);
    let setup = join(driver);
    let mut numbers = BTreeSet::new();
    for frame in &setup.network().sent {
        if let Some(number) = frame["payload"]["number"].as_u64() {
            assert!(numbers.insert(number), "{frame} was sent twice");
        }
    }
    assert!(numbers.len() as u64 > THREADS * CALLS / 3);
}

/// Waits for the driver, which ends with the last handle.
fn join(driver: thread::JoinHandle<Setup>) -> Setup {
    let began = Instant::now();
    while !driver.is_finished() {
        assert!(began.elapsed() < LIMIT, "the driver hangs");
        thread::yield_now();
    }
    driver.join().unwrap()
}
