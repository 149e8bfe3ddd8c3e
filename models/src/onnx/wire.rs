//! Messages of a file as they lie there: fields that are not known here are kept to the byte.
//!
//! # Source
//! Protocol Buffers, "Encoding": a field is its number and wire type in one varint, and its value.

use prost::encoding::{decode_varint, encode_varint};

use super::OnnxError;

/// The wire type of a value with a length.
const WITH_LENGTH: u64 = 2;

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawField<'a> {
    pub(super) number: u64,
    /// Number, wire type and value as they lie.
    pub(super) whole: &'a [u8],
    /// The value of a field with a length: a message, a text or bytes.
    pub(super) content: Option<&'a [u8]>,
}

/// The fields of `message`, in order.
///
/// # Errors
/// Bytes that are no message.
pub(super) fn fields(message: &[u8]) -> Result<Vec<RawField<'_>>, OnnxError> {
    let mut rest = message;
    let mut found = Vec::new();
    while !rest.is_empty() {
        found.push(next(&mut rest).ok_or_else(|| OnnxError::NotOnnx {
            cause: "a field of it ends too early".to_string(),
        })?);
    }
    Ok(found)
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<RawField<'a>> {
    let start = *rest;
    let key = decode_varint(rest).ok()?;
    let content = match key & 7 {
        0 => {
            decode_varint(rest).ok()?;
            None
        }
        1 => take(rest, 8).map(|_| None)?,
        WITH_LENGTH => {
            let length = decode_varint(rest).ok()?;
            Some(take(rest, usize::try_from(length).ok()?)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        _ => return None,
    };
    Some(RawField {
        number: key >> 3,
        whole: &start[..start.len() - rest.len()],
        content,
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Adds a field with a length to a message.
pub(super) fn put(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    encode_varint(number << 3 | WITH_LENGTH, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// The message of the guide to the encoding, `a = 150`, with a text, a fixed number and a field of number 1000 after it.
    #[test]
    fn fields_are_told_apart_and_kept_whole() {
        let mut message = vec![0x08, 0x96, 0x01];
        put(&mut message, 2, b"testing");
        assert_eq!(message[3..], *b"\x12\x07testing");
        message.extend([0x1d, 1, 2, 3, 4]);
        put(&mut message, 1000, &[]);
        message.extend([0x21, 1, 2, 3, 4, 5, 6, 7, 8]);
        let found = fields(&message).unwrap();
        let numbers: Vec<u64> = found.iter().map(|field| field.number).collect();
        assert_eq!(numbers, [1, 2, 3, 1000, 4]);
        let contents: Vec<_> = found.iter().map(|field| field.content).collect();
        assert_eq!(
            contents,
            [None, Some(&b"testing"[..]), None, Some(&[][..]), None]
        );
        let whole: Vec<u8> = found
            .iter()
            .flat_map(|field| field.whole.to_vec())
            .collect();
        assert_eq!(whole, message);
    }

    #[test]
    fn a_field_that_ends_too_early_is_refused() {
        for message in [
            &[0x12, 0x07, b't'][..],
            &[0x08],
            &[0x08, 0x96],
            &[0x1d, 1, 2],
            &[0x21, 1],
            &[0x0b],
        ] {
            assert!(fields(message).is_err(), "{message:?}");
        }
    }
}
