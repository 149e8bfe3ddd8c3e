//! A matrix that stays in the bytes in which it is stored.

use std::fmt;
use std::ops::Range;

use half::{bf16, f16};
use pulp::Arch;
use rayon::prelude::*;

use super::format::{encode_q4_0, encode_q8_0};
use super::input::QuantizedInput;
use super::interleaved::{ROWS, interleave, parts, separate};
use super::product::{Input, Path, Rows};
use super::{EncodedFormat, SharedBytes, WeightFormat};
use crate::fresh::zeros;
use crate::matrix::{Matrix, multiply};
use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// A matrix `[outputs, inputs]`. Each row belongs to an output, and consists of whole blocks of a [`WeightFormat`].
///
/// ```
/// use crossburn_kernels::{EncodedFormat, QuantizedMatrix};
///
/// let values: Vec<f32> = (0..64).map(|i| i as f32 / 64.0).collect();
/// let matrix = QuantizedMatrix::encoded(EncodedFormat::Q8_0, &values, [2, 32]).unwrap();
/// assert_eq!(matrix.byte_count(), 2 * 34);
/// let product = matrix.product(&[1.0; 32], None);
/// assert!((product[0] - values[..32].iter().sum::<f32>()).abs() < 0.05);
/// ```
#[derive(Clone)]
pub struct QuantizedMatrix {
    format: WeightFormat,
    outputs: usize,
    inputs: usize,
    row_bytes: usize,
    bytes: SharedBytes,
    /// Whether the rows of sixteen outputs lie side by side.
    interleaved: bool,
}

impl fmt::Debug for QuantizedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            format,
            outputs,
            inputs,
            ..
        } = self;
        write!(f, "QuantizedMatrix([{outputs}, {inputs}] {format})")
    }
}

/// Most rows of inputs that are multiplied directly with the blocks. For more rows, unpacking the weight is faster.
const FEW_ROWS: usize = 4;

/// Fewest weights that a thread takes if there are few rows of inputs.
const PIECE: usize = 1 << 16;

/// Outputs whose weights are unpacked at a time if there are many rows: about 200 KiB for 576 inputs, which fits into a second-level cache.
const PANEL: usize = 96;

/// Weights that are unpacked at a time for the gradient of an input: 4 MiB, a layer of 1024 inputs and outputs.
const SLAB: usize = 1 << 20;

/// Fewest rows of a gradient that a thread takes.
const PIECE_ROWS: usize = 16;

impl QuantizedMatrix {
    /// The matrix `[outputs, inputs]` whose rows are in `bytes`, one after the other. `None` if the number of bytes does not fit, or if there are no
    /// outputs or no inputs.
    pub fn new(
        format: WeightFormat,
        [outputs, inputs]: [usize; 2],
        bytes: SharedBytes,
    ) -> Option<Self> {
        let row_bytes = format.row_bytes(inputs)?;
        let fits = outputs.checked_mul(row_bytes) == Some(bytes.count());
        (fits && bytes.count() > 0).then_some(Self {
            format,
            outputs,
            inputs,
            row_bytes,
            bytes,
            interleaved: false,
        })
    }

    /// The same matrix, with a copy of its bytes in an order in which products with up to four rows of inputs are faster. Matrices whose outputs are no
    /// multiple of 16, and formats other than `Q8_0`, `Q4_0` and `Q4_1`, stay as they are.
    #[must_use]
    pub fn interleaved(self) -> Self {
        let is_new = !self.interleaved && self.format.interleaves(self.outputs);
        match parts(self.format) {
            Some(parts) if is_new => Self {
                bytes: interleave(parts, self.bytes.bytes(), self.row_bytes).into(),
                interleaved: true,
                ..self
            },
            _ => self,
        }
    }

