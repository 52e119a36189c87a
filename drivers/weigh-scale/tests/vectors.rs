//! The vectors of both protocols, and the codecs against arbitrary bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use interface::Protocol;
use proptest::prelude::*;
use serde_json::Value;
use weigh_scale::tenso_m::codec::{self as tenso, Operation, Reply, Weight, crc8};
use weigh_scale::toledo_continuous::codec::{self as toledo, NoWeight, Unit};
use weigh_scale::weighing::to_kg;
use weigh_scale::{tenso_m::TensoM, toledo_continuous::ToledoContinuous};

fn vectors(text: &str) -> Vec<(String, Vec<u8>, Value)> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    all.into_iter()
        .map(|vector| {
            let hex = vector["hex"].as_str().unwrap().to_owned();
            let bytes =
                (0..hex.len()).step_by(2).map(|n| u8::from_str_radix(&hex[n..n + 2], 16).unwrap()).collect();
            (vector["desc"].as_str().unwrap().to_owned(), bytes, vector)
        })
        .collect()
}

fn bodies(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut splitter = tenso::Splitter::default();
    let mut found = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        found.extend(std::iter::from_fn(|| splitter.next_body()));
    }
    found
}

fn frames(splitter: &mut toledo::Splitter, pieces: &[&[u8]]) -> Vec<toledo::Frame> {
    let mut found = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        found.extend(std::iter::from_fn(|| splitter.next_frame()));
    }
    found
}

#[test]
fn tenso_m_vectors() {
    let mut replies = 0;
    for (desc, bytes, vector) in vectors(include_str!("vectors/tenso_m.json")) {
        let found = bodies(&[&bytes]);
        assert_eq!(found.len(), 1, "{desc}");
        let crc = vector["crc"].as_bool().unwrap();
        let decoded = &vector["decoded"];
        if decoded.is_null() {
            // A request, which is also what an RS-485 adapter echoes: never taken for a reply.
            assert!(tenso::decode_reply(&found[0]).is_err(), "{desc}");
            continue;
        }
        replies += 1;
        let frame = tenso::decode_reply(&found[0]).unwrap();
        assert_eq!((frame.address, frame.crc), (1, crc), "{desc}");
        match frame.reply {
            Reply::Weight { weight: Weight { digits: Some(digits), decimals, stable }, .. } => {
                let value = f64::from(digits) / 10f64.powi(decimals.into());
                assert_eq!(Some(value), decoded["value"].as_f64(), "{desc}");
                assert_eq!(Some(stable), decoded["stable"].as_bool(), "{desc}");
            }
            Reply::Weight { weight: Weight { digits: None, .. }, .. } => {
                assert_eq!(decoded["overload"], true, "{desc}");
            }
            Reply::Serial(serial) => assert_eq!(decoded["serial"], serial, "{desc}"),
            Reply::Error(code) => assert_eq!(decoded["error"], code, "{desc}"),
            Reply::Unsupported => assert_eq!(decoded["error"], "unsupported", "{desc}"),
        }
        assert_eq!(tenso::encode_reply(1, &frame.reply, crc), bytes, "{desc}");
    }
    assert_eq!(replies, 9);
}

#[test]
fn tenso_m_requests_and_crc_are_those_of_the_description() {
    assert_eq!(tenso::encode_request(1, Operation::Gross, true), [0xFF, 1, 0xC3, 0xE3, 0xFF, 0xFF]);
    assert_eq!(tenso::encode_request(1, Operation::Gross, false), [0xFF, 1, 0xC3, 0xFF, 0xFF]);
    assert_eq!(crc8(&[1, 0xC2]), 0x8A);
    assert_eq!(crc8(&[1, 0xC0]), 0x58);
    assert_eq!(crc8(&[1, 0xBF]), 0xCB);
    assert_eq!(crc8(&[1, 0xC3, 5, 0, 0, 0x91]), 0x96);
}

#[test]
fn tenso_m_finds_the_next_frame_after_garbage_and_refuses_what_is_wrong() {
    let good = [0xFF, 1, 0xC3, 0x40, 0x85, 1, 0x10, 0x42, 0xFF, 0xFF];
    let garbage = [&[7, 8, 9][..], &good[..6], &good, &[0xFF, 0xFE, 3], &good].concat();
    assert_eq!(bodies(&[&garbage]).iter().filter(|body| tenso::decode_reply(body).is_ok()).count(), 2);
    for n in 1..good.len() - 2 {
        let mut wrong = good;
        wrong[n] ^= 0x01;
        for body in bodies(&[&wrong]) {
            let decoded = tenso::decode_reply(&body);
            assert!(decoded.is_err(), "byte {n} changed: {decoded:?}");
        }
    }
    let digit = tenso::decode_reply(&[1, 0xC3, 0x4A, 0x85, 1, 0x10]).unwrap_err();
    assert_eq!(digit, tenso::FrameError::Digit);
    let endless: Vec<u8> = std::iter::once(0xFF).chain(std::iter::repeat_n(1, 500)).collect();
    assert_eq!(bodies(&[&endless, &good]).len(), 1);
}

