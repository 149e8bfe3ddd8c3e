//! The chips that write-verify still accepts: how far weights can be off when every cell is within a tolerance.

use std::collections::BTreeMap;

use burn::module::Module;
use crossburn_noise::worst_case::{DeviationBounds, Deviations, EntryBounds};

use super::MappedNetwork;
use super::mapped_network::MappedWeight;
use super::network_weights::{in_matrices, replace};
use crate::HardwareError;
use crate::layer::in_layout;
use crate::map::{MappedMatrix, Plane, Reference};
use crate::program::Acceptance;

/// Conductances in µS: by path of the weight, per group, per plane, as long as its targets.
pub type CellConductances = BTreeMap<String, Vec<Vec<Vec<f32>>>>;

impl<M: Module + Sync> MappedNetwork<M> {
    /// How far the weights of this network can be off when verification accepts every cell at `tolerance`
    /// ([`Acceptance`]): cells lie within `tolerance * (g_max - g_min)` of their targets and at 0 µS or above. Cells of slices that
    /// [`LayerOverride::errors`](super::LayerOverride::errors) leaves out hold their targets.
    ///
    /// A weight is linear in the conductances of its own cells, so that the box is exact: every point of it is a chip
    /// that write-verify accepts, and there are no others. Cells that fail all their pulses, cells that a selection leaves
    /// unverified, ageing and faults lie outside.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a tolerance outside 0..=1, [`HardwareError::Conflict`] for a unit column, whose cells
    /// move many weights at once, [`HardwareError::Noise`] without a weight on arrays.
    pub fn deviation_bounds(&self, tolerance: f64) -> Result<DeviationBounds, HardwareError> {
        check(tolerance)?;
        let mut boxes = BTreeMap::new();
        for (path, shape, _) in self.stored_matrices()? {
            let (mut low, mut high) = (Vec::new(), Vec::new());
            let weight = &self.weights[&path];
            for mapped in &weight.matrices {
                refuse_unit_column(mapped, &path)?;
                let accepted = Accepted {
                    weight,
                    mapped,
                    tolerance,
                };
                for entry in 0..mapped.outputs * mapped.inputs {
                    let [down, up] = accepted.reach(entry);
                    low.push(down as f32);
                    high.push(up as f32);
                }
            }
            let entries = EntryBounds {
                low: in_layout(&shape, low),
                high: in_layout(&shape, high),
            };
            boxes.insert(path, entries);
        }
        Ok(DeviationBounds::from_boxes(boxes)?)
    }

    /// Cells within `tolerance` that make the weights deviate by `deviations`: all cells of a weight take the same part of
    /// the way to the end of their room.
    ///
    /// # Errors
    /// Those of [`Self::deviation_bounds`], and [`HardwareError::Conflict`] for deviations that no such cells have.
    pub fn cells_of(
        &self,
        tolerance: f64,
        deviations: &Deviations,
    ) -> Result<CellConductances, HardwareError> {
        if !self.deviation_bounds(tolerance)?.contain(deviations) {
            return Err(HardwareError::conflict(
                format!("deviations that cells within tolerance = {tolerance} cannot have"),
                "give deviations inside of MappedNetwork::deviation_bounds, of all weights on arrays",
            ));
        }
        let mut found = CellConductances::new();
        for (path, shape, _) in self.stored_matrices()? {
            let weight = &self.weights[&path];
            let moves = in_matrices(&deviations[&path], &shape, weight.matrices.len())?;
            let groups = weight.matrices.iter().zip(moves);
            let groups = groups.map(|(mapped, moves)| {
                let accepted = Accepted {
                    weight,
                    mapped,
                    tolerance,
                };
                accepted.moved(&moves.values)
            });
            found.insert(path, groups.collect());
        }
        Ok(found)
    }

    /// A plain network with the weights that `cells` hold.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of planes or cells, [`HardwareError::Conflict`] for other weights.
    pub fn with_cells(&self, cells: &CellConductances) -> Result<M, HardwareError> {
        let mut held = BTreeMap::new();
        for (path, weight) in &self.weights {
            let groups = cells.get(path).map_or(&[][..], Vec::as_slice);
            if groups.len() != weight.matrices.len() {
                return Err(HardwareError::conflict(
                    format!(
                        "{} matrices of cells for `{path}`, which has {}",
                        groups.len(),
                        weight.matrices.len()
                    ),
                    "pass the cells of every weight on arrays, group by group",
                ));
            }
            let mut rows = Vec::new();
            for (mapped, cells) in weight.matrices.iter().zip(groups) {
                rows.extend(mapped.read_back(cells)?.values);
            }
            held.insert(path.clone(), rows);
        }
        Ok(replace(&self.network, held))
    }
}

