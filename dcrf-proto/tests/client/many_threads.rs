//! Many threads that call, cancel and drop at once, with one client: every call has its own answer, nothing is sent
//! twice, and nothing is left behind.
#![allow(clippy::disallowed_methods, reason = "threads, and the real time to give up on them")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::memory::{World, event};
use dcrf_proto::client::Client;
use dcrf_proto::{Change, ConnectionError, Request, Selector, Subscribe};
use futures_lite::future::block_on;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

const THREADS: u64 = 8;
const CALLS: u64 = 400;
/// What takes longer hangs.
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

/// Polls up to so many times, and drops.
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

/// The driver and the server, on a thread of their own until the last handle is dropped.
fn drive(mut world: World) -> World {
    let (waker, mut answered) = (waker(), 0);
    loop {
        world.poll_driver_with(&waker);
        if world.driver_has_ended() {
            return world;
        }
        let new: Vec<Value> = world.network().sent[answered..].to_vec();
        answered += new.len();
        let closed_with = world.network().closed_with.take();
        if let Some(frame) = closed_with {
            world.loses(ConnectionError::Closed(frame));
        } else if new.is_empty() {
            thread::park();
        }
        world.receives(new.iter().flat_map(answers));
    }
}

fn answers(frame: &Value) -> Vec<Value> {
    let (action, number) = (&frame["payload"]["action"], &frame["payload"]["number"]);
    let reply = |status: u16, data: &Value| event(frame, action, status, data);
    let update = |n: u64| event(frame, &json!("update"), 200, &json!(n));
    match action.as_str().unwrap() {
        "subscribe_instance" => vec![reply(201, &Value::Null), update(0), update(1), update(2)],
        "unsubscribe_instance" => vec![reply(204, &Value::Null)],
        "print" => (0..3).map(|_| reply(200, number)).collect(),
        "said" | "stop" => Vec::new(),
        _ => vec![reply(200, number)],
    }
}

/// One thread: what it does is drawn from its seed, and what it awaits must come.
fn call(client: &Client, thread: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(thread);
    for call in 0..CALLS {
        let number = thread * CALLS + call;
        let polls = random.next_u64() % 4;
        let echo = || client.call::<u64>(Request::new("tools", "echo").arg("number", number));
        let subscribe = || client.subscribe::<u64>(Subscribe::instance("tasks", random_pk(number)));
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
                let heard = client.listen::<Value>(Selector::any());
                poll_and_drop(polls, heard.unwrap().next());
            }
            _ => {
                client.send(Request::new("tools", "said").arg("number", number)).unwrap();
                poll_and_drop(polls, client.flush());
            }
        }
    }
}

/// Some objects are subscribed to by several threads at once.
fn random_pk(number: u64) -> u64 {
    number % 5
}

#[test]
fn many_threads_call_cancel_and_drop_at_once() {
    let mut world = World::connected();
    let client = world.client.take().unwrap();
    let driver = thread::spawn(move || drive(world));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = client.clone();
            thread::spawn(move || call(&client, thread))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }

    // What was dropped has left nothing, once the driver has had its turn.
    block_on(client.call::<u64>(Request::new("tools", "echo").arg("number", u64::MAX))).unwrap();
    let stats = client.stats();
    assert_eq!((stats.requests, stats.waiting_requests, stats.waiting_bytes), (0, 0, 0));
    assert_eq!((stats.subscriptions, stats.listeners), (0, 0));
    assert_eq!((stats.unread_changes, stats.unread_replies, stats.unread_frames), (0, 0, 0));

    client.close_now();
    drop(client);
    let world = join(driver);
    let mut numbers = BTreeSet::new();
    for frame in &world.network().sent {
        if let Some(number) = frame["payload"]["number"].as_u64() {
            assert!(numbers.insert(number), "{frame} was sent twice");
        }
    }
    assert!(numbers.len() as u64 > THREADS * CALLS / 3);
}

/// The driver ends with the last handle, and does not need to be woken for it by anybody else.
fn join(driver: thread::JoinHandle<World>) -> World {
    let began = Instant::now();
    while !driver.is_finished() {
        assert!(began.elapsed() < LIMIT, "the driver does not end");
        thread::yield_now();
    }
    driver.join().unwrap()
}
