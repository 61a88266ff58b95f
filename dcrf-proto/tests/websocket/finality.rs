//! What a server can say that looks final but is not, and what is kept of it (rules L6 and L7).

use dcrf_proto::ConnectionError;
use dcrf_proto::websocket::{self, Credentials, Endpoint, Options};
use futures_lite::future::block_on;

use crate::pipe;
use crate::support::{closed, handshake_error_with, idle, receive};

#[test]
fn l7_close_codes_are_kept_even_if_no_endpoint_may_send_them() {
    let reasons = ["", "because", "88 \u{8}8\u{2}", &"é".repeat(61)];
    for code in [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 2999, 5000, 65_535_u16] {
        for reason in reasons {
            let (mut client, control) = idle();
            let length = u8::try_from(2 + reason.len()).unwrap();
            let frame = [&[0x88, length][..], &code.to_be_bytes(), reason.as_bytes()].concat();
            // A text with what looks like a close frame.
            control.receive(b"\x81\x04\xc2\x88\x02\x03");
            // In pieces, followed by bytes that no server may send after a close.
            for byte in frame {
                control.receive(&[byte]);
            }
            control.receive(b"\x88\x02\x03\xe8");
            assert!(receive(&mut client).is_ok());
            assert_eq!(receive(&mut client).unwrap_err(), closed(code, reason), "{code}");
        }
    }
}

#[test]
fn l7_close_code_1002_of_a_server_is_kept() {
    let (mut client, control) = idle();
    control.receive(b"\x88\x14\x03\xeaProtocol violation");
    assert_eq!(receive(&mut client).unwrap_err(), closed(1002, "Protocol violation"));
}

#[test]
fn l6_subprotocol_that_the_server_does_not_pick_is_a_typed_error() {
    let offered = Options::default().credentials(Credentials::new().subprotocol("token"));
    let picks = "Sec-WebSocket-Protocol: other\r\n";
    for (options, picked) in [(&offered, ""), (&offered, picks), (&Options::default(), picks)] {
        let error = handshake_error_with(options, move |accept| {
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n{picked}\r\n"
            )
        })
        .0;
        assert!(matches!(error, ConnectionError::Subprotocol(_)), "{picked}: {error:?}");
    }
}

/// Before the server has proved who it is, everybody on the way can send this.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[test]
fn l7_tls_alert_before_the_server_is_verified_is_never_final() {
    use dcrf_proto::websocket::Tls;

    let libraries = [
        Tls::default(),
        #[cfg(all(feature = "rustls", feature = "native-tls"))]
        Tls::default().use_native_tls(),
    ];
    let endpoint = Endpoint::parse("wss://localhost/").unwrap();
    for tls in libraries {
        for alert in [40, 41, 42, 43, 44, 45, 46, 48, 116] {
            let (near, far) = pipe::new();
            near.control().receive(&[0x15, 3, 3, 0, 2, 2, alert]);
            let options = Options::default().tls(tls.clone());
            let connected = block_on(websocket::connect(&endpoint, near, &options));
            let error = connected.map(drop).unwrap_err();
            assert!(matches!(error, ConnectionError::Tls(_)), "{alert}: {error:?}");
            drop(far);
        }
    }
}
