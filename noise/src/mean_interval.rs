//! The mean of a few repetitions.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::NoiseError;

/// An interval for a mean; both sides have an end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanInterval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often an interval made like this holds the mean of a normal distribution.
    pub coverage: f64,
}

/// An interval for the mean of the distribution that `values` were drawn from, if it is normal: Student's t.
///
/// For paired comparisons: `values` are then the differences within pairs, such as two trainings of one seed.
///
/// ```
/// use crossburn_noise::mean_interval;
///
/// let interval = mean_interval(&[4.0, 5.0, 6.0], 0.95)?;
/// // 5 ± 4.303 · 1 / √3
/// assert!((interval.low - 2.516).abs() < 1e-3 && (interval.high - 7.484).abs() < 1e-3);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
///
/// # Errors
/// [`NoiseError::Empty`] for fewer than two values, [`NoiseError::Confidence`].
pub fn mean_interval(values: &[f64], confidence: f64) -> Result<MeanInterval, NoiseError> {
    if values.len() < 2 {
        return Err(NoiseError::Empty);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = StudentsT::new(0.0, 1.0, n - 1.0)
        .ok()
        .filter(|_| confidence > 0.0 && confidence < 1.0)
        .ok_or(NoiseError::Confidence { confidence })?
        .inverse_cdf(0.5 + 0.5 * confidence);
    let half = t * (variance / n).sqrt();
    Ok(MeanInterval {
        low: mean - half,
        high: mean + half,
        coverage: confidence,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::Philox;

    #[test]
    fn intervals_cover_the_mean_as_often_as_they_say() {
        let (trials, confidence) = (4000u64, 0.9);
        let mut covered = 0;
        for trial in 0..trials {
            let mut values = [0.0f32; 4];
            Philox::new(11, trial).fill_normal(&mut values);
            let interval = mean_interval(&values.map(f64::from), confidence).unwrap();
            covered += u64::from(interval.low <= 0.0 && 0.0 <= interval.high);
        }
        let error = (confidence * (1.0 - confidence) / trials as f64).sqrt();
        let found = covered as f64 / trials as f64;
        assert!((found - confidence).abs() < 3.0 * error, "{found}");
    }

    #[test]
    fn requests_without_an_answer_are_refused() {
        assert_eq!(mean_interval(&[1.0], 0.95), Err(NoiseError::Empty));
        assert!(matches!(
            mean_interval(&[1.0, 2.0], 1.0),
            Err(NoiseError::Confidence { .. })
        ));
    }
}
