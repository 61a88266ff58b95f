//! The clients with and without async, and their builders, have methods of the same names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The public functions in these files of the workspace, without those that only one side has.
fn names(files: &[&str], besides: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for file in files {
        let code = fs::read_to_string(root.join(file)).unwrap();
        let public = |line: &str| {
            let line = line.trim_start().strip_prefix("pub ")?;
            let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
            name.split(['(', '<']).next().map(str::to_owned)
        };
        names.extend(code.lines().filter_map(public));
    }
    for name in besides {
        assert!(names.remove(*name), "{name} is not there");
    }
    names
}

#[test]
fn of_clients() {
    let with_async = [
        "dcrf-proto/src/client/calls.rs",
        "dcrf-proto/src/client/connection.rs",
        "dcrf-proto/src/client/mod.rs",
    ];
    let without = ["dcrf-blocking/src/calls.rs", "dcrf-blocking/src/client.rs"];
    assert_eq!(
        // What an adapter makes a client with.
        names(&with_async, &["attach", "idle", "new"]),
        // Where async has a future.
        names(&without, &["start", "start_subscribe"])
    );
}

#[test]
fn of_builders() {
    assert_eq!(
        // `at` is an error's; there is no driver to be handed out where each client has its thread.
        names(&["dcrf-proto/src/websocket/builder.rs"], &["at", "build", "endpoint", "new"]),
        names(&["dcrf-blocking/src/builder.rs"], &[])
    );
}
