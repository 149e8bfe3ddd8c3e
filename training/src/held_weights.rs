//! State about the weights during training: which of them remain, and the scales of their grids.

use std::collections::BTreeMap;

use crossburn_hardware::WeightPlan;
use crossburn_hardware::deploy::LearnedScale;
use crossburn_models::Network;

use crate::Recipe;

/// The scales of the grids of every weight whose scales are learned, by path.
pub(crate) type WeightScales = BTreeMap<String, Vec<LearnedScale>>;

/// The plan of a recipe as it holds in one epoch.
#[derive(Clone, Debug)]
pub(crate) struct HeldWeights {
    plan: WeightPlan,
    scales: WeightScales,
}

impl HeldWeights {
    /// What `recipe` says of the weights of `network`, with the scales of an interrupted run.
    pub(crate) fn new<N: Network>(recipe: &Recipe, network: &N, scales: WeightScales) -> Self {
        let plan = recipe.weights::<N>();
        let mut scales = scales;
        for (path, first) in plan.first_scales(network) {
            let first = || first.into_iter().map(LearnedScale::new).collect();
            scales.entry(path).or_insert_with(first);
        }
        Self { plan, scales }.with_scales()
    }

    /// The same as `epoch`, from 1, begins with `network`, whose weights choose which of them remain.
    pub(crate) fn begin<N: Network>(&mut self, recipe: &Recipe, network: &N, epoch: usize) {
        if let Some(pruning) = &recipe.pruning {
            let density = pruning.density(epoch, recipe.training.epochs);
            let plan = recipe.weights::<N>().at_density(density);
            self.plan = plan.with_masks_of(network);
            *self = self.clone().with_scales();
        }
    }

    /// How weights are pruned and quantized now.
    pub(crate) fn plan(&self) -> &WeightPlan {
        &self.plan
    }

    pub(crate) fn scales(&self) -> &WeightScales {
        &self.scales
    }

    /// Moves the learned scales down the gradients of a step.
    pub(crate) fn learn(&mut self, gradients: &BTreeMap<String, Vec<f64>>) {
        for (path, gradients) in gradients {
            let (Some(scales), Some(rate)) =
                (self.scales.get_mut(path), self.plan.scale_rate(path))
            else {
                continue;
            };
            for (scale, gradient) in scales.iter_mut().zip(gradients) {
                // By the logarithm of the scale.
                scale.step(gradient * f64::from(scale.value), rate);
            }
        }
        if !gradients.is_empty() {
            *self = self.clone().with_scales();
        }
    }

    fn with_scales(self) -> Self {
        let plan = self.plan.with_scales(values(&self.scales));
        Self { plan, ..self }
    }
}

/// The scales alone.
pub(crate) fn values(scales: &WeightScales) -> BTreeMap<String, Vec<f32>> {
    let scales = scales.iter();
    scales
        .map(|(path, scales)| {
            let values = scales.iter().map(|scale| scale.value).collect();
            (path.clone(), values)
        })
        .collect()
}
