//! The main job as one command: a Tokio program that uses a DCRF server, while that is killed and started
//! again under it. `--help` says how to point it at a server of one's own.

mod arguments;
mod failure;
mod report;
mod survey;
mod tour;

use std::process::ExitCode;

use arguments::{Command, USAGE};
use failure::Failure;
use report::Report;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            Ok(())
        }
        Ok(Command::Tour) => tour::run(&mut Report::new()).await,
        Ok(Command::Survey(target)) => survey::run(&mut Report::new(), &target).await,
        Err(usage) => Err(Failure::Usage(usage)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: {failure}");
            failure.exit_code()
        }
    }
}
