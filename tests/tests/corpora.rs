//! Runs the fuzz targets on their stored inputs, on stable: the corpora, and every input that once failed.

#[path = "../../dcrf-proto/fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a separate library for the fuzzer")]
mod targets;

use std::fs;
use std::path::Path;

/// Runs a target on all its stored inputs.
fn run_inputs(target: &str, run: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dcrf-proto/fuzz");
    let mut count = 0;
    for folder in ["corpus", "crashes"] {
        let Ok(files) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for file in files {
            let input = fs::read(file.unwrap().path()).unwrap();
            run(&input);
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} inputs for {target}");
}

#[test]
fn text() {
    run_inputs("text", targets::text::text);
}

#[test]
fn calls() {
    run_inputs("calls", targets::calls::calls);
}

#[test]
fn envelope() {
    run_inputs("envelope", targets::envelope::envelope);
}

#[test]
fn selector() {
    run_inputs("selector", targets::selector::selector);
}

#[test]
fn repair() {
    run_inputs("repair", targets::repair::repair);
}

#[test]
fn handshake() {
    run_inputs("handshake", targets::handshake::handshake);
}

#[test]
fn templates() {
    run_inputs("templates", targets::templates::templates);
}

#[test]
fn client() {
    run_inputs("client", targets::client::client);
}
