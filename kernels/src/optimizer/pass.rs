//! One pass over a parameter, its gradient and its moments.
//!
//! # Cost
//! With two moments, 28 bytes per weight move (four values read, three written) for about 15 operations, a root and two divisions. That is half an
//! operation per byte, so the floor is 28 bytes per weight at memory bandwidth. Burn's chain of ordinary operations moves about 120 bytes per
//! weight, in fresh memory.
//!
//! Every operation rounds as Burn's does, in the same order and unfused, so the result equals Burn's to the bit. A parameter that something else
//! still holds is written to new memory in the same pass.

use pulp::{Arch, Simd, WithSimd};

/// Weights of one task. Their values fit into the second-level cache.
const PIECE: usize = 1 << 14;

/// How a weight and its `N` moments change.
pub(super) trait Rule<const N: usize>: Copy + Sync {
    /// Replaces `moments` and returns the new parameter.
    fn apply<S: Simd>(
        &self,
        simd: S,
        parameter: S::f32s,
        gradient: S::f32s,
        moments: &mut [S::f32s; N],
    ) -> S::f32s;
}

/// Slices of equal length.
pub(super) struct Pass<'a, const N: usize> {
    /// The values of the parameter, if they are not in `parameter`.
    pub(super) source: Option<&'a [f32]>,
    pub(super) parameter: &'a mut [f32],
    pub(super) gradient: &'a [f32],
    pub(super) moments: [&'a mut [f32]; N],
}

impl<const N: usize> Pass<'_, N> {
    /// Runs on the threads of the current pool. Weights are independent, so the cut into pieces does not affect results.
    pub(super) fn run(self, arch: Arch, rule: &impl Rule<N>) {
        let length = self.parameter.len();
        if length <= PIECE {
            return arch.dispatch(Piece { pass: self, rule });
        }
        let (low, high) = self.split_at((length / 2).next_multiple_of(PIECE));
        rayon::join(|| low.run(arch, rule), || high.run(arch, rule));
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        let source = self.source.map(|source| source.split_at(middle));
        let parameter = self.parameter.split_at_mut(middle);
        let gradient = self.gradient.split_at(middle);
        let (mut low, mut high): ([&mut [f32]; N], [&mut [f32]; N]) = (
            std::array::from_fn(|_| &mut [][..]),
            std::array::from_fn(|_| &mut [][..]),
        );
        for ((moment, low), high) in self.moments.into_iter().zip(&mut low).zip(&mut high) {
            (*low, *high) = moment.split_at_mut(middle);
        }
        (
            Self {
                source: source.map(|source| source.0),
                parameter: parameter.0,
                gradient: gradient.0,
                moments: low,
            },
            Self {
                source: source.map(|source| source.1),
                parameter: parameter.1,
                gradient: gradient.1,
                moments: high,
            },
        )
    }
}

struct Piece<'a, 'r, const N: usize, R> {
    pass: Pass<'a, N>,
    rule: &'r R,
}

impl<const N: usize, R: Rule<N>> WithSimd for Piece<'_, '_, N, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pass, rule } = self;
        let length = pass.parameter.len();
        let vectors = length / S::F32_LANES;
        let whole = vectors * S::F32_LANES;
        let (parameter, parameter_rest) = pass.parameter.split_at_mut(whole);
        let (gradient, gradient_rest) = pass.gradient.split_at(whole);
        let mut moments = pass.moments;
        let mut held = [simd.splat_f32s(0.0); N];
        if let Some(source) = pass.source {
            parameter.copy_from_slice(&source[..whole]);
            parameter_rest.copy_from_slice(&source[whole..]);
        }
        let parameter = S::as_mut_simd_f32s(parameter).0;
        let gradient = S::as_simd_f32s(gradient).0;
        for (index, (p, g)) in parameter.iter_mut().zip(gradient).enumerate() {
            for (held, moment) in held.iter_mut().zip(&moments) {
                *held = S::as_simd_f32s(moment).0[index];
            }
            *p = rule.apply(simd, *p, *g, &mut held);
            for (held, moment) in held.iter().zip(&mut moments) {
                S::as_mut_simd_f32s(moment).0[index] = *held;
            }
        }
        if whole < length {
            for (held, moment) in held.iter_mut().zip(&moments) {
                *held = simd.partial_load_f32s(&moment[whole..]);
            }
            let p = simd.partial_load_f32s(parameter_rest);
            let g = simd.partial_load_f32s(gradient_rest);
            let p = rule.apply(simd, p, g, &mut held);
            simd.partial_store_f32s(parameter_rest, p);
            for (held, moment) in held.iter().zip(&mut moments) {
                simd.partial_store_f32s(&mut moment[whole..], *held);
            }
        }
    }
}
