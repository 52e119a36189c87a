//! The daemon as a process: started from a site file, killed in the middle, started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hil_tests::agent::{Agent, edge_agent};
use hil_tests::peer::{local, repository};
use hil_tests::sim::modbus::RemoteIo;
use hil_tests::sim::scale::SimScale;
use hil_tests::sim::tenso_m::TensoM;

const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    agent: Agent,
    io: RemoteIo,
    scale: SimScale,
}

impl Rig {
    async fn new() -> Self {
        let io = RemoteIo::start().await.unwrap();
        let scale = SimScale::on_tcp(TensoM::new()).await.unwrap();
        let text = format!(
            r#"
[site]
id = "RU10702030"
box = "gw-1"
[[lane]]
id = "in-1"
direction = "in"
[[lane.station]]
id = "entry"
position_m = 0.0
[[lane.station]]
id = "scale"
position_m = 1.0
required = ["weight"]
deadline_s = 30
[[lane.station]]
id = "exit"
position_m = 2.0
[[sensor]]
id = "loop-entry"
station = "in-1/entry"
protocol = "gate-io/modbus"
address = "{io}"
presence_input = 0
[[sensor]]
id = "scale"
station = "in-1/scale"
protocol = "weigh-scale/tenso_m"
address = "{scale}"
[[sensor]]
id = "loop-exit"
station = "in-1/exit"
protocol = "gate-io/modbus"
address = "{io}"
presence_input = 1
[storage]
directory = "store"
"#,
            io = io.address(),
            scale = scale.address().unwrap(),
        );
        Self { agent: Agent::new(&text).unwrap(), io, scale }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.agent.command(arguments).unwrap()
    }

    async fn start(&mut self) {
        self.agent.start().unwrap();
        for sensor in ["loop-entry", "scale", "loop-exit"] {
            self.wait_for_metric(&format!("edge_agent_sensor_up{{sensor=\"{sensor}\"}} 1")).await;
        }
    }

    async fn wait_for_metric(&self, line: &str) {
        self.agent.wait_for_metric(line, LIMIT).await.unwrap();
    }

    /// Waits until the daemon has taken `count` readings of a sensor since it was started.
    async fn wait_for_readings(&self, sensor: &str, kind: &str, count: u64) {
        self.wait_for_metric(&format!(
            "edge_agent_readings_total{{sensor=\"{sensor}\",kind=\"{kind}\"}} {count}"
        ))
        .await;
    }
}

fn journal(folder: &Path) -> PathBuf {
    folder.join("store/journal/journal-00000001.jsonl")
}

