//! `crossburn face`: whether two images are of one person.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use crossburn_training::cosine;
use crossburn_training::data::read_comparisons;
use serde_json::json;

use super::device::DeviceChoice;
use super::process::ProcessArguments;
use super::{Outcome, print};
use crate::apps::face::{Cut, FaceVerifier, Gallery};
use crate::apps::stored_network::StoredNetwork;

/// Enroll people in a gallery, and verify whether an image shows one of them
///
/// Networks are trained with `crossburn train` and the task verification (docs/faces.md). Images show one face, cropped like those of the
/// training, in PNG, JPEG, PGM or PPM files. --crop and --landmarks cut faces out of larger images.
///
/// Example: crossburn face verify ann photo.png --checkpoint runs/faces --gallery people
#[derive(Debug, Args)]
pub(super) struct Face {
    #[command(subcommand)]
    verb: FaceVerb,
}

/// What to do with faces.
#[derive(Debug, Subcommand)]
enum FaceVerb {
    Enroll(Enroll),
    Verify(Verify),
}

/// The network that compares faces.
#[derive(Debug, Args)]
struct Network {
    /// A network that was trained with the task verification: a checkpoint, or the run folder that holds it
    #[arg(long, value_name = "RUN", help_heading = "Network")]
    checkpoint: PathBuf,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value_t = DeviceChoice::Cpu,
        help_heading = "Network"
    )]
    device: DeviceChoice,
}

/// Which part of an image is the face.
#[derive(Debug, Args)]
struct Cropping {
    /// Take the largest part in the middle of each image that has the shape of what the network takes, at its size
    #[arg(long, help_heading = "Images")]
    crop: bool,
    /// Align each image by its landmarks in a CSV file: image,x1,y1,x2,y2 for the eyes, and six more numbers for the nose and the corners of the
    /// mouth
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "crop",
        help_heading = "Images"
    )]
    landmarks: Option<PathBuf>,
}

impl Cropping {
    fn cut(self) -> Cut {
        match self.landmarks {
            Some(table) => Cut::Aligned(table),
            None if self.crop => Cut::Centred,
            None => Cut::Whole,
        }
    }
}

/// Enroll one person by one or more images
///
/// The gallery keeps one vector for each person: the mean over the images. A gallery belongs to the network that made it.
///
/// Example: crossburn face enroll ann ann-1.png ann-2.png --checkpoint runs/faces --gallery people
#[derive(Debug, Args)]
struct Enroll {
    /// Name of the person
    person: String,
    /// Images of this person
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Folder of the gallery; it is made if it does not exist
    #[arg(long, value_name = "DIR", help_heading = "Gallery")]
    gallery: PathBuf,
    /// Replace a person of this name
    #[arg(long, help_heading = "Gallery")]
    replace: bool,
    #[command(flatten)]
    cropping: Cropping,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    process: ProcessArguments,
}

/// Say whether an image shows an enrolled person
///
/// Two images count as one person if the cosine of their vectors reaches the threshold. The threshold comes from people whom the training
/// held back, and is kept with the checkpoint.
///
/// --pairs compares the images of a list instead. Each line of the list is a pair, path1;path2, and gives a line score,decision.
///
/// Example: crossburn face verify ann photo.png --checkpoint runs/faces --gallery people
///
/// Example: crossburn face verify --pairs pairs.txt --checkpoint runs/faces > scores.csv
#[derive(Debug, Args)]
struct Verify {
    /// Name of the person
    #[arg(required_unless_present = "pairs", requires = "image")]
    person: Option<String>,
    /// The image
    #[arg(requires = "gallery")]
    image: Option<PathBuf>,
    /// Folder of the gallery
    #[arg(long, value_name = "DIR", help_heading = "Gallery")]
    gallery: Option<PathBuf>,
    /// A list of pairs of images, instead of a person and an image
    #[arg(long, value_name = "FILE", conflicts_with_all = ["person", "image", "gallery"], help_heading = "Gallery")]
    pairs: Option<PathBuf>,
    /// The cosine at which two images begin to count as one person [default: that of the checkpoint]
    #[arg(
        long,
        value_name = "COSINE",
        allow_negative_numbers = true,
        help_heading = "Options"
    )]
    threshold: Option<f64>,
    /// Print the decision about a person as a line of JSON
    #[arg(long, conflicts_with = "pairs", help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    cropping: Cropping,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    process: ProcessArguments,
}

