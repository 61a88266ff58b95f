//! What the handles and the driver share: the session, and who waits for what.

use std::any::Any;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use slab::Slab;

use super::wake::Task;
use super::wake::Wakers;
use super::wake::{Readable, Readers};
use crate::command::CloseOptions;
use crate::config::Config;
use crate::context::ClientEvents;
use crate::error::{CloseReason, RequestError, UnsubscribeError};
use crate::event::{ClientEvent, ConnectionState, Event};
use crate::id::{OwnMap, RequestKey, Seed, SubscriptionKey};
use crate::protocol::json::Json;
use crate::session::Session;
use crate::stats::Stats;
use crate::trace::Records;

pub(super) struct Shared {
    inner: Mutex<Inner>,
    now: fn() -> Instant,
}

/// The lock, held. What the session has for the log is told after the release: a subscriber of `tracing` is code of
/// the user.
pub(super) struct Locked<'a> {
    // Dropped in this order.
    inner: MutexGuard<'a, Inner>,
    records: Records,
}

impl Deref for Locked<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.records = self.inner.session.take_records();
    }
}

pub(super) struct Inner {
    pub(super) session: Session,
    /// The subprotocol of the last connection.
    pub(super) protocol: Option<String>,
    /// Woken by the next command.
    pub(super) driver: Option<Waker>,
    /// Set when the driver has ended: nothing is reported any more.
    pub(super) finished: bool,
    pub(super) responses: OwnMap<RequestKey, Waiter<Result<Json, RequestError>>>,
    pub(super) readers: Readers,
    pub(super) unsubscribes: OwnMap<SubscriptionKey, Waiter<Result<(), UnsubscribeError>>>,
    pub(super) listeners: Slab<Listener>,
    /// The wakers of those who watch the state.
    pub(super) watchers: Slab<Option<Waker>>,
    /// Those who wait for the driver's end.
    finishers: Slab<Option<Waker>>,
    /// Those who wait until something has been written.
    pub(super) flushers: Slab<Flusher>,
    /// How many events the streams of events have dropped.
    missed: u64,
    /// Whether the socket has taken frames that it has not written.
    unwritten: bool,
}

/// One who waits until all has been written that was accepted before `mark`.
pub(super) struct Flusher {
    pub(super) mark: u64,
    pub(super) waiter: Waiter<Result<(), CloseReason>>,
}

/// One who waits for one thing.
pub(super) enum Waiter<T> {
    Waiting(Option<Waker>),
    Done(T),
}

impl<T> Waiter<T> {
    fn complete(&mut self, result: T) -> Option<Waker> {
        let Self::Waiting(waker) = self else { return None };
        let waker = waker.take();
        *self = Self::Done(result);
        waker
    }
}

/// One stream of events.
pub(super) struct Listener {
    pub(super) events: ClientEvents,
    pub(super) waker: Option<Waker>,
}

impl Shared {
    pub(super) fn new(
        config: Config,
        seed: Seed,
        now: fn() -> Instant,
        server: impl FnOnce() -> Option<String>,
    ) -> Self {
        let mut session = Session::new(config, seed, now());
        session.collect_records(server);
        Self {
            inner: Mutex::new(Inner {
                session,
                protocol: None,
                driver: None,
                finished: false,
                responses: OwnMap::default(),
                readers: Readers::default(),
                unsubscribes: OwnMap::default(),
                listeners: Slab::new(),
                watchers: Slab::new(),
                finishers: Slab::new(),
                flushers: Slab::new(),
                missed: 0,
                unwritten: false,
            }),
            now,
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        // No code of the user runs under the lock, so a poisoned lock is as good as any.
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { inner, records: Records::default() }
    }

    /// Gives the session a command, and the driver a reason to look at it.
    pub(super) fn command<T>(&self, command: impl FnOnce(&mut Session, Instant) -> T) -> T {
        self.command_with(|inner, now| command(&mut inner.session, now))
    }

    pub(super) fn command_with<T>(&self, command: impl FnOnce(&mut Inner, Instant) -> T) -> T {
        let now = (self.now)();
        // Dropped behind the lock, and woken by that.
        let mut wakers = Wakers::default();
        let mut inner = self.lock();
        let result = command(&mut inner, now);
        if inner.finished {
            // No driver is left to hand over what the session says.
            inner.drain_events(&mut wakers);
        }
        wakers.extend(inner.driver.take());
        result
    }

    /// Looks under the lock, for a second time where there is nothing and the task is to wait.
    pub(super) fn poll_with<T>(
        &self,
        cx: &Context<'_>,
        mut poll: impl FnMut(&mut Inner, &mut Task<'_>) -> T,
    ) -> T {
        let mut task = Task::new(cx.waker());
        loop {
            let polled = poll(&mut self.lock(), &mut task);
            if !task.prepare_retry() {
                return polled;
            }
        }
    }

    /// Resolves when the driver has ended.
    pub(super) async fn finished(&self) {
        let finisher = Finisher { shared: self, place: self.lock().finishers.insert(None) };
        poll_fn(|cx| {
            self.poll_with(cx, |inner, task| {
                if inner.finished {
                    return Poll::Ready(());
                }
                task.register(&mut inner.finishers[finisher.place])
            })
        })
        .await;
    }

    /// The driver has ended, or was dropped: everything settles.
    pub(super) fn stop_driving(&self) {
        let now = (self.now)();
        // Dropped behind the lock, and woken by that.
        let mut wakers = Wakers::default();
        let mut inner = self.lock();
        inner.session.stop_driving(now);
        inner.drain_events(&mut wakers);
        inner.finished = true;
        wakers.extend(inner.finishers.iter_mut().filter_map(|(_, finisher)| finisher.take()));
        let driver = inner.driver.take();
        // Of a listener's end the session tells nothing.
        wakers.extend(inner.readers.drain());
        inner.notify_flushers(&mut wakers);
        wakers.extend(inner.listeners.iter_mut().filter_map(|(_, listener)| listener.waker.take()));
        drop(inner);
        drop(driver);
    }
}

/// One who waits for the driver's end, until it is dropped.
struct Finisher<'a> {
    shared: &'a Shared,
    place: usize,
}

impl Drop for Finisher<'_> {
    fn drop(&mut self) {
        // Its waker is dropped after the lock is released.
        let waker = self.shared.lock().finishers.try_remove(self.place);
        drop(waker);
    }
}

