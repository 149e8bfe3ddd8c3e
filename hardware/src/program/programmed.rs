//! The result of programming, and its cost.

use crossburn_kernels::normal_quantiles;
use crossburn_noise::ParameterDraws;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Acceptance;
use crate::HardwareError;
use crate::units::Joule;

/// Energy of programming one cell once.
///
/// In TOML: `pulse = "10 pJ"` and `read = "0.1 pJ"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseEnergy {
    /// Energy of one write pulse.
    pub pulse: Joule,
    /// Energy of one verifying read.
    pub read: Joule,
}

/// Cells after programming.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Programmed {
    /// µS, one per target.
    pub conductances: Vec<f32>,
    /// Write pulses, one count per target.
    pub pulses: Vec<u32>,
    /// Cells that were still outside the tolerance after the last pulse, in ascending order.
    pub failures: Vec<usize>,
    /// Reads that verified, altogether.
    pub reads: u64,
}

impl Programmed {
    /// Write pulses altogether.
    pub fn total_pulses(&self) -> u64 {
        self.pulses.iter().map(|pulses| u64::from(*pulses)).sum()
    }

    /// Write pulses per cell; 0 where there are no cells.
    pub fn mean_pulses(&self) -> f64 {
        self.total_pulses() as f64 / self.pulses.len().max(1) as f64
    }

    /// Energy of all pulses and reads.
    pub fn energy(&self, energy: &PulseEnergy) -> Joule {
        let pulses = self.total_pulses() as f64 * energy.pulse.get();
        Joule::new(pulses + self.reads as f64 * energy.read.get())
    }
}

/// The pulses and reads of one cell.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell {
    pub(super) conductance: f32,
    pub(super) pulses: u32,
    pub(super) failed: bool,
}

impl Programmed {
    /// Gathers cells; `verified` tells which of them were read after every pulse.
    pub(super) fn of_cells(cells: &[Cell], verified: impl Fn(usize) -> bool) -> Self {
        let mut programmed = Self::default();
        for (index, cell) in cells.iter().enumerate() {
            programmed.conductances.push(cell.conductance);
            programmed.pulses.push(cell.pulses);
            if cell.failed {
                programmed.failures.push(index);
            }
            if verified(index) {
                programmed.reads += u64::from(cell.pulses);
            }
        }
        programmed
    }
}

/// Cells of one task; a multiple of the draws of a block.
const PIECE: usize = 1 << 14;
/// Draws of one round (a pulse) start here: more cells than any array has.
const ROUND: u64 = 1 << 40;
/// More pulses than any cell survives, and few enough for a round each.
pub(super) const MOST_PULSES: u32 = 1 << 20;

/// Draws of a piece of the cells.
pub(super) struct PieceDraws<'a> {
    draws: &'a dyn ParameterDraws,
    first: u64,
    pub(super) count: usize,
}

impl PieceDraws<'_> {
    /// Uniform draws of a round for all cells of the piece.
    pub(super) fn uniforms(&self, round: u32) -> Vec<f64> {
        let mut out = vec![0.0; self.count];
        self.draws
            .fill((u64::from(round) * ROUND + self.first) as usize, &mut out);
        out
    }

    /// Normal draws of a round for some cells of the piece, counted from its start.
    pub(super) fn normals(&self, round: u32, cells: &[usize]) -> Vec<f64> {
        let mut out = match cells.len() == self.count {
            true => self.uniforms(round),
            false => cells
                .iter()
                .map(|cell| {
                    let index = u64::from(round) * ROUND + self.first + *cell as u64;
                    self.draws.uniform(index as usize)
                })
                .collect(),
        };
        normal_quantiles(&mut out);
        out
    }
}

/// Calls `program` with pieces of the targets on the threads of the current pool.
///
/// `program` gets the draws of its piece, the index of its first cell, its targets and its cells.
pub(super) fn in_pieces(
    targets: &[f32],
    draws: &dyn ParameterDraws,
    program: impl Fn(&PieceDraws<'_>, usize, &[f32], &mut [Cell]) + Sync,
) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); targets.len()];
    cells
        .par_chunks_mut(PIECE)
        .zip(targets.par_chunks(PIECE))
        .enumerate()
        .for_each(|(piece, (cells, targets))| {
            let first = piece * PIECE;
            let draws = PieceDraws {
                draws,
                first: first as u64,
                count: cells.len(),
            };
            program(&draws, first, targets, cells);
        });
    cells
}

/// Pulses until every cell is accepted, or for `maximum_pulses`; cells that are not `verified` get one pulse.
///
/// `write` gives the conductance after a pulse: from the target, the conductance before (nothing at the first pulse) and a
/// normal draw. Conductances below 0 become 0. Everything in µS.
pub(super) fn pulse_until_verified(
    targets: &[f32],
    draws: &dyn ParameterDraws,
    acceptance: Acceptance,
    maximum_pulses: u32,
    verified: impl Fn(usize) -> bool + Sync,
    write: impl Fn(f64, Option<f64>, f64) -> f64 + Sync,
) -> Vec<Cell> {
    in_pieces(targets, draws, |draws, first, targets, cells| {
        let mut pending: Vec<usize> = (0..cells.len()).collect();
        let mut conductances = vec![None; cells.len()];
        for pulse in 0..maximum_pulses {
            let normals = draws.normals(pulse, &pending);
            let mut rest = Vec::new();
            for (cell, normal) in pending.into_iter().zip(normals) {
                let target = f64::from(targets[cell]);
                let conductance = write(target, conductances[cell], normal).max(0.0);
                conductances[cell] = Some(conductance);
                let failed = verified(first + cell) && !acceptance.accepts(conductance, target);
                cells[cell] = Cell {
                    conductance: conductance as f32,
                    pulses: pulse + 1,
                    failed,
                };
                if failed {
                    rest.push(cell);
                }
            }
            pending = rest;
            if pending.is_empty() {
                break;
            }
        }
    })
}

/// Refuses a fraction outside `limit`.
pub(super) fn require(
    field: &str,
    value: f64,
    allowed: bool,
    limit: &str,
    remedy: &str,
) -> Result<(), HardwareError> {
    if allowed && value.is_finite() {
        return Ok(());
    }
    Err(HardwareError::limit(field, value, limit, remedy))
}

/// Refuses a tolerance or a deviation, fractions of the range, that is not positive, and impossible numbers of pulses.
pub(super) fn require_verification(
    fractions: &[(&str, f64)],
    maximum_pulses: u32,
) -> Result<(), HardwareError> {
    for (field, value) in fractions {
        require(
            field,
            *value,
            *value > 0.0,
            "the finite numbers above 0",
            "give it as a fraction of the range of conductances, such as 0.05",
        )?;
    }
    require(
        "maximum_pulses",
        f64::from(maximum_pulses),
        (1..=MOST_PULSES).contains(&maximum_pulses),
        "1..=1048576",
        "use 100 pulses",
    )
}
