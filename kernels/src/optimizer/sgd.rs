//! Stochastic gradient descent, with momentum and an L2 penalty.
//!
//! Cost: see `pass.rs`. With momentum, 20 bytes per weight move for 7 operations; without it, 12 bytes for 4.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    LearningRate, ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource, join_path,
};
use burn::tensor::{Device, Tensor};
use pulp::Simd;

use super::adam::penalised;
use super::backend::OptimizerKernel;
use super::pass::Rule;

/// SGD with Burn's arithmetic, in one pass over memory.
///
/// ```text
/// g ← g + penalty p
/// u ← momentum u + (1 - dampening) g, and u ← g at the first step
/// p ← p - rate u, with Nesterov's form p ← p - rate (momentum u + g)
/// ```
///
/// # Source
/// Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013, in the form that multiplies
/// the velocity by the current learning rate.
///
/// ```
/// use crossburn_kernels::Sgd;
///
/// let optimizer = Sgd::new().with_momentum(0.9).with_weight_decay(Some(5e-4)).init();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sgd {
    momentum: Option<MomentumConfig>,
    weight_decay: Option<f32>,
}

impl Sgd {
    /// Plain gradient descent.
    pub const fn new() -> Self {
        Self {
            momentum: None,
            weight_decay: None,
        }
    }

    /// Momentum without dampening.
    pub fn with_momentum(self, momentum: f64) -> Self {
        self.with_momentum_config(MomentumConfig {
            momentum,
            dampening: 0.0,
            nesterov: false,
        })
    }

    /// Momentum with dampening, or in Nesterov's form.
    pub fn with_momentum_config(self, momentum: MomentumConfig) -> Self {
        Self {
            momentum: Some(momentum),
            ..self
        }
    }

    /// The L2 penalty: this share of a parameter is added to its gradient.
    pub fn with_weight_decay(self, weight_decay: Option<f32>) -> Self {
        Self {
            weight_decay,
            ..self
        }
    }

    /// An optimizer of modules.
    pub fn init(self) -> ModuleOptimizer {
        ModuleOptimizer::from(self)
    }
}

/// The state that [`Sgd`] keeps for a parameter, saved under the names that Burn's own uses.
#[derive(Clone, Debug)]
pub struct SgdState<const D: usize> {
    velocity: Option<Tensor<D>>,
}

const NAME: [&str; 2] = ["momentum", "velocity"];

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        if let Some(velocity) = &self.velocity {
            out.push_tensor(
                &join_path(prefix, NAME[0]),
                NAME[1],
                velocity.clone().into_data(),
            );
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = src.take_tensor(&join_path(prefix, NAME[0]), NAME[1]);
        let velocity = velocity.map(|data| Tensor::from_data(data, device));
        Some(Self { velocity })
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let step = SgdStep {
            rate,
            penalty: self.weight_decay,
        };
        let Some(momentum) = &self.momentum else {
            let parameter =
                Dispatch::sgd_step(parameter.into_dispatch(), gradient.into_dispatch(), step);
            let state = SgdState { velocity: None };
            return (Tensor::from_dispatch(parameter), Some(state));
        };
        let velocity = state.and_then(|state| state.velocity);
        let step = MomentumStep {
            step,
            momentum: momentum.momentum as f32,
            share: match velocity {
                Some(_) => 1.0 - momentum.dampening,
                None => 1.0,
            },
            nesterov: momentum.nesterov,
        };
        let velocity = velocity.unwrap_or_else(|| parameter.zeros_like());
        let (parameter, velocity) = Dispatch::momentum_step(
            parameter.into_dispatch(),
            gradient.into_dispatch(),
            velocity.into_dispatch(),
            step,
        );
        let velocity = Some(Tensor::from_dispatch(velocity));
        (
            Tensor::from_dispatch(parameter),
            Some(SgdState { velocity }),
        )
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        let velocity = state.velocity.map(|velocity| velocity.to_device(device));
        SgdState { velocity }
    }
}

/// The factors of one step without momentum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SgdStep {
    rate: f64,
    penalty: Option<f32>,
}

impl SgdStep {
    /// The step in operations of the backend.
    pub(super) fn plain<B: Backend>(
        self,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let gradient = penalised::<B>(gradient, &parameter, self.penalty);
        let change = B::float_mul_scalar(gradient, self.rate.into());
        B::float_sub(parameter, change)
    }

    /// The gradient with the L2 penalty.
    #[inline(always)]
    fn penalised<S: Simd>(&self, simd: S, parameter: S::f32s, gradient: S::f32s) -> S::f32s {
        match self.penalty {
            None => gradient,
            Some(penalty) => {
                let penalty = simd.mul_f32s(parameter, simd.splat_f32s(penalty));
                simd.add_f32s(penalty, gradient)
            }
        }
    }

    /// The parameter, moved against `direction`.
    #[inline(always)]
    fn moved<S: Simd>(&self, simd: S, parameter: S::f32s, direction: S::f32s) -> S::f32s {
        let change = simd.mul_f32s(direction, simd.splat_f32s(self.rate as f32));
        simd.sub_f32s(parameter, change)
    }
}

impl Rule<0> for SgdStep {
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        simd: S,
        parameter: S::f32s,
        gradient: S::f32s,
        _moments: &mut [S::f32s; 0],
    ) -> S::f32s {
        let gradient = self.penalised(simd, parameter, gradient);
        self.moved(simd, parameter, gradient)
    }
}

/// The factors of one step with momentum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MomentumStep {
    step: SgdStep,
    momentum: f32,
    /// The share of the gradient that is added to the velocity: 1 - dampening.
    share: f64,
    nesterov: bool,
}

impl MomentumStep {
    /// The step in operations of the backend.
    pub(super) fn plain<B: Backend>(
        self,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        velocity: FloatTensor<B>,
    ) -> (FloatTensor<B>, FloatTensor<B>) {
        let gradient = penalised::<B>(gradient, &parameter, self.step.penalty);
        let share = B::float_mul_scalar(gradient.clone(), self.share.into());
        let kept = B::float_mul_scalar(velocity, self.momentum.into());
        let velocity = B::float_add(share, kept);
        let direction = match self.nesterov {
            true => {
                let ahead = B::float_mul_scalar(velocity.clone(), self.momentum.into());
                B::float_add(ahead, gradient)
            }
            false => velocity.clone(),
        };
        let change = B::float_mul_scalar(direction, self.step.rate.into());
        (B::float_sub(parameter, change), velocity)
    }
}

impl Rule<1> for MomentumStep {
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        simd: S,
        parameter: S::f32s,
        gradient: S::f32s,
        moments: &mut [S::f32s; 1],
    ) -> S::f32s {
        let momentum = simd.splat_f32s(self.momentum);
        let gradient = self.step.penalised(simd, parameter, gradient);
        let share = simd.mul_f32s(gradient, simd.splat_f32s(self.share as f32));
        moments[0] = simd.add_f32s(share, simd.mul_f32s(moments[0], momentum));
        let direction = match self.nesterov {
            true => simd.add_f32s(simd.mul_f32s(moments[0], momentum), gradient),
            false => moments[0],
        };
        self.step.moved(simd, parameter, direction)
    }
}
