//! The exact solution at every node, by sparse Cholesky factors: the reference, and the potentials inside the array.

use faer::linalg::solvers::Solve;
use faer::sparse::linalg::solvers::{Llt, SymbolicLlt};
use faer::sparse::{Argsort, Pair, SparseColMat, SymbolicSparseColMat};
use faer::{Mat, Side};

use super::WireNetwork;
use super::network::check_length;
use crate::HardwareError;

/// Kirchhoff's current law at every node of a [`WireNetwork`], factored by sparse Cholesky.
///
/// The pattern depends on the shape of the network alone: make one solver per shape and share it between chips. Nodes that
/// a wire without resistance connects are one node, and a node tied to a source or to ground is none, so that any wire may
/// be ideal.
///
/// ```
/// use crossburn_hardware::ir_drop::{NodalSolver, WireNetwork, Wires};
/// use crossburn_hardware::units::Ohm;
///
/// let network = WireNetwork::new(1, 1, &Wires::uniform(Ohm::new(500.0))?)?;
/// let solver = NodalSolver::new(&network)?;
/// let solution = solver.factor(&[100.0])?.solve(&[1.1])?;
/// // 1.1 V over 500 Ω, 10 kΩ and 500 Ω.
/// assert!((solution.currents[0] - 100.0).abs() < 1e-9);
/// assert!((solution.input_potentials[0] - 1.05).abs() < 1e-12);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Debug)]
pub struct NodalSolver {
    network: WireNetwork,
    free: usize,
    /// The two nodes of every cell.
    cells: Vec<[Node; 2]>,
    /// The two nodes of every wire with resistance, and its conductance in µS.
    wires: Vec<([Node; 2], f64)>,
    /// Nothing where every node is a source or a ground.
    pattern: Option<Pattern>,
}

/// The end of a cell or a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// An unknown potential.
    Free(usize),
    /// The source of an input line.
    Source(usize),
    /// The virtual ground of an output line.
    Ground(usize),
}

#[derive(Debug)]
struct Pattern {
    matrix: SymbolicSparseColMat<usize>,
    order: Argsort<usize>,
    cholesky: SymbolicLlt<usize>,
}

/// Potentials and currents for one vector of inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct NodalSolution {
    /// V, of the input line at every cell, `[outputs, lines]`.
    pub input_potentials: Vec<f64>,
    /// V, of the output line at every cell, `[outputs, lines]`.
    pub output_potentials: Vec<f64>,
    /// µA, into virtual ground, one per output.
    pub currents: Vec<f64>,
}

impl NodalSolver {
    /// Numbers the nodes and analyses the pattern.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] where the memory for the factor is not there.
    pub fn new(network: &WireNetwork) -> Result<Self, HardwareError> {
        let (outputs, lines) = (network.outputs(), network.lines());
        let mut free = 0;
        let mut wires = Vec::new();
        let mut next = |previous: Node, resistance: f64, wires: &mut Vec<([Node; 2], f64)>| {
            if resistance == 0.0 {
                return previous;
            }
            let node = Node::Free(free);
            free += 1;
            wires.push(([previous, node], 1.0 / resistance));
            node
        };
        let mut cells = vec![[Node::Source(0); 2]; outputs * lines];
        for line in 0..lines {
            let mut node = Node::Source(line);
            for (output, resistance) in network.input_segments.iter().enumerate() {
                node = next(node, *resistance, &mut wires);
                cells[output * lines + line][0] = node;
            }
        }
        for output in 0..outputs {
            let mut node = Node::Ground(output);
            for (line, resistance) in network.output_segments.iter().enumerate().rev() {
                node = next(node, *resistance, &mut wires);
                cells[output * lines + line][1] = node;
            }
        }
        let mut solver = Self {
            network: network.clone(),
            free,
            cells,
            wires,
            pattern: None,
        };
        if free > 0 {
            let mut places = Vec::new();
            solver.entries(&vec![0.0; outputs * lines], |row, col, _| {
                places.push(Pair { row, col });
            });
            let (matrix, order) = SymbolicSparseColMat::try_new_from_indices(free, free, &places)
                .map_err(|error| solver.failure(&error))?;
            let cholesky = SymbolicLlt::try_new(matrix.as_ref(), Side::Lower)
                .map_err(|error| solver.failure(&error))?;
            solver.pattern = Some(Pattern {
                matrix,
                order,
                cholesky,
            });
        }
        Ok(solver)
    }

    /// The network that is solved.
    pub fn network(&self) -> &WireNetwork {
        &self.network
    }

