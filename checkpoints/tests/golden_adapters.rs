//! Adapters against logits that PEFT computed, and their training against PEFT's.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod golden;

use std::path::Path;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor};
use crossburn_checkpoints::{ModelFolder, load_adapter, save_adapter};
use crossburn_kernels::AdamW;
use crossburn_models::decoder::{Adapter, Cache, Decoder, next_token_loss};
use golden::{Golden, folder};

const KINDS: [&str; 4] = ["prompt", "prefix", "lora", "ia3"];

fn logits(decoder: &Decoder, adapter: &Adapter, path: &Path) -> Tensor<3> {
    let tokens = Golden::read(&path.join("expected.safetensors"), "input_ids");
    let tokens = Tensor::<2, Int>::from_data(tokens.data(), &decoder.device());
    decoder.logits(decoder.hidden(tokens, Some(adapter), &mut Cache::new()))
}

#[test]
fn adapters_give_the_logits_of_peft_and_are_written_as_they_were() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    let device = Device::flex();
    let base = ModelFolder::open(&models.join("llama")).unwrap();
    let (config, names) = base.decoder_config().unwrap();
    let decoder = base.decoder(&device).unwrap().module;
    for kind in KINDS {
        let path = models.join(format!("llama-{kind}"));
        let (adapter_config, adapter) = load_adapter(&path, &config, &names, &device).unwrap();
        let found = logits(&decoder, &adapter, &path);
        let expected = Golden::read(&path.join("expected.safetensors"), "logits");
        let difference = expected.difference(found.to_data());
        eprintln!("{kind}: {difference:e}");
        // Both sides compute in 32-bit floats, in another order; logits are of size one.
        assert!(difference <= 2e-4, "{kind}: {difference}");

        let copy = tempfile::tempdir().unwrap();
        let copy = copy.path().join("adapter");
        save_adapter(
            &copy,
            &adapter,
            &adapter_config,
            &config,
            &names,
            "../llama",
        )
        .unwrap();
        let file = "adapter_model.safetensors";
        let (written, given) = (copy.join(file), path.join(file));
        assert_eq!(tensors(&written), tensors(&given), "{kind}");
        let again = load_adapter(&copy, &config, &names, &device).unwrap();
        assert_eq!(again.0, adapter_config);
    }
}

/// Names, shapes and bytes of a file.
fn tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let views = file.iter();
    let mut tensors: Vec<_> = views
        .map(|(name, view)| {
            (
                name.to_string(),
                view.shape().to_vec(),
                view.data().to_vec(),
            )
        })
        .collect();
    tensors.sort();
    tensors
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    let device = Device::flex();
    let refused = |base: &str, adapter: &str| {
        let base = ModelFolder::open(&models.join(base)).unwrap();
        let (config, names) = base.decoder_config().unwrap();
        let error = load_adapter(&models.join(adapter), &config, &names, &device).unwrap_err();
        error.to_string()
    };
    for (base, adapter, message) in [
        (
            "gemma",
            "llama-lora",
            "has shape [48, 4], this model needs [64, 4]; it was trained for another model: take the base that it names",
        ),
        (
            "phi3",
            "llama-lora",
            "target_modules names \"v_proj\", which cannot be adapted in this model; supported are o_proj, down_proj",
        ),
        (
            "llama",
            "bert",
            "there is no adapter_config.json; give a folder that PEFT or crossburn tune wrote",
        ),
    ] {
        let found = refused(base, adapter);
        assert!(found.ends_with(message), "{found}");
    }
}

