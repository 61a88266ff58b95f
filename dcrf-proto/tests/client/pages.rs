//! Lists in pages, as a caller reads them over sockets in memory (rule R12).

use std::time::Duration;

use crate::memory::{Task, World};
use dcrf_proto::client::{Items, Pages, ReplyError};
use dcrf_proto::{
    CloseReason, Config, ConnectionError, Page, ReplyStreamError, Request, RequestError,
};
use futures_core::FusedStream;
use serde_json::{Value, json};

fn page(count: u64, offset: u64, results: &[u32]) -> Value {
    json!({"count": count, "results": results, "limit": 2, "offset": offset})
}

fn next(pages: &mut Pages<u32>) -> Page<u32> {
    World::poll(pages.next()).expect("it has come").expect("a page").expect("no error")
}

fn is_over(pages: &mut Pages<u32>) -> bool {
    pages.is_terminated() && World::poll(pages.next()) == Some(None)
}

/// All that can be read of a list now.
fn read(items: &mut Items<u32>) -> Vec<u32> {
    let mut read = Vec::new();
    while let Some(Some(item)) = World::poll(items.next()) {
        read.push(item.unwrap());
    }
    read
}

/// What was asked for as the frame number `sent`: its limit and offset.
fn asked(world: &World, sent: usize) -> (Value, Value) {
    let payload = &world.network().sent[sent]["payload"];
    (payload["limit"].clone(), payload["offset"].clone())
}

#[test]
fn r12_each_page_is_asked_for_when_the_one_before_it_is_read() {
    let mut world = World::connected();
    let mut pages = world.client().list_pages(Request::list("rows").arg("search", "a"));
    world.settle();
    assert_eq!(pages.total(), None);
    assert_eq!(asked(&world, 0), (Value::Null, Value::Null));

    world.answers(0, 200, &page(5, 0, &[1, 2]));
    world.settle();
    assert_eq!(world.network().sent.len(), 1, "nobody has read the first");
    assert_eq!(next(&mut pages).results, [1, 2]);
    assert_eq!(pages.total(), Some(5));
    world.settle();
    assert_eq!(asked(&world, 1), (json!(2), json!(2)));
    world.answers(1, 200, &page(6, 2, &[3, 4]));
    world.settle();
    assert_eq!(world.network().sent.len(), 2, "one page is fetched ahead, and not two");

    assert_eq!(next(&mut pages).results, [3, 4]);
    assert_eq!(pages.total(), Some(6), "as the server counted last");
    assert!(!pages.is_terminated());
    world.settle();
    world.answers(2, 200, &page(6, 4, &[5, 6]));
    let last = next(&mut pages);
    assert_eq!((last.offset, last.results), (4, vec![5, 6]));
    assert!(is_over(&mut pages));
    world.settle();
    assert_eq!(world.sent_actions(), ["list", "list", "list"]);
    assert!(world.network().sent.iter().all(|frame| frame["payload"]["search"] == "a"));
    assert_eq!(pages.total(), Some(6));
}

#[test]
fn r12_the_limit_of_the_next_page_is_the_one_that_the_server_has_decided() {
    let mut world = World::connected();
    let mut pages =
        world.client().list_pages(Request::list("rows").arg("limit", 1000).arg("offset", 3));
    world.settle();
    assert_eq!(asked(&world, 0), (json!(1000), json!(3)));
    world.answers(0, 200, &page(7, 3, &[4, 5]));
    next(&mut pages);
    world.settle();
    assert_eq!(asked(&world, 1), (json!(2), json!(5)));
    world.answers(1, 200, &page(7, 5, &[6, 7]));
    next(&mut pages);
    assert!(is_over(&mut pages));
}

#[test]
fn r12_a_list_without_pages_is_one_page() {
    let mut world = World::connected();
    let mut pages = world.client().list_pages(Request::list("rows"));
    let mut items = world.client().list_all(Request::list("rows"));
    let mut none = world.client().list_all::<u32>(Request::list("rows"));
    world.settle();
    world.answers(0, 200, &json!([1, 2, 3]));
    world.answers(1, 200, &json!([1, 2, 3]));
    world.answers(2, 200, &json!([]));
    let page = next(&mut pages);
    assert_eq!((page.count, page.offset, page.results), (3, 0, vec![1, 2, 3]));
    assert!(is_over(&mut pages));
    assert_eq!(read(&mut items), [1, 2, 3]);
    assert_eq!((items.total(), items.is_terminated()), (Some(3), true));
    assert_eq!(World::poll(none.next()), Some(None));
    world.settle();
    assert_eq!(world.network().sent.len(), 3);
}

