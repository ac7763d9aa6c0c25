//! From the text of a file to the options that it sets.
//!
//! Knows the form of the file and the keys that there are (`keys`), no option. Invariant: a value that is kept is one that
//! the command line would take.

use std::borrow::Cow;

use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::defaults;
use super::fault::{Fault, Spot};
use super::file::Setting;
use super::keys::{self, Key};
use super::{unknown, value};

/// What a text sets, and what is wrong with it, in the order of its lines. `whole` says what can be in it.
pub(super) fn read(text: &str, whole: &Command) -> (Vec<Setting>, Vec<Fault>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading { text, whole, settings: Vec::new(), faults: Vec::new() };
    for error in errors {
        let spot = Spot::of(text, error.span().unwrap_or_default().start);
        reading.fault(spot, &[], error.message());
    }
    // What could be made out of a text that is no TOML would be blamed for what is missing.
    if reading.faults.is_empty() {
        reading.table(whole, &[], table.get_ref());
    }
    let Reading { mut settings, mut faults, .. } = reading;
    settings.sort_by_key(|setting| setting.spot);
    faults.sort_by_key(|fault| fault.spot);
    (settings, faults)
}

/// A file while it is read.
#[derive(Debug)]
struct Reading<'a> {
    text: &'a str,
    whole: &'a Command,
    settings: Vec<Setting>,
    faults: Vec<Fault>,
}

type Name<'a> = Spanned<Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Reading<'_> {
    fn fault(&mut self, spot: Spot, names: &[&str], message: impl Into<String>) {
        if !self.is_full() {
            let key = (!names.is_empty()).then(|| names.join("."));
            self.faults.push(Fault { spot, key, message: message.into() });
        }
    }

    /// Whether there is no use in looking for more: who has so many faults has given the wrong file.
    fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    fn spot(&self, of: &Spanned<impl Sized>) -> Spot {
        Spot::of(self.text, of.span().start)
    }

    /// Reads the table of a command, which is called by `names`.
    fn table(&mut self, command: &Command, names: &[&str], table: &DeTable<'_>) {
        let before = self.settings.len();
        for (name, value) in table {
            if self.is_full() {
                return;
            }
            self.entry(command, names, (name, value));
        }
        self.contradictions(command, names, before);
    }

    fn entry(&mut self, command: &Command, names: &[&str], (name, value): (&Name<'_>, &Value<'_>)) {
        let word = name.get_ref().as_ref();
        let inner = keys::tables(command).find(|inner| inner.get_name() == word);
        let key = keys::of(command).find(|key| key.name() == word);
        let names_of = [names, &[word]].concat();
        match (value.get_ref(), inner, key) {
            (DeValue::Table(table), Some(inner), _) => self.table(inner, &names_of, table),
            (_, _, Some(key)) => self.setting(command, names, key, (name, value)),
            (other, Some(_), None) => {
                let message = format!("a table is expected, not {}", value::kind(other));
                self.fault(self.spot(value), &names_of, message);
            }
            (_, None, None) => {
                let message = unknown::explain(self.whole, command, names, word);
                self.fault(self.spot(name), &names_of, message);
            }
        }
    }

    fn setting(
        &mut self,
        command: &Command,
        names: &[&str],
        key: Key<'_>,
        (name, value): (&Name<'_>, &Value<'_>),
    ) {
        let names_of = [names, &[key.name()]].concat();
        let texts = match value::texts(command, key, value) {
            Ok(texts) => texts,
            Err((at, message)) => return self.fault(Spot::of(self.text, at), &names_of, message),
        };
        if texts.is_empty() || !self.are_right(command, &names_of, key, &texts) {
            return;
        }
        self.settings.push(Setting {
            table: names.iter().map(|&name| name.to_owned()).collect(),
            id: key.arg().get_id().to_string(),
            key: key.name().to_owned(),
            values: texts.into_iter().map(|(_, text)| text).collect(),
            spot: self.spot(name),
        });
    }

    /// Whether the command line would take the values; if not, says which it would not.
    fn are_right(
        &mut self,
        command: &Command,
        names: &[&str],
        key: Key<'_>,
        texts: &[(usize, String)],
    ) -> bool {
        let all: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        let Err(together) = key.check(command, &all) else { return true };
        let before = self.faults.len();
        // One by one only to find out which, for there may be thousands.
        for (at, text) in texts {
            if self.is_full() {
                break;
            }
            if let Err(why) = key.check(command, &[text]) {
                let message = format!("{text:?} will not do: {why}");
                self.fault(Spot::of(self.text, *at), names, message);
            }
        }
        if let Some((at, _)) = texts.first().filter(|_| self.faults.len() == before) {
            self.fault(Spot::of(self.text, *at), names, together);
        }
        false
    }

    /// Looks at what a table has set, and not at what is in tables inside it.
    fn contradictions(&mut self, command: &Command, names: &[&str], before: usize) {
        let set = self.settings.get(before..).unwrap_or_default();
        let mut set: Vec<_> = set.iter().filter(|setting| setting.table == names).collect();
        set.sort_by_key(|setting| setting.spot);
        let arg =
            |setting: &Setting| command.get_arguments().find(|arg| *arg.get_id() == setting.id);
        let mut found = Vec::new();
        for (index, later) in set.iter().enumerate() {
            for earlier in set.iter().take(index) {
                let (Some(one), Some(other)) = (arg(earlier), arg(later)) else { continue };
                if defaults::are_apart(command, one, other) {
                    let (key, line) = (&earlier.key, earlier.spot.line);
                    let message = format!("it contradicts `{key}` in line {line}: leave one out");
                    found.push((later.spot, later.key.clone(), message));
                }
            }
        }
        for (spot, key, message) in found {
            self.fault(spot, &[names, &[key.as_str()]].concat(), message);
        }
    }
}

/// Far more than anybody reads.
const FAULTS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_anywhere_is_read_calmly() {
        let whole = crate::command();
        let text = "data = 'ä'\n[up]\nlisten = [\n'none', 3]\n[relay]\nlisten.x = {a = \"\\u00e9\"}\n[[id]]\nx = 1979-05-27\n";
        let (_, faults) = read(text, &whole);
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (at, _) in text.char_indices() {
            let (part, rest) = text.split_at(at);
            for text in [part, rest] {
                let lines = text.lines().count();
                let (_, faults) = read(text, &whole);
                let is_inside =
                    |fault: &Fault| fault.spot.line <= lines + 1 && fault.spot.column > 0;
                assert!(faults.iter().all(is_inside), "{text:?}: {faults:?}");
            }
        }
    }

    #[test]
    fn of_very_many_faults_few_are_told() {
        let keys: Vec<String> = (0..10_000).map(|number| format!("x{number} = 1")).collect();
        assert_eq!(read(&keys.join("\n"), &crate::command()).1.len(), FAULTS_MAX);
        let list = format!("[up]\nlisten = [{}]", vec!["'x'"; 10_000].join(","));
        assert_eq!(read(&list, &crate::command()).1.len(), FAULTS_MAX);
    }
}
