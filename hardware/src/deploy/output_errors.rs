//! How far the outputs of layers with other weights are from those of the layers as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use burn::module::Module;

use super::network_weights::{in_matrices, stored};
use super::post_training::watch;
use crate::HardwareError;

/// For the weights at `paths` the sum of the squares of what the outputs of their layer change where `changed` has other weights than
/// `network`, over the inputs that the layer of `network` has in `run`:
///
/// ```text
/// error = sum over inputs x of |(W' - W) x|²
/// ```
///
/// A layer that `run` does not use, or that is not called through [`crate::layer`], has none.
///
/// ```
/// use burn::module::Param;
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::deploy::output_errors;
/// use crossburn_hardware::layer::linear;
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(2, 1).init(&device);
/// let mut changed = layer.clone();
/// changed.weight = Param::from_tensor(layer.weight.val() + Tensor::from_data([[0.5], [0.0]], &device));
/// let errors = output_errors(&layer, &changed, &["weight".to_string()].into(), |layer| {
///     linear(layer, Tensor::<2>::from_data([[1.0, 7.0], [3.0, 9.0]], &device));
/// })?;
/// // (0.5 · 1)² + (0.5 · 3)²
/// assert!((errors["weight"] - 2.5).abs() < 1e-5);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
///
/// # Errors
/// [`HardwareError`] for weights of other shapes.
pub fn output_errors<M: Module>(
    network: &M,
    changed: &M,
    paths: &BTreeSet<String>,
    run: impl Fn(&M),
) -> Result<BTreeMap<String, f64>, HardwareError> {
    let network = network.valid().materialize();
    let moments = watch(&network, paths, str::to_string, &run);
    let before = stored(&network, paths);
    let after = stored(&changed.valid().materialize(), paths);
    let mut errors = BTreeMap::new();
    for (path, moments) in &moments {
        let moments = moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(before), Some(after)) = (before.get(path), after.get(path)) else {
            continue;
        };
        let groups = moments.len();
        if groups == 0 {
            continue;
        }
        let before = in_matrices(&before.values, &before.shape, groups)?;
        let after = in_matrices(&after.values, &after.shape, groups)?;
        let mut error = 0.0;
        for ((before, after), moments) in before.iter().zip(&after).zip(moments.iter()) {
            let inputs = before.inputs.max(1);
            let rows = before.values.chunks(inputs);
            for (before, after) in rows.zip(after.values.chunks(inputs)) {
                let both = before.iter().zip(after);
                let change: Vec<f64> = both
                    .map(|(before, after)| f64::from(*after) - f64::from(*before))
                    .collect();
                error += moments.squared_outputs(&change);
            }
        }
        errors.insert(path.clone(), error);
    }
    Ok(errors)
}
