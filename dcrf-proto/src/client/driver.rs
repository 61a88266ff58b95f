//! The driver: one poll loop that moves frames between a session and a socket. What to do is the
//! session's business; this file only does it, in the order dial, receive, timers, send, tell: what has arrived is
//! heard before a deadline is looked at, and what is past its deadline is not sent.

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

/// How many rounds one poll may take before other tasks get their turn.
const ROUNDS_PER_POLL: usize = 8;
const FRAMES_PER_ROUND: usize = 64;
/// How much is read between two looks at the session, and how much is taken from the session between two
/// looks at whether the socket takes more.
const BYTES_PER_ROUND: usize = 64 << 10;
/// How often other tasks get their turn before a burst goes on, where somebody was woken by it and has not looked yet:
/// more than a runtime polls one task before another. It takes well under a millisecond.
const TURNS: usize = 1_000;
/// How long a socket may take for what it has to tell the server after the connection is over.
const LINGER: Duration = Duration::from_secs(1);

/// Drives the session of `shared` until it is finished.
pub(super) async fn drive<R: Transport>(shared: Guard, runtime: &R) {
    let mut driver = Driver::new(shared, runtime);
    let start = |epoch, attempt| {
        let dial = runtime.dial(attempt);
        // A handshake, with TLS or without, is some 16 KiB, and a client that is connected has none.
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
            driver.now = R::now();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Tells everyone when the driver has ended, or was dropped with its runtime.
pub(super) struct Guard(pub(super) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop_driving();
    }
}

struct Driver<'a, R: Transport> {
    shared: Guard,
    runtime: &'a R,
    connection: Option<Connection<R::Socket>>,
    /// The socket of a connection that is over, and when it is dropped at the latest. Boxed, since there is seldom one.
    lingering: Option<Box<(R::Socket, Instant)>>,
    /// The epoch of the dial in progress.
    dialling: Option<Epoch>,
    /// Whether the socket is to be looked at.
    readable: Arc<Signal>,
    /// When the session is to be looked at, as it said last.
    deadline: Option<Instant>,
    /// When the timer fires that is set.
    alarm: Option<Instant>,
    clocks: Clocks,
    /// When this round began.
    now: Instant,
    /// Whether this poll has found that the machine was suspended, and no round has dealt with it yet.
    was_suspended: bool,
    /// Half of what a reader may leave unread: a prompt one gets to run before a burst overruns it.
    frames_per_poll: usize,
    frames_left: usize,
    /// How many turns others have had since there were frames left.
    turns: usize,
    // Buffers that keep their capacity: what crosses the lock goes through them.
    transmits: Vec<Transmit>,
    frames: Vec<Received<R::Socket>>,
    wakers: Wakers,
}

struct Connection<S> {
    epoch: Epoch,
    socket: S,
    /// Whether something was fed that is not flushed yet.
    unflushed: bool,
}

/// How the session is at the end of a round.
struct Progress {
    /// Of the connection or the dial that it wants.
    epoch: Option<Epoch>,
    is_finished: bool,
}

impl<'a, R: Transport> Driver<'a, R> {
    fn new(shared: Guard, runtime: &'a R) -> Self {
        let config = shared.0.lock().session.config().clone();
        let capacity = config.changes.count.min(config.replies.count).min(config.events.count);
        Self {
            frames_per_poll: (capacity / 2).max(1),
            frames_left: 0,
            turns: 0,
            shared,
            runtime,
            connection: None,
            lingering: None,
            dialling: None,
            readable: Arc::default(),
            deadline: None,
            alarm: None,
            clocks: Clocks::new(R::now(), R::wall_clock()),
            now: R::now(),
            was_suspended: false,
            transmits: Vec::new(),
            frames: Vec::new(),
            wakers: Wakers::default(),
        }
    }

    fn session<T>(&self, act: impl FnOnce(&mut Session, Instant) -> T) -> T {
        act(&mut self.shared.0.lock().session, self.now)
    }

    /// Reads on without end, unless somebody was woken whose turn is to come before they are overrun.
    fn begin_poll<D>(&mut self, cx: &Context<'_>, dial: Pin<&mut Option<D>>) {
        self.readable.register(cx.waker());
        self.now = R::now();
        self.was_suspended |= self.clocks.was_suspended(self.now, R::wall_clock());
        let have_had_turns = self.turns >= TURNS;
        let (has_woken, epoch, deadline) = self.shared.0.poll_with(cx, |inner, task| {
            // Commands wake this task from now on.
            let _: Poll<()> = task.register(&mut inner.driver);
            if have_had_turns {
                inner.readers.clear_woken();
            }
            (inner.readers.has_woken(), inner.session.epoch(), inner.session.poll_timeout())
        });
        self.deadline = deadline;
        if has_woken {
            self.turns += usize::from(self.frames_left == 0);
        } else {
            self.frames_left = self.frames_per_poll;
            self.turns = 0;
        }
        self.drop_stale(epoch, dial);
    }

    /// Drops what the session has given up, and says whether there was something.
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

    /// Feeds all that is ready to the socket, then flushes once. Says whether the next round has something to do by that.
    fn send<D>(
        &mut self,
        cx: &mut Context<'_>,
        mut dial: Pin<&mut Option<D>>,
        start: &impl Fn(Epoch, Attempt) -> D,
    ) -> bool {
        let was_connected = self.connection.is_some();
        let (mut dials, mut feeds) = (false, false);
        let is_ready = loop {
            if !self.poll_ready(cx) {
                break false;
            }
            let is_all = self.take_transmits();
            let mut transmits = std::mem::take(&mut self.transmits);
            feeds |= !transmits.is_empty();
            for transmit in transmits.drain(..) {
                match transmit {
                    Transmit::Dial(epoch) => {
                        let attempt = self.session(|session, _| session.attempt());
                        dial.set(Some(start(epoch, attempt)));
                        self.dialling = Some(epoch);
                        dials = true;
                    }
                    Transmit::Frame(epoch, frame) => self.feed(epoch, frame),
                }
            }
            self.transmits = transmits;
            if is_all {
                break true;
            }
        };
        self.flush(cx);
        let is_lost = was_connected && self.connection.is_none();
        dials || is_lost || feeds && !(is_ready && self.is_flushed())
    }

