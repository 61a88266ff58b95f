//! Lists in pages (rule R12).

use std::time::Duration;

use crate::memory::{Setup, Task};
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
    Setup::poll(pages.next()).expect("a page has arrived").expect("a page").expect("no error")
}

fn is_finished(pages: &mut Pages<u32>) -> bool {
    pages.is_terminated() && Setup::poll(pages.next()) == Some(None)
}

/// Reads the items that have arrived.
fn read(items: &mut Items<u32>) -> Vec<u32> {
    let mut read = Vec::new();
    while let Some(Some(item)) = Setup::poll(items.next()) {
        read.push(item.unwrap());
    }
    read
}

/// The limit and the offset of a request, by its position among the sent frames.
fn limit_and_offset(setup: &Setup, sent: usize) -> (Value, Value) {
    let payload = &setup.network().sent[sent]["payload"];
    (payload["limit"].clone(), payload["offset"].clone())
}

#[test]
fn r12_next_page_is_requested_when_a_page_is_read() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().list_pages(Request::list("rows").arg("search", "a"));
    setup.settle();
    assert_eq!(pages.total(), None);
    assert_eq!(limit_and_offset(&setup, 0), (Value::Null, Value::Null));

    setup.reply(0, 200, &page(5, 0, &[1, 2]));
    setup.settle();
    assert_eq!(setup.network().sent.len(), 1, "the first page has not been read");
    assert_eq!(next(&mut pages).results, [1, 2]);
    assert_eq!(pages.total(), Some(5));
    setup.settle();
    assert_eq!(limit_and_offset(&setup, 1), (json!(2), json!(2)));
    setup.reply(1, 200, &page(6, 2, &[3, 4]));
    setup.settle();
    assert_eq!(setup.network().sent.len(), 2, "only one page is fetched ahead");

    assert_eq!(next(&mut pages).results, [3, 4]);
    assert_eq!(pages.total(), Some(6), "the latest count of the server");
    assert!(!pages.is_terminated());
    setup.settle();
    setup.reply(2, 200, &page(6, 4, &[5, 6]));
    let last = next(&mut pages);
    assert_eq!((last.offset, last.results), (Some(4), vec![5, 6]));
    assert!(is_finished(&mut pages));
    setup.settle();
    assert_eq!(setup.sent_actions(), ["list", "list", "list"]);
    assert!(setup.network().sent.iter().all(|frame| frame["payload"]["search"] == "a"));
    assert_eq!(pages.total(), Some(6));
}

#[test]
fn r12_next_page_uses_the_limit_of_the_server() {
    let mut setup = Setup::connected();
    let mut pages =
        setup.client().list_pages(Request::list("rows").arg("limit", 1000).arg("offset", 3));
    setup.settle();
    assert_eq!(limit_and_offset(&setup, 0), (json!(1000), json!(3)));
    setup.reply(0, 200, &page(7, 3, &[4, 5]));
    next(&mut pages);
    setup.settle();
    assert_eq!(limit_and_offset(&setup, 1), (json!(2), json!(5)));
    setup.reply(1, 200, &page(7, 5, &[6, 7]));
    next(&mut pages);
    assert!(is_finished(&mut pages));
}

#[test]
fn r12_list_without_pagination_is_one_page() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().list_pages(Request::list("rows"));
    let mut items = setup.client().list_all(Request::list("rows"));
    let mut empty = setup.client().list_all::<u32>(Request::list("rows"));
    setup.settle();
    setup.reply(0, 200, &json!([1, 2, 3]));
    setup.reply(1, 200, &json!([1, 2, 3]));
    setup.reply(2, 200, &json!([]));
    let page = next(&mut pages);
    assert_eq!((page.count, page.offset, page.results), (Some(3), None, vec![1, 2, 3]));
    assert!(is_finished(&mut pages));
    assert_eq!(read(&mut items), [1, 2, 3]);
    assert_eq!((items.total(), items.is_terminated()), (Some(3), true));
    assert_eq!(Setup::poll(empty.next()), Some(None));
    setup.settle();
    assert_eq!(setup.network().sent.len(), 3);
}

#[test]
fn r12_repeated_page_is_an_error() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().list_pages(Request::list("rows"));
    setup.settle();
    setup.reply(0, 200, &page(5, 0, &[1, 2]));
    next(&mut pages);
    setup.settle();
    setup.reply(1, 200, &page(5, 0, &[1, 2]));
    let Some(Some(Err(ReplyError::Decode(error)))) = Setup::poll(pages.next()) else {
        panic!("expected an error")
    };
    assert_eq!(error.expected, "a page at offset 2, the server sent one at 0");
    assert!(is_finished(&mut pages));
    setup.settle();
    assert_eq!(setup.network().sent.len(), 2);
}

