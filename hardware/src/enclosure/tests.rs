use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_noise::worst_case::{DeviationBounds, Deviations, EntryBounds, deviate};
use crossburn_noise::{Philox, host_weights};
use proptest::prelude::*;

use super::*;
use crate::{ActivationQuantizer, WeightBits};

fn device() -> Device {
    Device::flex()
}

/// Values from -1 to 1, a fifth of them zero.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let draws = Philox::new(seed, 77);
    let value = |i: usize| match draws.below(2 * i as u64, 5) {
        0 => 0.0,
        _ => draws.below(2 * i as u64 + 1, 20_001) as f32 / 10_000.0 - 1.0,
    };
    (0..count).map(value).collect()
}

fn tensor<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let values = numbers(seed, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Layers of every kind, on signals of every sign.
#[derive(Module, Debug)]
struct Net {
    /// Rectified after it.
    conv: Conv2d,
    /// Sixteen channels of 3 × 3 taps: by minimal filtering.
    filtered: Conv2d,
    norm: BatchNorm,
    /// On signals of both signs, in two groups.
    grouped: Conv2d,
    line: Conv1d,
    quantizer: ActivationQuantizer,
    pool: MaxPool2d,
    hidden: Linear,
    last: Linear,
}

/// For images of 6 × 5 pixels, which pooling makes lines of six.
fn net(seed: u64) -> Net {
    let device = device();
    let conv = |from, to, groups| {
        Conv2dConfig::new([from, to], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_groups(groups)
            .init(&device)
    };
    let mut net = Net {
        conv: conv(2, 16, 1),
        filtered: conv(16, 16, 1),
        norm: BatchNormConfig::new(16).init(&device),
        grouped: conv(16, 4, 2),
        line: Conv1dConfig::new(4, 3, 3).init(&device),
        quantizer: ActivationQuantizer::new(WeightBits::new(4).unwrap(), &device),
        pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        hidden: LinearConfig::new(3 * 4, 6).init(&device),
        last: LinearConfig::new(6 + 16, 3).init(&device),
    };
    // Factors of both signs.
    net.norm.gamma = Param::from_tensor(tensor(seed + 1, [16]));
    net.norm.running_mean.update(tensor(seed + 2, [16]) * 0.1);
    net.norm.running_mean.value_sync();
    net.map(&mut Draw { seed, next: 0 })
}

/// Gives every weight of rank two and more values of its own.
struct Draw {
    seed: u64,
    next: u64,
}

impl burn::module::ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.next += 1;
        let seed = 1000 * self.seed + self.next;
        match D {
            0 | 1 => param,
            _ => param.map(|weight| {
                let inputs = weight.shape().num_elements() as f32 / weight.dims()[0] as f32;
                tensor(seed, weight.dims()) * (2.0 / inputs.sqrt())
            }),
        }
    }
}

impl Net {
    fn compute<A: Reshape>(&self, images: A::Signal<4>) -> A::Signal<2> {
        let x = A::conv2d_relu(&self.conv, images);
        let y = A::batch_norm(&self.norm, A::conv2d(&self.filtered, x.clone()));
        let x = A::add(y, x);
        let pooled = A::mean_over_pixels(x.clone());
        let x = A::max_pool2d(&self.pool, A::conv2d(&self.grouped, x));
        let x = A::quantize(&self.quantizer, A::conv1d(&self.line, A::to_lines(x)));
        let x = A::relu(A::linear(&self.hidden, A::to_rows(x)));
        A::linear(&self.last, A::side_by_side(x, pooled))
    }
}

/// Changes of shape that only these tests need.
trait Reshape: Arithmetic {
    fn to_lines(x: Self::Signal<4>) -> Self::Signal<3>;
    fn to_rows(x: Self::Signal<3>) -> Self::Signal<2>;
    fn side_by_side(left: Self::Signal<2>, right: Self::Signal<2>) -> Self::Signal<2>;
}

impl Reshape for Tensors {
    fn to_lines(x: Tensor<4>) -> Tensor<3> {
        x.flatten(2, 3)
    }

    fn to_rows(x: Tensor<3>) -> Tensor<2> {
        x.flatten(1, 2)
    }

    fn side_by_side(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
        Tensor::cat(vec![left, right], 1)
    }
}

impl Reshape for Intervals {
    fn to_lines(x: Interval<4>) -> Interval<3> {
        Interval::between(Tensors::to_lines(x.low), Tensors::to_lines(x.high))
    }

