//! What the fuzzer has found worth keeping, and every input that once failed, given to the same targets by a stable
//! compiler.

#[path = "../../dcrf-proto/fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own for the fuzzer")]
mod targets;

use std::fs;
use std::path::Path;

/// Gives all stored inputs of a target to it.
fn play(target: &str, play: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dcrf-proto/fuzz");
    let mut count = 0;
    for folder in ["corpus", "crashes"] {
        let Ok(files) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for file in files {
            let input = fs::read(file.unwrap().path()).unwrap();
            play(&input);
            count += 1;
        }
    }
    assert!(count >= 10, "{count} inputs for {target}");
}

#[test]
fn text() {
    play("text", targets::text::text);
}

#[test]
fn calls() {
    play("calls", targets::calls::calls);
}

#[test]
fn envelope() {
    play("envelope", targets::envelope::envelope);
}

#[test]
fn selector() {
    play("selector", targets::selector::selector);
}

#[test]
fn repair() {
    play("repair", targets::repair::repair);
}

#[test]
fn handshake() {
    play("handshake", targets::handshake::handshake);
}
