//! Products with inputs of one bit, from tables of partial sums.
//!
//! A bit-serial input is a row of digits 0 and ±1 per bit. For a group of few inputs there are few combinations of digits,
//! so the partial sums of all of them are computed once for a block of output lines and every row and bit of the batch
//! then costs one addition per group instead of one multiplication per input: the method of Arlazarov, Dinic, Kronrod and
//! Faradzhev (1970) for Boolean matrices, with sums in place of disjunctions.
//!
//! Signed inputs go in groups of three (27 sums), unsigned ones in groups of five (32 sums). The tables of [`GROUPS`]
//! groups for [`LINES`] lines stay in the first cache. Digits are exact, and sums are added in the order of the inputs, so
//! no number of threads changes a bit.

use std::array;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Output lines of a table.
pub(super) const LINES: usize = 32;
/// Groups whose tables are in use at a time.
const GROUPS: usize = 8;
/// Room for the sums of a group.
const ENTRIES: usize = 32;
/// Inputs of a group of signed and of unsigned digits.
const SIGNED: usize = 3;
const UNSIGNED: usize = 5;

/// The sums of one row and bit over a block of lines.
pub(super) type Sums = [f32; LINES];

/// The sums of every group in use. Aligned, because a vector across two lines of the cache is read at half the speed.
#[repr(align(64))]
struct Tables([[Sums; ENTRIES]; GROUPS]);

/// Which sum of every group a row and bit takes.
pub(super) struct BitIndex {
    signed: bool,
    inputs: usize,
    /// Rows times bits.
    sums: usize,
    /// `[passes, rows, bits]`, each with a place per group.
    places: Vec<[u8; GROUPS]>,
}

impl BitIndex {
    /// The index of the inputs `range` of `codes`, `[rows, inputs]`, whose magnitudes have `bits` bits.
    pub(super) fn new(
        codes: &[f32],
        inputs: usize,
        range: Range<usize>,
        bits: u32,
        signed: bool,
    ) -> Self {
        let group = if signed { SIGNED } else { UNSIGNED };
        let passes = range.len().div_ceil(group * GROUPS);
        let rows = codes.len() / inputs;
        let sums = rows * bits as usize;
        let mut places = vec![[0; GROUPS]; passes * sums];
        let index = Index {
            codes,
            inputs,
            range: range.clone(),
            bits,
            places: &mut places,
        };
        let arch = Arch::new();
        match signed {
            true => arch.dispatch(Signed(index)),
            false => arch.dispatch(Unsigned(index)),
        }
        Self {
            signed,
            inputs: range.len(),
            sums,
            places,
        }
    }

    /// Rows times bits.
    pub(super) fn len(&self) -> usize {
        self.sums
    }
}

struct Index<'a> {
    codes: &'a [f32],
    inputs: usize,
    range: Range<usize>,
    bits: u32,
    places: &'a mut [[u8; GROUPS]],
}

struct Signed<'a>(Index<'a>);
struct Unsigned<'a>(Index<'a>);

impl WithSimd for Signed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.0.fill::<SIGNED>(3, 13);
    }
}

impl WithSimd for Unsigned<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.0.fill::<UNSIGNED>(2, 0);
    }
}

