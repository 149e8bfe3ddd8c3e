//! A distribution with its reference scale, as recipes write it.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{Error, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, forward_to_deserialize_any};

use crate::granularity::Reference;
use crate::{ChipDraws, Distribution, Granularity, NoiseError, WeightShape};

/// Elements that one thread draws at a time. A draw depends only on the index of its element, so the number of threads does
/// not change it.
const PIECE: usize = 1 << 14;

/// How the weights of a network vary.
///
/// In TOML one flat table, strict about its keys:
///
/// ```toml
/// kind = "right-censored"
/// sigma_rel_wmax = 0.25
/// censor = 1.0
/// scale = "per-tensor"      # the default
/// ```
///
/// ```
/// use crossburn_noise::{ChipSeed, Distribution, Variation};
///
/// let variation = Variation::from(Distribution::gaussian(0.1));
/// let deviation = variation.draw(ChipSeed::new(7, 17), "fc.weight", &[0.5, -1.0], &[2, 1]);
/// assert_eq!(deviation, variation.draw(ChipSeed::new(7, 17), "fc.weight", &[0.5, -1.0], &[2, 1]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variation {
    /// How far weights deviate.
    pub distribution: Distribution,
    /// The reference scale of the deviations.
    pub scale: Granularity,
}

impl From<Distribution> for Variation {
    fn from(distribution: Distribution) -> Self {
        Self {
            distribution,
            scale: Granularity::default(),
        }
    }
}

impl Variation {
    /// The same variation, if its parameters are allowed.
    ///
    /// # Errors
    /// [`NoiseError::Parameter`].
    pub fn check(self) -> Result<Self, NoiseError> {
        self.distribution.check()?;
        Ok(self)
    }

    /// The scale parameter of the distribution.
    pub fn sigma(&self) -> f64 {
        self.distribution.sigma()
    }

    /// The same variation with another scale parameter.
    pub fn with_sigma(self, sigma: f64) -> Self {
        Self {
            distribution: self.distribution.with_sigma(sigma),
            ..self
        }
    }

    /// The deviation of every weight of the parameter at `path` on `chip`.
    ///
    /// `weights` are the programmed weights in row-major order, `shape` their shape ([`WeightShape`]; of a plain slice the
    /// axes are laid out by rank); the result has their length. A
    /// draw of a [`ChipSeed`](crate::ChipSeed) is a function of population seed, chip, path and element index; large parameters are drawn on the threads
    /// of the current rayon pool, with the same result on any number of them.
    pub fn draw(
        &self,
        chip: impl ChipDraws,
        path: &str,
        weights: &[f32],
        shape: impl Into<WeightShape>,
    ) -> Vec<f32> {
        let mut out = vec![0.0; weights.len()];
        let draws = chip.parameter(path);
        let reference = Reference::new(self.scale, weights, &shape.into());
        let fill = |(piece, (out, weights)): (usize, (&mut [f32], &[f32]))| {
            self.distribution
                .fill(&*draws, piece * PIECE, weights, &reference, out);
        };
        if weights.len() <= PIECE {
            fill((0, (&mut out, weights)));
        } else {
            out.par_chunks_mut(PIECE)
                .zip(weights.par_chunks(PIECE))
                .enumerate()
                .for_each(fill);
        }
        out
    }

    /// The mean deviation of every weight, `mean * max|W|`: what mean folding adds. A log-normal variation multiplies, so
    /// its mean is proportional to the weight itself. `weights` and `shape` as for [`draw`](Self::draw).
    pub fn mean_deviation(&self, weights: &[f32], shape: impl Into<WeightShape>) -> Vec<f32> {
        let mean = self.distribution.moments().mean;
        if matches!(self.distribution, Distribution::LogNormal(_)) {
            return weights
                .iter()
                .map(|weight| (mean * f64::from(*weight)) as f32)
                .collect();
        }
        let mut references = vec![0.0; weights.len()];
        Reference::new(self.scale, weights, &shape.into()).fill(0, &mut references);
        references
            .into_iter()
            .map(|reference| (mean * reference) as f32)
            .collect()
    }
}

impl Serialize for Variation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The flat form.
        #[derive(Serialize)]
        struct Table {
            #[serde(flatten)]
            distribution: Distribution,
            scale: Granularity,
        }
        let Self {
            distribution,
            scale,
        } = *self;
        Table {
            distribution,
            scale,
        }
        .serialize(serializer)
    }
}

/// Written by hand, because serde's `flatten` would accept unknown keys. The key `scale` is taken out of the table; all
/// other keys must belong to the distribution.
impl<'de> Deserialize<'de> for Variation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let scale = match table.remove("scale") {
            None => Granularity::default(),
            Some(Value::Text(name)) => {
                Granularity::deserialize(StrDeserializer::<D::Error>::new(&name))?
            }
            Some(Value::Number(_)) => {
                return Err(D::Error::custom("scale is `per-tensor` or `per-channel`"));
            }
        };
        let distribution =
            Distribution::deserialize(MapDeserializer::<_, D::Error>::new(table.into_iter()))?;
        Ok(Self {
            distribution,
            scale,
        })
    }
}

/// A value that the table of a variation can hold.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or a name")]
enum Value {
    Number(f64),
    Text(String),
}

impl<'de, E: Error> IntoDeserializer<'de, E> for Value {
    type Deserializer = ValueDeserializer<E>;

    fn into_deserializer(self) -> ValueDeserializer<E> {
        ValueDeserializer {
            value: self,
            error: std::marker::PhantomData,
        }
    }
}

