//! The command line against the real server, through pipes and through a terminal.

mod command;
mod live;
mod one_shot;
mod record;
mod screen;
