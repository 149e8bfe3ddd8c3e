//! A table of a document: one description, written for the terminal, in Markdown and as HTML.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, TableStyle};

use super::drawing::escape;

/// A cell: a value, and what belongs to it in smaller letters, such as an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// The value.
    pub value: String,
    /// What belongs to it.
    pub detail: Option<String>,
}

impl Cell {
    /// A value with a detail.
    pub fn with_detail(value: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            detail: Some(detail.into()),
        }
    }

    /// The cell of something that was not measured.
    pub fn missing() -> Self {
        "–".into()
    }

    /// The whole cell as text.
    fn text(&self) -> String {
        match &self.detail {
            None => self.value.clone(),
            Some(detail) => format!("{} {detail}", self.value),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(value: T) -> Self {
        Self {
            value: value.into(),
            detail: None,
        }
    }
}

/// A table whose first cells name the rows.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub(super) headers: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
    pub(super) total: Option<Vec<Cell>>,
    /// Columns of numbers from the second one on, which the terminal aligns right.
    pub(super) numbers: usize,
    /// Whether a page sets it in small letters.
    pub(super) small: bool,
    /// Whether the names of its rows are sentences.
    pub(super) sentences: bool,
}

impl Table {
    /// A table without rows. A column without a header holds words.
    pub fn new<H: Into<String>>(headers: impl IntoIterator<Item = H>) -> Self {
        Self {
            headers: headers.into_iter().map(Into::into).collect(),
            small: true,
            ..Self::default()
        }
    }

    /// With these rows below those that it has.
    pub fn rows<R: IntoIterator<Item = C>, C: Into<Cell>>(
        mut self,
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        let row = |row: R| row.into_iter().map(Into::into).collect();
        self.rows.extend(rows.into_iter().map(row));
        self
    }

    /// With a last row that sums up the others.
    pub fn total<C: Into<Cell>>(mut self, row: impl IntoIterator<Item = C>) -> Self {
        self.total = Some(row.into_iter().map(Into::into).collect());
        self
    }

    /// With `columns` columns of numbers after the first column, which the terminal aligns right.
    pub fn numbers(mut self, columns: usize) -> Self {
        self.numbers = columns;
        self
    }

    /// In letters of the size of the text, for the main table of a page.
    pub fn large(mut self) -> Self {
        self.small = false;
        self
    }

    /// With names of rows that are sentences, which a page breaks over lines.
    pub fn sentences(mut self) -> Self {
        self.sentences = true;
        self
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows as columns, the headers among them.
    pub fn transposed(&self) -> Self {
        let column = |index: usize| self.rows.iter().map(move |row| row[index].clone());
        let named = |index: usize| std::iter::once(self.headers[index].clone().into());
        let mut lines = (0..self.headers.len()).map(|index| named(index).chain(column(index)));
        let headers = lines.next().into_iter().flatten();
        Self {
            headers: headers.map(|cell: Cell| cell.value).collect(),
            rows: lines.map(Iterator::collect).collect(),
            ..Self::default()
        }
    }

    /// The table for the terminal, of characters: no colour, no final newline.
    pub fn text(&self) -> String {
        self.characters(UTF8_FULL_CONDENSED)
    }

    /// The table in Markdown, without a final newline.
    pub fn markdown(&self) -> String {
        self.characters(ASCII_MARKDOWN)
    }

    fn characters(&self, style: TableStyle) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(style);
        table.set_header(&self.headers);
        for row in self.rows.iter().chain(&self.total) {
            table.add_row(row.iter().map(Cell::text));
        }
        for index in 1..=self.numbers {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }

    /// The table as HTML, or several below each other where one would be wider than a page; all text is escaped.
    pub(super) fn html(&self) -> String {
        self.fitted().iter().map(Self::one_html).collect()
    }

    fn one_html(&self) -> String {
        let styles: Vec<&str> = (0..self.headers.len())
            .map(|column| self.class(column))
            .collect();
        let heads = self.headers.iter().zip(&styles);
        let head: String = heads
            .map(|(header, class)| format!("<th scope=\"col\"{class}>{}</th>", escape(header)))
            .collect();
        let detail = |cell: &Cell, class: &str| {
            cell.detail.as_ref().map_or_else(String::new, |detail| {
                format!("<span class=\"{class}\">{}</span>", escape(detail))
            })
        };
        let line = |row: &Vec<Cell>| {
            let columns = self.headers.iter().zip(&styles);
            let cells: String = row
                .iter()
                .zip(columns)
                .skip(1)
                .map(|(cell, (header, class))| {
                    format!(
                        "<td{class} data-label=\"{}\"><span>{}</span>{}</td>",
                        escape(header),
                        escape(&cell.value),
                        detail(cell, "interval")
                    )
                })
                .collect();
            let name = row.first().map_or_else(String::new, |name| {
                format!("{}{}", escape(&name.value), detail(name, "training"))
            });
            let class = styles.first().copied().unwrap_or_default();
            format!("<tr><th scope=\"row\"{class}>{name}</th>{cells}</tr>\n")
        };
        let body: String = self.rows.iter().map(line).collect();
        let foot = self.total.as_ref().map_or_else(String::new, |row| {
            format!("<tfoot>\n{}</tfoot>\n", line(row))
        });
        let small = if self.small { " small" } else { "" };
        let sentences = if self.sentences { " sentences" } else { "" };
        format!(
            "<div class=\"table{small}{sentences} fit{}\">\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n{foot}\
             </table>\n</div>\n",
            self.cards_below()
        )
    }

    /// How the cells of a column are set: as words, with long values broken over lines, or as numbers.
    fn class(&self, column: usize) -> &'static str {
        match self.headers.get(column).is_some_and(String::is_empty) && self.small {
            true => " class=\"words\"",
            false if self.is_long(column) => " class=\"long\"",
            false => "",
        }
    }
}

/// Terms and what is said of them for the terminal, one per line.
pub(crate) fn listed(terms: &[(&str, String)]) -> String {
    let line = |(term, text): &(&str, String)| format!("{term:13} {text}");
    terms.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(["Name", "Value <s>"])
            .rows([
                [Cell::from("a & b"), Cell::with_detail("1", "[0–2]")],
                ["\"c\"".into(), Cell::missing()],
            ])
            .numbers(1)
    }

    #[test]
    fn one_table_is_text_markdown_and_html() {
        let expected = "\
┌───────┬───────────┐
│ Name  ┆ Value <s> │
╞═══════╪═══════════╡
│ a & b ┆   1 [0–2] │
│ \"c\"   ┆         – │
└───────┴───────────┘";
        assert_eq!(table().text(), expected);
        assert!(table().markdown().starts_with("| Name  | Value <s> |\n|"));
        let html = table().total(["all", "3"]).html();
        for part in [
            "<th scope=\"col\">Value &lt;s&gt;</th>",
            "<th scope=\"row\">a &amp; b</th>",
            "data-label=\"Value &lt;s&gt;\"><span>1</span><span class=\"interval\">[0–2]</span></td>",
            "<tfoot>\n<tr><th scope=\"row\">all</th>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn rows_become_columns() {
        let turned = table().transposed().text();
        assert!(
            turned.contains("│ Name      ┆ a & b   ┆ \"c\" │"),
            "{turned}"
        );
        assert!(turned.contains("│ Value <s> ┆ 1 [0–2] ┆ –   │"), "{turned}");
    }
}
