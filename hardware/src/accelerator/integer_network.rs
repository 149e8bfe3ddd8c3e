//! A chain of integer layers.

use serde::{Deserialize, Serialize};

use super::integer_layer::{ACCUMULATOR_BITS, MOST_CHANNELS, check_codes, check_exponent};
use super::{IntegerLayer, LayerOutput};
use crate::HardwareError;
use crate::cost::limit::require_count;
use crate::quantize::require_finite;

/// The input of a network: codes of a signal, row-major `[channels, length]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalFormat {
    /// Channels.
    pub channels: usize,
    /// Time steps.
    pub length: usize,
    /// A code of 1 stands for the real number `2^exponent`.
    pub exponent: i32,
}

/// Powers of two among which [`SignalFormat::fitting`] chooses.
const EXPONENTS: std::ops::RangeInclusive<i32> = -30..=30;

impl SignalFormat {
    /// The format of signals like these, whose `values` lie one after the other: the power of two with the smallest squared error, the
    /// larger of two that are alike.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a value that is not finite, and [`HardwareError::Conflict`] where all values are zero.
    pub fn fitting(channels: usize, length: usize, values: &[f32]) -> Result<Self, HardwareError> {
        require_finite("signal", values, REPAIR)?;
        if values.iter().all(|value| *value == 0.0) {
            return Err(HardwareError::conflict(
                "signals of nothing but zeros, which have no step",
                "give segments with a signal in them",
            ));
        }
        let mut best = (f64::INFINITY, 0);
        for exponent in EXPONENTS.rev() {
            let format = Self {
                channels,
                length,
                exponent,
            };
            let error = |value: &f32| {
                let code = f64::from(format.code(*value)) * f64::from(exponent).exp2();
                (code - f64::from(*value)).powi(2)
            };
            let error: f64 = values.iter().map(error).sum();
            if error < best.0 {
                best = (error, exponent);
            }
        }
        Ok(Self {
            channels,
            length,
            exponent: best.1,
        })
    }

    /// The code of one value.
    fn code(&self, value: f32) -> i8 {
        let step = (self.exponent as f32).exp2();
        (value / step).round_ties_even().clamp(-127.0, 127.0) as i8
    }
}

/// A network in integers: a signal of signed codes, layers one after the other, sums of the last layer as results.
///
/// It is checked when it is made, also when it is deserialized. Among the checks is that no input can make an accumulator
/// overflow: for every output channel, the most and the least that any part of its sum can reach lies within 24 bits. So sums
/// are the same in any order, and no evaluation saturates.
///
/// ```
/// use crossburn_hardware::accelerator::{
///     IntegerLayer, IntegerNetwork, LayerOutput, Rescale, SignalFormat, Sparsity,
/// };
///
/// let convolution = IntegerLayer {
///     name: "conv".into(),
///     shape: [1, 1, 2],
///     weight_bits: 4,
///     weights: vec![3, -1],
///     sparsity: Sparsity::Dense,
///     kept: Vec::new(),
///     bias: vec![10],
///     stride: 2,
///     padding: [0, 0],
///     output: LayerOutput::Activations {
///         bits: 8,
///         exponent: -4,
///         rescale: vec![Rescale { multiplier: 1, shift: 1 }],
///         pool: None,
///     },
/// };
/// let dense = IntegerLayer {
///     name: "dense".into(),
///     shape: [2, 1, 2],
///     weights: vec![1, 1, -1, 1],
///     bias: vec![0, 0],
///     stride: 1,
///     output: LayerOutput::Results { scale: vec![0.5, 0.5] },
///     ..convolution.clone()
/// };
/// let signal = SignalFormat { channels: 1, length: 4, exponent: -7 };
/// let network = IntegerNetwork::new(signal, vec![convolution, dense])?;
/// // 10 + 3·20 - 1·10 = 60, halved 30; 10 + 3·(-9) - 5 = -22, rectified 0.
/// assert_eq!(network.evaluate(&[20, 10, -9, 5])?, [30, -30]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Plain", into = "Plain")]
pub struct IntegerNetwork {
    signal: SignalFormat,
    layers: Vec<IntegerLayer>,
    /// Time steps before each layer and after the last.
    lengths: Vec<usize>,
}

