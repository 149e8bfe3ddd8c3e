//! How many designs a space has, and which.

use super::{Design, Space, counted_by};
use crate::search::axis::{Choice, Times};

impl Space {
    /// Designs, whether or not they keep the constraints.
    pub fn size(&self) -> f64 {
        let mut product = 1.0;
        for axis in &self.axes {
            let own = axis.choices.len() as f64;
            let counted = match &axis.times {
                Times::Fixed(times) if !self.counts_others(axis) => own.powi(*times as i32),
                // An axis that counts positions of others comes with them.
                Times::Fixed(_) => {
                    let others = |times: usize| -> f64 {
                        let counted = self.axes.iter().filter(|other| counted_by(other, axis));
                        counted
                            .map(|other| (other.choices.len() as f64).powi(times as i32))
                            .product()
                    };
                    axis.choices
                        .iter()
                        .filter_map(Choice::size)
                        .map(others)
                        .sum()
                }
                Times::Axis(_) => 1.0,
            };
            product *= counted;
        }
        product
    }

    /// All designs, whether or not they keep the constraints, each once.
    pub fn designs(&self) -> impl Iterator<Item = Design> + '_ {
        let mut next = Some(vec![0u16; self.positions()]);
        std::iter::from_fn(move || {
            let current = next.take()?;
            next = self.after(current.clone());
            Some(Design(current))
        })
    }

    /// The numbers of the design after that of `numbers`.
    fn after(&self, mut numbers: Vec<u16>) -> Option<Vec<u16>> {
        let design = Design(numbers.clone());
        // An axis that counts positions of others moves on last: which positions are used stays the same while they are counted through.
        let counts = |at: &usize| self.counts_others(self.axis_at(*at));
        let positions = || (0..self.positions()).rev();
        let order = positions()
            .filter(|at| !counts(at))
            .chain(positions().filter(counts));
        for at in order {
            if !self.uses(&design, at) {
                continue;
            }
            numbers[at] += 1;
            if usize::from(numbers[at]) < self.axis_at(at).choices.len() {
                return self.design(numbers).map(|design| design.0);
            }
            numbers[at] = 0;
        }
        None
    }
}
