//! Options of an evaluation beyond the table of a population: looks, a race, rare percentiles.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::{Error, Result, anyhow, bail};
use clap::Args;
use crossburn_noise::{Distribution, Looks, NoiseError, RaceConfig, RareConfig};
use serde_json::{Value, json};

use super::Evaluate;
use crate::apps::evaluation::{Asked, WorstChip};
use crate::apps::study::CONFIDENCE;

/// Default probability that unseen items change the result of a race.
const DELTA: f64 = 0.01;
/// Chips of each level of a subset simulation, unless told.
const RARE_CHIPS: usize = 1000;
/// Probability of each of its levels given the one before, as Au and Beck have it.
const CONDITIONAL: f64 = 0.1;

/// The arguments about percentiles. Those of --race and --rare refuse --shard themselves, because clap waives `requires` if
/// the required option conflicts with another one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Percentiles")]
pub(super) struct PercentileArguments {
    /// Which percentile --half-width and --race estimate
    #[arg(long, value_name = "K")]
    pub(super) kpp: Option<f64>,
    /// Draw chips until KPP(K) is known to within ± POINTS percentage points, at most --chips
    #[arg(long, value_name = "POINTS", requires = "kpp")]
    pub(super) half_width: Option<f64>,
    /// Find KPP(K) of --chips chips faster: stop evaluating a chip once its rank is settled
    #[arg(long, requires = "kpp", conflicts_with = "shard")]
    pub(super) race: bool,
    /// Probability, at most, that the result of --race differs from a full evaluation
    #[arg(long, value_name = "P", default_value_t = DELTA, requires = "race", conflicts_with = "shard")]
    pub(super) delta: f64,
    /// Estimate these rare percentiles by subset simulation, in per cent, comma-separated, such as 0.1,0.01
    #[arg(
        long,
        value_name = "P,...",
        value_delimiter = ',',
        conflicts_with = "shard"
    )]
    pub(super) rare: Vec<f64>,
    /// Chips at each level of --rare
    #[arg(long, value_name = "N", default_value_t = RARE_CHIPS, requires = "rare", conflicts_with = "shard")]
    pub(super) rare_chips: usize,
    /// Also estimate the percentiles of --rare by importance sampling towards the worst chip in this folder of `crossburn worst-case`;
    /// with --noise gaussian only
    #[arg(long, value_name = "RUN", requires = "rare", conflicts_with = "shard")]
    pub(super) towards: Option<PathBuf>,
}

/// `error` after the option whose count of chips is at fault.
fn named(option: &str, count: impl Display, error: NoiseError) -> Error {
    match error {
        NoiseError::TooMany { .. } | NoiseError::Levels { .. } => {
            anyhow!("{option} {count}: {error}")
        }
        error => error.into(),
    }
}

impl PercentileArguments {
    /// The options about KPP(k) and rare percentiles, checked.
    ///
    /// # Errors
    /// Numbers that are not allowed, and options that exclude each other.
    pub(super) fn asked(&self, evaluate: &Evaluate) -> Result<Asked> {
        let half_width = self.half_width.map(|points| points / 100.0);
        let looks = match (self.kpp, half_width, self.race) {
            (Some(k), Some(half_width), false) => {
                if evaluate.shard.is_some() {
                    bail!("--half-width decides how many chips are drawn: leave out --shard");
                }
                if !(half_width > 0.0 && half_width < 0.5) {
                    bail!(
                        "--half-width {} is not between 0 and 50 points, such as 1",
                        100.0 * half_width
                    );
                }
                Some((
                    k,
                    half_width,
                    Looks::new(k, CONFIDENCE, evaluate.chips as usize)?,
                ))
            }
            (Some(k), None, false) => {
                bail!("--kpp {k} has no effect alone: add --half-width or --race")
            }
            _ => None,
        };
        let race = match self.kpp {
            Some(k) if self.race => Some(RaceConfig {
                seed: evaluate.seed,
                chips: 0..evaluate.chips,
                // Checked again when the test set is known.
                items: 1,
                k,
                confidence: CONFIDENCE,
                delta: self.delta,
                half_width,
            }),
            _ => None,
        };
        if let Some(race) = &race {
            let checked = race.clone().check();
            checked.map_err(|error| named("--chips", evaluate.chips, error))?;
        }
        if self.towards.is_some() {
            if evaluate.hardware.hardware.is_some() {
                bail!(
                    "--towards shifts the draws of a variation: use it with --noise gaussian in place of --hardware"
                );
            }
            if self.race {
                bail!(
                    "--towards needs plain chips that see every item, and --race stops chips early: leave out one of them"
                );
            }
            if !matches!(
                evaluate.noise.variation()?.distribution,
                Distribution::Gaussian(_)
            ) {
                bail!("--towards shifts normal draws: use it with --noise gaussian");
            }
        }
        let rare = RareConfig {
            seed: evaluate.seed,
            chips: self.rare_chips,
            conditional: CONDITIONAL,
            percentages: self.rare.clone(),
            confidence: CONFIDENCE,
        };
        let rare = (!self.rare.is_empty()).then(|| rare.check()).transpose();
        let rare = rare.map_err(|error| named("--rare-chips", self.rare_chips, error))?;
        Ok(Asked { looks, race, rare })
    }

    /// These options in a document.
    pub(super) fn describe(&self, towards: Option<&WorstChip>, config: &mut Value) {
        if let Some(k) = self.kpp {
            config["kpp"] = json!(k);
            config["half_width"] = json!(self.half_width);
            config["race"] = json!(self.race.then(|| json!({ "delta": self.delta })));
        }
        if !self.rare.is_empty() {
            config["rare"] = json!({ "percent": self.rare, "chips": self.rare_chips });
            if let Some(towards) = towards {
                config["rare"]["towards"] = json!(towards.checksum());
            }
        }
    }
}
