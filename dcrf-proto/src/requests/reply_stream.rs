//! Requests with many replies (R12): their unread replies, and how they end.

use std::borrow::Cow;

use super::{Entry, Expects, Repeat, Requests};
use crate::buffer::{Buffer, Held, Measure};
use crate::context::Context;
use crate::error::{ReplyStreamError, RequestError};
use crate::event::Event;
use crate::frame::Frame;
use crate::id::{ReplyStreamKey, RequestKey};
use crate::outcome::Outcome;
use crate::outgoing::{self, Purpose};
use crate::protocol::json::Json;

/// A message that cancels a reply stream.
#[derive(Debug)]
pub(super) struct CancelMessage {
    /// The stream of a `list_cancel`, which a later DCRF than 1.3.0 applies to all lists of the consumer.
    list_stream: Option<Cow<'static, str>>,
    frame: Frame,
}

/// The unread replies of one stream.
#[derive(Debug)]
pub(crate) struct ReplyBuffer {
    status: Status,
    unread: Buffer<Json>,
    received: u64,
    /// Whether `ReplyReadable` is queued.
    event_queued: bool,
}

#[derive(Debug)]
enum Status {
    /// More replies may come.
    Open(RequestKey),
    Ended(ReplyStreamError),
}

impl Measure for Json {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl ReplyBuffer {
    pub(super) fn new(request: RequestKey) -> Self {
        Self {
            status: Status::Open(request),
            unread: Buffer::default(),
            received: 0,
            event_queued: false,
        }
    }

    pub(crate) fn event_polled(&mut self) {
        self.event_queued = false;
    }

    fn notify(&mut self, cx: &mut Context, key: ReplyStreamKey) {
        if !std::mem::replace(&mut self.event_queued, true) {
            cx.events.push_back(Event::ReplyReadable(key));
        }
    }
}

impl Requests {
    pub(crate) fn replies_mut(&mut self, key: ReplyStreamKey) -> Option<&mut ReplyBuffer> {
        self.replies.get_mut(key)
    }

    /// The next reply; after the last one, the error that ended the stream. The error frees the key.
    pub(crate) fn poll_reply(
        &mut self,
        cx: &mut Context,
        key: ReplyStreamKey,
    ) -> Option<Result<Json, ReplyStreamError>> {
        let replies = self.replies.get_mut(key)?;
        let before = replies.unread.held();
        if let Some(json) = replies.unread.pop() {
            cx.unread.replies.change(before, replies.unread.held());
            return Some(Ok(json));
        }
        let Status::Ended(error) = &replies.status else { return None };
        let error = error.clone();
        self.replies.remove(key);
        Some(Err(error))
    }

    pub(super) fn push_reply(
        &mut self,
        cx: &mut Context,
        request: RequestKey,
        key: ReplyStreamKey,
        json: Json,
    ) {
        let Some(replies) = self.replies.get_mut(key) else { return };
        let before = replies.unread.held();
        replies.unread.push(json);
        cx.unread.replies.change(before, replies.unread.held());
        replies.received += 1;
        let (received, overflowed) = (replies.received, replies.unread.is_over(cx.config.replies));
        replies.notify(cx, key);
        if overflowed {
            self.abort(cx, request, Outcome::Overflowed);
            return self.end_stream(cx, key, ReplyStreamError::Overflowed { received });
        }
        self.answered(request);
        if let Some(entry) = self.entries.get_mut(request) {
            // R4: a repeat would deliver the first replies twice.
            entry.repeat = Repeat::Never;
        }
        self.start_deadline(cx, request);
    }

    pub(super) fn fail_stream(
        &mut self,
        cx: &mut Context,
        key: ReplyStreamKey,
        error: RequestError,
    ) {
        let received = self.replies.get(key).map_or(0, |replies| replies.received);
        let error = match error {
            RequestError::ConnectionLost { .. } => ReplyStreamError::Interrupted { received },
            error => ReplyStreamError::Request(error),
        };
        self.end_stream(cx, key, error);
    }

    fn end_stream(&mut self, cx: &mut Context, key: ReplyStreamKey, error: ReplyStreamError) {
        let Some(replies) = self.replies.get_mut(key) else { return };
        replies.status = Status::Ended(error);
        replies.notify(cx, key);
    }

    /// Removes a stream on behalf of the caller. Unless it `is_complete`, the server gets the cancel message.
    pub(crate) fn remove_stream(
        &mut self,
        cx: &mut Context,
        key: ReplyStreamKey,
        is_complete: bool,
    ) {
        let Some(replies) = self.replies.remove(key) else { return };
        cx.unread.replies.change(replies.unread.held(), Held::default());
        let Status::Open(request) = replies.status else { return };
        if is_complete {
            self.end(cx, request, Outcome::Replied);
        } else {
            self.abort(cx, request, Outcome::Cancelled);
        }
    }

    /// Ends a request and cancels it on the server.
    fn abort(&mut self, cx: &mut Context, key: RequestKey, outcome: Outcome) {
        self.queue_cancel_message(cx, key);
        self.end(cx, key, outcome);
    }

    /// Asks the server to send no more replies, if the request has a cancel action.
    pub(super) fn queue_cancel_message(&mut self, cx: &Context, key: RequestKey) {
        let Some(entry) = self.entries.get(key).filter(|entry| entry.is_in_flight()) else {
            return;
        };
        if let (Expects::Replies(_), Some(action)) = (entry.expects, &entry.cancel_action) {
            let (stream, id) = (&entry.stream, &entry.id);
            let arguments = std::iter::empty();
            let frame =
                outgoing::encode(&cx.config, Purpose::Request, stream, action, id, arguments);
            let list_stream = (action == "list_cancel").then(|| stream.clone());
            self.cancel_messages.push_back(CancelMessage { list_stream, frame });
        }
    }

    /// The next cancel message, unless it would cancel the lists of others.
    pub(crate) fn next_cancel_message(
        &mut self,
        refreshes_list: impl Fn(&str) -> bool,
    ) -> Option<Frame> {
        while let Some(CancelMessage { list_stream, frame }) = self.cancel_messages.pop_front() {
            let cancels_others = list_stream.is_some_and(|stream| {
                let is_other =
                    |entry: &Entry| entry.is_list && entry.is_in_flight() && entry.stream == stream;
                self.entries.iter().any(|(_, entry)| is_other(entry)) || refreshes_list(&stream)
            });
            if !cancels_others {
                return Some(frame);
            }
        }
        None
    }
}
