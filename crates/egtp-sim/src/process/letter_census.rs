//! Numbered letters, and whether what came of each is what was promised.
//!
//! Knows no relay: it is told what was left there, what was said to be stored, what came and what was acknowledged.
//! Invariant: each *put* can have stored its letter once, and an acknowledgement that was answered has taken one of these
//! away; so a letter that comes although all of them are gone has come back.

use std::fmt;

use super::dice::Dice;
use super::report::Checks;

/// All letters of a run.
#[derive(Debug, Default)]
pub struct LetterCensus {
    letters: Vec<Fate>,
    stored: u64,
    /// Letters that came and were never left, or not with these bytes.
    strange: Vec<String>,
    /// Letters that came when each time that they were left was taken care of.
    risen: Vec<String>,
    /// Letters that came twice in one reply.
    doubled: Vec<String>,
}

/// What is known of one.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// How often it was left, whatever was answered.
    left: u32,
    is_stored: bool,
    came: u32,
    /// How often its acknowledgement was answered.
    gone: u32,
}

impl LetterCensus {
    /// No letter yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of a new letter.
    pub fn write(&mut self) -> usize {
        self.letters.push(Fate::default());
        self.letters.len() - 1
    }

    /// A letter goes to the relay, for the first time or again.
    pub fn left(&mut self, number: usize) {
        if let Some(fate) = self.letters.get_mut(number) {
            fate.left += 1;
        }
    }

    /// The relay has said that it is stored.
    pub fn stored(&mut self, number: usize) {
        if let Some(fate) = self.letters.get_mut(number) {
            self.stored += u64::from(!fate.is_stored);
            fate.is_stored = true;
        }
    }

    /// How many were said to be stored.
    pub const fn stored_count(&self) -> u64 {
        self.stored
    }

    /// These came in one reply. Gives their numbers, for those that have one.
    pub fn came<'a>(&mut self, letters: impl IntoIterator<Item = &'a [u8]>) -> Vec<usize> {
        let mut numbers = Vec::new();
        for letter in letters {
            let number = number_of(letter);
            let fate = number.and_then(|number| self.letters.get_mut(number));
            let (Some(number), Some(fate)) = (number, fate.filter(|fate| fate.left > 0)) else {
                self.strange.push(format!("{} bytes, as number {number:?}", letter.len()));
                continue;
            };
            if numbers.contains(&number) {
                self.doubled.push(number.to_string());
            }
            if fate.gone >= fate.left {
                self.risen.push(number.to_string());
            }
            fate.came += 1;
            numbers.push(number);
        }
        numbers
    }

    /// The relay has said that this one is deleted.
    pub fn gone(&mut self, number: usize) {
        if let Some(fate) = self.letters.get_mut(number) {
            fate.gone += 1;
        }
    }

    /// Claims what a relay promises, of so many letters at least. Nothing is under way any more.
    pub fn judge(&self, wanted: u64, checks: &mut Checks) {
        checks.at_least("letters that were said to be stored", &self.stored, &wanted);
        checks.none("each letter that was said to be stored has come", &self.missing());
        checks.none("each letter that came was left, and is as it was left", &self.strange);
        checks.none("no letter comes again whose acknowledgement was answered", &self.risen);
        checks.none("each letter is kept once", &self.doubled);
    }

    fn missing(&self) -> Vec<String> {
        let all = self.letters.iter().enumerate();
        let missing = all.filter(|(_, fate)| fate.is_stored && fate.came == 0);
        missing.map(|(number, _)| number.to_string()).collect()
    }
}

impl fmt::Display for LetterCensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&Fate) -> u32| -> u64 {
            self.letters.iter().map(|fate| u64::from(count(fate))).sum()
        };
        write!(
            f,
            "{} stored, {} left again, {} collected, {} repeated, {} missing",
            self.stored,
            sum(|fate| fate.left.saturating_sub(1)),
            sum(|fate| fate.came.min(1)),
            sum(|fate| fate.came.saturating_sub(1)),
            self.missing().len()
        )
    }
}

/// The letter of a number.
pub fn letter(number: usize) -> Vec<u8> {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let mut letter = number.to_le_bytes().to_vec();
    letter.extend(Dice::from_seed(number).vector(LETTER_BYTES - letter.len()));
    letter
}

/// The number of a letter, if all of it is as it was written.
fn number_of(bytes: &[u8]) -> Option<usize> {
    let number = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    (letter(number) == bytes).then_some(number)
}

/// How long each letter is.
const LETTER_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter that was left as often, of which all this has happened; gives how many claims are broken.
    fn broken(left: u32, happens: impl FnOnce(&mut LetterCensus, usize)) -> usize {
        let mut census = LetterCensus::new();
        let number = census.write();
        (0..left).for_each(|_| census.left(number));
        census.stored(number);
        happens(&mut census, number);
        let mut checks = Checks::new();
        census.judge(1, &mut checks);
        checks.broken()
    }

    fn comes(census: &mut LetterCensus, number: usize) {
        assert_eq!(census.came([&letter(number)[..]]), [number]);
    }

    #[test]
    fn a_letter_has_to_come_and_may_come_again_until_it_is_gone() {
        assert_eq!(broken(1, |_, _| {}), 1);
        assert_eq!(broken(1, comes), 0);
        let twice = |census: &mut LetterCensus, number| {
            comes(census, number);
            comes(census, number);
            census.gone(number);
        };
        assert_eq!(broken(1, twice), 0);
    }

    #[test]
    fn a_letter_that_is_gone_comes_again_only_if_it_was_left_again() {
        let gone_between = |census: &mut LetterCensus, number| {
            comes(census, number);
            census.gone(number);
            comes(census, number);
        };
        assert_eq!(broken(1, gone_between), 1);
        assert_eq!(broken(2, gone_between), 0);
    }

    #[test]
    fn what_was_not_left_and_what_comes_twice_at_once_is_found() {
        let at_once = |census: &mut LetterCensus, number| {
            let letter = letter(number);
            census.came([&letter[..], &letter[..]]);
        };
        assert_eq!(broken(2, at_once), 1);
        let changed = |census: &mut LetterCensus, number| {
            comes(census, number);
            let mut letter = letter(number);
            letter[9] ^= 1;
            assert_eq!(census.came([&letter[..]]), [0; 0]);
        };
        assert_eq!(broken(1, changed), 1);
        let strange = |census: &mut LetterCensus, number| {
            comes(census, number);
            census.came([&letter(7)[..]]);
        };
        assert_eq!(broken(1, strange), 1);
    }
}