    /// Factors the network with these cells.
    ///
    /// # Shapes
    /// `conductances` in µS, `[outputs, lines]`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for what are no conductances of this network, [`HardwareError::Conflict`] for wires whose
    /// resistances differ by more than 64-bit floats can hold.
    pub fn factor(&self, conductances: &[f32]) -> Result<NodalFactor<'_>, HardwareError> {
        self.network.check_conductances(conductances)?;
        let cells: Vec<f64> = conductances.iter().map(|g| f64::from(*g)).collect();
        let cholesky = match &self.pattern {
            None => None,
            Some(pattern) => {
                let mut values = Vec::with_capacity(3 * (self.cells.len() + self.wires.len()));
                self.entries(&cells, |_, _, value| values.push(value));
                let matrix =
                    SparseColMat::new_from_argsort(pattern.matrix.clone(), &pattern.order, &values)
                        .map_err(|error| self.failure(&error))?;
                let cholesky = Llt::try_new_with_symbolic(
                    pattern.cholesky.clone(),
                    matrix.as_ref(),
                    Side::Lower,
                )
                .map_err(|error| self.failure(&error))?;
                Some(cholesky)
            }
        };
        Ok(NodalFactor {
            solver: self,
            cells,
            cholesky,
        })
    }

    /// Cells and wires with their conductances.
    fn edges<'a>(&'a self, cells: &'a [f64]) -> impl Iterator<Item = ([Node; 2], f64)> + 'a {
        let cells = self.cells.iter().copied().zip(cells.iter().copied());
        cells.chain(self.wires.iter().copied())
    }

    /// The entries of the lower half of the nodal matrix, in an order that does not depend on the values.
    fn entries(&self, cells: &[f64], mut entry: impl FnMut(usize, usize, f64)) {
        for (nodes, conductance) in self.edges(cells) {
            for node in nodes {
                if let Node::Free(index) = node {
                    entry(index, index, conductance);
                }
            }
            if let [Node::Free(one), Node::Free(other)] = nodes {
                entry(one.max(other), one.min(other), -conductance);
            }
        }
    }

    fn failure(&self, error: &dyn std::fmt::Debug) -> HardwareError {
        HardwareError::conflict(
            format!(
                "the wires of {} x {} cells cannot be solved ({error:?})",
                self.network.outputs(),
                self.network.lines()
            ),
            "set resistances that do not matter to 0 Ohm, or use smaller arrays",
        )
    }
}

/// A factored network.
#[derive(Debug)]
pub struct NodalFactor<'a> {
    solver: &'a NodalSolver,
    /// µS.
    cells: Vec<f64>,
    cholesky: Option<Llt<usize, f64>>,
}

impl NodalFactor<'_> {
    /// The matrix that the array computes with, in µS, `[outputs, lines]`: the same as [`WireNetwork::effective`] by
    /// another algorithm.
    ///
    /// One solution per input or per output, whichever are fewer: the network is reciprocal.
    pub fn effective(&self) -> Vec<f32> {
        let (outputs, lines) = (self.solver.network.outputs(), self.solver.network.lines());
        let from_outputs = outputs <= lines;
        let mut potentials = Mat::zeros(self.solver.free, outputs.min(lines));
        for (nodes, conductance) in self.solver.edges(&self.cells) {
            match nodes {
                [Node::Free(n), Node::Ground(o)] | [Node::Ground(o), Node::Free(n)]
                    if from_outputs =>
                {
                    potentials[(n, o)] += conductance;
                }
                [Node::Free(n), Node::Source(i)] | [Node::Source(i), Node::Free(n)]
                    if !from_outputs =>
                {
                    potentials[(n, i)] += conductance;
                }
                _ => {}
            }
        }
        if let Some(cholesky) = &self.cholesky {
            cholesky.solve_in_place(potentials.as_mut());
        }
        let mut effective = vec![0.0; outputs * lines];
        for (nodes, conductance) in self.solver.edges(&self.cells) {
            match nodes {
                [Node::Source(i), Node::Ground(o)] | [Node::Ground(o), Node::Source(i)] => {
                    effective[o * lines + i] += conductance;
                }
                [Node::Free(n), Node::Source(i)] | [Node::Source(i), Node::Free(n)]
                    if from_outputs =>
                {
                    for o in 0..outputs {
                        effective[o * lines + i] += conductance * potentials[(n, o)];
                    }
                }
                [Node::Free(n), Node::Ground(o)] | [Node::Ground(o), Node::Free(n)]
                    if !from_outputs =>
                {
                    for i in 0..lines {
                        effective[o * lines + i] += conductance * potentials[(n, i)];
                    }
                }
                _ => {}
            }
        }
        effective.into_iter().map(|value| value as f32).collect()
    }

    /// Potentials and currents for one vector of inputs in V, one per line.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of inputs.
    pub fn solve(&self, inputs: &[f64]) -> Result<NodalSolution, HardwareError> {
        check_length("inputs", inputs.len(), self.solver.network.lines())?;
        let mut potentials = vec![0.0; self.solver.free];
        for (nodes, conductance) in self.solver.edges(&self.cells) {
            if let [Node::Free(n), Node::Source(i)] | [Node::Source(i), Node::Free(n)] = nodes {
                potentials[n] += conductance * inputs[i];
            }
        }
        self.solve_in_place(&mut potentials);
        let cell_currents: Vec<f64> = self
            .solver
            .cells
            .iter()
            .zip(&self.cells)
            .map(|(nodes, g)| {
                let [a, b] = nodes.map(|node| potential(node, inputs, &potentials));
                g * (a - b)
            })
            .collect();
        Ok(self.solver.solution(inputs, &potentials, &cell_currents))
    }

    /// Replaces currents into the free nodes by their potentials.
    fn solve_in_place(&self, values: &mut [f64]) {
        if let Some(cholesky) = &self.cholesky {
            let mut right = faer::ColMut::from_slice_mut(values);
            cholesky.solve_in_place(right.as_mut());
        }
    }
}

