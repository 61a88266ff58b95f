//! The driver: one poll loop that moves frames between the session and the socket.
//!
//! The session decides what to do. Each round dials, receives, fires timers, sends and notifies, in this order. So a
//! reply that has arrived beats its deadline, and a request past its deadline is not sent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::suspension::{self, Clocks};
use super::transport::{Received, Socket, Transport};
use super::wake::Signal;
use super::wake::Wakers;
use crate::error::ConnectionError;
use crate::frame::Frame;
use crate::id::Epoch;
use crate::session::Session;
use crate::transmit::{Attempt, Transmit};

/// How many rounds one poll may take before it yields to other tasks.
const ROUNDS_PER_POLL: usize = 8;
const FRAMES_PER_ROUND: usize = 64;
/// How much is read before the session handles it, and how much is sent before the socket is polled again.
const BYTES_PER_ROUND: usize = 64 << 10;
/// How many polls to wait for woken readers before reading on. Runtimes poll a single task less often in a row, so all
/// readers that can run have run by then. The wait takes well under a millisecond.
const MAX_WAITING_POLLS: usize = 1_000;
/// How long a socket may take to finish the closing handshake.
const LINGER: Duration = Duration::from_secs(1);

/// Drives the session until it is finished.
pub(super) async fn drive<T: Transport>(shared: StopOnDrop, transport: &T) {
    let mut driver = Driver::new(shared, transport);
    let start = |epoch, attempt| {
        let dial = transport.dial(attempt);
        // Boxed: a handshake needs some 16 KiB, which a connected client would otherwise hold on to.
        Box::pin(async move { (epoch, dial.await) })
    };
    let mut dial = pin!(None);
    let mut timer = pin!(None);
    poll_fn(|cx| {
        driver.begin_poll(cx, dial.as_mut());
        for _ in 0..ROUNDS_PER_POLL {
            let mut busy = driver.dial(cx, dial.as_mut());
            busy |= driver.receive();
            busy |= driver.handle_timers();
            busy |= driver.send(cx, dial.as_mut(), &start);
            driver.linger(cx);
            let progress = driver.notify();
            busy |= driver.drop_stale(progress.epoch, dial.as_mut());
            if progress.is_finished && driver.is_idle() {
                return Poll::Ready(());
            }
            busy |= driver.arm_timer(cx, timer.as_mut());
            if !busy && driver.frames_left > 0 {
                return Poll::Pending;
            }
            if driver.frames_left == 0 {
                break;
            }
            driver.now = T::now();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Ends all calls and subscriptions when the driver completes or is dropped.
pub(super) struct StopOnDrop(pub(super) Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop_driving();
    }
}

struct Driver<'a, T: Transport> {
    shared: StopOnDrop,
    transport: &'a T,
    connection: Option<Connection<T::Socket>>,
    /// The socket of a connection that is over, and the deadline for dropping it. Boxed, because it is rarely present.
    lingering: Option<Box<(T::Socket, Instant)>>,
    /// The epoch of the dial in progress.
    dialling: Option<Epoch>,
    /// Whether the socket may have something to read.
    readable: Arc<Signal>,
    /// The session's next deadline.
    deadline: Option<Instant>,
    /// When the timer fires.
    timer_at: Option<Instant>,
    clocks: Clocks,
    /// The time at the start of this round.
    now: Instant,
    /// The machine was suspended, and the connection has not been probed since.
    was_suspended: bool,
    /// Half the smallest buffer of a reader: a prompt reader runs before a burst overflows it.
    frames_per_poll: usize,
    frames_left: usize,
    /// How many polls have waited for woken readers.
    waiting_polls: usize,
    // Buffers for what is moved in and out of the lock, kept for reuse.
    transmits: Vec<Transmit>,
    frames: Vec<Received<T::Socket>>,
    wakers: Wakers,
}

struct Connection<S> {
    epoch: Epoch,
    socket: S,
    /// Whether the socket has frames that are not flushed yet.
    unflushed: bool,
}

/// The session at the end of a round.
struct Progress {
    /// The current connection or dial.
    epoch: Option<Epoch>,
    is_finished: bool,
}

impl<'a, T: Transport> Driver<'a, T> {
    fn new(shared: StopOnDrop, transport: &'a T) -> Self {
        let config = shared.0.lock().session.config().clone();
        let capacity = config.changes.count.min(config.replies.count).min(config.events.count);
        Self {
            frames_per_poll: (capacity / 2).max(1),
            frames_left: 0,
            waiting_polls: 0,
            shared,
            transport,
            connection: None,
            lingering: None,
            dialling: None,
            readable: Arc::default(),
            deadline: None,
            timer_at: None,
            clocks: Clocks::new(T::now(), T::wall_clock()),
            now: T::now(),
            was_suspended: false,
            transmits: Vec::new(),
            frames: Vec::new(),
            wakers: Wakers::default(),
        }
    }

    fn session<O>(&self, act: impl FnOnce(&mut Session, Instant) -> O) -> O {
        act(&mut self.shared.0.lock().session, self.now)
    }

    /// Registers the task and reads the clocks. Renews the budget of frames unless a woken reader has yet to run.
    fn begin_poll<D>(&mut self, cx: &Context<'_>, dial: Pin<&mut Option<D>>) {
        self.readable.register(cx.waker());
        self.now = T::now();
        self.was_suspended |= self.clocks.was_suspended(self.now, T::wall_clock());
        let stop_waiting = self.waiting_polls >= MAX_WAITING_POLLS;
        let (has_woken, epoch, deadline) = self.shared.0.poll_with(cx, |inner, task| {
            // From now on, commands wake this task.
            let _: Poll<()> = task.register(&mut inner.driver);
            if stop_waiting {
                inner.readers.clear_woken();
            }
            (inner.readers.has_woken(), inner.session.epoch(), inner.session.poll_timeout())
        });
        self.deadline = deadline;
        if has_woken {
            self.waiting_polls += usize::from(self.frames_left == 0);
        } else {
            self.frames_left = self.frames_per_poll;
            self.waiting_polls = 0;
        }
        self.drop_stale(epoch, dial);
    }

    /// Drops a dial or socket whose epoch is over. Returns whether there was one.
    fn drop_stale<D>(&mut self, epoch: Option<Epoch>, mut dial: Pin<&mut Option<D>>) -> bool {
        let is_over = |of: Epoch| Some(of) != epoch;
        let dialling = self.dialling.take_if(|dialling| is_over(*dialling));
        if dialling.is_some() {
            dial.set(None);
        }
        let connection = self.connection.take_if(|connection| is_over(connection.epoch));
        dialling.is_some() || connection.is_some()
    }

    /// Whether there is neither a connection nor a dial.
    fn is_idle(&self) -> bool {
        self.connection.is_none() && self.lingering.is_none() && self.dialling.is_none()
    }

    /// Starts dials and feeds all frames to the socket, then flushes once. Returns whether another round is needed.
    fn send<D>(
        &mut self,
        cx: &mut Context<'_>,
        mut dial: Pin<&mut Option<D>>,
        start: &impl Fn(Epoch, Attempt) -> D,
    ) -> bool {
        let was_connected = self.connection.is_some();
        let (mut has_dialled, mut has_fed) = (false, false);
        let is_ready = loop {
            if !self.poll_ready(cx) {
                break false;
            }
            let took_all = self.take_transmits();
            let mut transmits = std::mem::take(&mut self.transmits);
            has_fed |= !transmits.is_empty();
            for transmit in transmits.drain(..) {
                match transmit {
                    Transmit::Dial(epoch) => {
                        let attempt = self.session(|session, _| session.attempt());
                        dial.set(Some(start(epoch, attempt)));
                        self.dialling = Some(epoch);
                        has_dialled = true;
                    }
                    Transmit::Frame(epoch, frame) => self.feed(epoch, frame),
                }
            }
            self.transmits = transmits;
            if took_all {
                break true;
            }
        };
        self.flush(cx);
        let is_lost = was_connected && self.connection.is_none();
        has_dialled || is_lost || has_fed && !(is_ready && self.is_flushed())
    }

    /// Whether the socket accepts frames.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = &mut self.connection else { return true };
        match connection.socket.poll_ready(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.fail(error);
                true
            }
            Poll::Pending => {
                self.readable.set();
                false
            }
        }
    }

    /// Takes a batch of transmits from the session. Returns whether none are left.
    fn take_transmits(&mut self) -> bool {
        let mut bytes = 0;
        let mut inner = self.shared.0.lock();
        while bytes < BYTES_PER_ROUND {
            let Some(transmit) = inner.session.poll_transmit() else { return true };
            if let Transmit::Frame(_, frame) = &transmit {
                bytes += frame.len();
            }
            self.transmits.push(transmit);
        }
        false
    }

    fn feed(&mut self, epoch: Epoch, frame: Frame) {
        let Some(connection) = &mut self.connection else { return };
        if connection.epoch != epoch {
            return;
        }
        connection.unflushed = true;
        if let Err(error) = connection.socket.feed(frame) {
            self.fail(error);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if !connection.unflushed {
            return;
        }
        match connection.socket.poll_flush(cx) {
            Poll::Ready(Ok(())) => connection.unflushed = false,
            Poll::Ready(Err(error)) => self.fail(error),
            // If a write has failed, `poll_receive` returns the reason.
            Poll::Pending => self.readable.set(),
        }
    }

    fn is_flushed(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| !connection.unflushed)
    }

    fn dial<D>(&mut self, cx: &mut Context<'_>, mut dial: Pin<&mut Option<D>>) -> bool
    where
        D: Future<Output = (Epoch, Result<T::Socket, ConnectionError>)>,
    {
        let Some(dialling) = dial.as_mut().as_pin_mut() else { return false };
        let Poll::Ready((epoch, result)) = dialling.poll(cx) else { return false };
        dial.set(None);
        self.dialling = None;
        match result {
            Ok(socket) => {
                let protocol = socket.protocol().map(str::to_owned);
                self.connection = Some(Connection { epoch, socket, unflushed: false });
                self.readable.set();
                let mut inner = self.shared.0.lock();
                inner.protocol = protocol;
                inner.session.handle_connected(epoch, self.now);
            }
            Err(error) => self.handle_disconnected(epoch, error),
        }
        true
    }

    fn receive(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let max_frames = FRAMES_PER_ROUND.min(self.frames_left);
        if max_frames == 0 || !self.readable.take() {
            return false;
        }
        let waker = Waker::from(self.readable.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut has_more = true;
        let epoch = connection.epoch;
        let mut bytes = 0;
        let mut failure = None;
        while self.frames.len() < max_frames && bytes < BYTES_PER_ROUND {
            match connection.socket.poll_receive(cx) {
                Poll::Ready(Ok(Frame::Close(frame))) => {
                    failure = Some(ConnectionError::Closed(frame));
                    break;
                }
                Poll::Ready(Ok(frame)) => {
                    bytes += frame.len();
                    self.frames.push(frame);
                }
                Poll::Ready(Err(error)) => {
                    failure = Some(error);
                    break;
                }
                Poll::Pending => {
                    has_more = false;
                    break;
                }
            }
        }
        if has_more {
            self.readable.set();
        }
        if self.frames.is_empty() && failure.is_none() {
            return false;
        }
        self.frames_left -= self.frames.len();
        let now = self.now;
        let mut inner = self.shared.0.lock();
        for frame in self.frames.drain(..) {
            match frame {
                Frame::Text(text) => inner.session.handle_text(epoch, text.as_ref(), now),
                Frame::Binary(bytes) => inner.session.handle_binary(epoch, bytes.as_ref(), now),
                Frame::TooLarge { envelope, size, limit } => {
                    inner.session.handle_too_large(epoch, envelope.as_ref(), size, limit, now);
                }
                Frame::Ping | Frame::Pong | Frame::Close(_) => {
                    inner.session.handle_pong(epoch, now);
                }
            }
        }
        drop(inner);
        let has_failed = failure.is_some();
        if let Some(error) = failure {
            self.fail(error);
        }
        has_more || has_failed
    }

    /// Ends a connection that has failed or was closed, and lets its socket linger.
    fn fail(&mut self, error: ConnectionError) {
        if let Some(connection) = self.connection.take() {
            self.handle_disconnected(connection.epoch, error);
            self.lingering = Some(Box::new((connection.socket, self.now + LINGER)));
        }
    }

    /// Drops the socket of a connection that is over, once its closing handshake is done.
    fn linger(&mut self, cx: &mut Context<'_>) {
        let Some((socket, deadline)) = self.lingering.as_deref_mut() else { return };
        if socket.poll_linger(cx).is_ready() || *deadline <= self.now {
            self.lingering = None;
        }
    }

    fn handle_disconnected(&self, epoch: Epoch, error: ConnectionError) {
        let failed = self.session(|session, _| session.would_fail(epoch));
        // The policy is user code, so it is called without the lock.
        let action = if failed { self.transport.on_failure(&error) } else { None };
        self.session(|session, now| match action {
            Some(action) => session.handle_disconnected_with(epoch, error, action, now),
            None => session.handle_disconnected(epoch, error, now),
        });
    }

    /// Handles due timers. Returns whether there were any.
    fn handle_timers(&mut self) -> bool {
        let suspended = std::mem::take(&mut self.was_suspended);
        // Without the lock: a command given since the last look at the session can't be due yet.
        if !suspended && self.deadline.is_none_or(|deadline| deadline > self.now) {
            return false;
        }
        self.session(|session, now| {
            if suspended {
                // Before the timers, so that a pending ping gets more time for its pong.
                session.probe(now);
            }
            let is_due = session.poll_timeout().is_some_and(|deadline| deadline <= now);
            if is_due {
                session.handle_timeout(now);
            }
            is_due
        })
    }

    /// Sets the timer to the next deadline. Returns whether it has passed.
    fn arm_timer(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Option<T::Timer>>) -> bool {
        let clock_check = self.connection.is_some().then(|| self.now + suspension::INTERVAL);
        let linger_end = self.lingering.as_ref().map(|lingering| lingering.1);
        let deadlines = self.deadline.into_iter().chain(clock_check).chain(linger_end);
        let Some(next) = deadlines.min() else { return false };
        // Firing too early is cheaper than setting the timer for each request.
        if self.timer_at.is_none_or(|timer_at| next < timer_at) {
            timer.set(Some(self.transport.sleep_until(next)));
            self.timer_at = Some(next);
        }
        let fired = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
        if fired {
            timer.set(None);
            self.timer_at = None;
        }
        fired
    }

    /// Delivers the session's events and wakes their tasks.
    fn notify(&mut self) -> Progress {
        let mut inner = self.shared.0.lock();
        inner.drain_events(&mut self.wakers);
        inner.socket_polled(!self.is_flushed(), &mut self.wakers);
        let progress =
            Progress { epoch: inner.session.epoch(), is_finished: inner.session.is_finished() };
        let deadline = inner.session.poll_timeout();
        drop(inner);
        self.deadline = deadline;
        self.wakers.wake();
        progress
    }
}
