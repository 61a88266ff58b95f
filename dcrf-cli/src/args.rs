//! The command line.

use clap::{Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::connection::ConnectionArgs;
use crate::context_commands::ContextCommand;
use crate::doctor::DoctorArgs;
use crate::failure::EXIT_CODES;
use crate::import::ManyArgs;
use crate::listen::ListenArgs;
use crate::login::LoginArgs;
use crate::one_shot::{CallArgs, ChangeArgs, CreateArgs, DeleteArgs, GetArgs, ListArgs};
use crate::output::OutputArgs;
use crate::record::RecordArgs;
use crate::replay::ReplayArgs;
use crate::shell::{CompletionsArgs, ManArgs};
use crate::watch::WatchArgs;

const EXAMPLES: &str = "\
Examples:
  dcrf context add local ws://localhost:8000/ws/
  dcrf list tasks
  dcrf create tasks title='Write docs' done:=false
  dcrf watch tasks 4
";

/// Talks to a Django Channels REST Framework server.
#[derive(Parser, Debug)]
#[command(name = "dcrf", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Prints the objects of a stream
    List(ListArgs),
    /// Prints one object
    Get(GetArgs),
    /// Creates an object, or many from a file
    Create(CreateArgs),
    /// Replaces an object, or many from a file
    Update(ChangeArgs),
    /// Changes fields of an object, or of many from a file
    Patch(ChangeArgs),
    /// Deletes objects
    Delete(DeleteArgs),
    /// Calls any action of a stream
    Call(CallArgs),
    /// Prints changes as they happen
    Watch(WatchArgs),
    /// Prints messages that the server pushes
    Listen(ListenArgs),
    /// Finds out why a server can't be used, and says what to change
    Doctor(DoctorArgs),
    /// Records conversations of any clients, as a proxy in front of the server
    Record(RecordArgs),
    /// Plays a recorded conversation: as the server, or against one
    Replay(ReplayArgs),
    /// Puts load on a server, and measures what it does
    Bench(Box<BenchArgs>),
    /// Names servers, so that a command needs no URL
    #[command(subcommand)]
    Context(ContextCommand),
    /// Signs in with user and password, and stores the session in the context
    Login(LoginArgs),
    /// Prints the completions for a shell
    Completions(CompletionsArgs),
    /// Writes the man pages
    Man(ManArgs),
}

impl ManyArgs {
    /// Whether an argument names a source of many objects: `-` or `@FILE`.
    pub(crate) fn is_source(argument: &str) -> bool {
        argument == "-" || argument.starts_with('@')
    }
}
