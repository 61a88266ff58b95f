//! The command line against the real server, through pipes and through a terminal.

mod bad_input;
mod bench;
mod command;
mod connecting;
mod contexts;
mod doctor;
mod guide;
mod import;
mod live;
mod nginx;
mod one_shot;
mod output;
mod picture;
mod record;
mod secrets;
mod terminal;
mod watch;
