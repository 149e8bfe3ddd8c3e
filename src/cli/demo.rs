//! `crossburn demo`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::device::DeviceChoice;
use super::progress::Follower;
use super::{Outcome, interrupt, note, print, print_results};
use crate::apps::demo::{self, DemoConfig};
use crate::apps::study;
use crate::report::write_run;

/// Train plain, Gaussian and right-censored, and compare their chips
///
/// On procedural digits, offline: the same LeNet is trained without noise, with Gaussian and with right-censored noise;
/// each is then judged on a population of chips. Made for three minutes on two cores, --quick for 45 seconds.
///
/// Example: crossburn demo --quick --out runs/first
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Fewer images, epochs and chips (100 per method)
    #[arg(long)]
    quick: bool,
    /// Folder of the run
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    out: PathBuf,
    /// Seed of data, weights, training and chips
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Print the resolved settings and stop
    #[arg(long)]
    print_config: bool,
    /// Print the results document on stdout instead of the table
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<Outcome> {
        let config = DemoConfig::new(self.quick, self.seed)?;
        if self.print_config {
            print(&serde_json::to_string_pretty(&study::json(&config)?)?)?;
            return Ok(Outcome::Done);
        }
        let device = self.device.open()?;
        fs_err::create_dir_all(&self.out).with_context(|| {
            format!(
                "cannot create the run folder {}: choose another --out",
                self.out.display()
            )
        })?;
        let stop = interrupt::flag()?;
        let follower = Follower::new(&stop);
        let Some(mut results) = demo::run(&config, &device, &follower, &stop)? else {
            note("the demo keeps nothing of an interrupted run: start it again");
            return Ok(Outcome::Interrupted);
        };
        let quick = if self.quick { " --quick" } else { "" };
        results.reproduce = format!("crossburn demo{quick} --seed {}", self.seed);
        write_run(&self.out, &results)?;
        print_results(&results, self.json)?;
        note(&format!(
            "report: {}",
            self.out.join("report.html").display()
        ));
        Ok(Outcome::Done)
    }
}