struct ValueDeserializer<E> {
    value: Value,
    error: std::marker::PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for ValueDeserializer<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.value {
            Value::Number(number) => visitor.visit_f64(number),
            Value::Text(text) => visitor.visit_string(text),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ChipSeed;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"kind":"none","scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"scale":"per-channel"}"#)]
    #[case(r#"{"kind":"right-censored","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"left-censored","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#)]
    #[case(
        r#"{"kind":"two-sided-censored","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#
    )]
    #[case(r#"{"kind":"right-truncated","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"uniform","sigma_rel_wmax":0.25,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"log-normal","sigma_log":0.25,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"four-level","sigma_rel_wmax":0.25,"ratio":2.0,"scale":"per-tensor"}"#)]
    fn every_kind_is_read_and_written_the_same(#[case] text: &str) {
        let variation: Variation = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&variation).unwrap(), text);
    }

    #[rstest]
    #[case(
        r#"{"kind":"gaussian","sigma":0.1}"#,
        "unknown field `sigma`, expected `sigma_rel_wmax`"
    )]
    #[case(r#"{"kind":"gaussian"}"#, "missing field `sigma_rel_wmax`")]
    #[case(
        r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"censor":1.0}"#,
        "unknown field `censor`"
    )]
    #[case(
        r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"scales":"per-tensor"}"#,
        "unknown field `scales`"
    )]
    #[case(
        r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"scale":"per-row"}"#,
        "unknown variant `per-row`"
    )]
    #[case(
        r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"scale":1}"#,
        "scale is `per-tensor` or `per-channel`"
    )]
    #[case(
        r#"{"kind":"gaussian","sigma_rel_wmax":"big"}"#,
        "invalid type: string \"big\", expected f64"
    )]
    #[case(r#"{"kind":"gaussian","sigma_rel_wmax":true}"#, "a number or a name")]
    #[case(
        r#"{"kind":"none","sigma_rel_wmax":0.1}"#,
        "unknown field `sigma_rel_wmax`"
    )]
    #[case(
        r#"{"kind":"gauss"}"#,
        "unknown variant `gauss`, expected one of `none`, `gaussian`"
    )]
    #[case(r#"{"sigma_rel_wmax":0.1}"#, "missing field `kind`")]
    fn bad_tables_are_refused_by_name(#[case] text: &str, #[case] part: &str) {
        let message = serde_json::from_str::<Variation>(text)
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn a_table_inside_a_strict_recipe_is_read_and_its_scale_defaults() {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Recipe {
            noise: Variation,
        }
        // A whole number is as good as one with a point, and the order of keys does not matter.
        let text = r#"{"noise":{"censor":1,"sigma_rel_wmax":0.25,"kind":"right-censored"}}"#;
        let recipe: Recipe = serde_json::from_str(text).unwrap();
        let expected = Variation::from(Distribution::right_censored(0.25, 1.0));
        assert_eq!(recipe.noise, expected);
    }

    #[test]
    fn draws_depend_on_seed_chip_path_and_index_alone() {
        let variation = Variation::from(Distribution::gaussian(0.1));
        // More than one piece and batch, and ends inside both.
        let weights = vec![1.0; 2 * PIECE + 301];
        let draw = |chip, path: &str, count: usize| {
            variation.draw(chip, path, &weights[..count], &[count])
        };
        let chip = ChipSeed::new(7, 17);
        let whole = draw(chip, "fc.weight", weights.len());
        for count in [1, 4, 257, PIECE, PIECE + 1] {
            assert_eq!(draw(chip, "fc.weight", count), whole[..count]);
        }
        let pool = |threads: usize| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
        };
        for threads in [1, 2] {
            assert_eq!(
                pool(threads).install(|| draw(chip, "fc.weight", weights.len())),
                whole
            );
        }
        for (other, path) in [
            (ChipSeed::new(8, 17), "fc.weight"),
            (ChipSeed::new(7, 18), "fc.weight"),
            (chip, "fc2.weight"),
        ] {
            let other = draw(other, path, weights.len());
            // Independent streams: correlation within four standard errors of zero.
            let n = whole.len() as f64;
            let products = whole
                .iter()
                .zip(&other)
                .map(|(a, b)| f64::from(a * b) / 0.01);
            assert!((products.sum::<f64>() / n).abs() < 4.0 / n.sqrt(), "{path}");
        }
    }

    #[test]
    fn a_deviation_is_relative_to_its_tensor_or_channel() {
        let chip = ChipSeed::new(1, 2);
        let weights = [1.0, 8.0, -2.0, 4.0];
        let tensor = Variation::from(Distribution::gaussian(1.0));
        let channel = Variation {
            scale: Granularity::PerChannel,
            ..tensor
        };
        let by_tensor = tensor.draw(chip, "w", &weights, &[2, 2]);
        let linear = channel.draw(chip, "w", &weights, &[2, 2]);
        let convolution = channel.draw(chip, "w", &weights, &[2, 2, 1]);
        for (index, by_tensor) in by_tensor.into_iter().enumerate() {
            // Columns of a linear weight have maxima 2 and 8, rows of a convolution 8 and 4.
            let expected = by_tensor / 8.0 * [2.0, 8.0][index % 2];
            assert!((linear[index] - expected).abs() <= 1e-6 * expected.abs());
            let expected = by_tensor / 8.0 * [8.0, 4.0][index / 2];
            assert!((convolution[index] - expected).abs() <= 1e-6 * expected.abs());
        }
    }
}
