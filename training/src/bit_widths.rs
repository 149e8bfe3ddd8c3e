//! A width for every layer: its size, its effect on the loss, and the choice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crossburn_hardware::accelerator::Sparsity;
use crossburn_hardware::{Quantization, WeightBits, WeightPlan, programmed};
use crossburn_models::Network;
use crossburn_noise::{PathPattern, host_weights_at, matrix_weights, over_cores, weight_order};
use serde::{Deserialize, Serialize};

use crate::task::{Batch, Learn};
use crate::{Batches, TrainingError};

/// A layer with the widths that it may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerWidths {
    /// Path of its weight.
    pub path: String,
    /// Its weights.
    pub weights: usize,
    /// Those of them that were not pruned.
    pub kept: usize,
    /// Its widths, from the widest.
    pub options: Vec<WidthOption>,
}

/// A width that a layer may have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WidthOption {
    /// The width.
    pub bits: WeightBits,
    /// Bits that the weights take in the memory of an accelerator, with the index of those that remain: see [`Sparsity::stored`].
    pub size: u64,
    /// Rise of the loss if only this layer has this width; negative if the loss falls.
    pub rise: f64,
}

/// What limits a choice of widths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WidthBudget {
    /// Bits of all weights: among the choices of at most this size the one with the smallest rise of the loss.
    Size(u64),
    /// The sum of the rises of all layers: among the choices up to it the smallest one.
    Rise(f64),
}

/// The loss of `network` in full precision on the items of `batches`, and for every matrix weight and each of `widths` by how much it
/// rises where that weight alone is quantized, by `quantization`. The weights are pruned as `plan` says.
///
/// Layers come in the order of the network. The first and the last have no width below [`LEAST_AT_ENDS`]. `None` where `stop` is set meanwhile.
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_hardware::{Quantization, WeightBits, WeightPlan};
/// use crossburn_models::LeNetConfig;
/// use crossburn_training::data::digits;
/// use crossburn_training::{Batches, Classification, bit_sensitivities};
/// use std::sync::atomic::AtomicBool;
///
/// let device = Device::flex();
/// let batches = Batches::new(&Classification::new(digits(1, 0, 8)), 8, &device)?;
/// let widths = [WeightBits::new(8)?, WeightBits::new(2)?];
/// let (network, stop) = (LeNetConfig::default().init(&device), AtomicBool::new(false));
/// let found =
///     bit_sensitivities(&network, &WeightPlan::default(), &widths, Quantization::from, &batches, &stop)?;
/// let (_, layers) = found.unwrap();
/// assert_eq!((layers[0].path.as_str(), layers[0].options.len()), ("conv1.weight", 1));
/// assert_eq!(layers[1].options.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TrainingError::Setting`] for a layer that no width is left for, those of [`Learn::judge`], and [`TrainingError::Device`].
pub fn bit_sensitivities<N: Network, T: Learn<N>>(
    network: &N,
    plan: &WeightPlan,
    widths: &[WeightBits],
    quantization: impl Fn(WeightBits) -> Quantization + Sync,
    batches: &Batches<T>,
    stop: &AtomicBool,
) -> Result<Option<(f64, Vec<LayerWidths>)>, TrainingError> {
    let everything = PathPattern::new("*");
    let plan = plan.clone().with_quantization(everything, None);
    let pruned = programmed(network, &plan);
    let mut selected = matrix_weights(&pruned);
    selected.extend(plan.placement().on_arrays(&pruned));
    let remaining = plan.remaining(network);
    let weights = host_weights_at(&pruned, &selected);
    let order = weight_order(&pruned, &selected);
    let mut widths = widths.to_vec();
    widths.sort_by_key(|bits| std::cmp::Reverse(bits.get()));
    widths.dedup();
    let base = mean_loss(&pruned, batches)?;
    let last = order.len().saturating_sub(1);
    let mut layers: Vec<LayerWidths> = Vec::new();
    for (at, path) in order.into_iter().enumerate() {
        let weights = weights[&path].values.len();
        let kept = remaining.get(&path).map_or(weights, |(kept, _)| *kept);
        let pruning = plan.pruning(&path);
        let sparsity = pruning.map_or(Sparsity::Dense, |pattern| pattern.sparsity());
        let allowed = widths
            .iter()
            .filter(|bits| (at != 0 && at != last) || bits.get() >= LEAST_AT_ENDS);
        let options: Vec<WidthOption> = allowed
            .map(|bits| WidthOption {
                bits: *bits,
                size: sparsity.stored(weights, kept, bits.get()).1,
                rise: 0.0,
            })
            .collect();
        if options.is_empty() {
            return Err(TrainingError::setting(
                "bits",
                path,
                "a width of 4 or more among those to choose from: the first and the last layer need it",
            ));
        }
        layers.push(LayerWidths {
            path,
            weights,
            kept,
            options,
        });
    }
    let rises = |layer: &LayerWidths| -> Result<Vec<f64>, TrainingError> {
        let mut rises = Vec::new();
        for option in &layer.options {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let path = PathPattern::new(layer.path.as_str());
            let alone = plan
                .clone()
                .with_quantization(path, Some(quantization(option.bits)));
            rises.push(mean_loss(&programmed(network, &alone), batches)? - base);
        }
        Ok(rises)
    };
    // An error is a result of its layer here, so that of several the first one is told, whatever thread met it.
    let numbers = 0..layers.len() as u64;
    let measured = over_cores(numbers, &|number| {
        Ok::<_, TrainingError>(rises(&layers[number as usize]))
    })?;
    for (layer, rises) in layers.iter_mut().zip(measured) {
        for (option, rise) in layer.options.iter_mut().zip(rises?) {
            option.rise = rise;
        }
    }
    Ok((!stop.load(Ordering::SeqCst)).then_some((base, layers)))
}

