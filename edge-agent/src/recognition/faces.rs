//! Faces of one camera: the frames of one appearance become one reading, made from the best of them.
//!
//! A face belongs to an appearance if it stands where that one stood a moment ago, or looks like it. The reading is told
//! once the face is gone, or after some seconds where somebody waits in front of the camera; it names the template, which
//! is kept sealed, by its digest. Whoever is on the watch list is told beside it as an anomaly with the verdict
//! `watch_list`.

use std::sync::Arc;

use interface::{Reading, Seat, Sha256, Sight, UtcMs, Verdict, WATCH_LIST};
use models::face::FaceRead;
use models::{ModelError, Picture, Template};
use tracing::error;

use super::Readers;
use super::worker::{Told, Watch};
use crate::clock::Clock;
use crate::faces::{FaceDesk, Hit};

/// A face that was not seen for this long is gone, milliseconds.
const GONE_MS: u64 = 2000;
/// A face that stays is told after this long, milliseconds.
const PATIENCE_MS: u64 = 5000;
/// A face that was told and comes back within this time is not told again, milliseconds.
const REMEMBERED_MS: u64 = 10_000;
/// Boxes of one face in successive frames overlap at least this much (IoU).
const SAME_PLACE: f32 = 0.3;
/// Boxes further apart in time than this say nothing of each other, milliseconds.
const SAME_PLACE_MS: u64 = 1000;
/// Templates of one appearance are at least this alike: the frames of one camera differ less than the pictures of a
/// person at different times, so this may be stricter than the thresholds of a site.
const SAME_FACE: f32 = 0.45;
/// Most appearances that are followed at a time; one more, and the oldest is told at once.
const MOST: usize = 16;

/// Keeps templates and knows the watch list; a trait, so that tests need neither key nor disk.
pub(super) trait Desk: Send {
    /// Keeps a template and returns its name.
    fn keep(&self, template: &Template, now: UtcMs) -> Result<Sha256, String>;
    /// Who of the watch list it may be.
    fn search(&self, template: &Template, now: UtcMs) -> Result<Option<Hit>, String>;
}

impl Desk for Arc<FaceDesk> {
    fn keep(&self, template: &Template, now: UtcMs) -> Result<Sha256, String> {
        FaceDesk::keep(self, template, now).map_err(|error| error.to_string())
    }

    fn search(&self, template: &Template, now: UtcMs) -> Result<Option<Hit>, String> {
        // Without a threshold that was measured at this site nobody is named.
        let Some(threshold) = self.settings.threshold_watch_list else { return Ok(None) };
        let found = FaceDesk::search(self, template, threshold as f32, 1, now);
        found.map(|hits| hits.into_iter().next()).map_err(|error| error.to_string())
    }
}

/// A face over the frames in which it was seen.
struct Appearance {
    first_ms: u64,
    last_ms: u64,
    bounds: [f32; 4],
    quality: f32,
    template: Option<Template>,
    told: bool,
}

/// What was seen of faces lately.
pub(super) struct FaceWatch<D> {
    seat: Seat,
    desk: D,
    clock: Clock,
    appearances: Vec<Appearance>,
}

impl<D: Desk> FaceWatch<D> {
    pub fn new(sight: &Sight, desk: D, clock: Clock) -> Self {
        Self { seat: sight.seat, desk, clock, appearances: Vec::new() }
    }

    fn add(&mut self, at_ms: u64, reads: Vec<FaceRead>) {
        for read in reads {
            let known = self.appearances.iter_mut().find(|it| it.is(&read, at_ms));
            match known {
                Some(appearance) => appearance.add(read, at_ms),
                None => self.appearances.push(Appearance {
                    first_ms: at_ms,
                    last_ms: at_ms,
                    bounds: read.bounds,
                    quality: read.quality.overall,
                    template: read.template,
                    told: false,
                }),
            }
        }
    }

    /// Readings of what is due: `due` gets each appearance that was not told.
    fn tell(&mut self, due: impl Fn(&Appearance) -> bool) -> Vec<Told> {
        let surplus = self.appearances.len().saturating_sub(MOST);
        let mut told = Vec::new();
        for (index, appearance) in self.appearances.iter_mut().enumerate() {
            if !appearance.told && (index < surplus || due(appearance)) {
                appearance.told = true;
                told.extend(readings(&self.desk, self.seat, appearance, self.clock.now().utc));
            }
        }
        self.appearances.drain(..surplus);
        told
    }
}

impl Appearance {
    fn is(&self, read: &FaceRead, at_ms: u64) -> bool {
        let near = at_ms.saturating_sub(self.last_ms) <= SAME_PLACE_MS
            && models::plate::rectify::overlap(self.bounds, read.bounds).0 >= SAME_PLACE;
        let alike = self.template.as_ref().zip(read.template.as_ref());
        match alike.map(|(a, b)| a.similarity(b)) {
            // Another person who takes the seat is another face, though he stands in the same place.
            Some(similarity) => similarity >= SAME_FACE || (near && similarity >= SAME_FACE / 2.0),
            None => near,
        }
    }

