//! A polynomial in the load of each output line instead of the network.

use serde::{Deserialize, Serialize};

use super::network::check_length;
use super::{WireNetwork, Wires};
use crate::HardwareError;
use crate::units::Ohm;

/// The drop along output lines from their load, without solving a network.
///
/// ```text
/// a_o = n R Σ_j |g_oj| |x_j|                     load of the line, n inputs, R per segment
/// c_o = a (0.05 a² - 0.2 a + 0.5)
/// y_o = Σ_j g_oj x_j - s c_o Σ_j g_oj x_j (1 - (1 - j/n)²)        j counted from ground: j = n is the farthest input
/// ```
///
/// One pass over the weights, but not linear in `x`, and blind to input lines and terminals, which it refuses. Inputs are
/// relative to the read voltage, in -1..=1.
///
/// # Validity
/// Loads well below 1, and inputs that are coded as pulse widths: every pulse has the full voltage, and `x` is its share of
/// the time. For inputs coded as voltages the drop does not shrink with the input of the cell itself, so that the polynomial
/// misses part of it: half where inputs average one half. [`Self::error`] tells how far it is from the exact network, which
/// takes inputs as voltages, for given cells and inputs.
///
/// # Source
/// The steady-state IR drop of Rasch et al., "A flexible and fast PyTorch toolkit for simulating training and inference on
/// analog crossbar arrays", AICAS 2021, as its released code computes it. There, wires have 0.35 Ω per segment and cells
/// 5 µS.
///
/// ```
/// use crossburn_hardware::ir_drop::Approximation;
/// use crossburn_hardware::units::Ohm;
///
/// let approximation = Approximation::new(Ohm::new(0.35), 1.0)?;
/// let y = approximation.multiply(&[5.0; 256], 256, &[1.0; 256])?;
/// assert!(y[0] < 5.0 * 256.0 && y[0] > 0.9 * 5.0 * 256.0);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Approximation {
    segment: Ohm,
    scale: f64,
}

/// How far the approximation is from the exact network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApproximationError {
    /// The largest deviation of a result, relative to the largest exact result.
    pub maximum: f64,
    /// The root mean square deviation, relative to the root mean square of the exact results.
    pub rms: f64,
    /// The root mean square of what the wires change, relative to that of the exact results: what no model at all is off.
    pub ideal_rms: f64,
}

impl Approximation {
    /// Output lines of `segment` resistance per cell; `scale` is s, 1 for the published model.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for numbers that are negative or not finite.
    pub fn new(segment: Ohm, scale: f64) -> Result<Self, HardwareError> {
        for (field, value, text) in [
            ("segment", segment.get(), segment.to_string()),
            ("scale", scale, scale.to_string()),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(HardwareError::limit(
                    field,
                    text,
                    "the finite numbers from 0 on",
                    "use the resistance per cell, and the scale 1",
                ));
            }
        }
        Ok(Self { segment, scale })
    }

    /// The approximation of `wires`.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] where input lines or terminals have resistance: it knows neither.
    pub fn of_wires(wires: &Wires) -> Result<Self, HardwareError> {
        let wires = wires.check()?;
        let known = Wires {
            output_segment: wires.output_segment,
            ..Wires::default()
        };
        if wires != known {
            return Err(HardwareError::conflict(
                "the approximation of wire resistance knows segments of output lines only",
                "set input_segment and both terminals to 0 Ohm, or use the exact network",
            ));
        }
        Self::new(wires.output_segment, 1.0)
    }

    /// Approximate products.
    ///
    /// # Shapes
    /// `conductances` in µS, `[outputs, inputs]`, signed for differential pairs; `x` `[batch, inputs]`; the result
    /// `[batch, outputs]` in µS.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for lengths that are no multiple of `inputs`.
    pub fn multiply(
        &self,
        conductances: &[f32],
        inputs: usize,
        x: &[f32],
    ) -> Result<Vec<f32>, HardwareError> {
        for (field, values) in [("conductances", conductances), ("x", x)] {
            check_length(
                field,
                values.len(),
                values.len() / inputs.max(1) * inputs.max(1),
            )?;
        }
        let n = inputs as f64;
        // MΩ, because conductances are in µS.
        let resistance = 1e-6 * self.segment.get();
        let far: Vec<f64> = (0..inputs)
            .map(|input| {
                // Input 0 is the farthest from ground.
                let place = (inputs - input) as f64 / n;
                1.0 - (1.0 - place) * (1.0 - place)
            })
            .collect();
        let product = |line: &[f32], x: &[f32]| {
            let (mut sum, mut load, mut weighted) = (0.0, 0.0, 0.0);
            for ((g, x), far) in line.iter().zip(x).zip(&far) {
                let current = f64::from(*g) * f64::from(*x);
                sum += current;
                load += current.abs();
                weighted += current * far;
            }
            let a = n * resistance * load;
            let c = a * (0.05 * a * a - 0.2 * a + 0.5);
            (sum - self.scale * c * weighted) as f32
        };
        Ok(x.chunks_exact(inputs.max(1))
            .flat_map(|x| {
                conductances
                    .chunks_exact(inputs.max(1))
                    .map(move |line| (line, x))
            })
            .map(|(line, x)| product(line, x))
            .collect())
    }

    /// How far [`Self::multiply`] is from the exact products of differential pairs in `network`.
    ///
    /// # Shapes
    /// `positive` and `negative` in µS, `[outputs, inputs]`; `x` `[batch, inputs]`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for what does not fit the network, and where every exact product is zero.
    pub fn error(
        &self,
        network: &WireNetwork,
        positive: &[f32],
        negative: &[f32],
        x: &[f32],
    ) -> Result<ApproximationError, HardwareError> {
        let effective = network.effective_pair(positive, negative)?;
        let signed: Vec<f32> = positive.iter().zip(negative).map(|(p, n)| p - n).collect();
        let inputs = network.inputs();
        let ideal = Self {
            segment: Ohm::new(0.0),
            scale: 0.0,
        };
        let exact = ideal.multiply(&effective, inputs, x)?;
        let without = ideal.multiply(&signed, inputs, x)?;
        let approximate = self.multiply(&signed, inputs, x)?;
        let squares = |values: &[f32]| {
            values
                .iter()
                .zip(&exact)
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum::<f64>()
        };
        let power: f64 = exact.iter().map(|y| f64::from(*y).powi(2)).sum();
        if power == 0.0 {
            return Err(HardwareError::limit(
                "largest exact product",
                "0",
                "the numbers other than 0",
                "give inputs and conductances of which some are not zero",
            ));
        }
        let largest = |values: &mut dyn Iterator<Item = f32>| {
            values.fold(0.0f64, |most, value| most.max(f64::from(value.abs())))
        };
        Ok(ApproximationError {
            maximum: largest(&mut approximate.iter().zip(&exact).map(|(a, b)| a - b))
                / largest(&mut exact.iter().copied()),
            rms: (squares(&approximate) / power).sqrt(),
            ideal_rms: (squares(&without) / power).sqrt(),
        })
    }
}

