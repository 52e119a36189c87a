//! The scorer finds what is wrong, and nothing else.

use traffic::{Outcome, Passage, Placed, Traffic, baselines, read_replay, run_engine, score};

use crate::small;

/// Every observation where the truth says.
fn perfect(traffic: &Traffic) -> Outcome {
    let mut outcome = Outcome::default();
    for visit in &traffic.visits {
        outcome.passages.push(Passage {
            id: format!("p{}", visit.number),
            state: String::new(),
            sealed_after_s: None,
            entries: Vec::new(),
        });
    }
    for observation in traffic.observations() {
        match traffic.truth[&observation.id].visit {
            Some(visit) => outcome.passages[visit].entries.push(Placed {
                id: observation.id.clone(),
                doubtful: false,
                candidates: Vec::new(),
                why: String::new(),
            }),
            None => outcome.orphans.push((observation.id.clone(), String::new())),
        }
    }
    outcome.passages.retain(|passage| !passage.entries.is_empty());
    outcome
}

#[test]
fn the_truth_scores_full_marks() {
    let traffic = small(1, 60, 1.0);
    let (score, failures) = score(&traffic, &perfect(&traffic));
    assert!(failures.is_empty());
    for share in [score.observations, score.pure, score.complete, score.pure_and_complete] {
        assert!(share.all > 0 && share.right == share.all, "{share:?}");
    }
    assert_eq!((score.false_passages, score.without_passage, score.lost_or_doubled), (0, 0, 0));
    assert_eq!(score.alarms.right, score.alarms.all);
    assert!(score.alarms.all > 5);
}

#[test]
fn each_mistake_is_counted_as_what_it_is() {
    let traffic = small(2, 60, 0.0);
    let truth = perfect(&traffic);
    let alarm = traffic.observations().find(|observation| traffic::is_alarm(&observation.reading)).unwrap();
    let home = truth
        .passages
        .iter()
        .position(|passage| passage.entries.iter().any(|entry| entry.id == alarm.id))
        .unwrap();
    let other = (home + 1) % truth.passages.len();
    let take = |outcome: &mut Outcome| {
        let entries = &mut outcome.passages[home].entries;
        entries.remove(entries.iter().position(|entry| entry.id == alarm.id).unwrap())
    };

    let mut silent = truth.clone();
    let entry = take(&mut silent);
    silent.passages[other].entries.push(entry);
    let (result, failures) = score(&traffic, &silent);
    assert_eq!((result.alarms.wrong, failures.len()), (1, 1));
    assert!(failures[0].alarm);

    let mut referred = silent.clone();
    let entry = referred.passages[other].entries.last_mut().unwrap();
    entry.doubtful = true;
    entry.candidates = vec![truth.passages[other].id.clone(), truth.passages[home].id.clone()];
    let (result, _) = score(&traffic, &referred);
    assert_eq!((result.alarms.wrong, result.alarms.referred), (0, 1));
    let entry = referred.passages[other].entries.last_mut().unwrap();
    entry.candidates.pop();
    assert_eq!(score(&traffic, &referred).0.alarms.wrong, 1, "doubtful without the true vehicle is wrong");

    let mut lost = truth.clone();
    let entry = take(&mut lost);
    lost.orphans.push((entry.id, String::new()));
    assert_eq!(score(&traffic, &lost).0.alarms.lost, 1);

    let mut gone = truth.clone();
    take(&mut gone);
    assert_eq!(score(&traffic, &gone).0.lost_or_doubled, 1);

    let mut split = truth.clone();
    let half = split.passages[home].entries.len() / 2;
    let entries = split.passages[home].entries.split_off(half + 1);
    split.passages.push(Passage { id: "new".into(), state: String::new(), sealed_after_s: None, entries });
    let (result, _) = score(&traffic, &split);
    assert_eq!((result.false_passages, result.without_passage), (1, 0));
    assert!(result.pure_and_complete.right < result.pure_and_complete.all);
}

/// What `edge-agent replay` prints scores as what the engine did in this process.
#[test]
fn a_replays_output_scores_the_same() {
    let traffic = small(4, 40, 1.0);
    let mut output = Vec::new();
    replay::replay(&traffic.layout.checkpoint, traffic.journal().unwrap().as_slice(), &mut output, false)
        .unwrap();
    let (mut from_file, _) = score(&traffic, &read_replay(std::str::from_utf8(&output).unwrap()).unwrap());
    let (mut in_process, _) = score(&traffic, &run_engine(&traffic));
    from_file.sealed_after_s.clear();
    in_process.sealed_after_s.clear();
    assert_eq!(serde_json::to_string(&from_file).unwrap(), serde_json::to_string(&in_process).unwrap());
}

#[test]
fn baselines_lose_nothing_either() {
    let traffic = small(5, 80, 1.0);
    for outcome in [baselines::current_vehicle(&traffic), baselines::time_window(&traffic)] {
        let (result, _) = score(&traffic, &outcome);
        assert_eq!(result.lost_or_doubled, 0);
        assert!(result.observations.percent() > 10.0);
    }
}