#[test]
fn toledo_vectors() {
    for (desc, bytes, vector) in vectors(include_str!("vectors/toledo_continuous.json")) {
        // The stream goes on, here with the same frame again: two come out, whether there is a checksum or not.
        let mut splitter = toledo::Splitter::new(false);
        let found = frames(&mut splitter, &[&bytes, &bytes, &[0x02]]);
        assert_eq!(found.len(), 2, "{desc}");
        assert_eq!(found[0], found[1]);
        assert_eq!(splitter.checksum(), Some(bytes.len() == 18), "{desc}");
        let (frame, decoded) = (found[0], &vector["decoded"]);
        let tare_kg = frame.tare.unwrap_or_default() as f64 * 10f64.powi(frame.exponent.into());
        let tare_kg = if frame.unit == Unit::Tonne { tare_kg * 1e3 } else { tare_kg };
        let net_kg = frame.gross_grams().unwrap() as f64 / 1e3 - if frame.net { tare_kg } else { 0.0 };
        assert_eq!(Some(net_kg), decoded["weight_kg"].as_f64(), "{desc}");
        if let Some(tare) = decoded["tare_kg"].as_f64() {
            assert_eq!(tare_kg, tare, "{desc}");
        }
        if let Some(stable) = decoded["stable"].as_bool() {
            assert_eq!(!frame.motion, stable, "{desc}");
        }
        assert_eq!(frame.net, decoded["net"].as_bool().unwrap_or(false), "{desc}");
        assert_eq!(frame.zeroed, decoded["zeroed"].as_bool().unwrap_or(true), "{desc}");
    }
}

const FRAME: toledo::Frame = toledo::Frame {
    weight: Some(18_540),
    tare: Some(0),
    short: false,
    exponent: 0,
    net: false,
    out_of_range: false,
    motion: false,
    zeroed: true,
    unit: Unit::Kilogram,
    expanded: false,
};

#[test]
fn toledo_units_and_tare_become_grams() {
    let grams = |frame: toledo::Frame| frame.gross_grams();
    assert_eq!(grams(toledo::Frame { unit: Unit::Pound, weight: Some(40_000), ..FRAME }), Ok(18_143_695));
    assert_eq!(
        grams(toledo::Frame { unit: Unit::Tonne, exponent: -2, weight: Some(4012), ..FRAME }),
        Ok(40_120_000)
    );
    assert_eq!(grams(toledo::Frame { exponent: 1, weight: Some(-3), ..FRAME }), Ok(-30_000));
    let net = toledo::Frame { net: true, weight: Some(24_560), tare: Some(15_440), ..FRAME };
    assert_eq!(grams(net).map(to_kg), Ok(40_000));
    assert_eq!(grams(toledo::Frame { tare: None, short: true, ..net }), Err(NoWeight::NetWithoutTare));
    assert_eq!(grams(toledo::Frame { out_of_range: true, ..FRAME }), Err(NoWeight::OutOfRange));
    assert_eq!(grams(toledo::Frame { expanded: true, ..FRAME }), Err(NoWeight::Expanded));
    assert_eq!(grams(toledo::Frame { unit: Unit::Other, ..FRAME }), Err(NoWeight::Unit));
}

#[test]
fn toledo_takes_parity_bits_and_the_short_form_and_refuses_a_wrong_checksum() {
    let even: Vec<u8> = FRAME
        .encode(true)
        .iter()
        .map(|byte| byte | if byte.count_ones() % 2 == 1 { 0x80 } else { 0 })
        .collect();
    assert_eq!(frames(&mut toledo::Splitter::new(true), &[&even]), [FRAME]);
    let short = toledo::Frame { short: true, tare: None, ..FRAME };
    assert_eq!(short.encode(true).len(), 12);
    assert_eq!(frames(&mut toledo::Splitter::new(true), &[&short.encode(true)]), [short]);
    let mut wrong = FRAME.encode(true);
    wrong[6] ^= 1;
    let mut splitter = toledo::Splitter::new(false);
    assert_eq!(frames(&mut splitter, &[&wrong, &FRAME.encode(true)]), [FRAME]);
    assert_eq!(splitter.rejected(), 1);
    let bare = FRAME.encode(false);
    assert_eq!(frames(&mut toledo::Splitter::new(true), &[&bare, &bare, &bare]), []);
}

#[test]
fn toledo_notices_that_the_checksum_was_switched_on_later() {
    let mut splitter = toledo::Splitter::new(false);
    let (bare, summed) = (FRAME.encode(false), FRAME.encode(true));
    assert_eq!(frames(&mut splitter, &[&bare, &bare, &bare]).len(), 3);
    assert_eq!(splitter.checksum(), Some(false));
    assert_eq!(frames(&mut splitter, &[&summed, &summed, &summed]).len(), 3);
    assert_eq!(splitter.checksum(), Some(true));
    let mut wrong = summed.clone();
    wrong[7] ^= 1;
    assert_eq!(frames(&mut splitter, &[&wrong, &summed]), [FRAME]);
}

