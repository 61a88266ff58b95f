//! What a reader of a collection gets.

use std::fmt;

use super::row_key::RowKey;
use super::rows::Decoded;
use super::status::CollectionStatus;
use super::store::StoredRow;
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;

/// What has changed in a collection since its reader has read. The first batch with rows has all of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CollectionBatch {
    /// What is known about the rows now.
    pub status: CollectionStatus,
    /// Whether `rows` are all rows, because this is the first batch with rows.
    pub is_first: bool,
    /// The rows that have changed, each once, in the order of their last changes.
    pub rows: Vec<RowChange>,
}

/// A row that was inserted, updated or removed.
///
/// `Debug` shows neither the key nor the data, so it is safe to log.
#[derive(Clone)]
#[non_exhaustive]
pub struct RowChange {
    /// The primary key. A text of digits is a number.
    pub key: Pk,
    /// The row as it is now. `None` if it was removed.
    pub row: Option<Json>,
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "only typed readers decode"))]
    pub(crate) decoded: Option<Decoded>,
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "only typed readers decode"))]
    pub(crate) revision: u64,
}

impl RowChange {
    pub(super) fn new(key: &RowKey, row: Option<StoredRow>) -> Self {
        let key = Pk::from(key);
        match row {
            Some(StoredRow { json, decoded, revision }) => {
                Self { key, row: Some(json), decoded, revision }
            }
            None => Self { key, row: None, decoded: None, revision: 0 },
        }
    }
}

impl fmt::Debug for RowChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowChange").field("row", &self.row).finish_non_exhaustive()
    }
}
