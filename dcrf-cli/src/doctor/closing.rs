//! What it means that a server closes a connection.

use super::report::Diagnosis;
use crate::failure::Code;

/// How a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// With a close frame. 1005 stands for one without a code.
    Frame { code: u16, reason: String },
    /// Without one.
    Lost(String),
}

impl Closing {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Frame { code: 1005, .. } => {
                "the server closes the connection without a code".into()
            }
            Self::Frame { code, reason } if reason.is_empty() => {
                format!("the server closes the connection with code {code}")
            }
            Self::Frame { code, reason } => {
                format!("the server closes the connection with code {code} ({reason:?})")
            }
            Self::Lost(error) => format!("the server drops the connection ({error})"),
        }
    }

    /// Whether a consumer has probably raised: Daphne closes with 1011, and Uvicorn drops the connection.
    pub(super) fn is_crash(&self) -> bool {
        matches!(self, Self::Frame { code: 1011, .. } | Self::Lost(_))
    }
}

/// The server accepts the connection, and closes it without having received anything.
pub(super) fn after_accept(closing: &Closing) -> Diagnosis {
    let seen = format!("{} right after it has accepted it", closing.describe());
    let new = |code, cause: &str| Diagnosis::new(code, format!("{seen}: {cause}"));
    let code = match closing {
        Closing::Frame { code, .. } => *code,
        Closing::Lost(_) => 1006,
    };
    let consumer = "look at `connect` and `websocket_connect` of the consumer: what calls `close` after `accept`?";
    match code {
        4401 | 3000 | 4001 => new(Code::NotAuthorized, "the consumer does not know the user (unauthenticated)")
            .advise("pass credentials: `dcrf login USER`, --cookie, --header authorization=env:VARIABLE, or --token-cmd COMMAND")
            .advise("if you have passed some: they may have expired, or go where the server does not read them")
            .advise(consumer),
        4403 | 3003 | 1008 => new(Code::NotAuthorized, "the user may not connect (forbidden)")
            .advise("sign in as a user who may, or give this one the permission")
            .advise(consumer),
        1011 | 1006 => new(Code::Refused, "the consumer raises an exception after `accept`")
            .advise("look for the traceback in the server's log, and correct `connect` of the consumer")
            .advise("a channel layer that is down raises, too: is Redis up, and CHANNEL_LAYERS (settings.py) right?"),
        1001 | 1012 | 1013 => new(Code::CannotConnect, "the server shuts down, restarts or is overloaded")
            .advise("wait, and try again; look into the server's log if it comes again"),
        1002 | 1003 | 1007 | 1009 | 1010 => new(Code::Refused, "something between the client and the consumer breaks the protocol")
            .advise("try without the proxy, directly at the ASGI server"),
        1000 | 1005 => new(Code::Refused, "the consumer has nothing to say to this client")
            .advise(consumer)
            .advise("it may reject the user in this way: pass credentials"),
        _ => new(Code::Refused, "the code is the application's own")
            .advise(format!("look for {code} in the code of the consumer and of the middleware")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_meaning() {
        let of = |code, reason: &str| after_accept(&Closing::Frame { code, reason: reason.into() });
        assert!(
            of(4401, "").finding.contains("code 4401 right after it has accepted it: the cons")
        );
        assert_eq!(
            (of(4401, "").code, of(1008, "").code),
            (Code::NotAuthorized, Code::NotAuthorized)
        );
        assert!(of(4403, "no").finding.contains("(\"no\")"));
        assert!(of(1011, "").finding.contains("raises"));
        assert!(of(1012, "").finding.contains("restarts"));
        assert!(of(4999, "").advice[0].contains("4999"));
        let lost = after_accept(&Closing::Lost("reset".into()));
        assert!(lost.finding.contains("drops the connection (reset)"));
    }
}
