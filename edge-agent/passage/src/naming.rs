//! Names of passages.

use interface::Observation;
use sha2::{Digest as _, Sha256};

use crate::PassageId;
use crate::plan::Plan;

/// The name of the passage that `opening` opens. See [`PassageId`].
pub(crate) fn passage_id(plan: &Plan, opening: &Observation) -> PassageId {
    let mut hash = Sha256::new();
    let seq = opening.id.seq.to_string();
    let mono = opening.stamp.mono_ms.to_string();
    let parts =
        [&plan.site, &plan.box_id, &plan.lane.id.0, &opening.id.sensor.0, &seq, &mono, &opening.stamp.boot.0];
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut random = [0u8; 10];
    for (to, from) in random.iter_mut().zip(digest) {
        *to = from;
    }
    let utc = u64::try_from(opening.stamp.utc.0).unwrap_or(0);
    PassageId(uuid::Builder::from_unix_timestamp_millis(utc, &random).into_uuid().to_string())
}
