//! What a worst-case search lowers in place of the accuracy.

use std::fmt;
use std::str::FromStr;

use crossburn_models::Classifier;
use serde::{Deserialize, Serialize};

use super::Labelled;
use crate::TrainingError;
use crate::task::SurrogateList;
use crate::weight_gradients::values;

/// The surrogate loss of a search, which makes it small. All but [`Towards`](Self::Towards) fall where the right class loses
/// its lead; no single one is the strongest on every network.
///
/// Of one sample with logits `z`, probabilities `p` and the right class `y`, with `j` the largest of the other classes:
///
/// | loss | value | moves |
/// |---|---|---|
/// | margin | `max(z_y - z_j, -kappa)` | samples that are not yet wrong by `kappa` |
/// | cross-entropy | `ln p_y` | every sample, those that are wrong most of all |
/// | DLR | `(z_y - z_j) / (z_1st - z_3rd)` | every sample; the scale of the logits drops out |
/// | probability margin | `p_y - p_j` | samples near the border between right and wrong |
/// | towards `t` | `-ln p_t` where `y ≠ t`, 0 elsewhere | all samples to one class |
///
/// # Source
/// Margin: Carlini and Wagner, S&P 2017, f6 of section V, for weights in Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626). DLR:
/// Croce and Hein, ICML 2020 (arXiv 2003.01690), equation 6. Probability margin: arXiv 2411.15210.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AttackLoss {
    /// The lead of the right class down to `-kappa`.
    Margin {
        /// How wrong an sample is pushed before it is left alone.
        kappa: f64,
    },
    /// The negative cross-entropy: it goes on pushing samples that are wrong already.
    CrossEntropy {},
    /// The difference of logits ratio, for three classes or more.
    Dlr {},
    /// The lead of the right class in probabilities.
    ProbabilityMargin {},
    /// The cross-entropy of one class for all samples of the others: one deviation is shared by all samples, so that a
    /// common direction can be stronger than one direction per sample.
    Towards {
        /// The class.
        class: usize,
    },
}

impl Default for AttackLoss {
    fn default() -> Self {
        Self::Margin { kappa: 0.0 }
    }
}

/// Classes that all samples are pushed to, at most.
const TARGETS: usize = 10;

impl AttackLoss {
    /// Every loss for `network`, and those towards the classes that come closest to being mistaken for the right one of `batches`
    /// most often.
    ///
    /// # Errors
    /// [`TrainingError::Device`].
    pub(in crate::task) fn of<C: Classifier>(
        network: &C,
        batches: impl Iterator<Item = Result<Labelled, TrainingError>>,
    ) -> Result<SurrogateList<Self>, TrainingError> {
        let mut runners_up = Vec::new();
        for batch in batches {
            let batch = batch?;
            let logits = network.forward(batch.inputs);
            let classes = logits.dims()[1];
            runners_up.resize(classes, 0);
            for (row, label) in values(logits)?.chunks(classes).zip(&batch.labels) {
                runners_up[largest_beside(row, usize::from(*label))] += 1;
            }
        }
        Ok(Self::all(&runners_up))
    }

    /// Every loss for a network of which `runners_up` says how often every class comes closest to being mistaken for the
    /// right one: the probability margin, the margin down to -1, the cross-entropy, for three classes or more the DLR, and
    /// those towards the classes that come closest most often, ten at most.
    fn all(runners_up: &[usize]) -> SurrogateList<Self> {
        let mut general = vec![
            Self::ProbabilityMargin {},
            Self::Margin { kappa: 1.0 },
            Self::CrossEntropy {},
        ];
        if runners_up.len() > 2 {
            general.push(Self::Dlr {});
        }
        let mut classes: Vec<usize> = (0..runners_up.len()).collect();
        classes.sort_by_key(|class| std::cmp::Reverse(runners_up[*class]));
        classes.truncate(TARGETS);
        let towards = classes.into_iter().map(|class| Self::Towards { class });
        SurrogateList::new(general, towards)
    }
}

impl fmt::Display for AttackLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Margin { kappa } if *kappa == 0.0 => f.write_str("margin"),
            Self::Margin { kappa } => write!(f, "margin:{kappa}"),
            Self::CrossEntropy {} => f.write_str("cross-entropy"),
            Self::Dlr {} => f.write_str("dlr"),
            Self::ProbabilityMargin {} => f.write_str("probability-margin"),
            Self::Towards { class } => write!(f, "towards:{class}"),
        }
    }
}

