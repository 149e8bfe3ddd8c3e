//! Which weights lie on arrays, and on which grid each of them lies.

use burn::module::Module;
use crossburn_noise::{NoiseError, PathPattern, Placement, require_weights};

use crate::{Quantization, WeightBits};

/// What is done with the weights of a network: which of them lie on arrays, and how each is quantized.
///
/// The matrix weights lie on arrays but for what the [`Placement`] says. Every matrix weight is quantized alike, digital or not, but for
/// what is said of its path; a weight that lies on an array besides, such as an embedding, is quantized as well.
///
/// ```
/// use crossburn_hardware::{WeightBits, WeightPlan};
/// use crossburn_noise::{PathPattern, Placement};
///
/// let plan = WeightPlan::from(WeightBits::new(4)?)
///     .with_bits(PathPattern::new("fc3.*"), Some(WeightBits::new(8)?))
///     .with_placement(Placement::default().digital([PathPattern::new("conv1.weight")]));
/// assert_eq!(plan.quantization("fc1.weight").map(|q| q.bits.get()), Some(4));
/// assert_eq!(plan.quantization("fc3.weight").map(|q| q.bits.get()), Some(8));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightPlan {
    placement: Placement,
    quantization: Option<Quantization>,
    /// The last that matches holds.
    of_paths: Vec<(PathPattern, Option<Quantization>)>,
}

impl WeightPlan {
    /// The same with other weights on arrays.
    #[must_use]
    pub fn with_placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// The same with weights of the paths that `pattern` matches in this width, full precision of `None`.
    #[must_use]
    pub fn with_bits(mut self, pattern: PathPattern, bits: Option<WeightBits>) -> Self {
        self.of_paths.push((pattern, bits.map(Quantization::from)));
        self
    }

    /// The same for a network whose weights are those that cells hold already: nothing is quantized again.
    #[must_use]
    pub fn without_quantization(self) -> Self {
        Self {
            placement: self.placement,
            ..Self::default()
        }
    }

    /// Which weights lie on arrays.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// How the weight at `path` is quantized, if it is.
    pub fn quantization(&self, path: &str) -> Option<Quantization> {
        let mut of_paths = self.of_paths.iter().rev();
        match of_paths.find(|(pattern, _)| pattern.matches(path)) {
            Some((_, quantization)) => *quantization,
            None => self.quantization,
        }
    }

    /// Whether some weight may be quantized.
    pub(crate) fn quantizes(&self) -> bool {
        self.quantization.is_some() || self.of_paths.iter().any(|(_, of_path)| of_path.is_some())
    }

    /// Refuses a pattern that is about no weight of `module`.
    ///
    /// # Errors
    /// [`NoiseError::NoWeight`], naming the pattern.
    pub fn check<M: Module>(&self, module: &M) -> Result<(), NoiseError> {
        self.placement.check(module)?;
        require_weights(module, self.of_paths.iter().map(|(pattern, _)| pattern))
    }
}

/// Every matrix weight on an array, quantized alike.
impl From<Option<Quantization>> for WeightPlan {
    fn from(quantization: Option<Quantization>) -> Self {
        Self {
            quantization,
            ..Self::default()
        }
    }
}

/// Every matrix weight on an array, quantized alike.
impl From<Quantization> for WeightPlan {
    fn from(quantization: Quantization) -> Self {
        Some(quantization).into()
    }
}

/// Every matrix weight on an array, in this width.
impl From<WeightBits> for WeightPlan {
    fn from(bits: WeightBits) -> Self {
        Quantization::from(bits).into()
    }
}

