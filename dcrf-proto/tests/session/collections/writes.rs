//! What is created, changed and deleted through the resource of a collection (V14).

use std::sync::Arc;

use super::*;
use dcrf_proto::ResourceDescription;

fn resource() -> ResourceDescription {
    ResourceDescription::new("tasks").feed_action(FEED)
}

/// The tasks of project 1.
fn project() -> Arc<ResourceDescription> {
    let feed = Subscribe::new("tasks", FEED).arg("project", 1);
    Arc::new(resource().list_arg("project", 1).feed_with(feed))
}

fn of(project: u64, pk: u64) -> Value {
    json!({"pk": pk, "project": project, "title": "a"})
}

/// Makes a request through a resource, which the server replies to.
fn write(
    c: &mut Conversation,
    resource: &Arc<ResourceDescription>,
    request: Request,
    reply: &Value,
) {
    let (_, frame) = c.send_request(request.through(resource));
    c.reply(&frame, reply);
}

#[test]
fn v14_row_that_is_created_in_another_group_does_not_show() {
    let mut c = Conversation::connected();
    let tasks = project();
    let (key, _) = live(&mut c, tasks.collect(), &json!([of(1, 1)]));
    batch(&mut c, key);
    for (pk, project, is_ours) in [(2, 2, false), (3, 1, true)] {
        write(&mut c, &tasks, tasks.create(&json!({"project": project})), &of(project, pk));
        assert_eq!(batch(&mut c, key), [], "only the server knows whether it is in the list");
        let retrieve = c.sent_one();
        let payload = &retrieve["payload"];
        assert_eq!((&payload["action"], &payload["pk"]), (&json!("retrieve"), &json!(pk)));
        assert_eq!(payload["project"], 1);
        if is_ours {
            c.reply(&retrieve, &of(project, pk));
        } else {
            c.reply_error(&retrieve, 404);
        }
    }
    assert_eq!(rows(&c, key), [of(1, 1), of(1, 3)]);
    assert!(c.sent().is_empty());
}

#[test]
fn v14_row_that_is_changed_within_its_group_is_seen_at_once() {
    let mut c = Conversation::connected();
    let tasks = project();
    let (key, _) = live(&mut c, tasks.collect(), &json!([of(1, 1)]));
    let changed = json!({"pk": 1, "project": 1, "title": "b"});
    write(&mut c, &tasks, tasks.patch(1, &json!({"title": "b"})), &changed);
    assert_eq!(rows(&c, key), [changed]);
    assert!(c.sent().is_empty(), "nothing is in doubt");
}

#[test]
fn v14_row_that_can_have_left_its_group_is_retrieved() {
    for is_ours in [true, false] {
        let mut c = Conversation::connected();
        let tasks = project();
        let (key, feed) = live(&mut c, tasks.collect(), &json!([of(1, 1), of(1, 2)]));
        batch(&mut c, key);
        write(&mut c, &tasks, tasks.patch(1, &json!({"project": 2})), &of(2, 1));
        assert_eq!(batch(&mut c, key), [], "no row of another group");
        let retrieve = c.sent_one();
        if is_ours {
            c.reply(&retrieve, &of(2, 1));
            assert_eq!(rows(&c, key), [of(2, 1), of(1, 2)]);
        } else {
            c.reply_error(&retrieve, 404);
            assert_eq!(rows(&c, key), [of(1, 2)]);
        }
        // It is deleted before the reply.
        c.event(&feed, "delete", &of(1, 2));
        write(&mut c, &tasks, tasks.patch(2, &json!({"project": 2})), &of(2, 2));
        assert!(c.sent().is_empty());
    }
}

#[test]
fn v14_row_whose_group_is_not_in_it_is_retrieved() {
    let mut c = Conversation::connected();
    let tasks = Arc::new(resource().list_arg("mine", true));
    let (key, _) = live(&mut c, tasks.collect(), &json!([task(1, "a")]));
    write(&mut c, &tasks, tasks.patch(1, &json!({"title": "b"})), &task(1, "b"));
    assert_eq!(rows(&c, key), [task(1, "a")]);
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(1, "b"));
    assert_eq!(rows(&c, key), [task(1, "b")]);
}

#[test]
fn v14_arguments_of_pages_choose_no_rows() {
    let mut c = Conversation::connected();
    let tasks = resource().list_arg("limit", 10).list_arg("offset", 0);
    let tasks = Arc::new(tasks.list_arg("page", 1).list_arg("page_size", 10));
    let (key, _) = live(&mut c, tasks.collect(), &json!([]));
    write(&mut c, &tasks, tasks.create(&json!({"title": "a"})), &task(1, "a"));
    assert_eq!(rows(&c, key), [task(1, "a")]);
    assert!(c.sent().is_empty());
}

/// The list that the collection has may be another one than that of its resource.
#[test]
fn v14_arguments_of_another_list_choose_rows() {
    let mut c = Conversation::connected();
    let tasks = Arc::new(resource());
    let list = Request::list("tasks").arg("project", 1);
    let (key, _) = live(&mut c, tasks.collect().list(list), &json!([]));
    write(&mut c, &tasks, tasks.create(&json!({"project": 2})), &of(2, 1));
    assert!(rows(&c, key).is_empty());
    assert_eq!(c.sent_actions(), ["retrieve"]);
}

