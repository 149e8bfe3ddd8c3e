//! A network on a hardware, and its chips.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, ModuleVisitor, Param, Reparameterizer};
use burn::tensor::Tensor;
use crossburn_noise::{ChipSeed, matrix_weights};

use super::{Fab, Fidelity, Hardware, InputRange, Selection, Writes};
use crate::array::{
    AdcRange, ArrayConfig, CurrentProfile, CurrentRange, Effects, InputSign, ProgrammedMatrix, Tile,
};
use crate::cost::LayerShape;
use crate::device::DriftCompensation;
use crate::ir_drop::WireNetwork;
use crate::layer::{LayerUse, OnArray};
use crate::map::{MappedMatrix, WeightMatrix};
use crate::program::Programmed;
use crate::units::Second;
use crate::{ConductanceRange, HardwareError};

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
    network: M,
    hardware: Hardware,
    /// In the order of their first use.
    uses: Vec<LayerUse>,
    images: usize,
    pub(super) weights: BTreeMap<String, MappedWeight>,
}

/// Path, shape and matrices of one stored weight.
type StoredMatrices = (String, Vec<usize>, Vec<WeightMatrix>);

/// One weight on arrays.
#[derive(Clone, Debug)]
pub(super) struct MappedWeight {
    /// One per group.
    pub(super) matrices: Vec<MappedMatrix>,
    array: ArrayConfig,
    /// Calibrated ranges per group, where the converters ask for them.
    ranges: Vec<Vec<CurrentRange>>,
}

impl<M: Module + Sync> MappedNetwork<M> {
    /// Maps the matrix weights of `network`, taken to evaluation mode.
    ///
    /// `run` passes `images` images of calibration data through the network that it is given, to see how every layer is
    /// used. Layers that are not called through [`crate::layer`] are seen by nobody: they count as one matrix in which all
    /// groups lie, and are refused at array fidelity.
    ///
    /// # Errors
    /// [`HardwareError`] for weights that cannot be mapped, layers of the description that do not exist, no images, and
    /// negative inputs of unsigned converters.
    pub fn new(
        network: &M,
        hardware: &Hardware,
        images: usize,
        run: impl Fn(&M),
    ) -> Result<Self, HardwareError> {
        if images == 0 {
            return Err(limit(
                "calibration images",
                0,
                "the numbers from 1 on",
                "give some data",
            ));
        }
        let network = network.valid();
        let paths = matrix_weights(&network);
        let missing = hardware
            .config()
            .layers
            .iter()
            .find(|layer| !paths.contains(&layer.path));
        if let Some(layer) = missing {
            return Err(HardwareError::Unknown {
                kind: "weight",
                name: layer.path.clone(),
                known: paths.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        let selected: BTreeSet<String> = paths
            .into_iter()
            .filter(|path| hardware.layer(path).is_none_or(|layer| !layer.digital))
            .collect();
        let uses = probe(&network, &selected, &run);
        let mut weights = BTreeMap::new();
        for (path, weight) in stored(&network, &selected) {
            let used = uses.iter().find(|known| known.path == path);
            let mapped = MappedWeight::new(hardware, &path, &weight, used)?;
            weights.insert(path, mapped);
        }
        Ok(Self {
            network,
            hardware: hardware.clone(),
            uses,
            images,
            weights,
        })
    }

    /// The network in evaluation mode, as it was given.
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
        let refuse = |settings: String, remedy: &str| {
            Err(HardwareError::Conflict {
                settings,
                remedy: remedy.to_string(),
            })
        };
        match fidelity {
            Fidelity::Array if !self.unseen().is_empty() => refuse(
                format!(
                    "array fidelity for {}, which no array-aware layer uses",
                    self.unseen().join(", ")
                ),
                "call crossburn_hardware::layer::{linear, conv1d, conv2d}, set the layers digital, or use weight fidelity",
            ),
            Fidelity::Array if self.weights.values().any(MappedWeight::uncalibrated) => refuse(
                "array fidelity with calibrated converters and no calibration".to_string(),
                "call MappedNetwork::calibrated with some data first",
            ),
            Fidelity::Weight if config.operation.read_noise == Some(true) => refuse(
                "operation.read_noise = true at weight fidelity, where a chip is read once"
                    .to_string(),
                "use array fidelity, or leave read_noise out",
            ),
            Fidelity::Weight if config.wires.is_some_and(|wires| !wires.is_ideal()) => refuse(
                "[wires] at weight fidelity, where no current flows".to_string(),
                "use array fidelity, or leave [wires] out",
            ),
            _ => Ok(MappedFab {
                mapped: self,
                fidelity,
                selection: None,
            }),
        }
    }

    /// Chips of which only the weights of `selection` are verified and the others written once.
    ///
    /// # Errors
    /// As [`Self::fab`], and [`HardwareError::Conflict`] for the selection of another network.
    pub fn selective_fab<'a>(
        &'a self,
        fidelity: Fidelity,
        selection: &'a Selection,
    ) -> Result<MappedFab<'a, M>, HardwareError> {
        selection.check(&self.weights)?;
        Ok(MappedFab {
            selection: Some(selection),
            ..self.fab(fidelity)?
        })
    }

