//! The weight of a module, kept in its stored bytes.

use std::collections::BTreeMap;

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::nn::Embedding;
use burn::tensor::{Int, Tensor, TensorData};

use super::QuantizedMatrix;
use super::tape::product_of_numbers;

/// The meaning of a stored matrix's rows in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredLines {
    /// The outputs of a linear layer, whose weight is `[inputs, outputs]`.
    Outputs,
    /// The rows of an embedding.
    Rows,
}

/// Makes a weight that of a [`QuantizedMatrix`]. [`linear`](crate::linear()), [`embedding`] and [`multiply_by_embedding`] multiply with its bytes.
/// All other code sees the unpacked weight, which is unpacked at each use. The weight has no gradient, but the input of a product has one.
#[derive(Module, Debug)]
pub struct QuantizedWeight {
    #[module(skip)]
    matrix: QuantizedMatrix,
    #[module(skip)]
    lines: StoredLines,
}

impl QuantizedWeight {
    /// `input · matrixᵀ + bias`. If gradients are needed, inputs are not rounded, even if there are few rows.
    ///
    /// # Shapes
    /// `[..., inputs] → [..., outputs]`.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub(crate) fn product<const D: usize>(
        &self,
        input: Tensor<D>,
        bias: Option<Tensor<1>>,
    ) -> Tensor<D> {
        let mut shape = input.dims();
        let [outputs, inputs] = self.matrix.dims();
        assert!(
            shape[D - 1] == inputs,
            "linear: input {shape:?} does not fit weight [{inputs}, {outputs}]"
        );
        shape[D - 1] = outputs;
        if input.device().is_autodiff() {
            let rows = shape[..D - 1].iter().product::<usize>();
            let product = product_of_numbers(input.reshape([rows, inputs]), &self.matrix);
            let product = match bias {
                Some(bias) => product + bias.unsqueeze::<2>(),
                None => product,
            };
            return product.reshape(shape);
        }
        let (device, dtype) = (input.device(), input.dtype());
        let floats =
            |data: TensorData| -> Vec<f32> { data.try_into_vec_as().expect("a tensor of floats") };
        let bias = bias.map(|bias| floats(bias.into_data()));
        let product = self
            .matrix
            .product(&floats(input.into_data()), bias.as_deref());
        Tensor::from_data(TensorData::new(product, shape), (&device, dtype))
    }
}

impl Reparameterization for QuantizedWeight {
    const NAME: &'static str = "quantized";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let [rows, columns] = self.matrix.dims();
        let data = TensorData::new(self.matrix.unpacked(0..rows), [rows, columns]);
        let stored = Tensor::<D>::from_data(data, (&base.device(), base.dtype()));
        match self.lines {
            StoredLines::Outputs => stored.swap_dims(0, 1),
            StoredLines::Rows => stored,
        }
    }
}

/// `module`, with each weight at a path of `matrices` kept as that matrix. The values of these parameters are released; a parameter that was never
/// used takes no memory.
///
/// # Panics
/// If shapes do not fit, or if the module has no weight at a path.
pub fn hold_quantized<M: Module>(
    module: M,
    mut matrices: BTreeMap<String, (QuantizedMatrix, StoredLines)>,
) -> M {
    let module = module.apply_reparameterization(Hold {
        matrices: &mut matrices,
    });
    let left: Vec<&String> = matrices.keys().collect();
    assert!(left.is_empty(), "the module has no weights {left:?}");
    module
}

struct Hold<'a> {
    matrices: &'a mut BTreeMap<String, (QuantizedMatrix, StoredLines)>,
}

impl Reparameterizer for Hold<'_> {
    type Reparam = QuantizedWeight;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<QuantizedWeight>) {
        let Some((matrix, lines)) = self.matrices.remove(path) else {
            return (param, None);
        };
        let [rows, columns] = matrix.dims();
        let shape = match lines {
            StoredLines::Outputs => [columns, rows],
            StoredLines::Rows => [rows, columns],
        };
        let expected = param.lazy_shape();
        assert_eq!(expected.as_slice(), shape, "the weight {path}");
        // One zero, expanded to the whole shape.
        let base = Tensor::<D>::zeros([1; D], &param.lazy_device()).expand::<D, _>(expected);
        let id = param.id;
        let base = param.transform_for_load(base, id);
        (base, Some(QuantizedWeight { matrix, lines }))
    }
}

/// `layer.forward(indices)`. If the weight stays in its bytes, only the requested rows are unpacked.
///
/// # Shapes
/// `[batch, places] → [batch, places, width]`.
///
/// # Panics
/// For an index outside the embedding.
pub fn embedding(layer: &Embedding, indices: Tensor<2, Int>) -> Tensor<3> {
    let Some(weight) = layer.weight.reparameterization::<QuantizedWeight>() else {
        return layer.forward(indices);
    };
    let [batch, places] = indices.dims();
    let [_, width] = weight.matrix.dims();
    let device = indices.device();
    let rows: Vec<i64> = indices
        .into_data()
        .try_into_vec_as()
        .expect("a tensor of integers");
    let values: Vec<f32> = rows
        .iter()
        .flat_map(|row| {
            let row = usize::try_from(*row).expect("an index is not negative");
            weight.matrix.unpacked(row..row + 1)
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [batch, places, width]), &device)
}

/// `input · weightᵀ` with the weight of an embedding: the output layer of a language model that has no separate one.
///
/// # Shapes
/// `[..., width] → [..., rows of the embedding]`.
///
/// # Panics
/// If the sizes do not fit.
pub fn multiply_by_embedding<const D: usize>(layer: &Embedding, input: Tensor<D>) -> Tensor<D> {
    match layer.weight.reparameterization::<QuantizedWeight>() {
        Some(weight) => weight.product(input, None),
        None => crate::multiply(input, layer.weight.val().transpose(), None),
    }
}
