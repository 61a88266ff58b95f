//! Who takes frames by a selector: the only list that a frame is compared with one by one, kept by stream so that
//! only those who may want it are asked.

use std::cell::OnceCell;

use serde_json::Value;

use crate::dialect::ChangeKind;
use crate::id::{ListenerKey, OwnMap, RequestKey, SubscriptionKey, UpstreamKey};
use crate::protocol::framing::Framing;
use crate::protocol::selector::Selector;

/// Who takes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taker {
    Listener(ListenerKey),
    /// As an answer, where the dialect has a selector for it.
    Request(RequestKey),
    /// As the answer to what was sent last.
    Upstream(UpstreamKey),
    /// As the answer to a refresh.
    Refresh(SubscriptionKey),
    /// As a change.
    Change(UpstreamKey, ChangeKind),
}

#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Those that want frames of one stream only.
    by_stream: OwnMap<Box<str>, Vec<Entry>>,
    of_any_stream: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    selector: Selector,
    taker: Taker,
}

impl Selection {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_stream.is_empty() && self.of_any_stream.is_empty()
    }

    /// The frames that `selector` takes are for `taker` from now on.
    pub(crate) fn insert(&mut self, framing: Framing, selector: Selector, taker: Taker) {
        let entries = match selector.of_stream() {
            // Bare frames name no stream.
            Some(stream) if framing == Framing::Multiplexed => {
                self.by_stream.entry(stream.into()).or_default()
            }
            _ => &mut self.of_any_stream,
        };
        entries.push(Entry { selector, taker });
    }

    pub(crate) fn remove(&mut self, those: impl Fn(Taker) -> bool) {
        self.by_stream.retain(|_, entries| {
            entries.retain(|entry| !those(entry.taker));
            !entries.is_empty()
        });
        self.of_any_stream.retain(|entry| !those(entry.taker));
    }

    /// Who takes a frame of `stream`, in the order in which they came. `text` is the whole frame, which is read to a
    /// tree at most once, and only if somebody may want it.
    pub(crate) fn takers(&self, framing: Framing, stream: Option<&str>, text: &str) -> Vec<Taker> {
        let tree = OnceCell::new();
        let frame = || tree.get_or_init(|| serde_json::from_str::<Value>(text).ok()).as_ref();
        let of_stream = stream.and_then(|stream| self.by_stream.get(stream));
        let may_want = of_stream.into_iter().flatten().chain(&self.of_any_stream);
        may_want
            .filter(|entry| entry.selector.selects(framing, stream, frame))
            .map(|entry| entry.taker)
            .collect()
    }
}
