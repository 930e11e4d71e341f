//! The prompt: a line editor with history over the same answers.

use std::fs;
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};

use super::Session;
use crate::exit::Exit;
use crate::terminal;

/// The most statements that the history keeps.
const HISTORY_MAX: usize = 1_000;

const HELP: &str = "\
End a query with a semicolon; it may have several lines.

  show tables;        the tables and table functions
  describe panes;     the columns of a table
  \\d   \\d panes       the same, shorter
  \\?                  this text
  \\q   Ctrl-D         leave
  Ctrl-C              forget what is typed";

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Typed<'a> {
    /// Leave.
    Quit,
    /// How this works.
    Help,
    /// A statement that a command stands for.
    Statement(String),
    /// A command that does not exist.
    Unknown(&'a str),
}

/// Answers what is typed until it ends.
pub(super) fn prompt(session: &Session<'_>) -> anyhow::Result<Exit> {
    let config = Config::builder().max_history_size(HISTORY_MAX)?.auto_add_history(false).build();
    let mut editor: Editor<(), DefaultHistory> = Editor::with_config(config)?;
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    terminal::tell("SQL over what the pipeline stored. \\? for help, \\q to leave.");
    let mut typed = String::new();
    loop {
        let sign = if typed.is_empty() { "plimsoll> " } else { "       -> " };
        match editor.readline(sign) {
            Ok(line) if typed.is_empty() && line.trim_start().starts_with('\\') => {
                let _ = editor.add_history_entry(line.trim());
                match command(line.trim()) {
                    Typed::Quit => break,
                    Typed::Help => terminal::tell(HELP),
                    Typed::Statement(statement) => answer(session, &statement),
                    Typed::Unknown(word) => {
                        terminal::tell(&format!("`{word}` is no command; \\? lists them"));
                    }
                }
            }
            Ok(line) => {
                typed.push_str(&line);
                typed.push('\n');
                let (complete, rest) = plimsoll_query::statements(&typed);
                for statement in &complete {
                    let _ = editor.add_history_entry(format!("{statement};"));
                    answer(session, statement);
                }
                typed = match rest {
                    "" => String::new(),
                    rest => format!("{rest}\n"),
                };
            }
            Err(ReadlineError::Interrupted) => typed.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
        if let Some(file) = &history {
            // A history that cannot be kept is no reason to stop.
            let _ = editor.save_history(file);
        }
    }
    Ok(Exit::Ok)
}

/// An answer, or why there is none: a prompt goes on after an error.
fn answer(session: &Session<'_>, statement: &str) {
    let answered = session.out().and_then(|mut out| session.answer(statement, &mut *out));
    if let Err(error) = answered {
        terminal::tell(&terminal::told(&error));
    }
}

fn command(line: &str) -> Typed<'_> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word, rest.trim().trim_end_matches(';')) {
        ("\\q", _) => Typed::Quit,
        ("\\?" | "\\h", _) => Typed::Help,
        ("\\d" | "\\dt", "") => Typed::Statement("show tables".to_owned()),
        ("\\d", table) => Typed::Statement(format!("describe {table}")),
        _ => Typed::Unknown(word),
    }
}

/// Where the history is kept: in the user's folder for state, if there is one.
fn history_file() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    let folder = state.join("plimsoll");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("sql_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Typed<'_>) {
        assert_eq!(command(line), expected);
    }

    #[test]
    fn commands() {
        check("\\q", Typed::Quit);
        check("\\?", Typed::Help);
        check("\\d", Typed::Statement("show tables".to_owned()));
        check("\\d panes;", Typed::Statement("describe panes".to_owned()));
        check("\\x y", Typed::Unknown("\\x"));
    }
}
