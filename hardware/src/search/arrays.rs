//! Searches through arrays and converters.

use std::ops::Range;

use crossburn_noise::{ChipDraws, Philox};
use rayon::prelude::*;

use super::QuantizedQueries;
use super::entry::{Hit, Slot};
use super::product::{Factors, hits};
use super::programmed_store::{Piece, PlacedCells};
use super::programming::{Place, Programmer};
use super::queries::QueryPart;
use super::top::Best;
use super::vector_store::Copies;
use crate::array::{AdcRange, CurrentProfile, CurrentRange, Effects, ProgrammedMatrix, Reads};
use crate::{HardwareError, MappedMatrix, WeightMatrix};

/// Queries that go through the arrays together.
const QUERIES: usize = 64;
/// Entries whose currents, as queries of ideal cells, set the ranges of calibrated converters.
const CALIBRATION: usize = 256;

/// The arrays of one scale.
#[derive(Clone, Debug)]
pub(super) struct ScaleArrays {
    inputs: usize,
    /// Row of arrays by row of arrays, each along the slots.
    blocks: Vec<Block>,
}

/// The arrays of all slices and signs that take the same inputs and hold the same slots. They are the same arrays whatever
/// else is in the store.
#[derive(Clone, Debug)]
struct Block {
    inputs: Range<usize>,
    /// The first slot; there is one for each column of an array.
    first: usize,
    /// µS per plane, `[columns, inputs]`.
    cells: Vec<Vec<f32>>,
    matrix: ProgrammedMatrix,
    /// Draws of read noise, if reads are noisy.
    reads: Option<Philox>,
}

/// The common settings of all arrays of a scale.
pub(super) struct Making<'a> {
    pub(super) programmer: Programmer<'a>,
    pub(super) scale: usize,
    pub(super) copies: &'a Copies,
    pub(super) slots: &'a [Slot],
    /// Which slots were written or erased.
    pub(super) changed: &'a [bool],
    /// The written pieces.
    pub(super) pieces: &'a [Piece],
}

impl ScaleArrays {
    /// The arrays of one scale, where those that `known` has are kept unless a slot of theirs has changed. Free slots have ideal
    /// cells of zero.
    pub(super) fn new(making: &Making<'_>, known: Option<Self>) -> Result<Self, HardwareError> {
        let columns = making.columns();
        let per_row = making.slots.len().div_ceil(columns);
        let mut known = known.map_or(Vec::new(), |arrays| arrays.blocks);
        let mut rows = Vec::new();
        for (tile, inputs) in making.programmer.plan.tiles(making.copies.inputs) {
            let ranges = making.ranges(&inputs)?;
            let (of_row, others): (Vec<Block>, Vec<Block>) =
                known.into_iter().partition(|block| block.inputs == inputs);
            known = others;
            let mut before: Vec<Option<Block>> = of_row.into_iter().map(Some).collect();
            before.resize_with(per_row, || None);
            let block = |(index, before): (usize, Option<Block>)| {
                let first = index * columns;
                let slots = first..making.slots.len().min(first + columns);
                let mut block = match before {
                    Some(block) if !making.changed[slots].contains(&true) => block,
                    before => making.block((tile, index), inputs.clone(), before)?,
                };
                if let Some(ranges) = &ranges {
                    block.matrix.set_ranges(ranges)?;
                }
                Ok(block)
            };
            let blocks: Vec<Block> = before
                .into_par_iter()
                .enumerate()
                .map(block)
                .collect::<Result<_, HardwareError>>()?;
            rows.extend(blocks);
        }
        Ok(Self {
            inputs: making.copies.inputs,
            blocks: rows,
        })
    }