impl FromStr for AttackLoss {
    type Err = String;

    /// `margin`, `margin:KAPPA`, `cross-entropy`, `dlr`, `probability-margin` or `towards:CLASS`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let kappa = || value.map_or(Ok(0.0), str::parse::<f64>);
        let named = match (name, value) {
            ("margin", _) => kappa().ok().map(|kappa| Self::Margin { kappa }),
            ("cross-entropy", None) => Some(Self::CrossEntropy {}),
            ("dlr", None) => Some(Self::Dlr {}),
            ("probability-margin", None) => Some(Self::ProbabilityMargin {}),
            ("towards", Some(class)) => class.parse().ok().map(|class| Self::Towards { class }),
            _ => None,
        };
        let allowed = |loss: &Self| !matches!(loss, Self::Margin { kappa } if !(kappa.is_finite() && *kappa >= 0.0));
        named.filter(allowed).ok_or_else(|| {
            "use margin, margin:KAPPA with KAPPA from 0 on, cross-entropy, dlr, probability-margin or towards:CLASS"
                .to_string()
        })
    }
}

impl AttackLoss {
    /// The loss of one sample, and its derivative by every logit, which is added to `gradient`.
    pub(super) fn of_sample(self, logits: &[f32], label: usize, gradient: &mut [f32]) -> f64 {
        match self {
            Self::Margin { kappa } => {
                let other = largest_beside(logits, label);
                let lead = f64::from(logits[label]) - f64::from(logits[other]);
                if lead > -kappa {
                    gradient[label] += 1.0;
                    gradient[other] -= 1.0;
                }
                lead.max(-kappa)
            }
            Self::CrossEntropy {} => {
                let (p, log_sum) = probabilities(logits);
                for (gradient, p) in gradient.iter_mut().zip(&p) {
                    *gradient -= *p as f32;
                }
                gradient[label] += 1.0;
                f64::from(logits[label]) - log_sum
            }
            Self::Dlr {} => {
                let other = largest_beside(logits, label);
                let order = ranked(logits);
                let (first, third) = (order[0], order[2.min(order.len() - 1)]);
                let lead = f64::from(logits[label]) - f64::from(logits[other]);
                let scale = (f64::from(logits[first]) - f64::from(logits[third])).max(1e-6);
                gradient[label] += (1.0 / scale) as f32;
                gradient[other] -= (1.0 / scale) as f32;
                let by_scale = (lead / (scale * scale)) as f32;
                gradient[first] -= by_scale;
                gradient[third] += by_scale;
                lead / scale
            }
            Self::ProbabilityMargin {} => {
                let other = largest_beside(logits, label);
                let (p, _) = probabilities(logits);
                let lead = p[label] - p[other];
                for (gradient, p) in gradient.iter_mut().zip(&p) {
                    *gradient -= (lead * p) as f32;
                }
                gradient[label] += p[label] as f32;
                gradient[other] -= p[other] as f32;
                lead
            }
            Self::Towards { class } => {
                if class == label {
                    return 0.0;
                }
                let (p, log_sum) = probabilities(logits);
                for (gradient, p) in gradient.iter_mut().zip(&p) {
                    *gradient += *p as f32;
                }
                gradient[class] -= 1.0;
                log_sum - f64::from(logits[class])
            }
        }
    }
}

/// The class other than `label` with the largest logit.
fn largest_beside(logits: &[f32], label: usize) -> usize {
    let others = (0..logits.len()).filter(|class| *class != label);
    others
        .max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)))
        .unwrap_or(label)
}

/// Classes from the largest logit to the smallest.
fn ranked(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    order
}

