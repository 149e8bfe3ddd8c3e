//! Percentiles that a run was asked for beside the table of its population: a race, looks, rare ones in two ways.

use crossburn_noise::{Metric, RareChip};
use serde::{Deserialize, Serialize};

use super::document::{KppEntry, MethodResults, Results};
use super::summary::{Measure, interval, reach, unit};
use crate::report::ReportError;
use crate::report::check::{finite, fraction, possible};
use crate::report::draw::Cell;

/// What was asked for beside the population; each part is left out where it was not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// KPP(k) by a race.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<RaceSummary>,
    /// KPP(k) to a width, by looking at more and more chips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<LooksSummary>,
    /// Rare percentiles by subset simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rare: Option<RareSummary>,
    /// The same percentiles by importance sampling towards the worst chip that a search has found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towards: Option<ImportanceSummary>,
}

/// KPP(k) by a race: chips whose rank is settled are looked at no further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaceSummary {
    /// The percentile in per cent.
    pub k: f64,
    /// Seed of the population, whose chips are numbered from 0, and of the order of items.
    pub seed: u64,
    /// Chips that raced.
    pub chips: usize,
    /// Test items.
    pub items: usize,
    /// KPP(k) of these chips on all items lies in here.
    pub value: Known,
    /// The lower end of the order-statistic interval lies in here; `None` where so few chips do not bound that
    /// side.
    pub low: Option<Known>,
    /// The upper end lies in here.
    pub high: Option<Known>,
    /// Coverage of that interval over the draw of chips.
    pub coverage: f64,
    /// Probability given to items not looked at.
    pub delta: f64,
    /// Coverage less delta.
    pub confidence: f64,
    /// Pairs of a chip and an item that were evaluated, as a fraction of all.
    pub work: f64,
    /// The rounds in order.
    pub rounds: Vec<RaceRoundSummary>,
}

/// What a number is known to lie between; equal ends where it is exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// At least this.
    pub low: f64,
    /// At most this.
    pub high: f64,
}

impl Known {
    /// The middle.
    pub fn middle(&self) -> f64 {
        0.5 * (self.low + self.high)
    }
}

/// A round of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaceRoundSummary {
    /// Items looked at by its end.
    pub items: usize,
    /// Chips that took part.
    pub chips: usize,
    /// Chips dropped because they are above every rank of interest.
    pub above: usize,
    /// Chips dropped because they are below.
    pub below: usize,
}

/// KPP(k) to a width: the interval was looked at for more and more chips until it was narrow enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LooksSummary {
    /// The percentile in per cent.
    pub k: f64,
    /// Half of the width that was asked for.
    pub half_width: f64,
    /// Numbers of chips at which the interval was to be looked at.
    pub looks: Vec<usize>,
    /// Chips at the last look taken.
    pub chips: usize,
    /// Confidence over all looks.
    pub confidence: f64,
    /// Confidence of the interval at each look.
    pub each: f64,
    /// KPP(k) and its interval at the last look taken.
    pub kpp: KppEntry,
    /// Whether the interval became as narrow as asked for.
    pub reached: bool,
}

/// Rare percentiles by subset simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RareSummary {
    /// Chips of each level.
    pub chips: usize,
    /// Test items evaluated on each chip.
    pub items: usize,
    /// Chips that were evaluated.
    pub evaluations: u64,
    /// The levels in order.
    pub levels: Vec<RareLevelSummary>,
    /// One entry per percentage, as they were asked for.
    pub quantiles: Vec<RareQuantileSummary>,
}

/// A level of a subset simulation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RareLevelSummary {
    /// Its chips are at this value of the metric or worse; null for the first level.
    pub threshold: Option<f64>,
    /// Estimated probability of such chips.
    pub probability: f64,
    /// Share of moves that were accepted.
    pub acceptance: f64,
    /// Correlation of its last moves with where they started.
    pub rho: f64,
}

/// A rare percentile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RareQuantileSummary {
    /// The percentage of chips at or below.
    pub percent: f64,
    /// The metric.
    pub value: f64,
    /// Lower end of its 95 % interval; `None` where the levels do not reach as low.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Coefficient of variation of the probability of a chip at or below the value.
    pub variation: f64,
    /// Independent chips that would say as much as those of its level.
    pub effective: f64,
    /// Plain chips that a plain population would need to say as much; `None` where the metric of no chip differs.
    pub plain_chips: Option<f64>,
    /// A chip that has the value, as a list of seeds.
    pub chip: RareChip,
}

