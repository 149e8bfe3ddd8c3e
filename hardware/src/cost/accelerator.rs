//! From layers and events to energy, time and area.

use std::collections::BTreeMap;

use super::component_table::ArrayArea;
use super::events::Events;
use super::layer_tiling::LayerTiling;
use super::limit::require_count;
use super::replication::Stage;
use super::{
    Accumulation, AdcEstimate, AdcEstimates, AreaBreakdown, ArrayRead, ArrayShape, Column,
    Converter, CostConfig, CostReport, EnergyBreakdown, FloorPlan, LayerCost, LayerShape,
    ProgrammingCost, Schedule, TotalCost,
};
use crate::HardwareError;
use crate::units::{Hertz, Joule, Second, SquareMillimetre};

/// A checked accelerator.
///
/// ```
/// use crossburn_hardware::cost::{Accelerator, ArrayShape, CostConfig, LayerShape};
///
/// let array = ArrayShape {
///     weight_bits: 16, slice_bits: Some(2), devices_per_weight: 1,
///     input_bits: 16, output_bits: 16,
///     ..ArrayShape::default()
/// };
/// let isaac = Accelerator::new(CostConfig::preset("isaac")?, array)?;
/// let report = isaac.cost(&[
///     LayerShape::convolution("conv", [64, 64], [3, 3], 1, [32, 32]),
///     LayerShape::linear("fc", 512, 10),
/// ])?;
/// assert_eq!(report.layers[0].arrays, 5 * 4);
/// assert!(report.total.adc_share_of_energy > 0.5);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Accelerator {
    config: CostConfig,
    array: ArrayShape,
    /// The arrays of layers whose weights have other bits, by path.
    own: BTreeMap<String, ArrayShape>,
    adc: AdcEstimate,
    adc_range: AdcEstimates,
}

/// A layer between counting and costing.
struct Planned<'a> {
    layer: &'a LayerShape,
    tiling: LayerTiling,
    copies: usize,
}

impl Accelerator {
    /// An accelerator of `array`s with the costs of `config`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] and [`HardwareError::Conflict`] where a figure is outside its range, the converter is
    /// outside that of its estimator or too slow for its rate, or more columns share it than there are.
    pub fn new(config: CostConfig, array: ArrayShape) -> Result<Self, HardwareError> {
        config.check()?;
        array.check()?;
        let sharing = config.adc.columns_per_adc;
        require_count("cost.adc.columns_per_adc", sharing, 1, array.columns)?;
        let column = config
            .adc
            .column_resistance
            .zip(config.adc.read_voltage)
            .map(|(resistance, read_voltage)| Column {
                resistance,
                read_voltage,
            });
        let converter = Converter {
            bits: array.adc_bits,
            node_nm: config.adc.node_nm,
            rate: config.adc.rate,
            column,
        };
        let adc = config.adc.estimator.estimate(&converter)?;
        // A relative 1e-9 for the rounding of the rate.
        if adc.latency.get() > (1.0 + 1e-9) / converter.rate.get() {
            return Err(HardwareError::limit(
                "cost.adc.rate",
                converter.rate,
                format_args!(
                    "the rates up to {} of {}",
                    Hertz::new(1.0 / adc.latency.get()),
                    config.adc.estimator
                ),
                "lower the rate and share a converter among fewer columns",
            ));
        }
        let adc_range = AdcEstimates::of(&converter)?;
        Ok(Self {
            config,
            array,
            own: BTreeMap::new(),
            adc,
            adc_range,
        })
    }

    /// The same accelerator whose weights at `path` have `weight_bits` bits, sign included, in cells of `slice_bits` bits: other layers keep the bits of the
    /// [`array`](Self::array).
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where no cells hold such weights.
    ///
    /// ```
    /// use crossburn_hardware::cost::{Accelerator, ArrayShape, CostConfig, LayerShape};
    ///
    /// let layers = [LayerShape::linear("fc1", 128, 64), LayerShape::linear("fc2", 64, 10)];
    /// let array = ArrayShape { slice_bits: Some(2), ..ArrayShape::default() };
    /// let isaac = Accelerator::new(CostConfig::preset("isaac")?, array)?;
    /// // 64 outputs of four pairs of columns, and of two: 3 bits of magnitude take two cells.
    /// assert_eq!(isaac.cost(&layers)?.layers[0].arrays, 4);
    /// let narrow = isaac.with_bits_of("fc1", 4, Some(2))?;
    /// assert_eq!(narrow.cost(&layers)?.layers[0].arrays, 2);
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    pub fn with_bits_of(
        mut self,
        path: impl Into<String>,
        weight_bits: u8,
        slice_bits: Option<u8>,
    ) -> Result<Self, HardwareError> {
        let array = ArrayShape {
            weight_bits,
            slice_bits,
            ..self.array
        };
        array.check()?;
        self.own.insert(path.into(), array);
        Ok(self)
    }

