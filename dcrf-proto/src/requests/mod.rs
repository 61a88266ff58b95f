//! Requests: the outbox, the requests in flight, their replies and deadlines. Every request ends exactly once, in
//! `release` (R5).

mod entry;
mod outbox;
mod reply_stream;
mod unanswered;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::entry::{Entry, Expects, Phase, Repeat};
use self::outbox::Outbox;
use self::reply_stream::CancelMessage;
pub(crate) use self::reply_stream::ReplyBuffer;
use crate::arena::Arena;
use crate::buffer::Held;
use crate::command::{Request, Written};
use crate::context::Context;
use crate::error::{CloseReason, ConnectionError, RejectReason, Rejected, RequestError};
use crate::event::Event;
use crate::frame::Frame;
use crate::id::{ReplyStreamKey, RequestId, RequestKey};
use crate::outcome::Outcome;
use crate::outgoing::{self, Purpose};
use crate::protocol::envelope::Payload;
use crate::protocol::json::Json;
use crate::routing::{Destination, Route};
use crate::timer::Timer;

#[derive(Debug)]
pub(crate) struct Requests {
    entries: Arena<RequestKey, Entry>,
    outbox: Outbox,
    next_sequence: u64,
    replies: Arena<ReplyStreamKey, ReplyBuffer>,
    /// Messages that cancel reply streams, for this connection only.
    cancel_messages: VecDeque<CancelMessage>,
    /// When the requests were last searched for one that is older than an overdue one.
    searched: Option<Instant>,
    /// The first request that was still queued when the session closed.
    first_unsent: Option<u64>,
    /// How many are in flight without any reply.
    unanswered: usize,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arena::new(),
            outbox: Outbox::default(),
            next_sequence: 0,
            replies: Arena::new(),
            cancel_messages: VecDeque::new(),
            searched: None,
            first_unsent: None,
            unanswered: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn queued(&self) -> Held {
        self.outbox.held()
    }

    /// Marks all requests accepted until now, for [`is_sent`](Self::is_sent).
    #[cfg(feature = "client")]
    pub(crate) fn mark(&self) -> u64 {
        self.next_sequence
    }

    /// Whether every request accepted before `mark` was handed to a socket or has settled.
    pub(crate) fn is_sent(&self, mark: u64) -> bool {
        let is_later = |sequence: Option<u64>| sequence.is_none_or(|sequence| sequence >= mark);
        is_later(self.outbox.first_sequence())
            && is_later(self.first_unsent)
            && self.cancel_messages.is_empty()
    }

    /// Whether it waits to be handed to a socket.
    pub(crate) fn is_queued(&self, key: RequestKey) -> bool {
        self.entries.get(key).is_some_and(|entry| matches!(entry.phase, Phase::Queued(_)))
    }

    pub(crate) fn stream_of(&self, key: RequestKey) -> Option<&str> {
        self.entries.get(key).map(|entry| &*entry.stream)
    }

    /// Queues a request for one reply.
    pub(crate) fn request(
        &mut self,
        cx: &mut Context,
        request: Request,
    ) -> Result<RequestKey, Rejected<Request>> {
        let timeout = request.timeout.or(cx.config.request_timeout);
        self.enqueue(cx, request, timeout, Expects::OneReply)
    }

    /// Queues a request for any number of replies (R12).
    pub(crate) fn stream(
        &mut self,
        cx: &mut Context,
        request: Request,
    ) -> Result<ReplyStreamKey, Rejected<Request>> {
        let timeout = request.timeout.or(cx.config.request_timeout);
        let key = self.enqueue(cx, request, timeout, Expects::OneReply)?;
        let replies = self.replies.insert_with(|_| ReplyBuffer::new(key));
        if let Some(entry) = self.entries.get_mut(key) {
            entry.expects = Expects::Replies(replies);
        }
        Ok(replies)
    }

