//! Requests: the outbox of those that wait, the replies of those that were sent, their deadlines. Each
//! leaves through one function, once (R5).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::arena::Arena;
use crate::command::{Request, Timeout};
use crate::context::{Context, Route, Routes};
use crate::error::{CloseReason, Rejected, Rejection, RequestError};
use crate::event::Event;
use crate::id::{RequestId, RequestKey};
use crate::timer::Timer;
use crate::wire::envelope::{self, Payload};
use crate::wire::json::Json;

#[derive(Debug)]
pub(crate) struct Requests {
    entries: Arena<RequestKey, Entry>,
    /// What waits to be sent, by the order of the calls; a request that is sent again takes its old place.
    outbox: BTreeMap<u64, RequestKey>,
    outbox_bytes: usize,
    next_sequence: u64,
}

#[derive(Debug)]
struct Entry {
    id: RequestId,
    stream: Cow<'static, str>,
    sequence: u64,
    phase: Phase,
    deadline: Option<Instant>,
    repeat: Repeat,
}

/// Whether a request may be sent once more after a loss (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Never,
    Once,
    /// It has been sent on an earlier connection.
    Spent,
}

#[derive(Debug)]
enum Phase {
    Waiting(String),
    /// Handed to the socket; the text is kept where it may be sent again.
    Sent(Option<String>),
}

impl Entry {
    /// Whether the server may have seen it.
    fn was_sent(&self) -> bool {
        self.is_in_flight() || self.repeat == Repeat::Spent
    }

