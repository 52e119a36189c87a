//! The look before the start: is every model of a task there, whole, the right one, and of the shapes the code uses?

use crate::{Manifest, ModelEntry, ModelError, ModelStore, Runtime};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType};
use std::path::Path;

/// Everything that keeps the models of `task` (`plate`, `face` or `container`, as in the manifest) in `folder` from being
/// used: missing, truncated, another file, refused by ONNX Runtime, or of other shapes than the manifest says. Each model
/// is loaded once, which takes a second or two for all.
#[must_use]
pub fn check(runtime: &Runtime, folder: &Path, manifest: &Manifest, task: &str) -> Vec<ModelError> {
    let of_task = manifest.model.iter().filter(|entry| entry.tasks.iter().any(|one| one == task));
    of_task.filter_map(|entry| check_one(runtime, folder, entry).err()).collect()
}

fn check_one(runtime: &Runtime, folder: &Path, entry: &ModelEntry) -> Result<(), ModelError> {
    let alone = Manifest { library: Vec::new(), model: vec![entry.clone()] };
    let bytes = ModelStore::open(folder, alone)?.bytes(&entry.name)?;
    let fault = |reason: String| ModelError::ModelShape { name: entry.name.clone(), reason };
    let session = runtime
        .session(&bytes, 1)
        .map_err(|error| fault(format!("expected a model that ONNX Runtime takes, it says: {error}")))?;
    check_shapes(&session, entry).map_err(fault)
}

/// Compares a session with what the manifest says of its model. An entry without shapes fits anything.
pub(crate) fn check_shapes(session: &Session, entry: &ModelEntry) -> Result<(), String> {
    let fits = |what: &str, expected: &[Vec<i64>], found: &[Outlet], free_is_a_must: bool| {
        if expected.is_empty() {
            return Ok(());
        }
        let found: Vec<Vec<i64>> = found.iter().map(shape).collect();
        let each = expected.iter().zip(&found).all(|(want, got)| shape_fits(want, got, free_is_a_must));
        if each && expected.len() == found.len() {
            return Ok(());
        }
        Err(format!("expected {what} of {} (-1 is any), it has {}", words(expected), words(&found)))
    };
    fits("inputs", &entry.inputs, session.inputs(), true)?;
    fits("outputs", &entry.outputs, session.outputs(), false)
}

/// The shape of an input or output of 32-bit floats, -1 where it is free; empty for anything else.
fn shape(outlet: &Outlet) -> Vec<i64> {
    if outlet.dtype().tensor_type() != Some(TensorElementType::Float32) {
        return Vec::new();
    }
    outlet.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default()
}

/// A fixed side must be that long or free. A free one must be free in an input, where the code puts what it likes; in an
/// output it may be anything.
fn shape_fits(expected: &[i64], found: &[i64], free_is_a_must: bool) -> bool {
    let side = |(want, got): (&i64, &i64)| match (*want, *got) {
        (_, -1) => true,
        (-1, _) => !free_is_a_must,
        (want, got) => want == got,
    };
    expected.len() == found.len() && expected.iter().zip(found).all(side)
}

fn words(shapes: &[Vec<i64>]) -> String {
    shapes.iter().map(|shape| format!("{shape:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_fit_or_not() {
        let input = |expected: &[i64], found: &[i64]| shape_fits(expected, found, true);
        assert!(input(&[1, 3, 48, -1], &[-1, 3, 48, -1]));
        assert!(!input(&[1, 3, -1, -1], &[1, 3, 640, 640]), "the code puts other sizes in");
        assert!(!input(&[1, 3, 48], &[1, 3, 48, -1]));
        assert!(!input(&[1, 3], &[]), "not of floats");
        assert!(shape_fits(&[-1, -1, 6625], &[1, 40, 6625], false));
        assert!(!shape_fits(&[-1, -1, 6625], &[-1, -1, 18710], false));
    }

    #[test]
    fn every_model_says_who_needs_it_and_its_shapes() {
        for entry in Manifest::builtin().unwrap().model {
            assert!(!entry.tasks.is_empty(), "{}: tasks", entry.name);
            let known = |task: &String| ["plate", "face", "container"].contains(&task.as_str());
            assert!(entry.tasks.iter().all(known), "{}: {:?}", entry.name, entry.tasks);
            assert!(!entry.inputs.is_empty() && !entry.outputs.is_empty(), "{}: shapes", entry.name);
        }
    }
}
