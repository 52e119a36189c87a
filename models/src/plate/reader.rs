//! The chain, cheap steps first: the plate finder's places are read by the plate reader, then by a general one, and only
//! where that leaves doubt the text finder, close-ups and the second general reader are asked.

use super::crop::{Crop, inside, same_crop, same_place};
use super::decoding::{Decoder, Reading};
use super::detect::{Candidate, Found, candidates, proposals};
use super::formats::{Expectation, Formats};
use super::inference::{Networks, Opinion, since};
use super::rectify::size;
use super::voting::{Verdict, grouped, vote};
use super::{PlateOptions, PlateRead, StageMilliseconds};
use crate::{Corners, ModelError, ModelStore, Picture, Runtime};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Places of the plate finder that are read before the text finder is asked.
const FIRST_PLACES: usize = 4;
/// Candidates of a sweep that are read.
const SWEEP_READS: usize = 8;
/// Places that are looked at a second time.
const SECOND_LOOKS: usize = 4;
/// Crops that the cheap reader may read for one of the others.
const CHEAP: usize = 2;
/// Stretch that pulls repeated signs apart.
const STRETCHED: f32 = 1.35;
/// Crops read from a close-up.
const CLOSE_READS: usize = 2;
/// Where nothing was read, the plate finder looks again at this zoom, if the picture has more pixels on its long side
/// than the first look used.
const PLATE_ZOOM: f32 = 2.0;
const ZOOM_FROM: u32 = 800;
/// A proposal of the plate finder that is weaker than this does not hold up a picture whose plate is certain.
pub(super) const DOUBT: f32 = 0.4;
/// A proposal weaker than this is not read where the rest is clear.
const WEAK: f32 = 0.2;
/// A proposal that is surer than this is read by the general reader though the cheap one sees nothing there.
const SURE: f32 = 0.5;
/// Score of a text in a crop that is worth the general reader's look.
const SHOWN: f32 = -7.0;
/// A plate of a weak proposal holds up a picture only if it is as probable as this; a picture without a plate as probable is
/// looked at more closely.
const LIKELY: f64 = 0.45;
/// A read at a proposal that is weaker than [`DOUBT`] is told only if it is as probable as this.
const TOLD: f64 = 0.4;
/// Score of the plate finder that a text without format needs to be a plate.
pub(super) const BACKED: f32 = 0.5;

/// Finds and reads plates. One per thread; loading takes about half a second.
#[derive(Debug)]
pub struct PlateReader {
    networks: Networks,
    decoder: Decoder,
    options: PlateOptions,
    milliseconds: StageMilliseconds,
}

/// What is known about the picture so far.
struct Sight<'a> {
    picture: &'a Picture,
    plates: Vec<Found>,
    readings: Vec<Reading>,
    /// Proposals that were read and show no text.
    empty: Vec<Corners>,
    /// Places that were looked at in all ways.
    looked_at: Vec<Corners>,
    /// Crops that may still be read.
    left: usize,
    /// The same by the cheap reader.
    left_cheap: usize,
    /// What so many readings say.
    said: RefCell<(usize, Rc<[Place]>)>,
}

/// The readings of one place.
struct Place {
    /// The best of them.
    lead: Candidate,
    /// Whether the plate finder sees a plate there.
    proposed: bool,
    verdict: Option<Verdict>,
}

impl Sight<'_> {
    /// Whether a text with at least this score was read there.
    fn shows(&self, place: &Candidate, score: f32) -> bool {
        self.readings.iter().any(|r| r.best() >= score && same_place(&r.candidate.corners, &place.corners))
    }

    /// The same in this very crop.
    fn shows_in(&self, crop: &Candidate, score: f32) -> bool {
        self.readings.iter().any(|r| r.best() >= score && same_crop(&r.candidate.corners, &crop.corners))
    }

    /// How sure the plate finder is of a plate there; 0 where it sees none.
    fn proposed(&self, corners: &Corners) -> f32 {
        let here = self.plates.iter().filter(|f| same_place(&f.corners, corners));
        here.map(|f| f.score).fold(0.0, f32::max)
    }

    /// Whether this crop was read.
    fn knows(&self, candidate: &Candidate) -> bool {
        self.readings.iter().any(|r| !r.wide && same_crop(&r.candidate.corners, &candidate.corners))
    }
}

/// Ways of looking again.
#[derive(Clone, Copy)]
enum Step {
    /// Stretched, if the text may hide a repeat.
    Repeats,
    /// As it is, by the general reader.
    General,
    /// With room at both ends: is it cut off?
    Widen,
    /// As the text finder sees it in a close-up.
    CloseUp,
    /// With upright sides, if it slopes.
    Upright,
    /// By the second reader.
    SecondReader,
}

