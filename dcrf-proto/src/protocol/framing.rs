//! The two framings.

/// How frames wrap their payload: with a multiplexer's envelope or not.
///
/// ```
/// use dcrf_proto::{Config, Framing};
///
/// // The URL routes to a consumer directly, without a multiplexer.
/// let mut config = Config::default();
/// config.framing = Framing::Bare;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// `{"stream": …, "payload": …}`, for an endpoint that uses channelsmultiplexer.
    #[default]
    Multiplexed,
    /// Only the payload, for a consumer without a multiplexer. The stream of a request is not sent: choose any name.
    Bare,
}
