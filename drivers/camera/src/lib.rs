//! Cameras: where recognition gets its pictures from.
//!
//! | `protocol` | file | source |
//! |---|---|---|
//! | `camera/rtsp` | [`rtsp`] | live video over RTSP, read by OpenCV (FFmpeg) |
//! | `camera/folder` | [`folder`] | a directory that picture files are dropped into |
//!
//! A camera driver hands frames over through its frame slot; what is read in them is not its business.

mod folder;
mod picture;
mod rtsp;
mod sight;
mod video_clock;

pub use folder::Folder;
pub use rtsp::Rtsp;

use interface::Protocol;

/// Every camera protocol.
pub static PROTOCOLS: &[&dyn Protocol] = &[&Rtsp, &Folder];