/// The mean loss of `network` over the items of `batches`.
///
/// # Errors
/// Those of [`Learn::judge`] for outputs that are no numbers.
pub fn mean_loss<N: Network, T: Learn<N>>(
    network: &N,
    batches: &Batches<T>,
) -> Result<f64, TrainingError> {
    let task = batches.task();
    let (mut sum, mut weight, mut seen) = (0.0, 0, 0);
    for batch in batches.iter() {
        let batch = batch?;
        let output = task.forward(network, &batch);
        let mut tally = [T::Tally::default()];
        let judged = task.judge(output.clone(), &batch, &mut tally);
        judged.map_err(|error| error.at_item(seen))?;
        let loss: f32 = task.loss(output, &batch).into_scalar();
        sum += f64::from(loss) * batch.weight() as f64;
        weight += batch.weight();
        seen += batch.items();
    }
    match sum.is_finite() && weight > 0 {
        true => Ok(sum / weight as f64),
        false => Err(TrainingError::setting(
            "the mean loss",
            sum / weight as f64,
            "validation items, and weights whose loss on them is a finite number",
        )),
    }
}

/// A choice of one option per layer on the way through the layers.
#[derive(Clone, Copy, Debug)]
struct Part {
    size: u64,
    rise: f64,
    /// The part that it continues, among those of the layer before.
    before: usize,
    option: usize,
}

/// Parts of choices that are held of one layer; the choice is the best of all where no layer has more.
const HELD: usize = 1 << 16;

/// Fewest bits of the first and the last layer, where networks suffer most.
pub const LEAST_AT_ENDS: u8 = 4;

/// The best choice of one option per layer within `budget`, as positions in [`LayerWidths::options`]; `None` where the budget is too
/// small for any.
///
/// ```text
/// Size(B):  min Σ rise   with Σ size <= B            Rise(B):  min Σ size   with Σ rise <= B
/// ```
///
/// Rises add up, and one below zero counts as zero. Dynamic programming over layers: of the choices for the layers so far, those are
/// continued that no other one beats in size and rise. Where a layer has more than 65,536 such choices, every other one is dropped. The
/// result is within the budget then, too, but may miss the best; the error adds up over layers.
///
/// ```
/// use crossburn_hardware::WeightBits;
/// use crossburn_training::{LayerWidths, WidthBudget, WidthOption, choose_widths};
///
/// let option = |bits, size, rise| WidthOption { bits, size, rise };
/// let (eight, two) = (WeightBits::new(8)?, WeightBits::new(2)?);
/// let layer = |options| LayerWidths { path: "fc.weight".into(), weights: 100, kept: 100, options };
/// let layers = [
///     layer(vec![option(eight, 800, 0.0), option(two, 200, 0.3)]),
///     layer(vec![option(eight, 80, 0.0), option(two, 20, 0.1)]),
/// ];
/// assert_eq!(choose_widths(&layers, WidthBudget::Rise(0.2)), Some(vec![0, 1]));
/// assert_eq!(choose_widths(&layers, WidthBudget::Size(300)), Some(vec![1, 0]));
/// assert_eq!(choose_widths(&layers, WidthBudget::Size(200)), None);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
pub fn choose_widths(layers: &[LayerWidths], budget: WidthBudget) -> Option<Vec<usize>> {
    choose_among(layers, budget, HELD)
}

