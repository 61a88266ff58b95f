//! The guide: how to use the client, task by task. Each page stands alone.
//!
//! | page | contents |
//! | --- | --- |
//! | [Recipes](recipes) | a live list, a feed, many requests at once, sharing a client, progress bars, long lists, unsolicited messages, errors |
//! | [Live data](live_data) | a local copy of a list that follows the server: the recipe, the server's side, what can't be known |
//! | [Outages](outages) | what happens when the connection is lost, what closes the client for good, how to help it |
//! | [Signing in](signing_in) | headers, cookies, tokens that expire, another user |
//! | [Connecting](connecting) | TLS, client certificates, proxies, Unix sockets |
//! | [Deployment](deployment) | nginx, Redis, many workers, restarts |
//! | [Coming from dcrf-client](dcrf_client) | each call and option of the JavaScript client, and its name here |
//! | [Testing your program](testing) | a server in memory, outages without waiting, views of collections, recordings, errors as values |
//! | [Observability](observability) | states, metrics, logs |
//! | [Performance](performance) | what an event costs, and how costs grow |
//! | [Limits](limits) | queues and buffers, sizes of messages, what DCRF can't do |
//! | [The command line](command_line) | `dcrf`: requests, imports and live changes from a shell |
//! | [Troubleshooting](troubleshooting) | common errors and their causes |
//! | [Embedding the core](embedding) | a client in your own event loop |
//!
//! [`dcrf_proto::rules`] says exactly what the client does, rule by rule.
//!
//! The examples use `dcrf-tokio`. In `dcrf-smol` all names are the same. In `dcrf-blocking` they are too, but each call
//! blocks and returns its result, so there is no `.await`, and subscriptions and other streams are iterators.

pub mod command_line;
pub mod connecting;
pub mod dcrf_client;
pub mod deployment;
pub mod embedding;
pub mod limits;
pub mod live_data;
pub mod observability;
pub mod outages;
pub mod performance;
pub mod recipes;
pub mod signing_in;
pub mod testing;
pub mod troubleshooting;
