//! Random frames and faults: whatever a client sends, the server does not panic, and answers each call once.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn value(&mut self) -> Value {
        let texts = [
            "", "abc", "1", " 2 ", "-1", "1_0", "5.0", "+", "é", "\0", "cD0y", "bz0tMQ==", "last",
            "true",
        ];
        match self.below(12) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(u64::MAX),
            3 => json!(i64::MIN),
            4 => json!(self.one(&[0.0, -0.0, 1.5, 1e300, -1e300, 5e-324, 1e22])),
            5 | 6 => self.one(&texts).into(),
            7 => (0..self.below(3)).map(|_| self.value()).collect(),
            8 => json!({"title": self.value(), "parent": self.value(), "done": self.value()}),
            _ => json!(self.below(6)),
        }
    }

    fn data(&mut self) -> Value {
        let mut data = json!({});
        for field in ["title", "done", "parent", "rank", "slug", "any", "id"] {
            if self.below(2) == 0 {
                data[field] = self.value();
            }
        }
        if self.below(8) == 0 { self.value() } else { data }
    }

    fn payload(&mut self, request_id: i32) -> Value {
        let actions = [
            "list",
            "retrieve",
            "create",
            "create",
            "update",
            "patch",
            "patch",
            "delete",
            "subscribe_instance",
            "unsubscribe_instance",
            "subscribe_all",
            "unsubscribe_all",
            "subscribe_parent",
            "unsubscribe_parent",
            "slow",
            "detached",
            "many",
            "cancel",
            "nosuch",
        ];
        let mut payload = json!({"action": self.one(&actions), "request_id": request_id});
        for (name, chance) in [
            ("pk", 6),
            ("data", 6),
            ("parent", 2),
            ("limit", 1),
            ("offset", 1),
            ("page", 1),
            ("page_size", 1),
            ("cursor", 1),
            ("id", 3),
            ("title", 1),
        ] {
            if self.below(8) < chance {
                payload[name] = match name {
                    "data" => self.data(),
                    "pk" => json!(1 + self.below(8)),
                    _ => self.value(),
                };
            }
        }
        if self.below(10) == 0 {
            payload[self.one(&["pk", "action", "data", "request_id"])] = self.value();
        }
        payload
    }
}

fn nodes(pages: Option<Pages>, model: Model) -> FakeServer {
    let server = FakeServer::new();
    let model = model
        .field(Field::text("title").max_length(5).default_value("x").unique())
        .field(Field::boolean("done").default_value(false))
        .field(Field::integer("rank").nullable())
        .field(Field::slug("slug").nullable().unique())
        .field(Field::any("any").nullable())
        .field(Field::key_of("parent", "nodes").nullable())
        .order_by("rank")
        .updated_at("at");
    server.model("nodes", model);
    let view = View::of("nodes")
        .feed(Feed::new("subscribe_all"))
        .feed(Feed::new("subscribe_parent").group_by("parent"))
        .filter("title")
        .action("slow", |_| Answer::ok(1).after(SECOND))
        .action("detached", |_| Answer::ok(1).after(SECOND).detached())
        .action("many", |_| Answer::replies((0..3).map(Value::from), SECOND))
        .action("cancel", |action| {
            action.cancel(action.argument("id").cloned().unwrap_or_default());
            Answer::ok(1)
        });
    server.view(
        "nodes",
        match pages {
            Some(pages) => view.pages(pages),
            None => view,
        },
    );
    server.bare("/bare/", "nodes");
    server
}

fn servers() -> Vec<FakeServer> {
    let pages = [
        None,
        Some(Pages::Offset { default_limit: 2, max_limit: Some(4) }),
        Some(Pages::Streamed { default_limit: 2 }),
        Some(Pages::Number { size: 2, max_size: Some(4) }),
        Some(Pages::Cursor { size: 2, max_size: Some(4) }),
    ];
    let keys = |uuid: bool| if uuid { Model::new().uuid_keys() } else { Model::new() };
    pages.iter().flat_map(|its| [false, true].map(|uuid| nodes(its.clone(), keys(uuid)))).collect()
}