#[test]
fn r12_a_server_that_ignores_offsets_is_an_error_and_no_endless_list() {
    let mut world = World::connected();
    let mut pages = world.client().list_pages(Request::list("rows"));
    world.settle();
    world.answers(0, 200, &page(5, 0, &[1, 2]));
    next(&mut pages);
    world.settle();
    world.answers(1, 200, &page(5, 0, &[1, 2]));
    let Some(Some(Err(ReplyError::Decode(error)))) = World::poll(pages.next()) else {
        panic!("the first page came twice")
    };
    assert_eq!(error.expected, "a page at offset 2, the server sent one at 0");
    assert!(is_over(&mut pages));
    world.settle();
    assert_eq!(world.network().sent.len(), 2);
}

#[test]
fn r12_an_error_is_the_last_item_of_a_list_in_pages() {
    let mut world = World::connected();
    let mut refused = world.client().list_pages::<u32>(Request::list("rows"));
    let mut wrong = world.client().list_all::<u32>(Request::list("rows"));
    world.settle();
    world.answers(0, 200, &page(5, 0, &[1, 2]));
    world.answers(1, 200, &json!({"detail": "no list"}));
    next(&mut refused);
    world.settle();
    world.answers(2, 403, &Value::Null);
    let error_reply = World::poll(refused.next()).unwrap().unwrap().unwrap_err();
    let ReplyError::Stream(ReplyStreamError::Request(RequestError::ErrorReply(error_reply))) =
        error_reply
    else {
        panic!("{error_reply:?}")
    };
    assert_eq!(error_reply.status, Some(403));
    assert!(is_over(&mut refused));
    assert!(matches!(World::poll(wrong.next()), Some(Some(Err(ReplyError::Decode(_))))));
    assert!(wrong.is_terminated());
    assert_eq!(World::poll(wrong.next()), Some(None));
}

#[test]
fn r12_a_page_that_is_not_accepted_is_an_error() {
    let mut config = Config::default();
    config.outbox.count = 0;
    let world = World::new(config);
    let mut pages = world.client().list_pages::<u32>(Request::list("rows"));
    let error = World::poll(pages.next()).unwrap().unwrap().unwrap_err();
    let ReplyError::Stream(ReplyStreamError::Request(RequestError::Rejected(_))) = error else {
        panic!("{error:?}")
    };
    assert!(is_over(&mut pages));
}

#[test]
fn r12_a_list_in_pages_goes_on_over_a_reconnect() {
    let mut world = World::connected();
    let mut items = world.client().list_all(Request::list("rows"));
    world.settle();
    world.answers(0, 200, &page(4, 0, &[1, 2]));
    assert_eq!(read(&mut items), [1, 2]);
    world.settle();
    // R4: a list may be sent again.
    world.loses(ConnectionError::Dropped);
    world.passes(Duration::from_secs(2));
    assert_eq!(asked(&world, 2), (json!(2), json!(2)));
    world.answers(2, 200, &page(4, 2, &[3, 4]));
    assert_eq!(read(&mut items), [3, 4]);
}

#[test]
fn r12_a_list_in_pages_that_is_dropped_asks_for_no_more() {
    let mut world = World::connected();
    let mut pages = world.client().list_pages(Request::list("rows"));
    world.settle();
    world.answers(0, 200, &page(5, 0, &[1, 2]));
    next(&mut pages);
    drop(pages);
    world.settle();
    assert_eq!(world.sent_actions(), ["list"]);
    assert_eq!(world.client().stats().requests, 0);
}

