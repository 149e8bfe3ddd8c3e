//! The reconfigurable multiplier of a processing element.

/// Bits of a slice.
const SLICE_BITS: u32 = 2;

/// Slices of a code: 8 bits.
pub(super) const CODE_SLICES: usize = 4;

/// The slices of a weight that are not zero, each with the bits by which its products are shifted.
///
/// ```text
/// w x = Σ_i Σ_j w_i x_j 2^(2 (i + j))         w = Σ_i w_i 4^i,  x = Σ_j x_j 4^j
/// ```
///
/// One multiplier of 8 × 8 bits is made of 16 multipliers of 2 × 2 bits. The top slice of a weight is signed (-2 to 1), and
/// the lower slices are unsigned (0 to 3); so are those of a signed code, while all slices of an unsigned code are unsigned. A
/// weight of 1 bit adds or subtracts the code, which takes one slice of 1 or -1.
///
/// # Source
/// The block CMUL of the accelerator in arXiv 2410.17395; its inside is reconstructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeightSlices {
    slices: [(i32, u32); 4],
    count: usize,
}

impl WeightSlices {
    /// The slices of `weight`, which has `bits` bits.
    pub(super) fn new(weight: i8, bits: u8) -> Self {
        let mut found = Self {
            slices: [(0, 0); 4],
            count: 0,
        };
        let slices = u32::from(bits).div_ceil(SLICE_BITS);
        for number in 0..slices {
            let shift = number * SLICE_BITS;
            let rest = i32::from(weight) >> shift;
            let top = number + 1 == slices;
            let slice = if top { rest } else { rest & 3 };
            if slice != 0 {
                found.slices[found.count] = (slice, shift);
                found.count += 1;
            }
        }
        found
    }

    /// The slices with their shifts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        self.slices[..self.count].iter().copied()
    }
}

/// The slices of a code of 8 bits, signed or unsigned, lowest first.
pub(super) fn code_slices(code: i32) -> [i32; CODE_SLICES] {
    // The top slice keeps the sign of a negative code; an unsigned code of 8 bits has 0 to 3 there.
    [code & 3, (code >> 2) & 3, (code >> 4) & 3, code >> 6]
}

/// Adds the products of a weight with one code of each time step to the accumulators of these steps.
///
/// `codes[j]` holds slice j of the codes.
pub(super) fn multiply_add(
    weight: &WeightSlices,
    codes: [&[i32]; CODE_SLICES],
    accumulators: &mut [i32],
) {
    for (slice, shift) in weight.iter() {
        for (number, codes) in codes.iter().enumerate() {
            let shift = shift + number as u32 * SLICE_BITS;
            for (accumulator, code) in accumulators.iter_mut().zip(*codes) {
                *accumulator += (slice * code) << shift;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(weight: i8, bits: u8, code: i32) -> i32 {
        let slices = code_slices(code);
        let codes = [0, 1, 2, 3].map(|number: usize| &slices[number..=number]);
        let mut accumulator = [0];
        multiply_add(&WeightSlices::new(weight, bits), codes, &mut accumulator);
        accumulator[0]
    }

    #[test]
    fn every_product_of_every_width_is_the_product() {
        for (bits, largest) in [(8, 127), (4, 7), (2, 1), (1, 1)] {
            for weight in -largest..=largest {
                for code in -128..=255 {
                    let expected = i32::from(weight) * code;
                    assert_eq!(
                        product(weight, bits, code),
                        expected,
                        "{weight} of {bits} bits x {code}"
                    );
                }
            }
        }
    }

    #[test]
    fn slices_are_those_of_the_definition() {
        let slices = |weight, bits| WeightSlices::new(weight, bits).iter().collect::<Vec<_>>();
        // -77 = 3 + 0·4 + 3·16 + (-2)·64
        assert_eq!(slices(-77, 8), [(3, 0), (3, 4), (-2, 6)]);
        // -5 = 3 + (-2)·4
        assert_eq!(slices(-5, 4), [(3, 0), (-2, 2)]);
        assert_eq!(slices(-1, 2), [(-1, 0)]);
        assert_eq!(slices(-1, 1), [(-1, 0)]);
        assert_eq!(slices(0, 8), []);
        assert_eq!(code_slices(-77), [3, 0, 3, -2]);
        assert_eq!(code_slices(255), [3, 3, 3, 3]);
        // Every slice fits two bits, or the multiplier would not be made of 2 × 2 parts.
        for weight in -127..=127 {
            let eight = WeightSlices::new(weight, 8);
            assert!(eight.iter().all(|(slice, shift)| match shift {
                6 => (-2..=1).contains(&slice),
                _ => (0..=3).contains(&slice),
            }));
        }
    }
}
