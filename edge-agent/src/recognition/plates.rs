//! Plates of one camera: reads of one vehicle are fused by `models::Consensus`, evidence is cut from the frame the text
//! came from.

use interface::{PlateCandidate, PlateReading, Reading, Sight, View};
use models::{Consensus, ConsensusOptions, ModelError, Picture, PlateResult};
use packet::CERTAIN_PLATE;
use tracing::debug;

use super::Readers;
use super::worker::{Told, Watch};

/// Most frames kept for evidence per camera.
const MOST_FRAMES: usize = 32;

/// A frame that may become evidence.
struct Kept {
    tag: u64,
    picture: Picture,
}

/// What was seen of plates lately.
pub(super) struct PlateWatch {
    view: View,
    countries: Vec<String>,
    consensus: Consensus,
    kept: Vec<Kept>,
    next_tag: u64,
}

impl PlateWatch {
    pub fn new(sight: &Sight) -> Self {
        Self {
            // Where plates are read the site file says what is seen.
            view: sight.view.unwrap_or(View::Front),
            countries: sight.countries.clone(),
            consensus: Consensus::new(ConsensusOptions::default()),
            kept: Vec::new(),
            next_tag: 0,
        }
    }

    fn told(&mut self, results: Vec<PlateResult>) -> Vec<Told> {
        let told = results.into_iter().map(|result| Told {
            last_ms: result.last_ms,
            evidence: self.evidence(&result),
            reading: Reading::Plate(reading_of(result, self.view)),
        });
        let told = told.collect();
        let in_use = self.consensus.frames_in_use();
        self.kept.retain(|kept| in_use.contains(&kept.tag));
        let surplus = self.kept.len().saturating_sub(MOST_FRAMES);
        self.kept.drain(..surplus);
        told
    }

    /// The plate's crop and the whole picture it was read from.
    fn evidence(&self, result: &PlateResult) -> Vec<Vec<u8>> {
        let Some(kept) = self.kept.iter().find(|kept| kept.tag == result.frame_tag) else {
            return Vec::new();
        };
        let crop = models::crop_jpeg(&kept.picture, result.corners);
        let overview = kept.picture.jpeg(80);
        crop.into_iter().chain(overview).collect()
    }
}

impl Watch<Readers> for PlateWatch {
    fn look(&mut self, picture: &Picture, at_ms: u64, readers: &mut Readers) -> Result<(), ModelError> {
        let Some(reader) = &mut readers.plates else { return Ok(()) };
        reader.expect(&self.countries)?;
        let reads = reader.read(picture)?;
        debug!(plates = reads.len(), "{:?}", reads.first().map(|read| (&read.text, read.probability)));
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

fn reading_of(result: PlateResult, view: View) -> PlateReading {
    // The packet calls a plate certain by its confidence alone, so the reader's own doubt must show in it.
    let confidence = if result.certain {
        result.probability.max(CERTAIN_PLATE)
    } else {
        result.probability.min(CERTAIN_PLATE - 0.01)
    };
    let others = result.candidates.into_iter().skip(1).take(4);
    PlateReading {
        text: result.text,
        country: result.country,
        confidence,
        view,
        candidates: others
            .map(|other| PlateCandidate {
                text: other.text,
                country: other.country,
                confidence: other.probability,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certain_result_is_given_a_certain_confidence() {
        let result = |certain, probability| PlateResult {
            text: "A001MP05".into(),
            country: Some("RU".into()),
            probability,
            certain,
            candidates: Vec::new(),
            frames_agreeing: 1,
            frames: 1,
            frame_tag: 0,
            corners: [[0.0; 2]; 4],
            first_ms: 0,
            last_ms: 0,
        };
        assert!(reading_of(result(false, 0.99), View::Front).confidence < CERTAIN_PLATE);
        assert!(reading_of(result(true, 0.97), View::Front).confidence >= CERTAIN_PLATE);
    }
}
