//! The description of a device or an accelerator: a preset by its name, or a file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use crossburn_hardware::HardwareError;

/// The text of a description and where it is from.
#[derive(Debug)]
pub(super) struct Description {
    /// Name of the preset, or path of the file.
    pub(super) name: String,
    pub(super) text: String,
}

impl Description {
    /// The preset `name`, or else the file there. A file that is called like a preset is `./NAME`.
    ///
    /// # Errors
    /// What is neither, with the known names; a file that cannot be read.
    pub(super) fn find(
        name: &str,
        preset: impl Fn(&str) -> Result<&'static str, HardwareError>,
    ) -> Result<Self> {
        let text = match preset(name) {
            Ok(text) => text.to_string(),
            Err(_) if Path::new(name).exists() => fs_err::read_to_string(name)?,
            Err(unknown) => {
                bail!("{unknown}, or the path of a file: there is no file `{name}` either")
            }
        };
        Ok(Self {
            name: name.to_string(),
            text,
        })
    }

    /// What `read` makes of the text.
    ///
    /// # Errors
    /// Those of `read`, with the name in front.
    pub(super) fn read<T>(&self, read: impl Fn(&str) -> Result<T, HardwareError>) -> Result<T> {
        read(&self.text).with_context(|| self.name.clone())
    }
}