/// Rare percentiles by importance sampling: chips shifted along a direction, each weighed by how much more often a plain
/// population has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportanceSummary {
    /// Chips that were evaluated.
    pub chips: usize,
    /// Test items evaluated on each chip.
    pub items: usize,
    /// Plain chips that set the shift.
    pub pilot: usize,
    /// Correlation over them of the metric, higher being better, with how far a chip lies along the direction.
    pub correlation: f64,
    /// How far chips were shifted, in standard deviations.
    pub shift: f64,
    /// One entry per percentage, as they were asked for.
    pub quantiles: Vec<ImportanceQuantileSummary>,
}

impl ImportanceSummary {
    /// The share of the variance of the metric that the direction explains in the pilot: the correlation, squared.
    pub fn explained(&self) -> f64 {
        self.correlation * self.correlation
    }
}

/// A rare percentile from weighed chips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportanceQuantileSummary {
    /// The percentage of chips at or below.
    pub percent: f64,
    /// The metric.
    pub value: f64,
    /// Lower end of its 95 % interval; `None` where nothing bounds that side.
    pub low: Option<f64>,
    /// Upper end; `None` where nothing bounds that side.
    pub high: Option<f64>,
    /// Chips of equal weight that would say as much as those at or below the value.
    pub effective: f64,
}

impl Percentiles {
    pub(super) fn check(&self, metric: &Metric, at: &str) -> Result<(), ReportError> {
        if let Some(race) = &self.race {
            let at = |field: &str| format!("{at}.race.{field}");
            finite(&at("k"), race.k)?;
            for (field, known) in [
                ("value", Some(race.value)),
                ("low", race.low),
                ("high", race.high),
            ] {
                for end in known.iter().flat_map(|known| [known.low, known.high]) {
                    possible(metric, &at(field), end)?;
                }
            }
            for (field, value) in [
                ("coverage", race.coverage),
                ("delta", race.delta),
                ("confidence", race.confidence),
                ("work", race.work),
            ] {
                fraction(&at(field), value)?;
            }
        }
        if let Some(looks) = &self.looks {
            let at = |field: &str| format!("{at}.looks.{field}");
            finite(&at("k"), looks.k)?;
            finite(&at("half_width"), looks.half_width)?;
            fraction(&at("confidence"), looks.confidence)?;
            fraction(&at("each"), looks.each)?;
            for (field, value) in [
                ("kpp.value", Some(looks.kpp.value)),
                ("kpp.low", looks.kpp.low),
                ("kpp.high", looks.kpp.high),
            ] {
                value.map_or(Ok(()), |value| possible(metric, &at(field), value))?;
            }
        }
        for quantile in self.rare.iter().flat_map(|rare| &rare.quantiles) {
            let at = |field: &str| format!("{at}.rare at {} %: {field}", quantile.percent);
            for (field, value) in [
                ("value", Some(quantile.value)),
                ("low", quantile.low),
                ("high", quantile.high),
            ] {
                value.map_or(Ok(()), |value| possible(metric, &at(field), value))?;
            }
            for (field, value) in [
                ("percent", Some(quantile.percent)),
                ("variation", Some(quantile.variation)),
                ("effective", Some(quantile.effective)),
                ("plain_chips", quantile.plain_chips),
            ] {
                value.map_or(Ok(()), |value| finite(&at(field), value))?;
            }
        }
        if let Some(towards) = &self.towards {
            finite(&format!("{at}.towards.shift"), towards.shift)?;
            finite(&format!("{at}.towards.correlation"), towards.correlation)?;
            for quantile in &towards.quantiles {
                let at = |field: &str| format!("{at}.towards at {} %: {field}", quantile.percent);
                for (field, value) in [
                    ("value", Some(quantile.value)),
                    ("low", quantile.low),
                    ("high", quantile.high),
                ] {
                    value.map_or(Ok(()), |value| possible(metric, &at(field), value))?;
                }
                finite(&at("effective"), quantile.effective)?;
            }
        }
        Ok(())
    }
}

