//! Single cases. Random ones are in `tests/model.rs`, crashes in `tests/kill.rs`.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::keys;

fn limits() -> Limits {
    Limits { max_events: 10, ..Limits::default() }
}

fn opened() -> (TempDir, PathBuf, Outbox) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox");
    let outbox = Outbox::open(&path, limits()).unwrap();
    (folder, path, outbox)
}

fn event(number: u64) -> New {
    New::ready(format!("e{number}"), 1, "topic", format!("payload {number}").into_bytes())
}

#[test]
fn a_full_outbox_keeps_what_it_has_and_recovers_without_restart() {
    let (_folder, _, outbox) = opened();
    outbox.append_batch((1..=8).map(event).collect()).unwrap();
    let error = outbox.append_batch((9..=11).map(event).collect()).unwrap_err();
    assert!(matches!(error, OutboxError::Full { events: 10, .. }), "{error}");
    assert_eq!((outbox.len(), outbox.next_seq()), (8, 9));
    outbox.append_batch((9..=10).map(event).collect()).unwrap();
    // What is known already needs no room.
    assert!(!outbox.append_batch(vec![event(3)]).unwrap()[0].fresh);
    assert!(outbox.append_batch(vec![event(11)]).is_err());
    assert_eq!(outbox.remove(&["e1", "never heard of"]).unwrap(), 1);
    assert_eq!(outbox.append_batch(vec![event(11)]).unwrap()[0].seq, 11);
    assert!(outbox.verify().unwrap().problems.is_empty());
}

#[test]
fn a_delivered_id_is_known_after_a_restart() {
    let (_folder, path, outbox) = opened();
    outbox.append_batch((1..=3).map(event).collect()).unwrap();
    assert_eq!(outbox.remove_upto(2).unwrap(), 2);
    drop(outbox);
    let outbox = Outbox::open(&path, limits()).unwrap();
    let answers = outbox.append_batch((1..=4).map(event).collect()).unwrap();
    let seqs: Vec<_> = answers.iter().map(|answer| (answer.seq, answer.fresh)).collect();
    assert_eq!(seqs, [(1, false), (2, false), (3, false), (4, true)]);
    assert_eq!(outbox.len(), 2);
}

#[test]
fn a_receipt_for_what_was_never_issued_removes_nothing() {
    let (_folder, _, outbox) = opened();
    outbox.append_batch(vec![event(1)]).unwrap();
    assert!(matches!(outbox.remove_upto(2), Err(OutboxError::NotIssued { seq: 2, next_seq: 2 })));
    assert_eq!(outbox.len(), 1);
}

#[test]
fn events_that_can_never_fit_are_refused_by_name() {
    let (_folder, path, outbox) = opened();
    drop(outbox);
    let outbox = Outbox::open(&path, Limits { max_bytes: 1_000, ..limits() }).unwrap();
    let big = New::ready("big", 0, "", vec![0; 2_000]);
    assert!(matches!(outbox.append_batch(vec![big]), Err(OutboxError::TooLarge { .. })));
    let nameless = New::ready("", 0, "", vec![]);
    assert!(matches!(outbox.append_batch(vec![nameless]), Err(OutboxError::BadId { found: 0, .. })));
    assert_eq!(outbox.next_seq(), 1);
}