/// The form in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    segment: Ohm,
    #[serde(default = "one")]
    scale: f64,
}

fn one() -> f64 {
    1.0
}

impl TryFrom<Unchecked> for Approximation {
    type Error = HardwareError;

    fn try_from(approximation: Unchecked) -> Result<Self, HardwareError> {
        Self::new(approximation.segment, approximation.scale)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_two_cells_follows_the_formula() {
        // By hand: n = 2, R = 10 kΩ = 0.01 MΩ, g = (4, 6) µS, x = (1, -0.5): Σ|g x| = 7, a = 2 · 0.01 · 7 = 0.14,
        // c = 0.14 (0.05 · 0.0196 - 0.028 + 0.5) = 0.0662172; the farther cell (input 0, j = n) weighs 1, the nearer 3/4.
        let approximation = Approximation::new(Ohm::new(1e4), 1.0).unwrap();
        let y = approximation
            .multiply(&[4.0, 6.0], 2, &[1.0, -0.5])
            .unwrap();
        let expected = 1.0 - 0.066_217_2 * (4.0 - 0.75 * 3.0);
        assert!((f64::from(y[0]) - expected).abs() < 1e-6, "{y:?}");
    }

    #[test]
    fn the_drop_of_full_voltages_is_met_and_that_of_others_in_part() {
        // The published setting: 0.35 Ω, cells up to 5 µS, 256 inputs; output lines alone have resistance.
        let (outputs, inputs) = (8, 256);
        let wires = Wires {
            output_segment: Ohm::new(0.35),
            ..Wires::default()
        };
        let network = WireNetwork::new(outputs, inputs, &wires).unwrap();
        let draws = crossburn_noise::Philox::new(3, 1);
        let uniform = |i: usize| draws.uniform(i as u64) as f32;
        let positive: Vec<f32> = (0..outputs * inputs).map(|i| 5.0 * uniform(i)).collect();
        let negative = vec![0.0; outputs * inputs];
        let approximation = Approximation::of_wires(&wires).unwrap();
        let error = |x: &[f32]| {
            let error = approximation.error(&network, &positive, &negative, x);
            error.unwrap()
        };
        // Full voltage everywhere: pulse widths and voltages are the same. The rest is the spread of the cells.
        let full = error(&[1.0; 256]);
        assert!(
            full.ideal_rms > 0.01 && full.rms < 0.1 * full.ideal_rms,
            "{full:?}"
        );
        // Voltages of one half on average: half of the drop is missed.
        let x: Vec<f32> = (0..inputs).map(|i| uniform((1 << 20) | i)).collect();
        let half = error(&x);
        let missed = half.rms / half.ideal_rms;
        assert!((0.4..0.6).contains(&missed), "{half:?}");
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        let wires = Wires::uniform(Ohm::new(1.0)).unwrap();
        let message = Approximation::of_wires(&wires).unwrap_err().to_string();
        assert!(message.contains("knows segments of output lines only"));
        let approximation: Approximation = toml::from_str("segment = \"2 Ohm\"").unwrap();
        assert_eq!(
            approximation,
            Approximation::new(Ohm::new(2.0), 1.0).unwrap()
        );
        assert!(approximation.multiply(&[1.0; 3], 2, &[1.0; 2]).is_err());
    }
}
