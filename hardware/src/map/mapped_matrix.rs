//! Planes of target conductances, and what weights they stand for.

use super::WeightMatrix;
use crate::{ConductanceRange, HardwareError};

/// Which side of a pair a plane is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// Its current is added.
    Positive,
    /// Its current is subtracted.
    Negative,
}

/// Cells of one slice and polarity.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// µS, `[lines, inputs]`: a line per output, and those of unit columns where there are any.
    pub targets: Vec<f32>,
    /// Index into [`MappedMatrix::slices`].
    pub slice: usize,
    /// Which side of a pair.
    pub polarity: Polarity,
}

/// The factor of one slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// Weight of the full conductance range, in units of the scale.
    pub factor: f32,
    /// Steps between `g_min` and `g_max`; `None` where cells take any conductance.
    pub steps: Option<u32>,
}

/// How single cells represent signs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reference {
    /// Nothing: pairs are signed.
    None,
    /// This many units of the scale are subtracted digitally.
    Digital(f32),
    /// The result of a line is subtracted from those of the `outputs` lines after it, or of all that are left.
    UnitColumn {
        /// Outputs of one unit column: see [`MappedMatrix::on_columns`].
        outputs: usize,
    },
}

/// A weight matrix as target conductances.
///
/// ```text
/// w[o, i] = scales[o] (corrections[o] Σ_s factor_s v_s[o, i] - reference)
/// ```
///
/// with `v_s = (g_pos - g_neg) / (g_max - g_min)` for pairs and `(g - g_min) / (g_max - g_min)` for single cells.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedMatrix {
    /// Outputs of the weight matrix.
    pub outputs: usize,
    /// Inputs of the weight matrix.
    pub inputs: usize,
    /// Slice by slice, the positive plane before the negative one.
    pub planes: Vec<Plane>,
    /// The factors of the slices.
    pub slices: Vec<Slice>,
    /// How single cells represent signs.
    pub reference: Reference,
    /// Weight of one unit, per output.
    pub scales: Vec<f32>,
    /// Factor of the sum of cells before the reference is subtracted, per output. It is 1, unless drift is compensated and
    /// the reference has not drifted.
    pub corrections: Vec<f32>,
    /// The range of the cells.
    pub range: ConductanceRange,
}

impl MappedMatrix {
    /// Output lines: one per output, and the unit columns.
    pub fn lines(&self) -> usize {
        let units = self
            .lines_of_unit()
            .map_or(0, |lines| self.outputs.div_ceil(lines - 1));
        self.outputs + units
    }

    /// Lines from one unit column to the next, itself included; `None` where there are none.
    pub(crate) fn lines_of_unit(&self) -> Option<usize> {
        match self.reference {
            Reference::UnitColumn { outputs } => Some(outputs.max(1) + 1),
            Reference::None | Reference::Digital(_) => None,
        }
    }

    /// The same weights on arrays of `columns` lines: every array has a unit column of its own, where the scheme has one.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a unit column on arrays of one column.
    pub fn on_columns(mut self, columns: usize) -> Result<Self, HardwareError> {
        let Reference::UnitColumn { outputs: before } = self.reference else {
            return Ok(self);
        };
        if columns < 2 {
            return Err(HardwareError::limit(
                "columns of an array with a unit column",
                columns,
                "the numbers from 2 on",
                "use wider arrays, or scheme = digital-offset",
            ));
        }
        let outputs = (columns - 1).min(self.outputs);
        if outputs == before {
            return Ok(self);
        }
        let inputs = self.inputs;
        for plane in &mut self.planes {
            let (unit, _) = plane.targets.split_at(inputs);
            let lines = plane.targets.chunks_exact(inputs).enumerate();
            let rows: Vec<&[f32]> = lines
                .filter(|(line, _)| !line.is_multiple_of(before + 1))
                .map(|(_, row)| row)
                .collect();
            let array = |rows: &[&[f32]]| [unit, &rows.concat()].concat();
            plane.targets = rows.chunks(outputs).flat_map(array).collect();
        }
        self.reference = Reference::UnitColumn { outputs };
        Ok(self)
    }

