//! From the measures of a design to one number, limits, and the order of priorities.

use std::collections::BTreeMap;

use crossburn_noise::Better;
use serde::{Deserialize, Serialize};

use super::trial::Measure;
use crate::TrainingError;

/// Energy in picojoules that costs a whole point of quality: 80 µJ.
pub const ENERGY_REFERENCE: f64 = 8e7;
/// Inferences per second that are worth a whole point of quality.
pub const RATE_REFERENCE: f64 = 1600.0;

/// The score of quality and energy, `quality - sqrt(energy / reference)`.
///
/// `quality` is a fraction, `energy` that of one inference in pJ, as is `reference`.
///
/// # Source
/// The experiment code of LCDA (arXiv 2306.06923), with the reference [`ENERGY_REFERENCE`].
pub fn r_ae(quality: f64, energy: f64, reference: f64) -> f64 {
    quality - (energy / reference).sqrt()
}

/// The score of quality and latency, `quality + 1 / (latency reference)`: the rate of inferences over a rate that is worth one point.
///
/// `latency` is that of one inference in seconds, `reference` a rate per second.
///
/// # Source
/// As [`r_ae`], with the reference [`RATE_REFERENCE`].
pub fn r_al(quality: f64, latency: f64, reference: f64) -> f64 {
    quality + 1.0 / (latency * reference)
}

fn energy_reference() -> f64 {
    ENERGY_REFERENCE
}

fn rate_reference() -> f64 {
    RATE_REFERENCE
}

/// How measures become a score, of which higher is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScoreConfig {
    /// One measure; its negative where lower is better.
    Measure {
        /// Its name.
        measure: String,
    },
    /// [`r_ae`].
    RAe {
        /// The measure of quality, a fraction.
        quality: String,
        /// The measure of energy, in pJ.
        energy: String,
        /// Energy that costs a whole point.
        #[serde(default = "energy_reference")]
        reference: f64,
    },
    /// [`r_al`], or the quality less one where it is below a floor: without one, tiny networks win by their rate alone.
    RAl {
        /// The measure of quality, a fraction.
        quality: String,
        /// The measure of latency, in s.
        latency: String,
        /// Rate that is worth a whole point.
        #[serde(default = "rate_reference")]
        reference: f64,
        /// The least quality whose rate counts.
        #[serde(default)]
        floor: f64,
    },
    /// The sum of measures, each times a weight: positive where more of it is wanted.
    Weighted {
        /// Weights by measure.
        weights: BTreeMap<String, f64>,
    },
}

/// A score whose measures are found.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    config: ScoreConfig,
    /// Places of the measures that it needs, with weights.
    terms: Vec<(usize, f64)>,
}

