//! Live video over RTSP (RFC 2326), read by OpenCV's FFmpeg backend, which prefers TCP.
//!
//! OpenCV's calls block, so each camera has a thread of its own. Every frame is taken off the stream, `max_fps` of them
//! are handed over. The newest one waits in the frame slot; a slow reader sees fewer. A frame says when it was taken, not
//! when it was read (`video_clock.rs`): what waited while the video was opened, and what is older than [`MOST_LAG`]
//! because this machine is too slow, is not handed over but counted.

use std::path::Path;
use std::time::{Duration, Instant};

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, FrameSlot, Plan, ProbeReport, Protocol, ReadingKind,
    Resource, Seat, Sight, View, async_trait, parse_parameters,
};
use opencv::core::{Mat, Vector};
use opencv::prelude::*;
use opencv::videoio::{
    CAP_FFMPEG, CAP_PROP_OPEN_TIMEOUT_MSEC, CAP_PROP_POS_MSEC, CAP_PROP_READ_TIMEOUT_MSEC, VideoCapture,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::picture::{frame_of, thumbnail};
use crate::sight::{Kind, Wanted, default_reads, default_seat, readings, words};
use crate::video_clock::VideoClock;

/// A frame older than this when it is read is not handed over: the vehicle may have left.
const MOST_LAG: Duration = Duration::from_secs(2);
/// After reading behind the camera for this long the video is opened anew: what is buffered is never caught up with.
const MOST_BEHIND: Duration = Duration::from_secs(10);
/// How long a probe waits beyond the limits of opening and reading.
const PROBE_MARGIN: Duration = Duration::from_secs(5);

/// `protocol = "camera/rtsp"`.
#[derive(Debug)]
pub struct Rtsp;

/// Parameters of `protocol = "camera/rtsp"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Address of the stream without user and password, such as `rtsp://10.0.0.21:554/stream1`.
    url: String,
    /// File with one line `user:password`, or `credential:NAME` for a systemd credential.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    login: Option<String>,
    /// What is read in the pictures. Default: plates.
    #[serde(default = "default_reads")]
    #[schemars(length(min = 1))]
    reads: Vec<Kind>,
    /// Which end of the vehicle the camera sees. Needed where plates are read.
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
    /// Frames handed to recognition per second at most (1 to 30).
    #[serde(default = "default_max_fps")]
    max_fps: u32,
    /// Of the frames handed over in which something moves every so many are read (1 to 30). Default 1, all of them; 2
    /// halves the work of a camera whose vehicles are in the picture for long. The first frame of a motion is always read.
    #[serde(default = "default_read_every")]
    read_every: u32,
    /// How long opening the stream may take, seconds: FFmpeg looks at the video for some seconds first.
    #[serde(default = "default_open_timeout_s")]
    open_timeout_s: u32,
    /// How long the next frame may take, seconds.
    #[serde(default = "default_timeout_s")]
    read_timeout_s: u32,
    /// A picture that has not changed in a single pixel for this long counts as dead, seconds.
    #[serde(default = "default_frozen_after_s")]
    frozen_after_s: u32,
}

fn default_max_fps() -> u32 {
    5
}

fn default_read_every() -> u32 {
    1
}

fn default_open_timeout_s() -> u32 {
    10
}

fn default_timeout_s() -> u32 {
    5
}

fn default_frozen_after_s() -> u32 {
    20
}

impl Protocol for Rtsp {
    fn name(&self) -> &'static str {
        "camera/rtsp"
    }

    fn summary(&self) -> &'static str {
        "camera: live video over RTSP"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let parameters: Parameters = parse_parameters(parameters)?;
        let rest = parameters.url.strip_prefix("rtsp://").ok_or_else(|| {
            ConfigError::field("url", format!("expected rtsp://host:port/path, found `{}`", parameters.url))
        })?;
        if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
            return Err(ConfigError::field(
                "url",
                "a password must not stand here: put `user:password` into a file and name it with `login`",
            ));
        }
        for (field, value, least, most) in [
            ("max_fps", parameters.max_fps, 1, 30),
            ("open_timeout_s", parameters.open_timeout_s, 1, 60),
            ("read_timeout_s", parameters.read_timeout_s, 1, 60),
            ("frozen_after_s", parameters.frozen_after_s, 2, 3600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::field(field, format!("expected {least} to {most}, found {value}")));
            }
        }
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
            read_every: self.read_every,
        }
        .sight()
    }

    /// The address with user and password. Never shown.
    fn full_url(&self) -> Result<String, String> {
        let Some(login) = &self.login else { return Ok(self.url.clone()) };
        let path = match login.strip_prefix("credential:") {
            Some(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
                .map(|directory| Path::new(&directory).join(name))
                .ok_or_else(|| {
                    format!("{login}: the service manager gave no credentials (LoadCredential=)")
                })?,
            None => Path::new(login).to_owned(),
        };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        Ok(self.url.replacen("rtsp://", &format!("rtsp://{}@", text.trim()), 1))
    }

    fn open(&self) -> Result<VideoCapture, String> {
        let url = self.full_url()?;
        let milliseconds = |seconds: u32| i32::try_from(seconds * 1000).unwrap_or(i32::MAX);
        let options = Vector::from_slice(&[
            CAP_PROP_OPEN_TIMEOUT_MSEC,
            milliseconds(self.open_timeout_s),
            CAP_PROP_READ_TIMEOUT_MSEC,
            milliseconds(self.read_timeout_s),
        ]);
        let capture = VideoCapture::from_file_with_params(&url, CAP_FFMPEG, &options)
            .map_err(|error| format!("failed to open {}: {}", self.url, error.message))?;
        match capture.is_opened() {
            Ok(true) => Ok(capture),
            _ => Err(format!(
                "no video from {} within {} s: check that the camera has power and network, the path of the stream, \
                 user and password",
                self.url, self.open_timeout_s
            )),
        }
    }
}

