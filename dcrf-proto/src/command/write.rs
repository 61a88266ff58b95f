//! What a request through a resource writes, for the collections of that resource (V14).

use std::sync::Arc;

use super::{Request, ResourceDescription};
use crate::collections::RowKey;
use crate::protocol::json::Json;
use crate::protocol::pk::Pk;

/// A request that creates, changes or deletes a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) resource: Arc<ResourceDescription>,
    pub(crate) kind: WriteKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WriteKind {
    /// The reply is a new row.
    Create,
    /// The reply is the row as it is now.
    Change,
    /// The value of the resource's lookup field in the row.
    Delete(RowKey),
}

/// A write that the server has confirmed.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) write: Write,
    pub(crate) reply: Json,
}

impl Write {
    /// What a request writes, if it is one of the actions whose reply says so.
    pub(super) fn of(request: &Request, resource: &Arc<ResourceDescription>) -> Option<Self> {
        let kind = match request.action() {
            "create" => WriteKind::Create,
            "update" | "patch" => WriteKind::Change,
            "delete" => {
                let key = request.argument(resource.looked_up_by())?;
                WriteKind::Delete(RowKey::from(&serde_json::from_str::<Pk>(key.get()).ok()?))
            }
            _ => return None,
        };
        Some(Self { resource: resource.clone(), kind })
    }
}
