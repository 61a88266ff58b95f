//! The operating system's root certificates. The variable that names their file is the whole process's, so
//! each test runs itself again in a process of its own.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use dcrf_tokio::{ConnectError, Tls, TlsError};

use crate::authority::Ca;
use crate::server::Server;
use crate::{assert_refused, connect, libraries};

#[tokio::test]
async fn the_systems_roots_are_trusted() {
    let Some(file) = again("the_systems_roots_are_trusted") else { return };
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
async fn x2_the_systems_roots_are_not_trusted_unless_they_are_asked_for() {
    let name = "x2_the_systems_roots_are_not_trusted_unless_they_are_asked_for";
    let Some(file) = again(name) else { return };
    let (ca, other) = (Ca::new(), Ca::new());
    fs::write(&file, ca.pem()).unwrap();
    let server = Server::new(&ca.sign(&["localhost"]));
    assert_refused(server, "localhost", Tls::default(), &["UnknownIssuer"]).await;
    for tls in libraries() {
        let server = Server::new(&ca.sign(&["localhost"]));
        let tls = tls.without_default_roots().ca_certificate(other.pem());
        let words = ["UnknownIssuer", "unable to get local issuer certificate"];
        assert_refused(server, "localhost", tls, &words).await;
    }
}

#[tokio::test]
async fn roots_that_can_not_be_read_are_an_error() {
    let Some(file) = again("roots_that_can_not_be_read_are_an_error") else { return };
    assert!(!file.exists());
    let tls = Tls::default().platform_roots();
    let error = dcrf_tokio::builder("wss://localhost:1/").tls(tls).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Tls(TlsError::PlatformRoots(_))), "{error:?}");
}

/// Runs a test again in a process of its own. There it is the file of the system's roots, which is not there
/// yet.
fn again(test: &str) -> Option<PathBuf> {
    const IS_AGAIN: &str = "DCRF_TEST_AGAIN";
    if env::var_os(IS_AGAIN).is_some() {
        return env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{test}-{}.pem", process::id()));
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("platform::{test}"), "--nocapture"])
        .env(IS_AGAIN, "1")
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