    /// The same weights where what the converters deliver is multiplied by `factors`, one per output. A digital offset is
    /// no current and stays as it is.
    pub(crate) fn corrected(mut self, factors: &[f32]) -> Self {
        let corrected = match self.reference {
            Reference::Digital(_) => &mut self.corrections,
            Reference::None | Reference::UnitColumn { .. } => &mut self.scales,
        };
        for (value, factor) in corrected.iter_mut().zip(factors) {
            *value *= factor;
        }
        self
    }

    /// The targets of every plane: the conductances of ideal cells.
    pub fn targets(&self) -> Vec<Vec<f32>> {
        let targets = |plane: &Plane| plane.targets.clone();
        self.planes.iter().map(targets).collect()
    }

    /// The weights that `conductances` (µS, one vector per plane) stand for: with those of programmed cells the weight
    /// fidelity of a chip, with [`MappedMatrix::targets`] the rounded weights.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of planes or cells.
    pub fn read_back(&self, conductances: &[Vec<f32>]) -> Result<WeightMatrix, HardwareError> {
        self.less(conductances, self.digital_offset())
    }

    /// The result of exact converters for each input alone, in units of the weights: like [`Self::read_back`], but only
    /// currents are subtracted.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of planes or cells.
    pub(crate) fn read_out(
        &self,
        conductances: &[Vec<f32>],
    ) -> Result<WeightMatrix, HardwareError> {
        self.less(conductances, 0.0)
    }

    /// The weights that `conductances` stand for with `offset` subtracted digitally.
    fn less(&self, conductances: &[Vec<f32>], offset: f32) -> Result<WeightMatrix, HardwareError> {
        self.check(conductances)?;
        let inputs = self.inputs;
        let mut values = vec![0.0f32; self.lines() * inputs];
        for (plane, conductances) in self.planes.iter().zip(conductances) {
            let gain = self.signed_gain(plane);
            for (value, g) in values.iter_mut().zip(conductances) {
                *value += gain * g;
            }
        }
        let none = vec![0.0; inputs];
        let mut unit = &none[..];
        let mut digital = self.scales.iter().zip(&self.corrections);
        let mut weights = Vec::with_capacity(self.outputs * inputs);
        for (line, row) in values.chunks_exact(inputs).enumerate() {
            if self
                .lines_of_unit()
                .is_some_and(|lines| line.is_multiple_of(lines))
            {
                unit = row;
                continue;
            }
            let Some((scale, correction)) = digital.next() else {
                break;
            };
            let pairs = row.iter().zip(unit);
            weights.extend(pairs.map(|(w, u)| scale * (correction * w - u - offset)));
        }
        Ok(WeightMatrix {
            outputs: self.outputs,
            inputs,
            values: weights,
        })
    }

    /// Units of the scale per µS of `plane`.
    pub(crate) fn signed_gain(&self, plane: &Plane) -> f32 {
        let gain = self.slices[plane.slice].factor / self.range.span();
        match plane.polarity {
            Polarity::Positive => gain,
            Polarity::Negative => -gain,
        }
    }

    /// The number that is subtracted digitally per unit of input, in units of the scale: the offset, and `g_min` of every
    /// slice.
    pub(crate) fn digital_offset(&self) -> f32 {
        let Reference::Digital(offset) = self.reference else {
            return 0.0;
        };
        let factors: f32 = self.slices.iter().map(|slice| slice.factor).sum();
        offset + factors * self.range.g_min / self.range.span()
    }

    /// # Errors
    /// [`HardwareError::Limit`] for another number of planes or cells, and for values that are not finite.
    pub(crate) fn check(&self, conductances: &[Vec<f32>]) -> Result<(), HardwareError> {
        let cells = self.lines() * self.inputs;
        let found = conductances.iter().find(|plane| plane.len() != cells);
        let (field, value, limit) = match found {
            None if conductances.len() == self.planes.len() => return finite(conductances),
            None => ("planes", conductances.len(), self.planes.len()),
            Some(plane) => ("cells of a plane", plane.len(), cells),
        };
        Err(HardwareError::limit(
            field,
            value,
            limit,
            "pass one vector per plane, as long as its targets",
        ))
    }
}