    /// Path, shape and matrices of the stored weights on arrays.
    pub(super) fn stored_matrices(&self) -> Result<Vec<StoredMatrices>, HardwareError> {
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
    /// converters need none. Chips at weight fidelity have no currents and do without.
    ///
    /// # Errors
    /// Those of the mapping, and [`HardwareError`] for data that causes no current.
    pub fn calibrated(mut self, run: impl Fn(&M)) -> Result<Self, HardwareError> {
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
        let watched = attach(&self.network, |path, _| {
            let profile: &Arc<Mutex<Vec<CurrentProfile>>> = profiles.get(path)?;
            Some(OnArray::profile(
                matrices.get(path)?.clone(),
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
    fn programmed(
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

    /// The cells of every plane of one matrix on one chip, or ideal ones where there is none, and the mapping whose scales
    /// the drift compensation corrects.
    fn cells(
        &self,
        mapped: &MappedMatrix,
        chip: Option<ChipSeed>,
        path: &str,
        selection: Option<(&Selection, &[bool])>,
    ) -> Result<(Vec<Vec<f32>>, MappedMatrix), HardwareError> {
        let Some(chip) = chip else {
            return Ok((mapped.targets(), mapped.clone()));
        };
        let config = self.hardware.config();
        let compensation = config.operation.drift_compensation;
        let at = |after| -> Result<Vec<Vec<f32>>, HardwareError> {
            let planes = mapped.planes.iter().enumerate();
            planes
                .map(|(plane, cells)| {
                    self.plane(
                        &cells.targets,
                        mapped.range,
                        after,
                        chip,
                        &format!("{path}/{plane}"),
                        selection,
                    )
                })
                .collect()
        };
        let aged = at(config.operation.after)?;
        if compensation == DriftCompensation::None {
            return Ok((aged, mapped.clone()));
        }
        let new = readings(&mapped.read_back(&at(Second::default())?)?);
        let old = readings(&mapped.read_back(&aged)?);
        let factors = compensation.factors(&new, &old, mapped.outputs)?;
        let mut mapped = mapped.clone();
        for (scale, factor) in mapped.scales.iter_mut().zip(factors) {
            *scale *= factor;
        }
        Ok((aged, mapped))
    }

    /// The cells of one plane: written, verified where the hardware verifies, aged, stuck.
    fn plane(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        after: Second,
        chip: ChipSeed,
        path: &str,
        selection: Option<(&Selection, &[bool])>,
    ) -> Result<Vec<f32>, HardwareError> {
        let device = &self.hardware.config().device;
        if self.hardware.config().programming.is_none() {
            return device.cells(targets, after, chip, path);
        }
        let written = self
            .written(targets, range, chip, path, selection)?
            .conductances;
        let stream = |lifetime: &str| chip.generator(&format!("{path}/{lifetime}"));
        let mut cells = device.age(written, targets, after, &stream("age"))?;
        device.stick(&mut cells, &stream("faults"));
        Ok(cells)
    }

    /// The cells of one plane after the writes that the hardware verifies, and what they took.
    fn written(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        chip: ChipSeed,
        path: &str,
        selection: Option<(&Selection, &[bool])>,
    ) -> Result<Programmed, HardwareError> {
        let config = self.hardware.config();
        let Some(verify) = &config.programming else {
            return Err(HardwareError::Conflict {
                settings: "write-verify of a hardware without [programming]".to_string(),
                remedy: "give [programming] with tolerance, sigma_before and maximum_pulses"
                    .to_string(),
            });
        };
        config.device.check_targets(targets)?;
        let draws = chip.generator(&format!("{path}/program"));
        match selection {
            None => Ok(verify.draw(targets, range, &draws)),
            Some((selection, cells)) => selection.programming().draw(targets, cells, range, &draws),
        }
    }

    /// Whether reads of chips at array fidelity scatter.
    fn reads_scatter(&self) -> bool {
        let config = self.hardware.config();
        config.device.has_read_noise() && config.operation.read_noise != Some(false)
    }
}

/// Chips of a [`MappedNetwork`] at one fidelity.
#[derive(Clone, Copy, Debug)]
pub struct MappedFab<'a, M> {
    mapped: &'a MappedNetwork<M>,
    fidelity: Fidelity,
    /// What is verified; everything where absent.
    selection: Option<&'a Selection>,
}

impl<M: Module + Sync> Fab<M> for MappedFab<'_, M> {
    fn chip(&self, seed: ChipSeed) -> Result<M, HardwareError> {
        self.make(Some(seed))
    }
}

impl<M: Module + Sync> MappedFab<'_, M> {
    /// The network without any error of a device: its weights as they are mapped, on ideal cells.
    ///
    /// # Errors
    /// Those of the mapping.
    pub fn ideal(&self) -> Result<M, HardwareError> {
        self.make(None)
    }

    /// What programming the chip of `seed` takes. Its cells are drawn once more for it, the same ones.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a hardware without `[programming]`, whose device does not say how often it is
    /// pulsed.
    pub fn writes(&self, seed: ChipSeed) -> Result<Writes, HardwareError> {
        let mut writes = Writes::default();
        for (path, weight) in &self.mapped.weights {
            for (group, mapped) in weight.matrices.iter().enumerate() {
                let selection = self.verified(path, group);
                for (plane, cells) in mapped.planes.iter().enumerate() {
                    let path = format!("{path}/{group}/{plane}");
                    let (targets, range) = (&cells.targets, mapped.range);
                    let written = self
                        .mapped
                        .written(targets, range, seed, &path, selection)?;
                    writes.add(&written);
                }
            }
        }
        Ok(writes)
    }

    /// The selection, and which cells of every plane of a matrix it verifies.
    fn verified(&self, path: &str, group: usize) -> Option<(&'_ Selection, &'_ [bool])> {
        let selection = self.selection?;
        Some((selection, selection.cells(path, group)))
    }

    fn make(&self, chip: Option<ChipSeed>) -> Result<M, HardwareError> {
        match self.fidelity {
            Fidelity::Weight => self.frozen(chip),
            Fidelity::Array => self.on_arrays(chip),
        }
    }

    /// A plain network with the weights that the cells hold.
    fn frozen(&self, chip: Option<ChipSeed>) -> Result<M, HardwareError> {
        let mut held = BTreeMap::new();
        for (path, weight) in &self.mapped.weights {
            let mut rows = Vec::new();
            for (group, mapped) in weight.matrices.iter().enumerate() {
                let verified = self.verified(path, group);
                let name = format!("{path}/{group}");
                let (cells, mapped) = self.mapped.cells(mapped, chip, &name, verified)?;
                rows.extend(mapped.read_back(&cells)?.values);
            }
            held.insert(path.clone(), rows);
        }
        Ok(self
            .mapped
            .network
            .clone()
            .apply_reparameterization(Replace { held }))
    }

    /// The network with its arrays attached.
    fn on_arrays(&self, chip: Option<ChipSeed>) -> Result<M, HardwareError> {
        let mut arrays = BTreeMap::new();
        for (path, weight) in &self.mapped.weights {
            arrays.insert(path.clone(), self.arrays(path, weight, chip)?);
        }
        Ok(attach(&self.mapped.network, |path, _| arrays.remove(path)))
    }

    fn arrays(
        &self,
        path: &str,
        weight: &MappedWeight,
        chip: Option<ChipSeed>,
    ) -> Result<OnArray, HardwareError> {
        let config = self.mapped.hardware.config();
        let chip_reads = chip.filter(|_| self.mapped.reads_scatter());
        let mut matrices = Vec::new();
        let mut reads = Vec::new();
        for (group, mapped) in weight.matrices.iter().enumerate() {
            let verified = self.verified(path, group);
            let path = format!("{path}/{group}");
            let (cells, mapped) = self.mapped.cells(mapped, chip, &path, verified)?;
            let sigma = |cells: &Vec<f32>| config.device.read_sigma(cells, config.operation.after);
            let sigmas: Option<Vec<Vec<f32>>> = match chip_reads {
                Some(_) => cells.iter().map(sigma).collect(),
                None => None,
            };
            let effects = Effects {
                read_sigma: sigmas.as_deref(),
                converters: chip.map(|chip| chip.generator(&format!("{path}/converters"))),
                ..Effects::default()
            };
            let mut matrix = match chip {
                Some(_) => self.mapped.programmed(weight, &mapped, cells, &effects)?,
                None => self
                    .mapped
                    .programmed(&weight.exact(), &mapped, cells, &effects)?,
            };
            if let Some(ranges) = weight.ranges.get(group) {
                matrix.set_ranges(ranges)?;
            }
            matrices.push(matrix);
            reads.extend(chip_reads.map(|chip| chip.generator(&format!("{path}/read"))));
        }
        Ok(OnArray::arrays(matrices, chip_reads.map(|_| reads)))
    }
}

impl MappedWeight {
    fn new(
        hardware: &Hardware,
        path: &str,
        stored: &Stored,
        used: Option<&LayerUse>,
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
                array.input.x_max = used.largest_input();
            }
            if array.input.sign == InputSign::Unsigned && used.input_low < 0.0 {
                return Err(HardwareError::Conflict {
                    settings: format!(
                        "array.input.sign = unsigned and inputs down to {} at `{path}`",
                        used.input_low
                    ),
                    remedy: "use signed inputs, or set the layer digital".to_string(),
                });
            }
        }
        let groups = used.map_or(1, |used| used.groups);
        let range = config.device.range();
        let in_layer = |error: HardwareError| HardwareError::Layer {
            path: path.to_string(),
            error: Box::new(error),
        };
        let matrices = in_matrices(&stored.values, &stored.shape, groups)
            .and_then(|weights| weights.iter().map(|w| mapping.map(w, range)).collect())
            .map_err(in_layer)?;
        Ok(Self {
            matrices,
            array,
            ranges: Vec::new(),
        })
    }
}

impl MappedWeight {
    /// Whether its converters ask for ranges that nobody has set.
    fn uncalibrated(&self) -> bool {
        percentile(&self.array).is_some() && self.ranges.is_empty()
    }

    /// The same weight with converters that are all alike.
    fn exact(&self) -> Self {
        let mut exact = self.clone();
        if let Some(adc) = &mut exact.array.adc {
            adc.gain_error = None;
            adc.comparator_offset = None;
            adc.capacitor_mismatch = None;
        }
        exact
    }
}

/// A weight in Burn's layout.
struct Stored {
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn stored<M: Module>(network: &M, selected: &BTreeSet<String>) -> BTreeMap<String, Stored> {
    struct Collect<'a> {
        path: Vec<String>,
        selected: &'a BTreeSet<String>,
        found: BTreeMap<String, Stored>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.path.join(".");
            if self.selected.contains(&path) {
                self.found.insert(path, host(param.val()));
            }
        }
    }
    let mut collect = Collect {
        path: Vec::new(),
        selected,
        found: BTreeMap::new(),
    };
    network.visit(&mut collect);
    collect.found
}

fn host<const D: usize>(weight: Tensor<D>) -> Stored {
    Stored {
        shape: weight.dims().to_vec(),
        values: weight
            .into_data()
            .try_into_vec_as()
            .expect("a weight is a tensor of floats"),
    }
}

/// Values in the layout of a Burn weight of this shape as matrices, one per group; a linear weight has one.
pub(super) fn in_matrices(
    values: &[f32],
    shape: &[usize],
    groups: usize,
) -> Result<Vec<WeightMatrix>, HardwareError> {
    match *shape {
        [inputs, outputs] => Ok(vec![WeightMatrix::from_linear(values, inputs, outputs)?]),
        _ => WeightMatrix::from_conv(values, shape, groups),
    }
}

/// How `run` uses the selected weights.
fn probe<M: Module>(network: &M, selected: &BTreeSet<String>, run: &impl Fn(&M)) -> Vec<LayerUse> {
    let uses = Arc::new(Mutex::new(Vec::new()));
    let watched = attach(network, |path, shape| {
        let outputs = match shape {
            [_, outputs] => *outputs,
            [outputs, ..] => *outputs,
            [] => return None,
        };
        selected
            .contains(path)
            .then(|| OnArray::probe(path, outputs, uses.clone()))
    });
    run(&watched);
    let mut found = uses.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *found)
}

