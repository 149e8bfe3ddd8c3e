//! Wire resistance: what an array computes where its lines are no perfect conductors.
//!
//! [`WireNetwork`] is the exact linear network of one array; [`WireNetwork::effective`] turns programmed conductances into
//! the matrix that the array computes with, once per chip. [`NodalSolver`] gives the same by another algorithm, and the
//! potentials at every cell. [`Newton`] solves arrays whose cells follow any [`CellLaw`]. [`Approximation`] is a published
//! polynomial instead of the network.
mod approximation;
mod blocks;
mod cell_law;
mod network;
mod newton;
mod nodal;
mod wire_resistance;
mod wires;

pub use approximation::{Approximation, ApproximationError};
pub use cell_law::{CellLaw, LinearCell, SinhCell};
pub use network::{PairArrangement, WireNetwork, interleave};
pub use newton::Newton;
pub use nodal::{NodalFactor, NodalSolution, NodalSolver};
pub use wire_resistance::{WireNode, wire_resistance};
pub use wires::Wires;