#[test]
fn v14_row_that_is_written_before_the_list_is_decided_by_it() {
    let mut c = Conversation::connected();
    let tasks = project();
    let key = collect(&mut c, tasks.collect());
    let feed = c.sent_one();
    // The list is read later.
    write(&mut c, &tasks, tasks.create(&json!({"project": 2})), &of(2, 1));
    assert!(c.sent().is_empty());
    c.reply(&feed, &Value::Null);
    let list = c.sent_one();
    // The list may have been read before.
    write(&mut c, &tasks, tasks.create(&json!({"project": 2})), &of(2, 2));
    assert!(c.sent().is_empty());
    c.reply(&list, &json!([of(1, 3)]));
    assert_eq!(rows(&c, key), [of(1, 3)]);
    let retrieve = c.sent_one();
    assert_eq!(retrieve["payload"]["pk"], 2);
    c.reply_error(&retrieve, 404);
    assert_eq!(rows(&c, key), [of(1, 3)]);
}

fn slugs() -> Arc<ResourceDescription> {
    Arc::new(resource().lookup_field("slug"))
}

fn named(pk: u64, slug: &Value) -> Value {
    json!({"pk": pk, "slug": slug, "title": "a"})
}

#[test]
fn v14_row_that_is_deleted_by_another_field_is_gone() {
    let mut c = Conversation::connected();
    let tasks = slugs();
    let listed = [named(1, &json!("2")), named(2, &json!("one")), named(3, &json!(3))];
    let (key, feed) = live(&mut c, tasks.collect(), &json!(listed));
    write(&mut c, &tasks, tasks.delete("one"), &Value::Null);
    assert_eq!(rows(&c, key), [named(1, &json!("2")), named(3, &json!(3))]);
    // To the server, 2 and "2" are the same.
    write(&mut c, &tasks, tasks.delete(2), &Value::Null);
    assert_eq!(rows(&c, key), [named(3, &json!(3))]);
    write(&mut c, &tasks, tasks.delete("unknown"), &Value::Null);
    assert_eq!(rows(&c, key), [named(3, &json!(3))]);
    // Their events change nothing more.
    batch(&mut c, key);
    c.event(&feed, "delete", &named(2, &json!("one")));
    assert_eq!(batch(&mut c, key), []);
    assert!(c.sent().is_empty());
}

#[test]
fn v14_row_without_its_lookup_field_is_not_taken_for_another() {
    let mut c = Conversation::connected();
    let tasks = slugs();
    let (key, _) = live(&mut c, tasks.collect(), &json!([task(7, "a")]));
    write(&mut c, &tasks, tasks.delete(7), &Value::Null);
    assert_eq!(rows(&c, key), [task(7, "a")]);
}

/// One of them has another value by now, whose event has not arrived.
#[test]
fn v14_delete_that_two_rows_can_mean_is_decided_by_the_list() {
    let mut c = Conversation::connected();
    let tasks = slugs();
    let slug = json!("one");
    let listed = [named(1, &slug), named(2, &slug)];
    let (key, _) = live(&mut c, tasks.collect(), &json!(listed));
    write(&mut c, &tasks, tasks.delete("one"), &Value::Null);
    assert_eq!(rows(&c, key), listed);
    c.advance(Duration::from_secs(5));
    let list = c.sent_one();
    c.reply(&list, &json!([named(1, &json!("other"))]));
    assert_eq!(rows(&c, key), [named(1, &json!("other"))]);
}

#[test]
fn v13_row_that_is_created_is_followed() {
    let mut c = Conversation::connected();
    let tasks = Arc::new(ResourceDescription::new("tasks"));
    let key = collect(&mut c, tasks.collect().instances());
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    write(&mut c, &tasks, tasks.create(&json!({"title": "a"})), &task(1, "a"));
    let instance = c.sent_one();
    let payload = &instance["payload"];
    assert_eq!((&payload["action"], &payload["pk"]), (&json!("subscribe_instance"), &json!(1)));
    c.reply(&instance, &Value::Null);
    // It may have changed since it was created.
    let retrieve = c.sent_one();
    c.reply(&retrieve, &task(1, "a"));
    c.event(&instance, "update", &task(1, "b"));
    assert_eq!(rows(&c, key), [task(1, "b")]);
    write(&mut c, &tasks, tasks.patch(1, &json!({"title": "c"})), &task(1, "c"));
    assert_eq!(rows(&c, key), [task(1, "c")]);
    assert!(c.sent().is_empty(), "it is followed already");
}

#[test]
fn v13_row_that_is_retrieved_after_its_create_is_followed() {
    let mut c = Conversation::connected();
    let tasks = Arc::new(ResourceDescription::new("tasks").list_arg("project", 1));
    let key = collect(&mut c, tasks.collect().instances());
    let list = c.sent_one();
    c.reply(&list, &json!([]));
    write(&mut c, &tasks, tasks.create(&json!({"project": 1})), &of(1, 1));
    let retrieve = c.sent_one();
    c.reply(&retrieve, &of(1, 1));
    assert_eq!(rows(&c, key), [of(1, 1)]);
    let instance = c.sent_one();
    // A server that can't be subscribed to is not asked for ever.
    for _ in 0..3 {
        c.reply_error(&instance, 405);
        for retrieve in c.sent() {
            assert_eq!(retrieve["payload"]["action"], "retrieve");
            c.reply(&retrieve, &of(1, 1));
        }
    }
    assert!(c.sent().is_empty());
    assert_eq!(rows(&c, key), [of(1, 1)]);
}
