//! Journals that were cut, shuffled and spoilt.

use proptest::prelude::*;
use traffic::{Layout, Noise, check_journal};

use crate::small;

#[derive(Clone, Debug)]
enum Spoil {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
    Swap(usize, usize),
    Digits(usize, u8),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let at = || any::<usize>();
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Spoil::Flip(at, byte)),
        (at(), 0usize..400).prop_map(|(at, length)| Spoil::Cut(at, length)),
        (at(), 1usize..5).prop_map(|(at, times)| Spoil::Repeat(at, times)),
        (at(), at()).prop_map(|(one, other)| Spoil::Swap(one, other)),
        (at(), b'0'..=b'9').prop_map(|(at, digit)| Spoil::Digits(at, digit)),
    ]
}

fn spoilt(journal: &[u8], spoils: &[Spoil]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = journal.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for spoil in spoils {
        let count = lines.len();
        match *spoil {
            Spoil::Flip(at, byte) => {
                let line = &mut lines[at % count];
                if !line.is_empty() {
                    let place = (at / count) % line.len();
                    line[place] ^= byte;
                }
            }
            Spoil::Cut(at, length) => {
                let line = &mut lines[at % count];
                line.truncate(length);
            }
            Spoil::Repeat(at, times) => {
                let line = lines[at % count].clone();
                (0..times).for_each(|_| lines.insert(at % count, line.clone()));
            }
            Spoil::Swap(one, other) => lines.swap(one % count, other % count),
            Spoil::Digits(at, digit) => {
                let line = &mut lines[at % count];
                line.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = digit);
            }
        }
    }
    lines.join(&b'\n')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_journal_breaks_no_promise(
        seed in 0u64..1_000,
        spoils in prop::collection::vec(spoil(), 0..40),
    ) {
        let traffic = small(seed, 10, 2.0);
        let journal = spoilt(&traffic.journal().unwrap(), &spoils);
        prop_assert_eq!(check_journal(&traffic.layout.checkpoint, &journal), Ok(()));
    }

    #[test]
    fn bytes_that_are_no_journal_break_no_promise(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let layout = Layout::draw(1, 1, Some("full"), &Noise::none());
        prop_assert_eq!(check_journal(&layout.checkpoint, &bytes), Ok(()));
    }
}