/// The parameters of an adapter from the tensors `METHOD.PART.` of PEFT's record.
fn of_peft(kind: &str, part: &str, models: &Path, record: &Path) -> Adapter {
    let scratch = tempfile::tempdir().unwrap();
    let config = format!("llama-{kind}/adapter_config.json");
    let mut text = std::fs::read_to_string(models.join(config)).unwrap();
    let bytes = std::fs::read(record).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let start = format!("{kind}.{part}.");
    let mut views = Vec::new();
    for (name, view) in file.iter() {
        if let Some(name) = name.strip_prefix(&start) {
            let name = match kind {
                "prompt" | "prefix" => "prompt_embeddings".to_string(),
                _ => name.replace(".default", ""),
            };
            if kind == "prompt" || kind == "prefix" {
                let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
                document["num_virtual_tokens"] = view.shape()[0].into();
                text = document.to_string();
            }
            views.push((name, view));
        }
    }
    safetensors::serialize_to_file(
        views,
        None,
        &scratch.path().join("adapter_model.safetensors"),
    )
    .unwrap();
    std::fs::write(scratch.path().join("adapter_config.json"), text).unwrap();
    let base = ModelFolder::open(&models.join("llama")).unwrap();
    let (config, names) = base.decoder_config().unwrap();
    let device = Device::flex().autodiff();
    load_adapter(scratch.path(), &config, &names, &device)
        .unwrap()
        .1
}

/// Every parameter of an adapter, flattened in the order of the module.
fn values(adapter: &Adapter) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl burn::module::ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.0
                .push(param.val().into_data().try_into_vec_as().unwrap());
        }
    }
    let mut values = Values(Vec::new());
    adapter.visit(&mut values);
    values.0
}

/// The gradient of every parameter, in the order of the module.
fn gradients(adapter: &Adapter, gradients: &GradientsParams) -> Vec<Vec<f32>> {
    struct Values<'a>(&'a GradientsParams, Vec<Vec<f32>>);
    impl burn::module::ModuleVisitor for Values<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).unwrap();
            self.1.push(gradient.into_data().try_into_vec_as().unwrap());
        }
    }
    let mut values = Values(gradients, Vec::new());
    adapter.visit(&mut values);
    values.1
}

#[test]
fn tuning_gives_the_gradients_and_losses_of_peft() {
    let (Some(models), Some(record)) = (folder("golden-decoders"), folder("golden-tuning")) else {
        return;
    };
    let record = record.join("llama_tuning.safetensors");
    let device = Device::flex().autodiff();
    let base = ModelFolder::open(&models.join("llama")).unwrap();
    let decoder = base.decoder(&device).unwrap().module.freeze();
    let tokens = Golden::read(&record, "input_ids");
    let labels: Vec<Option<u32>> = Golden::read(&record, "labels")
        .integers
        .iter()
        .map(|label| u32::try_from(*label).ok())
        .collect();
    for (kind, rate) in [
        ("prompt", 0.03),
        ("prefix", 0.01),
        ("lora", 0.01),
        ("ia3", 0.01),
    ] {
        let mut adapter = of_peft(kind, "init", &models, &record);
        let expected = Golden::read(&record, &format!("{kind}.losses")).floats;
        let mut optimizer = AdamW::new().with_weight_decay(0.0).init();
        let mut losses = Vec::new();
        for step in 0..expected.len() {
            let tokens = Tensor::<2, Int>::from_data(tokens.data(), &device);
            let loss = next_token_loss(&decoder, Some(&adapter), tokens, &labels).unwrap();
            losses.push(loss.clone().into_scalar::<f32>());
            let found = GradientsParams::from_grads(loss.backward(), &adapter);
            if step == 0 {
                let expected = values(&of_peft(kind, "grad0", &models, &record));
                for (found, expected) in gradients(&adapter, &found).iter().zip(&expected) {
                    let size = expected
                        .iter()
                        .map(|v| f64::from(*v).powi(2))
                        .sum::<f64>()
                        .sqrt();
                    let pairs = found.iter().zip(expected);
                    let apart = pairs
                        .map(|(a, b)| f64::from(a - b).powi(2))
                        .sum::<f64>()
                        .sqrt();
                    assert!(apart <= 1e-5 * size, "{kind}: {apart} of {size}");
                }
            }
            adapter = optimizer.step(rate, adapter, found);
        }
        let apart = losses.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, f32::max);
        eprintln!("{kind}: losses differ by at most {apart:e}");
        assert!(apart <= 1e-4, "{kind}: {losses:?} {expected:?}");
    }
    let untouched = base.decoder(&Device::flex()).unwrap().module;
    let probe = Tensor::<2, Int>::from_data([[1, 2, 3]], &Device::flex());
    let [a, b] =
        [untouched, decoder.valid()].map(|decoder| decoder.forward(probe.clone()).into_data());
    assert_eq!(a, b);
}
