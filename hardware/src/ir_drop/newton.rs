//! Arrays whose cells do not obey Ohm's law.

use serde::{Deserialize, Serialize};

use super::network::check_length;
use super::nodal::potential;
use super::{CellLaw, NodalSolution, NodalSolver, nodal::Node};
use crate::HardwareError;

/// Newton's iteration for cells with any law of current and voltage.
///
/// Every step solves the network with the slopes of the cells for the currents that are left over at the nodes, and is
/// halved while it does not reduce them. One vector of inputs at a time: there is no effective matrix.
///
/// ```
/// use crossburn_hardware::ir_drop::{Newton, NodalSolver, SinhCell, WireNetwork, Wires};
/// use crossburn_hardware::units::{Ohm, Volt};
///
/// let network = WireNetwork::new(2, 2, &Wires::uniform(Ohm::new(5.0))?)?;
/// let law = SinhCell::new(Volt::new(0.3))?;
/// let solution = Newton::default().solve(
///     &NodalSolver::new(&network)?,
///     &[100.0, 50.0, 20.0, 80.0],
///     &law,
///     &[0.2, 0.1],
/// )?;
/// // More than the 25 µA of cells that obey Ohm's law.
/// assert!(solution.currents[0] > 25.0);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Newton {
    /// The largest current that may be left over at a node, relative to the largest current of a cell.
    pub tolerance: f64,
    /// Steps after which the iteration gives up.
    pub maximum_steps: usize,
}

impl Default for Newton {
    fn default() -> Self {
        Self {
            tolerance: 1e-10,
            maximum_steps: 50,
        }
    }
}

/// Halvings of one step.
const HALVINGS: usize = 40;

impl Newton {
    /// The same settings, if they are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(HardwareError::limit(
                "tolerance",
                self.tolerance,
                "the numbers between 0 and 1",
                "use 1e-10",
            ));
        }
        Ok(self)
    }

    /// Potentials and currents for one vector of inputs in V, one per line.
    ///
    /// # Shapes
    /// `conductances` in µS, `[outputs, lines]`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for what are no conductances or inputs of the network, and where the iteration does not
    /// converge; it names the current that is left over.
    pub fn solve(
        &self,
        solver: &NodalSolver,
        conductances: &[f32],
        law: &impl CellLaw,
        inputs: &[f64],
    ) -> Result<NodalSolution, HardwareError> {
        self.check()?;
        let network = solver.network();
        network.check_conductances(conductances)?;
        check_length("inputs", inputs.len(), network.lines())?;
        let state =
            |potentials: Vec<f64>| State::new(solver, conductances, law, inputs, potentials);
        let mut current = state(vec![0.0; solver.free()]);
        for _ in 0..self.maximum_steps {
            if current.converged(self.tolerance) {
                return Ok(solver.solution(inputs, &current.potentials, &current.currents));
            }
            let mut step = current.left_over.clone();
            solver
                .factor_cells(current.slopes.clone())?
                .solve_in_place(&mut step);
            let mut length = 1.0;
            let shorter = (0..HALVINGS).find_map(|_| {
                let potentials = current
                    .potentials
                    .iter()
                    .zip(&step)
                    .map(|(potential, step)| potential + length * step)
                    .collect();
                let next = state(potentials);
                let reduces = next.norm() < (1.0 - 1e-4 * length) * current.norm();
                length *= 0.5;
                reduces.then_some(next)
            });
            match shorter {
                Some(next) => current = next,
                None => break,
            }
        }
        if current.converged(self.tolerance) {
            return Ok(solver.solution(inputs, &current.potentials, &current.currents));
        }
        let largest = largest(&current.currents);
        Err(HardwareError::limit(
            "current left over at a node",
            format!("{:.2e} uA", current.worst()),
            format!("0..={:.2e} uA", self.tolerance * largest),
            "raise maximum_steps or tolerance, or lower the input voltages",
        ))
    }
}

/// The cells at some potentials.
struct State {
    potentials: Vec<f64>,
    /// µA, of every cell.
    currents: Vec<f64>,
    /// µS, of every cell.
    slopes: Vec<f64>,
    /// µA, into every free node.
    left_over: Vec<f64>,
    /// µA, what rounding alone may leave at every free node.
    rounding: Vec<f64>,
}

