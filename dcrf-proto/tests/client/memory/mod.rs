//! An in-memory transport. Sockets are queues, and the test advances the clock and polls the driver.
#![allow(unreachable_pub, reason = "test modules have no users outside")]
#![expect(clippy::disallowed_methods, reason = "each test reads the clock once, as its epoch")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

use dcrf_proto::client::{self, Client, Socket, Transport};
use dcrf_proto::{Attempt, CloseFrame, Config, ConnectionError, FailureAction, Frame, Seed};
use serde_json::Value;

use crate::server_frames;

thread_local! {
    /// Each test runs on its own thread, so each has its own clock.
    static NOW: RefCell<Instant> = RefCell::new(Instant::now());
    static WALL: RefCell<SystemTime> = const { RefCell::new(SystemTime::UNIX_EPOCH) };
}

/// What the client has sent, and what the server does next.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags are independent")]
pub struct Network {
    pub dials: usize,
    pub attempts: Vec<Attempt>,
    /// What the failure policy returns for the next failures.
    pub failure_actions: VecDeque<Option<FailureAction>>,
    /// The subprotocol that the server picks at the next dials.
    pub protocol: Option<String>,
    /// The errors of the next dials. Without one, a dial succeeds.
    pub dial_errors: VecDeque<ConnectionError>,
    pub sent: Vec<Value>,
    pub flushes: usize,
    pub pings: usize,
    pub closed_with: Option<CloseFrame>,
    /// The deadline of the driver's last timer.
    pub timer: Option<Instant>,
    /// Whether `poll_linger` stays pending.
    pub lingers: bool,
    /// Whether the driver holds a socket.
    pub connected: bool,
    /// Whether `poll_ready` stays pending.
    pub ready_blocked: bool,
    /// Whether `poll_flush` stays pending.
    pub flush_blocked: bool,
    incoming: VecDeque<String>,
    end: Option<ConnectionError>,
    receiver: Option<Waker>,
}

#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Network>>);

impl Transport for Memory {
    type Socket = MemorySocket;
    type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn now() -> Instant {
        NOW.with_borrow(|now| *now)
    }

    fn wall_clock() -> SystemTime {
        WALL.with_borrow(|wall| *wall)
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Timer {
        self.0.lock().unwrap().timer = Some(deadline);
        Box::pin(poll_fn(
            move |_| if Self::now() < deadline { Poll::Pending } else { Poll::Ready(()) },
        ))
    }

    async fn dial(&self, attempt: Attempt) -> Result<MemorySocket, ConnectionError> {
        let mut network = self.0.lock().unwrap();
        network.dials += 1;
        network.attempts.push(attempt);
        if let Some(error) = network.dial_errors.pop_front() {
            return Err(error);
        }
        network.connected = true;
        // These belong to the previous connection.
        network.incoming.clear();
        (network.end, network.receiver) = (None, None);
        Ok(MemorySocket { network: self.0.clone(), protocol: network.protocol.clone() })
    }

    fn on_failure(&self, _: &ConnectionError) -> Option<FailureAction> {
        self.0.lock().unwrap().failure_actions.pop_front().flatten()
    }
}

pub struct MemorySocket {
    network: Arc<Mutex<Network>>,
    protocol: Option<String>,
}

impl Socket for MemorySocket {
    type Text = String;
    type Binary = Vec<u8>;

    fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if self.network.lock().unwrap().ready_blocked { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        let mut network = self.network.lock().unwrap();
        match frame {
            Frame::Text(text) => network.sent.push(serde_json::from_str(&text).unwrap()),
            Frame::Binary(bytes) => network.sent.push(serde_json::from_slice(&bytes).unwrap()),
            Frame::Ping => network.pings += 1,
            Frame::Pong | Frame::TooLarge { .. } => unreachable!("the socket answers pings itself"),
            Frame::Close(frame) => network.closed_with = Some(frame),
        }
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let mut network = self.network.lock().unwrap();
        if network.flush_blocked {
            return Poll::Pending;
        }
        network.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Frame<String, Vec<u8>>, ConnectionError>> {
        let mut network = self.network.lock().unwrap();
        if let Some(text) = network.incoming.pop_front() {
            return Poll::Ready(Ok(Frame::Text(text)));
        }
        if let Some(error) = network.end.take() {
            return Poll::Ready(Err(error));
        }
        network.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_linger(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if self.network.lock().unwrap().lingers { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        self.network.lock().unwrap().connected = false;
    }
}

/// A client with its driver and its network.
pub struct Setup {
    pub client: Option<Client>,
    driver: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    memory: Memory,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A task with its own waker.
#[derive(Clone)]
pub struct Task(Arc<Flag>);

impl Task {
    pub fn new() -> Self {
        Self(Arc::new(Flag(AtomicBool::new(false))))
    }

    /// Polls a future once.
    pub fn poll<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match std::pin::pin!(future).poll(&mut Context::from_waker(&self.waker())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    pub fn waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    /// Returns whether it was woken since the last call.
    pub fn is_woken(&self) -> bool {
        self.0.0.swap(false, Ordering::SeqCst)
    }

    /// Whether a waker for it still exists.
    pub fn has_waker(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Setup {
    /// A client before its first dial.
    pub fn new(config: Config) -> Self {
        let memory = Memory::default();
        let (client, driver) = client::start(config, Seed::from([7; 32]), memory.clone());
        Self { client: Some(client), driver: Some(Box::pin(driver)), memory }
    }

    /// An idle client.
    pub fn idle() -> Self {
        let memory = Memory::default();
        let (client, driver) =
            client::start_idle(Config::default(), Seed::from([7; 32]), memory.clone());
        Self { client: Some(client), driver: Some(Box::pin(driver)), memory }
    }

    /// A connected client.
    pub fn connected() -> Self {
        Self::connected_with(Config::default())
    }

    /// A connected client with options.
    pub fn connected_with(config: Config) -> Self {
        let mut setup = Self::new(config);
        setup.settle();
        assert!(setup.network().connected);
        setup
    }

    pub fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub fn network(&self) -> MutexGuard<'_, Network> {
        self.memory.0.lock().unwrap()
    }

    /// Polls the driver once. Returns whether it has woken itself.
    pub fn poll_driver(&mut self) -> bool {
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        self.poll_driver_with(&Waker::from(flag.clone()));
        flag.0.load(Ordering::SeqCst)
    }

    /// Polls the driver once, with this waker.
    pub fn poll_driver_with(&mut self, waker: &Waker) {
        let Some(driver) = &mut self.driver else { return };
        if driver.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            self.driver = None;
        }
    }

    /// Polls the driver until it has nothing to do.
    pub fn settle(&mut self) {
        while self.poll_driver() {}
        self.poll_driver();
    }

    pub fn driver_has_ended(&self) -> bool {
        self.driver.is_none()
    }

    pub fn drop_driver(&mut self) {
        self.driver = None;
    }

    pub fn now() -> Instant {
        Memory::now()
    }

    /// Advances the clock in steps of at most a second, and polls the driver after each.
    pub fn advance(&mut self, mut duration: Duration) {
        while !duration.is_zero() {
            let step = duration.min(Duration::from_secs(1));
            NOW.with_borrow_mut(|now| *now += step);
            WALL.with_borrow_mut(|wall| *wall += step);
            self.settle();
            duration -= step;
        }
    }

    /// Suspends the machine: only the wall clock advances.
    pub fn suspend(duration: Duration) {
        WALL.with_borrow_mut(|wall| *wall += duration);
    }

    /// Sets the wall clock back.
    pub fn set_wall_clock_back(duration: Duration) {
        WALL.with_borrow_mut(|wall| *wall -= duration);
    }

    /// Queues frames from the server. Does not poll the driver.
    pub fn send_frames(&mut self, frames: impl IntoIterator<Item = Value>) {
        for frame in frames {
            self.send_text(frame.to_string());
        }
    }

    /// Queues a frame from the server. Does not poll the driver.
    pub fn send_text(&mut self, text: String) {
        let mut network = self.network();
        network.incoming.push_back(text);
        network.receiver.take().into_iter().for_each(Waker::wake);
    }

    /// Replies to the client's frame with the index `sent`.
    pub fn reply(&mut self, sent: usize, status: u16, data: &Value) {
        let request = self.network().sent[sent].clone();
        self.send_frames([server_frames::reply(&request, status, data)]);
        self.settle();
    }

    /// Sends an update for the subscription whose subscribe has the index `sent`.
    pub fn send_update(&mut self, sent: usize, data: &Value) {
        let request = self.network().sent[sent].clone();
        self.send_frames([server_frames::event(&request, "update", data)]);
        self.settle();
    }

    /// The actions that the client has sent so far.
    pub fn sent_actions(&self) -> Vec<String> {
        let action = |frame: &Value| frame["payload"]["action"].as_str().unwrap().to_owned();
        self.network().sent.iter().map(action).collect()
    }

    /// Ends the connection with `error`, after the queued frames.
    pub fn disconnect(&mut self, error: ConnectionError) {
        let mut network = self.network();
        network.end = Some(error);
        network.receiver.take().into_iter().for_each(Waker::wake);
        drop(network);
        self.settle();
    }

    /// Polls a future once.
    pub fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        let future = std::pin::pin!(future);
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}
