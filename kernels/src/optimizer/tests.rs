use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, Optimizer, SgdConfig,
};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use proptest::prelude::*;

use super::pass::{Pass, Rule};
use super::{Adam, AdamW, Sgd};
use crate::testing::{agree, cpus, numbers, paths, pool};

/// New optimizers of this crate and of Burn, with the same settings.
fn pairs() -> Vec<(&'static str, ModuleOptimizer, ModuleOptimizer)> {
    let decay = || Some(WeightDecayConfig::new(0.05));
    let momentum = |dampening, nesterov| MomentumConfig {
        momentum: 0.9,
        dampening,
        nesterov,
    };
    let sgd = |momentum: MomentumConfig| {
        let ours = Sgd::new().with_momentum_config(momentum.clone());
        let burns = SgdConfig::new().with_momentum(Some(momentum));
        (
            ours.with_weight_decay(Some(0.05)).init(),
            burns.with_weight_decay(decay()).init(),
        )
    };
    let (dampened, burns_dampened) = sgd(momentum(0.1, false));
    let (nesterov, burns_nesterov) = sgd(momentum(0.0, true));
    let adam = AdamConfig::new().with_epsilon(1e-8);
    let adamw = AdamWConfig::new().with_epsilon(1e-8);
    vec![
        ("Adam", Adam::new().init(), adam.init()),
        (
            "Adam with a penalty",
            Adam::new()
                .with_betas(0.8, 0.95)
                .with_epsilon(1e-3)
                .with_weight_decay(Some(0.05))
                .init(),
            AdamConfig::new()
                .with_beta_1(0.8)
                .with_beta_2(0.95)
                .with_epsilon(1e-3)
                .with_weight_decay(decay())
                .init(),
        ),
        (
            "AdamW",
            AdamW::new().init(),
            adamw.clone().with_weight_decay(0.01).init(),
        ),
        (
            "AdamW without decay",
            AdamW::new().with_weight_decay(0.0).init(),
            adamw.with_weight_decay(0.0).init(),
        ),
        ("SGD", Sgd::new().init(), SgdConfig::new().init()),
        (
            "SGD with momentum",
            Sgd::new().with_momentum(0.9).init(),
            SgdConfig::new()
                .with_momentum(Some(momentum(0.0, false)))
                .init(),
        ),
        ("SGD, dampened", dampened, burns_dampened),
        ("SGD, Nesterov", nesterov, burns_nesterov),
    ]
}

fn layer(device: &Device) -> Linear {
    let weight = TensorData::new(numbers(1, 37 * 11), [37, 11]);
    let bias = TensorData::new(numbers(2, 11), [11]);
    let layer = LinearConfig::new(37, 11).init(device);
    Linear {
        weight: Param::initialized(
            layer.weight.id,
            Tensor::from_data(weight, device).require_grad(),
        ),
        bias: layer
            .bias
            .map(|old| Param::initialized(old.id, Tensor::from_data(bias, device).require_grad())),
    }
}

/// One step with a gradient that changes from step to step and becomes small.
fn step(optimizer: &mut ModuleOptimizer, layer: Linear, number: u32) -> Linear {
    let device = layer.weight.val().device();
    let input = TensorData::new(numbers(10 + number, 5 * 37), [5, 37]);
    let output = layer.forward(Tensor::<2>::from_data(input, &device));
    let loss = (output.clone() * output).sum() * 0.3f32.powi(number as i32);
    let gradients = GradientsParams::from_grads(loss.backward(), &layer);
    optimizer.step(0.01, layer, gradients)
}

fn weights(layer: &Linear) -> Vec<f32> {
    let bias = layer.bias.as_ref().expect("a bias").val();
    [layer.weight.val().reshape([37 * 11]), bias]
        .into_iter()
        .flat_map(|tensor| tensor.into_data().try_to_vec::<f32>().expect("floats"))
        .collect()
}

#[test]
fn steps_are_those_of_burn() {
    let device = Device::flex().autodiff();
    for (name, mut ours, mut burns) in pairs() {
        let (mut mine, mut theirs) = (layer(&device), layer(&device));
        for number in 0..6 {
            mine = step(&mut ours, mine, number);
            theirs = step(&mut burns, theirs, number);
            assert_eq!(weights(&mine), weights(&theirs), "{name}, step {number}");
        }
    }
}

#[test]
fn steps_of_every_backend_and_type_are_those_of_burn() {
    for device in cpus().into_iter().map(Device::autodiff) {
        for (name, mut ours, mut burns) in pairs() {
            let (mut mine, mut theirs) = (layer(&device), layer(&device));
            for number in 0..4 {
                mine = step(&mut ours, mine, number);
                theirs = step(&mut burns, theirs, number);
                let expected: Vec<f64> = weights(&theirs).into_iter().map(f64::from).collect();
                agree(&weights(&mine), &expected, 1e-6);
            }
            assert!(mine.num_params() > 0, "{name}");
        }
    }
    let device = Device::flex();
    let tensor = |seed| {
        Tensor::<1>::from_data(TensorData::new(numbers(seed, 9), [9]), &device)
            .cast(FloatDType::F64)
    };
    let (mine, _) = Adam::new().step(0.01, tensor(1), tensor(2), None);
    let (theirs, _) =
        AdamConfig::new()
            .with_epsilon(1e-8)
            .build()
            .step(0.01, tensor(1), tensor(2), None);
    assert_eq!(mine.into_data(), theirs.into_data());
}

