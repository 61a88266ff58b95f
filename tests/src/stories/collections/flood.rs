//! A reader slower than the server.

use std::any::TypeId;
use std::time::{Duration, Instant};

use dcrf_proto::Pk;
use serde_json::json;

use super::{batch, brief, cards, control, create, follower_and_writer, roomy_server, rows, table};
use crate::adapter::{Adapter, TokioMultiThread};
use crate::models::Card;

const ROWS: usize = 1000;

/// How often each row changes. The server sends four thousand events in a second, so on one runtime there are a hundred
/// thousand, and fewer on the others. `DCRF_TEST_ROUNDS` sets another number.
fn rounds<A: Adapter>() -> usize {
    let default = if TypeId::of::<A>() == TypeId::of::<TokioMultiThread>() { 100 } else { 10 };
    std::env::var("DCRF_TEST_ROUNDS").map_or(default, |rounds| rounds.parse().unwrap())
}

/// A reader sleeps through many changes of each of a thousand rows, and gets the last state of each.
pub async fn v9_sleeping_reader_gets_each_row_once<A: Adapter>(adapter: A) {
    let server = roomy_server();
    let (_, client, writer) = follower_and_writer(&adapter, &server).await;
    control(&writer, "bulk_create", json!({"model": "card", "count": ROWS - 3})).await;
    let board = cards(&client).live().await.unwrap();
    let mut sleeper = board.changes();
    assert_eq!(batch(&mut sleeper).await.len(), ROWS);

    let (rounds, since, before) = (rounds::<A>(), Instant::now(), client.stats());
    let sent = control(&writer, "flood", json!({"rounds": rounds})).await;
    assert_eq!(sent, json!({"sent": rounds * ROWS}));
    let last: Card = create(&writer, "cards", "last").await;
    while board.get(last.id).is_none() {
        adapter.sleep(Duration::from_millis(10)).await;
    }
    let stats = client.stats();
    println!("{} changes in {:.1?}", sent["sent"], since.elapsed());
    assert!(stats.received - before.received > (rounds * ROWS) as u64);
    assert_eq!((stats.rows, stats.lagged, stats.relists), (ROWS + 1, 0, 1));

    let changes = brief(&batch(&mut sleeper).await);
    assert_eq!(changes.len(), ROWS + 1);
    let title = format!("~ change {rounds}");
    assert!(changes[..ROWS].iter().all(|(change, _)| *change == title));
    assert_eq!(changes[ROWS], ("+ last".to_owned(), Pk::from(last.id)));
    assert_eq!(rows(&board), table::<Card>(&writer, "cards").await);

    // Nothing else was kept for it.
    let end: Card = create(&writer, "cards", "end").await;
    let changes = brief(&batch(&mut sleeper).await);
    assert_eq!(changes, [("+ end".to_owned(), Pk::from(end.id))]);
}