impl Index<'_> {
    /// Places `zero + Σ_t base^t digit_t` for groups of `G` digits.
    #[inline(always)]
    fn fill<const G: usize>(self, base: i32, zero: i32) {
        let rows = self.codes.len() / self.inputs;
        let bits = self.bits as usize;
        for row in 0..rows {
            let codes = &self.codes[row * self.inputs..][self.range.clone()];
            for (pass, codes) in codes.chunks(G * GROUPS).enumerate() {
                let mut magnitudes = [[0i32; GROUPS]; G];
                let mut signs = [[0i32; GROUPS]; G];
                for (at, code) in codes.iter().enumerate() {
                    // A NaN, which the caller sees in the sum of the row, has no digits.
                    let code = *code as i32;
                    magnitudes[at % G][at / G] = code.abs();
                    signs[at % G][at / G] = code >> 31;
                }
                let places = &mut self.places[(pass * rows + row) * bits..][..bits];
                for (bit, places) in places.iter_mut().enumerate() {
                    let mut place = [zero; GROUPS];
                    let mut power = 1;
                    for t in 0..G {
                        for q in 0..GROUPS {
                            let digit = (magnitudes[t][q] >> bit) & 1;
                            place[q] += power * ((digit ^ signs[t][q]) - signs[t][q]);
                        }
                        power *= base;
                    }
                    *places = place.map(|place| place as u8);
                }
            }
        }
    }
}

/// Whether digits count with their sign, or squared for the variance of a sum.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Power {
    First,
    Second,
}

/// `sums[row, bit][l] = Σ_i digit[row, bit, i] cells[i][first_line + l]` over a block of up to [`LINES`] lines.
pub(super) fn accumulate(
    index: &BitIndex,
    cells: &[f32],
    lines: usize,
    first_line: usize,
    power: Power,
    sums: &mut [Sums],
) {
    let accumulate = Accumulate {
        index,
        cells,
        lines,
        first_line,
        power,
        sums,
    };
    Arch::new().dispatch(accumulate);
}

struct Accumulate<'a> {
    index: &'a BitIndex,
    /// `[inputs, lines]`.
    cells: &'a [f32],
    lines: usize,
    first_line: usize,
    power: Power,
    sums: &'a mut [Sums],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 2>(simd),
            8 => self.run::<S, 4>(simd),
            4 => self.run::<S, 8>(simd),
            _ => self.run::<S, LINES>(simd),
        }
    }
}

impl Accumulate<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        // Tables of the groups of one pass.
        let mut tables = Tables([[[0.0; LINES]; ENTRIES]; GROUPS]);
        for (pass, places) in self.index.places.chunks_exact(self.index.sums).enumerate() {
            self.fill_tables::<S, V>(simd, pass, &mut tables);
            for (sums, places) in self.sums.iter_mut().zip(places) {
                let mut total = match pass {
                    0 => [simd.splat_f32s(0.0); V],
                    _ => load::<S, V>(sums),
                };
                for (table, place) in tables.0.iter().zip(places) {
                    let part = load::<S, V>(&table[usize::from(*place) % ENTRIES]);
                    for v in 0..V {
                        total[v] = simd.add_f32s(total[v], part[v]);
                    }
                }
                // One by one: copied as a slice of unknown length they would go through memory.
                for (sum, total) in S::as_mut_simd_f32s(sums).0.iter_mut().zip(total) {
                    *sum = total;
                }
            }
        }
    }

    /// The sums of every combination of digits, for the groups of one pass.
    #[inline(always)]
    fn fill_tables<S: Simd, const V: usize>(
        &self,
        simd: S,
        pass: usize,
        Tables(tables): &mut Tables,
    ) {
        let group = if self.index.signed { SIGNED } else { UNSIGNED };
        let width = LINES.min(self.lines - self.first_line);
        for (q, table) in tables.iter_mut().enumerate() {
            let rows: [[S::f32s; V]; UNSIGNED] = array::from_fn(|t| {
                let input = (pass * GROUPS + q) * group + t;
                if t >= group || input >= self.index.inputs {
                    return [simd.splat_f32s(0.0); V];
                }
                let cells = &self.cells[input * self.lines + self.first_line..][..width];
                match cells.first_chunk::<LINES>() {
                    Some(cells) => load::<S, V>(cells),
                    None => {
                        let mut padded = [0.0; LINES];
                        padded[..width].copy_from_slice(cells);
                        load::<S, V>(&padded)
                    }
                }
            });
            match (self.index.signed, self.power) {
                (true, Power::First) => {
                    Self::fill_signed::<S, V>(simd, &rows, table, [-1.0, 0.0, 1.0]);
                }
                (true, Power::Second) => {
                    Self::fill_signed::<S, V>(simd, &rows, table, [1.0, 0.0, 1.0]);
                }
                (false, _) => Self::fill_unsigned::<S, V>(simd, &rows, table),
            }
        }
    }

    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "a vector of every row and entry"
    )]
    fn fill_signed<S: Simd, const V: usize>(
        simd: S,
        rows: &[[S::f32s; V]; UNSIGNED],
        table: &mut [Sums; ENTRIES],
        digits: [f32; 3],
    ) {
        let digits = digits.map(|digit| simd.splat_f32s(digit));
        for v in 0..V {
            let parts: [[S::f32s; 3]; SIGNED] =
                array::from_fn(|t| array::from_fn(|d| simd.mul_f32s(digits[d], rows[t][v])));
            for high in 0..3 {
                for middle in 0..3 {
                    let upper = simd.add_f32s(parts[1][middle], parts[2][high]);
                    for low in 0..3 {
                        let entry = &mut table[9 * high + 3 * middle + low];
                        S::as_mut_simd_f32s(entry).0[v] = simd.add_f32s(parts[0][low], upper);
                    }
                }
            }
        }
    }

    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "a vector of every row and entry"
    )]
    fn fill_unsigned<S: Simd, const V: usize>(
        simd: S,
        rows: &[[S::f32s; V]; UNSIGNED],
        table: &mut [Sums; ENTRIES],
    ) {
        for v in 0..V {
            let mut sums = [simd.splat_f32s(0.0); ENTRIES];
            for t in 0..UNSIGNED {
                for e in 0..1 << t {
                    sums[e + (1 << t)] = simd.add_f32s(sums[e], rows[t][v]);
                }
            }
            for (entry, sum) in table.iter_mut().zip(sums) {
                S::as_mut_simd_f32s(entry).0[v] = sum;
            }
        }
    }
}

