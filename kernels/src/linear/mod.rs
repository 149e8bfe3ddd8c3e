//! Linear layers: products of matrices in pieces of rows, on all cores, without copies of transposed operands.
//!
//! A layer of n inputs and m outputs does 2 n m operations per row for 4 (n + m) bytes, and reads the weights once. From a few dozen rows on it is
//! bound by arithmetic. Burn runs products below 192³ multiply-adds on one thread, and adds the bias in a separate pass; here the output starts as
//! the bias, and the product is added. Up to some dozens of rows, a large layer is bound by memory. If each output's weights are contiguous, each
//! thread then reads its own part of the weight.

mod autodiff;
mod backend;
mod product;

use burn::backend::Dispatch;
use burn::nn::Linear;
use burn::tensor::Tensor;

use backend::LinearKernel;

use crate::QuantizedWeight;

/// The result of `layer.forward(input)`. A [`QuantizedWeight`] multiplies with its bytes.
///
/// # Shapes
/// `[..., inputs] → [..., outputs]`.
///
/// # Panics
/// If the last axis of `input` does not have as many values as the layer has inputs.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let layer = LinearConfig::new(4, 2).init(&device);
/// let output = crossburn_kernels::linear(&layer, Tensor::<3>::ones([3, 5, 4], &device));
/// assert_eq!(output.dims(), [3, 5, 2]);
/// ```
pub fn linear<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    match layer.weight.reparameterization::<QuantizedWeight>() {
        Some(weight) => weight.product(input, bias),
        None => multiply(input, layer.weight.val(), bias),
    }
}