    /// The costs that it was made of.
    pub fn config(&self) -> &CostConfig {
        &self.config
    }

    /// The arrays that it was made of.
    pub fn array(&self) -> &ArrayShape {
        &self.array
    }

    /// The arrays of the layer at `path`. Only the bits of its weights may differ from [`array`](Self::array).
    fn array_of(&self, path: &str) -> &ArrayShape {
        self.own.get(path).unwrap_or(&self.array)
    }

    /// Energy, time, area and programming of `layers`, in the order in which an image passes them.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a layer of size zero and for no layers; the errors of
    /// [`Replication`](super::Replication).
    pub fn cost(&self, layers: &[LayerShape]) -> Result<CostReport, HardwareError> {
        let planned = self.plan(layers)?;
        let position = self.latency_per_position();
        let stage_times: Vec<f64> = planned
            .iter()
            .map(|planned| planned.layer.positions.div_ceil(planned.copies) as f64 * position)
            .collect();
        let sequential: f64 = stage_times.iter().sum();
        let slowest = stage_times.iter().copied().fold(0.0, f64::max);
        let leaking = match self.config.schedule {
            Schedule::Sequential => sequential,
            Schedule::Pipelined => slowest,
        };
        let per_array = self
            .config
            .components
            .array_area(self.array.rows, self.array.columns);
        let costs: Vec<LayerCost> = planned
            .iter()
            .zip(&stage_times)
            .map(|(planned, &time)| self.layer_cost(planned, time, leaking, &per_array))
            .collect();
        let weight_cells: f64 = planned
            .iter()
            .map(|planned| planned.tiling.weight_cells() as f64 * planned.copies as f64)
            .sum();
        let total = self.total(
            &costs,
            weight_cells,
            Latency {
                sequential,
                slowest,
                position,
            },
        );
        Ok(CostReport {
            layers: costs,
            total,
            schedule: self.config.schedule,
            adc_estimator: self.config.adc.estimator,
            adc: self.adc,
            adc_range: self.adc_range.clone(),
        })
    }

    /// The place of every array of `layers`.
    ///
    /// # Errors
    /// As [`cost`](Self::cost), and [`HardwareError::Limit`] for more arrays than can be listed.
    pub fn floor_plan(&self, layers: &[LayerShape]) -> Result<FloorPlan, HardwareError> {
        let planned = self.plan(layers)?;
        let parts = planned
            .iter()
            .map(|planned| (planned.layer.path.clone(), planned.tiling, planned.copies));
        FloorPlan::place(parts.collect(), &self.array, &self.config.components)
    }

