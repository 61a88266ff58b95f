//! A page in Chromium, driven over the `DevTools` protocol.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::LIMIT;

/// Dropping it ends the browser.
pub(crate) struct Browser {
    process: Child,
    profile: PathBuf,
    socket: WebSocket<TcpStream>,
    requests: u64,
    session: Value,
}

impl Browser {
    /// Opens a page.
    pub(crate) fn open(url: &str) -> Self {
        let profile = env::temp_dir().join(format!("dcrf-tests-browser-{}", std::process::id()));
        let mut process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--no-proxy-server", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stderr(Stdio::piped())
            .spawn()
            .expect("install Chromium: `.ci/chromium` does it on Debian");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let devtools = lines
            .by_ref()
            .find_map(|line| Some(line.ok()?.strip_prefix("DevTools listening on ")?.to_owned()))
            .expect("Chromium starts");
        // Otherwise Chromium could block on its log.
        std::thread::spawn(move || lines.for_each(drop));
        let address = devtools.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (socket, _) = tungstenite::client(&devtools, stream).unwrap();

        let mut browser = Self { process, profile, socket, requests: 0, session: Value::Null };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", &attach)["sessionId"].clone();
        browser.call("Page.navigate", &json!({ "url": url }));
        browser
    }

    /// Waits until the page shows `text`.
    pub(crate) fn expect_text(&mut self, text: &str) {
        self.expect(&format!("document.body?.innerText.includes({})", json!(text)));
    }

    /// Waits until a JavaScript expression about the page is true.
    pub(crate) fn expect(&mut self, condition: &str) {
        self.evaluate(&format!(
            "new Promise(done => {{
                const look = () => ({condition}) && (observer.disconnect(), done(true));
                const observer = new MutationObserver(look);
                observer.observe(document, {{subtree: true, childList: true, characterData: true}});
                look();
            }})"
        ));
    }

    /// The value of a JavaScript expression, or of its promise.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let arguments =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let reply = self.call("Runtime.evaluate", &arguments);
        assert!(reply.get("exceptionDetails").is_none(), "{expression}: {reply}");
        reply["result"]["value"].clone()
    }

    fn call(&mut self, method: &str, arguments: &Value) -> Value {
        self.requests += 1;
        let mut request = json!({"id": self.requests, "method": method, "params": arguments});
        if self.session != Value::Null {
            request["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let message = self.socket.read();
            let message = message.unwrap_or_else(|error| panic!("{method} {arguments}: {error}"));
            let reply: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if reply["id"] == json!(self.requests) {
                assert!(reply.get("error").is_none(), "{method} {arguments}: {reply}");
                return reply["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its child processes end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
