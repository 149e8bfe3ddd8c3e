//! One weight matrix on the arrays of one chip.

use std::ops::Range;

use crossburn_noise::ParameterDraws;
use rayon::prelude::*;

use super::adc::Quantizer;
use super::adc_range::Span;
use super::bank::{self, Bank};
use super::coded_inputs::{CodedInputs, Pieces};
use super::conversion::Convert;
use super::converter_errors::{self, LineErrors};
use super::product::Product;
use super::scratch::Scratch;
use super::{
    Adc, AdcRange, ArrayConfig, Circuit, CurrentProfile, CurrentRange, Dac, InputSign, Reads,
    TileSolver,
};
use crate::map::{MappedMatrix, Polarity, Slice, Tiling, WeightMatrix};
use crate::{ConductanceRange, HardwareError};

/// Rows of a batch in one block.
const BLOCK_ROWS: usize = 128;
/// Output lines in one block: a multiple of a table of partial sums.
pub(super) const BANK_LINES: usize = 256;

/// Further effects on a matrix; none by default.
#[derive(Clone, Copy, Default)]
pub struct Effects<'a> {
    /// Solver of the wires of each array.
    pub wires: Option<&'a TileSolver<'a>>,
    /// Draws of the errors of the converters.
    pub converters: Option<&'a dyn ParameterDraws>,
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
    /// Output lines, unit columns included.
    pub(super) lines: usize,
    /// Lines from one unit column to the next; `None` where there are none.
    pub(super) lines_of_unit: Option<usize>,
    pub(super) tiling: Tiling,
    /// Slice by slice, row tile by row tile.
    pub(super) banks: Vec<Bank>,
    /// Units of the scale per normalised current, per slice.
    pub(super) gains: Vec<f32>,
    /// Units of the scale that are subtracted per unit of input.
    pub(super) offset: f32,
    /// Weight of one unit, per output.
    pub(super) scales: Vec<f32>,
    /// Factors of the sums before the offset is subtracted, per output.
    pub(super) corrections: Vec<f32>,
    pub(super) dac: Dac,
    pub(super) pieces: Pieces,
    adc: Option<Adc>,
    /// Per slice; empty before calibration.
    ranges: Vec<CurrentRange>,
    /// Per bank; empty where converters are alike.
    pub(super) errors: Vec<LineErrors>,
    pub(super) circuit: Option<Circuit>,
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
            return Err(HardwareError::conflict(
                format!(
                    "range {}..{} uS and weights mapped to {}..{} uS",
                    range.g_min, range.g_max, mapped.range.g_min, mapped.range.g_max
                ),
                "map the weights to the range of the cells",
            ));
        }
        let (lines, inputs) = (mapped.lines(), mapped.inputs);
        if let Some(unit) = mapped.lines_of_unit()
            && lines > unit.min(config.columns)
            && unit != config.columns
        {
            return Err(HardwareError::conflict(
                format!(
                    "a unit column before every {} outputs on arrays of {} columns",
                    unit - 1,
                    config.columns
                ),
                "pass what MappedMatrix::on_columns gives for the columns of the arrays",
            ));
        }
        let tiling = Tiling::new(lines, inputs, config.rows, config.columns)?;
        let pieces = Pieces::new(&config.input, config.adc.map(|adc| adc.conversion));
        let banks = bank::banks(mapped, &conductances, &tiling, effects)?;
        let errors = match (config.adc.filter(Adc::has_errors), effects.converters) {
            (None, _) => Vec::new(),
            (Some(adc), Some(draws)) => converter_errors::draw(&adc, &tiling, banks.len(), draws),
            (Some(_), None) => {
                return Err(HardwareError::conflict(
                    "adc with gain_error, comparator_offset or capacitor_mismatch, without a stream",
                    "pass Effects::converters, or leave the errors out",
                ));
            }
        };
        let mut matrix = Self {
            outputs: mapped.outputs,
            inputs,
            lines,
            lines_of_unit: mapped.lines_of_unit(),
            tiling,
            banks,
            gains: mapped
                .slices
                .iter()
                .map(|slice| slice.factor * range.g_max / range.span())
                .collect(),
            offset: mapped.digital_offset(),
            scales: mapped.scales.clone(),
            corrections: mapped.corrections.clone(),
            dac: config.input,
            pieces,
            adc: config.adc,
            ranges: Vec::new(),
            errors,
            circuit: config.circuit.clone(),
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

    /// Least and largest input that its converter does not clip, in the units of the network.
    pub(crate) fn input_limits(&self) -> (f32, f32) {
        match self.dac.sign {
            InputSign::Signed => (-self.dac.x_max, self.dac.x_max),
            InputSign::Unsigned => (0.0, self.dac.x_max),
        }
    }

    /// The derivative of the converted inputs by the logarithm of the full scale: the converted input itself if it is
    /// clipped, and its rounding error otherwise.
    ///
    /// # Source
    /// Esser et al., "Learned step size quantization", ICLR 2020, equation 3, times the full scale.
    pub(crate) fn input_growth(&self, x: &[f32]) -> Vec<f32> {
        let mut applied = vec![0.0; x.len()];
        self.dac.encode(x, &mut applied);
        let (least, most) = self.input_limits();
        let step = self.dac.x_max / self.dac.levels() as f32;
        for (applied, x) in applied.iter_mut().zip(x) {
            *applied *= step;
            if (least..=most).contains(x) {
                *applied -= x;
            }
        }
        applied
    }

    /// The arrays that one plane covers; unit columns count as outputs.
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
            return Err(HardwareError::conflict(
                "calibrated ranges for an array whose adc range is not calibrated",
                "set adc range = { calibrated = { percentile = 99.9 } }",
            ));
        }
        if ranges.len() != self.slices() {
            return Err(HardwareError::limit(
                "number of ranges",
                ranges.len(),
                self.slices(),
                "pass one range per slice",
            ));
        }
        ranges.iter().try_for_each(CurrentRange::check)?;
        for (range, adc) in ranges.iter().zip(self.adc.iter().cycle()) {
            adc.check_steps(*range)?;
        }
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
            return Err(HardwareError::limit(
                "slices of the profile",
                profile.slices(),
                self.slices(),
                "start a profile with the slices of this matrix",
            ));
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
    /// [`HardwareError::Limit`] for another number of inputs or of reads; [`HardwareError::Conflict`] for calibrated converters without
    /// ranges, and for read noise without its stream or the stream without noise.
    pub fn multiply(&self, x: &[f32], reads: Option<Reads<'_>>) -> Result<Vec<f32>, HardwareError> {
        self.check_inputs(x)?;
        let batch = x.len() / self.inputs;
        self.check_ready(reads, batch)?;
        let mut out = vec![0.0; batch * self.outputs];
        let block = |(block, (out, x)): (usize, (&mut [f32], &[f32]))| {
            let first = block * BLOCK_ROWS;
            let reads = reads.map(|reads| Reads {
                numbers: &reads.numbers[first..batch.min(first + BLOCK_ROWS)],
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

    /// The weights that the cells hold, wires included, as ideal converters would see them.
    pub fn effective_weights(&self) -> WeightMatrix {
        let lines = self.lines;
        let mut values = vec![0.0; self.outputs * self.inputs];
        for (index, bank) in self.banks.iter().enumerate() {
            let gain = self.gains[index / self.tiling.row_tiles];
            let inputs = self.tiling.input_range(index % self.tiling.row_tiles);
            for (input, cells) in inputs.zip(bank.cells.chunks_exact(lines)) {
                let (mut unit, mut output) = (0.0, 0);
                for (line, cell) in cells.iter().enumerate() {
                    if self.is_unit(line) {
                        unit = *cell;
                        continue;
                    }
                    values[output * self.inputs + input] += gain * (cell - unit);
                    output += 1;
                }
            }
        }
        let digital = self.scales.iter().zip(&self.corrections);
        for (row, (scale, correction)) in values.chunks_exact_mut(self.inputs).zip(digital) {
            for value in row {
                *value = scale * (correction * *value - self.offset);
            }
        }
        WeightMatrix {
            outputs: self.outputs,
            inputs: self.inputs,
            values,
        }
    }

    fn multiply_block(&self, x: &[f32], reads: Option<Reads<'_>>, out: &mut [f32]) {
        let inputs = CodedInputs::new(x, &self.dac, &self.pieces, &self.tiling, self.is_noisy());
        let product = self.product(&inputs, reads);
        let (rows, lines) = (inputs.rows, self.lines);
        // Block of lines by block of lines, each [rows, lines of the block].
        let mut sums = Scratch::new(rows * lines);
        sums.fill(0.0);
        let fill = |(block, sums): (usize, &mut [f32])| {
            let first = block * BANK_LINES;
            let width = sums.len() / rows;
            product.each(first..first + width, |currents| {
                let slice = currents.bank / self.tiling.row_tiles;
                let factors = self.pieces.factors[currents.pieces.clone()].iter();
                let factors: Vec<f32> = factors.map(|factor| factor * self.gains[slice]).collect();
                let errors = self.errors.get(currents.bank);
                let unit = 1.0 / self.pieces.levels;
                let quantizer = self.quantizer(slice);
                let mut read = Vec::new();
                let (values, unit, quantizer) = match (&self.circuit, quantizer) {
                    (Some(circuit), Some(quantizer)) => {
                        let mut draws = product.code_draws(&currents);
                        read.resize(currents.values.len(), 0.0);
                        circuit.read(quantizer, unit, currents.values, &mut draws, &mut read);
                        // Currents that codes are read as.
                        (read.as_slice(), 1.0, None)
                    }
                    (_, quantizer) => (currents.values, unit, quantizer),
                };
                let convert = Convert {
                    currents: values,
                    stride: currents.stride,
                    width: currents.width,
                    unit,
                    factors: &factors,
                    quantizer,
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
            // The term is multiplied by zero rather than skipped, so that a NaN input still reaches the result.
            let offset = self.offset * (inputs.sums[row] * per_code);
            let blocks = sums.chunks(rows * BANK_LINES);
            let of_row = blocks.map(|sums| {
                let width = sums.len() / rows;
                &sums[row * width..(row + 1) * width]
            });
            self.subtract(of_row, offset, out);
        }
    }

    /// The results `out` of one row from the sums of its lines, block after block.
    fn subtract<'a>(&self, blocks: impl Iterator<Item = &'a [f32]>, offset: f32, out: &mut [f32]) {
        let Some(lines_of_unit) = self.lines_of_unit else {
            let mut first = 0;
            for sums in blocks {
                let of_block = first..first + sums.len();
                first = of_block.end;
                let digital = self.scales[of_block.clone()].iter();
                let digital = digital.zip(&self.corrections[of_block.clone()]);
                let results = out[of_block].iter_mut().zip(digital);
                for (sum, (out, (scale, correction))) in sums.iter().zip(results) {
                    *out = scale * self.dac.x_max * (correction * sum - offset);
                }
            }
            return;
        };
        let digital = self.scales.iter().zip(&self.corrections);
        let mut results = out.iter_mut().zip(digital);
        let mut unit = 0.0;
        for (line, sum) in blocks.flatten().enumerate() {
            if line.is_multiple_of(lines_of_unit) {
                unit = *sum;
            } else if let Some((out, (scale, correction))) = results.next() {
                *out = scale * self.dac.x_max * (correction * sum - (unit + offset));
            }
        }
    }

    fn product<'a>(&'a self, inputs: &'a CodedInputs, reads: Option<Reads<'a>>) -> Product<'a> {
        Product {
            banks: &self.banks,
            tiling: &self.tiling,
            lines: self.lines,
            pieces: &self.pieces,
            inputs,
            reads,
            codes_scatter: self.codes_scatter(),
        }
    }

    /// Whether cells have read noise.
    fn is_noisy(&self) -> bool {
        self.banks.iter().any(|bank| bank.variances.is_some())
    }

    /// Whether the codes of equal currents differ.
    pub(super) fn codes_scatter(&self) -> bool {
        self.circuit.as_ref().is_some_and(Circuit::scatters)
    }

    pub(super) fn quantizer(&self, slice: usize) -> Option<Quantizer> {
        let range = self.ranges.get(slice)?;
        self.adc.map(|adc| adc.quantizer(*range))
    }

    fn is_unit(&self, line: usize) -> bool {
        self.lines_of_unit
            .is_some_and(|lines| line.is_multiple_of(lines))
    }

    fn line_blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let lines = self.lines;
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
                AdcRange::Granular => {
                    // Not symmetric: if the number of steps is odd, one more lies above zero.
                    let steps = adc.steps(CurrentRange { lo: 0.0, hi: 1.0 });
                    span.granular(adc.bits, steps).map(Some)
                }
                AdcRange::Fixed { lo, hi } => Ok(Some(CurrentRange { lo, hi })),
                AdcRange::Calibrated { .. } => Ok(None),
            }
        };
        let ranges: Result<Vec<_>, _> = mapped.slices.iter().map(range).collect();
        let ranges: Vec<CurrentRange> = ranges?.into_iter().flatten().collect();
        ranges
            .iter()
            .try_for_each(|range| adc.check_steps(*range))?;
        Ok(ranges)
    }

    fn check_inputs(&self, x: &[f32]) -> Result<(), HardwareError> {
        if x.len().is_multiple_of(self.inputs) {
            return Ok(());
        }
        Err(HardwareError::limit(
            "number of inputs",
            x.len(),
            format!("the multiples of {}", self.inputs),
            "pass whole rows",
        ))
    }

    fn check_ready(&self, reads: Option<Reads<'_>>, batch: usize) -> Result<(), HardwareError> {
        if let Some(reads) = reads
            && reads.numbers.len() != batch
        {
            return Err(HardwareError::limit(
                "number of reads",
                reads.numbers.len(),
                batch,
                "number one read for every row of the batch",
            ));
        }
        let scatters = self.is_noisy() || self.codes_scatter();
        let (settings, remedy) = if self.adc.is_some() && self.ranges.is_empty() {
            (
                "adc range = calibrated before calibration",
                "call `calibrate` or `set_ranges` first",
            )
        } else if scatters && reads.is_none() {
            (
                "noise of reads without a stream of reads",
                "pass `Reads`, or program without `read_sigma` and with a circuit whose codes do not scatter",
            )
        } else if reads.is_some() && !scatters {
            (
                "a stream of reads without noise of reads",
                "pass no `Reads`, or program with `read_sigma`",
            )
        } else {
            return Ok(());
        };
        Err(HardwareError::conflict(settings, remedy))
    }
}
