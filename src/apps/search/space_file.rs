//! The file of a space: its axes, and how designs are measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};
use crossburn_hardware::toml_problem;
use crossburn_training::data::DataSource;
use crossburn_training::search::{
    AxisConfig, Constraint, Priority, ScoreConfig, Space, SpaceConfig,
};
use serde::{Deserialize, Serialize};

use super::layers::Measures;
use super::surrogate::{Surrogate, SurrogateConfig};
use super::table::{Table, TableConfig};
use super::trained::Trained;
use super::trained_config::{TrainedAs, TrainedConfig};

/// The spaces that come with the program, by name.
const SPACES: [(&str, &str); 9] = [
    ("lcda", include_str!("../../../configs/spaces/lcda.toml")),
    (
        "lcda-hardware",
        include_str!("../../../configs/spaces/lcda-hardware.toml"),
    ),
    (
        "fl-nas",
        include_str!("../../../configs/spaces/fl-nas.toml"),
    ),
    (
        "digits",
        include_str!("../../../configs/spaces/digits.toml"),
    ),
    (
        "digits-bits",
        include_str!("../../../configs/spaces/digits-bits.toml"),
    ),
    (
        "cifar10",
        include_str!("../../../configs/spaces/cifar10.toml"),
    ),
    (
        "skin-lesions",
        include_str!("../../../configs/spaces/skin-lesions.toml"),
    ),
    ("adult", include_str!("../../../configs/spaces/adult.toml")),
    (
        "nas-analog-bench",
        include_str!("../../../configs/spaces/nas-analog-bench.toml"),
    ),
];

/// The names of the spaces that come with the program.
pub(crate) fn spaces() -> impl Iterator<Item = &'static str> {
    SPACES.iter().map(|(name, _)| *name)
}

/// A space, and how its designs are measured and scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpaceFile {
    name: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    network: BTreeMap<String, AxisConfig>,
    #[serde(default)]
    hardware: BTreeMap<String, AxisConfig>,
    #[serde(default, rename = "constraint")]
    constraints: Vec<Constraint>,
    evaluation: Evaluation,
    /// How measures are combined into a score.
    pub(crate) score: ScoreConfig,
    /// The priorities that select the best design by priority.
    #[serde(default, rename = "priority")]
    pub(crate) priorities: Vec<Priority>,
}

/// How designs are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Evaluation {
    /// By a row of a table.
    Table(TableConfig),
    /// By a formula for the quality, and the cost model.
    Surrogate(SurrogateConfig),
    /// By training, chips, and the cost model.
    Training(Box<TrainedConfig>),
}

impl SpaceFile {
    /// The space that `text` names: one that comes with the program, or a file. If it uses a table, that is `table`, or the file beside it.
    ///
    /// # Errors
    /// A text that is neither; a file that cannot be read or is no space.
    pub(crate) fn open(text: &str, table: Option<&Path>) -> Result<Self> {
        let own = SPACES.iter().find(|(name, _)| *name == text);
        let (content, folder) = match own {
            Some((_, content)) => (content.to_string(), PathBuf::new()),
            None => {
                let path = Path::new(text);
                if !path.exists() {
                    let known: Vec<&str> = spaces().collect();
                    bail!(
                        "`{text}` is neither a file nor one of the spaces {}",
                        known.join(", ")
                    );
                }
                let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
                (fs_err::read_to_string(path)?, folder)
            }
        };
        let mut found: Self = toml::from_str(&content)
            .map_err(|error| anyhow!("{text} is no space: {}", toml_problem(&content, &error)))?;
        match (&mut found.evaluation, table) {
            (Evaluation::Table(config), Some(table)) => config.file = table.to_path_buf(),
            (Evaluation::Table(config), None) => config.file = folder.join(&config.file),
            (_, Some(_)) => {
                bail!("--table is for spaces with a table, which {text} is not: leave it out")
            }
            (_, None) => {}
        }
        Ok(found)
    }

    /// The same space with networks trained on `source`; with `tried_out`, with a tenth of the work.
    ///
    /// # Errors
    /// If designs of the space are not trained.
    pub(crate) fn trained_on(self, source: DataSource, tried_out: bool) -> Result<Self> {
        let Evaluation::Training(config) = self.evaluation else {
            bail!("designs of `{}` are not trained", self.name);
        };
        let config = config.trained_on(source);
        let config = match tried_out {
            true => config.tried_out(),
            false => config,
        };
        Ok(Self {
            evaluation: Evaluation::Training(Box::new(config)),
            ..self
        })
    }

    /// The same space with this seed, these numbers of items and chips, and these items to judge on.
    ///
    /// # Errors
    /// If designs of the space are not trained.
    pub(crate) fn trained_as(self, how: TrainedAs) -> Result<Self> {
        let Evaluation::Training(config) = self.evaluation else {
            bail!("designs of `{}` are not trained", self.name);
        };
        Ok(Self {
            evaluation: Evaluation::Training(Box::new(config.trained_as(how))),
            ..self
        })
    }

    /// A judge that trains designs of the space, and other networks too.
    ///
    /// # Errors
    /// If designs of the space are not trained, or if data cannot be read.
    pub(crate) fn trained(&self, space: &Space, stop: &Arc<AtomicBool>) -> Result<Trained> {
        match &self.evaluation {
            Evaluation::Training(config) => Trained::new(config, space, Arc::clone(stop))
                .with_context(|| format!("cannot measure designs of `{}`", self.name)),
            _ => bail!("designs of `{}` are not trained", self.name),
        }
    }

