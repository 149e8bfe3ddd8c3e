//! The effective matrix by joining blocks of cells: nested dissection of the array with dense blocks.
//!
//! # Method
//! A block of neighbouring cells is known from outside by a symmetric matrix over the ends of its lines. Each line has one
//! end nearer to its source or to ground, where the block is given a *potential* and answers with a current, and one open
//! end, where it is given the *current* that the rest of the line draws and answers with a potential. Output lines count
//! with negated potentials, so that a cell sees the sum of two potentials and both kinds of lines obey the same equations:
//!
//! ```text
//! currents   = Y potentials + C currents'           Y conductances, positive semidefinite
//! potentials' = Cᵀ potentials - Z currents'          Z resistances, positive semidefinite
//! ```
//!
//! No wire is ever inverted, so that one without resistance is like any other, and lines that end inside the array simply
//! have no current end. Two neighbours are joined along the `s` lines that they share by one solution of `s` equations
//! with the matrix `I + Y Z`: a product of two positive semidefinite matrices has no negative eigenvalue, so it is never
//! singular. Blocks of a few cells are built cell by cell. At the end the block is the array, its potential ends are the
//! sources and grounds, and the answer of the grounds to the sources is the effective matrix.
//!
//! # Cost
//! Of an array of n × n about 4 n³ multiplications for the last join, half of that for the pair of joins before, and so on:
//! O(n³) altogether, where elimination of line after line takes O(n⁴).
//!
//! # Source
//! George, "Nested dissection of a regular finite element mesh", SIAM J. Numer. Anal. 10 (1973), for the order of
//! elimination.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};

use super::WireNetwork;

/// Rows and columns of the largest block that is built cell by cell.
const LEAF: usize = 4;

/// The effective matrix in µS, `[outputs, lines]`; conductances are valid.
pub(super) fn effective(network: &WireNetwork, conductances: &[f32]) -> Vec<f32> {
    let array = Array {
        network,
        conductances,
        arch: Arch::new(),
    };
    let (outputs, lines) = (network.outputs(), network.lines());
    let block = array.block(0..outputs, 0..lines);
    let mut effective = Vec::with_capacity(outputs * lines);
    for output in &block.right {
        effective.extend(
            block
                .top
                .iter()
                .map(|input| block.matrix[(*output, *input)] as f32),
        );
    }
    effective
}

/// The data that blocks are built from.
struct Array<'a> {
    network: &'a WireNetwork,
    conductances: &'a [f32],
    arch: Arch,
}

/// A block of cells as its surroundings see it. The lists hold the places of line ends in the matrix.
struct Block {
    /// Symmetric, both halves filled.
    matrix: Mat<f64>,
    /// Potential ends of input lines.
    top: Vec<usize>,
    /// Potential ends of output lines.
    right: Vec<usize>,
    /// Current ends of input lines; empty at the end of the array.
    bottom: Vec<usize>,
    /// Current ends of output lines; empty at the end of the array.
    left: Vec<usize>,
}

