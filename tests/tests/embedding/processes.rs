//! The mio and game loop examples as processes, against the real server and an invalid one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use dcrf_proto::Request;
use dcrf_tests::models::Task;
use dcrf_tests::observe::Mark;
use dcrf_tests::server::Server;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;

const MIO: &str = env!("CARGO_BIN_EXE_example-mio");
const GAME_LOOP: &str = env!("CARGO_BIN_EXE_example-game-loop");

/// An example that takes longer hangs, and fails.
const LIMIT: Duration = Duration::from_secs(60);

/// A running example, and its output so far.
struct Example {
    child: Child,
    lines: Receiver<String>,
    output: String,
}

impl Example {
    fn start(program: &str, url: &str, pk: i64) -> Self {
        let mut child = Command::new(program)
            .args([url, "tasks", &pk.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines, output: String::new() }
    }

    /// Waits for a line that contains all parts.
    fn expect_line(&mut self, parts: &[&str]) {
        let found = self.read_until(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with {parts:?} in\n{}", self.output);
    }

    /// The number of occurrences in the output so far.
    fn count(&self, part: &str) -> usize {
        self.output.matches(part).count()
    }

    /// Waits for the end, and returns the exit status and the output. Standard error must be empty.
    fn wait(mut self) -> (Option<i32>, String) {
        self.read_until(|_| false);
        // `read_until` also returns if the example has closed its output or exceeded the limit.
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not exit:\n{}", self.output),
            }
            thread::sleep(Duration::from_millis(10));
        };
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "", "after\n{}", self.output);
        (status.code(), std::mem::take(&mut self.output))
    }

    /// Reads up to a line that matches. Returns whether there was one before the end of the output.
    fn read_until(&mut self, matches: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else { return false };
            self.output.extend([&line, "\n"]);
            if matches(&line) {
                return true;
            }
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Both fail if the example has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a request with another client.
fn call<T: DeserializeOwned + Send + 'static>(server: &Server, request: Request) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = dcrf_tokio::connect(&server.url("/ws/")).await.unwrap();
        let reply = client.call(request).await.unwrap();
        client.close().await;
        reply
    })
}

fn create(server: &Server, title: &str) -> i64 {
    call::<Task>(server, Request::create("tasks", &json!({"title": title}))).pk
}

fn rename(server: &Server, pk: i64, title: &str) {
    call::<Task>(server, Request::patch("tasks", pk, &json!({"title": title})));
}

fn delete(server: &Server, pk: i64) {
    call::<Value>(server, Request::delete("tasks", pk));
}

