//! How a network finds lesions, and what it is judged by.

use crossburn_noise::Metric;
use serde::{Deserialize, Serialize};

use super::corruption::STEPS;
use super::noise::CorruptionNoise;
use crate::TrainingError;
use crate::task::anomaly::AnomalyMetric;

/// How a network finds lesions, and what it is judged by. In recipes the table `[task]` with `kind = "lesion-detection"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LesionConfig {
    /// What networks are judged by.
    pub metric: LesionMetric,
    /// The share of structural similarity in what a network learns to make small; the rest is the absolute difference.
    pub alpha: f64,
    /// The same share in the map that lesions are found in; `alpha` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_alpha: Option<f64>,
    /// What a network is shown of a slice that it gives back.
    pub reconstruction: Reconstruction,
    /// Patches along each side of a slice, of a `patched` reconstruction.
    pub patches: usize,
    /// What `denoising` and `patched` reconstructions mix with a slice.
    pub noise: CorruptionNoise,
    /// How much of it is mixed in where networks are judged: the step of a diffusion of 1000 steps. 0 adds almost no noise, 999 leaves only
    /// noise.
    pub test_step: usize,
    /// Draws of the noise of every slice where networks are judged; what is scored is their mean reconstruction.
    pub passes: usize,
    /// Where this is given, a difference counts less where the passes disagree, beyond about this standard deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// Pixels that the brain is eroded by, slice by slice; one for every 25 pixels of the width where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erosion: Option<usize>,
    /// Voxels along each side of the window that medians are taken in, an odd number; 1 for no filter.
    pub median: usize,
    /// Groups of fewer voxels than this are dropped.
    pub smallest: usize,
    /// Voxels above this score are found. Where absent, training finds it on the patients that it holds back and keeps it with the
    /// checkpoint. It never comes from the volumes that a network is judged on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

impl Default for LesionConfig {
    fn default() -> Self {
        Self {
            metric: LesionMetric::Auprc,
            alpha: 0.84,
            map_alpha: None,
            reconstruction: Reconstruction::Patched,
            patches: 2,
            noise: CorruptionNoise::Simplex,
            test_step: 749,
            passes: 1,
            spread: None,
            erosion: None,
            median: 5,
            smallest: 8,
            threshold: None,
        }
    }
}

impl LesionConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] with the first bad key.
    pub fn check(&self) -> Result<(), TrainingError> {
        let shares = [
            ("task.alpha", Some(self.alpha)),
            ("task.map_alpha", self.map_alpha),
        ];
        for (key, share) in shares {
            if let Some(share) = share
                && !(0.0..=1.0).contains(&share)
            {
                return Err(TrainingError::setting(key, share, "a number from 0 to 1"));
            }
        }
        for (key, count) in [("task.patches", self.patches), ("task.passes", self.passes)] {
            if count == 0 {
                return Err(TrainingError::setting(key, count, "a whole number above 0"));
            }
        }
        if self.test_step >= STEPS {
            let allowed = "a step from 0 to 999";
            return Err(TrainingError::setting(
                "task.test_step",
                self.test_step,
                allowed,
            ));
        }
        if self.median.is_multiple_of(2) || self.median > WIDEST_MEDIAN {
            let allowed = "an odd number of voxels from 1, no filter, to 15";
            return Err(TrainingError::setting("task.median", self.median, allowed));
        }
        if self.views().is_none_or(|views| views > MOST_VIEWS) {
            let patches = match self.reconstruction {
                Reconstruction::Patched => self.patches,
                Reconstruction::Whole | Reconstruction::Denoising => 1,
            };
            return Err(TrainingError::setting(
                "task.passes",
                format!("{} with {patches} x {patches} patches", self.passes),
                "at most 1024 patches of all passes together",
            ));
        }
        if self.passes > 1 && self.reconstruction == Reconstruction::Whole {
            let allowed = "1 where reconstruction = whole, which has no noise to draw again";
            return Err(TrainingError::setting("task.passes", self.passes, allowed));
        }
        if let Some(spread) = self.spread {
            if !(spread.is_finite() && spread > 0.0) {
                let allowed = "a number above 0, or leave it out";
                return Err(TrainingError::setting("task.spread", spread, allowed));
            }
            if self.passes < 2 {
                let allowed = "it with passes above 1, or leave it out";
                return Err(TrainingError::setting("task.spread", spread, allowed));
            }
        }
        match self.threshold {
            Some(threshold) if !(threshold.is_finite() && threshold >= 0.0) => Err(
                TrainingError::setting("task.threshold", threshold, "a score from 0 on"),
            ),
            _ => Ok(()),
        }
    }

    /// Views of a slice where networks are judged: one of each patch in each pass. `None` where they are too many to count.
    pub(super) fn views(&self) -> Option<usize> {
        match self.reconstruction {
            Reconstruction::Patched => self.patches.checked_pow(2)?.checked_mul(self.passes),
            Reconstruction::Whole | Reconstruction::Denoising => Some(self.passes),
        }
    }

    /// The share of structural similarity in the map.
    pub(super) fn map_alpha(&self) -> f64 {
        self.map_alpha.unwrap_or(self.alpha)
    }

    /// By how many pixels slices of this width are eroded.
    pub(super) fn erosion(&self, width: usize) -> usize {
        self.erosion.unwrap_or(width / PIXELS_A_STEP)
    }
}

