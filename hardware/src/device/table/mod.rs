//! A device of the user's own, by tables of measurements.

mod ageing;
mod measured;

use serde::{Deserialize, Serialize};

use self::ageing::{Measured, TableAgeing, since};
use self::measured::{Curve, Layout, Read, Row, Source};
use super::ConductanceRange;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::ReadNoise;
use super::refusal::{microsiemens, positive};
use crate::HardwareError;
use crate::units::{Second, Siemens};

/// A cell as it was measured at some targets: mean and standard deviation when written, and if measured, its drift or its
/// retention, and its read noise.
///
/// ```toml
/// kind = "table"
/// unit = "uS"
/// rows = [[1.0, 1.1, 0.3], [50.0, 49.5, 1.2], [100.0, 98.0, 0.8]]   # conductance, mean, sigma
/// t_0 = "20 s"
/// drift = { rows = [[1.0, 0.06, 0.02], [100.0, 0.02, 0.005]] }      # conductance, nu_mean, nu_std
/// read_noise = { rows = [[0.0, 0.05], [100.0, 0.8]] }               # conductance, sigma
/// ```
///
/// The first table as text, with its unit in the header in place of `unit = "uS"`:
///
/// ```text
/// conductance [uS],mean [uS],sigma [uS]
/// 1.0,1.1,0.3
/// 50.0,49.5,1.2
/// 100.0,98.0,0.8
/// ```
///
/// The layout of NeuroSim V1.5, one line for each state of a cell, is read as well. It is in siemens unless `unit` or the
/// header says otherwise. State k of L has the target `mean_0 + k (mean_(L-1) - mean_0) / (L - 1)`, where arrays expect it. The
/// difference between the mean and the target is an error of the cell.
///
/// ```text
/// states,mean,std
/// 0,1.0e-6,1.0e-7
/// 1,4.8e-5,1.5e-6
/// ```
///
/// Such text may come from a spreadsheet: a byte-order mark before it and a comma at the end of its lines are no part of
/// the table.
///
/// # Law
/// Between two rows of a table all of its columns are linear in the conductance.
///
/// ```text
/// programming   g_p  = max(0, mean + sigma ξ)
/// drift         g(t) = g_p ((t + t_0) / t_0)^(-ν)          ν = |nu_mean + nu_std ξ|, one per cell, by its target
/// retention     g(t) = max(0, g_p + (mean_t - mean) + sqrt(sigma_t² - sigma²) ξ)
/// read noise    sigma, by the conductance at that time; the nearer end outside the rows
/// ```
///
/// A retention table has the mean and standard deviation of cells at `after`, programming and ageing together. Between two
/// times `mean_t` and `sigma_t` are linear in `ln((t + t_0) / t_0)`; a standard deviation that falls counts as one that stays.
/// As everywhere, `t` counts from the first read, which is `t_0` after writing.
///
/// # Validity
/// From the first conductance to the last, and up to the last time of a retention. Conductances rise strictly, means of the first
/// table do not fall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// Unit of all three columns, such as `uS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Conductance, mean and standard deviation of every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<[f64; 3]>>,
    /// The same as comma-separated text with a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// Lowest conductance; that of the first row where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g_min: Option<Siemens>,
    /// Highest conductance; that of the last row where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub g_max: Option<Siemens>,
    /// First read after writing; 1 s where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t_0: Option<Second>,
    /// Exponents of drift. A device has a drift or a retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Box<DriftTable>>,
    /// Cells at later times, in rising order. A device has a drift or a retention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retention: Vec<RetentionTable>,
    /// Noise of one read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_noise: Option<Box<ReadNoiseTable>>,
}

/// Exponents of drift, measured at some conductances. As text: `conductance [uS],nu_mean,nu_std`, or `states,nu_mean,nu_std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftTable {
    /// Unit of the conductances; that of the device where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Conductance, mean and standard deviation of the exponent, the latter two before the magnitude is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<[f64; 3]>>,
    /// The same as comma-separated text with a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
}

/// Cells some time after the first read. As text like the table of the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionTable {
    /// Time since the first read.
    pub after: Second,
    /// Unit of all three columns; that of the device where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Target, mean and standard deviation of every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<[f64; 3]>>,
    /// The same as comma-separated text with a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
}

/// Noise of one read, measured at some conductances. As text: `conductance [uS],sigma [uS]`, or `states,std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadNoiseTable {
    /// Unit of both columns; that of the device where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Conductance and standard deviation of one read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<[f64; 2]>>,
    /// The same as comma-separated text with a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
}