/// Races, looks and rare percentiles in the order of the table; empty where none was asked for.
pub(super) fn percentile_measures(results: &Results) -> Vec<Measure> {
    let metric = &results.metric;
    let mut measures = Vec::new();
    let mut row = |label: String, detail: bool, cell: &dyn Fn(&Percentiles) -> Option<Cell>| {
        let cell = |method: &MethodResults| method.percentiles.as_ref().and_then(cell);
        let cells: Vec<Option<Cell>> = results.methods.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            measures.push(Measure {
                label,
                detail,
                cells,
            });
        }
    };
    let parts = || {
        results
            .methods
            .iter()
            .filter_map(|m| m.percentiles.as_ref())
    };
    if let Some(first) = parts().find_map(|p| p.race.as_ref()) {
        row(format!("KPP({}), race", first.k), false, &|p| {
            let race = p.race.as_ref()?;
            Some(Cell {
                value: known(race.value, metric),
                detail: Some(race_interval(race, metric)),
            })
        });
        row(format!("Work of {} chips (%)", first.chips), false, &|p| {
            Some(Cell::from(format!("{:.1}", 100.0 * p.race.as_ref()?.work)))
        });
    }
    if let Some(first) = parts().find_map(|p| p.looks.as_ref()) {
        row(format!("KPP({}), looks", first.k), false, &|p| {
            let looks = p.looks.as_ref()?;
            Some(Cell {
                value: metric.digits(looks.kpp.value),
                detail: Some(interval(&looks.kpp, metric)),
            })
        });
        row("Chips looked at".into(), false, &|p| {
            let looks = p.looks.as_ref()?;
            let wide = if looks.reached { "" } else { ", too few" };
            Some(Cell::from(format!("{}{wide}", looks.chips)))
        });
    }
    let rare = || parts().filter_map(|p| p.rare.as_ref());
    let mut percents: Vec<f64> = rare()
        .flat_map(|rare| rare.quantiles.iter().map(|q| q.percent))
        .collect();
    // From common to rare.
    percents.sort_by(|a, b| b.total_cmp(a));
    percents.dedup();
    for at in percents {
        let of = |p: &Percentiles| {
            let mut quantiles = p.rare.as_ref()?.quantiles.iter();
            quantiles.find(|q| q.percent == at).cloned()
        };
        row(format!("Rare, {at} %"), false, &|p| {
            let found = of(p)?;
            Some(estimate(found.value, (found.low, found.high), metric))
        });
        row(format!("  effective chips, {at} %"), true, &|p| {
            Some(Cell::from(format!("{:.0}", of(p)?.effective)))
        });
        row(format!("  plain chips for it, {at} %"), true, &|p| {
            let plain_chips = of(p)?.plain_chips;
            let alike = || "no chip differs".to_string();
            Some(Cell::from(
                plain_chips.map_or_else(alike, |chips| format!("{chips:.0}")),
            ))
        });
        let shifted = |p: &Percentiles| {
            let mut quantiles = p.towards.as_ref()?.quantiles.iter();
            quantiles.find(|q| q.percent == at).copied()
        };
        row(format!("Importance, {at} %"), false, &|p| {
            let found = shifted(p)?;
            Some(estimate(found.value, (found.low, found.high), metric))
        });
        row(format!("  its effective chips, {at} %"), true, &|p| {
            Some(Cell::from(format!("{:.0}", shifted(p)?.effective)))
        });
    }
    row("Chips of all levels".into(), true, &|p| {
        Some(Cell::from(p.rare.as_ref()?.evaluations.to_string()))
    });
    row("Direction explains (%)".into(), true, &|p| {
        let towards = p.towards.as_ref()?;
        Some(Cell::from(format!("{:.1}", 100.0 * towards.explained())))
    });
    measures
}

