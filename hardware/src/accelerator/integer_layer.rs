//! One layer of an integer network.

use serde::{Deserialize, Serialize};

use super::{Rescale, Sparsity};
use crate::HardwareError;

/// Bits of an accumulator, sign included.
pub(super) const ACCUMULATOR_BITS: u32 = 24;

/// The widths that a weight may have.
pub(super) const WEIGHT_BITS: [u8; 4] = [8, 4, 2, 1];

/// The most channels, taps and time steps of a layer: products of sizes stay far from overflow.
pub(super) const MOST_CHANNELS: usize = 1 << 16;
const MOST_TAPS: usize = 1 << 20;
const MOST_CODES: usize = 1 << 28;

/// A convolution on signals in integers, with what follows it.
///
/// ```text
/// sum[o, t]    = bias[o] + Σ_c Σ_k weights[o, c, k] x[c, t stride + k - padding]        24 bits
/// code[o, t]   = clamp(rescale[o](sum[o, t]), 0, 2^bits - 1)                            the rectifier is the clamp at 0
/// pooled[o, t] = max of code[o, t pool.stride .. t pool.stride + pool.kernel]
/// ```
///
/// A dense layer is a convolution whose kernel is the whole length of its input: weight `[o, c, k]` meets element `c length + k`
/// of the flattened input.
///
/// # Shapes
/// `[inputs, length]` → `[outputs, positions]`, `positions = (length + padding - kernel) / stride + 1` rounded down, and the
/// same rule for pooling. Everything is row-major.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegerLayer {
    /// Its name in reports and errors.
    pub name: String,
    /// `[outputs, inputs, kernel]`.
    pub shape: [usize; 3],
    /// Bits of a weight: 8, 4, 2 or 1.
    pub weight_bits: u8,
    /// `[outputs, inputs, kernel]`: from `-Q` to `Q` with `Q = 2^(weight_bits - 1) - 1`; of 1 bit -1 or 1. Absent weights are 0.
    pub weights: Vec<i8>,
    /// Which weights are kept.
    #[serde(default)]
    pub sparsity: Sparsity,
    /// `[outputs, inputs, kernel]`: whether a weight is kept; empty for [`Sparsity::Dense`].
    #[serde(default)]
    pub kept: Vec<bool>,
    /// Per output, in the scale of the sums.
    pub bias: Vec<i32>,
    /// Distance of two windows.
    pub stride: usize,
    /// Zeros before and after the signal.
    pub padding: [usize; 2],
    /// How the sums become the output.
    pub output: LayerOutput,
}

/// How the sums of a layer are turned into its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerOutput {
    /// Unsigned codes for the next layer.
    Activations {
        /// Bits of a code, 1 to 8.
        bits: u8,
        /// A code of 1 stands for the real number `2^exponent`.
        exponent: i32,
        /// Per output.
        rescale: Vec<Rescale>,
        /// Maximum over windows of codes; without it, no pooling.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pool: Option<Pool>,
    },
    /// The sums are the results of the network; of its last layer, and of no other.
    Results {
        /// Per output: the real number that a sum of 1 stands for.
        scale: Vec<f32>,
    },
}

/// A maximum over windows in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Codes of a window.
    pub kernel: usize,
    /// Distance of two windows.
    pub stride: usize,
}

