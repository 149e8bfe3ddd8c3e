//! Integer networks of trained ones, beside what floats compute.

use super::*;
use crate::{Cnn1dConfig, Network, SignalCnnConfig, initialize};
use burn::module::ModuleMapper;
use burn::nn::conv::Conv1dConfig;
use burn::tensor::{Device, TensorData};
use crossburn_hardware::{Quantization, WeightBits, programmed};
use crossburn_noise::{Granularity, PathPattern, Philox};

fn bits(bits: u8) -> WeightBits {
    WeightBits::new(bits).unwrap()
}

/// Of the widths of the accelerator, one for each layer, with half of the weights pruned.
fn plan(widths: &[(&str, u8)]) -> WeightPlan {
    let pruned =
        WeightPlan::default().with_pruning(PathPattern::new("*"), Some("2:4".parse().unwrap()));
    widths.iter().fold(pruned, |plan, (path, width)| {
        let quantization = Quantization {
            granularity: Granularity::PerChannel,
            ..Quantization::from(bits(*width))
        };
        plan.with_quantization(PathPattern::new(*path), Some(quantization))
    })
}

/// Gives norms gains of both signs, shifts and statistics, and every bias a value.
#[derive(Default)]
struct Used {
    path: Vec<String>,
    met: u64,
}

impl ModuleMapper for Used {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.last().cloned().unwrap_or_default();
        self.met += 1;
        let mut draws = vec![0.0f32; param.lazy_shape().num_elements()];
        Philox::new(9, self.met).fill_normal(&mut draws);
        let values: Vec<f32> = draws
            .iter()
            .map(|draw| match name.as_str() {
                "gamma" => draw.signum() * (0.5 + draw.abs()),
                "running_var" => 0.2 + 0.1 * draw.abs(),
                "beta" | "bias" | "running_mean" => 0.2 * draw,
                _ => f32::NAN,
            })
            .collect();
        match values.iter().any(|value| value.is_nan()) {
            true => param,
            false => param.map(|tensor| {
                let data = TensorData::new(values, tensor.dims());
                Tensor::from_data(data, &tensor.device())
            }),
        }
    }
}

/// Codes of noisy waves.
fn codes(items: usize, length: usize) -> Vec<i8> {
    let mut noise = vec![0.0f32; items * length];
    Philox::new(4, 0).fill_normal(&mut noise);
    let value = |(at, noise): (usize, &f32)| {
        let (item, point) = (at / length, at % length);
        let wave = (point as f32 * (0.1 + 0.05 * (item % 7) as f32)).sin();
        (60.0 * wave + 20.0 * noise).clamp(-127.0, 127.0) as i8
    };
    noise.iter().enumerate().map(value).collect()
}

const EXPONENT: i32 = -5;

