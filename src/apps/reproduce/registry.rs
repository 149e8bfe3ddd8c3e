//! The papers whose experiments can be repeated.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use crossburn_training::data::DataSource;

use super::setting::Setting;
use super::{Experiment, Extent};
use crate::apps::edge_llm::StudyFile;

/// Every paper, in the order of the help: a new one is a line here.
pub(crate) fn papers<R: Repeat>() -> Vec<Entry<R>> {
    vec![
        Entry::of::<super::worst_case::WorstCasePaper>(),
        Entry::of::<super::kpp::Kpp>(),
        Entry::of::<super::ecg::EcgPaper>(),
        Entry::of::<super::lcda::LcdaPaper>(),
        Entry::of::<super::fl_nas::FlNasPaper>(),
        Entry::of::<super::mri::MriPaper>(),
        Entry::of::<super::nvcim_pt::PromptPaper>(),
        Entry::of::<super::rocr::RocrPaper>(),
        Entry::of::<super::frcsyn::FrcsynPaper>(),
        Entry::of::<super::analog_nas::AnalogNas>(),
        Entry::of::<super::edge_llm::EdgeLlmPaper>(),
    ]
}

/// A paper on the command line.
pub(crate) trait Paper {
    /// Its name.
    const NAME: &'static str;
    /// What its experiment is about, as a heading in the help.
    const ABOUT: &'static str;
    /// The data that it takes, in words; `None` if `--data` is refused.
    const DATA: Option<&'static str>;
    /// The data that it takes if none are named, where it needs any.
    const USUAL_SOURCE: Option<&'static str>;
    /// The number of seeds that it takes if none is asked for, in words. [`Experiment::usual_seeds`] gives the number.
    const SEEDS: &'static str = "3";
    /// What else the help says of it, in sentences, such as how long it takes.
    const NOTES: &'static str = "";
    /// The options that only some papers have, and that it has.
    const OPTIONS: &'static [OwnOption] = &[];

    /// Gives the experiment that is `asked` for to `repeat`.
    ///
    /// # Errors
    /// Data or an extent that the paper's experiment does not have, and those of `repeat`.
    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output>;
}

/// An option of the command line that only some papers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnOption {
    /// The folder of a sentence encoder.
    Encoder,
    /// A language model.
    Model,
    /// A table of measured designs.
    Table,
}

impl OwnOption {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Encoder => "--encoder",
            Self::Model => "--model",
            Self::Table => "--table",
        }
    }
}

/// What the command line asks of a paper.
pub(crate) struct Asked {
    /// The data that were named, or else the usual ones of the paper.
    pub(crate) source: Option<DataSource>,
    /// [`OwnOption::Encoder`].
    pub(crate) encoder: Option<PathBuf>,
    /// [`OwnOption::Model`], as it was named.
    pub(crate) model: Option<PathBuf>,
    /// [`OwnOption::Table`].
    pub(crate) table: Option<PathBuf>,
    /// How much is trained.
    pub(crate) extent: Extent,
    /// Finds the folder or the file of a named model. This may download it, so a paper first checks all else.
    pub(crate) locate: fn(&Path) -> Result<PathBuf>,
}

impl Asked {
    /// The data.
    ///
    /// # Errors
    /// If none are named, and the paper has no usual ones.
    pub(super) fn source(&self) -> Result<DataSource> {
        let source = self.source.clone();
        source.context("this paper's experiment needs data: name them with --data")
    }

    /// The setting of a study of noise.
    ///
    /// # Errors
    /// Those of [`Self::source`] and [`Setting::new`].
    pub(super) fn setting(&self) -> Result<Setting> {
        Setting::new(self.source()?, self.extent)
    }
}

/// Work on the experiment of a paper, whose type only the paper knows.
pub(crate) trait Repeat {
    /// What the work gives.
    type Output;

    /// The work on an experiment.
    ///
    /// # Errors
    /// If it cannot be done.
    fn experiment<E: Experiment>(self, experiment: &E) -> Result<Self::Output>;

    /// The work on a study that is no experiment of this module but has a file, in which seeds are people.
    ///
    /// # Errors
    /// If it cannot be done.
    fn study(self, study: StudyFile) -> Result<Self::Output>;
}

/// What is known of a paper without its type.
pub(crate) struct Entry<R: Repeat> {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// [`Paper::OPTIONS`].
    pub(crate) options: &'static [OwnOption],
    usual_source: Option<&'static str>,
    help: fn() -> String,
    repeat: fn(Asked, R) -> Result<R::Output>,
}

impl<R: Repeat> Entry<R> {
    fn of<P: Paper>() -> Self {
        Self {
            name: P::NAME,
            options: P::OPTIONS,
            usual_source: P::USUAL_SOURCE,
            help: help::<P>,
            repeat: P::repeat::<R>,
        }
    }

    /// What it is about, and what it takes, in one paragraph.
    pub(crate) fn help(&self) -> String {
        (self.help)()
    }

    /// The data that were `named`, or else the usual ones; `None` for a paper without.
    ///
    /// # Errors
    /// If the usual data are no source, which is a fault of the paper.
    pub(crate) fn source(&self, named: Option<&DataSource>) -> Result<Option<DataSource>> {
        match named {
            Some(source) => Ok(Some(source.clone())),
            None => Ok(self
                .usual_source
                .map(str::parse::<DataSource>)
                .transpose()?),
        }
    }

