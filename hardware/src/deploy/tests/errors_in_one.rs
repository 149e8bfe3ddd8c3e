//! Chips on which the cells of one layer, or of one slice of it, deviate alone.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use crossburn_noise::{ChipSeed, host_weights};

use super::super::{Fab, Fidelity, Hardware, MappedNetwork};
use crate::{Scheme, WeightBits, WeightMatrix};

#[derive(Module, Debug)]
struct Two {
    first: Linear,
    second: Linear,
}

fn hardware(more: &str) -> Hardware {
    let text = format!(
        "device = {{ kind = \"additive\", g_min = \"1 uS\", g_max = \"100 uS\", sigma_rel_gmax = 0.05 }}\n\
         mapping = {{ weight_bits = 8, slice_bits = 2 }}\n\
         array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}\n{more}"
    );
    Hardware::from_toml(&text).unwrap()
}

fn network() -> Two {
    let device = Device::flex();
    Two {
        first: LinearConfig::new(5, 3).init(&device),
        second: LinearConfig::new(3, 2).init(&device),
    }
}

/// What the cells of chip 3 hold by path, or ideal cells where `ideal`.
fn held(network: &Two, hardware: &Hardware, ideal: bool) -> BTreeMap<String, Vec<f32>> {
    let mapped = MappedNetwork::new(network, hardware, 1, |_| {}).unwrap();
    let fab = mapped.fab(Fidelity::Weight).unwrap();
    let chip = match ideal {
        true => fab.ideal().unwrap(),
        false => fab.chip(ChipSeed::new(7, 3)).unwrap(),
    };
    let weights = host_weights(&chip).into_iter();
    weights
        .map(|(path, weight)| (path, weight.values))
        .collect()
}

#[test]
fn deviations_of_single_slices_add_up_to_those_of_the_chip() {
    let network = network();
    let whole = hardware("");
    let paths = ["first.weight", "second.weight"].map(str::to_string);
    let ideal = held(&network, &whole, true);
    let chip = held(&network, &whole, false);
    for by_slice in [false, true] {
        let parts = whole.with_errors_in_one(&paths, by_slice).unwrap();
        // Seven bits of magnitude in slices of two: four of them.
        let slices: Vec<(&str, Option<usize>)> = parts
            .iter()
            .map(|(path, slice, _)| (path.as_str(), *slice))
            .collect();
        match by_slice {
            false => assert_eq!(slices, [("first.weight", None), ("second.weight", None)]),
            true => assert_eq!(
                (slices.len(), slices[0], slices[7]),
                (8, ("first.weight", Some(0)), ("second.weight", Some(3)))
            ),
        }
        let mut sums: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
        for (path, _, hardware) in &parts {
            let part = held(&network, hardware, false);
            for (other, values) in &part {
                let off = values.iter().zip(&ideal[other]).map(|(a, b)| a - b);
                if other != path {
                    assert!(off.clone().all(|off| off == 0.0), "{path} {other}");
                    continue;
                }
                assert!(off.clone().any(|off| off != 0.0), "{path}");
                let sum = sums.entry(path).or_insert_with(|| vec![0.0; values.len()]);
                sum.iter_mut().zip(off).for_each(|(sum, off)| *sum += off);
            }
        }
        for path in &paths {
            let whole = chip[path].iter().zip(&ideal[path]).map(|(a, b)| a - b);
            for (sum, whole) in sums[path.as_str()].iter().zip(whole) {
                // Weights of at most 1, as 32-bit numbers.
                assert!((sum - whole).abs() < 1e-6, "{path} {sum} {whole}");
            }
        }
    }
}

#[test]
fn boxes_of_single_slices_add_up_to_those_of_the_network() {
    let network = network();
    let whole = hardware("");
    let paths = ["first.weight", "second.weight"].map(str::to_string);
    let mapped = |hardware: &Hardware| MappedNetwork::new(&network, hardware, 1, |_| {}).unwrap();
    let boxes = mapped(&whole).deviation_bounds(0.05).unwrap();
    let ideal = held(&network, &whole, true);
    let mut sums: BTreeMap<String, [Vec<f32>; 2]> = BTreeMap::new();
    for (path, slice, hardware) in whole.with_errors_in_one(&paths, true).unwrap() {
        let mapped = mapped(&hardware);
        let part = mapped.deviation_bounds(0.05).unwrap();
        let mut deviations = part.zero();
        for (other, entries) in part.weights() {
            let ends = [&entries.low, &entries.high];
            if *other != path {
                assert!(ends.into_iter().flatten().all(|end| *end == 0.0), "{other}");
                continue;
            }
            assert!(ends.iter().all(|end| end.iter().all(|end| *end != 0.0)));
            let nothing = || vec![0.0; entries.low.len()];
            let sums = sums.entry(path.clone());
            let sums = sums.or_insert_with(|| [nothing(), nothing()]);
            for (sum, end) in sums.iter_mut().zip(ends) {
                sum.iter_mut().zip(end).for_each(|(sum, end)| *sum += end);
            }
            deviations
                .get_mut(other)
                .unwrap()
                .copy_from_slice(&entries.high);
        }
        // Cells of the other slices do not help a deviation.
        let cells = mapped.cells_of(0.05, &deviations).unwrap();
        for (other, groups) in &cells {
            let planes = mapped.weights[other].matrices.iter().map(|m| &m.planes);
            for (cells, plane) in groups.iter().flatten().zip(planes.flatten()) {
                let still = *other != path || Some(plane.slice) != slice;
                assert_eq!(*cells == plane.targets, still, "{path} {slice:?} {other}");
            }
        }
        let moved = mapped.with_cells(&cells).unwrap();
        for (other, weight) in host_weights(&moved) {
            let expected = ideal[&other].iter().zip(&deviations[&other]);
            for (found, (ideal, by)) in weight.values.iter().zip(expected) {
                assert!((found - ideal - by).abs() < 1e-6, "{other}");
            }
        }
    }
    for (path, entries) in boxes.weights() {
        for (sums, whole) in sums[path].iter().zip([&entries.low, &entries.high]) {
            for (sum, whole) in sums.iter().zip(whole) {
                assert!((sum - whole).abs() < 1e-6, "{path} {sum} {whole}");
            }
        }
    }
}