impl PlateReader {
    /// Loads the models.
    ///
    /// # Errors
    /// A model file is missing or wrong, an option is outside its range, or ONNX Runtime refuses a model.
    pub fn load(runtime: &Runtime, store: &ModelStore, options: PlateOptions) -> Result<Self, ModelError> {
        if !(1..=64).contains(&options.threads) {
            let reason = format!("expected 1 to 64, got {}", options.threads);
            return Err(ModelError::Option { option: "threads", reason });
        }
        if !(1..=100).contains(&options.max_reads) {
            let reason = format!("expected 1 to 100, got {}", options.max_reads);
            return Err(ModelError::Option { option: "max_reads", reason });
        }
        let formats = Formats::builtin()?;
        let expectation = Expectation::new(&options.countries, &formats)?;
        Ok(Self {
            networks: Networks::load(runtime, store, options.threads)?,
            decoder: Decoder { formats, expectation },
            options,
            milliseconds: StageMilliseconds::default(),
        })
    }

    /// Sets the countries whose plates are expected from now on: cameras with different countries share a reader.
    ///
    /// # Errors
    /// A country is not in `formats.toml`; the error lists those that are.
    pub fn expect(&mut self, countries: &[String]) -> Result<(), ModelError> {
        if countries != self.options.countries {
            self.decoder.expectation = Expectation::new(countries, &self.decoder.formats)?;
            self.options.countries = countries.to_vec();
        }
        Ok(())
    }

    /// Time spent on the last picture.
    #[must_use]
    pub fn milliseconds(&self) -> StageMilliseconds {
        self.milliseconds
    }

    /// The plates in the picture, the most probable and largest first.
    ///
    /// # Errors
    /// ONNX Runtime's or OpenCV's; an empty road is no error.
    pub fn read(&mut self, picture: &Picture) -> Result<Vec<PlateRead>, ModelError> {
        let start = Instant::now();
        self.networks.start();
        let plates = self.networks.plates(picture, 1.0)?;
        let mut sight = Sight {
            picture,
            plates,
            readings: Vec::new(),
            empty: Vec::new(),
            looked_at: Vec::new(),
            left: self.options.max_reads,
            left_cheap: CHEAP * self.options.max_reads,
            said: RefCell::new((0, Rc::new([]))),
        };
        self.first_look(&mut sight, WEAK)?;
        self.second_looks(&mut sight)?;
        if !self.enough(&sight) {
            self.first_look(&mut sight, 0.0)?;
            self.second_looks(&mut sight)?;
        }
        let first = sight.plates.clone();
        let larger = picture.width().max(picture.height()) > ZOOM_FROM;
        if larger && !self.likely(&sight) {
            sight.left = sight.left.max(self.options.max_reads / 2);
            sight.left_cheap = sight.left_cheap.max(self.options.max_reads);
            sight.plates.extend(self.networks.plates(picture, PLATE_ZOOM)?);
            self.first_look(&mut sight, WEAK)?;
            self.second_looks(&mut sight)?;
        }
        if !verdicts(&self.places(&sight)).any(told) {
            self.sweep(&mut sight, &first)?;
            self.second_looks(&mut sight)?;
        }
        let places = self.places(&sight);
        let mut spent = self.networks.spent;
        spent.inference = self.networks.inference();
        spent.total = since(start);
        self.milliseconds = spent;
        let mut reads: Vec<PlateRead> =
            verdicts(&places).filter(|v| told(v)).map(|v| v.read.clone()).collect();
        let order = |read: &PlateRead| {
            read.margin + 1.5 * f64::from(size(&read.corners).0.max(1.0) / picture.width() as f32).ln()
        };
        reads.sort_by(|a, b| order(b).total_cmp(&order(a)));
        for read in &mut reads {
            read.milliseconds = spent;
        }
        Ok(reads)
    }

    /// Reads the places of the plate finder that are as sure as this, each as it is and with room at both ends; where
    /// that shows a text, or the finder is sure of a plate, the general reader is asked as well.
    fn first_look(&mut self, sight: &mut Sight<'_>, least: f32) -> Result<(), ModelError> {
        let places: Vec<Candidate> = proposals(&sight.plates)
            .into_iter()
            .filter(|place| place.score >= least && !sight.knows(place))
            .take(FIRST_PLACES)
            .collect();
        let crops: Vec<Crop> = places.iter().map(Crop::narrow).collect();
        self.look(sight, &crops, Opinion::Plate)?;
        let worth = |place: &&Candidate| place.score >= SURE || sight.shows(place, f32::MIN);
        let crops: Vec<Crop> = places.iter().filter(worth).map(Crop::wide).collect();
        self.look(sight, &crops, Opinion::Plate)?;
        for place in places {
            if place.score >= SURE || sight.shows(&place, SHOWN) {
                self.look(sight, &[Crop::wide(&place)], Opinion::General)?;
            }
            if !sight.shows(&place, f32::MIN) {
                let here = sight.plates.iter().filter(|f| same_place(&f.corners, &place.corners));
                sight.empty.extend(here.map(|f| f.corners));
            }
        }
        Ok(())
    }

