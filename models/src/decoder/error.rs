//! Errors of decoders and encoders.

/// Error of describing or running a decoder or an encoder: one line with the remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecoderError {
    /// A size of zero.
    #[error("{key} = 0 must be above zero")]
    Zero {
        /// The configuration key.
        key: &'static str,
    },
    /// A setting that no network can have.
    #[error("{key} = {value} is not possible: {remedy}")]
    Setting {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The possible values.
        remedy: String,
    },
    /// A family that this program does not know.
    #[error("model_type {found:?} is not supported; supported are {}", supported.join(", "))]
    Family {
        /// The name in the configuration.
        found: String,
        /// Names that are known.
        supported: Vec<&'static str>,
    },
    /// A key that a configuration lacks.
    #[error("config.json has no {key:?}; take the file that belongs to the weights")]
    MissingKey {
        /// Name of the key.
        key: String,
    },
    /// A key with a value that cannot be read.
    #[error(
        "config.json: {key} = {value} is not {expected}; take the file that belongs to the weights"
    )]
    Key {
        /// Name of the key.
        key: String,
        /// The value as JSON.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
    /// A key with a value that no code here computes.
    #[error("config.json: {key} = {value} is not supported; {remedy}")]
    Unsupported {
        /// Name of the key.
        key: String,
        /// The value as JSON.
        value: String,
        /// The supported values.
        remedy: String,
    },
    /// A sequence that is longer than the positions of the network.
    #[error(
        "{length} tokens do not fit the model's {positions} positions: shorten the text or generate fewer tokens"
    )]
    TooLong {
        /// Tokens of the sequence.
        length: usize,
        /// Positions of the network.
        positions: usize,
    },
    /// A token that the vocabulary does not have.
    #[error(
        "token {token} is outside the vocabulary of {vocabulary}: take the tokenizer that belongs to the model"
    )]
    Token {
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// Nothing to continue.
    #[error("there is no token to start from: give a prompt of at least one token")]
    Empty,
    /// Sampling settings that choose nothing.
    #[error("sampling: {key} = {value} is not possible: {remedy}")]
    Sampling {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: f64,
        /// The possible values.
        remedy: &'static str,
    },
    /// A result that is not a number.
    #[error(
        "the logits of token {position} are not finite: the weights or the noise on them are too large"
    )]
    NotFinite {
        /// Place in the sequence.
        position: usize,
    },
    /// An adapter that does not fit the network.
    #[error("the adapter does not fit the model: {cause}; take the model that it was trained for")]
    Adapter {
        /// The part that does not fit.
        cause: String,
    },
    /// Labels that leave nothing to learn from, or of another shape.
    #[error("labels: {cause}")]
    Labels {
        /// The problem with them.
        cause: String,
    },
}

impl DecoderError {
    pub(crate) fn setting(
        key: &'static str,
        value: impl ToString,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Setting {
            key,
            value: value.to_string(),
            remedy: remedy.into(),
        }
    }
}
