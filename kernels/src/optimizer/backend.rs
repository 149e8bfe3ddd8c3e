//! The steps as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use pulp::Arch;

use super::adam::AdamStep;
use super::adamw::AdamWStep;
use super::pass::{Pass, Rule};
use super::sgd::{MomentumStep, SgdStep};
use crate::flex::{FlexTensor, all_f32, dense, owned, tensor, values};
use crate::fresh::zeros;

/// Steps of optimizers: the new parameter and moments. The bodies here are the backend's own operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"))]
pub(crate) trait OptimizerKernel: Backend {
    fn adam_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        step.plain::<Self>(parameter, gradient, moment_1, moment_2)
    }

    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        step.plain::<Self>(parameter, gradient, moment_1, moment_2)
    }

    fn momentum_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: MomentumStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        step.plain::<Self>(parameter, gradient, velocity)
    }

    fn sgd_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        step: SgdStep,
    ) -> FloatTensor<Self> {
        step.plain::<Self>(parameter, gradient)
    }
}

#[cfg(feature = "ndarray")]
impl OptimizerKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl OptimizerKernel for burn::backend::Cube {}

/// Whether all tensors have one shape and 32-bit floats.
fn fits<'a>(parameter: &FlexTensor, others: impl IntoIterator<Item = &'a FlexTensor>) -> bool {
    all_f32([parameter])
        && others
            .into_iter()
            .all(|other| all_f32([other]) && other.shape() == parameter.shape())
}

/// The tensor in memory that nothing else holds.
fn own(moment: FlexTensor) -> FlexTensor {
    let moment = dense(moment);
    match owned(&moment) {
        true => moment,
        false => tensor(values(&moment).to_vec(), moment.shape()),
    }
}

/// One pass over all tensors, in place if nothing else holds their memory.
fn step<const N: usize>(
    parameter: FlexTensor,
    gradient: FlexTensor,
    moments: [FlexTensor; N],
    rule: &impl Rule<N>,
) -> (FlexTensor, [FlexTensor; N]) {
    let (parameter, gradient) = (dense(parameter), dense(gradient));
    let mut moments = moments.map(own);
    let (mut target, source) = match owned(&parameter) {
        true => (parameter, None),
        false => {
            let shape = parameter.shape();
            let target = tensor(zeros(shape.num_elements()), shape);
            (target, Some(parameter))
        }
    };
    Pass {
        source: source.as_ref().map(values),
        parameter: target.storage_mut(),
        gradient: values(&gradient),
        moments: moments.each_mut().map(FlexTensor::storage_mut),
    }
    .run(Arch::new(), rule);
    (target, moments)
}

impl OptimizerKernel for Flex {
    fn adam_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        rule: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !fits(&parameter, [&gradient, &moment_1, &moment_2]) {
            return rule.plain::<Self>(parameter, gradient, moment_1, moment_2);
        }
        let (parameter, [moment_1, moment_2]) =
            step(parameter, gradient, [moment_1, moment_2], &rule);
        (parameter, moment_1, moment_2)
    }

    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        rule: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !fits(&parameter, [&gradient, &moment_1, &moment_2]) {
            return rule.plain::<Self>(parameter, gradient, moment_1, moment_2);
        }
        let (parameter, [moment_1, moment_2]) =
            step(parameter, gradient, [moment_1, moment_2], &rule);
        (parameter, moment_1, moment_2)
    }

    fn momentum_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        rule: MomentumStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !fits(&parameter, [&gradient, &velocity]) {
            return rule.plain::<Self>(parameter, gradient, velocity);
        }
        let (parameter, [velocity]) = step(parameter, gradient, [velocity], &rule);
        (parameter, velocity)
    }

    fn sgd_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        rule: SgdStep,
    ) -> FloatTensor<Self> {
        if !fits(&parameter, [&gradient]) {
            return rule.plain::<Self>(parameter, gradient);
        }
        step(parameter, gradient, [], &rule).0
    }
}
