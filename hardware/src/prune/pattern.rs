//! How many weights remain, and in which groups they are counted.

use std::fmt;
use std::str::FromStr;

use crossburn_noise::WeightShape;
use serde::{Deserialize, Serialize};

use crate::HardwareError;
use crate::accelerator::{Sparsity, kept_of_group};

/// Which weights of a layer remain: those with the largest magnitudes, counted in groups or over the whole layer.
///
/// As a text: `2:4`, or `unstructured:0.5`.
///
/// ```
/// use crossburn_hardware::prune::PruningPattern;
///
/// let pattern: PruningPattern = "2:4".parse()?;
/// // One output of a convolution with one input and six taps: a group of four, and a rest of two of which one remains.
/// let kept = pattern.kept(&[0.1, -0.4, 0.3, 0.2, 0.5, -0.6], &[1, 1, 6]);
/// assert_eq!(kept, [false, true, true, false, false, true]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
///
/// # Source
/// N:M groups along the reduction axis: Mishra et al., "Accelerating sparse deep neural networks", 2021 (arXiv 2104.08378), section 3;
/// magnitude as the criterion: Han et al., NeurIPS 2015.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PruningPattern {
    /// In each group of `of` consecutive weights of one output channel, along its inputs and their taps, `keep` remain. A last group of
    /// fewer weights keeps the same share, rounded up.
    Balanced {
        /// Weights of a group that remain, from 1 to `of`.
        keep: usize,
        /// Weights of a group.
        of: usize,
    },
    /// This share of the weights of a layer remains, rounded up, wherever they are.
    Unstructured {
        /// Above 0, at most 1.
        density: f64,
    },
}

impl PruningPattern {
    /// The sparsity that an accelerator in integers sees: groups, if it knows their size, and otherwise unstructured.
    pub fn sparsity(&self) -> Sparsity {
        match *self {
            Self::Balanced { keep, of } if (2..=Sparsity::LARGEST_GROUP).contains(&of) => {
                Sparsity::Balanced {
                    kept: keep,
                    group: of,
                }
            }
            Self::Balanced { .. } | Self::Unstructured { .. } => Sparsity::Unstructured,
        }
    }

    /// The same with at least `density` of the weights remaining: on the way to this pattern. Groups keep their size.
    #[must_use]
    pub fn at_density(&self, density: f64) -> Self {
        match *self {
            Self::Balanced { keep, of } => Self::Balanced {
                // 0.75 · 4 is 3 and not the next number, whatever the rounding of the product.
                keep: ((density * of as f64 - 1e-9).ceil() as usize).clamp(keep, of),
                of,
            },
            Self::Unstructured { density: last } => Self::Unstructured {
                density: density.clamp(last, 1.0),
            },
        }
    }

    /// Which of `weights`, in row-major order, remain. Of equal magnitudes the first remains. What is zero already does not remain, so
    /// that the weights that a pruning has left say by themselves which they are. A value that is no number counts as the largest.
    pub fn kept(&self, weights: &[f32], shape: impl Into<WeightShape>) -> Vec<bool> {
        let mut kept = vec![false; weights.len()];
        match *self {
            Self::Balanced { keep, of } => {
                let outputs = shape.into().outputs();
                let mut channels: Vec<Vec<usize>> = vec![Vec::new(); outputs.count()];
                for index in 0..weights.len() {
                    channels[outputs.of(index)].push(index);
                }
                for group in channels
                    .iter_mut()
                    .flat_map(|channel| channel.chunks_mut(of))
                {
                    let remain = kept_of_group(keep, of, group.len());
                    keep_largest(&mut kept, group, remain, weights);
                }
            }
            Self::Unstructured { density } => {
                let remain = (density * weights.len() as f64 - 1e-9).ceil() as usize;
                let mut all: Vec<usize> = (0..weights.len()).collect();
                keep_largest(&mut kept, &mut all, remain, weights);
            }
        }
        kept
    }
}

/// Keeps the `remain` largest of the weights at `group`, which are in their order.
fn keep_largest(kept: &mut [bool], group: &mut [usize], remain: usize, weights: &[f32]) {
    // The total order puts NaN above every number.
    let order = |a: &usize, b: &usize| {
        let by_size = weights[*b].abs().total_cmp(&weights[*a].abs());
        by_size.then(a.cmp(b))
    };
    if remain < group.len() {
        if remain == 0 {
            return;
        }
        group.select_nth_unstable_by(remain - 1, order);
    }
    for index in group.iter().take(remain) {
        kept[*index] = weights[*index] != 0.0;
    }
}