    /// Whether what the session has to send can be taken from it.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = &mut self.connection else { return true };
        match connection.socket.poll_ready(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(lost)) => {
                self.lose(lost);
                true
            }
            Poll::Pending => {
                self.readable.set();
                false
            }
        }
    }

    /// Says whether that is all that the session has to send.
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
        if let Err(lost) = connection.socket.feed(frame) {
            self.lose(lost);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if !connection.unflushed {
            return;
        }
        match connection.socket.poll_flush(cx) {
            Poll::Ready(Ok(())) => connection.unflushed = false,
            Poll::Ready(Err(lost)) => self.lose(lost),
            // Why it can't be written may be known on the other side.
            Poll::Pending => self.readable.set(),
        }
    }

    fn is_flushed(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| !connection.unflushed)
    }

    fn dial<D>(&mut self, cx: &mut Context<'_>, mut dial: Pin<&mut Option<D>>) -> bool
    where
        D: Future<Output = (Epoch, Result<R::Socket, ConnectionError>)>,
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
            Err(lost) => self.lost(epoch, lost),
        }
        true
    }

    fn receive(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let most = FRAMES_PER_ROUND.min(self.frames_left);
        if most == 0 || !self.readable.take() {
            return false;
        }
        let waker = Waker::from(self.readable.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut has_more = true;
        let epoch = connection.epoch;
        let mut bytes = 0;
        let mut lost = None;
        while self.frames.len() < most && bytes < BYTES_PER_ROUND {
            match connection.socket.poll_receive(cx) {
                Poll::Ready(Ok(Frame::Close(frame))) => {
                    lost = Some(ConnectionError::Closed(frame));
                    break;
                }
                Poll::Ready(Ok(frame)) => {
                    bytes += frame.len();
                    self.frames.push(frame);
                }
                Poll::Ready(Err(why)) => {
                    lost = Some(why);
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
        if self.frames.is_empty() && lost.is_none() {
            return false;
        }
        self.frames_left -= self.frames.len();
        let now = self.now;
        let mut inner = self.shared.0.lock();
        for frame in self.frames.drain(..) {
            match frame {
                Frame::Text(text) => inner.session.handle_text(epoch, text.as_ref(), now),
                Frame::Binary(bytes) => inner.session.handle_binary(epoch, bytes.as_ref(), now),
                Frame::Ping | Frame::Pong | Frame::Close(_) => {
                    inner.session.handle_pong(epoch, now);
                }
            }
        }
        drop(inner);
        let is_lost = lost.is_some();
        if let Some(lost) = lost {
            self.lose(lost);
        }
        has_more || is_lost
    }

    /// The socket has failed or ended.
    fn lose(&mut self, lost: ConnectionError) {
        if let Some(connection) = self.connection.take() {
            self.lost(connection.epoch, lost);
            self.lingering = Some(Box::new((connection.socket, self.now + LINGER)));
        }
    }

    /// Drops the socket of a connection that is over, once it has said farewell.
    fn linger(&mut self, cx: &mut Context<'_>) {
        let Some((socket, deadline)) = self.lingering.as_deref_mut() else { return };
        if socket.poll_linger(cx).is_ready() || *deadline <= self.now {
            self.lingering = None;
        }
    }

    fn lost(&self, epoch: Epoch, lost: ConnectionError) {
        // Code of the user, so outside of the lock.
        let failed = self.session(|session, _| session.would_fail(epoch));
        let verdict = if failed { self.runtime.on_failure(&lost) } else { None };
        self.session(|session, now| match verdict {
            Some(verdict) => session.handle_disconnected_with(epoch, lost, verdict, now),
            None => session.handle_disconnected(epoch, lost, now),
        });
    }

    /// Looks at what is due. Says whether something was.
    fn handle_timers(&mut self) -> bool {
        let suspended = std::mem::take(&mut self.was_suspended);
        // What was accepted since it was asked has its time still before it, so the lock is not taken for that.
        if !suspended && self.deadline.is_none_or(|deadline| deadline > self.now) {
            return false;
        }
        self.session(|session, now| {
            if suspended {
                // Before the deadlines are looked at: a ping that was under way has its time once more.
                session.probe(now);
            }
            let is_due = session.poll_timeout().is_some_and(|deadline| deadline <= now);
            if is_due {
                session.handle_timeout(now);
            }
            is_due
        })
    }

    /// Has the driver polled when the session is to be looked at. Says whether that is now.
    fn arm_timer(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Option<R::Timer>>) -> bool {
        let look = self.connection.is_some().then(|| self.now + suspension::LOOK);
        let leave = self.lingering.as_ref().map(|lingering| lingering.1);
        let Some(next) = self.deadline.into_iter().chain(look).chain(leave).min() else {
            return false;
        };
        // A timer that fires too early is cheaper than one that is set anew for each request.
        if self.alarm.is_none_or(|alarm| next < alarm) {
            timer.set(Some(self.runtime.sleep_until(next)));
            self.alarm = Some(next);
        }
        let fired = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
        if fired {
            timer.set(None);
            self.alarm = None;
        }
        fired
    }

    /// Tells those who wait, and learns how the session is.
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
