//! A resumed run continues bit for bit, and a crash while saving never loses the state before.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::slice::from_ref;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::{
    Manifest, has_resume, load_checkpoint, load_resume, read_progress, save_checkpoint, save_resume,
};
use crossburn_noise::PathPattern;
use serde::{Deserialize, Serialize};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    fc: Linear,
}

impl Net {
    fn new() -> Self {
        let device = Device::flex().autodiff();
        Self {
            conv: Conv2dConfig::new([1, 2], [3, 3]).init(&device),
            norm: BatchNormConfig::new(2).init(&device),
            fc: LinearConfig::new(8, 3).init(&device),
        }
    }

    /// One training step on a batch that depends on `k`.
    fn step(self, optimizer: &mut ModuleOptimizer, k: usize) -> Self {
        let values: Vec<f32> = (0..64).map(|i| ((i * 7 + k * 13) as f32).sin()).collect();
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::from_data(TensorData::new(values, [4, 1, 4, 4]), &device);
        let x = relu(self.norm.forward(self.conv.forward(x)));
        let y: Tensor<2> = self.fc.forward(x.flatten(1, 3));
        let loss = y.powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &self);
        optimizer.step(0.01, self, grads)
    }

    /// All weights and statistics, as bits.
    fn bits(&self) -> Vec<u32> {
        let net = self.valid();
        [
            net.conv.weight.val().into_data(),
            net.fc.weight.val().into_data(),
            net.fc.bias.unwrap().val().into_data(),
            net.norm.gamma.val().into_data(),
            net.norm.running_mean.value().into_data(),
            net.norm.running_var.value().into_data(),
        ]
        .iter()
        .flat_map(|data| data.iter::<f32>().map(f32::to_bits).collect::<Vec<_>>())
        .collect()
    }
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Progress {
    epoch: usize,
    best: Option<f64>,
    draws: u64,
    curve: Vec<f64>,
}

fn progress(epoch: usize) -> Progress {
    Progress {
        epoch,
        best: Some(0.1 + 0.2),
        draws: u64::MAX,
        curve: vec![1.0 / 3.0; epoch],
    }
}

fn adam() -> ModuleOptimizer {
    AdamConfig::new().init()
}

fn sgd() -> ModuleOptimizer {
    let momentum = MomentumConfig::new().with_momentum(0.9);
    SgdConfig::new().with_momentum(Some(momentum)).init()
}

fn load(
    dir: &Path,
    net: Net,
    optimizer: ModuleOptimizer,
) -> Result<(Net, ModuleOptimizer, Progress), String> {
    match load_resume(dir, net, &[], vec![optimizer]) {
        Ok(state) => {
            let (net, mut optimizers, progress) = state.expect("a state");
            let optimizer = optimizers.pop().expect("one optimizer");
            Ok((net, optimizer, progress))
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{message}");
            Err(message)
        }
    }
}

/// The message of a load that must fail.
fn refused(dir: &Path, net: Net, optimizer: ModuleOptimizer) -> String {
    load(dir, net, optimizer).err().expect("an error")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Trains, saves, and continues both the run itself and the saved state: every bit agrees.
fn check_exact(optimizer: fn() -> ModuleOptimizer) {
    let dir = tempfile::tempdir().unwrap();
    let (mut net, mut optim) = (Net::new(), optimizer());
    for k in 0..5 {
        net = net.step(&mut optim, k);
    }
    save_resume(dir.path(), &net, &[], from_ref(&optim), &progress(5)).unwrap();

    let (mut resumed, mut resumed_optim, read) = load(dir.path(), Net::new(), optimizer()).unwrap();
    assert_eq!(read, progress(5));
    assert_eq!(resumed.bits(), net.bits());
    assert_eq!(resumed.fc.weight.id, net.fc.weight.id);

    // Weights alone do not do it: a fresh optimizer takes another step.
    let fresh = load(dir.path(), Net::new(), optimizer()).unwrap().0;
    let fresh = fresh.step(&mut optimizer(), 5);
    for k in 5..8 {
        net = net.step(&mut optim, k);
        resumed = resumed.step(&mut resumed_optim, k);
        assert_eq!(resumed.bits(), net.bits(), "step {k}");
        if k == 5 {
            assert_ne!(fresh.bits(), net.bits());
        }
    }
}

#[test]
fn adam_continues_exactly() {
    check_exact(adam);
}

#[test]
fn sgd_with_momentum_continues_exactly() {
    check_exact(sgd);
}

/// With every CPU backend compiled in, too, the device on which Burn rebuilds optimizer state is flex, where runs train.
#[test]
fn default_device_is_flex() {
    assert_eq!(Device::default(), Device::flex());
}

#[test]
fn nothing_saved_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!has_resume(dir.path()));
    assert!(
        load_resume::<_, Progress>(dir.path(), Net::new(), &[], vec![adam()])
            .unwrap()
            .is_none()
    );
}

