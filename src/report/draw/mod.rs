//! What documents are shown with: pages, tables, and pictures as SVG. Everything here escapes the text that it is given.

mod axis;
mod confusion;
mod drawing;
mod energy_bars;
mod page;
mod pictures;
mod plot;
pub(crate) mod quantity;
mod row_chart;
mod signal_strip;
mod table;
mod table_layout;

pub use axis::{Axis, on_axis};
pub use confusion::ConfusionMatrix;
pub use drawing::Drawing;
pub(crate) use drawing::{ADVANCE, MARGIN, NARROW_SCALE, TEXT, WIDTH, class, escape, put, shorten};
pub(crate) use energy_bars::EnergyBars;
pub use page::Page;
pub(crate) use page::{Frame, whole};
pub use pictures::{PictureSheet, PictureSheetRow, PngPicture};
pub use plot::{Layer, Plot};
pub use row_chart::{Mark, Row, RowChart};
pub(crate) use signal_strip::{Piece, SignalStrip, Track};
pub(crate) use table::listed;
pub use table::{Cell, Table};
