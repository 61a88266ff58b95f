//! Boards for live collections: rows in two groups, whose feeds serialize a row when it is written.

use std::sync::{Arc, Mutex};

use dcrf_proto::fake_server::{FakeServer, Feed, Field, Model, Pages, View, frames};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{Dice, LARGE, Server, lock};

/// The stream of the rows, the same with pages, and one that has only feeds.
pub(crate) const BOARDS: [&str; 3] = ["boards", "board_pages", "board_feeds"];

/// Keys are used again, so that rows come back.
pub(crate) const KEYS: u64 = 12;

/// The action that subscribes to a board, to all rows or to those of a group.
pub(crate) fn subscribe_boards(
    has_group: bool,
    has_keys_only: bool,
    is_mute: bool,
) -> &'static str {
    match (has_group, has_keys_only, is_mute) {
        (false, false, false) => "subscribe_boards",
        (false, false, true) => "subscribe_boards_mute",
        (false, true, false) => "subscribe_boards_keys",
        (false, true, true) => "subscribe_boards_keys_mute",
        (true, false, false) => "subscribe_boards_group",
        (true, false, true) => "subscribe_boards_group_mute",
        (true, true, false) => "subscribe_boards_group_keys",
        (true, true, true) => "subscribe_boards_group_keys_mute",
    }
}

pub(super) fn add(fake: &FakeServer, dice: &Arc<Mutex<Dice>>) {
    let model = Model::new().pk_field("pk");
    let fields = ["title", "version", "group"].map(Field::any);
    fake.model(BOARDS[0], fields.into_iter().fold(model, Model::field));
    for stream in BOARDS {
        let mut view = View::of(BOARDS[0]).filter("group");
        for form in 0..8 {
            view = view.feed(feed(form & 4 > 0, form & 2 > 0, form & 1 > 0, dice));
        }
        if stream == BOARDS[1] {
            view = view.pages(Pages::Offset { default_limit: 3, max_limit: None });
        }
        fake.view(stream, view);
    }
}

fn feed(has_group: bool, has_keys_only: bool, is_mute: bool, dice: &Arc<Mutex<Dice>>) -> Feed {
    let feed = Feed::new(subscribe_boards(has_group, has_keys_only, is_mute));
    let feed = if has_group { feed.group_by("group") } else { feed };
    let feed = if is_mute { feed.unacknowledged() } else { feed };
    let dice = dice.clone();
    feed.payload(move |event| {
        let keys = json!({"pk": event.pk});
        let is_large = {
            let dice = lock(&dice);
            let is_meant = event.pk.as_u64().is_some_and(|pk| pk % 4 == 0);
            dice.has_large && !dice.is_healthy && is_meant
        };
        let data = match () {
            () if is_large => &json!(LARGE),
            () if has_keys_only => &keys,
            () => event.row,
        };
        let mut payload = frames::payload(event.action, 200, &json!([]), data, event.request_id);
        // For the invariants.
        payload["version"] = event.row["version"].clone();
        payload
    })
}

impl Server {
    /// Another program writes a row of the boards, and sometimes one more writes it at the same moment.
    pub(crate) fn commit_board(&mut self, random: &mut Rng) {
        let pk = random.u64(1..=KEYS);
        self.write_board(pk, random);
        let has_races = self.dice().has_races;
        if has_races && random.u64(..4) == 0 {
            self.write_board(pk, random);
        }
    }

    fn write_board(&mut self, pk: u64, random: &mut Rng) {
        let version = self.dice().next_version();
        let title = format!("{pk} at {version}");
        let known = self.fake.row(BOARDS[0], pk);
        let row =
            |group: &Value| json!({"pk": pk, "version": version, "title": title, "group": group});
        let Some(known) = known else {
            self.fake.insert(BOARDS[0], row(&json!(random.u64(1..=2))));
            return;
        };
        let other = json!(3 - known["group"].as_u64().expect("a number"));
        let group = match random.u64(..8) {
            0 | 1 => {
                self.fake.delete(BOARDS[0], pk);
                return;
            }
            2 => &other,
            _ => &known["group"],
        };
        let mut fields = row(group);
        fields.as_object_mut().expect("an object").remove("pk");
        self.fake.update(BOARDS[0], pk, fields);
    }
}
