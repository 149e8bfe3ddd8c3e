//! How large the inputs of layers are on data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;

use super::network_weights::attach;
use crate::layer::OnArray;

/// The sums of the squares of the inputs that the layers of the weights at `paths` have in `run`, by path and channel. A layer that `run`
/// does not use, or that is not called through [`crate::layer`], has none.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::deploy::input_squares;
/// use crossburn_hardware::layer::linear;
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(2, 3).init(&device);
/// let sums = input_squares(&layer, &["weight".to_string()].into(), |layer| {
///     linear(layer, Tensor::<2>::from_data([[1.0, 2.0], [3.0, -4.0]], &device));
/// });
/// assert_eq!(sums["weight"], [10.0, 20.0]);
/// ```
pub fn input_squares<M: Module>(
    network: &M,
    paths: &BTreeSet<String>,
    run: impl FnOnce(&M),
) -> BTreeMap<String, Vec<f64>> {
    let (watched, sums) = watched(network, paths);
    run(&watched);
    sums.into_iter()
        .map(|(path, sums)| {
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            (path, std::mem::take(&mut *sums))
        })
        .filter(|(_, sums)| !sums.is_empty())
        .collect()
}

/// The sums of one layer, as it computes.
type Sums = Arc<Mutex<Vec<f64>>>;

/// `network`, whose layers add to the sums beside it.
fn watched<M: Module>(network: &M, paths: &BTreeSet<String>) -> (M, BTreeMap<String, Sums>) {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let watched = attach(network.valid().materialize(), |path| {
        paths.contains(path).then(|| {
            let own = sums.entry(path.to_string()).or_default();
            OnArray::squares(own.clone())
        })
    });
    (watched, sums)
}
