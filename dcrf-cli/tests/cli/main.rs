//! The command line against the real server, through pipes and through a terminal.

mod bad_input;
mod command;
mod connecting;
mod contexts;
mod guide;
mod import;
mod live;
mod one_shot;
mod output;
mod picture;
mod screen;
mod secrets;
mod terminal;
mod watch;