    /// Whether it was sent on this connection.
    fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Sent(_))
    }
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self { entries: Arena::new(), outbox: BTreeMap::new(), outbox_bytes: 0, next_sequence: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    pub(crate) fn stream(&self, key: RequestKey) -> Option<&str> {
        self.entries.get(key).map(|entry| &*entry.stream)
    }

    /// Accepts a request into the outbox.
    pub(crate) fn request(
        &mut self,
        cx: &mut Context,
        request: Request,
    ) -> Result<RequestKey, Rejected<Request>> {
        match self.accept(cx, &request) {
            Ok((id, text)) => Ok(self.insert(cx, request, id, text)),
            Err(reason) => Err(Rejected { command: request, reason }),
        }
    }

    fn accept(
        &self,
        cx: &mut Context,
        request: &Request,
    ) -> Result<(RequestId, String), Rejection> {
        cx.admit()?;
        request.arguments.check()?;
        let outbox = cx.config.outbox;
        if self.outbox.len() >= outbox.count || self.len() >= cx.config.max_requests {
            return Err(Rejection::QueueFull);
        }
        let id = cx.choose_id(request.id.as_ref(), Routes::is_unknown)?;
        let framing = cx.config.framing;
        let text = envelope::encode(
            framing,
            &request.stream,
            &request.action,
            &id,
            request.arguments.iter(),
        );
        let (size, limit) = (text.len(), cx.config.max_message);
        if size > limit {
            return Err(Rejection::TooLarge { size, limit });
        }
        if self.outbox_bytes + size > outbox.bytes {
            return Err(Rejection::QueueFull);
        }
        Ok((id, text))
    }

    fn insert(
        &mut self,
        cx: &mut Context,
        request: Request,
        id: RequestId,
        text: String,
    ) -> RequestKey {
        let timeout = match request.timeout {
            Timeout::Default => cx.config.request_timeout,
            Timeout::After(timeout) => Some(timeout),
            Timeout::Never => None,
        };
        let deadline = timeout.map(|timeout| cx.after(timeout));
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.outbox_bytes += text.len();
        let key = self.entries.insert_with(|_| Entry {
            id: id.clone(),
            stream: request.stream,
            sequence,
            phase: Phase::Waiting(text),
            deadline,
            repeat: if request.safe_to_repeat { Repeat::Once } else { Repeat::Never },
        });
        self.outbox.insert(sequence, key);
        cx.routes.insert(id, Route::Request(key));
        if let Some(deadline) = deadline {
            cx.timers.set(deadline, Timer::Request(key));
        }
        key
    }

    /// Hands out the next request for the socket.
    pub(crate) fn next_text(&mut self, cx: &mut Context) -> Option<String> {
        loop {
            let (_, key) = self.outbox.pop_first()?;
            let Some(entry) = self.entries.get_mut(key) else { continue };
            // R3: one whose deadline has passed is never sent, also before its timer is looked at.
            if entry.deadline.is_some_and(|deadline| deadline <= cx.now) {
                self.timed_out(cx, key);
                continue;
            }
            let Phase::Waiting(text) = &mut entry.phase else { continue };
            let text = std::mem::take(text);
            self.outbox_bytes -= text.len();
            entry.phase = Phase::Sent((entry.repeat == Repeat::Once).then(|| text.clone()));
            return Some(text);
        }
    }

    /// The server has answered. Says whether anyone was waiting for that.
    pub(crate) fn reply(
        &mut self,
        cx: &mut Context,
        key: RequestKey,
        payload: &Payload<'_>,
    ) -> bool {
        let in_flight = self.entries.get(key).is_some_and(Entry::is_in_flight);
        if in_flight {
            let result = payload.outcome().map(Json::from).map_err(RequestError::Refused);
            self.settle(cx, key, result);
        }
        in_flight
    }

    pub(crate) fn timed_out(&mut self, cx: &mut Context, key: RequestKey) {
        let Some(entry) = self.entries.get(key) else { return };
        let (sent, in_flight, id) = (entry.was_sent(), entry.is_in_flight(), entry.id.clone());
        self.settle(cx, key, Err(RequestError::TimedOut { sent }));
        if in_flight {
            cx.routes.abandon(id);
        }
    }

    /// The caller no longer wants the answer (R9).
    pub(crate) fn cancel(&mut self, cx: &mut Context, key: RequestKey) {
        if let Some(entry) = self.release(cx, key) {
            if entry.is_in_flight() {
                cx.routes.abandon(entry.id);
            }
        }
    }

    /// The connection is lost: what was sent fails, or waits again where it may be repeated (R4).
    pub(crate) fn lost(&mut self, cx: &mut Context) {
        let mut sent: Vec<(u64, RequestKey)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_in_flight())
            .map(|(key, entry)| (entry.sequence, key))
            .collect();
        sent.sort_unstable();
        for (sequence, key) in sent {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            if let Phase::Sent(Some(text)) = &mut entry.phase {
                let text = std::mem::take(text);
                self.outbox_bytes += text.len();
                entry.phase = Phase::Waiting(text);
                entry.repeat = Repeat::Spent;
                self.outbox.insert(sequence, key);
                cx.stats.repeated += 1;
            } else {
                self.settle(cx, key, Err(RequestError::ConnectionLost { sent: true }));
            }
        }
    }

    /// The session is closed: all that is left settles with it.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        let mut left: Vec<(u64, RequestKey)> =
            self.entries.iter().map(|(key, entry)| (entry.sequence, key)).collect();
        left.sort_unstable();
        for (_, key) in left {
            let sent = self.entries.get(key).is_some_and(Entry::was_sent);
            self.settle(cx, key, Err(RequestError::Closed { reason: reason.clone(), sent }));
        }
    }

    /// The one place where a request settles.
    fn settle(
        &mut self,
        cx: &mut Context,
        request: RequestKey,
        result: Result<Json, RequestError>,
    ) {
        if self.release(cx, request).is_some() {
            cx.events.push_back(Event::Settled { request, result });
        }
    }

    /// Takes a request out of every table.
    fn release(&mut self, cx: &mut Context, key: RequestKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        cx.routes.remove(&entry.id);
        if let Some(deadline) = entry.deadline {
            cx.timers.clear(deadline, Timer::Request(key));
        }
        if let Phase::Waiting(text) = &entry.phase {
            self.outbox.remove(&entry.sequence);
            self.outbox_bytes -= text.len();
        }
        Some(entry)
    }
}