impl fmt::Display for PruningPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced { keep, of } => write!(f, "{keep}:{of}"),
            Self::Unstructured { density } => write!(f, "unstructured:{density}"),
        }
    }
}

impl From<PruningPattern> for String {
    fn from(pattern: PruningPattern) -> String {
        pattern.to_string()
    }
}

impl FromStr for PruningPattern {
    type Err = HardwareError;

    fn from_str(text: &str) -> Result<Self, HardwareError> {
        let refused = || {
            HardwareError::limit(
                "pattern",
                text,
                "N:M with 1 <= N <= M, and unstructured:DENSITY with a density above 0 and up to 1",
                "use 2:4, 8:16 or unstructured:0.5",
            )
        };
        let (first, second) = text.split_once(':').ok_or_else(refused)?;
        if first == "unstructured" {
            let density: f64 = second.parse().map_err(|_| refused())?;
            return match density > 0.0 && density <= 1.0 {
                true => Ok(Self::Unstructured { density }),
                false => Err(refused()),
            };
        }
        let number = |text: &str| text.parse::<usize>().map_err(|_| refused());
        let (keep, of) = (number(first)?, number(second)?);
        // Larger groups than any layer fills are refused: the rule for the last group would decide alone.
        match keep >= 1 && keep <= of && of <= 1 << 16 {
            true => Ok(Self::Balanced { keep, of }),
            false => Err(refused()),
        }
    }
}

impl TryFrom<String> for PruningPattern {
    type Error = HardwareError;

