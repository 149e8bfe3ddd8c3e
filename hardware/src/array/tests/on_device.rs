//! Products on a device, against those of the host.

use burn::tensor::{Device, Tensor, TensorData};

use super::*;

/// Every setting that acts on a product, as a device computes it: here with the tensors of the host.
#[rstest]
fn a_device_multiplies_as_the_host_does(
    #[values(Scheme::OneSidedPair, Scheme::DigitalOffset, Scheme::UnitColumn)] scheme: Scheme,
    #[values(None, Some(1), Some(3))] slice_bits: Option<u8>,
    #[values(
        "plain",
        "exact",
        "gain",
        "capacitors",
        "circuit",
        "table",
        "accumulated"
    )]
    converter: &str,
    #[values(false, true)] noisy: bool,
) {
    let (outputs, inputs, rows) = (21, 37, 40);
    let weights = WeightMatrix::new(outputs, inputs, numbers(1, outputs * inputs)).unwrap();
    let mapped = mapping(scheme, 8, Some(4))
        .map(&weights, range(1e-6))
        .unwrap();
    let mapped = mapped.on_columns(8).unwrap();
    let sigma: Vec<Vec<f32>> = mapped
        .targets()
        .iter()
        .map(|plane| vec![0.5; plane.len()])
        .collect();
    let draws = ChipSeed::new(3, 4).generator("w/converters");
    let effects = Effects {
        read_sigma: noisy.then_some(&sigma),
        converters: Some(&draws),
        ..Effects::default()
    };
    let mut adc = Adc {
        codes: AdcCodes::Symmetric,
        columns_per_converter: 3,
        ..Adc::new(7).with_range(AdcRange::Fixed {
            lo: -4.03,
            hi: 4.03,
        })
    };
    let input = Dac {
        slice_bits,
        x_max: 0.9,
        ..Dac::new(8)
    };
    let mut config = ArrayConfig::new(16, 8, input);
    match converter {
        "gain" => {
            adc.gain_error = Some(GainError { sigma: 0.05 });
            adc.comparator_offset = Some(ComparatorOffset {
                sigma_lsb: 0.7,
                sharing: OffsetSharing::PerColumn,
            });
        }
        "capacitors" => adc.capacitor_mismatch = Some(CapacitorMismatch { sigma_unit: 0.2 }),
        "circuit" => config.circuit = Some(Circuit::Even { sigma_lsb: 0.8 }),
        "table" => {
            let rows = (0..127)
                .map(|code| [code as f32 * 0.9 + 3.2, 0.3])
                .collect();
            config.circuit = Some(Circuit::Table { rows });
        }
        "accumulated" if slice_bits.is_some() => adc.conversion = Conversion::Accumulated,
        _ => {}
    }
    if converter != "exact" {
        config = config.with_adc(adc);
    }
    let matrix =
        ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects).unwrap();
    let mut x = numbers(2, rows * inputs);
    x[5 * inputs + 3] = f32::NAN;
    x[6 * inputs + 3] = f32::INFINITY;
    let scatters = noisy || matches!(converter, "circuit" | "table");
    let numbers: Vec<u64> = (100..100 + rows as u64).collect();
    let reads = scatters.then(|| Reads {
        draws: ChipSeed::new(1, 2).generator("w/read"),
        numbers: &numbers,
    });
    let host = matrix.multiply(&x, reads).unwrap();
    let device = Device::flex();
    let x = Tensor::from_data(TensorData::new(x, [rows, inputs]), &device);
    let found = matrix.on_device(&device).multiply(x, reads);
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    assert_eq!(found.len(), host.len());
    let largest = host
        .iter()
        .filter(|y| y.is_finite())
        .fold(0.0f32, |a, y| a.max(y.abs()));
    let mut others = 0;
    for (at, (found, host)) in found.iter().zip(&host).enumerate() {
        assert_eq!(found.is_nan(), at / outputs == 5, "{at}");
        assert_eq!(host.is_nan(), at / outputs == 5, "{at}");
        if (found - host).abs() > 1e-5 * largest {
            others += 1;
        }
    }
    // In another order, a sum of sixteen products is another one by up to 16 · 2⁻²⁴ of the range, which is 6e-5 of a step on either
    // side. Of 35,280 conversions at the most, four lie so near to the middle between two codes on average: those may differ.
    assert!(others <= 4, "{others} of {}", host.len());
}
