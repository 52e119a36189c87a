//! Real packets, decoded and encoded again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use interface::{Reading, SealState, UtcMs};
use nav_seal::egts::Inputs;
use nav_seal::egts::dialogue::Dialogue;
use nav_seal::egts::record::{Record, Subrecord};
use nav_seal::egts::seal::{Rules, Seals, utc};
use nav_seal::egts::transport::{Body, Incoming, Packet, Splitter, encode};
use serde_json::Value;

fn vectors() -> Vec<(Vec<u8>, Value)> {
    include_str!("vectors/egts_expected.jsonl")
        .lines()
        .map(|line| {
            let expected: Value = serde_json::from_str(line).unwrap();
            let hex = expected["hex"].as_str().unwrap();
            let bytes = (0..hex.len()).step_by(2).map(|n| u8::from_str_radix(&hex[n..n + 2], 16).unwrap());
            (bytes.collect(), expected)
        })
        .collect()
}

fn decode(bytes: &[u8]) -> Packet {
    let mut splitter = Splitter::default();
    splitter.push(bytes);
    let Some(Incoming::Packet(packet)) = splitter.next_packet().unwrap() else { panic!("no packet") };
    assert_eq!(splitter.next_packet().unwrap(), None, "nothing is left");
    packet
}

fn records(packet: &Packet) -> &[Record] {
    match &packet.body {
        Body::Response { records, .. } | Body::AppData(records) | Body::Signed { records, .. } => records,
    }
}

#[test]
fn real_packets_hold_what_they_should() {
    let mut positions = 0;
    for (bytes, expected) in vectors() {
        let packet = decode(&bytes);
        assert_eq!(packet.id, expected["pid"].as_u64().unwrap() as u16);
        assert_eq!(matches!(packet.body, Body::AppData(_)), expected["pt"] == 1);
        let records = records(&packet);
        let expected_records = expected["records"].as_array().unwrap();
        assert_eq!(records.len(), expected_records.len());
        let mut object = None;
        for (record, expected) in records.iter().zip(expected_records) {
            object = record.object.or(object);
            assert_eq!(record.number, expected["rn"].as_u64().unwrap() as u16);
            assert_eq!(object, expected["oid"].as_u64().map(|object| object as u32));
            let subrecords = record.subrecords().unwrap();
            let expected_subrecords = expected["sub"].as_array().unwrap();
            assert_eq!(subrecords.len(), expected_subrecords.len());
            for (subrecord, expected) in subrecords.iter().zip(expected_subrecords) {
                positions += check(subrecord, expected);
            }
        }
    }
    assert_eq!(positions, 77, "positions in all vectors");
}

/// Compares one sub-record; gives 1 for a position.
fn check(subrecord: &Subrecord, expected: &Value) -> usize {
    let kind = expected["srt"].as_u64().unwrap();
    match subrecord {
        Subrecord::PosData(position) => {
            assert_eq!(kind, 16);
            assert_eq!(utc(position.time), UtcMs::parse(expected["time"].as_str().unwrap()).unwrap());
            let near = |found: Option<f64>, name: &str| {
                let wanted = expected[name].as_f64().unwrap();
                assert!(
                    found.is_none_or(|found| (found - wanted).abs() < 1e-6),
                    "{name}: {found:?} {wanted}"
                );
            };
            near(position.latitude_deg(), "lat");
            near(position.longitude_deg(), "lon");
            assert_eq!(position.latitude_deg().is_some(), expected["valid"].as_bool().unwrap());
            assert_eq!(f64::from(position.speed_dkmh()) / 10.0, expected["speed_kmh"].as_f64().unwrap());
            assert_eq!(u64::from(position.course_deg()), expected["course"].as_u64().unwrap());
            assert_eq!(f64::from(position.odometer) / 10.0, expected["odo_km"].as_f64().unwrap());
            assert_eq!(u64::from(position.inputs), expected["din"].as_u64().unwrap());
            assert_eq!(u64::from(position.cause), expected["src"].as_u64().unwrap());
            return 1;
        }
        Subrecord::AdSensors(_) => assert_eq!(kind, 18),
        Subrecord::State(state) => assert_eq!(kind, u64::from(state.kind)),
        Subrecord::TermIdentity(_) => assert_eq!(kind, 1),
        Subrecord::DispatcherIdentity { id, description, .. } => {
            assert_eq!(kind, 5);
            assert_eq!((*id, description.len()), (0x08AB, 20), "the first vector");
        }
        Subrecord::Other { kind: other, data } => {
            assert_eq!(kind, u64::from(*other));
            assert_eq!(data.len() as u64, expected["srl"].as_u64().unwrap());
        }
        other => panic!("{other:?} is not in any vector"),
    }
    0
}

