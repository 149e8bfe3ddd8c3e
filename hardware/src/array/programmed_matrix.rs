//! One weight matrix on the arrays of one chip.

use std::ops::Range;

use crossburn_noise::Philox;
use rayon::prelude::*;

use super::adc::Quantizer;
use super::adc_range::Span;
use super::coded_inputs::{CodedInputs, Pieces};
use super::conversion::Convert;
use super::converter_errors::{self, LineErrors};
use super::product::Product;
use super::scratch::Scratch;
use super::{
    Adc, AdcRange, ArrayConfig, CurrentProfile, CurrentRange, Dac, InputSign, Reads, Tile,
    TileSolver,
};
use crate::map::{MappedMatrix, Polarity, Slice, Tiling, WeightMatrix};
use crate::{ConductanceRange, HardwareError};

/// Rows of a batch that are worked on at a time.
const BLOCK_ROWS: usize = 128;
/// Output lines that are worked on at a time: a multiple of a table of partial sums.
pub(super) const BANK_LINES: usize = 256;

/// What else acts on a matrix; the default is nothing.
#[derive(Clone, Copy, Default)]
pub struct Effects<'a> {
    /// What wires make of each array.
    pub wires: Option<&'a TileSolver<'a>>,
    /// The stream that the errors of the converters are drawn from.
    pub converters: Option<Philox>,
    /// Standard deviation of read noise in µS, per plane and cell.
    pub read_sigma: Option<&'a [Vec<f32>]>,
}

/// One weight matrix of one chip, cut into arrays: what its programmed cells compute.
///
/// ```
/// use crossburn_hardware::{Adc, AdcRange, ArrayConfig, ConductanceRange, Dac, Effects, Mapping};
/// use crossburn_hardware::{ProgrammedMatrix, Scheme, WeightBits, WeightMatrix};
///
/// let range = ConductanceRange::new("1 uS".parse()?, "100 uS".parse()?)?;
/// let weights = WeightMatrix::new(2, 3, vec![0.5, -1.0, 0.25, 1.0, 0.0, -0.5])?;
/// let mapped = Mapping::new(Scheme::OneSidedPair, WeightBits::new(8)?).map(&weights, range)?;
/// let adc = Adc::new(10).with_range(AdcRange::Fixed { lo: -2.0, hi: 2.0 });
/// let config = ArrayConfig::new(128, 128, Dac::new(8)).with_adc(adc);
/// let matrix = ProgrammedMatrix::new(&mapped, mapped.targets(), range, &config, &Effects::default())?;
/// let y = matrix.multiply(&[1.0, 0.5, -1.0], None)?;
/// assert!((y[0] + 0.25).abs() < 0.01 && (y[1] - 1.5).abs() < 0.01);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
///
/// Inputs go to all arrays along a row tile, the results of row tiles and slices are added digitally. Memory grows with
/// the cells. Results are the same on any number of threads.
#[derive(Clone, Debug)]
pub struct ProgrammedMatrix {
    outputs: usize,
    inputs: usize,
    /// Lines before that of the first output.
    lead: usize,
    tiling: Tiling,
    /// Slice by slice, row tile by row tile.
    banks: Vec<Bank>,
    /// Units of the scale per normalised current, per slice.
    gains: Vec<f32>,
    /// Units of the scale that are subtracted per unit of input.
    offset: f32,
    /// Weight of one unit, per output.
    scales: Vec<f32>,
    dac: Dac,
    pieces: Pieces,
    adc: Option<Adc>,
    /// Per slice; empty before calibration.
    ranges: Vec<CurrentRange>,
    /// Per bank; empty where converters are alike.
    errors: Vec<LineErrors>,
}

/// The cells of one slice and row tile.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    /// Relative to `g_max`, `[inputs, lines]`.
    pub(super) cells: Vec<f32>,
    /// Variances of read noise, relative to `g_max²`, `[inputs, lines]`.
    pub(super) variances: Option<Vec<f32>>,
}

impl ProgrammedMatrix {
    /// The matrix that `conductances` (µS, one vector per plane of `mapped`) compute with.
    ///
    /// `range` is the range that `mapped` was made for.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for parameters, conductances or deviations that are not allowed, [`HardwareError::Conflict`]
    /// for settings that exclude each other or lack their stream, and the errors of the wires.
    pub fn new(
        mapped: &MappedMatrix,
        conductances: Vec<Vec<f32>>,
        range: ConductanceRange,
        config: &ArrayConfig,
        effects: &Effects<'_>,
    ) -> Result<Self, HardwareError> {
        config.check()?;
        mapped.check(&conductances)?;
        effects.read_sigma.map_or(Ok(()), |s| mapped.check(s))?;
        if range != mapped.range {
            return Err(HardwareError::Conflict {
                settings: format!(
                    "range {}..{} uS and weights mapped to {}..{} uS",
                    range.g_min, range.g_max, mapped.range.g_min, mapped.range.g_max
                ),
                remedy: "map the weights to the range of the cells".to_string(),
            });
        }
        let (lines, inputs) = (mapped.lines(), mapped.inputs);
        let tiling = Tiling::new(lines, inputs, config.rows, config.columns)?;
        let pieces = Pieces::new(&config.input, config.adc.map(|adc| adc.conversion));
        let banks = banks(mapped, &conductances, &tiling, effects)?;
        let errors = match (config.adc.filter(Adc::has_errors), effects.converters) {
            (None, _) => Vec::new(),
            (Some(adc), Some(draws)) => converter_errors::draw(&adc, &tiling, banks.len(), &draws),
            (Some(_), None) => {
                return Err(HardwareError::Conflict {
                    settings: "adc with gain_error, comparator_offset or capacitor_mismatch, without a stream"
                        .to_string(),
                    remedy: "pass Effects::converters, or leave the errors out".to_string(),
                });
            }
        };
        let mut matrix = Self {
            outputs: mapped.outputs,
            inputs,
            lead: mapped.lead(),
            tiling,
            banks,
            gains: mapped
                .slices
                .iter()
                .map(|slice| slice.factor * range.g_max / range.span())
                .collect(),
            offset: mapped.digital_offset(),
            scales: mapped.scales.clone(),
            dac: config.input,
            pieces,
            adc: config.adc,
            ranges: Vec::new(),
            errors,
        };
        matrix.ranges = matrix.fixed_ranges(mapped)?;
        Ok(matrix)
    }