    /// Queues a message that expects no reply (R10). Without an explicit timeout it stays queued for as long as the
    /// session lives.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context,
        request: Request,
        now_or_never: bool,
    ) -> Result<(), Rejected<Request>> {
        let timeout = request.timeout.or(None);
        self.enqueue(cx, request, timeout, Expects::Nothing { now_or_never }).map(drop)
    }

    fn enqueue(
        &mut self,
        cx: &mut Context,
        request: Request,
        timeout: Option<Duration>,
        expects: Expects,
    ) -> Result<RequestKey, Rejected<Request>> {
        match self.admit(cx, &request) {
            Ok(encoded) => Ok(self.insert(cx, request, encoded, timeout, expects)),
            Err(reason) => Err(Rejected { command: request, reason }),
        }
    }

    /// Checks the limits, chooses the id and encodes the request.
    fn admit(
        &self,
        cx: &mut Context,
        request: &Request,
    ) -> Result<(RequestId, Frame), RejectReason> {
        cx.admit()?;
        request.arguments.check()?;
        let (queued, limit) = (self.outbox.held(), cx.config.outbox);
        let open = self.entries.len().max(self.replies.len());
        if queued.count >= limit.count || open >= cx.config.max_requests {
            return Err(RejectReason::QueueFull);
        }
        let id = match &request.id {
            Some(id) if !cx.routes.is_unused(id) => return Err(RejectReason::IdInUse),
            Some(id) => id.clone(),
            None => RequestId::random(&mut cx.random),
        };
        let arguments = request.arguments.iter();
        let (stream, action) = (&request.stream, &request.action);
        let frame = outgoing::encode(&cx.config, Purpose::Request, stream, action, &id, arguments);
        let (size, max) = (frame.len(), cx.config.max_outgoing_message);
        if size > max {
            return Err(RejectReason::TooLarge { size, limit: max });
        }
        if queued.bytes + size > limit.bytes {
            return Err(RejectReason::QueueFull);
        }
        Ok((id, frame))
    }

    fn insert(
        &mut self,
        cx: &mut Context,
        request: Request,
        (id, frame): (RequestId, Frame),
        timeout: Option<Duration>,
        expects: Expects,
    ) -> RequestKey {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let size = frame.len();
        let selector = cx.reply_selector(&request.stream, &id);
        cx.stats.requests_made += u64::from(!expects.is_nothing());
        let trace = cx.trace.accepted(&request, &id, cx.now);
        let is_list = request.action == "list";
        let key = self.entries.insert_with(|_| Entry {
            id: id.clone(),
            stream: request.stream,
            sequence,
            phase: Phase::Queued(frame),
            timeout,
            deadline: None,
            repeat: if request.idempotent && !request.fail_fast {
                Repeat::Once { action: request.action, arguments: request.arguments }
            } else {
                Repeat::Never
            },
            is_suspect: false,
            fail_fast: request.fail_fast,
            is_of_collection: request.is_of_collection,
            write: request.write,
            expects,
            cancel_action: request.cancel_action,
            is_list,
            has_selector: selector.is_some(),
            trace,
        });
        self.outbox.insert(sequence, key, size);
        cx.routes.insert(
            id,
            if selector.is_some() {
                Route::BySelector
            } else {
                Route::To(Destination::Request(key))
            },
        );
        if let Some(selector) = selector {
            cx.selectors.insert(cx.config.framing, selector, Destination::Request(key));
        }
        self.start_deadline(cx, key);
        key
    }

    /// Restarts the timeout of a request from now.
    fn start_deadline(&mut self, cx: &mut Context, key: RequestKey) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(deadline) = entry.deadline.take() {
            cx.timers.clear(deadline, Timer::Request(key));
        }
        if let Some(timeout) = entry.timeout {
            let deadline = cx.after(timeout);
            entry.deadline = Some(deadline);
            cx.timers.set(deadline, Timer::Request(key));
        }
    }

    /// The next frame for the socket, of a stream that `is_free` to be used. Suspects wait if `is_patient` (L12).
    pub(crate) fn next_frame(
        &mut self,
        cx: &mut Context,
        is_patient: bool,
        is_free: impl Fn(&str) -> bool,
    ) -> Option<Frame> {
        loop {
            let entries = &self.entries;
            let key = self.outbox.pop(|key| {
                let entry = entries.get(key);
                entry
                    .is_none_or(|entry| !(is_patient && entry.is_suspect) && is_free(&entry.stream))
            })?;
            if let Some(frame) = self.send_frame(cx, key) {
                return Some(frame);
            }
        }
    }

    /// Those that may be requested again, although a connection has died while they were unanswered (L12).
    pub(crate) fn suspects(&self) -> impl Iterator<Item = RequestKey> + use<> {
        self.in_order(|entry| entry.is_suspect).into_iter().map(|(_, key)| key)
    }

    /// The frame of a suspect, if it is still queued.
    pub(crate) fn suspect_frame(&mut self, cx: &mut Context, key: RequestKey) -> Option<Frame> {
        let entry = self.entries.get(key).filter(|entry| !entry.is_in_flight())?;
        self.outbox.take(entry.sequence);
        self.send_frame(cx, key)
    }

    /// Hands over a request that was taken from the outbox.
    fn send_frame(&mut self, cx: &mut Context, key: RequestKey) -> Option<Frame> {
        let entry = self.entries.get_mut(key)?;
        // R3: never send a request after its deadline, even if its timer has not been handled yet.
        if entry.deadline.is_some_and(|deadline| deadline <= cx.now) {
            self.time_out(cx, key);
            return None;
        }
        let phase = Phase::InFlight { since: cx.now, is_answered: entry.expects.is_nothing() };
        let Phase::Queued(frame) = std::mem::replace(&mut entry.phase, phase) else { return None };
        self.outbox.subtract_bytes(frame.len());
        if entry.expects.is_nothing() {
            self.end(cx, key, Outcome::Sent);
        } else {
            self.unanswered += 1;
        }
        Some(frame)
    }

    /// How many are in flight without any reply.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Streams may have become free.
    pub(crate) fn reconsider(&mut self) {
        self.outbox.reconsider();
    }

    /// A request has got its first reply, or is no longer in flight.
    fn answered(&mut self, key: RequestKey) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Phase::InFlight { is_answered, .. } = &mut entry.phase {
            self.unanswered -= usize::from(!std::mem::replace(is_answered, true));
        }
    }

    pub(crate) fn handle_reply(
        &mut self,
        cx: &mut Context,
        key: RequestKey,
        payload: &Payload<'_>,
    ) {
        let Some(entry) = self.entries.get(key).filter(|entry| entry.is_in_flight()) else {
            cx.stats.late += 1;
            return;
        };
        if let Some(large) = cx.too_large {
            return self.reply_too_large(cx, key, large);
        }
        let outcome = payload.outcome();
        cx.has_worked |= outcome.is_ok();
        match (entry.expects, outcome) {
            (Expects::Replies(replies), Ok(data)) => {
                self.push_reply(cx, key, replies, Json::from_checked_or_null(data));
            }
            (_, outcome) => {
                let result =
                    outcome.map(Json::from_checked_or_null).map_err(RequestError::ErrorReply);
                self.settle(cx, key, result);
            }
        }
    }

    pub(crate) fn time_out(&mut self, cx: &mut Context, key: RequestKey) {
        let Some(entry) = self.entries.get(key) else { return };
        let (sent, in_flight, id) = (entry.was_sent(), entry.is_in_flight(), entry.id.clone());
        self.note_silence(cx, key);
        self.queue_cancel_message(cx, key);
        self.settle(cx, key, Err(RequestError::TimedOut { sent }));
        if in_flight {
            cx.routes.abandon(id);
        }
    }

    /// The caller has dropped the request (R9).
    pub(crate) fn cancel(&mut self, cx: &mut Context, key: RequestKey) {
        self.end(cx, key, Outcome::Cancelled);
    }

    /// Ends a request without an event. Its late reply will be ignored.
    fn end(&mut self, cx: &mut Context, key: RequestKey, outcome: Outcome) {
        if let Some(entry) = self.release(cx, key, outcome) {
            if entry.is_in_flight() {
                cx.routes.abandon(entry.id);
            }
        }
    }

    /// The connection is lost: requests in flight fail, or are queued again if they may be repeated (R4). If it is a death,
    /// they are suspects (L12).
    pub(crate) fn connection_lost(
        &mut self,
        cx: &mut Context,
        cause: &ConnectionError,
        is_death: bool,
    ) {
        self.cancel_messages.clear();
        self.outbox.reconsider();
        for (sequence, key) in self.in_order(Entry::is_bound_to_connection) {
            self.answered(key);
            let Some(entry) = self.entries.get_mut(key) else { continue };
            if let (Phase::InFlight { .. }, Repeat::Once { action, arguments }) =
                (&entry.phase, &entry.repeat)
            {
                let (stream, id) = (&entry.stream, &entry.id);
                let frame = outgoing::encode(
                    &cx.config,
                    Purpose::Request,
                    stream,
                    action,
                    id,
                    arguments.iter(),
                );
                self.outbox.insert(sequence, key, frame.len());
                entry.phase = Phase::Queued(frame);
                entry.repeat = Repeat::Spent;
                entry.is_suspect = is_death;
                cx.stats.repeated += 1;
                cx.trace.retried(&entry.trace);
            } else {
                let sent = entry.was_sent();
                let cause = cause.clone();
                self.settle(cx, key, Err(RequestError::ConnectionLost { sent, cause }));
            }
        }
    }

    /// Settles all requests because the session closes.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: &CloseReason) {
        self.cancel_messages.clear();
        self.first_unsent = self.outbox.first_sequence();
        for (_, key) in self.in_order(|_| true) {
            let sent = self.entries.get(key).is_some_and(Entry::was_sent);
            self.settle(cx, key, Err(RequestError::Closed { reason: reason.clone(), sent }));
        }
    }

    /// The requests that match `filter`, in the order of the calls.
    fn in_order(&self, filter: impl Fn(&Entry) -> bool) -> Vec<(u64, RequestKey)> {
        let entries = self.entries.iter().filter(|(_, entry)| filter(entry));
        let mut keys: Vec<_> = entries.map(|(key, entry)| (entry.sequence, key)).collect();
        keys.sort_unstable();
        keys
    }

    /// Ends a request and reports the result to its caller.
    fn settle(
        &mut self,
        cx: &mut Context,
        request: RequestKey,
        result: Result<Json, RequestError>,
    ) {
        let Some(entry) = self.release(cx, request, Outcome::of(&result)) else { return };
        if let (Some(write), Ok(reply)) = (entry.write, &result) {
            cx.written.push(Written { write: *write, reply: reply.clone() });
        }
        match (entry.expects, result) {
            (Expects::OneReply, result) => {
                let events = if entry.is_of_collection { &mut cx.internal } else { &mut cx.events };
                events.push_back(Event::Settled { request, result });
            }
            (Expects::Replies(replies), Err(error)) => self.fail_stream(cx, replies, error),
            (Expects::Replies(_), Ok(_)) | (Expects::Nothing { .. }, _) => {}
        }
    }

    /// Removes a request from every table and counts its outcome.
    fn release(&mut self, cx: &mut Context, key: RequestKey, outcome: Outcome) -> Option<Entry> {
        self.answered(key);
        let entry = self.entries.remove(key)?;
        outcome.count(&mut cx.stats, entry.expects.is_nothing());
        cx.trace.ended(&entry.trace, outcome, entry.was_sent(), cx.now);
        cx.routes.remove(&entry.id);
        if let Some(deadline) = entry.deadline {
            cx.timers.clear(deadline, Timer::Request(key));
        }
        if let Phase::Queued(frame) = &entry.phase {
            self.outbox.remove(entry.sequence, frame.len());
        }
        if entry.has_selector {
            cx.selectors.remove(Destination::Request(key));
        }
        Some(entry)
    }
}
