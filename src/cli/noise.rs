//! The variation of weights that the command line names: a distribution and its parameters.

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_noise::{Granularity, Variation};
use serde_json::{Value, json};

/// A distribution by its name in recipes, and a flag for every parameter that one can have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Variation")]
pub(crate) struct NoiseArguments {
    /// Distribution of the deviations, by its name in recipes, such as gaussian, right-censored or none
    #[arg(long, value_name = "KIND", default_value = DEFAULT)]
    noise: String,
    /// Standard deviation of a deviation, as a fraction of the largest absolute weight of its layer: 0.1 is 10 % [default: 0.1]
    #[arg(long, value_name = "S")]
    sigma: Option<f64>,
    /// Censoring or truncation point, in standard deviations, for the distributions that have one
    #[arg(long, value_name = "C")]
    censor: Option<f64>,
    /// Ratio of the deviation of inner levels to that of outer ones, for four-level
    #[arg(long, value_name = "R")]
    ratio: Option<f64>,
    /// Exponent, for power-law
    #[arg(long, value_name = "A")]
    exponent: Option<f64>,
    /// Probability that a weight deviates, for salt-and-pepper
    #[arg(long, value_name = "P")]
    probability: Option<f64>,
    /// What --sigma is relative to: the largest weight of a layer (per-tensor) or of an output channel (per-channel)
    #[arg(long, value_name = "SCALE", default_value = "per-tensor", value_parser = scale)]
    scale: Granularity,
}

/// Default of `--sigma`.
const SIGMA: f64 = 0.1;

/// The distribution, unless told.
const DEFAULT: &str = "gaussian";

/// The distribution without a deviation.
const NONE: &str = "none";

/// The distribution whose sigma is that of a logarithm.
const LOG_NORMAL: &str = "log-normal";

fn scale(text: &str) -> Result<Granularity, String> {
    match text {
        "per-tensor" => Ok(Granularity::PerTensor),
        "per-channel" => Ok(Granularity::PerChannel),
        _ => Err("use per-tensor or per-channel".to_string()),
    }
}

impl NoiseArguments {
    /// The flags of this type, and the sweep over one of them, which a hardware takes the place of.
    pub(super) const FLAGS: [&str; 9] = [
        "noise",
        "sigma",
        "censor",
        "ratio",
        "exponent",
        "probability",
        "scale",
        "sweep",
        "sweep_chips",
    ];

    /// Whether any of them differs from what it is where nothing is said.
    pub(crate) fn is_given(&self) -> bool {
        let numbers = [
            self.sigma,
            self.censor,
            self.ratio,
            self.exponent,
            self.probability,
        ];
        self.noise != DEFAULT
            || self.scale != Granularity::PerTensor
            || numbers.iter().any(Option::is_some)
    }

    /// The variation.
    ///
    /// # Errors
    /// A distribution that is not there, and parameters that it does not have, or misses, or does not allow.
    pub(crate) fn variation(&self) -> Result<Variation> {
        if self.noise == NONE && self.sigma.is_some() {
            bail!("--noise none has no sigma: leave out --sigma, or choose another --noise");
        }
        if self.noise == NONE && self.scale == Granularity::PerChannel {
            bail!("--noise none has no scale: leave out --scale, or choose another --noise");
        }
        self.at_sigma(self.sigma())
    }

    /// `--sigma`, or its default.
    fn sigma(&self) -> f64 {
        self.sigma.unwrap_or(SIGMA)
    }

