//! `crossburn devices`

use anyhow::Result;
use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::units::{Second, Siemens, Volt};
use serde::Serialize;
use serde_json::json;

use super::{Outcome, print};
use crate::apps::hardware::{NamedDevice, open_device};

/// Show the memory cells that hardware can be made of
///
/// Without a name, the command lists all devices that come with Crossburn. With a name or the file of a device, it shows the errors at
/// eleven conductances and the description. If the device changes with time, the errors are also shown at later times. Errors are in % of
/// the range of conductances, and computed in closed form.
///
/// Example: crossburn devices pcm-mushroom
#[derive(Debug, Args)]
pub(super) struct Devices {
    /// A device by name, a TOML file, or a table as CSV
    #[arg(value_name = "NAME|FILE")]
    name: Option<String>,
    /// Print JSON
    #[arg(long, help_heading = "Options")]
    json: bool,
}

/// The conductances at which the summary states errors, as fractions of the range above `g_min`.
const FEW: [f64; 3] = [0.0, 0.5, 1.0];
/// Times that a device is aged to, with their names.
const AGES: [&str; 3] = ["1 h", "1 d", "1 y"];

/// One device in brief.
#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    kind: String,
    g_min: Siemens,
    g_max: Siemens,
    /// None where `g_min` is 0.
    on_off_ratio: Option<f64>,
    /// Conductances of a cell with discrete levels.
    levels: Option<Vec<Siemens>>,
    programming: Vec<Written>,
    time_law: bool,
    read_noise: bool,
    nonlinear_current: bool,
    /// What it is and whose figures are used, from the comment before its description.
    about: String,
    source: String,
}

/// A cell at one target, just written.
#[derive(Debug, Serialize)]
struct Written {
    /// The target, as a fraction of the range above `g_min`.
    r: f64,
    target: Siemens,
    #[serde(flatten)]
    error: Deviation,
    /// Standard deviation of one read of a cell at the target.
    read_sigma_rel_range: Option<f64>,
}

/// Mean and standard deviation of a cell against its target.
#[derive(Clone, Copy, Debug, Serialize)]
struct Deviation {
    mean_shift_rel_range: f64,
    sigma_rel_range: f64,
}

/// Cells at all targets after a time, or why there are none.
#[derive(Debug, Serialize)]
struct Aged {
    after: Second,
    errors: Vec<Deviation>,
    refused: Option<String>,
}

/// The current of a cell that is no resistor.
#[derive(Debug, Serialize)]
struct Current {
    given_from: Siemens,
    given_to: Siemens,
    largest_voltage: Volt,
    reliable_from: Siemens,
    reliable_to: Siemens,
}

/// Everything about one device.
#[derive(Debug, Serialize)]
struct Detail {
    #[serde(flatten)]
    summary: Summary,
    current: Option<Current>,
    aged: Vec<Aged>,
    text: String,
}

impl Devices {
    pub(super) fn run(self) -> Result<Outcome> {
        let Some(name) = &self.name else {
            let all = MemoryDevice::preset_names()
                .map(|name| {
                    let device = MemoryDevice::preset(name)?;
                    Ok(summary(
                        name,
                        &device,
                        MemoryDevice::preset_text(name)?,
                        &FEW,
                    ))
                })
                .collect::<Result<Vec<_>>>()?;
            if self.json {
                print(&serde_json::to_string_pretty(&json!({ "devices": all }))?)?;
            } else {
                print(&overview(&all))?;
            }
            return Ok(Outcome::Done);
        };
        let NamedDevice {
            device,
            description,
            ..
        } = open_device(name)?;
        let detail = detail(name, &device, &description)?;
        if self.json {
            print(&serde_json::to_string_pretty(&detail)?)?;
        } else {
            print(&page(&detail, &device))?;
        }
        Ok(Outcome::Done)
    }
}

/// Microsiemens as the number that its digits say, without the tail of a 32-bit float.
fn siemens(microsiemens: f32) -> Siemens {
    let digits: f64 = microsiemens
        .to_string()
        .parse()
        .unwrap_or(f64::from(microsiemens));
    Siemens::new(digits * 1e-6)
}

fn target(device: &MemoryDevice, r: f64) -> f32 {
    let range = device.range();
    match r {
        1.0 => range.g_max,
        _ => (f64::from(range.g_min) + r * f64::from(range.span())) as f32,
    }
}

fn deviation(
    device: &MemoryDevice,
    target: f32,
    moments: crossburn_hardware::device::Moments,
) -> Deviation {
    let span = f64::from(device.range().span());
    Deviation {
        mean_shift_rel_range: (moments.mean - f64::from(target)) / span,
        sigma_rel_range: moments.sigma / span,
    }
}

