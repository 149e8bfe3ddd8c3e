//! How far the predicted memory and time of a study lie from what was measured.

use super::document::{EdgeStudy, StudyCell, StudyCost};
use super::median;
use crate::report::draw::Table;

/// One kind of prediction, with predicted and measured numbers of some cells.
#[derive(Debug, PartialEq)]
struct Compared {
    what: &'static str,
    pairs: Vec<[f64; 2]>,
}

impl Compared {
    /// The pairs that `pair` makes of the measured cells of `study`.
    fn of(
        what: &'static str,
        study: &EdgeStudy,
        pair: impl Fn(&StudyCell, &StudyCost) -> Option<[f64; 2]>,
    ) -> Self {
        let cells = study.cells.iter();
        let pairs = cells.filter_map(|cell| pair(cell, cell.cost.as_ref()?));
        // A number that is not above zero was not measured.
        let pairs = pairs.filter(|pair| pair.iter().all(|value| *value > 0.0));
        Self {
            what,
            pairs: pairs.collect(),
        }
    }

    /// Predicted operations as times: divided by their median speed.
    fn timed(mut self) -> Self {
        let speeds = self
            .pairs
            .iter()
            .map(|[operations, time]| operations / time);
        let speed = median(speeds.collect());
        for pair in &mut self.pairs {
            pair[0] /= speed;
        }
        self
    }

    /// The relative errors of the predictions.
    fn errors(&self) -> Vec<f64> {
        let error = |[predicted, measured]: &[f64; 2]| (predicted / measured - 1.0).abs();
        self.pairs.iter().map(error).collect()
    }

    /// The median of predicted over measured.
    fn ratio(&self) -> f64 {
        median(self.pairs.iter().map(|[a, b]| a / b).collect())
    }
}

/// All kinds of predictions that have measured cells.
fn compared(study: &EdgeStudy) -> Vec<Compared> {
    // Weights are counted and not measured: without them the comparison is harder.
    let weights = |cell: &StudyCell| {
        let mut models = study.models.iter();
        let found = models.find(|m| m.name == cell.model && m.compression == cell.compression);
        found.map_or(0.0, |model| model.bytes as f64)
    };
    let bytes = |predicted: u64, measured: u64| [predicted as f64, measured as f64];
    let beside = |pair: [f64; 2], cell: &StudyCell| pair.map(|bytes| bytes - weights(cell));
    let learning =
        |cell: &StudyCell, cost: &StudyCost| Some(bytes(cell.learning_bytes, cost.learning_bytes?));
    let answering = |cell: &StudyCell, cost: &StudyCost| {
        Some(bytes(cell.answering_bytes, cost.answering_bytes))
    };
    let step = |cell: &StudyCell, cost: &StudyCost| {
        let point = cell.points.iter().find(|point| point.steps > 0)?;
        Some([point.operations / point.steps as f64, cost.step_seconds?])
    };
    let answer =
        |cell: &StudyCell, cost: &StudyCost| Some([cell.answer_operations, cost.answer_seconds]);
    let all = [
        Compared::of("memory of learning", study, learning),
        Compared::of(
            "memory of learning without the weights",
            study,
            |cell, cost| Some(beside(learning(cell, cost)?, cell)),
        ),
        Compared::of("memory of answering", study, answering),
        Compared::of(
            "memory of answering without the weights",
            study,
            |cell, cost| Some(beside(answering(cell, cost)?, cell)),
        ),
        Compared::of("time of a step of learning", study, step).timed(),
        Compared::of("time of an answer", study, answer).timed(),
    ];
    all.into_iter()
        .filter(|compared| !compared.pairs.is_empty())
        .collect()
}

/// The table of errors; `None` if nothing was measured.
pub(super) fn costs(study: &EdgeStudy) -> Option<Table> {
    let found = compared(study);
    if found.is_empty() {
        return None;
    }
    let rows = found.iter().map(|compared| {
        let errors = compared.errors();
        let largest = errors.iter().copied().fold(0.0, f64::max);
        [
            compared.what.to_string(),
            errors.len().to_string(),
            format!("{:.2}", compared.ratio()),
            format!("{:.1} %", 100.0 * median(errors)),
            format!("{:.1} %", 100.0 * largest),
        ]
    });
    let table = Table::new([
        "Prediction",
        "Cells",
        "Predicted / measured, median",
        "Median error",
        "Largest error",
    ]);
    Some(table.rows(rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn errors_are_those_worked_by_hand_and_nothing_is_said_of_what_was_not_measured() {
        let mut study = example::edge_study();
        for cell in &mut study.cells {
            cell.cost = None;
        }
        assert!(costs(&study).is_none());
        let learns: Vec<usize> = (0..study.cells.len())
            .filter(|index| study.cells[*index].rate.is_some())
            .collect();
        assert_eq!(learns.len(), 2);
        // Of 5000 bytes that were predicted, 1000 are weights. A step takes 250,000 operations.
        for (index, bytes, seconds) in [(learns[0], 4000, 1.0), (learns[1], 5000, 2.0)] {
            study.cells[index].cost = Some(StudyCost {
                learning_bytes: Some(bytes),
                answering_bytes: 1500,
                step_seconds: Some(seconds),
                answer_seconds: 0.5,
            });
        }
        let found = compared(&study);
        let errors = |what: &str| {
            let found = found.iter().find(|compared| compared.what == what).unwrap();
            found.errors()
        };
        let near = |found: Vec<f64>, wanted: [f64; 2]| {
            let apart = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
            assert!(
                found.len() == 2 && apart.fold(0.0, f64::max) < 1e-12,
                "{found:?}"
            );
        };
        near(errors("memory of learning"), [0.25, 0.0]);
        near(
            errors("memory of learning without the weights"),
            [1.0 / 3.0, 0.0],
        );
        near(errors("memory of answering"), [0.0, 0.0]);
        // Speeds of 250,000 and 125,000 have a median of 187,500: 4/3 s are predicted for 1 s and for 2 s.
        near(errors("time of a step of learning"), [1.0 / 3.0, 1.0 / 3.0]);
        near(errors("time of an answer"), [0.0, 0.0]);
        let text = costs(&study).unwrap().text();
        assert!(text.contains("12.5 %") && text.contains("25.0 %"), "{text}");
    }
}
