//! Contexts, and what they connect with.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use dcrf_tests::server::Server;

use crate::command::{Dcrf, Printed};

impl Dcrf {
    fn add_context(&self, arguments: &[&str]) -> Printed {
        self.run(&[&["context", "add"], arguments].concat())
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join(".config/dcrf/config.toml")
    }
}

#[test]
fn contexts_are_added_used_listed_and_removed() {
    let server = Server::shared();
    let dcrf = Dcrf::at("");
    let added = dcrf.add_context(&["local", &server.url("/ws/")]);
    assert_eq!((added.code, added.stderr.as_str()), (0, "local is the current context\n"));
    let secret = dcrf.add_context(&["down", "ws://127.0.0.1:1/ws/?token=hunter2"]);
    secret.assert_failed(
        2,
        "write env:VARIABLE or @FILE for the URL, or use --token-cmd with --token-as query:token",
    );
    dcrf.add_context(&["down", "ws://127.0.0.1:1/ws/?room=hunter2"]).assert_code(0);
    dcrf.add_context(&["local", "ws://x/"])
        .assert_failed(2, "there is a context \"local\": --force replaces it");
    assert!(!dcrf.run(&["list", "tasks"]).json_lines().is_empty());
    dcrf.run(&["list", "tasks", "-c", "down"]).assert_code(3);

    dcrf.run(&["context", "use", "down"]).assert_code(0);
    let listed = dcrf.run(&["context", "list"]);
    let rows = listed.json_lines();
    assert_eq!(rows[0]["name"], "local");
    assert_eq!(
        (&rows[1]["url"], &rows[1]["current"]),
        (&"ws://127.0.0.1:1/ws/".into(), &true.into())
    );
    let unknown = dcrf.run(&["context", "use", "nowhere"]);
    unknown.assert_failed(2, "there is no context \"nowhere\": the contexts are local, down");
    dcrf.run(&["context", "remove", "down"]).assert_code(0);
    dcrf.run(&["list", "tasks"]).assert_failed(2, "which server?");
    // An option comes before the context, and a URL replaces it.
    let other = dcrf.run(&["list", "tasks", "-u", &server.url("/ws/")]);
    other.assert_code(0);
}

#[cfg(unix)]
#[test]
fn configuration_is_readable_for_the_user_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let dcrf = Dcrf::at("");
    dcrf.add_context(&["local", "ws://127.0.0.1:1/"]).assert_code(0);
    assert_eq!(fs::metadata(dcrf.config()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn wrong_configuration_is_reported_with_its_line() {
    let dcrf = Dcrf::at("");
    dcrf.add_context(&["local", "ws://127.0.0.1:1/"]).assert_code(0);
    let text = fs::read_to_string(dcrf.config()).unwrap();
    fs::write(dcrf.config(), format!("{text}\ntoken_cmd = \"hunter2\"\n")).unwrap();
    let printed = dcrf.run(&["list", "tasks"]);
    printed.assert_failed(2, "config.toml, line ");
    assert!(
        printed.stderr.contains("unknown field `token_cmd`") && !printed.stderr.contains("hunter2"),
        "{}",
        printed.stderr
    );
    dcrf.add_context(&["other", "http://x/"]).assert_code(2);
}

#[test]
fn context_keeps_all_options() {
    let server = Server::shared();
    let dcrf = Dcrf::at("");
    let url = server.url("/ws/bare/tools/");
    let options = ["tools", &url, "--bare", "--token-cmd", "echo tok-alice", "--token-as", "token"];
    dcrf.add_context(&[&options[..], &["--subprotocol", "x"]].concat()).assert_code(0);
    // Channels selects no subprotocol here.
    dcrf.run(&["call", "tools", "whoami"]).assert_code(3);
    dcrf.add_context(&[&options[..], &["--force"]].concat()).assert_code(0);
    assert_eq!(dcrf.run(&["call", "tools", "whoami"]).json_lines()[0]["user"], "alice");
}

#[test]
fn login_stores_the_session_in_the_context() {
    let server = Server::shared();
    let dcrf = Dcrf::at("");
    dcrf.run(&["login", "alice"]).assert_failed(2, "a session is stored in a context");
    dcrf.add_context(&["local", &server.url("/ws/authenticated/")]).assert_code(0);
    dcrf.run(&["list", "tasks"]).assert_code(4);

    let login = |arguments: &[&str], password: &str| {
        let path = dcrf.folder.path().join("password");
        fs::write(&path, password).unwrap();
        let mut command = dcrf.command(&[&["login", "alice"], arguments].concat());
        Printed::of(command.stdin(fs::File::open(path).unwrap()).spawn().unwrap())
    };
    login(&[], "hunter2\n").assert_failed(4, "the server did not accept user and password");
    login(&[], "").assert_failed(2, "there is no password");
    login(&["--page", "/nowhere/"], "wonderland\n")
        .assert_failed(1, "the login page /nowhere/ answers with HTTP status 404");
    let signed_in = login(&[], "wonderland\n");
    assert_eq!((signed_in.code, signed_in.stdout.as_str()), (0, ""), "{}", signed_in.stderr);
    let whoami = dcrf.run(&["call", "tools", "whoami"]).json_lines();
    assert_eq!(whoami[0]["user"], "alice");
}

#[test]
fn options_come_before_the_environment() {
    let server = Server::shared();
    let dcrf = Dcrf::at("ws://127.0.0.1:1/");
    dcrf.run(&["context", "add", "local", &server.url("/ws/")]).assert_code(0);
    dcrf.run(&["list", "tasks"]).assert_code(3);
    dcrf.run(&["list", "tasks", "-c", "local"]).assert_code(0);
    dcrf.run(&["list", "tasks", "-u", &server.url("/ws/")]).assert_code(0);
    let other = Dcrf::at("");
    let mut command = other.command(&["list", "tasks"]);
    command.env("DCRF_CONTEXT", "local").env("DCRF_CONFIG", dcrf.config());
    Printed::of(command.spawn().unwrap()).assert_code(0);
    dcrf.run(&["list", "tasks", "-c", "local", "-u", "ws://x/"]).assert_code(2);
}

/// A login page that answers a form like this.
fn login_server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut is_post, mut length) = (String::new(), false, 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                is_post |= line.starts_with("POST ");
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let answer = if is_post { answer } else { "200 OK\r\n" };
            write!(stream, "HTTP/1.1 {answer}content-length: 0\r\n\r\n").unwrap();
        }
    });
    address
}

