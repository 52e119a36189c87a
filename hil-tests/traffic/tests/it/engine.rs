//! What the engine promises, over generated traffic.

use std::collections::{BTreeMap, HashMap};

use interface::{Observation, ObservationId, ReadingKind};
use passage::{Effect, Engine, Input, LaneId};
use replay::Record;
use traffic::{Outcome, Traffic, Wanted, check_journal, generate, run_engine, score};

use crate::{small, wanted};

fn play(traffic: &Traffic, lines: &[Record]) -> Vec<Effect> {
    let mut engine = Engine::new(traffic.layout.checkpoint.clone());
    let mut effects: Vec<Effect> =
        lines.iter().flat_map(|line| engine.step(&line.stamp, line.input.clone())).collect();
    effects.extend(engine.finish());
    effects
}

fn lane_of(traffic: &Traffic, effect: &Effect) -> Option<LaneId> {
    match effect {
        Effect::Publish(report) => Some(report.lane.clone()),
        Effect::Orphan(orphan) => orphan.lane.clone(),
        Effect::Alarm { lane, .. } | Effect::Gate { lane, .. } => Some(lane.clone()),
        Effect::DecisionRefused { .. } => traffic.layout.checkpoint.lanes.first().map(|lane| lane.id.clone()),
    }
}

fn sensor_of(line: &Record) -> &interface::SensorId {
    match &line.input {
        Input::Observation(observation) => &observation.id.sensor,
        Input::SensorState { sensor, .. } => sensor,
        Input::Decision { .. } => unreachable!("traffic has no decisions"),
    }
}

#[test]
fn every_observation_of_noisy_traffic_ends_exactly_once() {
    for seed in 0..8 {
        let traffic = small(seed, 40, 2.0);
        assert_eq!(
            check_journal(&traffic.layout.checkpoint, &traffic.journal().unwrap()),
            Ok(()),
            "seed {seed}"
        );
        assert_eq!(score(&traffic, &run_engine(&traffic)).0.lost_or_doubled, 0, "seed {seed}");
    }
}

/// Nothing keeps a passage alive for ever: neither a contact that two vehicles contend for, nor one that never left.
#[test]
fn when_the_traffic_has_ended_everything_comes_to_an_end() {
    let traffic = generate(&Wanted { vehicles: 150, ..wanted(6, 0, 1.0) });
    let mut engine = Engine::new(traffic.layout.checkpoint.clone());
    for line in &traffic.lines {
        engine.step(&line.stamp, line.input.clone());
    }
    let mut now = traffic.lines.last().unwrap().stamp.clone();
    for _ in 0..200 {
        let Some(due) = engine.next_deadline() else { return };
        now.mono_ms = now.mono_ms.max(due);
        engine.tick(&now);
    }
    panic!("after 200 deadlines there are still {} open passages", engine.open_passages().len());
}

#[test]
fn noisy_traffic_gives_the_same_bytes_twice() {
    let traffic = small(11, 60, 2.0);
    let bytes = || {
        let mut output = Vec::new();
        let journal = traffic.journal().unwrap();
        replay::replay(&traffic.layout.checkpoint, journal.as_slice(), &mut output, true).unwrap();
        output
    };
    assert!(bytes() == bytes());
}

/// An engine says the same as one that forgets after every input what it has found courses to cost.
#[test]
fn what_a_lane_remembers_of_costs_changes_nothing() {
    for seed in 0..6 {
        let traffic = small(seed, 40, 2.0);
        let mut engine = Engine::new(traffic.layout.checkpoint.clone());
        let mut forgetful = engine.clone();
        for line in &traffic.lines {
            // A copy remembers nothing.
            forgetful = forgetful.clone();
            let (one, other) = (
                engine.step(&line.stamp, line.input.clone()),
                forgetful.step(&line.stamp, line.input.clone()),
            );
            assert_eq!(one, other, "seed {seed}, at {}", line.stamp.mono_ms);
        }
        assert_eq!(engine.finish(), forgetful.clone().finish(), "seed {seed}");
    }
}

