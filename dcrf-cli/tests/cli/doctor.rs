//! `dcrf doctor` at servers that are set up wrongly, each in another way: it names the cause.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;

use dcrf_tests::authority::Authority;
use dcrf_tests::server::{Entry, Kind, Server};
use serde_json::Value;

use crate::command::{Dcrf, Printed};
use crate::nginx::{Nginx, UPGRADE, free_address};

/// What the doctor has said.
struct Diagnosed {
    steps: Vec<Value>,
    printed: Printed,
}

/// Runs it at this URL, with more arguments.
fn doctor(url: &str, arguments: &[&str]) -> Diagnosed {
    let all = [&["doctor", url, "--connect-timeout", "5s", "--timeout", "5s"], arguments].concat();
    let printed = Dcrf::at("ws://unused.invalid/").run(&all);
    let steps = printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Diagnosed { steps, printed }
}

impl Diagnosed {
    fn step(&self, name: &str) -> &Value {
        let step = self.steps.iter().find(|step| step["step"] == name);
        step.unwrap_or_else(|| panic!("no step {name}: {:?}", self.printed))
    }

    #[track_caller]
    fn assert_result(&self, step: &str, result: &str) {
        assert_eq!(self.step(step)["result"], result, "{:?}", self.printed);
    }

    /// This step alone has failed. It names the cause, and its first advice says what to change.
    #[track_caller]
    fn assert_failed(&self, step: &str, code: i32, cause: &str, advice: &str) {
        let failed: Vec<_> = self.steps.iter().filter(|step| step["result"] == "failed").collect();
        assert_eq!(failed.len(), 1, "{:?}", self.printed);
        self.assert_cause(step, cause, advice);
        self.printed.assert_code(code);
        assert_eq!(self.printed.stderr, format!("error: this step failed: {step}\n"));
    }

    #[track_caller]
    fn assert_cause(&self, step: &str, cause: &str, advice: &str) {
        self.assert_result(step, "failed");
        let step = self.step(step);
        assert!(step["finding"].as_str().unwrap().contains(cause), "{step}");
        assert!(step["advice"][0].as_str().unwrap().contains(advice), "{step}");
    }

    #[track_caller]
    fn assert_healthy(&self) {
        self.printed.assert_code(0);
        assert_eq!(self.printed.stderr, "");
    }
}

fn daphne(path: &str) -> String {
    Server::shared().url(path)
}

fn uvicorn(path: &str) -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::builder().kind(Kind::Uvicorn).start().unwrap()).url(path)
}

fn tls_url(server: &Server, host: &str) -> String {
    format!("wss://{host}:{}/ws/", server.address().port())
}

#[test]
fn healthy_servers_have_no_failure() {
    for url in [daphne("/ws/"), uvicorn("/ws/")] {
        let diagnosed = doctor(&url, &["tasks", "--pk", "pk", "--subprotocol", "dcrf"]);
        diagnosed.assert_healthy();
        for step in ["tcp", "handshake", "open", "subprotocol", "ping", "compression", "framing"] {
            diagnosed.assert_result(step, "ok");
        }
        for step in ["stream", "list", "key", "feed"] {
            diagnosed.assert_result(step, "ok");
        }
        diagnosed.assert_result("events", "skipped");
    }
    doctor(&daphne("/ws/bare/tasks/"), &["--bare", "--pk", "pk"]).assert_healthy();
    let pages = doctor(&daphne("/ws/"), &["row_pages"]);
    assert!(pages.step("list")["finding"].as_str().unwrap().contains("pages: 3 of"));
}

#[test]
fn compression_is_reported() {
    let finding = |url: &str| doctor(url, &[]).step("compression")["finding"].to_string();
    assert!(finding(&daphne("/ws/")).contains("does not compress"));
    assert!(finding(&uvicorn("/ws/")).contains("permessage-deflate"));
}

#[test]
fn nothing_is_written() {
    let server = Server::start().unwrap();
    doctor(&server.url("/ws/"), &["tasks", "--pk", "pk"]).assert_healthy();
    let mut actions: Vec<_> = server
        .journal()
        .payloads("tasks")
        .map(|payload| payload["action"].as_str().unwrap().to_owned())
        .collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions, ["dcrf_doctor_probe", "list", "subscribe_all"]);
    let write = Dcrf::at(&server.url("/ws/")).run(&["doctor", "tasks", "--action", "create"]);
    write.assert_failed(2, "the doctor only reads");
}

