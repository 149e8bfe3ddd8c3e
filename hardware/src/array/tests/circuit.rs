//! Columns that give other codes than the ideal ones.

use super::*;

/// One cell of weight 1, read in seven codes from -1.5 to 1.5.
fn characterised(circuit: &str) -> ProgrammedMatrix {
    let weights = WeightMatrix::new(1, 1, vec![1.0]).unwrap();
    let adc = Adc {
        codes: AdcCodes::Symmetric,
        ..Adc::new(3).with_range(AdcRange::Fixed { lo: -1.5, hi: 1.5 })
    };
    let mut config = ArrayConfig::new(8, 8, Dac::new(8)).with_adc(adc);
    config.circuit = Some(toml::from_str(circuit).unwrap());
    ideal(
        &mapping(Scheme::OneSidedPair, 8, None),
        &weights,
        0.0,
        &config,
    )
}

#[test]
fn a_characterised_column_gives_the_code_of_its_table() {
    // No current is code 3; a code is half a unit. Code 5 is read as 2.8, so 3; code 3 as 4.4, so 4; the others as themselves.
    let rows = "rows = [[-2.0, 0.0], [1.0, 0.0], [2.0, 0.0], [4.4, 0.0], [4.0, 0.0], [2.8, 0.0], [9.0, 0.0]]";
    let text =
        "csv = \"states,mean,std\\n0,-2,0\\n1,1,0\\n2,2,0\\n3,4.4,0\\n4,4,0\\n5,2.8,0\\n6,9,0\"";
    for circuit in [rows, text] {
        let found = characterised(circuit)
            .multiply(&[1.0, 0.0, -1.0, 0.5, -0.5], None)
            .unwrap();
        let expected = [0.0, 0.5, -1.0, 0.5, -0.5];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-2, "{found} {expected}");
        }
    }
}

#[test]
fn codes_scatter_as_the_table_says_anew_at_every_read() {
    let draws = ChipSeed::new(3, 4).generator("w/read");
    let numbers: Vec<u64> = (0..100_000).collect();
    let reads = Reads {
        draws,
        numbers: &numbers,
    };
    let matrix = characterised("sigma_lsb = 0.6");
    let found = matrix
        .multiply(&vec![0.0; numbers.len()], Some(reads))
        .unwrap();
    // P(|ξ| 0.6 < 0.5) = 0.5953 and P(|ξ| 0.6 < 1.5) = 0.98758: the shares of no step, and of at most one. A step is half a
    // unit. Four standard errors of a share are below 0.0063.
    let within = |most: f32| {
        let count = found.iter().filter(|y| y.abs() < most).count();
        count as f64 / found.len() as f64
    };
    assert!((within(0.25) - 0.5953).abs() < 0.0063, "{}", within(0.25));
    assert!((within(0.75) - 0.98758).abs() < 0.0015, "{}", within(0.75));
    assert!(matrix.multiply(&[0.0], None).is_err());
}

#[test]
fn codes_and_currents_have_draws_of_their_own() {
    let weights = WeightMatrix::new(1, 1, vec![1.0]).unwrap();
    let mapped = mapping(Scheme::OneSidedPair, 8, None)
        .map(&weights, range(0.0))
        .unwrap();
    let sigma = vec![vec![4.0]; 2];
    let effects = Effects {
        read_sigma: Some(&sigma),
        ..Effects::default()
    };
    // Steps of a hundredth.
    let adc = Adc {
        codes: AdcCodes::Symmetric,
        ..Adc::new(10).with_range(AdcRange::Fixed {
            lo: -5.11,
            hi: 5.11,
        })
    };
    let mut config = ArrayConfig::new(8, 8, Dac::new(8)).with_adc(adc);
    config.circuit = Some(Circuit::Even { sigma_lsb: 8.0 });
    let matrix =
        ProgrammedMatrix::new(&mapped, mapped.targets(), range(0.0), &config, &effects).unwrap();
    let numbers: Vec<u64> = (0..40_000).collect();
    let reads = Reads {
        draws: ChipSeed::new(3, 4).generator("w/read"),
        numbers: &numbers,
    };
    let found = matrix
        .multiply(&vec![1.0; numbers.len()], Some(reads))
        .unwrap();
    let n = found.len() as f64;
    let mean = found.iter().map(|y| f64::from(*y)).sum::<f64>() / n;
    let variance = found
        .iter()
        .map(|y| (f64::from(*y) - mean).powi(2))
        .sum::<f64>()
        / n;
    // Two cells of 4 % of g_max and codes of 8 steps of a hundredth: variances add, 2 · 0.04² + 0.08², where draws are not shared
    // (with the same draw deviations would add: 0.0187). Rounding twice adds 2 / 12 of a squared step.
    let expected = 2.0 * 0.04f64.powi(2) + 0.08f64.powi(2) + 2.0 / 12.0 * 1e-4;
    assert!(
        (variance / expected - 1.0).abs() < 4.5 * (2.0 / n).sqrt(),
        "{variance} {expected}"
    );
}

#[rstest]
#[case("sigma_lsb = -1.0", 3, "circuit sigma_lsb = -1 is outside 0..")]
#[case("sigma_lsb = inf", 3, "circuit sigma_lsb = inf is outside 0..")]
#[case(
    "sigma_lsb = 0.5\nrows = []",
    3,
    "array.circuit has none or several of `sigma_lsb`, `rows` and `csv`"
)]
#[case(
    "rows = [[0.0, 0.1], [1.0, 0.1]]",
    3,
    "rows of array.circuit = 2 is outside 8, one for each code of the converter"
)]
#[case(
    "rows = [[0.0, 0.1], [1.0, -0.1]]",
    1,
    "circuit standard deviation of code 1 = -0.1 is outside 0.."
)]
#[case(
    "csv = \"a,b\\n1,2\"",
    1,
    "line 1 of the circuit table cannot be read: the header is `a,b`"
)]
#[case(
    "csv = \"states,mean,std\\n1,2,3\"",
    1,
    "line 2 of the circuit table cannot be read: it is not that of code 0"
)]
fn tables_that_fit_no_converter_are_refused(
    #[case] circuit: &str,
    #[case] bits: u8,
    #[case] start: &str,
) {
    let adc = Adc {
        codes: AdcCodes::Full,
        ..Adc::new(bits)
    };
    let mut config = ArrayConfig::new(8, 8, Dac::new(8)).with_adc(adc);
    let found = match toml::from_str::<Circuit>(circuit) {
        Ok(circuit) => {
            config.circuit = Some(circuit);
            config.check().unwrap_err().to_string()
        }
        Err(error) => error.message().to_string(),
    };
    assert!(found.starts_with(start), "{found}");
    config.circuit = Some(Circuit::Even { sigma_lsb: 0.5 });
    assert!(config.check().is_ok());
    config.adc = None;
    let found = config.check().unwrap_err().to_string();
    assert!(
        found.starts_with("array.circuit without array.adc"),
        "{found}"
    );
    let gain_error = Some(GainError { sigma: 0.1 });
    config.adc = Some(Adc {
        gain_error,
        ..Adc::new(8)
    });
    let found = config.check().unwrap_err().to_string();
    assert!(
        found.starts_with("array.circuit beside gain_error"),
        "{found}"
    );
}
