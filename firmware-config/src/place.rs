//! From byte offsets to lines, columns and the excerpt that a person reads.

use std::ops::Range;

/// Excerpts longer than this are cut around the place, so that one absurd line does not fill the screen.
const EXCERPT_CHARS: usize = 140;

/// The text of a file with the starts of its lines.
pub(crate) struct Source<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// Byte ranges that are never shown, because they hold a secret.
    hidden: Vec<Range<usize>>,
}

/// A place in the file: line and column from 1, and the excerpt with a caret.
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
    pub excerpt: String,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        // A last line break ends the last line; it does not begin another.
        if starts.len() > 1 && starts.last() == Some(&text.len()) {
            starts.pop();
        }
        Self { text, starts, hidden: Vec::new() }
    }

    /// Shows stars in place of `range` in every excerpt.
    pub fn hide(&mut self, range: Range<usize>) {
        self.hidden.push(range);
    }

    /// Where `range` begins; beyond the end of the file it is the end of the last line.
    pub fn place(&self, range: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= range.start).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let shown = self.text.get(start..end).unwrap_or("").trim_end_matches(['\r', '\n']);
        let before = |offset: usize| shown.char_indices().take_while(|(at, _)| start + at < offset).count();
        let column = before(range.start);
        let width = before(range.end).saturating_sub(column).max(1);
        let visible = shown.char_indices().map(|(at, c)| self.visible(start + at, c));
        let skipped = column.saturating_sub(EXCERPT_CHARS / 2);
        let excerpt_line: String = visible.skip(skipped).take(EXCERPT_CHARS).collect();
        let carets = width.min(EXCERPT_CHARS.saturating_sub(column - skipped)).max(1);
        let gutter = " ".repeat(line.to_string().len());
        let excerpt = format!(
            "{gutter} |\n{line} | {}\n{gutter} | {}{}",
            excerpt_line.trim_end(),
            " ".repeat(column - skipped),
            "^".repeat(carets)
        );
        Place { line, column: column + 1, excerpt }
    }

    fn visible(&self, offset: usize, c: char) -> char {
        if self.hidden.iter().any(|range| range.contains(&offset)) {
            '*'
        } else if c.is_control() {
            ' '
        } else {
            c
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_secrets_stay_hidden() {
        let text = "a = 1\nключ = \"тайна\" # x\n";
        let mut source = Source::new(text);
        let at = text.find("\"тайна\"").unwrap();
        let place = source.place(&(at..at + 12));
        assert_eq!((place.line, place.column), (2, 8));
        assert_eq!(place.excerpt, "  |\n2 | ключ = \"тайна\" # x\n  |        ^^^^^^^");
        source.hide(at..at + 12);
        assert!(!source.place(&(at..at + 12)).excerpt.contains("тайна"));
    }

    #[test]
    fn a_place_after_the_end_is_the_end() {
        for text in ["", "\n", "a", "a\n", "a\r\n\r\n"] {
            let place = Source::new(text).place(&(999..1000));
            assert!(place.line <= text.lines().count().max(1), "{text:?}");
        }
    }
}
