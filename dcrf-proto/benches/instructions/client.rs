//! The paths through the handles and the driver, over a socket that is two queues in memory. One thread polls them in
//! turn, so that each run does the same.

#![allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]

use std::collections::VecDeque;
use std::future::{Future, Pending, pending};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Instant, SystemTime};

use dcrf_proto::client::{Client, Received, Socket, Transport};
use dcrf_proto::{Attempt, Change, Config, ConnectionError, Frame, Seed, Subscribe};
use serde::Deserialize;

use crate::Meter;
use crate::frames::{frame, id, task, update};

const COUNT: u32 = 1_000;

/// What the caller wants an object as.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "all of it is decoded, whatever is read")]
struct Task {
    pk: u64,
    title: String,
    done: bool,
    priority: u8,
}

#[derive(Default)]
struct Queues {
    sent: VecDeque<String>,
    incoming: VecDeque<String>,
    /// Who waits for what comes in.
    receiver: Option<Waker>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Queues>>);

impl Memory {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().expect("nothing panics with it")
    }
}

impl Transport for Memory {
    type Socket = Self;
    type Timer = Pending<()>;

    /// A clock that stands still.
    fn now() -> Instant {
        static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
        *NOW
    }

    fn wall_clock() -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep_until(&self, _: Instant) -> Self::Timer {
        pending()
    }

    async fn dial(&self, _: Attempt) -> Result<Self, ConnectionError> {
        Ok(self.clone())
    }
}

impl Socket for Memory {
    type Text = String;
    type Binary = Vec<u8>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        Poll::Ready(Ok(()))
    }

    fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        if let Frame::Text(text) = frame {
            self.queues().sent.push_back(text);
        }
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received<Self>, ConnectionError>> {
        let mut queues = self.queues();
        if let Some(text) = queues.incoming.pop_front() {
            return Poll::Ready(Ok(Frame::Text(text)));
        }
        queues.receiver = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Whether the driver has been woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that is connected, its driver, and its socket's other end.
struct World {
    client: Client,
    driver: Pin<Box<dyn Future<Output = ()>>>,
    memory: Memory,
    woken: Arc<Woken>,
    waker: Waker,
}

impl World {
    fn new() -> Self {
        let memory = Memory::default();
        let (client, driver) = Client::new(Config::default(), Seed::from([7; 32]), memory.clone());
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut world = Self { client, driver: Box::pin(driver), memory, woken, waker };
        world.drive();
        world
    }

    /// Polls the driver as often as it is woken, as a runtime does.
    fn drive(&mut self) {
        while self.woken.0.swap(false, Ordering::Relaxed) {
            let poll = self.driver.as_mut().poll(&mut Context::from_waker(&self.waker));
            assert!(poll.is_pending(), "the driver goes on");
        }
    }

    /// The message that the client has sent.
    fn sent(&self) -> String {
        self.memory.queues().sent.pop_front().expect("a message")
    }

    /// The server sends a frame.
    fn receives(&self, frame: String) {
        let mut queues = self.memory.queues();
        queues.incoming.push_back(frame);
        let receiver = queues.receiver.take();
        drop(queues);
        receiver.expect("the driver waits for frames").wake();
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Requests, each from the call to the object as the caller's type.
pub(crate) fn request(meter: &mut Meter) -> u32 {
    let mut world = World::new();
    let data = task(40);
    meter.measure(|meter| {
        for pk in 0..COUNT {
            let mut response = meter.run(|| {
                let mut response = world.client.retrieve::<Task>("tasks", black_box(pk));
                assert!(poll(&mut response).is_pending(), "it is not answered yet");
                world.drive();
                response
            });
            world.receives(frame("retrieve", 200, &data, id(&world.sent())));
            meter.run(|| {
                world.drive();
                let answer = black_box(poll(&mut response));
                assert!(matches!(answer, Poll::Ready(Ok(_))));
            });
        }
        COUNT
    })
}

/// Events, each from the socket to the object as the subscriber's type.
pub(crate) fn event(meter: &mut Meter) -> u32 {
    let mut world = World::new();
    let mut subscribing = world.client.subscribe::<Task>(Subscribe::instance("tasks", 7));
    world.drive();
    let asked = world.sent();
    world.receives(frame("subscribe_instance", 201, "null", id(&asked)));
    world.drive();
    let Poll::Ready(Ok(mut tasks)) = poll(&mut subscribing) else {
        unreachable!("it is acknowledged")
    };
    meter.measure(|meter| {
        for _ in 0..COUNT {
            world.receives(update(221, id(&asked)));
            meter.run(|| {
                world.drive();
                let change = black_box(poll(&mut pin!(tasks.next())));
                assert!(matches!(change, Poll::Ready(Some(Ok(Change::Update(_))))));
            });
        }
        COUNT
    })
}
