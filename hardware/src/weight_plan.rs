//! Which weights lie on arrays, which of them remain, and on which grid each of them lies.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::module::Module;
use crossburn_noise::{
    HostWeight, NoiseError, PathPattern, Placement, WeightShape, change_host_weights,
    host_weights_at, matrix_weights, require_weights,
};

use crate::prune::PruningPattern;
use crate::quantize::{Calibration, IntegerWeights};
use crate::{HardwareError, Quantization, WeightBits};

/// What is done with the weights of a network: which of them lie on arrays, which of their elements remain, and how each is quantized.
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
    /// Of these, too.
    pruning: Vec<(PathPattern, Option<PruningPattern>)>,
    /// Which weights remain, by path, where that does not follow from the weights as they are.
    masks: Arc<BTreeMap<String, Vec<bool>>>,
    /// Learned distances of two levels, by path.
    scales: Arc<BTreeMap<String, Vec<f32>>>,
}

impl WeightPlan {
    /// The same with other weights on arrays.
    #[must_use]
    pub fn with_placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// The same with weights of the paths that `pattern` matches in this width, full precision of `None`.
    #[must_use]
    pub fn with_bits(self, pattern: PathPattern, bits: Option<WeightBits>) -> Self {
        self.with_quantization(pattern, bits.map(Quantization::from))
    }

    /// The same with weights of the paths that `pattern` matches quantized in this way, not at all of `None`.
    #[must_use]
    pub fn with_quantization(
        mut self,
        pattern: PathPattern,
        quantization: Option<Quantization>,
    ) -> Self {
        self.of_paths.push((pattern, quantization));
        self
    }

    /// The same with weights of the paths that `paths` matches pruned to `pattern`, not at all of `None`.
    #[must_use]
    pub fn with_pruning(mut self, paths: PathPattern, pattern: Option<PruningPattern>) -> Self {
        self.pruning.push((paths, pattern));
        self
    }

    /// The same, pruned as `other` prunes.
    #[must_use]
    pub fn with_pruning_of(self, other: &Self) -> Self {
        Self {
            pruning: other.pruning.clone(),
            masks: other.masks.clone(),
            ..self
        }
    }

    /// The same with the weights of the paths that `pattern` matches as they are stored: neither pruned nor quantized.
    #[must_use]
    pub fn with_stored(self, pattern: PathPattern) -> Self {
        self.with_quantization(pattern.clone(), None)
            .with_pruning(pattern, None)
    }

    /// The same with every pruning on its way: at least `density` of the weights remain.
    #[must_use]
    pub fn at_density(mut self, density: f64) -> Self {
        for (_, pattern) in &mut self.pruning {
            *pattern = pattern.map(|pattern| pattern.at_density(density));
        }
        self
    }

    /// The same where the weights of `module` decide which weights remain, whatever becomes of them.
    #[must_use]
    pub fn with_masks_of<M: Module>(self, module: &M) -> Self {
        let masks = Arc::new(self.masks_of(module));
        Self { masks, ..self }
    }

    /// The same with these distances of two levels, by path: one for each grid of the weight.
    #[must_use]
    pub fn with_scales(self, scales: BTreeMap<String, Vec<f32>>) -> Self {
        Self {
            scales: Arc::new(scales),
            ..self
        }
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

    /// The pattern that the weight at `path` is pruned to, if it is.
    pub fn pruning(&self, path: &str) -> Option<PruningPattern> {
        let mut of_paths = self.pruning.iter().rev();
        let found = of_paths.find(|(paths, _)| paths.matches(path));
        found.and_then(|(_, pattern)| *pattern)
    }

    /// Whether the weight at `path` is pruned.
    pub(crate) fn prunes(&self, path: &str) -> bool {
        self.pruning(path).is_some()
    }

    /// Whether some weight may be pruned.
    pub fn prunes_any(&self) -> bool {
        self.pruning.iter().any(|(_, pattern)| pattern.is_some())
    }

    /// Which weights at `path` remain, of those that `values` gives in row-major order. All where it is not pruned.
    pub(crate) fn kept(
        &self,
        path: &str,
        shape: &WeightShape,
        values: impl FnOnce() -> Vec<f32>,
    ) -> Cow<'_, [bool]> {
        match (self.masks.get(path), self.pruning(path)) {
            (Some(mask), Some(_)) => Cow::Borrowed(mask),
            (None, Some(pattern)) => Cow::Owned(pattern.kept(&values(), shape)),
            (_, None) => Cow::Owned(vec![true; shape.iter().product()]),
        }
    }

    /// The learned distances of two levels of the weight at `path`.
    pub(crate) fn scales(&self, path: &str) -> Option<&[f32]> {
        self.scales.get(path).map(Vec::as_slice)
    }