/// `actions` are those of each connection, in any order.
fn assert_follows_an_object_through_an_outage(program: &str, actions: &[&str]) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let pk = create(&server, "first");

    let mut example = Example::start(program, &mark.url(&server), pk);
    example.expect_line(&["subscribed"]);
    example.expect_line(&["retrieved", "first"]);
    rename(&server, pk, "second");
    example.expect_line(&["updated", "second"]);

    server.kill().unwrap();
    example.expect_line(&["not connected", "attempt 2 in"]);
    server.restart().unwrap();
    example.expect_line(&["a gap"]);
    example.expect_line(&["retrieved", "second"]);
    rename(&server, pk, "third");
    example.expect_line(&["updated", "third"]);
    delete(&server, pk);
    example.expect_line(&["deleted"]);
    example.expect_line(&["closed: the client was closed"]);
    let (status, output) = example.wait();
    assert_eq!(status, Some(0), "{output}");
    assert!(!output.contains("client="), "the query is secret: {output}");

    let mut sent = mark.actions(&server);
    for actions in &mut sent {
        actions.sort_unstable();
    }
    assert_eq!(sent, [actions, actions]);
    let deadline = Instant::now() + LIMIT;
    while mark.close_codes(&server) != [1000] {
        assert!(Instant::now() < deadline, "{:?}", mark.close_codes(&server));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn mio_follows_an_object_through_an_outage() {
    let actions = ["tasks/retrieve", "tasks/subscribe_instance"];
    assert_follows_an_object_through_an_outage(MIO, &actions);
}

#[test]
fn game_loop_follows_an_object_through_an_outage() {
    let collection = ["tasks/list", "tasks/subscribe_all"];
    let mut actions = [collection, ["tasks/retrieve", "tasks/subscribe_instance"]].concat();
    actions.sort_unstable();
    assert_follows_an_object_through_an_outage(GAME_LOOP, &actions);
}

/// Neither a handshake without a response nor a silent connection blocks the loop.
#[test]
fn game_loop_continues_while_the_server_is_paused() {
    let server = Server::start().unwrap();
    let pk = create(&server, "first");

    server.pause().unwrap();
    let mut game = Example::start(GAME_LOOP, &server.url("/ws/"), pk);
    game.expect_line(&["frame 60: shows nothing"]);
    game.expect_line(&["frame 120: shows nothing"]);
    assert_eq!((game.count("attempt 1\n"), game.count("connected")), (1, 0), "{}", game.output);
    server.resume().unwrap();
    game.expect_line(&["subscribed"]);
    game.expect_line(&["shows", "first", "6 objects, live"]);

    server.pause().unwrap();
    let before = game.count("shows");
    game.expect_line(&["shows", "first"]);
    game.expect_line(&["shows", "first"]);
    assert_eq!((game.count("shows"), game.count("not connected")), (before + 2, 0));
    server.resume().unwrap();
    delete(&server, pk);
    game.expect_line(&["deleted"]);
    assert_eq!(game.wait().0, Some(0));
}

#[test]
fn missing_object_ends_the_program() {
    for program in [MIO, GAME_LOOP] {
        let example = Example::start(program, &Server::shared().url("/ws/"), 404_404);
        let (status, output) = example.wait();
        assert_eq!(status, Some(1), "{output}");
        assert!(output.contains("the subscription has ended"), "{output}");
    }
}

/// Responds to each connection with something invalid.
fn serve_invalid_responses(listener: &TcpListener) {
    let not_json = b"\x81\x02}{\x82\x02\x00\xff\x89\x00\x81\x02{}\x88\x02\x11\x31";
    for (accepts, response) in [
        (false, &b"\x00\xff nonsense\r\n\r\n"[..]),
        (true, &[0xff; 64]),
        (true, not_json),
        (false, b"HTTP/1.1 403 Forbidden\r\n\r\n"),
    ] {
        let (mut stream, _) = listener.accept().unwrap();
        let accept = derive_accept_key(websocket_key(&stream).as_bytes());
        if accepts {
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .unwrap();
        }
        stream.write_all(response).unwrap();
        // Unread data would turn the close into a reset, which could overtake the response.
        let _ = io::copy(&mut stream, &mut io::sink());
    }
}

fn websocket_key(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let key = head.iter().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    key.expect("a WebSocket handshake").to_owned()
}

fn assert_survives_invalid_responses(program: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
    let example = Example::start(program, &url, 1);
    let server = thread::spawn(move || serve_invalid_responses(&listener));
    let (status, output) = example.wait();
    server.join().unwrap();
    assert_eq!(status, Some(1), "{output}");
    for expected in [
        "not connected: WebSocket protocol",
        "unhandled frame {}",
        "not connected: the server closed the connection with code 4401",
        "closed: not authorized: the server rejected the WebSocket handshake with HTTP status 403",
    ] {
        assert!(output.contains(expected), "{expected:?} is missing in\n{output}");
    }
}

#[test]
fn mio_survives_invalid_responses() {
    assert_survives_invalid_responses(MIO);
}

#[test]
fn game_loop_survives_invalid_responses() {
    assert_survives_invalid_responses(GAME_LOOP);
}

#[test]
fn wrong_arguments_are_explained() {
    let nothing: &[&str] = &[];
    for (arguments, expected) in [
        (nothing, "URL STREAM PK"),
        (&["localhost", "tasks", "1"], "does not begin with ws://"),
        (&["wss://localhost/?token=secret", "tasks", "1"], "TLS"),
        (&["ws://local host/?token=secret", "tasks", "1"], "not a URL"),
    ] {
        for program in [MIO, GAME_LOOP] {
            let output = Command::new(program).args(arguments).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }
}
