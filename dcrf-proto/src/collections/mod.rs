//! Live collections: local copies of the server's lists that follow its changes.

mod row_key;
mod rows;
mod store;
mod version;
