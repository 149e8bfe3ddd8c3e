//! Given deviations of any Burn module.

use std::collections::BTreeMap;

use burn::module::{Module, Param, Reparameterizer};
use burn::tensor::Tensor;

use crate::{Deviation, NoiseError, matrix_weights, shared_weights};

/// The deviation of every entry of some weights, by path, in row-major order.
pub type Deviations = BTreeMap<String, Vec<f32>>;

/// `module` as a plain module whose weights at the paths of `deviations` are `weight + deviation`.
///
/// The weights are those that the layers compute with: reparameterizations are folded in before the deviation is added. A
/// weight that two layers share deviates under both paths, whichever path is named.
///
/// # Errors
/// [`NoiseError::OtherWeights`] where a path or a number of entries is not the module's, [`NoiseError::Shared`] for two
/// deviations of one weight.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_noise::worst_case::{Deviations, deviate};
///
/// let layer = LinearConfig::new(2, 1).init(&Device::flex());
/// let chip = deviate(layer.clone(), &Deviations::from([("weight".to_string(), vec![0.5, -0.5])]))?;
/// let moved = (chip.weight.val() - layer.weight.val()).into_data().try_to_vec::<f32>().unwrap();
/// assert!((moved[0] - 0.5).abs() < 1e-6 && (moved[1] + 0.5).abs() < 1e-6);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
pub fn deviate<M: Module>(module: M, deviations: &Deviations) -> Result<M, NoiseError> {
    let module = module.materialize();
    let mut given = Given {
        left: deviations.iter().collect(),
        error: None,
    };
    let shared = every_path(&module, deviations);
    for (path, other) in &shared {
        match (deviations.get(path), deviations.get(other)) {
            (Some(one), Some(another)) if one != another => {
                return Err(NoiseError::Shared {
                    path: other.clone(),
                    other: path.clone(),
                });
            }
            (Some(one), None) => {
                given.left.insert(other, one);
            }
            (None, Some(one)) => {
                given.left.insert(path, one);
            }
            _ => {}
        }
    }
    let deviated = module.apply_reparameterization(&mut given).materialize();
    match (given.error, given.left.first_key_value()) {
        (Some(error), _) => Err(error),
        (None, Some((path, deviation))) => Err(NoiseError::OtherWeights {
            path: (*path).clone(),
            expected: 0,
            found: deviation.len(),
        }),
        (None, None) => Ok(deviated),
    }
}

/// The paths of the weights that share one of `deviations`: see [`shared_weights`].
fn every_path<M: Module>(module: &M, deviations: &Deviations) -> BTreeMap<String, String> {
    let mut paths = matrix_weights(module);
    paths.extend(deviations.keys().cloned());
    shared_weights(module, &paths)
}

struct Given<'a> {
    left: BTreeMap<&'a String, &'a Vec<f32>>,
    error: Option<NoiseError>,
}

impl Reparameterizer for &mut Given<'_> {
    type Reparam = Deviation;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Deviation>) {
        let Some(deviation) = self.left.remove(&path.to_string()) else {
            return (param, None);
        };
        let base = param.base();
        let expected = base.shape().num_elements();
        if deviation.len() != expected {
            self.error = Some(NoiseError::OtherWeights {
                path: path.to_string(),
                expected,
                found: deviation.len(),
            });
            return (param, None);
        }
        let deviation = Deviation::from_values(deviation.clone(), &base.device());
        (param, Some(deviation))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::inject::learned_adapter;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    #[test]
    fn a_deviation_is_added_and_one_that_does_not_fit_is_refused() {
        let layer: Linear = LinearConfig::new(3, 2).init(&Device::flex());
        let values = |layer: &Linear| layer.weight.val().into_data().try_to_vec::<f32>().unwrap();
        let one = |path: &str, count| Deviations::from([(path.to_string(), vec![0.25; count])]);
        let moved = deviate(layer.clone(), &one("weight", 6)).unwrap();
        let expected: Vec<f32> = values(&layer).iter().map(|w| w + 0.25).collect();
        assert_eq!(values(&moved), expected);
        assert_eq!(moved.num_params(), layer.num_params());
        for (deviations, message) in [
            (
                one("weight", 5),
                "the deviation of `weight` has 5 entries, the weight has 6: give one deviation per weight",
            ),
            (
                one("fc.weight", 6),
                "the deviation of `fc.weight` has 6 entries, the weight has 0: give one deviation per weight",
            ),
        ] {
            let error = deviate(layer.clone(), &deviations).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_deviation_is_added_to_what_the_layer_computes_with() {
        let layer: Linear = LinearConfig::new(3, 2).init(&Device::flex());
        let values = |layer: &Linear| layer.weight.val().into_data().try_to_vec::<f32>().unwrap();
        let plain = values(&layer);
        let adapted = learned_adapter(layer);
        assert_ne!(values(&adapted), plain);
        let given = Deviations::from([("weight".to_string(), vec![0.25; 6])]);
        let moved = deviate(adapted.clone(), &given).unwrap();
        let expected: Vec<f32> = values(&adapted).iter().map(|w| w + 0.25).collect();
        assert_eq!(values(&moved), expected);
    }

    #[test]
    fn a_shared_weight_deviates_under_both_paths() {
        let layer: Linear = LinearConfig::new(3, 2).init(&Device::flex());
        let values = |layer: &Linear| layer.weight.val().into_data().try_to_vec::<f32>().unwrap();
        let tied = vec![layer.clone(), layer];
        let expected: Vec<f32> = values(&tied[0]).iter().map(|w| w + 0.25).collect();
        let one = |path: &str, by: f32| (path.to_string(), vec![by; 6]);
        for given in [
            vec![one("0.weight", 0.25)],
            vec![one("1.weight", 0.25)],
            vec![one("0.weight", 0.25), one("1.weight", 0.25)],
        ] {
            let moved = deviate(tied.clone(), &given.into_iter().collect()).unwrap();
            assert!(moved.iter().all(|layer| values(layer) == expected));
        }
        let given = [one("0.weight", 0.25), one("1.weight", 0.5)];
        let error = deviate(tied, &given.into_iter().collect()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`0.weight` and `1.weight` are one weight, and their deviations differ: give one of them, or the same for both"
        );
    }
}
