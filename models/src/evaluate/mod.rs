//! Accuracy on folders of labelled pictures: every figure in a document has a command that measures it,
//! `cargo xtask evaluate plates | faces | containers DIR`.

pub mod containers;
pub mod degrade;
pub mod faces;
pub mod figures;
pub mod labels;
pub mod plates;

pub use degrade::{Degrade, degraded};
pub use figures::{Share, Spread, StageTimes, peak_memory_mib, processor_milliseconds};
pub use labels::{Half, Label, LabelledPicture, Selection, labelled_pictures};
pub use plates::{Evaluation, Outcome, PlateFigures, SeenPlate, evaluate};