#[test]
fn r12_pages_that_the_server_streams_are_one_request() {
    let mut world = World::connected();
    let mut pages = world.client().stream_pages(Request::list("rows").arg("limit", 2));
    world.settle();
    assert_eq!(pages.total(), None);
    world.answers(0, 200, &page(5, 0, &[1, 2]));
    world.answers(0, 200, &page(5, 2, &[3, 4]));
    assert_eq!(next(&mut pages).results, [1, 2]);
    assert_eq!(pages.total(), Some(5));
    assert_eq!(next(&mut pages).results, [3, 4]);
    world.answers(0, 200, &page(5, 4, &[5]));
    assert_eq!(next(&mut pages).results, [5]);
    assert!(is_over(&mut pages));
    drop(pages);
    world.settle();
    assert_eq!(world.sent_actions(), ["list"], "there is nothing left to cancel");
    assert_eq!(world.client().stats().requests, 0);
}

#[test]
fn r12_dropping_streamed_pages_or_their_items_sends_list_cancel() {
    let mut world = World::connected();
    let mut pages = world.client().stream_pages(Request::list("rows"));
    let mut items = world.client().stream_pages(Request::list("rows")).items();
    let named = Request::list("rows").cancel_action("enough");
    let named = world.client().stream_pages::<u32>(named);
    world.settle();
    world.answers(0, 200, &page(5, 0, &[1, 2]));
    world.answers(1, 200, &page(5, 0, &[1, 2]));
    next(&mut pages);
    assert_eq!(World::poll(items.next()), Some(Some(Ok(1))));
    drop((pages, items, named));
    world.settle();
    let sent = world.sent_actions();
    assert_eq!(sent[3..], ["list_cancel", "list_cancel", "enough"]);
}

#[test]
fn r12_an_error_is_the_last_item_of_streamed_pages() {
    let mut world = World::connected();
    let mut pages = world.client().stream_pages::<u32>(Request::list("rows"));
    world.settle();
    world.answers(0, 200, &json!({"detail": "no page"}));
    assert!(matches!(World::poll(pages.next()), Some(Some(Err(ReplyError::Decode(_))))));
    assert!(is_over(&mut pages));
    world.settle();
    assert_eq!(world.sent_actions(), ["list", "list_cancel"], "the server may still be at it");

    let mut pages = world.client().stream_pages::<u32>(Request::list("rows"));
    world.settle();
    world.answers(2, 200, &page(5, 0, &[1, 2]));
    world.loses(ConnectionError::Dropped);
    next(&mut pages);
    let interrupted = ReplyError::Stream(ReplyStreamError::Interrupted { received: 1 });
    assert_eq!(World::poll(pages.next()), Some(Some(Err(interrupted))));
    assert!(is_over(&mut pages));
}

#[test]
fn r12_a_reader_of_pages_is_woken() {
    for streamed in [false, true] {
        let mut world = World::connected();
        let request = Request::list("rows");
        let mut pages = if streamed {
            world.client().stream_pages::<u32>(request)
        } else {
            world.client().list_pages(request)
        };
        world.settle();
        let reader = Task::new();
        assert_eq!(reader.poll(pages.next()), None);
        world.answers(0, 200, &page(4, 0, &[1, 2]));
        assert!(reader.is_woken());
        assert!(reader.poll(pages.next()).is_some());
        assert_eq!(reader.poll(pages.next()), None);
        world.drop_driver();
        assert!(reader.is_woken());
        let sent = streamed;
        let stopped = RequestError::Closed { reason: CloseReason::DriverStopped, sent };
        let stopped = ReplyError::Stream(ReplyStreamError::Request(stopped));
        assert_eq!(reader.poll(pages.next()), Some(Some(Err(stopped))));
        assert!(is_over(&mut pages) && !reader.is_known());
    }
}

#[test]
fn r12_a_reader_of_pages_that_has_gone_is_forgotten() {
    for streamed in [false, true] {
        let mut world = World::connected();
        let request = Request::list("rows");
        let mut items = if streamed {
            world.client().stream_pages::<u32>(request).items()
        } else {
            world.client().list_all(request)
        };
        world.settle();
        let reader = Task::new();
        assert_eq!(reader.poll(items.next()), None);
        drop(items);
        assert!(!reader.is_known());
        world.answers(0, 200, &page(2, 0, &[1, 2]));
        assert_eq!(world.client().stats().late, 1);
    }
}
