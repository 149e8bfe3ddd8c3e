//! Bootstrap intervals over patients: the same numbers of patients drawn again.

use std::collections::BTreeMap;

use crossburn_noise::{Bootstrap, MeanInterval};

use super::scored::{Scored, Slice};
use super::{LesionDetection, LesionMaps};

/// Intervals over patients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LesionIntervals {
    /// Of the average precision over all voxels together.
    pub auprc: [f64; 2],
    /// Of the mean Dice coefficient of volumes; `None` without a threshold.
    pub dice: Option<[f64; 2]>,
}

/// The voxels of all patients, from the highest score on.
struct Ranked {
    /// Patient, whether it is lesion, and whether the next voxel has a lower score.
    voxels: Vec<(u32, bool, bool)>,
}

impl Ranked {
    /// From the scores of each patient's voxels, with whether they are lesion.
    fn new<'a>(patients: impl Iterator<Item = &'a [(f64, bool)]>) -> Self {
        let mut scored: Vec<(f64, u32, bool)> = Vec::new();
        for (patient, voxels) in patients.enumerate() {
            let voxels = voxels.iter();
            scored.extend(voxels.map(|(score, lesion)| (*score, patient as u32, *lesion)));
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let next = scored.iter().skip(1).map(|voxel| Some(voxel.0));
        let next = next.chain([None]);
        let voxels = scored.iter().zip(next);
        Self {
            voxels: voxels
                .map(|((score, patient, lesion), next)| (*patient, *lesion, next != Some(*score)))
                .collect(),
        }
    }

    /// The average precision where the voxels of patient `i` count `times[i]` times; equal scores are one step. `None` without a lesion.
    fn auprc(&self, times: &[u64]) -> Option<f64> {
        let (mut found, mut alarms, mut new, mut area) = (0u64, 0u64, 0u64, 0.0);
        for (patient, lesion, ends) in &self.voxels {
            let times = times[*patient as usize];
            alarms += times;
            if *lesion {
                new += times;
            }
            if *ends && new > 0 {
                found += new;
                area += found as f64 / alarms as f64 * new as f64;
                new = 0;
            }
        }
        (found > 0).then(|| area / found as f64)
    }
}

impl LesionDetection {
    /// Intervals over patients that `bootstrap` draws, with all their voxels. Slices whose patients nobody knows are one patient each. `None` of fewer
    /// than two patients, and where no draw has a lesion.
    ///
    /// The hundred thousand voxels of a few patients are no hundred thousand independent ones: to draw voxels would make intervals too
    /// narrow.
    pub fn intervals_over_patients(
        &self,
        maps: &LesionMaps,
        bootstrap: &Bootstrap,
    ) -> Option<LesionIntervals> {
        let [_, height, width] = self.samples.shape;
        let mut patients: BTreeMap<u32, Vec<Slice<'_>>> = BTreeMap::new();
        for slice in self.slices(maps) {
            let origins = self.samples.origins.as_ref();
            let group = origins.map(|origins| origins.samples[slice.place].group);
            let group = group.unwrap_or(slice.place as u32);
            patients.entry(group).or_default().push(slice);
        }
        let threshold = self.threshold();
        let scored: Vec<Scored> = patients
            .into_values()
            .map(|slices| Scored::new(slices, [height, width], &self.config, threshold))
            .collect();
        let ranked = Ranked::new(scored.iter().map(|scored| scored.voxels.as_slice()));
        let dice: Vec<Vec<f64>> = scored.iter().map(Scored::each_dice).collect();
        let area = |sample: &[usize]| {
            let mut times = vec![0; scored.len()];
            sample.iter().for_each(|patient| times[*patient] += 1);
            ranked.auprc(&times)
        };
        let overlap = |sample: &[usize]| {
            let drawn: Vec<f64> = sample
                .iter()
                .flat_map(|patient| &dice[*patient])
                .copied()
                .collect();
            (!drawn.is_empty()).then(|| drawn.iter().sum::<f64>() / drawn.len() as f64)
        };
        let ends = |number: &dyn Fn(&[usize]) -> Option<f64>| {
            let found: Option<MeanInterval> = bootstrap.interval(scored.len(), number).ok()?;
            found.map(|found| [found.low, found.high])
        };
        Some(LesionIntervals {
            auprc: ends(&area)?,
            dice: ends(&overlap),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::super::auprc;
    use super::*;

    #[test]
    fn a_patient_who_is_drawn_twice_counts_as_two() {
        // Three patients whose scores tie with each other's.
        let patients: [&[(f64, bool)]; 3] = [
            &[(3.0, true), (2.0, false), (2.0, true), (1.0, false)],
            &[(3.0, false), (2.5, true), (1.0, false)],
            &[(2.5, false), (2.0, true), (0.5, false), (0.5, true)],
        ];
        let ranked = Ranked::new(patients.into_iter());
        for times in [[1, 1, 1], [2, 0, 1], [0, 3, 0], [1, 0, 2], [0, 1, 2]] {
            let repeated: Vec<(f64, bool)> = times
                .iter()
                .zip(patients)
                .flat_map(|(times, voxels)| voxels.repeat(*times as usize))
                .collect();
            let expected = auprc(&repeated).unwrap();
            let found = ranked.auprc(&times).unwrap();
            assert!(
                (found - expected).abs() < 1e-12,
                "{times:?}: {found} {expected}"
            );
        }
        assert_eq!(
            Ranked::new([&[(1.0, false)][..]].into_iter()).auprc(&[4]),
            None
        );
    }
}