fn summary(name: &str, device: &MemoryDevice, text: &str, fractions: &[f64]) -> Summary {
    let range = device.range();
    let span = f64::from(range.span());
    let ratio = f64::from(range.on_off_ratio());
    let written = |&r: &f64| {
        let target = target(device, r);
        // Per read and held together.
        let [read, held] = [
            device.read_sigma(&[target], Second::default()),
            device.held_sigma(&[target], Second::default()),
        ]
        .map(|sigmas| sigmas.map(|sigmas| f64::from(sigmas[0])));
        Written {
            r,
            target: siemens(target),
            error: deviation(device, target, device.programming_moments(target)),
            read_sigma_rel_range: read.map(|read| read.hypot(held.unwrap_or(0.0)) / span),
        }
    };
    let comment: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(str::trim)
        .collect();
    let comment = comment.join(" ");
    let (about, rest) = comment.split_once("Source: ").unwrap_or((&comment, ""));
    let source = rest.split("Valid: ").next().unwrap_or_default();
    let about = about
        .strip_prefix(&format!("{name}: "))
        .unwrap_or(about)
        .split_inclusive(". ")
        .next()
        .unwrap_or_default();
    let sentence = |text: &str| text.trim().trim_end_matches('.').to_string();
    Summary {
        name: name.to_string(),
        kind: device.config().kind().to_string(),
        g_min: siemens(range.g_min),
        g_max: siemens(range.g_max),
        on_off_ratio: ratio.is_finite().then_some(ratio),
        levels: device
            .levels()
            .map(|levels| levels.into_iter().map(siemens).collect()),
        programming: fractions.iter().map(written).collect(),
        time_law: device.has_drift(),
        read_noise: device.has_read_noise(),
        nonlinear_current: device.iv_curve().is_some(),
        about: sentence(about),
        source: sentence(source),
    }
}