impl Inner {
    /// The session's, with what the streams of events hold and have dropped.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.session.stats();
        stats.lagged_events += self.missed;
        for (_, listener) in &self.listeners {
            let held = listener.events.held();
            stats.unread_events += held.count;
            stats.unread_events_bytes += held.bytes;
        }
        stats
    }

    /// The answer to a request, once and for its one waiter.
    pub(super) fn poll_response(
        &mut self,
        key: RequestKey,
        task: &mut Task<'_>,
    ) -> Poll<Result<Json, RequestError>> {
        if let Some(Waiter::Waiting(place)) = self.responses.get_mut(&key) {
            return task.register(place);
        }
        match self.responses.remove(&key) {
            Some(Waiter::Done(result)) => Poll::Ready(result),
            _ => unreachable!("a waiter stays until its response takes it"),
        }
    }

    /// Hands what the session tells to those who wait for it, and collects whom to wake once the lock is
    /// released.
    pub(super) fn drain_events(&mut self, wakers: &mut Wakers) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Settled { request, result } => {
                    let waiter = self.responses.get_mut(&request);
                    wakers.extend(waiter.and_then(|waiter| waiter.complete(result)));
                }
                Event::ChangeReadable(key) | Event::Subscribed(key) => {
                    wakers.extend(self.readers.wake(Readable::Subscription(key)));
                }
                Event::ReplyReadable(key) => {
                    wakers.extend(self.readers.wake(Readable::Replies(key)));
                }
                Event::ListenerReadable(key) => {
                    wakers.extend(self.readers.wake(Readable::Listener(key)));
                }
                Event::Unsubscribed { subscription, result } => {
                    let waiter = self.unsubscribes.get_mut(&subscription);
                    wakers.extend(waiter.and_then(|waiter| waiter.complete(result)));
                }
                Event::Client(event) => self.notify_listeners(&event, wakers),
            }
        }
    }

    /// What has become of all that was accepted before `mark`, as far as that is known: it was written, or its
    /// socket is gone, or it never will be (C3).
    pub(super) fn flushed(&self, mark: u64) -> Option<Result<(), CloseReason>> {
        let is_sent = self.session.is_sent(mark);
        match self.session.state() {
            _ if is_sent && !self.unwritten => Some(Ok(())),
            ConnectionState::Closed(reason) if !is_sent || self.finished => {
                Some(Err(reason.clone()))
            }
            _ => None,
        }
    }

    /// The driver has looked at its socket: collects who waited for that.
    pub(super) fn socket_polled(&mut self, unwritten: bool, wakers: &mut Wakers) {
        self.unwritten = unwritten;
        self.notify_flushers(wakers);
    }

    fn notify_flushers(&mut self, wakers: &mut Wakers) {
        if self.flushers.is_empty() {
            return;
        }
        let mut flushers = std::mem::take(&mut self.flushers);
        for (_, flusher) in &mut flushers {
            if let Some(result) = self.flushed(flusher.mark) {
                wakers.extend(flusher.waiter.complete(result));
            }
        }
        self.flushers = flushers;
    }

    fn notify_listeners(&mut self, event: &ClientEvent, wakers: &mut Wakers) {
        if let ClientEvent::State(_) = event {
            wakers.extend(self.watchers.iter_mut().filter_map(|(_, waker)| waker.take()));
        }
        for (_, listener) in &mut self.listeners {
            self.missed += listener.events.push(event.clone());
            wakers.extend(listener.waker.take());
        }
    }
}

/// What keeps a client alive: the last one that is dropped closes it (C2).
pub(super) struct Handle {
    shared: Arc<Shared>,
    /// What is dropped behind that.
    attached: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, attached: Mutex::default() }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn attach(&self, attachment: Box<dyn Any + Send>) {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).push(attachment);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.command(|session, now| session.close(CloseOptions::now(), now));
    }
}
