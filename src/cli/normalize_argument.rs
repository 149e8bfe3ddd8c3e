//! `--normalize`: how a network of another program sees its inputs.

use clap::Args;

use crate::apps::normalize::Normalize;

/// The option, for verbs that take models of other programs.
#[derive(Debug, Args)]
pub(super) struct NormalizeArgument {
    /// What the network of an ONNX file sees: (x - MEAN) / STD, with a number for each channel, comma-separated, such as
    /// 0.485,0.456,0.406/0.229,0.224,0.225 [default: the line `normalize = "MEAN/STD"` of the file net.onnx.toml beside net.onnx]
    #[arg(long, value_name = "MEAN/STD", help_heading = "Data")]
    normalize: Option<Normalize>,
}

impl NormalizeArgument {
    /// The value of the option, if it was given.
    pub(super) fn asked(&self) -> Option<&Normalize> {
        self.normalize.as_ref()
    }
}
