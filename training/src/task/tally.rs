//! What adds up over batches to a metric.

/// What adds up over batches to a metric. Parts of a data set are counted apart and merged in order.
pub trait Tally: Clone + Default + Send {
    /// Adds the items of `other`.
    fn merge(&mut self, other: Self);
}

/// The mean of a number over items: a tally that many tasks share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanTally {
    /// Sum over the items.
    pub sum: f64,
    /// Number of items.
    pub items: usize,
}

impl MeanTally {
    /// Adds one item.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.items += 1;
    }

    /// The mean; 0 of no items.
    pub fn mean(&self) -> f64 {
        self.sum / self.items.max(1) as f64
    }
}

impl Tally for MeanTally {
    fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.items += other.items;
    }
}
