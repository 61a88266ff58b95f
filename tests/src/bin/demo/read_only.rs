//! The read-only demo on the user's server: connect, list, retrieve, close.

use dcrf_proto::{Config, Framing, RequestError};
use serde_json::Value;

use crate::arguments::Target;
use crate::failure::Failure;
use crate::report::{Report, describe_error, truncate};

/// The number of objects to print.
const PRINTED: usize = 3;

pub(crate) async fn run(report: &mut Report, target: &Target) -> Result<(), Failure> {
    let stream = &target.stream;
    report.part("Your server, read-only");
    let mut config = Config::default();
    if target.bare {
        config.framing = Framing::Bare;
    }
    let client = dcrf_tokio::builder(&target.url).config(config).connect().await?;
    report.step("connect", "connected");

    let list: Value = client.list(stream).await?;
    let objects = objects(&list);
    report.step(&format!("list {stream}"), &count(&list, objects));
    for object in objects.iter().take(PRINTED) {
        report.note("", &truncate(&object.to_string()));
    }
    if let Some(pk) = objects.first().and_then(primary_key) {
        let result = match client.retrieve::<Value>(stream, pk).await {
            Ok(object) => truncate(&object.to_string()),
            // Not every stream supports `retrieve`.
            Err(RequestError::ErrorReply(error_reply)) => describe_error(&error_reply),
            Err(error) => return Err(error.into()),
        };
        report.step(&format!("retrieve {stream} {pk}"), &result);
    }
    client.close().await;
    report.step("close", "closed");
    report.end("Done");
    Ok(())
}

/// The objects of a list, which is an array or a page with `results`.
fn objects(list: &Value) -> &[Value] {
    list.get("results").unwrap_or(list).as_array().map_or(&[], Vec::as_slice)
}

fn count(list: &Value, objects: &[Value]) -> String {
    let text = match objects.len() {
        1 => "1 object".into(),
        count => format!("{count} objects"),
    };
    match list.get("count") {
        Some(count) => format!("{text} of {count}"),
        None => text,
    }
}

fn primary_key(object: &Value) -> Option<&Value> {
    ["pk", "id"].iter().find_map(|name| object.get(name))
}
