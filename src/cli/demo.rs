//! `crossburn demo`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::progress::Follower;
use super::run_setup::RunArguments;
use super::{Outcome, command_line, finish, note};
use crate::apps::demo::{self, DemoConfig};
use crate::apps::study;

/// Train one network in three ways, and compare the chips of each
///
/// Works offline, on drawn digits. The same LeNet is trained without noise, with Gaussian noise and with right-censored noise. Each noise
/// is trained with two strengths, and the one whose chips do better on the validation items is kept. Each result is then judged on a
/// population of chips. This takes one minute on two cores, and 15 seconds with --quick, which trains each noise
/// with one fixed strength.
///
/// Example: crossburn demo --quick --out runs/first
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Use fewer items, epochs and chips (100 per method)
    #[arg(long, help_heading = "Experiment")]
    quick: bool,
    /// Folder of the run
    #[arg(
        long,
        value_name = "DIR",
        default_value = "runs/demo",
        help_heading = "Options"
    )]
    out: PathBuf,
    /// Seed of data, weights, training and chips
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Experiment"
    )]
    seed: u64,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

impl Demo {
    pub(super) fn run(self) -> Result<Outcome> {
        let config = DemoConfig::new(self.quick, self.seed)?;
        if self.run.prints(&study::json(&config)?)? {
            return Ok(Outcome::Done);
        }
        let place = self.run.set_up(self.out.clone(), "demo")?;
        let follower = Follower::new(&place);
        let Some(mut results) = demo::run(&config, &place.device, &follower, &place.stop)? else {
            note("the demo keeps nothing of an interrupted run: start it again");
            return Ok(Outcome::Interrupted);
        };
        results.reproduce = command_line::repeated(&[]);
        finish(&place.out, &results, self.run.json)?;
        place.note_report();
        Ok(Outcome::Done)
    }
}
