//! The adapters have the same names: what a program takes from one of them it finds in the others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names that a crate exports by `pub use`, also those of its features.
fn exported(package: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package);
    let code = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let mut names = BTreeSet::new();
    for item in code.split("pub use ").skip(1) {
        let path = item.split(';').next().unwrap();
        // `a::{B, C}` or `a::b::C`.
        let list = path.split_once('{').map_or_else(
            || path.rsplit_once("::").map_or(path, |(_, name)| name),
            |(_, list)| list.trim_end_matches('}'),
        );
        let names_of = list.split(',').map(str::trim);
        names.extend(names_of.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    names
}

/// What has to do with the runtime alone.
const OF_THE_RUNTIME: [&str; 4] = ["Compat", "Tcp", "Timer", "Source"];

#[test]
fn the_adapters_have_the_same_names() {
    let of = |package| {
        let mut names = exported(package);
        names.retain(|name| !OF_THE_RUNTIME.contains(&name.as_str()));
        names
    };
    let tokio = of("dcrf-tokio");
    assert!(tokio.contains("Client") && tokio.contains("Verdict"), "{tokio:?}");
    assert_eq!(of("dcrf-smol"), tokio);

    // There a builder is a type of its own.
    let mut blocking = of("dcrf-blocking");
    assert!(blocking.remove("Builder"));
    assert_eq!(blocking, tokio);
}
