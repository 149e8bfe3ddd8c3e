//! What is done to an output before it is written.

use pulp::{Arch, Simd};

use crate::activation::{Elementwise, Relu, map_in_place};

/// What is done to a sum once its bias is added.
///
/// A pass of its own reads and writes every output again, 8 bytes for one comparison; here it is one comparison in a
/// register, for 50 to 2,300 operations of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epilogue {
    /// Nothing.
    Identity,
    /// `max(x, 0)`; what is not a number stays.
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

    /// To outputs that are written already.
    pub(super) fn apply(self, arch: Arch, outputs: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => map_in_place(arch, Relu, outputs),
        }
    }
}
