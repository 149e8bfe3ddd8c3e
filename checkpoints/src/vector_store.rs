//! A store of vectors in a folder, so that what was stored is found again by a later program.
//!
//! | file | what it holds |
//! |---|---|
//! | `store.json` | setting, dimension, model, device and chip: what does not change while entries come and go |
//! | `store.safetensors` | integers at each scale, entries, writes of every slot, full scales, and the [`checksum`](crate::checksum()) of both files |
//!
//! Each file is replaced as a whole. When entries come or go, the second file alone changes: a crash leaves the old store or the new
//! one. When the setting or the origin changes too, a crash between the two files leaves a store that [`load_vector_store`] refuses.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Bytes;
use crossburn_hardware::search::{EntryId, SearchConfig, StoredState, VectorStore};
use crossburn_noise::ChipSeed;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::atomic::Prepared;
use crate::checksum::Checksum;
use crate::error::CheckpointError;
use crate::manifest::{from_json, to_json};
use crate::safetensors_header::explained;
use crate::tensor_view::TensorView;

/// Format written to and expected in `store.json`.
const FORMAT: &str = "crossburn.vector-store/1";
/// Name of the file that says what the store is.
const STORE_FILE: &str = "store.json";
/// Name of the file that holds its entries.
const ENTRIES_FILE: &str = "store.safetensors";

const ENTRIES: &str = "entries";
const WRITES: &str = "writes";
const FULL_SCALES: &str = "full_scales";
const COUNTS: &str = "counts";
/// The entry of a free slot.
const FREE: u64 = u64::MAX;

/// Whose vectors a store holds, and on which chip.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreOrigin {
    /// The encoder that made the vectors, by a name that tells encoders apart.
    pub model: String,
    /// The memory cell that holds them, by the name that it was chosen by.
    pub device: String,
    /// The chip that searches.
    pub chip: ChipSeed,
}

/// Content of `store.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreManifest {
    format: String,
    version: String,
    model: String,
    device: String,
    dimension: usize,
    population: u64,
    chip: u64,
    config: SearchConfig,
}