impl Score {
    /// The score of these measures.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a measure that does not exist or has another unit, and for a reference that is no positive number.
    pub fn new(config: ScoreConfig, measures: &[Measure]) -> Result<Self, TrainingError> {
        let find = |name: &str| place_of(measures, name, "score");
        let in_unit = |name: &str, unit: &str| {
            let place = find(name)?;
            match measures[place].unit == unit {
                true => Ok((place, 1.0)),
                false => Err(TrainingError::data(
                    "score",
                    format!("`{name}` is in {:?}, not in {unit}", measures[place].unit),
                    "name a measure in that unit",
                )),
            }
        };
        let quality_of = |name: &str| {
            let place = find(name)?;
            match measures[place].better {
                Better::Higher => Ok((place, 1.0)),
                Better::Lower => Err(TrainingError::data(
                    "score",
                    format!("less of `{name}` is better, so it is no quality"),
                    "name a measure of which more is better",
                )),
            }
        };
        let positive = |reference: f64| match reference > 0.0 && reference.is_finite() {
            true => Ok(()),
            false => Err(TrainingError::data(
                "score",
                format!("reference = {reference}"),
                "use a number above 0",
            )),
        };
        let terms = match &config {
            ScoreConfig::Measure { measure } => {
                let place = find(measure)?;
                vec![(place, measures[place].better.orient(1.0))]
            }
            ScoreConfig::RAe {
                quality,
                energy,
                reference,
            } => {
                positive(*reference)?;
                vec![quality_of(quality)?, in_unit(energy, "pJ")?]
            }
            ScoreConfig::RAl {
                quality,
                latency,
                reference,
                floor,
            } => {
                positive(*reference)?;
                if !floor.is_finite() {
                    return Err(TrainingError::data(
                        "score",
                        format!("floor = {floor}"),
                        "use a finite number",
                    ));
                }
                vec![quality_of(quality)?, in_unit(latency, "s")?]
            }
            ScoreConfig::Weighted { weights } if weights.is_empty() => {
                return Err(TrainingError::data(
                    "score",
                    "weights are missing",
                    "weigh a measure, such as weights = { quality = 1.0 }",
                ));
            }
            ScoreConfig::Weighted { weights } => weights
                .iter()
                .map(|(name, weight)| match weight.is_finite() {
                    true => Ok((find(name)?, *weight)),
                    false => Err(TrainingError::data(
                        "score",
                        format!("the weight of `{name}` is {weight}"),
                        "use a finite number",
                    )),
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { config, terms })
    }

    /// The score of a design with these values.
    pub fn of(&self, values: &[f64]) -> f64 {
        let at = |term: usize| values[self.terms[term].0];
        match &self.config {
            ScoreConfig::RAe { reference, .. } => r_ae(at(0), at(1), *reference),
            ScoreConfig::RAl {
                reference, floor, ..
            } => match at(0) < *floor {
                true => at(0) - 1.0,
                false => r_al(at(0), at(1), *reference),
            },
            ScoreConfig::Measure { .. } | ScoreConfig::Weighted { .. } => {
                let terms = self.terms.iter();
                terms.map(|(place, weight)| weight * values[*place]).sum()
            }
        }
    }

    /// Its formula in words.
    pub fn words(&self) -> String {
        match &self.config {
            ScoreConfig::Measure { measure } => match self.terms[0].1 < 0.0 {
                true => format!("-{measure}"),
                false => measure.clone(),
            },
            ScoreConfig::RAe {
                quality,
                energy,
                reference,
            } => format!("R_ae = {quality} - sqrt({energy} / {reference:e} pJ)"),
            ScoreConfig::RAl {
                quality,
                latency,
                reference,
                floor,
            } => format!(
                "R_al = {quality} + 1 / ({latency} × {reference} per s), or {quality} - 1 where {quality} is below {floor}"
            ),
            ScoreConfig::Weighted { weights } => {
                let term = |(name, weight): (&String, &f64)| format!("{weight} × {name}");
                weights.iter().map(term).collect::<Vec<_>>().join(" + ")
            }
        }
    }
}

/// The place of the measure `name`.
fn place_of(measures: &[Measure], name: &str, whose: &str) -> Result<usize, TrainingError> {
    let place = measures.iter().position(|measure| measure.name == name);
    place.ok_or_else(|| {
        let known: Vec<&str> = measures
            .iter()
            .map(|measure| measure.name.as_str())
            .collect();
        TrainingError::data(
            whose,
            format!("there is no measure `{name}`"),
            format!("use one of {}", known.join(", ")),
        )
    })
}

/// The most that a measure may be. Designs above it are refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    measure: Measure,
    place: usize,
    most: f64,
}

impl Limit {
    /// `most` of the measure `name`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a measure that does not exist or of which more is better, and for a limit that is not finite.
    pub fn new(name: &str, most: f64, measures: &[Measure]) -> Result<Self, TrainingError> {
        let place = place_of(measures, name, "limit")?;
        let measure = &measures[place];
        if measure.better == Better::Higher {
            return Err(TrainingError::data(
                "limit",
                format!("more of `{name}` is better"),
                "limit something that costs",
            ));
        }
        if !most.is_finite() {
            return Err(TrainingError::data(
                "limit",
                format!("{name} = {most}"),
                "use a finite number",
            ));
        }
        Ok(Self {
            measure: measure.clone(),
            place,
            most,
        })
    }

    /// What a design with these values is refused for, in words.
    pub fn refuses(&self, values: &[f64]) -> Option<String> {
        self.refuses_value(values[self.place])
    }

    /// The same of a design of which not every value is known yet.
    pub fn refuses_foreseen(&self, values: &[Option<f64>]) -> Option<String> {
        let value = values.get(self.place).copied().flatten()?;
        self.refuses_value(value)
    }

    fn refuses_value(&self, value: f64) -> Option<String> {
        (value > self.most).then(|| {
            let Measure { name, unit, .. } = &self.measure;
            format!(
                "{name} {value:.4e} {unit} is above the limit {} {unit}",
                self.most
            )
        })
    }

    /// It as `name <= most unit`.
    pub fn words(&self) -> String {
        format!(
            "{} <= {} {}",
            self.measure.name, self.most, self.measure.unit
        )
    }

    /// Its measure.
    pub fn measure(&self) -> &str {
        &self.measure.name
    }
}

/// One step of an order of priorities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// The measure.
    pub measure: String,
    /// Differences up to this are no difference.
    #[serde(default)]
    pub within: f64,
}

