//! A network on a hardware: what all of its chips share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use crossburn_noise::{
    HostWeight, NoiseError, WeightLayout, WeightShape, array_weights, matrix_weights,
    require_finite, shared_weights,
};

use super::network_weights::{attach, in_matrices, stored};
use super::{Fidelity, Hardware, InputRange, MappedFab, Selection};
use crate::HardwareError;
use crate::array::{
    AdcRange, ArrayConfig, CurrentProfile, CurrentRange, Effects, InputSign, ProgrammedMatrix, Tile,
};
use crate::cost::LayerShape;
use crate::device::MemoryDevice;
use crate::ir_drop::WireNetwork;
use crate::layer::{LayerUse, OnArray, used_range};
use crate::map::{MappedMatrix, Mapping, Rescaling, WeightMatrix};

/// A network on a hardware: what all of its chips share.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
/// use crossburn_hardware::layer::linear;
/// use crossburn_noise::ChipSeed;
///
/// let hardware = Hardware::from_toml(r#"
///     device = { preset = "pcm-mushroom" }
///     mapping = { scheme = "one-sided-pair", weight_bits = 8 }
///     array = { rows = 64, columns = 64, input = { bits = 8 }, adc = { bits = 8, range = { calibrated = { percentile = 100.0 } } } }
/// "#)?;
/// let device = Device::flex();
/// let network = LinearConfig::new(100, 10).init(&device);
/// let data = Tensor::<2>::ones([4, 100], &device);
///
/// let run = |network: &_| {
///     linear(network, data.clone());
/// };
/// let mapped = MappedNetwork::new(&network, &hardware, 4, run)?.calibrated(run)?;
/// assert_eq!(mapped.layers()[0].inputs, 100);
/// let chip = mapped.fab(Fidelity::Array)?.chip(ChipSeed::new(7, 17))?;
/// assert_eq!(linear(&chip, data.clone()).dims(), [4, 10]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Debug)]
pub struct MappedNetwork<M> {
    pub(super) network: M,
    hardware: Hardware,
    /// In the order of their first use.
    uses: Vec<LayerUse>,
    images: usize,
    pub(super) weights: BTreeMap<String, MappedWeight>,
}

/// What a pass through a network has shown about its layers: the use of each layer, and the ranges of its converters.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenUse {
    /// In the order of their first use.
    uses: Vec<LayerUse>,
    /// Images of the pass.
    images: usize,
    /// Calibrated ranges by path and group, where converters ask for them.
    ranges: BTreeMap<String, Vec<Vec<CurrentRange>>>,
    /// Full scales of inputs by path, instead of calibration.
    scales: BTreeMap<String, f32>,
}

impl SeenUse {
    /// The same with these full scales of inputs by path, instead of calibration.
    pub(super) fn with_scales(self, scales: BTreeMap<String, f32>) -> Self {
        Self { scales, ..self }
    }
}

/// Path, shape and matrices of one stored weight.
type StoredMatrices = (String, WeightShape, Vec<WeightMatrix>);

/// One weight on arrays.
#[derive(Clone, Debug)]
pub(super) struct MappedWeight {
    /// The path that names the draws of its cells: its own, or the first of those that share the weight.
    pub(super) draws: String,
    /// One per group.
    pub(super) matrices: Vec<MappedMatrix>,
    /// How the layer lays out its weight.
    pub(super) layout: WeightLayout,
    /// Factors of the input channels, if they are rescaled.
    pub(super) rescaling: Option<Arc<Rescaling>>,
    pub(super) array: ArrayConfig,
    /// The slices whose cells deviate; `None` for all.
    errors: Option<Vec<usize>>,
    /// Calibrated ranges per group, where the converters ask for them.
    pub(super) ranges: Vec<Vec<CurrentRange>>,
}

impl<M: Module + Sync> MappedNetwork<M> {
    /// Maps the matrix weights of `network`, taken to evaluation mode, as its layers compute with them: what a
    /// reparameterization adds is folded in. A `[[layer]]` section of the hardware puts other weights of rank two or more on
    /// arrays as well, such as an embedding, which at weight fidelity computes with what its cells hold. A weight that two
    /// layers share is programmed once: both read the same cells.
    ///
    /// `run` passes `images` images of calibration data through the network that it is given, to see how every layer is
    /// used. Layers that are not called through [`crate::layer`] are not seen. A convolution among them counts as one matrix
    /// with all groups; a transposed convolution has the groups that [`WeightLayouts`](crossburn_noise::WeightLayouts)
    /// finds. They are refused at array fidelity.
    ///
    /// # Errors
    /// [`HardwareError`] for values that are not finite, weights that cannot be mapped, layers of the description that do not exist, no images, and
    /// negative inputs of unsigned converters.
    pub fn new(
        network: &M,
        hardware: &Hardware,
        images: usize,
        run: impl Fn(&M),
    ) -> Result<Self, HardwareError> {
        Self::seen_in(network, hardware, images, &run)
    }

