//! Recurrent cells over a sequence. Their two matrices are linear layers, which may lie on arrays.

use burn::tensor::Tensor;
use crossburn_kernels::{sigmoid, tanh};

use super::super::dense::Dense;
use super::super::host::{Elements, Host};
use super::super::layer::Layer;
use super::super::node::{Cut, Failure, Node, linear_layer};
use super::super::value::{Call, Value};
use super::Operator;
use super::matrix::apply_linear;

pub(super) const KINDS: &[&str] = &["GRU", "LSTM", "RNN"];

/// Values that a state holds at most.
const LARGEST_STATE: usize = 1 << 20;

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    let (cell, gates, usual): (_, _, &[&str]) = match node.proto.op_type.as_str() {
        "GRU" => {
            let resets_product = attributes.flag("linear_before_reset", false)?;
            (Cell::Gru { resets_product }, 3, &["Sigmoid", "Tanh"])
        }
        "LSTM" => (Cell::Lstm, 4, &["Sigmoid", "Tanh", "Tanh"]),
        "RNN" => (Cell::Simple, 1, &["Tanh"]),
        _ => return Ok(None),
    };
    let directions: &[bool] = match attributes.text("direction", "forward")?.as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("direction = {other:?} is not known").into()),
    };
    if let Some(functions) = attributes.texts("activations")?
        && functions
            .iter()
            .ne(usual.iter().cycle().take(usual.len() * directions.len()))
    {
        return Err(format!("activations = {functions:?} are not the usual ones").into());
    }
    if attributes.int("layout", 0)? != 0
        || attributes.int("input_forget", 0)? != 0
        || attributes.given_float("clip")?.is_some()
    {
        return Err("layout, input_forget and clip are not known"
            .to_string()
            .into());
    }
    if node.has(4) || node.has(7) {
        return Err("lengths of sequences and peepholes are not known"
            .to_string()
            .into());
    }
    let hidden = usize::try_from(attributes.int("hidden_size", 0)?).unwrap_or_default();
    let count = directions.len();
    let (weight, recurrence) = (node.weight(1, "weight")?, node.weight(2, "recurrence")?);
    let inputs = weight.shape().last().copied().unwrap_or_default();
    let rows = gates * hidden;
    if hidden == 0
        || hidden > LARGEST_STATE
        || weight.shape() != [count, rows, inputs]
        || recurrence.shape() != [count, rows, hidden]
    {
        return Err(format!(
            "weights of shapes {:?} and {:?} do not fit {count} directions of {hidden} values",
            weight.shape(),
            recurrence.shape()
        )
        .into());
    }
    let bias = match node.has(3) {
        true => Some(node.weight(3, "bias")?),
        false => None,
    };
    if bias
        .as_ref()
        .is_some_and(|bias| bias.shape() != [count, 2 * rows])
    {
        return Err("its bias does not fit its weights".to_string().into());
    }
    let mut sides = Vec::with_capacity(count);
    for (side, backward) in directions.iter().enumerate() {
        let part = |values: &Host, size: usize, from: usize, to: usize| {
            values.floats()[side * size + from..side * size + to].to_vec()
        };
        let half = |first: bool| -> Result<Option<Host>, String> {
            let Some(bias) = &bias else {
                return Ok(None);
            };
            let from = if first { 0 } else { rows };
            let values = part(bias, 2 * rows, from, from + rows);
            Host::new(vec![rows], Elements::Floats(values)).map(Some)
        };
        let matrix = |values: &Host, columns: usize, bias: Option<Host>, node: &Node<'_, '_>| {
            let values = part(values, rows * columns, 0, rows * columns);
            let shape = [rows, columns];
            Layer::Linear(linear_layer(
                &values,
                shape,
                true,
                bias.as_ref(),
                node.device(),
            ))
        };
        let cut = |weight: usize, columns: usize, from: usize| Cut {
            weight: (weight, side * rows * columns),
            bias: bias.as_ref().map(|_| (3, 2 * side * rows + from)),
        };
        let reverse = if *backward { "_reverse" } else { "" };
        let input = matrix(&weight, inputs, half(true)?, node);
        let input = node.part(&format!("input{reverse}"), &cut(1, inputs, 0), input)?;
        let state = matrix(&recurrence, hidden, half(false)?, node);
        let state = node.part(&format!("state{reverse}"), &cut(2, hidden, rows), state)?;
        sides.push(Side {
            input,
            state,
            backward: *backward,
        });
    }
    Ok(Some(Box::new(Recurrent {
        cell,
        hidden,
        sides,
    })))
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Simple,
    Gru {
        /// Whether the reset gate acts on the product with the state rather than on the state.
        resets_product: bool,
    },
    Lstm,
}

