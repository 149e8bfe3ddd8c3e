//! The Butterworth band-pass filter, as biquads.

use std::f64::consts::PI;

use super::{SEGMENT_BAND, SEGMENT_RATE};
use crate::TrainingError;

/// Poles of the low-pass prototype. The band-pass has twice as many poles, two for each of its biquads.
const PROTOTYPE_ORDER: usize = 2;

/// The share of a disturbance that may remain once the filter counts as settled.
const SETTLED: f64 = 1e-6;

/// One biquad with zeros at 0 Hz and at half the sampling rate: `H(z) = (1 - z⁻²) / (1 + a1 z⁻¹ + a2 z⁻²)`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Biquad {
    a1: f64,
    a2: f64,
}

/// A Butterworth band-pass of order four: two biquads in a row.
///
/// ```text
/// |H(f)|² = 1 / (1 + ((Ω² - Ω0²) / (B Ω))^(2 N)),  Ω = tan(π f / rate),  Ω0² = Ω_low Ω_high,  B = Ω_high - Ω_low,  N = 2
/// ```
///
/// [`zero_phase`](Self::zero_phase) filters a whole recording forward and backward, for training and evaluation from files. It has no delay
/// and twice the attenuation in decibels. [`stream`](Self::stream) filters sample by sample, for a device that cannot look ahead. Its output is
/// delayed.
///
/// # Source
/// S. Butterworth, "On the theory of filter amplifiers", 1930, by the bilinear transform with prewarped edges.
///
/// ```
/// use crossburn_training::data::signal::BandPass;
///
/// let filter = BandPass::new([15.0, 55.0], 250.0)?;
/// let mut stream = filter.stream();
/// // A constant does not pass.
/// assert!((0..1000).all(|_| stream.push(3.0) == 0.0));
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BandPass {
    biquads: Vec<Biquad>,
    gain: f64,
    /// Number of samples until a disturbance has died away.
    settling: usize,
}

impl BandPass {
    /// The filter that passes the frequencies `low..high`, in Hz, of a signal with `rate` samples per second.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] unless 0 < `low` < `high` < `rate` / 2.
    pub fn new([low, high]: [f64; 2], rate: f64) -> Result<Self, TrainingError> {
        if !(0.0 < low && low < high && 2.0 * high < rate && rate.is_finite()) {
            return Err(TrainingError::setting(
                "band",
                format!("{low}..{high} Hz at {rate} samples a second"),
                "edges that rise from above 0 to below half the rate",
            ));
        }
        Ok(Self::designed([low, high], rate))
    }

    /// The filter of segments: it passes [`SEGMENT_BAND`] of signals with [`SEGMENT_RATE`] samples per second.
    pub fn of_segments() -> Self {
        Self::designed(SEGMENT_BAND, SEGMENT_RATE)
    }

    /// The filter for edges that are known to be valid.
    fn designed([low, high]: [f64; 2], rate: f64) -> Self {
        let warped = |frequency: f64| (PI * frequency / rate).tan();
        let (low, high) = (warped(low), warped(high));
        let (centre, width) = ((low * high).sqrt(), high - low);
        let mut poles = Vec::new();
        // The poles of the prototype above the real axis; the others are their conjugates.
        for index in 0..PROTOTYPE_ORDER / 2 {
            let angle =
                PI * (2 * index + PROTOTYPE_ORDER + 1) as f64 / (2 * PROTOTYPE_ORDER) as f64;
            let half = Complex(angle.cos(), angle.sin()).times(Complex(width / 2.0, 0.0));
            let root = half.times(half).plus(Complex(-centre * centre, 0.0)).sqrt();
            for s in [half.plus(root), half.plus(root.times(Complex(-1.0, 0.0)))] {
                poles.push(Complex(1.0 + s.0, s.1).over(Complex(1.0 - s.0, -s.1)));
            }
        }
        let biquads: Vec<Biquad> = poles
            .iter()
            .map(|pole| Biquad {
                a1: -2.0 * pole.0,
                a2: pole.norm(),
            })
            .collect();
        // The gain is chosen so that the response at the centre of the band is one.
        let angle = 2.0 * centre.atan();
        let back = Complex(angle.cos(), -angle.sin());
        let back2 = back.times(back);
        let at_centre = biquads.iter().fold(Complex(1.0, 0.0), |product, biquad| {
            let above = Complex(1.0 - back2.0, -back2.1);
            let below = Complex(
                1.0 + biquad.a1 * back.0 + biquad.a2 * back2.0,
                biquad.a1 * back.1 + biquad.a2 * back2.1,
            );
            product.times(above.over(below))
        });
        let slowest = poles
            .iter()
            .map(|pole| pole.norm().sqrt())
            .fold(0.0, f64::max);
        Self {
            biquads,
            gain: 1.0 / at_centre.norm().sqrt(),
            settling: (SETTLED.ln() / slowest.ln()).ceil() as usize,
        }
    }