    /// [`Paper::repeat`].
    ///
    /// # Errors
    /// Those of [`Paper::repeat`].
    pub(crate) fn repeat(&self, asked: Asked, repeat: R) -> Result<R::Output> {
        (self.repeat)(asked, repeat)
    }
}

/// [`Entry::help`] of a paper.
fn help<P: Paper>() -> String {
    let mut help = format!("{}.", P::ABOUT);
    if let Some(data) = P::DATA {
        help += &format!(" Data: {data}");
        if let Some(usual) = P::USUAL_SOURCE {
            help += &format!(" [default: {usual}]");
        }
        help += ".";
    }
    for option in P::OPTIONS {
        help += &format!(" Takes {}.", option.name());
    }
    help += &format!(" Default of --seeds: {}.", P::SEEDS);
    if !P::NOTES.is_empty() {
        help += &format!(" {}", P::NOTES);
    }
    help
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The arms of the experiment, and the number of its seeds.
    struct Counted;

    impl Repeat for Counted {
        type Output = (usize, u64);

        fn experiment<E: Experiment>(self, experiment: &E) -> Result<(usize, u64)> {
            Ok((experiment.arms().len(), experiment.usual_seeds()))
        }

        fn study(self, study: StudyFile) -> Result<(usize, u64)> {
            Ok((0, study.people()))
        }
    }

    fn asked(source: Option<DataSource>, extent: Extent) -> Asked {
        Asked {
            source,
            encoder: None,
            model: None,
            table: None,
            extent,
            locate: |path| Ok(path.to_path_buf()),
        }
    }

    #[test]
    fn every_paper_has_a_name_of_its_own_and_the_seeds_that_its_help_says() {
        let all = papers::<Counted>();
        let names: BTreeSet<&str> = all.iter().map(|paper| paper.name).collect();
        assert_eq!(names.len(), all.len());
        // A paper with a table needs data with it.
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("table.csv");
        let header = "cell,baseline_accuracy,analog_drift_2592000".to_string();
        let rows = (0..20).map(|row| format!("2-{}-{}-2-1-1,{row},{row}", row / 5, row % 5));
        let lines: Vec<String> = std::iter::once(header).chain(rows).collect();
        fs_err::write(&table, lines.join("\n")).unwrap();
        // A language model, and texts of six people for it.
        let model = folder.path().join("model");
        crossburn_checkpoints::write_shipped_model(&model).unwrap();
        let texts = folder.path().join("texts.jsonl");
        let line = |of: usize| {
            format!(
                r#"{{"prompt": "q", "completion": "a", "by": "p{}"}}"#,
                of % 6
            )
        };
        let lines: Vec<String> = (0..600).map(line).collect();
        fs_err::write(&texts, lines.join("\n")).unwrap();
        let profiles = format!("jsonl:{}?test_share=0.5&profile=by", texts.display());
        for paper in &all {
            let help = paper.help();
            let said = help.split("Default of --seeds: ").nth(1).unwrap();
            let mut said = said.split('.').next().unwrap().split(", or ");
            let first = said.next().unwrap();
            // Another number with an option.
            let other = said.next().map(|other| other.split_once(" with ").unwrap());
            let option = other.map(|(_, option)| option);
            for with in ["", "--quick"].into_iter().chain(option) {
                let extent = match with {
                    "--quick" => Extent::Quick,
                    _ => Extent::Usual,
                };
                let mut asked = asked(paper.source(None).unwrap(), extent);
                if paper.options.contains(&OwnOption::Table) {
                    asked.table = Some(table.clone());
                    asked.source = Some("digits".parse().unwrap());
                }
                match with {
                    "--data" => asked.source = Some("digits".parse().unwrap()),
                    "--model" => {
                        asked.model = Some(model.clone());
                        asked.source = Some(profiles.parse().unwrap());
                    }
                    _ => assert!(["", "--quick"].contains(&with), "{help}"),
                }
                let (arms, seeds) = paper.repeat(asked, Counted).unwrap();
                if first == "that of its study" {
                    // A study says its people in its file.
                    assert_eq!((arms, option), (0, None), "{help}");
                    continue;
                }
                let expected = match other {
                    Some((number, option)) if option == with => number,
                    _ => first,
                };
                assert!(arms > 1, "{arms}: {help}");
                assert_eq!(seeds.to_string(), expected, "{with}: {help}");
            }
        }
    }

    #[test]
    fn named_data_come_before_the_usual_ones() {
        let all = papers::<Counted>();
        let paper = all.iter().find(|paper| paper.name == "kpp").unwrap();
        let source = |named: Option<&str>| {
            let named = named.map(|named| named.parse().unwrap());
            paper.source(named.as_ref()).unwrap().unwrap().to_string()
        };
        assert_eq!(source(None), "digits");
        assert_eq!(source(Some("mnist:m")), "mnist:m");
        let nothing = paper.repeat(asked(None, Extent::Quick), Counted);
        let message = nothing.unwrap_err().to_string();
        assert!(message.contains("needs data"), "{message}");
    }
}
