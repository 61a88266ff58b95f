//! Each rule of `dcrf-proto/RULES.md` has a test whose name begins with its number, and each such test has a rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The folders that contain tests of the rules.
const FOLDERS: [&str; 7] = [
    "dcrf-proto/src",
    "dcrf-proto/tests",
    "dcrf-tokio",
    "dcrf-smol",
    "dcrf-blocking",
    "tests/src/stories",
    "tests/tests",
];

/// The number at the beginning of a test's name, such as `r4` of `r4_sent_request_fails_once`.
fn number_of(name: &str) -> Option<&str> {
    let (number, _) = name.split_once('_')?;
    let digits = number.strip_prefix(['l', 'r', 's', 'v', 'f', 'c', 'x'])?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// Collects the numbers that begin the names of functions below a folder.
fn collect_tested(folder: &Path, tested: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tested(&path, tested);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).unwrap();
            tested.extend(code.split("fn ").skip(1).filter_map(number_of).map(str::to_owned));
        }
    }
}

#[test]
fn every_rule_has_a_test_and_every_numbered_test_a_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tested = BTreeSet::new();
    for folder in FOLDERS {
        collect_tested(&root.join(folder), &mut tested);
    }
    let rules = fs::read_to_string(root.join("dcrf-proto/RULES.md")).unwrap();
    let rules: BTreeSet<String> = rules
        .split("\n- **")
        .skip(1)
        .map(|rule| rule.split_once("**").unwrap().0.to_lowercase())
        .collect();
    let untested: Vec<_> = rules.difference(&tested).collect();
    assert!(untested.is_empty(), "rules without a test: {untested:?}");
    let unknown: Vec<_> = tested.difference(&rules).collect();
    assert!(unknown.is_empty(), "tests without a rule in RULES.md: {unknown:?}");
}