    /// The inner products of some queries with all slots, `[queries, slots]`, in whole steps.
    fn sums(
        &self,
        query: &QueryPart,
        block: Range<usize>,
        queries: &QuantizedQueries,
        slots: usize,
    ) -> Result<Vec<f64>, HardwareError> {
        let level = queries.level();
        let numbers: Vec<u64> = block
            .clone()
            .map(|query| queries.first_read() + query as u64)
            .collect();
        let codes = &query.codes[block.start * self.inputs..block.end * self.inputs];
        let mut applied = Vec::new();
        let mut inputs = 0..0;
        let mut sums = vec![0.0f64; block.len() * slots];
        for arrays in &self.blocks {
            if inputs != arrays.inputs {
                inputs = arrays.inputs.clone();
                let rows = codes.chunks_exact(self.inputs);
                let codes = rows.flat_map(|codes| &codes[inputs.clone()]);
                applied = codes.map(|code| code / level).collect();
            }
            let reads = arrays.reads.map(|draws| Reads {
                draws,
                numbers: &numbers,
            });
            let products = arrays.matrix.multiply(&applied, reads)?;
            let columns = arrays.matrix.outputs();
            let last = slots.min(arrays.first + columns);
            let rows = sums
                .chunks_exact_mut(slots)
                .zip(products.chunks_exact(columns));
            for (sums, products) in rows {
                for (sum, product) in sums[arrays.first..last].iter_mut().zip(products) {
                    *sum += (f64::from(*product) * f64::from(level)).round_ties_even();
                }
            }
        }
        Ok(sums)
    }
}

impl Making<'_> {
    /// Slots of one array.
    fn columns(&self) -> usize {
        self.programmer.plan.hardware.array.columns
    }

    /// The arrays of row `tile` and column `index`, with the cells of `before` where a slot has not changed.
    fn block(
        &self,
        (tile, index): (usize, usize),
        inputs: Range<usize>,
        before: Option<Block>,
    ) -> Result<Block, HardwareError> {
        let hardware = &self.programmer.plan.hardware;
        let (columns, width) = (self.columns(), inputs.len());
        let first = index * columns;
        let slots = first..self.slots.len().min(first + columns);
        let mapped = self.mapped(&inputs, slots.clone(), columns)?;
        let mut cells = mapped.targets();
        for (plane, cells) in cells.iter_mut().enumerate() {
            if let Some(before) = &before {
                for slot in slots.clone().filter(|slot| !self.changed[*slot]) {
                    let at = (slot - first) * width;
                    cells[at..at + width].copy_from_slice(&before.cells[plane][at..at + width]);
                }
            }
            let placed = self.pieces.iter().flat_map(|piece| &piece.cells);
            for placed in placed.filter(|placed| placed.tile == tile) {
                copy_overlap(placed, plane, width, slots.clone(), cells);
            }
        }
        let path = format!("{}/{index}", Place::path(self.scale, tile));
        let chip = self.programmer.chip;
        let sigma = |cells: &Vec<f32>| hardware.device.read_sigma(cells, hardware.operation.after);
        let sigmas: Option<Vec<Vec<f32>>> = match hardware.reads_scatter() {
            true => cells.iter().map(sigma).collect(),
            false => None,
        };
        let converters = chip.parameter(&format!("{path}/converters"));
        let effects = Effects {
            read_sigma: sigmas.as_deref(),
            converters: Some(&*converters),
            ..Effects::default()
        };
        let array = &hardware.array;
        let matrix = ProgrammedMatrix::new(&mapped, cells.clone(), mapped.range, array, &effects)?;
        let scatters = sigmas.is_some() || array.circuit.as_ref().is_some_and(|c| c.scatters());
        Ok(Block {
            inputs,
            first,
            cells,
            matrix,
            reads: scatters.then(|| chip.stream(&format!("{path}/read"))),
        })
    }

    /// The targets of `slots` on the arrays that take `inputs`, as a matrix of `lines` of which the last may be zero.
    fn mapped(
        &self,
        inputs: &Range<usize>,
        slots: impl Iterator<Item = usize>,
        lines: usize,
    ) -> Result<MappedMatrix, HardwareError> {
        let codes = slots.flat_map(|slot| &self.codes(slot)[inputs.clone()]);
        let mut integers: Vec<f32> = codes.map(|code| f32::from(*code)).collect();
        integers.resize(lines * inputs.len(), 0.0);
        let matrix = WeightMatrix::new(lines, inputs.len(), integers)?;
        let hardware = &self.programmer.plan.hardware;
        hardware
            .mapping
            .map_integers(&matrix, hardware.device.range())
    }

    /// The integers of a slot.
    fn codes(&self, slot: usize) -> &[i8] {
        &self.copies.codes[slot * self.copies.inputs..][..self.copies.inputs]
    }

    /// The ranges of calibrated converters, from the currents that some entries cause as queries in ideal cells of their own;
    /// nothing for other converters.
    fn ranges(&self, inputs: &Range<usize>) -> Result<Option<Vec<CurrentRange>>, HardwareError> {
        let mut array = self.programmer.plan.hardware.array.clone();
        let Some(adc) = &mut array.adc else {
            return Ok(None);
        };
        let AdcRange::Calibrated { percentile } = adc.range else {
            return Ok(None);
        };
        (
            adc.gain_error,
            adc.comparator_offset,
            adc.capacitor_mismatch,
        ) = (None, None, None);
        array.circuit = None;
        let held = |slot: &usize| self.slots[*slot].entry.is_some();
        let some = (0..self.slots.len()).filter(held).take(CALIBRATION);
        let some: Vec<usize> = some.collect();
        let mapped = self.mapped(inputs, some.iter().copied(), some.len())?;
        let effects = Effects::default();
        let ideal =
            ProgrammedMatrix::new(&mapped, mapped.targets(), mapped.range, &array, &effects)?;
        let as_query = |slot: &usize| {
            let codes = self.codes(*slot);
            // A query is scaled by its own largest number.
            let largest = codes.iter().map(|code| code.unsigned_abs()).max();
            let largest = f32::from(largest.unwrap_or(1).max(1));
            let codes = codes[inputs.clone()].iter();
            codes.map(move |code| f32::from(*code) / largest)
        };
        let applied: Vec<f32> = some.iter().flat_map(as_query).collect();
        let mut profile = CurrentProfile::new(ideal.slices());
        ideal.profile(&applied, &mut profile)?;
        profile.ranges(percentile).map(Some)
    }
}

