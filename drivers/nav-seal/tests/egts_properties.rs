//! Properties of the codec that hold for any input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use nav_seal::egts::Inputs;
use nav_seal::egts::dialogue::Dialogue;
use nav_seal::egts::record::{AUTH, AdSensors, PosData, Record, State, Subrecord, TELEDATA, TermIdentity};
use nav_seal::egts::seal::{Rules, Seals};
use nav_seal::egts::transport::{Body, Incoming, Packet, Refusal, Splitter, StreamError, encode};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

const U24: std::ops::Range<u32> = 0..0x0100_0000;

fn identity() -> impl Strategy<Value = TermIdentity> {
    let numbers = (any::<u32>(), of(any::<u16>()), any::<bool>(), of(U24), of(any::<u16>()));
    let texts = (of(any::<[u8; 15]>()), of(any::<[u8; 16]>()), of(any::<[u8; 3]>()), of(any::<[u8; 15]>()));
    (numbers, texts).prop_map(
        |((terminal, home, simple, network, buffer), (imei, imsi, language, msisdn))| TermIdentity {
            terminal,
            home,
            imei,
            imsi,
            language,
            simple,
            network,
            buffer,
            msisdn,
        },
    )
}

fn position() -> impl Strategy<Value = PosData> {
    let place = (any::<u32>(), any::<u32>(), any::<u32>(), 0u8..0x80, any::<u16>(), any::<u8>());
    let rest = (U24, any::<u8>(), any::<u8>(), of(U24), of(any::<u16>()));
    (place, rest).prop_map(
        |(
            (time, latitude, longitude, flags, speed, course),
            (odometer, inputs, cause, altitude, cause_data),
        )| {
            PosData {
                time,
                latitude,
                longitude,
                flags,
                speed,
                course,
                odometer,
                inputs,
                cause,
                altitude,
                cause_data,
            }
        },
    )
}

fn teledata() -> impl Strategy<Value = Subrecord> {
    let sensors =
        (any::<u8>(), any::<[Option<u8>; 8]>(), vec(of(U24), 8)).prop_map(|(outputs, inputs, analogue)| {
            AdSensors { outputs, inputs, analogue: analogue.try_into().unwrap() }
        });
    let state =
        (20u8..22, any::<[u8; 5]>()).prop_map(|(kind, [mode, main_dv, backup_dv, internal_dv, flags])| {
            State { kind, mode, main_dv, backup_dv, internal_dv, flags }
        });
    prop_oneof![
        position().prop_map(Subrecord::PosData),
        sensors.prop_map(Subrecord::AdSensors),
        state.prop_map(Subrecord::State),
        (any::<u16>(), any::<u8>()).prop_map(|(record, result)| Subrecord::RecordResponse { record, result }),
        (22u8.., vec(any::<u8>(), 0..40)).prop_map(|(kind, data)| Subrecord::Other { kind, data }),
    ]
}

fn auth() -> impl Strategy<Value = Subrecord> {
    prop_oneof![
        identity().prop_map(Subrecord::TermIdentity),
        (any::<u8>(), any::<u32>(), vec(any::<u8>(), 0..40))
            .prop_map(|(kind, id, description)| Subrecord::DispatcherIdentity { kind, id, description }),
        vec(any::<u8>(), 0..40).prop_map(Subrecord::AuthInfo),
        any::<u8>().prop_map(Subrecord::ResultCode),
    ]
}