#[test]
fn url_is_corrected() {
    let http = doctor("http://localhost:8000/ws/", &[]);
    http.assert_failed("url", 2, "http", "write ws://");
    doctor("localhost:8000/ws/", &[]).assert_failed("url", 2, "scheme", "begin the URL with ws://");
}

#[test]
fn unknown_host() {
    let diagnosed = doctor("ws://dcrf-doctor.invalid/ws/", &[]);
    diagnosed.assert_cause("dns", "dcrf-doctor.invalid can't be resolved", "");
    diagnosed.printed.assert_code(3);
}

#[test]
fn refused_port() {
    let url = format!("ws://{}/ws/", free_address());
    let cause = "connection refused: nothing listens on this port";
    doctor(&url, &[]).assert_failed("tcp", 3, cause, "start the server");
}

#[test]
fn port_that_never_answers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let brief = ["--connect-timeout", "300ms"];
    let silent = |scheme: &str| {
        let url = format!("{scheme}://{address}/ws/");
        let arguments = [&["doctor", url.as_str()][..], &brief].concat();
        let printed = Dcrf::at("ws://unused.invalid/").run(&arguments);
        let steps = printed.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        Diagnosed { steps: steps.collect(), printed }
    };
    let cause = "it accepts connections, and then hangs";
    silent("ws").assert_failed("handshake", 5, cause, "check the port");
    silent("wss").assert_failed("tls", 3, "does not answer with TLS", "check the port");
}

#[test]
fn expired_certificate() {
    let authority = Authority::new();
    let server = authority.expired_server().start().unwrap();
    let diagnosed = doctor(&tls_url(&server, "localhost"), &["--ca", &authority.ca_file()]);
    diagnosed.assert_failed("tls", 3, "certificate has expired, ", "renew it");
}

#[test]
fn certificate_for_another_host() {
    let authority = Authority::new();
    let server = authority.server_named("other.example").start().unwrap();
    let diagnosed = doctor(&tls_url(&server, "localhost"), &["--ca", &authority.ca_file()]);
    let cause = "is for other.example, not for localhost";
    diagnosed.assert_failed("tls", 3, cause, "write other.example into the URL");
}

#[test]
fn unknown_authority_and_known_one() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let url = tls_url(&server, "localhost");
    let cause = "issued by \"authority of a test\", which is an unknown authority";
    doctor(&url, &[]).assert_failed("tls", 3, cause, "--ca FILE");
    let healthy = doctor(&url, &["--ca", &authority.ca_file()]);
    healthy.assert_healthy();
    let finding = healthy.step("tls")["finding"].to_string();
    assert!(finding.contains("TLS 1.3, certificate for localhost"), "{finding}");
}

#[test]
fn self_signed_certificate() {
    let server = Authority::new().self_signed_server().start();
    let server = server.unwrap();
    doctor(&tls_url(&server, "localhost"), &[]).assert_failed("tls", 3, "self-signed", "--ca FILE");
}

#[test]
fn plain_server_behind_wss() {
    let cause = "the server speaks plain HTTP on this port, and the URL says wss://";
    for url in [daphne("/ws/"), uvicorn("/ws/")] {
        let url = url.replacen("ws://", "wss://", 1);
        doctor(&url, &[]).assert_failed("tls", 3, cause, "write ws://");
    }
}

#[test]
fn tls_server_behind_ws() {
    let authority = Authority::new();
    let server = authority.server().start().unwrap();
    let cause = "this port speaks TLS, and the URL says ws://";
    doctor(&server.url("/ws/"), &[]).assert_failed("handshake", 3, cause, "write wss://");
}

#[test]
fn client_certificate_is_required() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients().start().unwrap();
    let url = tls_url(&server, "localhost");
    let ca = authority.ca_file();
    let missing = doctor(&url, &["--ca", &ca]);
    missing.assert_failed("tls", 4, "requires a client certificate", "--client-cert FILE");

    let folder = tempfile::tempdir().unwrap();
    let with_certificate_of = |authority: &Authority| {
        let identity = authority.issue_to_client("ann");
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&certificate, identity.certificate).unwrap();
        std::fs::write(&key, identity.key).unwrap();
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        doctor(&url, &["--ca", &ca, "--client-cert", certificate, "--client-key", key])
    };
    with_certificate_of(&authority).assert_healthy();
    let foreign = with_certificate_of(&Authority::new());
    foreign.assert_failed("tls", 4, "rejects the client's certificate", "--client-cert");
}

