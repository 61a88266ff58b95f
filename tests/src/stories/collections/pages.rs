//! Lists in pages, by offset, by number and by cursor.

use serde_json::json;

use super::{collect, control, create, follower_and_writer, retitle, rows};
use crate::adapter::Adapter;
use crate::models::Card;
use crate::observe::eventually;
use crate::resource::Resource;
use crate::server::Server;

/// A row of the first page is deleted and another one created, so that the count stays and a row moves to the page that
/// was read already.
pub async fn v1_rows_that_move_between_pages<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let (mark, client, writer) = follower_and_writer(&adapter, &server).await;
    let mut entries = 1..;
    for form in ["offset", "number", "cursor"] {
        let stream = format!("entries_by_{form}");
        let size = if form == "offset" { "limit" } else { "page_size" };
        let all: Resource<Card> = client.resource(&stream).list_arg(size, 1000);

        // In five pages.
        let quiet = client.collect::<Card>(collect(&stream)).live().await.unwrap();
        assert_eq!(rows(&quiet), every(&all).await);
        assert_eq!(mark.count(&server, &format!("{stream}/list")), 5 + 1);
        drop(quiet);

        control(&writer, "hold_list", json!({"model": "entry", "name": stream})).await;
        let board = client.collect::<Card>(collect(&stream)).start().unwrap();
        control(&writer, "reached", json!({"name": stream})).await;
        writer.delete(&stream, entries.next().unwrap()).await.unwrap();
        let created: Card = create(&writer, &stream, "created").await;
        retitle(&writer, &stream, 99, &stream).await;
        assert!(board.is_empty() && !board.status().is_live());
        control(&writer, "release", json!({"name": stream})).await;
        board.ready().await.unwrap();
        let expected = every(&all).await;
        eventually(&adapter, "all rows are there", || rows(&board) == expected).await;
        assert_eq!((expected.len(), board.get(created.id).as_deref()), (100, Some(&created)));

        // The same while it is live: nothing goes missing meanwhile.
        control(&writer, "hold_list", json!({"model": "entry", "name": stream})).await;
        board.resync();
        control(&writer, "reached", json!({"name": stream})).await;
        writer.delete(&stream, entries.next().unwrap()).await.unwrap();
        let again: Card = create(&writer, &stream, "created again").await;
        control(&writer, "release", json!({"name": stream})).await;
        eventually(&adapter, "the row arrives", || board.get(again.id).is_some()).await;
        let expected = every(&all).await;
        eventually(&adapter, "all rows are there", || rows(&board) == expected).await;
        assert!(board.status().is_live());
    }
}

async fn every(all: &Resource<Card>) -> Vec<Card> {
    let (mut all, mut rows) = (all.all(), Vec::new());
    while let Some(row) = all.next().await {
        rows.push(row.unwrap());
    }
    rows
}
