//! Messages over the size limit (rule F5): the connection goes on, and the envelope shows whose reply it is.

use std::future::poll_fn;
use std::io::Write;
use std::task::Poll;

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use dcrf_proto::client::Socket;
use dcrf_proto::websocket::{Binary, Options, Text};
use dcrf_proto::{ConnectionError, Frame};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use crate::support::{
    Client, close_code, connected, connected_with, idle, idle_with, poll_once, receive,
    receive_text,
};

fn limited() -> Options {
    Options::default().max_incoming_message(1000)
}

fn reply(rows: usize) -> Value {
    json!({"stream": "tasks", "payload": {
        "errors": [], "data": vec!["x"; rows], "action": "list", "response_status": 200,
        "request_id": "mine",
    }})
}

/// Receives a message. The bytes that are skipped before it can count as pongs.
fn receive_message(client: &mut Client) -> Result<Frame<Text, Binary>, ConnectionError> {
    loop {
        match receive(client) {
            Ok(Frame::Pong) => {}
            other => return other,
        }
    }
}

/// Receives a message over the limit, and returns its envelope and size.
fn receive_envelope(client: &mut Client) -> (Value, usize) {
    match receive_message(client) {
        Ok(Frame::TooLarge { envelope, size, limit: 1000 }) => {
            (serde_json::from_str(envelope.as_ref()).unwrap(), size)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn f5_message_over_the_limit_is_skipped() {
    let (mut client, server) = connected_with(&limited(), |mut server| {
        for text in ["before".to_owned(), reply(1_000).to_string(), reply(50_000).to_string()] {
            server.send(Message::text(text)).unwrap();
        }
        server.send(Message::text("x".repeat(1000))).unwrap();
        server
    });
    assert_eq!(receive_text(&mut client), "before");
    for rows in [1_000, 50_000] {
        let expected = (reply(0), reply(rows).to_string().len());
        assert_eq!(receive_envelope(&mut client), expected);
    }
    assert_eq!(receive_text(&mut client).len(), 1000);
    server.join().unwrap();
}

#[test]
fn f5_message_over_the_limit_is_skipped_however_it_is_split() {
    let text = reply(300).to_string();
    let length = u16::try_from(text.len()).unwrap();
    let mut bytes = b"\x81\x03one\x8a\x00".to_vec();
    bytes.extend_from_slice(&[0x81, 126]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(b"\x81\x03two");
    for piece in [1, 2, 3, 5, 7, 100, bytes.len()] {
        let (mut client, control) = idle_with(&limited());
        let mut frames = Vec::new();
        for bytes in bytes.chunks(piece) {
            control.receive(bytes);
            while let Poll::Ready(frame) = poll_once(poll_fn(|cx| client.poll_receive(cx))) {
                frames.push(format!("{:?}", frame.unwrap()));
            }
        }
        // The bytes that are skipped count as pongs, if the message does not come at once.
        frames.retain(|frame| frame != "Pong");
        let large = format!("TooLarge({} bytes)", text.len());
        assert_eq!(frames, ["Text(3 bytes)", &large, "Text(3 bytes)"], "{piece}");
    }
}

#[test]
fn f5_fragmented_message_over_the_limit_ends_the_connection() {
    let (mut client, server) = connected_with(&limited(), move |mut server| {
        for index in 0..5 {
            let code = if index == 0 { Data::Text } else { Data::Continue };
            let frame = RawFrame::message("x".repeat(300), OpCode::Data(code), index == 4);
            server.send(Message::Frame(frame)).unwrap();
        }
        server.read().unwrap()
    });
    let error = ConnectionError::TooLarge { size: 1_200, limit: 1_000 };
    assert_eq!(receive(&mut client).unwrap_err(), error);
    assert_eq!(close_code(&server.join().unwrap()), 1009);
    assert_eq!(receive(&mut client).unwrap_err(), error);
}

#[test]
fn f5_default_limit_is_4_mib() {
    let limit = 4 * 1024 * 1024;
    let (mut client, server) = connected(move |mut server| {
        server.send(Message::text("x".repeat(limit))).unwrap();
        server.send(Message::text(format!("[\"{}\"]", "x".repeat(limit)))).unwrap();
        server
    });
    assert_eq!(receive_text(&mut client).len(), limit);
    let frame = receive_message(&mut client).unwrap();
    assert!(matches!(&frame, Frame::TooLarge { size, .. } if *size == limit + 4), "{frame:?}");
    server.join().unwrap();
}

#[test]
fn f5_announced_message_of_gigabytes_or_without_a_small_envelope_ends_the_connection() {
    let (mut client, server) = connected(move |mut server| {
        server.get_mut().write_all(&[0x81, 127]).unwrap();
        server.get_mut().write_all(&(1_u64 << 32).to_be_bytes()).unwrap();
        server.read().unwrap()
    });
    let error = ConnectionError::TooLarge { size: 1 << 32, limit: 4 << 20 };
    assert_eq!(receive(&mut client).unwrap_err(), error);
    assert_eq!(close_code(&server.join().unwrap()), 1009);

    let (mut client, server) = connected_with(&limited(), |mut server| {
        server.send(Message::text("x".repeat(100_000))).unwrap();
        server.read().unwrap()
    });
    let error = ConnectionError::TooLarge { size: 100_000, limit: 1_000 };
    assert_eq!(receive_message(&mut client).unwrap_err(), error);
    assert_eq!(close_code(&server.join().unwrap()), 1009);
}

#[test]
fn f5_binary_message_over_the_limit_ends_the_connection() {
    let (mut client, server) = connected_with(&limited(), |mut server| {
        server.send(Message::binary(vec![0; 1_001])).unwrap();
        server.read().unwrap()
    });
    let error = ConnectionError::TooLarge { size: 1_001, limit: 1_000 };
    assert_eq!(receive(&mut client).unwrap_err(), error);
    server.join().unwrap();
}

#[test]
fn f5_skipping_yields_to_other_tasks_and_is_a_sign_of_life() {
    let (mut client, control) = idle();
    let size = 8 << 20;
    control.receive(&[0x81, 127]);
    control.receive(&u64::to_be_bytes(size));
    control.receive(b"[\"");
    control.receive(&vec![b'x'; 6 << 20]);
    let (mut polls, mut pongs) = (0, 0);
    block_on(poll_fn(|cx| {
        polls += 1;
        while let Poll::Ready(frame) = client.poll_receive(cx) {
            // L9: it is a sign of life.
            assert!(matches!(frame, Ok(Frame::Pong)), "{frame:?}");
            pongs += 1;
            if control.unread() == 0 {
                return Poll::Ready(());
            }
        }
        if control.unread() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert!(polls > 4 && pongs > 4, "everything was read in {polls} polls, {pongs} pongs");
}
