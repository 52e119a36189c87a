//! Finds the best text of a given shape in a lattice, exactly: Viterbi over (position, sign) and time under the CTC
//! rules, forward and backward, so that the best text through every sign of every position is known (max-marginals).
//!
//! Signs before and after the plate's text (a flag strip read as `KZ`, a frame's advertising) may be skipped at a price.
#![allow(clippy::indexing_slicing, reason = "tables whose sizes are fixed at the head of each function")]

use super::lattice::{CLASSES, Lattice, class_of, sign_of};

/// Price of skipping one sign before or after the text, in nats.
pub(crate) const JUNK: f32 = 4.0;
const NEVER: f32 = -1e9;
/// Most signs at either end that a crop may have cut off.
pub const MOST_CUT: usize = 3;

/// The signs allowed at one position, as a set of classes (bit n for class n).
pub type SignSet = u64;

/// The set of these signs; others than those a lattice has are left out.
#[must_use]
pub fn sign_set(signs: &str) -> SignSet {
    signs.chars().filter_map(class_of).fold(0, |set, class| set | 1 << class)
}

const ALL_SIGNS: SignSet = (1 << CLASSES) - 2;

/// The classes of a set, ascending.
#[derive(Clone, Copy)]
struct Signs(SignSet);

impl Iterator for Signs {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let class = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (class < CLASSES).then_some(class)
    }
}

/// The best text of a shape, and the best ones with one other sign.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// Log probability relative to the free reading, 0 or less, skipped signs paid.
    pub score: f32,
    /// The best texts that differ in one position, best first, at most [`RUNNERS_UP`].
    pub runners_up: Vec<(String, f32)>,
}

/// How many runners-up are kept.
pub const RUNNERS_UP: usize = 4;

/// The edges of a lattice: what it costs to skip the frames before and after.
#[derive(Debug)]
pub struct Edges {
    best: Vec<usize>,
    before: Vec<f32>,
    after: Vec<f32>,
}

impl Edges {
    /// Prepares a lattice; used for every shape that is tried on it.
    #[must_use]
    pub fn new(lattice: &Lattice) -> Self {
        let frames = lattice.frames();
        let best: Vec<usize> = lattice.best_classes().collect();
        let n = best.len();
        // Two ways to pass a frame outside of the text: as junk (paid once for each sign that begins), or as blank
        // (paid by its probability). A change from blank to junk in the middle of a sign pays for the sign.
        let pass = |order: &mut dyn Iterator<Item = usize>, begins: &dyn Fn(usize) -> bool| {
            let (mut junk, mut blank) = (0.0f32, 0.0f32);
            let mut costs = vec![0.0];
            for t in order {
                let sign = best[t] != 0;
                let as_junk =
                    (junk - if begins(t) { JUNK } else { 0.0 }).max(blank - if sign { JUNK } else { 0.0 });
                let as_blank = junk.max(blank) + frames[t][0];
                (junk, blank) = (as_junk, as_blank);
                costs.push(junk.max(blank));
            }
            costs
        };
        let before = pass(&mut (0..n), &|t| best[t] != 0 && (t == 0 || best[t - 1] != best[t]));
        let mut after = pass(&mut (0..n).rev(), &|t| best[t] != 0 && (t + 1 == n || best[t + 1] != best[t]));
        after.reverse();
        Self { best, before, after }
    }

    /// Cost of beginning the text at frame `t`; never, beyond the last one.
    pub(crate) fn enter(&self, t: usize) -> f32 {
        self.before.get(t).copied().unwrap_or(NEVER)
    }

    /// Cost of ending with `class` (0: blank) before frame `t`.
    pub(crate) fn leave(&self, t: usize, class: usize) -> f32 {
        // `after` pays for a sign at its last frame, so a sign that the text has half used is paid in full: give it
        // back where the text's own last sign runs on.
        match self.best.get(t) {
            Some(&best) if best != 0 && best == class => {
                let end = (t..self.best.len()).find(|&u| self.best[u] != best).unwrap_or(self.best.len());
                self.after[t].max(self.after[end])
            }
            _ => self.after[t],
        }
    }
}

