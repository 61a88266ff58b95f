//! The server's README shows code that the tests run.

use std::fs;
use std::path::Path;

#[test]
fn readme_has_the_recommended_consumer() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
    let read = |name: &str| fs::read_to_string(server.join(name)).unwrap();
    let consumer = read("live/cards.py");
    let (_, code) = consumer.split_once("\n\n").expect("the code behind the docstring");
    assert!(read("README.md").contains(&format!("```python\n{code}```")));
}
