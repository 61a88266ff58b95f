//! Every action on every kind of model, and every error reply.

use crate::client::Client;
use dcrf_proto::{ConnectionError, Page, Request, RequestError};
use serde_json::{Value, json};

use super::{connect_to_shared, create_task};
use crate::adapter::{Adapter, quick_config};
use crate::models::{Gadget, Memo, Row, Task};
use crate::observe::{Mark, connected, error_reply, lost};

/// The six actions on a model with the primary key `pk`.
pub async fn all_actions_on_a_model<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let created: Task = client.create("tasks", &json!({"title": "paint"})).await.unwrap();
    assert_eq!((&*created.title, created.done, created.priority), ("paint", false, 0));
    let listed: Vec<Task> = client.list("tasks").await.unwrap();
    assert!(listed.contains(&created));
    let retrieved: Task = client.retrieve("tasks", created.pk).await.unwrap();
    assert_eq!(retrieved, created);

    let whole = json!({"title": "paint it black", "done": true, "priority": 2});
    let updated: Task = client.update("tasks", created.pk, &whole).await.unwrap();
    let expected = Task { pk: created.pk, title: "paint it black".into(), done: true, priority: 2 };
    assert_eq!(updated, expected);
    let patched: Task = client.patch("tasks", created.pk, &json!({"priority": 9})).await.unwrap();
    assert_eq!(patched, Task { priority: 9, ..expected });

    client.delete("tasks", created.pk).await.unwrap();
    let deleted = error_reply(client.retrieve::<Task>("tasks", created.pk).await);
    assert_eq!(deleted.status, Some(404));
}

/// A model with the primary key `id`.
pub async fn model_keyed_by_id<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    let task = create_task(&client, "holder").await;

    let memo: Memo =
        client.create("memos", &json!({"text": "milk", "task": task.pk})).await.unwrap();
    let memo: Memo = client.patch("memos", memo.id, &json!({"text": "eggs"})).await.unwrap();
    assert_eq!((&*memo.text, memo.task), ("eggs", Some(task.pk)));
    assert_eq!(client.retrieve::<Memo>("memos", memo.id).await, Ok(memo.clone()));
    client.delete("memos", memo.id).await.unwrap();
    assert_eq!(error_reply(client.delete("memos", memo.id).await).status, Some(404));
}

/// A model with a UUID as primary key.
pub async fn model_keyed_by_uuid<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let gadget: Gadget = client.create("gadgets", &json!({"name": "lamp"})).await.unwrap();
    assert_eq!(gadget.id.len(), 36);
    let gadget: Gadget =
        client.patch("gadgets", &gadget.id, &json!({"name": "lantern"})).await.unwrap();
    let listed: Vec<Gadget> = client.list("gadgets").await.unwrap();
    assert!(listed.contains(&gadget));
    client.delete("gadgets", &gadget.id).await.unwrap();
    let deleted = error_reply(client.retrieve::<Gadget>("gadgets", &gadget.id).await);
    assert_eq!(deleted.status, Some(404));
}

/// 400: the errors stay as the server wrote them and decode into the caller's type.
pub async fn r7_validation_errors_are_readable<A: Adapter>(adapter: A) {
    #[derive(serde::Deserialize)]
    struct Fields {
        title: Vec<String>,
    }

    let client = connect_to_shared(&adapter).await;

    let reply = error_reply(client.create::<Task>("tasks", &json!({"done": true})).await);
    assert_eq!((reply.status, reply.action.as_deref()), (Some(400), Some("create")));
    // Python writes a space. The server in memory does not.
    let errors = reply.errors.as_str().replacen(": ", ":", 1);
    assert_eq!(errors, r#"[{"title":["This field is required."]}]"#);
    assert_eq!(reply.to_string(), "the server replied to `create` with status 400");

    let [fields]: [Fields; 1] = reply.errors.decode().unwrap();
    assert_eq!(fields.title, ["This field is required."]);

    for (kind, errors) in [
        ("dict", json!([{"field": ["bad value"]}])),
        ("list", json!(["first", "second"])),
        ("str", json!(["plain"])),
    ] {
        let reply = fail(&client, kind).await;
        assert_eq!((reply.status, reply.errors.decode()), (Some(400), Ok(errors)));
    }
}

/// 403: a stream for authenticated users.
pub async fn r7_private_stream_replies_403_to_anonymous_client<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let reply = error_reply(client.list::<Vec<Task>>("private").await);
    assert_eq!((reply.status, reply.action.as_deref()), (Some(403), Some("list")));
    let errors: Vec<String> = reply.errors.decode().unwrap();
    assert_eq!(errors, ["You do not have permission to perform this action."]);
    assert_eq!(fail(&client, "403").await.errors.decode(), Ok(json!(["not for you"])));
}