/// The best text of the shape `positions` in the lattice, or none: too few frames, or its score is below `floor`.
#[must_use]
pub fn decode(lattice: &Lattice, edges: &Edges, positions: &[SignSet], floor: f32) -> Option<Decoded> {
    let frames = lattice.frames();
    let (n, length) = (frames.len(), positions.len());
    if length == 0 || n < length || edges.best.len() != n {
        return None;
    }
    let signs: Vec<Signs> = positions.iter().map(|set| Signs(set & ALL_SIGNS)).collect();
    if signs.iter().any(|signs| signs.0 == 0) {
        return None;
    }
    let at = |t: usize, i: usize| t * length + i;

    // forward: best score of all that ends in this sign (or in the blank after it) at frame t
    let mut sign_end = Vec::with_capacity(n * length);
    let mut blank_end = vec![NEVER; n * length];
    let (mut top, mut next_top) = (vec![Top::default(); length], vec![Top::default(); length]);
    let mut total = NEVER;
    for t in 0..n {
        // most shapes are given up after a few frames
        sign_end.resize((t + 1) * length, [NEVER; CLASSES]);
        next_top.fill(Top::default());
        // no value ever grows: when all are below the floor, nothing reaches it
        let mut alive = edges.enter(t + 1);
        // each position needs a frame of its own, before and after
        for i in (length + t).saturating_sub(n)..length.min(t + 1) {
            for class in signs[i] {
                let stay = if t == 0 { NEVER } else { sign_end[at(t - 1, i)][class] };
                let enter = match (i, t) {
                    (0, _) => edges.before[t],
                    (_, 0) => NEVER,
                    _ => blank_end[at(t - 1, i - 1)].max(top[i - 1].except(class)),
                };
                let value = stay.max(enter) + frames[t][class];
                sign_end[at(t, i)][class] = value;
                next_top[i].add(class, value);
            }
            alive = alive.max(next_top[i].first);
            if t > 0 {
                let blank = frames[t][0] + blank_end[at(t - 1, i)].max(top[i].first);
                blank_end[at(t, i)] = blank;
                alive = alive.max(blank);
            }
        }
        if alive.max(total) < floor {
            return None;
        }
        std::mem::swap(&mut top, &mut next_top);
        let last = at(t, length - 1);
        for class in signs[length - 1] {
            total = total.max(sign_end[last][class] + edges.leave(t + 1, class));
        }
        total = total.max(blank_end[last] + edges.leave(t + 1, 0));
    }
    if total < floor {
        return None;
    }

    // backward: best score of all that follows this sign after frame t; folded into the max-marginals at once
    let mut marginal = vec![[NEVER; CLASSES]; length];
    let mut after_sign = vec![[NEVER; CLASSES]; length];
    let mut after_blank = vec![NEVER; length];
    let (mut next_sign, mut next_blank) = (after_sign.clone(), after_blank.clone());
    for t in (0..n).rev() {
        for i in 0..length {
            let mut following = Top::default();
            if t + 1 < n && i + 1 < length {
                for class in signs[i + 1] {
                    following.add(class, frames[t + 1][class] + after_sign[i + 1][class]);
                }
            }
            let blank = if t + 1 < n { frames[t + 1][0] + after_blank[i] } else { NEVER };
            let leave = |class| if i + 1 == length { edges.leave(t + 1, class) } else { NEVER };
            next_blank[i] = blank.max(following.first).max(leave(0));
            for class in signs[i] {
                let stay = if t + 1 < n { frames[t + 1][class] + after_sign[i][class] } else { NEVER };
                let value = stay.max(blank).max(following.except(class)).max(leave(class));
                next_sign[i][class] = value;
                let through = sign_end[at(t, i)][class] + value;
                marginal[i][class] = marginal[i][class].max(through);
            }
        }
        std::mem::swap(&mut after_sign, &mut next_sign);
        std::mem::swap(&mut after_blank, &mut next_blank);
    }
    Some(texts(&marginal, &signs))
}