/// Copies the cells of `placed` that lie in `slots` to `cells`, `[slots, width]`.
fn copy_overlap(
    placed: &PlacedCells,
    plane: usize,
    width: usize,
    slots: Range<usize>,
    cells: &mut [f32],
) {
    let written = &placed.planes[plane];
    let last = placed.first + written.len() / width;
    let (start, end) = (slots.start.max(placed.first), slots.end.min(last));
    if start < end {
        let from = &written[(start - placed.first) * width..(end - placed.first) * width];
        cells[(start - slots.start) * width..(end - slots.start) * width].copy_from_slice(from);
    }
}

/// The `k` best entries of each query.
pub(super) fn search(
    scales: &[&ScaleArrays],
    slots: &[Slot],
    queries: &QuantizedQueries,
    factors: &Factors,
    k: usize,
) -> Result<Vec<Vec<Hit>>, HardwareError> {
    let blocks: Vec<Vec<Vec<Hit>>> = (0..queries.len().div_ceil(QUERIES))
        .into_par_iter()
        .map(|block| {
            let block = block * QUERIES..queries.len().min((block + 1) * QUERIES);
            let mut scores = vec![0.0f64; block.len() * slots.len()];
            for (scale, (arrays, query)) in scales.iter().zip(queries.parts()).enumerate() {
                let sums = arrays.sums(query, block.clone(), queries, slots.len())?;
                factors.add(scale, &sums, slots.len(), block.clone(), &mut scores);
            }
            let best = scores.chunks_exact(slots.len()).map(|scores| {
                let mut best = Best::new(k);
                best.offer(scores, slots);
                hits(best, |score| score)
            });
            Ok(best.collect())
        })
        .collect::<Result<_, HardwareError>>()?;
    Ok(blocks.into_iter().flatten().collect())
}
