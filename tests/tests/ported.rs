//! Runs the example `ported`, a program for dcrf-client ported to Rust, against the real server.

use std::process::Command;

use dcrf_tests::server::Server;

#[test]
fn ported_program_prints_the_same_as_the_original() {
    let server = Server::start().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_example-ported"))
        .arg(server.url("/ws/"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let expected = "patched write it true\n\
        error reply Some(404) Not found\n\
        echo \"value\"\n\
        updated watched\n\
        created urgent\n\
        unsubscribed 1\n\
        rows 8\n\
        tick 0\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{errors}");
}
