//! The page of a mapping, and its run folder.

use std::path::Path;

use super::ReportError;
use super::atomic::{create_folder, write_file};
use super::cost_plots::{DRAWING_IDS, drawings};
use super::cost_results::Mapping;
use super::cost_summary::{
    DEFINITIONS, ESTIMATE_HEADERS, HEADERS, converter, estimate_rows, headline, rows, shares,
    slowest, total_row, totals,
};
use super::document::Document;
use super::html::{Page, definitions, figure, page, terms};
use super::quantity::{Shown, share};
use super::results::RESULTS_FILE;
use super::run_folder::{REPORT_FILE, write_plots};
use super::svg::{Drawing, escape};
use crossburn_hardware::cost::FloorPlan;

/// Parts below this share are told together.
const TOLD: f64 = 0.005;

/// Writes the run folder of a mapping as [`write_run`](super::write_run) writes that of a population.
///
/// # Errors
///
/// [`ReportError::Invalid`] for a mapping that cannot be, before anything is written; [`ReportError::Write`] naming the
/// file or folder that cannot be written.
pub fn write_mapping(dir: &Path, mapping: &Mapping) -> Result<(), ReportError> {
    let text = mapping.to_json()?;
    // Quantities are written with ten digits: the page follows from what was written.
    let written = Mapping::from_json(&text, &dir.join(RESULTS_FILE))?;
    let plan = written.floor_plan()?;
    let pictures = drawings(&written, &plan);
    create_folder(dir)?;
    write_file(&dir.join(RESULTS_FILE), &text)?;
    write_file(&dir.join(REPORT_FILE), &html(&written, &plan, &pictures))?;
    let plots = pictures
        .iter()
        .map(|picture| (picture.id, picture.standalone()));
    write_plots(dir, &plots.collect::<Vec<_>>())
}

/// The page of a mapping as one HTML document, without scripts and without anything loaded from elsewhere.
///
/// # Errors
///
/// [`ReportError::Invalid`] for a mapping that cannot be.
pub fn mapping_html(mapping: &Mapping) -> Result<String, ReportError> {
    let plan = mapping.floor_plan()?;
    Ok(html(mapping, &plan, &drawings(mapping, &plan)))
}

fn html(mapping: &Mapping, plan: &FloorPlan, pictures: &[Drawing; DRAWING_IDS.len()]) -> String {
    let [energy, estimators, floor_plan] = pictures;
    let body = format!(
        "{}<h2>Layers</h2>\n{}<h2>Plots and definitions</h2>\n<div class=\"plots\">\n{}<div>\n{}{}</div>\n</div>\n\
         <figure class=\"broad\">\n{}</figure>\n<h2>Converters</h2>\n<p>{}</p>\n{}",
        terms(&facts(mapping, plan)),
        table(&HEADERS, &rows(mapping), Some(&total_row(mapping))),
        figure(&energy.inline()),
        figure(&estimators.inline()),
        definitions(&DEFINITIONS),
        floor_plan.inline(),
        escape(&format!(
            "What every estimator says about this converter ({}), and the energy per inference with it. An estimator refuses \
             what its source does not cover.",
            converter(&mapping.cost)
        )),
        table(&ESTIMATE_HEADERS, &estimate_rows(&mapping.cost), None),
    );
    page(&Page {
        title: format!("Crossburn map: {}", mapping.accelerator),
        lead: headline(mapping),
        body,
        reproduce: &mapping.reproduce,
        configuration: format!(
            "{:#}",
            serde_json::json!({
                "network": mapping.config,
                "hardware": mapping.hardware,
            })
        ),
        version: &mapping.version,
        commit: mapping.commit.as_deref(),
    })
}

fn facts<'a>(mapping: &Mapping, plan: &FloorPlan) -> Vec<(&'a str, String)> {
    let mut facts = totals(mapping, plan);
    let [energy, area] = shares(&mapping.cost.total.energy, &mapping.cost.total.area);
    let words = |parts: Vec<(String, String, f64)>| {
        let small: f64 = parts
            .iter()
            .map(|part| part.2)
            .filter(|part| *part < TOLD)
            .sum();
        let mut words: Vec<String> = parts
            .into_iter()
            .filter(|part| part.2 >= TOLD)
            .map(|(name, value, part)| format!("{name} {value} ({})", share(part)))
            .collect();
        if small > 0.0 {
            words.push(format!("rest ({})", share(small)));
        }
        words.join(", ")
    };
    facts.push(("Energy by part", words(energy)));
    facts.push(("Area by part", words(area)));
    if let Some((path, time)) = slowest(mapping) {
        facts.push(("Slowest layer", format!("{path}, {}", time.shown())));
    }
    facts.push((
        "Shapes from",
        format!("{} items of {}", mapping.data.items, mapping.data.source),
    ));
    facts
}

/// A table whose first cells name the rows; a column without a header holds words.
pub(super) fn table<Row: AsRef<[String]>>(
    headers: &[&str],
    rows: &[Row],
    total: Option<&Row>,
) -> String {
    let class = |header: &str| {
        if header.is_empty() {
            " class=\"words\""
        } else {
            ""
        }
    };
    let head: String = headers
        .iter()
        .map(|header| format!("<th scope=\"col\"{}>{}</th>", class(header), escape(header)))
        .collect();
    let line = |row: &Row| {
        let row = row.as_ref();
        let cells: String = row
            .iter()
            .zip(headers)
            .skip(1)
            .map(|(cell, header)| {
                format!(
                    "<td{} data-label=\"{}\"><span>{}</span></td>",
                    class(header),
                    escape(header),
                    escape(cell)
                )
            })
            .collect();
        format!(
            "<tr><th scope=\"row\">{}</th>{cells}</tr>\n",
            escape(&row[0])
        )
    };
    let body: String = rows.iter().map(line).collect();
    let foot = total.map_or(String::new(), |row| {
        format!("<tfoot>\n{}</tfoot>\n", line(row))
    });
    format!(
        "<div class=\"wide\">\n<table class=\"costs\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n{foot}\
         </table>\n</div>\n"
    )
}
