//! What travels on the wire: the envelope around each payload, JSON as text, and primary keys.

pub(crate) mod envelope;
pub(crate) mod json;
pub(crate) mod pk;
