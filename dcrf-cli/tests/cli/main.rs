//! The command line against the real server, through pipes and through a terminal.

mod command;
mod doctor;
mod nginx;
mod one_shot;
