//! `plimsoll check`: everything that is wrong with definitions. Opens no connection.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::config::{Config, Problems, Purpose};
use crate::exit::Exit;
use crate::terminal::wrapped;

/// Checks every file and says on `out` what is wrong. [`Exit::Configuration`] if any is refused;
/// warnings refuse nothing. `width` is that of the terminal, if `out` is one.
pub fn check(files: &[PathBuf], width: Option<usize>, out: &mut impl Write) -> io::Result<Exit> {
    let mut exit = Exit::Ok;
    for file in files {
        let shown = file.display();
        match Config::load_for(file, Purpose::Check) {
            Ok((_, warnings)) if warnings.is_empty() => writeln!(out, "{shown}: ok")?,
            Ok((_, warnings)) => {
                let count = counted(warnings.len(), "warning");
                let warnings = Problems(warnings).to_string();
                write!(out, "{shown}: ok, {count}\n\n{}\n", wrapped(&warnings, width))?;
            }
            Err(problems) => {
                let count = counted(problems.0.len(), "problem");
                let problems = problems.to_string();
                write!(out, "{shown}: {count}\n\n{}\n", wrapped(&problems, width))?;
                exit = Exit::Configuration;
            }
        }
    }
    Ok(exit)
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_answered_and_one_bad_one_decides() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write("x", "");
        let good = write(
            "good.yaml",
            "version: 1\nname: p\nsources: {db: {file: x, format: postgres_jsonlog, resource: r}}\n",
        );
        let bad = write("bad.yaml", "version: 1\nname: p\nsources: {}\ncolour: blue\n");
        let mut out = Vec::new();
        assert_eq!(check(std::slice::from_ref(&good), None, &mut out).unwrap(), Exit::Ok);
        assert_eq!(check(&[bad, good], None, &mut out).unwrap(), Exit::Configuration);
        let out = String::from_utf8(out).unwrap();
        let out = out.replace(&format!("{}/", folder.path().display()), "");
        let warned = "\
good.yaml: ok, 2 warnings

1. good.yaml: no route takes pages: `run` will page nobody
       = add a receiver and `routes: [{severity: page, to: …}]`

2. good.yaml:3:51: resource `r` is not declared
     3 | sources: {db: {file: x, format: postgres_jsonlog, resource: r}}
       |                                                   ^^^^^^^^
       = it is watched without a limit; declare it below `resources`: `r: {connections: {limit: …}}`

";
        let refused = "\
bad.yaml: 2 problems

1. bad.yaml:3:1: there is no source
     3 | sources: {}
       | ^^^^^^^
       = name at least one below `sources`; docs/config.md has examples

2. bad.yaml:4:1: unknown key `colour`
     4 | colour: blue
       | ^^^^^^
       = known here: `version`, `name`, `response_time`, `correct_within`, `retention`, `data`, `listen`, `kafka`, `clickhouse`, `sources`, `resources`, `detectors`, `receivers`, `routes`

";
        assert_eq!(out, format!("{warned}{refused}{warned}"));
    }
}
