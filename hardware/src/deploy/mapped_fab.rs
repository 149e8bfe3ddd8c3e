//! The chips of a network on a hardware.

use std::collections::BTreeMap;

use burn::module::Module;
use crossburn_noise::{ChipDraws, ChipSeed};

use super::mapped_network::MappedWeight;
use super::network_weights::{attach, replace};
use super::{Fab, Fidelity, MappedNetwork, Operation, Selection, Writes};
use crate::HardwareError;
use crate::array::{Circuit, Effects};
use crate::device::DriftCompensation;
use crate::layer::OnArray;
use crate::map::{MappedMatrix, Plane, WeightMatrix};
use crate::units::Second;

/// Chips of a [`MappedNetwork`] at one fidelity.
#[derive(Clone, Copy, Debug)]
pub struct MappedFab<'a, M> {
    mapped: &'a MappedNetwork<M>,
    fidelity: Fidelity,
    /// The weights that are verified; `None` for all.
    selection: Option<&'a Selection>,
}

impl<M: Module + Sync> Fab<M> for MappedFab<'_, M> {
    fn drawn(&self, draws: &dyn ChipDraws) -> Result<M, HardwareError> {
        self.make(Some(draws))
    }
}

impl<'a, M: Module + Sync> MappedFab<'a, M> {
    /// Chips of `mapped`. Only the weights in `selection` are verified.
    pub(super) fn new(
        mapped: &'a MappedNetwork<M>,
        fidelity: Fidelity,
        selection: Option<&'a Selection>,
    ) -> Self {
        Self {
            mapped,
            fidelity,
            selection,
        }
    }

    /// The network without any error of a device: its weights as they are mapped, on ideal cells.
    ///
    /// # Errors
    /// Those of the mapping.
    pub fn ideal(&self) -> Result<M, HardwareError> {
        self.make(None)
    }