    /// A filter for samples that arrive one by one. The signal before the first sample counts as constant at its value.
    pub fn stream(&self) -> BandPassStream {
        BandPassStream {
            states: vec![[0.0; 2]; self.biquads.len()],
            filter: self.clone(),
            first: None,
        }
    }

    /// `signal`, filtered forward and then backward. It is continued by its mirror image at both ends, so that the filter does not ring there.
    pub fn zero_phase(&self, signal: &[f32]) -> Vec<f32> {
        let Some((first, last)) = signal.first().zip(signal.last()) else {
            return Vec::new();
        };
        let padding = self.settling.min(signal.len() - 1);
        let mirrored = |end: f32, value: f32| 2.0 * f64::from(end) - f64::from(value);
        let before = signal[1..=padding].iter().rev();
        let after = signal[signal.len() - 1 - padding..signal.len() - 1]
            .iter()
            .rev();
        let mut padded: Vec<f64> = Vec::with_capacity(signal.len() + 2 * padding);
        padded.extend(before.map(|value| mirrored(*first, *value)));
        padded.extend(signal.iter().copied().map(f64::from));
        padded.extend(after.map(|value| mirrored(*last, *value)));
        for _ in 0..2 {
            let mut stream = self.stream();
            for value in &mut padded {
                *value = stream.push(*value);
            }
            padded.reverse();
        }
        let kept = padded[padding..][..signal.len()].iter();
        kept.map(|value| *value as f32).collect()
    }
}

/// The state of a [`BandPass`] between two samples of a stream.
#[derive(Clone, Debug)]
pub struct BandPassStream {
    filter: BandPass,
    /// The state of each biquad, in the transposed direct form II.
    states: Vec<[f64; 2]>,
    first: Option<f64>,
}

impl BandPassStream {
    /// Takes the next sample and gives the next filtered one.
    pub fn push(&mut self, sample: f64) -> f64 {
        // The filter answers a constant with 0. Subtracting the first sample therefore has the effect of a constant past at that value.
        let mut value = (sample - *self.first.get_or_insert(sample)) * self.filter.gain;
        for (biquad, state) in self.filter.biquads.iter().zip(&mut self.states) {
            let output = value + state[0];
            *state = [state[1] - biquad.a1 * output, -value - biquad.a2 * output];
            value = output;
        }
        value
    }
}

/// A complex number.
#[derive(Clone, Copy, Debug)]
struct Complex(f64, f64);

