//! The barrier's safety rules. Pure: time and sensed inputs are passed in, coil writes and replies come out.
//!
//! 1. The close output is only switched on when the loop under the barrier has been free for `clear_ms` in the inputs
//!    just read. Not known counts as occupied.
//! 2. A vehicle that comes under the closing barrier ends the close impulse at once and opens the barrier again.
//! 3. An impulse ends after `pulse_ms`, at the next look at the inputs; [`Barrier::halt`] ends it before.
//! 4. Open and close are never on together.
//! 5. Every command is answered exactly once. Opening overtakes a closing that waits or runs; a closing waits for the
//!    loop, and for an opening under way, for `close_wait_ms` and is then refused.

use interface::CommandReply;

/// Commands of one kind that may wait for the same motion; a further one is refused.
const MAX_WAITING: usize = 8;

/// What is fitted, and times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Length of an impulse.
    pub pulse_ms: u64,
    /// How long the barrier may take to arrive.
    pub travel_timeout_ms: u64,
    /// How long a close command waits.
    pub close_wait_ms: u64,
    /// How long the loop must have been free before closing.
    pub clear_ms: u64,
    /// Whether there is a close output.
    pub can_close: bool,
    /// Whether an input tells that the barrier is open.
    pub senses_open: bool,
    /// Whether an input tells that the barrier is closed.
    pub senses_closed: bool,
}

/// The place under the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// Nothing is there.
    Free,
    /// Something is there.
    Occupied,
    /// Not known yet, or there is no such input.
    Unknown,
}

/// Inputs as just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensed {
    /// The place under the barrier.
    pub under: Under,
    /// The barrier's own word that it is open.
    pub open: Option<bool>,
    /// The barrier's own word that it is closed.
    pub closed: Option<bool>,
}

/// An impulse output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Opens.
    Open,
    /// Closes.
    Close,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Act<T> {
    /// Switch an output.
    Switch(Output, bool),
    /// Answer a command.
    Reply(T, CommandReply),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    Still,
    Opening { since: u64 },
    Closing { since: u64 },
}

/// One barrier. `T` stands for a command that wants an answer.
#[derive(Debug)]
pub struct Barrier<T> {
    settings: Settings,
    motion: Motion,
    impulse: Option<(Output, u64)>,
    opens: Vec<T>,
    closes: Vec<T>,
    close_deadline: u64,
    free_since: Option<u64>,
    fault: Option<String>,
}

