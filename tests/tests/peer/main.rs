//! Compares the frames that our core sends with those of dcrf-client, the TypeScript client: they are equal, or
//! differ for a stated reason. See `tests/peer/README.md`.

mod counterparts;
mod differences;
mod hooks;
mod ours;
mod recording;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use counterparts::Counterpart;
use differences::DIFFERENCES;
use recording::Connection;

fn counterparts() -> BTreeMap<&'static str, Counterpart> {
    let tables = [
        counterparts::REQUESTS,
        counterparts::OUTAGES,
        counterparts::SUBSCRIPTIONS,
        counterparts::ENDS,
        hooks::HOOKS,
    ];
    let all = || tables.into_iter().flatten().copied();
    let counterparts: BTreeMap<_, _> = all().collect();
    assert_eq!(counterparts.len(), all().count(), "a usage has two counterparts");
    counterparts
}

#[test]
fn frames_equal_those_of_dcrf_client_or_differ_on_purpose() {
    let mut recorded = recording::recording().usages;
    let mut wrong = Vec::new();
    for (usage, counterpart) in counterparts() {
        let theirs = recorded.remove(usage).unwrap_or_else(|| panic!("{usage} is not recorded"));
        let ours = counterpart().connections();
        let expected = match DIFFERENCES.iter().find(|difference| difference.usage == usage) {
            Some(difference) => {
                let expected = serde_json::from_value((difference.ours)()).expect("connections");
                assert_ne!(theirs, expected, "{usage} does not differ");
                expected
            }
            None => theirs,
        };
        if ours != expected {
            wrong.push(format!(
                "\n{usage}\nexpected{}\nsent{}",
                format_frames(&expected),
                format_frames(&ours)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());

    let missing: Vec<_> = recorded.keys().collect();
    assert!(missing.is_empty(), "usages without a counterpart: {missing:?}");
}

fn format_frames(connections: &[Connection]) -> String {
    let lines = connections.iter().enumerate().flat_map(|(n, connection)| {
        let frames = connection.sent.iter().map(move |frame| format!("\n  {n} {frame}"));
        frames.chain(connection.close.map(|code| format!("\n  {n} close {code}")))
    });
    lines.collect()
}

#[test]
fn readme_lists_every_difference_with_its_reason() {
    let readme =
        fs::read_to_string(recording::folder().join("README.md")).expect("README.md can be read");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let counterparts = counterparts();
    for difference in DIFFERENCES {
        let usage = difference.usage;
        assert!(counterparts.contains_key(usage), "{usage} has no counterpart");
        let name = format!("`{usage}`");
        let is_listed = |row: &str| row.contains(&name) && row.contains(difference.reason);
        assert!(rows.iter().any(|row| is_listed(row)), "README.md lacks {usage} or its reason");
    }
}

#[test]
fn readme_cites_rules_and_tests_that_exist() {
    let readme =
        fs::read_to_string(recording::folder().join("README.md")).expect("README.md can be read");
    let sections: Vec<&str> = readme
        .split("\n## ")
        .filter(|section| ["Faults of", "Features of"].iter().any(|of| section.starts_with(of)))
        .collect();
    assert_eq!(sections.len(), 2);
    let rows = sections.iter().flat_map(|section| section.lines());
    let rows = rows.filter(|line| line.starts_with("| ") && !line.ends_with("| shown by |"));
    // S2 stands for the tests whose names begin with `s2_`.
    let cited = |row: &str| -> Vec<String> {
        let cell = row.split('|').nth(2).unwrap_or_default();
        let citation = |text: &str| match text.trim().strip_prefix('`') {
            Some(test) => test.trim_end_matches('`').to_owned(),
            None => format!("{}_", text.trim().to_lowercase()),
        };
        cell.split(',').map(citation).collect()
    };
    let citations: Vec<String> = rows.flat_map(cited).collect();
    assert!(citations.len() > 50, "{citations:?}");
    let mut code = String::new();
    for folder in ["dcrf-proto/tests", "dcrf-tokio/tests", "tests/src/stories", "tests/tests"] {
        read_all(&recording::folder().join("../..").join(folder), &mut code);
    }
    let is_missing = |test: &&String| !code.contains(&format!("fn {test}"));
    let missing: Vec<_> = citations.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn read_all(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            read_all(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path).expect("the file can be read"));
        }
    }
}