    fn to_rows(x: Interval<3>) -> Interval<2> {
        Interval {
            nonnegative: x.nonnegative,
            ..Interval::between(Tensors::to_rows(x.low), Tensors::to_rows(x.high))
        }
    }

    fn side_by_side(left: Interval<2>, right: Interval<2>) -> Interval<2> {
        Interval::between(
            Tensors::side_by_side(left.low, right.low),
            Tensors::side_by_side(left.high, right.high),
        )
    }
}

/// Boxes of a few widths for each weight, some without width, not centred.
fn boxes<M: Module>(network: &M, bound: f32, seed: u64, same: bool) -> DeviationBounds {
    let weights = host_weights(network).into_iter().enumerate();
    let of_weight = |(index, (path, weight)): (usize, (String, crossburn_noise::HostWeight))| {
        let count = weight.values.len();
        let width = bound * weight.largest();
        let ends = |more: u64| -> Vec<f32> {
            let draws = numbers(seed + 31 * index as u64 + more, count);
            draws.into_iter().map(|v| width * v.abs()).collect()
        };
        let (low, high) = match same {
            true => (vec![width; count], vec![width; count]),
            false => (ends(7), ends(8)),
        };
        let low = low.into_iter().map(|v| -v).collect();
        (path, EntryBounds { low, high })
    };
    DeviationBounds::from_boxes(weights.map(of_weight).collect()).unwrap()
}

/// A corner of the boxes, or a point between.
fn draw(bounds: &DeviationBounds, seed: u64, corner: bool) -> Deviations {
    let draws = Philox::new(seed, 3);
    let mut index = 0;
    let weights = bounds.weights().iter();
    let of_weight = |(path, entries): (&String, &EntryBounds)| {
        let ends = entries.low.iter().zip(&entries.high);
        let deviation = ends.map(|(low, high)| {
            index += 1;
            let share = match corner {
                true => draws.below(index, 2) as f32,
                false => draws.below(index, 1001) as f32 / 1000.0,
            };
            (low + share * (high - low)).clamp(*low, *high)
        });
        (path.clone(), deviation.collect())
    };
    weights.map(of_weight).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_chip_leaves_its_enclosure(seed in 0u64..1000, bound in 0.0f32..0.1, same: bool) {
        let network = net(seed);
        let bounds = boxes(&network, bound, seed, same);
        let images = tensor::<4>(seed + 5, [3, 2, 6, 5]) * 3.0;
        let enclosed = enclose_weights(&network, &bounds).unwrap();
        let logits = enclosed.compute::<Intervals>(Interval::point(images.clone()));
        let (low, high) = (values(logits.low()), values(logits.high()));
        prop_assert!(low.iter().zip(&high).all(|(low, high)| low <= high));
        let labels: Vec<u16> = (0..3).map(|i| ((seed + i) % 3) as u16).collect();
        let margins = logits.margins(&labels);
        for chip in 0..12 {
            let deviations = draw(&bounds, seed + 100 * chip, chip % 2 == 0);
            prop_assert!(bounds.contain(&deviations));
            let chip = deviate(network.clone(), &deviations).unwrap();
            let found = values(chip.compute::<Tensors>(images.clone()));
            for ((low, high), found) in low.iter().zip(&high).zip(&found) {
                prop_assert!(low <= found && found <= high, "{low} {found} {high}");
            }
            for (row, (label, margin)) in labels.iter().zip(&margins).enumerate() {
                let logits = &found[3 * row..3 * row + 3];
                for class in (0..3).filter(|class| class != &usize::from(*label)) {
                    let lead = f64::from(logits[usize::from(*label)]) - f64::from(logits[class]);
                    prop_assert!(lead >= *margin, "{lead} {margin}");
                }
            }
        }
    }

    #[test]
    fn a_product_encloses_no_more_than_it_must(
        seed in 0u64..1000,
        bound in 0.001f32..0.3,
        same: bool,
    ) {
        let [inputs, outputs] = [20, 4];
        let mut layer: Linear = LinearConfig::new(inputs, outputs).init(&device());
        layer.weight = Param::from_tensor(tensor(seed, [inputs, outputs]));
        let bounds = boxes(&layer, bound, seed, same);
        let enclosed = enclose_weights(&layer, &bounds).unwrap();
        let low = tensor::<2>(seed + 1, [5, inputs]).abs();
        let high = low.clone() + tensor::<2>(seed + 2, [5, inputs]).abs();
        let x = Interval {
            nonnegative: true,
            ..Interval::between(low.clone(), high.clone())
        };
        let product = Intervals::linear(&enclosed, x);
        let weight = values(layer.weight.val());
        let bias = values(layer.bias.as_ref().unwrap().val());
        let entries = &bounds.weights()["weight"];
        let (low, high) = (values(low), values(high));
        let ends = [values(product.low()), values(product.high())];
        for row in 0..5 {
            for (output, bias) in bias.iter().enumerate() {
                let (mut least, mut most, mut size) = (f64::from(*bias), f64::from(*bias), 0.0);
                for input in 0..inputs {
                    let at = input * outputs + output;
                    let w = [weight[at] + entries.low[at], weight[at] + entries.high[at]];
                    let x = [low[row * inputs + input], high[row * inputs + input]];
                    let products = w.iter().flat_map(|w| x.map(|x| f64::from(*w) * f64::from(x)));
                    let products: Vec<f64> = products.collect();
                    least += products.iter().fold(f64::INFINITY, |a, b| a.min(*b));
                    most += products.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
                    size += products.iter().fold(0.0f64, |a, b| a.max(b.abs()));
                }
                let at = row * outputs + output;
                // Outward rounding: 2γ for 30 roundings, and radii that count as one differ by 2⁻¹⁴ of themselves.
                let slack = (size + 1.0) * 1e-5 + size * f64::from(bound) / 8000.0;
                let (found_low, found_high) = (f64::from(ends[0][at]), f64::from(ends[1][at]));
                prop_assert!(found_low <= least && found_low >= least - slack, "{found_low} {least} {slack}");
                prop_assert!(found_high >= most && found_high <= most + slack, "{found_high} {most} {slack}");
            }
        }
    }
}

