//! The state of the connection and of long work, on standard error.

use std::time::{Duration, Instant};

use dcrf_tokio::{Client, ClientEvent, CloseReason, ConnectError, ConnectionState, Events};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::connection::Target;
use crate::escape::escape;
use crate::failure::Failure;
use crate::output::{self, BAD, CHANGED, GOOD, Output};

/// Ends a task when it is dropped.
pub(crate) struct Background(JoinHandle<()>);

impl Background {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reports each loss of the connection, and when it is back.
pub(crate) fn report_losses(client: &Client, out: Output) -> Background {
    let mut events = client.events();
    Background::spawn(async move {
        let mut was_lost = false;
        while let Some(event) = events.next().await {
            match event {
                ClientEvent::State(ConnectionState::Waiting { error, until, .. }) => {
                    was_lost = true;
                    let wait = until.saturating_duration_since(Instant::now());
                    let wait = Duration::from_millis(
                        100 * (1 + u64::try_from(wait.as_millis()).unwrap_or(0) / 100),
                    );
                    out.state(
                        CHANGED,
                        &format!("{error}; connecting again in {:.1} s", wait.as_secs_f64()),
                    );
                }
                ClientEvent::State(ConnectionState::Connected) if was_lost => {
                    was_lost = false;
                    out.state(GOOD, "connected again");
                }
                ClientEvent::Quarantined(quarantined) => out.state(
                    BAD,
                    &format!(
                        "{} connections ended after {} on {}: {}",
                        quarantined.deaths,
                        escape(&quarantined.action),
                        escape(&quarantined.stream),
                        quarantined.cause
                    ),
                ),
                _ => {}
            }
        }
    })
}

/// Waits for the first attempt to connect, of a client that has just been opened. `events` began before.
///
/// # Errors
///
/// It failed.
pub(crate) async fn first_attempt(mut events: Events, target: &Target) -> Result<(), Failure> {
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::State(ConnectionState::Connected) => return Ok(()),
            ClientEvent::State(ConnectionState::Waiting { error, .. }) => {
                let endpoint = target.endpoint.to_string();
                return Err(ConnectError::Failed { endpoint, error }.into());
            }
            ClientEvent::State(ConnectionState::Closed(reason)) => {
                return Err(Failure::closed(&reason));
            }
            _ => {}
        }
    }
    Err(Failure::closed(&CloseReason::ByCaller))
}

/// A progress bar on standard error. Without a terminal that can redraw a line, it draws nothing.
pub(crate) fn bar(out: Output, length: u64, template: &str) -> ProgressBar {
    if out.is_quiet() || !output::can_redraw() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
    bar.with_style(style)
}
