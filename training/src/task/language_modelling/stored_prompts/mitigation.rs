//! What other methods do about the errors of stored numbers: verify those that matter, and correct what is read.

use burn::tensor::{Device, Tensor, TensorData};
use crossburn_models::decoder::Decoder;
use serde::{Deserialize, Serialize};

use super::super::LanguageModelling;
use super::tuning::{loss, rows_of};
use super::{PromptCoder, resting};
use crate::TrainingError;
use crate::weight_gradients::values;

/// Deviation of a number that is verified, of what it would have been.
const VERIFIED: f32 = 1.0 / 3.0;

/// Squared gradient of the loss of `texts` by every stored number of `codes`, `[prompts, dimension]`; text `i` stands after prompt `of_text[i]`.
///
/// # Errors
/// [`TrainingError::Data`] for texts without a prompt, [`TrainingError::Device`] when the device cannot give a result back.
pub fn sensitivities_of_codes(
    (network, device): (&Decoder, &Device),
    coder: &PromptCoder,
    codes: &[f32],
    (texts, of_text): (&LanguageModelling, &[usize]),
) -> Result<Vec<f32>, TrainingError> {
    let dimension = coder.sizes().dimension();
    let count = codes.len() / dimension;
    let rows = rows_of(texts, of_text, count, device)?;
    let data = TensorData::new(codes.to_vec(), [count, dimension]);
    let codes = Tensor::<2>::from_data(data, device).require_grad();
    let (network, coder) = (resting(network), resting(coder));
    let prompts = coder.decode(codes.clone());
    let gradients = loss(&network, prompts, texts, &rows, of_text).backward();
    let gradient = codes.grad(&gradients).ok_or_else(|| {
        TrainingError::data(
            "sensitivities of codes",
            "the device takes no gradients",
            "use a device with autodiff",
        )
    })?;
    let gradient = values(gradient)?;
    Ok(gradient.into_iter().map(|value| value * value).collect())
}

/// What is read where the fraction `fraction` of the numbers, those of the highest sensitivity, were verified when they were written: their
/// deviation from the stored `ideal` is a third of that in `read`. Of equal ones the first are taken.
///
/// # Source
/// NVCiM-PT's comparison with SWIM (Yan, Hu and Shi, DAC 2022); the third is a reconstruction.
pub fn verified(read: &[f32], ideal: &[f32], sensitivities: &[f32], fraction: f64) -> Vec<f32> {
    let mut order: Vec<usize> = (0..sensitivities.len()).collect();
    order.sort_by(|a, b| sensitivities[*b].total_cmp(&sensitivities[*a]));
    order.truncate((fraction * sensitivities.len() as f64).round() as usize);
    let mut out = read.to_vec();
    for index in order {
        out[index] = ideal[index] + VERIFIED * (read[index] - ideal[index]);
    }
    out
}

/// What corrects the outputs of one entry: `gain · x + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Factor.
    pub gain: f32,
    /// Summand.
    pub offset: f32,
}

impl Line {
    /// The corrected output.
    pub fn at(self, x: f32) -> f32 {
        self.gain * x + self.offset
    }
}

/// What is corrected digitally after a read, entry by entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compensation {
    /// A factor, as in CorrectNet-style correction.
    Gain,
    /// A factor and a summand, as in CxDNN-style compensation.
    GainAndOffset,
}

impl Compensation {
    /// The line of this kind that brings `found` closest to `ideal` in least squares; what changes nothing where `found` does not say.
    pub fn line(self, found: &[f32], ideal: &[f32]) -> Line {
        let count = found.len() as f64;
        let mean = |values: &[f32]| match self {
            Self::Gain => 0.0,
            Self::GainAndOffset => values.iter().map(|x| f64::from(*x)).sum::<f64>() / count,
        };
        let (from, to) = (mean(found), mean(ideal));
        let (mut square, mut product) = (0.0, 0.0);
        for (x, y) in found.iter().zip(ideal) {
            let x = f64::from(*x) - from;
            square += x * x;
            product += x * (f64::from(*y) - to);
        }
        let gain = match square > 0.0 {
            true => product / square,
            false => 1.0,
        };
        Line {
            gain: gain as f32,
            offset: (to - gain * from) as f32,
        }
    }

    /// The numbers `read`, `[entries, dimension]`, each entry by its own line to the stored `ideal`.
    pub fn corrected(self, read: &[f32], ideal: &[f32], dimension: usize) -> Vec<f32> {
        let entries = read.chunks(dimension).zip(ideal.chunks(dimension));
        let corrected = entries.flat_map(|(read, ideal)| {
            let line = self.line(read, ideal);
            read.iter().map(move |x| line.at(*x))
        });
        corrected.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_deviation_is_left_where_it_matters() {
        let ideal = [1.0, 2.0, 3.0, 4.0];
        let read = [1.3, 1.4, 3.3, 4.3];
        let found = verified(&read, &ideal, &[0.0, 5.0, 1.0, 5.0], 0.5);
        let expected = [1.3, 1.8, 3.3, 4.1];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(verified(&read, &ideal, &[1.0; 4], 0.0), read);
    }

    #[test]
    fn lines_are_those_of_least_squares() {
        let (found, ideal) = ([1.0, 2.0, 3.0], [5.0, 7.0, 9.0]);
        // y = 2 x + 3; through the origin (5 + 14 + 27) / (1 + 4 + 9).
        let line = Compensation::GainAndOffset.line(&found, &ideal);
        assert!((line.gain - 2.0).abs() < 1e-6 && (line.offset - 3.0).abs() < 1e-6);
        let line = Compensation::Gain.line(&found, &ideal);
        assert!((line.gain - 46.0 / 14.0).abs() < 1e-6 && line.offset == 0.0);
        let same = Compensation::Gain.line(&[0.0, 0.0], &[1.0, 2.0]);
        assert_eq!(
            same,
            Line {
                gain: 1.0,
                offset: 0.0
            }
        );
        let all = Compensation::GainAndOffset.corrected(
            &[1.0, 2.0, 3.0, 0.0, 0.0, 0.0],
            &[5.0, 7.0, 9.0, 4.0, 4.0, 4.0],
            3,
        );
        for (found, expected) in all.iter().zip([5.0, 7.0, 9.0, 4.0, 4.0, 4.0]) {
            assert!((found - expected).abs() < 1e-5, "{all:?}");
        }
    }
}
