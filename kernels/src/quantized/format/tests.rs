//! Compares every format with values worked out by hand. `tests/gguf.rs` compares them with another reader.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

/// 1.5, 0.25 and -2 in half precision: sign, exponent + 15, mantissa.
const ONE_AND_A_HALF: [u8; 2] = (15u16 << 10 | 0x200).to_le_bytes();
const QUARTER: [u8; 2] = (13u16 << 10).to_le_bytes();
const MINUS_TWO: [u8; 2] = (1u16 << 15 | 16 << 10).to_le_bytes();

fn decoded(format: WeightFormat, parts: &[&[u8]]) -> Vec<f32> {
    let bytes = parts.concat();
    assert_eq!(bytes.len(), format.block_bytes());
    let mut out = vec![f32::NAN; format.block_values()];
    format.dequantise(&bytes, &mut out);
    out
}

#[test]
fn plain_numbers() {
    assert_eq!(
        decoded(WeightFormat::F32, &[&0.1f32.to_le_bytes()]),
        [0.1f32]
    );
    assert_eq!(decoded(WeightFormat::F16, &[&ONE_AND_A_HALF]), [1.5]);
    // The upper half of 1.5 = 0x3fc00000.
    assert_eq!(decoded(WeightFormat::BF16, &[&[0xc0, 0x3f]]), [1.5]);
}

#[test]
fn q8_0_is_scale_times_byte() {
    let mut quants = [0; 32];
    (quants[0], quants[1], quants[31]) = (2, 0x80, 0xff);
    let values = decoded(WeightFormat::Q8_0, &[&ONE_AND_A_HALF, &quants]);
    // 1.5 · 2, 1.5 · -128, 1.5 · -1.
    assert_eq!(
        (values[0], values[1], values[2], values[31]),
        (3.0, -192.0, 0.0, -1.5)
    );
}

#[test]
fn q4_takes_the_low_halves_first() {
    let mut quants = [0x88; 16];
    (quants[0], quants[15]) = (0xf0, 0x3c);
    let values = decoded(WeightFormat::Q4_0, &[&ONE_AND_A_HALF, &quants]);
    // q_0 = 0: 1.5 (0 - 8); q_16 = 15: 1.5 (15 - 8); q_15 = 12: 1.5 · 4; q_31 = 3: 1.5 · -5; q_1 = 8: 0.
    let found = [values[0], values[16], values[15], values[31], values[1]];
    assert_eq!(found, [-12.0, 10.5, 6.0, -7.5, 0.0]);

    let values = decoded(WeightFormat::Q4_1, &[&ONE_AND_A_HALF, &MINUS_TWO, &quants]);
    // 1.5 · 0 - 2, 1.5 · 15 - 2, 1.5 · 12 - 2, 1.5 · 3 - 2, 1.5 · 8 - 2.
    let found = [values[0], values[16], values[15], values[31], values[1]];
    assert_eq!(found, [-2.0, 20.5, 16.0, 2.5, 10.0]);
}

#[test]
fn q4_0_is_made_of_the_largest_magnitude() {
    let mut values = [0.0; 32];
    // d = -12 / -8 = 1.5, so levels run from -12 to 10.5. 12 is beyond the last level, 0.75 is half a step, 0.7 is less.
    (values[0], values[1], values[16], values[15], values[31]) = (-12.0, 12.0, 10.5, 0.75, 0.7);
    let block = encode_q4_0(&values).unwrap();
    assert_eq!(block[..2], ONE_AND_A_HALF);
    assert_eq!((block[2], block[3], block[17]), (0xf0, 0x8f, 0x89));
    let values = decoded(WeightFormat::Q4_0, &[&block]);
    let found = [values[0], values[1], values[16], values[15], values[31]];
    assert_eq!(found, [-12.0, 10.5, 10.5, 1.5, 0.0]);
    // A positive number makes the scale negative, so that the number itself is a level.
    let values = decoded(WeightFormat::Q4_0, &[&encode_q4_0(&[12.0; 32]).unwrap()]);
    assert_eq!(values, [12.0; 32]);
}

#[test]
fn q5_has_its_fifth_bits_apart() {
    let mut quants = [0; 16];
    (quants[0], quants[15]) = (0xf0, 0x3c);
    // The fifth bits of q_0, q_15 and q_31.
    let high = (1u32 | 1 << 15 | 1 << 31).to_le_bytes();
    let values = decoded(WeightFormat::Q5_0, &[&ONE_AND_A_HALF, &high, &quants]);
    // q_0 = 16: 1.5 · 0; q_16 = 15: 1.5 · -1; q_15 = 28: 1.5 · 12; q_31 = 19: 1.5 · 3; q_1 = 0: 1.5 · -16.
    let found = [values[0], values[16], values[15], values[31], values[1]];
    assert_eq!(found, [0.0, -1.5, 18.0, 4.5, -24.0]);

    let parts: [&[u8]; 4] = [&ONE_AND_A_HALF, &MINUS_TWO, &high, &quants];
    let values = decoded(WeightFormat::Q5_1, &parts);
    // 1.5 · 16 - 2, 1.5 · 15 - 2, 1.5 · 28 - 2, 1.5 · 19 - 2, -2.
    let found = [values[0], values[16], values[15], values[31], values[1]];
    assert_eq!(found, [22.0, 20.5, 40.0, 26.5, -2.0]);
}