fn signals(codes: &[i8], length: usize, device: &Device) -> Tensor<4> {
    let step = (EXPONENT as f32).exp2();
    let values: Vec<f32> = codes.iter().map(|code| f32::from(*code) * step).collect();
    let shape = [codes.len() / length, 1, 1, length];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Logits of the network with quantized weights and activations in floats and of the one in integers, item by item, and the bound.
fn compared<C: Classifier>(
    network: C,
    plan: &WeightPlan,
    length: usize,
) -> (Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<f64>) {
    let device = Device::flex();
    let network = initialize(network, 5).map(&mut Used::default());
    let network = network.with_activations(&Activation::with_power_of_two_scale);
    let codes = codes(200, length);
    // Ranges follow what they meet while training.
    let seen = network.train();
    let quantized = crossburn_hardware::quantize_weights(seen.clone(), plan).unwrap();
    let frozen = Tensor::from_inner(signals(&codes[..20 * length], length, &device));
    for _ in 0..60 {
        quantized.forward(frozen.clone());
    }
    let network = seen.valid().map(&mut Used::default());
    let floats = programmed(&network, plan).forward(signals(&codes, length, &device));
    let classes = floats.dims()[1];
    let floats: Vec<f32> = floats.into_data().try_to_vec().unwrap();
    let signal = SignalFormat {
        channels: 1,
        length,
        exponent: EXPONENT,
    };
    let integers = to_integers(&network, plan, false, signal).unwrap();
    let found = codes.chunks(length).map(|codes| {
        let results = integers.real_results(&integers.evaluate(codes).unwrap());
        results.into_iter().map(f64::from).collect()
    });
    // The network on its levels has the same levels, but for a factor that all levels of a channel share.
    let on_grids = programmed(&network, plan);
    let stages = network.integer_stages(length).unwrap();
    let again = on_grids.integer_stages(length).unwrap();
    for (stage, again) in stages.iter().zip(&again) {
        let first = plan.integers(&stage.path, &stage.weight, false).unwrap();
        let again = plan.integers(&again.path, &again.weight, true).unwrap();
        let (first, again) = (weights(&first), weights(&again));
        assert_eq!(first.len(), again.len());
        for (first, again) in first.iter().zip(again) {
            assert!((first - again).abs() <= 1e-5 * first.abs());
        }
    }
    let on_levels = to_integers(&on_grids, plan, true, signal).unwrap();
    let item = &codes[..length];
    let again = on_levels.real_results(&on_levels.evaluate(item).unwrap());
    let first = integers.real_results(&integers.evaluate(item).unwrap());
    let bound = rounding_bound(&integers);
    for ((again, first), bound) in again.iter().zip(first).zip(&bound) {
        assert!(f64::from((again - first).abs()) <= 2.0 * bound);
    }
    let floats = floats.chunks(classes);
    let floats = floats.map(|row| row.iter().map(|x| f64::from(*x)).collect());
    (floats.collect(), found.collect(), bound)
}

/// The weight of every level.
fn weights(integers: &IntegerWeights) -> Vec<f32> {
    let rows = integers.levels.iter().zip(&integers.scales);
    let weights = rows.flat_map(|(row, unit)| row.iter().map(move |q| f32::from(*q) * unit));
    weights.collect()
}

fn argmax(logits: &[f64]) -> usize {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.unwrap().0
}

/// No result is off by more than the bound, most by far less, and nearly all items have the same class.
fn check((floats, found, bound): (Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<f64>), typical: f64) {
    let (mut off, mut spread, mut agree) = (0.0f64, 0.0f64, 0);
    for (floats, found) in floats.iter().zip(&found) {
        for ((float, found), bound) in floats.iter().zip(found).zip(&bound) {
            assert!((float - found).abs() <= *bound, "{float} {found} {bound}");
            off = off.max((float - found).abs());
        }
        agree += usize::from(argmax(floats) == argmax(found));
    }
    for class in 0..bound.len() {
        let of_class = || floats.iter().map(|floats| floats[class]);
        let least = of_class().fold(f64::INFINITY, f64::min);
        spread = spread.max(of_class().fold(f64::NEG_INFINITY, f64::max) - least);
    }
    assert!(off <= typical * spread, "{off} of {spread}");
    // Two logits closer to each other than they are off may change places.
    let ties = floats.iter().filter(|floats| {
        let best = floats[argmax(floats)];
        floats.iter().filter(|x| best - **x <= 2.0 * off).count() > 1
    });
    assert!(agree + ties.count() >= floats.len(), "{agree}");
    assert!(100 * agree >= 97 * floats.len(), "{agree}");
}

#[test]
fn means_over_points_and_mixed_widths_are_the_floats() {
    let config = Cnn1dConfig {
        channels: 1,
        width: 4,
        kernel: 5,
        classes: 3,
        bits: Some(bits(8)),
    };
    let widths = [
        ("convs.0.weight", 8),
        ("convs.1.weight", 2),
        ("convs.2.weight", 4),
        ("fc.weight", 8),
    ];
    let network = config.init(&Device::flex());
    check(compared(network, &plan(&widths), 64), 0.03);
}

#[test]
fn norms_pools_and_signs_are_the_floats() {
    let text = r#"{"classes":3,"points":60,"bits":8,"norm":"before-activation","hidden":[6],"dropout":0.0,
        "layers":[{"channels":4,"kernel":5,"pool":2},{"channels":6,"kernel":4,"stride":2,"padding":1}]}"#;
    let config: SignalCnnConfig = serde_json::from_str(text).unwrap();
    let widths = [
        ("convs.0.weight", 4),
        ("convs.1.weight", 1),
        ("hidden.0.weight", 2),
        ("fc.weight", 8),
    ];
    let network = config.init(&Device::flex());
    check(compared(network, &plan(&widths), 60), 0.03);
}

/// Twelve hidden units: of six that are drawn from this seed, one alone is above zero for these signals, and pruning takes it from every
/// class, so that all items have the same logits and nothing is compared.
#[test]
fn means_of_a_network_layer_by_layer_are_the_floats() {
    for hidden in ["[12]", "[]"] {
        let text = format!(
            r#"{{"classes":3,"points":60,"bits":8,"norm":"before-activation","features":"means","hidden":{hidden},"dropout":0.0,
            "layers":[{{"channels":4,"kernel":5,"pool":2}},{{"channels":6,"kernel":4,"stride":2}}]}}"#
        );
        let config: SignalCnnConfig = serde_json::from_str(&text).unwrap();
        let network = config.init(&Device::flex());
        check(compared(network, &plan(&[("*", 8)]), 60), 0.03);
    }
}

