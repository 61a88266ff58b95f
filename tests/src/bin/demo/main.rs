//! A Tokio program that uses a DCRF server, which is killed and restarted meanwhile. `--help` explains how to use
//! your own server instead.

mod arguments;
mod failure;
mod read_only;
mod report;
mod tour;

use std::process::ExitCode;

use arguments::{Command, USAGE};
use failure::Failure;
use report::Report;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            Ok(())
        }
        Ok(Command::Tour) => tour::run(&mut Report::new()).await,
        Ok(Command::ReadOnly(target)) => read_only::run(&mut Report::new(), &target).await,
        Err(usage) => Err(Failure::Usage(usage)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: {failure}");
            failure.exit_code()
        }
    }
}
