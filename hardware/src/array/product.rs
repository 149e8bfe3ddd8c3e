//! The currents of a block of rows and lines, and what is done with them.

use std::ops::Range;

use crossburn_kernels::matrix::{Matrix, multiply};

use super::bank::Bank;
use super::bit_tables::{LINES, Power, Sums, accumulate};
use super::coded_inputs::{CodedInputs, Operands, Pieces};
use super::programmed_matrix::BANK_LINES;
use super::reads::{self, Reads};
use super::scratch::Scratch;
use crate::map::Tiling;

/// Currents of some lines of one bank, before conversion.
pub(super) struct Currents<'a> {
    /// Index of the bank.
    pub(super) bank: usize,
    /// First line of the bank.
    pub(super) first_line: usize,
    /// Lines in use.
    pub(super) width: usize,
    /// `[rows, pieces, stride]`, of which `width` are used.
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    /// Index of the first piece, and pieces that `values` holds.
    pub(super) pieces: Range<usize>,
}

/// One block of rows against the banks of a matrix.
pub(super) struct Product<'a> {
    pub(super) banks: &'a [Bank],
    pub(super) tiling: &'a Tiling,
    pub(super) lines: usize,
    pub(super) pieces: &'a Pieces,
    pub(super) inputs: &'a CodedInputs,
    /// Noise of the rows of the block.
    pub(super) reads: Option<Reads<'a>>,
    /// Whether codes have draws of their own.
    pub(super) codes_scatter: bool,
}

impl Product<'_> {
    /// Hands all currents of `lines`, which start at a multiple of [`BANK_LINES`], to `sink`, bank by bank.
    pub(super) fn each(&self, lines: Range<usize>, mut sink: impl FnMut(Currents<'_>)) {
        debug_assert!(lines.start.is_multiple_of(BANK_LINES));
        match &self.inputs.operands {
            Operands::Codes(codes) => self.by_matrices(codes, lines, &mut sink),
            Operands::Bits(index) => {
                let mut sums = Vec::new();
                let mut variances = Vec::new();
                let mut scratch = Vec::new();
                for first in lines.clone().step_by(LINES) {
                    let width = LINES.min(lines.end - first);
                    for (bank, cells) in self.banks.iter().enumerate() {
                        let index = &index[bank % self.tiling.row_tiles];
                        sums.resize(index.len(), [0.0; LINES]);
                        let fill = |cells: &[f32], power, sums: &mut Vec<Sums>| {
                            accumulate(index, cells, self.lines, first, power, sums);
                        };
                        fill(&cells.cells, Power::First, &mut sums);
                        if let (Some(reads), Some(squares)) = (&self.reads, &cells.variances) {
                            variances.resize(index.len(), [0.0; LINES]);
                            fill(squares, Power::Second, &mut variances);
                            let (sums, variances) =
                                (sums.as_flattened_mut(), variances.as_flattened());
                            let pieces = 0..self.pieces.count();
                            self.noise(
                                reads,
                                bank,
                                pieces,
                                first,
                                width,
                                LINES,
                                variances,
                                sums,
                                &mut scratch,
                            );
                        }
                        sink(Currents {
                            bank,
                            first_line: first,
                            width,
                            values: sums.as_flattened(),
                            stride: LINES,
                            pieces: 0..self.pieces.count(),
                        });
                    }
                }
            }
        }
    }

    fn by_matrices(
        &self,
        codes: &[Scratch],
        lines: Range<usize>,
        sink: &mut impl FnMut(Currents<'_>),
    ) {
        let (rows, width) = (self.inputs.rows, lines.len());
        let mut currents = Scratch::new(rows * width);
        let mut variances = Vec::new();
        let mut scratch = Vec::new();
        for (bank, cells) in self.banks.iter().enumerate() {
            let inputs = self.tiling.input_range(bank % self.tiling.row_tiles);
            let product = |out: &mut [f32], left: &[f32], right: &[f32]| {
                let left = Matrix::new(left, rows, left.len() / rows).transposed();
                let left = left.rows(inputs.start, inputs.len()).transposed();
                let right = Matrix::new(right, inputs.len(), self.lines).transposed();
                multiply(
                    out,
                    left,
                    right.rows(lines.start, width).transposed(),
                    false,
                );
            };
            for (piece, codes) in codes.iter().enumerate() {
                product(&mut currents, codes, &cells.cells);
                if let (Some(reads), Some(squares)) = (&self.reads, &cells.variances) {
                    variances.resize(rows * width, 0.0);
                    product(&mut variances, &self.inputs.squares[piece], squares);
                    self.noise(
                        reads,
                        bank,
                        piece..piece + 1,
                        lines.start,
                        width,
                        width,
                        &variances,
                        &mut currents,
                        &mut scratch,
                    );
                }
                sink(Currents {
                    bank,
                    first_line: lines.start,
                    width,
                    values: &currents,
                    stride: width,
                    pieces: piece..piece + 1,
                });
            }
        }
    }

    /// Adds the noise of some pieces to `currents`, `[rows, pieces, stride]`.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a block of currents"
    )]
    fn noise(
        &self,
        reads: &Reads<'_>,
        bank: usize,
        pieces: Range<usize>,
        first_line: usize,
        width: usize,
        stride: usize,
        variances: &[f32],
        currents: &mut [f32],
        scratch: &mut Vec<f64>,
    ) {
        let count = pieces.len();
        let values = currents.chunks_exact_mut(stride);
        for (at, (currents, variances)) in values.zip(variances.chunks_exact(stride)).enumerate() {
            let (row, piece) = (at / count, pieces.start + at % count);
            let conversion = bank * self.pieces.count() + piece;
            let block = self.block(reads.numbers[row], conversion);
            reads::add_noise(
                &reads.draws,
                block.wrapping_add((first_line / 4) as u64),
                &variances[..width],
                &mut currents[..width],
                scratch,
            );
        }
    }

    /// The position of the first draw of one conversion of a read. Draws of codes follow the draws of all currents.
    fn block(&self, read: u64, conversion: usize) -> u64 {
        let kinds = 1 + usize::from(self.codes_scatter);
        let draws = kinds * self.banks.len() * self.pieces.count();
        reads::block(self.lines, draws, read, conversion)
    }

    /// Uniform draws for the codes of `currents`, in its layout; none where codes do not scatter.
    pub(super) fn code_draws(&self, currents: &Currents<'_>) -> Vec<f64> {
        let Some(reads) = self.reads.as_ref().filter(|_| self.codes_scatter) else {
            return Vec::new();
        };
        // Lines past the last have the median.
        let mut draws = vec![0.5; currents.values.len()];
        let count = currents.pieces.len();
        for (at, draws) in draws.chunks_exact_mut(currents.stride).enumerate() {
            let (row, piece) = (at / count, currents.pieces.start + at % count);
            let conversion = (self.banks.len() + currents.bank) * self.pieces.count() + piece;
            let block = self.block(reads.numbers[row], conversion);
            let block = block.wrapping_add((currents.first_line / 4) as u64);
            let width = currents.width;
            reads.draws.fill_uniform_from(block, &mut draws[..width]);
        }
        draws
    }
}
