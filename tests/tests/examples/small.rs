//! The mirror and the report.

use std::fs;

use dcrf_tests::models::Task;
use dcrf_tests::server::Server;
use serde_json::json;

use crate::outage;
use crate::process::Example;

const MIRROR: &str = env!("CARGO_BIN_EXE_example-mirror");
const REPORT: &str = env!("CARGO_BIN_EXE_example-report");

#[test]
fn mirror_writes_what_changed_in_an_outage() {
    let mut server = Server::start().unwrap();
    let path = std::env::temp_dir().join(format!("dcrf-tests-mirror-{}.json", std::process::id()));
    let arguments = [&server.url("/ws/"), "tasks", path.to_str().unwrap()];
    let mirror = Example::start(MIRROR, &arguments);
    mirror.expect_line("5 rows");
    outage(&mut server, |other| other.resource::<Task>("tasks").delete(1).unwrap());
    server.restart().unwrap();
    mirror.expect_line("4 rows");
    let rows: Vec<Task> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(rows.iter().map(|task| task.pk).collect::<Vec<_>>(), [2, 3, 4, 5]);
    fs::remove_file(path).unwrap();
}

#[test]
fn report_counts_the_rows_after_each_change() {
    let server = Server::start().unwrap();
    let url = server.url("/ws/");
    let tasks = dcrf_blocking::connect(&url).unwrap().resource::<Task>("tasks");
    let done = tasks.list().unwrap().iter().filter(|task| task.done).count();
    let report = Example::start(REPORT, &[&url, "tasks", "done"]);
    report.expect_line(&format!("false: {}", 5 - done));
    tasks.create(&json!({"title": "new", "done": true})).unwrap();
    report.expect_line(&format!("true: {}", done + 1));
}