impl From<&WeightPlan> for WeightPlan {
    fn from(plan: &WeightPlan) -> Self {
        plan.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{manufacture, programmed, quantize_weights, vary_weights};
    use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_noise::{ChipSeed, Distribution, Variation};
    use std::collections::BTreeSet;

    #[derive(Module, Debug)]
    struct Words {
        words: Embedding,
        fc1: Linear,
        fc2: Linear,
    }

    fn words() -> Words {
        let device = Device::flex();
        Words {
            words: EmbeddingConfig::new(5, 4).init(&device),
            fc1: LinearConfig::new(4, 8).init(&device),
            fc2: LinearConfig::new(8, 5).init(&device),
        }
    }

    fn bits(bits: u8) -> WeightBits {
        WeightBits::new(bits).unwrap()
    }

    fn values(weight: Tensor<2>) -> Vec<f32> {
        weight.into_data().try_to_vec().unwrap()
    }

    /// How many values there are, beside zero, on one side of it.
    fn levels(weight: Tensor<2>) -> usize {
        let magnitudes = values(weight)
            .into_iter()
            .map(|value| value.abs().to_bits());
        let magnitudes: BTreeSet<u32> = magnitudes.filter(|bits| *bits != 0).collect();
        magnitudes.len()
    }

    #[test]
    fn widths_go_by_path_and_the_last_that_matches_holds() {
        let plan = WeightPlan::from(bits(2))
            .with_bits(PathPattern::new("fc*"), Some(bits(3)))
            .with_bits(PathPattern::new("fc2.weight"), None);
        let network = words();
        let programmed = programmed(&network, &plan);
        // Three levels on either side of 3 bits at most, and as many values as weights in full precision.
        assert!((2..=3).contains(&levels(programmed.fc1.weight.val())));
        assert!(levels(programmed.fc2.weight.val()) > 30);
        assert_eq!(
            values(programmed.words.weight.val()),
            values(network.words.weight.val())
        );
        let attached = quantize_weights(network, &plan).unwrap();
        assert_eq!(
            values(attached.fc1.weight.val()),
            values(programmed.fc1.weight.val())
        );
    }

    #[test]
    fn digital_weights_are_quantized_and_the_same_on_every_chip() {
        let plan = WeightPlan::from(bits(3)).with_placement(
            Placement::default()
                .digital([PathPattern::new("fc2.*")])
                .on_array([PathPattern::new("words.weight")]),
        );
        let (network, variation) = (words(), Variation::from(Distribution::gaussian(0.1)));
        let (clean, seed) = (programmed(&network, &plan), ChipSeed::new(3, 5));
        let chip = manufacture(&network, &plan, &variation, seed);
        assert!((2..=3).contains(&levels(clean.fc2.weight.val())));
        assert!((2..=3).contains(&levels(clean.words.weight.val())));
        assert_eq!(
            values(chip.fc2.weight.val()),
            values(clean.fc2.weight.val())
        );
        for (chip, clean) in [
            (chip.fc1.weight.val(), clean.fc1.weight.val()),
            (chip.words.weight.val(), clean.words.weight.val()),
        ] {
            assert_ne!(values(chip), values(clean));
        }
        let varied = vary_weights(network.clone(), &plan, &variation, seed).unwrap();
        for (varied, chip) in [
            (varied.fc1.weight.val(), chip.fc1.weight.val()),
            (varied.fc2.weight.val(), chip.fc2.weight.val()),
            (varied.words.weight.val(), chip.words.weight.val()),
        ] {
            assert_eq!(values(varied), values(chip));
        }
        // A chip's draw of one weight does not depend on where the others lie.
        let all = manufacture(&network, WeightPlan::from(bits(3)), &variation, seed);
        assert_eq!(values(all.fc1.weight.val()), values(chip.fc1.weight.val()));
        assert_ne!(values(all.fc2.weight.val()), values(chip.fc2.weight.val()));
    }

    #[test]
    fn a_pattern_of_no_weight_is_refused() {
        let plan = WeightPlan::default().with_bits(PathPattern::new("fc3.*"), None);
        let error = plan.check(&words()).unwrap_err().to_string();
        assert!(
            error.contains("at `fc3.*`: use one of words.weight, fc1.weight"),
            "{error}"
        );
        assert_eq!(WeightPlan::default().check(&words()), Ok(()));
    }
}