    /// Whether the picture needs no further look: a plate is certain, and no proposal of the plate finder is left open.
    /// One that was read and shows nothing like a plate is not open; a weak one is only if it does.
    fn enough(&self, sight: &Sight<'_>) -> bool {
        let places = self.places(sight);
        let open = |f: &Found| {
            let mut here = verdicts(&places).filter(|v| same_place(&v.read.corners, &f.corners)).peekable();
            let read = || sight.readings.iter().any(|r| same_place(&r.candidate.corners, &f.corners));
            if here.peek().is_some() {
                !here.any(|v| v.settled || (f.score < DOUBT && v.read.probability < LIKELY))
            } else {
                f.score >= DOUBT && !read() && !sight.empty.contains(&f.corners)
            }
        };
        verdicts(&places).any(|v| v.settled) && !sight.plates.iter().any(open)
    }

    /// Whether something was read that is likely to be a plate.
    fn likely(&self, sight: &Sight<'_>) -> bool {
        verdicts(&self.places(sight)).any(|v| v.read.probability >= LIKELY)
    }

    /// Runs the text finder on the whole picture and reads what it and the plate finder found, except at places that were
    /// looked at in all ways.
    fn sweep(&mut self, sight: &mut Sight<'_>, plates: &[Found]) -> Result<(), ModelError> {
        let texts = self.networks.texts(sight.picture)?;
        let fresh: Vec<Candidate> = candidates(&texts, plates, usize::MAX)
            .into_iter()
            .filter(|c| !sight.knows(c) && !sight.looked_at.iter().any(|done| same_place(done, &c.corners)))
            .take(SWEEP_READS)
            .collect();
        let crops: Vec<Crop> = fresh.iter().map(Crop::narrow).collect();
        self.look(sight, &crops, Opinion::Plate)?;
        for crop in crops {
            let proposed = plates.iter().any(|f| same_place(&f.corners, &crop.candidate.corners));
            if proposed || sight.shows_in(&crop.candidate, SHOWN) {
                self.look(sight, &[crop], Opinion::General)?;
            }
        }
        Ok(())
    }

    /// Looks at the most promising places that are not settled in other ways, until they are.
    fn second_looks(&mut self, sight: &mut Sight<'_>) -> Result<(), ModelError> {
        let places: Vec<Candidate> = self
            .places(sight)
            .iter()
            .filter(|place| place.proposed || place.verdict.is_some())
            .map(|place| place.lead.clone())
            .filter(|place| !sight.looked_at.iter().any(|known| same_place(known, &place.corners)))
            .collect();
        for place in places {
            if sight.looked_at.len() < SECOND_LOOKS && !self.enough(sight) {
                sight.looked_at.push(place.corners);
                self.look_again(sight, &place)?;
            }
        }
        Ok(())
    }

