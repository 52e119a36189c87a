//! A directory that picture files are dropped into: by a camera's FTP upload, by another program, by hand.
//!
//! Each file is one picture of one vehicle and none is passed over. A file counts as complete when it has not grown
//! between two looks. It is then moved to `read/` beside it, or to `unreadable/`; of each the newest
//! [`MOST_KEPT`] files stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, Plan, ProbeReport, Protocol, ReadingKind, Resource,
    Seat, Sight, View, async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::picture::{MAX_FILE_BYTES, decode, frame_of};
use crate::sight::{Kind, Wanted, default_reads, default_seat, readings, words};

/// Files kept in `read/` and in `unreadable/`.
const MOST_KEPT: usize = 1000;
/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Endings of files that are pictures; others are left alone.
const ENDINGS: &[&str] = &["jpg", "jpeg", "png", "bmp", "webp"];

/// `protocol = "camera/folder"`.
#[derive(Debug)]
pub struct Folder;

/// Parameters of `protocol = "camera/folder"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The directory.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// What is read in the pictures. Default: plates.
    #[serde(default = "default_reads")]
    #[schemars(length(min = 1))]
    reads: Vec<Kind>,
    /// Which end of the vehicle the pictures show. Needed where plates are read.
    #[serde(default)]
    view: Option<View>,
    /// Countries whose plates are expected, ISO 3166-1 alpha-2. Without them no read is called certain.
    #[serde(default)]
    countries: Vec<String>,
    /// Whose faces the camera sees: driver, passenger or unknown. Default unknown.
    #[serde(default = "default_seat")]
    seat: Seat,
    /// The part of the picture that is looked at: points `[x, y]` as fractions of its width and height, from the left
    /// and from the top; two points are a rectangle, more a polygon. Default: all of it.
    #[serde(default)]
    region: Option<Vec<[f64; 2]>>,
    /// Parts that are blackened before anything is read, such as a clock; each like `region`.
    #[serde(default)]
    masks: Vec<Vec<[f64; 2]>>,
}

impl Protocol for Folder {
    fn name(&self) -> &'static str {
        "camera/folder"
    }

    fn summary(&self) -> &'static str {
        "camera: a directory that picture files are dropped into"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let parameters: Parameters = parse_parameters(parameters)?;
        parameters.sight()?;
        Ok(Box::new(parameters))
    }
}

impl Parameters {
    fn sight(&self) -> Result<Sight, ConfigError> {
        Wanted {
            reads: &self.reads,
            view: self.view,
            countries: &self.countries,
            seat: self.seat,
            region: self.region.as_ref(),
            masks: &self.masks,
            // Each file is a picture of its own.
            read_every: 1,
        }
        .sight()
    }
}

#[async_trait]
impl Plan for Parameters {
    fn claims(&self) -> Vec<Resource> {
        vec![Resource::Folder(self.path.display().to_string())]
    }

    fn readings(&self) -> Vec<ReadingKind> {
        self.sight().map(|sight| readings(&sight)).unwrap_or_default()
    }

    fn explain(&self) -> String {
        let reads = self.sight().map(|sight| words(&sight)).unwrap_or_default();
        format!("reads {reads} in the pictures dropped into {}", self.path.display())
    }

    fn recognition(&self) -> Option<Sight> {
        self.sight().ok()
    }

    async fn probe(&self) -> ProbeReport {
        match pictures_in(&self.path) {
            Ok(found) => {
                ProbeReport::found(vec![format!("{}: {} pictures waiting", self.path.display(), found.len())])
            }
            Err(why) => ProbeReport::failed(vec![why]),
        }
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(Session { path: self.path.clone(), seen: Vec::new() })
    }
}

struct Session {
    path: PathBuf,
    /// Files and sizes of the last look.
    seen: Vec<(PathBuf, u64)>,
}

