//! Recognition on pictures: vehicle plates are found, rectified, read under the formats of the countries that are
//! expected, and the reads of one vehicle are fused over frames into one result with an honest certainty.
//!
//! Nothing is downloaded at run time and only weights that were trained here lie in the repository: `manifest.toml` names
//! each file with its source and SHA-256, `cargo xtask setup` fetches them, [`ModelStore`] refuses what does not match.
//!
//! ```no_run
//! use models::{Manifest, ModelStore, Picture, PlateOptions, PlateReader, Runtime};
//! # fn main() -> Result<(), models::ModelError> {
//! let runtime = Runtime::load(".local/lib/libonnxruntime.so.1.31.1".as_ref())?;
//! let store = ModelStore::open(".local/models".as_ref(), Manifest::builtin()?)?;
//! let options = PlateOptions { countries: vec!["RU".into(), "KZ".into()], ..PlateOptions::default() };
//! let mut reader = PlateReader::load(&runtime, &store, options)?;
//! for plate in reader.read(&Picture::open("gate.jpg".as_ref())?)? {
//!     println!("{} {:.2} certain: {}", plate.text, plate.probability, plate.certain);
//! }
//! # Ok(())
//! # }
//! ```

mod annotate;
mod check;
mod consensus;
pub mod container;
mod error;
pub mod evaluate;
pub mod face;
#[cfg(test)]
mod fixtures;
mod manifest;
mod picture;
pub mod plate;
mod runtime;
mod text;

pub use annotate::{annotate, crop_jpeg};
pub use check::check;
pub use consensus::{Consensus, ConsensusOptions, PlateResult};
pub use container::{
    CheckDigit, ContainerCandidate, ContainerConsensus, ContainerConsensusOptions, ContainerOptions,
    ContainerRead, ContainerReader, ContainerResult, NumberKind,
};
pub use error::ModelError;
pub use evaluate::{Evaluation, Outcome, evaluate};
pub use face::{FaceMilliseconds, FaceOptions, FaceRead, FaceReader, Template};
pub use manifest::{LibraryEntry, Manifest, ModelEntry, ModelStore, Source};
pub use picture::{MAX_FILE_BYTES, MAX_PIXELS, Picture};
pub use plate::{Detector, PlateCandidate, PlateOptions, PlateRead, PlateReader, StageMilliseconds};
pub use runtime::Runtime;

/// Corners of a quadrilateral in pixels of the picture (x to the right, y down): top left, top right, bottom right,
/// bottom left, as seen by a person who reads the text.
pub type Corners = [[f32; 2]; 4];
