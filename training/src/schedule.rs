//! Learning-rate schedules, by epoch.

use serde::{Deserialize, Serialize};

/// How the learning rate moves; a pure function of the epoch, so a resumed run needs no state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same rate throughout. With braces, because serde would let unknown keys of a plain variant pass.
    Constant {},
    /// The rate is multiplied by `factor` from epoch `at` on (the papers: 0.1 at 60).
    Step {
        /// First epoch, from 1, with the lower rate.
        at: usize,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// Half a cosine from the full rate to zero over all epochs (Loshchilov and Hutter 2017, equation 5, no restart).
    Cosine {},
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl Schedule {
    /// The rate's factor in `epoch` (from 1) of `epochs`.
    pub fn factor(&self, epoch: usize, epochs: usize) -> f64 {
        match *self {
            Self::Constant {} => 1.0,
            Self::Step { at, factor } => {
                if epoch >= at {
                    factor
                } else {
                    1.0
                }
            }
            Self::Cosine {} => {
                0.5 * (1.0 + (std::f64::consts::PI * (epoch - 1) as f64 / epochs as f64).cos())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{AttackLoss, Method, OptimizerConfig};

    /// The choices of this crate that a recipe writes as a table with a kind.
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "read, and not looked at")]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        Schedule(Schedule),
        Method(Method),
        Optimizer(OptimizerConfig),
        Loss(AttackLoss),
    }

    #[test]
    fn keys_that_a_kind_does_not_have_are_refused() {
        let read = |text: String| toml::from_str::<BTreeMap<String, Choice>>(&text);
        for (choice, table, stranger) in [
            ("schedule", "kind = \"constant\"", "at = 3"),
            ("schedule", "kind = \"cosine\"", "at = 3"),
            (
                "schedule",
                "kind = \"step\", at = 3, factor = 0.1",
                "foo = 1",
            ),
            ("method", "kind = \"noise-injection\"", "strength = 0.1"),
            ("method", "kind = \"awp\", strength = 0.1", "foo = 1"),
            ("optimizer", "kind = \"adam\"", "momentum = 0.9"),
            (
                "optimizer",
                "kind = \"sgd\", learning_rate = 0.1",
                "foo = 1",
            ),
            ("loss", "kind = \"margin\", kappa = 1.0", "foo = 1"),
            ("loss", "kind = \"cross-entropy\"", "kappa = 1.0"),
        ] {
            read(format!("it.{choice} = {{ {table} }}")).unwrap();
            let strange = read(format!("it.{choice} = {{ {table}, {stranger} }}"));
            let message = strange.unwrap_err().to_string();
            assert!(message.contains("unknown field"), "{table}: {message}");
        }
    }

    #[test]
    fn factors_are_those_of_the_formulas() {
        assert_eq!(Schedule::Constant {}.factor(7, 10), 1.0);
        let step = Schedule::Step { at: 6, factor: 0.1 };
        assert_eq!((step.factor(5, 10), step.factor(6, 10)), (1.0, 0.1));
        let cosine: Vec<f64> = (1..=4)
            .map(|epoch| Schedule::Cosine {}.factor(epoch, 4))
            .collect();
        let expected = [
            1.0,
            0.5 + 0.5f64.sqrt() / 2.0,
            0.5,
            0.5 - 0.5f64.sqrt() / 2.0,
        ];
        for (got, want) in cosine.iter().zip(expected) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
    }
}
