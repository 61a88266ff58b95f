//! Any request is encoded without loss, and its reply settles it.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use dcrf_proto::{Config, Event, Framing, RejectReason, Request};
use serde_json::{Map, Value, json};

use super::{connected, sent};

pub fn envelope(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let _ = round_trip(&mut input);
}

fn round_trip(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let mut config = Config::default();
    let is_bare = input.arbitrary()?;
    config.framing = if is_bare { Framing::Bare } else { Framing::Multiplexed };
    let (stream, action, id): (String, String, String) = input.arbitrary()?;
    let mut arguments = BTreeMap::new();
    let mut request = Request::new(&stream, &action).id(id.as_str());
    for _ in 0..input.int_in_range(0..=4)? {
        let (name, value): (String, _) = (input.arbitrary()?, any_value(input, 3)?);
        request = request.arg(&name, &value);
        arguments.insert(name, value);
    }
    let data = any_value(input, 3)?;

    let (mut session, epoch, now) = connected(config);
    let key = match session.request(request, now) {
        Ok(key) => key,
        Err(rejected) => {
            let is_reserved =
                ["action", "request_id"].iter().any(|name| arguments.contains_key(*name));
            let invalid = matches!(rejected.reason, RejectReason::InvalidArgument { .. });
            assert!(invalid && is_reserved, "{rejected}");
            return Ok(());
        }
    };
    let frame = sent(&mut session);
    let mut payload: Map<String, Value> = arguments.into_iter().collect();
    // A custom payload may have no action.
    if !action.is_empty() {
        payload.insert("action".to_owned(), json!(action));
    }
    payload.insert("request_id".to_owned(), json!(id));
    let payload = Value::Object(payload);
    let whole = if is_bare { payload } else { json!({"stream": stream, "payload": payload}) };
    assert_eq!(frame, whole);

    let reply = json!({
        "errors": [], "data": data, "action": action, "response_status": 200, "request_id": id,
    });
    let reply = if is_bare { reply } else { json!({"stream": stream, "payload": reply}) };
    session.handle_text(epoch, &reply.to_string(), now);
    let mut settled = 0;
    while let Some(event) = session.poll_event() {
        if let Event::Settled { request, result } = event {
            let result: Value = result.expect("a success").decode().expect("JSON");
            assert_eq!((request, &result), (key, &data));
            settled += 1;
        }
    }
    assert_eq!(settled, 1);
    Ok(())
}

fn any_value(input: &mut Unstructured<'_>, depth: u32) -> arbitrary::Result<Value> {
    let kinds = if depth == 0 { 4 } else { 6 };
    Ok(match input.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => json!(input.arbitrary::<bool>()?),
        2 => json!(input.arbitrary::<i64>()?),
        3 => json!(input.arbitrary::<u64>()?),
        4 => json!(input.arbitrary::<String>()?),
        5 => {
            let length = input.int_in_range(0..=3)?;
            (0..length).map(|_| any_value(input, depth - 1)).collect::<Result<_, _>>()?
        }
        _ => {
            let length = input.int_in_range(0..=3)?;
            let entry = |_| Ok((input.arbitrary::<String>()?, any_value(input, depth - 1)?));
            Value::Object((0..length).map(entry).collect::<Result<_, _>>()?)
        }
    })
}
