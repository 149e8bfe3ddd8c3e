//! From integers to what the cells of a chip hold.

use std::ops::Range;

use crossburn_noise::{ChipDraws, ChipSeed, ParameterDraws, Philox, Variation};

use super::config::Plan;
use super::entry::Slot;
use super::vector_store::Copies;
use crate::deploy::Writes;
use crate::{HardwareError, WeightMatrix};

/// Programs slots of one chip.
#[derive(Clone, Copy)]
pub(super) struct Programmer<'a> {
    /// The setting.
    pub(super) plan: &'a Plan,
    /// Whole numbers that deviate, in place of cells.
    pub(super) variation: Option<Variation>,
    /// Which chip.
    pub(super) chip: ChipSeed,
    /// Whether the cells are asked for, beside the numbers that they hold.
    pub(super) keeps_cells: bool,
}

/// The cells of some slots on the arrays that hold some inputs of one scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which scale.
    pub(super) scale: usize,
    /// Which row of arrays.
    pub(super) tile: usize,
    /// Slots that were written equally often: the first, and their number.
    pub(super) first: usize,
    /// How many.
    pub(super) count: usize,
    /// How often they were written.
    pub(super) writes: u32,
}

impl Place {
    /// The name of the arrays among the draws of a chip.
    pub(super) fn path(scale: usize, tile: usize) -> String {
        format!("search/{scale}/{tile}")
    }
}

/// The numbers that the cells of a [`Place`] hold.
pub(super) struct Held {
    /// In units of the integers, `[slots, inputs]`.
    pub(super) numbers: Vec<f32>,
    /// µS per plane, `[slots, inputs]`; empty where nobody asks for them.
    pub(super) cells: Vec<Vec<f32>>,
    /// The effort of writing.
    pub(super) writes: Writes,
}

impl Programmer<'_> {
    /// The cells of `place`, which hold the `inputs` of the copies of `copies`.
    ///
    /// What a cell holds is its integer and what the cells miss their targets by:
    ///
    /// ```text
    /// W + δ,   δ = Σ_p ± F_p (g_p - target_p) / (g_max - g_min)
    /// ```
    ///
    /// so that cells without error hold integers without rounding, in every mapping.
    ///
    /// # Errors
    /// Those of device and mapping, and [`HardwareError::Conflict`] where cells hold what is not finite: a search would pass
    /// over the entry.
    pub(super) fn hold(
        &self,
        copies: &Copies,
        inputs: Range<usize>,
        place: Place,
    ) -> Result<Held, HardwareError> {
        let width = inputs.len();
        // Draws start at multiples of four: slots are padded to them, and the padding is dropped.
        let stride = width.next_multiple_of(4);
        let mut integers = vec![0.0f32; place.count * stride];
        let slots = copies.codes.chunks_exact(copies.inputs).skip(place.first);
        for (row, codes) in integers.chunks_exact_mut(stride).zip(slots) {
            for (value, code) in row.iter_mut().zip(&codes[inputs.clone()]) {
                *value = f32::from(*code);
            }
        }
        let rows = Rows {
            count: place.count,
            width,
            stride,
        };
        let held = match self.variation {
            Some(variation) => self.deviated(variation, integers, rows, place),
            None => self.written(integers, rows, place)?,
        };
        match held.numbers.iter().all(|number| number.is_finite()) {
            true => Ok(held),
            false => Err(HardwareError::conflict(
                "cells of a store that hold what is not finite",
                "look at what the device or the variation gives for its targets",
            )),
        }
    }

    /// Integers that deviate as whole numbers.
    fn deviated(
        &self,
        variation: Variation,
        mut integers: Vec<f32>,
        rows: Rows,
        place: Place,
    ) -> Held {
        // Deviations are relative to the largest number that is given: the full scale goes with them.
        integers.push(self.plan.stored.level());
        let path = format!("{}/{}", Place::path(place.scale, place.tile), place.writes);
        let chip = self.from(rows, place);
        let deviations = variation.draw(chip, &path, &integers, &[integers.len()]);
        for (value, deviation) in integers.iter_mut().zip(deviations) {
            *value += deviation;
        }
        let cells = rows.numbers() * self.plan.planes as u64;
        Held {
            numbers: rows.without_padding(integers),
            cells: Vec::new(),
            writes: Writes {
                cells,
                pulses: cells,
                ..Writes::default()
            },
        }
    }

    /// Integers on cells that are written, and have lived for a time.
    fn written(&self, integers: Vec<f32>, rows: Rows, place: Place) -> Result<Held, HardwareError> {
        let hardware = &self.plan.hardware;
        let range = hardware.device.range();
        let matrix = WeightMatrix::new(rows.count, rows.stride, integers)?;
        let mapped = hardware.mapping.map_integers(&matrix, range)?;
        let path = Place::path(place.scale, place.tile);
        let chip = self.from(rows, place);
        let mut held = Held {
            numbers: matrix.values,
            cells: Vec::new(),
            writes: Writes::default(),
        };
        for (index, plane) in mapped.planes.iter().enumerate() {
            let targets = &plane.targets;
            let lines = format!("{path}/{index}");
            let write = format!("{lines}/{}", place.writes);
            held.writes.cells += rows.numbers();
            let written = match hardware.programming {
                None => {
                    held.writes.pulses += rows.numbers();
                    hardware.written(targets, range, &chip, &write, None)?
                }
                Some(_) => {
                    let done = hardware.verified_writes(targets, range, &chip, &write, None)?;
                    let pulses = done.pulses.iter().enumerate();
                    let pulses = pulses.filter(|(cell, _)| rows.holds(*cell));
                    let pulses: u64 = pulses.map(|(_, pulses)| u64::from(*pulses)).sum();
                    let failures = done.failures.iter().filter(|cell| rows.holds(**cell));
                    held.writes.pulses += pulses;
                    // Every pulse of a verified cell is followed by a read.
                    held.writes.reads += pulses;
                    held.writes.failures += failures.count() as u64;
                    done.conductances
                }
            };
            let after = hardware.operation.after;
            let cells = hardware.lived(written, targets, after, &chip, [&write, &lines])?;
            let gain = mapped.signed_gain(plane);
            let missed = cells.iter().zip(targets);
            for (value, (cell, target)) in held.numbers.iter_mut().zip(missed) {
                *value += gain * (cell - target);
            }
            if self.keeps_cells {
                held.cells.push(rows.without_padding(cells));
            }
        }
        held.numbers = rows.without_padding(held.numbers);
        Ok(held)
    }

    /// The draws of the chip from the cells of `place` on.
    fn from(&self, rows: Rows, place: Place) -> FromCell {
        FromCell {
            chip: self.chip,
            first: place.first * rows.stride,
        }
    }
}

