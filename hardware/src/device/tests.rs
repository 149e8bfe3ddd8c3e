//! What holds for every device: draws against formulas, identities, refusals, round trips.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crossburn_noise::{ChipSeed, Philox};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::units::{Second, Siemens};

const DAY: f64 = 86_400.0;
/// Cells per target: standard errors of 0.2 % of σ for a mean and 0.14 % of σ for a normal σ.
const N: usize = 1 << 18;

/// Every preset, and a device of every family that has none.
fn devices() -> Vec<(String, MemoryDevice)> {
    let text = |kind: &str, keys: &str| {
        let text = format!("kind = \"{kind}\"\n{keys}\ng_min = \"1 uS\"\ng_max = \"50 uS\"");
        (
            format!("{kind} {keys}"),
            MemoryDevice::from_toml(&text).unwrap(),
        )
    };
    let presets = MemoryDevice::preset_names()
        .map(|name| (name.to_string(), MemoryDevice::preset(name).unwrap()));
    presets
        .chain([
            text("additive", "sigma_rel_gmax = 0.05"),
            text(
                "additive",
                "full_width_rel_gmax = 0.1\nread_sigma_rel_gmax = 0.01",
            ),
            text("proportional", "sigma_rel_g = 0.5"),
            text(
                "proportional",
                "full_width_rel_g = 0.3\nread_sigma_rel_g = 0.02",
            ),
            text("inverse-proportional", "sigma_at_gmax_rel_gmax = 0.01"),
            text(
                "inverse-proportional",
                "full_width_at_gmax_rel_gmax = 0.01\nread_sigma_at_gmax_rel_gmax = 0.001",
            ),
            text("neurosim", "sigma_rel_digit = 0.1\nredraw = \"per-write\""),
            text("reram-wan", ""),
            text(
                "table",
                "unit = \"uS\"\nrows = [[1.0, 1.5, 1.0], [20.0, 19.0, 0.5], [50.0, 48.0, 2.0]]",
            ),
            text(
                "table",
                "unit = \"uS\"\nrows = [[1.0, 1.5, 1.0], [50.0, 48.0, 2.0]]\nt_0 = \"20 s\"\n\
                 drift = { rows = [[1.0, 0.1, 0.05], [50.0, 0.02, 0.01]] }\n\
                 read_noise = { rows = [[0.0, 0.1], [50.0, 0.4]] }",
            ),
            text(
                "table",
                "unit = \"uS\"\nrows = [[1.0, 1.5, 1.0], [50.0, 48.0, 2.0]]\n\
                 retention = [{ after = \"1 d\", rows = [[1.0, 2.0, 1.2], [50.0, 45.0, 2.5]] }]",
            ),
        ])
        .collect()
}

/// Targets at both ends and between.
fn targets(device: &MemoryDevice) -> [f32; 5] {
    let range = device.range();
    [0.0, 0.01, 0.3, 0.7, 1.0].map(|share| (range.g_min + share * range.span()).min(range.g_max))
}

/// Times that a device has a law for.
fn times(device: &MemoryDevice) -> Vec<Second> {
    [1.0, 3600.0, DAY, 1.6 * DAY, 4.5 * DAY, 365.25 * DAY]
        .map(Second::new)
        .into_iter()
        .filter(|after| device.check_after(*after).is_ok())
        .collect()
}

/// Mean and standard deviation of draws lie within 4.5 standard errors of the formula. The standard error of a standard
/// deviation is `sqrt((m4 - s⁴) / (4 s² n))` with the fourth central moment of the draws; conductances are stored in 32
/// bits, which adds their rounding.
fn agree(name: &str, draws: &[f32], expected: Moments) {
    let n = draws.len() as f64;
    let mean = draws.iter().map(|g| f64::from(*g)).sum::<f64>() / n;
    let central = |k: i32| {
        draws
            .iter()
            .map(|g| (f64::from(*g) - mean).powi(k))
            .sum::<f64>()
            / n
    };
    let (variance, fourth) = (central(2), central(4));
    let sigma = variance.sqrt();
    // A clamp so far out that few draws reach it leaves the tails out of the sample's moments.
    let rounding = f64::from(f32::EPSILON) * mean.abs() + 1e-5 * expected.sigma + 1e-9;
    let bound = 4.5 * sigma / n.sqrt() + rounding;
    assert!(
        (mean - expected.mean).abs() <= bound,
        "{name}: mean {mean} instead of {}, bound {bound}",
        expected.mean
    );
    let error = if variance > 0.0 {
        ((fourth - variance * variance).max(0.0) / (4.0 * variance * n)).sqrt()
    } else {
        0.0
    };
    let bound = 4.5 * error + rounding;
    assert!(
        (sigma - expected.sigma).abs() <= bound,
        "{name}: sigma {sigma} instead of {}, bound {bound}",
        expected.sigma
    );
}

