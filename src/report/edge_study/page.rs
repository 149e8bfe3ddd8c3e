//! The page of a study.

use super::costs::costs;
use super::document::EdgeStudy;
use super::table::{claims, crossover, equal_memory, equal_time, methods, models, others};
use crate::report::draw::{Drawing, Page, Table};

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 7] = [
    "Quality is the metric of the task in hundredths. Of a mean absolute error it is the part of the worst possible error that is not made.",
    "Intervals are 95 % bootstrap intervals over people. Two methods are compared person by person. The intervals do not cover the training of the \
     models, nor the choice of questions.",
    "Three budgets are compared: equal steps (after the most steps of learning), equal time (operations of learning), equal memory (predicted bytes of what a \
     condition takes at most).",
    "Operations are multiplications and additions, counted from the sizes of the model. Time is operations divided by the speed of the device.",
    "Memory is predicted: weights, for learning 16 bytes for each number that learns and the activations of a step, for answering the cache of keys and \
     values.",
    "Learning rates were chosen on other people, with the same number of trials for every method.",
    "No question of a person is in the history of that person.",
];

/// The crossover map, methods, claims, budgets, compression, chips.
pub(super) fn page(study: &EdgeStudy, plots: &[Drawing]) -> Page {
    let tasks: Vec<String> = study
        .tasks
        .iter()
        .map(|task| format!("{} ({})", task.name, task.metric))
        .collect();
    let mut page = Page::new()
        .terms(&[
            (
                "People",
                format!("{}, each with {} questions", study.people, study.questions),
            ),
            ("Tasks", tasks.join(", ")),
            ("Model of the first tables", study.main_model().to_string()),
        ])
        .heading("Who wins: task by history")
        .table(&crossover(study))
        .heading("Quality at equal steps")
        .table(&methods(study))
        .heading("Who wins at equal time")
        .table(&equal_time(study))
        .heading("Who wins at equal memory")
        .table(&equal_memory(study));
    if study.part.is_none() {
        page = page.heading("Claims").table(&claims(study));
    }
    page = page
        .plots(plots, &DEFINITIONS)
        .heading("Models")
        .table(&models(study));
    if let Some(costs) = costs(study) {
        page = page
            .heading("Memory and time: predicted and measured")
            .remark(
                "How far each prediction lies from its measurement. The aim is a median error of memory of at most 15 %. Measured bytes are what the program asks its \
                 allocator for, plus the weights in their format. Times are of one thread. A predicted time is the operations divided by one speed, the median over \
                 these cells.",
            )
            .table(&costs);
    }
    let others = others(study);
    if !others.is_empty() {
        page = page
            .heading("Other models, compressions and chips")
            .table(&others);
    }
    if !study.rounding.is_empty() {
        let rows = study.rounding.iter().map(|row| {
            let mean = super::mean(&row.ratios);
            [
                row.model.clone(),
                row.bits.to_string(),
                format!("{mean:.3}"),
            ]
        });
        page = page
            .heading("Rounding")
            .remark("The squared error of the outputs of a layer after GPTQ, over that after rounding to the nearest: mean over layers.")
            .table(&Table::new(["Model", "Bits", "Ratio"]).rows(rows));
    }
    if !study.left_out.is_empty() {
        let rows = study.left_out.iter().map(|row| [row.clone()]);
        page = page
            .heading("Left out: predicted to take more memory than the device has")
            .table(&Table::new(["Condition"]).rows(rows));
    }
    page
}