    /// Outputs of the weight.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Inputs of the weight.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The arrays that one plane covers; a unit column counts as an output.
    pub fn tiling(&self) -> &Tiling {
        &self.tiling
    }

    /// Slices of the weight, each with a range of its own.
    pub fn slices(&self) -> usize {
        self.gains.len()
    }

    /// The ranges of the converters per slice, in normalised current; empty without converters and before calibration.
    pub fn ranges(&self) -> &[CurrentRange] {
        &self.ranges
    }

    /// Sets the calibrated ranges, one per slice: those of this chip, or of another whose calibration is shared.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] unless the ADC asks for calibrated ranges; [`HardwareError::Limit`] for another number of
    /// ranges and for empty ones.
    pub fn set_ranges(&mut self, ranges: &[CurrentRange]) -> Result<(), HardwareError> {
        let calibrated = |adc: Adc| matches!(adc.range, AdcRange::Calibrated { .. });
        if !self.adc.is_some_and(calibrated) {
            return Err(HardwareError::Conflict {
                settings: "calibrated ranges for an array whose adc range is not calibrated"
                    .to_string(),
                remedy: "set adc range = { calibrated = { percentile = 99.9 } }".to_string(),
            });
        }
        if ranges.len() != self.slices() {
            return Err(HardwareError::Limit {
                field: "number of ranges".to_string(),
                value: ranges.len().to_string(),
                limit: self.slices().to_string(),
                remedy: "pass one range per slice".to_string(),
            });
        }
        ranges.iter().try_for_each(CurrentRange::check)?;
        self.ranges = ranges.to_vec();
        Ok(())
    }

    /// Adds the currents that `x`, `[batch, inputs]`, causes before conversion to `profile`. Runs on the calling thread.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of inputs, or a profile of another number of slices.
    pub fn profile(&self, x: &[f32], profile: &mut CurrentProfile) -> Result<(), HardwareError> {
        self.check_inputs(x)?;
        if profile.slices() != self.slices() {
            return Err(HardwareError::Limit {
                field: "slices of the profile".to_string(),
                value: profile.slices().to_string(),
                limit: self.slices().to_string(),
                remedy: "start a profile with the slices of this matrix".to_string(),
            });
        }
        let unit = 1.0 / self.pieces.levels;
        for x in x.chunks(BLOCK_ROWS * self.inputs) {
            let inputs = CodedInputs::new(x, &self.dac, &self.pieces, &self.tiling, false);
            for lines in self.line_blocks() {
                self.product(&inputs, None).each(lines, |currents| {
                    let rows = currents.values.chunks_exact(currents.stride);
                    let used = rows.flat_map(|row| &row[..currents.width]);
                    let slice = currents.bank / self.tiling.row_tiles;
                    profile.add(slice, used.map(|current| unit * current));
                });
            }
        }
        Ok(())
    }

    /// Profiles `x`, `[batch, inputs]`, and sets the ranges of the percentile that the ADC asks for.
    ///
    /// # Errors
    /// Those of [`Self::profile`], [`CurrentProfile::ranges`] and [`Self::set_ranges`].
    pub fn calibrate(&mut self, x: &[f32]) -> Result<(), HardwareError> {
        let mut profile = CurrentProfile::new(self.slices());
        self.profile(x, &mut profile)?;
        let percentile = match self.adc.map(|adc| adc.range) {
            Some(AdcRange::Calibrated { percentile }) => percentile,
            // Refused by `set_ranges`, with the reason.
            _ => 100.0,
        };
        self.set_ranges(&profile.ranges(percentile)?)
    }

