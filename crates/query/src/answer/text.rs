//! An answer as a table of text.

use std::io::{self, Write};

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Answer, to_io};

/// How times are shown: UTC, with a fraction only where there is one.
const TIME: &str = "%Y-%m-%d %H:%M:%S%.f";

pub(super) fn write(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<String> =
        answer.schema.fields().iter().map(|field| inert(field.name())).collect();
    if names.is_empty() {
        return out.flush();
    }
    let rows = cells(answer)?;
    let mut widths: Vec<usize> = names.iter().map(|name| width(name)).collect();
    for row in &rows {
        for (wide, cell) in widths.iter_mut().zip(row) {
            *wide = (*wide).max(width(cell));
        }
    }
    let right: Vec<bool> =
        answer.schema.fields().iter().map(|field| is_number(field.data_type())).collect();
    line(out, &names, &widths, &right)?;
    let rule: Vec<String> = widths.iter().map(|wide| "-".repeat(*wide)).collect();
    line(out, &rule, &widths, &right)?;
    for row in &rows {
        line(out, row, &widths, &right)?;
    }
    out.flush()
}

fn cells(answer: &Answer) -> io::Result<Vec<Vec<String>>> {
    let options = FormatOptions::default()
        .with_timestamp_tz_format(Some(TIME))
        .with_timestamp_format(Some(TIME));
    let mut rows = Vec::with_capacity(answer.rows);
    for batch in &answer.batches {
        let columns = batch.columns().iter();
        let shown: Vec<_> = columns
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<_, _>>()
            .map_err(to_io)?;
        for row in 0..batch.num_rows() {
            let cell = |(place, column): (usize, &ArrayFormatter<'_>)| {
                if batch.column(place).is_null(row) {
                    return Ok("NULL".to_owned());
                }
                column.value(row).try_to_string().map(|text| inert(&text))
            };
            let cells = shown.iter().enumerate().map(cell);
            rows.push(cells.collect::<Result<Vec<_>, _>>().map_err(to_io)?);
        }
    }
    Ok(rows)
}

/// One row: as many lines as its tallest cell has.
fn line(
    out: &mut impl Write,
    cells: &[String],
    widths: &[usize],
    right: &[bool],
) -> io::Result<()> {
    let height = cells.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
    for part in 0..height {
        let mut text = String::new();
        for (place, cell) in cells.iter().enumerate() {
            let cell = cell.lines().nth(part).unwrap_or_default();
            let gap = std::iter::repeat_n(' ', widths[place] - width(cell));
            if place > 0 {
                text.push_str("  ");
            }
            if right[place] {
                text.extend(gap);
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.extend(gap);
            }
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

/// Columns that `text` takes: one per character of its longest line, which is right for what logs
/// hold.
fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// A text that cannot command a terminal: control, bidirectional and zero-width characters are
/// shown as escapes. Line breaks stay.
fn inert(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let is_inert = (character == '\n' || !character.is_control())
            && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if is_inert {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::*;

    #[test]
    fn numbers_stand_right_and_hostile_text_is_inert() {
        let names = StringArray::from(vec![Some("a\u{1b}[31m"), None, Some("two\nlines")]);
        let numbers = Int64Array::from(vec![1, 200, 30]);
        let columns: [(&str, ArrayRef); 2] = [("name", Arc::new(names)), ("n", Arc::new(numbers))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut answer = Answer::new(batch.schema());
        answer.push(batch, 10);
        let mut text = Vec::new();
        answer.write_table(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            [
                "name           n",
                "-----------  ---",
                "a\\u{1b}[31m    1",
                "NULL         200",
                "two           30",
                "lines",
                "",
            ]
            .join("\n")
        );
    }
}
