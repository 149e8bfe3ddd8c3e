//! A matrix in the bytes in which it is stored.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use pulp::Arch;
use rayon::prelude::*;

use super::WeightFormat;
use super::format::encode_q8_0;
use super::input::QuantizedInput;
use super::product::{Input, Path};
use crate::fresh::zeros;
use crate::matrix::{Matrix, multiply};
use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// Bytes that whoever needs them holds together, such as a part of a file in memory.
#[derive(Clone)]
pub struct SharedBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl SharedBytes {
    /// Bytes `range` of `owner`; `None` where it has fewer.
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Option<Self> {
        let inside = (*owner).as_ref().get(range.clone()).is_some();
        inside.then_some(Self { owner, range })
    }

    fn bytes(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            range: 0..bytes.len(),
            owner: Arc::new(bytes),
        }
    }
}

/// A matrix `[outputs, inputs]` whose rows, those of the outputs, lie in whole blocks of a [`WeightFormat`].
///
/// ```
/// use crossburn_kernels::{QuantizedMatrix, WeightFormat};
///
/// let values: Vec<f32> = (0..64).map(|i| i as f32 / 64.0).collect();
/// let matrix = QuantizedMatrix::encoded(WeightFormat::Q8_0, &values, [2, 32]).unwrap();
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

/// The most rows of inputs that are multiplied one by one with the blocks. Beyond, unpacking the weight pays.
const FEW_ROWS: usize = 4;

/// Weights that a thread takes at a time for a few rows: fewer are not worth a thread.
const PIECE: usize = 1 << 16;

/// Outputs whose weights are unpacked at a time for many rows: about 200 KiB for 576 inputs, which a second-level cache holds.
const PANEL: usize = 96;

impl QuantizedMatrix {
    /// `bytes` hold the rows of `[outputs, inputs]`, row after row. `None` where they are not as many bytes as that takes.
    pub fn new(
        format: WeightFormat,
        [outputs, inputs]: [usize; 2],
        bytes: SharedBytes,
    ) -> Option<Self> {
        let row_bytes = format.row_bytes(inputs)?;
        let fits = outputs.checked_mul(row_bytes) == Some(bytes.range.len()) && row_bytes > 0;
        fits.then_some(Self {
            format,
            outputs,
            inputs,
            row_bytes,
            bytes,
        })
    }

    /// `values`, row after row, in a format that can be made of them: F16, BF16 and Q8_0. `None` for another, for rows that are not
    /// whole blocks, and for values whose halves or scales are not finite.
    pub fn encoded(
        format: WeightFormat,
        values: &[f32],
        [outputs, inputs]: [usize; 2],
    ) -> Option<Self> {
        let halves = |half: fn(f32) -> [u8; 2]| values.iter().flat_map(|x| half(*x)).collect();
        let whole = format.row_bytes(inputs).is_some();
        let bytes: Vec<u8> = match format {
            WeightFormat::F16 => halves(|x| f16::from_f32(x).to_le_bytes()),
            WeightFormat::BF16 => halves(|x| bf16::from_f32(x).to_le_bytes()),
            WeightFormat::Q8_0 if whole => {
                let blocks = values.as_chunks::<32>().0.iter();
                blocks.flat_map(encode_q8_0).collect()
            }
            _ => return None,
        };
        let matrix = Self::new(format, [outputs, inputs], bytes.into())?;
        matrix.is_finite().then_some(matrix)
    }

    /// How the numbers are stored.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Outputs and inputs.
    pub fn dims(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// Bytes of all rows.
    pub fn byte_count(&self) -> usize {
        self.bytes.range.len()
    }

    /// The numbers of rows `rows`, row after row.
    ///
    /// # Panics
    /// Where there are no such rows.
    pub fn unpacked(&self, rows: Range<usize>) -> Vec<f32> {
        let mut out = zeros(rows.len() * self.inputs);
        self.unpack(rows, &mut out);
        out
    }

    fn unpack(&self, rows: Range<usize>, out: &mut [f32]) {
        let bytes = &self.bytes.bytes()[rows.start * self.row_bytes..rows.end * self.row_bytes];
        Arch::new().dispatch(|| self.format.dequantise(bytes, out));
    }

    /// Whether every number is finite. All bytes are read for it.
    pub fn is_finite(&self) -> bool {
        self.first_not_finite().is_none()
    }

    /// The first number that is not finite: its place, row after row, and its value.
    pub fn first_not_finite(&self) -> Option<(usize, f32)> {
        let rows = (0..self.outputs).into_par_iter();
        rows.find_map_first(|row| {
            with_workspace(self.inputs, |values| {
                self.unpack(row..row + 1, values);
                let found = values.iter().position(|value| !value.is_finite())?;
                Some((row * self.inputs + found, values[found]))
            })
        })
    }

    /// `input · matrixᵀ + bias`: `[rows, outputs]` from `[rows, inputs]`.
    ///
    /// The same bits on any number of threads. Up to four rows with blocks take the inputs in eight bits.
    ///
    /// # Panics
    /// Where the sizes do not fit.
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
            _ => self.many_rows(input),
        };
        if let Some(bias) = bias {
            assert_eq!(bias.len(), self.outputs);
            for row in out.chunks_exact_mut(self.outputs) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
        out
    }

    /// Row after row with the bytes as they are.
    pub(super) fn few_rows(&self, path: Path, input: &[f32]) -> Vec<f32> {
        let arch = Arch::new();
        let bytes = self.bytes.bytes();
        let count = (PIECE / self.inputs).max(1).next_multiple_of(8);
        let mut out = zeros(input.len() / self.inputs * self.outputs);
        let in_blocks = self.format.block_values() > 1;
        for (row, out) in input
            .chunks_exact(self.inputs)
            .zip(out.chunks_exact_mut(self.outputs))
        {
            let quantized = in_blocks.then(|| QuantizedInput::new(arch, row));
            let input = match &quantized {
                Some(quantized) => Input::Quantized(quantized),
                None => Input::Floats(row),
            };
            out.par_chunks_mut(count)
                .zip(bytes.par_chunks(count * self.row_bytes))
                .for_each(|(out, rows)| {
                    path.products(self.format, rows, self.row_bytes, input, out)
                });
        }
        out
    }

    /// Panel after panel, unpacked.
    fn many_rows(&self, input: &[f32]) -> Vec<f32> {
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
