//! Texts from logs, made fit for a receiver: bounded, and inert where they are shown.

/// What is put behind a shortened text, with the number of characters it had.
fn ending(characters: usize) -> String {
    format!("… (shortened from {characters} characters)")
}

/// `text` with everything visible, in at most `characters_max` characters.
///
/// Control characters, bidirectional marks and zero-width characters become `\u{…}`, so that a
/// name in a log line cannot break, reorder or hide what stands around it. A text that is too
/// long is cut between characters and says so. `characters_max` must have room for that ending
/// (64 is enough).
pub(crate) fn fit(text: &str, characters_max: usize) -> String {
    let whole = visible(text);
    let characters = whole.chars().count();
    if characters <= characters_max {
        return whole;
    }
    let ending = ending(characters);
    let kept = characters_max.saturating_sub(ending.chars().count());
    whole.chars().take(kept).chain(ending.chars()).collect()
}

fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a character changes how its neighbours are shown, or is not shown itself.
///
/// The ranges are Unicode's `Cc` and the parts of `Cf` that move or hide text: soft hyphen,
/// Arabic letter mark, zero-width and directional marks, embeddings, isolates, tags, the
/// byte order mark, and the line and paragraph separators.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, characters_max: usize, expected: &str) {
        assert_eq!(fit(text, characters_max), expected);
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_bounded_and_has_nothing_hidden(text in ".{0,200}", characters_max in 64usize..128) {
            let fit = fit(&text, characters_max);
            proptest::prop_assert!(fit.chars().count() <= characters_max);
            proptest::prop_assert!(!fit.chars().any(is_hidden));
        }
    }

    #[test]
    fn an_ordinary_text_stays_as_it_is() {
        check("zażółć 148 of 197", 64, "zażółć 148 of 197");
        check("", 64, "");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cut = format!("{}… (shortened from 100 characters)", "ż".repeat(31));
        check(&"ż".repeat(100), 64, &cut);
        assert_eq!(cut.chars().count(), 64);
        check(&"ż".repeat(64), 64, &"ż".repeat(64));
    }

    #[test]
    fn what_could_deceive_a_reader_is_shown() {
        check("a\u{1b}[31mb\nc", 64, r"a\u{1b}[31mb\u{a}c");
        check("user\u{202e}nimda\u{200b}", 64, r"user\u{202e}nimda\u{200b}");
        check("a\0b", 64, r"a\u{0}b");
    }
}
