//! `--digital`: which weights stay off the arrays.

use clap::Args;
use crossburn_noise::PathPattern;

/// The option, for verbs that make chips of a network.
#[derive(Debug, Args)]
pub(super) struct DigitalArgument {
    /// Weights that stay digital, comma-separated: paths, or patterns such as 'fc*.weight'
    #[arg(
        long = "digital",
        value_name = "PATH,...",
        value_delimiter = ',',
        help_heading = "Hardware"
    )]
    pub(super) paths: Vec<PathPattern>,
}
