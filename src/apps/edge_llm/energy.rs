//! The energy of answers whose weights lie on arrays, estimated.
//!
//! Counted is what the arrays take, with converters and buffers, while the tokens of a question and its answer pass through every matrix of the model. Not
//! counted are attention, norms, embeddings and adapters, which are digital, the search for examples, the writing of the cells, and learning.

use anyhow::Result;
use crossburn_hardware::cost::LayerShape;
use crossburn_hardware::deploy::Hardware;
use crossburn_models::decoder::Decoder;
use crossburn_noise::{host_weights_at, matrix_weights};
use crossburn_training::personalisation::Demand;

use super::cell::Laboratory;
use super::compression::inputs_and_outputs;
use super::conditions::Condition;
use super::study_file::StudyFile;

/// Joules that the arrays of the study's accelerator take for one token to pass through all matrices of `decoder`; `None` in a study without an accelerator.
///
/// # Errors
/// An accelerator without a cost model.
pub(super) fn token_joules(decoder: &Decoder, study: &StudyFile) -> Result<Option<f64>> {
    let Some(name) = &study.device.accelerator else {
        return Ok(None);
    };
    let weights = host_weights_at(decoder, &matrix_weights(decoder));
    let layers: Vec<LayerShape> = weights
        .iter()
        .map(|(path, weight)| {
            let [inputs, outputs] = inputs_and_outputs(weight);
            LayerShape::linear(path, inputs, outputs)
        })
        .collect();
    let cost = Hardware::preset(name)?.accelerator()?.cost(&layers)?;
    Ok(Some(cost.total.energy_total.get()))
}

impl Laboratory<'_> {
    /// Joules that arrays take for one answer under `condition`, which needs `demand`; `None` if its weights lie on no arrays, and in a study without an
    /// accelerator.
    ///
    /// # Errors
    /// A condition whose model is missing.
    pub(super) fn answer_joules(
        &self,
        condition: &Condition,
        demand: &Demand<'_>,
    ) -> Result<Option<f64>> {
        if condition.law.variation().is_none() {
            return Ok(None);
        }
        let joules = self.base(condition)?.token_joules;
        Ok(joules.map(|joules| joules * demand.answer_tokens() as f64))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::Device;
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;

    use super::*;

    #[test]
    fn a_token_passes_each_matrix_once() {
        let sizes = r#"{"vocabulary": 10, "width": 64, "heads": 2, "hidden_width": 32, "layers": 2, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let decoder = initialize(sizes.init(&Device::flex()).unwrap(), 1);
        let mut study = StudyFile::open("tiny").unwrap();
        study.device.accelerator = None;
        assert_eq!(token_joules(&decoder, &study).unwrap(), None);
        study.device.accelerator = Some("isaac".to_string());
        let found = token_joules(&decoder, &study).unwrap().unwrap();
        // Two blocks of four matrices of 64², two of 64 · 32 and one of 32 · 64, the same arrays by themselves.
        let sides = [[64, 64]; 4]
            .into_iter()
            .chain([[64, 32], [64, 32], [32, 64]]);
        let layers: Vec<LayerShape> = sides
            .cycle()
            .take(14)
            .map(|[inputs, outputs]| LayerShape::linear("matrix", inputs, outputs))
            .collect();
        let isaac = Hardware::preset("isaac").unwrap().accelerator().unwrap();
        let wanted = isaac.cost(&layers).unwrap().total.energy_total.get();
        assert!(
            wanted > 0.0 && (found / wanted - 1.0).abs() < 1e-9,
            "{found} {wanted}"
        );
    }
}