impl IntegerLayer {
    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.shape[0]
    }

    /// Input channels.
    pub fn inputs(&self) -> usize {
        self.shape[1]
    }

    /// Taps of a kernel.
    pub fn kernel(&self) -> usize {
        self.shape[2]
    }

    /// Weights of one output channel.
    pub fn reduction(&self) -> usize {
        self.inputs() * self.kernel()
    }

    /// Weights of one output channel.
    pub(super) fn row(&self, output: usize) -> &[i8] {
        let reduction = self.reduction();
        &self.weights[output * reduction..(output + 1) * reduction]
    }

    /// Whether a weight, counted in `[outputs, inputs, kernel]`, is kept.
    pub(super) fn is_kept(&self, index: usize) -> bool {
        self.kept.is_empty() || self.kept[index]
    }

    /// Kept weights.
    pub fn kept_weights(&self) -> usize {
        match self.kept.is_empty() {
            true => self.weights.len(),
            false => self.kept.iter().filter(|kept| **kept).count(),
        }
    }

    /// Positions of the window on a signal of `length` steps, before pooling.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a signal that is shorter than the kernel.
    pub(super) fn positions(&self, length: usize) -> Result<usize, HardwareError> {
        let padded = length
            .saturating_add(self.padding[0])
            .saturating_add(self.padding[1]);
        windows("the kernel", padded, self.kernel(), self.stride)
    }

    /// Steps of the layer's output for a signal of `length` steps, after pooling.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a signal that is shorter than the kernel or the pooling window.
    pub(super) fn output_length(&self, length: usize) -> Result<usize, HardwareError> {
        let positions = self.positions(length)?;
        match self.pool() {
            Some(pool) => windows("the pooling window", positions, pool.kernel, pool.stride),
            None => Ok(positions),
        }
    }

    /// The pooling that follows, if any.
    fn pool(&self) -> Option<Pool> {
        match &self.output {
            LayerOutput::Activations { pool, .. } => *pool,
            LayerOutput::Results { .. } => None,
        }
    }

    /// Whether every field can be, alone and with the others.
    ///
    /// # Errors
    /// [`HardwareError::Layer`] with [`HardwareError::Limit`] for a value outside its range and [`HardwareError::Conflict`] for
    /// sizes that differ and weights that the sparsity does not allow.
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        self.check_sizes()
            .and_then(|()| self.check_weights())
            .and_then(|()| self.check_output())
            .map_err(|error| self.named(error))
    }

    /// `error` with the name of the layer.
    pub(super) fn named(&self, error: HardwareError) -> HardwareError {
        HardwareError::Layer {
            path: self.name.clone(),
            error: Box::new(error),
        }
    }

    fn check_sizes(&self) -> Result<(), HardwareError> {
        let [outputs, inputs, kernel] = self.shape;
        require("shape[0] (outputs)", outputs, 1, MOST_CHANNELS)?;
        require("shape[1] (inputs)", inputs, 1, MOST_CHANNELS)?;
        require("shape[2] (kernel)", kernel, 1, MOST_TAPS)?;
        require("stride", self.stride, 1, MOST_TAPS)?;
        require("padding[0]", self.padding[0], 0, kernel - 1)?;
        require("padding[1]", self.padding[1], 0, kernel - 1)?;
        if let Some(pool) = self.pool() {
            require("pool.kernel", pool.kernel, 1, MOST_TAPS)?;
            require("pool.stride", pool.stride, 1, MOST_TAPS)?;
        }
        // 2^16 · 2^16 · 2^20 fits 64 bits.
        let weights = outputs as u64 * inputs as u64 * kernel as u64;
        let same = |what: &str, found: usize, expected: u64| match found as u64 == expected {
            true => Ok(()),
            false => Err(HardwareError::conflict(
                format!(
                    "{what} has {found} values, shape {:?} asks for {expected}",
                    self.shape
                ),
                "give one value for each",
            )),
        };
        same("weights", self.weights.len(), weights)?;
        if self.sparsity != Sparsity::Dense || !self.kept.is_empty() {
            same("kept", self.kept.len(), weights)?;
        }
        same("bias", self.bias.len(), outputs as u64)?;
        match &self.output {
            LayerOutput::Activations { rescale, .. } => {
                same("rescale", rescale.len(), outputs as u64)
            }
            LayerOutput::Results { scale } => same("scale", scale.len(), outputs as u64),
        }
    }

    fn check_weights(&self) -> Result<(), HardwareError> {
        if !WEIGHT_BITS.contains(&self.weight_bits) {
            return Err(HardwareError::limit(
                "weight_bits",
                self.weight_bits,
                "8, 4, 2, 1",
                "use one of these widths",
            ));
        }
        self.sparsity.check()?;
        if !self.kept.is_empty() {
            for (output, row) in self.kept.chunks_exact(self.reduction()).enumerate() {
                self.sparsity.check_row(output, row)?;
            }
        }
        let largest = match self.weight_bits {
            1 => 1,
            bits => (1i8 << (bits - 1)).wrapping_sub(1),
        };
        for (index, weight) in self.weights.iter().enumerate() {
            let field = || format!("weights[{index}]");
            let kept = self.is_kept(index);
            if !kept && *weight != 0 {
                return Err(HardwareError::limit(
                    field(),
                    weight,
                    "0 of absent weights",
                    "set weights that are not kept to 0",
                ));
            }
            if *weight < -largest || *weight > largest {
                let limit = format!("-{largest}..={largest} of {} bits", self.weight_bits);
                return Err(HardwareError::limit(
                    field(),
                    weight,
                    limit,
                    "clip weights to that range",
                ));
            }
            if kept && self.weight_bits == 1 && *weight == 0 {
                return Err(HardwareError::limit(
                    field(),
                    weight,
                    "-1 and 1 of kept weights of 1 bit",
                    "give it a sign, or do not keep it",
                ));
            }
        }
        Ok(())
    }

    fn check_output(&self) -> Result<(), HardwareError> {
        match &self.output {
            LayerOutput::Activations {
                bits,
                exponent,
                rescale,
                ..
            } => {
                require("output.bits", usize::from(*bits), 1, 8)?;
                check_exponent("output.exponent", *exponent)?;
                rescale.iter().try_for_each(|rescale| rescale.check())
            }
            LayerOutput::Results { scale } => {
                match scale
                    .iter()
                    .position(|scale| !scale.is_finite() || *scale <= 0.0)
                {
                    None => Ok(()),
                    Some(at) => Err(HardwareError::limit(
                        format!("output.scale[{at}]"),
                        scale[at],
                        "the finite values above zero",
                        "give the real number that a sum of 1 stands for",
                    )),
                }
            }
        }
    }
}

/// Powers of two that an `f32` holds as normal numbers.
pub(super) fn check_exponent(field: &str, exponent: i32) -> Result<(), HardwareError> {
    if (-126..=127).contains(&exponent) {
        return Ok(());
    }
    Err(HardwareError::limit(
        field,
        exponent,
        "-126..=127",
        "give the power of two that a code of 1 stands for",
    ))
}

/// `channels` × `length` codes fit the memory of any machine.
pub(super) fn check_codes(
    field: &str,
    channels: usize,
    length: usize,
) -> Result<(), HardwareError> {
    require(field, channels.saturating_mul(length), 1, MOST_CODES)
}

fn require(field: &str, value: usize, least: usize, most: usize) -> Result<(), HardwareError> {
    crate::cost::limit::require_count(field, value, least, most)
}

/// Windows of `kernel` steps at a distance of `stride` in `length` steps.
fn windows(
    what: &str,
    length: usize,
    kernel: usize,
    stride: usize,
) -> Result<usize, HardwareError> {
    match length.checked_sub(kernel) {
        Some(rest) => Ok(rest / stride + 1),
        None => Err(HardwareError::conflict(
            format!("{what} of {kernel} steps is longer than its signal of {length} steps"),
            "shorten it, or give a longer signal",
        )),
    }
}