#[test]
fn the_margin_of_a_linear_layer_is_the_analytic_one() {
    let [inputs, classes] = [30, 4];
    let mut layer: Linear = LinearConfig::new(inputs, classes).init(&device());
    layer.weight = Param::from_tensor(tensor(3, [inputs, classes]));
    let bounds = boxes(&layer, 0.05, 4, true);
    let bound = f64::from(bounds.weights()["weight"].high[0]);
    let images = tensor::<2>(8, [6, inputs]);
    let logits = values(layer.forward(images.clone()));
    let enclosed = enclose_weights(&layer, &bounds).unwrap();
    let labels = [0, 1, 2, 3, 0, 1];
    let margins = Intervals::linear(&enclosed, Interval::point(images.clone())).margins(&labels);
    for (row, x) in values(images).chunks(inputs).enumerate() {
        let label = usize::from(labels[row]);
        let logits = &logits[classes * row..][..classes];
        let others = (0..classes).filter(|class| *class != label);
        let lead = others.map(|class| f64::from(logits[label] - logits[class]));
        let lead = lead.fold(f64::INFINITY, f64::min);
        // Both columns move against each other, each input by its own magnitude.
        let size: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
        let exact = lead - 2.0 * bound * size;
        // 31 roundings of sums below 30, and ends of boxes that are rounded.
        assert!(
            margins[row] <= exact + 1e-5 && margins[row] >= exact - 4e-4,
            "{} {exact}",
            margins[row]
        );
    }
}

#[test]
fn what_is_no_number_says_nothing() {
    let layer: Linear = LinearConfig::new(4, 3).init(&device());
    let bounds = boxes(&layer, 0.01, 1, true);
    let enclosed = enclose_weights(&layer, &bounds).unwrap();
    let margins = |layer: &Linear, x: [f32; 4]| {
        let x = Tensor::from_floats([x, [0.5; 4]], &device());
        let first = Intervals::relu(Interval::point(x.clone()));
        let quantizer = ActivationQuantizer::new(WeightBits::new(4).unwrap(), &device());
        let quantized = Intervals::quantize(&quantizer, Intervals::linear(layer, first));
        let shape: Linear = LinearConfig::new(3, 3).init(&device());
        [
            Intervals::linear(layer, Interval::point(x)).margins(&[0, 0]),
            Intervals::linear(&shape, quantized).margins(&[0, 0]),
        ]
    };
    for strange in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        for (stage, margins) in margins(&enclosed, [0.1, strange, 0.2, 0.3])
            .iter()
            .enumerate()
        {
            // A rectified negative infinity is zero.
            if strange != f32::NEG_INFINITY || stage == 0 {
                assert!(
                    margins[0].is_nan() || margins[0] <= 0.0,
                    "{strange} {margins:?}"
                );
            }
            assert!(margins[1].is_finite(), "{strange} {margins:?}");
        }
    }
    let mut broken = enclosed.clone();
    broken.bias = broken.bias.map(|bias| bias.map(|bias| bias * f32::NAN));
    for margins in margins(&broken, [0.1; 4]) {
        assert!(margins.iter().all(|margin| margin.is_nan()), "{margins:?}");
    }
}

