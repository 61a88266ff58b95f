//! Matching and reading replies (rules R6 and R7).

use crate::conversation::Conversation;
use dcrf_proto::{Request, RequestError, Subscribe};
use serde_json::{Value, json};

fn create() -> Request {
    Request::create("tasks", &json!({"title": "new"}))
}

#[test]
fn r6_reply_matches_by_id_and_stream() {
    let mut c = Conversation::connected();
    let (first, first_frame) = c.send_request(create());
    let (second, mut second_frame) = c.send_request(create());

    let stream = second_frame["stream"].take();
    second_frame["stream"] = json!("memos");
    c.reply(&second_frame, &json!("on another stream"));
    assert_eq!(c.settled(), []);
    assert_eq!(c.unhandled().len(), 1);

    second_frame["stream"] = stream;
    c.reply(&second_frame, &json!(2));
    c.reply(&first_frame, &json!(1));
    assert_eq!(c.settled(), [(second, Ok(json!(2))), (first, Ok(json!(1)))]);
}

#[test]
fn r6_id_keeps_its_json_type() {
    let mut c = Conversation::connected();
    let (number, _) = c.send_request(create().id(77));
    let (text, _) = c.send_request(create().id("77"));
    let reply = |id: Value| json!({"stream": "tasks", "payload": {"data": id, "request_id": id}});

    c.receive(&reply(json!("77")));
    assert_eq!(c.settled(), [(text, Ok(json!("77")))]);
    c.receive(&reply(json!(77)));
    assert_eq!(c.settled(), [(number, Ok(json!(77)))]);
}

#[test]
fn r6_event_with_the_subscription_id_is_not_its_reply() {
    for action in ["update", "create", "delete"] {
        let mut c = Conversation::connected();
        let key = c.subscribe(Subscribe::instance("tasks", 7).include_create());
        let frame = c.sent_one();
        c.event(&frame, action, &json!({"pk": 7}));
        assert!(!c.session.is_acknowledged(key));
        assert_eq!(c.changes(key).len(), 1);
    }
}

#[test]
fn r6_null_action_with_a_status_is_the_reply_to_a_subscribe() {
    let mut c = Conversation::connected();
    let key = c.subscribe(Subscribe::instance("tasks", 7));
    let frame = c.sent_one();
    let id = &frame["payload"]["request_id"];
    c.receive(
        &json!({"stream": "tasks", "payload": {"action": null, "request_id": id, "data": 1}}),
    );
    assert!(!c.session.is_acknowledged(key));
    let reply = json!({"action": null, "request_id": id, "response_status": 200});
    c.receive(&json!({"stream": "tasks", "payload": reply}));
    assert!(c.session.is_acknowledged(key));
}

#[test]
fn r7_success_is_2xx_and_yields_data() {
    for status in [200, 201, 204, 299] {
        let mut c = Conversation::connected();
        let (key, frame) = c.send_request(create());
        c.reply_with(&frame, status, &json!(["ignored"]), &json!({"pk": 1}));
        assert_eq!(c.settled(), [(key, Ok(json!({"pk": 1})))]);
    }
}

#[test]
fn r7_other_status_is_an_error_reply_with_all_fields() {
    for status in [100, 199, 300, 400, 404, 500] {
        let mut c = Conversation::connected();
        let (_, frame) = c.send_request(create());
        c.reply_with(&frame, status, &json!(["no"]), &json!({"detail": "x"}));
        let settled = c.settled();
        let Err(RequestError::ErrorReply(error_reply)) = &settled[0].1 else {
            panic!("{settled:?}")
        };
        assert_eq!(error_reply.status, Some(status));
        assert_eq!(error_reply.action.as_deref(), Some("create"));
        assert_eq!(error_reply.errors.decode::<Value>().unwrap(), json!(["no"]));
        assert_eq!(error_reply.data.decode::<Value>().unwrap(), json!({"detail": "x"}));
    }
}

#[test]
fn r7_error_reply_has_messages() {
    let cases = [
        (json!(["Not found"]), Value::Null, vec!["Not found"]),
        (
            json!([{"title": ["Too long.", "No digits."], "team": [{"name": ["Required."]}]}]),
            Value::Null,
            vec!["team.name: Required.", "title: Too long.", "title: No digits."],
        ),
        (json!([{"non_field_errors": ["Twice."]}]), json!({"title": "x"}), vec!["Twice."]),
        (json!([]), json!({"detail": "No."}), vec!["No."]),
        (json!([7, null, true]), Value::Null, vec![]),
    ];
    for (errors, data, messages) in cases {
        let mut c = Conversation::connected();
        let (_, frame) = c.send_request(create());
        c.reply_with(&frame, 400, &errors, &data);
        let [(_, Err(RequestError::ErrorReply(error_reply)))] = &c.settled()[..] else { panic!() };
        assert_eq!(error_reply.messages(), messages);
    }
}

#[test]
fn r7_errors_decide_without_a_numeric_status() {
    let cases = [
        (json!({}), true),
        (json!({"errors": []}), true),
        (json!({"errors": null}), true),
        (json!({"errors": {}}), true),
        (json!({"response_status": null, "errors": []}), true),
        (json!({"response_status": "500", "errors": []}), true),
        (json!({"errors": ["no"]}), false),
        (json!({"errors": {"title": ["no"]}}), false),
        (json!({"response_status": "200", "errors": ["no"]}), false),
        (json!({"response_status": -1, "errors": []}), false),
    ];
    for (mut payload, is_success) in cases {
        let mut c = Conversation::connected();
        let (_, frame) = c.send_request(create());
        payload["request_id"] = frame["payload"]["request_id"].clone();
        c.receive(&json!({"stream": "tasks", "payload": payload}));
        let settled = c.settled();
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].1.is_ok(), is_success, "{payload}");
    }
}

#[test]
fn reply_without_data_yields_null() {
    let mut c = Conversation::connected();
    let (key, frame) = c.send_request(Request::delete("tasks", 1));
    let id = &frame["payload"]["request_id"];
    let payload = json!({"request_id": id, "response_status": 204});
    c.receive(&json!({"stream": "tasks", "payload": payload}));
    assert_eq!(c.settled(), [(key, Ok(Value::Null))]);
}
