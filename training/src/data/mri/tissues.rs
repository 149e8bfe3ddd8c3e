//! Slices of brains drawn from maps of real tissues, with lesions: a set without end from three files of the user.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::super::options::Options;
use super::super::reader::{Kind, Part, Reader};
use super::super::{Amount, DataSplit, Samples, folder};
use super::CLASSES;
use super::chain::Chain;
use super::phantom::{self, FIRST_TEST, MOST, PhantomConfig, USUAL, drawn};
use super::tissue_maps::TissueMaps;
use crate::TrainingError;

pub(in super::super) const KIND: Kind = Kind {
    name: "mri-tissues",
    usage: "mri-tissues:DIR",
    open: |argument| Ok(Arc::new(TissuePhantom::new(argument)?)),
};

/// The three maps: the option that names each, and the part of a file's name where no option does.
const MAPS: [&str; 3] = ["t1", "gm", "wm"];
const OPTIONS: &[&str] = &MAPS;
const ENDINGS: [&str; 2] = [".nii.gz", ".nii"];

/// The data source.
#[derive(Debug)]
struct TissuePhantom {
    options: Options,
    config: PhantomConfig,
    /// Read when they are needed first.
    maps: OnceLock<Arc<TissueMaps>>,
}

impl TissuePhantom {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let options = Options::parse(KIND.name, argument, &[OPTIONS, phantom::OPTIONS])?;
        Ok(Self {
            config: PhantomConfig::new(&options)?,
            options,
            maps: OnceLock::new(),
        })
    }

    /// The file of each map.
    fn map_files(&self) -> Result<[PathBuf; 3], TrainingError> {
        let place = &self.options.path;
        let names = folder::names(place)?;
        let find = |map: &str| {
            let wanted = self.options.get(map).unwrap_or(map).to_lowercase();
            let fits = |name: &&String| {
                let name = name.to_lowercase();
                let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
                stem.is_some_and(|stem| {
                    stem == wanted || stem.split(['_', '-']).any(|part| part == wanted)
                })
            };
            let found: Vec<&String> = names.iter().filter(fits).collect();
            match found.as_slice() {
                [] => Err(folder::missing(
                    place,
                    format!(
                        "volume (.nii or .nii.gz) with {wanted} in its name; say another name with {map}=NAME"
                    ),
                    KIND.name,
                )),
                [name] => Ok(place.join(name)),
                [first, second, ..] => Err(TrainingError::data(
                    place.display().to_string(),
                    format!("{first} and {second} could both be the {map}"),
                    format!("say which with {map}=NAME"),
                )),
            }
        };
        let [t1, grey, white] = MAPS.map(find);
        Ok([t1?, grey?, white?])
    }

    fn maps(&self) -> Result<Arc<TissueMaps>, TrainingError> {
        if let Some(maps) = self.maps.get() {
            return Ok(Arc::clone(maps));
        }
        let maps = TissueMaps::read(&self.map_files()?, self.config.size)?;
        Ok(Arc::clone(self.maps.get_or_init(|| Arc::new(maps))))
    }
}

impl Reader for TissuePhantom {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(CLASSES.len())
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(self.map_files()?.to_vec())
    }

    fn both(&self, seed: u64, train: Amount, test: Amount) -> Result<DataSplit, TrainingError> {
        Ok(DataSplit {
            train: self.part(Part::Train, seed, train)?,
            test: self.part(Part::Test, seed, test)?,
        })
    }

    fn part(&self, part: Part, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let (first, usual) = match part {
            Part::Train => (0, USUAL.0),
            Part::Test => (FIRST_TEST, USUAL.1),
        };
        let count = amount.count(part, KIND.name, usual, MOST)?;
        Ok(drawn(
            &self.maps()?,
            seed,
            (first, count),
            &self.config,
            true,
        ))
    }

    fn steps(&self, seed: u64) -> Option<String> {
        Some(self.config.steps(seed, self.maps.get()?))
    }

    fn slices(
        &self,
        seed: u64,
        reversed: Option<bool>,
    ) -> Option<(Chain, Result<bool, TrainingError>)> {
        let config = &self.config;
        let reversed = config
            .reverse
            .decided(reversed, || Ok(config.is_reversed(seed, &self.maps()?)));
        Some((config.chain(), reversed))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use std::path::Path;

    use crate::data::DataSource;

    #[test]
    fn a_folder_without_maps_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let source = format!("mri-tissues:{}", folder.path().display());
        let load = |text: &str| {
            let source: DataSource = text.parse().unwrap();
            source.load(1, Some(8), Some(8)).unwrap_err().to_string()
        };
        let message = load(&source);
        assert!(
            message.contains("with t1 in its name; say another name with t1=NAME"),
            "{message}"
        );
        for name in ["a_t1.nii", "b-T1.nii.gz", "gm.nii", "wm.nii"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let message = load(&source);
        assert!(message.contains("could both be the t1"), "{message}");
        let message = load(&format!("{source}?t1=a"));
        assert!(message.contains("a_t1.nii"), "{message}");
        let message = "mri-tissues:x?d=3"
            .parse::<DataSource>()
            .unwrap_err()
            .to_string();
        assert!(message.contains("d=3 is not allowed"), "{message}");
    }

    #[test]
    fn real_maps_give_brains_with_folds_and_ventricles() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mri-volumes");
        if !folder.exists() {
            eprintln!("{} is not there: skipped", folder.display());
            return;
        }
        // The folder has a second head with t1 in its name.
        let text = format!(
            "mri-tissues:{}?t1=mni_icbm152_t1_tal_nlin_sym_09a_converted&reverse=auto",
            folder.display()
        );
        let source: DataSource = text.parse().unwrap();
        let split = source.load(1, Some(64), Some(16)).unwrap();
        assert_eq!(
            (split.train.shape, split.train.len(), split.test.len()),
            ([1, 64, 64], 64, 16)
        );
        let steps = source.steps(1).unwrap();
        assert!(
            steps.starts_with("drawn from tissue maps 64 x 64 (flair")
                && steps.contains("means: healthy 0."),
            "{steps}"
        );
        let masks = split.train.masks.as_ref().unwrap();
        let share = |mask: &[u8]| {
            mask.iter().filter(|inside| **inside == 1).count() as f64 / mask.len() as f64
        };
        // A brain fills about half of its slice, as the made-up ones do.
        assert!(
            (0.3..0.65).contains(&share(&masks.brain)),
            "{}",
            share(&masks.brain)
        );
        assert!(share(&masks.lesion) > 0.001);
        // Its ventricles: in a middle slice of the first patient, darkest where reversed intensities are brightest.
        let middle = &split.train.floats()[4 * 4096..5 * 4096];
        let ventricle: Vec<f32> = (24..40)
            .flat_map(|row| (28..36).map(move |column| middle[row * 64 + column]))
            .collect();
        assert!(ventricle.iter().copied().fold(0.0, f32::max) > 0.8);
    }
}