    /// The product of the weights that the cells hold with `x`, as the periphery of the arrays delivers it.
    ///
    /// # Shapes
    /// `[batch, inputs]` → `[batch, outputs]`, both in the units of the network.
    ///
    /// A row with a NaN gives a row of NaN. Work is spread over the threads of the current rayon pool in blocks of 128 rows,
    /// and within a block of 256 output lines. A product of one block of each stays on its thread: it takes some
    /// milliseconds at most, and populations keep all cores busy with chips of their own.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of inputs; [`HardwareError::Conflict`] for calibrated converters without
    /// ranges, and for read noise without its stream or the stream without noise.
    pub fn multiply(&self, x: &[f32], reads: Option<Reads>) -> Result<Vec<f32>, HardwareError> {
        self.check_inputs(x)?;
        self.check_ready(reads)?;
        let batch = x.len() / self.inputs;
        let mut out = vec![0.0; batch * self.outputs];
        let block = |(block, (out, x)): (usize, (&mut [f32], &[f32]))| {
            let reads = reads.map(|reads| Reads {
                first: reads.first.wrapping_add((block * BLOCK_ROWS) as u64),
                ..reads
            });
            self.multiply_block(x, reads, out);
        };
        let (rows, columns) = (BLOCK_ROWS * self.inputs, BLOCK_ROWS * self.outputs);
        match batch > BLOCK_ROWS {
            true => out
                .par_chunks_mut(columns)
                .zip(x.par_chunks(rows))
                .enumerate()
                .for_each(block),
            false => out
                .chunks_mut(columns)
                .zip(x.chunks(rows))
                .enumerate()
                .for_each(block),
        }
        Ok(out)
    }

    /// The weights that the cells hold, wires included: what ideal converters would multiply with.
    pub fn effective_weights(&self) -> WeightMatrix {
        let lines = self.lines();
        let mut values = vec![0.0; self.outputs * self.inputs];
        for (index, bank) in self.banks.iter().enumerate() {
            let gain = self.gains[index / self.tiling.row_tiles];
            let inputs = self.tiling.input_range(index % self.tiling.row_tiles);
            for (input, cells) in inputs.zip(bank.cells.chunks_exact(lines)) {
                let unit = if self.lead > 0 { cells[0] } else { 0.0 };
                for (output, cell) in cells[self.lead..].iter().enumerate() {
                    values[output * self.inputs + input] += gain * (cell - unit);
                }
            }
        }
        for (row, scale) in values.chunks_exact_mut(self.inputs).zip(&self.scales) {
            for value in row {
                *value = scale * (*value - self.offset);
            }
        }
        WeightMatrix {
            outputs: self.outputs,
            inputs: self.inputs,
            values,
        }
    }

    fn multiply_block(&self, x: &[f32], reads: Option<Reads>, out: &mut [f32]) {
        let inputs = CodedInputs::new(x, &self.dac, &self.pieces, &self.tiling, reads.is_some());
        let product = self.product(&inputs, reads);
        let (rows, lines) = (inputs.rows, self.lines());
        // Block of lines by block of lines, each [rows, lines of the block].
        let mut sums = Scratch::new(rows * lines);
        sums.fill(0.0);
        let fill = |(block, sums): (usize, &mut [f32])| {
            let first = block * BANK_LINES;
            let width = sums.len() / rows;
            product.each(first..first + width, |currents| {
                let slice = currents.bank / self.tiling.row_tiles;
                let factors = self.pieces.factors[currents.pieces].iter();
                let factors: Vec<f32> = factors.map(|factor| factor * self.gains[slice]).collect();
                let errors = self.errors.get(currents.bank);
                let convert = Convert {
                    currents: currents.values,
                    stride: currents.stride,
                    width: currents.width,
                    unit: 1.0 / self.pieces.levels,
                    factors: &factors,
                    quantizer: self.quantizer(slice),
                    errors: errors.map(|errors| (errors, currents.first_line)),
                    sums,
                    sum_stride: width,
                    sum_offset: currents.first_line - first,
                };
                convert.run();
            });
        };
        match lines > BANK_LINES {
            true => sums
                .par_chunks_mut(rows * BANK_LINES)
                .enumerate()
                .for_each(fill),
            false => fill((0, &mut sums)),
        }
        let per_code = 1.0 / self.dac.levels() as f32;
        for (row, out) in out.chunks_exact_mut(self.outputs).enumerate() {
            let unit = match self.lead {
                0 => 0.0,
                _ => sums[row * lines.min(BANK_LINES)],
            };
            // Times zero where nothing is subtracted: a NaN among the inputs shows in the sum, and so in the results.
            let offset = unit + self.offset * (inputs.sums[row] * per_code);
            let mut written = 0;
            for (block, sums) in sums.chunks(rows * BANK_LINES).enumerate() {
                let width = sums.len() / rows;
                let sums = &sums[row * width..(row + 1) * width];
                let sums = &sums[if block == 0 { self.lead } else { 0 }..];
                let out = &mut out[written..written + sums.len()];
                let scales = &self.scales[written..written + sums.len()];
                for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scales) {
                    *out = scale * self.dac.x_max * (sum - offset);
                }
                written += sums.len();
            }
        }
    }

    fn product<'a>(&'a self, inputs: &'a CodedInputs, reads: Option<Reads>) -> Product<'a> {
        Product {
            banks: &self.banks,
            tiling: &self.tiling,
            lines: self.lines(),
            pieces: &self.pieces,
            inputs,
            reads,
        }
    }

    fn quantizer(&self, slice: usize) -> Option<Quantizer> {
        let range = self.ranges.get(slice)?;
        self.adc.map(|adc| adc.quantizer(*range))
    }

    fn lines(&self) -> usize {
        self.outputs + self.lead
    }

    fn line_blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let lines = self.lines();
        (0..lines)
            .step_by(BANK_LINES)
            .map(move |first| first..lines.min(first + BANK_LINES))
    }

    /// The ranges that do not depend on data.
    fn fixed_ranges(&self, mapped: &MappedMatrix) -> Result<Vec<CurrentRange>, HardwareError> {
        let Some(adc) = self.adc else {
            return Ok(Vec::new());
        };
        let pairs = mapped
            .planes
            .iter()
            .any(|plane| plane.polarity == Polarity::Negative);
        let full = mapped.range.span() / mapped.range.g_max;
        let range = |slice: &Slice| {
            let span = Span {
                rows: self.tiling.rows.min(self.inputs),
                cell: slice.steps.map(|steps| (steps, full)),
                input_steps: self.pieces.levels as u32,
                signed: pairs || self.dac.sign == InputSign::Signed,
            };
            match adc.range {
                AdcRange::Max => Ok(Some(span.max())),
                AdcRange::Granular => span.granular(adc.bits, adc.steps()).map(Some),
                AdcRange::Fixed { lo, hi } => Ok(Some(CurrentRange { lo, hi })),
                AdcRange::Calibrated { .. } => Ok(None),
            }
        };
        let ranges: Result<Vec<_>, _> = mapped.slices.iter().map(range).collect();
        Ok(ranges?.into_iter().flatten().collect())
    }

    fn check_inputs(&self, x: &[f32]) -> Result<(), HardwareError> {
        if x.len().is_multiple_of(self.inputs) {
            return Ok(());
        }
        Err(HardwareError::Limit {
            field: "number of inputs".to_string(),
            value: x.len().to_string(),
            limit: format!("the multiples of {}", self.inputs),
            remedy: "pass whole rows".to_string(),
        })
    }

    fn check_ready(&self, reads: Option<Reads>) -> Result<(), HardwareError> {
        let noisy = self.banks.iter().any(|bank| bank.variances.is_some());
        let (settings, remedy) = if self.adc.is_some() && self.ranges.is_empty() {
            (
                "adc range = calibrated before calibration",
                "call `calibrate` or `set_ranges` first",
            )
        } else if noisy && reads.is_none() {
            (
                "read noise without a stream of reads",
                "pass `Reads`, or program without `read_sigma`",
            )
        } else if reads.is_some() && !noisy {
            (
                "a stream of reads without read noise",
                "pass no `Reads`, or program with `read_sigma`",
            )
        } else {
            return Ok(());
        };
        Err(HardwareError::Conflict {
            settings: settings.to_string(),
            remedy: remedy.to_string(),
        })
    }
}

