//! The resistive network of one array, and the matrix that it computes with.

use serde::{Deserialize, Serialize};

use super::Wires;
use super::blocks;
use crate::HardwareError;

/// Where the two cells of a differential pair lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairArrangement {
    /// Positive and negative cells in arrays of their own, whose results are subtracted.
    #[default]
    Separate,
    /// Both cells of a pair on the same place of the same output line; the input line of the negative cell is driven with
    /// the negated input, so that the pair's currents partly cancel before they meet the wire.
    Interleaved,
}

/// The resistive network of an array of `outputs` output lines and `inputs` input lines.
///
/// ```text
/// input line i     source x_i ─ R_in,term ─ R_in ─ a[0,i] ─ R_in ─ a[1,i] ─ … ─ a[O-1,i]   (open end)
/// cell             G[o,i] between a[o,i] and b[o,i]
/// output line o    (open end)   b[o,0] ─ R_out ─ b[o,1] ─ … ─ b[o,N-1] ─ R_out ─ R_out,term ─ virtual ground
/// ```
///
/// Cells are linear, so the currents into virtual ground are linear in the inputs: `I = G_eff x`. [`Self::effective`]
/// computes `G_eff` once per programmed array; every product is then an ordinary one. `G_eff[o,i]` falls with the distance
/// of the cell from source and ground.
///
/// # Source
/// The network is the common model of passive and 1T1R arrays; the order of lines is that of Xiao et al., "On the accuracy
/// of analog neural network inference accelerators", IEEE Circuits and Systems Magazine 2022, section VI.
///
/// ```
/// use crossburn_hardware::ir_drop::{WireNetwork, Wires};
/// use crossburn_hardware::units::Ohm;
///
/// // One cell of 10 kΩ behind two segments of 500 Ω: 1 / 11 kΩ.
/// let network = WireNetwork::new(1, 1, &Wires::uniform(Ohm::new(500.0))?)?;
/// let effective = network.effective(&[100.0])?;
/// assert!((effective[0] - 1000.0 / 11.0).abs() < 1e-5);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WireNetwork {
    outputs: usize,
    inputs: usize,
    arrangement: PairArrangement,
    /// MΩ, from the source (o = 0) and between the rows o-1 and o; as long as there are outputs.
    pub(super) input_segments: Vec<f64>,
    /// MΩ, between the columns i and i+1, and to ground (the last); as long as there are lines.
    pub(super) output_segments: Vec<f64>,
}

/// Megaohms: the inverse of the microsiemens that conductances come in.
const MEGA: f64 = 1e-6;

impl WireNetwork {
    /// An array with one cell per input and output. Pairs lie in two such arrays.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for an array without cells and for resistances that are negative or not finite.
    pub fn new(outputs: usize, inputs: usize, wires: &Wires) -> Result<Self, HardwareError> {
        Self::with_pairs(outputs, inputs, wires, PairArrangement::Separate)
    }

