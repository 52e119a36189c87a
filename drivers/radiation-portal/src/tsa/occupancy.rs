//! From the portal's records to occupancies: what was counted, what was called, and what went missing.
//!
//! Pure: no I/O, and time is passed in as milliseconds of any clock that never runs backwards.

use std::collections::VecDeque;

use interface::{RadiationAlarm, Reading};

use super::codec::{Counts, Record};

/// Time between two gamma lines of an occupancy, ms (SC-770 stream: five a second).
pub const INTERVAL_MS: u64 = 200;

/// Intervals in the sliding sum: 5 × 200 ms make counts per second (SG1 field 3 is 05 in every quoted setup).
pub const WINDOW: usize = 5;

/// Alarm threshold in standard deviations where the portal has not told its own (SG1 field 5 of the quoted setups).
pub const DEFAULT_SIGMA: f64 = 7.0;

/// Raw lines kept of one occupancy, bytes: about 25 minutes. What comes later is measured, but not kept.
pub const MAX_EVIDENCE: usize = 256 * 1024;

/// A fault line this long after the last scan line means that the end of the occupancy was missed, ms.
const SCAN_PAUSE_MS: u64 = 2_000;

/// A finished occupancy.
#[derive(Clone, Debug, PartialEq)]
pub struct Occupancy {
    /// The portal's number; `None` if its end line did not come.
    pub number: Option<u32>,
    /// What the portal called at any moment of it; `Fault` if it called nothing but could not measure properly.
    pub alarm: RadiationAlarm,
    /// Largest sliding sum over the four gamma detectors, counts per second; `None` below five gamma lines.
    pub gamma_max_cps: Option<u32>,
    /// Gamma background before it, all detectors, counts per second.
    pub gamma_background_cps: Option<u32>,
    /// Largest gamma sum in standard deviations above the background; negative below it.
    pub gamma_sigma: Option<f64>,
    /// Whether the largest gamma sum was above the threshold B + N√B, whatever the portal called.
    pub above_threshold: bool,
    /// Largest neutron counts per second over all detectors; `None` if no neutron line came.
    pub neutron_max_cps: Option<u32>,
    /// How long it was, ms: by the portal's own beat of gamma lines, or by the clock passed in if there were none.
    pub duration_ms: Option<u64>,
    /// Speed of the vehicle, km/h.
    pub speed_kmh: Option<f64>,
    /// The raw lines, from the background before it to its end.
    pub evidence: Vec<u8>,
    /// What was not as it should be, in plain words.
    pub note: Option<String>,
}

impl Occupancy {
    /// The reading that goes to the journal.
    pub fn reading(&self) -> Reading {
        Reading::Radiation {
            alarm: self.alarm,
            gamma_max_cps: self.gamma_max_cps.map(f64::from),
            gamma_background_cps: self.gamma_background_cps.map(f64::from),
            neutron_max_cps: self.neutron_max_cps.map(f64::from),
            duration_ms: self.duration_ms,
        }
    }
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A vehicle stands in the portal.
    Occupied,
    /// The portal is free again.
    Free,
    /// An occupancy has ended.
    Ended(Box<Occupancy>),
    /// The portal counted occupancies that never arrived here, `first` to `last`.
    Lost {
        /// Number of the first one.
        first: u32,
        /// Number of the last one.
        last: u32,
    },
    /// The portal's occupancy counter went backwards; how many were lost is not known.
    CounterRestarted {
        /// Last number before.
        from: u32,
        /// First number after.
        to: u32,
    },
    /// A tamper switch was opened.
    Tampered {
        /// The four fields as sent.
        switches: String,
    },
}

/// The portal as far as its lines tell.
#[derive(Clone, Debug, Default)]
pub struct Portal {
    configured_sigma: Option<f64>,
    setup_sigma: Option<f64>,
    gamma_background: Option<u32>,
    background_seen: bool,
    background_lines: [Vec<u8>; 2],
    gamma_fault: Option<String>,
    neutron_fault: Option<String>,
    tamper: Option<String>,
    lost: Option<String>,
    last_number: Option<u32>,
    unnumbered: u32,
    told_occupied: bool,
    open: Option<Open>,
}

