//! Pruning in a recipe: the pattern, and the way to it.

use crossburn_hardware::prune::PruningPattern;
use crossburn_noise::PathPattern;
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// Which weights remain, and when the others go: the table `[pruning]` of a recipe.
///
/// ```
/// use crossburn_training::PruningConfig;
///
/// let pruning: PruningConfig = toml::from_str(r#"
///     pattern = "2:4"
///     paths = [{ path = "fc.weight" }]
/// "#)?;
/// // Nine epochs: three steps of two epochs, and three in which the mask rests.
/// let densities: Vec<f64> = (1..=9).map(|epoch| pruning.density(epoch, 9)).collect();
/// assert_eq!(densities, [1.0, 1.0, 0.75, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0]);
/// assert!(!pruning.rests(6, 9) && pruning.rests(7, 9));
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// # Source
/// Gradual pruning by magnitude: Zhu and Gupta, "To prune, or not to prune", 2017 (arXiv 1710.01878).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruningConfig {
    /// Which weights of a layer remain in the end.
    pub pattern: PruningPattern,
    /// Layers with a pattern of their own; the last whose path matches holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PatternOfPath>,
    /// Shares of weights that remain on the way to the pattern, each for as many epochs as the others.
    #[serde(default = "usual_densities")]
    pub densities: Vec<f64>,
    /// The share of epochs, the last, in which the mask rests.
    #[serde(default = "third")]
    pub resting: f64,
}

/// The pattern of some weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternOfPath {
    /// Paths of the weights.
    pub path: PathPattern,
    /// Which of them remain; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<PruningPattern>,
}

fn usual_densities() -> Vec<f64> {
    vec![1.0, 0.75]
}

fn third() -> f64 {
    1.0 / 3.0
}

impl PruningConfig {
    /// Pruning to `pattern` on the usual way.
    pub fn new(pattern: PruningPattern) -> Self {
        Self {
            pattern,
            paths: Vec::new(),
            densities: usual_densities(),
            resting: third(),
        }
    }

    /// Epochs of `epochs` in which the mask is chosen again as each begins. The first of them is one at least.
    fn choosing(&self, epochs: usize) -> usize {
        let resting = (self.resting * epochs as f64 + 1e-9).floor() as usize;
        epochs.saturating_sub(resting).max(1)
    }

    /// The least share of weights that remains in `epoch`, from 1, of `epochs`; 0 where the pattern alone decides.
    pub fn density(&self, epoch: usize, epochs: usize) -> f64 {
        let steps = self.densities.len() + 1;
        let step = (epoch * steps).div_ceil(self.choosing(epochs)).max(1) - 1;
        self.densities.get(step).copied().unwrap_or(0.0)
    }

    /// Whether the mask rests in `epoch`, from 1, of `epochs`: weights that it prunes are gone.
    pub fn rests(&self, epoch: usize, epochs: usize) -> bool {
        epoch > self.choosing(epochs)
    }

    /// Whether the weights of `epoch` have the pattern.
    pub(crate) fn is_reached(&self, epoch: usize, epochs: usize) -> bool {
        self.density(epoch, epochs) == 0.0
    }

    /// Refuses densities and shares that make no way.
    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        let falls = self.densities.is_sorted_by(|a, b| a >= b);
        let shares = self
            .densities
            .iter()
            .all(|share| *share > 0.0 && *share <= 1.0);
        if !falls || !shares {
            return Err(TrainingError::setting(
                "pruning.densities",
                format!("{:?}", self.densities),
                "shares above 0 and up to 1, none above the one before, such as [1.0, 0.75]",
            ));
        }
        match (0.0..1.0).contains(&self.resting) {
            true => Ok(()),
            false => Err(TrainingError::setting(
                "pruning.resting",
                self.resting,
                "a share of epochs from 0 to below 1",
            )),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn densities(pruning: &PruningConfig, epochs: usize) -> Vec<f64> {
        (1..=epochs)
            .map(|epoch| pruning.density(epoch, epochs))
            .collect()
    }

    #[test]
    fn every_run_ends_with_the_pattern() {
        let pruning = PruningConfig::new("2:4".parse().unwrap());
        assert_eq!(densities(&pruning, 1), [0.0]);
        assert_eq!(densities(&pruning, 2), [0.75, 0.0]);
        assert_eq!(densities(&pruning, 3), [0.75, 0.0, 0.0]);
        assert_eq!(densities(&pruning, 5), [1.0, 0.75, 0.0, 0.0, 0.0]);
        // The last third of ten epochs is three.
        let ten = [1.0, 1.0, 0.75, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(densities(&pruning, 10), ten);
        let resting: Vec<usize> = (1..=10).filter(|epoch| pruning.rests(*epoch, 10)).collect();
        assert_eq!(resting, [8, 9, 10]);
        let at_once = PruningConfig {
            densities: Vec::new(),
            resting: 0.0,
            ..pruning
        };
        assert_eq!(densities(&at_once, 4), [0.0; 4]);
        assert!(!at_once.rests(4, 4));
    }

    #[test]
    fn a_table_is_strict() {
        let read = |text: &str| toml::from_str::<PruningConfig>(text);
        let pruning = read("pattern = \"8:16\"").unwrap();
        assert_eq!(pruning, PruningConfig::new("8:16".parse().unwrap()));
        let written = toml::to_string(&pruning).unwrap();
        assert_eq!(read(&written).unwrap(), pruning);
        for (text, part) in [
            ("pattern = \"4:2\"", "pattern = 4:2"),
            ("pattern = \"2:4\"\ndensity = 1", "unknown field `density`"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        for (text, part) in [
            ("densities = [0.5, 0.75]", "pruning.densities = [0.5, 0.75]"),
            ("densities = [0.0]", "pruning.densities = [0.0]"),
            ("resting = 1.0", "pruning.resting = 1"),
        ] {
            let pruning = read(&format!("pattern = \"2:4\"\n{text}")).unwrap();
            let message = pruning.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
