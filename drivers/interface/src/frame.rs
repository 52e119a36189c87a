//! Pictures on their way from a camera driver to recognition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// One decoded picture.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// `height` rows of `width` pixels of three bytes: blue, green, red. No padding.
    pub bgr: Vec<u8>,
    /// When it was taken, as far as the driver knows; where it does not, when it was read.
    pub captured: Instant,
    /// Where it came from, if that has a name (the file of a folder camera).
    pub name: Option<String>,
}

/// Holds the newest frame of one camera, and nothing else: a reader that is too slow sees fewer frames, never older ones.
#[derive(Clone, Debug, Default)]
pub struct FrameSlot(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    frame: Mutex<Option<Frame>>,
    filled: Notify,
    emptied: Notify,
    overwritten: AtomicU64,
    too_old: AtomicU64,
}

impl FrameSlot {
    /// Puts `frame` in the slot. A frame that nobody took is dropped and counted.
    pub fn put(&self, frame: Frame) {
        let previous = self.lock().replace(frame);
        if previous.is_some() {
            self.0.overwritten.fetch_add(1, Ordering::Relaxed);
        }
        self.0.filled.notify_one();
    }

    /// Waits until the slot is empty, then puts `frame` there: for sources whose every picture counts (one writer).
    pub async fn put_when_empty(&self, frame: Frame) {
        while self.lock().is_some() {
            self.0.emptied.notified().await;
        }
        self.put(frame);
    }

    /// Waits for a frame and takes it (one reader).
    pub async fn take(&self) -> Frame {
        loop {
            if let Some(frame) = self.try_take() {
                return frame;
            }
            self.0.filled.notified().await;
        }
    }

    /// Takes the frame, if there is one.
    pub fn try_take(&self) -> Option<Frame> {
        let frame = self.lock().take();
        if frame.is_some() {
            self.0.emptied.notify_one();
        }
        frame
    }

    /// Whether a frame waits.
    pub fn is_full(&self) -> bool {
        self.lock().is_some()
    }

    /// How many frames were dropped because a newer one came before they were taken.
    pub fn overwritten(&self) -> u64 {
        self.0.overwritten.load(Ordering::Relaxed)
    }

    /// A frame was not worth handing over, since it was too old when it was read.
    pub fn too_old(&self) {
        self.0.too_old.fetch_add(1, Ordering::Relaxed);
    }

    /// How many frames were too old so far.
    pub fn count_too_old(&self) -> u64 {
        self.0.too_old.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Frame>> {
        // A frame is replaced whole, so a thread that panicked while it held the lock left nothing half done.
        self.0.frame.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str) -> Frame {
        Frame { width: 1, height: 1, bgr: vec![0; 3], captured: Instant::now(), name: Some(name.into()) }
    }

    #[tokio::test]
    async fn only_the_newest_frame_is_kept_and_the_loss_counted() {
        let slot = FrameSlot::default();
        slot.put(frame("old"));
        slot.put(frame("new"));
        assert_eq!(slot.take().await.name.as_deref(), Some("new"));
        assert_eq!(slot.overwritten(), 1);
        assert!(slot.try_take().is_none());
    }

    #[tokio::test]
    async fn a_patient_writer_loses_nothing() {
        let slot = FrameSlot::default();
        let writer = slot.clone();
        let writing = tokio::spawn(async move {
            for name in ["a", "b", "c"] {
                writer.put_when_empty(frame(name)).await;
            }
        });
        for name in ["a", "b", "c"] {
            assert_eq!(slot.take().await.name.as_deref(), Some(name));
        }
        writing.await.unwrap();
        assert_eq!(slot.overwritten(), 0);
    }
}
