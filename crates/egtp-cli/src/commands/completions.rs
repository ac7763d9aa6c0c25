//! `egtp completions`: so that a shell can finish words.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output;

/// Print the completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp completions bash > ~/.local/share/bash-completion/completions/egtp
  egtp completions zsh > ~/.zfunc/_egtp
  egtp completions fish > ~/.config/fish/completions/egtp.fish")]
pub(crate) struct Arguments {
    /// Which shell
    shell: Shell,
}

/// Prints them.
///
/// # Errors
/// When nobody reads them.
pub(crate) fn run(arguments: &Arguments, mut command: clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "egtp", &mut script);
    output::bytes(&script)
}