/// Writes `store` to the folder `dir`, creating it where needed and replacing the store in it.
///
/// # Errors
///
/// [`CheckpointError::Write`] when the operating system refuses. The old store is then still in the folder, unless `store.json` has
/// changed and the other file could not be renamed: [`load_vector_store`] refuses the store then.
///
/// ```
/// use crossburn_checkpoints::{StoreOrigin, load_vector_store, save_vector_store};
/// use crossburn_hardware::MemoryDevice;
/// use crossburn_hardware::search::{SearchConfig, VectorStore};
/// use crossburn_noise::ChipSeed;
///
/// let dir = tempfile::tempdir()?;
/// let config = SearchConfig::new(MemoryDevice::preset("rram4")?);
/// let store = VectorStore::of(&[1.0, 0.5, -0.5, 1.0], 2, &config)?;
/// let origin = StoreOrigin {
///     model: "hashed-ngrams".to_string(),
///     device: "rram4".to_string(),
///     chip: ChipSeed::new(7, 17),
/// };
/// save_vector_store(dir.path(), &store, &origin)?;
/// let (again, found) = load_vector_store(dir.path())?;
/// assert_eq!((again.state(), found), (store.state(), origin));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save_vector_store(
    dir: &Path,
    store: &VectorStore,
    origin: &StoreOrigin,
) -> Result<(), CheckpointError> {
    fs_err::create_dir_all(dir).map_err(CheckpointError::writing(dir))?;
    let (manifest_path, entries_path) = (dir.join(STORE_FILE), dir.join(ENTRIES_FILE));
    let manifest = StoreManifest {
        format: FORMAT.to_string(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        model: origin.model.clone(),
        device: origin.device.clone(),
        dimension: store.dimension(),
        population: origin.chip.population(),
        chip: origin.chip.index(),
        config: store.config().clone(),
    };
    let json = to_json(&manifest, &manifest_path)?;
    let entries = encoded(&store.state(), &json, &entries_path)?;
    let entries = Prepared::new(&entries_path, |file| file.write_all(&entries))?;
    if std::fs::read(&manifest_path).ok().as_deref() != Some(&json) {
        Prepared::new(&manifest_path, |file| file.write_all(&json))?.commit()?;
    }
    entries.commit()
}

/// Reads the store in the folder `dir`, and where it came from. It searches as the store that was saved, to the bit.
///
/// # Errors
///
/// [`CheckpointError::Missing`] when there is no such folder, [`CheckpointError::Store`] when it holds no store or a damaged one,
/// [`CheckpointError::Malformed`] or [`CheckpointError::Format`] when its manifest cannot be understood.
pub fn load_vector_store(dir: &Path) -> Result<(VectorStore, StoreOrigin), CheckpointError> {
    let (manifest_path, entries_path) = (dir.join(STORE_FILE), dir.join(ENTRIES_FILE));
    if !dir.exists() {
        return Err(CheckpointError::Missing { dir: dir.into() });
    }
    for path in [&manifest_path, &entries_path] {
        if !path.is_file() {
            let cause = format!(
                "it is no store of vectors, since it has no file {}; store something in it first",
                path.file_name().unwrap_or_default().display()
            );
            return Err(refused(dir, cause));
        }
    }
    let read = |path: &PathBuf| std::fs::read(path).map_err(CheckpointError::reading(path));
    let json = read(&manifest_path)?;
    let manifest: StoreManifest = from_json(&json, &manifest_path, FORMAT)?;
    let state = decoded(&read(&entries_path)?, &json, &manifest, &entries_path)?;
    let store = VectorStore::restored(manifest.dimension, &manifest.config, state)
        .map_err(|error| refused(dir, error.to_string()))?;
    let origin = StoreOrigin {
        model: manifest.model,
        device: manifest.device,
        chip: ChipSeed::new(manifest.population, manifest.chip),
    };
    Ok((store, origin))
}

impl StoreOrigin {
    /// Refuses to use `store`, which lies in `dir` and came from here, with the vectors of another model, or with vectors of another
    /// number of numbers.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Store`] with what was found, what was asked for and what to do.
    pub fn expect_model(
        &self,
        dir: &Path,
        store: &VectorStore,
        model: &str,
        dimension: usize,
    ) -> Result<(), CheckpointError> {
        let cause = if model != self.model {
            format!(
                "its vectors were made by the model `{}`, not by `{model}`; use that model, or store anew in another folder",
                self.model
            )
        } else if dimension != store.dimension() {
            format!(
                "its vectors have {} numbers, not {dimension}; use the encoder that they were made with, or store anew in another folder",
                store.dimension()
            )
        } else {
            return Ok(());
        };
        Err(refused(dir, cause))
    }

    /// Refuses to use the store in `dir`, which came from here, as one on cells of another device.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Store`] with both names and what to do.
    pub fn expect_device(&self, dir: &Path, device: &str) -> Result<(), CheckpointError> {
        if device == self.device {
            return Ok(());
        }
        let cause = format!(
            "its entries lie on cells of the device `{}`, not of `{device}`; leave the device out, or store anew in another folder",
            self.device
        );
        Err(refused(dir, cause))
    }
}

fn refused(path: &Path, cause: String) -> CheckpointError {
    CheckpointError::Store {
        path: path.into(),
        cause,
    }
}

/// Content of `store.safetensors`, which belongs to the manifest `json`.
fn encoded(state: &StoredState, json: &[u8], path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let entries = state
        .entries
        .iter()
        .map(|entry| entry.map_or(FREE, EntryId::get));
    let full_scales = state.full_scales.iter().map(|scale| scale.unwrap_or(0.0));
    let slots = state.entries.len();
    let mut tensors = vec![
        (
            ENTRIES.to_string(),
            Dtype::U64,
            vec![slots],
            bytes(entries.map(u64::to_le_bytes)),
        ),
        (
            WRITES.to_string(),
            Dtype::U32,
            vec![slots],
            bytes(state.writes.iter().map(|writes| writes.to_le_bytes())),
        ),
        (
            FULL_SCALES.to_string(),
            Dtype::F32,
            vec![state.full_scales.len()],
            bytes(full_scales.map(f32::to_le_bytes)),
        ),
        (
            COUNTS.to_string(),
            Dtype::U64,
            vec![2],
            bytes(
                [state.next.get(), state.clipped]
                    .into_iter()
                    .map(u64::to_le_bytes),
            ),
        ),
    ];
    for (scale, codes) in state.codes.iter().enumerate() {
        let shape = vec![slots, codes.len() / slots.max(1)];
        let codes = bytes(codes.iter().map(|code| code.to_le_bytes()));
        tensors.push((codes_name(scale), Dtype::I8, shape, codes));
    }
    let parts = tensors.iter().map(|(.., data)| data.as_slice());
    let checksum = checksum_of(json, parts);
    let views = tensors.into_iter().map(|(name, dtype, shape, data)| {
        let data = Bytes::from_bytes_vec(data);
        (name, TensorView { dtype, shape, data })
    });
    // One key: the order of several would differ between runs.
    let metadata = HashMap::from([("checksum".to_string(), checksum)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| CheckpointError::Tensor {
        path: path.into(),
        cause: error.to_string(),
    })
}

/// The state in `file`, the content of the safetensors file `path` of the manifest `json`.
fn decoded(
    file: &[u8],
    json: &[u8],
    manifest: &StoreManifest,
    path: &Path,
) -> Result<StoredState, CheckpointError> {
    let unreadable = |error: safetensors::SafeTensorError| CheckpointError::NotSafetensors {
        path: path.into(),
        cause: explained(file, &error.to_string()),
    };
    let tensors = SafeTensors::deserialize(file).map_err(unreadable)?;
    let (_, header) = SafeTensors::read_metadata(file).map_err(unreadable)?;
    let part = |name: &str, dtype: Dtype| match tensors.tensor(name) {
        Ok(tensor) if tensor.dtype() == dtype => Ok(tensor.data()),
        _ => Err(refused(
            path,
            format!(
                "it lacks the tensor `{name}` of type {dtype}; take an older copy of the store"
            ),
        )),
    };
    let entries = part(ENTRIES, Dtype::U64)?;
    let writes = part(WRITES, Dtype::U32)?;
    let full_scales = part(FULL_SCALES, Dtype::F32)?;
    let counts = part(COUNTS, Dtype::U64)?;
    let codes = (0..manifest.config.scales.len())
        .map(|scale| part(&codes_name(scale), Dtype::I8))
        .collect::<Result<Vec<_>, _>>()?;
    let all = [entries, writes, full_scales, counts].into_iter();
    let found = checksum_of(json, all.chain(codes.iter().copied()));
    let recorded = header
        .metadata()
        .as_ref()
        .and_then(|map| map.get("checksum"));
    if recorded != Some(&found) {
        let cause = "it was not written together with store.json, or is damaged; take an older copy of the store";
        return Err(refused(path, cause.to_string()));
    }
    let numbers = |data: &[u8]| -> Vec<u64> {
        let (chunks, _) = data.as_chunks::<8>();
        chunks
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect()
    };
    let [next, clipped] = numbers(counts)[..] else {
        return Err(refused(
            path,
            format!("its tensor `{COUNTS}` has not two numbers; take an older copy of the store"),
        ));
    };
    let entry = |number: u64| (number != FREE).then(|| EntryId::new(number));
    let (writes, _) = writes.as_chunks::<4>();
    let (full_scales, _) = full_scales.as_chunks::<4>();
    let full_scale = |bytes: &[u8; 4]| Some(f32::from_le_bytes(*bytes)).filter(|s| *s != 0.0);
    Ok(StoredState {
        codes: codes
            .into_iter()
            .map(|codes| {
                codes
                    .iter()
                    .map(|code| i8::from_le_bytes([*code]))
                    .collect()
            })
            .collect(),
        full_scales: full_scales.iter().map(full_scale).collect(),
        entries: numbers(entries).into_iter().map(entry).collect(),
        writes: writes
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect(),
        next: EntryId::new(next),
        clipped,
    })
}

fn codes_name(scale: usize) -> String {
    format!("codes.{scale}")
}

fn bytes<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    values.flatten().collect()
}

/// The checksum of the manifest and of all tensors.
fn checksum_of<'a>(json: &[u8], tensors: impl Iterator<Item = &'a [u8]>) -> String {
    let mut sum = Checksum::default();
    sum.add(json);
    tensors.for_each(|data| sum.add(data));
    sum.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;
    use crossburn_hardware::MemoryDevice;
    use crossburn_hardware::deploy::{Fidelity, Hardware};
    use crossburn_hardware::search::{QuantizedQueries, SearchScale};

    const DIMENSION: usize = 12;

    fn numbers(path: &str, count: usize) -> Vec<f32> {
        let mut draws = vec![0.0; count];
        ChipSeed::new(1, 1).generator(path).fill_normal(&mut draws);
        draws
    }

    fn config() -> SearchConfig {
        let device = MemoryDevice::preset("fefet3").unwrap();
        SearchConfig {
            scales: [(1, 1.0), (2, 0.8), (4, 0.6)]
                .map(|(pool, weight)| SearchScale { pool, weight })
                .to_vec(),
            ..SearchConfig::new(device)
        }
    }

    /// Entries that came and went.
    fn store(config: &SearchConfig) -> VectorStore {
        let mut store =
            VectorStore::of(&numbers("stored", 20 * DIMENSION), DIMENSION, config).unwrap();
        for entry in [3, 11, 19] {
            store.erase(EntryId::new(entry)).unwrap();
        }
        store.append(&numbers("later", DIMENSION)).unwrap();
        store
    }

    fn origin() -> StoreOrigin {
        StoreOrigin {
            model: "minilm".to_string(),
            device: "fefet3".to_string(),
            chip: ChipSeed::new(u64::MAX, 17),
        }
    }

    #[test]
    fn a_store_that_is_saved_and_loaded_searches_to_the_same_bytes() {
        let presets = ["papers", "isaac"].map(|name| Hardware::preset(name).unwrap());
        let of_presets = presets.map(|hardware| SearchConfig {
            fidelity: Fidelity::Array,
            ..SearchConfig::on(hardware.config().clone())
        });
        for config in [config()].iter().chain(&of_presets) {
            let dir = tempfile::tempdir().unwrap();
            let store = store(config);
            save_vector_store(dir.path(), &store, &origin()).unwrap();
            let (again, found) = load_vector_store(dir.path()).unwrap();
            assert_eq!((&again.state(), again.config()), (&store.state(), config));
            assert_eq!(found, origin());
            let queries = numbers("query", 9 * DIMENSION);
            let queries = QuantizedQueries::new(&queries, DIMENSION, config).unwrap();
            let hits = |store: &VectorStore| {
                let chip = store.program(found.chip).unwrap();
                let hits = chip.search(&queries, 5).unwrap();
                let bits = |hit: &crossburn_hardware::search::Hit| (hit.entry, hit.score.to_bits());
                hits.iter().flatten().map(bits).collect::<Vec<_>>()
            };
            assert_eq!(hits(&again), hits(&store));
            // The same store gives the same files.
            let files =
                || [STORE_FILE, ENTRIES_FILE].map(|f| std::fs::read(dir.path().join(f)).unwrap());
            let before = files();
            save_vector_store(dir.path(), &again, &found).unwrap();
            assert_eq!(files(), before);
        }
    }

    #[test]
    fn an_empty_store_is_kept_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = VectorStore::new(DIMENSION, &config()).unwrap();
        save_vector_store(dir.path(), &store, &origin()).unwrap();
        let (mut again, _) = load_vector_store(dir.path()).unwrap();
        assert!(again.is_empty());
        again.append(&numbers("first", DIMENSION)).unwrap();
    }

    #[test]
    fn another_model_device_or_dimension_is_refused_by_name() {
        let dir = Path::new("memory");
        let store = store(&config());
        let model = |model, dimension| {
            let checked = origin().expect_model(dir, &store, model, dimension);
            checked.map_err(|error| error.to_string())
        };
        let device = |device| {
            let checked = origin().expect_device(dir, device);
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(
            model("hashed-ngrams", DIMENSION).unwrap_err(),
            "memory: its vectors were made by the model `minilm`, not by `hashed-ngrams`; use that model, or store anew in another folder"
        );
        assert_eq!(
            model("minilm", 13).unwrap_err(),
            "memory: its vectors have 12 numbers, not 13; use the encoder that they were made with, or store anew in another folder"
        );
        assert_eq!(
            device("rram4").unwrap_err(),
            "memory: its entries lie on cells of the device `fefet3`, not of `rram4`; leave the device out, or store anew in another folder"
        );
        model("minilm", DIMENSION).unwrap();
        device("fefet3").unwrap();
    }

    #[test]
    fn damage_is_an_error_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let error = || load_vector_store(dir.path()).unwrap_err().to_string();
        assert!(error().contains("it has no file store.json; store something in it first"));
        save_vector_store(dir.path(), &store(&config()), &origin()).unwrap();
        let path = dir.path().join(ENTRIES_FILE);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 7, 8, 60, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(
                error().contains("is not a readable safetensors file"),
                "{}",
                error()
            );
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert!(error().contains("not written together with store.json, or is damaged"));
        std::fs::write(&path, &whole).unwrap();
        let manifest = dir.path().join(STORE_FILE);
        let json = std::fs::read_to_string(&manifest).unwrap();
        let other = json.replace("\"dimension\": 12", "\"dimension\": 24");
        std::fs::write(&manifest, other).unwrap();
        assert!(error().contains("not written together with store.json, or is damaged"));
        std::fs::write(&manifest, json.replace("vector-store/1", "vector-store/2")).unwrap();
        assert!(error().contains("has format \"crossburn.vector-store/2\""));
        assert!(!error().contains('\n'));
    }
}