fn check(tolerance: f64) -> Result<(), HardwareError> {
    match (0.0..=1.0).contains(&tolerance) {
        true => Ok(()),
        false => Err(HardwareError::limit(
            "tolerance",
            tolerance,
            "0..=1",
            "use a fraction of the conductance range, such as 0.03",
        )),
    }
}

fn refuse_unit_column(mapped: &MappedMatrix, path: &str) -> Result<(), HardwareError> {
    match mapped.reference {
        Reference::UnitColumn { .. } => Err(HardwareError::Layer {
            path: path.to_string(),
            error: Box::new(HardwareError::conflict(
                "scheme = unit-column with bounds per weight: one of its cells moves a weight of every output of an array",
                "use a scheme of pairs, or digital-offset",
            )),
        }),
        Reference::None | Reference::Digital(_) => Ok(()),
    }
}

/// The cells of one matrix of a weight, each within a tolerance of its target.
struct Accepted<'a> {
    weight: &'a MappedWeight,
    mapped: &'a MappedMatrix,
    tolerance: f64,
}

impl Accepted<'_> {
    /// How far cell `cell` of `plane` can be from its target, down and up, in µS. A cell that the hardware keeps from deviating cannot move.
    fn room(&self, plane: &Plane, cell: usize) -> [f64; 2] {
        if !self.weight.errs(plane.slice) {
            return [0.0; 2];
        }
        let target = f64::from(plane.targets[cell]);
        let ends = Acceptance::new(self.tolerance, self.mapped.range).ends(target);
        ends.map(|end| end - target)
    }

    /// How far a cell of `plane` can move entry `entry` of the weight down and up, and the moves in µS that do.
    fn ends(&self, plane: &Plane, entry: usize) -> [(f64, f64); 2] {
        let scale = f64::from(self.mapped.scales[entry / self.mapped.inputs]);
        let gain = scale * f64::from(self.mapped.signed_gain(plane));
        let [down, up] = self.room(plane, entry);
        match gain < 0.0 {
            true => [(gain * up, up), (gain * down, down)],
            false => [(gain * down, down), (gain * up, up)],
        }
    }

    /// How far all cells of entry `entry` can move it down and up.
    fn reach(&self, entry: usize) -> [f64; 2] {
        let mut total = [0.0; 2];
        for plane in &self.mapped.planes {
            for (total, (by, _)) in total.iter_mut().zip(self.ends(plane, entry)) {
                *total += by;
            }
        }
        total
    }

    /// The cells of every plane, where the entries, in rows of outputs, move by `moves`.
    fn moved(&self, moves: &[f32]) -> Vec<Vec<f32>> {
        let mut planes = self.mapped.targets();
        for (entry, by) in moves.iter().enumerate() {
            let side = usize::from(*by > 0.0);
            let most = self.reach(entry)[side];
            if *by == 0.0 || most == 0.0 {
                continue;
            }
            let part = (f64::from(*by) / most).min(1.0);
            for (cells, plane) in planes.iter_mut().zip(&self.mapped.planes) {
                let (_, way) = self.ends(plane, entry)[side];
                cells[entry] = (f64::from(plane.targets[entry]) + part * way) as f32;
            }
        }
        planes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::deploy::{Fab, Fidelity, Hardware};
    use crate::layer::{conv2d, linear};
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_noise::worst_case::deviate;
    use crossburn_noise::{ChipSeed, Philox};
    use proptest::prelude::*;
    use rstest::rstest;

    #[derive(Module, Debug)]
    struct Network {
        conv: Conv2d,
        fc: Linear,
    }

    impl Network {
        fn forward(&self, x: Tensor<4>) -> Tensor<2> {
            linear(&self.fc, conv2d(&self.conv, x).flatten::<2>(1, 3))
        }

        fn weights(&self) -> [Vec<f32>; 2] {
            let (conv, fc) = (self.conv.weight.val(), self.fc.weight.val());
            [conv.into_data(), fc.into_data()].map(|data| data.try_to_vec().unwrap())
        }
    }

    fn network(seed: u64) -> Network {
        let device = Device::flex();
        let draw = |stream, shape: &[usize]| {
            let mut values = vec![0.0; shape.iter().product()];
            Philox::new(seed, stream).fill_normal(&mut values);
            burn::tensor::TensorData::new(values, shape.to_vec())
        };
        let mut network = Network {
            conv: Conv2dConfig::new([4, 6], [2, 2])
                .with_groups(2)
                .init(&device),
            fc: LinearConfig::new(6, 3).init(&device),
        };
        let conv = draw(0, &[6, 2, 2, 2]);
        network.conv.weight = network
            .conv
            .weight
            .map(|_| Tensor::from_data(conv, &device));
        let fc = draw(1, &[6, 3]);
        network.fc.weight = network.fc.weight.map(|_| Tensor::from_data(fc, &device));
        network
    }

    fn mapped(seed: u64, mapping: &str) -> Result<MappedNetwork<Network>, HardwareError> {
        let text = format!(
            "device = {{ kind = \"ideal\", g_min = \"2 uS\", g_max = \"50 uS\" }}\nmapping = {{ {mapping} }}\n\
             array = {{ rows = 64, columns = 64, input = {{ bits = 8, sign = \"signed\" }} }}"
        );
        let hardware = Hardware::from_toml(&text)?;
        MappedNetwork::new(&network(seed), &hardware, 1, |network| {
            network.forward(Tensor::ones([1, 4, 2, 2], &Device::flex()));
        })
    }

    const MAPPINGS: [&str; 6] = [
        r#"scheme = "one-sided-pair", weight_bits = 6"#,
        r#"scheme = "one-sided-pair", weight_bits = 9, slice_bits = 2, scale = "per-output""#,
        r#"scheme = "two-sided-pair", weight_bits = 5"#,
        r#"scheme = "digital-offset", weight_bits = 6"#,
        r#"scheme = "digital-offset", weight_bits = 7, slice_bits = 3"#,
        r#"scheme = { significance-pairs = { significances = [1.0, 4.0] } }, weight_bits = 8"#,
    ];

    /// Differences of weights that are rounded to 32 bits, of conductances up to 50 uS of 48 uS range.
    fn near(found: &Network, expected: &Network) {
        for (found, expected) in found.weights().iter().zip(expected.weights()) {
            let largest = expected.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            for (f, e) in found.iter().zip(&expected) {
                assert!((f - e).abs() <= 4e-6 * largest, "{f} {e}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn cells_of_a_deviation_hold_it_and_are_within_the_tolerance(
            seed in 0u64..100, which in 0usize..6, tolerance in 0.0f64..0.4, corner: bool,
        ) {
            let mapped = mapped(seed, MAPPINGS[which]).unwrap();
            let bounds = mapped.deviation_bounds(tolerance).unwrap();
            let mut deviations = bounds.zero();
            for (path, values) in &mut deviations {
                let entries = &bounds.weights()[path];
                for (index, d) in values.iter_mut().enumerate() {
                    let u = Philox::new(seed, 9).uniform(index as u64) as f32;
                    let u = if corner { u.round() } else { u };
                    *d = (entries.low[index] + u * (entries.high[index] - entries.low[index]))
                        .clamp(entries.low[index], entries.high[index]);
                }
            }
            let cells = mapped.cells_of(tolerance, &deviations).unwrap();
            for (path, groups) in &cells {
                for (cells, matrix) in groups.iter().zip(&mapped.weights[path].matrices) {
                    let range = matrix.range;
                    let pairs = cells.iter().flatten().zip(matrix.planes.iter().flat_map(|p| &p.targets));
                    for (g, target) in pairs {
                        let most = tolerance * f64::from(range.span());
                        prop_assert!(f64::from((g - target).abs()) <= most + 1e-5, "{g} {target}");
                        prop_assert!(*g >= 0.0);
                    }
                }
            }
            let ideal = mapped.fab(Fidelity::Weight).unwrap().ideal().unwrap();
            let expected = deviate(ideal, &deviations).unwrap();
            near(&mapped.with_cells(&cells).unwrap(), &expected);
        }
    }

    /// One output of many weights: the largest one, then `level`/31 of it again and again.
    fn row(level: f32) -> (Linear, usize) {
        let device = Device::flex();
        let inputs = 250_001;
        let mut values = vec![level / 31.0; inputs];
        values[0] = 1.0;
        let mut linear = LinearConfig::new(inputs, 1).init(&device);
        let values = burn::tensor::TensorData::new(values, [inputs, 1]);
        linear.weight = linear.weight.map(|_| Tensor::from_data(values, &device));
        (linear, inputs)
    }

    fn hardware(device: &str, mapping: &str, tolerance: f64, sigma: f64) -> Hardware {
        let text = format!(
            "device = {{ {device} }}\nmapping = {{ {mapping} }}\n\
             array = {{ rows = 64, columns = 64, input = {{ bits = 8, sign = \"signed\" }} }}\n\
             programming = {{ tolerance = {tolerance}, sigma_before = {sigma}, maximum_pulses = 1000000 }}"
        );
        Hardware::from_toml(&text).unwrap()
    }

    /// A weight is a sum of cells in 32 bits. Rounding a conductance, a product with the gain and a sum are each off by at
    /// most half an ulp of the largest value that occurs: with up to 8 planes, 24 of them, of numbers up to
    /// 2 · Σ factors · g_max / span in units of the scale. The box itself is rounded once more.
    fn roundings(mapped: &MappedMatrix) -> f32 {
        let factors: f32 = mapped.slices.iter().map(|slice| slice.factor).sum();
        let largest = 2.0 * factors * mapped.range.g_max / mapped.range.span();
        let scale = mapped.scales.iter().fold(0.0f32, |a, s| a.max(*s));
        24.0 * 0.5 * f32::EPSILON * largest * scale
    }

    #[test]
    fn programmed_chips_of_every_device_lie_in_the_box() {
        for name in crate::device::MemoryDevice::preset_names() {
            let levels = crate::device::MemoryDevice::preset(name).unwrap().levels();
            for mapping in MAPPINGS {
                // A cell of four levels holds two bits.
                let four = r#"scheme = "digital-offset", weight_bits = 6, slice_bits = 2"#;
                let mapping = if levels.is_some() { four } else { mapping };
                for tolerance in [0.01, 0.05, 0.3] {
                    let device = format!("preset = \"{name}\"");
                    let hardware = hardware(&device, mapping, tolerance, 0.1);
                    let network = network(3);
                    let run = |network: &Network| {
                        network.forward(Tensor::ones([1, 4, 2, 2], &Device::flex()));
                    };
                    // Cells as they are written: 1/f noise is no matter of programming.
                    let mut operation = hardware.config().operation;
                    operation.read_noise = Some(false);
                    let hardware = hardware.with(None, Some(operation)).unwrap();
                    let mapped = MappedNetwork::new(&network, &hardware, 1, run).unwrap();
                    let bounds = mapped.deviation_bounds(tolerance).unwrap();
                    let fab = mapped.fab(Fidelity::Weight).unwrap();
                    let ideal = fab.ideal().unwrap().weights();
                    for chip in 0..20 {
                        let seed = ChipSeed::new(1, chip);
                        assert_eq!(fab.writes(seed).unwrap().failures, 0);
                        let chip = fab.chip(seed).unwrap().weights();
                        let paths = ["conv.weight", "fc.weight"];
                        for ((path, chip), ideal) in paths.iter().zip(chip).zip(&ideal) {
                            let entries = &bounds.weights()[*path];
                            let matrices = mapped.weights[*path].matrices.iter();
                            let slack = matrices.map(roundings).fold(0.0, f32::max);
                            for (index, (w, ideal)) in chip.iter().zip(ideal).enumerate() {
                                let d = w - ideal;
                                let (low, high) = (entries.low[index], entries.high[index]);
                                assert!(
                                    d >= low - slack && d <= high + slack,
                                    "{name} {mapping} {tolerance}: {d} of {low}..{high}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    /// A write that scatters by ten times the tolerance leaves accepted cells all but uniform. Of a pair, the deviations
    /// within 1 % of the box of a corner are a triangle of at least 0.02² / 2 of the square of its two cells: 50 of 250,000
    /// weights, so that a box that is right misses a corner with a probability below e⁻⁴⁵.
    #[rstest]
    fn programmed_cells_reach_the_corners_of_the_box(
        #[values(
            r#"scheme = "one-sided-pair", weight_bits = 6"#,
            r#"scheme = "two-sided-pair", weight_bits = 6"#,
            r#"scheme = "digital-offset", weight_bits = 6"#
        )]
        mapping: &str,
        #[values(0.0, 15.0, -31.0, 31.0)] level: f32,
    ) {
        let device = r#"kind = "ideal", g_min = "2 uS", g_max = "50 uS""#;
        let hardware = hardware(device, mapping, 0.05, 0.5);
        let (network, inputs) = row(level);
        let mapped = MappedNetwork::new(&network, &hardware, 1, |network| {
            linear(network, Tensor::<2>::ones([1, inputs], &Device::flex()));
        })
        .unwrap();
        let bounds = mapped.deviation_bounds(0.05).unwrap();
        let entries = &bounds.weights()["weight"];
        let (low, high) = (entries.low[1], entries.high[1]);
        let fab = mapped.fab(Fidelity::Weight).unwrap();
        let weights = |network: Linear| {
            network
                .weight
                .val()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        };
        let ideal = weights(fab.ideal().unwrap())[1];
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for chip in 0..4 {
            for w in &weights(fab.chip(ChipSeed::new(5, chip)).unwrap())[1..] {
                least = least.min(w - ideal);
                most = most.max(w - ideal);
            }
        }
        let slack = roundings(&mapped.weights["weight"].matrices[0]);
        let width = high - low;
        assert!(least >= low - slack && most <= high + slack);
        assert!(least <= low + 0.01 * width, "{least} of {low}..{high}");
        assert!(most >= high - 0.01 * width, "{most} of {low}..{high}");
    }

    #[test]
    fn the_box_of_a_pair_is_that_of_its_cells() {
        let mapped = mapped(1, MAPPINGS[0]).unwrap();
        let bounds = mapped.deviation_bounds(0.1).unwrap();
        let matrix = &mapped.weights["fc.weight"].matrices[0];
        let largest = matrix.scales[0] * 31.0;
        for (index, target) in matrix.planes[0].targets.iter().enumerate() {
            let (output, input) = (index / 6, index % 6);
            let entries = &bounds.weights()["fc.weight"];
            let (low, high) = (
                entries.low[input * 3 + output],
                entries.high[input * 3 + output],
            );
            let other = matrix.planes[1].targets[index];
            // Accepted within 4.8 uS, and at 0 uS or above: a cell at g_min = 2 uS can fall by 2 uS, any cell can rise by 4.8.
            let step = 0.1 * largest;
            let fall = step * 2.0 / 4.8;
            let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
            if *target == 2.0 && other == 2.0 {
                assert!(near(low, -step - fall) && near(high, step + fall));
            } else if *target >= 7.0 {
                assert!(
                    near(low, -2.0 * step) && near(high, step + fall),
                    "{low} {high}"
                );
            }
        }
        let none = mapped.deviation_bounds(0.0).unwrap();
        assert!(
            none.weights()
                .values()
                .flat_map(|e| &e.high)
                .all(|high| *high == 0.0)
        );
    }

    #[rstest]
    #[case(-0.1)]
    #[case(1.1)]
    #[case(f64::NAN)]
    fn impossible_tolerances_are_refused(#[case] tolerance: f64) {
        let error = mapped(1, MAPPINGS[0]).unwrap().deviation_bounds(tolerance);
        let message = error.unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "tolerance = {tolerance} is outside 0..=1: use a fraction of the conductance range, such as 0.03"
            )
        );
    }

    #[test]
    fn a_unit_column_and_what_cells_cannot_hold_are_refused() {
        let unit = mapped(1, r#"scheme = "unit-column", weight_bits = 6"#).unwrap();
        let message = unit.deviation_bounds(0.05).unwrap_err().to_string();
        assert!(
            message.contains("layer `conv.weight`: scheme = unit-column"),
            "{message}"
        );
        let mapped = mapped(1, MAPPINGS[0]).unwrap();
        let mut far = mapped.deviation_bounds(0.05).unwrap().zero();
        far.get_mut("fc.weight").unwrap()[0] = 100.0;
        let message = mapped.cells_of(0.05, &far).unwrap_err().to_string();
        assert!(
            message.starts_with("deviations that cells within tolerance = 0.05 cannot have"),
            "{message}"
        );
        assert!(mapped.with_cells(&CellConductances::new()).is_err());
        let same = mapped
            .fab(Fidelity::Weight)
            .unwrap()
            .chip(ChipSeed::new(1, 0))
            .unwrap();
        let zero = mapped.deviation_bounds(0.05).unwrap().zero();
        near(
            &mapped
                .with_cells(&mapped.cells_of(0.05, &zero).unwrap())
                .unwrap(),
            &same,
        );
    }
}
