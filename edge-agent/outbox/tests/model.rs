//! The outbox against a model in memory, under random actions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, VecDeque};

use outbox::{Limits, New, Outbox, OutboxError};
use proptest::prelude::*;

const LIMITS: Limits =
    Limits { max_events: 12, max_bytes: 60_000, ids_remembered: 6, max_dead: 3, max_dead_bytes: 1 << 20 };

#[derive(Clone, Debug)]
enum Action {
    Append(Vec<(u8, u8, u16)>),
    Remove(Vec<u8>),
    RemoveUpto(u64),
    Reject(u8),
    Retry(u8),
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    // Sizes on both sides of the chunk's 4096 bytes.
    let event = (0u8..40, 0u8..3, prop_oneof![0u16..40, 3_900u16..4_200, 8_000u16..13_000]);
    prop_oneof![
        4 => proptest::collection::vec(event, 1..4).prop_map(Action::Append),
        2 => proptest::collection::vec(0u8..40, 0..5).prop_map(Action::Remove),
        1 => (0u64..30).prop_map(Action::RemoveUpto),
        1 => (0u8..40).prop_map(Action::Reject),
        1 => (0u8..40).prop_map(Action::Retry),
        1 => Just(Action::Reopen),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Event {
    seq: u64,
    class: u8,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Model {
    next_seq: u64,
    queue: BTreeMap<String, Event>,
    dead: BTreeMap<String, Event>,
    done: VecDeque<(String, u64)>,
    issued: BTreeMap<u64, String>,
}

impl Model {
    fn seq_of(&self, id: &str) -> Option<u64> {
        let event = self.queue.get(id).or_else(|| self.dead.get(id)).map(|event| event.seq);
        event.or_else(|| self.done.iter().find(|(done, _)| done == id).map(|(_, seq)| *seq))
    }

    fn upto(&self, class: u8, seq: u64) -> Vec<String> {
        let mut found: Vec<_> =
            self.queue.iter().filter(|(_, event)| event.class == class && event.seq <= seq).collect();
        found.sort_by_key(|(_, event)| event.seq);
        found.into_iter().map(|(id, _)| id.clone()).collect()
    }

    fn deliver(&mut self, ids: &[String]) -> u64 {
        let mut count = 0;
        let before = self.done.len();
        for id in ids {
            if let Some(event) = self.queue.remove(id).or_else(|| self.dead.remove(id)) {
                self.done.push_back((id.clone(), event.seq));
                count += 1;
            }
        }
        // Those delivered together are forgotten by the next removal at the earliest.
        for _ in 0..before {
            if count > 0 && self.done.len() as u64 > LIMITS.ids_remembered {
                self.done.pop_front();
            }
        }
        count
    }
}

fn payload(seq: u64, size: u16) -> Vec<u8> {
    (0..size).map(|at| (at as u64).wrapping_mul(seq + 1).to_le_bytes()[0]).collect()
}

fn run(actions: Vec<Action>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox");
    let mut outbox = Outbox::open(&path, LIMITS).unwrap();
    let mut model = Model { next_seq: 1, ..Default::default() };
    for action in actions {
        match action {
            Action::Append(events) => append(&outbox, &mut model, &events),
            Action::Remove(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| format!("id-{id}")).collect();
                assert_eq!(outbox.remove(&ids).unwrap(), model.deliver(&ids));
            }
            Action::RemoveUpto(seq) => {
                let result = outbox.remove_upto(seq);
                if seq >= model.next_seq {
                    assert!(matches!(result, Err(OutboxError::NotIssued { .. })));
                } else {
                    let mut total = 0;
                    for class in 0..3 {
                        total += model.deliver(&model.upto(class, seq));
                    }
                    assert_eq!(result.unwrap(), total);
                }
            }
            Action::Reject(id) => {
                let id = format!("id-{id}");
                let event = model.queue.remove(&id);
                assert_eq!(outbox.reject(&id, "because").unwrap(), event.is_some());
                if let Some(event) = event {
                    model.dead.insert(id, event);
                }
                while model.dead.len() as u64 > LIMITS.max_dead {
                    let oldest = model.dead.iter().min_by_key(|(_, event)| event.seq).unwrap().0.clone();
                    model.deliver(&[oldest]);
                }
            }
            Action::Retry(id) => {
                let id = format!("id-{id}");
                match outbox.retry(&id) {
                    Ok(done) => {
                        assert_eq!(done, model.dead.contains_key(&id));
                        model.queue.extend(model.dead.remove(&id).map(|event| (id, event)));
                    }
                    Err(error) => assert!(matches!(error, OutboxError::Full { .. }), "{error}"),
                }
            }
            Action::Reopen => {
                drop(outbox);
                outbox = Outbox::open(&path, LIMITS).unwrap();
            }
        }
        compare(&outbox, &model);
    }
}

fn append(outbox: &Outbox, model: &mut Model, events: &[(u8, u8, u16)]) {
    let new = events.iter().map(|(id, class, size)| {
        let size = *size;
        New {
            id: format!("id-{id}"),
            class: *class,
            header: format!("h{id}"),
            build: Box::new(move |seq| payload(seq, size)),
        }
    });
    let room = outbox.limits().max_events - outbox.len();
    match outbox.append_batch(new.collect()) {
        Ok(appended) => {
            assert_eq!(appended.len(), events.len());
            for ((id, class, size), appended) in events.iter().zip(appended) {
                assert_eq!(appended.id, format!("id-{id}"));
                match model.seq_of(&appended.id) {
                    Some(seq) => assert_eq!((appended.seq, appended.fresh), (seq, false)),
                    None => {
                        assert_eq!((appended.seq, appended.fresh), (model.next_seq, true));
                        let event =
                            Event { seq: appended.seq, class: *class, payload: payload(appended.seq, *size) };
                        model.next_seq += 1;
                        model.issued.insert(appended.seq, appended.id.clone());
                        model.queue.insert(appended.id, event);
                    }
                }
            }
        }
        Err(OutboxError::Full { bytes, .. }) => {
            assert!(
                room < events.len() as u64 || bytes + 3 * 13_100 > LIMITS.max_bytes,
                "refused with room left"
            );
        }
        Err(error) => panic!("{error}"),
    }
}

fn compare(outbox: &Outbox, model: &Model) {
    assert_eq!(outbox.next_seq(), model.next_seq);
    assert_eq!(outbox.len(), model.queue.len() as u64);
    assert_eq!(outbox.dead_len(), model.dead.len() as u64);
    assert_eq!(outbox.oldest().unwrap(), model.queue.values().map(|event| event.seq).min());
    let mut expected: Vec<_> = model.queue.iter().collect();
    expected.sort_by_key(|(_, event)| (event.class, event.seq));
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = outbox.pending(after, 3).unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.class, last.seq));
        found.extend(page);
    }
    assert_eq!(found.len(), expected.len());
    for (stored, (id, event)) in found.iter().zip(expected) {
        assert_eq!(
            (&stored.id, stored.class, stored.seq, &stored.payload),
            (id, event.class, event.seq, &event.payload)
        );
        assert_eq!(model.issued.get(&stored.seq), Some(&stored.id), "an event that was never issued");
    }
    for (id, seq) in &model.done {
        assert_eq!(outbox.seq_of(id).unwrap(), Some(*seq));
    }
    let verification = outbox.verify().unwrap();
    assert_eq!(verification.problems, Vec::<String>::new());
    assert_eq!(verification.remembered, model.done.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_outbox_is_the_model(actions in proptest::collection::vec(action(), 1..40)) {
        run(actions);
    }
}
