//! The command that repeats an evaluation.

use super::job::EvaluationJob;
use crate::cli::command_line;

impl EvaluationJob<'_> {
    /// The command that draws the whole population: with the data of the training where none was named.
    pub(super) fn reproduce(&self) -> String {
        let arguments = self.arguments;
        let mut resolved = vec![("data", self.source.to_string())];
        if arguments.hardware.hardware.is_none() {
            resolved.extend(arguments.noise.resolved());
        }
        command_line::repeated(&resolved)
    }
}
