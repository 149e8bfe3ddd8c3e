//! A simulation in words, shared by the page and the terminal.

use crossburn_hardware::units::Joule;

use super::document::Simulation;
use crate::report::draw::quantity::{Shown, count, share};

/// How the numbers are defined, one sentence each.
pub(super) const DEFINITIONS: [&str; 8] = [
    "Shape: outputs × inputs × taps. Stored: kept weights with the index that says where they stood, biases and factors of rescaling.",
    "Dense: cycles of the same array without an index, which multiplies by the zeros of absent weights as well. Waiting: cycles in which \
     the busiest core element takes longer than if its weights were spread evenly.",
    "Utilisation is the part of the processing elements that multiply while the layer convolves. Products are those that are carried \
     out.",
    "Energy of a layer is that of one inference, with the leakage of the cycles of that layer. Energies of single operations are estimates: \
     shares of the causes are worth more than absolute values.",
    "Leakage flows all the time, also between inferences. The average power of a chip that sleeps most of the time is nearly all leakage and \
     says nothing about the efficiency at work: operations per joule count the time at work alone, and only operations that are \
     carried out.",
    "Signals are drawn as the accelerator takes them, in codes of 8 bits: the smallest and the largest of each short stretch. Where the task scales each segment by itself, heights of two \
     segments do not compare.",
    "A segment is decided by itself. Neighbouring segments of one patient and one label vote for a diagnosis; half of the votes are \
     enough for an arrhythmia.",
    "Contest scores are computed by the rules of the TinyML contests at ICCAD 2022 and 2023, with the latency and the memory of this accelerator. The \
     boards of the contests are about a microcontroller, so they do not compare.",
];

/// The outcome in a sentence.
pub(super) fn headline(found: &Simulation) -> String {
    let (cost, work) = (&found.cost, found.work());
    format!(
        "An inference on {} takes {} and {}, in {:.3} of the cycles of the same array without an index; {} of {} segments have the \
         results of the integer network, to the bit.",
        found.accelerator,
        cost.latency.shown(),
        cost.active_energy().shown(),
        work.ratio(),
        count(found.equal as u64),
        count(found.segments as u64)
    )
}

/// What was simulated and what came out, term by term.
pub(super) fn terms(found: &Simulation) -> Vec<(&'static str, String)> {
    let (cost, work) = (&found.cost, found.work());
    let leaked = Joule::new(cost.leakage_power.get() * cost.period.get());
    let mut terms = vec![
        (
            "Accelerator",
            format!("{}, {}", found.accelerator, cost.area.shown()),
        ),
        ("Data", found.data.clone()),
        (
            "Segments",
            format!(
                "{} of {} have the results of the integer network, to the bit",
                count(found.equal as u64),
                count(found.segments as u64)
            ),
        ),
        (
            "Cycles",
            format!(
                "{}, {:.3} of the {} without an index",
                count(work.cycles),
                work.ratio(),
                count(work.dense_cycles)
            ),
        ),
        (
            "Inference",
            format!(
                "{} and {}, with its own leakage {}",
                cost.latency.shown(),
                cost.switching_energy.shown(),
                cost.active_energy().shown()
            ),
        ),
    ];
    if cost.active_energy().get() > 0.0 {
        terms.push((
            "At work",
            format!(
                "{} operations per inference, {:.3} TOPS/W while the array computes",
                count(cost.operations),
                cost.active_operations_per_joule() / 1e12
            ),
        ));
    }
    terms.extend([
        (
            "Leakage",
            format!(
                "{}: {} from one inference to the next, beside {} of switching",
                cost.leakage_power.shown(),
                leaked.shown(),
                cost.switching_energy.shown()
            ),
        ),
        (
            "Duty",
            format!(
                "at work {:.5} % of the time, for an inference each {}",
                100.0 * cost.duty,
                cost.period
            ),
        ),
        ("Average power", average_power(found)),
        ("Judged by", judged(found)),
    ]);
    let also = found.also.iter();
    let also: Vec<String> = also
        .map(|also| format!("{} {}", also.metric.name, also.metric.show(also.value)))
        .collect();
    if !also.is_empty() {
        terms.push(("Also", also.join(", ")));
    }
    terms
}

/// The average power, and how much of it is leakage.
fn average_power(found: &Simulation) -> String {
    let cost = &found.cost;
    let average = cost.average_power.get();
    match average > 0.0 {
        true => format!(
            "{}, {} of it leakage: no measure of the efficiency at work",
            cost.average_power.shown(),
            share(cost.leakage_power.get() / average)
        ),
        false => cost.average_power.shown(),
    }
}

/// The metric on the accelerator.
fn judged(found: &Simulation) -> String {
    let metric = &found.metric;
    match found.value {
        Some(value) => format!("{} {}", metric.name, metric.show(value)),
        None => format!("{}, which is not defined for these segments", metric.name),
    }
}
