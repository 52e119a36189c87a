//! What the text reader saw, frame by frame, reduced to what plates are made of.

/// Blank, the 36 signs that most plates are made of, the letters of Cyrillic that Latin has no look-alike of, and ideographs.
pub const CLASSES: usize = 1 + SIGNS + CYRILLIC.len() + 1;
/// 0-9 and A-Z.
const SIGNS: usize = 36;
/// The letters of Cyrillic, as far as Soviet plates had them, that Latin has no look-alike of.
const CYRILLIC: [char; 16] = ['Б', 'Г', 'Д', 'Ж', 'З', 'И', 'Л', 'П', 'Ф', 'Ц', 'Ч', 'Ш', 'Щ', 'Э', 'Ю', 'Я'];
/// Those it has one of, and that one.
const SHARED: [&str; 2] = ["АВЕКМНОРСТУХ", "ABEKMHOPCTYX"];
/// Class of every ideograph: that one stands there can be told, which it is cannot.
const IDEOGRAPH: usize = CLASSES - 1;
/// How an ideograph is written in a text: as a sign that was not read.
pub const UNREAD: char = '?';
/// Probabilities below this count as this: a sure frame must not veto a whole plate.
const EPSILON: f32 = 1e-5;
/// The part of the mass of other signs that counts as blank. Coats of arms, dashes and holograms stand between the
/// letters of many plates; without this the exact reads of the EU set fall from 87 to 59 %.
const OTHER_AS_BLANK: f32 = 0.5;

/// A frame is blank beyond doubt when every sign is below this, relative to the blank; one sign beyond doubt when all else
/// is below this, relative to the sign: above it a repeat may hide there.
const NO_SIGN: f32 = -6.9;
const NO_OTHER: f32 = -3.0;

/// Look-alikes: a sign gets at least this part of its look-alike's probability.
const CONFUSIONS: &[(&str, f32)] = &[
    ("O0", 0.5),
    ("I1", 0.3),
    ("QD0", 0.01),
    ("QO", 0.01),
    ("DO", 0.01),
    ("B8", 0.01),
    ("Z2", 0.01),
    ("S5", 0.01),
    ("G6", 0.01),
    ("VY", 0.01),
    ("T7", 0.003),
    ("A4", 0.003),
    ("NH", 0.003),
    ("J1", 0.003),
    ("L1", 0.003),
    ("U0", 0.003),
    ("C0", 0.003),
    ("R8", 0.003),
    ("KX", 0.003),
    ("6B", 0.003),
    ("З3", 0.3),
    ("Б6", 0.01),
    ("Ч4", 0.01),
];

/// What readers without Cyrillic take its letters for: each letter gets at least this part of those signs' probability.
const WITHOUT_CYRILLIC: &[(char, &str, f32)] = &[
    ('Б', "6B", 0.03),
    ('Г', "TFR", 0.03),
    ('Д', "A", 0.03),
    ('Ж', "KX", 0.03),
    ('И', "NM", 0.03),
    ('Л', "AN", 0.03),
    ('П', "NM", 0.03),
    ('Ф', "O0", 0.01),
    ('Ц', "ULI", 0.03),
    ('Ч', "4Y", 0.03),
    ('Ш', "WU", 0.03),
    ('Щ', "W", 0.03),
    ('Э', "39", 0.03),
    ('Ю', "O0", 0.01),
    ('Я', "R", 0.03),
];

/// Class of a sign: 1 to 10 for 0-9, 11 to 36 for A-Z, then Cyrillic and ideographs; small letters count as capitals, letters
/// that look alike in Cyrillic and Latin as Latin. 0 is the blank.
#[must_use]
pub fn class_of(sign: char) -> Option<usize> {
    match sign.to_ascii_uppercase() {
        digit @ '0'..='9' => Some(1 + usize::from(digit as u8 - b'0')),
        letter @ 'A'..='Z' => Some(11 + usize::from(letter as u8 - b'A')),
        '\u{4e00}'..='\u{9fff}' | UNREAD => Some(IDEOGRAPH),
        _ => cyrillic_class(sign),
    }
}

fn cyrillic_class(sign: char) -> Option<usize> {
    let capital = sign.to_uppercase().next()?;
    if let Some(at) = CYRILLIC.iter().position(|letter| *letter == capital) {
        return Some(1 + SIGNS + at);
    }
    let [cyrillic, latin] = SHARED;
    cyrillic
        .chars()
        .zip(latin.chars())
        .find(|(letter, _)| *letter == capital)
        .and_then(|(_, it)| class_of(it))
}

