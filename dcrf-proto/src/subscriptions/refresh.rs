//! The state of one subscriber's refresh (S6).

use std::time::Instant;

use super::quarantine::Suspicion;
use crate::buffer::Buffer;
use crate::command::Request;
use crate::context::Context;
use crate::event::Change;
use crate::frame::Frame;
use crate::id::RequestId;
use crate::outgoing::{self, Purpose};
use crate::protocol::json::Json;

/// How often a list is read again from its first page because it changed between two pages.
const MAX_RESTARTS: u32 = 3;

/// A request that is sent each time the subscription goes live, and how far it is.
#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) request: Request,
    pub(super) phase: Phase,
    /// The request for the next page, unless that is the first.
    pub(super) next_page: Option<Request>,
    /// The pages received so far, until the last one completes the snapshot.
    pub(super) pages: Option<Pages>,
    restarts: u32,
    /// How often in a row the server has failed.
    pub(super) failures: u32,
    /// Set if a connection has died while it was without a reply (L12).
    pub(super) suspicion: Option<Box<Suspicion>>,
}

/// The pages received so far. Changes that arrive meanwhile are newer than some of these objects, so they are delivered
/// after the snapshot.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) objects: Vec<Json>,
    pub(super) bytes: usize,
    /// The number of objects in the list, according to the first page.
    pub(super) count: Option<u64>,
    pub(super) changes: Buffer<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// One object, even if it looks like a page.
    Object,
    /// A list or a page.
    List,
    /// The reply to a custom action: a list, a page, or else one object.
    Any,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Queued,
    Sent { id: RequestId, due: Instant, is_selected: bool },
    Deferred { until: Instant },
}

impl Refresh {
    pub(super) fn new(request: Request) -> Self {
        let phase = Phase::Idle;
        Self {
            request,
            phase,
            next_page: None,
            pages: None,
            restarts: 0,
            failures: 0,
            suspicion: None,
        }
    }

    /// What speaks against it, and whether its first page is next.
    pub(super) fn suspicion(&self) -> Option<(&Suspicion, bool)> {
        self.suspicion.as_deref().map(|suspicion| (suspicion, self.next_page.is_none()))
    }

    /// Forgets the failures and restarts of an earlier refresh.
    pub(super) fn reset(&mut self) {
        (self.restarts, self.failures) = (0, 0);
    }

    /// Whether a later page with this count does not fit the pages so far, because they were discarded or because objects
    /// were added or removed. A list that keeps changing is accepted after [`MAX_RESTARTS`].
    pub(super) fn must_restart(&mut self, count: Option<u64>) -> bool {
        let must_restart = match &self.pages {
            None => true,
            Some(pages) => pages.count != count && self.restarts < MAX_RESTARTS,
        };
        self.restarts += u32::from(must_restart);
        must_restart
    }

    pub(super) fn encode(&self, cx: &Context, id: &RequestId) -> Frame {
        let Request { stream, action, arguments, .. } =
            self.next_page.as_ref().unwrap_or(&self.request);
        let arguments = arguments.iter();
        outgoing::encode(&cx.config, Purpose::Request, stream, action, id, arguments)
    }

    pub(super) fn is_listing(&self, stream: &str) -> bool {
        matches!(self.phase, Phase::Sent { .. })
            && self.expects() == Expects::List
            && self.request.stream == stream
    }

    /// What the reply must be.
    pub(super) fn expects(&self) -> Expects {
        match &*self.request.action {
            "retrieve" => Expects::Object,
            "list" => Expects::List,
            _ => Expects::Any,
        }
    }
}
