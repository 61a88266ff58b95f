//! Commands that make one request.

use dcrf_tests::server::Server;
use serde_json::json;

use crate::command::Dcrf;

fn dcrf() -> Dcrf {
    Dcrf::at(&Server::shared().url("/ws/"))
}

#[test]
fn object_is_created_read_changed_and_deleted() {
    let dcrf = dcrf();
    let created = dcrf.run(&["create", "tasks", "title=Write docs", "priority:=7"]).json_lines();
    let key = created[0]["pk"].to_string();
    assert_eq!(created[0]["title"], "Write docs");
    assert_eq!(dcrf.run(&["get", "tasks", &key]).json_lines(), created);
    let patched = dcrf.run(&["patch", "tasks", &key, "done:=true"]).json_lines();
    assert_eq!((&patched[0]["done"], &patched[0]["priority"]), (&json!(true), &json!(7)));
    let updated = dcrf.run(&["update", "tasks", &key, "title=Docs", "priority:=1"]).json_lines();
    assert_eq!((&updated[0]["title"], &updated[0]["priority"]), (&json!("Docs"), &json!(1)));
    let deleted = dcrf.run(&["delete", "tasks", &key]);
    deleted.assert_code(0);
    assert_eq!((deleted.stdout.as_str(), deleted.stderr.as_str()), ("", ""));
    dcrf.run(&["get", "tasks", &key]).assert_failed(1, "with status 404\n  Not found");
}