/// The place of the design that is best by priority (FL-NAS, section 4): of those that are within the tolerance of the best by the first
/// measure, those that are within the tolerance of the best of them by the second, and so on; the first of what is left.
///
/// # Errors
/// [`TrainingError::Data`] for a measure that does not exist, and for a tolerance that is no number from 0 on.
pub fn best_by_priority(
    points: &[&[f64]],
    order: &[Priority],
    measures: &[Measure],
) -> Result<Option<usize>, TrainingError> {
    let mut left: Vec<usize> = (0..points.len()).collect();
    for priority in order {
        let place = place_of(measures, &priority.measure, "priority")?;
        if priority.within.is_nan() || priority.within < 0.0 {
            return Err(TrainingError::data(
                "priority",
                format!("within = {} of `{}`", priority.within, priority.measure),
                "use a number from 0 on",
            ));
        }
        let better = measures[place].better;
        let value = |point: &usize| better.orient(points[*point][place]);
        let best = left.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        left.retain(|point| value(point) >= best - priority.within);
    }
    Ok(left.first().copied())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn measures() -> Vec<Measure> {
        vec![
            Measure::new("quality", "", Better::Higher),
            Measure::new("energy", "pJ", Better::Lower),
            Measure::new("latency", "s", Better::Lower),
        ]
    }

    #[test]
    fn the_scores_of_the_paper_by_hand() {
        // 20 µJ are a quarter of 80 µJ: half a point. In joules nothing would be lost.
        assert_eq!(r_ae(0.9, 2e7, ENERGY_REFERENCE), 0.9 - 0.5);
        // 2 ms are 500 inferences per second: 0.3125 points.
        assert!((r_al(0.7, 2e-3, RATE_REFERENCE) - 1.0125).abs() < 1e-12);
    }

    #[test]
    fn scores_are_made_of_measures() {
        let score = |text: &str| {
            let config = toml::from_str::<ScoreConfig>(text).unwrap();
            Score::new(config, &measures())
        };
        let of = |text: &str| score(text).unwrap().of(&[0.8, 2e7, 1e-3]);
        assert_eq!(of("kind = \"measure\"\nmeasure = \"quality\""), 0.8);
        assert_eq!(of("kind = \"measure\"\nmeasure = \"energy\""), -2e7);
        let names = "quality = \"quality\"\nenergy = \"energy\"";
        assert!((of(&format!("kind = \"r-ae\"\n{names}")) - 0.3).abs() < 1e-12);
        assert!((of(&format!("kind = \"r-ae\"\n{names}\nreference = 2e7")) + 0.2).abs() < 1e-12);
        let names = "quality = \"quality\"\nlatency = \"latency\"";
        assert!((of(&format!("kind = \"r-al\"\n{names}")) - 1.425).abs() < 1e-12);
        assert!((of(&format!("kind = \"r-al\"\n{names}\nfloor = 0.9")) + 0.2).abs() < 1e-12);
        let weighted = "kind = \"weighted\"\nweights = { quality = 2.0, energy = -1e-7 }";
        assert!((of(weighted) + 0.4).abs() < 1e-12);
        for (text, part) in [
            (
                "kind = \"measure\"\nmeasure = \"area\"",
                "there is no measure `area`; use one of quality, energy, latency",
            ),
            (
                "kind = \"r-ae\"\nquality = \"quality\"\nenergy = \"latency\"",
                "`latency` is in \"s\", not in pJ",
            ),
            (
                "kind = \"r-ae\"\nquality = \"quality\"\nenergy = \"energy\"\nreference = 0.0",
                "reference = 0",
            ),
            (
                "kind = \"weighted\"\nweights = { quality = nan }",
                "the weight of `quality` is NaN",
            ),
            ("kind = \"weighted\"\nweights = {}", "weights are missing"),
            (
                "kind = \"r-ae\"\nquality = \"latency\"\nenergy = \"energy\"",
                "less of `latency` is better",
            ),
            (
                "kind = \"r-al\"\nquality = \"quality\"\nlatency = \"latency\"\nfloor = nan",
                "floor = NaN",
            ),
        ] {
            let message = score(text).unwrap_err().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn limits_refuse_what_is_above_them() {
        let limit = Limit::new("energy", 1e6, &measures()).unwrap();
        assert_eq!(limit.refuses(&[0.5, 1e6, 1.0]), None);
        let words = limit.refuses(&[0.5, 2e6, 1.0]).unwrap();
        assert_eq!(words, "energy 2.0000e6 pJ is above the limit 1000000 pJ");
        for (name, most) in [("quality", 1.0), ("area", 1.0), ("energy", f64::NAN)] {
            Limit::new(name, most, &measures()).unwrap_err();
        }
    }

    #[test]
    fn earlier_priorities_decide_up_to_their_tolerance() {
        let points: [&[f64]; 4] = [
            &[0.90, 5.0, 1.0],
            &[0.89, 3.0, 2.0],
            &[0.89, 3.0, 1.5],
            &[0.80, 1.0, 0.1],
        ];
        let best = |order: &[(&str, f64)]| {
            let order: Vec<Priority> = order
                .iter()
                .map(|(measure, within)| Priority {
                    measure: measure.to_string(),
                    within: *within,
                })
                .collect();
            best_by_priority(&points, &order, &measures()).unwrap()
        };
        assert_eq!(best(&[("quality", 0.0), ("energy", 0.0)]), Some(0));
        assert_eq!(best(&[("quality", 0.011), ("energy", 0.0)]), Some(1));
        assert_eq!(
            best(&[("quality", 0.011), ("energy", 0.0), ("latency", 0.0)]),
            Some(2)
        );
        assert_eq!(best(&[("energy", 0.0)]), Some(3));
        assert_eq!(best(&[]), Some(0));
        assert_eq!(best_by_priority(&[], &[], &measures()).unwrap(), None);
        for within in [f64::NAN, -0.1] {
            let order = [Priority {
                measure: "quality".to_string(),
                within,
            }];
            let error = best_by_priority(&points, &order, &measures()).unwrap_err();
            assert!(error.to_string().contains("within = "), "{error}");
        }
    }
}