/// Cells at one time. Means stand second.
const WRITTEN: Layout<3> = Layout {
    columns: ["conductance", "mean", "sigma"],
    conductances: 3,
    of_states: &["mean", "std"],
};
const MEAN: usize = 1;
/// Exponents of drift.
const EXPONENTS: Layout<3> = Layout {
    columns: ["conductance", "nu_mean", "nu_std"],
    conductances: 1,
    of_states: &["nu_mean", "nu_std"],
};
/// Noise of one read.
const READ_NOISE: Layout<2> = Layout {
    columns: ["conductance", "sigma"],
    conductances: 2,
    of_states: &["std"],
};

/// The checked form.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    range: ConductanceRange,
    levels: Option<Vec<f32>>,
    /// Conductance, mean and standard deviation, uS.
    written: Curve<3>,
    t_0: f64,
    ageing: Option<Measured>,
    /// Conductance and standard deviation, uS.
    read: Option<Curve<2>>,
}

impl TableConfig {
    pub(super) fn check(&self) -> Result<Table, HardwareError> {
        let source = Source {
            what: "the device table",
            layout: WRITTEN,
            unit: self.unit.as_deref(),
            default_unit: None,
            rows: self.rows.as_deref(),
            csv: self.csv.as_deref(),
        };
        let mut read = source.read()?;
        let unit = read.unit.take();
        let states = read.by_state.then(|| States::of(&mut read));
        let written = source.curve(read.rows, &[MEAN])?;
        let range = self.range(&written, states.is_some())?;
        let t_0 = self.t_0.unwrap_or(Second::new(1.0));
        let t_0 = positive("t_0", t_0.get(), t_0)?;
        Ok(Table {
            t_0,
            ageing: self.ageing(states.as_ref(), range, t_0, unit.as_deref())?,
            read: self.read_noise(states.as_ref(), unit.as_deref())?,
            levels: states.map(|states| states.targets.iter().map(|g| *g as f32).collect()),
            range,
            written,
        })
    }

    fn range(&self, written: &Curve<3>, by_state: bool) -> Result<ConductanceRange, HardwareError> {
        if by_state && (self.g_min.is_some() || self.g_max.is_some()) {
            return Err(HardwareError::conflict(
                "g_min or g_max beside a table of states, which are all that the cell can be in",
                "leave them out",
            ));
        }
        let ends = written.ends();
        let [g_min, g_max] = [(self.g_min, ends[0]), (self.g_max, ends[1])]
            .map(|(own, end)| own.unwrap_or(Siemens::new(end * 1e-6)));
        ConductanceRange::new(g_min, g_max)?.within((ends[0] as f32, ends[1] as f32), "the table")
    }

    /// The ageing, by drift or retention.
    fn ageing(
        &self,
        states: Option<&States>,
        range: ConductanceRange,
        t_0: f64,
        unit: Option<&str>,
    ) -> Result<Option<Measured>, HardwareError> {
        match (&self.drift, self.retention.as_slice()) {
            (None, []) => Ok(None),
            (Some(drift), []) => {
                let source = Source {
                    what: "the drift table",
                    layout: EXPONENTS,
                    unit: drift.unit.as_deref(),
                    default_unit: unit,
                    rows: drift.rows.as_deref(),
                    csv: drift.csv.as_deref(),
                };
                let curve = source.curve(located(&source, states, |s| &s.targets)?, &[])?;
                covers(source.what, &curve, range)?;
                Ok(Some(Measured::Drift(curve)))
            }
            (None, retention) => {
                let mut times: Vec<(Second, Curve<3>)> = Vec::new();
                for table in retention {
                    let last = times.last().map_or(Second::default(), |(after, _)| *after);
                    let [before, now] = [last, table.after].map(|time| since(time.get(), t_0));
                    if !(now.is_finite() && now > before) {
                        return Err(HardwareError::limit(
                            "after of a retention table",
                            table.after,
                            format!("the times above {last} that t_0 tells apart"),
                            "sort the tables by time; the table of the device itself is that of the first read",
                        ));
                    }
                    let what = format!("the retention table of {}", table.after);
                    let source = Source {
                        what: &what,
                        layout: WRITTEN,
                        unit: table.unit.as_deref(),
                        default_unit: unit,
                        rows: table.rows.as_deref(),
                        csv: table.csv.as_deref(),
                    };
                    let curve = source.curve(located(&source, states, |s| &s.targets)?, &[])?;
                    covers(&what, &curve, range)?;
                    times.push((table.after, curve));
                }
                Ok(Some(Measured::Retention(times)))
            }
            (Some(_), _) => Err(HardwareError::conflict(
                "`drift` and `retention` both say what time does to a cell",
                "give one of them",
            )),
        }
    }

