//! The LLRP codec against recorded bytes, and against any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use interface::UtcMs;
use proptest::prelude::*;
use rfid_reader::llrp::field::{BitString, Text, ToEnd};
use rfid_reader::llrp::frame::{Frame, FrameBuffer, FrameError, HEADER_BYTES, MAX_MESSAGE_BYTES};
use rfid_reader::llrp::message::Message;
use rfid_reader::llrp::parameter::Parameter;
use rfid_reader::llrp::report::TagReport;
use serde_json::Value;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut buffer = FrameBuffer::default();
    buffer.push(bytes);
    std::iter::from_fn(|| buffer.pop().unwrap()).collect()
}

/// Decodes a body of the given message type, and checks that encoding it gives the same bytes.
fn message(kind: u16, body: &[u8]) -> Message {
    let frame = Frame { version: 1, kind, id: 7, body: body.to_vec() };
    let message = Message::decode(&frame).unwrap();
    assert_eq!(message.frame(7).unwrap(), frame);
    message
}

fn edgex(name: &str, kind: u16) -> (Message, Value) {
    let file =
        |extension| std::fs::read(vectors().join("edgex").join(format!("{name}.{extension}"))).unwrap();
    (message(kind, &file("bytes")), serde_json::from_slice(&file("json")).unwrap())
}

/// Whether anything in here was not understood.
fn undecoded(parameters: &[Parameter]) -> bool {
    parameters.iter().any(|parameter| match parameter {
        Parameter::Undecoded(_) => true,
        Parameter::RoSpec { parameters, .. }
        | Parameter::AiSpec { parameters, .. }
        | Parameter::ReaderEventNotificationData { parameters }
        | Parameter::GeneralDeviceCapabilities { parameters, .. }
        | Parameter::RegulatoryCapabilities { parameters, .. }
        | Parameter::UhfBandCapabilities { parameters }
        | Parameter::TagReportData { parameters } => undecoded(parameters),
        _ => false,
    })
}

#[test]
fn golden_frames_come_out_as_they_went_in() {
    let mut files = 0;
    let mut messages = 0;
    for entry in std::fs::read_dir(vectors().join("ltk")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let mut again = Vec::new();
        for frame in frames(&bytes) {
            let message = Message::decode(&frame).unwrap();
            assert!(!undecoded(message.parameters()), "{}: {message:?}", path.display());
            again.extend(message.frame(frame.id).unwrap().encode().unwrap());
            messages += 1;
        }
        assert!(again == bytes, "{} changed", path.display());
        files += 1;
    }
    assert_eq!((files, messages), (12, 10 + 934 + 200));
}

#[test]
fn a_golden_rospec_is_read_as_its_xml_says() {
    let bytes = std::fs::read(vectors().join("ltk/ADD_ROSPEC.bin")).unwrap();
    let [frame] = frames(&bytes).try_into().unwrap();
    assert_eq!((frame.version, frame.id), (1, 4));
    let Message::AddRoSpec { parameters } = Message::decode(&frame).unwrap() else {
        panic!("not ADD_ROSPEC")
    };
    let [Parameter::RoSpec { id: 1, priority: 0, state: 0, parameters }] = parameters.as_slice() else {
        panic!("{parameters:?}")
    };
    let [Parameter::RoBoundarySpec { .. }, Parameter::AiSpec { antennas, parameters }, custom] =
        parameters.as_slice()
    else {
        panic!("{parameters:?}")
    };
    assert_eq!(*antennas, [0]);
    assert_eq!(parameters[1], Parameter::InventoryParameterSpec { id: 9, protocol: 1, parameters: vec![] });
    let data = ToEnd(vec![0xff]);
    assert_eq!(*custom, Parameter::Custom { vendor: 1111, subtype: 1111, data, parameters: vec![] });
}

#[test]
fn recorded_tag_reports_are_read_as_recorded() {
    for number in 1..=5 {
        let (message, json) = edgex(&format!("ROAccessReport-00{number}"), 61);
        let tags = json["TagReportData"].as_array().unwrap();
        assert_eq!(message.parameters().len(), tags.len());
        for (parameter, expected) in message.parameters().iter().zip(tags) {
            let Parameter::TagReportData { parameters } = parameter else { panic!("{parameter:?}") };
            let tag = TagReport::read(parameters).unwrap();
            assert_eq!(tag.antenna.map(u64::from), expected["AntennaID"].as_u64());
            assert_eq!(tag.rssi_dbm.map(i64::from), expected["PeakRSSI"].as_i64());
            let microseconds = expected["FirstSeenUTC"].as_i64().unwrap();
            assert_eq!(tag.seen, Some(UtcMs(microseconds / 1000)));
            assert_eq!(base64(&tag.epc), expected["EPC96"]["EPC"].as_str().unwrap());
        }
    }
}

