//! The cost of storing and of asking.

use serde::{Deserialize, Serialize};

use super::VectorStore;
use crate::HardwareError;
use crate::cost::{CostReport, LayerShape, ProgrammingCost, Replication, Schedule};
use crate::deploy::{Hardware, Writes};
use crate::units::{Joule, Second, SquareMillimetre};

/// The cost of a store, by the cost model of its hardware ([`crate::cost`]).
///
/// The arrays of all scales take a query at the same time, so the slowest one counts. The work after the arrays is left out:
/// the weighted sum over scales and the choice of the best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreCost {
    /// Entries that the arrays are counted for: the capacity, or the slots of a store that grows.
    pub entries: u64,
    /// Arrays of all scales.
    pub arrays: u64,
    /// Share of their cells that can hold entries.
    pub utilisation: f64,
    /// Their area with converters and periphery.
    pub area: SquareMillimetre,
    /// Energy of one query.
    pub query_energy: Joule,
    /// Share of the output converters in it.
    pub adc_share_of_energy: f64,
    /// Time of one query through arrays and converters.
    pub query_latency: Second,
    /// Writing all entries that are stored, with the pulses per cell that `[cost.programming]` assumes.
    pub programming: ProgrammingCost,
    /// Writing one entry.
    pub append: ProgrammingCost,
}

impl VectorStore {
    /// The cost of this store.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a hardware without a section `[cost]` and for an empty store without a capacity; what the
    /// cost model refuses.
    pub fn cost(&self) -> Result<StoreCost, HardwareError> {
        let places = self.config().capacity.unwrap_or(self.slots());
        if places == 0 {
            return Err(HardwareError::conflict(
                "the cost of an empty store without a capacity",
                "store some vectors first, or give a capacity",
            ));
        }
        let held = self.report(places)?;
        let programming = match self.len() {
            0 => ProgrammingCost::default(),
            entries => self.report(entries)?.total.programming,
        };
        let latency = held.layers.iter().map(|layer| layer.latency.get());
        Ok(StoreCost {
            entries: places as u64,
            arrays: held.total.arrays,
            utilisation: held.total.utilisation,
            area: held.total.area_total,
            query_energy: held.total.energy_total,
            adc_share_of_energy: held.total.adc_share_of_energy,
            query_latency: Second::new(latency.fold(0.0, f64::max)),
            programming,
            append: self.report(1)?.total.programming,
        })
    }

    /// The energy of `writes` of a chip of this store: its pulses, and the reads that verify them.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a hardware without a section `[cost]`.
    pub fn write_energy(&self, writes: &Writes) -> Result<Joule, HardwareError> {
        let hardware = Hardware::try_from(self.plan().hardware.clone())?;
        let programming = hardware.accelerator()?.config().programming;
        let read = programming
            .verify
            .map_or(0.0, |verify| verify.read_energy.get());
        let pulses = writes.pulses as f64 * programming.pulse_energy.get();
        Ok(Joule::new(pulses + writes.reads as f64 * read))
    }

    /// The cost of `entries` entries at every scale, all of which take a query at once.
    fn report(&self, entries: usize) -> Result<CostReport, HardwareError> {
        let mut hardware = self.plan().hardware.clone();
        if let Some(cost) = &mut hardware.cost {
            cost.schedule = Schedule::Pipelined;
            cost.replication = Replication::None {};
        }
        let accelerator = Hardware::try_from(hardware)?.accelerator()?;
        let copies = self.copies().iter();
        let layer = |(pool, inputs)| LayerShape::linear(format!("pool-{pool}"), inputs, entries);
        let layers: Vec<LayerShape> = copies.map(|c| layer((c.pool, c.inputs))).collect();
        accelerator.cost(&layers)
    }
}