/// A vehicle is in the lane when the daemon is killed with SIGKILL; the daemon that is started again goes on with the
/// same passage, and nothing is in the outbox twice.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_mid_passage_changes_nothing() {
    let mut rig = Rig::new().await;
    rig.start().await;
    // The first state after connecting is reported too.
    rig.wait_for_readings("loop-entry", "presence", 1).await;
    rig.io.set_input(0, true);
    rig.wait_for_readings("loop-entry", "presence", 2).await;
    rig.agent.kill();
    rig.start().await;
    rig.io.set_input(0, false);
    rig.scale.put(18_540, 200);
    rig.wait_for_readings("scale", "weight", 1).await;
    rig.wait_for_metric("edge_agent_events_total{kind=\"packet\"} 1").await;
    rig.agent.kill();
    rig.start().await;
    rig.agent.terminate().unwrap();

    let events = rig.agent.outbox().unwrap();
    let packets: Vec<_> = events
        .iter()
        .filter_map(|event| event["payload"]["data"].as_object())
        .filter(|data| data.contains_key("passage_id"))
        .collect();
    let passages: BTreeSet<_> =
        packets.iter().filter_map(|packet| packet.get("passage_id")).map(|id| id.to_string()).collect();
    assert_eq!(passages.len(), 1, "{events:#?}");
    let packet = packets.last().unwrap();
    assert_eq!(packet["complete"], true, "{packet:#?}");
    let sensors: BTreeSet<_> = packet["observations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["sensor"].as_str().unwrap())
        .collect();
    assert!(sensors.contains("loop-entry") && sensors.contains("scale"), "{sensors:?}");
    let ids: Vec<_> = events.iter().map(|event| event["id"].to_string()).collect();
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "an event is there twice: {ids:?}");

    // The same packets come out of the journal, twice the same bytes.
    let replay = || {
        let output = rig
            .command(&["replay", "--config"])
            .arg(rig.agent.site())
            .arg(journal(rig.agent.folder()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let first = replay();
    assert_eq!(first, replay());
    let line: serde_json::Value =
        serde_json::from_slice(first.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(line["passage_id"], packet["passage_id"]);
}

/// Models that are missing or spoilt keep nothing but recognition from working: `check` names them and what then, the daemon
/// starts, and a vehicle gets its packet.
#[tokio::test(flavor = "multi_thread")]
async fn without_models_the_lane_goes_on_and_check_says_what_is_missing() {
    let mut rig = Rig::new().await;
    let camera = r#"
[[sensor]]
id = "camera"
station = "in-1/entry"
protocol = "camera/folder"
path = "pictures"
view = "front"
countries = ["RU"]
[recognition]
runtime = "ort/libonnxruntime.so"
models = "weights"
"#;
    let mut text = std::fs::read_to_string(rig.agent.site()).unwrap();
    text.push_str(camera);
    std::fs::write(rig.agent.site(), text).unwrap();
    for folder in ["pictures", "weights"] {
        std::fs::create_dir(rig.agent.folder().join(folder)).unwrap();
    }
    let check = |rig: &Rig| {
        let answer = rig.command(&["check", "--quiet"]).arg(rig.agent.site()).output().unwrap();
        let said = String::from_utf8(answer.stderr).unwrap();
        assert!(answer.status.success(), "the unit must start: {said}");
        assert!(said.contains("plate of camera is absent, the lane goes on"), "{said}");
        said
    };
    assert!(check(&rig).contains("no ONNX Runtime library at"));
    let library = std::fs::read_dir(local().join("lib")).ok().and_then(|mut files| files.next());
    if let Some(library) = library {
        std::fs::create_dir(rig.agent.folder().join("ort")).unwrap();
        let link = rig.agent.folder().join("ort/libonnxruntime.so");
        std::os::unix::fs::symlink(library.unwrap().path(), link).unwrap();
        std::fs::write(rig.agent.folder().join("weights/clp_det.onnx"), b"cut short").unwrap();
        let said = check(&rig);
        assert!(said.contains("clp_det.onnx has 9 bytes, expected 1708577"), "{said}");
        assert!(said.contains("PP-OCRv6_rec_small.onnx is missing"), "{said}");
    }

    rig.start().await;
    rig.wait_for_metric("edge_agent_sensor_up{sensor=\"camera\"} 1").await;
    rig.wait_for_readings("loop-entry", "presence", 1).await;
    rig.io.set_input(0, true);
    rig.wait_for_readings("loop-entry", "presence", 2).await;
    rig.io.set_input(0, false);
    rig.scale.put(18_540, 200);
    rig.wait_for_metric("edge_agent_events_total{kind=\"packet\"} 1").await;
    rig.agent.terminate().unwrap();
    let log = rig.agent.log();
    assert!(log.contains("plate is not read"), "{log}");
}

/// The three answers of `edge-agent check`.
#[test]
fn check_explains_a_good_file_and_lists_every_problem_of_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site.toml");
    let check = |text: &str| {
        std::fs::write(&site, text).unwrap();
        Command::new(edge_agent().unwrap()).arg("check").arg(&site).output().unwrap()
    };
    let good = r#"
[site]
id = "S"
box = "b"
[[lane]]
id = "in-1"
direction = "in"
[[lane.station]]
id = "entry"
position_m = 0.0
[[sensor]]
id = "loop"
station = "in-1/entry"
protocol = "replay"
reading = "presence"
"#;
    let answer = check(good);
    assert!(answer.status.success());
    assert!(String::from_utf8_lossy(&answer.stdout).contains("loop"));
    let bad = good.replace("in-1/entry", "in-1/entri").replace("replay", "reply").replace("box", "bix");
    let answer = check(&bad);
    assert_eq!(answer.status.code(), Some(1));
    let text = String::from_utf8_lossy(&answer.stderr).into_owned();
    for wanted in
        ["did you mean \"in-1/entry\"", "did you mean \"replay\"", "did you mean `box`", "site.toml:14:"]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}

#[test]
fn replay_of_a_journal_gives_each_observation_once_and_the_same_bytes_twice() {
    let config = repository().join("hil-tests/tests/vectors/replay/site.toml");
    let journal = repository().join("hil-tests/tests/vectors/replay/journal.jsonl");
    let replay = || {
        let output = Command::new(edge_agent().unwrap())
            .args(["replay", "--config"])
            .arg(&config)
            .arg(&journal)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = replay();
    assert_eq!(text, replay());
    let mut seen: BTreeMap<(String, u64), u32> = BTreeMap::new();
    let mut note = |entry: &serde_json::Value| {
        let name = (entry["sensor"].as_str().unwrap().to_owned(), entry["seq"].as_u64().unwrap());
        *seen.entry(name).or_default() += 1;
    };
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        match line.get("orphan") {
            Some(orphan) => note(orphan),
            None => line["observations"].as_array().unwrap().iter().for_each(&mut note),
        }
    }
    let lines =
        std::fs::read_to_string(&journal).unwrap().lines().filter(|line| line.contains("\"sensor\"")).count();
    assert_eq!(seen.len(), lines);
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
}
