//! The paths through a client and its driver, over an in-memory socket. A single thread polls them in turn, so every run
//! executes the same instructions.

#![allow(clippy::disallowed_methods, reason = "the origin of the virtual clock")]

use std::collections::VecDeque;
use std::future::{Future, Pending, pending};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Instant, SystemTime};

use dcrf_proto::client::{self, Client, Received, Socket, Transport};
use dcrf_proto::{Attempt, Change, Config, ConnectionError, Frame, Seed, Subscribe};
use serde::Deserialize;

use crate::Meter;
use crate::frames::{frame, id, task, update};

const COUNT: u32 = 1_000;

/// The caller's type for an object.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "the fields are decoded but not read")]
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
    receiver: Option<Waker>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Queues>>);

impl Memory {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().expect("not poisoned")
    }
}

impl Transport for Memory {
    type Socket = Self;
    type Timer = Pending<()>;

    /// A stopped clock.
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

/// A connected client, its driver, and the server's end of its socket.
struct Connection {
    client: Client,
    driver: Pin<Box<dyn Future<Output = ()>>>,
    memory: Memory,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Connection {
    fn new() -> Self {
        let memory = Memory::default();
        let (client, driver) =
            client::start(Config::default(), Seed::from([7; 32]), memory.clone());
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut connection = Self { client, driver: Box::pin(driver), memory, woken, waker };
        connection.drive();
        connection
    }

    /// Polls the driver as often as it is woken, as a runtime does.
    fn drive(&mut self) {
        while self.woken.0.swap(false, Ordering::Relaxed) {
            let poll = self.driver.as_mut().poll(&mut Context::from_waker(&self.waker));
            assert!(poll.is_pending(), "the driver never ends");
        }
    }

    /// The next message from the client.
    fn sent(&self) -> String {
        self.memory.queues().sent.pop_front().expect("a message")
    }

    /// Sends a frame to the client.
    fn receive(&self, frame: String) {
        let mut queues = self.memory.queues();
        queues.incoming.push_back(frame);
        let receiver = queues.receiver.take();
        drop(queues);
        receiver.expect("the driver is waiting for frames").wake();
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Requests, each from the call to the decoded object.
pub(crate) fn request(meter: &mut Meter) -> u32 {
    let mut connection = Connection::new();
    let data = task(40);
    meter.measure(|meter| {
        for pk in 0..COUNT {
            let mut reply = meter.run(|| {
                let mut reply = connection.client.retrieve::<Task>("tasks", black_box(pk));
                assert!(poll(&mut reply).is_pending(), "there is no reply yet");
                connection.drive();
                reply
            });
            connection.receive(frame("retrieve", 200, &data, id(&connection.sent())));
            meter.run(|| {
                connection.drive();
                let reply = black_box(poll(&mut reply));
                assert!(matches!(reply, Poll::Ready(Ok(_))));
            });
        }
        COUNT
    })
}

/// Events, each from the socket to the subscriber's decoded object.
pub(crate) fn event(meter: &mut Meter) -> u32 {
    let mut connection = Connection::new();
    let mut subscribed = connection.client.subscribe::<Task>(Subscribe::instance("tasks", 7));
    connection.drive();
    let subscribe = connection.sent();
    connection.receive(frame("subscribe_instance", 201, "null", id(&subscribe)));
    connection.drive();
    let Poll::Ready(Ok(mut tasks)) = poll(&mut subscribed) else {
        unreachable!("it is acknowledged")
    };
    meter.measure(|meter| {
        for _ in 0..COUNT {
            connection.receive(update(221, id(&subscribe)));
            meter.run(|| {
                connection.drive();
                let change = black_box(poll(&mut pin!(tasks.next())));
                assert!(matches!(change, Poll::Ready(Some(Ok(Change::Update(_))))));
            });
        }
        COUNT
    })
}