    fn read_noise(
        &self,
        states: Option<&States>,
        unit: Option<&str>,
    ) -> Result<Option<Curve<2>>, HardwareError> {
        let Some(noise) = &self.read_noise else {
            return Ok(None);
        };
        let source = Source {
            what: "the read noise table",
            layout: READ_NOISE,
            unit: noise.unit.as_deref(),
            default_unit: unit,
            rows: noise.rows.as_deref(),
            csv: noise.csv.as_deref(),
        };
        let rows = located(&source, states, |s| &s.means)?;
        source.curve(rows, &[]).map(Some)
    }
}

/// The states of a cell.
struct States {
    /// Conductances where arrays expect the states, in uS: at even steps from the first mean to the last.
    targets: Vec<f64>,
    /// Mean conductances of the states, in uS.
    means: Vec<f64>,
}

impl States {
    /// The states of the device table `read`, in whose rows targets take the place of their numbers.
    fn of(read: &mut Read<3>) -> Self {
        let means: Vec<f64> = read.rows.iter().map(|row| row.values[MEAN]).collect();
        let [first, last] = [means.first(), means.last()].map(|mean| mean.map_or(0.0, |g| *g));
        let steps = means.len().saturating_sub(1).max(1) as f64;
        let target = |state: usize| first + state as f64 / steps * (last - first);
        let targets: Vec<f64> = (0..means.len()).map(target).collect();
        for (row, target) in read.rows.iter_mut().zip(&targets) {
            row.values[0] = *target;
        }
        Self { targets, means }
    }
}

/// The rows of `source` by conductance: `of` those of the states where its rows are states.
fn located<const N: usize>(
    source: &Source<'_, N>,
    states: Option<&States>,
    of: impl Fn(&States) -> &Vec<f64>,
) -> Result<Vec<Row<N>>, HardwareError> {
    let mut read = source.read()?;
    if !read.by_state {
        return Ok(read.rows);
    }
    let known = states.map(of);
    let Some(known) = known.filter(|known| known.len() == read.rows.len()) else {
        let (what, found) = (source.what, read.rows.len());
        let of_device = match known {
            Some(known) => format!("{} states", known.len()),
            None => "rows by conductance".to_string(),
        };
        return Err(HardwareError::conflict(
            format!("{what} has {found} states and the device table {of_device}"),
            "give the same states in both, or conductances",
        ));
    };
    for (row, conductance) in read.rows.iter_mut().zip(known) {
        row.values[0] = *conductance;
    }
    Ok(read.rows)
}

/// Refuses a table that leaves out conductances of the device.
fn covers(what: &str, curve: &Curve<3>, range: ConductanceRange) -> Result<(), HardwareError> {
    let [first, last] = curve.ends().map(|end| end as f32);
    if first <= range.g_min && last >= range.g_max {
        return Ok(());
    }
    Err(HardwareError::limit(
        format!("conductances of {what}"),
        format!("{}..{}", microsiemens(first), microsiemens(last)),
        format!("those that reach over the range {range} of the device"),
        "add rows at its ends",
    ))
}

impl Programming for Table {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        let [_, mean, sigma] = self.written.at(target);
        Spread { mean, sigma }
    }
}

/// Read noise by the conductance of a cell.
#[derive(Clone, Debug)]
pub(super) struct Sigma(Curve<2>);

impl ReadNoise for Sigma {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        self.0.at(conductance)[1]
    }
}

impl Law for Table {
    type Ageing = TableAgeing;
    type Read = Sigma;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn levels(&self) -> Option<Vec<f32>> {
        self.levels.clone()
    }

    fn ageing(&self, after: f64) -> Result<Option<TableAgeing>, HardwareError> {
        let ageing = self.ageing.as_ref();
        ageing
            .map(|measured| measured.after(&self.written, self.t_0, after))
            .transpose()
    }

