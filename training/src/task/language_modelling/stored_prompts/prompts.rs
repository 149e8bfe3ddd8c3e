//! Prompts on the host.

use burn::tensor::{Device, Tensor, TensorData};

/// Prompts: embeddings of virtual tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompts {
    values: Vec<f32>,
    shape: [usize; 3],
}

impl Prompts {
    /// `values` of the shape `[prompts, tokens, width]`, row by row.
    ///
    /// # Panics
    /// Where there are more or fewer values.
    pub fn new(values: Vec<f32>, shape: [usize; 3]) -> Self {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "values of prompts"
        );
        Self { values, shape }
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// `[prompts, tokens, width]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of prompts.
    pub fn count(&self) -> usize {
        self.shape[0]
    }

    /// These prompts, then those of `others`.
    ///
    /// # Panics
    /// Where their tokens or widths differ.
    pub fn with(mut self, others: &Self) -> Self {
        assert_eq!(
            self.shape[1..],
            others.shape[1..],
            "tokens and width of prompts"
        );
        self.values.extend(&others.values);
        self.shape[0] += others.shape[0];
        self
    }

    /// The prompts on a device.
    ///
    /// # Shapes
    /// `[prompts, tokens, width]`.
    pub fn tensor(&self, device: &Device) -> Tensor<3> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), device)
    }
}
