//! The tables of a study: who wins where, and what the guidelines claim.

use super::document::{EdgeStudy, StudyCell};
use super::{interval, mean};
use crate::report::Verdict;
use crate::report::draw::{Cell, Table};

/// How a mean over people and its interval are written: in hundredths.
pub(super) fn shown(values: &[f64]) -> Cell {
    let value = format!("{:.1}", 100.0 * mean(values));
    match interval(values) {
        None => value.into(),
        Some([low, high]) => {
            Cell::with_detail(value, format!("[{:.1}, {:.1}]", 100.0 * low, 100.0 * high))
        }
    }
}

/// The outcome in a sentence.
pub(super) fn summary(study: &EdgeStudy) -> String {
    let count = |verdict| {
        let claims = study.claims.iter();
        claims.filter(|claim| claim.verdict == verdict).count()
    };
    format!(
        "Of {} claims {} hold over {} people, {} fail, {} are unresolved; {} were not measured.",
        study.claims.len(),
        count(Verdict::Holds),
        study.people,
        count(Verdict::Fails),
        count(Verdict::Unresolved),
        study.not_measured.len()
    )
}

/// The tables of the terminal.
pub(super) fn text(study: &EdgeStudy) -> String {
    format!(
        "{}\n\n{}\n\n{}",
        methods(study).text(),
        crossover(study).text(),
        claims(study).text()
    )
}

/// The cells of the main model that a table is about: those of a task with a history, and those that use none.
fn of_task<'a>(study: &'a EdgeStudy, task: &'a str, history: u64) -> Vec<&'a StudyCell> {
    study
        .plain(study.main_model())
        .filter(|cell| cell.task == task && (cell.history == history || cell.history == 0))
        .collect()
}

/// Every method with every history: quality after the most steps.
pub(super) fn methods(study: &EdgeStudy) -> Table {
    let histories = study.histories();
    let columns = study.tasks.iter().flat_map(|task| {
        let name = &task.name;
        let of_history = histories
            .iter()
            .map(move |history| format!("{name}, {history}"));
        of_history.collect::<Vec<_>>()
    });
    let headers: Vec<String> = ["Method".to_string()].into_iter().chain(columns).collect();
    let mut names: Vec<&str> = Vec::new();
    for cell in study.plain(study.main_model()) {
        if !names.contains(&cell.method.as_str()) {
            names.push(&cell.method);
        }
    }
    let row = |method: &&str| {
        let cells = study.tasks.iter().flat_map(|task| {
            let of_history = histories.iter().map(|history| {
                let cells = of_task(study, &task.name, *history);
                let found = cells.into_iter().find(|cell| cell.method == *method);
                found.map_or_else(Cell::missing, |cell| shown(cell.last()))
            });
            of_history.collect::<Vec<_>>()
        });
        let name: Cell = method.to_string().into();
        [name].into_iter().chain(cells).collect::<Vec<Cell>>()
    };
    let rows: Vec<Vec<Cell>> = names.iter().map(row).collect();
    Table::new(headers).rows(rows)
}

/// The best two cells, the best first.
fn best_two(cells: Vec<&StudyCell>) -> Option<(&StudyCell, &StudyCell)> {
    let mut cells = cells;
    cells.sort_by(|a, b| mean(b.last()).total_cmp(&mean(a.last())));
    match cells[..] {
        [first, second, ..] => Some((first, second)),
        _ => None,
    }
}

/// Who wins, by task and history, and by how much over the next.
pub(super) fn crossover(study: &EdgeStudy) -> Table {
    let histories = study.histories();
    let headers = histories.iter().map(|history| format!("History {history}"));
    let headers = ["Task".to_string()].into_iter().chain(headers);
    let rows = study.tasks.iter().map(|task| {
        let winners = histories.iter().map(|history| {
            let Some((first, second)) = best_two(of_task(study, &task.name, *history)) else {
                return Cell::missing();
            };
            let pairs = first.last().iter().zip(second.last());
            let ahead: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
            let apart = interval(&ahead).is_some_and(|[low, _]| low > 0.0);
            let Cell { value, detail } = shown(&ahead);
            let sign = if apart { "" } else { ", not told apart" };
            Cell::with_detail(
                first.method.clone(),
                format!(
                    "+{value} {} over {}{sign}",
                    detail.unwrap_or_default(),
                    second.method
                ),
            )
        });
        let name: Cell = task.name.clone().into();
        [name].into_iter().chain(winners).collect::<Vec<Cell>>()
    });
    Table::new(headers).rows(rows.collect::<Vec<_>>())
}

/// Models in their forms.
pub(super) fn models(study: &EdgeStudy) -> Table {
    let rows = study.models.iter().map(|model| {
        [
            model.name.clone(),
            model.compression.clone(),
            model.parameters.to_string(),
            format!("{:.2} MB", model.bytes as f64 / 1e6),
        ]
    });
    Table::new(["Model", "Form", "Weights", "Memory"]).rows(rows)
}

/// Cells that are no plain ones of the main model: other models, compressions and chips.
pub(super) fn others(study: &EdgeStudy) -> Table {
    let is_plain = |cell: &&StudyCell| {
        cell.model == study.main_model() && cell.compression == "fp32" && cell.chip == "ideal"
    };
    let rows = study
        .cells
        .iter()
        .filter(|cell| !is_plain(cell))
        .map(|cell| {
            let name = format!("{}, {}, {}", cell.model, cell.compression, cell.chip);
            let method = match cell.history {
                0 => cell.method.clone(),
                history => format!("{} of {history}", cell.method),
            };
            [
                Cell::from(name),
                cell.task.clone().into(),
                method.into(),
                shown(cell.last()),
                format!("{:.2} MB", cell.bytes() as f64 / 1e6).into(),
            ]
        });
    Table::new(["Model, form, chip", "Task", "Method", "Quality", "Memory"]).rows(rows)
}

/// The claims, and those that were not measured.
pub(super) fn claims(study: &EdgeStudy) -> Table {
    let judged = study.claims.iter().map(|claim| {
        let interval = claim
            .interval
            .map(|[low, high]| format!(" [{low:.2}, {high:.2}]"))
            .unwrap_or_default();
        [
            claim.what.clone(),
            format!("{:.2}{interval}", claim.mean),
            claim.expected.clone(),
            claim.verdict.name().to_string(),
        ]
    });
    let missing = study.not_measured.iter().map(|claim| {
        [
            claim.clone(),
            "–".to_string(),
            String::new(),
            "not measured".to_string(),
        ]
    });
    Table::new(["Claim", "Measured", "Expected", "Verdict"])
        .rows(judged.chain(missing))
        .sentences()
}
