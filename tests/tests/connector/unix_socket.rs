//! The smol example with a Unix socket.

use dcrf_tests::server::Server;

use crate::example::Example;

const EXAMPLE: &str = env!("CARGO_BIN_EXE_example-unix-socket");

#[test]
fn example_lists_a_stream() {
    let server = Server::builder().unix_socket().start().unwrap();
    let socket = server.unix_socket();
    let example =
        Example::start(EXAMPLE, &[socket.to_str().unwrap(), "ws://localhost/ws/", "tasks"]);
    example.expect_line("5 objects");
    assert_eq!(example.wait(), (Some(0), String::new()));
}

#[test]
fn example_explains_that_nobody_listens() {
    let example = Example::start(EXAMPLE, &["/nowhere.sock", "ws://localhost/ws/?a=b", "tasks"]);
    let expected = "unix_socket: could not connect to ws://localhost/ws/: \
                  No such file or directory (os error 2)\n";
    assert_eq!(example.wait(), (Some(1), expected.to_owned()));
}
