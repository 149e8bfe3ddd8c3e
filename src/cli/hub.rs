//! Models by their names at the Hugging Face hub: `owner/name`, `owner/name@revision`, `owner/name/FILE.gguf`.
//!
//! Files go to the cache that the programs of Hugging Face share, `~/.cache/huggingface/hub`. What `HF_HOME`, `HF_ENDPOINT`,
//! `HF_TOKEN` and `HF_HUB_OFFLINE` mean there, they mean here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use indicatif::ProgressBar;

use super::note;
use super::process::is_quiet;

/// A model at the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HubName {
    /// `owner/name`.
    name: String,
    /// The one file of several that is meant.
    file: Option<String>,
    revision: Option<String>,
}

/// Files beside the weights that a model may have.
const SMALL_FILES: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

impl HubName {
    /// The name that `text` is; `None` for what can only be a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (path, revision) = match text.split_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (text, None),
        };
        let word = |word: &str, also: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
            !word.is_empty() && !word.starts_with('.') && word.chars().all(fits)
        };
        let parts: Vec<&str> = path.split('/').collect();
        let file = match parts[..] {
            [_, _] => None,
            [_, _, file] if file.ends_with(".gguf") => Some(file),
            _ => return None,
        };
        let fits = parts.iter().all(|part| word(part, "-_."))
            && revision.is_none_or(|revision| word(revision, "-_./") && !revision.contains(".."));
        fits.then(|| Self {
            name: format!("{}/{}", parts[0], parts[1]),
            file: file.map(str::to_string),
            revision: revision.map(str::to_string),
        })
    }

    fn repo(&self, revision: Option<&str>) -> Repo {
        let revision = revision.or(self.revision.as_deref()).unwrap_or("main");
        Repo::with_revision(self.name.clone(), RepoType::Model, revision.to_string())
    }

    /// The folder or the GGUF file of the model on this machine; what is missing is downloaded before.
    ///
    /// # Errors
    /// No such model, no network and no copy, or a model without files that can be read.
    pub(super) fn fetch(&self) -> Result<PathBuf> {
        let cache = Cache::from_env();
        if is_set("HF_HUB_OFFLINE") {
            let kept = self.kept(&cache);
            return kept.with_context(|| {
                format!(
                    "{} was not downloaded before, and HF_HUB_OFFLINE forbids it now: unset it, or give a folder",
                    self.name
                )
            });
        }
        let api = api()?;
        let info = match api.repo(self.repo(None)).info() {
            Ok(info) => info,
            Err(error) => match (self.kept(&cache), is_absent(&error)) {
                (Some(kept), false) => {
                    note(&format!(
                        "the hub cannot be reached ({error}): taking the copy of {}",
                        self.name
                    ));
                    return Ok(kept);
                }
                _ => return Err(self.explained(&error)),
            },
        };
        // All files of one commit, because files of two versions do not belong together.
        let repo = api.repo(self.repo(Some(&info.sha)));
        let path = self.download(&repo, &info)?;
        // Remember the commit of this revision, for the next time without a network.
        let kept = cache.repo(self.repo(None)).create_ref(&info.sha);
        kept.with_context(|| format!("cannot write into {}", cache.path().display()))?;
        Ok(path)
    }

    /// The path of a copy that was downloaded before.
    fn kept(&self, cache: &Cache) -> Option<PathBuf> {
        let files = cache.repo(self.repo(None));
        if let Some(file) = &self.file {
            return files.get(file);
        }
        let config = files.get("config.json")?;
        config.parent().map(Path::to_path_buf)
    }

    /// Downloads the files of the model that the cache lacks.
    fn download(&self, repo: &ApiRepo, info: &RepoInfo) -> Result<PathBuf> {
        let listed: Vec<&str> = info
            .siblings
            .iter()
            .map(|file| file.rfilename.as_str())
            .collect();
        let get = |file: &str| -> Result<PathBuf> {
            self.get(repo, &info.sha, file)
                .map_err(|error| self.explained(&error))
        };
        if let Some(file) = &self.file {
            if !listed.contains(&file.as_str()) {
                bail!("{} has no file {file}: {}", self.name, gguf_files(&listed));
            }
            return get(file);
        }
        let weights = [WEIGHTS, INDEX]
            .into_iter()
            .find(|file| listed.contains(file));
        let Some(weights) = weights.filter(|_| listed.contains(&"config.json")) else {
            bail!(
                "{} has no config.json with {WEIGHTS}: {}",
                self.name,
                gguf_files(&listed)
            );
        };
        let small = SMALL_FILES.into_iter().filter(|file| listed.contains(file));
        let mut folder = PathBuf::new();
        for file in small {
            folder = get(file)?
                .parent()
                .map(Path::to_path_buf)
                .unwrap_or_default();
        }
        let weights = get(weights)?;
        if weights.ends_with(INDEX) {
            for shard in shards(&weights)? {
                get(&shard)?;
            }
        }
        Ok(folder)
    }

    /// One file of commit `sha`, from the cache where it is there.
    fn get(&self, repo: &ApiRepo, sha: &str, file: &str) -> Result<PathBuf, ApiError> {
        let cache = Cache::from_env();
        if let Some(path) = cache.repo(self.repo(Some(sha))).get(file) {
            return Ok(path);
        }
        let bar = match is_quiet() {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(0),
        };
        repo.download_with_progress(file, bar)
    }

    fn explained(&self, error: &ApiError) -> anyhow::Error {
        let endpoint = std::env::var("HF_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|_| "https://huggingface.co".to_string());
        let name = match &self.revision {
            Some(revision) => format!("{}@{revision}", self.name),
            None => self.name.clone(),
        };
        match error {
            error if is_absent(error) => anyhow::anyhow!(
                "there is neither a path {name} here nor a public model of that name at {endpoint}: check the name; for a \
                 private or gated model set HF_TOKEN"
            ),
            ApiError::LockAcquisition(path) => anyhow::anyhow!(
                "another process downloads {name} ({} is locked): wait for it",
                path.display()
            ),
            error => anyhow::anyhow!(
                "cannot download {name} from {endpoint} ({error}): check the network and repeat the command, which goes on \
                 where it stopped; or give a folder or a GGUF file"
            ),
        }
    }
}