impl State {
    fn new(
        solver: &NodalSolver,
        conductances: &[f32],
        law: &impl CellLaw,
        inputs: &[f64],
        potentials: Vec<f64>,
    ) -> Self {
        let at = |node| potential(node, inputs, &potentials);
        let (mut left_over, mut rounding) =
            (vec![0.0; potentials.len()], vec![0.0; potentials.len()]);
        let mut flow = |nodes: [Node; 2], current: f64, error: f64| {
            for (node, sign) in nodes.into_iter().zip([-1.0, 1.0]) {
                if let Node::Free(index) = node {
                    left_over[index] += sign * current;
                    rounding[index] += 8.0 * f64::EPSILON * error;
                }
            }
        };
        let (mut currents, mut slopes) = (Vec::new(), Vec::new());
        for ([a, b], conductance) in solver.cells.iter().zip(conductances) {
            let (current, slope) = law.current(f64::from(*conductance), at(*a) - at(*b));
            flow([*a, *b], current, slope * at(*a).abs().max(at(*b).abs()));
            currents.push(current);
            slopes.push(slope);
        }
        for ([from, to], conductance) in &solver.wires {
            let largest = at(*from).abs().max(at(*to).abs());
            flow(
                [*from, *to],
                conductance * (at(*from) - at(*to)),
                conductance * largest,
            );
        }
        Self {
            currents,
            slopes,
            left_over,
            rounding,
            potentials,
        }
    }

    fn converged(&self, tolerance: f64) -> bool {
        let limit = tolerance * largest(&self.currents);
        limit.is_finite()
            && self
                .left_over
                .iter()
                .zip(&self.rounding)
                .all(|(left_over, rounding)| left_over.abs() <= limit + rounding)
    }

    fn norm(&self) -> f64 {
        self.left_over.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    fn worst(&self) -> f64 {
        largest(&self.left_over)
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ir_drop::{LinearCell, SinhCell, WireNetwork, Wires};
    use crate::units::{Ohm, Volt};
    use crossburn_noise::Philox;

    fn array(outputs: usize, inputs: usize, segment: f64) -> (NodalSolver, Vec<f32>, Vec<f64>) {
        let wires = Wires::uniform(Ohm::new(segment)).unwrap();
        let network = WireNetwork::new(outputs, inputs, &wires).unwrap();
        let draws = Philox::new(2, 1);
        let cells = (0..outputs * inputs)
            .map(|i| 100.0 * draws.uniform(i as u64) as f32)
            .collect();
        let x = (0..inputs)
            .map(|i| 0.4 * draws.uniform(1 << 20 | i as u64) - 0.2)
            .collect();
        (NodalSolver::new(&network).unwrap(), cells, x)
    }

    #[test]
    fn the_linear_law_gives_the_linear_answer() {
        let (solver, cells, x) = array(16, 20, 5.0);
        let linear = solver.factor(&cells).unwrap().solve(&x).unwrap();
        let found = Newton::default()
            .solve(&solver, &cells, &LinearCell {}, &x)
            .unwrap();
        for (a, b) in found.currents.iter().zip(&linear.currents) {
            // The tolerance is 1e-10 of a cell's current, 320 cells of at most 20 µA.
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        // A large V₀ is the linear law, too: sinh(u) / u - 1 = u² / 6 < 1e-9 for u = 0.4 / 5000.
        let law = SinhCell::new(Volt::new(5000.0)).unwrap();
        let found = Newton::default().solve(&solver, &cells, &law, &x).unwrap();
        for (a, b) in found.currents.iter().zip(&linear.currents) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn one_cell_obeys_its_law_behind_its_wires() {
        let (solver, cells, _) = array(1, 1, 500.0);
        let law = SinhCell::new(Volt::new(0.2)).unwrap();
        let solution = Newton::default()
            .solve(&solver, &cells, &law, &[1.5])
            .unwrap();
        let current = solution.currents[0];
        // 1 kΩ of wire: what is left falls over the cell.
        let expected = law.current(f64::from(cells[0]), 1.5 - 1e-3 * current).0;
        assert!(
            (current - expected).abs() < 1e-6 * current,
            "{current} {expected}"
        );
    }

    #[test]
    fn currents_that_are_left_over_are_named() {
        let (solver, cells, _) = array(4, 4, 50.0);
        let law = SinhCell::new(Volt::new(0.1)).unwrap();
        let hasty = Newton {
            maximum_steps: 1,
            ..Newton::default()
        };
        let message = hasty
            .solve(&solver, &cells, &law, &[1.0; 4])
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("current left over at a node = ")
                && message.contains(" uA is outside 0..="),
            "{message}"
        );
        assert!(
            Newton::default()
                .solve(&solver, &cells, &law, &[1.0; 4])
                .is_ok()
        );
        let zero = Newton {
            tolerance: 0.0,
            ..hasty
        };
        assert!(zero.solve(&solver, &cells, &law, &[1.0; 4]).is_err());
    }

    #[test]
    fn a_closure_is_a_law() {
        // Quadratic, odd: I = g V (1 + |V|).
        let law = |g: f64, v: f64| (g * v * (1.0 + v.abs()), g * (1.0 + 2.0 * v.abs()));
        let (solver, cells, x) = array(3, 2, 0.0);
        let solution = Newton::default().solve(&solver, &cells, &law, &x).unwrap();
        for (line, current) in cells.chunks(2).zip(&solution.currents) {
            let expected: f64 = line
                .iter()
                .zip(&x)
                .map(|(g, x)| law(f64::from(*g), *x).0)
                .sum();
            assert!((current - expected).abs() < 1e-12);
        }
    }
}