impl IntegerNetwork {
    /// The bits of an accumulator, sign included.
    pub const ACCUMULATOR_BITS: u32 = ACCUMULATOR_BITS;

    /// A checked network.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] and [`HardwareError::Conflict`], for a layer inside [`HardwareError::Layer`]: a field outside
    /// its range, sizes that do not fit each other, weights that their sparsity does not allow, an accumulator that some input
    /// makes overflow, results before the last layer, and a last layer without them.
    pub fn new(signal: SignalFormat, layers: Vec<IntegerLayer>) -> Result<Self, HardwareError> {
        check_exponent("signal.exponent", signal.exponent)?;
        require_count("signal.channels", signal.channels, 1, MOST_CHANNELS)?;
        check_codes(
            "signal.channels x signal.length",
            signal.channels,
            signal.length,
        )?;
        if layers.is_empty() {
            return Err(HardwareError::conflict(
                "a network without layers",
                "give at least one",
            ));
        }
        let mut lengths = vec![signal.length];
        let mut codes = vec![
            Codes {
                least: i64::from(i8::MIN),
                most: i64::from(i8::MAX)
            };
            signal.channels
        ];
        for (number, layer) in layers.iter().enumerate() {
            layer.check()?;
            let step = check_fit(
                layer,
                codes.len(),
                lengths[number],
                number + 1 == layers.len(),
            );
            lengths.push(step.map_err(|error| layer.named(error))?);
            codes = outgoing_codes(layer, &codes).map_err(|error| layer.named(error))?;
        }
        Ok(Self {
            signal,
            layers,
            lengths,
        })
    }

    /// The input of the network.
    pub fn signal(&self) -> SignalFormat {
        self.signal
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[IntegerLayer] {
        &self.layers
    }

    /// Time steps before each layer, and after the last.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Bits of a code that layer `number` reads: 8 of the signal.
    pub fn input_bits(&self, number: usize) -> u8 {
        let before = number
            .checked_sub(1)
            .and_then(|before| self.layers.get(before));
        match before.map(|layer| &layer.output) {
            Some(LayerOutput::Activations { bits, .. }) => *bits,
            _ => 8,
        }
    }

    /// How many results there are: `[channels, steps]` of the last layer.
    pub fn results(&self) -> [usize; 2] {
        let channels = self.layers.last().map_or(0, IntegerLayer::outputs);
        [channels, self.lengths.last().copied().unwrap_or(0)]
    }

    /// The codes of a real signal: `clamp(round(x / 2^exponent), -127, 127)`, halves to the even code.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for another number of values than the network takes; [`HardwareError::Limit`] for a value
    /// that is not finite.
    pub fn quantize_signal(&self, values: &[f32]) -> Result<Vec<i8>, HardwareError> {
        self.check_signal(values.len())?;
        require_finite("signal", values, REPAIR)?;
        Ok(values
            .iter()
            .map(|value| self.signal.code(*value))
            .collect())
    }

    /// The real numbers that `results` stand for, `[channels, steps]` as [`evaluate`](Self::evaluate) gives them.
    pub fn real_results(&self, results: &[i32]) -> Vec<f32> {
        let [_, steps] = self.results();
        let scale: &[f32] = match self.layers.last().map(|layer| &layer.output) {
            Some(LayerOutput::Results { scale }) => scale,
            _ => &[],
        };
        let channels = results.chunks(steps.max(1)).zip(scale);
        channels
            .flat_map(|(results, scale)| results.iter().map(move |result| *result as f32 * scale))
            .collect()
    }

    /// # Errors
    /// [`HardwareError::Conflict`].
    pub(super) fn check_signal(&self, values: usize) -> Result<(), HardwareError> {
        let SignalFormat {
            channels, length, ..
        } = self.signal;
        if values == channels * length {
            return Ok(());
        }
        Err(HardwareError::conflict(
            format!("a signal of {values} values for a network that takes {channels} x {length}"),
            "give as many values as the network takes",
        ))
    }
}

/// Remedy for a signal with a value that is not finite.
const REPAIR: &str = "leave the segment out, or repair it";

/// The fields of a network before they are checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    signal: SignalFormat,
    layers: Vec<IntegerLayer>,
}

impl TryFrom<Plain> for IntegerNetwork {
    type Error = HardwareError;

    fn try_from(plain: Plain) -> Result<Self, HardwareError> {
        Self::new(plain.signal, plain.layers)
    }
}

