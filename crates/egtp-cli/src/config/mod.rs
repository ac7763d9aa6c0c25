//! A configuration file: options that the command line leaves open.
//!
//! What a file may say is read off the command line as it is defined (`keys`), so that there is no second list of
//! options. What it does say is checked whole (`file`), and becomes the default of those options that neither the command
//! line nor the environment names (`defaults`). Knows no option and no command. Invariant: a flag beats the environment,
//! the environment beats the file, and the file beats what is built in.

mod defaults;
mod example;
mod fault;
mod file;
mod keys;
mod nearest;
mod reading;
mod sample;
mod unknown;
mod value;

use std::ffi::OsString;

use clap::{ArgMatches, Command, FromArgMatches};

use crate::context::{Global, Named};
use crate::failure::{Code, Failure};

pub(crate) use example::{keys, text};
pub(crate) use fault::Fault;
use file::File;

/// The command line, completed by a file if one was named.
#[derive(Debug)]
pub(crate) struct Understood {
    /// All options, wherever they come from.
    pub(crate) matches: ArgMatches,
    /// The file, with as much of it as counts for this command line.
    file: Option<File>,
}

impl Understood {
    /// The same failure; where it speaks of an option that the file has set, it says so.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match &self.file {
            Some(file) => file.explain(failure),
            None => failure,
        }
    }
}

/// Why there is nothing to do.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The command line is at fault, or asks for help alone.
    Words(clap::Error),
    /// The file is at fault.
    File(Failure),
}

/// Understands a command line and the file that it or the environment names.
///
/// # Errors
/// What is wrong with either.
pub(crate) fn understand(
    whole: &Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Understood, Refusal> {
    let words: Vec<OsString> = words.into_iter().collect();
    // The words have to make sense by themselves: a file adds options, and no option must be given.
    let matches = whole.clone().try_get_matches_from(&words).map_err(Refusal::Words)?;
    let global = Global::from_arg_matches(&matches).map_err(Refusal::Words)?;
    let is_about_files = matches.subcommand_name() == Some(ABOUT_FILES);
    let Some(named) = global.config().filter(|_| !is_about_files) else {
        return Ok(Understood { matches, file: None });
    };
    let file = File::read(&named, whole).map_err(Refusal::File)?;
    let (completed, file) = defaults::completed(whole, &matches, file);
    let matches = completed.try_get_matches_from(&words).map_err(Refusal::Words)?;
    Ok(Understood { matches, file: Some(file) })
}

/// All that is wrong with a file, in the order of its lines; nothing if it can be used.
///
/// # Errors
/// [`Code::Usage`] when it cannot be read.
pub(crate) fn check(named: &Named, whole: &Command) -> Result<Vec<Fault>, Failure> {
    File::check(named, whole).map(|(_, faults)| faults)
}

/// The options of the command that runs, as they would be if it were started now with the same words and in the same
/// environment: what a file says is read again, what a flag says stays, and the file may name any option that the flags leave
/// open, or none any more.
///
/// A command that stays calls this to take changes over while it runs: `config::again::<Arguments>()?.allow`. Only what it
/// then looks at changes. Without a file the answer is what the command was started with; files that options name
/// (`--allow FILE`) are not looked at here.
///
/// # Errors
/// [`Code::Usage`] when the file is gone or has faults, with the place of the first; the caller says so and goes on with what
/// it has. Nothing was changed.
pub(crate) fn again<Options: FromArgMatches>() -> Result<Options, Failure> {
    options_of(&crate::command(), std::env::args_os())
}

fn options_of<Options: FromArgMatches>(
    whole: &Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Options, Failure> {
    let understood = understand(whole, words).map_err(|refusal| match refusal {
        Refusal::File(failure) => failure,
        Refusal::Words(error) => Failure::new(Code::Usage, error),
    })?;
    let of_command = understood.matches.subcommand().map(|(_, matches)| matches);
    let options = Options::from_arg_matches(of_command.unwrap_or(&understood.matches));
    options.map_err(|error| Failure::new(Code::Usage, error))
}

/// The command that works on files as files: a broken one is what it is there for.
const ABOUT_FILES: &str = "config";

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use clap::Args;

    use super::*;

    #[derive(Args, Debug, Eq, PartialEq)]
    struct Few {
        #[arg(long)]
        allow: Vec<String>,
        #[arg(long, default_value = "7")]
        most: u32,
    }

    /// What a command that stays would have after its file was changed to this.
    fn after(path: &Path, text: &str, more: &[&str]) -> Result<Few, Failure> {
        std::fs::write(path, text).expect("a file can be written");
        let whole = Global::augment_args(Command::new("egtp"));
        let whole = whole.subcommand(Few::augment_args(Command::new("stay")));
        let path = path.to_str().expect("a name");
        let words = [&["egtp", "--config", path, "stay"], more].concat();
        options_of(&whole, words.into_iter().map(OsString::from))
    }

    fn few(allow: &[&str], most: u32) -> Few {
        Few { allow: allow.iter().map(ToString::to_string).collect(), most }
    }

    #[test]
    fn what_a_file_says_is_read_again_and_what_a_flag_says_stays() {
        let path = format!("egtp-config-{}.toml", std::process::id());
        let path: PathBuf = std::env::temp_dir().join(path);
        let first = "[stay]\nallow = ['a']\nmost = 8";
        assert_eq!(after(&path, first, &[]).expect("it is right"), few(&["a"], 8));
        let second = "[stay]\nallow = ['b', 'c']";
        assert_eq!(after(&path, second, &[]).expect("it is right"), few(&["b", "c"], 7));
        let flags = ["--allow", "x"];
        assert_eq!(after(&path, first, &flags).expect("it is right"), few(&["x"], 8));
        assert_eq!(after(&path, "", &[]).expect("it is right"), few(&[], 7));

        let failure = after(&path, "[stay]\nmost = 8\nalow = ['x']", &[]).expect_err("a fault");
        assert_eq!(failure.code, Code::Usage);
        for words in ["line 3, column 1", "stay.alow", "did you mean allow?"] {
            assert!(failure.message.contains(words), "{failure:?}");
        }
        std::fs::remove_file(&path).expect("it is there");
    }
}
