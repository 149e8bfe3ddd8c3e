//! What a network takes the items of each label for.

use std::collections::BTreeMap;

/// A confusion matrix: how many items of each label a network takes for each label. Only what is not 0 is held, so that many
/// labels are no burden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// The labels, by their numbers.
    pub names: Vec<String>,
    /// Items by the numbers of their true label and of the predicted one.
    pub counts: BTreeMap<(usize, usize), u64>,
}

impl Confusion {
    /// Adds an item; `name` is what the label with a number is called.
    pub fn add(&mut self, right: usize, predicted: usize, name: impl Fn(usize) -> String) {
        let known = self.names.len();
        self.names.extend((known..=right.max(predicted)).map(name));
        *self.counts.entry((right, predicted)).or_default() += 1;
    }
}
