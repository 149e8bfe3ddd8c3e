//! The numbers that stand for formats of weights in files: those of `enum ggml_type` in the GGUF specification.

use crossburn_kernels::WeightFormat;

/// The formats that are read.
const READ: [(u32, WeightFormat); 11] = [
    (0, WeightFormat::F32),
    (1, WeightFormat::F16),
    (2, WeightFormat::Q4_0),
    (3, WeightFormat::Q4_1),
    (6, WeightFormat::Q5_0),
    (7, WeightFormat::Q5_1),
    (8, WeightFormat::Q8_0),
    (12, WeightFormat::Q4_K),
    (13, WeightFormat::Q5_K),
    (14, WeightFormat::Q6_K),
    (30, WeightFormat::BF16),
];

/// Types of ggml that are not read, to name them.
const OTHERS: [(u32, &str); 23] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// The format of this number in files, or else what the number stands for.
pub(super) fn format_of(code: u32) -> Result<WeightFormat, String> {
    if let Some((_, found)) = READ.iter().find(|(read, _)| *read == code) {
        return Ok(*found);
    }
    let other = OTHERS.iter().find(|(other, _)| *other == code);
    Err(match other {
        Some((_, name)) => format!("{name} ({code})"),
        None => format!("{code}, which has no name here"),
    })
}

/// The names of all formats that are read, for messages.
pub(super) fn known() -> String {
    let names: Vec<String> = WeightFormat::all().map(|f| f.to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_number_and_no_number_is_taken_twice() {
        for format in WeightFormat::all() {
            let codes: Vec<u32> = READ
                .iter()
                .filter(|(_, read)| *read == format)
                .map(|(code, _)| *code)
                .collect();
            assert_eq!(codes.len(), 1, "{format}");
            assert_eq!(format_of(codes[0]), Ok(format));
            assert!(!OTHERS.iter().any(|(other, _)| *other == codes[0]));
        }
        assert_eq!(format_of(10), Err("Q2_K (10)".to_string()));
        let unknown = Err("77, which has no name here".to_string());
        assert_eq!(format_of(77), unknown);
    }
}