/// `input · weight + bias`.
///
/// # Shapes
/// input `[..., inputs]`, weight `[inputs, outputs]`, bias `[outputs]`.
///
/// # Panics
/// If the sizes do not fit.
pub fn multiply<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut shape = input.dims();
    let [inputs, outputs] = weight.dims();
    assert!(
        D > 0 && shape[D - 1] == inputs,
        "linear: input {shape:?} does not fit weight [{inputs}, {outputs}]"
    );
    let rows = shape[..D - 1].iter().product::<usize>();
    let input = input.reshape([rows, inputs]).into_dispatch();
    let weight = weight.into_dispatch();
    let output = Tensor::<2>::from_dispatch(match bias {
        Some(bias) => {
            let [length] = bias.dims();
            assert!(
                length == outputs,
                "linear: bias [{length}] does not fit weight [{inputs}, {outputs}]"
            );
            Dispatch::product_with_bias(input, weight, bias.into_dispatch())
        }
        None => Dispatch::product(input, weight),
    });
    shape[D - 1] = outputs;
    output.reshape(shape)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::testing::{agree, numbers, pool};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    /// Output and gradients of input, weight and bias of `apply`, for the loss Σ output².
    fn run(
        [rows, inputs, outputs]: [usize; 3],
        with_bias: bool,
        apply: impl Fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>) -> Tensor<2>,
    ) -> Vec<Vec<f32>> {
        let device = Device::flex().autodiff();
        let leaf = |seed, rows: usize, columns: usize| {
            let data = TensorData::new(numbers(seed, rows * columns), [rows, columns]);
            Tensor::<2>::from_data(data, &device).require_grad()
        };
        let (input, weight) = (leaf(1, rows, inputs), leaf(2, inputs, outputs));
        let bias = with_bias.then(|| {
            let data = TensorData::new(numbers(3, outputs), [outputs]);
            Tensor::<1>::from_data(data, &device).require_grad()
        });
        let output = apply(input.clone(), weight.clone(), bias.clone());
        let gradients = (output.clone() * output.clone()).sum().backward();
        let mut found = vec![
            output.inner().into_data(),
            input.grad(&gradients).unwrap().into_data(),
            weight.grad(&gradients).unwrap().into_data(),
        ];
        found.extend(bias.map(|bias| bias.grad(&gradients).unwrap().into_data()));
        found
            .into_iter()
            .map(|data| data.try_to_vec().unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn a_layer_and_its_gradients_are_sums(
            [rows, inputs, outputs] in [1usize..150, 1usize..40, 1usize..40],
            with_bias: bool,
        ) {
            let found = run([rows, inputs, outputs], with_bias, multiply);
            let (x, w, b) = (numbers(1, rows * inputs), numbers(2, inputs * outputs), numbers(3, outputs));
            let mut output = vec![0.0; rows * outputs];
            for r in 0..rows {
                for o in 0..outputs {
                    output[r * outputs + o] = if with_bias { f64::from(b[o]) } else { 0.0 };
                    for i in 0..inputs {
                        output[r * outputs + o] += f64::from(x[r * inputs + i]) * f64::from(w[i * outputs + o]);
                    }
                }
            }
            let mut gradients = [vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; outputs]];
            for r in 0..rows {
                for o in 0..outputs {
                    let gradient = 2.0 * output[r * outputs + o];
                    gradients[2][o] += gradient;
                    for i in 0..inputs {
                        gradients[0][r * inputs + i] += gradient * f64::from(w[i * outputs + o]);
                        gradients[1][i * outputs + o] += gradient * f64::from(x[r * inputs + i]);
                    }
                }
            }
            agree(&found[0], &output, 1e-5);
            for (found, expected) in found[1..].iter().zip(&gradients) {
                agree(found, expected, 1e-4);
            }
        }
    }

    /// Sizes just below and above the one from which on outputs are cut, and a weight that is a transposed view.
    #[test]
    fn a_few_rows_and_a_transposed_weight_are_the_same_product() {
        let device = Device::flex();
        for [rows, inputs, outputs] in [
            [1, 300, 301],
            [1, 7, 10_001],
            [5, 257, 400],
            [16, 256, 256],
            [17, 256, 256],
            [70, 256, 256],
            [1, 3, 2],
        ] {
            let (x, w, b) = (
                numbers(1, rows * inputs),
                numbers(2, inputs * outputs),
                numbers(3, outputs),
            );
            let expected: Vec<f64> = (0..rows * outputs)
                .map(|at| {
                    let (r, o) = (at / outputs, at % outputs);
                    let terms = (0..inputs)
                        .map(|i| f64::from(x[r * inputs + i]) * f64::from(w[o * inputs + i]));
                    f64::from(b[o]) + terms.sum::<f64>()
                })
                .collect();
            let stored = Tensor::<2>::from_data(TensorData::new(w, [outputs, inputs]), &device);
            let view = stored.transpose();
            let copy = view.clone() * 1.0;
            for weight in [view, copy] {
                let input =
                    Tensor::<2>::from_data(TensorData::new(x.clone(), [rows, inputs]), &device);
                let bias = Tensor::<1>::from_data(TensorData::new(b.clone(), [outputs]), &device);
                let found = multiply(input, weight, Some(bias))
                    .into_data()
                    .try_to_vec::<f32>()
                    .unwrap();
                agree(&found, &expected, 1e-5);
            }
        }
    }

    /// A batch of training, and the last and smaller batch of an epoch, must round like one product of all rows: weights that are contiguous by inputs
    /// are not cut by outputs. If they were, one row and three rows would round differently; 64 rows would not.
    #[test]
    fn a_batch_of_training_is_one_product() {
        for rows in [1, 3, 64] {
            let [inputs, outputs] = [400, 300];
            let (x, w) = (numbers(1, rows * inputs), numbers(2, inputs * outputs));
            let mut expected = vec![0.0; rows * outputs];
            crate::matrix::multiply(
                &mut expected,
                crate::matrix::Matrix::new(&x, rows, inputs),
                crate::matrix::Matrix::new(&w, inputs, outputs),
                false,
            );
            let device = Device::flex();
            let input = Tensor::<2>::from_data(TensorData::new(x, [rows, inputs]), &device);
            let weight = Tensor::<2>::from_data(TensorData::new(w, [inputs, outputs]), &device);
            let found = multiply(input, weight, None).into_data();
            assert_eq!(found.try_to_vec::<f32>().unwrap(), expected);
        }
    }

    #[test]
    fn a_transposed_weight_has_the_gradients_of_its_copy() {
        let turned = run([9, 33, 20], true, multiply);
        let view = run([9, 33, 20], true, |x, w, b| {
            // Transposed twice, with a copy between: the gradient passes through a view.
            multiply(x, (w.transpose() * 1.0).transpose(), b)
        });
        for (a, b) in turned.iter().zip(&view) {
            let b: Vec<f64> = b.iter().map(|value| f64::from(*value)).collect();
            agree(a, &b, 1e-5);
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        for sizes in [[300, 130, 70], [1, 256, 300], [3, 256, 300]] {
            let all = || run(sizes, true, multiply);
            assert!(pool(1).install(all) == pool(2).install(all));
        }
    }

    #[test]
    fn an_empty_batch_is_an_empty_result() {
        let device = Device::flex();
        let output = multiply(
            Tensor::<3>::zeros([0, 2, 3], &device),
            Tensor::ones([3, 4], &device),
            None,
        );
        assert_eq!(output.dims(), [0, 2, 4]);
    }

    #[test]
    #[should_panic(expected = "input [2, 5] does not fit weight [3, 4]")]
    fn sizes_that_do_not_fit_are_named() {
        let device = Device::flex();
        multiply(
            Tensor::<2>::ones([2, 5], &device),
            Tensor::ones([3, 4], &device),
            None,
        );
    }
}
