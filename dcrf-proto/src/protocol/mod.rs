//! The JSON on the socket: envelopes and framing, primary keys, pages, error replies, and selectors.

pub(crate) mod envelope;
pub(crate) mod error_reply;
pub(crate) mod framing;
mod is_match;
pub(crate) mod json;
mod next_page;
pub(crate) mod page;
pub(crate) mod pk;
mod projection;
pub(crate) mod scan;
pub(crate) mod selector;
pub(crate) mod template;