/// [`choose_widths`] with `most` parts of choices that are held of one layer.
fn choose_among(layers: &[LayerWidths], budget: WidthBudget, most: usize) -> Option<Vec<usize>> {
    let within = |part: &Part| match budget {
        WidthBudget::Size(limit) => part.size <= limit,
        WidthBudget::Rise(limit) => part.rise <= limit,
    };
    let start = Part {
        size: 0,
        rise: 0.0,
        before: 0,
        option: 0,
    };
    let mut fronts = vec![vec![start]];
    for layer in layers {
        let held = fronts.last().map_or(&[][..], Vec::as_slice);
        let longer = held.iter().enumerate().flat_map(|(before, part)| {
            layer
                .options
                .iter()
                .enumerate()
                .map(move |(option, of)| Part {
                    size: part.size + of.size,
                    rise: part.rise + of.rise.max(0.0),
                    before,
                    option,
                })
        });
        let mut longer: Vec<Part> = longer.filter(within).collect();
        // The sort is stable, so that of equals the first option holds.
        longer.sort_by(|a, b| a.size.cmp(&b.size).then(a.rise.total_cmp(&b.rise)));
        let mut front: Vec<Part> = Vec::new();
        for part in longer {
            if front.last().is_none_or(|last| part.rise < last.rise) {
                front.push(part);
            }
        }
        while front.len() > most {
            // The last, which has the smallest rise, stays as the first does.
            let ends = front.len() - 1;
            let mut at = 0;
            front.retain(|_| {
                at += 1;
                (at - 1) % 2 == 0 || at - 1 == ends
            });
        }
        fronts.push(front);
    }
    let last = fronts.last()?;
    let mut at = match budget {
        WidthBudget::Size(_) => last.len().checked_sub(1)?,
        WidthBudget::Rise(_) => {
            last.first()?;
            0
        }
    };
    let mut chosen = Vec::with_capacity(layers.len());
    for front in fronts.iter().skip(1).rev() {
        chosen.push(front[at].option);
        at = front[at].before;
    }
    chosen.reverse();
    Some(chosen)
}

