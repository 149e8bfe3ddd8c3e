//! What layers with weights compute, against their definitions in double precision, written out as loops.

use super::graph::{Graph, Setting};
use super::{close, compute, numbers};

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|x| *x as f32).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Two groups, other steps and paddings on every side.
#[test]
fn a_convolution_sums_over_its_window() {
    let (x, w, b) = (numbers(1, 4 * 20), numbers(2, 6 * 2 * 6), numbers(3, 6));
    let graph = Graph::taking(&[4, 4, 5])
        .floats("w", &[6, 2, 3, 2], &w)
        .floats("b", &[6], &b)
        .node(
            "Conv",
            &["x", "w", "b"],
            &["y"],
            &[
                Setting::Int("group", 2),
                Setting::Ints("strides", &[2, 1]),
                Setting::Ints("dilations", &[1, 2]),
                Setting::Ints("pads", &[1, 0, 2, 1]),
            ],
        );
    let (shape, found) = compute(&graph.file(), &[1, 4, 4, 5], &x);
    // (4 + 1 + 2 - 3) / 2 + 1 rows, and 5 + 1 - 3 + 1 columns.
    assert_eq!(shape, [1, 6, 3, 4]);
    let (x, w, b) = (double(&x), double(&w), double(&b));
    let mut expected = Vec::new();
    for output in 0..6 {
        for row in 0..3 {
            for column in 0..4 {
                let mut sum = b[output];
                for channel in 0..2 {
                    for (i, j) in (0..3).flat_map(|i| (0..2).map(move |j| (i, j))) {
                        let (at, across) = (row * 2 + i, column + 2 * j);
                        // One row of padding before the input.
                        if (1..5).contains(&at) && across < 5 {
                            let input = output / 3 * 2 + channel;
                            sum += x[input * 20 + (at - 1) * 5 + across]
                                * w[output * 12 + channel * 6 + i * 2 + j];
                        }
                    }
                }
                expected.push(sum);
            }
        }
    }
    close(&found, &single(&expected));
}

/// Every input adds a copy of the window to the output, of which the padding is cut off.
#[test]
fn a_transposed_convolution_spreads_its_window() {
    let (x, w, b) = (numbers(4, 4 * 6), numbers(5, 4 * 9), numbers(6, 2));
    let graph = Graph::taking(&[4, 2, 3])
        .floats("w", &[4, 1, 3, 3], &w)
        .floats("b", &[2], &b)
        .node(
            "ConvTranspose",
            &["x", "w", "b"],
            &["y"],
            &[
                Setting::Int("group", 2),
                Setting::Ints("strides", &[2, 1]),
                Setting::Ints("pads", &[1, 0, 0, 2]),
            ],
        );
    let (shape, found) = compute(&graph.file(), &[1, 4, 2, 3], &x);
    // (2 - 1) · 2 + 3 - 1 rows, and 3 - 1 + 3 - 2 columns.
    assert_eq!(shape, [1, 2, 4, 3]);
    let (x, w, b) = (double(&x), double(&w), double(&b));
    let mut whole = [vec![b[0]; 25], vec![b[1]; 25]];
    for channel in 0..4 {
        for (row, column) in (0..2).flat_map(|row| (0..3).map(move |column| (row, column))) {
            for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                whole[channel / 2][(row * 2 + i) * 5 + column + j] +=
                    x[channel * 6 + row * 3 + column] * w[channel * 9 + i * 3 + j];
            }
        }
    }
    let cut = whole.iter().flat_map(|plane| {
        (1..5).flat_map(move |row| (0..3).map(move |column| plane[row * 5 + column]))
    });
    close(&found, &single(&cut.collect::<Vec<f64>>()));
}

#[test]
fn norms_are_their_formulas() {
    let x = numbers(7, 12);
    let graph = Graph::taking(&[3, 4])
        .floats("g", &[3], &[1.0, 2.0, -1.0])
        .floats("b", &[3], &[0.5, 0.0, 1.0])
        .floats("m", &[3], &[0.1, -0.2, 0.3])
        .floats("v", &[3], &[1.0, 0.25, 4.0])
        .node(
            "BatchNormalization",
            &["x", "g", "b", "m", "v"],
            &["y"],
            &[Setting::Float("epsilon", 0.5)],
        );
    let (_, found) = compute(&graph.file(), &[1, 3, 4], &x);
    let (g, b, m) = ([1.0, 2.0, -1.0], [0.5, 0.0, 1.0], [0.1, -0.2, 0.3]);
    let v = [1.0, 0.25, 4.0];
    let of_channel = |(at, x): (usize, &f64)| {
        let c = at / 4;
        (x - m[c]) / (v[c] + 0.5f64).sqrt() * g[c] + b[c]
    };
    let expected: Vec<f64> = double(&x).iter().enumerate().map(of_channel).collect();
    close(&found, &single(&expected));
    let (scale, shift) = ([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0]);
    let graph = Graph::taking(&[3, 4])
        .floats("g", &[4], &single(&scale))
        .floats("b", &[4], &single(&shift))
        .node(
            "LayerNormalization",
            &["x", "g", "b"],
            &["y"],
            &[Setting::Float("epsilon", 0.5)],
        );
    let (_, found) = compute(&graph.file(), &[1, 3, 4], &x);
    let mut expected = Vec::new();
    for row in double(&x).chunks(4) {
        let mean = row.iter().sum::<f64>() / 4.0;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
        let columns = row.iter().enumerate();
        expected.extend(
            columns.map(|(c, x)| (x - mean) / (variance + 0.5).sqrt() * scale[c] + shift[c]),
        );
    }
    close(&found, &single(&expected));
}

