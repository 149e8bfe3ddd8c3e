//! `crossburn reproduce`

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use crossburn_training::data::DataSource;

use super::model_choice::located;
use super::progress::Follower;
use super::run_setup::{RunArguments, expect_kept, holds_kept, run_folder};
use super::study::{StudyWork, run_study};
use super::{Outcome, command_line, finish, note, resumable};
use crate::apps::edge_llm::StudyFile;
use crate::apps::reproduce::{
    self, AnalogNas, EcgPaper, Experiment, Extent, FlNasPaper, FrcsynPaper, GivenModelPaper, Kpp,
    LcdaPaper, MriPaper, OnSetting, PatientsPaper, PhotographsPaper, Place, PromptPaper, RocrPaper,
    Setting, WorstCasePaper,
};

/// Repeat the experiment of a paper, and say which of its claims hold
///
/// Every variant is trained with several seeds and judged in the same way. The table shows the results beside the claims of the paper.
/// Intervals are 95 % intervals over seeds, of differences between variants of one seed.
///
/// How long it takes on two cores: kpp or worst-case with three seeds, 15 minutes on digits and 30 minutes on MNIST; ecg with five seeds,
/// nine minutes; mri with one seed, 14 minutes of processor time. lcda compares searches for designs: by a formula, in seconds, or with --data
/// digits by trainings. fl-nas compares searches for fair and small networks. analog-nas trains twelve cells for about ten minutes. Ctrl-C keeps the finished trainings; --resume goes on, also with more --seeds.
///
/// Example: crossburn reproduce kpp --seeds 3
#[derive(Debug, Args)]
pub(super) struct Reproduce {
    /// Which paper
    paper: Paper,
    /// Data: digits, mnist:DIR or cifar10:DIR; iegm or iegm:DIR for ecg; mri-phantom for mri, or slices of patients as mri-slices:DIR or mri:DIR;
    /// faces for frcsyn, or photographs as faces:DIR, or npy:FILE or npz:FILE with group=COLUMN; topics, jsonl:FILE or another source of passages
    /// for rocr; for nvcim-pt with --model, passages with profiles, such as jsonl:FILE?prompt=KEY&completion=KEY&profile=KEY (without --model, it
    /// draws its own data). lcda takes digits or mnist:DIR, and trains nothing without this
    /// option. fl-nas takes skin-lesions, ham10000:DIR or adult:FILE; analog-nas needs labelled items whose height and width are
    /// multiples of 4, such as cifar10:DIR [default: digits for kpp
    /// and worst-case; iegm for ecg; mri-phantom for mri; faces for frcsyn; topics for rocr; skin-lesions for fl-nas]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// Table of the measured cells that analog-nas compares with: the CSV of AnalogNAS-Bench
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    table: Option<PathBuf>,
    /// Folder of the sentence encoder of rocr [default: hashed n-grams, which need no file]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    encoder: Option<PathBuf>,
    /// A language model for nvcim-pt, whose prompts are tuned on the profiles of --data: a folder, a GGUF file, or a name at the Hugging Face
    /// hub [default: a small model that is trained on drawn data]
    #[arg(long, value_name = "DIR|FILE.gguf|NAME", help_heading = "Data")]
    model: Option<PathBuf>,
    /// Number of seeds, each with its own training of every variant; for edge-llm the number of people [default: 3; 5 for fl-nas (1 with --quick); 1 for analog-nas and for nvcim-pt with --model; 20 for lcda
    /// without --data; for edge-llm that of its study]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    seeds: Option<u64>,
    /// Only try it out, with few items, epochs and chips (edge-llm: two people and two steps); the numbers mean nothing
    #[arg(long, help_heading = "Experiment")]
    quick: bool,
    /// Use the full size of the paper on CIFAR-10 (width, items and epochs), which needs a GPU; without it, a quarter of the width and
    /// 10,000 items. For edge-llm: the study `full`
    #[arg(long, conflicts_with = "quick", help_heading = "Experiment")]
    full: bool,
    /// Folder of the run [default: runs/reproduce-PAPER]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue a run in the same folder, also with more --seeds
    #[arg(long, help_heading = "Options")]
    resume: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// Seeds where none are asked for.
const SEEDS: u64 = 3;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Paper {
    /// The worst admissible deviation, and A-TRICE
    WorstCase,
    /// The k-th percentile of chips, and TRICE
    Kpp,
    /// Mixed widths and pruning of an arrhythmia detector on a sparse accelerator
    Ecg,
    /// Searches for networks on crossbars: how much it helps to know what is designed
    Lcda,
    /// Searches for networks that are accurate, fair to groups of people, and small
    FlNas,
    /// Lesions in brains, found by the quality of their reconstruction
    Mri,
    /// Tuned prompts in an in-memory store, fetched by a search
    NvcimPt,
    /// Retrieval from stored vectors that deviate
    Rocr,
    /// Faces from synthetic data: verification, bias and thresholds
    Frcsyn,
    /// Cells of networks on phase-change memory, beside a table of measured ones
    AnalogNas,
    /// Ways to make a language model personal, and the devices that each of them suits
    EdgeLlm,
}

impl Reproduce {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.seeds == Some(0) {
            bail!("--seeds 0 trains nothing: use a number above 0");
        }
        let extent = match (self.quick, self.full) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::Full,
            _ => Extent::Usual,
        };
        if let (Some(encoder), false) = (&self.encoder, matches!(self.paper, Paper::Rocr)) {
            bail!("--encoder {} is for rocr: leave it out", encoder.display());
        }
        if let (Some(model), false) = (&self.model, matches!(self.paper, Paper::NvcimPt)) {
            bail!("--model {} is for nvcim-pt: leave it out", model.display());
        }
        if let (Some(table), false) = (&self.table, matches!(self.paper, Paper::AnalogNas)) {
            bail!(
                "--table {} is for analog-nas: leave it out",
                table.display()
            );
        }
        match self.paper {
            Paper::WorstCase => {
                let source = self.source("digits")?;
                let setting = Setting::new(source.clone(), extent)?;
                let study = WorstCasePaper::default();
                self.experiment(&OnSetting { study, setting }, Some(source))
            }
            Paper::Kpp => {
                let source = self.source("digits")?;
                let setting = Setting::new(source.clone(), extent)?;
                let study = Kpp::new(setting.training.epochs);
                self.experiment(&OnSetting { study, setting }, Some(source))
            }
            Paper::Ecg => {
                let source = self.source("iegm")?;
                self.experiment(&EcgPaper::new(source.clone(), extent)?, Some(source))
            }
            Paper::Lcda => {
                let paper = LcdaPaper::new(self.data.clone(), extent)?;
                let seeds = paper.usual_seeds();
                self.experiment_with(&paper, self.data.clone(), seeds)
            }
            Paper::FlNas => {
                let source = self.source("skin-lesions")?;
                let paper = FlNasPaper::new(source.clone(), extent)?;
                let seeds = paper.usual_seeds();
                self.experiment_with(&paper, Some(source), seeds)
            }
            Paper::AnalogNas => {
                let (Some(table), Some(source)) = (&self.table, self.data.clone()) else {
                    bail!(
                        "analog-nas compares its own trainings with a table: name both, such as --table analog_nasbench.csv --data cifar10:DIR"
                    );
                };
                let paper = AnalogNas::new(table, source.clone(), extent)?;
                self.experiment_with(&paper, Some(source), 1)
            }
            Paper::Mri => {
                let source = self.source("mri-phantom")?;
                if PatientsPaper::takes(&source) {
                    let paper = PatientsPaper::new(source.clone(), extent)?;
                    return self.experiment(&paper, Some(source));
                }
                self.experiment(&MriPaper::new(&source, extent)?, Some(source))
            }
            Paper::NvcimPt => match (&self.model, &self.data) {
                (Some(model), Some(source)) => {
                    let paper = GivenModelPaper::new(located(model)?, source.clone(), extent)?;
                    self.experiment_with(&paper, Some(source.clone()), 1)
                }
                (Some(_), None) => bail!(
                    "--model needs texts to tune prompts on: name passages with profiles, such as --data 'jsonl:FILE?prompt=KEY&completion=KEY&profile=KEY'"
                ),
                (None, Some(source)) => bail!(
                    "this paper's experiment is not defined on {source}: drop --data, or name a language model with --model"
                ),
                (None, None) => self.experiment(&PromptPaper::new(extent)?, None),
            },
            Paper::Frcsyn => {
                let source = self.source("faces")?;
                if PhotographsPaper::takes(&source) {
                    let paper = PhotographsPaper::new(source.clone(), extent)?;
                    return self.experiment(&paper, Some(source));
                }
                self.experiment(&FrcsynPaper::new(&source, extent)?, Some(source))
            }
            Paper::Rocr => {
                let source = self.source("topics")?;
                let paper = RocrPaper::new(source.clone(), self.encoder.clone(), extent)?;
                self.experiment(&paper, Some(source))
            }
            Paper::EdgeLlm => self.edge_llm(extent),
        }
    }

    /// The study of personal language models on edge devices, in one of its sizes.
    fn edge_llm(&self, extent: Extent) -> Result<Outcome> {
        if let Some(source) = &self.data {
            bail!("this paper's experiment is not defined on {source}: drop --data");
        }
        let study = StudyFile::open(match extent {
            Extent::Quick => "tiny",
            Extent::Usual => "quick",
            Extent::Full => "full",
        })?;
        let study = match self.seeds {
            Some(people) => study.with_people(people)?,
            None => study,
        };
        let out = run_folder(self.out.as_deref(), "reproduce-edge-llm");
        let people = [("seeds", study.people().to_string())];
        let work = StudyWork {
            people: 0..study.people(),
            costs: false,
            resume: self.resume,
        };
        run_study(&study, &self.run, (out, "reproduce"), &work, &people)
    }

    /// The data of the command line, or else those that come with the program.
    fn source(&self, usual: &str) -> Result<DataSource> {
        match self.data.clone() {
            Some(source) => Ok(source),
            None => Ok(usual.parse()?),
        }
    }

    /// Makes the experiment, on `data` where it takes any.
    fn experiment<E: Experiment>(
        &self,
        experiment: &E,
        data: Option<DataSource>,
    ) -> Result<Outcome> {
        self.experiment_with(experiment, data, SEEDS)
    }

    /// The same with so many seeds where none are asked for.
    fn experiment_with<E: Experiment>(
        &self,
        experiment: &E,
        data: Option<DataSource>,
        usual_seeds: u64,
    ) -> Result<Outcome> {
        let seeds = self.seeds.unwrap_or(usual_seeds);
        if self.run.prints(&reproduce::config(experiment, seeds)?)? {
            return Ok(Outcome::Done);
        }
        let paper = E::NAME;
        let out = run_folder(self.out.as_deref(), &format!("reproduce-{paper}"));
        if self.resume {
            expect_kept(&out, holds_kept(&out, &["cells"]))?;
        }
        let run = self.run.set_up(out, "reproduce")?;
        let place = Place {
            folder: &run.out,
            resume: self.resume,
            device: &run.device,
            lanes: run.lanes,
            stop: &run.stop,
            settings: reproduce::settings(experiment)?,
        };
        let results = reproduce::run(experiment, seeds, &place, &Follower::new(&run))?;
        if results.is_none() && !holds_kept(&run.out, &["cells"]) {
            note("no training has finished: start again");
            return Ok(Outcome::Interrupted);
        }
        let Some(mut results) = results else {
            return Ok(resumable("the finished trainings are kept"));
        };
        let data = data.map(|data| ("data", data.to_string()));
        let seeds = Some(("seeds", seeds.to_string()));
        let resolved: Vec<(&str, String)> = data.into_iter().chain(seeds).collect();
        results.reproduce = command_line::repeated(&resolved);
        finish(&run.out, &results, self.run.json)?;
        run.note_report();
        Ok(Outcome::Done)
    }
}
