//! `dcrf`: requests, imports and live changes of a Django Channels REST Framework server, from the shell.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod connection;
mod context_commands;
mod conversation;
mod doctor;
mod duration;
mod escape;
mod failure;
mod fields;
mod handshake;
mod import;
mod listen;
mod live;
mod login;
mod one_shot;
mod output;
mod record;
mod replay;
mod shell;
mod signals;
mod state;
mod terminal;
mod until;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    respect_dumb_terminals();
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report_failure(&failure);
            ExitCode::from(failure.code as u8)
        }
    }
}

/// On a build server, colors are on by default, even on a dumb terminal.
fn respect_dumb_terminals() {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if is_dumb && std::env::var_os("CLICOLOR_FORCE").is_none() {
        anstream::ColorChoice::Never.write_global();
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(dispatch(cli));
    // A thread that reads standard input can wait for ever.
    runtime.shutdown_background();
    result
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { connection, output, command } = cli;
    let out = output.output();
    match command {
        Command::List(args) => one_shot::list(&args, &connection.target()?, out).await,
        Command::Get(args) => one_shot::get(&args, &connection.target()?, out).await,
        Command::Create(args) => one_shot::create(args, &connection.target()?, out).await,
        Command::Update(args) => one_shot::change("update", args, &connection.target()?, out).await,
        Command::Patch(args) => one_shot::change("patch", args, &connection.target()?, out).await,
        Command::Delete(args) => one_shot::delete(args, &connection.target()?, out).await,
        Command::Call(args) => one_shot::call(&args, &connection.target()?, out).await,
        Command::Watch(args) => watch::run(&args, &connection.target()?, out).await,
        Command::Listen(args) => listen::run(&args, &connection.target()?, out).await,
        Command::Doctor(args) => doctor::run(args, connection, out).await,
        Command::Record(args) => record::run(&args, &connection.target()?, out).await,
        Command::Replay(args) => replay::run(&args, &connection, out).await,
        Command::Bench(args) => bench::run(*args, &connection, out).await,
        Command::Context(command) => context_commands::run(command, &connection, out),
        Command::Login(args) => login::run(&args, &connection, out).await,
        Command::Completions(args) => Ok(shell::completions(&args, Cli::command())?),
        Command::Man(args) => Ok(shell::man_pages(&args, Cli::command())?),
    }
}