/// One direction.
#[derive(Debug)]
struct Side {
    /// The layer of the inputs.
    input: usize,
    /// The layer of the state.
    state: usize,
    backward: bool,
}

/// Cells that go through a sequence, `[steps, batch, inputs]`.
#[derive(Debug)]
struct Recurrent {
    cell: Cell,
    hidden: usize,
    sides: Vec<Side>,
}

/// A step's worth of one state, `[batch, hidden]`.
type State = Tensor<2>;

impl Recurrent {
    /// The next state and the next memory of a cell, from the products of inputs and state with their matrices.
    fn step(
        &self,
        x: Tensor<2>,
        state: State,
        memory: State,
        product: impl Fn(State) -> Result<Tensor<2>, String>,
    ) -> Result<(State, State), String> {
        let h = self.hidden;
        let gate = |all: &Tensor<2>, number: usize| all.clone().narrow(1, number * h, h);
        match self.cell {
            Cell::Simple => Ok((tanh(x + product(state)?), memory)),
            Cell::Lstm => {
                // Gates in the order of the standard: input, output, forget, cell.
                let all = x + product(state)?;
                let kept = sigmoid(gate(&all, 2)) * memory;
                let memory = kept + sigmoid(gate(&all, 0)) * tanh(gate(&all, 3));
                Ok((sigmoid(gate(&all, 1)) * tanh(memory.clone()), memory))
            }
            Cell::Gru { resets_product } => {
                // Gates in the order of the standard: update, reset, hidden.
                let all = product(state.clone())?;
                let update = sigmoid(gate(&x, 0) + gate(&all, 0));
                let reset = sigmoid(gate(&x, 1) + gate(&all, 1));
                let inner = match resets_product {
                    true => reset * gate(&all, 2),
                    false => gate(&product(reset * state.clone())?, 2),
                };
                let new = tanh(gate(&x, 2) + inner);
                let state = (update.clone().neg() + 1.0) * new + update * state;
                Ok((state, memory))
            }
        }
    }

    /// The start of a side, from an input or zeros.
    fn start(
        &self,
        call: &Call<'_>,
        input: usize,
        side: usize,
        batch: usize,
    ) -> Result<State, String> {
        let h = self.hidden;
        if call.given(input).is_none() {
            return Ok(Tensor::zeros([batch, h], call.device));
        }
        let all = call.dense(input)?;
        if all.shape() != [self.sides.len(), batch, h] {
            return Err(format!(
                "its first state has the shape {:?}, not [{}, {batch}, {h}]: the export may have fixed the batch",
                all.shape(),
                self.sides.len()
            ));
        }
        all.every(0, side, 1, 1)?
            .reshaped(vec![batch, h])?
            .with_axes()
    }
}

impl Operator for Recurrent {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let [steps, batch, _] = x.shape() else {
            return Err(format!(
                "its input has the shape {:?}, not three axes",
                x.shape()
            ));
        };
        let (steps, batch) = (*steps, *batch);
        if steps == 0 || batch == 0 {
            return Err("its input is empty".to_string());
        }
        let linear = |number: usize| match call.layer(number) {
            Layer::Linear(layer) => Ok(layer),
            _ => Err("its layer is not linear".to_string()),
        };
        let h = self.hidden;
        let (mut outputs, mut last, mut memories) = (Vec::new(), Vec::new(), Vec::new());
        for (number, side) in self.sides.iter().enumerate() {
            // All inputs at once: they do not wait for the state.
            let inputs: Tensor<3> = apply_linear(linear(side.input)?, x.clone())?.with_axes()?;
            let columns = inputs.dims()[2];
            let mut state = self.start(call, 5, number, batch)?;
            let mut memory = self.start(call, 6, number, batch)?;
            let recurrence = linear(side.state)?;
            let mut states = Vec::with_capacity(steps);
            for step in 0..steps {
                let at = if side.backward {
                    steps - 1 - step
                } else {
                    step
                };
                let input = inputs.clone().narrow(0, at, 1).reshape([batch, columns]);
                (state, memory) = self.step(input, state, memory, |state| {
                    apply_linear(recurrence, Dense::new(state))?.with_axes()
                })?;
                states.push(Dense::new(state.clone()).reshaped(vec![1, 1, batch, h])?);
            }
            if side.backward {
                states.reverse();
            }
            outputs.push(Dense::joined(states, 0)?);
            last.push(Dense::new(state).reshaped(vec![1, batch, h])?);
            memories.push(Dense::new(memory).reshaped(vec![1, batch, h])?);
        }
        let mut results = vec![Dense::joined(outputs, 1)?, Dense::joined(last, 0)?];
        if let Cell::Lstm = self.cell {
            results.push(Dense::joined(memories, 0)?);
        }
        Ok(results.into_iter().map(Value::Dense).collect())
    }
}