/// Before version 13, the axes from the given one on counted as one.
#[test]
fn an_old_softmax_joins_its_axes() {
    let x = numbers(8, 24);
    let graph = Graph::taking(&[3, 4]).node("Softmax", &["x"], &["y"], &[]);
    for (opset, count) in [(11, 12), (13, 4)] {
        let (_, found) = compute(&graph.with_opset(opset), &[2, 3, 4], &x);
        let mut expected = Vec::new();
        for row in double(&x).chunks(count) {
            let sum: f64 = row.iter().map(|x| x.exp()).sum();
            expected.extend(row.iter().map(|x| x.exp() / sum));
        }
        close(&found, &single(&expected));
    }
}

/// Values of the state, of one input and of the steps.
const HIDDEN: usize = 2;
const INPUTS: usize = 3;
const STEPS: usize = 2;

/// The last state of a cell of `kind` for `x`, `[STEPS, INPUTS]`, with its weights.
fn last_state(kind: &str, gates: usize, settings: &[Setting<'_>]) -> (Vec<f32>, Weights) {
    let weights = Weights {
        x: numbers(10, STEPS * INPUTS),
        w: numbers(11, gates * HIDDEN * INPUTS),
        r: numbers(12, gates * HIDDEN * HIDDEN),
        b: numbers(13, 2 * gates * HIDDEN),
        gates,
    };
    let rows = (gates * HIDDEN) as i64;
    let turned = [Setting::Ints("perm", &[1, 0, 2])];
    let graph = Graph::taking(&[STEPS as i64, INPUTS as i64])
        .floats("w", &[1, rows, INPUTS as i64], &weights.w)
        .floats("r", &[1, rows, HIDDEN as i64], &weights.r)
        .floats("b", &[1, 2 * rows], &weights.b)
        .node("Transpose", &["x"], &["t"], &turned)
        .node(kind, &["t", "w", "r", "b"], &["", "h"], settings)
        .node("Transpose", &["h"], &["y"], &turned);
    let (_, found) = compute(&graph.file(), &[1, STEPS, INPUTS], &weights.x);
    (found, weights)
}

struct Weights {
    x: Vec<f32>,
    w: Vec<f32>,
    r: Vec<f32>,
    b: Vec<f32>,
    gates: usize,
}

impl Weights {
    /// `W x + b` of a gate at a step, for one value of the state.
    fn of_input(&self, step: usize, gate: usize, value: usize) -> f64 {
        let row = gate * HIDDEN + value;
        let products = (0..INPUTS)
            .map(|i| f64::from(self.w[row * INPUTS + i]) * f64::from(self.x[step * INPUTS + i]));
        products.sum::<f64>() + f64::from(self.b[row])
    }

    /// `R h + b` of a gate, for one value of the state.
    fn of_state(&self, state: &[f64], gate: usize, value: usize) -> f64 {
        let row = gate * HIDDEN + value;
        let products = (0..HIDDEN).map(|i| f64::from(self.r[row * HIDDEN + i]) * state[i]);
        products.sum::<f64>() + f64::from(self.b[self.gates * HIDDEN + row])
    }
}

#[test]
fn a_long_short_term_memory_is_its_formula() {
    let (found, weights) = last_state("LSTM", 4, &[Setting::Int("hidden_size", HIDDEN as i64)]);
    let (mut state, mut memory) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN]);
    for step in 0..STEPS {
        let before = state.clone();
        for value in 0..HIDDEN {
            let gate = |gate: usize| {
                weights.of_input(step, gate, value) + weights.of_state(&before, gate, value)
            };
            // Input, output, forget, cell.
            let new = sigmoid(gate(0)) * gate(3).tanh();
            memory[value] = sigmoid(gate(2)) * memory[value] + new;
            state[value] = sigmoid(gate(1)) * memory[value].tanh();
        }
    }
    close(&found, &single(&state));
}

#[test]
fn gated_units_are_their_formula() {
    for resets_product in [false, true] {
        let settings = [
            Setting::Int("hidden_size", HIDDEN as i64),
            Setting::Int("linear_before_reset", i64::from(resets_product)),
        ];
        let (found, weights) = last_state("GRU", 3, &settings);
        let mut state = vec![0.0; HIDDEN];
        for step in 0..STEPS {
            let before = state.clone();
            // Update, reset, hidden.
            let gate = |gate: usize, value: usize| {
                sigmoid(
                    weights.of_input(step, gate, value) + weights.of_state(&before, gate, value),
                )
            };
            let reset: Vec<f64> = (0..HIDDEN).map(|value| gate(1, value)).collect();
            let kept: Vec<f64> = (0..HIDDEN).map(|i| reset[i] * before[i]).collect();
            for value in 0..HIDDEN {
                let inner = match resets_product {
                    true => reset[value] * weights.of_state(&before, 2, value),
                    false => weights.of_state(&kept, 2, value),
                };
                let new = (weights.of_input(step, 2, value) + inner).tanh();
                let update = gate(0, value);
                state[value] = (1.0 - update) * new + update * before[value];
            }
        }
        close(&found, &single(&state));
    }
}