/// Sign of a class; a space for the blank, [`UNREAD`] for an ideograph.
#[must_use]
pub fn sign_of(class: usize) -> char {
    match class {
        1..=10 => char::from(b'0' + (class - 1) as u8),
        11..=36 => char::from(b'A' + (class - 11) as u8),
        IDEOGRAPH => UNREAD,
        _ => class.checked_sub(1 + SIGNS).and_then(|at| CYRILLIC.get(at)).copied().unwrap_or(' '),
    }
}

/// Log probabilities of blank and signs per frame, relative to the best of each frame: the free reading scores 0,
/// everything else less.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lattice {
    frames: Vec<[f32; CLASSES]>,
}

impl Lattice {
    /// From the probabilities of blank and signs in each frame; what is missing to 1 is the mass of other signs.
    #[must_use]
    pub fn new(probabilities: &[[f32; CLASSES]]) -> Self {
        Self { frames: probabilities.iter().map(normalised).collect() }
    }

    /// Two lines of one plate, read one after the other.
    #[must_use]
    pub fn then(&self, below: &Self) -> Self {
        let mut blank = [EPSILON.ln(); CLASSES];
        blank[0] = 0.0;
        let between = std::iter::once(blank);
        Self {
            frames: self.frames.iter().copied().chain(between).chain(below.frames.iter().copied()).collect(),
        }
    }

    /// The same with each run of frames that are the same beyond doubt as one frame, which takes half the time to decode. A
    /// class has in it what it has at best in the run, alone or with blanks round it.
    #[must_use]
    pub fn condensed(&self) -> Self {
        let sure = |frame: &[f32; CLASSES], best: usize| {
            let limit = if best == 0 { NO_SIGN } else { NO_OTHER };
            frame.iter().enumerate().all(|(class, value)| class == best || *value < limit)
        };
        let mut frames: Vec<[f32; CLASSES]> = Vec::with_capacity(self.frames.len());
        let mut last_best = None;
        for (frame, best) in self.frames.iter().zip(self.best_classes()) {
            let best = sure(frame, best).then_some(best);
            match frames.last_mut() {
                Some(last) if best.is_some() && best == last_best => {
                    let (before, now) = (last[0], frame[0]);
                    for (value, other) in last.iter_mut().zip(frame) {
                        *value = (*value + other).max(*value + now).max(before + other);
                    }
                    last[0] = before + now;
                }
                _ => frames.push(*frame),
            }
            last_best = best;
        }
        Self { frames }
    }

    /// The frames.
    #[must_use]
    pub fn frames(&self) -> &[[f32; CLASSES]] {
        &self.frames
    }

    /// The best class of each frame.
    pub fn best_classes(&self) -> impl Iterator<Item = usize> {
        self.frames.iter().map(|frame| {
            frame
                .iter()
                .enumerate()
                .fold((0, f32::MIN), |best, (i, v)| if *v > best.1 { (i, *v) } else { best })
                .0
        })
    }

    /// The reading without any format: best class per frame, repeats and blanks removed.
    #[must_use]
    pub fn free_text(&self) -> String {
        let mut text = String::new();
        let mut last = 0;
        for class in self.best_classes() {
            if class != last && class != 0 {
                text.push(sign_of(class));
            }
            last = class;
        }
        text
    }
}

