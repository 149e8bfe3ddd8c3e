//! Items in pictures: one row for each item, and in it what a network was given, what it made of it, and what is right.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use super::drawing::{
    ADVANCE, BROAD, Drawing, MARGIN, NARROW_SCALE, RIGHT, TEXT, WIDTH, escape, put, shorten, wrap,
};
use crate::report::ReportError;
use crate::report::check::invalid;

/// Space on the left for what is said of a row.
const LEFT: f64 = 210.0;
/// Space between two pictures.
const GAP: f64 = 10.0;
/// The widest picture: few columns do not fill the page.
const WIDEST: f64 = 200.0;
/// Height of a line of text.
const LINE: f64 = 20.0;
/// Pixels along each side of a picture at most.
const MOST_PIXELS: u32 = 4096;
/// Pictures beside each other on a narrow screen.
const BESIDE: usize = 4;
/// Columns of a sheet at most: more do not fit the width of a page.
const MOST_COLUMNS: usize = 12;

/// Items in pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSheet {
    /// Heading.
    pub title: String,
    /// What stands in the columns, and which items were chosen.
    pub note: String,
    /// Headings of the columns.
    pub columns: Vec<String>,
    /// One row for every item.
    pub rows: Vec<PictureSheetRow>,
}

/// One item in pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSheetRow {
    /// Why it was chosen.
    pub name: String,
    /// Which item it is, and what it was judged by.
    pub notes: Vec<String>,
    /// One picture for every column.
    pub panels: Vec<PngPicture>,
}

/// A picture as it is kept in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PngPicture {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The file as PNG in base64.
    pub png: String,
}

impl PngPicture {
    /// A picture of `width` pixels a row, from the top left; rows that are not full are left out.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] for a picture without a pixel, or with too many.
    pub fn new(width: usize, pixels: &[[u8; 3]]) -> Result<Self, ReportError> {
        let at = "pictures";
        let height = pixels.len() / width.max(1);
        let most = MOST_PIXELS as usize;
        if !(1..=most).contains(&width) || !(1..=most).contains(&height) {
            return Err(invalid(at, format!("has one of {width} x {height} pixels")));
        }
        let mut drawn = RgbImage::new(width as u32, height as u32);
        for (to, from) in drawn.pixels_mut().zip(pixels) {
            *to = Rgb(*from);
        }
        let mut bytes = Cursor::new(Vec::new());
        let written = drawn.write_to(&mut bytes, ImageFormat::Png);
        written.map_err(|cause| invalid(at, format!("cannot be written as PNG: {cause}")))?;
        Ok(Self {
            width: width as u32,
            height: height as u32,
            png: base64(bytes.get_ref()),
        })
    }
}

/// The identifier of a picture on a page.
fn panel_id(row: usize, column: usize) -> String {
    format!("{}-{row}-{column}", PictureSheet::ID)
}

/// Bytes as text (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

impl PictureSheet {
    /// The identifier of its drawing.
    pub(crate) const ID: &'static str = "pictures";

    /// Checks that the columns fit a page, that every row has as many pictures as there are columns, and that pictures are text of base64.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] for too many columns, or with the first row that is wrong.
    pub(crate) fn check(&self) -> Result<(), ReportError> {
        if self.columns.len() > MOST_COLUMNS {
            let columns = self.columns.len();
            return Err(invalid(
                "pictures",
                format!("has {columns} columns, the most is {MOST_COLUMNS}"),
            ));
        }
        for row in &self.rows {
            let at = format!("pictures: row `{}`", row.name);
            if row.panels.len() != self.columns.len() {
                let (panels, columns) = (row.panels.len(), self.columns.len());
                return Err(invalid(
                    &at,
                    format!("has {panels} pictures for {columns} columns"),
                ));
            }
            for panel in &row.panels {
                let sides = [panel.width, panel.height];
                if sides.iter().any(|side| !(1..=MOST_PIXELS).contains(side)) {
                    return Err(invalid(
                        &at,
                        format!("has a picture of {} x {} pixels", sides[0], sides[1]),
                    ));
                }
                let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
                if panel.png.is_empty() || !panel.png.bytes().all(letter) {
                    return Err(invalid(&at, "has a picture that is no base64".to_string()));
                }
            }
        }
        Ok(())
    }

