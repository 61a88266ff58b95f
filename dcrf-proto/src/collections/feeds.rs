//! The subscriptions of a replica: its feeds, or one for each row (V1, V13).

use std::collections::BTreeMap;

use super::host::Host;
use super::row_key::RowKey;
use crate::command::Subscribe;
use crate::error::RejectReason;
use crate::id::SubscriptionKey;

#[derive(Debug, Default)]
pub(super) struct Feeds {
    /// Those to all rows, or to a group of them.
    all: Vec<Feed>,
    /// The rows that are subscribed to one by one.
    instances: BTreeMap<RowKey, Feed>,
    rows: BTreeMap<SubscriptionKey, RowKey>,
    /// How many instances are not live on this connection.
    pending: usize,
}

#[derive(Debug)]
struct Feed {
    key: SubscriptionKey,
    is_live: bool,
}

/// What a subscription that is live again, or has ended, is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// All rows, or a group of them.
    Rows,
    Row(RowKey),
}

impl Feeds {
    pub(super) fn add(&mut self, host: &mut Host<'_>, feed: Subscribe) -> Result<(), RejectReason> {
        let key = host.subscribe(feed)?;
        self.all.push(Feed { key, is_live: false });
        Ok(())
    }

    /// The row that a subscription is about, if it is about one.
    pub(super) fn row(&self, key: SubscriptionKey) -> Option<&RowKey> {
        self.rows.get(&key)
    }

    /// Whether there is no more than one feed, so that a row can't move between them.
    pub(super) fn is_one(&self) -> bool {
        self.all.len() <= 1
    }

    /// Whether all feeds are live on this connection.
    pub(super) fn are_live(&self) -> bool {
        self.all.iter().all(|feed| feed.is_live)
    }

    /// The feeds that are not live on this connection.
    pub(super) fn waiting(&self) -> impl Iterator<Item = SubscriptionKey> {
        self.all.iter().filter(|feed| !feed.is_live).map(|feed| feed.key)
    }

    /// Whether all instances are live on this connection.
    pub(super) fn are_instances_live(&self) -> bool {
        self.pending == 0
    }

    /// The server has acknowledged a subscription on this connection.
    pub(super) fn set_live(&mut self, key: SubscriptionKey) -> Subject {
        if let Some(row) = self.rows.get(&key) {
            if let Some(feed) = self.instances.get_mut(row) {
                self.pending -= usize::from(!std::mem::replace(&mut feed.is_live, true));
            }
            return Subject::Row(row.clone());
        }
        for feed in &mut self.all {
            feed.is_live |= feed.key == key;
        }
        Subject::Rows
    }

    pub(super) fn connection_lost(&mut self) {
        self.all
            .iter_mut()
            .chain(self.instances.values_mut())
            .for_each(|feed| feed.is_live = false);
        self.pending = self.instances.len();
    }

    /// A subscription has ended by itself.
    pub(super) fn ended(&mut self, host: &mut Host<'_>, key: SubscriptionKey) -> Subject {
        host.forget(key);
        self.all.retain(|feed| feed.key != key);
        let Some(row) = self.rows.remove(&key) else { return Subject::Rows };
        self.forget(&row);
        Subject::Row(row)
    }

    fn forget(&mut self, row: &RowKey) -> Option<SubscriptionKey> {
        let feed = self.instances.remove(row)?;
        self.pending -= usize::from(!feed.is_live);
        self.rows.remove(&feed.key);
        Some(feed.key)
    }

    /// Whether a row is subscribed to.
    pub(super) fn has_instance(&self, row: &RowKey) -> bool {
        self.instances.contains_key(row)
    }

    /// Subscribes to a row.
    pub(super) fn add_instance(
        &mut self,
        host: &mut Host<'_>,
        (row, instance): (RowKey, Subscribe),
    ) -> Result<(), RejectReason> {
        let key = host.subscribe(instance)?;
        self.rows.insert(key, row.clone());
        self.instances.insert(row, Feed { key, is_live: false });
        self.pending += 1;
        Ok(())
    }

    /// Unsubscribes from the rows for which `keep` returns false.
    pub(super) fn retain_instances(&mut self, host: &mut Host<'_>, keep: impl Fn(&RowKey) -> bool) {
        let gone: Vec<RowKey> = self.instances.keys().filter(|row| !keep(row)).cloned().collect();
        for row in gone {
            if let Some(key) = self.forget(&row) {
                host.unsubscribe(key);
            }
        }
    }

    /// Unsubscribes from everything.
    pub(super) fn stop(&mut self, host: &mut Host<'_>) {
        let Self { all, instances, .. } = std::mem::take(self);
        for feed in all.into_iter().chain(instances.into_values()) {
            host.unsubscribe(feed.key);
        }
    }
}
