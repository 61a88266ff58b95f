//! The command line against the real server, through pipes and through a terminal.

mod bench;
mod command;
mod one_shot;