    fn read(&self, _after: f64) -> Option<Sigma> {
        self.read.clone().map(Sigma)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::ageing::Ageing;
    use super::*;
    use rstest::rstest;

    fn nothing() -> TableConfig {
        toml::from_str("").unwrap()
    }

    fn csv(text: &str, unit: Option<&str>) -> TableConfig {
        TableConfig {
            unit: unit.map(str::to_string),
            csv: Some(text.to_string()),
            ..nothing()
        }
    }

    fn rows(rows: &[[f64; 3]]) -> TableConfig {
        TableConfig {
            unit: Some("uS".to_string()),
            rows: Some(rows.to_vec()),
            ..nothing()
        }
    }

    #[test]
    fn both_forms_give_the_same_device() {
        let expected = rows(&[[1.0, 1.1, 0.3], [50.0, 49.5, 1.2], [100.0, 98.0, 0.8]]);
        let expected = expected.check().unwrap();
        let text = "# measured\nconductance,mean,sigma\n1,1.1,0.3\n\n50,49.5,1.2\n100,98,0.8\n";
        assert_eq!(csv(text, Some("uS")).check().unwrap(), expected);
        let marked = format!("\u{feff}{}", text.replace('\n', ",\r\n"));
        assert_eq!(csv(&marked, Some("uS")).check().unwrap(), expected);
        let text =
            "conductance [nS], mean [uS], sigma [uS]\n1000,1.1,0.3\n50000,49.5,1.2\n100000,98,0.8";
        let found = csv(text, None).check().unwrap();
        for g in [1.0, 25.0, 50.0, 75.0, 100.0] {
            let (found, expected) = (found.spread(g), expected.spread(g));
            assert!((found.mean - expected.mean).abs() < 1e-9 * expected.mean);
            assert!((found.sigma - expected.sigma).abs() < 1e-9 * expected.sigma);
        }
    }

    #[test]
    fn rows_are_met_and_interpolated_between() {
        let law = rows(&[[1.0, 1.1, 0.3], [50.0, 49.5, 1.2], [100.0, 98.0, 0.8]]);
        let law = law.check().unwrap();
        for (target, mean, sigma) in [
            (1.0, 1.1, 0.3),
            (50.0, 49.5, 1.2),
            (75.0, 73.75, 1.0),
            (100.0, 98.0, 0.8),
            (25.5, 25.3, 0.75),
        ] {
            let found = law.spread(target);
            assert!(
                (found.mean - mean).abs() < 1e-9 && (found.sigma - sigma).abs() < 1e-9,
                "{target}: {found:?}"
            );
        }
    }

    #[rstest]
    #[case(rows(&[[1.0, 1.0, 0.1]]), "rows of the device table = 1 is outside 2 and more: a table needs two rows to interpolate between")]
    #[case(
        rows(&[[1.0, 1.0, 0.1], [1.0, 2.0, 0.1]]),
        "conductance of row 2 of the device table = 1 uS is outside the values above 1 uS: sort the rows by conductance, or by state; a mean does not fall, and that of the last state is above that of the first"
    )]
    #[case(
        rows(&[[1.0, 2.0, 0.1], [2.0, 1.0, 0.1]]),
        "mean of row 2 of the device table = 1 uS is outside the values from 2 uS: sort the rows by conductance, or by state; a mean does not fall, and that of the last state is above that of the first"
    )]
    #[case(
        rows(&[[1.0, 2.0, -0.1], [2.0, 3.0, 0.1]]),
        "sigma of row 1 of the device table = -100 nS is outside 0 S..1 MS: give a finite value in that range"
    )]
    #[case(
        TableConfig { g_max: Some(Siemens::new(3e-6)), ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "g_max = 3 uS is outside the fitted range 1 uS..2 uS of the table: choose conductances inside it, or describe the \
         device by a table"
    )]
    #[case(
        TableConfig { unit: None, ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "the device table has `rows` and no `unit`: say what they are in, such as `unit = \"uS\"`"
    )]
    #[case(
        TableConfig { unit: Some("uA".into()), ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "`1 uA` is not a conductance: write a number and one of MS, kS, S, mS, uS, nS, pS, fS"
    )]
    #[case(
        csv("", None),
        "line 1 of the device table cannot be read: it is empty"
    )]
    #[case(
        csv("g,mean,sigma\n1,1,1", Some("uS")),
        "line 1 of the device table cannot be read: the header is `g,mean,sigma` instead of `conductance,mean,sigma`, \
         conductances with their unit as in `conductance [uS]`, or `states,mean,std`"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,1,1", None),
        "column `conductance` of the device table has no unit: write it after the name as in `mean [uS]`, or give `unit`"
    )]
    #[case(
        csv("conductance [uS],mean,sigma\n1,1,1", Some("uS")),
        "`unit` and the header of column `conductance` of the device table both give a unit: keep one of them"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,1\n2,2,2", Some("uS")),
        "line 2 of the device table cannot be read: 2 values instead of 3"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,1,1,,\n2,2,2", Some("uS")),
        "line 2 of the device table cannot be read: 4 values instead of 3"
    )]
    #[case(
        csv("conductance,mean,sigma\n\n1,NaN,1\n2,2,2", Some("uS")),
        "mean of line 3 of the device table = NaN is outside 0 S..1 MS: give a finite value in that range"
    )]
    #[case(
        csv("conductance,mean,sigma\n# falls\n1,2,1\n2,1,2", Some("uS")),
        "mean of line 4 of the device table = 1 uS is outside the values from 2 uS: sort the rows by conductance, or by \
         state; a mean does not fall, and that of the last state is above that of the first"
    )]
    #[case(
        csv("meas.csv", Some("uS")),
        "`meas.csv` is no table: the device table has several columns: write lines with commas as `csv`, or name the file that \
         holds them as `csv_file`"
    )]
    #[case(
        TableConfig { rows: None, ..rows(&[]) },
        "the device table without its values: give `rows`, each [conductance, mean, sigma], or the text of a table as `csv`"
    )]
    #[case(
        TableConfig { csv: Some("x".into()), ..rows(&[[1.0, 1.0, 0.1], [2.0, 2.0, 0.1]]) },
        "`rows` and `csv` both hold the device table: give exactly one of them"
    )]
    #[case(
        csv("conductance,mean,sigma\n1,one,1\n2,2,2", Some("uS")),
        "line 2 of the device table cannot be read: `one` is no number"
    )]
    fn tables_that_describe_no_device_are_refused(
        #[case] table: TableConfig,
        #[case] message: &str,
    ) {
        assert_eq!(table.check().unwrap_err().to_string(), message);
    }

    #[test]
    fn states_lie_evenly_and_miss_by_what_was_measured() {
        let text = "states,mean,std\n0,1e-6,1e-7\n1,30e-6,1e-6\n2,70e-6,2e-6\n3,91e-6,1.5e-6\n";
        let law = csv(text, None).check().unwrap();
        let levels = law.levels().unwrap();
        for (found, expected) in levels.iter().zip([1.0, 31.0, 61.0, 91.0]) {
            assert!((found - expected).abs() < 1e-4, "{found}");
        }
        for (target, mean, sigma) in [(1.0, 1.0, 0.1), (31.0, 30.0, 1.0), (61.0, 70.0, 2.0)] {
            let found = law.spread(target);
            assert!((found.mean - mean).abs() < 1e-9, "{found:?}");
            assert!((found.sigma - sigma).abs() < 1e-9, "{found:?}");
        }
        // In microsiemens by its header, as what is measured besides; exponents and read noise by the same states.
        let device: TableConfig = toml::from_str(
            "csv = \"states,mean [uS],std [uS]\\n0,1,0.1\\n1,30,1\\n2,70,2\\n3,91,1.5\"
            drift.csv = \"states,nu_mean,nu_std\\n0,0.1,0\\n1,0.05,0\\n2,0.02,0\\n3,0.01,0\"
            read_noise.csv = \"states,std\\n0,0.1\\n1,0.2\\n2,0.3\\n3,0.5\"",
        )
        .unwrap();
        let law = device.check().unwrap();
        assert!((law.spread(31.0).mean - 30.0).abs() < 1e-9);
        // The second state was aimed at 31 uS and is at 30 uS on average: exponents go by targets, reads by conductances.
        let aged = law.ageing(9.0).unwrap().unwrap().age(30.0, 31.0, 0.0);
        assert!((aged - 30.0 * 10f64.powf(-0.05)).abs() < 1e-9, "{aged}");
        let read = law.read(0.0).unwrap();
        assert!((read.sigma(30.0) - 0.2).abs() < 1e-9 && (read.sigma(50.0) - 0.25).abs() < 1e-9);
        assert_eq!(read.sigma(0.0), read.sigma(1.0));
    }

    #[test]
    fn cells_are_what_the_retention_says_at_its_times() {
        let device: TableConfig = toml::from_str(
            "unit = \"uS\"
            t_0 = \"1 s\"
            rows = [[0.0, 0.0, 0.3], [100.0, 98.0, 0.8]]
            retention = [
                { after = \"99 s\", rows = [[0.0, 1.0, 0.5], [100.0, 96.0, 1.0]] },
                { after = \"9999 s\", unit = \"nS\", rows = [[0.0, 2000.0, 500.0], [100000.0, 90000.0, 1700.0]] },
            ]",
        )
        .unwrap();
        let law = device.check().unwrap();
        let at = |after: f64| law.ageing(after).unwrap().unwrap();
        // Written to 98 with 0.8: at 99 s 2 less, and sqrt(1 - 0.64) = 0.6 more; at 9,999 s 8 less, sqrt(1.7² - 0.8²) = 1.5 more.
        assert!((at(99.0).age(98.0, 100.0, 1.0) - 96.6).abs() < 1e-9);
        assert!((at(9999.0).age(98.0, 100.0, 1.0) - 91.5).abs() < 1e-9);
        // 999 s is halfway in ln((t + 1 s) / 1 s): a mean of 93 and 1.35.
        let halfway = 93.0 + (1.35f64 * 1.35 - 0.64).sqrt();
        assert!((at(999.0).age(98.0, 100.0, 1.0) - halfway).abs() < 1e-9);
        // And 9 s between the first read and 99 s.
        assert!((at(9.0).age(98.0, 100.0, 0.0) - 97.0).abs() < 1e-9);
        assert_eq!(
            law.ageing(10_000.0).err().unwrap().to_string(),
            "after = 2.777777778 h is outside the measured times 0 s..2.7775 h of the retention tables: choose a time up to \
             2.7775 h, or add a table of a later one"
        );
    }

    #[rstest]
    #[case(
        "drift = { rows = [[0.0, 0.1, 0.0], [9.0, 0.1, 0.0]] }\nretention = [{ after = \"1 d\", rows = [] }]",
        "`drift` and `retention` both say what time does to a cell: give one of them"
    )]
    #[case(
        "drift = { rows = [[0.0, 0.1, 0.0], [8.0, 0.1, 0.0]] }",
        "conductances of the drift table = 0 S..8 uS is outside those that reach over the range 0 S..9 uS of the device: add \
         rows at its ends"
    )]
    #[case(
        "drift = { csv = \"states,nu_mean,nu_std\\n0,0.1,0\\n1,0.1,0\" }",
        "the drift table has 2 states and the device table rows by conductance: give the same states in both, or conductances"
    )]
    #[case(
        "drift = { rows = [[0.0, -0.1, 0.0], [9.0, 0.1, 0.0]] }",
        "nu_mean of row 1 of the drift table = -0.1 is outside 0 and above: give a finite value in that range"
    )]
    #[case(
        "retention = [{ after = \"1 d\", rows = [[0.0, 0.0, 0.1], [9.0, 8.0, 0.1]] }, { after = \"1 d\" }]",
        "after of a retention table = 1 d is outside the times above 1 d that t_0 tells apart: sort the tables by time; the \
         table of the device itself is that of the first read"
    )]
    #[case(
        "read_noise = {}",
        "the read noise table without its values: give `rows`, each [conductance, sigma], or the text of a table as `csv`"
    )]
    #[case(
        "t_0 = \"0 s\"",
        "t_0 = 0 s is outside values above 0: give a finite value above 0"
    )]
    #[case(
        "t_0 = \"1e-309 s\"\nretention = [{ after = \"1 s\", rows = [[0.0, 0.0, 0.1], [9.0, 8.0, 0.1]] }]",
        "after of a retention table = 1 s is outside the times above 0 s that t_0 tells apart: sort the tables by time; the \
         table of the device itself is that of the first read"
    )]
    #[case(
        "read_noise = { rows = [[0.0, 1e30], [9.0, 0.1]] }",
        "sigma of row 1 of the read noise table = 1000000000000000000 MS is outside 0 S..1 MS: give a finite value in that range"
    )]
    fn what_was_measured_besides_is_refused(#[case] more: &str, #[case] message: &str) {
        let text = format!("unit = \"uS\"\nrows = [[0.0, 0.0, 0.1], [9.0, 9.0, 0.1]]\n{more}");
        let table: TableConfig = toml::from_str(&text).unwrap();
        assert_eq!(table.check().unwrap_err().to_string(), message);
    }
}
