//! The cells that prompts are stored on, and how far their numbers deviate.

use anyhow::Result;
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::search::{SearchConfig, SearchScale};
use crossburn_noise::{
    Distribution, FEFET2, FEFET3, FEFET6, FourLevel, RRAM1, RRAM4, Variation, path_hash,
};

/// The cells, with the ratio of inner to outer deviation: NVM-1 to NVM-5 of the paper.
pub(super) const CELLS: [(&str, f64); 5] = [
    ("rram1", RRAM1),
    ("fefet2", FEFET2),
    ("fefet3", FEFET3),
    ("rram4", RRAM4),
    ("fefet6", FEFET6),
];
/// σ of the cells, relative to the largest number of an array; the main setting is 0.1.
pub(super) const SIGMAS: [f64; 3] = [0.05, 0.1, 0.125];
/// The main setting.
pub(super) const MAIN: f64 = 0.1;

/// Cells and σ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    /// None for ideal cells.
    pub(super) cell: Option<(&'static str, f64)>,
    pub(super) sigma: f64,
}

impl Condition {
    /// Ideal cells, then every cell with every σ.
    pub(super) fn all() -> Vec<Self> {
        let ideal = Self {
            cell: None,
            sigma: 0.0,
        };
        let noisy = SIGMAS.into_iter().flat_map(|sigma| {
            CELLS.map(|cell| Self {
                cell: Some(cell),
                sigma,
            })
        });
        std::iter::once(ideal).chain(noisy).collect()
    }

    /// The deviation of stored numbers.
    pub(super) fn noise(&self) -> Option<Variation> {
        let (_, ratio) = self.cell?;
        Some(Variation::from(Distribution::FourLevel(FourLevel {
            sigma_rel_wmax: self.sigma,
            ratio,
        })))
    }

    /// A store of these cells that is searched at `scales`.
    pub(super) fn search(&self, scales: Vec<SearchScale>) -> Result<SearchConfig> {
        let (name, _) = self.cell.unwrap_or(CELLS[0]);
        Ok(SearchConfig {
            scales,
            // Without deviation for ideal cells.
            variation: Some(self.noise().unwrap_or_default()),
            ..SearchConfig::new(MemoryDevice::preset(name)?)
        })
    }

    /// A key of its draws.
    pub(super) fn key(&self) -> u64 {
        path_hash(&format!(
            "{:?} {}",
            self.cell.map(|(name, _)| name),
            self.sigma
        ))
    }
}
