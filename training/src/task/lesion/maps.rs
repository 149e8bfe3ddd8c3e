//! What is done to the map of one slice: erosion of the brain that is looked at.

/// `mask` of `width` pixels a row without the pixels within `steps` steps of its edge, a step being to one of the four neighbours. Beyond
/// the edges of the slice nothing is brain.
///
/// # Source
/// Binary erosion with a cross, as in public code of Behrendt et al., "Patched diffusion models for unsupervised anomaly detection in brain
/// MRI", MIDL 2023.
pub(crate) fn eroded(mask: &[u8], width: usize, steps: usize) -> Vec<u8> {
    let mut mask = mask.to_vec();
    let width = width.max(1);
    let height = mask.len() / width;
    // More steps than the slice is wide leave nothing, as so many do.
    for _ in 0..steps.min(width) {
        let before = mask.clone();
        for (place, pixel) in mask.iter_mut().enumerate() {
            let (row, column) = (place / width, place % width);
            let inner = row > 0 && row + 1 < height && column > 0 && column + 1 < width;
            let kept = inner
                && [place - width, place - 1, place + 1, place + width]
                    .iter()
                    .all(|neighbour| before[*neighbour] != 0);
            *pixel = u8::from(*pixel != 0 && kept);
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mask drawn with one character for each pixel.
    fn drawn(rows: &[&str]) -> Vec<u8> {
        let pixels = rows.iter().flat_map(|row| row.bytes());
        pixels.map(|pixel| u8::from(pixel == b'#')).collect()
    }

    #[test]
    fn erosion_takes_the_edge() {
        let mask = drawn(&["#######", "#####..", "#####..", ".####..", ".###..."]);
        let once = drawn(&[".......", ".###...", ".###...", "..##...", "......."]);
        let twice = drawn(&[".......", ".......", "..#....", ".......", "......."]);
        assert_eq!(eroded(&mask, 7, 0), mask);
        assert_eq!(eroded(&mask, 7, 1), once);
        assert_eq!(eroded(&mask, 7, 2), twice);
        let full = vec![1; 25];
        assert_eq!(
            eroded(&full, 5, 2),
            drawn(&[".....", ".....", "..#..", ".....", "....."])
        );
        assert_eq!(eroded(&full, 5, usize::MAX), [0; 25]);
    }
}