#[async_trait]
impl Plan for Parameters {
    fn claims(&self) -> Vec<Resource> {
        vec![Resource::Endpoint(self.url.clone())]
    }

    fn readings(&self) -> Vec<ReadingKind> {
        self.sight().map(|sight| readings(&sight)).unwrap_or_default()
    }

    fn explain(&self) -> String {
        let reads = self.sight().map(|sight| words(&sight)).unwrap_or_default();
        format!("reads {reads} in the video of {} (at most {} pictures a second)", self.url, self.max_fps)
    }

    fn recognition(&self) -> Option<Sight> {
        self.sight().ok()
    }

    async fn probe(&self) -> ProbeReport {
        let parameters = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let begin = Instant::now();
            let mut capture = parameters.open()?;
            let mut mat = Mat::default();
            let read = capture.read(&mut mat).map_err(|error| error.message)?;
            if !read || mat.empty() {
                return Err(format!(
                    "{} was opened, but no picture came within {} s",
                    parameters.url, parameters.read_timeout_s
                ));
            }
            Ok(format!(
                "{}: {} x {} pixels, first picture after {:.1} s",
                parameters.url,
                mat.cols(),
                mat.rows(),
                begin.elapsed().as_secs_f64()
            ))
        });
        // Opening and reading have limits of their own, with words that say more; this one is for a library that hangs.
        let limit = Duration::from_secs((self.open_timeout_s + self.read_timeout_s).into()) + PROBE_MARGIN;
        match tokio::time::timeout(limit, looked).await {
            Ok(Ok(Ok(found))) => ProbeReport::found(vec![found]),
            Ok(Ok(Err(why))) => ProbeReport::failed(vec![why]),
            Ok(Err(panicked)) => ProbeReport::failed(vec![panicked.to_string()]),
            Err(_) => {
                ProbeReport::failed(vec![format!("{}: no answer within {} s", self.url, limit.as_secs())])
            }
        }
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(Session(self.clone()))
    }
}

struct Session(Parameters);

/// What the camera's thread tells.
enum News {
    /// The first picture is here.
    Online,
    /// The video is lost.
    Lost(String),
}

#[async_trait]
impl Driver for Session {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        let (news_sender, mut news) = mpsc::channel(4);
        // Ends the thread also when this future is dropped.
        let guard = context.stop_token().child_token().drop_guard();
        let thread = Reader {
            parameters: self.0,
            frames: context.frames().clone(),
            stop: guard.token().clone(),
            news: news_sender,
        };
        std::thread::Builder::new()
            .name(format!("camera {}", context.sensor()))
            .spawn(move || thread.run())
            .map_err(|error| DriverFault(format!("failed to start a thread for the camera: {error}")))?;
        loop {
            tokio::select! {
                said = news.recv() => match said {
                    Some(News::Online) => context.online(),
                    Some(News::Lost(why)) => return Err(DriverFault(why)),
                    None => return Err(DriverFault("the camera's thread ended without a reason".to_owned())),
                },
                () = context.stopped() => return Ok(()),
            }
        }
    }
}

struct Reader {
    parameters: Parameters,
    frames: FrameSlot,
    stop: CancellationToken,
    news: mpsc::Sender<News>,
}

impl Reader {
    fn run(self) {
        if let Err(why) = self.read() {
            // Fails only when the session has ended already.
            let _ = self.news.blocking_send(News::Lost(why));
        }
    }