    /// The array or arrays of `outputs × inputs` differential pairs.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_pairs(
        outputs: usize,
        inputs: usize,
        wires: &Wires,
        arrangement: PairArrangement,
    ) -> Result<Self, HardwareError> {
        let wires = wires.check()?;
        for (field, count) in [("outputs", outputs), ("inputs", inputs)] {
            if count == 0 {
                return Err(HardwareError::limit(
                    field,
                    "0",
                    "the counts from 1 on",
                    "give the array at least one line of each kind",
                ));
            }
        }
        let (input, output) = (
            MEGA * wires.input_segment.get(),
            MEGA * wires.output_segment.get(),
        );
        let mut input_segments = vec![input; outputs];
        input_segments[0] += MEGA * wires.input_terminal.get();
        let mut output_segments = match arrangement {
            PairArrangement::Separate => vec![output; inputs],
            // No wire between the two cells of a pair.
            PairArrangement::Interleaved => [0.0, output].repeat(inputs),
        };
        if let Some(last) = output_segments.last_mut() {
            *last += MEGA * wires.output_terminal.get();
        }
        Ok(Self {
            outputs,
            inputs,
            arrangement,
            input_segments,
            output_segments,
        })
    }

    /// Output lines.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Inputs: values of the vector that the array multiplies.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Input lines: the inputs, or twice as many where pairs are interleaved.
    pub fn lines(&self) -> usize {
        self.output_segments.len()
    }

    /// Where the cells of pairs lie.
    pub fn arrangement(&self) -> PairArrangement {
        self.arrangement
    }

    /// The matrix that the array computes with, in µS.
    ///
    /// By the fastest of the algorithms that were measured (see the [module](crate::ir_drop)), in 64-bit floats, on the
    /// calling thread.
    ///
    /// # Shapes
    /// `conductances` in µS, `[outputs, lines]`; the result likewise. Interleaved pairs give two columns per input, the
    /// positive cell first, see [`Self::effective_pair`].
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of conductances, and for one that is negative or not finite.
    pub fn effective(&self, conductances: &[f32]) -> Result<Vec<f32>, HardwareError> {
        self.check_conductances(conductances)?;
        Ok(blocks::effective(self, conductances))
    }

    /// The signed matrix that an array of differential pairs computes with, in µS.
    ///
    /// # Shapes
    /// `positive`, `negative` and the result are `[outputs, inputs]`.
    ///
    /// # Errors
    /// As [`Self::effective`].
    ///
    /// ```
    /// use crossburn_hardware::ir_drop::{PairArrangement, WireNetwork, Wires};
    ///
    /// let network = WireNetwork::with_pairs(1, 2, &Wires::default(), PairArrangement::Interleaved)?;
    /// assert_eq!(network.effective_pair(&[10.0, 1.0], &[1.0, 30.0])?, [9.0, -29.0]);
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    pub fn effective_pair(
        &self,
        positive: &[f32],
        negative: &[f32],
    ) -> Result<Vec<f32>, HardwareError> {
        let cells = self.outputs * self.inputs;
        for (field, values) in [("positive", positive), ("negative", negative)] {
            check_length(field, values.len(), cells)?;
        }
        match self.arrangement {
            PairArrangement::Separate => {
                let positive = self.effective(positive)?;
                let negative = self.effective(negative)?;
                Ok(positive.iter().zip(&negative).map(|(p, n)| p - n).collect())
            }
            PairArrangement::Interleaved => {
                let effective = self.effective(&interleave(positive, negative))?;
                Ok(effective
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|[p, n]| p - n)
                    .collect())
            }
        }
    }

    /// Refuses what are no conductances of this array.
    pub(super) fn check_conductances(&self, conductances: &[f32]) -> Result<(), HardwareError> {
        check_length(
            "conductances",
            conductances.len(),
            self.outputs * self.lines(),
        )?;
        let wrong = conductances
            .iter()
            .position(|g| !(*g >= 0.0 && g.is_finite()));
        match wrong {
            None => Ok(()),
            Some(index) => Err(HardwareError::limit(
                format!("conductances[{index}]"),
                format!("{} uS", conductances[index]),
                "the finite conductances from 0 uS on",
                "clip programmed conductances at 0 uS",
            )),
        }
    }
}

/// The conductances of pairs in the order of interleaved lines: positive, negative, positive, negative, …
pub fn interleave(positive: &[f32], negative: &[f32]) -> Vec<f32> {
    positive
        .iter()
        .zip(negative)
        .flat_map(|(p, n)| [*p, *n])
        .collect()
}

