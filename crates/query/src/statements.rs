//! Where one statement ends and the next begins, for files and prompts.

/// The statements of `text` that end with a semicolon, and what follows the last one; blank
/// statements are left out. Semicolons in quotes and comments end nothing.
///
/// ```
/// let (complete, rest) = plimsoll_query::statements("select ';'; select 2 -- a; b");
/// assert_eq!(complete, ["select ';'"]);
/// assert_eq!(rest, "select 2 -- a; b");
/// ```
pub fn statements(text: &str) -> (Vec<&str>, &str) {
    let mut complete = Vec::new();
    let mut rest = text;
    while let Some(end) = end_of_statement(rest) {
        let statement = rest[..end].trim();
        if !is_blank(statement) {
            complete.push(statement);
        }
        rest = &rest[end + 1..];
    }
    let rest = rest.trim();
    (complete, if is_blank(rest) { "" } else { rest })
}

/// Whether there is nothing but space and comments.
fn is_blank(text: &str) -> bool {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let skipped = comment(rest)
            .or_else(|| rest.chars().next().filter(|c| c.is_whitespace()).map(char::len_utf8));
        match skipped {
            Some(length) => at += length,
            None => return false,
        }
    }
    true
}

/// The place of the first semicolon that is not in quotes or a comment.
fn end_of_statement(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let Some(length) = comment(&text[at..]) {
            at += length;
            continue;
        }
        match byte {
            b';' => return Some(at),
            b'\'' | b'"' => {
                let after = &bytes[at + 1..];
                at += 1 + after
                    .iter()
                    .position(|other| other == byte)
                    .map_or(after.len(), |to| to + 1);
            }
            _ => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    None
}

/// The length of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').map_or(text.len(), |end| end + 1));
    }
    if text.starts_with("/*") {
        return Some(text.find("*/").map_or(text.len(), |end| end + 2));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, complete: &[&str], rest: &str) {
        assert_eq!(statements(text), (complete.to_vec(), rest));
    }

    #[test]
    fn semicolons_end_statements() {
        check("", &[], "");
        check(" ; ;\n", &[], "");
        check("select 1", &[], "select 1");
        check("select 1; select 2 ;", &["select 1", "select 2"], "");
        check("-- only this\n; select 1;\n-- the end", &["select 1"], "");
    }

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        check("select 'a;''b;' ;", &["select 'a;''b;'"], "");
        check("select \"a;b\";", &["select \"a;b\""], "");
        check("select 1 /* ; */ -- ;\n;x", &["select 1 /* ; */ -- ;"], "x");
        check("select 'open;", &[], "select 'open;");
        check("select 'ü;' /* open;", &[], "select 'ü;' /* open;");
    }
}
