//! What to say of a key that there is not.
//!
//! Knows the keys that there are. Invariant: what it advises is a key or a table that exists.

use clap::Command;

use super::keys;
use super::nearest::nearest;

/// Why `word` is no key in the table of `command`, which is called by `names`, and what was meant.
pub(super) fn explain(whole: &Command, command: &Command, names: &[&str], word: &str) -> String {
    if word == keys::NAMES_THE_FILE {
        return "a file cannot name another one".to_owned();
    }
    let here = if names.is_empty() {
        "it is no option of every command, and no command has such a table".to_owned()
    } else {
        format!("egtp {} has no such option", names.join(" "))
    };
    let is_for_all = keys::of(whole).any(|key| key.name() == word);
    if is_for_all && !names.is_empty() {
        return format!("{here}: it is one of every command, and stands above the first table");
    }
    let known = keys::of(command).map(|key| key.name());
    let known: Vec<&str> = known.chain(keys::tables(command).map(Command::get_name)).collect();
    let elsewhere =
        keys::tables(whole).filter(|table| keys::of(table).any(|key| key.name() == word));
    let elsewhere: Vec<_> = elsewhere.map(|table| format!("[{}]", table.get_name())).collect();
    if let Some(meant) = nearest(word, known.iter().copied()) {
        format!("{here}; did you mean {meant}?")
    } else if !elsewhere.is_empty() {
        format!("{here}; it stands below {}", elsewhere.join(" or "))
    } else if whole.find_subcommand(word).is_some() && names.is_empty() {
        format!("egtp {word} has no options that a file could set")
    } else {
        format!("{here}; there are {}", known.join(", "))
    }
}