#[derive(Clone, Debug, Default)]
struct Open {
    since_ms: u64,
    last_scan_ms: u64,
    joined_late: bool,
    gamma_alarm: bool,
    neutron_alarm: bool,
    fault: Option<String>,
    gamma_lines: u64,
    gamma_window: VecDeque<u32>,
    gamma_max: Option<u32>,
    neutron_window: VecDeque<(u64, u32)>,
    neutron_max: Option<u32>,
    speed_kmh: Option<f64>,
    evidence: Vec<u8>,
}

impl Portal {
    /// A portal that nothing is known of. `sigma` replaces the threshold that the portal tells in its setup.
    pub fn new(sigma: Option<f64>) -> Self {
        Self { configured_sigma: sigma, ..Self::default() }
    }

    /// Alarm threshold for the gamma sum, counts per second: B + N√B.
    pub fn threshold_cps(&self) -> Option<f64> {
        let background = f64::from(self.gamma_background?);
        let sigma = self.configured_sigma.or(self.setup_sigma).unwrap_or(DEFAULT_SIGMA);
        Some(background + sigma * background.sqrt())
    }

    /// Gamma background over all detectors, counts per second.
    pub fn gamma_background_cps(&self) -> Option<u32> {
        self.gamma_background
    }

    /// Number of the last occupancy that ended.
    pub fn last_number(&self) -> Option<u32> {
        self.last_number
    }

    /// Whether a vehicle stands in the portal.
    pub fn is_occupied(&self) -> bool {
        self.open.is_some()
    }

