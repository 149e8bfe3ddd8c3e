//! The command that repeats an evaluation.

use crossburn_training::data::DataSource;

use super::Evaluate;
use crate::cli::command_line;

impl Evaluate {
    /// The command that draws the whole population: with the data of the training, `source`, where none was named.
    pub(super) fn reproduce(&self, source: &DataSource) -> String {
        let mut resolved = vec![("data", source.to_string())];
        if self.hardware.hardware.is_none() {
            resolved.extend(self.noise.resolved());
        }
        command_line::repeated(&resolved)
    }
}
