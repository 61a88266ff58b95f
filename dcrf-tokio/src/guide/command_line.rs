//! The command line: requests, imports and live changes from a shell.
//!
//! The crate `dcrf-cli` has the command `dcrf`. It talks to any DCRF server, and needs no code. Until the first release,
//! install it from a checkout of the repository:
//!
//! ```sh
//! cargo install --path dcrf-cli --locked
//! ```
//!
//! # A session to follow
//!
//! Start the test server of the repository as its `tests/server/README.md` says, on port 8000. In another terminal:
//!
//! ```console
//! $ dcrf context add local ws://localhost:8000/ws/
//! local is the current context
//! $ dcrf list tasks
//! PK  TITLE   DONE   PRIORITY
//! 1   task 1  false  1
//! 2   task 2  false  2
//! 3   task 3  false  3
//! 4   task 4  false  4
//! 5   task 5  false  5
//! ```
//!
//! A field is `name=text` or `name:=json`. An error reply is a message for each field, and the exit code says what kind of
//! failure it was:
//!
//! ```console
//! $ dcrf create tasks title='Write docs' priority:=3
//! pk        6
//! title     Write docs
//! done      false
//! priority  3
//! $ dcrf create tasks priority:=high
//! error: the field priority is not JSON: expected value at line 1 column 1; for a text write priority=…
//! $ dcrf create tasks priority=high; echo "exit code $?"
//! error: the server replied to `create` with status 400
//!   title: This field is required.
//!   priority: A valid integer is required.
//! exit code 1
//! ```
//!
//! In a pipe, each object is a line of JSON. What one command prints is what another reads:
//!
//! ```console
//! $ dcrf list tasks | head -n 2
//! {"pk": 1, "title": "task 1", "done": false, "priority": 1}
//! {"pk": 2, "title": "task 2", "done": false, "priority": 2}
//! $ printf 'title,priority:=\nfrom a file,8\nand another,9\n' > tasks.csv
//! $ dcrf create tasks @tasks.csv --concurrency 1 > created.jsonl
//! 2 done, 0 refused, 0 unsure
//! $ dcrf delete tasks - < created.jsonl
//! 2 done, 0 refused, 0 unsure
//! ```
//!
//! `watch` prints the state, and then each change, until Ctrl-C. If the server restarts, it reconnects, prints a gap, and the
//! state again. In a pipe, a script reads a line of JSON for each:
//!
//! ```console
//! $ dcrf watch tasks 6 --count 1
//! watching tasks; Ctrl-C ends
//! snapshot  1 object
//! PK  TITLE       DONE   PRIORITY
//! 6   Write docs  false  3
//! $ dcrf watch tasks 6 --count 2 -q | while read -r change; do echo "$change"; dcrf patch tasks 6 done:=true -q > /dev/null; done
//! {"change":"snapshot","data":[{"pk": 6, "title": "Write docs", "done": false, "priority": 3}]}
//! {"change":"update","pk":6,"data":{"pk": 6, "title": "Write docs", "done": true, "priority": 3}}
//! ```
//!
//! # Commands
//!
//! | command | does |
//! | --- | --- |
//! | `list`, `get`, `create`, `update`, `patch`, `delete` | one request; `list --all` reads all pages |
//! | `create`, `update`, `patch` and `delete` with `@FILE` or `-` | a request for each object, from JSON or CSV |
//! | `call STREAM ACTION` | any other action; `--replies` prints each of many replies |
//! | `watch STREAM [KEY]` | the changes of an object, or of a feed (`--action`) |
//! | `watch STREAM --live` | a feed as a full-screen table |
//! | `listen [STREAM]` | messages that the server pushes |
//! | `record`, `replay` | conversations of any client, as a file |
//! | `doctor [URL] [STREAM]` | connects step by step, and says what is wrong and what to change where |
//! | `bench` | load for a server, with latencies, lost events and times to recover; `bench merge` adds the results of several machines |
//! | `context`, `login` | names for servers, and sessions of Django |
//! | `completions`, `man` | for your shell |
//!
//! `dcrf COMMAND --help` has all options and examples.
//!
//! Arguments of `list` are sent to the consumer. One that has no such filter ignores it, and the list is complete: look before
//! you delete what it prints. If the list is one page of several, `dcrf` says so; `--all` reads all of them.
//!
//! # Imports
//!
//! An import sends several requests at the same time (`--concurrency`). At the end it says how many objects were done,
//! refused by the server, and unsure: the connection was lost after they were sent, so the server may have written them.
//! They are not sent again.
//!
//! With `--journal FILE` an import can be interrupted at any time, even with `kill -9`. Run the same command again: it
//! skips what was done, tries again what was refused, and reports what is unsure, unless you say `--retry-unsure`.
//!
//! # A live table
//!
//! `dcrf watch tasks --live` shows all objects of a feed in a full-screen table: a [live collection](super::live_data). It
//! stays right through restarts of the server. Meanwhile, the rows stay, the first line says since when they are out of date,
//! and the last line why, and when it connects again.
//!
//! `?` shows the keys: `s` and `S` sort by the column that the arrow keys choose, `/` searches in all fields, and `f` follows
//! the selected row, with all its fields and a `*` at those that its last change has changed. A feed that never replies to its
//! subscribe needs `--no-ack`, and `--key-at /message/pk` if its events have no data.
//!
//! # A connection that fails
//!
//! `dcrf doctor` dials step by step. What is wrong has its likely causes, with the file and the setting to change:
//!
//! ```text
//! $ dcrf doctor ws://localhost:8000/ws tasks
//! ! url          ws://localhost:8000/ws: the path has no slash at its end
//!                - most routes of Django end with one, and Channels does not add it: try ws://localhost:8000/ws/
//! ✓ dns          localhost is 127.0.0.1
//! ✓ tcp          127.0.0.1:8000 accepts connections, after 0.2 ms
//! ✗ handshake    the handshake is answered with HTTP status 500: no route matches /ws, but one matches /ws/: the slash at the end is missing
//!                - write /ws/ in the URL
//! error: this step failed: handshake
//! ```
//!
//! Names, addresses, TLS, proxies such as nginx, origins, permissions, routes, subprotocols, framing, streams, lists, keys and
//! feeds are checked in this order. It only reads, so it can be used with a server in production. `-o jsonl` prints a line for
//! each step, for a monitor.
//!
//! # Load
//!
//! `dcrf bench` puts load on a server: clients that subscribe, requests, and writes whose events all subscribers get. The rates
//! are fixed in advance, and each latency counts from the time at which its request was due: a slow server can't slow down
//! the load, and so hide how slow it is. Each write carries a number, by which lost and doubled events are counted.
//!
//! ```sh
//! dcrf bench --clients 1000 --ramp 10s --subscribe tasks --write 4 --write-field title --html report.html
//! dcrf bench --clients 50 --requests 500 --request 'retrieve tasks pk:=1'
//! dcrf bench --clients 1000 --subscribe tasks --for 2m --restart-at 30s    # restart the server then
//! dcrf bench merge one.json other.json                                     # results of several machines
//! ```
//!
//! The rows that it writes are its own, and it deletes them at the end. Look at the line "delay of dcrf itself" first: if it is
//! large, the machine of `dcrf` is the limit, and not the server. More than 28,000 clients need more addresses to connect
//! from (`--bind`), and each client an open file (`ulimit -n`).
//!
//! # Recording and replaying
//!
//! `dcrf record` is a proxy. Clients in any language connect to it, and it writes their text frames as lines of JSON:
//!
//! ```sh
//! dcrf record --listen 127.0.0.1:9000 --out session.jsonl --redact password
//! # … let the client connect to ws://127.0.0.1:9000/ws/, then press Ctrl-C
//! dcrf replay session.jsonl                            # sends the client's frames to the server
//! dcrf replay session.jsonl --listen 127.0.0.1:9000    # plays the server for the client
//! ```
//!
//! Against a server, each reply is compared with the recorded one: the status, the action, and the names and types of its data,
//! or with `--strict` its values. The differences are printed, and the exit code is 1. So a recording is a regression test
//! for a server, and for a client that runs without one. Headers, cookies and URLs are never recorded. Data is, unless
//! `--redact FIELD` or `--redact-all` replaces it by placeholders. The
//! library's fake server plays the same file inside of a test, see [testing](super::testing).
//!
//! # Signing in
//!
//! A secret on a command line can be read by every user of the machine, so `dcrf` does not accept it there.
//!
//! | the server wants | write |
//! | --- | --- |
//! | a session of Django | `dcrf login USER`; it asks for the password, and stores the session in the context |
//! | a token that expires | `--token-cmd 'COMMAND'`, which runs before each connection |
//! | DRF's `Authorization: Token …` | `--token-cmd` with `--token-as token`; also `cookie:NAME`, `query:NAME`, `header:NAME` and `subprotocol` |
//! | any header or cookie | `--header NAME=env:VARIABLE` or `--header NAME=@FILE`; `--cookie` likewise |
//!
//! A context stores these options, in a file that only you can read: `dcrf context add prod wss://example.com/ws/ --token-cmd
//! 'pass show example'`.
//!
//! # In scripts
//!
//! Data is on standard output, and states and errors are on standard error. `-o` selects the form: `table`, `json`, `jsonl` or
//! `raw`, which is what the server sent. `--for`, `--count` and `--until` end a `watch` or `listen`.
//!
//! | exit code | means |
//! | --- | --- |
//! | 0 | ok |
//! | 1 | the server replied with an error, its consumer raised an exception, or a replay differs from its recording |
//! | 2 | a wrong argument, file or input |
//! | 3 | cannot connect |
//! | 4 | not authorized: status 401 or 403 |
//! | 5 | timed out |
//! | 6 | unsure: the server may have acted on the request |
//! | 7 | changes may be missing, with `--fail-on-gap` |
//! | 8 | the output can't be written; a request has succeeded |
//! | 130 | interrupted with Ctrl-C |
//!
//! `--for` limits the whole command, with the time to connect. A shell lets jobs in the background of a script ignore Ctrl-C:
//! end them with `kill`, or with these options.
//!
//! ```sh
//! # Waits until task 4 is done, for at most five minutes.
//! dcrf watch tasks 4 --until '{"data": {"done": true}}' --for 5m --quiet
//! ```
