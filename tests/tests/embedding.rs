//! The examples that embed the core in an event loop of their own, run as a person runs them; and their
//! common part between socket and session, over a stream that does as the test says.

#[path = "../../dcrf-proto/examples/embedding/transport.rs"]
mod transport;

mod processes {
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

    /// Nothing takes this long; what hangs is to fail.
    const LIMIT: Duration = Duration::from_secs(60);

    /// An example that runs, and what it prints.
    struct Example {
        child: Child,
        lines: Receiver<String>,
        printed: String,
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
            Self { child, lines, printed: String::new() }
        }

        /// Waits for a line with all these parts.
        fn prints(&mut self, parts: &[&str]) {
            let found = self.read_until(|line| parts.iter().all(|part| line.contains(part)));
            assert!(found, "no line with {parts:?} in\n{}", self.printed);
        }

        /// How often it has printed this.
        fn count(&self, part: &str) -> usize {
            self.printed.matches(part).count()
        }

        /// Waits for its end, and returns its status with all that it printed. It must not have complained.
        fn ends(mut self) -> (Option<i32>, String) {
            self.read_until(|_| false);
            // It may have closed its output and hang, or print for ever.
            let deadline = Instant::now() + LIMIT;
            let status = loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => break status,
                    None => assert!(Instant::now() < deadline, "it goes on:\n{}", self.printed),
                }
                thread::sleep(Duration::from_millis(10));
            };
            let mut complaint = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            assert_eq!(complaint, "", "after\n{}", self.printed);
            (status.code(), std::mem::take(&mut self.printed))
        }

        /// Reads lines up to one that is wanted. Says whether that came, before the output's end.
        fn read_until(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
            let deadline = Instant::now() + LIMIT;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let Ok(line) = self.lines.recv_timeout(left) else { return false };
                self.printed.extend([&line, "\n"]);
                if wanted(&line) {
                    return true;
                }
            }
        }
    }

    impl Drop for Example {
        fn drop(&mut self) {
            // Both fail only where it has ended, which is what they are to achieve.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Somebody else who uses the server.
    fn ask<T: DeserializeOwned + Send + 'static>(server: &Server, request: Request) -> T {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = dcrf_tokio::connect(&server.url("/ws/")).await.unwrap();
            let answer = client.call(request).await.unwrap();
            client.close().await;
            answer
        })
    }

    fn create(server: &Server, title: &str) -> i64 {
        ask::<Task>(server, Request::create("tasks", &json!({"title": title}))).pk
    }

    fn rename(server: &Server, pk: i64, title: &str) {
        ask::<Task>(server, Request::patch("tasks", pk, &json!({"title": title})));
    }

    fn delete(server: &Server, pk: i64) {
        ask::<Value>(server, Request::delete("tasks", pk));
    }

    fn follows_an_object_through_an_outage(program: &str) {
        let mut server = Server::start().unwrap();
        let mark = Mark::new("/ws/");
        let pk = create(&server, "first");

        let mut example = Example::start(program, &mark.url(&server), pk);
        example.prints(&["subscribed"]);
        example.prints(&["retrieved", "first"]);
        rename(&server, pk, "second");
        example.prints(&["updated", "second"]);

        server.kill().unwrap();
        example.prints(&["not connected", "attempt 2 in"]);
        server.restart().unwrap();
        example.prints(&["a gap"]);
        example.prints(&["retrieved", "second"]);
        rename(&server, pk, "third");
        example.prints(&["updated", "third"]);
        delete(&server, pk);
        example.prints(&["deleted"]);
        example.prints(&["closed: the client was closed"]);
        let (status, printed) = example.ends();
        assert_eq!(status, Some(0), "{printed}");
        assert!(!printed.contains("client="), "the query is a secret: {printed}");

        let actions = ["tasks/subscribe_instance", "tasks/retrieve"];
        assert_eq!(mark.actions(&server), [actions, actions]);
        let deadline = Instant::now() + LIMIT;
        while mark.close_codes(&server) != [1000] {
            assert!(Instant::now() < deadline, "{:?}", mark.close_codes(&server));
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn mio_follows_an_object_through_an_outage() {
        follows_an_object_through_an_outage(MIO);
    }

    #[test]
    fn the_game_loop_follows_an_object_through_an_outage() {
        follows_an_object_through_an_outage(GAME_LOOP);
    }

    /// Neither a handshake that is not answered nor a connection that stands still holds up a frame.
    #[test]
    fn the_game_goes_on_while_the_server_stands_still() {
        let server = Server::start().unwrap();
        let pk = create(&server, "first");

        server.pause().unwrap();
        let mut game = Example::start(GAME_LOOP, &server.url("/ws/"), pk);
        game.prints(&["frame 60: shows nothing"]);
        game.prints(&["frame 120: shows nothing"]);
        assert_eq!(
            (game.count("attempt 1\n"), game.count("connected")),
            (1, 0),
            "{}",
            game.printed
        );
        server.resume().unwrap();
        game.prints(&["subscribed"]);
        game.prints(&["shows", "first"]);

        server.pause().unwrap();
        let before = game.count("shows");
        game.prints(&["shows", "first"]);
        game.prints(&["shows", "first"]);
        assert_eq!((game.count("shows"), game.count("not connected")), (before + 2, 0));
        server.resume().unwrap();
        delete(&server, pk);
        game.prints(&["deleted"]);
        assert_eq!(game.ends().0, Some(0));
    }

    /// An object that is not there ends the program, and is told.
    #[test]
    fn an_object_that_is_missing_is_told() {
        for program in [MIO, GAME_LOOP] {
            let example = Example::start(program, &Server::shared().url("/ws/"), 404_404);
            let (status, printed) = example.ends();
            assert_eq!(status, Some(1), "{printed}");
            assert!(printed.contains("the subscription has ended"), "{printed}");
        }
    }

    /// A server of which no answer is as it should be, one for each connection.
    fn talks_nonsense(listener: &TcpListener) {
        let not_json = b"\x81\x02}{\x82\x02\x00\xff\x89\x00\x81\x02{}\x88\x02\x11\x31";
        for (accepts, nonsense) in [
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
            stream.write_all(nonsense).unwrap();
            // What is not read before the end would make the end a reset, which overtakes the nonsense.
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    }

    fn websocket_key(stream: &TcpStream) -> String {
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let key = head.iter().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        key.expect("a WebSocket's handshake").to_owned()
    }

    fn outlives_a_server_that_talks_nonsense(program: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/ws/", listener.local_addr().unwrap());
        let example = Example::start(program, &url, 1);
        let server = thread::spawn(move || talks_nonsense(&listener));
        let (status, printed) = example.ends();
        server.join().unwrap();
        assert_eq!(status, Some(1), "{printed}");
        for expected in [
            "not connected: WebSocket protocol",
            "unhandled frame {}",
            "not connected: the server closed the connection with code 4401",
            "closed: not authorized: the server refused the WebSocket handshake with HTTP status 403",
        ] {
            assert!(printed.contains(expected), "{expected:?} is missing in\n{printed}");
        }
    }

    #[test]
    fn mio_outlives_a_server_that_talks_nonsense() {
        outlives_a_server_that_talks_nonsense(MIO);
    }

    #[test]
    fn the_game_loop_outlives_a_server_that_talks_nonsense() {
        outlives_a_server_that_talks_nonsense(GAME_LOOP);
    }

    #[test]
    fn wrong_arguments_are_explained_in_a_sentence() {
        let nothing: &[&str] = &[];
        for (arguments, expected) in [
            (nothing, "URL STREAM PK"),
            (&["localhost", "tasks", "1"], "does not begin with ws://"),
            (&["wss://localhost/?token=secret", "tasks", "1"], "TLS"),
            (&["ws://local host/?token=secret", "tasks", "1"], "not a URL"),
        ] {
            for program in [MIO, GAME_LOOP] {
                let output = Command::new(program).args(arguments).output().unwrap();
                let said = String::from_utf8(output.stderr).unwrap();
                assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
                assert!(said.contains(expected) && !said.contains("secret"), "{said}");
            }
        }
    }
}

mod streams {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io::{self, ErrorKind, Read, Write};
    use std::rc::Rc;
    use std::time::Instant;

    use dcrf_proto::{
        CloseOptions, Config, ConnectionError, ConnectionState, Request, Seed, Session,
    };
    use tungstenite::WebSocket;
    use tungstenite::protocol::Role;

    use super::transport::{Dial, Transport, limits};

    /// A byte stream in the test's hands.
    #[derive(Clone, Default)]
    struct Stream(Rc<RefCell<Ends>>);

    #[derive(Default)]
    struct Ends {
        incoming: VecDeque<u8>,
        written: Vec<u8>,
        /// How many bytes it takes; `None` breaks.
        room: Option<usize>,
    }

    impl Read for Stream {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.borrow_mut().incoming.read(buffer) {
                Ok(0) => Err(ErrorKind::WouldBlock.into()),
                read => read,
            }
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut ends = self.0.borrow_mut();
            let Some(room) = &mut ends.room else { return Err(ErrorKind::BrokenPipe.into()) };
            let taken = bytes.len().min(*room);
            *room -= taken;
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            ends.written.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A dial that succeeds at once.
    struct Connected(Stream);

    impl Dial for Connected {
        type Stream = Stream;

        fn poll(&mut self) -> Option<Result<WebSocket<Stream>, ConnectionError>> {
            let socket = WebSocket::from_raw_socket(self.0.clone(), Role::Client, Some(limits()));
            Some(Ok(socket))
        }
    }

    /// A session that is connected over a stream.
    struct Talk<F> {
        session: Session,
        transport: Transport<Connected, F>,
        stream: Stream,
        now: Instant,
    }

    fn talk() -> Talk<impl FnMut() -> Result<Connected, ConnectionError>> {
        let now = Instant::now();
        let mut session = Session::new(Config::default(), Seed::from([7; 32]), now);
        let stream = Stream::default();
        stream.0.borrow_mut().room = Some(usize::MAX);
        let dialled = stream.clone();
        let mut transport = Transport::new(move || Ok(Connected(dialled.clone())));
        session.open(now);
        transport.send(&mut session, now);
        assert!(transport.receive(&mut session, now), "messages may follow the handshake");
        assert_eq!(*session.state(), ConnectionState::Connected);
        Talk { session, transport, stream, now }
    }

    impl<F: FnMut() -> Result<Connected, ConnectionError>> Talk<F> {
        fn send(&mut self) {
            self.transport.send(&mut self.session, self.now);
        }

        fn receive(&mut self, bytes: &[u8]) -> bool {
            self.stream.0.borrow_mut().incoming.extend(bytes);
            self.transport.receive(&mut self.session, self.now)
        }

        fn request(&mut self, padding: usize) {
            let request = Request::new("tools", "echo").arg("padding", "x".repeat(padding));
            self.session.request(request, self.now).unwrap();
        }

        fn lost(&self) -> Option<&ConnectionError> {
            match self.session.state() {
                ConnectionState::Waiting { error, .. } => Some(error),
                _ => None,
            }
        }
    }

    #[test]
    fn a_socket_that_takes_no_more_leaves_the_rest_to_the_session() {
        let mut talk = talk();
        talk.stream.0.borrow_mut().room = Some(100);
        for _ in 0..3 {
            talk.request(20_000);
        }
        talk.send();
        talk.send();
        assert_eq!(talk.session.stats().waiting_requests, 2);
        assert_eq!(talk.stream.0.borrow().written.len(), 100);

        talk.stream.0.borrow_mut().room = Some(usize::MAX);
        talk.send();
        assert_eq!(talk.session.stats().waiting_requests, 0);
        assert!(talk.stream.0.borrow().written.len() > 60_000);
    }

    #[test]
    fn a_socket_that_the_session_has_given_up_is_dropped() {
        let mut talk = talk();
        let owners = Rc::strong_count(&talk.stream.0);
        // The server is silent until the heartbeat is over.
        while talk.lost().is_none() {
            talk.now = talk.session.poll_timeout().unwrap();
            talk.session.handle_timeout(talk.now);
            talk.send();
        }
        assert!(matches!(talk.lost(), Some(ConnectionError::Silent(_))));
        assert_eq!(Rc::strong_count(&talk.stream.0), owners - 1);
        assert!(!talk.receive(b"\x81\x02{}"), "nobody reads");
    }

    #[test]
    fn closing_is_a_handshake() {
        let mut talk = talk();
        talk.session.close(CloseOptions::now(), talk.now);
        talk.send();
        assert_eq!(talk.stream.0.borrow().written[..2], [0x88, 0x82], "a close frame, masked");
        assert!(!talk.session.is_finished());
        talk.receive(b"\x88\x02\x03\xe8");
        assert!(talk.session.is_finished());
    }

    #[test]
    fn a_close_of_the_server_is_answered() {
        let mut talk = talk();
        talk.receive(b"\x88\x02\x03\xf4");
        assert!(matches!(talk.lost(), Some(ConnectionError::Closed(frame)) if frame.code == 1012));
        assert_eq!(talk.stream.0.borrow().written[..2], [0x88, 0x82]);
    }

    #[test]
    fn a_failed_write_is_told_by_what_the_server_said_before() {
        let mut talk = talk();
        talk.stream.0.borrow_mut().room = None;
        talk.stream.0.borrow_mut().incoming.extend(b"\x88\x02\x11\x31");
        talk.request(1);
        talk.send();
        assert!(matches!(talk.lost(), Some(ConnectionError::Closed(frame)) if frame.code == 4401));
    }

    #[test]
    fn a_flood_gives_others_their_turn() {
        let mut talk = talk();
        assert!(talk.receive(&b"\x81\x02{}".repeat(300)));
        assert_eq!(talk.session.stats().unhandled, 256);
        assert!(!talk.receive(b""));
        assert_eq!(talk.session.stats().unhandled, 300);
    }

    #[test]
    fn nonsense_is_a_loss_or_is_dropped() {
        for nonsense in [
            &b"\xff\x01\x00"[..],
            b"\x81\x85mask!!!!!",
            b"\x81\x02\xc3\x28",
            b"\x80\x00",
            b"\x01\x01a\x81\x01b",
            b"\x09\x00",
            b"\x88\x01\x00",
            b"\x88\x03\x03\xe8\xff",
            b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let mut talk = talk();
            talk.receive(nonsense);
            assert!(talk.lost().is_some(), "{nonsense:02x?}");
        }
        for nonsense in [&b"\x81\x00"[..], b"\x81\x02}{", b"\x82\x01\x00", b"\x8a\x00", b"\x81"] {
            let mut talk = talk();
            talk.receive(nonsense);
            assert_eq!(*talk.session.state(), ConnectionState::Connected, "{nonsense:02x?}");
        }
    }
}