#[async_trait]
impl Driver for Session {
    async fn run(mut self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        let mut first_look = true;
        loop {
            let found = pictures_in(&self.path).map_err(DriverFault)?;
            let complete: Vec<_> = found.iter().filter(|file| self.seen.contains(file)).cloned().collect();
            self.seen = found;
            if first_look {
                first_look = false;
                context.online();
            }
            for (file, bytes) in complete {
                tokio::select! {
                    handed = hand_over(&context, &file, bytes) => handed.map_err(DriverFault)?,
                    () = context.stopped() => return Ok(()),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = context.stopped() => return Ok(()),
            }
        }
    }
}

/// Puts one picture into the frame slot and moves its file away.
async fn hand_over(context: &DriverContext, file: &Path, bytes: u64) -> Result<(), String> {
    let path = file.to_owned();
    let decoded =
        tokio::task::spawn_blocking(move || read(&path, bytes)).await.map_err(|error| error.to_string())?;
    let folder = match decoded {
        Ok(frame) => {
            context.frames().put_when_empty(frame).await;
            context.online();
            "read"
        }
        Err(why) => {
            context.degraded(format!("{}: {why}; moved to unreadable/", file.display()));
            "unreadable"
        }
    };
    move_away(file, folder)
        .map_err(|error| format!("failed to move {} to {folder}/: {error}", file.display()))
}

fn read(file: &Path, bytes: u64) -> Result<interface::Frame, String> {
    if bytes > MAX_FILE_BYTES {
        return Err(format!("expected at most {} MiB, found {} MiB", MAX_FILE_BYTES >> 20, bytes >> 20));
    }
    let content = fs::read(file).map_err(|error| error.to_string())?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    frame_of(&decode(&content)?, Instant::now(), name).map_err(|error| error.message)
}

fn move_away(file: &Path, folder: &str) -> std::io::Result<()> {
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    let target = parent.join(folder);
    fs::create_dir_all(&target)?;
    fs::rename(file, target.join(name))?;
    let mut kept = Vec::new();
    for entry in fs::read_dir(&target)? {
        let entry = entry?;
        kept.push((entry.metadata()?.modified()?, entry.path()));
    }
    kept.sort();
    let surplus = kept.len().saturating_sub(MOST_KEPT);
    kept.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

/// Picture files with their sizes, by name.
fn pictures_in(path: &Path) -> Result<Vec<(PathBuf, u64)>, String> {
    let unreadable = |error: std::io::Error| {
        format!("failed to read the folder {}: {error}; it must exist and be readable", path.display())
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file = entry.path();
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
            && let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            found.push((file, metadata.len()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use interface::{HealthState, SensorId};
    use opencv::core::{Mat, Scalar, Vector};
    use opencv::imgcodecs;
    use tokio::sync::mpsc;

    fn jpeg(grey: f64) -> Vec<u8> {
        let mat = Mat::new_rows_cols_with_default(48, 64, opencv::core::CV_8UC3, Scalar::all(grey)).unwrap();
        let mut bytes = Vector::new();
        imgcodecs::imencode(".jpg", &mat, &mut bytes, &Vector::new()).unwrap();
        bytes.into()
    }

    #[tokio::test]
    async fn every_picture_is_handed_over_in_order_and_a_bad_one_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in
            [("a.jpg", jpeg(10.0)), ("b.JPG", jpeg(200.0)), ("c.jpg", b"no picture".to_vec())]
        {
            fs::write(directory.path().join(name), bytes).unwrap();
        }
        fs::write(directory.path().join("notes.txt"), "left alone").unwrap();
        let text = format!("path = '{}'\nview = 'front'", directory.path().display());
        let plan = Folder.parse(toml::from_str(&text).unwrap()).unwrap();
        let (readings, _keep) = mpsc::channel(1);
        let (context, mut handles) = DriverContext::new(SensorId::from("camera"), readings);
        let running = tokio::spawn(plan.start().run(context));

        let first = handles.frames.take().await;
        assert_eq!((first.name.as_deref(), first.width, first.height), (Some("a.jpg"), 64, 48));
        assert_eq!(handles.frames.take().await.name.as_deref(), Some("b.JPG"));
        handles.state.wait_for(|(state, _)| *state == HealthState::Degraded).await.unwrap();
        assert!(handles.state.borrow().1.as_ref().unwrap().contains("c.jpg"));
        handles.stop.cancel();
        running.await.unwrap().unwrap();
        assert!(directory.path().join("unreadable/c.jpg").exists());
        assert!(directory.path().join("read/a.jpg").exists());
        assert!(directory.path().join("notes.txt").exists());
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_a_fault_that_names_it() {
        let (readings, _keep) = mpsc::channel(1);
        let (context, _handles) = DriverContext::new(SensorId::from("camera"), readings);
        let plan =
            Folder.parse(toml::from_str("path = '/nonexistent/pictures'\nview = 'rear'").unwrap()).unwrap();
        let fault = plan.start().run(context).await.unwrap_err();
        assert!(fault.0.contains("/nonexistent/pictures"), "{fault}");
        assert!(!plan.probe().await.ok);
    }
}