/// Reads the best text and its runners-up off the max-marginals.
fn texts(marginal: &[[f32; CLASSES]], signs: &[Signs]) -> Decoded {
    let best: Vec<usize> = marginal
        .iter()
        .zip(signs)
        .filter_map(|(row, signs)| signs.reduce(|a, b| if row[b] > row[a] { b } else { a }))
        .collect();
    let text = |classes: &[usize]| classes.iter().map(|&class| sign_of(class)).collect::<String>();
    let score = best.iter().zip(marginal).fold(0.0f32, |least, (&class, row)| least.min(row[class]));
    let mut others: Vec<(f32, usize, usize)> = Vec::new();
    for (i, (row, signs)) in marginal.iter().zip(signs).enumerate() {
        others.extend(signs.filter(|&c| c != best[i]).map(|class| (row[class], i, class)));
    }
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    let runners_up = others
        .iter()
        .take(RUNNERS_UP)
        .map(|&(score, i, class)| {
            let mut other = best.clone();
            other[i] = class;
            (text(&other), score)
        })
        .collect();
    Decoded { text: text(&best), score, runners_up }
}

/// Score of exactly this text in the lattice, or none if it cannot be there. Up to [`MOST_CUT`] signs at either end may
/// lie outside of the crop, at the price of `cut` each; an infinite price forbids it.
#[must_use]
pub fn align(lattice: &Lattice, edges: &Edges, text: &str, cut: f32) -> Option<f32> {
    let classes: Vec<usize> = text.chars().map(class_of).collect::<Option<_>>()?;
    align_classes(lattice, edges, &classes, cut)
}

/// The same for a text given by the classes of its signs.
pub(crate) fn align_classes(lattice: &Lattice, edges: &Edges, classes: &[usize], cut: f32) -> Option<f32> {
    let frames = lattice.frames();
    let length = classes.len();
    if length == 0 || edges.best.len() != frames.len() {
        return None;
    }
    let price = |signs: usize| match signs {
        0 => 0.0,
        1..=MOST_CUT if cut.is_finite() => -cut * signs as f32,
        _ => NEVER,
    };
    let mut sign_end = vec![NEVER; length];
    let mut blank_end = vec![NEVER; length];
    let mut total = NEVER;
    for (t, frame) in frames.iter().enumerate() {
        // from the last position to the first, so that the values of the frame before are still there
        for i in (0..length).rev() {
            let class = classes[i];
            let follow = match i.checked_sub(1) {
                None => NEVER,
                Some(before) if classes[before] == class => blank_end[before],
                Some(before) => blank_end[before].max(sign_end[before]),
            };
            let enter = edges.before[t] + price(i);
            let (stay, blank) = (sign_end[i], blank_end[i]);
            sign_end[i] = frame[class] + stay.max(follow).max(enter);
            blank_end[i] = frame[0] + stay.max(blank);
            let left = price(length - 1 - i);
            total = total.max(sign_end[i] + edges.leave(t + 1, class) + left);
            total = total.max(blank_end[i] + edges.leave(t + 1, 0) + left);
        }
    }
    (total > NEVER / 2.0).then_some(total)
}

/// The best value, whose it is, and the best of the others.
#[derive(Clone, Copy)]
struct Top {
    class: usize,
    first: f32,
    second: f32,
}

impl Default for Top {
    fn default() -> Self {
        Self { class: 0, first: NEVER, second: NEVER }
    }
}

impl Top {
    fn add(&mut self, class: usize, value: f32) {
        if value > self.first {
            *self = Self { class, first: value, second: self.first };
        } else if value > self.second {
            self.second = value;
        }
    }