    /// `values`, row after row, each rounded to the nearest number of `format`. All numbers of the result are finite: the result is `None` if values are
    /// not, or if they or their scales become infinite. It is also `None` if rows are not whole blocks, or if the number of values does not fit.
    pub fn encoded(
        format: EncodedFormat,
        values: &[f32],
        [outputs, inputs]: [usize; 2],
    ) -> Option<Self> {
        let fits = outputs.checked_mul(inputs) == Some(values.len());
        if !fits || WeightFormat::from(format).row_bytes(inputs).is_none() {
            return None;
        }
        let bytes: Option<Vec<u8>> = match format {
            EncodedFormat::F16 => encoded(values, |[value]| {
                let half = f16::from_f32(*value);
                half.is_finite().then_some(half.to_le_bytes())
            }),
            EncodedFormat::BF16 => encoded(values, |[value]| {
                let half = bf16::from_f32(*value);
                half.is_finite().then_some(half.to_le_bytes())
            }),
            EncodedFormat::Q8_0 => encoded(values, encode_q8_0),
            EncodedFormat::Q4_0 => encoded(values, encode_q4_0),
        };
        Self::new(format.into(), [outputs, inputs], bytes?.into())
    }

    /// How the numbers are stored.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Number of outputs, and of inputs.
    pub fn dims(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// Bytes of all rows.
    pub fn byte_count(&self) -> usize {
        self.bytes.count()
    }

    /// The numbers of the rows in `rows`, row after row.
    ///
    /// # Panics
    /// If the matrix has fewer rows.
    pub fn unpacked(&self, rows: Range<usize>) -> Vec<f32> {
        let mut out = zeros(rows.len() * self.inputs);
        self.unpack(rows, &mut out);
        out
    }

    fn unpack(&self, rows: Range<usize>, out: &mut [f32]) {
        let bytes = self.bytes.bytes();
        let Some(parts) = parts(self.format).filter(|_| self.interleaved) else {
            let bytes = &bytes[rows.start * self.row_bytes..rows.end * self.row_bytes];
            return self.format.dequantise(bytes, out);
        };
        let mut own = vec![0; self.row_bytes];
        for (row, out) in rows.zip(out.chunks_exact_mut(self.inputs)) {
            let panel = &bytes[row / ROWS * ROWS * self.row_bytes..][..ROWS * self.row_bytes];
            separate(parts, panel, row % ROWS, &mut own);
            self.format.dequantise(&own, out);
        }
    }

    /// Whether all numbers are finite. This reads all bytes.
    pub fn is_finite(&self) -> bool {
        (0..self.outputs).into_par_iter().all(|row| {
            with_workspace(self.inputs, |values| {
                self.unpack(row..row + 1, values);
                values.iter().all(|value| value.is_finite())
            })
        })
    }

    /// `input · matrixᵀ + bias`: `[rows, outputs]` from `[rows, inputs]`.
    ///
    /// The number of threads does not change a bit. If there are up to four rows of inputs and the format has blocks, inputs are rounded to eight bits.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn product(&self, input: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        assert!(
            input.len().is_multiple_of(self.inputs),
            "rows of {} inputs",
            self.inputs
        );
        let rows = input.len() / self.inputs;
        let mut out = match rows {
            0 => Vec::new(),
            1..=FEW_ROWS => self.few_rows(Path::best(), input),
            _ => self.product_of_numbers(input),
        };
        if let Some(bias) = bias {
            assert_eq!(bias.len(), self.outputs);
            for row in out.chunks_exact_mut(self.outputs) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
        out
    }

