//! Which known word somebody meant who has misspelt it.
//!
//! Knows no words. Invariant: a word is suggested only if most of its letters were written.

/// The known word that differs least, unless all differ too much.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written: Vec<char> = written.to_lowercase().replace('_', "-").chars().collect();
    if written.len() > LETTERS_MAX {
        return None;
    }
    let measured = known.into_iter().map(|word| (distance(&written, word), word));
    let near = measured.filter(|(distance, word)| *distance <= word.chars().count() / 3 + 1);
    let near = near.filter(|(distance, word)| *distance < word.chars().count().min(written.len()));
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// How many letters have to be added, left out or exchanged.
fn distance(written: &[char], word: &str) -> usize {
    let mut row: Vec<usize> = (0..=written.len()).collect();
    for (index, letter) in word.chars().enumerate() {
        let (mut left, mut next) = (index + 1, vec![index + 1]);
        for (other, pair) in written.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let exchanged = diagonal + usize::from(*other != letter);
            left = exchanged.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
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
