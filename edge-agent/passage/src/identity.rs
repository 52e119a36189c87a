//! How alike two names read from a vehicle are: plates, container codes, tags.

/// What a look-alike costs, of a whole character.
const LOOK_ALIKE: f64 = 0.3;
/// What a dropped or added character costs: readers drop one now and then, at the edges above all.
const DROPPED: f64 = 0.8;
/// Names longer than this are compared by their beginning. The longest plate has 12 characters, an EPC 24 digits.
const LONGEST: usize = 32;

/// Two names at a distance below this are taken for two readings of one.
pub(crate) const SAME: f64 = 0.9;

/// Edit distance in which look-alikes cost less than other characters.
pub(crate) fn distance(a: &str, b: &str) -> f64 {
    if a == b {
        return 0.0;
    }
    let mut above = [0.0; LONGEST + 1];
    let width = b.chars().take(LONGEST).count() + 1;
    let mut empty = 0.0;
    for cost in &mut above {
        *cost = empty;
        empty += DROPPED;
    }
    for left in a.chars().take(LONGEST) {
        // Of the row above: the cell to the left, and the row's own cell to the left.
        let mut corner = 0.0;
        let mut before = 0.0;
        let mut others = b.chars();
        for (column, cell) in above.iter_mut().take(width).enumerate() {
            let up = *cell;
            *cell = up + DROPPED;
            if column > 0
                && let Some(right) = others.next()
            {
                *cell = cell.min(corner + substitution(left, right)).min(before + DROPPED);
            }
            corner = up;
            before = *cell;
        }
    }
    above.get(width - 1).copied().unwrap_or(0.0)
}

fn substitution(a: char, b: char) -> f64 {
    if a == b {
        0.0
    } else if look(a) != 0 && look(a) == look(b) {
        LOOK_ALIKE
    } else {
        1.0
    }
}

/// Characters of one number are easily taken for each other by a reader; 0 is like nothing else.
fn look(character: char) -> u8 {
    match character {
        '0' | 'O' | 'D' | 'Q' => 1,
        '1' | 'I' | 'L' => 2,
        '8' | 'B' => 3,
        '5' | 'S' => 4,
        '2' | 'Z' => 5,
        '6' | 'G' => 6,
        'V' | 'Y' => 7,
        'M' | 'N' => 8,
        _ => 0,
    }
}

/// Whether a text may be a registration plate: every plate has a digit, and lettering on vehicles (the maker's name) has none.
pub(crate) fn is_plate(text: &str) -> bool {
    text.chars().filter(|character| character.is_alphanumeric()).count() >= 3
        && text.chars().any(|character| character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_near_and_other_characters_are_not() {
        assert!(distance("A001MP05", "A001MP05") == 0.0);
        assert!(distance("A001MP05", "AOO1MP05") < SAME);
        assert!(distance("A001MP05", "A01MP05") < SAME);
        assert!(distance("A001MP05", "A002MP05") >= SAME);
        assert!(distance("A001MP05", "X987KH77") > 3.0);
        assert!(distance("", "ABC") > 2.0);
    }

    proptest::proptest! {
        #[test]
        fn distance_is_symmetric(a in "\\PC{0,40}", b in "\\PC{0,40}") {
            proptest::prop_assert!((distance(&a, &b) - distance(&b, &a)).abs() < 1e-9);
        }
    }
}