/// How the percentiles of this run are defined.
pub(super) fn percentile_definitions(results: &Results) -> Vec<String> {
    let parts = || {
        results
            .methods
            .iter()
            .filter_map(|m| m.percentiles.as_ref())
    };
    let mut definitions = Vec::new();
    if let Some(race) = parts().find_map(|p| p.race.as_ref()) {
        definitions.push(format!(
            "A race looks at items in random order and drops a chip when its rank is settled; the work is the share of \
             chips times items that it evaluated. Its interval covers KPP({}) with confidence {:.2} %: {:.2} % of \
             order statistics less {:.2} % for items not looked at. ± is what those items leave open about the point.",
            race.k,
            100.0 * race.confidence,
            100.0 * race.coverage,
            100.0 * race.delta
        ));
    }
    if let Some(looks) = parts().find_map(|p| p.looks.as_ref()) {
        let numbers: Vec<String> = looks.looks.iter().map(ToString::to_string).collect();
        definitions.push(format!(
            "Chips were drawn until the interval of KPP({}) was ± {} {} wide, looked at for {} chips. Its confidence is \
             {:.0} % over all looks, {:.2} % at each. The other intervals of the table are those of a number of chips \
             chosen beforehand, which this one was not.",
            looks.k,
            results.metric.scale() * looks.half_width,
            results.metric.step(),
            numbers.join(", "),
            100.0 * looks.confidence,
            100.0 * looks.each
        ));
    }
    if parts().any(|p| p.rare.is_some()) {
        definitions.push(
            "Rare percentiles are from subset simulation: chips that get worse level by level. Brackets hold an approximate \
             95 % interval; effective chips are the independent ones that would say as much as the level, plain chips those \
             that a plain population would take."
                .into(),
        );
    }
    if let Some(towards) = parts().find_map(|p| p.towards.as_ref()) {
        definitions.push(format!(
            "Importance sampling draws {} chips shifted by {:.2} standard deviations towards the worst chip that a search has \
             found, and weighs them. Over {} plain chips this direction explains {:.1} % of the variance of the {}, which \
             sets the shift; what the other draws do is sampled as it comes, so that little is gained where that share is \
             small.",
            towards.chips,
            towards.shift,
            towards.pilot,
            100.0 * towards.explained(),
            results.metric.name
        ));
    }
    definitions
}

/// The outcome of a race in a sentence, for a run without a population.
pub(super) fn race_headline(method: &MethodResults, metric: &Metric) -> Option<String> {
    let race = method.percentiles.as_ref()?.race.as_ref()?;
    Some(format!(
        "{} % of chips of {} {} {}{} {} {}, KPP({}) of a race over n = {} chips at {:.1} % of the work.",
        100.0 - race.k,
        method.name,
        reach(metric),
        known(race.value, metric),
        unit(metric),
        race_interval(race, metric),
        metric.name,
        race.k,
        race.chips,
        100.0 * race.work
    ))
}

/// A value of the metric, with what is open about it.
fn known(value: Known, metric: &Metric) -> String {
    let open = 0.5 * (value.high - value.low);
    if open == 0.0 {
        metric.digits(value.low)
    } else {
        let middle = metric.digits(value.middle());
        format!("{middle} ± {}", metric.digits(open))
    }
}

/// A percentile with its interval.
fn estimate(value: f64, (low, high): (Option<f64>, Option<f64>), metric: &Metric) -> Cell {
    let entry = KppEntry { value, low, high };
    Cell {
        value: metric.digits(value),
        detail: Some(interval(&entry, metric)),
    }
}

