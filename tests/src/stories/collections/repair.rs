//! Changes that the server does not report.

use std::time::Duration;

use dcrf_proto::{Collect, Request, Subscribe};
use serde_json::{Value, json};

use super::{batch, control, create, follower_and_writer, rows};
use crate::adapter::Adapter;
use crate::client::Client;
use crate::models::Issue;
use crate::observe::eventually;

/// A project for this story alone, with three issues.
async fn project(writer: &Client) -> (i64, Collect, Vec<i64>) {
    let issue: Issue = create(writer, "issues", "first").await;
    let project = 1_000_000 + issue.id;
    let made = json!({"model": "issue", "count": 3, "data": {"project": project}});
    let pks = control(writer, "bulk_create", made).await["pks"].take();
    let feed = Subscribe::new("issues", "subscribe_project").arg("project", project);
    let list = Request::list("issues").arg("project", project);
    let issues = Collect::new("issues").pk_field("id").list(list).feed(feed);
    (project, issues, serde_json::from_value(pks).unwrap())
}

/// The project's issues in the database.
async fn table(writer: &Client, project: i64) -> Vec<Issue> {
    writer.call(Request::list("issues").arg("project", project)).await.unwrap()
}

/// `bulk_create`, `QuerySet.update` and a raw delete. Rows that have not changed are not reported, and each repair is
/// counted.
pub async fn v12_bulk_create_is_found_by_a_resync<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (mark, client, writer) = follower_and_writer(&adapter, server).await;
    let (project, issues, pks) = project(&writer).await;
    let board = client.collect::<Issue>(issues).version(|issue| issue.updated_at.clone());
    let board = board.live().await.unwrap();
    let mut changes = board.changes();
    assert_eq!(batch(&mut changes).await.len(), 3);

    let data = json!({"project": project});
    let bulk = json!({"model": "issue", "count": 5, "data": data});
    control(&writer, "bulk_create", bulk).await;
    // This one is reported.
    let known: Issue =
        writer.create("issues", &json!({"title": "known", "project": project})).await.unwrap();
    assert_eq!(batch(&mut changes).await.len(), 1);
    assert_eq!((board.len(), board.get(known.id).as_deref()), (4, Some(&known)));

    board.resync();
    assert_eq!(batch(&mut changes).await.len(), 5);
    assert_eq!(rows(&board), table(&writer, project).await);
    let stats = client.stats();
    assert_eq!((stats.repairs, stats.relists, stats.verifications), (5, 2, 0));

    // The time of the last update stays as it is.
    let update = json!({"model": "issue", "pks": [pks[0]], "data": {"title": "silent"}});
    control(&writer, "bulk_update", update).await;
    control(&writer, "raw_delete", json!({"model": "issue", "pks": [pks[1]]})).await;
    board.resync();
    assert_eq!(batch(&mut changes).await.len(), 2);
    assert_eq!(rows(&board), table(&writer, project).await);
    assert_eq!(client.stats().repairs, 7);
    let lists = || mark.count(server, "issues/list");
    assert_eq!(lists(), 3);

    // Nothing to repair: nothing is reported.
    board.resync();
    eventually(&adapter, "it lists again", || lists() == 4).await;
    let last: Value =
        writer.create("issues", &json!({"title": "last", "project": project})).await.unwrap();
    let batch = batch(&mut changes).await;
    assert_eq!(batch.len(), 1);
    assert_eq!(*batch[0].key(), last["id"].as_i64().unwrap());
    assert_eq!(client.stats().repairs, 7);
}

/// Without a call.
pub async fn v12_resync_every_finds_silent_changes<A: Adapter>(adapter: A) {
    let (_, client, writer) = follower_and_writer(&adapter, &adapter.shared()).await;
    let (project, issues, pks) = project(&writer).await;
    let issues = issues.resync_every(Duration::from_millis(200));
    let board = client.collect::<Issue>(issues).live().await.unwrap();

    let bulk = json!({"model": "issue", "count": 5, "data": {"project": project}});
    control(&writer, "bulk_create", bulk).await;
    control(&writer, "raw_delete", json!({"model": "issue", "pks": [pks[1]]})).await;
    let table = table(&writer, project).await;
    assert_eq!(table.len(), 7);
    eventually(&adapter, "a list finds them", || rows(&board) == table).await;
    assert_eq!(client.stats().repairs, 6);
}