/// Each lane alone says what it says among the others.
#[test]
fn lanes_of_noisy_traffic_do_not_see_each_other() {
    for seed in 20..24 {
        let traffic = small(seed, 60, 2.0);
        let together = play(&traffic, &traffic.lines);
        for lane in &traffic.layout.checkpoint.lanes {
            let own = |line: &&Record| traffic.layout.checkpoint.sensors[sensor_of(line)].lane == lane.id;
            let alone: Vec<Record> = traffic.lines.iter().filter(own).cloned().collect();
            let expected: Vec<&Effect> = together
                .iter()
                .filter(|effect| lane_of(&traffic, effect).as_ref() == Some(&lane.id))
                .collect();
            let found = play(&traffic, &alone);
            assert!(found.iter().eq(expected), "seed {seed}, lane {}", lane.id);
        }
    }
}

/// A crash at any moment, and a snapshot that is written and read again, change nothing.
#[test]
fn recovery_in_the_middle_of_noisy_traffic_changes_nothing() {
    for seed in 30..34 {
        let traffic = small(seed, 40, 2.0);
        let whole = play(&traffic, &traffic.lines);
        for cut in 0..6 {
            let mut engine = Engine::new(traffic.layout.checkpoint.clone());
            let cut = (traffic::mix(seed * 100 + cut) % traffic.lines.len() as u64) as usize;
            let mut effects = Vec::new();
            for (number, line) in traffic.lines.iter().enumerate() {
                if number == cut {
                    let snapshot = serde_json::to_string(&engine).unwrap();
                    let snapshot = serde_json::from_str(&snapshot).unwrap();
                    engine = Engine::restore(traffic.layout.checkpoint.clone(), snapshot);
                }
                effects.extend(engine.step(&line.stamp, line.input.clone()));
            }
            effects.extend(engine.finish());
            assert!(effects == whole, "seed {seed}, cut at line {cut}");
        }
    }
}

/// However long traffic goes on, and however badly, the engine holds no more.
#[test]
fn the_state_stays_bounded_over_hours_of_noisy_traffic() {
    let traffic = small(40, 300, 3.0);
    let mut engine = Engine::new(traffic.layout.checkpoint.clone());
    let mut largest = Vec::new();
    let part = traffic.lines.len() / 6;
    for (number, line) in traffic.lines.iter().enumerate() {
        engine.step(&line.stamp, line.input.clone());
        if number % part == 0 {
            largest.push(0);
        }
        if number % 311 == 0 {
            let bytes = serde_json::to_vec(&engine).unwrap().len();
            let most = largest.last_mut().unwrap();
            *most = bytes.max(*most);
            assert!(engine.open_passages().len() <= 64 * 2);
        }
    }
    let (early, late) = largest.split_at(3);
    assert!(late.iter().max().unwrap() < &(early.iter().max().unwrap() * 3), "{largest:?}");
}

fn home(outcome: &Outcome) -> HashMap<ObservationId, (String, bool)> {
    let passages = outcome.passages.iter();
    passages
        .flat_map(|passage| {
            passage.entries.iter().map(|entry| (entry.id.clone(), (passage.id.clone(), entry.doubtful)))
        })
        .collect()
}

