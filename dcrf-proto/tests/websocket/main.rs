//! The WebSocket over a byte stream, against a tungstenite server (or raw bytes) on a thread.
#![cfg(feature = "websocket")]
#![expect(clippy::disallowed_methods, reason = "the servers run on threads")]

mod finality;
mod pipe;
mod too_large;

mod support;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::CloseFrame as TungsteniteFrame;
use async_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use async_tungstenite::tungstenite::{self as ws, Message};
use dcrf_proto::client::Socket;
use dcrf_proto::websocket::{self, Endpoint, Options};
use dcrf_proto::{CloseFrame, ConnectionError, Frame};
use futures_lite::future::block_on;

use support::{
    URL, close_code, closed, connected, handshake_error, idle, poll_once, receive, receive_text,
    send,
};

// Messages.

#[test]
fn text_and_binary_messages_are_exchanged() {
    let (mut client, server) = connected(|mut server| {
        let question = server.read().unwrap();
        assert_eq!(question, Message::text("question"));
        server.send(question).unwrap();
        server.send(Message::binary(vec![1, 2, 3])).unwrap();
        server
    });
    send(&mut client, Frame::Text("question".to_owned())).unwrap();
    assert_eq!(receive_text(&mut client), "question");
    match receive(&mut client) {
        Ok(Frame::Binary(bytes)) => assert_eq!(bytes.as_ref(), [1, 2, 3]),
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[test]
fn fragments_are_joined_however_they_arrive() {
    let bytes: &[&[u8]] = &[
        b"\x81\x01a",
        b"\x01\x7e\x00\x03one\x00\x00\x89\x00\x00\x01 \x80\x03two",
        b"\x01\x00\x80\x00",
        b"\x02\x01b\x80\x01c",
        b"\x81\x01d",
    ];
    let bytes = bytes.concat();
    for size in 1..=bytes.len() {
        let (mut client, control) = idle();
        let mut received = Vec::new();
        for part in bytes.chunks(size) {
            control.receive(part);
            while let Poll::Ready(frame) = poll_once(poll_fn(|cx| client.poll_receive(cx))) {
                received.push(match frame.unwrap() {
                    Frame::Text(text) => AsRef::<str>::as_ref(&text).to_owned(),
                    Frame::Binary(bytes) => format!("{:?}", bytes.as_ref()),
                    Frame::Pong => "pong".to_owned(),
                    other => panic!("{other:?}"),
                });
            }
        }
        assert_eq!(received, ["a", "pong", "one two", "", "[98, 99]", "d"], "{size} at a time");
    }
}

#[test]
fn fragments_are_joined_to_one_message() {
    let (mut client, server) = connected(|mut server| {
        let fragment =
            |text: &str, code, last| Message::Frame(RawFrame::message(text.to_owned(), code, last));
        server.send(fragment("one ", OpCode::Data(Data::Text), false)).unwrap();
        server.send(Message::Ping(ws::Bytes::new())).unwrap();
        server.send(fragment("message", OpCode::Data(Data::Continue), true)).unwrap();
        server
    });
    assert!(matches!(receive(&mut client), Ok(Frame::Pong)));
    assert_eq!(receive_text(&mut client), "one message");
    server.join().unwrap();
}

#[test]
fn endless_message_yields_to_other_tasks() {
    let (mut client, control) = idle();
    // Empty fragments never reach the size limit. All of them can be read at once.
    control.receive(&[0x01, 0x00]);
    control.receive(&vec![0; 4 << 20]);
    let mut polls = 0;
    block_on(poll_fn(|cx| {
        polls += 1;
        assert!(client.poll_receive(cx).is_pending());
        if control.unread() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert!(polls > 4, "everything was read in {polls} polls");
}

#[test]
fn batch_larger_than_all_buffers_arrives() {
    let (mut client, server) = connected(|mut server| {
        for _ in 0..64 {
            assert_eq!(server.read().unwrap().len(), 100_000);
        }
        server
    });
    for _ in 0..64 {
        block_on(poll_fn(|cx| client.poll_ready(cx))).unwrap();
        client.feed(Frame::Text("x".repeat(100_000))).unwrap();
    }
    block_on(poll_fn(|cx| client.poll_flush(cx))).unwrap();
    server.join().unwrap();
}

#[test]
fn frames_are_buffered_until_a_flush() {
    let (mut client, control) = idle();
    let before = control.written();
    client.feed(Frame::Text("one".to_owned())).unwrap();
    client.feed(Frame::Text("two".to_owned())).unwrap();
    assert_eq!(control.written(), before);
    block_on(poll_fn(|cx| client.poll_flush(cx))).unwrap();
    assert!(control.written() > before);
}

// Pings and pongs.

#[test]
fn ping_is_answered_without_another_write() {
    let (mut client, server) = connected(|mut server| {
        server.send(Message::Ping("beat".into())).unwrap();
        assert_eq!(server.read().unwrap(), Message::Pong("beat".into()));
        server
    });
    assert!(matches!(receive(&mut client), Ok(Frame::Pong)));
    // The pong has been written; the client is not polled again.
    server.join().unwrap();
}

#[test]
fn l9_reply_to_our_ping_is_a_pong() {
    let (mut client, server) = connected(|mut server| {
        assert!(matches!(server.read(), Ok(Message::Ping(_))));
        server.flush().unwrap();
        server
    });
    send(&mut client, Frame::Ping).unwrap();
    assert!(matches!(receive(&mut client), Ok(Frame::Pong)));
    server.join().unwrap();
}

// The end of a connection.

#[test]
fn l7_close_frame_is_returned_and_echoed() {
    let (mut client, server) = connected(|mut server| {
        let frame = TungsteniteFrame { code: 4401.into(), reason: "who are you".into() };
        server.close(Some(frame.clone())).unwrap();
        assert_eq!(server.read().unwrap(), Message::Close(Some(frame)));
        server
    });
    let error = closed(4401, "who are you");
    assert_eq!(receive(&mut client).unwrap_err(), error);
    // The echo has been written.
    server.join().unwrap();
    assert_eq!(receive(&mut client).unwrap_err(), error);
    assert_eq!(send(&mut client, Frame::Ping).unwrap_err(), error);
}

#[test]
fn l7_close_frame_without_a_code_is_1005() {
    let (mut client, server) = connected(|mut server| {
        server.close(None).unwrap();
        assert_eq!(server.read().unwrap(), Message::Close(None));
        server
    });
    assert_eq!(receive(&mut client).unwrap_err(), closed(1005, ""));
    server.join().unwrap();
}

#[test]
fn l7_end_without_a_close_frame_is_reported_as_dropped() {
    let (mut client, server) = connected(|server| server);
    drop(server.join().unwrap());
    assert_eq!(receive(&mut client).unwrap_err(), ConnectionError::Dropped);
}

#[test]
fn l7_end_within_a_frame_is_reported_as_dropped() {
    let (mut client, server) = connected(|mut server| {
        server.get_mut().write_all(b"\x81\x10half").unwrap();
        server
    });
    drop(server.join().unwrap());
    assert_eq!(receive(&mut client).unwrap_err(), ConnectionError::Dropped);
}

#[test]
fn c1_closing_handshake_completes() {
    let (mut client, server) = connected(|mut server| {
        server.send(Message::text("last")).unwrap();
        let close = server.read().unwrap();
        assert_eq!(
            close,
            Message::Close(Some(TungsteniteFrame { code: 1000.into(), reason: "".into() }))
        );
        assert!(matches!(server.read(), Err(ws::Error::ConnectionClosed)));
        server
    });
    send(&mut client, Frame::Close(CloseFrame::normal())).unwrap();
    // A second close frame is ignored.
    send(&mut client, Frame::Close(CloseFrame::normal())).unwrap();
    assert_eq!(receive_text(&mut client), "last");
    assert_eq!(receive(&mut client).unwrap_err(), closed(1000, ""));
    server.join().unwrap();
}

#[test]
fn long_close_reason_is_truncated_between_characters() {
    let (mut client, server) = connected(|mut server| server.read().unwrap());
    let frame = CloseFrame { code: 3000, reason: "é".repeat(100) };
    send(&mut client, Frame::Close(frame)).unwrap();
    let received = Message::Close(Some(TungsteniteFrame {
        code: 3000.into(),
        reason: "é".repeat(61).into(),
    }));
    assert_eq!(server.join().unwrap(), received);
}

#[test]
fn l7_close_code_is_returned_even_if_a_write_fails_first() {
    let (mut client, server) = connected(|mut server| {
        server.send(Message::text("before")).unwrap();
        server.close(Some(TungsteniteFrame { code: 4403.into(), reason: "".into() })).unwrap();
        server
    });
    // The client can read what the server has sent, but it can no longer write.
    drop(server.join().unwrap());
    client.feed(Frame::Text("after".to_owned())).unwrap();
    assert!(poll_once(poll_fn(|cx| client.poll_flush(cx))).is_pending());
    assert!(poll_once(poll_fn(|cx| client.poll_ready(cx))).is_pending());
    assert_eq!(receive_text(&mut client), "before");
    assert_eq!(receive(&mut client).unwrap_err(), closed(4403, ""));
}

#[test]
fn write_error_is_returned_without_a_close_frame() {
    let (mut client, control) = idle();
    control.fail_writes();
    client.feed(Frame::Text("x".to_owned())).unwrap();
    assert!(poll_once(poll_fn(|cx| client.poll_flush(cx))).is_pending());
    assert!(matches!(
        receive(&mut client),
        Err(ConnectionError::Io { kind: std::io::ErrorKind::BrokenPipe, .. })
    ));
}

#[test]
fn l7_close_frame_is_returned_even_if_it_cannot_be_echoed() {
    let (mut client, control) = idle();
    control.set_capacity(0);
    control.receive(b"\x88\x02\x03\xf4"); // 1012
    assert!(poll_once(poll_fn(|cx| client.poll_receive(cx))).is_pending());
    control.hang_up();
    assert_eq!(receive(&mut client).unwrap_err(), closed(1012, ""));
}

#[test]
fn write_buffer_is_bounded() {
    let (mut client, control) = idle();
    control.set_capacity(0);
    for _ in 0..17 {
        client.feed(Frame::Text("x".repeat(1024 * 1024))).unwrap();
    }
    assert!(matches!(receive(&mut client), Err(ConnectionError::Io { .. })));
}

// Invalid and oversized messages.

#[test]
fn invalid_frames_are_protocol_errors_with_a_close_code() {
    let table: [(&[u8], u16); 12] = [
        (b"\x81\x02\xc3\x28", 1007),           // not UTF-8
        (b"\x83\x00", 1002),                   // a reserved opcode
        (b"\xc1\x00", 1002),                   // compressed without negotiation
        (b"\x81\x80\0\0\0\0", 1002),           // masked
        (b"\x81\x80\x01\x05\0\0", 1002),       // masked, and the mask looks like a fragment
        (b"\x80\x00", 1002),                   // a continuation without a first fragment
        (b"\x89\x7e\x00\x7e", 1002),           // a ping of 126 bytes
        (b"\x01\x01a\x81\x01b", 1002),         // a message within one in fragments
        (b"\x01\x01a\x02\x01b", 1002),         // another one in fragments
        (b"\x01\x01a\xc0\x01b", 1002),         // a compressed fragment
        (b"\x01\x01a\x80\x81\0\0\0\0b", 1002), // a masked fragment
        (b"\x01\x01\xc3\x80\x01\x28", 1007),   // fragments that are not UTF-8
    ];
    for (bytes, code) in table {
        let (mut client, server) = connected(move |mut server| {
            server.get_mut().write_all(bytes).unwrap();
            server.get_mut().write_all(&[0; 126]).unwrap();
            server.read().unwrap()
        });
        let error = receive(&mut client).unwrap_err();
        assert!(matches!(error, ConnectionError::Protocol(_)), "{bytes:?}: {error:?}");
        assert_eq!(close_code(&server.join().unwrap()), code, "{bytes:?}");
    }
}

#[test]
fn pending_pongs_are_bounded() {
    let (mut client, control) = idle();
    control.set_capacity(0);
    // The pongs have 131 bytes each, 26 MiB in total.
    let ping = [&[0x89, 125], &[0; 125][..]].concat();
    for _ in 0..2_000 {
        control.receive(&ping.repeat(100));
        while let Poll::Ready(frame) = poll_once(poll_fn(|cx| client.poll_receive(cx))) {
            assert!(matches!(frame, Ok(Frame::Pong)));
        }
    }
    control.set_capacity(usize::MAX);
    let before = control.written();
    block_on(poll_fn(|cx| client.poll_flush(cx))).unwrap();
    let pongs = control.written() - before;
    assert!(pongs <= 4 * 1024 * 1024 + 131, "{pongs}");
}

// The handshake.

#[test]
fn handshake_request_has_host_path_and_query() {
    let (_, request) = handshake_error("HTTP/1.1 403 Forbidden\r\n\r\n");
    assert!(request.starts_with("GET /ws/?token=canary HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Host: example.com:8000\r\n"), "{request}");
    assert!(request.contains("Upgrade: websocket\r\n"), "{request}");
    assert!(request.contains("Origin: http://example.com:8000\r\n"), "{request}");
}

#[test]
fn l6_rejected_handshake_has_status_and_retry_after() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let table = [
        ("301 Moved Permanently\r\nLocation: ws://elsewhere/", 301, None),
        ("200 OK", 200, None),
        ("401 Unauthorized", 401, None),
        ("403 Access denied", 403, None),
        ("404 Not Found\r\nContent-Length: 5", 404, None),
        ("429 Too Many Requests\r\nRetry-After: 7", 429, seconds(7)),
        ("500 Internal Server Error", 500, None),
        ("503 Service Unavailable\r\nretry-after:  120 ", 503, seconds(120)),
        ("503 Service Unavailable\r\nRetry-After: 18446744073709551615", 503, seconds(300)),
        ("503 Service Unavailable\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT", 503, None),
        ("503 Service Unavailable\r\nRetry-After: -1", 503, None),
    ];
    for (response, status, retry_after) in table {
        let (error, _) = handshake_error(&format!("HTTP/1.1 {response}\r\n\r\nbody"));
        assert_eq!(error, ConnectionError::Http { status, retry_after }, "{response}");
    }
}

#[test]
fn invalid_handshake_responses_are_protocol_errors() {
    let upgrade =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let table = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        "\x15\x03\x01\x00\x02\x02\x16".to_owned(), // a TLS alert
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
        format!("{upgrade}Sec-WebSocket-Accept: wrong\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: x\r\n".repeat(200)),
    ];
    for response in table {
        let (error, _) = handshake_error(&response);
        assert!(matches!(error, ConnectionError::Protocol(_)), "{error:?}");
    }
}

#[test]
fn end_during_the_handshake_is_reported_as_dropped() {
    for response in ["", "HTTP/1.1 101 Switching"] {
        assert_eq!(handshake_error(response).0, ConnectionError::Dropped);
    }
}

#[test]
fn l4_dropping_the_future_ends_the_handshake() {
    let (near, mut far) = pipe::new();
    let endpoint = Endpoint::parse(URL).unwrap();
    let options = Options::default();
    {
        let mut connect = pin!(websocket::connect(&endpoint, near, &options));
        assert!(poll_once(connect.as_mut()).is_pending());
        assert!(poll_once(connect).is_pending());
    }
    let mut request = Vec::new();
    far.read_to_end(&mut request).unwrap();
    assert!(request.ends_with(b"\r\n\r\n"));
}

#[test]
fn frames_sent_with_the_handshake_response_are_received() {
    let (mut client, server) = connected(|mut server| {
        server.send(Message::text("at once")).unwrap();
        server
    });
    server.join().unwrap();
    assert_eq!(receive_text(&mut client), "at once");
}

// Secrets.

#[test]
fn x1_queries_and_received_data_are_never_shown() {
    let endpoint = Endpoint::parse(URL).unwrap();
    let (mut client, server) = connected(|mut server| {
        server.send(Message::text("canary")).unwrap();
        server.send(Message::binary("canary")).unwrap();
        server
    });
    let text = receive(&mut client).unwrap();
    let binary = receive(&mut client).unwrap();
    client.feed(Frame::Text("canary".to_owned())).unwrap();
    let (rejected, _) = handshake_error("HTTP/1.1 403 canary\r\nX: canary\r\n\r\ncanary");
    let (invalid, _) = handshake_error("canary\r\n\r\n");
    let shown = [
        format!("{endpoint} {endpoint:?}"),
        format!("{client:?} {text:?} {binary:?} {:?}", Options::default()),
        format!("{rejected} {rejected:?} {invalid} {invalid:?}"),
    ];
    for shown in shown {
        assert!(!shown.contains("canary"), "{shown}");
    }
    for url in
        ["ws://canary@h/", "ws://h:canary/", "canary://h/", "ws://h/#canary", "ws://h/canary\n"]
    {
        let error = Endpoint::parse(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    server.join().unwrap();
}
