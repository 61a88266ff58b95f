//! Signals that end the process.

use std::io;

/// Waits for a signal that ends the process, and returns its number.
///
/// # Errors
///
/// The process can't listen for signals.
#[cfg(unix)]
pub(crate) async fn ended() -> io::Result<i32> {
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
pub(crate) async fn ended() -> io::Result<i32> {
    tokio::signal::ctrl_c().await?;
    Ok(2)
}

/// Waits for a signal that ends the process. If the process can't listen for them, this waits for ever.
pub(crate) async fn interrupted() {
    if ended().await.is_err() {
        std::future::pending::<()>().await;
    }
}