#[test]
fn r12_pages_by_number_and_by_cursor_are_followed() {
    for (next, name, value) in [
        (json!(2), "page", json!(2)),
        (json!("cD0y"), "cursor", json!("cD0y")),
        (json!("http://testserver/rows/?page=2"), "query", json!({"page": "2"})),
    ] {
        let mut setup = Setup::connected();
        let mut items = setup.client().list_all(Request::list("rows").arg("search", "a"));
        setup.settle();
        setup.reply(
            0,
            200,
            &json!({"count": 3, "next": next, "previous": null, "results": [1, 2]}),
        );
        assert_eq!(read(&mut items), [1, 2]);
        setup.settle();
        let second = setup.network().sent[1]["payload"].clone();
        assert_eq!((&second[name], &second["search"]), (&value, &json!("a")));
        setup.reply(1, 200, &json!({"count": 3, "next": null, "previous": 1, "results": [3]}));
        assert_eq!(read(&mut items), [3]);
        assert!(items.is_terminated());
        assert_eq!(items.total(), Some(3));
    }
}

#[test]
fn r12_page_that_is_sent_again_is_an_error() {
    for named in [json!(2), json!("cD0y"), json!("?page=2")] {
        let mut setup = Setup::connected();
        let mut pages = setup.client().list_pages::<u32>(Request::list("rows"));
        setup.settle();
        setup.reply(0, 200, &json!({"next": named, "results": [1, 2]}));
        next(&mut pages);
        setup.settle();
        setup.reply(1, 200, &json!({"next": named, "results": [1, 2]}));
        let Some(Some(Err(ReplyError::Decode(error)))) = Setup::poll(pages.next()) else {
            panic!("expected an error")
        };
        assert_eq!(error.expected, "another page, the server sent the one before again");
        assert!(is_finished(&mut pages));
    }
}

#[test]
fn r12_object_that_is_no_page_is_an_error() {
    for reply in [json!({"count": 2, "results": [1, 2]}), json!({"items": [1, 2]}), json!(null)] {
        let mut setup = Setup::connected();
        let mut items = setup.client().list_all::<u32>(Request::list("rows"));
        setup.settle();
        setup.reply(0, 200, &reply);
        let Some(Some(Err(ReplyError::Decode(error)))) = Setup::poll(items.next()) else {
            panic!("expected an error")
        };
        assert_eq!(error.expected, "expected a page or an array", "{reply}");
    }
}

#[test]
fn r12_error_is_the_last_item_of_pages() {
    let mut setup = Setup::connected();
    let mut forbidden = setup.client().list_pages::<u32>(Request::list("rows"));
    let mut wrong = setup.client().list_all::<u32>(Request::list("rows"));
    setup.settle();
    setup.reply(0, 200, &page(5, 0, &[1, 2]));
    setup.reply(1, 200, &json!({"detail": "no list"}));
    next(&mut forbidden);
    setup.settle();
    setup.reply(2, 403, &Value::Null);
    let error_reply = Setup::poll(forbidden.next()).unwrap().unwrap().unwrap_err();
    let ReplyError::Stream(ReplyStreamError::Request(RequestError::ErrorReply(error_reply))) =
        error_reply
    else {
        panic!("{error_reply:?}")
    };
    assert_eq!(error_reply.status, Some(403));
    assert!(is_finished(&mut forbidden));
    assert!(matches!(Setup::poll(wrong.next()), Some(Some(Err(ReplyError::Decode(_))))));
    assert!(wrong.is_terminated());
    assert_eq!(Setup::poll(wrong.next()), Some(None));
}

#[test]
fn r12_rejected_page_request_is_an_error() {
    let mut config = Config::default();
    config.outbox.count = 0;
    let setup = Setup::new(config);
    let mut pages = setup.client().list_pages::<u32>(Request::list("rows"));
    let error = Setup::poll(pages.next()).unwrap().unwrap().unwrap_err();
    let ReplyError::Stream(ReplyStreamError::Request(RequestError::Rejected(_))) = error else {
        panic!("{error:?}")
    };
    assert!(is_finished(&mut pages));
}

#[test]
fn r12_pages_survive_a_reconnect() {
    let mut setup = Setup::connected();
    let mut items = setup.client().list_all(Request::list("rows"));
    setup.settle();
    setup.reply(0, 200, &page(4, 0, &[1, 2]));
    assert_eq!(read(&mut items), [1, 2]);
    setup.settle();
    // R4: a list is idempotent.
    setup.disconnect(ConnectionError::Dropped);
    setup.advance(Duration::from_secs(2));
    assert_eq!(limit_and_offset(&setup, 2), (json!(2), json!(2)));
    setup.reply(2, 200, &page(4, 2, &[3, 4]));
    assert_eq!(read(&mut items), [3, 4]);
}