    /// Reads a place in other ways, until it is settled. Different crops and readers err differently, so their agreement
    /// is worth something.
    fn look_again(&mut self, sight: &mut Sight<'_>, place: &Candidate) -> Result<(), ModelError> {
        let steps = [
            Step::Repeats,
            Step::General,
            Step::Widen,
            Step::CloseUp,
            Step::Widen,
            Step::Upright,
            Step::Repeats,
            Step::SecondReader,
            Step::Repeats,
        ];
        for step in steps {
            let places = self.places(sight);
            let here = places.iter().find(|known| same_place(&known.lead.corners, &place.corners));
            let verdict = here.and_then(|known| known.verdict.as_ref());
            if verdict.is_some_and(|v| v.settled) {
                break;
            }
            let lead = here.map_or(place, |known| &known.lead).clone();
            // where neither a text nor the finder says plate, a close-up may show one; more would be wasted
            let hope = verdict.is_some() || sight.proposed(&place.corners) >= DOUBT;
            if !hope && !matches!(step, Step::CloseUp) {
                continue;
            }
            // nor does a third reader make a plate of what two do not, but for a text without format, and that is not
            // worth the time beside a plate that is clear
            let clear = || verdicts(&places).any(|v| v.settled);
            if matches!(step, Step::SecondReader)
                && verdict.is_none()
                && (!sight.shows(place, SHOWN) || clear())
            {
                break;
            }
            match step {
                Step::Repeats => {
                    let stretched =
                        |r: &Reading| r.stretched && same_place(&r.candidate.corners, &lead.corners);
                    let known = sight.readings.iter().any(stretched);
                    if !known && verdict.is_some_and(|v| self.decoder.may_repeat(&v.read.text)) {
                        let stretched = Crop { stretch: STRETCHED, ..Crop::narrow(&lead) };
                        self.look(sight, &[stretched], Opinion::Plate)?;
                    }
                }
                Step::General => {
                    let known = |r: &Reading| {
                        r.opinion == Opinion::General
                            && !r.wide
                            && same_crop(&r.candidate.corners, &lead.corners)
                    };
                    if !sight.readings.iter().any(known) {
                        self.look(sight, &[Crop::narrow(&lead)], Opinion::General)?;
                    }
                }
                Step::Widen => {
                    let widened = |r: &Reading| r.wide && same_crop(&r.candidate.corners, &lead.corners);
                    if !sight.readings.iter().any(widened) {
                        self.look(sight, &[Crop::wide(&lead)], Opinion::Plate)?;
                        self.look(sight, &[Crop::wide(&lead)], Opinion::General)?;
                    }
                }
                Step::CloseUp if lead.lines.len() == 1 => {
                    let close = self.networks.texts_near(sight.picture, &lead.corners)?;
                    let fresh: Vec<Crop> = candidates(&close, &[], CLOSE_READS + 1)
                        .iter()
                        .filter(|c| same_place(&c.corners, &lead.corners) && !sight.knows(c))
                        .take(CLOSE_READS)
                        .map(Crop::narrow)
                        .collect();
                    self.look(sight, &fresh, Opinion::Plate)?;
                    for crop in fresh {
                        if sight.shows_in(&crop.candidate, SHOWN) {
                            self.look(sight, &[crop], Opinion::General)?;
                        }
                    }
                }
                Step::CloseUp => {}
                Step::Upright => {
                    if let Some(crop) = Crop::upright(&lead) {
                        self.look(sight, std::slice::from_ref(&crop), Opinion::Plate)?;
                        self.look(sight, &[crop], Opinion::General)?;
                    }
                }
                Step::SecondReader => {
                    self.look(sight, &[Crop::narrow(&lead), Crop::wide(&lead)], Opinion::Second)?;
                }
            }
        }
        Ok(())
    }

    /// Reads crops and decodes them.
    fn look(&mut self, sight: &mut Sight<'_>, crops: &[Crop], opinion: Opinion) -> Result<(), ModelError> {
        let left = if opinion == Opinion::Plate { &mut sight.left_cheap } else { &mut sight.left };
        let crops = crops.get(..crops.len().min(*left)).unwrap_or_default();
        *left -= crops.len();
        let lines: Vec<(&[Corners], f32)> = crops
            .iter()
            .map(|c| {
                (c.candidate.lines.as_slice(), if opinion == Opinion::Plate { c.opened() } else { c.stretch })
            })
            .collect();
        let lattices = self.networks.read(sight.picture, &lines, opinion)?;
        let start = Instant::now();
        for (crop, lattice) in crops.iter().zip(lattices) {
            let corners = &crop.candidate.corners;
            let backed = sight.plates.iter().any(|p| p.score >= BACKED && same_place(&p.corners, corners));
            let proposed = sight.proposed(corners);
            let reading = self.decoder.texts(crop.candidate.clone(), opinion, lattice, backed);
            let whole = crop.wide && inside(sight.picture, corners);
            let stretched = crop.stretch > 1.0;
            sight.readings.extend(reading.map(|r| Reading {
                wide: crop.wide,
                whole,
                stretched,
                proposed,
                ..r
            }));
        }
        self.networks.spent.decode += since(start);
        Ok(())
    }

    /// What the readings so far say, the best first.
    fn places(&self, sight: &Sight<'_>) -> Rc<[Place]> {
        let mut said = sight.said.borrow_mut();
        if said.0 != sight.readings.len() {
            let place = |group: &Vec<&Reading>| {
                let lead = group.first()?.candidate.clone();
                let proposed = group.iter().any(|r| r.proposed > 0.0);
                Some(Place { lead, proposed, verdict: vote(&self.decoder, group) })
            };
            let places = grouped(&sight.readings).iter().filter_map(place).collect();
            *said = (sight.readings.len(), places);
        }
        said.1.clone()
    }
}

/// The plates that were read.
fn verdicts(places: &[Place]) -> impl Iterator<Item = &Verdict> {
    places.iter().filter_map(|place| place.verdict.as_ref())
}

/// What no finder took for a plate is worth telling only if it reads like one.
fn told(verdict: &Verdict) -> bool {
    verdict.proposed >= DOUBT || verdict.read.probability >= TOLD
}
