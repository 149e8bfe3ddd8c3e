//! The command that repeats a search.

use super::job::Job;
use super::room::Room;

impl Job<'_> {
    /// The command that repeats the run.
    pub(super) fn reproduce(&self) -> String {
        let arguments = self.arguments;
        let mut command = format!(
            "crossburn worst-case {} --data {}",
            arguments.checkpoint.display(),
            self.source
        );
        match (&arguments.hardware, &self.room) {
            (Some(hardware), Room::Cells { tolerance, .. }) => {
                command.push_str(&format!(" --hardware {hardware} --tolerance {tolerance}"));
                if !arguments.digital.is_empty() {
                    command.push_str(&format!(" --digital {}", arguments.digital.join(",")));
                }
            }
            _ => {
                command.push_str(&format!(" --bound {}", arguments.bound));
                if !arguments.bounds.is_empty() {
                    let bounds: Vec<String> =
                        arguments.bounds.iter().map(ToString::to_string).collect();
                    command.push_str(&format!(" --bounds {}", bounds.join(",")));
                }
            }
        }
        command.push_str(&format!(" --method {}", self.search.name()));
        let losses: Vec<&str> = arguments.loss.iter().map(|loss| loss.name()).collect();
        command.push_str(&format!(
            " --loss {} --steps {} --expand {} --restarts {}",
            losses.join(","),
            arguments.steps,
            arguments.expand,
            arguments.restarts
        ));
        if arguments.unquantized_activations {
            command.push_str(" --unquantized-activations");
        }
        if arguments.certify {
            command.push_str(" --certify");
        }
        if let Some(images) = arguments.images {
            command.push_str(&format!(" --images {images}"));
        }
        command.push_str(&format!(
            " --random-chips {} --seed {}",
            arguments.random_chips, arguments.seed
        ));
        command
    }
}