#[test]
fn progress_is_read_alone_from_a_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read_progress::<Progress>(dir.path()).unwrap().is_none());
    let net = Net::new();
    save_resume(dir.path(), &net, &[], &[adam()], &progress(4)).unwrap();
    // The weights are not looked at.
    fs_err::remove_file(dir.path().join("resume-1/model.bpk")).unwrap();
    assert_eq!(read_progress(dir.path()).unwrap(), Some(progress(4)));
    fs_err::write(dir.path().join("resume-1/progress.json"), "{}").unwrap();
    let damaged = read_progress::<Progress>(dir.path()).unwrap_err();
    assert!(damaged.to_string().contains("progress.json has checksum"));
}

#[test]
fn one_state_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::new();
    for epoch in 1..4 {
        save_resume(dir.path(), &net, &[], &[adam()], &progress(epoch)).unwrap();
    }
    assert_eq!(names(dir.path()), ["resume-3", "resume.json"]);
    assert_eq!(
        names(&dir.path().join("resume-3")),
        ["model.bpk", "optimizer.bpk", "progress.json"]
    );
    assert_eq!(load(dir.path(), net, adam()).unwrap().2, progress(3));
}

/// The states of the folder after each step of a save, made by hand: the old state is loaded until the pointer
/// changes, and the next save clears what the crash left.
#[test]
fn crash_at_any_point_leaves_a_state() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, other) = (dir.path().join("run"), dir.path().join("other"));
    let (old, new) = (Net::new(), Net::new());
    save_resume(&dir, &old, &[], &[adam()], &progress(1)).unwrap();
    save_resume(&other, &new, &[], &[adam()], &progress(1)).unwrap();
    save_resume(&other, &new, &[], &[adam()], &progress(2)).unwrap();
    let expect = |net: &Net, epoch| {
        let (loaded, _, read) = load(&dir, Net::new(), adam()).unwrap();
        assert_eq!((loaded.bits(), read.epoch), (net.bits(), epoch));
    };

    // While the files are written.
    let unfinished = dir.join("resume.tmp-Ab3dEf");
    fs_err::create_dir(&unfinished).unwrap();
    let copy = |file: &str, to: &Path| {
        fs_err::copy(other.join("resume-2").join(file), to.join(file)).unwrap();
    };
    copy("model.bpk", &unfinished);
    expect(&old, 1);
    // After the folder got its name, before the pointer changed.
    copy("optimizer.bpk", &unfinished);
    copy("progress.json", &unfinished);
    fs_err::rename(&unfinished, dir.join("resume-2")).unwrap();
    expect(&old, 1);
    // After the pointer changed, before the old folder was deleted.
    fs_err::copy(other.join("resume.json"), dir.join("resume.json")).unwrap();
    expect(&new, 2);

    fs_err::create_dir(dir.join("resume.tmp-stale")).unwrap();
    fs_err::create_dir(dir.join("resume-07")).unwrap();
    fs_err::write(dir.join("resume-notes.txt"), "of the user").unwrap();
    save_resume(&dir, &old, &[], &[adam()], &progress(3)).unwrap();
    expect(&old, 3);
    assert_eq!(
        names(&dir),
        ["resume-07", "resume-3", "resume-notes.txt", "resume.json"]
    );
}

/// Copies share the identities of their parameters and differ in the moments of their optimizers.
#[test]
fn copies_keep_an_optimizer_each() {
    let dir = tempfile::tempdir().unwrap();
    let start = Net::new();
    // A clone would share the running statistics.
    let mut copies = vec![start.valid().train(), start];
    let mut optimizers = vec![adam(), adam()];
    for (copy, optimizer) in copies.iter_mut().zip(&mut optimizers) {
        *copy = copy.clone().step(optimizer, 0);
    }
    // The second copy sees other data from here on.
    copies[1] = copies[1].clone().step(&mut optimizers[1], 3);
    save_resume(dir.path(), &copies, &[], &optimizers, &progress(1)).unwrap();
    assert_eq!(
        names(&dir.path().join("resume-1")),
        [
            "model.bpk",
            "optimizer-2.bpk",
            "optimizer.bpk",
            "progress.json"
        ]
    );
    let fresh = vec![Net::new(), Net::new()];
    let (mut read, mut read_optimizers, _) =
        load_resume::<_, Progress>(dir.path(), fresh, &[], vec![adam(), adam()])
            .unwrap()
            .unwrap();
    for copy in 0..2 {
        let whole = copies[copy].clone().step(&mut optimizers[copy], 7);
        let resumed = read.remove(0).step(&mut read_optimizers[copy], 7);
        assert_eq!(resumed.bits(), whole.bits(), "{copy}");
    }
    // A state of one optimizer does not pass for one of two.
    save_resume(dir.path(), &copies, &[], &optimizers[..1], &progress(2)).unwrap();
    let error = load_resume::<_, Progress>(dir.path(), copies, &[], optimizers)
        .err()
        .expect("an error");
    assert!(error.to_string().contains("optimizer-2.bpk"), "{error}");
}

