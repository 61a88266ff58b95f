//! The same seed and the same calls give the same output, byte for byte, within one process and in two.

use std::env;
use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use dcrf_proto::{
    ClientEvent, CloseFrame, CloseOptions, Config, ConnectionError, ConnectionState, Event, Frame,
    Limit, ListenerKey, OverflowPolicy, ReplyStreamKey, Request, RequestKey, Seed, Selector,
    Session, Subscribe, SubscriptionKey, Transmit,
};
use serde_json::{Value, json};

/// If this variable is set, the test prints its transcript instead of comparing two.
const PRINT: &str = "DCRF_PRINT_TRANSCRIPT";
const CALLS: usize = 10_000;

/// `SplitMix64`, which selects the calls.
struct Script(u64);

impl Script {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let count = u64::try_from(from.len()).expect("small");
        (count > 0).then(|| from[usize::try_from(self.below(count)).expect("small")].clone())
    }
}

struct Run {
    session: Session,
    script: Script,
    base: Instant,
    now: Instant,
    sent: Vec<Value>,
    requests: Vec<RequestKey>,
    subscriptions: Vec<SubscriptionKey>,
    streams: Vec<ReplyStreamKey>,
    listeners: Vec<ListenerKey>,
    output: String,
}

impl Run {
    fn call(&mut self) {
        let now = self.now;
        match self.script.below(34) {
            0..6 => self.answer(),
            6..9 => {
                let mut request = Request::retrieve("tasks", self.script.below(9));
                if self.script.below(2) == 0 {
                    request = request.timeout(Duration::from_millis(self.script.below(5_000)));
                }
                self.requests.extend(self.session.request(request, now));
            }
            9..12 => {
                let pk = self.script.below(40);
                let policies =
                    [OverflowPolicy::DropOldest, OverflowPolicy::Conflate, OverflowPolicy::Close];
                let policy = self.script.pick(&policies).expect("not empty");
                let subscribe = Subscribe::instance("tasks", pk).overflow_policy(policy);
                self.subscriptions.extend(self.session.subscribe(subscribe, now));
            }
            12 => {
                if let Some(key) = self.script.pick(&self.subscriptions) {
                    self.session.unsubscribe(key, now);
                }
            }
            13 => {
                if let Some(key) = self.script.pick(&self.requests) {
                    self.session.cancel(key);
                }
            }
            14 => {
                if let Some(epoch) = self.session.epoch().filter(|_| self.script.below(9) == 0) {
                    let reason = String::new();
                    let error = match self.script.below(2) {
                        0 => ConnectionError::Closed(CloseFrame { code: 1012, reason }),
                        _ => ConnectionError::Dropped,
                    };
                    self.session.handle_disconnected(epoch, error, now);
                }
            }
            24 => self.session.resubscribe(now),
            25 => {
                if self.script.below(20) == 0 {
                    let count = self.session.unsubscribe_all(now);
                    self.line(format_args!("{count} ended"));
                }
            }
            15..18 => {
                self.now += Duration::from_millis(self.script.below(3_000));
                self.session.handle_timeout(self.now);
            }
            18 => self.session.probe(now),
            19 if self.script.below(9) == 0 => {
                self.session.force_reconnect(CloseFrame::normal(), now);
            }
            20..24 => self.streams_and_messages(),
            26..28 => self.listeners(),
            _ => self.drain(),
        }
    }

    fn streams_and_messages(&mut self) {
        let now = self.now;
        match self.script.below(6) {
            0..2 => {
                let request = Request::list("tasks").cancel_action("list_cancel");
                self.streams.extend(self.session.stream(request, now));
            }
            2 => {
                if let Some(key) = self.script.pick(&self.streams) {
                    self.session.finish_reply_stream(key);
                }
            }
            3 => {
                if let Some(key) = self.script.pick(&self.streams) {
                    self.session.cancel_reply_stream(key);
                }
            }
            4 => {
                let sent = self.session.send(Request::new("tasks", "touch"), now);
                self.line(format_args!("{sent:?}"));
            }
            _ => {
                let sent = self.session.send_now(Request::new("tasks", "touch"), now);
                self.line(format_args!("{sent:?}"));
            }
        }
    }

    fn listeners(&mut self) {
        if self.listeners.len() < 4 {
            let updates = Selector::stream("tasks").contains(json!({"action": "update"}));
            self.listeners.extend(self.session.listen(updates, self.now));
        } else {
            self.session.unlisten(self.listeners.remove(0));
        }
    }

