//! Completions and man pages, made from the command line's definition.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::EXIT_CODES;

#[derive(Args, Debug)]
#[command(
    after_help = "Example, for bash:\n  dcrf completions bash > ~/.local/share/bash-completion/completions/dcrf"
)]
pub(crate) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  dcrf man ~/.local/share/man/man1 && man dcrf-watch")]
pub(crate) struct ManArgs {
    /// The folder for the pages. Without it, the page of `dcrf` goes to standard output
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// # Errors
///
/// Standard output can't be written.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "dcrf", &mut script);
    io::stdout().write_all(&script)
}

/// # Errors
///
/// The folder or standard output can't be written.
pub(crate) fn man_pages(args: &ManArgs, mut command: Command) -> io::Result<()> {
    // Gives each subcommand its whole name, and the options that all have.
    command.build();
    let Some(folder) = &args.folder else {
        return io::stdout().write_all(&page(command)?);
    };
    fs::create_dir_all(folder)?;
    write_pages(&command, folder)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for sub in command.get_subcommands() {
        write_pages(sub, folder)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    fs::write(folder.join(format!("{name}.1")), page(command.clone())?)
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    // A page has room for all options.
    let command = command.mut_args(|arg| arg.hide_short_help(false));
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    write!(
        page,
        ".SH EXIT STATUS\n.nf\n{}\n.fi\n",
        EXIT_CODES.trim_start_matches("Exit codes:\n")
    )?;
    Ok(page)
}
