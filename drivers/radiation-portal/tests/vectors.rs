//! The recorded and the synthetic lines, and the codec against arbitrary bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use interface::RadiationAlarm;
use proptest::prelude::*;
use radiation_portal::tsa::codec::{Lines, Record, SetupTag, parse_line};
use radiation_portal::tsa::occupancy::{Event, Occupancy, Portal};

const QUOTED: &str = include_str!("vectors/quoted_lines.csv");
const SYNTHETIC: &str = include_str!("vectors/synthetic_gross_count_stream.csv");

/// Feeds lines 200 ms apart and collects what the portal tells.
fn feed(portal: &mut Portal, start_ms: u64, lines: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for (n, line) in lines.lines().filter(|line| !line.is_empty()).enumerate() {
        let record = parse_line(line.as_bytes()).unwrap();
        events.extend(portal.step(start_ms + 200 * n as u64, &record, line.as_bytes()));
    }
    events
}

fn ended(events: &[Event]) -> Vec<&Occupancy> {
    events.iter().filter_map(|event| if let Event::Ended(o) = event { Some(&**o) } else { None }).collect()
}

#[test]
fn quoted_lines_of_real_controllers_are_read() {
    let records: Vec<Record> = QUOTED.lines().map(|line| parse_line(line.as_bytes()).unwrap()).collect();
    assert_eq!(records[0], Record::GammaBackground([188, 206, 262, 243]));
    assert_eq!(
        records[1],
        Record::GammaSetup { high_fault: 660, low_fault: 90, intervals: 5, hold_in: 10, sigma: 7.0 }
    );
    assert_eq!(records[2], Record::Speed { seconds: 0.0136, mph: 50.134, kmh: 80.68 });
    assert!(matches!(records[3], Record::Tamper { open: false, .. }));
    for (record, line) in records.iter().zip(QUOTED.lines()) {
        assert_eq!(record.to_string(), line.trim_end(), "written as the controller writes it");
    }
}

#[test]
fn the_synthetic_stream_is_one_gamma_alarm_with_the_sums_of_its_lines() {
    let mut portal = Portal::new(None);
    let body: Vec<&str> = SYNTHETIC.lines().collect();
    let end = body.iter().position(|line| line.starts_with("GX")).unwrap();
    let events = feed(&mut portal, 0, &body[..=end].join("\n"));
    let [Event::Occupied, Event::Ended(occupancy), Event::Free] = events.as_slice() else {
        panic!("{events:?}")
    };
    // The largest five consecutive gamma lines, added by hand from the file's own numbers.
    let sums: Vec<u32> = body
        .iter()
        .filter(|line| line.starts_with("GS") || line.starts_with("GA"))
        .map(|line| line.split(',').skip(1).map(|field| field.parse::<u32>().unwrap()).sum())
        .collect();
    let largest = sums.windows(5).map(|window| window.iter().sum::<u32>()).max().unwrap();
    assert_eq!(occupancy.number, Some(123));
    assert_eq!(occupancy.alarm, RadiationAlarm::Gamma);
    assert_eq!(occupancy.gamma_max_cps, Some(largest));
    assert_eq!(occupancy.gamma_background_cps, Some(196 + 189 + 206 + 182));
    assert_eq!(occupancy.neutron_max_cps, Some(3));
    assert_eq!(occupancy.duration_ms, Some(200 * sums.len() as u64));
    assert_eq!(occupancy.speed_kmh, Some(4.88));
    assert!(occupancy.above_threshold && occupancy.gamma_sigma.unwrap() > 100.0);
    assert_eq!(occupancy.note, None);
    let evidence = String::from_utf8(occupancy.evidence.clone()).unwrap();
    assert!(evidence.starts_with("GB,000196,") && evidence.ends_with("GX,000123,000750,00000,00000\r\n"));
    assert!(portal.problems().is_none());
    feed(&mut portal, 60_000, &body[end + 1..].join("\n"));
    let problems = portal.problems().unwrap();
    assert!(problems.contains("too low") && problems.contains("neutron") && problems.contains("tamper"));
}

const QUIET: &str = "GB,000200,000200,000200,000200\nNB,000001,000001,000001,000001\n";
const FIVE: &str = "GS,000040,000040,000040,000040\n";

fn occupancy(number: u32) -> String {
    format!("{}GX,{number:06},000750,0,0\n", FIVE.repeat(6))
}

#[test]
fn a_gap_in_the_numbers_is_reported_as_lost_occupancies() {
    let mut portal = Portal::new(None);
    feed(&mut portal, 0, &format!("{QUIET}{}", occupancy(7)));
    let events = feed(&mut portal, 9_000, &format!("{QUIET}{}", occupancy(10)));
    assert!(events.contains(&Event::Lost { first: 8, last: 9 }), "{events:?}");
    assert!(portal.problems().unwrap().contains("8 to 9"));
    let events = feed(&mut portal, 20_000, &format!("{QUIET}{}", occupancy(11)));
    assert!(!events.iter().any(|event| matches!(event, Event::Lost { .. })));
    assert_eq!(portal.problems(), None);
}