#[test]
fn exactly_one_of_port_and_address_must_be_given() {
    let parse = |protocol: &dyn Protocol, text: &str| {
        protocol.parse(toml::from_str(text).unwrap()).map(|plan| plan.claims()[0].to_string())
    };
    for protocol in [&TensoM as &dyn Protocol, &ToledoContinuous] {
        let error = |text: &str| parse(protocol, text).unwrap_err().to_string();
        assert!(error("").contains("found neither"));
        assert!(error("port = '/dev/ttyS0'\naddress = '127.0.0.1:4001'").contains("exclude each other"));
        assert!(error("address = 'scale'").contains("host:port"));
        assert!(error("port = 'COM1'").contains("/dev/serial/by-id"));
        assert!(error("port = '/dev/ttyS0'\nbaud = 9601").contains("9600"));
        assert!(error("port = '/dev/ttyS0'\nchange_kg = 0").contains("`change_kg`: expected 1 to"));
        assert!(error("prt = '/dev/ttyS0'").contains("`port`"));
        assert_eq!(parse(protocol, "port = '/dev/ttyS0'").unwrap(), "serial port /dev/ttyS0");
        assert_eq!(parse(protocol, "address = '127.0.0.1:4001'").unwrap(), "device 127.0.0.1:4001");
    }
    assert!(
        parse(&TensoM, "port = '/dev/ttyS0'\ndevice = 160").unwrap_err().to_string().contains("1 to 159")
    );
    let error = parse(&ToledoContinuous, "port = '/dev/ttyS0'\nparity = 'mark'").unwrap_err().to_string();
    assert!(error.contains("even") && error.contains("odd"), "{error}");
}

fn reply() -> impl Strategy<Value = Reply> {
    let operation = prop_oneof![Just(Operation::Gross), Just(Operation::Net), Just(Operation::FixedGross)];
    prop_oneof![
        (operation, prop::option::of(-999_999i32..1_000_000), 0u8..8, any::<bool>()).prop_map(
            |(operation, digits, decimals, stable)| Reply::Weight {
                operation,
                weight: Weight { digits, decimals, stable }
            }
        ),
        (0u32..1 << 24).prop_map(Reply::Serial),
        any::<u8>().prop_map(Reply::Error),
        Just(Reply::Unsupported),
    ]
}

fn frame() -> impl Strategy<Value = toledo::Frame> {
    let units = [
        Unit::Kilogram,
        Unit::Pound,
        Unit::Gram,
        Unit::Tonne,
        Unit::Ounce,
        Unit::TroyOunce,
        Unit::Pennyweight,
        Unit::ShortTon,
        Unit::Other,
    ];
    (
        -999_999i32..1_000_000,
        prop::option::of(0u32..1_000_000),
        -5i8..=2,
        prop::array::uniform6(any::<bool>()),
        prop::sample::select(units.to_vec()),
    )
        .prop_map(
            |(weight, tare, exponent, [net, out_of_range, motion, zeroed, expanded, blank], unit)| {
                let weight = (!(blank && out_of_range)).then_some(weight);
                let short = tare.is_none();
                toledo::Frame {
                    weight,
                    tare,
                    short,
                    exponent,
                    net,
                    out_of_range,
                    motion,
                    zeroed,
                    unit,
                    expanded,
                }
            },
        )
}

fn bytes(special: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(special)], 0..300)
}

proptest! {
    #[test]
    fn tenso_m_replies_survive_the_wire(address in 1u8..=0x9F, reply in reply(), crc: bool) {
        let found = bodies(&[&tenso::encode_reply(address, &reply, crc)]);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(tenso::decode_reply(&found[0]).unwrap(), tenso::Frame { address, reply, crc });
    }

    #[test]
    fn tenso_m_takes_any_bytes_split_anywhere(bytes in bytes(&[0xFF, 0xFF, 0xFE, 0x01, 0xC3]), at in 0usize..300) {
        let at = at.min(bytes.len());
        let whole = bodies(&[&bytes]);
        prop_assert_eq!(&whole, &bodies(&[&bytes[..at], &bytes[at..]]));
        for body in whole {
            let _ = tenso::decode_reply(&body);
        }
    }

    #[test]
    fn toledo_frames_survive_the_wire(sent in prop::collection::vec(frame(), 1..8), checksum: bool) {
        let mut bytes: Vec<u8> = sent.iter().flat_map(|frame| frame.encode(checksum)).collect();
        bytes.push(0x02);
        prop_assert_eq!(frames(&mut toledo::Splitter::new(false), &[&bytes]), sent.clone());
        for frame in sent {
            let _ = frame.gross_grams();
        }
    }

    #[test]
    fn toledo_takes_any_bytes_split_anywhere(
        parts in prop::collection::vec(
            prop_oneof![bytes(&[0x02, 0x20, 0x30, 0x0D]), frame().prop_map(|f| f.encode(true)), frame().prop_map(|f| f.encode(false))],
            0..6,
        ),
        at in 0usize..600,
    ) {
        let bytes = parts.concat();
        let at = at.min(bytes.len());
        let whole = frames(&mut toledo::Splitter::new(false), &[&bytes]);
        prop_assert_eq!(whole, frames(&mut toledo::Splitter::new(false), &[&bytes[..at], &bytes[at..]]));
    }
}
