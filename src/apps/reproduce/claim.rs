//! A paper's claims, measured.

use anyhow::Result;
use crossburn_noise::mean_interval;

use crate::apps::study::CONFIDENCE;
use crate::report::Claim;

/// A claim on the mean of `measured`, one value per seed.
pub(super) fn claim(
    what: impl Into<String>,
    expected: impl Into<String>,
    measured: Vec<f64>,
    holds: impl Fn(f64) -> bool,
) -> Result<Claim> {
    let mean = measured.iter().sum::<f64>() / measured.len().max(1) as f64;
    let interval = match measured.len() {
        0 | 1 => None,
        _ => {
            let interval = mean_interval(&measured, CONFIDENCE)?;
            Some([interval.low, interval.high])
        }
    };
    Ok(Claim {
        what: what.into(),
        expected: expected.into(),
        holds: holds(mean),
        measured,
        mean,
        interval,
    })
}

/// What is left over what is right, seed by seed.
pub(super) fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(a, b)| a - b).collect()
}
