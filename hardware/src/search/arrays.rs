//! Searches through arrays and converters.

use std::ops::Range;

use crossburn_noise::{ChipDraws, Philox};
use rayon::prelude::*;

use super::QuantizedQueries;
use super::entry::{Hit, Slot};
use super::product::{Factors, hits};
use super::programmed_store::Piece;
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
    rows: Vec<ArrayRow>,
}

/// The arrays that take the same inputs: one row of them, all slices and signs.
#[derive(Clone, Debug)]
struct ArrayRow {
    inputs: Range<usize>,
    /// µS per plane, `[slots, inputs]`.
    cells: Vec<Vec<f32>>,
    matrix: ProgrammedMatrix,
    /// Where reads scatter.
    reads: Option<Philox>,
}

impl ScaleArrays {
    /// The arrays of one scale with the cells of `pieces`, and elsewhere those that are `known`. Free slots have ideal cells of
    /// zero.
    pub(super) fn new(
        programmer: &Programmer<'_>,
        (scale, copies): (usize, &Copies),
        slots: &[Slot],
        pieces: &[Piece],
        known: Option<Self>,
    ) -> Result<Self, HardwareError> {
        let mut known = known.map(|arrays| arrays.rows.into_iter());
        let rows = programmer.plan.tiles(copies.inputs).map(|(tile, inputs)| {
            let mapped = mapped(programmer, copies, inputs.clone(), slots.len())?;
            let mut cells = mapped.targets();
            let before = known.as_mut().and_then(Iterator::next);
            for (plane, cells) in cells.iter_mut().enumerate() {
                if let Some(before) = &before {
                    let before = &before.cells[plane];
                    cells[..before.len()].copy_from_slice(before);
                }
                let placed = pieces.iter().flat_map(|piece| &piece.cells);
                for placed in placed.filter(|placed| placed.tile == tile) {
                    let written = &placed.planes[plane];
                    cells[placed.first * inputs.len()..][..written.len()].copy_from_slice(written);
                }
            }
            ArrayRow::new(
                programmer,
                (scale, tile),
                copies,
                slots,
                inputs,
                &mapped,
                cells,
            )
        });
        Ok(Self {
            inputs: copies.inputs,
            rows: rows.collect::<Result<_, HardwareError>>()?,
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
        let mut sums = vec![0.0f64; block.len() * slots];
        for row in &self.rows {
            let codes = query.codes[block.start * self.inputs..block.end * self.inputs]
                .chunks_exact(self.inputs)
                .flat_map(|codes| &codes[row.inputs.clone()]);
            let applied: Vec<f32> = codes.map(|code| code / level).collect();
            let reads = row.reads.map(|draws| Reads {
                draws,
                numbers: &numbers,
            });
            let products = row.matrix.multiply(&applied, reads)?;
            for (sum, product) in sums.iter_mut().zip(products) {
                *sum += (f64::from(product) * f64::from(level)).round_ties_even();
            }
        }
        Ok(sums)
    }
}

impl ArrayRow {
    fn new(
        programmer: &Programmer<'_>,
        (scale, tile): (usize, usize),
        copies: &Copies,
        slots: &[Slot],
        inputs: Range<usize>,
        mapped: &MappedMatrix,
        cells: Vec<Vec<f32>>,
    ) -> Result<Self, HardwareError> {
        let hardware = &programmer.plan.hardware;
        let path = Place::path(scale, tile);
        let after = hardware.operation.after;
        let sigmas: Option<Vec<Vec<f32>>> = match hardware.reads_scatter() {
            true => cells
                .iter()
                .map(|cells| hardware.device.read_sigma(cells, after))
                .collect(),
            false => None,
        };
        let converters = programmer.chip.parameter(&format!("{path}/converters"));
        let effects = Effects {
            read_sigma: sigmas.as_deref(),
            converters: Some(&*converters),
            ..Effects::default()
        };
        let range = mapped.range;
        let array = &hardware.array;
        let mut matrix = ProgrammedMatrix::new(mapped, cells.clone(), range, array, &effects)?;
        if let Some(AdcRange::Calibrated { percentile }) = array.adc.map(|adc| adc.range) {
            let ranges = calibrated(programmer, mapped, copies, slots, &inputs, percentile)?;
            matrix.set_ranges(&ranges)?;
        }
        let scatters = sigmas.is_some() || array.circuit.as_ref().is_some_and(|c| c.scatters());
        Ok(Self {
            inputs,
            cells,
            matrix,
            reads: scatters.then(|| programmer.chip.stream(&format!("{path}/read"))),
        })
    }
}

/// The targets of all slots on the arrays that take `inputs`.
fn mapped(
    programmer: &Programmer<'_>,
    copies: &Copies,
    inputs: Range<usize>,
    slots: usize,
) -> Result<MappedMatrix, HardwareError> {
    let rows = copies.codes.chunks_exact(copies.inputs).take(slots);
    let codes = rows.flat_map(|codes| &codes[inputs.clone()]);
    let integers = codes.map(|code| f32::from(*code)).collect();
    let matrix = WeightMatrix::new(slots, inputs.len(), integers)?;
    let hardware = &programmer.plan.hardware;
    hardware
        .mapping
        .map_integers(&matrix, hardware.device.range())
}

/// The ranges of converters from the currents that some entries cause as queries, in ideal cells.
fn calibrated(
    programmer: &Programmer<'_>,
    mapped: &MappedMatrix,
    copies: &Copies,
    slots: &[Slot],
    inputs: &Range<usize>,
    percentile: f64,
) -> Result<Vec<CurrentRange>, HardwareError> {
    let mut array = programmer.plan.hardware.array.clone();
    if let Some(adc) = &mut array.adc {
        (
            adc.gain_error,
            adc.comparator_offset,
            adc.capacitor_mismatch,
        ) = (None, None, None);
    }
    array.circuit = None;
    let ideal = ProgrammedMatrix::new(
        mapped,
        mapped.targets(),
        mapped.range,
        &array,
        &Effects::default(),
    )?;
    let mut profile = CurrentProfile::new(ideal.slices());
    let entries = copies.codes.chunks_exact(copies.inputs).zip(slots);
    let entries = entries.filter(|(_, slot)| slot.entry.is_some());
    let applied: Vec<f32> = entries
        .take(CALIBRATION)
        .flat_map(|(codes, _)| {
            // As a query, scaled by its own largest number.
            let largest = codes.iter().map(|code| code.unsigned_abs()).max();
            let largest = f32::from(largest.unwrap_or(1).max(1));
            let codes = codes[inputs.clone()].iter();
            codes.map(move |code| f32::from(*code) / largest)
        })
        .collect();
    ideal.profile(&applied, &mut profile)?;
    profile.ranges(percentile)
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