    fn try_from(text: String) -> Result<Self, HardwareError> {
        text.parse()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_noise::{Philox, WeightLayout};
    use proptest::prelude::*;

    fn pattern(text: &str) -> PruningPattern {
        text.parse().unwrap()
    }

    fn normals(count: usize, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Philox::new(seed, 0).fill_normal(&mut values);
        values
    }

    /// By hand: a linear layer of five inputs and two outputs, whose columns are the channels.
    #[test]
    fn a_linear_layer_counts_along_its_inputs() {
        let weights = [1.0, 0.1, -2.0, 0.2, 0.5, -0.3, 3.0, 0.4, 0.7, 0.5f32];
        let kept = pattern("2:4").kept(&weights, &[5, 2]);
        // First column 1, -2, 0.5, 3 | 0.7; second 0.1, 0.2, -0.3, 0.4 | 0.5.
        let by_hand = [
            [false, false],
            [true, false],
            [false, true],
            [true, true],
            [true, true],
        ];
        assert_eq!(kept, by_hand.concat());
    }

    #[test]
    fn equals_keep_the_first_and_zeros_do_not_remain() {
        assert_eq!(
            pattern("1:2").kept(&[0.5, -0.5, -0.5, 0.5], &[1, 4]),
            [true, true, true, true]
        );
        assert_eq!(
            pattern("1:2").kept(&[0.5, -0.5, -0.5, 0.5], &[1, 1, 4]),
            [true, false, true, false]
        );
        assert_eq!(
            pattern("2:4").kept(&[0.0, 0.3, 0.0, 0.0], &[1, 1, 4]),
            [false, true, false, false]
        );
        let broken = pattern("1:2").kept(&[f32::NAN, 9.0], &[1, 1, 2]);
        assert_eq!(broken, [true, false]);
    }

    proptest! {
        /// Against a search of its own for the shapes of every kind of layer: in each group exactly N remain, or the share of
        /// an incomplete one rounded up, and none that was pruned is larger than one that remains.
        #[test]
        fn every_group_keeps_its_number(
            a in 1usize..7, b in 1usize..7, taps in 1usize..6, kind in 0usize..4,
            (keep, of) in (1usize..9).prop_flat_map(|of| (1..=of, Just(of))), seed: u64,
        ) {
            let (dims, layout): (Vec<usize>, WeightLayout) = match kind {
                0 => (vec![a, b], WeightLayout::ByRank),
                1 => (vec![a, b, taps], WeightLayout::ByRank),
                2 => (vec![a, b, taps, 2], WeightLayout::Transposed { groups: 1 }),
                _ => (vec![2 * a, b, taps], WeightLayout::Transposed { groups: 2 }),
            };
            let shape = WeightShape::new(&dims, layout);
            let weights = normals(dims.iter().product(), seed);
            let pattern = PruningPattern::Balanced { keep, of };
            let kept = pattern.kept(&weights, &shape);
            let channel = |index: usize| -> (usize, usize) {
                let inner: usize = dims[2..].iter().product();
                match kind {
                    0 => (0, index % b),
                    1 => (0, index / (b * inner)),
                    2 => (0, index / inner % b),
                    _ => (index / (a * b * inner), index / inner % b),
                }
            };
            let mut channels = std::collections::BTreeMap::<_, Vec<usize>>::new();
            for index in 0..weights.len() {
                channels.entry(channel(index)).or_default().push(index);
            }
            for group in channels.values().flat_map(|channel| channel.chunks(of)) {
                let remaining = group.iter().filter(|index| kept[**index]).count();
                let expected = (1..=of).find(|n| n * of >= group.len() * keep).unwrap();
                prop_assert_eq!(remaining, expected);
                let sizes = |remains: bool| -> Vec<f32> {
                    let of_kind = group.iter().filter(|index| kept[**index] == remains);
                    of_kind.map(|index| weights[*index].abs()).collect()
                };
                let least = sizes(true).into_iter().fold(f32::INFINITY, f32::min);
                prop_assert!(sizes(false).iter().all(|size| *size <= least));
            }
            // What remains says by itself what remains.
            let pruned: Vec<f32> = weights.iter().zip(&kept).map(|(w, k)| if *k { *w } else { 0.0 }).collect();
            prop_assert_eq!(pattern.kept(&pruned, &shape), kept);
        }

        #[test]
        fn an_unstructured_share_is_that_of_the_layer(
            count in 1usize..80, hundredths in 1u32..=100, seed: u64,
        ) {
            let density = f64::from(hundredths) / 100.0;
            let weights = normals(count, seed);
            let kept = PruningPattern::Unstructured { density }.kept(&weights, &[1, 1, count]);
            let remaining = kept.iter().filter(|kept| **kept).count();
            prop_assert_eq!(remaining, (hundredths as usize * count).div_ceil(100));
            let mut sizes: Vec<f32> = weights.iter().map(|w| w.abs()).collect();
            sizes.sort_by(|a, b| b.total_cmp(a));
            let least = sizes[remaining - 1];
            for (weight, kept) in weights.iter().zip(&kept) {
                prop_assert_eq!(*kept, weight.abs() >= least);
            }
        }
    }

    #[test]
    fn groups_that_the_accelerator_does_not_know_are_unstructured() {
        let balanced = |kept, group| Sparsity::Balanced { kept, group };
        for (text, expected) in [
            ("2:4", balanced(2, 4)),
            ("1:256", balanced(1, 256)),
            ("1:257", Sparsity::Unstructured),
            ("1:1", Sparsity::Unstructured),
            ("unstructured:0.5", Sparsity::Unstructured),
        ] {
            assert_eq!(pattern(text).sparsity(), expected);
        }
    }

    #[test]
    fn the_way_to_a_pattern_passes_denser_ones() {
        let rows = [
            ("2:4", 0.75, "3:4"),
            ("2:4", 1.0, "4:4"),
            ("2:4", 0.1, "2:4"),
            ("8:16", 0.75, "12:16"),
            ("1:4", 0.6, "3:4"),
            ("unstructured:0.5", 0.75, "unstructured:0.75"),
            ("unstructured:0.5", 0.2, "unstructured:0.5"),
        ];
        for (text, density, expected) in rows {
            assert_eq!(pattern(text).at_density(density), pattern(expected));
        }
    }

    #[test]
    fn texts_are_read_and_written_and_bad_ones_refused() {
        for text in ["2:4", "8:16", "1:1", "unstructured:0.5"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        for text in [
            "",
            "2",
            "0:4",
            "5:4",
            "2:4:8",
            "a:4",
            "unstructured",
            "unstructured:0",
            "unstructured:1.5",
            "unstructured:nan",
            "1:100000",
        ] {
            let message = text.parse::<PruningPattern>().unwrap_err().to_string();
            assert!(
                message.contains("use 2:4, 8:16 or unstructured:0.5"),
                "{message}"
            );
        }
    }
}
