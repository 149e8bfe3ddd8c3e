//! AdamW: Adam with a weight decay that does not pass through the gradient.
//!
//! Cost: see `pass.rs`.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch};
use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use pulp::Simd;

use super::adam::{at_start, mix, moments};
use super::backend::OptimizerKernel;
use super::pass::Rule;

/// AdamW with Burn's arithmetic, in one pass over memory, without the AMSGrad and cautious variants.
///
/// ```text
/// m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
/// p ← (1 - rate decay) p - rate (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
/// ```
///
/// # Source
/// Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
///
/// ```
/// use crossburn_kernels::AdamW;
///
/// let optimizer = AdamW::new().with_weight_decay(0.01).init();
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self::new()
    }
}

impl AdamW {
    /// Betas 0.9 and 0.999, epsilon 1e-8, decay 0.01.
    pub const fn new() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }

    /// The shares of the first and of the second moment that a step keeps.
    pub const fn with_betas(self, beta_1: f32, beta_2: f32) -> Self {
        Self {
            beta_1,
            beta_2,
            ..self
        }
    }

    /// The number that is added to the root of the second moment.
    pub const fn with_epsilon(self, epsilon: f32) -> Self {
        Self { epsilon, ..self }
    }

    /// The share of a parameter that a step with learning rate 1 would remove.
    pub const fn with_weight_decay(self, weight_decay: f32) -> Self {
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

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let state = state.map_or_else(|| at_start(&parameter), |state| state.momentum);
        let time = state.time + 1;
        let decay = rate * f64::from(self.weight_decay);
        let step = AdamWStep {
            rate,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            correction_1: 1.0 - self.beta_1.powi(time as i32),
            correction_2: 1.0 - self.beta_2.powi(time as i32),
            epsilon: self.epsilon,
            kept: 1.0 - decay,
        };
        let (parameter, moment_1, moment_2) = Dispatch::adamw_step(
            parameter.into_dispatch(),
            gradient.into_dispatch(),
            state.moment_1.into_dispatch(),
            state.moment_2.into_dispatch(),
            step,
        );
        let (moment_1, moment_2) = (
            Tensor::from_dispatch(moment_1),
            Tensor::from_dispatch(moment_2),
        );
        let state = AdamWState::new(AdaptiveMomentumState::new(time, moment_1, moment_2));
        (Tensor::from_dispatch(parameter), Some(state))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamWState::new(state.momentum.to_device(device))
    }
}

/// The factors of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamWStep {
    rate: f64,
    beta_1: f32,
    beta_2: f32,
    /// 1 - β₁ᵗ and 1 - β₂ᵗ.
    correction_1: f32,
    correction_2: f32,
    epsilon: f32,
    /// The share of the parameter that remains.
    kept: f64,
}

impl AdamWStep {
    /// The step in operations of the backend.
    pub(super) fn plain<B: Backend>(
        self,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        moment_1: FloatTensor<B>,
        moment_2: FloatTensor<B>,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        let (moment_1, moment_2) =
            moments::<B>(self.beta_1, self.beta_2, gradient, moment_1, moment_2);
        let above = B::float_div_scalar(moment_1.clone(), self.correction_1.into());
        let below = B::float_div_scalar(moment_2.clone(), self.correction_2.into());
        let below = B::float_add_scalar(B::float_sqrt(below), self.epsilon.into());
        let change = B::float_mul_scalar(B::float_div(above, below), self.rate.into());
        let kept = B::float_mul_scalar(parameter, self.kept.into());
        (B::float_sub(kept, change), moment_1, moment_2)
    }
}

impl Rule<2> for AdamWStep {
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        simd: S,
        parameter: S::f32s,
        gradient: S::f32s,
        moments: &mut [S::f32s; 2],
    ) -> S::f32s {
        let value = |x| simd.splat_f32s(x);
        moments[0] = mix(simd, self.beta_1, moments[0], gradient);
        let square = simd.mul_f32s(gradient, gradient);
        moments[1] = mix(simd, self.beta_2, moments[1], square);
        let above = simd.div_f32s(moments[0], value(self.correction_1));
        let below = simd.sqrt_f32s(simd.div_f32s(moments[1], value(self.correction_2)));
        let below = simd.add_f32s(below, value(self.epsilon));
        let change = simd.mul_f32s(simd.div_f32s(above, below), value(self.rate as f32));
        simd.sub_f32s(simd.mul_f32s(parameter, value(self.kept as f32)), change)
    }
}