impl From<IntegerNetwork> for Plain {
    fn from(network: IntegerNetwork) -> Self {
        Self {
            signal: network.signal,
            layers: network.layers,
        }
    }
}

/// Which codes a channel can have.
#[derive(Clone, Copy)]
struct Codes {
    least: i64,
    most: i64,
}

/// The steps of a layer's output, after its sizes were compared with its input.
fn check_fit(
    layer: &IntegerLayer,
    channels: usize,
    length: usize,
    last: bool,
) -> Result<usize, HardwareError> {
    if layer.inputs() != channels {
        return Err(HardwareError::conflict(
            format!(
                "shape[1] = {} inputs, {channels} channels come in",
                layer.inputs()
            ),
            "use the same number",
        ));
    }
    match (&layer.output, last) {
        (LayerOutput::Results { .. }, false) => Err(HardwareError::conflict(
            "results before the last layer",
            "give it activations",
        )),
        (LayerOutput::Activations { .. }, true) => Err(HardwareError::conflict(
            "activations of the last layer",
            "give it results",
        )),
        _ => {
            check_codes(
                "outputs x positions",
                layer.outputs(),
                layer.positions(length)?,
            )?;
            layer.output_length(length)
        }
    }
}

/// The codes that each output channel can have.
///
/// # Errors
/// [`HardwareError::Limit`] for an accumulator that some input makes overflow.
fn outgoing_codes(layer: &IntegerLayer, incoming: &[Codes]) -> Result<Vec<Codes>, HardwareError> {
    let (least_sum, most_sum) = (
        -(1i64 << (ACCUMULATOR_BITS - 1)),
        (1i64 << (ACCUMULATOR_BITS - 1)) - 1,
    );
    let mut outgoing = Vec::with_capacity(layer.outputs());
    for output in 0..layer.outputs() {
        let bias = i64::from(layer.bias[output]);
        // A part of a sum may hold any of the products, and the bias or not: each counts towards one side only.
        let (mut least, mut most) = (bias.min(0), bias.max(0));
        for (row, codes) in layer.row(output).chunks_exact(layer.kernel()).zip(incoming) {
            for weight in row {
                let ends = [codes.least, codes.most].map(|code| code * i64::from(*weight));
                least += ends[0].min(ends[1]).min(0);
                most += ends[0].max(ends[1]).max(0);
            }
        }
        for (end, sum) in [("smallest", least), ("largest", most)] {
            if !(least_sum..=most_sum).contains(&sum) {
                return Err(HardwareError::limit(
                    format!("the {end} sum of output {output}"),
                    sum,
                    format!("{least_sum}..={most_sum} of a {ACCUMULATOR_BITS}-bit accumulator"),
                    "give the weights or the activations before them fewer bits, or keep fewer weights",
                ));
            }
        }
        // The bias is part of every whole sum.
        let most = most + bias.min(0);
        outgoing.push(match &layer.output {
            LayerOutput::Activations { bits, rescale, .. } => Codes {
                least: 0,
                most: rescale[output].apply(most as i32).clamp(0, (1 << bits) - 1),
            },
            LayerOutput::Results { .. } => Codes { least, most },
        });
    }
    Ok(outgoing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_signal_gets_the_finest_step_that_holds_its_peaks() {
        let exponent = |values: &[f32]| {
            SignalFormat::fitting(1, values.len(), values)
                .unwrap()
                .exponent
        };
        // 127 steps of 1/16 reach 7.9375, 127 of 1/32 only 3.96875.
        assert_eq!(exponent(&[7.9375, 0.0625, -1.0]), -4);
        assert_eq!(exponent(&[3.96875, 0.03125, -1.0]), -5);
        // 127 of 1/32 clip one peak of 4 by 1/32; steps of 1/16 would round a thousand values of 1/32 to zero.
        let mut values = vec![1.0 / 32.0; 1000];
        values.push(4.0);
        assert_eq!(exponent(&values), -5);
        assert!(SignalFormat::fitting(1, 1, &[f32::NAN]).is_err());
        let message = SignalFormat::fitting(1, 2, &[0.0, -0.0]).unwrap_err();
        assert!(
            message
                .to_string()
                .starts_with("signals of nothing but zeros")
        );
    }
}
