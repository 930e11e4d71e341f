//! Which values are secrets, and how they are kept from being written down or shown.

use super::tree::{Entry, Node, Value};

/// Whether the value of `key` is a secret: a password, key, token or the like.
///
/// Paths of key files (`ssl.key.location`) are not.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let says_so = ["password", "secret", "token", "routing_key", "credential"];
    let key_material = key.split(['.', '_', '-']).any(|part| part == "key" || part == "apikey");
    (says_so.iter().any(|word| key.contains(word)) || key_material)
        && !["location", "path", "file", "type", "serializer"]
            .iter()
            .any(|ending| key.ends_with(ending))
}

/// Calls `visit` with every entry below `node` whose value is a secret.
pub(crate) fn visit_secrets<'a>(node: &'a Node, visit: &mut impl FnMut(&'a Entry)) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                if is_secret(&entry.key) && entry.node.text().is_some() {
                    visit(entry);
                } else {
                    visit_secrets(&entry.node, visit);
                }
            }
        }
        Value::List(nodes) => nodes.iter().for_each(|node| visit_secrets(node, visit)),
        _ => {}
    }
}

/// Whether `text` holds a secret itself rather than a reference: any text outside `${…}`, and any
/// default inside.
pub(crate) fn is_inline(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(end) = rest[start..].find('}') else { break };
        let reference = &rest[start + 2..start + end];
        let default = reference.split_once(":-").map_or("", |(_, default)| default);
        if !rest[..start].trim().is_empty() || !default.is_empty() {
            return true;
        }
        rest = &rest[start + end + 1..];
    }
    !rest.trim().is_empty()
}

/// Whether a URL carries a password: `https://user:word@host`.
pub(crate) fn url_has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') && is_inline(user))
}

/// `line` of a definition with the values of secret keys and passwords in URLs replaced by
/// asterisks, each character by one, so that places stay true.
///
/// It works on the text, because a line must be shown also when the file is not YAML.
pub(crate) fn mask(line: &str) -> String {
    let characters: Vec<char> = line.chars().collect();
    let mut shown = characters.clone();
    let is_key = |character: char| character.is_alphanumeric() || "._-".contains(character);
    for colon in (0..characters.len()).filter(|&at| characters[at] == ':') {
        let mut end = colon;
        while end > 0 && " \"'".contains(characters[end - 1]) {
            end -= 1;
        }
        let start = characters[..end].iter().rposition(|&c| !is_key(c)).map_or(0, |at| at + 1);
        let key: String = characters[start..end].iter().collect();
        if is_secret(&key) {
            let value = colon + 1..value_end(&characters, colon + 1);
            let text: String = characters[value.clone()].iter().collect();
            if is_inline(text.trim().trim_matches(['"', '\''])) {
                for at in value.filter(|&at| !" \"'".contains(characters[at])) {
                    shown[at] = '*';
                }
            }
        } else if characters[colon..].starts_with(&[':', '/', '/']) {
            let host = characters[colon + 3..].iter().position(|c| " /,}]".contains(*c));
            let end = host.map_or(characters.len(), |length| colon + 3 + length);
            if let Some(at) = characters[colon + 3..end].iter().rposition(|&c| c == '@') {
                shown[colon + 3..colon + 3 + at].fill('*');
            }
        }
    }
    shown.into_iter().collect()
}

/// Where the value that begins at or after `start` ends: at its closing quote, or before the next
/// comma, brace or comment.
fn value_end(characters: &[char], start: usize) -> usize {
    let Some(first) = (start..characters.len()).find(|&at| characters[at] != ' ') else {
        return characters.len();
    };
    let quote = characters[first];
    let mut in_reference = false;
    for at in first + 1..characters.len() {
        match characters[at] {
            character if "\"'".contains(quote) && character == quote => return at,
            _ if "\"'".contains(quote) => {}
            '{' if characters[at - 1] == '$' => in_reference = true,
            '}' if in_reference => in_reference = false,
            ',' | '}' | ']' => return at,
            _ => {}
        }
    }
    characters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets() {
        for key in
            ["password", "sasl.password", "ssl.key.pem", "routing_key", "api_key", "client.secret"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in ["ssl.key.location", "monkey", "user", "keys_max", "keepalive"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn a_reference_is_not_inline_but_a_default_is() {
        assert!(!is_inline("${KEY}"));
        assert!(!is_inline("${file:/run/secrets/ch}"));
        assert!(!is_inline("${A}${B:-}"));
        assert!(is_inline("hunter2"));
        assert!(is_inline("x${KEY}"));
        assert!(is_inline("${KEY:-hunter2}"));
        assert!(is_inline("${KEY"));
    }

    #[test]
    fn a_password_in_a_url_is_seen() {
        assert!(url_has_password("http://plimsoll:hunter2@ch:8123/"));
        assert!(!url_has_password("http://ch:8123/x@y:z"));
        assert!(!url_has_password("http://plimsoll@ch:8123"));
    }

    #[track_caller]
    fn masked(line: &str, expected: &str) {
        assert_eq!(mask(line), expected);
    }

    #[test]
    fn secrets_become_asterisks_of_the_same_width() {
        masked("  password: hunter2", "  password: *******");
        masked("a: {'routing_key' : \"x, y\", b: 1}", "a: {'routing_key' : \"** *\", b: 1}");
        masked("{password: ${P}, user: u}", "{password: ${P}, user: u}");
        masked("{password: ${P:-x}, user: u}", "{password: *******, user: u}");
        masked("url: http://u:p@ch:8123/x", "url: http://***@ch:8123/x");
        masked("name: payments", "name: payments");
    }
}
