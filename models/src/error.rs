//! The one error type of the crate.

use std::path::PathBuf;

/// Why a picture, a model file or ONNX Runtime could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// ONNX Runtime's shared library is not there.
    #[error(
        "no ONNX Runtime library at {path}: run `cargo xtask setup`, or name an existing libonnxruntime.so"
    )]
    LibraryMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there and is not a usable ONNX Runtime.
    #[error(
        "{path} cannot be used as ONNX Runtime ({reason}): version 1.24 or newer is needed, run `cargo xtask setup`"
    )]
    LibraryUnusable {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// A process can load ONNX Runtime once.
    #[error("ONNX Runtime is already loaded from {loaded}, a process cannot load {path} beside it")]
    LibraryConflict {
        /// The file asked for now.
        path: PathBuf,
        /// The file that was loaded before.
        loaded: PathBuf,
    },
    /// The manifest is not what this version expects.
    #[error("the model manifest is not valid: {0}")]
    Manifest(String),
    /// A model that is asked for is not in the manifest.
    #[error("the model manifest has no model `{name}`, it has: {known}")]
    ModelUnknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A model file is missing, truncated or another one.
    #[error("model file {path} {reason}: run `cargo xtask setup` to fetch it again")]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// "is missing", "has 12 bytes, expected 34", "has SHA-256 …, expected …".
        reason: String,
    },
    /// A model has other inputs or outputs than this version expects.
    #[error("model `{name}` does not fit this version: {reason}")]
    ModelShape {
        /// Name in the manifest.
        name: String,
        /// What was expected and what came.
        reason: String,
    },
    /// A picture that cannot be used.
    #[error("not a usable picture: {0}")]
    Picture(String),
    /// An option outside its range.
    #[error("option `{option}`: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was expected and what came.
        reason: String,
    },
    /// A folder of labelled pictures that cannot be evaluated.
    #[error("cannot evaluate {path}: {reason}")]
    Evaluation {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// ONNX Runtime reported an error.
    #[error("ONNX Runtime: {0}")]
    Inference(String),
    /// OpenCV reported an error.
    #[error("OpenCV: {0}")]
    Vision(String),
}

impl<R> From<ort::Error<R>> for ModelError {
    fn from(error: ort::Error<R>) -> Self {
        Self::Inference(error.to_string())
    }
}

impl From<opencv::Error> for ModelError {
    fn from(error: opencv::Error) -> Self {
        Self::Vision(error.message)
    }
}
