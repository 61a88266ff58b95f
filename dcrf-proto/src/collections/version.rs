//! Versions of rows: a value that only grows while a row changes (V2).

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::contain::contain;
use crate::protocol::json::Json;

/// The version of a row, of a type that the program chooses.
pub(crate) struct Version(Box<dyn Comparable>);

/// Reads the version of a row. `None` if the row has none that can be read.
pub(crate) type ReadVersion = Arc<dyn Fn(&Json) -> Option<Version> + Send + Sync>;

trait Comparable: Send + Sync {
    fn compare(&self, other: &dyn Any) -> Option<Ordering>;
    fn as_any(&self) -> &dyn Any;
}

impl<V: Ord + Send + Sync + 'static> Comparable for V {
    fn compare(&self, other: &dyn Any) -> Option<Ordering> {
        let other = other.downcast_ref()?;
        // It runs while the session works, as what has read it.
        contain(|| self.cmp(other))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Version {
    pub(crate) fn new<V: Ord + Send + Sync + 'static>(version: V) -> Self {
        Self(Box::new(version))
    }

    /// `None` if the versions have different types, or can't be compared.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        self.0.compare(other.0.as_any())
    }
}

impl fmt::Debug for Version {
    /// Shows no part of the row (X1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version(…)")
    }
}
