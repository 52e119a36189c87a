//! SPECIFICATION.md names tests that exist.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use hil_tests::peer::repository;

#[test]
fn every_promise_names_tests_that_exist() {
    let text = std::fs::read_to_string(repository().join("SPECIFICATION.md")).unwrap();
    let mut promises = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")) {
        let tests = row.split('|').nth(3).unwrap();
        let mut source = None;
        let mut named = 0;
        for word in tests.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") {
                let file = std::fs::read_to_string(repository().join(word));
                source = Some(file.unwrap_or_else(|error| panic!("{word}: {error}\n{row}")));
            } else {
                let source = source.as_ref().unwrap_or_else(|| panic!("no file before {word}\n{row}"));
                assert!(source.contains(&format!("fn {word}(")), "there is no test {word}\n{row}");
                named += 1;
            }
        }
        assert!(named > 0, "no test is named\n{row}");
        promises += 1;
    }
    assert!(promises > 30, "only {promises} promises were found");
}
