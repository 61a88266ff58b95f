//! A feed for each group of rows. The server's `delete` means that a row has left the group.

use dcrf_proto::{Collect, Request, Subscribe};
use serde_json::json;

use super::{control, follower_and_writer, rows};
use crate::adapter::Adapter;
use crate::client::Client;
use crate::models::Issue;
use crate::observe::eventually;
use crate::server::Server;

fn feed(project: i64) -> Subscribe {
    Subscribe::new("issues", "subscribe_project").arg("project", project)
}

/// The issues of one project. `retrieve` does not find those of others.
fn of(project: i64) -> Collect {
    let of = |action: &str| Request::new("issues", action).arg("project", project);
    Collect::new("issues")
        .pk_field("id")
        .list(of("list"))
        .retrieve(of("retrieve"))
        .feed(feed(project))
}

/// Those of both projects, which are all that there are.
fn of_both() -> Collect {
    Collect::new("issues").pk_field("id").feed(feed(1)).feed(feed(2))
}

fn updated_at(issue: &Issue) -> String {
    issue.updated_at.clone()
}

async fn set_project(writer: &Client, id: i64, project: i64) -> Issue {
    writer.patch("issues", id, &json!({"project": project})).await.unwrap()
}

/// Of two collections of one client, and back.
pub async fn v3_moved_row_leaves_its_group_and_enters_the_other<A: Adapter>(adapter: A) {
    let server = adapter.own();
    let (mark, client, writer) = follower_and_writer(&adapter, &server).await;
    for has_version in [true, false] {
        let collect = |project| {
            let issues = client.collect::<Issue>(of(project));
            if has_version { issues.version(updated_at) } else { issues }
        };
        let one = collect(1).live().await.unwrap();
        let two = collect(2).live().await.unwrap();
        assert_eq!((one.len(), two.len()), (2, 2));

        let moved = set_project(&writer, 1, 2).await;
        let has_left = || one.get(1).is_none();
        eventually(&adapter, "the row leaves", has_left).await;
        let has_entered = || two.get(1).as_deref() == Some(&moved);
        eventually(&adapter, "the row enters", has_entered).await;
        let back = set_project(&writer, 1, 1).await;
        let is_back = || one.get(1).as_deref() == Some(&back);
        eventually(&adapter, "the row is back", is_back).await;
        eventually(&adapter, "the row leaves again", || two.get(1).is_none()).await;
        assert_eq!((one.len(), two.len()), (2, 2));
    }
    assert_eq!(mark.count(&server, "issues/list"), 4);
}

/// It has a feed for each, and their events come one after the other.
pub async fn v3_moved_row_stays_in_a_collection_of_both_groups<A: Adapter>(adapter: A) {
    let server = adapter.own();
    let (_, client, writer) = follower_and_writer(&adapter, &server).await;
    for has_version in [true, false] {
        let issues = client.collect::<Issue>(of_both());
        let issues = if has_version { issues.version(updated_at) } else { issues };
        let issues = issues.live().await.unwrap();
        assert_eq!(issues.len(), 4);
        for project in [2, 1, 2, 1] {
            let moved = set_project(&writer, 1, project).await;
            let has_moved = || issues.get(1).as_deref() == Some(&moved);
            eventually(&adapter, "the row has moved", has_moved).await;
        }
        assert_eq!(rows(&issues), writer.list::<Vec<Issue>>("issues").await.unwrap());
        assert!(issues.status().is_live());
    }
}

/// A row that is saved without being loaded before leaves its group without an event.
pub async fn v12_silent_move_is_found_by_a_resync<A: Adapter>(adapter: A) {
    let server = Server::start().unwrap();
    let (_, client, writer) = follower_and_writer(&adapter, &server).await;
    let one = client.collect::<Issue>(of(1)).version(updated_at).live().await.unwrap();
    let two = client.collect::<Issue>(of(2)).version(updated_at).live().await.unwrap();

    let data = json!({"title": "moved", "project": 2});
    control(&writer, "save_unloaded", json!({"model": "issue", "pk": 1, "data": data})).await;
    eventually(&adapter, "it enters with an update", || two.get(1).is_some()).await;
    // No client can know that it has left.
    let last: Issue =
        writer.create("issues", &json!({"title": "last", "project": 1})).await.unwrap();
    eventually(&adapter, "a later event arrives", || one.get(last.id).is_some()).await;
    assert_eq!(one.get(1).unwrap().project, 1);

    one.resync();
    eventually(&adapter, "the resync finds it", || one.get(1).is_none()).await;
    assert_eq!(client.stats().repairs, 1);
}
