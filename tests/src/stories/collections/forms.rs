//! Forms of lists and feeds other than the recommended one.

use std::time::Duration;

use dcrf_proto::{Change, Pk};
use serde_json::{Value, json};

use super::{batch, brief, collect, control, create, follower_and_writer, retitle, until_inserted};
use crate::adapter::Adapter;
use crate::client::Client;
use crate::models::{Article, Card};
use crate::observe::{Mark, change, error_reply, eventually};
use crate::resource::Resource;
use crate::story_server::Journaled;

/// A feed without a serializer. Each change is retrieved, a delete is not.
pub async fn v4_keys_are_fetched<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (mark, client, writer) = follower_and_writer(&adapter, server).await;
    let notes = client.collect::<Card>(collect("notes")).live().await.unwrap();
    let note: Card = create(&writer, "notes", "created").await;
    let has = |note: &Card| notes.get(note.id).as_deref() == Some(note);
    eventually(&adapter, "the new row is fetched", || has(&note)).await;
    let changed = retitle(&writer, "notes", note.id, "changed").await;
    eventually(&adapter, "the changed row is fetched", || has(&changed)).await;
    writer.delete("notes", note.id).await.unwrap();
    eventually(&adapter, "the row is gone", || notes.get(note.id).is_none()).await;
    assert_eq!(retrieves(&mark, server, note.id), 2);
    assert_eq!(mark.count(server, "notes/list"), 1);
}

/// The retrieve finds nothing, because the row was deleted before. Its delete event has come before or comes later.
pub async fn v4_row_deleted_while_fetched<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (mark, client, writer) = follower_and_writer(&adapter, server).await;
    let known: Card = create(&writer, "notes", "known").await;
    let notes = client.collect::<Card>(collect("notes")).live().await.unwrap();
    let mut changes = notes.changes();
    batch(&mut changes).await;

    // The row is deleted while the event of its creation is on its way.
    let name = format!("create behind {}", known.id);
    let data = json!({"title": "short-lived"});
    let hold = json!({"name": name, "model": "note", "at": "event", "data": data});
    let brief_note = control(&writer, "hold", hold).await["pk"].as_i64().unwrap();
    writer.delete("notes", brief_note).await.unwrap();
    control(&writer, "release", json!({"name": name})).await;
    eventually(&adapter, "it is asked for", || retrieves(&mark, server, brief_note) == 1).await;

    // A row that is shown is deleted, and an event of an earlier change comes before that of the delete.
    let update = format!("update of {}", known.id);
    let hold =
        json!({"name": update, "model": "note", "at": "event", "pk": known.id, "data": data});
    control(&writer, "hold", hold).await;
    let delete = format!("delete of {}", known.id);
    let hold =
        json!({"name": delete, "model": "note", "at": "event", "pk": known.id, "delete": true});
    control(&writer, "hold", hold).await;
    assert!(notes.get(known.id).is_some());
    control(&writer, "release", json!({"name": update})).await;
    eventually(&adapter, "the row is gone", || notes.get(known.id).is_none()).await;
    control(&writer, "release", json!({"name": delete})).await;

    let last: Card = create(&writer, "notes", "last").await;
    let changes = until_inserted(&mut changes, &[brief_note, known.id], last.id).await;
    assert_eq!(brief(&changes), [("- known".to_owned(), Pk::from(known.id))]);
    assert_eq!(notes.get(brief_note), None);
}

fn retrieves(mark: &Mark, server: &impl Journaled, id: i64) -> usize {
    let [journal] = mark.connections(server).try_into().unwrap();
    let is_of = |sent: &Value| sent["action"] == "retrieve" && sent["pk"] == id;
    journal.payloads("notes").filter(is_of).count()
}

/// The actions, a subscription, and a collection that verifies its rows by the lookup field.
pub async fn v2_rows_looked_up_by_slug<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let (mark, client, writer) = follower_and_writer(&adapter, server).await;
    let articles = |client: &Client| -> Resource<Article> {
        let articles = client.resource("articles").pk_field("id").lookup_field("slug");
        articles.feed_action("subscribe_all")
    };
    let (followed, articles) = (articles(&client), articles(&writer));
    let created = articles.create(json!({"title": "created"})).await.unwrap();
    let slug = json!(created.slug);
    let verified = followed.collection().verify(Duration::from_millis(300));
    let board = verified.live().await.unwrap();
    let has = |article: &Article| board.get(article.id).as_deref() == Some(article);
    assert!(has(&created));

    let mut one = followed.subscribe(slug.clone()).await.unwrap();
    let patched = articles.patch(slug.clone(), json!({"title": "patched"})).await.unwrap();
    assert_eq!(change(&mut one).await, Change::Update(patched.clone()));
    assert_eq!(followed.retrieve(slug.clone()).await, Ok(patched.clone()));
    eventually(&adapter, "the patch arrives", || has(&patched)).await;

    // The retrieve that corrects it is by slug.
    let (first, second) = (json!({"title": "first"}), json!({"title": "second"}));
    let race = json!({"model": "article", "pk": created.id, "first": first, "second": second});
    control(&writer, "reverse", race).await;
    let raced = articles.retrieve(slug.clone()).await.unwrap();
    assert_eq!(raced.title, "second");
    let retrieves = || {
        let [journal] = mark.connections(server).try_into().unwrap();
        let is_of = |sent: &Value| sent["action"] == "retrieve" && sent["slug"] == slug;
        journal.payloads("articles").filter(is_of).count()
    };
    // After that of the story.
    eventually(&adapter, "it is verified", || retrieves() >= 2 && has(&raced)).await;

    // A new slug, which is what the row is verified by.
    let renamed = format!("{}-renamed", created.slug);
    let whole = json!({"title": "renamed", "slug": renamed});
    let renamed = articles.update(slug.clone(), whole).await.unwrap();
    eventually(&adapter, "the new slug arrives", || has(&renamed)).await;
    let verified = || {
        let [journal] = mark.connections(server).try_into().unwrap();
        let is_of = |sent: &Value| sent["action"] == "retrieve" && sent["slug"] == renamed.slug;
        journal.payloads("articles").any(|sent| is_of(&sent))
    };
    eventually(&adapter, "it is verified by the new slug", verified).await;
    assert!(has(&renamed));
    articles.delete(json!(renamed.slug)).await.unwrap();
    assert!(error_reply(articles.retrieve(slug).await).is_not_found());
    eventually(&adapter, "the delete arrives", || board.get(created.id).is_none()).await;
    drop(one);
}