#[test]
fn errors_of_slices_that_are_not_there_and_twice_are_refused() {
    let network = network();
    let beyond = hardware("[[layer]]\npath = \"first.weight\"\nerrors = [4]\n");
    let message = MappedNetwork::new(&network, &beyond, 1, |_| {}).unwrap_err();
    let message = message.to_string();
    assert!(
        message.contains("first.weight") && message.contains("the slices 0 to 3"),
        "{message}"
    );
    let paths = ["first.weight".to_string()];
    let error = beyond.with_errors_in_one(&paths, true).unwrap_err();
    assert!(
        error.to_string().contains("leave one of them out"),
        "{error}"
    );
    let digital = "[[layer]]\npath = \"first.weight\"\ndigital = true\n";
    let none = hardware(digital).with_errors_in_one(&paths, false).unwrap();
    assert!(none.is_empty());
    let both = format!(
        "device = {{ kind = \"ideal\", g_min = \"1 uS\", g_max = \"100 uS\" }}\n\
         mapping = {{ weight_bits = 8 }}\narray = {{ rows = 8, columns = 8, input = {{ bits = 8 }} }}\n\
         {digital}errors = [0]\n"
    );
    let error = Hardware::from_toml(&both).unwrap_err().to_string();
    assert!(error.contains("is digital and has"), "{error}");
}

#[test]
fn layers_hold_the_widths_that_they_are_given() {
    let network = network();
    let bits = |bits| WeightBits::new(bits).unwrap();
    let widths = [("first.weight", bits(3)), ("second.weight", bits(1))];
    let widths = widths.map(|(path, bits)| (path.to_string(), bits));
    let narrow = hardware("").with_weight_bits(widths).unwrap();
    let held = held(&network, &narrow, true);
    // Integers from -3 to 3, and -1, 0 and 1, of which the largest stands for the largest weight.
    for (path, levels) in [("first.weight", 3.0), ("second.weight", 1.0)] {
        let largest = held[path].iter().fold(0.0f32, |most, w| most.max(w.abs()));
        for weight in &held[path] {
            let level = weight / largest * levels;
            assert!((level - level.round()).abs() < 1e-4, "{path} {level}");
        }
    }
    // Two bits of magnitude are one slice, one bit as well.
    let paths = ["first.weight", "second.weight"].map(str::to_string);
    let parts = narrow.with_errors_in_one(&paths, true).unwrap();
    assert_eq!(parts.len(), 2);
    let own = "[[layer]]\npath = \"first.weight\"\nmapping = { weight_bits = 6 }\n";
    let kept = hardware(own).with_weight_bits([("first.weight".to_string(), bits(3))]);
    assert_eq!(kept.unwrap(), hardware(own));
    // The largest weight of two bits uses the whole range: 1 of 1 beside the sign, or shifted by 2 to 3 of 3.
    for scheme in [Scheme::OneSidedPair, Scheme::DigitalOffset] {
        let mut config = hardware("").config().clone();
        config.mapping.scheme = scheme.clone();
        let usual = Hardware::try_from(config).unwrap();
        let narrow = usual.with_weight_bits([("first.weight".to_string(), bits(2))]);
        let narrow = narrow.unwrap();
        let mapping = narrow.layer("first.weight").unwrap().mapping.as_ref();
        let weights = WeightMatrix::new(1, 2, vec![0.5, -0.5]).unwrap();
        let mapped = mapping
            .unwrap()
            .map(&weights, narrow.config().device.range());
        let mapped = mapped.unwrap();
        assert_eq!(mapped.slices.len(), 1, "{scheme:?}");
        let largest = mapped.planes[0].targets[0];
        assert!((largest - 100.0).abs() < 1e-3, "{scheme:?}: {largest}");
    }
}
