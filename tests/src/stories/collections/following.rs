//! A collection follows the database.

use std::thread;

use dcrf_blocking::CollectionChange;
use dcrf_proto::{CollectionStatus, Pk};
use serde_json::{Value, json};

use super::{
    Batch, Screen, batch, brief, cards, control, create, equal, follower_and_writer, retitle,
    roomy_server, rows, table, until_inserted, updated_at,
};
use crate::adapter::Adapter;
use crate::collection::{Collection, CollectionChanges};
use crate::models::Card;
use crate::observe::eventually;
use crate::resource::Resource;

/// With creates, updates and deletes by another client, and a thousand updates at once. A second collection with the same
/// description needs no second list.
pub async fn v1_thousand_rows_equal_the_database<A: Adapter>(adapter: A) {
    let server = roomy_server();
    let (mark, client, writer) = follower_and_writer(&adapter, &server).await;
    control(&writer, "bulk_create", json!({"model": "card", "count": 997})).await;

    let board = cards(&client).live().await.unwrap();
    assert_eq!(board.status(), CollectionStatus::Live);
    assert_eq!(board.len(), 1000);
    assert_eq!(rows(&board), table::<Card>(&writer, "cards").await);

    let created: Card = create(&writer, "cards", "created").await;
    retitle(&writer, "cards", 1, "changed").await;
    writer.delete("cards", 2).await.unwrap();
    equal(&adapter, &board, &writer, "cards").await;
    assert_eq!(board.get(created.id).as_deref(), Some(&created));
    assert_eq!(board.get(2), None);

    let another = cards(&client).live().await.unwrap();
    assert_eq!(rows(&another), rows(&board));
    let saved = control(&writer, "save_all", json!({"model": "card"})).await;
    assert_eq!(saved, json!({"saved": 1000}));
    equal(&adapter, &board, &writer, "cards").await;
    equal(&adapter, &another, &writer, "cards").await;

    let stats = client.stats();
    assert_eq!((stats.collections, stats.rows), (2, 1000));
    assert_eq!((stats.relists, stats.repairs, stats.verifications), (1, 0, 0));
    assert_eq!(mark.count(&server, "cards/list"), 1);
    assert_eq!(mark.count(&server, "cards/subscribe_all"), 1);
    drop((board, another));
    let unsubscribed = || mark.count(&server, "cards/unsubscribe_all") == 1;
    eventually(&adapter, "the last collection unsubscribes", unsubscribed).await;
}

/// Two readers of one copy. The changes of the sorted and filtered one, applied to a list, give its snapshot.
pub async fn v11_order_and_filter_of_a_thousand_rows<A: Adapter>(adapter: A) {
    let server = roomy_server();
    let (mark, client, writer) = follower_and_writer(&adapter, &server).await;
    control(&writer, "bulk_create", json!({"model": "card", "count": 997})).await;

    let board = cards(&client).live().await.unwrap();
    let shown = cards(&client)
        .order_by(|one, other| other.title.cmp(&one.title))
        .filter(|card| !card.title.starts_with("hidden"))
        .live()
        .await
        .unwrap();
    let mut screen = Screen::new(shown.changes());
    assert_eq!(screen.advance().await.len(), 1000);
    assert_eq!(screen.rows[..], shown.snapshot()[..]);

    let hidden = retitle(&writer, "cards", 1, "hidden").await;
    let change = screen.advance().await;
    assert_eq!(brief(&change), [("- card 1".to_owned(), Pk::from(1))]);
    let is_hidden = || board.get(1).as_deref() == Some(&hidden);
    eventually(&adapter, "the other reader has the row", is_hidden).await;
    assert_eq!(shown.get(1), None);
    retitle(&writer, "cards", 1, "zebra").await;
    let change = screen.advance().await;
    assert_eq!(brief(&change), [("+ zebra".to_owned(), Pk::from(1))]);
    assert!(matches!(change[0], CollectionChange::Inserted { index: Some(0), .. }));
    retitle(&writer, "cards", 1, "a last one").await;
    let change = screen.advance().await;
    let [CollectionChange::Updated { old_index, index, .. }] = &change[..] else {
        panic!("{change:?}")
    };
    assert_eq!((*old_index, *index), (Some(0), Some(999)));

    let halves: Vec<i64> = (1..=1000).step_by(2).collect();
    let save = json!({"model": "card", "rounds": 2, "pks": halves});
    assert_eq!(control(&writer, "save_all", save).await, json!({"saved": 1000}));
    for id in 501..=520 {
        writer.delete("cards", id).await.unwrap();
    }
    let mut expected: Vec<Card> = table(&writer, "cards").await;
    expected.sort_by(|one, other| other.title.cmp(&one.title).then(one.id.cmp(&other.id)));
    while !screen.rows.iter().map(|row| &**row).eq(&expected) {
        screen.advance().await;
    }
    assert_eq!(rows(&shown), expected);
    assert_eq!(mark.count(&server, "cards/list"), 1);
}

