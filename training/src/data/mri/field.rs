//! Smooth random fields.

use crossburn_noise::Philox;

/// A random field of `height * width` values, row by row: white noise smoothed by a Gaussian of standard deviation `sigma` pixels. Every value
/// has mean 0 and standard deviation 1.
///
/// Noise is drawn beyond the borders too, so that they are no smoother than the rest. The field is a function of `draws` alone.
///
/// ```
/// use crossburn_noise::Philox;
/// use crossburn_training::data::mri::smooth_field;
///
/// let field = smooth_field(&Philox::new(1, 0), [8, 16], 2.0);
/// assert_eq!(field.len(), 128);
/// ```
pub fn smooth_field(draws: &Philox, [height, width]: [usize; 2], sigma: f64) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil().max(0.0) as usize;
    let weights = weights(sigma, reach);
    let (tall, wide) = (height + 2 * reach, width + 2 * reach);
    let mut noise = vec![0.0f32; tall * wide];
    draws.fill_normal(&mut noise);
    let mut rows = Vec::with_capacity(tall * width);
    for row in noise.chunks(wide.max(1)) {
        rows.extend(row.windows(weights.len()).map(|near| dot(near, &weights)));
    }
    let mut field = vec![0.0f32; height * width];
    for (y, out) in field.chunks_mut(width.max(1)).enumerate() {
        for (row, weight) in rows[y * width..].chunks(width.max(1)).zip(&weights) {
            for (out, value) in out.iter_mut().zip(row) {
                *out += weight * value;
            }
        }
    }
    field
}

/// A Gaussian whose squares add up to 1, so that a weighted sum of independent values has their standard deviation.
fn weights(sigma: f64, reach: usize) -> Vec<f32> {
    let at = |place: usize| {
        let distance = place as f64 - reach as f64;
        match sigma > 0.0 {
            true => (-0.5 * (distance / sigma).powi(2)).exp(),
            false => 1.0,
        }
    };
    let weights: Vec<f64> = (0..=2 * reach).map(at).collect();
    let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    weights.iter().map(|w| (w / norm) as f32).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_unit_spread_and_the_correlation_of_its_sigma() {
        let (side, sigma) = (64, 2.0);
        let (mut square, mut product, mut border) = (0.0, 0.0, 0.0);
        let fields = 40;
        for field in 0..fields {
            let values = smooth_field(&Philox::new(5, field), [side, side], sigma);
            for y in 0..side {
                for x in 0..side - 3 {
                    let (here, there) = (values[y * side + x], values[y * side + x + 3]);
                    square += f64::from(here * here);
                    product += f64::from(here * there);
                    if y == 0 {
                        border += f64::from(here * here);
                    }
                }
            }
        }
        let count = (fields as usize * side * (side - 3)) as f64;
        // White noise smoothed by a Gaussian has the correlation exp(-r² / 4σ²); some 40 · 64² / (4πσ²) = 3,300 values are independent, so the
        // mean square varies by √(2/3300) = 2.5 %, that of the 40 · 64 / (2√π σ) = 360 of a border by 7.5 %.
        let expected = (-9.0 / (4.0 * sigma * sigma)).exp();
        assert!((square / count - 1.0).abs() < 0.1, "{}", square / count);
        assert!(
            (product / square - expected).abs() < 0.1,
            "{}",
            product / square
        );
        let border = border * side as f64 / count;
        assert!((border - 1.0).abs() < 0.3, "{border}");
    }

    #[test]
    fn no_smoothing_leaves_the_noise() {
        let draws = Philox::new(3, 1);
        let mut noise = vec![0.0f32; 12];
        draws.fill_normal(&mut noise);
        assert_eq!(smooth_field(&draws, [3, 4], 0.0), noise);
    }
}
