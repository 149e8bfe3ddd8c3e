//! Ways to make a language model personal, and the devices that each of them suits: a study in one of its sizes.

use anyhow::{Result, bail};

use super::Extent;
use super::registry::{Asked, Paper, Repeat};
use crate::apps::edge_llm::StudyFile;

/// Which way to make a language model personal suits which device?
///
/// # Source
/// That of [`edge_llm`](crate::apps::edge_llm).
pub(crate) struct EdgeLlmPaper;

impl Paper for EdgeLlmPaper {
    const NAME: &'static str = "edge-llm";
    const ABOUT: &'static str =
        "Ways to make a language model personal, and the devices that each of them suits";
    const DATA: Option<&'static str> = None;
    const USUAL_SOURCE: Option<&'static str> = None;
    const SEEDS: &'static str = "that of its study";
    const NOTES: &'static str =
        "Each seed is a person. --quick takes two people and two steps, --full the study `full`.";

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        if let Some(source) = &asked.source {
            bail!("this paper's experiment is not defined on {source}: drop --data");
        }
        repeat.study(StudyFile::open(match asked.extent {
            Extent::Quick => "tiny",
            Extent::Usual => "quick",
            Extent::Full => "full",
        })?)
    }
}
