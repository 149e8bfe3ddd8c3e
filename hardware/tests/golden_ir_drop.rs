//! Wire resistance against exact nodal solutions of an independent implementation, in `shared/data/golden-crossbar` beside
//! the checkout; where that folder is missing the tests pass without a comparison.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stdout, reason = "a test that compares nothing says so")]

use std::path::PathBuf;

use crossburn_hardware::ir_drop::{NodalSolver, WireNetwork, Wires};
use crossburn_hardware::units::Ohm;
use rstest::rstest;
use safetensors::SafeTensors;

fn file(case: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/golden-crossbar")
        .join(format!("irdrop_{case}.safetensors"));
    match path.is_file() {
        true => Some(std::fs::read(path).unwrap()),
        false => {
            println!("skipped: the reference vectors are not there");
            None
        }
    }
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let data = file.tensor(name).unwrap().data().to_vec();
    data.as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

fn doubles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = file.tensor(name).unwrap().data().to_vec();
    data.as_chunks::<8>()
        .0
        .iter()
        .map(|b| f64::from_le_bytes(*b))
        .collect()
}

#[rstest]
#[case("rp1_16x16", 1.0, 0.0, 0.0)]
#[case("rp1_64x64", 1.0, 0.0, 0.0)]
#[case("rp5_16x16", 5.0, 0.0, 0.0)]
#[case("rp5_64x64", 5.0, 0.0, 0.0)]
#[case("rp1_colterm100_16x16", 1.0, 0.0, 100.0)]
#[case("rp1_colterm100_64x64", 1.0, 0.0, 100.0)]
#[case("rp1_ROWterm100_16x16", 1.0, 100.0, 0.0)]
fn products_are_those_of_the_nodal_solution(
    #[case] case: &str,
    #[case] segment: f64,
    #[case] input_terminal: f64,
    #[case] output_terminal: f64,
) {
    let Some(bytes) = file(case) else { return };
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let [outputs, inputs] = *file.tensor("Gpos").unwrap().shape() else {
        panic!("Gpos is no matrix");
    };
    // In units of g_max = 1 / 10 kΩ.
    let conductances =
        |name| -> Vec<f32> { floats(&file, name).iter().map(|g| 100.0 * g).collect() };
    let (positive, negative) = (conductances("Gpos"), conductances("Gneg"));
    // What one µS of difference is worth, from the weights read back.
    let (mut products, mut squares) = (0.0, 0.0);
    for ((p, n), w) in positive.iter().zip(&negative).zip(floats(&file, "W_read")) {
        let difference = f64::from(p - n);
        products += difference * f64::from(w);
        squares += difference * difference;
    }
    let scale = products / squares;
    // The converter of 8 bits in front of the input lines.
    let x: Vec<f64> = floats(&file, "X")
        .iter()
        .map(|x| (f64::from(*x).clamp(-1.0, 1.0) * 127.0).round() / 127.0)
        .collect();
    let expected = doubles(&file, "Y_nodal");
    let batch = x.len() / inputs;
    let wires = Wires {
        input_terminal: Ohm::new(input_terminal),
        output_terminal: Ohm::new(output_terminal),
        ..Wires::uniform(Ohm::new(segment)).unwrap()
    };
    let network = WireNetwork::new(outputs, inputs, &wires).unwrap();
    let solver = NodalSolver::new(&network).unwrap();
    let nodal = |conductances: &[f32]| solver.factor(conductances).unwrap().effective();
    let of_nodal = nodal(&positive)
        .iter()
        .zip(nodal(&negative))
        .map(|(p, n)| p - n)
        .collect();
    let of_blocks = network.effective_pair(&positive, &negative).unwrap();
    for effective in [of_blocks, of_nodal] {
        let (mut most, mut far) = (0.0f64, 0.0f64);
        for o in 0..outputs {
            for b in 0..batch {
                let y: f64 = (0..inputs)
                    .map(|i| f64::from(effective[o * inputs + i]) * x[i * batch + b])
                    .sum();
                let expected = expected[o * batch + b];
                most = most.max(expected.abs());
                far = far.max((scale * y - expected).abs());
            }
        }
        // Conductances come in, and effective ones go out, with 24 bits: 6e-8 of each, and sums of up to 64 of them.
        assert!(far < 2e-7 * most, "{:e}", far / most);
    }
}