impl Complex {
    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }

    fn times(self, other: Self) -> Self {
        Self(
            self.0 * other.0 - self.1 * other.1,
            self.0 * other.1 + self.1 * other.0,
        )
    }

    /// The square of the absolute value.
    fn norm(self) -> f64 {
        self.0 * self.0 + self.1 * self.1
    }

    fn over(self, other: Self) -> Self {
        let product = self.times(Self(other.0, -other.1));
        Self(product.0 / other.norm(), product.1 / other.norm())
    }

    fn sqrt(self) -> Self {
        let size = self.norm().sqrt().sqrt();
        let angle = self.1.atan2(self.0) / 2.0;
        Self(size * angle.cos(), size * angle.sin())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// The magnitude of the response at `frequency`, in closed form.
    fn expected(frequency: f64, [low, high]: [f64; 2], rate: f64) -> f64 {
        let warped = |frequency: f64| (PI * frequency / rate).tan();
        let (x, low, high) = (warped(frequency), warped(low), warped(high));
        let ratio = (x * x - low * high) / ((high - low) * x);
        1.0 / (1.0 + ratio.powi(4)).sqrt()
    }

    /// Amplitude of `signal` at `frequency`, by correlation over whole periods.
    fn amplitude(signal: &[f64], frequency: f64, rate: f64) -> f64 {
        let at = |index: usize| 2.0 * PI * frequency * index as f64 / rate;
        let sum = |wave: fn(f64) -> f64| -> f64 {
            signal
                .iter()
                .enumerate()
                .map(|(i, x)| x * wave(at(i)))
                .sum()
        };
        2.0 * sum(f64::sin).hypot(sum(f64::cos)) / signal.len() as f64
    }

    #[test]
    fn sines_pass_as_the_closed_form_says() {
        for (band, rate) in [([15.0, 55.0], 250.0), ([5.0, 40.0], 360.0)] {
            let filter = BandPass::new(band, rate).unwrap();
            for frequency in [2.0, 10.0, 15.0, 30.0, 55.0, 80.0, 110.0] {
                let sine: Vec<f64> = (0..4 * rate as usize)
                    .map(|i| (2.0 * PI * frequency * i as f64 / rate).sin())
                    .collect();
                let mut stream = filter.stream();
                let causal: Vec<f64> = sine.iter().map(|x| stream.push(*x)).collect();
                let magnitude = expected(frequency, band, rate);
                // Two seconds after the start the transient is below 1e-6, and the last two seconds are whole periods.
                let found = amplitude(&causal[2 * rate as usize..], frequency, rate);
                assert!(
                    (found - magnitude).abs() < 1e-5,
                    "{frequency} {found} {magnitude}"
                );
                let single: Vec<f32> = sine.iter().map(|x| *x as f32).collect();
                let twice: Vec<f64> = filter
                    .zero_phase(&single)
                    .into_iter()
                    .map(f64::from)
                    .collect();
                let middle = &twice[rate as usize..3 * rate as usize];
                let found = amplitude(middle, frequency, rate);
                assert!(
                    (found - magnitude * magnitude).abs() < 1e-4,
                    "{frequency} {found}"
                );
                // Zero phase: the output is in step with the sine of the input.
                let product: f64 = middle
                    .iter()
                    .zip(&sine[rate as usize..])
                    .map(|(a, b)| a * b)
                    .sum();
                let in_step = 2.0 * product / middle.len() as f64;
                assert!(
                    (in_step - magnitude * magnitude).abs() < 1e-4,
                    "{frequency} {in_step}"
                );
            }
        }
    }

    #[test]
    fn the_edges_are_at_half_the_power() {
        for edge in [15.0, 55.0] {
            assert!((expected(edge, [15.0, 55.0], 250.0).powi(2) - 0.5).abs() < 1e-12);
        }
    }

    #[test]
    fn offsets_and_the_shortest_signals_do_not_ring() {
        let filter = BandPass::new([15.0, 55.0], 250.0).unwrap();
        assert!(filter.zero_phase(&[]).is_empty());
        assert_eq!(filter.zero_phase(&[7.0]), [0.0]);
        assert!(
            filter
                .zero_phase(&[1e6; 500])
                .iter()
                .all(|x| x.abs() < 1e-3)
        );
    }

    #[test]
    fn edges_that_are_no_band_are_refused() {
        // The band of segments is valid.
        let of_segments = BandPass::new(SEGMENT_BAND, SEGMENT_RATE).unwrap();
        assert_eq!(BandPass::of_segments(), of_segments);
        for band in [[0.0, 55.0], [55.0, 15.0], [15.0, 125.0], [f64::NAN, 55.0]] {
            let message = BandPass::new(band, 250.0).unwrap_err().to_string();
            assert!(message.starts_with("band = "), "{message}");
        }
    }
}