#[test]
fn real_packets_encode_to_the_same_bytes() {
    for (bytes, _) in vectors() {
        let packet = decode(&bytes);
        assert_eq!(encode(&packet).unwrap(), bytes);
        for record in records(&packet) {
            let again = Record::new(record.number, record.source, &record.subrecords().unwrap()).unwrap();
            assert_eq!(again.data, record.data);
        }
    }
}

fn seals() -> Seals {
    Seals::new(Rules {
        inputs: Inputs { shackle_closed: Some(4), ..Inputs::default() },
        tamper_causes: vec![10],
        low_battery_causes: vec![12],
        hold_s: 86_400,
        repeat_ms: 60_000,
    })
}

#[test]
fn every_real_packet_is_answered_and_its_seals_are_told() {
    let (mut seals, mut told) = (seals(), Vec::new());
    for (bytes, expected) in vectors() {
        let mut dialogue = Dialogue::default();
        let packet = decode(&bytes);
        let outcome = dialogue.receive(Incoming::Packet(packet.clone()), &mut seals, &[], 0);
        if expected["pt"] == 0 {
            assert!(outcome.answers.is_empty(), "an answer is not answered");
            continue;
        }
        let Body::Response { to, result: 0, records: answered } = &outcome.answers[0].body else {
            panic!("{outcome:?}");
        };
        assert_eq!(*to, packet.id);
        let said: Vec<_> = answered.iter().flat_map(|record| record.subrecords().unwrap()).collect();
        let wanted: Vec<_> = records(&packet)
            .iter()
            .map(|record| Subrecord::RecordResponse { record: record.number, result: 0 })
            .collect();
        assert_eq!(said, wanted);
        let authorisation = outcome.answers.get(1).map(|answer| records(answer)[0].subrecords().unwrap());
        let authorises = expected["records"][0]["sst"] == 1;
        assert_eq!(authorisation, authorises.then(|| vec![Subrecord::ResultCode(0)]));
        told.extend(outcome.readings);
    }
    let state_of = |id: &str| {
        told.iter().rev().find_map(|(reading, at)| match reading {
            Reading::Seal { seal_id, state } if seal_id == id => Some((*state, at.is_some())),
            _ => None,
        })
    };
    assert_eq!(state_of("45177"), Some((SealState::Sealed, true)), "input 4 of its 0x30 is 1");
    assert_eq!(state_of("295855"), Some((SealState::Opened, true)), "input 4 of its 0x01 is 0");
}

#[test]
fn a_repeated_packet_is_answered_again_and_told_once() {
    let (mut seals, mut dialogue) = (seals(), Dialogue::default());
    let packet = decode(&vectors()[1].0);
    let first = dialogue.receive(Incoming::Packet(packet.clone()), &mut seals, &[], 0);
    assert_eq!(first.readings.len(), 1, "two positions, one state");
    let again = dialogue.receive(Incoming::Packet(packet), &mut seals, &[], 10_000_000);
    assert!(again.readings.is_empty(), "{again:?}");
    let body = |outcome: &nav_seal::egts::dialogue::Outcome| match &outcome.answers[0].body {
        Body::Response { to, result, records } => (*to, *result, records.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(body(&first), body(&again));
}