#[test]
fn wrong_path() {
    for url in [daphne("/ws/nosuch/"), uvicorn("/ws/nosuch/")] {
        let cause = "no route matches the path /ws/nosuch/";
        let advice = "No route found for path 'ws/nosuch/'`: correct the path of the URL";
        let diagnosed = doctor(&url, &[]);
        diagnosed.assert_failed("handshake", 1, cause, advice);
        assert!(diagnosed.step("handshake")["advice"][0].to_string().contains("is served at /ws/"));
    }
}

#[test]
fn path_without_its_slash() {
    for url in [daphne("/ws"), uvicorn("/ws")] {
        let diagnosed = doctor(&url, &[]);
        diagnosed.assert_result("url", "warning");
        diagnosed.assert_failed("handshake", 1, "slash at the end is missing", "write /ws/");
    }
}

#[test]
fn foreign_origin() {
    for url in [daphne("/ws/origin/"), uvicorn("/ws/origin/")] {
        let diagnosed = doctor(&url, &["--origin", "https://evil.example"]);
        let cause = "the Origin https://evil.example is rejected, since http://127.0.0.1";
        diagnosed.assert_failed("handshake", 4, cause, "--origin http://127.0.0.1");
        doctor(&url, &[]).assert_healthy();
    }
}

#[test]
fn host_that_is_not_allowed() {
    // It resolves to this machine, and is not in ALLOWED_HOSTS.
    let url = format!("ws://0.0.0.0:{}/ws/origin/", Server::shared().address().port());
    let diagnosed = doctor(&url, &[]);
    diagnosed.assert_cause("handshake", "the Origin http://0.0.0.0", "--origin http://localhost");
    diagnosed.printed.assert_code(4);
}

#[test]
fn consumer_that_rejects_everybody() {
    let cause = "the consumer rejects the connection";
    for url in [daphne("/ws/deny/"), uvicorn("/ws/deny/")] {
        doctor(&url, &[]).assert_failed("handshake", 4, cause, "pass credentials");
    }
}

#[test]
fn anonymous_user_and_wrong_token() {
    let url = daphne("/ws/authenticated/");
    let cause = "nobody is signed in";
    doctor(&url, &[]).assert_failed("handshake", 4, cause, "pass credentials");
    let token = |command| doctor(&url, &["--token-as", "token", "--token-cmd", command]);
    token("echo tok-alice").assert_healthy();
    let wrong = token("echo hunter2");
    wrong.assert_failed("handshake", 4, "the consumer rejects the user", "expired");
    assert!(!wrong.printed.stdout.contains("hunter2"));
    token("false").assert_failed("handshake", 3, "the token command failed", "--token-cmd");
}

#[test]
fn consumer_that_crashes_in_connect() {
    for url in [daphne("/ws/connectcrash/"), uvicorn("/ws/connectcrash/")] {
        let diagnosed = doctor(&url, &[]);
        let cause = "or the consumer raises in `connect`";
        diagnosed.assert_failed("handshake", 1, cause, "No route found");
        let advice = diagnosed.step("handshake")["advice"][1].to_string();
        assert!(advice.contains("correct `connect` of the consumer"), "{advice}");
    }
}

#[test]
fn connection_that_is_closed_at_once() {
    for kick in [daphne("/ws/kick/"), uvicorn("/ws/kick/")] {
        let kicked = |code: u16| doctor(&format!("{kick}{code}/"), &[]);
        let cause = "code 4401 right after it has accepted it: the consumer does not know the user";
        kicked(4401).assert_failed("open", 4, cause, "pass credentials");
        kicked(4403).assert_failed("open", 4, "forbidden", "sign in as a user who may");
        kicked(1011).assert_failed("open", 1, "raises an exception", "traceback");
    }
}

#[test]
fn subprotocol_that_is_not_selected() {
    let url = daphne("/ws/bare/tasks/");
    let diagnosed = doctor(&url, &["--bare", "--pk", "pk", "--subprotocol", "hunter2"]);
    let cause = "the server selects none of them";
    diagnosed.assert_failed("subprotocol", 3, cause, "self.accept(subprotocol=…)");
    assert!(!diagnosed.printed.stdout.contains("hunter2"));
}