    fn seen_in(
        network: &M,
        hardware: &Hardware,
        images: usize,
        run: &dyn Fn(&M),
    ) -> Result<Self, HardwareError> {
        if images == 0 {
            return Err(HardwareError::limit(
                "calibration images",
                0,
                "the numbers from 1 on",
                "give some data",
            ));
        }
        let network = network.valid().materialize();
        let selected = selected(&network, hardware)?;
        let uses = probe(&network, &selected, run);
        let seen = SeenUse {
            uses,
            images,
            ranges: BTreeMap::new(),
            scales: BTreeMap::new(),
        };
        Self::map(network, hardware, &selected, seen)
    }

    /// The same mapping of other weights. It needs no pass of its own, because `seen` holds the results of an earlier pass.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn as_seen(
        network: &M,
        hardware: &Hardware,
        seen: &SeenUse,
    ) -> Result<Self, HardwareError> {
        let network = network.valid().materialize();
        let selected = selected(&network, hardware)?;
        Self::map(network, hardware, &selected, seen.clone())
    }

    fn map(
        network: M,
        hardware: &Hardware,
        selected: &BTreeSet<String>,
        mut seen: SeenUse,
    ) -> Result<Self, HardwareError> {
        let mut shared = shared_weights(&network, selected);
        let mut weights = BTreeMap::new();
        for (path, weight) in stored(&network, selected) {
            let used = seen.uses.iter().find(|known| known.path == path);
            let draws = shared.remove(&path).unwrap_or_else(|| path.clone());
            let scale = seen.scales.get(&path).copied();
            let mut mapped = MappedWeight::new(hardware, &path, draws, &weight, (used, scale))?;
            mapped.ranges = seen.ranges.remove(&path).unwrap_or_default();
            // The first path of a shared weight comes before the others in this order.
            let other = |first: &MappedWeight| first.matrices != mapped.matrices;
            if weights.get(&mapped.draws).is_some_and(other) {
                return Err(HardwareError::conflict(
                    format!(
                        "`{}` and `{path}` are one weight, mapped in two ways",
                        mapped.draws
                    ),
                    "give both the same [[layer]] settings, or set one of them digital",
                ));
            }
            weights.insert(path, mapped);
        }
        Ok(Self {
            network,
            hardware: hardware.clone(),
            uses: seen.uses,
            images: seen.images,
            weights,
        })
    }

    /// The results of its passes, for [`Self::as_seen`].
    pub fn seen(&self) -> SeenUse {
        let weights = self.weights.iter();
        SeenUse {
            uses: self.uses.clone(),
            images: self.images,
            ranges: weights
                .map(|(path, weight)| (path.clone(), weight.ranges.clone()))
                .collect(),
            scales: BTreeMap::new(),
        }
    }

    /// The network in evaluation mode, as it was given, with what its weights carried folded in.
    pub fn network(&self) -> &M {
        &self.network
    }

    /// The hardware.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// How the layers on arrays are used, in the order of their first use.
    pub fn layers(&self) -> &[LayerUse] {
        &self.uses
    }

    /// The shapes that the cost model takes.
    pub fn shapes(&self) -> Vec<LayerShape> {
        self.uses
            .iter()
            .map(|used| used.shape(self.images))
            .collect()
    }

    /// Paths of the weights on arrays that no layer of [`crate::layer`] used.
    pub fn unseen(&self) -> Vec<&str> {
        let seen = |path: &str| self.uses.iter().any(|used| used.path == path);
        let paths = self.weights.keys().map(String::as_str);
        paths.filter(|path| !seen(path)).collect()
    }

    /// Chips at a fidelity.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] at array fidelity for weights that no layer of [`crate::layer`] used and for converters
    /// that wait for [`Self::calibrated`], and at weight fidelity for read noise and wires, which a frozen weight has no room for.
    pub fn fab(&self, fidelity: Fidelity) -> Result<MappedFab<'_, M>, HardwareError> {
        let config = self.hardware.config();
        let refuse =
            |settings: String, remedy: &str| Err(HardwareError::conflict(settings, remedy));
        match fidelity {
            Fidelity::Array if !self.unseen().is_empty() => refuse(
                format!(
                    "array fidelity for {}, which no array-aware layer uses",
                    self.unseen().join(", ")
                ),
                "call the functions of crossburn_hardware::layer, set the layers digital, or use weight fidelity",
            ),
            Fidelity::Array if self.weights.values().any(MappedWeight::uncalibrated) => refuse(
                "array fidelity with calibrated converters and no calibration".to_string(),
                "call MappedNetwork::calibrated with some data first",
            ),
            Fidelity::Weight if config.operation.read_noise == Some(true) => refuse(
                "operation.read_noise = true at weight fidelity, where no read differs from another"
                    .to_string(),
                "use array fidelity, or leave read_noise out",
            ),
            Fidelity::Weight if config.wires.is_some_and(|wires| !wires.is_ideal()) => refuse(
                "[wires] at weight fidelity, where no current flows".to_string(),
                "use array fidelity, or leave [wires] out",
            ),
            _ => Ok(MappedFab::new(self, fidelity, None)),
        }
    }

    /// Chips on which only the weights of `selection` are verified; all others are written once.
    ///
    /// # Errors
    /// As [`Self::fab`], and [`HardwareError::Conflict`] for the selection of another network.
    pub fn selective_fab<'a>(
        &'a self,
        fidelity: Fidelity,
        selection: &'a Selection,
    ) -> Result<MappedFab<'a, M>, HardwareError> {
        selection.check(&self.weights)?;
        self.fab(fidelity)?;
        Ok(MappedFab::new(self, fidelity, Some(selection)))
    }

    /// Path, shape and matrices of the stored weights on arrays.
    ///
    /// # Errors
    /// Those of the mapping, and [`HardwareError::Conflict`] where cells hold rescaled weights.
    pub(super) fn stored_matrices(&self) -> Result<Vec<StoredMatrices>, HardwareError> {
        if self.hardware.config().operation.rescale.is_some() {
            return Err(HardwareError::conflict(
                "operation.rescale and cells that are taken for the stored weights: boxes of a write tolerance, and a selection of weights",
                "leave operation.rescale out",
            ));
        }
        let paths = self.weights.keys().cloned().collect();
        stored(&self.network, &paths)
            .into_iter()
            .map(|(path, stored)| {
                let groups = self.weights[&path].matrices.len();
                let matrices = in_matrices(&stored.values, &stored.shape, groups)?;
                Ok((path, stored.shape, matrices))
            })
            .collect()
    }

    /// The same with the ranges of calibrated converters set from the currents that `run` causes in ideal cells; other
    /// converters need none. Chips at weight fidelity have no currents and need no ranges.
    ///
    /// # Errors
    /// Those of the mapping, and [`HardwareError`] for data that causes no current.
    pub fn calibrated(self, run: impl Fn(&M)) -> Result<Self, HardwareError> {
        self.calibrated_in(&run)
    }

    fn calibrated_in(mut self, run: &dyn Fn(&M)) -> Result<Self, HardwareError> {
        let mut profiles = BTreeMap::new();
        let mut matrices = BTreeMap::new();
        for used in &self.uses {
            let Some(weight) = self.weights.get(&used.path) else {
                continue;
            };
            if percentile(&weight.array).is_none() {
                continue;
            }
            let ideal = weight
                .matrices
                .iter()
                .map(|mapped| {
                    self.programmed(
                        &weight.exact(),
                        mapped,
                        mapped.targets(),
                        &Effects::default(),
                    )
                })
                .collect::<Result<Vec<_>, _>>()?;
            let empty = ideal
                .iter()
                .map(|matrix| CurrentProfile::new(matrix.slices()))
                .collect();
            profiles.insert(used.path.clone(), Arc::new(Mutex::new(empty)));
            matrices.insert(used.path.clone(), Arc::new(ideal));
        }
        if matrices.is_empty() {
            return Ok(self);
        }
        let watched = attach(self.network.clone(), |path| {
            let profile: &Arc<Mutex<Vec<CurrentProfile>>> = profiles.get(path)?;
            Some(OnArray::profile(
                matrices.get(path)?.clone(),
                self.weights.get(path)?.rescaling.clone(),
                profile.clone(),
            ))
        });
        run(&watched);
        for (path, profiles) in profiles {
            let Some(weight) = self.weights.get_mut(&path) else {
                continue;
            };
            let Some(percentile) = percentile(&weight.array) else {
                continue;
            };
            let profiles = profiles.lock().unwrap_or_else(PoisonError::into_inner);
            let ranges = profiles.iter().map(|profile| profile.ranges(percentile));
            weight.ranges = ranges.collect::<Result<_, _>>()?;
        }
        Ok(self)
    }

    /// `conductances` on arrays, with the wires of the hardware.
    pub(super) fn programmed(
        &self,
        weight: &MappedWeight,
        mapped: &MappedMatrix,
        conductances: Vec<Vec<f32>>,
        effects: &Effects<'_>,
    ) -> Result<ProgrammedMatrix, HardwareError> {
        let config = self.hardware.config();
        let solve = |tile: &Tile<'_>| -> Result<Vec<f32>, HardwareError> {
            let Some(wires) = &config.wires else {
                return Ok(tile.ideal());
            };
            match tile.g_neg {
                Some(g_neg) => WireNetwork::with_pairs(
                    tile.outputs,
                    tile.inputs,
                    wires,
                    config.pair_arrangement,
                )?
                .effective_pair(tile.g_pos, g_neg),
                None => WireNetwork::new(tile.outputs, tile.inputs, wires)?.effective(tile.g_pos),
            }
        };
        let effects = Effects {
            wires: config.wires.as_ref().map(|_| &solve as _),
            ..*effects
        };
        ProgrammedMatrix::new(mapped, conductances, mapped.range, &weight.array, &effects)
    }
}

