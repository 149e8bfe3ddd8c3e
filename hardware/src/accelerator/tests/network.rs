//! What a network refuses, and how it is written.

use rstest::rstest;

use super::super::testing::{Draws, baseline, blank, fill};
use super::*;

type Layers = Vec<IntegerLayer>;

const SIGNAL: SignalFormat = SignalFormat {
    channels: 1,
    length: 8,
    exponent: -4,
};

/// A convolution with pooling, and a dense layer of 1 bit with 2:4 sparsity.
fn layers() -> Vec<IntegerLayer> {
    let mut draws = Draws::new(9);
    let mut convolution = blank("conv", [2, 1, 3], 1);
    convolution.output = LayerOutput::Activations {
        bits: 8,
        exponent: -2,
        rescale: Vec::new(),
        pool: Some(Pool {
            kernel: 2,
            stride: 2,
        }),
    };
    let mut dense = IntegerLayer {
        weight_bits: 1,
        sparsity: TWO_OF_FOUR,
        output: LayerOutput::Results { scale: Vec::new() },
        ..blank("dense", [2, 2, 3], 1)
    };
    for layer in [&mut convolution, &mut dense] {
        fill(layer, &mut draws);
    }
    vec![convolution, dense]
}

#[test]
fn a_network_is_read_as_it_was_written() {
    let network = IntegerNetwork::new(SIGNAL, layers()).unwrap();
    assert_eq!(network.lengths(), [8, 3, 1]);
    assert_eq!(network.results(), [2, 1]);
    let text = serde_json::to_string(&network).unwrap();
    assert_eq!(
        serde_json::from_str::<IntegerNetwork>(&text).unwrap(),
        network
    );
    let error =
        serde_json::from_str::<IntegerNetwork>(&text.replacen("\"stride\":1", "\"stride\":0", 1))
            .unwrap_err();
    assert!(
        error.to_string().contains("layer `conv`: stride = 0"),
        "{error}"
    );
}