/// Refuses values of cells that are no numbers: a converter would read them as some code.
fn finite(conductances: &[Vec<f32>]) -> Result<(), HardwareError> {
    let cells = conductances.iter().flatten();
    match cells.copied().find(|cell| !cell.is_finite()) {
        None => Ok(()),
        Some(cell) => Err(HardwareError::limit(
            "a value of a cell",
            format!("{cell} uS"),
            "the finite numbers",
            "look at what the device gives for its targets",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Siemens;
    use crate::{Mapping, Scheme, WeightBits};
    use crossburn_noise::Granularity;
    use proptest::prelude::*;
    use rstest::rstest;

    fn range(g_min: f64) -> ConductanceRange {
        ConductanceRange::new(Siemens::new(g_min), Siemens::new(1e-4)).unwrap()
    }

    fn schemes() -> impl Strategy<Value = Scheme> {
        prop_oneof![
            Just(Scheme::OneSidedPair),
            Just(Scheme::TwoSidedPair),
            Just(Scheme::DigitalOffset),
            Just(Scheme::UnitColumn),
            prop::collection::vec(0.1f32..8.0, 1..4)
                .prop_map(|significances| Scheme::SignificancePairs { significances }),
        ]
    }

    #[test]
    fn cells_that_are_no_numbers_are_refused() {
        let weights = WeightMatrix::new(1, 2, vec![0.5, -1.0]).unwrap();
        let mapping = Mapping::new(crate::Scheme::OneSidedPair, WeightBits::new(8).unwrap());
        let mapped = mapping.map(&weights, range(1e-6)).unwrap();
        let mut cells = mapped.targets();
        assert_eq!(mapped.check(&cells), Ok(()));
        for (cell, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            cells[1][1] = cell;
            let found = mapped.check(&cells).unwrap_err().to_string();
            let start = format!("a value of a cell = {name} uS is outside the finite numbers");
            assert!(found.starts_with(&start), "{found}");
        }
    }

    proptest! {
        #[test]
        fn weights_come_back_within_half_a_step_from_targets_in_range(
            scheme in schemes(), bits in 2u8..=10, slice_bits in 0u8..=4, per_output: bool, leaky: bool,
            rows in 1usize..5, values in prop::collection::vec(-3.0f32..3.0, 20),
        ) {
            let inputs = values.len() / rows;
            let weights = WeightMatrix::new(rows, inputs, values[..rows * inputs].to_vec()).unwrap();
            let sliced = !matches!(scheme, Scheme::TwoSidedPair | Scheme::SignificancePairs { .. });
            let mut mapping = Mapping::new(scheme, WeightBits::new(bits).unwrap());
            mapping.slice_bits = Some(slice_bits).filter(|b| *b > 0 && sliced);
            if per_output {
                mapping.scale = Granularity::PerChannel;
            }
            let range = range(if leaky { 1e-5 } else { 0.0 });
            let mapped = mapping.map(&weights, range).unwrap();
            for target in mapped.planes.iter().flat_map(|p| &p.targets) {
                // One rounding above g_max: targets are g_min plus a part of the span.
                prop_assert!(*target >= range.g_min && *target <= range.g_max * (1.0 + f32::EPSILON));
            }
            let back = mapped.read_back(&mapped.targets()).unwrap();
            let all = weights.values.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            let level = mapping.weight_bits.max_level();
            for (o, (row, found)) in weights.values.chunks(inputs).zip(back.values.chunks(inputs)).enumerate() {
                let largest = match per_output {
                    true => row.iter().fold(0.0f32, |a, w| a.max(w.abs())),
                    false => all,
                };
                let step = largest / level;
                prop_assert!((mapped.scales[o] - step).abs() <= f32::EPSILON * step);
                for (w, f) in row.iter().zip(found) {
                    // Half a step, and roundings of 32 bits: sums of up to 10 slices, with the offset twice the weight.
                    prop_assert!((w - f).abs() <= 0.5 * step + 2e-6 * largest, "{w} {f} {step}");
                    prop_assert!((f / step - (f / step).round()).abs() <= 4e-6 * level, "{f} is no integer of {step}");
                }
            }
        }
    }

    #[test]
    fn all_mappings_hold_the_same_integers() {
        let values: Vec<f32> = (0..60)
            .map(|i| ((i * 37 % 61) as f32 - 30.0) / 17.0)
            .collect();
        let weights = WeightMatrix::new(5, 12, values).unwrap();
        let bits = WeightBits::new(6).unwrap();
        let integers = |mapping: Mapping| {
            let mapped = mapping.map(&weights, range(1e-6)).unwrap();
            let back = mapped.read_back(&mapped.targets()).unwrap();
            let integer = |w: &f32| (w / mapped.scales[0]).round() as i32;
            back.values.iter().map(integer).collect::<Vec<_>>()
        };
        let expected = integers(Mapping::new(Scheme::OneSidedPair, bits));
        assert_eq!(expected.iter().map(|w| w.abs()).max(), Some(31));
        for scheme in [
            Scheme::TwoSidedPair,
            Scheme::DigitalOffset,
            Scheme::UnitColumn,
        ] {
            assert_eq!(integers(Mapping::new(scheme, bits)), expected);
        }
        for scheme in [
            Scheme::OneSidedPair,
            Scheme::DigitalOffset,
            Scheme::UnitColumn,
        ] {
            for slice_bits in 1..=4 {
                let mapping = Mapping::new(scheme.clone(), bits).with_slice_bits(slice_bits);
                assert_eq!(integers(mapping), expected);
            }
        }
    }

    #[test]
    fn a_zero_matrix_reads_back_zero() {
        let weights = WeightMatrix::new(2, 2, vec![0.0; 4]).unwrap();
        let mapping = Mapping::new(Scheme::DigitalOffset, WeightBits::new(4).unwrap());
        let mapped = mapping.map(&weights, range(1e-6)).unwrap();
        assert_eq!(
            mapped.read_back(&mapped.targets()).unwrap().values,
            vec![0.0; 4]
        );
    }

    #[rstest]
    #[case(
        Scheme::TwoSidedPair,
        Some(2),
        None,
        "scheme = two-sided-pair with slices"
    )]
    #[case(
        Scheme::TwoSidedPair,
        None,
        Some(127),
        "cell_levels = 127 is outside 128.."
    )]
    #[case(
        Scheme::DigitalOffset,
        None,
        Some(128),
        "cell_levels = 128 is outside 256.."
    )]
    #[case(
        Scheme::SignificancePairs { significances: vec![1.0, -1.0] },
        None,
        None,
        "significances = [1.0, -1.0] is outside one or more positive numbers"
    )]
    #[case(
        Scheme::SignificancePairs { significances: vec![1.0] },
        Some(1),
        None,
        "scheme = significance-pairs with slice_bits"
    )]
    fn impossible_mappings_are_refused(
        #[case] scheme: Scheme,
        #[case] slice_bits: Option<u8>,
        #[case] cell_levels: Option<u32>,
        #[case] message: &str,
    ) {
        let weights = WeightMatrix::new(1, 1, vec![1.0]).unwrap();
        let mapping = Mapping {
            slice_bits,
            cell_levels,
            ..Mapping::new(scheme, WeightBits::new(8).unwrap())
        };
        let found = mapping.map(&weights, range(0.0)).unwrap_err().to_string();
        assert!(found.starts_with(message), "{found}");
    }

    #[test]
    fn other_conductances_are_refused() {
        let weights = WeightMatrix::new(1, 2, vec![1.0, 0.0]).unwrap();
        let mapping = Mapping::new(Scheme::OneSidedPair, WeightBits::new(8).unwrap());
        let mapped = mapping.map(&weights, range(0.0)).unwrap();
        assert!(mapped.read_back(&mapped.targets()[..1]).is_err());
        assert!(mapped.read_back(&[vec![1.0; 2], vec![1.0; 3]]).is_err());
    }

    #[test]
    fn a_mapping_is_read_and_written_the_same() {
        let text = "scheme = \"digital-offset\"\nweight_bits = 8\nslice_bits = 2\nscale = \"per-output\"\n";
        let mapping: Mapping = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&mapping).unwrap(), text);
        let text = "weight_bits = 8\nscheme = { significance-pairs = { significances = [1, 4] } }";
        assert!(toml::from_str::<Mapping>(text).is_ok());
        assert!(toml::from_str::<Mapping>("weight_bits = 8\nbits = 3").is_err());
    }
}
