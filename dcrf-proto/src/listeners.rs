//! Listeners (F2) and their unread frames.

use crate::arena::Arena;
use crate::buffer::{Buffer, Held, Measure};
use crate::context::Context;
use crate::error::{RejectReason, Rejected};
use crate::event::{Event, ListenerEvent};
use crate::id::ListenerKey;
use crate::protocol::selector::Selector;
use crate::routing::Destination;

#[derive(Debug)]
pub(crate) struct Listeners(Arena<ListenerKey, Listener>);

#[derive(Debug)]
struct Listener {
    unread: Buffer<ListenerEvent>,
    /// How many frames were dropped before the first unread one.
    lagged: u64,
    /// Whether `ListenerReadable` is queued.
    event_queued: bool,
}

impl Measure for ListenerEvent {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame { payload, .. } => payload.len(),
            Self::Lagged(_) => 0,
        }
    }
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self(Arena::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn listen(
        &mut self,
        cx: &mut Context,
        selector: Selector,
    ) -> Result<ListenerKey, Rejected<Selector>> {
        if let Err(reason) = self.check(cx, &selector) {
            return Err(Rejected { command: selector, reason });
        }
        let key = self.0.insert_with(|_| Listener {
            unread: Buffer::default(),
            lagged: 0,
            event_queued: false,
        });
        cx.selectors.insert(cx.config.framing, selector, Destination::Listener(key));
        Ok(key)
    }

    fn check(&self, cx: &Context, selector: &Selector) -> Result<(), RejectReason> {
        cx.admit()?;
        selector.check()?;
        if self.len() < cx.config.max_subscriptions { Ok(()) } else { Err(RejectReason::QueueFull) }
    }

    pub(crate) fn unlisten(&mut self, cx: &mut Context, key: ListenerKey) {
        let Some(listener) = self.0.remove(key) else { return };
        cx.unread.frames.change(listener.unread.held(), Held::default());
        cx.selectors.remove(Destination::Listener(key));
    }

    /// Adds a matching frame. Drops the oldest ones if the buffer is full.
    pub(crate) fn push(&mut self, cx: &mut Context, key: ListenerKey, event: ListenerEvent) {
        let Some(listener) = self.0.get_mut(key) else { return };
        let (before, lagged) = (listener.unread.held(), listener.lagged);
        listener.unread.push(event);
        while listener.unread.is_over(cx.config.events) {
            listener.unread.pop();
            listener.lagged += 1;
        }
        cx.unread.frames.change(before, listener.unread.held());
        cx.stats.lagged += listener.lagged - lagged;
        cx.trace.lagged(None, listener.lagged - lagged);
        if !std::mem::replace(&mut listener.event_queued, true) {
            cx.events.push_back(Event::ListenerReadable(key));
        }
    }

    /// A matching frame was not kept, since it is over the size limit.
    pub(crate) fn miss(&mut self, cx: &mut Context, key: ListenerKey) {
        self.push(cx, key, ListenerEvent::Lagged(1));
    }

    /// `ListenerReadable` was polled. Returns false if the listener no longer exists.
    pub(crate) fn event_polled(&mut self, key: ListenerKey) -> bool {
        let listener = self.0.get_mut(key);
        listener.map(|listener| listener.event_queued = false).is_some()
    }

    pub(crate) fn poll_listener(
        &mut self,
        cx: &mut Context,
        key: ListenerKey,
    ) -> Option<ListenerEvent> {
        let listener = self.0.get_mut(key)?;
        let before = listener.unread.held();
        let event = match std::mem::take(&mut listener.lagged) {
            0 => listener.unread.pop(),
            lagged => Some(ListenerEvent::Lagged(lagged)),
        };
        cx.unread.frames.change(before, listener.unread.held());
        event
    }
}
