//! A weight as an array sees it: outputs by inputs.

use crate::HardwareError;

/// Weights of one matrix product, `[outputs, inputs]` row by row, finite.
///
/// A convolution is a product per output position: the inputs of its matrix are the channels of one group times the
/// taps, in the order of Burn's weight.
///
/// ```
/// use crossburn_hardware::WeightMatrix;
///
/// // Burn's linear layers hold `[inputs, outputs]`.
/// let matrix = WeightMatrix::from_linear(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2)?;
/// assert_eq!((matrix.outputs, matrix.inputs), (2, 3));
/// assert_eq!(matrix.values, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WeightMatrix {
    /// Rows: lines that a result is read from.
    pub outputs: usize,
    /// Columns: lines that an input is applied to.
    pub inputs: usize,
    /// `[outputs, inputs]`.
    pub values: Vec<f32>,
}

impl WeightMatrix {
    /// A checked matrix.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] without outputs or inputs, with another number of values, and with a value that is not
    /// finite.
    pub fn new(outputs: usize, inputs: usize, values: Vec<f32>) -> Result<Self, HardwareError> {
        let matrix = Self {
            outputs,
            inputs,
            values,
        };
        matrix.check()?;
        Ok(matrix)
    }

    /// The matrix of a linear layer in Burn's layout `[inputs, outputs]`.
    ///
    /// # Errors
    /// Those of [`WeightMatrix::new`].
    pub fn from_linear(
        weight: &[f32],
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, HardwareError> {
        let values = match weight.len() == inputs * outputs {
            true => (0..outputs)
                .flat_map(|o| weight.iter().skip(o).step_by(outputs.max(1)).copied())
                .collect(),
            false => weight.to_vec(),
        };
        Self::new(outputs, inputs, values)
    }

    /// One matrix per group of a convolution in Burn's layout `[outputs, inputs / groups, kernel..]`, of any dimension.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where `groups` does not divide the outputs, and those of [`WeightMatrix::new`].
    pub fn from_conv(
        weight: &[f32],
        shape: &[usize],
        groups: usize,
    ) -> Result<Vec<Self>, HardwareError> {
        let outputs = shape.first().copied().unwrap_or(0);
        let inputs: usize = shape.iter().skip(1).product();
        if groups == 0 || !outputs.is_multiple_of(groups) {
            return Err(HardwareError::limit(
                "groups",
                groups,
                format!("the divisors of {outputs} output channels"),
                "use the number of groups of the layer",
            ));
        }
        if outputs * inputs == 0 || weight.len() != outputs * inputs {
            return Self::new(outputs, inputs, weight.to_vec()).map(|matrix| vec![matrix]);
        }
        weight
            .chunks_exact(weight.len() / groups)
            .map(|group| Self::new(outputs / groups, inputs, group.to_vec()))
            .collect()
    }

    /// One matrix per group of a transposed convolution in Burn's layout `[inputs, outputs / groups, kernel..]`, of any
    /// dimension. Inputs of a matrix are ordered as those of a convolution: channels, and the taps of each.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where `groups` does not divide the inputs, and those of [`WeightMatrix::new`].
    pub fn from_transposed_conv(
        weight: &[f32],
        shape: &[usize],
        groups: usize,
    ) -> Result<Vec<Self>, HardwareError> {
        let [channels, outputs, kernel @ ..] = shape else {
            return Self::new(0, 0, weight.to_vec()).map(|matrix| vec![matrix]);
        };
        let taps: usize = kernel.iter().product();
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(HardwareError::limit(
                "groups",
                groups,
                format!("the divisors of {channels} input channels"),
                "use the number of groups of the layer",
            ));
        }
        let inputs = channels / groups * taps;
        if outputs * inputs == 0 || weight.len() != groups * outputs * inputs {
            return Self::new(groups * outputs, inputs, weight.to_vec()).map(|matrix| vec![matrix]);
        }
        weight
            .chunks_exact(outputs * inputs)
            .map(|group| {
                let of_output = |output: usize| {
                    let runs = group.chunks_exact(taps).skip(output).step_by(*outputs);
                    runs.flatten().copied()
                };
                Self::new(
                    *outputs,
                    inputs,
                    (0..*outputs).flat_map(of_output).collect(),
                )
            })
            .collect()
    }