/// 404: the object does not exist, or its key is invalid.
pub async fn r7_missing_object_replies_404<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    for pk in [json!(0), json!("abc"), json!(null), json!([1])] {
        let reply = error_reply(client.retrieve::<Task>("tasks", &pk).await);
        assert_eq!((reply.status, reply.action.as_deref()), (Some(404), Some("retrieve")));
        assert_eq!(reply.errors.decode(), Ok(json!(["Not found"])));
    }
    let no_uuid = error_reply(client.retrieve::<Gadget>("gadgets", "lamp").await);
    assert_eq!(no_uuid.status, Some(404));
    let patched = client.patch::<Task>("tasks", 0, &json!({"done": true})).await;
    assert_eq!(error_reply(patched).status, Some(404));
    assert_eq!(fail(&client, "404").await.errors.decode(), Ok(json!(["no such thing"])));
}

/// 405: an action that the consumer does not have.
pub async fn r7_unknown_action_replies_405<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let reply = error_reply(client.call::<Value>(Request::new("tasks", "nosuch")).await);
    assert_eq!((reply.status, reply.action.as_deref()), (Some(405), Some("nosuch")));
    assert_eq!(reply.errors.decode(), Ok(json!(["Method \"nosuch\" not allowed."])));
}

/// A status alone can make an error reply; `data` then has the reason.
pub async fn r7_status_alone_makes_an_error_reply<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    let with_status = |code: u16| {
        let request = Request::new("tools", "status").arg("code", code);
        client.call::<Value>(request.arg("data", json!({"detail": "duplicate"})))
    };

    assert_eq!(with_status(299).await, Ok(json!({"detail": "duplicate"})));
    let reply = error_reply(with_status(409).await);
    assert_eq!((reply.status, reply.errors.as_str()), (Some(409), "[]"));
    assert_eq!(reply.data.decode(), Ok(json!({"detail": "duplicate"})));
}

/// A crashing consumer closes the connection: the request fails and the client reconnects.
pub async fn r4_consumer_crash_fails_the_request_and_reconnects<A: Adapter>(adapter: A) {
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&adapter.shared()), quick_config()).await.unwrap();
    let mut events = client.events();

    let crashed = client.call::<Value>(Request::new("tools", "crash")).await;
    assert!(matches!(crashed, Err(RequestError::ConnectionLost { sent: true, .. })));
    let ConnectionError::Closed(frame) = lost(&mut events).await else {
        panic!("expected a close frame")
    };
    assert_eq!((frame.code, &*frame.reason), (1011, ""));

    connected(&mut events).await;
    let echoed: Value =
        client.call(Request::new("tools", "echo").arg("again", true)).await.unwrap();
    assert_eq!(echoed, json!({"again": true}));
    let [_, after]: [Vec<String>; 2] = mark.actions(&adapter.shared()).try_into().unwrap();
    assert_eq!(after, ["tools/echo"]);
}

/// Python's NaN and Infinity, which JSON lacks, are read as null; the rest of the frame is
/// unchanged.
pub async fn f3_nan_is_read_as_null<A: Adapter>(adapter: A) {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Oddities {
        nan: Option<f64>,
        infinity: Option<f64>,
        big: u64,
        text: String,
    }
    let client = connect_to_shared(&adapter).await;

    let odd: Oddities = client.call(Request::new("tools", "nan")).await.unwrap();
    let text = "é\u{2028}😀".to_owned();
    assert_eq!(odd, Oddities { nan: None, infinity: None, big: (1 << 63) + 1, text });
    assert_eq!(client.stats().malformed, 0);
}

/// Pages by limit and offset.
pub async fn paginated_list_decodes<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let first: Page<Row> = client.list("row_pages").await.unwrap();
    let Page { count, limit, offset, .. } = first;
    assert_eq!((count, limit, offset, first.results.len()), (Some(8), Some(3), Some(0), 3));
    let request = Request::list("row_pages").arg("limit", 5).arg("offset", 6);
    let last: Page<Row> = client.call(request).await.unwrap();
    assert_eq!(last.results.iter().map(|row| row.id).collect::<Vec<_>>(), [7, 8]);
}

/// A reply that does not fit the caller's type fails that request alone.
pub async fn reply_of_another_type_is_a_decode_error<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;
    let task = create_task(&client, "secret").await;

    let answer = client.retrieve::<Memo>("tasks", task.pk).await;
    let Err(RequestError::Decode(error)) = answer else { panic!("expected a decode error") };
    assert_eq!(error.expected, "missing field `id`");
    assert_eq!(client.retrieve::<Task>("tasks", task.pk).await, Ok(task));
}

async fn fail(client: &Client, kind: &str) -> dcrf_proto::ErrorReply {
    error_reply(client.call::<Value>(Request::new("tools", "fail").arg("kind", kind)).await)
}