/// The cells of every slice and row tile.
fn banks(
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
            return Err(HardwareError::Conflict {
                settings: format!("slice {slice} has no positive plane"),
                remedy: "use the matrix that `Mapping::map` gives".to_string(),
            });
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

/// What wires make of the arrays of one slice and row tile, `[inputs, lines]` in µS.
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
            return Err(HardwareError::Limit {
                field: "cells of a solved tile".to_string(),
                value: effective.len().to_string(),
                limit: g_pos.len().to_string(),
                remedy: "give one effective conductance per cell".to_string(),
            });
        }
        for (line, row) in outputs.zip(effective.chunks_exact(inputs.len())) {
            for (input, g) in row.iter().enumerate() {
                out[input * lines + line] = *g;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::array::{
        AdcCodes, CapacitorMismatch, ComparatorOffset, Conversion, GainError, OffsetSharing,
    };
    use crate::units::Siemens;
    use crate::{Mapping, Scheme, WeightBits};
    use crossburn_noise::ChipSeed;
    use proptest::prelude::*;
    use rstest::rstest;

    fn range(g_min: f64) -> ConductanceRange {
        ConductanceRange::new(Siemens::new(g_min), Siemens::new(1e-4)).unwrap()
    }

    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut draws = vec![0.0f64; count];
        ChipSeed::new(seed.into(), 0)
            .generator("test")
            .fill_uniform(&mut draws);
        draws.into_iter().map(|u| 2.0 * u as f32 - 1.0).collect()
    }

    fn mapping(scheme: Scheme, bits: u8, slice_bits: Option<u8>) -> Mapping {
        let mapping = Mapping::new(scheme, WeightBits::new(bits).unwrap());
        Mapping {
            slice_bits,
            ..mapping
        }
    }

    fn ideal(
        mapping: &Mapping,
        weights: &WeightMatrix,
        g_min: f64,
        config: &ArrayConfig,
    ) -> ProgrammedMatrix {
        let mapped = mapping.map(weights, range(g_min)).unwrap();
        let targets = mapped.targets();
        ProgrammedMatrix::new(&mapped, targets, range(g_min), config, &Effects::default()).unwrap()
    }

    /// `weights · x` in 64 bits.
    fn digital(weights: &WeightMatrix, x: &[f32]) -> Vec<f64> {
        let dot = |row: &[f32], x: &[f32]| {
            row.iter()
                .zip(x)
                .map(|(w, x)| f64::from(*w) * f64::from(*x))
                .sum()
        };
        x.chunks_exact(weights.inputs)
            .flat_map(|x| {
                weights
                    .values
                    .chunks_exact(weights.inputs)
                    .map(move |row| dot(row, x))
            })
            .collect()
    }

    fn schemes() -> impl Strategy<Value = (Scheme, Option<u8>)> {
        let sliced = prop_oneof![
            Just(Scheme::OneSidedPair),
            Just(Scheme::DigitalOffset),
            Just(Scheme::UnitColumn)
        ];
        prop_oneof![
            (sliced, prop::option::of(1u8..=4)),
            Just((Scheme::TwoSidedPair, None)),
            Just((
                Scheme::SignificancePairs {
                    significances: vec![1.0, 3.0]
                },
                None
            )),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn ideal_arrays_multiply_with_the_weights_read_back(
            (scheme, slice_bits) in schemes(), bits in 2u8..=8, input_bits in 2u8..=8, input_slice in 0u8..=3,
            unsigned: bool, converted: bool, (outputs, inputs) in (1usize..300, 1usize..60), batch in 1usize..20,
            (rows, columns) in (1usize..40, 1usize..80), seed: u32,
        ) {
            let weights = WeightMatrix::new(outputs, inputs, numbers(seed, outputs * inputs)).unwrap();
            let sign = if unsigned { InputSign::Unsigned } else { InputSign::Signed };
            let slice = Some(input_slice).filter(|s| *s > 0 && u32::from(*s) < u32::from(input_bits));
            let input = Dac { sign, x_max: 1.5, slice_bits: slice, ..Dac::new(input_bits) };
            let pair = scheme.is_pair() && !matches!(scheme, Scheme::SignificancePairs { .. });
            let mapping = mapping(scheme, bits, slice_bits);
            let mut config = ArrayConfig::new(rows, columns, input);
            // Steps of cells and inputs are told apart where g_min cancels.
            let granular = Adc::new(16).with_range(AdcRange::Granular);
            let mapped = mapping.map(&weights, range(1e-6)).unwrap();
            if converted && pair {
                let with = config.clone().with_adc(granular);
                let made = ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &with, &Effects::default());
                if made.is_ok() {
                    config = with;
                }
            }
            let matrix = ideal(&mapping, &weights, 1e-6, &config);
            let back = mapped.read_back(&mapped.targets()).unwrap();
            let x: Vec<f32> = numbers(seed ^ 1, batch * inputs).iter().map(|x| 2.0 * x).collect();
            let levels = input.levels() as f32;
            let applied: Vec<f32> = input.codes(&x).unwrap().iter().map(|c| 1.5 * c / levels).collect();
            let expected = digital(&back, &applied);
            let effective = matrix.effective_weights();
            let most = back.values.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            for (found, expected) in effective.values.iter().zip(&back.values) {
                prop_assert!((found - expected).abs() <= 1e-5 * most);
            }
            // Relative to what a sum of this length can reach; offsets cancel to a part of it.
            let reach = f64::from(most) * 1.5 * (inputs as f64).sqrt();
            let found = matrix.multiply(&x, None).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((f64::from(*found) - expected).abs() <= 1e-5 * reach, "{found} {expected}");
            }
        }

        #[test]
        fn sliced_integers_are_bit_true(
            slice_bits in 1u8..=4, input_slice in 1u8..=3, inputs in 1usize..40, outputs in 1usize..40, rows in 1usize..17,
            offset: bool, batch in 1usize..14, seed: u32,
        ) {
            let integers: Vec<f32> = numbers(seed, outputs * inputs).iter().map(|w| (w * 127.0).round()).collect();
            let mut integers = integers;
            integers[0] = 127.0;
            let weights = WeightMatrix::new(outputs, inputs, integers).unwrap();
            let scheme = if offset { Scheme::DigitalOffset } else { Scheme::OneSidedPair };
            let input = Dac { x_max: 127.0, slice_bits: Some(input_slice), ..Dac::new(8) };
            let config = ArrayConfig::new(rows, 16, input).with_adc(Adc::new(13).with_range(AdcRange::Granular));
            let matrix = ideal(&mapping(scheme, 8, Some(slice_bits)), &weights, 0.0, &config);
            let x: Vec<f32> = numbers(seed ^ 7, batch * inputs).iter().map(|x| (x * 127.0).round()).collect();
            let expected = digital(&weights, &x);
            for (found, expected) in matrix.multiply(&x, None).unwrap().iter().zip(&expected) {
                prop_assert_eq!(f64::from(found.round()), *expected);
            }
        }
    }

    /// One bit at a time, converted each.
    fn bit_serial(bits: u8) -> ArrayConfig {
        let input = Dac {
            slice_bits: Some(1),
            ..Dac::new(8)
        };
        let range = AdcRange::Fixed { lo: -4.0, hi: 4.0 };
        ArrayConfig::new(64, 64, input).with_adc(Adc::new(bits).with_range(range))
    }

    #[test]
    fn results_are_the_same_on_any_number_of_threads() {
        let weights = WeightMatrix::new(300, 100, numbers(1, 30_000)).unwrap();
        let x = numbers(2, 300 * 100);
        let sigma = vec![vec![0.5; 30_000]; 2];
        for slice_bits in [None, Some(1), Some(3)] {
            let mut config = bit_serial(8);
            config.input.slice_bits = slice_bits;
            let mapped = mapping(Scheme::OneSidedPair, 8, None)
                .map(&weights, range(1e-6))
                .unwrap();
            let effects = Effects {
                read_sigma: Some(&sigma),
                ..Effects::default()
            };
            let matrix =
                ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects)
                    .unwrap();
            let reads = Reads {
                draws: ChipSeed::new(1, 2).generator("w/read"),
                first: 5,
            };
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| matrix.multiply(&x, Some(reads)).unwrap())
            };
            let one = on(1);
            assert_eq!(one, on(2));
            // A part of the batch, read later: the noise of a row is its own.
            let later = Reads {
                first: 5 + 128,
                ..reads
            };
            let part = matrix.multiply(&x[128 * 100..], Some(later)).unwrap();
            assert_eq!(part, one[128 * 300..]);
        }
    }

    #[rstest]
    #[case(None, None)]
    #[case(Some(1), None)]
    #[case(Some(1), Some(Conversion::PerSlice))]
    #[case(Some(3), Some(Conversion::PerSlice))]
    #[case(Some(3), Some(Conversion::Accumulated))]
    fn read_noise_has_the_variance_of_its_cells(
        #[case] slice_bits: Option<u8>,
        #[case] conversion: Option<Conversion>,
    ) {
        let weights = WeightMatrix::new(2, 3, vec![0.5, -1.0, 0.25, 0.0, 0.75, 1.0]).unwrap();
        let mapped = mapping(Scheme::OneSidedPair, 8, None)
            .map(&weights, range(0.0))
            .unwrap();
        let sigma = vec![
            vec![0.4, 0.1, 0.2, 0.3, 0.0, 0.2],
            vec![0.3, 0.2, 0.0, 0.1, 0.5, 0.4],
        ];
        let effects = Effects {
            read_sigma: Some(&sigma),
            ..Effects::default()
        };
        let mut config = ArrayConfig::new(
            2,
            2,
            Dac {
                slice_bits,
                ..Dac::new(8)
            },
        );
        if let Some(conversion) = conversion {
            // Fine enough to leave the noise alone: a step is 6e-5, the deviations are 2e-3 and more.
            let range = AdcRange::Fixed { lo: -2.0, hi: 2.0 };
            config = config.with_adc(Adc {
                conversion,
                ..Adc::new(16).with_range(range)
            });
        }
        let matrix =
            ProgrammedMatrix::new(&mapped, mapped.targets(), range(0.0), &config, &effects)
                .unwrap();
        let x = [0.9f32, -0.4, 0.6];
        let codes = config.input.codes(&x).unwrap();
        let n = 40_000;
        let reads = Reads {
            draws: ChipSeed::new(3, 4).generator("w/read"),
            first: 0,
        };
        let y = matrix.multiply(&x.repeat(n), Some(reads)).unwrap();
        let width = slice_bits.map_or(7, u32::from);
        for output in 0..2 {
            let mut mean = 0.0;
            let mut variance = 0.0;
            for (input, code) in codes.iter().enumerate() {
                let at = output * 3 + input;
                mean += f64::from(matrix.effective_weights().values[at] * code / 127.0);
                let cells = (sigma[0][at].powi(2) + sigma[1][at].powi(2)) / 1e4;
                let magnitude = code.abs() as u32;
                for j in 0..7u32.div_ceil(width) {
                    let digit = ((magnitude >> (width * j)) & ((1 << width) - 1)) << (width * j);
                    variance += f64::from(cells) * (f64::from(digit) / 127.0).powi(2);
                }
            }
            let found: Vec<f64> = y
                .iter()
                .skip(output)
                .step_by(2)
                .map(|y| f64::from(*y))
                .collect();
            let average = found.iter().sum::<f64>() / n as f64;
            let spread = found.iter().map(|y| (y - average).powi(2)).sum::<f64>() / n as f64;
            // Four standard errors of a mean, and of a variance of normals: sigma / sqrt n and sigma² sqrt(2 / n); the mean
            // has a rounding of the converter on top.
            assert!(
                (average - mean).abs() < 4.0 * (variance / n as f64).sqrt() + 2e-5,
                "{average} {mean}"
            );
            assert!(
                (spread / variance - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt(),
                "{spread} {variance}"
            );
        }
    }

    #[test]
    fn converters_without_deviation_are_ideal_and_others_shift_their_own_lines() {
        let weights = WeightMatrix::new(20, 30, numbers(5, 600)).unwrap();
        let x = numbers(6, 50 * 30);
        let mapped = mapping(Scheme::OneSidedPair, 8, None)
            .map(&weights, range(1e-6))
            .unwrap();
        let made = |adc: Adc, chip: u64| {
            let config = ArrayConfig::new(64, 16, Dac::new(8)).with_adc(adc);
            let draws = ChipSeed::new(1, chip).generator("w/adc");
            let effects = Effects {
                converters: adc.has_errors().then_some(draws),
                ..Effects::default()
            };
            let matrix =
                ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects);
            matrix.unwrap().multiply(&x, None).unwrap()
        };
        let plain = Adc::new(8).with_range(AdcRange::Fixed { lo: -4.0, hi: 4.0 });
        let expected = made(plain, 0);
        let zero = |capacitors: bool| Adc {
            gain_error: Some(GainError { sigma: 0.0 }),
            comparator_offset: Some(ComparatorOffset {
                sigma_lsb: 0.0,
                sharing: OffsetSharing::PerColumn,
            }),
            capacitor_mismatch: capacitors.then_some(CapacitorMismatch { sigma_unit: 0.0 }),
            ..plain
        };
        assert_eq!(made(zero(false), 0), expected);
        // Half steps go up in a successive approximation and to even otherwise: no current of this case is one.
        assert_eq!(made(zero(true), 0), expected);
        // An offset of some steps per converter: lines 0..8, 8..16 of the first array and 16..20 of the second shift alike.
        let shifted = made(
            Adc {
                comparator_offset: Some(ComparatorOffset {
                    sigma_lsb: 300.0,
                    sharing: OffsetSharing::PerConverter,
                }),
                range: AdcRange::Fixed {
                    lo: -4000.0,
                    hi: 4000.0,
                },
                bits: 16,
                ..plain
            },
            1,
        );
        let shift = |line: usize| {
            (0..50)
                .map(|r| shifted[r * 20 + line] - expected[r * 20 + line])
                .sum::<f32>()
                / 50.0
        };
        for lines in [0..8, 8..16, 16..20] {
            let first = shift(lines.start);
            // A step of the shifted converter is 0.12 of a weight; both round.
            assert!(
                lines.clone().all(|line| (shift(line) - first).abs() < 0.2),
                "{lines:?}"
            );
        }
        assert!((shift(0) - shift(8)).abs() > 1.0 && (shift(8) - shift(16)).abs() > 1.0);
        let slopes = made(
            Adc {
                gain_error: Some(GainError { sigma: 0.2 }),
                ..plain
            },
            1,
        );
        assert_ne!(slopes, expected);
        assert_ne!(
            slopes,
            made(
                Adc {
                    gain_error: Some(GainError { sigma: 0.2 }),
                    ..plain
                },
                2
            )
        );
        let worn = made(
            Adc {
                capacitor_mismatch: Some(CapacitorMismatch { sigma_unit: 0.1 }),
                ..plain
            },
            1,
        );
        assert_ne!(worn, expected);
    }

    #[test]
    fn wires_see_every_array_and_replace_its_cells() {
        let weights = WeightMatrix::new(5, 7, numbers(8, 35)).unwrap();
        for scheme in [Scheme::OneSidedPair, Scheme::UnitColumn] {
            let mapped = mapping(scheme, 8, Some(2))
                .map(&weights, range(1e-6))
                .unwrap();
            let config = ArrayConfig::new(3, 4, Dac::new(8));
            let plain = ideal(
                &mapping(
                    if mapped.planes.len() == 8 {
                        Scheme::OneSidedPair
                    } else {
                        Scheme::UnitColumn
                    },
                    8,
                    Some(2),
                ),
                &weights,
                1e-6,
                &config,
            );
            let seen = std::sync::Mutex::new(Vec::new());
            let wires = |tile: &Tile<'_>| {
                seen.lock().unwrap().push((
                    tile.slice,
                    tile.first_input,
                    tile.inputs,
                    tile.first_output,
                    tile.outputs,
                ));
                Ok(tile.ideal().into_iter().map(|g| 0.5 * g).collect())
            };
            let effects = Effects {
                wires: Some(&wires),
                ..Effects::default()
            };
            let matrix =
                ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects)
                    .unwrap();
            let found = matrix.effective_weights().values;
            for (found, plain) in found.iter().zip(plain.effective_weights().values) {
                assert!((found - 0.5 * plain).abs() < 1e-6);
            }
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen.len(), 4 * 3 * 2);
            assert_eq!(seen[0], (0, 0, 3, 0, 4));
            assert_eq!(seen[23], (3, 6, 1, 4, mapped.lines() - 4));
        }
    }

    #[test]
    fn calibration_uses_the_range_of_the_data() {
        let weights = WeightMatrix::new(40, 90, numbers(9, 3600)).unwrap();
        let x = numbers(10, 200 * 90);
        let wide = ArrayConfig::new(64, 64, Dac::new(8)).with_adc(Adc::new(8));
        let adc = Adc::new(8).with_range(AdcRange::Calibrated { percentile: 100.0 });
        let fitted = ArrayConfig::new(64, 64, Dac::new(8)).with_adc(adc);
        let mapping = mapping(Scheme::OneSidedPair, 8, Some(2));
        let exact = ideal(
            &mapping,
            &weights,
            1e-6,
            &ArrayConfig::new(64, 64, Dac::new(8)),
        );
        let exact = exact.multiply(&x, None).unwrap();
        let error = |matrix: &ProgrammedMatrix| {
            let y = matrix.multiply(&x, None).unwrap();
            y.iter()
                .zip(&exact)
                .map(|(a, b)| (a - b) * (a - b))
                .sum::<f32>()
        };
        let mut calibrated = ideal(&mapping, &weights, 1e-6, &fitted);
        let message = calibrated.multiply(&x, None).unwrap_err().to_string();
        assert_eq!(
            message,
            "adc range = calibrated before calibration: call `calibrate` or `set_ranges` first"
        );
        assert!(calibrated.calibrate(&[]).is_err());
        calibrated.calibrate(&x).unwrap();
        // Eight of 64 cells are seen: steps are at least four times smaller, squared errors sixteen times.
        assert!(16.0 * error(&calibrated) < error(&ideal(&mapping, &weights, 1e-6, &wide)));
        for pair in calibrated.ranges().windows(2) {
            let ratio = (pair[0].hi - pair[0].lo) / (pair[1].hi - pair[1].lo);
            assert_eq!(ratio.log2().fract(), 0.0);
        }
        let shared = calibrated.ranges().to_vec();
        assert!(calibrated.set_ranges(&shared[..2]).is_err());
        assert!(
            ideal(&mapping, &weights, 1e-6, &wide)
                .set_ranges(&shared)
                .is_err()
        );
    }

    #[test]
    fn symmetric_codes_read_zero_as_zero() {
        let weights = WeightMatrix::new(3, 4, numbers(11, 12)).unwrap();
        let y = |codes| {
            let adc = Adc {
                codes,
                ..Adc::new(4)
            };
            let config = ArrayConfig::new(8, 8, Dac::new(8)).with_adc(adc);
            ideal(
                &mapping(Scheme::OneSidedPair, 8, None),
                &weights,
                0.0,
                &config,
            )
            .multiply(&[0.0; 4], None)
            .unwrap()
        };
        assert_eq!(y(AdcCodes::Symmetric), [0.0; 3]);
        assert!(y(AdcCodes::Full).iter().all(|y| *y != 0.0));
    }

    #[test]
    fn a_row_with_a_nan_gives_a_row_of_nan() {
        let weights = WeightMatrix::new(3, 4, numbers(12, 12)).unwrap();
        for config in [
            bit_serial(8),
            ArrayConfig::new(8, 8, Dac::new(8)).with_adc(Adc::new(8)),
        ] {
            let matrix = ideal(
                &mapping(Scheme::OneSidedPair, 8, None),
                &weights,
                0.0,
                &config,
            );
            let mut x = vec![0.5; 80];
            x[5] = f32::NAN;
            let y = matrix.multiply(&x, None).unwrap();
            assert!(y[3..6].iter().all(|y| y.is_nan()));
            assert!(y[..3].iter().chain(&y[6..]).all(|y| y.is_finite()));
        }
    }

    #[test]
    fn what_cannot_apply_is_refused() {
        let weights = WeightMatrix::new(2, 2, vec![1.0, 0.0, 0.5, -1.0]).unwrap();
        let mapped = mapping(Scheme::OneSidedPair, 4, None)
            .map(&weights, range(1e-6))
            .unwrap();
        let plain = ArrayConfig::new(8, 8, Dac::new(8));
        let new = |range, config: &ArrayConfig, effects: &Effects<'_>| {
            ProgrammedMatrix::new(&mapped, mapped.targets(), range, config, effects)
        };
        let none = Effects::default();
        let text =
            |result: Result<ProgrammedMatrix, HardwareError>| result.unwrap_err().to_string();
        assert!(
            text(new(range(2e-6), &plain, &none))
                .starts_with("range 2..100 uS and weights mapped to 1..100 uS")
        );
        let accumulated = Adc {
            conversion: Conversion::Accumulated,
            ..Adc::new(8)
        };
        assert!(
            text(new(
                range(1e-6),
                &plain.clone().with_adc(accumulated),
                &none
            ))
            .contains("nothing to accumulate")
        );
        let skewed = Adc {
            gain_error: Some(GainError { sigma: 0.1 }),
            ..Adc::new(8)
        };
        assert!(
            text(new(range(1e-6), &plain.clone().with_adc(skewed), &none))
                .contains("without a stream")
        );
        let granular = Adc::new(4).with_range(AdcRange::Granular);
        assert!(
            text(new(range(1e-6), &plain.clone().with_adc(granular), &none))
                .starts_with("adc bits = 4")
        );
        let matrix = new(range(1e-6), &plain, &none).unwrap();
        assert!(matrix.multiply(&[1.0; 3], None).is_err());
        assert!(matrix.multiply(&[], None).unwrap().is_empty());
        let reads = Reads {
            draws: ChipSeed::new(1, 1).generator("w"),
            first: 0,
        };
        assert!(matrix.multiply(&[1.0; 2], Some(reads)).is_err());
        let sigma = vec![vec![0.1; 4]; 2];
        let effects = Effects {
            read_sigma: Some(&sigma),
            ..none
        };
        assert!(
            new(range(1e-6), &plain, &effects)
                .unwrap()
                .multiply(&[1.0; 2], None)
                .is_err()
        );
        let short = vec![vec![0.1; 3]; 2];
        let effects = Effects {
            read_sigma: Some(&short),
            ..none
        };
        assert!(new(range(1e-6), &plain, &effects).is_err());
    }
}