#[test]
fn boxes_of_another_network_are_refused() {
    let layer: Linear = LinearConfig::new(4, 3).init(&device());
    let entries = |count| EntryBounds {
        low: vec![0.0; count],
        high: vec![0.0; count],
    };
    for (path, count) in [("weight", 11), ("other", 12)] {
        let bounds = DeviationBounds::from_boxes([(path.to_string(), entries(count))].into());
        let error = enclose_weights(&layer, &bounds.unwrap()).unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
    }
}

#[test]
fn known_inputs_of_minimal_filtering_are_enclosed() {
    let network = net(6);
    let layer = network.filtered;
    let images = tensor::<4>(2, [2, 16, 6, 5]) * 3.0;
    for (bound, same) in [(0.0, true), (1e-6, true), (0.02, true), (0.02, false)] {
        let bounds = boxes(&layer, bound, 9, same);
        let enclosed = enclose_weights(&layer, &bounds).unwrap();
        let product = Intervals::conv2d(&enclosed, Interval::point(images.clone()));
        let (low, high) = (values(product.low()), values(product.high()));
        for chip in 0..8 {
            let deviations = draw(&bounds, chip, chip % 2 == 0);
            let chip = deviate(layer.clone(), &deviations).unwrap();
            let found = values(Tensors::conv2d(&chip, images.clone()));
            let ends = low.iter().zip(&high);
            for ((low, high), found) in ends.zip(&found) {
                assert!(
                    low <= found && found <= high,
                    "{bound}: {low} {found} {high}"
                );
            }
        }
    }
}

#[test]
fn shortcuts_take_every_second_pixel_between_channels_of_zeros() {
    let device = Device::flex().autodiff();
    let pixels: Vec<f32> = (0..2 * 4 * 3 * 4).map(|i| i as f32 + 1.0).collect();
    let x = Tensor::<4>::from_data(TensorData::new(pixels.clone(), [2, 4, 3, 4]), &device);
    let x = x.require_grad();
    // Two chips of two channels each become two of four.
    let y = Tensors::halve(x.clone(), 2, 4);
    assert_eq!(y.dims(), [2, 8, 2, 2]);
    let found: Vec<f32> = y.clone().into_data().try_to_vec().unwrap();
    let expected = |item: usize, channel: usize, row: usize, column: usize| {
        let (chip, place) = (channel / 4, channel % 4);
        match place {
            1 | 2 => pixels[((item * 4 + 2 * chip + place - 1) * 3 + 2 * row) * 4 + 2 * column],
            _ => 0.0,
        }
    };
    for (index, value) in found.iter().enumerate() {
        let (column, row) = (index % 2, index / 2 % 2);
        let (channel, item) = (index / 4 % 8, index / 32);
        assert_eq!(*value, expected(item, channel, row, column), "{index}");
    }
    // An interval has both ends there, and its channels of zeros have no width.
    let ends = Interval::between(x.clone().inner(), x.clone().inner() + 0.5);
    let ends = Intervals::halve(ends, 2, 4);
    assert_eq!(values(ends.low()), found);
    for (index, (low, high)) in found.iter().zip(values(ends.high())).enumerate() {
        let width = if *low == 0.0 { 0.0 } else { 0.5 };
        assert_eq!(high - low, width, "{index}");
    }
    // The gradient is one at the pixels that are taken, and zero at the others.
    let gradient = x.grad(&y.sum().backward()).unwrap();
    let gradient: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
    for (index, value) in gradient.iter().enumerate() {
        let taken = index % 4 % 2 == 0 && index / 4 % 3 % 2 == 0;
        assert_eq!(*value, f32::from(u8::from(taken)), "{index}");
    }
}