    fn add(&mut self, read: FaceRead, at_ms: u64) {
        self.last_ms = self.last_ms.max(at_ms);
        self.bounds = read.bounds;
        let better = read.quality.overall > self.quality || self.template.is_none();
        if better && (read.template.is_some() || self.template.is_none()) {
            self.quality = read.quality.overall;
            self.template = read.template;
        }
    }
}

/// What came of it; a failure is logged and costs only itself.
fn aloud<T>(what: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|why| error!("{what}: {why}")).ok()
}

/// The face, and a hit of the watch list.
fn readings(desk: &impl Desk, seat: Seat, face: &Appearance, now: UtcMs) -> Vec<Told> {
    let template = face.template.as_ref();
    let name = template.and_then(|it| aloud("a face template was not kept", desk.keep(it, now)));
    let hit =
        template.and_then(|it| aloud("the watch list could not be searched", desk.search(it, now)).flatten());
    let told = |reading| Told { reading, last_ms: face.last_ms, evidence: Vec::new() };
    let seen = Reading::Face { seat, quality: f64::from(face.quality), template: name };
    let hit = hit.map(|hit| {
        Reading::Anomaly(Verdict {
            verdict: Some(WATCH_LIST.to_owned()),
            score: Some((f64::from(hit.similarity) * 1000.0).round() / 1000.0),
            label: Some(hit.person),
        })
    });
    std::iter::once(seen).chain(hit).map(told).collect()
}

impl<D: Desk> Watch<Readers> for FaceWatch<D> {
    fn look(&mut self, picture: &Picture, at_ms: u64, readers: &mut Readers) -> Result<(), ModelError> {
        let Some(reader) = &mut readers.faces else { return Ok(()) };
        let reads = reader.read(picture)?;
        self.add(at_ms, reads);
        Ok(())
    }

    fn poll(&mut self, now_ms: u64) -> Vec<Told> {
        let told = self.tell(|it| {
            now_ms.saturating_sub(it.last_ms) >= GONE_MS
                || it.last_ms.saturating_sub(it.first_ms) >= PATIENCE_MS
        });
        self.appearances.retain(|it| !it.told || now_ms.saturating_sub(it.last_ms) < REMEMBERED_MS);
        told
    }