    /// The effort of programming the chip of `seed`. Its cells are drawn again for this, with the same result.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a hardware without `[programming]`, whose device does not say how often it is
    /// pulsed.
    pub fn writes(&self, seed: ChipSeed) -> Result<Writes, HardwareError> {
        let config = self.mapped.hardware().config();
        let mut writes = Writes::default();
        for weight in self.mapped.weights.values() {
            for (group, mapped) in weight.matrices.iter().enumerate() {
                let selection = self.verified(&weight.draws, group);
                for (plane, cells) in mapped.planes.iter().enumerate() {
                    let path = format!("{}/{group}/{plane}", weight.draws);
                    let (targets, range) = (&cells.targets, mapped.range);
                    writes.add(&config.verified_writes(targets, range, &seed, &path, selection)?);
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

    fn make(&self, chip: Option<&dyn ChipDraws>) -> Result<M, HardwareError> {
        let network = &self.mapped.network;
        match self.fidelity {
            Fidelity::Weight => Ok(replace(network, self.held(chip)?)),
            Fidelity::Array => {
                let mut arrays = self.on_arrays(chip)?;
                Ok(attach(network.clone(), |path| arrays.remove(path)))
            }
        }
    }

    /// The weights that the cells hold by path, in rows of outputs, group after group.
    pub(super) fn held(
        &self,
        chip: Option<&dyn ChipDraws>,
    ) -> Result<BTreeMap<String, Vec<f32>>, HardwareError> {
        let mut held = BTreeMap::new();
        for (path, weight) in &self.mapped.weights {
            let mut rows = Vec::new();
            for (group, mapped) in weight.matrices.iter().enumerate() {
                let verified = self.verified(&weight.draws, group);
                let name = format!("{}/{group}", weight.draws);
                let (cells, mapped) = self.cells((weight, mapped), chip, &name, verified)?;
                let mut read = mapped.read_back(&cells)?;
                if let Some(rescaling) = &weight.rescaling {
                    rescaling.take_out_of(group, read.inputs, &mut read.values);
                }
                rows.extend(read.values);
            }
            held.insert(path.clone(), rows);
        }
        Ok(held)
    }

    /// The arrays of every weight by path.
    pub(super) fn on_arrays(
        &self,
        chip: Option<&dyn ChipDraws>,
    ) -> Result<BTreeMap<String, OnArray>, HardwareError> {
        let weights = self.mapped.weights.iter();
        weights
            .map(|(path, weight)| Ok((path.clone(), self.arrays(path, weight, chip)?)))
            .collect()
    }

    /// The arrays of the weight of the layer at `layer`. Layers that share a weight read its cells at times of their own.
    fn arrays(
        &self,
        layer: &str,
        weight: &MappedWeight,
        chip: Option<&dyn ChipDraws>,
    ) -> Result<OnArray, HardwareError> {
        let config = self.mapped.hardware().config();
        let noisy = config.reads_scatter();
        let chip_reads =
            chip.filter(|_| noisy || weight.array.circuit.as_ref().is_some_and(Circuit::scatters));
        let mut matrices = Vec::new();
        let mut reads = Vec::new();
        for (group, mapped) in weight.matrices.iter().enumerate() {
            let verified = self.verified(&weight.draws, group);
            let path = format!("{}/{group}", weight.draws);
            let (cells, mapped) = self.cells((weight, mapped), chip, &path, verified)?;
            let sigma = |(plane, cells): (&Plane, &Vec<f32>)| match weight.errs(plane.slice) {
                true => config.device.read_sigma(cells, config.operation.after),
                false => Some(vec![0.0; cells.len()]),
            };
            let sigmas: Option<Vec<Vec<f32>>> = match chip.is_some() && noisy {
                true => mapped.planes.iter().zip(&cells).map(sigma).collect(),
                false => None,
            };
            let converters = chip.map(|chip| chip.parameter(&format!("{path}/converters")));
            let effects = Effects {
                read_sigma: sigmas.as_deref(),
                converters: converters.as_deref(),
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
            reads.extend(chip_reads.map(|chip| chip.stream(&format!("{layer}/{group}/read"))));
        }
        Ok(OnArray::arrays(
            matrices,
            weight.layout,
            weight.rescaling.clone(),
            chip_reads.map(|_| reads),
        ))
    }

    /// The cells of every plane of one matrix of a weight on one chip, or ideal ones where there is none or where its hardware says that they do
    /// not deviate, and the mapping that the drift compensation corrects.
    fn cells(
        &self,
        (weight, mapped): (&MappedWeight, &MappedMatrix),
        chip: Option<&dyn ChipDraws>,
        path: &str,
        verified: Option<(&Selection, &[bool])>,
    ) -> Result<(Vec<Vec<f32>>, MappedMatrix), HardwareError> {
        let Some(chip) = chip else {
            return Ok((mapped.targets(), mapped.clone()));
        };
        let config = self.mapped.hardware().config();
        let Operation {
            after,
            drift_compensation,
            ..
        } = config.operation;
        let compensates = drift_compensation != DriftCompensation::None;
        let (mut new, mut aged) = (Vec::new(), Vec::new());
        for (plane, cells) in mapped.planes.iter().enumerate() {
            let path = format!("{path}/{plane}");
            let targets = &cells.targets;
            if !weight.errs(cells.slice) {
                new.push(targets.clone());
                aged.push(targets.clone());
                continue;
            }
            let written = config.written(targets, mapped.range, chip, &path, verified)?;
            if compensates {
                let at_once = Second::default();
                new.push(config.lived(written.clone(), targets, at_once, chip, [&path, &path])?);
            }
            aged.push(config.lived(written, targets, after, chip, [&path, &path])?);
        }
        if !compensates {
            return Ok((aged, mapped.clone()));
        }
        let new = readings(&mapped.read_out(&new)?);
        let old = readings(&mapped.read_out(&aged)?);
        let factors = drift_compensation.factors(&new, &old, mapped.outputs)?;
        Ok((aged, mapped.clone().corrected(&factors)))
    }
}

/// One reading per input: the response to it alone, output by output.
fn readings(weights: &WeightMatrix) -> Vec<f32> {
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    let at = |reading: usize| weights.values[reading % outputs * inputs + reading / outputs];
    (0..outputs * inputs).map(at).collect()
}