impl MappedWeight {
    fn new(
        hardware: &Hardware,
        path: &str,
        draws: String,
        stored: &HostWeight,
        (used, scale): (Option<&LayerUse>, Option<f32>),
    ) -> Result<Self, HardwareError> {
        let config = hardware.config();
        let special = hardware.layer(path);
        let mapping = special
            .and_then(|layer| layer.mapping.as_ref())
            .unwrap_or(&config.mapping);
        let mut array = special
            .and_then(|layer| layer.array.as_ref())
            .unwrap_or(&config.array)
            .clone();
        if let Some(used) = used {
            if config.operation.input_range == InputRange::Calibrated {
                array.input.x_max = scale.unwrap_or_else(|| used.largest_input());
            }
            if let Some(scale) = special.and_then(|layer| layer.input_scale) {
                array.input.x_max = scale;
            }
            if array.input.sign == InputSign::Unsigned && used.input_low < 0.0 {
                return Err(HardwareError::conflict(
                    format!(
                        "array.input.sign = unsigned and inputs down to {} at `{path}`",
                        used.input_low
                    ),
                    "use signed inputs, or set the layer digital",
                ));
            }
        }
        let groups = used.map_or(1, |used| used.groups);
        let layout = stored.shape.layout();
        if let WeightLayout::Transposed { groups: known } = layout
            && used.is_some_and(|used| used.groups != known)
        {
            return Err(HardwareError::conflict(
                format!(
                    "the transposed convolution `{path}` has {groups} groups and no bias, from whose length groups are known"
                ),
                "give it a bias of zeros, or set the layer digital",
            ));
        }
        let range = config.device.range();
        let in_layer = |error: HardwareError| HardwareError::Layer {
            path: path.to_string(),
            error: Box::new(error),
        };
        let mut rescaling = None;
        let matrices: Vec<MappedMatrix> = in_matrices(&stored.values, &stored.shape, groups)
            .and_then(|mut weights| {
                if let (Some(exponent), Some(used)) = (config.operation.rescale, used) {
                    let factors = Rescaling::new(exponent, &used.channels, &weights);
                    factors.fold_into(&mut weights);
                    array.input.x_max = used_range(factors.largest_input(&used.channels));
                    rescaling = Some(Arc::new(factors));
                }
                let mapped = weights.iter().map(|weights| {
                    let mapped = mapping.map(weights, range)?.on_columns(array.columns)?;
                    told_apart(mapping, &mapped, &config.device)?;
                    Ok(mapped)
                });
                mapped.collect()
            })
            .map_err(in_layer)?;
        let errors = special.and_then(|layer| layer.errors.clone());
        let slices = matrices.first().map_or(0, |first| first.slices.len());
        if let Some(slice) = errors.iter().flatten().find(|slice| **slice >= slices) {
            return Err(in_layer(HardwareError::limit(
                "errors",
                *slice,
                format!("the slices 0 to {}", slices.saturating_sub(1)),
                "count slices from the lowest, which is 0",
            )));
        }
        Ok(Self {
            draws,
            matrices,
            layout,
            rescaling,
            array,
            errors,
            ranges: Vec::new(),
        })
    }

