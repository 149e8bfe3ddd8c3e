//! `crossburn reproduce`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use crossburn_training::data::DataSource;

use super::device::DeviceChoice;
use super::progress::Follower;
use super::{Outcome, interrupt, note, print, print_reproduction};
use crate::apps::reproduce::{self, Kpp, Place, Setting, WorstCasePaper};
use crate::apps::study;
use crate::report::write_reproduction;

/// Run the acceptance experiment of a paper, and say which of its claims hold
///
/// Every way of training is trained with several seeds and judged alike; the table stands beside what the paper says, with
/// intervals. On digits it takes minutes, on MNIST about an hour on two cores; CIFAR-10 wants a GPU. Ctrl-C keeps the
/// finished trainings; --resume goes on.
///
/// Example: crossburn reproduce kpp --seeds 3
#[derive(Debug, Args)]
pub(super) struct Reproduce {
    /// Which paper
    paper: Paper,
    /// Images: digits, mnist:DIR or cifar10:DIR
    #[arg(long, value_name = "SOURCE", default_value = "digits")]
    data: DataSource,
    /// Seeds of training
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: u64,
    /// Few images, epochs and chips, to see that everything runs
    #[arg(long)]
    quick: bool,
    /// Folder of the run; runs/reproduce-PAPER where absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep the trainings that an interrupted run in the same folder has finished
    #[arg(long)]
    resume: bool,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Print the resolved settings and stop
    #[arg(long)]
    print_config: bool,
    /// Print the results document on stdout instead of the tables
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Paper {
    /// The worst admissible deviation, and A-TRICE
    WorstCase,
    /// The k-th percentile of chips, and TRICE
    Kpp,
}

impl Paper {
    fn name(self) -> &'static str {
        match self {
            Self::WorstCase => "worst-case",
            Self::Kpp => "kpp",
        }
    }
}

impl Reproduce {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.seeds == 0 {
            bail!("--seeds 0 trains nothing: use a number above 0");
        }
        let setting = Setting::new(self.data.clone(), self.seeds, self.quick)?;
        if self.print_config {
            print(&serde_json::to_string_pretty(&study::json(&setting)?)?)?;
            return Ok(Outcome::Done);
        }
        let paper = self.paper.name();
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from("runs").join(format!("reproduce-{paper}")));
        fs_err::create_dir_all(&out).with_context(|| {
            format!(
                "cannot create the run folder {}: choose another --out",
                out.display()
            )
        })?;
        let device = self.device.open()?;
        let stop = interrupt::flag()?;
        let place = Place {
            folder: &out,
            resume: self.resume,
            device: &device,
            stop: &stop,
        };
        let follower = Follower::new(&stop);
        let results = match self.paper {
            Paper::WorstCase => {
                reproduce::run(&WorstCasePaper::default(), &setting, &place, &follower)?
            }
            Paper::Kpp => reproduce::run(&Kpp::default(), &setting, &place, &follower)?,
        };
        let Some(mut results) = results else {
            note("the finished trainings are kept: run the same command with --resume");
            return Ok(Outcome::Interrupted);
        };
        let quick = if self.quick { " --quick" } else { "" };
        results.reproduce = format!(
            "crossburn reproduce {paper} --data {} --seeds {}{quick}",
            self.data, self.seeds
        );
        write_reproduction(&out, &results)?;
        print_reproduction(&results, self.json)?;
        note(&format!("report: {}", out.join("report.html").display()));
        Ok(Outcome::Done)
    }
}
