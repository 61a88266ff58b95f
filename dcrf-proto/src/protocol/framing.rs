//! How payloads are wrapped.

/// How payloads are wrapped on the wire (F1).
///
/// ```
/// use dcrf_proto::{Config, Framing};
///
/// // A consumer that is routed directly, without a multiplexer in front.
/// let mut config = Config::default();
/// config.framing = Framing::Bare;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// `{"stream": …, "payload": …}`, for an endpoint behind channelsmultiplexer.
    #[default]
    Multiplexed,
    /// The payload alone, for a consumer that is routed directly. The stream of a request is then a name
    /// of your own, which never reaches the wire.
    Bare,
}
