//! The adapters have the same names: the async and the blocking client, their builders, and the crates' exports.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of the public functions in these files, except those that only one side has.
fn function_names(files: &[&str], except: &[&str]) -> BTreeSet<String> {
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
    for name in except {
        assert!(names.remove(*name), "{name} does not exist");
    }
    names
}

#[test]
fn clients_have_the_same_methods() {
    let async_client = [
        "dcrf-proto/src/client/calls.rs",
        "dcrf-proto/src/client/connection.rs",
        "dcrf-proto/src/client/mod.rs",
        "dcrf-proto/src/client/state.rs",
    ];
    let blocking_client = ["dcrf-blocking/src/calls.rs", "dcrf-blocking/src/client.rs"];
    assert_eq!(
        // `next` belongs to a stream, and the others are for adapters.
        function_names(&async_client, &["attach", "next", "start", "start_idle"]),
        // They return without waiting, as all async calls do.
        function_names(&blocking_client, &["start", "start_subscribe"])
    );
}

#[test]
fn resources_have_the_same_methods() {
    let resource = "dcrf-proto/src/client/resource";
    let async_resource = [&*format!("{resource}/mod.rs"), &*format!("{resource}/description.rs")];
    assert_eq!(
        function_names(&async_resource, &[]),
        function_names(&["dcrf-blocking/src/resource.rs"], &[])
    );
}

#[test]
fn collections_have_the_same_methods() {
    let collection = "dcrf-proto/src/client/collection";
    let async_collection = [&*format!("{collection}/mod.rs"), &*format!("{collection}/builder.rs")];
    assert_eq!(
        function_names(&async_collection, &[]),
        // The async builder is awaited.
        function_names(&["dcrf-blocking/src/collection.rs"], &["wait"])
    );
}

#[test]
fn builders_have_the_same_methods() {
    let builder = "dcrf-proto/src/websocket/builder";
    let async_builder = [&*format!("{builder}/mod.rs"), &*format!("{builder}/options.rs")];
    assert_eq!(
        // The blocking client has no driver to hand out.
        function_names(&async_builder, &["build", "endpoint", "on"]),
        function_names(&["dcrf-blocking/src/builder.rs"], &[])
    );
}

/// The names that a crate re-exports at its root, except those that only it has.
fn exports(file: &str, except: &[&str]) -> BTreeSet<String> {
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
    for name in except {
        assert!(names.remove(*name), "{file} does not export {name}");
    }
    names
}

#[test]
fn crates_export_the_same_names() {
    let tokio = exports("dcrf-tokio/src/lib.rs", &[]);
    assert!(tokio.len() > 50, "{tokio:?}");
    assert_eq!(tokio, exports("dcrf-smol/src/lib.rs", &[]));
    let mut tokio = tokio;
    // The blocking client has no driver to hand out.
    tokio.remove("Driver");
    // In the adapters with async it is a type alias.
    tokio.insert("Builder".to_owned());
    assert_eq!(tokio, exports("dcrf-blocking/src/lib.rs", &["Pending", "Receiver", "Source"]));
}
