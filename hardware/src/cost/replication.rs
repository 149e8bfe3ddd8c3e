//! Copies of layers, so that a pipeline is not held up by the layers with many positions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LayerShape;
use crate::HardwareError;

/// How often each layer is on the chip. Copies share the positions of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Replication {
    /// Once. With braces, because serde would let unknown keys of a plain variant pass.
    None {},
    /// As given.
    Given {
        /// Copies per path; once for a layer that is not named.
        copies: BTreeMap<String, usize>,
    },
    /// So that the slowest layer is as fast as the arrays allow.
    Balanced {
        /// Arrays that all copies of all layers may take.
        arrays: usize,
    },
}

impl Default for Replication {
    fn default() -> Self {
        Self::None {}
    }
}

/// The properties of a layer that balancing needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Arrays of one copy.
    pub(super) arrays: u64,
    /// Time per position in seconds.
    pub(super) position: f64,
}

impl Replication {
    /// Copies of each layer.
    ///
    /// Balanced: while arrays are left, the slowest layer gets the copies that make it take fewer positions in a row.
    /// Whoever wants a faster pipeline has to speed up its slowest layer, so no other choice within the budget has a
    /// shorter longest stage.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`] for a path that no layer has; [`HardwareError::Limit`] for no copies, for more copies than
    /// positions, and for a budget below one copy of everything.
    pub(super) fn copies(
        &self,
        layers: &[LayerShape],
        stages: &[Stage],
    ) -> Result<Vec<usize>, HardwareError> {
        match self {
            Self::None {} => Ok(vec![1; layers.len()]),
            Self::Given { copies } => given(copies, layers),
            Self::Balanced { arrays } => balanced(*arrays as u64, layers, stages),
        }
    }
}

fn given(
    copies: &BTreeMap<String, usize>,
    layers: &[LayerShape],
) -> Result<Vec<usize>, HardwareError> {
    for (path, &count) in copies {
        let Some(layer) = layers.iter().find(|layer| layer.path == *path) else {
            let known: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
            return Err(HardwareError::Unknown {
                kind: "layer",
                name: path.clone(),
                known: known.join(", "),
            });
        };
        if count == 0 || count > layer.positions {
            return Err(HardwareError::limit(
                format_args!("cost.replication.copies of `{path}`"),
                count,
                format_args!("1..={}, the positions of the layer", layer.positions),
                "more copies than positions would idle",
            ));
        }
    }
    let of = |layer: &LayerShape| copies.get(&layer.path).copied().unwrap_or(1);
    Ok(layers.iter().map(of).collect())
}

fn balanced(
    budget: u64,
    layers: &[LayerShape],
    stages: &[Stage],
) -> Result<Vec<usize>, HardwareError> {
    let least: u64 = stages.iter().map(|stage| stage.arrays).sum();
    let Some(mut left) = budget.checked_sub(least) else {
        return Err(HardwareError::limit(
            "cost.replication.arrays",
            budget,
            format_args!("the numbers from {least} on, the arrays of one copy of every layer"),
            "raise the budget or leave replication out",
        ));
    };
    let mut copies = vec![1usize; layers.len()];
    let time = |index: usize, copies: &[usize]| {
        layers[index].positions.div_ceil(copies[index]) as f64 * stages[index].position
    };
    while let Some(slowest) =
        (0..layers.len()).max_by(|&a, &b| time(a, &copies).total_cmp(&time(b, &copies)))
    {
        let positions = layers[slowest].positions;
        let in_a_row = positions.div_ceil(copies[slowest]);
        if in_a_row == 1 {
            break;
        }
        let more = positions.div_ceil(in_a_row - 1);
        let price = (more - copies[slowest]) as u64 * stages[slowest].arrays;
        let Some(rest) = left.checked_sub(price) else {
            break;
        };
        left = rest;
        copies[slowest] = more;
    }
    Ok(copies)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layers(positions: &[usize]) -> Vec<LayerShape> {
        let layer = |(index, &positions)| LayerShape {
            positions,
            ..LayerShape::linear(format!("l{index}"), 1, 1)
        };
        positions.iter().enumerate().map(layer).collect()
    }

    fn stages(arrays: &[u64]) -> Vec<Stage> {
        let stage = |&arrays| Stage {
            arrays,
            position: 1.0,
        };
        arrays.iter().map(stage).collect()
    }

    #[test]
    fn early_layers_are_copied_first() {
        let layers = layers(&[100, 10, 1]);
        let stages = stages(&[1, 2, 4]);
        let copies = |arrays| {
            Replication::Balanced { arrays }
                .copies(&layers, &stages)
                .unwrap()
        };
        assert_eq!(copies(7), [1, 1, 1]);
        // Ten copies of the first layer meet the second at ten positions in a row.
        assert_eq!(copies(16), [10, 1, 1]);
        // 12 copies of the first, 9 in a row; one of the second still takes 10, two take 5 for two arrays more.
        assert_eq!(copies(20), [12, 2, 1]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let layers = layers(&[10, 1]);
        let stages = stages(&[3, 3]);
        let given = |path: &str, count| Replication::Given {
            copies: BTreeMap::from([(path.to_string(), count)]),
        };
        assert_eq!(given("l0", 4).copies(&layers, &stages).unwrap(), [4, 1]);
        assert_eq!(
            given("l2", 4)
                .copies(&layers, &stages)
                .unwrap_err()
                .to_string(),
            "there is no layer `l2`: use one of l0, l1"
        );
        for count in [0, 11] {
            assert!(given("l0", count).copies(&layers, &stages).is_err());
        }
        let small = Replication::Balanced { arrays: 5 };
        assert!(small.copies(&layers, &stages).is_err());
    }

    #[test]
    fn the_kinds_are_strict() {
        let balanced: Replication =
            serde_json::from_str(r#"{"kind":"balanced","arrays":9}"#).unwrap();
        assert_eq!(balanced, Replication::Balanced { arrays: 9 });
        for text in [
            r#"{"kind":"balanced"}"#,
            r#"{"kind":"balanced","arrays":9,"copies":{}}"#,
            r#"{"kind":"none","arrays":9}"#,
            r#"{"kind":"some"}"#,
        ] {
            assert!(serde_json::from_str::<Replication>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_choice_within_the_budget_has_a_shorter_longest_stage(
            positions in prop::collection::vec(1usize..7, 3), arrays in prop::collection::vec(1u64..4, 3),
            spare in 0u64..20,
        ) {
            let (layers, stages) = (layers(&positions), stages(&arrays));
            let budget = arrays.iter().sum::<u64>() + spare;
            let longest = |copies: &[usize]| {
                (0..3).map(|i| positions[i].div_ceil(copies[i])).max().unwrap()
            };
            let price = |copies: &[usize]| {
                copies.iter().zip(&arrays).map(|(&copies, arrays)| copies as u64 * arrays).sum::<u64>()
            };
            let chosen = Replication::Balanced { arrays: budget as usize }.copies(&layers, &stages).unwrap();
            prop_assert!(price(&chosen) <= budget);
            for a in 1..=positions[0] {
                for b in 1..=positions[1] {
                    for c in 1..=positions[2] {
                        if price(&[a, b, c]) <= budget {
                            prop_assert!(longest(&chosen) <= longest(&[a, b, c]));
                        }
                    }
                }
            }
        }
    }
}
