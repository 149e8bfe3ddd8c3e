//! The answer: costs per layer and in total.

use serde::{Deserialize, Serialize};

use super::{AdcEstimate, AdcEstimates, AdcEstimator, Events, ProgrammingCost, Schedule};
use crate::units::{Hertz, Joule, Second, SquareMillimetre};

/// Energy per image by component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyBreakdown {
    /// Input drivers.
    pub row_drivers: Joule,
    /// Memory cells.
    pub arrays: Joule,
    /// Converters.
    pub adc: Joule,
    /// Sample and hold.
    pub sample_hold: Joule,
    /// Shift and add.
    pub shift_add: Joule,
    /// Partial sums of row tiles.
    pub partial_sums: Joule,
    /// Input and output registers.
    pub registers: Joule,
    /// Buffer memory.
    pub buffer: Joule,
    /// Bus.
    pub bus: Joule,
    /// Router.
    pub router: Joule,
    /// Leakage.
    pub leakage: Joule,
}

impl EnergyBreakdown {
    /// Components with their names, in the order of a report.
    pub fn named(&self) -> [(&'static str, Joule); 11] {
        [
            ("row_drivers", self.row_drivers),
            ("arrays", self.arrays),
            ("adc", self.adc),
            ("sample_hold", self.sample_hold),
            ("shift_add", self.shift_add),
            ("partial_sums", self.partial_sums),
            ("registers", self.registers),
            ("buffer", self.buffer),
            ("bus", self.bus),
            ("router", self.router),
            ("leakage", self.leakage),
        ]
    }

    /// The sum.
    pub fn total(&self) -> Joule {
        Joule::new(self.named().iter().map(|(_, energy)| energy.get()).sum())
    }

    /// The sum without leakage: what each event costs.
    pub fn dynamic(&self) -> Joule {
        Joule::new(self.total().get() - self.leakage.get())
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |a: Joule, b: Joule| Joule::new(a.get() + b.get());
        Self {
            row_drivers: sum(self.row_drivers, other.row_drivers),
            arrays: sum(self.arrays, other.arrays),
            adc: sum(self.adc, other.adc),
            sample_hold: sum(self.sample_hold, other.sample_hold),
            shift_add: sum(self.shift_add, other.shift_add),
            partial_sums: sum(self.partial_sums, other.partial_sums),
            registers: sum(self.registers, other.registers),
            buffer: sum(self.buffer, other.buffer),
            bus: sum(self.bus, other.bus),
            router: sum(self.router, other.router),
            leakage: sum(self.leakage, other.leakage),
        }
    }
}

/// Area by component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaBreakdown {
    /// Memory cells.
    pub arrays: SquareMillimetre,
    /// Converters, by the chosen estimator.
    pub adc: SquareMillimetre,
    /// Drivers, sample and hold, shift and add, registers.
    pub periphery: SquareMillimetre,
    /// Share of the tiles' buffers, buses, routers and digital units.
    pub tile_share: SquareMillimetre,
}

impl AreaBreakdown {
    /// Components with their names, in the order of a report.
    pub fn named(&self) -> [(&'static str, SquareMillimetre); 4] {
        [
            ("arrays", self.arrays),
            ("adc", self.adc),
            ("periphery", self.periphery),
            ("tile_share", self.tile_share),
        ]
    }

    /// The sum.
    pub fn total(&self) -> SquareMillimetre {
        SquareMillimetre::new(self.named().iter().map(|(_, area)| area.get()).sum())
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let sum =
            |a: SquareMillimetre, b: SquareMillimetre| SquareMillimetre::new(a.get() + b.get());
        Self {
            arrays: sum(self.arrays, other.arrays),
            adc: sum(self.adc, other.adc),
            periphery: sum(self.periphery, other.periphery),
            tile_share: sum(self.tile_share, other.tile_share),
        }
    }
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerCost {
    /// Path of the weight.
    pub path: String,
    /// Multiplications and additions per image.
    pub macs: u64,
    /// Arrays in the direction of the inputs.
    pub row_tiles: usize,
    /// Arrays in the direction of the outputs.
    pub column_tiles: usize,
    /// Copies of the layer.
    pub copies: usize,
    /// Arrays of all copies.
    pub arrays: u64,
    /// Share of their cells that hold weights.
    pub utilisation: f64,
    /// Counts per image.
    pub events: Events,
    /// Energy per image.
    pub energy: EnergyBreakdown,
    /// Share of the converters in it.
    pub adc_share_of_energy: f64,
    /// Time per output position.
    pub latency_per_position: Second,
    /// Time per image, copies side by side.
    pub latency: Second,
    /// Area of all copies.
    pub area: AreaBreakdown,
    /// Share of the converters in it.
    pub adc_share_of_area: f64,
    /// Writing all copies once.
    pub programming: ProgrammingCost,
}

/// The network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotalCost {
    /// Multiplications and additions per image.
    pub macs: u64,
    /// Arrays.
    pub arrays: u64,
    /// Share of their cells that hold weights.
    pub utilisation: f64,
    /// Counts per image.
    pub events: Events,
    /// Energy per image.
    pub energy: EnergyBreakdown,
    /// Energy per image, summed.
    pub energy_total: Joule,
    /// Energy per multiplication and addition.
    pub energy_per_mac: Joule,
    /// Share of the converters in the energy.
    pub adc_share_of_energy: f64,
    /// Area.
    pub area: AreaBreakdown,
    /// Area, summed.
    pub area_total: SquareMillimetre,
    /// Share of the converters in the area.
    pub adc_share_of_area: f64,
    /// One image through layers that run one after the other.
    pub latency_sequential: Second,
    /// Images per second of that.
    pub throughput_sequential: Hertz,
    /// One image through layers that each start with the first position of the layer before: the slowest layer and one
    /// position of every other. A lower bound, as kernels wait for some rows of positions.
    pub latency_pipelined: Second,
    /// Time between images when every layer works on another one: the slowest layer.
    pub interval_pipelined: Second,
    /// Images per second of that.
    pub throughput_pipelined: Hertz,
    /// Writing everything once.
    pub programming: ProgrammingCost,
}

/// Costs of a network on an accelerator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostReport {
    /// Per layer, in the order given.
    pub layers: Vec<LayerCost>,
    /// Cost of the whole network.
    pub total: TotalCost,
    /// For how long leakage was counted.
    pub schedule: Schedule,
    /// Whose converter figures were used.
    pub adc_estimator: AdcEstimator,
    /// The figures of that estimator.
    pub adc: AdcEstimate,
    /// The results of all estimators for that converter.
    pub adc_range: AdcEstimates,
}
