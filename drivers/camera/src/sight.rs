//! What recognition is to look for: the parameters that every camera has beside its own.

use interface::{Area, ConfigError, ReadingKind, Seat, Sight, View};
use schemars::JsonSchema;
use serde::Deserialize;

/// Most masks of a camera.
const MOST_MASKS: usize = 16;
/// Largest `read_every`: with the most frames per second, one a second is read.
const MOST_EVERY: u32 = 30;

/// What can be read in pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Registration plates.
    Plate,
    /// Faces.
    Face,
    /// Container codes.
    Container,
}

impl Kind {
    fn kind(self) -> ReadingKind {
        match self {
            Self::Plate => ReadingKind::Plate,
            Self::Face => ReadingKind::Face,
            Self::Container => ReadingKind::Container,
        }
    }
}

/// What is read where the site file does not say.
pub fn default_reads() -> Vec<Kind> {
    vec![Kind::Plate]
}

/// Whose face it is where the site file does not say.
pub fn default_seat() -> Seat {
    Seat::Unknown
}

/// The parameters as they stand in the site file.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub reads: &'a [Kind],
    pub view: Option<View>,
    pub countries: &'a [String],
    pub seat: Seat,
    pub region: Option<&'a Vec<[f64; 2]>>,
    pub masks: &'a [Vec<[f64; 2]>],
    pub read_every: u32,
}

impl Wanted<'_> {
    /// Checks them.
    pub fn sight(&self) -> Result<Sight, ConfigError> {
        let mut reads = Vec::new();
        for kind in self.reads {
            if reads.contains(&kind.kind()) {
                return Err(ConfigError::field("reads", format!("{} stands there twice", kind.kind())));
            }
            reads.push(kind.kind());
        }
        if reads.is_empty() {
            return Err(ConfigError::field("reads", "expected at least one of: plate, face, container"));
        }
        let plates = reads.contains(&ReadingKind::Plate);
        if plates && self.view.is_none() {
            return Err(ConfigError::field(
                "view",
                "needed where plates are read: which end of the vehicle the camera sees, front or rear",
            ));
        }
        if self.masks.len() > MOST_MASKS {
            let message = format!("expected at most {MOST_MASKS}, found {}", self.masks.len());
            return Err(ConfigError::field("masks", message));
        }
        if !(1..=MOST_EVERY).contains(&self.read_every) {
            let message = format!("expected 1 (every frame) to {MOST_EVERY}, found {}", self.read_every);
            return Err(ConfigError::field("read_every", message));
        }
        let area = |points: &Vec<[f64; 2]>, field: &str| {
            Area::new(points.clone()).map_err(|message| ConfigError::field(field, message))
        };
        let masks = self.masks.iter().enumerate();
        Ok(Sight {
            view: self.view.filter(|_| plates),
            countries: self.countries.to_vec(),
            seat: self.seat,
            region: self.region.map(|points| area(points, "region")).transpose()?,
            masks: masks
                .map(|(index, points)| area(points, &format!("masks[{index}]")))
                .collect::<Result<_, _>>()?,
            read_every: self.read_every,
            reads,
        })
    }
}

/// Kinds of readings that come of it: faces also give anomalies, for the watch list.
pub fn readings(sight: &Sight) -> Vec<ReadingKind> {
    let mut kinds = sight.reads.clone();
    if kinds.contains(&ReadingKind::Face) {
        kinds.push(ReadingKind::Anomaly);
    }
    kinds
}

/// "plates (front view) and faces (driver)", for the technician.
pub fn words(sight: &Sight) -> String {
    let mut words = Vec::new();
    for kind in &sight.reads {
        words.push(match kind {
            ReadingKind::Plate => {
                sight.view.map_or_else(|| "plates".to_owned(), |view| format!("plates ({view} view)"))
            }
            ReadingKind::Face if sight.seat == Seat::Unknown => "faces".to_owned(),
            ReadingKind::Face => format!("faces ({})", sight.seat),
            ReadingKind::Container => "container codes".to_owned(),
            other => other.to_string(),
        });
    }
    let mut words = words.join(" and ");
    if sight.region.is_some() {
        words += ", in a part of the picture";
    }
    match sight.masks.len() {
        0 => {}
        1 => words += ", one part blackened",
        more => words += &format!(", {more} parts blackened"),
    }
    if sight.read_every > 1 {
        words += &format!(", one frame in {}", sight.read_every);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>() -> Wanted<'a> {
        Wanted {
            reads: &[Kind::Plate],
            view: Some(View::Front),
            countries: &[],
            seat: Seat::Unknown,
            region: None,
            masks: &[],
            read_every: 1,
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_field() {
        let line = vec![vec![[0.1, 0.1], [0.2, 0.1]]];
        let many = vec![vec![[0.1, 0.1], [0.2, 0.2]]; MOST_MASKS + 1];
        let outside = vec![[0.5, 0.5], [100.0, 700.0]];
        for (wrong, field) in [
            (Wanted { reads: &[], ..wanted() }, "reads"),
            (Wanted { reads: &[Kind::Plate, Kind::Plate], ..wanted() }, "reads"),
            (Wanted { view: None, ..wanted() }, "view"),
            (Wanted { masks: &line, ..wanted() }, "masks[0]"),
            (Wanted { masks: &many, ..wanted() }, "masks"),
            (Wanted { region: Some(&outside), ..wanted() }, "region"),
            (Wanted { read_every: 0, ..wanted() }, "read_every"),
            (Wanted { read_every: 31, ..wanted() }, "read_every"),
        ] {
            assert_eq!(wrong.sight().unwrap_err().field.as_deref(), Some(field), "{wrong:?}");
        }
    }

    #[test]
    fn the_technician_is_told_what_is_read() {
        let masks = vec![vec![[0.0, 0.0], [0.3, 0.05]]];
        let sight = Wanted { masks: &masks, ..wanted() }.sight().unwrap();
        assert_eq!(words(&sight), "plates (front view), one part blackened");
        assert_eq!(readings(&sight), [ReadingKind::Plate]);
        let third = Wanted { read_every: 3, ..wanted() }.sight().unwrap();
        assert_eq!(words(&third), "plates (front view), one frame in 3");
        let faces = Wanted { reads: &[Kind::Face], view: None, seat: Seat::Driver, ..wanted() };
        let sight = faces.sight().unwrap();
        assert_eq!(words(&sight), "faces (driver)");
        assert_eq!((readings(&sight), sight.view), (vec![ReadingKind::Face, ReadingKind::Anomaly], None));
    }
}