    /// By which part of itself a step of training moves a learned scale of the weight at `path` at most; `None` where its scale is not
    /// learned.
    pub fn scale_rate(&self, path: &str) -> Option<f64> {
        match self.quantization(path)?.calibration {
            Calibration::Learned { rate } => Some(rate),
            _ => None,
        }
    }

    /// The scales that training starts from, by path, of the weights of `module` whose scales are learned.
    pub fn first_scales<M: Module>(&self, module: &M) -> BTreeMap<String, Vec<f32>> {
        let mut selected = self.quantized(module);
        selected.retain(|path| self.scale_rate(path).is_some());
        let weights = host_weights_at(module, &selected).into_iter();
        weights
            .filter_map(|(path, weight)| {
                let quantization = self.quantization(&path)?;
                let kept = self.kept(&path, &weight.shape, || weight.values.clone());
                let grids = quantization.grids_of_kept(&weight.values, &weight.shape, Some(&*kept));
                Some((path, grids.iter().map(|grid| grid.step).collect()))
            })
            .collect()
    }

    /// Paths of the weights of `module` that the plan is about.
    fn quantized<M: Module>(&self, module: &M) -> BTreeSet<String> {
        let mut all = matrix_weights(module);
        all.extend(self.placement.on_arrays(module));
        all
    }

    /// Which weights of `module` remain, by path, of those that are pruned.
    fn masks_of<M: Module>(&self, module: &M) -> BTreeMap<String, Vec<bool>> {
        let mut selected = self.quantized(module);
        selected.retain(|path| self.prunes(path));
        let weights = host_weights_at(module, &selected).into_iter();
        weights
            .map(|(path, weight)| {
                let kept = self.kept(&path, &weight.shape, || weight.values);
                let kept = kept.into_owned();
                (path, kept)
            })
            .collect()
    }

    /// How many of the weights of `module` remain, and how many there are, by path, of those that are pruned.
    pub fn remaining<M: Module>(&self, module: &M) -> BTreeMap<String, (usize, usize)> {
        let counted = self.masks_of(module).into_iter().map(|(path, kept)| {
            let remain = kept.iter().filter(|kept| **kept).count();
            (path, (remain, kept.len()))
        });
        counted.collect()
    }

    /// `module` with zeros in the place of stored weights that the plan prunes.
    pub fn prune<M: Module>(&self, module: M) -> M {
        if !self.prunes_any() {
            return module;
        }
        let kept = self.masks_of(&module);
        kept.into_iter().fold(module, |module, (path, kept)| {
            change_host_weights(module, &BTreeSet::from([path]), |values, _| {
                let pairs = values.iter_mut().zip(&kept);
                pairs
                    .filter(|(_, kept)| !**kept)
                    .for_each(|(value, _)| *value = 0.0);
            })
        })
    }

    /// The weight at `path` in integers, as chips without variation are programmed. `on_levels` says that its values are on the levels of
    /// its width already: those of a network that is programmed.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a weight in full precision, and those of [`IntegerWeights::new`] and
    /// [`IntegerWeights::of_levels`].
    pub fn integers(
        &self,
        path: &str,
        weight: &HostWeight,
        on_levels: bool,
    ) -> Result<IntegerWeights, HardwareError> {
        let named = |error| HardwareError::Layer {
            path: path.to_string(),
            error: Box::new(error),
        };
        let Some(quantization) = self.quantization(path) else {
            return Err(named(HardwareError::conflict(
                "integers of a weight in full precision",
                "give it bits: model.bits, or arrays.bits for its path",
            )));
        };
        let kept = match (self.masks.get(path), self.pruning(path)) {
            (Some(mask), Some(_)) => mask.clone(),
            (None, Some(pattern)) => pattern.kept_places(&weight.values, &weight.shape),
            (_, None) => vec![true; weight.values.len()],
        };
        let (values, shape) = (&weight.values, &weight.shape);
        let found = match on_levels {
            true => IntegerWeights::of_levels(values, shape, quantization.bits, &kept),
            false => IntegerWeights::new(values, shape, &quantization, self.scales(path), &kept),
        };
        found.map_err(named)
    }

    /// Whether some weight may be quantized or pruned.
    pub(crate) fn changes(&self) -> bool {
        let quantizes = self.of_paths.iter().any(|(_, of_path)| of_path.is_some());
        self.quantization.is_some() || quantizes || self.prunes_any()
    }

