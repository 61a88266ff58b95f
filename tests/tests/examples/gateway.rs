//! The gateway and its page in a browser.

use dcrf_tests::models::Card;
use dcrf_tests::server::Server;
use serde_json::json;

use crate::browser::Browser;
use crate::outage;
use crate::process::Example;

const GATEWAY: &str = env!("CARGO_BIN_EXE_example-gateway");

/// The status of a request of the page to the gateway.
fn fetch(browser: &mut Browser, method: &str, path: &str, body: Option<&str>) -> u64 {
    let headers = json!({"content-type": "application/json"});
    let options = json!({"method": method, "headers": headers, "body": body});
    let status =
        browser.evaluate(&format!("fetch('{path}', {options}).then(reply => reply.status)"));
    status.as_u64().unwrap()
}

#[test]
fn page_of_the_gateway_is_live_through_a_restart_of_django() {
    let mut server = Server::start().unwrap();
    let gateway = Example::start(GATEWAY, &[&server.url("/ws/"), "127.0.0.1:0"]);
    let line = gateway.expect_line("listening on ");
    let mut browser = Browser::open(line.strip_prefix("listening on ").unwrap());
    let page = &mut browser;
    page.expect_text("card 3");
    page.expect("document.getElementById('status').textContent === 'live'");

    // The page's own writes, and those of another client.
    page.evaluate("document.getElementById('title').value = 'from the page'");
    page.evaluate("document.querySelector('button').click()");
    page.expect_text("from the page");
    let client = dcrf_blocking::connect(&server.url("/ws/")).unwrap();
    let cards = client.resource::<Card>("cards");
    let card = cards.create(&json!({"title": "from elsewhere"})).unwrap();
    page.expect_text("from elsewhere");
    let path = format!("/cards/{}", card.id);
    assert_eq!(fetch(page, "PATCH", &path, Some(r#"{"title": "patched"}"#)), 200);
    page.expect_text("patched");
    assert_eq!(fetch(page, "PATCH", &path, Some(r#"{"title": ""}"#)), 400);
    assert_eq!(fetch(page, "GET", &path, None), 200);
    assert_eq!(fetch(page, "DELETE", &path, None), 204);
    page.expect("!document.body.innerText.includes('patched')");
    assert_eq!(fetch(page, "GET", &path, None), 404);

    outage(&mut server, |other| {
        let other = other.resource::<Card>("cards");
        other.create(&json!({"title": "made in the outage"})).unwrap();
        other.delete(1).unwrap();
    });
    page.expect("document.getElementById('status').textContent !== 'live'");
    page.expect_text("card 1");
    // Without Django, the gateway still serves reads.
    assert_eq!(fetch(page, "GET", "/cards/1", None), 200);
    assert_eq!(fetch(page, "POST", "/cards", Some(r#"{"title": "lost"}"#)), 503);

    server.restart().unwrap();
    page.expect_text("made in the outage");
    page.expect("!document.body.innerText.includes('card 1')");
    page.expect("document.getElementById('status').textContent === 'live'");
    cards.patch(2, &json!({"title": "after the outage"})).unwrap();
    page.expect_text("after the outage");
}
