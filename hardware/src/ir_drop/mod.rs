//! Wire resistance: what an array computes if its lines are not perfect conductors.
//!
//! [`WireNetwork`] is the exact linear network of one array; [`WireNetwork::effective`] turns programmed conductances into
//! the matrix that the array computes with, once per chip. [`NodalSolver`] gives the same result by another algorithm, and
//! the potential at every cell.
//!
//! # Cost
//! The effective matrix is extracted once per programmed array; products with it are ordinary ones. Arrays are independent:
//! extract them on as many threads as there are.
//!
//! # Tried
//! Ways to the effective matrix of n × n cells, one thread, milliseconds. The first two lines were measured in one run of
//! `cargo bench --workspace --bench ir_drop`; the other two in another, the smallest of repeated runs on a busier machine:
//!
//! ```text
//!                                                        n = 64     128     256
//! joining blocks (the default)                              2.9      19      93
//! sparse Cholesky, minimum degree: factor + n solutions   4 + 10  27 + 188  106 + 1600
//! joining blocks                                            2.9      59     363
//! elimination of row after row, dense Cholesky              9.8     164    1304
//! ```
//!
//! The last one is not in the code: it takes O(n⁴), and joining blocks O(n³). Within the joins, computing lower halves only,
//! and leaves of 6 or 8 cells instead of 4, made no measurable difference. Iterations that relax line after line, or
//! conjugate gradients with lines as preconditioner, were not tried: with n right-hand sides, every iteration passes n³
//! values.
mod blocks;
mod network;
mod nodal;
mod wire_resistance;
mod wires;

pub use network::{PairArrangement, WireNetwork, interleave};
pub use nodal::{NodalFactor, NodalSolution, NodalSolver};
pub use wire_resistance::{WireNode, wire_resistance};
pub use wires::Wires;
