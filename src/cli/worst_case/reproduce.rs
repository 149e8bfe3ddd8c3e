//! The command that repeats a search.

use crossburn_noise::worst_case::Search;
use crossburn_training::data::DataSource;

use super::FindWorstCase;
use crate::apps::worst_case::Room;
use crate::cli::command_line;

impl FindWorstCase {
    /// The command that repeats the run: with the data of the training, `source`, and the tolerance that the hardware has.
    pub(super) fn reproduce(&self, source: &DataSource, room: &Room, search: &Search) -> String {
        let mut resolved = vec![
            ("data", source.to_string()),
            ("method", search.name().to_string()),
        ];
        if let Room::Cells { tolerance, .. } = room {
            resolved.push(("tolerance", tolerance.to_string()));
        }
        if let Search::Auto(auto) = search {
            resolved.push(("budget", auto.budget.to_string()));
        }
        command_line::repeated(&resolved)
    }
}
