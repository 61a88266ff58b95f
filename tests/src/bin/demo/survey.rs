//! The read-only part, on somebody's own server: connect, list, retrieve, close.

use dcrf_proto::{Config, Framing, RequestError};
use serde_json::Value;

use crate::arguments::Target;
use crate::failure::Failure;
use crate::report::{Report, refused, shortened};

/// How many objects of the list are shown.
const SHOWN: usize = 3;

pub(crate) async fn run(report: &mut Report, target: &Target) -> Result<(), Failure> {
    let stream = &target.stream;
    report.part("Reads from your server, and changes nothing there");
    let mut config = Config::default();
    if target.bare {
        config.framing = Framing::Bare;
    }
    let client = dcrf_tokio::builder(&target.url).config(config).connect().await?;
    report.step("connect", "connected");

    let listed: Value = client.list(stream).await?;
    let objects = objects(&listed);
    report.step(&format!("list {stream}"), &counted(&listed, objects));
    for object in objects.iter().take(SHOWN) {
        report.note("", &shortened(&object.to_string()));
    }
    if let Some(pk) = objects.first().and_then(primary_key) {
        let answer = match client.retrieve::<Value>(stream, pk).await {
            Ok(object) => shortened(&object.to_string()),
            // Not every stream has this action, and the list was what was asked for.
            Err(RequestError::ErrorReply(error_reply)) => refused(&error_reply),
            Err(error) => return Err(error.into()),
        };
        report.step(&format!("retrieve {stream} {pk}"), &answer);
    }
    client.close().await;
    report.step("close", "closed");
    report.end("Done");
    Ok(())
}

/// A list is an array, or a page of one.
fn objects(listed: &Value) -> &[Value] {
    listed.get("results").unwrap_or(listed).as_array().map_or(&[], Vec::as_slice)
}

fn counted(listed: &Value, objects: &[Value]) -> String {
    let here = match objects.len() {
        1 => "1 object".into(),
        count => format!("{count} objects"),
    };
    match listed.get("count") {
        Some(count) => format!("{here} of {count}"),
        None => here,
    }
}

fn primary_key(object: &Value) -> Option<&Value> {
    ["pk", "id"].iter().find_map(|name| object.get(name))
}
