//! The tables of a study: who wins where, and what the guidelines claim.

use super::costs::costs;
use super::document::{EdgeStudy, StudyCell};
use super::{interval, mean};
use crate::report::Verdict;
use crate::report::draw::{Cell, Table};
use crate::report::reproduction::claim_cells;

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
    if let Some(part) = &study.part {
        let first = part.first + 1;
        return match study.people {
            1 => format!("A part of a study: person {first} of {}.", part.of),
            people => format!(
                "A part of a study: people {first} to {} of {}.",
                part.first + people,
                part.of
            ),
        };
    }
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
    let mut tables = vec![methods(study), crossover(study), claims(study)];
    tables.extend(costs(study));
    // A part of a study has no claims.
    tables.retain(|table| !table.is_empty());
    let texts: Vec<String> = tables.iter().map(Table::text).collect();
    texts.join("\n\n")
}

/// The cells of the main model that a table is about: those of a task with a history, and those that use none.
fn of_task<'a>(study: &'a EdgeStudy, task: &str, history: u64) -> Vec<&'a StudyCell> {
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

/// Of some ways, each with the quality of every person, the name of the best, and how far it is ahead of the next.
fn winner(mut ways: Vec<(String, &[f64])>) -> Cell {
    ways.sort_by(|a, b| mean(b.1).total_cmp(&mean(a.1)));
    let [(first, best), (second, next), ..] = &ways[..] else {
        return Cell::missing();
    };
    let ahead: Vec<f64> = best.iter().zip(*next).map(|(a, b)| a - b).collect();
    let apart = match interval(&ahead) {
        Some([low, _]) if low > 0.0 => "",
        _ => ", not told apart",
    };
    let Cell { value, detail } = shown(&ahead);
    let interval = detail.unwrap_or_default();
    Cell::with_detail(
        first.clone(),
        format!("+{value} {interval} over {second}{apart}"),
    )
}

/// One row per task with what `column` gives for each of `columns`.
fn by_task<'a, C: 'a>(
    study: &EdgeStudy,
    columns: &'a [C],
    headers: impl Iterator<Item = String>,
    column: impl Fn(&str, &'a C) -> Cell,
) -> Table {
    let rows = study.tasks.iter().map(|task| {
        let name: Cell = task.name.clone().into();
        let cells = columns.iter().map(|of| column(&task.name, of));
        [name].into_iter().chain(cells).collect::<Vec<Cell>>()
    });
    let headers: Vec<String> = ["Task".to_string()].into_iter().chain(headers).collect();
    Table::new(headers).rows(rows.collect::<Vec<_>>())
}

/// Who wins after the most steps, by task and history, and by how much over the next.
pub(super) fn crossover(study: &EdgeStudy) -> Table {
    let histories = study.histories();
    let headers = histories.iter().map(|history| format!("History {history}"));
    by_task(study, &histories, headers, |task, history| {
        let cells = of_task(study, task, *history).into_iter();
        winner(
            cells
                .map(|cell| (cell.method.clone(), cell.last()))
                .collect(),
        )
    })
}

/// Who wins in the time that LoRA takes for each of its budgets, with the shortest history. Every other method takes as many steps as fit.
pub(super) fn equal_time(study: &EdgeStudy) -> Table {
    let history = study.histories().first().copied().unwrap_or(0);
    let lora = |task: &str| {
        let cells = of_task(study, task, history);
        cells.into_iter().find(|cell| cell.method == "lora")
    };
    let budgets = study.tasks.iter().find_map(|task| lora(&task.name));
    let steps: Vec<u64> = budgets.map_or(Vec::new(), |cell| {
        cell.points.iter().map(|point| point.steps).collect()
    });
    let headers = steps
        .iter()
        .map(|steps| format!("Time of {steps} steps of LoRA"));
    by_task(study, &steps, headers, |task, steps| {
        let point = |cell: &StudyCell| cell.points.iter().find(|p| p.steps == *steps).cloned();
        let Some(budget) = lora(task).and_then(point) else {
            return Cell::missing();
        };
        let within = |cell: &&StudyCell| cell.points[0].operations <= budget.operations;
        let cells = of_task(study, task, history);
        let ways = cells.into_iter().filter(within).filter_map(|cell| {
            let mut points = cell.points.iter().rev();
            let last = points.find(|point| point.operations <= budget.operations)?;
            let name = match last.steps {
                0 => cell.method.clone(),
                steps => format!("{}, {steps} steps", cell.method),
            };
            Some((name, last.quality.as_slice()))
        });
        winner(ways.collect())
    })
}

/// Tiers of memory that a table shows at most.
const TIERS: usize = 4;

/// Who wins within the same memory, models and forms included, on ideal cells with the shortest history.
pub(super) fn equal_memory(study: &EdgeStudy) -> Table {
    let history = study.histories().first().copied().unwrap_or(0);
    let of_history =
        |cell: &&StudyCell| cell.chip == "ideal" && (cell.history == history || cell.history == 0);
    let cells: Vec<&StudyCell> = study.cells.iter().filter(of_history).collect();
    let mut bytes: Vec<u64> = cells.iter().map(|cell| cell.bytes()).collect();
    bytes.sort_unstable();
    bytes.dedup();
    let last = bytes.len().saturating_sub(1);
    let mut tiers: Vec<u64> = (1..=TIERS)
        .filter_map(|tier| bytes.get(last * tier / TIERS).copied())
        .collect();
    tiers.dedup();
    let headers = tiers
        .iter()
        .map(|tier| format!("Up to {:.2} MB", *tier as f64 / 1e6));
    by_task(study, &tiers, headers, |task, tier| {
        let fit = cells
            .iter()
            .filter(|cell| cell.task == task && cell.bytes() <= *tier);
        let ways = fit.map(|cell| {
            let name = format!("{}, {} {}", cell.method, cell.model, cell.compression);
            (name, cell.last())
        });
        winner(ways.collect())
    })
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
    let judged = study.claims.iter().map(claim_cells);
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