/// `network` with what `role` gives for a path and shape.
fn attach<M: Module>(network: &M, role: impl FnMut(&str, &[usize]) -> Option<OnArray>) -> M {
    struct Attach<F>(F);
    impl<F: FnMut(&str, &[usize]) -> Option<OnArray>> Reparameterizer for Attach<F> {
        type Reparam = OnArray;

        fn reparameterize<const D: usize>(
            &mut self,
            path: &str,
            param: Param<Tensor<D>>,
        ) -> (Param<Tensor<D>>, Option<OnArray>) {
            let role = (self.0)(path, &param.lazy_shape().dims::<D>());
            (param, role)
        }
    }
    network.clone().apply_reparameterization(Attach(role))
}

/// Puts `held`, in rows of outputs, in the place of weights.
struct Replace {
    held: BTreeMap<String, Vec<f32>>,
}

impl Reparameterizer for Replace {
    type Reparam = OnArray;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<OnArray>) {
        let Some(rows) = self.held.remove(path) else {
            return (param, None);
        };
        (
            param.map(|weight| crate::layer::in_layout_of(&weight, rows)),
            None,
        )
    }
}

/// One reading per input: the response to it alone, output by output.
fn readings(weights: &WeightMatrix) -> Vec<f32> {
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    let at = |reading: usize| weights.values[reading % outputs * inputs + reading / outputs];
    (0..outputs * inputs).map(at).collect()
}

/// The percentile of converters that are calibrated on currents.
fn percentile(array: &ArrayConfig) -> Option<f64> {
    match array.adc?.range {
        AdcRange::Calibrated { percentile } => Some(percentile),
        _ => None,
    }
}

fn limit(field: &str, value: impl ToString, limit: &str, remedy: &str) -> HardwareError {
    HardwareError::Limit {
        field: field.to_string(),
        value: value.to_string(),
        limit: limit.to_string(),
        remedy: remedy.to_string(),
    }
}