impl<T> Barrier<T> {
    /// A barrier that nobody has told anything.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            motion: Motion::Still,
            impulse: None,
            opens: Vec::new(),
            closes: Vec::new(),
            close_deadline: 0,
            free_since: None,
            fault: None,
        }
    }

    /// What is wrong with the barrier, until it moves as told again.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// When the running impulse is to end, if one runs.
    pub fn impulse_ends(&self) -> Option<u64> {
        self.impulse.map(|(_, end)| end)
    }

    /// The command to open.
    pub fn open(&mut self, now: u64, command: T) -> Vec<Act<T>> {
        let mut acts = refuse(&mut self.closes, "not closed: told to open meanwhile");
        if self.opens.len() >= MAX_WAITING {
            acts.push(Act::Reply(command, Err(full("open"))));
            return acts;
        }
        self.opens.push(command);
        if !matches!(self.motion, Motion::Opening { .. }) {
            self.start_opening(now, &mut acts);
        }
        acts
    }

    /// The command to close. Nothing moves before the next [`Barrier::look`].
    pub fn close(&mut self, now: u64, command: T) -> Vec<Act<T>> {
        if !self.settings.can_close {
            let why = "not closed: no `close_coil` is configured, so this barrier closes by itself";
            return vec![Act::Reply(command, Err(why.to_owned()))];
        }
        if self.closes.len() >= MAX_WAITING {
            return vec![Act::Reply(command, Err(full("close")))];
        }
        if self.closes.is_empty() {
            self.close_deadline = now.saturating_add(self.settings.close_wait_ms);
        }
        self.closes.push(command);
        Vec::new()
    }

    /// Takes in the inputs, read just now.
    pub fn look(&mut self, now: u64, sensed: Sensed) -> Vec<Act<T>> {
        let mut acts = Vec::new();
        self.free_since = (sensed.under == Under::Free).then(|| self.free_since.unwrap_or(now));
        if self.impulse.is_some_and(|(_, end)| now >= end) {
            self.end_impulse(&mut acts);
        }
        // Both at once is a fault of the inputs, and then neither is believed.
        let contradiction = sensed.open == Some(true) && sensed.closed == Some(true);
        let open = sensed.open == Some(true) && !contradiction;
        let closed = sensed.closed == Some(true) && !contradiction;
        match self.motion {
            Motion::Still => {}
            Motion::Opening { since } => self.look_opening(now, since, open, &mut acts),
            Motion::Closing { since } => self.look_closing(now, since, sensed.under, closed, &mut acts),
        }
        if !self.closes.is_empty() && !matches!(self.motion, Motion::Closing { .. }) {
            self.look_waiting(now, sensed.under, closed, &mut acts);
        }
        acts
    }

    /// The link is lost or the driver stops: ends the impulse, and answers every command with `why`.
    pub fn halt(&mut self, why: &str) -> Vec<Act<T>> {
        let mut acts = Vec::new();
        self.end_impulse(&mut acts);
        self.motion = Motion::Still;
        self.free_since = None;
        acts.extend(refuse(&mut self.opens, why));
        acts.extend(refuse(&mut self.closes, why));
        acts
    }

    fn look_opening(&mut self, now: u64, since: u64, open: bool, acts: &mut Vec<Act<T>>) {
        if self.impulse.is_some() {
            return;
        }
        let done = match (self.settings.senses_open, open) {
            (true, true) => Ok("the barrier is open".to_owned()),
            (true, false) if now.saturating_sub(since) < self.settings.travel_timeout_ms => return,
            (true, false) => Err(self.late("open")),
            (false, _) => Ok("open impulse given; no input tells whether the barrier is open".to_owned()),
        };
        self.motion = Motion::Still;
        self.fault = done.as_ref().err().cloned();
        acts.extend(answer(&mut self.opens, &done));
        if done.is_err() {
            acts.extend(refuse(&mut self.closes, "not closed: the barrier did not open as told before"));
        }
    }

    fn look_closing(&mut self, now: u64, since: u64, under: Under, closed: bool, acts: &mut Vec<Act<T>>) {
        let done = if closed {
            Ok("the barrier is closed".to_owned())
        } else if under != Under::Free {
            self.end_impulse(acts);
            let what = match under {
                Under::Unknown => "it is not known what is under the barrier",
                _ => "something came under the barrier",
            };
            acts.extend(refuse(
                &mut self.closes,
                &format!("closing was broken off and turned to opening: {what}"),
            ));
            self.start_opening(now, acts);
            return;
        } else if now.saturating_sub(since) < self.settings.travel_timeout_ms {
            return;
        } else if self.settings.senses_closed {
            Err(self.late("closed"))
        } else {
            Ok("close impulse given; no input tells whether the barrier is closed".to_owned())
        };
        self.end_impulse(acts);
        self.motion = Motion::Still;
        self.fault = done.as_ref().err().cloned();
        acts.extend(answer(&mut self.closes, &done));
    }

    fn look_waiting(&mut self, now: u64, under: Under, closed: bool, acts: &mut Vec<Act<T>>) {
        let opening = self.motion != Motion::Still;
        if !opening && closed {
            self.fault = None;
            acts.extend(answer(&mut self.closes, &Ok("the barrier was closed already".to_owned())));
            return;
        }
        let clear = self.free_since.is_some_and(|since| now.saturating_sub(since) >= self.settings.clear_ms);
        if !opening && clear && under == Under::Free {
            self.end_impulse(acts);
            acts.push(Act::Switch(Output::Close, true));
            self.impulse = Some((Output::Close, now.saturating_add(self.settings.pulse_ms)));
            self.motion = Motion::Closing { since: now };
            return;
        }
        if now >= self.close_deadline {
            let what = match under {
                _ if opening => "the barrier was still opening",
                Under::Occupied => "the loop under the barrier was occupied",
                Under::Unknown => "it is not known whether the loop under the barrier is free",
                Under::Free => "the loop under the barrier had not been free for long enough",
            };
            let waited = self.settings.close_wait_ms;
            acts.extend(refuse(&mut self.closes, &format!("not closed: {what}; waited {waited} ms")));
        }
    }

    fn start_opening(&mut self, now: u64, acts: &mut Vec<Act<T>>) {
        self.end_impulse(acts);
        acts.push(Act::Switch(Output::Open, true));
        self.impulse = Some((Output::Open, now.saturating_add(self.settings.pulse_ms)));
        self.motion = Motion::Opening { since: now };
    }

    fn end_impulse(&mut self, acts: &mut Vec<Act<T>>) {
        if let Some((output, _)) = self.impulse.take() {
            acts.push(Act::Switch(output, false));
        }
    }

    fn late(&self, word: &str) -> String {
        let waited = self.settings.travel_timeout_ms;
        format!(
            "the barrier was told to be {word}, but its `{word}` input did not say so within {waited} ms; \
             look whether it is blocked, switched to manual, or its limit switch is out of place"
        )
    }
}

