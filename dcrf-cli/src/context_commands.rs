//! `dcrf context`: names for servers.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::connection::ConnectionArgs;
use crate::connection::contexts::{Context, Contexts};
use crate::connection::secret::{Secret, check_url};
use crate::failure::Failure;
use crate::output::{DIM, Output, unless_closed};

#[derive(Subcommand, Debug)]
pub(crate) enum ContextCommand {
    /// Names a server, with the options that lead to it
    #[command(
        after_help = "Examples:\n  dcrf context add local ws://localhost:8000/ws/\n  dcrf context add prod \
                            wss://example.com/ws/ --token-cmd 'pass show example' --token-as token"
    )]
    Add(AddArgs),
    /// Uses a server whenever no other is named
    Use(NameArgs),
    /// Lists the names and their URLs
    List,
    /// Removes a name
    Remove(NameArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    name: String,
    /// The ws:// or wss:// URL; or env:VARIABLE or @FILE, if it has a token
    #[arg(value_name = "URL")]
    server: String,
    /// Replaces a context of the same name
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct NameArgs {
    name: String,
}

/// # Errors
///
/// The file of the contexts can't be read or written, or the name or a value is wrong.
pub(crate) fn run(
    command: ContextCommand,
    connection: &ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    let mut contexts = Contexts::load().map_err(Failure::usage)?;
    match command {
        ContextCommand::List => return list(&contexts, out),
        ContextCommand::Add(args) => add(&mut contexts, args, connection, out)?,
        ContextCommand::Use(NameArgs { name }) => {
            contexts.get(&name).map_err(Failure::usage)?;
            out.state(DIM, &format!("{name} is the current context"));
            contexts.current = Some(name);
        }
        ContextCommand::Remove(NameArgs { name }) => {
            contexts.get(&name).map_err(Failure::usage)?;
            contexts.contexts.shift_remove(&name);
            if contexts.current.as_ref() == Some(&name) {
                contexts.current = None;
            }
        }
    }
    contexts.save().map_err(Failure::usage)
}

fn add(
    contexts: &mut Contexts,
    args: AddArgs,
    connection: &ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    if contexts.contexts.contains_key(&args.name) && !args.force {
        return Err(Failure::usage(format!(
            "there is a context {:?}: --force replaces it",
            args.name
        )));
    }
    let mut context = connection.to_context().map_err(Failure::usage)?;
    if args.name.is_empty() || args.name.contains(char::is_whitespace) {
        return Err(Failure::usage("the name must not be empty or have spaces"));
    }
    let url = Secret::new(args.server);
    check_url(&url).map_err(Failure::usage)?;
    context.url = Some(url);
    // It is used from any folder.
    context.make_paths_absolute()?;
    // So that a mistake shows now, and not at the first use.
    context.check(connection).map_err(Failure::usage)?;
    contexts.contexts.insert(args.name.clone(), context);
    if contexts.current.is_none() {
        contexts.current = Some(args.name.clone());
    }
    let is_current = contexts.current.as_ref() == Some(&args.name);
    let state =
        if is_current { "is the current context" } else { "is added; use it with --context" };
    out.state(DIM, &format!("{} {state}", args.name));
    Ok(())
}

fn list(contexts: &Contexts, out: Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (name, context) in &contexts.contexts {
        let is_current = contexts.current.as_ref() == Some(name);
        let row = json!({"name": name, "url": context.shown_url(), "current": is_current});
        rows.push(
            dcrf_tokio::Json::from_value(&row)
                .map_err(|error| Failure::usage(error.to_string()))?,
        );
    }
    let printed = if out.has_lines() {
        rows.iter().try_for_each(|row| out.row(row))
    } else {
        out.all_rows(&rows)
    };
    printed.or_else(unless_closed)
}

impl Context {
    fn make_paths_absolute(&mut self) -> Result<(), Failure> {
        let secrets = self.headers.values_mut().chain(self.cookies.values_mut());
        for secret in
            secrets.chain(&mut self.subprotocols).chain(&mut self.proxy).chain(&mut self.url)
        {
            secret.make_path_absolute()?;
        }
        let paths =
            [&mut self.ca, &mut self.client_cert, &mut self.client_key, &mut self.unix_socket];
        for path in paths.into_iter().flatten() {
            *path = std::path::absolute(&path)?;
        }
        Ok(())
    }

    /// The URL without its query, which can have a token.
    fn shown_url(&self) -> String {
        let Some(url) = &self.url else { return String::new() };
        match url.read().ok().and_then(|url| url.parse::<dcrf_tokio::Endpoint>().ok()) {
            Some(endpoint) => endpoint.to_string(),
            None => "?".into(),
        }
    }
}