/// Softmax, and the logarithm of the sum of exponentials.
fn probabilities(logits: &[f32]) -> (Vec<f64>, f64) {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let largest = f64::from(largest);
    let powers: Vec<f64> = logits
        .iter()
        .map(|z| (f64::from(*z) - largest).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    (
        powers.into_iter().map(|power| power / sum).collect(),
        largest + sum.ln(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_noise::Philox;
    use crossburn_noise::worst_case::Surrogates;

    const ALL: [AttackLoss; 6] = [
        AttackLoss::Margin { kappa: 0.0 },
        AttackLoss::Margin { kappa: 1.0 },
        AttackLoss::CrossEntropy {},
        AttackLoss::Dlr {},
        AttackLoss::ProbabilityMargin {},
        AttackLoss::Towards { class: 2 },
    ];

    fn value(loss: AttackLoss, logits: &[f32], label: usize) -> f64 {
        loss.of_sample(logits, label, &mut vec![0.0; logits.len()])
    }

    #[test]
    fn values_are_those_worked_by_hand() {
        // Softmax of (ln 1, ln 2, ln 5) is (1/8, 2/8, 5/8).
        let logits = [0.0, 2f32.ln(), 5f32.ln(), -9.0];
        let (two, five) = (2f64.ln(), 5f64.ln());
        let sum = (8.0 + (-9f64).exp()).ln();
        for (loss, label, expected) in [
            (AttackLoss::Margin { kappa: 0.0 }, 2, five - two),
            (AttackLoss::Margin { kappa: 0.0 }, 1, 0.0),
            (AttackLoss::Margin { kappa: 0.5 }, 1, -0.5),
            (AttackLoss::Margin { kappa: 9.0 }, 0, -five),
            (AttackLoss::CrossEntropy {}, 1, two - sum),
            (AttackLoss::Dlr {}, 2, (five - two) / five),
            (AttackLoss::Dlr {}, 0, -1.0),
            (AttackLoss::ProbabilityMargin {}, 2, (5.0 - 2.0) / sum.exp()),
            (AttackLoss::ProbabilityMargin {}, 0, (1.0 - 5.0) / sum.exp()),
            (AttackLoss::Towards { class: 1 }, 2, sum - two),
            (AttackLoss::Towards { class: 1 }, 1, 0.0),
        ] {
            let found = value(loss, &logits, label);
            // Logits are rounded to 2^-24 of their size.
            assert!(
                (found - expected).abs() < 1e-6,
                "{loss} {label} {found} {expected}"
            );
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for image in 0..40 {
            let mut logits = [0.0f32; 6];
            Philox::new(3, image).fill_normal(&mut logits);
            let label = image as usize % 6;
            for loss in ALL {
                let mut gradient = [0.0f32; 6];
                loss.of_sample(&logits, label, &mut gradient);
                for class in 0..6 {
                    // Differences of logits that are this close change their order within the step.
                    let step = 1.0 / 4096.0;
                    let gap = |other: &f32| (other - logits[class]).abs();
                    let others = logits.iter().enumerate().filter(|(i, _)| *i != class);
                    let near = others.map(|(_, z)| gap(z)).fold(f32::INFINITY, f32::min);
                    let lead = value(AttackLoss::Margin { kappa: 1e9 }, &logits, label);
                    let kinks = [0.0, -1.0].map(|kink: f64| (lead - kink).abs());
                    if near < 4.0 * step || kinks.iter().any(|gap| *gap < 4.0 * f64::from(step)) {
                        continue;
                    }
                    let moved = |by: f32| {
                        let mut moved = logits;
                        moved[class] += by;
                        value(loss, &moved, label)
                    };
                    let expected = (moved(step) - moved(-step)) / f64::from(2.0 * step);
                    // The third derivative is of order one, DLR's larger where its scale is small: 4096^-2 times it, and
                    // roundings of logits of 2^-24 over the step of 2^-12.
                    let found = f64::from(gradient[class]);
                    let tolerance = 2e-3 * (1.0 + expected.abs());
                    assert!(
                        (found - expected).abs() < tolerance,
                        "{loss} {image} {class} {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_loss_is_read_as_it_is_written() {
        for loss in ALL {
            assert_eq!(loss.to_string().parse::<AttackLoss>().unwrap(), loss);
        }
        for text in [
            "hinge",
            "margin:-1",
            "margin:x",
            "margin:NaN",
            "towards",
            "towards:-1",
            "dlr:1",
        ] {
            let refused = text.parse::<AttackLoss>().unwrap_err();
            assert!(
                refused.starts_with("use margin, margin:KAPPA"),
                "{text} {refused}"
            );
        }
    }

    #[test]
    fn the_automatic_losses_push_towards_the_classes_that_come_closest() {
        let all = AttackLoss::all(&[0, 5, 9]);
        let towards: Vec<String> = all.all()[4..].iter().map(ToString::to_string).collect();
        assert_eq!(towards, ["towards:2", "towards:1", "towards:0"]);
        assert_eq!(
            all.count(),
            Surrogates {
                general: 4,
                directed: 3
            }
        );
        // With two classes the logits have no third one to be scaled by.
        let two = AttackLoss::all(&[1, 1]);
        assert!(!two.all().contains(&AttackLoss::Dlr {}));
        assert_eq!(AttackLoss::all(&[1; 50]).count().directed, 10);
    }
}