/// The whole interval of a race, `…` on an unbounded side.
fn race_interval(race: &RaceSummary, metric: &Metric) -> String {
    let entry = KppEntry {
        value: race.value.middle(),
        low: race.low.map(|low| low.low),
        high: race.high.map(|high| high.high),
    };
    interval(&entry, metric)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::path::Path;

    use super::*;
    use crate::report::{Document, example};

    fn results() -> Results {
        let mut results = example::results();
        results.methods.truncate(1);
        let exact = |value: f64| Known {
            low: value,
            high: value,
        };
        let quantile = |percent: f64, value: f64, low: Option<f64>| RareQuantileSummary {
            percent,
            value,
            low,
            high: Some(value + 0.02),
            variation: 0.25,
            effective: 412.3,
            plain_chips: low.map(|_| 15_984.0),
            chip: RareChip {
                seed: 7,
                first: 3,
                moves: Vec::new(),
            },
        };
        results.methods[0].percentiles = Some(Percentiles {
            race: Some(RaceSummary {
                k: 1.0,
                seed: 7,
                chips: 1000,
                items: 10_000,
                value: Known {
                    low: 0.68,
                    high: 0.69,
                },
                low: None,
                high: Some(exact(0.7)),
                coverage: 0.95,
                delta: 0.01,
                confidence: 0.94,
                work: 0.187,
                rounds: Vec::new(),
            }),
            looks: Some(LooksSummary {
                k: 5.0,
                half_width: 0.005,
                looks: vec![100, 200],
                chips: 200,
                confidence: 0.95,
                each: 0.975,
                kpp: KppEntry {
                    value: 0.7,
                    low: Some(0.69),
                    high: Some(0.71),
                },
                reached: false,
            }),
            rare: Some(RareSummary {
                chips: 1000,
                items: 1000,
                evaluations: 2800,
                levels: Vec::new(),
                quantiles: vec![quantile(0.1, 0.6, Some(0.58)), quantile(10.0, 0.7, None)],
            }),
            towards: Some(ImportanceSummary {
                chips: 2800,
                items: 1000,
                pilot: 500,
                correlation: -0.3,
                shift: 0.93,
                quantiles: vec![ImportanceQuantileSummary {
                    percent: 0.1,
                    value: 0.61,
                    low: None,
                    high: Some(0.63),
                    effective: 7.4,
                }],
            }),
        });
        results
    }

    #[test]
    fn rows_say_what_is_known_and_what_is_not() {
        let expected = "\
│ KPP(1), race                 ┆ 68.50 ± 0.50 […–70.00] │
│ Work of 1000 chips (%)       ┆ 18.7                   │
│ KPP(5), looks                ┆ 70.00 [69.00–71.00]    │
│ Chips looked at              ┆ 200, too few           │
│ Rare, 10 %                   ┆ 70.00 […–72.00]        │
│   effective chips, 10 %      ┆ 412                    │
│   plain chips for it, 10 %   ┆ no chip differs        │
│ Rare, 0.1 %                  ┆ 60.00 [58.00–62.00]    │
│   effective chips, 0.1 %     ┆ 412                    │
│   plain chips for it, 0.1 %  ┆ 15984                  │
│ Importance, 0.1 %            ┆ 61.00 […–63.00]        │
│   its effective chips, 0.1 % ┆ 7                      │
│ Chips of all levels          ┆ 2800                   │
│ Direction explains (%)       ┆ 9.0                    │";
        let text = results().table().unwrap();
        assert!(text.contains(expected), "{text}");
        let page = results().html().unwrap();
        for part in [
            "looked at for 100, 200 chips",
            "94.00 %: 95.00 %",
            "subset simulation",
            "2800 chips shifted by 0.93 standard deviations",
            "Over 500 plain chips this direction explains 9.0 %",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(
            !example::results()
                .html()
                .unwrap()
                .contains("subset simulation")
        );
    }

    #[test]
    fn an_end_at_the_end_of_the_range_is_shown_and_a_missing_one_is_not() {
        let mut results = results();
        let percentiles = results.methods[0].percentiles.as_mut().unwrap();
        let at = |value: f64| Known {
            low: value,
            high: value,
        };
        let race = percentiles.race.as_mut().unwrap();
        (race.value, race.low, race.high) = (at(0.0), Some(at(0.0)), Some(at(1.0)));
        percentiles.rare.as_mut().unwrap().quantiles[0].low = Some(0.0);
        let shifted = &mut percentiles.towards.as_mut().unwrap().quantiles[0];
        (shifted.low, shifted.high) = (Some(0.0), Some(1.0));
        let text = results.table().unwrap();
        for part in [
            "0.00 [0.00–100.00]",
            "60.00 [0.00–62.00]",
            "61.00 [0.00–100.00]",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = results.to_json().unwrap();
        let again = Results::from_json(&text, Path::new("run")).unwrap();
        assert_eq!(again, results);
    }

    #[test]
    fn a_race_without_a_population_has_a_headline() {
        let mut results = results();
        results.methods[0].population = None;
        assert!(results.html().unwrap().contains(
            "99 % of chips of plain reach 68.50 ± 0.50 % […–70.00] accuracy, KPP(1) of a race over n = 1000 chips at \
             18.7 % of the work."
        ));
    }

    #[test]
    fn the_document_is_read_as_it_is_written_and_checked() {
        let results = results();
        let text = results.to_json().unwrap();
        assert_eq!(
            Results::from_json(&text, Path::new("run")).unwrap(),
            results
        );
        let refused = |change: fn(&mut Percentiles)| {
            let mut results = results.clone();
            change(results.methods[0].percentiles.as_mut().unwrap());
            results.to_json().unwrap_err().to_string()
        };
        let message = refused(|p| p.race.as_mut().unwrap().value.high = 1.5);
        assert!(
            message.contains("percentiles.race.value is 1.5"),
            "{message}"
        );
        let message = refused(|p| p.looks.as_mut().unwrap().each = f64::NAN);
        assert!(
            message.contains("percentiles.looks.each is NaN"),
            "{message}"
        );
        let message = refused(|p| p.rare.as_mut().unwrap().quantiles[0].low = Some(-0.1));
        assert!(message.contains("rare at 0.1 %: low is -0.1"), "{message}");
        let message = refused(|p| p.towards.as_mut().unwrap().quantiles[0].high = Some(1.1));
        assert!(
            message.contains("towards at 0.1 %: high is 1.1"),
            "{message}"
        );
    }
}
