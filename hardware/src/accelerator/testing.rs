//! Integer networks for tests.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crossburn_noise::ChipSeed;
use proptest::prelude::*;

use super::{IntegerLayer, IntegerNetwork, LayerOutput, Pool, Rescale, SignalFormat, Sparsity};

pub(super) const TWO_OF_FOUR: Sparsity = Sparsity::Balanced { kept: 2, group: 4 };
pub(super) const EIGHT_OF_SIXTEEN: Sparsity = Sparsity::Balanced { kept: 8, group: 16 };

/// Random numbers for tests: the same for the same seed.
pub(super) struct Draws {
    seed: u64,
    block: u64,
    draws: Vec<f64>,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            block: 0,
            draws: Vec::new(),
        }
    }

    fn next(&mut self) -> f64 {
        if self.draws.is_empty() {
            self.draws = vec![0.0; 1024];
            let chip = ChipSeed::new(self.seed, self.block);
            chip.generator("integer network")
                .fill_uniform(&mut self.draws);
            self.block += 1;
        }
        self.draws.pop().unwrap()
    }

    /// A whole number within `least..=most`.
    pub(super) fn within(&mut self, least: i64, most: i64) -> i64 {
        least + (self.next() * (most - least + 1) as f64) as i64
    }
}

/// Masks and weights of a layer, random.
pub(super) fn fill(layer: &mut IntegerLayer, draws: &mut Draws) {
    let [outputs, inputs, kernel] = layer.shape;
    let reduction = inputs * kernel;
    layer.kept.clear();
    if layer.sparsity != Sparsity::Dense {
        for _ in 0..outputs {
            for group in layer.sparsity.groups(reduction) {
                let length = group.len();
                let mut kept = vec![false; length];
                match layer.sparsity.kept_of(length) {
                    None => kept
                        .iter_mut()
                        .for_each(|kept| *kept = draws.within(0, 1) == 1),
                    Some(count) => {
                        let mut places: Vec<usize> = (0..length).collect();
                        for number in 0..count {
                            let other = draws.within(number as i64, length as i64 - 1) as usize;
                            places.swap(number, other);
                            kept[places[number]] = true;
                        }
                    }
                }
                layer.kept.extend(kept);
            }
        }
    }
    let largest = (1i64 << (layer.weight_bits.max(2) - 1)) - 1;
    layer.weights = (0..outputs * reduction)
        .map(|index| match (layer.is_kept(index), layer.weight_bits) {
            (false, _) => 0,
            (true, 1) => 2 * draws.within(0, 1) as i8 - 1,
            (true, _) => draws.within(-largest, largest) as i8,
        })
        .collect();
    layer.bias = (0..outputs)
        .map(|_| draws.within(-500, 500) as i32)
        .collect();
    // Sums of random products spread over the codes, some below zero and some above the largest.
    let typical = (reduction as f64).sqrt() * largest as f64 * 50.0;
    match &mut layer.output {
        LayerOutput::Activations { bits, rescale, .. } => {
            let factor = f64::from(1u32 << *bits) / typical;
            *rescale = (0..outputs)
                .map(|_| Rescale::nearest(factor * draws.within(1, 20) as f64 / 10.0).unwrap())
                .collect();
        }
        LayerOutput::Results { scale } => *scale = vec![0.25; outputs],
    }
}

/// An empty layer of that shape: [`fill`] gives it weights.
pub(super) fn blank(name: &str, shape: [usize; 3], stride: usize) -> IntegerLayer {
    IntegerLayer {
        name: name.to_string(),
        shape,
        weight_bits: 8,
        weights: Vec::new(),
        sparsity: Sparsity::Dense,
        kept: Vec::new(),
        bias: Vec::new(),
        stride,
        padding: [0, 0],
        output: LayerOutput::Activations {
            bits: 8,
            exponent: 0,
            rescale: Vec::new(),
            pool: None,
        },
    }
}

/// A layer of that shape with random weights, which gives results.
pub(super) fn small_layer(sparsity: Sparsity, weight_bits: u8, shape: [usize; 3]) -> IntegerLayer {
    let mut layer = IntegerLayer {
        sparsity,
        weight_bits,
        output: LayerOutput::Results { scale: Vec::new() },
        ..blank("layer", shape, 1)
    };
    fill(&mut layer, &mut Draws::new(3));
    layer
}

