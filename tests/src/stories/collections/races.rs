//! Two writers of one row, whose events are sent in the opposite order of their commits.

use std::time::Duration;

use dcrf_proto::Pk;
use serde_json::json;

use super::{batch, brief, cards, collect, control, create, follower_and_writer, until_inserted};
use crate::adapter::Adapter;
use crate::client::Client;
use crate::models::Card;
use crate::observe::eventually;

/// Writes `first`, then `second`; the event of `second` is sent first.
async fn race(writer: &Client, id: i64) {
    let (first, second) = (json!({"title": "first"}), json!({"title": "second"}));
    let race = json!({"model": "card", "pk": id, "first": first, "second": second});
    control(writer, "reverse", race).await;
}

/// The reader never sees the older row.
pub async fn v2_older_event_behind_a_newer_one_is_ignored_by_version<A: Adapter>(adapter: A) {
    let (_, client, writer) = follower_and_writer(&adapter, &adapter.shared()).await;
    let card: Card = create(&writer, "cards", "raced for").await;
    let board = cards(&client).live().await.unwrap();
    let mut changes = board.changes();
    batch(&mut changes).await;

    race(&writer, card.id).await;
    // Its event comes behind both.
    let last: Card = create(&writer, "cards", "last").await;
    let changes = until_inserted(&mut changes, &[card.id], last.id).await;
    assert_eq!(brief(&changes), [("~ second".to_owned(), Pk::from(card.id))]);
    let row: Card = writer.retrieve("cards", card.id).await.unwrap();
    assert_eq!(board.get(card.id).as_deref(), Some(&row));
    assert_eq!(client.stats().verifications, 0);
}

/// The row is right after the pause, with one retrieve for both changes.
pub async fn v2_race_is_corrected_by_verify<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (mark, client, writer) = follower_and_writer(&adapter, server).await;
    let card: Card = create(&writer, "cards", "raced for").await;
    let verified = client.collect::<Card>(collect("cards")).verify(Duration::from_millis(500));
    let board = verified.live().await.unwrap();

    race(&writer, card.id).await;
    let row: Card = writer.retrieve("cards", card.id).await.unwrap();
    assert_eq!(row.title, "second");
    let retrieves = || {
        let [journal] = mark.connections(server).try_into().unwrap();
        let cards = journal.payloads("cards");
        cards.filter(|sent| sent["action"] == "retrieve" && sent["pk"] == card.id).count()
    };
    eventually(&adapter, "the row is retrieved", || retrieves() == 1).await;
    let is_right = || board.get(card.id).as_deref() == Some(&row);
    eventually(&adapter, "the row is right", is_right).await;

    // Nothing contradicts it later, and it is not retrieved again.
    let last: Card = create(&writer, "cards", "last").await;
    eventually(&adapter, "a later event arrives", || board.get(last.id).is_some()).await;
    assert_eq!(board.get(card.id).as_deref(), Some(&row));
    assert_eq!(retrieves(), 1);
}

/// No client can know that the last event was older. A resync finds it.
pub async fn v2_race_without_version_or_verify_stays_until_the_next_resync<A: Adapter>(adapter: A) {
    let (_, client, writer) = follower_and_writer(&adapter, &adapter.shared()).await;
    let card: Card = create(&writer, "cards", "raced for").await;
    let board = client.collect::<Card>(collect("cards")).live().await.unwrap();
    let title = || board.get(card.id).unwrap().title.clone();

    race(&writer, card.id).await;
    let last: Card = create(&writer, "cards", "last").await;
    eventually(&adapter, "a later event arrives", || board.get(last.id).is_some()).await;
    let row: Card = writer.retrieve("cards", card.id).await.unwrap();
    assert_eq!((row.title.as_str(), title().as_str()), ("second", "first"));
    assert_eq!(client.stats().repairs, 0);

    board.resync();
    eventually(&adapter, "the resync finds it", || title() == "second").await;
    // The same story on other adapters races on the same server.
    assert!(client.stats().repairs >= 1);
}
