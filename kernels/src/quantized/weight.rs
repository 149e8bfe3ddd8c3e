//! A weight of a module that stays in its bytes.

use std::collections::BTreeMap;

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::nn::Embedding;
use burn::tensor::{Int, Tensor, TensorData};

use super::QuantizedMatrix;
use super::tape::product_of_numbers;

/// What the rows of a stored matrix are in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredLines {
    /// The outputs of a linear layer, whose weight is `[inputs, outputs]`.
    Outputs,
    /// The rows of an embedding.
    Rows,
}

/// Makes a weight that of a [`QuantizedMatrix`]. [`linear`](crate::linear()), [`embedding`] and [`multiply_by_embedding`] multiply
/// with its bytes; to everything else the weight is what the bytes stand for, unpacked at each use. It has no gradient: what it
/// multiplies has.
#[derive(Module, Debug)]
pub struct QuantizedWeight {
    #[module(skip)]
    matrix: QuantizedMatrix,
    #[module(skip)]
    lines: StoredLines,
}

impl QuantizedWeight {
    /// `input · matrixᵀ + bias`. Where gradients are asked for, inputs are not rounded, however few rows there are.
    ///
    /// # Shapes
    /// `[..., inputs] → [..., outputs]`.
    ///
    /// # Panics
    /// Where the sizes do not fit.
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

/// `module` with the weights at the paths of `matrices` held as those matrices. What the parameters held before is let go, and a
/// parameter that was not used yet never takes memory.
///
/// # Panics
/// Where the shapes do not fit, and for a path at which the module has no weight.
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
        // One zero, seen as the whole shape.
        let base = Tensor::<D>::zeros([1; D], &param.lazy_device()).expand::<D, _>(expected);
        let id = param.id;
        let base = param.transform_for_load(base, id);
        (base, Some(QuantizedWeight { matrix, lines }))
    }
}

/// `layer.forward(indices)`, of which only the rows that are asked for are unpacked where the weight stays in its bytes.
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

/// `input · weightᵀ` with the weight of an embedding: the head of a language model that has no other.
///
/// # Shapes
/// `[..., width] → [..., rows of the embedding]`.
///
/// # Panics
/// Where the sizes do not fit.
pub fn multiply_by_embedding<const D: usize>(layer: &Embedding, input: Tensor<D>) -> Tensor<D> {
    match layer.weight.reparameterization::<QuantizedWeight>() {
        Some(weight) => weight.product(input, None),
        None => crate::multiply(input, layer.weight.val().transpose(), None),
    }
}