    fn plan<'a>(&self, layers: &'a [LayerShape]) -> Result<Vec<Planned<'a>>, HardwareError> {
        if layers.is_empty() {
            return Err(HardwareError::limit(
                "layers",
                0,
                "the numbers from 1 on",
                "give at least one layer",
            ));
        }
        for layer in layers {
            layer.check()?;
        }
        let tilings: Vec<LayerTiling> = layers
            .iter()
            .map(|layer| LayerTiling::of(layer, self.array_of(&layer.path)))
            .collect();
        let position = self.latency_per_position();
        let stages: Vec<Stage> = tilings
            .iter()
            .map(|tiling| Stage {
                arrays: tiling.arrays(),
                position,
            })
            .collect();
        let copies = self.config.replication.copies(layers, &stages)?;
        let planned = layers.iter().zip(tilings).zip(copies);
        Ok(planned
            .map(|((layer, tiling), copies)| Planned {
                layer,
                tiling,
                copies,
            })
            .collect())
    }

    /// Seconds per output position: arrays and converters overlap, the slower one counts. It is the same for all layers, since a converter serves as many
    /// columns whatever the number of slices is.
    fn latency_per_position(&self) -> f64 {
        let array = self.config.array_cycle.get();
        let cycles = self.array.input_cycles() as f64;
        // If a pair is subtracted before the converter, only the difference of its columns is converted.
        let per_output = self.array.columns_per_output();
        let shared = self.config.adc.columns_per_adc * self.array.conversions_per_output();
        let conversion = shared.div_ceil(per_output) as f64 * self.adc.latency.get();
        match self.array.accumulation {
            Accumulation::Digital => cycles * array.max(conversion),
            Accumulation::Analog => (cycles * array).max(conversion),
        }
    }

    fn layer_cost(
        &self,
        planned: &Planned<'_>,
        time: f64,
        leaking: f64,
        per_array: &ArrayArea,
    ) -> LayerCost {
        let Planned {
            layer,
            tiling,
            copies,
        } = planned;
        let arrays = tiling.arrays() * *copies as u64;
        let events = Events::of(layer, self.array_of(&layer.path), tiling);
        let energy = self.energy(layer, tiling, &events, arrays as f64 * leaking);
        let converters = self.array.columns.div_ceil(self.config.adc.columns_per_adc);
        let square = |per_array: f64| SquareMillimetre::new(per_array * arrays as f64);
        let area = AreaBreakdown {
            arrays: square(per_array.cells),
            adc: square(self.adc.area.get() * converters as f64),
            periphery: square(per_array.periphery),
            tile_share: square(per_array.tile_share),
        };
        LayerCost {
            path: layer.path.clone(),
            macs: layer.macs(),
            row_tiles: tiling.row_tiles,
            column_tiles: tiling.column_tiles,
            copies: *copies,
            arrays,
            utilisation: tiling.weight_cells() as f64 / (tiling.arrays() as f64 * self.cells()),
            events,
            energy,
            adc_share_of_energy: share(energy.adc.get(), energy.total().get()),
            latency_per_position: Second::new(self.latency_per_position()),
            latency: Second::new(time),
            area,
            adc_share_of_area: share(area.adc.get(), area.total().get()),
            programming: self.config.programming.cost(tiling, *copies as u64),
        }
    }

    /// Energy per image; `array_seconds` are arrays times the time that each leaks.
    fn energy(
        &self,
        layer: &LayerShape,
        tiling: &LayerTiling,
        events: &Events,
        array_seconds: f64,
    ) -> EnergyBreakdown {
        let each = &self.config.events;
        let energy = |count: u64, each: Joule| Joule::new(count as f64 * each.get());
        let arrays = match self.config.array_read {
            ArrayRead::Fixed { energy } => {
                let table = &self.config.components;
                let size = self.cells() / (table.rows as f64 * table.columns as f64);
                energy.get() * size * events.array_reads as f64
            }
            ArrayRead::Conductance {
                read_voltage,
                mean_conductance,
                pulse,
                activity,
            } => {
                let power = read_voltage.get() * read_voltage.get() * mean_conductance.get();
                let reads = layer.positions as f64 * self.array.input_cycles() as f64;
                activity * power * pulse.get() * tiling.cells() as f64 * reads
            }
        };
        let registers = energy(events.row_drives, each.input_register).get()
            + energy(events.conversions, each.output_register).get();
        let leakage = self
            .config
            .static_power
            .map_or(0.0, |power| power.get() * array_seconds);
        EnergyBreakdown {
            row_drivers: energy(events.row_drives, each.row_drive),
            arrays: Joule::new(arrays),
            adc: energy(events.conversions, self.adc.energy),
            sample_hold: energy(events.conversions, each.sample_hold),
            shift_add: energy(events.shift_adds, each.shift_add),
            partial_sums: energy(events.partial_sums, each.partial_sum),
            registers: Joule::new(registers),
            buffer: energy(events.buffer_bits, each.buffer_bit),
            bus: energy(events.bus_bits, each.bus_bit),
            router: energy(events.router_bits, each.router_bit),
            leakage: Joule::new(leakage),
        }
    }

    fn total(&self, costs: &[LayerCost], weight_cells: f64, latency: Latency) -> TotalCost {
        let mut macs = 0u64;
        let mut arrays = 0u64;
        let mut events = Events::default();
        let mut energy = EnergyBreakdown::default();
        let mut area = AreaBreakdown::default();
        let mut programming = ProgrammingCost::default();
        for cost in costs {
            macs = macs.saturating_add(cost.macs);
            arrays = arrays.saturating_add(cost.arrays);
            events = events.plus(cost.events);
            energy = energy.plus(cost.energy);
            area = area.plus(cost.area);
            programming = programming.plus(cost.programming);
        }
        let others = (costs.len() - 1) as f64 * latency.position;
        TotalCost {
            macs,
            arrays,
            utilisation: weight_cells / (arrays as f64 * self.cells()),
            events,
            energy,
            energy_total: energy.total(),
            energy_per_mac: Joule::new(energy.total().get() / macs as f64),
            adc_share_of_energy: share(energy.adc.get(), energy.total().get()),
            area,
            area_total: area.total(),
            adc_share_of_area: share(area.adc.get(), area.total().get()),
            latency_sequential: Second::new(latency.sequential),
            throughput_sequential: Hertz::new(1.0 / latency.sequential),
            latency_pipelined: Second::new(latency.slowest + others),
            interval_pipelined: Second::new(latency.slowest),
            throughput_pipelined: Hertz::new(1.0 / latency.slowest),
            programming,
        }
    }

    /// Cells of an array.
    fn cells(&self) -> f64 {
        self.array.rows as f64 * self.array.columns as f64
    }
}

/// Times in seconds.
struct Latency {
    sequential: f64,
    slowest: f64,
    position: f64,
}

/// `part` of `whole`; nothing of nothing is nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