#[rstest]
#[case("layer `conv`: stride = 0 is outside 1..=", |layers: &mut Layers| layers[0].stride = 0)]
#[case("layer `conv`: shape[0] (outputs) = 0", |layers: &mut Layers| layers[0].shape[0] = 0)]
#[case("layer `conv`: weights has 5 values, shape [2, 1, 3] asks for 6", |layers: &mut Layers| { layers[0].weights.pop(); })]
#[case("layer `conv`: bias has 1 values", |layers: &mut Layers| { layers[0].bias.pop(); })]
#[case("layer `conv`: padding[1] = 3 is outside 0..=2", |layers: &mut Layers| layers[0].padding = [0, 3])]
#[case("layer `conv`: weight_bits = 3 is outside 8, 4, 2, 1", |layers: &mut Layers| layers[0].weight_bits = 3)]
#[case("layer `conv`: weights[4] = -128 is outside -127..=127 of 8 bits", |layers: &mut Layers| layers[0].weights[4] = -128)]
#[case("layer `conv`: weights[4] = 2 is outside -1..=1 of 2 bits", |layers: &mut Layers| {
    layers[0].weight_bits = 2;
    layers[0].weights = vec![1, 0, -1, 1, 2, 1];
})]
#[case("layer `conv`: kept has 1 values", |layers: &mut Layers| layers[0].kept = vec![true])]
#[case("layer `conv`: pool.stride = 0", |layers: &mut Layers| if let LayerOutput::Activations { pool, .. } = &mut layers[0].output {
    *pool = Some(Pool { kernel: 2, stride: 0 });
})]
#[case("layer `conv`: the pooling window of 7 steps is longer than its signal of 6 steps", |layers: &mut Layers| if let LayerOutput::Activations { pool, .. } = &mut layers[0].output {
    *pool = Some(Pool { kernel: 7, stride: 1 });
})]
#[case("layer `conv`: output.bits = 9 is outside 1..=8", |layers: &mut Layers| if let LayerOutput::Activations { bits, .. } = &mut layers[0].output {
    *bits = 9;
})]
#[case("layer `conv`: rescale.shift = 48", |layers: &mut Layers| if let LayerOutput::Activations { rescale, .. } = &mut layers[0].output {
    rescale[1].shift = 48;
})]
#[case("layer `dense`: weights[", |layers: &mut Layers| {
    let absent = layers[1].kept.iter().position(|kept| !kept).unwrap();
    layers[1].weights[absent] = 1;
})]
#[case("is outside -1 and 1 of kept weights of 1 bit", |layers: &mut Layers| {
    let kept = layers[1].kept.iter().position(|kept| *kept).unwrap();
    layers[1].weights[kept] = 0;
})]
#[case("layer `dense`: output 0 keeps 1 weights of group 0 (4 weights), its sparsity says 2", |layers: &mut Layers| {
    let kept = layers[1].kept.iter().position(|kept| *kept).unwrap();
    layers[1].kept[kept] = false;
    layers[1].weights[kept] = 0;
})]
#[case("layer `dense`: output.scale[1] = NaN", |layers: &mut Layers| if let LayerOutput::Results { scale } = &mut layers[1].output {
    scale[1] = f32::NAN;
})]
#[case("layer `dense`: shape[1] = 1 inputs, 2 channels come in", |layers: &mut Layers| {
    let dense = &mut layers[1];
    dense.shape = [4, 1, 3];
    (dense.bias, dense.output) = (vec![0; 4], LayerOutput::Results { scale: vec![1.0; 4] });
    dense.sparsity = Sparsity::Unstructured;
})]
#[case("layer `dense`: the kernel of 6 steps is longer than its signal of 3 steps", |layers: &mut Layers| {
    layers[1].shape = [1, 2, 6];
    layers[1].sparsity = Sparsity::Unstructured;
    (layers[1].bias, layers[1].output) = (vec![0], LayerOutput::Results { scale: vec![1.0] });
})]
#[case("layer `conv`: activations of the last layer", |layers: &mut Layers| { layers.pop(); })]
#[case("layer `dense`: results before the last layer", |layers: &mut Layers| layers.push(layers[1].clone()))]
#[case("a network without layers", |layers: &mut Layers| layers.clear())]
fn networks_that_cannot_be_are_refused_by_name(#[case] part: &str, #[case] spoil: fn(&mut Layers)) {
    let mut layers = layers();
    spoil(&mut layers);
    let message = IntegerNetwork::new(SIGNAL, layers).unwrap_err().to_string();
    assert!(
        message.contains(part) && !message.contains('\n'),
        "{message}"
    );
}

#[test]
fn signals_that_cannot_be_are_refused() {
    let network = IntegerNetwork::new(SIGNAL, layers()).unwrap();
    let fast = FastNetwork::new(&network);
    let simulator = Simulator::new(&network, &small_array(), Execution::Sparse).unwrap();
    let short = [0i8; 7];
    for result in [
        network.evaluate(&short),
        fast.evaluate(&short),
        simulator.evaluate(&short),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(
            message.starts_with("a signal of 7 values for a network that takes 1 x 8"),
            "{message}"
        );
    }
    let mut values = [0.0f32; 8];
    values[3] = f32::NAN;
    let message = network.quantize_signal(&values).unwrap_err().to_string();
    assert!(message.starts_with("signal[3] = NaN"), "{message}");
    assert!(
        IntegerNetwork::new(
            SignalFormat {
                exponent: 200,
                ..SIGNAL
            },
            layers()
        )
        .is_err()
    );
    assert!(
        IntegerNetwork::new(
            SignalFormat {
                length: usize::MAX,
                ..SIGNAL
            },
            layers()
        )
        .is_err()
    );
    let wide = SignalFormat {
        channels: 1 << 20,
        length: 1,
        ..SIGNAL
    };
    let message = IntegerNetwork::new(wide, layers()).unwrap_err().to_string();
    assert!(
        message.starts_with("signal.channels = 1048576 is outside 1..=65536"),
        "{message}"
    );
}

#[test]
fn signals_are_rounded_to_the_nearest_code_and_clipped() {
    let network = IntegerNetwork::new(SIGNAL, layers()).unwrap();
    // A step of 1/16; halves go to the even code.
    let values = [0.0, 0.0625, 0.09375, 0.15625, -0.09375, 7.9, 100.0, -1e30];
    assert_eq!(
        network.quantize_signal(&values).unwrap(),
        [0, 1, 2, 2, -2, 126, 127, -127]
    );
    let mut plain = layers();
    plain[1].output = LayerOutput::Results {
        scale: vec![0.5, 0.25],
    };
    let network = IntegerNetwork::new(SIGNAL, plain).unwrap();
    assert_eq!(network.real_results(&[10, -10]), [5.0, -2.5]);
}