    /// Multiplies with the bytes directly. A thread takes a piece of the weight through all rows of inputs, so that the piece is read from memory once.
    pub(super) fn few_rows(&self, path: Path, input: &[f32]) -> Vec<f32> {
        let arch = Arch::new();
        let count = (PIECE / self.inputs).max(1).next_multiple_of(ROWS);
        let rows = input.chunks_exact(self.inputs);
        let quantized: Vec<QuantizedInput> = match self.format.block_values() {
            1 => Vec::new(),
            _ => (rows.clone())
                .map(|row| QuantizedInput::new(arch, row))
                .collect(),
        };
        let inputs: Vec<Input> = match quantized.is_empty() {
            true => rows.map(Input::Floats).collect(),
            false => quantized.iter().map(Input::Quantized).collect(),
        };
        let mut out = zeros(inputs.len() * self.outputs);
        let weights = self.bytes.bytes().chunks(count * self.row_bytes);
        let mut pieces: Vec<(&[u8], Vec<&mut [f32]>)> = weights
            .map(|weights| (weights, Vec::with_capacity(inputs.len())))
            .collect();
        for row in out.chunks_exact_mut(self.outputs) {
            for ((_, outs), out) in pieces.iter_mut().zip(row.chunks_mut(count)) {
                outs.push(out);
            }
        }
        pieces.into_par_iter().for_each(|(bytes, outs)| {
            let rows = Rows {
                format: self.format,
                bytes,
                row_bytes: self.row_bytes,
                interleaved: self.interleaved,
            };
            for (input, out) in inputs.iter().zip(outs) {
                path.products(rows, *input, out);
            }
        });
        out
    }

    /// `gradient · matrix`: `[rows, inputs]` from `[rows, outputs]`, the gradient of the input of a product.
    ///
    /// The weights of some outputs at a time are unpacked on all cores, and multiplied. The number of threads does not change a bit.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub(super) fn input_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        assert!(
            gradient.len().is_multiple_of(self.outputs),
            "rows of {} outputs",
            self.outputs
        );
        let rows = gradient.len() / self.outputs;
        let gradient = Matrix::new(gradient, rows, self.outputs);
        let piece = (rows / 8).max(PIECE_ROWS);
        let mut out = zeros(rows * self.inputs);
        let mut slab = Vec::new();
        for (first, count) in even_parts(self.outputs, (SLAB / self.inputs).max(1)) {
            slab.resize(count * self.inputs, 0.0);
            slab.par_chunks_mut(self.inputs)
                .enumerate()
                .for_each(|(row, values)| self.unpack(first + row..first + row + 1, values));
            let weight = Matrix::new(&slab, count, self.inputs);
            let gradient = gradient.columns(first, count);
            out.par_chunks_mut(piece * self.inputs)
                .enumerate()
                .for_each(|(index, out)| {
                    let gradient = gradient.rows(index * piece, out.len() / self.inputs);
                    multiply(out, gradient, weight, true);
                });
        }
        out
    }

    /// `input · matrixᵀ`, with one panel after the other unpacked.
    pub(super) fn product_of_numbers(&self, input: &[f32]) -> Vec<f32> {
        let rows = input.len() / self.inputs;
        let input = Matrix::new(input, rows, self.inputs);
        let panels: Vec<(usize, usize)> = even_parts(self.outputs, PANEL).collect();
        let products: Vec<Vec<f32>> = panels
            .par_iter()
            .map(|(first, count)| {
                let mut out = vec![0.0; rows * count];
                with_workspace(count * self.inputs, |panel| {
                    self.unpack(*first..first + count, panel);
                    let panel = Matrix::new(panel, *count, self.inputs);
                    multiply(&mut out, input, panel.transposed(), false);
                });
                out
            })
            .collect();
        let mut out = zeros(rows * self.outputs);
        out.par_chunks_mut(self.outputs)
            .enumerate()
            .for_each(|(row, out)| {
                for ((first, count), product) in panels.iter().zip(&products) {
                    let product = &product[row * count..(row + 1) * count];
                    out[*first..first + count].copy_from_slice(product);
                }
            });
        out
    }
}

/// The bytes of all groups of `values`; `None` if one of them has none.
fn encoded<const VALUES: usize, const BYTES: usize>(
    values: &[f32],
    encode: impl Fn(&[f32; VALUES]) -> Option<[u8; BYTES]>,
) -> Option<Vec<u8>> {
    let groups = values.as_chunks::<VALUES>().0;
    let mut bytes = Vec::with_capacity(groups.len() * BYTES);
    for group in groups {
        bytes.extend(encode(group)?);
    }
    Some(bytes)
}
