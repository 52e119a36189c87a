//! The passage engine over traffic of other generators (`peers/traffic`): written from the formats alone, in another language,
//! without knowledge of the engine or of each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs::File;
use std::path::Path;
use std::process::Command;

use hil_tests::agent::edge_agent;

fn peer(name: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/traffic").join(name));
    command
}

/// What `score.py` says of the packets that a journal of `seed` without noise leads to.
fn score(generator: &str, seed: u32) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let seed = seed.to_string();
    let arguments = ["--seed", &seed, "--vehicles", "30", "--noise", "0", "--out"];
    assert!(peer(generator).args(arguments).arg(folder.path()).status().unwrap().success());
    let mut replay = Command::new(edge_agent().unwrap());
    replay.arg("replay").arg("--config").arg(at("site.toml")).arg(at("journal.jsonl"));
    replay.stdout(File::create(at("packets.jsonl")).unwrap());
    assert!(replay.status().unwrap().success());
    let scored = peer("score.py").arg(folder.path()).arg(at("packets.jsonl")).output().unwrap();
    assert!(scored.status.success(), "{}", String::from_utf8_lossy(&scored.stderr));
    serde_json::from_slice(&scored.stdout).unwrap()
}

fn is_understood(generator: &str, seeds: &[u32]) {
    for seed in seeds {
        let score = score(generator, *seed);
        let share = |name: &str| score[name][0].as_f64().unwrap() / score[name][1].as_f64().unwrap();
        assert!(share("observations") >= 0.99, "{score}");
        assert!(share("pure_and_complete") >= 0.95, "{score}");
        assert_eq!(score["alarms"]["wrong"], 0, "{score}");
        assert_eq!(score["twice_or_missing"], serde_json::json!([0, 0]), "{score}");
    }
}

#[test]
fn traffic_of_a_second_generator_without_noise_is_understood() {
    // A portal that weighs, a lane of 20 m, one of 300 m.
    is_understood("generate.py", &[10, 12, 13]);
}

#[test]
fn traffic_of_a_third_generator_without_noise_is_understood() {
    // Two cameras and nothing else; two portals.
    is_understood("following.py", &[1, 8]);
}

#[test]
fn traffic_of_a_fourth_generator_without_noise_is_understood() {
    // A loop at each of five stations; a lane of 250 m.
    is_understood("events.py", &[3, 14]);
}
