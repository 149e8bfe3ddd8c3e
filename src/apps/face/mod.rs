//! Faces in image files: a gallery of people, and whether an image is of one of them.

mod gallery;
mod vectors;

pub(crate) use gallery::Gallery;
pub(crate) use vectors::{Cut, FaceVerifier};
