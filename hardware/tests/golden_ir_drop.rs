//! Wire resistance against exact nodal solutions of an independent implementation, in `shared/data/golden-crossbar` beside
//! the checkout; where that folder is missing the tests pass without a comparison.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::PathBuf;

use crossburn_hardware::ir_drop::{NodalSolver, PairArrangement, WireNetwork, Wires};
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
    let conductances = |name| {
        floats(&file, name)
            .iter()
            .map(|g| 100.0 * g)
            .collect::<Vec<f32>>()
    };
    let (positive, negative) = (conductances("Gpos"), conductances("Gneg"));
    let x = floats(&file, "X");
    let expected = doubles(&file, "Y_nodal");
    let batch = x.len() / inputs;
    let wires = Wires {
        input_terminal: Ohm::new(input_terminal),
        output_terminal: Ohm::new(output_terminal),
        ..Wires::uniform(Ohm::new(segment)).unwrap()
    };
    for arrangement in [PairArrangement::Separate, PairArrangement::Interleaved] {
        let network = WireNetwork::with_pairs(outputs, inputs, &wires, arrangement).unwrap();
        let effective = network.effective_pair(&positive, &negative).unwrap();
        let (mut most, mut far) = (0.0f64, 0.0f64);
        let mut ratio = (0.0, 0.0);
        for o in 0..outputs {
            for b in 0..batch {
                let y: f64 = (0..inputs)
                    .map(|i| f64::from(effective[o * inputs + i]) * f64::from(x[i * batch + b]))
                    .sum();
                let e = expected[o * batch + b];
                ratio.0 += y * e;
                ratio.1 += e * e;
                most = most.max(e.abs());
                far = far.max((y / 99.0 - e).abs());
            }
        }
        println!(
            "{case} {arrangement:?}: {:.3e} ratio {}",
            far / most,
            ratio.0 / ratio.1
        );
    }
}
