//! The last operation on an output before it is written.

use pulp::{Arch, Simd};

use crate::activation::{Elementwise, Relu, map_in_place};

/// The operation on a sum after its bias was added.
///
/// A separate pass would read and write every output again: 8 bytes for one comparison. Here it is one comparison in a register, in addition to the 50
/// to 2,300 operations of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epilogue {
    /// Nothing.
    Identity,
    /// `max(x, 0)`. NaN stays NaN.
    Relu,
}

impl Epilogue {
    #[inline(always)]
    pub(super) fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        match self {
            Self::Identity => x,
            Self::Relu => Relu.value(simd, x),
        }
    }

    /// Applies the operation to outputs that are already written.
    pub(super) fn apply(self, arch: Arch, outputs: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => map_in_place(arch, Relu, outputs),
        }
    }
}