fn detail(name: &str, device: &MemoryDevice, text: &str) -> Result<Detail> {
    let tenths: Vec<f64> = (0..=10).map(|tenth| f64::from(tenth) / 10.0).collect();
    let ages: &[&str] = if device.has_drift() { &AGES } else { &[] };
    let aged = ages
        .iter()
        .map(|age| {
            let after: Second = age.parse()?;
            let errors = tenths
                .iter()
                .map(|&r| {
                    let target = target(device, r);
                    let moments = device.aged_moments(target, after)?;
                    Ok(deviation(device, target, moments))
                })
                .collect::<Result<Vec<_>, crossburn_hardware::HardwareError>>();
            let (errors, refused) = match errors {
                Ok(errors) => (errors, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            Ok(Aged {
                after,
                errors,
                refused,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let current = device.iv_curve().map(|curve| Current {
        given_from: Siemens::new(curve.valid().0),
        given_to: Siemens::new(curve.valid().1),
        largest_voltage: Volt::new(curve.largest_voltage()),
        reliable_from: Siemens::new(curve.reliable().0),
        reliable_to: Siemens::new(curve.reliable().1),
    });
    Ok(Detail {
        summary: summary(name, device, text, &tenths),
        current,
        aged,
        text: text.to_string(),
    })
}

/// A fraction in per cent, three digits of it, and no more than three decimals.
fn percent(fraction: f64) -> String {
    let value: f64 = format!("{:.2e}", 100.0 * fraction)
        .parse()
        .unwrap_or(fraction);
    match value.abs() {
        size if size < 5e-4 => "0".to_string(),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    }
}

/// A conductance with five digits.
fn shown(conductance: Siemens) -> String {
    let digits = format!("{:.4e}", conductance.get()).parse();
    Siemens::new(digits.unwrap_or(conductance.get())).to_string()
}

fn ratio(ratio: Option<f64>) -> String {
    match ratio {
        None => "∞".to_string(),
        Some(ratio) if ratio < 100.0 => format!("{ratio:.1}"),
        Some(ratio) if ratio < 1e5 => format!("{ratio:.0}"),
        Some(ratio) => format!("{ratio:.0e}"),
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "–" }
}

fn table(headers: Vec<String>, left: usize) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let columns = headers.len();
    table.set_header(headers);
    for index in left..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// All devices.
fn overview(all: &[Summary]) -> String {
    let headers = [
        "Device",
        "Kind",
        "Range",
        "On/off",
        "Levels",
        "σ at 0, ½, 1\n(% of range)",
        "Time\nlaw",
        "Read\nnoise",
        "I-V\ncurve",
    ];
    let mut table = table(headers.map(str::to_string).to_vec(), 2);
    for device in all {
        let sigmas: Vec<String> = device
            .programming
            .iter()
            .map(|written| percent(written.error.sigma_rel_range))
            .collect();
        let levels = device
            .levels
            .as_ref()
            .map_or("–".to_string(), |levels| levels.len().to_string());
        table.add_row(vec![
            device.name.clone(),
            device.kind.clone(),
            format!("{} – {}", shown(device.g_min), shown(device.g_max)),
            ratio(device.on_off_ratio),
            levels,
            sigmas.join("  "),
            yes(device.time_law).to_string(),
            yes(device.read_noise).to_string(),
            yes(device.nonlinear_current).to_string(),
        ]);
    }
    let width = all
        .iter()
        .map(|device| device.name.chars().count())
        .max()
        .unwrap_or(0);
    let about: Vec<String> = all
        .iter()
        .map(|device| {
            let Summary {
                name,
                about,
                source,
                ..
            } = device;
            let source = source.split("; ").next().unwrap_or_default();
            format!("{name:width$}  {about}\n{:width$}  {source}", "")
        })
        .collect();
    format!("{table}\n\n{}", about.join("\n"))
}

/// One device.
fn page(detail: &Detail, device: &MemoryDevice) -> String {
    let Summary {
        name,
        kind,
        g_min,
        g_max,
        programming,
        ..
    } = &detail.summary;
    let mut lines = vec![format!("{name} ({kind})")];
    let mut fact = |term: &str, text: String| lines.push(format!("{term:10}  {text}"));
    fact(
        "range",
        format!(
            "{} to {}, on/off ratio {}",
            shown(*g_min),
            shown(*g_max),
            ratio(detail.summary.on_off_ratio)
        ),
    );
    let levels = detail.summary.levels.as_ref().map(|levels| {
        let levels: Vec<String> = levels.iter().copied().map(shown).collect();
        levels.join(", ")
    });
    fact("levels", levels.unwrap_or("analog".to_string()));
    let none = |there: bool, text: &str| if there { text } else { "none" }.to_string();
    fact(
        "time law",
        none(detail.summary.time_law, "drift or relaxation, see below"),
    );
    fact(
        "read noise",
        none(
            detail.summary.read_noise,
            match device.held_sigma(&[device.range().g_max], Second::default()) {
                None => "new at every read, see below",
                Some(_) => "new at every read, and held by a chip where slower than 1 s, see below",
            },
        ),
    );
    let current = detail.current.as_ref().map(|current| {
        format!(
            "nonlinear, given from {} to {} and to {}; reliable from {} to {}",
            current.given_from,
            current.given_to,
            current.largest_voltage,
            current.reliable_from,
            current.reliable_to
        )
    });
    fact(
        "current",
        current.unwrap_or("proportional to the voltage".to_string()),
    );
    if let Some(faults) = device.faults() {
        fact(
            "faults",
            format!(
                "{} % on, {} % off, {} % unformed",
                percent(faults.stuck_on),
                percent(faults.stuck_off),
                percent(faults.unformed)
            ),
        );
    }
    let mut headers: Vec<String> = ["r", "Target", "Shift", "σ"].map(str::to_string).to_vec();
    if detail.summary.read_noise {
        headers.push("Read σ".to_string());
    }
    for aged in &detail.aged {
        headers.extend([format!("{}: shift", aged.after), "σ".to_string()]);
    }
    let mut table = table(headers, 0);
    for (row, written) in programming.iter().enumerate() {
        let mut cells = vec![
            format!("{:.1}", written.r),
            shown(written.target),
            percent(written.error.mean_shift_rel_range),
            percent(written.error.sigma_rel_range),
        ];
        cells.extend(written.read_sigma_rel_range.map(percent));
        for aged in &detail.aged {
            match aged.errors.get(row) {
                Some(error) => cells.extend([
                    percent(error.mean_shift_rel_range),
                    percent(error.sigma_rel_range),
                ]),
                None => cells.extend(["—".to_string(), "—".to_string()]),
            }
        }
        table.add_row(cells);
    }
    let mut text = lines.join("\n");
    text.push_str(&format!(
        "\n\nShift of the mean and standard deviation, in % of the range; the target is g_min + r (g_max − g_min).\n{table}\n"
    ));
    for aged in &detail.aged {
        if let Some(reason) = &aged.refused {
            text.push_str(&format!("— {}: {reason}\n", aged.after));
        }
    }
    text.push_str(&format!("\n{}", detail.text.trim_end()));
    text
}
