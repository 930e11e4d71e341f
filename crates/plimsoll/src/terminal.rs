//! What a person reads: sentences that fit the terminal, and errors that say each cause once.
//!
//! Where no terminal is, a line stays one line, so that `grep` and scripts see whole sentences.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Below this width nothing is wrapped: a line of a word or two helps nobody.
const WIDTH_MIN: usize = 20;

/// How much further in a sentence goes on than it began.
const GOES_ON: usize = 4;

/// How wide the terminal is that `stream` leads to; `None` if it leads elsewhere.
pub fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    Some(usize::from(width.0)).filter(|width| *width >= WIDTH_MIN)
}

/// Writes a line to standard error. Where nobody reads it any more, it is lost.
pub fn tell(line: &str) {
    let mut out = io::stderr().lock();
    let text = wrapped(line, width_of(&out));
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
}

/// `text` with every line at most `width` wide, as far as its words allow.
///
/// A line goes on below itself, indented. A line of a file that is shown, and the caret below it,
/// stay as they are: `     3 | sources: {…}`.
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut wrapped = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let inner = line.trim_start_matches(' ');
        let indent = line.len() - inner.len();
        if textwrap::core::display_width(line) <= width || is_quoted(inner) {
            wrapped.push_str(line);
        } else {
            let (first, next) = (" ".repeat(indent), " ".repeat(indent + GOES_ON));
            let options = textwrap::Options::new(width)
                .initial_indent(&first)
                .subsequent_indent(&next)
                .break_words(false)
                .word_splitter(textwrap::WordSplitter::NoHyphenation);
            wrapped.push_str(&textwrap::fill(inner, options));
        }
        wrapped.push_str(end);
    }
    wrapped
}

/// Whether a line shows a line of a file.
fn is_quoted(line: &str) -> bool {
    line.trim_start_matches(|it: char| it.is_ascii_digit()).trim_start().starts_with("| ")
}

/// An error with its causes, each said once: a sentence that names its cause itself is not
/// followed by that cause again.
pub fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_sentence_goes_on_below_itself() {
        let text = "  PAGE tenant t01 holds\n    do: throttle it\n";
        let expected = "  PAGE tenant\n      t01 holds\n    do: throttle\n        it\n";
        assert_eq!(wrapped(text, Some(16)), expected);
        assert_eq!(wrapped(text, Some(80)), text);
        assert_eq!(wrapped(text, None), text);
    }

    #[test]
    fn a_word_that_is_too_long_stays_whole() {
        assert_eq!(
            wrapped("see https://example.com/a-b/c", Some(9)),
            "see\n    https://example.com/a-b/c"
        );
    }

    #[test]
    fn a_line_of_a_file_keeps_its_caret() {
        let shown = "     3 | sources: {db: {reoder: 2s}}\n       |                ^^^^^^\n";
        assert_eq!(wrapped(shown, Some(20)), shown);
    }

    #[test]
    fn a_cause_is_said_once() {
        let inner = || anyhow!("No such file");
        let twice = inner().context("cannot list `x`: No such file; name a folder");
        assert_eq!(told(&twice), "cannot list `x`: No such file; name a folder");
        assert_eq!(told(&inner().context("cannot list `x`")), "cannot list `x`: No such file");
        assert_eq!(
            told(&twice.context("demo")),
            "demo: cannot list `x`: No such file; name a folder"
        );
    }
}