fn api() -> Result<Api> {
    let mut builder = ApiBuilder::from_env().with_retries(2);
    if let Ok(token) = std::env::var("HF_TOKEN")
        && !token.trim().is_empty()
    {
        builder = builder.with_token(Some(token.trim().to_string()));
    }
    builder.build().context("cannot set up downloads")
}

/// Whether the hub says that there is no such thing for this user: it answers 401 for names that do not exist.
fn is_absent(error: &ApiError) -> bool {
    let text = error.to_string();
    ["401", "403", "404"]
        .iter()
        .any(|status| text.ends_with(&format!("http status: {status}")))
}

/// Whether the environment switches something on, in the words of Hugging Face.
fn is_set(name: &str) -> bool {
    let value = std::env::var(name).unwrap_or_default().to_ascii_lowercase();
    ["1", "on", "true", "yes"].contains(&value.as_str())
}

/// A remedy for users of GGUF files.
fn gguf_files(listed: &[&str]) -> String {
    let files: Vec<&str> = listed
        .iter()
        .copied()
        .filter(|file| file.ends_with(".gguf"))
        .collect();
    match files.as_slice() {
        [] => "choose a model with weights in safetensors".to_string(),
        files => format!(
            "name one of its GGUF files with owner/name/FILE: {}",
            files.join(", ")
        ),
    }
}

/// The files that an index of weights names.
fn shards(index: &Path) -> Result<Vec<String>> {
    let text = fs_err::read(index)?;
    let document: serde_json::Value = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is no index of weights: download it again",
            index.display()
        )
    })?;
    let places = document
        .get("weight_map")
        .and_then(serde_json::Value::as_object);
    let names = places
        .into_iter()
        .flatten()
        .filter_map(|(_, file)| file.as_str());
    // A name alone: an index reaches no file outside its folder.
    let names = names
        .filter(|name| Path::new(name).file_name().and_then(|name| name.to_str()) == Some(*name));
    let names: std::collections::BTreeSet<String> = names.map(str::to_string).collect();
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let name = |name: &str, file: Option<&str>, revision: Option<&str>| HubName {
            name: name.to_string(),
            file: file.map(str::to_string),
            revision: revision.map(str::to_string),
        };
        for (text, expected) in [
            (
                "HuggingFaceTB/SmolLM2-135M",
                Some(name("HuggingFaceTB/SmolLM2-135M", None, None)),
            ),
            ("a/b@v1.0", Some(name("a/b", None, Some("v1.0")))),
            ("a/b@refs/pr/3", Some(name("a/b", None, Some("refs/pr/3")))),
            (
                "a/b/c-Q4_1.gguf",
                Some(name("a/b", Some("c-Q4_1.gguf"), None)),
            ),
            (
                "a/b/c.gguf@main",
                Some(name("a/b", Some("c.gguf"), Some("main"))),
            ),
            ("model.gguf", None),
            ("./a/b", None),
            ("../a/b", None),
            ("/a/b", None),
            ("a/b/c", None),
            ("a/", None),
            ("a/b@", None),
            ("a/b@../c", None),
            ("a b/c", None),
        ] {
            assert_eq!(HubName::parse(text), expected, "{text}");
        }
    }
}