    fn read(&self) -> Result<(), String> {
        let mut clock = VideoClock::new(Instant::now());
        let mut capture = self.parameters.open()?;
        let between = Duration::from_secs(1) / self.parameters.max_fps;
        let mut in_time = Instant::now();
        let mut freeze =
            FreezeWatch::new(Duration::from_secs(self.parameters.frozen_after_s.into()), Instant::now());
        let mut mat = Mat::default();
        let mut next = Instant::now();
        let mut online = false;
        while !self.stop.is_cancelled() {
            let url = &self.parameters.url;
            let broken = |error: opencv::Error| format!("the video of {url} broke: {}", error.message);
            if !capture.grab().map_err(broken)? {
                return Err(format!("no picture from {url} within {} s", self.parameters.read_timeout_s));
            }
            let now = Instant::now();
            let stamp = capture.get(CAP_PROP_POS_MSEC).map_err(broken)?;
            // Saturates; what is no number is zero.
            let taken = clock.taken(Duration::from_millis(stamp as u64), now);
            if taken.catching_up || now.duration_since(taken.at) > MOST_LAG {
                self.frames.too_old();
                let behind = now.duration_since(in_time);
                if behind > MOST_BEHIND {
                    return Err(format!(
                        "the video of {url} is {:.0} s old when it is read, for {:.0} s now: this machine cannot decode \
                         it in time; let the camera send fewer or smaller pictures",
                        now.duration_since(taken.at).as_secs_f64(),
                        behind.as_secs_f64()
                    ));
                }
                continue;
            }
            in_time = now;
            if now < next {
                continue;
            }
            next = now + between;
            if !capture.retrieve(&mut mat, 0).map_err(broken)? || mat.empty() {
                return Err(format!("a picture of {url} could not be decoded"));
            }
            if freeze.is_frozen(thumbnail(&mat).map_err(broken)?, now) {
                return Err(format!(
                    "the picture of {url} has not changed in {} s: the camera is frozen, restart it",
                    self.parameters.frozen_after_s
                ));
            }
            self.frames.put(frame_of(&mat, taken.at, None).map_err(broken)?);
            if !online {
                online = true;
                let _ = self.news.blocking_send(News::Online);
            }
        }
        Ok(())
    }
}

/// A live sensor always has noise: a picture that stays the same in every pixel comes from a camera that hangs.
struct FreezeWatch {
    limit: Duration,
    newest: Vec<u8>,
    changed: Instant,
}

impl FreezeWatch {
    fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, newest: Vec::new(), changed: now }
    }

    fn is_frozen(&mut self, picture: Vec<u8>, now: Instant) -> bool {
        if picture != self.newest {
            self.newest = picture;
            self.changed = now;
        }
        now.duration_since(self.changed) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Box<dyn Plan>, ConfigError> {
        Rtsp.parse(toml::from_str(text).unwrap())
    }

    #[test]
    fn parameters_are_checked() {
        let plan = parse("url = 'rtsp://127.0.0.1:8554/a'\nview = 'front'\ncountries = ['RU']").unwrap();
        let sight = plan.recognition().unwrap();
        assert_eq!((sight.view, sight.countries), (Some(View::Front), vec!["RU".to_owned()]));
        let plan = parse("url = 'rtsp://x/a'\nview = 'rear'\nmasks = [[[0, 0], [0.3, 0.05]]]").unwrap();
        assert_eq!(plan.recognition().unwrap().masks[0].bounds(), [0.0, 0.0, 0.3, 0.05]);
        let plan = parse("url = 'rtsp://x/a'\nview = 'rear'\nread_every = 2").unwrap();
        assert_eq!(plan.recognition().unwrap().read_every, 2);
        for (text, field) in [
            ("url = 'http://x'\nview = 'front'", "url"),
            ("url = 'rtsp://user:secret@x/a'\nview = 'front'", "url"),
            ("url = 'rtsp://x/a'\nview = 'rear'\nmax_fps = 0", "max_fps"),
            ("url = 'rtsp://x/a'\nview = 'rear'\nread_every = 0", "read_every"),
            ("url = 'rtsp://x/a'\nview = 'side'", "view"),
            ("url = 'rtsp://x/a'", "view"),
            ("url = 'rtsp://x/a'\nview = 'rear'\nreads = ['face', 'plates']", "reads[1]"),
            ("url = 'rtsp://x/a'\nview = 'rear'\nregion = [[0, 0]]", "region"),
        ] {
            let Err(error) = parse(text) else { panic!("{text} must be refused") };
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_picture_that_never_changes_is_frozen() {
        let start = Instant::now();
        let mut watch = FreezeWatch::new(Duration::from_secs(10), start);
        assert!(!watch.is_frozen(vec![1, 2], start));
        assert!(!watch.is_frozen(vec![1, 2], start + Duration::from_secs(9)));
        assert!(!watch.is_frozen(vec![1, 3], start + Duration::from_secs(10)));
        assert!(watch.is_frozen(vec![1, 3], start + Duration::from_secs(20)));
    }
}
