//! Requests with many replies: streamed lists, and lists requested page by page.

use dcrf_proto::client::ReplyError;
use dcrf_proto::{Page, ReplyStreamError, Request, RequestError};

use super::connect_to_shared;
use crate::adapter::{Adapter, quick_config};
use crate::models::Row;
use crate::observe::{Mark, connected, eventually, lost, restarted};
use crate::server::Server;

/// A list streamed in pages of three.
pub async fn r12_streamed_list_is_read_to_the_end<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

    let mut pages = client.stream_pages::<Row>(Request::list("row_stream"));
    let mut offsets = Vec::new();
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        offsets.push(page.offset);
        ids.extend(page.results.iter().map(|row| row.id));
        assert_eq!(pages.total(), Some(8));
    }
    assert_eq!((offsets, ids), (vec![Some(0), Some(3), Some(6)], (1..=8).collect()));
    drop(pages);

    // The same with `stream` and `until`, and another limit.
    let request = Request::list("row_stream").arg("limit", 5);
    let mut pages = client.stream::<Page<Row>>(request).until(Page::is_last);
    assert_eq!(pages.next().await.unwrap().unwrap().results.len(), 5);
    assert_eq!(pages.next().await.unwrap().unwrap().results.len(), 3);
    assert!(pages.next().await.is_none());
    drop(pages);

    assert_eq!(mark.actions(server), [["row_stream/list", "row_stream/list"]]);
    assert_eq!((client.stats().late, client.stats().unhandled), (0, 0));
}

/// Dropping the stream sends the cancel action. DCRF replies 405 to it, and its stream keeps
/// working.
pub async fn r12_dropped_streamed_list_is_cancelled<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

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
    // At least the last page or the reply to the cancel arrives late.
    assert!(client.stats().late >= 1);
    assert_eq!(client.stats().unhandled, 0);
}

/// An error reply is the only item.
pub async fn r12_unknown_streamed_list_is_one_error<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

    let mut pages = client.stream_pages::<Row>(Request::new("row_stream", "no_such_action"));
    let Some(Err(ReplyError::Stream(ReplyStreamError::Request(RequestError::ErrorReply(
        error_reply,
    ))))) = pages.next().await
    else {
        panic!("expected an error reply")
    };
    assert_eq!(error_reply.status, Some(405));
    assert!(pages.next().await.is_none());
}

/// Each page is a request, and every page carries the total.
pub async fn r12_pages_are_requested_one_by_one<A: Adapter>(adapter: A) {
    let server = &adapter.shared();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(server), quick_config()).await.unwrap();

    let mut pages = client.list_pages::<Row>(Request::list("row_pages"));
    assert_eq!(pages.total(), None);
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().results.len());
        assert_eq!(pages.total(), Some(8));
    }
    assert_eq!(sizes, [3, 3, 2]);

    let [journal] = mark.connections(server).try_into().unwrap();
    let requested = journal.payloads("row_pages").map(|payload| {
        assert_eq!(payload["action"], "list");
        (payload["limit"].as_u64(), payload["offset"].as_u64())
    });
    let requested: Vec<_> = requested.collect();
    assert_eq!(requested, [(None, None), (Some(3), Some(3)), (Some(3), Some(6))]);
}

/// `list_all` handles pages and plain arrays alike.
pub async fn r12_list_all_yields_every_object<A: Adapter>(adapter: A) {
    let client = connect_to_shared(&adapter).await;

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

/// The server dies during a stream without a known end: the replies received so far are delivered,
/// then the error. A later request waits for the server.
pub async fn r12_server_death_interrupts_a_stream<A: Adapter>(adapter: A) {
    let mut server = Server::start().unwrap();
    let mark = Mark::new("/ws/");
    let client = adapter.connect(&mark.url(&server), quick_config()).await.unwrap();
    let mut events = client.events();

    let endless = Request::list("row_stream").cancel_action("list_cancel");
    let mut pages = client.stream::<Page<Row>>(endless);
    for offset in [0, 3, 6] {
        assert_eq!(pages.next().await.unwrap().unwrap().offset, Some(offset));
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