/// Forty threads collect the same cards, each with an order or a filter, and follow them. Each connection has one list
/// and one subscribe.
pub async fn v10_forty_readers_need_one_list_per_connection<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (mark, client, writer) = follower_and_writer(&adapter, server).await;
    let known: Card = create(&writer, "cards", "known").await;
    let reader = |n: i64| {
        let (client, known) = (client.clone(), known.id);
        let follow = async move {
            let cards = match n % 3 {
                0 => cards(&client),
                1 => cards(&client).order_by(|one, other| other.id.cmp(&one.id)),
                _ => cards(&client).filter(move |card| card.id >= known),
            };
            let board = cards.live().await.unwrap();
            let mut changes = board.changes();
            let first = batch(&mut changes).await;
            assert!(first.iter().any(|change| *change.key() == known));
            (board, changes)
        };
        thread::spawn(|| futures_lite::future::block_on(follow))
    };
    let readers: Vec<_> = (0..40).map(reader).collect();
    let join = || readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let mut readers: Vec<(Collection<Card>, _)> = smol::unblock(join).await;

    let created: Card = create(&writer, "cards", "created").await;
    for (board, changes) in &mut readers {
        let changes = until_inserted(changes, &[created.id], created.id).await;
        assert_eq!(brief(&changes), [("+ created".to_owned(), Pk::from(created.id))]);
        assert_eq!(board.get(created.id).as_deref(), Some(&created));
    }

    client.force_reconnect();
    let created: Card = create(&writer, "cards", "after the reconnect").await;
    for (board, changes) in &mut readers {
        let changes = until_inserted(changes, &[known.id, created.id], created.id).await;
        // The rows of before do not come again.
        assert_eq!(brief(&changes), [("+ after the reconnect".to_owned(), Pk::from(created.id))]);
        board.ready().await.unwrap();
    }
    assert_eq!(client.stats().collections, 80);
    drop(readers);
    let unsubscribed = || mark.count(server, "cards/unsubscribe_all") == 1;
    eventually(&adapter, "the last reader unsubscribes", unsubscribed).await;
    let (first, second) = (["cards/subscribe_all", "cards/list"], "cards/unsubscribe_all");
    assert_eq!(mark.actions(server), [first.to_vec(), vec![first[0], first[1], second]]);
}

/// Creates, updates, patches and deletes through a resource. Their events change nothing more.
pub async fn v14_own_writes_are_seen_when_the_call_returns<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (_, client, writer) = follower_and_writer(&adapter, server).await;
    let resource: Resource<Card> =
        client.resource("cards").pk_field("id").feed_action("subscribe_all");
    let board = resource.collection().version(updated_at).live().await.unwrap();
    let mut changes = board.changes();
    batch(&mut changes).await;

    let mut seen = Vec::new();
    let created = resource.create(json!({"title": "created"})).await.unwrap();
    let (id, key): (i64, Value) = (created.id, json!(created.id));
    assert_eq!(board.get(id).as_deref(), Some(&created));
    seen.extend(until(&mut changes, id).await);
    let patched = resource.patch(key.clone(), json!({"title": "patched"})).await.unwrap();
    assert_eq!(board.get(id).as_deref(), Some(&patched));
    seen.extend(until(&mut changes, id).await);
    let updated = resource.update(key.clone(), json!({"title": "updated"})).await.unwrap();
    assert_eq!(board.get(id).as_deref(), Some(&updated));
    seen.extend(until(&mut changes, id).await);
    resource.delete(key).await.unwrap();
    assert_eq!(board.get(id), None);

    // Its event comes behind those of the writes above.
    let last: Card = create(&writer, "cards", "last").await;
    seen.extend(until_inserted(&mut changes, &[id], last.id).await);
    let titles: Vec<String> = brief(&seen).into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles, ["+ created", "~ patched", "~ updated", "- updated"]);
}

/// The changes of one row, until there is one. Other stories change cards too.
async fn until(changes: &mut CollectionChanges<Card>, id: i64) -> Batch<Card> {
    loop {
        let mut batch = batch(changes).await;
        batch.retain(|change| *change.key() == id);
        if !batch.is_empty() {
            return batch;
        }
    }
}
