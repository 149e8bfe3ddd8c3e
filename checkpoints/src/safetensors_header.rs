//! The problem with the header of a safetensors file that cannot be read.
//!
//! ```text
//! 8 bytes   N, little-endian
//! N bytes   JSON: {"name": {"dtype": .., "shape": .., "data_offsets": [start, end]}, .., "__metadata__": ..}, padded with spaces
//! the rest  the tensors, without gap, up to the largest end
//! ```

use serde_json::Value;

/// What a reader said of `bytes` is `cause`: the same in words that name the bytes, where these are to be found.
pub(crate) fn explained(bytes: &[u8], cause: &str) -> String {
    found(bytes).unwrap_or_else(|| format!("{cause}; it may be cut or of another format"))
}

fn found(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, tensors) = rest.split_at_checked(length)?;
    let is_text = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
    let (text, padding) = header.split_at(header.iter().rposition(is_text)? + 1);
    let document: Value = serde_json::from_slice(text).ok()?;
    let nul = padding.iter().filter(|byte| **byte == 0).count();
    if nul > 0 {
        return Some(format!(
            "its header ends with {nul} NUL bytes where the format has spaces"
        ));
    }
    let end = document
        .as_object()?
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(_, tensor)| tensor["data_offsets"][1].as_u64())
        .try_fold(0, |largest: u64, end| Some(largest.max(end?)))?;
    let held = tensors.len() as u64;
    match held.checked_sub(end) {
        None => Some(format!(
            "it is cut: {} bytes of its tensors are missing",
            end - held
        )),
        Some(0) => None,
        Some(more) => Some(format!("{more} bytes too many follow its last tensor")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, padding: &str, tensors: usize) -> Vec<u8> {
        let length = (header.len() + padding.len()) as u64;
        let parts = [
            &length.to_le_bytes()[..],
            header.as_bytes(),
            padding.as_bytes(),
            &vec![1; tensors],
        ];
        parts.concat()
    }

    #[test]
    fn padding_and_bytes_too_many_or_too_few_are_counted() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
        for (padding, tensors, expected) in [
            (
                "\0\0\0",
                12,
                "its header ends with 3 NUL bytes where the format has spaces",
            ),
            (
                " \0 \0",
                12,
                "its header ends with 2 NUL bytes where the format has spaces",
            ),
            ("   ", 17, "5 bytes too many follow its last tensor"),
            ("", 9, "it is cut: 3 bytes of its tensors are missing"),
            ("", 12, "so it said; it may be cut or of another format"),
        ] {
            let bytes = file(header, padding, tensors);
            assert_eq!(explained(&bytes, "so it said"), expected);
        }
        for bytes in [
            &b""[..],
            b"\x01",
            &u64::MAX.to_le_bytes(),
            &file("[]", "", 3),
            &file("\0\0", "", 3),
            &file(r#"{"a":{"data_offsets":[0,"x"]}}"#, "", 3),
        ] {
            let expected = "so it said; it may be cut or of another format";
            assert_eq!(explained(bytes, "so it said"), expected);
        }
    }
}
