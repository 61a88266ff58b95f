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
        "dcrf-proto/src/client/state.rs",
    ];
    let without = ["dcrf-blocking/src/calls.rs", "dcrf-blocking/src/client.rs"];
    assert_eq!(
        // Functions for adapters, and the method of a stream.
        names(&with_async, &["attach", "next", "start", "start_idle"]),
        // Where async has a future.
        names(&without, &["start", "start_subscribe"])
    );
}

#[test]
fn of_builders() {
    let builder = "dcrf-proto/src/websocket/builder";
    let with_async = [&*format!("{builder}/mod.rs"), &*format!("{builder}/options.rs")];
    assert_eq!(
        // With a background thread there is no driver to hand out.
        names(&with_async, &["build", "endpoint", "on"]),
        names(&["dcrf-blocking/src/builder.rs"], &[])
    );
}

/// The names that a crate re-exports or defines at its root.
fn exports(file: &str, others: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let code = fs::read_to_string(root.join(file)).unwrap();
    let mut names = BTreeSet::new();
    for export in code.split("pub use ").skip(1) {
        let export = export.split(';').next().unwrap();
        let list = export.split_once('{').map_or_else(
            || export.rsplit("::").next().unwrap(),
            |(_, list)| list.trim_end_matches('}'),
        );
        names.extend(
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        );
    }
    for name in others {
        assert!(names.remove(*name), "{file} does not export {name}");
    }
    names
}

#[test]
fn of_crates() {
    let tokio = exports("dcrf-tokio/src/lib.rs", &[]);
    assert!(tokio.len() > 50, "{tokio:?}");
    assert_eq!(tokio, exports("dcrf-smol/src/lib.rs", &[]));
    let mut tokio = tokio;
    // With a background thread there is no driver to hand out.
    tokio.remove("Driver");
    // In the adapters with async it is a type alias.
    tokio.insert("Builder".to_owned());
    assert_eq!(tokio, exports("dcrf-blocking/src/lib.rs", &["Pending", "Receiver", "Source"]));
}