/// A radiation result that comes later than it did, and says when it was measured, stays with its vehicle, or is called doubtful.
#[test]
fn a_result_that_comes_later_stays_with_its_vehicle() {
    let mut moved = Vec::new();
    let mut tried = 0;
    for seed in 50..62 {
        let traffic = small(seed, 40, 0.0);
        let before = home(&run_engine(&traffic));
        let results: Vec<(usize, &Observation)> = traffic
            .lines
            .iter()
            .enumerate()
            .filter_map(|(number, line)| match &line.input {
                Input::Observation(observation)
                    if observation.reading.kind() == ReadingKind::Radiation
                        && observation.device_at.is_some() =>
                {
                    Some((number, observation))
                }
                _ => None,
            })
            .collect();
        // The first results teach the engine the device's clock.
        for n in 0..4u64 {
            let later = results.len() as u64 * 3 / 4;
            if later == 0 {
                break;
            }
            let pick = results.len() as u64 / 4 + traffic::mix(seed * 10 + n) % later;
            let Some((number, observation)) = results.get(pick as usize).copied() else { continue };
            let delay = 1_000 + traffic::mix(seed * 77 + n) % 29_000;
            let mut delayed = traffic.clone();
            let mut line = delayed.lines.remove(number);
            line.stamp = line.stamp.plus_ms(delay);
            if let Input::Observation(observation) = &mut line.input {
                observation.stamp = line.stamp.clone();
            }
            let at = delayed.lines.partition_point(|other| other.stamp.mono_ms <= line.stamp.mono_ms);
            delayed.lines.insert(at, line);
            let Some((passage, false)) = before.get(&observation.id).cloned() else { continue };
            tried += 1;
            match home(&run_engine(&delayed)).get(&observation.id) {
                Some((now, _)) if *now == passage => {}
                Some((_, true)) => {}
                other => moved.push((seed, observation.id.clone(), delay, other.cloned())),
            }
        }
    }
    assert!(tried > 20, "{tried}");
    assert!(moved.is_empty(), "{} of {tried}: {moved:?}", moved.len());
}

/// Over several seeds and layouts the engine is better than both baselines; the figures are in the table of
/// `cargo xtask traffic`.
#[test]
fn the_engine_beats_both_baselines_on_every_seed() {
    let mut layouts: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 70..82 {
        let traffic = small(seed, 60, 1.0);
        let right = |outcome: &Outcome| score(&traffic, outcome).0.observations.percent();
        let engine = right(&run_engine(&traffic));
        let current = right(&traffic::baselines::current_vehicle(&traffic));
        let window = right(&traffic::baselines::time_window(&traffic));
        assert!(engine > current && engine > window, "seed {seed}: {engine} {current} {window}");
        *layouts.entry(traffic.layout.lanes[0].layout.clone()).or_default() += 1;
    }
    assert!(layouts.len() > 3, "{layouts:?}");
}

/// Two passages were told, and then they are one vehicle: the one that is less of it keeps what opened it, and says whose it is.
#[test]
fn a_passage_that_turns_out_to_be_part_of_another_one_says_so() {
    let mut parts = 0;
    for seed in [209, 230, 234] {
        let outcome = run_engine(&small(seed, 100, 1.0));
        for passage in &outcome.passages {
            let is_part =
                |entry: &traffic::Placed| entry.why.contains("turned out to be part of another one");
            if !passage.entries.iter().any(is_part) {
                continue;
            }
            parts += 1;
            for entry in &passage.entries {
                assert!(entry.doubtful && entry.candidates.len() == 2, "{entry:?}");
                assert_eq!(entry.candidates[0], passage.id);
                let whole = outcome.passages.iter().find(|other| other.id == entry.candidates[1]).unwrap();
                assert!(whole.entries.len() > passage.entries.len(), "{whole:?} {passage:?}");
            }
        }
    }
    assert!(parts > 3, "{parts}");
}

#[test]
fn each_mistake_is_explained_by_what_it_costs_beside_the_truth() {
    let traffic = small(230, 100, 1.0);
    let (_, failures) = score(&traffic, &run_engine(&traffic));
    let text = traffic::explain_costs(&traffic, &failures);
    assert!(text.contains(" observations; at ") && text.contains("the truth costs"), "{text}");
    assert!(text.contains("  found ") && text.contains("  truth ") && text.contains("taken "), "{text}");
    assert_eq!(traffic::explain_costs(&traffic, &[]), "");
}
