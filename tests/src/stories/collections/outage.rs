//! The server dies.

use std::time::{Duration, Instant};

use dcrf_proto::{CollectionStatus, StaleCause};
use serde_json::json;

use super::{
    batch, brief, cards, collect, control, create, equal, follower_and_writer, retitle, rows, table,
};
use crate::adapter::Adapter;
use crate::models::Card;
use crate::observe::{eventually, restarted};
use crate::server::Server;

/// From the start of the new server until the collection is live again.
const LIMIT: Duration = Duration::from_secs(10);

/// The old rows stay, and what has changed comes as one difference. A collection whose first list was under way is live
/// too.
pub async fn v6_server_killed_during_a_list<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let (_, client, writer) = follower_and_writer(&adapter, &server).await;
    control(&writer, "bulk_create", json!({"model": "card", "count": 97})).await;
    let board = cards(&client).live().await.unwrap();
    let mut changes = board.changes();
    assert_eq!(batch(&mut changes).await.len(), 100);
    let before = rows(&board);

    // The list has read the rows, and its stream delivers no event meanwhile.
    control(&writer, "hold_list", json!({"model": "card", "name": "relist"})).await;
    board.resync();
    control(&writer, "reached", json!({"name": "relist"})).await;
    let late = client.collect::<Card>(collect("cards")).start().unwrap();
    let created: Card = create(&writer, "cards", "created").await;
    retitle(&writer, "cards", 1, "changed").await;
    writer.delete("cards", 2).await.unwrap();
    let table: Vec<Card> = table(&writer, "cards").await;
    assert_eq!(board.status(), CollectionStatus::Live);

    server.kill().unwrap();
    let is_stale = || {
        matches!(board.status(), CollectionStatus::Stale { cause: StaleCause::Connection(_), .. })
    };
    eventually(&adapter, "the rows are stale", is_stale).await;
    assert_eq!(rows(&board), before);
    let is_told = |status| {
        matches!(status, CollectionStatus::Loading { error: Some(StaleCause::Connection(_)) })
    };
    assert!(is_told(late.status()) && late.is_empty(), "{}", late.status());

    let server = restarted(&adapter, server).await;
    let since = Instant::now();
    board.ready().await.unwrap();
    late.ready().await.unwrap();
    assert!(since.elapsed() < LIMIT, "{:?}", since.elapsed());
    assert_eq!((rows(&board), rows(&late)), (table.clone(), table));
    let mut difference = brief(&batch(&mut changes).await);
    difference.sort();
    let expected = [("+ created", created.id), ("- card 2", 2), ("~ changed", 1)];
    assert_eq!(difference, expected.map(|(title, id)| (title.to_owned(), id.into())));
    assert_eq!(client.stats().repairs, 0);

    let last: Card = create(&writer, "cards", "last").await;
    eventually(&adapter, "it follows again", || board.get(last.id).is_some()).await;
    equal(&adapter, &board, &writer, "cards").await;
    equal(&adapter, &late, &writer, "cards").await;
    drop(server);
}