    /// Largest magnitude of every row.
    pub(super) fn largest_per_output(&self) -> Vec<f32> {
        let largest = |row: &[f32]| row.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        self.values.chunks_exact(self.inputs).map(largest).collect()
    }

    /// # Errors
    /// Those of [`WeightMatrix::new`]: the fields are public.
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        let limit = |field: &str, value: String, limit: String, remedy: &str| {
            Err(HardwareError::limit(field, value, limit, remedy))
        };
        let (outputs, inputs) = (self.outputs, self.inputs);
        if outputs == 0 || inputs == 0 {
            let shape = format!("[{outputs}, {inputs}]");
            let remedy = "leave layers without weights digital";
            return limit("weight shape", shape, "[1.., 1..]".to_string(), remedy);
        }
        if self.values.len() != outputs * inputs {
            let count = self.values.len().to_string();
            let expected = format!("{outputs} outputs x {inputs} inputs");
            let remedy = "pass every weight once";
            return limit("number of weights", count, expected, remedy);
        }
        match self.values.iter().position(|w| !w.is_finite()) {
            None => Ok(()),
            Some(at) => limit(
                &format!("weight [{}, {}]", at / inputs, at % inputs),
                self.values[at].to_string(),
                "the finite numbers".to_string(),
                "train again with a smaller learning rate, or load another checkpoint",
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_grouped_convolution_is_a_matrix_per_group() {
        let weight: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let groups = WeightMatrix::from_conv(&weight, &[4, 3, 2], 2).unwrap();
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[1].outputs, groups[1].inputs), (2, 6));
        assert_eq!(groups[1].values, weight[12..]);
    }

    #[test]
    fn a_transposed_convolution_has_its_outputs_second() {
        // Four inputs, three outputs per group, two taps: the element at [i, o, t] is 100 i + 10 o + t.
        let index = |i: usize, o: usize, t: usize| (100 * i + 10 * o + t) as f32;
        let weight: Vec<f32> = (0..4)
            .flat_map(|i| (0..3).flat_map(move |o| (0..2).map(move |t| index(i, o, t))))
            .collect();
        let groups = WeightMatrix::from_transposed_conv(&weight, &[4, 3, 2], 2).unwrap();
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[1].outputs, groups[1].inputs), (3, 4));
        assert_eq!(groups[1].values[4..8], [210.0, 211.0, 310.0, 311.0]);
        for (shape, groups) in [([4, 3, 2], 3), ([4, 3, 2], 0), ([4, 3, 1], 2)] {
            assert!(WeightMatrix::from_transposed_conv(&weight, &shape, groups).is_err());
        }
    }

    #[rstest]
    #[case(0, 2, vec![], "weight shape = [0, 2] is outside [1.., 1..]")]
    #[case(1, 2, vec![1.0], "number of weights = 1 is outside 1 outputs x 2 inputs")]
    #[case(2, 2, vec![0.0, 1.0, f32::NAN, 0.0], "weight [1, 0] = NaN is outside the finite numbers")]
    #[case(1, 1, vec![f32::INFINITY], "weight [0, 0] = inf is outside the finite numbers")]
    fn what_no_array_holds_is_refused(
        #[case] outputs: usize,
        #[case] inputs: usize,
        #[case] values: Vec<f32>,
        #[case] message: &str,
    ) {
        let found = WeightMatrix::new(outputs, inputs, values)
            .unwrap_err()
            .to_string();
        assert!(found.starts_with(message), "{found}");
    }

    #[test]
    fn groups_divide_the_outputs() {
        for groups in [0, 3] {
            assert!(WeightMatrix::from_conv(&[0.0; 8], &[4, 2], groups).is_err());
        }
        assert!(WeightMatrix::from_conv(&[0.0; 7], &[4, 2], 2).is_err());
        assert!(WeightMatrix::from_linear(&[0.0; 7], 4, 2).is_err());
    }
}