impl Array<'_> {
    fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Block {
        let (height, width) = (rows.len(), columns.len());
        if height <= LEAF && width <= LEAF {
            return self.leaf(rows, columns);
        }
        if height >= width {
            let middle = rows.start + half(height);
            let upper = self.block(rows.start..middle, columns.clone());
            let lower = self.block(middle..rows.end, columns);
            let (matrix, of_upper, of_lower) =
                join(&upper.matrix, &upper.bottom, &lower.matrix, &lower.top);
            Block {
                matrix,
                top: places(&of_upper, &upper.top),
                right: [
                    places(&of_upper, &upper.right),
                    places(&of_lower, &lower.right),
                ]
                .concat(),
                bottom: places(&of_lower, &lower.bottom),
                left: [
                    places(&of_upper, &upper.left),
                    places(&of_lower, &lower.left),
                ]
                .concat(),
            }
        } else {
            let middle = columns.start + half(width);
            let left = self.block(rows.clone(), columns.start..middle);
            let right = self.block(rows, middle..columns.end);
            let (matrix, of_right, of_left) =
                join(&right.matrix, &right.left, &left.matrix, &left.right);
            Block {
                matrix,
                top: [places(&of_left, &left.top), places(&of_right, &right.top)].concat(),
                right: places(&of_right, &right.right),
                bottom: [
                    places(&of_left, &left.bottom),
                    places(&of_right, &right.bottom),
                ]
                .concat(),
                left: places(&of_left, &left.left),
            }
        }
    }

    /// A block of a few cells: the bare wires, then one elimination per cell.
    ///
    /// Unknown are the currents J of the cells. With the line ends u, potentials across the cells are `E u - L J`, answers
    /// of the line ends `H₀ u + Eᵀ J`, and `J = G (E u - L J)`; the symmetric matrix `[-L E; Eᵀ H₀]` is eliminated in place.
    fn leaf(&self, rows: Range<usize>, columns: Range<usize>) -> Block {
        let (height, width) = (rows.len(), columns.len());
        let (outputs, lines) = (self.network.outputs(), self.network.lines());
        let open_bottom = rows.end == outputs;
        let open_left = columns.start == 0;
        // Resistance from the potential end of a line to each cell.
        let down = running(self.network.input_segments[rows.clone()].iter().copied());
        let mut inward = running(
            self.network.output_segments[columns.clone()]
                .iter()
                .rev()
                .copied(),
        );
        inward.reverse();

        let cells = height * width;
        let top = cells;
        let right = top + width;
        let bottom = right + height;
        let left = bottom + if open_bottom { 0 } else { width };
        let order = left + if open_left { 0 } else { height };
        let mut symmetric = vec![0.0; order * order];
        let mut set = |row: usize, column: usize, value: f64| {
            let (row, column) = (row.min(column), row.max(column));
            symmetric[row * order + column] = value;
        };
        let mut conductances = Vec::with_capacity(cells);
        for (o, down) in down.iter().enumerate() {
            for (i, across) in inward.iter().enumerate() {
                let cell = o * width + i;
                conductances.push(f64::from(
                    self.conductances[(rows.start + o) * lines + columns.start + i],
                ));
                set(cell, cell, -(down + across));
                (o + 1..height).for_each(|below| set(cell, below * width + i, -down));
                (i + 1..width).for_each(|beside| set(cell, o * width + beside, -inward[beside]));
                set(cell, top + i, 1.0);
                set(cell, right + o, 1.0);
                if !open_bottom {
                    set(cell, bottom + i, -down);
                }
                if !open_left {
                    set(cell, left + o, -across);
                }
            }
        }
        if !open_bottom {
            for i in 0..width {
                set(top + i, bottom + i, 1.0);
                set(bottom + i, bottom + i, -down[height - 1]);
            }
        }
        if !open_left {
            for o in 0..height {
                set(right + o, left + o, 1.0);
                set(left + o, left + o, -inward[0]);
            }
        }
        self.arch.dispatch(Eliminate {
            symmetric: &mut symmetric,
            order,
            conductances: &conductances,
        });
        let matrix = Mat::from_fn(order - cells, order - cells, |row, column| {
            let (row, column) = (cells + row.min(column), cells + row.max(column));
            symmetric[row * order + column]
        });
        let ends = |range: Range<usize>| range.map(|end| end - cells).collect();
        Block {
            matrix,
            top: ends(top..right),
            right: ends(right..bottom),
            bottom: ends(bottom..left),
            left: ends(left..order),
        }
    }
}

/// Half of a length, as a multiple of the smallest block.
fn half(length: usize) -> usize {
    (length / 2).next_multiple_of(LEAF).min(length - 1)
}

fn running(values: impl Iterator<Item = f64>) -> Vec<f64> {
    values
        .scan(0.0, |sum, value| {
            *sum += value;
            Some(*sum)
        })
        .collect()
}

fn places(new: &[usize], old: &[usize]) -> Vec<usize> {
    old.iter().map(|place| new[*place]).collect()
}

/// Eliminates the cells, which come first, from a symmetric matrix of which the upper half is stored, row by row.
struct Eliminate<'a> {
    symmetric: &'a mut [f64],
    order: usize,
    conductances: &'a [f64],
}

impl WithSimd for Eliminate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let order = self.order;
        for (cell, conductance) in self.conductances.iter().enumerate() {
            let (done, rest) = self.symmetric.split_at_mut((cell + 1) * order);
            let pivots = &done[cell * order..];
            // J = g (rest of the row) / (1 + g L), where the diagonal holds -L.
            let factor = conductance / (1.0 - conductance * pivots[cell]);
            for (row, values) in rest.chunks_exact_mut(order).enumerate() {
                let first = cell + 1 + row;
                let scale = factor * pivots[first];
                for (value, pivot) in values[first..].iter_mut().zip(&pivots[first..]) {
                    *value += scale * pivot;
                }
            }
        }
    }
}

