//! The names of BERT's tensors.

use crate::tensor_names::{Layout, Origin, TensorNames};

/// The names of the tensors of an [`Encoder`](super::Encoder).
#[derive(Clone, Copy, Debug)]
pub struct EncoderNames;

/// Part of the module and name of the file, of the whole network and of a block.
const WHOLE: [(&str, &str); 4] = [
    ("embedding", "embeddings.word_embeddings"),
    ("places", "embeddings.position_embeddings"),
    ("segments", "embeddings.token_type_embeddings"),
    ("norm", "embeddings.LayerNorm"),
];
const BLOCK: [(&str, &str); 8] = [
    ("query", "attention.self.query"),
    ("key", "attention.self.key"),
    ("value", "attention.self.value"),
    ("output", "attention.output.dense"),
    ("attention_norm", "attention.output.LayerNorm"),
    ("up", "intermediate.dense"),
    ("down", "output.dense"),
    ("feed_forward_norm", "output.LayerNorm"),
];

impl TensorNames for EncoderNames {
    fn origin(&self, path: &str) -> Option<Origin> {
        let (layer, end) = path.rsplit_once('.')?;
        let find = |table: &[(&str, &'static str)], part: &str| {
            let found = table.iter().find(|(known, _)| *known == part);
            found.map(|(_, name)| *name)
        };
        let (name, matrix) = match find(&WHOLE, layer) {
            Some(name) => (name.to_string(), false),
            None => {
                let (number, part) = layer.strip_prefix("layers.")?.split_once('.')?;
                let name = find(&BLOCK, part)?;
                (
                    format!("encoder.layer.{number}.{name}"),
                    !part.ends_with("norm"),
                )
            }
        };
        Some(Origin {
            names: vec![format!("{name}.{end}"), format!("bert.{name}.{end}")],
            layout: match matrix && end == "weight" {
                true => Layout::Transposed,
                false => Layout::Same,
            },
            outputs: None,
        })
    }

    fn ignores(&self, name: &str) -> bool {
        let name = name.strip_prefix("bert.").unwrap_or(name);
        name == "embeddings.position_ids" || name.starts_with("pooler.") || name.starts_with("cls.")
    }
}