/// Refuses a number of values that is not `expected`.
pub(super) fn check_length(
    field: &str,
    found: usize,
    expected: usize,
) -> Result<(), HardwareError> {
    if found == expected {
        return Ok(());
    }
    Err(HardwareError::limit(
        format!("number of {field}"),
        found,
        format!("{expected}..={expected}"),
        "give one value per cell or line of the array",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ir_drop::NodalSolver;
    use crate::units::Ohm;
    use crossburn_noise::Philox;
    use proptest::prelude::*;

    fn wires(input: f64, output: f64, input_terminal: f64, output_terminal: f64) -> Wires {
        Wires {
            input_segment: Ohm::new(input),
            output_segment: Ohm::new(output),
            input_terminal: Ohm::new(input_terminal),
            output_terminal: Ohm::new(output_terminal),
        }
    }

    /// Conductances from 0 to 100 µS, one in eight of them zero.
    fn cells(seed: u64, count: usize) -> Vec<f32> {
        let draws = Philox::new(seed, 5);
        let cell = |u: f64| (100.0 * (u - 0.125).max(0.0) / 0.875) as f32;
        (0..count).map(|i| cell(draws.uniform(i as u64))).collect()
    }

    #[test]
    fn one_cell_is_a_chain_of_resistors() {
        let network = WireNetwork::new(1, 1, &wires(100.0, 200.0, 300.0, 400.0)).unwrap();
        // 10 kΩ + 1 kΩ.
        let effective = network.effective(&[100.0]).unwrap();
        assert!((effective[0] - 1e6 / 11e3).abs() < 1e-5, "{effective:?}");
        let pairs = PairArrangement::Interleaved;
        let network =
            WireNetwork::with_pairs(1, 1, &wires(0.0, 1000.0, 0.0, 1000.0), pairs).unwrap();
        // Both cells of 10 kΩ and 5 kΩ at a node with 2 kΩ to ground: b = (g+ - g-) x / (g+ + g- + 500 µS).
        let effective = network.effective_pair(&[100.0], &[200.0]).unwrap();
        assert!(
            (effective[0] + 100.0 * 500.0 / 800.0).abs() < 1e-5,
            "{effective:?}"
        );
    }

    #[test]
    fn four_equal_cells_carry_the_currents_solved_by_hand() {
        // All segments R, all cells g, r = g R, both inputs 1. By symmetry about the diagonal the currents, in units of g,
        // are A (row 0, column 1: nearest to source and ground), B (on the diagonal) and C (row 1, column 0):
        //   A = 1 - r (2A + 2B)        drops: A + B on the input, A + B on the output line
        //   B = 1 - r (A + 3B + C)
        //   C = 1 - r (2B + 4C)
        let (g, resistance) = (100.0, 1000.0);
        let r = 1e-6 * g * resistance;
        let b = (1.0 - r / (1.0 + 2.0 * r) - r / (1.0 + 4.0 * r))
            / (1.0 + 3.0 * r - 2.0 * r * r / (1.0 + 2.0 * r) - 2.0 * r * r / (1.0 + 4.0 * r));
        let a = (1.0 - 2.0 * r * b) / (1.0 + 2.0 * r);
        let c = (1.0 - 2.0 * r * b) / (1.0 + 4.0 * r);
        let uniform = Wires::uniform(Ohm::new(resistance)).unwrap();
        let network = WireNetwork::new(2, 2, &uniform).unwrap();
        let effective = network.effective(&[g as f32; 4]).unwrap();
        let effective: Vec<f64> = effective.iter().map(|g| f64::from(*g)).collect();
        let lines = [effective[0] + effective[1], effective[2] + effective[3]];
        for (found, expected) in lines.into_iter().zip([g * (a + b), g * (b + c)]) {
            // Two roundings to f32 below 128.
            assert!((found - expected).abs() < 8e-6, "{found} {expected}");
        }
    }

    #[test]
    fn cells_on_a_resistive_output_line_divide_by_hand() {
        // Ideal input lines, so that output lines are alone. The far cell g0 sees h = g0 / (1 + g0 R); with the near cell
        // g1 at the same node, I = (h x0 + g1 x1) / (1 + (h + g1) (R + T)).
        let network = WireNetwork::new(2, 2, &wires(0.0, 500.0, 0.0, 1500.0)).unwrap();
        let conductances = [100.0, 40.0, 0.0, 90.0];
        let effective = network.effective(&conductances).unwrap();
        for (line, cells) in effective.chunks(2).zip(conductances.chunks(2)) {
            let [g0, g1] = [f64::from(cells[0]), f64::from(cells[1])];
            let h = g0 / (1.0 + 500e-6 * g0);
            let divisor = 1.0 + (h + g1) * 2000e-6;
            for (found, expected) in line.iter().zip([h / divisor, g1 / divisor]) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-5,
                    "{found} {expected}"
                );
            }
        }
    }

    #[test]
    fn wires_that_vanish_leave_the_conductances() {
        let (outputs, inputs) = (11, 14);
        let conductances = cells(1, outputs * inputs);
        let far = |resistance: f64| {
            let network = WireNetwork::new(
                outputs,
                inputs,
                &Wires::uniform(Ohm::new(resistance)).unwrap(),
            );
            let effective = network.unwrap().effective(&conductances).unwrap();
            let far = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
            effective
                .iter()
                .zip(&conductances)
                .map(far)
                .fold(0.0, f64::max)
        };
        assert_eq!(far(0.0), 0.0);
        // To first order the deviation is proportional to the resistance; the second order is 0.3 % here.
        let (one, two) = (far(0.5), far(1.0));
        assert!(one > 0.0 && (two / one - 2.0).abs() < 0.01, "{one} {two}");
    }

    #[test]
    fn what_is_no_array_is_refused() {
        let ideal = Wires::default();
        let message = WireNetwork::new(0, 1, &ideal).unwrap_err().to_string();
        assert!(message.starts_with("outputs = 0 is outside"), "{message}");
        let network = WireNetwork::new(1, 2, &ideal).unwrap();
        let message = network.effective(&[1.0]).unwrap_err().to_string();
        assert!(message.starts_with("number of conductances = 1 is outside 2..=2"));
        let message = network.effective(&[1.0, -2.0]).unwrap_err().to_string();
        assert_eq!(
            message,
            "conductances[1] = -2 uS is outside the finite conductances from 0 uS on: \
             clip programmed conductances at 0 uS"
        );
        assert!(network.effective(&[1.0, f32::NAN]).is_err());
        assert!(network.effective_pair(&[1.0, 1.0], &[1.0]).is_err());
        assert!(WireNetwork::new(1, 1, &wires(-1.0, 0.0, 0.0, 0.0)).is_err());
    }

    /// A resistance that is often zero and otherwise from 0.1 Ω to 10 kΩ.
    fn resistance() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.0),
            (-1.0f64..4.0).prop_map(|power| 10f64.powf(power))
        ]
    }

    proptest! {
        #[test]
        fn both_algorithms_agree(
            (outputs, inputs) in (1usize..20, 1usize..20),
            (input, output, source, ground) in (resistance(), resistance(), resistance(), resistance()),
            interleaved: bool,
            seed: u64,
        ) {
            let arrangement = match interleaved {
                true => PairArrangement::Interleaved,
                false => PairArrangement::Separate,
            };
            let wires = wires(input, output, source, ground);
            let network = WireNetwork::with_pairs(outputs, inputs, &wires, arrangement).unwrap();
            let conductances = cells(seed, outputs * network.lines());
            let blocks = network.effective(&conductances).unwrap();
            let nodal = NodalSolver::new(&network).unwrap().factor(&conductances).unwrap().effective();
            for (a, b) in blocks.iter().zip(&nodal) {
                // Each is rounded to 24 bits once; 1e-9 µS of 100 µS is what 64 bits lose in networks of this stiffness.
                prop_assert!((a - b).abs() <= 1.3e-7 * b.abs() + 1e-9, "{} {}", a, b);
            }
        }

        #[test]
        fn exchanging_the_lines_transposes_the_matrix(
            (outputs, inputs) in (1usize..12, 1usize..12),
            (input, output, source, ground) in (resistance(), resistance(), resistance(), resistance()),
            seed: u64,
        ) {
            // The cell nearest to source and ground stays the nearest, so both orders are reversed.
            let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                let places = (0..columns).flat_map(|o| (0..rows).map(move |i| (o, i)));
                places.map(|(o, i)| values[(rows - 1 - i) * columns + columns - 1 - o]).collect()
            };
            let conductances = cells(seed, outputs * inputs);
            let network = WireNetwork::new(outputs, inputs, &wires(input, output, source, ground)).unwrap();
            let other = WireNetwork::new(inputs, outputs, &wires(output, input, ground, source)).unwrap();
            let expected = turned(&network.effective(&conductances).unwrap(), outputs, inputs);
            let found = other.effective(&turned(&conductances, outputs, inputs)).unwrap();
            for (a, b) in found.iter().zip(&expected) {
                prop_assert!((a - b).abs() <= 1.3e-7 * b.abs() + 1e-9, "{} {}", a, b);
            }
        }

        #[test]
        fn more_wire_resistance_lets_less_current_through(
            (outputs, inputs) in (1usize..12, 1usize..12),
            resistances in prop::array::uniform4(resistance()),
            which in 0usize..4,
            more in 0.0f64..1000.0,
            seed: u64,
        ) {
            // By Rayleigh's law for the conductance between all sources, driven alike, and ground. Single entries may grow:
            // a cell of 0 µS gets current through its neighbours.
            let total = |[a, b, c, d]: [f64; 4]| {
                let network = WireNetwork::new(outputs, inputs, &wires(a, b, c, d)).unwrap();
                let effective = network.effective(&cells(seed, outputs * inputs)).unwrap();
                effective.iter().map(|g| f64::from(*g)).sum::<f64>()
            };
            let mut longer = resistances;
            longer[which] += more;
            let (before, after) = (total(resistances), total(longer));
            prop_assert!(after <= before * (1.0 + 1e-7), "{before} {after}");
        }
    }
}
