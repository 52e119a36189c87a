//! Traffic without noise: everything must be right.

use interface::{Reading, ReadingKind, View};
use passage::PassageState;
use proptest::prelude::*;

use crate::world::*;

/// Trucks in one lane, each with its own speed and stops, none overtaking; the `n`-th weighs `10 000 + n` kg.
fn platoon() -> impl Strategy<Value = (Script, usize)> {
    // Gap to the truck before, then for each way and each station the time it takes, milliseconds.
    let truck =
        (1_600u64..20_000, prop::array::uniform3(4_000u64..20_000), prop::array::uniform4(1_500u64..9_000));
    prop::collection::vec(truck, 1..9).prop_map(|trucks| {
        let mut script = Script::default();
        let mut free = [0u64; 4];
        let count = trucks.len();
        for (n, (gap, ways, stays)) in trucks.into_iter().enumerate() {
            let text = format!(
                "{}{:03}{}",
                ["A", "X", "K"][n % 3],
                111 * n + 37 * (n % 2),
                ["MP05", "KH77", "TT"][n % 3]
            );
            let mut at = 10_000;
            for (s, station) in ["entry", "portal", "scale", "exit"].iter().enumerate() {
                let came = at.max(free[s] + gap.min(3_000) + if s == 0 { gap } else { 0 });
                let mut left = came + stays[s];
                // It stays where it is until the next station is free.
                if s < 3 {
                    left = left.max((free[s + 1] + 2_000).saturating_sub(ways[s]));
                }
                script.say(came, &format!("in-1/{station}"), presence(true));
                script.say(left, &format!("in-1/{station}"), presence(false));
                match s {
                    0 => {
                        script.say(came + 200, "in-1/front", plate(&text, View::Front));
                        script.say(left + 100, "in-1/rear", plate(&format!("{text}9"), View::Rear));
                    }
                    1 => {
                        script.say(left + 300, "in-1/rpm", radiation(interface::RadiationAlarm::None));
                    }
                    2 => {
                        script.say(left - 500, "in-1/weight", weight(10_000 + n as i64, true));
                    }
                    _ => {
                        script.say(came + 200, "in-1/out", plate(&text, View::Front));
                    }
                }
                free[s] = left;
                at = left + ways.get(s).copied().unwrap_or(0);
            }
        }
        (script, count)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn everything_is_right((script, count) in platoon()) {
        let outcome = script.play();
        prop_assert!(outcome.orphans.is_empty());
        prop_assert_eq!(outcome.states(), vec![PassageState::Closed; count]);
        for (n, report) in outcome.reports.iter().enumerate() {
            prop_assert_eq!(report.entries.len(), 13, "{:#?}", report.entries);
            prop_assert_eq!(plates(report).len(), 2);
            prop_assert_eq!(count_of(report), 1);
            let kg = report.entries.iter().find_map(|entry| match &entry.observation.reading {
                Reading::Weight { gross_kg, .. } => Some(*gross_kg),
                _ => None,
            });
            prop_assert_eq!(kg, Some(10_000 + n as i64));
            prop_assert!(report.missing.is_empty());
        }
    }
}

fn count_of(report: &passage::Report) -> usize {
    count(report, ReadingKind::Radiation)
}
