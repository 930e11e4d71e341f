//! What is wrong with a definition: what, where, why, what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use super::secret;
use super::tree::Place;

/// One thing that is wrong, or that a person should know.
///
/// Its `Display` is a block of lines: the place and what is wrong, the line of the file with a
/// caret, and why and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in the file; `None` if it concerns the file as a whole.
    pub place: Option<Place>,
    /// The line, without its secrets; empty if there is no place.
    pub line: String,
    /// What is wrong.
    pub what: String,
    /// Why it matters, and what to do; empty if `what` says it all.
    pub advice: String,
}

/// Everything that is wrong with one definition: numbered, unless it is one thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

/// Problems beyond this number are left out: the first ones explain the rest.
pub const PROBLEMS_MAX: usize = 50;

/// The widest line that is shown.
const LINE_CHARS_MAX: usize = 160;

/// Collects problems of one file.
pub(crate) struct Reporter<'a> {
    file: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Reporter<'a> {
        Reporter { file, text, problems: Vec::new() }
    }

    /// Notes a problem. A second one of the same words at the same place is the same one.
    pub(crate) fn add(
        &mut self,
        place: impl Into<Option<Place>>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let place = place.into();
        let (place, line) = match place {
            Some(place) => {
                let line = self.text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
                shown(place, line)
            }
            None => (None, String::new()),
        };
        let problem = Problem {
            file: self.file.to_owned(),
            place,
            line,
            what: what.into(),
            advice: advice.into(),
        };
        if self.problems.len() < PROBLEMS_MAX && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.problems.len()
    }

    /// Says of the problems from number `first` on that they are about the value of `key`.
    pub(crate) fn name_key(&mut self, first: usize, key: &str) {
        for problem in &mut self.problems[first..] {
            problem.what = format!("key `{key}`: {}", problem.what);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        self.problems
    }
}

/// The line without secrets and not too long, and the place cut to fit into it.
fn shown(place: Place, line: &str) -> (Option<Place>, String) {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    let line: String = secret::mask(line).chars().map(printable).collect();
    let length = line.chars().count();
    let width = place.width.min((length + 1).saturating_sub(place.column)).max(1);
    let place = Place { width, ..place };
    if length <= LINE_CHARS_MAX {
        return (Some(place), line);
    }
    let line = match place.column + width <= LINE_CHARS_MAX {
        true => line.chars().take(LINE_CHARS_MAX).chain(['…']).collect(),
        false => String::new(),
    };
    (Some(place), line)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.place {
            Some(Place { line, column, .. }) => {
                writeln!(f, "{file}:{line}:{column}: {}", self.what)?
            }
            None => writeln!(f, "{file}: {}", self.what)?,
        }
        if let Some(Place { line, column, width }) = self.place
            && !self.line.is_empty()
        {
            let (before, caret) = (" ".repeat(column - 1), "^".repeat(width));
            writeln!(f, "{line:>6} | {}", self.line.trim_end())?;
            writeln!(f, "       | {before}{caret}")?;
        }
        if !self.advice.is_empty() {
            writeln!(f, "       = {}", self.advice)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            match self.0.len() {
                1 => write!(f, "{problem}")?,
                _ => write!(f, "{}. {problem}", at + 1)?,
            }
        }
        if self.0.len() == PROBLEMS_MAX {
            writeln!(f, "\n(there may be more: only the first {PROBLEMS_MAX} are shown)")?;
        }
        Ok(())
    }
}

/// The one of `known` that is most like `word`, if one is like it at all: it begins alike, or
/// every third letter differs at most.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = |other: &str| {
        let other = other.to_lowercase();
        let distance = strsim::osa_distance(&word, &other);
        let likeness = strsim::jaro_winkler(&word, &other);
        (likeness > 0.75 || distance <= 1 + word.chars().count() / 3).then_some(likeness)
    };
    known
        .into_iter()
        .filter_map(|other| near(other).map(|likeness| (likeness, other)))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, other)| other)
}

/// `did you mean `a`?`, or the list of what there is.
pub(crate) fn suggestion<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let known: Vec<_> = known.into_iter().map(|word| format!("`{word}`")).collect();
    match known.is_empty() {
        true => "there is none".to_owned(),
        false => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_this() {
        let text = "version: 1\nsources: {db: {reoder: 2s}}\n";
        let mut reporter = Reporter::new(Path::new("a.yaml"), text);
        let place = Place { line: 2, column: 16, width: 6 };
        reporter.add(place, "unknown key `reoder`", "did you mean `reorder`?");
        reporter.add(place, "unknown key `reoder`", "did you mean `reorder`?");
        reporter.add(None, "no `name`", "");
        let expected = "\
1. a.yaml: no `name`

2. a.yaml:2:16: unknown key `reoder`
     2 | sources: {db: {reoder: 2s}}
       |                ^^^^^^
       = did you mean `reorder`?
";
        assert_eq!(Problems(reporter.finish()).to_string(), expected);
    }

    #[test]
    fn a_secret_on_the_line_is_not_shown() {
        let mut reporter = Reporter::new(Path::new("a.yaml"), "a: {password: hunter2, x: 1}");
        reporter.add(Place { line: 1, column: 24, width: 1 }, "unknown key `x`", "");
        let shown = Problems(reporter.finish()).to_string();
        assert!(shown.contains("a: {password: *******, x: 1}"), "{shown}");
    }

    #[test]
    fn the_nearest_word_wins_if_it_is_near() {
        let known = ["reorder", "resource", "role", "timezone"];
        assert_eq!(nearest("reoder", known), Some("reorder"));
        assert_eq!(nearest("time_zone", known), Some("timezone"));
        assert_eq!(nearest("banana", known), None);
    }
}
