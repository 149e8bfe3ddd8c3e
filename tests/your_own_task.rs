//! A task that the library has never heard of goes the whole way: trained, judged on chips, attacked, reported.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../examples/06_your_own_task.rs"]
#[allow(dead_code, reason = "its main is not run")]
mod own;

use crossburn::noise::Better;
use crossburn::report::{Document, Results, write_run};

#[test]
fn a_task_in_one_file_is_trained_judged_attacked_and_reported() {
    let own::Found { results, worst } = own::run().unwrap();
    let method = &results.methods[0];
    // The wanted numbers have variances of 1/9, 2/9 and about 1/2, mean 0.28; a network that has learned is far below.
    assert!(method.clean < 0.03, "{}", method.clean);
    assert!(worst > method.clean, "{worst}");
    let population = method.population.as_ref().unwrap();
    assert_eq!((population.chips, population.items), (400, 500));
    // Lower is better: the bad tail is the upper one.
    assert_eq!(results.metric.better, Better::Lower);
    let largest = population.values.iter().copied().fold(0.0, f64::max);
    assert_eq!(population.worst, largest);
    let kpp = population.kpp[&1].value;
    assert!(kpp > population.kpp[&50].value && kpp <= largest);
    let text = results.table().unwrap();
    assert!(text.contains("Mean squared error"), "{text}");
    let page = results.html().unwrap();
    assert!(
        page.contains("99 % of chips of regression do not exceed"),
        "{page}"
    );
    assert!(page.contains("further left is better"));
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), &results).unwrap();
    assert_eq!(Results::read(folder.path()).unwrap(), results);
}
