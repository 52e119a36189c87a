//! The contract's files are current, and what the box sends keeps to them.

use std::path::Path;

use crate::reports::{
    BOX, SITE, any_report, entry, observation, plate, radiation, report, seal, stamp, weight,
};
use interface::{ClockQuality, Health, HealthState, RadiationAlarm, SealState, View};
use jsonschema::Validator;
use packet::{
    CommandResult, CommandState, DecisionCommand, Event, EventHeader, HealthMessage, LaneLoad, LoadMessage,
    Packet, Receipt, Rejection, Status, StatusState, Topics, Unnumbered, contract_files,
};
use passage::{Effect, LaneId, OrphanReport, PassageId, Verdict};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Compares the files in `contract/` with what the types say; writes them when `BLESS=1`.
#[test]
fn checked_in_files_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let files = contract_files();
    for (name, content) in &files {
        if bless {
            std::fs::write(folder.join(name), content).unwrap();
        }
        let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            found == *content,
            "contract/{name} is not current: run the tests with BLESS=1 and commit it"
        );
    }
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name();
        assert!(files.iter().any(|(known, _)| name == *known), "contract/{name:?} is not made by any type");
    }
}

fn validator(file: &str) -> Validator {
    let files = contract_files();
    let (_, content) = files.iter().find(|(name, _)| *name == file).unwrap();
    let schema: Value = serde_json::from_str(content).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

fn assert_valid(validator: &Validator, value: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in {value:#}");
}

fn assert_message<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(file: &str, message: &T) {
    let value = serde_json::to_value(message).unwrap();
    assert_valid(&validator(file), &value);
    assert_eq!(&serde_json::from_value::<T>(value).unwrap(), message);
}

fn example() -> passage::Report {
    let mut report = report(vec![
        entry("lpr-front", 1, plate("A001MP05", 0.97, View::Front)),
        entry("lpr-rear", 1, plate("AB123405", 0.6, View::Rear)),
        entry("lpr-rear", 2, plate("AB123485", 0.55, View::Rear)),
        entry("portal", 1, radiation(RadiationAlarm::None)),
        entry("scale", 1, weight(18_540, true)),
        entry("seals", 1, seal("S-1", SealState::Tampered)),
    ]);
    report.entries[3].doubtful = true;
    report.entries[3].candidates = vec![report.passage.clone(), PassageId("other".into())];
    report
}

#[test]
fn example_packet_is_valid_and_holds_what_the_formats_promise() {
    let event = Unnumbered::passage(Packet::from_report(SITE, BOX, &example()));
    let value: Value = serde_json::from_slice(&event.bytes_with(7)).unwrap();
    assert_valid(&validator("passage-event.json"), &value);
    assert_eq!(value["id"], "019a5a3c-8d00-7000-8000-000000000001/1");
    assert_eq!(value["source"], "RU10702030/gw-1");
    assert_eq!(value["seq"], 7);
    let data = &value["data"];
    assert_eq!(data["plate_front"]["finding"], "measured");
    assert_eq!(data["plate_rear"]["finding"], "disputed");
    assert_eq!(data["dimensions"], json!({ "finding": "absent", "reason": "timeout" }));
    let doubtful = json!({
        "sensor": "portal", "seq": 1, "why": "the only vehicle in the lane", "doubtful": true,
        "candidates": ["019a5a3c-8d00-7000-8000-000000000001", "other"],
        "margin": 4.5, "alternatives": [{ "passage": null, "cost": 4.5 }]
    });
    assert_eq!(data["observations"][3], doubtful);
}

#[test]
fn schema_refuses_what_is_no_event() {
    let event = Unnumbered::passage(Packet::from_report(SITE, BOX, &example()));
    let good: Value = serde_json::from_slice(&event.bytes_with(7)).unwrap();
    let validator = validator("passage-event.json");
    let breaks: [(&str, Value); 7] = [
        ("/seq", json!(0)),
        ("/seq", json!("7")),
        ("/type", json!("ckpt.alarm.v1")),
        ("/specversion", json!("0.3")),
        ("/time", json!("yesterday")),
        ("/data/state", json!("lost")),
        ("/data/plate_front/value/confidence", json!(1.5)),
    ];
    for (pointer, value) in breaks {
        let mut bad = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[key] = value;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
    for required in ["id", "source", "seq", "data"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(required);
        assert!(!validator.is_valid(&bad), "without {required}");
    }
}

#[test]
fn small_messages_keep_to_their_schemas() {
    let at = stamp(0).utc;
    let clock = ClockQuality::Holdover;
    let rejected = vec![Rejection { id: "p/1".into(), reason: "no such site".into() }];
    assert_message("receipt.json", &Receipt { upto_seq: Some(4), ids: vec!["p/2".into()], rejected });
    let status = Status {
        state: StatusState::Online,
        session: Some("s1".into()),
        boot: None,
        config_sha256: None,
        version: Some("0.1.0".into()),
        models: vec!["plate".into()],
        next_seq: Some(1),
        since: Some(at),
    };
    assert_message("status.json", &status);
    let lost: Status = serde_json::from_value(json!({ "state": "lost" })).unwrap();
    assert_message("status.json", &lost);
    let error = Some("no answer on port 5084".to_owned());
    let health = Health { state: HealthState::Offline, error, last_reading: None };
    assert_message(
        "health.json",
        &HealthMessage { sensor: "rfid".into(), protocol: "llrp".into(), health, at, clock },
    );
    let lane = LaneLoad {
        lane: "in-1".into(),
        queue_length: 3,
        vehicles_per_hour: Some(42.0),
        seconds_per_vehicle: None,
    };
    assert_message("load.json", &LoadMessage { at, clock, lanes: vec![lane] });
    let decision = DecisionCommand {
        passage_id: "p".into(),
        decision: Verdict::Inspect,
        issued_at: at,
        valid_ms: 10_000,
    };
    assert_message("decision-command.json", &decision);
    let result = CommandResult { id: "c1".into(), state: CommandState::Expired, detail: None };
    assert_message("command-result.json", &result);
}

/// Every file, message, channel and address that the AsyncAPI document names exists.
#[test]
fn asyncapi_names_only_what_exists() {
    let files = contract_files();
    let (_, text) = files.iter().find(|(name, _)| *name == "asyncapi.json").unwrap();
    let document: Value = serde_json::from_str(text).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut named = Vec::new();
    references(&document, &mut named);
    for reference in &named {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference}"),
            None => assert!(files.iter().any(|(name, _)| format!("./{name}") == *reference), "{reference}"),
        }
    }
    for (name, _) in files.iter().filter(|(name, _)| *name != "asyncapi.json") {
        assert!(named.contains(&format!("./{name}")), "{name} travels nowhere");
    }
    for channel in document["channels"].as_object().unwrap().values() {
        let address = channel["address"].as_str().unwrap();
        let topic = address.replace(['{', '}'], "");
        assert!(Topics::parse(&topic).is_some(), "{address}");
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn check_event(file: &Validator, effect: &Effect) -> Result<(), TestCaseError> {
    let event = Unnumbered::from_effect(SITE, BOX, effect).unwrap();
    let bytes = event.bytes_with(3);
    prop_assert_eq!(&bytes, &Unnumbered::from_effect(SITE, BOX, effect).unwrap().bytes_with(3));
    prop_assert_eq!(EventHeader::from_bytes(&bytes), Some(event.header));
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let errors: Vec<String> = file.iter_errors(&value).map(|error| error.to_string()).collect();
    prop_assert!(errors.is_empty(), "{:#?} in {:#}", errors, value);
    Ok(())
}

#[test]
fn any_report_makes_a_valid_packet_that_is_read_back() {
    let validator = validator("passage-event.json");
    proptest!(|(report in any_report())| {
        check_event(&validator, &Effect::Publish(Box::new(report.clone())))?;
        let packet = Packet::from_report(SITE, BOX, &report);
        let bytes = Unnumbered::passage(packet.clone()).bytes_with(9);
        let read: Event<Packet> = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(read.data, packet);
    });
}

#[test]
fn any_orphan_and_alarm_is_valid() {
    let orphans = validator("orphan-event.json");
    let alarms = validator("alarm-event.json");
    proptest!(|(observation in observation(), lane in proptest::option::of("[a-z]{1,3}"))| {
        let lane = lane.map(LaneId);
        let published = stamp(5);
        let why = "no vehicle could have been there".to_owned();
        let alarm = Effect::Alarm {
            observation: Box::new(observation.clone()),
            lane: lane.clone().unwrap_or(LaneId("in-1".into())),
            candidates: vec![PassageId("p".into())],
            published: published.clone(),
        };
        check_event(&alarms, &alarm)?;
        check_event(&orphans, &Effect::Orphan(Box::new(OrphanReport { observation, lane, why, published })))?;
    });
}

#[test]
fn an_alarm_that_concerns_more_passages_than_before_is_another_event() {
    let observation = entry("portal", 1, radiation(RadiationAlarm::Gamma)).observation;
    let id = |candidates: &[&str], ms| {
        let alarm = Effect::Alarm {
            observation: Box::new(observation.clone()),
            lane: LaneId("in-1".into()),
            candidates: candidates.iter().map(|passage| PassageId((*passage).into())).collect(),
            published: stamp(ms),
        };
        Unnumbered::from_effect(SITE, BOX, &alarm).unwrap().id().to_owned()
    };
    assert!(id(&["p1"], 0).starts_with("alarm/portal/1/"));
    assert_eq!(id(&["p1"], 0), id(&["p1"], 5));
    assert_ne!(id(&["p1"], 0), id(&["p1", "p2"], 0));
}
