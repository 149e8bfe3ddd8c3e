//! A block of inputs in the form that its products take.

use super::bit_tables::BitIndex;
use super::scratch::Scratch;
use super::{Conversion, Dac, InputSign};
use crate::map::Tiling;

/// Sums of a row and bit below which tables of partial sums cost more than they save.
const TABLES_FROM: usize = 64;

/// In which pieces a product is made: fixed for a matrix.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    /// Full scale of a piece, as a number of its codes.
    pub(super) levels: f32,
    /// Factor of the result of each piece; one piece is the whole input.
    pub(super) factors: Vec<f32>,
    /// Bits of a piece.
    width: u32,
}

impl Pieces {
    /// Whole inputs where nothing is converted in between.
    pub(super) fn new(dac: &Dac, conversion: Option<Conversion>) -> Self {
        let (width, count) = dac.slices();
        if count == 1 || conversion != Some(Conversion::PerSlice) {
            return Self {
                levels: dac.levels() as f32,
                factors: vec![1.0],
                width: dac.magnitude_bits(),
            };
        }
        let slice_levels = ((1u32 << width) - 1) as f32;
        let factor =
            |j: usize| ((width * j as u32) as f32).exp2() * slice_levels / dac.levels() as f32;
        Self {
            levels: slice_levels,
            factors: (0..count).map(factor).collect(),
            width,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.factors.len()
    }
}

/// The factors of the cells.
pub(super) enum Operands {
    /// One matrix of codes `[rows, inputs]` per piece.
    Codes(Vec<Scratch>),
    /// The bits of all pieces, per row tile.
    Bits(Vec<BitIndex>),
}

/// Inputs after their converter.
pub(super) struct CodedInputs {
    /// Rows of the batch.
    pub(super) rows: usize,
    /// Sum of the codes of every row.
    pub(super) sums: Vec<f32>,
    /// The factors of the cells.
    pub(super) operands: Operands,
    /// Factors of the variances of read noise, per piece, in codes squared. Empty without noise, and for bits, which are
    /// their own squares.
    pub(super) squares: Vec<Vec<f32>>,
}

impl CodedInputs {
    pub(super) fn new(x: &[f32], dac: &Dac, pieces: &Pieces, tiling: &Tiling, noise: bool) -> Self {
        let inputs = tiling.input_range(tiling.row_tiles - 1).end;
        let rows = x.len() / inputs;
        let mut codes = Scratch::new(x.len());
        let sums = x
            .chunks_exact(inputs)
            .zip(codes.chunks_exact_mut(inputs))
            .map(|(x, codes)| dac.encode(x, codes))
            .collect();
        if pieces.count() == 1 {
            let squares = match noise {
                true => vec![squares(&codes, dac)],
                false => Vec::new(),
            };
            let operands = Operands::Codes(vec![codes]);
            return Self {
                rows,
                sums,
                operands,
                squares,
            };
        }
        if pieces.width == 1 && rows * pieces.count() >= TABLES_FROM {
            let signed = dac.sign == InputSign::Signed;
            let bits = dac.magnitude_bits();
            let index =
                |tile| BitIndex::new(&codes, inputs, tiling.input_range(tile), bits, signed);
            let operands = Operands::Bits((0..tiling.row_tiles).map(index).collect());
            return Self {
                rows,
                sums,
                operands,
                squares: Vec::new(),
            };
        }
        let digits = |piece: usize| {
            let (shift, mask) = (pieces.width * piece as u32, (1 << pieces.width) - 1);
            let mut digits = Scratch::new(codes.len());
            for (digit, code) in digits.iter_mut().zip(codes.iter()) {
                let integer = *code as i32;
                *digit = (((integer.abs() >> shift) & mask) * integer.signum()) as f32;
            }
            digits
        };
        let digits: Vec<Scratch> = (0..pieces.count()).map(digits).collect();
        let square = |digits: &Scratch| digits.iter().map(|d| d * d).collect();
        let squares = match noise {
            true => digits.iter().map(square).collect(),
            false => Vec::new(),
        };
        Self {
            rows,
            sums,
            operands: Operands::Codes(digits),
            squares,
        }
    }
}

/// The squares that the noise of a whole product grows with: every input slice is a read of its own, so with slices it is
/// the sum of the squares of shifted digits, not the square of the sum.
fn squares(codes: &[f32], dac: &Dac) -> Vec<f32> {
    let (width, count) = dac.slices();
    let square = |code: &f32| {
        let magnitude = code.abs() as u32;
        let digit = |j: u32| ((magnitude >> (width * j)) & ((1 << width) - 1)) << (width * j);
        let squares = (0..count as u32).map(|j| (digit(j) as f32) * digit(j) as f32);
        squares.sum()
    };
    codes.iter().map(square).collect()
}
