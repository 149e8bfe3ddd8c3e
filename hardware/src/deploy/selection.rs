//! Which weights of a mapped network are verified when it is programmed.

use std::collections::BTreeMap;

use burn::module::Module;

use super::mapped_network::MappedWeight;
use super::network_weights::in_matrices;
use super::{Hardware, MappedNetwork};
use crate::HardwareError;
use crate::map::MappedMatrix;
use crate::program::{Programmed, SelectiveWriteVerify};

/// The weights of a mapped network that matter most: they are verified, the others are written once.
///
/// All weights of the network are ranked together. To second order the deviations `δw` of a chip raise the loss by
///
/// ```text
/// E[ΔL] = ½ Σ_w ∂²L/∂w² var(δw),    var(δw) = (σ s_w)² Σ_p f_p²
/// ```
///
/// since every cell deviates by the same part `σ` of its range, and the range of plane `p` stands for `f_p` units of the
/// weight's scale `s_w`. Verification lowers `σ` by the same amount for all cells, so the rank is that of
/// `∂²L/∂w² s_w² Σ_p f_p²`: a layer with large weights, whose range stands for more, is verified first among equal
/// curvatures. Equal ranks are ordered by `|w|`.
///
/// A cell of a unit column, which all weights of an input on its array share, is verified where one of them is.
///
/// # Source
/// Yan, Hu and Shi, "SWIM: selective write-verify for computing-in-memory neural accelerators", DAC 2022 (arXiv
/// 2202.08395): second derivative first, magnitude among equals. There `σ` is the same for all weights of the network, so
/// that the factor of the scale is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    programming: SelectiveWriteVerify,
    /// Per path and group, for the cells `[lines, inputs]` of every plane.
    cells: BTreeMap<String, Vec<Vec<bool>>>,
    verified: usize,
    weights: usize,
}

/// The effort of programming a chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Memory cells.
    pub cells: u64,
    /// Write pulses.
    pub pulses: u64,
    /// Reads that verify.
    pub reads: u64,
    /// Verified cells that are still outside the tolerance after the last pulse.
    pub failures: u64,
}

impl<M: Module + Sync> MappedNetwork<M> {
    /// The fraction `fraction` of the weights on arrays to which the loss is most sensitive.
    ///
    /// `sensitivities` has the diagonal second derivative of the loss by path of the weight, in Burn's layout; weights
    /// that stay digital are ignored.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a hardware without `[programming]`, [`HardwareError::Unknown`] for a weight without
    /// sensitivities, [`HardwareError::Limit`] for fractions outside 0..=1, for another number of sensitivities than
    /// weights, and for sensitivities that are not finite.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use burn::nn::LinearConfig;
    /// use burn::tensor::{Device, Tensor};
    /// use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
    /// use crossburn_hardware::layer::linear;
    /// use crossburn_noise::ChipSeed;
    ///
    /// let hardware = Hardware::from_toml(r#"
    ///     device = { kind = "ideal", g_min = "1 uS", g_max = "100 uS" }
    ///     mapping = { weight_bits = 8 }
    ///     array = { rows = 64, columns = 64, input = { bits = 8 } }
    ///     programming = { tolerance = 0.05, sigma_before = 0.1, maximum_pulses = 100 }
    /// "#)?;
    /// let network = LinearConfig::new(10, 4).init(&Device::flex());
    /// let mapped = MappedNetwork::new(&network, &hardware, 1, |network| {
    ///     linear(network, Tensor::<2>::ones([1, 10], &Device::flex()));
    /// })?;
    /// let sensitivities = BTreeMap::from([("weight".to_string(), vec![1.0; 40])]);
    /// let selection = mapped.selection(&sensitivities, 0.25)?;
    /// assert_eq!((selection.verified(), selection.weights()), (10, 40));
    /// let fab = mapped.selective_fab(Fidelity::Weight, &selection)?;
    /// // One pulse for each of the pair's cells at least, and a read after every pulse of a verified one.
    /// let writes = fab.writes(ChipSeed::new(7, 17))?;
    /// assert!(writes.pulses >= 80 && writes.reads >= 20);
    /// let chip = fab.chip(ChipSeed::new(7, 17))?;
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    pub fn selection(
        &self,
        sensitivities: &BTreeMap<String, Vec<f32>>,
        fraction: f64,
    ) -> Result<Selection, HardwareError> {
        Selection::new(self, sensitivities, fraction)
    }
}

