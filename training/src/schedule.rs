//! Learning-rate schedules, by epoch.

use serde::{Deserialize, Serialize};

/// How the learning rate moves; a pure function of the epoch, so a resumed run needs no state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same rate throughout.
    #[default]
    Constant,
    /// The rate is multiplied by `factor` from epoch `at` on (the papers: 0.1 at 60).
    Step {
        /// First epoch, from 1, with the lower rate.
        at: usize,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// Half a cosine from the full rate to zero over all epochs (Loshchilov and Hutter 2017, equation 5, no restart).
    Cosine,
}

impl Schedule {
    /// The rate's factor in `epoch` (from 1) of `epochs`.
    pub fn factor(&self, epoch: usize, epochs: usize) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Step { at, factor } => {
                if epoch >= at {
                    factor
                } else {
                    1.0
                }
            }
            Self::Cosine => {
                0.5 * (1.0 + (std::f64::consts::PI * (epoch - 1) as f64 / epochs as f64).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_those_of_the_formulas() {
        assert_eq!(Schedule::Constant.factor(7, 10), 1.0);
        let step = Schedule::Step { at: 6, factor: 0.1 };
        assert_eq!((step.factor(5, 10), step.factor(6, 10)), (1.0, 0.1));
        let cosine: Vec<f64> = (1..=4)
            .map(|epoch| Schedule::Cosine.factor(epoch, 4))
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