#[test]
fn an_unreadable_entry_goes_to_quarantine_and_the_queue_goes_on() {
    let (_folder, _, outbox) = opened();
    outbox.append_batch((1..=4).map(event).collect()).unwrap();
    outbox.tree.insert(keys::chunk(2, 0), b"spoilt").unwrap();
    outbox.tree.remove(keys::chunk(3, 0)).unwrap();
    assert!(!outbox.verify().unwrap().problems.is_empty());
    let seqs: Vec<_> = outbox.pending(None, 10).unwrap().iter().map(|stored| stored.seq).collect();
    assert_eq!(seqs, [1, 4]);
    assert_eq!((outbox.len(), outbox.quarantined()), (2, 2));
    let problems = outbox.verify().unwrap().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    // It is still known, so it is not stored again; a receipt clears it.
    assert!(!outbox.append_batch(vec![event(2)]).unwrap()[0].fresh);
    assert_eq!(outbox.remove(&["e2", "e3"]).unwrap(), 2);
    assert_eq!(outbox.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_store_that_cannot_be_opened_is_set_aside_and_seq_goes_on_above() {
    let (_folder, path, outbox) = opened();
    outbox.append_batch((1..=4).map(event).collect()).unwrap();
    drop(outbox);
    std::fs::write(path.join("db"), vec![0; 1_000]).unwrap();
    let error = Outbox::open(&path, limits()).unwrap_err();
    assert!(matches!(error, OutboxError::Damaged { .. }), "{error}");
    let aside = Outbox::set_aside(&path).unwrap();
    assert!(aside.join("db").exists());
    let outbox = Outbox::open(&path, limits()).unwrap();
    assert!(outbox.next_seq() > 4);
    outbox.append_batch(vec![event(5)]).unwrap();
    assert!(outbox.verify().unwrap().problems.is_empty());
}

/// sled cuts its log off at a spoilt record. Never a panic, and never a loss without a word.
#[test]
fn a_spoilt_byte_in_the_file_is_survived_and_told() {
    let (_folder, path, outbox) = opened();
    for number in 1..=9 {
        outbox.append_batch(vec![New::ready(format!("e{number}"), 1, "", vec![7; 9_000])]).unwrap();
    }
    drop(outbox);
    let files = ["db", "mark"].map(|name| (path.join(name), std::fs::read(path.join(name)).unwrap()));
    let (mut survived, mut lost, mut refused) = (0, 0, 0);
    for at in (0..files[0].1.len()).step_by(9_973) {
        for (file, bytes) in &files {
            std::fs::write(file, bytes).unwrap();
        }
        let mut spoilt = files[0].1.clone();
        spoilt[at] ^= 0x55;
        std::fs::write(path.join("db"), &spoilt).unwrap();
        match Outbox::open(&path, limits()) {
            Ok(outbox) => {
                assert_eq!(outbox.next_seq(), 10, "at {at}");
                let there = outbox.pending(None, 100).unwrap().len() as u64;
                assert_eq!(there + outbox.lost() + outbox.quarantined(), 9, "at {at}");
                assert_eq!(outbox.verify().unwrap().problems.is_empty(), there == 9, "at {at}");
                survived += there;
                lost += outbox.lost();
            }
            Err(error) => {
                assert!(matches!(error, OutboxError::Damaged { .. } | OutboxError::Storage(_)), "{error}");
                refused += 1;
            }
        }
    }
    assert!(survived > 0 && lost > 0, "{survived} survived, {lost} lost, {refused} refused");
}

#[test]
fn dead_letters_are_listed_retried_and_bounded() {
    let (_folder, path, outbox) = opened();
    drop(outbox);
    let outbox = Outbox::open(&path, Limits { max_dead: 2, ..limits() }).unwrap();
    outbox.append_batch((1..=4).map(event).collect()).unwrap();
    for id in ["e1", "e2", "e3"] {
        assert!(outbox.reject(id, "schema").unwrap());
    }
    let dead = outbox.dead_letters(0, 10).unwrap();
    let ids: Vec<_> = dead.iter().map(|dead| (dead.event.id.as_str(), dead.reason.as_str())).collect();
    assert_eq!(ids, [("e2", "schema"), ("e3", "schema")]);
    assert!(outbox.retry("e3").unwrap());
    assert!(!outbox.retry("e1").unwrap());
    let pending: Vec<_> = outbox.pending(None, 10).unwrap().into_iter().map(|stored| stored.id).collect();
    assert_eq!(pending, ["e3", "e4"]);
    let mut text = Vec::new();
    assert_eq!(outbox.export(&mut text).unwrap(), 3);
    let text = String::from_utf8(text).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "dead");
    assert_eq!(last["payload"], "payload 2");
    assert!(outbox.verify().unwrap().problems.is_empty());
}

#[test]
fn a_shelf_survives_with_the_store() {
    let (_folder, path, outbox) = opened();
    outbox.shelf("commands").unwrap().put("c1", b"done").unwrap();
    drop(outbox);
    let outbox = Outbox::open(&path, limits()).unwrap();
    let shelf = outbox.shelf("commands").unwrap();
    assert_eq!(shelf.get("c1").unwrap().as_deref(), Some(&b"done"[..]));
    shelf.remove("c1").unwrap();
    assert!(shelf.all().unwrap().is_empty());
}

/// 1.2 MB in one page's worth of events: they would fill blob files if they were not cut into chunks.
#[test]
fn large_events_never_become_blob_files() {
    let (_folder, _, outbox) = opened();
    let big = |number: u64| New::ready(format!("e{number}"), 1, "", vec![7; 240_000]);
    for number in 1..=5 {
        outbox.append_batch(vec![big(number)]).unwrap();
    }
    outbox.remove(&["e1", "e3"]).unwrap();
    assert_eq!(outbox.verify().unwrap().problems, Vec::<String>::new());
    assert!(std::fs::read_dir(outbox.path.join("blobs")).unwrap().next().is_none());
}
