//! References in a definition: `${VAR}`, `${VAR:-default}` and `${file:/path}`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file that a reference may name.
pub const REFERENCED_BYTES_MAX: u64 = 64 * 1024;

/// Where values of references come from.
pub(crate) struct Surroundings<'a> {
    /// The value of an environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Relative paths begin here.
    pub(crate) folder: &'a Path,
}

/// What is wrong with a reference, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadReference {
    pub(crate) what: String,
    pub(crate) advice: String,
    /// The text is sound; what it names is not there.
    pub(crate) absent: bool,
}

/// `text` with its references replaced; `None` if it has none. `$${` stands for `${` itself.
pub(crate) fn interpolate(
    text: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Option<String>, BadReference> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        let Some(end) = rest[start..].find('}') else {
            return Err(bad(
                "a reference begins with `${` and has no `}`",
                "write `$${` for the characters `${`",
            ));
        };
        result.push_str(&rest[..start]);
        result.push_str(&resolve(&rest[start + 2..start + end], surroundings)?);
        rest = &rest[start + end + 1..];
    }
    result.push_str(rest);
    Ok(Some(result))
}

fn resolve(reference: &str, surroundings: &Surroundings<'_>) -> Result<String, BadReference> {
    if let Some(path) = reference.strip_prefix("file:") {
        return read(&surroundings.folder.join(path));
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_variable(name) {
        return Err(bad(
            &format!("reference `${{{name}}}` is neither a variable nor a file"),
            "write `${NAME}`, `${NAME:-default}` or `${file:/path}`",
        ));
    }
    // As in a shell, `:-` stands in for an empty value too.
    let value =
        (surroundings.variable)(name).filter(|value| !value.is_empty() || default.is_none());
    value.or_else(|| default.map(str::to_owned)).ok_or_else(|| BadReference {
        what: format!("environment variable `{name}` is not set"),
        advice: format!("set it, or write a default: `${{{name}:-…}}`"),
        absent: true,
    })
}

fn is_variable(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(legal) && !name.as_bytes()[0].is_ascii_digit()
}

fn read(path: &Path) -> Result<String, BadReference> {
    let mut text = String::new();
    let file = File::open(path)
        .and_then(|file| file.take(REFERENCED_BYTES_MAX + 1).read_to_string(&mut text));
    if let Err(error) = file {
        return Err(BadReference {
            what: format!("cannot read the referenced file `{}`: {error}", path.display()),
            advice: "create it, and let the user that runs plimsoll read it".to_owned(),
            absent: true,
        });
    }
    if text.len() as u64 > REFERENCED_BYTES_MAX {
        return Err(bad(
            &format!("the referenced file `{}` is larger than 64 KiB", path.display()),
            "a reference is for one value, such as a password",
        ));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

fn bad(what: &str, advice: &str) -> BadReference {
    BadReference { what: what.to_owned(), advice: advice.to_owned(), absent: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Option<String>, String> {
        let variable = |name: &str| match name {
            "HOST" => Some("db".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let surroundings = Surroundings { variable: &variable, folder: Path::new("/nonexistent") };
        interpolate(text, &surroundings).map_err(|bad| bad.what)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(run(text), Ok(Some(expected.to_owned())));
    }

    #[test]
    fn references_become_values() {
        check("${HOST}:9092", "db:9092");
        check("${HOST}-${HOST}", "db-db");
        check("${NONE:-x:y}", "x:y");
        check("${EMPTY:-x}", "x");
        check("a${EMPTY}", "a");
        check("$${HOST}", "${HOST}");
        assert_eq!(run("plain $HOST"), Ok(None));
    }

    #[track_caller]
    fn refuses(text: &str, expected: &str) {
        let what = run(text).unwrap_err();
        assert!(what.contains(expected), "{what}");
    }

    #[test]
    fn what_cannot_be_resolved_says_so() {
        refuses("${NONE}", "environment variable `NONE` is not set");
        refuses("${HOST", "has no `}`");
        refuses("${a b}", "neither a variable nor a file");
        refuses("${}", "neither a variable nor a file");
        refuses("${file:x}", "/nonexistent/x");
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "s3cret\n").unwrap();
        let surroundings = Surroundings { variable: &|_| None, folder: folder.path() };
        assert_eq!(interpolate("${file:key}", &surroundings), Ok(Some("s3cret".to_owned())));
    }
}
