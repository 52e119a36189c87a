//! ONNX Runtime, loaded from a file that set-up fetched.

use crate::ModelError;
use ort::environment::Environment;
use ort::session::Session;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// ONNX Runtime has one environment per process, so it is kept for the life of the process.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// ONNX Runtime's library, loaded. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
}

impl Runtime {
    /// Loads the library from `library`. Calling it again with the same file gives the same runtime.
    ///
    /// # Errors
    /// The file is missing, is not ONNX Runtime, is older than 1.24, or another file was loaded before.
    pub fn load(library: &Path) -> Result<Self, ModelError> {
        let path = match library.canonicalize() {
            Ok(path) if path.is_file() => path,
            _ => return Err(ModelError::LibraryMissing { path: library.to_path_buf() }),
        };
        let mut loaded = match LOADED.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some((before, environment)) = loaded.as_ref() {
            return if *before == path {
                Ok(Self { environment: environment.clone() })
            } else {
                Err(ModelError::LibraryConflict { path, loaded: before.clone() })
            };
        }
        let unusable = |reason: String| ModelError::LibraryUnusable { path: library.to_path_buf(), reason };
        let builder = ort::init_from(&path).map_err(|e| unusable(e.to_string()))?;
        let environment = builder
            .with_name("edge-agent")
            .with_telemetry(false)
            .build()
            .map_err(|e| unusable(e.to_string()))?;
        // Its warnings are about how a graph was written, many lines for one model, and nothing a technician can act on
        environment.set_log_level(ort::logging::LogLevel::Error);
        *loaded = Some((path, environment.clone()));
        Ok(Self { environment })
    }

    /// A session on the model in `bytes`. Spinning is off: several sessions that spin on few cores halve each other's
    /// speed (measured: 26-37 ms instead of 15-18 ms for one read).
    pub(crate) fn session(&self, bytes: &[u8], threads: usize) -> Result<Session, ModelError> {
        Ok(Session::builder(&self.environment)?
            .with_intra_threads(threads)?
            .with_intra_op_spinning(false)?
            // A warning per weight that an exporter listed as an input is of no use to the technician.
            .with_log_level(ort::logging::LogLevel::Error)?
            .commit_from_memory(bytes)?)
    }
}