#[test]
fn random_frames_and_faults() {
    for (seed, server) in servers().into_iter().enumerate() {
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(u64::try_from(seed).unwrap()));
        let mut clients: Vec<Client> = vec![Client::new(&server)];
        let mut now = clients[0].now;
        let mut holds: Vec<Hold> = Vec::new();
        for step in 0..3_000 {
            let at = dice.below(clients.len());
            let id = clients[at].connection;
            match dice.below(40) {
                0 => server.drop_connections(),
                1 => server.restart_without_rows(),
                2 => server.close(4000, "why"),
                3 => {
                    server.black_hole();
                    server.end_black_hole();
                }
                4 => holds.push(server.hold("nodes", dice.one(&["list", "create", "many"]))),
                5 => {
                    holds.push(server.hold_reply("nodes", dice.one(&["list", "many", "detached"])));
                }
                6 => holds.push(server.hold_events("nodes")),
                7..12 if !holds.is_empty() => drop(holds.swap_remove(dice.below(holds.len()))),
                12 => server.swap_events("nodes"),
                13 => server.repeat_events("nodes", 1),
                14 => server.lose_events("nodes", 1),
                15 => server.delay(dice.one(&[SECOND, Duration::ZERO])),
                16 => server.delay_events(dice.one(&[SECOND, Duration::ZERO])),
                17 => server.channel_capacity(dice.below(4)),
                18 => {
                    server.stop();
                    server.start();
                }
                19 => server.advance(SECOND / 2),
                20 => server.push("nodes", dice.value()),
                21 => server.receive(id, &dice.value().to_string(), now),
                22 => {
                    let pk = dice.value();
                    server.delete("nodes", pk);
                }
                23..26 => {
                    now += SECOND / 4;
                    server.handle_timeout(now);
                }
                _ => {
                    let payload = dice.payload(step);
                    server.receive(
                        id,
                        &json!({"stream": "nodes", "payload": payload}).to_string(),
                        now,
                    );
                    server.receive(id, &payload.to_string(), now);
                }
            }
            let ended = std::iter::from_fn(|| server.poll_output(id))
                .any(|output| matches!(output, Output::Close { .. } | Output::Drop));
            if ended || server.is_silent(id) {
                server.disconnected(id);
                clients.remove(at);
            }
            if clients.is_empty() || dice.below(20) == 0 {
                let mut client = Client::new(&server);
                if dice.below(2) == 0 {
                    client.connection = server.connect(Handshake::new("/bare/"), now).unwrap();
                }
                clients.push(client);
            }
        }
        holds.clear();
        while let Some(at) = server.poll_timeout() {
            now = now.max(at);
            server.handle_timeout(now);
            assert!(server.poll_timeout().is_none_or(|next| next > at), "time stands still");
        }
    }
}

#[test]
fn each_call_is_answered_once() {
    for (seed, server) in servers().into_iter().enumerate() {
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(99 + u64::try_from(seed).unwrap()));
        let clients = [0; 3].map(|_| Client::new(&server));
        let mut now = clients[0].now;
        let mut holds = Vec::new();
        let mut calls = Vec::new();
        for step in 0..2_000 {
            match dice.below(12) {
                0 => holds.push(server.hold("nodes", dice.one(&["list", "create", "detached"]))),
                1 => holds
                    .push(server.hold_reply("nodes", dice.one(&["list", "create", "detached"]))),
                2 => holds.push(server.hold_events("nodes")),
                3..6 if !holds.is_empty() => drop(holds.swap_remove(dice.below(holds.len()))),
                6 => server.delay(dice.one(&[SECOND, Duration::ZERO])),
                7 => {
                    now += SECOND / 4;
                    server.handle_timeout(now);
                }
                _ => {
                    let at = dice.below(clients.len());
                    let actions = [
                        "list",
                        "retrieve",
                        "create",
                        "patch",
                        "delete",
                        "subscribe_instance",
                        "unsubscribe_instance",
                        "subscribe_all",
                        "unsubscribe_all",
                        "slow",
                        "detached",
                        "nosuch",
                    ];
                    let (action, pk) = (dice.one(&actions), 1 + dice.below(8));
                    let data = json!({"title": dice.value(), "parent": dice.value()});
                    let payload =
                        json!({"action": action, "pk": pk, "data": data, "request_id": step});
                    let frame = json!({"stream": "nodes", "payload": payload}).to_string();
                    server.receive(clients[at].connection, &frame, now);
                    calls.push((at, action, step));
                }
            }
        }
        holds.clear();
        server.handle_timeout(now + 10_000 * SECOND);
        let received = clients.each_ref().map(Client::payloads);
        for (at, action, id) in calls {
            let is_reply = |its: &&Value| its["action"] == action && its["request_id"] == id;
            let replies = received[at].iter().filter(is_reply).count();
            // A streamed list has a reply for each page.
            let is_right = if action == "list" { replies >= 1 } else { replies == 1 };
            assert!(is_right, "{replies} replies to `{action}` of step {id} on server {seed}");
        }
    }
}