    /// Whether the cells of this slice deviate from their targets.
    pub(super) fn errs(&self, slice: usize) -> bool {
        let errors = self.errors.as_ref();
        errors.is_none_or(|slices| slices.contains(&slice))
    }

    /// Whether its converters need ranges that have not been set.
    pub(super) fn uncalibrated(&self) -> bool {
        percentile(&self.array).is_some() && self.ranges.is_empty()
    }

    /// The same weight with converters that are all alike.
    pub(super) fn exact(&self) -> Self {
        let mut exact = self.clone();
        if let Some(adc) = &mut exact.array.adc {
            adc.gain_error = None;
            adc.comparator_offset = None;
            adc.capacitor_mismatch = None;
        }
        exact.array.circuit = None;
        exact
    }
}

/// Refuses levels that the cells do not have, and levels that 32-bit conductances do not tell apart.
///
/// # Errors
/// [`HardwareError::Conflict`], [`HardwareError::Limit`].
pub(crate) fn told_apart(
    mapping: &Mapping,
    mapped: &MappedMatrix,
    device: &MemoryDevice,
) -> Result<(), HardwareError> {
    let held = device.levels().map(|levels| levels.len() as u32);
    let range = mapped.range;
    for slice in &mapped.slices {
        let steps = slice
            .steps
            .unwrap_or(mapping.weight_bits.max_level() as u32);
        // Levels lie evenly over the range, those of the cell as well.
        if let Some(held) = held
            && !slice
                .steps
                .is_some_and(|steps| (held - 1).is_multiple_of(steps))
        {
            let asked = slice.steps.map_or_else(
                || "any conductance".to_string(),
                |steps| format!("{} levels", steps + 1),
            );
            return Err(HardwareError::conflict(
                format!(
                    "a mapping to {asked} of a cell and device.kind = {}, whose cells have {held} levels",
                    device.config().kind()
                ),
                format!(
                    "set mapping.slice_bits = {} with a scheme that has slices, or use another device",
                    held.ilog2()
                ),
            ));
        }
        // Neighbouring levels are two roundings of g_max apart at least: each is off by a quarter of a step at most.
        let smallest = 2.0 * f64::from(f32::EPSILON) * f64::from(range.g_max) * f64::from(steps);
        if f64::from(range.span()) < smallest {
            return Err(HardwareError::limit(
                "g_max - g_min",
                format!("{:.3e} S", 1e-6 * range.span()),
                format!(
                    "the spans from {:.3e} S on, in which 32-bit numbers tell {} levels apart",
                    1e-6 * smallest,
                    steps + 1
                ),
                "choose a lower g_min, or fewer bits of a cell",
            ));
        }
    }
    Ok(())
}

