//! ONNX Runtime, loaded from a file that set-up fetched.

use crate::check::check_shapes;
use crate::{ModelError, ModelStore};
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

    /// A session on the model `name` of `store`.
    ///
    /// # Errors
    /// The file is not the manifest's, ONNX Runtime refuses it, or its inputs or outputs have other shapes.
    pub(crate) fn load_model(
        &self,
        store: &ModelStore,
        name: &str,
        threads: usize,
    ) -> Result<Session, ModelError> {
        let entry = store.manifest().model.iter().find(|entry| entry.name == name);
        let fixed = entry.is_some_and(|entry| entry.inputs.iter().flatten().all(|side| *side > 0));
        let session = self.session_for(&store.bytes(name)?, threads, fixed)?;
        let fault = |reason| ModelError::ModelShape { name: name.to_owned(), reason };
        entry.map_or(Ok(()), |entry| check_shapes(&session, entry)).map_err(fault)?;
        Ok(session)
    }

    /// A session on the model in `bytes`, for pictures of any size.
    pub(crate) fn session(&self, bytes: &[u8], threads: usize) -> Result<Session, ModelError> {
        self.session_for(bytes, threads, false)
    }

    /// A session; `fixed` is whether its input always has the same size.
    ///
    /// Spinning is off: several sessions that spin on few cores halve each other's speed (measured: 26-37 ms instead of
    /// 15-18 ms for one read). ONNX Runtime's arena and its plan of memory for each size of input never give anything back,
    /// so they are for inputs of one size only: with both, 24 pictures of mixed sizes took 1265 MiB and more with each new
    /// size, without them 389 MiB for good, for about a sixth more processor time in the kernel (`tests/memory.rs`).
    fn session_for(&self, bytes: &[u8], threads: usize, fixed: bool) -> Result<Session, ModelError> {
        Ok(Session::builder(&self.environment)?
            .with_intra_threads(threads)?
            .with_intra_op_spinning(false)?
            .with_execution_providers([ort::ep::CPU::default().with_arena_allocator(fixed).build()])?
            .with_memory_pattern(fixed)?
            // A warning per weight that an exporter listed as an input is of no use to the technician.
            .with_log_level(ort::logging::LogLevel::Error)?
            .commit_from_memory(bytes)?)
    }
}
