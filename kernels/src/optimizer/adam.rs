//! Adam, with an L2 penalty on the gradient.
//!
//! Cost: see `pass.rs`.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch};
use burn::optim::{AdamState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use pulp::Simd;

use super::backend::OptimizerKernel;
use super::pass::Rule;

/// Adam with Burn's arithmetic, in one pass over memory, without the AMSGrad variant.
///
/// ```text
/// g ← g + penalty p        m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
/// p ← p - rate m c / (√v + ε √(1 - β₂ᵗ))                 c = √(1 - β₂ᵗ) / (1 - β₁ᵗ)
/// ```
///
/// # Source
/// Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1 with the order of section 2.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_kernels::Adam;
///
/// let device = Device::flex().autodiff();
/// let layer = LinearConfig::new(3, 2).init(&device);
/// let mut optimizer = Adam::new().with_weight_decay(Some(5e-4)).init();
/// let loss = layer.forward(Tensor::<2>::ones([1, 3], &device)).sum();
/// let gradients = GradientsParams::from_grads(loss.backward(), &layer);
/// let layer = optimizer.step(1e-3, layer, gradients);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    weight_decay: Option<f32>,
}

impl Default for Adam {
    fn default() -> Self {
        Self::new()
    }
}

impl Adam {
    /// Betas 0.9 and 0.999, epsilon 1e-8, no penalty.
    pub const fn new() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: None,
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

    /// The L2 penalty: this share of a parameter is added to its gradient.
    pub const fn with_weight_decay(self, weight_decay: Option<f32>) -> Self {
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

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let state = state.map_or_else(|| at_start(&parameter), |state| state.momentum);
        let time = state.time + 1;
        let root = (1.0 - self.beta_2.powi(time as i32)).sqrt();
        let step = AdamStep {
            rate,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            correction: root / (1.0 - self.beta_1.powi(time as i32)),
            epsilon: self.epsilon * root,
            penalty: self.weight_decay,
        };
        let (parameter, moment_1, moment_2) = Dispatch::adam_step(
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
        let state = AdamState::new(AdaptiveMomentumState::new(time, moment_1, moment_2));
        (Tensor::from_dispatch(parameter), Some(state))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        AdamState::new(state.momentum.to_device(device))
    }
}

/// Moments before the first step: zero.
pub(super) fn at_start<const D: usize>(parameter: &Tensor<D>) -> AdaptiveMomentumState<D> {
    let zeros = || parameter.zeros_like();
    AdaptiveMomentumState::new(0, zeros(), zeros())
}

/// The factors of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    rate: f64,
    beta_1: f32,
    beta_2: f32,
    /// c, and ε times the root √(1 - β₂ᵗ).
    correction: f32,
    epsilon: f32,
    penalty: Option<f32>,
}

impl AdamStep {
    /// The step in operations of the backend.
    pub(super) fn plain<B: Backend>(
        self,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        moment_1: FloatTensor<B>,
        moment_2: FloatTensor<B>,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        let gradient = penalised::<B>(gradient, &parameter, self.penalty);
        let (moment_1, moment_2) =
            moments::<B>(self.beta_1, self.beta_2, gradient, moment_1, moment_2);
        let root = B::float_sqrt(moment_2.clone());
        let change = B::float_div(
            B::float_mul_scalar(moment_1.clone(), self.correction.into()),
            B::float_add_scalar(root, self.epsilon.into()),
        );
        let change = B::float_mul_scalar(change, self.rate.into());
        (B::float_sub(parameter, change), moment_1, moment_2)
    }
}

/// The gradient with the L2 penalty.
pub(super) fn penalised<B: Backend>(
    gradient: FloatTensor<B>,
    parameter: &FloatTensor<B>,
    penalty: Option<f32>,
) -> FloatTensor<B> {
    match penalty {
        None => gradient,
        Some(penalty) => {
            let penalty = B::float_mul_scalar(parameter.clone(), penalty.into());
            B::float_add(penalty, gradient)
        }
    }
}

/// The moments after a step.
pub(super) fn moments<B: Backend>(
    beta_1: f32,
    beta_2: f32,
    gradient: FloatTensor<B>,
    moment_1: FloatTensor<B>,
    moment_2: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let mix = |beta: f32, moment, value| {
        B::float_add(
            B::float_mul_scalar(moment, beta.into()),
            B::float_mul_scalar(value, (1.0 - beta).into()),
        )
    };
    let square = B::float_mul(gradient.clone(), gradient.clone());
    (
        mix(beta_1, moment_1, gradient),
        mix(beta_2, moment_2, square),
    )
}

/// `beta moment + (1 - beta) value`.
#[inline(always)]
pub(super) fn mix<S: Simd>(simd: S, beta: f32, moment: S::f32s, value: S::f32s) -> S::f32s {
    simd.add_f32s(
        simd.mul_f32s(moment, simd.splat_f32s(beta)),
        simd.mul_f32s(value, simd.splat_f32s(1.0 - beta)),
    )
}

impl Rule<2> for AdamStep {
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        simd: S,
        parameter: S::f32s,
        gradient: S::f32s,
        moments: &mut [S::f32s; 2],
    ) -> S::f32s {
        let gradient = match self.penalty {
            None => gradient,
            Some(penalty) => {
                let penalty = simd.mul_f32s(parameter, simd.splat_f32s(penalty));
                simd.add_f32s(penalty, gradient)
            }
        };
        moments[0] = mix(simd, self.beta_1, moments[0], gradient);
        let square = simd.mul_f32s(gradient, gradient);
        moments[1] = mix(simd, self.beta_2, moments[1], square);
        let above = simd.mul_f32s(moments[0], simd.splat_f32s(self.correction));
        let below = simd.add_f32s(simd.sqrt_f32s(moments[1]), simd.splat_f32s(self.epsilon));
        let change = simd.div_f32s(above, below);
        simd.sub_f32s(
            parameter,
            simd.mul_f32s(change, simd.splat_f32s(self.rate as f32)),
        )
    }
}
