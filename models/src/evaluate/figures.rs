//! Shares with their intervals, spreads of times, and peak memory.

use serde::Serialize;

/// The standard normal distribution's 97.5 % point, for two-sided intervals of 95 %.
const Z: f64 = 1.959_964;

/// `n` of `of`, with the 95 % interval of the share after Wilson (1927), which holds for few and for rare cases too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub n: usize,
    /// Of how many.
    pub of: usize,
    /// Percent; none of nothing is no share.
    pub percent: Option<f64>,
    /// Lower end of the interval in percent.
    pub low: f64,
    /// Upper end of the interval in percent.
    pub high: f64,
}

impl Share {
    /// `n` of `of`.
    #[must_use]
    pub fn new(n: usize, of: usize) -> Self {
        if of == 0 {
            return Self { n, of, percent: None, low: 0.0, high: 100.0 };
        }
        let (part, all) = (n as f64 / of as f64, of as f64);
        let middle = part + Z * Z / (2.0 * all);
        let width = Z * (part * (1.0 - part) / all + Z * Z / (4.0 * all * all)).sqrt();
        let limit = |value: f64| 100.0 * (value / (1.0 + Z * Z / all)).clamp(0.0, 1.0);
        Self { n, of, percent: Some(100.0 * part), low: limit(middle - width), high: limit(middle + width) }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(percent) = self.percent else { return write!(f, "{:>5} of 0", self.n) };
        let Self { n, of, low, high, .. } = self;
        // Rare cases need more digits
        let digits = if *high < 1.0 { 3 } else { 1 };
        write!(f, "{n:>5} of {of:<6} {percent:>5.digits$} %  ({low:.digits$} to {high:.digits$})")
    }
}

/// Middle and tail of measured values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the values are at most this.
    pub median: f64,
    /// 95 of 100 values are at most this.
    pub p95: f64,
    /// Their mean.
    pub mean: f64,
}

impl Spread {
    /// Of `values`; none of nothing. Quantiles are the nearest value, not one in between.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |part: f64| sorted.get((part * last as f64).round() as usize).copied();
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        Some(Self { median: at(0.5)?, p95: at(0.95)?, mean })
    }
}

/// Milliseconds per picture by stage.
#[derive(Clone, Debug, Default)]
pub struct StageTimes(Vec<(String, Vec<f64>)>);

impl StageTimes {
    /// Adds one picture's time in `stage`. Stages keep the order in which they first came.
    pub fn add(&mut self, stage: &str, milliseconds: f64) {
        match self.0.iter_mut().find(|(name, _)| name == stage) {
            Some((_, values)) => values.push(milliseconds),
            None => self.0.push((stage.to_owned(), vec![milliseconds])),
        }
    }

    /// Adds another folder's.
    pub fn append(&mut self, other: &Self) {
        for (stage, values) in &other.0 {
            values.iter().for_each(|value| self.add(stage, *value));
        }
    }

    /// All milliseconds spent in `stage`.
    #[must_use]
    pub fn sum(&self, stage: &str) -> f64 {
        self.0.iter().filter(|(name, _)| name == stage).flat_map(|(_, values)| values).sum()
    }

    /// Spread of `stage`.
    #[must_use]
    pub fn spread(&self, stage: &str) -> Option<Spread> {
        self.0.iter().find(|(name, _)| name == stage).and_then(|(_, values)| Spread::of(values))
    }

    /// Each stage with its spread, in order.
    #[must_use]
    pub fn spreads(&self) -> Vec<StageSpread> {
        let row = |(stage, values): &(String, Vec<f64>)| {
            Some(StageSpread { stage: stage.clone(), spread: Spread::of(values)? })
        };
        self.0.iter().filter_map(row).collect()
    }
}

/// The spread of one stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageSpread {
    /// Which stage.
    pub stage: String,
    /// Milliseconds per picture.
    #[serde(flatten)]
    pub spread: Spread,
}