#[test]
fn written_cells_have_the_moments_of_their_law() {
    for (stream, (name, device)) in devices().into_iter().enumerate() {
        for (index, target) in targets(&device).into_iter().enumerate() {
            let draws = Philox::new(index as u64, stream as u64);
            let cells = device.program(&vec![target; N], &draws);
            agree(
                &format!("{name} at {target} uS"),
                &cells,
                device.programming_moments(target),
            );
        }
    }
}

#[test]
fn aged_cells_have_the_moments_of_their_law() {
    let mut aged = 0;
    for (stream, (name, device)) in devices().into_iter().enumerate() {
        for after in times(&device) {
            for (index, target) in targets(&device).into_iter().enumerate() {
                let generator = |what: u64| Philox::new(2 * index as u64 + what, stream as u64);
                let targets = vec![target; N];
                let cells = device.program(&targets, &generator(0));
                let cells = device.age(cells, &targets, after, &generator(1)).unwrap();
                agree(
                    &format!("{name} at {target} uS after {after}"),
                    &cells,
                    device.aged_moments(target, after).unwrap(),
                );
                aged += 1;
            }
        }
    }
    // Six times for four drifting presets, two CMO settings and a table of exponents, four for two Wan devices, five for SONOS,
    // three for a retention of a day.
    assert_eq!(aged, 5 * (7 * 6 + 2 * 4 + 5 + 3));
}

