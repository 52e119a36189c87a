//! Everything that goes wrong in a lane, each with its own knob.

macro_rules! knobs {
    ($($(#[$doc:meta])* $name:ident = $world:literal),+ $(,)?) => {
        /// How much of each noise there is.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Noise { $($(#[$doc])* pub $name: f64),+ }

        impl Noise {
            /// The names of all knobs.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// The world that the engine must master: noise 1.
            pub fn world() -> Self { Self { $($name: $world),+ } }

            /// A knob by its name.
            pub fn knob(&mut self, name: &str) -> Option<&mut f64> {
                match name { $(stringify!($name) => Some(&mut self.$name),)+ _ => None }
            }
        }
    };
}

knobs! {
    /// Probability that one edge of an occupancy is lost.
    missed_edge = 0.01,
    /// Probability that a loop does not notice a vehicle at all.
    missed_vehicle = 0.004,
    /// Probability that a loop chatters at an edge of an occupancy.
    chatter = 0.01,
    /// Probability that a loop or light barrier loses a trailer for the length of the gap behind the tractor.
    tall_gap = 0.05,
    /// Occupancies of nothing (birds, people, cross-talk of loops), per vehicle and loop.
    ghost_occupancy = 0.002,
    /// Probability that a character of a plate is taken for another one.
    wrong_character = 0.02,
    /// Probability that a read loses a character.
    dropped_character = 0.015,
    /// Probability that a camera does not read a vehicle at all.
    unread_vehicle = 0.03,
    /// Probability that a camera reads a maker's badge as a plate.
    badge = 0.02,
    /// Reads of lettering where no vehicle is, per vehicle and camera.
    lettering = 0.003,
    /// How much earlier than in front of the antenna a tag is heard: share of 6 s.
    early_tag = 1.0,
    /// Probability that a tag is heard by the reader of a neighbouring lane, weaker.
    neighbour_tag = 0.08,
    /// Probability that a radiation result comes 5 to 35 s late.
    late_radiation = 0.04,
    /// Probability that another result comes 1 to 10 s late.
    late_other = 0.005,
    /// Standard deviation of a device clock's constant error, seconds; half of the devices that have a clock are right.
    clock_off_s = 2.0,
    /// Standard deviation of a device clock's drift, parts per million.
    clock_drift_ppm = 20.0,
    /// How much a scale speaks while it settles: share of 2 to 6 readings.
    settling = 1.0,
    /// Probability that seal radio also hears the vehicles behind in the queue.
    seal_queue = 0.7,
    /// Sensor outages per vehicle (each of 1 to 10 minutes, half of them noticed).
    outage = 0.008,
    /// Probability that a sensor tells an observation again.
    stutter = 0.004,
    /// Something goes the wrong way over some loops, per vehicle.
    wrong_way = 0.005,
    /// A vehicle drives through the lane against its direction, if there is room for it, per vehicle.
    against = 0.01,
    /// A vehicle comes into the lane from the side, so that it is seen from the middle on, per vehicle.
    joining = 0.005,
    /// Probability that a vehicle reverses out at the entry.
    reversing = 0.005,
    /// Probability that a vehicle is referred out of the lane half way.
    referred = 0.02,
    /// Probability that a vehicle stands for 1 to 6 minutes somewhere.
    waiting = 0.01,
    /// Probability that a vehicle stops for some seconds somewhere.
    stop_and_go = 0.15,
    /// Probability that a vehicle comes a second time, as another passage.
    returning = 0.02,
    /// Crashes of the daemon per vehicle: nothing is journalled for 3 to 30 s.
    crash = 0.002,
}

impl Noise {
    /// No noise at all.
    pub fn none() -> Self {
        Self::world().scaled(0.0)
    }

    /// Every knob times `factor`.
    pub fn scaled(mut self, factor: f64) -> Self {
        for name in Self::NAMES {
            if let Some(knob) = self.knob(name) {
                *knob *= factor;
            }
        }
        self
    }

    /// The one knob called `name`, all others off.
    pub fn only(mut self, name: &str) -> Option<Self> {
        let value = *self.knob(name)?;
        let mut one = Self::none();
        *one.knob(name)? = value;
        Some(one)
    }
}