/// The most memory a process has ever held, in MiB: `VmHWM` in Linux's `/proc/PID/status`. None where that is not to be
/// had.
#[must_use]
pub fn peak_memory_mib(process: Option<u32>) -> Option<f64> {
    let process = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// Processor time that a process (this one, if none is named) has used so far with all its threads, in milliseconds: `utime`
/// and `stime` in Linux's `/proc/PID/stat`, which count in hundredths of a second. It says more than the clock's time where
/// other programs run beside it. None where that is not to be had.
#[must_use]
pub fn processor_milliseconds(process: Option<u32>) -> Option<f64> {
    let process = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, which may hold anything, ends at the last bracket; `utime` and `stime` are the 12th and 13th after it
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(10.0 * (ticks(11)? + ticks(12)?))
}

/// Share of right signs: a text with as many errors as signs, or more, counts as wholly wrong.
#[must_use]
pub fn right_signs(label: &str, read: &str) -> usize {
    label.chars().count().saturating_sub(strsim::levenshtein(label, read))
}

/// How often a claimed probability came true.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Claims from here …
    pub from: f64,
    /// … to below here (the last bin includes 1).
    pub to: f64,
    /// Answers with such a claim.
    pub n: usize,
    /// Their mean claim in percent.
    pub claimed: f64,
    /// How many came true.
    pub seen: Share,
}

/// A reliability diagram as a table: (claim, came true) in bins that are narrow where it matters. Empty bins are left
/// out.
#[must_use]
pub fn reliability(claims: &[(f64, bool)]) -> Vec<ReliabilityBin> {
    const EDGES: [f64; 10] = [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, f64::INFINITY];
    let mut bins = Vec::new();
    for pair in EDGES.windows(2) {
        let &[from, to] = pair else { continue };
        let inside: Vec<_> = claims.iter().filter(|(claim, _)| (from..to).contains(claim)).collect();
        if inside.is_empty() {
            continue;
        }
        let n = inside.len();
        let claimed = 100.0 * inside.iter().map(|(claim, _)| claim).sum::<f64>() / n as f64;
        let seen = Share::new(inside.iter().filter(|(_, right)| *right).count(), n);
        bins.push(ReliabilityBin { from, to: to.min(1.0), n, claimed, seen });
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_the_published_ones() {
        // Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3: 81/263, 15/148, 0/20, 1/29
        for (n, of, low, high) in
            [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)]
        {
            let got = Share::new(n, of);
            assert!((got.low - low).abs() < 0.006 && (got.high - high).abs() < 0.006, "{got:?}");
        }
        let none = Share::new(0, 0);
        assert_eq!((none.percent, none.low, none.high), (None, 0.0, 100.0));
    }

    #[test]
    fn spreads_and_stages() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Spread::of(&values), Some(Spread { median: 50.0, p95: 95.0, mean: 50.0 }));
        assert_eq!(Spread::of(&[]), None);
        let mut times = StageTimes::default();
        times.add("read", 3.0);
        times.add("find", 1.0);
        times.add("read", 5.0);
        let mut more = times.clone();
        more.append(&times);
        assert_eq!((more.sum("read"), more.sum("find"), more.sum("wash")), (16.0, 2.0, 0.0));
        assert_eq!(times.spreads().iter().map(|s| s.stage.as_str()).collect::<Vec<_>>(), ["read", "find"]);
    }

    #[test]
    fn signs_and_memory() {
        assert_eq!(right_signs("A001MP05", "A001MP05"), 8);
        assert_eq!(right_signs("A001MP05", "A001MP"), 6);
        assert_eq!(right_signs("A1", "XXXXXXXX"), 0);
        assert!(peak_memory_mib(None).unwrap() > 1.0);
        assert_eq!(peak_memory_mib(Some(u32::MAX)), None);
        let before = processor_milliseconds(None).unwrap();
        let mut sum = 0_u64;
        while processor_milliseconds(None).unwrap() < before + 20.0 {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(processor_milliseconds(Some(u32::MAX)), None);
    }

    #[test]
    fn claims_are_counted_in_their_bins() {
        let bins = reliability(&[(1.0, true), (0.995, true), (0.96, false), (0.0, false)]);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!((bins[2].from, bins[2].to, bins[2].seen.n), (0.99, 1.0, 2));
        assert!((bins[2].claimed - 99.75).abs() < 1e-9);
    }
}