    /// All rows, over the whole width of a page; `None` without a picture.
    pub(crate) fn drawing(&self) -> Option<Drawing> {
        let columns = self.columns.len();
        if columns == 0 || self.rows.is_empty() {
            return None;
        }
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        let description = format!(
            "Pictures in rows ({}) and columns ({}). {}",
            names.join(", "),
            self.columns.join(", "),
            self.note
        );
        let mut drawing = Drawing::new(Self::ID, BROAD, &self.title, &self.note, &description);
        let free = BROAD - LEFT - RIGHT - GAP * (columns - 1) as f64;
        let width = (free / columns as f64).min(WIDEST);
        let x = |column: usize| LEFT + column as f64 * (width + GAP);
        let mut y = drawing.height + LINE;
        let body = &mut drawing.body;
        let fits = |space: f64| (space / (TEXT * ADVANCE)) as usize;
        for (column, name) in self.columns.iter().enumerate() {
            let name = escape(&shorten(name, fits(width)));
            put(
                body,
                format_args!("<text x=\"{:.2}\" y=\"{y:.2}\">{name}</text>\n", x(column)),
            );
        }
        y += 8.0;
        let mut tops = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let wrapped = row
                .notes
                .iter()
                .flat_map(|note| wrap(note, fits(LEFT - MARGIN - 12.0)));
            let mut line = y + TEXT + 4.0;
            let name = escape(&shorten(&row.name, fits(LEFT - MARGIN - 12.0)));
            put(
                body,
                format_args!(
                    "<text x=\"{MARGIN}\" y=\"{line:.2}\" font-weight=\"600\">{name}</text>\n"
                ),
            );
            for note in wrapped {
                line += LINE;
                put(
                    body,
                    format_args!(
                        "<text class=\"note\" x=\"{MARGIN}\" y=\"{line:.2}\">{}</text>\n",
                        escape(&note)
                    ),
                );
            }
            let mut below = line;
            tops.push(y);
            for (column, panel) in row.panels.iter().enumerate() {
                let height = width * f64::from(panel.height) / f64::from(panel.width);
                put(
                    body,
                    format_args!(
                        "<image id=\"{}\" x=\"{:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" preserveAspectRatio=\"none\" \
                         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
                        panel_id(number, column),
                        x(column),
                        escape(&panel.png)
                    ),
                );
                below = below.max(y + height);
            }
            y = below + GAP;
        }
        drawing.height = y + 4.0;
        let slim = self.slim(&description, width, |row, column| (x(column), tops[row]));
        Some(drawing.with_slim(slim).meaning(
            "These single items show how the network errs. The numbers above say how often.",
        ))
    }

    /// For narrow screens: a few pictures beside each other, each under its heading. They are those of the broad sheet, where each is
    /// `broad` wide and lies at `corner` by row and column, so that the page holds every picture once.
    fn slim(
        &self,
        description: &str,
        broad: f64,
        corner: impl Fn(usize, usize) -> (f64, f64),
    ) -> Drawing {
        let mut drawing = Drawing::new(Self::ID, WIDTH, &self.title, &self.note, description);
        let fits = |space: f64| (space / (TEXT * ADVANCE * NARROW_SCALE)) as usize;
        let free = WIDTH - MARGIN - RIGHT - GAP * (BESIDE - 1) as f64;
        let width = free / BESIDE as f64;
        let mut y = drawing.height + LINE;
        let body = &mut drawing.body;
        for (number, row) in self.rows.iter().enumerate() {
            let words = std::iter::once((&row.name, "font-weight=\"600\""))
                .chain(row.notes.iter().map(|note| (note, "class=\"note\"")));
            for (text, style) in words {
                for line in wrap(text, fits(WIDTH - MARGIN - RIGHT)) {
                    put(
                        body,
                        format_args!(
                            "<text x=\"{MARGIN}\" y=\"{y:.2}\" {style}>{}</text>\n",
                            escape(&line)
                        ),
                    );
                    y += LINE;
                }
            }
            let columns: Vec<(usize, &PngPicture)> = row.panels.iter().enumerate().collect();
            for line in columns.chunks(BESIDE) {
                let mut below: f64 = y;
                for (place, (column, panel)) in line.iter().enumerate() {
                    let x = MARGIN + place as f64 * (width + GAP);
                    let name = self.columns.get(*column).map_or("", String::as_str);
                    let height = width * f64::from(panel.height) / f64::from(panel.width);
                    let scale = width / broad;
                    let (left, top) = corner(number, *column);
                    put(
                        body,
                        format_args!(
                            "<text x=\"{x:.2}\" y=\"{y:.2}\">{}</text><use href=\"#{}\" transform=\"translate({:.3} {:.3})scale({scale:.5})\"/>\n",
                            escape(&shorten(name, fits(width))),
                            panel_id(number, *column),
                            x - scale * left,
                            y + 6.0 - scale * top
                        ),
                    );
                    below = below.max(y + 6.0 + height);
                }
                y = below + LINE + 4.0;
            }
            y += GAP;
        }
        drawing.height = y;
        drawing
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn text_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let expected = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in expected {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[255, 239, 190]), "/+++");
    }

    fn sheet() -> PictureSheet {
        let panel = || PngPicture::new(2, &[[0; 3], [255; 3], [1, 2, 3], [4, 5, 6]]).unwrap();
        PictureSheet {
            title: "Things".into(),
            note: "Two of them.".into(),
            columns: vec!["Given".into(), "Made <of it>".into()],
            rows: vec![PictureSheetRow {
                name: "Best & only".into(),
                notes: vec!["thing 7".into()],
                panels: vec![panel(), panel()],
            }],
        }
    }

    #[test]
    fn a_sheet_has_every_picture_and_escapes_its_words() {
        let sheet = sheet();
        sheet.check().unwrap();
        let svg = sheet.drawing().unwrap().standalone();
        assert_eq!(
            svg.matches("href=\"data:image/png;base64,iVBORw0KGgo")
                .count(),
            2
        );
        assert!(svg.contains("Made &lt;of it&gt;") && svg.contains("Best &amp; only"));
        // On a page the narrow sheet shows the same pictures: from 200 units at (420, 62) to 124.5 at (144.5, 92).
        let page = sheet.drawing().unwrap().inline();
        assert_eq!(page.matches("data:image/png").count(), 2);
        let scale = 124.5 / 200.0;
        let moved = format!("translate({:.3} ", 144.5 - scale * 420.0);
        assert!(
            page.contains("<use href=\"#pictures-0-1\"") && page.contains(&moved),
            "{page}"
        );
        assert!(
            PictureSheet {
                rows: Vec::new(),
                ..sheet
            }
            .drawing()
            .is_none()
        );
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let refused = |change: fn(&mut PictureSheet)| {
            let mut sheet = sheet();
            change(&mut sheet);
            sheet.check().unwrap_err().to_string()
        };
        assert!(
            refused(|sheet| sheet.rows[0].panels[0].png = "\"/><script>".into())
                .contains("no base64")
        );
        assert!(refused(|sheet| sheet.rows[0].panels[1].width = 0).contains("0 x 2 pixels"));
        assert!(
            refused(|sheet| {
                sheet.rows[0].panels.pop();
            })
            .contains("1 pictures for 2 columns")
        );
        assert!(refused(|sheet| sheet.columns = vec!["Given".into(); 13]).contains("13 columns"));
        assert!(PngPicture::new(0, &[]).is_err());
    }
}
