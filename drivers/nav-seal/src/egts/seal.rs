//! From reports to the state of seals. Pure: time is passed in.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use interface::{SealState, UtcMs};

use super::Inputs;
use super::record::EPOCH_S;

/// Seals that are remembered at the same time; the one that has been silent longest is forgotten first.
const MAX_SEALS: usize = 4096;
/// Records that are remembered to know a repeated one.
const MAX_RECENT: usize = 8192;

/// What one record said about one seal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Octets of digital inputs: the one of POS_DATA first, then ADIO1 to ADIO8. `None` where the record has none.
    pub inputs: [Option<u8>; 9],
    /// Cause of the report (SRC).
    pub cause: Option<u8>,
    /// When the seal says that it was, seconds since 2010-01-01T00:00:00Z.
    pub time: Option<u32>,
    /// Whether the seal kept it in its memory while it had no connection.
    pub from_memory: bool,
}

/// A report's time in the form of the other readings.
pub fn utc(time: u32) -> UtcMs {
    UtcMs((EPOCH_S + i64::from(time)) * 1000)
}

/// What a report's inputs and causes mean, and how often an unchanged state is told again.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which input means what.
    pub inputs: Inputs,
    /// Causes that mean an attack.
    pub tamper_causes: Vec<u8>,
    /// Causes that mean a low battery.
    pub low_battery_causes: Vec<u8>,
    /// How long a cause counts after the report that told it, seconds.
    pub hold_s: u32,
    /// An unchanged state is told again after this time, milliseconds.
    pub repeat_ms: u64,
}

#[derive(Debug, Default)]
struct Seal {
    /// Newest known value of each octet of inputs.
    inputs: [Option<u8>; 9],
    newest: Option<u32>,
    tampered: Option<u32>,
    low_battery: Option<u32>,
    told: Option<(SealState, u64)>,
    /// State last told from a report that was older than the newest.
    told_late: Option<SealState>,
    heard_ms: u64,
}

/// The seals that have reported.
#[derive(Debug)]
pub struct Seals {
    rules: Rules,
    seals: HashMap<String, Seal>,
    recent: VecDeque<u64>,
    hasher: RandomState,
}

impl Seals {
    /// No seals yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules, seals: HashMap::new(), recent: VecDeque::new(), hasher: RandomState::new() }
    }

    /// Whether this record came before: same seal, packet, record and bytes. Remembers it.
    pub fn repeated(&mut self, seal: &str, packet: u16, record: u16, data: &[u8]) -> bool {
        let hash = self.hasher.hash_one((seal, packet, record, data));
        if self.recent.contains(&hash) {
            return true;
        }
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
        false
    }

    /// Takes in a report that arrived at `now_ms` (monotonic); gives the state where it is to be told.
    pub fn report(&mut self, id: &str, report: &Report, now_ms: u64) -> Option<SealState> {
        if !self.seals.contains_key(id) && self.seals.len() >= MAX_SEALS {
            self.forget_one();
        }
        let rules = &self.rules;
        let seal = self.seals.entry(id.to_owned()).or_default();
        seal.heard_ms = now_ms;
        let older = matches!((report.time, seal.newest), (Some(time), Some(newest)) if time < newest);
        // Only the seal's own word makes a report an old one: after a jump of its clock every later one would be.
        if older && report.from_memory {
            let state = rules.late_state(report);
            let changed = seal.told_late != Some(state);
            seal.told_late = Some(state);
            return changed.then_some(state);
        }
        seal.newest = report.time.or(seal.newest);
        for (known, new) in seal.inputs.iter_mut().zip(report.inputs) {
            *known = new.or(*known);
        }
        let time = seal.newest.unwrap_or_default();
        if report.cause.is_some_and(|cause| rules.tamper_causes.contains(&cause)) {
            seal.tampered = Some(time);
        }
        if report.cause.is_some_and(|cause| rules.low_battery_causes.contains(&cause)) {
            seal.low_battery = Some(time);
        }
        let held = |since: Option<u32>| since.is_some_and(|since| time.abs_diff(since) < rules.hold_s);
        let state = rules.inputs.state(&seal.inputs, held(seal.tampered), held(seal.low_battery));
        let due = match seal.told {
            Some((told, at)) => told != state || now_ms.saturating_sub(at) >= rules.repeat_ms,
            None => true,
        };
        if !due {
            return None;
        }
        seal.told = Some((state, now_ms));
        seal.told_late = None;
        Some(state)
    }

    fn forget_one(&mut self) {
        let oldest = self.seals.iter().min_by_key(|(_, seal)| seal.heard_ms).map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            self.seals.remove(&id);
        }
    }
}

impl Rules {
    /// The state that a report gives by itself: one from the seal's memory says nothing about now.
    fn late_state(&self, report: &Report) -> SealState {
        let caused = |by: &[u8]| report.cause.is_some_and(|cause| by.contains(&cause));
        self.inputs.state(&report.inputs, caused(&self.tamper_causes), caused(&self.low_battery_causes))
    }
}

impl Inputs {
    /// The value of input `bit`, the right way round; `None` where its octet is not known.
    fn value(&self, octets: &[Option<u8>; 9], bit: u8) -> Option<bool> {
        let octet = (*octets.get(usize::from(bit / 8))?)?;
        Some((octet >> (bit % 8)) & 1 == u8::from(!self.inverted.contains(&bit)))
    }