/// A layer of one weight over 8-bit codes: its extreme sums are known.
fn of_one_weight(weight: i8, bias: i32) -> Result<IntegerNetwork, crate::HardwareError> {
    let layer = IntegerLayer {
        weights: vec![weight],
        bias: vec![bias],
        output: LayerOutput::Results { scale: vec![1.0] },
        ..blank("only", [1, 1, 1], 1)
    };
    IntegerNetwork::new(
        SignalFormat {
            channels: 1,
            length: 1,
            exponent: 0,
        },
        vec![layer],
    )
}

#[test]
fn sums_that_some_input_makes_overflow_are_refused() {
    // 2^23 - 1 is the largest sum; the code -128 times -1 gives the largest product.
    let most = (1 << 23) - 1;
    let network = of_one_weight(-1, most - 128).unwrap();
    assert_eq!(network.evaluate(&[-128]).unwrap(), [most]);
    let message = of_one_weight(-1, most - 127).unwrap_err().to_string();
    assert_eq!(
        message,
        "layer `only`: the largest sum of output 0 = 8388608 is outside -8388608..=8388607 of a 24-bit accumulator: give \
         the weights or the activations before them fewer bits, or keep fewer weights"
    );
    let network = of_one_weight(1, -(1 << 23) + 128).unwrap();
    assert_eq!(network.evaluate(&[-128]).unwrap(), [-(1 << 23)]);
    assert!(
        of_one_weight(1, -(1 << 23) + 127)
            .unwrap_err()
            .to_string()
            .contains("the smallest sum of output 0 = -8388609")
    );
    // Activations of fewer bits leave room for more weights: 4096 weights of 127 on codes up to 15 against 255.
    let wide = |bits| {
        let mut first = IntegerLayer {
            weights: vec![1],
            bias: vec![0],
            ..blank("first", [1, 1, 1], 1)
        };
        first.output = LayerOutput::Activations {
            bits,
            exponent: 0,
            rescale: vec![Rescale {
                multiplier: 4,
                shift: 0,
            }],
            pool: None,
        };
        let second = IntegerLayer {
            weights: vec![127; 4096],
            bias: vec![0],
            output: LayerOutput::Results { scale: vec![1.0] },
            ..blank("second", [1, 1, 4096], 1)
        };
        IntegerNetwork::new(
            SignalFormat {
                channels: 1,
                length: 4096,
                exponent: 0,
            },
            vec![first, second],
        )
    };
    assert!(
        wide(8)
            .unwrap_err()
            .to_string()
            .starts_with("layer `second`: the largest sum of output 0 = 132648960")
    );
    let network = wide(4).unwrap();
    assert_eq!(network.evaluate(&[127; 4096]).unwrap(), [127 * 15 * 4096]);
}

#[test]
fn the_baseline_has_the_multiplications_of_its_shapes() {
    let network = baseline(TWO_OF_FOUR, [8; 7], 1);
    assert_eq!(network.lengths(), [1250, 623, 310, 154, 76, 37, 1, 1]);
    let dense =
        3 * 6 * 623 + 5 * 15 * 310 + 10 * 20 * 154 + 20 * 40 * 76 + 20 * 80 * 37 + 10 * 740 + 20;
    // Groups of 4 and a last one: 2 + 1 of 6, 3·2 + 2 of 15, and halves.
    let kept =
        3 * 3 * 623 + 5 * 8 * 310 + 10 * 10 * 154 + 20 * 20 * 76 + 20 * 40 * 37 + 10 * 370 + 2 * 5;
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    let simulator = Simulator::new(&network, &config, Execution::Sparse).unwrap();
    let sum = |of: fn(&LayerCounts) -> u64| simulator.counts().iter().map(of).sum::<u64>();
    assert_eq!(sum(|counts| counts.dense_macs), dense);
    assert_eq!(sum(|counts| counts.executed_macs), kept);
}