    /// The values of `--sweep` in increasing order, each once.
    ///
    /// # Errors
    /// A sweep of a distribution that has no sigma, and values that it does not allow.
    pub(super) fn sweep(&self, values: &[f64]) -> Result<Vec<f64>> {
        if self.noise == NONE && !values.is_empty() {
            bail!("--sweep varies sigma, which --noise none does not have: choose another --noise");
        }
        for &sigma in values {
            self.at_sigma(sigma)
                .with_context(|| format!("--sweep {sigma}"))?;
        }
        // Plus zero, so that zero has one sign.
        let mut sorted: Vec<f64> = values.iter().map(|sigma| sigma + 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        Ok(sorted)
    }

    /// A hint if `--sigma` or a value of `sweep` looks like a percentage.
    pub(super) fn hint(&self, sweep: &[f64]) -> Option<String> {
        let relative = self.noise != NONE && self.noise != LOG_NORMAL;
        let mut values = std::iter::once(self.sigma()).chain(sweep.iter().copied());
        let large = values.find(|sigma| relative && *sigma > 1.0)?;
        let of = match self.scale {
            Granularity::PerTensor => "a layer",
            Granularity::PerChannel => "an output channel",
        };
        Some(format!(
            "sigma = {large} is {large} times the largest weight of {of}, not {large} %: for {large} % use {}",
            large / 100.0
        ))
    }

    /// The same with another `--sigma`.
    pub(super) fn at_sigma(&self, sigma: f64) -> Result<Variation> {
        let mut table = json!({ "kind": self.noise, "scale": self.scale });
        let key = if self.noise == LOG_NORMAL {
            "sigma_log"
        } else {
            "sigma_rel_wmax"
        };
        if self.noise != NONE {
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

    /// The options whose value is not on the command line, for the command that repeats it.
    pub(super) fn resolved(&self) -> Option<(&'static str, String)> {
        (self.noise != NONE).then(|| ("sigma", self.sigma().to_string()))
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
        let document = include_str!("../../docs/recipes.md");
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
            let mut flags = format!("--noise {kind}");
            if kind != "none" {
                flags.push_str(" --sigma 0.2 --scale per-channel");
            }
            for key in ["censor", "ratio", "exponent", "probability"] {
                if keys.contains(&format!("`{key}`")) {
                    flags.push_str(&format!(" --{key} 0.5"));
                }
            }
            let variation = parse(&flags).variation().unwrap();
            assert_eq!(variation.distribution.name(), kind);
            assert!(kind == "none" || variation.scale == Granularity::PerChannel);
            assert!(kind == "none" || variation.sigma() == 0.2);
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
            ("--noise none --sigma 0.1", "--noise none has no sigma"),
            (
                "--noise none --scale per-channel",
                "--noise none has no scale",
            ),
        ] {
            let error = parse(flags).variation().unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(part), "{flags}: {text}");
        }
    }

    #[test]
    fn every_flag_is_one_that_is_given() {
        assert!(!parse("").is_given());
        for flags in [
            "--noise none",
            "--sigma 0.1",
            "--censor 1",
            "--ratio 1",
            "--exponent 1",
            "--probability 1",
            "--scale per-channel",
        ] {
            assert!(parse(flags).is_given(), "{flags}");
        }
    }

    #[test]
    fn a_sweep_is_sorted_and_checked() {
        let sweep = |flags: &str, values: &[f64]| parse(flags).sweep(values);
        assert_eq!(sweep("", &[0.3, 0.1, 0.3]).unwrap(), [0.1, 0.3]);
        assert_eq!(sweep("", &[0.0, -0.0]).unwrap(), [0.0]);
        assert!(sweep("--noise none", &[]).unwrap().is_empty());
        for (flags, values, part) in [
            ("", &[0.1, -0.1][..], "--sweep -0.1"),
            ("", &[f64::NAN], "--sweep NaN"),
            ("--noise none", &[0.1], "which --noise none does not have"),
        ] {
            let text = format!("{:#}", sweep(flags, values).unwrap_err());
            assert!(text.contains(part), "{flags} {values:?}: {text}");
        }
    }

    #[test]
    fn what_looks_like_a_percentage_is_said() {
        let hint = |flags: &str, sweep: &[f64]| parse(flags).hint(sweep);
        assert_eq!(
            hint("--sigma 5", &[]).unwrap(),
            "sigma = 5 is 5 times the largest weight of a layer, not 5 %: for 5 % use 0.05"
        );
        assert!(hint("", &[0.1, 2.0]).unwrap().contains("for 2 % use 0.02"));
        for flags in [
            "",
            "--sigma 1",
            "--noise log-normal --sigma 5",
            "--noise none",
        ] {
            assert_eq!(hint(flags, &[]), None, "{flags}");
        }
    }
}