/// Group 1: scale 3, minimum 5. Group 6: scale 0b10_0111 = 39, minimum 0b01_1001 = 25.
fn packed() -> [u8; 12] {
    let mut packed = [0; 12];
    packed[1] = 3;
    packed[5] = 5;
    // The upper two bits of scale 6 are above scale 2, those of minimum 6 above minimum 2; the lower four bits are in byte 10.
    packed[2] = 0b10 << 6;
    packed[6] = 0b01 << 6;
    packed[10] = 0b1001 << 4 | 0b0111;
    packed
}

#[test]
fn scales_and_minima_are_put_together() {
    let found: Vec<_> = (0..8).map(|g| scale_and_minimum(&packed(), g)).collect();
    assert_eq!((found[1], found[6]), ((3, 5), (39, 25)));
    assert!([0, 2, 3, 4, 5, 7].iter().all(|g| found[*g] == (0, 0)));
}

#[test]
fn q4_k_has_eight_groups() {
    let mut quants = [0; 128];
    // Number 2 of group 1 (the high half of byte 2): 7. Number 31 of group 6 (the low half of byte 3 · 32 + 31): 9.
    (quants[2], quants[127]) = (0x70, 0x09);
    let parts: [&[u8]; 4] = [&ONE_AND_A_HALF, &QUARTER, &packed(), &quants];
    let values = decoded(WeightFormat::Q4_K, &parts);
    // (1.5 · 3) 7 - 0.25 · 5 = 30.25; (1.5 · 39) 9 - 0.25 · 25 = 520.25. Elsewhere in these groups only the minimum remains.
    assert_eq!((values[34], values[6 * 32 + 31]), (30.25, 520.25));
    assert_eq!((values[32], values[6 * 32], values[0]), (-1.25, -6.25, 0.0));
}

#[test]
fn q5_k_has_a_bit_for_each_group() {
    let (mut high, mut quants) = ([0; 32], [0; 128]);
    (quants[2], quants[127]) = (0x70, 0x09);
    // The fifth bits of number 2 of group 1 and of number 31 of group 6.
    (high[2], high[31]) = (1 << 1, 1 << 6);
    let parts: [&[u8]; 5] = [&ONE_AND_A_HALF, &QUARTER, &packed(), &high, &quants];
    let values = decoded(WeightFormat::Q5_K, &parts);
    // (1.5 · 3) 23 - 0.25 · 5 = 102.25; (1.5 · 39) 25 - 0.25 · 25 = 1456.25.
    assert_eq!((values[34], values[6 * 32 + 31]), (102.25, 1456.25));
    assert_eq!((values[32], values[6 * 32], values[0]), (-1.25, -6.25, 0.0));
}

#[test]
fn q6_k_has_a_scale_for_sixteen_numbers() {
    let (mut low, mut high, mut scales) = ([0; 128], [0; 64], [0; 16]);
    // Number 128 + 96 + 20 (second half, run 3): low bits in the high half of byte 64 + 32 + 20, high bits in bits 6-7 of
    // byte 32 + 20, scale of group 244 / 16 = 15.
    (low[116], high[52], scales[15]) = (0x50, 0b10 << 6, 3);
    // Number 1 (run 0): the low half of byte 1, bits 0-1 of byte 1, scale 0.
    (low[1], high[1], scales[0]) = (0x0f, 0b11, 0xfe);
    let parts: [&[u8]; 4] = [&low, &high, &scales, &ONE_AND_A_HALF];
    let values = decoded(WeightFormat::Q6_K, &parts);
    // q = 32 + 5: (1.5 · 3) (37 - 32) = 22.5. q = 48 + 15: (1.5 · -2) (63 - 32) = -93. q = 0: (1.5 · 3) (0 - 32).
    assert_eq!((values[244], values[1], values[255]), (22.5, -93.0, -144.0));
    assert_eq!((values[0], values[16]), (96.0, 0.0));
}

#[test]
fn rows_are_whole_blocks() {
    assert_eq!(WeightFormat::Q4_1.row_bytes(576), Some(18 * 20));
    assert_eq!(WeightFormat::Q4_1.row_bytes(570), None);
    assert_eq!(WeightFormat::F32.row_bytes(usize::MAX), None);
    assert_eq!(WeightFormat::Q6_K.row_bytes(0), Some(0));
}

#[test]
fn q8_0_of_numbers_is_that_of_ggml() {
    let mut values = [0.0f32; 32];
    (values[0], values[1], values[2], values[31]) = (-254.0, 3.0, 1.0, 254.0);
    let block = super::encode_q8_0(&values).unwrap();
    // A scale of 2: 3 / 2 and 1 / 2 are rounded away from zero.
    assert_eq!(block[..2], (16u16 << 10).to_le_bytes());
    assert_eq!((block[2], block[3], block[4], block[5]), (0x81, 2, 1, 0));
    assert_eq!(block[33], 127);
    assert_eq!(super::encode_q8_0(&[0.0; 32]), Some([0; 34]));
}
