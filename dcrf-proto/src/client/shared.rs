//! What the handles and the driver share: the session, and the tasks that wait for it.

use std::any::Any;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use slab::Slab;

use super::wake::{Readable, Readers, Task, TaskWaker, Wakers};
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

/// The lock, held. `tracing` records are emitted after it is released, because subscribers are user code.
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
    /// The waker of the driver, woken by the next command.
    pub(super) driver: Option<TaskWaker>,
    /// The driver has ended, so nothing will be reported any more.
    pub(super) finished: bool,
    pub(super) replies: OwnMap<RequestKey, Waiter<Result<Json, RequestError>>>,
    pub(super) readers: Readers,
    pub(super) unsubscribes: OwnMap<SubscriptionKey, Waiter<Result<(), UnsubscribeError>>>,
    pub(super) listeners: Slab<Listener>,
    /// The wakers of the state watches.
    pub(super) watchers: Slab<Option<TaskWaker>>,
    /// The wakers of tasks that wait for the driver to end.
    finishers: Slab<Option<TaskWaker>>,
    /// Tasks that wait until frames are written.
    pub(super) flushers: Slab<Flusher>,
    /// How many events were dropped in all event streams.
    lagged_events: u64,
    /// Whether the socket has unflushed frames.
    unwritten: bool,
}

/// A task that waits until everything accepted before `mark` is written.
pub(super) struct Flusher {
    pub(super) mark: u64,
    pub(super) waiter: Waiter<Result<(), CloseReason>>,
}

/// A task that waits for one result.
pub(super) enum Waiter<T> {
    Waiting(Option<TaskWaker>),
    Done(T),
}

impl<T> Waiter<T> {
    fn complete(&mut self, result: T) -> Option<TaskWaker> {
        let Self::Waiting(waker) = self else { return None };
        let waker = waker.take();
        *self = Self::Done(result);
        waker
    }
}

/// An event stream.
pub(super) struct Listener {
    pub(super) events: ClientEvents,
    pub(super) waker: Option<TaskWaker>,
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
                replies: OwnMap::default(),
                readers: Readers::default(),
                unsubscribes: OwnMap::default(),
                listeners: Slab::new(),
                watchers: Slab::new(),
                finishers: Slab::new(),
                flushers: Slab::new(),
                lagged_events: 0,
                unwritten: false,
            }),
            now,
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        // Only the hooks of a dialect run under the lock. One that panics loses its own frame, and the lock stays usable.
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { inner, records: Records::default() }
    }

    /// Runs a command of the session, and wakes the driver.
    pub(super) fn command<T>(&self, command: impl FnOnce(&mut Session, Instant) -> T) -> T {
        self.command_with(|inner, now| command(&mut inner.session, now))
    }

    pub(super) fn command_with<T>(&self, command: impl FnOnce(&mut Inner, Instant) -> T) -> T {
        let now = (self.now)();
        // Dropped after the lock is released, which wakes them.
        let mut wakers = Wakers::default();
        let mut inner = self.lock();
        let result = command(&mut inner, now);
        if inner.finished {
            // There is no driver any more to deliver events.
            inner.drain_events(&mut wakers);
        }
        wakers.extend(inner.driver.take());
        result
    }

    /// Polls under the lock. If the task has to wait, polls again with a clone of its waker, see [`Task`].
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

    /// Completes when the driver has ended.
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

    /// Settles everything, because the driver has ended or was dropped.
    pub(super) fn stop_driving(&self) {
        let now = (self.now)();
        // Dropped after the lock is released, which wakes them.
        let mut wakers = Wakers::default();
        let mut inner = self.lock();
        inner.session.stop_driving(now);
        inner.drain_events(&mut wakers);
        inner.finished = true;
        wakers.extend(inner.finishers.iter_mut().filter_map(|(_, finisher)| finisher.take()));
        let driver = inner.driver.take();
        // The session has no event for the end of a listener.
        wakers.extend(inner.readers.drain());
        inner.notify_flushers(&mut wakers);
        wakers.extend(inner.listeners.iter_mut().filter_map(|(_, listener)| listener.waker.take()));
        drop(inner);
        drop(driver);
    }
}

/// Removes the waker of a task that waits for the driver to end.
struct Finisher<'a> {
    shared: &'a Shared,
    place: usize,
}

impl Drop for Finisher<'_> {
    fn drop(&mut self) {
        // The waker is dropped after the lock is released.
        let waker = self.shared.lock().finishers.try_remove(self.place);
        drop(waker);
    }
}

impl Inner {
    /// The session's statistics, with those of the event streams.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.session.stats();
        stats.lagged_events += self.lagged_events;
        for (_, listener) in &self.listeners {
            let held = listener.events.held();
            stats.unread_events += held.count;
            stats.unread_events_bytes += held.bytes;
        }
        stats
    }

    /// Takes the result of a request.
    pub(super) fn poll_reply(
        &mut self,
        key: RequestKey,
        task: &mut Task<'_>,
    ) -> Poll<Result<Json, RequestError>> {
        if let Some(Waiter::Waiting(place)) = self.replies.get_mut(&key) {
            return task.register(place);
        }
        match self.replies.remove(&key) {
            Some(Waiter::Done(result)) => Poll::Ready(result),
            _ => unreachable!("only the reply future removes its waiter"),
        }
    }

    /// Delivers the session's events, and collects the wakers to wake after the lock is released.
    pub(super) fn drain_events(&mut self, wakers: &mut Wakers) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Settled { request, result } => {
                    let waiter = self.replies.get_mut(&request);
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
                Event::CollectionReadable(key) => {
                    wakers.extend(self.readers.wake(Readable::Collection(key)));
                }
                Event::Unsubscribed { subscription, result } => {
                    let waiter = self.unsubscribes.get_mut(&subscription);
                    wakers.extend(waiter.and_then(|waiter| waiter.complete(result)));
                }
                Event::Client(event) => self.notify_listeners(&event, wakers),
            }
        }
    }

    /// Whether everything accepted before `mark` is written (C3). `None` if that is still open.
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

    /// The driver has polled its socket. Collects the wakers of tasks that waited for it.
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
            self.lagged_events += listener.events.push(event.clone());
            wakers.extend(listener.waker.take());
        }
    }
}

/// Keeps a client alive. Dropping the last one closes the client (C2).
pub(super) struct Handle {
    shared: Arc<Shared>,
    /// Dropped after that.
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