#[test]
fn wrong_framing() {
    for server in [daphne, uvicorn] {
        let bare = doctor(&server("/ws/bare/tasks/"), &["--pk", "pk"]);
        bare.assert_failed("framing", 1, "one consumer, without a multiplexer", "pass --bare");
        let multiplexed = doctor(&server("/ws/"), &["--bare"]);
        multiplexed.assert_failed("framing", 1, "leads to a multiplexer", "drop --bare");
    }
}

#[test]
fn unknown_stream() {
    for url in [daphne("/ws/"), uvicorn("/ws/")] {
        let diagnosed = doctor(&url, &["nosuch"]);
        let cause = "the multiplexer has no stream of this name";
        diagnosed.assert_failed("stream", 1, cause, "`applications`");
    }
}

#[test]
fn wrong_name_of_the_key() {
    let tasks = doctor(&daphne("/ws/"), &["tasks"]);
    tasks.assert_failed("key", 1, "have no id: their primary key is pk", "pass --pk pk");
    let memos = doctor(&daphne("/ws/"), &["memos", "--pk", "pk"]);
    memos.assert_failed("key", 1, "have no pk: their primary key is id", "pass --pk id");
}

#[test]
fn missing_permission() {
    let diagnosed = doctor(&daphne("/ws/"), &["private"]);
    diagnosed.assert_cause("list", "the user may not list", "sign in");
    diagnosed.assert_cause("feed", "may not call subscribe_all", "sign in");
    diagnosed.printed.assert_code(4);
}

#[test]
fn action_that_never_replies() {
    let diagnosed = doctor(&daphne("/ws/"), &["tools", "--action", "mute"]);
    diagnosed.assert_failed("feed", 5, "mute never replies", "let mute reply");
    diagnosed.assert_result("list", "warning");
    let unknown = doctor(&daphne("/ws/"), &["tools", "--action", "nosuch"]);
    unknown.assert_failed("feed", 1, "no action nosuch", "@action()");
    let crash = doctor(&daphne("/ws/"), &["tools", "--action", "crash"]);
    crash.assert_failed("feed", 1, "at crash: the consumer raises", "traceback");
}

#[test]
fn feed_without_acknowledgement() {
    let diagnosed = doctor(&daphne("/ws/"), &["docs_feed"]);
    let cause = "the subscribe is not acknowledged";
    diagnosed.assert_failed("feed", 5, cause, "let subscribe_all reply");
}

#[test]
fn nginx_without_upgrade_headers() {
    for address in [Server::shared().address(), {
        let url = uvicorn("/");
        url["ws://".len()..url.len() - 1].parse::<SocketAddr>().unwrap()
    }] {
        let cause = "nginx does not pass on the header Upgrade";
        let pass = format!("location / {{ proxy_pass http://{address};");
        let nginx = Nginx::start(&format!("{pass} }}"));
        doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 1, cause, "proxy_set_header Up");
        // With the defaults of an `upstream` block, Django does not know the host either.
        let nginx = Nginx::start(&format!("{pass} proxy_set_header Host django; }}"));
        let diagnosed = doctor(&nginx.url("/ws/"), &[]);
        diagnosed.assert_failed("handshake", 1, cause, "proxy_set_header Upgrade");
        assert!(diagnosed.step("handshake")["advice"][1].to_string().contains("ALLOWED_HOSTS"));
        let nginx = Nginx::start(&format!("{pass} {UPGRADE} }}"));
        doctor(&nginx.url("/ws/"), &[]).assert_healthy();
    }
}

#[test]
fn nginx_with_its_upstream_down() {
    let nginx =
        Nginx::start(&format!("location / {{ proxy_pass http://{}; {UPGRADE} }}", free_address()));
    let cause = "the ASGI server behind it is down";
    doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 3, cause, "start the ASGI server");
}

#[test]
fn nginx_whose_upstream_hangs() {
    let hanging = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nginx = Nginx::start(&format!(
        "location / {{ proxy_pass http://{}; {UPGRADE} proxy_read_timeout 300ms; }}",
        hanging.local_addr().unwrap()
    ));
    let cause = "HTTP status 504 (server: nginx";
    doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 3, cause, "code that blocks");
}

