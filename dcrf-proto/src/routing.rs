//! Where an incoming frame goes: by its request id, or by the selectors of listeners and of the dialect.

use std::cell::OnceCell;
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeMap, VecDeque};

use crate::dialect::ChangeKind;
use crate::id::{IdMap, ListenerKey, OwnMap, RequestId, RequestKey, SubscriptionKey, UpstreamKey};
use crate::protocol::framing::Framing;
use crate::protocol::selector::Selector;

/// Who receives a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    /// A request, for its reply.
    Request(RequestKey),
    /// An upstream subscription, for the reply to its last subscribe or unsubscribe. A frame found by its id can also be
    /// a change.
    Upstream(UpstreamKey),
    /// An upstream subscription, for a change that a selector of the dialect found.
    Change(UpstreamKey, ChangeKind),
    /// A subscriber, for the reply to its refresh (S6).
    Refresh(SubscriptionKey),
    Listener(ListenerKey),
}

/// What a request id stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    To(Destination),
    /// A selector of the dialect finds the frames.
    BySelector,
    /// Cancelled or timed out: a reply is late (R3, R9).
    Abandoned,
    /// The server has confirmed the unsubscribe. An event can still follow and is late. Another subscription may use the
    /// id again (R8).
    Released,
}

/// The map from request ids to destinations.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_id: IdMap<Route>,
    /// The abandoned and released ids, oldest first.
    retired: VecDeque<RequestId>,
}

impl Routes {
    /// How many retired ids are kept. Later frames count as unhandled.
    const MAX_RETIRED: usize = 1024;

    pub(crate) fn get(&self, id: &RequestId) -> Option<Route> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn insert(&mut self, id: RequestId, route: Route) {
        match self.by_id.entry(id) {
            MapEntry::Vacant(entry) => _ = entry.insert(route),
            MapEntry::Occupied(mut entry) => {
                let id = entry.key();
                self.retired.retain(|retired| retired != id);
                entry.insert(route);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &RequestId) {
        self.by_id.remove(id);
    }

    /// Whether a request may use this id (R8).
    pub(crate) fn is_unused(&self, id: &RequestId) -> bool {
        self.get(id).is_none()
    }

    /// Whether a subscription may use this id (R8). A late event does no harm to it, while it would settle a request.
    pub(crate) fn is_free(&self, id: &RequestId) -> bool {
        matches!(self.get(id), None | Some(Route::Released))
    }

    /// From now on, a reply with this id is late.
    pub(crate) fn abandon(&mut self, id: RequestId) {
        self.retire(id, Route::Abandoned);
    }

    /// The server has sent its last reply with this id. Anything else with it is late.
    pub(crate) fn release(&mut self, id: RequestId) {
        self.retire(id, Route::Released);
    }

    fn retire(&mut self, id: RequestId, route: Route) {
        if self.retired.len() == Self::MAX_RETIRED {
            if let Some(oldest) = self.retired.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
        self.by_id.insert(id.clone(), route);
        self.retired.push_back(id);
    }

    /// Forgets the retired ids: a late reply can't outlive its connection.
    pub(crate) fn forget_retired(&mut self) {
        for id in self.retired.drain(..) {
            self.by_id.remove(&id);
        }
    }
}

/// The selectors, the only list whose entries are compared with a frame one by one. It is indexed by stream.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    by_stream: OwnMap<Box<str>, BTreeMap<u64, Entry>>,
    any_stream: BTreeMap<u64, Entry>,
    /// The stream and number of each destination's selector.
    positions: BTreeMap<Destination, (Option<Box<str>>, u64)>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    selector: Selector,
    destination: Destination,
}

impl Selectors {
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Adds the selector of a destination. A destination has one at a time.
    pub(crate) fn insert(
        &mut self,
        framing: Framing,
        selector: Selector,
        destination: Destination,
    ) {
        self.remove(destination);
        // Bare frames name no stream.
        let is_multiplexed = framing == Framing::Multiplexed;
        let stream: Option<Box<str>> =
            selector.of_stream().filter(|_| is_multiplexed).map(Into::into);
        let number = self.next_number;
        self.next_number += 1;
        let entries = match &stream {
            Some(stream) => self.by_stream.entry(stream.clone()).or_default(),
            None => &mut self.any_stream,
        };
        entries.insert(number, Entry { selector, destination });
        self.positions.insert(destination, (stream, number));
    }

    pub(crate) fn remove(&mut self, destination: Destination) {
        let Some((stream, number)) = self.positions.remove(&destination) else { return };
        let Some(stream) = stream else {
            self.any_stream.remove(&number);
            return;
        };
        if let Some(entries) = self.by_stream.get_mut(&stream) {
            entries.remove(&number);
            if entries.is_empty() {
                self.by_stream.remove(&stream);
            }
        }
    }

    /// The destinations whose selectors match a frame, those of its stream first, each in the order of insertion. The
    /// frame is parsed at most once, and only if a selector has a pattern.
    pub(crate) fn matching(
        &self,
        framing: Framing,
        stream: Option<&str>,
        text: &str,
    ) -> Vec<Destination> {
        let of_stream = stream.and_then(|stream| self.by_stream.get(stream));
        let entries =
            || of_stream.into_iter().flatten().chain(&self.any_stream).map(|(_, entry)| entry);
        let selectors = || entries().map(|entry| &entry.selector);
        let parsed = OnceCell::new();
        let parse = || Selector::parse_frame(framing, text, &selectors());
        let frame = || parsed.get_or_init(parse).as_ref();
        entries()
            .filter(|entry| entry.selector.selects(framing, stream, frame))
            .map(|entry| entry.destination)
            .collect()
    }
}
