//! Networks on chips: how much of its AUPRC each map keeps, where weights deviate and where they are programmed cells.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware};
use crossburn_models::UNet;
use crossburn_noise::{ChipSeed, Distribution, Variation};
use crossburn_training::data::Samples;
use crossburn_training::{Batches, Evaluation, LesionDetection, LesionMetric, Slices, Task};
use serde::Serialize;

use super::super::Place;
use super::learned::{Learned, restored};
use super::maps::{BATCH, Judged, MAPS, auprc, maps};

/// Seed of the chips that are judged.
const CHIPS: u64 = 7;
/// The accelerator whose cells are programmed.
const ACCELERATOR: &str = "papers";
/// σ of weights that deviate, relative to the largest weight of a layer.
pub(super) const SIGMAS: [f64; 3] = [0.02, 0.05, 0.1];
/// The cells that are programmed: from those that deviate little to those that deviate much.
const CELLS: [&str; 3] = ["reram-cmo-hfox", "pcm-hermes-1", "rram4"];
/// The maps that networks are judged by on chips: l1 and FQ.
pub(super) const CHIP_MAPS: [(&str, f64); 2] = [MAPS[0], MAPS[2]];

/// Why chips differ from the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Deviation {
    /// Every weight, by a normal distribution of this σ.
    Sigma(f64),
    /// Every cell of this kind, after it was programmed.
    Cell(&'static str),
}

impl Deviation {
    /// All that are judged.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let cells = CELLS.into_iter().map(Self::Cell);
        SIGMAS.into_iter().map(Self::Sigma).chain(cells)
    }

    /// Its name in tables.
    pub(super) fn name(self) -> String {
        match self {
            Self::Sigma(sigma) => format!("σ = {sigma}"),
            Self::Cell(cell) => format!("{cell} cells"),
        }
    }
}

/// The mean AUPRC of chips.
pub(super) fn on_chips(map: &str, deviation: Deviation) -> String {
    format!("{}, {}", auprc(map), deviation.name())
}

/// `count` chips of a network for each deviation.
pub(super) struct OnChips<'a> {
    pub(super) learned: &'a Learned<UNet>,
    pub(super) judged: &'a Judged<'a>,
    pub(super) count: u64,
    pub(super) place: &'a Place<'a>,
    /// Hears of every finished chip.
    pub(super) told: &'a (dyn Fn() + Sync),
}

impl OnChips<'_> {
    /// The mean AUPRC of each map on `test`, under each deviation; `None` where it was stopped.
    pub(super) fn numbers(&self, test: &Arc<Samples>) -> Result<Option<BTreeMap<String, f64>>> {
        let device = self.place.device;
        let tasks = CHIP_MAPS.map(|(_, share)| (share, None));
        let tasks = self.judged.tasks(test, tasks)?;
        let weights = self.learned.recipe.weights::<UNet>();
        let batches = Batches::new(&tasks[0], BATCH, device)?;
        let evaluation = Evaluation::new(&self.learned.network, weights, batches);
        // At weight fidelity, slices only say how large the inputs of a layer are.
        let (first, _) = tasks[0].split_at(1);
        let shown = Batches::new(&first, BATCH, device)?;
        let mut numbers = BTreeMap::new();
        for deviation in Deviation::all() {
            let means = match deviation {
                Deviation::Sigma(sigma) => {
                    let variation = Variation::from(Distribution::gaussian(sigma));
                    self.means(&tasks, &evaluation.varied(&variation))?
                }
                Deviation::Cell(cell) => {
                    let hardware = Hardware::preset(ACCELERATOR)?;
                    let hardware = hardware.with(Some(MemoryDevice::preset(cell)?), None)?;
                    let mapped = evaluation.mapped(&hardware, Fidelity::Weight, &shown);
                    let mapped = mapped.with_context(|| format!("on {cell} cells"))?;
                    self.means(&tasks, &mapped.fab(Fidelity::Weight)?)?
                }
            };
            let Some(means) = means else {
                return Ok(None);
            };
            let named = CHIP_MAPS.iter().zip(means);
            numbers.extend(named.map(|((map, _), mean)| (on_chips(map, deviation), mean)));
        }
        Ok(Some(numbers))
    }

    /// The mean AUPRC of each of `tasks` over the chips of `fab`.
    fn means(&self, tasks: &[LesionDetection], fab: &dyn Fab<UNet>) -> Result<Option<Vec<f64>>> {
        let mut means = vec![0.0; tasks.len()];
        for number in 0..self.count {
            if self.place.is_stopped() {
                return Ok(None);
            }
            let chip = fab.chip(ChipSeed::new(CHIPS, number))?;
            let by = |batch: &Slices, _: &[usize]| Ok(restored(&chip, batch));
            let found = maps(tasks, self.place.device, &by)?;
            for ((task, maps), mean) in tasks.iter().zip(&found).zip(&mut means) {
                *mean += task.measured(LesionMetric::Auprc, maps)? / self.count as f64;
            }
            (self.told)();
        }
        Ok(Some(means))
    }
}
