//! The cells of a matrix in the order in which products read them.

use std::ops::Range;

use rayon::prelude::*;

use super::{Effects, Tile, TileSolver};
use crate::HardwareError;
use crate::map::{MappedMatrix, Polarity, Tiling};

/// The cells of one slice and row tile.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    /// Relative to `g_max`, `[inputs, lines]`.
    pub(super) cells: Vec<f32>,
    /// Variances of read noise, relative to `g_max²`, `[inputs, lines]`.
    pub(super) variances: Option<Vec<f32>>,
}

/// The cells of every slice and row tile.
pub(super) fn banks(
    mapped: &MappedMatrix,
    conductances: &[Vec<f32>],
    tiling: &Tiling,
    effects: &Effects<'_>,
) -> Result<Vec<Bank>, HardwareError> {
    let lines = mapped.lines();
    let inverse = 1.0 / mapped.range.g_max;
    let plane = |slice: usize, polarity| {
        let mut planes = mapped.planes.iter();
        planes.position(|p| p.slice == slice && p.polarity == polarity)
    };
    let bank = |index: usize| {
        let (slice, tile) = (index / tiling.row_tiles, index % tiling.row_tiles);
        let inputs = tiling.input_range(tile);
        let Some(positive) = plane(slice, Polarity::Positive) else {
            return Err(HardwareError::conflict(
                format!("slice {slice} has no positive plane"),
                "use the matrix that `Mapping::map` gives",
            ));
        };
        let negative = plane(slice, Polarity::Negative);
        let corner = |values: &'_ [f32], line: usize, input: usize, count: usize| {
            let at = line * mapped.inputs + input;
            at..(at + count).min(values.len())
        };
        let cells = match effects.wires {
            Some(wires) => {
                let (p, n) = (&conductances[positive], negative.map(|n| &conductances[n]));
                solved(wires, tiling, slice, tile, mapped.inputs, p, n)?
                    .into_iter()
                    .map(|g| inverse * g)
                    .collect()
            }
            None => {
                let positive = &conductances[positive];
                let negative = negative.map(|n| &conductances[n]);
                turned(lines, inputs.clone(), |line, input, out| {
                    let at = corner(positive, line, input, out.len());
                    match negative {
                        None => {
                            for (out, p) in out.iter_mut().zip(&positive[at]) {
                                *out = inverse * p;
                            }
                        }
                        Some(negative) => {
                            let pairs = positive[at.clone()].iter().zip(&negative[at]);
                            for (out, (p, n)) in out.iter_mut().zip(pairs) {
                                *out = inverse * (p - n);
                            }
                        }
                    }
                })
            }
        };
        let variances = effects.read_sigma.map(|sigma| {
            turned(lines, inputs, |line, input, out| {
                for plane in [Some(positive), negative].into_iter().flatten() {
                    let at = corner(&sigma[plane], line, input, out.len());
                    for (out, sigma) in out.iter_mut().zip(&sigma[plane][at]) {
                        *out += (inverse * sigma) * (inverse * sigma);
                    }
                }
            })
        });
        Ok(Bank { cells, variances })
    };
    (0..mapped.slices.len() * tiling.row_tiles)
        .into_par_iter()
        .map(bank)
        .collect()
}

/// Side of the squares that are turned at a time: a line of the cache, so that each is read and written whole.
const SIDE: usize = 16;

/// `[inputs, lines]` from a function that writes some values of a line from an input on into zeros.
fn turned(
    lines: usize,
    inputs: Range<usize>,
    line_from: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut out = vec![0.0; inputs.len() * lines];
    let strip = |(strip, out): (usize, &mut [f32])| {
        let count = out.len() / lines;
        let input = inputs.start + strip * SIDE;
        let mut square = [[0.0; SIDE]; SIDE];
        for line in (0..lines).step_by(SIDE) {
            let width = SIDE.min(lines - line);
            for (l, row) in square.iter_mut().enumerate().take(width) {
                row.fill(0.0);
                line_from(line + l, input, &mut row[..count]);
            }
            for (i, out) in out.chunks_exact_mut(lines).enumerate() {
                for (out, row) in out[line..line + width].iter_mut().zip(&square) {
                    *out = row[i];
                }
            }
        }
    };
    out.par_chunks_mut(SIDE * lines)
        .enumerate()
        .with_min_len((1 << 15) / (SIDE * lines) + 1)
        .for_each(strip);
    out
}

/// The effective conductances of the arrays of one slice and row tile, wires included, `[inputs, lines]` in µS.
fn solved(
    wires: &TileSolver<'_>,
    tiling: &Tiling,
    slice: usize,
    row_tile: usize,
    stride: usize,
    positive: &[f32],
    negative: Option<&Vec<f32>>,
) -> Result<Vec<f32>, HardwareError> {
    let inputs = tiling.input_range(row_tile);
    let lines = tiling.output_range(tiling.column_tiles - 1).end;
    let mut out = vec![0.0; inputs.len() * lines];
    for column_tile in 0..tiling.column_tiles {
        let outputs = tiling.output_range(column_tile);
        let cut = |plane: &[f32]| -> Vec<f32> {
            let rows = plane.chunks_exact(stride);
            let rows = rows.skip(outputs.start).take(outputs.len());
            rows.flat_map(|row| &row[inputs.clone()]).copied().collect()
        };
        let (g_pos, g_neg) = (cut(positive), negative.map(|plane| cut(plane)));
        let effective = wires(&Tile {
            slice,
            first_input: inputs.start,
            inputs: inputs.len(),
            first_output: outputs.start,
            outputs: outputs.len(),
            g_pos: &g_pos,
            g_neg: g_neg.as_deref(),
        })?;
        if effective.len() != g_pos.len() {
            return Err(HardwareError::limit(
                "cells of a solved tile",
                effective.len(),
                g_pos.len(),
                "give one effective conductance per cell",
            ));
        }
        for (line, row) in outputs.zip(effective.chunks_exact(inputs.len())) {
            for (input, g) in row.iter().enumerate() {
                out[input * lines + line] = *g;
            }
        }
    }
    Ok(out)
}
