//! `crossburn compress --bits auto`: bits for every layer.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_hardware::WeightBits;
use crossburn_training::WidthBudget;
use crossburn_training::data::DataSource;
use serde_json::json;

use super::run_setup::{RunArguments, name_after, run_folder};
use super::size::Size;
use super::{Outcome, command_line, finish, note};
use crate::apps::stored_network::StoredNetwork;
use crate::apps::widths::WidthsJob;

/// A width for all weights, or one for each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    /// One width for every layer.
    All(WeightBits),
    /// Chosen layer by layer.
    Auto,
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(bits) => write!(f, "{}", bits.get()),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Bits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let bits: u8 = text
            .parse()
            .map_err(|_| "is neither a number nor `auto`: use 1 to 16, or auto".to_string())?;
        let bits = WeightBits::new(bits).map_err(|error| error.to_string())?;
        Ok(Self::All(bits))
    }
}

/// The options of `--bits auto`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bits of every layer (--bits auto)")]
pub(super) struct WidthsArguments {
    /// Size limit of the network, such as 30KiB: choose the widths within it that raise the loss least
    #[arg(long, value_name = "SIZE", conflicts_with = "loss_budget")]
    size: Option<Size>,
    /// Limit of the rise of the validation loss, summed over layers: choose the smallest widths within it
    #[arg(long, value_name = "RISE")]
    loss_budget: Option<f64>,
    /// Widths to choose from; the first and the last layer get at least 4 bits
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [8, 4, 2, 1])]
    widths: Vec<u8>,
}

impl WidthsArguments {
    /// Whether a budget was given.
    pub(super) fn limits(&self) -> bool {
        self.size.is_some() || self.loss_budget.is_some()
    }

    /// Chooses widths for the network at `path` and writes a recipe that trains at them.
    pub(super) fn run(
        &self,
        path: &Path,
        stored: &StoredNetwork,
        source: DataSource,
        (out, run): (Option<&Path>, &RunArguments),
    ) -> Result<Outcome> {
        let budget = match (self.size, self.loss_budget) {
            (Some(size), _) => WidthBudget::Size(size.bits()),
            (None, Some(rise)) if rise.is_finite() && rise >= 0.0 => WidthBudget::Rise(rise),
            (None, Some(rise)) => bail!("--loss-budget {rise} is no rise: use a number from 0 on"),
            (None, None) => {
                bail!("--bits auto needs a limit: give --size, such as 30KiB, or --loss-budget")
            }
        };
        let Some(checkpoint) = stored.checkpoint() else {
            bail!(
                "{} is not a run of crossburn, so --bits auto has no recipe to start from; hint: `crossburn train` or `import` first",
                path.display()
            );
        };
        if stored.manifest.programmed {
            bail!(
                "{} holds weights that are quantized already: choose widths on the network before that",
                path.display()
            );
        }
        let widths: Vec<WeightBits> = self
            .widths
            .iter()
            .map(|bits| WeightBits::new(*bits))
            .collect::<Result<_, _>>()?;
        let config = stored.with_arrays(json!({
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "bits": "auto",
            "widths": widths,
            "budget": budget,
        }))?;
        if run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let out = run_folder(out, &name_after("compress", path));
        let place = run.set_up(out, "compress")?;
        let job = WidthsJob {
            checkpoint: Some(checkpoint),
            run: path.to_path_buf(),
            recipe: &stored.recipe,
            reproduce: command_line::repeated(&[("data", source.to_string())]),
            source,
            widths: &widths,
            budget,
            config,
            out: place.out.clone(),
            device: &place.device,
            stop: &place.stop,
        };
        let Some(found) = stored.build(&place.device, job)?? else {
            note("interrupted: nothing is kept");
            return Ok(Outcome::Interrupted);
        };
        finish(&place.out, &found, run.json)?;
        place.note_report();
        let recipe = place.out.join("recipe.toml");
        note(&format!(
            "next, to train at these widths: {}",
            command_line::quoted(["crossburn".as_ref(), "train".as_ref(), recipe.as_os_str()])
        ));
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_a_number_or_chosen() {
        assert_eq!("auto".parse(), Ok(Bits::Auto));
        assert!(matches!("1".parse(), Ok(Bits::All(bits)) if bits.get() == 1));
        for text in ["0", "17", "all", "2.5"] {
            assert!(text.parse::<Bits>().is_err(), "{text}");
        }
    }
}