/// Pixels of the width for which the brain is eroded by one.
const PIXELS_A_STEP: usize = 25;
/// Voxels along each side of the largest window that medians are taken in.
const WIDEST_MEDIAN: usize = 15;
/// Views of one slice that a network is shown at most where it is judged: they are on the device together.
const MOST_VIEWS: usize = 1024;

/// What a network is shown of a slice that it gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reconstruction {
    /// The slice as it is: an autoencoder.
    Whole,
    /// The slice with noise all over.
    Denoising,
    /// The slice with noise in one patch of a grid, so that it sees what is around it. The patch alone is given back; where networks are
    /// judged, each patch in turn.
    #[default]
    Patched,
}

/// What networks are judged by. All scores are of voxels in the eroded brain; the rest is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LesionMetric {
    /// The average precision of all voxels together, [`auprc`](crate::auprc).
    #[default]
    Auprc,
    /// The mean Dice coefficient of volumes, those left out in which there is nothing and nothing was found.
    Dice,
    /// The Dice coefficient of all voxels together.
    PooledDice,
}

impl LesionMetric {
    pub(in crate::task) fn metric(self) -> Metric {
        match self {
            Self::Auprc => AnomalyMetric::Auprc.metric(),
            Self::Dice => Metric::share("Dice"),
            Self::PooledDice => Metric::share("pooled Dice"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_refused_by_key() {
        let config = |text: &str| toml::from_str::<LesionConfig>(text).unwrap();
        config("").check().unwrap();
        config("metric = \"dice\"\nthreshold = 0.2")
            .check()
            .unwrap();
        config("passes = 4\nspread = 0.02").check().unwrap();
        config("metric = \"dice\"").check().unwrap();
        config("median = 15\npatches = 16\npasses = 4")
            .check()
            .unwrap();
        for (text, key) in [
            ("alpha = 1.5", "task.alpha"),
            ("map_alpha = nan", "task.map_alpha"),
            ("patches = 0", "task.patches"),
            ("passes = 0", "task.passes"),
            ("passes = 2\nreconstruction = \"whole\"", "task.passes"),
            ("spread = 0.1", "task.spread"),
            ("spread = 0.0\npasses = 2", "task.spread"),
            ("test_step = 1000", "task.test_step"),
            ("median = 4", "task.median"),
            ("median = 17", "task.median"),
            ("patches = 33", "task.passes = 1 with 33 x 33"),
            ("patches = 16\npasses = 5", "task.passes = 5 with 16 x 16"),
            ("patches = 4294967296", "task.passes"),
            (
                "passes = 1025\nreconstruction = \"denoising\"",
                "task.passes = 1025 with 1 x 1",
            ),
            ("threshold = -1.0", "task.threshold"),
        ] {
            let message = config(text).check().unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
        }
        assert_eq!([20, 64, 96].map(|w| config("").erosion(w)), [0, 2, 3]);
        assert_eq!(config("erosion = 1").erosion(96), 1);
    }
}
