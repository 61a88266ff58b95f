//! A tracer that does nothing, for builds without the feature `tracing`.

#![allow(clippy::unused_self, reason = "the same methods as with the feature")]

use std::time::Instant;

use super::SubscriptionEvent;
use crate::command::Request;
use crate::error::RejectReason;
use crate::event::ConnectionState;
use crate::id::RequestId;
use crate::outcome::Outcome;
use crate::stats::Dropped;

#[derive(Debug)]
pub(crate) struct Tracer;

#[derive(Debug)]
pub(crate) struct RequestTrace;

#[cfg(feature = "client")]
#[derive(Default)]
pub(crate) struct Records {}

impl Tracer {
    pub(crate) fn new(_: Instant) -> Self {
        Self
    }

    #[cfg(feature = "client")]
    pub(crate) fn defer(&mut self, _: impl FnOnce() -> Option<String>) {}

    #[cfg(feature = "client")]
    pub(crate) fn take_records(&mut self) -> Records {
        Records {}
    }

    pub(crate) fn accepted(&mut self, _: &Request, _: &RequestId, _: Instant) -> RequestTrace {
        RequestTrace
    }

    pub(crate) fn retried(&mut self, _: &RequestTrace) {}

    pub(crate) fn ended(&mut self, _: &RequestTrace, _: Outcome, _sent: bool, _: Instant) {}

    pub(crate) fn rejected(&mut self, _: &RejectReason) {}

    pub(crate) fn state_changed(&mut self, _: &ConnectionState, _: Instant) {}

    pub(crate) fn subscription_event(
        &mut self,
        _: &str,
        _: &str,
        _: &RequestId,
        _: SubscriptionEvent,
    ) {
    }

    pub(crate) fn replaying(&mut self, _: usize) {}

    pub(crate) fn lagged(&mut self, _: Option<&str>, _: u64) {}

    pub(crate) fn dropped(&mut self, _: Dropped, _: Dropped, _bytes: usize) {}
}
