//! Container codes, size and type codes (ISO 6346), and the numbers of railway wagons. Pure.

use serde::Serialize;

/// Signs of a container code: owner (3), category (1), serial number (6), check digit (1).
pub const CODE_SIGNS: usize = 11;
/// Categories in use: freight container, detachable equipment, trailer or chassis (ISO 6346, 3.2).
pub const CATEGORIES: &str = "UJZ";

/// Value of a sign in the check sum (ISO 6346, annex A): digits count as themselves, letters from 10 on, and the
/// multiples of 11 are left out, so that A is 10, B is 12 and Z is 38.
#[must_use]
pub fn value(sign: char) -> Option<u32> {
    match sign {
        '0'..='9' => sign.to_digit(10),
        'A'..='Z' => {
            let place = u32::from(sign) - u32::from('A') + 10;
            // one value is left out before B, one before L and one before V
            Some(place + u32::from(place > 10) + u32::from(place > 20) + u32::from(place > 30))
        }
        _ => None,
    }
}

/// Remainder of the check sum over the ten signs before the check digit, 0 to 10; none if they are not ten signs of
/// A-Z and 0-9.
#[must_use]
pub fn remainder(ten: &str) -> Option<u32> {
    let values: Vec<u32> = ten.chars().map(value).collect::<Option<_>>()?;
    let sum = values.iter().rev().fold(0, |sum, v| 2 * sum + v);
    (values.len() == CODE_SIGNS - 1).then_some(sum % 11)
}

/// The check digit of the ten signs. A remainder of 10 is written 0: such serial numbers should not be issued, but are
/// met, and their check digit tells less than others.
#[must_use]
pub fn check_digit(ten: &str) -> Option<char> {
    char::from_digit(remainder(ten)? % 10, 10)
}

/// Whether the ten signs are owner, category and serial number.
#[must_use]
pub fn is_well_formed(ten: &str) -> bool {
    ten.chars().count() == CODE_SIGNS - 1
        && ten.chars().enumerate().all(|(i, c)| match i {
            0..=2 => c.is_ascii_uppercase(),
            3 => CATEGORIES.contains(c),
            _ => c.is_ascii_digit(),
        })
}

/// Whether `code` is a container code with the right check digit.
#[must_use]
pub fn is_valid(code: &str) -> bool {
    let Some((at, last)) = code.char_indices().last() else { return false };
    let ten = code.get(..at).unwrap_or_default();
    is_well_formed(ten) && check_digit(ten) == Some(last)
}

/// What a size and type code says of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SizeType {
    /// Length in millimetres.
    pub length_mm: u32,
    /// Height in millimetres; none where the code gives a limit only.
    pub height_mm: Option<u32>,
    /// Kind of container.
    pub kind: &'static str,
}

/// First signs of a size and type code, with the length (ISO 6346:1995, annex D).
const LENGTHS: &[(char, u32)] = &[
    ('1', 2991),
    ('2', 6058),
    ('3', 9125),
    ('4', 12_192),
    ('A', 7150),
    ('B', 7315),
    ('C', 7430),
    ('D', 7450),
    ('E', 7820),
    ('F', 8100),
    ('G', 12_500),
    ('H', 13_106),
    ('K', 13_600),
    ('L', 13_716),
    ('M', 14_630),
    ('N', 14_935),
    ('P', 16_154),
];

/// Second signs, with the height where the code fixes it; letters are for containers wider than 2438 mm (annex D).
const HEIGHTS: &[(char, Option<u32>)] = &[
    ('0', Some(2438)),
    ('2', Some(2591)),
    ('4', Some(2743)),
    ('5', Some(2895)),
    ('6', None),
    ('8', Some(1295)),
    ('9', None),
    ('C', Some(2591)),
    ('D', Some(2743)),
    ('E', Some(2895)),
    ('F', None),
    ('L', Some(2591)),
    ('M', Some(2743)),
    ('N', Some(2895)),
    ('P', None),
];

/// Third signs, with the kind and the fourth signs that are in use (annex E with amendment 3; its letters for
/// containers of reduced strength are not read).
const KINDS: &[(char, &str, &str)] = &[
    ('G', "0123456789", "general purpose"),
    ('V', "024", "ventilated"),
    ('B', "013456", "dry bulk"),
    ('S', "012", "named cargo"),
    ('R', "0123456789", "thermal, refrigerated or heated"),
    ('H', "01256", "thermal, removable equipment"),
    ('U', "0123456", "open top"),
    ('P', "0123456789", "platform"),
    ('T', "0123456789", "tank"),
    ('K', "012345678", "pressurised tank"),
    ('N', "01234567", "tank for dry bulk"),
    ('A', "0", "air and surface"),
];

/// The signs that may stand at each of the four places of a size and type code.
#[must_use]
pub fn type_code_signs() -> [String; 4] {
    [
        LENGTHS.iter().map(|(c, _)| *c).collect(),
        HEIGHTS.iter().map(|(c, _)| *c).collect(),
        KINDS.iter().map(|(c, _, _)| *c).collect(),
        "0123456789".to_owned(),
    ]
}

/// Reads a size and type code such as `22G1`; none if it is not one.
#[must_use]
pub fn size_type(text: &str) -> Option<SizeType> {
    let signs: Vec<char> = text.chars().collect();
    let &[length, height, kind, detail] = signs.as_slice() else { return None };
    let (_, length_mm) = LENGTHS.iter().find(|(c, _)| *c == length)?;
    let (_, height_mm) = HEIGHTS.iter().find(|(c, _)| *c == height)?;
    let (_, details, kind) = KINDS.iter().find(|(c, _, _)| *c == kind)?;
    details.contains(detail).then_some(SizeType { length_mm: *length_mm, height_mm: *height_mm, kind })
}