fn full(what: &str) -> String {
    format!("refused: {MAX_WAITING} commands to {what} are waiting already")
}

fn answer<T>(commands: &mut Vec<T>, reply: &CommandReply) -> Vec<Act<T>> {
    commands.drain(..).map(|command| Act::Reply(command, reply.clone())).collect()
}

fn refuse<T>(commands: &mut Vec<T>, why: &str) -> Vec<Act<T>> {
    answer(commands, &Err(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: Settings = Settings {
        pulse_ms: 500,
        travel_timeout_ms: 5000,
        close_wait_ms: 10_000,
        clear_ms: 1000,
        can_close: true,
        senses_open: true,
        senses_closed: true,
    };

    fn sensed(under: Under, open: bool, closed: bool) -> Sensed {
        Sensed { under, open: Some(open), closed: Some(closed) }
    }

    const SHUT: Sensed = Sensed { under: Under::Free, open: Some(false), closed: Some(true) };
    const UP: Sensed = Sensed { under: Under::Free, open: Some(true), closed: Some(false) };

    #[test]
    fn opens_with_an_impulse_and_says_when_it_is_open() {
        let mut barrier = Barrier::new(SETTINGS);
        assert_eq!(barrier.open(0, 1), [Act::Switch(Output::Open, true)]);
        assert_eq!(barrier.look(100, SHUT), []);
        assert_eq!(barrier.look(500, SHUT), [Act::Switch(Output::Open, false)]);
        assert_eq!(barrier.open(600, 2), [], "joins the one under way");
        let done = || Ok("the barrier is open".to_owned());
        assert_eq!(barrier.look(3000, UP), [Act::Reply(1, done()), Act::Reply(2, done())]);
        assert_eq!(barrier.fault(), None);
    }

    #[test]
    fn a_barrier_that_does_not_arrive_is_a_fault_until_it_moves() {
        let mut barrier = Barrier::new(SETTINGS);
        barrier.open(0, 1);
        barrier.look(500, SHUT);
        let acts = barrier.look(5000, SHUT);
        assert!(matches!(&acts[..], [Act::Reply(1, Err(why))] if why.contains("within 5000 ms")), "{acts:?}");
        assert!(barrier.fault().is_some());
        barrier.open(6000, 2);
        barrier.look(6500, UP);
        assert_eq!(barrier.fault(), None);
    }

    #[test]
    fn closing_waits_for_the_loop_and_is_refused_in_the_end() {
        let mut barrier = Barrier::new(SETTINGS);
        barrier.look(0, sensed(Under::Occupied, true, false));
        assert_eq!(barrier.close(0, 1), []);
        assert_eq!(barrier.look(9999, sensed(Under::Occupied, true, false)), []);
        let acts = barrier.look(10_000, sensed(Under::Occupied, true, false));
        assert!(matches!(&acts[..], [Act::Reply(1, Err(why))] if why.contains("occupied")), "{acts:?}");

        barrier.close(20_000, 2);
        assert_eq!(barrier.look(20_000, UP), []);
        assert_eq!(barrier.look(20_999, UP), [], "not free for long enough");
        assert_eq!(barrier.look(21_000, UP), [Act::Switch(Output::Close, true)]);
        assert_eq!(barrier.look(21_500, UP), [Act::Switch(Output::Close, false)]);
        assert_eq!(barrier.look(24_000, SHUT), [Act::Reply(2, Ok("the barrier is closed".into()))]);
    }

    #[test]
    fn a_vehicle_under_the_closing_barrier_opens_it() {
        let mut barrier = Barrier::new(SETTINGS);
        barrier.look(0, UP);
        barrier.close(1000, 1);
        assert_eq!(barrier.look(1000, UP), [Act::Switch(Output::Close, true)]);
        let acts = barrier.look(1200, sensed(Under::Occupied, true, false));
        let [off, Act::Reply(1, Err(why)), on] = &acts[..] else { panic!("{acts:?}") };
        assert_eq!((off, on), (&Act::Switch(Output::Close, false), &Act::Switch(Output::Open, true)));
        assert!(why.contains("came under"));
        assert_eq!(barrier.look(1700, UP), [Act::Switch(Output::Open, false)]);
    }

    #[test]
    fn opening_overtakes_a_closing() {
        let mut barrier = Barrier::new(SETTINGS);
        barrier.look(0, UP);
        barrier.close(1000, 1);
        barrier.look(1000, UP);
        let acts = barrier.open(1100, 2);
        assert!(
            matches!(
                &acts[..],
                [Act::Reply(1, Err(_)), Act::Switch(Output::Close, false), Act::Switch(Output::Open, true)]
            ),
            "{acts:?}"
        );
    }

    #[test]
    fn a_close_behind_an_opening_follows_it() {
        let mut barrier = Barrier::new(SETTINGS);
        barrier.look(0, SHUT);
        barrier.open(0, 1);
        barrier.close(100, 2);
        barrier.look(500, SHUT);
        let acts = barrier.look(2000, UP);
        assert_eq!(acts, [Act::Reply(1, Ok("the barrier is open".into())), Act::Switch(Output::Close, true)]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut barrier = Barrier::new(SETTINGS);
        for n in 0..MAX_WAITING {
            assert!(barrier.close(0, n).is_empty());
        }
        assert!(matches!(&barrier.close(0, 99)[..], [Act::Reply(99, Err(_))]));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Open,
        Close,
        Look(Sensed),
        Halt,
    }

    fn event() -> impl Strategy<Value = Event> {
        let under =
            prop_oneof![3 => Just(Under::Free), 1 => Just(Under::Occupied), 1 => Just(Under::Unknown)];
        let sensed = (under, any::<Option<bool>>(), any::<Option<bool>>())
            .prop_map(|(under, open, closed)| Sensed { under, open, closed });
        prop_oneof![
            2 => Just(Event::Open), 3 => Just(Event::Close), 12 => sensed.prop_map(Event::Look), 1 => Just(Event::Halt),
        ]
    }

    proptest! {
        #[test]
        fn the_rules_hold_whatever_happens(
            events in proptest::collection::vec((event(), 1u64..700), 1..120),
            (can_close, senses_open, senses_closed) in any::<(bool, bool, bool)>(),
        ) {
            let settings = Settings { can_close, senses_open, senses_closed, ..SETTINGS };
            let mut barrier = Barrier::new(settings);
            let (mut now, mut next, mut free_since) = (0u64, 0u32, None);
            let (mut open_on, mut close_on): (Option<u64>, Option<u64>) = (None, None);
            let mut unanswered = std::collections::BTreeSet::new();
            // Looks enough after the end for every time-out.
            let last = (0..300).map(|_| (Event::Look(sensed(Under::Occupied, false, false)), 100));
            for (event, step) in events.into_iter().chain(last) {
                now += step;
                let look = if let Event::Look(sensed) = &event { Some(*sensed) } else { None };
                if let Some(sensed) = look {
                    free_since = (sensed.under == Under::Free).then(|| free_since.unwrap_or(now));
                }
                let halted = matches!(event, Event::Halt);
                let acts = match event {
                    Event::Open => { unanswered.insert(next); next += 1; barrier.open(now, next - 1) }
                    Event::Close => { unanswered.insert(next); next += 1; barrier.close(now, next - 1) }
                    Event::Look(sensed) => barrier.look(now, sensed),
                    Event::Halt => { free_since = None; barrier.halt("lost") }
                };
                for act in acts {
                    match act {
                        Act::Switch(Output::Open, on) => open_on = on.then_some(now),
                        Act::Switch(Output::Close, on) => {
                            if on {
                                let free = free_since.is_some_and(|since| now - since >= settings.clear_ms);
                                prop_assert!(look.is_some() && free && can_close, "rule 1");
                            }
                            close_on = on.then_some(now);
                        }
                        Act::Reply(command, _) => prop_assert!(unanswered.remove(&command), "answered twice"),
                    }
                    prop_assert!(open_on.is_none() || close_on.is_none(), "rule 4");
                }
                if look.is_some() {
                    for on in [open_on, close_on].into_iter().flatten() {
                        prop_assert!(now - on < settings.pulse_ms, "rule 3");
                    }
                    prop_assert!(close_on.is_none() || look.is_some_and(|sensed| sensed.under == Under::Free), "rule 2");
                }
                if halted {
                    prop_assert!(open_on.is_none() && close_on.is_none() && unanswered.is_empty());
                }
            }
            prop_assert!(unanswered.is_empty() && open_on.is_none() && close_on.is_none(), "rule 5");
        }
    }
}