#[test]
fn r12_dropped_pages_request_no_more() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().list_pages(Request::list("rows"));
    setup.settle();
    setup.reply(0, 200, &page(5, 0, &[1, 2]));
    next(&mut pages);
    drop(pages);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["list"]);
    assert_eq!(setup.client().stats().requests, 0);
}

#[test]
fn r12_streamed_pages_are_one_request() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().stream_pages(Request::list("rows").arg("limit", 2));
    setup.settle();
    assert_eq!(pages.total(), None);
    setup.reply(0, 200, &page(5, 0, &[1, 2]));
    setup.reply(0, 200, &page(5, 2, &[3, 4]));
    assert_eq!(next(&mut pages).results, [1, 2]);
    assert_eq!(pages.total(), Some(5));
    assert_eq!(next(&mut pages).results, [3, 4]);
    setup.reply(0, 200, &page(5, 4, &[5]));
    assert_eq!(next(&mut pages).results, [5]);
    assert!(is_finished(&mut pages));
    drop(pages);
    setup.settle();
    assert_eq!(setup.sent_actions(), ["list"], "a finished stream needs no cancel");
    assert_eq!(setup.client().stats().requests, 0);
}

#[test]
fn r12_dropping_streamed_pages_or_their_items_sends_list_cancel() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().stream_pages(Request::list("rows"));
    let mut items = setup.client().stream_pages(Request::list("rows")).items();
    let named = Request::list("rows").cancel_action("enough");
    let named = setup.client().stream_pages::<u32>(named);
    setup.settle();
    setup.reply(0, 200, &page(5, 0, &[1, 2]));
    setup.reply(1, 200, &page(5, 0, &[1, 2]));
    next(&mut pages);
    assert_eq!(Setup::poll(items.next()), Some(Some(Ok(1))));
    drop((pages, items, named));
    setup.settle();
    let sent = setup.sent_actions();
    assert_eq!(sent[3..], ["list_cancel", "list_cancel", "enough"]);
}

#[test]
fn r12_error_is_the_last_item_of_streamed_pages() {
    let mut setup = Setup::connected();
    let mut pages = setup.client().stream_pages::<u32>(Request::list("rows"));
    setup.settle();
    setup.reply(0, 200, &json!({"detail": "no page"}));
    assert!(matches!(Setup::poll(pages.next()), Some(Some(Err(ReplyError::Decode(_))))));
    assert!(is_finished(&mut pages));
    setup.settle();
    assert_eq!(
        setup.sent_actions(),
        ["list", "list_cancel"],
        "the server may still be sending pages"
    );

    let mut pages = setup.client().stream_pages::<u32>(Request::list("rows"));
    setup.settle();
    setup.reply(2, 200, &page(5, 0, &[1, 2]));
    setup.disconnect(ConnectionError::Dropped);
    next(&mut pages);
    let interrupted = ReplyError::Stream(ReplyStreamError::Interrupted { received: 1 });
    assert_eq!(Setup::poll(pages.next()), Some(Some(Err(interrupted))));
    assert!(is_finished(&mut pages));
}

#[test]
fn r12_reader_of_pages_is_woken() {
    for streamed in [false, true] {
        let mut setup = Setup::connected();
        let request = Request::list("rows");
        let mut pages = if streamed {
            setup.client().stream_pages::<u32>(request)
        } else {
            setup.client().list_pages(request)
        };
        setup.settle();
        let reader = Task::new();
        assert_eq!(reader.poll(pages.next()), None);
        setup.reply(0, 200, &page(4, 0, &[1, 2]));
        assert!(reader.is_woken());
        assert!(reader.poll(pages.next()).is_some());
        assert_eq!(reader.poll(pages.next()), None);
        setup.drop_driver();
        assert!(reader.is_woken());
        let sent = streamed;
        let stopped = RequestError::Closed { reason: CloseReason::DriverStopped, sent };
        let stopped = ReplyError::Stream(ReplyStreamError::Request(stopped));
        assert_eq!(reader.poll(pages.next()), Some(Some(Err(stopped))));
        assert!(is_finished(&mut pages) && !reader.has_waker());
    }
}

#[test]
fn r12_dropped_pages_leave_no_waker() {
    for streamed in [false, true] {
        let mut setup = Setup::connected();
        let request = Request::list("rows");
        let mut items = if streamed {
            setup.client().stream_pages::<u32>(request).items()
        } else {
            setup.client().list_all(request)
        };
        setup.settle();
        let reader = Task::new();
        assert_eq!(reader.poll(items.next()), None);
        drop(items);
        assert!(!reader.has_waker());
        setup.reply(0, 200, &page(2, 0, &[1, 2]));
        assert_eq!(setup.client().stats().late, 1);
    }
}
