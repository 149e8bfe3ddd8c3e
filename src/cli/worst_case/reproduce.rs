//! The command that repeats a search.

use crossburn_noise::worst_case::Search;

use super::job::WorstCaseJob;
use super::room::Room;
use crate::cli::command_line;

impl WorstCaseJob<'_> {
    /// The command that repeats the run: with the data of the training, and the tolerance that the hardware has.
    pub(super) fn reproduce(&self) -> String {
        let mut resolved = vec![
            ("data", self.source.to_string()),
            ("method", self.search.name().to_string()),
        ];
        if let Room::Cells { tolerance, .. } = &self.room {
            resolved.push(("tolerance", tolerance.to_string()));
        }
        if let Search::Auto(auto) = self.search {
            resolved.push(("budget", auto.budget.to_string()));
        }
        command_line::repeated(&resolved)
    }
}
