//! Items on a device.

use std::fmt::Debug;
use std::ops::Range;

use burn::tensor::Tensor;

/// Some items on a device: what one pass of a network is about.
pub trait Batch: Clone + Debug + Send + Sync {
    /// Number of items.
    fn items(&self) -> usize;

    /// What the mean loss of this batch counts beside that of another: the number of items by default, of texts that of tokens.
    fn weight(&self) -> usize {
        self.items()
    }

    /// The items at the positions `range` alone.
    #[must_use]
    fn cut(&self, range: Range<usize>) -> Self;

    /// The same items where gradients are taken: a batch made on a device without autodiff, on that device with it.
    #[must_use]
    fn tracked(&self) -> Self;
}

/// Items are rows of the first dimension.
impl<const D: usize> Batch for Tensor<D> {
    fn items(&self) -> usize {
        self.dims()[0]
    }

    fn cut(&self, range: Range<usize>) -> Self {
        self.clone().narrow(0, range.start, range.len())
    }

    fn tracked(&self) -> Self {
        Tensor::from_inner(self.clone())
    }
}

/// Inputs with what is wanted of them, row by row.
impl<A: Batch, B: Batch> Batch for (A, B) {
    fn items(&self) -> usize {
        self.0.items()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        (self.0.cut(range.clone()), self.1.cut(range))
    }

    fn tracked(&self) -> Self {
        (self.0.tracked(), self.1.tracked())
    }
}