/// Check digit of a wagon number without it: 7 digits (1520 mm gauge) or 11 (UIC). Luhn's sum with the weights 2, 1, 2,
/// 1, …; digits of a product are added one by one; the check digit fills up to the next ten.
#[must_use]
pub fn wagon_check_digit(digits: &str) -> Option<char> {
    if !matches!(digits.len(), 7 | 11) {
        return None;
    }
    let mut sum = 0;
    for (i, c) in digits.chars().enumerate() {
        let product = c.to_digit(10)? * if i % 2 == 0 { 2 } else { 1 };
        sum += product / 10 + product % 10;
    }
    char::from_digit((10 - sum % 10) % 10, 10)
}

/// Whether `number` is a wagon number of 8 or 12 digits with the right check digit.
#[must_use]
pub fn is_valid_wagon(number: &str) -> bool {
    let Some((at, last)) = number.char_indices().last() else { return false };
    wagon_check_digit(number.get(..at).unwrap_or_default()) == Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_leave_out_the_multiples_of_eleven() {
        for (sign, want) in
            [('0', 0), ('9', 9), ('A', 10), ('B', 12), ('K', 21), ('L', 23), ('U', 32), ('V', 34), ('Z', 38)]
        {
            assert_eq!(value(sign), Some(want), "{sign}");
        }
        let all: Vec<u32> = ('A'..='Z').filter_map(value).collect();
        assert!(all.iter().all(|v| v % 11 != 0) && all.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(value('a'), None);
    }

    #[test]
    fn known_codes() {
        // CSQU3054383 is the worked example of ISO 6346, annex A; BPHU802843 has remainder 10
        for code in ["CSQU3054383", "DFSU4119250", "TEMU9545687", "BPHU8028430"] {
            assert!(is_valid(code), "{code}");
        }
        assert_eq!(remainder("BPHU802843"), Some(10));
        for code in
            ["", "CSQU3054384", "CSQA3054383", "CSQU305438", "CSQU30543833", "ЖSQU3054383", "csqu3054383"]
        {
            assert!(!is_valid(code), "{code}");
        }
    }

    /// Both lists were made with a program of their own; that of the containers was checked with the package freightid.
    #[test]
    fn the_vectors_agree() {
        let mut count = 0;
        for line in include_str!("../../tests/vectors/container_codes.csv").lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(is_valid(fields[0]), fields[1] == "true", "{line}");
            if !fields[2].is_empty() {
                assert_eq!(remainder(&fields[0][..10]).unwrap().to_string(), fields[2], "{line}");
            }
            count += 1;
        }
        for line in include_str!("../../tests/vectors/wagon_numbers.csv").lines().skip(1) {
            let (number, valid) = line.split_once(',').unwrap();
            assert_eq!(is_valid_wagon(number), valid == "true", "{line}");
            count += 1;
        }
        assert_eq!(count, 192);
    }

    #[test]
    fn size_and_type_codes() {
        let got = size_type("22G1").unwrap();
        assert_eq!((got.length_mm, got.height_mm, got.kind), (6058, Some(2591), "general purpose"));
        assert_eq!(size_type("45R1").unwrap().height_mm, Some(2895));
        assert_eq!(size_type("L5G1").unwrap().length_mm, 13_716);
        for bad in ["", "22G", "22G11", "72G1", "27G1", "22X1", "22V1", "2ZG1"] {
            assert_eq!(size_type(bad), None, "{bad}");
        }
    }

    #[test]
    fn wagon_numbers() {
        for number in ["51072395", "51488278", "315154501011"] {
            assert!(is_valid_wagon(number), "{number}");
        }
        for number in ["", "51072396", "5107239", "315154501014", "5107239Ж"] {
            assert!(!is_valid_wagon(number), "{number}");
        }
    }

    proptest! {
        /// One wrong sign is noticed, but for letters whose values differ by 11 or 22 (F and P, G and Q …) and for
        /// remainders of 10, which are written 0.
        #[test]
        fn the_check_digit_notices_one_wrong_sign(
            ten in "[A-Z]{3}[UJZ][0-9]{6}", at in 0usize..11, other in 0u8..36,
        ) {
            let code = format!("{ten}{}", check_digit(&ten).unwrap());
            prop_assert!(is_valid(&code));
            let mut signs: Vec<char> = code.chars().collect();
            let before = signs[at];
            let sign = if at < 4 { char::from(b'A' + other % 26) } else { char::from(b'0' + other % 10) };
            signs[at] = sign;
            let wrong: String = signs.iter().collect();
            let congruent = at < 4 && value(before).unwrap() % 11 == value(sign).unwrap() % 11;
            let tens = [remainder(&ten), remainder(&wrong[..10])];
            let ten_for_zero = tens.contains(&Some(10)) && tens.contains(&Some(0));
            if sign != before && is_valid(&wrong) {
                prop_assert!(congruent || ten_for_zero, "{} {}", code, wrong);
            }
        }

        #[test]
        fn a_wagon_number_notices_one_wrong_digit(seven in "[0-9]{7}", at in 0usize..8, other in 0u8..10) {
            let number = format!("{seven}{}", wagon_check_digit(&seven).unwrap());
            let mut wrong = number.clone().into_bytes();
            wrong[at] = b'0' + other;
            let wrong = String::from_utf8(wrong).unwrap();
            prop_assert_eq!(is_valid_wagon(&wrong), wrong == number);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (is_valid(&text), check_digit(&text), size_type(&text), is_valid_wagon(&text));
        }
    }
}
