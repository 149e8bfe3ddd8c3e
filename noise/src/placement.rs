//! Which weights lie on arrays, by patterns of their paths.

use std::collections::BTreeSet;
use std::fmt;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::NoiseError;
use crate::select::Scan;

/// A path of a weight, or a pattern of paths: `*` stands for any number of characters, dots among them, `?` for one.
///
/// ```
/// use crossburn_noise::PathPattern;
///
/// let attention = PathPattern::new("layers.*.attention.*.weight");
/// assert!(attention.matches("layers.3.attention.query.weight"));
/// assert!(!attention.matches("layers.3.attention.query.bias"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathPattern(String);

impl PathPattern {
    /// The pattern `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path` is one of its paths.
    pub fn matches(&self, path: &str) -> bool {
        WildMatch::new(&self.0).matches(path)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for PathPattern {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// Where weights lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Array,
    Digital,
}

/// Which weights of a network lie on arrays: its [matrix weights](crate::matrix_weights), unless rules say otherwise. If
/// several rules match a path, the last one holds.
///
/// A weight on an array deviates from chip to chip. A digital one is the same on all.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_noise::{PathPattern, Placement};
///
/// let device = Device::flex();
/// let network = vec![LinearConfig::new(3, 3).init(&device), LinearConfig::new(3, 2).init(&device)];
/// let placement = Placement::default().digital([PathPattern::new("1.*")]);
/// placement.check(&network)?;
/// assert_eq!(Vec::from_iter(placement.on_arrays(&network)), ["0.weight"]);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    rules: Vec<Rule>,
}

/// Where the weights of some paths lie.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: PathPattern,
    place: Place,
    /// Whether a network without such a weight is refused.
    asked: bool,
}

impl Placement {
    /// The same with the weights of these paths digital.
    #[must_use]
    pub fn digital(self, patterns: impl IntoIterator<Item = PathPattern>) -> Self {
        self.with(patterns, Place::Digital)
    }

    /// The same with the weights of these paths on arrays: any of rank two or more, such as an embedding.
    #[must_use]
    pub fn on_array(self, patterns: impl IntoIterator<Item = PathPattern>) -> Self {
        self.with(patterns, Place::Array)
    }

    /// The same with the weights of these paths digital, if there are any. This is for proposals of a type of network,
    /// because one of its networks may lack a part, such as a decoder whose head is its embedding.
    #[must_use]
    pub fn proposed_digital(mut self, patterns: impl IntoIterator<Item = PathPattern>) -> Self {
        self.rules.extend(patterns.into_iter().map(|pattern| Rule {
            pattern,
            place: Place::Digital,
            asked: false,
        }));
        self
    }

    fn with(mut self, patterns: impl IntoIterator<Item = PathPattern>, place: Place) -> Self {
        self.rules.extend(patterns.into_iter().map(|pattern| Rule {
            pattern,
            place,
            asked: true,
        }));
        self
    }

    /// Paths of the weights of `module` that lie on arrays.
    pub fn on_arrays<M: Module>(&self, module: &M) -> BTreeSet<String> {
        self.on_arrays_of(&Scan::of(module))
    }

    /// Paths of the matrix weights of `module` that do not lie on arrays.
    pub fn off_arrays<M: Module>(&self, module: &M) -> BTreeSet<String> {
        let scan = Scan::of(module);
        let on = self.on_arrays_of(&scan);
        scan.matrices.difference(&on).cloned().collect()
    }

    fn on_arrays_of(&self, scan: &Scan) -> BTreeSet<String> {
        if self.rules.is_empty() {
            return scan.matrices.clone();
        }
        let on_array = |path: &&str| {
            let mut rules = self.rules.iter().rev();
            match rules.find(|rule| rule.pattern.matches(path)) {
                Some(rule) => rule.place == Place::Array,
                None => scan.matrices.contains(*path),
            }
        };
        scan.paths().filter(on_array).map(str::to_string).collect()
    }

    /// Refuses a rule that matches no weight of `module`, unless the rule is only a proposal.
    ///
    /// # Errors
    /// [`NoiseError::NoWeight`], naming the pattern.
    pub fn check<M: Module>(&self, module: &M) -> Result<(), NoiseError> {
        let asked = self.rules.iter().filter(|rule| rule.asked);
        require_weights(module, asked.map(|rule| &rule.pattern))
    }
}

/// Refuses a pattern that matches no weight of rank two or more of `module`.
///
/// # Errors
/// [`NoiseError::NoWeight`], naming the pattern.
pub fn require_weights<'a, M: Module>(
    module: &M,
    patterns: impl IntoIterator<Item = &'a PathPattern>,
) -> Result<(), NoiseError> {
    let mut patterns = patterns.into_iter().peekable();
    if patterns.peek().is_none() {
        return Ok(());
    }
    let scan = Scan::of(module);
    for pattern in patterns {
        if !scan.paths().any(|path| pattern.matches(path)) {
            return Err(NoiseError::NoWeight {
                path: pattern.to_string(),
                known: scan.paths().map(str::to_string).collect(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Words {
        words: Embedding,
        norm: LayerNorm,
        layers: Vec<Linear>,
        head: Linear,
    }

    fn words() -> Words {
        let device = Device::flex();
        let layer = || LinearConfig::new(4, 4).init(&device);
        Words {
            words: EmbeddingConfig::new(5, 4).init(&device),
            norm: LayerNormConfig::new(4).init(&device),
            layers: vec![layer(), layer()],
            head: LinearConfig::new(4, 5).init(&device),
        }
    }

    fn patterns<const N: usize>(texts: [&str; N]) -> [PathPattern; N] {
        texts.map(PathPattern::new)
    }

    #[test]
    fn the_last_rule_that_matches_holds() {
        let rows: [(Placement, &[&str]); 4] = [
            (
                Placement::default(),
                &["head.weight", "layers.0.weight", "layers.1.weight"],
            ),
            (
                Placement::default().digital(patterns(["layers.*"])),
                &["head.weight"],
            ),
            (
                Placement::default()
                    .digital(patterns(["*"]))
                    .on_array(patterns(["layers.1.weight", "words.weight"])),
                &["layers.1.weight", "words.weight"],
            ),
            (
                Placement::default()
                    .on_array(patterns(["words.*"]))
                    .digital(patterns(["head.weight", "w?rds.weight"])),
                &["layers.0.weight", "layers.1.weight"],
            ),
        ];
        for (placement, expected) in rows {
            assert_eq!(placement.check(&words()), Ok(()));
            assert_eq!(Vec::from_iter(placement.on_arrays(&words())), expected);
        }
        let off = Placement::default().digital(patterns(["layers.*", "words.*"]));
        let off = Vec::from_iter(off.off_arrays(&words()));
        assert_eq!(off, ["layers.0.weight", "layers.1.weight"]);
    }

    #[test]
    fn a_pattern_without_a_weight_is_refused() {
        // Biases and norms are of rank one: no array holds them.
        for text in ["fc.*", "head.bias", "norm.gamma", "layers", ""] {
            let placement = Placement::default().digital([PathPattern::new(text)]);
            let error = placement.check(&words()).unwrap_err().to_string();
            let named = format!("at `{text}`: use one of words.weight");
            assert!(error.contains(&named), "{error}");
        }
    }
}
