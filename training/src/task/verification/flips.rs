//! Pairs that a chip decides otherwise than the network without variation, with both images.

use std::collections::HashMap;

use super::people::Pair;
use super::{FaceVectors, Verification, cosine};
use crate::data::Sample;
use crate::task::{Picture, PictureRow, Pictures};

/// Pairs of each kind that are shown at most: those that become wrong, and those that become right.
const SHOWN: [usize; 2] = [4, 2];

/// A pair that flips.
struct Flip<'a> {
    pair: &'a Pair,
    /// Scores without variation and on the chip.
    scores: [f64; 2],
}

impl Flip<'_> {
    fn is_mated(&self) -> bool {
        self.pair.people[0] == self.pair.people[1]
    }

    /// How far the chip takes the score.
    fn moved(&self) -> f64 {
        (self.scores[1] - self.scores[0]).abs()
    }
}

impl Verification {
    /// The pairs that flip, those first whose scores move most; `None` without a threshold and where none flips.
    pub(super) fn flipped(&self, quiet: &FaceVectors, chip: &FaceVectors) -> Option<Pictures> {
        let threshold = self.threshold(&[])?;
        let [before, after] = [quiet, chip].map(|tally| {
            let rows = tally.rows.iter();
            let rows = rows.map(|(place, row)| (*place, row.as_slice()));
            rows.collect::<HashMap<usize, &[f32]>>()
        });
        let score = |rows: &HashMap<usize, &[f32]>, pair: &Pair| {
            let [first, second] = pair.places.map(|place| rows.get(&place));
            Some(cosine(first?, second?))
        };
        let both = |pair| -> Option<Flip<'_>> {
            let scores = [score(&before, pair)?, score(&after, pair)?];
            Some(Flip { pair, scores })
        };
        let accepts = |score: f64| score >= threshold;
        let (mut compared, mut kinds) = (0, [Vec::new(), Vec::new()]);
        for flip in self.pairs.iter().filter_map(both) {
            compared += 1;
            let [first, second] = flip.scores.map(accepts);
            if first != second {
                let right = second == flip.is_mated();
                kinds[usize::from(right)].push(flip);
            }
        }
        let [wrong, right] = [0, 1].map(|kind| kinds[kind].len());
        if wrong + right == 0 {
            return None;
        }
        let mut rows = Vec::new();
        for (kind, most) in kinds.iter_mut().zip(SHOWN) {
            // The first of equals stays first.
            kind.sort_by(|a, b| b.moved().total_cmp(&a.moved()));
            rows.extend(kind.iter().take(most).map(|flip| self.row(flip, threshold)));
        }
        Some(Pictures {
            title: "Pairs that flip".to_string(),
            note: format!(
                "Of {compared} pairs the chip decides {wrong} wrong that the network decides right without variation, and {right} right that it \
                 decides wrong. Shown are those of each kind whose scores move most."
            ),
            columns: vec!["First image".to_string(), "Second image".to_string()],
            rows,
        })
    }

    fn row(&self, flip: &Flip<'_>, threshold: f64) -> PictureRow {
        let who = match flip.is_mated() {
            true => "One person",
            false => "Two people",
        };
        let accepted = flip.scores[1] >= threshold;
        let decided = if accepted { "accepted" } else { "refused" };
        let [before, after] = flip.scores;
        PictureRow {
            name: format!("{who}, {decided}"),
            notes: vec![
                format!("group {}", self.samples.class_name(flip.pair.group)),
                format!("score {before:.3}, on the chip {after:.3}"),
                format!("threshold {threshold:.3}"),
            ],
            panels: flip.pair.places.map(|place| self.picture(place)).to_vec(),
        }
    }

    /// An image as it is before normalization; of floats from the least to the largest.
    fn picture(&self, place: usize) -> Picture {
        let [channels, height, width] = self.samples.shape;
        let pixels = match self.samples.sample(place) {
            Sample::Bytes(bytes) => bytes.to_vec(),
            Sample::Floats(floats) => {
                let low = floats.iter().copied().fold(f32::INFINITY, f32::min);
                let high = floats.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let shade = |value: &f32| (255.0 * (value - low) / (high - low)).round() as u8;
                floats.iter().map(shade).collect()
            }
        };
        let plane = height * width;
        let colour = |channel: usize| if channels == 3 { channel } else { 0 };
        let at = |pixel: usize| [0, 1, 2].map(|channel| pixels[colour(channel) * plane + pixel]);
        Picture {
            width,
            pixels: (0..plane).map(at).collect(),
        }
    }
}
