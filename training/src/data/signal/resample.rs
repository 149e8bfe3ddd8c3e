//! From one sampling rate to another.

use std::f64::consts::PI;

use crate::TrainingError;

/// Zero crossings of the kernel on each side of its middle.
const CROSSINGS: f64 = 16.0;
/// The cutoff of the kernel, as a share of the highest frequency that the lower of the two rates can hold.
const CUT: f64 = 0.9;
/// The shape parameter of the Kaiser window. Its side lobes are below -80 dB.
const BETA: f64 = 8.0;
/// Steps per hertz to which rates are rounded.
const STEPS: f64 = 100.0;
/// The highest rate that is accepted, in Hz.
const HIGHEST: f64 = 1e6;
/// Most weights of the kernel that are precomputed for all phases together. If there are more, each weight is computed when it is needed.
const KEPT: usize = 1 << 22;

/// `signal`, sampled at the rate `from`, resampled to the rate `to` (both in Hz). The polyphase filter's kernel is a sinc under a Kaiser
/// window, with 16 zero crossings on each side, and cuts at 0.9 of the lower rate's highest frequency.
///
/// Before the signal, its first value counts; after it, its last value. The result has `⌊length · to / from⌋` samples. Its sample `m` is at
/// the time of sample `m · from / to`.
///
/// # Errors
/// [`TrainingError::Setting`] for a rate that is not above 0, or above 1 MHz.
pub(crate) fn resample(signal: &[f32], from: f64, to: f64) -> Result<Vec<f32>, TrainingError> {
    resample_within(signal, from, to, KEPT)
}

/// [`resample`] with at most `kept` precomputed weights.
fn resample_within(
    signal: &[f32],
    from: f64,
    to: f64,
    kept: usize,
) -> Result<Vec<f32>, TrainingError> {
    let [from, to] = [from, to].map(|rate| (rate * STEPS).round());
    if let Some(rate) = [from, to]
        .into_iter()
        .find(|rate| !(*rate >= 1.0 && *rate <= HIGHEST * STEPS))
    {
        return Err(TrainingError::setting(
            "rate",
            rate / STEPS,
            "samples a second, above 0 and at most a million",
        ));
    }
    if from == to || signal.is_empty() {
        return Ok(signal.to_vec());
    }
    let (mut a, mut b) = (from as usize, to as usize);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let (step, phases) = (from as usize / a, to as usize / a);
    let count = (signal.len() as u128 * phases as u128 / step as u128) as usize;
    // In cycles per sample of the signal.
    let cut = CUT * 0.5 * (to / from).min(1.0);
    let reach = (CROSSINGS / (2.0 * cut)).ceil() as isize;
    let taps = |phase: usize| -> Vec<f64> {
        let offset = phase as f64 / phases as f64;
        let taps = (1 - reach..=reach).map(|tap| kernel(tap as f64 - offset, cut, reach as f64));
        let taps: Vec<f64> = taps.collect();
        let sum: f64 = taps.iter().sum();
        taps.into_iter().map(|tap| tap / sum).collect()
    };
    // Rates from a header may be arbitrary, and lead to any number of phases.
    let needed = phases.min(count);
    let entries = match needed.saturating_mul(2 * reach as usize) <= kept {
        true => needed,
        false => 0,
    };
    let entry = |index: usize| taps((index as u128 * step as u128 % phases as u128) as usize);
    let table: Vec<Vec<f64>> = (0..entries).map(entry).collect();
    let last = signal.len() as isize - 1;
    let value = |index: usize| {
        let middle = (index as u128 * step as u128 / phases as u128) as isize;
        let computed;
        let weights = match table.get(index % phases) {
            Some(weights) => weights,
            None => {
                computed = entry(index % phases);
                &computed
            }
        };
        let taps = (1 - reach..=reach).zip(weights);
        let sum: f64 = taps
            .map(|(tap, weight)| weight * f64::from(signal[(middle + tap).clamp(0, last) as usize]))
            .sum();
        sum as f32
    };
    Ok((0..count).map(value).collect())
}

/// A sinc that cuts at `cut` cycles per sample, under a window that reaches `reach` samples to each side.
fn kernel(time: f64, cut: f64, reach: f64) -> f64 {
    let inside = 1.0 - (time / reach).powi(2);
    if inside < 0.0 {
        return 0.0;
    }
    let angle = 2.0 * PI * cut * time;
    let sinc = if angle == 0.0 {
        1.0
    } else {
        angle.sin() / angle
    };
    sinc * bessel(BETA * inside.sqrt()) / bessel(BETA)
}

/// The modified Bessel function of the first kind and order 0, as its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for index in 1..60 {
        term *= (x / 2.0 / f64::from(index)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn sine(frequency: f64, rate: f64, count: usize) -> Vec<f32> {
        let at = |index| (2.0 * PI * frequency * f64::from(index) / rate + 0.3).sin() as f32;
        (0..count as i32).map(at).collect()
    }

    #[test]
    fn sines_below_the_cut_stay_and_those_above_vanish() {
        for (from, to) in [(360.0, 250.0), (128.0, 250.0), (257.32, 250.0)] {
            for frequency in [1.0, 15.0, 40.0] {
                let count = 4 * from as usize;
                let found = resample(&sine(frequency, from, count), from, to).unwrap();
                assert_eq!(found.len(), (count as f64 * to / from).floor() as usize);
                let expected = sine(frequency, to, found.len());
                let middle = found.len() / 4..3 * found.len() / 4;
                let gap = found[middle.clone()].iter().zip(&expected[middle]);
                let gap = gap.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // Side lobes of the window are below 1e-4.
                assert!(gap < 3e-4, "{from} {to} {frequency} {gap}");
            }
        }
        // Without the kernel, 170 Hz at 360 samples per second would appear as 80 Hz at 250.
        let found = resample(&sine(170.0, 360.0, 1440), 360.0, 250.0).unwrap();
        assert!(found[200..800].iter().all(|x| x.abs() < 1e-3));
    }

    #[test]
    fn a_table_that_is_too_large_changes_nothing() {
        for (from, to) in [(360.0, 250.0), (128.0, 250.0), (257.32, 250.0)] {
            let signal = sine(15.0, from, 400);
            let found = resample_within(&signal, from, to, 0).unwrap();
            assert_eq!(found, resample(&signal, from, to).unwrap());
        }
    }

    #[test]
    fn constants_stay_and_equal_rates_change_nothing() {
        let found = resample(&[2.5; 100], 360.0, 250.0).unwrap();
        assert_eq!(found.len(), 69);
        assert!(found.iter().all(|x| (x - 2.5).abs() < 1e-6));
        assert_eq!(resample(&[1.0, -2.0], 250.0, 250.0).unwrap(), [1.0, -2.0]);
        for (from, to) in [(0.0, 250.0), (250.0, -1.0), (f64::NAN, 250.0), (1e9, 250.0)] {
            assert!(resample(&[1.0], from, to).is_err());
        }
    }
}
