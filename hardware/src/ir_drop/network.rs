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
                return Err(HardwareError::Limit {
                    field: field.to_string(),
                    value: "0".to_string(),
                    limit: "the counts from 1 on".to_string(),
                    remedy: "give the array at least one line of each kind".to_string(),
                });
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
            Some(index) => Err(HardwareError::Limit {
                field: format!("conductances[{index}]"),
                value: format!("{} uS", conductances[index]),
                limit: "the finite conductances from 0 uS on".to_string(),
                remedy: "clip programmed conductances at 0 uS".to_string(),
            }),
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
    Err(HardwareError::Limit {
        field: format!("number of {field}"),
        value: found.to_string(),
        limit: format!("{expected}..={expected}"),
        remedy: "give one value per cell or line of the array".to_string(),
    })
}