/// A progress value that cannot be written leaves the state before, and nothing beside it.
#[test]
fn failed_save_keeps_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::new();
    save_resume(dir.path(), &net, &[], &[adam()], &progress(1)).unwrap();
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    let error = save_resume(dir.path(), &net, &[], &[adam()], &unwritable).unwrap_err();
    assert!(error.to_string().contains("as JSON: key must be a string"));
    assert_eq!(names(dir.path()), ["resume-1", "resume.json"]);
    assert_eq!(load(dir.path(), net, adam()).unwrap().2, progress(1));
}

#[test]
fn misfits_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut optim = adam();
    let net = Net::new().step(&mut optim, 0);
    save_resume(dir, &net, &[], from_ref(&optim), &progress(1)).unwrap();

    let wider = || {
        let mut net = Net::new();
        net.fc = LinearConfig::new(8, 4).init(&Device::flex().autodiff());
        net
    };
    let error = refused(dir, wider(), adam());
    assert!(
        error.contains("model.bpk does not fit this run: ") && error.contains("fc.weight"),
        "{error}"
    );
    let error = refused(dir, Net::new(), sgd());
    assert!(
        error.contains(
            "optimizer.bpk does not fit this run: it holds 12 tensors of another optimizer, this one takes 0; "
        ),
        "{error}"
    );

    // Every file, cut in the middle.
    for file in ["model.bpk", "optimizer.bpk", "progress.json"] {
        let path = dir.join("resume-1").join(file);
        let whole = fs_err::read(&path).unwrap();
        fs_err::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = refused(dir, Net::new(), adam());
        assert!(error.contains(&format!("{file} has checksum ")), "{error}");
        fs_err::remove_file(&path).unwrap();
        let error = refused(dir, Net::new(), adam());
        assert!(
            error.starts_with("cannot read ") && error.contains(file),
            "{error}"
        );
        fs_err::write(&path, &whole).unwrap();
    }
    load(dir, Net::new(), adam()).unwrap();
    let pointer = dir.join("resume.json");
    let whole = fs_err::read(&pointer).unwrap();
    for length in 0..whole.len() - 2 {
        fs_err::write(&pointer, &whole[..length]).unwrap();
        let error = refused(dir, Net::new(), adam());
        assert!(
            error.contains("resume.json cannot be understood: "),
            "{error}"
        );
    }
    // A damaged pointer does not stop the next save.
    save_resume(dir, &net, &[], from_ref(&optim), &progress(2)).unwrap();
    assert_eq!(load(dir, Net::new(), adam()).unwrap().2, progress(2));
}

#[test]
fn a_state_with_a_value_that_is_no_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::new();
    net.fc.bias = net.fc.bias.map(|bias| bias.map(|bias| bias * f32::NAN));
    save_resume(dir.path(), &net, &[], from_ref(&adam()), &progress(1)).unwrap();
    let error = refused(dir.path(), Net::new(), adam());
    assert!(
        error.contains(
            "model.bpk: entry [0] of tensor \"fc.bias\" is NaN, where a finite number belongs"
        ),
        "{error}"
    );
}

#[test]
fn weights_that_rest_are_left_out_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let resting = [PathPattern::new("conv.*")];
    let (trained, fresh) = (vec![Net::new().step(&mut sgd(), 1)], vec![Net::new()]);
    let weight = |net: &Net| -> Vec<f32> { net.conv.weight.val().into_data().iter().collect() };
    let (expected, held) = (trained[0].bits(), weight(&fresh[0]));
    save_resume(dir.path(), &trained, &resting, &[adam()], &progress(1)).unwrap();
    let (found, ..) = load_resume::<_, Progress>(dir.path(), fresh, &resting, vec![adam()])
        .unwrap()
        .unwrap();
    // The convolution comes first; its weights are those of the fresh network.
    assert_eq!(weight(&found[0]), held);
    assert_ne!(weight(&found[0]), weight(&trained[0]));
    assert_eq!(found[0].bits()[held.len()..], expected[held.len()..]);
    // Without a word about what rests, something is missing.
    let error = load_resume::<_, Progress>(dir.path(), vec![Net::new()], &[], vec![adam()]);
    assert!(error.is_err());
    let more = [PathPattern::new("conv.*"), PathPattern::new("fc.*")];
    let error = load_resume::<_, Progress>(dir.path(), vec![Net::new()], &more, vec![adam()]);
    assert!(error.is_err());

    let manifest = Manifest::new("net".into(), "recipe".into(), 1, "data".into());
    let manifest = manifest.with_resting(resting);
    let folder = dir.path().join("checkpoint");
    save_checkpoint(&folder, &trained[0], &manifest).unwrap();
    let fresh = Net::new();
    let held = weight(&fresh);
    let (found, manifest) = load_checkpoint(&folder, fresh).unwrap();
    assert_eq!(weight(&found), held);
    assert_eq!(found.bits()[held.len()..], expected[held.len()..]);
    assert_eq!(manifest.resting[0].as_str(), "conv.*");
}
