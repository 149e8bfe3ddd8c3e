//! The filtered maps of all volumes, and what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use super::LesionConfig;
use super::overlap::Overlap;
use super::volume::Volume;

/// The map of one slice, with its masks, row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice<'a> {
    /// Its number among the samples.
    pub(super) place: usize,
    /// The volume that it belongs to.
    pub(super) volume: u32,
    /// Its number in that volume.
    pub(super) number: u32,
    pub(super) map: &'a [f32],
    /// 1 where it counts.
    pub(super) inside: &'a [u8],
    pub(super) lesion: &'a [u8],
}

/// Slices that lie side by side, with their filtered map.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) slices: Vec<Slice<'a>>,
    /// Scores outside what counts are 0.
    pub(super) map: Volume,
}

/// Filters the maps of slices that lie side by side, numbers in a row, together: medians over what is inside, scores outside counting 0.
pub(super) fn filtered<'a>(
    mut slices: Vec<Slice<'a>>,
    [height, width]: [usize; 2],
    config: &LesionConfig,
) -> Vec<Run<'a>> {
    slices.sort_by_key(|slice| (slice.volume, slice.number));
    let runs = slices.chunk_by(|a, b| a.volume == b.volume && a.number + 1 == b.number);
    let filtered = runs.map(|run| {
        let pixels = run
            .iter()
            .flat_map(|slice| slice.map.iter().zip(slice.inside));
        let scores = pixels.map(|(score, inside)| match inside {
            0 => 0.0,
            _ => *score,
        });
        let map = Volume {
            size: [run.len(), height, width],
            scores: scores.collect(),
        };
        let inside = run.iter().flat_map(|slice| slice.inside).copied();
        let inside: Vec<u8> = inside.collect();
        Run {
            map: map.median(config.median / 2, &inside),
            slices: run.to_vec(),
        }
    });
    filtered.collect()
}

/// The voxels that count, of all volumes.
#[derive(Clone, Debug, Default)]
pub(super) struct Scored {
    /// Filtered scores, with whether the voxel is lesion.
    pub(super) voxels: Vec<(f64, bool)>,
    /// What was found in each volume, and how much of it is lesion; of all volumes nothing without a threshold.
    overlaps: BTreeMap<u32, Overlap>,
    volumes: BTreeSet<u32>,
}

impl Scored {
    /// The voxels of [`filtered`] maps, and what of them is above `threshold`.
    pub(super) fn new(
        slices: Vec<Slice<'_>>,
        size: [usize; 2],
        config: &LesionConfig,
        threshold: Option<f64>,
    ) -> Self {
        let mut scored = Self::default();
        for run in filtered(slices, size, config) {
            let found = threshold.map(|threshold| run.map.found(threshold, config.smallest));
            scored.add(&run, found.as_deref());
        }
        scored
    }

    /// Adds the voxels of slices, and what of them was found.
    pub(super) fn add(&mut self, run: &Run<'_>, found: Option<&[bool]>) {
        let Some(volume) = run.slices.first().map(|slice| slice.volume) else {
            return;
        };
        self.volumes.insert(volume);
        let masks = run.slices.iter();
        let masks = masks.flat_map(|slice| slice.inside.iter().zip(slice.lesion));
        let counted = masks.enumerate().filter(|(_, (inside, _))| **inside != 0);
        let counted = counted.map(|(voxel, (_, lesion))| (voxel, *lesion != 0));
        let score = |voxel: usize| f64::from(run.map.scores[voxel]);
        self.voxels.extend(
            counted
                .clone()
                .map(|(voxel, lesion)| (score(voxel), lesion)),
        );
        if let Some(found) = found {
            let overlap = self.overlaps.entry(volume).or_default();
            counted.for_each(|(voxel, lesion)| overlap.add(found[voxel], lesion));
        }
    }

    /// Number of volumes.
    pub(super) fn volumes(&self) -> usize {
        self.volumes.len()
    }

    /// What was found in all volumes together; `None` without a threshold.
    pub(super) fn pooled(&self) -> Option<Overlap> {
        let mut overlaps = self.overlaps.values();
        let mut sum = *overlaps.next()?;
        overlaps.for_each(|overlap| sum.merge(*overlap));
        Some(sum)
    }

    /// The Dice coefficients of volumes, without those in which there is nothing and nothing was found.
    pub(super) fn each_dice(&self) -> Vec<f64> {
        self.overlaps.values().filter_map(|o| o.dice()).collect()
    }

    /// Their mean.
    pub(super) fn mean_dice(&self) -> Option<f64> {
        let each = self.each_dice();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn slice<'a>(
        (volume, number): (u32, u32),
        map: &'a [f32],
        inside: &'a [u8],
        lesion: &'a [u8],
    ) -> Slice<'a> {
        Slice {
            place: 0,
            volume,
            number,
            map,
            inside,
            lesion,
        }
    }

    fn config(median: usize) -> LesionConfig {
        LesionConfig {
            median,
            smallest: 2,
            ..LesionConfig::default()
        }
    }

    #[test]
    fn volumes_are_counted_as_worked_by_hand() {
        let all = [1u8; 4];
        let slices = vec![
            // Volume 7 in the wrong order: two voxels found side by side, one of them a lesion; one more lesion is missed.
            slice((7, 3), &[0.9, 0.1, 0.1, 0.0], &all, &[1, 0, 0, 1]),
            slice((7, 2), &[0.8, 0.2, 0.1, 0.0], &all, &[0, 0, 0, 0]),
            // Volume 8: one voxel alone is too small; its lesion lies outside.
            slice((8, 0), &[0.9, 0.0, 0.0, 0.9], &[1, 1, 1, 0], &[0, 0, 0, 1]),
        ];
        let scored = Scored::new(slices, [2, 2], &config(1), Some(0.5));
        assert_eq!(scored.volumes(), 2);
        assert_eq!(scored.voxels.len(), 11);
        assert_eq!(
            scored.voxels[..2],
            [(f64::from(0.8f32), false), (f64::from(0.2f32), false)]
        );
        // 2 · 1 / (2 + 2) of the first; in the second nothing is there, and nothing was found.
        assert_eq!(scored.mean_dice(), Some(0.5));
        let pooled = scored.pooled().unwrap();
        assert_eq!((pooled.found, pooled.lesion, pooled.both), (2, 2, 1));
    }

    #[test]
    fn what_is_missing_between_two_slices_parts_them() {
        let all = [1u8; 1];
        let one = |number, score: &'static [f32]| slice((0, number), score, &all, &[0]);
        let slices = vec![
            one(0, &[1.0]),
            one(1, &[3.0]),
            one(2, &[2.0]),
            one(9, &[7.0]),
        ];
        let scored = Scored::new(slices, [1, 1], &config(3), None);
        // The line 1 3 2 goes on as 1 1 3 2 2 and has the medians 1 2 2; the last slice has only its own mirror images.
        let scores: Vec<f64> = scored.voxels.iter().map(|(score, _)| *score).collect();
        assert_eq!(scores, [1.0, 2.0, 2.0, 7.0]);
        assert_eq!(scored.volumes(), 1);
    }
}