impl Face {
    /// The arguments about the process.
    pub(super) fn process(&self) -> &ProcessArguments {
        match &self.verb {
            FaceVerb::Enroll(verb) => &verb.process,
            FaceVerb::Verify(verb) => &verb.process,
        }
    }

    pub(super) fn run(self) -> Result<Outcome> {
        match self.verb {
            FaceVerb::Enroll(verb) => verb.run(),
            FaceVerb::Verify(verb) => verb.run(),
        }
    }
}

impl Enroll {
    fn run(self) -> Result<Outcome> {
        let device = self.network.device.open()?;
        let stored = StoredNetwork::open(&self.network.checkpoint)?;
        let verifier = FaceVerifier::new(&stored, &device)?;
        let mut gallery = Gallery::open(&self.gallery, stored.manifest.weights_checksum())?;
        let vectors = verifier.vectors(self.images, &self.cropping.cut())?;
        gallery.enroll(&self.person, &vectors, self.replace)?;
        gallery.write()?;
        let images = match vectors.len() {
            1 => "1 image".to_string(),
            count => format!("{count} images"),
        };
        let people = match gallery.len() {
            1 => "1 person".to_string(),
            count => format!("{count} people"),
        };
        print(&format!(
            "{} is enrolled by {images}; {} has {people}",
            self.person,
            self.gallery.display()
        ))?;
        Ok(Outcome::Done)
    }
}

impl Verify {
    fn run(self) -> Result<Outcome> {
        if let Some(threshold) = self.threshold
            && !(-1.0..=1.0).contains(&threshold)
        {
            bail!("--threshold {threshold} is no cosine: use a number from -1 to 1");
        }
        let device = self.network.device.open()?;
        let stored = StoredNetwork::open(&self.network.checkpoint)?;
        let verifier = FaceVerifier::new(&stored, &device)?;
        let (threshold, from) = verifier.threshold(self.threshold)?;
        let cut = self.cropping.cut();
        if let Some(list) = &self.pairs {
            let pairs = read_comparisons(list)?;
            // Lists name an image in many pairs.
            let (mut files, mut known) = (Vec::new(), BTreeMap::new());
            let mut number = |path: PathBuf| {
                *known.entry(path).or_insert_with_key(|path: &PathBuf| {
                    files.push(path.clone());
                    files.len() - 1
                })
            };
            let pairs: Vec<[usize; 2]> = pairs
                .into_iter()
                .map(|pair| [number(pair.first), number(pair.second)])
                .collect();
            let vectors = verifier.vectors(files, &cut)?;
            for [first, second] in pairs {
                let score = cosine(&vectors[first], &vectors[second]);
                let decision = u8::from(score >= threshold);
                print(&format!("{score:.8},{decision}"))?;
            }
            return Ok(Outcome::Done);
        }
        let (Some(person), Some(image), Some(gallery)) = (self.person, self.image, self.gallery)
        else {
            bail!("name a person, an image and --gallery, or give --pairs");
        };
        let gallery = Gallery::open(&gallery, stored.manifest.weights_checksum())?;
        let enrolled = gallery.vector(&person)?;
        let vectors = verifier.vectors(vec![image.clone()], &cut)?;
        let score = vectors
            .first()
            .map_or(f64::NAN, |found| cosine(found, enrolled));
        let accepted = score >= threshold;
        if self.json {
            let document = json!({
                "person": person,
                "image": image,
                "score": score,
                "threshold": threshold,
                "threshold_from": from,
                "decision": accepted,
            });
            print(&document.to_string())?;
            return Ok(Outcome::Done);
        }
        let decision = match accepted {
            true => format!("this is {person}"),
            false => format!("this is not {person}"),
        };
        print(&format!(
            "{decision}: score {score:.4}, threshold {threshold:.4} (from {from})"
        ))?;
        Ok(Outcome::Done)
    }
}
