//! The variation of weights that the command line names: a distribution and its parameters.

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_noise::{Scale, Variation};
use serde_json::{Value, json};

/// A distribution by its name in recipes, and a flag for every parameter that one can have.
#[derive(Debug, Args)]
pub(super) struct NoiseArguments {
    /// Distribution of the variation, by its name in recipes
    #[arg(long, value_name = "KIND", default_value = "gaussian")]
    noise: String,
    /// Standard deviation relative to the largest weight of a layer
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    sigma: f64,
    /// Censoring (or truncation) point, in standard deviations, of the distributions that have one
    #[arg(long, value_name = "C")]
    censor: Option<f64>,
    /// Ratio of inner to outer deviation of four-level cells
    #[arg(long, value_name = "R")]
    ratio: Option<f64>,
    /// Exponent of the power law
    #[arg(long, value_name = "A")]
    exponent: Option<f64>,
    /// How often a weight deviates at all, of salt and pepper
    #[arg(long, value_name = "P")]
    probability: Option<f64>,
    /// What --sigma is relative to: the largest weight of a layer (per-tensor) or of an output channel (per-channel)
    #[arg(long, value_name = "SCALE", default_value = "per-tensor", value_parser = scale)]
    scale: Scale,
}

fn scale(text: &str) -> Result<Scale, String> {
    match text {
        "per-tensor" => Ok(Scale::PerTensor),
        "per-channel" => Ok(Scale::PerChannel),
        _ => Err("use per-tensor or per-channel".to_string()),
    }
}

impl NoiseArguments {
    /// The flags of this type, which a hardware takes the place of.
    pub(super) const FLAGS: [&str; 7] = [
        "noise",
        "sigma",
        "censor",
        "ratio",
        "exponent",
        "probability",
        "scale",
    ];

    /// The variation.
    ///
    /// # Errors
    /// A distribution that is not there, and parameters that it does not have, or misses, or does not allow.
    pub(super) fn variation(&self) -> Result<Variation> {
        self.at_sigma(self.sigma)
    }

    /// The same with another `--sigma`.
    pub(super) fn at_sigma(&self, sigma: f64) -> Result<Variation> {
        let mut table = json!({ "kind": self.noise, "scale": self.scale });
        let key = if self.noise == "log-normal" {
            "sigma_log"
        } else {
            "sigma_rel_wmax"
        };
        if self.noise != "none" {
            table[key] = finite("--sigma", sigma)?;
        }
        for (key, value) in self.shape() {
            if let Some(value) = value {
                table[key] = finite(&format!("--{key}"), value)?;
            }
        }
        let variation: Variation = serde_json::from_value(table).with_context(|| {
            format!(
                "--noise {}, whose parameters are flags of their names",
                self.noise
            )
        })?;
        Ok(variation.check()?)
    }

    /// The parameters that only some distributions have: their keys in recipes are the flags.
    fn shape(&self) -> [(&'static str, Option<f64>); 4] {
        [
            ("censor", self.censor),
            ("ratio", self.ratio),
            ("exponent", self.exponent),
            ("probability", self.probability),
        ]
    }

    /// The flags that give this variation again.
    pub(super) fn reproduce(&self) -> String {
        let mut flags = format!(" --noise {} --sigma {}", self.noise, self.sigma);
        for (key, value) in self.shape() {
            if let Some(value) = value {
                flags.push_str(&format!(" --{key} {value}"));
            }
        }
        if self.scale == Scale::PerChannel {
            flags.push_str(" --scale per-channel");
        }
        flags
    }
}

/// JSON has no NaN: say so before it becomes a null.
fn finite(flag: &str, value: f64) -> Result<Value> {
    if !value.is_finite() {
        bail!("{flag} {value} is not a finite number");
    }
    Ok(json!(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        noise: NoiseArguments,
    }

    fn parse(flags: &str) -> NoiseArguments {
        let words = std::iter::once("line").chain(flags.split_whitespace());
        Line::try_parse_from(words).unwrap().noise
    }

    /// Every distribution of the table in `docs/recipes.md`, which names its parameters.
    #[test]
    fn every_distribution_has_its_flags() {
        let document = include_str!("../../../docs/recipes.md");
        let table = document.split("## Distributions").nth(1).unwrap();
        let rows = table
            .lines()
            .skip_while(|line| !line.starts_with("|--"))
            .skip(1)
            .take_while(|line| line.starts_with('|'));
        let mut kinds = 0;
        for row in rows {
            let mut cells = row.split('|').skip(1);
            let kind = cells.next().unwrap().trim().trim_matches('`');
            let keys = cells.next().unwrap();
            let mut flags = format!("--noise {kind} --sigma 0.2");
            for key in ["censor", "ratio", "exponent", "probability"] {
                if keys.contains(&format!("`{key}`")) {
                    flags.push_str(&format!(" --{key} 0.5"));
                }
            }
            let noise = parse(&format!("{flags} --scale per-channel"));
            let variation = noise.variation().unwrap();
            assert_eq!(variation.distribution.name(), kind);
            assert_eq!(variation.scale, Scale::PerChannel);
            assert!(kind == "none" || variation.sigma() == 0.2);
            let again = parse(&noise.reproduce()).variation().unwrap();
            assert_eq!(again, variation, "{}", noise.reproduce());
            kinds += 1;
        }
        assert_eq!(kinds, 13);
    }

    #[test]
    fn parameters_of_other_distributions_are_refused_by_name() {
        for (flags, part) in [
            ("--noise power-law", "missing field `exponent`"),
            ("--noise salt-and-pepper", "missing field `probability`"),
            ("--exponent 1", "unknown field `exponent`"),
            (
                "--noise salt-and-pepper --probability 2",
                "probability = 2 is not allowed",
            ),
            (
                "--noise power-law --exponent inf",
                "--exponent inf is not a finite number",
            ),
        ] {
            let error = parse(flags).variation().unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(part), "{flags}: {text}");
        }
    }
}