    /// Refuses a pattern that is about no weight of `module`.
    ///
    /// # Errors
    /// [`NoiseError::NoWeight`], naming the pattern.
    pub fn check<M: Module>(&self, module: &M) -> Result<(), NoiseError> {
        self.placement.check(module)?;
        require_weights(module, self.of_paths.iter().map(|(pattern, _)| pattern))?;
        require_weights(module, self.pruning.iter().map(|(paths, _)| paths))
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

    fn pruned(pattern: &str) -> Option<PruningPattern> {
        Some(pattern.parse().unwrap())
    }

    /// A pruned weight is zero as programmed and deviates on a chip like any other; the stored weights alone say which are pruned.
    #[test]
    fn pruned_weights_are_zero_and_deviate() {
        let plan = WeightPlan::from(bits(3))
            .with_pruning(PathPattern::new("fc*"), pruned("2:4"))
            .with_pruning(PathPattern::new("fc2.weight"), None);
        let network = words();
        let clean = programmed(&network, &plan);
        let zeros = |weight: Tensor<2>| values(weight).iter().filter(|w| **w == 0.0).count();
        assert!(zeros(clean.fc1.weight.val()) >= 16);
        assert_eq!(plan.remaining(&network)["fc1.weight"], (16, 32));
        let unpruned = programmed(&network, WeightPlan::from(bits(3)));
        assert_eq!(
            values(clean.fc2.weight.val()),
            values(unpruned.fc2.weight.val())
        );
        let stored = plan.prune(network.clone());
        assert_eq!(zeros(stored.fc1.weight.val()), 16);
        assert_eq!(
            values(programmed(&stored, &plan).fc1.weight.val()),
            values(clean.fc1.weight.val())
        );
        let (variation, seed) = (
            Variation::from(Distribution::gaussian(0.1)),
            ChipSeed::new(3, 5),
        );
        let chip = manufacture(&network, &plan, &variation, seed);
        assert_eq!(zeros(chip.fc1.weight.val()), 0);
        let quantized = values(clean.fc1.weight.val());
        let deviation = variation.draw(seed, "fc1.weight", &quantized, &[4, 8]);
        let sum: Vec<f32> = quantized
            .iter()
            .zip(&deviation)
            .map(|(w, d)| w + d)
            .collect();
        assert_eq!(values(chip.fc1.weight.val()), sum);
    }

    #[test]
    fn held_masks_outlive_the_weights_that_they_came_from() {
        let plan = WeightPlan::default().with_pruning(PathPattern::new("fc1.*"), pruned("1:4"));
        let network = words();
        let held = plan.clone().with_masks_of(&network);
        let mut other = network.clone();
        other.fc1.weight = other.fc1.weight.map(|weight| weight.powi_scalar(-1));
        let zeros = |plan: &WeightPlan, network: &Words| -> Vec<bool> {
            let weight = values(programmed(network, plan).fc1.weight.val());
            weight.iter().map(|w| *w == 0.0).collect()
        };
        assert_eq!(zeros(&held, &other), zeros(&plan, &network));
        assert_ne!(zeros(&plan, &other), zeros(&plan, &network));
        let denser = plan.at_density(0.75);
        assert_eq!(denser.remaining(&network)["fc1.weight"], (24, 32));
    }

    #[test]
    fn learned_scales_are_those_of_the_plan_and_have_gradients() {
        let learned = Quantization {
            calibration: Calibration::Learned { rate: 0.01 },
            granularity: crossburn_noise::Granularity::PerChannel,
            ..Quantization::from(bits(2))
        };
        let plan =
            WeightPlan::default().with_quantization(PathPattern::new("fc1.weight"), Some(learned));
        assert_eq!(plan.scale_rate("fc1.weight"), Some(0.01));
        let network = words();
        let scales = plan.first_scales(&network);
        assert_eq!((scales.len(), scales["fc1.weight"].len()), (1, 8));
        // The smallest squared error on three levels: nothing above the largest weight, and above a third of it.
        let doubled: Vec<f32> = scales["fc1.weight"].iter().map(|s| 2.0 * s).collect();
        let plan = plan.with_scales(BTreeMap::from([(
            "fc1.weight".to_string(),
            doubled.clone(),
        )]));
        let programmed = programmed(&network, &plan);
        for (index, weight) in values(programmed.fc1.weight.val()).into_iter().enumerate() {
            let scale = doubled[index % 8];
            assert!([-scale, 0.0, scale].contains(&weight), "{weight} {scale}");
        }
        let attached = quantize_weights(network.train(), &plan).unwrap();
        let found = crate::weight_scales(&attached);
        let gradients = attached.fc1.weight.val().sum().backward();
        let by_scale = found["fc1.weight"].grad(&gradients).unwrap();
        assert_eq!(by_scale.dims(), [8]);
    }
}