#[test]
fn a_drifting_cell_has_the_closed_form_moments() {
    // E[g] = E[g_p] E[e^(-ν L)]: the state-independent law with σ small against the mean of ν, so that ν = 0.1 + 0.01 ξ.
    let config = StateIndependentConfig {
        nu_std: 0.01,
        ..StateIndependentConfig::default()
    };
    let device = MemoryDevice::try_from(DeviceConfig::from(config)).unwrap();
    let l = ((DAY + 20.0) / 20.0f64).ln();
    let found = device.aged_moments(12.5, Second::new(DAY)).unwrap();
    let mean = 12.5 * (0.5 * (0.01 * l).powi(2) - 0.1 * l).exp();
    let second = (12.5f64.powi(2) + 0.2f64.powi(2)) * (2.0 * (0.01 * l).powi(2) - 0.2 * l).exp();
    // Ten standard deviations of ν to zero, and Simpson's rule on a smooth integrand.
    assert!(
        (found.mean - mean).abs() < 1e-9
            && (found.sigma - (second - mean * mean).sqrt()).abs() < 1e-8
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    for (name, device) in devices() {
        let device = device
            .with_faults(Faults {
                stuck_on: 0.1,
                stuck_off: 0.1,
                unformed: 0.1,
            })
            .unwrap();
        // More than two pieces, with an end inside one.
        let ends = targets(&device);
        let targets: Vec<f32> = (0..40_003).map(|i| ends[i % ends.len()]).collect();
        let after = times(&device).last().copied().unwrap_or_default();
        let chip = ChipSeed::new(7, 17);
        let run = || {
            let cells = device.cells(&targets, after, chip, "fc.weight/0").unwrap();
            let sigma = device.read_sigma(&cells, after);
            let mut moved = cells.clone();
            device.fluctuate(&mut moved, after, &chip.generator("fc.weight/0/held"));
            (cells, sigma, moved)
        };
        let [one, two] = [1, 2].map(|threads| pool(threads).install(run));
        assert!(one == two, "{name}");
        assert!(one.0.iter().all(|g| g.is_finite()), "{name}");
        // A shorter plane is the beginning of a longer one.
        let part = device
            .cells(&targets[..300], after, chip, "fc.weight/0")
            .unwrap();
        assert!(part == one.0[..300], "{name}");
        let other = device
            .cells(&targets, after, ChipSeed::new(7, 18), "fc.weight/0")
            .unwrap();
        assert!(other != one.0, "{name}");
    }
}

#[test]
fn devices_without_error_change_nothing() {
    let exact = |text: &str| {
        MemoryDevice::from_toml(&format!("{text}\ng_min = \"1 uS\"\ng_max = \"50 uS\"")).unwrap()
    };
    for device in [
        exact("kind = \"ideal\""),
        exact("kind = \"four-level\"\ncell = \"fefet6\"\nsigma_rel_range = 0"),
        exact("kind = \"additive\"\nsigma_rel_gmax = 0"),
        exact("kind = \"proportional\"\nfull_width_rel_g = 0.0"),
        exact("kind = \"inverse-proportional\"\nsigma_at_gmax_rel_gmax = 0"),
        exact("kind = \"neurosim\"\nsigma_rel_digit = 0.1"),
        exact("kind = \"state-independent\"\nsigma_abs = \"0 S\"\nnu_mean = 0\nnu_std = 0"),
    ] {
        let targets: Vec<f32> = (0..1000).map(|i| 1.0 + 0.049 * i as f32).collect();
        let cells = device
            .cells(&targets, Second::new(0.0), ChipSeed::new(1, 2), "w")
            .unwrap();
        assert_eq!(cells, targets, "{device:?}");
        assert!(!device.has_drift());
    }
}

#[test]
fn at_time_zero_every_device_is_as_it_was_programmed() {
    for (name, device) in devices() {
        let targets = targets(&device);
        let cells = device.program(&targets, &Philox::new(1, 1));
        let aged = device.age(
            cells.clone(),
            &targets,
            Second::new(0.0),
            &Philox::new(1, 2),
        );
        assert_eq!(aged.unwrap(), cells, "{name}");
        assert_eq!(
            device.aged_moments(targets[2], Second::new(0.0)).unwrap(),
            device.programming_moments(targets[2]),
            "{name}"
        );
    }
}

#[test]
fn laws_begin_where_programming_ends() {
    for name in [
        "pcm-mushroom",
        "pcm-hermes-1",
        "pcm-hermes-2",
        "state-independent",
        "reram-wan-2022",
        "sonos-40nm",
    ] {
        let device = MemoryDevice::preset(name).unwrap();
        let targets = targets(&device);
        let cells = device.program(&targets, &Philox::new(1, 1));
        let soon = Second::new(1e-9);
        let aged = device
            .age(cells.clone(), &targets, soon, &Philox::new(1, 2))
            .unwrap();
        for (aged, cell) in aged.iter().zip(&cells) {
            // Of SONOS, whose spread grows as a root from 0: sqrt(1e-14) of 20 nS.
            assert!(
                (aged - cell).abs() <= 1e-6 * cell.max(1.0),
                "{name}: {aged} {cell}"
            );
        }
    }
}

#[test]
fn exponents_are_drawn_once_per_cell() {
    let device = MemoryDevice::preset("pcm-mushroom").unwrap();
    let targets = vec![20.0; 1000];
    let age = |after| {
        device
            .age(
                targets.clone(),
                &targets,
                Second::new(after),
                &Philox::new(3, 4),
            )
            .unwrap()
    };
    // ν from two times is the same number, up to the rounding of g to 32 bits over ln(4321) and ln(43201).
    for (day, ten) in age(DAY).into_iter().zip(age(10.0 * DAY)) {
        let [first, second] = [(day, DAY), (ten, 10.0 * DAY)]
            .map(|(g, t)| -(f64::from(g) / 20.0).ln() / ((t + 20.0) / 20.0).ln());
        assert!((first - second).abs() < 1e-7, "{first} {second}");
    }
}

#[rstest]
#[case("ideal")]
#[case("rram4")]
#[case("pcm-joshi")]
#[case("reram-milo-2021")]
#[case("neurosim")]
fn a_device_without_a_time_law_refuses_time(#[case] name: &str) {
    let device = MemoryDevice::preset(name).unwrap();
    assert!(!device.has_drift());
    let refused = device.age(
        vec![60.0],
        &[60.0],
        "1 d".parse().unwrap(),
        &Philox::new(1, 1),
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!(
            "after = 1 d with the device {}, which has no time law: leave `after` out, or choose a device that drifts or \
             relaxes",
            device.config().kind()
        )
    );
}

#[test]
fn requests_outside_a_device_are_refused() {
    let milo = MemoryDevice::preset("reram-milo-2021").unwrap();
    assert_eq!(
        milo.check_targets(&[60.0, 300.0]).unwrap_err().to_string(),
        "target = 300 uS is outside the range 50 uS..225 uS of reram-milo: map weights into the range of the device"
    );
    assert!(milo.check_targets(&[f32::NAN]).is_err());
    assert!(
        milo.check_targets(&[225.0f32.next_up(), 50.0f32.next_down()])
            .is_ok()
    );
    let pcm = MemoryDevice::preset("pcm-mushroom").unwrap();
    assert_eq!(
        pcm.check_after(Second::new(-1.0)).unwrap_err().to_string(),
        "after = -1 s is outside the times from 0 s: give a finite time from 0 s on"
    );
    assert_eq!(
        pcm.age(vec![1.0], &[], Second::new(1.0), &Philox::new(1, 1))
            .unwrap_err()
            .to_string(),
        "1 cells and 0 targets: age every cell with the target that it was programmed for"
    );
}

#[rstest]
#[case(
    "kind = \"pcm\"",
    "the device cannot be read: unknown variant `pcm`, expected one of `ideal`, `four-level`"
)]
#[case(
    "kind = \"ideal\"\ng_mx = \"1 uS\"",
    "the device cannot be read: unknown field `g_mx`"
)]
#[case(
    "kind = \"ideal\"\ng_max = \"1 uA\"",
    "the device cannot be read: `1 uA` is not a conductance"
)]
#[case("g_max = \"1 uS\"", "the device cannot be read: missing field `kind`")]
#[case("kind = ", "the device cannot be read: ")]
#[case(
    "kind = \"ideal\"\nfaults = { stuck = 0.1 }",
    "the device cannot be read: unknown field `stuck`"
)]
#[case(
    "kind = \"ideal\"\nfaults = { stuck_on = 1.1 }",
    "faults.stuck_on = 1.1 is outside 0..=1"
)]
#[case(
    "kind = \"ideal\"\ng_min = \"-1 uS\"",
    "g_min = -1 uS is outside 0 S and above"
)]
#[case(
    "kind = \"additive\"\ng_min = \"1 uS\"\ng_max = \"2 uS\"",
    "`sigma_rel_gmax` is a normal error and `full_width_rel_gmax` a uniform one: give exactly one of them"
)]
#[case(
    "kind = \"proportional\"\ng_min = \"1 uS\"\ng_max = \"2 uS\"\nsigma_rel_g = -0.1",
    "sigma_rel_g = -0.1 is outside 0 and above: give a finite number from 0 on"
)]
#[case(
    "kind = \"state-independent\"\nt_0 = \"0 s\"",
    "t_0 = 0 s is outside values above 0: give a finite value above 0"
)]
fn texts_that_describe_no_device_are_refused(#[case] text: &str, #[case] start: &str) {
    let message = MemoryDevice::from_toml(text).unwrap_err().to_string();
    assert!(message.starts_with(start), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn devices_are_written_and_read_the_same() {
    let faults = Faults {
        stuck_on: 0.0175,
        stuck_off: 0.0904,
        unformed: 0.0,
    };
    let faulty = devices()
        .into_iter()
        .map(|(name, device)| (name, device.with_faults(faults).unwrap()));
    for (name, device) in devices().into_iter().chain(faulty) {
        // Units round in the last place of 64 bits, so texts and cells are compared rather than numbers.
        let text = toml::to_string(&device).unwrap();
        let json = serde_json::to_string(&device).unwrap();
        let targets = targets(&device);
        let cells = |device: &MemoryDevice| {
            device
                .cells(&targets, Second::new(0.0), ChipSeed::new(1, 2), "w")
                .unwrap()
        };
        for again in [
            MemoryDevice::from_toml(&text).unwrap(),
            toml::from_str(&text).unwrap(),
            serde_json::from_str(&json).unwrap(),
        ] {
            assert_eq!(toml::to_string(&again).unwrap(), text, "{name}");
            assert_eq!(again.faults(), device.faults(), "{name}");
            assert_eq!(cells(&again), cells(&device), "{name}");
        }
        let config = DeviceConfig::from(device.clone());
        assert_eq!(device.config(), &config);
        let written: DeviceConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(written.kind(), config.kind());
    }
}

#[test]
fn every_family_is_tested() {
    let mut kinds: Vec<String> = devices()
        .iter()
        .map(|(_, device)| device.config().kind().to_string())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut all = DeviceConfig::kinds().to_vec();
    all.sort_unstable();
    assert_eq!(kinds, all);
}

#[test]
fn reads_scatter_where_a_device_says_so() {
    for (name, device) in devices() {
        let cells = targets(&device);
        let sigma = device.read_sigma(&cells, Second::new(0.0));
        assert_eq!(sigma.is_some(), device.has_read_noise(), "{name}");
        for sigma in sigma.into_iter().flatten() {
            assert!(sigma >= 0.0 && sigma.is_finite(), "{name}");
        }
    }
    let sigma = |name: &str, cell: f32| {
        let device = MemoryDevice::preset(name).unwrap();
        device.read_sigma(&[cell], Second::new(DAY)).unwrap()[0]
    };
    let held = |name: &str, cell: f32| {
        let device = MemoryDevice::preset(name).unwrap();
        device
            .held_sigma(&[cell], Second::new(DAY))
            .map(|sigma| sigma[0])
    };
    for name in ["reram-wan-2022", "neurosim", "sonos-40nm"] {
        assert_eq!(held(name, 1.0), None);
    }
    // 1 % of 40 uS; a tenth of the digit, 10 uS less 1 / (1.7 MOhm); 12.58 nA (1 - e^(-1600 / 215.37)).
    assert!((sigma("reram-wan-2022", 3.0) - 0.4).abs() < 1e-6);
    assert!((sigma("neurosim", 10.0) - 0.1 * (10.0 - 1.0 / 1.7)).abs() < 1e-6);
    assert!((sigma("sonos-40nm", 1.6) - 0.012_572_5).abs() < 1e-6);
    // Proportional to the conductance, 1 uS at 25 uS times sqrt(ln(1 / 500e-9)) = 3.809 within a second, and
    // sqrt(ln(86420)) = 3.3714 from then on: 5.086 together.
    assert!((sigma("state-independent", 12.5) - 0.5 * 3.809).abs() < 1e-3);
    assert!((held("state-independent", 12.5).unwrap() - 0.5 * 3.3714).abs() < 1e-3);
}

#[test]
fn stuck_cells_are_as_many_as_stated_and_survive_ageing() {
    let faults = Faults {
        stuck_on: 0.0175,
        stuck_off: 0.0904,
        unformed: 0.02,
    };
    assert!((faults.cell_yield() - 0.8721).abs() < 1e-12);
    let device = MemoryDevice::preset("pcm-mushroom")
        .unwrap()
        .with_faults(faults)
        .unwrap();
    let chip = ChipSeed::new(5, 6);
    let targets = vec![12.0; N];
    let cells = |after| {
        device
            .cells(&targets, Second::new(after), chip, "w")
            .unwrap()
    };
    let (fresh, aged) = (cells(0.0), cells(365.25 * DAY));
    let range = device.range();
    for (held, expected) in [(range.g_max, 0.0175), (range.g_min, 0.1104)] {
        // A cell meant for 12 uS, with σ = 0.94 uS, ends at 0 or 25 uS by a fault alone: binomial, 4.5 standard errors.
        let count = fresh.iter().filter(|g| **g == held).count() as f64;
        let bound = 4.5 * (expected * (1.0 - expected) / N as f64).sqrt();
        assert!((count / N as f64 - expected).abs() < bound);
        let stays = fresh
            .iter()
            .zip(&aged)
            .all(|(fresh, aged)| (*fresh == held) == (*aged == held));
        assert!(stays);
    }
    // Which cells are stuck does not depend on what they were meant for.
    let other = device
        .cells(&vec![5.0; N], Second::new(0.0), chip, "w")
        .unwrap();
    assert!(
        fresh
            .iter()
            .zip(&other)
            .all(|(a, b)| (*a == range.g_max) == (*b == range.g_max))
    );
}

#[test]
fn drift_compensation_restores_the_scale_of_a_drifted_array() {
    let device = MemoryDevice::preset("pcm-mushroom").unwrap();
    let (outputs, inputs) = (64, 256);
    let targets: Vec<f32> = (0..outputs * inputs)
        .map(|i| 6.0 + (i % 19) as f32)
        .collect();
    let chip = ChipSeed::new(2, 3);
    let cells = |after: f64| {
        device
            .cells(&targets, Second::new(after), chip, "w")
            .unwrap()
    };
    // One-hot inputs read the columns of the transposed array.
    let readout = |cells: &[f32]| -> Vec<f32> {
        (0..inputs)
            .flat_map(|i| (0..outputs).map(move |o| cells[o * inputs + i]))
            .collect()
    };
    let (fresh, aged) = (cells(0.0), cells(30.0 * DAY));
    let global = DriftCompensation::Global
        .factors(&readout(&fresh), &readout(&aged), outputs)
        .unwrap();
    // ν = 0.049 ± 0.008 in every state above 0.205 of g_max: α = 1 / E[e^(-ν L)], L = ln(129601).
    let l = (30.0 * DAY / 20.0 + 1.0).ln();
    let expected = (0.049 * l - 0.5 * (0.008 * l).powi(2)).exp();
    // Relative spread of a factor 0.094, and of a conductance 0.4, over 16384 cells: 5 standard errors are 0.4 %.
    assert!(
        (f64::from(global[0]) / expected - 1.0).abs() < 4e-3,
        "{} {expected}",
        global[0]
    );
    let columns = DriftCompensation::PerColumn
        .factors(&readout(&fresh), &readout(&aged), outputs)
        .unwrap();
    for (o, factor) in columns.iter().enumerate() {
        let row = |cells: &[f32]| cells[o * inputs..(o + 1) * inputs].iter().sum::<f32>();
        // Sums of 256 numbers in f32.
        assert!((factor * row(&aged) / row(&fresh) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn only_four_level_cells_have_levels() {
    for (name, device) in devices() {
        assert_eq!(
            device.levels().is_some(),
            device.config().kind() == "four-level",
            "{name}"
        );
    }
    let levels = MemoryDevice::preset("rram1").unwrap().levels().unwrap();
    for (level, expected) in levels
        .into_iter()
        .zip([50.0, 83.333_336, 116.666_67, 150.0])
    {
        assert!((level - expected).abs() < 1e-4);
    }
}

proptest! {
    #[test]
    fn cells_are_conductances_and_means_rise_with_targets(
        which in 0usize..26, share in 0.0f32..1.0, step in 0.001f32..0.5, key: u64,
    ) {
        let devices = devices();
        let (name, device) = &devices[which % devices.len()];
        let range = device.range();
        let target = range.g_min + share * range.span();
        let above = (target + step * range.span()).min(range.g_max);
        let cells = device.program(&[target; 9], &Philox::new(key, 0));
        prop_assert!(cells.iter().all(|g| *g >= 0.0 && g.is_finite()), "{name}");
        if device.config().kind() == "reram-cmo" {
            prop_assert!(cells.iter().all(|g| range.contains(*g)), "{name}");
        }
        // A clamp at zero moves the mean by at most 0.4 σ, and only where the target is within a few σ of zero.
        let [low, high] = [target, above].map(|target| device.programming_moments(target));
        if f64::from(target) >= 5.0 * low.sigma.max(high.sigma) && device.config().kind() != "reram-cmo" {
            prop_assert!(high.mean >= low.mean - 1e-6 * high.mean.abs(), "{name}");
        }
    }

    #[test]
    fn drifting_cells_only_lose(which in 0usize..4, share in 0.0f32..1.0, key: u64, early in 1.0f64..1e6, ratio in 1.0f64..100.0) {
        let name = ["pcm-mushroom", "pcm-hermes-1", "pcm-hermes-2", "state-independent"][which];
        let device = MemoryDevice::preset(name).unwrap();
        let targets = [share * device.range().g_max; 7];
        let cells = device.program(&targets, &Philox::new(key, 0));
        let age = |after| device.age(cells.clone(), &targets, Second::new(after), &Philox::new(key, 1)).unwrap();
        for (cell, (first, second)) in cells.iter().zip(age(early).into_iter().zip(age(early * ratio))) {
            prop_assert!(second <= first && first <= *cell && second >= 0.0);
        }
    }
}

#[test]
fn a_device_is_made_from_values_as_well() {
    let g_max: Siemens = "25 uS".parse().unwrap();
    let config = ReramWanConfig {
        g_max,
        ..ReramWanConfig::default()
    };
    let device = MemoryDevice::try_from(DeviceConfig::from(config)).unwrap();
    assert_eq!(
        device,
        MemoryDevice::from_toml("kind = \"reram-wan\"\ng_max = \"25 uS\"").unwrap()
    );
}
