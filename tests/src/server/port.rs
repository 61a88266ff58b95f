//! A port of 127.0.0.1 that stays ours while no server listens on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// A port that the system gives to nobody else.
///
/// Without it, another test could get the port of a server that is down, and the client of this test would reconnect to
/// that. The socket is bound but does not listen, so a connection is refused until the server listens, which it may as
/// both sockets have `SO_REUSEADDR`.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    _reservation: OwnedFd,
}

impl Port {
    pub(super) fn reserve() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let reservation = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&reservation, true)?;
        bind(&reservation, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = getsockname(&reservation)?.try_into()?;
        Ok(Self { address, _reservation: reservation })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustix::net::{Shutdown, shutdown};

    use super::*;

    #[test]
    fn reserved_port_refuses_connections_until_a_server_listens() {
        let port = Port::reserve().unwrap();
        let refused = TcpStream::connect(port.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        // The standard library sets SO_REUSEADDR, like Daphne and Uvicorn.
        for _ in 0..2 {
            let server = TcpListener::bind(port.address()).unwrap();
            TcpStream::connect(port.address()).unwrap();
            // A child that another test forks has a copy of the socket until it calls exec; the copy must not listen.
            shutdown(&server, Shutdown::Both).unwrap();
        }
    }
}
