//! How alike two names read from a vehicle are: plates, container codes, tags.

/// Characters of one group are easily taken for each other by a reader.
const LOOK_ALIKES: [&str; 8] = ["0ODQ", "1IL", "8B", "5S", "2Z", "6G", "VY", "MN"];
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
    let a: Vec<char> = a.chars().take(LONGEST).collect();
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut above: Vec<f64> =
        std::iter::successors(Some(0.0), |cost| Some(cost + DROPPED)).take(b.len() + 1).collect();
    for left in &a {
        let mut corner = above.first().copied().unwrap_or(0.0);
        let mut before = corner + DROPPED;
        let mut row = vec![before];
        for (right, up) in b.iter().zip(above.iter().skip(1)) {
            let cost = (corner + substitution(*left, *right)).min(up + DROPPED).min(before + DROPPED);
            corner = *up;
            before = cost;
            row.push(cost);
        }
        above = row;
    }
    above.last().copied().unwrap_or(0.0)
}

fn substitution(a: char, b: char) -> f64 {
    if a == b {
        0.0
    } else if LOOK_ALIKES.iter().any(|group| group.contains(a) && group.contains(b)) {
        LOOK_ALIKE
    } else {
        1.0
    }
}

/// How much two names at this distance speak for (negative) or against one vehicle. The unit is that of
/// [`scoring`](crate::scoring).
pub(crate) fn cost(distance: f64) -> f64 {
    if distance == 0.0 {
        -4.0
    } else if distance < SAME {
        -3.0
    } else if distance <= 1.0 {
        -1.0
    } else if distance <= 2.0 {
        2.0
    } else {
        6.0
    }
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
