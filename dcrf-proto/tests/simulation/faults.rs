//! The faults: of dials, the network, the server, its frames, and the program's clock.

use std::time::Duration;

use dcrf_proto::fake_server::frames;
use dcrf_proto::{CloseFrame, ConnectionError};
use serde_json::{Value, json};

use crate::ConnectionIndex;
use crate::schedule::{FromServer, Scheduled};
use crate::simulation::Simulation;

/// Close codes of a server. The first seven are drawn more often.
const CODES: [(u16, &str); 12] = [
    (1000, "close 1000"),
    (1001, "close 1001"),
    (1011, "close 1011"),
    (1012, "close 1012"),
    (1013, "close 1013"),
    (4001, "close 4001"),
    (3000, "close 3000"),
    (1008, "close 1008"),
    (4401, "close 4401"),
    (1002, "close 1002"),
    (1007, "close 1007"),
    (1010, "close 1010"),
];

impl Simulation {
    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..to))
    }

    /// How long the slowest stream needs after the connection is open (quirk 10).
    pub(crate) fn unready_for(&mut self) -> Duration {
        if self.faults_stopped || self.random.f64() >= self.scenario.error_replies / 4.0 {
            return Duration::ZERO;
        }
        self.report.fault("a stream is not ready");
        let most = [1_500, 8_000][self.random.usize(..2)];
        self.millis(1, most)
    }

    /// Whether the server answers only pings on the next connection.
    pub(crate) fn is_deaf(&mut self) -> bool {
        let is_deaf =
            !self.faults_stopped && self.random.f64() < self.scenario.error_replies / 10.0;
        if is_deaf {
            self.report.fault("the server answers only pings");
        }
        is_deaf
    }

    /// Schedules the end of a dial.
    pub(crate) fn dial(&mut self, nth: ConnectionIndex) {
        if let Some((status, _)) = self.deployment.filter(|(_, until)| self.clock.now < *until) {
            let end = ConnectionError::Http { status, retry_after: None };
            let after = self.millis(1, 500);
            return self.schedule.add(self.clock.now + after, Scheduled::DialEnds(nth, Err(end)));
        }
        if self.faults_stopped || self.random.f64() >= self.scenario.error_replies {
            let after = self.millis(1, 2 + 3 * self.network.delay);
            return self.schedule.add(self.clock.now + after, Scheduled::DialEnds(nth, Ok(())));
        }
        let http = |status, seconds: Option<u64>| ConnectionError::Http {
            status,
            retry_after: seconds.map(Duration::from_secs),
        };
        let io = |kind| ConnectionError::Io { kind, message: "no".to_owned() };
        let credentials =
            |fatal| ConnectionError::Credentials { message: "none".to_owned(), fatal };
        let seconds = self.random.u64(0..100);
        let (fault, end) = match self.random.u64(..1000) {
            0..300 => ("dial rejected", io(std::io::ErrorKind::ConnectionRefused)),
            300..400 => ("dial cut", ConnectionError::Dropped),
            400..500 => {
                // It never ends.
                return self.report.fault("dial hangs");
            }
            500..600 => {
                self.report.fault("dial slow");
                let after = self.millis(1_000, 15_000);
                return self.schedule.add(self.clock.now + after, Scheduled::DialEnds(nth, Ok(())));
            }
            600..750 => ("HTTP 500", http(500, None)),
            750..800 => ("HTTP 502", http(502, None)),
            800..850 => ("HTTP 503", http(503, Some(seconds))),
            850..880 => ("HTTP 429", http(429, Some(10 * seconds))),
            880..900 => ("HTTP 403", http(403, None)),
            900..910 => ("HTTP 401", http(401, None)),
            910..940 => ("HTTP 404", http(404, None)),
            940..960 => ("TLS", ConnectionError::Tls("no".to_owned())),
            960..997 => ("no credentials", credentials(false)),
            997 => ("no credentials for good", credentials(true)),
            998 => ("certificate", ConnectionError::Certificate("expired".to_owned())),
            _ => ("HTTP 302", http(302, None)),
        };
        self.report.fault(fault);
        let after = self.millis(1, 500);
        self.schedule.add(self.clock.now + after, Scheduled::DialEnds(nth, Err(end)));
    }

    pub(crate) fn inject_fault(&mut self) {
        match self.random.u64(..100) {
            0..35 => self.inject_network_fault(),
            35..60 => self.inject_server_fault(),
            60..90 => self.send_unsolicited(),
            _ => self.inject_program_fault(),
        }
    }

    fn inject_network_fault(&mut self) {
        let now = self.clock.now;
        let Some(nth) = self.network.open() else { return };
        match self.random.u64(..8) {
            0 | 1 => {
                self.fault("reset");
                self.network.reset(nth, now, &mut self.schedule);
            }
            2 => {
                self.fault("end without a close frame");
                self.server.forget(nth);
                self.send_to_client(nth, FromServer::Disconnected(ConnectionError::Dropped));
            }
            3 => self.black_hole("black hole up", nth, true, false),
            4 => self.black_hole("black hole down", nth, false, true),
            5 => self.black_hole("black hole both ways", nth, true, true),
            6 => {
                // The system still accepts frames, but the server is gone.
                self.fault("half-open");
                self.server.forget(nth);
                self.network.black_hole(nth, true, true);
            }
            _ => {
                self.fault("socket full");
                self.is_full = true;
                let after = self.millis(10, 40_000);
                self.schedule.add(now + after, Scheduled::DrainSocket);
            }
        }
    }

    fn black_hole(&mut self, name: &'static str, nth: ConnectionIndex, up: bool, down: bool) {
        self.fault(name);
        self.network.black_hole(nth, up, down);
        let after = self.millis(100, 90_000);
        self.schedule.add(self.clock.now + after, Scheduled::RestoreNetwork);
    }

    fn fault(&mut self, name: &'static str) {
        self.trace.push(self.clock.now, || format!("! {name}"));
        self.report.fault(name);
    }

    fn inject_server_fault(&mut self) {
        let error_rate = if self.random.bool() { self.scenario.error_rate } else { 0.0 };
        let has_large = self.random.u64(..4) == 0;
        {
            let mut dice = self.server.dice();
            (dice.error_rate, dice.slow_rate) = (error_rate, error_rate / 10.0);
            dice.has_large = has_large;
        }
        let Some(nth) = self.network.open() else { return };
        let lost = match self.random.u64(..24) {
            19..21 => {
                self.fault("the database is away");
                let until = self.clock.now + self.millis(1_000, 150_000);
                self.server.dice().ill_until = until;
                return;
            }
            21 => {
                self.fault("a rolling restart");
                self.restarts = self.random.u32(1..6);
                return self.restart_while_young(nth);
            }
            22 => {
                self.fault("deployment");
                let time = self.millis(2_000, 200_000);
                self.deployment =
                    Some((if self.random.bool() { 404 } else { 403 }, self.clock.now + time));
                ConnectionError::Closed(CloseFrame { code: 1012, reason: String::new() })
            }
            0..12 => {
                // Codes that close the session when repeated are rare.
                let any = self.random.usize(..CODES.len());
                let (code, name) =
                    if self.random.u64(..4) == 0 { CODES[any] } else { CODES[any % 7] };
                self.fault(name);
                ConnectionError::Closed(CloseFrame { code, reason: "because".to_owned() })
            }
            12..15 => {
                self.fault("the server is killed");
                ConnectionError::Dropped
            }
            15..=18 => {
                self.fault("a consumer raises");
                return self.raise(nth);
            }
            _ => {
                self.fault("oversize");
                ConnectionError::TooLarge { size: 5 << 20, limit: 4 << 20 }
            }
        };
        self.server.forget(nth);
        self.send_to_client(nth, FromServer::Disconnected(lost));
    }

    /// A consumer has raised.
    pub(crate) fn raise(&mut self, nth: ConnectionIndex) {
        if self.server.has_connection(nth) {
            self.server.forget(nth);
            let frame = CloseFrame { code: 1011, reason: String::new() };
            self.send_to_client(nth, FromServer::Disconnected(ConnectionError::Closed(frame)));
        }
    }

    /// The next worker of a rolling restart goes while the connection to it is young.
    pub(crate) fn restart_while_young(&mut self, nth: ConnectionIndex) {
        if self.restarts == 0 || self.faults_stopped {
            return;
        }
        self.restarts -= 1;
        let close = |code| ConnectionError::Closed(CloseFrame { code, reason: String::new() });
        let ends = [close(1012), close(1001), ConnectionError::Dropped];
        let why = ends[self.random.usize(..3)].clone();
        let after = self.millis(1, 3_000);
        self.schedule.add(self.clock.now + after, Scheduled::Restart(nth, why));
    }

    /// Sends frames that no client has requested.
    fn send_unsolicited(&mut self) {
        let Some(nth) = self.network.open() else { return };
        let texts = match self.random.u64(..12) {
            0 => {
                self.fault("bad JSON");
                let bad =
                    ["", "{", "]", "{\"stream\":\"tasks\",\"payload\":{\"data\":nul}}", "\u{0}"];
                vec![bad[self.random.usize(..bad.len())].to_owned()]
            }
            1 => {
                self.fault("no object");
                let foreign = ["[]", "1", "null", "\"tasks\"", "[{\"stream\":\"tasks\"}]", "{}"];
                vec![foreign[self.random.usize(..foreign.len())].to_owned()]
            }
            2 => {
                self.fault("binary");
                return self.send_to_client(nth, FromServer::Binary(vec![0, 159, 146, 150]));
            }
            3 => {
                self.fault("flood");
                let stream = ["tasks", "tools", "nowhere"][self.random.usize(..3)];
                let frame = |n: u64| reply(stream, &json!(format!("flood {n}")), "update", 200);
                (0..200).map(frame).collect()
            }
            4 => {
                self.fault("event without an id");
                vec![reply("tasks", &Value::Null, "update", 200)]
            }
            5 => {
                self.fault("error reply without an id");
                vec![reply("tasks", &Value::Null, "subscribe_instance", 403)]
            }
            6 => {
                self.fault("unknown id");
                vec![reply("tasks", &json!("nobody's"), "list", 200)]
            }
            7 => {
                self.fault("late id");
                let Some(id) = self.invariants.requests.past_id(&mut self.random) else { return };
                vec![reply("tasks", &id, "echo", 200)]
            }
            8 => {
                self.fault("an id on another stream");
                let Some(id) = self.invariants.any_id(&mut self.random) else { return };
                vec![reply("elsewhere", &id, "update", 200), reply("elsewhere", &id, "echo", 200)]
            }
            9 => {
                self.fault("NaN");
                let Some((id, stream)) = self.invariants.live_id(nth, &mut self.random) else {
                    return;
                };
                let event = reply(&stream, &id, "update", 200);
                vec![event.replace("\"pk\":0", "\"pk\":0,\"ratio\":NaN")]
            }
            10 => {
                self.fault("event twice");
                let Some((id, stream)) = self.invariants.live_id(nth, &mut self.random) else {
                    return;
                };
                vec![reply(&stream, &id, "tick", 200), reply(&stream, &id, "tick", 200)]
            }
            _ => {
                self.fault("deeply nested");
                vec![format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000))]
            }
        };
        for text in texts {
            self.send_to_client(nth, FromServer::Text(text));
        }
    }

    fn inject_program_fault(&mut self) {
        if self.backlog.is_some() {
            return;
        }
        let now = self.clock.now;
        match self.random.u64(..3) {
            0 => {
                self.fault("clock backwards");
                let back = self.millis(1, 100_000);
                let earlier = self.clock.instant().checked_sub(back);
                self.session.handle_timeout(earlier.unwrap_or(self.clock.instant()));
            }
            which => {
                let time = self.millis(1, 120_000);
                let slept = (which == 1).then_some(time);
                self.fault(if slept.is_some() {
                    "the machine sleeps"
                } else {
                    "the program is suspended"
                });
                self.backlog = Some(Vec::new());
                self.suspensions += 1;
                self.schedule
                    .add(now + time, Scheduled::Resume { suspension: self.suspensions, slept });
            }
        }
    }
}

fn reply(stream: &str, id: &Value, action: &str, status: u16) -> String {
    let errors = if status < 400 { json!([]) } else { json!(["no"]) };
    let payload = frames::payload(action, status, &errors, &json!({"pk": 0}), id);
    json!({"stream": stream, "payload": payload}).to_string()
}
