//! What a task shows of its items besides numbers: charts, and some items in pictures.

use crossburn_noise::Metric;
use serde::{Deserialize, Serialize};

/// What is shown of the items that a network was judged on; empty for most tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// How two numbers go together.
    pub charts: Vec<Chart>,
    /// Some items, with what a network makes of them.
    pub pictures: Option<Pictures>,
}

/// How two numbers go together, such as precision and recall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// Line below the heading: what was counted, and how many there are.
    pub note: String,
    /// What the horizontal axis shows.
    pub x: Metric,
    /// Whether the horizontal axis is in decades. Then every number on it is above 0.
    pub decades: bool,
    /// What the vertical axis shows.
    pub y: Metric,
    /// What is drawn, from back to front.
    pub traces: Vec<Trace>,
}

/// Points of a chart that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// What the network is called that they are of; traces with the same name have one colour. A task leaves it empty, since it does not know which
    /// network it judges.
    pub of: String,
    /// How they are drawn.
    pub shape: Shape,
    /// The points, as (x, y).
    pub points: Vec<(f64, f64)>,
}

/// How the points of a [`Trace`] are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A line through them.
    Line,
    /// A line through them with a marker at each.
    Marked,
    /// A marker at each. A chart shows them for the network itself, not for chips, where many markers would hide each other.
    Points,
    /// The area between two lines: of each two points, which have one x, the first is on the lower line. For the network itself, as markers are.
    Band,
}

/// Some items, one in each row, with what a network makes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Heading.
    pub title: String,
    /// What stands in the columns, and which items were chosen.
    pub note: String,
    /// Headings of the columns.
    pub columns: Vec<String>,
    /// One row for every item.
    pub rows: Vec<PictureRow>,
}

/// One item in pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureRow {
    /// Why it was chosen.
    pub name: String,
    /// Which item it is, and what it was judged by, one line each.
    pub notes: Vec<String>,
    /// One picture for every column.
    pub panels: Vec<Picture>,
}

/// A picture, pixel by pixel from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row.
    pub width: usize,
    /// Red, green and blue of each pixel.
    pub pixels: Vec<[u8; 3]>,
}