/// The layers of the public baseline of the specification on 1250 samples of one channel: five convolutions and two dense
/// layers, with random weights.
pub(super) fn baseline(sparsity: Sparsity, weight_bits: [u8; 7], seed: u64) -> IntegerNetwork {
    let shapes = [
        ([3, 1, 6], 2),
        ([5, 3, 5], 2),
        ([10, 5, 4], 2),
        ([20, 10, 4], 2),
        ([20, 20, 4], 2),
        ([10, 20, 37], 1),
        ([2, 10, 1], 1),
    ];
    let mut draws = Draws::new(seed);
    let layers = shapes.into_iter().zip(weight_bits).enumerate();
    let layers = layers.map(|(number, ((shape, stride), weight_bits))| {
        let mut layer = IntegerLayer {
            sparsity,
            weight_bits,
            ..blank(&format!("layer{number}"), shape, stride)
        };
        if number == 6 {
            layer.output = LayerOutput::Results { scale: Vec::new() };
        }
        fill(&mut layer, &mut draws);
        layer
    });
    let signal = SignalFormat {
        channels: 1,
        length: 1250,
        exponent: -5,
    };
    IntegerNetwork::new(signal, layers.collect()).unwrap()
}

/// A random signal for `network`.
pub(super) fn signal(network: &IntegerNetwork, seed: u64) -> Vec<i8> {
    let SignalFormat {
        channels, length, ..
    } = network.signal();
    let mut draws = Draws::new(seed);
    (0..channels * length)
        .map(|_| draws.within(-128, 127) as i8)
        .collect()
}

fn sparsities() -> impl Strategy<Value = Sparsity> {
    prop_oneof![
        Just(Sparsity::Dense),
        Just(Sparsity::Unstructured),
        Just(EIGHT_OF_SIXTEEN),
        (1usize..=4, 2usize..=9).prop_map(|(kept, group)| Sparsity::Balanced {
            kept: kept.min(group),
            group
        }),
    ]
}

fn widths() -> impl Strategy<Value = u8> {
    prop_oneof![Just(8u8), Just(4), Just(2), Just(1)]
}

/// Layers of every width and sparsity.
pub(super) fn layers() -> impl Strategy<Value = IntegerLayer> {
    (
        sparsities(),
        widths(),
        1usize..6,
        1usize..6,
        1usize..8,
        any::<u64>(),
    )
        .prop_map(|(sparsity, weight_bits, outputs, inputs, kernel, seed)| {
            let shape = [outputs, inputs, kernel];
            let mut layer = IntegerLayer {
                sparsity,
                weight_bits,
                ..small_layer(sparsity, weight_bits, shape)
            };
            fill(&mut layer, &mut Draws::new(seed));
            layer
        })
}

type Choice = (
    (Sparsity, u8, usize, usize, usize),
    (usize, usize, u8, Option<(usize, usize)>),
);

fn choices() -> impl Strategy<Value = Choice> {
    let pool = prop::option::of((1usize..4, 1usize..4));
    (
        (sparsities(), widths(), 1usize..=20, 1usize..=6, 1usize..=3),
        (0usize..3, 0usize..3, 1u8..=8, pool),
    )
}

/// Networks of one to four layers, of every width, sparsity, stride, padding and pooling.
pub(super) fn networks() -> impl Strategy<Value = IntegerNetwork> {
    (
        1usize..=5,
        12usize..=70,
        prop::collection::vec(choices(), 1..=4),
        any::<u64>(),
    )
        .prop_map(|(channels, length, choices, seed)| {
            let mut draws = Draws::new(seed);
            let (mut inputs, mut steps, last) = (channels, length, choices.len() - 1);
            let mut layers = Vec::new();
            for (
                number,
                ((sparsity, weight_bits, outputs, kernel, stride), (before, after, bits, pool)),
            ) in choices.into_iter().enumerate()
            {
                let dense = number == last && number > 0;
                let kernel = if dense { steps } else { kernel.min(steps) };
                let mut layer = IntegerLayer {
                    sparsity,
                    // Long sums of 8 bits could overflow.
                    weight_bits: if inputs * kernel > 400 {
                        weight_bits.min(4)
                    } else {
                        weight_bits
                    },
                    padding: [before.min(kernel - 1), after.min(kernel - 1)],
                    ..blank(&format!("layer{number}"), [outputs, inputs, kernel], stride)
                };
                layer.output = match number == last {
                    true => LayerOutput::Results { scale: Vec::new() },
                    false => {
                        let positions = layer.positions(steps).unwrap();
                        let pool = pool.map(|(kernel, stride)| Pool {
                            kernel: kernel.min(positions),
                            stride,
                        });
                        LayerOutput::Activations {
                            bits,
                            exponent: 0,
                            rescale: Vec::new(),
                            pool,
                        }
                    }
                };
                fill(&mut layer, &mut draws);
                (inputs, steps) = (outputs, layer.output_length(steps).unwrap());
                layers.push(layer);
            }
            IntegerNetwork::new(
                SignalFormat {
                    channels,
                    length,
                    exponent: 0,
                },
                layers,
            )
            .unwrap()
        })
}