#[test]
fn nginx_that_answers_itself() {
    let nginx = Nginx::start(
        "location /api/ { return 204; } location /old/ { return 301 https://example.com/ws/; } \
         location /secret/ { deny all; } location /secure/ { return 301 https://$host$request_uri; }",
    );
    let of = |path: &str| doctor(&nginx.url(path), &[]);
    let handshake = "handshake";
    of("/ws/").assert_failed(handshake, 1, "it has no `location` that leads /ws/", "location /ws/");
    of("/secret/").assert_failed(handshake, 4, "nginx itself rejects the request", "`deny`");
    of("/secure/").assert_failed(handshake, 1, "the server wants TLS", "write wss://");
    of("/old/").assert_failed(handshake, 1, "follow no redirects", "new address");
}

#[test]
fn nginx_with_tls() {
    let authority = Authority::new();
    let ca = authority.ca_file();
    let files = authority.server_files("localhost");
    let pass =
        format!("location / {{ proxy_pass http://{}; {UPGRADE} }}", Server::shared().address());
    let nginx = Nginx::start_tls(&files, &pass);
    let cause = "this port speaks TLS, and the URL says ws://";
    doctor(&nginx.url("/ws/"), &[]).assert_failed("handshake", 1, cause, "write wss://");
    doctor(&nginx.tls_url("/ws/"), &["--ca", &ca]).assert_healthy();

    let verify = format!("ssl_client_certificate {ca}; ssl_verify_client on; {pass}");
    let nginx = Nginx::start_tls(&files, &verify);
    let diagnosed = doctor(&nginx.tls_url("/ws/"), &["--ca", &ca]);
    let cause = "nginx requires a client certificate";
    diagnosed.assert_failed("handshake", 4, cause, "--client-cert FILE");
}

#[test]
fn terminal_shows_marks_unless_it_is_dumb() {
    let url = daphne("/ws/");
    let shown = |term: &str| {
        let pty = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default());
        let pty = pty.unwrap();
        let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_dcrf"));
        command.args(["doctor", &url]);
        for (name, value) in [("TERM", term), ("LC_ALL", "C.UTF-8")] {
            command.env(name, value);
        }
        let mut child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut read = Vec::new();
        // A terminal whose program has ended gives an error at its end.
        let _ = pty.master.try_clone_reader().unwrap().read_to_end(&mut read);
        assert!(child.wait().unwrap().success());
        String::from_utf8(read).unwrap()
    };
    let marked = shown("xterm");
    assert!(marked.contains('✓') && marked.contains("\u{1b}["), "{marked}");
    let dumb = shown("dumb");
    assert!(dumb.contains("ok      ping") && !dumb.contains('\u{1b}'), "{dumb}");
}

#[test]
fn proxy_that_is_down() {
    let proxy = format!("http://{}", free_address());
    let diagnosed = doctor(&daphne("/ws/"), &["--proxy", &proxy]);
    diagnosed.assert_failed("proxy", 3, "the proxy can't be reached", "of --proxy");
    let socket = doctor(&daphne("/ws/"), &["--unix-socket", "/nonexistent/daphne.sock"]);
    socket.assert_failed("socket", 3, "/nonexistent/daphne.sock", "daphne -u");
}

#[test]
fn steps_are_printed_for_people_and_as_one_document() {
    let dcrf = Dcrf::at(&daphne("/ws/"));
    let table = dcrf.run(&["doctor", "tasks", "-o", "table"]);
    table.assert_code(1);
    assert!(table.stdout.contains("ok      tcp          127.0.0.1:"), "{}", table.stdout);
    let failed = "failed  key          the rows have no id: their primary key is pk\n";
    let advice = "                     - pass --pk pk";
    assert!(table.stdout.contains(&format!("{failed}{advice}")), "{}", table.stdout);
    let document = dcrf.run(&["doctor", "-o", "json"]);
    document.assert_code(0);
    let steps: Vec<Value> = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!((&steps[0]["step"], &steps[0]["result"]), (&"url".into(), &"ok".into()));
}

#[test]
fn token_in_the_query_is_not_shown() {
    let server = Server::start().unwrap();
    let url = format!("{}?token=hunter2", server.url("/ws/"));
    let diagnosed = doctor(&url, &["tasks", "--pk", "pk"]);
    diagnosed.assert_healthy();
    assert!(!diagnosed.printed.stdout.contains("hunter2"));
    let sent = server.journal();
    let has_query = |entry: &Entry| matches!(entry, Entry::Connected { query, .. } if query.contains("token=hunter2"));
    assert!(sent.entries().iter().any(has_query));
}
