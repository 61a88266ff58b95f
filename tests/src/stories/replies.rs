//! Requests with many replies: lists that the server streams, and lists that are asked for page by page.

use dcrf_proto::client::ReplyError;
use dcrf_proto::{Page, ReplyStreamError, Request, RequestError};

use super::visit;
use crate::adapter::{Adapter, quick};
use crate::models::Row;
use crate::observe::{Mark, connected, eventually, lost, restarted};
use crate::server::Server;

/// A list that the server streams in pages of three, read to its end.
pub async fn r12_a_streamed_list_is_read_to_its_end<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick()).await.unwrap();

    let mut pages = client.stream_pages::<Row>(Request::list("row_stream"));
    let mut offsets = Vec::new();
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        offsets.push(page.offset);
        ids.extend(page.results.iter().map(|row| row.id));
        assert_eq!(pages.total(), Some(8));
    }
    assert_eq!((offsets, ids), (vec![0, 3, 6], (1..=8).collect()));
    drop(pages);

    // The same by hand, with another limit.
    let request = Request::list("row_stream").arg("limit", 5);
    let mut pages = client.stream::<Page<Row>>(request).until(Page::is_last);
    assert_eq!(pages.next().await.unwrap().unwrap().results.len(), 5);
    assert_eq!(pages.next().await.unwrap().unwrap().results.len(), 3);
    assert!(pages.next().await.is_none());
    drop(pages);

    assert_eq!(mark.actions(server), [["row_stream/list", "row_stream/list"]]);
    assert_eq!((client.stats().late, client.stats().unhandled), (0, 0));
}

/// One that is dropped in the middle has the server told. DCRF refuses that with 405, and the stream works on.
pub async fn r12_a_streamed_list_is_dropped_in_the_middle<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick()).await.unwrap();

    let mut pages = client.stream_pages::<Row>(Request::list("row_stream").arg("limit", 1));
    assert_eq!(pages.next().await.unwrap().unwrap().results[0].id, 1);
    drop(pages);
    let cancelled = || mark.count(server, "row_stream/list_cancel") == 1;
    eventually(&adapter, "the cancel arrives", cancelled).await;

    let mut again = client.stream_pages::<Row>(Request::list("row_stream").arg("limit", 8));
    assert_eq!(again.next().await.unwrap().unwrap().results.len(), 8);
    assert!(again.next().await.is_none());
    let sent = ["row_stream/list", "row_stream/list_cancel", "row_stream/list"];
    assert_eq!(mark.actions(server), [sent]);
    // Of eight pages at least the last came too late, or the answer to the cancel.
    assert!(client.stats().late >= 1);
    assert_eq!(client.stats().unhandled, 0);
}

/// A refused list is one error.
pub async fn r12_a_streamed_list_that_does_not_exist_is_refused<A: Adapter>(adapter: A) {
    let client = visit(&adapter).await;

    let mut pages = client.stream_pages::<Row>(Request::new("row_stream", "no_such_action"));
    let Some(Err(ReplyError::Stream(ReplyStreamError::Request(RequestError::ErrorReply(
        error_reply,
    ))))) = pages.next().await
    else {
        panic!("it was not refused")
    };
    assert_eq!(error_reply.status, Some(405));
    assert!(pages.next().await.is_none());
}

/// A list in pages, each by a request of its own, with the total that the server counts.
pub async fn r12_pages_are_asked_for_one_after_the_other<A: Adapter>(adapter: A) {
    let server = Server::shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick()).await.unwrap();

    let mut pages = client.list_pages::<Row>(Request::list("row_pages"));
    assert_eq!(pages.total(), None);
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().results.len());
        assert_eq!(pages.total(), Some(8));
    }
    assert_eq!(sizes, [3, 3, 2]);

    let [journal] = mark.connections(server).try_into().unwrap();
    let asked = journal.payloads("row_pages").map(|payload| {
        assert_eq!(payload["action"], "list");
        (payload["limit"].as_u64(), payload["offset"].as_u64())
    });
    let asked: Vec<_> = asked.collect();
    assert_eq!(asked, [(None, None), (Some(3), Some(3)), (Some(3), Some(6))]);
}

/// All objects of a list, whether the server has it in pages, in a stream of pages, or as an array.
pub async fn r12_all_objects_of_a_list<A: Adapter>(adapter: A) {
    let client = visit(&adapter).await;

    let mut rows = client.list_all::<Row>(Request::list("row_pages").arg("limit", 5));
    let mut ids = Vec::new();
    while let Some(row) = rows.next().await {
        ids.push(row.unwrap().id);
        assert_eq!(rows.total(), Some(8));
    }
    assert_eq!(ids, (1..=8).collect::<Vec<_>>());

    let mut gadgets = client.list_all::<crate::models::Gadget>(Request::list("gadgets"));
    let mut names = Vec::new();
    while let Some(gadget) = gadgets.next().await {
        names.push(gadget.unwrap().name);
    }
    assert_eq!(names[..2], ["anvil", "bell"]);
}

/// The server dies in a stream of which nobody has said where it ends: what had come is read, then why there is
/// no more. What is asked for after that waits for the server.
pub async fn r12_a_stream_is_interrupted_by_the_servers_death<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick()).await.unwrap();
    let mut events = client.events();

    let endless = Request::list("row_stream").cancel_action("list_cancel");
    let mut pages = client.stream::<Page<Row>>(endless);
    for offset in [0, 3, 6] {
        assert_eq!(pages.next().await.unwrap().unwrap().offset, offset);
    }
    server.kill().unwrap();
    let Some(Err(ReplyError::Stream(ended))) = pages.next().await else { panic!("no end") };
    assert_eq!(ended, ReplyStreamError::Interrupted { received: 3 });
    assert!(pages.next().await.is_none());

    lost(&mut events).await;
    let mut again = client.stream_pages::<Row>(Request::list("row_stream"));
    let server = restarted(&adapter, server).await;
    connected(&mut events).await;
    assert_eq!(again.next().await.unwrap().unwrap().results.len(), 3);
    drop(again);
    let cancelled = || mark.count(&server, "row_stream/list_cancel") == 1;
    eventually(&adapter, "the cancel arrives", cancelled).await;
    let [before, after]: [Vec<String>; 2] = mark.actions(&server).try_into().unwrap();
    assert_eq!(before, ["row_stream/list"]);
    assert_eq!(after, ["row_stream/list", "row_stream/list_cancel"]);
}