#[test]
fn the_counter_may_wrap_but_not_jump_back_in_silence() {
    let mut portal = Portal::new(None);
    feed(&mut portal, 0, &format!("{QUIET}{}", occupancy(999_999)));
    let events = feed(&mut portal, 9_000, &format!("{QUIET}{}", occupancy(0)));
    assert_eq!(events.len(), 3, "{events:?}");
    feed(&mut portal, 9_000, &format!("{QUIET}{}", occupancy(500)));
    let events = feed(&mut portal, 9_000, &format!("{QUIET}{}", occupancy(37)));
    assert!(events.contains(&Event::CounterRestarted { from: 500, to: 37 }));
}

#[test]
fn an_occupancy_without_its_end_line_is_still_reported_and_not_counted_as_lost() {
    let mut portal = Portal::new(None);
    feed(&mut portal, 0, &format!("{QUIET}{}", occupancy(1)));
    let events = feed(&mut portal, 9_000, &format!("{}{QUIET}", FIVE.repeat(5)));
    assert_eq!(ended(&events)[0].alarm, RadiationAlarm::Fault);
    assert_eq!(ended(&events)[0].gamma_max_cps, Some(800));
    let events = feed(&mut portal, 20_000, &occupancy(3));
    assert!(!events.iter().any(|event| matches!(event, Event::Lost { .. })), "{events:?}");
}

#[test]
fn an_end_without_scan_lines_is_a_vehicle_that_was_not_measured() {
    let mut portal = Portal::new(None);
    let events = feed(&mut portal, 0, &format!("{QUIET}GX,000004,000750,0,0"));
    let occupancy = ended(&events)[0];
    assert_eq!((occupancy.alarm, occupancy.gamma_max_cps), (RadiationAlarm::Fault, None));
}

#[test]
fn a_vehicle_is_not_clean_while_the_background_is_faulty_but_an_alarm_stays_an_alarm() {
    for fault in ["GH,000900,000900,000900,000900", "GL,1,1,1,1", "NH,000040,000040,000040,000040"] {
        let mut portal = Portal::new(None);
        let events = feed(&mut portal, 0, &format!("{QUIET}{fault}\n{}", occupancy(1)));
        assert_eq!(ended(&events)[0].alarm, RadiationAlarm::Fault, "{fault}");
        let events = feed(&mut portal, 0, &format!("{QUIET}{}", occupancy(2)));
        assert_eq!(ended(&events)[0].alarm, RadiationAlarm::None, "cleared by the next background");
    }
    let mut portal = Portal::new(None);
    let alarm = "GA,000400,000400,000400,000400\nNA,000009,000009,000009,000009\n";
    let events = feed(&mut portal, 0, &format!("{QUIET}GH,9,9,9,9\n{alarm}{}", occupancy(1)));
    assert_eq!(ended(&events)[0].alarm, RadiationAlarm::GammaNeutron);
    assert_eq!(ended(&events)[0].neutron_max_cps, Some(36));
}

#[test]
fn a_lost_connection_keeps_the_alarm_and_never_calls_half_an_occupancy_clean() {
    let mut portal = Portal::new(None);
    feed(&mut portal, 0, &format!("{QUIET}GA,000400,000400,000400,000400"));
    let events = portal.disconnected(5_000);
    assert_eq!(ended(&events)[0].alarm, RadiationAlarm::Gamma);
    // The rest of the same occupancy arrives after reconnecting: joined late, so not clean; and nothing is lost.
    let events = feed(&mut portal, 9_000, &occupancy(1));
    assert_eq!(ended(&events)[0].alarm, RadiationAlarm::Fault);
    assert_eq!(ended(&events)[0].gamma_background_cps, None);
    assert!(events.contains(&Event::Free));
}

#[test]
fn fewer_than_five_gamma_lines_give_no_rate_and_neutron_lines_of_either_cadence_give_the_same() {
    let mut portal = Portal::new(None);
    let events = feed(&mut portal, 0, &format!("{QUIET}{}GX,1,750", FIVE.repeat(4)));
    assert_eq!(ended(&events)[0].gamma_max_cps, None);
    assert_eq!(ended(&events)[0].neutron_max_cps, None);
    let slow = format!("{}NS,5,0,0,0\n", FIVE.repeat(5)).repeat(4);
    let fast = format!("{FIVE}NS,1,0,0,0\n").repeat(20);
    for stream in [slow, fast] {
        let events = feed(&mut portal, 0, &format!("{QUIET}{stream}GX,2,750"));
        assert_eq!(ended(&events)[0].neutron_max_cps, Some(5));
    }
}

