//! The driver: one poll loop that moves frames between a session and a socket. What to do is the
//! session's business; this file only does it, in the order dial, receive, timers, send, tell: what has arrived is
//! heard before a deadline is looked at, and what is past its deadline is not sent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::runtime::{Incoming, Outgoing, Received, Runtime, Socket};
use super::shared::Shared;
use super::signal::Signal;
use super::suspension::{self, Clocks};
use crate::error::Lost;
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
const FAREWELL: Duration = Duration::from_secs(1);

/// Drives the session of `shared` until it is finished.
pub(super) async fn drive<R: Runtime>(shared: Guard, runtime: &R) {
    let mut driver = Driver::new(shared, runtime);
    let start = |epoch, attempt| {
        let dial = runtime.dial(attempt);
        // A handshake, with TLS or without, is some 16 KiB, and a client that is connected has none.
        Box::pin(async move { (epoch, dial.await) })
    };
    let mut dial = pin!(None);
    let mut timer = pin!(None);
    poll_fn(|cx| {
        driver.begin_poll(cx);
        for _ in 0..ROUNDS_PER_POLL {
            driver.begin_round(dial.as_mut());
            let mut busy = driver.dial(cx, dial.as_mut());
            busy |= driver.receive();
            busy |= driver.keep_time(cx, timer.as_mut());
            busy |= driver.send(cx, dial.as_mut(), &start);
            driver.take_leave(cx);
            if driver.tell() && dial.is_none() {
                return Poll::Ready(());
            }
            if !busy && driver.frames_left > 0 {
                return Poll::Pending;
            }
            if driver.frames_left == 0 {
                break;
            }
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

struct Driver<'a, R: Runtime> {
    shared: Guard,
    runtime: &'a R,
    connection: Option<Connection<R::Socket>>,
    /// The socket of a connection that is over, and when it is dropped at the latest. Boxed, since there is seldom one.
    leaving: Option<Box<(R::Socket, Instant)>>,
    /// The epoch of the dial in progress.
    dialling: Option<Epoch>,
    /// Whether the socket is to be looked at.
    readable: Arc<Signal>,
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
    wakers: Vec<Waker>,
}

struct Connection<S> {
    epoch: Epoch,
    socket: S,
    /// Whether something was fed that is not flushed yet.
    unflushed: bool,
}

impl<'a, R: Runtime> Driver<'a, R> {
    fn new(shared: Guard, runtime: &'a R) -> Self {
        let config = shared.0.lock().session.config().clone();
        let capacity = config.changes.count.min(config.replies.count).min(config.notices.count);
        Self {
            frames_per_poll: (capacity / 2).max(1),
            frames_left: 0,
            turns: 0,
            shared,
            runtime,
            connection: None,
            leaving: None,
            dialling: None,
            readable: Arc::default(),
            alarm: None,
            clocks: Clocks::new(R::now(), R::wall_clock()),
            now: R::now(),
            was_suspended: false,
            transmits: Vec::new(),
            frames: Vec::new(),
            wakers: Vec::new(),
        }
    }

    fn session<T>(&self, act: impl FnOnce(&mut Session, Instant) -> T) -> T {
        act(&mut self.shared.0.lock().session, self.now)
    }

    /// Reads on without end, unless somebody was woken whose turn is to come before they are overrun.
    fn begin_poll(&mut self, cx: &Context<'_>) {
        self.readable.wakes(cx.waker());
        self.was_suspended |= self.clocks.was_suspended(R::now(), R::wall_clock());
        // Commands wake this task from now on.
        let _ = self.shared.0.poll(cx, |inner, waker| {
            std::mem::swap(&mut inner.driver, waker);
            Poll::<()>::Pending
        });
        let readers = &mut self.shared.0.lock().readers;
        if readers.are_expected() {
            if self.turns < TURNS {
                self.turns += usize::from(self.frames_left == 0);
                return;
            }
            readers.expect_nobody();
        }
        self.frames_left = self.frames_per_poll;
        self.turns = 0;
    }

    /// Drops what the session has given up.
    fn begin_round<D>(&mut self, mut dial: Pin<&mut Option<D>>) {
        self.now = R::now();
        let epoch = self.session(|session, _| session.epoch());
        if self.dialling.is_some() && self.dialling != epoch {
            dial.set(None);
            self.dialling = None;
        }
        if self.connection.as_ref().is_some_and(|connection| Some(connection.epoch) != epoch) {
            self.connection = None;
        }
    }

    /// Feeds all that is ready to the socket, then flushes once.
    fn send<D>(
        &mut self,
        cx: &mut Context<'_>,
        mut dial: Pin<&mut Option<D>>,
        start: &impl Fn(Epoch, Attempt) -> D,
    ) -> bool {
        let mut busy = false;
        while self.poll_ready(cx) {
            self.take_transmits();
            if self.transmits.is_empty() {
                break;
            }
            busy = true;
            let mut transmits = std::mem::take(&mut self.transmits);
            for transmit in transmits.drain(..) {
                match transmit {
                    Transmit::Dial(epoch) => {
                        let attempt = self.session(|session, _| session.attempt());
                        dial.set(Some(start(epoch, attempt)));
                        self.dialling = Some(epoch);
                    }
                    Transmit::Text(epoch, text) => self.feed(epoch, Outgoing::Text(text)),
                    Transmit::Binary(epoch, bytes) => self.feed(epoch, Outgoing::Binary(bytes)),
                    Transmit::Ping(epoch) => self.feed(epoch, Outgoing::Ping),
                    Transmit::Close(epoch, frame) => self.feed(epoch, Outgoing::Close(frame)),
                }
            }
            self.transmits = transmits;
        }
        self.flush(cx);
        busy
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
                self.readable.raise();
                false
            }
        }
    }

    fn take_transmits(&mut self) {
        let mut bytes = 0;
        let mut inner = self.shared.0.lock();
        while bytes < BYTES_PER_ROUND {
            let Some(transmit) = inner.session.poll_transmit() else { break };
            bytes += match &transmit {
                Transmit::Text(_, text) => text.len(),
                Transmit::Binary(_, bytes) => bytes.len(),
                Transmit::Dial(_) | Transmit::Ping(_) | Transmit::Close(..) => 0,
            };
            self.transmits.push(transmit);
        }
    }

    fn feed(&mut self, epoch: Epoch, frame: Outgoing) {
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
            Poll::Pending => self.readable.raise(),
        }
    }

    fn dial<D>(&mut self, cx: &mut Context<'_>, mut dial: Pin<&mut Option<D>>) -> bool
    where
        D: Future<Output = (Epoch, Result<R::Socket, Lost>)>,
    {
        let Some(dialling) = dial.as_mut().as_pin_mut() else { return false };
        let Poll::Ready((epoch, result)) = dialling.poll(cx) else { return false };
        dial.set(None);
        self.dialling = None;
        match result {
            Ok(socket) => {
                let protocol = socket.protocol().map(str::to_owned);
                self.connection = Some(Connection { epoch, socket, unflushed: false });
                self.readable.raise();
                let mut inner = self.shared.0.lock();
                inner.protocol = protocol;
                inner.session.handle_opened(epoch, self.now);
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
                Poll::Ready(Ok(frame)) => {
                    bytes += size::<R::Socket>(&frame);
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
            self.readable.raise();
        }
        if self.frames.is_empty() && lost.is_none() {
            return false;
        }
        self.frames_left -= self.frames.len();
        let now = self.now;
        let mut inner = self.shared.0.lock();
        for frame in self.frames.drain(..) {
            match frame {
                Incoming::Text(text) => inner.session.handle_text(epoch, text.as_ref(), now),
                Incoming::Binary(bytes) => inner.session.handle_binary(epoch, bytes.as_ref(), now),
                Incoming::Pong => inner.session.handle_pong(epoch, now),
            }
        }
        drop(inner);
        if let Some(lost) = lost {
            self.lose(lost);
        }
        true
    }

    /// The socket has failed or ended.
    fn lose(&mut self, lost: Lost) {
        if let Some(connection) = self.connection.take() {
            self.lost(connection.epoch, lost);
            self.leaving = Some(Box::new((connection.socket, self.now + FAREWELL)));
        }
    }

    /// Drops the socket of a connection that is over, once it has said farewell.
    fn take_leave(&mut self, cx: &mut Context<'_>) {
        let Some((socket, deadline)) = self.leaving.as_deref_mut() else { return };
        if socket.poll_farewell(cx).is_ready() || *deadline <= self.now {
            self.leaving = None;
        }
    }

    fn lost(&self, epoch: Epoch, lost: Lost) {
        // Code of the user, so outside of the lock.
        let failed = self.session(|session, _| session.would_fail(epoch));
        let verdict = if failed { self.runtime.on_failure(&lost) } else { None };
        self.session(|session, now| match verdict {
            Some(verdict) => session.handle_lost_with(epoch, lost, verdict, now),
            None => session.handle_lost(epoch, lost, now),
        });
    }

    fn keep_time(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Option<R::Timer>>) -> bool {
        let suspended = std::mem::take(&mut self.was_suspended);
        let (due, next) = self.session(|session, now| {
            if suspended {
                // Before the deadlines are looked at: a ping that was under way has its time once more.
                session.probe(now);
            }
            let due = session.poll_timeout().is_some_and(|deadline| deadline <= now);
            if due {
                session.handle_timeout(now);
            }
            (due, session.poll_timeout())
        });
        let look = self.connection.is_some().then(|| self.now + suspension::LOOK);
        let leave = self.leaving.as_ref().map(|leaving| leaving.1);
        let Some(next) = next.into_iter().chain(look).chain(leave).min() else { return due };
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
        due || fired
    }

    /// Tells those who wait. Says whether nothing is left to do once no dial is.
    fn tell(&mut self) -> bool {
        let mut inner = self.shared.0.lock();
        inner.drain_events(&mut self.wakers);
        let unflushed = self.connection.as_ref().is_some_and(|connection| connection.unflushed);
        inner.looked_at(unflushed, &mut self.wakers);
        let is_gone = self.connection.is_none() && self.leaving.is_none();
        let finished = inner.session.is_finished() && is_gone;
        drop(inner);
        self.wakers.drain(..).for_each(Waker::wake);
        finished
    }
}

fn size<S: Socket>(frame: &Received<S>) -> usize {
    match frame {
        Incoming::Text(text) => text.as_ref().len(),
        Incoming::Binary(bytes) => bytes.as_ref().len(),
        Incoming::Pong => 0,
    }
}
