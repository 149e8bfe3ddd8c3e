//! Which token follows.

use crossburn_noise::{Philox, path_hash};
use serde::{Deserialize, Serialize};

use super::DecoderError;

/// How the next token is chosen from logits.
///
/// A draw is a function of the seed, the number of the text and the place of the token in it, and of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the likeliest token.
    pub temperature: f64,
    /// Only so many of the likeliest tokens; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Seed of the draws.
    #[serde(default)]
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self::greedy()
    }
}

impl Sampling {
    /// The likeliest token, always.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: None,
            seed: 0,
        }
    }

    /// Refuses settings that choose nothing.
    ///
    /// # Errors
    /// [`DecoderError::Sampling`].
    pub fn check(&self) -> Result<(), DecoderError> {
        let refuse = |key, value, remedy| Err(DecoderError::Sampling { key, value, remedy });
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return refuse("temperature", self.temperature, "use 0 or a number above");
        }
        if self.top_k == Some(0) {
            return refuse("top_k", 0.0, "use 1 or more");
        }
        match self.top_p {
            Some(p) if !(p > 0.0 && p <= 1.0) => {
                refuse("top_p", p, "use a number above 0, at most 1")
            }
            _ => Ok(()),
        }
    }

    /// The token at place `position` of text `text`.
    ///
    /// # Errors
    /// [`DecoderError::NotFinite`] where a logit is not a number.
    pub fn choose(&self, logits: &[f32], text: u64, position: usize) -> Result<u32, DecoderError> {
        let not_finite = DecoderError::NotFinite { position };
        if logits.is_empty() || !logits.iter().all(|logit| logit.is_finite()) {
            return Err(not_finite);
        }
        let likeliest = || {
            let first = (0usize, f32::NEG_INFINITY);
            let logits = logits.iter().copied().enumerate();
            logits.fold(
                first,
                |best, next| if next.1 > best.1 { next } else { best },
            )
        };
        let (best, highest) = likeliest();
        if self.temperature == 0.0 {
            return Ok(best as u32);
        }
        let weight = |token: usize| (f64::from(logits[token] - highest) / self.temperature).exp();
        let tokens = self.candidates(logits, &weight);
        let total: f64 = tokens.iter().map(|token| weight(*token)).sum();
        let generator = Philox::new(self.seed, path_hash("decoder.sampling") ^ text);
        let mut left = total * generator.uniform(position as u64);
        for token in &tokens {
            left -= weight(*token);
            if left < 0.0 {
                return Ok(*token as u32);
            }
        }
        Ok(tokens.last().map_or(best, |token| *token) as u32)
    }

    /// The tokens that may be drawn.
    fn candidates(&self, logits: &[f32], weight: &impl Fn(usize) -> f64) -> Vec<usize> {
        let mut tokens: Vec<usize> = (0..logits.len()).collect();
        if self.top_k.is_none() && self.top_p.is_none() {
            return tokens;
        }
        // The likelier first, of equals the lower number.
        let order = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if let Some(count) = self.top_k.filter(|count| *count < tokens.len()) {
            tokens.select_nth_unstable_by(count - 1, order);
            tokens.truncate(count);
        }
        tokens.sort_unstable_by(order);
        if let Some(share) = self.top_p {
            let total: f64 = tokens.iter().map(|token| weight(*token)).sum();
            let mut sum = 0.0;
            let kept = tokens.iter().position(|token| {
                sum += weight(*token);
                sum >= share * total
            });
            tokens.truncate(kept.map_or(tokens.len(), |last| last + 1));
        }
        tokens
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn with(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> Sampling {
        Sampling {
            temperature,
            top_k,
            top_p,
            seed: 3,
        }
    }

    /// How often each token comes in `n` draws.
    fn shares(sampling: Sampling, logits: &[f32], n: usize) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for position in 0..n {
            counts[sampling.choose(logits, 0, position).unwrap() as usize] += 1.0 / n as f64;
        }
        counts
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let probabilities = [0.5f32, 0.3, 0.15, 0.05];
        let logits = probabilities.map(f32::ln);
        let n = 20_000;
        // Four standard errors of a share, and the rounding of the sum of counts.
        let near = |found: f64, p: f64| {
            (found - p).abs() <= 4.0 * (p * (1.0 - p) / n as f64).sqrt() + 1e-9
        };
        for (sampling, expected) in [
            (with(1.0, None, None), [0.5, 0.3, 0.15, 0.05]),
            (with(1.0, Some(2), None), [0.625, 0.375, 0.0, 0.0]),
            (
                with(1.0, None, Some(0.9)),
                [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0],
            ),
            (with(1.0, None, Some(0.1)), [1.0, 0.0, 0.0, 0.0]),
            (
                with(0.5, Some(2), Some(1.0)),
                [0.25 / 0.34, 0.09 / 0.34, 0.0, 0.0],
            ),
            (with(0.0, None, None), [1.0, 0.0, 0.0, 0.0]),
        ] {
            let found = shares(sampling, &logits, n);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    near(*found, expected),
                    "{sampling:?}: {found} for {expected}"
                );
            }
        }
    }

    #[test]
    fn a_draw_depends_on_seed_text_and_place_alone() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32).sin()).collect();
        let sampling = with(1.0, None, None);
        let draws = |sampling: Sampling, text: u64| -> Vec<u32> {
            (0..40)
                .map(|place| sampling.choose(&logits, text, place).unwrap())
                .collect()
        };
        assert_eq!(draws(sampling, 0), draws(sampling, 0));
        assert_ne!(draws(sampling, 0), draws(sampling, 1));
        assert_ne!(
            draws(sampling, 0),
            draws(
                Sampling {
                    seed: 4,
                    ..sampling
                },
                0
            )
        );
    }

    #[test]
    fn impossible_settings_and_numbers_are_refused() {
        for (sampling, message) in [
            (
                with(-1.0, None, None),
                "sampling: temperature = -1 is not possible: use 0 or a number above",
            ),
            (
                with(f64::NAN, None, None),
                "sampling: temperature = NaN is not possible: use 0 or a number above",
            ),
            (
                with(1.0, Some(0), None),
                "sampling: top_k = 0 is not possible: use 1 or more",
            ),
            (
                with(1.0, None, Some(1.5)),
                "sampling: top_p = 1.5 is not possible: use a number above 0, at most 1",
            ),
        ] {
            assert_eq!(sampling.check().unwrap_err().to_string(), message);
        }
        let error = with(1.0, None, None)
            .choose(&[0.0, f32::NAN], 0, 7)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the logits of token 7 are not finite")
        );
    }
}
