//! The server's frames, in DCRF's format.

/// A reply or an event.
pub(crate) fn frame(action: &str, status: u16, data: &str, id: &str) -> String {
    format!(
        r#"{{"stream":"tasks","payload":{{"errors":[],"data":{data},"action":"{action}","response_status":{status},"request_id":"{id}"}}}}"#
    )
}

/// An object whose title has this many letters.
pub(crate) fn task(letters: usize) -> String {
    format!(r#"{{"pk":7,"title":"{}","done":false,"priority":1}}"#, "x".repeat(letters))
}

/// An update event of exactly this size.
pub(crate) fn update(size: usize, id: &str) -> String {
    let room = size - frame("update", 200, &task(0), id).len();
    frame("update", 200, &task(room), id)
}

/// The request id of a message to the server.
pub(crate) fn id(text: &str) -> &str {
    let (_, rest) = text.split_once(r#""request_id":""#).expect("an id");
    rest.split_once('"').expect("a string").0
}