/// Paths of the weights of `network` that lie on the arrays of `hardware`.
fn selected<M: Module>(
    network: &M,
    hardware: &Hardware,
) -> Result<BTreeSet<String>, HardwareError> {
    require_finite(network)?;
    let special = hardware.config().layers.iter().map(|layer| &layer.path);
    let paths = array_weights(network, special).map_err(|error| match error {
        NoiseError::NoWeight { path, .. } => HardwareError::Unknown {
            kind: "weight",
            name: path,
            known: Vec::from_iter(matrix_weights(network)).join(", "),
        },
        error => error.into(),
    })?;
    let on_array = |path: &String| hardware.layer(path).is_none_or(|layer| !layer.digital);
    Ok(paths.into_iter().filter(on_array).collect())
}

/// How `run` uses the selected weights.
fn probe<M: Module>(network: &M, selected: &BTreeSet<String>, run: &dyn Fn(&M)) -> Vec<LayerUse> {
    let uses = Arc::new(Mutex::new(Vec::new()));
    let watched = attach(network.clone(), |path| {
        selected
            .contains(path)
            .then(|| OnArray::probe(path, uses.clone()))
    });
    run(&watched);
    let mut found = uses.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *found)
}

/// The percentile of converters that are calibrated on currents.
fn percentile(array: &ArrayConfig) -> Option<f64> {
    match array.adc?.range {
        AdcRange::Calibrated { percentile } => Some(percentile),
        _ => None,
    }
}
