//! Rows that are retrieved by another field than the primary key. Its value can change.

use super::*;

fn slugs() -> Collect {
    tasks().lookup_field("slug")
}

fn row(pk: u64, slug: &str) -> Value {
    json!({"pk": pk, "slug": slug})
}

/// An event without data, and the retrieve that follows.
fn retrieve(c: &mut Conversation, feed: &Value, slug: &str) -> Value {
    c.event(feed, "update", &json!({"pk": 1}));
    let retrieve = c.sent_one();
    assert_eq!(retrieve["payload"]["slug"], slug);
    retrieve
}

#[test]
fn v4_row_that_is_not_found_by_its_old_lookup_value_stays_until_the_list() {
    for exists in [true, false] {
        let mut c = Conversation::connected();
        let (key, feed) = live(&mut c, slugs(), &json!([row(1, "old"), row(2, "other")]));
        let retrieve = retrieve(&mut c, &feed, "old");
        c.reply_error(&retrieve, 404);
        assert_eq!(rows(&c, key), [row(1, "old"), row(2, "other")]);
        c.advance(Duration::from_secs(5));
        let list = c.sent_one();
        let renamed = if exists { vec![row(1, "new")] } else { Vec::new() };
        let expected = [renamed, vec![row(2, "other")]].concat();
        c.reply(&list, &json!(expected));
        assert_eq!(rows(&c, key), expected);
        assert!(c.sent().is_empty());
    }
}

#[test]
fn v4_row_whose_old_lookup_value_another_row_has_now_stays_until_the_list() {
    let mut c = Conversation::connected();
    let (key, feed) = live(&mut c, slugs(), &json!([row(1, "old"), row(2, "other")]));
    let retrieve = retrieve(&mut c, &feed, "old");
    c.reply(&retrieve, &row(2, "old"));
    assert_eq!(rows(&c, key), [row(1, "old"), row(2, "other")]);
    c.advance(Duration::from_secs(5));
    let list = c.sent_one();
    c.reply(&list, &json!([row(1, "new"), row(2, "old")]));
    assert_eq!(rows(&c, key), [row(1, "new"), row(2, "old")]);
}

#[test]
fn v2_row_that_is_renamed_while_it_is_verified_is_retrieved_by_the_new_value() {
    for another_has_it in [true, false] {
        let mut c = Conversation::connected();
        let slugs = slugs().verify(Duration::from_secs(1));
        let (key, feed) = live(&mut c, slugs, &json!([row(1, "old")]));
        c.event(&feed, "update", &json!({"pk": 1, "slug": "old", "title": "a"}));
        c.advance(Duration::from_secs(1));
        let old = c.sent_one();
        c.event(&feed, "update", &row(1, "new"));
        if another_has_it {
            c.reply(&old, &row(2, "old"));
        } else {
            c.reply_error(&old, 404);
        }
        assert_eq!(rows(&c, key), [row(1, "new")]);
        let new = c.sent_one();
        assert_eq!(new["payload"]["slug"], "new");
        c.reply(&new, &row(1, "new"));
        assert_eq!(rows(&c, key), [row(1, "new")]);
    }
}