#[test]
fn a_saved_state_goes_on_the_same_here_and_in_burns_optimizer() {
    let device = Device::flex().autodiff();
    for (index, (name, mut ours, mut burns)) in pairs().into_iter().enumerate() {
        let mut trained = layer(&device);
        for number in 0..3 {
            let next = step(&mut ours, trained.clone(), number);
            step(&mut burns, trained, number);
            trained = next;
        }
        let fresh = || pairs().swap_remove(index);
        let saved = |optimizer: &ModuleOptimizer| optimizer.into_bytes().expect("bytes");
        let load = |fresh: ModuleOptimizer, from: &ModuleOptimizer| {
            fresh.from_bytes(saved(from)).expect("a state")
        };
        let mut others = [
            load(fresh().1, &ours),
            load(fresh().1, &burns),
            load(fresh().2, &ours),
        ];
        let expected = weights(&step(&mut ours, trained.clone(), 3));
        for other in &mut others {
            assert_eq!(
                weights(&step(other, trained.clone(), 3)),
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn what_others_hold_stays_as_it_was() {
    let device = Device::flex();
    let data = |seed| TensorData::new(numbers(seed, 2 * 30), [2, 30]);
    let tensor = |seed| Tensor::<2>::from_data(data(seed), &device);
    let whole = tensor(1);
    let (held, gradient) = (whole.clone(), tensor(2));
    // A view into a larger tensor, and a transposed gradient.
    let row = whole.clone().narrow(0, 1, 1);
    let transposed = gradient.clone().reshape([30, 2]).transpose();
    for optimizer in [Adam::new(), Adam::new().with_weight_decay(Some(0.1))] {
        let (once, state) = optimizer.step(0.1, held.clone(), transposed.clone(), None);
        let kept = state.clone();
        let (again, _) = optimizer.step(0.1, once.clone(), gradient.clone(), state);
        let (same, _) = optimizer.step(0.1, once, gradient.clone(), kept);
        assert_eq!(again.into_data(), same.into_data());
        let (view, _) = optimizer.step(0.1, row.clone(), gradient.clone().narrow(0, 1, 1), None);
        let (full, _) = optimizer.step(0.1, held.clone(), gradient.clone(), None);
        assert_eq!(view.into_data(), full.narrow(0, 1, 1).into_data());
    }
    assert_eq!(whole.into_data(), data(1));
    assert_eq!(gradient.into_data(), data(2));
}

#[test]
fn numbers_that_are_not_finite_go_through_as_in_burn() {
    let device = Device::flex();
    let special = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1e30,
        1e-30,
    ];
    let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
    let ones = [1.0; 7];
    for (parameter, gradient) in [(ones, special), (special, ones)] {
        let ours = AdamW::new().step(0.1, tensor(&parameter), tensor(&gradient), None);
        let burns = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(0.01);
        let burns = burns
            .build()
            .step(0.1, tensor(&parameter), tensor(&gradient), None);
        let bits = |tensor: Tensor<1>| -> Vec<Option<u32>> {
            let values = tensor.into_data().try_to_vec::<f32>().expect("floats");
            let bits = values
                .iter()
                .map(|value| (!value.is_nan()).then(|| value.to_bits()));
            bits.collect()
        };
        assert_eq!(bits(ours.0), bits(burns.0));
    }
}

/// A rule that uses everything: moments that depend on the parameter, and a root.
#[derive(Clone, Copy)]
struct Mixed;

impl Rule<2> for Mixed {
    #[inline(always)]
    fn apply<S: pulp::Simd>(
        &self,
        simd: S,
        p: S::f32s,
        g: S::f32s,
        moments: &mut [S::f32s; 2],
    ) -> S::f32s {
        moments[0] = simd.add_f32s(moments[0], simd.mul_f32s(g, p));
        moments[1] = simd.add_f32s(moments[1], simd.mul_f32s(g, g));
        let root = simd.sqrt_f32s(simd.add_f32s(moments[1], simd.splat_f32s(1.0)));
        simd.sub_f32s(p, simd.div_f32s(moments[0], root))
    }
}

proptest! {
    #[test]
    fn a_pass_is_the_plain_loop_on_every_path_and_number_of_threads(
        length in prop_oneof![0usize..70, 16_380usize..16_400, 50_000usize..50_040],
        seed: u32,
        shared: bool,
    ) {
        let [p, g, m] = [1, 2, 3].map(|which| numbers(seed.wrapping_add(which), length));
        let v: Vec<f32> = numbers(seed.wrapping_add(4), length).iter().map(|v| v.abs()).collect();
        let mut expected = [vec![], vec![], vec![]];
        for i in 0..length {
            let [p, g, m, v] = [p[i], g[i], m[i], v[i]].map(f64::from);
            let (m, v) = (m + g * p, v + g * g);
            for (list, value) in expected.iter_mut().zip([p - m / (v + 1.0).sqrt(), m, v]) {
                list.push(value);
            }
        }
        let run = |arch| {
            let (mut target, mut m, mut v) = (p.clone(), m.clone(), v.clone());
            if shared {
                target.fill(f32::NAN);
            }
            let moments = [&mut m[..], &mut v[..]];
            let source = shared.then_some(&p[..]);
            Pass { source, parameter: &mut target, gradient: &g, moments }.run(arch, &Mixed);
            [target, m, v]
        };
        let first = run(paths()[0]);
        for (found, expected) in first.iter().zip(&expected) {
            agree(found, expected, 1e-6);
        }
        for arch in paths() {
            for threads in [1, 2] {
                prop_assert_eq!(&pool(threads).install(|| run(arch)), &first);
            }
        }
    }
}