    /// What is wrong with the portal now, and what to do about it.
    pub fn problems(&self) -> Option<String> {
        let all: Vec<&str> = [&self.gamma_fault, &self.neutron_fault, &self.tamper, &self.lost]
            .into_iter()
            .filter_map(|problem| problem.as_deref())
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Takes the next record; `raw` is its line, kept as evidence.
    pub fn step(&mut self, now_ms: u64, record: &Record, raw: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        match record {
            Record::GammaBackground(counts) => {
                self.background(0, raw, &mut events, now_ms);
                self.gamma_background = Some(sum(counts));
                self.gamma_fault = None;
            }
            Record::NeutronBackground(_) => {
                self.background(1, raw, &mut events, now_ms);
                self.neutron_fault = None;
            }
            Record::GammaHigh(counts) => {
                let text = format!(
                    "gamma background is too high ({} counts/s): look for a source near the portal",
                    sum(counts)
                );
                self.fault(0, text, raw, &mut events, now_ms);
                self.gamma_background = Some(sum(counts));
            }
            Record::GammaLow(counts) => {
                let text = format!(
                    "gamma background is too low ({} counts/s): a detector or its high voltage may be dead",
                    sum(counts)
                );
                self.fault(0, text, raw, &mut events, now_ms);
                self.gamma_background = Some(sum(counts));
            }
            Record::NeutronHigh(counts) => {
                let text = format!(
                    "neutron background is too high ({} counts/s): look for a source near the portal",
                    sum(counts)
                );
                self.fault(1, text, raw, &mut events, now_ms);
            }
            Record::GammaScan { counts, alarm } => {
                let open = self.opened(now_ms, &mut events);
                open.gamma_alarm |= *alarm;
                open.gamma(sum(counts));
                open.keep(raw);
            }
            Record::NeutronScan { counts, alarm } => {
                let open = self.opened(now_ms, &mut events);
                open.neutron_alarm |= *alarm;
                open.neutron(sum(counts));
                open.keep(raw);
            }
            Record::Speed { kmh, .. } => {
                if let Some(open) = &mut self.open {
                    open.speed_kmh = Some(*kmh);
                    open.keep(raw);
                }
            }
            Record::End { occupancy, .. } => self.end(now_ms, *occupancy, raw, &mut events),
            Record::Tamper { open: true, switches } => {
                let switches = switches.join(",");
                if self.tamper.is_none() {
                    events.push(Event::Tampered { switches: switches.clone() });
                }
                self.tamper = Some(format!("tamper switch open ({switches}): inspect the portal's cabinets"));
            }
            Record::Tamper { open: false, .. } => self.tamper = None,
            Record::GammaSetup { sigma, .. } => self.setup_sigma = Some(*sigma),
            Record::Setup { .. } => {}
        }
        events
    }

    /// A line that could not be read: kept with the evidence of the occupancy that it may belong to.
    pub fn unreadable(&mut self, raw: &[u8]) {
        if let Some(open) = &mut self.open {
            open.keep(raw);
        }
    }

    /// The line to the portal is lost. An open occupancy ends here, with what was called so far, or as a fault.
    pub fn disconnected(&mut self, now_ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.close(
            now_ms,
            None,
            Some("the connection was lost during the occupancy".to_owned()),
            &mut events,
        );
        self.background_seen = false;
        self.gamma_background = None;
        self.background_lines = [Vec::new(), Vec::new()];
        self.gamma_fault = None;
        self.neutron_fault = None;
        events
    }

    fn background(&mut self, kind: usize, raw: &[u8], events: &mut Vec<Event>, now_ms: u64) {
        // Background is only sent while the portal is free: an occupancy still open has lost its end line.
        self.close(now_ms, None, Some("its end line (GX) did not arrive".to_owned()), events);
        self.free(events);
        self.background_seen = true;
        if let Some(line) = self.background_lines.get_mut(kind) {
            *line = raw.to_vec();
        }
    }

    fn fault(&mut self, kind: usize, text: String, raw: &[u8], events: &mut Vec<Event>, now_ms: u64) {
        match &mut self.open {
            Some(open) if now_ms.saturating_sub(open.last_scan_ms) < SCAN_PAUSE_MS => {
                open.fault = Some(text.clone());
                open.keep(raw);
            }
            _ => self.background(kind, raw, events, now_ms),
        }
        *(if kind == 0 { &mut self.gamma_fault } else { &mut self.neutron_fault }) = Some(text);
    }

    fn opened(&mut self, now_ms: u64, events: &mut Vec<Event>) -> &mut Open {
        let open = self.open.get_or_insert_with(|| {
            let fault = self.gamma_fault.as_ref().or(self.neutron_fault.as_ref()).cloned();
            let joined_late = !self.background_seen;
            let mut open = Open { since_ms: now_ms, joined_late, fault, ..Open::default() };
            for line in self.background_lines.iter().filter(|line| !line.is_empty()) {
                open.keep(line);
            }
            open
        });
        open.last_scan_ms = now_ms;
        if !std::mem::replace(&mut self.told_occupied, true) {
            events.push(Event::Occupied);
        }
        open
    }

    fn end(&mut self, now_ms: u64, number: u32, raw: &[u8], events: &mut Vec<Event>) {
        match self.last_number {
            Some(last) if number > last => {
                let first = last.saturating_add(1).saturating_add(self.unnumbered);
                self.lost = None;
                if number > first {
                    self.lose(first, number - 1, events);
                }
            }
            // The counter wraps to 0 or 1, and begins there after a restart of the portal.
            Some(last) if number < last && number > 1 => {
                self.lost = Some(format!(
                    "the portal's occupancy number went from {last} back to {number}: occupancies may be lost"
                ));
                events.push(Event::CounterRestarted { from: last, to: number });
            }
            _ => self.lost = None,
        }
        self.last_number = Some(number);
        match &mut self.open {
            Some(open) => open.keep(raw),
            None => {
                // It ended, but none of its scan lines arrived: this vehicle was not measured.
                let mut evidence = raw.to_vec();
                evidence.extend_from_slice(b"\r\n");
                events.push(Event::Ended(Box::new(Occupancy {
                    number: Some(number),
                    alarm: RadiationAlarm::Fault,
                    gamma_max_cps: None,
                    gamma_background_cps: self.gamma_background,
                    gamma_sigma: None,
                    above_threshold: false,
                    neutron_max_cps: None,
                    duration_ms: None,
                    speed_kmh: None,
                    evidence,
                    note: Some("none of its scan lines arrived".to_owned()),
                })));
            }
        }
        self.close(now_ms, Some(number), None, events);
        self.unnumbered = 0;
        self.free(events);
    }

    fn lose(&mut self, first: u32, last: u32, events: &mut Vec<Event>) {
        let which = if first == last {
            format!("occupancy {first}")
        } else {
            format!("occupancies {first} to {last}")
        };
        self.lost =
            Some(format!("lost radiation {which}: check the connection to the portal's serial server"));
        events.push(Event::Lost { first, last });
    }

    fn free(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.told_occupied) {
            events.push(Event::Free);
        }
    }