fn record() -> impl Strategy<Value = (Record, Vec<Subrecord>)> {
    let head = (any::<u16>(), any::<u8>(), of(any::<u32>()), of(any::<u32>()), of(any::<u32>()), any::<u8>());
    let body = prop_oneof![(Just(AUTH), vec(auth(), 0..4)), (Just(TELEDATA), vec(teledata(), 0..6)),];
    (head, body).prop_map(|((number, flags, object, event, time, recipient), (service, subrecords))| {
        let record = Record::new(number, service, &subrecords).unwrap();
        (Record { flags: flags & 0xF8, object, event, time, recipient, ..record }, subrecords)
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let records = || vec(record().prop_map(|(record, _)| record), 0..5);
    let body = prop_oneof![
        records().prop_map(Body::AppData),
        (any::<u16>(), any::<u8>(), records()).prop_map(|(to, result, records)| Body::Response {
            to,
            result,
            records
        }),
        (vec(any::<u8>(), 0..30), records())
            .prop_map(|(signature, records)| Body::Signed { signature, records }),
    ];
    let route = of((any::<u16>(), any::<u16>(), any::<u8>()));
    (any::<u16>(), 0u8..4, route, body).prop_map(|(id, priority, route, body)| Packet {
        id,
        priority,
        route,
        body,
    })
}

fn split(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Incoming>, StreamError> {
    let (mut splitter, mut incoming) = (Splitter::default(), Vec::new());
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        splitter.push(&bytes[pair[0]..pair[1]]);
        while let Some(packet) = splitter.next_packet()? {
            incoming.push(packet);
        }
    }
    Ok(incoming)
}

fn seals() -> Seals {
    let inputs = Inputs { shackle_closed: Some(0), case_open: Some(70), ..Inputs::default() };
    let (tamper_causes, low_battery_causes) = (vec![10], vec![12]);
    Seals::new(Rules { inputs, tamper_causes, low_battery_causes, hold_s: 60, repeat_ms: 60_000 })
}

proptest! {
    #[test]
    fn packets_come_back_however_the_stream_is_cut(
        packets in vec(packet(), 1..4),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(packet).unwrap()).collect();
        let wanted: Vec<Incoming> = packets.into_iter().map(Incoming::Packet).collect();
        prop_assert_eq!(split(&bytes, &cuts), Ok(wanted));
    }

    #[test]
    fn subrecords_come_back((record, subrecords) in record()) {
        prop_assert_eq!(record.subrecords(), Some(subrecords));
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300), cuts in vec(any::<usize>(), 0..4)) {
        let _ = split(&bytes, &cuts);
        let record = |source| Record {
            number: 0, flags: 0, object: None, event: None, time: None, source, recipient: 0, data: bytes.clone(),
        };
        let _ = (record(AUTH).subrecords(), record(TELEDATA).subrecords(), record(9).subrecords());
    }

    /// Data that pass the checksums and mean nothing: each packet is answered once, if it is not an answer.
    #[test]
    fn no_data_behind_right_checksums_panic(
        data in vec(any::<u8>(), 1..200), kind in 0u8..4, flags in 0u8..4, packets in vec(packet(), 0..3),
    ) {
        let mut header = vec![1, 0, flags, 11, 0];
        header.extend((data.len() as u16).to_le_bytes());
        header.extend([7, 0, kind]);
        header.push(nav_seal::egts::checksum::crc8(&header));
        header.extend(&data);
        header.extend(nav_seal::egts::checksum::crc16(&data).to_le_bytes());
        for packet in &packets {
            header.extend(encode(packet).unwrap());
        }
        let (mut seals, mut dialogue) = (seals(), Dialogue::default());
        let incoming = split(&header, &[]).unwrap();
        prop_assert_eq!(incoming.len(), packets.len() + 1);
        for incoming in incoming {
            let wants_answer = match &incoming {
                Incoming::Packet(packet) => !matches!(packet.body, Body::Response { .. }),
                Incoming::Refused(refusal) => refusal.respond,
            };
            let outcome = dialogue.receive(incoming, &mut seals, &[], 0);
            prop_assert_eq!(wants_answer, !outcome.answers.is_empty());
            for answer in outcome.answers {
                prop_assert!(encode(&answer).is_ok());
            }
        }
    }

    /// Any one bit that is turned over is found: in the header the stream ends, in the data the packet is refused.
    #[test]
    fn a_turned_bit_is_found(packet in packet(), at in any::<usize>(), bit in 0u8..8) {
        let mut bytes = encode(&packet).unwrap();
        let header = usize::from(bytes[3]);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        match split(&bytes, &[]) {
            Err(_) => prop_assert!(at < header),
            Ok(incoming) => {
                prop_assert!(incoming.is_empty() || at >= header);
                for incoming in incoming {
                    let found = matches!(incoming, Incoming::Refused(Refusal { result: 138, .. }));
                    prop_assert!(found, "{:?}", incoming);
                }
            }
        }
    }
}