impl NodalSolver {
    /// Collects the solution at every cell. The current of a line into ground is the sum over its cells.
    fn solution(&self, inputs: &[f64], potentials: &[f64], cell_currents: &[f64]) -> NodalSolution {
        let at = |side: usize| {
            self.cells
                .iter()
                .map(|nodes| potential(nodes[side], inputs, potentials))
                .collect()
        };
        NodalSolution {
            input_potentials: at(0),
            output_potentials: at(1),
            currents: cell_currents
                .chunks_exact(self.network.lines())
                .map(|line| line.iter().sum())
                .collect(),
        }
    }
}

/// The potential of a node.
fn potential(node: Node, inputs: &[f64], free: &[f64]) -> f64 {
    match node {
        Node::Free(index) => free[index],
        Node::Source(line) => inputs[line],
        Node::Ground(_) => 0.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ir_drop::Wires;
    use crate::units::Ohm;
    use crossburn_noise::Philox;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn currents_balance_at_every_node(
            (outputs, inputs) in (1usize..12, 1usize..12),
            resistances in prop::array::uniform4(-1.0f64..4.0),
            seed: u64,
        ) {
            let [r_in, r_out, t_in, t_out] = resistances.map(|power| 10f64.powf(power));
            let wires = Wires {
                input_segment: Ohm::new(r_in),
                output_segment: Ohm::new(r_out),
                input_terminal: Ohm::new(t_in),
                output_terminal: Ohm::new(t_out),
            };
            let network = WireNetwork::new(outputs, inputs, &wires).unwrap();
            let draws = Philox::new(seed, 1);
            let uniform = |i: usize| draws.uniform(i as u64);
            let g: Vec<f32> = (0..outputs * inputs).map(|i| 100.0 * uniform(i) as f32).collect();
            let x: Vec<f64> = (0..inputs).map(|i| 2.0 * uniform(1000 + i) - 1.0).collect();
            let solver = NodalSolver::new(&network).unwrap();
            let solution = solver.factor(&g).unwrap().solve(&x).unwrap();
            let (a, b) = (&solution.input_potentials, &solution.output_potentials);
            // Written down again from the drawing of the network, in µA, V and Ω. A sum of currents is exact up to the
            // rounding of potentials below 1 V, times the conductances at the node.
            let stiffest = 2e6 / r_in.min(r_out) + 100.0;
            let close = |sum: f64| sum.abs() <= 4.0 * f64::EPSILON * stiffest;
            for o in 0..outputs {
                for (i, source) in x.iter().enumerate() {
                    let at = o * inputs + i;
                    let cell = f64::from(g[at]) * (a[at] - b[at]);
                    let above = match o {
                        0 => (source - a[at]) * 1e6 / (r_in + t_in),
                        _ => (a[at - inputs] - a[at]) * 1e6 / r_in,
                    };
                    let below = match o + 1 == outputs {
                        true => 0.0,
                        false => (a[at] - a[at + inputs]) * 1e6 / r_in,
                    };
                    prop_assert!(close(above - below - cell), "input {o} {i}: {}", above - below - cell);
                    let left = if i == 0 { 0.0 } else { (b[at - 1] - b[at]) * 1e6 / r_out };
                    let right = match i + 1 == inputs {
                        true => b[at] * 1e6 / (r_out + t_out),
                        false => (b[at] - b[at + 1]) * 1e6 / r_out,
                    };
                    prop_assert!(close(left + cell - right), "output {o} {i}: {}", left + cell - right);
                    if i + 1 == inputs {
                        prop_assert!((solution.currents[o] - right).abs() <= inputs as f64 * 4.0 * f64::EPSILON * stiffest);
                    }
                }
            }
            // And the effective matrix gives these currents.
            let effective = network.effective(&g).unwrap();
            for (line, current) in effective.chunks(inputs).zip(&solution.currents) {
                let product: f64 = line.iter().zip(&x).map(|(g, x)| f64::from(*g) * x).sum();
                // 24 bits of up to 12 conductances below 100 µS.
                prop_assert!((product - current).abs() < 12.0 * 6e-6, "{} {}", product, current);
            }
        }
    }

    #[test]
    fn an_array_of_ideal_wires_has_nothing_to_solve() {
        let network = WireNetwork::new(2, 2, &Wires::default()).unwrap();
        let solver = NodalSolver::new(&network).unwrap();
        let factor = solver.factor(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(factor.effective(), [1.0, 2.0, 3.0, 4.0]);
        let solution = factor.solve(&[1.0, -1.0]).unwrap();
        assert_eq!(solution.currents, [-1.0, -1.0]);
        assert!(factor.solve(&[1.0]).is_err());
        assert!(solver.factor(&[1.0]).is_err());
    }
}