    fn finish(&mut self) -> Vec<Told> {
        let told = self.tell(|_| true);
        self.appearances.clear();
        told
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use interface::ReadingKind;
    use models::face::quality::{Measures, Quality};

    use super::*;

    /// Keeps digests in memory; knows one wanted face.
    #[derive(Default)]
    struct Memory {
        kept: Mutex<Vec<Sha256>>,
        wanted: Option<Template>,
        full: bool,
    }

    impl Desk for Arc<Memory> {
        fn keep(&self, template: &Template, _: UtcMs) -> Result<Sha256, String> {
            if self.full {
                return Err("no space".to_owned());
            }
            let name = Sha256::of(&template.to_bytes());
            self.kept.lock().unwrap().push(name);
            Ok(name)
        }
        fn search(&self, template: &Template, _: UtcMs) -> Result<Option<Hit>, String> {
            let similarity = self.wanted.as_ref().map_or(0.0, |wanted| wanted.similarity(template));
            Ok((similarity > 0.9).then(|| Hit { person: "p-1".to_owned(), similarity }))
        }
    }

    fn template(angle: f32) -> Template {
        let mut values = [0.0; 128];
        (values[0], values[1]) = (angle.to_radians().cos(), angle.to_radians().sin());
        Template::new(&values).unwrap()
    }

    /// A face at `x` whose template points to `angle`; eyes so far apart that the quality follows from it.
    fn read(x: f32, angle: Option<f32>, eyes_px: f32) -> FaceRead {
        let measures = Measures {
            eyes_px,
            sharpness: 9.0,
            aside: 0.0,
            between: 0.49,
            mean: 128.0,
            contrast: 50.0,
            burnt: 0.0,
            inside: 1.0,
        };
        FaceRead {
            bounds: [x, 0.0, x + 100.0, 100.0],
            landmarks: [[0.0; 2]; 5],
            score: 0.9,
            quality: Quality::of(&measures),
            template: angle.map(template),
        }
    }

    fn watch(desk: &Arc<Memory>) -> FaceWatch<Arc<Memory>> {
        let sight = Sight {
            reads: vec![ReadingKind::Face],
            view: None,
            countries: Vec::new(),
            seat: Seat::Driver,
            region: None,
            masks: Vec::new(),
            read_every: 1,
        };
        FaceWatch::new(&sight, desk.clone(), Clock::new().unwrap())
    }

    fn face_of(told: &Told) -> (f64, Option<Sha256>) {
        match &told.reading {
            Reading::Face { quality, template, .. } => (*quality, *template),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_frames_of_one_face_become_one_reading_of_the_best() {
        let desk = Arc::new(Memory::default());
        let mut watch = watch(&desk);
        watch.add(0, vec![read(0.0, Some(0.0), 12.0)]);
        watch.add(200, vec![read(10.0, Some(5.0), 18.0), read(500.0, Some(90.0), 15.0)]);
        watch.add(400, vec![read(20.0, Some(2.0), 14.0)]);
        assert!(watch.poll(1000).is_empty());
        let told = watch.poll(2500);
        assert_eq!(told.len(), 2, "two people");
        let best = Sha256::of(&template(5.0).to_bytes());
        assert_eq!(face_of(&told[0]), (f64::from(read(0.0, None, 18.0).quality.overall), Some(best)));
        assert_eq!(*desk.kept.lock().unwrap(), [best, Sha256::of(&template(90.0).to_bytes())]);
        // Back at once: known already. Much later: told again.
        watch.add(3000, vec![read(0.0, Some(1.0), 20.0)]);
        assert!(watch.poll(6000).is_empty());
        assert!(watch.poll(20_000).is_empty());
        watch.add(20_100, vec![read(0.0, Some(1.0), 20.0)]);
        assert_eq!(watch.finish().len(), 1);
    }

    #[test]
    fn who_waits_before_the_camera_is_told_once_and_in_time() {
        let desk = Arc::new(Memory::default());
        let mut watch = watch(&desk);
        let mut told = Vec::new();
        for at_ms in (0..60_000).step_by(250) {
            watch.add(at_ms, vec![read(0.0, Some(0.0), 30.0)]);
            told.extend(watch.poll(at_ms).into_iter().map(|it| it.last_ms));
        }
        assert_eq!(told, [PATIENCE_MS]);
    }

    #[test]
    fn somebody_of_the_watch_list_is_told_beside_the_face() {
        let desk = Arc::new(Memory { wanted: Some(template(0.0)), ..Memory::default() });
        let mut watch = watch(&desk);
        watch.add(0, vec![read(0.0, Some(3.0), 30.0)]);
        let told = watch.finish();
        assert_eq!(told.len(), 2);
        let Reading::Anomaly(verdict) = &told[1].reading else { panic!("{told:?}") };
        assert_eq!((verdict.verdict.as_deref(), verdict.label.as_deref()), (Some(WATCH_LIST), Some("p-1")));
        assert!(verdict.score.unwrap() > 0.99);
    }

    #[test]
    fn a_poor_face_and_a_full_store_still_give_a_reading_without_template() {
        let desk = Arc::new(Memory { full: true, ..Memory::default() });
        let mut watch = watch(&desk);
        watch.add(0, vec![read(0.0, None, 9.0), read(500.0, Some(0.0), 30.0)]);
        let told = watch.finish();
        assert_eq!(told.iter().map(face_of).filter(|(_, template)| template.is_none()).count(), 2);
    }

    #[test]
    fn nobody_is_named_without_a_threshold() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        crate::faces::sealed::Key::create(&file).unwrap();
        let mut settings = firmware_config::Faces {
            key_file: firmware_config::FileReference::Path(file),
            store: None,
            threshold_verify: None,
            threshold_watch_list: None,
            min_quality: 0.3,
            retention_days: 7,
            enrolment_days: 365,
        };
        let (now, later) = (UtcMs(0), UtcMs(86_400_000));
        let open =
            |settings: &firmware_config::Faces| Arc::new(FaceDesk::open(folder.path(), settings).unwrap());
        let desk = open(&settings);
        assert_eq!(Desk::search(&desk, &template(0.0), now), Ok(None));
        settings.threshold_watch_list = Some(0.9);
        let calibrated = open(&settings);
        assert_eq!(Desk::search(&calibrated, &template(0.0), now), Ok(None), "the list is empty");
        // Enrolled by another process: the daemon takes it up by itself.
        desk.people().enrol(desk.key(), "P-17", &[template(80.0), template(5.0)], now, later).unwrap();
        let hit = Desk::search(&calibrated, &template(0.0), now).unwrap().unwrap();
        assert_eq!(hit.person, "P-17");
        assert_eq!(Desk::search(&calibrated, &template(40.0), now), Ok(None));
        assert_eq!(Desk::search(&calibrated, &template(0.0), later), Ok(None), "expired");
        assert_eq!(Desk::search(&desk, &template(0.0), now), Ok(None));
    }

    #[test]
    fn a_crowd_is_bounded() {
        let desk = Arc::new(Memory::default());
        let mut watch = watch(&desk);
        let crowd = (0..MOST as u16 + 9).map(|at| read(f32::from(at) * 500.0, None, 20.0));
        watch.add(0, crowd.collect());
        assert_eq!(watch.poll(1).len(), 9);
        assert_eq!(watch.appearances.len(), MOST);
    }
}