    /// The best value of another class: a sign repeated without a blank between is one sign.
    fn except(&self, class: usize) -> f32 {
        if class == self.class { self.second } else { self.first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A lattice from text: one frame per sign, `-` for blank, each with this probability.
    fn lattice(text: &str, sure: f32) -> Lattice {
        let frames: Vec<_> = text
            .chars()
            .map(|c| {
                let mut f = [(1.0 - sure) / 36.0; CLASSES];
                f[class_of(c).unwrap_or(0)] = sure;
                f
            })
            .collect();
        Lattice::new(&frames)
    }

    fn shape(pattern: &str) -> Vec<SignSet> {
        pattern
            .chars()
            .map(|c| if c == 'D' { sign_set("0123456789") } else { sign_set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") })
            .collect()
    }

    fn best(lattice: &Lattice, pattern: &str) -> Decoded {
        decode(lattice, &Edges::new(lattice), &shape(pattern), -1e6).unwrap()
    }

    #[test]
    fn a_clear_text_scores_zero() {
        let got = best(&lattice("A-1-22-2-B-C-7-7", 0.98), "LDDDLLDD");
        assert_eq!(got.text, "A122BC77");
        assert!(got.score.abs() < 1e-4);
        assert!(got.runners_up[0].1 < -2.0 && got.runners_up.len() == RUNNERS_UP);
    }

    #[test]
    fn the_shape_repairs_look_alikes() {
        // O read for 0, 8 for B, I for 1
        let got = best(&lattice("A-O-O-I-8-C-7-7", 0.98), "LDDDLLDD");
        assert_eq!(got.text, "A001BC77");
        assert!(got.score < -1.0 && got.score > -12.0, "{}", got.score);
    }

    #[test]
    fn a_repeat_needs_a_blank() {
        assert_eq!(best(&lattice("A-1-1-1-B-B-77", 0.9), "LDDDLLD").text, "A111BB7");
        // without blanks there are too few separate signs, so the score must suffer
        let squeezed = best(&lattice("A111BB7", 0.9), "LDDDLLD");
        assert!(squeezed.score < -2.0, "{squeezed:?}");
    }

    #[test]
    fn junk_before_and_after_is_paid_by_the_sign() {
        let got = best(&lattice("-K-Z--1-2-3-A-B-C-0-2-", 0.98), "DDDLLLDD");
        assert_eq!(got.text, "123ABC02");
        assert!((got.score + 2.0 * JUNK).abs() < 0.05, "{}", got.score);
        let got = best(&lattice("1-2-3-A-B-C-0-2-R-U-S", 0.98), "DDDLLLDD");
        assert_eq!(got.text, "123ABC02");
        assert!((got.score + 3.0 * JUNK).abs() < 0.05, "{}", got.score);
    }

    #[test]
    fn the_last_sign_may_run_on_for_free_but_another_may_not() {
        assert!(best(&lattice("1-2-AAAA", 0.98), "DDL").score.abs() < 1e-4);
        assert!(best(&lattice("1-2-BBBB", 0.98), "DDD").score < -3.5);
    }

    #[test]
    fn align_agrees_with_decode() {
        let l = lattice("-K-B-0-O-8-M-M-1-6-", 0.8);
        let got = best(&l, "LDDDLLDD");
        let edges = Edges::new(&l);
        assert!((align(&l, &edges, &got.text, f32::INFINITY).unwrap() - got.score).abs() < 1e-3);
        for (text, score) in &got.runners_up {
            assert!(align(&l, &edges, text, f32::INFINITY).unwrap() <= score + 1e-3, "{text}");
        }
        assert_eq!(align(&l, &edges, "Ӿ", 1.0), None);
        assert_eq!(align(&l, &edges, "", 1.0), None);
    }

    #[test]
    fn a_crop_may_cut_signs_off_at_a_price() {
        let l = lattice("-A-1-2-3-B-C-", 0.98);
        let edges = Edges::new(&l);
        let score = |text: &str, cut: f32| align(&l, &edges, text, cut).unwrap_or(NEVER);
        assert!(score("A123BC", 1.0).abs() < 1e-3);
        assert!((score("A123BC77", 1.0) + 2.0).abs() < 0.1, "{}", score("A123BC77", 1.0));
        assert!((score("77A123BC77", 1.0) + 4.0).abs() < 0.1);
        assert!(score("A123BC77", f32::INFINITY) < -8.0);
        assert!(score("A123BC7777", 1.0) < -8.0, "four are too many");
        assert!((score("123BC", 1.0) + JUNK).abs() < 0.1);
    }

    /// Every text of the shape, scored by walking all alignments: the definition, for small cases.
    fn by_hand(l: &Lattice, edges: &Edges, text: &[usize]) -> f32 {
        fn walk(l: &Lattice, e: &Edges, text: &[usize], i: usize, t: usize, blank: bool) -> f32 {
            // at frame t: we are in sign i (or in the blank after it)
            let f = l.frames();
            let mut best =
                if i + 1 == text.len() { e.leave(t + 1, if blank { 0 } else { text[i] }) } else { NEVER };
            if t + 1 < f.len() {
                if !blank {
                    best = best.max(f[t + 1][text[i]] + walk(l, e, text, i, t + 1, false));
                }
                best = best.max(f[t + 1][0] + walk(l, e, text, i, t + 1, true));
                if i + 1 < text.len() && (blank || text[i + 1] != text[i]) {
                    best = best.max(f[t + 1][text[i + 1]] + walk(l, e, text, i + 1, t + 1, false));
                }
            }
            best
        }
        (0..l.frames().len())
            .map(|t| edges.before[t] + l.frames()[t][text[0]] + walk(l, edges, text, 0, t, false))
            .fold(NEVER, f32::max)
    }

    proptest! {
        #[test]
        fn decoding_finds_the_best_text(values in proptest::collection::vec(0.0f32..1.0, 7 * 4)) {
            let classes = [0, class_of('1').unwrap(), class_of('2').unwrap(), class_of('A').unwrap()];
            let frames: Vec<[f32; CLASSES]> = values
                .chunks(4)
                .map(|c| {
                    let sum: f32 = c.iter().sum::<f32>() + 0.01;
                    let mut f = [0.0; CLASSES];
                    classes.iter().zip(c).for_each(|(class, v)| f[*class] = v / sum);
                    f
                })
                .collect();
            let l = Lattice::new(&frames);
            let edges = Edges::new(&l);
            let set = sign_set("12A");
            let got = decode(&l, &edges, &[set, set, set], -1e6).unwrap();
            let mut all = Vec::new();
            for a in &classes[1..] { for b in &classes[1..] { for c in &classes[1..] {
                all.push((by_hand(&l, &edges, &[*a, *b, *c]), [a, b, c].iter().map(|x| sign_of(**x)).collect::<String>()));
            }}}
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            let aligned = align(&l, &edges, &all[0].1, f32::INFINITY).unwrap_or(NEVER);
            prop_assert!((aligned - all[0].0).abs() < 1e-3, "{} {:?}", aligned, all[0]);
            prop_assert!((got.score - all[0].0).abs() < 1e-3, "{:?} {:?}", got, all[0]);
            prop_assert!((got.runners_up[0].1 - all[1].0).abs() < 1e-3, "{:?} {:?}", got, all[1]);
        }

        #[test]
        fn a_condensed_lattice_says_the_same(
            text in "[A-C]{2}[0-9]{3}", sure in 0.9f32..0.999, runs in proptest::collection::vec((1usize..4, 1usize..4), 5),
        ) {
            let frames: String = text.chars().zip(&runs).map(|(sign, (on, off))| sign.to_string().repeat(*on) + &"-".repeat(*off)).collect();
            let whole = lattice(&frames, sure);
            let short = whole.condensed();
            prop_assert!(short.frames().len() <= whole.frames().len());
            let (a, b) = (best(&whole, "LLDDD"), best(&short, "LLDDD"));
            prop_assert_eq!(&a.text, &text);
            prop_assert_eq!(&b.text, &text);
            prop_assert!((a.score - b.score).abs() < 1e-3);
            for ((_, a), (_, b)) in a.runners_up.iter().zip(&b.runners_up) {
                // one sign of two frames is no longer two look-alikes
                prop_assert!(*b <= a + 0.05, "{} {}", a, b);
            }
        }

        #[test]
        fn nothing_panics(frames in 0usize..12, positions in proptest::collection::vec(any::<u64>(), 0..10)) {
            let l = lattice(&"A-1".repeat(5)[..frames], 0.5);
            let _ = decode(&l, &Edges::new(&l), &positions, -5.0);
        }
    }
}