#[test]
fn tamper_is_told_once_until_it_is_closed() {
    let mut portal = Portal::new(None);
    let tamper = "TT,111111,111011,111111,111111\n";
    let clear = "TC,111111,111111,111111,111111\n";
    let events = feed(&mut portal, 0, &format!("{tamper}{tamper}{clear}{tamper}"));
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn times_appended_by_an_alarm_station_are_ignored_and_bad_lines_say_why() {
    let line = b"GB,000188,000206,000262,000243,10-11-12.345,07-11-12.345";
    assert_eq!(parse_line(line).unwrap(), Record::GammaBackground([188, 206, 262, 243]));
    let error = |line: &[u8]| parse_line(line).unwrap_err().to_string();
    assert!(error(b"GX,000001").contains("needs 2 fields"));
    assert!(error(b"\"unterminated,quote").contains("quotation"));
    assert!(error(b"GB,Aa1,1,2,3").contains("spectroscopic"));
    assert!(error(b"GS,1,2,3,x").contains("field 4"));
    assert!(error(b"GS,1,2,3,-4").contains("field 4"));
    assert!(error(b"HELLO").contains("known are GB"));
    assert!(error(b"G\xff,1").contains("parity"));
}

#[test]
fn the_rest_of_an_endless_line_is_not_taken_for_a_line() {
    let found = cut(&mut Lines::default(), &[&[b'x'; 600], b"GX,000001,000750,0,0\r\n", b"TC,1,1,1,1\r\n"]);
    assert_eq!(found, [None, Some(b"TC,1,1,1,1".to_vec())]);
}

fn counts() -> impl Strategy<Value = [u32; 4]> {
    prop::array::uniform4(0u32..1_000_000)
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        counts().prop_map(Record::GammaBackground),
        counts().prop_map(Record::NeutronBackground),
        counts().prop_map(Record::GammaHigh),
        counts().prop_map(Record::GammaLow),
        counts().prop_map(Record::NeutronHigh),
        (counts(), any::<bool>()).prop_map(|(counts, alarm)| Record::GammaScan { counts, alarm }),
        (counts(), any::<bool>()).prop_map(|(counts, alarm)| Record::NeutronScan { counts, alarm }),
        (0u32..99_999, 0u32..99_999, 0u32..99_999).prop_map(|(s, mph, kmh)| Record::Speed {
            seconds: f64::from(s) / 1e4,
            mph: f64::from(mph) / 1e3,
            kmh: f64::from(kmh) / 1e2,
        }),
        (0u32..1_000_000, 0u32..1_000_000)
            .prop_map(|(occupancy, n)| Record::End { occupancy, neutron_background_milli: n }),
        (any::<bool>(), prop::array::uniform4("[01]{6}"))
            .prop_map(|(open, switches)| Record::Tamper { open, switches }),
        (0u32..999_999, 0u32..999_999, 0u32..99, 0u32..99, 0u32..999).prop_map(|(h, l, i, o, n)| {
            let sigma = f64::from(n) / 10.0;
            Record::GammaSetup { high_fault: h, low_fault: l, intervals: i, hold_in: o, sigma }
        }),
        prop::collection::vec("[0-9.]{1,6}", 1..6)
            .prop_map(|fields| Record::Setup { tag: SetupTag::Sn1, fields }),
    ]
}

fn cut(lines: &mut Lines, pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    for piece in pieces {
        lines.push(piece);
        while let Some(line) = lines.next_line() {
            found.push(line.ok());
        }
    }
    found
}

proptest! {
    #[test]
    fn a_written_record_reads_back(record in record()) {
        prop_assert_eq!(parse_line(record.to_string().as_bytes()).unwrap(), record);
    }

    #[test]
    fn any_bytes_split_anywhere_give_the_same_lines_and_no_panic(
        bytes in prop::collection::vec(prop_oneof![4 => 32u8..127, 1 => Just(b'\n'), 1 => any::<u8>()], 0..900),
        at in 0usize..900,
    ) {
        let at = at.min(bytes.len());
        let whole = cut(&mut Lines::default(), &[&bytes]);
        let split = cut(&mut Lines::default(), &[&bytes[..at], &bytes[at..]]);
        prop_assert_eq!(&whole, &split);
        for line in whole.into_iter().flatten() {
            let _ = parse_line(&line);
        }
    }

    #[test]
    fn any_order_of_records_closes_each_occupancy_once_and_bounds_its_evidence(
        records in prop::collection::vec(record(), 0..200),
    ) {
        let mut portal = Portal::new(Some(5.0));
        let mut occupied = false;
        for (n, record) in records.iter().enumerate() {
            for event in portal.step(n as u64 * 200, record, record.to_string().as_bytes()) {
                match event {
                    Event::Occupied => { prop_assert!(!occupied); occupied = true; }
                    Event::Free => { prop_assert!(occupied); occupied = false; }
                    Event::Ended(o) => prop_assert!(o.evidence.len() <= radiation_portal::tsa::occupancy::MAX_EVIDENCE),
                    _ => {}
                }
            }
        }
        prop_assert!(portal.disconnected(1_000_000).len() <= 1);
    }
}
