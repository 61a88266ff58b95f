//! Who takes frames by a selector (F2): the only list that a frame is compared with one by one, kept by stream so
//! that only those who may want it are asked.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use serde_json::Value;

use crate::arena::Arena;
use crate::buffer::{Buffer, Measure};
use crate::config::Framing;
use crate::context::Context;
use crate::error::{Rejected, Rejection};
use crate::event::{Event, Heard};
use crate::id::ListenerKey;
use crate::wire::selector::Selector;

#[derive(Debug)]
pub(crate) struct Listeners {
    all: Arena<ListenerKey, Listener>,
    /// Those that want frames of one stream only.
    by_stream: HashMap<Box<str>, Vec<ListenerKey>, BuildHasherDefault<DefaultHasher>>,
    of_any_stream: Vec<ListenerKey>,
}

#[derive(Debug)]
struct Listener {
    selector: Selector,
    waiting: Buffer<Heard>,
    /// How many frames were dropped before the first that is left.
    lagged: u64,
    /// Whether the event waits to be polled already.
    told: bool,
}

impl Measure for Heard {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame { payload, .. } => payload.len(),
            Self::Lagged(_) => 0,
        }
    }
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self { all: Arena::new(), by_stream: HashMap::default(), of_any_stream: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn listen(
        &mut self,
        cx: &Context,
        selector: Selector,
    ) -> Result<ListenerKey, Rejected<Selector>> {
        if let Err(reason) = self.check(cx, &selector) {
            return Err(Rejected { command: selector, reason });
        }
        let stream = selector.of_stream().map(Box::from);
        let key = self.all.insert_with(|_| Listener {
            selector,
            waiting: Buffer::new(),
            lagged: 0,
            told: false,
        });
        match stream {
            Some(stream) => self.by_stream.entry(stream).or_default().push(key),
            None => self.of_any_stream.push(key),
        }
        Ok(key)
    }

    fn check(&self, cx: &Context, selector: &Selector) -> Result<(), Rejection> {
        cx.admit()?;
        selector.check()?;
        let is_full = self.all.len() >= cx.config.max_subscriptions;
        if is_full { Err(Rejection::QueueFull) } else { Ok(()) }
    }

    pub(crate) fn unlisten(&mut self, key: ListenerKey) {
        let Some(listener) = self.all.remove(key) else { return };
        let Some(stream) = listener.selector.of_stream() else {
            return self.of_any_stream.retain(|other| *other != key);
        };
        if let Some(keys) = self.by_stream.get_mut(stream) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_stream.remove(stream);
            }
        }
    }

    /// Hands a frame to all whose selector takes it, and says whether there are any. `text` is the whole frame, which
    /// is read to a tree at most once, and `heard` makes of it what they get.
    pub(crate) fn hear(
        &mut self,
        cx: &mut Context,
        framing: Framing,
        stream: Option<&str>,
        text: &str,
        heard: impl Fn() -> Heard,
    ) -> bool {
        let tree = OnceCell::new();
        let frame = || tree.get_or_init(|| serde_json::from_str::<Value>(text).ok()).as_ref();
        let takes = |key: &ListenerKey| {
            let listener = self.all.get(*key);
            listener.is_some_and(|listener| listener.selector.takes(framing, stream, frame))
        };
        // Bare frames name no stream, so there all are asked.
        let of_stream: Vec<ListenerKey> = match (framing, stream) {
            (Framing::Bare, _) => self.all.iter().map(|(key, _)| key).filter(takes).collect(),
            (Framing::Multiplexed, stream) => {
                let of_stream = stream.and_then(|stream| self.by_stream.get(stream));
                let may_want = of_stream.into_iter().flatten().chain(&self.of_any_stream);
                may_want.copied().filter(takes).collect()
            }
        };
        let Some((last, others)) = of_stream.split_last() else { return false };
        let heard = heard();
        for key in others {
            self.tell(cx, *key, heard.clone());
        }
        self.tell(cx, *last, heard);
        true
    }

    fn tell(&mut self, cx: &mut Context, key: ListenerKey, heard: Heard) {
        let Some(listener) = self.all.get_mut(key) else { return };
        listener.waiting.push(heard);
        while listener.waiting.is_over(cx.config.notices) {
            listener.waiting.pop();
            listener.lagged += 1;
            cx.stats.lagged += 1;
        }
        if !std::mem::replace(&mut listener.told, true) {
            cx.events.push_back(Event::Heard(key));
        }
    }

    /// The event was polled. Says whether the listener is still there.
    pub(crate) fn told(&mut self, key: ListenerKey) -> bool {
        let listener = self.all.get_mut(key);
        listener.map(|listener| listener.told = false).is_some()
    }

    pub(crate) fn poll_heard(&mut self, key: ListenerKey) -> Option<Heard> {
        let listener = self.all.get_mut(key)?;
        match std::mem::take(&mut listener.lagged) {
            0 => listener.waiting.pop(),
            lagged => Some(Heard::Lagged(lagged)),
        }
    }
}