impl Selection {
    fn new<M: Module + Sync>(
        network: &MappedNetwork<M>,
        sensitivities: &BTreeMap<String, Vec<f32>>,
        fraction: f64,
    ) -> Result<Self, HardwareError> {
        let programming = programming(network.hardware(), fraction)?;
        let stored = network.stored_matrices()?;
        let (mut ranks, mut magnitudes) = (Vec::new(), Vec::new());
        for (path, shape, matrices) in &stored {
            let values = checked(sensitivities, path, shape)?;
            let mapped = &network.weights[path].matrices;
            let values = in_matrices(values, shape, mapped.len())?;
            for ((sensitivities, mapped), weights) in values.iter().zip(mapped).zip(matrices) {
                let rows = sensitivities.values.chunks_exact(mapped.inputs);
                for (row, variance) in rows.zip(variances(mapped)) {
                    ranks.extend(row.iter().map(|s| f64::from(*s) * variance));
                }
                magnitudes.extend_from_slice(&weights.values);
            }
        }
        // Relative to the largest, so that nothing of weight is lost in 32 bits.
        let largest = ranks.iter().fold(0.0f64, |a, rank| a.max(rank.abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let ranks: Vec<f32> = ranks.iter().map(|rank| (rank / unit) as f32).collect();
        let selected = programming.select(&ranks, &magnitudes)?;
        let mut rest = &selected[..];
        let mut cells = BTreeMap::new();
        for (path, ..) in &stored {
            let mut of_groups = Vec::new();
            for mapped in &network.weights[path].matrices {
                let (own, others) = rest.split_at(mapped.outputs * mapped.inputs);
                rest = others;
                of_groups.push(cells_of(mapped, own));
            }
            cells.insert(path.clone(), of_groups);
        }
        Ok(Self {
            programming,
            cells,
            verified: selected.iter().filter(|selected| **selected).count(),
            weights: selected.len(),
        })
    }

    /// Weights that are verified.
    pub fn verified(&self) -> usize {
        self.verified
    }

    /// Weights on arrays.
    pub fn weights(&self) -> usize {
        self.weights
    }

    /// How they are programmed.
    pub fn programming(&self) -> &SelectiveWriteVerify {
        &self.programming
    }

    /// Which cells of every plane of a matrix are verified; nothing of a matrix that is not in it.
    pub(super) fn cells(&self, path: &str, group: usize) -> &[bool] {
        let groups = self.cells.get(path);
        groups
            .and_then(|groups| groups.get(group))
            .map_or(&[], |cells| cells)
    }

    /// Whether this is a selection of `weights`.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] where it is one of other weights.
    pub(super) fn check(
        &self,
        weights: &BTreeMap<String, MappedWeight>,
    ) -> Result<(), HardwareError> {
        let fits = |(path, weight): (&String, &MappedWeight)| {
            let mut matrices = weight.matrices.iter().enumerate();
            matrices.all(|(group, mapped)| {
                self.cells(path, group).len() == mapped.lines() * mapped.inputs
            })
        };
        if self.cells.len() == weights.len() && weights.iter().all(fits) {
            return Ok(());
        }
        Err(HardwareError::conflict(
            "a selection of other weights than those of this network",
            "use the selection that `selection` of this mapped network gives",
        ))
    }
}

impl Writes {
    /// Adds those of `other`.
    pub(crate) fn plus(&mut self, other: &Self) {
        self.cells += other.cells;
        self.pulses += other.pulses;
        self.reads += other.reads;
        self.failures += other.failures;
    }

    pub(super) fn add(&mut self, programmed: &Programmed) {
        self.cells += programmed.conductances.len() as u64;
        self.pulses += programmed.total_pulses();
        self.reads += programmed.reads;
        self.failures += programmed.failures.len() as u64;
    }
}

/// How `hardware` programs with the fraction verified.
fn programming(hardware: &Hardware, fraction: f64) -> Result<SelectiveWriteVerify, HardwareError> {
    let Some(verify) = hardware.config().programming else {
        return Err(HardwareError::conflict(
            "a selection of weights to verify, of a hardware without [programming]",
            "give [programming] with tolerance, sigma_before and maximum_pulses",
        ));
    };
    SelectiveWriteVerify::new(fraction, verify)
}

/// The sensitivities of the weight at `path`, finite and as many as its shape says.
fn checked<'a>(
    sensitivities: &'a BTreeMap<String, Vec<f32>>,
    path: &str,
    shape: &[usize],
) -> Result<&'a [f32], HardwareError> {
    let Some(values) = sensitivities.get(path) else {
        return Err(HardwareError::Unknown {
            kind: "sensitivity of the weight",
            name: path.to_string(),
            known: match sensitivities.is_empty() {
                true => "those of this network: there are none".to_string(),
                false => sensitivities.keys().cloned().collect::<Vec<_>>().join(", "),
            },
        });
    };
    let limit = |field: String, value: String, limit: String| {
        HardwareError::limit(
            field,
            value,
            limit,
            "compute the sensitivities of this network, on a loss that is finite",
        )
    };
    let expected: usize = shape.iter().product();
    if values.len() != expected {
        return Err(limit(
            format!("number of sensitivities of `{path}`"),
            values.len().to_string(),
            expected.to_string(),
        ));
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => Err(limit(
            format!("sensitivity {at} of `{path}`"),
            values[at].to_string(),
            "the finite numbers".to_string(),
        )),
    }
}

