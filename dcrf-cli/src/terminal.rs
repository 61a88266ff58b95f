//! The terminal of standard input.

use std::io;

/// The terminal does not show what is typed, until this is dropped.
#[cfg(unix)]
pub(crate) struct HiddenInput(rustix::termios::Termios);

#[cfg(unix)]
impl HiddenInput {
    /// # Errors
    ///
    /// Standard input is not a terminal.
    pub(crate) fn start() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

        let shown = tcgetattr(io::stdin())?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(shown))
    }
}

#[cfg(unix)]
impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ =
            rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &self.0);
    }
}

/// Elsewhere, a password must come from a file or a pipe.
#[cfg(not(unix))]
pub(crate) struct HiddenInput;

#[cfg(not(unix))]
impl HiddenInput {
    /// # Errors
    ///
    /// Always.
    pub(crate) fn start() -> io::Result<Self> {
        Err(io::Error::other("pass the password on standard input: this terminal would show it"))
    }
}
