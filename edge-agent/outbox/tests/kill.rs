//! kill -9 of an appending process at random moments: every acknowledged event is there, whole, and no `seq` is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use outbox::{Limits, New, Outbox, OutboxError};

const FOLDER: &str = "OUTBOX_KILL_TEST_FOLDER";

fn payload(seq: u64) -> Vec<u8> {
    // Up to four chunks.
    let size = usize::try_from(seq * 977 % 13_000).unwrap();
    seq.to_be_bytes().iter().copied().cycle().take(size).collect()
}

/// Runs in the child process only: appends for ever, removes some, and says what was acknowledged.
#[test]
fn child_appends_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let outbox = Outbox::open(Path::new(&folder).join("outbox"), Limits::default()).unwrap();
    let mut out = std::io::stdout();
    loop {
        let next = outbox.next_seq();
        let new = (next..next + 3).map(|number| New {
            id: format!("id-{number}"),
            class: u8::from(number % 3 == 0),
            header: String::new(),
            build: Box::new(payload),
        });
        for appended in outbox.append_batch(new.collect()).unwrap() {
            writeln!(out, "acknowledged {}", appended.seq).unwrap();
        }
        if next.is_multiple_of(5) {
            writeln!(out, "removing {}", next - 1).unwrap();
            out.flush().unwrap();
            outbox.remove(&[format!("id-{}", next - 1)]).unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    let mut removed = Vec::new();
    for _ in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_appends_until_it_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = acknowledged;
        let moment = Duration::from_millis(RandomState::new().build_hasher().finish() % 120);
        let mut killer = None;
        for line in lines.map_while(Result::ok) {
            if let Some(seq) = line.split("acknowledged ").nth(1) {
                acknowledged = seq.parse().unwrap();
            } else if let Some(seq) = line.split("removing ").nth(1) {
                removed.push(seq.parse::<u64>().unwrap());
            }
            if acknowledged > first && killer.is_none() {
                let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
                killer = Some(std::thread::spawn(move || {
                    std::thread::sleep(moment);
                    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
                }));
            }
        }
        child.wait().unwrap();
        killer.expect("the child acknowledged nothing").join().unwrap();
        check(&folder.path().join("outbox"), acknowledged, &removed);
    }
    assert!(acknowledged > 100, "only {acknowledged} events in all");
}

fn check(path: &Path, acknowledged: u64, removed: &[u64]) {
    let outbox = Outbox::open(path, Limits::default()).unwrap();
    let verification = outbox.verify().unwrap();
    assert_eq!(verification.problems, Vec::<String>::new());
    assert!(
        outbox.next_seq() > acknowledged,
        "seq {acknowledged} was acknowledged, {} is next",
        outbox.next_seq()
    );
    let mut there = std::collections::HashSet::new();
    let mut after = None;
    loop {
        let page = outbox.pending(after, 50).unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.class, last.seq));
        for stored in page {
            assert_eq!(stored.payload, payload(stored.seq));
            assert_eq!(stored.id, format!("id-{}", stored.seq));
            there.insert(stored.seq);
        }
    }
    for seq in 1..=acknowledged {
        assert!(there.contains(&seq) || removed.contains(&seq), "seq {seq} is lost");
    }
}

#[test]
fn a_second_process_is_told_that_the_outbox_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Outbox::open(folder.path().join("outbox"), Limits::default()).unwrap();
    let error = Outbox::open(folder.path().join("outbox"), Limits::default()).unwrap_err();
    assert!(matches!(error, OutboxError::InUse { .. }), "{error}");
}
