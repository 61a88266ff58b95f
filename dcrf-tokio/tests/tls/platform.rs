//! The operating system's root certificates. An environment variable names their file, so each test runs itself in its
//! own process.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use dcrf_tokio::{ConnectError, Tls, TlsError};

use crate::authority::Ca;
use crate::server::Server;
use crate::{assert_rejected, connect, libraries};

#[tokio::test]
async fn platform_roots_are_trusted() {
    let Some(file) = in_own_process("platform_roots_are_trusted") else { return };
    let (ca, other) = (Ca::new(), Ca::new());
    fs::write(&file, ca.pem()).unwrap();
    for tls in libraries() {
        for tls in [
            tls.clone().platform_roots(),
            tls.clone().without_default_roots().platform_roots(),
            tls.clone().ca_certificate(other.pem()).platform_roots(),
        ] {
            let server = Server::new(&ca.sign(&["localhost"]));
            drop(connect(&server, "localhost", tls).await.unwrap());
            assert_eq!(server.stop().await, 1);
        }
    }
    #[cfg(feature = "native-tls")]
    {
        let server = Server::new(&ca.sign(&["localhost"]));
        drop(connect(&server, "localhost", Tls::default().use_native_tls()).await.unwrap());
        assert_eq!(server.stop().await, 1);
    }
}

#[tokio::test]
async fn x2_platform_roots_are_trusted_only_on_request() {
    let name = "x2_platform_roots_are_trusted_only_on_request";
    let Some(file) = in_own_process(name) else { return };
    let (ca, other) = (Ca::new(), Ca::new());
    fs::write(&file, ca.pem()).unwrap();
    let server = Server::new(&ca.sign(&["localhost"]));
    assert_rejected(server, "localhost", Tls::default(), &["UnknownIssuer"]).await;
    for tls in libraries() {
        let server = Server::new(&ca.sign(&["localhost"]));
        let tls = tls.without_default_roots().ca_certificate(other.pem());
        let words = ["UnknownIssuer", "unable to get local issuer certificate"];
        assert_rejected(server, "localhost", tls, &words).await;
    }
}

#[tokio::test]
async fn unreadable_platform_roots_are_an_error() {
    let Some(file) = in_own_process("unreadable_platform_roots_are_an_error") else { return };
    assert!(!file.exists());
    let tls = Tls::default().platform_roots();
    let error = dcrf_tokio::builder("wss://localhost:1/").tls(tls).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Tls(TlsError::PlatformRoots(_))), "{error:?}");
}

/// Runs a test in its own process. Returns the path of the system's roots there, and `None` in the parent process. The
/// file does not exist yet.
fn in_own_process(test: &str) -> Option<PathBuf> {
    const CHILD: &str = "DCRF_TEST_CHILD";
    if env::var_os(CHILD).is_some() {
        return env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{test}-{}.pem", process::id()));
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("platform::{test}"), "--nocapture"])
        .env(CHILD, "1")
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    if file.exists() {
        fs::remove_file(&file).unwrap();
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
    None
}
