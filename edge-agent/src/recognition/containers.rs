//! Container codes of one camera: reads of one container are fused by `models::ContainerConsensus`, evidence is the frame
//! the code came from.

use interface::{CheckDigit, Reading};
use models::{ContainerConsensus, ContainerConsensusOptions, ContainerResult, ModelError, Picture};
use packet::CERTAIN_PLATE;
use tracing::debug;

use super::Readers;
use super::worker::{Told, Watch};

/// Most frames kept for evidence per camera.
const MOST_FRAMES: usize = 8;

/// A frame that may become evidence.
struct Kept {
    tag: u64,
    picture: Picture,
}

/// What was seen of containers lately.
pub(super) struct ContainerWatch {
    consensus: ContainerConsensus,
    kept: Vec<Kept>,
    next_tag: u64,
}

impl ContainerWatch {
    pub fn new() -> Self {
        let consensus = ContainerConsensus::new(ContainerConsensusOptions::default());
        Self { consensus, kept: Vec::new(), next_tag: 0 }
    }

    fn told(&mut self, results: Vec<ContainerResult>) -> Vec<Told> {
        let told = results.into_iter().map(|result| Told {
            last_ms: result.last_ms,
            evidence: self.evidence(&result),
            reading: reading_of(result),
        });
        let told = told.collect();
        let in_use = self.consensus.frames_in_use();
        self.kept.retain(|kept| in_use.contains(&kept.tag));
        let surplus = self.kept.len().saturating_sub(MOST_FRAMES);
        self.kept.drain(..surplus);
        told
    }

    /// The code's crop and the whole picture it was read from.
    fn evidence(&self, result: &ContainerResult) -> Vec<Vec<u8>> {
        let Some(kept) = self.kept.iter().find(|kept| kept.tag == result.frame_tag) else {
            return Vec::new();
        };
        let crop = models::crop_jpeg(&kept.picture, result.corners);
        let overview = kept.picture.jpeg(80);
        crop.into_iter().chain(overview).collect()
    }
}

impl Watch<Readers> for ContainerWatch {
    fn look(&mut self, picture: &Picture, at_ms: u64, readers: &mut Readers) -> Result<(), ModelError> {
        let Some(reader) = &mut readers.containers else { return Ok(()) };
        let reads = reader.read(picture)?;
        debug!(codes = reads.len(), "{:?}", reads.first().map(|read| (&read.code, read.probability)));
        let tag = self.next_tag;
        self.next_tag += 1;
        if !reads.is_empty() {
            self.kept.push(Kept { tag, picture: picture.copy()? });
        }
        self.consensus.add(at_ms, &reads, tag);
        Ok(())
    }

    fn poll(&mut self, now_ms: u64) -> Vec<Told> {
        let results = self.consensus.poll(now_ms);
        self.told(results)
    }

    fn finish(&mut self) -> Vec<Told> {
        let results = self.consensus.finish();
        self.told(results)
    }
}

fn reading_of(result: ContainerResult) -> Reading {
    // As for plates, doubt must show in the confidence alone.
    let confidence = if result.certain {
        result.probability.max(CERTAIN_PLATE)
    } else {
        result.probability.min(CERTAIN_PLATE - 0.01)
    };
    let check_digit = match result.check_digit {
        models::CheckDigit::Read | models::CheckDigit::Joined => CheckDigit::Read,
        models::CheckDigit::Recomputed => CheckDigit::Computed,
        models::CheckDigit::Contradicted => CheckDigit::Contradicted,
    };
    Reading::Container {
        code: result.code,
        confidence,
        type_code: result.type_code,
        check_digit: Some(check_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(certain: bool, probability: f64, check_digit: models::CheckDigit) -> ContainerResult {
        ContainerResult {
            kind: models::NumberKind::Container,
            code: "DFSU4119250".into(),
            type_code: Some("42G1".into()),
            check_digit,
            probability,
            certain,
            frames_agreeing: 1,
            frames: 1,
            frame_tag: 0,
            corners: [[0.0; 2]; 4],
            first_ms: 0,
            last_ms: 0,
        }
    }

    fn told(certain: bool, probability: f64, digit: models::CheckDigit) -> (f64, Option<CheckDigit>) {
        match reading_of(result(certain, probability, digit)) {
            Reading::Container { confidence, check_digit, .. } => (confidence, check_digit),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_certain_code_is_given_a_certain_confidence_and_a_computed_check_digit_is_named() {
        let (confidence, digit) = told(true, 0.9, models::CheckDigit::Joined);
        assert!(confidence >= CERTAIN_PLATE && digit == Some(CheckDigit::Read));
        let (confidence, digit) = told(false, 0.999, models::CheckDigit::Recomputed);
        assert!(confidence < CERTAIN_PLATE && digit == Some(CheckDigit::Computed));
        assert_eq!(told(false, 0.3, models::CheckDigit::Contradicted).1, Some(CheckDigit::Contradicted));
    }
}