    fn answer(&mut self) {
        let (Some(frame), Some(epoch)) = (self.script.pick(&self.sent), self.session.epoch())
        else {
            return;
        };
        let mut payload = frame["payload"].clone();
        payload["response_status"] =
            json!([200, 200, 200, 404, 429][usize::try_from(self.script.below(5)).expect("small")]);
        payload["data"] = json!({"pk": self.script.below(9)});
        if self.script.below(2) == 0 {
            payload["action"] = json!("update");
        }
        let frame = json!({"stream": frame["stream"], "payload": payload}).to_string();
        self.session.handle_text(epoch, &frame, self.now);
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            match &transmit {
                Transmit::Dial(epoch) => {
                    self.sent.clear();
                    self.session.handle_connected(*epoch, self.now);
                    self.line(format_args!("dial {epoch}"));
                }
                Transmit::Frame(epoch, Frame::Text(text)) => {
                    self.sent.push(serde_json::from_str(text).expect("JSON"));
                    self.line(format_args!("text {epoch} {text}"));
                }
                other => self.line(format_args!("{other:?}")),
            }
        }
        while let Some(event) = self.session.poll_event() {
            self.print_event(&event);
        }
        for key in self.subscriptions.clone() {
            while let Some(change) = self.session.poll_change(key) {
                self.line(format_args!("{key:?} {change:?}"));
            }
        }
        for key in self.streams.clone() {
            while let Some(reply) = self.session.poll_reply(key) {
                let reply = reply.map(|json| json.as_str().to_owned());
                self.line(format_args!("{key:?} {reply:?}"));
            }
        }
        for key in self.listeners.clone() {
            while let Some(event) = self.session.poll_listener(key) {
                self.line(format_args!("{key:?} {event:?}"));
            }
        }
        let next = self.session.poll_timeout().map(|next| next - self.base);
        self.line(format_args!("{next:?} {:?}", self.session.stats()));
    }

    fn print_event(&mut self, event: &Event) {
        match event {
            Event::Client(ClientEvent::State(ConnectionState::Waiting {
                attempt,
                until,
                error,
            })) => {
                let until = *until - self.base;
                self.line(format_args!("waiting {attempt} {until:?} {error:?}"));
            }
            Event::Settled { request, result: Ok(data) } => {
                self.line(format_args!("{request:?} {}", data.as_str()));
            }
            other => self.line(format_args!("{other:?}")),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.output, "{line}").expect("writing to a string");
    }
}

fn transcript() -> String {
    #[allow(clippy::disallowed_methods, reason = "the one base of the virtual clock")]
    let base = Instant::now();
    let mut config = Config::default();
    config.changes = Limit { count: 2, bytes: 1_000 };
    let mut run = Run {
        session: Session::new(config, Seed::from([42; 32]), base),
        script: Script(1),
        base,
        now: base,
        sent: Vec::new(),
        requests: Vec::new(),
        subscriptions: Vec::new(),
        streams: Vec::new(),
        listeners: Vec::new(),
        output: String::new(),
    };
    run.session.open(base);
    for _ in 0..CALLS {
        run.call();
    }
    run.session.close(CloseOptions::now(), run.now);
    run.drain();
    run.output
}

#[test]
fn output_is_the_same_within_one_process() {
    let first = transcript();
    assert!(first.lines().count() > CALLS / 2, "{} lines", first.lines().count());
    assert!(first == transcript(), "two runs differ");
}

#[test]
fn output_is_the_same_in_two_processes() {
    if env::var_os(PRINT).is_some() {
        print!("{}", transcript());
        return;
    }
    let print = || {
        let this = env::current_exe().expect("the path of this test");
        let mut command = Command::new(this);
        command
            .args([
                "--exact",
                "determinism::output_is_the_same_in_two_processes",
                "--nocapture",
                "--quiet",
            ])
            .env(PRINT, "1");
        let output = command.output().expect("this test runs again");
        assert!(output.status.success());
        // The harness prints a duration.
        let text = String::from_utf8(output.stdout).expect("text");
        let lines = text.lines().filter(|line| !line.starts_with("test result"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let first = print();
    assert!(first.lines().count() > CALLS / 2);
    assert!(first == print(), "two processes differ");
}
