//! Sentence embeddings without a trained network: words and their letters, hashed and projected.

use std::collections::BTreeMap;

use crossburn_noise::{Philox, path_hash};

/// An encoder that needs no file: texts that share words, or parts of words, get vectors that are close.
///
/// A text is cut into words: longest runs of letters and digits, in lower case. A word w with the letters of `<w>` gives one n-gram that is
/// the whole word, and one for every three neighbouring letters. The vector is the weighted sum of one random row for each n-gram,
/// divided by its length:
///
/// ```text
/// v = Σ_w x_w · ( r(w) + Σ_t r(t) / √n_w )        embed = v / |v|
/// x_w   min(letters of w, 8) / 8: short words are the frequent ones (Zipf's law of abbreviation), and say little
/// n_w   number of neighbouring triples of <w>
/// r(·)  a row of ±1, a pure function of seed and n-gram
/// ```
///
/// The rows are a random projection of the space of all n-grams, which keeps inner products up to an error of about 1 / √dimension.
///
/// # Source
/// Random signs as a projection: Achlioptas, "Database-friendly random projections", J. Comput. Syst. Sci. 66, 2003. Weights are our own
/// choice.
///
/// ```
/// use crossburn_models::HashedNgrams;
///
/// let encoder = HashedNgrams::new(384, 0);
/// let cosine = |a: &str, b: &str| {
///     let products = encoder.embed(a).into_iter().zip(encoder.embed(b)).map(|(a, b)| a * b);
///     products.sum::<f32>()
/// };
/// assert!(cosine("memory cells drift", "the drift of a memory cell") > 0.4);
/// assert!(cosine("memory cells drift", "bread is baked at dawn") < 0.2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedNgrams {
    dimension: usize,
    seed: u64,
}

/// Letters of a word from which on its weight is 1.
const LONG: usize = 8;
/// Neighbouring letters of an n-gram.
const LETTERS: usize = 3;

impl Default for HashedNgrams {
    /// The encoder that is used where none is named: 384 numbers, as many as those of all-MiniLM-L6-v2, with seed 0. Stores and trained
    /// heads depend on both.
    fn default() -> Self {
        Self::new(384, 0)
    }
}

impl HashedNgrams {
    /// The encoder whose vectors have `dimension` numbers, and whose rows are those of `seed`.
    pub const fn new(dimension: usize, seed: u64) -> Self {
        Self { dimension, seed }
    }

    /// Numbers of a vector.
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// The seed of the rows.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The vector of `text`, of length 1. That of a text without a letter or digit is all zeros. The order of words does not matter.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.dimension];
        for (ngram, weight) in weights(text) {
            let row = Philox::new(self.seed ^ path_hash("hashed n-grams"), ngram);
            // A block has 128 bits, of which each is a sign.
            for (index, sums) in sums.chunks_mut(128).enumerate() {
                let block = row.block(index as u64);
                for (bit, sum) in sums.iter_mut().enumerate() {
                    match block[bit / 32] >> (bit % 32) & 1 {
                        1 => *sum += weight,
                        _ => *sum -= weight,
                    }
                }
            }
        }
        let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        sums.into_iter().map(|sum| (sum * scale) as f32).collect()
    }
}

/// The n-grams of a text by their hash, each with the sum of its weights.
fn weights(text: &str) -> BTreeMap<u64, f64> {
    let text = text.to_lowercase();
    let mut found = BTreeMap::new();
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let weight = word.chars().count().min(LONG) as f64 / LONG as f64;
        let bounded: Vec<char> = format!("<{word}>").chars().collect();
        let triples = bounded.windows(LETTERS);
        let share = weight / (triples.len() as f64).sqrt();
        // A blank keeps a word apart from the triple with the same letters.
        *found.entry(path_hash(&format!(" {word}"))).or_insert(0.0) += weight;
        for triple in triples {
            let triple: String = triple.iter().collect();
            *found.entry(path_hash(&triple)).or_insert(0.0) += share;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(encoder: &HashedNgrams, a: &str, b: &str) -> f64 {
        let products = encoder.embed(a).into_iter().zip(encoder.embed(b));
        products.map(|(a, b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn ngrams_have_the_weights_of_the_formula() {
        // `an` twice: weight 2/8 each, and the triples <an and an>, each with 1/√2 of it.
        let found = weights("An, an!");
        let expected = [
            (" an", 0.5),
            ("<an", 0.5 / 2f64.sqrt()),
            ("an>", 0.5 / 2f64.sqrt()),
        ];
        assert_eq!(found.len(), expected.len());
        for (ngram, weight) in expected {
            assert!((found[&path_hash(ngram)] - weight).abs() < 1e-12, "{ngram}");
        }
    }

    #[test]
    fn vectors_are_the_same_forever() {
        // Computed by a program of its own in Python, generator and hash included: a store on disk depends on these numbers.
        let found = HashedNgrams::new(130, 7).embed("Größe of 3 cells");
        for (at, expected) in [
            (0, -0.2511379),
            (1, 0.0444953),
            (31, 0.1012902),
            (32, -0.1012902),
            (127, -0.0303531),
            (128, -0.158931),
            (129, -0.0931659),
        ] {
            assert!((found[at] - expected).abs() < 1e-6, "{at}: {}", found[at]);
        }
    }

    #[test]
    fn vectors_have_length_one_and_no_order_of_words() {
        let encoder = HashedNgrams::new(384, 3);
        assert_eq!(encoder.embed("a b c"), encoder.embed("C-B-A"));
        assert!((cosine(&encoder, "drift", "drift") - 1.0).abs() < 1e-6);
        assert_eq!(encoder.embed("-- !"), vec![0.0; 384]);
        assert_ne!(
            encoder.embed("drift"),
            HashedNgrams::new(384, 4).embed("drift")
        );
    }

    #[test]
    fn inner_products_are_kept_within_the_error_of_the_projection() {
        // Cosine of the unprojected bags of n-grams, and ours: errors of a projection to d numbers have a deviation below √(2 / d).
        let (a, b) = ("memory cells drift", "the drift of a memory cell");
        let (wa, wb) = (weights(a), weights(b));
        let dot = |x: &BTreeMap<u64, f64>, y: &BTreeMap<u64, f64>| {
            let shared = x.iter().filter_map(|(key, x)| Some(x * y.get(key)?));
            shared.sum::<f64>()
        };
        let exact = dot(&wa, &wb) / (dot(&wa, &wa) * dot(&wb, &wb)).sqrt();
        let seeds = 200;
        let found: Vec<f64> = (0..seeds)
            .map(|seed| cosine(&HashedNgrams::new(384, seed), a, b))
            .collect();
        let mean = found.iter().sum::<f64>() / seeds as f64;
        let bound = (2.0f64 / 384.0).sqrt();
        // Four standard errors.
        assert!((mean - exact).abs() < 4.0 * bound / (seeds as f64).sqrt());
        let outside = found.iter().filter(|c| (**c - exact).abs() > 4.0 * bound);
        assert_eq!(outside.count(), 0);
    }
}
