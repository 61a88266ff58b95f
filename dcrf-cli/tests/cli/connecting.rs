//! TLS, proxies and Unix sockets.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use data_encoding::BASE64;
use dcrf_tests::authority::Authority;
use dcrf_tests::server::Server;

use crate::command::{Dcrf, Printed};

#[test]
fn own_authority_is_trusted_and_the_client_shows_its_certificate() {
    let authority = Authority::new();
    let server = authority.server_for_known_clients().start().unwrap();
    let dcrf = Dcrf::at(&format!("wss://localhost:{}/ws/", server.address().port()));
    let write = |name: &str, pem: &str| fs::write(dcrf.folder.path().join(name), pem).unwrap();
    let identity = authority.issue_to_client("device-7");
    write("ca.pem", authority.pem());
    write("client.pem", &identity.certificate);
    write("client.key", &identity.key);

    let all = [
        "list",
        "tasks",
        "--ca",
        "ca.pem",
        "--client-cert",
        "client.pem",
        "--client-key",
        "client.key",
    ];
    assert_eq!(dcrf.run(&all).json_lines().len(), 5);
    dcrf.run(&["list", "tasks"]).assert_failed(3, "TLS: invalid peer certificate: UnknownIssuer");
    dcrf.run(&["list", "tasks", "--ca", "ca.pem"]).assert_code(3);
    let other = Dcrf::at(&format!("wss://127.0.0.1:{}/ws/", server.address().port()));
    write("key.txt", "-----BEGIN nothing");
    let other =
        other.run(&["list", "tasks", "--ca", dcrf.folder.path().join("ca.pem").to_str().unwrap()]);
    other.assert_failed(3, "certificate not valid for name \"127.0.0.1\"");
    let wrong = [
        "list",
        "tasks",
        "--ca",
        "ca.pem",
        "--client-cert",
        "client.pem",
        "--client-key",
        "key.txt",
    ];
    dcrf.run(&wrong).assert_failed(2, "key.txt: ");
}

#[cfg(unix)]
#[test]
fn unix_socket_leads_to_the_server() {
    let server = Server::builder().unix_socket().start().unwrap();
    let socket = server.unix_socket();
    let dcrf = Dcrf::at("ws://localhost/ws/");
    let list = |path: &str| dcrf.run(&["list", "tasks", "--unix-socket", path]);
    assert_eq!(list(socket.to_str().unwrap()).json_lines().len(), 5);
    list("nothing.sock").assert_failed(3, "nothing.sock: No such file or directory");
}

/// A proxy that accepts one user, and passes bytes on.
struct Proxy {
    address: SocketAddr,
}

impl Proxy {
    fn start(greet: fn(&mut TcpStream) -> io::Result<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                thread::spawn(move || {
                    let target = greet(&mut client)?;
                    let mut server = TcpStream::connect(target)?;
                    let (mut client_in, mut server_out) =
                        (client.try_clone()?, server.try_clone()?);
                    thread::spawn(move || io::copy(&mut client_in, &mut server_out));
                    io::copy(&mut server, &mut client)
                });
            }
        });
        Self { address }
    }
}

fn http(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let user = format!("basic {}", BASE64.encode(b"ann:p@ss")).to_lowercase();
    if !head.to_lowercase().contains(&user) {
        client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        )?;
        return Err(io::Error::other("wrong user"));
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    Ok(head.split(' ').nth(1).unwrap().to_owned())
}

/// RFC 1928 and 1929.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).map(|()| bytes)
    };
    let methods = read(2)?[1];
    read(methods.into())?;
    client.write_all(&[5, 0])?;
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).map(|()| bytes)
    };
    let host = if read(4)?[3] == 1 {
        read(4)?.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
    } else {
        let length = read(1)?[0];
        String::from_utf8(read(length.into())?).unwrap()
    };
    let port = read(2)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(format!("{host}:{}", u16::from_be_bytes([port[0], port[1]])))
}

#[test]
fn proxies_lead_to_the_server() {
    let server = Server::shared();
    let dcrf = Dcrf::at(&server.url("/ws/"));
    let proxy = Proxy::start(http);
    let list = |url: String| {
        let mut command = dcrf.command(&["list", "tasks", "--proxy", "env:PROXY"]);
        Printed::of(command.env("PROXY", url).spawn().unwrap())
    };
    list(format!("http://ann:p%40ss@{}", proxy.address)).assert_code(0);
    let wrong = list(format!("http://ann:canary@{}", proxy.address));
    wrong.assert_failed(3, &format!("the proxy {}: ", proxy.address));
    assert!(wrong.stderr.contains("auth") && !wrong.stderr.contains("canary"), "{}", wrong.stderr);
    list("http://127.0.0.1:1".into()).assert_failed(3, "the proxy 127.0.0.1:1: ");

    let proxy = Proxy::start(socks);
    let url = format!("socks5://{}", proxy.address);
    dcrf.run(&["list", "tasks", "--proxy", &url]).assert_code(0);
}
