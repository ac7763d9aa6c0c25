//! Which known word somebody meant who has misspelt it.
//!
//! Knows no words. Invariant: a word is suggested only if most of its letters were written.

/// The known word that differs least, unless all differ too much.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase().replace('_', "-");
    let letters = written.chars().count();
    if letters > LETTERS_MAX {
        return None;
    }
    let measured = known.into_iter().map(|word| (strsim::levenshtein(&written, word), word));
    let near = measured.filter(|(distance, word)| *distance <= word.chars().count() / 3 + 1);
    let near = near.filter(|(distance, word)| *distance < word.chars().count().min(letters));
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Longer than any word that is known.
const LETTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_recognised_and_a_strange_one_is_not() {
        let known = ["listen", "relay", "allow", "allow-any", "max-letters", "data"];
        for (written, meant) in [
            ("lisen", "listen"),
            ("max_letters", "max-letters"),
            ("Listen", "listen"),
            ("alow", "allow"),
            ("maxletters", "max-letters"),
        ] {
            assert_eq!(nearest(written, known), Some(meant), "{written}");
        }
        for strange in ["", "x", "colour", "zz", &"listen".repeat(100)] {
            assert_eq!(nearest(strange, known), None, "{strange}");
        }
    }
}
