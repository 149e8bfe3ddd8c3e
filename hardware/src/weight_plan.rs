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

/// The plan for the weights of a network: which of them lie on arrays, which of their elements remain, and how each is
/// quantized.
///
/// Matrix weights lie on arrays, unless the [`Placement`] says otherwise. Every matrix weight is quantized in the same way,
/// digital or not, unless its path has settings of its own. Another weight on an array, such as an embedding, is quantized
/// as well.
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
    /// The last entry that matches holds here too.
    pruning: Vec<(PathPattern, Option<PruningPattern>)>,
    /// Which weights remain, by path, if the current weights do not decide it.
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

    /// The same with weights of the paths that `pattern` matches in this width. `None` means full precision.
    #[must_use]
    pub fn with_bits(self, pattern: PathPattern, bits: Option<WeightBits>) -> Self {
        self.with_quantization(pattern, bits.map(Quantization::from))
    }

    /// The same with weights of the paths that `pattern` matches quantized in this way. `None` means full precision.
    #[must_use]
    pub fn with_quantization(
        mut self,
        pattern: PathPattern,
        quantization: Option<Quantization>,
    ) -> Self {
        self.of_paths.push((pattern, quantization));
        self
    }

    /// The same with weights of the paths that `paths` matches pruned to `pattern`. `None` leaves them unpruned.
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

    /// The same with unfinished pruning: at least the share `density` of the weights remains.
    #[must_use]
    pub fn at_density(mut self, density: f64) -> Self {
        for (_, pattern) in &mut self.pruning {
            *pattern = pattern.map(|pattern| pattern.at_density(density));
        }
        self
    }

    /// The same, but the present weights of `module` decide for good which weights remain.
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

    /// The same for a network whose weights are programmed already, so that nothing is quantized again.
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

    /// Largest relative change of a learned scale of the weight at `path` in a training step; `None` if its scale is not
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

    /// Paths of the weights of `module` that the plan concerns.
    fn quantized<M: Module>(&self, module: &M) -> BTreeSet<String> {
        let mut all = matrix_weights(module);
        all.extend(self.placement.on_arrays(module));
        all
    }

    /// Which elements remain of the pruned weights of `module`, by path.
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

    /// Number of remaining elements, and of all elements, of the pruned weights of `module`, by path.
    pub fn remaining<M: Module>(&self, module: &M) -> BTreeMap<String, (usize, usize)> {
        let counted = self.masks_of(module).into_iter().map(|(path, kept)| {
            let remain = kept.iter().filter(|kept| **kept).count();
            (path, (remain, kept.len()))
        });
        counted.collect()
    }

    /// `module` with zeros for stored weights that the plan prunes.
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

    /// The weight at `path` in integers, as chips without variation are programmed. `on_levels` says that its values are
    /// already on the levels of its width, as in a programmed network.
    ///
    /// Weights that are stored as zero are not kept. A group of an N:M pattern may be short of kept weights then. From 2 bits on, its first
    /// absent weights count as kept, with level 0. One bit has no level 0, so the group stays short.
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
        let (values, shape) = (&weight.values, &weight.shape);
        let kept = self.kept(path, shape, || values.clone());
        let found = match on_levels {
            true => IntegerWeights::of_levels(values, shape, quantization.bits, &kept),
            false => IntegerWeights::new(values, shape, &quantization, self.scales(path), &kept),
        };
        let mut found = found.map_err(named)?;
        if let (Some(pattern), false) = (self.pruning(path), quantization.bits.is_sign()) {
            let rows = found.kept.iter_mut();
            rows.for_each(|row| pattern.sparsity().complete(row));
        }
        Ok(found)
    }

    /// Whether some weight may be quantized or pruned.
    pub(crate) fn changes(&self) -> bool {
        let quantizes = self.of_paths.iter().any(|(_, of_path)| of_path.is_some());
        self.quantization.is_some() || quantizes || self.prunes_any()
    }

    /// Refuses a pattern that matches no weight of `module`.
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
mod tests;