#[inline(always)]
fn load<S: Simd, const V: usize>(values: &Sums) -> [S::f32s; V] {
    let vectors = S::as_simd_f32s(values).0;
    array::from_fn(|v| vectors[v])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_give_the_sums_of_digits(
            rows in 1usize..5, inputs in 1usize..50, cut in 0usize..10, lines in 1usize..70, bits in 1u32..9,
            signed: bool, squared: bool, seed: u32,
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state
            };
            let levels = (1u32 << bits) - 1;
            let codes: Vec<f32> = (0..rows * inputs).map(|_| {
                let magnitude = (next() % (levels + 1)) as f32;
                if signed && next() % 2 == 0 { -magnitude } else { magnitude }
            }).collect();
            let range = cut.min(inputs - 1)..inputs;
            // Cells are small integers, so that sums are exact in any order.
            let cells: Vec<f32> = (0..range.len() * lines).map(|_| (next() % 200) as f32 - 100.0).collect();
            let index = BitIndex::new(&codes, inputs, range.clone(), bits, signed);
            let power = if squared { Power::Second } else { Power::First };
            for first in (0..lines).step_by(LINES) {
                let mut sums = vec![[f32::NAN; LINES]; index.len()];
                accumulate(&index, &cells, lines, first, power, &mut sums);
                for row in 0..rows {
                    for bit in 0..bits {
                        for line in first..lines.min(first + LINES) {
                            let expected: f32 = range.clone().enumerate().map(|(i, input)| {
                                let code = codes[row * inputs + input];
                                let digit = ((code.abs() as u32 >> bit) & 1) as f32;
                                let digit = if squared { digit } else { digit * code.signum() };
                                digit * cells[i * lines + line]
                            }).sum();
                            prop_assert_eq!(sums[row * bits as usize + bit as usize][line - first], expected);
                        }
                    }
                }
            }
        }
    }
}