/// By hand: weights 0.45 and -1 on a grid of 4 bits (step 1/7: levels 3 and -7), a norm that turns the sign,
/// and an input whose code of 1 is 1/4.
#[test]
fn a_norm_is_taken_up_in_bias_and_factor() {
    let device = Device::flex();
    let conv = Conv1dConfig::new(1, 1, 2).with_bias(false).init(&device);
    let weight = Tensor::<3>::from_floats([[[0.45, -1.0]]], &device);
    let conv = Conv1d {
        weight: Param::from_tensor(weight),
        ..conv
    };
    let stage = IntegerStage {
        norm: Some([vec![-2.0], vec![0.25], vec![1.0]]),
        activation: Some((15, 0.5)),
        ..IntegerStage::convolution("conv".to_string(), &conv).unwrap()
    };
    let integers = WeightPlan::from(bits(4))
        .integers("conv", &stage.weight, false)
        .unwrap();
    let layer = stage.layer(integers, None, 0.25).unwrap();
    assert_eq!(layer.weights, [-3, 7]);
    // A unit is 2/7/4 = 1/14; the constant -2 (0 - 0.25) + 1 = 1.5 is 21 of them.
    assert_eq!(layer.bias, [21]);
    let LayerOutput::Activations {
        bits,
        exponent,
        rescale,
        ..
    } = layer.output
    else {
        unreachable!("the stage has an activation")
    };
    assert_eq!((bits, exponent), (4, -1));
    assert!((rescale[0].factor() - 1.0 / 7.0).abs() < 1e-5);
}

/// A convolution of one output whose weights these are.
fn stage(weights: [f32; 4]) -> IntegerStage {
    let device = Device::flex();
    let conv = Conv1dConfig::new(1, 1, 4).with_bias(false).init(&device);
    let conv = Conv1d {
        weight: Param::from_tensor(Tensor::<3>::from_floats([[weights]], &device)),
        ..conv
    };
    IntegerStage::convolution("conv".to_string(), &conv).unwrap()
}

/// Of one bit a group with one weight that is not zero stays short. Of four bits the first zero fills it.
#[test]
fn a_short_group_of_signs_is_unstructured() {
    let pattern: PruningPattern = "2:4".parse().unwrap();
    let stage = stage([0.0, 0.0, -0.5, 0.0]);
    for (width, sparsity, kept, level) in [
        (
            1,
            Sparsity::Unstructured,
            [false, false, true, false],
            [0, 0, -1, 0],
        ),
        (
            4,
            Sparsity::Balanced { kept: 2, group: 4 },
            [true, false, true, false],
            [0, 0, -7, 0],
        ),
    ] {
        let plan =
            WeightPlan::from(bits(width)).with_pruning(PathPattern::new("conv"), Some(pattern));
        let integers = plan.integers("conv", &stage.weight, false).unwrap();
        let layer = stage.layer(integers, Some(pattern), 1.0).unwrap();
        let signal = SignalFormat {
            channels: 1,
            length: 4,
            exponent: 0,
        };
        IntegerNetwork::new(signal, vec![layer.clone()]).unwrap();
        assert_eq!(layer.sparsity, sparsity);
        assert_eq!((layer.kept, layer.weights), (kept.to_vec(), level.to_vec()));
    }
}

#[test]
fn norms_that_no_bias_holds_are_named() {
    let refused = |norm: [f32; 3], own: f32| {
        let stage = IntegerStage {
            norm: Some(norm.map(|term| vec![term])),
            bias: Some(vec![own]),
            activation: Some((15, 0.5)),
            ..stage([0.5, -1.0, 0.25, 0.0])
        };
        let plan = WeightPlan::from(bits(4));
        let integers = plan.integers("conv", &stage.weight, false).unwrap();
        let refused = stage.layer(integers, None, 0.25).unwrap_err();
        refused.to_string()
    };
    for (norm, own) in [
        ([1.0, 0.0, f32::NAN], 0.0),
        ([0.0, f32::INFINITY, 0.0], 0.0),
        ([1.0, 0.0, 0.0], f32::INFINITY),
    ] {
        let message = refused(norm, own);
        assert!(message.contains("the bias of output 0"), "{message}");
        assert!(message.contains("the finite numbers"), "{message}");
    }
    let message = refused([2f32.powi(-30), 0.0, 1.0], 0.0);
    assert!(
        message.contains("the bias of output 0 with the gain 9.3"),
        "{message}"
    );
    assert!(message.contains("an accumulator of 24 bits"), "{message}");
}

#[test]
fn what_has_no_form_in_integers_is_refused() {
    let signal = SignalFormat {
        channels: 1,
        length: 64,
        exponent: EXPONENT,
    };
    let config = |bits| Cnn1dConfig {
        channels: 1,
        width: 2,
        kernel: 5,
        classes: 3,
        bits,
    };
    let device = Device::flex();
    let refused = |network: &crate::Cnn1d, plan: &WeightPlan| {
        to_integers(network, plan, false, signal)
            .unwrap_err()
            .to_string()
    };
    let eight = WeightPlan::from(bits(8));
    let floats = config(None).init(&device);
    assert!(refused(&floats, &eight).contains("integers of this network"));
    let free = config(Some(bits(8))).init(&device);
    let message = refused(&free, &eight);
    assert!(message.contains("which is no power of two"), "{message}");
    let network = free.with_activations(&Activation::with_power_of_two_scale);
    let message = refused(&network, &WeightPlan::default());
    assert!(message.contains("layer `convs.0.weight`"), "{message}");
    assert!(message.contains("in full precision"), "{message}");
    let message = refused(&network, &WeightPlan::from(bits(12)));
    assert!(message.contains("bits = 12"), "{message}");
}