#[test]
fn only_a_session_of_the_user_is_stored() {
    for answer in [
        "200 OK\r\nset-cookie: sessionid=anonymous\r\n",
        "302 Found\r\nset-cookie: sessionid=\"\"; Max-Age=0\r\n",
        "302 Found\r\nset-cookie: sessionid=env:HOME\r\n",
        "302 Found\r\nset-cookie: sessionid=@/etc/hostname\r\n",
        "302 Found\r\n",
    ] {
        let dcrf = Dcrf::at("");
        dcrf.add_context(&["local", &format!("ws://{}/", login_server(answer))]).assert_code(0);
        let printed = dcrf.run_with_input(&["login", "alice"], "wonderland\n");
        printed.assert_failed(4, "the server did not accept user and password");
        assert!(!fs::read_to_string(dcrf.config()).unwrap().contains("sessionid"), "{answer}");
    }
}

#[test]
fn paths_of_a_context_work_from_any_folder() {
    let server = Server::shared();
    let dcrf = Dcrf::at("");
    fs::write(dcrf.folder.path().join("token"), "Token tok-alice").unwrap();
    let url = server.url("/ws/authenticated/");
    dcrf.add_context(&["local", &url, "--header", "authorization=@token"]).assert_code(0);
    let mut command = dcrf.command(&["list", "tasks"]);
    Printed::of(command.current_dir("/").spawn().unwrap()).assert_code(0);
    dcrf.add_context(&["", &url]).assert_failed(2, "the name must not be empty or have spaces");
}

#[cfg(unix)]
#[test]
fn linked_configuration_stays_a_link() {
    let dcrf = Dcrf::at("");
    let real = dcrf.folder.path().join("real.toml");
    fs::write(&real, "").unwrap();
    fs::create_dir_all(dcrf.config().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&real, dcrf.config()).unwrap();
    dcrf.add_context(&["local", "ws://127.0.0.1:1/"]).assert_code(0);
    assert!(fs::read_to_string(real).unwrap().contains("local"));
    fs::write(dcrf.config(), "[contexts.x]\nheaders = \"Token hunter2\"\n").unwrap();
    let printed = dcrf.run(&["context", "list"]);
    printed.assert_failed(2, "config.toml, line 2: this is not the form of a configuration");
    assert!(!printed.stderr.contains("hunter2"));
}