    fn close(
        &mut self,
        now_ms: u64,
        number: Option<u32>,
        cut_short: Option<String>,
        events: &mut Vec<Event>,
    ) {
        let threshold = self.threshold_cps();
        let Some(open) = self.open.take() else { return };
        if number.is_none() {
            self.unnumbered = self.unnumbered.saturating_add(1);
        }
        let joined_late = open.joined_late.then(|| "its beginning was not received".to_owned());
        // An occupancy that was only received in part is not known to be clean.
        let note = open.fault.or(joined_late).or(cut_short);
        let background = self.gamma_background;
        let gamma_sigma = open.gamma_max.zip(background).filter(|&(_, b)| b > 0).map(|(max, b)| {
            let background = f64::from(b);
            (f64::from(max) - background) / background.sqrt()
        });
        let above_threshold =
            open.gamma_max.zip(threshold).is_some_and(|(max, threshold)| f64::from(max) > threshold);
        let alarm = match (open.gamma_alarm, open.neutron_alarm, &note) {
            (true, true, _) => RadiationAlarm::GammaNeutron,
            (true, false, _) => RadiationAlarm::Gamma,
            (false, true, _) => RadiationAlarm::Neutron,
            (false, false, Some(_)) => RadiationAlarm::Fault,
            (false, false, None) => RadiationAlarm::None,
        };
        let duration_ms = match open.gamma_lines {
            0 => now_ms.saturating_sub(open.since_ms),
            lines => lines.saturating_mul(INTERVAL_MS),
        };
        events.push(Event::Ended(Box::new(Occupancy {
            number,
            alarm,
            gamma_max_cps: open.gamma_max,
            gamma_background_cps: background,
            gamma_sigma,
            above_threshold,
            neutron_max_cps: open.neutron_max,
            duration_ms: Some(duration_ms),
            speed_kmh: open.speed_kmh,
            evidence: open.evidence,
            note,
        })));
    }
}

impl Open {
    fn gamma(&mut self, counts: u32) {
        self.gamma_lines += 1;
        if self.gamma_window.len() == WINDOW {
            self.gamma_window.pop_front();
        }
        self.gamma_window.push_back(counts);
        if self.gamma_window.len() == WINDOW {
            let sum = self.gamma_window.iter().fold(0u32, |sum, &counts| sum.saturating_add(counts));
            self.gamma_max = self.gamma_max.max(Some(sum));
        }
    }

    /// Controllers send a neutron line per gamma line or one per five; the sum over the last five gamma intervals is
    /// counts per second in both cases.
    fn neutron(&mut self, counts: u32) {
        self.neutron_window.push_back((self.gamma_lines, counts));
        while self.neutron_window.len() > WINDOW
            || self.neutron_window.front().is_some_and(|&(at, _)| at + WINDOW as u64 <= self.gamma_lines)
        {
            self.neutron_window.pop_front();
        }
        let sum = self.neutron_window.iter().fold(0u32, |sum, &(_, counts)| sum.saturating_add(counts));
        self.neutron_max = self.neutron_max.max(Some(sum));
    }

    fn keep(&mut self, raw: &[u8]) {
        if self.evidence.len() + raw.len() + 2 <= MAX_EVIDENCE {
            self.evidence.extend_from_slice(raw);
            self.evidence.extend_from_slice(b"\r\n");
        }
    }
}

fn sum(counts: &Counts) -> u32 {
    counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
}
