//! What travels on the wire: the envelope around each payload, JSON as text, primary keys, and refusals.

pub(crate) mod envelope;
pub(crate) mod json;
pub(crate) mod pk;
pub(crate) mod refusal;
