//! Live data: a local copy of a list that follows the server.
//!
//! - [In the program](#in-the-program)
//! - [On the server](#on-the-server)
//! - [Which options?](#which-options)
//! - [Changes](#changes)
//! - [Rows that don't decode](#rows-that-dont-decode)
//! - [During an outage](#during-an-outage)
//! - [When it ends](#when-it-ends)
//! - [What can't be known](#what-cant-be-known)
//!
//! # In the program
//!
//! Describe how the server exposes the objects, and await the collection. It is live then, and stays right through
//! reconnects:
//!
//! ```no_run
//! use dcrf_tokio::{Client, CollectionError, Resource};
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize)]
//! struct Card {
//!     id: u64,
//!     title: String,
//!     updated_at: String,
//! }
//!
//! async fn show_board(client: &Client) -> Result<(), CollectionError> {
//!     let cards: Resource<Card> =
//!         client.resource("cards").pk_field("id").feed_action("subscribe_all");
//!     let board = cards
//!         .collection()
//!         .version(|card| card.updated_at.clone())
//!         .order_by(|one, other| one.title.cmp(&other.title))
//!         .await?;
//!     for card in board.snapshot().iter() {
//!         println!("{}: {}", card.id, card.title);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [`Collection`](crate::Collection) can be cloned and shared. All clones, and all collections of the same description, have
//! one copy of the rows, and the server sees one list and one subscription. A closure is the same only if it comes from the same
//! place in the code and captures nothing: for `version` in two places, write a function, as `.version(updated_at)`. Order and
//! filter may differ. [`get`](crate::Collection::get) finds a row by its
//! key, [`status`](crate::Collection::status) says whether the rows are current, and
//! [`ready`](crate::Collection::ready) waits for that. What is created, changed or deleted through the same resource, or
//! one of the same description, is in the collection before the call returns. If the list has arguments, such as a project,
//! what can belong to another group is retrieved first, and comes a moment later.
//!
//! A program that may start before its server uses [`start`](crate::CollectionBuilder::start) instead of `.await`: it returns
//! at once, and the rows come when there is a connection.
//!
//! # On the server
//!
//! A consumer for a live collection has a `list`, a `retrieve`, and a feed with a serializer whose subscribe action replies:
//!
//! ```python
//! class CardConsumer(ListModelMixin, ObserverModelInstanceMixin, GenericAsyncAPIConsumer):
//!     queryset = Card.objects.all()
//!     serializer_class = CardSerializer  # with a field that grows with each change, such as updated_at
//!
//!     @model_observer(Card, serializer_class=CardSerializer)
//!     async def card_change(self, message, action, subscribing_request_ids=(), **kwargs):
//!         for request_id in subscribing_request_ids:
//!             await self.reply(action=action, data=message, status=200, request_id=request_id)
//!
//!     @action()
//!     async def subscribe_all(self, request_id, **kwargs):
//!         await self.card_change.subscribe(request_id=request_id)
//!         return None, 201
//!
//!     @action()
//!     async def unsubscribe_all(self, request_id, **kwargs):
//!         await self.card_change.unsubscribe(request_id=request_id)
//!         return None, 204
//! ```
//!
//! `tests/server` in the repository has it complete, with the other forms: groups, pages, feeds that send only keys.
//!
//! A feed serializes a row inside of the writer's transaction, and sends it after the commit. So an event can be older than
//! a list that was read meanwhile, and the events of two writers can arrive in another order than their commits. With a
//! version, an older row never replaces a newer one. The version must grow in the order of the commits: a plain `auto_now`
//! field can break that if two processes write the same row at the same time, unless they lock it first.
//!
//! # Which options?
//!
//! | the server | write |
//! | --- | --- |
//! | sends a field that grows with each change | [`version`](crate::CollectionBuilder::version): the best protection |
//! | has no such field, and several processes write the same rows | [`verify`](crate::CollectionBuilder::verify): retrieves a row again when it is quiet |
//! | has a feed for each group | [`list_arg`](crate::Resource::list_arg) and [`feed_with`](crate::Resource::feed_with) with the group; [`Collect::feed`](crate::Collect::feed) for several groups. The arguments of the list are sent with `retrieve` too: it should not find rows of other groups |
//! | sends only keys, such as `{"pk": 7}` | nothing: rows are retrieved |
//! | sends events without `data`, as in DCRF's documentation | [`key_at("/message/pk")`](crate::CollectionBuilder::key_at) |
//! | sends events without a request id | a [`Dialect`](crate::Dialect) with [`change_selector`](crate::Dialect::change_selector) |
//! | never replies to the subscribe, as in DCRF's documentation | [`Subscribe::without_ack`](crate::Subscribe::without_ack) on the feed; the events of that form need `key_at` too |
//! | has no feed | [`instances`](crate::CollectionBuilder::instances), and [`resync_every`](crate::CollectionBuilder::resync_every) for new rows |
//! | paginates the list | nothing: all pages are read. Prefer a cursor for tables that change all the time |
//! | changes rows without events, with `bulk_create` or `QuerySet.update` | [`resync_every`](crate::CollectionBuilder::resync_every) |
//!
//! # Changes
//!
//! A program that shows a list needs no snapshots: [`changes`](crate::Collection::changes) begins with the rows, and then
//! yields what has changed, with the old and the new rows. A slow reader gets fewer batches with newer rows, and misses nothing.
//!
//! With an order, each change also has its place. Apply the changes of a batch one after another: take a row from `old_index`,
//! or from the `index` of `Removed`, and then put it at `index`.
//!
//! ```no_run
//! use dcrf_tokio::{Collection, CollectionChange, CollectionError};
//! use std::sync::Arc;
//!
//! /// `names` has an order.
//! async fn show(names: &Collection<String>) -> Result<(), CollectionError> {
//!     let mut list: Vec<Arc<String>> = Vec::new();
//!     let mut changes = names.changes();
//!     while let Some(batch) = changes.next().await {
//!         for change in batch? {
//!             match change {
//!                 CollectionChange::Inserted { row, index: Some(index), .. } => list.insert(index, row),
//!                 CollectionChange::Updated { row, old_index: Some(old), index: Some(index), .. } => {
//!                     list.remove(old);
//!                     list.insert(index, row);
//!                 }
//!                 CollectionChange::Removed { index: Some(index), .. } => _ = list.remove(index),
//!                 other => println!("{other:?}"), // a row that does not decode
//!             }
//!         }
//!         println!("{list:?}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The last item is an error that says why the collection has ended. It is
//! [`Closed(ByCaller)`](crate::CollectionError::Closed) if the program has closed the client.
//!
//! A snapshot has the rows as `Arc<T>`. To serialize it as a whole, enable serde's feature `rc`.
//!
//! In `dcrf-blocking`, `wait()` takes the place of `.await`, and `changes()` is an iterator.
//!
//! # Rows that don't decode
//!
//! A row that does not decode as the row type harms no other: it is left out, and its earlier state too. So with a wrong row
//! type a collection is live, and empty. [`undecodable`](crate::Collection::undecodable) has these rows' keys and errors, and the
//! changes have them as [`Undecodable`](crate::CollectionChange::Undecodable):
//!
//! ```no_run
//! # fn example(board: dcrf_tokio::Collection<String>) {
//! for error in board.undecodable() {
//!     eprintln!("row {:?}: {error}", error.pk);
//! }
//! # }
//! ```
//!
//! # During an outage
//!
//! Before the first list, the status is [`Loading`](crate::CollectionStatus::Loading), with the reason if connecting or listing
//! has failed.
//!
//! After it, the rows stay. [`status`](crate::Collection::status) is [`Stale`](crate::CollectionStatus::Stale), with since when and
//! why. After the reconnect, the client subscribes, lists again, and reports only what differs. A list that fails removes
//! nothing. [`watch_status`](crate::Collection::watch_status) is a stream of the statuses, for a status line.
//!
//! # When it ends
//!
//! A collection goes on through every outage. It ends if going on can't help: the server refuses its feed or its first list,
//! no row has a primary key (see [`pk_field`](crate::Resource::pk_field)), it becomes
//! [too large](crate::Builder::collections), or the client is closed. A list whose message is over
//! [`max_incoming_message`](crate::Builder::max_incoming_message) ends it too, also one that was live: paginate the list. Then the status is
//! [`Ended`](crate::CollectionStatus::Ended) with the reason, which is also the last item of the changes. The rows stay
//! readable.
//!
//! It does not end if that can't be proved. A subscribe to a stream that the server does not have ends the connection, and so
//! does a list over Daphne's limit of 1 MiB. The client tries more and more slowly, at least every 2 minutes. Meanwhile
//! [`ready`](crate::Collection::ready) fails, and names the [suspect](crate::WaitingFor::Suspected). If the server answers
//! everything else, it is proved after [`poisoned_after`](crate::Builder::poisoned_after), and the collection ends, unless it was
//! live before.
//!
//! To begin again, make another collection: an ended one is never shared.
//!
//! # What can't be known
//!
//! - What the server does not report: `bulk_create`, `QuerySet.update`, changes outside of Django. And events that the channel
//!   layer drops when its capacity is reached. `resync_every` finds them, and
//!   [`Stats::repairs`](crate::Stats::repairs) counts them: a count that grows is a sign of lost events.
//! - Without a version, whether an event is older than what is known. Then the last one wins.
//! - Pages by offset or number are no snapshot. The client lists again if it sees that rows have moved, but it can't see an
//!   insert and a delete that were not reported.
//!
//! The rules [V1 to V14](dcrf_proto::rules#collections) say exactly what happens.
