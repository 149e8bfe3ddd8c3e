//! Memory of a training step: by how much the resident set grows, at its largest, over ten steps of one network.
//!
//! One network per process, named as argument, because a process gives little back; `burn` after it for plain Burn. Linux
//! only.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::print_stdout, reason = "a bench is a program of its own")]

mod reference_networks;

use reference_networks::{By, Gpt, LeNet, Lines, Network, Training, Vgg};

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The field `name` of this process's status, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

fn measure<N: Network>(by: By) {
    let before = status("VmRSS");
    let mut training = Training::<N>::new(by);
    for _ in 0..10 {
        training.step();
    }
    let growth = status("VmHWM").saturating_sub(before) as f64 / 1024.0;
    println!("{}: {growth:.1} MiB", N::NAME);
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|text| !text.starts_with('-'));
    let name = arguments.next();
    let by = match arguments.next() {
        Some(by) if by == "burn" => By::Burn,
        _ => By::Kernels,
    };
    match name.as_deref() {
        Some(LeNet::NAME) => measure::<LeNet>(by),
        Some(Vgg::NAME) => measure::<Vgg>(by),
        Some(Lines::NAME) => measure::<Lines>(by),
        Some(Gpt::NAME) => measure::<Gpt>(by),
        _ => println!(
            "name one of {}, {}, {}, {}",
            LeNet::NAME,
            Vgg::NAME,
            Lines::NAME,
            Gpt::NAME
        ),
    }
}