fn normalised(probabilities: &[f32; CLASSES]) -> [f32; CLASSES] {
    let clean = probabilities.map(|p| if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.0 });
    // general readers take coats of arms and holograms for ideographs: they are among the other signs
    let ideographs = clean[IDEOGRAPH];
    let other = (1.0 - clean.iter().sum::<f32>() + ideographs).max(0.0);
    let mut raised = clean;
    raised[0] = clean[0].max(OTHER_AS_BLANK * other);
    raised[IDEOGRAPH] = OTHER_AS_BLANK * ideographs;
    for &(letter, signs, part) in WITHOUT_CYRILLIC {
        let best = signs.chars().filter_map(|c| clean.get(class_of(c)?)).fold(0.0f32, |a, b| a.max(*b));
        if let Some(value) = class_of(letter).and_then(|class| raised.get_mut(class)) {
            *value = value.max(part * best);
        }
    }
    for (group, part) in CONFUSIONS {
        let best = group.chars().filter_map(|c| clean.get(class_of(c)?)).fold(0.0f32, |a, b| a.max(*b));
        for class in group.chars().filter_map(class_of) {
            if let Some(value) = raised.get_mut(class) {
                *value = value.max(part * best);
            }
        }
    }
    let best = raised.iter().fold(EPSILON, |a, b| a.max(*b)).ln();
    raised.map(|p| p.max(EPSILON).ln() - best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_signs() {
        for class in 1..CLASSES {
            assert_eq!(class_of(sign_of(class)), Some(class));
        }
        assert_eq!(class_of('k'), class_of('K'));
        assert_eq!(class_of('Ӿ'), None);
        assert_eq!((sign_of(0), sign_of(CLASSES)), (' ', ' '));
        // one sign for one glyph, whatever alphabet it is from
        for (cyrillic, latin) in SHARED[0].chars().zip(SHARED[1].chars()) {
            assert_eq!(class_of(cyrillic), class_of(latin));
        }
        assert_eq!(class_of('ж').map(sign_of), Some('Ж'));
        assert_eq!(class_of('京').map(sign_of), Some(UNREAD));
    }

    #[test]
    fn an_ideograph_is_never_surer_than_a_blank_and_cyrillic_stands_by_itself() {
        let mut frame = [0.0; CLASSES];
        frame[IDEOGRAPH] = 0.9;
        let lattice = Lattice::new(&[frame]);
        assert_eq!(lattice.free_text(), "", "a coat of arms may be one");
        let there = lattice.frames()[0][IDEOGRAPH];
        assert!((-0.2..=0.0).contains(&there), "{there}: a format that has one there loses nothing");
        let mut frame = [0.0; CLASSES];
        frame[class_of('Ж').unwrap()] = 0.9;
        assert_eq!(Lattice::new(&[frame]).free_text(), "Ж");
        // a reader that has no Ж takes it for a K
        let mut frame = [0.0; CLASSES];
        frame[class_of('K').unwrap()] = 1.0;
        let lattice = Lattice::new(&[frame]);
        assert!(lattice.frames()[0][class_of('Ж').unwrap()] > -4.0 && lattice.free_text() == "K");
    }

    #[test]
    fn other_signs_count_as_blank_and_look_alikes_are_not_excluded() {
        let mut frame = [0.0; CLASSES];
        frame[class_of('O').unwrap()] = 0.2;
        let lattice = Lattice::new(&[frame]);
        let got = lattice.frames()[0];
        assert_eq!(got[0], 0.0, "0.8 of other signs, half of it as blank, is the best");
        let zero = got[class_of('0').unwrap()];
        assert!((zero - (0.5f32 * 0.2 / 0.4).ln()).abs() < 1e-4, "{zero}");
        assert!(Lattice::new(&[[f32::NAN; CLASSES]]).frames()[0].iter().all(|v| v.is_finite()));
    }

    #[test]
    fn free_text_merges_repeats() {
        let one = |c: char| {
            let mut f = [0.0; CLASSES];
            f[class_of(c).unwrap_or(0)] = 1.0;
            f
        };
        let frames: Vec<_> = "AA A1-1".chars().map(one).collect();
        assert_eq!(Lattice::new(&frames).free_text(), "AA11");
        assert_eq!(Lattice::new(&frames).then(&Lattice::new(&frames)).free_text(), "AA11AA11");
    }

    #[test]
    fn condensing_draws_together_what_is_sure_only() {
        let frame = |sign: char, sure: f32| {
            let mut f = [0.0; CLASSES];
            f[class_of(sign).unwrap_or(0)] = sure;
            f[0] = f[0].max(1.0 - sure);
            f
        };
        let frames = [
            ('A', 1.0),
            ('A', 0.99),
            ('-', 1.0),
            ('-', 1.0),
            ('-', 1.0),
            ('A', 1.0),
            ('1', 0.01),
            ('1', 0.01),
            ('B', 0.6),
            ('B', 0.6),
        ];
        let whole = Lattice::new(&frames.map(|(sign, sure)| frame(sign, sure)));
        let short = whole.condensed();
        assert_eq!(short.frames().len(), 7, "two A and three blanks are one each, doubtful frames stay");
        assert_eq!(short.free_text(), whole.free_text());
        assert!((short.frames()[0][0] - (whole.frames()[0][0] + whole.frames()[1][0])).abs() < 1e-3);
        assert_eq!(Lattice::default().condensed(), Lattice::default());
    }
}
