//! Who listens to frames (F2): what has been heard and waits to be read.

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
    waiting: Buffer<ListenerEvent>,
    /// How many frames were dropped before the first that is left.
    lagged: u64,
    /// Whether the event waits to be polled already.
    told: bool,
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
        let key =
            self.0.insert_with(|_| Listener { waiting: Buffer::default(), lagged: 0, told: false });
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
        cx.unread.frames.change(listener.waiting.held(), Held::default());
        cx.selectors.remove(Destination::Listener(key));
    }

    /// A frame has come that the listener wants.
    pub(crate) fn hear(&mut self, cx: &mut Context, key: ListenerKey, heard: ListenerEvent) {
        let Some(listener) = self.0.get_mut(key) else { return };
        let (before, lagged) = (listener.waiting.held(), listener.lagged);
        listener.waiting.push(heard);
        while listener.waiting.is_over(cx.config.events) {
            listener.waiting.pop();
            listener.lagged += 1;
        }
        cx.unread.frames.change(before, listener.waiting.held());
        cx.stats.lagged += listener.lagged - lagged;
        cx.trace.lagged(None, listener.lagged - lagged);
        if !std::mem::replace(&mut listener.told, true) {
            cx.events.push_back(Event::ListenerReadable(key));
        }
    }

    /// The event was polled. Says whether the listener is still there.
    pub(crate) fn told(&mut self, key: ListenerKey) -> bool {
        let listener = self.0.get_mut(key);
        listener.map(|listener| listener.told = false).is_some()
    }

    pub(crate) fn poll_listener(
        &mut self,
        cx: &mut Context,
        key: ListenerKey,
    ) -> Option<ListenerEvent> {
        let listener = self.0.get_mut(key)?;
        let before = listener.waiting.held();
        let heard = match std::mem::take(&mut listener.lagged) {
            0 => listener.waiting.pop(),
            lagged => Some(ListenerEvent::Lagged(lagged)),
        };
        cx.unread.frames.change(before, listener.waiting.held());
        heard
    }
}
