//! The command that repeats an evaluation.

use super::job::Job;

impl Job<'_> {
    /// The command that draws the whole population.
    pub(super) fn reproduce(&self) -> String {
        let arguments = self.arguments;
        let mut command = format!(
            "crossburn evaluate {} --data {}",
            arguments.checkpoint.display(),
            self.source,
        );
        command.push_str(&match &arguments.hardware.hardware {
            None => arguments.noise.reproduce(),
            Some(_) => arguments.hardware.reproduce(),
        });
        command.push_str(&format!(
            " --chips {} --seed {}",
            arguments.chips, arguments.seed
        ));
        command.push_str(&arguments.percentiles.reproduce());
        if let Some(images) = arguments.images {
            command.push_str(&format!(" --images {images}"));
        }
        if !arguments.sweep.is_empty() {
            let values: Vec<String> = arguments.sweep.iter().map(ToString::to_string).collect();
            command.push_str(&format!(
                " --sweep {} --sweep-chips {}",
                values.join(","),
                arguments.sweep_chips
            ));
        }
        command
    }
}