/// `s_o² Σ_p f_p²` of every output: variance of a weight whose cells deviate by their whole range.
fn variances(mapped: &MappedMatrix) -> impl Iterator<Item = f64> {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let planes = mapped.planes.iter();
    let factors: f64 = planes
        .map(|plane| square(mapped.slices[plane.slice].factor))
        .sum();
    mapped
        .scales
        .iter()
        .map(move |scale| square(*scale) * factors)
}

/// The cells `[lines, inputs]` of a plane from the weights `[outputs, inputs]`.
fn cells_of(mapped: &MappedMatrix, selected: &[bool]) -> Vec<bool> {
    let Some(lines) = mapped.lines_of_unit() else {
        return selected.to_vec();
    };
    let of_array = |selected: &[bool]| {
        let mut cells = vec![false; mapped.inputs];
        for row in selected.chunks_exact(mapped.inputs) {
            for (shared, selected) in cells.iter_mut().zip(row) {
                *shared |= selected;
            }
        }
        cells.extend_from_slice(selected);
        cells
    };
    let arrays = selected.chunks((lines - 1) * mapped.inputs);
    arrays.flat_map(of_array).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::deploy::{Fab, Fidelity};
    use crate::layer::{conv2d, linear};
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_noise::ChipSeed;
    use rstest::rstest;

    #[derive(Module, Debug)]
    struct Layers {
        conv: Conv2d,
        fc: Linear,
    }

    /// The second layer has weights half as large.
    fn layers() -> Layers {
        let device = Device::flex();
        let values = |count: usize, most: f32| -> Vec<f32> {
            let level = |i: usize| ((i * 37 + 5) % 41) as f32 / 20.0 - 1.0;
            (0..count).map(|i| most * level(i)).collect()
        };
        let mut layers = Layers {
            conv: Conv2dConfig::new([2, 4], [3, 3])
                .with_groups(2)
                .init(&device),
            fc: LinearConfig::new(16, 5).init(&device),
        };
        layers.conv.weight = layers
            .conv
            .weight
            .map(|_| Tensor::<1>::from_floats(&values(36, 1.0)[..], &device).reshape([4, 1, 3, 3]));
        layers.fc.weight = layers
            .fc
            .weight
            .map(|_| Tensor::<1>::from_floats(&values(80, 0.5)[..], &device).reshape([16, 5]));
        layers
    }

    const PROGRAMMING: &str =
        "programming = { tolerance = 0.02, sigma_before = 0.1, maximum_pulses = 50 }";

    fn mapped(mapping: &str, programming: &str) -> MappedNetwork<Layers> {
        let hardware = Hardware::from_toml(&format!(
            r#"
            device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
            mapping = {{ {mapping} }}
            array = {{ rows = 16, columns = 16, input = {{ bits = 8 }} }}
            {programming}
            "#
        ))
        .unwrap();
        MappedNetwork::new(&layers(), &hardware, 1, forward).unwrap()
    }

    fn forward(layers: &Layers) {
        let device = Device::flex();
        let x = conv2d(&layers.conv, Tensor::ones([1, 2, 4, 4], &device));
        linear(&layers.fc, x.reshape([1, 16]));
    }

    /// All the same but for one weight of each layer.
    fn sensitivities(conv: f32, fc: f32) -> BTreeMap<String, Vec<f32>> {
        let mut found = BTreeMap::from([
            ("conv.weight".to_string(), vec![1.0; 36]),
            ("fc.weight".to_string(), vec![1.0; 80]),
        ]);
        found.get_mut("conv.weight").unwrap()[20] = conv;
        // Input 3, output 2.
        found.get_mut("fc.weight").unwrap()[3 * 5 + 2] = fc;
        found
    }

    fn held(network: &Layers) -> [Vec<f32>; 2] {
        [
            network.conv.weight.val().into_data().try_to_vec().unwrap(),
            network.fc.weight.val().into_data().try_to_vec().unwrap(),
        ]
    }

    #[test]
    fn curvature_counts_with_the_square_of_the_scale() {
        let mapped = mapped("weight_bits = 8", PROGRAMMING);
        let one = 1.0 / 116.0;
        // The scale of the second layer is half of the first's: 3.9 times the curvature is not enough, 4.1 times is.
        for (fc, conv_first) in [(390.0, true), (410.0, false)] {
            let selection = mapped.selection(&sensitivities(100.0, fc), one).unwrap();
            assert_eq!((selection.verified(), selection.weights()), (1, 116));
            // Two groups of 18 weights; place 20 of 36 is place 2 of the second.
            assert_eq!(selection.cells("conv.weight", 1)[2], conv_first);
            assert_eq!(selection.cells("fc.weight", 0)[2 * 16 + 3], !conv_first);
        }
    }

    #[test]
    fn slices_of_another_layer_count_with_their_factors() {
        // Four slices of two bits hold 3, 12, 48 and 192 units at full conductance, the one of the other layer 127.
        let special = format!(
            "{PROGRAMMING}\n[[layer]]\npath = \"conv.weight\"\nmapping = {{ weight_bits = 8, slice_bits = 2 }}"
        );
        let mapped = mapped("weight_bits = 8", &special);
        // In units of the scale, per plane: the pair's are two of each.
        let per_unit = |path: &str| {
            let mapped = &mapped.weights[path].matrices[0];
            variances(mapped).next().unwrap() / f64::from(mapped.scales[0]).powi(2) / 2.0
        };
        assert_eq!(per_unit("fc.weight").round(), 16_129.0);
        assert_eq!(
            per_unit("conv.weight").round(),
            (9 + 144 + 2304 + 36_864) as f64
        );
    }

    #[rstest]
    #[case("weight_bits = 8")]
    #[case("weight_bits = 8, slice_bits = 2")]
    #[case("weight_bits = 8, scheme = \"unit-column\"")]
    fn everything_selected_is_the_verified_chip_and_nothing_is_the_unverified_one(
        #[case] mapping: &str,
        #[values(Fidelity::Weight, Fidelity::Array)] fidelity: Fidelity,
    ) {
        let mapped = mapped(mapping, PROGRAMMING);
        let seed = ChipSeed::new(3, 4);
        let select = |fraction| {
            mapped
                .selection(&sensitivities(5.0, 6.0), fraction)
                .unwrap()
        };
        let (all, some, none) = (select(1.0), select(0.3), select(0.0));
        let plain = mapped.fab(fidelity).unwrap();
        let fab = |selection| mapped.selective_fab(fidelity, selection).unwrap();
        let cells = |fab: &super::super::MappedFab<'_, Layers>| held(&fab.chip(seed).unwrap());
        assert_eq!(cells(&fab(&all)), cells(&plain));
        assert_eq!(fab(&all).writes(seed).unwrap(), plain.writes(seed).unwrap());
        let unverified = fab(&none).writes(seed).unwrap();
        assert_eq!((unverified.pulses, unverified.reads), (unverified.cells, 0));
        let between = fab(&some).writes(seed).unwrap();
        assert!(between.pulses > unverified.pulses);
        assert!(between.reads > 0 && between.reads < fab(&all).writes(seed).unwrap().reads);
        // A weight of no shared cell is that of the one chip or of the other.
        if !mapping.contains("unit-column") {
            let [verified, written, mixed] = [&all, &none, &some].map(|s| cells(&fab(s)));
            let mut changed = 0;
            for ((mixed, verified), written) in mixed
                .iter()
                .flatten()
                .zip(verified.iter().flatten())
                .zip(written.iter().flatten())
            {
                assert!(mixed == verified || mixed == written);
                changed += usize::from(mixed == verified && verified != written);
            }
            // All of them but those whose draw is the same, which is none.
            assert_eq!(changed, some.verified());
        }
    }

    #[test]
    fn what_cannot_be_selected_is_refused() {
        let message = |result: Result<Selection, HardwareError>| result.unwrap_err().to_string();
        let given = sensitivities(1.0, 1.0);
        let plain = mapped("weight_bits = 8", "");
        insta::assert_snapshot!(message(plain.selection(&given, 0.5)), @"a selection of weights to verify, of a hardware without [programming]: give [programming] with tolerance, sigma_before and maximum_pulses");
        let plain = plain.fab(Fidelity::Weight).unwrap();
        assert!(plain.writes(ChipSeed::new(1, 1)).is_err());
        let mapped_network = mapped("weight_bits = 8", PROGRAMMING);
        assert!(mapped_network.selection(&given, 1.5).is_err());
        let mut short = given.clone();
        short.get_mut("fc.weight").unwrap().pop();
        insta::assert_snapshot!(message(mapped_network.selection(&short, 0.5)), @"number of sensitivities of `fc.weight` = 79 is outside 80: compute the sensitivities of this network, on a loss that is finite");
        let mut unknown = given.clone();
        unknown.remove("conv.weight");
        insta::assert_snapshot!(message(mapped_network.selection(&unknown, 0.5)), @"there is no sensitivity of the weight `conv.weight`: use one of fc.weight");
        let infinite = sensitivities(f32::NAN, 1.0);
        insta::assert_snapshot!(message(mapped_network.selection(&infinite, 0.5)), @"sensitivity 20 of `conv.weight` = NaN is outside the finite numbers: compute the sensitivities of this network, on a loss that is finite");
        let other = mapped("weight_bits = 8, scheme = \"unit-column\"", PROGRAMMING);
        let selection = other.selection(&given, 0.5).unwrap();
        let refused = mapped_network
            .selective_fab(Fidelity::Weight, &selection)
            .unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("a selection of other weights")
        );
    }
}