/// RFC 4648, for multiples of three bytes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks_exact(3).flat_map(|three| {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]))
    });
    digits.collect()
}

#[test]
fn recorded_capabilities_are_read_as_recorded() {
    let (message, json) = edgex("GetReaderCapabilitiesResponse-000", 11);
    assert_eq!(message.status(), Some((0, String::new())));
    let mut seen = 0;
    for parameter in message.parameters() {
        match parameter {
            Parameter::GeneralDeviceCapabilities {
                max_antennas,
                flags,
                manufacturer,
                model,
                firmware,
                parameters,
            } => {
                let expected = &json["GeneralDeviceCapabilities"];
                assert_eq!(u64::from(*max_antennas), expected["MaxSupportedAntennas"]);
                assert_eq!(flags & 0x8000 != 0, expected["CanSetAntennaProperties"]);
                assert_eq!(flags & 0x4000 != 0, expected["HasUTCClock"]);
                assert_eq!(u64::from(*manufacturer), expected["DeviceManufacturer"]);
                assert_eq!(u64::from(*model), expected["Model"]);
                assert_eq!(firmware.to_string(), expected["FirmwareVersion"]);
                let sensitivities = parameters.iter().filter_map(|parameter| match parameter {
                    Parameter::ReceiveSensitivityTableEntry { index, value, .. } => {
                        Some(serde_json::json!({ "Index": index, "ReceiveSensitivity": value }))
                    }
                    _ => None,
                });
                assert_eq!(sensitivities.collect::<Value>(), expected["ReceiveSensitivities"]);
                assert!(parameters.contains(&Parameter::GpioCapabilities {
                    inputs: 4,
                    outputs: 4,
                    parameters: vec![]
                }));
                seen += 1;
            }
            Parameter::LlrpCapabilities { flags, max_ro_specs, max_access_specs, .. } => {
                let expected = &json["LLRPCapabilities"];
                assert_eq!(flags & 0x40 != 0, expected["CanReportBufferFillWarning"]);
                assert_eq!(flags & 0x08 != 0, expected["SupportsEventsAndReportHolding"]);
                assert_eq!(u64::from(*max_ro_specs), expected["MaxROSpecs"]);
                assert_eq!(u64::from(*max_access_specs), expected["MaxAccessSpecs"]);
                seen += 1;
            }
            Parameter::RegulatoryCapabilities { country, standard, parameters } => {
                let expected = &json["RegulatoryCapabilities"];
                assert_eq!(u64::from(*country), expected["CountryCode"]);
                assert_eq!(u64::from(*standard), expected["CommunicationsStandard"]);
                let [Parameter::UhfBandCapabilities { parameters }] = parameters.as_slice() else {
                    panic!("{parameters:?}")
                };
                let powers = parameters.iter().filter_map(|parameter| match parameter {
                    Parameter::TransmitPowerLevelTableEntry { index, value, .. } => {
                        Some(serde_json::json!({ "Index": index, "TransmitPowerValue": value }))
                    }
                    _ => None,
                });
                assert_eq!(powers.collect::<Value>(), expected["UHFBandCapabilities"]["TransmitPowerLevels"]);
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 3);
    assert!(!undecoded(message.parameters()));
}

#[test]
fn recorded_configuration_is_read_as_recorded() {
    let (message, json) = edgex("GetReaderConfigResponse-000", 12);
    let antennas = message.parameters().iter().filter_map(|parameter| match parameter {
        Parameter::AntennaProperties { flags, antenna, gain, .. } => Some(serde_json::json!({
            "AntennaConnected": flags & 0x80 != 0, "AntennaID": antenna, "AntennaGain": gain
        })),
        _ => None,
    });
    assert_eq!(antennas.collect::<Value>(), json["AntennaProperties"]);
    let events = message.parameters().iter().find_map(|parameter| match parameter {
        Parameter::ReaderEventNotificationSpec { parameters } => Some(parameters),
        _ => None,
    });
    let events = events.unwrap().iter().map(|parameter| match parameter {
        Parameter::EventNotificationState { event, flags, .. } => serde_json::json!({
            "ReaderEventType": event, "NotificationEnabled": flags & 0x80 != 0
        }),
        other => panic!("{other:?}"),
    });
    assert_eq!(events.collect::<Value>(), json["ReaderEventNotificationSpec"]["EventNotificationStates"]);
    let report = message.parameters().iter().find_map(|parameter| match parameter {
        Parameter::RoReportSpec { trigger, n, parameters } => Some((*trigger, *n, parameters)),
        _ => None,
    });
    let (trigger, n, parameters) = report.unwrap();
    assert_eq!((u64::from(trigger), u64::from(n)), (2, 1));
    assert_eq!(json["ROReportSpec"]["Trigger"], 2);
    // AntennaID, PeakRSSI and FirstSeenTimestamp are on in the JSON, everything else is off.
    assert!(matches!(parameters[0], Parameter::TagReportContentSelector { flags: 0x1600, .. }));
    assert!(message.parameters().contains(&Parameter::KeepaliveSpec {
        kind: 0,
        period: 0,
        parameters: vec![]
    }));
    assert!(!undecoded(message.parameters()));
}

#[test]
fn recorded_event_and_goodbye_are_read_as_recorded() {
    let (message, json) = edgex("ReaderEventNotification-000", 63);
    let microseconds = json["ReaderEventNotificationData"]["UTCTimestamp"].as_u64().unwrap();
    let parameters = vec![
        Parameter::UtcTimestamp { microseconds, parameters: vec![] },
        Parameter::ConnectionClose { parameters: vec![] },
    ];
    assert_eq!(message.parameters(), [Parameter::ReaderEventNotificationData { parameters }]);
    let (message, _) = edgex("CloseConnectionResponse-000", 4);
    assert_eq!(message.status(), Some((0, String::new())));
}

#[test]
fn a_length_that_lies_is_refused_before_it_is_believed() {
    let header = |length: u32| {
        let mut bytes = vec![0x04, 0x3e];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    for length in [0, 9, u32::try_from(MAX_MESSAGE_BYTES).unwrap() + 1, u32::MAX] {
        let mut buffer = FrameBuffer::default();
        buffer.push(&header(length));
        assert_eq!(buffer.pop(), Err(FrameError::Length(length)));
    }
    for first in [b"HT", b"\xff\xff", b"\x00\x3e", b"\x24\x3e"] {
        let mut buffer = FrameBuffer::default();
        buffer.push(first);
        buffer.push(&header(10)[2..]);
        assert!(matches!(buffer.pop(), Err(FrameError::Header(_))), "{first:?}");
    }
    let mut buffer = FrameBuffer::default();
    buffer.push(&header(u32::try_from(MAX_MESSAGE_BYTES).unwrap()));
    assert_eq!(buffer.pop(), Ok(None));
}

#[test]
fn an_unknown_tv_ends_its_parent_only() {
    // Two tags; the first holds TV 99, which nobody knows, behind its antenna.
    let tag = |bytes: &[u8]| {
        let mut tlv = vec![0, 240, 0, u8::try_from(bytes.len() + 4).unwrap()];
        tlv.extend(bytes);
        tlv
    };
    let epc = [&[0x8d][..], &[1; 12]].concat();
    let first = tag(&[&epc[..], &[0x81, 0, 2], &[0xe3, 1, 2]].concat());
    let second = tag(&[&epc[..], &[0x86, 0xc4]].concat());
    let message = message(61, &[first, second].concat());
    let [Parameter::TagReportData { parameters: first }, Parameter::TagReportData { parameters: second }] =
        message.parameters()
    else {
        panic!("{message:?}")
    };
    assert_eq!(first[2], Parameter::Undecoded(vec![0xe3, 1, 2]));
    assert_eq!(TagReport::read(first).unwrap().antenna, Some(2));
    assert_eq!(TagReport::read(second).unwrap().rssi_dbm, Some(-60));
}

#[test]
fn parameters_nested_beyond_reason_are_kept_as_bytes() {
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() + 8 <= usize::from(u16::MAX) {
        let length = u16::try_from(bytes.len() + 8).unwrap().to_be_bytes();
        // ParameterError: type 289, a parameter type, a code, then again one.
        bytes = [&[1, 33, length[0], length[1], 0, 0, 0, 0], bytes.as_slice()].concat();
    }
    message(100, &bytes);
}

#[test]
fn what_does_not_fit_its_length_field_is_not_sent() {
    let parameter = Parameter::ReaderException { message: Text(vec![0; 65_532]), parameters: vec![] };
    assert!(Parameter::encode_all(&[parameter]).is_err());
    let body = vec![0; MAX_MESSAGE_BYTES];
    assert!(Message::Other { kind: 900, body }.frame(1).unwrap().encode().is_err());
}

/// Parameters in which every field is arbitrary.
fn parameter() -> impl Strategy<Value = Parameter> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let leaf = prop_oneof![
        any::<[u8; 12]>().prop_map(Parameter::Epc96),
        any::<i8>().prop_map(Parameter::PeakRssi),
        any::<u64>().prop_map(Parameter::LastSeenUtc),
        bytes().prop_map(|bytes| Parameter::EpcData {
            epc: BitString { bits: u16::try_from(bytes.len() * 8).unwrap(), bytes },
            parameters: vec![]
        }),
        (any::<u16>(), bytes()).prop_map(|(code, text)| Parameter::LlrpStatus {
            code,
            description: Text(text),
            parameters: vec![]
        }),
        (any::<u32>(), any::<u32>(), bytes()).prop_map(|(vendor, subtype, data)| Parameter::Custom {
            vendor,
            subtype,
            data: ToEnd(data),
            parameters: vec![]
        }),
        (800u16..1000, bytes()).prop_map(|(kind, body)| Parameter::Unknown { kind, body }),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let several = prop::collection::vec(inner, 0..4);
        (several, prop::collection::vec(any::<u16>(), 0..4))
            .prop_map(|(parameters, antennas)| Parameter::AiSpec { antennas, parameters })
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_written_as_they_were(
        kind in 0u16..1024, body in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let frame = Frame { version: 1, kind, id: 1, body };
        if let Ok(message) = Message::decode(&frame) {
            prop_assert_eq!(message.frame(1).unwrap(), frame);
            if let Message::RoAccessReport { parameters } = &message {
                TagReport::read(parameters);
            }
        }
    }

    #[test]
    fn damaged_golden_reports_are_read_without_a_panic(at in 0usize..42_353, with: u8) {
        let mut bytes = std::fs::read(vectors().join("ltk/dx101_a.bin")).unwrap();
        bytes[at] = with;
        let mut buffer = FrameBuffer::default();
        buffer.push(&bytes);
        while let Ok(Some(frame)) = buffer.pop() {
            if let Ok(message) = Message::decode(&frame) {
                prop_assert_eq!(message.frame(frame.id).unwrap().body, frame.body);
            }
        }
    }

    #[test]
    fn any_stream_is_taken_without_a_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let mut buffer = FrameBuffer::default();
        for chunk in chunks {
            buffer.push(&chunk);
            while let Ok(Some(_)) = buffer.pop() {}
        }
    }

    #[test]
    fn what_is_written_is_read(parameters in prop::collection::vec(parameter(), 0..5), id: u32) {
        let message = Message::RoAccessReport { parameters };
        let bytes = message.frame(id).unwrap().encode().unwrap();
        let [frame] = frames(&bytes).try_into().unwrap();
        prop_assert_eq!(frame.id, id);
        prop_assert_eq!(Message::decode(&frame).unwrap(), message);
    }

    #[test]
    fn a_stream_split_anywhere_gives_the_same_frames(cuts in prop::collection::vec(0usize..42_353, 0..30)) {
        let bytes = std::fs::read(vectors().join("ltk/dx101_a.bin")).unwrap();
        let mut cuts = cuts;
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut buffer = FrameBuffer::default();
        let mut split = Vec::new();
        let mut from = 0;
        for cut in cuts {
            buffer.push(&bytes[from..cut]);
            split.extend(std::iter::from_fn(|| buffer.pop().unwrap()));
            from = cut;
        }
        prop_assert_eq!(split, frames(&bytes));
    }

    #[test]
    fn a_frame_byte_by_byte_appears_with_its_last_byte(body in prop::collection::vec(any::<u8>(), 0..50)) {
        let frame = Frame { version: 1, kind: 61, id: 9, body };
        let bytes = frame.encode().unwrap();
        let mut buffer = FrameBuffer::default();
        for byte in &bytes[..bytes.len() - 1] {
            buffer.push(&[*byte]);
            prop_assert_eq!(buffer.pop(), Ok(None));
        }
        buffer.push(&bytes[bytes.len() - 1..]);
        prop_assert_eq!(buffer.pop(), Ok(Some(frame)));
        prop_assert!(bytes.len() >= HEADER_BYTES);
    }
}
