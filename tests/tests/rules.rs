//! `dcrf-proto/RULES.md` and the tests agree: each rule names its tests, each test named there exists, and
//! each test with a rule's number in its name is named there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The number that a test's name begins with, such as `r4` of `r4_written_request_fails_once`.
fn rule_of(name: &str) -> Option<&str> {
    let (number, _) = name.split_once('_')?;
    let digits = number.strip_prefix(['l', 'r', 's', 'f', 'c', 'x'])?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The functions below a folder that are named after a rule.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).unwrap();
            let names =
                code.split("fn ").skip(1).filter_map(|rest| rest.split(|c| !is_word(c)).next());
            found.extend(names.filter(|name| rule_of(name).is_some()).map(str::to_owned));
        }
    }
}

#[test]
fn every_rule_names_its_tests_and_every_test_its_rule() {
    let mut existing = BTreeSet::new();
    for folder in [
        "dcrf-proto/src",
        "dcrf-proto/tests",
        "dcrf-tokio",
        "dcrf-smol",
        "dcrf-blocking",
        "tests/src/stories",
        "tests/tests",
    ] {
        tests_below(&root().join(folder), &mut existing);
    }
    let rules = fs::read_to_string(root().join("dcrf-proto/RULES.md")).unwrap();
    let mut named = BTreeSet::new();
    for rule in rules.split("\n- **").skip(1) {
        let number = rule.split_once("**").unwrap().0.to_lowercase();
        let tests: Vec<&str> =
            rule.split('`').skip(1).step_by(2).filter(|name| rule_of(name).is_some()).collect();
        assert!(!tests.is_empty(), "rule {number} names no test");
        for test in tests {
            assert_eq!(rule_of(test), Some(&*number), "{test} stands below another rule");
            named.insert(test.to_owned());
        }
    }
    let missing: Vec<_> = named.difference(&existing).collect();
    assert!(missing.is_empty(), "named in RULES.md, but there is no such test: {missing:#?}");
    let unnamed: Vec<_> = existing.difference(&named).collect();
    assert!(unnamed.is_empty(), "not named in RULES.md: {unnamed:#?}");
}