/// Rows of cells, one per slot, padded to where the draws of the next may start.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    width: usize,
    stride: usize,
}

impl Rows {
    /// Numbers without padding.
    fn numbers(self) -> u64 {
        (self.count * self.width) as u64
    }

    /// Whether a cell holds a number.
    fn holds(self, cell: usize) -> bool {
        cell % self.stride < self.width
    }

    /// The values of the cells that hold numbers.
    fn without_padding(self, mut values: Vec<f32>) -> Vec<f32> {
        if self.stride != self.width {
            for row in 0..self.count {
                let start = row * self.stride;
                values.copy_within(start..start + self.width, row * self.width);
            }
        }
        values.truncate(self.count * self.width);
        values
    }
}

/// The changed slots of `places` that hold entries, in runs that were written equally often: first slot, length, writes.
pub(super) fn runs(
    slots: &[Slot],
    changed: &[bool],
    places: Range<usize>,
) -> Vec<(usize, usize, u32)> {
    let mut runs: Vec<(usize, usize, u32)> = Vec::new();
    for place in places {
        let slot = slots[place];
        if slot.entry.is_none() || !changed[place] {
            continue;
        }
        match runs.last_mut() {
            Some((first, count, writes)) if *first + *count == place && *writes == slot.writes => {
                *count += 1;
            }
            _ => runs.push((place, 1, slot.writes)),
        }
    }
    runs
}

/// The draws of a chip from one cell of every plane on, a multiple of four: the cells of a slot draw the same whichever slots
/// are programmed with it.
#[derive(Clone, Copy, Debug)]
struct FromCell {
    chip: ChipSeed,
    first: usize,
}

impl ChipDraws for FromCell {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        Box::new(DrawsFrom {
            draws: self.chip.generator(path),
            first: self.first,
        })
    }

    fn stream(&self, path: &str) -> Philox {
        self.chip.stream(path)
    }
}

/// The draws of one plane from a cell on.
struct DrawsFrom {
    draws: Philox,
    first: usize,
}

impl ParameterDraws for DrawsFrom {
    fn fill(&self, first: usize, out: &mut [f64]) {
        self.draws.fill(self.first + first, out);
    }

    fn uniform(&self, index: usize) -> f64 {
        ParameterDraws::uniform(&self.draws, self.first + index)
    }
}