/// The widths that `chosen` says, by path.
pub fn chosen_widths(layers: &[LayerWidths], chosen: &[usize]) -> BTreeMap<String, WeightBits> {
    let pairs = layers.iter().zip(chosen);
    pairs
        .map(|(layer, option)| (layer.path.clone(), layer.options[*option].bits))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::digits;
    use crate::testing::classes;
    use burn::tensor::Device;
    use crossburn_models::{Classifier, MlpConfig, initialize};
    use proptest::prelude::*;

    fn bits(bits: u8) -> WeightBits {
        WeightBits::new(bits).unwrap()
    }

    fn layer(options: &[(u64, u32)]) -> LayerWidths {
        let widths = [8, 4, 2, 1];
        LayerWidths {
            path: String::new(),
            weights: 1,
            kept: 1,
            options: options
                .iter()
                .zip(widths)
                .map(|((size, rise), width)| WidthOption {
                    bits: bits(width),
                    size: *size,
                    // Sums of quarters are exact.
                    rise: f64::from(*rise) / 4.0,
                })
                .collect(),
        }
    }

    fn totals(layers: &[LayerWidths], chosen: &[usize]) -> (u64, f64) {
        let options = layers
            .iter()
            .zip(chosen)
            .map(|(layer, at)| &layer.options[*at]);
        options.fold((0, 0.0), |(size, rise), option| {
            (size + option.size, rise + option.rise)
        })
    }

    /// Every choice there is.
    fn all(layers: &[LayerWidths]) -> Vec<Vec<usize>> {
        layers.iter().fold(vec![Vec::new()], |choices, layer| {
            let longer = choices.into_iter().flat_map(|choice| {
                (0..layer.options.len()).map(move |option| [choice.as_slice(), &[option]].concat())
            });
            longer.collect()
        })
    }

    proptest! {
        #[test]
        fn no_choice_is_better(
            options in prop::collection::vec(prop::collection::vec((0u64..60, 0u32..40), 1..5), 1..6),
            size in 0u64..200, quarters in 0u32..120,
        ) {
            let layers: Vec<LayerWidths> = options.iter().map(|options| layer(options)).collect();
            let every: Vec<(u64, f64)> = all(&layers).iter().map(|choice| totals(&layers, choice)).collect();
            let least = every.iter().filter(|(of, _)| *of <= size).map(|(_, rise)| *rise);
            let least = least.min_by(f64::total_cmp);
            let found = choose_widths(&layers, WidthBudget::Size(size)).map(|chosen| totals(&layers, &chosen));
            prop_assert_eq!(found.map(|(_, rise)| rise), least);
            prop_assert!(found.is_none_or(|(of, _)| of <= size));
            let budget = f64::from(quarters) / 4.0;
            let smallest = every.iter().filter(|(_, rise)| *rise <= budget).map(|(size, _)| *size).min();
            let found = choose_widths(&layers, WidthBudget::Rise(budget)).map(|chosen| totals(&layers, &chosen));
            prop_assert_eq!(found.map(|(size, _)| size), smallest);
            prop_assert!(found.is_none_or(|(_, rise)| rise <= budget));
        }
    }

    proptest! {
        /// Where few parts are held, the choice keeps its budget, and is no better than the best.
        #[test]
        fn a_choice_of_few_parts_keeps_its_budget(
            options in prop::collection::vec(prop::collection::vec((0u64..60, 0u32..40), 1..5), 1..6),
            size in 0u64..200,
        ) {
            let layers: Vec<LayerWidths> = options.iter().map(|options| layer(options)).collect();
            let every = all(&layers).into_iter().map(|choice| totals(&layers, &choice));
            let least = every.filter(|(of, _)| *of <= size).map(|(_, rise)| rise).min_by(f64::total_cmp);
            let found = choose_among(&layers, WidthBudget::Size(size), 4).map(|chosen| totals(&layers, &chosen));
            // The smallest choice is always held.
            prop_assert_eq!(found.is_some(), least.is_some());
            if let (Some((of, rise)), Some(least)) = (found, least) {
                prop_assert!(of <= size && rise >= least);
            }
        }
    }

    #[test]
    fn a_stop_ends_the_measurement() {
        let device = Device::flex();
        let config = MlpConfig {
            widths: vec![784, 4, 10],
            bits: None,
        };
        let task = classes(&digits(1, 0, 4));
        let batches = Batches::new(&task, 4, &device).unwrap();
        let (plan, stop) = (WeightPlan::default(), AtomicBool::new(true));
        let network = initialize(config.init(&device), 3);
        let found = bit_sensitivities(
            &network,
            &plan,
            &[bits(8)],
            Quantization::from,
            &batches,
            &stop,
        );
        assert!(found.unwrap().is_none());
    }

    #[test]
    fn a_fall_of_the_loss_counts_as_none() {
        let mut layers = [layer(&[(10, 0), (5, 2)]), layer(&[(10, 0), (5, 1)])];
        layers[0].options[0].rise = -9.0;
        assert_eq!(
            choose_widths(&layers, WidthBudget::Rise(0.0)),
            Some(vec![0, 0])
        );
        assert_eq!(
            choose_widths(&layers, WidthBudget::Rise(0.25)),
            Some(vec![0, 1])
        );
        assert_eq!(choose_widths(&[], WidthBudget::Size(0)), Some(Vec::new()));
    }

    /// The rise of one layer is the loss with that layer quantized less the loss without, computed here without plans.
    #[test]
    fn one_layer_at_a_time_is_quantized() {
        let device = Device::flex();
        let config = MlpConfig {
            widths: vec![784, 12, 9, 10],
            bits: None,
        };
        let network = initialize(config.init(&device), 3);
        let set = digits(1, 0, 40);
        let task = classes(&set);
        let batches = Batches::new(&task, 16, &device).unwrap();
        let widths = [bits(4), bits(8), bits(1)];
        let (base, layers) = bit_sensitivities(
            &network,
            &WeightPlan::from(bits(3)),
            &widths,
            Quantization::from,
            &batches,
            &AtomicBool::new(false),
        )
        .unwrap()
        .unwrap();
        let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
        assert_eq!(
            paths,
            ["layers.0.weight", "layers.1.weight", "layers.2.weight"]
        );
        let offered: Vec<Vec<u8>> = layers
            .iter()
            .map(|layer| {
                layer
                    .options
                    .iter()
                    .map(|option| option.bits.get())
                    .collect()
            })
            .collect();
        assert_eq!(offered, [vec![8, 4], vec![8, 4, 1], vec![8, 4]]);
        let all: Vec<usize> = (0..40).collect();
        let loss = |network: &crossburn_models::Mlp| -> f64 {
            let logits: Vec<f32> = network
                .forward(set.inputs(&all, &device))
                .into_data()
                .try_to_vec()
                .unwrap();
            let each = logits.chunks(10).zip(&set.labels).map(|(logits, label)| {
                let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
                sum.ln() - f64::from(logits[usize::from(*label)])
            });
            each.sum::<f64>() / 40.0
        };
        assert!((base - loss(&network)).abs() < 1e-5);
        let selected = ["layers.1.weight".to_string()].into();
        let signs = crossburn_noise::change_host_weights(network, &selected, |values, _| {
            let mean = values.iter().map(|w| w.abs()).sum::<f32>() / values.len() as f32;
            values
                .iter_mut()
                .for_each(|w| *w = if *w < 0.0 { -mean } else { mean });
        });
        let rise = layers[1].options[2].rise;
        assert!((rise - (loss(&signs) - base)).abs() < 1e-5, "{rise}");
        assert_eq!(layers[1].options[2].size, 12 * 9);
    }
}
