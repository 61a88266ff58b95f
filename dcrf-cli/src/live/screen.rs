//! The terminal of the live table: full-screen while it is open, and restored in any case.

use std::io::{self, IsTerminal as _};

use ratatui::DefaultTerminal;

use crate::failure::Failure;

/// A full-screen terminal. It is restored when this is dropped, and by a panic.
pub(crate) struct Screen(pub(crate) DefaultTerminal);

impl Screen {
    /// Whether there is a terminal for it.
    ///
    /// # Errors
    ///
    /// A sentence about what is missing.
    pub(crate) fn check() -> Result<(), Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::usage(
                "--live needs a terminal: leave it out to print the changes as lines",
            ));
        }
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if is_dumb && !cfg!(windows) {
            return Err(Failure::usage(
                "--live needs a terminal that can place text, and TERM names none: leave it out to print the changes \
                 as lines",
            ));
        }
        Ok(())
    }

    pub(crate) fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

/// Whether the user wants colors: `NO_COLOR` is not set, or empty.
pub(crate) fn has_colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Waits for a signal that ends the process, and returns its number.
#[cfg(unix)]
pub(crate) async fn ended_by_signal() -> io::Result<i32> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let kind = tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hang_up.recv() => SignalKind::hangup(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    };
    Ok(kind.as_raw_value())
}

#[cfg(not(unix))]
pub(crate) async fn ended_by_signal() -> io::Result<i32> {
    tokio::signal::ctrl_c().await?;
    Ok(2)
}