    /// An attack outweighs everything; an open shackle outweighs the battery; a seal whose shackle is not known is
    /// neither sealed nor low on battery, because both would say that it is closed.
    fn state(&self, octets: &[Option<u8>; 9], tampered: bool, low_battery: bool) -> SealState {
        let any = |bits: [Option<u8>; 2]| {
            bits.into_iter().flatten().any(|bit| self.value(octets, bit) == Some(true))
        };
        if tampered || any([self.rope_cut, self.case_open]) {
            return SealState::Tampered;
        }
        match self.shackle_closed.and_then(|bit| self.value(octets, bit)) {
            None => SealState::Unknown,
            Some(false) => SealState::Opened,
            Some(true) if low_battery || any([self.battery_low, None]) => SealState::LowBattery,
            Some(true) => SealState::Sealed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> Seals {
        Seals::new(Rules {
            inputs: Inputs {
                shackle_closed: Some(0),
                rope_cut: Some(9),
                case_open: Some(2),
                battery_low: Some(3),
                inverted: vec![2],
            },
            tamper_causes: vec![10],
            low_battery_causes: vec![12],
            hold_s: 100,
            repeat_ms: 60_000,
        })
    }

    fn report(inputs: u8, cause: u8, time: u32) -> Report {
        let mut octets = [None; 9];
        octets[0] = Some(inputs);
        Report { inputs: octets, cause: Some(cause), time: Some(time), from_memory: false }
    }

    const CLOSED: u8 = 0b101;
    const OPEN: u8 = 0b100;

    #[test]
    fn a_state_is_told_on_change_and_when_it_is_due_again() {
        let mut seals = seals();
        assert_eq!(seals.report("1", &report(CLOSED, 0, 10), 0), Some(SealState::Sealed));
        assert_eq!(seals.report("1", &report(CLOSED, 0, 20), 59_999), None);
        assert_eq!(seals.report("2", &report(CLOSED, 0, 20), 59_999), Some(SealState::Sealed));
        assert_eq!(seals.report("1", &report(CLOSED, 0, 30), 60_000), Some(SealState::Sealed));
        assert_eq!(seals.report("1", &report(OPEN, 4, 31), 60_001), Some(SealState::Opened));
        assert_eq!(seals.report("1", &report(OPEN, 4, 31), 60_002), None);
    }

    #[test]
    fn inputs_mean_what_the_site_file_says() {
        let state = |inputs| seals().report("1", &report(inputs, 0, 1), 0).unwrap();
        assert_eq!(state(0b0101), SealState::Sealed);
        assert_eq!(state(0b0001), SealState::Tampered, "case_open is inverted");
        assert_eq!(state(0b1101), SealState::LowBattery);
        assert_eq!(state(0b1100), SealState::Opened);
        let mut cut = report(CLOSED, 0, 1);
        cut.inputs[1] = Some(0b10);
        assert_eq!(seals().report("1", &cut, 0), Some(SealState::Tampered));
        let nothing = Report { cause: Some(12), ..Report::default() };
        assert_eq!(seals().report("1", &nothing, 0), Some(SealState::Unknown));
    }

    #[test]
    fn an_attack_outlasts_the_report_that_told_it() {
        let mut seals = seals();
        assert_eq!(seals.report("1", &report(CLOSED, 10, 1000), 0), Some(SealState::Tampered));
        assert_eq!(seals.report("1", &report(CLOSED, 0, 1099), 1), None, "still tampered");
        assert_eq!(seals.report("1", &report(CLOSED, 0, 1100), 2), Some(SealState::Sealed));
        assert_eq!(seals.report("1", &report(CLOSED, 12, 1101), 3), Some(SealState::LowBattery));
    }

    #[test]
    fn a_late_report_is_told_and_changes_nothing() {
        let mut seals = seals();
        assert_eq!(seals.report("1", &report(CLOSED, 0, 1000), 0), Some(SealState::Sealed));
        let old = |cause, time| Report { from_memory: true, ..report(OPEN, cause, time) };
        assert_eq!(seals.report("1", &old(4, 500), 1), Some(SealState::Opened));
        assert_eq!(seals.report("1", &old(0, 510), 2), None);
        assert_eq!(seals.report("1", &report(CLOSED, 0, 1001), 3), None, "the newest state is still sealed");
        assert_eq!(
            seals.report("1", &report(OPEN, 0, 7), 4),
            Some(SealState::Opened),
            "its clock was set back"
        );
    }

    #[test]
    fn inputs_that_a_record_leaves_out_keep_their_value() {
        let mut seals = seals();
        seals.report("1", &report(CLOSED, 0, 1), 0);
        let sensors = Report { time: Some(2), ..Report::default() };
        assert_eq!(seals.report("1", &sensors, 1), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seals = seals();
        for n in 0..2 * MAX_SEALS {
            seals.report(&n.to_string(), &report(CLOSED, 0, 1), n as u64);
        }
        assert_eq!(seals.seals.len(), MAX_SEALS);
        assert!(!seals.seals.contains_key("0"));
        for n in 0..2 * MAX_RECENT {
            assert!(!seals.repeated("1", 0, 0, &n.to_le_bytes()));
        }
        assert!(seals.recent.len() == MAX_RECENT);
        assert!(seals.repeated("1", 0, 0, &(2 * MAX_RECENT - 1).to_le_bytes()));
    }
}