/// Joins the current ends `out` of `first` to the potential ends `into` of `second`, in order.
///
/// Gives the matrix of the ends that remain, and for both parts the new place of every old end.
fn join(
    first: &Mat<f64>,
    out: &[usize],
    second: &Mat<f64>,
    into: &[usize],
) -> (Mat<f64>, Vec<usize>, Vec<usize>) {
    let shared = out.len();
    let (kept_first, of_first) = remaining(first.nrows(), out, 0);
    let (kept_second, of_second) = remaining(second.nrows(), into, kept_first.len());
    let (m, n) = (kept_first.len(), kept_second.len());

    // Along the shared lines: potentials v = α - Z j, currents j = β + Y v, with α = A x and β = B y.
    let a = gather(first, out, &kept_first);
    let b = gather(second, into, &kept_second);
    let minus_z = gather(first, out, out);
    let y = gather(second, into, into);
    let mut equations = Mat::<f64>::identity(shared, shared);
    add_product(equations.as_mut(), y.as_ref(), minus_z.as_ref(), -1.0);
    let mut j = Mat::zeros(shared, m + n);
    add_product(j.as_mut().get_mut(.., ..m), y.as_ref(), a.as_ref(), 1.0);
    j.as_mut().get_mut(.., m..).copy_from(&b);
    equations.partial_piv_lu().solve_in_place(j.as_mut());
    let mut v = Mat::zeros(shared, n);
    add_product(v.as_mut(), minus_z.as_ref(), j.as_ref().get(.., m..), 1.0);

    // The shared lines pass Aᵀ j on to the first part, and Bᵀ v to the second.
    let mut joined = Mat::zeros(m + n, m + n);
    copy_kept(first, &kept_first, &mut joined, 0);
    copy_kept(second, &kept_second, &mut joined, m);
    add_product(
        joined.as_mut().get_mut(..m, ..),
        a.transpose(),
        j.as_ref(),
        1.0,
    );
    add_product(
        joined.as_mut().get_mut(m.., m..),
        b.transpose(),
        v.as_ref(),
        1.0,
    );
    for column in 0..m {
        for row in m..m + n {
            joined[(row, column)] = joined[(column, row)];
        }
    }
    (joined, of_first, of_second)
}

/// The ends that are not shared, and for every end its place among them, counted from `start`.
fn remaining(count: usize, shared: &[usize], start: usize) -> (Vec<usize>, Vec<usize>) {
    let mut place = vec![0; count];
    shared.iter().for_each(|end| place[*end] = usize::MAX);
    let kept: Vec<usize> = (0..count).filter(|end| place[*end] == 0).collect();
    for (index, end) in kept.iter().enumerate() {
        place[*end] = start + index;
    }
    (kept, place)
}

/// Rows and columns of a symmetric matrix.
fn gather(matrix: &Mat<f64>, rows: &[usize], columns: &[usize]) -> Mat<f64> {
    let mut out = Mat::zeros(rows.len(), columns.len());
    let rows = runs(rows);
    for (column, old) in columns.iter().enumerate() {
        copy_runs(
            matrix.col_as_slice(*old),
            &rows,
            out.col_as_slice_mut(column),
        );
    }
    out
}

/// Copies the ends that are kept to the diagonal block of `joined` that starts at `start`.
fn copy_kept(matrix: &Mat<f64>, kept: &[usize], joined: &mut Mat<f64>, start: usize) {
    let rows = runs(kept);
    for (column, old) in kept.iter().enumerate() {
        let target = &mut joined.col_as_slice_mut(start + column)[start..];
        copy_runs(matrix.col_as_slice(*old), &rows, target);
    }
}

/// Places that follow each other, together: ends of one kind mostly do.
fn runs(places: &[usize]) -> Vec<Range<usize>> {
    places
        .chunk_by(|a, b| a + 1 == *b)
        .map(|run| run[0]..run[0] + run.len())
        .collect()
}

fn copy_runs(source: &[f64], runs: &[Range<usize>], mut target: &mut [f64]) {
    for run in runs {
        let (head, rest) = target.split_at_mut(run.len());
        head.copy_from_slice(&source[run.clone()]);
        target = rest;
    }
}

/// `out += factor · left · right`, on the calling thread.
fn add_product(
    out: faer::MatMut<'_, f64>,
    left: MatRef<'_, f64>,
    right: MatRef<'_, f64>,
    factor: f64,
) {
    matmul(out, Accum::Add, left, right, factor, Par::Seq);
}