    /// The space, after checks.
    ///
    /// # Errors
    /// An unusable space.
    pub(crate) fn space(&self) -> Result<Space> {
        Ok(Space::new(SpaceConfig {
            name: self.name.clone(),
            about: self.about.clone(),
            network: self.network.clone(),
            hardware: self.hardware.clone(),
            constraints: self.constraints.clone(),
        })?)
    }

    /// The judge of designs, and a description of it in words. Setting `stop` ends a measurement that takes long.
    ///
    /// # Errors
    /// If a table or data cannot be read, or if the evaluation does not fit the space.
    pub(crate) fn judge(&self, space: &Space, stop: &Arc<AtomicBool>) -> Result<Measurer> {
        let context = || format!("cannot measure designs of `{}`", self.name);
        match &self.evaluation {
            Evaluation::Table(config) => {
                let table = Table::open(config, space).with_context(context)?;
                Ok(Measurer {
                    words: table.words(),
                    digest: table.digest(),
                    trains: false,
                    judge: Box::new(table),
                })
            }
            Evaluation::Surrogate(config) => {
                let surrogate = Surrogate::new(config, space).with_context(context)?;
                Ok(Measurer {
                    words: surrogate.words(),
                    digest: 0,
                    trains: false,
                    judge: Box::new(surrogate),
                })
            }
            Evaluation::Training(config) => {
                let trained =
                    Trained::new(config, space, Arc::clone(stop)).with_context(context)?;
                Ok(Measurer {
                    words: trained.words(),
                    digest: trained.digest(),
                    trains: true,
                    judge: Box::new(trained),
                })
            }
        }
    }
}

/// The judge of a space's designs.
pub(crate) struct Measurer {
    /// How it measures, in words.
    pub(crate) words: String,
    /// A digest of the data.
    pub(crate) digest: u64,
    /// Whether each measurement is a training.
    pub(crate) trains: bool,
    pub(crate) judge: Box<dyn Measures>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_training::search::{Draws, Judged, Score, best_by_priority};

    use super::*;

    #[test]
    fn the_spaces_that_come_along_are_as_large_as_their_papers_say() {
        for (name, size) in [
            ("lcda", 11_390_625.0),
            ("lcda-hardware", 11_390_625.0 * 144.0),
            ("nas-analog-bench", 15_625.0),
            ("digits-bits", 16.0 * 625.0),
        ] {
            let space = SpaceFile::open(name, None).unwrap().space().unwrap();
            assert_eq!((space.name(), space.size()), (name, size));
        }
        let space = SpaceFile::open("fl-nas", None).unwrap().space().unwrap();
        let networks: f64 = (3..=8).map(|layers| 32f64.powi(layers)).sum();
        assert_eq!(space.size(), networks * 3.0 * 3.0 * 4.0 * 3.0 * 5.0 * 3.0);
    }

    #[test]
    fn every_space_with_a_formula_measures_its_designs() {
        for name in ["lcda", "lcda-hardware", "fl-nas"] {
            let file = SpaceFile::open(name, None).unwrap();
            let space = file.space().unwrap();
            let measurer = file.judge(&space, &Arc::default()).unwrap();
            let measures = measurer.judge.measures();
            let score = Score::new(file.score.clone(), measures).unwrap();
            best_by_priority(&[], &file.priorities, measures).unwrap();
            let mut draws = Draws::new(1, "test");
            let mut measured = 0;
            for _ in 0..50 {
                let design = space.draw(&mut draws).unwrap();
                if let Judged::Measured(values) = measurer.judge.judge(&space, &design).unwrap() {
                    assert!(score.of(&values).is_finite(), "{name}: {values:?}");
                    measured += 1;
                }
            }
            assert!(measured > 25, "{name}: {measured}");
        }
    }

    #[test]
    fn the_space_of_bits_by_layer_can_be_trained_and_scored() {
        let file = SpaceFile::open("digits-bits", None).unwrap();
        let space = file.space().unwrap();
        let measurer = file.judge(&space, &Arc::default()).unwrap();
        let measures = measurer.judge.measures();
        Score::new(file.score.clone(), measures).unwrap();
        best_by_priority(&[], &file.priorities, measures).unwrap();
        let design = space
            .parse("channels=8,8,16,16 kernels=3 weight_bits=2,4,8,3")
            .unwrap();
        let known = measurer.judge.foresee(&space, &design).unwrap().unwrap();
        let storage = measures
            .iter()
            .position(|measure| measure.name == "storage");
        // 72, 576, 1152 and 2304 weights of the layers; 16 channels of 7 x 7 pixels, halved twice, on ten outputs of 8 bits.
        let bits = 72 * 2 + 576 * 4 + 1152 * 8 + 2304 * 3 + 7840 * 8;
        assert_eq!(known[storage.unwrap()], Some(f64::from(bits / 8)));
    }

    #[test]
    fn six_lines_are_a_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let text = r#"name = "mine"
network.channels = { times = 3, of = [8, 16, 32] }
network.kernels = { times = 3, of = [3, 5] }
hardware.array = [64, 128]
evaluation.kind = "surrogate"
score = { kind = "r-ae", quality = "quality", energy = "energy" }
"#;
        std::fs::write(&path, text).unwrap();
        let open = || SpaceFile::open(&path.display().to_string(), None);
        let file = open().unwrap();
        let space = file.space().unwrap();
        file.judge(&space, &Arc::default()).unwrap();
        std::fs::write(&path, text.replace("score =", "scores =")).unwrap();
        let message = open().unwrap_err().to_string();
        assert!(
            message.contains("mine.toml is no space: unknown field `scores`"),
            "{message}"
        );
        let message = SpaceFile::open("lcdo", None).unwrap_err().to_string();
        assert!(
            message.contains("neither a file nor one of the spaces lcda, "),
            "{message}"
        );
    }
}
